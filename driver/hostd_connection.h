// One control connection of hostd: whole messages in and out, descriptors with them, never blocking. Hides partial
// progress (a queue of what the peer has not taken yet) and hostile input (sizes, descriptor floods, descriptors whose
// close() would block).
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <deque>
#include <set>
#include <vector>

#include "driver/event_loop.h"
#include "driver/hostd_protocol.h"
#include "driver/unique_fd.h"

namespace postern::hostd {

// A request as it came in.
struct Incoming {
  enum class Outcome { kRequest, kNothing, kClose };
  Outcome outcome = Outcome::kNothing;
  Request request;
  std::vector<int> fds;     // foreign: Connection::close_descriptors() takes them
  const char* reason = "";  // kClose: why
  bool hang_up = false;     // kClose: the peer's ordinary end
};

class Connection {
 public:
  // Takes the socket, which must be non-blocking. outgoing_max: messages that may wait for the peer.
  Connection(uint64_t connection_id, UniqueFd socket, const ucred& peer, size_t outgoing_max)
      : id(connection_id), credentials(peer), socket_(std::move(socket)), outgoing_max_(outgoing_max) {}
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  [[nodiscard]] int fd() const { return socket_.get(); }
  [[nodiscard]] Incoming receive();
  // Ends the message's descriptors without waiting for their close().
  void close_descriptors(const Incoming& incoming) const;
  // Sends a message or queues it. Descriptors stay the caller's. False: the peer is gone or takes nothing; close it.
  [[nodiscard]] bool send(const void* message, size_t message_bytes, const int* fds, size_t fd_count);
  // Sends what is queued. False as above.
  [[nodiscard]] bool flush();
  [[nodiscard]] bool has_outgoing() const { return !outgoing_.empty(); }
  // What to wait for: EPOLLOUT only if the peer's reading is what the queue waits for.
  [[nodiscard]] uint32_t wanted_events() const;
  // The queue waits for other peers to read: call flush() again after some time.
  [[nodiscard]] bool must_wait() const { return must_wait_ && !outgoing_.empty(); }

  const uint64_t id;
  const ucred credentials;
  EventLoop::WatchId watch = 0;
  bool greeted = false;  // HELLO was accepted
  bool is_helper = false;
  std::set<uint32_t> stacks;  // attached to (a helper: its own)

 private:
  struct Outgoing {
    std::vector<uint8_t> bytes;
    std::vector<UniqueFd> fds;
  };
  enum class Sent { kDone, kWouldBlock, kFailed };
  [[nodiscard]] Sent transmit(const void* message, size_t message_bytes, const int* fds, size_t fd_count);

  UniqueFd socket_;
  size_t outgoing_max_;
  std::deque<Outgoing> outgoing_;
  bool must_wait_ = false;
};

}  // namespace postern::hostd
