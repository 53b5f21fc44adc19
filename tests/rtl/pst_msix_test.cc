// pst_msix under Verilator: the table as BAR4 shows it, masks, pending bits and messages, and random accesses against a
// small reference.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <random>
#include <vector>

#include "Vpst_msix.h"
#include "Vpst_msix___024root.h"
#include "contract/gen/pst_contract.h"
#include "tests/rtl/quiet_check.h"

namespace postern::rtl_test {
namespace {

constexpr uint32_t kVectorCount = 128;  // as in CMakeLists.txt
constexpr uint32_t kEntryBytes = 16;
constexpr uint64_t kTableBytes = kVectorCount * kEntryBytes;

struct Access {
  bool write = true;
  uint32_t offset = 0;
  uint32_t bytes = 4;
  uint64_t data = 0;
};

struct Message {
  uint32_t vector = 0;
  uint64_t address = 0;
  uint32_t data = 0;
  bool operator==(const Message&) const = default;
};

// What accesses and raises do, one at a time.
struct Reference {
  std::array<std::array<uint32_t, 4>, kVectorCount> entries{};
  std::array<bool, kVectorCount> pending{};
  std::deque<Message> messages;
  std::deque<uint64_t> reads;
  uint32_t bad_access_count = 0;

  Reference() {
    for (auto& entry : entries) entry[3] = 1;
  }
  void send(uint32_t vector) {
    const auto& entry = entries[vector];
    messages.push_back({vector, uint64_t{entry[1]} << 32 | (entry[0] & ~3u), entry[2]});
  }
  void raise(uint32_t vector) {
    if (vector >= kVectorCount) return;
    if (entries[vector][3] & 1)
      pending[vector] = true;
    else
      send(vector);
  }
  void write_word(uint64_t offset, uint32_t value) {
    if (offset >= kTableBytes) {
      ++bad_access_count;
      return;
    }
    const uint32_t vector = static_cast<uint32_t>(offset / kEntryBytes);
    entries[vector][offset % kEntryBytes / 4] = value;
    if (offset % kEntryBytes != 12 || (value & 1) || !pending[vector]) return;
    pending[vector] = false;
    send(vector);
  }
  [[nodiscard]] uint32_t read_word(uint64_t offset) const {
    if (offset < kTableBytes) return entries[offset / kEntryBytes][offset % kEntryBytes / 4];
    if (offset < PST_MSIX_PBA_OFFSET || offset >= PST_MSIX_PBA_OFFSET + kVectorCount / 8) return 0;
    uint32_t word = 0;
    for (uint32_t bit = 0; bit < 32; ++bit) {
      word |= static_cast<uint32_t>(pending[(offset - PST_MSIX_PBA_OFFSET) * 8 + bit]) << bit;
    }
    return word;
  }
  void access(const Access& access) {
    const bool good = (access.bytes == 4 || access.bytes == 8) && access.offset % 4 == 0;
    if (access.write) {
      if (!good) {
        ++bad_access_count;
        return;
      }
      write_word(access.offset, static_cast<uint32_t>(access.data));
      if (access.bytes == 8) write_word(access.offset + 4, static_cast<uint32_t>(access.data >> 32));
    } else {
      uint64_t value = good ? read_word(access.offset) : 0;
      if (good && access.bytes == 8) value |= uint64_t{read_word(access.offset + 4)} << 32;
      reads.push_back(value);
    }
  }
};

class MsixBench {
 public:
  MsixBench() {
    dut_.rst_ni = 0;
    tick();
    dut_.rst_ni = 1;
    for (uint32_t i = 0; i < kVectorCount + 2; ++i) cycle();
  }

  std::deque<Access> accesses;
  std::deque<uint32_t> raises;
  std::function<bool()> message_ready = [] { return true; };
  std::vector<Message> messages;
  std::vector<uint64_t> reads;
  uint32_t bad_access_count = 0;
  Reference reference;
  QuietCheck quiet;

  void write(uint32_t offset, uint64_t data, uint32_t bytes = 4) { accesses.push_back({true, offset, bytes, data}); }
  uint64_t read(uint32_t offset, uint32_t bytes = 4) {
    accesses.push_back({false, offset, bytes, 0});
    settle();
    return reads.empty() ? ~0ull : reads.back();
  }
  void program(uint32_t vector, uint64_t address, uint32_t data, uint32_t control) {
    write(vector * kEntryBytes, address, 8);
    write(vector * kEntryBytes + 8, uint64_t{control} << 32 | data, 8);
    settle();
  }
  void raise(uint32_t vector) { raises.push_back(vector); }
  void settle() {
    for (int i = 0; i < 2000; ++i) {
      cycle();
      if (accesses.empty() && raises.empty() && dut_.idle_o) return;
    }
    ADD_FAILURE() << "the block did not come to rest within 2000 cycles";
  }

  void cycle() {
    dut_.bar_valid_i = !accesses.empty();
    if (!accesses.empty()) {
      dut_.bar_write_i = accesses.front().write;
      dut_.bar_offset_i = static_cast<uint16_t>(accesses.front().offset);
      dut_.bar_bytes_i = static_cast<uint8_t>(accesses.front().bytes);
      dut_.bar_data_i = accesses.front().data;
    }
    dut_.raise_valid_i = !raises.empty();
    if (!raises.empty()) dut_.raise_vector_i = static_cast<uint16_t>(raises.front());
    dut_.msg_ready_i = message_ready();
    dut_.clk_i = 0;
    dut_.eval();
    check_outputs();
    take_accepted();
    quiet.before(dut_.quiet_o, *dut_.rootp);
    tick();
    dut_.clk_i = 0;
    dut_.eval();
    quiet.after(*dut_.rootp);
  }

 private:
  void tick() {
    dut_.clk_i = 0;
    dut_.eval();
    dut_.clk_i = 1;
    dut_.eval();
  }
  void check_outputs() {
    if (dut_.msg_valid_o && dut_.msg_ready_i) {
      messages.push_back({dut_.msg_vector_o, dut_.msg_address_o, dut_.msg_data_o});
      ASSERT_FALSE(reference.messages.empty()) << "a message that nothing has caused";
      EXPECT_EQ(messages.back(), reference.messages.front());
      reference.messages.pop_front();
    }
    if (dut_.rd_valid_o) {
      reads.push_back(dut_.rd_data_o);
      ASSERT_FALSE(reference.reads.empty());
      EXPECT_EQ(reads.back(), reference.reads.front());
      reference.reads.pop_front();
    }
    bad_access_count += dut_.count_bad_access_o;
  }
  void take_accepted() {
    const bool access = dut_.bar_valid_i && dut_.bar_ready_o;
    const bool raised = dut_.raise_valid_i && dut_.raise_ready_o;
    ASSERT_FALSE(access && raised);
    if (access) {
      reference.access(accesses.front());
      accesses.pop_front();
    } else if (raised) {
      reference.raise(raises.front());
      raises.pop_front();
    }
  }

  Vpst_msix dut_;
};

TEST(PstMsixTest, EveryVectorIsMaskedAndNothingPendingAfterReset) {
  MsixBench bench;
  for (uint32_t vector = 0; vector < kVectorCount; ++vector) {
    EXPECT_EQ(bench.read(vector * kEntryBytes, 8), 0u);
    EXPECT_EQ(bench.read(vector * kEntryBytes + 8, 8), uint64_t{1} << 32);
  }
  for (uint32_t word = 0; word < kVectorCount / 32; ++word) EXPECT_EQ(bench.read(PST_MSIX_PBA_OFFSET + 4 * word), 0u);
}

TEST(PstMsixTest, RaiseOfAnUnmaskedVectorSendsItsMessage) {
  MsixBench bench;
  bench.program(77, 0xfee01234567ull << 4 | 3, 0xabcd, 0);
  bench.raise(77);
  bench.settle();
  ASSERT_EQ(bench.messages.size(), 1u);
  EXPECT_EQ(bench.messages[0], (Message{77, 0xfee012345670, 0xabcd}));
}

TEST(PstMsixTest, MaskedVectorWaitsInItsPendingBitAndGoesOutOnce) {
  MsixBench bench;
  bench.program(70, 0x1000, 5, 1);
  bench.raise(70);
  bench.raise(70);
  bench.settle();
  EXPECT_TRUE(bench.messages.empty());
  EXPECT_EQ(bench.read(PST_MSIX_PBA_OFFSET + 8), 1u << 6);
  EXPECT_EQ(bench.read(PST_MSIX_PBA_OFFSET + 8, 8), uint64_t{1} << 6);
  bench.write(70 * kEntryBytes + 12, 1);
  bench.settle();
  EXPECT_TRUE(bench.messages.empty()) << "still masked";
  bench.write(70 * kEntryBytes + 12, 0);
  bench.settle();
  EXPECT_EQ(bench.messages.size(), 1u);
  EXPECT_EQ(bench.read(PST_MSIX_PBA_OFFSET + 8), 0u);
  bench.write(70 * kEntryBytes + 12, 0);
  bench.settle();
  EXPECT_EQ(bench.messages.size(), 1u);
}

TEST(PstMsixTest, UnmaskWithNewDataInOneWriteSendsTheNewData) {
  MsixBench bench;
  bench.program(3, 0x2000, 1, 1);
  bench.raise(3);
  bench.settle();
  bench.write(3 * kEntryBytes + 8, 0x99, 8);
  bench.settle();
  ASSERT_EQ(bench.messages.size(), 1u);
  EXPECT_EQ(bench.messages[0].data, 0x99u);
}

TEST(PstMsixTest, VectorBeyondTheTableAndVectorNoneSendNothing) {
  MsixBench bench;
  for (uint32_t vector = 0; vector < kVectorCount; ++vector) bench.program(vector, 0x1000, vector, 0);
  bench.raise(PST_VECTOR_NONE);
  bench.raise(kVectorCount);
  bench.settle();
  EXPECT_TRUE(bench.messages.empty());
}

TEST(PstMsixTest, AccessesOfAnotherWidthOrBehindTheTableCountAndDoNothing) {
  MsixBench bench;
  bench.program(0, 0x1000, 7, 0);
  bench.write(0, 0xffff, 2);
  bench.write(2, 0xffffffff, 4);
  bench.write(PST_MSIX_PBA_OFFSET, 0xffffffff);
  bench.write(kTableBytes, 0xffffffff);
  bench.write(0xfffc, 0xffffffffffffffff, 8);  // would come round to the table's beginning
  bench.settle();
  EXPECT_EQ(bench.read(0, 8), 0x1000u);
  EXPECT_EQ(bench.read(0, 2), 0u);
  EXPECT_EQ(bench.read(PST_MSIX_PBA_OFFSET), 0u);
  EXPECT_GE(bench.bad_access_count, 5u);
}

TEST(PstMsixTest, WriteAcrossTheEndOfTheTableKeepsTheWordInside) {
  MsixBench bench;
  bench.write(kTableBytes - 4, 0xffffffff00000000, 8);
  bench.settle();
  EXPECT_EQ(bench.bad_access_count, 1u);
  EXPECT_EQ(bench.read(kTableBytes - 4), 0u);
}

TEST(PstMsixTest, RaiseTakesTwoCyclesWhenMessagesAreAccepted) {
  MsixBench bench;
  bench.program(1, 0x1000, 7, 0);
  for (int i = 0; i < 100; ++i) bench.raise(1);
  int cycles = 0;
  for (; !bench.raises.empty(); ++cycles) bench.cycle();
  EXPECT_LE(cycles, 200);
  bench.settle();
  EXPECT_EQ(bench.messages.size(), 100u);
}

class RandomMsixTest : public testing::TestWithParam<uint32_t> {};

TEST_P(RandomMsixTest, MessagesReadsAndPendingBitsMatchTheReference) {
  std::mt19937 random(GetParam());
  MsixBench bench;
  uint32_t pattern = 100;
  bench.message_ready = [&] { return random() % 100 < pattern; };
  for (int cycle = 0; cycle < 30000 && !HasFailure(); ++cycle) {
    if (cycle % 300 == 0) pattern = 5 + random() % 96;
    // Few vectors, so that raises, masks and reads of one meet.
    const uint32_t vector = std::array<uint32_t, 4>{0, 31, 32, kVectorCount - 1}[random() % 4];
    if (bench.accesses.size() < 2 && random() % 3 == 0) {
      Access access;
      access.write = random() % 2;
      access.bytes = random() % 2 ? 8 : 4;
      access.offset = vector * kEntryBytes + random() % 4 * 4;
      if (random() % 8 == 0) access.offset = PST_MSIX_PBA_OFFSET + random() % 8 * 4;
      if (random() % 50 == 0) access.bytes = random() % 10;
      if (random() % 50 == 0) access.offset += 1 + random() % 3;
      access.data = uint64_t{random()} << 32 | random();
      bench.accesses.push_back(access);
    }
    if (bench.raises.size() < 2 && random() % 2) bench.raise(random() % 40 == 0 ? 0xffff - random() % 3 : vector);
    bench.cycle();
  }
  pattern = 100;
  bench.settle();
  EXPECT_TRUE(bench.reference.messages.empty()) << "a message is missing";
  EXPECT_TRUE(bench.reference.reads.empty()) << "an answer is missing";
  EXPECT_EQ(bench.bad_access_count, bench.reference.bad_access_count);
  EXPECT_GT(bench.messages.size(), 500u);
  bench.settle();
  for (int cycle = 0; cycle < 20; ++cycle) bench.cycle();
  EXPECT_GE(bench.quiet.quiet_count(), 20u);
}
INSTANTIATE_TEST_SUITE_P(Seed, RandomMsixTest, testing::Range(1u, 5u));

}  // namespace
}  // namespace postern::rtl_test
