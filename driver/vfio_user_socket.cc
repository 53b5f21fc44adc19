// Message framing over a Unix stream socket.
#include "driver/vfio_user_socket.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "driver/foreign_fd_closer.h"

namespace postern::vfio_user {
namespace {

constexpr size_t kKernelMaxFds = 253;  // SCM_MAX_FD: the most that one recvmsg() can bring

void take_fds(msghdr& message, Message& into) {
  for (cmsghdr* control = CMSG_FIRSTHDR(&message); control != nullptr; control = CMSG_NXTHDR(&message, control)) {
    if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(control) + i * sizeof(int), sizeof(int));
      if (into.fds.size() < kMaxMessageFds) {
        into.fds.emplace_back(fd);
      } else {
        close_foreign(fd);
        into.too_many_fds = true;
      }
    }
  }
  if ((message.msg_flags & MSG_CTRUNC) != 0) into.too_many_fds = true;
}

}  // namespace

Message::~Message() {
  for (UniqueFd& fd : fds) close_foreign(fd.release());
}

void Message::swap(Message& other) noexcept {
  std::swap(header, other.header);
  payload.swap(other.payload);
  fds.swap(other.fds);
  std::swap(too_many_fds, other.too_many_fds);
}

MessageSocket::MessageSocket(UniqueFd fd) : fd_(std::move(fd)) {
  const int flags = fcntl(fd_.get(), F_GETFL);
  if (flags >= 0) fcntl(fd_.get(), F_SETFL, flags | O_NONBLOCK);
}

MessageSocket& MessageSocket::operator=(MessageSocket&& other) noexcept {
  if (this == &other) return *this;
  close();
  fd_ = std::move(other.fd_);
  incoming_ = std::move(other.incoming_);
  header_bytes_ = std::exchange(other.header_bytes_, 0);
  payload_bytes_ = std::exchange(other.payload_bytes_, 0);
  output_ = std::move(other.output_);
  output_fds_ = std::move(other.output_fds_);
  sent_bytes_ = std::exchange(other.sent_bytes_, 0);
  return *this;
}

// The peer sees the hang-up at once; what it sent that nobody has read goes with the socket, in the closer's thread.
void MessageSocket::close() {
  if (fd_.valid()) shutdown(fd_.get(), SHUT_RDWR);
  close_foreign(fd_.release());
  incoming_ = Message();
  header_bytes_ = payload_bytes_ = sent_bytes_ = 0;
  output_.clear();
  output_fds_.clear();
}

// Reads until have_bytes == want_bytes. Never reads beyond, so that descriptors that arrive belong to this message.
ReceiveOutcome MessageSocket::fill(uint8_t* to, size_t want_bytes, size_t& have_bytes) {
  alignas(cmsghdr) std::array<uint8_t, CMSG_SPACE(kKernelMaxFds * sizeof(int))> control;
  while (have_bytes < want_bytes) {
    iovec part{to + have_bytes, want_bytes - have_bytes};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t got = recvmsg(fd_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got > 0) {
      take_fds(message, incoming_);
      have_bytes += static_cast<size_t>(got);
    } else if (got < 0 && errno == EINTR) {
      continue;
    } else if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      return ReceiveOutcome::kAgain;
    } else {
      return ReceiveOutcome::kClosed;
    }
  }
  return ReceiveOutcome::kMessage;
}

ReceiveOutcome MessageSocket::receive(Message& out) {
  if (!fd_.valid()) return ReceiveOutcome::kClosed;
  if (header_bytes_ < sizeof(Header)) {
    const auto outcome = fill(reinterpret_cast<uint8_t*>(&incoming_.header), sizeof(Header), header_bytes_);
    if (outcome != ReceiveOutcome::kMessage) return outcome;
    const uint32_t bytes = incoming_.header.message_bytes;
    if (bytes < sizeof(Header) || bytes > kMaxMessageBytes) {
      out = std::move(incoming_);
      incoming_ = Message();
      return ReceiveOutcome::kBadSize;
    }
    incoming_.payload.resize(bytes - sizeof(Header));
  }
  const auto outcome = fill(incoming_.payload.data(), incoming_.payload.size(), payload_bytes_);
  if (outcome != ReceiveOutcome::kMessage) return outcome;
  out = std::move(incoming_);
  incoming_ = Message();
  header_bytes_ = payload_bytes_ = 0;
  return ReceiveOutcome::kMessage;
}

SendOutcome MessageSocket::send(Header header, const std::vector<uint8_t>& payload, const std::vector<int>& fds) {
  header.message_bytes = static_cast<uint32_t>(sizeof(Header) + payload.size());
  output_.clear();
  encode(output_, header);
  append(output_, payload.data(), payload.size());
  output_fds_.clear();
  for (int fd : fds) output_fds_.push_back(UniqueFd::duplicate_of(fd));
  sent_bytes_ = 0;
  return flush();
}

SendOutcome MessageSocket::flush() {
  alignas(cmsghdr) std::array<uint8_t, CMSG_SPACE(kMaxMessageFds * sizeof(int))> control{};
  while (output_pending()) {
    iovec part{output_.data() + sent_bytes_, output_.size() - sent_bytes_};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (!output_fds_.empty()) {  // they travel with the first byte
      const size_t bytes = output_fds_.size() * sizeof(int);
      message.msg_control = control.data();
      message.msg_controllen = CMSG_SPACE(bytes);
      cmsghdr* first = CMSG_FIRSTHDR(&message);
      first->cmsg_level = SOL_SOCKET;
      first->cmsg_type = SCM_RIGHTS;
      first->cmsg_len = CMSG_LEN(bytes);
      for (size_t i = 0; i < output_fds_.size(); ++i) {
        const int fd = output_fds_[i].get();
        std::memcpy(CMSG_DATA(first) + i * sizeof(int), &fd, sizeof(int));
      }
    }
    const ssize_t sent = sendmsg(fd_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) {
      sent_bytes_ += static_cast<size_t>(sent);
      output_fds_.clear();
    } else if (sent < 0 && errno == EINTR) {
      continue;
    } else if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      return SendOutcome::kAgain;
    } else {
      return SendOutcome::kClosed;
    }
  }
  return SendOutcome::kDone;
}

}  // namespace postern::vfio_user
