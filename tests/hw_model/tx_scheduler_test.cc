// Shares of the port: deficit round robin by bytes and by packets, weights, token buckets.
#include <gtest/gtest.h>

#include "tests/hw_model/tx_rig.h"

namespace postern::hw_model::test {
namespace {

TEST(TxSchedulerTest, VisShareThePortInTurn) {
  TxRig rig;
  TestVi other(rig.a, 1);
  UdpSpec spec;
  spec.frame_bytes = 1514;
  for (int i = 0; i < 100; ++i) rig.vi->queue_tx(udp_frame(spec));
  spec.source_port = 77;
  for (int i = 0; i < 100; ++i) other.queue_tx(udp_frame(spec));
  rig.vi->ring_tx();
  other.ring_tx();
  run_ns(180000);  // about 145 frames
  size_t from_other = 0;
  for (const auto& sent : rig.a.wire) from_other += be16(&sent.frame->bytes[34]) == 77;
  EXPECT_NEAR(static_cast<double>(from_other) / static_cast<double>(rig.a.wire.size()), 0.5, 0.15);
}

TEST(TxSchedulerTest, WeightsShareThePort) {
  ViOptions heavy, light;
  heavy.weight = 3;
  heavy.tx_entries = light.tx_entries = 512;
  TxRig rig(heavy);
  TestVi other(rig.a, 1, light);
  UdpSpec spec;
  spec.frame_bytes = 1000;
  for (int i = 0; i < 300; ++i) rig.vi->queue_tx(udp_frame(spec));
  spec.source_port = 77;
  for (int i = 0; i < 300; ++i) other.queue_tx(udp_frame(spec));
  rig.vi->ring_tx();
  other.ring_tx();
  run_ns(250000);
  size_t from_other = 0;
  for (size_t i = 100; i < 220; ++i) from_other += be16(&rig.a.wire[i].frame->bytes[34]) == 77;  // behind the start
  EXPECT_NEAR(static_cast<double>(from_other), 30, 3);
}

TEST(TxSchedulerTest, RateLimitSpacesPackets) {
  ViOptions limited;
  limited.rate_limit_mbps = 1000;
  TxRig rig(limited);
  UdpSpec spec;
  spec.frame_bytes = 1250;
  for (int i = 0; i < 50; ++i) rig.vi->queue_tx(udp_frame(spec));
  rig.vi->ring_tx();
  run_ns(1'000'000);
  ASSERT_EQ(rig.a.wire.size(), 50u);
  EXPECT_NEAR(static_cast<double>(rig.a.wire.back().time_ps - rig.a.wire.front().time_ps), 49 * 10e6, 1e6);
}

// Bytes of frames from a source port among those that left within a time.
uint64_t bytes_from(const Node& node, uint32_t port, uint64_t from_ps, uint64_t to_ps) {
  uint64_t sum = 0;
  for (const auto& sent : node.wire) {
    if (sent.time_ps >= from_ps && sent.time_ps < to_ps && be16(&sent.frame->bytes[34]) == port)
      sum += sent.frame->bytes.size();
  }
  return sum;
}

// Three VIs with frames of 60, 500 and 1514 bytes and weights 1, 2 and 1, all with more than the port can send.
struct SharingRig {
  explicit SharingRig(double by_bytes) : a("a", kMacA) {
    a.enable_admin();
    EXPECT_TRUE(a.nic.set_property("tx_dma.schedule_by_bytes", by_bytes));
    constexpr size_t kFrameBytes[] = {60, 500, 1514};
    for (uint32_t i = 0; i < 3; ++i) {
      ViOptions options;
      options.tx_entries = 4096;
      options.weight = i == 1 ? 2 : 0;
      vis[i] = std::make_unique<TestVi>(a, i, options);
      UdpSpec spec;
      spec.frame_bytes = kFrameBytes[i];
      spec.source_port = static_cast<uint16_t>(100 + i);
      const auto bytes = udp_frame(spec);
      for (int n = 0; n < 4000; ++n) vis[i]->queue_tx(bytes);
    }
    begin_ps = now_ps();
    for (auto& vi : vis) vi->ring_tx();
    run_ns(500'000);
  }
  // Behind what the first VI to ring put into the empty buffer.
  double bytes(uint32_t i) {
    return static_cast<double>(bytes_from(a, 100 + i, begin_ps + 100'000'000, begin_ps + 500'000'000));
  }
  double frames(uint32_t i) { return bytes(i) / (i == 0 ? 60 : i == 1 ? 500 : 1514); }

  FreshKernel kernel;
  Node a;
  std::unique_ptr<TestVi> vis[3];
  uint64_t begin_ps = 0;
};

TEST(TxSchedulerTest, VisShareBytesByWeightWhateverTheirFrames) {
  SharingRig rig(1);
  EXPECT_NEAR(rig.bytes(1) / rig.bytes(2), 2.0, 0.06);
  EXPECT_NEAR(rig.bytes(0) / rig.bytes(2), 1.0, 0.06);
}

TEST(TxSchedulerTest, VisSharePacketsByWeightIfAsked) {
  SharingRig rig(0);
  EXPECT_NEAR(rig.frames(1) / rig.frames(2), 2.0, 0.1);
  EXPECT_NEAR(rig.frames(0) / rig.frames(2), 1.0, 0.1);
}

TEST(TxSchedulerTest, SegmentedPacketsPayForTheirBytes) {
  ViOptions large;
  large.tx_entries = 512;
  SegmentRig rig(large);
  TestVi other(rig.a, 1, large);
  auto packet = tcp_packet(60000);
  packet[35] = 50;  // source port 0x0332
  for (int i = 0; i < 20; ++i) rig.queue(packet, 1460, 65535);
  UdpSpec spec;
  spec.frame_bytes = 1514;
  spec.source_port = 77;
  for (int i = 0; i < 500; ++i) other.queue_tx(udp_frame(spec));
  const uint64_t begin = now_ps();
  rig.vi->ring_tx();
  other.ring_tx();
  run_ns(1'000'000);
  const uint64_t from = begin + 100'000'000, to = begin + 1'000'000'000;
  const auto of_packets = static_cast<double>(bytes_from(rig.a, be16(&packet[34]), from, to));
  EXPECT_NEAR(of_packets / static_cast<double>(bytes_from(rig.a, 77, from, to)), 1.0, 0.15);
}

TEST(TxSchedulerTest, RateLimitIsExactInTheLongRun) {
  for (const uint32_t rate_mbps : {100, 2500, 9000}) {
    ViOptions limited;
    limited.tx_entries = 2048;
    limited.rate_limit_mbps = rate_mbps;
    limited.weight = 4;
    TxRig rig(limited);
    UdpSpec spec;
    const uint32_t count = rate_mbps == 100 ? 40 : 1000;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count; ++i) {
      spec.frame_bytes = 60 + i * 131 % 1400;
      rig.vi->queue_tx(udp_frame(spec));
      bytes += i + 1 < count ? spec.frame_bytes : 0;  // between the first frame's start and the last one's
    }
    rig.vi->ring_tx();
    run_ns(3'000'000);
    ASSERT_EQ(rig.a.wire.size(), count);
    const auto first_bit = [](const WireFrame& sent) {
      return sent.frame->stamps_ps[static_cast<size_t>(sim::Stage::kWireFirstBit)];
    };
    const auto elapsed_ps = static_cast<double>(first_bit(rig.a.wire.back()) - first_bit(rig.a.wire.front()));
    EXPECT_NEAR(static_cast<double>(bytes) * 8e6 / elapsed_ps, rate_mbps, 0.01 * rate_mbps);
  }
}

TEST(TxSchedulerTest, TokenBucketLetsABurstGoAfterAPause) {
  ViOptions limited;
  limited.rate_limit_mbps = 1000;
  TxRig rig(limited);
  ASSERT_TRUE(rig.a.nic.set_property("tx_dma.rate_burst_bytes", 10000));
  UdpSpec spec;
  spec.frame_bytes = 1250;
  for (int burst = 0; burst < 2; ++burst) {
    rig.a.wire.clear();
    for (int i = 0; i < 20; ++i) rig.vi->queue_tx(udp_frame(spec));
    rig.vi->ring_tx();
    run_ns(400'000);  // fills the bucket again
    ASSERT_EQ(rig.a.wire.size(), 20u);
    const auto at_us = [&](size_t i) {
      return static_cast<double>(rig.a.wire[i].time_ps - rig.a.wire[0].time_ps) / 1e6;
    };
    // Nine go at the rate of the wire: the bucket's 10,000 bytes, and the one that empties it.
    EXPECT_NEAR(at_us(8), 8 * 1.02, 1.0);
    // The others at 10 us each, as if the first had emptied the bucket.
    EXPECT_NEAR(at_us(19), (19 - 8) * 10.0, 1.5);
    rig.vi->events();
    rig.vi->return_space();
  }
}

}  // namespace
}  // namespace postern::hw_model::test
