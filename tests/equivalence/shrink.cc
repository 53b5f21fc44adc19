// Running and shrinking. See shrink.h.
#include "tests/equivalence/shrink.h"

#include <fmt/format.h>
#include <gtest/gtest-spi.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

namespace postern::equivalence {
namespace {

Stimulus part(const Stimulus& whole, size_t from, size_t to) {
  Stimulus result;
  result.setup_seed = whole.setup_seed;
  result.operations.assign(whole.operations.begin() + static_cast<ptrdiff_t>(from),
                           whole.operations.begin() + static_cast<ptrdiff_t>(to));
  return result;
}

// Only the end of it: what led to a divergence mostly happened shortly before.
Stimulus shortest_end(const Stimulus& whole, const TwinOptions& options, size_t& budget) {
  const size_t count = whole.operations.size();
  for (size_t kept = 8; kept < count && kept <= budget; kept *= 2) {
    const Stimulus end = part(whole, count - kept, count);
    budget -= kept;
    const Outcome outcome = run(end, options);
    if (!outcome.difference.empty()) return part(end, 0, outcome.operations_used);
  }
  return whole;
}

}  // namespace

Outcome run(const Stimulus& stimulus, const TwinOptions& options) {
  Outcome outcome;
  ::testing::TestPartResultArray failures;  // of the bench and of the monitors: a divergence too
  {
    const ::testing::ScopedFakeTestPartResultReporter reporter(
        ::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &failures);
    Twin twin(stimulus.setup_seed, options);
    for (const Operation& operation : stimulus.operations) {
      twin.apply(operation);
      ++outcome.operations_used;
      if (!twin.difference().empty() || failures.size() > 0) break;
    }
    if (failures.size() == 0) twin.finish();
    outcome.difference = twin.difference();
    outcome.counts = twin.counts();
  }
  for (int i = 0; i < failures.size() && outcome.difference.empty(); ++i)
    outcome.difference = failures.GetTestPartResult(i).message();
  return outcome;
}

Stimulus shrink(const Stimulus& stimulus, const Outcome& outcome, const TwinOptions& options, size_t operation_budget) {
  size_t budget = operation_budget;
  Stimulus shortest = shortest_end(part(stimulus, 0, outcome.operations_used), options, budget);
  for (size_t chunk = (shortest.operations.size() + 1) / 2; chunk > 0; chunk /= 2) {
    for (size_t from = 0; from < shortest.operations.size();) {
      const size_t to = std::min(from + chunk, shortest.operations.size());
      Stimulus without = shortest;
      without.operations.erase(without.operations.begin() + static_cast<ptrdiff_t>(from),
                               without.operations.begin() + static_cast<ptrdiff_t>(to));
      if (without.operations.size() + 1 > budget) return shortest;
      budget -= without.operations.size() + 1;
      const Outcome tried = run(without, options);
      if (tried.difference.empty()) {
        from = to;
      } else {
        shortest = part(without, 0, tried.operations_used);
      }
    }
  }
  return shortest;
}

std::string report(const Stimulus& stimulus, const Outcome& outcome, const std::string& name,
                   const TwinOptions& options) {
  const Stimulus shortest = shrink(stimulus, outcome, options);
  const Outcome again = run(shortest, options);
  const char* folder = std::getenv("POSTERN_REPRODUCER_DIR");
  const std::string path = (folder == nullptr ? "" : std::string(folder) + "/") + name + ".ops";
  std::ofstream file(path);
  file << "# model and rtl diverge: POSTERN_REPRODUCER=" << path << " equivalence_test\n" << to_text(shortest);
  file.close();
  return fmt::format("diverged after {} operations: {}\nshrunk to {} operations, in {}{}:\n{}\n{}",
                     outcome.operations_used, outcome.difference.substr(0, outcome.difference.find('\n')),
                     shortest.operations.size(), path, file.good() ? "" : " (which could not be written)",
                     to_text(shortest), again.difference);
}

}  // namespace postern::equivalence
