#include "sim/ethernet_switch.h"

#include <gtest/gtest.h>

#include "tests/sim/wire_fixtures.h"

namespace postern::sim {
namespace {

struct SwitchFixture {
  explicit SwitchFixture(const EthernetSwitch::Config& config = {}, unsigned ports = 3, double rate_gbps = 10)
      : ethernet_switch("switch", config), sinks(ports) {
    for (unsigned i = 0; i < ports; ++i) {
      ethernet_switch.connect(ethernet_switch.add_port(rate_gbps), sinks[i]);
    }
    run_ns(1);
  }
  void send(unsigned port, const FramePtr& frame) {
    ethernet_switch.port(port).deliver(frame);
    run_ns(2000);
  }
  EthernetSwitch ethernet_switch;
  std::vector<FrameSink> sinks;
};

TEST(EthernetSwitchTest, FloodsAnUnknownDestinationToAllOtherPorts) {
  SwitchFixture f;
  f.send(0, make_frame(2, 1));
  EXPECT_EQ(f.sinks[0].arrivals.size(), 0u);
  EXPECT_EQ(f.sinks[1].arrivals.size(), 1u);
  EXPECT_EQ(f.sinks[2].arrivals.size(), 1u);
  EXPECT_EQ(f.ethernet_switch.counters(1).flooded_frames, 1u);
}

TEST(EthernetSwitchTest, SendsToALearnedAddressOnlyWhereItIs) {
  SwitchFixture f;
  f.send(1, make_frame(9, 2));  // learns 2 at port 1
  f.send(0, make_frame(2, 1));
  EXPECT_EQ(f.sinks[1].arrivals.size(), 1u);
  EXPECT_EQ(f.sinks[2].arrivals.size(), 1u);  // only the first, flooded frame
}

TEST(EthernetSwitchTest, DoesNotSendAFrameBackToItsOwnPort) {
  SwitchFixture f;
  f.send(0, make_frame(9, 2));
  f.send(0, make_frame(2, 1));
  EXPECT_EQ(f.sinks[0].arrivals.size(), 0u);
  EXPECT_EQ(f.sinks[1].arrivals.size(), 1u);
}

TEST(EthernetSwitchTest, FloodsBroadcastAlsoWhenEveryAddressIsKnown) {
  SwitchFixture f;
  f.send(1, make_frame(0xff, 2));
  EXPECT_EQ(f.sinks[0].arrivals.size(), 1u);
  EXPECT_EQ(f.sinks[2].arrivals.size(), 1u);
  EXPECT_NE(f.sinks[0].arrivals[0].frame, f.sinks[2].arrivals[0].frame);
}

TEST(EthernetSwitchTest, FramesOfOneTimeLeaveInTheOrderOfTheirPorts) {
  SwitchFixture f;
  f.send(1, make_frame(9, 2));
  for (const bool last_port_first : {false, true}) {
    f.sinks[1].arrivals.clear();
    f.ethernet_switch.port(last_port_first ? 2 : 0).deliver(make_frame(2, last_port_first ? 3 : 1));
    f.send(last_port_first ? 0 : 2, make_frame(2, last_port_first ? 1 : 3));
    ASSERT_EQ(f.sinks[1].arrivals.size(), 2u);
    EXPECT_EQ(f.sinks[1].arrivals[0].frame->bytes[11], 1);
    EXPECT_EQ(f.sinks[1].arrivals[1].frame->bytes[11], 3);
  }
}

TEST(EthernetSwitchTest, FollowsAnAddressThatMoves) {
  SwitchFixture f;
  f.send(1, make_frame(0xff, 2));
  f.send(2, make_frame(0xff, 2));
  const size_t before = f.sinks[1].arrivals.size();
  f.send(0, make_frame(2, 1, 5));
  EXPECT_EQ(f.sinks[1].arrivals.size(), before);
  EXPECT_EQ(f.sinks[2].arrivals.back().frame->bytes[14], 5);
}

TEST(EthernetSwitchTest, ForgetsAnAddressAfterTheAgeingTime) {
  EthernetSwitch::Config config;
  config.ageing_ns = 10'000;
  SwitchFixture f(config);
  f.send(1, make_frame(0xff, 2));
  run_ns(20'000);
  f.send(0, make_frame(2, 1, 5));
  EXPECT_EQ(f.sinks[2].arrivals.back().frame->bytes[14], 5);  // flooded again
}

TEST(EthernetSwitchTest, ForwardsAfterItsLatencyAndTheSerialisation) {
  EthernetSwitch::Config config;
  config.latency_ns = 400;
  SwitchFixture f(config);
  f.send(0, make_frame(2, 1));
  EXPECT_EQ(f.sinks[1].arrivals[0].time_ps, 1'000u + 400'000u + 57'600u);
}

TEST(EthernetSwitchTest, FullOutputQueueDropsAndCounts) {
  EthernetSwitch::Config config;
  config.queue_bytes = 10 * 1024;
  SwitchFixture f(config);
  f.send(2, make_frame(0xff, 3));
  for (int i = 0; i < 20; ++i) {
    f.ethernet_switch.port(i % 2).deliver(make_frame(3, static_cast<uint8_t>(1 + i % 2), 0, 1024));
  }
  run_ns(100'000);
  const auto& counters = f.ethernet_switch.counters(2);
  EXPECT_EQ(counters.tx_frames, 10u);
  EXPECT_EQ(counters.queue_drops, 10u);
  EXPECT_EQ(counters.queue_high_water_bytes, 10u * 1024);
}

TEST(EthernetSwitchTest, DropsDamagedFramesAndDoesNotLearnFromThem) {
  SwitchFixture f;
  const FramePtr damaged = make_frame(9, 2);
  damaged->bad_fcs = true;
  f.send(1, damaged);
  EXPECT_EQ(f.ethernet_switch.counters(1).bad_fcs_drops, 1u);
  f.send(0, make_frame(2, 1));
  EXPECT_EQ(f.sinks[2].arrivals.size(), 1u);  // still unknown: flooded
}

TEST(EthernetSwitchTest, PauseFramesStayOnTheirLink) {
  SwitchFixture f;
  const FramePtr pause = make_frame(9, 2);
  const uint8_t address[6] = {0x01, 0x80, 0xc2, 0x00, 0x00, 0x01};
  std::copy(std::begin(address), std::end(address), pause->bytes.begin());
  f.send(1, pause);
  EXPECT_EQ(f.ethernet_switch.counters(1).link_local_frames, 1u);
  for (const auto& sink : f.sinks) EXPECT_TRUE(sink.arrivals.empty());
  pause->bytes[5] = 0x10;  // the first address behind them: a group like any other
  f.send(1, pause);
  EXPECT_EQ(f.sinks[2].arrivals.size(), 1u);
}

TEST(EthernetSwitchTest, PortWithoutLinkForgetsItsAddressesAndDrops) {
  SwitchFixture f;
  f.send(1, make_frame(0xff, 2));
  f.ethernet_switch.port(1).set_link(false);
  f.send(0, make_frame(2, 1, 5));
  EXPECT_EQ(f.sinks[1].arrivals.size(), 0u);
  EXPECT_EQ(f.sinks[2].arrivals.back().frame->bytes[14], 5);
  EXPECT_EQ(f.ethernet_switch.counters(1).queue_drops, 1u);
}

}  // namespace
}  // namespace postern::sim
