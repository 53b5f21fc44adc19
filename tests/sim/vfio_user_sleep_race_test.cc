// No lost wakeup: a client rings a doorbell while the simulator's loop is about to sleep, POSTERN_RACES times with
// pauses that drift against each other. A doorbell that neither the last look nor a kick brings would show as a sleep
// that ends by its time limit.
#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <thread>

#include "driver/mapped_vi_window.h"
#include "tests/sim/vfio_user_fixtures.h"

namespace postern::sim {
namespace {

constexpr int kSleepLimitMs = 3000;

// A small generator of pseudo-random pauses; seeded, so that a run is repeatable as far as threads allow.
class Pauses {
 public:
  explicit Pauses(uint32_t seed) : state_(seed) {}
  uint32_t below(uint32_t limit) {
    state_ = state_ * 1664525u + 1013904223u;
    return static_cast<uint32_t>(static_cast<uint64_t>(state_) * limit >> 32);
  }

 private:
  uint32_t state_;
};

void spin(uint32_t turns) {
  for (uint32_t i = 0; i < turns; ++i) __builtin_ia32_pause();
}

TEST(SleepRaceTest, NoDoorbellIsLostWhenTheSimulatorFallsAsleep) {
  FakeDevice device;
  auto pages = std::move(DoorbellPages::create(device)).value();
  ASSERT_TRUE(pages->vi_started(0).ok());
  auto windows = pages->take_windows(1);
  auto window =
      std::move(MappedViWindow::open(windows[0].window_fd.get(), windows[0].kick_fd, pages->clock_fd())).value();

  std::atomic<uint32_t> seen{0};
  device.on_doorbell = [&](const DoorbellWrite& write) { seen.store(static_cast<uint32_t>(write.value)); };
  std::atomic<bool> failed{false};
  std::thread client([&] {
    Pauses pauses(1);
    for (uint32_t i = 1; i <= POSTERN_RACES && !failed; ++i) {
      window->write_doorbell(PST_VI_TX_DOORBELL_OFFSET, i);
      for (uint32_t turns = 0; seen.load(std::memory_order_acquire) != i && !failed; ++turns) {
        if (turns > 2000) std::this_thread::yield();  // fewer processors than threads
        __builtin_ia32_pause();
      }
      spin(pauses.below(8));
    }
  });

  Pauses pauses(2);
  uint64_t sleeps = 0;
  uint64_t caught_by_last_look = 0;
  while (seen.load() != POSTERN_RACES && !failed) {
    device.doorbells.clear();
    for (uint32_t looks = pauses.below(60); looks > 0; --looks) pages->poll();
    if (seen.load() == POSTERN_RACES) break;
    if (!pages->begin_sleep()) {
      ++caught_by_last_look;
      continue;
    }
    ++sleeps;
    pollfd kick{pages->kick_fd(), POLLIN, 0};
    if (poll(&kick, 1, kSleepLimitMs) == 0) failed = true;
    pages->end_sleep();
  }
  client.join();
  EXPECT_FALSE(failed) << "a sleep ended by its limit after doorbell " << seen.load();
  EXPECT_GT(sleeps, 0u);
  std::printf("%u doorbells: %llu sleeps ended by a kick, %llu doorbells caught by the last look\n", POSTERN_RACES,
              static_cast<unsigned long long>(sleeps), static_cast<unsigned long long>(caught_by_last_look));
}

}  // namespace
}  // namespace postern::sim
