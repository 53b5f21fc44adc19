// Making, naming and connecting sockets: socket, bind, listen, accept, connect, shutdown, get*name.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "stack/preload/blocking.h"
#include "stack/preload/calls.h"
#include "stack/preload/promotion.h"
#include "stack/preload/socket_address.h"

namespace postern::preload::calls {
namespace {

EndpointFd& as_endpoint(const FdRef& ref) { return *static_cast<EndpointFd*>(ref.get()); }

// The endpoint behind fd, deciding an undecided socket for this address. *error as decide().
FdRef endpoint_for(int fd, const sockaddr* address, socklen_t length, Intent intent, int* error) {
  *error = 0;
  Process& process = Process::get();
  if (process.fds().is_kernel(fd)) {
    return FdRef();
  }
  FdLookup found = process.resolve(fd);
  if (found.kind == FdKind::kUndecided && !process.in_vfork_child()) {
    return decide(fd, address, length, intent, error);
  }
  if (found.kind == FdKind::kObject && found.object.get()->type() == FdObjectType::kEndpoint) {
    return std::move(found.object);
  }
  return FdRef();
}

// After a close the port comes back only when hostd has told the helper; after the end of a process, when its helper
// has seen the connections off. So "in use" may be a matter of milliseconds. A server that is started again
// (SO_REUSEADDR) would succeed at once on Linux, so it waits longer.
constexpr uint64_t kPortReturnWaitNs = 150'000'000;
constexpr uint64_t kReusedPortWaitNs = 1'000'000'000;

uint64_t port_wait_ns(stack::Stack& stack, int endpoint) {
  int reuse = 0;
  socklen_t size = sizeof reuse;
  if (stack.get_option(endpoint, SOL_SOCKET, SO_REUSEADDR, &reuse, &size) >= 0 && reuse != 0) {
    return kReusedPortWaitNs;
  }
  return Process::get().closed_recently() ? kPortReturnWaitNs : 0;
}

int bind_endpoint(EndpointFd& endpoint, const stack::SocketAddress& local) {
  const uint64_t start_ns = monotonic_ns();
  for (;;) {
    int error = 0;
    stack::Stack* stack = endpoint.live(&error);
    if (stack == nullptr) {
      return error;
    }
    const int result = stack->bind(endpoint.endpoint, local);
    if (result != -EADDRINUSE || local.port == 0 ||
        monotonic_ns() - start_ns >= port_wait_ns(*stack, endpoint.endpoint)) {
      return result;
    }
    const timespec pause{0, 2'000'000};
    ::nanosleep(&pause, nullptr);
    endpoint.stack->poll();
  }
}

int connect_endpoint(EndpointFd& endpoint, const stack::SocketAddress& remote) {
  int error = 0;
  stack::Stack* stack = endpoint.live(&error);
  if (stack == nullptr) {
    return error;
  }
  const int id = endpoint.endpoint;
  int started = stack->connect(id, remote);
  if (endpoint.nonblocking() || (started != -EINPROGRESS && started != -EALREADY)) {
    return started;
  }
  const int64_t waited = blocking_call(
      endpoint, POLLOUT | POLLERR | POLLHUP, false, SO_SNDTIMEO, [](stack::Stack& alive, int endpoint_id) {
        return (alive.readiness(endpoint_id) & (POLLOUT | POLLERR | POLLHUP)) != 0 ? int64_t{0} : int64_t{-EAGAIN};
      });
  if (waited == -EAGAIN) {
    return started;  // SO_SNDTIMEO has passed: the handshake goes on (socket(7))
  }
  if (waited < 0) {
    return static_cast<int>(waited);
  }
  int pending = 0;
  socklen_t size = sizeof pending;
  const int result = stack->get_option(id, SOL_SOCKET, SO_ERROR, &pending, &size);
  if (result < 0 || pending != 0) {
    return result < 0 ? result : -pending;
  }
  static_cast<void>(stack->connect(id, remote));  // takes the success, so that the next call says EISCONN
  return 0;
}

// A descriptor of no meaning that holds a number, or -1: none is left.
int reserve_number(const AttachedStack& stack) {
  return static_cast<int>(::syscall(SYS_fcntl, stack.wake_fd(), F_DUPFD_CLOEXEC, 0));
}

// Gives an accepted connection its descriptor, in place of the reserved one. Returns the number or -errno (the
// connection is closed then).
int install_accepted(EndpointFd& listener, int id, int flags, int reserved) {
  Process& process = Process::get();
  stack::Stack& stack = listener.stack->stack();
  const uint32_t generation = stack.generation(id);
  auto token = process.create_token(*listener.stack, id, generation, reserved);
  if (!token.ok()) {
    stack.close(id, generation);
    return -(token.error().code != 0 ? token.error().code : EMFILE);
  }
  const int fd = token.value();
  EndpointFd* object = EndpointFd::allocate(listener.stack, id, generation);
  object->change_flags(kFlagHasToken | (listener.flags() & kFlagIpv6Names), 0);
  if ((flags & SOCK_NONBLOCK) != 0) {
    object->change_flags(kFlagNonblocking, 0);
    real().fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK);
  }
  if ((flags & SOCK_CLOEXEC) == 0) {
    real().fcntl(fd, F_SETFD, 0);
  }
  process.fds().set_object(fd, object);
  return fd;
}

int accept_endpoint(EndpointFd& listener, sockaddr* address, socklen_t* length, int flags) {
  if ((flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != 0) {
    return -EINVAL;
  }
  if (!listener.stream) {
    return -EOPNOTSUPP;
  }
  stack::SocketAddress peer;
  // A connection that is taken needs a number: without one it stays in the queue (accept(2): EMFILE).
  struct Reservation {
    ~Reservation() {
      if (fd >= 0) {
        ::syscall(SYS_close, fd);
      }
    }
    int fd = -1;
  } reserved;
  const int64_t id = blocking_call(listener, POLLIN, listener.nonblocking(), SO_RCVTIMEO,
                                   [&](stack::Stack& stack, int endpoint) -> int64_t {
                                     if (reserved.fd < 0 && (stack.readiness(endpoint) & POLLIN) != 0) {
                                       reserved.fd = reserve_number(*listener.stack);
                                       if (reserved.fd < 0) {
                                         return -EMFILE;
                                       }
                                     }
                                     return stack.accept(endpoint, &peer);
                                   });
  if (id < 0) {
    return static_cast<int>(id);
  }
  const int fd = install_accepted(listener, static_cast<int>(id), flags, std::exchange(reserved.fd, -1));
  if (fd >= 0) {
    store_sockaddr(peer, (listener.flags() & kFlagIpv6Names) != 0, address, length);
  }
  return fd;
}

}  // namespace

int socket(int domain, int type, int protocol) {
  const int fd = real().socket(domain, type, protocol);
  Process& process = Process::get();
  if (fd < 0 || !process.accelerating() || process.in_vfork_child()) {
    return fd;
  }
  if (can_be_endpoint(domain, type, protocol)) {
    process.fds().set_undecided(fd, process.fds().new_undecided_id());
  } else {
    process.fds().set_kernel(fd);
  }
  return fd;
}

int socketpair(int domain, int type, int protocol, int* pair) {
  const int result = real().socketpair(domain, type, protocol, pair);
  Process& process = Process::get();
  if (result == 0 && process.accelerating() && !process.in_vfork_child()) {
    process.fds().set_kernel(pair[0]);
    process.fds().set_kernel(pair[1]);
  }
  return result;
}

int bind(int fd, const sockaddr* address, socklen_t length) {
  int error = 0;
  const FdRef ref = endpoint_for(fd, address, length, Intent::kBind, &error);
  if (!ref) {
    return error < 0 ? finish(error) : real().bind(fd, address, length);
  }
  EndpointFd& endpoint = as_endpoint(ref);
  stack::SocketAddress local;
  switch (parse_sockaddr(address, length, &local)) {
    case AddressForm::kIpv4:
      return finish(bind_endpoint(endpoint, local));
    case AddressForm::kIpv6Only:
      return finish(-EADDRNOTAVAIL);
    case AddressForm::kOther:
      break;
  }
  return finish(address != nullptr && length >= sizeof(sockaddr_in) ? -EAFNOSUPPORT : -EINVAL);
}

int listen(int fd, int backlog) {
  Process& process = Process::get();
  int error = 0;
  FdLookup found = process.fds().is_kernel(fd) ? FdLookup{} : process.resolve(fd);
  FdRef ref = std::move(found.object);
  if (found.kind == FdKind::kUndecided && !process.in_vfork_child()) {
    ref = decide_wildcard(fd, &error);
  }
  if (!ref || ref.get()->type() != FdObjectType::kEndpoint) {
    return error < 0 ? finish(error) : real().listen(fd, backlog);
  }
  EndpointFd& endpoint = as_endpoint(ref);
  stack::Stack* stack = endpoint.live(&error);
  if (stack == nullptr) {
    return finish(error);
  }
  if (!endpoint.stream) {
    return finish(-EOPNOTSUPP);
  }
  stack::SocketAddress local;
  if (stack->local_address(endpoint.endpoint, &local) >= 0 && local.port != 0) {
    const int allowed = endpoint.stack->ports().set_listening(stack::Protocol::kTcp, local, true);
    if (allowed < 0) {
      return finish(allowed);
    }
  }
  return finish(stack->listen(endpoint.endpoint, backlog));
}

int accept4(int fd, sockaddr* address, socklen_t* length, int flags) {
  Process& process = Process::get();
  const FdRef ref = process.endpoint(fd);
  if (!ref) {
    const int accepted = real().accept4(fd, address, length, flags);
    if (accepted >= 0 && process.accelerating() && !process.in_vfork_child()) {
      process.fds().set_kernel(accepted);
    }
    return accepted;
  }
  return finish(accept_endpoint(as_endpoint(ref), address, length, flags));
}

int accept(int fd, sockaddr* address, socklen_t* length) { return calls::accept4(fd, address, length, 0); }

int connect(int fd, const sockaddr* address, socklen_t length) {
  int error = 0;
  const FdRef ref = endpoint_for(fd, address, length, Intent::kConnect, &error);
  if (!ref) {
    return error < 0 ? finish(error) : real().connect(fd, address, length);
  }
  EndpointFd& endpoint = as_endpoint(ref);
  if (address == nullptr) {
    return finish(-EFAULT);
  }
  if (length < sizeof(sa_family_t)) {
    return finish(-EINVAL);
  }
  stack::SocketAddress remote;
  if (address->sa_family == AF_UNSPEC) {
    remote.address.family = stack::AddressFamily::kNone;
    return finish(connect_endpoint(endpoint, remote));
  }
  if (parse_sockaddr(address, length, &remote) != AddressForm::kIpv4) {
    return finish(address->sa_family == AF_INET6 ? -ENETUNREACH
                                                 : (length < sizeof(sockaddr_in) ? -EINVAL : -EAFNOSUPPORT));
  }
  const bool unconnected = [&] {
    int live_error = 0;
    stack::Stack* stack = endpoint.live(&live_error);
    stack::SocketAddress peer;
    return stack != nullptr && stack->peer_address(endpoint.endpoint, &peer) == -ENOTCONN;
  }();
  if (unconnected && endpoint.stack != nullptr && !endpoint.stack->serves_destination(remote.address)) {
    const int demoted = demote(fd, endpoint);
    return demoted < 0 ? finish(demoted) : real().connect(fd, address, length);
  }
  return finish(connect_endpoint(endpoint, remote));
}

int shutdown(int fd, int how) {
  const FdRef ref = Process::get().endpoint(fd);
  if (!ref) {
    return real().shutdown(fd, how);
  }
  int error = 0;
  stack::Stack* stack = as_endpoint(ref).live(&error);
  if (stack == nullptr) {
    return finish(error);
  }
  return finish(how < SHUT_RD || how > SHUT_RDWR ? -EINVAL : stack->shutdown(as_endpoint(ref).endpoint, how));
}

int getsockname(int fd, sockaddr* address, socklen_t* length) {
  const FdRef ref = Process::get().endpoint(fd);
  if (!ref) {
    return real().getsockname(fd, address, length);
  }
  if (address == nullptr || length == nullptr) {
    return finish(-EFAULT);
  }
  const EndpointFd& endpoint = as_endpoint(ref);
  int error = 0;
  stack::Stack* stack = endpoint.live(&error);
  stack::SocketAddress local;
  const int result = stack == nullptr ? error : stack->local_address(endpoint.endpoint, &local);
  if (result >= 0) {
    store_sockaddr(local, (endpoint.flags() & kFlagIpv6Names) != 0, address, length);
  }
  return finish(result < 0 ? result : 0);
}

int getpeername(int fd, sockaddr* address, socklen_t* length) {
  const FdRef ref = Process::get().endpoint(fd);
  if (!ref) {
    return real().getpeername(fd, address, length);
  }
  if (address == nullptr || length == nullptr) {
    return finish(-EFAULT);
  }
  const EndpointFd& endpoint = as_endpoint(ref);
  int error = 0;
  stack::Stack* stack = endpoint.live(&error);
  stack::SocketAddress peer;
  const int result = stack == nullptr ? error : stack->peer_address(endpoint.endpoint, &peer);
  if (result >= 0) {
    store_sockaddr(peer, (endpoint.flags() & kFlagIpv6Names) != 0, address, length);
  }
  return finish(result < 0 ? result : 0);
}

}  // namespace postern::preload::calls
