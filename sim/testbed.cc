// See testbed.h.
#include "sim/testbed.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include "driver/hostd_client.h"
#include "sim/tap_namespace.h"
#include "sim/toml_reader.h"
#include "sim/topology.h"

namespace postern::sim {
namespace {

using std::chrono::milliseconds;
namespace fs = std::filesystem;

constexpr milliseconds kSimulatorReadyTimeout{15000};
constexpr milliseconds kHostdReadyTimeout{10000};
constexpr milliseconds kEndPatience{3000};

std::vector<ProcessId> ids_of_role(const TestbedState& state, const std::string& role) {
  std::vector<ProcessId> ids;
  for (const TestbedProcess& process : state.processes) {
    if (process.role == role) ids.push_back(process.id);
  }
  return ids;
}

// Everything that a state file names. Hosts first, so that they can tell their device goodbye.
void end_recorded(const TestbedState& state) {
  if (!state.same_boot()) return;  // all of it has gone with the kernel; what has its names and numbers now is not ours
  process_end(ids_of_role(state, "hostd"), kEndPatience);
  process_end(ids_of_role(state, "simulator"), kEndPatience);
  for (const std::string& name : state.namespaces) network_namespace_remove(name);
}

// Last line of a log, for an error message.
std::string last_line(const std::string& path) {
  std::ifstream stream(path);
  std::string line;
  std::string last;
  while (std::getline(stream, line)) {
    if (!line.empty()) last = line;
  }
  return last;
}

// One `postern up` in progress.
class Startup {
 public:
  Startup(const TestbedOptions& options, const RunDirectory& directory) : options_(options), directory_(directory) {}

  // What can be checked before anything is written: topology, settings, programs, permissions.
  Status check() {
    Result<Topology> topology = load();
    if (!topology) return topology.error();
    topology_ = std::move(topology.value());
    for (const std::string& setting : options_.settings) {
      if (Status status = apply_property_setting(topology_, setting); !status) return status;
    }
    for (const std::string& setting : options_.devices) {
      if (Status status = apply_device(topology_, setting); !status) return status;
    }
    Result<std::string> hostd = find_program("postern-hostd");
    if (!hostd) return hostd.error();
    hostd_program_ = hostd.value();
    return topology_.taps.empty() ? Status{} : tap_permission();
  }

  // Starts everything; the caller holds the directory's lock.
  // From here on a signal does not end this process; it ends what has been started so far.
  Status run() {
    signals_.emplace();
    Status status = clean_stale();
    if (status) status = begin_state();
    if (status) status = create_namespaces();
    if (status && signals_->wait(milliseconds(0))) status = Error{EINTR, "interrupted"};
    if (status) status = start_simulator();
    if (status) status = start_hosts();
    if (!status && own_state_) {
      end_recorded(state_);
      directory_.remove_run(state_, true);  // the logs may say why
      directory_.release();
    }
    return status;
  }

  // After run().
  [[nodiscard]] const SignalDescriptor& signals() const { return *signals_; }
  [[nodiscard]] const TestbedState& state() const { return state_; }

 private:
  Status begin_state() {
    state_.topology = topology_.source_name;
    state_.boot_id = current_boot_id();
    for (const HostSpec& host : topology_.hosts) {
      state_.hosts.push_back({host.name, fmt::format("{}/{}", format_ipv4(host.address_ipv4), host.prefix_bits)});
    }
    own_state_ = true;
    if (Status status = directory_.save(state_); !status) return status;
    std::ofstream stream(directory_.file("topology.toml"), std::ios::trunc);
    stream << topology_text_;
    if (!stream.flush())
      return Error{EIO, fmt::format("cannot write to {}: is the file system full?", directory_.path())};
    return {};
  }

  Result<Topology> load() {
    if (options_.topology_path.empty()) {
      topology_text_ = default_topology_text();
      return default_topology();
    }
    Result<std::string> text = read_text_file(options_.topology_path);
    if (!text) return text.error();
    topology_text_ = text.value();
    return parse_topology(topology_text_, options_.topology_path);
  }

  // A second `up` is an error; what a crashed run left is removed.
  Status clean_stale() {
    Result<std::optional<TestbedState>> previous = directory_.load();
    if (!previous) return previous.error();
    if (!previous->has_value()) return {};
    const TestbedState& old = **previous;
    bool all = old.same_boot();
    for (const TestbedProcess& process : old.processes) all = all && process_alive(process.id);
    if (all && !old.processes.empty()) {
      return Error{EEXIST,
                   fmt::format("a testbed is already up in {}: use it with `postern exec`, end it with `postern "
                               "down`, or start another one with --run-dir",
                               directory_.path())};
    }
    fmt::print(stderr, "postern: cleaning up after a testbed that did not end properly\n");
    end_recorded(old);
    directory_.remove_run(old, false);
    return {};
  }

  Status create_namespaces() {
    for (const TapSpec& tap : topology_.taps) {
      if (tap.netns.empty() ||
          std::find(state_.namespaces.begin(), state_.namespaces.end(), tap.netns) != state_.namespaces.end())
        continue;
      if (Status status = network_namespace_create(tap.netns); !status) return status;
      state_.namespaces.push_back(tap.netns);
      if (Status status = directory_.save(state_); !status) return status;
    }
    return {};
  }

  Status start_simulator() {
    ProcessSpec spec;
    spec.arguments = {own_path(),      "live-simulator",
                      "--run-dir",     directory_.path(),
                      "--topology",    directory_.file("topology.toml"),
                      "--source-name", topology_.source_name,
                      "--ready-fd",    "3"};
    for (const std::string& setting : options_.settings) {
      spec.arguments.push_back("--set");
      spec.arguments.push_back(setting);
    }
    for (const std::string& setting : options_.devices) {
      spec.arguments.push_back("--device");
      spec.arguments.push_back(setting);
    }
    if (options_.monitor) spec.arguments.emplace_back("--monitor");
    if (!options_.pcap_dir.empty()) {
      std::error_code ignored;
      spec.arguments.push_back("--pcap");
      spec.arguments.push_back(fs::absolute(options_.pcap_dir, ignored).string());
    }
    if (!options_.record_dir.empty()) {
      std::error_code ignored;
      spec.arguments.emplace_back("--record");
      spec.arguments.push_back(fs::absolute(options_.record_dir, ignored).string());
    }
    spec.log_path = directory_.log("simulator");
    unlink(spec.log_path.c_str());
    int ready[2];
    if (pipe2(ready, O_CLOEXEC) != 0) return Error{errno, "cannot create a pipe: too many open files?"};
    spec.inherited_fd = ready[1];
    Result<ProcessId> id = process_spawn(spec);
    close(ready[1]);
    if (!id) {
      close(ready[0]);
      return id.error();
    }
    state_.processes.push_back({"simulator", "", id.value()});
    Status status = directory_.save(state_);
    if (status) {
      Result<std::string> line = process_wait_line(ready[0], signals_->fd(), kSimulatorReadyTimeout);
      if (!line) {
        const std::string log_line = last_line(spec.log_path);
        status =
            Error{line.error().code, fmt::format("the simulator did not start: {}; see {}",
                                                 log_line.empty() ? line.error().message : log_line, spec.log_path)};
      } else if (line.value() != "ready") {
        status = Error{EIO, line.value()};
      }
    }
    close(ready[0]);
    return status;
  }

  Status start_hosts() {
    for (const HostSpec& host : topology_.hosts) {
      if (Status status = start_hostd(host); !status) return status;
    }
    for (size_t i = 0; i < topology_.hosts.size(); ++i) {
      if (Status status = wait_hostd(topology_.hosts[i], state_.processes[i + 1].id); !status) return status;
    }
    return {};
  }

  Status start_hostd(const HostSpec& host) {
    ProcessSpec spec;
    spec.arguments = {hostd_program_,
                      "--host",
                      host.name,
                      "--address",
                      fmt::format("{}/{}", format_ipv4(host.address_ipv4), host.prefix_bits),
                      "--device",
                      directory_.nic_socket(host.name),
                      "--socket",
                      directory_.hostd_socket(host.name)};
    if (host.gateway_ipv4 != 0) {
      spec.arguments.insert(spec.arguments.end(), {"--gateway", format_ipv4(host.gateway_ipv4)});
    }
    spec.environment = {{"POSTERN_RUN_DIR", directory_.path()}};
    spec.log_path = directory_.log("hostd-" + host.name);
    unlink(spec.log_path.c_str());
    Result<ProcessId> id = process_spawn(spec);
    if (!id) return id.error();
    state_.processes.push_back({"hostd", host.name, id.value()});
    return directory_.save(state_);
  }

  Status wait_hostd(const HostSpec& host, const ProcessId& id) {
    const auto deadline = std::chrono::steady_clock::now() + kHostdReadyTimeout;
    const std::string log = directory_.log("hostd-" + host.name);
    for (;;) {
      hostd::HostdClient client(directory_.hostd_socket(host.name), 2000);
      if (access(directory_.hostd_socket(host.name).c_str(), F_OK) == 0 && client.connect()) return {};
      if (!process_alive(id)) {
        const std::string line = last_line(log);
        return Error{EIO, fmt::format("hostd of host '{}' did not start: {}; see {}", host.name,
                                      line.empty() ? "it ended at once" : line, log)};
      }
      if (std::chrono::steady_clock::now() > deadline) {
        return Error{ETIMEDOUT, fmt::format("hostd of host '{}' was not ready within {} ms; see {}", host.name,
                                            kHostdReadyTimeout.count(), log)};
      }
      if (signals_->wait(milliseconds(10))) return Error{EINTR, "interrupted"};
    }
  }

  const TestbedOptions& options_;
  const RunDirectory& directory_;
  std::optional<SignalDescriptor> signals_;  // from run() on
  Topology topology_;
  std::string topology_text_;
  std::string hostd_program_;
  TestbedState state_;
  bool own_state_ = false;  // the run directory's state is ours: a failure removes it
};

// Stays until a signal comes or a process of the testbed has ended.
Status watch(const RunDirectory& directory, const Startup& startup) {
  for (;;) {
    if (startup.signals().wait(milliseconds(200))) return {};
    for (const TestbedProcess& process : startup.state().processes) {
      if (process_alive(process.id)) continue;
      Result<std::optional<TestbedState>> now = directory.load();
      if (now.ok() && !now->has_value()) return {};  // `postern down` has ended it
      return Error{EIO, fmt::format("{}{} ended unexpectedly: see the logs in {}", process.role,
                                    process.host.empty() ? "" : " of host '" + process.host + "'", directory.path())};
    }
  }
}

}  // namespace

std::string own_path() {
  std::error_code ignored;
  return fs::read_symlink("/proc/self/exe", ignored).string();
}

Result<std::string> find_program(const std::string& name) {
  const fs::path folder = fs::path(own_path()).parent_path();
  for (const fs::path& candidate :
       {folder / name, folder / "../libexec/postern" / name, folder / "../lib/postern" / name}) {
    if (access(candidate.c_str(), X_OK) == 0) return candidate.lexically_normal().string();
  }
  return Error{ENOENT,
               fmt::format("program {} not found beside {}: build or install Postern completely", name, own_path())};
}

Result<std::string> find_preload_library() {
  const fs::path folder = fs::path(own_path()).parent_path();
  for (const char* place : {"../lib", ".", "../lib/postern", "../lib/x86_64-linux-gnu", "../lib64", "../preload"}) {
    const fs::path candidate = folder / place / "libpostern.so";
    if (access(candidate.c_str(), R_OK) == 0) return candidate.lexically_normal().string();
  }
  return Error{ENOENT, fmt::format("libpostern.so not found near {}: build or install Postern completely", own_path())};
}

Status testbed_up(const TestbedOptions& options) {
  const RunDirectory directory(options.run_dir);
  Startup startup(options, directory);
  if (Status status = startup.check(); !status) return status;
  if (Status status = directory.create(); !status) return status;
  if (Status status = directory.claim(); !status) return status;
  RunDirectoryLock lock;
  if (Status status = lock.acquire(directory); !status) return status;
  if (Status status = startup.run(); !status) return status;
  if (options.on_ready) options.on_ready(startup.state());
  if (!options.foreground) return {};
  lock.release();
  Status status = watch(directory, startup);
  Result<std::string> ended = testbed_down(directory.path());
  return status.ok() && !ended.ok() ? Status(ended.error()) : status;
}

Result<std::string> testbed_down(const std::string& run_dir) {
  const RunDirectory directory(run_dir);
  const std::string none = fmt::format("no testbed is up in {}", directory.path());
  Result<std::optional<TestbedState>> state = directory.load();
  if (!state) return state.error();
  if (!state->has_value() && !directory.claimed()) return none;  // somebody else's directory, or none
  if (Status status = directory.create(); !status) return status.error();
  RunDirectoryLock lock;
  if (Status status = lock.acquire(directory); !status) return status.error();
  state = directory.load();
  if (!state) return state.error();
  if (!state->has_value()) {
    directory.release();
    return none;
  }
  const bool crashed = !(*state)->any_alive();
  end_recorded(**state);
  directory.remove_run(**state, false);
  directory.release();
  return (crashed ? "cleaned up after a testbed that did not end properly in " : "ended the testbed in ") +
         directory.path();
}

Result<TestbedState> testbed_state(const RunDirectory& directory) {
  Result<std::optional<TestbedState>> state = directory.load();
  if (!state) return state.error();
  if (!state->has_value()) {
    return Error{ENOENT, fmt::format("no testbed is up in {}: start one with `postern up`, or name its directory with "
                                     "--run-dir",
                                     directory.path())};
  }
  if (!(*state)->same_boot()) {
    return Error{ENOENT, fmt::format("the testbed in {} ended with a restart of this computer: start it again with "
                                     "`postern up`",
                                     directory.path())};
  }
  return **state;
}

}  // namespace postern::sim
