// The timer wheel: never early, at most a tick late, whatever the distance and the order.
#include "stack/timer_wheel.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace postern::stack {
namespace {

constexpr uint64_t kTickNs = uint64_t{1} << TimerWheel::kTickShift;

struct Wheel {
  explicit Wheel(uint32_t count) : nodes(count), wheel(&state, nodes.data()) {}
  TimerWheelState state;
  std::vector<TimerNode> nodes;
  TimerWheel wheel;
};

TEST(TimerWheelTest, EmptyWheelHasNoDeadline) {
  Wheel w(1);
  EXPECT_EQ(w.wheel.next_deadline_ns(), UINT64_MAX);
  EXPECT_EQ(w.wheel.advance(1'000'000'000'000, [](uint32_t) { FAIL(); }), 0u);
}

TEST(TimerWheelTest, RandomTimersFireInTimeWhenDrivenByTheNextDeadline) {
  std::mt19937_64 random(5);
  constexpr uint32_t kCount = 500;
  Wheel w(kCount);
  uint64_t now = 123'456'789;
  w.wheel.start(now);
  std::vector<uint64_t> due(kCount);
  uint32_t outstanding = kCount;
  for (uint32_t i = 0; i < kCount; ++i) {
    due[i] = now + random() % (uint64_t{1} << (22 + random() % 22));  // up to 4.9 h
    w.wheel.arm(i, due[i]);
  }
  for (uint32_t i = 0; i < kCount; i += 7) {  // some stop, some move
    w.wheel.disarm(i);
    --outstanding;
  }
  for (uint32_t i = 1; i < kCount; i += 7) w.wheel.arm(i, due[i] += 40'000'000'000);
  while (outstanding > 0) {
    const uint64_t next = w.wheel.next_deadline_ns();
    ASSERT_NE(next, UINT64_MAX);
    ASSERT_GT(next, now);
    now = next;
    w.wheel.advance(now, [&](uint32_t node) {
      EXPECT_GE(now, due[node]);
      EXPECT_LE(now - due[node], 2 * kTickNs);
      EXPECT_NE(node % 7, 0u);
      --outstanding;
    });
  }
  EXPECT_EQ(w.wheel.next_deadline_ns(), UINT64_MAX);
}

TEST(TimerWheelTest, LateAdvanceRunsEverythingThatIsDue) {
  Wheel w(3);
  w.wheel.start(0);
  w.wheel.arm(0, 5'000'000);
  w.wheel.arm(1, 500'000'000'000);
  w.wheel.arm(2, 5'000'000'000'000);
  std::vector<uint32_t> fired;
  w.wheel.advance(1'000'000'000'000, [&](uint32_t node) { fired.push_back(node); });
  EXPECT_EQ(fired, (std::vector<uint32_t>{0, 1}));
  EXPECT_TRUE(w.wheel.node(2).armed());
}

TEST(TimerWheelTest, HandlerMayArmItsOwnTimerAgain) {
  Wheel w(1);
  w.wheel.start(0);
  w.wheel.arm(0, 10'000'000);
  unsigned count = 0;
  for (uint64_t now = 0; now < 1'000'000'000; now += 1'000'000) {
    w.wheel.advance(now, [&](uint32_t node) {
      ++count;
      w.wheel.arm(node, now + 10'000'000);
    });
  }
  EXPECT_NEAR(count, 90, 9);
}

TEST(TimerWheelTest, TimerBeyondTheHorizonWaits) {
  Wheel w(1);
  w.wheel.start(0);
  const uint64_t day = 86'400'000'000'000;
  w.wheel.arm(0, day);
  uint64_t fired = 0;
  for (uint64_t now = 0; fired == 0 && now < 2 * day;) {
    now = w.wheel.next_deadline_ns();
    w.wheel.advance(now, [&](uint32_t) { fired = now; });
  }
  EXPECT_GE(fired, day);
  EXPECT_LE(fired, day + 2 * kTickNs);
}

}  // namespace
}  // namespace postern::stack
