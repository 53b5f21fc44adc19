// Races of events against primes in a live device (rules R3, R6, R7): no lost wakeup, whatever the interleaving. The
// number of races is POSTERN_RACES: 20,000 in every run of the tests, 10 million in the slow one.
#include <poll.h>
#include <unistd.h>

#include <random>

#include "tests/live/vi_live_fixture.h"

namespace postern {
namespace {

void spin(uint64_t turns) {
  for (uint64_t i = 0; i < turns; ++i) asm volatile("" ::: "memory");
}

// A timer event and a prime meet in the device at random distances. Each prime must give one interrupt, and whoever
// sees the interrupt must see the event.
void race_events_against_primes(Host& host, uint64_t races, Simulator& simulator) {
  std::mt19937_64 random(1);
  uint64_t interrupts = 0;
  for (uint64_t race = 1; race <= races; ++race) {
    const uint64_t bits = random();
    host.vi.arm_timer(1 + bits % 2048, static_cast<uint16_t>(1 + race % 60000));
    spin((bits >> 16U) % 512);
    host.vi.prime();
    uint64_t count = 0;
    const bool really_sleep = (bits >> 40U) % 256 == 0;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    while (read(host.interrupt->event_fd(), &count, sizeof count) != static_cast<ssize_t>(sizeof count)) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline)
          << "lost wakeup in race " << race << (host.vi.has_event() ? " (event is there)" : " (no event)")
          << simulator.status();
      if (really_sleep) {
        pollfd entry{host.interrupt->event_fd(), POLLIN, 0};
        poll(&entry, 1, 2000);
      }
    }
    interrupts += count;
    ASSERT_TRUE(host.vi.has_event()) << "interrupt before its event in race " << race;
    host.take_events();
    ASSERT_EQ(interrupts, race) << "more than one interrupt for a prime";
    ASSERT_EQ(host.timer_events, race);
  }
}

class EventPrimeRaceTest : public ViLiveTest {};

TEST_F(EventPrimeRaceTest, NoWakeupIsLostOrDoubledOrEarly) {
  race_events_against_primes(a_, POSTERN_RACES, simulator_);
}

}  // namespace
}  // namespace postern
