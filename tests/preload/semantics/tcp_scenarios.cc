// Stream sockets: connecting, sending, receiving, closing, and the errors of doing so at the wrong time.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <ctime>
#include <tuple>

#include "tests/preload/semantics/scenario.h"

namespace postern::semantics {
namespace {

sockaddr* as_sockaddr(sockaddr_in* address) { return reinterpret_cast<sockaddr*>(address); }

int socket_error(int fd) {
  int value = -1;
  socklen_t size = sizeof value;
  return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &size) == 0 ? value : -1;
}

void set_nonblocking(int fd, bool on) {
  const int flags = ::fcntl(fd, F_GETFL);
  ::fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

void hello_and_names(Context& c) {
  const int fd = c.stream();
  char text[32] = {};
  sockaddr_in local{};
  sockaddr_in peer{};
  socklen_t size = sizeof local;
  SHOW(c, ::getsockname(fd, as_sockaddr(&local), &size));
  c.line("name size", std::to_string(size));
  size = sizeof peer;
  SHOW(c, ::getpeername(fd, as_sockaddr(&peer), &size));
  c.fact("both have ports", local.sin_port != 0 && peer.sin_port != 0);
  if (c.server()) {
    c.fact("local port is the listener's", ntohs(local.sin_port) == c.port());
    SHOW(c, ::recv(fd, text, sizeof text, 0));
    c.line("text", text);
    SHOW(c, ::send(fd, "world!", 6, 0));
    SHOW(c, ::recv(fd, text, sizeof text, 0));
  } else {
    c.fact("peer port is the listener's", ntohs(peer.sin_port) == c.port());
    SHOW(c, ::send(fd, "hello", 5, 0));
    SHOW(c, ::recv(fd, text, sizeof text, 0));
    c.line("text", text);
    SHOW(c, ::shutdown(fd, SHUT_WR));
  }
  SHOW(c, ::close(fd));
}

void refused(Context& c) {
  if (!c.server()) {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = c.peer_address();
    SHOW(c, ::connect(fd, as_sockaddr(&address), sizeof address));
    c.line("SO_ERROR", errno_name(socket_error(fd)));
    char byte = 0;
    SHOW(c, ::send(fd, &byte, 1, MSG_NOSIGNAL));
    ::close(fd);
    const int later = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    SHOW(c, ::connect(later, as_sockaddr(&address), sizeof address));
    pollfd entry{later, POLLIN | POLLOUT, 0};
    SHOW(c, ::poll(&entry, 1, 3000));
    c.line("poll", poll_bits(static_cast<unsigned>(entry.revents)));
    c.line("SO_ERROR", errno_name(socket_error(later)));
    c.line("SO_ERROR again", errno_name(socket_error(later)));
    ::close(later);
  }
  c.sync();
}

void nonblocking_connect(Context& c) {
  if (c.server()) {
    const int listening = c.listener();
    c.sync();
    SHOW_AS(c, "accept", ::accept(listening, nullptr, nullptr) >= 0 ? 0 : -1);
    c.sync();
    ::close(listening);
    return;
  }
  c.sync();
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  sockaddr_in address = c.peer_address();
  SHOW(c, ::connect(fd, as_sockaddr(&address), sizeof address));
  pollfd entry{fd, POLLOUT, 0};
  SHOW(c, ::poll(&entry, 1, 3000));
  c.line("poll", poll_bits(static_cast<unsigned>(entry.revents)));
  c.line("SO_ERROR", std::to_string(socket_error(fd)));
  SHOW(c, ::connect(fd, as_sockaddr(&address), sizeof address));
  SHOW(c, ::connect(fd, as_sockaddr(&address), sizeof address));
  c.sync();
  ::close(fd);
}

void would_block_and_timeouts(Context& c) {
  const int fd = c.stream();
  if (!c.server()) {
    char byte = 0;
    SHOW(c, ::recv(fd, &byte, 1, MSG_DONTWAIT));
    set_nonblocking(fd, true);
    SHOW(c, ::read(fd, &byte, 1));
    c.fact("O_NONBLOCK is seen", (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    set_nonblocking(fd, false);
    c.fact("O_NONBLOCK is gone", (::fcntl(fd, F_GETFL) & O_NONBLOCK) == 0);
    const timeval limit{0, 150'000};
    SHOW(c, ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
    const uint64_t start = now_ms();
    SHOW(c, ::recv(fd, &byte, 1, 0));
    const uint64_t waited = now_ms() - start;
    c.fact("waited about 150 ms", waited >= 140 && waited < 1000);
  }
  c.sync();
  ::close(fd);
}

void receive_flags(Context& c) {
  const int fd = c.stream();
  if (c.server()) {
    write_all(fd, "abcdefghij", 10);
    c.sync();
    c.sync();
    write_all(fd, "12345", 5);
    const timespec pause{0, 100'000'000};
    ::nanosleep(&pause, nullptr);
    write_all(fd, "67890", 5);
  } else {
    char text[32] = {};
    c.sync();
    c.line("readable", std::to_string(wait_readable(fd, 3000)));
    int pending = 0;
    SHOW(c, ::ioctl(fd, FIONREAD, &pending));
    c.line("FIONREAD", std::to_string(pending));
    SHOW(c, ::recv(fd, text, 4, MSG_PEEK));
    SHOW(c, ::recv(fd, text, 4, 0));
    c.line("text", text);
    SHOW(c, ::recv(fd, nullptr, 2, MSG_TRUNC));
    iovec parts[2] = {{text, 3}, {text + 8, 10}};
    SHOW(c, ::readv(fd, parts, 2));
    c.line("parts", std::string(text, 3) + "," + std::string(text + 8, 1));
    SHOW(c, ::recv(fd, text, 1, MSG_OOB));
    SHOW(c, ::read(fd, text, 0));
    c.sync();
    SHOW(c, ::recv(fd, text, 10, MSG_WAITALL));
    c.line("text", std::string(text, 10));
  }
  c.sync();
  ::close(fd);
}

void message_calls(Context& c) {
  const int fd = c.stream();
  char first[4] = {'o', 'n', 'e', ' '};
  char second[4] = {'t', 'w', 'o', '.'};
  iovec parts[2] = {{first, 4}, {second, 4}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  if (c.server()) {
    SHOW(c, ::sendmsg(fd, &message, 0));
    SHOW(c, ::writev(fd, parts, 2));
    volatile int bad_count = -1;  // volatile: the compiler knows better than to pass it
    SHOW(c, ::writev(fd, parts, bad_count));
  } else {
    char text[16] = {};
    iovec into[2] = {{text, 5}, {text + 5, 3}};
    sockaddr_in name{};
    char control[64];
    message.msg_iov = into;
    message.msg_name = &name;
    message.msg_namelen = sizeof name;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    SHOW(c, ::recvmsg(fd, &message, MSG_WAITALL));
    c.line("text", std::string(text, 8));
    c.line("name and control length",
           std::to_string(message.msg_namelen) + "," + std::to_string(message.msg_controllen));
    c.line("read", std::to_string(read_fully(fd, text, 8)));
  }
  c.sync();
  ::close(fd);
}

void half_close(Context& c) {
  const int fd = c.stream();
  char byte = 'x';
  if (c.server()) {
    SHOW(c, ::shutdown(fd, SHUT_WR));
    SHOW(c, ::send(fd, &byte, 1, MSG_NOSIGNAL));
    c.sync();
    SHOW(c, ::read(fd, &byte, 1));
    c.sync();
    SHOW(c, ::shutdown(fd, SHUT_RD));
    SHOW(c, ::read(fd, &byte, 1));
    SHOW(c, ::shutdown(fd, 7));
  } else {
    c.sync();
    pollfd entry{fd, POLLIN | POLLOUT | POLLRDHUP, 0};
    entry.events = POLLIN;
    SHOW(c, ::poll(&entry, 1, 3000));
    entry.events = POLLIN | POLLOUT | POLLRDHUP;
    SHOW(c, ::poll(&entry, 1, 0));
    c.line("poll", poll_bits(static_cast<unsigned>(entry.revents)));
    SHOW(c, ::read(fd, &byte, 1));
    SHOW(c, ::read(fd, &byte, 1));
    SHOW(c, ::write(fd, &byte, 1));
    c.sync();
  }
  c.sync();
  ::close(fd);
}

volatile sig_atomic_t pipe_signals = 0;

void broken_pipe(Context& c) {
  const int fd = c.stream();
  char bytes[100] = {};
  if (c.server()) {
    c.line("readable", std::to_string(wait_readable(fd, 3000)));
    const linger reset{1, 0};
    SHOW(c, ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset));
    ::close(fd);
    c.sync();
    c.sync();
    return;
  }
  pipe_signals = 0;
  std::signal(SIGPIPE, [](int) { pipe_signals = pipe_signals + 1; });
  write_all(fd, bytes, sizeof bytes);
  c.sync();
  pollfd entry{fd, POLLIN | POLLOUT, 0};
  entry.events = POLLIN;
  SHOW(c, ::poll(&entry, 1, 3000));
  entry.events = POLLIN | POLLOUT;
  SHOW(c, ::poll(&entry, 1, 0));
  c.line("poll", poll_bits(static_cast<unsigned>(entry.revents)));
  SHOW(c, ::read(fd, bytes, 1));
  SHOW(c, ::read(fd, bytes, 1));
  SHOW(c, ::write(fd, bytes, 1));
  SHOW(c, ::send(fd, bytes, 1, MSG_NOSIGNAL));
  c.line("SIGPIPE", std::to_string(pipe_signals));
  std::signal(SIGPIPE, SIG_IGN);
  c.sync();
  ::close(fd);
}

void unread_data_resets(Context& c) {
  const int fd = c.stream();
  char bytes[100] = {};
  if (c.server()) {
    c.line("readable", std::to_string(wait_readable(fd, 3000)));
    ::close(fd);
    c.sync();
  } else {
    write_all(fd, bytes, sizeof bytes);
    c.sync();
    c.line("readable", std::to_string(wait_readable(fd, 3000)));
    SHOW(c, ::read(fd, bytes, 1));
    ::close(fd);
  }
  c.sync();
}

void wrong_state(Context& c) {
  if (!c.server()) {
    sockaddr_in address = Context::any_address(0);
    sockaddr_in name{};
    socklen_t size = sizeof name;
    char byte = 0;
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    SHOW(c, ::recv(fd, &byte, 1, 0));
    SHOW(c, ::send(fd, &byte, 1, MSG_NOSIGNAL));
    SHOW(c, ::getpeername(fd, as_sockaddr(&name), &size));
    SHOW(c, ::accept(fd, nullptr, nullptr));
    SHOW(c, ::bind(fd, as_sockaddr(&address), sizeof address));
    SHOW(c, ::bind(fd, as_sockaddr(&address), sizeof address));
    SHOW(c, ::accept(fd, nullptr, nullptr));
    SHOW(c, ::recv(fd, &byte, 1, 0));
    SHOW(c, ::send(fd, &byte, 1, MSG_NOSIGNAL));
    SHOW(c, ::getpeername(fd, as_sockaddr(&name), &size));
    SHOW(c, ::getsockname(fd, as_sockaddr(&name), &size));
    c.fact("bound to some port", name.sin_port != 0);
    SHOW(c, ::listen(fd, 5));
    SHOW(c, ::listen(fd, 7));
    SHOW(c, ::recv(fd, &byte, 1, 0));
    SHOW(c, ::send(fd, &byte, 1, MSG_NOSIGNAL));
    sockaddr_in peer = c.peer_address();
    SHOW(c, ::connect(fd, as_sockaddr(&peer), sizeof peer));
    const int second = ::socket(AF_INET, SOCK_STREAM, 0);
    address.sin_port = name.sin_port;
    SHOW(c, ::bind(second, as_sockaddr(&address), sizeof address));
    address.sin_addr.s_addr = htonl(0xc0000201);  // 192.0.2.1, TEST-NET-1: nobody's
    SHOW(c, ::bind(second, as_sockaddr(&address), sizeof address));
    SHOW(c, ::bind(second, as_sockaddr(&address), 4));
    SHOW(c, ::connect(second, as_sockaddr(&peer), 4));
    ::close(second);
    ::close(fd);
    SHOW(c, ::send(fd, &byte, 1, MSG_NOSIGNAL));
    int pipe_fds[2];
    SHOW(c, ::pipe(pipe_fds));
    SHOW(c, ::send(pipe_fds[1], &byte, 1, MSG_NOSIGNAL));
    SHOW(c, ::listen(pipe_fds[1], 1));
    ::close(pipe_fds[0]);
    ::close(pipe_fds[1]);
  }
  c.sync();
}

void connect_twice(Context& c) {
  const int fd = c.stream();
  if (!c.server()) {
    sockaddr_in address = c.peer_address();
    SHOW(c, ::connect(fd, as_sockaddr(&address), sizeof address));
    SHOW(c, ::listen(fd, 1));
    SHOW(c, ::accept(fd, nullptr, nullptr));
    address = Context::any_address(0);
    SHOW(c, ::bind(fd, as_sockaddr(&address), sizeof address));
  }
  c.sync();
  ::close(fd);
}

void show_option(Context& c, int fd, const char* label, int level, int name) {
  int value = 0;
  socklen_t size = sizeof value;
  const int result = ::getsockopt(fd, level, name, &value, &size);
  c.line(label, result == 0 ? std::to_string(value) + " size " + std::to_string(size) : errno_name(errno));
}

void options(Context& c) {
  const int fd = c.stream();
  if (!c.server()) {
    show_option(c, fd, "SO_TYPE", SOL_SOCKET, SO_TYPE);
    show_option(c, fd, "SO_DOMAIN", SOL_SOCKET, SO_DOMAIN);
    show_option(c, fd, "SO_PROTOCOL", SOL_SOCKET, SO_PROTOCOL);
    show_option(c, fd, "SO_ACCEPTCONN", SOL_SOCKET, SO_ACCEPTCONN);
    show_option(c, fd, "SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR);
    show_option(c, fd, "SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE);
    show_option(c, fd, "TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY);
    show_option(c, fd, "TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE);
    show_option(c, fd, "TCP_KEEPINTVL", IPPROTO_TCP, TCP_KEEPINTVL);
    show_option(c, fd, "TCP_KEEPCNT", IPPROTO_TCP, TCP_KEEPCNT);
    show_option(c, fd, "unknown option", SOL_SOCKET, 9999);
    show_option(c, fd, "unknown level", 200, 1);
    int on = 1;
    for (const auto& [label, level, name] :
         {std::tuple<const char*, int, int>{"TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY},
          std::tuple<const char*, int, int>{"SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE},
          std::tuple<const char*, int, int>{"SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR},
          std::tuple<const char*, int, int>{"TCP_CORK", IPPROTO_TCP, TCP_CORK}}) {
      SHOW_AS(c, label, ::setsockopt(fd, level, name, &on, sizeof on));
      show_option(c, fd, label, level, name);
    }
    SHOW(c, ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, 1));
    SHOW(c, ::setsockopt(fd, SOL_SOCKET, 9999, &on, sizeof on));
    linger value{1, 5};
    SHOW(c, ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &value, sizeof value));
    socklen_t size = sizeof value;
    value = linger{};
    SHOW(c, ::getsockopt(fd, SOL_SOCKET, SO_LINGER, &value, &size));
    c.line("linger", std::to_string(value.l_onoff) + "," + std::to_string(value.l_linger));
    timeval time{1, 500000};
    SHOW(c, ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time));
    size = sizeof time;
    time = timeval{};
    SHOW(c, ::getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, &size));
    c.line("timeout", std::to_string(time.tv_sec) + "," + std::to_string(time.tv_usec));
    int mss = 0;
    size = sizeof mss;
    SHOW(c, ::getsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &mss, &size));
    c.fact("MSS is plausible", mss >= 500 && mss <= 65535);
    tcp_info info{};
    size = sizeof info;
    SHOW(c, ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size));
    c.line("TCP_INFO state", std::to_string(info.tcpi_state));
  }
  c.sync();
  ::close(fd);
}

uint32_t checksum_step(uint32_t sum, unsigned char byte) { return (sum ^ byte) * 16777619U; }

void pattern(std::vector<unsigned char>& data, uint32_t seed) {
  for (auto& byte : data) {
    seed = seed * 1664525U + 1013904223U;
    byte = static_cast<unsigned char>(seed >> 24);
  }
}

void large_transfer(Context& c) {
  constexpr size_t kBytes = 2 * 1024 * 1024;
  const int fd = c.stream();
  std::vector<unsigned char> data(kBytes);
  for (const bool server_sends : {true, false}) {
    if (server_sends == c.server()) {
      pattern(data, server_sends ? 1 : 2);
      write_all(fd, data.data(), data.size());
      c.sync();
      continue;
    }
    std::fill(data.begin(), data.end(), 0);
    c.line("received", std::to_string(read_fully(fd, data.data(), data.size())));
    uint32_t sum = 2166136261U;
    for (const unsigned char byte : data) {
      sum = checksum_step(sum, byte);
    }
    c.line("checksum", std::to_string(sum));
    c.sync();
  }
  ::close(fd);
}

void full_buffers(Context& c) {
  const int fd = c.stream();
  std::vector<char> piece(65536, 'f');
  if (c.server()) {
    set_nonblocking(fd, true);
    size_t total = 0;
    ssize_t sent = 0;
    uint64_t last_progress = now_ms();
    while (now_ms() - last_progress < 500) {  // until nothing moves for half a second
      sent = ::send(fd, piece.data(), piece.size(), 0);
      if (sent > 0) {
        total += static_cast<size_t>(sent);
        last_progress = now_ms();
      } else {
        const timespec pause{0, 5'000'000};
        ::nanosleep(&pause, nullptr);
      }
    }
    SHOW(c, ::send(fd, piece.data(), piece.size(), 0));
    pollfd entry{fd, POLLOUT, 0};
    SHOW(c, ::poll(&entry, 1, 0));
    c.fact("took something", total > 0);
    c.sync();
    SHOW(c, ::poll(&entry, 1, 10000));
    c.line("poll", poll_bits(static_cast<unsigned>(entry.revents)));
    ::close(fd);
    c.sync();
  } else {
    c.sync();
    while (::read(fd, piece.data(), piece.size()) > 0) {
    }
    SHOW(c, ::read(fd, piece.data(), 1));
    c.sync();
    ::close(fd);
  }
}

void accept_details(Context& c) {
  if (!c.server()) {
    c.sync();
    sockaddr_in address = c.peer_address();
    int fds[3];
    for (int& fd : fds) {
      fd = ::socket(AF_INET, SOCK_STREAM, 0);
      SHOW(c, ::connect(fd, as_sockaddr(&address), sizeof address));
    }
    c.sync();
    c.sync();
    for (const int fd : fds) {
      ::close(fd);
    }
    return;
  }
  const int listening = c.listener();
  set_nonblocking(listening, true);
  SHOW(c, ::accept(listening, nullptr, nullptr));
  int accepting = 0;
  socklen_t size = sizeof accepting;
  ::getsockopt(listening, SOL_SOCKET, SO_ACCEPTCONN, &accepting, &size);
  c.line("SO_ACCEPTCONN", std::to_string(accepting));
  c.sync();
  c.sync();
  c.line("readable", std::to_string(wait_readable(listening, 3000)));
  sockaddr_in peer{};
  size = sizeof peer;
  const int first = ::accept4(listening, as_sockaddr(&peer), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  c.fact("accepted", first >= 0);
  c.line("peer size and family", std::to_string(size) + "," + std::to_string(peer.sin_family));
  c.fact("nonblocking", (::fcntl(first, F_GETFL) & O_NONBLOCK) != 0);
  c.fact("close-on-exec", (::fcntl(first, F_GETFD) & FD_CLOEXEC) != 0);
  const int second = ::accept(listening, nullptr, nullptr);
  c.fact("second is blocking", (::fcntl(second, F_GETFL) & O_NONBLOCK) == 0);
  c.fact("second stays over exec", (::fcntl(second, F_GETFD) & FD_CLOEXEC) == 0);
  SHOW(c, ::accept4(listening, nullptr, nullptr, 1));
  c.sync();
  ::close(first);
  ::close(second);
  ::close(listening);
}

}  // namespace

std::vector<Scenario> tcp_scenarios() {
  return {{"hello_and_names", hello_and_names},
          {"refused", refused},
          {"nonblocking_connect", nonblocking_connect},
          {"would_block_and_timeouts", would_block_and_timeouts},
          {"receive_flags", receive_flags},
          {"message_calls", message_calls},
          {"half_close", half_close},
          {"broken_pipe", broken_pipe},
          {"unread_data_resets", unread_data_resets},
          {"wrong_state", wrong_state},
          {"connect_twice", connect_twice},
          {"options", options},
          {"large_transfer", large_transfer},
          {"full_buffers", full_buffers},
          {"accept_details", accept_details}};
}

}  // namespace postern::semantics
