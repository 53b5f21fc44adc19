// A stack that this process is attached to: its mappings, the VI's window, clock and wake descriptor, the port
// authority, and the handle on the protocol state. Used by libpostern.so and by the stack helper. Packet walk: between
// the socket call and stack/stack.h.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "driver/hostd_client.h"
#include "driver/mapped_vi_window.h"
#include "driver/result.h"
#include "stack/preload/port_bindings.h"
#include "stack/stack.h"

namespace postern::preload {

// Wakes all sleepers of the stack: writes the wake eventfd, which is never read.
class EventfdWaker : public stack::Waker {
 public:
  explicit EventfdWaker(int wake_fd) : wake_fd_(wake_fd) {}
  void wake() override;

 private:
  int wake_fd_;
};

class AttachedStack {
 public:
  // Maps what a grant brought, formats the stack if the grant says so (otherwise waits up to format_wait_ms for the one
  // who does), and attaches. Takes the descriptors out of `attachment`. client: outlives the result. move: gives a
  // descriptor that is kept another number (null: stays).
  using MoveDescriptor = int (*)(int fd);
  [[nodiscard]] static Result<std::unique_ptr<AttachedStack>> create(hostd::StackAttachment& attachment,
                                                                     hostd::HostdClient* client, bool is_helper,
                                                                     int format_wait_ms, MoveDescriptor move);
  ~AttachedStack();
  AttachedStack(const AttachedStack&) = delete;
  AttachedStack& operator=(const AttachedStack&) = delete;

  [[nodiscard]] stack::Stack& stack() { return *stack_; }
  [[nodiscard]] PortBindings& ports() { return *ports_; }
  [[nodiscard]] const hostd::StackGrant& grant() const { return grant_; }
  [[nodiscard]] uint32_t stack_id() const { return grant_.stack_id; }
  // The VI's interrupt; watch with EPOLLIN | EPOLLET, never read.
  [[nodiscard]] int wake_fd() const { return wake_fd_; }
  [[nodiscard]] int kick_fd() const { return window_->kick_fd(); }
  [[nodiscard]] uint64_t device_now_ns() const { return window_->clock().now_ns(); }
  void wake() { waker_->wake(); }

  // False once hostd says that the stack is dead (device lost, helper died) or mark_dead() was called; the protocol
  // state is then marked, so that every operation returns -ENETDOWN. A load in the normal case.
  bool check_alive();
  // hostd itself is gone.
  void mark_dead();
  [[nodiscard]] bool is_dead() const { return dead_.load(std::memory_order_acquire); }

  // Whether this NIC serves a destination: on the host's subnet (not the host itself), or anywhere if there is a
  // gateway.
  [[nodiscard]] bool serves_destination(const stack::IpAddress& address) const;
  [[nodiscard]] bool is_host_address(const stack::IpAddress& address) const;

  size_t poll();  // check_alive(), Stack::poll(), releases ports

 private:
  AttachedStack() = default;
  [[nodiscard]] Status map(hostd::StackAttachment& attachment, MoveDescriptor move);
  [[nodiscard]] Status format_if_first();
  [[nodiscard]] Status attach(hostd::HostdClient* client, bool is_helper, int format_wait_ms);

  hostd::StackGrant grant_;
  void* region_ = nullptr;
  size_t region_bytes_ = 0;
  const hostd::StackStatusPage* status_ = nullptr;
  int wake_fd_ = -1;
  std::atomic<bool> dead_{false};
  std::unique_ptr<MappedViWindow> window_;
  std::unique_ptr<PortBindings> ports_;
  std::unique_ptr<EventfdWaker> waker_;
  std::unique_ptr<stack::Stack> stack_;
};

// What a stack is formatted with, given what hostd granted: as many packet buffers as fit into bytes_available.
[[nodiscard]] stack::StackConfig config_for_grant(const hostd::StackGrant& grant, size_t bytes_available);

}  // namespace postern::preload
