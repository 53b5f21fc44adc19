// The admin queue: each command's work, each malformed command's error (R12), teardown with traffic in flight (R10).
#include <gtest/gtest.h>

#include "tests/hw_model/nic_bench.h"

namespace postern::hw_model::test {
namespace {

struct Rig {
  explicit Rig(uint32_t entries = 64) : a("a", kMacA) { a.enable_admin(entries); }
  uint32_t pd() {
    const auto answer = a.command(make_command(PST_COMMAND_PD_ALLOC));
    EXPECT_EQ(pst_admin_completion_get_status(&answer), PST_ERROR_CODE_OK);
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
  static pst_command vi_alloc(uint32_t domain) {
    pst_command c = make_command(PST_COMMAND_VI_ALLOC, domain);
    pst_vi_alloc_set_rx_ring_address(&c, 0);
    pst_vi_alloc_set_tx_ring_address(&c, 0x1000);
    pst_vi_alloc_set_evq_address(&c, 0x2000);
    pst_vi_alloc_set_rx_entries(&c, 128);
    pst_vi_alloc_set_tx_entries(&c, 128);
    pst_vi_alloc_set_evq_entries(&c, 128);
    pst_vi_alloc_set_vector(&c, PST_VECTOR_NONE);
    return c;
  }
  FreshKernel kernel;
  Node a;
};

TEST(AdminTest, NopCompletesWithItsCommandId) {
  Rig rig;
  EXPECT_EQ(rig.a.status(make_command(PST_COMMAND_NOP)), PST_ERROR_CODE_OK);
}

TEST(AdminTest, CompletionsWrapWithThePhase) {
  Rig rig(16);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(rig.a.status(make_command(PST_COMMAND_NOP)), PST_ERROR_CODE_OK);
}

TEST(AdminTest, FullCompletionRingHoldsCommandsBack) {
  Rig rig(16);
  for (int i = 0; i < 16; ++i) rig.a.submit(make_command(PST_COMMAND_NOP));
  run_ns(20000);
  EXPECT_TRUE(rig.a.completion(15));
  rig.a.submit(make_command(PST_COMMAND_NOP));
  run_ns(20000);
  EXPECT_FALSE(rig.a.completion(16));
  rig.a.write32(PST_FUNCTION_ADMIN_CONSUMER_OFFSET, 16);
  run_ns(20000);
  EXPECT_TRUE(rig.a.completion(16));
}

TEST(AdminTest, BatchRaisesItsVectorOnce) {
  Rig rig;
  rig.a.write32(PST_FUNCTION_ADMIN_VECTOR_OFFSET, 3);
  rig.a.bar_write(PST_BAR_MSIX, 3 * 16 + 12, 0, 4);
  for (int i = 0; i < 5; ++i) rig.a.submit(make_command(PST_COMMAND_NOP));
  run_ns(20000);
  ASSERT_FALSE(rig.a.interrupts.empty());
  EXPECT_LE(rig.a.interrupts.size(), 2u);
  EXPECT_EQ(rig.a.interrupts.back().vector, 3u);
}

TEST(AdminTest, UnknownOpcodes) {
  Rig rig;
  for (const unsigned opcode : {0x13u, 0x40u, 0xffu})
    EXPECT_EQ(rig.a.status(make_command(opcode)), PST_ERROR_CODE_BAD_OPCODE);
}

TEST(AdminTest, FeatureBitsSayWhatTheReceiveSideOffers) {
  Rig rig;
  const uint64_t features = rig.a.read32(PST_FUNCTION_FEATURES_OFFSET);
  for (const uint64_t bit : {PST_FUNCTION_FEATURES_RSS_MASK, PST_FUNCTION_FEATURES_EVENT_MERGE_MASK,
                             PST_FUNCTION_FEATURES_ADAPTIVE_MODERATION_MASK, PST_FUNCTION_FEATURES_PAUSE_MASK}) {
    EXPECT_NE(features & bit, 0u) << bit;
  }
}

TEST(AdminTest, MergedEventsNeedThePrefix) {
  Rig rig;
  ViOptions options;
  options.merge_count = 2;
  EXPECT_EQ(TestVi(rig.a, 0, options).alloc_status, PST_ERROR_CODE_BAD_PARAMETER);
  options.merge_count = 1;
  EXPECT_EQ(TestVi(rig.a, 0, options).alloc_status, PST_ERROR_CODE_OK);
  options.merge_count = 255;
  options.rx_prefix = true;
  EXPECT_EQ(TestVi(rig.a, 1, options).alloc_status, PST_ERROR_CODE_OK);
}

TEST(AdminTest, FlagsTargetsAndReservedBitsMustBeZero) {
  Rig rig;
  pst_command flags = make_command(PST_COMMAND_NOP);
  pst_command_set_flags(&flags, 1);
  EXPECT_EQ(rig.a.status(flags), PST_ERROR_CODE_BAD_PARAMETER);
  EXPECT_EQ(rig.a.status(make_command(PST_COMMAND_NOP, 1)), PST_ERROR_CODE_BAD_PARAMETER);
  pst_command reserved = make_command(PST_COMMAND_NOP);
  reserved.word[7] = 1;
  EXPECT_EQ(rig.a.status(reserved), PST_ERROR_CODE_BAD_PARAMETER);
  pst_command alloc = Rig::vi_alloc(rig.pd());
  alloc.word[7] = 1ull << 63;
  EXPECT_EQ(rig.a.status(alloc), PST_ERROR_CODE_BAD_PARAMETER);
}

TEST(AdminTest, TargetsThatDoNotExist) {
  Rig rig;
  for (const unsigned opcode : {PST_COMMAND_PD_FREE, PST_COMMAND_VI_FREE, PST_COMMAND_VI_RESET,
                                PST_COMMAND_FILTER_REMOVE, PST_COMMAND_TRANSLATION_UNMAP, PST_COMMAND_SOURCE_GRANT,
                                PST_COMMAND_MSIX_BIND, PST_COMMAND_MODERATION_SET, PST_COMMAND_FILTER_INSERT}) {
    EXPECT_EQ(rig.a.status(make_command(opcode, 77)), PST_ERROR_CODE_NOT_FOUND) << opcode;
    EXPECT_EQ(rig.a.status(make_command(opcode, 0xffffffff)), PST_ERROR_CODE_NOT_FOUND) << opcode;
  }
  EXPECT_EQ(rig.map(77, 0, 0, 4096), PST_ERROR_CODE_NOT_FOUND);
  EXPECT_EQ(rig.a.status(Rig::vi_alloc(77)), PST_ERROR_CODE_NOT_FOUND);
}

TEST(AdminTest, DomainsRunOutAndComeBack) {
  Rig rig;
  for (uint32_t i = 0; i < PST_LIMIT_PD_COUNT_MAX; ++i) ASSERT_EQ(rig.pd(), i);
  EXPECT_EQ(rig.a.status(make_command(PST_COMMAND_PD_ALLOC)), PST_ERROR_CODE_NO_RESOURCE);
  EXPECT_EQ(rig.a.status(make_command(PST_COMMAND_PD_FREE, 500)), PST_ERROR_CODE_OK);
  EXPECT_EQ(rig.pd(), 500u);
}

TEST(AdminTest, ViAllocChecksItsFields) {
  Rig rig;
  const uint32_t domain = rig.pd();
  EXPECT_EQ(rig.a.status(Rig::vi_alloc(domain)), PST_ERROR_CODE_DMA_FAULT);  // rings not mapped
  ASSERT_EQ(rig.map(domain, 0, 0x100000, 0x10000), PST_ERROR_CODE_OK);
  using Setter = void (*)(pst_command*, uint64_t);
  const struct {
    Setter set;
    uint64_t value;
  } bad[] = {{pst_vi_alloc_set_rx_entries, 64},      {pst_vi_alloc_set_rx_entries, 8192},
             {pst_vi_alloc_set_tx_entries, 0},       {pst_vi_alloc_set_tx_entries, 200},
             {pst_vi_alloc_set_evq_entries, 64},     {pst_vi_alloc_set_rx_ring_address, 16},
             {pst_vi_alloc_set_evq_address, 0x2010}, {pst_vi_alloc_set_evq_policy, 3},
             {pst_vi_alloc_set_vector, 1024},        {pst_vi_alloc_set_vector, 0xfffe}};
  for (const auto& field : bad) {
    pst_command c = Rig::vi_alloc(domain);
    field.set(&c, field.value);
    EXPECT_EQ(rig.a.status(c), PST_ERROR_CODE_BAD_PARAMETER);
  }
  EXPECT_EQ(rig.a.status(Rig::vi_alloc(domain)), PST_ERROR_CODE_OK);
  EXPECT_EQ(rig.a.started, std::vector<uint32_t>{0});
}

TEST(AdminTest, AllVisCanExistAtOnce) {
  Rig rig;
  const uint32_t domain = rig.pd();
  ASSERT_EQ(rig.map(domain, 0, 0x100000, 0x10000), PST_ERROR_CODE_OK);
  for (uint32_t i = 0; i < 1024; ++i) ASSERT_EQ(rig.a.status(Rig::vi_alloc(domain)), PST_ERROR_CODE_OK) << i;
  EXPECT_EQ(rig.a.status(Rig::vi_alloc(domain)), PST_ERROR_CODE_NO_RESOURCE);
  EXPECT_EQ(rig.a.status(make_command(PST_COMMAND_PD_FREE, domain)), PST_ERROR_CODE_IN_USE);
  EXPECT_EQ(rig.a.status(make_command(PST_COMMAND_VI_FREE, 700)), PST_ERROR_CODE_OK);
  const auto answer = rig.a.command(Rig::vi_alloc(domain));
  EXPECT_EQ(pst_admin_completion_get_result(&answer), 700u);
}

TEST(AdminTest, SourceGrantLimitsAndForms) {
  Rig rig;
  TestVi vi(rig.a, 0);
  const auto grant = [&](unsigned family, uint64_t lo, uint64_t hi = 0) {
    pst_command c = make_command(PST_COMMAND_SOURCE_GRANT, vi.id);
    pst_source_grant_set_family(&c, family);
    pst_source_grant_set_address_lo(&c, lo);
    pst_source_grant_set_address_hi(&c, hi);
    return rig.a.status(c);
  };
  EXPECT_EQ(grant(3, 1), PST_ERROR_CODE_BAD_PARAMETER);
  EXPECT_EQ(grant(PST_ADDRESS_FAMILY_IPV4, 1ull << 32), PST_ERROR_CODE_BAD_PARAMETER);
  EXPECT_EQ(grant(PST_ADDRESS_FAMILY_MAC, 1ull << 48), PST_ERROR_CODE_BAD_PARAMETER);
  EXPECT_EQ(grant(PST_ADDRESS_FAMILY_IPV4, 1, 1), PST_ERROR_CODE_BAD_PARAMETER);
  for (uint64_t i = 1; i <= 8; ++i) EXPECT_EQ(grant(PST_ADDRESS_FAMILY_IPV4, i), PST_ERROR_CODE_OK);
  EXPECT_EQ(grant(PST_ADDRESS_FAMILY_IPV4, 8), PST_ERROR_CODE_OK);  // known already
  EXPECT_EQ(grant(PST_ADDRESS_FAMILY_IPV4, 9), PST_ERROR_CODE_NO_RESOURCE);
}

TEST(AdminTest, MalformedFilters) {
  Rig rig;
  TestVi vi(rig.a, 0);
  EXPECT_EQ(vi.add_filter(8), PST_ERROR_CODE_BAD_PARAMETER);
  EXPECT_EQ(vi.add_filter(PST_FILTER_MATCH_LISTENER, [](pst_command& c) { pst_filter_insert_set_family(&c, 3); }),
            PST_ERROR_CODE_BAD_PARAMETER);
  EXPECT_EQ(vi.add_filter(PST_FILTER_MATCH_LISTENER,
                          [](pst_command& c) { pst_filter_insert_set_family(&c, PST_ADDRESS_FAMILY_MAC); }),
            PST_ERROR_CODE_BAD_PARAMETER);
  EXPECT_EQ(vi.add_filter(PST_FILTER_MATCH_LISTENER, [](pst_command& c) { pst_filter_insert_set_protocol(&c, 1); }),
            PST_ERROR_CODE_BAD_PARAMETER);
  EXPECT_EQ(vi.add_filter(PST_FILTER_MATCH_LISTENER, [](pst_command& c) { pst_filter_insert_set_rss(&c, 1); }),
            PST_ERROR_CODE_NOT_FOUND);  // no such context
}

TEST(AdminTest, MalformedBindModerationPortAndStatistics) {
  Rig rig;
  TestVi vi(rig.a, 0);
  pst_command bind = make_command(PST_COMMAND_MSIX_BIND, vi.id);
  pst_msix_bind_set_vector(&bind, 1024);
  EXPECT_EQ(rig.a.status(bind), PST_ERROR_CODE_BAD_PARAMETER);
  pst_msix_bind_set_vector(&bind, 1);
  pst_msix_bind_set_to_vi(&bind, 1);
  pst_msix_bind_set_wakeup_vi(&bind, vi.id);  // itself
  EXPECT_EQ(rig.a.status(bind), PST_ERROR_CODE_BAD_PARAMETER);
  pst_msix_bind_set_wakeup_vi(&bind, 55);
  EXPECT_EQ(rig.a.status(bind), PST_ERROR_CODE_NOT_FOUND);
  pst_command moderation = make_command(PST_COMMAND_MODERATION_SET, vi.id);
  pst_moderation_set_set_adaptive(&moderation, 1);
  EXPECT_EQ(rig.a.status(moderation), PST_ERROR_CODE_OK);
  pst_command_set_target_id(&moderation, 77);
  EXPECT_EQ(rig.a.status(moderation), PST_ERROR_CODE_NOT_FOUND);
  pst_command port = make_command(PST_COMMAND_PORT_CONFIG);
  EXPECT_EQ(rig.a.status(port), PST_ERROR_CODE_BAD_PARAMETER);
  pst_port_config_set_mtu_bytes(&port, 9217);
  EXPECT_EQ(rig.a.status(port), PST_ERROR_CODE_BAD_PARAMETER);
  pst_port_config_set_mtu_bytes(&port, 1500);
  pst_port_config_set_pause(&port, 1);
  EXPECT_EQ(rig.a.status(port), PST_ERROR_CODE_OK);
  pst_command statistics = make_command(PST_COMMAND_STATISTICS_READ);
  pst_statistics_read_set_address(&statistics, 4);
  EXPECT_EQ(rig.a.status(statistics), PST_ERROR_CODE_BAD_PARAMETER);
  pst_statistics_read_set_address(&statistics, 0x40000000);
  EXPECT_EQ(rig.a.status(statistics), PST_ERROR_CODE_DMA_FAULT);
}

TEST(AdminTest, StatisticsAreWrittenToHostMemory) {
  Rig rig;
  TestVi vi(rig.a, 0);
  for (int i = 0; i < 3; ++i) vi.send(udp_frame());
  arrive(rig.a, udp_frame());
  run_ns(10000);
  pst_command c = make_command(PST_COMMAND_STATISTICS_READ);
  pst_statistics_read_set_address(&c, kScratch);
  ASSERT_EQ(rig.a.status(c), PST_ERROR_CODE_OK);
  const auto& s = rig.a.at<pst_port_statistics>(kScratch);
  EXPECT_EQ(pst_port_statistics_get_tx_frames(&s), 3u);
  EXPECT_EQ(pst_port_statistics_get_tx_bytes(&s), 180u);
  EXPECT_EQ(pst_port_statistics_get_rx_frames(&s), 1u);
  EXPECT_EQ(s.word[PST_PORT_STATISTICS_DROPS_WORD + PST_DROP_REASON_RX_NO_FILTER], 1u);
}

TEST(AdminTest, BadRingsStopTheQueueWithAnError) {
  FreshKernel kernel;
  Node a("a", kMacA);
  const auto enable = [&](uint64_t sq, uint64_t cq, uint32_t entries) {
    a.write32(PST_FUNCTION_ADMIN_ENABLE_OFFSET, 0);
    a.write64(PST_FUNCTION_ADMIN_SQ_BASE_OFFSET, sq);
    a.write64(PST_FUNCTION_ADMIN_CQ_BASE_OFFSET, cq);
    a.write32(PST_FUNCTION_ADMIN_ENTRIES_OFFSET, entries);
    a.write32(PST_FUNCTION_ADMIN_ENABLE_OFFSET, 1);
    return a.read32(PST_FUNCTION_ADMIN_STATUS_OFFSET);
  };
  EXPECT_EQ(enable(kAdminSq, kAdminCq, 8), PST_ERROR_CODE_BAD_PARAMETER);
  EXPECT_EQ(enable(kAdminSq, kAdminCq, 48), PST_ERROR_CODE_BAD_PARAMETER);
  EXPECT_EQ(enable(kAdminSq + 64, kAdminCq, 64), PST_ERROR_CODE_BAD_PARAMETER);
  EXPECT_EQ(enable(0x40000000, kAdminCq, 64), PST_ERROR_CODE_OK);
  a.write32(PST_FUNCTION_ADMIN_DOORBELL_OFFSET, 1);
  run_ns(5000);
  EXPECT_EQ(a.read32(PST_FUNCTION_ADMIN_STATUS_OFFSET), PST_ERROR_CODE_DMA_FAULT);
  EXPECT_EQ(enable(kAdminSq, kAdminCq, 64), PST_ERROR_CODE_OK);
  a.write32(PST_FUNCTION_ADMIN_DOORBELL_OFFSET, 65);
  EXPECT_EQ(a.read32(PST_FUNCTION_ADMIN_STATUS_OFFSET), PST_ERROR_CODE_BAD_DOORBELL);
  EXPECT_EQ(enable(kAdminSq, kAdminCq, 64), PST_ERROR_CODE_OK);
  a.write32(PST_FUNCTION_ADMIN_CONSUMER_OFFSET, 1);
  EXPECT_EQ(a.read32(PST_FUNCTION_ADMIN_STATUS_OFFSET), PST_ERROR_CODE_BAD_DOORBELL);
}

// R10, for both ways to stop a VI, with the command swept over a busy VI's life.
void stop_with_traffic(unsigned opcode) {
  FreshKernel kernel;
  Node a("a", kMacA);
  a.enable_admin();
  UdpSpec spec;
  spec.destination = kMacA;
  spec.frame_bytes = 600;
  const auto to_a = udp_frame(spec);
  for (uint64_t delay_ns = 0; delay_ns < 2000; delay_ns += 97) {
    TestVi vi(a, 0);
    vi.add_filter(PST_FILTER_MATCH_MAC,
                  [](pst_command& c) { pst_filter_insert_set_local_address_lo(&c, 0x0a00004e5002ull); });
    vi.post_rx(128);
    for (int i = 0; i < 100; ++i) vi.queue_tx(to_a);
    vi.ring_tx();
    vi.doorbell(PST_VI_TIMER_OFFSET, 2500 | 1ull << 32, 8);
    const uint32_t idx = a.submit(make_command(opcode, vi.id));
    for (uint64_t t = 0; t < delay_ns; t += 97) {
      arrive(a, to_a);
      run_ns(97);
    }
    while (!a.completion(idx)) {
      arrive(a, to_a);
      run_ns(20);
    }
    a.write32(PST_FUNCTION_ADMIN_CONSUMER_OFFSET, idx + 1);
    a.record_dma = true;
    const std::vector<uint8_t> before(a.memory.begin() + static_cast<long>(vi.base),
                                      a.memory.begin() + static_cast<long>(vi.base + kViAreaBytes));
    for (int i = 0; i < 50; ++i) {
      arrive(a, to_a);
      if (opcode == PST_COMMAND_VI_FREE) vi.ring_tx();
      run_ns(100);
    }
    ASSERT_TRUE(a.dma.empty()) << "DMA " << a.dma.front().bytes << " bytes after the completion";
    ASSERT_TRUE(std::equal(before.begin(), before.end(), a.memory.begin() + static_cast<long>(vi.base)));
    a.record_dma = false;
    a.dma.clear();
    if (opcode == PST_COMMAND_VI_RESET) {
      ASSERT_EQ(a.status(make_command(PST_COMMAND_VI_FREE, vi.id)), PST_ERROR_CODE_OK);
    }
    ASSERT_EQ(a.status(make_command(PST_COMMAND_PD_FREE, vi.pd)), PST_ERROR_CODE_OK);
  }
  EXPECT_EQ(a.counter("vi.active"), 0u);
  EXPECT_EQ(a.counter("filters"), 0u);
  EXPECT_EQ(a.counter("rx.frames") + a.counter("rx.extra_copies"), a.counter("rx.delivered") + a.drops_total("RX"));
  EXPECT_EQ(a.counter("tx.packets"), a.counter("tx.frames") + a.drops_total("TX"));
}

TEST(AdminTest, NothingOfAViAppearsAfterViFreeWithTrafficInFlight) { stop_with_traffic(PST_COMMAND_VI_FREE); }

TEST(AdminTest, NothingOfAViAppearsAfterViResetWithTrafficInFlight) { stop_with_traffic(PST_COMMAND_VI_RESET); }

TEST(AdminTest, ViResetRestoresAHaltedVi) {
  Rig rig;
  TestVi vi(rig.a, 0);
  vi.doorbell(PST_VI_TX_DOORBELL_OFFSET, 9999);
  run_ns(3000);
  std::memset(rig.a.memory.data() + vi.base + kEvq, 0, 256 * PST_EVENT_BYTES);
  ASSERT_EQ(rig.a.status(make_command(PST_COMMAND_VI_RESET, vi.id)), PST_ERROR_CODE_OK);
  EXPECT_EQ(rig.a.started, (std::vector<uint32_t>{0, 0}));
  EXPECT_EQ(rig.a.stopped, std::vector<uint32_t>{0});
  vi.evq_idx = vi.tx_idx = vi.rx_idx = 0;
  vi.send(udp_frame());
  run_ns(5000);
  EXPECT_EQ(rig.a.wire.size(), 1u);
  EXPECT_EQ(vi.events().size(), 1u);
}

TEST(AdminTest, UnmapCompletesAfterTheLastDmaToTheRange) {
  Rig rig;
  TestVi vi(rig.a, 0);
  for (int i = 0; i < 100; ++i) vi.queue_tx(udp_frame());
  vi.ring_tx();
  run_ns(600);
  const uint32_t idx = rig.a.submit(make_command(PST_COMMAND_TRANSLATION_UNMAP, vi.pd));
  while (!rig.a.completion(idx)) run_ns(10);
  rig.a.record_dma = true;
  run_ns(20000);
  for (const auto& access : rig.a.dma) {
    EXPECT_FALSE(access.address >= vi.base && access.address < vi.base + kViAreaBytes);
  }
}

}  // namespace
}  // namespace postern::hw_model::test
