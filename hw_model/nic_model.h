// The SystemC model of the NIC: owns the blocks and wires them to the sockets and ports of sim::NicDevice. Nothing
// else.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <systemc>
#include <vector>

#include "hw_model/nic_blocks.h"
#include "sim/nic_device.h"

namespace postern::hw_model {

class NicModel : public sim::NicDevice {
 public:
  SC_HAS_PROCESS(NicModel);
  NicModel(const sc_core::sc_module_name& name, const std::array<uint8_t, 6>& mac_address);
  ~NicModel() override;

  sim::PropertyResult set_property(const std::string& name, double value) override;
  [[nodiscard]] std::vector<sim::Property> properties() const override;
  [[nodiscard]] std::vector<sim::Counter> counters() const override;
  void function_reset() override;
  void set_stage_observer(sim::StageObserver* observer) override;
  void set_fault_observer(sim::FaultObserver* observer) override;

 private:
  struct Owned;

  void run_agenda();
  void configure();
  void become_ready(uint64_t generation, uint64_t, uint64_t, uint64_t);

  NicBlocks nic_;
  std::unique_ptr<Owned> owned_;
};

}  // namespace postern::hw_model
