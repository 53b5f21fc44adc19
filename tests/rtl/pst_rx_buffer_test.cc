// pst_rx_buffer under Verilator: cells are never given twice, frames read back as written, and every cell comes back.
#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <functional>
#include <optional>
#include <random>
#include <set>
#include <vector>

#include "Vpst_rx_buffer.h"

namespace postern::rtl_test {
namespace {

constexpr uint32_t kCellCount = 64;  // as in CMakeLists.txt
constexpr uint32_t kCellBytes = 64;

struct StoredFrame {
  std::vector<uint32_t> cells;
  uint32_t seed = 0;  // what its cells hold follows from it and their place
  uint32_t copies = 0;
};

class BufferBench {
 public:
  BufferBench() {
    dut_.rst_ni = 0;
    tick();
    dut_.rst_ni = 1;
    for (uint32_t i = 0; i < kCellCount + 2; ++i) cycle();
  }

  enum class Write : uint8_t { kNone, kMore, kLast, kAbort };
  Write write = Write::kNone;            // what the parser does in this cycle, if there is space
  std::deque<StoredFrame> holds;         // to be offered by the filter
  std::deque<StoredFrame> copies;        // a copy each, to be released
  std::optional<StoredFrame> completed;  // by the last cycle
  bool skip_quiet = false;               // the clock stands still while the block is quiet

  void cycle() {
    completed.reset();
    dut_.wr_valid_i = (write == Write::kMore || write == Write::kLast) && dut_.space_o;
    dut_.wr_last_i = write == Write::kLast;
    dut_.wr_first_i = present_.cells.empty();
    dut_.wr_abort_i = write == Write::kAbort;
    const uint32_t cell = dut_.cell_o;
    fill(present_.seed, static_cast<uint32_t>(present_.cells.size()), dut_.wr_data_i);
    dut_.hold_valid_i = !holds.empty();
    if (!holds.empty()) {
      dut_.hold_frame_i = static_cast<uint8_t>(holds.front().cells[0]);
      dut_.hold_cells_i = static_cast<uint8_t>(holds.front().cells.size());
      dut_.hold_copies_i = static_cast<uint16_t>(holds.front().copies);
    }
    dut_.release_valid_i = !copies.empty();
    if (!copies.empty()) dut_.release_frame_i = static_cast<uint8_t>(copies.front().cells[0]);
    dut_.eval();
    level_is_right();
    if (dut_.hold_valid_i && dut_.hold_ready_o) {
      if (holds.front().copies == 0) expect_back(holds.front());
      holds.pop_front();
    }
    if (dut_.release_valid_i && dut_.release_ready_o) {
      StoredFrame copy = copies.front();
      copies.pop_front();
      if (--left_.at(copy.cells[0]) == 0) expect_back(copy);
    }
    if (dut_.wr_valid_i) note_cell(cell);
    if (dut_.wr_abort_i) drop_present();
    if (!(dut_.quiet_o && skip_quiet)) tick();
  }
  // Offers the frame to the filter's side and keeps its copies for release.
  void hold(StoredFrame frame, uint32_t copy_count) {
    frame.copies = copy_count;
    left_[frame.cells[0]] = copy_count;
    holds.push_back(frame);
  }
  StoredFrame store(uint32_t cell_count) {
    for (uint32_t i = 0; i < cell_count; ++i) {
      write = i + 1 == cell_count ? Write::kLast : Write::kMore;
      for (int wait = 0; wait < 1000 && !dut_.space_o; ++wait) idle();
      cycle();
    }
    write = Write::kNone;
    EXPECT_TRUE(completed.has_value());
    return completed.value_or(StoredFrame());
  }
  void idle() {
    const Write kept = write;
    write = Write::kNone;
    cycle();
    write = kept;
  }
  void expect_readable(const StoredFrame& frame) {
    uint32_t cell = frame.cells[0];
    for (uint32_t i = 0; i < frame.cells.size(); ++i) {
      ASSERT_EQ(cell, frame.cells[i]);
      dut_.cell_rd_valid_i = 1;
      dut_.cell_rd_cell_i = static_cast<uint8_t>(cell);
      cycle();
      dut_.cell_rd_valid_i = 0;
      VlWide<16> expected;
      fill(frame.seed, i, expected);
      ASSERT_EQ(std::memcmp(expected.data(), dut_.cell_data_o.data(), kCellBytes), 0) << "cell " << i;
      cell = dut_.cell_next_o;
    }
  }
  // Every cell that is not in use can be had.
  void settle() {
    write = Write::kNone;
    for (int i = 0; i < 2000 && !(holds.empty() && copies.empty() && dut_.quiet_o); ++i) cycle();
    EXPECT_TRUE(dut_.quiet_o);
    level_is_right_at_rest();
  }
  [[nodiscard]] bool space() const { return dut_.space_o; }
  [[nodiscard]] bool within() const { return !present_.cells.empty(); }
  Vpst_rx_buffer& dut() { return dut_; }
  [[nodiscard]] uint32_t in_use() const { return static_cast<uint32_t>(in_use_.size()); }

 private:
  void tick() {
    dut_.clk_i = 0;
    dut_.eval();
    dut_.clk_i = 1;
    dut_.eval();
  }
  static void fill(uint32_t seed, uint32_t place, VlWide<16>& data) {
    for (uint32_t i = 0; i < 16; ++i) data[i] = (seed * 1009 + place) * 2654435761u + i;
  }
  void note_cell(uint32_t cell) {
    EXPECT_TRUE(in_use_.insert(cell).second) << "cell " << cell << " given twice";
    present_.cells.push_back(cell);
    if (!dut_.wr_last_i) return;
    completed = present_;
    present_ = {{}, present_.seed + 1, 0};
  }
  void drop_present() {
    for (const uint32_t cell : present_.cells) in_use_.erase(cell);
    present_.cells.clear();
    ++present_.seed;
  }
  void expect_back(const StoredFrame& frame) {
    for (const uint32_t cell : frame.cells) in_use_.erase(cell);
  }
  // While a frame is being freed the block still counts cells that the reference has taken back.
  void level_is_right() { EXPECT_GE(dut_.level_bytes_o, in_use_.size() * kCellBytes); }
  void level_is_right_at_rest() { EXPECT_EQ(dut_.level_bytes_o, in_use_.size() * kCellBytes); }

  Vpst_rx_buffer dut_;
  StoredFrame present_;
  std::set<uint32_t> in_use_;
  std::array<uint32_t, kCellCount> left_{};
};

TEST(PstRxBufferTest, AFrameReadsBackAsWrittenAndItsLastCopyFreesIt) {
  BufferBench bench;
  const StoredFrame frame = bench.store(5);
  bench.hold(frame, 2);
  bench.settle();
  EXPECT_EQ(bench.dut().level_bytes_o, 5 * kCellBytes);
  bench.expect_readable(frame);
  bench.copies.push_back(frame);
  bench.settle();
  EXPECT_EQ(bench.dut().level_bytes_o, 5 * kCellBytes) << "one copy is left";
  bench.expect_readable(frame);
  bench.copies.push_back(frame);
  bench.settle();
  EXPECT_EQ(bench.dut().level_bytes_o, 0u);
}

TEST(PstRxBufferTest, AFrameWithoutCopiesIsFreedAtOnce) {
  BufferBench bench;
  bench.hold(bench.store(7), 0);
  bench.settle();
  EXPECT_EQ(bench.dut().level_bytes_o, 0u);
}

TEST(PstRxBufferTest, AnAbortGivesAllCellsOfTheFrameBackWithoutAnIdleCycle) {
  BufferBench bench;
  const StoredFrame kept = bench.store(3);
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < 20; ++i) {
      bench.write = BufferBench::Write::kMore;
      ASSERT_TRUE(bench.space());
      bench.cycle();
    }
    bench.write = BufferBench::Write::kAbort;
    bench.cycle();
    EXPECT_TRUE(bench.space());
  }
  bench.settle();
  EXPECT_EQ(bench.dut().level_bytes_o, 3 * kCellBytes);
  bench.expect_readable(kept);
}

TEST(PstRxBufferTest, EveryCellCanBeUsedAndThenThereIsNoSpace) {
  BufferBench bench;
  std::vector<StoredFrame> frames;
  for (uint32_t i = 0; i < kCellCount; ++i) frames.push_back(bench.store(1));
  bench.settle();
  EXPECT_FALSE(bench.space());
  EXPECT_EQ(bench.dut().level_bytes_o, kCellCount * kCellBytes);
  for (const StoredFrame& frame : frames) bench.expect_readable(frame);
  bench.hold(frames[10], 0);
  bench.settle();
  EXPECT_TRUE(bench.space());
  const StoredFrame next = bench.store(1);
  EXPECT_EQ(next.cells, frames[10].cells);
}

TEST(PstRxBufferTest, ALongFrameIsFreedACellACycle) {
  BufferBench bench;
  const StoredFrame frame = bench.store(48);
  bench.hold(frame, 1);
  bench.settle();
  bench.copies.push_back(frame);
  int cycles = 0;
  do {
    bench.cycle();
    ++cycles;
  } while (!bench.dut().quiet_o && cycles < 100);
  EXPECT_LE(cycles, 50);
}

TEST(PstRxBufferTest, TheFilterDoesNotWaitWhileALongFrameIsFreed) {
  BufferBench bench;
  const StoredFrame freed = bench.store(24), next = bench.store(24);
  bench.hold(freed, 1);
  bench.settle();
  bench.copies.push_back(freed);
  for (int i = 0; i < 3; ++i) bench.cycle();
  EXPECT_FALSE(bench.dut().quiet_o);
  bench.hold(next, 2);
  bench.cycle();
  EXPECT_TRUE(bench.holds.empty());
  for (int copy = 0; copy < 2; ++copy) bench.copies.push_back(next);
  bench.settle();
  EXPECT_EQ(bench.in_use(), 0u);
}

TEST(PstRxBufferTest, NothingChangesWhileItIsQuiet) {
  BufferBench bench;
  const StoredFrame frame = bench.store(4);
  bench.settle();
  const uint32_t level = bench.dut().level_bytes_o, cell = bench.dut().cell_o;
  for (int i = 0; i < 300; ++i) {
    bench.cycle();
    ASSERT_TRUE(bench.dut().quiet_o);
    ASSERT_EQ(bench.dut().level_bytes_o, level);
    ASSERT_EQ(bench.dut().cell_o, cell);
  }
  bench.expect_readable(frame);
}

class RandomRxBufferTest : public testing::TestWithParam<uint32_t> {};

TEST_P(RandomRxBufferTest, CellsAreNeverLostNorGivenTwice) {
  std::mt19937 random(GetParam());
  BufferBench bench;
  bench.skip_quiet = GetParam() % 2 == 0;
  std::vector<StoredFrame> held;  // a copy each
  uint32_t completed_count = 0, full_count = 0, pressure = 50;
  for (int i = 0; i < 30000 && !testing::Test::HasFailure(); ++i) {
    if (i % 500 == 0) pressure = 10 + random() % 90;
    bench.write = BufferBench::Write::kNone;
    if (random() % 100 < pressure) {
      bench.write = random() % 4 == 0 ? BufferBench::Write::kLast : BufferBench::Write::kMore;
      if (!bench.space()) ++full_count;
      if (!bench.space() || random() % 16 == 0) bench.write = BufferBench::Write::kAbort;
    }
    bench.cycle();
    if (bench.completed) {
      ++completed_count;
      const uint32_t copies = random() % 4;
      const StoredFrame frame = *bench.completed;
      bench.hold(frame, copies);
      for (uint32_t copy = 0; copy < copies; ++copy) held.push_back(frame);
    }
    if (bench.holds.empty() && !held.empty() && random() % 3 == 0) {
      const size_t which = random() % held.size();
      if (random() % 4 == 0 && !bench.within())
        bench.write = BufferBench::Write::kNone, bench.expect_readable(held[which]);
      bench.copies.push_back(held[which]);
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(which));
    }
  }
  bench.write = BufferBench::Write::kAbort;
  bench.cycle();
  bench.settle();
  for (const StoredFrame& copy : held) bench.copies.push_back(copy);
  bench.settle();
  EXPECT_EQ(bench.in_use(), 0u);
  EXPECT_EQ(bench.dut().level_bytes_o, 0u);
  EXPECT_GT(completed_count, 1000u);
  EXPECT_GT(full_count, 10u);
}
INSTANTIATE_TEST_SUITE_P(Seed, RandomRxBufferTest, testing::Range(1u, 5u));

}  // namespace
}  // namespace postern::rtl_test
