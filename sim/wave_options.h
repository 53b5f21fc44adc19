// Waves of the RTL NICs as a command line asks for them: of a window of time, or around the first violation of the
// contract. No SystemC here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "driver/result.h"
#include "sim/wave_request.h"

namespace postern::sim {

// As given; empty: not given.
struct WaveOptions {
  std::string path;  // --wave
  std::string from_us, for_us;
  std::string around_violation_us;  // how long before it
};

struct WavePlan {
  WaveRequest request;            // path empty: no waves
  bool around_violation = false;  // the window is known when there is a violation (sim/violation_waves.h)
  uint64_t before_ps = 0;         // of that window
  static constexpr uint64_t kAfterPs = 1'000'000;  // likewise
};

// Errors: times that are none, and options that contradict each other.
[[nodiscard]] Result<WavePlan> plan_waves(const WaveOptions& options);

// The files that `--wave path` writes for the RTL NICs of these hosts, in their order: of several each has its host's
// name in its own ("run.a.fst").
[[nodiscard]] std::vector<std::string> wave_files(const std::string& path, const std::vector<std::string>& rtl_hosts);

}  // namespace postern::sim
