// Memory, sockets and actions of a replayed host; see the header.
#define SC_INCLUDE_DYNAMIC_PROCESSES  // sc_spawn; read by <systemc>
#include "sim/replay/replay_host.h"

#include <algorithm>
#include <cstring>

namespace postern::sim {

ReplayHost::ReplayHost(const sc_core::sc_module_name& name, uint32_t host_idx, Guest guest, BoundaryRecorder::Sink sink)
    : sc_module(name),
      nic_(std::move(guest.nic)),
      monitored_(guest.monitor ? std::make_unique<MonitoredNic>("tap", *nic_, guest.mac, guest.host) : nullptr),
      own_tap_(guest.monitor ? nullptr : std::make_unique<BoundaryTap>("tap", *nic_)),
      tap_(guest.monitor ? monitored_->tap() : *own_tap_),
      recorder_(
          host_idx, tap_, [] { return sc_core::sc_time_stamp().value(); }, std::move(sink)),
      dma_target_("dma_target"),
      bar_initiator_("bar_initiator") {
  dma_target_.bind(static_cast<tlm::tlm_fw_transport_if<>&>(*this));
  bar_initiator_.bind(static_cast<tlm::tlm_bw_transport_if<>&>(*this));
  bar_initiator_.bind(tap_.bar_socket);
  tap_.dma_socket.bind(dma_target_);
  tap_.msix_port.bind(static_cast<MsixIf&>(*this));
  tap_.wire_port.bind(static_cast<EthernetIf&>(*this));
  tap_.add_observer(recorder_);
}

void ReplayHost::put_memory(uint64_t address, const uint8_t* data, size_t bytes) {
  while (bytes > 0) {
    const uint64_t offset = address % kPageBytes;
    const size_t piece = std::min<size_t>(bytes, kPageBytes - offset);
    auto& page = pages_[address / kPageBytes];
    if (page == nullptr) page = std::make_unique<std::array<uint8_t, kPageBytes>>();
    std::memcpy(page->data() + offset, data, piece);
    address += piece;
    data += piece;
    bytes -= piece;
  }
}

void ReplayHost::get_memory(uint64_t address, uint8_t* data, size_t bytes) {
  while (bytes > 0) {
    const uint64_t offset = address % kPageBytes;
    const size_t piece = std::min<size_t>(bytes, kPageBytes - offset);
    const auto it = pages_.find(address / kPageBytes);
    if (it == pages_.end()) {
      std::memset(data, 0, piece);
    } else {
      std::memcpy(data, it->second->data() + offset, piece);
    }
    address += piece;
    data += piece;
    bytes -= piece;
  }
}

bool ReplayHost::answers(uint64_t address) {
  const auto it = outcomes_.find(address);
  if (it == outcomes_.end()) return true;
  const bool reached = it->second.front();
  if (it->second.size() > 1) it->second.pop_front();
  return reached;
}

void ReplayHost::b_transport(tlm::tlm_generic_payload& payload, sc_core::sc_time&) {
  if (!answers(payload.get_address())) {
    payload.set_response_status(tlm::TLM_ADDRESS_ERROR_RESPONSE);
    return;
  }
  if (payload.is_write()) {
    put_memory(payload.get_address(), payload.get_data_ptr(), payload.get_data_length());
  } else {
    get_memory(payload.get_address(), payload.get_data_ptr(), payload.get_data_length());
  }
  payload.set_response_status(tlm::TLM_OK_RESPONSE);
}

unsigned int ReplayHost::transport_dbg(tlm::tlm_generic_payload& payload) {
  get_memory(payload.get_address(), payload.get_data_ptr(), payload.get_data_length());
  return payload.get_data_length();
}

void ReplayHost::act(const TraceRecord& record) {
  switch (record.kind) {
    case RecordKind::kBarWrite:
      write_bar(record);
      break;
    case RecordKind::kBarReadIssued:
      sc_core::sc_spawn([this, record] { read_bar(record); });
      break;
    case RecordKind::kFrameReceived: {
      auto frame = std::make_shared<EthernetFrame>();
      frame->bytes = record.data;
      frame->bad_fcs = record.value != 0;
      tap_.wire_export->deliver(frame);
      break;
    }
    case RecordKind::kLink:
      tap_.wire_export->set_link(record.value != 0);
      break;
    case RecordKind::kFunctionReset:
      tap_.function_reset();
      break;
    default:
      break;
  }
}

void ReplayHost::write_bar(const TraceRecord& record) {
  std::vector<uint8_t> data = record.data;
  tlm::tlm_generic_payload payload;
  payload.set_command(tlm::TLM_WRITE_COMMAND);
  payload.set_address(bar_address(record.bar, record.address));
  payload.set_data_ptr(data.data());
  payload.set_data_length(static_cast<unsigned>(data.size()));
  payload.set_streaming_width(static_cast<unsigned>(data.size()));
  sc_core::sc_time delay = sc_core::sc_time::from_value(record.issue_ps - record.time_ps);
  bar_initiator_->b_transport(payload, delay);
}

void ReplayHost::read_bar(const TraceRecord& record) {
  std::vector<uint8_t> data(record.value);
  tlm::tlm_generic_payload payload;
  payload.set_command(tlm::TLM_READ_COMMAND);
  payload.set_address(bar_address(record.bar, record.address));
  payload.set_data_ptr(data.data());
  payload.set_data_length(static_cast<unsigned>(data.size()));
  payload.set_streaming_width(static_cast<unsigned>(data.size()));
  sc_core::sc_time delay = sc_core::sc_time::from_value(record.issue_ps - record.time_ps);
  bar_initiator_->b_transport(payload, delay);
}

}  // namespace postern::sim
