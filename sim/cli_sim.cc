// `postern sim --list` and `--list-properties`. The run itself is run_scenario() of sim/scenario.h.
#include <fmt/format.h>

#include "sim/cli_verbs.h"
#include "sim/scenario.h"
#include "sim/simulation.h"

namespace postern::sim {

int cli_list_scenarios() {
  for (const BuiltinScenario& scenario : builtin_scenarios()) {
    fmt::print("{:<16} {}\n", scenario.name, scenario.description);
  }
  return 0;
}

int cli_list_properties() {
  Simulation::Options options;
  options.topology = default_topology();
  Result<std::unique_ptr<Simulation>> simulation = Simulation::create(options);
  if (!simulation) return cli_fail(simulation.error());
  for (const PropertyInfo& property : (*simulation)->nic_properties(0)) {
    fmt::print("{} = {} {}\n    {}\n    source: {}\n", property.name, property.value, property.unit, property.doc,
               property.source);
  }
  return 0;
}

}  // namespace postern::sim
