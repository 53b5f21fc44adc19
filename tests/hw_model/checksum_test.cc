// Checksums and the header walk behind them.
#include "hw_model/checksum.h"

#include <gtest/gtest.h>

#include <vector>

#include "contract/gen/pst_contract.h"
#include "tests/hw_model/nic_bench.h"

namespace postern::hw_model::test {
namespace {

uint8_t l3(const std::vector<uint8_t>& f) {
  return verify_l3(f.data(), parse_frame(f.data(), static_cast<uint32_t>(f.size())));
}
uint8_t l4(const std::vector<uint8_t>& f) {
  return verify_l4(f.data(), parse_frame(f.data(), static_cast<uint32_t>(f.size())));
}

// The worked example of RFC 1071, section 3.
TEST(ChecksumTest, SumOfTheRfcExample) {
  const uint8_t data[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  const uint16_t sum = ones_complement_sum(data, sizeof data);
  EXPECT_EQ(sum & 0xff, 0xdd);
  EXPECT_EQ(sum >> 8, 0xf2);
}

TEST(ChecksumTest, EveryLengthVerifiesAndEveryFlippedBitIsSeen) {
  for (size_t bytes = 60; bytes < 140; ++bytes) {
    UdpSpec spec;
    spec.frame_bytes = bytes;
    spec.protocol = bytes % 2 ? 6 : 17;
    auto frame = udp_frame(spec);
    EXPECT_EQ(l3(frame), PST_CHECKSUM_RESULT_GOOD);
    EXPECT_EQ(l4(frame), PST_CHECKSUM_RESULT_GOOD) << bytes;
    frame[bytes - 1] ^= 0x10;
    EXPECT_EQ(l4(frame), PST_CHECKSUM_RESULT_BAD) << bytes;
  }
}

TEST(ChecksumTest, EthernetPaddingIsNotSummed) {
  UdpSpec spec;
  spec.frame_bytes = 50;
  auto frame = udp_frame(spec);
  frame.resize(60, 0xee);
  EXPECT_EQ(l4(frame), PST_CHECKSUM_RESULT_GOOD);
}

TEST(ChecksumTest, UdpWithoutAChecksumIsNotChecked) {
  auto frame = udp_frame();
  frame[40] = frame[41] = 0;
  EXPECT_EQ(l4(frame), PST_CHECKSUM_RESULT_NONE);
}

TEST(ChecksumTest, FragmentsAndOtherProtocolsAreNotChecked) {
  auto frame = udp_frame();
  frame[21] = 0x10;  // fragment offset
  EXPECT_EQ(l4(frame), PST_CHECKSUM_RESULT_NONE);
  UdpSpec spec;
  spec.protocol = 47;
  EXPECT_EQ(l4(udp_frame(spec)), PST_CHECKSUM_RESULT_NONE);
  EXPECT_EQ(l3(arp_frame(kMacA, kIpA, kIpB)), PST_CHECKSUM_RESULT_NONE);
}

TEST(ChecksumTest, UdpChecksumThatComesOutZeroIsSentAsOnes) {
  UdpSpec spec;
  spec.checksums = false;
  auto frame = udp_frame(spec);
  const ParsedFrame parsed = parse_frame(frame.data(), 60);
  insert_l4(frame.data(), parsed);
  // Add the complement of the checksum to the payload: the sum is now all ones, the checksum zero.
  const uint16_t checksum = load_be16(&frame[40]);
  uint32_t word = load_be16(&frame[54]) + uint32_t{checksum};
  word = (word & 0xffff) + (word >> 16);
  store_be16(&frame[54], static_cast<uint16_t>(word));
  insert_l4(frame.data(), parsed);
  EXPECT_EQ(load_be16(&frame[40]), 0xffff);
  EXPECT_EQ(l4(frame), PST_CHECKSUM_RESULT_GOOD);
}

TEST(ChecksumTest, TruncatedHeadersAreMalformedAndNeverReadBeyond) {
  const auto whole = udp_frame();
  for (uint32_t bytes = 14; bytes < 60; ++bytes) {
    const std::vector<uint8_t> cut(whole.begin(), whole.begin() + bytes);
    const ParsedFrame parsed = parse_frame(cut.data(), bytes);
    EXPECT_TRUE(parsed.l3_malformed) << bytes;
    EXPECT_EQ(parsed.l4_class, PST_L4_CLASS_OTHER);
  }
}

}  // namespace
}  // namespace postern::hw_model::test
