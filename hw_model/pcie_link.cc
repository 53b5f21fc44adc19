// Link arithmetic and TLM ends. See pcie_link.h.
#include "hw_model/pcie_link.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "contract/gen/pst_contract.h"
#include "hw_model/agenda.h"
#include "hw_model/doorbell.h"
#include "hw_model/faults.h"
#include "hw_model/function_registers.h"
#include "hw_model/msix.h"
#include "hw_model/port_statistics.h"
#include "sim/nic_device.h"

namespace postern::hw_model {

namespace {

constexpr uint64_t kPage = 4096;  // no memory request crosses a 4 KiB boundary (PCIe Base Specification, 2.2.7)

// Interval in byte times between acknowledgements or flow control updates, as the PCIe Base Specification recommends
// (tables "Ack limit" and "FC update"): (payload + TLP overhead) * factor / width + internal delay.
uint32_t dllp_interval_bytes(unsigned generation, unsigned lanes, uint32_t mps_bytes) {
  constexpr double kTlpOverheadBytes = 28;
  double factor = 1.0;
  if (lanes >= 16) {
    factor = mps_bytes <= 256 ? 3.0 : 2.0;
  } else if (lanes >= 8) {
    factor = mps_bytes <= 256 ? 2.5 : 1.0;
  } else {
    factor = mps_bytes <= 256 ? 1.4 : 1.0;
  }
  const double internal_delay = generation == 1 ? 19 : generation == 2 ? 70 : 115;
  return static_cast<uint32_t>((mps_bytes + kTlpOverheadBytes) * factor / lanes + internal_delay);
}

}  // namespace

double pcie_tlp_rate_gbps(unsigned generation, unsigned lanes, uint32_t mps_bytes) {
  constexpr double kTransferRateGtps[] = {2.5, 5, 8, 16, 32};
  constexpr double kDllpBytes = 8;             // 2 framing, 6 data link
  constexpr double kSkipShare = 4.0 / 1538.0;  // SKP ordered set every 1538 symbols
  const double encoding = generation <= 2 ? 8.0 / 10.0 : 128.0 / 130.0;
  const double raw = kTransferRateGtps[generation - 1] * encoding * lanes;
  const double dllp_share = kDllpBytes / dllp_interval_bytes(generation, lanes, mps_bytes);
  return raw * (1.0 - 2 * dllp_share - kSkipShare);  // one acknowledgement and one flow control update per interval
}

void PcieTimeline::configure(const PcieParameters& parameters) {
  parameters_ = parameters;
  const double rate_gbps = pcie_tlp_rate_gbps(parameters.generation, parameters.lanes, parameters.mps_bytes);
  ps_per_byte_q20_ = static_cast<uint64_t>(8000.0 / rate_gbps * (1 << 20) + 0.5);
  tag_free_ps_.assign(parameters.tags, 0);
  next_tag_ = 0;
}

// The link itself goes on: only the planned landings are forgotten.
void PcieTimeline::reset() {
  std::fill(tag_free_ps_.begin(), tag_free_ps_.end(), 0);
  upstream_busy_ps_ = completion_busy_ps_ = host_busy_ps_ = host_debt_ps_ = last_landing_ps_ = lost_until_ps_ = 0;
}

uint64_t PcieTimeline::upstream(uint64_t earliest_ps, uint64_t bytes) {
  upstream_busy_ps_ = std::max(upstream_busy_ps_, earliest_ps) + duration_ps(bytes);
  return upstream_busy_ps_;
}

uint64_t PcieTimeline::landed(uint64_t time_ps) {
  last_landing_ps_ = std::max(last_landing_ps_, time_ps);
  return time_ps;
}

uint64_t PcieTimeline::write(uint64_t earliest_ps, uint64_t address, uint32_t bytes) {
  uint64_t tlps = 0;
  uint64_t position = address;
  for (uint32_t left = bytes; left > 0; ++tlps) {
    const uint64_t to_page_end = kPage - position % kPage;
    const uint32_t chunk = static_cast<uint32_t>(std::min<uint64_t>({left, parameters_.mps_bytes, to_page_end}));
    position += chunk;
    left -= chunk;
  }
  const uint64_t sent = upstream(earliest_ps, bytes + tlps * kRequestHeaderBytes);
  return landed(sent + parameters_.propagation_ps + parameters_.write_commit_ps);
}

uint64_t PcieTimeline::read_request(uint64_t earliest_ps, uint64_t address, uint32_t bytes) {
  uint64_t& tag = take_tag(earliest_ps);
  const uint64_t sent = upstream(std::max(earliest_ps, tag), kRequestHeaderBytes);
  const uint64_t ready = sent + parameters_.propagation_ps + parameters_.read_latency_ps;
  // A completion ends at a multiple of RCB, except the last one.
  const uint32_t size = parameters_.split_at_rcb ? parameters_.rcb_bytes : parameters_.mps_bytes;
  const uint32_t first = size - static_cast<uint32_t>(address % parameters_.rcb_bytes);
  const uint64_t completions = bytes <= first ? 1 : 1 + (bytes - first + size - 1) / size;
  completion_busy_ps_ =
      std::max(completion_busy_ps_ + host_debt_ps_, ready) + duration_ps(bytes + completions * kCompletionHeaderBytes);
  host_debt_ps_ = 0;
  tag = completion_busy_ps_ + parameters_.propagation_ps;
  return tag;
}

uint64_t PcieTimeline::read(uint64_t earliest_ps, uint64_t address, uint32_t bytes) {
  uint64_t done = earliest_ps;
  while (bytes > 0) {
    const uint64_t to_page_end = kPage - address % kPage;
    const uint32_t chunk = static_cast<uint32_t>(std::min<uint64_t>({bytes, parameters_.mrrs_bytes, to_page_end}));
    done = read_request(earliest_ps, address, chunk);
    address += chunk;
    bytes -= chunk;
  }
  return landed(done);
}

uint64_t PcieTimeline::lost_read(uint64_t earliest_ps, uint64_t address, uint32_t bytes, uint64_t timeout_ps) {
  uint64_t done = earliest_ps;
  while (bytes > 0) {
    const uint64_t to_page_end = kPage - address % kPage;
    const uint32_t chunk = static_cast<uint32_t>(std::min<uint64_t>({bytes, parameters_.mrrs_bytes, to_page_end}));
    uint64_t& tag = take_tag(earliest_ps);
    tag = done = upstream(std::max(earliest_ps, tag), kRequestHeaderBytes) + timeout_ps;
    address += chunk;
    bytes -= chunk;
  }
  lost_until_ps_ = std::max(lost_until_ps_, done);
  return landed(done);
}

// Tags come free in the order in which they are taken, unless one of them waits for a completion that never comes.
uint64_t& PcieTimeline::take_tag(uint64_t earliest_ps) {
  if (lost_until_ps_ > earliest_ps) return *std::min_element(tag_free_ps_.begin(), tag_free_ps_.end());
  uint64_t& tag = tag_free_ps_[next_tag_];
  if (++next_tag_ == tag_free_ps_.size()) next_tag_ = 0;
  return tag;
}

uint64_t PcieTimeline::host_request(uint64_t earliest_ps, uint32_t payload_bytes) {
  const uint64_t duration = duration_ps(kRequestHeaderBytes + payload_bytes);
  host_busy_ps_ = std::max(host_busy_ps_, earliest_ps) + duration;
  host_debt_ps_ += duration;
  return host_busy_ps_ + parameters_.propagation_ps;
}

uint64_t PcieTimeline::host_completion(uint64_t earliest_ps, uint32_t payload_bytes) {
  return upstream(earliest_ps, kCompletionHeaderBytes + payload_bytes) + parameters_.propagation_ps;
}

PcieLink::PcieLink(NicBlocks& nic, tlm::tlm_initiator_socket<64>& dma_socket)
    : nic_(nic),
      dma_socket_(dma_socket),
      generation_(nic.properties->add(
          {"pcie_link.generation", "", "PCIe generation.", "assumed: a 10-100 Gb/s NIC of 2018", 3, 1, 5})),
      lanes_(nic.properties->add(
          {"pcie_link.lanes", "lanes", "Link width: 1, 2, 4, 8 or 16.", "assumed: as above", 8, 1, 16})),
      mps_bytes_(nic.properties->add({"pcie_link.mps_bytes", "bytes", "Maximum payload size, a power of two.",
                                      "published: pcie-bench, common host setting", 256, 128, 4096})),
      mrrs_bytes_(nic.properties->add({"pcie_link.mrrs_bytes", "bytes", "Maximum read request size, a power of two.",
                                       "published: pcie-bench, common host setting", 512, 128, 4096})),
      rcb_bytes_(nic.properties->add({"pcie_link.rcb_bytes", "bytes", "Read completion boundary, 64 or 128.",
                                      "published: PCIe Base Specification 2.3.1.1", 64, 64, 128})),
      split_at_rcb_(
          nic.properties->add({"pcie_link.split_at_rcb", "flag", "1: completions of RCB size; 0: of MPS size.",
                               "published: pcie-bench saw both", 0, 0, 1})),
      tags_(nic.properties->add({"pcie_link.tags", "reads", "DMA reads outstanding at once.",
                                 "published: PCIe Base Specification, 8-bit tags", 256, 1, 1024})),
      propagation_ns_(
          nic.properties->add({"pcie_link.propagation_ns", "ns", "One way through both link ends and the wire.",
                               "assumed: so that a 64-byte DMA read takes about 550 ns, the median that pcie-bench "
                               "reports for a Haswell Xeon",
                               140, 0, 1e6})),
      root_complex_ns_(
          nic.properties->add({"pcie_link.root_complex_ns", "ns", "Through the root complex, each request.",
                               "assumed: see propagation_ns", 100, 0, 1e6})),
      memory_read_ns_(
          nic.properties->add({"pcie_link.memory_read_ns", "ns", "Memory or last-level cache read by the root complex.",
                               "assumed: see propagation_ns", 150, 0, 1e6})),
      memory_write_ns_(nic.properties->add({"pcie_link.memory_write_ns", "ns",
                                            "From root complex until a write is visible to the CPU.",
                                            "assumed: write into the last-level cache", 50, 0, 1e6})) {
  configure();
}

void PcieLink::configure() {
  PcieParameters p;
  p.generation = static_cast<unsigned>(generation_);
  p.lanes = static_cast<unsigned>(lanes_);
  p.mps_bytes = static_cast<uint32_t>(mps_bytes_);
  p.mrrs_bytes = static_cast<uint32_t>(mrrs_bytes_);
  p.rcb_bytes = static_cast<uint32_t>(rcb_bytes_);
  p.split_at_rcb = split_at_rcb_ != 0;
  p.tags = static_cast<uint32_t>(tags_);
  p.propagation_ps = to_ps(propagation_ns_);
  p.write_commit_ps = to_ps(root_complex_ns_ + memory_write_ns_);
  p.read_latency_ps = to_ps(root_complex_ns_ + memory_read_ns_);
  timeline_.configure(p);
}

ReadPlan PcieLink::post_read(uint64_t earliest_ps, uint64_t address, uint32_t bytes, uint32_t vi_id) {
  const DmaResult fate = nic_.faults != nullptr ? nic_.faults->read_fate(vi_id) : DmaResult::kOk;
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
  if (nic_.faults != nullptr && nic_.faults->write_unanswered(vi_id, host_address)) return DmaResult::kUnmapped;
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
  write_bar(address, value, static_cast<unsigned>(width_bytes));
}

void PcieLink::write_bar(uint64_t address, uint64_t value, unsigned width_bytes) {
  const uint64_t offset = address & ((1ull << sim::kBarShift) - 1);
  switch (address >> sim::kBarShift) {
    case PST_BAR_FUNCTION:
      return nic_.function_registers->write(offset, width_bytes, value);
    case PST_BAR_VI:
      return nic_.doorbell->write(offset, width_bytes, value);
    case PST_BAR_MSIX:
      return nic_.msix->write(offset, width_bytes, value);
    default:
      ++nic_.statistics->bad_accesses;
  }
}

uint64_t PcieLink::read_bar(uint64_t address, unsigned width_bytes) {
  const uint64_t offset = address & ((1ull << sim::kBarShift) - 1);
  switch (address >> sim::kBarShift) {
    case PST_BAR_FUNCTION:
      return nic_.function_registers->read(offset, width_bytes);
    case PST_BAR_VI:
      return nic_.doorbell->read(offset, width_bytes);
    case PST_BAR_MSIX:
      return nic_.msix->read(offset, width_bytes);
    default:
      ++nic_.statistics->bad_accesses;
      return 0;
  }
}

void PcieLink::b_transport(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
  const uint32_t bytes = payload.get_data_length();
  if (bytes == 0 || bytes > kPage || payload.get_byte_enable_ptr() != nullptr) {
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
    for (uint32_t position = 0; position < bytes;) {  // a register, or a burst into the PIO page in words
      const uint32_t width = bytes - position >= 8 ? 8 : bytes - position >= 4 ? 4 : 1;
      uint64_t value = 0;
      std::memcpy(&value, data + position, width);
      nic_.agenda->at<&PcieLink::host_write>(arrival, this, payload.get_address() + position, value, width);
      position += width;
    }
  } else if (payload.is_read()) {
    const uint64_t arrival = timeline_.host_request(start, 0);
    sc_core::wait(sc_core::sc_time::from_value(arrival - Agenda::now_ps()));
    delay = sc_core::SC_ZERO_TIME;
    for (uint32_t position = 0; position < bytes;) {
      const uint32_t width = bytes - position >= 8 ? 8 : bytes - position >= 4 ? 4 : 1;
      const uint64_t value = nic_.faults->removed() ? ~0ull : read_bar(payload.get_address() + position, width);
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
  const uint64_t value = nic_.faults->removed() ? ~0ull : read_bar(payload.get_address(), bytes);
  std::memcpy(payload.get_data_ptr(), &value, bytes);
  return bytes;
}

}  // namespace postern::hw_model
