// Pause frames (IEEE 802.3 annex 31B): obeyed to the bit time, sent around the marks of the receive buffer, never seen
// by a VI.
#include <gtest/gtest.h>

#include "tests/hw_model/nic_bench.h"

namespace postern::hw_model::test {
namespace {

constexpr uint64_t kQuantumPs = 512 * 100;  // at 10 Gb/s
constexpr std::array<uint8_t, 6> kPauseAddress{0x01, 0x80, 0xc2, 0x00, 0x00, 0x01};

std::vector<uint8_t> pause_frame(uint16_t quanta, const std::array<uint8_t, 6>& destination = kPauseAddress) {
  std::vector<uint8_t> frame(60);
  std::copy(destination.begin(), destination.end(), frame.begin());
  std::copy(kMacB.begin(), kMacB.end(), frame.begin() + 6);
  frame[12] = 0x88;
  frame[13] = 0x08;
  frame[15] = 1;
  frame[16] = static_cast<uint8_t>(quanta >> 8);
  frame[17] = static_cast<uint8_t>(quanta);
  return frame;
}

struct Rig {
  explicit Rig(bool pause = true) : a("a", kMacA) {
    a.enable_admin();
    vi = std::make_unique<TestVi>(a, 0);
    sniffer = std::make_unique<TestVi>(a, 1);
    EXPECT_EQ(sniffer->add_filter(PST_FILTER_MATCH_SNIFF), PST_ERROR_CODE_OK);
    sniffer->post_rx(64);
    configure(pause);
    run_ns(3000);
  }
  void configure(bool pause, bool loopback = false) {
    pst_command c = make_command(PST_COMMAND_PORT_CONFIG);
    pst_port_config_set_loopback(&c, loopback);
    pst_port_config_set_mtu_bytes(&c, 1500);
    pst_port_config_set_promiscuous(&c, 1);
    pst_port_config_set_pause(&c, pause);
    EXPECT_EQ(a.status(c), PST_ERROR_CODE_OK);
  }
  FreshKernel kernel;
  Node a;
  std::unique_ptr<TestVi> vi, sniffer;
};

TEST(PauseFramesTest, NothingLeavesBeforeTheQuantaAreOver) {
  Rig rig;
  arrive(rig.a, pause_frame(1000));
  const uint64_t end_ps = now_ps() + 1000 * kQuantumPs;
  for (int i = 0; i < 3; ++i) rig.vi->queue_tx(udp_frame());
  rig.vi->ring_tx();
  run_ns(60000);
  ASSERT_EQ(rig.a.wire.size(), 3u);
  for (uint64_t i = 0; i < 3; ++i) EXPECT_EQ(rig.a.wire[i].time_ps, end_ps + (72 + 84 * i) * 800) << i;
  EXPECT_EQ(rig.a.counter("rx.pause_frames"), 1u);
  EXPECT_EQ(rig.a.counter("rx.frames"), 0u);
  EXPECT_TRUE(rig.sniffer->events().empty());
  EXPECT_EQ(rig.vi->events().size(), 1u);  // completed, all three
}

TEST(PauseFramesTest, FrameOnTheWireIsFinishedAndThoseBehindItWait) {
  Rig rig;
  UdpSpec spec;
  spec.frame_bytes = 1514;
  for (int i = 0; i < 4; ++i) rig.vi->queue_tx(udp_frame(spec));
  rig.vi->ring_tx();
  for (int i = 0; i < 10000 && rig.a.wire.empty(); ++i) run_ns(10);
  run_ns(200);  // within the second frame
  ASSERT_EQ(rig.a.wire.size(), 1u);
  arrive(rig.a, pause_frame(500));
  const uint64_t end_ps = now_ps() + 500 * kQuantumPs;
  run_ns(20000);
  EXPECT_EQ(rig.a.wire.size(), 2u);
  run_ns(20000);
  ASSERT_EQ(rig.a.wire.size(), 4u);
  EXPECT_EQ(rig.a.wire[2].time_ps, end_ps + 1526 * 800);
  EXPECT_EQ(rig.a.wire[3].time_ps, end_ps + (1538 + 1526) * 800);
}

TEST(PauseFramesTest, ZeroQuantaEndAPause) {
  Rig rig;
  arrive(rig.a, pause_frame(65535));
  for (int i = 0; i < 20; ++i) rig.vi->queue_tx(udp_frame());
  rig.vi->ring_tx();
  run_ns(100000);
  EXPECT_TRUE(rig.a.wire.empty());
  arrive(rig.a, pause_frame(0));
  run_ns(5000);
  EXPECT_EQ(rig.a.wire.size(), 20u);
  for (size_t i = 1; i < rig.a.wire.size(); ++i)
    EXPECT_GE(rig.a.wire[i].time_ps - rig.a.wire[i - 1].time_ps, 84u * 800) << i;
  rig.vi->send(udp_frame());
  run_ns(5000);
  EXPECT_EQ(rig.a.wire.size(), 21u);
}

TEST(PauseFramesTest, LaterPauseFrameReplacesTheTime) {
  Rig rig;
  arrive(rig.a, pause_frame(100));
  run_ns(2000);
  arrive(rig.a, pause_frame(1000));
  const uint64_t end_ps = now_ps() + 1000 * kQuantumPs;
  rig.vi->send(udp_frame());
  run_ns(60000);
  ASSERT_EQ(rig.a.wire.size(), 1u);
  EXPECT_EQ(rig.a.wire[0].time_ps, end_ps + 72 * 800);
}

TEST(PauseFramesTest, PauseForTheOwnAddressCountsAndForOthersDoesNot) {
  Rig rig;
  arrive(rig.a, pause_frame(10, kMacA));
  arrive(rig.a, pause_frame(65535, kMacB));
  EXPECT_EQ(rig.a.counter("rx.pause_frames"), 1u);
  rig.vi->send(udp_frame());
  run_ns(10000);
  EXPECT_EQ(rig.a.wire.size(), 1u);
  EXPECT_EQ(rig.sniffer->events().size(), 1u);  // an ordinary frame for somebody else
}

TEST(PauseFramesTest, PortThatDoesNotObeyDiscardsThemAllTheSame) {
  Rig rig(false);
  arrive(rig.a, pause_frame(65535));
  rig.vi->send(udp_frame());
  run_ns(10000);
  EXPECT_EQ(rig.a.wire.size(), 1u);
  EXPECT_EQ(rig.a.counter("rx.pause_frames"), 1u);
  EXPECT_TRUE(rig.sniffer->events().empty());
  pst_command read = make_command(PST_COMMAND_STATISTICS_READ);
  pst_statistics_read_set_address(&read, kScratch);
  ASSERT_EQ(rig.a.status(read), PST_ERROR_CODE_OK);
  const auto& statistics = rig.a.at<pst_port_statistics>(kScratch);
  EXPECT_EQ(pst_port_statistics_get_rx_pause_frames(&statistics), 1u);
  EXPECT_EQ(pst_port_statistics_get_rx_frames(&statistics), 0u);
}

// Only the peer may pause the port: a VI would hold up all others.
TEST(PauseFramesTest, FrameThatLoopsBackPausesNobody) {
  Rig rig;
  rig.configure(true, true);
  TestVi hostile(rig.a, 2);
  auto frame = pause_frame(65535, kMacA);
  std::copy(kMacA.begin(), kMacA.end(), frame.begin() + 6);
  hostile.send(frame);
  run_ns(5000);
  EXPECT_EQ(rig.a.counter("tx.loopback"), 1u);
  rig.vi->send(udp_frame());
  run_ns(5000);
  EXPECT_EQ(rig.a.wire.size(), 1u);
  EXPECT_EQ(rig.a.counter("rx.pause_frames"), 1u);  // discarded, as in a port that does not obey
  EXPECT_TRUE(rig.sniffer->events().empty());
}

TEST(PauseFramesTest, TurningItOffEndsAPause) {
  Rig rig;
  arrive(rig.a, pause_frame(65535));
  rig.vi->send(udp_frame());
  run_ns(10000);
  EXPECT_TRUE(rig.a.wire.empty());
  rig.configure(false);
  run_ns(5000);
  EXPECT_EQ(rig.a.wire.size(), 1u);
}

// A VI that does not consume fills its share of the buffer: the peer is asked to stop before it overflows.
TEST(PauseFramesTest, FullReceiveBufferAsksThePeerToPauseAndToGoOn) {
  Rig rig;
  ViOptions options;
  options.evq_entries = 128;
  options.rx_entries = 512;
  TestVi slow(rig.a, 2, options);
  ASSERT_EQ(slow.add_filter(PST_FILTER_MATCH_MAC,
                            [](pst_command& c) { pst_filter_insert_set_local_address_lo(&c, 0x0a00004e5002ull); }),
            PST_ERROR_CODE_OK);
  ASSERT_EQ(rig.a.status(make_command(PST_COMMAND_FILTER_REMOVE, rig.sniffer->last_filter)), PST_ERROR_CODE_OK);
  slow.post_rx(512);
  run_ns(3000);
  UdpSpec spec;
  spec.destination = kMacA;
  spec.source = kMacB;
  spec.frame_bytes = 1000;
  for (int i = 0; i < 128 + 24; ++i) {
    arrive(rig.a, udp_frame(spec));
    run_ns(900);
  }
  EXPECT_TRUE(rig.a.wire.empty());  // 24,000 bytes: below the mark
  arrive(rig.a, udp_frame(spec));
  run_ns(2000);
  ASSERT_EQ(rig.a.wire.size(), 1u);
  const auto sent = rig.a.wire[0].frame->bytes;
  auto expected = pause_frame(65535);
  std::copy(kMacA.begin(), kMacA.end(), expected.begin() + 6);
  EXPECT_EQ(sent, expected);
  // While the buffer stays full the pause is renewed before it runs out.
  run_ns(65535 * kQuantumPs / 1000);
  EXPECT_EQ(rig.a.wire.size(), 2u + 1u);
  EXPECT_EQ(slow.events().size(), 128u);
  slow.return_space();
  run_ns(20000);
  ASSERT_EQ(rig.a.wire.size(), 4u);
  EXPECT_EQ(be16(rig.a.wire[3].frame->bytes.data() + 16), 0u);
  EXPECT_EQ(slow.events().size(), 25u);
  run_ns(10'000'000);
  EXPECT_EQ(rig.a.wire.size(), 4u);
  EXPECT_EQ(rig.a.counter("tx.pause_frames"), 4u);
  EXPECT_EQ(rig.a.counter("tx.frames"), 0u);
  EXPECT_EQ(rig.a.drops_total("RX"), 0u);
  pst_command read = make_command(PST_COMMAND_STATISTICS_READ);
  pst_statistics_read_set_address(&read, kScratch);
  ASSERT_EQ(rig.a.status(read), PST_ERROR_CODE_OK);
  EXPECT_EQ(pst_port_statistics_get_tx_pause_frames(&rig.a.at<pst_port_statistics>(kScratch)), 4u);
}

// Two NICs face to face, the receiver's VI slow: without a drop all frames arrive.
TEST(PauseFramesTest, OneOfWhichTheLinkLostBitsIsNotSent) {
  Rig rig;
  ASSERT_TRUE(rig.a.nic.set_property("mac_port.pause_high_bytes", 1));
  ASSERT_TRUE(rig.a.nic.set_property("mac_port.pause_low_bytes", 0));
  UdpSpec spec;
  spec.destination = kMacA;
  spec.source = kMacB;
  arrive(rig.a, udp_frame(spec));  // asks for a pause, which takes 57.6 ns on the wire
  run_ns(20);
  rig.a.device().wire_export->set_link(false);
  run_ns(10);
  rig.a.device().wire_export->set_link(true);
  run_ns(5000);
  ASSERT_EQ(rig.a.wire.size(), 1u);  // the frame is in memory: go on
  EXPECT_EQ(be16(rig.a.wire[0].frame->bytes.data() + 16), 0u);
  EXPECT_EQ(rig.a.counter("tx.pause_frames"), 1u);
}

TEST(PauseFramesTest, TwoNicsWithPauseLoseNothing) {
  FreshKernel kernel;
  Node a("a", kMacA), b("b", kMacB);
  a.peer = &b;
  b.peer = &a;
  a.record_wire = b.record_wire = false;
  for (Node* node : {&a, &b}) {
    node->enable_admin();
    pst_command c = make_command(PST_COMMAND_PORT_CONFIG);
    pst_port_config_set_mtu_bytes(&c, 1500);
    pst_port_config_set_pause(&c, 1);
    ASSERT_EQ(node->status(c), PST_ERROR_CODE_OK);
  }
  ViOptions options;
  options.tx_entries = 1024;
  options.rx_entries = 1024;
  options.evq_entries = 128;
  TestVi from(a, 0, options), to(b, 0, options);
  ASSERT_EQ(to.add_filter(PST_FILTER_MATCH_MAC,
                          [](pst_command& c) { pst_filter_insert_set_local_address_lo(&c, 0x0b00004e5002ull); }),
            PST_ERROR_CODE_OK);
  to.post_rx(1024);
  run_ns(3000);
  constexpr uint32_t kFrames = 800;
  UdpSpec spec;
  spec.frame_bytes = 1000;
  for (uint32_t i = 0; i < kFrames; ++i) from.queue_tx(udp_frame(spec));
  from.ring_tx();
  size_t received = 0;
  for (int tries = 0; tries < 1000 && received < kFrames; ++tries) {
    run_ns(20000);  // a slow host: up to 128 events in so long, where 24 frames fit on the wire
    if (tries % 20 != 0) continue;
    received += to.events().size();
    to.return_space();
  }
  EXPECT_EQ(received, kFrames);
  EXPECT_EQ(b.drops_total("RX"), 0u);
  EXPECT_GT(b.counter("tx.pause_frames"), 2u);
  EXPECT_EQ(a.counter("rx.pause_frames"), b.counter("tx.pause_frames"));
}

}  // namespace
}  // namespace postern::hw_model::test
