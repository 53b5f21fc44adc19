// `postern properties` and `postern sim --list-properties`: the tunables of a NIC.
#include <fmt/format.h>

#include "sim/cli_verbs.h"
#include "sim/property_text.h"
#include "sim/simulation.h"

namespace postern::sim {

int cli_properties(const std::string& filter, bool as_json) {
  Simulation::Options options;
  options.topology = default_topology();
  Result<std::unique_ptr<Simulation>> simulation = Simulation::create(options);
  if (!simulation) return cli_fail(simulation.error());
  const std::vector<Property> properties = filter_properties((*simulation)->nic_properties(0), filter);
  if (properties.empty()) {
    return cli_fail(Error{ENOENT, fmt::format("no property whose name, meaning or source contains \"{}\"; `postern "
                                              "properties` lists all",
                                              filter)});
  }
  fmt::print("{}", as_json ? properties_json(properties) : properties_table(properties));
  return 0;
}

int cli_list_properties() {
  Simulation::Options options;
  options.topology = default_topology();
  Result<std::unique_ptr<Simulation>> simulation = Simulation::create(options);
  if (!simulation) return cli_fail(simulation.error());
  for (const Property& property : filter_properties((*simulation)->nic_properties(0), "")) {
    fmt::print("{} = {} {}\n    {}\n    source: {}\n", property.name, property_value_text(property), property.unit,
               property.doc, property.source);
  }
  return 0;
}

}  // namespace postern::sim
