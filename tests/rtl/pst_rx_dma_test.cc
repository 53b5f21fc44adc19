// pst_rx_dma under Verilator: buffers, prefix, events and their merging, waiting copies, ends of lives, and random
// traffic against the reference. The bench judges every copy and every event; the tests state what must have come of
// them.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "tests/rtl/rx_dma_bench.h"

namespace postern::rtl_test {
namespace {

constexpr uint32_t kVi = 5;
constexpr uint64_t kBase = 0x100000;

RxCopy copy_of(uint64_t time_ns = 0x1122334455667788, uint32_t vlan_count = 0) {
  RxCopy copy;
  copy.filter_id = 77;
  copy.time_ns = time_ns;
  copy.hash_valid = true;
  copy.hash = 0xdeadbeef;
  copy.vlan_count = vlan_count;
  copy.vlan_tci = 0x6123;
  pst_rx_event event{};
  pst_rx_event_set_type(&event, PST_EVENT_TYPE_RX);
  pst_rx_event_set_checksum_l3(&event, PST_CHECKSUM_RESULT_GOOD);
  pst_rx_event_set_checksum_l4(&event, PST_CHECKSUM_RESULT_GOOD);
  pst_rx_event_set_l3_class(&event, 1);
  pst_rx_event_set_l4_class(&event, 2);
  copy.event = event.word[0];
  return copy;
}

// VI kVi runs; its domain address kBase on is host address 0x1000 on.
class PstRxDmaTest : public ::testing::Test {
 protected:
  void start(RxOptions options = {}) {
    bench.map(kVi, {kBase, 0x40000, 0x1000, true});
    bench.start(kVi, options);
    bench.run_until_quiet();
  }
  void receive(uint32_t bytes, const RxCopy& copy = copy_of()) { bench.receive(copy, received_frame(bytes), {kVi}); }
  // Posts count buffers of that size, one behind the other from kBase on.
  void post(uint32_t count, uint32_t bytes = 2048, bool arrives = true) {
    for (uint32_t i = 0; i < count; ++i, next_buffer += bytes) bench.post(kVi, {next_buffer, bytes}, arrives);
  }
  [[nodiscard]] const std::vector<RxEvent>& events() const { return bench.reference.events; }
  [[nodiscard]] const std::vector<RxDmaReference::Drop>& drops() const { return bench.reference.drops; }
  void expect_drop(uint32_t reason) {
    ASSERT_EQ(drops().size(), 1u);
    EXPECT_EQ(drops()[0].vi, kVi);
    EXPECT_EQ(drops()[0].reason, reason);
    EXPECT_TRUE(events().empty());
  }

  uint64_t next_buffer = kBase;
  RxDmaBench bench;
};

TEST_F(PstRxDmaTest, FrameGoesToOneBufferAndIsAnnounced) {
  start();
  post(4);
  receive(60);
  bench.run_until_quiet();
  ASSERT_EQ(events().size(), 1u);
  EXPECT_EQ(pst_rx_event_get_length_bytes(&events()[0].event), 60u);
  EXPECT_EQ(pst_rx_event_get_desc_count(&events()[0].event), 1u);
  EXPECT_EQ(pst_rx_event_get_rx_consumer_idx(&events()[0].event), 1u);
  EXPECT_EQ(bench.delivered_count, 1u);
  EXPECT_EQ(bench.free_cell_count(), RxDmaBench::kCellCount);
}

TEST_F(PstRxDmaTest, PrefixGoesBeforeTheFrame) {
  start({.prefix = true});
  post(2);
  receive(100);
  RxCopy plain = copy_of(0);
  plain.hash_valid = false;  // its hash is not to be seen
  receive(100, plain);
  bench.run_until_quiet();
  ASSERT_EQ(events().size(), 2u);
  EXPECT_EQ(pst_rx_event_get_prefix_present(&events()[0].event), 1u);
  EXPECT_EQ(pst_rx_event_get_length_bytes(&events()[0].event), 100u);
  pst_rx_prefix prefix{};
  std::memcpy(&prefix, &bench.host[0x1000], sizeof prefix);
  EXPECT_EQ(pst_rx_prefix_get_rss_hash(&prefix), 0xdeadbeefu);
  EXPECT_EQ(pst_rx_prefix_get_rss_valid(&prefix), 1u);
  EXPECT_EQ(pst_rx_prefix_get_filter_id(&prefix), 77u);
  EXPECT_EQ(pst_rx_prefix_get_timestamp_ns(&prefix), 0x1122334455667788u);
  EXPECT_EQ(pst_rx_prefix_get_length_bytes(&prefix), 100u);
  EXPECT_EQ(pst_rx_prefix_get_vlan_stripped(&prefix), 0u);
  std::memcpy(&prefix, &bench.host[0x1000 + 2048], sizeof prefix);
  EXPECT_EQ(pst_rx_prefix_get_rss_hash(&prefix), 0u);
  EXPECT_EQ(pst_rx_prefix_get_rss_valid(&prefix), 0u);
}

TEST_F(PstRxDmaTest, TagIsTakenOutAndReported) {
  start({.prefix = true, .strip = true});
  post(3);
  receive(64, copy_of(1, 1));
  receive(200, copy_of(2, 2));  // of two tags the outer one
  receive(64, copy_of(3, 0));
  bench.run_until_quiet();
  ASSERT_EQ(events().size(), 3u);
  EXPECT_EQ(pst_rx_event_get_length_bytes(&events()[0].event), 60u);
  EXPECT_EQ(pst_rx_event_get_length_bytes(&events()[1].event), 196u);
  EXPECT_EQ(pst_rx_event_get_length_bytes(&events()[2].event), 64u);
  pst_rx_prefix prefix{};
  std::memcpy(&prefix, &bench.host[0x1000], sizeof prefix);
  EXPECT_EQ(pst_rx_prefix_get_vlan_stripped(&prefix), 1u);
  EXPECT_EQ(pst_rx_prefix_get_vlan_tci(&prefix), 0x6123u);
  EXPECT_EQ(pst_rx_prefix_get_length_bytes(&prefix), 60u);
  EXPECT_EQ(bench.host[0x1000 + 32 + 11], received_frame(64)[11]);
  EXPECT_EQ(bench.host[0x1000 + 32 + 12], received_frame(64)[16]);
}

TEST_F(PstRxDmaTest, StripWithoutPrefixOnlyShortens) {
  start({.strip = true});
  post(1);
  receive(64, copy_of(1, 1));
  bench.run_until_quiet();
  ASSERT_EQ(events().size(), 1u);
  EXPECT_EQ(pst_rx_event_get_length_bytes(&events()[0].event), 60u);
}

TEST_F(PstRxDmaTest, EveryLengthAroundTheCellsArrivesWhole) {
  start({.prefix = true, .strip = true});
  uint32_t count = 0;
  for (uint32_t bytes = 60; bytes <= 200; ++bytes) {
    post(1, 2048);
    next_buffer = kBase + bytes % 7;
    receive(bytes, copy_of(bytes, bytes % 3));
    bench.run_until_quiet();
    EXPECT_EQ(events().size(), ++count);
  }
  post(1, 16384);
  receive(PST_LIMIT_FRAME_BYTES_MAX);
  bench.run_until_quiet();
  EXPECT_EQ(events().size(), ++count);
}

TEST_F(PstRxDmaTest, FrameIsScatteredOverBuffers) {
  start({.prefix = true});
  post(40, 100);
  receive(1514);
  bench.run_until_quiet();
  ASSERT_EQ(events().size(), 1u);
  EXPECT_EQ(pst_rx_event_get_desc_count(&events()[0].event), 16u);
  EXPECT_EQ(pst_rx_event_get_rx_consumer_idx(&events()[0].event), 16u);
  EXPECT_EQ(bench.payload_requests, 16u);
  EXPECT_EQ(bench.rings[kVi].popped, 16u) << "no descriptor more than needed";
}

TEST_F(PstRxDmaTest, FrameTakesAtMost32Buffers) {
  start();
  post(80, 10);
  receive(320);
  receive(321);
  bench.run_until_quiet();
  ASSERT_EQ(events().size(), 2u);
  EXPECT_EQ(pst_rx_event_get_desc_count(&events()[0].event), 32u);
  EXPECT_EQ(pst_rx_event_get_error_class(&events()[0].event), static_cast<uint64_t>(PST_RX_ERROR_CLASS_NONE));
  EXPECT_EQ(pst_rx_event_get_desc_count(&events()[1].event), 32u);
  EXPECT_EQ(pst_rx_event_get_length_bytes(&events()[1].event), 320u);
  EXPECT_EQ(pst_rx_event_get_error_class(&events()[1].event), static_cast<uint64_t>(PST_RX_ERROR_CLASS_TRUNCATED));
  EXPECT_EQ(pst_rx_event_get_checksum_l4(&events()[1].event), static_cast<uint64_t>(PST_CHECKSUM_RESULT_NONE));
  EXPECT_EQ(pst_rx_event_get_checksum_l3(&events()[1].event), static_cast<uint64_t>(PST_CHECKSUM_RESULT_GOOD));
}

TEST_F(PstRxDmaTest, FrameIsTruncatedWhereNothingMoreIsPosted) {
  start();
  post(2, 100);
  receive(300);
  receive(60);
  bench.run_until_quiet();
  ASSERT_EQ(events().size(), 1u);
  EXPECT_EQ(pst_rx_event_get_desc_count(&events()[0].event), 2u);
  EXPECT_EQ(pst_rx_event_get_length_bytes(&events()[0].event), 200u);
  EXPECT_EQ(pst_rx_event_get_error_class(&events()[0].event), static_cast<uint64_t>(PST_RX_ERROR_CLASS_TRUNCATED));
  EXPECT_EQ(bench.reference.drop_count(PST_DROP_REASON_RX_NO_DESCRIPTOR), 1u);
}

TEST_F(PstRxDmaTest, BufferSmallerThanThePrefixHoldsNoFrame) {
  start({.prefix = true});
  post(1, 20);
  receive(60);
  bench.run_until_quiet();
  ASSERT_EQ(events().size(), 1u);
  EXPECT_EQ(pst_rx_event_get_length_bytes(&events()[0].event), 0u);
  EXPECT_EQ(pst_rx_event_get_error_class(&events()[0].event), static_cast<uint64_t>(PST_RX_ERROR_CLASS_TRUNCATED));
}

TEST_F(PstRxDmaTest, BufferInPiecesOfHostMemoryIsWrittenPieceByPiece) {
  bench.map(kVi, {kBase, 0x1000, 0x9000, true});
  bench.map(kVi, {kBase + 0x1000, 0x1000, 0x3000, true});
  bench.map(kVi, {kBase + 0x2000, 0x1000, 0x6000, true});
  bench.start(kVi, {.prefix = true});
  bench.run_until_quiet();
  bench.post(kVi, {kBase + 0xfff, 0x2000});
  receive(5000);
  bench.run_until_quiet();
  EXPECT_EQ(events().size(), 1u);
  EXPECT_EQ(bench.payload_requests, 3u);
}

// 31 buffers of two bytes across the ends of two ranges each, and what is left across three ends.
TEST_F(PstRxDmaTest, MostPiecesThatAFrameCanHave) {
  for (uint64_t page = 0; page < 64; ++page) bench.map(kVi, {kBase + page * 4096, 4096, (page * 29 % 64) * 4096, true});
  bench.start(kVi, {.prefix = true});
  bench.run_until_quiet();
  for (int frame = 0; frame < 3; ++frame) {
    for (uint64_t i = 1; i < 32; ++i) bench.post(kVi, {kBase + i * 4096 - 1, 2});
    bench.post(kVi, {kBase + 40 * 4096 - 1, 16384});
    receive(PST_LIMIT_FRAME_BYTES_MAX);
  }
  bench.run_until_quiet();
  EXPECT_EQ(events().size(), 3u);
  EXPECT_EQ(bench.payload_requests, 3u * 66u);
}

TEST_F(PstRxDmaTest, NothingPostedDropsTheFrame) {
  start();
  receive(60);
  bench.run_until_quiet();
  expect_drop(PST_DROP_REASON_RX_NO_DESCRIPTOR);
  EXPECT_EQ(bench.free_cell_count(), RxDmaBench::kCellCount);
}

TEST_F(PstRxDmaTest, NothingPostedIsTheReasonEvenWhenTheQueueIsFull) {
  bench.queues[kVi].policy = RxDmaBench::kHalt;
  bench.queues[kVi].entries = 0;
  start();
  receive(60);
  bench.run_until_quiet();
  expect_drop(PST_DROP_REASON_RX_NO_DESCRIPTOR);
}

TEST_F(PstRxDmaTest, FrameWaitsForDescriptorsOnTheirWayAndOthersPass) {
  start();
  bench.map(9, {0, 0x1000, 0x80000, true});
  bench.start(9, {});
  bench.run_until_quiet();
  post(2, 2048, false);
  bench.post(9, {0, 2048});
  receive(60);
  receive(61);
  bench.receive(copy_of(), received_frame(62), {9});
  bench.run_until_quiet();
  ASSERT_EQ(events().size(), 1u);
  EXPECT_EQ(events()[0].vi, 9u);
  EXPECT_EQ(bench.reference.waiting(kVi), 2u);
  bench.arrive(kVi);
  bench.run_until_quiet();
  ASSERT_EQ(events().size(), 2u);
  EXPECT_EQ(pst_rx_event_get_length_bytes(&events()[1].event), 60u);
  bench.arrive(kVi);
  bench.run_until_quiet();
  EXPECT_EQ(events().size(), 3u);
  EXPECT_TRUE(drops().empty());
}

TEST_F(PstRxDmaTest, FrameWaitsInItsMiddleAndItsDescriptorsAreKept) {
  start();
  post(3, 100, false);
  bench.arrive(kVi, 2);
  receive(250);
  bench.run_until_quiet();
  EXPECT_EQ(bench.rings[kVi].popped, 2u);
  EXPECT_EQ(bench.payload_bytes, 0u);
  EXPECT_TRUE(events().empty());
  bench.arrive(kVi);
  bench.run_until_quiet();
  ASSERT_EQ(events().size(), 1u);
  EXPECT_EQ(pst_rx_event_get_desc_count(&events()[0].event), 3u);
}

// A descriptor that comes in any cycle while the frame looks for it is not missed.
TEST_F(PstRxDmaTest, DescriptorThatComesInAnyCycleIsNotMissed) {
  start();
  for (uint32_t delay = 0; delay < 30; ++delay) {
    post(1, 2048, false);
    next_buffer = kBase;
    receive(60);
    bench.run(delay);
    bench.arrive(kVi);
    bench.run_until_quiet();
    EXPECT_EQ(events().size(), delay + 1) << "delay " << delay;
  }
}

TEST_F(PstRxDmaTest, StallWaitsForSpaceInOrder) {
  bench.queues[kVi].entries = 1;
  start();
  post(4);
  for (uint32_t bytes = 60; bytes < 63; ++bytes) receive(bytes);
  bench.run_until_quiet();
  EXPECT_EQ(events().size(), 1u);
  EXPECT_EQ(bench.reference.waiting(kVi), 2u);
  for (uint32_t i = 1; i < 3; ++i) {
    bench.consume(kVi);
    bench.run_until_quiet();
    ASSERT_EQ(events().size(), i + 1);
    EXPECT_EQ(pst_rx_event_get_length_bytes(&events()[i].event), 60 + i);
  }
  EXPECT_TRUE(drops().empty());
}

TEST_F(PstRxDmaTest, SpaceThatComesInAnyCycleIsNotMissed) {
  bench.queues[kVi].entries = 1;
  start();
  post(1);
  receive(60);
  bench.run_until_quiet();
  for (uint32_t delay = 0; delay < 30; ++delay) {
    post(1);
    receive(60);
    bench.run(delay);
    bench.consume(kVi);
    bench.run_until_quiet();
    EXPECT_EQ(events().size(), delay + 2) << "delay " << delay;
  }
}

TEST_F(PstRxDmaTest, DroppedForSpaceLeavesItsDescriptorsToTheNext) {
  bench.queues[kVi].policy = RxDmaBench::kDrop;
  bench.queues[kVi].entries = 1;
  start();
  post(3, 100);
  receive(60);
  receive(150);
  bench.run_until_quiet();
  EXPECT_EQ(bench.reference.drop_count(PST_DROP_REASON_RX_EVQ_FULL), 1u);
  EXPECT_EQ(bench.rings[kVi].popped, 3u);
  bench.consume(kVi);
  receive(160);
  bench.run_until_quiet();
  ASSERT_EQ(events().size(), 2u);
  EXPECT_EQ(pst_rx_event_get_rx_consumer_idx(&events()[1].event), 3u);
}

TEST_F(PstRxDmaTest, QueueThatHaltsTakesTheFramesBehindWithIt) {
  bench.queues[kVi].policy = RxDmaBench::kHalt;
  bench.queues[kVi].entries = 1;
  bench.ends_halted_lives = false;
  start();
  post(5);
  for (uint32_t i = 0; i < 4; ++i) receive(60);
  bench.run_until_quiet();
  EXPECT_EQ(events().size(), 1u);
  EXPECT_EQ(bench.reference.drop_count(PST_DROP_REASON_RX_EVQ_FULL), 1u);
  EXPECT_EQ(bench.reference.drop_count(PST_DROP_REASON_RX_VI_HALTED), 2u);
  EXPECT_TRUE(bench.halts.empty()) << "the queue itself asks for it";
}

void expect_halt(const RxDmaBench& bench, uint32_t code, uint32_t index) {
  ASSERT_EQ(bench.halts.size(), 1u);
  EXPECT_EQ(bench.halts[0].vi, kVi);
  EXPECT_EQ(bench.halts[0].source, static_cast<uint32_t>(PST_ERROR_SOURCE_RX));
  EXPECT_EQ(bench.halts[0].code, code);
  EXPECT_EQ(bench.halts[0].index, index);
}

TEST_F(PstRxDmaTest, MalformedDescriptorHalts) {
  for (const RxDesc& bad : {RxDesc{kBase, 0}, RxDesc{kBase, 64, 1}, RxDesc{kBase, 64, 0x8000}, RxDesc{kBase, 64, 0, 1},
                            RxDesc{kBase, 64, 0, 0x80000000}}) {
    RxDmaBench fresh;
    fresh.map(kVi, {kBase, 0x10000, 0, true});
    fresh.start(kVi, {});
    fresh.run_until_quiet();
    fresh.post(kVi, {kBase, 2048});
    fresh.post(kVi, bad);
    for (int i = 0; i < 3; ++i) fresh.receive(copy_of(), received_frame(60), {kVi});
    fresh.run_until_quiet();
    EXPECT_EQ(fresh.reference.events.size(), 1u);
    EXPECT_EQ(fresh.reference.drop_count(PST_DROP_REASON_RX_VI_HALTED), 2u);
    expect_halt(fresh, PST_ERROR_CODE_BAD_DESCRIPTOR, 1);
    EXPECT_EQ(fresh.lives_done.size(), 1u);
  }
}

TEST_F(PstRxDmaTest, MalformedDescriptorInTheMiddleOfAFrameGoesBeforeAFaultInItsFirst) {
  start();
  bench.post(kVi, {0, 40});  // not mapped
  bench.post(kVi, {kBase, 40, 3});
  receive(60);
  bench.run_until_quiet();
  expect_drop(PST_DROP_REASON_RX_VI_HALTED);
  expect_halt(bench, PST_ERROR_CODE_BAD_DESCRIPTOR, 1);
}

TEST_F(PstRxDmaTest, UnmappedBufferHaltsAndNoByteMoves) {
  start();
  post(2, 40);
  bench.post(kVi, {kBase + 0x40000 - 8, 40});  // its end is beyond what is mapped
  receive(100);
  bench.run_until_quiet();
  expect_drop(PST_DROP_REASON_RX_DMA_FAULT);
  expect_halt(bench, PST_ERROR_CODE_DMA_FAULT, 2);
  EXPECT_EQ(bench.payload_bytes, 0u);
}

TEST_F(PstRxDmaTest, ReadOnlyBufferHalts) {
  bench.map(kVi, {0, 0x1000, 0, false});
  start();
  bench.post(kVi, {0, 2048});
  receive(60);
  bench.run_until_quiet();
  expect_drop(PST_DROP_REASON_RX_DMA_FAULT);
  expect_halt(bench, PST_ERROR_CODE_DMA_FAULT, 0);
}

TEST_F(PstRxDmaTest, FaultyBufferBehindTheFramesEndDoesNoHarm) {
  start();
  bench.post(kVi, {kBase + 0x40000 - 60, 2048});
  receive(60);
  bench.run_until_quiet();
  EXPECT_EQ(events().size(), 1u);
}

TEST_F(PstRxDmaTest, SegmentsOfAFaultyFrameAreForgotten) {
  start();
  bench.map(9, {0, 0x1000, 0x80000, true});
  bench.start(9, {});
  bench.run_until_quiet();
  post(3, 20);
  bench.post(kVi, {0, 20});
  bench.post(9, {0, 2048});
  receive(80);
  bench.receive(copy_of(), received_frame(70), {9});
  bench.run_until_quiet();
  ASSERT_EQ(events().size(), 1u);
  EXPECT_EQ(events()[0].vi, 9u);
  EXPECT_EQ(bench.payload_bytes, 70u);
}

TEST_F(PstRxDmaTest, WaitingFramesOfOneViFillAnEighthOfTheBuffer) {
  bench.queues[kVi].entries = 0;
  start();
  post(40);
  for (int i = 0; i < 20; ++i) receive(2048);
  bench.run_until_quiet();
  EXPECT_EQ(bench.reference.waiting(kVi), 16u);
  EXPECT_EQ(bench.reference.drop_count(PST_DROP_REASON_RX_BUFFER_FULL), 4u);
  bench.queues[kVi].entries = 64;
  bench.consume(kVi, 0);
  bench.run_until_quiet();
  EXPECT_EQ(events().size(), 16u);
  receive(2048);
  bench.run_until_quiet();
  EXPECT_EQ(events().size(), 17u) << "the room has come back";
}

TEST_F(PstRxDmaTest, FirstWaitingFrameCountsToo) {
  bench.queues[kVi].entries = 0;
  start();
  post(8);
  for (int i = 0; i < 3; ++i) receive(9000);
  receive(5768);
  receive(60);
  bench.run_until_quiet();
  EXPECT_EQ(bench.reference.waiting(kVi), 4u) << "3 x 9000 + 5768 = 32768 bytes";
  EXPECT_EQ(bench.reference.drop_count(PST_DROP_REASON_RX_BUFFER_FULL), 1u);
}

TEST_F(PstRxDmaTest, WaitingPlacesRunOutAndComeBack) {
  constexpr uint32_t kEach = 17;  // of 64 VIs: more than the 1024 places
  for (uint32_t vi = 0; vi < RxDmaBench::kViCount; ++vi) {
    bench.queues[vi].entries = 0;
    bench.map(vi, {0, 0x10000, 0x10000 * vi, true});
    bench.start(vi, {});
  }
  bench.run_until_quiet();
  for (uint32_t i = 0; i < kEach; ++i)
    for (uint32_t vi = 0; vi < RxDmaBench::kViCount; ++vi) {
      bench.post(vi, {2048 * i, 2048});
      bench.receive(copy_of(), received_frame(60), {vi});
    }
  bench.run_until_quiet();
  EXPECT_EQ(bench.reference.drop_count(PST_DROP_REASON_RX_BUFFER_FULL), 64u);
  for (uint32_t vi = 0; vi < RxDmaBench::kViCount; ++vi) {
    bench.queues[vi].entries = 100;
    bench.consume(vi, 0);
  }
  bench.run_until_quiet();
  EXPECT_EQ(events().size(), 1024u);
  EXPECT_EQ(bench.free_cell_count(), RxDmaBench::kCellCount);
}

}  // namespace
}  // namespace postern::rtl_test
