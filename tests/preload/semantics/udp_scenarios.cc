// Datagram sockets.
#include <arpa/inet.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstring>
#include <ctime>

#include "tests/preload/semantics/scenario.h"

namespace postern::semantics {
namespace {

sockaddr* as_sockaddr(sockaddr_in* address) { return reinterpret_cast<sockaddr*>(address); }

int bound_socket(Context& c, unsigned offset = 0) {
  const int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
  sockaddr_in address = Context::any_address(c.port(offset));
  SHOW(c, ::bind(fd, as_sockaddr(&address), sizeof address));
  return fd;
}

void datagrams(Context& c) {
  char text[64] = {};
  if (c.server()) {
    const int fd = bound_socket(c);
    c.sync();
    sockaddr_in from{};
    socklen_t size = sizeof from;
    SHOW(c, ::recvfrom(fd, text, sizeof text, 0, as_sockaddr(&from), &size));
    c.line("text", text);
    c.line("name size", std::to_string(size));
    SHOW(c, ::sendto(fd, "pong", 4, 0, as_sockaddr(&from), size));
    c.line("readable", std::to_string(wait_readable(fd, 3000)));
    SHOW(c, ::recv(fd, text, 3, MSG_PEEK));
    SHOW(c, ::recv(fd, text, 3, MSG_TRUNC));
    SHOW(c, ::recv(fd, text, sizeof text, 0));
    int pending = -1;
    c.line("readable", std::to_string(wait_readable(fd, 3000)));
    SHOW(c, ::ioctl(fd, FIONREAD, &pending));
    c.line("FIONREAD", std::to_string(pending));
    msghdr message{};
    iovec part{text, 2};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    SHOW(c, ::recvmsg(fd, &message, 0));
    c.fact("MSG_TRUNC", (message.msg_flags & MSG_TRUNC) != 0);
    SHOW(c, ::recv(fd, text, sizeof text, MSG_DONTWAIT));
    c.sync();
    ::close(fd);
    return;
  }
  c.sync();
  const int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
  sockaddr_in server = c.peer_address();
  SHOW(c, ::sendto(fd, "ping", 4, 0, as_sockaddr(&server), sizeof server));
  SHOW(c, ::recv(fd, text, sizeof text, 0));
  c.line("text", text);
  SHOW(c, ::sendto(fd, "truncated", 9, 0, as_sockaddr(&server), sizeof server));
  SHOW(c, ::sendto(fd, "", 0, 0, as_sockaddr(&server), sizeof server));
  SHOW(c, ::sendto(fd, "seventeen letters", 17, 0, as_sockaddr(&server), sizeof server));
  c.sync();
  ::close(fd);
}

void connected_datagrams(Context& c) {
  char text[64] = {};
  if (c.server()) {
    const int fd = bound_socket(c);
    const int other = bound_socket(c, 1);
    c.sync();
    sockaddr_in from{};
    socklen_t size = sizeof from;
    SHOW(c, ::recvfrom(fd, text, sizeof text, 0, as_sockaddr(&from), &size));
    SHOW(c, ::sendto(other, "stranger", 8, 0, as_sockaddr(&from), size));
    SHOW(c, ::connect(fd, as_sockaddr(&from), size));
    SHOW(c, ::send(fd, "friend", 6, 0));
    c.sync();
    ::close(fd);
    ::close(other);
    return;
  }
  c.sync();
  const int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
  sockaddr_in server = c.peer_address();
  SHOW(c, ::connect(fd, as_sockaddr(&server), sizeof server));
  sockaddr_in name{};
  socklen_t size = sizeof name;
  SHOW(c, ::getpeername(fd, as_sockaddr(&name), &size));
  c.fact("peer is the server", name.sin_port == server.sin_port && name.sin_addr.s_addr == server.sin_addr.s_addr);
  SHOW(c, ::getsockname(fd, as_sockaddr(&name), &size));
  c.fact("has a local port and address", name.sin_port != 0 && name.sin_addr.s_addr != 0);
  SHOW(c, ::send(fd, "hi", 2, 0));
  SHOW(c, ::recv(fd, text, sizeof text, 0));
  c.line("text", std::string(text, 6));
  c.line("stranger", std::to_string(wait_readable(fd, 100)));
  name = sockaddr_in{};
  name.sin_family = AF_UNSPEC;
  SHOW(c, ::connect(fd, as_sockaddr(&name), sizeof name));
  SHOW(c, ::send(fd, "hi", 2, 0));
  c.sync();
  ::close(fd);
}

void datagram_errors(Context& c) {
  if (!c.server()) {
    std::vector<char> huge(70000);
    char byte = 0;
    const int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
    sockaddr_in server = c.peer_address();
    SHOW(c, ::send(fd, &byte, 1, 0));
    SHOW(c, ::recv(fd, &byte, 1, MSG_DONTWAIT));
    SHOW(c, ::listen(fd, 1));
    SHOW(c, ::accept(fd, nullptr, nullptr));
    SHOW(c, ::sendto(fd, huge.data(), huge.size(), 0, as_sockaddr(&server), sizeof server));
    SHOW(c, ::sendto(fd, &byte, 1, 0, as_sockaddr(&server), sizeof server));
    SHOW(c, ::sendto(fd, huge.data(), huge.size(), 0, as_sockaddr(&server), sizeof server));
    SHOW(c, ::send(fd, &byte, 1, 0));
    SHOW(c, ::listen(fd, 1));
    SHOW(c, ::accept(fd, nullptr, nullptr));
    server.sin_port = 0;
    SHOW(c, ::sendto(fd, &byte, 1, 0, as_sockaddr(&server), sizeof server));
    SHOW(c, ::sendto(fd, &byte, 1, 0, as_sockaddr(&server), 4));
    pollfd entry{fd, POLLOUT, 0};
    SHOW(c, ::poll(&entry, 1, 0));
    c.line("poll", poll_bits(static_cast<unsigned>(entry.revents)));
    int value = 0;
    socklen_t size = sizeof value;
    SHOW(c, ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &size));
    c.line("SO_TYPE", std::to_string(value));
    SHOW(c, ::getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &value, &size));
    c.line("SO_PROTOCOL", std::to_string(value));
    ::close(fd);
  }
  c.sync();
}

void many_messages(Context& c) {
  mmsghdr messages[4] = {};
  iovec parts[4];
  char texts[4][16] = {"first", "second", "third", "fourth"};
  for (int i = 0; i < 4; ++i) {
    parts[i] = iovec{texts[i], c.server() ? sizeof texts[i] : std::strlen(texts[i])};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  if (c.server()) {
    const int fd = bound_socket(c);
    c.sync();
    c.sync();
    c.line("readable", std::to_string(wait_readable(fd, 3000)));
    const timespec pause{0, 200'000'000};
    ::nanosleep(&pause, nullptr);
    SHOW(c, ::recvmmsg(fd, messages, 4, MSG_WAITFORONE, nullptr));
    c.line("lengths", std::to_string(messages[0].msg_len) + "," + std::to_string(messages[3].msg_len));
    c.sync();
    ::close(fd);
    return;
  }
  c.sync();
  const int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
  sockaddr_in server = c.peer_address();
  SHOW(c, ::connect(fd, as_sockaddr(&server), sizeof server));
  SHOW(c, ::sendmmsg(fd, messages, 4, 0));
  c.sync();
  c.sync();
  ::close(fd);
}

void shared_port(Context& c) {
  // What iperf3's UDP server does: connect the first socket to its peer, bind another to the same port.
  char text[64] = {};
  if (!c.server()) {
    c.sync();
    const int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
    sockaddr_in server = c.peer_address();
    SHOW(c, ::connect(fd, as_sockaddr(&server), sizeof server));
    SHOW(c, ::send(fd, "start", 5, 0));
    SHOW(c, ::recv(fd, text, sizeof text, 0));
    SHOW(c, ::send(fd, "data", 4, 0));
    c.sync();
    ::close(fd);
    return;
  }
  const int on = 1;
  const int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address = Context::any_address(c.port());
  SHOW(c, ::bind(fd, as_sockaddr(&address), sizeof address));
  c.sync();
  sockaddr_in from{};
  socklen_t size = sizeof from;
  SHOW(c, ::recvfrom(fd, text, sizeof text, 0, as_sockaddr(&from), &size));
  SHOW(c, ::connect(fd, as_sockaddr(&from), size));
  const int second = ::socket(AF_INET, SOCK_DGRAM, 0);
  ::setsockopt(second, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  SHOW(c, ::bind(second, as_sockaddr(&address), sizeof address));
  SHOW(c, ::send(fd, "go", 2, 0));
  SHOW(c, ::recv(fd, text, sizeof text, 0));
  c.line("text", std::string(text, 4));
  c.line("second socket", std::to_string(wait_readable(second, 100)));
  c.sync();
  ::close(second);
  ::close(fd);
}

}  // namespace

std::vector<Scenario> udp_scenarios() {
  return {{"datagrams", datagrams},
          {"connected_datagrams", connected_datagrams},
          {"datagram_errors", datagram_errors},
          {"many_messages", many_messages},
          {"shared_port", shared_port}};
}

}  // namespace postern::semantics
