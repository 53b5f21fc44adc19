// See testbed_process.h. Signals go through a pidfd that is checked against the start time after it was opened.
#include "sim/testbed_process.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>

namespace postern::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

struct ProcessStat {
  char state = 'X';
  pid_t session = 0;
  uint64_t start_ticks = 0;
};

bool read_stat(pid_t pid, ProcessStat& stat) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string text;
  if (!std::getline(file, text)) return false;
  const size_t end_of_name = text.rfind(')');  // the name may hold spaces and parentheses
  if (end_of_name == std::string::npos) return false;
  std::istringstream fields(text.substr(end_of_name + 1));
  std::string field;
  for (int number = 3; number <= 22 && fields >> field; ++number) {
    if (number == 3) stat.state = field[0];
    if (number == 6) stat.session = static_cast<pid_t>(std::strtol(field.c_str(), nullptr, 10));
    if (number == 22) stat.start_ticks = std::strtoull(field.c_str(), nullptr, 10);
  }
  return stat.start_ticks != 0;
}

void signal_process(const ProcessId& id, int signal_number) {
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, id.pid, 0));
  if (fd < 0) return;
  if (process_alive(id)) syscall(SYS_pidfd_send_signal, fd, signal_number, nullptr, 0);
  close(fd);
}

// The program is one of ours.
bool runs_postern(pid_t pid) {
  char path[4096];
  const ssize_t size = readlink(fmt::format("/proc/{}/exe", pid).c_str(), path, sizeof path);
  const std::string target(path, size > 0 ? static_cast<size_t>(size) : 0);
  return target.find("/postern", target.rfind('/') == std::string::npos ? 0 : target.rfind('/')) != std::string::npos;
}

// What is left of the session that a process led. A session id stays taken while it has members; if the leader is gone
// and its id has gone to a foreign process, the session is foreign too.
std::vector<ProcessId> session_members(const ProcessId& leader) {
  ProcessStat present;
  const bool leader_present = read_stat(leader.pid, present);
  if (leader_present && present.start_ticks != leader.start_ticks) return {};
  std::vector<ProcessId> members;
  DIR* directory = opendir("/proc");
  if (directory == nullptr) return members;
  while (const dirent* entry = readdir(directory)) {
    const auto pid = static_cast<pid_t>(std::strtol(entry->d_name, nullptr, 10));
    ProcessStat stat;
    if (pid <= 1 || pid == leader.pid || pid == getpid() || !read_stat(pid, stat)) continue;
    const bool member = stat.session == leader.pid && stat.start_ticks >= leader.start_ticks && stat.state != 'Z';
    if (member && (leader_present || runs_postern(pid))) members.push_back({pid, stat.start_ticks});
  }
  closedir(directory);
  return members;
}

// A child of ours is gone once it has been waited for: its first thread may be a zombie before the process has ended.
bool process_gone(const ProcessId& id) {
  const pid_t waited = waitpid(id.pid, nullptr, WNOHANG);
  if (waited >= 0) return waited == id.pid;
  return !process_alive(id);
}

bool wait_all_gone(const std::vector<ProcessId>& ids, milliseconds patience) {
  const auto deadline = steady_clock::now() + patience;
  for (;;) {
    bool all = true;
    for (const ProcessId& id : ids) all = process_gone(id) && all;
    if (all) return true;
    if (steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(milliseconds(5));
  }
}

[[noreturn]] void become(const ProcessSpec& spec, int error_pipe) {
  setsid();
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const int null_fd = open("/dev/null", O_RDONLY);
  const int log_fd = open(spec.log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (null_fd >= 0) dup2(null_fd, 0);
  if (log_fd >= 0) {
    dup2(log_fd, 1);
    dup2(log_fd, 2);
  }
  const int kept_error_pipe = fcntl(error_pipe, F_DUPFD_CLOEXEC, 10);
  if (spec.inherited_fd == 3) {
    fcntl(3, F_SETFD, 0);
  } else if (spec.inherited_fd >= 0) {
    dup2(spec.inherited_fd, 3);
  }
  syscall(SYS_close_range, spec.inherited_fd >= 0 ? 4 : 3, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */);
  for (const auto& [name, value] : spec.environment) setenv(name.c_str(), value.c_str(), 1);
  std::vector<char*> argv;
  for (const std::string& argument : spec.arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  execv(argv[0], argv.data());
  const int error = errno;
  [[maybe_unused]] const ssize_t written = write(kept_error_pipe, &error, sizeof error);
  _exit(127);
}

}  // namespace

Result<uint64_t> process_start_ticks(pid_t pid) {
  ProcessStat stat;
  if (!read_stat(pid, stat) || stat.state == 'Z' || stat.state == 'X') {
    return Error{ESRCH, fmt::format("no process {}", pid)};
  }
  return stat.start_ticks;
}

bool process_alive(const ProcessId& id) {
  const auto start = process_start_ticks(id.pid);
  return start.ok() && start.value() == id.start_ticks;
}

Result<ProcessId> process_spawn(const ProcessSpec& spec) {
  int error_pipe[2];
  if (pipe2(error_pipe, O_CLOEXEC) != 0) return Error{errno, fmt::format("cannot create a pipe: {}", strerror(errno))};
  const pid_t pid = fork();
  if (pid == 0) become(spec, error_pipe[1]);
  close(error_pipe[1]);
  int error = pid < 0 ? errno : 0;
  if (pid > 0 && read(error_pipe[0], &error, sizeof error) != static_cast<ssize_t>(sizeof error)) error = 0;
  close(error_pipe[0]);
  if (error != 0) {
    if (pid > 0) waitpid(pid, nullptr, 0);
    return Error{error, fmt::format("cannot start {}: {}; is the build or installation complete?", spec.arguments[0],
                                    strerror(error))};
  }
  ProcessStat stat;  // there even if the process has ended already: it is our child
  if (!read_stat(pid, stat)) {
    return Error{ECHILD, fmt::format("{} ended at once; see {}", spec.arguments[0], spec.log_path)};
  }
  return ProcessId{pid, stat.start_ticks};
}

int process_end(const std::vector<ProcessId>& ids, milliseconds patience) {
  std::vector<ProcessId> all = ids;
  for (const ProcessId& id : ids) {
    for (const ProcessId& member : session_members(id)) all.push_back(member);
  }
  for (const ProcessId& id : all) signal_process(id, SIGTERM);
  if (wait_all_gone(all, patience)) {
    // Children that were started meanwhile belong to the same sessions.
    all.clear();
    for (const ProcessId& id : ids) {
      for (const ProcessId& member : session_members(id)) all.push_back(member);
    }
    if (all.empty()) return 0;
  }
  int killed = 0;
  for (const ProcessId& id : all) {
    if (!process_alive(id)) continue;
    signal_process(id, SIGKILL);
    ++killed;
  }
  wait_all_gone(all, milliseconds(2000));
  return killed;
}

Result<std::string> process_wait_line(int pipe_fd, int cancel_fd, milliseconds timeout) {
  const auto deadline = steady_clock::now() + timeout;
  std::string line;
  for (;;) {
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now()).count();
    if (left <= 0) return Error{ETIMEDOUT, fmt::format("no answer within {} ms", timeout.count())};
    pollfd entries[2] = {{pipe_fd, POLLIN, 0}, {cancel_fd, POLLIN, 0}};
    const int ready = poll(entries, 2, static_cast<int>(left));
    if (ready < 0 && errno != EINTR) return Error{errno, fmt::format("poll: {}", strerror(errno))};
    if (ready <= 0) continue;
    if (entries[1].revents != 0) return Error{EINTR, "interrupted"};
    char byte = 0;
    const ssize_t got = read(pipe_fd, &byte, 1);
    if (got == 1 && byte != '\n') {
      line.push_back(byte);
    } else if (got == 1) {
      return line;
    } else if (got == 0) {
      return Error{EPIPE, "it ended before it was ready"};
    } else if (errno != EINTR && errno != EAGAIN) {
      return Error{errno, fmt::format("read: {}", strerror(errno))};
    }
  }
}

SignalDescriptor::SignalDescriptor() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGHUP);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  fd_ = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

SignalDescriptor::~SignalDescriptor() { close(fd_); }  // the signals stay blocked: the caller is about to end

bool SignalDescriptor::wait(milliseconds timeout) const {
  pollfd entry{fd_, POLLIN, 0};
  return poll(&entry, 1, static_cast<int>(timeout.count())) == 1;
}

}  // namespace postern::sim
