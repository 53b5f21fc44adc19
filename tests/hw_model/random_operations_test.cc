// Random operations for a short time: whatever happens, events are written only into free slots, in order and with the
// right phase, frames and packets are accounted for, and the device stays usable.
#include <gtest/gtest.h>

#include "tests/hw_model/soak.h"

namespace postern::hw_model::test {
namespace {

SoakOptions everything() {
  SoakOptions options;
  options.control = options.faults = options.pair = true;
  options.settle_every = 1000;
  return options;
}

TEST(RandomOperationsTest, EqualSeedsGiveEqualRuns) {
  for (const SoakOptions& options : {SoakOptions{}, everything()}) {
    std::string first;
    for (int round = 0; round < 2; ++round) {
      Soak soak(42, options);
      soak.run(1500);
      if (round == 0) first = soak.fingerprint();
      EXPECT_EQ(soak.fingerprint(), first);
    }
    Soak other(43, options);
    other.run(1500);
    EXPECT_NE(other.fingerprint(), first);
  }
}

TEST(RandomOperationsTest, RulesHoldAndAccountsAddUp) {
  uint64_t events = 0, errors = 0, extra_frames = 0, live_checks = 0;
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    Soak soak(seed);
    soak.run(3000);
    if (HasFailure()) break;
    const SoakCounts counts = soak.counts();
    events += counts.events;
    errors += counts.errors;
    extra_frames += counts.extra_frames;
    live_checks += counts.live_checks;
  }
  EXPECT_GT(events, 5000u);
  EXPECT_GT(errors, 10u);
  EXPECT_GT(extra_frames, 100u);
  EXPECT_GT(live_checks, 10u);
}

TEST(RandomOperationsTest, ControlAndFaultsInBetweenBreakNoRule) {
  uint64_t resets = 0, vi_resets = 0, live_checks = 0;
  for (uint64_t seed = 101; seed <= 103; ++seed) {
    SCOPED_TRACE(seed);
    Soak soak(seed, everything());
    soak.run(5000);
    if (HasFailure()) break;
    const SoakCounts counts = soak.counts();
    resets += counts.resets;
    vi_resets += counts.vi_resets;
    live_checks += counts.live_checks;
  }
  EXPECT_GT(resets, 3u);
  EXPECT_GT(vi_resets, 10u);
  EXPECT_GT(live_checks, 10u);
}

}  // namespace
}  // namespace postern::hw_model::test
