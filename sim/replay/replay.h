// `postern replay`: drives a NIC with the recorded host side of a run and compares what it does with what was recorded.
// No SystemC in this header. Once per process: a SystemC kernel elaborates once.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "driver/result.h"
#include "sim/monitor/boundary_monitor.h"
#include "sim/wave_options.h"

namespace postern::sim {

struct ReplayOptions {
  std::string path;
  std::string device = "model";
  std::vector<std::string> settings;  // "PROPERTY=NUMBER", over the recorded ones, for every NIC
  bool ignore_timing = false;         // order and contents per VI only; host actions wait for what they followed
  bool monitor = false;               // boundary monitors; a violation makes the exit status 1
  WaveOptions waves;                  // of the RTL; around a violation implies monitor
  std::string json_path;              // empty: none; "-": standard output instead of the report
};

struct ReplayOutcome {
  bool equal = false;
  uint64_t record_count = 0;
  uint64_t output_count = 0;  // compared
  uint64_t simulated_ps = 0;
  uint64_t divergence_record = 0;  // number of the record in the file, from 0
  std::string divergence;          // empty if equal: one line, then both histories
  std::vector<std::string> hosts;  // names
  // Of the boundary monitors, if asked for.
  uint64_t violation_count = 0;
  std::string violations;  // as text; empty: none
};

// What a replay is watched for besides; the options' waves are not looked at.
struct ReplayWatch {
  bool monitor = false;
  WaveRequest waves;
  HostViolationListener violated;  // violations by RTL NICs, when they are reported
  uint64_t end_ps = ~uint64_t{0};  // simulated time at which the replay ends early; equal or not says nothing then
};
// Errors: a bad file, an unknown device or property, no waves.
[[nodiscard]] Result<ReplayOutcome> replay(const ReplayOptions& options, const ReplayWatch& watch = {});
// The whole verb. Exit status: 0 equal, 1 diverged or a violation, 2 bad input, or the outcome's file or the waves
// failed.
[[nodiscard]] int run_replay(const ReplayOptions& options);

}  // namespace postern::sim
