// The live loop without hostd and stack: doorbell pages, DMA, interrupts and the simulator's sleep lose nothing.
#include "tests/live/vi_live_fixture.h"

namespace postern {
namespace {

TEST_F(ViLiveTest, AFrameGoesFromOneHostToTheOther) {
  ASSERT_TRUE(a_.send(b_.resources->device().mac, 42));
  ASSERT_TRUE(spin_for_frame(b_)) << simulator_.status();
  EXPECT_EQ(b_.last_sequence, 42u);
  EXPECT_EQ(a_.error_code, 0);
}

TEST_F(ViLiveTest, PingPongWithSleepOnEachSideLosesNoWakeup) {
  constexpr uint32_t kRounds = 2000;
  for (uint32_t round = 1; round <= kRounds; ++round) {
    ASSERT_TRUE(a_.send(b_.resources->device().mac, round));
    while (b_.take_events() == 0) ASSERT_TRUE(b_.sleep(5 * kSecondNs)) << "round " << round << simulator_.status();
    EXPECT_EQ(b_.last_sequence, round);
    ASSERT_TRUE(b_.send(a_.resources->device().mac, round));
    while (a_.take_events() == 0) ASSERT_TRUE(a_.sleep(5 * kSecondNs)) << "round " << round << simulator_.status();
  }
}

TEST_F(ViLiveTest, PushPioAndPlainDoorbellsMixInAnyOrder) {
  ASSERT_NE(a_.state.features & PST_FUNCTION_FEATURES_TX_PUSH_MASK, 0u);
  ASSERT_NE(a_.state.features & PST_FUNCTION_FEATURES_PIO_MASK, 0u);
  const auto& to = b_.resources->device().mac;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  uint32_t sent = 0;
  uint32_t received = 0;
  const auto take = [&] {
    a_.take_events();
    received += b_.take_events();
    EXPECT_EQ(b_.last_sequence, received);
    return std::chrono::steady_clock::now() < deadline && !HasFailure();
  };
  // Each round begins on an empty ring with a frame by PIO or by push, and has up to three more behind it at once.
  for (uint32_t round = 0; round < 5000; ++round) {
    while (a_.state.tx_consumer_idx != a_.state.tx_producer_idx) ASSERT_TRUE(take()) << simulator_.status();
    ASSERT_TRUE(round % 2 == 0 ? a_.send_pio(to, ++sent) : a_.send(to, ++sent));
    for (uint32_t more = round % 4; more > 0; --more) ASSERT_TRUE(a_.send(to, ++sent));
  }
  while (received < sent) ASSERT_TRUE(take()) << simulator_.status();
  EXPECT_EQ(a_.error_code, 0);
  EXPECT_EQ(received, 12'500u);
}

TEST_F(ViLiveTest, AStreamArrivesCompleteAndInOrder) {
  constexpr uint32_t kFrames = 50'000;
  constexpr uint32_t kAhead = 256;  // fewer than the receiver's buffers
  uint32_t sent = 0;
  uint32_t received = 0;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (received < kFrames && std::chrono::steady_clock::now() < deadline) {
    while (sent < kFrames && sent - received < kAhead && a_.send(b_.resources->device().mac, sent + 1)) ++sent;
    a_.take_events();
    received += b_.take_events();
    EXPECT_EQ(b_.last_sequence, received);
  }
  EXPECT_EQ(received, kFrames) << simulator_.status();
}

TEST_F(ViLiveTest, AfterAPauseTheSleepingSimulatorIsKicked) {
  for (uint32_t round = 1; round <= 50; ++round) {
    std::this_thread::sleep_for(milliseconds(3));
    ASSERT_TRUE(a_.send(b_.resources->device().mac, round));
    ASSERT_TRUE(spin_for_frame(b_));
  }
}

TEST_F(ViLiveTest, DeviceTimeFollowsTheWallClockAndIsNeverAhead) {
  const uint64_t device_begin = a_.function->clock().now_ns();
  const auto wall_begin = std::chrono::steady_clock::now();
  std::this_thread::sleep_for(milliseconds(300));
  const uint64_t device_ns = a_.function->clock().now_ns() - device_begin;
  const auto wall_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - wall_begin).count();
  EXPECT_LE(device_ns, static_cast<uint64_t>(wall_ns) + 1'100'000);  // the first reading may be 1 ms old
  EXPECT_GE(device_ns, 200'000'000u);
}

TEST_F(ViLiveTest, AKilledSimulatorIsAnErrorAndNotAHang) {
  simulator_.kill();
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(a_.function->bar_read(PST_BAR_FUNCTION, PST_FUNCTION_MAGIC_OFFSET, 4).ok());
  EXPECT_FALSE(b_.resources->link_up().ok());
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2));
  a_.resources->abandon();
  b_.resources->abandon();
}

}  // namespace
}  // namespace postern
