// Message exchange of hostd over SOCK_SEQPACKET: see hostd_connection.h.
#include "driver/hostd_connection.h"

#include <sys/epoll.h>

#include <cerrno>
#include <cstring>

#include "driver/foreign_fd_closer.h"

namespace postern::hostd {
namespace {

// The kernel passes at most this many descriptors in one message (SCM_MAX_FD). With room for all of them none is
// dropped, and so closed, inside recvmsg.
constexpr size_t kKernelDescriptorsMax = 253;

std::vector<int> take_descriptors(msghdr& header) {
  std::vector<int> fds;
  for (cmsghdr* item = CMSG_FIRSTHDR(&header); item != nullptr; item = CMSG_NXTHDR(&header, item)) {
    if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) {
      continue;
    }
    const size_t count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(item) + i * sizeof(int), sizeof fd);
      fds.push_back(fd);
    }
  }
  return fds;
}

}  // namespace

// What the peer sent that nobody has read goes with the socket, in the closer's thread; the peer hears of the end at
// once.
Connection::~Connection() {
  shutdown(socket_.get(), SHUT_RDWR);
  close_foreign(socket_.release(), credentials.uid);
}

void Connection::close_descriptors(const Incoming& incoming) const {
  for (const int fd : incoming.fds) {
    close_foreign(fd, credentials.uid);
  }
}

Incoming Connection::receive() {
  Incoming incoming;
  uint8_t buffer[sizeof(Request) + 1];  // one more byte shows an oversized message
  iovec vector{buffer, sizeof buffer};
  alignas(cmsghdr) static thread_local char control[CMSG_SPACE(sizeof(int) * kKernelDescriptorsMax)];
  msghdr header{};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  const ssize_t bytes = recvmsg(socket_.get(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (bytes < 0) {
    const bool later = errno == EAGAIN || errno == EINTR;
    incoming.outcome = later ? Incoming::Outcome::kNothing : Incoming::Outcome::kClose;
    incoming.reason = "receive error";
    incoming.hang_up = errno == ECONNRESET;  // the peer closed with replies unread
    return incoming;
  }
  incoming.fds = take_descriptors(header);
  incoming.outcome = Incoming::Outcome::kClose;
  if (bytes == 0) {
    incoming.reason = "hang-up";
    incoming.hang_up = true;
    return incoming;
  }
  if (bytes != sizeof(Request)) {
    incoming.reason = "message of a wrong size";
    return incoming;
  }
  std::memcpy(static_cast<void*>(&incoming.request), buffer, sizeof(Request));
  if (incoming.request.magic != kProtocolMagic) {
    incoming.reason = "message with a wrong magic number";
    return incoming;
  }
  if (incoming.fds.size() != (incoming.request.type == RequestType::kAttach ? 1u : 0u)) {
    incoming.reason = "message with a wrong number of descriptors";
    return incoming;
  }
  incoming.outcome = Incoming::Outcome::kRequest;
  return incoming;
}

Connection::Sent Connection::transmit(const void* message, size_t message_bytes, const int* fds, size_t fd_count) {
  iovec vector{const_cast<void*>(message), message_bytes};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxDescriptors)] = {};
  msghdr header{};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  if (fd_count > 0) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
    cmsghdr* item = CMSG_FIRSTHDR(&header);
    item->cmsg_level = SOL_SOCKET;
    item->cmsg_type = SCM_RIGHTS;
    item->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
    std::memcpy(CMSG_DATA(item), fds, sizeof(int) * fd_count);
  }
  if (sendmsg(socket_.get(), &header, MSG_DONTWAIT | MSG_NOSIGNAL) == static_cast<ssize_t>(message_bytes)) {
    return Sent::kDone;
  }
  // ETOOMANYREFS: too many descriptors that this user sent are unread, by whatever peers (RLIMIT_NOFILE in flight). The
  // socket stays writable, so only time tells when to try again.
  must_wait_ = errno == ETOOMANYREFS;
  return errno == EAGAIN || errno == ETOOMANYREFS || errno == EINTR ? Sent::kWouldBlock : Sent::kFailed;
}

uint32_t Connection::wanted_events() const { return outgoing_.empty() || must_wait_ ? EPOLLIN : EPOLLIN | EPOLLOUT; }

bool Connection::send(const void* message, size_t message_bytes, const int* fds, size_t fd_count) {
  if (outgoing_.empty()) {
    const Sent sent = transmit(message, message_bytes, fds, fd_count);
    if (sent != Sent::kWouldBlock) {
      return sent == Sent::kDone;
    }
  }
  if (outgoing_.size() >= outgoing_max_) {
    return false;
  }
  Outgoing waiting;
  const auto* first = static_cast<const uint8_t*>(message);
  waiting.bytes.assign(first, first + message_bytes);
  for (size_t i = 0; i < fd_count; ++i) {
    waiting.fds.push_back(UniqueFd::duplicate_of(fds[i]));
    if (!waiting.fds.back().valid()) {
      return false;
    }
  }
  outgoing_.push_back(std::move(waiting));
  return true;
}

bool Connection::flush() {
  must_wait_ = false;
  while (!outgoing_.empty()) {
    const Outgoing& next = outgoing_.front();
    int fds[kMaxDescriptors];
    for (size_t i = 0; i < next.fds.size(); ++i) {
      fds[i] = next.fds[i].get();
    }
    const Sent sent = transmit(next.bytes.data(), next.bytes.size(), fds, next.fds.size());
    if (sent != Sent::kDone) {
      return sent == Sent::kWouldBlock;
    }
    outgoing_.pop_front();
  }
  return true;
}

}  // namespace postern::hostd
