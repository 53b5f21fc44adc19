// A descriptor whose last close() takes long: a TCP socket with unsent data, a peer that does not read, and SO_LINGER.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <thread>
#include <utility>
#include <vector>

#include "driver/unique_fd.h"

namespace postern::testing {

class SlowDescriptor {
 public:
  static constexpr int kLingerSeconds = 8;

  SlowDescriptor() {
    const UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int small_bytes = 4096;
    setsockopt(listener.get(), SOL_SOCKET, SO_RCVBUF, &small_bytes, sizeof small_bytes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t address_bytes = sizeof address;
    if (bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        listen(listener.get(), 1) != 0 ||
        getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &address_bytes) != 0) {
      return;
    }
    fd_.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      fd_.reset();
      return;
    }
    peer_.reset(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const std::vector<char> data(1 << 16, 'x');
    while (send(fd_.get(), data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
    }
    const linger slow{1, kLingerSeconds};
    setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &slow, sizeof slow);
  }

  [[nodiscard]] bool valid() const { return fd_.valid() && peer_.valid(); }
  [[nodiscard]] int get() const { return fd_.get(); }
  [[nodiscard]] int take() { return fd_.release(); }
  void drop() { close_copy(fd_.release()); }
  // Gives up the test's copy in a thread: should the code under test have been faster, this copy is the slow one.
  static void close_copy(int fd) {
    std::thread([fd] { ::close(fd); }).detach();
  }
  // The peer goes: a close() that waits returns.
  void let_go() { peer_.reset(); }

 private:
  UniqueFd fd_;
  UniqueFd peer_;
};

}  // namespace postern::testing
