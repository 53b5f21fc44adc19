// Lookup and bounds of the tunables. See properties.h.
#include "hw_model/properties.h"

#include <cassert>

namespace postern::hw_model {

const double& PropertySet::add(sim::Property property) {
  property.type = sim::property_type_of(property);
  assert(sim::check_property_value(property, property.value));
  properties_.push_back(std::move(property));
  return properties_.back().value;
}

sim::PropertyResult PropertySet::set(const std::string& name, double value) {
  for (sim::Property& property : properties_) {
    if (property.name != name) continue;
    sim::PropertyResult result = sim::check_property_value(property, value);
    if (!result) return result;
    property.value = value;
    if (changed_) changed_();
    return {};
  }
  return {"no property \"" + name + "\""};
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
