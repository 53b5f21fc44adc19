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
Stimulus shortest_end(const Stimulus& whole, const std::string& kind, const TwinOptions& options, size_t& budget) {
  const size_t count = whole.operations.size();
  for (size_t kept = 8; kept < count && kept <= budget; kept *= 2) {
    const Stimulus end = part(whole, count - kept, count);
    budget -= kept;
    const Outcome outcome = run(end, options);
    if (difference_kind(outcome.difference) == kind) return outcome.executed;
  }
  return whole;
}

}  // namespace

std::string difference_kind(const std::string& difference) {
  std::string kind = difference.substr(0, difference.find('\n'));
  for (const char* figures : {", number ", ": model ", " descriptor ", " up to ", ", slot "})
    kind.resize(std::min(kind.size(), kind.find(figures)));
  return kind;
}

Outcome run(const Stimulus& stimulus, const TwinOptions& options) {
  Outcome outcome;
  outcome.executed.setup_seed = stimulus.setup_seed;
  ::testing::TestPartResultArray failures;  // of the bench and of the monitors: a divergence too
  {
    const ::testing::ScopedFakeTestPartResultReporter reporter(
        ::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &failures);
    Twin twin(stimulus.setup_seed, options);
    for (const Operation& operation : stimulus.operations) {
      const std::optional<Operation> executed = twin.apply(operation);
      if (executed) outcome.executed.operations.push_back(*executed);
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

Stimulus shrink(const Outcome& outcome, const TwinOptions& options, size_t operation_budget) {
  size_t budget = operation_budget;
  const std::string kind = difference_kind(outcome.difference);
  Stimulus shortest = shortest_end(outcome.executed, kind, options, budget);
  for (size_t chunk = (shortest.operations.size() + 1) / 2; chunk > 0; chunk /= 2) {
    for (size_t from = 0; from < shortest.operations.size();) {
      const size_t to = std::min(from + chunk, shortest.operations.size());
      Stimulus without = shortest;
      without.operations.erase(without.operations.begin() + static_cast<ptrdiff_t>(from),
                               without.operations.begin() + static_cast<ptrdiff_t>(to));
      if (without.operations.size() + 1 > budget) return shortest;
      budget -= without.operations.size() + 1;
      const Outcome tried = run(without, options);
      if (difference_kind(tried.difference) == kind) {
        shortest = tried.executed;
      } else {
        from = to;
      }
    }
  }
  return shortest;
}

std::string report(const Outcome& outcome, const std::string& name, const TwinOptions& options) {
  const Stimulus shortest = shrink(outcome, options);
  const Outcome again = run(shortest, options);
  const char* folder = std::getenv("POSTERN_REPRODUCER_DIR");
  const std::string path = (folder == nullptr ? "" : std::string(folder) + "/") + name + ".ops";
  std::ofstream file(path);
  file << "# model and rtl diverge: POSTERN_REPRODUCER=" << path << " equivalence_test\n" << to_text(shortest);
  file.close();
  return fmt::format("diverged after {} operations: {}\nshrunk to {} operations, in {}{}:\n{}\nwhich diverge: {}",
                     outcome.operations_used, outcome.difference, shortest.operations.size(), path,
                     file.good() ? "" : " (which could not be written)", to_text(shortest), again.difference);
}

}  // namespace postern::equivalence
