// pst_admin under Verilator: the firmware's commands reach the blocks one at a time and end with the done of a block.
#include <gtest/gtest.h>

#include <cstdint>
#include <deque>
#include <random>
#include <vector>

#include "Vpst_admin.h"
#include "Vpst_admin___024root.h"
#include "tests/rtl/quiet_check.h"

namespace postern::rtl_test {
namespace {

constexpr uint32_t kClearCycles = 16;  // as in CMakeLists.txt
constexpr uint8_t kOps[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x10,
                            0x11, 0x12, 0x20, 0x21, 0x22, 0x28, 0x29, 0x30};

struct Command {
  uint8_t op = 0;
  uint32_t index = 0;
  uint32_t tag = 0;  // fills the data
};

class AdminBench {
 public:
  AdminBench() {
    dut_.rst_ni = 0;
    dut_.clk_i = 0;
    dut_.eval();
    tick();
    dut_.rst_ni = 1;
  }
  std::deque<Command> commands;
  std::vector<Command> told;    // what the blocks have seen
  std::vector<uint64_t> taken;  // cycles
  uint32_t done_count = 0;
  uint8_t done = 0;  // pulses of the blocks in the next cycle
  uint64_t cycle_count = 0;
  QuietCheck quiet;

  void cycle() {
    dut_.fw_valid_i = !commands.empty();
    if (!commands.empty()) {
      dut_.fw_op_i = commands.front().op;
      dut_.fw_index_i = commands.front().index;
      for (uint32_t word = 0; word < 16; ++word) dut_.fw_data_i[word] = commands.front().tag + word;
    }
    dut_.cfg_done_i = done;
    done = 0;
    dut_.clk_i = 0;
    dut_.eval();
    if (dut_.cfg_valid_o) {
      told.push_back({dut_.cfg_op_o, dut_.cfg_index_o, dut_.cfg_data_o[0]});
      for (uint32_t word = 0; word < 16; ++word) EXPECT_EQ(dut_.cfg_data_o[word], told.back().tag + word);
    }
    done_count += dut_.fw_done_o;
    quiet.before(dut_.quiet_o, *dut_.rootp);
    const bool accepted = dut_.fw_valid_i && dut_.fw_ready_o;
    tick();
    quiet.after(*dut_.rootp);
    if (accepted) {
      taken.push_back(cycle_count);
      commands.pop_front();
    }
    ++cycle_count;
  }
  void run(uint32_t cycles) {
    for (uint32_t i = 0; i < cycles; ++i) cycle();
  }
  [[nodiscard]] Command held() const { return {dut_.cfg_op_o, dut_.cfg_index_o, dut_.cfg_data_o[0]}; }
  [[nodiscard]] bool rests() const { return dut_.quiet_o != 0; }

 private:
  void tick() {
    dut_.clk_i = 1;
    dut_.eval();
    dut_.clk_i = 0;
    dut_.eval();
  }
  Vpst_admin dut_;
};

TEST(PstAdminTest, NothingIsTakenBeforeTheRamsAreClear) {
  AdminBench bench;
  bench.commands.push_back({0x02, 1, 7});
  bench.run(2 * kClearCycles);
  ASSERT_EQ(bench.taken.size(), 1u);
  EXPECT_GE(bench.taken[0], kClearCycles);
  EXPECT_LE(bench.taken[0], kClearCycles + 2);
}

TEST(PstAdminTest, EveryCommandIsToldOnceAndEndsWithADone) {
  AdminBench bench;
  uint32_t count = 0;
  for (const uint8_t op : kOps) {
    bench.commands.push_back({op, 0x1000u + op, 0xabc000u + op});
    bench.run(40);
    ++count;
    ASSERT_EQ(bench.told.size(), count);
    EXPECT_EQ(bench.told.back().op, op);
    EXPECT_EQ(bench.told.back().index, 0x1000u + op);
    EXPECT_EQ(bench.told.back().tag, 0xabc000u + op);
    EXPECT_EQ(bench.done_count, count - 1) << "done without a block";
    bench.done = count % 2 ? 1 : 2;
    bench.run(2);
    EXPECT_EQ(bench.done_count, count);
  }
}

TEST(PstAdminTest, UnknownOperationIsDoneAtOnceAndToldToNobody) {
  AdminBench bench;
  bench.run(kClearCycles + 2);
  bench.commands.push_back({0x7f, 1, 2});
  bench.run(3);
  EXPECT_EQ(bench.done_count, 1u);
  EXPECT_TRUE(bench.told.empty());
}

TEST(PstAdminTest, NextCommandWaitsAndTheDataOfTheFirstStays) {
  AdminBench bench;
  bench.run(kClearCycles + 2);
  bench.commands.push_back({0x03, 5, 100});
  bench.commands.push_back({0x30, 6, 200});
  bench.run(50);
  EXPECT_EQ(bench.told.size(), 1u);
  EXPECT_EQ(bench.held().tag, 100u);
  EXPECT_TRUE(bench.rests()) << "a command that waits for its block needs no clock";
  bench.done = 1;
  bench.run(5);
  ASSERT_EQ(bench.told.size(), 2u);
  EXPECT_EQ(bench.told[1].index, 6u);
}

TEST(PstAdminTest, DoneWithoutACommandIsNotHeard) {
  AdminBench bench;
  bench.run(kClearCycles + 2);
  bench.done = 3;
  bench.run(2);
  EXPECT_EQ(bench.done_count, 0u);
  bench.commands.push_back({0x03, 5, 100});
  bench.run(5);
  EXPECT_EQ(bench.done_count, 0u);
}

TEST(PstAdminTest, RandomCommandsComeInOrderAndRestsAreRests) {
  AdminBench bench;
  std::mt19937 random(1);
  std::vector<Command> sent;
  uint32_t ended_count = 0;  // that a block has done, or that no block knows
  for (uint32_t i = 0; i < 20000; ++i) {
    if (bench.commands.empty() && random() % 4 == 0) {
      const Command command{kOps[random() % std::size(kOps)], static_cast<uint32_t>(random()),
                            static_cast<uint32_t>(random())};
      sent.push_back(command);
      bench.commands.push_back(command);
    }
    if (bench.told.size() > ended_count && random() % 8 == 0) {
      bench.done = static_cast<uint8_t>(1 + random() % 3);
      ++ended_count;
    }
    bench.cycle();
    ASSERT_LE(bench.done_count, ended_count);
  }
  ASSERT_GT(bench.told.size(), 500u);
  for (size_t i = 0; i < bench.told.size(); ++i) {
    EXPECT_EQ(bench.told[i].op, sent[i].op);
    EXPECT_EQ(bench.told[i].index, sent[i].index);
    EXPECT_EQ(bench.told[i].tag, sent[i].tag);
  }
  EXPECT_GT(bench.quiet.quiet_count(), 1000u);
}

}  // namespace
}  // namespace postern::rtl_test
