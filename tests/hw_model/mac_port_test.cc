// The port's timing against IEEE 802.3 arithmetic, loopback, link state.
#include <gtest/gtest.h>

#include "tests/hw_model/nic_bench.h"

namespace postern::hw_model::test {
namespace {

struct Rig {
  explicit Rig(double rate_mbps = 10000) : a("a", kMacA) {
    EXPECT_TRUE(a.nic.set_property("mac_port.rate_mbps", rate_mbps));
    EXPECT_TRUE(a.nic.set_property("pcie_link.generation", 4));
    EXPECT_TRUE(a.nic.set_property("pcie_link.lanes", 16));
    a.enable_admin();
    ViOptions options;
    options.tx_entries = 1024;
    options.evq_entries = 2048;
    vi = std::make_unique<TestVi>(a, 0, options);
  }
  // Mean time between the last bits of back-to-back frames, first and last quarter left out.
  double gap_ps(size_t frame_bytes, int count = 400) {
    UdpSpec spec;
    spec.frame_bytes = frame_bytes;
    for (int i = 0; i < count; ++i) vi->queue_tx(udp_frame(spec));
    vi->ring_tx();
    for (int i = 0; i < 10000 && a.wire.size() < static_cast<size_t>(count); ++i) run_ns(1000);
    const size_t first = a.wire.size() / 4, last = a.wire.size() * 3 / 4;
    return static_cast<double>(a.wire[last].time_ps - a.wire[first].time_ps) / static_cast<double>(last - first);
  }
  FreshKernel kernel;
  Node a;
  std::unique_ptr<TestVi> vi;
};

TEST(MacPortTest, LineRateWithMinimumFramesAt10G) {
  Rig rig;
  EXPECT_NEAR(rig.gap_ps(60), 84 * 800, 1);  // 14.88 million per second
}

TEST(MacPortTest, LineRateWith1500BytePayloadsAt10G) {
  Rig rig;
  EXPECT_NEAR(rig.gap_ps(1514), 1538 * 800, 1);
}

TEST(MacPortTest, LineRateAt1G) {
  Rig rig(1000);
  EXPECT_NEAR(rig.gap_ps(60, 100), 84 * 8000, 1);
}

TEST(MacPortTest, LineRateAt25G) {
  Rig rig(25000);
  EXPECT_NEAR(rig.gap_ps(1514), 1538 * 320, 1);
}

TEST(MacPortTest, LineRateWith1500BytePayloadsAt100GOnGeneration4x16) {
  Rig rig(100000);
  EXPECT_NEAR(rig.gap_ps(1514, 800), 1538 * 80, 1538 * 80 * 0.01);
}

TEST(MacPortTest, LinkSpeedRegisterFollowsTheRate) {
  Rig rig(25000);
  EXPECT_EQ(rig.a.read32(PST_FUNCTION_LINK_SPEED_MBPS_OFFSET), 25000u);
}

TEST(MacPortTest, FrameArrivesWhenItsLastBitHasLeft) {
  Rig rig;
  rig.vi->send(udp_frame());
  run_ns(5000);
  ASSERT_EQ(rig.a.wire.size(), 1u);
  const uint64_t first_bit_ps = rig.a.wire[0].frame->stamps_ps[static_cast<size_t>(sim::Stage::kWireFirstBit)];
  EXPECT_EQ(rig.a.wire[0].time_ps - first_bit_ps, 72 * 800u);  // preamble, frame, FCS
}

TEST(MacPortTest, LinkDownDropsOnBothSides) {
  Rig rig;
  rig.a.device().wire_export->set_link(false);
  rig.vi->send(udp_frame());
  arrive(rig.a, udp_frame());
  run_ns(5000);
  EXPECT_TRUE(rig.a.wire.empty());
  EXPECT_EQ(rig.a.counter("drops.TX_LINK_DOWN"), 1u);
  EXPECT_EQ(rig.a.counter("vi0.drops"), 1u);
  EXPECT_EQ(rig.a.counter("rx.frames"), 0u);
  EXPECT_EQ(rig.a.read32(PST_FUNCTION_STATUS_OFFSET) & PST_FUNCTION_STATUS_LINK_UP_MASK, 0u);
  EXPECT_EQ(rig.vi->events().size(), 1u);  // the packet completes all the same
  rig.a.device().wire_export->set_link(true);
  rig.vi->send(udp_frame());
  run_ns(5000);
  EXPECT_EQ(rig.a.wire.size(), 1u);
}

TEST(MacPortTest, LoopbackTurnsFramesForThePortsOwnAddressRound) {
  Rig rig;
  rig.vi->add_filter(PST_FILTER_MATCH_MAC,
                     [](pst_command& c) { pst_filter_insert_set_local_address_lo(&c, 0x0a00004e5002ull); });
  rig.vi->post_rx(8);
  UdpSpec spec;
  spec.destination = kMacA;
  const auto send = [&] {
    rig.vi->send(udp_frame(spec));
    run_ns(10000);
    return rig.vi->events().size();
  };
  EXPECT_EQ(send(), 1u);  // off: it leaves
  EXPECT_EQ(rig.a.wire.size(), 1u);
  pst_command c = make_command(PST_COMMAND_PORT_CONFIG);
  pst_port_config_set_mtu_bytes(&c, 1500);
  pst_port_config_set_loopback(&c, 1);
  ASSERT_EQ(rig.a.status(c), PST_ERROR_CODE_OK);
  EXPECT_EQ(send(), 2u);  // TX and RX event
  EXPECT_EQ(rig.a.wire.size(), 1u);
  EXPECT_EQ(rig.a.counter("tx.loopback"), 1u);
}

TEST(MacPortTest, MtuLimitsBothDirections) {
  Rig rig;
  pst_command c = make_command(PST_COMMAND_PORT_CONFIG);
  pst_port_config_set_mtu_bytes(&c, 9000);
  ASSERT_EQ(rig.a.status(c), PST_ERROR_CODE_OK);
  rig.vi->add_filter(PST_FILTER_MATCH_MAC,
                     [](pst_command& f) { pst_filter_insert_set_local_address_lo(&f, 0x0a00004e5002ull); });
  rig.vi->post_rx(64);
  run_ns(3000);
  UdpSpec spec;
  spec.destination = kMacA;
  spec.source = kMacB;
  spec.frame_bytes = 9014;
  arrive(rig.a, udp_frame(spec));
  spec.frame_bytes = 9015;
  arrive(rig.a, udp_frame(spec));
  run_ns(5000);
  EXPECT_EQ(rig.a.counter("rx.delivered"), 1u);
  EXPECT_EQ(rig.a.counter("drops.RX_BAD_LENGTH"), 1u);
}

}  // namespace
}  // namespace postern::hw_model::test
