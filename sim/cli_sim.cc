// `postern sim --list`. The run itself is run_scenario() of sim/scenario.h.
#include <fmt/format.h>

#include "sim/cli_verbs.h"
#include "sim/scenario.h"

namespace postern::sim {

int cli_list_scenarios() {
  for (const BuiltinScenario& scenario : builtin_scenarios()) {
    fmt::print("{:<16} {}\n", scenario.name, scenario.description);
  }
  return 0;
}

}  // namespace postern::sim
