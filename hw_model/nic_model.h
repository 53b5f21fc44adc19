// The SystemC model of the NIC: wires the blocks of NicStorage to the sockets and ports of sim::NicDevice. Nothing
// else.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <systemc>
#include <vector>

#include "sim/nic_device.h"

namespace postern::hw_model {

class NicStorage;

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
  void run_agenda();

  std::unique_ptr<NicStorage> blocks_;
};

}  // namespace postern::hw_model
