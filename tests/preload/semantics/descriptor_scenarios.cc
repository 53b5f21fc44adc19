// Sockets as descriptors: duplicates, fork, exec, passing over Unix sockets, streams, sendfile and splice, IPv6 names.
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "tests/preload/semantics/scenario.h"

namespace postern::semantics {
namespace {

sockaddr* as_sockaddr(sockaddr_in* address) { return reinterpret_cast<sockaddr*>(address); }

// The server's half of most scenarios here: shows everything that comes until the end of the stream.
void show_all_input(Context& c, int fd) {
  std::string text;
  char piece[256];
  ssize_t got = 0;
  while ((got = ::read(fd, piece, sizeof piece)) > 0) {
    text.append(piece, static_cast<size_t>(got));
  }
  c.line("input", text);
  c.line("end", std::to_string(got));
}

void wait_child(Context& c, pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  c.line("child", WIFEXITED(status) ? "exit " + std::to_string(WEXITSTATUS(status)) : "signal");
}

void duplicates(Context& c) {
  const int fd = c.stream();
  if (c.server()) {
    show_all_input(c, fd);
  } else {
    const int copy = ::dup(fd);
    const int high = ::fcntl(fd, F_DUPFD_CLOEXEC, 100);
    c.fact("F_DUPFD is high enough", high >= 100);
    c.fact("F_DUPFD_CLOEXEC", (::fcntl(high, F_GETFD) & FD_CLOEXEC) != 0);
    SHOW_AS(c, "dup2", ::dup2(fd, 90) == 90 ? 0 : -1);
    ::fcntl(copy, F_SETFL, O_NONBLOCK);
    c.fact("O_NONBLOCK is shared", (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    ::fcntl(copy, F_SETFL, 0);
    SHOW(c, ::close(fd));
    SHOW(c, ::write(copy, "one ", 4));
    SHOW(c, ::write(high, "two ", 4));
    SHOW(c, ::write(90, "three", 5));
    SHOW(c, ::close(copy));
    SHOW(c, ::close(high));
    SHOW(c, ::close(90));
    SHOW(c, ::close(90));
  }
  c.sync();
  if (c.server()) {
    ::close(fd);
  }
}

void over_fork(Context& c) {
  const int fd = c.stream();
  if (c.server()) {
    show_all_input(c, fd);
  } else {
    std::fflush(stdout);
    const pid_t child = ::fork();
    if (child == 0) {
      const bool written = ::write(fd, "child ", 6) == 6;
      ::_exit(written ? 0 : 1);
    }
    wait_child(c, child);
    SHOW(c, ::write(fd, "parent", 6));
    ::shutdown(fd, SHUT_WR);
  }
  c.sync();
  ::close(fd);
}

void last_close_in_child(Context& c) {
  const int fd = c.stream();
  if (c.server()) {
    show_all_input(c, fd);
    c.sync();
    ::close(fd);
    return;
  }
  std::fflush(stdout);
  const pid_t child = ::fork();
  if (child == 0) {
    const timespec pause{0, 200'000'000};
    ::nanosleep(&pause, nullptr);  // the parent has closed its descriptor by now
    const bool written = ::write(fd, "still open", 10) == 10;
    ::_exit(written ? 0 : 1);
  }
  SHOW(c, ::close(fd));
  wait_child(c, child);
  c.sync();
}

void over_exec(Context& c) {
  const int fd = c.stream();
  if (c.server()) {
    SHOW_AS(c, "write", ::write(fd, "question", 8));
    show_all_input(c, fd);
  } else {
    std::fflush(stdout);
    const pid_t child = ::fork();
    if (child == 0) {
      const std::string number = std::to_string(fd);
      ::execl("/proc/self/exe", "socket_semantics", "exec-child", number.c_str(), nullptr);
      ::_exit(99);
    }
    ::close(fd);
    wait_child(c, child);
  }
  c.sync();
  if (c.server()) {
    ::close(fd);
  }
}

void send_descriptor(int channel, int fd) {
  char byte = 'd';
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* item = CMSG_FIRSTHDR(&message);
  item->cmsg_level = SOL_SOCKET;
  item->cmsg_type = SCM_RIGHTS;
  item->cmsg_len = CMSG_LEN(sizeof fd);
  std::memcpy(CMSG_DATA(item), &fd, sizeof fd);
  static_cast<void>(::sendmsg(channel, &message, 0));
}

int receive_descriptor(int channel) {
  char byte = 0;
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  int fd = -1;
  if (::recvmsg(channel, &message, 0) == 1 && CMSG_FIRSTHDR(&message) != nullptr) {
    std::memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
  }
  return fd;
}

void over_unix_socket(Context& c) {
  int channel[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, channel) != 0) {
    c.line("socketpair", errno_name(errno));
    return;
  }
  std::fflush(stdout);
  // The child is there before the connection: it can have it only through the channel.
  const pid_t child = c.server() ? -1 : ::fork();
  if (child == 0) {
    ::close(channel[0]);
    const int fd = receive_descriptor(channel[1]);
    char text[8] = {};
    const bool good = ::write(fd, "passed", 6) == 6 && ::read(fd, text, 2) == 2 && std::memcmp(text, "ok", 2) == 0;
    ::_exit(good ? 0 : 1);
  }
  const int fd = c.stream();
  if (c.server()) {
    char text[8] = {};
    SHOW_AS(c, "read", ::read(fd, text, 6));
    c.line("text", text);
    SHOW_AS(c, "write", ::write(fd, "ok", 2));
    show_all_input(c, fd);
  } else {
    send_descriptor(channel[0], fd);
    ::close(fd);
    wait_child(c, child);
  }
  c.sync();
  if (c.server()) {
    ::close(fd);
  }
  ::close(channel[0]);
  ::close(channel[1]);
}

void as_stream(Context& c) {
  const int fd = c.stream();
  if (c.server()) {
    FILE* stream = ::fdopen(fd, "r");
    char text[64] = {};
    c.fact("stream", stream != nullptr);
    c.fact("fileno", ::fileno(stream) == fd);
    c.line("line",
           std::fgets(text, sizeof text, stream) != nullptr ? std::string(text, std::strcspn(text, "\n")) : "?");
    c.line("line",
           std::fgets(text, sizeof text, stream) != nullptr ? std::string(text, std::strcspn(text, "\n")) : "?");
    c.fact("end of file", std::fgetc(stream) == EOF && std::feof(stream) != 0);
    c.line("fclose", std::to_string(std::fclose(stream)));
    c.line("descriptor", ::fcntl(fd, F_GETFD) < 0 ? errno_name(errno) : "open");
  } else {
    FILE* stream = ::fdopen(fd, "w");
    std::fprintf(stream, "first %d\nsecond line\n", 1);
    c.line("fclose", std::to_string(std::fclose(stream)));
  }
  c.sync();
}

void as_standard_output(Context& c) {
  const int fd = c.stream();
  if (c.server()) {
    show_all_input(c, fd);
  } else {
    std::fflush(stdout);
    const int saved = ::dup(STDOUT_FILENO);
    ::dup2(fd, STDOUT_FILENO);
    std::printf("to standard output %d", 1);
    std::fflush(stdout);
    ::dup2(saved, STDOUT_FILENO);
    ::close(saved);
    c.line("standard output", "is back");
    ::shutdown(fd, SHUT_WR);
  }
  c.sync();
  ::close(fd);
}

int temporary_file(const char* text) {
  FILE* file = std::tmpfile();
  const int fd = ::dup(::fileno(file));
  std::fclose(file);
  static_cast<void>(::write(fd, text, std::strlen(text)));
  ::lseek(fd, 0, SEEK_SET);
  return fd;
}

void copying_calls(Context& c) {
  const int fd = c.stream();
  if (c.server()) {
    char text[64] = {};
    c.line("read", std::to_string(read_fully(fd, text, 16)));
    c.line("text", std::string(text, 16));
    SHOW_AS(c, "write", ::write(fd, "through a pipe", 14));
    show_all_input(c, fd);
  } else {
    const int file = temporary_file("0123456789abcdef");
    off_t offset = 4;
    SHOW(c, ::sendfile(fd, file, &offset, 6));
    c.line("offset", std::to_string(offset));
    SHOW(c, ::sendfile(fd, file, nullptr, 10));
    c.line("position", std::to_string(::lseek(file, 0, SEEK_CUR)));
    ::lseek(file, 0, SEEK_END);
    SHOW(c, ::sendfile(fd, file, nullptr, 10));
    int pipe_fds[2];
    SHOW(c, ::pipe(pipe_fds));
    c.line("readable", std::to_string(wait_readable(fd, 3000)));
    SHOW(c, ::splice(fd, nullptr, pipe_fds[1], nullptr, 64, 0));
    SHOW(c, ::splice(pipe_fds[0], nullptr, fd, nullptr, 7, 0));
    char text[32] = {};
    SHOW(c, ::read(pipe_fds[0], text, sizeof text));
    c.line("text", text);
    ::close(pipe_fds[0]);
    ::close(pipe_fds[1]);
    ::close(file);
    ::shutdown(fd, SHUT_WR);
  }
  c.sync();
  ::close(fd);
}

void ipv6_wildcard(Context& c) {
  if (!c.server()) {
    c.sync();
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = c.peer_address();
    SHOW(c, ::connect(fd, as_sockaddr(&address), sizeof address));
    SHOW(c, ::write(fd, "six", 3));
    c.sync();
    ::close(fd);
    return;
  }
  const int listening = ::socket(AF_INET6, SOCK_STREAM, 0);
  const int on = 1;
  const int off = 0;
  SHOW(c, ::setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
  SHOW(c, ::setsockopt(listening, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off));
  sockaddr_in6 any{};
  any.sin6_family = AF_INET6;
  any.sin6_port = htons(c.port());
  SHOW(c, ::bind(listening, reinterpret_cast<sockaddr*>(&any), sizeof any));
  SHOW(c, ::listen(listening, 4));
  c.sync();
  sockaddr_in6 peer{};
  socklen_t size = sizeof peer;
  const int fd = ::accept(listening, reinterpret_cast<sockaddr*>(&peer), &size);
  c.fact("accepted", fd >= 0);
  c.line("peer family and size", std::to_string(peer.sin6_family) + "," + std::to_string(size));
  c.fact("mapped", IN6_IS_ADDR_V4MAPPED(&peer.sin6_addr));
  char text[8] = {};
  SHOW(c, ::read(fd, text, 3));
  int domain = 0;
  size = sizeof domain;
  SHOW(c, ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size));
  c.line("SO_DOMAIN", std::to_string(domain));
  c.sync();
  ::close(fd);
  ::close(listening);
}

void rebinding(Context& c) {
  // A server that is started again at once: listen, serve, close, listen on the same port.
  if (c.server()) {
    for (int round = 0; round < 3; ++round) {
      const int listening = c.listener();
      c.sync();
      const int fd = ::accept(listening, nullptr, nullptr);
      SHOW_AS(c, "write", ::write(fd, "round", 5));
      ::close(fd);
      ::close(listening);
      c.sync();
    }
    return;
  }
  for (int round = 0; round < 3; ++round) {
    c.sync();
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = c.peer_address();
    SHOW(c, ::connect(fd, as_sockaddr(&address), sizeof address));
    char text[8] = {};
    c.line("read", std::to_string(read_fully(fd, text, sizeof text)));
    ::close(fd);
    c.sync();
  }
}

}  // namespace

int run_as_exec_child(int fd) {
  char text[16] = {};
  if (read_fully(fd, text, 8) != 8 || std::memcmp(text, "question", 8) != 0) {
    return 1;
  }
  return ::write(fd, "answer after exec", 17) == 17 ? 0 : 2;
}

std::vector<Scenario> descriptor_scenarios() {
  return {{"duplicates", duplicates},
          {"over_fork", over_fork},
          {"last_close_in_child", last_close_in_child},
          {"over_exec", over_exec},
          {"over_unix_socket", over_unix_socket},
          {"as_stream", as_stream},
          {"as_standard_output", as_standard_output},
          {"copying_calls", copying_calls},
          {"ipv6_wildcard", ipv6_wildcard},
          {"rebinding", rebinding}};
}

}  // namespace postern::semantics
