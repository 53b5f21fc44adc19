// Segmentation: what each segment of a packet holds, checked against arithmetic of its own, and what is refused.
#include "hw_model/segmentation.h"

#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

#include "contract/gen/pst_contract.h"
#include "hw_model/checksum.h"

namespace postern::hw_model {
namespace {

using Bytes = std::vector<uint8_t>;

struct TcpSpec {
  bool ipv6 = false;
  int tags = 0;
  uint32_t ip_option_bytes = 0;   // IPv4
  uint32_t tcp_option_bytes = 0;  // both multiples of 4
  uint32_t payload_bytes = 3000;
  uint8_t flags = 0x18;  // ACK, PSH
  uint32_t sequence = 0xfffffff0;
  uint16_t ip_id = 0xffff;

  TcpSpec v6() const {
    return with([](TcpSpec& s) { s.ipv6 = true; });
  }
  TcpSpec tagged(int count) const {
    return with([=](TcpSpec& s) { s.tags = count; });
  }
  TcpSpec ip_options(uint32_t bytes) const {
    return with([=](TcpSpec& s) { s.ip_option_bytes = bytes; });
  }
  TcpSpec tcp_options(uint32_t bytes) const {
    return with([=](TcpSpec& s) { s.tcp_option_bytes = bytes; });
  }
  TcpSpec payload(uint32_t bytes) const {
    return with([=](TcpSpec& s) { s.payload_bytes = bytes; });
  }
  TcpSpec flagged(uint8_t bits) const {
    return with([=](TcpSpec& s) { s.flags = bits; });
  }

 private:
  template <class Change>
  TcpSpec with(Change change) const {
    TcpSpec copy = *this;
    change(copy);
    return copy;
  }
};

void PrintTo(const TcpSpec& spec, std::ostream* out) {
  *out << (spec.ipv6 ? "IPv6" : "IPv4") << ", " << spec.tags << " tags, options " << spec.ip_option_bytes << " + "
       << spec.tcp_option_bytes << ", payload " << spec.payload_bytes << ", flags " << int{spec.flags};
}

// What differs from the plainest packet, as part of a test's name.
std::string name_of(const ::testing::TestParamInfo<TcpSpec>& info) {
  const TcpSpec& spec = info.param;
  const TcpSpec plain;
  std::string name = spec.ipv6 ? "Ipv6" : "Ipv4";
  if (spec.tags != 0) name += "Tags" + std::to_string(spec.tags);
  if (spec.ip_option_bytes != 0) name += "IpOptions" + std::to_string(spec.ip_option_bytes);
  if (spec.tcp_option_bytes != 0) name += "TcpOptions" + std::to_string(spec.tcp_option_bytes);
  if (spec.payload_bytes != plain.payload_bytes) name += "Payload" + std::to_string(spec.payload_bytes);
  if (spec.flags != plain.flags) name += "Flags" + std::to_string(spec.flags);
  return name;
}

uint32_t be32(const uint8_t* p) { return static_cast<uint32_t>(load_be16(p)) << 16 | load_be16(p + 2); }

// A TCP packet with all length fields 0: the device is to fill them in.
Bytes tcp_packet(const TcpSpec& spec) {
  Bytes bytes(12, 0x02);
  for (int i = 0; i < spec.tags; ++i) bytes.insert(bytes.end(), {0x81, 0x00, 0x20, static_cast<uint8_t>(i)});
  const size_t l3 = bytes.size() + 2;
  if (spec.ipv6) {
    bytes.insert(bytes.end(), {0x86, 0xdd, 0x60, 0, 0, 0, 0, 0, 6, 64});
    for (uint8_t i = 0; i < 32; ++i) bytes.push_back(static_cast<uint8_t>(0x20 + i));
  } else {
    bytes.insert(bytes.end(), {0x08, 0x00, static_cast<uint8_t>(0x45 + spec.ip_option_bytes / 4), 0, 0, 0});
    bytes.insert(bytes.end(), {static_cast<uint8_t>(spec.ip_id >> 8), static_cast<uint8_t>(spec.ip_id), 0x40, 0});
    bytes.insert(bytes.end(), {64, 6, 0, 0, 10, 9, 0, 1, 10, 9, 0, 2});
    bytes.insert(bytes.end(), spec.ip_option_bytes, 1);
  }
  EXPECT_EQ(bytes.size(), l3 + (spec.ipv6 ? 40 : 20 + spec.ip_option_bytes));
  bytes.insert(bytes.end(), {0x10, 0x01, 0x20, 0x02});
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<uint8_t>(spec.sequence >> shift));
  bytes.insert(bytes.end(), {1, 2, 3, 4, static_cast<uint8_t>((5 + spec.tcp_option_bytes / 4) << 4), spec.flags});
  bytes.insert(bytes.end(), {0x7f, 0xff, 0, 0, 0, 0});
  bytes.insert(bytes.end(), spec.tcp_option_bytes, 1);
  for (uint32_t i = 0; i < spec.payload_bytes; ++i) bytes.push_back(static_cast<uint8_t>(i * 31 + i / 256));
  return bytes;
}

Bytes segment(const Bytes& packet, const SegmentPlan& plan, uint32_t index) {
  Bytes frame(plan.segment_bytes(index));
  build_segment(packet.data(), plan, index, frame.data());
  return frame;
}

SegmentPlan planned(Bytes& packet, uint32_t mss_bytes, uint32_t mtu_bytes = 1500) {
  SegmentPlan plan;
  EXPECT_TRUE(plan_segments(packet.data(), static_cast<uint32_t>(packet.size()), mss_bytes, mtu_bytes, plan));
  return plan;
}

bool accepted(Bytes packet, uint32_t mss_bytes, uint32_t mtu_bytes = 1500) {
  SegmentPlan plan;
  return plan_segments(packet.data(), static_cast<uint32_t>(packet.size()), mss_bytes, mtu_bytes, plan);
}

class SegmentationTest : public ::testing::TestWithParam<TcpSpec> {};

TEST_P(SegmentationTest, SegmentsCarryThePayloadOnceAndHeadersOfTheirOwn) {
  const TcpSpec spec = GetParam();
  Bytes packet = tcp_packet(spec);
  constexpr uint32_t kMss = 1000;
  const SegmentPlan plan = planned(packet, kMss);
  const size_t l3 = 14 + 4 * static_cast<size_t>(spec.tags);
  const size_t l4 = l3 + (spec.ipv6 ? 40 : 20 + spec.ip_option_bytes);
  const size_t header = l4 + 20 + spec.tcp_option_bytes;
  ASSERT_EQ(plan.header_bytes, header);
  ASSERT_EQ(plan.count, (spec.payload_bytes + kMss - 1) / kMss);
  Bytes payload;
  for (uint32_t i = 0; i < plan.count; ++i) {
    SCOPED_TRACE(i);
    Bytes frame = segment(packet, plan, i);
    const bool last = i + 1 == plan.count;
    EXPECT_EQ(frame.size(), header + (last ? spec.payload_bytes - i * kMss : kMss));
    if (spec.ipv6) {
      EXPECT_EQ(load_be16(&frame[l3 + 4]), frame.size() - l4);
    } else {
      EXPECT_EQ(load_be16(&frame[l3 + 2]), frame.size() - l3);
      EXPECT_EQ(load_be16(&frame[l3 + 4]), static_cast<uint16_t>(spec.ip_id + i));
    }
    EXPECT_EQ(be32(&frame[l4 + 4]), spec.sequence + i * kMss);
    EXPECT_EQ(be32(&frame[l4 + 8]), 0x01020304u);
    const uint8_t cleared = static_cast<uint8_t>((last ? 0 : 0x09) | (i == 0 ? 0 : 0x80));
    EXPECT_EQ(frame[l4 + 13], spec.flags & ~cleared);
    payload.insert(payload.end(), frame.begin() + static_cast<std::ptrdiff_t>(header), frame.end());
    // As a receiver would see it.
    insert_l3(frame.data(), segment_headers(plan, i));
    insert_l4(frame.data(), segment_headers(plan, i));
    const ParsedFrame parsed = parse_frame(frame.data(), static_cast<uint32_t>(frame.size()));
    EXPECT_EQ(parsed.l4_class, PST_L4_CLASS_TCP);
    EXPECT_EQ(verify_l3(frame.data(), parsed), spec.ipv6 ? PST_CHECKSUM_RESULT_NONE : PST_CHECKSUM_RESULT_GOOD);
    EXPECT_EQ(verify_l4(frame.data(), parsed), PST_CHECKSUM_RESULT_GOOD);
  }
  EXPECT_TRUE(
      std::equal(payload.begin(), payload.end(), packet.begin() + static_cast<std::ptrdiff_t>(header), packet.end()));
}

INSTANTIATE_TEST_SUITE_P(Packets, SegmentationTest,
                         ::testing::Values(TcpSpec(), TcpSpec().v6(), TcpSpec().tagged(1), TcpSpec().v6().tagged(2),
                                           TcpSpec().tcp_options(12), TcpSpec().ip_options(8).tcp_options(40),
                                           TcpSpec().payload(3001).flagged(0x99), TcpSpec().payload(1).flagged(0x91),
                                           TcpSpec().payload(1000), TcpSpec().payload(60000)),
                         name_of);

TEST(SegmentationPlanTest, PacketWithoutPayloadIsOneSegment) {
  Bytes packet = tcp_packet(TcpSpec().payload(0));
  const SegmentPlan plan = planned(packet, 1000);
  EXPECT_EQ(plan.count, 1u);
  EXPECT_EQ(segment(packet, plan, 0), packet);
}

TEST(SegmentationPlanTest, SmallestSegmentsAddUp) {
  Bytes packet = tcp_packet(TcpSpec().payload(257));
  const SegmentPlan plan = planned(packet, 1);
  ASSERT_EQ(plan.count, 257u);
  for (uint32_t i = 0; i < plan.count; ++i) EXPECT_EQ(segment(packet, plan, i).back(), packet[54 + i]);
}

TEST(SegmentationPlanTest, LongestPacketIsTakenAndNoLonger) {
  Bytes packet = tcp_packet(TcpSpec().payload(PST_LIMIT_TSO_BYTES_MAX - 54));
  ASSERT_EQ(packet.size(), PST_LIMIT_TSO_BYTES_MAX);
  EXPECT_TRUE(accepted(packet, 1460));
  packet.push_back(0);
  EXPECT_FALSE(accepted(packet, 1460));
}

TEST(SegmentationPlanTest, HeadersAndMssMustFitTheMtu) {
  EXPECT_TRUE(accepted(tcp_packet(TcpSpec()), 1460));
  EXPECT_FALSE(accepted(tcp_packet(TcpSpec()), 1461));
  EXPECT_FALSE(accepted(tcp_packet(TcpSpec().tcp_options(12)), 1460));
  EXPECT_TRUE(accepted(tcp_packet(TcpSpec().tagged(2)), 1460));  // tags do not count
  EXPECT_FALSE(accepted(tcp_packet(TcpSpec().v6()), 1460));
  EXPECT_TRUE(accepted(tcp_packet(TcpSpec().payload(20000)), 9176, 9216));
  EXPECT_FALSE(accepted(tcp_packet(TcpSpec().payload(10)), 1461));
  EXPECT_FALSE(accepted(tcp_packet(TcpSpec()), 0));
}

TEST(SegmentationPlanTest, OnlyUnfragmentedTcpOverIpIsCut) {
  const Bytes good = tcp_packet(TcpSpec());
  const auto with = [&good](size_t offset, uint8_t value) {
    Bytes bytes = good;
    bytes[offset] = value;
    return bytes;
  };
  ASSERT_TRUE(accepted(good, 1000));
  EXPECT_FALSE(accepted(with(12, 0x09), 1000));  // not IP
  EXPECT_FALSE(accepted(with(23, 17), 1000));    // UDP
  EXPECT_FALSE(accepted(with(20, 0x20), 1000));  // more fragments
  EXPECT_FALSE(accepted(with(21, 0x01), 1000));  // a later fragment
  EXPECT_FALSE(accepted(with(14, 0x44), 1000));  // IP header of 16 bytes
  EXPECT_FALSE(accepted(with(14, 0x65), 1000));  // version 6 in an IPv4 frame
  EXPECT_FALSE(accepted(with(46, 0x40), 1000));  // TCP header of 16 bytes
  EXPECT_FALSE(accepted(tcp_packet(TcpSpec().tagged(3)), 1000));
  Bytes extension = tcp_packet(TcpSpec().v6());
  extension[20] = 0;  // hop-by-hop options
  EXPECT_FALSE(accepted(extension, 1000));
}

TEST(SegmentationPlanTest, PacketsThatEndInTheirHeadersAreRefused) {
  for (const bool ipv6 : {false, true}) {
    const Bytes good = tcp_packet((ipv6 ? TcpSpec().v6() : TcpSpec()).tagged(1).tcp_options(8).payload(0));
    for (size_t size = 14; size < good.size(); ++size) {
      EXPECT_FALSE(accepted(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)), 1000)) << size;
    }
    EXPECT_TRUE(accepted(good, 1000));
  }
}

}  // namespace
}  // namespace postern::hw_model
