// pst_tx_dma under Verilator: the ends of VIs (R10), what comes of their packets (R11), and random errors, ends and new
// lives under traffic with back-pressure.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <random>
#include <utility>
#include <vector>

#include "tests/rtl/tx_dma_bench.h"

namespace postern::rtl_test {
namespace {

std::vector<TxDesc> frames(uint32_t count, uint32_t bytes) {
  return std::vector<TxDesc>(count, tx_data(0x1000, bytes));
}

TEST(PstTxDmaLivesTest, StopIsDoneWhenTheLastReadHasCome) {
  TxDmaBench bench;
  bench.latency_cycles = 2000;
  bench.start(1);
  bench.start(2);
  bench.post(1, frames(3, 1000));
  bench.post(2, frames(1, 1000));
  bench.run(300);
  bench.end_life(1, true);
  bench.run(1500);
  EXPECT_EQ(bench.life_done_count, 0u);
  while (bench.life_done_count == 0 && bench.now_ns() < 40000) {
    ASSERT_GT(bench.reads_in_flight() + 1, 0u);
    bench.cycle();
  }
  EXPECT_EQ(bench.life_done_count, 1u);
  bench.settle();
  EXPECT_EQ(bench.drops, std::vector<TxDrop>(3, {1, PST_DROP_REASON_TX_VI_HALTED}));
  EXPECT_EQ(bench.sent[2], 1u);
  for (const TxEvent& event : bench.events) EXPECT_EQ(event.vi, 2u);
}

TEST(PstTxDmaLivesTest, StopWaitsForThePacketThatIsBeingTranslated) {
  TxDmaBench bench;
  bool ready = false;
  bench.xl_ready = [&] { return ready; };
  bench.start(1);
  bench.post(1, frames(1, 1000));
  bench.run(100);
  bench.end_life(1, true);
  bench.run(1000);
  EXPECT_EQ(bench.life_done_count, 0u);
  ready = true;
  bench.run(1000);
  EXPECT_EQ(bench.life_done_count, 1u);
  bench.start(1);
  bench.settle();
  EXPECT_TRUE(bench.reads.empty());
  EXPECT_EQ(bench.drops, (std::vector<TxDrop>{{1, PST_DROP_REASON_TX_VI_HALTED}}));
}

TEST(PstTxDmaLivesTest, HaltReportsWhatIsCompletedAndDoesNotWaitForReads) {
  TxDmaBench bench;
  bench.start(1);
  bench.post(1, frames(3, 60));
  bench.hold_frames = true;
  bench.settle();
  bench.post(1, frames(1, 60));
  bench.latency_cycles = 3000;
  bench.run(60);
  bench.hold_frames = false;
  bench.run(200);
  EXPECT_TRUE(bench.events.empty()) << "one is in flight";
  EXPECT_EQ(bench.dones.size(), 3u);
  bench.end_life(1, false);
  bench.run(500);
  EXPECT_EQ(bench.life_done_count, 1u);
  ASSERT_EQ(bench.events.size(), 1u);
  EXPECT_EQ(bench.events[0].consumer_idx, 3u);
  bench.settle();
  EXPECT_EQ(bench.drops, (std::vector<TxDrop>{{1, PST_DROP_REASON_TX_VI_HALTED}}));
  EXPECT_EQ(bench.events.size(), 1u);
}

TEST(PstTxDmaLivesTest, EndOfAViCountsThePacketsInItsCache) {
  for (const bool stop : {false, true}) {
    TxDmaBench bench;
    bool ready = false;
    bench.pk_ready = [&] { return ready; };
    bench.start(1);
    bench.start(2);
    const TxOptions segment{.segment = true};
    bench.post(2, {tx_option(1000), tx_data(0x10000, 65535, true, segment)});
    bench.run(100);
    bench.post(1, frames(10, 60));
    bench.post(1, {tx_data(0x1000, 60, false)});
    bench.run(300);
    bench.end_life(1, stop);
    bench.run(1000);
    EXPECT_EQ(bench.life_done_count, 1u) << "a VI ends while the wire takes nothing";
    EXPECT_EQ(bench.packets[1], 10u);
    EXPECT_EQ(bench.drops, std::vector<TxDrop>(10, {1, PST_DROP_REASON_TX_VI_HALTED}));
    ready = true;
    bench.settle();
    EXPECT_EQ(bench.handed.size(), 1u);
  }
}

TEST(PstTxDmaLivesTest, NewLifeHearsNothingOfTheOldOne) {
  TxDmaBench bench;
  bench.start(1);
  bench.hold_frames = true;
  bench.post(1, frames(5, 60));
  bench.post(1, {tx_data(0x1000, 60, false)});
  bench.settle();
  bench.end_life(1, true);
  bench.run(1000);
  EXPECT_EQ(bench.life_done_count, 1u);
  bench.start(1);
  bench.post(1, frames(1, 700));
  bench.run(1000);
  bench.hold_frames = false;
  bench.settle();
  EXPECT_EQ(bench.dones, (std::vector<std::pair<uint32_t, uint32_t>>{{1, 1}}));
  ASSERT_EQ(bench.events.size(), 1u);
  EXPECT_EQ(bench.events[0].consumer_idx, 1u);
  EXPECT_EQ(bench.handed.back().bytes, 700u);
}

TEST(PstTxDmaLivesTest, NewLifeDoesNotPayForSegmentsOfTheOldOne) {
  TxDmaBench bench;
  bool ready = true;
  bench.xl_ready = [&] { return ready; };
  bench.verdict = [](const TxHanded& packet) {
    return TxVerdict{packet.drop, packet.reason, 1, packet.mss == 0 ? 0u : 300'000u};
  };
  bench.start(1);
  bench.start(2);
  bench.post(1, {tx_option(1000), tx_data(0x1000, 1400, true, {.segment = true})});
  bench.run(60);
  ASSERT_EQ(bench.reads.size(), 1u);
  // VI 2 is in its turn, and stays there: its first packet is being translated, its second one waits for that.
  ready = false;
  bench.post(2, frames(60, 1400));
  bench.run(400);
  ASSERT_EQ(bench.handed.size(), 1u);
  bench.end_life(1, true);
  bench.run(1000);
  ASSERT_EQ(bench.life_done_count, 1u);
  bench.start(1);
  bench.post(1, frames(1, 700));
  bench.run(10);
  ready = true;
  bench.settle();
  ASSERT_EQ(bench.handed.size(), 62u);
  const auto of_the_new_life =
      std::find_if(bench.handed.begin() + 1, bench.handed.end(), [](const TxHanded& packet) { return packet.vi == 1; });
  EXPECT_LE(of_the_new_life - bench.handed.begin(), 5);
}

TEST(PstTxDmaLivesTest, EventThatWaitsForSpaceEndsWithTheVi) {
  TxDmaBench bench;
  bench.answer = [](const TxEvent&) { return 1u; };  // ANSWER_STALL
  bench.start(1);
  bench.post(1, frames(1, 60));
  bench.settle();
  EXPECT_EQ(bench.events.size(), 1u);
  bench.end_life(1, true);
  bench.run(500);
  bench.start(1);
  bench.give_space(1);
  bench.settle();
  EXPECT_EQ(bench.events.size(), 1u);
}

TEST(PstTxDmaLivesTest, HaltReportsNothingTwice) {
  TxDmaBench bench;
  bench.start(1);
  bench.post(1, frames(3, 60));
  bench.settle();
  bench.end_life(1, false);
  bench.settle();
  EXPECT_EQ(bench.life_done_count, 1u);
  EXPECT_EQ(bench.events.size(), 1u);
}

TEST(PstTxDmaLivesTest, StopWaitsUntilAnErrorOfTheViHasBeenHeard) {
  TxDmaBench bench;
  bool ready = false;
  bench.halt_ready = [&] { return ready; };
  bench.read_code = [](const TxRead&) { return static_cast<uint32_t>(PST_ERROR_CODE_POISONED); };
  bench.start(1);
  bench.post(1, frames(1, 60));
  bench.run(400);
  bench.end_life(1, true);
  bench.run(1000);
  EXPECT_EQ(bench.life_done_count, 0u);
  ready = true;
  bench.run(1000);
  EXPECT_EQ(bench.life_done_count, 1u);
  bench.read_code = [](const TxRead&) { return 0u; };
  bench.start(1);
  bench.post(1, frames(1, 60));
  bench.settle();
  EXPECT_EQ(bench.sent[1], 1u);
}

TEST(PstTxDmaLivesTest, PacketThatWaitsForItsTurnDoesNotLeaveInALaterLife) {
  TxDmaBench bench;
  bool ready = false;
  bench.pk_ready = [&] { return ready; };
  bench.start(1);
  bench.start(2);
  bench.post(2, frames(1, 60));
  bench.run(100);
  bench.post(1, frames(3, 60));
  bench.run(500);
  bench.end_life(1, true);
  bench.run(1000);
  EXPECT_EQ(bench.life_done_count, 1u);
  bench.start(1);
  bench.post(1, frames(1, 100));
  bench.run(500);
  ready = true;
  bench.settle();
  EXPECT_EQ(bench.drops, std::vector<TxDrop>(3, {1, PST_DROP_REASON_TX_VI_HALTED}));
  EXPECT_EQ(bench.sent[1], 1u);
  EXPECT_EQ(bench.handed.back().bytes, 100u);
}

TEST(PstTxDmaLivesTest, WaitForTheRateLimitEndsWithTheVi) {
  TxDmaBench bench;
  bench.start(1, {1, 1, false});
  bench.post(1, frames(2, 1500));
  bench.run(500);
  EXPECT_EQ(bench.handed.size(), 1u);
  EXPECT_GT(bench.due_ns(), 1'000'000u);
  bench.end_life(1, true);
  bench.run(1000);
  EXPECT_EQ(bench.life_done_count, 1u);
  bench.start(1);
  bench.post(1, frames(2, 1500));
  bench.run(1000);
  EXPECT_EQ(bench.handed.size(), 3u);
}

// VIs that meet errors or are ended at any moment, and begin anew, while others go on. Plays vi_table: one end at a
// time.
class RandomLives {
 public:
  explicit RandomLives(uint32_t seed, bool skip) : random_(seed) {
    bench.skip = skip;
    bench.range_bytes = 4096;
    for (auto* ready : {&bench.pop_ready, &bench.xl_ready, &bench.read_ready, &bench.beat_ready, &bench.pk_ready,
                        &bench.done_ready, &bench.ev_ready, &bench.halt_ready}) {
      const uint32_t one_in = 1 + draw(3);
      *ready = [this, one_in] { return draw(one_in) == 0; };
    }
    bench.choose = [this](size_t count) { return draw(count); };
    bench.latency_cycles = 20 + draw(300);
    bench.wire_cycles = 1 + draw(60);
    bench.read_code = [this](const TxRead&) { return draw(200) == 0 ? static_cast<uint32_t>(PST_ERROR_CODE_ECC) : 0u; };
    bench.answer = [this](const TxEvent&) { return draw(5) == 0 ? 1u : 0u; };
    for (uint32_t vi = 0; vi < kVis; ++vi) bench.start(vi);
  }

  void run(uint32_t step_count) {
    for (uint32_t i = 0; i < step_count; ++i) {
      if (state_[draw(kVis)] == State::kRunning && draw(40) == 0) ask_end(draw(kVis));
      post(draw(kVis));
      if (draw(16) == 0) bench.give_space(draw(kVis));
      const uint32_t cycles = draw(3) == 0 ? draw(150) : 0;
      for (uint32_t k = 0; k < cycles; ++k) step();
    }
    for (uint32_t k = 0; k < 20000 && !(ends_.empty() && !ending_ && bench.quiet() && bench.reads_in_flight() == 0);
         ++k)
      step();
    bench.run(4000);
  }

  void expect_each_packet_counted_once() {
    EXPECT_TRUE(ends_.empty() && !ending_);
    EXPECT_GT(end_count_, 5u);
    for (uint32_t vi = 0; vi < kVis; ++vi) {
      uint32_t dropped = 0;
      for (const TxDrop& drop : bench.drops) dropped += drop.vi == vi;
      EXPECT_EQ(bench.packets[vi], bench.sent[vi] + dropped) << "VI " << vi;
    }
  }

  TxDmaBench bench;

 private:
  static constexpr uint32_t kVis = 5;
  enum class State : uint8_t { kRunning, kEnding };
  struct End {
    uint32_t vi = 0;
    bool stop = false;
  };
  struct Seen {
    size_t reads = 0, dones = 0, events = 0;
    bool operator==(const Seen&) const = default;
  };

  uint32_t draw(uint64_t below) { return static_cast<uint32_t>(random_() % below); }
  [[nodiscard]] Seen seen(uint32_t vi) const {
    Seen now;
    for (const TxRead& read : bench.reads) now.reads += read.vi == vi;
    for (const auto& [done_vi, index] : bench.dones) now.dones += done_vi == vi;
    for (const TxEvent& event : bench.events) now.events += event.vi == vi;
    return now;
  }
  void ask_end(uint32_t vi) {
    if (state_[vi] != State::kRunning) return;
    state_[vi] = State::kEnding;
    if (draw(2) == 0) ends_.push_back({vi, false});
    ends_.push_back({vi, true});
  }
  void post(uint32_t vi) {
    if (state_[vi] != State::kRunning) return;
    const uint32_t count = 1 + draw(4);
    std::vector<TxDesc> descs;
    for (uint32_t i = 0; i < count; ++i) {
      const uint64_t address = draw(300) == 0 ? uint64_t{1} << 41 : draw(0xfffff);
      descs.push_back(tx_data(address, draw(300) == 0 ? 0 : 14 + draw(300), i + 1 == count && draw(30) != 0));
    }
    bench.post(vi, descs);
  }
  void step() {
    for (; halt_count_ < bench.halts.size(); ++halt_count_) {
      const uint32_t vi = bench.halts[halt_count_].vi;
      if (state_[vi] != State::kRunning) continue;
      state_[vi] = State::kEnding;
      ends_.push_back({vi, false});
      ends_.push_back({vi, true});
    }
    if (!ending_ && rest_ == 0 && !ends_.empty()) {
      ending_ = true;
      bench.end_life(ends_.front().vi, ends_.front().stop);
    } else if (ending_ && bench.life_done_count > end_count_) {
      end_count_ = bench.life_done_count;
      ending_ = false;
      after_end(ends_.front());
      ends_.pop_front();
    } else if (rest_ > 0 && --rest_ == 0) {
      EXPECT_EQ(seen(stopped_vi_), stopped_seen_) << "something of VI " << stopped_vi_ << " appears after its end";
      bench.start(stopped_vi_);
      state_[stopped_vi_] = State::kRunning;
    }
    bench.cycle();
  }
  void after_end(const End& end) {
    if (!end.stop) return;
    EXPECT_FALSE(bench.reads_in_flight_of(end.vi)) << "R10";
    stopped_vi_ = end.vi;
    stopped_seen_ = seen(end.vi);
    rest_ = 300;
  }

  std::mt19937 random_;
  std::array<State, kVis> state_{};
  std::deque<End> ends_;
  bool ending_ = false;
  uint64_t end_count_ = 0, halt_count_ = 0;
  uint32_t rest_ = 0, stopped_vi_ = 0;  // cycles until the VI begins anew
  Seen stopped_seen_;
};

class PstTxDmaRandomLivesTest : public testing::TestWithParam<uint32_t> {};

TEST_P(PstTxDmaRandomLivesTest, NothingOfAViAppearsAfterItsEndAndEachPacketIsCountedOnce) {
  RandomLives lives(GetParam(), false);
  lives.run(2000);
  lives.expect_each_packet_counted_once();
}

TEST_P(PstTxDmaRandomLivesTest, NothingChangesWhenTheClockStandsStillWhereItMay) {
  RandomLives running(GetParam(), false), standing(GetParam(), true);
  running.run(400);
  standing.run(400);
  EXPECT_EQ(running.bench.log, standing.bench.log);
  EXPECT_GT(standing.bench.skipped_count, 0u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, PstTxDmaRandomLivesTest, testing::Range(1u, 6u));

}  // namespace
}  // namespace postern::rtl_test
