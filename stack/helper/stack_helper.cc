// The helper's loop. See stack_helper.h.
#include "stack/helper/stack_helper.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "stack/preload/endpoint_flags.h"

namespace postern::helper {
namespace {

constexpr uint64_t kDoneReportPauseNs = 100'000'000;
constexpr int kResetRounds = 200;      // of 1 ms, for a ring that is full of what the dead process sent
constexpr int kResetGraceRounds = 20;  // of 1 ms, for the last resets to leave
constexpr int kMaxBatches = 64;        // polls per turn: control events are not kept waiting by a flood of packets

uint64_t monotonic_ns() {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

enum Tag : uint64_t { kTagControl = 0, kTagInterrupt = 1 };

}  // namespace

StackHelper::StackHelper(hostd::HostdClient& client, preload::AttachedStack& attached, const HelperTimes& times)
    : client_(client), attached_(attached), times_(times), epoll_fd_(::epoll_create1(EPOLL_CLOEXEC)) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLRDHUP;
  event.data.u64 = kTagControl;
  ::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, client_.control_fd(), &event);
}

StackHelper::~StackHelper() { ::close(epoll_fd_); }

int StackHelper::run() {
  while (turn()) {
    sleep(duty());
  }
  return exit_status_;
}

bool StackHelper::turn() {
  if (!take_control_events()) {
    return false;
  }
  if (!attached_.check_alive() || attached_.stack().is_down()) {
    return end_stack();
  }
  if (duty() == Duty::kHelper) {
    advance();
  }
  attached_.ports().flush();
  // Again at the end: events that came while a reply was awaited make no descriptor readable.
  return (!orphaned_ || mind_orphan()) && take_control_events();
}

// The state is lost (device gone, VI halted, or the lock's owner died). Peers learn of it as far as the stack still
// can.
bool StackHelper::end_stack() {
  if (!attached_.is_dead()) {
    if (attached_.stack().is_broken()) {
      reset_peers();
    } else {
      attached_.stack().abort_all();
    }
    exit_status_ = 1;
  }
  attached_.wake();  // whoever sleeps on it gets ENETDOWN
  return false;
}

// The device sends from this process's memory: it needs the moment before hostd, seeing the end, stops it.
void StackHelper::reset_peers() {
  stack::Stack& stack = attached_.stack();
  constexpr timespec kPause{0, 1'000'000};
  uint32_t next = 0;
  for (int round = 0; round < kResetRounds && next < stack.config().endpoint_count; ++round) {
    next = stack.reset_peers_of_broken_stack(next);
    ::nanosleep(&kPause, nullptr);
  }
  for (int round = 0; round < kResetGraceRounds; ++round) {
    ::nanosleep(&kPause, nullptr);
  }
}

bool StackHelper::take_control_events() {
  hostd::HelperMessage message;
  for (;;) {
    const Result<bool> got = client_.next_event(message);
    if (!got.ok()) {
      attached_.mark_dead();
      return false;  // hostd is gone; the device has been reset with it
    }
    if (!got.value()) {
      return true;
    }
    switch (message.event) {
      case hostd::HelperEvent::kEndpointClosed:
        close_endpoint(static_cast<int>(message.endpoint), message.generation);
        break;
      case hostd::HelperEvent::kOrphaned:
        orphaned_ = true;
        next_done_report_ns_ = 0;
        orphaned_since_ns_ = monotonic_ns();
        lingering_since_ns_ = 0;
        break;
      case hostd::HelperEvent::kAdopted:
        orphaned_ = false;
        break;
      case hostd::HelperEvent::kDeviceLost:
        attached_.mark_dead();
        return false;
      case hostd::HelperEvent::kShutdown:
        return false;
      case hostd::HelperEvent::kStart:
        break;  // taken before the loop
    }
  }
}

// The last descriptor is gone. A listener's connections keep its port, so hostd is told separately that nobody listens.
void StackHelper::close_endpoint(int endpoint, uint32_t generation) {
  stack::Stack& stack = attached_.stack();
  if (stack.generation(endpoint) != generation) {
    return;  // the application has closed it itself
  }
  int listening = 0;
  socklen_t size = sizeof listening;
  stack::SocketAddress local;
  const bool listener = stack.get_option(endpoint, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) >= 0 &&
                        listening != 0 && stack.local_address(endpoint, &local) >= 0;
  stack.close(endpoint, generation);
  attached_.ports().flush();
  if (listener) {
    static_cast<void>(
        attached_.ports().set_listening(stack::Protocol::kTcp, local, false));  // gone with the port: fine
  }
  next_done_report_ns_ = 0;
}

StackHelper::Duty StackHelper::duty() const {
  if (orphaned_ || attached_.grant().is_host_stack != 0) {
    return Duty::kHelper;
  }
  const uint64_t last_ns = attached_.stack().last_application_poll_ns();
  const uint64_t now_ns = attached_.device_now_ns();
  const uint64_t age_ns = now_ns > last_ns ? now_ns - last_ns : 0;
  if (attached_.stack().sleepers() > 0 && age_ns < times_.sleeper_stale_device_ns) {
    return Duty::kApplicationSleeps;
  }
  return age_ns < times_.application_recent_device_ns && last_ns != 0 ? Duty::kApplicationPolls : Duty::kHelper;
}

void StackHelper::advance() {
  for (int batch = 0; batch < kMaxBatches && attached_.poll() != 0; ++batch) {
  }
}

// Orphan rules. False: the stack has ended and hostd agreed.
bool StackHelper::mind_orphan() {
  const uint64_t now_ns = monotonic_ns();
  if (now_ns - orphaned_since_ns_ > times_.tokenless_ns) {
    close_tokenless();
  }
  const stack::DrainState state = attached_.stack().drain_state();
  if (attached_.stack().is_down()) {
    return end_stack();  // a stack that broke has nothing left to drain, but peers to tell
  }
  bool finished = state == stack::DrainState::kDone;
  if (state == stack::DrainState::kLingering) {
    lingering_since_ns_ = lingering_since_ns_ == 0 ? now_ns : lingering_since_ns_;
    finished = now_ns - lingering_since_ns_ >= times_.linger_ns;
  } else {
    lingering_since_ns_ = 0;
    if (state == stack::DrainState::kBusy && now_ns - orphaned_since_ns_ >= times_.drain_ns) {
      attached_.stack().abort_all();
      advance();
      finished = true;
    }
  }
  if (!finished || now_ns < next_done_report_ns_) {
    return true;
  }
  attached_.ports().flush();
  const Status told = client_.helper_done(attached_.stack_id());
  if (!told.ok() && told.error().code != EBUSY) {
    return false;
  }
  // EBUSY: descriptors exist that nobody has used yet (passed, or kept over exec); their end is announced.
  next_done_report_ns_ = now_ns + kDoneReportPauseNs;
  return take_control_events();  // the answer: kShutdown, or kAdopted if somebody came meanwhile
}

// Sockets that the process was about to give a descriptor when it ended: nobody can ever close them.
void StackHelper::close_tokenless() {
  stack::Stack& stack = attached_.stack();
  const int count = static_cast<int>(stack.config().endpoint_count);
  for (int id = 0; id < count; ++id) {
    const uint32_t generation = stack.generation(id);
    if (generation != 0 && (stack.user_word(id) & preload::kFlagHasToken) == 0) {
      stack.close(id, generation);
    }
  }
}

void StackHelper::sleep(Duty duty) {
  if (duty != Duty::kHelper) {
    wait(false, duty == Duty::kApplicationPolls ? times_.watch_busy_ns : times_.watch_sleeper_ns);
    return;
  }
  stack::Stack& stack = attached_.stack();
  stack.begin_sleep();
  if (!stack.must_not_sleep()) {
    uint64_t timeout_ns = orphaned_ ? times_.orphan_sleep_ns : times_.longest_sleep_ns;
    const uint64_t deadline_ns = stack.next_deadline_ns();
    const uint64_t now_ns = attached_.device_now_ns();
    if (deadline_ns != UINT64_MAX) {
      timeout_ns = std::min(timeout_ns, deadline_ns > now_ns ? deadline_ns - now_ns : 0);
    }
    wait(true, timeout_ns);
  }
  stack.end_sleep();
}

// While the application does the work its interrupts are not the helper's business, so they are not watched then.
void StackHelper::wait(bool watch_interrupt, uint64_t timeout_ns) {
  if (watch_interrupt != interrupt_watched_) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;  // never read: each write is an edge
    event.data.u64 = kTagInterrupt;
    ::epoll_ctl(epoll_fd_, watch_interrupt ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, attached_.wake_fd(), &event);
    interrupt_watched_ = watch_interrupt;
    if (watch_interrupt) {
      return;  // events from before the watch began: look again first
    }
  }
  const timespec timeout{static_cast<time_t>(timeout_ns / 1'000'000'000),
                         static_cast<long>(timeout_ns % 1'000'000'000)};
  epoll_event events[4];
  ::epoll_pwait2(epoll_fd_, events, 4, &timeout, nullptr);
}

}  // namespace postern::helper
