// Protection domains (R8): map, unmap, overlap, limits, and a transmit miss that concerns one VI alone.
#include <gtest/gtest.h>

#include "tests/hw_model/nic_bench.h"

namespace postern::hw_model::test {
namespace {

struct Rig {
  Rig() : a("a", kMacA) { a.enable_admin(); }
  uint32_t pd() {
    const auto answer = a.command(make_command(PST_COMMAND_PD_ALLOC));
    return static_cast<uint32_t>(pst_admin_completion_get_result(&answer));
  }
  uint32_t map(uint32_t domain, uint64_t address, uint64_t host, uint64_t bytes) {
    pst_command c = make_command(PST_COMMAND_TRANSLATION_MAP, domain);
    pst_translation_map_set_domain_address(&c, address);
    pst_translation_map_set_host_address(&c, host);
    pst_translation_map_set_length_bytes(&c, bytes);
    pst_translation_map_set_writable(&c, 1);
    return a.status(c);
  }
  uint32_t unmap(uint32_t domain, uint64_t address) {
    pst_command c = make_command(PST_COMMAND_TRANSLATION_UNMAP, domain);
    pst_translation_unmap_set_domain_address(&c, address);
    return a.status(c);
  }
  FreshKernel kernel;
  Node a;
};

TEST(TranslationTest, RangesMustBePageAlignedAndNotWrap) {
  Rig rig;
  const uint32_t domain = rig.pd();
  EXPECT_EQ(rig.map(domain, 0x10, 0, 0x1000), PST_ERROR_CODE_BAD_PARAMETER);
  EXPECT_EQ(rig.map(domain, 0, 0x10, 0x1000), PST_ERROR_CODE_BAD_PARAMETER);
  EXPECT_EQ(rig.map(domain, 0, 0, 0x1001), PST_ERROR_CODE_BAD_PARAMETER);
  EXPECT_EQ(rig.map(domain, 0, 0, 0), PST_ERROR_CODE_BAD_PARAMETER);
  EXPECT_EQ(rig.map(domain, 0xfffffffffffff000ull, 0, 0x2000), PST_ERROR_CODE_BAD_PARAMETER);
}

TEST(TranslationTest, OverlapIsRefusedAndNeighboursAreNot) {
  Rig rig;
  const uint32_t domain = rig.pd();
  ASSERT_EQ(rig.map(domain, 0x10000, 0, 0x4000), PST_ERROR_CODE_OK);
  EXPECT_EQ(rig.map(domain, 0x13000, 0, 0x4000), PST_ERROR_CODE_EXISTS);
  EXPECT_EQ(rig.map(domain, 0xf000, 0, 0x10000), PST_ERROR_CODE_EXISTS);
  EXPECT_EQ(rig.map(domain, 0x14000, 0, 0x1000), PST_ERROR_CODE_OK);
  EXPECT_EQ(rig.map(domain, 0xf000, 0, 0x1000), PST_ERROR_CODE_OK);
  EXPECT_EQ(rig.unmap(domain, 0x11000), PST_ERROR_CODE_NOT_FOUND);
  EXPECT_EQ(rig.unmap(domain, 0x10000), PST_ERROR_CODE_OK);
  EXPECT_EQ(rig.map(domain, 0x13000, 0, 0x1000), PST_ERROR_CODE_OK);
}

TEST(TranslationTest, DomainHoldsSixtyFourRanges) {
  Rig rig;
  const uint32_t domain = rig.pd();
  for (uint64_t i = 0; i < 64; ++i) ASSERT_EQ(rig.map(domain, i * 0x2000, 0, 0x1000), PST_ERROR_CODE_OK);
  EXPECT_EQ(rig.map(domain, 0x1000000, 0, 0x1000), PST_ERROR_CODE_NO_RESOURCE);
}

TEST(TranslationTest, TransmitMissHaltsThatViAloneAndMovesNoByte) {
  Rig rig;
  TestVi vi(rig.a, 0), other(rig.a, 1);
  pst_tx_desc desc{};
  pst_tx_desc_set_address(&desc, kTxBuffers);
  pst_tx_desc_set_length_bytes(&desc, 40);
  vi.queue_desc(desc);                                // the first fragment is mapped
  pst_tx_desc_set_address(&desc, kViAreaBytes - 10);  // the second runs over the end
  pst_tx_desc_set_end_of_packet(&desc, 1);
  vi.queue_desc(desc);
  rig.a.record_dma = true;
  vi.ring_tx();
  run_ns(5000);
  rig.a.record_dma = false;
  ASSERT_EQ(rig.a.dma.size(), 2u);  // descriptors and the error event: no payload
  const auto events = vi.events();
  ASSERT_EQ(events.size(), 1u);
  const pst_error_event error{{events[0].word[0], events[0].word[1]}};
  EXPECT_EQ(pst_error_event_get_code(&error), PST_ERROR_CODE_DMA_FAULT);
  EXPECT_EQ(pst_error_event_get_source(&error), PST_ERROR_SOURCE_TX);
  other.send(udp_frame());
  run_ns(5000);
  EXPECT_EQ(rig.a.wire.size(), 1u);
  EXPECT_EQ(other.events().size(), 1u);
}

TEST(TranslationTest, AViCannotReachAnotherDomainsMemory) {
  Rig rig;
  TestVi vi(rig.a, 0), other(rig.a, 1);
  pst_tx_desc desc{};
  pst_tx_desc_set_address(&desc, other.base + kTxBuffers);  // a host address is not a domain address
  pst_tx_desc_set_length_bytes(&desc, 60);
  pst_tx_desc_set_end_of_packet(&desc, 1);
  vi.queue_desc(desc);
  vi.ring_tx();
  run_ns(5000);
  EXPECT_TRUE(rig.a.wire.empty());
  EXPECT_EQ(rig.a.counter("drops.TX_DMA_FAULT"), 1u);
}

TEST(TranslationTest, UnmappedEventQueueHaltsTheViSilently) {
  Rig rig;
  TestVi vi(rig.a, 0);
  ASSERT_EQ(rig.unmap(vi.pd, 0), PST_ERROR_CODE_OK);
  vi.doorbell(PST_VI_TIMER_OFFSET, 100 | 1ull << 32, 8);
  rig.a.record_dma = true;
  run_ns(5000);
  EXPECT_TRUE(rig.a.dma.empty());
  EXPECT_EQ(rig.a.counter("events_lost"), 2u);  // the timer event and the error event
  EXPECT_EQ(rig.a.status(make_command(PST_COMMAND_VI_FREE, vi.id)), PST_ERROR_CODE_OK);
}

}  // namespace
}  // namespace postern::hw_model::test
