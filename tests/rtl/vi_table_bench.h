// Drives pst_vi_table and plays the blocks around it: those that are told of halts and stops, the event queue, the
// descriptor rings, the link, the firmware. What happens is written down, a line per step, for each VI.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "Vpst_vi_table.h"
#include "Vpst_vi_table___024root.h"
#include "contract/gen/pst_contract.h"
#include "tests/rtl/quiet_check.h"

namespace postern::rtl_test {

class ViTableBench {
 public:
  static constexpr uint32_t kViCount = 16, kHaltCount = 7, kLifeCount = 4;   // as in CMakeLists.txt
  static constexpr uint8_t kStart = 2, kStop = 3, kBind = 4, kModerate = 5;  // CFG_ of pst_admin_pkg
  static constexpr uint8_t kAnswerOk = 0, kAnswerStall = 1, kAnswerGone = 4;
  struct Halt {
    uint32_t vi = 0, source = 0, code = 0, index = 0;
  };

  ViTableBench() {
    dut_.rst_ni = 0;
    dut_.clk_i = 0;
    dut_.eval();
    edge();
    dut_.rst_ni = 1;
    run(kViCount + 2);
  }

  std::array<std::deque<Halt>, kHaltCount> halts;
  std::deque<uint32_t> spaces;
  // How many cycles a block takes to answer; from 1. A delay of kNever waits for release.
  static constexpr uint32_t kNever = ~0u;
  std::function<uint32_t()> life_delay = [] { return 1u; }, stop_delay = [] { return 1u; },
                            queue_delay = [] { return 2u; }, fence_delay = [] { return 1u; };
  std::function<bool()> ready = [] { return true; };  // of commands to queues and rings, and of events
  std::function<bool()> takes_events = [] { return true; };
  std::function<uint8_t(uint32_t)> answer = [](uint32_t) { return kAnswerOk; };
  std::vector<std::string> log;                           // all steps
  std::array<std::vector<std::string>, kViCount> log_of;  // by VI
  std::function<void(const Halt&)> on_halt = [](const Halt&) {};
  uint32_t done_count = 0;
  QuietCheck quiet;

  // Commands one at a time: the next only when the one before is done.
  void command(uint8_t op, uint32_t vi) {
    command_op_ = op;
    command_vi_ = vi;
    has_command_ = true;
  }
  void release_life() {
    for (auto& left : life_left_) left = left == kNever ? 1 : left;
  }
  void release_fence() { fence_left_ = 1; }
  void halt(uint32_t port, uint32_t vi, uint32_t code, uint32_t index) {
    halts.at(port).push_back({vi, PST_ERROR_SOURCE_RX + port % 4, code, index});
  }
  void run(uint32_t cycles) {
    for (uint32_t i = 0; i < cycles; ++i) cycle();
  }
  void do_command(uint8_t op, uint32_t vi) {
    const uint32_t before = done_count;
    command(op, vi);
    for (int i = 0; i < 500 && done_count == before; ++i) cycle();
    ASSERT_EQ(done_count, before + 1) << "the command has not ended";
  }
  [[nodiscard]] bool rests() const { return dut_.quiet_o != 0; }
  [[nodiscard]] bool halts_left() const {
    for (const auto& queue : halts) {
      if (!queue.empty()) return true;
    }
    return false;
  }
  static std::string error_line(const Halt& halt) {
    return "error " + std::to_string(halt.source) + " " + std::to_string(halt.code) + " " + std::to_string(halt.index);
  }

  void cycle() {
    drive();
    dut_.clk_i = 0;
    dut_.eval();
    observe();
    quiet.before(dut_.quiet_o, *dut_.rootp);
    edge();
    quiet.after(*dut_.rootp);
  }

 private:
  void edge() {
    dut_.clk_i = 1;
    dut_.eval();
    dut_.clk_i = 0;
    dut_.eval();
  }
  void note(uint32_t vi, const std::string& what) {
    log.push_back(std::to_string(vi) + " " + what);
    log_of.at(vi).push_back(what);
  }
  static bool counts_down(uint32_t& left) { return left != 0 && left != kNever && --left == 0; }

  void drive() {
    dut_.cfg_valid_i = has_command_;
    dut_.cfg_op_i = command_op_;
    dut_.cfg_index_i = command_vi_;
    for (uint32_t word = 0; word < 16; ++word) dut_.cfg_data_i[word] = 0x1000000u * (word + 1) + command_vi_;
    if (has_command_) current_vi_ = command_vi_;
    has_command_ = false;
    drive_halts();
    dut_.life_done_i = 0;
    for (uint32_t i = 0; i < kLifeCount; ++i) {
      if (counts_down(life_left_.at(i))) dut_.life_done_i |= static_cast<uint8_t>(1u << i);
    }
    dut_.evq_cmd_ready_i = ready();
    dut_.evq_cmd_done_i = counts_down(queue_left_);
    dut_.desc_cmd_ready_i = ready();
    dut_.stopped_valid_i = 0;
    for (auto it = stopping_.begin(); it != stopping_.end(); ++it) {
      if (it->left > 1) {
        --it->left;
        continue;
      }
      dut_.stopped_valid_i = 1;
      dut_.stopped_rx_i = it->rx;
      dut_.stopped_vi_i = static_cast<uint8_t>(it->vi);
      stopping_.erase(it);
      break;
    }
    dut_.ev_ready_i = ready() && takes_events();
    dut_.answer_valid_i = answer_owed_;
    dut_.answer_i = answer_;
    answer_owed_ = false;
    dut_.space_valid_i = !spaces.empty();
    if (!spaces.empty()) {
      dut_.space_vi_i = static_cast<uint8_t>(spaces.front());
      spaces.pop_front();
    }
    dut_.fence_done_i = counts_down(fence_left_);
  }
  void drive_halts() {
    dut_.halt_valid_i = 0;
    dut_.halt_vi_i = 0;
    dut_.halt_source_i = 0;
    for (uint32_t port = 0; port < kHaltCount; ++port) {
      if (halts.at(port).empty()) continue;
      const Halt& halt = halts.at(port).front();
      dut_.halt_valid_i |= static_cast<uint8_t>(1u << port);
      dut_.halt_vi_i |= halt.vi << (4 * port);
      dut_.halt_source_i |= halt.source << (4 * port);
      const uint32_t low = port % 2 * 16;
      dut_.halt_code_i[port / 2] = (dut_.halt_code_i[port / 2] & ~(0xffffu << low)) | halt.code << low;
      dut_.halt_index_i[port] = halt.index;
    }
  }

  void observe() {
    for (uint32_t port = 0; port < kHaltCount; ++port) {
      if ((dut_.halt_ready_o >> port & 1) == 0 || halts.at(port).empty()) continue;
      on_halt(halts.at(port).front());
      halts.at(port).pop_front();
    }
    if (dut_.life_valid_o) {
      for (const uint32_t left : life_left_) EXPECT_EQ(left, 0u) << "told while a block has not answered";
      for (auto& left : life_left_) left = life_delay();
      note(dut_.life_vi_o, dut_.life_op_o ? "life stop" : "life halt");
    }
    if (dut_.desc_cmd_valid_o && dut_.desc_cmd_ready_i) observe_ring();
    if (dut_.evq_cmd_valid_o && dut_.evq_cmd_ready_i) observe_queue();
    if (dut_.ev_valid_o && dut_.ev_ready_i) observe_event();
    if (!dut_.fence_valid_o) fence_asked_ = false;
    if (dut_.fence_valid_o && !fence_asked_) {
      fence_asked_ = true;
      fence_left_ = fence_delay();
      note(current_vi_, "fence");
    }
    if (dut_.cfg_done_o) {
      ++done_count;
      note(current_vi_, "done");
    }
  }
  void observe_ring() {
    const std::string ring = dut_.desc_cmd_rx_o ? "rx" : "tx";
    if (dut_.desc_cmd_stop_o) stopping_.push_back({dut_.desc_cmd_vi_o, dut_.desc_cmd_rx_o != 0, stop_delay()});
    note(dut_.desc_cmd_vi_o, (dut_.desc_cmd_stop_o ? "ring stop " : "ring start ") + ring);
    if (dut_.desc_cmd_stop_o) return;
    last_address[dut_.desc_cmd_rx_o] = dut_.desc_cmd_address_o;
    last_log2[dut_.desc_cmd_rx_o] = dut_.desc_cmd_entries_log2_o;
  }
  void observe_queue() {
    static const char* const kOps[] = {"start", "stop", "halt", "bind", "moderate"};
    ASSERT_EQ(queue_left_, 0u);
    ASSERT_GE(dut_.evq_cmd_op_o, 8);
    ASSERT_LE(dut_.evq_cmd_op_o, 12);
    queue_left_ = queue_delay();
    note(dut_.evq_cmd_vi_o, std::string("queue ") + kOps[dut_.evq_cmd_op_o - 8]);
    for (uint32_t word = 0; word < 5; ++word) last_config.at(word) = dut_.evq_cmd_config_o[word];
  }
  void observe_event() {
    const pst_error_event event{
        {dut_.ev_data_o[0] | uint64_t{dut_.ev_data_o[1]} << 32, dut_.ev_data_o[2] | uint64_t{dut_.ev_data_o[3]} << 32}};
    EXPECT_EQ(pst_error_event_get_type(&event), static_cast<uint64_t>(PST_EVENT_TYPE_ERROR));
    answer_ = answer(dut_.ev_vi_o);
    answer_owed_ = true;
    const Halt halt{dut_.ev_vi_o, static_cast<uint32_t>(pst_error_event_get_source(&event)),
                    static_cast<uint32_t>(pst_error_event_get_code(&event)),
                    static_cast<uint32_t>(pst_error_event_get_index(&event))};
    note(halt.vi, (answer_ == kAnswerStall ? "stalled " : "") + error_line(halt));
  }

 public:
  std::array<uint64_t, 2> last_address{};  // of rings started: TX, RX
  std::array<uint32_t, 2> last_log2{};
  std::array<uint32_t, 5> last_config{};

 private:
  struct Stopping {
    uint32_t vi = 0;
    bool rx = false;
    uint32_t left = 0;
  };
  Vpst_vi_table dut_;
  bool has_command_ = false, answer_owed_ = false, fence_asked_ = false;
  uint8_t command_op_ = 0, answer_ = 0;
  uint32_t command_vi_ = 0, current_vi_ = 0, queue_left_ = 0, fence_left_ = 0;
  std::array<uint32_t, kLifeCount> life_left_{};
  std::deque<Stopping> stopping_;
};

}  // namespace postern::rtl_test
