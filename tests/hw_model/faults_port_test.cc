// Injected faults of the wire and of the whole card, and equal runs of equal seeds. See faults_test.cc.
#include "tests/hw_model/faults_rig.h"

namespace postern::hw_model::test {
namespace {

using Rig = FaultRig;

// --- wire ------------------------------------------------------------------------------------------------------------

TEST(FaultsPortTest, LinkGoesDownAndComesBackAtBothEnds) {
  Rig rig;
  rig.a.peer = &rig.b;
  rig.receive_all(*rig.vi);
  rig.set("link_down_ns", 20000);
  rig.set_in("link_down_at_ns", 5000);
  run_ns(6000);
  const auto link = [](Node& node) {
    return node.read32(PST_FUNCTION_STATUS_OFFSET) & PST_FUNCTION_STATUS_LINK_UP_MASK;
  };
  EXPECT_EQ(link(rig.a), 0u);
  EXPECT_EQ(link(rig.b), 0u);
  arrive(rig.a, Rig::frame_for_a());
  rig.vi->send(udp_frame());
  run_ns(5000);
  EXPECT_EQ(rig.a.counter("drops.TX_LINK_DOWN"), 1u);
  EXPECT_EQ(rig.a.counter("rx.frames"), 0u);
  EXPECT_TRUE(rig.a.wire.empty());
  EXPECT_EQ(rig.vi->events().size(), 1u);  // the packet completes
  run_ns(20000);
  EXPECT_NE(link(rig.a), 0u);
  EXPECT_NE(link(rig.b), 0u);
  arrive(rig.a, Rig::frame_for_a());
  rig.expect_other_works();
  EXPECT_EQ(rig.a.counter("rx.delivered"), 1u);
  ASSERT_EQ(rig.log.entries.size(), 2u);
  EXPECT_EQ(rig.log.entries[0].fault.kind, FaultKind::kLinkDown);
  EXPECT_EQ(rig.log.entries[0].fault.detail, 20000u);
  EXPECT_EQ(rig.log.entries[1].fault.kind, FaultKind::kLinkUp);
  EXPECT_EQ(rig.log.entries[1].time_ps - rig.log.entries[0].time_ps, 20000000u);
}

TEST(FaultsPortTest, FrameWhoseFirstBitsWereLostDoesNotArrive) {
  Rig rig;
  rig.set("link_down_ns", 10000);
  rig.set_in("link_down_at_ns", 1000);
  run_ns(11010);  // up again for 10 ns; the frame takes 58 ns
  arrive(rig.a, Rig::frame_for_a());
  run_ns(100);
  EXPECT_EQ(rig.a.counter("rx.frames"), 0u);
  arrive(rig.a, Rig::frame_for_a());
  EXPECT_EQ(rig.a.counter("rx.frames"), 1u);
}

std::vector<uint64_t> outages(double seed, double jitter_ns) {
  Rig rig;
  rig.set("seed", seed);
  rig.set("link_down_ns", 2000);
  rig.set("link_down_jitter_ns", jitter_ns);
  rig.set("link_down_period_ns", 100000);
  std::vector<uint64_t> times;
  run_ns(1001000 - now_ps() / 1000);
  for (const FaultLog::Entry& entry : rig.log.entries) {
    if (entry.fault.kind == FaultKind::kLinkDown) times.push_back(entry.time_ps / 1000);
  }
  return times;
}

TEST(FaultsPortTest, OutagesRepeatWithSeededJitter) {
  const std::vector<uint64_t> regular = outages(1, 0);
  ASSERT_EQ(regular.size(), 10u);
  for (size_t i = 0; i < regular.size(); ++i) EXPECT_EQ(regular[i], (i + 1) * 100000);
  const std::vector<uint64_t> jittered = outages(1, 50000);
  ASSERT_GE(jittered.size(), 9u);
  for (size_t i = 0; i < jittered.size(); ++i) {
    EXPECT_GE(jittered[i], (i + 1) * 100000);
    EXPECT_LE(jittered[i], (i + 1) * 100000 + 50000);
  }
  EXPECT_EQ(jittered, outages(1, 50000));
  EXPECT_NE(jittered, outages(2, 50000));
}

TEST(FaultsPortTest, DamagedFrameIsCountedOnceAndTheSendersCopyStaysGood) {
  Rig rig;
  rig.receive_all(*rig.vi);
  rig.set("bad_fcs_probability", 1);
  const sim::FramePtr frame = arrive(rig.a, Rig::frame_for_a());
  run_ns(5000);
  EXPECT_FALSE(rig.vi->has_event());
  EXPECT_FALSE(frame->bad_fcs);
  EXPECT_EQ(rig.a.counter("drops.RX_BAD_FCS"), 1u);
  EXPECT_EQ(rig.a.drops_total("RX"), 1u);
  EXPECT_EQ(rig.log.count(FaultKind::kBadFcs), 1u);
  rig.set("bad_fcs_probability", 0);
  arrive(rig.a, Rig::frame_for_a());
  run_ns(5000);
  EXPECT_TRUE(rig.vi->has_event());
}

// A port without PAUSE only counts them; one with it stops sending. No VI ever sees one.
TEST(FaultsPortTest, PauseFramesArriveAndReachNoVi) {
  Rig rig;
  rig.receive_all(*rig.vi);
  const bool obeys = (rig.a.read32(PST_FUNCTION_FEATURES_OFFSET) & PST_FUNCTION_FEATURES_PAUSE_MASK) != 0;
  if (obeys) {
    pst_command c = make_command(PST_COMMAND_PORT_CONFIG);
    pst_port_config_set_mtu_bytes(&c, 1500);
    pst_port_config_set_pause(&c, 1);
    ASSERT_EQ(rig.a.status(c), static_cast<uint32_t>(PST_ERROR_CODE_OK));
  }
  rig.set("pause_quanta", 1000);  // 51.2 us at 10 Gb/s
  rig.set_in("pause_at_ns", 1000);
  rig.set("pause_period_ns", 200000);
  run_ns(1500);
  ASSERT_EQ(rig.log.count(FaultKind::kPauseFrame), 1u);
  rig.other->send(udp_frame());
  run_ns(40000);
  EXPECT_EQ(rig.a.wire.size(), obeys ? 0u : 1u);
  run_ns(20000);
  EXPECT_EQ(rig.a.wire.size(), 1u);
  run_ns(400000);
  EXPECT_EQ(rig.log.count(FaultKind::kPauseFrame), 3u);
  EXPECT_FALSE(rig.vi->has_event());
}

// --- the whole card --------------------------------------------------------------------------------------------------

TEST(FaultsPortTest, RemovedCardAnswersNothingAndDoesNothing) {
  Rig rig;
  rig.a.peer = &rig.b;
  rig.receive_all(*rig.vi);
  for (int i = 0; i < 64; ++i) rig.other->queue_tx(udp_frame());
  rig.other->ring_tx();
  rig.other->prime();
  rig.set_in("removal_at_ns", 1500);  // some frames have left, the others are being read
  rig.a.record_dma = true;
  run_ns(1501);
  const size_t dma = rig.a.dma.size(), frames = rig.a.wire.size(), interrupts = rig.a.interrupts.size();
  EXPECT_GT(dma, 0u);
  EXPECT_LT(frames, 64u);
  EXPECT_EQ(rig.log.count(FaultKind::kSurpriseRemoval), 1u);
  EXPECT_EQ(rig.a.read32(PST_FUNCTION_MAGIC_OFFSET), 0xffffffffu);
  EXPECT_EQ(rig.a.bar_read(PST_BAR_VI, PST_VI_RX_DOORBELL_OFFSET, 4), 0xffffffffu);
  EXPECT_EQ(rig.a.bar_read(PST_BAR_MSIX, 0, 8), ~0ull);
  EXPECT_EQ(rig.b.read32(PST_FUNCTION_STATUS_OFFSET) & PST_FUNCTION_STATUS_LINK_UP_MASK, 0u);
  rig.vi->send(udp_frame());
  arrive(rig.a, Rig::frame_for_a());
  rig.a.write32(PST_FUNCTION_RESET_OFFSET, PST_RESET_KEY);
  rig.a.device().function_reset();
  run_ns(1000000);
  EXPECT_EQ(rig.a.dma.size(), dma);
  EXPECT_EQ(rig.a.wire.size(), frames);
  EXPECT_EQ(rig.a.interrupts.size(), interrupts);
  EXPECT_EQ(rig.a.read32(PST_FUNCTION_STATUS_OFFSET), 0xffffffffu);
}

TEST(FaultsPortTest, ResetWithDmaInFlightLetsNothingLand) {
  Rig rig;
  rig.receive_all(*rig.vi);
  const uint64_t generation = rig.a.read32(PST_CLOCK_PAGE_OFFSET + PST_CLOCK_GENERATION_OFFSET);
  for (int i = 0; i < 64; ++i) rig.other->queue_tx(udp_frame());
  rig.other->ring_tx();
  rig.set_in("function_reset_at_ns", 1500);
  run_ns(1450);
  arrive(rig.a, Rig::frame_for_a());
  run_ns(51);
  rig.a.record_dma = true;
  const size_t frames = rig.a.wire.size();
  ASSERT_EQ(rig.log.count(FaultKind::kFunctionReset), 1u);
  EXPECT_EQ(rig.a.read32(PST_FUNCTION_STATUS_OFFSET) & PST_FUNCTION_STATUS_READY_MASK, 0u);
  run_ns(20000);
  EXPECT_TRUE(rig.a.dma.empty());  // R10
  EXPECT_EQ(rig.a.wire.size(), frames);
  EXPECT_FALSE(rig.vi->has_event());
  EXPECT_EQ(rig.a.stopped.size(), 2u);
  EXPECT_NE(rig.a.read32(PST_FUNCTION_STATUS_OFFSET) & PST_FUNCTION_STATUS_READY_MASK, 0u);
  EXPECT_EQ(rig.a.read32(PST_CLOCK_PAGE_OFFSET + PST_CLOCK_GENERATION_OFFSET), generation + 1);
  EXPECT_EQ(rig.a.counter("faults.function_reset"), 1u);
  rig.a.enable_admin();
  TestVi again(rig.a, 0);
  EXPECT_EQ(again.alloc_status, static_cast<uint32_t>(PST_ERROR_CODE_OK));
}

TEST(FaultsPortTest, ResetsRepeatAndKeepWhatElseIsPlanned) {
  Rig rig;
  rig.set_in("function_reset_at_ns", 10000);
  rig.set("function_reset_period_ns", 30000);
  rig.set("link_down_ns", 40000);
  rig.set_in("link_down_at_ns", 5000);
  run_ns(105000);
  EXPECT_EQ(rig.log.count(FaultKind::kFunctionReset), 4u);
  EXPECT_EQ(rig.log.count(FaultKind::kLinkDown), 1u);
  EXPECT_EQ(rig.log.count(FaultKind::kLinkUp), 1u);
}

// --- determinism -----------------------------------------------------------------------------------------------------

struct RunTrace {
  std::vector<uint64_t> frame_ps;
  std::vector<std::pair<uint64_t, unsigned>> faults;
  bool operator==(const RunTrace& o) const { return frame_ps == o.frame_ps && faults == o.faults; }
};

RunTrace run_with_seed(double seed) {
  Rig rig;
  rig.receive_all(*rig.vi);
  rig.set("seed", seed);
  rig.set("bad_fcs_probability", 0.3);
  rig.set("msix_lost_probability", 0.2);
  rig.set("msix_delayed_probability", 0.2);
  rig.set("poisoned_probability", 0.02);
  rig.set("link_down_ns", 3000);
  rig.set("link_down_jitter_ns", 10000);
  rig.set("link_down_period_ns", 40000);
  RunTrace trace;
  for (int i = 0; i < 60; ++i) {
    arrive(rig.a, Rig::frame_for_a());
    rig.vi->prime();
    rig.other->send(udp_frame());
    run_ns(5000);
    rig.vi->events();
    rig.vi->post_rx(1);
    rig.other->events();
    rig.other->return_space();
  }
  for (const WireFrame& frame : rig.a.wire) trace.frame_ps.push_back(frame.time_ps);
  for (const FaultLog::Entry& entry : rig.log.entries) {
    trace.faults.emplace_back(entry.time_ps, static_cast<unsigned>(entry.fault.kind));
  }
  return trace;
}

TEST(FaultsPortTest, EqualSeedsGiveEqualRuns) {
  const RunTrace first = run_with_seed(7);
  EXPECT_GT(first.faults.size(), 20u);
  EXPECT_TRUE(first == run_with_seed(7));
  EXPECT_FALSE(first == run_with_seed(8));
}

}  // namespace
}  // namespace postern::hw_model::test
