// pst_tx_dma under Verilator: whose turn it is, rate limits, room in the packet buffer, the ends of VIs, and random
// traffic with back-pressure on every interface, with the clock running and with the clock standing still where it may.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <utility>
#include <vector>

#include "tests/rtl/tx_dma_bench.h"

namespace postern::rtl_test {
namespace {

std::vector<TxDesc> frames(uint32_t count, uint32_t bytes) {
  return std::vector<TxDesc>(count, tx_data(0x1000, bytes));
}

uint64_t handed_bytes(const TxDmaBench& bench, uint32_t vi, size_t first_count) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < first_count; ++i) {
    if (bench.handed[i].vi == vi) bytes += bench.handed[i].bytes;
  }
  return bytes;
}

// --- turns -----------------------------------------------------------------------------------------------------------

TEST(PstTxDmaFlowTest, ViSharesTheWireByBytesAndWeight) {
  TxDmaBench bench;
  bench.wire_cycles = 1;
  bench.start(1, {1, 0, false});
  bench.start(2, {1, 0, false});
  bench.start(40, {3, 0, false});
  bench.post(1, frames(1200, 100));
  bench.post(2, frames(300, 1000));
  bench.post(40, frames(300, 1514));
  bool posted = false;
  bench.pop_ready = [&] { return posted; };
  bench.run(2000);
  posted = true;
  bench.settle(60000);
  ASSERT_EQ(bench.handed.size(), 1800u);
  const double one = static_cast<double>(handed_bytes(bench, 1, 500));
  EXPECT_NEAR(static_cast<double>(handed_bytes(bench, 2, 500)) / one, 1.0, 0.1);
  EXPECT_NEAR(static_cast<double>(handed_bytes(bench, 40, 500)) / one, 3.0, 0.3);
}

TEST(PstTxDmaFlowTest, WhatATurnLeavesIsLostUnlessDescriptorsAreOnTheirWay) {
  for (const bool posted : {false, true}) {
    TxDmaBench bench;
    bench.posted = posted;
    bench.start(1);
    bench.start(2);
    bench.post(1, frames(1, 60));  // leaves 1,454 bytes of its quantum
    bench.settle();
    bool ready = false;
    bench.pop_ready = [&] { return ready; };
    bench.post(2, frames(50, 100));  // its turn has begun when VI 1 gets to have something
    bench.post(1, frames(50, 100));
    bench.run(200);
    ready = true;
    bench.settle();
    size_t begin = 1, end = 1;  // VI 1's first turn
    while (bench.handed.at(begin).vi != 1) ++begin;
    for (end = begin; bench.handed.at(end).vi == 1;) ++end;
    EXPECT_EQ(end - begin, posted ? 30u : 16u);
  }
}

TEST(PstTxDmaFlowTest, RateLimitSpacesPackets) {
  TxDmaBench bench;
  bench.start(1, {1, 1000, false});
  bench.start(2);
  bench.post(1, frames(20, 1000));
  bench.post(2, frames(50, 1000));
  bench.settle(60000);
  std::vector<uint64_t> times;
  for (size_t i = 0; i < bench.handed.size(); ++i) {
    if (bench.handed[i].vi == 1) times.push_back(bench.handed_ns[i]);
  }
  ASSERT_EQ(times.size(), 20u);
  EXPECT_NEAR(static_cast<double>(times.back() - times.front()) / 19, 8000, 80);
  EXPECT_EQ(bench.sent[2], 50u);
}

TEST(PstTxDmaFlowTest, HeadersOfFurtherSegmentsCountAgainstTheRate) {
  TxDmaBench bench;
  bench.start(1, {1, 1000, false});
  bench.verdict = [](const TxHanded&) { return TxVerdict{false, 0, 1, 500}; };
  bench.post(1, frames(10, 1000));
  bench.settle(60000);
  EXPECT_NEAR(static_cast<double>(bench.handed_ns.back() - bench.handed_ns.front()) / 9, 12000, 120);
}

TEST(PstTxDmaFlowTest, RateIsExactOverTheWholeRange) {
  for (const uint32_t rate_mbps : {70u, 333u, 25'000u}) {
    TxDmaBench bench;
    bench.skip = true;
    bench.start(1, {1, rate_mbps, false});
    bench.post(1, frames(11, 1500));
    const double gap_ns = 1500 * 8000.0 / rate_mbps;
    bench.settle(static_cast<uint32_t>(gap_ns * 11 / 4) + 3000);
    ASSERT_EQ(bench.handed.size(), 11u);
    EXPECT_NEAR(static_cast<double>(bench.handed_ns.back() - bench.handed_ns.front()) / 10, gap_ns, 20 + gap_ns / 1000);
  }
}

TEST(PstTxDmaFlowTest, SmallPacketsOfManyVisKeepUpWithTenGigabits) {
  TxDmaBench bench;
  bench.wire_cycles = 1;
  for (uint32_t vi = 0; vi < kTxViCount; ++vi) bench.start(vi);
  bench.run(kTxViCount + 10);
  constexpr uint32_t kRounds = 20;
  for (uint32_t round = 0; round < kRounds; ++round) {
    for (uint32_t vi = 0; vi < kTxViCount; ++vi) bench.post(vi, frames(1, 60));
  }
  bench.settle(60000);
  ASSERT_EQ(bench.handed.size(), kRounds * kTxViCount);
  const double cycles =
      static_cast<double>(bench.handed_ns.back() - bench.handed_ns.front()) / 4 / (bench.handed.size() - 1);
  EXPECT_LT(cycles, 16.8);
  RecordProperty("cycles_per_packet_x100", static_cast<int>(cycles * 100));
}

TEST(PstTxDmaFlowTest, SmallPacketsThatComeOneByOneAtTenGigabitsDoNotQueue) {
  TxDmaBench bench;
  bench.wire_cycles = 1;
  for (uint32_t vi = 0; vi < kTxViCount; ++vi) bench.start(vi);
  bench.run(kTxViCount + 10);
  uint64_t latest_ns = 0;
  for (uint32_t i = 0; i < 500; ++i) {
    const uint64_t posted_ns = bench.now_ns();
    bench.post(i * 11 % kTxViCount, frames(1, 60));
    bench.run(16);
    if (i < 40) continue;  // none has been handed over that was posted later than 40 packets ago
    ASSERT_GT(bench.handed_ns.size(), i - 40);
    latest_ns = std::max(latest_ns, bench.handed_ns[i - 40] - (posted_ns - uint64_t{40} * 16 * 4));
  }
  EXPECT_LT(latest_ns, 700u + 300) << "read latency, and 75 cycles";
}

TEST(PstTxDmaFlowTest, FullFramesKeepUpWithHundredGigabits) {
  for (const uint32_t fragments : {1u, 3u}) {
    TxDmaBench bench;
    bench.wire_cycles = 1;
    bench.start(1);
    bench.start(2);
    for (uint32_t i = 0; i < 400; ++i) {
      for (uint32_t k = 0; k < fragments; ++k)
        bench.post(1 + i % 2, {tx_data(0x1001, 1500 / fragments, k + 1 == fragments)});
    }
    bench.settle(60000);
    ASSERT_EQ(bench.handed.size(), 400u);
    const double cycles = static_cast<double>(bench.handed_ns.back() - bench.handed_ns.front()) / 4 / 399;
    EXPECT_LT(cycles, 30) << fragments << " fragments";
  }
}

// --- room ------------------------------------------------------------------------------------------------------------

TEST(PstTxDmaFlowTest, PacketsWaitForRoomInTheBuffer) {
  TxDmaBench bench;
  bool ready = false;
  bench.pk_ready = [&] { return ready; };
  bench.start(1);
  bench.start(2);
  const TxOptions segment{.segment = true};
  for (int i = 0; i < 3; ++i) bench.post(1, {tx_option(1000), tx_data(0x10000, 65535, true, segment)});
  bench.post(2, frames(3, 60));
  bench.run(3000);
  EXPECT_EQ(bench.reads.size(), 1u) << "the buffer holds one";
  EXPECT_TRUE(bench.quiet());
  ready = true;
  bench.settle(20000);
  EXPECT_EQ(bench.handed.size(), 6u);
}

TEST(PstTxDmaFlowTest, PacketsWaitForAnEntry) {
  TxDmaBench bench;
  bench.hold_frames = true;
  bench.start(1);
  bench.post(1, frames(300, 60));
  bench.run(6000);
  EXPECT_EQ(bench.reads.size(), 127u);
  bench.hold_frames = false;
  bench.settle(20000);
  EXPECT_EQ(bench.dones.size(), 300u);
}

// --- random traffic --------------------------------------------------------------------------------------------------

struct Traffic {
  uint32_t seed = 0;
  bool skip = false;
};

// Everything is random but what must come out: each packet is handed over, judged and completed once and in its VI's
// order.
class RandomTraffic {
 public:
  explicit RandomTraffic(const Traffic& traffic) : random_(traffic.seed) {
    bench.skip = traffic.skip;
    bench.range_bytes = 4096;
    const std::array<uint32_t, 3> slowness{1, 3, 8};
    for (auto* ready : {&bench.pop_ready, &bench.xl_ready, &bench.read_ready, &bench.beat_ready, &bench.pk_ready,
                        &bench.done_ready, &bench.ev_ready, &bench.halt_ready}) {
      const uint32_t one_in = slowness[draw(3)];
      *ready = [this, one_in] { return draw(one_in) == 0; };
    }
    bench.choose = [this](size_t count) { return draw(count); };
    bench.latency_cycles = 20 + draw(300);
    bench.wire_cycles = 1 + draw(40);
    bench.lost = [this] { return draw(50) == 0; };
    bench.verdict = [this](const TxHanded& packet) { return judge(packet); };
    bench.answer = [this](const TxEvent& event) { return accept(event); };
    for (uint32_t vi = 0; vi < kVis; ++vi) {
      bench.start(vi * 9, {1 + draw(4), draw(3) == 0 ? 5000 + draw(20000) : 0, false});
    }
  }

  void run(uint32_t packet_count) {
    for (uint32_t i = 0; i < packet_count; ++i) {
      post(draw(kVis));
      if (draw(4) == 0) bench.run(draw(200));
      if (draw(16) == 0) bench.give_space(draw(kVis) * 9);
    }
    for (int i = 0; i < 100 && !complete(); ++i) {
      for (uint32_t vi = 0; vi < kVis; ++vi) bench.give_space(vi * 9);
      bench.run(5000);
    }
  }

  void expect_all() {
    EXPECT_TRUE(bench.halts.empty());
    for (uint32_t vi = 0; vi < kVis; ++vi) {
      std::vector<uint32_t> ends, done;
      for (const TxHanded& packet : bench.handed) {
        if (packet.vi == vi * 9) ends.push_back(packet.end_idx);
      }
      for (const auto& [done_vi, index] : bench.dones) {
        if (done_vi == vi * 9) done.push_back(index);
      }
      EXPECT_EQ(ends, ends_[vi]);
      EXPECT_EQ(done, ends_[vi]);
      EXPECT_EQ(bench.packets[vi * 9], ends_[vi].size());
      EXPECT_EQ(bench.sent[vi * 9] + judged_bad_[vi], ends_[vi].size());
      EXPECT_EQ(reported_[vi], ends_[vi].empty() ? 0 : ends_[vi].back()) << "the last packet is reported";
    }
  }

  TxDmaBench bench;

 private:
  static constexpr uint32_t kVis = 7;

  uint32_t draw(uint64_t below) { return static_cast<uint32_t>(random_() % below); }

  void post(uint32_t vi) {
    std::vector<TxDesc> descs;
    if (draw(6) == 0) {
      const uint32_t bytes = 14 + draw(1500);
      descs.push_back(tx_data(draw(4097 - bytes), bytes));
      descs.back().pio = true;
      ends_[vi].push_back(++posted_[vi]);
      return bench.post(vi * 9, descs);
    }
    const bool segment = draw(8) == 0;
    if (segment || draw(4) == 0) descs.push_back(tx_option(1 + draw(1460), draw(2) == 0, draw(4096)));
    const uint32_t count = 1 + (draw(4) == 0 ? draw(32) : draw(3));
    for (uint32_t i = 0; i < count; ++i) {
      const uint32_t bytes = 1 + draw(segment ? 65535 / count : draw(4) == 0 ? 1600 / count : 90);
      const TxOptions options{.segment = segment && i == 0, .timestamp = draw(8) == 0, .complete = draw(8) == 0};
      descs.push_back(tx_data(draw(0xfffff), bytes, i + 1 == count, options));
    }
    posted_[vi] += static_cast<uint32_t>(descs.size());
    ends_[vi].push_back(posted_[vi]);
    bench.post(vi * 9, descs);
  }
  TxVerdict judge(const TxHanded& packet) {
    if (packet.drop || draw(10) == 0) {
      ++judged_bad_[packet.vi / 9];
      return {true, packet.drop ? packet.reason : static_cast<uint32_t>(PST_DROP_REASON_TX_BAD_SOURCE), 0, 0};
    }
    const uint32_t count = packet.segment ? 1 + draw(30) : 1;
    return {false, 0, count, (count - 1) * 54};
  }
  uint32_t accept(const TxEvent& event) {
    if (draw(5) == 0) return 1;  // ANSWER_STALL
    uint32_t& reported = reported_[event.vi / 9];
    EXPECT_GE(event.consumer_idx, reported);
    reported = event.consumer_idx;
    return 0;
  }
  [[nodiscard]] bool complete() const {
    size_t posted = 0;
    for (const auto& ends : ends_) posted += ends.size();
    if (bench.dones.size() != posted) return false;
    for (uint32_t vi = 0; vi < kVis; ++vi) {
      if (!ends_[vi].empty() && reported_[vi] != ends_[vi].back()) return false;
    }
    return true;
  }

  std::mt19937 random_;
  std::array<uint32_t, kVis> posted_{}, judged_bad_{}, reported_{};
  std::array<std::vector<uint32_t>, kVis> ends_;
};

class PstTxDmaRandomTest : public testing::TestWithParam<uint32_t> {};

TEST_P(PstTxDmaRandomTest, EveryPacketComesOutOnceWithItsBytesAndInOrder) {
  RandomTraffic traffic({GetParam(), false});
  traffic.run(250);
  traffic.expect_all();
}

TEST_P(PstTxDmaRandomTest, NothingChangesWhenTheClockStandsStillWhereItMay) {
  RandomTraffic running({GetParam(), false}), standing({GetParam(), true});
  running.run(60);
  standing.run(60);
  EXPECT_EQ(running.bench.log, standing.bench.log);
  EXPECT_GT(standing.bench.skipped_count, 0u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, PstTxDmaRandomTest, testing::Range(1u, 7u));

}  // namespace
}  // namespace postern::rtl_test
