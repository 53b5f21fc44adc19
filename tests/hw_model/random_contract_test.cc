// The randomised contract test: a million operations a seed over everything that the contract has, with faults and
// resets of the function, under the monitor. No violation, no leak, no stuck queue.
#include <gtest/gtest.h>

#include "tests/hw_model/soak.h"

namespace postern::hw_model::test {
namespace {

class RandomContractTest : public ::testing::TestWithParam<uint64_t> {};

TEST_P(RandomContractTest, MillionOperationsBreakNoRule) {
  SoakOptions options;
  options.control = options.faults = true;
  Soak soak(GetParam(), options);
  soak.run(1'000'000);
  EXPECT_GT(soak.events_seen, 100'000u);
  EXPECT_GT(soak.errors_seen, 500u);
  EXPECT_GT(soak.resets_seen, 50u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomContractTest, ::testing::Range<uint64_t>(1, 21));

}  // namespace
}  // namespace postern::hw_model::test
