// Texts of property values, names and tables. See property_text.h.
#include "sim/property_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>

namespace postern::sim {
namespace {

constexpr size_t kNearestMax = 3;

// Levenshtein distance: the least number of characters to insert, delete or replace.
size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

// How far a known name is from a mistyped one. The part after the dot counts alone too: people forget the block.
size_t name_distance(const std::string& wanted, const std::string& known) {
  const size_t dot = known.find('.');
  const size_t whole = edit_distance(wanted, known);
  return dot == std::string::npos ? whole : std::min(whole, edit_distance(wanted, known.substr(dot + 1)));
}

}  // namespace

Result<double> property_value(const Property& property, const PropertySetting& setting) {
  if (setting.word.empty()) {
    const PropertyResult result = check_property_value(property, setting.value);
    return result ? Result<double>(setting.value) : Result<double>(Error{EINVAL, result.error});
  }
  if (property_type_of(property) == PropertyType::kFlag) {
    if (setting.word == "true" || setting.word == "on") return 1.0;
    if (setting.word == "false" || setting.word == "off") return 0.0;
  }
  for (size_t i = 0; i < property.labels.size(); ++i) {
    if (property.labels[i] == setting.word) return static_cast<double>(i);
  }
  const bool choice = property_type_of(property) == PropertyType::kEnumeration || !property.choices.empty();
  return Error{EINVAL, fmt::format("property \"{}\" ({}) expects {}{}; found \"{}\"", property.name,
                                   property_type_name(property_type_of(property)), choice ? "one of " : "",
                                   property_range_text(property), setting.word)};
}

std::string unknown_property_text(const std::string& name, const std::vector<Property>& properties) {
  std::vector<std::pair<size_t, std::string>> ranked;
  for (const Property& property : properties) ranked.emplace_back(name_distance(name, property.name), property.name);
  std::sort(ranked.begin(), ranked.end());
  if (ranked.size() > kNearestMax) ranked.resize(kNearestMax);
  std::string nearest;
  for (const auto& [distance, known] : ranked) nearest += (nearest.empty() ? "" : ", ") + known;
  return fmt::format("the NIC has no property \"{}\"; nearest: {} (`postern properties` lists all)", name, nearest);
}

std::string property_value_text(const Property& property) {
  const bool labelled = property.value >= 0 && property.value < static_cast<double>(property.labels.size());
  return labelled ? property.labels[static_cast<size_t>(property.value)] : property_number_text(property.value);
}

std::vector<Property> filter_properties(std::vector<Property> properties, const std::string& filter) {
  const auto misses = [&](const Property& property) {
    return property.name.find(filter) == std::string::npos && property.doc.find(filter) == std::string::npos &&
           property.source.find(filter) == std::string::npos;
  };
  properties.erase(std::remove_if(properties.begin(), properties.end(), misses), properties.end());
  std::sort(properties.begin(), properties.end(), [](const Property& a, const Property& b) { return a.name < b.name; });
  return properties;
}

std::string properties_table(const std::vector<Property>& properties) {
  const std::vector<std::string> head{"name", "type", "value", "unit", "range", "meaning", "source"};
  std::vector<std::vector<std::string>> rows{head};
  for (const Property& p : properties) {
    rows.push_back({p.name, property_type_name(property_type_of(p)), property_value_text(p), p.unit,
                    property_range_text(p), p.doc, p.source});
  }
  std::vector<size_t> widths(head.size(), 0);
  for (const auto& row : rows) {
    for (size_t i = 0; i + 1 < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    for (size_t i = 0; i + 1 < row.size(); ++i) text += fmt::format("{:<{}}  ", row[i], widths[i]);
    text += row.back() + "\n";
  }
  return text;
}

std::string properties_json(const std::vector<Property>& properties) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const Property& p : properties) {
    nlohmann::ordered_json entry{{"name", p.name},       {"type", property_type_name(property_type_of(p))},
                                 {"value", p.value},     {"unit", p.unit},
                                 {"minimum", p.minimum}, {"maximum", p.maximum},
                                 {"doc", p.doc},         {"source", p.source}};
    if (!p.choices.empty()) entry["choices"] = p.choices;
    if (!p.labels.empty()) entry["labels"] = p.labels;
    json.push_back(std::move(entry));
  }
  return json.dump(2) + "\n";
}

}  // namespace postern::sim
