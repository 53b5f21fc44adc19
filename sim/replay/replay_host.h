// The host of a replayed NIC: memory as recorded, nobody behind it; collects what the device does. Include only from
// C++17 translation units.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <systemc>
#include <tlm>
#include <unordered_map>

#include "sim/boundary_tap.h"
#include "sim/monitor/monitored_nic.h"
#include "sim/nic_device.h"
#include "sim/replay/boundary_recorder.h"
#include "sim/topology.h"

namespace postern::sim {

class ReplayHost : public sc_core::sc_module,
                   private MsixIf,
                   private EthernetIf,
                   private tlm::tlm_fw_transport_if<>,
                   private tlm::tlm_bw_transport_if<> {
 public:
  // A replayed NIC, and who it is for a monitor.
  struct Guest {
    std::unique_ptr<NicDevice> nic;
    std::string host;
    MacAddress mac{};
    bool monitor = false;  // a boundary monitor around it
  };
  // Binds everything of the NIC. sink gets each record of what crosses the boundary.
  ReplayHost(const sc_core::sc_module_name& name, uint32_t host_idx, Guest guest, BoundaryRecorder::Sink sink);

  NicDevice& nic() { return *nic_; }
  MonitoredNic* monitored() { return monitored_.get(); }  // null: nobody checks
  [[nodiscard]] const ContractShadow& shadow() const { return recorder_.shadow(); }
  // Carries out what the host did; call from a thread process. A BAR read goes on in a process of its own.
  void act(const TraceRecord& record);
  void get_memory(uint64_t address, uint8_t* data, size_t bytes);
  void put_memory(uint64_t address, const uint8_t* data, size_t bytes);
  // DMA to this address found nobody at least once in the recorded run: whether somebody answered, access by access.
  // Later ones end as the last of these.
  void set_outcomes(uint64_t address, std::deque<bool> reached) { outcomes_[address] = std::move(reached); }

 private:
  void raise(uint32_t) override {}
  void deliver(const FramePtr&) override {}
  void set_link(bool) override {}
  void b_transport(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) override;
  tlm::tlm_sync_enum nb_transport_fw(tlm::tlm_generic_payload& payload, tlm::tlm_phase&,
                                     sc_core::sc_time& delay) override {
    b_transport(payload, delay);
    return tlm::TLM_COMPLETED;
  }
  bool get_direct_mem_ptr(tlm::tlm_generic_payload&, tlm::tlm_dmi&) override { return false; }
  unsigned int transport_dbg(tlm::tlm_generic_payload& payload) override;
  tlm::tlm_sync_enum nb_transport_bw(tlm::tlm_generic_payload&, tlm::tlm_phase&, sc_core::sc_time&) override {
    return tlm::TLM_COMPLETED;
  }
  void invalidate_direct_mem_ptr(sc_dt::uint64, sc_dt::uint64) override {}

  [[nodiscard]] bool answers(uint64_t address);
  void write_bar(const TraceRecord& record);
  void read_bar(const TraceRecord& record);

  static constexpr uint64_t kPageBytes = 4096;
  std::unique_ptr<NicDevice> nic_;
  std::unique_ptr<MonitoredNic> monitored_;
  std::unique_ptr<BoundaryTap> own_tap_;  // without monitor
  BoundaryTap& tap_;
  BoundaryRecorder recorder_;
  tlm::tlm_target_socket<64> dma_target_;
  tlm::tlm_initiator_socket<64> bar_initiator_;
  std::unordered_map<uint64_t, std::unique_ptr<std::array<uint8_t, kPageBytes>>> pages_;
  std::unordered_map<uint64_t, std::deque<bool>> outcomes_;
};

}  // namespace postern::sim
