// The stack helper: a process per stack, started by hostd with the application's credentials, that does what nobody
// else does. It advances the protocol while the application is not scheduled, closes endpoints whose last descriptor is
// gone, and finishes what a process left behind (FIN, retransmissions). It sleeps whenever it can; it never spins.
#pragma once

#include <cstdint>
#include <memory>

#include "driver/hostd_client.h"
#include "stack/preload/attached_stack.h"

namespace postern::helper {

// Times of the rules below. Wall time unless the name says device.
struct HelperTimes {
  uint64_t application_recent_device_ns = 5'000'000;  // polled within this: the application is at work
  uint64_t sleeper_stale_device_ns = 400'000'000;     // a sleeping application polls at least every 100 ms
  uint64_t watch_busy_ns = 10'000'000;                // how often to look whether the application still polls
  uint64_t watch_sleeper_ns = 50'000'000;             // the same while one of its threads sleeps
  uint64_t longest_sleep_ns = 100'000'000;
  uint64_t linger_ns = 250'000'000;       // orphan with everything acknowledged
  uint64_t orphan_sleep_ns = 25'000'000;  // longest sleep of an orphan's helper
  uint64_t drain_ns = 60'000'000'000;     // orphan with unacknowledged data
  uint64_t tokenless_ns = 2'000'000'000;  // orphan: endpoints that never got a descriptor
};

class StackHelper {
 public:
  StackHelper(hostd::HostdClient& client, preload::AttachedStack& attached, const HelperTimes& times);
  ~StackHelper();
  StackHelper(const StackHelper&) = delete;
  StackHelper& operator=(const StackHelper&) = delete;

  // Runs until hostd says so, hostd or the device is gone, or the stack is broken. Returns the exit status.
  int run();

  // One turn without sleeping, for tests: control events, protocol work, orphan rules. False: time to end.
  bool turn();

 private:
  // Who advances the protocol right now.
  enum class Duty { kHelper, kApplicationPolls, kApplicationSleeps };
  [[nodiscard]] Duty duty() const;
  bool take_control_events();
  void close_endpoint(int endpoint, uint32_t generation);
  void advance();
  bool mind_orphan();
  void close_tokenless();
  void sleep(Duty duty);
  void wait(bool watch_interrupt, uint64_t timeout_ns);
  bool end_stack();
  void reset_peers();

  hostd::HostdClient& client_;
  preload::AttachedStack& attached_;
  HelperTimes times_;
  int epoll_fd_ = -1;
  bool interrupt_watched_ = false;
  bool orphaned_ = false;
  uint64_t next_done_report_ns_ = 0;
  uint64_t orphaned_since_ns_ = 0;
  uint64_t lingering_since_ns_ = 0;
  int exit_status_ = 0;
};

}  // namespace postern::helper
