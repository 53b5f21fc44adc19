// The tunables of the NIC: each has a name, a type, a unit, a meaning, bounds and a source for its default. Blocks
// register theirs when they are built and read them again in configure(). Hides the table behind
// sim::NicDevice::set_property.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "sim/nic_device.h"

namespace postern::hw_model {

class PropertySet {
 public:
  // Registers a tunable (property.value is the default; its type follows from its unit if none is given) and returns a
  // reference to its value, stable for the set's life.
  const double& add(sim::Property property);
  // An error says what was expected: no such property, or a value that is not of its type or outside its bounds.
  sim::PropertyResult set(const std::string& name, double value);
  [[nodiscard]] double get(const std::string& name) const;  // the property must exist
  [[nodiscard]] std::vector<sim::Property> list() const;
  // Called after each successful set().
  void on_change(std::function<void()> callback) { changed_ = std::move(callback); }

 private:
  std::deque<sim::Property> properties_;
  std::function<void()> changed_;
};

// Nanoseconds, as properties hold them, to the picoseconds of simulated time.
inline uint64_t to_ps(double ns) { return static_cast<uint64_t>(ns * 1000.0 + 0.5); }

}  // namespace postern::hw_model
