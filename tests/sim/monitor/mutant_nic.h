// A NIC that breaks the contract on purpose: stands between a NIC and the monitor's tap and lets a test change what
// crosses. Each hook gets an access and says whether it has dealt with it; without hooks everything passes unchanged.
// Include only from C++17 translation units.
#pragma once

#include <functional>
#include <memory>

#include "sim/nic_device.h"

namespace postern::sim::test {

struct MutantAccess {
  bool write = false;
  uint64_t address = 0;  // host address, or BAR offset
  unsigned bar = 0;
  uint8_t* data = nullptr;  // may be changed
  uint32_t bytes = 0;
};

class MutantNic : public NicDevice {
 public:
  MutantNic(const sc_core::sc_module_name& name, NicDevice& inner);
  ~MutantNic() override;

  // Before the access goes on; true: it does not. A changed address or changed bytes go on changed.
  std::function<bool(MutantAccess&)> on_dma;
  // After a DMA read has been answered: the bytes may be changed.
  std::function<void(MutantAccess&)> on_dma_answer;
  std::function<bool(MutantAccess&)> on_bar_write;
  std::function<void(MutantAccess&)> on_bar_answer;  // after a BAR read
  std::function<bool(uint32_t vector)> on_interrupt;
  std::function<bool(const FramePtr&)> on_frame_sent;
  std::function<bool(const FramePtr&)> on_frame_received;
  std::function<void(std::vector<Counter>&)> on_counters;

  // What hooks do besides: accesses of the mutant's own.
  void dma_write(uint64_t address, const void* data, uint32_t bytes);
  void dma_read(uint64_t address, void* data, uint32_t bytes);
  void raise(uint32_t vector) { msix_port->raise(vector); }
  void send_frame(const FramePtr& frame) { wire_port->deliver(frame); }
  void bar_write(unsigned bar, uint64_t offset, uint64_t value, uint32_t bytes);

  sim::PropertyResult set_property(const std::string& name, double value) override {
    return inner_.set_property(name, value);
  }
  [[nodiscard]] std::vector<Property> properties() const override { return inner_.properties(); }
  [[nodiscard]] std::vector<Counter> counters() const override;
  void function_reset() override { inner_.function_reset(); }
  void set_stage_observer(StageObserver* observer) override { inner_.set_stage_observer(observer); }
  void set_fault_observer(FaultObserver* observer) override { inner_.set_fault_observer(observer); }

 private:
  class Sides;
  NicDevice& inner_;
  tlm::tlm_initiator_socket<64> inner_bar_socket_;
  tlm::tlm_target_socket<64> inner_dma_socket_;
  std::unique_ptr<Sides> sides_;
};

}  // namespace postern::sim::test
