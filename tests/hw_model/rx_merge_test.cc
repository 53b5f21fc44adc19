// RX events that complete several frames (the merging part of rx_dma): what merges, when an event closes, order (R3),
// space (R5), accounting (R11), teardown (R10).
#include <gtest/gtest.h>

#include "tests/hw_model/nic_bench.h"

namespace postern::hw_model::test {
namespace {

constexpr uint64_t kWaitNs = 20000;  // long against the gaps between frames

ViOptions merging(uint32_t count, uint32_t policy = PST_EVQ_POLICY_STALL) {
  ViOptions options;
  options.rx_prefix = true;
  options.merge_count = count;
  options.policy = policy;
  options.evq_entries = 128;
  options.rx_entries = 512;
  options.vector = 3;
  return options;
}

struct Rig {
  explicit Rig(const ViOptions& options, uint32_t buffers = 256, uint32_t buffer_bytes = 2048) : a("a", kMacA) {
    EXPECT_TRUE(a.nic.set_property("event_queue.merge_wait_ns", kWaitNs));
    a.enable_admin();
    vi = std::make_unique<TestVi>(a, 0, options);
    EXPECT_EQ(vi->add_filter(PST_FILTER_MATCH_MAC,
                             [](pst_command& c) { pst_filter_insert_set_local_address_lo(&c, 0x0a00004e5002ull); }),
              PST_ERROR_CODE_OK);
    vi->post_rx(buffers, buffer_bytes);
    run_ns(5000);
  }
  void receive(uint32_t count, uint32_t bytes = 60, uint64_t gap_ns = 100, bool bad_checksum = false) {
    for (uint32_t i = 0; i < count; ++i) {
      UdpSpec spec;
      spec.destination = kMacA;
      spec.source = kMacB;
      spec.frame_bytes = bytes + i;
      auto frame = udp_frame(spec);
      if (bad_checksum) frame.back() ^= 1;
      arrive(a, frame);
      run_ns(gap_ns);
    }
  }
  std::vector<pst_rx_event> events() {
    std::vector<pst_rx_event> out;
    for (const auto& event : vi->events()) out.push_back({{event.word[0], event.word[1]}});
    return out;
  }
  uint64_t counter(const std::string& name) const { return a.counter("vi0." + name); }
  void expect_accounted() const { EXPECT_EQ(a.counter("rx.frames"), a.counter("rx.delivered") + a.drops_total("RX")); }
  FreshKernel kernel;
  Node a;
  std::unique_ptr<TestVi> vi;
};

TEST(RxMergeTest, OneEventCompletesAsManyFramesAsTheViAllows) {
  Rig rig(merging(4));
  rig.receive(8);
  run_ns(2000);
  const auto events = rig.events();
  ASSERT_EQ(events.size(), 2u);
  for (uint32_t i = 0; i < 2; ++i) {
    EXPECT_EQ(pst_rx_event_get_merged(&events[i]), 1u);
    EXPECT_EQ(pst_rx_event_get_desc_count(&events[i]), 4u);
    EXPECT_EQ(pst_rx_event_get_length_bytes(&events[i]), 0u);
    EXPECT_EQ(pst_rx_event_get_prefix_present(&events[i]), 1u);
    EXPECT_EQ(pst_rx_event_get_rx_consumer_idx(&events[i]), 4 * (i + 1));
    EXPECT_EQ(pst_rx_event_get_checksum_l4(&events[i]), PST_CHECKSUM_RESULT_GOOD);
  }
  for (uint32_t i = 0; i < 8; ++i) {
    pst_rx_prefix prefix;
    std::memcpy(&prefix, rig.vi->rx_buffer(i), sizeof prefix);
    EXPECT_EQ(pst_rx_prefix_get_length_bytes(&prefix), 60 + i);
  }
  EXPECT_EQ(rig.counter("merged_frames"), 8u);
  EXPECT_EQ(rig.counter("merged_events"), 2u);
  EXPECT_EQ(rig.counter("events"), 2u);
  rig.expect_accounted();
}

TEST(RxMergeTest, WaitForMoreIsBounded) {
  Rig rig(merging(64));
  rig.receive(3);
  run_ns(kWaitNs - 1000);
  EXPECT_TRUE(rig.events().empty());
  run_ns(3000);
  const auto events = rig.events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(pst_rx_event_get_desc_count(&events[0]), 3u);
}

TEST(RxMergeTest, SingleFrameGetsAnOrdinaryEvent) {
  Rig rig(merging(64));
  rig.receive(1, 100);
  run_ns(kWaitNs + 3000);
  const auto events = rig.events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(pst_rx_event_get_merged(&events[0]), 0u);
  EXPECT_EQ(pst_rx_event_get_length_bytes(&events[0]), 100u);
  EXPECT_EQ(rig.counter("merged_frames"), 0u);
}

TEST(RxMergeTest, FrameThatDiffersClosesTheEventAtOnce) {
  Rig rig(merging(64));
  rig.receive(2);
  rig.receive(1, 60, 100, true);
  run_ns(2000);
  auto events = rig.events();
  ASSERT_EQ(events.size(), 1u);  // the good ones; the bad one waits for others of its kind
  EXPECT_EQ(pst_rx_event_get_desc_count(&events[0]), 2u);
  EXPECT_EQ(pst_rx_event_get_checksum_l4(&events[0]), PST_CHECKSUM_RESULT_GOOD);
  run_ns(kWaitNs);
  events = rig.events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(pst_rx_event_get_checksum_l4(&events[0]), PST_CHECKSUM_RESULT_BAD);
}

TEST(RxMergeTest, FrameOfSeveralDescriptorsStandsAlone) {
  Rig rig(merging(64), 64, 256);
  rig.receive(2);
  rig.receive(1, 600);
  run_ns(3000);
  const auto events = rig.events();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(pst_rx_event_get_merged(&events[0]), 1u);
  EXPECT_EQ(pst_rx_event_get_merged(&events[1]), 0u);
  EXPECT_EQ(pst_rx_event_get_desc_count(&events[1]), 3u);
  EXPECT_EQ(pst_rx_event_get_length_bytes(&events[1]), 600u);
}

TEST(RxMergeTest, LastDescriptorClosesTheEvent) {
  Rig rig(merging(64), 3);
  rig.receive(3);
  run_ns(2000);
  const auto events = rig.events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(pst_rx_event_get_desc_count(&events[0]), 3u);
}

TEST(RxMergeTest, PayloadsOfAllFramesLandBeforeTheEventAndItBeforeTheInterrupt) {
  Rig rig(merging(4));
  rig.vi->prime();
  run_ns(1000);
  rig.a.record_dma = true;
  rig.receive(4);
  run_ns(3000);
  std::vector<DmaAccess> writes;
  for (const DmaAccess& access : rig.a.dma) {
    if (access.write) writes.push_back(access);
  }
  const uint64_t evq = rig.vi->base + kEvq;
  ASSERT_FALSE(writes.empty());
  EXPECT_EQ(writes.back().address, evq);
  for (size_t i = 0; i + 1 < writes.size(); ++i) EXPECT_GE(writes[i].address, rig.vi->base + kRxBuffers);
  ASSERT_EQ(rig.a.interrupts.size(), 1u);
  EXPECT_GE(rig.a.interrupts[0].time_ps, writes.back().time_ps);
}

// A TX event may overtake the frames that wait; the ring has no hole meanwhile.
TEST(RxMergeTest, OtherEventsDoNotWaitForAnOpenOne) {
  Rig rig(merging(64));
  rig.receive(2);
  rig.vi->queue_tx(udp_frame(), [](pst_tx_desc& desc) { pst_tx_desc_set_complete(&desc, 1); });
  rig.vi->ring_tx();
  run_ns(5000);
  auto events = rig.events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(pst_rx_event_get_type(&events[0]), PST_EVENT_TYPE_TX);
  run_ns(kWaitNs);
  events = rig.events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(pst_rx_event_get_merged(&events[0]), 1u);
}

// R5: the open event's slot is kept; what comes after finds the queue full.
TEST(RxMergeTest, OpenEventKeepsItsSlotInAFullQueue) {
  Rig rig(merging(2));
  rig.receive(2 * 127);  // 127 events
  run_ns(3000);
  EXPECT_EQ(rig.counter("events"), 127u);
  rig.vi->post_rx(200);
  run_ns(5000);
  rig.receive(1);  // opens the last one
  rig.vi->queue_tx(udp_frame(), [](pst_tx_desc& desc) { pst_tx_desc_set_complete(&desc, 1); });
  rig.vi->ring_tx();
  run_ns(5000);
  EXPECT_EQ(rig.counter("events"), 127u);  // the TX event waits, it may not take that slot
  rig.receive(1);
  run_ns(3000);
  EXPECT_EQ(rig.counter("events"), 128u);
  EXPECT_EQ(rig.counter("evq_depth_max"), 128u);
  auto events = rig.events();
  ASSERT_EQ(events.size(), 128u);
  EXPECT_EQ(pst_rx_event_get_merged(&events[127]), 1u);
  rig.vi->return_space();
  run_ns(3000);
  events = rig.events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(pst_rx_event_get_type(&events[0]), PST_EVENT_TYPE_TX);
}

TEST(RxMergeTest, HaltAnnouncesTheFramesThatCameBeforeTheError) {
  Rig rig(merging(64));
  rig.receive(3);
  rig.vi->doorbell(PST_VI_RX_DOORBELL_OFFSET, 100000);
  run_ns(3000);
  const auto events = rig.events();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(pst_rx_event_get_desc_count(&events[0]), 3u);
  EXPECT_EQ(pst_rx_event_get_type(&events[1]), PST_EVENT_TYPE_ERROR);
  rig.expect_accounted();
}

TEST(RxMergeTest, TeardownCountsWhatWasNotAnnouncedAndWritesNoEvent) {
  for (const unsigned opcode : {PST_COMMAND_VI_RESET, PST_COMMAND_VI_FREE}) {
    Rig rig(merging(64));
    rig.receive(3);
    ASSERT_EQ(rig.a.status(make_command(opcode, rig.vi->id)), PST_ERROR_CODE_OK);
    rig.a.record_dma = true;
    run_ns(2 * kWaitNs);
    EXPECT_TRUE(rig.a.dma.empty());
    EXPECT_TRUE(rig.events().empty());
    EXPECT_EQ(rig.a.counter("drops.RX_VI_HALTED"), 3u);
    rig.expect_accounted();
  }
}

// The payload of frames that wait to be announced is written with their event, so an unmap must not complete before it.
TEST(RxMergeTest, NoPayloadIsWrittenAfterItsRangeHasBeenUnmapped) {
  constexpr uint64_t kDomainAddress = 0x10000000;
  Rig rig(merging(64), 0);
  pst_command map = make_command(PST_COMMAND_TRANSLATION_MAP, rig.vi->pd);
  pst_translation_map_set_domain_address(&map, kDomainAddress);
  pst_translation_map_set_host_address(&map, kScratch);
  pst_translation_map_set_length_bytes(&map, 0x1000);
  pst_translation_map_set_writable(&map, 1);
  ASSERT_EQ(rig.a.status(map), PST_ERROR_CODE_OK);
  rig.vi->write_rx_desc(0, kDomainAddress, 2000);
  rig.vi->write_rx_desc(1, kRxBuffers, 2000);
  rig.vi->write_rx_desc(2, kRxBuffers + 4096, 2000);
  rig.vi->doorbell(PST_VI_RX_DOORBELL_OFFSET, 3);
  run_ns(3000);
  rig.receive(2);
  EXPECT_TRUE(rig.events().empty());
  pst_command unmap = make_command(PST_COMMAND_TRANSLATION_UNMAP, rig.vi->pd);
  pst_translation_unmap_set_domain_address(&unmap, kDomainAddress);
  ASSERT_EQ(rig.a.status(unmap), PST_ERROR_CODE_OK);
  rig.a.record_dma = true;
  run_ns(2 * kWaitNs);
  for (const DmaAccess& access : rig.a.dma) {
    EXPECT_FALSE(access.write && access.address >= kScratch && access.address < kScratch + 0x1000);
  }
  const auto events = rig.events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(pst_rx_event_get_desc_count(&events[0]), 2u);
  EXPECT_EQ(rig.a.counter("rx.delivered"), 2u);
  rig.expect_accounted();
}

TEST(RxMergeTest, FailedWriteDropsTheOpenEventToo) {
  Rig rig(merging(2), 0);
  pst_command map = make_command(PST_COMMAND_TRANSLATION_MAP, rig.vi->pd);
  pst_translation_map_set_domain_address(&map, 0x10000000);
  pst_translation_map_set_host_address(&map, 0x40000000);  // no memory there
  pst_translation_map_set_length_bytes(&map, 0x1000);
  pst_translation_map_set_writable(&map, 1);
  ASSERT_EQ(rig.a.status(map), PST_ERROR_CODE_OK);
  rig.vi->write_rx_desc(0, kRxBuffers, 2000);
  rig.vi->write_rx_desc(1, 0x10000000, 2000);
  rig.vi->write_rx_desc(2, kRxBuffers + 4096, 2000);
  rig.vi->write_rx_desc(3, kRxBuffers + 8192, 2000);
  rig.vi->doorbell(PST_VI_RX_DOORBELL_OFFSET, 4);
  run_ns(3000);
  rig.receive(3, 60, 10);
  run_ns(2 * kWaitNs);
  const auto events = rig.events();
  ASSERT_EQ(events.size(), 1u);
  const pst_error_event error{{events[0].word[0], events[0].word[1]}};
  EXPECT_EQ(pst_error_event_get_type(&error), PST_EVENT_TYPE_ERROR);
  EXPECT_EQ(pst_error_event_get_index(&error), 1u);
  EXPECT_EQ(rig.a.counter("rx.delivered"), 0u);
  rig.expect_accounted();
}

}  // namespace
}  // namespace postern::hw_model::test
