// The whole model over its sockets: a packet from one VI to another, and what reset leaves.
#include <gtest/gtest.h>

#include "tests/hw_model/nic_bench.h"

namespace postern::hw_model::test {
namespace {

TEST(NicModelTest, IdentityRegistersTellTheContract) {
  FreshKernel kernel;
  Node a("a", kMacA);
  EXPECT_EQ(a.read32(PST_FUNCTION_MAGIC_OFFSET), PST_MAGIC);
  EXPECT_EQ(a.bar_read(0, PST_FUNCTION_CONTRACT_HASH_OFFSET, 8), PST_CONTRACT_HASH);
  EXPECT_EQ(a.read32(PST_FUNCTION_VI_COUNT_OFFSET), 1024u);
  EXPECT_EQ(a.read32(PST_FUNCTION_STATUS_OFFSET), PST_FUNCTION_STATUS_READY_MASK | PST_FUNCTION_STATUS_LINK_UP_MASK);
  EXPECT_EQ(a.bar_read(0, PST_FUNCTION_MAC_ADDRESS_OFFSET, 8), 0x0a00004e5002ull);
  EXPECT_EQ(a.read32(PST_FUNCTION_LINK_SPEED_MBPS_OFFSET), 10000u);
}

TEST(NicModelTest, PacketTravelsFromOneViToAnother) {
  FreshKernel kernel;
  Node a("a", kMacA);
  Node b("b", kMacB);
  a.peer = &b;
  b.peer = &a;
  a.enable_admin();
  b.enable_admin();
  TestVi sender(a, 0);
  TestVi receiver(b, 0);
  ASSERT_EQ(sender.alloc_status, PST_ERROR_CODE_OK);
  ASSERT_EQ(receiver.alloc_status, PST_ERROR_CODE_OK);
  ASSERT_EQ(receiver.add_filter(PST_FILTER_MATCH_LISTENER_ANY,
                                [](pst_command& c) { pst_filter_insert_set_local_port(&c, 2000); }),
            PST_ERROR_CODE_OK);
  receiver.post_rx(32);
  run_ns(2000);
  UdpSpec spec;
  spec.frame_bytes = 200;
  const auto bytes = udp_frame(spec);
  sender.send(bytes);
  run_ns(10000);

  const auto tx = sender.events();
  ASSERT_EQ(tx.size(), 1u);
  const pst_tx_event tx_event{{tx[0].word[0], tx[0].word[1]}};
  EXPECT_EQ(pst_tx_event_get_type(&tx_event), PST_EVENT_TYPE_TX);
  EXPECT_EQ(pst_tx_event_get_tx_consumer_idx(&tx_event), 1u);

  const auto rx = receiver.events();
  ASSERT_EQ(rx.size(), 1u);
  const pst_rx_event event{{rx[0].word[0], rx[0].word[1]}};
  EXPECT_EQ(pst_rx_event_get_type(&event), PST_EVENT_TYPE_RX);
  EXPECT_EQ(pst_rx_event_get_length_bytes(&event), 200u);
  EXPECT_EQ(pst_rx_event_get_checksum_l3(&event), PST_CHECKSUM_RESULT_GOOD);
  EXPECT_EQ(pst_rx_event_get_checksum_l4(&event), PST_CHECKSUM_RESULT_GOOD);
  EXPECT_EQ(pst_rx_event_get_l4_class(&event), PST_L4_CLASS_UDP);
  EXPECT_EQ(pst_rx_event_get_desc_count(&event), 1u);
  EXPECT_EQ(pst_rx_event_get_rx_consumer_idx(&event), 1u);
  EXPECT_EQ(std::memcmp(receiver.rx_buffer(0), bytes.data(), bytes.size()), 0);
}

TEST(NicModelTest, StagesAreStampedInOrder) {
  FreshKernel kernel;
  Node a("a", kMacA);
  Node b("b", kMacB);
  a.peer = &b;
  a.enable_admin();
  b.enable_admin();
  TestVi sender(a, 0);
  TestVi receiver(b, 0);
  ASSERT_EQ(receiver.add_filter(PST_FILTER_MATCH_MAC,
                                [](pst_command& c) { pst_filter_insert_set_local_address_lo(&c, 0x0b00004e5002ull); }),
            PST_ERROR_CODE_OK);
  receiver.post_rx(4);
  sender.send(udp_frame());
  run_ns(10000);
  ASSERT_EQ(a.wire.size(), 1u);
  const auto& stamps = a.wire[0].frame->stamps_ps;
  uint64_t before = 0;
  for (auto stage = sim::Stage::kDoorbellArrive; stage <= sim::Stage::kEventWritten;
       stage = static_cast<sim::Stage>(static_cast<int>(stage) + 1)) {
    EXPECT_GT(stamps[static_cast<size_t>(stage)], before) << static_cast<int>(stage);
    before = stamps[static_cast<size_t>(stage)];
  }
}

TEST(NicModelTest, FunctionResetLeavesNothingAndStartsAGeneration) {
  FreshKernel kernel;
  Node a("a", kMacA);
  a.enable_admin();
  TestVi vi(a, 0, {});
  const uint64_t generation = a.read32(PST_CLOCK_PAGE_OFFSET + PST_CLOCK_GENERATION_OFFSET);
  for (int i = 0; i < 20; ++i) vi.queue_tx(udp_frame());
  vi.ring_tx();
  run_ns(700);  // descriptors or payload are on their way
  a.write32(PST_FUNCTION_RESET_OFFSET, PST_RESET_KEY);
  run_ns(300);
  a.record_dma = true;
  const size_t frames = a.wire.size();
  EXPECT_EQ(a.read32(PST_FUNCTION_STATUS_OFFSET) & PST_FUNCTION_STATUS_READY_MASK, 0u);
  run_ns(20000);
  EXPECT_EQ(a.read32(PST_FUNCTION_STATUS_OFFSET) & PST_FUNCTION_STATUS_READY_MASK, 1u);
  EXPECT_TRUE(a.dma.empty());
  EXPECT_EQ(a.wire.size(), frames);
  EXPECT_EQ(a.stopped, std::vector<uint32_t>{vi.id});
  EXPECT_EQ(a.counter("vi.active"), 0u);
  EXPECT_EQ(a.read32(PST_CLOCK_PAGE_OFFSET + PST_CLOCK_GENERATION_OFFSET), generation + 1);
  a.enable_admin();
  TestVi again(a, 0);
  EXPECT_EQ(again.alloc_status, PST_ERROR_CODE_OK);
}

TEST(NicModelTest, ResetWithoutTheKeyIsIgnoredAndCounted) {
  FreshKernel kernel;
  Node a("a", kMacA);
  a.write32(PST_FUNCTION_RESET_OFFSET, 1);
  run_ns(1000);
  EXPECT_EQ(a.read32(PST_FUNCTION_STATUS_OFFSET) & PST_FUNCTION_STATUS_READY_MASK, 1u);
  EXPECT_EQ(a.counter("bad_resets"), 1u);
}

TEST(NicModelTest, IdleNicPlansNothing) {
  FreshKernel kernel;
  Node a("a", kMacA);
  a.enable_admin();
  TestVi vi(a, 0);
  run_ns(5000);
  EXPECT_FALSE(sc_core::sc_pending_activity());
}

TEST(NicModelTest, SetPropertyRefusesUnknownNamesAndValuesOutOfBounds) {
  FreshKernel kernel;
  Node a("a", kMacA);
  EXPECT_FALSE(a.nic.set_property("pcie_link.no_such", 1));
  EXPECT_FALSE(a.nic.set_property("pcie_link.generation", 9));
  EXPECT_TRUE(a.nic.set_property("pcie_link.generation", 4));
  for (const sim::Property& p : a.nic.properties()) {
    EXPECT_FALSE(p.doc.empty()) << p.name;
    EXPECT_FALSE(p.source.empty()) << p.name;
  }
}

}  // namespace
}  // namespace postern::hw_model::test
