// A running testbed: one simulator process with all NICs and wires, and one hostd per host. Starts and ends it as a
// whole; whatever fails on the way up takes down all that was started before it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "driver/result.h"
#include "sim/testbed_state.h"

namespace postern::sim {

struct TestbedOptions {
  std::string run_dir;                // empty: the default
  std::string topology_path;          // empty: the built-in topology
  std::vector<std::string> settings;  // "property=value" or "host:property=value"
  std::vector<std::string> devices;   // "rtl" or "host=rtl"
  std::string pcap_dir;               // capture at every port into this directory; empty: what the topology says
  std::string record_dir;             // record the boundary of every NIC into this directory; empty: not
  bool monitor = false;               // boundary monitors in the simulator
  bool foreground = false;            // stay until a signal comes or a process of the testbed ends, then end it
  std::function<void(const TestbedState&)> on_ready;  // called once when all hosts are ready; may be empty
};

// Where the programs that belong to this one are: in the same folder, or where an installation puts them.
[[nodiscard]] Result<std::string> find_program(const std::string& name);
[[nodiscard]] Result<std::string> find_preload_library();
[[nodiscard]] std::string own_path();

// Starts a testbed and waits until its hosts are ready; each wait is bounded. In the foreground: returns after its end.
[[nodiscard]] Status testbed_up(const TestbedOptions& options);

// Ends the testbed of a run directory and removes what it left. The returned text says what was done. No error if
// nothing is up.
[[nodiscard]] Result<std::string> testbed_down(const std::string& run_dir);

// The state of a testbed that is up, or an error that says how to get one.
[[nodiscard]] Result<TestbedState> testbed_state(const RunDirectory& directory);

}  // namespace postern::sim
