// pst_checksum under Verilator against the model's sum: whole beats, ranges, odd ends, carries.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <random>

#include "Vpst_checksum.h"
#include "hw_model/checksum.h"

namespace postern::rtl_test {
namespace {

constexpr uint32_t kBeatBytes = 64;
using Beat = std::array<uint8_t, kBeatBytes>;

class PstChecksumTest : public testing::Test {
 protected:
  uint16_t sum(const Beat& beat, uint32_t first, uint32_t end) {
    std::memcpy(dut_.data_i.data(), beat.data(), kBeatBytes);
    dut_.first_i = static_cast<uint8_t>(first);
    dut_.end_i = static_cast<uint8_t>(end);
    dut_.eval();
    return dut_.sum_o;
  }
  void expect_as_the_model(const Beat& beat, uint32_t first, uint32_t end) {
    const uint32_t bytes = end > first ? end - first : 0;
    EXPECT_EQ(sum(beat, first, end), hw_model::ones_complement_sum(beat.data() + first, bytes)) << first << ".." << end;
  }

  Vpst_checksum dut_;
};

TEST_F(PstChecksumTest, WordsAreSummedInMemoryOrder) {
  Beat beat{};
  beat[0] = 0x34;
  beat[1] = 0x12;
  beat[62] = 0x01;
  EXPECT_EQ(sum(beat, 0, 64), 0x1235);
}

TEST_F(PstChecksumTest, AnOddLastByteIsPaddedBehind) {
  Beat beat;
  beat.fill(0xff);
  beat[4] = 0x12;
  EXPECT_EQ(sum(beat, 4, 5), 0x0012);
}

TEST_F(PstChecksumTest, AnEmptyRangeGivesZero) {
  Beat beat;
  beat.fill(0xff);
  EXPECT_EQ(sum(beat, 0, 0), 0);
  EXPECT_EQ(sum(beat, 64, 64), 0);
  EXPECT_EQ(sum(beat, 20, 7), 0);
}

TEST_F(PstChecksumTest, EveryCarryComesRound) {
  Beat beat;
  beat.fill(0xff);
  expect_as_the_model(beat, 0, 64);
  EXPECT_EQ(sum(beat, 0, 64), 0xffff);
  beat[0] = 0x01;  // 0xff01 and 31 times 0xffff: the last fold carries too
  expect_as_the_model(beat, 0, 64);
  beat.fill(0x00);
  beat[0] = beat[1] = beat[2] = beat[3] = 0xff;
  beat[4] = 1;
  expect_as_the_model(beat, 0, 64);
}

TEST_F(PstChecksumTest, EveryRangeOfARandomBeatIsAsTheModels) {
  std::mt19937 random(7);
  Beat beat;
  for (auto& byte : beat) byte = static_cast<uint8_t>(random());
  for (uint32_t first = 0; first <= kBeatBytes; first += 2) {
    for (uint32_t end = 0; end <= kBeatBytes; ++end) expect_as_the_model(beat, first, end);
  }
}

TEST_F(PstChecksumTest, RandomBeatsWithManyOnesAndZerosAreAsTheModels) {
  std::mt19937 random(8);
  for (int round = 0; round < 20000 && !HasFailure(); ++round) {
    Beat beat;
    for (auto& byte : beat) {
      byte = static_cast<uint8_t>(random() % 3 == 0 ? random() : random() % 2 == 0 ? 0xff : 0);
    }
    expect_as_the_model(beat, random() % 33 * 2, random() % 65);
  }
}

}  // namespace
}  // namespace postern::rtl_test
