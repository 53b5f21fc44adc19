// One thread's readiness loop over epoll(7), level-triggered. Hides stale events: a handler that was removed is never
// called again, even for events that were reported in the same turn.
#pragma once

#include <cstdint>
#include <functional>
#include <unordered_map>

#include "driver/result.h"
#include "driver/unique_fd.h"

namespace postern::hostd {

class EventLoop {
 public:
  using Handler = std::function<void(uint32_t epoll_events)>;
  using WatchId = uint64_t;  // 0: none

  EventLoop();

  // Watches a descriptor; it stays the caller's and must be unwatched before it is closed.
  [[nodiscard]] Result<WatchId> watch(int fd, uint32_t epoll_events, Handler handler);
  void change(WatchId id, uint32_t epoll_events);
  void unwatch(WatchId id);
  // Waits up to timeout_ms (-1: without limit) and calls handlers.
  void turn(int timeout_ms);

 private:
  struct Watch {
    int fd;
    Handler handler;
  };
  UniqueFd epoll_fd_;
  WatchId next_id_ = 1;
  std::unordered_map<WatchId, Watch> watches_;
};

}  // namespace postern::hostd
