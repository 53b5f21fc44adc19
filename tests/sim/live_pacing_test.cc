#include "sim/live_pacing.h"

#include <gtest/gtest.h>

namespace postern::sim {
namespace {

TEST(LivePacerTest, SimulatedTimeIsNeverAheadOfWallTime) {
  LivePacer pacer(1000, 0);
  EXPECT_EQ(pacer.limit_ns(1000), 0u);
  EXPECT_EQ(pacer.limit_ns(1500), 500u);
  EXPECT_EQ(pacer.limit_ns(900), 0u);
}

TEST(LivePacerTest, SmallLagIsCaughtUp) {
  LivePacer pacer(0, 0);
  pacer.note_progress(900'000, 0);
  EXPECT_EQ(pacer.limit_ns(900'000), 900'000u);
  EXPECT_EQ(pacer.forgotten_ns(), 0u);
}

TEST(LivePacerTest, LagBeyondOneMillisecondIsForgotten) {
  LivePacer pacer(0, 0);
  pacer.note_progress(5'000'000, 1'000'000);
  EXPECT_EQ(pacer.limit_ns(5'000'000), 1'000'000u);
  EXPECT_EQ(pacer.limit_ns(5'000'100), 1'000'100u);
  EXPECT_EQ(pacer.forgotten_ns(), 4'000'000u);
}

TEST(LivePacerTest, TellsWhenASimulatedTimeMayBeReached) {
  LivePacer pacer(100, 50);
  EXPECT_EQ(pacer.wall_of_ns(70), 120u);
  EXPECT_EQ(pacer.wall_of_ns(20), 100u);
  EXPECT_EQ(pacer.limit_ns(pacer.wall_of_ns(70)), 70u);
}

}  // namespace
}  // namespace postern::sim
