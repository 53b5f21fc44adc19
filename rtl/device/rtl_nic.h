// The NIC in RTL behind sim/nic_device.h: the Verilated pst_nic_top with its surroundings - PCIe hard block
// (host_link), PHY (wire_port) and firmware (the control path of hw_model, by way of firmware_port). Hides the clock,
// which stands still while nothing can change.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <systemc>
#include <vector>

#include "sim/nic_device.h"

namespace postern::rtl_device {

class RtlNic : public sim::NicDevice {
 public:
  SC_HAS_PROCESS(RtlNic);
  RtlNic(const sc_core::sc_module_name& name, const std::array<uint8_t, 6>& mac_address);
  ~RtlNic() override;

  sim::PropertyResult set_property(const std::string& name, double value) override;
  [[nodiscard]] std::vector<sim::Property> properties() const override;
  [[nodiscard]] std::vector<sim::Counter> counters() const override;
  void function_reset() override;
  void set_stage_observer(sim::StageObserver* observer) override;
  void set_fault_observer(sim::FaultObserver* observer) override;
  std::string record_waves(const sim::WaveRequest& request) override;

 private:
  struct Parts;

  void run_agenda();
  void tick();
  void wake();
  void cycle(uint64_t edge_ps);
  void count();
  void reset_hardware();
  void configure();
  [[nodiscard]] uint64_t next_edge_ps(uint64_t edge_ps) const;

  std::unique_ptr<Parts> parts_;
  const double* skip_idle_ = nullptr;
  sc_core::sc_event tick_event_;
  uint64_t tick_ps_ = ~0ull;   // of the notified tick
  uint64_t last_edge_ps_ = 0;  // that has been clocked
  uint64_t cycles_ = 0;
  bool records_ = false;
};

}  // namespace postern::rtl_device
