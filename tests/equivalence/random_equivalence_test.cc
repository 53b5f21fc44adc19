// The long random comparison of the model and the RTL, a test per seed.
#include <gtest/gtest.h>

#include <cstdio>

#include "tests/equivalence/shrink.h"

namespace postern::equivalence {
namespace {

class RandomEquivalenceTest : public ::testing::TestWithParam<uint64_t> {};

TEST_P(RandomEquivalenceTest, HundredThousandOperationsDoTheSame) {
  const Stimulus stimulus = random_stimulus(1000 + GetParam(), 100'000);
  const Outcome outcome = run(stimulus);
  if (!outcome.difference.empty()) {
    FAIL() << report(outcome, "equivalence_seed_" + std::to_string(GetParam()));
  }
  const TwinCounts& counts = outcome.counts;
  std::printf(
      "%zu done, %zu comparisons, %zu RX events, %zu frames, %zu interrupts, %zu other events, %zu answers, %zu torn "
      "lives\n",
      size_t{counts.done}, size_t{counts.settled}, size_t{counts.rx_events}, size_t{counts.frames},
      size_t{counts.interrupts}, size_t{counts.other_events}, size_t{counts.answers}, size_t{counts.torn});
  EXPECT_GT(counts.done, 88'000u);
  EXPECT_GT(counts.rx_events, 55'000u);
  EXPECT_GT(counts.frames, 40'000u);
  EXPECT_GT(counts.interrupts, 4000u);
  EXPECT_GT(counts.other_events, 3300u);
  EXPECT_GT(counts.answers, 12'000u);
  EXPECT_GT(counts.torn, 100u);
  for (unsigned kind = 0; kind < kOperationKinds; ++kind)
    EXPECT_GT(counts.by_kind[kind], 10u) << operation_name(static_cast<OperationKind>(kind));
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomEquivalenceTest, ::testing::Range<uint64_t>(1, 21));

}  // namespace
}  // namespace postern::equivalence
