// Foreign descriptors: their close() may take long, the caller may not.
#include "driver/foreign_fd_closer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <chrono>

#include "tests/driver/slow_descriptor.h"

namespace postern {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

// The other end sees the hang-up.
bool closed_within(int read_end, int timeout_ms) {
  pollfd hang_up{read_end, 0, 0};
  return poll(&hang_up, 1, timeout_ms) == 1;
}

TEST(ForeignFdCloserTest, OrdinaryDescriptorIsClosedSoon) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  close_foreign(ends[1]);
  EXPECT_TRUE(closed_within(ends[0], 2000));
  close(ends[0]);
}

TEST(ForeignFdCloserTest, LingeringSocketDoesNotHoldUpTheCaller) {
  testing::SlowDescriptor slow;
  ASSERT_TRUE(slow.valid());
  const auto begun = Clock::now();
  close_foreign(slow.take());
  EXPECT_LT(Clock::now() - begun, milliseconds(200));
}

TEST(ForeignFdCloserTest, SlowClosesOfOneOwnerDoNotHoldUpAnother) {
  constexpr uint32_t kGreedy = 7;
  testing::SlowDescriptor slow[12];
  for (testing::SlowDescriptor& descriptor : slow) {
    ASSERT_TRUE(descriptor.valid());
    close_foreign(descriptor.take(), kGreedy);
  }
  for (uint32_t i = 0; i < kForeignClosesMost; ++i) {
    close_foreign(open("/dev/null", O_RDONLY | O_CLOEXEC), kGreedy);
  }
  EXPECT_TRUE(foreign_closes_held_up(kGreedy));
  EXPECT_FALSE(foreign_closes_held_up(8));
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  close_foreign(ends[1], 8);
  EXPECT_TRUE(closed_within(ends[0], 2000));
  close(ends[0]);
  for (testing::SlowDescriptor& descriptor : slow) {
    descriptor.let_go();
  }
  const auto deadline = Clock::now() + milliseconds(2000);
  while (foreign_closes_held_up(kGreedy) && Clock::now() < deadline) {
    poll(nullptr, 0, 2);
  }
  EXPECT_FALSE(foreign_closes_held_up(kGreedy));
}

}  // namespace
}  // namespace postern
