// Waiting: poll, select, epoll (level, edge, one-shot, nested), mixtures with pipes, signals, threads.
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/time.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <thread>

#include "tests/preload/semantics/scenario.h"

namespace postern::semantics {
namespace {

void pause_ms(long milliseconds) {
  const timespec pause{milliseconds / 1000, milliseconds % 1000 * 1'000'000};
  ::nanosleep(&pause, nullptr);
}

// The server's half: writes each text when the client is ready for it.
void write_on_demand(Context& c, int fd, std::initializer_list<const char*> texts) {
  for (const char* text : texts) {
    c.sync();
    write_all(fd, text, std::strlen(text));
  }
  c.sync();
  ::close(fd);
}

void polling(Context& c) {
  const int fd = c.stream();
  if (c.server()) {
    write_on_demand(c, fd, {"a", "b"});
    return;
  }
  int pipe_fds[2];
  SHOW(c, ::pipe(pipe_fds));
  pollfd entries[4] = {{fd, POLLIN, 0}, {pipe_fds[0], POLLIN, 0}, {-1, POLLIN, 0}, {fd, POLLOUT, 0}};
  SHOW(c, ::poll(entries, 3, 0));
  const uint64_t start = now_ms();
  SHOW(c, ::poll(entries, 3, 120));
  c.fact("waited", now_ms() - start >= 110);
  SHOW(c, ::poll(entries, 4, 1000));
  c.line("writable", poll_bits(static_cast<unsigned>(entries[3].revents)));
  c.sync();
  SHOW(c, ::poll(entries, 3, 3000));
  c.line("socket", poll_bits(static_cast<unsigned>(entries[0].revents)));
  SHOW_AS(c, "write", ::write(pipe_fds[1], "p", 1));
  SHOW(c, ::poll(entries, 3, 3000));
  c.line("both", poll_bits(static_cast<unsigned>(entries[0].revents)) + "," +
                     poll_bits(static_cast<unsigned>(entries[1].revents)));
  char byte = 0;
  SHOW(c, ::read(fd, &byte, 1));
  SHOW(c, ::poll(entries, 1, 0));
  entries[2].fd = 987;
  SHOW(c, ::poll(entries, 3, 0));
  c.line("not open", poll_bits(static_cast<unsigned>(entries[2].revents)));
  c.sync();
  SHOW(c, ::poll(entries, 1, 3000));
  c.sync();
  SHOW(c, ::read(fd, &byte, 1));
  entries[0].events = POLLIN | POLLRDHUP;
  pause_ms(100);
  SHOW(c, ::poll(entries, 1, 3000));
  c.line("end", poll_bits(static_cast<unsigned>(entries[0].revents)));
  ::close(pipe_fds[0]);
  ::close(pipe_fds[1]);
  ::close(fd);
}

void selecting(Context& c) {
  const int fd = c.stream();
  if (c.server()) {
    write_on_demand(c, fd, {"a"});
    return;
  }
  fd_set readable;
  fd_set writable;
  FD_ZERO(&readable);
  FD_ZERO(&writable);
  FD_SET(fd, &readable);
  timeval timeout{0, 120'000};
  SHOW(c, ::select(fd + 1, &readable, nullptr, nullptr, &timeout));
  c.line("left", std::to_string(timeout.tv_sec) + "," + std::to_string(timeout.tv_usec));
  c.fact("set is empty", !FD_ISSET(fd, &readable));
  FD_SET(fd, &readable);
  FD_SET(fd, &writable);
  timeout = {2, 0};
  SHOW(c, ::select(fd + 1, &readable, &writable, nullptr, &timeout));
  c.fact("readable", FD_ISSET(fd, &readable));
  c.fact("writable", FD_ISSET(fd, &writable));
  c.fact("time is left", timeout.tv_sec == 1);
  c.sync();
  FD_ZERO(&readable);
  FD_SET(fd, &readable);
  SHOW(c, ::select(fd + 1, &readable, nullptr, nullptr, nullptr));
  c.fact("readable", FD_ISSET(fd, &readable));
  FD_SET(60, &readable);
  timeout = {0, 0};
  SHOW(c, ::select(61, &readable, nullptr, nullptr, &timeout));
  SHOW(c, ::select(-1, &readable, nullptr, nullptr, &timeout));
  c.sync();
  ::close(fd);
}

void show_events(Context& c, int epoll_fd, int timeout_ms) {
  epoll_event events[8];
  const int count = ::epoll_wait(epoll_fd, events, 8, timeout_ms);
  std::string text = std::to_string(count);
  for (int i = 0; i < count; ++i) {
    text.append(" ").append(std::to_string(events[i].data.u64)).append(":").append(poll_bits(events[i].events));
  }
  c.line("epoll_wait", text);
}

void epoll_level(Context& c) {
  const int fd = c.stream();
  if (c.server()) {
    write_on_demand(c, fd, {"ab"});
    return;
  }
  const int epoll_fd = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = 7;
  SHOW(c, ::epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event));
  SHOW(c, ::epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event));
  show_events(c, epoll_fd, 0);
  event.events = EPOLLIN | EPOLLOUT;
  SHOW(c, ::epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &event));
  show_events(c, epoll_fd, 1000);
  event.events = EPOLLIN;
  SHOW(c, ::epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &event));
  c.sync();
  show_events(c, epoll_fd, 3000);
  show_events(c, epoll_fd, 3000);
  char text[4];
  SHOW(c, ::read(fd, text, sizeof text));
  show_events(c, epoll_fd, 50);
  epoll_event none{};
  SHOW(c, ::epoll_wait(epoll_fd, &none, 0, 0));
  SHOW(c, ::epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, nullptr));
  SHOW(c, ::epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, nullptr));
  SHOW(c, ::epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &event));
  SHOW(c, ::epoll_ctl(epoll_fd, EPOLL_CTL_ADD, epoll_fd, &event));
  SHOW(c, ::epoll_ctl(fd, EPOLL_CTL_ADD, epoll_fd, &event));
  SHOW(c, ::epoll_ctl(epoll_fd, EPOLL_CTL_ADD, 987, &event));
  c.sync();
  ::close(epoll_fd);
  ::close(fd);
}

void epoll_edge_and_one_shot(Context& c) {
  const int fd = c.stream();
  if (c.server()) {
    write_on_demand(c, fd, {"ab", "cd", "ef", "gh"});
    return;
  }
  const int epoll_fd = ::epoll_create1(0);
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.u64 = 1;
  SHOW(c, ::epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event));
  show_events(c, epoll_fd, 50);
  c.sync();
  show_events(c, epoll_fd, 3000);
  show_events(c, epoll_fd, 50);
  c.sync();
  show_events(c, epoll_fd, 3000);
  show_events(c, epoll_fd, 50);
  char text[8];
  SHOW(c, ::read(fd, text, sizeof text));
  event.events = EPOLLIN | EPOLLONESHOT;
  SHOW(c, ::epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &event));
  c.sync();
  show_events(c, epoll_fd, 3000);
  show_events(c, epoll_fd, 50);
  SHOW(c, ::epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &event));
  show_events(c, epoll_fd, 1000);
  c.sync();
  show_events(c, epoll_fd, 50);
  event.events = EPOLLIN | EPOLLET;
  SHOW(c, ::epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &event));
  show_events(c, epoll_fd, 1000);
  c.sync();
  ::close(epoll_fd);
  ::close(fd);
}

void epoll_mixture(Context& c) {
  const int fd = c.stream();
  if (c.server()) {
    write_on_demand(c, fd, {"ab"});
    return;
  }
  int pipe_fds[2];
  SHOW(c, ::pipe(pipe_fds));
  const int inner = ::epoll_create1(0);
  const int outer = ::epoll_create1(0);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = 1;
  SHOW(c, ::epoll_ctl(inner, EPOLL_CTL_ADD, fd, &event));
  event.data.u64 = 2;
  SHOW(c, ::epoll_ctl(inner, EPOLL_CTL_ADD, pipe_fds[0], &event));
  event.data.u64 = 3;
  SHOW(c, ::epoll_ctl(outer, EPOLL_CTL_ADD, inner, &event));
  show_events(c, inner, 0);
  show_events(c, outer, 50);
  SHOW_AS(c, "write", ::write(pipe_fds[1], "p", 1));
  show_events(c, inner, 1000);
  char text[8];
  SHOW(c, ::read(pipe_fds[0], text, 1));
  c.sync();
  show_events(c, outer, 3000);
  show_events(c, inner, 3000);
  pollfd entry{inner, POLLIN, 0};
  SHOW(c, ::poll(&entry, 1, 1000));
  SHOW(c, ::read(fd, text, sizeof text));
  SHOW(c, ::poll(&entry, 1, 0));
  const int copy = ::dup(fd);
  c.sync();
  show_events(c, inner, 3000);  // the end of the stream
  ::close(fd);
  show_events(c, inner, 1000);  // still a member: the copy is open
  ::close(copy);
  show_events(c, inner, 50);
  ::close(inner);
  ::close(outer);
  ::close(pipe_fds[0]);
  ::close(pipe_fds[1]);
}

void epoll_before_connect(Context& c) {
  if (c.server()) {
    const int listening = c.listener();
    c.sync();
    const int fd = ::accept(listening, nullptr, nullptr);
    write_all(fd, "x", 1);
    c.sync();
    ::close(fd);
    ::close(listening);
    return;
  }
  c.sync();
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  const int epoll_fd = ::epoll_create1(0);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = 5;
  SHOW(c, ::epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event));
  sockaddr_in address = c.peer_address();
  SHOW(c, ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address));
  show_events(c, epoll_fd, 3000);
  char byte = 0;
  SHOW(c, ::read(fd, &byte, 1));
  c.sync();
  ::close(epoll_fd);
  ::close(fd);
}

volatile sig_atomic_t alarms = 0;

void arm_alarm(long milliseconds, int flags) {
  struct sigaction action {};
  action.sa_handler = [](int) { alarms = alarms + 1; };
  action.sa_flags = flags;
  ::sigaction(SIGALRM, &action, nullptr);
  const itimerval timer{{0, 0}, {0, milliseconds * 1000}};
  ::setitimer(ITIMER_REAL, &timer, nullptr);
}

void signals(Context& c) {
  const int fd = c.stream();
  if (c.server()) {
    c.sync();
    pause_ms(400);
    write_all(fd, "late", 4);
    c.sync();
    ::close(fd);
    return;
  }
  char text[8];
  alarms = 0;
  arm_alarm(100, 0);
  SHOW(c, ::recv(fd, text, sizeof text, 0));
  c.line("alarms", std::to_string(alarms));
  pollfd entry{fd, POLLIN, 0};
  arm_alarm(100, 0);
  SHOW(c, ::poll(&entry, 1, 3000));
  arm_alarm(100, SA_RESTART);
  SHOW(c, ::poll(&entry, 1, 3000));
  const timeval limit{3, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  arm_alarm(100, SA_RESTART);
  SHOW(c, ::recv(fd, text, sizeof text, 0));
  const timeval none{0, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof none);
  c.sync();
  arm_alarm(100, SA_RESTART);
  SHOW(c, ::recv(fd, text, sizeof text, 0));
  c.line("alarms", std::to_string(alarms));
  std::signal(SIGALRM, SIG_DFL);
  c.sync();
  ::close(fd);
}

void threads(Context& c) {
  const int fd = c.stream();
  constexpr int kRounds = 200;
  if (c.server()) {  // echo
    char text[64];
    ssize_t got = 0;
    while ((got = ::read(fd, text, sizeof text)) > 0) {
      write_all(fd, text, static_cast<size_t>(got));
    }
    c.line("end", std::to_string(got));
  } else {
    std::string seen;
    std::thread reader([&] {
      char text[64];
      ssize_t got = 0;
      while ((got = ::read(fd, text, sizeof text)) > 0) {
        seen.append(text, static_cast<size_t>(got));
      }
    });
    std::string sent;
    for (int i = 0; i < kRounds; ++i) {
      const std::string text = std::to_string(i).append(",");
      write_all(fd, text.data(), text.size());
      sent += text;
    }
    ::shutdown(fd, SHUT_WR);
    c.sync();
    reader.join();
    c.fact("echo is complete", seen == sent);
  }
  if (c.server()) {
    ::shutdown(fd, SHUT_WR);
    c.sync();
  }
  c.sync();
  ::close(fd);
}

}  // namespace

std::vector<Scenario> waiting_scenarios() {
  return {{"polling", polling},
          {"selecting", selecting},
          {"epoll_level", epoll_level},
          {"epoll_edge_and_one_shot", epoll_edge_and_one_shot},
          {"epoll_mixture", epoll_mixture},
          {"epoll_before_connect", epoll_before_connect},
          {"signals", signals},
          {"threads", threads}};
}

}  // namespace postern::semantics
