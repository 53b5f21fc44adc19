// The PTP clock: exact arithmetic over long times, and the register, commands and timestamps that come from it.
#include "hw_model/ptp_clock.h"

#include <gtest/gtest.h>

#include "tests/hw_model/nic_bench.h"

namespace postern::hw_model::test {
namespace {

constexpr uint64_t kSecondPs = 1'000'000'000'000;
constexpr uint64_t kHourPs = 3600 * kSecondPs;

TEST(PtpClockTest, StartsWithTheDeviceClock) {
  const PtpClock clock;
  EXPECT_EQ(clock.time_ns(0), 0u);
  EXPECT_EQ(clock.time_ns(123'456'789'999), 123'456'789u);
}

TEST(PtpClockTest, SlewIsExactOverAnHour) {
  for (const int64_t rate : {1ll, -1ll, 37ll, 12'345ll, -99'999'999ll, 100'000'000ll}) {
    PtpClock clock;
    ASSERT_TRUE(clock.adjust(0, 0, rate));
    // 3,600 s at r ppb gain 3,600 r ns.
    EXPECT_EQ(clock.time_ns(kHourPs), 3'600'000'000'000ull + static_cast<uint64_t>(3600 * rate)) << rate;
  }
}

// A million adjustments to the same rate are as good as one: no remainder is lost.
TEST(PtpClockTest, RepeatedAdjustmentsDoNotDrift) {
  PtpClock clock;
  constexpr uint64_t kSteps = 1'000'000;
  constexpr uint64_t kStepPs = 3'600'000'000 + 1;  // an hour and a microsecond in all
  for (uint64_t i = 0; i < kSteps; ++i) ASSERT_TRUE(clock.adjust(i * kStepPs, 0, 333));
  const uint64_t elapsed_ns = kSteps * kStepPs / 1000;
  EXPECT_EQ(clock.time_ns(kSteps * kStepPs), elapsed_ns + elapsed_ns / 1000 * 333 / 1'000'000);
}

TEST(PtpClockTest, StepMovesItBothWays) {
  PtpClock clock;
  ASSERT_TRUE(clock.adjust(kSecondPs, 1'700'000'000'000'000'000, 0));
  EXPECT_EQ(clock.time_ns(2 * kSecondPs), 1'700'000'002'000'000'000u);
  ASSERT_TRUE(clock.adjust(3 * kSecondPs, -1'700'000'000'000'000'000, 0));
  EXPECT_EQ(clock.time_ns(4 * kSecondPs), 4'000'000'000u);
}

TEST(PtpClockTest, TimeBeforeAnAdjustmentIsToldAsItWas) {
  PtpClock clock;
  ASSERT_TRUE(clock.adjust(1000, 5000, 0));
  ASSERT_TRUE(clock.adjust(kSecondPs, 1'000'000, 0));
  EXPECT_EQ(clock.time_ns(kSecondPs - 1000), 1'000'004'999u);
  EXPECT_EQ(clock.time_ns(kSecondPs), 1'001'005'000u);
}

TEST(PtpClockTest, RateBeyondTheContractIsRefused) {
  PtpClock clock;
  ASSERT_TRUE(clock.adjust(0, 7, 100));
  EXPECT_FALSE(clock.adjust(0, 1, 100'000'001));
  EXPECT_FALSE(clock.adjust(0, 1, -100'000'001));
  EXPECT_EQ(clock.time_ns(kSecondPs), 1'000'000'107u);
}

uint32_t adjust(Node& node, int64_t step_ns, int32_t rate_ppb) {
  pst_command c = make_command(PST_COMMAND_PTP_ADJUST);
  pst_ptp_adjust_set_step_ns(&c, static_cast<uint64_t>(step_ns));
  pst_ptp_adjust_set_rate_ppb(&c, static_cast<uint32_t>(rate_ppb));
  return node.status(c);
}

// How far the node's PTP clock is from its device clock, read in one go without time passing in between.
int64_t offset_ns(Node& node) {
  const uint64_t ptp = node.bar_read(PST_BAR_FUNCTION, PST_FUNCTION_PTP_TIME_NS_OFFSET, 8);
  const uint64_t device = node.bar_read(PST_BAR_FUNCTION, PST_FUNCTION_DEVICE_TIME_NS_OFFSET, 8);
  return static_cast<int64_t>(ptp - device);
}

TEST(PtpClockTest, RegisterFollowsTheCommandAndAResetUndoesIt) {
  FreshKernel kernel;
  Node a("a", kMacA);
  a.enable_admin();
  EXPECT_LE(std::abs(offset_ns(a)), 2000);
  ASSERT_EQ(adjust(a, 10'000'000, 0), PST_ERROR_CODE_OK);
  EXPECT_NEAR(static_cast<double>(offset_ns(a)), 10'000'000.0, 2000);
  EXPECT_EQ(adjust(a, 1, 100'000'001), PST_ERROR_CODE_BAD_PARAMETER);
  ASSERT_EQ(adjust(a, -20'000'000, -1000), PST_ERROR_CODE_OK);
  EXPECT_NEAR(static_cast<double>(offset_ns(a)), -10'000'000.0, 2000);
  a.device().function_reset();
  run_ns(20000);
  EXPECT_LE(std::abs(offset_ns(a)), 2000);
}

TEST(PtpClockTest, SlewedRegisterIsExactAfterAnHourOfSimulatedTime) {
  FreshKernel kernel;
  Node a("a", kMacA);
  a.enable_admin();
  ASSERT_EQ(adjust(a, 0, 250'000), PST_ERROR_CODE_OK);
  run_ns(10000);
  // A read of an idle device takes the same time whenever it starts, so the clock is sampled as far apart as they
  // start.
  const uint64_t start_ps = now_ps();
  const uint64_t first_ns = a.bar_read(PST_BAR_FUNCTION, PST_FUNCTION_PTP_TIME_NS_OFFSET, 8);
  run_ns(3'600'000'000'000);
  const uint64_t elapsed_ps = now_ps() - start_ps;
  const uint64_t gained_ns = a.bar_read(PST_BAR_FUNCTION, PST_FUNCTION_PTP_TIME_NS_OFFSET, 8) - first_ns;
  EXPECT_NEAR(static_cast<double>(gained_ns), static_cast<double>(elapsed_ps) * (1 + 250'000e-9) / 1000, 1);
}

// The same frame, as its sender and its receiver stamp it: apart by the offset of their clocks and nothing else.
TEST(PtpClockTest, TwoNicsStampAFrameByTheirOwnClocks) {
  FreshKernel kernel;
  Node a("a", kMacA), b("b", kMacB);
  a.peer = &b;
  a.enable_admin();
  b.enable_admin();
  ASSERT_EQ(adjust(a, 5'000'000, 0), PST_ERROR_CODE_OK);
  ASSERT_EQ(adjust(b, 8'000'000, 0), PST_ERROR_CODE_OK);
  TestVi from(a, 0);
  ViOptions options;
  options.rx_prefix = true;
  TestVi to(b, 0, options);
  ASSERT_EQ(to.add_filter(PST_FILTER_MATCH_MAC,
                          [](pst_command& c) { pst_filter_insert_set_local_address_lo(&c, 0x0b00004e5002ull); }),
            PST_ERROR_CODE_OK);
  to.post_rx(4);
  run_ns(3000);
  from.queue_tx(udp_frame(), [](pst_tx_desc& desc) { pst_tx_desc_set_timestamp(&desc, 1); });
  from.ring_tx();
  run_ns(10000);
  const auto events = from.events();
  ASSERT_EQ(events.size(), 1u);
  const pst_tx_event sent{{events[0].word[0], events[0].word[1]}};
  ASSERT_EQ(pst_tx_event_get_timestamp_valid(&sent), 1u);
  pst_rx_prefix prefix;
  std::memcpy(&prefix, to.rx_buffer(0), sizeof prefix);
  const uint64_t difference_ns = pst_rx_prefix_get_timestamp_ns(&prefix) - pst_tx_event_get_timestamp_ns(&sent);
  EXPECT_EQ(difference_ns, 3'000'000u);
}

}  // namespace
}  // namespace postern::hw_model::test
