// The second process and what the two tell each other. See violation_waves.h.
#include "sim/violation_waves.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <type_traits>

namespace postern::sim {

namespace {

// Blocks until all of value has come; false: the other end is closed.
template <typename T>
bool receive(int fd, T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  auto* const bytes = reinterpret_cast<uint8_t*>(&value);
  for (size_t done = 0; done < sizeof value;) {
    const ssize_t count = read(fd, bytes + done, sizeof value - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    done += static_cast<size_t>(count);
  }
  return true;
}

// Fits into a pipe, so it is written whole. The other end may be gone; who waits for an answer sees that.
template <typename T>
void send(int fd, const T& value) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof value <= 4096);
  while (write(fd, &value, sizeof value) < 0 && errno == EINTR) {
  }
}

void close_end(int& fd) {
  if (fd >= 0) (void)close(fd);
  fd = -1;
}

double us(uint64_t time_ps) { return static_cast<double>(time_ps) / 1e6; }

}  // namespace

ViolationWaves::Met ViolationWaves::met(uint32_t host_idx, const Violation& violation) {
  return {violation.time_ps, host_idx, violation.vi_id, static_cast<uint32_t>(violation.rule), 1};
}

bool ViolationWaves::same(const Met& a, const Met& b) {
  return a.met == b.met && a.time_ps == b.time_ps && a.host_idx == b.host_idx && a.vi_id == b.vi_id && a.rule == b.rule;
}

std::string ViolationWaves::describe(const Met& violation, const std::string& host) {
  if (violation.met == 0) return "none";
  return fmt::format("{} of host {} at {:.6f} us", rule_name(static_cast<Rule>(violation.rule)), host,
                     us(violation.time_ps));
}

ViolationWaves::~ViolationWaves() {
  close_end(order_fd_);
  close_end(report_fd_);
  if (child_ <= 0) return;
  (void)kill(child_, SIGKILL);
  while (waitpid(child_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

Status ViolationWaves::start(const WavePlan& plan, Repeat repeat) {
  plan_ = plan;
  int order[2], report[2];
  if (pipe2(order, O_CLOEXEC) != 0) return Error{errno, fmt::format("pipe: {}", std::strerror(errno))};
  if (pipe2(report, O_CLOEXEC) != 0) {
    const int code = errno;
    (void)close(order[0]);
    (void)close(order[1]);
    return Error{code, fmt::format("pipe: {}", std::strerror(code))};
  }
  (void)std::fflush(nullptr);
  const pid_t parent = getpid();
  child_ = fork();
  const int code = errno;
  const bool in_child = child_ == 0;
  order_fd_ = order[in_child ? 0 : 1];
  report_fd_ = report[in_child ? 1 : 0];
  (void)close(order[in_child ? 1 : 0]);
  (void)close(report[in_child ? 0 : 1]);
  if (child_ < 0) return Error{code, fmt::format("fork: {}", std::strerror(code))};
  if (!in_child) return {};
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(0);
  serve(repeat);
}

// Leaves without what the first process does at its end: flushing its buffers, and whatever is registered for exit().
void ViolationWaves::serve(const Repeat& repeat) {
  Met ordered;
  if (!receive(order_fd_, ordered)) _exit(0);
  const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (null >= 0) (void)dup2(null, STDOUT_FILENO);
  (void)unsetenv("POSTERN_COVERAGE_DIR");  // the first process writes the run's coverage
  Report report;
  const Status status = repeat(window(ordered), [&report](uint32_t host_idx, const Violation& violation) {
    if (report.violation.met == 0) report.violation = met(host_idx, violation);
  });
  if (!status) {
    const std::string& text = status.error().message;
    std::copy_n(text.data(), std::min(text.size(), sizeof report.error - 1), report.error);
  }
  send(report_fd_, report);
  _exit(0);
}

WaveRequest ViolationWaves::window(const Met& violation) const {
  WaveRequest request = plan_.request;
  request.only_check = false;
  request.from_ps = violation.time_ps - std::min(violation.time_ps, plan_.before_ps);
  request.until_ps = violation.time_ps + WavePlan::kAfterPs;
  return request;
}

HostViolationListener ViolationWaves::listener() {
  return [this](uint32_t host_idx, const Violation& violation) {
    if (first_.met != 0 || child_ <= 0) return;
    first_ = met(host_idx, violation);
    tell();
  };
}

// The second process has not ended before it is told, so nobody gets a SIGPIPE but for one that was killed.
void ViolationWaves::tell() {
  struct sigaction ignored = {}, before = {};
  ignored.sa_handler = SIG_IGN;
  (void)sigaction(SIGPIPE, &ignored, &before);
  send(order_fd_, first_);
  (void)sigaction(SIGPIPE, &before, nullptr);
}

Result<std::string> ViolationWaves::finish(const std::function<std::string(uint32_t host_idx)>& host_name,
                                           const std::vector<std::string>& files) {
  close_end(order_fd_);
  Report report;
  const bool reported = receive(report_fd_, report);
  int status = 0;
  while (waitpid(child_, &status, 0) < 0 && errno == EINTR) {
  }
  child_ = -1;
  if (first_.met == 0) {
    return fmt::format("--wave-around-violation: no violation by an RTL NIC, so there are no waves in {}",
                       fmt::join(files, ", "));
  }
  const std::string first = describe(first_, host_name(first_.host_idx));
  if (!reported) {
    return Error{ECHILD, fmt::format("--wave-around-violation: the process that repeats the run for the waves of {} "
                                     "ended early ({} {}); its waves are not complete",
                                     first, WIFSIGNALED(status) ? "signal" : "status",
                                     WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status))};
  }
  if (report.violation.met == 0 && report.error[0] != '\0') {
    return Error{EIO, fmt::format("--wave-around-violation: no waves of {}: the run's repetition, which records them, "
                                  "failed before it: {}",
                                  first, report.error)};
  }
  if (!same(first_, report.violation)) {
    return Error{EIO,
                 fmt::format("--wave-around-violation: the run's first violation is {}, its repetition's {}: runs are "
                             "not deterministic, which is a defect; the waves are of the repetition",
                             first, describe(report.violation, host_name(report.violation.host_idx)))};
  }
  const WaveRequest recorded = window(first_);
  return fmt::format("--wave-around-violation: {:.6f} to {:.6f} us, around {}: {}", us(recorded.from_ps),
                     us(recorded.until_ps), first, fmt::join(files, ", "));
}

}  // namespace postern::sim
