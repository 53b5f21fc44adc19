// pst_vi_table under Verilator: the sequences of start, stop and halt, halts from many blocks at any time, error events
// that wait for space, and random lives whose steps must follow the rules.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/rtl/vi_table_bench.h"

namespace postern::rtl_test {
namespace {

using Steps = std::vector<std::string>;
constexpr uint32_t kViCount = ViTableBench::kViCount;

const Steps kStartSteps = {"ring start rx", "ring start tx", "queue start", "done"};
const Steps kHaltSteps = {"life halt", "ring stop rx", "ring stop tx", "queue halt"};
const Steps kStopSteps = {"life stop", "ring stop rx", "ring stop tx", "queue stop", "fence", "done"};

Steps operator+(Steps steps, const Steps& more) {
  steps.insert(steps.end(), more.begin(), more.end());
  return steps;
}

TEST(PstViTableTest, StartGivesRingsAndQueueTheirConfiguration) {
  ViTableBench bench;
  bench.do_command(ViTableBench::kStart, 5);
  EXPECT_EQ(bench.log_of[5], kStartSteps);
  // The fields of vi_start_t: evq [151:0], rx_ring_address [215:152], tx_ring_address [279:216], sizes behind them.
  const auto bits = [](uint32_t lsb, uint32_t width) {
    uint64_t value = 0;
    for (uint32_t i = 0; i < width; ++i) {
      const uint32_t word = 0x1000000u * ((lsb + i) / 32 + 1) + 5;
      value |= uint64_t{word >> ((lsb + i) % 32) & 1} << i;
    }
    return value;
  };
  EXPECT_EQ(bench.last_address[1], bits(152, 64));
  EXPECT_EQ(bench.last_address[0], bits(216, 64));
  EXPECT_EQ(bench.last_log2[1], bits(280, 4));
  EXPECT_EQ(bench.last_log2[0], bits(284, 4));
  for (uint32_t word = 0; word < 4; ++word) EXPECT_EQ(bench.last_config[word], bits(32 * word, 32));
  EXPECT_EQ(bench.last_config[4], bits(128, 24));
}

TEST(PstViTableTest, BindAndModerateAreTheEventQueues) {
  ViTableBench bench;
  bench.do_command(ViTableBench::kBind, 5);
  bench.do_command(ViTableBench::kModerate, 6);
  EXPECT_EQ(bench.log_of[5], (Steps{"queue bind", "done"}));
  EXPECT_EQ(bench.log_of[6], (Steps{"queue moderate", "done"}));
  EXPECT_EQ(bench.last_config[0], 0x1000006u);
  EXPECT_EQ(bench.last_config[4], (0x5000006u & 0xffffffu));
}

TEST(PstViTableTest, HaltEndsWithTheErrorEvent) {
  ViTableBench bench;
  bench.do_command(ViTableBench::kStart, 5);
  bench.halt(2, 5, PST_ERROR_CODE_BAD_DESCRIPTOR, 0x12345678);
  bench.run(60);
  EXPECT_EQ(bench.log_of[5], kStartSteps + kHaltSteps + Steps{"error 2 10 305419896"});
  EXPECT_TRUE(bench.rests());
}

TEST(PstViTableTest, FirstErrorCountsAndLaterOnesAreIgnored) {
  ViTableBench bench;
  bench.do_command(ViTableBench::kStart, 5);
  for (uint32_t port = 0; port < ViTableBench::kHaltCount; ++port) bench.halt(port, 5, 9, port);
  std::vector<uint32_t> order;
  bench.on_halt = [&order](const ViTableBench::Halt& halt) { order.push_back(halt.index); };
  bench.run(100);
  bench.halt(1, 5, 9, 99);
  bench.run(100);
  ASSERT_EQ(order.size(), 8u);
  EXPECT_EQ(bench.log_of[5].size(), (kStartSteps + kHaltSteps).size() + 1);
  EXPECT_EQ(bench.log_of[5].back(), "error " + std::to_string(order[0] % 4) + " 9 " + std::to_string(order[0]));
}

TEST(PstViTableTest, HaltOfAViThatDoesNotRunIsIgnored) {
  ViTableBench bench;
  bench.halt(0, 5, 9, 1);
  bench.run(60);
  EXPECT_TRUE(bench.log.empty());
}

TEST(PstViTableTest, StopWaitsForReadsOfItsRingsThenForTheFence) {
  ViTableBench bench;
  bench.do_command(ViTableBench::kStart, 5);
  bench.stop_delay = [] { return 40u; };
  bench.command(ViTableBench::kStop, 5);
  bench.run(35);
  EXPECT_EQ(bench.log_of[5].back(), "queue stop");
  EXPECT_TRUE(bench.rests()) << "a stop that waits for the host needs no clock";
  bench.run(60);
  EXPECT_EQ(bench.log_of[5], kStartSteps + kStopSteps);
}

TEST(PstViTableTest, StopOfAHaltedViTakesItsWaitingErrorAway) {
  ViTableBench bench;
  bench.do_command(ViTableBench::kStart, 5);
  bench.answer = [](uint32_t) { return ViTableBench::kAnswerStall; };
  bench.halt(0, 5, 9, 1);
  bench.run(60);
  EXPECT_TRUE(bench.rests());
  bench.do_command(ViTableBench::kStop, 5);
  bench.spaces.push_back(5);
  bench.run(60);
  EXPECT_EQ(bench.log_of[5], kStartSteps + kHaltSteps + Steps{"stalled error 0 9 1"} + kStopSteps);
}

TEST(PstViTableTest, ErrorEventWaitsForSpaceOfItsQueue) {
  ViTableBench bench;
  bench.do_command(ViTableBench::kStart, 5);
  bool full = true;
  bench.answer = [&full](uint32_t) { return full ? ViTableBench::kAnswerStall : ViTableBench::kAnswerOk; };
  bench.halt(0, 5, 9, 1);
  bench.run(60);
  full = false;
  bench.spaces.push_back(6);
  bench.run(20);
  EXPECT_EQ(bench.log_of[5].back(), "stalled error 0 9 1");
  bench.spaces.push_back(5);
  bench.run(20);
  EXPECT_EQ(bench.log_of[5].back(), "error 0 9 1");
}

TEST(PstViTableTest, StopOfAViWhoseHaltIsUnderWayComesBehindIt) {
  ViTableBench bench;
  bench.do_command(ViTableBench::kStart, 5);
  bench.life_delay = [] { return 30u; };
  bench.halt(0, 5, 9, 1);
  bench.run(10);
  ASSERT_EQ(bench.log_of[5].back(), "life halt");
  bench.do_command(ViTableBench::kStop, 5);
  Steps steps = bench.log_of[5];
  std::erase(steps, "error 0 9 1");  // may come before the stop
  EXPECT_EQ(steps, kStartSteps + kHaltSteps + kStopSteps);
}

TEST(PstViTableTest, StopWaitsUntilTheErrorEventHasBeenPosted) {
  ViTableBench bench;
  bool takes_events = false;
  bench.takes_events = [&] { return takes_events; };
  bench.do_command(ViTableBench::kStart, 5);
  bench.halt(0, 5, 9, 1);
  bench.run(60);
  bench.command(ViTableBench::kStop, 5);
  bench.run(60);
  EXPECT_EQ(bench.log_of[5], kStartSteps + kHaltSteps + Steps{"life stop"});
  takes_events = true;
  bench.run(60);
  Steps steps = kStartSteps + kHaltSteps + kStopSteps;
  steps.insert(std::find(steps.begin(), steps.end(), "life stop") + 1, "error 0 9 1");
  EXPECT_EQ(bench.log_of[5], steps);
}

TEST(PstViTableTest, OthersHaltWhileAStopWaitsForItsFence) {
  ViTableBench bench;
  bench.do_command(ViTableBench::kStart, 5);
  bench.do_command(ViTableBench::kStart, 6);
  bench.fence_delay = [] { return ViTableBench::kNever; };
  bench.command(ViTableBench::kStop, 5);
  bench.run(40);
  ASSERT_EQ(bench.log_of[5].back(), "fence");
  bench.halt(3, 6, 9, 1);
  bench.run(60);
  EXPECT_EQ(bench.log_of[6].back(), "error 3 9 1");
  bench.release_fence();
  bench.run(10);
  EXPECT_EQ(bench.log_of[5].back(), "done");
}

TEST(PstViTableTest, HaltThatComesWhileTheViStopsIsNotTheNextLifes) {
  ViTableBench bench;
  bench.do_command(ViTableBench::kStart, 5);
  bench.life_delay = [] { return 20u; };
  bench.command(ViTableBench::kStop, 5);
  bench.run(10);
  ASSERT_EQ(bench.log_of[5].back(), "life stop");
  bench.halt(0, 5, 9, 1);
  const uint32_t before = bench.done_count;
  for (int i = 0; i < 500 && bench.done_count == before; ++i) bench.cycle();
  bench.do_command(ViTableBench::kStart, 5);
  bench.run(60);
  EXPECT_EQ(bench.log_of[5], kStartSteps + kStopSteps + kStartSteps);
}

TEST(PstViTableTest, StopIsNotDoneWhileAHaltRequestIsOffered) {
  ViTableBench bench;
  bench.do_command(ViTableBench::kStart, 5);
  bench.fence_delay = [] { return ViTableBench::kNever; };
  bench.command(ViTableBench::kStop, 5);
  bench.run(40);
  bench.release_fence();
  for (uint32_t i = 0; i < 6; ++i) bench.halt(i, 5, 9, i);
  const uint32_t before = bench.done_count;
  for (int i = 0; i < 100 && bench.done_count == before; ++i) {
    bench.cycle();
    if (bench.done_count != before) {
      EXPECT_FALSE(bench.halts_left());
    }
  }
  EXPECT_EQ(bench.done_count, before + 1);
}

TEST(PstViTableTest, AllVisHaltAtOnce) {
  ViTableBench bench;
  for (uint32_t vi = 0; vi < kViCount; ++vi) bench.do_command(ViTableBench::kStart, vi);
  for (uint32_t vi = 0; vi < kViCount; ++vi) bench.halt(vi % ViTableBench::kHaltCount, vi, 9, vi);
  bench.life_delay = [] { return 10u; };
  bench.run(40 * kViCount);
  for (uint32_t vi = 0; vi < kViCount; ++vi) {
    ASSERT_EQ(bench.log_of[vi].size(), (kStartSteps + kHaltSteps).size() + 1) << vi;
    EXPECT_EQ(bench.log_of[vi].back().substr(0, 5), "error");
  }
}

// Follows the steps of one VI: start, perhaps a halt, stop, and again. The error event may come, once, between the end
// of the halt and the moment at which a stop has made sure that it is not being posted; before it, it may stall.
class LifeChecker {
 public:
  explicit LifeChecker(const Steps& log) : log_(log) {}
  void check() {
    while (at_ < log_.size() && !::testing::Test::HasFatalFailure()) {
      take(kStartSteps);
      ++life_count;
      if (at_ == log_.size()) return;
      if (log_[at_] == "life halt") {
        take(kHaltSteps);
        ++halt_count;
        error_may_come_ = true;
      }
      take({"life stop"});
      take_error();
      error_may_come_ = false;
      take({kStopSteps.begin() + 1, kStopSteps.end()});
    }
  }
  uint32_t life_count = 0, halt_count = 0;
  std::vector<std::pair<uint32_t, std::string>> errors;  // by life, from 0

 private:
  void take_error() {
    while (error_may_come_ && at_ < log_.size() && log_[at_].starts_with("stalled")) ++at_;
    if (!error_may_come_ || at_ == log_.size() || !log_[at_].starts_with("error")) return;
    errors.emplace_back(life_count - 1, log_[at_++]);
    error_may_come_ = false;
  }
  void take(const Steps& steps) {
    for (const std::string& step : steps) {
      take_error();
      ASSERT_LT(at_, log_.size());
      ASSERT_EQ(log_[at_], step) << "step " << at_;
      ++at_;
    }
  }
  const Steps& log_;
  size_t at_ = 0;
  bool error_may_come_ = false;
};

class ViTableRandomTest : public ::testing::TestWithParam<uint32_t> {};

TEST_P(ViTableRandomTest, LivesFollowTheRules) {
  std::mt19937 random(GetParam());
  ViTableBench bench;
  bench.life_delay = [&random] { return static_cast<uint32_t>(1 + random() % 20); };
  bench.stop_delay = [&random] { return static_cast<uint32_t>(1 + random() % 60); };
  bench.queue_delay = [&random] { return static_cast<uint32_t>(1 + random() % 5); };
  bench.fence_delay = [&random] { return static_cast<uint32_t>(1 + random() % 30); };
  bench.ready = [&random] { return random() % 3 != 0; };
  bench.answer = [&random](uint32_t) {
    return random() % 3 == 0 ? ViTableBench::kAnswerStall : ViTableBench::kAnswerOk;
  };
  // Requests that were accepted between the command that starts a life and the end of the one that stops it. The first
  // counts if the VI surely ran then; one that comes at the edges may.
  struct Life {
    bool sure = false;
    Steps requests;
  };
  std::array<std::vector<Life>, kViCount> lives;
  std::array<bool, kViCount> running{};
  uint32_t busy_vi = kViCount, done_count = 0;
  uint8_t busy_op = 0;
  bench.on_halt = [&](const ViTableBench::Halt& halt) {
    if (lives.at(halt.vi).empty()) return;
    Life& life = lives[halt.vi].back();
    if (life.requests.empty()) life.sure = running.at(halt.vi);
    life.requests.push_back(ViTableBench::error_line(halt));
  };
  for (uint32_t i = 0; i < 40000; ++i) {
    if (bench.done_count != done_count) {
      done_count = bench.done_count;
      running.at(busy_vi) = busy_op == ViTableBench::kStart;
      busy_vi = kViCount;
    }
    if (busy_vi == kViCount && random() % 20 == 0) {
      busy_vi = random() % kViCount;
      busy_op = running[busy_vi] ? ViTableBench::kStop : ViTableBench::kStart;
      running[busy_vi] = false;
      if (busy_op == ViTableBench::kStart) lives[busy_vi].emplace_back();
      bench.command(busy_op, busy_vi);
    }
    if (random() % 30 == 0)
      bench.halt(random() % ViTableBench::kHaltCount, random() % kViCount, random() % 16, random() % 1000);
    if (random() % 4 == 0) bench.spaces.push_back(random() % kViCount);
    bench.cycle();
  }
  uint32_t life_count = 0, halt_count = 0, error_count = 0;
  for (uint32_t vi = 0; vi < kViCount; ++vi) {
    // The last life is still under way; its steps up to here are a beginning.
    Steps log = bench.log_of[vi];
    while (!log.empty() && log.back() != "done") log.pop_back();
    LifeChecker checker(log);
    checker.check();
    ASSERT_FALSE(HasFatalFailure()) << "VI " << vi;
    life_count += checker.life_count;
    halt_count += checker.halt_count;
    for (const auto& [life_idx, error] : checker.errors) {
      ASSERT_LT(life_idx, lives[vi].size());
      const Life& life = lives[vi][life_idx];
      ASSERT_FALSE(life.requests.empty());
      if (life.sure) {
        EXPECT_EQ(error, life.requests.front()) << "VI " << vi << " life " << life_idx;
      } else {
        EXPECT_NE(std::find(life.requests.begin(), life.requests.end(), error), life.requests.end()) << "VI " << vi;
      }
      ++error_count;
    }
  }
  EXPECT_GT(error_count, 20u);
  EXPECT_GT(life_count, 100u);
  EXPECT_GT(halt_count, 20u);
  EXPECT_GT(bench.quiet.quiet_count(), 1000u);
}
INSTANTIATE_TEST_SUITE_P(Seed, ViTableRandomTest, ::testing::Range(1u, 7u));

}  // namespace
}  // namespace postern::rtl_test
