// Descriptor prefetch: batch sizes, ring wrap, faults in the ring itself.
#include <gtest/gtest.h>

#include "tests/hw_model/nic_bench.h"

namespace postern::hw_model::test {
namespace {

struct Rig {
  Rig() : a("a", kMacA) {
    a.enable_admin();
    vi = std::make_unique<TestVi>(a, 0);
  }
  // Sizes of descriptor reads from the TX ring since recording began.
  std::vector<uint32_t> ring_reads(uint64_t ring) {
    std::vector<uint32_t> out;
    for (const auto& access : a.dma) {
      if (!access.write && access.address >= vi->base + ring && access.address < vi->base + ring + 0x1000)
        out.push_back(access.bytes / 16);
    }
    return out;
  }
  FreshKernel kernel;
  Node a;
  std::unique_ptr<TestVi> vi;
};

TEST(DescFetchTest, OneDoorbellForManyPacketsIsFetchedInBatches) {
  Rig rig;
  for (int i = 0; i < 64; ++i) rig.vi->queue_tx(udp_frame());
  rig.a.record_dma = true;
  rig.vi->ring_tx();
  run_ns(20000);
  EXPECT_EQ(rig.ring_reads(kTxRing), (std::vector<uint32_t>{16, 16, 16, 16}));
  EXPECT_EQ(rig.a.wire.size(), 64u);
}

TEST(DescFetchTest, SinglePacketIsFetchedAtOnce) {
  Rig rig;
  rig.vi->queue_tx(udp_frame());
  rig.a.record_dma = true;
  rig.vi->ring_tx();
  run_ns(2000);
  EXPECT_EQ(rig.ring_reads(kTxRing), std::vector<uint32_t>{1});
}

TEST(DescFetchTest, BatchStopsAtTheEndOfTheRing) {
  Rig rig;
  for (int i = 0; i < 120; ++i) rig.vi->queue_tx(udp_frame());
  rig.vi->ring_tx();
  run_ns(20000);
  rig.vi->events();
  rig.vi->return_space();
  for (int i = 0; i < 16; ++i) rig.vi->queue_tx(udp_frame());
  rig.a.record_dma = true;
  rig.vi->ring_tx();
  run_ns(20000);
  EXPECT_EQ(rig.ring_reads(kTxRing), (std::vector<uint32_t>{8, 8}));
  EXPECT_EQ(rig.a.wire.size(), 136u);
}

TEST(DescFetchTest, BatchSizeIsAProperty) {
  Rig rig;
  ASSERT_TRUE(rig.a.nic.set_property("desc_fetch.tx_batch", 4));
  for (int i = 0; i < 8; ++i) rig.vi->queue_tx(udp_frame());
  rig.a.record_dma = true;
  rig.vi->ring_tx();
  run_ns(20000);
  EXPECT_EQ(rig.ring_reads(kTxRing), (std::vector<uint32_t>{4, 4}));
}

TEST(DescFetchTest, ReceiveDescriptorsAreFetchedAheadOfFrames) {
  Rig rig;
  rig.a.record_dma = true;
  rig.vi->post_rx(100);
  run_ns(5000);
  EXPECT_EQ(rig.ring_reads(kRxRing), (std::vector<uint32_t>{32, 32}));  // the cache holds 64
}

TEST(DescFetchTest, PacketsLargerThanABatchAreGathered) {
  Rig rig;
  ASSERT_TRUE(rig.a.nic.set_property("desc_fetch.tx_batch", 64));
  for (int packet = 0; packet < 4; ++packet) {
    for (uint32_t i = 0; i < 32; ++i) {
      pst_tx_desc desc{};
      pst_tx_desc_set_address(&desc, kTxBuffers + i * 40);
      pst_tx_desc_set_length_bytes(&desc, 40);
      pst_tx_desc_set_end_of_packet(&desc, i == 31);
      rig.vi->queue_desc(desc);
    }
  }
  rig.vi->ring_tx();
  run_ns(50000);
  EXPECT_EQ(rig.a.wire.size(), 4u);
}

TEST(DescFetchTest, RingThatIsNoLongerMappedHaltsTheVi) {
  Rig rig;
  // Two ranges: the event queue stays mapped when the rings go.
  TestVi vi(rig.a, 1, [] {
    ViOptions options;
    options.map = false;
    return options;
  }());
  EXPECT_EQ(vi.alloc_status, PST_ERROR_CODE_DMA_FAULT);
  for (const uint64_t page : {uint64_t{0}, kTxRing, kEvq}) {
    pst_command map = make_command(PST_COMMAND_TRANSLATION_MAP, vi.pd);
    pst_translation_map_set_domain_address(&map, page);
    pst_translation_map_set_host_address(&map, vi.base + page);
    pst_translation_map_set_length_bytes(&map, 0x1000);
    pst_translation_map_set_writable(&map, 1);
    ASSERT_EQ(rig.a.status(map), PST_ERROR_CODE_OK);
  }
  pst_command c = make_command(PST_COMMAND_VI_ALLOC, vi.pd);
  pst_vi_alloc_set_tx_ring_address(&c, kTxRing);
  pst_vi_alloc_set_evq_address(&c, kEvq);
  pst_vi_alloc_set_rx_entries(&c, 128);
  pst_vi_alloc_set_tx_entries(&c, 128);
  pst_vi_alloc_set_evq_entries(&c, 256);
  pst_vi_alloc_set_vector(&c, PST_VECTOR_NONE);
  const auto answer = rig.a.command(c);
  ASSERT_EQ(pst_admin_completion_get_status(&answer), PST_ERROR_CODE_OK);
  vi.id = static_cast<uint32_t>(pst_admin_completion_get_result(&answer));
  pst_command unmap = make_command(PST_COMMAND_TRANSLATION_UNMAP, vi.pd);
  pst_translation_unmap_set_domain_address(&unmap, kTxRing);
  ASSERT_EQ(rig.a.status(unmap), PST_ERROR_CODE_OK);
  vi.doorbell(PST_VI_TX_DOORBELL_OFFSET, 1);
  run_ns(3000);
  const auto events = vi.events();
  ASSERT_EQ(events.size(), 1u);
  const pst_error_event error{{events[0].word[0], events[0].word[1]}};
  EXPECT_EQ(pst_error_event_get_code(&error), PST_ERROR_CODE_DMA_FAULT);
  EXPECT_EQ(pst_error_event_get_source(&error), PST_ERROR_SOURCE_TX);
}

}  // namespace
}  // namespace postern::hw_model::test
