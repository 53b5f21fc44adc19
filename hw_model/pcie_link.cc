// TLM ends of the PCIe link. See pcie_link.h.
#include "hw_model/pcie_link.h"

#include <cstring>

#include "contract/gen/pst_contract.h"
#include "hw_model/agenda.h"
#include "hw_model/bar_target.h"
#include "hw_model/faults.h"
#include "sim/nic_device.h"

namespace postern::hw_model {

namespace {
constexpr uint32_t kBurstBytesMax = 4096;  // a BAR access stays within a page

// A burst reaches the registers in words.
uint32_t word_bytes(uint32_t left) { return left >= 8 ? 8 : left >= 4 ? 4 : 1; }

}  // namespace

PcieLink::PcieLink(NicBlocks& nic, tlm::tlm_initiator_socket<64>& dma_socket)
    : nic_(nic), dma_socket_(dma_socket), properties_(*nic.properties) {
  configure();
}

void PcieLink::reset() {
  timeline_.reset();
  free_bursts_.clear();
  for (size_t i = 0; i < bursts_.size(); ++i) free_bursts_.push_back(i);
}

void PcieLink::append_counters(std::vector<sim::Counter>& counters) const {
  const PcieCounts& c = timeline_.counts();
  const uint64_t credit_stall_ps = c.posted_stall_ps + c.non_posted_stall_ps + c.completion_stall_ps + c.host_stall_ps;
  for (const sim::Counter& counter : {sim::Counter{"pcie.upstream_busy_ps", c.upstream_busy_ps},
                                      {"pcie.downstream_busy_ps", c.downstream_busy_ps},
                                      {"pcie.upstream_tlps", c.upstream_tlps},
                                      {"pcie.downstream_tlps", c.downstream_tlps},
                                      {"pcie.host_posted_tlps", c.host_posted_tlps},
                                      {"pcie.tag_stall_ps", c.tag_stall_ps},
                                      {"pcie.tag_stalls", c.tag_stalls},
                                      {"pcie.credit_stall_ps", credit_stall_ps},
                                      {"pcie.credit_stalls", c.credit_stalls},
                                      {"pcie.posted_credit_stall_ps", c.posted_stall_ps},
                                      {"pcie.non_posted_credit_stall_ps", c.non_posted_stall_ps},
                                      {"pcie.completion_credit_stall_ps", c.completion_stall_ps},
                                      {"pcie.host_credit_stall_ps", c.host_stall_ps}}) {
    counters.push_back(counter);
  }
}

ReadPlan PcieLink::post_read(uint64_t earliest_ps, uint64_t address, uint32_t bytes, uint32_t vi_id) {
  const DmaResult fate = nic_.faults->read_fate(vi_id);
  if (fate == DmaResult::kTimeout) {
    return {timeline_.lost_read(earliest_ps, address, bytes, nic_.faults->completion_timeout_ps()), fate};
  }
  return {timeline_.read(earliest_ps, address, bytes), fate};
}

DmaResult PcieLink::dma(tlm::tlm_command command, uint64_t host_address, void* data, uint32_t bytes) {
  dma_payload_.set_command(command);
  dma_payload_.set_address(host_address);
  dma_payload_.set_data_ptr(static_cast<unsigned char*>(data));
  dma_payload_.set_data_length(bytes);
  dma_payload_.set_streaming_width(bytes);
  dma_payload_.set_byte_enable_ptr(nullptr);
  dma_payload_.set_dmi_allowed(false);
  dma_payload_.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
  sc_core::sc_time delay;
  dma_socket_->b_transport(dma_payload_, delay);
  return dma_payload_.get_response_status() == tlm::TLM_OK_RESPONSE ? DmaResult::kOk : DmaResult::kUnmapped;
}

DmaResult PcieLink::memory_write(uint64_t host_address, const void* data, uint32_t bytes, uint32_t vi_id) {
  if (nic_.faults->write_unanswered(vi_id, host_address)) return DmaResult::kUnmapped;
  return dma(tlm::TLM_WRITE_COMMAND, host_address, const_cast<void*>(data), bytes);
}

DmaResult PcieLink::memory_read(uint64_t host_address, void* data, uint32_t bytes, DmaResult fate, uint32_t vi_id) {
  if (fate != DmaResult::kOk) {
    nic_.faults->read_failed(fate, vi_id, host_address);
    return fate;
  }
  return dma(tlm::TLM_READ_COMMAND, host_address, data, bytes);
}

void PcieLink::host_write(uint64_t address, uint64_t value, uint64_t width_bytes, uint64_t) {
  nic_.bar_target->write(address, value, static_cast<unsigned>(width_bytes));
}

void PcieLink::plan_burst(uint64_t arrival_ps, uint64_t address, const unsigned char* data, uint32_t bytes) {
  if (free_bursts_.empty()) {
    free_bursts_.push_back(bursts_.size());
    bursts_.emplace_back();
  }
  const size_t burst_idx = free_bursts_.back();
  free_bursts_.pop_back();
  bursts_[burst_idx].assign(data, data + bytes);
  nic_.agenda->at<&PcieLink::host_burst>(arrival_ps, this, address, burst_idx);
}

void PcieLink::host_burst(uint64_t address, uint64_t burst_idx, uint64_t, uint64_t) {
  bursts_[burst_idx].swap(landing_burst_);
  free_bursts_.push_back(static_cast<size_t>(burst_idx));  // at once: what is written may reset the function
  const std::vector<uint8_t>& data = landing_burst_;
  if (in_pio_page(address)) {
    nic_.bar_target->write_pio(address, data.data(), static_cast<uint32_t>(data.size()));
  } else {
    for (uint32_t position = 0; position < data.size();) {
      const uint32_t width = word_bytes(static_cast<uint32_t>(data.size()) - position);
      uint64_t value = 0;
      std::memcpy(&value, data.data() + position, width);
      nic_.bar_target->write(address + position, value, width);
      position += width;
    }
  }
}

void PcieLink::b_transport(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
  const uint32_t bytes = payload.get_data_length();
  const uint64_t offset = payload.get_address() % kBurstBytesMax;
  if (bytes == 0 || offset + bytes > kBurstBytesMax || payload.get_byte_enable_ptr() != nullptr) {
    payload.set_response_status(tlm::TLM_BURST_ERROR_RESPONSE);
    return;
  }
  const uint64_t start = Agenda::now_ps() + delay.value();
  unsigned char* data = payload.get_data_ptr();
  if (payload.is_write() && nic_.faults->removed()) {
    payload.set_response_status(tlm::TLM_OK_RESPONSE);  // posted into nothing
    return;
  }
  if (payload.is_write()) {
    const uint64_t arrival = timeline_.host_request(start, bytes);
    if (bytes == 4 || bytes == 8) {
      uint64_t value = 0;
      std::memcpy(&value, data, bytes);
      nic_.agenda->at<&PcieLink::host_write>(arrival, this, payload.get_address(), value, bytes);
    } else {
      plan_burst(arrival, payload.get_address(), data, bytes);
    }
  } else if (payload.is_read()) {
    const uint64_t arrival = timeline_.host_request(start, 0);
    sc_core::wait(sc_core::sc_time::from_value(arrival - Agenda::now_ps()));
    delay = sc_core::SC_ZERO_TIME;
    for (uint32_t position = 0; position < bytes;) {
      const uint32_t width = word_bytes(bytes - position);
      const uint64_t value =
          nic_.faults->removed() ? ~0ull : nic_.bar_target->read(payload.get_address() + position, width);
      std::memcpy(data + position, &value, width);
      position += width;
    }
    const uint64_t answer = timeline_.host_completion(Agenda::now_ps(), bytes);
    sc_core::wait(sc_core::sc_time::from_value(answer - Agenda::now_ps()));
  }
  payload.set_response_status(tlm::TLM_OK_RESPONSE);
}

tlm::tlm_sync_enum PcieLink::nb_transport_fw(tlm::tlm_generic_payload& payload, tlm::tlm_phase&, sc_core::sc_time&) {
  payload.set_response_status(tlm::TLM_COMMAND_ERROR_RESPONSE);  // the sockets are loosely timed: b_transport only
  return tlm::TLM_COMPLETED;
}

// Debug access: no time passes. Reads only; a debug write moves nothing.
unsigned int PcieLink::transport_dbg(tlm::tlm_generic_payload& payload) {
  const uint32_t bytes = payload.get_data_length();
  if (!payload.is_read() || (bytes != 4 && bytes != 8)) return 0;
  const uint64_t value = nic_.faults->removed() ? ~0ull : nic_.bar_target->peek(payload.get_address(), bytes);
  std::memcpy(payload.get_data_ptr(), &value, bytes);
  return bytes;
}

}  // namespace postern::hw_model
