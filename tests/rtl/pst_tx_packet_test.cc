// pst_tx_packet under Verilator: verdicts (R9, lengths), padding, tags, checksums, segmentation; random packets with
// random back-pressure; that the clock may stand when quiet_o says so; and rates.
#include <gtest/gtest.h>

#include <cstdint>

#include "tests/rtl/tx_packet_bench.h"
#include "tests/rtl/tx_packet_builder.h"

namespace postern::rtl_test {
namespace {

using namespace hw_model;

constexpr uint64_t kOtherMac = 0x0000'1111'1111'1112;
constexpr uint64_t kIpv6High = 0x0000'0000'0000'80fe;
constexpr uint16_t kVi = 5;
constexpr uint32_t kVlanInsertBytes = 4;

Grant mac_grant(uint64_t mac) { return {PST_ADDRESS_FAMILY_MAC, mac, 0}; }
Grant ipv4_grant(uint32_t ip) { return {PST_ADDRESS_FAMILY_IPV4, static_cast<uint64_t>(__builtin_bswap32(ip)), 0}; }
Grant ipv6_grant(uint8_t last) { return {PST_ADDRESS_FAMILY_IPV6, kIpv6High, static_cast<uint64_t>(last) << 56}; }

class TxPacketTest : public ::testing::Test {
 protected:
  TxPacketTest() {
    grant(0, ipv4_grant(PacketShape{}.source_ip));
    grant(1, ipv6_grant(PacketShape{}.source_ipv6_last));
  }
  void grant(uint32_t n, const Grant& grant, uint32_t vi = kVi) { bench.set_grant(vi, n, &grant); }
  TxPacket packet(const PacketShape& shape) {
    TxPacket packet;
    packet.bytes = builder.build(shape);
    packet.vi = kVi;
    packet.gap_bytes = builder.below(64);
    return packet;
  }
  // Sends one packet and says why it was dropped (-1: it was not).
  int fate(const TxPacket& packet) {
    bench.send(packet);
    bench.check();
    return bench.last_reason();
  }
  int fate(const PacketShape& shape) { return fate(packet(shape)); }

  TxPacketBench bench;
  PacketBuilder builder{1};
};

// --- frames as they are

TEST_F(TxPacketTest, PlainFrameLeavesUnchangedFromEveryLane) {
  for (uint32_t lane = 0; lane < kLineBytes; ++lane) {
    for (const uint32_t payload_bytes : {60u - 54, 64u - 54, 65u - 54, 200u}) {
      TxPacket next = packet({.payload_bytes = payload_bytes});
      next.gap_bytes = lane;
      bench.send(next);
    }
  }
  bench.check();
  EXPECT_EQ(bench.frames.size(), 4 * kLineBytes);
}

TEST_F(TxPacketTest, EveryLengthLeavesWithTheRightLastBeat) {
  for (uint32_t bytes = 14; bytes < 300; ++bytes) {
    TxPacket next = packet({.ethertype = 0x88b5, .payload_bytes = bytes - 14});
    next.vlan_insert = bytes % 3 == 0;
    bench.send(next);
  }
  bench.check();
}

TEST_F(TxPacketTest, ShortFrameIsPaddedWithZeros) {
  ASSERT_EQ(fate({.ethertype = 0x88b5, .payload_bytes = 1}), -1);
  ASSERT_EQ(bench.frames[0].bytes.size(), 60u);
  EXPECT_EQ(Bytes(bench.frames[0].bytes.begin() + 15, bench.frames[0].bytes.end()), Bytes(45, 0));
}

TEST_F(TxPacketTest, PacketsWrapAroundTheBuffer) {
  bench.set_port(9216, bench.reference.mac_address);
  for (int i = 0; i < 40; ++i) {
    TxPacket next = packet({.payload_bytes = 9000});
    next.l4 = i % 2 == 0;
    bench.send(next);
  }
  bench.check();
}

TEST_F(TxPacketTest, DecidedDropIsAnsweredInOrderAndReadsNothing) {
  TxPacket dropped = packet({});
  dropped.drop_reason = PST_DROP_REASON_TX_DMA_FAULT;
  EXPECT_EQ(fate(dropped), PST_DROP_REASON_TX_DMA_FAULT);
  EXPECT_EQ(bench.read_count, 0u);
  for (int i = 0; i < 6; ++i) {
    bench.send(packet({.payload_bytes = 300}));
    dropped.drop_reason = i % 2 ? PST_DROP_REASON_TX_BAD_LENGTH : PST_DROP_REASON_TX_VI_HALTED;
    bench.send(dropped);
  }
  bench.check();
}

TEST_F(TxPacketTest, PlainPacketReadsOnlyItsHeaderForTheVerdict) {
  TxPacket next = packet({.payload_bytes = 1000});
  next.gap_bytes = 0;
  EXPECT_EQ(fate(next), -1);
  EXPECT_EQ(bench.read_count, 1u + (1054 + 63) / 64);
}

// --- lengths

TEST_F(TxPacketTest, FrameLongerThanTheMtuIsDropped) {
  EXPECT_EQ(fate({.payload_bytes = 1460}), -1);
  EXPECT_EQ(fate({.payload_bytes = 1461}), PST_DROP_REASON_TX_BAD_LENGTH);
}

TEST_F(TxPacketTest, TagsInTheFrameDoNotCountForTheMtu) {
  EXPECT_EQ(fate({.tags = {kEthertypeVlan}, .payload_bytes = 1460}), -1);
  EXPECT_EQ(fate({.tags = {kEthertypeServiceVlan, kEthertypeVlan}, .payload_bytes = 1460}), -1);
  EXPECT_EQ(fate({.tags = {kEthertypeServiceVlan, kEthertypeVlan}, .payload_bytes = 1461}),
            PST_DROP_REASON_TX_BAD_LENGTH);
}

TEST_F(TxPacketTest, FrameMayNotExceedTheLongestEvenByAnInsertedTag) {
  bench.set_port(65535, bench.reference.mac_address);
  TxPacket longest = packet({.payload_bytes = PST_LIMIT_FRAME_BYTES_MAX - 54});
  EXPECT_EQ(fate(longest), -1);
  longest.vlan_insert = true;
  EXPECT_EQ(fate(longest), PST_DROP_REASON_TX_BAD_LENGTH);
  EXPECT_EQ(fate({.payload_bytes = PST_LIMIT_FRAME_BYTES_MAX - 53}), PST_DROP_REASON_TX_BAD_LENGTH);
}

TEST_F(TxPacketTest, LengthIsCheckedBeforeTheSource) {
  EXPECT_EQ(fate({.source_ip = 1, .payload_bytes = 1461}), PST_DROP_REASON_TX_BAD_LENGTH);
}

// --- sources (R9)

TEST_F(TxPacketTest, SourceMacMustBeThePortsOrGranted) {
  EXPECT_EQ(fate({.source_mac = kOtherMac}), PST_DROP_REASON_TX_BAD_SOURCE);
  grant(7, mac_grant(kOtherMac));
  EXPECT_EQ(fate({.source_mac = kOtherMac}), -1);
  EXPECT_EQ(fate({.source_mac = kOtherMac ^ 1ull << 47}), PST_DROP_REASON_TX_BAD_SOURCE);
}

TEST_F(TxPacketTest, EachOfTheEightGrantsCounts) {
  for (uint32_t n = 0; n < PST_LIMIT_SOURCE_GRANT_MAX; ++n) {
    bench.set_grant(kVi, n, nullptr);
  }
  for (uint32_t n = 0; n < PST_LIMIT_SOURCE_GRANT_MAX; ++n) {
    const uint32_t ip = 0x0a000100 + n;
    EXPECT_EQ(fate({.source_ip = ip}), PST_DROP_REASON_TX_BAD_SOURCE);
    grant(n, ipv4_grant(ip));
    EXPECT_EQ(fate({.source_ip = ip}), -1);
  }
  bench.set_grant(kVi, 3, nullptr);
  EXPECT_EQ(fate({.source_ip = 0x0a000103}), PST_DROP_REASON_TX_BAD_SOURCE);
}

TEST_F(TxPacketTest, GrantOfAnotherViDoesNotCount) {
  grant(0, mac_grant(kOtherMac), kVi + 1);
  EXPECT_EQ(fate({.source_mac = kOtherMac}), PST_DROP_REASON_TX_BAD_SOURCE);
}

TEST_F(TxPacketTest, FamilyAndWholeAddressMustMatch) {
  grant(2, {PST_ADDRESS_FAMILY_MAC, 0x0000'0000'0300'000a, 0});  // 10.0.0.3 as a MAC address
  EXPECT_EQ(fate({.source_ip = 0x0a000003}), PST_DROP_REASON_TX_BAD_SOURCE);
  grant(3, {PST_ADDRESS_FAMILY_IPV4, 0x0300'000a, 1});
  EXPECT_EQ(fate({.source_ip = 0x0a000003}), PST_DROP_REASON_TX_BAD_SOURCE);
  EXPECT_EQ(fate({.ethertype = kEthertypeIpv6, .source_ipv6_last = 1}), -1);
  EXPECT_EQ(fate({.ethertype = kEthertypeIpv6, .source_ipv6_last = 2}), PST_DROP_REASON_TX_BAD_SOURCE);
  grant(4, {PST_ADDRESS_FAMILY_MAC, kOtherMac, 1});  // no MAC address has a high half
  EXPECT_EQ(fate({.source_mac = kOtherMac}), PST_DROP_REASON_TX_BAD_SOURCE);
}

TEST_F(TxPacketTest, ArpNeedsBothSenderAddresses) {
  const PacketShape good{.ethertype = kEthertypeArp, .payload_bytes = 18};
  EXPECT_EQ(fate(good), -1);
  PacketShape bad_mac = good, bad_ip = good, probe = good;
  bad_mac.arp_mac = kOtherMac;
  bad_ip.source_ip = 0x0a000009;
  probe.source_ip = 0;
  EXPECT_EQ(fate(bad_mac), PST_DROP_REASON_TX_BAD_SOURCE);
  EXPECT_EQ(fate(bad_ip), PST_DROP_REASON_TX_BAD_SOURCE);
  EXPECT_EQ(fate(probe), -1);
}

TEST_F(TxPacketTest, MalformedHeadersDoNotLeave) {
  EXPECT_EQ(fate({.version = 6}), PST_DROP_REASON_TX_BAD_SOURCE);
  EXPECT_EQ(fate({.ethertype = kEthertypeIpv6, .version = 4}), PST_DROP_REASON_TX_BAD_SOURCE);
  EXPECT_EQ(fate({.ip_length_offset = 1}), PST_DROP_REASON_TX_BAD_SOURCE);
  EXPECT_EQ(fate({.ethertype = kEthertypeIpv6, .ip_length_offset = 1}), PST_DROP_REASON_TX_BAD_SOURCE);
  EXPECT_EQ(fate({.ip_length_offset = -21}), PST_DROP_REASON_TX_BAD_SOURCE);
  for (const uint16_t ethertype : {kEthertypeIpv4, kEthertypeIpv6, kEthertypeArp, kEthertypeVlan}) {
    TxPacket cut = packet({.ethertype = ethertype});
    cut.bytes.resize(16);
    EXPECT_EQ(fate(cut), PST_DROP_REASON_TX_BAD_SOURCE);
  }
}

// What lies behind the packet in the buffer are bytes of an earlier one, which must not count.
TEST_F(TxPacketTest, PacketsCutAnywhereAreJudgedByTheirOwnBytes) {
  for (const uint16_t ethertype : {kEthertypeIpv4, kEthertypeIpv6, kEthertypeArp}) {
    for (uint32_t tags = 0; tags <= 3; ++tags) {
      for (const uint8_t protocol : {kProtocolTcp, kProtocolUdp}) {
        PacketShape shape{.ethertype = ethertype, .protocol = protocol, .payload_bytes = 20};
        shape.tags.assign(tags, kEthertypeVlan);
        for (uint32_t bytes = 14; bytes < 90; ++bytes) {
          TxPacket whole = packet(shape);
          TxPacket cut = whole;
          cut.bytes.resize(std::min<size_t>(bytes, cut.bytes.size()));
          cut.trailing = Bytes(whole.bytes.begin() + static_cast<ptrdiff_t>(cut.bytes.size()), whole.bytes.end());
          cut.any_source = bytes % 2 == 0;
          cut.segment = bytes % 3 == 0;
          cut.l3 = cut.l4 = true;
          cut.mss = 10;
          bench.send(cut);
        }
      }
    }
  }
  bench.check();
}

TEST_F(TxPacketTest, ThirdTagDoesNotLeave) {
  EXPECT_EQ(fate({.tags = {kEthertypeVlan, kEthertypeVlan}}), -1);
  EXPECT_EQ(fate({.tags = {kEthertypeVlan, kEthertypeVlan, kEthertypeVlan}}), PST_DROP_REASON_TX_BAD_SOURCE);
}

TEST_F(TxPacketTest, TrustedViSendsWhatItLikes) {
  for (const PacketShape& shape :
       {PacketShape{.source_mac = kOtherMac}, PacketShape{.version = 6}, PacketShape{.source_ip = 7},
        PacketShape{.tags = {kEthertypeVlan, kEthertypeVlan, kEthertypeVlan}}}) {
    TxPacket trusted = packet(shape);
    trusted.any_source = trusted.l3 = trusted.l4 = true;
    EXPECT_EQ(fate(trusted), -1);
  }
}

TEST_F(TxPacketTest, OtherEthertypesNeedOnlyTheMac) { EXPECT_EQ(fate({.ethertype = 0x88b5, .payload_bytes = 50}), -1); }

// --- checksums and tags

TEST_F(TxPacketTest, ChecksumsAreInsertedForEveryHeaderLayout) {
  for (const uint16_t ethertype : {kEthertypeIpv4, kEthertypeIpv6}) {
    for (const uint8_t protocol : {kProtocolTcp, kProtocolUdp, kProtocolIcmp}) {
      for (uint32_t tags = 0; tags <= 2; ++tags) {
        for (uint32_t options = 0; options <= (ethertype == kEthertypeIpv4 ? 40u : 0u); options += 4) {
          PacketShape shape{.ethertype = ethertype, .ip_option_bytes = options, .protocol = protocol};
          shape.tags.assign(tags, kEthertypeVlan);
          shape.payload_bytes = builder.below(200);
          TxPacket next = packet(shape);
          next.l3 = next.l4 = true;
          next.vlan_insert = builder.one_in(2);
          next.vlan_tci = static_cast<uint16_t>(builder.below(65536));
          bench.send(next);
        }
      }
    }
  }
  bench.check();
  EXPECT_EQ(bench.frames.size(), bench.verdicts.size());
}

TEST_F(TxPacketTest, EachChecksumIsInsertedOnlyIfAskedFor) {
  for (const bool l3 : {false, true}) {
    TxPacket next = packet({.payload_bytes = 100});
    next.l3 = l3;
    next.l4 = !l3;
    EXPECT_EQ(fate(next), -1);
    EXPECT_EQ(Bytes(&bench.frames.back().bytes[24], &bench.frames.back().bytes[26]) ==
                  Bytes(&next.bytes[24], &next.bytes[26]),
              !l3);
    EXPECT_EQ(Bytes(&bench.frames.back().bytes[50], &bench.frames.back().bytes[52]) ==
                  Bytes(&next.bytes[50], &next.bytes[52]),
              l3);
  }
}

TEST_F(TxPacketTest, ChecksumCoversOnlyWhatTheIpLengthSays) {
  TxPacket next = packet({.payload_bytes = 101, .trailer_bytes = 30});
  next.l4 = true;
  EXPECT_EQ(fate(next), -1);
}

TEST_F(TxPacketTest, FragmentGetsOnlyTheIpChecksum) {
  for (const uint16_t fragment : {0x2000, 0x0001, 0x4000}) {
    TxPacket next = packet({.fragment = fragment, .payload_bytes = 80});
    next.l3 = next.l4 = true;
    EXPECT_EQ(fate(next), -1);
  }
}

TEST_F(TxPacketTest, ChecksumOfZeroLeavesAsAllOnesWithUdpOnly) {
  for (const uint8_t protocol : {kProtocolUdp, kProtocolTcp}) {
    const auto field = protocol == kProtocolUdp ? 40 : 50;
    const auto payload = protocol == kProtocolUdp ? 42 : 54;
    TxPacket next = packet({.protocol = protocol, .payload_bytes = 32});
    next.l4 = true;
    next.bytes[payload] = next.bytes[payload + 1] = 0;
    ASSERT_EQ(fate(next), -1);
    // The checksum that came out, put into the payload, makes the sum all ones, of which the complement is 0.
    std::copy_n(bench.frames.back().bytes.begin() + field, 2, next.bytes.begin() + payload);
    ASSERT_EQ(fate(next), -1);
    const Bytes& frame = bench.frames.back().bytes;
    EXPECT_EQ(Bytes(&frame[field], &frame[field + 2]), Bytes(2, protocol == kProtocolUdp ? 0xff : 0));
  }
}

// --- segmentation

TEST_F(TxPacketTest, LongPacketIsCutAndEachSegmentIsRight) {
  for (const uint16_t ethertype : {kEthertypeIpv4, kEthertypeIpv6}) {
    TxPacket next =
        packet({.ethertype = ethertype, .tcp_option_bytes = 12, .tcp_flags = 0x99, .payload_bytes = 10 * 1400 + 7});
    next.segment = next.l3 = next.l4 = next.vlan_insert = true;
    next.vlan_tci = 0x4123;
    next.mss = 1400;
    EXPECT_EQ(fate(next), -1);
    EXPECT_EQ(bench.verdicts.back().frames, 11u);
  }
}

TEST_F(TxPacketTest, LongestPacketAndOddSegmentsAndAllHeaderLengths) {
  for (uint32_t options = 0; options <= 40; options += 4) {
    for (const uint16_t mss : {static_cast<uint16_t>(601), static_cast<uint16_t>(1400)}) {
      PacketShape shape{.ip_option_bytes = options, .tcp_option_bytes = 40 - options, .payload_bytes = 4000 + options};
      if (mss == 601) shape.tags = {kEthertypeVlan, kEthertypeServiceVlan};
      TxPacket next = packet(shape);
      next.segment = next.l3 = next.l4 = true;
      next.vlan_insert = options % 8 == 0;
      next.mss = mss;
      bench.send(next);
    }
  }
  TxPacket longest = packet({.payload_bytes = PST_LIMIT_TSO_BYTES_MAX - 54});
  longest.segment = longest.l3 = longest.l4 = true;
  longest.mss = 1460;
  bench.send(longest);
  bench.check();
}

TEST_F(TxPacketTest, SegmentationWithoutChecksumsCopiesTheirFields) {
  TxPacket next = packet({.payload_bytes = 3000});
  next.segment = true;
  next.mss = 1000;
  EXPECT_EQ(fate(next), -1);
}

TEST_F(TxPacketTest, SegmentsOfOneByteAndPacketsWithoutPayload) {
  for (const uint32_t payload_bytes : {0u, 1u, 2u, 77u}) {
    for (const uint16_t mss : {static_cast<uint16_t>(1), static_cast<uint16_t>(2), static_cast<uint16_t>(76)}) {
      TxPacket next = packet({.tcp_flags = 0xff, .payload_bytes = payload_bytes});
      next.segment = next.l3 = next.l4 = true;
      next.mss = mss;
      bench.send(next);
    }
  }
  bench.check();
  EXPECT_EQ(bench.verdicts.front().frames, 1u);
}

TEST_F(TxPacketTest, BadSegmentationIsDropped) {
  const auto bad = [&](const PacketShape& shape, uint16_t mss, bool vlan_insert = false) {
    TxPacket next = packet(shape);
    next.segment = true;
    next.mss = mss;
    next.vlan_insert = vlan_insert;
    return fate(next);
  };
  const int kBad = PST_DROP_REASON_TX_BAD_SEGMENT;
  EXPECT_EQ(bad({.protocol = kProtocolUdp, .payload_bytes = 3000}, 1000), kBad);
  EXPECT_EQ(bad({.ethertype = 0x88b5, .payload_bytes = 3000}, 1000), kBad);
  EXPECT_EQ(bad({.ethertype = kEthertypeArp, .payload_bytes = 3000}, 1000), kBad);
  EXPECT_EQ(bad({.fragment = 0x2000, .payload_bytes = 3000}, 1000), kBad);
  EXPECT_EQ(bad({.version = 5, .payload_bytes = 3000}, 1000), kBad);
  EXPECT_EQ(bad({.tags = {kEthertypeVlan, kEthertypeVlan, kEthertypeVlan}, .payload_bytes = 3000}, 1000), kBad);
  EXPECT_EQ(bad({.payload_bytes = 3000}, 0), kBad);
  EXPECT_EQ(bad({.payload_bytes = 3000}, 1460), -1);
  EXPECT_EQ(bad({.payload_bytes = 3000}, 1461), kBad);
  EXPECT_EQ(bad({.payload_bytes = 10}, 1461), kBad);  // by the MSS, whatever the payload
  EXPECT_EQ(bad({.payload_bytes = 3000, .ip_length_offset = 1234}, 1000), -1);
  EXPECT_EQ(bad({.source_mac = kOtherMac, .payload_bytes = 3000}, 1461), kBad);
  EXPECT_EQ(bad({.source_mac = kOtherMac, .payload_bytes = 3000}, 1460), PST_DROP_REASON_TX_BAD_SOURCE);
  bench.set_port(65535, bench.reference.mac_address);
  constexpr uint16_t kLongest = PST_LIMIT_FRAME_BYTES_MAX - 54;
  EXPECT_EQ(bad({.payload_bytes = 20000}, kLongest), -1);
  EXPECT_EQ(bad({.payload_bytes = 20000}, kLongest, true), kBad);
  EXPECT_EQ(bad({.payload_bytes = 20000}, kLongest - kVlanInsertBytes, true), -1);
  EXPECT_EQ(bad({.payload_bytes = 20000}, kLongest + 1), kBad);
  EXPECT_EQ(bad({.payload_bytes = 1000}, kLongest + 1), -1);
}

TEST_F(TxPacketTest, TcpHeaderLengthMustFit) {
  for (const uint8_t words : {4, 5, 6, 15}) {
    TxPacket next = packet({.payload_bytes = 39});
    next.bytes[46] = static_cast<uint8_t>(words << 4);
    next.segment = true;
    next.mss = 20;
    EXPECT_EQ(fate(next), words == 4 || words == 15 ? PST_DROP_REASON_TX_BAD_SEGMENT : -1);
  }
}

TEST_F(TxPacketTest, HeadersThatSegmentationAddsAreToldOfWhatHasNoSourceToo) {
  PacketShape shape{
      .tags = {kEthertypeVlan, kEthertypeVlan}, .ip_option_bytes = 40, .tcp_option_bytes = 40, .source_ip = 7};
  shape.payload_bytes = PST_LIMIT_TSO_BYTES_MAX - 142;
  TxPacket next = packet(shape);
  next.segment = true;
  next.mss = 1;
  EXPECT_EQ(fate(next), PST_DROP_REASON_TX_BAD_SOURCE);
  EXPECT_EQ(bench.verdicts.back().extra_bytes, (PST_LIMIT_TSO_BYTES_MAX - 143) * 142u);
}

// --- reset, and random packets

TEST_F(TxPacketTest, ResetAtAnyTimeForgetsWhatWasUnderWay) {
  for (int cycles = 1; cycles < 80; ++cycles) {
    for (int i = 0; i < 4; ++i) {
      TxPacket next = packet({.payload_bytes = 700});
      next.segment = i % 2 == 0;
      next.mss = 300;
      next.l3 = next.l4 = true;
      bench.send(next);
    }
    bench.port_ready = [&] { return builder.one_in(2); };
    for (int i = 0; i < cycles; ++i) bench.cycle();
    bench.reset();
    TxPacket next = packet({.payload_bytes = 300});
    next.segment = next.l3 = next.l4 = true;
    next.mss = 200;
    bench.send(next);
    bench.check();
    bench.reset();
  }
}

class TxPacketRandomTest : public TxPacketTest, public ::testing::WithParamInterface<uint32_t> {
 protected:
  TxPacketRandomTest() { builder = PacketBuilder(GetParam()); }

  TxPacket random_packet() {
    constexpr uint16_t kEthertypes[] = {kEthertypeIpv4, kEthertypeIpv4, kEthertypeIpv6, kEthertypeArp, 0x88b5};
    constexpr uint8_t kProtocols[] = {kProtocolTcp, kProtocolTcp, kProtocolTcp, kProtocolUdp, kProtocolIcmp, 50};
    PacketShape shape;
    shape.ethertype = kEthertypes[builder.below(5)];
    shape.protocol = kProtocols[builder.below(6)];
    shape.tags.assign(builder.one_in(3) ? builder.below(4) : 0,
                      builder.one_in(2) ? kEthertypeVlan : kEthertypeServiceVlan);
    shape.ip_option_bytes = builder.one_in(3) ? 4 * builder.below(11) : 0;
    shape.tcp_option_bytes = 4 * builder.below(11);
    shape.tcp_flags = static_cast<uint8_t>(builder.below(256));
    if (builder.one_in(12)) shape.fragment = static_cast<uint16_t>(builder.below(65536));
    if (builder.one_in(12)) shape.source_mac = kOtherMac;
    if (builder.one_in(12)) shape.source_ip += builder.below(4);
    if (builder.one_in(12)) shape.version = static_cast<uint8_t>(builder.below(16));
    if (builder.one_in(12)) shape.ip_length_offset = static_cast<int>(builder.below(60)) - 50;
    if (builder.one_in(6)) shape.trailer_bytes = builder.below(40);
    const bool segment = builder.one_in(3);
    shape.payload_bytes = builder.below(builder.one_in(3) ? (segment ? 6000 : 1500) : 120);
    TxPacket next = packet(shape);
    next.segment = segment;
    next.mss = static_cast<uint16_t>(builder.one_in(20) ? 0 : 20 + builder.below(1500));
    next.l3 = builder.one_in(2);
    next.l4 = builder.one_in(2);
    next.vlan_insert = builder.one_in(3);
    next.vlan_tci = static_cast<uint16_t>(builder.below(65536));
    next.any_source = builder.one_in(4);
    if (builder.one_in(25)) next.bytes.resize(14 + builder.below(static_cast<uint32_t>(next.bytes.size()) - 13));
    if (builder.one_in(25)) next.drop_reason = static_cast<int>(builder.below(16));
    return next;
  }
};

TEST_P(TxPacketRandomTest, VerdictsAndFramesAreTheModelsUnderBackPressure) {
  const uint32_t port = 1 + builder.below(4), offer = 1 + builder.below(30);
  PacketBuilder dice(GetParam() + 1000);
  bench.port_ready = [&] { return dice.below(4) < port; };
  bench.offer = [&] { return dice.one_in(offer); };
  for (int i = 0; i < 150; ++i) bench.send(random_packet());
  bench.check();
}

// The clock stands whenever quiet_o allows it, in the middle of frames that wait as well: each beat and verdict comes
// in the same cycle.
TEST_P(TxPacketRandomTest, SkippedCyclesChangeNothing) {
  TxPacketBench skipping;
  const Grant ip = ipv4_grant(PacketShape{}.source_ip);
  skipping.set_grant(kVi, 0, &ip);
  bench.set_grant(kVi, 1, nullptr);
  PacketBuilder dice(GetParam() + 2000), same_dice(GetParam() + 2000);
  bench.port_ready = [&] { return dice.one_in(8); };
  bench.offer = [&] { return dice.one_in(40); };
  skipping.port_ready = [&] { return same_dice.one_in(8); };
  skipping.offer = [&] { return same_dice.one_in(40); };
  skipping.skip_quiet = true;
  for (int i = 0; i < 60; ++i) {
    const TxPacket next = random_packet();
    bench.send(next);
    skipping.send(next);
  }
  bench.check();
  skipping.check();
  EXPECT_EQ(skipping.frame_cycles, bench.frame_cycles);
  EXPECT_EQ(skipping.verdict_cycles, bench.verdict_cycles);
  EXPECT_EQ(skipping.quiet_count, bench.quiet_count);
  EXPECT_GT(skipping.quiet_count, skipping.cycle_count / 4);
}

INSTANTIATE_TEST_SUITE_P(Seeds, TxPacketRandomTest, ::testing::Range(1u, 9u));

// --- rates

class TxPacketRateTest : public TxPacketTest, public ::testing::WithParamInterface<uint32_t> {};

// Cycles per packet of a steady stream that starts at the given lane.
TEST_P(TxPacketRateTest, LongPacketsWithChecksumsEveryThirtyCycles) {
  for (int i = 0; i < 60; ++i) {
    TxPacket next = packet({.payload_bytes = 1460});
    next.gap_bytes = (64 + GetParam() - (i == 0 ? 0 : (1514 + GetParam()) % 64)) % 64;
    next.l3 = next.l4 = next.vlan_insert = true;
    bench.send(next);
  }
  bench.check();
  const uint64_t cycles = bench.frame_cycles.back() - bench.frame_cycles[9];
  EXPECT_LE(cycles, 50u * 30) << "50 packets from lane " << GetParam();
}

TEST_P(TxPacketRateTest, ShortPacketsEverySixteenCycles) {
  for (uint32_t n = 0; n < 7; ++n) grant(n, mac_grant(kOtherMac + 1 + n));
  grant(7, ipv4_grant(PacketShape{}.source_ip));  // found last
  for (int i = 0; i < 60; ++i) {
    TxPacket next = packet({.payload_bytes = 6});
    next.gap_bytes = (64 + GetParam() - (i == 0 ? 0 : (60 + GetParam()) % 64)) % 64;
    next.l3 = next.l4 = true;
    bench.send(next);
  }
  bench.check();
  const uint64_t cycles = bench.frame_cycles.back() - bench.frame_cycles[9];
  EXPECT_LE(cycles, 50u * 16) << "50 packets from lane " << GetParam();
}

TEST_P(TxPacketRateTest, SegmentsWithChecksumsEveryThirtyCycles) {
  for (int i = 0; i < 2; ++i) {
    TxPacket next = packet({.payload_bytes = 40 * 1460});
    next.gap_bytes = GetParam();
    next.segment = next.l3 = next.l4 = true;
    next.mss = 1460;
    bench.send(next);
  }
  bench.check();
  EXPECT_LE(bench.frame_cycles[39] - bench.frame_cycles[9], 30u * 30);
}

INSTANTIATE_TEST_SUITE_P(Lanes, TxPacketRateTest, ::testing::Values(0u, 1u, 10u, 34u, 63u));

}  // namespace
}  // namespace postern::rtl_test
