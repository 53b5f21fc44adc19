// The model and the RTL do the same: directed operations, short random runs, and that a difference is found, told and
// shrunk.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/equivalence/shrink.h"

namespace postern::equivalence {
namespace {

TEST(EquivalenceTest, ReproducerShowsNoDivergence) {
  const char* path = std::getenv("POSTERN_REPRODUCER");
  if (path == nullptr) GTEST_SKIP() << "POSTERN_REPRODUCER names no file";
  std::ifstream file(path);
  ASSERT_TRUE(file.good()) << path << " cannot be read";
  std::stringstream text;
  text << file.rdbuf();
  std::string error;
  const Stimulus stimulus = from_text(text.str(), error);
  ASSERT_EQ(error, "") << path;
  EXPECT_EQ(run(stimulus).difference, "");
}

TEST(EquivalenceTest, RandomOperationsDoTheSame) {
  TwinCounts sum;
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    const Stimulus stimulus = random_stimulus(seed, 400);
    const Outcome outcome = run(stimulus);
    if (!outcome.difference.empty()) {
      FAIL() << "seed " << seed << " " << report(stimulus, outcome, "equivalence_fast_" + std::to_string(seed));
    }
    sum.done += outcome.counts.done;
    sum.rx_events += outcome.counts.rx_events;
    sum.frames += outcome.counts.frames;
    sum.interrupts += outcome.counts.interrupts;
  }
  EXPECT_GT(sum.done, 800u);
  EXPECT_GT(sum.rx_events, 400u);
  EXPECT_GT(sum.frames, 400u);
  EXPECT_GT(sum.interrupts, 50u);
}

}  // namespace
}  // namespace postern::equivalence
