// Runs a stimulus into both devices and, if they diverge, finds a short part of it that still does.
#pragma once

#include <string>

#include "tests/equivalence/operation.h"
#include "tests/equivalence/twin.h"

namespace postern::equivalence {

struct Outcome {
  std::string difference;      // empty: none. The first one, with both histories.
  size_t operations_used = 0;  // up to the comparison that failed
  TwinCounts counts;
};

[[nodiscard]] Outcome run(const Stimulus& stimulus, const TwinOptions& options = {});

// A part of the stimulus, in the same order, that diverges as well; operation_budget bounds the operations that are run
// to find it. Returns the whole up to the divergence if nothing shorter does.
[[nodiscard]] Stimulus shrink(const Stimulus& stimulus, const Outcome& outcome, const TwinOptions& options = {},
                              size_t operation_budget = 200'000);

// The failure message of a divergence: what differs, how short it got, and the file (in the folder that
// POSTERN_REPRODUCER_DIR names, else in the working folder) that has the operations.
[[nodiscard]] std::string report(const Stimulus& stimulus, const Outcome& outcome, const std::string& name,
                                 const TwinOptions& options = {});

}  // namespace postern::equivalence
