// Frame of the differential socket test. See scenario.h.
#include "tests/preload/semantics/scenario.h"

#include <arpa/inet.h>
#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace postern::semantics {

std::string errno_name(int value) {
  const char* name = ::strerrorname_np(value);
  return name != nullptr ? name : std::to_string(value);
}

std::string poll_bits(unsigned bits) {
  static constexpr struct {
    unsigned bit;
    const char* name;
  } kNames[] = {{POLLIN, "IN"},   {POLLOUT, "OUT"},   {POLLPRI, "PRI"},    {POLLERR, "ERR"},
                {POLLHUP, "HUP"}, {POLLNVAL, "NVAL"}, {POLLRDHUP, "RDHUP"}};
  std::string text;
  for (const auto& entry : kNames) {
    if ((bits & entry.bit) != 0) {
      text.append(text.empty() ? "" : "|").append(entry.name);
    }
  }
  return text.empty() ? "0" : text;
}

uint64_t now_ms() {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1000000;
}

void write_all(int fd, const void* data, size_t size) {
  const auto* bytes = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t written = ::write(fd, bytes, size);
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written <= 0) {
      return;
    }
    bytes += written;
    size -= static_cast<size_t>(written);
  }
}

size_t read_fully(int fd, void* data, size_t size) {
  auto* bytes = static_cast<char*>(data);
  size_t done = 0;
  while (done < size) {
    const ssize_t got = ::read(fd, bytes + done, size - done);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      break;
    }
    done += static_cast<size_t>(got);
  }
  return done;
}

int wait_readable(int fd, int timeout_ms) {
  pollfd entry{fd, POLLIN, 0};
  return ::poll(&entry, 1, timeout_ms);
}

void Context::line(const std::string& what, const std::string& value) const {
  std::printf("%s %s: %s = %s\n", server() ? "server" : "client", scenario_, what.c_str(), value.c_str());
  std::fflush(stdout);
}

int64_t Context::result(const char* what, int64_t value) const {
  const int saved_errno = errno;
  std::string text = std::to_string(value < 0 ? -1 : value);
  if (value < 0) {
    text.append(" ").append(errno_name(saved_errno));
  }
  line(what, text);
  errno = saved_errno;
  return value;
}

sockaddr_in Context::any_address(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  return address;
}

sockaddr_in Context::peer_address(unsigned offset) const {
  sockaddr_in address = any_address(port(offset));
  address.sin_addr = peer_;
  return address;
}

int Context::listener(unsigned offset, int backlog) const {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const sockaddr_in address = any_address(port(offset));
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || ::listen(fd, backlog) != 0) {
    std::fprintf(stderr, "socket_semantics: cannot listen on port %u: %s\n", port(offset), std::strerror(errno));
    std::exit(1);
  }
  return fd;
}

int Context::stream(unsigned offset) {
  if (server()) {
    const int listening = listener(offset);
    sync();
    const int fd = ::accept(listening, nullptr, nullptr);
    ::close(listening);
    sync();
    return fd;
  }
  sync();
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in address = peer_address(offset);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    line("connect", "-1 " + errno_name(errno));
  }
  sync();
  return fd;
}

void Context::begin(const char* scenario, uint16_t index) {
  scenario_ = scenario;
  index_ = index;
  sync();
}

void Context::open_control() {
  sockaddr_in address = any_address(base_port_);
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  if (server()) {
    const int on = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || ::listen(fd, 1) != 0) {
      std::fprintf(stderr, "socket_semantics: cannot listen on port %u: %s\n", base_port_, std::strerror(errno));
      std::exit(1);
    }
    control_ = wait_readable(fd, 30000) == 1 ? ::accept(fd, nullptr, nullptr) : -1;
    ::close(fd);
  } else {
    address.sin_addr = peer_;
    control_ = fd;
    int attempts = 100;
    while (::connect(control_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 && --attempts > 0) {
      ::close(control_);
      const timespec pause{0, 100'000'000};
      ::nanosleep(&pause, nullptr);
      control_ = ::socket(AF_INET, SOCK_STREAM, 0);
    }
    if (attempts == 0) {
      control_ = -1;
    }
  }
  if (control_ < 0) {
    std::fprintf(stderr, "socket_semantics: the other role did not come; start server first, then client\n");
    std::exit(1);
  }
}

void Context::sync() {
  char byte = 's';
  write_all(control_, &byte, 1);
  if (wait_readable(control_, 20000) != 1 || read_fully(control_, &byte, 1) != 1) {
    std::fprintf(stderr, "socket_semantics: the other role is gone (in scenario %s)\n", scenario_);
    std::exit(1);
  }
}

}  // namespace postern::semantics
