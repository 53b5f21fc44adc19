// pst_rx_dma under Verilator: random traffic with back-pressure on every interface, and the promise to stand still.
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "Vpst_rx_dma___024root.h"
#include "tests/rtl/rx_dma_bench.h"

namespace postern::rtl_test {
namespace {

constexpr uint32_t kPage = 4096;

// Some VIs of every kind under random traffic; all choices follow from the seed.
class RandomTraffic {
 public:
  static constexpr uint32_t kVis = 12, kPages = 64;

  RandomTraffic(uint32_t seed, uint32_t ready_percent, bool skips_clock) : rng_(seed) {
    bench.skips_clock = skips_clock;
    bench.ready = [this, ready_percent](RxDmaBench::Port) { return below(100) < ready_percent; };
    bench.offers = [this] { return below(100) < 60; };
    bench.translation_cycles = [this] { return below(8) == 0 ? below(20) : 2u; };
    for (uint32_t vi = 0; vi < kVis; ++vi) map_pages(vi);
    start_all();
  }

  void start_all() {
    for (uint32_t vi = 0; vi < kVis; ++vi) {
      bench.queues[vi].policy = static_cast<RxDmaBench::Policy>(below(8) == 0 ? below(3) : below(2));
      bench.queues[vi].entries = 2 + below(40);
      start(vi);
    }
    bench.run_until_quiet();
  }

  void step() {
    if (below(3) == 0 && bench.copies.size() < 16 && bench.free_cell_count() > 600) receive();
    if (below(3) == 0) post(below(kVis));
    if (below(4) == 0) consume(below(kVis));
    if (below(6) == 0) arrive(below(kVis));
    if (below(400) == 0) bench.close_merges(below(3));
    if (below(150) == 0) renew(below(kVis));
    if (below(40) == 0) bench.run(below(600));
    bench.run(below(12));
  }

  // All that waits gets what it waits for; then each life ends.
  void finish() {
    bench.ready = [](RxDmaBench::Port) { return true; };
    bench.offers = [] { return true; };
    bench.run_until_quiet();
    for (uint32_t vi = 0; vi < kVis; ++vi) {
      while (arrive(vi)) {
      }
      bench.queues[vi].entries = 1u << 20;
      bench.queues[vi].wanted = true;
      consume(vi);
    }
    bench.run_until_quiet();
    for (uint32_t vi = 0; vi < kVis; ++vi) {
      EXPECT_EQ(bench.reference.waiting(vi), 0u) << "VI " << vi << " waits for what it has";
      bench.end_life(vi, true);
    }
    bench.run_until_quiet();
    EXPECT_EQ(bench.free_cell_count(), RxDmaBench::kCellCount) << "a frame was not given back";
    EXPECT_EQ(bench.accepted_copies, bench.delivered_count + bench.reference.drops.size()) << "R11";
  }

  RxDmaBench bench;

 private:
  uint32_t below(uint32_t bound) { return static_cast<uint32_t>(rng_() % bound); }

  // The domain's pages in ranges of one to three, anywhere in the VI's part of host memory.
  void map_pages(uint32_t vi) {
    std::vector<uint32_t> places(kPages);
    for (uint32_t i = 0; i < kPages; ++i) places[i] = (i * 29 + vi) % kPages;
    for (uint32_t page = 0; page < kPages; ++page)
      bench.map(vi, {uint64_t{page} * kPage, kPage, (vi * kPages + places[page]) * uint64_t{kPage}, true});
  }

  void start(uint32_t vi) {
    RxOptions options;
    options.prefix = below(2) == 0;
    options.strip = below(2) == 0;
    options.merge_count = below(2) == 0 ? 1 : 1 + below(12);
    bench.start(vi, options, vi % 3);
    next_buffer_[vi] = 0;
    unarrived_[vi] = 0;
  }

  void renew(uint32_t vi) {
    bench.end_life(vi, true);
    for (int i = 0; i < 20000 && !bench.lives_at_rest(); ++i) bench.cycle();
    ASSERT_TRUE(bench.lives_at_rest()) << "a life does not end";
    start(vi);
    for (int i = 0; i < 20000 && !bench.commands_at_rest(); ++i) bench.cycle();
    ASSERT_TRUE(bench.commands_at_rest()) << "a command is not done";
  }

  void receive() {
    RxCopy copy;
    pst_rx_event event{};
    pst_rx_event_set_type(&event, PST_EVENT_TYPE_RX);
    pst_rx_event_set_checksum_l4(&event, PST_CHECKSUM_RESULT_GOOD);
    pst_rx_event_set_l4_class(&event, below(6) == 0 ? 2 : 1);
    copy.event = event.word[0];
    copy.filter_id = below(4096);
    copy.time_ns = rng_();
    copy.hash_valid = below(2) == 0;
    copy.hash = below(1u << 31);
    copy.vlan_count = below(3);
    copy.vlan_tci = below(65536);
    const uint32_t kind = below(20);
    const uint32_t bytes = kind == 0 ? 1600 + below(7600) : kind < 6 ? 60 + below(1460) : 60 + below(140);
    std::vector<uint32_t> vis = {below(kVis)};
    while (below(4) == 0 && vis.size() < 3) {
      const uint32_t vi = below(kVis);
      if (std::find(vis.begin(), vis.end(), vi) == vis.end()) vis.push_back(vi);
    }
    bench.receive(copy, received_frame(bytes, ++frames_), vis);
  }

  void post(uint32_t vi) {
    const uint32_t count = 1 + below(8), size = below(3);
    for (uint32_t i = 0; i < count && bench.rings[vi].descs.size() - bench.rings[vi].popped < 90; ++i) {
      RxDesc desc;
      desc.bytes = size == 0 ? 2048 : size == 1 ? 40 + below(400) : 1 + below(60);
      if (next_buffer_[vi] + desc.bytes > kPages * kPage) next_buffer_[vi] = below(64);
      desc.address = next_buffer_[vi];
      next_buffer_[vi] += desc.bytes;
      const uint32_t fault = below(1500);
      if (fault == 0) desc.bytes = 0;
      if (fault == 1) desc.flags = 1u << below(16);
      if (fault == 2) desc.reserved = 1u << below(32);
      if (fault == 3) desc.address = kPages * kPage - below(desc.bytes);
      bench.post(vi, desc, false);
      ++unarrived_[vi];
    }
  }

  bool arrive(uint32_t vi) {
    const uint32_t count = std::min(unarrived_[vi], 1 + below(16));
    bench.arrive(vi, count);
    unarrived_[vi] -= count;
    return unarrived_[vi] > 0;
  }

  void consume(uint32_t vi) {
    if (bench.queues[vi].used > 0 || bench.queues[vi].wanted) bench.consume(vi, below(bench.queues[vi].used + 1));
  }

  std::mt19937_64 rng_;
  uint32_t frames_ = 0;
  std::array<uint64_t, kVis> next_buffer_{};
  std::array<uint32_t, kVis> unarrived_{};
};

class PstRxDmaRandomTest : public ::testing::TestWithParam<uint32_t> {};

TEST_P(PstRxDmaRandomTest, EveryCopyIsDeliveredOrDroppedAsTheModelDoes) {
  RandomTraffic traffic(GetParam(), GetParam() % 2 == 0 ? 100 : 35 + GetParam() * 7 % 60, false);
  for (int i = 0; i < 2500 && !::testing::Test::HasFailure(); ++i) traffic.step();
  traffic.finish();
  EXPECT_GT(traffic.bench.delivered_count, 300u);
  EXPECT_GT(traffic.bench.merged_events, 10u);
}

// A function reset at any time leaves nothing of before.
TEST_P(PstRxDmaRandomTest, ResetBeginsAnew) {
  RandomTraffic traffic(GetParam(), 60, false);
  for (uint32_t round = 0; round < 6 && !::testing::Test::HasFailure(); ++round) {
    for (uint32_t i = 0; i < 120 + GetParam() * round; ++i) traffic.step();
    traffic.bench.reset();
    traffic.start_all();
  }
  for (int i = 0; i < 300; ++i) traffic.step();
  traffic.finish();
  EXPECT_GT(traffic.bench.delivered_count, 50u);
}

// With and without the clock while the block is quiet: the same, at the same times.
TEST_P(PstRxDmaRandomTest, ClockMayStandStillWhileTheBlockIsQuiet) {
  RandomTraffic always(GetParam(), 80, false), skipping(GetParam(), 80, true);
  for (RandomTraffic* traffic : {&always, &skipping}) {
    for (int i = 0; i < 800; ++i) traffic->step();
    traffic->finish();
  }
  const RxDmaReference& a = always.bench.reference;
  const RxDmaReference& b = skipping.bench.reference;
  EXPECT_LT(skipping.bench.cycle_count, always.bench.cycle_count) << "nothing was skipped";
  ASSERT_EQ(a.events.size(), b.events.size());
  for (size_t i = 0; i < a.events.size(); ++i) {
    EXPECT_EQ(a.events[i].vi, b.events[i].vi);
    EXPECT_EQ(a.events[i].time_ns, b.events[i].time_ns);
    EXPECT_EQ(a.events[i].event.word[0], b.events[i].event.word[0]);
    EXPECT_EQ(a.events[i].event.word[1], b.events[i].event.word[1]);
  }
  ASSERT_EQ(a.drops.size(), b.drops.size());
  for (size_t i = 0; i < a.drops.size(); ++i) EXPECT_EQ(a.drops[i].reason, b.drops[i].reason);
  EXPECT_EQ(always.bench.host, skipping.bench.host);
}

INSTANTIATE_TEST_SUITE_P(Seeds, PstRxDmaRandomTest, ::testing::Range(1u, 9u),
                         [](const auto& seed) { return "Seed" + std::to_string(seed.param); });

// All registers and memories of the block, as Verilator keeps them.
std::vector<uint8_t> state_of(RxDmaBench& bench) {
  Vpst_rx_dma& device = bench.device();
  const uint64_t time_ns = device.time_ns_i;
  device.time_ns_i = 0;
  device.eval();
  std::vector<uint8_t> state(sizeof *device.rootp);
  std::memcpy(state.data(), static_cast<const void*>(device.rootp), state.size());
  device.time_ns_i = time_ns;
  device.eval();
  return state;
}

TEST(PstRxDmaQuietTest, EveryRegisterStaysUntilItIsDue) {
  RandomTraffic traffic(99, 70, false);
  RxDmaBench& bench = traffic.bench;
  const auto ready = bench.ready;
  uint32_t checked = 0;
  for (int i = 0; i < 600; ++i) {
    bench.ready = ready;
    traffic.step();
    bench.ready = [](RxDmaBench::Port) { return true; };  // from here on the inputs stay
    for (int wait = 0; wait < 400 && (bench.busy() || !bench.quiet()); ++wait) bench.cycle();
    bench.cycle();  // takes away what was driven last
    if (bench.busy() || !bench.quiet()) continue;
    const std::vector<uint8_t> before = state_of(bench);
    const uint64_t due_ns = bench.due_ns();
    for (const int idle_cycles : {1, 2, 57}) {
      for (int idle = 0; idle < idle_cycles && bench.time_ns < due_ns; ++idle) bench.cycle();
      EXPECT_TRUE(before == state_of(bench)) << "a register changes while the block is quiet";
    }
    ++checked;
  }
  EXPECT_GT(checked, 50u);
}

}  // namespace
}  // namespace postern::rtl_test
