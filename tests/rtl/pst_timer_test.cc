// pst_timer under Verilator: arming, expiry, waiting for event space, lives, and random operations against a small
// reference with and without the clock standing still while the block rests.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <random>
#include <vector>

#include "Vpst_timer.h"
#include "Vpst_timer___024root.h"
#include "contract/gen/pst_contract.h"
#include "tests/rtl/quiet_check.h"

namespace postern::rtl_test {
namespace {

constexpr uint32_t kViCount = 64;  // as in CMakeLists.txt
constexpr uint64_t kCycleNs = 4;
constexpr uint8_t kAnswerOk = 0, kAnswerStall = 1, kAnswerDrop = 2;
constexpr uint8_t kViStart = 0x02;

struct Arm {
  uint32_t vi = 0, delay_ns = 0;
  uint16_t sequence = 0;
};
struct Posted {
  uint32_t vi = 0;
  uint16_t sequence = 0;
  uint64_t time_ns = 0;
  uint8_t answer = kAnswerOk;
};
struct Halted {
  uint32_t vi = 0, source = 0, code = 0, index = 0;
};

class TimerBench {
 public:
  TimerBench() {
    dut_.rst_ni = 0;
    dut_.clk_i = 0;
    dut_.eval();
    edge();
    dut_.rst_ni = 1;
    run(kViCount + 2);
  }

  std::deque<Arm> arms;
  std::deque<uint32_t> spaces;  // VIs whose space returns, one a cycle
  std::function<bool()> event_ready = [] { return true; };
  std::function<bool()> halt_ready = [] { return true; };
  std::function<uint8_t(uint32_t)> answer = [](uint32_t) { return kAnswerOk; };  // by VI
  std::function<void(const Arm&, uint64_t)> on_armed = [](const Arm&, uint64_t) {};
  std::vector<Posted> posted;
  std::vector<Halted> halts;
  uint32_t life_done_count = 0;
  uint64_t now_ns = 1000;
  bool skips = false;  // the clock stands still while the block rests
  QuietCheck quiet;

  void open(uint32_t vi) {
    opens_ = vi;
    cycle();
    run(4);
  }
  void end(uint32_t vi) {
    ends_ = vi;
    cycle();
  }
  void arm(uint32_t vi, uint32_t delay_ns, uint16_t sequence) { arms.push_back({vi, delay_ns, sequence}); }
  void run(uint32_t cycles) {
    for (uint32_t i = 0; i < cycles; ++i) cycle();
  }
  void run_until(uint64_t time_ns) {
    while (now_ns < time_ns) {
      cycle();
      // Cycles stay where they are on the time axis.
      if (skips && arms.empty() && spaces.empty() && dut_.quiet_o && dut_.due_ns_o > now_ns) {
        const uint64_t until = std::min<uint64_t>(time_ns, dut_.due_ns_o);
        if (until > now_ns) now_ns += (until - now_ns + kCycleNs - 1) / kCycleNs * kCycleNs;
      }
    }
  }
  [[nodiscard]] uint64_t due_ns() const { return dut_.due_ns_o; }
  [[nodiscard]] bool rests() const { return dut_.quiet_o != 0; }

  void cycle() {
    drive();
    dut_.clk_i = 0;
    dut_.eval();
    observe();
    quiet.before(dut_.quiet_o && dut_.due_ns_o > now_ns, *dut_.rootp);
    edge();
    quiet.after(*dut_.rootp);
    now_ns += kCycleNs;
    opens_ = ends_ = kViCount;
  }

 private:
  void edge() {
    dut_.clk_i = 1;
    dut_.eval();
    dut_.clk_i = 0;
    dut_.eval();
  }
  void drive() {
    dut_.time_ns_i = now_ns;
    dut_.cfg_valid_i = opens_ != kViCount;
    dut_.cfg_op_i = kViStart;
    dut_.cfg_index_i = opens_;
    dut_.life_valid_i = ends_ != kViCount;
    dut_.life_vi_i = static_cast<uint8_t>(ends_ % kViCount);
    dut_.arm_valid_i = !arms.empty();
    if (!arms.empty()) {
      dut_.arm_vi_i = static_cast<uint8_t>(arms.front().vi);
      dut_.arm_delay_ns_i = arms.front().delay_ns;
      dut_.arm_sequence_i = arms.front().sequence;
    }
    dut_.ev_ready_i = event_ready();
    dut_.halt_ready_i = halt_ready();
    dut_.answer_valid_i = answer_owed_;
    dut_.answer_i = answer_owed_ ? posted.back().answer : uint8_t{0};
    answer_owed_ = false;
    dut_.space_valid_i = !spaces.empty();
    if (!spaces.empty()) {
      dut_.space_vi_i = static_cast<uint8_t>(spaces.front());
      spaces.pop_front();
    }
  }
  void observe() {
    if (dut_.arm_valid_i && dut_.arm_ready_o) {
      on_armed(arms.front(), now_ns);
      arms.pop_front();
    }
    if (dut_.ev_valid_o && dut_.ev_ready_i) {
      const pst_timer_event event{{dut_.ev_data_o[0] | uint64_t{dut_.ev_data_o[1]} << 32,
                                   dut_.ev_data_o[2] | uint64_t{dut_.ev_data_o[3]} << 32}};
      EXPECT_EQ(pst_timer_event_get_type(&event), static_cast<uint64_t>(PST_EVENT_TYPE_TIMER));
      posted.push_back(
          {dut_.ev_vi_o, static_cast<uint16_t>(pst_timer_event_get_sequence(&event)), now_ns, answer(dut_.ev_vi_o)});
      answer_owed_ = true;
    }
    if (dut_.halt_valid_o && dut_.halt_ready_i)
      halts.push_back({dut_.halt_vi_o, dut_.halt_source_o, dut_.halt_code_o, dut_.halt_index_o});
    life_done_count += dut_.life_done_o;
  }

  Vpst_timer dut_;
  uint32_t opens_ = kViCount, ends_ = kViCount;
  bool answer_owed_ = false;
};

TEST(PstTimerTest, ExpiresOnceWithItsSequenceAndNotEarly) {
  TimerBench bench;
  bench.open(5);
  bench.arm(5, 1000, 77);
  const uint64_t armed_ns = bench.now_ns;
  bench.run_until(armed_ns + 5000);
  ASSERT_EQ(bench.posted.size(), 1u);
  EXPECT_EQ(bench.posted[0].vi, 5u);
  EXPECT_EQ(bench.posted[0].sequence, 77);
  EXPECT_GE(bench.posted[0].time_ns, armed_ns + 1000);
  EXPECT_LE(bench.posted[0].time_ns, armed_ns + 1000 + 10 * kCycleNs);
}

TEST(PstTimerTest, NewWriteReplacesTheArmedTimer) {
  TimerBench bench;
  bench.open(5);
  bench.arm(5, 1000, 1);
  bench.run(5);
  bench.arm(5, 3000, 2);
  const uint64_t armed_ns = bench.now_ns;
  bench.run_until(armed_ns + 6000);
  ASSERT_EQ(bench.posted.size(), 1u);
  EXPECT_EQ(bench.posted[0].sequence, 2);
  EXPECT_GE(bench.posted[0].time_ns, armed_ns + 3000);
}

TEST(PstTimerTest, DelayZeroDisarmsWhateverTheSequence) {
  TimerBench bench;
  bench.open(5);
  bench.arm(5, 1000, 1);
  bench.arm(5, 0, 0);
  bench.run_until(4000);
  EXPECT_TRUE(bench.posted.empty());
  EXPECT_TRUE(bench.halts.empty());
  EXPECT_EQ(bench.due_ns(), ~0ull) << "a time that is too early becomes right";
}

TEST(PstTimerTest, SequenceZeroHaltsAndDisarms) {
  TimerBench bench;
  bench.open(9);
  bench.arm(9, 1000, 1);
  bench.arm(9, 1234, 0);
  bench.run_until(5000);
  ASSERT_EQ(bench.halts.size(), 1u);
  EXPECT_EQ(bench.halts[0].vi, 9u);
  EXPECT_EQ(bench.halts[0].source, static_cast<uint32_t>(PST_ERROR_SOURCE_DOORBELL));
  EXPECT_EQ(bench.halts[0].code, static_cast<uint32_t>(PST_ERROR_CODE_BAD_DOORBELL));
  EXPECT_EQ(bench.halts[0].index, 1234u);
  EXPECT_TRUE(bench.posted.empty());
}

TEST(PstTimerTest, ViWithoutALifeIsNotArmed) {
  TimerBench bench;
  bench.arm(3, 100, 1);
  bench.arm(3, 100, 0);
  bench.run_until(3000);
  EXPECT_TRUE(bench.posted.empty());
  EXPECT_TRUE(bench.halts.empty());
}

TEST(PstTimerTest, ExpiryWithoutSpaceWaitsAndTheNewestSequenceCounts) {
  TimerBench bench;
  bench.open(5);
  bool full = true;
  bench.answer = [&full](uint32_t) { return full ? kAnswerStall : kAnswerOk; };
  bench.arm(5, 100, 1);
  bench.run(60);
  bench.arm(5, 100, 2);
  bench.run(60);
  EXPECT_TRUE(bench.rests()) << "who waits for space needs no clock";
  ASSERT_EQ(bench.posted.size(), 2u);  // each asked once
  full = false;
  bench.spaces.push_back(6);
  bench.run(10);
  EXPECT_EQ(bench.posted.size(), 2u) << "another VI's space";
  bench.spaces.push_back(5);
  bench.run(10);
  ASSERT_EQ(bench.posted.size(), 3u);
  EXPECT_EQ(bench.posted[2].sequence, 2);
  bench.spaces.push_back(5);
  bench.run(10);
  EXPECT_EQ(bench.posted.size(), 3u);
}

TEST(PstTimerTest, DroppedEventIsForgotten) {
  TimerBench bench;
  bench.open(5);
  bench.answer = [](uint32_t) { return kAnswerDrop; };
  bench.arm(5, 100, 1);
  bench.run(60);
  bench.spaces.push_back(5);
  bench.run(10);
  EXPECT_EQ(bench.posted.size(), 1u);
}

TEST(PstTimerTest, EndOfALifeTakesTimerAndWaitingEventAway) {
  TimerBench bench;
  bench.open(5);
  bench.open(6);
  bench.answer = [](uint32_t) { return kAnswerStall; };
  bench.arm(5, 100, 1);
  bench.arm(6, 1000, 2);
  bench.run(60);
  ASSERT_EQ(bench.posted.size(), 1u);
  bench.end(5);
  bench.run(8);
  bench.end(6);
  bench.run(8);
  EXPECT_EQ(bench.life_done_count, 2u);
  bench.open(5);
  bench.open(6);
  bench.spaces.push_back(5);
  bench.run_until(bench.now_ns + 3000);
  EXPECT_EQ(bench.posted.size(), 1u) << "nothing of the old life";
}

TEST(PstTimerTest, EndOfALifeWaitsForAnEventThatIsOffered) {
  TimerBench bench;
  bench.open(5);
  bool ready = false;
  bench.event_ready = [&ready] { return ready; };
  bench.arm(5, 100, 1);
  bench.run(60);
  bench.end(5);
  bench.run(30);
  EXPECT_EQ(bench.life_done_count, 0u);
  ready = true;
  bench.run(4);
  EXPECT_EQ(bench.life_done_count, 1u);
  EXPECT_EQ(bench.posted.size(), 1u);
}

TEST(PstTimerTest, DueIsTheEarliestArmedTimer) {
  TimerBench bench;
  for (uint32_t vi = 0; vi < kViCount; ++vi) bench.open(vi);
  uint64_t first_ns = ~0ull;
  bench.on_armed = [&first_ns](const Arm& arm, uint64_t now_ns) {
    first_ns = std::min(first_ns, now_ns + arm.delay_ns);
  };
  for (uint32_t vi = 0; vi < kViCount; ++vi)
    bench.arm(vi, 100000 - 1000 * ((vi * 37) % kViCount), static_cast<uint16_t>(vi + 1));
  bench.run(300);
  EXPECT_TRUE(bench.rests());
  EXPECT_LE(bench.due_ns(), first_ns + kCycleNs);
  EXPECT_GE(bench.due_ns(), first_ns);
}

TEST(PstTimerTest, AllTimersDueAtOnceExpireInOneSearch) {
  TimerBench bench;
  for (uint32_t vi = 0; vi < kViCount; ++vi) bench.open(vi);
  for (uint32_t vi = 0; vi < kViCount; ++vi) bench.arm(vi, 10000 - 8 * vi, static_cast<uint16_t>(vi + 1));
  const uint64_t due_ns = bench.now_ns + 10000;
  bench.run_until(due_ns + 8 * kViCount * kCycleNs);
  ASSERT_EQ(bench.posted.size(), kViCount);
  std::array<bool, kViCount> seen{};
  for (const Posted& event : bench.posted) {
    EXPECT_EQ(event.sequence, event.vi + 1);
    seen.at(event.vi) = true;
  }
  EXPECT_EQ(std::count(seen.begin(), seen.end(), true), static_cast<long>(kViCount));
}

// What a timer must do. An expiry is due when the reference says so, and may come late by what a search takes.
class TimerRandomTest : public ::testing::TestWithParam<uint32_t> {
 protected:
  static constexpr uint64_t kLateNs = 3 * kViCount * kCycleNs;  // a whole search and the events of others
  struct Vi {
    uint64_t due_ns = 0;
    uint16_t sequence = 0;
    bool armed = false;
  };
  struct Expected {
    uint32_t vi = 0;
    uint16_t sequence = 0;
    uint64_t due_ns = 0;
  };

  struct Run {
    std::vector<Posted> posted;
    std::vector<Expected> expected;  // these must have expired
    std::vector<Expected> possible;  // changed when they were just due
    uint64_t quiet_count = 0;
  };

  // The reference's part when a timer is armed anew, or when time has passed.
  static void settle(uint32_t vi, Vi& state, uint64_t now_ns, bool is_armed_anew, Run& run) {
    if (!state.armed || state.due_ns > now_ns) return;
    const bool surely = state.due_ns + kLateNs <= now_ns;
    if (surely) run.expected.push_back({vi, state.sequence, state.due_ns});
    if (!surely && is_armed_anew) run.possible.push_back({vi, state.sequence, state.due_ns});
    if (surely) state.armed = false;
  }

  Run run_one(bool skips) {
    Run run;
    std::mt19937 random(GetParam());
    std::mt19937 choices(GetParam() + 100);
    TimerBench bench;
    bench.skips = skips;
    bench.event_ready = [&random, skips] { return skips || random() % 4 != 0; };
    std::array<Vi, kViCount> vis;
    bench.on_armed = [&vis, &run](const Arm& arm, uint64_t now_ns) {
      settle(arm.vi, vis.at(arm.vi), now_ns, true, run);
      vis.at(arm.vi) = {now_ns + arm.delay_ns, arm.sequence, arm.delay_ns != 0};
    };
    for (uint32_t vi = 0; vi < kViCount; ++vi) bench.open(vi);
    for (uint32_t round = 0; round < 60; ++round) {
      for (uint32_t i = 0; i < 20; ++i) {
        const uint32_t delay_ns = choices() % 5 == 0 ? 0 : 50000 + choices() % 150000;
        bench.arm(choices() % kViCount, delay_ns, static_cast<uint16_t>(1 + choices() % 65535));
      }
      bench.run(60);
      bench.run_until(bench.now_ns + 30000 + choices() % 80000);
      for (uint32_t vi = 0; vi < kViCount; ++vi) settle(vi, vis[vi], bench.now_ns, false, run);
    }
    bench.run_until(bench.now_ns + 250000);
    for (uint32_t vi = 0; vi < kViCount; ++vi) settle(vi, vis[vi], bench.now_ns, false, run);
    EXPECT_EQ(bench.due_ns(), ~0ull);
    run.posted = bench.posted;
    run.quiet_count = bench.quiet.quiet_count();
    return run;
  }

  // Takes the events out of posted that the list names; how many were missing.
  static uint32_t take(std::vector<Posted>& posted, const std::vector<Expected>& list) {
    uint32_t missing_count = 0;
    for (const Expected& want : list) {
      const auto match = std::find_if(posted.begin(), posted.end(), [&want](const Posted& event) {
        return event.vi == want.vi && event.sequence == want.sequence && event.time_ns >= want.due_ns &&
               event.time_ns <= want.due_ns + kLateNs;
      });
      if (match == posted.end())
        ++missing_count;
      else
        posted.erase(match);
    }
    return missing_count;
  }
};

TEST_P(TimerRandomTest, EveryTimerExpiresOnceAndSkippedCyclesChangeNothing) {
  for (const bool skips : {false, true}) {
    Run run = run_one(skips);
    EXPECT_GT(run.expected.size(), 200u);
    EXPECT_LT(run.possible.size(), run.expected.size() / 10);
    EXPECT_GT(run.quiet_count, 100u);
    EXPECT_EQ(take(run.posted, run.expected), 0u) << (skips ? "with" : "without") << " skipping";
    take(run.posted, run.possible);
    EXPECT_TRUE(run.posted.empty()) << "VI " << run.posted.front().vi << " expired at " << run.posted.front().time_ns;
  }
}
INSTANTIATE_TEST_SUITE_P(Seed, TimerRandomTest, ::testing::Range(1u, 5u));

}  // namespace
}  // namespace postern::rtl_test
