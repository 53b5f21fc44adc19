// pst_desc_fetch under Verilator: doorbells, batches, cache, pushed descriptors, lives of a ring, and random operations
// against the reference. The bench checks every cycle; the tests state what must have come out.
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "tests/rtl/desc_fetch_bench.h"

namespace postern::rtl_test {
namespace {

constexpr uint32_t kTx = 0, kRx = 1;

// Posts, fetches, pops and completes count descriptors, so that the ring stands there with nothing in it.
void advance(DescFetchBench& bench, uint32_t vi, uint32_t rx, uint32_t count) {
  while (count > 0) {
    const uint32_t now = std::min(count, 16u);
    const uint32_t producer = bench.ring(vi, rx).producer + now;
    bench.ring_bell(vi, rx, producer);
    bench.run_until_quiet();
    bench.pop(vi, rx, now);
    bench.run_until_quiet();
    bench.done(vi, rx, producer);
    bench.run_until_quiet();
    count -= now;
  }
  bench.reads.clear();
  bench.popped.clear();
  bench.available.clear();
}

void expect_bad_doorbell(const DescFetchBench& bench, uint32_t vi, uint32_t index) {
  ASSERT_EQ(bench.halts.size(), 1u);
  EXPECT_EQ(bench.halts[0].vi, vi);
  EXPECT_EQ(bench.halts[0].source, static_cast<uint32_t>(PST_ERROR_SOURCE_DOORBELL));
  EXPECT_EQ(bench.halts[0].code, static_cast<uint32_t>(PST_ERROR_CODE_BAD_DOORBELL));
  EXPECT_EQ(bench.halts[0].index, index);
}

TEST(PstDescFetchTest, PopFromAnEmptyCacheSaysWhetherDescriptorsArePosted) {
  DescFetchBench bench;
  bench.start(5, kRx);
  bench.pop(5, kRx);
  bench.run_until_quiet();
  bench.serve = [](const FetchRead&) {};  // the read stays in flight
  bench.ring_bell(5, kRx, 3);
  bench.run(10);
  bench.pop(5, kRx);
  bench.run(10);
  ASSERT_EQ(bench.popped.size(), 2u);
  EXPECT_FALSE(bench.popped[0].found);
  EXPECT_FALSE(bench.popped[0].posted);
  EXPECT_FALSE(bench.popped[1].found);
  EXPECT_TRUE(bench.popped[1].posted);
  bench.answer(bench.reads.at(0));
  bench.run_until_quiet();
  bench.pop(5, kRx, 4);
  bench.run_until_quiet();
  EXPECT_TRUE(bench.popped[4].found);
  EXPECT_FALSE(bench.popped[5].posted) << "nothing beyond what was popped";
  bench.run(10);
  EXPECT_GE(bench.quiet.quiet_count(), 10u);
}

TEST(PstDescFetchTest, DoorbellFetchesAndPopsComeInOrder) {
  DescFetchBench bench;
  bench.start(5, kTx);
  bench.ring_bell(5, kTx, 3);
  bench.run_until_quiet();
  ASSERT_EQ(bench.reads.size(), 1u);
  EXPECT_EQ(bench.reads[0].vi, 5u);
  EXPECT_EQ(bench.reads[0].rx, kTx);
  EXPECT_EQ(bench.reads[0].index, 0u);
  EXPECT_EQ(bench.reads[0].count, 3u);
  EXPECT_EQ(bench.reads[0].address, DescFetchBench::ring_address(5, kTx));
  EXPECT_EQ(bench.available.size(), 3u);
  bench.pop(5, kTx, 4);
  bench.run_until_quiet();
  ASSERT_EQ(bench.popped.size(), 4u);
  for (uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(bench.popped[i].index, i);
    EXPECT_TRUE(bench.popped[i].desc == DescFetchBench::memory(5, kTx, 1, i));
    EXPECT_EQ(bench.popped[i].more, i < 2);
  }
  EXPECT_FALSE(bench.popped[3].found) << "the cache is empty";
}

TEST(PstDescFetchTest, ReadsAreAtMostABatch) {
  DescFetchBench bench;
  bench.start(5, kTx);
  bench.start(5, kRx);
  bench.ring_bell(5, kTx, 40);
  bench.ring_bell(5, kRx, 40);
  bench.run_until_quiet();
  std::vector<uint32_t> tx, rx;
  for (const FetchRead& read : bench.reads) (read.rx ? rx : tx).push_back(read.count);
  EXPECT_EQ(tx, (std::vector<uint32_t>{16, 16, 8}));
  EXPECT_EQ(rx, (std::vector<uint32_t>{32, 8}));
}

TEST(PstDescFetchTest, RingWrapStartsAgainAtItsFirstSlot) {
  DescFetchBench bench;
  bench.start(2, kRx, 7);
  for (uint32_t pass = 1; pass <= 3; ++pass) {
    advance(bench, 2, kRx, pass == 1 ? 128 : 127);
    bench.ring_bell(2, kRx, 128 * pass + 1);
    bench.run_until_quiet();
    ASSERT_EQ(bench.reads.size(), 1u);
    EXPECT_EQ(bench.reads[0].address, DescFetchBench::ring_address(2, kRx));
    EXPECT_EQ(bench.reads[0].index, 128 * pass);
    bench.pop(2, kRx);
    bench.run_until_quiet();
    bench.done(2, kRx, 128 * pass + 1);
    bench.run_until_quiet();
  }
}

TEST(PstDescFetchTest, BatchIsCutAtTheWrap) {
  DescFetchBench bench;
  bench.start(2, kTx, 7);
  advance(bench, 2, kTx, 123);
  bench.ring_bell(2, kTx, 123 + 12);
  bench.run_until_quiet();
  ASSERT_EQ(bench.reads.size(), 2u);
  EXPECT_EQ(bench.reads[0].count, 5u);
  EXPECT_EQ(bench.reads[0].address, DescFetchBench::ring_address(2, kTx) + 123 * 16);
  EXPECT_EQ(bench.reads[1].count, 7u);
  EXPECT_EQ(bench.reads[1].index, 128u);
  EXPECT_EQ(bench.reads[1].address, DescFetchBench::ring_address(2, kTx));
}

TEST(PstDescFetchTest, BatchIsCutAtTheEndOfAPage) {
  DescFetchBench bench;
  bench.start(2, kRx, 12);
  advance(bench, 2, kRx, 250);
  bench.ring_bell(2, kRx, 250 + 32);
  bench.run_until_quiet();
  ASSERT_EQ(bench.reads.size(), 2u);
  EXPECT_EQ(bench.reads[0].count, 6u);
  EXPECT_EQ(bench.reads[1].count, 26u);
  EXPECT_EQ(bench.reads[1].address, DescFetchBench::ring_address(2, kRx) + PST_LIMIT_PAGE_BYTES);
}

TEST(PstDescFetchTest, FullCacheWaitsForRoomAndThenGoesOn) {
  DescFetchBench bench;
  bench.start(2, kTx, 8);
  bench.ring_bell(2, kTx, 256);
  bench.run_until_quiet();
  EXPECT_EQ(bench.available.size(), DescFetchBench::kCacheDepth);
  bench.pop(2, kTx, 15);
  bench.run_until_quiet();
  EXPECT_EQ(bench.reads.size(), 4u) << "no crumbs";
  bench.pop(2, kTx, 1);
  bench.run_until_quiet();
  ASSERT_EQ(bench.reads.size(), 5u);
  EXPECT_EQ(bench.reads[4].count, 16u);
  bench.pop(2, kTx, 240);
  while (!bench.pops[kTx].empty()) bench.cycle();
  bench.run_until_quiet();
  EXPECT_EQ(bench.ring(2, kTx).next, 256u);
}

TEST(PstDescFetchTest, RepeatedDoorbellIsOneDoorbell) {
  DescFetchBench bench;
  bench.start(2, kTx);
  for (int i = 0; i < 3; ++i) bench.ring_bell(2, kTx, 4);
  bench.run_until_quiet();
  bench.ring_bell(2, kTx, 4);
  bench.run_until_quiet();
  EXPECT_EQ(bench.reads.size(), 1u);
  EXPECT_EQ(bench.available.size(), 4u);
  EXPECT_TRUE(bench.halts.empty());
}

TEST(PstDescFetchTest, DoorbellThatGoesBackIsBad) {
  DescFetchBench bench;
  bench.start(2, kTx);
  bench.ring_bell(2, kTx, 4);
  bench.ring_bell(2, kTx, 3);
  bench.run_until_quiet();
  expect_bad_doorbell(bench, 2, 3);
  bench.pop(2, kTx);
  bench.run_until_quiet();
  EXPECT_FALSE(bench.popped[0].found) << "the ring has stopped";
}

TEST(PstDescFetchTest, WholeRingMayBePostedAndOneMoreIsBad) {
  DescFetchBench bench;
  bench.start(2, kRx, 7);
  advance(bench, 2, kRx, 10);
  bench.ring_bell(2, kRx, 10 + 128);
  bench.run_until_quiet();
  EXPECT_TRUE(bench.halts.empty());
  bench.pop(2, kRx);
  bench.run_until_quiet();
  bench.ring_bell(2, kRx, 10 + 129);  // popped, but not completed
  bench.run_until_quiet();
  expect_bad_doorbell(bench, 2, 139);
}

TEST(PstDescFetchTest, CompletionGivesTheSlotBack) {
  DescFetchBench bench;
  bench.start(2, kRx, 7);
  bench.ring_bell(2, kRx, 128);
  bench.run_until_quiet();
  bench.pop(2, kRx);
  bench.run_until_quiet();
  bench.done(2, kRx, 2);  // beyond what was popped: not heard
  bench.done(2, kRx, 1);
  bench.run_until_quiet();
  bench.ring_bell(2, kRx, 129);
  bench.run_until_quiet();
  EXPECT_TRUE(bench.halts.empty());
  bench.ring_bell(2, kRx, 130);
  bench.run_until_quiet();
  expect_bad_doorbell(bench, 2, 130);
}

TEST(PstDescFetchTest, DoorbellOfARingThatDoesNotRunIsIgnoredAndCounted) {
  DescFetchBench bench;
  bench.ring_bell(9, kTx, 4);
  bench.push(9, 1, DescFetchBench::packet(64, 60));
  bench.run_until_quiet();
  EXPECT_EQ(bench.ignored_count, 2u);
  EXPECT_TRUE(bench.reads.empty());
  EXPECT_TRUE(bench.halts.empty());
}

TEST(PstDescFetchTest, PushIntoAnEmptyRingNeedsNoRead) {
  DescFetchBench bench;
  bench.start(7, kTx);
  advance(bench, 7, kTx, 5);
  const Desc desc = DescFetchBench::packet(0x5000, 100);
  bench.push(7, 6, desc);
  bench.push(7, 6, desc);  // R2
  bench.ring_bell(7, kTx, 8);
  bench.run_until_quiet();
  ASSERT_EQ(bench.reads.size(), 1u);
  EXPECT_EQ(bench.reads[0].index, 6u);
  EXPECT_EQ(bench.reads[0].count, 2u);
  bench.pop(7, kTx, 3);
  bench.run_until_quiet();
  EXPECT_TRUE(bench.popped[0].desc == desc);
  EXPECT_FALSE(bench.popped[0].pio);
  EXPECT_TRUE(bench.popped[2].found);
  EXPECT_TRUE(bench.halts.empty());
}

TEST(PstDescFetchTest, PushWhileThePacketBeforeIsNotCompletedIsBad) {
  DescFetchBench bench;
  bench.start(7, kTx);
  bench.push(7, 1, DescFetchBench::packet(0x5000, 100));
  bench.run_until_quiet();
  bench.pop(7, kTx);
  bench.run_until_quiet();
  bench.push(7, 2, DescFetchBench::packet(0x6000, 100));
  bench.run_until_quiet();
  expect_bad_doorbell(bench, 7, 2);
}

TEST(PstDescFetchTest, PushTwoAheadOrWithoutEndOfPacketIsBad) {
  for (uint32_t index : {1u, 2u}) {
    DescFetchBench bench;
    bench.start(7, kTx);
    bench.push(7, index, DescFetchBench::packet(0x5000, 100, index != 1));
    bench.run_until_quiet();
    expect_bad_doorbell(bench, 7, index);
  }
}

TEST(PstDescFetchTest, PioIsMarkedAndMustLieInThePage) {
  DescFetchBench bench;
  bench.start(7, kTx);
  bench.push(7, 1, DescFetchBench::packet(4000, 96), Bell::kPio);
  bench.run_until_quiet();
  bench.pop(7, kTx);
  bench.run_until_quiet();
  ASSERT_TRUE(bench.popped[0].found);
  EXPECT_TRUE(bench.popped[0].pio);
  bench.done(7, kTx, 1);
  bench.run_until_quiet();
  bench.push(7, 2, DescFetchBench::packet(4000, 97), Bell::kPio);
  bench.run_until_quiet();
  expect_bad_doorbell(bench, 7, 2);
}

TEST(PstDescFetchTest, StopWithAReadInFlightDeliversNothingAndIsReportedBehindIt) {
  DescFetchBench bench;
  std::vector<FetchRead> held;
  bench.serve = [&held](const FetchRead& read) { held.push_back(read); };
  bench.start(3, kTx);
  bench.ring_bell(3, kTx, 4);
  bench.run_until_quiet();
  ASSERT_EQ(held.size(), 1u);
  bench.stop(3, kTx);
  bench.run(20);
  EXPECT_TRUE(bench.stopped.empty());
  bench.start(3, kTx);  // the new life begins before the old read has come
  bench.ring_bell(3, kTx, 2);
  bench.run(20);
  EXPECT_EQ(held.size(), 1u);
  bench.answer(held[0]);
  bench.run_until_quiet();
  EXPECT_EQ(bench.stopped.size(), 1u);
  EXPECT_TRUE(bench.available.empty());
  ASSERT_EQ(held.size(), 2u);
  bench.answer(held[1]);
  bench.run_until_quiet();
  bench.pop(3, kTx, 3);
  bench.run_until_quiet();
  EXPECT_TRUE(bench.popped[0].desc == DescFetchBench::memory(3, kTx, 2, 0));
  EXPECT_FALSE(bench.popped[2].found);
}

TEST(PstDescFetchTest, PushIntoANewLifeGoesAheadOfTheOldRead) {
  DescFetchBench bench;
  std::vector<FetchRead> held;
  bench.serve = [&held](const FetchRead& read) { held.push_back(read); };
  bench.start(3, kTx);
  bench.ring_bell(3, kTx, 4);
  bench.run_until_quiet();
  bench.stop(3, kTx);
  bench.start(3, kTx);
  const Desc desc = DescFetchBench::packet(0x5000, 100);
  bench.push(3, 1, desc);
  bench.run(20);
  ASSERT_EQ(held.size(), 1u);
  bench.answer(held[0]);
  bench.run_until_quiet();
  bench.pop(3, kTx, 2);
  bench.run_until_quiet();
  EXPECT_TRUE(bench.popped[0].desc == desc);
  EXPECT_FALSE(bench.popped[1].found);
}

TEST(PstDescFetchTest, StopWithNothingInFlightIsReportedAtOnce) {
  DescFetchBench bench;
  bench.start(3, kRx);
  bench.ring_bell(3, kRx, 4);
  bench.run_until_quiet();
  bench.stop(3, kRx);
  bench.run(4);
  EXPECT_EQ(bench.stopped.size(), 1u);
  bench.pop(3, kRx);
  bench.run_until_quiet();
  EXPECT_FALSE(bench.popped[0].found);
}

TEST(PstDescFetchTest, FailedReadHaltsWithTheIndexOfWhatIsMissing) {
  DescFetchBench bench;
  bench.serve = [&bench](const FetchRead& read) {
    bench.beats.push_back({read.vi, read.rx, 0, DescFetchBench::memory(read.vi, read.rx, 1, read.index)});
    bench.beats.push_back({read.vi, read.rx, PST_ERROR_CODE_DMA_FAULT, {}});
  };
  bench.start(3, kRx);
  bench.ring_bell(3, kRx, 9);
  bench.run_until_quiet();
  ASSERT_EQ(bench.halts.size(), 1u);
  EXPECT_EQ(bench.halts[0].source, static_cast<uint32_t>(PST_ERROR_SOURCE_RX));
  EXPECT_EQ(bench.halts[0].code, static_cast<uint32_t>(PST_ERROR_CODE_DMA_FAULT));
  EXPECT_EQ(bench.halts[0].index, 1u);
  bench.stop(3, kRx);
  bench.run_until_quiet();
  EXPECT_EQ(bench.stopped.size(), 1u);
}

TEST(PstDescFetchTest, ResponsesOfDifferentRingsComeInAnyOrder) {
  DescFetchBench bench;
  std::vector<FetchRead> held;
  bench.serve = [&held](const FetchRead& read) { held.push_back(read); };
  for (uint32_t vi = 0; vi < 4; ++vi) {
    bench.start(vi, kTx);
    bench.ring_bell(vi, kTx, 3);
  }
  bench.run_until_quiet();
  ASSERT_EQ(held.size(), 4u);
  for (uint32_t i = 0; i < 3; ++i) {  // interleaved, last ring first
    for (uint32_t k = 4; k-- > 0;) {
      const FetchRead& read = held[k];
      bench.beats.push_back({read.vi, read.rx, 0, DescFetchBench::memory(read.vi, read.rx, 1, read.index + i)});
    }
  }
  bench.run_until_quiet();
  for (uint32_t vi = 0; vi < 4; ++vi) bench.pop(vi, kTx, 3);
  bench.run_until_quiet();
  ASSERT_EQ(bench.popped.size(), 12u);
  for (uint32_t i = 0; i < 12; ++i) EXPECT_TRUE(bench.popped[i].desc == DescFetchBench::memory(i / 3, kTx, 1, i % 3));
}

TEST(PstDescFetchTest, ReadsThatAreNotAcceptedHoldUpNoResponse) {
  DescFetchBench bench;
  bool open = true;
  bench.read_ready = [&open] { return open; };
  std::vector<FetchRead> held;
  bench.serve = [&held](const FetchRead& read) { held.push_back(read); };
  bench.start(1, kTx);
  bench.ring_bell(1, kTx, 3);
  bench.run_until_quiet();
  open = false;
  for (uint32_t vi = 2; vi < 10; ++vi) {
    bench.start(vi, kTx);
    bench.ring_bell(vi, kTx, 3);
  }
  bench.run(60);
  bench.answer(held.at(0));
  bench.run(20);
  EXPECT_EQ(bench.available.size(), 3u);
  open = true;
  bench.run_until_quiet();
  EXPECT_EQ(held.size(), 9u);
}

TEST(PstDescFetchTest, RingsTakeTurnsWithReads) {
  DescFetchBench bench;
  bool open = false;
  bench.read_ready = [&open] { return open; };
  for (uint32_t vi = 0; vi < DescFetchBench::kViCount; ++vi) {
    bench.start(vi, kRx);
    bench.ring_bell(vi, kRx, 64);
  }
  bench.run(200);
  open = true;
  bench.run_until_quiet();
  ASSERT_EQ(bench.reads.size(), 64u);
  std::vector<uint32_t> first_half(DescFetchBench::kViCount);
  for (uint32_t i = 0; i < 34; ++i) ++first_half[bench.reads[i].vi];
  for (uint32_t vi = 0; vi < DescFetchBench::kViCount; ++vi) EXPECT_GE(first_half[vi], 1u) << "VI " << vi;
}

TEST(PstDescFetchTest, ResponsesBackToBackTakeACycleEach) {
  DescFetchBench bench;
  std::vector<FetchRead> held;
  bench.serve = [&held](const FetchRead& read) { held.push_back(read); };
  bench.start(3, kRx);
  bench.ring_bell(3, kRx, 32);
  bench.run_until_quiet();
  bench.answer(held.at(0));
  const uint64_t before = bench.cycle_count;
  while (!bench.beats.empty()) bench.cycle();
  EXPECT_EQ(bench.cycle_count - before, 32u);
  bench.run_until_quiet();
  EXPECT_EQ(bench.available.size(), 32u);
}

// ---- Random operations, with every interface held up at random and responses of different rings mixed.
class DescFetchRandomTest : public testing::TestWithParam<uint32_t> {};

constexpr uint32_t kRandomVis[] = {0, 1, 15, 16, 31};

void random_doorbell(std::mt19937& random, DescFetchBench& bench, uint32_t vi) {
  const uint32_t rx = random() % 2;
  RingReference& r = bench.ring(vi, rx);
  const uint32_t room = r.entries - (r.producer - r.completed);
  uint32_t index = r.producer + (room ? random() % std::min(room + 1, 40u) : 0);
  if (random() % 200 == 0) index = r.producer + room + 1 + random() % 2;
  if (random() % 200 == 0) index = r.producer - 1 - random() % 3;
  if (!rx && (r.completed == r.producer ? random() % 2 == 0 : random() % 200 == 0)) {
    const bool pio = random() % 2;
    const Desc desc =
        DescFetchBench::packet(random() % 3000, random() % (random() % 20 == 0 ? 4000 : 900), random() % 50 != 0);
    bench.push(vi, r.producer + random() % 2, desc, pio ? Bell::kPio : Bell::kPush);
  } else {
    bench.ring_bell(vi, rx, index);
  }
}

void random_requests(std::mt19937& random, DescFetchBench& bench, uint32_t rate) {
  const uint32_t vi = kRandomVis[random() % 5];
  const uint32_t rx = random() % 2;
  if (bench.doorbells.empty() && random() % 100 < rate) random_doorbell(random, bench, vi);
  if (bench.pops[rx].empty() && random() % 100 < rate) bench.pop(vi, rx);
  if (bench.dones.empty() && random() % 100 < rate) {
    const RingReference& r = bench.ring(vi, rx);
    bench.done(vi, rx, random() % 50 == 0 ? r.popped + 1 : r.popped - random() % (r.popped - r.completed + 1));
  }
  if (bench.commands.empty() && random() % 150 == 0) {
    if (bench.ring(vi, rx).life != 0) bench.stop(vi, rx);
    if (random() % 8) bench.start(vi, rx, 7 + random() % 3);
  }
}

// Moves a beat of some read with owed beats to the response port.
struct RandomMemory {
  std::vector<FetchRead> owed;
  void step(std::mt19937& random, DescFetchBench& bench) {
    if (owed.empty() || !bench.beats.empty()) return;
    const size_t k = random() % owed.size();
    FetchRead& read = owed[k];
    const uint64_t life = bench.ring(read.vi, read.rx).in_flight_life;
    const bool fails = random() % 2000 == 0;
    bench.beats.push_back({read.vi, read.rx, fails ? uint32_t{PST_ERROR_CODE_DMA_FAULT} : 0,
                           DescFetchBench::memory(read.vi, read.rx, life, read.index)});
    ++read.index;
    if (fails || --read.count == 0) owed.erase(owed.begin() + static_cast<std::ptrdiff_t>(k));
  }
};

TEST_P(DescFetchRandomTest, EveryOutputMatchesTheReference) {
  std::mt19937 random(GetParam());
  DescFetchBench bench;
  RandomMemory memory;
  bench.serve = [&memory](const FetchRead& read) { memory.owed.push_back(read); };
  uint32_t pattern = 100, rate = 50;
  bench.read_ready = bench.halt_ready = bench.beat_ready = [&] { return random() % 100 < pattern; };
  for (uint32_t vi : kRandomVis) {
    bench.start(vi, kTx);
    bench.start(vi, kRx);
  }
  for (int cycle = 0; cycle < 30000 && !testing::Test::HasFailure(); ++cycle) {
    if (cycle % 500 == 0) {
      static constexpr uint32_t kPatterns[] = {100, 5, 50, 90, 25};
      static constexpr uint32_t kRates[] = {5, 100, 50, 20};
      pattern = kPatterns[random() % 5];
      rate = kRates[random() % 4];
    }
    random_requests(random, bench, rate);
    memory.step(random, bench);
    bench.cycle();
  }
  if (testing::Test::HasFailure()) return;
  pattern = 100;
  for (int cycle = 0; cycle < 5000; ++cycle) {
    memory.step(random, bench);
    bench.cycle();
  }
  EXPECT_TRUE(memory.owed.empty());
  bench.run_until_quiet();
  EXPECT_GT(bench.popped.size(), 1000u);
  EXPECT_GT(bench.reads.size(), 200u);
  EXPECT_GT(bench.stopped.size(), 20u);
}
INSTANTIATE_TEST_SUITE_P(Seed, DescFetchRandomTest, testing::Range(1u, 9u));

}  // namespace
}  // namespace postern::rtl_test
