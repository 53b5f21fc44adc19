// Lookup and bounds of the tunables. See properties.h.
#include "hw_model/properties.h"

#include <cassert>

namespace postern::hw_model {

const double& PropertySet::add(sim::Property property) {
  assert(property.value >= property.minimum && property.value <= property.maximum);
  properties_.push_back(std::move(property));
  return properties_.back().value;
}

bool PropertySet::set(const std::string& name, double value) {
  for (sim::Property& property : properties_) {
    if (property.name != name) continue;
    if (!(value >= property.minimum && value <= property.maximum)) return false;
    property.value = value;
    if (changed_) changed_();
    return true;
  }
  return false;
}

double PropertySet::get(const std::string& name) const {
  for (const sim::Property& property : properties_) {
    if (property.name == name) return property.value;
  }
  assert(false && "unknown property");
  return 0;
}

std::vector<sim::Property> PropertySet::list() const { return {properties_.begin(), properties_.end()}; }

}  // namespace postern::hw_model
