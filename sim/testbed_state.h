// The run directory of a testbed: where its sockets, logs and state file live, who holds its lock, and what the state
// file says was started. Written after each step of `postern up`, so that a run that crashed can be cleaned.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "driver/result.h"
#include "sim/testbed_process.h"

namespace postern::sim {

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
  // The state file; nullopt if there is none. A damaged file is an error.
  [[nodiscard]] Result<std::optional<TestbedState>> load() const;
  // Replaces the state file atomically.
  [[nodiscard]] Status save(const TestbedState& state) const;
  // Removes state, sockets and, if it is then empty, the directory. Logs and captures stay only if keep_logs.
  void clear(bool keep_logs) const;

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
