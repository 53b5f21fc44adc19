// A stack helper as a child process of hostd: started with one descriptor, watched by a pidfd, always reaped.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>

#include "driver/result.h"
#include "driver/unique_fd.h"

namespace postern::hostd {

struct HelperSpec {
  std::string path;
  uid_t uid = 0;  // the application's; taken on if hostd may (it runs as root)
  gid_t gid = 0;
};

class HelperProcess {
 public:
  // Starts the program with its control socket as descriptor kHelperControlFd and nothing else but stdio. hostd's end
  // of the socket is in control(). The child dies with hostd. An error names the program if it cannot be executed.
  [[nodiscard]] static Result<HelperProcess> start(const HelperSpec& spec);
  HelperProcess() = default;
  HelperProcess(HelperProcess&& other) noexcept
      : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)), control_(std::move(other.control_)) {}
  HelperProcess& operator=(HelperProcess&& other) noexcept {
    std::swap(pid_, other.pid_);
    std::swap(pidfd_, other.pidfd_);
    std::swap(control_, other.control_);
    return *this;
  }
  // Kills and reaps what still runs.
  ~HelperProcess();

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] int pidfd() const { return pidfd_.get(); }  // readable when the process has ended
  [[nodiscard]] UniqueFd take_control() { return std::move(control_); }
  void kill();
  // Reaps if the process has ended. True: it has; how is then what waitpid(2) says.
  bool reap(int& how);

 private:
  pid_t pid_ = -1;
  UniqueFd pidfd_;
  UniqueFd control_;
};

// "exit status 3" or "signal 9".
[[nodiscard]] std::string describe_exit(int how);

}  // namespace postern::hostd
