// pst_mac_port under Verilator: frames out and in, loopback, link, pause frames both ways, settings, and random
// traffic. The bench checks every cycle; the tests state what must have come out.
#include <gtest/gtest.h>

#include <random>

#include "tests/rtl/mac_port_bench.h"

namespace postern::rtl_test {
namespace {

constexpr uint64_t kPeer = 0x112233445566;
constexpr uint64_t kOwn = PortSettings().address;

uint32_t asked_quanta(const SentFrame& frame) { return uint32_t{frame.bytes[16]} << 8 | frame.bytes[17]; }

TEST(PstMacPortTest, FramesLeaveInOrderAsTheyCameAndAreReported) {
  MacPortBench bench;
  bench.configure({});
  for (const uint32_t bytes : {60u, 64u, 65u, 1514u, 9234u})
    bench.send(MacPortBench::frame(kPeer, bytes, bytes), 3, bytes);
  bench.settle();
  ASSERT_EQ(bench.sent.size(), 5u);
  EXPECT_EQ(bench.sent[4].bytes.size(), 9234u);
  EXPECT_EQ(bench.left.size(), 5u);
  EXPECT_EQ(bench.counts.tx_bytes, 60u + 64 + 65 + 1514 + 9234);
  EXPECT_EQ(bench.counts, bench.expected);
}

TEST(PstMacPortTest, ShortFramesFollowEachOtherABeatACycle) {
  MacPortBench bench;
  bench.configure({});
  for (int i = 0; i < 20; ++i) bench.send(MacPortBench::frame(kPeer, 64));
  bench.settle();
  EXPECT_EQ(bench.sent.back().offered_ns - bench.sent.front().offered_ns, 19 * MacPortBench::kCycleNs);
}

TEST(PstMacPortTest, OnlyFramesToTheOwnAddressLoopBackAndOnlyIfAskedTo) {
  MacPortBench bench;
  bench.configure({});
  bench.send(MacPortBench::frame(kOwn, 200));
  bench.settle();
  bench.configure({.loopback = true});
  bench.send(MacPortBench::frame(kOwn, 200));
  bench.send(MacPortBench::frame(kPeer, 60));
  bench.send(MacPortBench::frame(kOwn ^ 1, 60));
  bench.settle();
  ASSERT_EQ(bench.sent.size(), 4u);
  EXPECT_FALSE(bench.sent[0].loop);
  EXPECT_TRUE(bench.sent[1].loop);
  EXPECT_FALSE(bench.sent[2].loop);
  EXPECT_FALSE(bench.sent[3].loop);
  EXPECT_EQ(bench.counts.tx_loop, 1u);
  EXPECT_EQ(bench.counts.tx_frames, 3u);
}

TEST(PstMacPortTest, FramesWithoutALinkAreReportedAsLostButLoopedOnesAreNot) {
  MacPortBench bench;
  bench.configure({.loopback = true});
  bench.link_lost = true;
  bench.send(MacPortBench::frame(kPeer, 60));
  bench.send(MacPortBench::frame(kOwn, 60));
  bench.settle();
  ASSERT_EQ(bench.left.size(), 2u);
  EXPECT_TRUE(bench.left[0].lost);
  EXPECT_FALSE(bench.left[1].lost);
  bench.link_lost = false;
  bench.configure({.link_up = false});
  bench.send(MacPortBench::frame(kPeer, 60));
  bench.arrive(MacPortBench::frame(kOwn, 60));
  bench.arrive(MacPortBench::frame(kOwn, 60), true);
  bench.arrive(MacPortBench::frame(kOwn, 60), false, true);
  bench.settle();
  EXPECT_TRUE(bench.left[2].lost);
  ASSERT_EQ(bench.received.size(), 3u);
  EXPECT_TRUE(bench.received[0].drop);
  EXPECT_FALSE(bench.received[2].drop) << "it came by way of the loop";
  EXPECT_EQ(bench.counts.rx_frames, 1u);
  EXPECT_EQ(bench.counts.bad_fcs, 0u);
  EXPECT_EQ(bench.counts, bench.expected);
}

TEST(PstMacPortTest, ReceivedFramesPassAndDamagedOnesAreDroppedAndCounted) {
  MacPortBench bench;
  bench.configure({});
  for (const uint32_t bytes : {14u, 60u, 64u, 1514u, 9300u}) bench.arrive(MacPortBench::frame(kOwn, bytes, bytes));
  bench.arrive(MacPortBench::frame(kOwn, 700), true);
  bench.settle();
  ASSERT_EQ(bench.received.size(), 6u);
  for (size_t i = 0; i < 5; ++i) EXPECT_FALSE(bench.received[i].drop);
  EXPECT_TRUE(bench.received[5].drop);
  EXPECT_EQ(bench.counts.bad_fcs, 1u);
  EXPECT_EQ(bench.counts.rx_frames, 6u);
  EXPECT_EQ(bench.counts.rx_bytes, 14u + 60 + 64 + 1514 + 9300 + 700);
}

TEST(PstMacPortTest, APauseFrameHoldsTheNextFrameForItsTimeToTheNanosecond) {
  for (const uint32_t ps_per_byte : {8000u, 800u, 320u, 200u, 80u}) {
    for (const uint32_t quanta : {1u, 5u, 125u}) {
      MacPortBench bench;
      bench.configure({.ps_per_byte = ps_per_byte});
      bench.arrive(MacPortBench::pause_frame(quanta));
      bench.cycle();
      bench.cycle();
      bench.send(MacPortBench::frame(kPeer, 60));
      bench.settle(20000);
      ASSERT_EQ(bench.sent.size(), 1u);
      EXPECT_GE(bench.sent[0].offered_ns, bench.hold_until_ns);
      EXPECT_LT(bench.sent[0].offered_ns, bench.hold_until_ns + MacPortBench::kCycleNs) << ps_per_byte << " " << quanta;
      EXPECT_EQ(bench.counts.rx_pause, 1u);
      EXPECT_EQ(bench.counts.rx_frames, 0u);
      EXPECT_TRUE(bench.received[0].drop);
    }
  }
}

TEST(PstMacPortTest, PauseOfZeroLetsFramesGoOn) {
  MacPortBench bench;
  bench.configure({});
  bench.arrive(MacPortBench::pause_frame(65535));
  bench.run(3);
  bench.send(MacPortBench::frame(kPeer, 60));
  bench.run(1000);
  EXPECT_TRUE(bench.sent.empty());
  bench.arrive(MacPortBench::pause_frame(0, kOwn));
  bench.run(5);
  EXPECT_EQ(bench.sent.size(), 1u);
}

TEST(PstMacPortTest, AFrameThatHasBegunIsFinished) {
  MacPortBench bench;
  bench.configure({});
  bench.send(MacPortBench::frame(kPeer, 640));
  bench.send(MacPortBench::frame(kPeer, 640));
  bench.run(3);
  bench.arrive(MacPortBench::pause_frame(1000));
  bench.run(100);
  EXPECT_EQ(bench.sent.size(), 1u);
}

TEST(PstMacPortTest, PauseFramesAreDiscardedButNotObeyedIfPauseIsOffOrTheyHaveLooped) {
  MacPortBench bench;
  bench.configure({.pause = false});
  bench.arrive(MacPortBench::pause_frame(1000));
  bench.settle();
  bench.configure({.pause = true});
  bench.arrive(MacPortBench::pause_frame(1000), false, true);
  bench.settle();
  bench.send(MacPortBench::frame(kPeer, 60));
  bench.run(2);
  EXPECT_EQ(bench.sent.size(), 1u);
  EXPECT_EQ(bench.counts.rx_pause, 2u);
  EXPECT_TRUE(bench.received[0].drop);
  EXPECT_TRUE(bench.received[1].drop);
}

TEST(PstMacPortTest, WhatLooksNearlyLikeAPauseFrameIsAFrame) {
  MacPortBench bench;
  bench.configure({});
  Frame opcode = MacPortBench::pause_frame(1000), ethertype = opcode;
  opcode[15] = 2;
  ethertype[13] = 9;
  bench.arrive(opcode);
  bench.arrive(ethertype);
  bench.arrive(MacPortBench::pause_frame(1000, kPeer));
  bench.arrive(MacPortBench::pause_frame(1000, kOwn, kPeer, 59));
  bench.settle();
  for (const ReceivedFrame& frame : bench.received) EXPECT_FALSE(frame.drop);
  bench.arrive(MacPortBench::pause_frame(1000), true);
  bench.settle();
  EXPECT_EQ(bench.counts.rx_pause, 0u);
  EXPECT_EQ(bench.counts.rx_frames, 5u);
  EXPECT_EQ(bench.counts.bad_fcs, 1u);
  bench.send(MacPortBench::frame(kPeer, 60));
  bench.run(2);
  EXPECT_EQ(bench.sent.size(), 1u);
  bench.arrive(MacPortBench::pause_frame(1000, kOwn, kPeer, 1514));
  bench.settle();
  EXPECT_EQ(bench.counts.rx_pause, 1u) << "a long one is one too";
}

TEST(PstMacPortTest, AsksThePeerAtTheHighMarkAgainAtHalfTimeAndToGoOnAtTheLowMark) {
  MacPortBench bench;
  const PortSettings settings{.quanta = 101};
  bench.configure(settings);
  bench.level_bytes = settings.high_bytes - 1;
  bench.run(10);
  EXPECT_TRUE(bench.sent.empty());
  bench.level_bytes = settings.high_bytes;
  const uint64_t reached_ns = bench.now_ns();
  bench.run(2000);
  ASSERT_GE(bench.sent.size(), 3u);
  const uint64_t half_ns = (bench.quanta_ns(101) + 1) / 2;
  for (size_t i = 0; i < bench.sent.size(); ++i) {
    EXPECT_TRUE(bench.sent[i].pause);
    EXPECT_EQ(asked_quanta(bench.sent[i]), 101u);
    EXPECT_LE(bench.sent[i].offered_ns - reached_ns, i * (half_ns + 2 * MacPortBench::kCycleNs) + 12);
    if (i > 0) {
      EXPECT_GE(bench.sent[i].offered_ns - bench.sent[i - 1].offered_ns, half_ns);
    }
  }
  EXPECT_EQ(bench.sent[0].bytes, MacPortBench::pause_frame(101, MacPortBench::kPauseAddress, kOwn));
  bench.level_bytes = settings.low_bytes + 1;
  bench.run(2);
  const size_t asked_count = bench.sent.size();
  bench.level_bytes = settings.low_bytes;
  bench.run(5000);
  ASSERT_EQ(bench.sent.size(), asked_count + 1) << "and then no more";
  EXPECT_EQ(asked_quanta(bench.sent.back()), 0u);
  EXPECT_EQ(bench.counts.tx_pause, asked_count + 1);
  EXPECT_EQ(bench.counts.tx_frames, 0u);
  EXPECT_TRUE(bench.left.empty());
}

TEST(PstMacPortTest, OwnPauseFrameGoesBeforeWaitingFramesAlthoughThePeerHasPaused) {
  MacPortBench bench;
  bench.configure({});
  bench.send(MacPortBench::frame(kPeer, 640));
  bench.send(MacPortBench::frame(kPeer, 60));
  bench.run(3);
  bench.level_bytes = 5000;
  bench.run(30);
  ASSERT_EQ(bench.sent.size(), 3u);
  EXPECT_FALSE(bench.sent[0].pause);
  EXPECT_TRUE(bench.sent[1].pause);
  EXPECT_FALSE(bench.sent[2].pause);
  bench.arrive(MacPortBench::pause_frame(65535));
  bench.run(3);
  bench.level_bytes = 0;
  bench.send(MacPortBench::frame(kPeer, 60));
  bench.run(10);
  ASSERT_EQ(bench.sent.size(), 4u);
  EXPECT_EQ(asked_quanta(bench.sent[3]), 0u);
}

TEST(PstMacPortTest, ARequestThatStillWaitsIsReplaced) {
  MacPortBench bench;
  bench.configure({});
  bool open = true;
  bench.wire_ready = [&] { return open; };
  bench.send(MacPortBench::frame(kPeer, 640));
  bench.run(3);
  open = false;
  bench.level_bytes = 5000;
  bench.run(10);
  bench.level_bytes = 0;
  bench.run(10);
  open = true;
  bench.settle();
  ASSERT_EQ(bench.sent.size(), 2u);
  EXPECT_EQ(asked_quanta(bench.sent[1]), 0u);
}

TEST(PstMacPortTest, PauseSwitchedOffTellsThePeerAndForgetsWhatItAskedFor) {
  MacPortBench bench;
  bench.configure({});
  bench.level_bytes = 5000;
  bench.arrive(MacPortBench::pause_frame(65535));
  bench.run(10);
  ASSERT_EQ(bench.sent.size(), 1u);
  bench.send(MacPortBench::frame(kPeer, 60));
  bench.run(10);
  EXPECT_EQ(bench.sent.size(), 1u);
  bench.configure({.pause = false});
  bench.settle();
  ASSERT_EQ(bench.sent.size(), 3u);
  EXPECT_EQ(asked_quanta(bench.sent[1]), 0u);
  EXPECT_FALSE(bench.sent[2].pause);
  bench.run(5000);
  EXPECT_EQ(bench.sent.size(), 3u);
}

TEST(PstMacPortTest, NoFrameStartsWhileTheWireSideHoldsAsManyAsAreRemembered) {
  MacPortBench bench;
  bench.configure({});
  bool leaves = false;
  bench.wire_leaves = [&] { return leaves; };
  for (int i = 0; i < 12; ++i) bench.send(MacPortBench::frame(kPeer, 60 + static_cast<uint32_t>(i)));
  bench.run(100);
  EXPECT_EQ(bench.sent.size(), MacPortBench::kFlightDepth);
  EXPECT_TRUE(bench.quiet()) << "it waits for the wire side";
  leaves = true;
  bench.settle();
  EXPECT_EQ(bench.sent.size(), 12u);
  EXPECT_EQ(bench.counts, bench.expected);
}

TEST(PstMacPortTest, NewSettingsWaitForTheFrameThatHasBeenOffered) {
  MacPortBench bench;
  bench.configure({.loopback = true});
  bool open = false;
  bench.wire_ready = [&] { return open; };
  bench.send(MacPortBench::frame(kOwn, 200));
  bench.run(3);
  bench.start_configure({.loopback = false});
  bench.run(200);
  EXPECT_TRUE(bench.configuring());
  open = true;
  bench.settle();
  EXPECT_TRUE(bench.sent[0].loop);
  bench.send(MacPortBench::frame(kOwn, 200));
  bench.settle();
  EXPECT_FALSE(bench.sent[1].loop);
}

TEST(PstMacPortTest, APausedPortSleepsUntilThePauseIsOver) {
  MacPortBench bench;
  bench.configure({});
  EXPECT_EQ(bench.due_ns(), ~uint64_t{0});
  bench.arrive(MacPortBench::pause_frame(1000));
  bench.run(3);
  bench.send(MacPortBench::frame(kPeer, 60));
  bench.run(3);
  EXPECT_TRUE(bench.quiet());
  EXPECT_EQ(bench.due_ns(), bench.hold_until_ns);
}

class RandomMacPortTest : public testing::TestWithParam<uint32_t> {};

void random_traffic(MacPortBench& bench, std::mt19937& random, uint32_t percent) {
  const auto pick = [&random](uint32_t below) { return static_cast<uint32_t>(random() % below); };
  if (bench.sending.size() < 3 && pick(100) < percent)
    bench.send(MacPortBench::frame(pick(3) ? kPeer : kOwn, 60 + pick(pick(2) ? 10 : 700), pick(255)), pick(64),
               pick(4096));
  if (bench.arriving.size() < 3 && pick(100) < percent) {
    if (pick(4) == 0)
      bench.arrive(MacPortBench::pause_frame(pick(3) ? pick(40) : 0, pick(2) ? kOwn : MacPortBench::kPauseAddress,
                                             kPeer, 58 + pick(10)),
                   pick(5) == 0, pick(5) == 0);
    else
      bench.arrive(MacPortBench::frame(pick(2) ? kPeer : kOwn, 18 + pick(400), pick(255)), pick(5) == 0, pick(5) == 0);
  }
  if (pick(60) == 0) bench.level_bytes = pick(3000);
}

void run_random(MacPortBench& bench, uint32_t seed) {
  std::mt19937 random(seed);
  bench.configure({.quanta = 20});
  uint32_t percent = 10, ready = 100, leaves = 30, beats = 100;
  bench.wire_ready = [&] { return random() % 100 < ready; };
  bench.wire_leaves = [&] { return random() % 100 < leaves; };
  bench.beat_comes = [&] { return random() % 100 < beats; };
  bench.frame_comes = [&] { return random() % 100 < beats; };
  for (int phase = 0; phase < 60 && !testing::Test::HasFailure(); ++phase) {
    percent = random() % 3 == 0 ? 0 : 1 + random() % 40;
    ready = 10 + random() % 91;
    leaves = 5 + random() % 96;
    beats = 20 + random() % 81;
    for (int cycle = 0; cycle < 400; ++cycle) {
      random_traffic(bench, random, percent);
      bench.cycle();
    }
    if (phase % 6 != 5) continue;
    ready = leaves = beats = 100;
    bench.level_bytes = 0;
    bench.settle(20000);
    bench.link_lost = random() % 3 == 0;
    bench.configure({.loopback = random() % 2 == 0,
                     .pause = random() % 4 != 0,
                     .link_up = random() % 4 != 0,
                     .ps_per_byte = random() % 2 ? 800u : 80u,
                     .quanta = 20});
  }
}

TEST_P(RandomMacPortTest, TrafficIsTheReferencesAndWithASkippedClockTheSame) {
  MacPortBench bench(false), skipping(true);
  run_random(bench, GetParam());
  run_random(skipping, GetParam());
  EXPECT_EQ(bench.counts, bench.expected);
  EXPECT_TRUE(bench.sent == skipping.sent);
  EXPECT_TRUE(bench.left == skipping.left);
  EXPECT_TRUE(bench.received == skipping.received);
  EXPECT_EQ(bench.counts, skipping.counts);
  EXPECT_GT(skipping.skipped_count, 1000u);
  EXPECT_GT(bench.counts.tx_frames, 100u);
  EXPECT_GT(bench.counts.tx_pause, 10u);
  EXPECT_GT(bench.counts.rx_pause, 50u);
}
INSTANTIATE_TEST_SUITE_P(Seed, RandomMacPortTest, testing::Range(1u, 5u));

}  // namespace
}  // namespace postern::rtl_test
