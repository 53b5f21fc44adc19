#include "sim/ethernet_link.h"

#include <gtest/gtest.h>

#include "tests/sim/wire_fixtures.h"

namespace postern::sim {
namespace {

struct LinkFixture {
  explicit LinkFixture(const EthernetLink::Config& config) : link("link", config) {
    link.connect(0, left);
    link.connect(1, right);
  }
  FrameSink left;
  FrameSink right;
  EthernetLink link;
};

EthernetLink::Config config_with(WireImpairments impairments, uint64_t seed = 7) {
  EthernetLink::Config config;
  config.impairments[0] = impairments;
  config.seed = seed;
  return config;
}

TEST(EthernetLinkTest, DeliversAfterThePropagationDelayInBothDirections) {
  EthernetLink::Config config;
  config.delay_ns = 300;
  LinkFixture f(config);
  run_ns(1000);
  EXPECT_TRUE(f.left.link_up);
  EXPECT_TRUE(f.right.link_up);
  f.link.end(0).deliver(make_frame(2, 1));
  f.link.end(1).deliver(make_frame(1, 2));
  run_ns(1000);
  ASSERT_EQ(f.right.arrivals.size(), 1u);
  ASSERT_EQ(f.left.arrivals.size(), 1u);
  EXPECT_EQ(f.right.arrivals[0].time_ps, 1'300'000u);
  EXPECT_EQ(f.right.arrivals[0].frame->stamps_ps[static_cast<size_t>(Stage::kWireLastBit)], 1'300'000u);
}

TEST(EthernetLinkTest, SerialisesAtItsRateForASenderThatDoesNot) {
  EthernetLink::Config config;
  config.rate_gbps = 10;
  config.delay_ns = 0;
  LinkFixture f(config);
  f.link.serialize_from(0);
  run_ns(1);
  f.link.end(0).deliver(make_frame(2, 1, 1));
  f.link.end(0).deliver(make_frame(2, 1, 2));
  run_ns(1000);
  ASSERT_EQ(f.right.arrivals.size(), 2u);
  // 8 + 60 + 4 bytes at 0.8 ns each, then 12 bytes of gap.
  EXPECT_EQ(f.right.arrivals[0].time_ps, 1'000u + 57'600u);
  EXPECT_EQ(f.right.arrivals[1].time_ps, 1'000u + 57'600u + 9'600u + 57'600u);
}

TEST(EthernetLinkTest, LosesFramesAtTheGivenRate) {
  LinkFixture f(config_with({0.25, 0, 0, 0}));
  run_ns(1);
  for (int i = 0; i < 10'000; ++i) {
    f.link.end(0).deliver(make_frame(2, 1));
  }
  run_ns(10'000);
  const auto& counters = f.link.counters(0);
  EXPECT_EQ(counters.frames, 10'000u);
  EXPECT_NEAR(static_cast<double>(counters.lost), 2500, 150);
  EXPECT_EQ(counters.delivered, counters.frames - counters.lost);
  EXPECT_EQ(f.right.arrivals.size(), counters.delivered);
}

TEST(EthernetLinkTest, ReorderedFramesArriveLateAndOthersOvertakeThem) {
  WireImpairments wire;
  wire.reorder = 0.2;
  wire.reorder_delay_ns = 1000;
  LinkFixture f(config_with(wire));
  run_ns(1);
  for (int i = 0; i < 100; ++i) {
    f.link.end(0).deliver(make_frame(2, 1, static_cast<uint8_t>(i)));
    run_ns(100);
  }
  run_ns(10'000);
  const std::vector<int> tags = f.right.tags();
  ASSERT_EQ(tags.size(), 100u);
  EXPECT_FALSE(std::is_sorted(tags.begin(), tags.end()));
  EXPECT_GT(f.link.counters(0).reordered, 5u);
}

TEST(EthernetLinkTest, DuplicatesAreSeparateFrames) {
  LinkFixture f(config_with({0, 0, 1.0, 0}));
  run_ns(1);
  f.link.end(0).deliver(make_frame(2, 1));
  run_ns(1000);
  ASSERT_EQ(f.right.arrivals.size(), 2u);
  EXPECT_NE(f.right.arrivals[0].frame, f.right.arrivals[1].frame);
  EXPECT_EQ(f.right.arrivals[0].frame->bytes, f.right.arrivals[1].frame->bytes);
  EXPECT_EQ(f.link.counters(0).duplicated, 1u);
}

TEST(EthernetLinkTest, CorruptionMarksTheFcsAndLeavesTheSendersFrameAlone) {
  LinkFixture f(config_with({0, 0, 0, 1.0}));
  run_ns(1);
  const FramePtr sent = make_frame(2, 1, 9);
  const std::vector<uint8_t> before = sent->bytes;
  f.link.end(0).deliver(sent);
  run_ns(1000);
  ASSERT_EQ(f.right.arrivals.size(), 1u);
  EXPECT_TRUE(f.right.arrivals[0].frame->bad_fcs);
  EXPECT_NE(f.right.arrivals[0].frame->bytes, before);
  EXPECT_EQ(sent->bytes, before);
  EXPECT_FALSE(sent->bad_fcs);
}

TEST(EthernetLinkTest, TheSameSeedImpairsTheSameFramesAndAnotherSeedOthers) {
  WireImpairments wire{0.3, 0.1, 0.1, 0};
  LinkFixture* fixtures[3];
  EthernetLink::Config configs[3] = {config_with(wire, 1), config_with(wire, 1), config_with(wire, 2)};
  for (int i = 0; i < 3; ++i) {
    fixtures[i] = new LinkFixture(configs[i]);  // alive until the process ends: modules outlive the simulation
  }
  run_ns(1);
  for (int frame = 0; frame < 200; ++frame) {
    for (LinkFixture* f : fixtures) {
      f->link.end(0).deliver(make_frame(2, 1, static_cast<uint8_t>(frame)));
    }
    run_ns(100);
  }
  run_ns(100'000);
  EXPECT_EQ(fixtures[0]->right.tags(), fixtures[1]->right.tags());
  EXPECT_NE(fixtures[0]->right.tags(), fixtures[2]->right.tags());
}

TEST(EthernetLinkTest, DirectionsAreImpairedIndependently) {
  LinkFixture f(config_with({1.0, 0, 0, 0}));
  run_ns(1);
  f.link.end(0).deliver(make_frame(2, 1));
  f.link.end(1).deliver(make_frame(1, 2));
  run_ns(1000);
  EXPECT_TRUE(f.right.arrivals.empty());
  EXPECT_EQ(f.left.arrivals.size(), 1u);
}

}  // namespace
}  // namespace postern::sim
