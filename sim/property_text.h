// Properties as people write them: values from text, the nearest names to a mistyped one, and the tables that
// `postern properties` prints. No SystemC.
#pragma once

#include <string>
#include <vector>

#include "driver/result.h"
#include "sim/nic_property.h"
#include "sim/topology.h"

namespace postern::sim {

// The value that a setting means for the property: its number, or the number that its word stands for (true, false, on
// and off for a flag, a label for an enumeration). An error says what the property expects.
[[nodiscard]] Result<double> property_value(const Property& property, const PropertySetting& setting);

// "no property "x"; the nearest are a, b and c": at most three names, nearest first.
[[nodiscard]] std::string unknown_property_text(const std::string& name, const std::vector<Property>& properties);

// A property's value with its label if it has one, without its unit.
[[nodiscard]] std::string property_value_text(const Property& property);

// Those properties whose name, meaning or source contains filter (empty: all), sorted by name.
[[nodiscard]] std::vector<Property> filter_properties(std::vector<Property> properties, const std::string& filter);
[[nodiscard]] std::string properties_table(const std::vector<Property>& properties);
[[nodiscard]] std::string properties_json(const std::vector<Property>& properties);

}  // namespace postern::sim
