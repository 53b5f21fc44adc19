// The PCIe link between host and NIC: what each transfer costs in each direction, and the TLM-2.0 ends of it (BAR
// target, DMA initiator). Hides TLP splitting, link occupancy, latency and the reused payload objects. Packet walk:
// doorbell writes come in here; descriptor and payload reads, payload, event and MSI-X writes go out here.
// The arithmetic is in pcie_timeline.
#pragma once

#include <cstdint>
#include <systemc>
#include <tlm>
#include <vector>

#include "contract/gen/pst_contract.h"
#include "hw_model/dma_result.h"
#include "hw_model/nic_blocks.h"
#include "hw_model/pcie_properties.h"
#include "hw_model/pcie_timeline.h"
#include "sim/injected_fault.h"
#include "sim/nic_device.h"

namespace postern::hw_model {

// A read that has been posted: when it is over, and how it will end if not well.
struct ReadPlan {
  uint64_t landing_ps = 0;
  DmaResult fate = DmaResult::kOk;
};

// Parts of an address of sim::bar_address().
constexpr uint64_t bar_offset(uint64_t address) { return address & ((1ull << sim::kBarShift) - 1); }
constexpr bool in_pio_page(uint64_t address) {
  return address >> sim::kBarShift == PST_BAR_VI && address % PST_VI_WINDOW_STRIDE >= PST_VI_PIO_PAGE_OFFSET;
}

class PcieLink : public tlm::tlm_fw_transport_if<>, public tlm::tlm_bw_transport_if<> {
 public:
  PcieLink(NicBlocks& nic, tlm::tlm_initiator_socket<64>& dma_socket);

  void configure() { timeline_.configure(properties_.parameters()); }
  // Everything in flight is forgotten.
  void reset();

  // Plans a DMA write or read; the caller moves the bytes with memory_write/memory_read at the time returned. Reads may
  // return in another order than they were posted in. A relaxed write (payload) may become visible before earlier
  // writes if the link allows it; any other write (events, interrupts) is visible after all earlier ones (R3).
  uint64_t post_write(uint64_t earliest_ps, uint64_t address, uint32_t bytes, bool relaxed = false) {
    return timeline_.write(earliest_ps, address, bytes, relaxed);
  }
  // vi_id: whose read it is (an injected fault may be for one VI); kNoVi for the admin queue.
  ReadPlan post_read(uint64_t earliest_ps, uint64_t address, uint32_t bytes, uint32_t vi_id = kNoVi);
  [[nodiscard]] uint64_t quiesce_ps() const { return timeline_.quiesce_ps(); }

  // Moves bytes now. A read whose plan has a fate moves nothing and ends as planned.
  [[nodiscard]] DmaResult memory_write(uint64_t host_address, const void* data, uint32_t bytes, uint32_t vi_id = kNoVi);
  [[nodiscard]] DmaResult memory_read(uint64_t host_address, void* data, uint32_t bytes,
                                      DmaResult fate = DmaResult::kOk, uint32_t vi_id = kNoVi);

  // pcie.*: what the link was busy with, and what it lacked, since reset.
  void append_counters(std::vector<sim::Counter>& counters) const;

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
  void host_burst(uint64_t address, uint64_t burst_idx, uint64_t, uint64_t);
  void plan_burst(uint64_t arrival_ps, uint64_t address, const unsigned char* data, uint32_t bytes);

  NicBlocks& nic_;
  tlm::tlm_initiator_socket<64>& dma_socket_;
  tlm::tlm_generic_payload dma_payload_;
  const PcieProperties properties_;
  PcieTimeline timeline_;
  std::vector<std::vector<uint8_t>> bursts_;  // host writes of more than a register, on their way
  std::vector<size_t> free_bursts_;
  std::vector<uint8_t> landing_burst_;
};

}  // namespace postern::hw_model
