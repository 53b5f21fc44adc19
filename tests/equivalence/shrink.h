// Runs a stimulus into both devices and, if they diverge, finds a short part of it that still does.
#pragma once

#include <string>

#include "tests/equivalence/operation.h"
#include "tests/equivalence/twin.h"

namespace postern::equivalence {

struct Outcome {
  std::string difference;      // empty: none. The first one, with both histories.
  size_t operations_used = 0;  // up to the comparison that failed
  Stimulus executed;           // what was done of these: does the same when it is run
  TwinCounts counts;
};

[[nodiscard]] Outcome run(const Stimulus& stimulus, const TwinOptions& options = {});

// Of what differs, in whose VI, without the figures: divergences of one kind are taken for the same.
[[nodiscard]] std::string difference_kind(const std::string& difference);

// A part of what was executed, in the same order, that shows a divergence of the same kind; operation_budget bounds the
// operations that are run to find it. Returns all that was executed if nothing shorter does.
[[nodiscard]] Stimulus shrink(const Outcome& outcome, const TwinOptions& options = {},
                              size_t operation_budget = 200'000);

// The failure message of a divergence: it in full, how short it got, what differs then, and the file (in the folder
// that POSTERN_REPRODUCER_DIR names, else in the working folder) that has the operations.
[[nodiscard]] std::string report(const Outcome& outcome, const std::string& name, const TwinOptions& options = {});

}  // namespace postern::equivalence
