// Transmit: scatter-gather, checksums, VLAN, source check (R9), completions, errors of descriptors (R12) and their
// drops.
#include <gtest/gtest.h>

#include <set>

#include "tests/hw_model/nic_bench.h"

namespace postern::hw_model::test {
namespace {

struct Rig {
  // with_peer: a second NIC at the other end of the wire.
  explicit Rig(const ViOptions& options = {}, bool with_peer = false) : a("a", kMacA) {
    if (with_peer) {
      b = std::make_unique<Node>("b", kMacB);
      b->enable_admin();
      a.peer = b.get();
    }
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
  std::unique_ptr<Node> b;
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

// --- segmentation ----------------------------------------------------------------------------------------------------

// A TCP packet over IPv4 for segmentation; its length and checksum fields hold nothing useful.
std::vector<uint8_t> tcp_packet(uint32_t payload_bytes) {
  UdpSpec spec;
  spec.protocol = 6;
  spec.checksums = false;
  spec.frame_bytes = 54 + payload_bytes;
  auto bytes = udp_frame(spec);
  bytes[46] = 0x50;
  bytes[47] = 0x18;
  return bytes;
}

struct SegmentRig : Rig {
  using Rig::Rig;
  // Puts the packet into memory and queues it in fragments of fragment_bytes.
  void queue(const std::vector<uint8_t>& packet, uint32_t mss_bytes, uint32_t fragment_bytes, uint32_t vlan_tci = 0) {
    std::memcpy(a.memory.data() + vi->base + kTxBuffers, packet.data(), packet.size());
    pst_tx_option_desc option{};
    pst_tx_option_desc_set_type(&option, PST_TX_DESC_TYPE_OPTION);
    pst_tx_option_desc_set_mss_bytes(&option, mss_bytes);
    pst_tx_option_desc_set_vlan_insert(&option, vlan_tci != 0);
    pst_tx_option_desc_set_vlan_tci(&option, vlan_tci);
    vi->queue_desc({{option.word[0], option.word[1]}});
    for (uint32_t position = 0; position < packet.size(); position += fragment_bytes) {
      const auto left = static_cast<uint32_t>(packet.size() - position);
      pst_tx_desc d = desc(kTxBuffers + position, std::min(left, fragment_bytes), left <= fragment_bytes);
      if (position == 0) {
        pst_tx_desc_set_segment(&d, 1);
        pst_tx_desc_set_checksum_l3(&d, 1);
        pst_tx_desc_set_checksum_l4(&d, 1);
        pst_tx_desc_set_timestamp(&d, 1);
      }
      vi->queue_desc(d);
    }
  }
  // Payload of all frames that left, in order; the headers are headers_bytes long.
  std::vector<uint8_t> payload(size_t header_bytes) {
    std::vector<uint8_t> out;
    for (const auto& sent : a.wire) {
      const auto& bytes = sent.frame->bytes;
      const size_t end = 14 + (header_bytes - 54) + be16(&bytes[16 + header_bytes - 54]);  // without padding
      out.insert(out.end(), bytes.begin() + static_cast<std::ptrdiff_t>(header_bytes),
                 bytes.begin() + static_cast<std::ptrdiff_t>(end));
    }
    return out;
  }
  void set_mtu(uint32_t bytes, bool loopback = false) {
    pst_command c = make_command(PST_COMMAND_PORT_CONFIG);
    pst_port_config_set_mtu_bytes(&c, bytes);
    pst_port_config_set_loopback(&c, loopback);
    ASSERT_EQ(a.status(c), PST_ERROR_CODE_OK);
  }
  void expect_accounts() {
    EXPECT_EQ(a.counter("tx.packets") + a.counter("tx.extra_frames"),
              a.counter("tx.frames") + a.counter("tx.loopback") + a.drops_total("TX"));
  }
};

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
  rig.a.nic.wire_export->set_link(false);
  run_ns(3000);
  rig.a.nic.wire_export->set_link(true);
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
  EXPECT_NEAR(static_cast<double>(first_bit_ps[0] - first_bit_ps[1]), 1290e3, 80e3);
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

// --- scheduling ------------------------------------------------------------------------------------------------------

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
    Rig rig(limited);
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
  Rig rig(limited);
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
