// What descriptors are, apart from sockets: close, dup, fcntl, ioctl, socket options, streams on a descriptor.
#include <asm/socket.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "stack/preload/calls.h"
#include "stack/preload/endpoint_streams.h"
#include "stack/preload/process.h"

namespace postern::preload::calls {
namespace {

EndpointFd& as_endpoint(const FdRef& ref) { return *static_cast<EndpointFd*>(ref.get()); }

// Whether this process may note anything about its descriptors (see Process::in_vfork_child).
bool keeps_table() { return Process::get().accelerating() && !Process::get().in_vfork_child(); }

int close_one(int fd) {
  Process& process = Process::get();
  if (!keeps_table()) {
    return real().close(fd);
  }
  if (process.is_internal(fd)) {
    return finish(-EBADF);
  }
  process.note_close(fd);
  const uint64_t closing_id = process.fds().new_closing_id();
  process.fds().begin_close(fd, closing_id);  // before the number can be given out again
  const int result = real().close(fd);
  process.fds().end_close(fd, closing_id);
  return result;
}

int duplicated(int from, int to) {
  if (to >= 0 && keeps_table()) {
    Process::get().fds().copy(from, to);
    refresh_standard_stream(to);
  }
  return to;
}

int change_status_flags(int fd, EndpointFd& endpoint, unsigned long argument) {
  const bool nonblocking = (argument & O_NONBLOCK) != 0;
  endpoint.change_flags(nonblocking ? kFlagNonblocking : 0, nonblocking ? 0 : kFlagNonblocking);
  // The token carries the flag as well: F_GETFL answers from it, and processes without the library see it.
  return real().fcntl(fd, F_SETFL, argument);
}

// IPV6_* options of a socket that the application made as IPv6 but whose IPv4 half is what the NIC serves.
int get_ipv6_option(int name, void* value, socklen_t* length) {
  if (name != IPV6_V6ONLY && name != IPV6_UNICAST_HOPS && name != IPV6_TCLASS && name != IPV6_RECVERR) {
    return -ENOPROTOOPT;
  }
  const int answer = name == IPV6_UNICAST_HOPS ? 64 : 0;
  *length = std::min<socklen_t>(*length, sizeof answer);
  std::memcpy(value, &answer, *length);
  return 0;
}

int endpoint_ioctl(int fd, EndpointFd& endpoint, unsigned long request, void* argument) {
  int error = 0;
  stack::Stack* stack = endpoint.live(&error);
  if (stack == nullptr) {
    return finish(error);
  }
  int64_t answer = 0;
  switch (request) {
    case FIONBIO: {
      const bool nonblocking = *static_cast<int*>(argument) != 0;
      endpoint.change_flags(nonblocking ? kFlagNonblocking : 0, nonblocking ? 0 : kFlagNonblocking);
      return real().ioctl(fd, request, argument);
    }
    case FIONREAD:  // the same number as SIOCINQ
      answer = stack->readable_bytes(endpoint.endpoint);
      if (answer == 0) {
        endpoint.stack->poll();
        answer = stack->readable_bytes(endpoint.endpoint);
      }
      break;
    case SIOCOUTQ:  // the same number as TIOCOUTQ
      answer = stack->unsent_bytes(endpoint.endpoint);
      break;
    case SIOCATMARK:
      answer = 0;  // there is never urgent data
      break;
    default:
      // Interface queries and close-on-exec flags work on any socket; terminal requests fail as on any socket.
      return real().ioctl(fd, request, argument);
  }
  if (answer < 0) {
    return finish(static_cast<int>(answer));
  }
  *static_cast<int*>(argument) = static_cast<int>(answer);
  return 0;
}

}  // namespace

int close(int fd) { return close_one(fd); }

int close_range(unsigned int first, unsigned int last, int flags) {
  Process& process = Process::get();
  constexpr int kCloexecFlag = 4;  // CLOSE_RANGE_CLOEXEC: nothing is closed now
  if (!keeps_table() || (flags & kCloexecFlag) != 0 || first > last) {
    return real().close_range(first, last, flags);
  }
  // The library's own descriptors are left out; the ranges between them go to the kernel whole.
  const uint64_t closing_id = process.fds().new_closing_id();
  unsigned int start = first;
  int result = 0;
  const unsigned int known_end = static_cast<unsigned int>(process.fds().limit());
  for (unsigned int fd = first; fd <= last && fd < known_end; ++fd) {
    if (!process.is_internal(static_cast<int>(fd))) {
      process.note_close(static_cast<int>(fd));
      process.fds().begin_close(static_cast<int>(fd), closing_id);
    }
  }
  constexpr unsigned int kMaxFd = FdTable::kMaxFds;
  for (int kept = process.fds().next_internal(static_cast<int>(std::min(first, kMaxFd)));
       kept >= 0 && static_cast<unsigned int>(kept) <= last; kept = process.fds().next_internal(kept + 1)) {
    const auto fd = static_cast<unsigned int>(kept);
    if (start < fd && result == 0) {
      result = real().close_range(start, fd - 1, flags);
    }
    start = fd + 1;
  }
  if (start <= last && result == 0) {
    result = real().close_range(start, last, flags);
  }
  for (unsigned int fd = first; fd <= last && fd < known_end; ++fd) {
    process.fds().end_close(static_cast<int>(fd), closing_id);
  }
  return result;
}

void closefrom(int first) { calls::close_range(static_cast<unsigned int>(std::max(first, 0)), ~0U, 0); }

int dup(int fd) {
  static_cast<void>(Process::get().resolve(fd));
  return duplicated(fd, real().dup(fd));
}

int dup2(int fd, int new_fd) {
  if (fd == new_fd || !keeps_table()) {
    return real().dup2(fd, new_fd);
  }
  Process& process = Process::get();
  if (process.is_internal(new_fd)) {
    return finish(-EBUSY);
  }
  static_cast<void>(process.resolve(fd));
  process.note_close(new_fd);
  return duplicated(fd, real().dup2(fd, new_fd));
}

int dup3(int fd, int new_fd, int flags) {
  if (!keeps_table()) {
    return real().dup3(fd, new_fd, flags);
  }
  Process& process = Process::get();
  if (process.is_internal(new_fd)) {
    return finish(-EBUSY);
  }
  static_cast<void>(process.resolve(fd));
  process.note_close(new_fd);
  return duplicated(fd, real().dup3(fd, new_fd, flags));
}

int fcntl(int fd, int command, unsigned long argument) {
  Process& process = Process::get();
  if (command == F_DUPFD || command == F_DUPFD_CLOEXEC) {
    static_cast<void>(process.resolve(fd));
    return duplicated(fd, real().fcntl(fd, command, argument));
  }
  if (command == F_SETFL) {
    if (const FdRef ref = process.endpoint(fd); ref) {
      return change_status_flags(fd, as_endpoint(ref), argument);
    }
  }
  return real().fcntl(fd, command, argument);
}

int fcntl64(int fd, int command, unsigned long argument) { return calls::fcntl(fd, command, argument); }

int ioctl(int fd, unsigned long request, void* argument) {
  const FdRef ref = Process::get().endpoint(fd);
  return ref ? endpoint_ioctl(fd, as_endpoint(ref), request, argument) : real().ioctl(fd, request, argument);
}

int getsockopt(int fd, int level, int name, void* value, socklen_t* length) {
  const FdRef ref = Process::get().endpoint(fd);
  if (!ref) {
    return real().getsockopt(fd, level, name, value, length);
  }
  if (value == nullptr || length == nullptr) {
    return finish(-EFAULT);
  }
  EndpointFd& endpoint = as_endpoint(ref);
  int error = 0;
  stack::Stack* stack = endpoint.live(&error);
  if (stack == nullptr) {
    return finish(error);
  }
  const bool ipv6 = (endpoint.flags() & kFlagIpv6Names) != 0;
  if (level == IPPROTO_IPV6) {
    return finish(ipv6 ? get_ipv6_option(name, value, length) : -EOPNOTSUPP);
  }
  if (level == SOL_SOCKET && name == SO_DOMAIN) {
    const int domain = ipv6 ? AF_INET6 : AF_INET;
    *length = std::min<socklen_t>(*length, sizeof domain);
    std::memcpy(value, &domain, *length);
    return 0;
  }
  if (level != SOL_SOCKET && level != IPPROTO_IP && level != (endpoint.stream ? IPPROTO_TCP : IPPROTO_UDP)) {
    return finish(-EOPNOTSUPP);
  }
  const int result = stack->get_option(endpoint.endpoint, level, name, value, length);
  return finish(result < 0 ? result : 0);
}

int setsockopt(int fd, int level, int name, const void* value, socklen_t length) {
  const FdRef ref = Process::get().endpoint(fd);
  if (!ref) {
    return real().setsockopt(fd, level, name, value, length);
  }
  EndpointFd& endpoint = as_endpoint(ref);
  int error = 0;
  stack::Stack* stack = endpoint.live(&error);
  if (stack == nullptr) {
    return finish(error);
  }
  if (level == IPPROTO_IPV6) {
    // Accepted without effect where the kernel would accept it for the IPv4 half of such a socket.
    return finish((endpoint.flags() & kFlagIpv6Names) != 0 ? (name == IPV6_V6ONLY ? -EINVAL : 0) : -ENOPROTOOPT);
  }
  if (value == nullptr && length != 0) {
    return finish(-EFAULT);
  }
  if (level != SOL_SOCKET && level != IPPROTO_IP && level != (endpoint.stream ? IPPROTO_TCP : IPPROTO_UDP)) {
    return finish(-ENOPROTOOPT);
  }
  const int result = stack->set_option(endpoint.endpoint, level, name, value, length);
  return finish(result < 0 ? result : 0);
}

FILE* fdopen(int fd, const char* mode) {
  const FdRef ref = Process::get().endpoint(fd);
  return ref ? open_endpoint_stream(fd, mode) : real().fdopen(fd, mode);
}

int fclose(FILE* stream) {
  if (!keeps_table()) {
    return real().fclose(stream);
  }
  Process& process = Process::get();
  const int fd = calls::fileno(stream);
  if (forget_stream(stream) || fd < 0) {
    return real().fclose(stream);
  }
  const uint64_t closing_id = process.fds().new_closing_id();
  process.note_close(fd);
  process.fds().begin_close(fd, closing_id);
  const int result = real().fclose(stream);
  process.fds().end_close(fd, closing_id);
  return result;
}

int fileno(FILE* stream) {
  const int remembered = stream_descriptor(stream);
  return remembered >= 0 ? remembered : real().fileno(stream);
}

}  // namespace postern::preload::calls
