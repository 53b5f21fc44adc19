// fork, drop privileges, exec: see hostd_helper_process.h.
#include "driver/hostd_helper_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <vector>

#include "driver/hostd_protocol.h"

namespace postern::hostd {
namespace {

constexpr int kErrorPipeFd = kHelperControlFd + 1;

// Environment of the helper: hostd's, without what would make the helper an application of hostd.
std::vector<char*> helper_environment() {
  std::vector<char*> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (std::strncmp(*entry, "LD_PRELOAD=", 11) != 0 && std::strncmp(*entry, "POSTERN_HOSTD=", 14) != 0) {
      environment.push_back(*entry);
    }
  }
  environment.push_back(nullptr);
  return environment;
}

struct ChildPlan {
  const char* path;
  char* const* arguments;
  char* const* environment;
  int control_fd;
  int error_fd;
  pid_t parent;
  uid_t uid;
  gid_t gid;
};

bool drop_privileges(const ChildPlan& plan) {
  if (geteuid() != 0 || plan.uid == 0) {
    return true;
  }
  return setgroups(0, nullptr) == 0 && setresgid(plan.gid, plan.gid, plan.gid) == 0 &&
         setresuid(plan.uid, plan.uid, plan.uid) == 0;
}

// Runs between fork and exec: async-signal-safe calls only. An errno value in the pipe tells why exec did not happen.
[[noreturn]] void run_child(const ChildPlan& plan) {
  int failure = 0;
  // Out of the way of the two fixed numbers first.
  const int control = fcntl(plan.control_fd, F_DUPFD, kErrorPipeFd + 1);
  const int error = fcntl(plan.error_fd, F_DUPFD, kErrorPipeFd + 1);
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (control < 0 || error < 0 || null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(control, kHelperControlFd) < 0 ||
      dup2(error, kErrorPipeFd) < 0 || fcntl(kErrorPipeFd, F_SETFD, FD_CLOEXEC) != 0) {
    failure = errno;
  }
  syscall(SYS_close_range, kErrorPipeFd + 1, ~0u, 0);
  for (int number = 1; number < NSIG; ++number) {
    signal(number, SIG_DFL);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  setsid();
  if (failure == 0 && !drop_privileges(plan)) {
    failure = errno;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // after the change of user, which would clear it
  if (getppid() != plan.parent) {
    _exit(127);
  }
  if (failure == 0) {
    execve(plan.path, plan.arguments, plan.environment);
    failure = errno;
  }
  const ssize_t written = write(kErrorPipeFd, &failure, sizeof failure);
  _exit(written == sizeof failure ? 126 : 127);
}

}  // namespace

Result<HelperProcess> HelperProcess::start(const HelperSpec& spec) {
  int sockets[2];
  int pipe_ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
    return Error{errno, fmt::format("cannot make a helper's control socket: {}", std::strerror(errno))};
  }
  HelperProcess helper;
  helper.control_.reset(sockets[0]);
  const UniqueFd child_end(sockets[1]);
  if (fcntl(sockets[0], F_SETFL, O_NONBLOCK) != 0 || pipe2(pipe_ends, O_CLOEXEC) != 0) {
    return Error{errno, fmt::format("cannot start a helper: {}", std::strerror(errno))};
  }
  const UniqueFd error_read(pipe_ends[0]);
  UniqueFd error_write(pipe_ends[1]);

  std::string path = spec.path;
  std::string option = "--control-fd";
  std::string number = std::to_string(kHelperControlFd);
  char* arguments[] = {path.data(), option.data(), number.data(), nullptr};
  const std::vector<char*> environment = helper_environment();
  const ChildPlan plan{path.c_str(),      arguments, environment.data(), child_end.get(),
                       error_write.get(), getpid(),  spec.uid,           spec.gid};
  const pid_t pid = fork();
  if (pid < 0) {
    return Error{errno, fmt::format("cannot start a helper: {}; are there too many processes?", std::strerror(errno))};
  }
  if (pid == 0) {
    run_child(plan);
  }
  helper.pid_ = pid;
  // The child is not reaped yet, so the number cannot mean another process.
  helper.pidfd_.reset(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  error_write.reset();
  int failure = 0;
  const ssize_t got = read(error_read.get(), &failure, sizeof failure);  // ends at exec or exit of the child
  if (got == sizeof failure) {
    return Error{failure, fmt::format("cannot execute the stack helper '{}': {}; pass --helper PATH", spec.path,
                                      std::strerror(failure))};
  }
  if (!helper.pidfd_.valid()) {
    return Error{EMFILE, "cannot watch a helper: raise hostd's limit of open files"};
  }
  return helper;
}

HelperProcess::~HelperProcess() {
  if (pid_ > 0) {
    kill();
    int how = 0;
    while (waitpid(pid_, &how, 0) < 0 && errno == EINTR) {
    }
  }
}

void HelperProcess::kill() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
  }
}

bool HelperProcess::reap(int& how) {
  if (pid_ > 0 && waitpid(pid_, &how, WNOHANG) == pid_) {
    pid_ = -1;
    return true;
  }
  return pid_ <= 0;
}

std::string describe_exit(int how) {
  return WIFSIGNALED(how) ? fmt::format("signal {}", WTERMSIG(how)) : fmt::format("exit status {}", WEXITSTATUS(how));
}

}  // namespace postern::hostd
