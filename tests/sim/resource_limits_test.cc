// Which resource a report names, from counters by hand.
#include "sim/resource_limits.h"

#include <gtest/gtest.h>

namespace postern::sim {
namespace {

constexpr uint64_t kElapsedPs = 1'000'000'000;

ResourceUse use_of(const std::vector<NamedCount>& after) {
  ResourceUse use;
  use.elapsed_ps = kElapsedPs;
  use.nic_before = {{"mac.tx_busy_ps", 5}, {"evq_stalls", 7}, {"drops.RX_NO_DESCRIPTOR", 3}};
  use.nic_after = after;
  return use;
}

TEST(ResourceLimitsTest, IdleRunIsLimitedByItsLoad) {
  EXPECT_EQ(find_limits(use_of({{"mac.tx_busy_ps", 5}, {"evq_stalls", 7}})).limited_by, "offered load");
}

TEST(ResourceLimitsTest, OnlyWhatHappenedInTheSpanCounts) {
  const ResourceLimits limits = find_limits(use_of({{"evq_stalls", 7}, {"drops.RX_NO_DESCRIPTOR", 3}}));
  EXPECT_EQ(limits.limited_by, "offered load");
  EXPECT_TRUE(limits.shares.empty());
}

TEST(ResourceLimitsTest, EventQueueThatWasFullIsNamedBeforeTheDescriptorsThatRanOutBehindIt) {
  const ResourceLimits limits = find_limits(use_of({{"evq_stalls", 107}, {"drops.RX_NO_DESCRIPTOR", 9}}));
  EXPECT_EQ(limits.limited_by, "event queue");
  EXPECT_EQ(limits.reason, "100 times full");
  ASSERT_EQ(limits.shares.size(), 2u);
  EXPECT_EQ(limits.shares[1].count, 6u);
}

TEST(ResourceLimitsTest, BusyWireExplainsAFullTransmitBuffer) {
  const ResourceLimits limits = find_limits(
      use_of({{"mac.tx_busy_ps", kElapsedPs}, {"tx.buffer_full_ps", kElapsedPs}, {"pcie.upstream_busy_ps", 1}}));
  EXPECT_EQ(limits.limited_by, "wire");
  EXPECT_EQ(limits.reason, "100.0 % busy");
}

TEST(ResourceLimitsTest, ProcessorTimeIsSharedAmongItsThreads) {
  ResourceUse use = use_of({});
  use.cpu_busy_ps = 2 * kElapsedPs;
  use.cpu_threads = 4;
  EXPECT_EQ(find_limits(use).limited_by, "offered load");
  use.cpu_threads = 2;
  EXPECT_EQ(find_limits(use).limited_by, "processor");
}

}  // namespace
}  // namespace postern::sim
