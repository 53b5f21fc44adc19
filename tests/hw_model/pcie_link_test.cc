// The PCIe link against the published pcie-bench figures, and the ordering of BAR accesses.
#include "hw_model/pcie_link.h"

#include <gtest/gtest.h>

#include "tests/hw_model/nic_bench.h"

namespace postern::hw_model::test {
namespace {

PcieParameters gen3_x8(bool split_at_rcb = false) {
  PcieParameters p;
  p.split_at_rcb = split_at_rcb;
  p.tags = 1024;
  p.propagation_ps = 140000;
  p.write_commit_ps = 150000;
  p.read_latency_ps = 250000;
  return p;
}

// Transfers back to back, each aligned to a page; the rate after the first has landed.
template <class Transfer>
double rate_gbps(uint32_t bytes, Transfer transfer) {
  constexpr uint32_t kCount = 20000;
  uint64_t first_ps = 0, last_ps = 0;
  for (uint32_t i = 0; i < kCount; ++i) {
    last_ps = transfer(static_cast<uint64_t>(i) * 4096, bytes);
    if (i == 0) first_ps = last_ps;
  }
  return static_cast<double>(bytes) * 8 * (kCount - 1) / static_cast<double>(last_ps - first_ps) * 1000;
}

double write_gbps(const PcieParameters& p, uint32_t bytes) {
  PcieTimeline link;
  link.configure(p);
  return rate_gbps(bytes, [&](uint64_t address, uint32_t n) { return link.write(0, address, n); });
}

double read_gbps(const PcieParameters& p, uint32_t bytes) {
  PcieTimeline link;
  link.configure(p);
  return rate_gbps(bytes, [&](uint64_t address, uint32_t n) { return link.read(0, address, n); });
}

TEST(PcieLinkTest, LinkRateAfterDataLinkOverheadIsThePublishedOne) {
  EXPECT_NEAR(pcie_tlp_rate_gbps(3, 8, 256), 57.885, 0.01);
}

TEST(PcieLinkTest, WriteThroughputAgreesWithPcieBench) {
  EXPECT_NEAR(write_gbps(gen3_x8(), 64), 42.10, 42.10 * 0.005);
  EXPECT_NEAR(write_gbps(gen3_x8(), 256), 52.92, 52.92 * 0.005);
  EXPECT_NEAR(write_gbps(gen3_x8(), 1500), 52.81, 52.81 * 0.005);
}

TEST(PcieLinkTest, ReadThroughputInMpsCompletionsAgreesWithPcieBench) {
  EXPECT_NEAR(read_gbps(gen3_x8(), 64), 44.10, 44.10 * 0.005);
  EXPECT_NEAR(read_gbps(gen3_x8(), 256), 53.69, 53.69 * 0.005);
  EXPECT_NEAR(read_gbps(gen3_x8(), 1500), 53.60, 53.60 * 0.005);
}

TEST(PcieLinkTest, ReadThroughputInRcbCompletionsAgreesWithPcieBench) {
  EXPECT_NEAR(read_gbps(gen3_x8(true), 64), 44.10, 44.10 * 0.005);
  EXPECT_NEAR(read_gbps(gen3_x8(true), 256), 44.10, 44.10 * 0.005);
  EXPECT_NEAR(read_gbps(gen3_x8(true), 1500), 43.85, 43.85 * 0.005);
}

// By the formula: 16 GT/s, 128/130, 16 lanes = 252.06 raw; interval (256+28)*3/16+115 = 168 byte times.
TEST(PcieLinkTest, Generation4x16AgreesWithTheFormula) {
  PcieParameters p = gen3_x8();
  p.generation = 4;
  p.lanes = 16;
  const double link = 252.0615 * (1 - 16.0 / 168 - 4.0 / 1538);
  EXPECT_NEAR(pcie_tlp_rate_gbps(4, 16, 256), link, 0.01);
  EXPECT_NEAR(write_gbps(p, 256), link * 256 / 280, link * 0.01);
  EXPECT_NEAR(read_gbps(p, 256), link * 256 / 276, link * 0.01);
}

TEST(PcieLinkTest, SmallDmaReadTakesWhatPcieBenchMeasured) {
  PcieTimeline link;
  link.configure(gen3_x8());
  EXPECT_NEAR(static_cast<double>(link.read(0, 0, 64)), 547e3, 20e3);
}

TEST(PcieLinkTest, TagsLimitOutstandingReads) {
  PcieParameters p = gen3_x8();
  p.tags = 4;
  // Four reads of 64 bytes per round trip of about 550 ns.
  EXPECT_NEAR(read_gbps(p, 64), 4 * 512 / 547.0, 0.1);
}

TEST(PcieLinkTest, UnalignedReadNeedsOneMoreCompletion) {
  PcieTimeline aligned, unaligned;
  aligned.configure(gen3_x8());
  unaligned.configure(gen3_x8());
  EXPECT_LT(aligned.read(0, 0, 256), unaligned.read(0, 32, 256));
}

TEST(PcieLinkTest, RequestsDoNotCrossAPage) {
  PcieTimeline within, across;
  within.configure(gen3_x8());
  across.configure(gen3_x8());
  EXPECT_LT(within.write(0, 4096 - 256, 256), across.write(0, 4096 - 128, 256));
}

TEST(PcieLinkTest, PlannedReadDoesNotDelayADoorbell) {
  PcieTimeline link;
  link.configure(gen3_x8());
  const uint64_t alone = link.host_request(0, 4);
  PcieTimeline busy;
  busy.configure(gen3_x8());
  busy.read(0, 0, 4096);
  EXPECT_EQ(busy.host_request(0, 4), alone);
}

TEST(PcieLinkTest, WritesArriveInOrderAndReadsPushThem) {
  FreshKernel kernel;
  Node a("a", kMacA);
  run_ns(10);
  const uint64_t start_ps = now_ps();
  a.write64(PST_FUNCTION_ADMIN_SQ_BASE_OFFSET, 0x1000);
  a.write64(PST_FUNCTION_ADMIN_SQ_BASE_OFFSET, 0x2000);
  a.write64(PST_FUNCTION_ADMIN_SQ_BASE_OFFSET, 0x3000);
  EXPECT_EQ(now_ps(), start_ps);  // posted
  EXPECT_EQ(a.bar_read(0, PST_FUNCTION_ADMIN_SQ_BASE_OFFSET, 8), 0x3000u);
  EXPECT_GE(now_ps() - start_ps, 280'000u);  // a read costs the round trip
}

TEST(PcieLinkTest, MalformedBarAccessesAreCountedAndReadZero) {
  FreshKernel kernel;
  Node a("a", kMacA);
  a.bar_write(PST_BAR_FUNCTION, 0x800, 1, 4);  // no register
  a.bar_write(PST_BAR_VI, 0x30, 1, 4);         // no doorbell
  a.bar_write(1, 0, 1, 4);                     // no such BAR
  a.bar_write(PST_BAR_VI, 0x02, 1, 4);         // not aligned
  run_ns(1000);
  EXPECT_EQ(a.counter("bad_accesses"), 4u);
  EXPECT_EQ(a.bar_read(PST_BAR_FUNCTION, 0x800, 4), 0u);
  EXPECT_EQ(a.bar_read(PST_BAR_VI, PST_BAR_VI_SIZE - 8, 8), 0u);
}

}  // namespace
}  // namespace postern::hw_model::test
