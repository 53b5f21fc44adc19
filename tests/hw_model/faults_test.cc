// Injected faults of PCIe and of VI contexts: each alone with the outcome that docs/faults.md gives it, over the real
// sockets. Those of the wire and of the whole card: faults_port_test.cc.
#include "tests/hw_model/faults_rig.h"

namespace postern::hw_model::test {
namespace {

using Rig = FaultRig;

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

TEST(FaultsTest, UnansweredReadOfALongPacketLeavesTheTransmitBufferToOthers) {
  constexpr uint32_t kPacketBytes = 60000;
  Rig rig;
  ASSERT_TRUE(rig.a.nic.set_property("tx_dma.buffer_bytes", 16384));
  rig.set("completion_timeout_ns", 50000);
  rig.set("dma_vi", rig.vi->id);
  pst_tx_option_desc option{};
  pst_tx_option_desc_set_type(&option, PST_TX_DESC_TYPE_OPTION);
  pst_tx_option_desc_set_mss_bytes(&option, 1000);
  rig.vi->queue_desc({{option.word[0], option.word[1]}});
  pst_tx_desc desc{};
  pst_tx_desc_set_address(&desc, kTxBuffers);
  pst_tx_desc_set_length_bytes(&desc, kPacketBytes);
  pst_tx_desc_set_end_of_packet(&desc, 1);
  pst_tx_desc_set_segment(&desc, 1);
  rig.vi->queue_desc(desc);
  rig.vi->ring_tx();
  run_ns(300);  // its descriptors are on their way
  rig.set("completion_timeout_probability", 1);
  run_ns(2000);
  rig.set("completion_timeout_probability", 0);
  rig.expect_other_works();
  run_ns(50000);
  rig.expect_error(*rig.vi, PST_ERROR_SOURCE_TX, PST_ERROR_CODE_COMPLETION_TIMEOUT);
  EXPECT_EQ(rig.a.counter("drops.TX_DMA_FAULT"), 1u);
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

// The first command's queue is stopped while it waits for the last DMA; the second one finishes its work.
TEST(FaultsTest, TeardownThatIsAskedForAgainByANewAdminQueueHappensOnce) {
  for (const unsigned opcode : {PST_COMMAND_VI_RESET, PST_COMMAND_VI_FREE}) {
    Rig rig;
    rig.set("completion_timeout_ns", 50000);
    rig.set("dma_vi", rig.vi->id);
    rig.set("completion_timeout_probability", 1);
    rig.vi->send(udp_frame());
    run_ns(1000);
    rig.a.submit(make_command(PST_COMMAND_VI_FREE, rig.vi->id));
    run_ns(5000);
    rig.a.write32(PST_FUNCTION_ADMIN_ENABLE_OFFSET, 0);
    run_ns(1000);
    std::memset(rig.a.memory.data() + kAdminCq, 0, 64 * PST_ADMIN_COMPLETION_BYTES);
    rig.a.enable_admin();
    EXPECT_EQ(rig.a.status(make_command(opcode, rig.vi->id)), static_cast<uint32_t>(PST_ERROR_CODE_OK));
    rig.set("completion_timeout_probability", 0);
    EXPECT_EQ(rig.a.counter("vi.active"), opcode == PST_COMMAND_VI_FREE ? 1u : 2u);
    EXPECT_EQ(rig.a.stopped, std::vector<uint32_t>{rig.vi->id});
    if (opcode == PST_COMMAND_VI_FREE) {
      EXPECT_EQ(rig.a.status(make_command(opcode, rig.vi->id)), static_cast<uint32_t>(PST_ERROR_CODE_NOT_FOUND));
    }
    rig.expect_other_works();
  }
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

// Three events of the VI that is hit are in flight, and the first of their writes will fail.
void put_events_in_flight(Rig& rig) {
  ASSERT_TRUE(rig.a.nic.set_property("pcie_link.memory_write_ns", 20000));
  for (int i = 0; i < 3; ++i) rig.vi->queue_tx(udp_frame(), [](pst_tx_desc& d) { pst_tx_desc_set_complete(&d, 1); });
  rig.vi->ring_tx();
  run_ns(5000);
  ASSERT_EQ(rig.a.counter("vi0.events"), 3u);
  rig.set("dma_vi", rig.vi->id);
  rig.set("unmapped_write_probability", 1);
}

TEST(FaultsTest, ErrorEventOfAHaltedViMovesUpToTheEventThatCouldNotBeWritten) {
  Rig rig;
  put_events_in_flight(rig);
  rig.vi->doorbell(PST_VI_RX_DOORBELL_OFFSET, 100000);
  rig.run_until_faults(1);
  rig.set("unmapped_write_probability", 0);
  run_ns(50000);
  rig.expect_error(*rig.vi, PST_ERROR_SOURCE_DOORBELL, PST_ERROR_CODE_BAD_DOORBELL);
  EXPECT_EQ(rig.log.count(FaultKind::kUnmappedAddress), 1u);
  for (uint32_t slot = 1; slot < 8; ++slot) {  // what was issued behind it does not land after it
    EXPECT_EQ(rig.a.at<pst_event>(rig.vi->base + kEvq + slot * PST_EVENT_BYTES).word[1], 0u) << slot;
  }
}

TEST(FaultsTest, EventsBehindOneThatCouldNotBeWrittenDoNotLandWhileTheViStops) {
  for (const unsigned opcode : {PST_COMMAND_VI_RESET, PST_COMMAND_VI_FREE}) {
    Rig rig;
    ASSERT_TRUE(rig.a.nic.set_property("admin.command_ns", 10000));
    const uint32_t idx = rig.a.submit(make_command(opcode, rig.vi->id));
    run_ns(2000);  // fetched: its read would wait for the events
    put_events_in_flight(rig);
    rig.run_until_faults(1);
    rig.set("unmapped_write_probability", 0);
    run_ns(50000);
    ASSERT_TRUE(rig.a.completion(idx).has_value());
    for (uint32_t slot = 0; slot < 8; ++slot) {
      EXPECT_EQ(rig.a.at<pst_event>(rig.vi->base + kEvq + slot * PST_EVENT_BYTES).word[1], 0u) << slot;
    }
  }
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

}  // namespace
}  // namespace postern::hw_model::test
