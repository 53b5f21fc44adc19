// The client side of the hostd control protocol, for libpostern, the stack helper and `postern status`. Hides sockets,
// descriptor passing, fork and time limits. Every call is bounded by timeout_ms of wall time; no exception escapes.
// It calls the kernel directly (syscall(2)), so that a preloaded library that overrides send() or close() is not
// re-entered.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <string>

#include "driver/hostd_protocol.h"
#include "driver/result.h"

namespace postern::hostd {

// A grant and its descriptors. Closes those that were not taken.
class StackAttachment {
 public:
  StackAttachment() = default;
  StackAttachment(StackAttachment&& other) noexcept;
  StackAttachment& operator=(StackAttachment&& other) noexcept;
  StackAttachment(const StackAttachment&) = delete;
  StackAttachment& operator=(const StackAttachment&) = delete;
  ~StackAttachment();

  StackGrant grant;
  uint32_t endpoint = 0;  // attach(): what the token stands for
  uint32_t generation = 0;
  [[nodiscard]] int fd(GrantDescriptor which) const { return fds_[which]; }
  // The caller now owns the descriptor.
  int take_fd(GrantDescriptor which);

 private:
  friend class HostdClient;
  int fds_[kGrantDescriptors] = {-1, -1, -1, -1, -1, -1};
};

struct PortGrant {
  uint16_t port = 0;
  uint32_t binding_id = 0;
};

class HostdClient {
 public:
  // For an application: connects at the first call. socket_path: $POSTERN_HOSTD.
  explicit HostdClient(std::string socket_path, int timeout_ms = 10000);
  // For a helper: takes the control socket that hostd gave it (kHelperControlFd).
  explicit HostdClient(int control_fd, int timeout_ms = 10000);
  ~HostdClient();
  HostdClient(const HostdClient&) = delete;
  HostdClient& operator=(const HostdClient&) = delete;

  // All requests may be called from any thread. In a forked child the first request reconnects by itself and attaches
  // again with the token that the provider gives; in a vfork child they fail with EAGAIN and touch nothing.
  [[nodiscard]] Status connect();
  [[nodiscard]] Result<StackAttachment> create_stack();
  [[nodiscard]] Result<StackAttachment> attach(int token_fd);
  // port 0 chooses an ephemeral one. reuse: SO_REUSEADDR. EADDRINUSE, EADDRNOTAVAIL as bind(2).
  [[nodiscard]] Result<PortGrant> acquire_port(uint32_t stack_id, uint32_t protocol, const WireAddress& local,
                                               uint16_t port, bool reuse);
  // Marks a binding as listening or no longer so. EADDRINUSE as listen(2).
  [[nodiscard]] Status listen_port(uint32_t stack_id, uint32_t binding_id, bool listening);
  [[nodiscard]] Status release_port(uint32_t stack_id, uint32_t binding_id);
  // A new token (blocking AF_UNIX stream socket, close-on-exec); the caller owns it.
  [[nodiscard]] Result<int> create_token(uint32_t stack_id, uint32_t endpoint, uint32_t generation);
  [[nodiscard]] Result<std::string> status_json();

  // The control connection, to be watched for hang-up (hostd died: ENETDOWN). -1 before connect(). Do not read it.
  [[nodiscard]] int control_fd() const { return fd_.load(std::memory_order_acquire); }

  // Gives a token of the index-th stack to attach to after fork, or -1: there are no more. The first is the one that
  // must succeed. Called in the child with the client's lock held.
  using TokenProvider = int (*)(void* context, int index);
  void set_token_provider(TokenProvider provider, void* context) {
    provider_ = provider;
    provider_context_ = context;
  }

  // Gives a new control connection another number (the old one is closed): a library keeps its descriptors out of the
  // application's way. Called with the client's lock held; set before the first request.
  using DescriptorMover = int (*)(int fd);
  void set_descriptor_mover(DescriptorMover mover) { mover_ = mover; }

  // --- helper only -------------------------------------------------------------------------------------------------
  // The first message: grant and descriptors.
  [[nodiscard]] Result<StackAttachment> receive_start();
  // Takes the next event if there is one: true. False: none. An error: hostd is gone. Never blocks.
  [[nodiscard]] Result<bool> next_event(HelperMessage& message);
  // Tells hostd that nothing is left to do. It answers by an event, kShutdown or kAdopted.
  [[nodiscard]] Status helper_done(uint32_t stack_id);

 private:
  class Guard;
  [[nodiscard]] Status refuse_vfork_child() const;
  [[nodiscard]] Status ensure_connected();
  [[nodiscard]] Status connect_locked();
  [[nodiscard]] Status reattach_locked();
  // fds: room for expected_fds descriptors. Never more come back; fewer is an error.
  [[nodiscard]] Result<Reply> transact(Request& request, int pass_fd = -1, int* fds = nullptr,
                                       uint32_t expected_fds = 0);
  [[nodiscard]] Result<Reply> transact_locked(Request& request, int pass_fd, int* fds, uint32_t expected_fds);
  [[nodiscard]] Status send_request(const Request& request, int pass_fd);
  [[nodiscard]] Result<Reply> receive_reply(uint32_t request_id, int* fds, uint32_t expected_fds);
  [[nodiscard]] Result<StackAttachment> transact_for_grant(Request& request, int pass_fd);
  [[nodiscard]] Status wait_readable(int64_t deadline_ns);
  void drop_connection();

  std::string socket_path_;  // empty in a helper
  int timeout_ms_;
  std::atomic<int> fd_{-1};
  std::atomic<int> lock_owner_pid_{0};
  std::atomic<int> owner_pid_{0};  // process that made the connection
  bool must_reattach_ = false;     // a forked child whose new connection is not attached yet
  uint32_t next_request_id_ = 1;
  TokenProvider provider_ = nullptr;
  void* provider_context_ = nullptr;
  DescriptorMover mover_ = nullptr;
  std::deque<HelperMessage> events_;  // helper: arrived while a reply was awaited
};

// Parses what getpeername() gave for a descriptor. True if it looks like a token. Async-signal-safe.
[[nodiscard]] bool parse_token_name(const void* sockaddr_bytes, size_t address_bytes, TokenName& name);
// getpeername() and parse_token_name(). False for anything else.
[[nodiscard]] bool token_name_of(int fd, TokenName& name);

}  // namespace postern::hostd
