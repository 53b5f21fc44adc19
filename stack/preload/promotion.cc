// Promotion and demotion. See promotion.h.
#include "stack/preload/promotion.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "stack/preload/epoll_set.h"
#include "stack/preload/socket_address.h"

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72  // Linux 5.14: which buffer sizes were set by the application
#endif

namespace postern::preload {
namespace {

struct CarriedOption {
  int level;
  int name;
  socklen_t size;
  bool stream_only;
};

// Options whose values move with the socket. Sizes and MSS are treated apart: their values change on the way.
constexpr CarriedOption kCarriedOptions[] = {
    {SOL_SOCKET, SO_REUSEADDR, sizeof(int), false},     {SOL_SOCKET, SO_REUSEPORT, sizeof(int), false},
    {SOL_SOCKET, SO_KEEPALIVE, sizeof(int), false},     {SOL_SOCKET, SO_LINGER, sizeof(linger), false},
    {SOL_SOCKET, SO_RCVTIMEO, sizeof(timeval), false},  {SOL_SOCKET, SO_SNDTIMEO, sizeof(timeval), false},
    {SOL_SOCKET, SO_OOBINLINE, sizeof(int), false},     {SOL_SOCKET, SO_BROADCAST, sizeof(int), false},
    {SOL_SOCKET, SO_RCVLOWAT, sizeof(int), false},      {IPPROTO_IP, IP_TTL, sizeof(int), false},
    {IPPROTO_IP, IP_TOS, sizeof(int), false},           {IPPROTO_TCP, TCP_NODELAY, sizeof(int), true},
    {IPPROTO_TCP, TCP_CORK, sizeof(int), true},         {IPPROTO_TCP, TCP_KEEPIDLE, sizeof(int), true},
    {IPPROTO_TCP, TCP_KEEPINTVL, sizeof(int), true},    {IPPROTO_TCP, TCP_KEEPCNT, sizeof(int), true},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, sizeof(int), true},
};

union OptionValue {
  int integer;
  linger linger_value;
  timeval time;
};

constexpr int kUnsetMss = 536;  // what the kernel reports before a connection if nothing was set (RFC 1122 4.2.2.6)

void carry_to_endpoint(int fd, bool stream, stack::Stack& stack, int endpoint) {
  for (const CarriedOption& option : kCarriedOptions) {
    OptionValue value{};
    socklen_t size = option.size;
    if ((!option.stream_only || stream) && real().getsockopt(fd, option.level, option.name, &value, &size) == 0) {
      static_cast<void>(stack.set_option(endpoint, option.level, option.name, &value, size));
    }
  }
  int locked = 0;
  socklen_t size = sizeof locked;
  if (real().getsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &locked, &size) != 0) {
    locked = 0;
  }
  for (const auto& [bit, name] : {std::pair{1, SO_SNDBUF}, std::pair{2, SO_RCVBUF}}) {
    int bytes = 0;
    size = sizeof bytes;
    if ((locked & bit) != 0 && real().getsockopt(fd, SOL_SOCKET, name, &bytes, &size) == 0) {
      bytes /= 2;  // the kernel reports twice what was set (socket(7))
      static_cast<void>(stack.set_option(endpoint, SOL_SOCKET, name, &bytes, sizeof bytes));
    }
  }
  int mss = 0;
  size = sizeof mss;
  if (stream && real().getsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &mss, &size) == 0 && mss != kUnsetMss) {
    static_cast<void>(stack.set_option(endpoint, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof mss));
  }
}

void carry_to_kernel(stack::Stack& stack, int endpoint, bool stream, int fd) {
  for (const CarriedOption& option : kCarriedOptions) {
    OptionValue value{};
    socklen_t size = option.size;
    if ((!option.stream_only || stream) && stack.get_option(endpoint, option.level, option.name, &value, &size) >= 0) {
      real().setsockopt(fd, option.level, option.name, &value, size);
    }
  }
}

int option_of(int fd, int level, int name) {
  int value = 0;
  socklen_t size = sizeof value;
  return real().getsockopt(fd, level, name, &value, &size) == 0 ? value : -1;
}

// Puts new_fd in the place of every number whose entry equals word, keeping each number's close-on-exec flag.
template <typename Install>
void replace_everywhere(uint64_t word, int new_fd, Install install) {
  FdTable& fds = Process::get().fds();
  for (int fd = 0; fd < fds.limit(); ++fd) {
    if (fds.word(fd) != word) {
      continue;
    }
    const int descriptor_flags = real().fcntl(fd, F_GETFD, 0);
    if (descriptor_flags < 0) {
      fds.set_unknown(fd);  // was closed behind our back
      continue;
    }
    if (real().dup3(new_fd, fd, (descriptor_flags & FD_CLOEXEC) != 0 ? O_CLOEXEC : 0) >= 0) {
      install(fd);
    }
  }
}

FdRef promote(int fd, AttachedStack& attached, int* error) {
  Process& process = Process::get();
  stack::Stack& stack = attached.stack();
  const bool stream = option_of(fd, SOL_SOCKET, SO_TYPE) == SOCK_STREAM;
  const int id = stack.open(stream ? stack::SocketType::kStream : stack::SocketType::kDatagram);
  if (id < 0) {
    *error = id;
    return FdRef();
  }
  const uint32_t generation = stack.generation(id);
  auto token = process.create_token(attached, id, generation);
  if (!token.ok()) {
    log(LogLevel::kWarning, "%s", token.error().message.c_str());
    stack.close(id, generation);
    *error = -token.error().code;
    return FdRef();
  }
  carry_to_endpoint(fd, stream, stack, id);
  EndpointFd* object = EndpointFd::allocate(&attached, id, generation);
  object->change_flags(kFlagHasToken, 0);
  const int status_flags = real().fcntl(fd, F_GETFL, 0);
  if ((status_flags & O_NONBLOCK) != 0) {
    object->change_flags(kFlagNonblocking, 0);
    real().fcntl(token.value(), F_SETFL, O_RDWR | O_NONBLOCK);
  }
  if (option_of(fd, SOL_SOCKET, SO_DOMAIN) == AF_INET6) {
    object->change_flags(kFlagIpv6Names, 0);
  }
  const uint64_t word = process.fds().word(fd);
  FdLookup found;
  replace_everywhere(word, token.value(), [&](int number) {
    process.fds().set_object(number, object);
    found = process.fds().lookup(number);
    EpollSet::socket_promoted(number, found.object);
  });
  ::syscall(SYS_close, token.value());
  log(LogLevel::kDebug, "descriptor %d is endpoint %d of stack %u", fd, id, attached.stack_id());
  *error = 0;
  return found.object;
}

// An IPv6 socket is served only as far as its IPv4 half goes, and only if it has one.
bool family_allows(int fd, const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    return option_of(fd, SOL_SOCKET, SO_DOMAIN) == AF_INET;
  }
  return Process::get().options().accept_v6_wildcard != 0 && option_of(fd, SOL_SOCKET, SO_DOMAIN) == AF_INET6 &&
         option_of(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 0;
}

}  // namespace

bool can_be_endpoint(int domain, int type, int protocol) {
  const int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (domain != AF_INET && domain != AF_INET6) {
    return false;
  }
  return (kind == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP)) ||
         (kind == SOCK_DGRAM && (protocol == 0 || protocol == IPPROTO_UDP));
}

bool is_undecided_socket(int fd) {
  const int domain = option_of(fd, SOL_SOCKET, SO_DOMAIN);
  const int type = option_of(fd, SOL_SOCKET, SO_TYPE);
  if (domain < 0 || type < 0 || !can_be_endpoint(domain, type, option_of(fd, SOL_SOCKET, SO_PROTOCOL))) {
    return false;
  }
  sockaddr_storage local{};
  socklen_t length = sizeof local;
  stack::SocketAddress parsed;
  return real().getsockname(fd, reinterpret_cast<sockaddr*>(&local), &length) == 0 &&
         parse_sockaddr(reinterpret_cast<sockaddr*>(&local), length, &parsed) == AddressForm::kIpv4 &&
         parsed.port == 0 && parsed.address.is_unspecified();
}

FdRef decide(int fd, const sockaddr* address, socklen_t length, Intent intent, int* error) {
  *error = 0;
  Process& process = Process::get();
  Process::SlowPathLock lock;
  FdLookup found = process.fds().lookup(fd);
  if (found.kind == FdKind::kObject && found.object.get()->type() == FdObjectType::kEndpoint) {
    return found.object;  // another thread was faster
  }
  if (found.kind != FdKind::kUndecided) {
    return FdRef();
  }
  stack::SocketAddress target;
  const AddressForm form = parse_sockaddr(address, length, &target);
  if (form == AddressForm::kOther) {
    return FdRef();  // malformed or AF_UNSPEC: the kernel says what it thinks, the socket stays undecided
  }
  const bool wanted = form == AddressForm::kIpv4 && !is_loopback(target.address) && !target.address.is_multicast() &&
                      (intent == Intent::kBind || !target.address.is_unspecified()) && family_allows(fd, address);
  AttachedStack* attached = wanted ? process.own_stack() : nullptr;
  const bool served =
      attached != nullptr &&
      (intent == Intent::kConnect ? attached->serves_destination(target.address)
                                  : target.address.is_unspecified() || attached->is_host_address(target.address));
  if (!served) {
    for (int number = 0; number < process.fds().limit(); ++number) {
      if (number != fd && process.fds().word(number) == process.fds().word(fd)) {
        process.fds().set_kernel(number);
      }
    }
    process.fds().set_kernel(fd);
    return FdRef();
  }
  return promote(fd, *attached, error);
}

FdRef decide_wildcard(int fd, int* error) {
  if (option_of(fd, SOL_SOCKET, SO_DOMAIN) == AF_INET6) {
    sockaddr_in6 any{};
    any.sin6_family = AF_INET6;
    return decide(fd, reinterpret_cast<sockaddr*>(&any), sizeof any, Intent::kBind, error);
  }
  sockaddr_in any{};
  any.sin_family = AF_INET;
  return decide(fd, reinterpret_cast<sockaddr*>(&any), sizeof any, Intent::kBind, error);
}

int demote(int fd, EndpointFd& endpoint) {
  Process& process = Process::get();
  Process::SlowPathLock lock;
  int error = 0;
  stack::Stack* stack = endpoint.live(&error);
  if (stack == nullptr) {
    return error;
  }
  const bool ipv6 = (endpoint.flags() & kFlagIpv6Names) != 0;
  const int kernel_fd = real().socket(ipv6 ? AF_INET6 : AF_INET, endpoint.stream ? SOCK_STREAM : SOCK_DGRAM, 0);
  if (kernel_fd < 0) {
    return -errno;
  }
  carry_to_kernel(*stack, endpoint.endpoint, endpoint.stream, kernel_fd);
  if (endpoint.nonblocking()) {
    real().fcntl(kernel_fd, F_SETFL, O_RDWR | O_NONBLOCK);
  }
  stack::SocketAddress local;
  if (stack->local_address(endpoint.endpoint, &local) >= 0 && local.port != 0) {
    local.address = stack::IpAddress::any_ipv4();
    sockaddr_storage name{};
    socklen_t length = sizeof name;
    store_sockaddr(local, ipv6, reinterpret_cast<sockaddr*>(&name), &length);
    if (real().bind(kernel_fd, reinterpret_cast<sockaddr*>(&name), length) != 0) {
      const int bind_error = -errno;
      real().close(kernel_fd);
      return bind_error;
    }
  }
  const uint64_t word = process.fds().word(fd);
  replace_everywhere(word, kernel_fd, [&](int number) {
    const FdLookup found = process.fds().lookup(number);
    process.fds().set_kernel(number);
    EpollSet::socket_demoted(number, found.object);
  });
  real().close(kernel_fd);
  return 0;
}

}  // namespace postern::preload
