// Goes where no other test needs to: every register is read and written, in whatever way the contract allows, and rare
// fields get rare values. The boundary monitor around the NIC has nothing to say, and counts it as coverage.
#include <gtest/gtest.h>

#include "contract/gen/pst_contract_tables.h"
#include "tests/hw_model/nic_bench.h"

namespace postern::hw_model::test {
namespace {

class ContractSweepTest : public ::testing::Test {
 protected:
  FreshKernel kernel;
  Node a{"a", kMacA};
};

TEST_F(ContractSweepTest, EveryRegisterCanBeReadAndReadOnlyOnesKeepTheirValue) {
  a.enable_admin();
  TestVi vi(a, 0);
  for (const contract::RegisterDescription& info : contract::kRegisters) {
    const uint64_t offset = info.base + info.offset;
    const uint64_t before = a.bar_read(info.bar, offset, info.width / 8);
    if (info.writable) continue;
    a.bar_write(info.bar, offset, ~before, info.width / 8);
    const bool advances = std::string(info.name).find("TIME_NS") != std::string::npos;
    if (advances) continue;
    EXPECT_EQ(a.bar_read(info.bar, offset, info.width / 8), before) << info.block << "." << info.name;
  }
}

TEST_F(ContractSweepTest, WakeupOnAMaskedVectorComesWhenItIsUnmasked) {
  a.enable_admin();
  ViOptions options;
  options.vector = 3;
  TestVi vi(a, 0, options);
  a.bar_write(PST_BAR_MSIX, 3 * 16 + 12, 1, 4);
  vi.doorbell(PST_VI_TIMER_OFFSET, 100 | uint64_t{1} << 32, 8);
  vi.prime();
  run_ns(3'000'000);
  vi.doorbell(PST_VI_TIMER_OFFSET, 100 | uint64_t{2} << 32, 8);  // the monitor looks again
  run_ns(10'000);
  EXPECT_TRUE(a.interrupts.empty());
  a.bar_write(PST_BAR_MSIX, 3 * 16 + 12, 0, 4);
  run_ns(10'000);
  EXPECT_EQ(a.interrupts.size(), 1u);
}

TEST_F(ContractSweepTest, RareFieldsOfCommandsAreTaken) {
  a.enable_admin();
  TestVi first(a, 0), vi(a, 1);
  pst_command grant = make_command(PST_COMMAND_SOURCE_GRANT, vi.id);
  pst_source_grant_set_family(&grant, PST_ADDRESS_FAMILY_IPV6);
  pst_source_grant_set_address_lo(&grant, 0xfe80);
  pst_source_grant_set_address_hi(&grant, 0x0100000000000000);
  EXPECT_EQ(a.status(grant), PST_ERROR_CODE_OK);
  EXPECT_EQ(vi.add_filter(PST_FILTER_MATCH_CONNECTION,
                          [](pst_command& c) {
                            pst_filter_insert_set_family(&c, PST_ADDRESS_FAMILY_IPV6);
                            pst_filter_insert_set_local_port(&c, 1);
                            pst_filter_insert_set_remote_port(&c, 2);
                            pst_filter_insert_set_local_address_lo(&c, 3);
                            pst_filter_insert_set_local_address_hi(&c, 4);
                            pst_filter_insert_set_remote_address_lo(&c, 5);
                            pst_filter_insert_set_remote_address_hi(&c, 6);
                          }),
            PST_ERROR_CODE_OK);
  pst_command moderation = make_command(PST_COMMAND_MODERATION_SET, vi.id);
  pst_moderation_set_set_holdoff_ns(&moderation, 1000);
  pst_moderation_set_set_holdoff_events(&moderation, 3);
  EXPECT_EQ(a.status(moderation), PST_ERROR_CODE_OK);
  pst_command bind = make_command(PST_COMMAND_MSIX_BIND, first.id);
  pst_msix_bind_set_vector(&bind, PST_VECTOR_NONE);
  pst_msix_bind_set_to_vi(&bind, 1);
  pst_msix_bind_set_wakeup_vi(&bind, vi.id);
  EXPECT_EQ(a.status(bind), PST_ERROR_CODE_OK);
  // The second VI's wakeup event names a VI other than 0 when they are bound the other way round.
  pst_command back = make_command(PST_COMMAND_MSIX_BIND, vi.id);
  pst_msix_bind_set_to_vi(&back, 1);
  pst_msix_bind_set_wakeup_vi(&back, first.id);
  EXPECT_EQ(a.status(back), PST_ERROR_CODE_OK);
  vi.doorbell(PST_VI_TIMER_OFFSET, 100 | uint64_t{1} << 32, 8);
  vi.prime();
  run_ns(50'000);
  const auto event = first.next_event();
  ASSERT_TRUE(event);
  EXPECT_EQ(pst_event_get_type(&*event), PST_EVENT_TYPE_WAKEUP);
}

TEST_F(ContractSweepTest, StatisticsGoToTheFirstByteOfHostMemoryToo) {
  a.enable_admin();
  run_ns(1000);
  arrive(a, udp_frame());
  run_ns(10'000);
  EXPECT_EQ(a.status(make_command(PST_COMMAND_STATISTICS_READ)), PST_ERROR_CODE_OK);
  EXPECT_EQ(pst_port_statistics_get_rx_frames(&a.at<pst_port_statistics>(0)), 1u);
}

TEST_F(ContractSweepTest, FrameOfNoKnownProtocolAndOfIcmpAreDescribed) {
  a.enable_admin();
  TestVi vi(a, 0);
  ASSERT_EQ(vi.add_filter(PST_FILTER_MATCH_MAC,
                          [](pst_command& c) {
                            uint64_t mac = 0;
                            std::memcpy(&mac, kMacA.data(), 6);
                            pst_filter_insert_set_local_address_lo(&c, mac);
                          }),
            PST_ERROR_CODE_OK);
  vi.post_rx(8);
  run_ns(5000);
  UdpSpec spec;
  spec.destination = kMacA;
  spec.protocol = 1;
  spec.checksums = false;
  arrive(a, udp_frame(spec));
  auto unknown = udp_frame(spec);
  unknown[12] = 0x88;
  unknown[13] = 0xb5;  // local experiments
  arrive(a, unknown);
  run_ns(10'000);
  const auto icmp = vi.next_event();
  const auto other = vi.next_event();
  ASSERT_TRUE(icmp && other);
  const pst_rx_event icmp_event{{icmp->word[0], icmp->word[1]}}, other_event{{other->word[0], other->word[1]}};
  EXPECT_EQ(pst_rx_event_get_l4_class(&icmp_event), PST_L4_CLASS_ICMP);
  EXPECT_EQ(pst_rx_event_get_l3_class(&other_event), PST_L3_CLASS_OTHER);
}

TEST_F(ContractSweepTest, RxDescriptorWithFlagsIsRefused) {
  a.enable_admin();
  TestVi vi(a, 0);
  ASSERT_EQ(vi.add_filter(PST_FILTER_MATCH_MULTICAST_DEFAULT), PST_ERROR_CODE_OK);
  pst_rx_desc desc{};
  pst_rx_desc_set_length_bytes(&desc, 2048);
  pst_rx_desc_set_address(&desc, kRxBuffers);
  pst_rx_desc_set_flags(&desc, 1);
  a.at<pst_rx_desc>(vi.base + kRxRing) = desc;
  vi.doorbell(PST_VI_RX_DOORBELL_OFFSET, 1);
  run_ns(3000);
  UdpSpec spec;
  spec.destination = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  arrive(a, udp_frame(spec));
  run_ns(10'000);
  const auto event = vi.next_event();
  ASSERT_TRUE(event);
  const pst_error_event error{{event->word[0], event->word[1]}};
  EXPECT_EQ(pst_error_event_get_type(&error), PST_EVENT_TYPE_ERROR);
  EXPECT_EQ(pst_error_event_get_code(&error), PST_ERROR_CODE_BAD_DESCRIPTOR);
}

}  // namespace
}  // namespace postern::hw_model::test
