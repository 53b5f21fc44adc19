// A NIC with observers around it: stands between a NicDevice and its host, forwards everything unchanged at the same
// simulated time, and tells the observers. The host binds to the tap as to any NIC. A run without observers has no tap
// and pays nothing. Include only from C++17 translation units.
#pragma once

#include <memory>
#include <vector>

#include "sim/boundary_observer.h"
#include "sim/nic_device.h"

namespace postern::sim {

class BoundaryTap : public NicDevice, public HostMemoryReader {
 public:
  // Binds all sockets and ports of inner; inner must outlive this object.
  BoundaryTap(const sc_core::sc_module_name& name, NicDevice& inner);
  ~BoundaryTap() override;

  // Before the simulation starts. Observers are told in the order of their addition and must outlive this object.
  void add_observer(BoundaryObserver& observer) { observers_.push_back(&observer); }
  // Tells the observers that the run is over.
  void finish();

  // NicDevice: passed on to the inner device.
  PropertyResult set_property(const std::string& name, double value) override {
    return inner_.set_property(name, value);
  }
  [[nodiscard]] std::vector<Property> properties() const override { return inner_.properties(); }
  [[nodiscard]] std::vector<Counter> counters() const override { return inner_.counters(); }
  void function_reset() override;
  void set_stage_observer(StageObserver* observer) override { inner_.set_stage_observer(observer); }
  void set_fault_observer(FaultObserver* observer) override { next_fault_observer_ = observer; }

  bool read_host_memory(uint64_t address, void* data, uint32_t bytes) override;

 private:
  class BarSide;
  class DmaSide;
  class EventSide;
  class Egress;
  class Ingress;

  NicDevice& inner_;
  std::vector<BoundaryObserver*> observers_;
  FaultObserver* next_fault_observer_ = nullptr;
  tlm::tlm_initiator_socket<64> inner_bar_socket_;
  tlm::tlm_target_socket<64> inner_dma_socket_;
  std::unique_ptr<BarSide> bar_side_;
  std::unique_ptr<DmaSide> dma_side_;
  std::unique_ptr<EventSide> event_side_;
  std::unique_ptr<Egress> egress_;
  std::unique_ptr<Ingress> ingress_;
};

}  // namespace postern::sim
