// A tunable of a NIC as it crosses seam 2 (sim/nic_device.h): its name, type, unit, meaning, bounds and the source of
// its default, and the check of a new value. No SystemC, so that topologies and the command line can use it.
#pragma once

#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

namespace postern::sim {

// What values a property takes. All are held as a double.
enum class PropertyType {
  kFromUnit,     // on registration only: see property_type_of()
  kFlag,         // 0 or 1; in text also false, true, off, on
  kInteger,      // whole numbers
  kNumber,       // any number
  kTime,         // a time in the property's unit; fractions are welcome
  kSize,         // whole bytes
  kEnumeration,  // a position in labels; in text the label
};

struct Property {
  std::string name;  // e.g. "event_queue.holdoff_ns"
  std::string unit;
  std::string doc;
  std::string source;  // where the default comes from: measured, published, assumed
  double value = 0;
  double minimum = 0;  // bounds of value, both ends included
  double maximum = 1e18;
  PropertyType type = PropertyType::kFromUnit;
  std::vector<double> choices{};      // not empty: the only values
  std::vector<std::string> labels{};  // kEnumeration: the names of the values 0, 1, ...
};

// The outcome of setting a property: true, or false with an error text that says what was expected and what came.
struct [[nodiscard]] PropertyResult {
  std::string error;
  explicit operator bool() const { return error.empty(); }
};

// The type that a property registered with kFromUnit has: the unit "flag" makes a flag, units of time a time, "bytes" a
// size, units that count something (reads, packets) an integer. Shares, rates and values of at most 1 are numbers.
inline PropertyType property_type_of(const Property& property) {
  if (property.type != PropertyType::kFromUnit) return property.type;
  const auto is_one_of = [&](std::initializer_list<const char*> units) {
    for (const char* unit : units) {
      if (property.unit == unit) return true;
    }
    return false;
  };
  if (property.unit == "flag") return PropertyType::kFlag;
  if (is_one_of({"ps", "ns", "us", "ms", "s"})) return PropertyType::kTime;
  if (property.unit == "bytes") return PropertyType::kSize;
  if (property.maximum <= 1 || is_one_of({"", "probability", "ratio", "share", "%", "ppm", "ppb", "Gb/s", "Mb/s"})) {
    return PropertyType::kNumber;
  }
  return PropertyType::kInteger;
}

inline const char* property_type_name(PropertyType type) {
  constexpr const char* kNames[] = {"from unit", "flag", "integer", "number", "time", "size", "enumeration"};
  return kNames[static_cast<size_t>(type)];
}

// A value as a person writes it: no exponent and no trailing zeros up to 15 digits.
inline std::string property_number_text(double value) {
  char text[40];
  const bool whole = std::floor(value) == value && std::fabs(value) < 1e15;
  std::snprintf(text, sizeof text, whole ? "%.0f" : "%.10g", value);
  return text;
}

// What the property takes, for error messages and tables: "0 or 1", "1, 2, 4", "constant, uniform", "0 to 1000000".
inline std::string property_range_text(const Property& property) {
  if (property_type_of(property) == PropertyType::kFlag) return "0 or 1";
  std::string text;
  for (const std::string& label : property.labels) text += (text.empty() ? "" : ", ") + label;
  if (!text.empty()) return text;
  for (const double choice : property.choices) text += (text.empty() ? "" : ", ") + property_number_text(choice);
  if (!text.empty()) return text;
  return property_number_text(property.minimum) + " to " + property_number_text(property.maximum);
}

// Whether the property takes the value: its type, bounds and choices.
inline PropertyResult check_property_value(const Property& property, double value) {
  const PropertyType type = property_type_of(property);
  const bool whole = type != PropertyType::kNumber && type != PropertyType::kTime;
  bool taken = value >= property.minimum && value <= property.maximum;  // false for NaN
  if (whole && std::floor(value) != value) taken = false;
  if (type == PropertyType::kFlag && value != 0 && value != 1) taken = false;
  if (type == PropertyType::kEnumeration && !(value < static_cast<double>(property.labels.size()))) taken = false;
  if (!property.choices.empty()) {
    bool found = false;
    for (const double choice : property.choices) found = found || choice == value;
    taken = taken && found;
  }
  if (taken) return {};
  const std::string unit = property.unit.empty() || type == PropertyType::kFlag ? "" : " " + property.unit;
  const char* kind = type == PropertyType::kFlag || type == PropertyType::kEnumeration || !property.choices.empty()
                         ? "one of "
                         : (whole ? "a whole number, " : "a number, ");
  return {"property \"" + property.name + "\" expects " + kind + property_range_text(property) + unit + "; found " +
          property_number_text(value)};
}

}  // namespace postern::sim
