// Waiting for many descriptors: poll, select and epoll over a mixture of endpoints and kernel descriptors.
#include <sys/select.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "stack/preload/calls.h"
#include "stack/preload/epoll_set.h"
#include "stack/preload/poll_merge.h"
#include "stack/preload/sleeper.h"

namespace postern::preload::calls {
namespace {

bool valid_timeout(const timespec* timeout) {
  return timeout == nullptr || (timeout->tv_sec >= 0 && timeout->tv_nsec >= 0 && timeout->tv_nsec < 1'000'000'000);
}

// Whether a descriptor needs this library's attention in poll: an endpoint, or an epoll set that holds some.
PollMerge::Source source_of(int fd) {
  Process& process = Process::get();
  if (fd < 0 || process.fds().is_kernel(fd)) {
    return {};
  }
  FdLookup found = process.resolve(fd);
  return found.kind == FdKind::kObject ? PollMerge::Source{std::move(found.object)} : PollMerge::Source{};
}

int poll_until(pollfd* fds, nfds_t count, uint64_t deadline_ns, bool dont_wait, const sigset_t* mask,
               PollMerge& merge) {
  StackSet stacks;
  merge.add_stacks(&stacks);
  Sleeper sleeper(stacks, deadline_ns, mask);
  bool last_look = dont_wait;
  for (;;) {
    stacks.poll();
    Process::get().check_hostd(false);
    const int ready = merge.look(fds, count);
    if (ready != 0 || last_look) {
      return ready;  // < 0: errno is set
    }
    switch (sleeper.wait(merge.kernel_fds(), [&] { return merge.any_endpoint_ready(fds); })) {
      case SleepResult::kInterrupted:
        return finish(-EINTR);
      case SleepResult::kTimedOut:
        last_look = true;
        break;
      case SleepResult::kWoken:
        last_look = deadline_ns != kNoDeadline && monotonic_ns() >= deadline_ns;
        break;
    }
  }
}

int poll_common(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask) {
  if (!Process::get().accelerating()) {
    return real().ppoll(fds, count, timeout, mask);
  }
  if (!valid_timeout(timeout)) {
    return finish(-EINVAL);
  }
  PollMerge merge(fds, count, source_of);
  if (!merge.mixed()) {
    return real().ppoll(fds, count, timeout, mask);
  }
  const bool dont_wait = timeout != nullptr && timeout->tv_sec == 0 && timeout->tv_nsec == 0;
  return poll_until(fds, count, deadline_after(timeout), dont_wait, mask, merge);
}

bool any_object(int count, const fd_set* readable, const fd_set* writable, const fd_set* exceptional) {
  for (int fd = 0; fd < count; ++fd) {
    const bool asked = (readable != nullptr && FD_ISSET(fd, readable)) ||
                       (writable != nullptr && FD_ISSET(fd, writable)) ||
                       (exceptional != nullptr && FD_ISSET(fd, exceptional));
    if (asked && source_of(fd).object) {
      return true;
    }
  }
  return false;
}

// select over poll. Returns the number of bits set, or -1 with the sets untouched.
int select_common(int count, fd_set* readable, fd_set* writable, fd_set* exceptional, const timespec* timeout,
                  const sigset_t* mask) {
  std::vector<pollfd> fds;
  for (int fd = 0; fd < count; ++fd) {
    short events = 0;
    events |= readable != nullptr && FD_ISSET(fd, readable) ? POLLIN | POLLRDNORM | POLLRDBAND : 0;
    events |= writable != nullptr && FD_ISSET(fd, writable) ? POLLOUT | POLLWRNORM | POLLWRBAND : 0;
    events |= exceptional != nullptr && FD_ISSET(fd, exceptional) ? POLLPRI : 0;
    if (events != 0) {
      fds.push_back(pollfd{fd, events, 0});
    }
  }
  const int ready = poll_common(fds.data(), fds.size(), timeout, mask);
  if (ready < 0) {
    return -1;
  }
  if (std::any_of(fds.begin(), fds.end(), [](const pollfd& entry) { return (entry.revents & POLLNVAL) != 0; })) {
    return finish(-EBADF);
  }
  int bits = 0;
  for (const pollfd& entry : fds) {
    // Which poll bits count for which set: select(2), "Correspondence between select() and poll() notifications".
    const auto keep = [&](fd_set* set, int poll_bits) {
      if (set == nullptr || !FD_ISSET(entry.fd, set)) {
        return;
      }
      if ((entry.revents & poll_bits) != 0) {
        ++bits;
      } else {
        FD_CLR(entry.fd, set);
      }
    };
    keep(readable, POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR);
    keep(writable, POLLWRNORM | POLLWRBAND | POLLOUT | POLLERR);
    keep(exceptional, POLLPRI);
  }
  return bits;
}

// --- epoll -----------------------------------------------------------------------------------------------------------

int noted_epoll(int fd) {
  Process& process = Process::get();
  if (fd >= 0 && process.accelerating() && !process.in_vfork_child()) {
    process.fds().set_object(fd, EpollSet::allocate());
  }
  return fd;
}

// One look at both sources. Returns the number of events, or -1 with errno.
int epoll_look(int epoll_fd, EpollSet& set, epoll_event* events, int max_events) {
  int count = 0;
  if (!set.kernel_first()) {
    count = set.collect(events, max_events);
  }
  if (count < max_events) {
    const int from_kernel = real().epoll_wait(epoll_fd, events + count, max_events - count, 0);
    if (from_kernel < 0) {
      return count > 0 ? count : -1;
    }
    count += from_kernel;
  }
  if (count == 0) {
    count = set.collect(events, max_events);
  }
  return count;
}

int epoll_wait_common(int epoll_fd, epoll_event* events, int max_events, const timespec* timeout, const sigset_t* mask,
                      EpollSet& set) {
  if (max_events <= 0) {
    return finish(-EINVAL);
  }
  const bool dont_wait = timeout != nullptr && timeout->tv_sec == 0 && timeout->tv_nsec == 0;
  const uint64_t deadline_ns = deadline_after(timeout);
  StackSet stacks;
  Sleeper sleeper(stacks, deadline_ns, mask);
  std::vector<pollfd> fds(2);
  struct WaiterCount {
    explicit WaiterCount(std::atomic<uint32_t>& value) : count(value) { count.fetch_add(1); }
    ~WaiterCount() { count.fetch_sub(1); }
    std::atomic<uint32_t>& count;
  } waiting(set.waiters_count);
  bool last_look = dont_wait;
  for (;;) {
    stacks.clear();
    set.add_stacks(&stacks);  // members may come while this thread waits
    stacks.poll();
    Process::get().check_hostd(false);
    const int count = epoll_look(epoll_fd, set, events, max_events);
    if (count != 0 || last_look) {
      return count;
    }
    fds[1] = pollfd{epoll_fd, POLLIN, 0};
    switch (sleeper.wait(fds, [&] { return set.any_ready(); })) {
      case SleepResult::kInterrupted:
        return finish(-EINTR);
      case SleepResult::kTimedOut:
        last_look = true;
        break;
      case SleepResult::kWoken:
        last_look = deadline_ns != kNoDeadline && monotonic_ns() >= deadline_ns;
        break;
    }
  }
}

timespec from_ms(int timeout_ms) { return timespec{timeout_ms / 1000, (timeout_ms % 1000) * 1'000'000L}; }

}  // namespace

int poll(pollfd* fds, nfds_t count, int timeout_ms) {
  const timespec timeout = from_ms(timeout_ms);
  return poll_common(fds, count, timeout_ms < 0 ? nullptr : &timeout, nullptr);
}

int ppoll(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask) {
  return poll_common(fds, count, timeout, mask);
}

int select(int count, fd_set* readable, fd_set* writable, fd_set* exceptional, timeval* timeout) {
  if (!Process::get().accelerating() || count < 0 || count > FD_SETSIZE ||
      !any_object(count, readable, writable, exceptional)) {
    return real().select(count, readable, writable, exceptional, timeout);
  }
  if (timeout == nullptr) {
    return select_common(count, readable, writable, exceptional, nullptr, nullptr);
  }
  if (timeout->tv_sec < 0 || timeout->tv_usec < 0) {
    return finish(-EINVAL);
  }
  const timespec wait{timeout->tv_sec + timeout->tv_usec / 1'000'000, (timeout->tv_usec % 1'000'000) * 1000};
  const uint64_t deadline_ns = deadline_after(&wait);
  const int result = select_common(count, readable, writable, exceptional, &wait, nullptr);
  const uint64_t now_ns = monotonic_ns();
  const uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;  // Linux tells what is left
  timeout->tv_sec = static_cast<time_t>(left_ns / 1'000'000'000);
  timeout->tv_usec = static_cast<suseconds_t>(left_ns % 1'000'000'000 / 1000);
  return result;
}

int pselect(int count, fd_set* readable, fd_set* writable, fd_set* exceptional, const timespec* timeout,
            const sigset_t* mask) {
  if (!Process::get().accelerating() || count < 0 || count > FD_SETSIZE ||
      !any_object(count, readable, writable, exceptional)) {
    return real().pselect(count, readable, writable, exceptional, timeout, mask);
  }
  return select_common(count, readable, writable, exceptional, timeout, mask);
}

int epoll_create(int size) { return noted_epoll(real().epoll_create(size)); }
int epoll_create1(int flags) { return noted_epoll(real().epoll_create1(flags)); }

int epoll_ctl(int epoll_fd, int operation, int fd, epoll_event* event) {
  Process& process = Process::get();
  if (!process.accelerating() || process.in_vfork_child()) {
    return real().epoll_ctl(epoll_fd, operation, fd, event);
  }
  FdLookup target = process.resolve(fd);
  FdRef set_ref = EpollSet::find(epoll_fd);
  if (target.kind == FdKind::kObject && !set_ref) {
    epoll_event probe{};  // an epoll made before the library was there? The kernel knows.
    if (real().epoll_wait(epoll_fd, &probe, 0, 0) != 0 && errno != EINVAL) {
      return -1;
    }
    if (real().epoll_wait(epoll_fd, &probe, 1, 0) < 0) {
      return -1;
    }
    process.fds().set_object(epoll_fd, EpollSet::allocate());
    set_ref = EpollSet::find(epoll_fd);
  }
  auto* set = static_cast<EpollSet*>(set_ref.get());
  if (target.kind != FdKind::kObject) {
    const int result = real().epoll_ctl(epoll_fd, operation, fd, event);
    if (result == 0 && set != nullptr && target.kind == FdKind::kUndecided) {
      set->note_undecided(operation, fd, target.undecided_id, event);
    }
    return result;
  }
  if (target.object.get()->type() == FdObjectType::kEpoll) {
    const int result = real().epoll_ctl(epoll_fd, operation, fd, event);
    if (result != 0) {
      return result;
    }
  }
  const int result = set->control(operation, fd, target.object, event);
  if (result == 0 && set->waiters_count.load() != 0) {
    for (size_t i = 0; i < process.stack_count(); ++i) {
      process.stack_at(i)->wake();
    }
  }
  return finish(result);
}

int epoll_pwait2(int epoll_fd, epoll_event* events, int max_events, const timespec* timeout, const sigset_t* mask) {
  const FdRef ref = EpollSet::find(epoll_fd);
  if (!ref) {
    return real().epoll_pwait2(epoll_fd, events, max_events, timeout, mask);
  }
  if (!valid_timeout(timeout)) {
    return finish(-EINVAL);
  }
  return epoll_wait_common(epoll_fd, events, max_events, timeout, mask, *static_cast<EpollSet*>(ref.get()));
}

int epoll_pwait(int epoll_fd, epoll_event* events, int max_events, int timeout_ms, const sigset_t* mask) {
  const FdRef ref = EpollSet::find(epoll_fd);
  if (!ref) {
    return real().epoll_pwait(epoll_fd, events, max_events, timeout_ms, mask);
  }
  const timespec timeout = from_ms(timeout_ms);
  return epoll_wait_common(epoll_fd, events, max_events, timeout_ms < 0 ? nullptr : &timeout, mask,
                           *static_cast<EpollSet*>(ref.get()));
}

int epoll_wait(int epoll_fd, epoll_event* events, int max_events, int timeout_ms) {
  return calls::epoll_pwait(epoll_fd, events, max_events, timeout_ms, nullptr);
}

int __poll_chk(pollfd* fds, nfds_t count, int timeout_ms, size_t fds_size) {
  return fds_size / sizeof *fds < count ? real().__poll_chk(fds, count, timeout_ms, fds_size)
                                        : calls::poll(fds, count, timeout_ms);
}

int __ppoll_chk(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask, size_t fds_size) {
  return fds_size / sizeof *fds < count ? real().__ppoll_chk(fds, count, timeout, mask, fds_size)
                                        : calls::ppoll(fds, count, timeout, mask);
}

}  // namespace postern::preload::calls
