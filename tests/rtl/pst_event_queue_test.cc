// pst_event_queue under Verilator: slots, policies, primes, moderation, and random operations against the reference.
// The bench checks every cycle; the tests state what must have come out.
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "tests/rtl/event_queue_bench.h"

namespace postern::rtl_test {
namespace {

using Kind = Output::Kind;

QueueConfig small_queue(uint32_t entries_log2 = 3) {
  QueueConfig config;
  config.address = 0x123456789000;
  config.entries_log2 = entries_log2;
  config.vector = 7;
  return config;
}

unsigned phase_of(const Output& output) { return static_cast<unsigned>(pst_event_get_phase(&output.event)); }
unsigned mark_of(const Output& output) { return static_cast<unsigned>(pst_event_get_overflow_mark(&output.event)); }

TEST(PstEventQueueTest, FirstEventTakesSlotZeroWithPhaseOne) {
  EventQueueBench bench;
  bench.start(5, small_queue());
  bench.post(5, 0xabc);
  bench.run_until_quiet();
  const auto writes = bench.seen_of(Kind::kWrite, 5);
  ASSERT_EQ(writes.size(), 1u);
  EXPECT_EQ(writes[0].address, 0x123456789000u);
  EXPECT_EQ(phase_of(writes[0]), 1u);
  EXPECT_EQ(mark_of(writes[0]), 0u);
}

TEST(PstEventQueueTest, RingWrapsAndPhaseFlipsExactlyAtTheWrap) {
  EventQueueBench bench;
  bench.start(1, small_queue(PST_LIMIT_EVQ_ENTRIES_MIN == 128 ? 7 : 0));
  for (uint32_t i = 0; i < 300; ++i) {
    bench.post(1, i);
    bench.run_until_quiet();
    bench.consume(1, i + 1);
    bench.run_until_quiet();
  }
  const auto writes = bench.seen_of(Kind::kWrite, 1);
  ASSERT_EQ(writes.size(), 300u);
  for (uint32_t i = 0; i < 300; ++i) {
    EXPECT_EQ(writes[i].address, 0x123456789000u + uint64_t{i % 128} * 16);
    EXPECT_EQ(phase_of(writes[i]), i / 128 == 1 ? 0u : 1u) << i;
  }
}

TEST(PstEventQueueTest, IndexWrapsAtItsWidthAndOldIndicesStayStale) {
  EventQueueBench bench;
  bench.start(1, small_queue(0));  // one entry: nothing but wraps
  for (uint32_t i = 0; i < 40; ++i) {
    bench.post(1, i);
    bench.run_until_quiet();
    bench.consume(1, i + 1);
    bench.consume(1, i);  // stale
    bench.run_until_quiet();
  }
  EXPECT_EQ(bench.seen_of(Kind::kWrite, 1).size(), 40u);
  EXPECT_TRUE(bench.seen_of(Kind::kHalt, 1).empty());
}

TEST(PstEventQueueTest, LargestQueueUsesAllItsSlots) {
  EventQueueBench bench;
  bench.start(2, small_queue(15));
  for (uint32_t i = 0; i < PST_LIMIT_EVQ_ENTRIES_MAX + 1; ++i) bench.post(2, i);
  while (!bench.events.empty()) bench.cycle();
  bench.run_until_quiet();
  EXPECT_EQ(bench.seen_of(Kind::kWrite, 2).size(), PST_LIMIT_EVQ_ENTRIES_MAX);
  EXPECT_EQ(bench.answers.back(), Answer::kStall);
}

TEST(PstEventQueueTest, FullQueueStallsAndTellsWhenSpaceReturns) {
  EventQueueBench bench;
  bench.start(3, small_queue(2));
  bench.start(4, small_queue(2));
  for (uint32_t i = 0; i < 5; ++i) bench.post(3, i);
  bench.post(4, 9);  // the other VI is not held up
  bench.run_until_quiet();
  EXPECT_EQ(bench.answers[4], Answer::kStall);
  EXPECT_EQ(bench.answers[5], Answer::kOk);
  EXPECT_EQ(bench.stalled_count, 1u);
  EXPECT_TRUE(bench.space_returned.empty());
  bench.consume(3, 1);
  bench.run_until_quiet();
  EXPECT_EQ(bench.space_returned, std::vector<uint32_t>{3});
  bench.post(3, 4);
  bench.run_until_quiet();
  EXPECT_EQ(bench.answers.back(), Answer::kOk);
  EXPECT_EQ(mark_of(bench.seen.back()), 0u);
}

TEST(PstEventQueueTest, FullQueueDropsAndTheNextEventCarriesTheMark) {
  EventQueueBench bench;
  QueueConfig config = small_queue(2);
  config.policy = PST_EVQ_POLICY_DROP;
  bench.start(3, config);
  for (uint32_t i = 0; i < 6; ++i) bench.post(3, i);
  bench.run_until_quiet();
  EXPECT_EQ(bench.dropped_count, 2u);
  bench.consume(3, 2);
  bench.run_until_quiet();
  bench.post(3, 7);
  bench.post(3, 8);
  bench.run_until_quiet();
  const auto writes = bench.seen_of(Kind::kWrite, 3);
  ASSERT_EQ(writes.size(), 6u);
  EXPECT_EQ(mark_of(writes[3]), 0u);
  EXPECT_EQ(mark_of(writes[4]), 1u);
  EXPECT_EQ(mark_of(writes[5]), 0u);
  EXPECT_EQ(bench.marked_count, 1u);
}

TEST(PstEventQueueTest, FullQueueAsksForAHaltUnderPolicyHalt) {
  EventQueueBench bench;
  QueueConfig config = small_queue(2);
  config.policy = PST_EVQ_POLICY_HALT;
  bench.start(3, config);
  for (uint32_t i = 0; i < 5; ++i) bench.post(3, i);
  bench.run_until_quiet();
  const auto halts = bench.seen_of(Kind::kHalt, 3);
  ASSERT_EQ(halts.size(), 1u);
  EXPECT_EQ(halts[0].source, static_cast<uint32_t>(PST_ERROR_SOURCE_EVQ));
  EXPECT_EQ(halts[0].code, static_cast<uint32_t>(PST_ERROR_CODE_QUEUE_OVERFLOW));
  EXPECT_EQ(halts[0].index, 4u);
}

TEST(PstEventQueueTest, HaltedQueueTakesOnlyErrorEventsWhichWaitForSpace) {
  EventQueueBench bench;
  QueueConfig config = small_queue(2);
  config.policy = PST_EVQ_POLICY_HALT;
  bench.start(3, config);
  for (uint32_t i = 0; i < 4; ++i) bench.post(3, i);
  bench.run_until_quiet();
  bench.command(Op::kHalt, 3);
  bench.run_until_quiet();
  bench.post(3, 5);
  bench.post(3, 6, PST_EVENT_TYPE_ERROR);
  bench.run_until_quiet();
  EXPECT_EQ(bench.answers[4], Answer::kGone);
  EXPECT_EQ(bench.answers[5], Answer::kStall);
  EXPECT_EQ(bench.stalled_count, 0u) << "an error event that waits is no stall";
  bench.prime(3, 4);  // a halted VI still takes doorbells
  bench.run_until_quiet();
  EXPECT_EQ(bench.space_returned, std::vector<uint32_t>{3});
  bench.post(3, 6, PST_EVENT_TYPE_ERROR);
  bench.run_until_quiet();
  EXPECT_EQ(bench.answers.back(), Answer::kOk);
  EXPECT_EQ(bench.wake_count, 1u);
}

TEST(PstEventQueueTest, ErrorEventOfAHaltedQueueDoesNotWaitForTheHoldOff) {
  EventQueueBench bench;
  QueueConfig config = small_queue(3);
  config.holdoff_ns = 1000000;
  config.holdoff_events = 4;
  bench.start(3, config);
  bench.prime(3, 0);
  bench.post(3, 1);
  bench.run(20);
  EXPECT_EQ(bench.wake_count, 0u);
  bench.command(Op::kHalt, 3);
  bench.run(10);
  bench.post(3, 2, PST_EVENT_TYPE_ERROR);
  bench.run(10);
  EXPECT_EQ(bench.wake_count, 1u);
}

TEST(PstEventQueueTest, ReservedSpaceIsKeptAndGivenBack) {
  EventQueueBench bench;
  bench.start(3, small_queue(2));
  bench.post(3, 0, PST_EVENT_TYPE_RX, Op::kReserve);
  for (uint32_t i = 0; i < 4; ++i) bench.post(3, i);
  bench.run_until_quiet();
  EXPECT_EQ(bench.answers[3], Answer::kOk);
  EXPECT_EQ(bench.answers[4], Answer::kStall);
  bench.post(3, 9, PST_EVENT_TYPE_RX, Op::kPostReserved);
  bench.run_until_quiet();
  EXPECT_EQ(bench.answers.back(), Answer::kOk);
  EXPECT_EQ(bench.seen_of(Kind::kWrite, 3).size(), 4u);
  bench.consume(3, 4);
  bench.post(3, 0, PST_EVENT_TYPE_RX, Op::kReserve);
  bench.post(3, 0, PST_EVENT_TYPE_RX, Op::kRelease);
  for (uint32_t i = 0; i < 4; ++i) bench.post(3, i);
  bench.run_until_quiet();
  EXPECT_EQ(bench.answers.back(), Answer::kOk);
}

TEST(PstEventQueueTest, DoorbellBeyondWhatWasIssuedIsBad) {
  EventQueueBench bench;
  bench.start(3, small_queue());
  bench.post(3, 1);
  bench.run_until_quiet();
  bench.consume(3, 2);
  bench.run_until_quiet();
  const auto halts = bench.seen_of(Kind::kHalt, 3);
  ASSERT_EQ(halts.size(), 1u);
  EXPECT_EQ(halts[0].source, static_cast<uint32_t>(PST_ERROR_SOURCE_DOORBELL));
  EXPECT_EQ(halts[0].code, static_cast<uint32_t>(PST_ERROR_CODE_BAD_DOORBELL));
  EXPECT_EQ(halts[0].index, 2u);
}

TEST(PstEventQueueTest, IndexOneRingBehindIsStaleAndOneMoreIsBad) {
  EventQueueBench bench;
  bench.start(3, small_queue(3));
  for (uint32_t i = 0; i < 12; ++i) {
    bench.post(3, i);
    bench.run_until_quiet();
    bench.consume(3, i + 1);
    bench.run_until_quiet();
  }
  bench.consume(3, 12 - 8);
  bench.run_until_quiet();
  EXPECT_TRUE(bench.seen_of(Kind::kHalt, 3).empty());
  bench.consume(3, 12 - 9);
  bench.run_until_quiet();
  EXPECT_EQ(bench.seen_of(Kind::kHalt, 3).size(), 1u);
}

TEST(PstEventQueueTest, PrimeWithSequenceZeroIsBadAndReturnsNothing) {
  EventQueueBench bench;
  bench.start(3, small_queue());
  bench.post(3, 1);
  bench.run_until_quiet();
  bench.prime(3, 0, 0);
  bench.run_until_quiet();
  EXPECT_EQ(bench.seen_of(Kind::kHalt, 3).size(), 1u);
  EXPECT_EQ(bench.wake_count, 0u);
}

TEST(PstEventQueueTest, DoorbellOfAVIThatDoesNotRunIsIgnoredAndCounted) {
  EventQueueBench bench;
  bench.prime(9, 0);
  bench.consume(9, 5);
  bench.run_until_quiet();
  EXPECT_EQ(bench.ignored_count, 2u);
  EXPECT_TRUE(bench.seen.empty());
}

TEST(PstEventQueueTest, StalePrimeFiresAtOnce) {
  EventQueueBench bench;
  bench.start(3, small_queue());
  bench.post(3, 1);
  bench.run_until_quiet();
  bench.consume(3, 1);
  bench.run_until_quiet();
  bench.prime(3, 0);
  bench.run_until_quiet();
  EXPECT_EQ(bench.seen_of(Kind::kMessage, 3).size(), 1u);
}

TEST(PstEventQueueTest, OnePrimeGivesOneWakeupHoweverManyEventsFollow) {
  EventQueueBench bench;
  bench.start(3, small_queue(4));
  bench.prime(3, 0);
  for (uint32_t i = 0; i < 10; ++i) bench.post(3, i);
  bench.run_until_quiet();
  EXPECT_EQ(bench.seen_of(Kind::kMessage, 3).size(), 1u);
}

// Before the prime, in the same cycle, behind it: exactly one wakeup, and behind the event's write.
class PrimeRaceTest : public testing::TestWithParam<int> {};

TEST_P(PrimeRaceTest, PrimeAndEventGiveOneWakeupBehindTheWrite) {
  constexpr int kEventCycle = 12;
  for (int busy = 0; busy < 2; ++busy) {  // alone, or while another VI's events keep the block busy
    EventQueueBench bench;
    bench.start(3, small_queue());
    bench.start(40, small_queue(10));
    for (int cycle = 0; cycle < 40; ++cycle) {
      if (cycle == kEventCycle) bench.post(3, 0x55);
      if (cycle == kEventCycle + GetParam()) bench.prime(3, 0);
      if (busy && cycle != kEventCycle && bench.events.empty()) bench.post(40, static_cast<uint64_t>(cycle));
      bench.cycle();
    }
    bench.run_until_quiet();
    const auto writes = bench.seen_of(Kind::kWrite, 3);
    const auto messages = bench.seen_of(Kind::kMessage, 3);
    ASSERT_EQ(writes.size(), 1u);
    ASSERT_EQ(messages.size(), 1u);
    size_t write_at = 0;
    while (bench.seen[write_at].vi != 3 || bench.seen[write_at].kind != Kind::kWrite) {
      ASSERT_FALSE(bench.seen[write_at].vi == 3 && bench.seen[write_at].kind == Kind::kMessage) << "before the event";
      ++write_at;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Offset, PrimeRaceTest, testing::Range(-8, 9), [](const auto& offset) {
  return (offset.param < 0 ? "Minus" : "Plus") + std::to_string(std::abs(offset.param));
});

TEST(PstEventQueueTest, HoldOffTimeKeepsWakeupsApart) {
  EventQueueBench bench;
  QueueConfig config = small_queue(4);
  config.holdoff_ns = 800;
  bench.start(3, config);
  bench.prime(3, 0);
  bench.post(3, 0);
  bench.run(10);
  EXPECT_EQ(bench.wake_count, 1u) << "the first wakeup waits for nothing";
  bench.prime(3, 1);
  bench.post(3, 1);
  bench.run(150);
  EXPECT_EQ(bench.wake_count, 1u);
  bench.run(60);
  EXPECT_EQ(bench.wake_count, 2u);
}

TEST(PstEventQueueTest, ClockMayStandStillUntilThePlannedWakeup) {
  EventQueueBench bench;
  QueueConfig config = small_queue(4);
  config.holdoff_ns = 1000000;
  bench.start(3, config);
  bench.start(40, config);
  bench.prime(3, 0);
  bench.post(3, 0);
  bench.run(10);
  const uint64_t woken_ns = bench.now_ns();
  ASSERT_EQ(bench.wake_count, 1u);
  bench.prime(3, 1);
  bench.post(3, 1);
  bench.run(20);
  EXPECT_TRUE(bench.rests());
  EXPECT_LE(bench.due_ns(), woken_ns + config.holdoff_ns);
  EXPECT_GE(bench.due_ns() + 100, woken_ns + config.holdoff_ns);
  bench.run(100);
  EXPECT_GT(bench.quiet.quiet_count(), 100u) << "nothing is searched for before it is due";
  bench.skip(~0ull);
  EXPECT_EQ(bench.now_ns(), bench.due_ns());
  bench.run(20);
  EXPECT_EQ(bench.wake_count, 2u);
  EXPECT_EQ(bench.due_ns(), ~0ull);
}

TEST(PstEventQueueTest, DueTimeOfAWakeupThatWasTakenBackBecomesRight) {
  EventQueueBench bench;
  QueueConfig config = small_queue(4);
  config.holdoff_ns = 4000;
  config.holdoff_events = 4;
  bench.start(3, config);
  config.holdoff_ns = 20000;
  bench.start(35, config);
  bench.prime(3, 0);
  bench.post(3, 0);
  bench.prime(35, 0);
  bench.post(35, 0);
  bench.run(20);
  bench.prime(3, 1);
  bench.run(20);
  const uint64_t early_ns = bench.due_ns();
  EXPECT_LT(early_ns, bench.now_ns() + 4000);
  bench.skip(~0ull);
  bench.run(20);
  EXPECT_TRUE(bench.rests());
  EXPECT_GT(bench.due_ns(), early_ns + 10000);
  bench.skip(~0ull);
  bench.run(20);
  EXPECT_EQ(bench.wake_count, 1u);
}

TEST(PstEventQueueTest, HoldOffCountWakesWithTheLastEventOrAfterTheTime) {
  EventQueueBench bench;
  QueueConfig config = small_queue(4);
  config.holdoff_ns = 800;
  config.holdoff_events = 4;
  bench.start(3, config);
  bench.prime(3, 0);
  for (uint32_t i = 0; i < 3; ++i) bench.post(3, i);
  bench.run(20);
  EXPECT_EQ(bench.wake_count, 0u);
  bench.post(3, 3);
  bench.run(10);
  EXPECT_EQ(bench.wake_count, 1u);
  bench.prime(3, 4);
  bench.post(3, 4);
  bench.run(190);
  EXPECT_EQ(bench.wake_count, 1u);
  bench.run(60);
  EXPECT_EQ(bench.wake_count, 2u);
}

TEST(PstEventQueueTest, PrimeThatConsumesWhatAWakeupWasPlannedForTakesItBack) {
  EventQueueBench bench;
  QueueConfig config = small_queue(4);
  config.holdoff_ns = 400;
  config.holdoff_events = 4;
  bench.start(3, config);
  bench.prime(3, 0);
  bench.post(3, 0);
  bench.run(20);
  bench.prime(3, 1);
  bench.run(400);
  EXPECT_EQ(bench.wake_count, 0u);
  bench.post(3, 1);
  bench.run(400);
  EXPECT_EQ(bench.wake_count, 1u);
}

TEST(PstEventQueueTest, AdaptiveHoldOffDoublesUnderLoadAndHalvesWithoutIt) {
  EventQueueBench bench;
  QueueConfig config = small_queue(6);
  config.holdoff_ns = 1600;
  config.adaptive = true;
  bench.start(3, config);
  uint32_t idx = 0;
  for (int round = 0; round < 14; ++round) {
    const bool busy = round < 7;
    bench.prime(3, idx);
    const uint32_t event_count = busy ? 9 : 1;
    for (uint32_t i = 0; i < event_count; ++i) bench.post(3, i);
    bench.run(450);  // 1,800 ns
    idx += event_count;
  }
  EXPECT_EQ(bench.wake_count, 14u);
  EXPECT_EQ(bench.reference.vi(3).adaptive_sixteenths_ns, 0u);
}

TEST(PstEventQueueTest, ModerationThatIsTakenAwayFiresAWaitingWakeup) {
  EventQueueBench bench;
  QueueConfig config = small_queue(4);
  config.holdoff_ns = 1000000;
  config.holdoff_events = 8;
  bench.start(3, config);
  bench.prime(3, 0);
  bench.post(3, 0);
  bench.run(20);
  EXPECT_EQ(bench.wake_count, 0u);
  bench.command(Op::kModerate, 3);
  bench.run(10);
  EXPECT_EQ(bench.wake_count, 1u);
}

TEST(PstEventQueueTest, WakeupGoesIntoAnotherQueueAndWakesItsOwner) {
  EventQueueBench bench;
  QueueConfig config = small_queue();
  config.wake_to_vi = true;
  config.wake_vi = 50;
  bench.start(3, config);
  bench.start(50, small_queue());
  bench.prime(50, 0);
  bench.prime(3, 0);
  bench.post(3, 1);
  bench.run_until_quiet();
  ASSERT_EQ(bench.seen_of(Kind::kWrite, 50).size(), 1u);
  EXPECT_EQ(bench.seen_of(Kind::kMessage, 50).size(), 1u);
  EXPECT_TRUE(bench.seen_of(Kind::kMessage, 3).empty());
}

TEST(PstEventQueueTest, WakeupEventWaitsForSpaceInAFullQueue) {
  EventQueueBench bench;
  QueueConfig config = small_queue();
  config.wake_to_vi = true;
  config.wake_vi = 50;
  bench.start(3, config);
  bench.start(4, config);
  bench.start(50, small_queue(1));
  bench.post(50, 1);
  bench.post(50, 2);
  bench.prime(3, 0);
  bench.prime(4, 0);
  bench.post(3, 1);
  bench.post(4, 1);
  bench.run_until_quiet();
  EXPECT_EQ(bench.stalled_count, 2u);
  bench.consume(50, 1);
  bench.run_until_quiet();
  EXPECT_EQ(bench.seen_of(Kind::kWrite, 50).size(), 3u);
  bench.consume(50, 2);
  bench.run_until_quiet();
  EXPECT_EQ(bench.seen_of(Kind::kWrite, 50).size(), 4u);
  EXPECT_EQ(bench.stalled_count, 2u) << "a wakeup event that waits counts once";
  bench.prime(3, 1);  // both slots are taken again: the next wakeup finds no space either
  bench.post(3, 2);
  bench.run_until_quiet();
  EXPECT_EQ(bench.stalled_count, 3u) << "the next one counts anew";
}

TEST(PstEventQueueTest, OwedWakeupEventMovesToTheMessageOfANewBinding) {
  EventQueueBench bench;
  QueueConfig config = small_queue();
  config.wake_to_vi = true;
  config.wake_vi = 50;
  bench.start(3, config);
  bench.start(50, small_queue(0));
  bench.post(50, 1);
  bench.prime(3, 0);
  bench.post(3, 1);
  bench.run_until_quiet();
  // The reference does not follow this hand-over, so its message is announced to it here.
  Output message;
  message.kind = Kind::kMessage;
  message.vi = 3;
  message.vector = 7;
  bench.reference.outputs().push_back(message);
  bench.command(Op::kBind, 3, small_queue());
  bench.run_until_quiet();
  EXPECT_EQ(bench.seen_of(Kind::kMessage, 3).size(), 1u);
  bench.consume(50, 1);
  bench.run_until_quiet();
  EXPECT_EQ(bench.seen_of(Kind::kWrite, 50).size(), 1u);
}

TEST(PstEventQueueTest, WakeupOfAQueueThatIsGoneIsCountedAsLost) {
  EventQueueBench bench;
  QueueConfig config = small_queue();
  config.wake_to_vi = true;
  config.wake_vi = 50;
  bench.start(3, config);
  bench.prime(3, 0);
  bench.post(3, 1);
  bench.run_until_quiet();
  EXPECT_EQ(bench.lost_count, 1u);
  config.wake_vi = 3;  // its target has been freed
  bench.start(3, config);
  bench.prime(3, 0);
  bench.post(3, 1);
  bench.run_until_quiet();
  EXPECT_EQ(bench.lost_count, 2u);
}

TEST(PstEventQueueTest, StoppedQueueWritesNothingAfterItsCompletion) {
  EventQueueBench bench;
  bool blocked = true;
  bench.ready = [&blocked] { return EventQueueBench::Ready{!blocked, true, true}; };
  bench.start(6, small_queue());
  bench.post(6, 1);
  bench.post(6, 2);
  bench.run(10);
  bench.command(Op::kStop, 6);
  bench.run(30);
  EXPECT_EQ(bench.seen.size(), 1u) << "only START is done: writes are on their way";
  bench.post(6, 3);
  blocked = false;
  bench.run_until_quiet();
  EXPECT_EQ(bench.answers.back(), Answer::kGone);
  ASSERT_EQ(bench.seen.size(), 4u);
  EXPECT_EQ(bench.seen.back().kind, Kind::kDone);
}

TEST(PstEventQueueTest, EventsOfOneVIBackToBackTakeACycleEach) {
  EventQueueBench bench;
  bench.start(3, small_queue(10));
  for (uint32_t i = 0; i < 500; ++i) bench.post(3, i);
  const uint64_t before = bench.cycle_count();
  while (!bench.events.empty()) bench.cycle();
  EXPECT_EQ(bench.cycle_count() - before, 500u);
  bench.run_until_quiet();
  EXPECT_EQ(bench.seen_of(Kind::kWrite, 3).size(), 500u);
}

TEST(PstEventQueueTest, TwoVIsInterleavedBackToBackKeepTheirIndices) {
  EventQueueBench bench;
  bench.start(3, small_queue(10));
  bench.start(4, small_queue(9));
  for (uint32_t i = 0; i < 600; ++i) bench.post(3 + (i * 7 / 3) % 2, i);
  bench.run(700);
  bench.run_until_quiet();
  EXPECT_EQ(bench.seen_of(Kind::kWrite, 3).size() + bench.seen_of(Kind::kWrite, 4).size(), 600u);
}

// ---- Random operations on VIs in both words of the scan, with every output held up at random.
class RandomTest : public testing::TestWithParam<uint32_t> {};

constexpr uint32_t kRandomVis[] = {0, 1, 31, 32, 62, 63};

QueueConfig random_config(std::mt19937& random) {
  QueueConfig config = small_queue(random() % 6);
  config.policy = random() % 2;  // HALT has tests of its own: the bench cannot see a wakeup event that halts its target
  config.vector = random() % 4 == 0 ? static_cast<uint32_t>(PST_VECTOR_NONE) : random() % 64;
  config.wake_to_vi = random() % 4 == 0;
  config.wake_vi = kRandomVis[random() % 6];
  config.holdoff_ns = random() % 3 == 0 ? 0 : random() % 700;
  config.holdoff_events = random() % 3 == 0 ? random() % 6 : 0;
  config.adaptive = random() % 3 == 0;
  return config;
}

// Mostly good indices: anywhere between consumed and issued, sometimes stale, rarely beyond.
uint32_t random_index(std::mt19937& random, const QueueState& q) {
  switch (random() % 64) {
    case 0:
      return q.producer_idx + 1 + random() % 3;
    case 1:
      return q.consumer_idx - q.entries() - random() % 2;
    case 2:
    case 3:
    case 4:
      return q.consumer_idx - random() % (q.entries() + 1);
    default:
      return q.consumer_idx + random() % (q.depth() + 1);
  }
}

void random_requests(std::mt19937& random, EventQueueBench& bench, uint32_t rate) {
  const uint32_t vi = kRandomVis[random() % 6];
  if (bench.events.size() < 2 && random() % 100 < rate) {
    const uint32_t what = random() % 16;
    const Op op = what == 0 ? Op::kReserve : what == 1 ? Op::kPostReserved : what == 2 ? Op::kRelease : Op::kPost;
    bench.post(vi, random(), 1 + random() % 4, op);
  }
  if (bench.doorbells.size() < 2 && random() % 100 < rate) {
    const uint32_t index = random_index(random, bench.reference.vi(vi));
    if (random() % 2)
      bench.prime(vi, index, random() % 50 == 0 ? 0 : 1 + random() % 9);
    else
      bench.consume(vi, index);
  }
  if (bench.commands.empty() && random() % 200 == 0) {
    static constexpr Op kOps[] = {Op::kStart, Op::kStart, Op::kStop, Op::kHalt, Op::kModerate};
    bench.command(kOps[random() % 5], vi, random_config(random));
  }
}

TEST_P(RandomTest, EveryOutputMatchesTheReference) {
  std::mt19937 random(GetParam());
  EventQueueBench bench;
  uint32_t pattern = 100;
  bench.ready = [&] {
    return EventQueueBench::Ready{random() % 100 < pattern, random() % 100 < pattern, random() % 100 < pattern};
  };
  for (uint32_t vi : kRandomVis) bench.command(Op::kStart, vi, random_config(random));
  uint32_t rate = 50;
  for (int cycle = 0; cycle < 30000 && !testing::Test::HasFailure(); ++cycle) {
    if (cycle % 500 == 0) {
      static constexpr uint32_t kPatterns[] = {100, 5, 50, 90, 25};
      static constexpr uint32_t kRates[] = {5, 100, 50, 20};
      pattern = kPatterns[random() % 5];
      rate = kRates[random() % 4];
    }
    random_requests(random, bench, rate);
    bench.cycle();
    if (random() % 2) bench.skip(bench.now_ns() + random() % 2000);
  }
  if (testing::Test::HasFailure()) return;
  pattern = 100;
  bench.run_until_quiet();
  EXPECT_TRUE(bench.reference.outputs().empty()) << "an output is missing";
  EXPECT_GT(bench.seen.size(), 1000u);
  EXPECT_GT(bench.quiet.quiet_count(), 100u);
}
INSTANTIATE_TEST_SUITE_P(Seed, RandomTest, testing::Range(1u, 9u));

}  // namespace
}  // namespace postern::rtl_test
