// pst_doorbell under Verilator: registers and their halves, repeated writes, lives, push, PIO, and random accesses. The
// bench holds every output against its reference; the tests state what must have come out.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <random>

#include "tests/rtl/doorbell_bench.h"

namespace postern::rtl_test {
namespace {

using To = Rung::To;

TEST(PstDoorbellTest, EachDoorbellGoesToItsBlockInOrder) {
  DoorbellBench bench;
  bench.start(3);
  bench.write(3, PST_VI_RX_DOORBELL_OFFSET, 8, 4);
  bench.write(3, PST_VI_TX_DOORBELL_OFFSET, 2, 4);
  bench.write(3, PST_VI_EVQ_CONSUMER_OFFSET, 5, 4);
  bench.write(3, PST_VI_EVQ_PRIME_OFFSET, uint64_t{9} << 32 | 6, 8);
  bench.write(3, PST_VI_TIMER_OFFSET, uint64_t{4} << 32 | 1000, 8);
  bench.settle();
  ASSERT_EQ(bench.rung.size(), 5u);
  EXPECT_TRUE(bench.rung[0].to == To::kRings && bench.rung[0].flag && bench.rung[0].index == 8);
  EXPECT_TRUE(bench.rung[1].to == To::kRings && !bench.rung[1].flag && bench.rung[1].index == 2);
  EXPECT_TRUE(bench.rung[2].to == To::kQueue && !bench.rung[2].flag && bench.rung[2].index == 5);
  EXPECT_TRUE(bench.rung[3].to == To::kQueue && bench.rung[3].flag && bench.rung[3].index == 6 &&
              bench.rung[3].detail == 9);
  EXPECT_TRUE(bench.rung[4].to == To::kTimer && bench.rung[4].index == 1000 && bench.rung[4].detail == 4);
}

TEST(PstDoorbellTest, RepeatedWriteIsOneWriteAndReadsHaveNoEffect) {
  DoorbellBench bench;
  bench.start(3);
  for (int i = 0; i < 3; ++i) bench.write(3, PST_VI_TX_DOORBELL_OFFSET, 2, 4);
  EXPECT_EQ(bench.read(3, PST_VI_TX_DOORBELL_OFFSET, 4), 2u);
  EXPECT_EQ(bench.read(3, PST_VI_TX_DOORBELL_OFFSET, 8), 2u);
  bench.write(3, PST_VI_TX_DOORBELL_OFFSET, 2, 4);
  bench.settle();
  EXPECT_EQ(bench.rung.size(), 1u);
}

TEST(PstDoorbellTest, FirstWriteOfZeroRepeatsTheClearedRegister) {
  DoorbellBench bench;
  bench.start(3);
  bench.write(3, PST_VI_RX_DOORBELL_OFFSET, 0, 4);
  bench.settle();
  EXPECT_TRUE(bench.rung.empty());
}

TEST(PstDoorbellTest, TxDoorbellBehindAPushThatRepeatsItsOwnLastWriteIsLeftOut) {
  DoorbellBench bench;
  bench.start(3);
  bench.write(3, PST_VI_TX_DOORBELL_OFFSET, 1, 4);
  bench.write(3, PST_VI_TX_PUSH_DESCRIPTOR_LO_OFFSET, 0x1111, 8);
  bench.write(3, PST_VI_TX_PUSH_DESCRIPTOR_HI_OFFSET, 0x2222, 8);
  bench.write(3, PST_VI_TX_PUSH_DOORBELL_OFFSET, 2, 4);
  bench.write(3, PST_VI_TX_DOORBELL_OFFSET, 1, 4);
  bench.settle();
  ASSERT_EQ(bench.rung.size(), 2u);
  EXPECT_EQ(bench.rung[1].op, 1u);
  EXPECT_EQ(bench.rung[1].desc, (std::array<uint64_t, 2>{0x1111, 0x2222}));
}

TEST(PstDoorbellTest, HalvesOfAWideRegisterActWithTheHighOne) {
  DoorbellBench bench;
  bench.start(3);
  bench.write(3, PST_VI_EVQ_PRIME_OFFSET, 6, 4);
  bench.settle();
  EXPECT_TRUE(bench.rung.empty());
  bench.write(3, PST_VI_EVQ_PRIME_OFFSET + 4, 9, 4);
  bench.write(3, PST_VI_EVQ_PRIME_OFFSET + 4, 9, 4);  // a half is not compared
  bench.settle();
  ASSERT_EQ(bench.rung.size(), 2u);
  EXPECT_EQ(bench.rung[0].index, 6u);
  EXPECT_EQ(bench.rung[0].detail, 9u);
  EXPECT_EQ(bench.read(3, PST_VI_EVQ_PRIME_OFFSET + 4, 4), 9u);
}

TEST(PstDoorbellTest, AccessesThatReachNothingAreBad) {
  DoorbellBench bench;
  bench.start(3);
  bench.write(3, PST_VI_RX_DOORBELL_OFFSET, 1, 1);
  bench.write(3, PST_VI_RX_DOORBELL_OFFSET + 2, 1, 4);
  bench.write(3, PST_VI_RX_DOORBELL_OFFSET + 4, 1, 4);
  bench.write(3, PST_VI_EVQ_PRIME_OFFSET + 4, 1, 8);
  bench.write(3, 0x30, 1, 4);
  bench.write(3, 0x80, 1, 4);
  bench.write(3, PST_VI_PIO_PAGE_OFFSET + 60, 1, 8);
  bench.write(1024, PST_VI_RX_DOORBELL_OFFSET, 1, 4);
  bench.settle();
  EXPECT_EQ(bench.reference.bad_count, 8u);
  EXPECT_TRUE(bench.rung.empty());
}

TEST(PstDoorbellTest, DoorbellsOfAViThatDoesNotRunAreIgnored) {
  DoorbellBench bench;
  bench.write(4, PST_VI_RX_DOORBELL_OFFSET, 1, 4);
  bench.write(4, PST_VI_PIO_PAGE_OFFSET, 1, 4);
  bench.write(DoorbellBench::kViCount + 3, PST_VI_RX_DOORBELL_OFFSET, 1, 4);
  bench.settle();
  EXPECT_EQ(bench.reference.ignored_count, 3u);
  EXPECT_EQ(bench.read(4, PST_VI_RX_DOORBELL_OFFSET, 4), 0u);
}

TEST(PstDoorbellTest, HaltedViKeepsTheDoorbellsOfItsEventQueue) {
  DoorbellBench bench;
  bench.start(3);
  bench.end(3, false);
  bench.settle();
  EXPECT_EQ(bench.life_done_count, 1u);
  bench.write(3, PST_VI_RX_DOORBELL_OFFSET, 1, 4);
  bench.write(3, PST_VI_TIMER_OFFSET, uint64_t{4} << 32 | 1000, 8);
  bench.write(3, PST_VI_EVQ_CONSUMER_OFFSET, 1, 4);
  bench.write(3, PST_VI_EVQ_PRIME_OFFSET, uint64_t{4} << 32 | 1, 8);
  bench.settle();
  ASSERT_EQ(bench.rung.size(), 2u);
  EXPECT_EQ(bench.reference.ignored_count, 2u);
}

TEST(PstDoorbellTest, StoppedViHasNoDoorbellsAndKeepsWhatItsRegistersRead) {
  DoorbellBench bench;
  bench.start(3);
  bench.write(3, PST_VI_RX_DOORBELL_OFFSET, 7, 4);
  bench.settle();
  bench.end(3, true);
  bench.settle();
  bench.write(3, PST_VI_EVQ_CONSUMER_OFFSET, 1, 4);
  bench.settle();
  EXPECT_EQ(bench.rung.size(), 1u);
  EXPECT_EQ(bench.read(3, PST_VI_RX_DOORBELL_OFFSET, 4), 7u);
}

TEST(PstDoorbellTest, StartClearsRegistersAndPage) {
  DoorbellBench bench;
  bench.start(3);
  bench.write(3, PST_VI_RX_DOORBELL_OFFSET, 7, 4);
  bench.write(3, PST_VI_PIO_PAGE_OFFSET + 128, 0x1234567890, 8);
  bench.settle();
  EXPECT_EQ(bench.read(3, PST_VI_PIO_PAGE_OFFSET + 128, 8), 0x1234567890u);
  bench.end(3, true);
  bench.settle();
  bench.start(3);
  EXPECT_EQ(bench.read(3, PST_VI_RX_DOORBELL_OFFSET, 4), 0u);
  EXPECT_EQ(bench.read(3, PST_VI_PIO_PAGE_OFFSET + 128, 8), 0u);
  EXPECT_EQ(bench.line(3, 2), (std::array<uint8_t, 64>{}));
  bench.write(3, PST_VI_PIO_PAGE_OFFSET + 136, 0xab, 1);  // the rest of the line does not come back with it
  EXPECT_EQ(bench.read(3, PST_VI_PIO_PAGE_OFFSET + 128, 8), 0u);
}

TEST(PstDoorbellTest, StopWaitsForTheDoorbellThatIsStillHere) {
  DoorbellBench bench;
  bench.start(3);
  bool ready = false;
  bench.ready = [&ready](To) { return ready; };
  bench.write(3, PST_VI_RX_DOORBELL_OFFSET, 7, 4);
  bench.run(5);
  bench.end(3, true);
  bench.run(20);
  EXPECT_EQ(bench.life_done_count, 0u);
  ready = true;
  bench.settle();
  EXPECT_EQ(bench.life_done_count, 1u);
  EXPECT_EQ(bench.rung.size(), 1u);
}

TEST(PstDoorbellTest, PushAndPioThatAreNotOfferedHaltTheVi) {
  DoorbellBench bench;
  bench.start(3, false, true);
  bench.start(4, true, false);
  bench.write(3, PST_VI_TX_PUSH_DOORBELL_OFFSET, 5, 4);
  bench.write(4, PST_VI_PIO_DOORBELL_OFFSET, uint64_t{64} << 44 | 6, 8);
  bench.write(3, PST_VI_PIO_DOORBELL_OFFSET, uint64_t{64} << 44 | 1, 8);
  bench.settle();
  ASSERT_EQ(bench.rung.size(), 3u);
  EXPECT_TRUE(bench.rung[0].to == To::kHalt && bench.rung[0].vi == 3 && bench.rung[0].index == 5);
  EXPECT_TRUE(bench.rung[1].to == To::kHalt && bench.rung[1].vi == 4 && bench.rung[1].index == 6);
  EXPECT_TRUE(bench.rung[2].to == To::kRings && bench.rung[2].op == 2);
}

TEST(PstDoorbellTest, PioDoorbellBecomesADescriptorOfThePlaceInThePage) {
  DoorbellBench bench;
  bench.start(3);
  bench.write(3, PST_VI_PIO_DOORBELL_OFFSET,
              uint64_t{1} << 60 | uint64_t{1} << 58 | uint64_t{100} << 44 | uint64_t{256} << 32 | 1, 8);
  bench.settle();
  ASSERT_EQ(bench.rung.size(), 1u);
  const pst_tx_desc desc{{bench.rung[0].desc[0], bench.rung[0].desc[1]}};
  EXPECT_EQ(pst_tx_desc_get_address(&desc), 256u);
  EXPECT_EQ(pst_tx_desc_get_length_bytes(&desc), 100u);
  EXPECT_EQ(pst_tx_desc_get_end_of_packet(&desc), 1u);
  EXPECT_EQ(pst_tx_desc_get_checksum_l3(&desc), 1u);
  EXPECT_EQ(pst_tx_desc_get_checksum_l4(&desc), 0u);
  EXPECT_EQ(pst_tx_desc_get_complete(&desc), 1u);
}

TEST(PstDoorbellTest, BurstsFillALineAndTheTransmitPathReadsIt) {
  DoorbellBench bench;
  bench.start(3);
  HostAccess burst{true, 3 * PST_VI_WINDOW_STRIDE + PST_VI_PIO_PAGE_OFFSET + 64 * 63, 64, {}};
  for (uint32_t i = 0; i < 8; ++i) burst.data.at(i) = 0x0807060504030201u * (i + 1);
  bench.accesses.push_back(burst);
  burst.offset += 10;
  burst.bytes = 5;
  burst.data = {0xfedcba9876};
  bench.accesses.push_back(burst);
  bench.settle();
  const auto line = bench.line(3, 63);
  EXPECT_EQ(std::equal(line.begin(), line.end(), bench.reference.windows[3].page.end() - 64), true);
  EXPECT_EQ(line[10], 0x76);
  EXPECT_EQ(line[0], 0x01);
}

class DoorbellRandomTest : public ::testing::TestWithParam<uint32_t> {
 protected:
  HostAccess random_access() {
    static constexpr uint32_t kOffsets[] = {PST_VI_RX_DOORBELL_OFFSET,
                                            PST_VI_TX_DOORBELL_OFFSET,
                                            PST_VI_EVQ_CONSUMER_OFFSET,
                                            PST_VI_EVQ_PRIME_OFFSET,
                                            PST_VI_TIMER_OFFSET,
                                            PST_VI_PIO_DOORBELL_OFFSET,
                                            PST_VI_TX_PUSH_DESCRIPTOR_LO_OFFSET,
                                            PST_VI_TX_PUSH_DESCRIPTOR_HI_OFFSET,
                                            PST_VI_TX_PUSH_DOORBELL_OFFSET};
    HostAccess a;
    const uint32_t vi = random_() % 16 == 0 ? random_() % 1024 : random_() % 6;
    const uint32_t kind = random_() % 16;
    uint32_t in_window = kOffsets[random_() % std::size(kOffsets)];
    a.bytes = random_() % 2 ? 4 : 8;
    if (kind == 0) {
      in_window = random_() % 0x100;
      a.bytes = 1u << random_() % 4;
    } else if (kind < 4) {
      a.bytes = 1 + random_() % 64;
      in_window = PST_VI_PIO_PAGE_OFFSET + random_() % 4 * 64 + random_() % (65 - a.bytes);
    } else if (kind < 6) {
      in_window += 4;
      a.bytes = 4;
    }
    a.offset = vi * PST_VI_WINDOW_STRIDE + in_window;
    a.write = random_() % 4 != 0;
    if (!a.write && in_window >= PST_VI_PIO_PAGE_OFFSET) a.bytes = random_() % 2 ? 4 : 8;
    for (auto& word : a.data) word = random_() % 2 ? random_() % 4 : uint64_t{random_()} << 32 | random_();
    return a;
  }
  std::mt19937 random_{GetParam()};
};

TEST_P(DoorbellRandomTest, EveryOutputMatchesTheReference) {
  DoorbellBench bench;
  std::mt19937 back_pressure(GetParam() + 100);
  bench.ready = [&back_pressure](To) { return back_pressure() % 3 != 0; };
  bench.pio_read = [&back_pressure]() -> std::optional<std::array<uint32_t, 2>> {
    if (back_pressure() % 4 != 0) return std::nullopt;
    return std::array<uint32_t, 2>{static_cast<uint32_t>(back_pressure() % 6),
                                   static_cast<uint32_t>(back_pressure() % 4)};
  };
  for (uint32_t vi = 0; vi < 5; ++vi) bench.start(vi, vi % 2 == 0, vi % 3 != 0);
  uint32_t ended_count = 0;
  for (uint32_t round = 0; round < 20000; ++round) {
    if (bench.accesses.size() < 4) bench.accesses.push_back(random_access());
    bench.cycle();
    if (round % 97 != 0) continue;
    const uint32_t vi = random_() % 6;
    const auto life = bench.reference.windows[vi].life;
    if (life == DoorbellReference::Life::kFree) {
      bench.start(vi, random_() % 2 == 0, random_() % 2 == 0);
    } else {
      bench.end(vi, random_() % 2 == 0);
      ++ended_count;
      for (int i = 0; i < 1000 && bench.life_done_count != ended_count; ++i) bench.cycle();
      ASSERT_EQ(bench.life_done_count, ended_count);
    }
  }
  bench.pio_read = [] { return std::optional<std::array<uint32_t, 2>>(); };
  bench.settle();
  EXPECT_GT(bench.rung.size(), 500u);
  EXPECT_GT(bench.reads.size(), 300u);
  for (uint32_t vi = 0; vi < 6; ++vi) {
    for (uint32_t line = 0; line < 5; ++line) {
      const auto got = bench.line(vi, line);
      EXPECT_TRUE(std::equal(got.begin(), got.end(), bench.reference.windows[vi].page.begin() + 64 * line))
          << vi << " " << line;
    }
  }
  bench.run(50);
  EXPECT_GT(bench.quiet.quiet_count(), 40u);
}
INSTANTIATE_TEST_SUITE_P(Seed, DoorbellRandomTest, ::testing::Range(1u, 7u));

}  // namespace
}  // namespace postern::rtl_test
