// The PCIe link between host and NIC: what each transfer costs in each direction, and the TLM-2.0 ends of it (BAR
// target, DMA initiator). Hides TLP splitting, link occupancy, latency and the reused payload objects. Packet walk:
// doorbell writes come in here; descriptor and payload reads, payload, event and MSI-X writes go out here.
//
// Byte costs follow the published pcie-bench model (Neugebauer et al., SIGCOMM 2018): per-TLP header, framing and data
// link bytes, splitting by MPS, MRRS and RCB, and link rate less acknowledgement, flow control and SKP overhead.
#pragma once

#include <cstdint>
#include <systemc>
#include <tlm>
#include <vector>

#include "hw_model/dma_result.h"
#include "hw_model/nic_blocks.h"
#include "hw_model/properties.h"
#include "sim/injected_fault.h"

namespace postern::hw_model {

// Arithmetic of one link; no SystemC kernel.
struct PcieParameters {
  unsigned generation = 3;
  unsigned lanes = 8;
  uint32_t mps_bytes = 256;
  uint32_t mrrs_bytes = 512;
  uint32_t rcb_bytes = 64;
  bool split_at_rcb = false;  // completions of RCB size instead of MPS size
  uint32_t tags = 256;        // reads outstanding at once
  uint64_t propagation_ps = 0;
  uint64_t write_commit_ps = 0;  // root complex to memory
  uint64_t read_latency_ps = 0;  // root complex and memory
};

// Rate in Gb/s that is left for TLPs after encoding, acknowledgements, flow control and SKP ordered sets.
double pcie_tlp_rate_gbps(unsigned generation, unsigned lanes, uint32_t mps_bytes);

// Occupancy of both directions of a link. All times are picoseconds.
//
// Upstream (device to host) is one timeline: writes, read requests, completions of host reads, MSI-X. Downstream, read
// completions have a timeline of their own and host writes another; a host write's share of the link delays the next
// completion. So a completion that is planned ahead does not hold up a doorbell that comes before it.
class PcieTimeline {
 public:
  void configure(const PcieParameters& parameters);
  void reset();

  // A posted write of bytes at address (address counts for alignment only); returns when it is visible in host memory.
  uint64_t write(uint64_t earliest_ps, uint64_t address, uint32_t bytes);
  // A read; returns when its last completion is in the device.
  uint64_t read(uint64_t earliest_ps, uint64_t address, uint32_t bytes);
  // A read that gets no completion: returns when the device gives up, timeout_ps after its last request. Its tags are
  // lost until then.
  uint64_t lost_read(uint64_t earliest_ps, uint64_t address, uint32_t bytes, uint64_t timeout_ps);
  // A host write or read request of payload_bytes; returns when it is in the device. Later calls return later times.
  uint64_t host_request(uint64_t earliest_ps, uint32_t payload_bytes);
  // The answer to a host read; returns when it is at the host.
  uint64_t host_completion(uint64_t earliest_ps, uint32_t payload_bytes);
  // No transfer that was planned so far lands after this time.
  [[nodiscard]] uint64_t quiesce_ps() const { return last_landing_ps_; }

  static constexpr uint32_t kRequestHeaderBytes = 24;  // 8 data link and framing, 4 + 12 memory request, 64-bit address
  static constexpr uint32_t kCompletionHeaderBytes = 20;  // 8 data link and framing, 4 + 8 completion

 private:
  [[nodiscard]] uint64_t duration_ps(uint64_t bytes) const { return (bytes * ps_per_byte_q20_ + (1u << 19)) >> 20; }
  uint64_t upstream(uint64_t earliest_ps, uint64_t bytes);
  uint64_t read_request(uint64_t earliest_ps, uint64_t address, uint32_t bytes);
  uint64_t landed(uint64_t time_ps);
  uint64_t& take_tag(uint64_t earliest_ps);

  PcieParameters parameters_;
  uint64_t ps_per_byte_q20_ = 0;
  uint64_t upstream_busy_ps_ = 0;
  uint64_t completion_busy_ps_ = 0;
  uint64_t host_busy_ps_ = 0;
  uint64_t host_debt_ps_ = 0;  // downstream time that host writes took and completions have not yet paid for
  uint64_t last_landing_ps_ = 0;
  uint64_t lost_until_ps_ = 0;  // a tag may wait for a completion that never comes until then
  std::vector<uint64_t> tag_free_ps_;
  size_t next_tag_ = 0;
};

// A read that has been posted: when it is over, and how it will end if not well.
struct ReadPlan {
  uint64_t landing_ps = 0;
  DmaResult fate = DmaResult::kOk;
};

class PcieLink : public tlm::tlm_fw_transport_if<>, public tlm::tlm_bw_transport_if<> {
 public:
  PcieLink(NicBlocks& nic, tlm::tlm_initiator_socket<64>& dma_socket);

  void configure();
  void reset() { timeline_.reset(); }

  // Plans a DMA write or read; the caller moves the bytes with memory_write/memory_read at the time returned.
  uint64_t post_write(uint64_t earliest_ps, uint64_t address, uint32_t bytes) {
    return timeline_.write(earliest_ps, address, bytes);
  }
  // vi_id: whose read it is (an injected fault may be for one VI); kNoVi for the admin queue.
  ReadPlan post_read(uint64_t earliest_ps, uint64_t address, uint32_t bytes, uint32_t vi_id = kNoVi);
  [[nodiscard]] uint64_t quiesce_ps() const { return timeline_.quiesce_ps(); }

  // Moves bytes now. A read whose plan has a fate moves nothing and ends as planned.
  [[nodiscard]] DmaResult memory_write(uint64_t host_address, const void* data, uint32_t bytes, uint32_t vi_id = kNoVi);
  [[nodiscard]] DmaResult memory_read(uint64_t host_address, void* data, uint32_t bytes,
                                      DmaResult fate = DmaResult::kOk, uint32_t vi_id = kNoVi);

  // BAR side.
  void b_transport(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) override;
  tlm::tlm_sync_enum nb_transport_fw(tlm::tlm_generic_payload& payload, tlm::tlm_phase& phase,
                                     sc_core::sc_time& delay) override;
  bool get_direct_mem_ptr(tlm::tlm_generic_payload&, tlm::tlm_dmi&) override { return false; }
  unsigned int transport_dbg(tlm::tlm_generic_payload& payload) override;
  // DMA side.
  tlm::tlm_sync_enum nb_transport_bw(tlm::tlm_generic_payload&, tlm::tlm_phase&, sc_core::sc_time&) override {
    return tlm::TLM_COMPLETED;
  }
  void invalidate_direct_mem_ptr(sc_dt::uint64, sc_dt::uint64) override {}

  static constexpr uint32_t kNoVi = sim::InjectedFault::kNoVi;

 private:
  DmaResult dma(tlm::tlm_command command, uint64_t host_address, void* data, uint32_t bytes);
  void host_write(uint64_t address, uint64_t value, uint64_t width_bytes, uint64_t);
  void write_bar(uint64_t address, uint64_t value, unsigned width_bytes);
  uint64_t read_bar(uint64_t address, unsigned width_bytes);

  NicBlocks& nic_;
  tlm::tlm_initiator_socket<64>& dma_socket_;
  tlm::tlm_generic_payload dma_payload_;
  PcieTimeline timeline_;
  const double& generation_;
  const double& lanes_;
  const double& mps_bytes_;
  const double& mrrs_bytes_;
  const double& rcb_bytes_;
  const double& split_at_rcb_;
  const double& tags_;
  const double& propagation_ns_;
  const double& root_complex_ns_;
  const double& memory_read_ns_;
  const double& memory_write_ns_;
};

}  // namespace postern::hw_model
