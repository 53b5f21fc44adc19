// pst_rx_dma under Verilator: buffers, prefix, events and their merging, waiting copies, ends of lives, and random
// traffic against the reference. The bench judges every copy and every event; the tests state what must have come of
// them.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "tests/rtl/rx_dma_bench.h"

namespace postern::rtl_test {
namespace {

constexpr uint32_t kVi = 5;
constexpr uint64_t kBase = 0x100000;

std::vector<uint8_t> frame_of(uint32_t bytes, uint8_t seed = 1) {
  std::vector<uint8_t> frame(bytes);
  for (uint32_t i = 0; i < bytes; ++i) frame[i] = static_cast<uint8_t>(i * 7 + i / 256 + seed);
  return frame;
}

RxCopy copy_of(uint64_t time_ns = 0x1122334455667788, uint32_t vlan_count = 0) {
  RxCopy copy;
  copy.filter_id = 77;
  copy.time_ns = time_ns;
  copy.hash_valid = true;
  copy.hash = 0xdeadbeef;
  copy.vlan_count = vlan_count;
  copy.vlan_tci = 0x6123;
  copy.id = 4711;
  pst_rx_event event{};
  pst_rx_event_set_type(&event, PST_EVENT_TYPE_RX);
  pst_rx_event_set_checksum_l3(&event, PST_CHECKSUM_RESULT_GOOD);
  pst_rx_event_set_checksum_l4(&event, PST_CHECKSUM_RESULT_GOOD);
  pst_rx_event_set_l3_class(&event, 1);
  pst_rx_event_set_l4_class(&event, 2);
  copy.event = event.word[0];
  return copy;
}

// VI kVi runs; its domain address kBase on is host address 0x1000 on.
class PstRxDmaTest : public ::testing::Test {
 protected:
  void start(RxOptions options = {}) {
    bench.map(kVi, {kBase, 0x40000, 0x1000, true});
    bench.start(kVi, options);
    bench.run_until_quiet();
  }
  void receive(uint32_t bytes, const RxCopy& copy = copy_of()) { bench.receive(copy, frame_of(bytes), {kVi}); }
  // Posts count buffers of that size, one behind the other from kBase on.
  void post(uint32_t count, uint32_t bytes = 2048, bool arrives = true) {
    for (uint32_t i = 0; i < count; ++i, next_buffer += bytes) bench.post(kVi, {next_buffer, bytes}, arrives);
  }
  [[nodiscard]] const std::vector<RxEvent>& events() const { return bench.reference.events; }
  [[nodiscard]] const std::vector<RxDmaReference::Drop>& drops() const { return bench.reference.drops; }
  void expect_drop(uint32_t reason) {
    ASSERT_EQ(drops().size(), 1u);
    EXPECT_EQ(drops()[0].vi, kVi);
    EXPECT_EQ(drops()[0].reason, reason);
    EXPECT_TRUE(events().empty());
  }

  uint64_t next_buffer = kBase;
  RxDmaBench bench;
};

TEST_F(PstRxDmaTest, FrameGoesToOneBufferAndIsAnnounced) {
  start();
  post(4);
  receive(60);
  bench.run_until_quiet();
  ASSERT_EQ(events().size(), 1u);
  EXPECT_EQ(pst_rx_event_get_length_bytes(&events()[0].event), 60u);
  EXPECT_EQ(pst_rx_event_get_desc_count(&events()[0].event), 1u);
  EXPECT_EQ(pst_rx_event_get_rx_consumer_idx(&events()[0].event), 1u);
  EXPECT_EQ(bench.delivered_count, 1u);
  EXPECT_EQ(bench.free_cell_count(), RxDmaBench::kCellCount);
}

}  // namespace
}  // namespace postern::rtl_test
