// A NIC with a boundary monitor around it: the tap, the monitor and what the monitor asks the host and the device for.
// Include only from C++17 translation units.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "sim/boundary_tap.h"
#include "sim/monitor/boundary_monitor.h"

namespace postern::sim {

// The monitor's default bounds, or wider ones for a device whose link to the host is slower than its wire, so that
// events and interrupts may wait behind a full receive buffer. Of properties that a device does not have, the defaults
// count.
[[nodiscard]] MonitorBounds monitor_bounds_for(const std::vector<Property>& properties);

class MonitoredNic {
 public:
  // tap_name: of the SystemC module. inner is bound to the tap and must outlive this object.
  MonitoredNic(const sc_core::sc_module_name& tap_name, NicDevice& inner, const std::array<uint8_t, 6>& mac,
               const std::string& report_name);

  // What the host binds to.
  [[nodiscard]] BoundaryTap& tap() { return tap_; }
  [[nodiscard]] const BoundaryMonitor& monitor() const { return monitor_; }
  void set_violation_listener(ViolationListener listener) { monitor_.set_violation_listener(std::move(listener)); }
  // The run is over: what was due and is missing is reported. Where the environment names a folder in
  // POSTERN_COVERAGE_DIR, the coverage is written there as a file of its own, for tools/contract_coverage.py.
  void finish();

 private:
  // Asks the device for its properties when all have been set.
  class Tap : public BoundaryTap {
   public:
    Tap(const sc_core::sc_module_name& name, NicDevice& inner, BoundaryMonitor& monitor)
        : BoundaryTap(name, inner), monitor_(monitor) {}

   private:
    void start_of_simulation() override { monitor_.set_bounds(monitor_bounds_for(properties())); }
    BoundaryMonitor& monitor_;
  };

  BoundaryMonitor monitor_;
  Tap tap_;
  bool finished_ = false;
};

}  // namespace postern::sim
