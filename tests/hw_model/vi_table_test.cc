// VI contexts: how many there are, what a new one inherits (nothing), what one costs.
#include "hw_model/vi_table.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "tests/hw_model/nic_bench.h"

namespace {
uint64_t bytes_allocated = 0;  // by operator new since the start
}

// Every allocation of this test's process is counted.
void* operator new(size_t bytes) {
  bytes_allocated += bytes;
  void* memory = std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace postern::hw_model::test {
namespace {

TEST(ViTableTest, IdleViCostsLessThan64KiB) { EXPECT_LT(sizeof(Vi), 8192u); }

TEST(ViTableTest, ViCountIsAPropertyThatTheRegisterTells) {
  FreshKernel kernel;
  Node a("a", kMacA);
  ASSERT_TRUE(a.nic.set_property("vi_table.vi_count", 2));
  EXPECT_EQ(a.read32(PST_FUNCTION_VI_COUNT_OFFSET), 2u);
  a.enable_admin();
  TestVi first(a, 0), second(a, 1), third(a, 2);
  EXPECT_EQ(first.alloc_status, PST_ERROR_CODE_OK);
  EXPECT_EQ(second.alloc_status, PST_ERROR_CODE_OK);
  EXPECT_EQ(third.alloc_status, PST_ERROR_CODE_NO_RESOURCE);
}

TEST(ViTableTest, NewViInheritsNothingFromTheOneBeforeIt) {
  FreshKernel kernel;
  Node a("a", kMacA);
  a.enable_admin();
  ViOptions options;
  options.any_source = false;
  TestVi first(a, 0, options);
  pst_command grant = make_command(PST_COMMAND_SOURCE_GRANT, first.id);
  pst_source_grant_set_family(&grant, PST_ADDRESS_FAMILY_IPV4);
  pst_source_grant_set_address_lo(&grant, 0x0100090a);
  ASSERT_EQ(a.status(grant), PST_ERROR_CODE_OK);
  first.send(udp_frame());
  first.prime();
  run_ns(5000);
  ASSERT_EQ(a.wire.size(), 1u);
  ASSERT_EQ(a.status(make_command(PST_COMMAND_VI_FREE, first.id)), PST_ERROR_CODE_OK);
  TestVi second(a, 0, options);
  ASSERT_EQ(second.id, first.id);
  EXPECT_EQ(a.bar_read(PST_BAR_VI, PST_VI_TX_DOORBELL_OFFSET, 4), 0u);
  second.send(udp_frame());
  run_ns(5000);
  EXPECT_EQ(a.wire.size(), 1u);  // no grant
  EXPECT_EQ(second.events().size(), 1u);
  EXPECT_EQ(a.counter("vi0.primes"), 0u);
}

constexpr uint64_t kSmallViBytes = 0x8000;  // RX ring, TX ring, queue of up to 1,024 events, a buffer
constexpr uint64_t kSmallViArea = 0x100000;

// VI number i of a domain that maps kSmallViArea at address 0: one buffer posted, primed, a filter for UDP port
// 1000 + i. Odd ones wake through VI 0's queue, even ones through vector i.
void make_small_vi(Node& a, uint32_t pd, uint32_t i) {
  const uint64_t base = i * kSmallViBytes;
  pst_command c = make_command(PST_COMMAND_VI_ALLOC, pd);
  pst_vi_alloc_set_rx_ring_address(&c, base);
  pst_vi_alloc_set_tx_ring_address(&c, base + 0x1000);
  pst_vi_alloc_set_evq_address(&c, base + 0x2000);
  pst_vi_alloc_set_rx_entries(&c, 128);
  pst_vi_alloc_set_tx_entries(&c, 128);
  pst_vi_alloc_set_evq_entries(&c, i == 0 ? 1024 : 128);
  pst_vi_alloc_set_vector(&c, i);
  ASSERT_EQ(a.status(c), PST_ERROR_CODE_OK) << i;
  a.bar_write(PST_BAR_MSIX, i * 16 + 12, 0, 4);  // unmask
  if (i % 2 == 1) {
    pst_command bind = make_command(PST_COMMAND_MSIX_BIND, i);
    pst_msix_bind_set_vector(&bind, PST_VECTOR_NONE);
    pst_msix_bind_set_to_vi(&bind, 1);
    pst_msix_bind_set_wakeup_vi(&bind, 0);
    ASSERT_EQ(a.status(bind), PST_ERROR_CODE_OK);
  }
  pst_command filter = make_command(PST_COMMAND_FILTER_INSERT, i);
  pst_filter_insert_set_match(&filter, PST_FILTER_MATCH_LISTENER_ANY);
  pst_filter_insert_set_family(&filter, PST_ADDRESS_FAMILY_IPV4);
  pst_filter_insert_set_protocol(&filter, 17);
  pst_filter_insert_set_local_port(&filter, 1000 + i);
  ASSERT_EQ(a.status(filter), PST_ERROR_CODE_OK);
  pst_rx_desc desc{};
  pst_rx_desc_set_address(&desc, base + 0x7000);
  pst_rx_desc_set_length_bytes(&desc, 2048);
  a.at<pst_rx_desc>(kSmallViArea + base) = desc;
  const uint64_t window = uint64_t{i} * PST_VI_WINDOW_STRIDE;
  a.bar_write(PST_BAR_VI, window + PST_VI_RX_DOORBELL_OFFSET, 1, 4);
  a.bar_write(PST_BAR_VI, window + PST_VI_EVQ_PRIME_OFFSET, 1ull << 32, 8);
}

// As many VIs as the contract allows, each with rings, a queue and a filter of its own, all receiving at once; every
// other one wakes through a vector, the rest through the queue of VI 0.
TEST(ViTableTest, AllVisOfTheContractReceiveAtOnce) {
  FreshKernel kernel;
  constexpr uint32_t kVis = PST_LIMIT_VI_COUNT_MAX;
  NodeOptions options;
  options.memory_bytes = kSmallViArea + kVis * kSmallViBytes;
  Node a("a", kMacA, options);
  a.enable_admin();
  const pst_admin_completion domain = a.command(make_command(PST_COMMAND_PD_ALLOC));
  const auto pd = static_cast<uint32_t>(pst_admin_completion_get_result(&domain));
  pst_command map = make_command(PST_COMMAND_TRANSLATION_MAP, pd);
  pst_translation_map_set_host_address(&map, kSmallViArea);
  pst_translation_map_set_length_bytes(&map, kVis * kSmallViBytes);
  pst_translation_map_set_writable(&map, 1);
  ASSERT_EQ(a.status(map), PST_ERROR_CODE_OK);
  UdpSpec spec;
  spec.destination = kMacA;
  spec.source = kMacB;
  for (uint32_t i = 0; i < kVis; ++i) ASSERT_NO_FATAL_FAILURE(make_small_vi(a, pd, i));
  EXPECT_EQ(a.status(make_command(PST_COMMAND_VI_ALLOC, pd)), PST_ERROR_CODE_BAD_PARAMETER);
  run_ns(10000);
  for (uint32_t i = 0; i < kVis; ++i) {
    spec.destination_port = static_cast<uint16_t>(1000 + i);
    arrive(a, udp_frame(spec));
    run_ns(70);
  }
  run_ns(10000);
  EXPECT_EQ(a.counter("rx.delivered"), kVis);
  EXPECT_EQ(a.drops_total("RX"), 0u);
  for (uint32_t i = 0; i < kVis; ++i) {
    const uint64_t base = kSmallViArea + i * kSmallViBytes;
    ASSERT_EQ(be16(&a.at<uint8_t>(base + 0x7000 + 36)), 1000 + i);
    ASSERT_EQ(pst_event_get_type(&a.at<pst_event>(base + 0x2000)), PST_EVENT_TYPE_RX) << i;
  }
  EXPECT_EQ(a.interrupts.size(), kVis / 2);
  EXPECT_EQ(a.counter("vi0.events"), 1u + kVis / 2);
}

// What an idle VI costs: its share of what the NIC is built with, its context with both descriptor caches, and whatever
// is allocated while it is made (also what is given back at once: the count is an upper bound).
TEST(ViTableTest, IdleViTakesLessThan64KiB) {
  FreshKernel kernel;
  constexpr uint32_t kVis = 200;
  constexpr size_t kMemoryBytes = 8u << 20;
  const uint64_t before_nic = bytes_allocated;
  NodeOptions options;
  options.memory_bytes = kMemoryBytes;
  options.monitored = false;  // what it allocates is not the NIC's
  Node a("a", kMacA, options);
  const uint64_t nic_bytes = bytes_allocated - before_nic - kMemoryBytes;
  a.enable_admin();
  const pst_admin_completion domain = a.command(make_command(PST_COMMAND_PD_ALLOC));
  const auto pd = static_cast<uint32_t>(pst_admin_completion_get_result(&domain));
  pst_command map = make_command(PST_COMMAND_TRANSLATION_MAP, pd);
  pst_translation_map_set_length_bytes(&map, kMemoryBytes);
  pst_translation_map_set_writable(&map, 1);
  ASSERT_EQ(a.status(map), PST_ERROR_CODE_OK);
  const uint64_t before_vis = bytes_allocated;
  for (uint32_t i = 0; i < kVis; ++i) {
    pst_command c = make_command(PST_COMMAND_VI_ALLOC, pd);
    pst_vi_alloc_set_rx_ring_address(&c, 0x100000);
    pst_vi_alloc_set_tx_ring_address(&c, 0x200000);
    pst_vi_alloc_set_evq_address(&c, 0x300000);
    pst_vi_alloc_set_rx_entries(&c, PST_LIMIT_RING_ENTRIES_MAX);
    pst_vi_alloc_set_tx_entries(&c, PST_LIMIT_RING_ENTRIES_MAX);
    pst_vi_alloc_set_evq_entries(&c, PST_LIMIT_EVQ_ENTRIES_MAX);
    pst_vi_alloc_set_vector(&c, PST_VECTOR_NONE);
    ASSERT_EQ(a.status(c), PST_ERROR_CODE_OK) << i;
  }
  run_ns(100000);
  const uint64_t vi_bytes = (bytes_allocated - before_vis) / kVis;
  EXPECT_GE(vi_bytes, sizeof(Vi));  // the count sees the contexts
  EXPECT_LT(vi_bytes + nic_bytes / PST_LIMIT_VI_COUNT_MAX, 64u * 1024);
}

}  // namespace
}  // namespace postern::hw_model::test
