// See live_loop.h.
#include "sim/live_loop.h"

#include <sys/prctl.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <systemc>
#include <utility>

namespace postern::sim {
namespace {

uint64_t wall_now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

uint64_t simulated_now_ns() { return sc_core::sc_time_stamp().value() / 1000; }

constexpr uint64_t kNever = ~uint64_t{0};

// Simulated time of the next thing that happens, rounded up to a nanosecond.
uint64_t next_activity_ns() {
  if (!sc_core::sc_pending_activity()) return kNever;
  const uint64_t at_ps = sc_core::sc_time_stamp().value() + sc_core::sc_time_to_pending_activity().value();
  return (at_ps + 999) / 1000;
}

}  // namespace

LiveLoop::LiveLoop(std::vector<LiveNic*> nics, std::vector<TapPort*> taps, LiveControlServer& control,
                   Callbacks callbacks)
    : nics_(std::move(nics)),
      taps_(std::move(taps)),
      control_(control),
      callbacks_(std::move(callbacks)),
      begin_wall_ns_(wall_now_ns()),
      pacer_(begin_wall_ns_, simulated_now_ns()),
      wall_ns_(begin_wall_ns_),
      active_wall_ns_(begin_wall_ns_) {
  prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);  // short sleeps end on time
}

uint64_t LiveLoop::wall_elapsed_ns() const { return wall_now_ns() - begin_wall_ns_; }

void LiveLoop::run(const volatile sig_atomic_t& stop) {
  while (stop == 0) turn();
}

void LiveLoop::turn() {
  ++counters_.turns;
  bool active = false;
  for (LiveNic* nic : nics_) active = nic->poll_doorbells() || active;
  wall_ns_ = wall_now_ns();
  const uint64_t socket_interval =
      wall_ns_ - socket_active_wall_ns_ < kSocketIntervalNs ? kBusySocketIntervalNs : kSocketIntervalNs;
  if (wall_ns_ - socket_wall_ns_ >= socket_interval) active = look_at_sockets() || active;
  if (!taps_.empty() && wall_ns_ - tap_wall_ns_ >= kTapIntervalNs) active = look_at_taps() || active;
  active = advance(wall_ns_) || active;
  publish_time();
  if (active) {
    active_wall_ns_ = wall_ns_;
  } else if (wall_ns_ - active_wall_ns_ > kSpinNs) {
    sleep();
  }
}

void LiveLoop::collect_descriptors() {
  descriptors_.clear();
  for (LiveNic* nic : nics_) {
    nic->server().append_poll_fds(descriptors_);
    descriptors_.push_back({nic->pages().kick_fd(), POLLIN, 0});
  }
  // A TAP device whose frames nobody wants now would end every sleep at once.
  for (const TapPort* tap : taps_) descriptors_.push_back({tap->wants_frames() ? tap->fd() : -1, POLLIN, 0});
  control_fds_.clear();
  control_.add_descriptors(control_fds_);
  for (const int fd : control_fds_) descriptors_.push_back({fd, POLLIN, 0});
}

void LiveLoop::wait_for_descriptors(uint64_t timeout_ns) {
  collect_descriptors();
  const timespec timeout{static_cast<time_t>(timeout_ns / 1'000'000'000),
                         static_cast<long>(timeout_ns % 1'000'000'000)};
  ppoll(descriptors_.data(), descriptors_.size(), &timeout, nullptr);
}

bool LiveLoop::look_at_sockets() {
  ++counters_.socket_looks;
  socket_wall_ns_ = wall_ns_;
  wait_for_descriptors(0);
  const auto ready = [this](int fd) {
    return std::any_of(descriptors_.begin(), descriptors_.end(),
                       [fd](const pollfd& entry) { return entry.fd == fd && entry.revents != 0; });
  };
  bool active = false;
  std::vector<pollfd> own;
  for (LiveNic* nic : nics_) {
    nic->server().drop_silent_client(std::chrono::steady_clock::now());
    own.clear();
    nic->server().append_poll_fds(own);
    for (const pollfd& entry : own) {
      if (!ready(entry.fd)) continue;
      nic->server().service();
      active = true;
      break;
    }
  }
  const bool time_to_flush = wall_ns_ - flush_wall_ns_ >= kFlushIntervalNs;
  if (time_to_flush || std::any_of(control_fds_.begin(), control_fds_.end(), ready)) control_.serve(callbacks_.status);
  if (active) socket_active_wall_ns_ = wall_ns_;
  if (time_to_flush) {
    flush_wall_ns_ = wall_ns_;
    callbacks_.flush_captures();
  }
  return active;
}

bool LiveLoop::look_at_taps() {
  tap_wall_ns_ = wall_ns_;
  bool active = false;
  for (TapPort* tap : taps_) active = tap->poll_device() || active;
  return active;
}

bool LiveLoop::advance(uint64_t wall_ns) {
  const uint64_t now = simulated_now_ns();
  const uint64_t limit = pacer_.limit_ns(wall_ns);
  if (limit <= now) return false;
  const uint64_t next = next_activity_ns();
  // With nothing to do until the limit, time just passes; else at most one step, so that doorbells are seen in time.
  const uint64_t target = next >= limit ? limit : std::min(limit, std::max(next, now + kStepNs));
  const bool active = next <= target;
  const uint64_t step_ps = target * 1000 - sc_core::sc_time_stamp().value();
  sc_core::sc_start(sc_core::sc_time::from_value(step_ps));
  pacer_.note_progress(wall_ns, target);
  return active;
}

void LiveLoop::publish_time() {
  const uint64_t now = simulated_now_ns();
  for (LiveNic* nic : nics_) nic->pages().set_time_ns(now);
}

void LiveLoop::sleep() {
  const uint64_t next = next_activity_ns();
  const uint64_t wake_wall_ns = next == kNever ? kNever : pacer_.wall_of_ns(next);
  const uint64_t now = wall_now_ns();
  if (wake_wall_ns <= now + kSpinNs) return;  // not worth it
  bool may_sleep = true;
  size_t begun = 0;
  while (may_sleep && begun < nics_.size()) may_sleep = nics_[begun++]->pages().begin_sleep();
  if (may_sleep) {
    ++counters_.sleeps;
    wait_for_descriptors(std::min(kSleepMaxNs, wake_wall_ns - now));
  }
  for (size_t i = 0; i < begun; ++i) nics_[i]->pages().end_sleep();
  wall_ns_ = wall_now_ns();
  if (!may_sleep) active_wall_ns_ = wall_ns_;
  // Whatever ended the sleep is looked at in the next turn.
  socket_wall_ns_ = 0;
  tap_wall_ns_ = 0;
  // Simulated time catches up before anything new enters: nothing happened in between.
  advance(wall_ns_);
  publish_time();
}

}  // namespace postern::sim
