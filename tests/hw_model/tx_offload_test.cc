// Frames that the device makes or sends early: segmentation of long packets over the sockets, and cut-through.
#include <gtest/gtest.h>

#include "tests/hw_model/tx_rig.h"

namespace postern::hw_model::test {
namespace {

TEST(TxSegmentationTest, OnePacketLeavesAsManyFramesAndCompletesOnce) {
  SegmentRig rig(checked());
  rig.grant(PST_ADDRESS_FAMILY_IPV4, kIpAWire);
  const auto packet = tcp_packet(60000);
  rig.queue(packet, 1460, 4096);
  rig.vi->ring_tx();
  run_ns(100000);
  ASSERT_EQ(rig.a.wire.size(), 42u);
  EXPECT_EQ(rig.payload(54), std::vector<uint8_t>(packet.begin() + 54, packet.end()));
  const auto events = rig.vi->events();
  ASSERT_EQ(events.size(), 1u);
  const pst_tx_event tx{{events[0].word[0], events[0].word[1]}};
  EXPECT_EQ(pst_tx_event_get_tx_consumer_idx(&tx), rig.vi->tx_idx);
  const auto first_bit = [&](size_t i) {
    return rig.a.wire[i].frame->stamps_ps[static_cast<size_t>(sim::Stage::kWireFirstBit)];
  };
  EXPECT_EQ(pst_tx_event_get_timestamp_ns(&tx), first_bit(0) / 1000);
  // Back to back: frame, FCS, gap and preamble of 10 Gb/s between two first bits.
  for (size_t i = 1; i < 42; ++i) EXPECT_EQ(first_bit(i) - first_bit(i - 1), (1514 + 24) * 800u);
  EXPECT_EQ(rig.a.counter("tx.packets"), 1u);
  EXPECT_EQ(rig.a.counter("tx.frames"), 42u);
  EXPECT_EQ(rig.a.counter("vi0.tx_packets"), 1u);
  rig.expect_accounts();
}

TEST(TxSegmentationTest, LongPacketsKeepTheWireBusy) {
  ViOptions large;
  large.tx_entries = 512;
  SegmentRig rig(large);
  const auto packet = tcp_packet(60000);
  for (int i = 0; i < 6; ++i) rig.queue(packet, 1460, 65535);
  rig.vi->ring_tx();
  run_ns(400'000);
  ASSERT_EQ(rig.a.wire.size(), 6 * 42u);
  uint64_t wire_bytes = 0;
  for (const auto& sent : rig.a.wire) wire_bytes += sent.frame->bytes.size() + 24;
  const uint64_t begin_ps = rig.a.wire[0].frame->stamps_ps[static_cast<size_t>(sim::Stage::kWireFirstBit)];
  EXPECT_EQ(rig.a.wire.back().time_ps - begin_ps, (wire_bytes - 12) * 800);
}

TEST(TxSegmentationTest, ReceiverFindsEveryChecksumGood) {
  SegmentRig rig({}, true);
  TestVi receiver(*rig.b, 0);
  ASSERT_EQ(receiver.add_filter(PST_FILTER_MATCH_MAC,
                                [](pst_command& c) { pst_filter_insert_set_local_address_lo(&c, 0x0b00004e5002); }),
            0u);
  receiver.post_rx(64);
  rig.queue(tcp_packet(20000), 700, 65535);
  rig.vi->ring_tx();
  run_ns(60000);
  const auto events = receiver.events();
  ASSERT_EQ(events.size(), 29u);
  for (const auto& event : events) {
    const pst_rx_event rx{{event.word[0], event.word[1]}};
    EXPECT_EQ(pst_rx_event_get_checksum_l3(&rx), PST_CHECKSUM_RESULT_GOOD);
    EXPECT_EQ(pst_rx_event_get_checksum_l4(&rx), PST_CHECKSUM_RESULT_GOOD);
    EXPECT_EQ(pst_rx_event_get_l4_class(&rx), PST_L4_CLASS_TCP);
  }
}

TEST(TxSegmentationTest, DeviceWithoutItRefuses) {
  SegmentRig rig;
  EXPECT_NE(rig.a.read32(PST_FUNCTION_FEATURES_OFFSET) & PST_FUNCTION_FEATURES_TSO_MASK, 0u);
  ASSERT_TRUE(rig.a.nic.set_property("tx_dma.segmentation", 0));
  rig.queue(tcp_packet(3000), 1460, 65535);
  rig.vi->ring_tx();
  rig.expect_error(PST_ERROR_CODE_UNSUPPORTED, 0);
  rig.expect_accounts();
}

TEST(TxSegmentationTest, EverySegmentGetsTheInsertedTag) {
  SegmentRig rig;
  const auto packet = tcp_packet(3000);
  rig.queue(packet, 1460, 1000, 0x2064);
  rig.vi->ring_tx();
  run_ns(20000);
  ASSERT_EQ(rig.a.wire.size(), 3u);
  for (const auto& sent : rig.a.wire) {
    EXPECT_EQ(be16(&sent.frame->bytes[12]), 0x8100u);
    EXPECT_EQ(be16(&sent.frame->bytes[14]), 0x2064u);
  }
  EXPECT_EQ(rig.payload(58), std::vector<uint8_t>(packet.begin() + 54, packet.end()));
}

TEST(TxSegmentationTest, PacketsOfOtherVisKeepTheirTurnBehindAllFrames) {
  SegmentRig rig;
  TestVi other(rig.a, 1);
  rig.queue(tcp_packet(14600), 1460, 16384);
  rig.vi->ring_tx();
  run_ns(800);
  other.send(udp_frame());
  run_ns(40000);
  ASSERT_EQ(rig.a.wire.size(), 11u);
  EXPECT_EQ(rig.a.wire.back().frame->bytes.size(), 60u);
  for (size_t i = 0; i < 10; ++i) EXPECT_EQ(rig.a.wire[i].frame->bytes.size(), 1514u) << i;
}

TEST(TxSegmentationTest, WhatCannotBeCutIsDroppedAndCompletes) {
  SegmentRig rig;
  const auto send = [&rig](const std::vector<uint8_t>& packet, uint32_t mss_bytes) {
    rig.queue(packet, mss_bytes, 32768);
    rig.vi->ring_tx();
    run_ns(20000);
  };
  send(udp_frame(), 1000);  // UDP
  send(tcp_packet(3000), 1461);
  send(tcp_packet(65536 - 54), 1460);  // a byte too long
  send(tcp_packet(3000), 1460);
  EXPECT_EQ(rig.a.wire.size(), 3u);
  EXPECT_EQ(rig.a.counter("drops.TX_BAD_SEGMENT"), 3u);
  EXPECT_EQ(rig.last_completion(), rig.vi->tx_idx);
  rig.expect_accounts();
}

TEST(TxSegmentationTest, ForeignSourceDoesNotLeave) {
  SegmentRig rig(checked());
  rig.queue(tcp_packet(3000), 1000, 65535);
  rig.vi->ring_tx();
  run_ns(30000);
  EXPECT_TRUE(rig.a.wire.empty());
  EXPECT_EQ(rig.a.counter("drops.TX_BAD_SOURCE"), 1u);
  rig.expect_accounts();
}

TEST(TxSegmentationTest, LinkThatGoesDownInBetweenDropsThePacketOnce) {
  SegmentRig rig;
  rig.queue(tcp_packet(14600), 1460, 65535);
  rig.vi->ring_tx();
  run_ns(9000);
  const size_t before = rig.a.wire.size();
  ASSERT_GT(before, 0u);
  ASSERT_LT(before, 8u);
  rig.a.device().wire_export->set_link(false);
  run_ns(3000);
  rig.a.device().wire_export->set_link(true);
  run_ns(40000);
  EXPECT_GT(rig.a.wire.size(), before);
  EXPECT_LT(rig.a.wire.size(), 10u);
  EXPECT_EQ(rig.a.counter("drops.TX_LINK_DOWN"), 1u);
  EXPECT_EQ(rig.last_completion(), rig.vi->tx_idx);
  rig.expect_accounts();
}

TEST(TxSegmentationTest, JumboSegmentsFillTheLongestFrame) {
  SegmentRig rig;
  rig.set_mtu(9216);
  const auto packet = tcp_packet(60000);
  rig.queue(packet, 9176, 8192, 5);
  rig.vi->ring_tx();
  run_ns(100000);
  ASSERT_EQ(rig.a.wire.size(), 7u);
  EXPECT_EQ(rig.a.wire[0].frame->bytes.size(), PST_LIMIT_FRAME_BYTES_MAX);
  EXPECT_EQ(rig.payload(58), std::vector<uint8_t>(packet.begin() + 54, packet.end()));
}

TEST(TxSegmentationTest, SegmentsLoopBackInsideTheNic) {
  SegmentRig rig;
  rig.set_mtu(1500, true);
  TestVi receiver(rig.a, 1);
  ASSERT_EQ(receiver.add_filter(PST_FILTER_MATCH_MAC,
                                [](pst_command& c) { pst_filter_insert_set_local_address_lo(&c, 0x0a00004e5002); }),
            0u);
  receiver.post_rx(64);
  auto packet = tcp_packet(14600);
  std::copy(kMacA.begin(), kMacA.end(), packet.begin());
  rig.queue(packet, 1460, 65535);
  rig.vi->ring_tx();
  run_ns(60000);
  EXPECT_TRUE(rig.a.wire.empty());
  EXPECT_EQ(rig.a.counter("tx.loopback"), 10u);
  EXPECT_EQ(receiver.events().size(), 10u);
  rig.expect_accounts();
}

// --- cut-through -----------------------------------------------------------------------------------------------------

struct CutThroughRig : SegmentRig {
  explicit CutThroughRig(const ViOptions& options = {}) : SegmentRig(options) {
    EXPECT_TRUE(a.nic.set_property("tx_dma.cut_through", 1));
    set_mtu(9216);
  }
  // When each byte range of the payload was moved into the device, and when the first bit left.
  uint64_t stamp(size_t frame, sim::Stage stage) const {
    return a.wire[frame].frame->stamps_ps[static_cast<size_t>(stage)];
  }
};

std::vector<uint8_t> long_frame(size_t bytes) {
  UdpSpec spec;
  spec.frame_bytes = bytes;
  return udp_frame(spec);
}

// Longer than a 2 KiB buffer of the bench.
void queue_long(SegmentRig& rig, const std::vector<uint8_t>& bytes) {
  std::memcpy(rig.a.memory.data() + rig.vi->base + kTxBuffers, bytes.data(), bytes.size());
  rig.vi->queue_desc(rig.desc(kTxBuffers, static_cast<uint32_t>(bytes.size()), true));
}

TEST(TxCutThroughTest, FirstBitLeavesBeforeTheLastByteHasArrived) {
  uint64_t first_bit_ps[2];
  for (int on = 0; on < 2; ++on) {
    CutThroughRig rig;
    ASSERT_TRUE(rig.a.nic.set_property("tx_dma.cut_through", on));
    const auto bytes = long_frame(9000);
    queue_long(rig, bytes);
    const uint64_t begin = now_ps();
    rig.vi->ring_tx();
    run_ns(20000);
    ASSERT_EQ(rig.a.wire.size(), 1u);
    EXPECT_EQ(rig.a.wire[0].frame->bytes, bytes);
    EXPECT_FALSE(rig.a.wire[0].frame->bad_fcs);
    first_bit_ps[on] = rig.stamp(0, sim::Stage::kWireFirstBit) - begin;
    EXPECT_EQ(rig.stamp(0, sim::Stage::kPayloadFetched) > rig.stamp(0, sim::Stage::kWireFirstBit), on == 1);
    EXPECT_EQ(rig.last_completion(), 1u);
  }
  // 8.7 KB less to wait for on a link of about 54 Gb/s.
  EXPECT_NEAR(static_cast<double>(first_bit_ps[0] - first_bit_ps[1]), 1290e3, 150e3);
}

TEST(TxCutThroughTest, NoByteArrivesAfterItsTurnOnTheWireWhateverTheLinks) {
  // From a wire much slower than the link to one that is faster, where the first bit has to wait.
  for (const double rate_mbps : {1000, 25000, 100000}) {
    for (const double lanes : {1, 8}) {
      CutThroughRig rig;
      ASSERT_TRUE(rig.a.nic.set_property("mac_port.rate_mbps", rate_mbps));
      ASSERT_TRUE(rig.a.nic.set_property("pcie_link.lanes", lanes));
      const auto bytes = long_frame(9000);
      queue_long(rig, bytes);
      rig.a.record_dma = true;
      rig.vi->ring_tx();
      run_ns(200000);
      ASSERT_EQ(rig.a.wire.size(), 1u);
      EXPECT_EQ(rig.a.wire[0].frame->bytes, bytes);
      EXPECT_EQ(rig.a.counter("tx.cut_short"), 0u);
      // The last read request begins at byte 8704: it may arrive as late as that byte's turn.
      const double ps_per_byte = 8e6 / rate_mbps;
      const auto last_turn_ps = static_cast<double>(rig.stamp(0, sim::Stage::kWireFirstBit)) + 8704 * ps_per_byte;
      EXPECT_LE(static_cast<double>(rig.stamp(0, sim::Stage::kPayloadFetched)), last_turn_ps)
          << rate_mbps << " Mb/s, " << lanes << " lanes";
    }
  }
}

TEST(TxCutThroughTest, FramesThatNeedAllTheirBytesFirstAreStored) {
  CutThroughRig rig;
  rig.vi->queue_tx(long_frame(1500), [](pst_tx_desc& d) { pst_tx_desc_set_checksum_l4(&d, 1); });
  rig.vi->queue_tx(long_frame(1500), [](pst_tx_desc& d) { pst_tx_desc_set_checksum_l3(&d, 1); });
  rig.vi->queue_tx(udp_frame());  // shorter than the threshold
  rig.vi->ring_tx();
  run_ns(20000);
  ASSERT_EQ(rig.a.wire.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_LT(rig.stamp(i, sim::Stage::kPayloadFetched), rig.stamp(i, sim::Stage::kWireFirstBit)) << i;
  }
}

TEST(TxCutThroughTest, OrderTagsAndLengthsStayRight) {
  CutThroughRig rig;
  std::vector<std::vector<uint8_t>> expected;
  for (int i = 0; i < 60; ++i) {
    auto bytes = long_frame(60 + static_cast<size_t>(i * 97 % 1440));
    if (i % 3 == 0) {
      pst_tx_option_desc option{};
      pst_tx_option_desc_set_type(&option, PST_TX_DESC_TYPE_OPTION);
      pst_tx_option_desc_set_vlan_insert(&option, 1);
      pst_tx_option_desc_set_vlan_tci(&option, 9);
      rig.vi->queue_desc({{option.word[0], option.word[1]}});
    }
    rig.vi->queue_tx(bytes);
    if (i % 3 == 0) bytes.insert(bytes.begin() + 12, {0x81, 0x00, 0x00, 0x09});
    expected.push_back(bytes);
  }
  rig.vi->ring_tx();
  run_ns(150000);
  ASSERT_EQ(rig.a.wire.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(rig.a.wire[i].frame->bytes, expected[i]) << i;
  EXPECT_EQ(rig.last_completion(), rig.vi->tx_idx);
  rig.expect_accounts();
}

TEST(TxCutThroughTest, SourceIsCheckedBeforeTheFirstBit) {
  CutThroughRig rig(checked());
  queue_long(rig, long_frame(9000));
  rig.vi->ring_tx();
  run_ns(20000);
  EXPECT_TRUE(rig.a.wire.empty());
  EXPECT_EQ(rig.a.counter("drops.TX_BAD_SOURCE"), 1u);
  EXPECT_EQ(rig.last_completion(), 1u);
}

TEST(TxCutThroughTest, RestThatCannotBeReadDamagesTheFrameAndIsCounted) {
  CutThroughRig rig;
  // The domain reaches beyond the host's memory: the link answers for the first fragment only.
  pst_command map = make_command(PST_COMMAND_TRANSLATION_MAP, rig.vi->pd);
  pst_translation_map_set_domain_address(&map, 0x40000000);
  pst_translation_map_set_host_address(&map, rig.a.memory.size());
  pst_translation_map_set_length_bytes(&map, 0x2000);
  ASSERT_EQ(rig.a.status(map), PST_ERROR_CODE_OK);
  const auto bytes = long_frame(1000);
  std::memcpy(rig.a.memory.data() + rig.vi->base + kTxBuffers, bytes.data(), bytes.size());
  rig.vi->queue_desc(rig.desc(kTxBuffers, 1000, false));
  rig.vi->queue_desc(rig.desc(0x40000000, 8000, true));
  rig.vi->ring_tx();
  rig.expect_error(PST_ERROR_CODE_DMA_FAULT, 1);
  ASSERT_EQ(rig.a.wire.size(), 1u);
  const auto& frame = *rig.a.wire[0].frame;
  EXPECT_TRUE(frame.bad_fcs);
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.begin() + 256, frame.bytes.begin()));
  EXPECT_EQ(rig.a.counter("tx.cut_short"), 1u);
  EXPECT_EQ(rig.a.counter("tx.frames"), 0u);
  EXPECT_EQ(rig.a.counter("drops.TX_DMA_FAULT"), 1u);
  rig.expect_accounts();
}

TEST(TxCutThroughTest, LineRateThatChangesInBetweenLosesNothing) {
  CutThroughRig rig;
  ASSERT_TRUE(rig.a.nic.set_property("mac_port.rate_mbps", 1000));
  ASSERT_TRUE(rig.a.nic.set_property("pcie_link.lanes", 1));
  const auto bytes = long_frame(9000);
  queue_long(rig, bytes);
  rig.vi->ring_tx();
  run_ns(1200);  // reads are planned
  ASSERT_TRUE(rig.a.nic.set_property("mac_port.rate_mbps", 100000));
  run_ns(200000);
  ASSERT_EQ(rig.a.wire.size(), 1u);
  EXPECT_EQ(rig.a.wire[0].frame->bytes, bytes);
  EXPECT_EQ(rig.last_completion(), 1u);
  EXPECT_LE(rig.stamp(0, sim::Stage::kPayloadFetched), rig.a.wire[0].time_ps);
}

TEST(TxCutThroughTest, TeardownWaitsForTheRestOfAFrame) {
  CutThroughRig rig;
  ASSERT_TRUE(rig.a.nic.set_property("mac_port.rate_mbps", 1000));
  queue_long(rig, long_frame(9000));
  rig.vi->ring_tx();
  run_ns(1700);  // the head has arrived
  ASSERT_EQ(rig.a.status(make_command(PST_COMMAND_VI_FREE, rig.vi->id)), PST_ERROR_CODE_OK);
  rig.a.record_dma = true;
  run_ns(200000);
  EXPECT_TRUE(rig.a.dma.empty());  // R10
  rig.expect_accounts();
}

}  // namespace
}  // namespace postern::hw_model::test
