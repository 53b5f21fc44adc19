// MSI-X table: masking, pending bits, reads and writes.
#include <gtest/gtest.h>

#include "tests/hw_model/nic_bench.h"

namespace postern::hw_model::test {
namespace {

constexpr uint32_t kVector = 37;

struct Rig {
  Rig() : a("a", kMacA) {
    a.enable_admin();
    ViOptions options;
    options.vector = kVector;
    vi = std::make_unique<TestVi>(a, 0, options);  // unmasks the vector
  }
  void mask(bool on) { a.bar_write(PST_BAR_MSIX, kVector * 16 + 12, on ? 1 : 0, 4); }
  uint64_t pending() {
    return a.bar_read(PST_BAR_MSIX, PST_MSIX_PBA_OFFSET + kVector / 32 * 4, 4) >> (kVector % 32) & 1;
  }
  void cause() {
    vi->prime();
    vi->send(udp_frame());
    run_ns(5000);
    vi->events();
  }
  FreshKernel kernel;
  Node a;
  std::unique_ptr<TestVi> vi;
};

TEST(MsixTest, VectorsAreMaskedAfterReset) {
  FreshKernel kernel;
  Node a("a", kMacA);
  EXPECT_EQ(a.bar_read(PST_BAR_MSIX, 12, 4), 1u);
  EXPECT_EQ(a.bar_read(PST_BAR_MSIX, 1023 * 16 + 12, 4), 1u);
}

TEST(MsixTest, TableKeepsAddressAndData) {
  Rig rig;
  rig.a.bar_write(PST_BAR_MSIX, 5 * 16, 0x123456789abcdef0ull, 8);
  rig.a.bar_write(PST_BAR_MSIX, 5 * 16 + 8, 0x55aa, 4);
  EXPECT_EQ(rig.a.bar_read(PST_BAR_MSIX, 5 * 16, 8), 0x123456789abcdef0ull);
  EXPECT_EQ(rig.a.bar_read(PST_BAR_MSIX, 5 * 16 + 8, 8), 0x1000055aaull);  // data, and still masked
}

TEST(MsixTest, MaskedMessageWaitsAndFiresWhenUnmasked) {
  Rig rig;
  rig.mask(true);
  rig.cause();
  EXPECT_TRUE(rig.a.interrupts.empty());
  EXPECT_EQ(rig.pending(), 1u);
  rig.mask(false);
  run_ns(2000);
  ASSERT_EQ(rig.a.interrupts.size(), 1u);
  EXPECT_EQ(rig.a.interrupts[0].vector, kVector);
  EXPECT_EQ(rig.pending(), 0u);
}

TEST(MsixTest, SeveralMaskedMessagesAreOne) {
  Rig rig;
  rig.mask(true);
  for (int i = 0; i < 3; ++i) rig.cause();
  rig.mask(false);
  run_ns(2000);
  EXPECT_EQ(rig.a.interrupts.size(), 1u);
}

TEST(MsixTest, UnmaskingWithoutAMessageFiresNothing) {
  Rig rig;
  rig.mask(true);
  rig.mask(false);
  run_ns(2000);
  EXPECT_TRUE(rig.a.interrupts.empty());
}

TEST(MsixTest, PendingBitsAreReadOnlyAndAccessesOutsideAreCounted) {
  Rig rig;
  rig.a.bar_write(PST_BAR_MSIX, PST_MSIX_PBA_OFFSET, 0xffffffff, 4);
  run_ns(1000);
  EXPECT_EQ(rig.a.bar_read(PST_BAR_MSIX, PST_MSIX_PBA_OFFSET, 4), 0u);
  EXPECT_EQ(rig.a.bar_read(PST_BAR_MSIX, 0xfff8, 8), 0u);
  EXPECT_EQ(rig.a.counter("bad_accesses"), 1u);
}

}  // namespace
}  // namespace postern::hw_model::test
