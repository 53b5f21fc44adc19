// How a thread sleeps until a stack or a kernel descriptor has something for it. Follows the stack's sleeper protocol:
// count, prime, look again, sleep on the interrupt. Each thread has an epoll instance of its own that holds the wake
// eventfds edge-triggered (so that one write wakes every sleeper) and the connection to hostd (so that its death does).
#pragma once

#include <poll.h>

#include <array>
#include <cstdint>
#include <vector>

#include "stack/preload/process.h"

namespace postern::preload {

constexpr uint64_t kNoDeadline = UINT64_MAX;

// CLOCK_MONOTONIC deadline for a time-out. null or negative milliseconds: none.
[[nodiscard]] uint64_t deadline_after_ms(int timeout_ms);
[[nodiscard]] uint64_t deadline_after(const timespec* timeout);

// A small set of distinct stacks.
class StackSet {
 public:
  void add(AttachedStack* stack);
  void clear() { count_ = 0; }
  [[nodiscard]] size_t size() const { return count_; }
  AttachedStack* const* begin() const { return stacks_.data(); }
  AttachedStack* const* end() const { return stacks_.data() + count_; }
  // Advances every stack; returns the work done.
  size_t poll() const;

 private:
  std::array<AttachedStack*, 8> stacks_{};
  size_t count_ = 0;
};

enum class SleepResult { kWoken, kTimedOut, kInterrupted };

// One wait of one thread: spins first, then sleeps, as often as the caller's condition needs.
class Sleeper {
 public:
  // stacks must outlive it. mask: as for ppoll, or null. deadline_ns: CLOCK_MONOTONIC.
  Sleeper(const StackSet& stacks, uint64_t deadline_ns, const sigset_t* mask = nullptr);

  // Waits until ready() is true (then kWoken without a system call), something has happened that may make it true
  // (kWoken), the deadline is over, or a signal handler has run. fds: kernel descriptors of interest, with one unused
  // element in front; their revents are filled in when something woke it.
  template <typename Ready>
  SleepResult wait(std::vector<pollfd>& fds, Ready ready) {
    if (spin([&] { return ready(); })) {
      return SleepResult::kWoken;
    }
    Attempt attempt(*this);
    for (AttachedStack* stack : stacks_) {
      if (!stack->check_alive() || stack->stack().must_not_sleep()) {
        return timed_out() ? SleepResult::kTimedOut : SleepResult::kWoken;
      }
    }
    if (ready()) {
      return SleepResult::kWoken;
    }
    return attempt.sleep(fds);
  }

 private:
  // Between begin_sleep and end_sleep of all stacks, with signals held off.
  class Attempt {
   public:
    explicit Attempt(Sleeper& sleeper);
    ~Attempt();
    SleepResult sleep(std::vector<pollfd>& fds);

   private:
    SignalHold hold_;
    Sleeper& sleeper_;
  };

  template <typename Ready>
  bool spin(Ready ready) {
    if (spin_until_ns_ == 0) {
      return false;
    }
    while (monotonic_ns() < spin_until_ns_) {
      stacks_.poll();
      if (ready()) {
        return true;
      }
    }
    spin_until_ns_ = 0;  // once per wait
    return false;
  }
  [[nodiscard]] bool timed_out() const { return deadline_ns_ != kNoDeadline && monotonic_ns() >= deadline_ns_; }
  [[nodiscard]] uint64_t sleep_ns() const;

  const StackSet& stacks_;
  uint64_t deadline_ns_;
  const sigset_t* mask_;
  uint64_t spin_until_ns_ = 0;
};

// After a signal interrupted a blocking socket call: whether Linux would restart it. It does if the handler that ran
// was installed with SA_RESTART; which one ran is not visible here, so the answer is true only if all installed
// handlers have it.
[[nodiscard]] bool interrupted_call_restarts();

}  // namespace postern::preload
