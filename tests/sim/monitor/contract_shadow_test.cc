// The shadow follows hand-made traffic.
#include "sim/monitor/contract_shadow.h"

#include <gtest/gtest.h>

#include "tests/sim/monitor/hand_traffic.h"

namespace postern::sim {
namespace {

using test::HandTraffic;
using test::HandVi;

class ContractShadowTest : public ::testing::Test, public ShadowListener {
 protected:
  void SetUp() override {
    shadow.add_listener(*this);
    traffic.enable_admin();
  }
  void event_written(uint64_t, const ShadowVi&, uint32_t event_idx, bool in_order, const pst_event&) override {
    event_indices.push_back(event_idx);
    events_in_order.push_back(in_order);
  }
  void doorbell(uint64_t, const ShadowVi&, uint32_t, uint64_t, bool repeated) override { repeats.push_back(repeated); }
  void bad_completion(uint64_t, uint32_t, const pst_admin_completion&, const char* why) override {
    bad_completions.emplace_back(why);
  }

  ContractShadow shadow;
  HandTraffic traffic{shadow};
  std::vector<uint32_t> event_indices;
  std::vector<bool> events_in_order, repeats;
  std::vector<std::string> bad_completions;
};

constexpr uint64_t kBase = 0x100000;

TEST_F(ContractShadowTest, ViExistsFromItsCompletionWithTheOptionsOfItsCommand) {
  pst_command alloc = HandTraffic::make(PST_COMMAND_VI_ALLOC, 0);
  pst_vi_alloc_set_rx_entries(&alloc, 128);
  pst_vi_alloc_set_tx_entries(&alloc, 256);
  pst_vi_alloc_set_evq_entries(&alloc, 512);
  pst_vi_alloc_set_merge_count(&alloc, 8);
  pst_vi_alloc_set_holdoff_ns(&alloc, 5000);
  traffic.submit(alloc);
  EXPECT_EQ(shadow.vi(7), nullptr);
  traffic.complete(7);
  const ShadowVi* vi = shadow.vi(7);
  ASSERT_NE(vi, nullptr);
  EXPECT_EQ(vi->state, ShadowViState::kRunning);
  EXPECT_EQ(vi->rx_entries, 128u);
  EXPECT_EQ(vi->tx_entries, 256u);
  EXPECT_EQ(vi->evq_entries, 512u);
  EXPECT_EQ(vi->merge_count, 8u);
  EXPECT_EQ(vi->holdoff_ns, 5000u);
}

TEST_F(ContractShadowTest, RefusedCommandChangesNothing) {
  traffic.command(HandTraffic::make(PST_COMMAND_VI_ALLOC, 0), 3, PST_ERROR_CODE_NO_RESOURCE);
  EXPECT_EQ(shadow.vi(3), nullptr);
  EXPECT_TRUE(bad_completions.empty());
}

TEST_F(ContractShadowTest, KnowsWhatADmaAddressBelongsTo) {
  HandVi vi = traffic.vi(5, kBase);
  traffic.post_rx(vi, 4);
  EXPECT_EQ(shadow.owner_of(HandTraffic::kSq + 64, 64, false).target, DmaTarget::kAdminSubmission);
  const DmaOwner event = shadow.owner_of(kBase + HandTraffic::kEvq + 3 * 16, 16, true);
  EXPECT_EQ(event.target, DmaTarget::kEventQueue);
  EXPECT_EQ(event.vi_id, 5u);
  EXPECT_EQ(event.index, 3u);
  const DmaOwner ring = shadow.owner_of(kBase + HandTraffic::kTxRing + 16, 16, false);
  EXPECT_EQ(ring.target, DmaTarget::kTxRing);
  EXPECT_EQ(ring.index, 1u);
  const DmaOwner buffer = shadow.owner_of(kBase + HandTraffic::kRxBuffers + 2048 + 10, 4, true);
  EXPECT_EQ(buffer.target, DmaTarget::kRxBuffer);
  EXPECT_EQ(buffer.index, 1u);
  EXPECT_EQ(buffer.offset_bytes, 10u);
  EXPECT_EQ(shadow.owner_of(kBase + HandTraffic::kRxBuffers + 5 * 2048, 4, true).target, DmaTarget::kUnknown);
}

TEST_F(ContractShadowTest, EventIndicesAreAbsoluteAndOrderIsTold) {
  HandVi vi = traffic.vi(0, kBase);
  for (uint32_t i = 0; i < 130; ++i) {
    traffic.event(vi, HandTraffic::timer_event());
    traffic.consume(vi, i + 1);
  }
  EXPECT_EQ(event_indices.back(), 129u);
  EXPECT_EQ(shadow.vi(0)->events_written, 130u);
  EXPECT_EQ(shadow.vi(0)->evq_consumer_idx, 130u);
  ++vi.events;  // a slot is left out
  traffic.event(vi, HandTraffic::timer_event());
  EXPECT_EQ(event_indices.back(), 131u);
  EXPECT_FALSE(events_in_order.back());
}

TEST_F(ContractShadowTest, RepeatedDoorbellIsToldApartFromANewOne) {
  HandVi vi = traffic.vi(0, kBase);
  traffic.doorbell(vi, PST_VI_RX_DOORBELL_OFFSET, 4);
  traffic.doorbell(vi, PST_VI_RX_DOORBELL_OFFSET, 4);
  traffic.doorbell(vi, PST_VI_RX_DOORBELL_OFFSET, 5);
  EXPECT_EQ(repeats, (std::vector<bool>{false, true, false}));
  EXPECT_EQ(shadow.vi(0)->rx_producer_idx, 5u);
}

TEST_F(ContractShadowTest, PrimeInTwoHalvesCountsOnceWithTheHighHalf) {
  HandVi vi = traffic.vi(0, kBase);
  traffic.event(vi, HandTraffic::timer_event());
  traffic.doorbell(vi, PST_VI_EVQ_PRIME_OFFSET, 1);
  EXPECT_EQ(shadow.vi(0)->prime_count, 0u);
  traffic.doorbell(vi, PST_VI_EVQ_PRIME_OFFSET + 4, 9);
  EXPECT_EQ(shadow.vi(0)->prime_count, 1u);
  EXPECT_EQ(shadow.vi(0)->prime_sequence, 9u);
  EXPECT_EQ(shadow.vi(0)->evq_consumer_idx, 1u);
}

TEST_F(ContractShadowTest, FreedViIsStoppingUntilTheCompletionAndRememberedAfterIt) {
  traffic.vi(2, kBase);
  traffic.submit(HandTraffic::make(PST_COMMAND_VI_FREE, 2));
  EXPECT_EQ(shadow.vi(2)->state, ShadowViState::kStopping);
  traffic.complete();
  EXPECT_EQ(shadow.vi(2)->state, ShadowViState::kFree);
  EXPECT_EQ(shadow.owner_of(kBase + HandTraffic::kEvq, 16, true).target, DmaTarget::kUnknown);
  EXPECT_EQ(shadow.former_owner_of(kBase + HandTraffic::kEvq, true).vi_id, 2u);
}

TEST_F(ContractShadowTest, ResetLastsUntilTheHostReadsReady) {
  traffic.vi(2, kBase);
  traffic.write(PST_BAR_FUNCTION, PST_FUNCTION_RESET_OFFSET, PST_RESET_KEY, 4);
  EXPECT_TRUE(shadow.reset_under_way());
  EXPECT_EQ(shadow.vi(2)->state, ShadowViState::kStopping);
  traffic.read(PST_BAR_FUNCTION, PST_FUNCTION_STATUS_OFFSET, 0, 4);
  EXPECT_TRUE(shadow.reset_under_way());
  traffic.read(PST_BAR_FUNCTION, PST_FUNCTION_STATUS_OFFSET, PST_FUNCTION_STATUS_READY_MASK, 4);
  EXPECT_FALSE(shadow.reset_under_way());
  EXPECT_FALSE(shadow.vi(2)->exists());
  EXPECT_FALSE(shadow.admin().enabled);
}

TEST_F(ContractShadowTest, FiltersLiveWithTheirVi) {
  traffic.vi(1, kBase);
  traffic.command(HandTraffic::make(PST_COMMAND_FILTER_INSERT, 1), 40);
  ASSERT_EQ(shadow.filters().size(), 1u);
  EXPECT_EQ(shadow.filters()[0].id, 40u);
  traffic.command(HandTraffic::make(PST_COMMAND_VI_RESET, 1));
  EXPECT_EQ(shadow.filters().size(), 1u);
  traffic.command(HandTraffic::make(PST_COMMAND_VI_FREE, 1));
  EXPECT_TRUE(shadow.filters().empty());
}

TEST_F(ContractShadowTest, RssContextIsWhatTheDeviceRead) {
  traffic.command(HandTraffic::make(PST_COMMAND_RSS_ALLOC, 0), 4);
  pst_command configure = HandTraffic::make(PST_COMMAND_RSS_CONFIGURE, 4);
  pst_rss_configure_set_key_address(&configure, 0x9000);
  pst_rss_configure_set_table_address(&configure, 0x9100);
  traffic.submit(configure);
  std::array<uint8_t, 40> key{};
  key[39] = 0x5a;
  std::array<uint16_t, 128> table{};
  table[127] = 3;
  traffic.dma_read(0x9000, key.data(), 40);
  traffic.dma_read(0x9100, table.data(), 128);  // in two reads
  traffic.dma_read(0x9180, table.data() + 64, 128);
  traffic.complete();
  const ShadowRssContext* context = shadow.rss_context(4);
  ASSERT_NE(context, nullptr);
  EXPECT_EQ(context->key[39], 0x5a);
  EXPECT_EQ(context->table[127], 3u);
}

TEST_F(ContractShadowTest, CompletionForNobodyIsTold) {
  traffic.complete();
  ASSERT_EQ(bad_completions.size(), 1u);
  EXPECT_EQ(bad_completions[0], "no command is under way");
}

TEST_F(ContractShadowTest, OwnerFollowsANewMapping) {
  HandVi vi = traffic.vi(0, kBase);
  pst_command unmap = HandTraffic::make(PST_COMMAND_TRANSLATION_UNMAP, vi.domain);
  traffic.command(unmap);
  EXPECT_EQ(shadow.owner_of(kBase + HandTraffic::kEvq, 16, true).target, DmaTarget::kUnknown);
  pst_command map = HandTraffic::make(PST_COMMAND_TRANSLATION_MAP, vi.domain);
  pst_translation_map_set_host_address(&map, 0x800000);
  pst_translation_map_set_length_bytes(&map, HandTraffic::kAreaBytes);
  traffic.command(map);
  const DmaOwner owner = shadow.owner_of(0x800000 + HandTraffic::kEvq, 16, true);
  EXPECT_EQ(owner.target, DmaTarget::kEventQueue);
  EXPECT_FALSE(owner.writable);
}

}  // namespace
}  // namespace postern::sim
