// Random operations for a short time: whatever happens, events are written only into free slots, in order and with the
// right phase, frames and packets are accounted for, and the device stays usable.
#include <gtest/gtest.h>

#include "tests/hw_model/soak.h"

namespace postern::hw_model::test {
namespace {

TEST(RandomOperationsTest, EqualSeedsGiveEqualRuns) {
  std::string first;
  for (int round = 0; round < 2; ++round) {
    Soak soak(42);
    soak.run(1500);
    if (round == 0) first = soak.fingerprint();
    EXPECT_EQ(soak.fingerprint(), first);
  }
}

TEST(RandomOperationsTest, RulesHoldAndAccountsAddUp) {
  uint64_t events = 0, errors = 0, extra_frames = 0;
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    Soak soak(seed);
    soak.run(3000);
    if (HasFailure()) break;
    events += soak.events_seen;
    errors += soak.errors_seen;
    extra_frames += soak.extra_frames();
  }
  EXPECT_GT(events, 5000u);
  EXPECT_GT(errors, 10u);
  EXPECT_GT(extra_frames, 100u);
}

TEST(RandomOperationsTest, ControlAndFaultsInBetweenBreakNoRule) {
  uint64_t resets = 0;
  for (uint64_t seed = 101; seed <= 103; ++seed) {
    SCOPED_TRACE(seed);
    SoakOptions options;
    options.control = options.faults = true;
    Soak soak(seed, options);
    soak.run(5000);
    if (HasFailure()) break;
    resets += soak.resets_seen;
  }
  EXPECT_GT(resets, 3u);
}

}  // namespace
}  // namespace postern::hw_model::test
