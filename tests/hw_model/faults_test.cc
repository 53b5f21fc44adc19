// Injected faults: each alone with the outcome that docs/faults.md gives it, seen over the real sockets.
#include <gtest/gtest.h>

#include "tests/hw_model/nic_bench.h"

namespace postern::hw_model::test {
namespace {

using sim::FaultKind;
using sim::InjectedFault;

constexpr uint64_t kAddressA = 0x0a00004e5002ull;

struct FaultLog : sim::FaultObserver {
  struct Entry {
    uint64_t time_ps;
    InjectedFault fault;
  };
  void fault_injected(const InjectedFault& fault) override { entries.push_back({now_ps(), fault}); }
  [[nodiscard]] size_t count(FaultKind kind) const {
    size_t sum = 0;
    for (const Entry& entry : entries) sum += entry.fault.kind == kind ? 1 : 0;
    return sum;
  }
  std::vector<Entry> entries;
};

// One NIC with a VI that is hit and one beside it.
struct Rig {
  Rig() : a("a", kMacA), b("b", kMacB, 4096) {
    a.nic.set_fault_observer(&log);
    a.enable_admin();
    ViOptions options;
    options.vector = 3;
    vi = std::make_unique<TestVi>(a, 0, options);
    options.vector = 4;
    other = std::make_unique<TestVi>(a, 1, options);
  }
  void set(const char* name, double value) {
    EXPECT_TRUE(a.nic.set_property(std::string("fault.") + name, value)) << name;
  }
  void set_in(const char* name, uint64_t delay_ns) { set(name, static_cast<double>(now_ps() / 1000 + delay_ns)); }
  void expect_error(TestVi& hit, unsigned source, unsigned code) {
    const auto event = hit.next_event();
    ASSERT_TRUE(event.has_value());
    ASSERT_EQ(pst_event_get_type(&*event), PST_EVENT_TYPE_ERROR);
    const pst_error_event error{{event->word[0], event->word[1]}};
    EXPECT_EQ(pst_error_event_get_source(&error), source);
    EXPECT_EQ(pst_error_event_get_code(&error), code);
    EXPECT_FALSE(hit.has_event());
  }
  // The VI beside the one that was hit sends and gets its completion.
  void expect_other_works() {
    const size_t before = a.wire.size();
    other->send(udp_frame());
    run_ns(5000);
    EXPECT_EQ(a.wire.size(), before + 1);
    const auto event = other->next_event();
    ASSERT_TRUE(event.has_value());
    EXPECT_EQ(pst_event_get_type(&*event), PST_EVENT_TYPE_TX);
  }
  void receive_all(TestVi& receiver) {
    ASSERT_EQ(receiver.add_filter(PST_FILTER_MATCH_MAC,
                                  [](pst_command& c) { pst_filter_insert_set_local_address_lo(&c, kAddressA); }),
              static_cast<uint32_t>(PST_ERROR_CODE_OK));
    receiver.post_rx(16);
    run_ns(3000);
  }
  static std::vector<uint8_t> frame_for_a() {
    UdpSpec spec;
    spec.destination = kMacA;
    spec.source = kMacB;
    return udp_frame(spec);
  }
  // Lets time pass until the log has count entries.
  void run_until_faults(size_t count) {
    for (int tries = 0; tries < 10000 && log.entries.size() < count; ++tries) run_ns(10);
    ASSERT_EQ(log.entries.size(), count);
  }
  uint32_t admin_status() { return static_cast<uint32_t>(a.read32(PST_FUNCTION_ADMIN_STATUS_OFFSET)); }

  FreshKernel kernel;
  FaultLog log;
  Node a;
  Node b;  // at the other end of the wire if a test connects it
  std::unique_ptr<TestVi> vi, other;
};

TEST(FaultsTest, EveryPropertyIsDocumentedAndOffByDefault) {
  Rig rig;
  size_t count = 0;
  for (const sim::Property& property : rig.a.nic.properties()) {
    if (property.name.rfind("fault.", 0) != 0) continue;
    ++count;
    EXPECT_FALSE(property.doc.empty()) << property.name;
    EXPECT_FALSE(property.source.empty()) << property.name;
    if (property.name.find("probability") != std::string::npos || property.name.find("_at_ns") != std::string::npos ||
        property.name.find("period") != std::string::npos) {
      EXPECT_EQ(property.value, 0) << property.name;
    }
  }
  EXPECT_GE(count, 20u);
  EXPECT_FALSE(rig.a.nic.set_property("fault.poisoned_probability", 1.5));
  EXPECT_FALSE(rig.a.nic.set_property("fault.no_such_thing", 1));
  rig.receive_all(*rig.vi);
  arrive(rig.a, Rig::frame_for_a());
  rig.vi->send(udp_frame());
  run_ns(10000);
  EXPECT_EQ(rig.vi->events().size(), 2u);
  EXPECT_TRUE(rig.log.entries.empty());
  EXPECT_EQ(rig.a.counter("faults.poisoned_completion"), 0u);
}

// --- DMA reads -------------------------------------------------------------------------------------------------------

TEST(FaultsTest, PoisonedDescriptorsHaltTheirViAlone) {
  Rig rig;
  rig.set("dma_vi", rig.vi->id);
  rig.set("poisoned_probability", 1);
  rig.vi->send(udp_frame());
  run_ns(5000);
  rig.expect_error(*rig.vi, PST_ERROR_SOURCE_TX, PST_ERROR_CODE_POISONED);
  EXPECT_TRUE(rig.a.wire.empty());
  rig.vi->post_rx(4);  // a halted VI fetches nothing
  rig.expect_other_works();
  ASSERT_EQ(rig.log.entries.size(), 1u);
  EXPECT_EQ(rig.log.entries[0].fault.kind, FaultKind::kPoisonedCompletion);
  EXPECT_EQ(rig.log.entries[0].fault.vi_id, rig.vi->id);
  EXPECT_EQ(rig.log.entries[0].fault.detail, rig.vi->base + kTxRing);
  EXPECT_EQ(rig.a.counter("faults.poisoned_completion"), 1u);
}

TEST(FaultsTest, PoisonedReceiveDescriptorsNameTheReceiveRing) {
  Rig rig;
  rig.set("dma_vi", rig.vi->id);
  rig.set("poisoned_probability", 1);
  rig.vi->post_rx(4);
  run_ns(5000);
  rig.expect_error(*rig.vi, PST_ERROR_SOURCE_RX, PST_ERROR_CODE_POISONED);
  rig.expect_other_works();
}

TEST(FaultsTest, PoisonedPayloadDropsThePacketOnceAndHaltsTheVi) {
  Rig rig;
  rig.set("dma_vi", rig.vi->id);
  rig.vi->queue_tx(udp_frame());
  rig.vi->queue_tx(udp_frame());
  rig.vi->ring_tx();
  run_ns(300);  // the descriptors are being read
  rig.set("poisoned_probability", 1);
  run_ns(5000);
  rig.expect_error(*rig.vi, PST_ERROR_SOURCE_TX, PST_ERROR_CODE_POISONED);
  EXPECT_TRUE(rig.a.wire.empty());
  EXPECT_EQ(rig.a.counter("tx.packets"), 2u);
  EXPECT_EQ(rig.a.counter("drops.TX_DMA_FAULT"), 1u);
  EXPECT_EQ(rig.a.counter("drops.TX_VI_HALTED"), 1u);
  rig.expect_other_works();
  ASSERT_EQ(rig.a.status(make_command(PST_COMMAND_VI_RESET, rig.vi->id)), static_cast<uint32_t>(PST_ERROR_CODE_OK));
}

TEST(FaultsTest, PoisonedAdminCommandStopsTheAdminQueue) {
  Rig rig;
  rig.set("dma_vi", -2);
  rig.set("poisoned_probability", 1);
  const uint32_t idx = rig.a.submit(make_command(PST_COMMAND_NOP));
  run_ns(5000);
  EXPECT_FALSE(rig.a.completion(idx).has_value());
  EXPECT_EQ(rig.admin_status(), static_cast<uint32_t>(PST_ERROR_CODE_POISONED));
  rig.expect_other_works();
  rig.set("poisoned_probability", 0);
  rig.a.write32(PST_FUNCTION_ADMIN_ENABLE_OFFSET, 0);
  rig.a.enable_admin();
  EXPECT_EQ(rig.a.status(make_command(PST_COMMAND_NOP)), static_cast<uint32_t>(PST_ERROR_CODE_OK));
}

TEST(FaultsTest, UnansweredDescriptorReadHaltsTheViAfterTheTimeout) {
  Rig rig;
  rig.set("completion_timeout_ns", 50000);
  rig.set("dma_vi", rig.vi->id);
  rig.set("completion_timeout_probability", 1);
  rig.vi->send(udp_frame());
  run_ns(49000);
  EXPECT_FALSE(rig.vi->has_event());
  rig.expect_other_works();
  EXPECT_EQ(rig.log.count(FaultKind::kCompletionTimeout), 1u);
  rig.expect_error(*rig.vi, PST_ERROR_SOURCE_TX, PST_ERROR_CODE_COMPLETION_TIMEOUT);
}

TEST(FaultsTest, UnansweredPayloadReadHoldsUpNoOtherVi) {
  Rig rig;
  rig.set("completion_timeout_ns", 50000);
  rig.set("dma_vi", rig.vi->id);
  for (int i = 0; i < 3; ++i) rig.vi->queue_tx(udp_frame());
  rig.vi->ring_tx();
  run_ns(300);
  rig.set("completion_timeout_probability", 1);
  run_ns(2000);
  rig.set("completion_timeout_probability", 0);
  rig.expect_other_works();
  EXPECT_FALSE(rig.vi->has_event());
  run_ns(50000);
  rig.expect_error(*rig.vi, PST_ERROR_SOURCE_TX, PST_ERROR_CODE_COMPLETION_TIMEOUT);
  EXPECT_EQ(rig.a.counter("drops.TX_DMA_FAULT"), 1u);
  EXPECT_EQ(rig.a.counter("drops.TX_VI_HALTED"), 2u);
  EXPECT_EQ(rig.a.wire.size(), 1u);
  rig.expect_other_works();
}

TEST(FaultsTest, UnansweredReadKeepsItsTag) {
  Rig rig;
  EXPECT_TRUE(rig.a.nic.set_property("pcie_link.tags", 1));
  rig.set("completion_timeout_ns", 50000);
  rig.set("dma_vi", rig.vi->id);
  rig.set("completion_timeout_probability", 1);
  rig.vi->send(udp_frame());
  run_ns(1000);
  rig.other->send(udp_frame());  // needs the only tag
  run_ns(40000);
  EXPECT_TRUE(rig.a.wire.empty());
  run_ns(20000);
  EXPECT_EQ(rig.a.wire.size(), 1u);
}

TEST(FaultsTest, OtherTagsGoOnWhileOneIsLost) {
  Rig rig;
  EXPECT_TRUE(rig.a.nic.set_property("pcie_link.tags", 2));
  rig.set("completion_timeout_ns", 50000);
  rig.set("dma_vi", rig.vi->id);
  rig.set("completion_timeout_probability", 1);
  rig.vi->send(udp_frame());
  run_ns(1000);
  for (int i = 0; i < 4; ++i) rig.expect_other_works();
  EXPECT_FALSE(rig.vi->has_event());
}

TEST(FaultsTest, TeardownWaitsForAnUnansweredRead) {
  Rig rig;
  rig.set("completion_timeout_ns", 50000);
  rig.set("dma_vi", rig.vi->id);
  rig.set("completion_timeout_probability", 1);
  rig.vi->send(udp_frame());
  run_ns(1000);
  const uint32_t idx = rig.a.submit(make_command(PST_COMMAND_VI_FREE, rig.vi->id));
  run_ns(40000);
  EXPECT_FALSE(rig.a.completion(idx).has_value());
  run_ns(15000);
  EXPECT_TRUE(rig.a.completion(idx).has_value());
  EXPECT_FALSE(rig.vi->has_event());  // R10
}

TEST(FaultsTest, UnansweredAdminCommandStopsTheAdminQueueAfterTheTimeout) {
  Rig rig;
  rig.set("completion_timeout_ns", 50000);
  rig.set("dma_vi", -2);
  rig.set("completion_timeout_probability", 1);
  rig.a.submit(make_command(PST_COMMAND_NOP));
  run_ns(40000);
  EXPECT_EQ(rig.admin_status(), static_cast<uint32_t>(PST_ERROR_CODE_OK));
  run_ns(20000);
  EXPECT_EQ(rig.admin_status(), static_cast<uint32_t>(PST_ERROR_CODE_COMPLETION_TIMEOUT));
}

TEST(FaultsTest, UnmappedReadIsADmaFault) {
  Rig rig;
  rig.set("dma_vi", rig.vi->id);
  rig.set("unmapped_read_probability", 1);
  rig.vi->send(udp_frame());
  run_ns(5000);
  rig.expect_error(*rig.vi, PST_ERROR_SOURCE_TX, PST_ERROR_CODE_DMA_FAULT);
  EXPECT_EQ(rig.log.count(FaultKind::kUnmappedAddress), 1u);
  rig.expect_other_works();
}

// --- DMA writes ------------------------------------------------------------------------------------------------------

TEST(FaultsTest, UnmappedPayloadWriteDropsTheFrameOnceAndHaltsTheVi) {
  Rig rig;
  rig.receive_all(*rig.vi);
  rig.set("dma_vi", rig.vi->id);
  rig.set("unmapped_write_probability", 1);
  std::memset(rig.vi->rx_buffer(0), 0xee, 64);
  arrive(rig.a, Rig::frame_for_a());
  rig.run_until_faults(1);
  rig.set("unmapped_write_probability", 0);
  run_ns(5000);
  rig.expect_error(*rig.vi, PST_ERROR_SOURCE_RX, PST_ERROR_CODE_DMA_FAULT);
  EXPECT_EQ(*rig.vi->rx_buffer(0), 0xee);  // no byte moved
  EXPECT_EQ(rig.a.counter("drops.RX_DMA_FAULT"), 1u);
  EXPECT_EQ(rig.a.drops_total("RX"), 1u);
  rig.expect_other_works();
}

TEST(FaultsTest, UnmappedEventWriteHaltsTheViAndLeavesNoGapInItsQueue) {
  Rig rig;
  rig.set("dma_vi", rig.vi->id);
  rig.set("unmapped_write_probability", 1);
  rig.vi->send(udp_frame());
  rig.run_until_faults(1);
  rig.set("unmapped_write_probability", 0);
  run_ns(5000);
  rig.expect_error(*rig.vi, PST_ERROR_SOURCE_EVQ, PST_ERROR_CODE_DMA_FAULT);
  EXPECT_EQ(rig.a.counter("events_lost"), 1u);
  rig.expect_other_works();
}

TEST(FaultsTest, UnmappedAdminCompletionStopsTheAdminQueue) {
  Rig rig;
  rig.set("dma_vi", -2);
  rig.set("unmapped_write_probability", 1);
  const uint32_t idx = rig.a.submit(make_command(PST_COMMAND_NOP));
  run_ns(5000);
  EXPECT_FALSE(rig.a.completion(idx).has_value());
  EXPECT_EQ(rig.admin_status(), static_cast<uint32_t>(PST_ERROR_CODE_DMA_FAULT));
}

// --- MSI-X -----------------------------------------------------------------------------------------------------------

TEST(FaultsTest, LostMessageIsSentAndNeverArrives) {
  Rig rig;
  const uint64_t sent_before = rig.a.counter("interrupts");
  rig.set("msix_lost_probability", 1);
  rig.vi->prime();
  rig.vi->send(udp_frame());
  run_ns(20000);
  EXPECT_EQ(rig.vi->events().size(), 1u);  // the event itself is there for a poller
  EXPECT_TRUE(rig.a.interrupts.empty());
  EXPECT_EQ(rig.a.counter("interrupts"), sent_before + 1);
  ASSERT_EQ(rig.log.count(FaultKind::kMsixLost), 1u);
  EXPECT_EQ(rig.log.entries[0].fault.detail, 3u);
  rig.set("msix_lost_probability", 0);
  rig.vi->send(udp_frame());
  run_ns(5000);
  EXPECT_TRUE(rig.a.interrupts.empty());  // R7: that prime has had its interrupt
  rig.vi->prime();                        // R6: an event beyond the index exists, so it fires at once
  run_ns(5000);
  EXPECT_EQ(rig.a.interrupts.size(), 1u);
}

TEST(FaultsTest, DelayedMessagesOfOneVectorStayInOrder) {
  Rig rig;
  rig.set("msix_delay_ns", 30000);
  rig.set("msix_delayed_probability", 1);
  rig.vi->prime();
  rig.vi->send(udp_frame());
  rig.run_until_faults(1);
  const uint64_t due_ps = rig.log.entries[0].time_ps + 30000000;
  EXPECT_TRUE(rig.vi->has_event());  // R3
  rig.set("msix_delayed_probability", 0);
  rig.vi->events();
  rig.vi->prime();
  rig.vi->send(udp_frame());
  rig.other->prime();
  rig.other->send(udp_frame());
  run_ns(20000);
  ASSERT_EQ(rig.a.interrupts.size(), 1u);  // another vector is not held up
  EXPECT_EQ(rig.a.interrupts[0].vector, 4u);
  run_ns(30000);
  ASSERT_EQ(rig.a.interrupts.size(), 3u);
  EXPECT_EQ(rig.a.interrupts[1].time_ps, due_ps);
  EXPECT_EQ(rig.a.interrupts[2].time_ps, due_ps);
  ASSERT_EQ(rig.log.count(FaultKind::kMsixDelayed), 2u);  // also the one that waited behind it
  EXPECT_EQ(rig.log.entries[0].fault.detail, 30000u);
  EXPECT_EQ(rig.log.entries[1].fault.detail, (due_ps - rig.log.entries[1].time_ps) / 1000);
}

// --- context ---------------------------------------------------------------------------------------------------------

TEST(FaultsTest, ContextErrorAtADoorbellHaltsTheViAndWakesItsSleeper) {
  Rig rig;
  rig.set("context_ecc_probability", 1);
  rig.vi->prime();
  run_ns(5000);
  rig.expect_error(*rig.vi, PST_ERROR_SOURCE_CONTEXT, PST_ERROR_CODE_ECC);
  EXPECT_EQ(rig.a.interrupts.size(), 1u);
  rig.vi->return_space();  // a halted VI fails no second time
  run_ns(5000);
  EXPECT_EQ(rig.log.entries.size(), 1u);
  rig.set("context_ecc_probability", 0);
  rig.expect_other_works();
}

TEST(FaultsTest, ContextErrorAtATimeHitsTheChosenVi) {
  Rig rig;
  rig.set("context_ecc_vi", rig.vi->id);
  rig.set_in("context_ecc_at_ns", 10000);
  run_ns(9000);
  EXPECT_FALSE(rig.vi->has_event());
  run_ns(2000);
  rig.expect_error(*rig.vi, PST_ERROR_SOURCE_CONTEXT, PST_ERROR_CODE_ECC);
  EXPECT_EQ(rig.log.entries.at(0).fault.vi_id, rig.vi->id);
  rig.expect_other_works();
  ASSERT_EQ(rig.a.status(make_command(PST_COMMAND_VI_RESET, rig.vi->id)), static_cast<uint32_t>(PST_ERROR_CODE_OK));
  run_ns(100000);
  EXPECT_EQ(rig.log.entries.size(), 1u);
}

// --- wire ------------------------------------------------------------------------------------------------------------

TEST(FaultsTest, LinkGoesDownAndComesBackAtBothEnds) {
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

TEST(FaultsTest, FrameWhoseFirstBitsWereLostDoesNotArrive) {
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

TEST(FaultsTest, OutagesRepeatWithSeededJitter) {
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

TEST(FaultsTest, DamagedFrameIsCountedOnceAndTheSendersCopyStaysGood) {
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

// A port without PAUSE treats them as frames for nobody; one with it stops sending. No VI ever sees one.
TEST(FaultsTest, PauseFramesArriveAndReachNoVi) {
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

TEST(FaultsTest, RemovedCardAnswersNothingAndDoesNothing) {
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
  rig.a.nic.function_reset();
  run_ns(1000000);
  EXPECT_EQ(rig.a.dma.size(), dma);
  EXPECT_EQ(rig.a.wire.size(), frames);
  EXPECT_EQ(rig.a.interrupts.size(), interrupts);
  EXPECT_EQ(rig.a.read32(PST_FUNCTION_STATUS_OFFSET), 0xffffffffu);
}

TEST(FaultsTest, ResetWithDmaInFlightLetsNothingLand) {
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

TEST(FaultsTest, ResetsRepeatAndKeepWhatElseIsPlanned) {
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

TEST(FaultsTest, EqualSeedsGiveEqualRuns) {
  const RunTrace first = run_with_seed(7);
  EXPECT_GT(first.faults.size(), 20u);
  EXPECT_TRUE(first == run_with_seed(7));
  EXPECT_FALSE(first == run_with_seed(8));
}

}  // namespace
}  // namespace postern::hw_model::test
