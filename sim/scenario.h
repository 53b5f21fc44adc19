// `postern sim`: a topology and a list of workloads in virtual time, from a TOML file or built in; runs it, prints what
// happened and writes the same as JSON. No SystemC here. File format: sim/README.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "driver/result.h"
#include "sim/cpu_costs.h"
#include "sim/simulation.h"
#include "sim/topology.h"
#include "sim/virtual_host.h"
#include "sim/wave_options.h"
#include "sim/workload.h"

namespace postern::sim {

struct Scenario {
  std::string name;
  std::string source_name;  // file, or "(built in)"
  Topology topology;
  uint64_t seed = 1;
  uint64_t limit_ns = 600'000'000'000;  // simulated time after which unfinished workloads have failed
  VirtualHost::Options host;            // of every host: spinning, rings, event queue, stack
  CpuCosts costs;
  std::vector<WorkloadSpec> workloads;
};

struct ScenarioOptions {
  std::string scenario = "pingpong";  // a file, or the name of a built-in scenario
  std::string json_path;              // empty: no JSON; "-": to standard output instead of the report
  std::string pcap_directory;         // empty: no captures
  std::string record_path;            // empty: not recorded
  std::string trace_path;             // empty: no Perfetto/Chrome trace
  std::string vcd_path;               // empty: no VCD; a name that ends with .fst: as FST
  std::string vcd_signals;            // comma-separated patterns; empty: all signals
  std::string trace_from_us;          // window of both, as given (TraceWindow::parse)
  std::string trace_for_us;
  uint64_t trace_max_events = 1'000'000;
  WaveOptions waves;                  // of the RTL; around a violation implies monitor
  std::vector<std::string> settings;  // "[HOST:]PROPERTY=NUMBER" of NICs
  std::vector<std::string> devices;   // "rtl" or "HOST=rtl"
  std::optional<uint64_t> seed;
  std::optional<uint64_t> duration_ms;  // simulated; ends streams, and is the limit for everything else
  bool quiet = false;                   // no report, no progress line
  bool monitor = false;                 // boundary monitors; a violation makes the exit status 1
  std::string coverage_path;            // contract coverage as JSON; implies monitor
};

struct BuiltinScenario {
  std::string name;
  std::string description;  // one line
  std::string text;         // TOML
};

// What can be run without a file.
[[nodiscard]] const std::vector<BuiltinScenario>& builtin_scenarios();

// Reads and checks a scenario. Errors name file, line, key and what was expected.
[[nodiscard]] Result<Scenario> parse_scenario(const std::string& text, const std::string& source_name);
// A built-in name, else a file. Applies the options' settings, seed and duration.
[[nodiscard]] Result<Scenario> load_scenario(const ScenarioOptions& options);

// Everything that happened in a run, as deterministic JSON text: sorted keys, no wall-clock values.
struct ScenarioOutcome {
  bool ok = false;  // every workload ended well
  std::string json;
  std::string report;  // tables for a person
  uint64_t simulated_ns = 0;
  std::vector<WorkloadResult> results;
  // Of the boundary monitors, if asked for: violations of the contract, and what was exercised of it.
  uint64_t violation_count = 0;
  std::string violations;  // as text; empty: none
  std::string coverage_json, coverage_table;
};
// Who looks on while a scenario runs; must outlive the run.
struct RunWatchers {
  std::vector<ObserverFactory> observers;
  PacketListener* packets = nullptr;  // needs trace_stages
  bool monitor = false;               // a boundary monitor around each NIC
  WaveRequest waves;                  // signals of the RTL NICs
  HostViolationListener violated;     // violations by RTL NICs, when they are reported
  uint64_t end_ps = ~uint64_t{0};     // simulated time at which the run ends early
};
// Runs a scenario. Once per process (a SystemC kernel elaborates once).
[[nodiscard]] Result<ScenarioOutcome> execute_scenario(const Scenario& scenario, const std::string& pcap_directory,
                                                       bool show_progress, bool trace_stages = true,
                                                       const RunWatchers& watchers = {});

// The whole verb: load, run, print, write JSON. Returns the exit status: 0, 1 if a workload failed or a
// monitor reports, 2 for bad input or if the run, its files or its waves failed.
[[nodiscard]] int run_scenario(const ScenarioOptions& options);

}  // namespace postern::sim
