// The loop of the live simulator: looks at doorbell pages, sockets and TAP devices, then lets simulated time follow the
// wall clock; sleeps when nothing is going on. Makes no system call per packet: sockets and TAP devices are looked at
// every few microseconds, doorbell pages at every turn. Include only from C++17 translation units.
#pragma once

#include <poll.h>
#include <signal.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sim/live_control.h"
#include "sim/live_nic.h"
#include "sim/live_pacing.h"
#include "sim/tap_port.h"

namespace postern::sim {

struct LiveLoopCounters {
  uint64_t turns = 0;
  uint64_t sleeps = 0;
  uint64_t socket_looks = 0;
};

class LiveLoop {
 public:
  struct Callbacks {
    std::function<std::string()> status;   // the text for the control socket
    std::function<void()> flush_captures;  // called about twice a second
  };
  // All referenced objects outlive the loop.
  LiveLoop(std::vector<LiveNic*> nics, std::vector<TapPort*> taps, LiveControlServer& control, Callbacks callbacks);

  // Until `stop` becomes non-zero (a signal handler sets it).
  void run(const volatile sig_atomic_t& stop);

  [[nodiscard]] const LiveLoopCounters& counters() const { return counters_; }
  [[nodiscard]] uint64_t wall_elapsed_ns() const;
  [[nodiscard]] uint64_t forgotten_ns() const { return pacer_.forgotten_ns(); }

 private:
  // Simulated time that one turn may cover while something happens: how late a doorbell is seen at most.
  static constexpr uint64_t kStepNs = 1000;
  static constexpr uint64_t kSocketIntervalNs = 50'000;
  static constexpr uint64_t kBusySocketIntervalNs = 3000;  // after a message, more follow soon
  static constexpr uint64_t kTapIntervalNs = 10'000;
  static constexpr uint64_t kFlushIntervalNs = 500'000'000;
  // How long the loop stays awake without any activity. Assumed: a few times what it costs to sleep and be kicked.
  static constexpr uint64_t kSpinNs = 30'000;
  static constexpr uint64_t kSleepMaxNs = 1'000'000;  // for clients that cannot kick, and for the clock page

  void turn();
  bool look_at_sockets();
  bool look_at_taps();
  // Lets simulated time go on. True if anything was simulated, not just time passed.
  bool advance(uint64_t wall_ns);
  void publish_time();
  void sleep();
  void wait_for_descriptors(uint64_t timeout_ns);
  void collect_descriptors();

  const std::vector<LiveNic*> nics_;
  const std::vector<TapPort*> taps_;
  LiveControlServer& control_;
  const Callbacks callbacks_;
  const uint64_t begin_wall_ns_;
  LivePacer pacer_;
  std::vector<pollfd> descriptors_;  // per NIC those of its server and its kick, then TAP devices, then control
  std::vector<int> control_fds_;
  uint64_t wall_ns_;             // at the beginning of this turn
  uint64_t active_wall_ns_;      // last activity
  uint64_t socket_wall_ns_ = 0;  // last look at the sockets
  uint64_t socket_active_wall_ns_ = 0;
  uint64_t tap_wall_ns_ = 0;
  uint64_t flush_wall_ns_ = 0;
  LiveLoopCounters counters_;
};

}  // namespace postern::sim
