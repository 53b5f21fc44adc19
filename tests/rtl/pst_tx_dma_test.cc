// pst_tx_dma under Verilator: descriptors and their checks, translation and reads, the order of packets, completions
// and events. Scheduling, lives and random traffic are in pst_tx_dma_flow_test.cc.
#include <gtest/gtest.h>

#include <functional>
#include <utility>
#include <vector>

#include "tests/rtl/tx_dma_bench.h"

namespace postern::rtl_test {
namespace {

constexpr uint64_t kUnmapped = uint64_t{1} << 40;
constexpr uint32_t kStall = 1, kDrop = 2;  // ANSWER_*

using Dones = std::vector<std::pair<uint32_t, uint32_t>>;

void expect_halt(const TxDmaBench& bench, uint32_t vi, uint32_t code, uint32_t index) {
  ASSERT_EQ(bench.halts.size(), 1u);
  EXPECT_EQ(bench.halts[0].vi, vi);
  EXPECT_EQ(bench.halts[0].source, static_cast<uint32_t>(PST_ERROR_SOURCE_TX));
  EXPECT_EQ(bench.halts[0].code, code);
  EXPECT_EQ(bench.halts[0].index, index);
}

TEST(PstTxDmaTest, PacketsOfOneViAreHandedOverAndCompletedInOrder) {
  TxDmaBench bench;
  bench.start(5);
  bench.post(5, {tx_data(0x1000, 60), tx_data(0x20f3, 700, false), tx_data(0x5001, 800), tx_data(0x9000, 1514)});
  bench.settle();
  ASSERT_EQ(bench.handed.size(), 3u);
  EXPECT_EQ(bench.handed[0].bytes, 60u);
  EXPECT_EQ(bench.handed[1].bytes, 1500u);
  EXPECT_EQ(bench.handed[2].end_idx, 4u);
  EXPECT_EQ(bench.reads.size(), 4u);
  EXPECT_EQ(bench.dones, (Dones{{5, 1}, {5, 3}, {5, 4}}));
  ASSERT_EQ(bench.events.size(), 1u);
  EXPECT_EQ(bench.events[0].consumer_idx, 4u);
  EXPECT_TRUE(bench.drops.empty());
  EXPECT_TRUE(bench.halts.empty());
  EXPECT_EQ(bench.packets[5], 3u);
  EXPECT_EQ(bench.sent[5], 3u);
}

TEST(PstTxDmaTest, OptionsOfAPacketReachThePacketBuilder) {
  TxDmaBench bench;
  bench.start(5, {1, 0, true});
  bench.start(6);
  TxOptions options;
  options.l3 = options.segment = true;
  bench.post(5, {tx_option(1460, true, 0x6123), tx_data(0x1000, 60, false, options), tx_data(0x2000, 9000)});
  bench.settle();
  bench.post(6, {tx_data(0x1000, 60, true, {.l4 = true})});
  bench.settle();
  ASSERT_EQ(bench.handed.size(), 2u);
  EXPECT_EQ(bench.handed[0].mss, 1460u);
  EXPECT_EQ(bench.handed[0].tci, 0x6123u);
  EXPECT_TRUE(bench.handed[0].insert && bench.handed[0].l3 && bench.handed[0].segment && bench.handed[0].any_source);
  EXPECT_FALSE(bench.handed[0].l4);
  EXPECT_EQ(bench.handed[0].end_idx, 3u);
  EXPECT_TRUE(bench.handed[1].l4);
  EXPECT_FALSE(bench.handed[1].insert || bench.handed[1].l3 || bench.handed[1].segment || bench.handed[1].any_source);
}

// --- descriptors -----------------------------------------------------------------------------------------------------

struct BadDesc {
  const char* what;
  std::vector<TxDesc> descs;
  bool ends = true;  // its packet ends with it: an unknown type's bits do not say that
};

std::vector<BadDesc> bad_descs() {
  std::vector<BadDesc> bad;
  const TxDesc good = tx_data(0x1000, 100);
  for (const uint32_t bit : {88u - 64, 127u - 64})
    bad.push_back({"reserved bit", {{good.lo, good.hi | uint64_t{1} << bit}}});
  bad.push_back({"no bytes", {tx_data(0x1000, 0)}});
  bad.push_back({"unknown type", {{good.lo, good.hi | uint64_t{2} << 16}}, false});
  bad.push_back({"second descriptor has no bytes", {tx_data(0x1000, 60, false), tx_data(0x2000, 0)}});
  bad.push_back({"segmentation without MSS", {tx_data(0x1000, 100, true, {.segment = true})}});
  bad.push_back({"two options", {tx_option(100), tx_option(100), good}});
  bad.push_back({"option behind data", {tx_data(0x1000, 60, false), tx_option(100), good}});
  for (const uint32_t bit : {33u, 63u}) {
    const TxDesc option = tx_option(100);
    bad.push_back({"reserved bit of the option", {{option.lo | uint64_t{1} << bit, option.hi}, good}});
  }
  for (const uint32_t bit : {0u, 15u, 18u, 63u}) {
    const TxDesc option = tx_option(100);
    bad.push_back({"reserved bit of the option", {{option.lo, option.hi | uint64_t{1} << bit}, good}});
  }
  std::vector<TxDesc> long_list(33, tx_data(0x1000, 10, false));
  long_list.push_back(good);
  bad.push_back({"33 fragments", long_list});
  return bad;
}

TEST(PstTxDmaTest, BadDescriptorHaltsTheViAndItsPacketGoes) {
  for (const BadDesc& bad : bad_descs()) {
    SCOPED_TRACE(bad.what);
    TxDmaBench bench;
    bench.start(3);
    bench.post(3, {tx_data(0x1000, 60)});
    bench.settle();
    bench.post(3, bad.descs);
    bench.post(3, {tx_data(0x1000, 60)});
    bench.settle();
    expect_halt(bench, 3, PST_ERROR_CODE_BAD_DESCRIPTOR, 1);
    EXPECT_EQ(bench.drops, (std::vector<TxDrop>{{3, PST_DROP_REASON_TX_VI_HALTED}}));
    EXPECT_EQ(bench.packets[3], 2u) << "the one before it, and the bad one";
    EXPECT_EQ(bench.reads.size(), 1u) << "the bad one is not read";
    bench.end_life(3, false);
    bench.settle();
    EXPECT_EQ(bench.packets[3], bad.ends ? 3u : 2u) << "what the cache still held";
    EXPECT_EQ(bench.drops.size(), bad.ends ? 2u : 1u);
    EXPECT_EQ(bench.life_done_count, 1u);
  }
}

TEST(PstTxDmaTest, ThirtyTwoFragmentsWithAnOptionAreOnePacket) {
  TxDmaBench bench;
  bench.start(3);
  for (int packet = 0; packet < 5; ++packet) {
    std::vector<TxDesc> descs{tx_option(0)};
    for (uint32_t i = 0; i < 32; ++i) descs.push_back(tx_data(0x1000 + i * 777, 1 + i * 2, i == 31));
    bench.post(3, descs);
  }
  bench.settle();
  ASSERT_EQ(bench.handed.size(), 5u);
  EXPECT_EQ(bench.handed[4].bytes, 32u * 32);
  EXPECT_EQ(bench.handed[4].end_idx, 5u * 33);
  EXPECT_TRUE(bench.halts.empty());
}

TEST(PstTxDmaTest, IncompletePacketHoldsUpNobody) {
  TxDmaBench bench;
  bench.start(3);
  bench.start(4);
  bench.post(3, {tx_option(1000), tx_data(0x1000, 60, false, {.l3 = true})});
  bench.settle();
  bench.post(4, {tx_data(0x1000, 60)});
  bench.settle();
  ASSERT_EQ(bench.handed.size(), 1u);
  EXPECT_EQ(bench.handed[0].vi, 4u);
  bench.post(3, {tx_data(0x7000, 90)});
  bench.settle();
  ASSERT_EQ(bench.handed.size(), 2u);
  EXPECT_EQ(bench.handed[1].bytes, 150u);
  EXPECT_TRUE(bench.handed[1].l3);
  EXPECT_EQ(bench.handed[1].mss, 1000u);
}

TEST(PstTxDmaTest, PacketOfBadLengthKeepsItsTurnAndIsNotRead) {
  struct Case {
    std::vector<TxDesc> descs;
    bool good;
    uint32_t reason;
  };
  const TxOptions segment{.segment = true};
  const std::vector<Case> cases{
      {{tx_data(0x1000, 13)}, false, PST_DROP_REASON_TX_BAD_LENGTH},
      {{tx_data(0x1000, 14)}, true, 0},
      {{tx_data(0x1000, 1522)}, true, 0},
      {{tx_data(0x1000, 1523)}, false, PST_DROP_REASON_TX_BAD_LENGTH},
      {{tx_option(9), tx_data(0x1000, 13, true, segment)}, false, PST_DROP_REASON_TX_BAD_LENGTH},
      {{tx_option(9), tx_data(0x10000, 65535, true, segment)}, true, 0},
      {{tx_option(9), tx_data(0x1000, 65535, false, segment), tx_data(0x1000, 1)},
       false,
       PST_DROP_REASON_TX_BAD_SEGMENT},
  };
  for (const Case& test : cases) {
    TxDmaBench bench;
    bench.start(3);
    bench.post(3, {tx_data(0x1000, 60)});
    bench.post(3, test.descs);
    bench.post(3, {tx_data(0x1000, 60)});
    bench.settle();
    ASSERT_EQ(bench.handed.size(), 3u);
    EXPECT_EQ(bench.handed[1].drop, !test.good);
    EXPECT_EQ(bench.reads.size(), test.good ? 3u : 2u);
    EXPECT_EQ(bench.drops.size(), test.good ? 0u : 1u);
    if (!test.good) {
      EXPECT_EQ(bench.drops.at(0), (TxDrop{3, test.reason}));
    }
    EXPECT_EQ(bench.dones.size(), 3u) << "it completes";
    EXPECT_EQ(bench.packets[3], 3u);
    EXPECT_EQ(bench.sent[3], test.good ? 3u : 2u);
  }
}

TEST(PstTxDmaTest, LongestFrameFollowsThePortsMtu) {
  TxDmaBench bench;
  bench.start(3);
  bench.set_mtu(9216);
  bench.post(3, {tx_data(0x1000, 9234), tx_data(0x1000, 9235)});
  bench.settle();
  ASSERT_EQ(bench.handed.size(), 2u);
  EXPECT_FALSE(bench.handed[0].drop);
  EXPECT_TRUE(bench.handed[1].drop);
}

// --- translation and reads -------------------------------------------------------------------------------------------

TEST(PstTxDmaTest, MissHaltsTheViBeforeAnyByteIsRead) {
  TxDmaBench bench;
  bench.start(3);
  bench.post(3, {tx_data(0x1000, 60, false), tx_data(0x2000, 60, false), tx_data(kUnmapped, 60), tx_data(0x1000, 60)});
  bench.settle();
  expect_halt(bench, 3, PST_ERROR_CODE_DMA_FAULT, 0);
  EXPECT_TRUE(bench.reads.empty());
  EXPECT_TRUE(bench.handed.empty());
  EXPECT_EQ(bench.drops, (std::vector<TxDrop>{{3, PST_DROP_REASON_TX_DMA_FAULT}, {3, PST_DROP_REASON_TX_VI_HALTED}}));
  EXPECT_EQ(bench.packets[3], 2u);
}

TEST(PstTxDmaTest, MissBehindTheEndOfARangeTakesNothingAndTheNextViIsServed) {
  TxDmaBench bench;
  bench.mapped = [](uint64_t address) { return address < 0x20000; };
  bench.start(3);
  bench.start(4);
  bench.post(3, {tx_data(0x1fff0, 60)});
  bench.post(4, {tx_data(0x1ffc4, 60)});
  bench.settle();
  expect_halt(bench, 3, PST_ERROR_CODE_DMA_FAULT, 0);
  ASSERT_EQ(bench.reads.size(), 1u);
  EXPECT_EQ(bench.reads[0].vi, 4u);
  EXPECT_EQ(bench.handed.size(), 1u);
}

TEST(PstTxDmaTest, FragmentIsReadInAsManyPiecesAsItHasRanges) {
  TxDmaBench bench;
  bench.range_bytes = 4096;
  bench.start(3);
  const TxOptions segment{.segment = true};
  bench.post(3, {tx_option(1000), tx_data(0x1fff, 65535, true, segment)});
  bench.settle();
  EXPECT_EQ(bench.reads.size(), 17u);
  ASSERT_EQ(bench.handed.size(), 1u);
  EXPECT_EQ(bench.handed[0].bytes, 65535u);
}

TEST(PstTxDmaTest, EightyPiecesAreOnePacket) {
  TxDmaBench bench;
  bench.range_bytes = 4096;
  bench.start(3);
  std::vector<TxDesc> descs{tx_option(1000)};
  for (uint32_t i = 0; i < 32; ++i) descs.push_back(tx_data(0x1fff, i < 15 ? 4098 : 2, i == 31, {.segment = i == 0}));
  bench.post(3, descs);
  bench.post(3, descs);
  bench.settle();
  EXPECT_EQ(bench.reads.size(), 2u * (15 * 3 + 17 * 2));
  EXPECT_EQ(bench.handed.size(), 2u);
}

TEST(PstTxDmaTest, ReadsThatOvertakeEachOtherKeepPacketsInOrder) {
  TxDmaBench bench;
  bench.choose = [](size_t count) { return count - 1; };  // the last read's beats first
  bench.latency_cycles = 400;
  uint32_t held = 0;
  bench.beat_ready = [&] { return ++held > 900; };  // all of them are there by then
  bench.start(3);
  for (uint32_t i = 0; i < 12; ++i)
    bench.post(3, {tx_data(0x1003 * (i + 1), 70 + i, false), tx_data(0x77777 + i * 99, 500)});
  bench.settle();
  ASSERT_EQ(bench.handed.size(), 12u);
  for (uint32_t i = 0; i < 12; ++i) EXPECT_EQ(bench.handed[i].end_idx, 2 * i + 2);
}

TEST(PstTxDmaTest, FailedReadHaltsTheViAndLaterPacketsAreDroppedInTheirTurn) {
  TxDmaBench bench;
  bench.start(3);
  bench.start(4);
  bench.read_code = [](const TxRead& read) {
    return read.address == 0x8000 ? static_cast<uint32_t>(PST_ERROR_CODE_POISONED) : 0u;
  };
  bench.post(3, {tx_data(0x1000, 60), tx_data(0x2000, 60, false), tx_data(0x8000, 300), tx_data(0x1000, 60)});
  bench.post(4, {tx_data(0x1000, 60)});
  bench.settle();
  expect_halt(bench, 3, PST_ERROR_CODE_POISONED, 2);
  EXPECT_EQ(bench.drops, (std::vector<TxDrop>{{3, PST_DROP_REASON_TX_DMA_FAULT}, {3, PST_DROP_REASON_TX_VI_HALTED}}));
  EXPECT_EQ(bench.dones, (Dones{{3, 1}, {4, 1}})) << "neither of the two completes";
  EXPECT_EQ(bench.packets[3], 3u);
}

TEST(PstTxDmaTest, TagsOfFailedReadsAreUsedAgain) {
  TxDmaBench bench;
  bench.read_code = [](const TxRead& read) {
    return read.vi != 9 ? static_cast<uint32_t>(PST_ERROR_CODE_COMPLETION_TIMEOUT) : 0u;
  };
  for (uint32_t vi = 10; vi < 60; ++vi) {
    bench.start(vi);
    bench.post(vi, {tx_data(0x1000, 60, false), tx_data(0x2000, 300)});
  }
  bench.settle();
  EXPECT_EQ(bench.halts.size(), 50u);
  bench.start(9);
  for (int i = 0; i < 100; ++i) bench.post(9, {tx_data(0x1234, 100)});
  bench.settle();
  EXPECT_EQ(bench.sent[9], 100u);
}

TEST(PstTxDmaTest, PioPacketIsCopiedFromItsPlaceInThePage) {
  TxDmaBench bench;
  bench.start(7);
  bench.start(8);
  bench.post(8, {tx_data(0x1001, 1500)});
  uint32_t index = 0;
  for (const auto& [offset, bytes] : std::vector<std::pair<uint32_t, uint32_t>>{
           {0, 60}, {3333, 61}, {63, 66}, {4095 - 99, 100}, {1, 1514}, {64, 128}}) {
    TxDesc desc = tx_data(offset, bytes);
    desc.pio = true;
    bench.post(7, {desc});
    bench.post(8, {tx_data(0x10001, 1500)});
    bench.run(190);  // a completion meets the copy now and then
    bench.settle();
    EXPECT_EQ(bench.handed.back().bytes, bench.handed.back().vi == 7 ? bytes : 1500u);
    ++index;
  }
  EXPECT_EQ(bench.sent[7], index);
  EXPECT_EQ(bench.drops.size(), 0u);
}

// --- completions and events ------------------------------------------------------------------------------------------

TEST(PstTxDmaTest, EventComesWithEachBatchAndWhenNothingIsInFlight) {
  TxDmaBench bench;
  bench.start(3);
  std::vector<TxDesc> descs(40, tx_data(0x1000, 60));
  bench.hold_frames = true;
  bench.post(3, descs);
  bench.settle();
  bench.hold_frames = false;
  bench.settle();
  ASSERT_EQ(bench.events.size(), 3u);
  EXPECT_EQ(bench.events[0].consumer_idx, 16u);
  EXPECT_EQ(bench.events[1].consumer_idx, 32u);
  EXPECT_EQ(bench.events[2].consumer_idx, 40u);
}

TEST(PstTxDmaTest, PacketThatAsksForItGetsItsEventOrItsTime) {
  TxDmaBench bench;
  bench.start(3);
  bench.hold_frames = true;
  bench.post(3, {tx_data(0x1000, 60, true, {.complete = true}), tx_data(0x1000, 60),
                 tx_data(0x1000, 60, true, {.timestamp = true}), tx_data(0x1000, 13, true, {.timestamp = true}),
                 tx_data(0x1000, 60), tx_data(0x1000, 60)});
  bench.settle();
  bench.hold_frames = false;
  const uint64_t before_ns = bench.now_ns();
  bench.settle();
  ASSERT_EQ(bench.events.size(), 3u);
  EXPECT_EQ(bench.events[0].consumer_idx, 1u);
  EXPECT_FALSE(bench.events[0].timed);
  EXPECT_EQ(bench.events[1].consumer_idx, 3u);
  EXPECT_TRUE(bench.events[1].timed);
  EXPECT_GE(bench.events[1].time_ns, before_ns + 1'000'000);
  EXPECT_EQ(bench.events[2].consumer_idx, 6u) << "a packet that was dropped has no time";
}

TEST(PstTxDmaTest, PacketOfManyFramesCompletesWithItsLastOneAndHasTheTimeOfItsFirst) {
  TxDmaBench bench;
  bench.start(3);
  bench.wire_cycles = 100;
  bench.verdict = [](const TxHanded&) { return TxVerdict{false, 0, 5, 0}; };
  bench.post(3, {tx_data(0x1000, 60, true, {.timestamp = true})});
  bench.settle();
  ASSERT_EQ(bench.events.size(), 1u);
  EXPECT_EQ(bench.now_ns() - (bench.events[0].time_ns - 1'000'000) > 400 * 4u, true);
}

TEST(PstTxDmaTest, PacketsWithoutFramesAreCompletedBetweenThoseThatLeave) {
  TxDmaBench bench;
  bench.start(3);
  bench.hold_frames = true;
  bench.verdict = [](const TxHanded& packet) {
    return packet.end_idx % 3 == 0 ? TxVerdict{true, PST_DROP_REASON_TX_BAD_SOURCE, 0, 0} : TxVerdict{};
  };
  bench.post(3, std::vector<TxDesc>(30, tx_data(0x1000, 60)));
  bench.settle();
  EXPECT_EQ(bench.drops, std::vector<TxDrop>(10, {3, PST_DROP_REASON_TX_BAD_SOURCE}))
      << "known before the wire is free";
  EXPECT_TRUE(bench.dones.empty());
  bench.hold_frames = false;
  bench.settle();
  EXPECT_EQ(bench.dones.size(), 30u);
  EXPECT_EQ(bench.sent[3], 20u);
}

TEST(PstTxDmaTest, PacketWhoseFramesMeetNoLinkIsDroppedOnceAndCompletes) {
  TxDmaBench bench;
  bench.start(3);
  bench.lost = [] { return true; };
  bench.verdict = [](const TxHanded&) { return TxVerdict{false, 0, 3, 0}; };
  bench.post(3, {tx_data(0x1000, 60, true, {.timestamp = true})});
  bench.settle();
  EXPECT_EQ(bench.drops, (std::vector<TxDrop>{{3, PST_DROP_REASON_TX_LINK_DOWN}}));
  EXPECT_EQ(bench.dones, (Dones{{3, 1}}));
  ASSERT_EQ(bench.events.size(), 1u);
  EXPECT_FALSE(bench.events[0].timed);
}

TEST(PstTxDmaTest, EventThatFindsNoSpaceComesWhenSpaceReturnsForAllThatWasCompletedMeanwhile) {
  TxDmaBench bench;
  bench.start(3);
  bench.start(4);
  bool full = true;
  bench.answer = [&](const TxEvent& event) { return event.vi == 3 && full ? kStall : 0u; };
  bench.post(3, {tx_data(0x1000, 60)});
  bench.settle();
  bench.post(3, {tx_data(0x1000, 60, true, {.timestamp = true})});
  bench.settle();
  EXPECT_EQ(bench.events.size(), 2u);
  bench.give_space(3);  // taken by somebody else
  bench.settle();
  EXPECT_EQ(bench.events.size(), 3u);
  full = false;
  bench.post(4, {tx_data(0x1000, 60)});
  bench.settle();
  EXPECT_EQ(bench.events.size(), 4u) << "VI 4 is not held up, VI 3 waits";
  bench.give_space(4);
  bench.give_space(3);
  bench.settle();
  ASSERT_EQ(bench.events.size(), 5u);
  EXPECT_EQ(bench.events[4].vi, 3u);
  EXPECT_EQ(bench.events[4].consumer_idx, 2u);
  EXPECT_FALSE(bench.events[4].timed) << "the time is lost";
  bench.give_space(3);
  bench.settle();
  EXPECT_EQ(bench.events.size(), 5u);
}

TEST(PstTxDmaTest, SpaceThatReturnsWithTheAnswerIsNotMissed) {
  TxDmaBench bench;
  bench.start(3);
  bench.answer = [&](const TxEvent&) {
    if (bench.events.size() > 1) return 0u;
    bench.give_space(3);
    return kStall;
  };
  bench.post(3, {tx_data(0x1000, 60)});
  bench.settle();
  EXPECT_EQ(bench.events.size(), 2u);
}

TEST(PstTxDmaTest, DroppedEventBeginsANewBatchButADroppedTimeDoesNot) {
  for (const bool timed : {false, true}) {
    TxDmaBench bench;
    bench.start(3);
    bench.hold_frames = true;
    bench.answer = [&](const TxEvent&) { return bench.events.size() == 1 ? kDrop : 0u; };
    std::vector<TxDesc> descs(30, tx_data(0x1000, 60));
    descs[9] = tx_data(0x1000, 60, true, {.timestamp = timed, .complete = !timed});
    bench.post(3, descs);
    bench.settle();
    bench.hold_frames = false;
    bench.settle();
    ASSERT_GE(bench.events.size(), 2u);
    EXPECT_EQ(bench.events[0].consumer_idx, 10u);
    EXPECT_EQ(bench.events[1].consumer_idx, timed ? 16u : 26u);
  }
}

}  // namespace
}  // namespace postern::rtl_test
