// Drives pst_event_queue cycle by cycle and holds each cycle's answers, pulses and outputs against the reference. A
// request stays on its port until it is accepted; outputs are accepted as a test decides.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "Vpst_event_queue.h"
#include "Vpst_event_queue___024root.h"
#include "tests/rtl/event_queue_reference.h"
#include "tests/rtl/quiet_check.h"

namespace postern::rtl_test {

class EventQueueBench {
 public:
  struct Ready {
    bool write = true, message = true, halt = true;
  };

  EventQueueBench() {
    dut_.rst_ni = 0;
    tick();
    dut_.rst_ni = 1;
    for (uint32_t i = 0; i < EventQueueReference::kViCount + 2; ++i) cycle();
  }

  // One queue of requests per port.
  std::deque<Request> events, doorbells, commands;
  std::function<Ready()> ready = [] { return Ready(); };
  std::vector<Output> seen;              // all outputs
  std::vector<Answer> answers;           // of event requests
  std::vector<uint32_t> space_returned;  // VIs
  uint32_t dropped_count = 0, stalled_count = 0, lost_count = 0, ignored_count = 0, wake_count = 0, marked_count = 0;
  // Longest that a wakeup that is due may wait while outputs are accepted.
  static constexpr uint64_t kWakeBoundCycles = 400;

  EventQueueReference reference;
  [[nodiscard]] uint64_t now_ns() const { return now_ns_; }
  [[nodiscard]] bool idle() { return dut_.idle_o != 0; }
  [[nodiscard]] uint64_t cycle_count() const { return cycle_count_; }

  void start(uint32_t vi, const QueueConfig& config) {
    Request request;
    request.op = Op::kStart;
    request.vi = vi;
    request.config = config;
    commands.push_back(request);
    run_until_quiet();
  }
  void command(Op op, uint32_t vi, const QueueConfig& config = {}) {
    Request request;
    request.op = op;
    request.vi = vi;
    request.config = config;
    commands.push_back(request);
  }
  void post(uint32_t vi, uint64_t tag, uint32_t type = PST_EVENT_TYPE_RX, Op op = Op::kPost) {
    Request request;
    request.op = op;
    request.vi = vi;
    request.event = {{tag << 16, ~tag}};
    pst_event_set_type(&request.event, type);
    events.push_back(request);
  }
  void prime(uint32_t vi, uint32_t consumer_idx, uint16_t sequence = 1) {
    ring(Op::kPrime, vi, consumer_idx, sequence);
  }
  void consume(uint32_t vi, uint32_t consumer_idx) { ring(Op::kConsume, vi, consumer_idx, 1); }

  void run(uint64_t cycles) {
    for (uint64_t i = 0; i < cycles; ++i) cycle();
  }
  void run_until_quiet() {
    for (int i = 0; i < 4000; ++i) {
      cycle();
      if (events.empty() && doorbells.empty() && commands.empty() && !in_flight_ && dut_.idle_o) return;
    }
    ADD_FAILURE() << "the block did not come to rest within 4000 cycles";
  }
  [[nodiscard]] std::vector<Output> seen_of(Output::Kind kind, uint32_t vi) const {
    std::vector<Output> some;
    for (const Output& output : seen) {
      if (output.kind == kind && output.vi == vi) some.push_back(output);
    }
    return some;
  }

  // Lets the clock stand still, as long as the block says that it may and at most until limit_ns.
  void skip(uint64_t limit_ns) {
    if (!events.empty() || !doorbells.empty() || !commands.empty() || in_flight_ || !dut_.quiet_o) return;
    now_ns_ = std::max<uint64_t>(now_ns_, std::min<uint64_t>(limit_ns, dut_.due_ns_o));
  }
  [[nodiscard]] bool rests() { return dut_.quiet_o != 0; }
  [[nodiscard]] uint64_t due_ns() { return dut_.due_ns_o; }
  QuietCheck quiet;

  void cycle() {
    drive();
    const Ready now_ready = ready();
    dut_.wr_ready_i = now_ready.write;
    dut_.wake_ready_i = now_ready.message;
    dut_.halt_ready_i = now_ready.halt;
    dut_.time_ns_i = now_ns_;
    dut_.clk_i = 0;
    dut_.eval();
    check_operation();
    check_outputs(now_ready);
    take_accepted();
    check_due(now_ready);
    quiet.before(dut_.quiet_o && dut_.due_ns_o > now_ns_, *dut_.rootp);
    tick();
    dut_.clk_i = 0;
    dut_.eval();
    quiet.after(*dut_.rootp);
  }

 private:
  void ring(Op op, uint32_t vi, uint32_t consumer_idx, uint16_t sequence) {
    Request request;
    request.op = op;
    request.vi = vi;
    request.consumer_idx = consumer_idx;
    request.sequence = sequence;
    doorbells.push_back(request);
  }

  void tick() {
    dut_.clk_i = 0;
    dut_.eval();
    dut_.clk_i = 1;
    dut_.eval();
    now_ns_ += 4;
    ++cycle_count_;
  }

  void set_config(const QueueConfig& config) {
    // config_t, last field in bit 0.
    for (int word = 0; word < 5; ++word) dut_.cmd_config_i[word] = 0;
    unsigned at = 0;
    const auto put = [&](uint64_t value, unsigned width) {
      for (unsigned bit = 0; bit < width; ++bit, ++at) {
        dut_.cmd_config_i[at / 32] |= static_cast<uint32_t>(value >> bit & 1) << (at % 32);
      }
    };
    put(config.adaptive ? 1 : 0, 1);
    put(config.holdoff_events, 16);
    put(config.holdoff_ns, 32);
    put(config.wake_vi, 16);
    put(config.wake_to_vi ? 1 : 0, 1);
    put(config.vector, 16);
    put(config.policy, 2);
    put(config.entries_log2, 4);
    put(config.address, 64);
  }

  void drive() {
    dut_.cmd_valid_i = !commands.empty();
    if (!commands.empty()) {
      dut_.cmd_op_i = static_cast<uint8_t>(commands.front().op);
      dut_.cmd_vi_i = commands.front().vi;
      set_config(commands.front().config);
    }
    dut_.ev_valid_i = !events.empty();
    if (!events.empty()) {
      dut_.ev_op_i = static_cast<uint8_t>(events.front().op);
      dut_.ev_vi_i = events.front().vi;
      for (int word = 0; word < 4; ++word) {
        dut_.ev_data_i[word] = static_cast<uint32_t>(events.front().event.word[word / 2] >> (32 * (word % 2)));
      }
    }
    dut_.db_valid_i = !doorbells.empty();
    if (!doorbells.empty()) {
      dut_.db_prime_i = doorbells.front().op == Op::kPrime;
      dut_.db_vi_i = doorbells.front().vi;
      dut_.db_consumer_idx_i = doorbells.front().consumer_idx;
      dut_.db_sequence_i = doorbells.front().sequence;
    }
  }

  // The operation accepted in the cycle before, or one that the block has started itself.
  void check_operation() {
    const uint32_t vi = dut_.count_vi_o;
    const bool is_event = in_flight_ && in_flight_->op <= Op::kRelease;
    ASSERT_EQ(dut_.answer_valid_o != 0, is_event) << "cycle " << cycle_count_;
    if (in_flight_) {
      reference.execute(*in_flight_, now_ns_);
      ASSERT_EQ(dut_.count_event_o != 0, reference.wrote) << "cycle " << cycle_count_;
      ASSERT_EQ(dut_.count_marked_o != 0, reference.marked) << "cycle " << cycle_count_;
      ASSERT_EQ(dut_.count_wake_o != 0, reference.woke) << "cycle " << cycle_count_ << " VI " << in_flight_->vi;
      ASSERT_EQ(dut_.space_valid_o != 0, reference.space) << "cycle " << cycle_count_;
      ASSERT_EQ(dut_.count_ignored_o != 0, reference.ignored) << "cycle " << cycle_count_;
      if (is_event) {
        ASSERT_EQ(static_cast<Answer>(dut_.answer_o), reference.answer) << "cycle " << cycle_count_;
        answers.push_back(reference.answer);
      }
      if (reference.space) space_returned.push_back(dut_.space_vi_o);
    } else if (dut_.count_event_o) {  // a wakeup event: who it is from shows when it is written
      Request request;
      request.op = Op::kWakeEvent;
      request.vi = vi;
      pst_event_set_type(&request.event, PST_EVENT_TYPE_WAKEUP);
      reference.execute(request, now_ns_);
      ASSERT_TRUE(reference.wrote) << "cycle " << cycle_count_ << ": a wakeup event without space";
      ASSERT_EQ(dut_.count_marked_o != 0, reference.marked) << "cycle " << cycle_count_;
      ASSERT_EQ(dut_.count_wake_o != 0, reference.woke);
    } else if (dut_.count_wake_o) {
      const QueueState& q = reference.vi(vi);
      ASSERT_TRUE(q.armed && q.pending()) << "cycle " << cycle_count_ << ": VI " << vi << " woken without reason";
      ASSERT_LE(q.due_ns, now_ns_) << "woken too early";
      reference.holdoff_over(vi, now_ns_);
    } else if (dut_.count_dropped_o) {
      reference.vi(vi).mark = true;  // a wakeup event that found no space under policy DROP
    }
    dropped_count += dut_.count_dropped_o;
    stalled_count += dut_.count_stalled_o;
    lost_count += dut_.count_lost_o;
    ignored_count += dut_.count_ignored_o;
    wake_count += dut_.count_wake_o;
    marked_count += dut_.count_marked_o;
  }

  void check_outputs(const Ready& now_ready) {
    if (dut_.wr_valid_o && now_ready.write) {
      Output output;
      output.vi = dut_.wr_vi_o;
      output.address = dut_.wr_address_o;
      output.index = dut_.wr_idx_o;
      for (int word = 0; word < 4; ++word)
        output.event.word[word / 2] |= uint64_t{dut_.wr_data_o[word]} << (32 * (word % 2));
      expect(output);
    }
    if (dut_.wake_valid_o && now_ready.message) {
      expect({Output::Kind::kMessage, dut_.wake_vi_o, 0, {}, dut_.wake_vector_o, 0, 0, 0});
    }
    if (dut_.halt_valid_o && now_ready.halt) {
      expect({Output::Kind::kHalt, dut_.halt_vi_o, 0, {}, 0, dut_.halt_source_o, dut_.halt_code_o, dut_.halt_index_o});
    }
    if (dut_.cmd_done_o) expect({Output::Kind::kDone, reference_done_vi(), 0, {}, 0, 0, 0, 0});
  }
  uint32_t reference_done_vi() { return reference.outputs().empty() ? 0 : reference.outputs().front().vi; }

  void expect(const Output& output) {
    ASSERT_FALSE(reference.outputs().empty()) << "cycle " << cycle_count_ << ": an output that nothing has caused";
    Output expected = reference.outputs().front();
    reference.outputs().pop_front();
    ASSERT_EQ(output.kind, expected.kind) << "cycle " << cycle_count_;
    EXPECT_EQ(output.vi, expected.vi);
    EXPECT_EQ(output.address, expected.address);
    if (output.kind == Output::Kind::kWrite && pst_event_get_type(&expected.event) == PST_EVENT_TYPE_WAKEUP) {
      check_wakeup_event(output);
      expected.event.word[0] = output.event.word[0];
    }
    EXPECT_EQ(output.event.word[0], expected.event.word[0]) << "cycle " << cycle_count_;
    EXPECT_EQ(output.event.word[1], expected.event.word[1]) << "cycle " << cycle_count_;
    EXPECT_EQ(output.vector, expected.vector);
    EXPECT_EQ(output.source, expected.source);
    EXPECT_EQ(output.code, expected.code);
    EXPECT_EQ(output.index, expected.index);
    seen.push_back(output);
  }

  void check_wakeup_event(const Output& output) {
    const pst_wakeup_event event{{output.event.word[0], output.event.word[1]}};
    const auto source = static_cast<uint32_t>(pst_wakeup_event_get_vi_id(&event));
    ASSERT_LT(source, EventQueueReference::kViCount);
    ASSERT_GT(reference.vi(source).owed_count, 0u) << "VI " << source << " has not woken anybody";
    EXPECT_EQ(output.event.word[0], PST_EVENT_TYPE_WAKEUP | uint64_t{source} << 16);
    --reference.vi(source).owed_count;
  }

  void take_accepted() {
    const int accepted = (dut_.cmd_valid_i && dut_.cmd_ready_o) + (dut_.ev_valid_i && dut_.ev_ready_o) +
                         (dut_.db_valid_i && dut_.db_ready_o);
    ASSERT_LE(accepted, 1) << "cycle " << cycle_count_ << ": more than one operation";
    in_flight_.reset();
    for (auto* port : {&commands, &events, &doorbells}) {
      const bool ready_now = port == &commands ? dut_.cmd_ready_o : port == &events ? dut_.ev_ready_o : dut_.db_ready_o;
      if (port->empty() || !ready_now) continue;
      in_flight_ = port->front();
      port->pop_front();
      return;
    }
  }

  // A wakeup that is due fires within the bound, counted in cycles in which all outputs are accepted.
  void check_due(const Ready& now_ready) {
    if (!now_ready.write || !now_ready.message || !now_ready.halt) return;
    for (uint32_t id = 0; id < EventQueueReference::kViCount; ++id) {
      const QueueState& q = reference.vi(id);
      const bool due = q.pending() && q.armed && q.due_ns <= now_ns_;
      overdue_cycles_[id] = due ? overdue_cycles_[id] + 1 : 0;
      ASSERT_LE(overdue_cycles_[id], kWakeBoundCycles) << "VI " << id << " is not woken";
      ASSERT_TRUE(!q.pending() || q.armed) << "VI " << id << " is primed, has events and nothing is planned";
    }
  }

  Vpst_event_queue dut_;
  std::optional<Request> in_flight_;
  uint64_t now_ns_ = 1000;
  uint64_t cycle_count_ = 0;
  std::array<uint64_t, EventQueueReference::kViCount> overdue_cycles_{};
};

}  // namespace postern::rtl_test
