// Transmit: scatter-gather, checksums, VLAN, source check (R9), completions, errors of descriptors (R12) and their
// drops.
#include <gtest/gtest.h>

#include <set>

#include "tests/hw_model/nic_bench.h"

namespace postern::hw_model::test {
namespace {

struct Rig {
  explicit Rig(const ViOptions& options = {}) : a("a", kMacA) {
    a.enable_admin();
    vi = std::make_unique<TestVi>(a, 0, options);
  }
  pst_tx_desc desc(uint64_t address, uint32_t bytes, bool end) {
    pst_tx_desc d{};
    pst_tx_desc_set_address(&d, address);
    pst_tx_desc_set_length_bytes(&d, bytes);
    pst_tx_desc_set_end_of_packet(&d, end);
    return d;
  }
  void grant(unsigned family, uint64_t address) {
    pst_command c = make_command(PST_COMMAND_SOURCE_GRANT, vi->id);
    pst_source_grant_set_family(&c, family);
    pst_source_grant_set_address_lo(&c, address);
    EXPECT_EQ(a.status(c), PST_ERROR_CODE_OK);
  }
  // Sends, lets it finish and returns the index of the last completion.
  uint32_t send(const std::vector<uint8_t>& bytes) {
    vi->send(bytes);
    run_ns(10000);
    return last_completion();
  }
  uint32_t last_completion() {
    for (const auto& event : vi->events()) {
      if (pst_event_get_type(&event) != PST_EVENT_TYPE_TX) continue;
      const pst_tx_event tx{{event.word[0], event.word[1]}};
      completed = static_cast<uint32_t>(pst_tx_event_get_tx_consumer_idx(&tx));
    }
    vi->return_space();
    return completed;
  }
  void expect_error(unsigned code, uint32_t index) {
    run_ns(10000);
    const auto events = vi->events();
    ASSERT_FALSE(events.empty());
    const pst_error_event error{{events.back().word[0], events.back().word[1]}};
    EXPECT_EQ(pst_error_event_get_type(&error), PST_EVENT_TYPE_ERROR);
    EXPECT_EQ(pst_error_event_get_source(&error), PST_ERROR_SOURCE_TX);
    EXPECT_EQ(pst_error_event_get_code(&error), code);
    EXPECT_EQ(pst_error_event_get_index(&error), index);
  }
  FreshKernel kernel;
  Node a;
  std::unique_ptr<TestVi> vi;
  uint32_t completed = 0;
};

ViOptions checked() {
  ViOptions options;
  options.any_source = false;
  return options;
}

constexpr uint64_t kIpAWire = 0x0100090a;  // 10.9.0.1, byte 0 in bits 7..0

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

TEST(TxDmaTest, VisShareThePortInTurn) {
  Rig rig;
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

TEST(TxDmaTest, WeightsShareThePort) {
  ViOptions heavy, light;
  heavy.weight = 3;
  heavy.tx_entries = light.tx_entries = 512;
  Rig rig(heavy);
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

TEST(TxDmaTest, RateLimitSpacesPackets) {
  ViOptions limited;
  limited.rate_limit_mbps = 1000;
  Rig rig(limited);
  UdpSpec spec;
  spec.frame_bytes = 1250;
  for (int i = 0; i < 50; ++i) rig.vi->queue_tx(udp_frame(spec));
  rig.vi->ring_tx();
  run_ns(1'000'000);
  ASSERT_EQ(rig.a.wire.size(), 50u);
  EXPECT_NEAR(static_cast<double>(rig.a.wire.back().time_ps - rig.a.wire.front().time_ps), 49 * 10e6, 1e6);
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

}  // namespace
}  // namespace postern::hw_model::test
