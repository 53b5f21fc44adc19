// Transmit: scatter-gather, checksums, VLAN, source check (R9), completions, errors of descriptors (R12) and their
// drops.
#include <gtest/gtest.h>

#include <set>

#include "tests/hw_model/tx_rig.h"

namespace postern::hw_model::test {
namespace {

using Rig = TxRig;

TEST(TxDmaTest, GathersAPacketFromManyFragments) {
  Rig rig;
  UdpSpec spec;
  spec.frame_bytes = 1000;
  const auto bytes = udp_frame(spec);
  std::memcpy(rig.a.memory.data() + rig.vi->base + kTxBuffers, bytes.data(), bytes.size());
  uint32_t position = 0;
  for (int i = 0; i < 31; ++i, position += 20) rig.vi->queue_desc(rig.desc(kTxBuffers + position, 20, false));
  rig.vi->queue_desc(rig.desc(kTxBuffers + position, 1000 - position, true));
  rig.vi->ring_tx();
  run_ns(10000);
  ASSERT_EQ(rig.a.wire.size(), 1u);
  EXPECT_EQ(rig.a.wire[0].frame->bytes, bytes);
  EXPECT_EQ(rig.last_completion(), 32u);
}

TEST(TxDmaTest, ShortFramesArePaddedWithZeros) {
  Rig rig;
  rig.send(std::vector<uint8_t>(20, 0x55));
  ASSERT_EQ(rig.a.wire.size(), 1u);
  ASSERT_EQ(rig.a.wire[0].frame->bytes.size(), 60u);
  EXPECT_EQ(rig.a.wire[0].frame->bytes[20], 0);
  EXPECT_EQ(rig.a.wire[0].frame->bytes[59], 0);
}

TEST(TxDmaTest, InsertsBothChecksums) {
  Rig rig;
  for (const uint8_t protocol : {uint8_t{17}, uint8_t{6}}) {
    UdpSpec spec;
    spec.frame_bytes = 201;
    spec.protocol = protocol;
    const auto expected = udp_frame(spec);
    spec.checksums = false;
    rig.vi->queue_tx(udp_frame(spec), [](pst_tx_desc& d) {
      pst_tx_desc_set_checksum_l3(&d, 1);
      pst_tx_desc_set_checksum_l4(&d, 1);
    });
    rig.vi->ring_tx();
    run_ns(5000);
    ASSERT_FALSE(rig.a.wire.empty());
    EXPECT_EQ(rig.a.wire.back().frame->bytes, expected) << int{protocol};
  }
}

TEST(TxDmaTest, OptionDescriptorInsertsAVlanTag) {
  Rig rig;
  pst_tx_option_desc option{};
  pst_tx_option_desc_set_type(&option, PST_TX_DESC_TYPE_OPTION);
  pst_tx_option_desc_set_vlan_insert(&option, 1);
  pst_tx_option_desc_set_vlan_tci(&option, 0x2064);
  rig.vi->queue_desc({{option.word[0], option.word[1]}});
  const auto bytes = udp_frame();
  rig.send(bytes);
  ASSERT_EQ(rig.a.wire.size(), 1u);
  const auto& sent = rig.a.wire[0].frame->bytes;
  ASSERT_EQ(sent.size(), bytes.size() + 4);
  EXPECT_EQ(be16(&sent[12]), 0x8100u);
  EXPECT_EQ(be16(&sent[14]), 0x2064u);
  EXPECT_TRUE(std::equal(bytes.begin() + 12, bytes.end(), sent.begin() + 16));
  EXPECT_EQ(rig.completed, 2u);
}

TEST(TxDmaTest, ForeignMacSourceIsDroppedAndStillCompletes) {
  Rig rig(checked());
  UdpSpec spec;
  spec.source = kMacB;
  EXPECT_EQ(rig.send(udp_frame(spec)), 1u);
  EXPECT_TRUE(rig.a.wire.empty());
  EXPECT_EQ(rig.a.counter("drops.TX_BAD_SOURCE"), 1u);
}

TEST(TxDmaTest, Ipv4SourceNeedsAGrant) {
  Rig rig(checked());
  rig.send(udp_frame());
  EXPECT_TRUE(rig.a.wire.empty());
  rig.grant(PST_ADDRESS_FAMILY_IPV4, kIpAWire);
  EXPECT_EQ(rig.send(udp_frame()), 2u);
  EXPECT_EQ(rig.a.wire.size(), 1u);
  UdpSpec spec;
  spec.source_ip = kIpB;
  EXPECT_EQ(rig.send(udp_frame(spec)), 3u);
  EXPECT_EQ(rig.a.wire.size(), 1u);
  EXPECT_EQ(rig.a.counter("drops.TX_BAD_SOURCE"), 2u);
}

TEST(TxDmaTest, ArpSenderNeedsTheGrantsToo) {
  Rig rig(checked());
  rig.grant(PST_ADDRESS_FAMILY_IPV4, kIpAWire);
  rig.send(arp_frame(kMacA, kIpA, kIpB));
  EXPECT_EQ(rig.a.wire.size(), 1u);
  rig.send(arp_frame(kMacA, 0, kIpB));  // a probe claims no address
  EXPECT_EQ(rig.a.wire.size(), 2u);
  rig.send(arp_frame(kMacA, kIpB, kIpA));
  auto forged = arp_frame(kMacA, kIpA, kIpB);
  forged[27] ^= 1;  // sender hardware address inside the ARP packet
  rig.send(forged);
  EXPECT_EQ(rig.a.wire.size(), 2u);
  EXPECT_EQ(rig.a.counter("drops.TX_BAD_SOURCE"), 2u);
}

TEST(TxDmaTest, SourceCannotHideBehindVlanTags) {
  Rig rig(checked());
  UdpSpec spec;
  for (int tags = 1; tags <= 3; ++tags) {
    auto bytes = udp_frame(spec);
    for (int i = 0; i < tags; ++i) bytes.insert(bytes.begin() + 12, {0x81, 0x00, 0x00, 0x05});
    rig.send(bytes);
  }
  EXPECT_TRUE(rig.a.wire.empty());
  EXPECT_EQ(rig.a.counter("drops.TX_BAD_SOURCE"), 3u);
}

TEST(TxDmaTest, MalformedIpv4DoesNotPassTheSourceCheck) {
  Rig rig(checked());
  rig.grant(PST_ADDRESS_FAMILY_IPV4, kIpAWire);
  auto bytes = udp_frame();
  bytes[14] = 0x44;  // header of 16 bytes
  rig.send(bytes);
  EXPECT_TRUE(rig.a.wire.empty());
}

TEST(TxDmaTest, FramesOutsideTheLengthLimitsAreDroppedAndComplete) {
  Rig rig;
  EXPECT_EQ(rig.send(std::vector<uint8_t>(13, 1)), 1u);
  EXPECT_EQ(rig.send(std::vector<uint8_t>(1515, 1)), 2u);  // no tag: 1501 bytes of payload
  EXPECT_EQ(rig.send(std::vector<uint8_t>(1600, 1)), 3u);
  EXPECT_EQ(rig.send(std::vector<uint8_t>(1514, 1)), 4u);
  EXPECT_EQ(rig.a.wire.size(), 1u);
  EXPECT_EQ(rig.a.counter("drops.TX_BAD_LENGTH"), 3u);
}

TEST(TxDmaTest, CompletionsAreBatchedUnlessAsked) {
  Rig rig;
  for (int i = 0; i < 64; ++i) rig.vi->queue_tx(udp_frame());
  rig.vi->ring_tx();
  run_ns(20000);
  const auto batched = rig.vi->events();
  EXPECT_EQ(batched.size(), 4u);
  const pst_tx_event last{{batched.back().word[0], batched.back().word[1]}};
  EXPECT_EQ(pst_tx_event_get_tx_consumer_idx(&last), 64u);
  rig.vi->return_space();
  for (int i = 0; i < 10; ++i) rig.vi->queue_tx(udp_frame(), [](pst_tx_desc& d) { pst_tx_desc_set_complete(&d, 1); });
  rig.vi->ring_tx();
  run_ns(20000);
  EXPECT_EQ(rig.vi->events().size(), 10u);
}

TEST(TxDmaTest, TimestampIsTheTimeOfTheFirstBit) {
  Rig rig;
  rig.vi->queue_tx(udp_frame(), [](pst_tx_desc& d) { pst_tx_desc_set_timestamp(&d, 1); });
  rig.vi->ring_tx();
  run_ns(5000);
  const auto events = rig.vi->events();
  ASSERT_EQ(events.size(), 1u);
  const pst_tx_event tx{{events[0].word[0], events[0].word[1]}};
  EXPECT_EQ(pst_tx_event_get_timestamp_valid(&tx), 1u);
  EXPECT_EQ(pst_tx_event_get_timestamp_ns(&tx),
            rig.a.wire[0].frame->stamps_ps[static_cast<size_t>(sim::Stage::kWireFirstBit)] / 1000);
}

TEST(TxDmaTest, ZeroLengthFragmentHaltsTheVi) {
  Rig rig;
  rig.vi->queue_desc(rig.desc(kTxBuffers, 0, true));
  rig.vi->ring_tx();
  rig.expect_error(PST_ERROR_CODE_BAD_DESCRIPTOR, 0);
}

TEST(TxDmaTest, ReservedBitsHaltTheVi) {
  Rig rig;
  pst_tx_desc bad = rig.desc(kTxBuffers, 60, true);
  pst_tx_desc_set_reserved(&bad, 1ull << 39);
  rig.vi->queue_desc(bad);
  rig.vi->ring_tx();
  rig.expect_error(PST_ERROR_CODE_BAD_DESCRIPTOR, 0);
}

TEST(TxDmaTest, TooManyFragmentsHaltTheVi) {
  Rig rig;
  for (int i = 0; i < 33; ++i) rig.vi->queue_desc(rig.desc(kTxBuffers, 40, i == 32));
  rig.vi->ring_tx();
  rig.expect_error(PST_ERROR_CODE_BAD_DESCRIPTOR, 0);
  EXPECT_TRUE(rig.a.wire.empty());
}

TEST(TxDmaTest, OptionInsideAPacketHaltsTheVi) {
  Rig rig;
  rig.vi->queue_desc(rig.desc(kTxBuffers, 40, false));
  pst_tx_option_desc option{};
  pst_tx_option_desc_set_type(&option, PST_TX_DESC_TYPE_OPTION);
  rig.vi->queue_desc({{option.word[0], option.word[1]}});
  rig.vi->ring_tx();
  rig.expect_error(PST_ERROR_CODE_BAD_DESCRIPTOR, 0);
}

TEST(TxDmaTest, SegmentationWithoutAnMssHaltsTheVi) {
  Rig rig;
  rig.vi->queue_tx(udp_frame(), [](pst_tx_desc& d) { pst_tx_desc_set_segment(&d, 1); });
  rig.vi->ring_tx();
  rig.expect_error(PST_ERROR_CODE_BAD_DESCRIPTOR, 0);
}

TEST(TxDmaTest, PacketWaitsForItsLastFragment) {
  Rig rig;
  rig.vi->queue_desc(rig.desc(kTxBuffers, 60, false));
  rig.vi->ring_tx();
  run_ns(5000);
  EXPECT_TRUE(rig.a.wire.empty());
  EXPECT_TRUE(rig.vi->events().empty());
  rig.vi->queue_desc(rig.desc(kTxBuffers, 60, true));
  rig.vi->ring_tx();
  run_ns(5000);
  ASSERT_EQ(rig.a.wire.size(), 1u);
  EXPECT_EQ(rig.a.wire[0].frame->bytes.size(), 120u);
}

TEST(TxDmaTest, EveryPacketIsSentOrCountedOnce) {
  Rig rig(checked());
  rig.grant(PST_ADDRESS_FAMILY_IPV4, kIpAWire);
  for (int i = 0; i < 60; ++i) {
    UdpSpec spec;
    if (i % 5 == 1) spec.source_ip = kIpB;
    spec.frame_bytes = i % 7 == 2 ? 1600 : 60;
    rig.vi->queue_tx(udp_frame(spec));
  }
  rig.vi->queue_desc(rig.desc(0x7000000, 60, true));  // not mapped
  rig.vi->queue_tx(udp_frame());
  rig.vi->ring_tx();
  run_ns(100000);
  EXPECT_EQ(rig.a.counter("tx.packets"), 62u);
  EXPECT_EQ(rig.a.counter("tx.packets"), rig.a.counter("tx.frames") + rig.a.drops_total("TX"));
  EXPECT_EQ(rig.a.counter("drops.TX_DMA_FAULT"), 1u);
}

TEST(TxDmaTest, InsertedTagCountsTowardsTheLongestFrame) {
  SegmentRig rig;
  rig.set_mtu(9216);
  // 9216 bytes of payload behind one tag are the limit; a tag that is inserted besides is too much.
  for (const int tags : {0, 1}) {
    auto bytes = std::vector<uint8_t>(9216 + 14, 0x02);
    bytes[12] = 0x88;
    bytes[13] = 0xb5;
    if (tags == 1) bytes.insert(bytes.begin() + 12, {0x81, 0x00, 0x00, 0x07});
    std::memcpy(rig.a.memory.data() + rig.vi->base + kTxBuffers, bytes.data(), bytes.size());
    pst_tx_option_desc option{};
    pst_tx_option_desc_set_type(&option, PST_TX_DESC_TYPE_OPTION);
    pst_tx_option_desc_set_vlan_insert(&option, 1);
    rig.vi->queue_desc({{option.word[0], option.word[1]}});
    rig.vi->queue_desc(rig.desc(kTxBuffers, static_cast<uint32_t>(bytes.size()), true));
    rig.vi->ring_tx();
    run_ns(30000);
  }
  ASSERT_EQ(rig.a.wire.size(), 1u);
  EXPECT_EQ(rig.a.wire[0].frame->bytes.size(), PST_LIMIT_FRAME_BYTES_MAX);
  EXPECT_EQ(rig.a.counter("drops.TX_BAD_LENGTH"), 1u);
}

// --- loopback and copies ---------------------------------------------------------------------------------------------

TEST(TxLoopbackTest, VisOfOnePortReachEachOtherInside) {
  SegmentRig rig;
  rig.set_mtu(1500, true);
  TestVi receiver(rig.a, 1);
  ASSERT_EQ(receiver.add_filter(PST_FILTER_MATCH_LISTENER_ANY,
                                [](pst_command& c) { pst_filter_insert_set_local_port(&c, 2000); }),
            0u);
  receiver.post_rx(8);
  UdpSpec spec;
  spec.destination = kMacA;
  const auto bytes = udp_frame(spec);
  rig.vi->send(bytes);
  run_ns(5000);
  ASSERT_EQ(receiver.events().size(), 1u);
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), receiver.rx_buffer(0)));
  rig.vi->send(udp_frame());  // for another port: leaves
  run_ns(5000);
  EXPECT_EQ(rig.a.wire.size(), 1u);
  EXPECT_EQ(rig.a.counter("tx.loopback"), 1u);
  EXPECT_TRUE(receiver.events().empty());
}

TEST(TxLoopbackTest, MulticastLeavesAndVisOfOtherPortsGetCopies) {
  SegmentRig rig({}, true);
  rig.set_mtu(1500, true);
  std::unique_ptr<TestVi> receivers[3];
  for (uint32_t i = 0; i < 3; ++i) {
    receivers[i] = std::make_unique<TestVi>(*rig.b, i);
    ASSERT_EQ(receivers[i]->add_filter(PST_FILTER_MATCH_MULTICAST_DEFAULT,
                                       [](pst_command& c) { pst_filter_insert_set_replicate(&c, 1); }),
              0u);
    receivers[i]->post_rx(4);
  }
  UdpSpec spec;
  spec.destination = {0x01, 0x00, 0x5e, 0x00, 0x00, 0x05};
  const auto bytes = udp_frame(spec);
  rig.vi->send(bytes);
  run_ns(6000);
  EXPECT_EQ(rig.a.wire.size(), 1u);
  for (const auto& receiver : receivers) {
    EXPECT_EQ(receiver->events().size(), 1u);
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), receiver->rx_buffer(0)));
  }
}

}  // namespace
}  // namespace postern::hw_model::test
