// Moving bytes: the read, write, send and recv families, sendfile and splice.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "stack/preload/blocking.h"
#include "stack/preload/calls.h"
#include "stack/preload/promotion.h"
#include "stack/preload/socket_address.h"

namespace postern::preload::calls {
namespace {

constexpr int kMaxIov = 1024;                     // UIO_MAXIOV
constexpr size_t kMaxTransferBytes = 0x7ffff000;  // MAX_RW_COUNT: Linux moves at most this much per call
constexpr size_t kCopyBytes = 64 * 1024;          // piece size of sendfile and splice

EndpointFd& as_endpoint(const FdRef& ref) { return *static_cast<EndpointFd*>(ref.get()); }

// -EINVAL or -EMSGSIZE as the kernel's import_iovec; otherwise the total.
int64_t total_bytes(const iovec* parts, size_t count, int too_many) {
  if (count > kMaxIov) {
    return too_many;
  }
  size_t total = 0;
  for (size_t i = 0; i < count; ++i) {
    if (static_cast<ssize_t>(parts[i].iov_len) < 0) {
      return -EINVAL;
    }
    total = std::min(total + parts[i].iov_len, kMaxTransferBytes);
  }
  return static_cast<int64_t>(total);
}

// The rest of a vector after `done` bytes. Copies into out (count elements at most).
size_t skip_bytes(const iovec* parts, size_t count, size_t done, iovec* out) {
  size_t used = 0;
  for (size_t i = 0; i < count; ++i) {
    const size_t skipped = std::min(done, parts[i].iov_len);
    done -= skipped;
    if (parts[i].iov_len > skipped) {
      out[used++] = iovec{static_cast<char*>(parts[i].iov_base) + skipped, parts[i].iov_len - skipped};
    }
  }
  return used;
}

// Linux says EPIPE, with the signal, also for a stream that was never connected (sk_stream_wait_connect).
int64_t with_sigpipe(int64_t result, int flags) {
  result = result == -ENOTCONN ? -EPIPE : result;
  if (result == -EPIPE && (flags & MSG_NOSIGNAL) == 0) {
    ::pthread_kill(::pthread_self(), SIGPIPE);  // to the thread that wrote, as the kernel does
  }
  return result;
}

constexpr int kSendFlags = MSG_MORE | MSG_OOB | MSG_CONFIRM | MSG_DONTROUTE | MSG_EOR;

// A stream: everything goes, in order, however often it blocks. What has been sent counts, also if an error follows.
int64_t send_stream(EndpointFd& endpoint, const iovec* parts, size_t count, int flags, size_t total) {
  const bool nonblocking = (flags & MSG_DONTWAIT) != 0 || endpoint.nonblocking();
  size_t done = 0;
  iovec rest_small[8];
  std::vector<iovec> rest_large(count > 8 ? count : 0);
  iovec* rest = count > 8 ? rest_large.data() : rest_small;
  do {
    const iovec* from = parts;
    size_t from_count = count;
    if (done != 0) {
      from_count = skip_bytes(parts, count, done, rest);
      from = rest;
    }
    const int64_t sent = blocking_call(endpoint, POLLOUT, nonblocking, SO_SNDTIMEO, [&](stack::Stack& stack, int id) {
      return stack.send(id, from, from_count, flags & kSendFlags, nullptr);
    });
    if (sent < 0) {
      return done != 0 ? static_cast<int64_t>(done) : with_sigpipe(sent, flags);
    }
    done += static_cast<size_t>(sent);
  } while (done < total);
  return static_cast<int64_t>(done);
}

int64_t send_endpoint(EndpointFd& endpoint, const iovec* parts, size_t count, int flags, const sockaddr* to,
                      socklen_t to_length) {
  const int64_t total = total_bytes(parts, count, -EMSGSIZE);
  if (total < 0) {
    return total;
  }
  if (endpoint.stream) {
    return send_stream(endpoint, parts, count, flags, static_cast<size_t>(total));
  }
  stack::SocketAddress remote;
  if (to != nullptr && to_length != 0) {
    switch (parse_sockaddr(to, to_length, &remote)) {
      case AddressForm::kIpv4:
        break;
      case AddressForm::kIpv6Only:
        return -ENETUNREACH;
      case AddressForm::kOther:
        return to_length < sizeof(sockaddr_in) ? -EINVAL : -EAFNOSUPPORT;
    }
    if (remote.port == 0) {
      return -EINVAL;
    }
    if (endpoint.stack != nullptr && !endpoint.stack->serves_destination(remote.address)) {
      return -ENETUNREACH;
    }
  }
  const bool nonblocking = (flags & MSG_DONTWAIT) != 0 || endpoint.nonblocking();
  return blocking_call(endpoint, POLLOUT, nonblocking, SO_SNDTIMEO, [&](stack::Stack& stack, int id) {
    return stack.send(id, parts, count, flags & kSendFlags, to != nullptr && to_length != 0 ? &remote : nullptr);
  });
}

int64_t recv_endpoint(EndpointFd& endpoint, const iovec* parts, size_t count, int flags, stack::RecvInfo* info) {
  const int64_t total = total_bytes(parts, count, -EMSGSIZE);
  if (total < 0) {
    return total;
  }
  if ((flags & MSG_ERRQUEUE) != 0) {
    return -EAGAIN;  // no error queue is kept
  }
  if ((flags & MSG_OOB) != 0) {
    return endpoint.stream ? -EINVAL : -EOPNOTSUPP;  // there is never urgent data
  }
  const bool nonblocking = (flags & MSG_DONTWAIT) != 0 || endpoint.nonblocking();
  const int stack_flags = flags & (MSG_PEEK | MSG_TRUNC);
  const bool wait_for_all = endpoint.stream && (flags & MSG_WAITALL) != 0 && (flags & MSG_PEEK) == 0 && !nonblocking;
  size_t done = 0;
  std::vector<iovec> rest;
  for (;;) {
    const iovec* into = parts;
    size_t into_count = count;
    if (done != 0) {
      rest.resize(count);
      into_count = skip_bytes(parts, count, done, rest.data());
      into = rest.data();
    }
    const int64_t received =
        blocking_call(endpoint, POLLIN | POLLHUP | POLLERR | POLLRDHUP, nonblocking, SO_RCVTIMEO,
                      [&](stack::Stack& stack, int id) { return stack.recv(id, into, into_count, stack_flags, info); });
    if (received < 0) {
      return done != 0 ? static_cast<int64_t>(done) : received;
    }
    done += static_cast<size_t>(received);
    if (!wait_for_all || received == 0 || done >= static_cast<size_t>(total)) {
      return static_cast<int64_t>(done);
    }
  }
}

// The endpoint to send on: an undecided datagram socket is decided by its first destination.
FdRef endpoint_to_send(int fd, const sockaddr* to, socklen_t to_length, int* error) {
  *error = 0;
  Process& process = Process::get();
  if (process.fds().is_kernel(fd)) {
    return FdRef();
  }
  FdLookup found = process.resolve(fd);
  if (found.kind == FdKind::kUndecided && to != nullptr && to_length != 0 && !process.in_vfork_child()) {
    int type = 0;
    socklen_t size = sizeof type;
    if (real().getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_DGRAM) {
      return decide(fd, to, to_length, Intent::kConnect, error);
    }
  }
  if (found.kind == FdKind::kObject && found.object.get()->type() == FdObjectType::kEndpoint) {
    return std::move(found.object);
  }
  return FdRef();
}

int64_t receive_message(EndpointFd& endpoint, msghdr* message, int flags) {
  stack::RecvInfo info;
  const int64_t received = recv_endpoint(endpoint, message->msg_iov, message->msg_iovlen, flags, &info);
  if (received >= 0) {
    if (message->msg_name != nullptr) {
      if (endpoint.stream) {
        message->msg_namelen = 0;
      } else {
        store_sockaddr(info.from, (endpoint.flags() & kFlagIpv6Names) != 0, static_cast<sockaddr*>(message->msg_name),
                       &message->msg_namelen);
      }
    }
    message->msg_controllen = 0;
    message->msg_flags = info.msg_flags | (flags & MSG_CMSG_CLOEXEC);
  }
  return received;
}

// Descriptors that arrived over a Unix socket may be tokens; their numbers may have meant something else before.
void forget_received_descriptors(const msghdr* message) {
  FdTable& fds = Process::get().fds();
  auto* header = const_cast<msghdr*>(message);
  for (cmsghdr* control = CMSG_FIRSTHDR(header); control != nullptr; control = CMSG_NXTHDR(header, control)) {
    if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) {
      continue;
    }
    const size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(control) + i * sizeof(int), sizeof fd);
      fds.set_unknown(fd);
    }
  }
}

// Endpoint for plain reads and writes; the branch for files and pipes is one load.
inline FdRef endpoint_of(int fd) { return Process::get().endpoint(fd); }

}  // namespace

ssize_t read(int fd, void* buffer, size_t size) {
  const FdRef ref = endpoint_of(fd);
  if (!ref) {
    return real().read(fd, buffer, size);
  }
  if (size == 0) {
    return 0;
  }
  const iovec part{buffer, size};
  return finish(recv_endpoint(as_endpoint(ref), &part, 1, 0, nullptr));
}

ssize_t write(int fd, const void* buffer, size_t size) {
  const FdRef ref = endpoint_of(fd);
  if (!ref) {
    return real().write(fd, buffer, size);
  }
  const iovec part{const_cast<void*>(buffer), size};
  return finish(send_endpoint(as_endpoint(ref), &part, 1, 0, nullptr, 0));
}

ssize_t readv(int fd, const iovec* parts, int count) {
  const FdRef ref = endpoint_of(fd);
  if (!ref) {
    return real().readv(fd, parts, count);
  }
  if (count < 0 || count > kMaxIov) {
    return finish<ssize_t>(-EINVAL);
  }
  const int64_t total = total_bytes(parts, static_cast<size_t>(count), -EINVAL);
  return finish(total <= 0 ? total : recv_endpoint(as_endpoint(ref), parts, static_cast<size_t>(count), 0, nullptr));
}

ssize_t writev(int fd, const iovec* parts, int count) {
  const FdRef ref = endpoint_of(fd);
  if (!ref) {
    return real().writev(fd, parts, count);
  }
  if (count < 0 || count > kMaxIov) {
    return finish<ssize_t>(-EINVAL);
  }
  return finish(send_endpoint(as_endpoint(ref), parts, static_cast<size_t>(count), 0, nullptr, 0));
}

ssize_t send(int fd, const void* buffer, size_t size, int flags) {
  return calls::sendto(fd, buffer, size, flags, nullptr, 0);
}

ssize_t sendto(int fd, const void* buffer, size_t size, int flags, const sockaddr* address, socklen_t length) {
  int error = 0;
  const FdRef ref = endpoint_to_send(fd, address, length, &error);
  if (!ref) {
    return error < 0 ? finish<ssize_t>(error) : real().sendto(fd, buffer, size, flags, address, length);
  }
  const iovec part{const_cast<void*>(buffer), size};
  return finish(send_endpoint(as_endpoint(ref), &part, 1, flags, address, length));
}

ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  int error = 0;
  const auto* name = message != nullptr ? static_cast<const sockaddr*>(message->msg_name) : nullptr;
  const FdRef ref = endpoint_to_send(fd, name, message != nullptr ? message->msg_namelen : 0, &error);
  if (!ref) {
    return error < 0 ? finish<ssize_t>(error) : real().sendmsg(fd, message, flags);
  }
  if (message == nullptr) {
    return finish<ssize_t>(-EFAULT);
  }
  return finish(send_endpoint(as_endpoint(ref), message->msg_iov, message->msg_iovlen, flags, name,
                              name != nullptr ? message->msg_namelen : 0));
}

int sendmmsg(int fd, mmsghdr* messages, unsigned int count, int flags) {
  int error = 0;
  const bool named = count > 0 && messages[0].msg_hdr.msg_name != nullptr;
  const FdRef ref = endpoint_to_send(fd, named ? static_cast<sockaddr*>(messages[0].msg_hdr.msg_name) : nullptr,
                                     named ? messages[0].msg_hdr.msg_namelen : 0, &error);
  if (!ref) {
    return error < 0 ? finish(error) : real().sendmmsg(fd, messages, count, flags);
  }
  for (unsigned int i = 0; i < std::min<unsigned int>(count, kMaxIov); ++i) {
    const ssize_t sent = calls::sendmsg(fd, &messages[i].msg_hdr, flags);
    if (sent < 0) {
      return i != 0 ? static_cast<int>(i) : -1;
    }
    messages[i].msg_len = static_cast<unsigned int>(sent);
  }
  return static_cast<int>(std::min<unsigned int>(count, kMaxIov));
}

ssize_t recv(int fd, void* buffer, size_t size, int flags) {
  return calls::recvfrom(fd, buffer, size, flags, nullptr, nullptr);
}

ssize_t recvfrom(int fd, void* buffer, size_t size, int flags, sockaddr* address, socklen_t* length) {
  const FdRef ref = endpoint_of(fd);
  if (!ref) {
    return real().recvfrom(fd, buffer, size, flags, address, length);
  }
  EndpointFd& endpoint = as_endpoint(ref);
  const iovec part{buffer, size};
  stack::RecvInfo info;
  const int64_t received = recv_endpoint(endpoint, &part, 1, flags, &info);
  if (received >= 0 && address != nullptr && length != nullptr) {
    if (endpoint.stream) {
      *length = 0;
    } else {
      store_sockaddr(info.from, (endpoint.flags() & kFlagIpv6Names) != 0, address, length);
    }
  }
  return finish(received);
}

ssize_t recvmsg(int fd, msghdr* message, int flags) {
  const FdRef ref = endpoint_of(fd);
  if (ref) {
    return message == nullptr ? finish<ssize_t>(-EFAULT) : finish(receive_message(as_endpoint(ref), message, flags));
  }
  const ssize_t received = real().recvmsg(fd, message, flags);
  if (received >= 0 && message->msg_controllen != 0 && Process::get().accelerating()) {
    forget_received_descriptors(message);
  }
  return received;
}

int recvmmsg(int fd, mmsghdr* messages, unsigned int count, int flags, timespec* timeout) {
  const FdRef ref = endpoint_of(fd);
  if (!ref) {
    const int received = real().recvmmsg(fd, messages, count, flags, timeout);
    for (int i = 0; i < received && Process::get().accelerating(); ++i) {
      if (messages[i].msg_hdr.msg_controllen != 0) {
        forget_received_descriptors(&messages[i].msg_hdr);
      }
    }
    return received;
  }
  const uint64_t deadline_ns = deadline_after(timeout);
  int call_flags = flags & ~MSG_WAITFORONE;
  unsigned int done = 0;
  for (; done < std::min<unsigned int>(count, kMaxIov); ++done) {
    const int64_t received = receive_message(as_endpoint(ref), &messages[done].msg_hdr, call_flags);
    if (received < 0) {
      return done != 0 ? static_cast<int>(done) : finish(static_cast<int>(received));
    }
    messages[done].msg_len = static_cast<unsigned int>(received);
    if ((flags & MSG_WAITFORONE) != 0) {
      call_flags |= MSG_DONTWAIT;
    }
    if (deadline_ns != kNoDeadline && monotonic_ns() >= deadline_ns) {
      ++done;
      break;
    }
  }
  return static_cast<int>(done);
}

ssize_t sendfile64(int out_fd, int in_fd, off64_t* offset, size_t count) {
  const FdRef ref = endpoint_of(out_fd);
  if (!ref) {
    return endpoint_of(in_fd) ? finish<ssize_t>(-EINVAL) : real().sendfile64(out_fd, in_fd, offset, count);
  }
  if (endpoint_of(in_fd)) {
    return finish<ssize_t>(-EINVAL);
  }
  off64_t position = offset != nullptr ? *offset : ::lseek64(in_fd, 0, SEEK_CUR);
  if (position < 0) {
    return offset != nullptr ? finish<ssize_t>(-EINVAL) : (errno == ESPIPE ? finish<ssize_t>(-EINVAL) : -1);
  }
  std::vector<char> piece(std::min(count, kCopyBytes));
  count = std::min(count, kMaxTransferBytes);
  size_t done = 0;
  int64_t failure = 0;
  while (done < count) {
    const ssize_t got = ::pread64(in_fd, piece.data(), std::min(piece.size(), count - done), position);
    if (got <= 0) {
      failure = got < 0 ? -errno : 0;
      break;
    }
    const iovec part{piece.data(), static_cast<size_t>(got)};
    const int64_t sent = send_endpoint(as_endpoint(ref), &part, 1, 0, nullptr, 0);
    if (sent < 0) {
      failure = sent;
      break;
    }
    done += static_cast<size_t>(sent);
    position += sent;
    if (sent < got) {
      break;
    }
  }
  if (offset != nullptr) {
    *offset = position;
  } else {
    ::lseek64(in_fd, position, SEEK_SET);
  }
  return done != 0 ? static_cast<ssize_t>(done) : finish<ssize_t>(failure);
}

ssize_t sendfile(int out_fd, int in_fd, off_t* offset, size_t count) {
  static_assert(sizeof(off_t) == sizeof(off64_t));
  return calls::sendfile64(out_fd, in_fd, offset, count);
}

ssize_t splice(int in_fd, off64_t* in_offset, int out_fd, off64_t* out_offset, size_t size, unsigned int flags) {
  const FdRef in = endpoint_of(in_fd);
  const FdRef out = endpoint_of(out_fd);
  if (!in && !out) {
    return real().splice(in_fd, in_offset, out_fd, out_offset, size, flags);
  }
  if ((in && out) || (in && in_offset != nullptr) || (out && out_offset != nullptr)) {
    return finish<ssize_t>(in && out ? -EINVAL : -ESPIPE);
  }
  if (size == 0) {
    return 0;
  }
  std::vector<char> piece(std::min(size, kCopyBytes));
  if (in) {
    // Looked at first, taken only as far as the pipe accepted it: nothing is lost if the pipe is full.
    iovec part{piece.data(), piece.size()};
    const int dont_wait = (flags & SPLICE_F_NONBLOCK) != 0 ? MSG_DONTWAIT : 0;
    const int64_t seen = recv_endpoint(as_endpoint(in), &part, 1, MSG_PEEK | dont_wait, nullptr);
    if (seen <= 0) {
      return finish(seen);
    }
    const ssize_t written = real().write(out_fd, piece.data(), static_cast<size_t>(seen));
    if (written <= 0) {
      return written;
    }
    part.iov_len = static_cast<size_t>(written);
    return finish(recv_endpoint(as_endpoint(in), &part, 1, 0, nullptr));
  }
  // A pipe cannot be looked into, so room for the bytes is awaited before they are taken.
  EndpointFd& endpoint = as_endpoint(out);
  const int64_t room =
      blocking_call(endpoint, POLLOUT, (flags & SPLICE_F_NONBLOCK) != 0 || endpoint.nonblocking(), SO_SNDTIMEO,
                    [](stack::Stack& stack, int id) {
                      return (stack.readiness(id) & (POLLOUT | POLLERR | POLLHUP)) != 0 ? int64_t{1} : int64_t{-EAGAIN};
                    });
  if (room < 0) {
    return finish(room);
  }
  const ssize_t got = real().read(in_fd, piece.data(), piece.size());
  for (ssize_t done = 0; done < got;) {
    const iovec part{piece.data() + done, static_cast<size_t>(got - done)};
    const int64_t sent = blocking_call(endpoint, POLLOUT, false, SO_SNDTIMEO, [&](stack::Stack& stack, int id) {
      return stack.send(id, &part, 1, 0, nullptr);
    });
    if (sent < 0) {
      return done != 0 ? done : finish(with_sigpipe(sent, 0));
    }
    done += sent;
  }
  return got;
}

// The fortified forms abort on an overflow in libc; with a sufficient buffer they are the plain calls.
ssize_t __read_chk(int fd, void* buffer, size_t size, size_t buffer_size) {
  return size > buffer_size ? real().__read_chk(fd, buffer, size, buffer_size) : calls::read(fd, buffer, size);
}

ssize_t __recv_chk(int fd, void* buffer, size_t size, size_t buffer_size, int flags) {
  return size > buffer_size ? real().__recv_chk(fd, buffer, size, buffer_size, flags)
                            : calls::recv(fd, buffer, size, flags);
}

ssize_t __recvfrom_chk(int fd, void* buffer, size_t size, size_t buffer_size, int flags, sockaddr* address,
                       socklen_t* length) {
  return size > buffer_size ? real().__recvfrom_chk(fd, buffer, size, buffer_size, flags, address, length)
                            : calls::recvfrom(fd, buffer, size, flags, address, length);
}

}  // namespace postern::preload::calls
