// Sleeping. See sleeper.h for the protocol.
#include "stack/preload/sleeper.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <iterator>

namespace postern::preload {
namespace {

constexpr uint64_t kLongestSleepNs = 100'000'000;  // bounds the damage of any missed wakeup
constexpr uint64_t kHostdTag = UINT64_MAX;

// A thread's epoll instance. Made anew after fork: the parent's instance is shared with the parent.
struct ThreadWaiter {
  int epoll_fd = -1;
  uint64_t fork_count = 0;
  int control_fd = -1;
  size_t stacks_registered = 0;
};

pthread_key_t waiter_key;
pthread_once_t waiter_key_once = PTHREAD_ONCE_INIT;
__attribute__((tls_model("initial-exec"))) thread_local ThreadWaiter thread_waiter;

void close_waiter(void* waiter_pointer) {
  auto* waiter = static_cast<ThreadWaiter*>(waiter_pointer);
  if (waiter->epoll_fd >= 0) {
    Process::get().close_internal(waiter->epoll_fd);
    waiter->epoll_fd = -1;
  }
}

void make_waiter_key() { ::pthread_key_create(&waiter_key, close_waiter); }

void watch(int epoll_fd, int fd, uint32_t events, uint64_t tag) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = tag;
  if (real().epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
    log(LogLevel::kError, "cannot watch descriptor %d: errno %d", fd, errno);
  }
}

// The calling thread's instance, holding every stack of the process. -1 if none can be made (no descriptors left): the
// sleeper then wakes by time alone.
int thread_epoll_fd() {
  Process& process = Process::get();
  ThreadWaiter& waiter = thread_waiter;
  const int control_fd = process.client().control_fd();
  if (waiter.epoll_fd >= 0 && (waiter.fork_count != process.fork_count() || waiter.control_fd != control_fd)) {
    process.close_internal(waiter.epoll_fd);
    waiter = ThreadWaiter{};
  }
  if (waiter.epoll_fd < 0) {
    ::pthread_once(&waiter_key_once, make_waiter_key);
    const int fd = real().epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0) {
      return -1;
    }
    waiter.epoll_fd = process.adopt_internal(fd);
    waiter.fork_count = process.fork_count();
    waiter.control_fd = control_fd;
    waiter.stacks_registered = 0;
    ::pthread_setspecific(waiter_key, &waiter);
    if (control_fd >= 0) {
      watch(waiter.epoll_fd, control_fd, EPOLLRDHUP, kHostdTag);
    }
  }
  for (; waiter.stacks_registered < process.stack_count(); ++waiter.stacks_registered) {
    const int wake_fd = process.stack_at(waiter.stacks_registered)->wake_fd();
    watch(waiter.epoll_fd, wake_fd, EPOLLIN | EPOLLET, waiter.stacks_registered);
  }
  return waiter.epoll_fd;
}

// Takes the edges that woke the thread, so that the next sleep waits for new ones.
void drain(int epoll_fd) {
  epoll_event events[16];
  const int count = real().epoll_wait(epoll_fd, events, 16, 0);
  for (int i = 0; i < count; ++i) {
    if (events[i].data.u64 == kHostdTag) {
      Process::get().check_hostd(true);
    }
  }
}

}  // namespace

uint64_t deadline_after_ms(int timeout_ms) {
  return timeout_ms < 0 ? kNoDeadline : monotonic_ns() + static_cast<uint64_t>(timeout_ms) * 1'000'000;
}

uint64_t deadline_after(const timespec* timeout) {
  if (timeout == nullptr) {
    return kNoDeadline;
  }
  constexpr int64_t kForeverSeconds = 1'000'000'000;
  const auto seconds = static_cast<uint64_t>(std::min<int64_t>(timeout->tv_sec, kForeverSeconds));
  return monotonic_ns() + seconds * 1'000'000'000 + static_cast<uint64_t>(timeout->tv_nsec);
}

void StackSet::add(AttachedStack* stack) {
  if (stack == nullptr || std::find(begin(), end(), stack) != end() || count_ == stacks_.size()) {
    return;  // beyond the size: those stacks are looked at each time the bounded sleep ends
  }
  stacks_[count_++] = stack;
}

size_t StackSet::poll() const {
  size_t work = 0;
  for (AttachedStack* stack : *this) {
    work += stack->poll();
  }
  return work;
}

Sleeper::Sleeper(const StackSet& stacks, uint64_t deadline_ns, const sigset_t* mask)
    : stacks_(stacks), deadline_ns_(deadline_ns), mask_(mask) {
  const uint64_t spin_ns = Process::get().options().spin_ns();
  if (spin_ns != 0) {
    spin_until_ns_ = std::min(monotonic_ns() + spin_ns, deadline_ns_);
  }
}

uint64_t Sleeper::sleep_ns() const {
  uint64_t bound_ns = kLongestSleepNs;
  for (AttachedStack* stack : stacks_) {
    const uint64_t deadline_ns = stack->stack().next_deadline_ns();
    const uint64_t now_ns = stack->device_now_ns();
    if (deadline_ns != UINT64_MAX) {
      bound_ns = std::min(bound_ns, deadline_ns > now_ns ? deadline_ns - now_ns : 0);
    }
  }
  if (deadline_ns_ != kNoDeadline) {
    const uint64_t now_ns = monotonic_ns();
    bound_ns = std::min(bound_ns, deadline_ns_ > now_ns ? deadline_ns_ - now_ns : 0);
  }
  return bound_ns;
}

Sleeper::Attempt::Attempt(Sleeper& sleeper) : sleeper_(sleeper) {
  thread_epoll_fd();  // before priming: what fires from now on is seen
  for (AttachedStack* stack : sleeper_.stacks_) {
    stack->stack().begin_sleep();
  }
}

Sleeper::Attempt::~Attempt() {
  for (AttachedStack* stack : sleeper_.stacks_) {
    stack->stack().end_sleep();
  }
}

SleepResult Sleeper::Attempt::sleep(std::vector<pollfd>& fds) {
  const int epoll_fd = thread_epoll_fd();
  fds[0] = pollfd{epoll_fd, POLLIN, 0};
  const uint64_t bound_ns = sleeper_.sleep_ns();
  const timespec timeout{static_cast<time_t>(bound_ns / 1'000'000'000), static_cast<long>(bound_ns % 1'000'000'000)};
  const sigset_t* mask = sleeper_.mask_ != nullptr ? sleeper_.mask_ : hold_.saved_mask();
  const int count = real().ppoll(fds.data(), fds.size(), &timeout, mask);
  if (count < 0 && errno == EINTR) {
    return SleepResult::kInterrupted;
  }
  if (count > 0 && fds[0].revents != 0) {
    drain(epoll_fd);
  }
  if (count == 0 && sleeper_.timed_out()) {
    return SleepResult::kTimedOut;
  }
  return SleepResult::kWoken;
}

bool interrupted_call_restarts() {
  // A program's own faults do not interrupt a wait; crash reporters catch them without SA_RESTART.
  constexpr int kFaults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
  for (int number = 1; number < NSIG; ++number) {
    struct sigaction action {};
    if (std::find(std::begin(kFaults), std::end(kFaults), number) != std::end(kFaults) ||
        ::sigaction(number, nullptr, &action) != 0 || action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN) {
      continue;
    }
    if ((action.sa_flags & SA_RESTART) == 0) {
      return false;
    }
  }
  return true;
}

}  // namespace postern::preload
