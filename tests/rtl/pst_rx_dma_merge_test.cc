// pst_rx_dma under Verilator: merged events, ends of lives, standing still, rate, and random traffic against the
// reference.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "Vpst_rx_dma___024root.h"
#include "tests/rtl/rx_dma_bench.h"

namespace postern::rtl_test {
namespace {

constexpr uint32_t kVi = 3;
constexpr uint64_t kBase = 0x100000;

RxCopy copy_of(uint32_t l4_class = 1) {
  RxCopy copy;
  pst_rx_event event{};
  pst_rx_event_set_type(&event, PST_EVENT_TYPE_RX);
  pst_rx_event_set_checksum_l4(&event, PST_CHECKSUM_RESULT_GOOD);
  pst_rx_event_set_l4_class(&event, l4_class);
  copy.event = event.word[0];
  return copy;
}

class PstRxDmaMergeTest : public ::testing::Test {
 protected:
  void start(RxOptions options) {
    bench.map(kVi, {kBase, 0x40000, 0x1000, true});
    bench.start(kVi, options);
    bench.run_until_quiet();
  }
  void receive(uint32_t bytes = 60, uint32_t l4_class = 1) {
    bench.receive(copy_of(l4_class), received_frame(bytes), {kVi});
  }
  void post(uint32_t count, uint32_t bytes = 2048) {
    for (uint32_t i = 0; i < count; ++i, next_buffer += bytes) bench.post(kVi, {next_buffer, bytes});
  }
  void expect_event(size_t at, uint32_t descs, uint32_t length, uint32_t consumer) {
    ASSERT_GT(events().size(), at);
    const pst_rx_event& event = events()[at].event;
    EXPECT_EQ(pst_rx_event_get_merged(&event), length == 0 ? 1u : 0u);
    EXPECT_EQ(pst_rx_event_get_desc_count(&event), descs);
    EXPECT_EQ(pst_rx_event_get_length_bytes(&event), length);
    EXPECT_EQ(pst_rx_event_get_rx_consumer_idx(&event), consumer);
  }
  [[nodiscard]] const std::vector<RxEvent>& events() const { return bench.reference.events; }

  uint64_t next_buffer = kBase;
  RxDmaBench bench;
};

TEST_F(PstRxDmaMergeTest, FramesUpToMergeCountAreOneEvent) {
  start({.prefix = true, .merge_count = 4});
  post(20);
  for (int i = 0; i < 9; ++i) receive();
  bench.run_until_quiet();
  ASSERT_EQ(events().size(), 2u);
  expect_event(0, 4, 0, 4);
  expect_event(1, 4, 0, 8);
  EXPECT_EQ(bench.merged_events, 2u);
  EXPECT_EQ(bench.merged_frames, 8u);
  EXPECT_EQ(bench.delivered_count, 8u);
  EXPECT_EQ(bench.queues[kVi].reserved, 1u) << "space for the event of the ninth";
}

TEST_F(PstRxDmaMergeTest, FramesBeyondTheWaitBeginAnotherMerge) {
  start({.merge_count = 255});
  post(300, 64);
  for (int i = 0; i < 255; ++i) receive();
  bench.run_until_quiet();
  EXPECT_GT(events().size(), 4u);
  uint32_t frames = 0;
  for (const RxEvent& event : events()) frames += static_cast<uint32_t>(pst_rx_event_get_desc_count(&event.event));
  EXPECT_EQ(frames + bench.reference.open_frames(kVi), 255u);
}

TEST_F(PstRxDmaMergeTest, MergeEndsWhenItsFirstFrameHasWaitedLongEnough) {
  start({.merge_count = 100});
  post(20);
  const uint64_t begun_ns = bench.time_ns;
  receive();
  bench.run_until_quiet();
  const uint64_t due_ns = bench.due_ns();
  EXPECT_GE(due_ns, begun_ns + RxDmaBench::kMergeWaitNs);
  EXPECT_LE(due_ns, begun_ns + RxDmaBench::kMergeWaitNs + 200);
  bench.advance_to(due_ns - 200);
  receive();
  bench.run_until_quiet();
  EXPECT_EQ(bench.due_ns(), due_ns) << "the second frame prolongs nothing";
  EXPECT_TRUE(events().empty());
  bench.advance_to(due_ns);
  bench.run_until_quiet();
  expect_event(0, 2, 0, 2);
  EXPECT_LE(events()[0].time_ns, due_ns + 40);
  EXPECT_EQ(bench.due_ns(), RxDmaBench::kNothingDue);
}

TEST_F(PstRxDmaMergeTest, OneFrameAloneIsAPlainEvent) {
  start({.merge_count = 8});
  post(20);
  receive(77);
  bench.run_until_quiet();
  bench.advance_to(bench.due_ns());
  bench.run_until_quiet();
  expect_event(0, 1, 77, 1);
  EXPECT_EQ(bench.merged_events, 0u);
}

TEST_F(PstRxDmaMergeTest, LastPostedDescriptorEndsTheMerge) {
  start({.merge_count = 8});
  post(3);
  for (int i = 0; i < 3; ++i) receive();
  bench.run_until_quiet();
  expect_event(0, 3, 0, 3);
}

TEST_F(PstRxDmaMergeTest, DescriptorsOnTheirWayKeepTheMergeOpen) {
  start({.merge_count = 8});
  post(1);
  bench.post(kVi, {kBase, 2048}, false);
  receive();
  bench.run_until_quiet();
  EXPECT_TRUE(events().empty());
  EXPECT_EQ(bench.reference.open_frames(kVi), 1u);
  bench.arrive(kVi);
  receive();
  bench.run_until_quiet();
  expect_event(0, 2, 0, 2);
}

TEST_F(PstRxDmaMergeTest, FrameThatDiffersEndsTheMerge) {
  start({.merge_count = 8});
  post(20);
  receive(60, 1);
  receive(61, 1);
  receive(62, 2);
  bench.run_until_quiet();
  ASSERT_EQ(events().size(), 1u);
  expect_event(0, 2, 0, 2);
  bench.advance_to(bench.due_ns());
  bench.run_until_quiet();
  bench.advance_to(std::min(bench.due_ns(), bench.time_ns + 2000));
  bench.run_until_quiet();
  expect_event(1, 1, 62, 3);
}

TEST_F(PstRxDmaMergeTest, FrameOfTwoBuffersEndsTheMergeAndIsAnnouncedAlone) {
  start({.merge_count = 8});
  post(20, 100);
  receive(60);
  receive(150);
  receive(61);
  bench.run_until_quiet();
  ASSERT_EQ(events().size(), 2u);
  expect_event(0, 1, 60, 1);
  expect_event(1, 2, 150, 3);
  EXPECT_EQ(bench.reference.open_frames(kVi), 1u);
}

TEST_F(PstRxDmaMergeTest, MergeThatEndedEarlyDoesNotEndTheNextOneEarly) {
  start({.merge_count = 2});
  post(20);
  receive();
  receive();  // complete
  bench.run_until_quiet();
  ASSERT_EQ(events().size(), 1u);
  const uint64_t first_due_ns = bench.due_ns();
  bench.advance_to(first_due_ns - 400);
  receive();
  bench.run_until_quiet();
  bench.advance_to(first_due_ns + 100);
  EXPECT_EQ(events().size(), 1u);
  EXPECT_GT(bench.due_ns(), first_due_ns + 500);
}

TEST_F(PstRxDmaMergeTest, FrameThatJoinsNeedsNoSpaceAndOneThatDoesNotWaits) {
  bench.queues[kVi].entries = 1;
  start({.merge_count = 3});
  post(20);
  receive(60, 1);
  receive(61, 1);
  receive(62, 2);
  bench.run_until_quiet();
  ASSERT_EQ(events().size(), 1u) << "the merge ends when another frame asks for space, whether it gets it or not";
  expect_event(0, 2, 0, 2);
  EXPECT_EQ(bench.reference.waiting(kVi), 1u);
  bench.consume(kVi);
  bench.run_until_quiet();
  EXPECT_EQ(bench.reference.open_frames(kVi), 1u);
}

TEST_F(PstRxDmaMergeTest, CommandEndsOpenMergesOfItsDomain) {
  start({.merge_count = 8});
  for (const uint32_t vi : {9u, 10u}) {
    bench.map(vi, {0, 0x10000, 0x10000 * vi, true});
    bench.start(vi, {.merge_count = 8}, vi == 9 ? 0 : 7);
  }
  bench.run_until_quiet();
  post(20);
  for (const uint32_t vi : {9u, 10u})
    for (uint32_t i = 0; i < 4; ++i) bench.post(vi, {i * 2048, 2048});
  for (int i = 0; i < 2; ++i) bench.receive(copy_of(), received_frame(60), {kVi, 10, 9});
  bench.run_until_quiet();
  EXPECT_TRUE(events().empty());
  const uint64_t due_ns = bench.due_ns();
  bench.close_merges(0);
  bench.run_until_quiet();
  EXPECT_EQ(bench.commands_done, 1u);
  ASSERT_EQ(events().size(), 2u);
  EXPECT_EQ(events()[0].vi, kVi);
  EXPECT_EQ(events()[1].vi, 9u);
  bench.close_merges(0);
  bench.run_until_quiet();
  EXPECT_EQ(bench.commands_done, 2u) << "also when none is open";
  EXPECT_EQ(events().size(), 2u);
  bench.advance_to(due_ns + 400);
  bench.run_until_quiet();
  ASSERT_EQ(events().size(), 3u) << "the other domain's ends at its time";
  EXPECT_EQ(events()[2].vi, 10u);
  EXPECT_GE(events()[2].time_ns, due_ns);
}

// The command may come in any cycle around the end of a merge of another domain.
TEST_F(PstRxDmaMergeTest, CommandOfAnotherDomainLosesNoMerge) {
  start({.merge_count = 8});
  for (uint32_t cycle = 0; cycle < 24; ++cycle) {
    post(2);
    next_buffer = kBase;
    receive();
    bench.run_until_quiet();
    ASSERT_EQ(bench.reference.open_frames(kVi), 1u);
    bench.advance_to(bench.due_ns() - 48);
    bench.run(cycle);
    bench.close_merges(3);
    bench.run_until_quiet();
    bench.advance_to(bench.time_ns + 200);
    bench.run_until_quiet();
    EXPECT_EQ(events().size(), cycle + 1) << "cycle " << cycle;
    EXPECT_EQ(bench.due_ns(), RxDmaBench::kNothingDue);
  }
}

TEST_F(PstRxDmaMergeTest, HaltAnnouncesTheFramesOfAnOpenMerge) {
  start({.merge_count = 8});
  post(20);
  for (int i = 0; i < 3; ++i) receive();
  bench.run_until_quiet();
  bench.end_life(kVi, false);
  bench.run_until_quiet();
  expect_event(0, 3, 0, 3);
  EXPECT_EQ(bench.lives_done.size(), 1u);
  EXPECT_TRUE(bench.reference.drops.empty());
}

TEST_F(PstRxDmaMergeTest, ErrorOfTheVisOwnComesBehindWhatWasReceivedBefore) {
  start({.merge_count = 8});
  post(2);
  bench.post(kVi, {kBase, 0});
  for (int i = 0; i < 4; ++i) receive();
  bench.run_until_quiet();
  expect_event(0, 2, 0, 2);
  ASSERT_EQ(bench.halts.size(), 1u);
  EXPECT_EQ(bench.halts[0].index, 2u);
  EXPECT_EQ(bench.reference.drop_count(PST_DROP_REASON_RX_VI_HALTED), 2u);
}

TEST_F(PstRxDmaMergeTest, TeardownCountsTheFramesOfAnOpenMerge) {
  start({.merge_count = 8});
  post(20);
  for (int i = 0; i < 3; ++i) receive();
  bench.run_until_quiet();
  bench.end_life(kVi, true);
  bench.run_until_quiet();
  EXPECT_TRUE(events().empty());
  EXPECT_EQ(bench.reference.drop_count(PST_DROP_REASON_RX_VI_HALTED), 3u);
  EXPECT_EQ(bench.delivered_count, 0u);
}

TEST_F(PstRxDmaMergeTest, EndOfALifeDropsWaitingFrames) {
  for (const bool stop : {false, true}) {
    RxDmaBench fresh;
    fresh.queues[kVi].entries = 1;
    fresh.map(kVi, {kBase, 0x40000, 0x1000, true});
    fresh.start(kVi, {});
    fresh.run_until_quiet();
    for (uint32_t i = 0; i < 8; ++i) fresh.post(kVi, {kBase + 2048 * i, 2048});
    for (uint32_t i = 0; i < 5; ++i) fresh.receive(copy_of(), received_frame(60), {kVi});
    fresh.run_until_quiet();
    fresh.end_life(kVi, stop);
    fresh.run_until_quiet();
    EXPECT_EQ(fresh.reference.drop_count(PST_DROP_REASON_RX_VI_HALTED), 4u);
    EXPECT_EQ(fresh.lives_done.size(), 1u);
    EXPECT_EQ(fresh.free_cell_count(), RxDmaBench::kCellCount);
    fresh.receive(copy_of(), received_frame(60), {kVi});
    fresh.run_until_quiet();
    EXPECT_EQ(fresh.reference.drop_count(PST_DROP_REASON_RX_VI_HALTED), 5u) << "it does not run";
  }
}

TEST_F(PstRxDmaMergeTest, NextLifeKnowsNothingOfTheOneBefore) {
  start({.merge_count = 8});
  post(5, 100);
  bench.post(kVi, {kBase, 100}, false);
  receive(60);
  receive(650);  // waits for its sixth descriptor's arrival and holds four
  bench.run_until_quiet();
  EXPECT_EQ(bench.rings[kVi].popped, 5u);
  bench.end_life(kVi, true);
  bench.run_until_quiet();
  bench.start(kVi, {.prefix = true, .merge_count = 2});
  bench.run_until_quiet();
  post(3);
  receive(80);
  receive(80);
  bench.run_until_quiet();
  expect_event(0, 2, 0, 2);
  EXPECT_EQ(bench.reference.waiting(kVi), 0u);
}

TEST_F(PstRxDmaMergeTest, StopIsDoneOnlyWhenTheLastWriteIsAccepted) {
  start({});
  post(2, 16384);
  receive(9000);
  bool open = true;
  bench.ready = [&open](RxDmaBench::Port port) { return open || port != RxDmaBench::kPayload; };
  bench.run(40);
  open = false;
  bench.end_life(kVi, true);
  bench.run(500);
  EXPECT_TRUE(bench.lives_done.empty());
  open = true;
  bench.run_until_quiet();
  EXPECT_EQ(bench.lives_done.size(), 1u);
  EXPECT_EQ(events().size(), 1u) << "what had begun is announced";
}

TEST_F(PstRxDmaMergeTest, StopIsDoneOnlyWhenTheHaltRequestIsAccepted) {
  bench.ends_halted_lives = false;
  start({});
  bench.post(kVi, {kBase, 0});
  bool open = false;
  bench.ready = [&open](RxDmaBench::Port port) { return open || port != RxDmaBench::kHaltPort; };
  receive();
  bench.run(100);
  bench.end_life(kVi, true);
  bench.run(500);
  EXPECT_TRUE(bench.lives_done.empty());
  open = true;
  bench.run(100);
  EXPECT_EQ(bench.lives_done.size(), 1u);
}

// ---- Rate: cycles from copy to copy while nothing else holds anything up.
double cycles_per_copy(uint32_t bytes, RxOptions options, uint32_t vis) {
  RxDmaBench bench;
  for (uint32_t vi = 0; vi < vis; ++vi) {
    bench.map(vi, {0, 0x10000, vi * 0x10000, true});
    bench.start(vi, options);
  }
  bench.run_until_quiet();
  constexpr uint32_t kRounds = 20;
  for (uint32_t i = 0; i < kRounds; ++i)
    for (uint32_t vi = 0; vi < vis; ++vi) bench.post(vi, {(i % 16) * 2048, 2048});
  bench.run(kRounds * vis + 10);
  for (uint32_t i = 0; i < kRounds && bench.free_cell_count() * 64 > vis * bytes * 2; ++i)
    for (uint32_t vi = 0; vi < vis; ++vi) bench.receive(copy_of(), received_frame(bytes), {vi});
  const auto count = static_cast<double>(bench.copies.size());
  const uint64_t begun = bench.cycle_count;
  bench.run_until_quiet();
  EXPECT_TRUE(bench.reference.drops.empty());
  return static_cast<double>(bench.cycle_count - begun) / count;
}

TEST(PstRxDmaRateTest, SmallFramesComeAt10GigabitsPerSecond) {
  EXPECT_LT(cycles_per_copy(60, {}, 32), 16.8);
  EXPECT_LT(cycles_per_copy(60, {.prefix = true}, 32), 16.8);
  EXPECT_LT(cycles_per_copy(60, {.prefix = true, .merge_count = 8}, 4), 16.8);
  EXPECT_LT(cycles_per_copy(60, {.prefix = true}, 1), 16.8);
}

TEST(PstRxDmaRateTest, LargeFramesComeAt100GigabitsPerSecond) {
  EXPECT_LT(cycles_per_copy(1514, {}, 8), 30.0);
  EXPECT_LT(cycles_per_copy(1514, {.prefix = true}, 8), 30.0);
  EXPECT_LT(cycles_per_copy(1518, {.prefix = true, .strip = true, .merge_count = 4}, 8), 30.0);
}

}  // namespace
}  // namespace postern::rtl_test
