// `postern up` and `postern down`.
#include <fmt/format.h>

#include "sim/cli_verbs.h"

namespace postern::sim {

int cli_fail(const Error& error) {
  fmt::print(stderr, "postern: {}\n", error.message);
  return 1;
}

int cli_up(const TestbedOptions& options) {
  if (Status status = testbed_up(options); !status) return cli_fail(status.error());
  if (options.foreground) return 0;
  const RunDirectory directory(options.run_dir);
  Result<TestbedState> state = testbed_state(directory);
  if (!state) return cli_fail(state.error());
  for (const TestbedHost& host : state->hosts) fmt::print("host {}  {}\n", host.name, host.address);
  for (const std::string& name : state->namespaces)
    fmt::print("network namespace {} (ip netns exec {} ...)\n", name, name);
  fmt::print("up; try: postern exec {} -- PROGRAM ...\n", state->hosts.empty() ? "HOST" : state->hosts.front().name);
  return 0;
}

int cli_down(const std::string& run_dir) {
  Result<std::string> result = testbed_down(run_dir);
  if (!result) return cli_fail(result.error());
  fmt::print("{}\n", *result);
  return 0;
}

}  // namespace postern::sim
