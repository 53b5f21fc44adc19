// Signalling an eventfd whose other holders do their worst.
#include "driver/eventfd_signaller.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace postern {
namespace {

TEST(EventFdSignallerTest, EachSignalAddsOne) {
  EventFdSignaller signaller;
  EXPECT_TRUE(signaller.safe_from_holders()) << "this kernel has no asynchronous I/O: the fallback is in use";
  UniqueFd event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(signaller.signal(event.get()));
  eventfd_t count = 0;
  ASSERT_EQ(eventfd_read(event.get(), &count), 0);
  EXPECT_EQ(count, 1000u);
}

TEST(EventFdSignallerTest, FullCounterOfABlockingEventfdDoesNotBlock) {
  EventFdSignaller signaller;
  UniqueFd event(eventfd(0, EFD_CLOEXEC));
  ASSERT_EQ(eventfd_write(event.get(), UINT64_MAX - 1), 0);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(signaller.signal(event.get()));
  pollfd state{event.get(), POLLIN, 0};
  EXPECT_EQ(poll(&state, 1, 0), 1);
}

TEST(EventFdSignallerTest, OtherDescriptorsAreRefused) {
  EventFdSignaller signaller;
  if (!signaller.safe_from_holders()) GTEST_SKIP();
  UniqueFd null(open("/dev/null", O_WRONLY | O_CLOEXEC));
  EXPECT_FALSE(signaller.signal(null.get()));
  EXPECT_FALSE(signaller.signal(-1));
}

// The holder fills and empties the counter and switches to blocking mode as fast as it can.
TEST(EventFdSignallerTest, HolderThatRacesCannotBlockTheSignaller) {
  EventFdSignaller signaller;
  if (!signaller.safe_from_holders()) GTEST_SKIP();
  UniqueFd event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  std::atomic<bool> done{false};
  std::thread holder([&] {
    while (!done) {
      eventfd_t count = 0;
      fcntl(event.get(), F_SETFL, O_NONBLOCK);
      eventfd_read(event.get(), &count);
      eventfd_write(event.get(), UINT64_MAX - 1);
      fcntl(event.get(), F_SETFL, 0);
    }
  });
  const auto start = std::chrono::steady_clock::now();
  int signals = 0;
  while (std::chrono::steady_clock::now() - start < std::chrono::milliseconds(200)) {
    ASSERT_TRUE(signaller.signal(event.get()));
    ++signals;
  }
  done = true;
  holder.join();
  EXPECT_GT(signals, 100);
}

}  // namespace
}  // namespace postern
