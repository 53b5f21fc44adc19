// The randomised contract test: a million operations a seed over everything that the contract has, with faults and
// resets of the function, under the monitor. Every second seed has two NICs. No violation, no leak, no stuck queue.
#include <gtest/gtest.h>

#include "tests/hw_model/soak.h"

namespace postern::hw_model::test {
namespace {

class RandomContractTest : public ::testing::TestWithParam<uint64_t> {};

TEST_P(RandomContractTest, MillionOperationsBreakNoRule) {
  SoakOptions options;
  options.control = options.faults = true;
  options.pair = GetParam() % 2 == 0;
  Soak soak(GetParam(), options);
  soak.run(1'000'000);
  const SoakCounts counts = soak.counts();
  EXPECT_GT(counts.events, 300'000u);
  EXPECT_GT(counts.rx_delivered, 100'000u);
  EXPECT_GT(counts.tx_frames, 100'000u);
  EXPECT_GT(counts.errors, 500u);
  EXPECT_GT(counts.resets, 50u);
  EXPECT_GT(counts.vi_resets, 500u);
  EXPECT_GT(counts.settled, 300u);
  EXPECT_GT(counts.live_checks, 600u);
  EXPECT_GT(counts.wakeups_checked, 300u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomContractTest, ::testing::Range<uint64_t>(1, 21));

}  // namespace
}  // namespace postern::hw_model::test
