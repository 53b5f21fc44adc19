// epoll with identifiers instead of pointers: see event_loop.h.
#include "driver/event_loop.h"

#include <sys/epoll.h>

#include <cerrno>
#include <cstring>

namespace postern::hostd {

EventLoop::EventLoop() : epoll_fd_(epoll_create1(EPOLL_CLOEXEC)) {}

Result<EventLoop::WatchId> EventLoop::watch(int fd, uint32_t epoll_events, Handler handler) {
  epoll_event event{};
  event.events = epoll_events;
  event.data.u64 = next_id_;
  if (epoll_ctl(epoll_fd_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return Error{errno, std::string("cannot watch a descriptor: ") + std::strerror(errno)};
  }
  watches_.emplace(next_id_, Watch{fd, std::move(handler)});
  return next_id_++;
}

void EventLoop::change(WatchId id, uint32_t epoll_events) {
  const auto found = watches_.find(id);
  if (found == watches_.end()) {
    return;
  }
  epoll_event event{};
  event.events = epoll_events;
  event.data.u64 = id;
  epoll_ctl(epoll_fd_.get(), EPOLL_CTL_MOD, found->second.fd, &event);
}

void EventLoop::unwatch(WatchId id) {
  const auto found = watches_.find(id);
  if (found == watches_.end()) {
    return;
  }
  epoll_ctl(epoll_fd_.get(), EPOLL_CTL_DEL, found->second.fd, nullptr);
  watches_.erase(found);
}

void EventLoop::turn(int timeout_ms) {
  epoll_event events[64];
  const int count = epoll_wait(epoll_fd_.get(), events, 64, timeout_ms);
  for (int i = 0; i < count; ++i) {
    const auto found = watches_.find(events[i].data.u64);
    if (found != watches_.end()) {
      const Handler handler = found->second.handler;  // a copy: the handler may unwatch itself
      handler(events[i].events);
    }
  }
}

}  // namespace postern::hostd
