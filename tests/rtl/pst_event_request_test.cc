// pst_event_request under Verilator: order and fairness between requesters, what is offered stays, answers reach who
// asked.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <random>
#include <vector>

#include "Vpst_event_request.h"

namespace postern::rtl_test {
namespace {

constexpr uint32_t kRequesterCount = 4;
constexpr uint32_t kViWidth = 6;  // VI_COUNT 64, as in CMakeLists.txt

struct Request {
  uint32_t requester = 0, op = 0, vi = 0;
  uint64_t data = 0;
  bool operator==(const Request&) const = default;
};

struct Answer {
  uint32_t requester = 0, code = 0;
  uint64_t cycle = 0;
  bool operator==(const Answer&) const = default;
};

class EventRequestBench {
 public:
  explicit EventRequestBench(bool skips = false) : skips_(skips) {
    dut_.rst_ni = 0;
    dut_.eval();  // Verilator sees edges from the second evaluation on
    clock();
    dut_.rst_ni = 1;
  }

  std::array<std::deque<Request>, kRequesterCount> waiting;
  std::function<bool()> ready = [] { return true; };
  std::vector<Request> passed;
  std::vector<Answer> answers;
  uint64_t skipped_count = 0;

  void ask(uint32_t requester, uint32_t op, uint32_t vi, uint64_t data) {
    waiting[requester].push_back({requester, op, vi, data});
  }

  void cycle() {
    drive();
    dut_.clk_i = 0;
    dut_.eval();
    observe();
    const bool skip = skips_ && dut_.quiet_o;
    if (skip)
      ++skipped_count;
    else
      clock();
    ++cycle_;
  }
  void settle() {
    for (int i = 0; i < 1000; ++i) {
      cycle();
      bool over = answer_owed_ < 0;
      for (const auto& queue : waiting) over = over && queue.empty();
      if (over) return;
    }
    ADD_FAILURE() << "requests are left after 1000 cycles";
  }

 private:
  void clock() {
    dut_.clk_i = 1;
    dut_.eval();
    dut_.clk_i = 0;
  }
  void drive() {
    dut_.ev_valid_i = 0;
    uint64_t ops = 0, vis = 0;
    for (uint32_t k = 0; k < kRequesterCount; ++k) {
      if (waiting[k].empty()) continue;
      const Request& request = waiting[k].front();
      dut_.ev_valid_i = static_cast<uint8_t>(dut_.ev_valid_i | 1u << k);
      ops |= uint64_t{request.op} << (2 * k);
      vis |= uint64_t{request.vi} << (kViWidth * k);
      for (uint32_t word = 0; word < 4; ++word)
        dut_.ev_data_i[4 * k + word] = static_cast<uint32_t>(request.data >> (32 * (word % 2))) ^ word;
    }
    dut_.ev_op_i = static_cast<uint8_t>(ops);
    dut_.ev_vi_i = static_cast<uint32_t>(vis);
    dut_.ev_ready_i = ready();
    dut_.answer_valid_i = answer_owed_ >= 0;
    dut_.answer_i = static_cast<uint8_t>(cycle_ % 5);
  }

  void observe() {
    EXPECT_EQ(dut_.answer_valid_o, answer_owed_ < 0 ? 0 : 1 << answer_owed_);
    if (answer_owed_ >= 0) answers.push_back({static_cast<uint32_t>(answer_owed_), dut_.answer_o, cycle_});
    EXPECT_EQ(dut_.answer_o, cycle_ % 5);
    answer_owed_ = -1;
    EXPECT_EQ(dut_.ev_valid_o, dut_.ev_valid_i != 0) << "something is asked for, or nothing";
    EXPECT_EQ(dut_.quiet_o, dut_.ev_valid_i == 0);
    if (!dut_.ev_valid_o) {
      EXPECT_EQ(dut_.ev_ready_o, 0);
      return;
    }
    observe_offer();
  }

  void observe_offer() {
    Request now{0, dut_.ev_op_o, dut_.ev_vi_o, dut_.ev_data_o[0] | uint64_t{dut_.ev_data_o[1] ^ 1u} << 32};
    EXPECT_EQ(dut_.ev_data_o[2] ^ 2u, dut_.ev_data_o[0]);
    int offered = -1;
    for (uint32_t k = 0; k < kRequesterCount; ++k) {
      now.requester = k;
      if (!waiting[k].empty() && waiting[k].front() == now) offered = static_cast<int>(k);
    }
    ASSERT_GE(offered, 0) << "what is offered is nobody's request";
    if (held_ >= 0) {
      EXPECT_EQ(offered, held_) << "what is offered stays";
    }
    EXPECT_EQ(dut_.ev_ready_o, dut_.ev_ready_i ? 1 << offered : 0);
    held_ = dut_.ev_ready_i ? -1 : offered;
    if (!dut_.ev_ready_i) return;
    for (uint32_t k = 0; k < kRequesterCount; ++k) {
      if (waiting[k].empty()) continue;
      overtaken_[k] = static_cast<int>(k) == offered ? 0 : overtaken_[k] + 1;
      EXPECT_LT(overtaken_[k], kRequesterCount) << "requester " << k << " starves";
    }
    passed.push_back(waiting[static_cast<size_t>(offered)].front());
    waiting[static_cast<size_t>(offered)].pop_front();
    answer_owed_ = offered;
  }

  Vpst_event_request dut_;
  const bool skips_;
  uint64_t cycle_ = 0;
  int answer_owed_ = -1, held_ = -1;
  std::array<uint32_t, kRequesterCount> overtaken_{};
};

std::vector<uint32_t> requesters(const EventRequestBench& bench) {
  std::vector<uint32_t> order;
  for (const Request& request : bench.passed) order.push_back(request.requester);
  return order;
}

TEST(PstEventRequestTest, LowerNumberGoesFirstAndARequestPassesInTheCycleInWhichItIsOffered) {
  EventRequestBench bench;
  for (uint32_t k = kRequesterCount; k-- > 0;) bench.ask(k, k, 10 + k, 0x1000 + k);
  for (int i = 0; i < 4; ++i) bench.cycle();
  EXPECT_EQ(requesters(bench), (std::vector<uint32_t>{0, 1, 2, 3}));
  EXPECT_EQ(bench.passed[2], (Request{2, 2, 12, 0x1002}));
}

TEST(PstEventRequestTest, ABusyLowNumberLeavesEveryOtherOneItsTurn) {
  EventRequestBench bench;
  for (int i = 0; i < 4; ++i) {
    bench.ask(0, 0, 1, 0x100u + static_cast<uint32_t>(i));
    bench.ask(3, 1, 2, 0x200u + static_cast<uint32_t>(i));
  }
  bench.settle();
  EXPECT_EQ(requesters(bench), (std::vector<uint32_t>{0, 3, 0, 3, 0, 3, 0, 3}));
}

TEST(PstEventRequestTest, WhatIsOfferedStaysWhenALowerNumberComes) {
  EventRequestBench bench;
  bool open = false;
  bench.ready = [&] { return open; };
  bench.ask(2, 0, 1, 7);
  bench.cycle();
  bench.ask(0, 0, 1, 8);
  bench.cycle();
  open = true;
  bench.settle();
  EXPECT_EQ(requesters(bench), (std::vector<uint32_t>{2, 0}));
}

TEST(PstEventRequestTest, AnswerReachesWhoAskedAlthoughAnotherAsksMeanwhile) {
  EventRequestBench bench;
  bench.ask(1, 0, 1, 1);
  bench.ask(3, 0, 1, 2);
  bench.settle();
  ASSERT_EQ(bench.answers.size(), 2u);
  EXPECT_EQ(bench.answers[0].requester, 1u);
  EXPECT_EQ(bench.answers[1].requester, 3u);
}

class RandomEventRequestTest : public testing::TestWithParam<uint32_t> {};

void run_random(EventRequestBench& bench, uint32_t seed) {
  std::mt19937 random(seed);
  uint32_t ask_percent = 20, ready_percent = 100;
  uint64_t number = 0;
  bench.ready = [&] { return random() % 100 < ready_percent; };
  for (int cycle = 0; cycle < 20000; ++cycle) {
    if (cycle % 200 == 0) {
      ask_percent = random() % 5 == 0 ? 0 : 1 + random() % 60;
      ready_percent = 10 + random() % 91;
    }
    for (uint32_t k = 0; k < kRequesterCount; ++k) {
      if (bench.waiting[k].size() < 3 && random() % 100 < ask_percent)
        bench.ask(k, random() % 4, random() % 64, ++number);
    }
    bench.cycle();
  }
  ready_percent = 100;
  bench.settle();
  EXPECT_EQ(bench.passed.size(), number);
}

TEST_P(RandomEventRequestTest, EveryRequestPassesOnceInItsOrderAndWithASkippedClockTheSame) {
  EventRequestBench bench(false), skipping(true);
  run_random(bench, GetParam());
  run_random(skipping, GetParam());
  EXPECT_EQ(bench.passed, skipping.passed);
  EXPECT_EQ(bench.answers, skipping.answers);
  EXPECT_GT(skipping.skipped_count, 500u);
  EXPECT_GT(bench.passed.size(), 1000u);
}
INSTANTIATE_TEST_SUITE_P(Seed, RandomEventRequestTest, testing::Range(1u, 4u));

}  // namespace
}  // namespace postern::rtl_test
