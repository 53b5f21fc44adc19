// What a hostile or unlucky program does to the library: threads cancelled inside calls, numbers closed under other
// threads, no descriptors left, closefrom, fork with several stacks. hard_use_test.sh runs each case on a simulated
// host against `hard_use sink` on the other one.
//   hard_use sink PORT                accepts, reads and drops everything; never ends by itself. A connection that
//                                     begins with "call N" makes it connect to port N of the peer
//   hard_use CASE SINK_ADDRESS PORT   exit status 0: as on Linux; 1: not, with a line that says what
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <thread>
#include <vector>

namespace {

sockaddr_in sink_address{};

[[noreturn]] void fail(const char* what) {
  std::printf("%s: %s\n", what, std::strerror(errno));
  std::fflush(stdout);
  ::_exit(1);
}

void require(bool condition, const char* what) {
  if (!condition) {
    fail(what);
  }
}

void pause_us(long microseconds) {
  const timespec pause{microseconds / 1'000'000, microseconds % 1'000'000 * 1000};
  ::nanosleep(&pause, nullptr);
}

int connect_to_sink() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  require(fd >= 0, "socket");
  require(::connect(fd, reinterpret_cast<sockaddr*>(&sink_address), sizeof sink_address) == 0, "connect");
  return fd;
}

int listen_on(uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_port = htons(port);
  require(::bind(fd, reinterpret_cast<sockaddr*>(&any), sizeof any) == 0, "bind");
  require(::listen(fd, 64) == 0, "listen");
  return fd;
}

int call_back(int fd, uint16_t port) {
  sockaddr_in peer{};
  socklen_t length = sizeof peer;
  ::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length);
  peer.sin_port = htons(port);
  const int call = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  require(::connect(call, reinterpret_cast<sockaddr*>(&peer), length) == 0, "sink: connect");
  require(::send(call, "hello", 5, 0) == 5, "sink: send");
  return call;
}

// Makes the sink connect to a port of this host and say hello.
void ask_for_call(uint16_t port) {
  const int fd = connect_to_sink();
  char text[16];
  const int size = std::snprintf(text, sizeof text, "call %u", unsigned{port});
  require(::send(fd, text, static_cast<size_t>(size), 0) == size, "send");
  ::close(fd);
}

int wait_readable(int fd, int timeout_ms) {
  pollfd entry{fd, POLLIN, 0};
  return ::poll(&entry, 1, timeout_ms);
}

void expect_hello(int fd) {
  char text[5];
  require(::recv(fd, text, sizeof text, MSG_WAITALL) == 5 && std::memcmp(text, "hello", 5) == 0, "hello");
}

int sink(uint16_t port) {
  std::vector<pollfd> fds{{listen_on(port), POLLIN, 0}};
  static char buffer[1 << 16];
  for (;;) {
    ::poll(fds.data(), fds.size(), -1);
    for (size_t i = fds.size(); i-- > 1;) {
      const ssize_t got = fds[i].revents != 0 ? ::recv(fds[i].fd, buffer, sizeof buffer - 1, MSG_DONTWAIT) : 1;
      buffer[got > 0 && fds[i].revents != 0 ? got : 0] = 0;
      if (std::strncmp(buffer, "call ", 5) == 0) {
        fds.push_back(pollfd{call_back(fds[i].fd, static_cast<uint16_t>(std::atoi(buffer + 5))), POLLIN, 0});
      }
      if (got <= 0) {
        ::close(fds[i].fd);
        fds.erase(fds.begin() + static_cast<std::ptrdiff_t>(i));
      }
    }
    if ((fds[0].revents & POLLIN) != 0) {
      if (const int fd = ::accept4(fds[0].fd, nullptr, nullptr, SOCK_CLOEXEC); fd >= 0) {
        fds.push_back(pollfd{fd, POLLIN, 0});
      }
    }
  }
}

// --- cases -----------------------------------------------------------------------------------------------------------

// Threads that send and receive without pause are cancelled, time after time; the stack must go on working.
void cancelled_threads() {
  const int other = connect_to_sink();
  for (int round = 0; round < 40; ++round) {
    int fd = connect_to_sink();
    pthread_t threads[2];
    ::pthread_create(
        &threads[0], nullptr,
        [](void* argument) -> void* {
          char data[200] = {};
          for (;;) {
            ::send(*static_cast<int*>(argument), data, sizeof data, MSG_NOSIGNAL);
          }
        },
        &fd);
    ::pthread_create(
        &threads[1], nullptr,
        [](void* argument) -> void* {
          char data[8];
          for (;;) {
            ::recv(*static_cast<int*>(argument), data, sizeof data, 0);
          }
        },
        &fd);
    pause_us(2000 + round * 100);
    for (const pthread_t thread : threads) {
      ::pthread_cancel(thread);
      ::pthread_join(thread, nullptr);
    }
    ::close(fd);
    require(::send(other, "x", 1, 0) == 1, "send after a thread was cancelled");
  }
}

std::atomic<int> shared_number{-1};

// Threads look at a socket while it is closed; the number then belongs to a file, which must be a file.
void close_race() {
  std::atomic<bool> over{false};
  std::vector<std::thread> lookers;
  for (int i = 0; i < 2; ++i) {
    lookers.emplace_back([&over] {
      char data[8];
      while (!over.load()) {
        const int fd = shared_number.load();
        if (fd >= 0) {
          ::recv(fd, data, sizeof data, MSG_DONTWAIT | MSG_PEEK);
        }
      }
    });
  }
  const char* what = nullptr;
  for (int round = 0; round < 300 && what == nullptr; ++round) {
    const int fd = connect_to_sink();
    shared_number.store(fd);
    pause_us(300);
    ::close(fd);
    const int file = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    shared_number.store(-1);
    pause_us(100);
    if (file == fd && ::write(file, "abc", 3) != 3) {
      what = "write to a file whose number was a socket before";
    }
    ::close(file);
  }
  over.store(true);
  for (std::thread& looker : lookers) {
    looker.join();
  }
  require(what == nullptr, what);
}

// The application's numbers are its own: the library's descriptors are not among the low ones.
void low_numbers() {
  std::vector<int> unused;
  for (int fd = 3; fd < 64; ++fd) {
    if (::fcntl(fd, F_GETFD) < 0) {
      unused.push_back(fd);
    }
  }
  const int first = connect_to_sink();
  for (const int fd : unused) {
    if (fd == first) {
      continue;
    }
    errno = 0;
    require(::fcntl(fd, F_GETFD) < 0 && errno == EBADF, "a descriptor that the program did not open");
    require(::dup2(first, fd) == fd, "dup2 to a number that the program does not use");
  }
  require(::send(63, "x", 1, 0) == 1, "send on a duplicate");
}

// Without a free number accept says EMFILE and leaves the connection where it is; one free number is enough.
void no_descriptors() {
  const int listener = listen_on(7100);
  ask_for_call(7100);
  require(wait_readable(listener, 5000) == 1, "poll on the listener");
  const int undecided = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const rlimit few{64, 64};
  const bool low_limit = ::setrlimit(RLIMIT_NOFILE, &few) == 0;
  require(low_limit, "setrlimit");
  std::vector<int> files;
  for (int fd = 0; (fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) {
    files.push_back(fd);
  }
  require(errno == EMFILE && !files.empty(), "open until EMFILE");
  errno = 0;
  require(::accept(listener, nullptr, nullptr) == -1 && errno == EMFILE, "accept without a free number");
  require(wait_readable(listener, 0) == 1, "the connection is still there");
  ::close(files.back());
  const int accepted = ::accept(listener, nullptr, nullptr);
  require(accepted >= 0, "accept with one free number");
  expect_hello(accepted);
  ::close(accepted);
  require(::connect(undecided, reinterpret_cast<sockaddr*>(&sink_address), sizeof sink_address) == 0,
          "connect with one free number");
  require(::send(undecided, "x", 1, 0) == 1, "send");
}

// The same at a limit that did not change: the library's spare descriptor is the number that connect needs.
void no_descriptors_to_connect() {
  const rlimit few{200, 200};
  require(::setrlimit(RLIMIT_NOFILE, &few) == 0, "setrlimit");
  ::close(connect_to_sink());
  const int undecided = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  while (::open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0) {
  }
  require(errno == EMFILE, "open until EMFILE");
  require(::connect(undecided, reinterpret_cast<sockaddr*>(&sink_address), sizeof sink_address) == 0,
          "connect without a free number");
  require(::send(undecided, "x", 1, 0) == 1, "send");
}

// A process that has descriptors of two stacks forks; the child needs hostd for both.
void fork_with_two_stacks() {
  int pair[2];
  require(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
  char byte = 0;
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const pid_t owner = ::fork();
  if (owner == 0) {  // has a stack of its own and passes a listener
    const int listener = listen_on(7200);
    cmsghdr* item = CMSG_FIRSTHDR(&message);
    item->cmsg_level = SOL_SOCKET;
    item->cmsg_type = SCM_RIGHTS;
    item->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(item), &listener, sizeof listener);
    require(::sendmsg(pair[1], &message, 0) == 1, "sendmsg");
    ::pause();
  }
  const int own = connect_to_sink();
  require(::recvmsg(pair[0], &message, 0) == 1 && CMSG_FIRSTHDR(&message) != nullptr, "recvmsg");
  int listener = -1;
  std::memcpy(&listener, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof listener);
  require(wait_readable(listener, 0) == 0, "poll on the listener that was passed");
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(20);
    ask_for_call(7200);
    require(wait_readable(listener, 5000) == 1, "child: poll on the listener that was passed");
    const int accepted = ::accept(listener, nullptr, nullptr);
    require(accepted >= 0, "child: accept on the other process's stack");
    expect_hello(accepted);
    require(::send(own, "x", 1, 0) == 1, "child: send on the own stack");
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ::kill(owner, SIGKILL);
  ::waitpid(owner, nullptr, 0);
  if (status != 0) {
    ::_exit(1);
  }
}

// One thread's epoll set drops closed members while another thread forks: in the child the open member is still there.
void fork_while_epoll_changes() {
  static std::atomic<int> set{-1};
  static const int member = connect_to_sink();
  std::atomic<bool> over{false};
  std::thread changer([&over] {
    while (!over.load()) {
      const int fd = ::epoll_create1(EPOLL_CLOEXEC);
      epoll_event event{};
      event.events = EPOLLIN;
      std::vector<int> nested(40);
      for (int& inner : nested) {
        inner = ::epoll_create1(EPOLL_CLOEXEC);
        ::epoll_ctl(fd, EPOLL_CTL_ADD, inner, &event);
      }
      ::epoll_ctl(fd, EPOLL_CTL_ADD, member, &event);
      for (const int inner : nested) {
        ::close(inner);
      }
      set.store(fd);
      ::epoll_wait(fd, &event, 1, 0);
      set.store(-1);
      pause_us(100);  // whoever has seen the set is done with it
      ::close(fd);
    }
  });
  int status = 0;
  for (int round = 0; round < 200 && status == 0; ++round) {
    while (set.load() < 0) {
    }
    const pid_t child = ::fork();
    if (child == 0) {
      epoll_event event{};
      event.events = EPOLLIN;
      const int now = set.load();
      ::alarm(5);
      ::_exit(now >= 0 && ::epoll_ctl(now, EPOLL_CTL_MOD, member, &event) != 0 ? 1 : 0);
    }
    ::waitpid(child, &status, 0);
  }
  over.store(true);
  changer.join();
  errno = 0;
  require(status == 0, "the member is missing in the child, or the child hung");
}

// closefrom leaves the library what it needs, however many threads wait in it.
void closefrom_with_many_waiters() {
  const auto open_numbers = [] {
    int count = 0;
    for (int number = 3; number < 1 << 20; ++number) {
      count += ::fcntl(number, F_GETFD) >= 0 ? 1 : 0;
    }
    return count;
  };
  const int inherited = open_numbers();
  const int fd = connect_to_sink();
  require(::dup2(fd, 0) == 0, "dup2");
  for (int i = 0; i < 300; ++i) {
    std::thread([] {
      char byte;
      ::recv(0, &byte, 1, 0);
    }).detach();
  }
  pause_us(300'000);
  const int before = open_numbers();
  ::closefrom(3);
  require(before >= 300, "three hundred waiters");
  require(open_numbers() == before - inherited - 1, "closefrom closed descriptors of the library");
  require(::send(0, "x", 1, 0) == 1, "send after closefrom");
  ::_exit(0);
}

struct Case {
  const char* name;
  void (*run)();
};

constexpr Case kCases[] = {
    {"cancelled_threads", cancelled_threads},
    {"close_race", close_race},
    {"closefrom_with_many_waiters", closefrom_with_many_waiters},
    {"fork_while_epoll_changes", fork_while_epoll_changes},
    {"fork_with_two_stacks", fork_with_two_stacks},
    {"low_numbers", low_numbers},
    {"no_descriptors", no_descriptors},
    {"no_descriptors_to_connect", no_descriptors_to_connect},
};

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::strcmp(argv[1], "sink") == 0) {
    return sink(static_cast<uint16_t>(std::atoi(argv[2])));
  }
  if (argc == 2 && std::strcmp(argv[1], "list") == 0) {
    for (const Case& item : kCases) {
      std::puts(item.name);
    }
    return 0;
  }
  for (const Case& item : kCases) {
    if (argc == 4 && std::strcmp(argv[1], item.name) == 0 &&
        ::inet_pton(AF_INET, argv[2], &sink_address.sin_addr) == 1) {
      sink_address.sin_family = AF_INET;
      sink_address.sin_port = htons(static_cast<uint16_t>(std::atoi(argv[3])));
      ::alarm(50);  // a hang is a failure
      item.run();
      return 0;
    }
  }
  std::fprintf(stderr, "usage: %s sink PORT | list | CASE SINK_ADDRESS PORT\n", argv[0]);
  return 2;
}
