// pst_translation under Verilator: ranges, rows, rights and ends of ranges, commands among lookups, and random lookups
// of all clients against a small reference.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <random>
#include <vector>

#include "Vpst_translation.h"
#include "contract/gen/pst_contract.h"

namespace postern::rtl_test {
namespace {

constexpr uint32_t kViCount = 16, kDomainCount = 8, kClientCount = 3;  // as in CMakeLists.txt
constexpr uint32_t kViWidth = 4, kRangesMax = PST_LIMIT_TRANSLATION_RANGES_MAX;
constexpr uint64_t kPage = PST_LIMIT_PAGE_BYTES;
constexpr uint8_t kCfgXlatVi = 0x10, kCfgXlatRange = 0x11, kCfgXlatCount = 0x12;  // pst_admin_pkg

struct Range {
  uint64_t domain_page = 0, page_count = 0, host_page = 0;
  bool writable = true;
};

struct Lookup {
  uint32_t vi = 0;
  uint64_t address = 0;
  uint32_t bytes = 1;
  bool write = false;
};

struct Answer {
  uint64_t cycle = 0;
  uint32_t client = 0;
  bool ok = false;
  uint64_t host = 0;
  uint32_t run = 0;
  bool operator==(const Answer&) const = default;
};

struct Command {
  uint8_t op = 0;
  uint32_t index = 0;
  Range range;
  uint64_t value = 0;
};

struct Reference {
  std::array<uint32_t, kViCount> domain_of{};
  std::array<std::array<Range, kRangesMax>, kDomainCount> ranges{};
  std::array<uint32_t, kDomainCount> counts{};
  Reference() { domain_of.fill(~0u); }

  [[nodiscard]] Answer lookup(const Lookup& lookup) const {
    Answer answer;
    const uint32_t domain = domain_of[lookup.vi];
    if (domain >= kDomainCount) return answer;
    for (uint32_t i = 0; i < counts[domain]; ++i) {
      const Range& range = ranges[domain][i];
      const uint64_t page = lookup.address / kPage;
      if (page < range.domain_page || page - range.domain_page >= range.page_count) continue;
      const uint64_t offset = lookup.address - range.domain_page * kPage;
      const uint64_t left_pages = std::min<uint64_t>(range.domain_page + range.page_count - page, 1u << 20);
      const uint64_t left = left_pages * kPage - lookup.address % kPage;
      answer.ok = range.writable || !lookup.write;
      answer.host = range.host_page * kPage + offset;
      answer.run = left < lookup.bytes ? static_cast<uint32_t>(left) : lookup.bytes;
      break;
    }
    return answer;
  }
  void apply(const Command& command) {
    if (command.op == kCfgXlatVi) domain_of[command.index] = static_cast<uint32_t>(command.value);
    if (command.op == kCfgXlatRange) ranges[command.index / kRangesMax][command.index % kRangesMax] = command.range;
    if (command.op == kCfgXlatCount) counts[command.index] = static_cast<uint32_t>(command.value);
  }
};

class TranslationBench {
 public:
  explicit TranslationBench(bool skips = false) : skips_(skips) {
    dut_.rst_ni = 0;
    dut_.eval();  // Verilator sees edges from the second evaluation on
    clock();
    dut_.rst_ni = 1;
  }

  std::array<std::deque<Lookup>, kClientCount> lookups;
  std::deque<Command> commands;
  std::vector<Answer> answers;
  std::vector<uint64_t> done_cycles;
  uint64_t skipped_count = 0, cycle_count = 0;
  uint32_t latency_max = 0;

  // Random lookups may meet a command; then the old state and the new one are both right, and the bench takes either.
  void cycle() {
    drive();
    dut_.clk_i = 0;
    dut_.eval();
    observe();
    if (skips_ && dut_.quiet_o)
      ++skipped_count;
    else
      clock();
    ++cycle_count;
  }
  void settle() {
    for (int i = 0; i < 2000; ++i) {
      cycle();
      bool over = commands.empty() && dut_.quiet_o;
      for (uint32_t c = 0; c < kClientCount; ++c) over = over && lookups[c].empty() && !outstanding_[c];
      if (over) return;
    }
    ADD_FAILURE() << "the block did not come to rest within 2000 cycles";
  }

  void bind(uint32_t vi, uint32_t domain) { commands.push_back({kCfgXlatVi, vi, {}, domain}); }
  void map(uint32_t domain, uint32_t slot, Range range) {
    commands.push_back({kCfgXlatRange, domain * kRangesMax + slot, range, 0});
  }
  void count(uint32_t domain, uint32_t count) { commands.push_back({kCfgXlatCount, domain, {}, count}); }
  Answer lookup(Lookup lookup, uint32_t client = 0) {
    settle();
    lookups[client].push_back(lookup);
    settle();
    return answers.empty() ? Answer() : answers.back();
  }
  [[nodiscard]] bool command_waits() const { return command_waits_; }

 private:
  struct Outstanding {
    Answer before, after;
    uint64_t cycle = 0;
  };

  void clock() {
    dut_.clk_i = 1;
    dut_.eval();
    dut_.clk_i = 0;
  }

  void drive() {
    dut_.cfg_valid_i = !commands.empty() && !command_waits_;
    if (dut_.cfg_valid_i) drive_command(commands.front());
    dut_.xl_valid_i = dut_.xl_write_i = 0;
    uint64_t vis = 0, bytes = 0;
    for (uint32_t c = 0; c < kClientCount; ++c) {
      if (lookups[c].empty() || outstanding_[c]) continue;
      const Lookup& lookup = lookups[c].front();
      dut_.xl_valid_i = static_cast<uint8_t>(dut_.xl_valid_i | 1u << c);
      if (lookup.write) dut_.xl_write_i = static_cast<uint8_t>(dut_.xl_write_i | 1u << c);
      vis |= uint64_t{lookup.vi} << (kViWidth * c);
      bytes |= uint64_t{lookup.bytes} << (17 * c);
      dut_.xl_address_i[2 * c] = static_cast<uint32_t>(lookup.address);
      dut_.xl_address_i[2 * c + 1] = static_cast<uint32_t>(lookup.address >> 32);
    }
    dut_.xl_vi_i = static_cast<uint16_t>(vis);
    dut_.xl_bytes_i = bytes;
  }

  void drive_command(const Command& command) {
    dut_.cfg_op_i = command.op;
    dut_.cfg_index_i = command.index;
    for (uint32_t word = 0; word < 16; ++word)
      dut_.cfg_data_i[word] = 0xdeadbeef;  // what is not its data is not looked at
    if (command.op != kCfgXlatRange) {
      dut_.cfg_data_i[0] = 0xabcd0000u | static_cast<uint32_t>(command.value);
      if (command.op == kCfgXlatCount) dut_.cfg_data_i[0] = 0xffffff80u | static_cast<uint32_t>(command.value);
      return;
    }
    const Range& range = command.range;
    const auto put = [this](uint32_t lsb, uint64_t value, uint32_t width) {
      for (uint32_t bit = 0; bit < width; ++bit) {
        uint32_t& word = dut_.cfg_data_i[(lsb + bit) / 32];
        word = (word & ~(1u << (lsb + bit) % 32)) | static_cast<uint32_t>(value >> bit & 1) << (lsb + bit) % 32;
      }
    };
    put(0, range.domain_page, 52);
    put(52, range.page_count, 52);
    put(104, range.host_page, 52);
    put(156, range.writable, 1);
  }

  void observe() {
    EXPECT_EQ(dut_.xl_answer_valid_o & (dut_.xl_answer_valid_o - 1), 0) << "two answers at once";
    for (uint32_t c = 0; c < kClientCount; ++c) {
      if (dut_.xl_answer_valid_o >> c & 1) observe_answer(c);
    }
    EXPECT_EQ(dut_.xl_ready_o & (dut_.xl_ready_o - 1), 0);
    if (dut_.cfg_valid_i) {
      command_waits_ = true;
      Reference after = reference_;
      after.apply(commands.front());
      for (Outstanding& open : open_) open.after = after.lookup(open_lookup(open));
      next_ = after;
    }
    for (uint32_t c = 0; c < kClientCount; ++c) {
      if (!(dut_.xl_ready_o & dut_.xl_valid_i) || !(dut_.xl_ready_o >> c & 1)) continue;
      outstanding_[c] = true;
      lookup_[c] = lookups[c].front();
      lookups[c].pop_front();
      EXPECT_FALSE(command_waits_ && !dut_.cfg_valid_i) << "a lookup starts while a command is carried out";
      open_[c] = {reference_.lookup(lookup_[c]), (command_waits_ ? next_ : reference_).lookup(lookup_[c]), cycle_count};
    }
    if (dut_.cfg_done_o) observe_done();
  }

  void observe_answer(uint32_t c) {
    ASSERT_TRUE(outstanding_[c]) << "an answer that nobody asked for";
    outstanding_[c] = false;
    Answer now{0, 0, dut_.xl_ok_o != 0, 0, 0};
    if (now.ok) now = {0, 0, true, dut_.xl_host_o, dut_.xl_run_o};
    Answer before = open_[c].before, after = open_[c].after;
    if (!before.ok) before = {};
    if (!after.ok) after = {};
    EXPECT_TRUE(now == before || now == after)
        << "client " << c << " VI " << lookup_[c].vi << " address " << std::hex << lookup_[c].address << std::dec
        << " bytes " << lookup_[c].bytes << ": ok " << now.ok << " run " << now.run << ", expected ok " << before.ok
        << " run " << before.run;
    latency_max = std::max(latency_max, static_cast<uint32_t>(cycle_count - open_[c].cycle));
    now.cycle = cycle_count;
    now.client = c;
    answers.push_back(now);
  }

  void observe_done() {
    ASSERT_TRUE(command_waits_) << "done, but nothing was asked for";
    for (uint32_t c = 0; c < kClientCount; ++c)
      EXPECT_FALSE(outstanding_[c]) << "a lookup from before the command is left";
    command_waits_ = false;
    reference_ = next_;
    commands.pop_front();
    done_cycles.push_back(cycle_count);
  }
  [[nodiscard]] const Lookup& open_lookup(const Outstanding& open) const {
    return lookup_[static_cast<size_t>(&open - open_.data())];
  }

  Vpst_translation dut_;
  const bool skips_;
  Reference reference_, next_;
  bool command_waits_ = false;
  std::array<bool, kClientCount> outstanding_{};
  std::array<Lookup, kClientCount> lookup_{};
  std::array<Outstanding, kClientCount> open_{};
};

TEST(PstTranslationTest, NoViHasADomainAfterReset) {
  TranslationBench bench;
  bench.map(0, 0, {0, 1u << 20, 0x1000});
  bench.count(0, 1);
  for (uint32_t vi = 0; vi < kViCount; ++vi) EXPECT_FALSE(bench.lookup({vi, 0x1000, 4, false}).ok);
}

TEST(PstTranslationTest, AddressInAMappedRangeIsAtItsPlaceInTheHost) {
  TranslationBench bench;
  bench.bind(3, 5);
  bench.map(5, 0, {0x123, 16, 0xfffff00000001});
  bench.count(5, 1);
  const Answer answer = bench.lookup({3, 0x123 * kPage + 0x2345, 100, true}, 2);
  EXPECT_TRUE(answer.ok);
  EXPECT_EQ(answer.client, 2u);
  EXPECT_EQ(answer.host, 0xfffff00000001 * kPage + 0x2345);
  EXPECT_EQ(answer.run, 100u);
}

TEST(PstTranslationTest, AnswerFromTheFirstRowComesInThreeCyclesAndEachFurtherRowTakesOne) {
  TranslationBench bench;
  bench.bind(0, 0);
  for (uint32_t slot = 0; slot < kRangesMax; ++slot) bench.map(0, slot, {0x100 + 2 * slot, 1, 0x1000 + slot});
  bench.count(0, kRangesMax);
  EXPECT_TRUE(bench.lookup({0, 0x100 * kPage, 1, false}).ok);
  EXPECT_EQ(bench.latency_max, 3u);
  const Answer last = bench.lookup({0, (0x100 + 2 * 63) * kPage, 1, false});
  EXPECT_TRUE(last.ok);
  EXPECT_EQ(last.host, (0x1000 + 63) * kPage);
  EXPECT_EQ(bench.latency_max, 18u);
  EXPECT_FALSE(bench.lookup({0, 0x101 * kPage, 1, false}).ok) << "the gap between two ranges";
}

TEST(PstTranslationTest, ClientsShareThePipelineAnAnswerACycle) {
  TranslationBench bench;
  bench.bind(0, 0);
  bench.map(0, 0, {0, 1, 7});
  bench.count(0, 1);
  bench.settle();
  for (auto& queue : bench.lookups) queue.push_back({0, 0, 1, false});
  bench.settle();
  ASSERT_EQ(bench.answers.size(), 3u);
  EXPECT_EQ(bench.answers[2].cycle - bench.answers[0].cycle, 2u);
}

TEST(PstTranslationTest, RangesBehindTheCountAreNotThere) {
  TranslationBench bench;
  bench.bind(0, 1);
  for (uint32_t slot = 0; slot < 8; ++slot) bench.map(1, slot, {slot, 1, 0x50 + slot});
  for (const uint32_t count : {0u, 1u, 3u, 4u, 5u, 8u}) {
    bench.count(1, count);
    for (uint32_t slot = 0; slot < 8; ++slot) EXPECT_EQ(bench.lookup({0, slot * kPage, 1, false}).ok, slot < count);
  }
}

TEST(PstTranslationTest, AWriteNeedsAWritableRange) {
  TranslationBench bench;
  bench.bind(0, 1);
  bench.map(1, 0, {0, 1, 0x50, false});
  bench.count(1, 1);
  EXPECT_TRUE(bench.lookup({0, 0, 16, false}).ok);
  EXPECT_FALSE(bench.lookup({0, 0, 16, true}).ok);
}

TEST(PstTranslationTest, ARequestBeyondTheEndOfARangeGetsWhatTheRangeHolds) {
  TranslationBench bench;
  bench.bind(0, 1);
  bench.map(1, 0, {4, 2, 0x50});
  bench.map(1, 1, {6, 40, 0x90});
  bench.count(1, 2);
  const Answer first = bench.lookup({0, 6 * kPage - 10, 100, true});
  EXPECT_TRUE(first.ok);
  EXPECT_EQ(first.run, 10u);
  const Answer second = bench.lookup({0, 6 * kPage, 90, true});
  EXPECT_EQ(second.host, 0x90 * kPage);
  EXPECT_EQ(second.run, 90u);
  EXPECT_EQ(bench.lookup({0, 6 * kPage + 1, (1u << 17) - 1, true}).run, (1u << 17) - 1) << "the longest request";
  EXPECT_EQ(bench.lookup({0, 45 * kPage + 4095, (1u << 17) - 1, true}).run, 1u);
  EXPECT_FALSE(bench.lookup({0, 46 * kPage, 1, true}).ok);
}

TEST(PstTranslationTest, NothingWrapsAtTheEndOfTheAddressSpace) {
  TranslationBench bench;
  const uint64_t last_page = ~uint64_t{0} / kPage;
  bench.bind(0, 1);
  bench.map(1, 0, {last_page - 1, 2, 0x50});
  bench.map(1, 1, {0, 1, 0x90});
  bench.count(1, 2);
  EXPECT_EQ(bench.lookup({0, ~uint64_t{0}, 64, true}).run, 1u);
  EXPECT_EQ(bench.lookup({0, last_page * kPage, 8192, true}).run, kPage);
  EXPECT_EQ(bench.lookup({0, 0, 64, true}).host, 0x90 * kPage);
  bench.map(1, 0, {last_page, 5, 0x50});  // reaches beyond: not back to page 0
  bench.map(1, 1, {100, 1, 0x90});
  bench.settle();
  EXPECT_FALSE(bench.lookup({0, 0, 1, false}).ok);
}

TEST(PstTranslationTest, EachViSeesItsOwnDomain) {
  TranslationBench bench;
  for (uint32_t vi = 0; vi < kViCount; ++vi) bench.bind(vi, vi % kDomainCount);
  for (uint32_t domain = 0; domain < kDomainCount; ++domain) {
    bench.map(domain, 0, {0x77, 1, 0x1000 + domain});
    bench.count(domain, 1);
  }
  for (uint32_t vi = 0; vi < kViCount; ++vi) {
    EXPECT_EQ(bench.lookup({vi, 0x77 * kPage, 1, true}).host, (0x1000 + vi % kDomainCount) * kPage);
  }
}

TEST(PstTranslationTest, ADomainThatDoesNotExistHoldsNothing) {
  TranslationBench bench;
  bench.bind(0, kDomainCount);
  bench.map(0, 0, {0, 1, 1});
  bench.count(0, 1);
  EXPECT_FALSE(bench.lookup({0, 0, 1, false}).ok);
}

TEST(PstTranslationTest, ACommandIsDoneWhenTheLookupsBeforeItHaveTheirAnswers) {
  TranslationBench bench;
  bench.bind(0, 0);
  for (uint32_t slot = 0; slot < kRangesMax; ++slot) bench.map(0, slot, {slot, 1, slot});
  bench.count(0, kRangesMax);
  bench.settle();
  bench.lookups[1].push_back({0, 63 * kPage, 1, false});
  bench.cycle();
  bench.cycle();
  bench.count(0, 0);  // the last row may be read before or after
  bench.settle();
  ASSERT_EQ(bench.answers.size(), 1u);
  EXPECT_GE(bench.done_cycles.back() + 1, bench.answers[0].cycle);
}

class RandomTranslationTest : public testing::TestWithParam<uint32_t> {};

void random_command(TranslationBench& bench, std::mt19937& random) {
  const uint32_t domain = random() % kDomainCount;
  switch (random() % 8) {
    case 0:
      return bench.bind(random() % kViCount, random() % 10 == 0 ? 0xffff : random() % kDomainCount);
    case 1:
      return bench.count(domain, random() % (kRangesMax + 1));
    default: {  // slots of a domain never overlap: a slot's pages are its own
      const uint32_t slot = random() % kRangesMax;
      const uint64_t offset = random() % 4;
      return bench.map(domain, slot,
                       {slot * 8 + offset, 1 + random() % (8 - offset), random() % 0x10000, random() % 4 != 0});
    }
  }
}

void run_random(TranslationBench& bench, uint32_t seed) {
  std::mt19937 random(seed);
  const auto pick = [&random](uint32_t below) { return static_cast<uint32_t>(random() % below); };
  uint32_t percent = 50;
  for (int i = 0; i < 1200; ++i) random_command(bench, random);
  for (uint32_t domain = 0; domain < kDomainCount; ++domain) bench.count(domain, 8 * domain + 8);
  for (uint32_t vi = 0; vi < kViCount; ++vi) bench.bind(vi, vi % kDomainCount);
  for (int cycle = 0; cycle < 50000 && !testing::Test::HasFailure(); ++cycle) {
    if (cycle % 200 == 0) percent = random() % 4 == 0 ? 1 : random() % 100;
    if (bench.commands.empty() && random() % 100 == 0) random_command(bench, random);
    for (auto& queue : bench.lookups) {
      if (!queue.empty() || random() % 100 >= percent) continue;
      queue.push_back({pick(kViCount), random() % 8 * 64 * kPage + random() % (64 * kPage),
                       1 + pick(pick(2) ? 3000 : 100000), random() % 2 == 0});
    }
    bench.cycle();
  }
  bench.settle();
}

TEST_P(RandomTranslationTest, EveryAnswerIsTheReferencesAndWithASkippedClockTheSame) {
  TranslationBench bench(false), skipping(true);
  run_random(bench, GetParam());
  run_random(skipping, GetParam());
  EXPECT_EQ(bench.answers, skipping.answers);
  EXPECT_EQ(bench.done_cycles, skipping.done_cycles);
  EXPECT_GT(skipping.skipped_count, 200u);
  const auto ok_count = std::count_if(bench.answers.begin(), bench.answers.end(), [](const Answer& a) { return a.ok; });
  EXPECT_GT(ok_count, 500);
  EXPECT_GT(static_cast<int64_t>(bench.answers.size()) - ok_count, 500);
}
INSTANTIATE_TEST_SUITE_P(Seed, RandomTranslationTest, testing::Range(1u, 4u));

}  // namespace
}  // namespace postern::rtl_test
