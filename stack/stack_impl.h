// What a Stack handle is made of, for stack.cc, stack_endpoints.cc and stack_options.cc: the core's view, the lock
// taken and given back around each operation, deferred work.
#pragma once

#include <atomic>
#include <memory>

#include "stack/core.h"
#include "stack/stack.h"
#include "stack/vi_netif.h"

namespace postern::stack {

struct Stack::Impl {
  Core core;  // fields marked [any] by anyone, the others under the lock
  const DeviceClock* clock = nullptr;
  Waker* waker = nullptr;
  bool helper = false;
  std::unique_ptr<ViNetif> vi_netif;  // unless a netif was given
  std::atomic<uint32_t> contended_polls{0};
  static constexpr size_t kFramesPerBatch = 64;
  RxFrame frames[kFramesPerBatch];  // of poll_locked(); here so that no poll has to clear it

  [[nodiscard]] StackState& state() const { return *core.state; }
  [[nodiscard]] bool down() const { return core.state->down.load(std::memory_order_acquire) != 0; }

  // The endpoint with that id, or nullptr if there is none of that kind with a descriptor.
  [[nodiscard]] Endpoint* find(int endpoint) const;
  [[nodiscard]] Endpoint* find(int endpoint, EndpointKind kind) const;

  // Takes the lock for an operation whose result is needed. 0 or -errno.
  [[nodiscard]] int enter();
  // Once in the stack's life: the first who takes the lock starts the clock, fills the RX ring, announces the address.
  void start();
  // Sends what became due, rings doorbells, runs deferred work, gives the lock back, wakes sleepers.
  void leave();
  // After lock_or_defer() said kAcquired for a node: runs that node's work, then leaves.
  void leave_running(uint32_t node);
  void run_deferred(uint32_t node, uint32_t ops);
  void run_timers();
  void expire_timer(uint32_t node);
  // Every half second while there are endpoints: work of dead contenders, old fragments, want of buffers.
  void housekeeping();
  void mark_down(uint32_t flag);
  void close_endpoint(Endpoint& endpoint);
  [[nodiscard]] size_t poll_locked();
  [[nodiscard]] int finish_connect(int endpoint, const SocketAddress& remote);
  // Gives the endpoint its port. Called without the lock. 0 or -errno.
  [[nodiscard]] int acquire_port(int endpoint, const SocketAddress& local, uint32_t flags, bool bound_explicitly);
};

// Holds the stack's lock for a scope; `error` is 0 or what to return.
class LockedSection {
 public:
  explicit LockedSection(Stack::Impl& impl);
  ~LockedSection();
  LockedSection(const LockedSection&) = delete;
  LockedSection& operator=(const LockedSection&) = delete;
  const int error;

 private:
  Stack::Impl& impl_;
};

}  // namespace postern::stack
