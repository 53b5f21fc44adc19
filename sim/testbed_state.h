// The run directory of a testbed: where its sockets, logs and state file live, who holds its lock, and what the state
// file says was started. Written after each step of `postern up`, so that a run that crashed can be cleaned.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "driver/result.h"
#include "sim/testbed_process.h"

namespace postern::sim {

// Names the time from one start of the kernel to the next; empty if it cannot be read.
[[nodiscard]] std::string current_boot_id();

struct TestbedHost {
  std::string name;
  std::string address;  // with prefix length
};

struct TestbedProcess {
  std::string role;  // "simulator" or "hostd"
  std::string host;  // of a hostd
  ProcessId id;
};

struct TestbedState {
  std::string topology = "default";  // where it came from
  std::vector<TestbedHost> hosts;
  std::vector<std::string> namespaces;  // network namespaces that this testbed created
  std::vector<TestbedProcess> processes;
  std::string boot_id;  // of the kernel under which it was started

  // True if this kernel has been running since: else process ids, start times and names mean something else now.
  [[nodiscard]] bool same_boot() const;
  [[nodiscard]] bool any_alive() const;
  [[nodiscard]] const TestbedHost* find_host(const std::string& name) const;
};

class RunDirectory {
 public:
  // given: the --run-dir option, or empty: $POSTERN_RUN_DIR, else ${XDG_RUNTIME_DIR:-/tmp}/postern-$UID.
  explicit RunDirectory(const std::string& given);

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }
  [[nodiscard]] std::string hostd_socket(const std::string& host) const { return file(host + ".sock"); }
  [[nodiscard]] std::string nic_socket(const std::string& host) const { return file("nic-" + host + ".sock"); }
  [[nodiscard]] std::string control_socket() const { return file("control.sock"); }
  [[nodiscard]] std::string log(const std::string& role) const { return file(role + ".log"); }

  // Creates the directory (mode 0700) and checks that it is a directory of this user.
  [[nodiscard]] Status create() const;
  // Takes the directory for testbeds: leaves a mark, by which a directory with logs or captures of an earlier testbed
  // is known later. ENOTEMPTY if it holds files of somebody else.
  [[nodiscard]] Status claim() const;
  [[nodiscard]] bool claimed() const;
  // The state file; nullopt if there is none. A damaged file is an error.
  [[nodiscard]] Result<std::optional<TestbedState>> load() const;
  // Replaces the state file atomically.
  [[nodiscard]] Status save(const TestbedState& state) const;
  // Removes the files that a testbed with these hosts makes, and no others: sockets, topology, logs unless keep_logs,
  // and at last the state file. Captures stay.
  void remove_run(const TestbedState& state, bool keep_logs) const;
  // Removes the lock and, if nothing else is left, the mark and the directory.
  void release() const;

 private:
  std::string path_;
};

// Exclusive use of a run directory by one `postern up` or `postern down`.
class RunDirectoryLock {
 public:
  RunDirectoryLock() = default;
  RunDirectoryLock(const RunDirectoryLock&) = delete;
  RunDirectoryLock& operator=(const RunDirectoryLock&) = delete;
  ~RunDirectoryLock();
  // Waits at most 10 s for another command to finish.
  [[nodiscard]] Status acquire(const RunDirectory& directory);
  void release();

 private:
  int fd_ = -1;
};

}  // namespace postern::sim
