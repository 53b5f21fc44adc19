// One vfio-user connection as a stream of whole messages with descriptors. Hides partial reads and writes, SCM_RIGHTS
// and the bounds that keep a broken peer from using up memory or descriptors. Never blocks, never raises SIGPIPE.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "driver/unique_fd.h"
#include "driver/vfio_user_protocol.h"

namespace postern::vfio_user {

// Descriptors that are still in a message at its end go to close_foreign(). Keep one beyond that only if its close()
// cannot wait.
struct Message {
  Message() = default;
  Message(Message&& other) noexcept { swap(other); }
  Message& operator=(Message&& other) noexcept {
    Message taken(std::move(other));
    swap(taken);
    return *this;
  }
  ~Message();
  void swap(Message& other) noexcept;

  Header header;
  std::vector<uint8_t> payload;  // without the header
  std::vector<UniqueFd> fds;
  bool too_many_fds = false;  // more than kMaxMessageFds came; those beyond were closed
};

enum class ReceiveOutcome {
  kMessage,
  kAgain,    // nothing complete yet
  kClosed,   // the peer hung up or the connection failed
  kBadSize,  // message.header.message_bytes is impossible: the stream cannot be followed any further
};

enum class SendOutcome { kDone, kAgain, kClosed };

class MessageSocket {
 public:
  MessageSocket() = default;
  // Takes a connected SOCK_STREAM socket and makes it non-blocking.
  explicit MessageSocket(UniqueFd fd);
  MessageSocket(MessageSocket&&) = default;
  MessageSocket& operator=(MessageSocket&& other) noexcept;
  ~MessageSocket() { close(); }

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] bool valid() const { return fd_.valid(); }
  void close();

  // Reads what is there, at most one message. Bytes and descriptors of an incomplete message are kept for the next
  // call.
  [[nodiscard]] ReceiveOutcome receive(Message& out);

  // Queues a message (message_bytes is filled in) and sends as much as goes. Descriptors are duplicated, so the caller
  // keeps its own. One message at a time: queue only when output_pending() is false.
  [[nodiscard]] SendOutcome send(Header header, const std::vector<uint8_t>& payload, const std::vector<int>& fds = {});
  // Goes on with a message that did not go out whole.
  [[nodiscard]] SendOutcome flush();
  [[nodiscard]] bool output_pending() const { return sent_bytes_ < output_.size(); }

 private:
  [[nodiscard]] ReceiveOutcome fill(uint8_t* to, size_t want_bytes, size_t& have_bytes);

  UniqueFd fd_;
  Message incoming_;
  size_t header_bytes_ = 0;   // received of the header
  size_t payload_bytes_ = 0;  // received of the payload
  std::vector<uint8_t> output_;
  std::vector<UniqueFd> output_fds_;
  size_t sent_bytes_ = 0;
};

}  // namespace postern::vfio_user
