// pst_tx_dma under Verilator: packets from descriptors to completion.
#include <gtest/gtest.h>

#include "tests/rtl/tx_dma_bench.h"

namespace postern::rtl_test {
namespace {

TEST(PstTxDmaTest, PacketsOfOneViAreHandedOverAndCompletedInOrder) {
  TxDmaBench bench;
  bench.start(5);
  bench.post(5, {tx_data(0x1000, 60), tx_data(0x20f3, 700, false), tx_data(0x5001, 800), tx_data(0x9000, 1514)});
  bench.settle();
  ASSERT_EQ(bench.handed.size(), 3u);
  EXPECT_EQ(bench.handed[0].bytes, 60u);
  EXPECT_EQ(bench.handed[1].bytes, 1500u);
  EXPECT_EQ(bench.handed[2].end_idx, 4u);
  EXPECT_EQ(bench.reads.size(), 4u);
  EXPECT_EQ(bench.dones, (std::vector<std::pair<uint32_t, uint32_t>>{{5, 1}, {5, 3}, {5, 4}}));
  ASSERT_EQ(bench.events.size(), 1u);
  EXPECT_EQ(bench.events[0].consumer_idx, 4u);
  EXPECT_TRUE(bench.drops.empty());
  EXPECT_TRUE(bench.halts.empty());
  EXPECT_EQ(bench.packets[5], 3u);
  EXPECT_EQ(bench.sent[5], 3u);
}

}  // namespace
}  // namespace postern::rtl_test
