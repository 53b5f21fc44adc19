// VI contexts: how many there are, what a new one inherits (nothing), what one costs.
#include "hw_model/vi_table.h"

#include <gtest/gtest.h>

#include "tests/hw_model/nic_bench.h"

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

}  // namespace
}  // namespace postern::hw_model::test
