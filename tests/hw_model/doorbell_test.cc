// Doorbell pages: last values (R1), repeated writes (R2), bad indices (R12), windows of VIs that do not run.
#include <gtest/gtest.h>

#include "tests/hw_model/nic_bench.h"

namespace postern::hw_model::test {
namespace {

struct Rig {
  Rig() : a("a", kMacA) {
    a.enable_admin();
    vi = std::make_unique<TestVi>(a, 0);
  }
  uint64_t read(uint32_t offset, unsigned width_bytes) {
    return a.bar_read(PST_BAR_VI, vi->id * PST_VI_WINDOW_STRIDE + offset, width_bytes);
  }
  void expect_bad_doorbell(uint32_t index) {
    run_ns(3000);
    const auto events = vi->events();
    ASSERT_EQ(events.size(), 1u);
    const pst_error_event error{{events[0].word[0], events[0].word[1]}};
    EXPECT_EQ(pst_error_event_get_type(&error), PST_EVENT_TYPE_ERROR);
    EXPECT_EQ(pst_error_event_get_source(&error), PST_ERROR_SOURCE_DOORBELL);
    EXPECT_EQ(pst_error_event_get_code(&error), PST_ERROR_CODE_BAD_DOORBELL);
    EXPECT_EQ(pst_error_event_get_index(&error), index);
  }
  FreshKernel kernel;
  Node a;
  std::unique_ptr<TestVi> vi;
};

TEST(DoorbellTest, ReadReturnsTheLastValueAndHasNoEffect) {
  Rig rig;
  EXPECT_EQ(rig.read(PST_VI_RX_DOORBELL_OFFSET, 4), 0u);
  rig.vi->post_rx(5);
  EXPECT_EQ(rig.read(PST_VI_RX_DOORBELL_OFFSET, 4), 5u);
  rig.vi->prime();
  EXPECT_EQ(rig.read(PST_VI_EVQ_PRIME_OFFSET, 8), 1ull << 32);
  EXPECT_EQ(rig.read(PST_VI_EVQ_PRIME_OFFSET + 4, 4), 1u);
  EXPECT_TRUE(rig.vi->events().empty());
  EXPECT_EQ(rig.a.counter("vi0.primes"), 1u);
}

TEST(DoorbellTest, RepeatedWriteSendsOnce) {
  Rig rig;
  rig.vi->queue_tx(udp_frame());
  rig.vi->ring_tx();
  rig.vi->ring_tx();
  run_ns(5000);
  rig.vi->ring_tx();
  run_ns(5000);
  EXPECT_EQ(rig.a.wire.size(), 1u);
}

TEST(DoorbellTest, EightByteWriteToANarrowRegisterTakesTheLowHalf) {
  Rig rig;
  rig.vi->doorbell(PST_VI_RX_DOORBELL_OFFSET, 0x12345678'00000003ull, 8);
  run_ns(2000);
  EXPECT_EQ(rig.read(PST_VI_RX_DOORBELL_OFFSET, 8), 3u);
  EXPECT_TRUE(rig.vi->events().empty());
}

TEST(DoorbellTest, TxIndexBeyondTheRingHaltsTheVi) {
  Rig rig;
  rig.vi->doorbell(PST_VI_TX_DOORBELL_OFFSET, 129);
  rig.expect_bad_doorbell(129);
}

TEST(DoorbellTest, TxIndexThatGoesBackHaltsTheVi) {
  Rig rig;
  for (int i = 0; i < 8; ++i) rig.vi->queue_tx(udp_frame());
  rig.vi->ring_tx();
  run_ns(20000);
  rig.vi->events();
  rig.vi->return_space();
  rig.vi->doorbell(PST_VI_TX_DOORBELL_OFFSET, 7);
  rig.expect_bad_doorbell(7);
}

TEST(DoorbellTest, RxIndexBeyondTheRingHaltsTheVi) {
  Rig rig;
  rig.vi->doorbell(PST_VI_RX_DOORBELL_OFFSET, 0xffffffff);
  rig.expect_bad_doorbell(0xffffffff);
}

TEST(DoorbellTest, RxIndexThatGoesBackHaltsTheVi) {
  Rig rig;
  rig.vi->post_rx(10);
  rig.vi->doorbell(PST_VI_RX_DOORBELL_OFFSET, 9);
  rig.expect_bad_doorbell(9);
}

TEST(DoorbellTest, HaltedViIgnoresDoorbells) {
  Rig rig;
  rig.vi->doorbell(PST_VI_TX_DOORBELL_OFFSET, 5000);
  rig.expect_bad_doorbell(5000);
  rig.vi->send(udp_frame());
  rig.vi->post_rx(4);
  rig.vi->doorbell(PST_VI_TIMER_OFFSET, 100 | 1ull << 32, 8);
  run_ns(5000);
  EXPECT_TRUE(rig.a.wire.empty());
  EXPECT_TRUE(rig.vi->events().empty());
}

TEST(DoorbellTest, OnlyTheViAtFaultHalts) {
  Rig rig;
  TestVi other(rig.a, 1);
  rig.vi->doorbell(PST_VI_TX_DOORBELL_OFFSET, 5000);
  run_ns(2000);
  other.send(udp_frame());
  run_ns(5000);
  EXPECT_EQ(rig.a.wire.size(), 1u);
}

TEST(DoorbellTest, EveryWindowExistsAndWindowsWithoutAViIgnoreWrites) {
  Rig rig;
  for (uint32_t id = 1; id < 1024; ++id) {
    rig.a.bar_write(PST_BAR_VI, id * PST_VI_WINDOW_STRIDE + PST_VI_TX_DOORBELL_OFFSET, 7, 4);
  }
  run_ns(100000);
  EXPECT_EQ(rig.a.counter("doorbells_ignored"), 1023u);
  EXPECT_EQ(rig.a.bar_read(PST_BAR_VI, 1023u * PST_VI_WINDOW_STRIDE + PST_VI_TX_DOORBELL_OFFSET, 4), 0u);
}

TEST(DoorbellTest, IndicesWrapAt32Bits) {
  Rig rig;
  // Not 2^32 packets: the rule itself, by a ring whose indices run past several turns.
  for (int i = 0; i < 1000; ++i) {
    rig.vi->send(udp_frame());
    run_ns(2000);
    rig.vi->events();
    rig.vi->return_space();
  }
  EXPECT_EQ(rig.a.wire.size(), 1000u);
}

TEST(DoorbellTest, UnsupportedDoorbellsAreRefusedWithAnErrorEvent) {
  Rig rig;
  rig.vi->doorbell(PST_VI_PIO_DOORBELL_OFFSET, 1 | 60ull << 44, 8);
  run_ns(3000);
  const auto events = rig.vi->events();
  ASSERT_EQ(events.size(), 1u);
  const pst_error_event error{{events[0].word[0], events[0].word[1]}};
  EXPECT_EQ(pst_error_event_get_code(&error), PST_ERROR_CODE_UNSUPPORTED);
  EXPECT_EQ(rig.a.read32(PST_FUNCTION_FEATURES_OFFSET) & PST_FUNCTION_FEATURES_PIO_MASK, 0u);
}

}  // namespace
}  // namespace postern::hw_model::test
