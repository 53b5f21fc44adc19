// A file descriptor with one owner, closed at the end of its life.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <utility>

namespace postern {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~UniqueFd() { reset(); }

  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }
  // A second descriptor of the same open file, closed on exec; not valid if the process has no descriptor left.
  // The copy has a number above fd (a library keeps its own descriptors away from the application's low ones).
  [[nodiscard]] static UniqueFd duplicate_of(int fd) { return UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, fd)); }

 private:
  int fd_ = -1;
};

}  // namespace postern
