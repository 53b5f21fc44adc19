// Processes of a running testbed: start them detached, recognise them later, and end them. A process is known by its id
// and its start time together, so that a foreign process that was given the same id is never hit.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "driver/result.h"

namespace postern::sim {

struct ProcessId {
  pid_t pid = 0;
  uint64_t start_ticks = 0;  // field 22 of /proc/PID/stat: clock ticks since boot
};

struct ProcessSpec {
  std::vector<std::string> arguments;                            // [0] is the path of the program
  std::vector<std::pair<std::string, std::string>> environment;  // added to this process's own
  std::string log_path;                                          // stdout and stderr are appended here
  int inherited_fd = -1;                                         // becomes descriptor 3 of the new process; -1: none
};

// Start time of a process; an error if there is none (zombies count as none).
[[nodiscard]] Result<uint64_t> process_start_ticks(pid_t pid);

// True if exactly this process still runs.
[[nodiscard]] bool process_alive(const ProcessId& id);

// Starts a program as leader of a session of its own, with stdin from /dev/null. Fails if it cannot be executed.
[[nodiscard]] Result<ProcessId> process_spawn(const ProcessSpec& spec);

// Ends the processes: SIGTERM, up to `patience` for an orderly end of all of them, then SIGKILL. Also ends what is left
// of the sessions that they led. Blocks for at most patience + 2 s. Returns the number that had to be killed.
int process_end(const std::vector<ProcessId>& ids, std::chrono::milliseconds patience);

// Waits until a process has written a line to the pipe (the line, without newline), has closed it, or the time is over.
// EINTR if cancel_fd becomes readable first.
[[nodiscard]] Result<std::string> process_wait_line(int pipe_fd, int cancel_fd, std::chrono::milliseconds timeout);

// SIGINT, SIGTERM and SIGHUP of this process as a descriptor, while this object lives. Processes that are spawned
// meanwhile do not inherit the blocked signals.
class SignalDescriptor {
 public:
  SignalDescriptor();
  ~SignalDescriptor();
  SignalDescriptor(const SignalDescriptor&) = delete;
  SignalDescriptor& operator=(const SignalDescriptor&) = delete;
  [[nodiscard]] int fd() const { return fd_; }
  // Waits up to timeout; true if a signal has arrived (it stays pending).
  [[nodiscard]] bool wait(std::chrono::milliseconds timeout) const;

 private:
  int fd_;
};

}  // namespace postern::sim
