// pst_pcie_link under Verilator: order of writes, lost events, reads and completions, accesses of the host, the fence,
// and random traffic on all sides. The bench checks every cycle; the tests state what must have come out.
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "tests/rtl/pcie_link_bench.h"

namespace postern::rtl_test {
namespace {

using Kind = LinkWrite::Kind;

std::vector<Kind> kinds(const PcieLinkBench& bench) {
  std::vector<Kind> out;
  for (const LinkWrite& write : bench.written) out.push_back(write.kind);
  return out;
}

TEST(PstPcieLinkTest, PayloadPassesABeatACycle) {
  PcieLinkBench bench;
  bench.write_payload(3, 0x12345678000, 1500, 20, 77);
  for (uint32_t i = 0; i < 10; ++i) bench.write_payload(3, 0x1000 * i, 64);
  bench.settle();
  ASSERT_EQ(bench.written.size(), 11u);
  EXPECT_EQ(bench.written[0].bytes, 1500u);
  EXPECT_EQ(bench.written[0].id, 77u);
  EXPECT_EQ(bench.written[10].accepted_cycle - bench.written[0].accepted_cycle, 10u);
}

TEST(PstPcieLinkTest, PayloadLeavesBeforeTheEventAndTheEventBeforeItsMessage) {
  PcieLinkBench bench;
  bool open = false;
  bench.write_ready = [&] { return open; };
  bench.write_payload(3, 0x1000, 64);
  bench.run(3);
  bench.post_event(3, 0x8000, 5);
  bench.run(3);
  bench.send_message(7, 0xfee00000, 42);
  bench.run(20);
  open = true;
  bench.settle();
  EXPECT_EQ(kinds(bench), (std::vector<Kind>{Kind::kPayload, Kind::kEvent, Kind::kMessage}));
  EXPECT_EQ(bench.written[1].address, PcieLinkBench::host_address(0x8000));
  EXPECT_EQ(bench.written[1].id, 5u);
  EXPECT_EQ(bench.written[2].id, 7u);
  EXPECT_EQ(bench.written[2].address, 0xfee00000u);
}

TEST(PstPcieLinkTest, NeitherPayloadNorEventsStarve) {
  PcieLinkBench bench;
  for (uint32_t i = 0; i < 40; ++i) bench.write_payload(1, 0x1000 * i, 64, 0, i);
  for (uint32_t i = 0; i < 40; ++i) bench.send_message(i, 0x1000, i);
  bench.settle();
  const std::vector<Kind> order = kinds(bench);
  ASSERT_EQ(order.size(), 80u);
  uint32_t messages_in_row = 0, payloads = 0;
  for (size_t i = 0; i < order.size() && payloads < 8; ++i) {  // both wait all this time
    const bool payload = order[i] == Kind::kPayload;
    EXPECT_FALSE(payload && i > 3 && order[i - 1] == Kind::kPayload) << "a message goes before the next payload";
    payloads += payload ? 1 : 0;
    messages_in_row = payload ? 0 : messages_in_row + 1;
    EXPECT_LE(messages_in_row, 4u) << "a payload goes before the fifth message";
  }
  EXPECT_EQ(payloads, 8u);
}

TEST(PstPcieLinkTest, TwoEventsForEachLongPayloadDoNotSlowItDown) {
  PcieLinkBench bench;
  constexpr uint32_t kFrames = 40, kBeats = 24;
  for (uint32_t i = 0; i < kFrames; ++i) {
    bench.write_payload(1, 0x1000 * i, kBeats * 64, 0, i);
    bench.post_event(1, 0x80000 + 32 * i, 2 * i);
    bench.post_event(2, 0x90000 + 32 * i, 2 * i + 1);
  }
  bench.settle();
  EXPECT_EQ(bench.written.size(), 3u * kFrames);
  EXPECT_LE(bench.cycle_count, kFrames * (kBeats + 2) + 20) << "a beat or an event every cycle";
}

TEST(PstPcieLinkTest, FenceWaitsForAllEventsThatALongPayloadHoldsUp) {
  PcieLinkBench bench;
  bench.write_payload(1, 0x1000, 64 * 64);
  bench.run(4);
  for (uint32_t i = 0; i < 4; ++i) bench.post_event(1, 0x80000 + 16 * i, i);
  bench.run(30);
  EXPECT_TRUE(bench.events.empty()) << "they wait inside";
  bench.fence_asked = true;
  bench.settle();
  ASSERT_EQ(bench.fence_done_cycles.size(), 1u);
  ASSERT_EQ(bench.written.size(), 5u);
}

TEST(PstPcieLinkTest, FenceWaitsForAnEventOutOfReachUntilItsHaltIsAccepted) {
  PcieLinkBench bench;
  bool open = false;
  bench.halt_ready = [&] { return open; };
  bench.post_event(9, PcieLinkBench::kUnmapped, 1);
  bench.run(2);
  bench.fence_asked = true;
  bench.run(30);
  EXPECT_TRUE(bench.fence_waits());
  open = true;
  bench.settle();
  EXPECT_FALSE(bench.fence_waits());
}

TEST(PstPcieLinkTest, EventOutOfReachIsLostAndHaltsItsVi) {
  PcieLinkBench bench;
  bool open = false;
  bench.halt_ready = [&] { return open; };
  bench.post_event(9, PcieLinkBench::kUnmapped, 0x12345);
  bench.post_event(4, 0x8000, 6);
  bench.run(50);
  EXPECT_EQ(bench.lost_count, 1u);
  EXPECT_TRUE(bench.written.empty()) << "it waits until the halt is accepted";
  open = true;
  bench.settle();
  EXPECT_EQ(bench.halted_vis, (std::vector<uint32_t>{9}));
  EXPECT_EQ(bench.halted_indices, (std::vector<uint32_t>{0x12345}));
  EXPECT_EQ(bench.written.size(), 1u);
}

TEST(PstPcieLinkTest, ErrorEventOutOfReachIsLostWithoutAnotherHalt) {
  PcieLinkBench bench;
  bench.post_event(9, PcieLinkBench::kUnmapped, 1, PST_EVENT_TYPE_ERROR);
  bench.settle();
  EXPECT_EQ(bench.lost_count, 1u);
  EXPECT_TRUE(bench.halted_vis.empty());
}

TEST(PstPcieLinkTest, DescriptorsComeOneABeatFromReadsOfAnySize) {
  PcieLinkBench bench;
  for (const uint32_t count : {1u, 3u, 4u, 5u, 32u, 128u}) {
    bench.fetch(2, 1, 0x10000, count);
    bench.settle();
    EXPECT_EQ(bench.descriptors.size(), count);
    EXPECT_EQ(bench.answered.back().bytes, 16 * count);
    bench.descriptors.clear();
  }
}

TEST(PstPcieLinkTest, FetchOutOfReachIsAnsweredWithAFaultAndNotSent) {
  PcieLinkBench bench;
  bench.fetch(2, 0, PcieLinkBench::kUnmapped, 8);
  bench.settle();
  ASSERT_EQ(bench.answered.size(), 1u);
  EXPECT_EQ(bench.answered[0].fail_code, static_cast<uint32_t>(PST_ERROR_CODE_DMA_FAULT));
  EXPECT_EQ(bench.answered[0].dr_tag, 0u);
  EXPECT_TRUE(bench.descriptors.empty());
}

TEST(PstPcieLinkTest, AFailedReadBringsWhatCameBeforeAndThenItsCode) {
  PcieLinkBench bench;
  bench.fetch(2, 0, 0x4000, 16, 2, PST_ERROR_CODE_COMPLETION_TIMEOUT);
  bench.read_payload(2, 5, 0x9000, 300, 10, 1, PST_ERROR_CODE_POISONED);
  bench.settle();
  EXPECT_EQ(bench.descriptors.size(), 8u);
  EXPECT_EQ(bench.answered.size(), 2u);
  bench.fetch(2, 0, 0x4000, 16);
  bench.settle();
  EXPECT_EQ(bench.descriptors.size(), 8u + 16);
}

TEST(PstPcieLinkTest, ManyFetchesAreInFlightAndStalledResponsesHoldUpNoPayload) {
  PcieLinkBench bench;
  bool open = false;
  bench.response_ready = [&] { return open; };
  for (uint32_t vi = 0; vi < 16; ++vi) bench.fetch(vi, 0, 0x10000 + 0x1000 * vi, 16);
  bench.run(200);
  for (uint32_t i = 0; i < 60; ++i) bench.read_payload(1, i, 0x2000, 200, 40);
  bench.run(300);
  const auto is_payload = [](const LinkRead& read) { return !read.is_fetch; };
  EXPECT_EQ(std::count_if(bench.answered.begin(), bench.answered.end(), is_payload), 60);
  open = true;
  bench.settle();
  EXPECT_EQ(bench.descriptors.size(), 256u);
}

TEST(PstPcieLinkTest, AFetchForWhichThereIsNoRoomWaitsAndLetsPayloadPass) {
  PcieLinkBench bench;
  bool open = false;
  bench.response_ready = [&] { return open; };
  for (uint32_t vi = 0; vi < 6; ++vi) bench.fetch(vi, 1, 0x10000 + 0x1000 * vi, 128);  // 33 beats each; 128 fit
  bench.run(500);
  EXPECT_EQ(bench.fetches.size(), 2u);
  bench.read_payload(1, 127, 0x2000, 64);
  bench.run(10);
  EXPECT_EQ(bench.answered.size(), 1u);
  open = true;
  bench.settle();
  EXPECT_EQ(bench.descriptors.size(), 6 * 128u);
}

TEST(PstPcieLinkTest, FetchesAndPayloadReadsTakeTurnsOnASlowLink) {
  PcieLinkBench bench;
  bench.read_ready = [&] { return bench.cycle_count % 20 == 0; };
  for (uint32_t vi = 0; vi < 16; ++vi) {
    bench.fetch(vi, 0, 0x10000 + 0x1000 * vi, 4);
    bench.read_payload(vi, vi, 0x2000, 64);
  }
  bench.settle();
  ASSERT_EQ(bench.issued_fetches.size(), 32u);
  for (size_t i = 2; i < 30; ++i) EXPECT_NE(bench.issued_fetches[i], bench.issued_fetches[i + 1]);
}

TEST(PstPcieLinkTest, AccessesReachTheirBarInOrderAndReadsAreAnsweredInOrder) {
  PcieLinkBench bench;
  const std::vector<uint8_t> word{1, 2, 3, 4, 5, 6, 7, 8};
  bench.accesses.push_back({true, PST_BAR_VI, 0x7ffff8, 8, word});
  bench.accesses.push_back({true, PST_BAR_VI, 0x1040, 64, std::vector<uint8_t>(64, 9)});
  bench.accesses.push_back({false, PST_BAR_VI, 0x8, 4, {}});
  bench.accesses.push_back({true, PST_BAR_MSIX, 0xfff8, 8, word});
  bench.accesses.push_back({false, PST_BAR_MSIX, 0x8000, 8, {}});
  bench.accesses.push_back({false, PST_BAR_VI, 0x8, 8, {}});
  for (HostAccess& access : bench.accesses) access.data.resize(access.bytes);
  bench.settle();
  EXPECT_EQ(bench.doorbell_accesses.size(), 4u);
  EXPECT_EQ(bench.msix_accesses.size(), 2u);
  EXPECT_EQ(bench.access_reads, (std::vector<uint64_t>{0xd000000001, 0xb000000002, 0xd000000003}));
}

TEST(PstPcieLinkTest, AccessesWhereNothingIsCountAndReadsThereGiveZero) {
  PcieLinkBench bench;
  bench.accesses.push_back({true, 1, 0, 4, std::vector<uint8_t>(4)});
  bench.accesses.push_back({false, 5, 0, 8, std::vector<uint8_t>(8)});
  bench.accesses.push_back({false, PST_BAR_MSIX, PST_BAR_MSIX_SIZE, 4, std::vector<uint8_t>(4)});
  bench.accesses.push_back({true, PST_BAR_MSIX, 0, 20, std::vector<uint8_t>(20)});  // the block gets a width it refuses
  bench.settle();
  EXPECT_EQ(bench.bad_access_count, 3u);
  EXPECT_EQ(bench.access_reads, (std::vector<uint64_t>{0, 0}));
  EXPECT_EQ(bench.msix_accesses.size(), 1u);
}

TEST(PstPcieLinkTest, FenceIsDoneAtOnceWhenNothingIsUnderWay) {
  PcieLinkBench bench;
  bench.run(3);
  bench.fence_asked = true;
  bench.run(3);
  EXPECT_EQ(bench.fence_done_cycles.size(), 1u);
}

TEST(PstPcieLinkTest, FenceWaitsForWritesBeforeItAndNotForThoseBehindIt) {
  PcieLinkBench bench;
  bool open = false;
  bench.write_ready = [&] { return open; };
  bench.write_payload(1, 0x1000, 64);
  bench.post_event(1, 0x2000, 1);
  bench.run(20);
  bench.fence_asked = true;
  bench.run(50);
  EXPECT_TRUE(bench.fence_waits());
  for (uint32_t i = 0; i < 100; ++i) bench.write_payload(1, 0x1000, 64, 0, i);
  for (uint32_t i = 0; i < 100; ++i) bench.post_event(1, 0x2000, i + 2);
  open = true;
  bench.run(20);
  EXPECT_FALSE(bench.fence_waits());
  bench.settle();
}

TEST(PstPcieLinkTest, FenceWaitsForReadsBeforeItAndNotForThoseBehindIt) {
  PcieLinkBench bench;
  bool open = false;
  bench.completion_comes = [&] { return open; };
  bench.fetch(1, 0, 0x1000, 8);
  bench.read_payload(1, 3, 0x2000, 100);
  bench.run(30);
  bench.fence_asked = true;
  bench.run(30);
  EXPECT_TRUE(bench.fence_waits());
  EXPECT_TRUE(bench.quiet()) << "it waits for completions only";
  bench.read_payload(1, 4, 0x3000, 6400);
  bench.run(5);
  open = true;
  bench.run(30);
  EXPECT_FALSE(bench.fence_waits());
  EXPECT_EQ(bench.answered.size(), 2u);
  bench.settle();
}

class RandomPcieLinkTest : public testing::TestWithParam<uint32_t> {};

struct Traffic {
  std::mt19937 random;
  uint32_t ask_percent = 10;
  std::array<uint32_t, 11> percents{};
  uint32_t number = 0;
  uint32_t pick(uint32_t below) { return static_cast<uint32_t>(random() % below); }
  bool chance(uint32_t percent) { return pick(100) < percent; }
  // Domain addresses of reads are unique while they live: the bench knows them by that.
  uint64_t address() { return (uint64_t{++number} << 14) | (chance(3) ? PcieLinkBench::kUnmapped : 0); }
  uint32_t code() { return chance(50) ? PST_ERROR_CODE_POISONED : PST_ERROR_CODE_COMPLETION_TIMEOUT; }
};

void offer_traffic(PcieLinkBench& bench, Traffic& t) {
  const uint32_t ask = t.ask_percent;
  if (bench.payloads.size() < 3 && t.chance(ask))
    bench.write_payload(t.pick(16), uint64_t{t.pick(1 << 30)} << 8, 1 + t.pick(t.chance(50) ? 60 : 1000), t.pick(64),
                        ++t.number);
  if (bench.events.size() < 3 && t.chance(ask))
    bench.post_event(t.pick(16), t.address(), ++t.number, t.chance(20) ? PST_EVENT_TYPE_ERROR : PST_EVENT_TYPE_RX);
  if (bench.messages.size() < 3 && t.chance(ask / 2))
    bench.send_message(t.pick(64), uint64_t{t.pick(1 << 30)} << 4, ++t.number);
  const uint32_t vi = t.pick(16), rx = t.pick(2), tag = t.pick(12) * 11;
  if (bench.fetches.size() < 3 && t.chance(ask) && !bench.ring_in_use(vi, rx)) {
    const uint32_t count = 1 + t.pick(t.chance(50) ? 32 : 128);
    bench.fetch(vi, rx, t.address(), count, t.chance(5) ? t.pick((count + 3) / 4) : ~0u, t.code());
  }
  if (bench.payload_reads.size() < 3 && t.chance(ask) && !bench.tag_in_use(tag))
    bench.read_payload(vi, tag, uint64_t{t.pick(1 << 30)} << 6, 1 + t.pick(t.chance(50) ? 60 : 2000), t.pick(64),
                       t.chance(5) ? 0 : ~0u, t.code());
  if (bench.accesses.size() < 3 && t.chance(ask)) {
    HostAccess access{t.chance(80),
                      t.chance(50) ? 2u : t.pick(6),
                      t.pick(0x10000) & ~7u,
                      t.chance(20)   ? 64u
                      : t.chance(50) ? 4u
                                     : 8u,
                      {}};
    if (!access.write || access.bar != PST_BAR_VI) access.bytes = std::min(access.bytes, 8u);
    for (uint32_t i = 0; i < access.bytes; ++i) access.data.push_back(static_cast<uint8_t>(t.pick(256)));
    bench.accesses.push_back(access);
  }
  if (!bench.fence_asked && !bench.fence_waits() && t.chance(4)) bench.fence_asked = true;
}

void run_random(PcieLinkBench& bench, uint32_t seed) {
  Traffic t{std::mt19937(seed)};
  const auto with = [&t](size_t i) { return [&t, i] { return t.chance(t.percents[i]); }; };
  t.percents.fill(100);
  bench.write_ready = with(0);
  bench.read_ready = with(1);
  bench.response_ready = with(2);
  bench.halt_ready = with(3);
  bench.completion_comes = with(4);
  bench.lookup_ready = with(5);
  bench.lookup_answers = with(6);
  bench.target_ready = with(7);
  bench.target_answers = with(8);
  bench.beat_comes = with(9);
  bench.pick = [&t](uint32_t below) { return t.pick(below); };
  for (int phase = 0; phase < 60 && !testing::Test::HasFailure(); ++phase) {
    t.ask_percent = t.chance(30) ? 0 : 1 + t.pick(50);
    for (uint32_t& percent : t.percents) percent = t.chance(30) ? 100 : 5 + t.pick(96);
    for (int cycle = 0; cycle < (t.ask_percent == 0 ? 1500 : 300); ++cycle) {
      offer_traffic(bench, t);
      bench.cycle();
    }
  }
  t.percents.fill(100);
  bench.settle();
}

TEST_P(RandomPcieLinkTest, EverythingArrivesInItsOrderAndWithASkippedClockTheSame) {
  PcieLinkBench bench(false), skipping(true);
  run_random(bench, GetParam());
  run_random(skipping, GetParam());
  EXPECT_TRUE(bench.written == skipping.written);
  EXPECT_EQ(bench.descriptors, skipping.descriptors);
  EXPECT_EQ(bench.fence_done_cycles, skipping.fence_done_cycles);
  EXPECT_EQ(bench.access_reads, skipping.access_reads);
  EXPECT_EQ(bench.cycle_count, skipping.cycle_count);
  EXPECT_EQ(bench.lost_count, skipping.lost_count);
  EXPECT_GT(skipping.skipped_count, 500u);
  EXPECT_GT(bench.written.size(), 1000u);
  EXPECT_GT(bench.answered.size(), 300u);
  EXPECT_GT(bench.halted_vis.size(), 5u);
  EXPECT_GT(bench.fence_done_cycles.size(), 20u);
  EXPECT_GT(bench.access_reads.size(), 50u);
}
INSTANTIATE_TEST_SUITE_P(Seed, RandomPcieLinkTest, testing::Range(1u, 5u));

}  // namespace
}  // namespace postern::rtl_test
