// `postern up` and `postern down`.
#include <fmt/format.h>

#include <cstdio>

#include "sim/cli_verbs.h"

namespace postern::sim {

int cli_fail(const Error& error) {
  fmt::print(stderr, "postern: {}\n", error.message);
  return 1;
}

namespace {

void print_ready(const TestbedState& state, bool foreground) {
  for (const TestbedHost& host : state.hosts) fmt::print("host {}  {}\n", host.name, host.address);
  for (const std::string& name : state.namespaces)
    fmt::print("network namespace {} (ip netns exec {} ...)\n", name, name);
  fmt::print("up; try: postern exec {} -- PROGRAM ...{}\n", state.hosts.empty() ? "HOST" : state.hosts.front().name,
             foreground ? "; Ctrl-C ends it" : "");
  std::fflush(stdout);
}

}  // namespace

int cli_up(const TestbedOptions& options) {
  TestbedOptions announced = options;
  announced.on_ready = [&options](const TestbedState& state) { print_ready(state, options.foreground); };
  if (Status status = testbed_up(announced); !status) return cli_fail(status.error());
  return 0;
}

int cli_down(const std::string& run_dir) {
  Result<std::string> result = testbed_down(run_dir);
  if (!result) return cli_fail(result.error());
  fmt::print("{}\n", *result);
  return 0;
}

}  // namespace postern::sim
