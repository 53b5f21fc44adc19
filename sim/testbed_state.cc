// See testbed_state.h. The state file is JSON, so that `postern status` and people can read it.
#include "sim/testbed_state.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

namespace postern::sim {
namespace {

using Json = nlohmann::ordered_json;
constexpr int kStateFormat = 1;
constexpr char kMark[] = ".postern";

std::string default_path() {
  const char* own = getenv("POSTERN_RUN_DIR");
  if (own != nullptr && *own != '\0') return own;
  const char* runtime = getenv("XDG_RUNTIME_DIR");
  return fmt::format("{}/postern-{}", runtime != nullptr && *runtime != '\0' ? runtime : "/tmp", getuid());
}

TestbedState parse_state(const Json& json) {
  TestbedState state;
  state.topology = json.at("topology").get<std::string>();
  for (const Json& host : json.at("hosts")) state.hosts.push_back({host.at("name"), host.at("address")});
  for (const Json& name : json.at("namespaces")) state.namespaces.push_back(name);
  for (const Json& entry : json.at("processes")) {
    state.processes.push_back({entry.at("role"), entry.at("host"),
                               ProcessId{entry.at("pid").get<pid_t>(), entry.at("start_ticks").get<uint64_t>()}});
  }
  state.boot_id = json.value("boot_id", "");
  return state;
}

}  // namespace

std::string current_boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

bool TestbedState::same_boot() const {
  const std::string current = current_boot_id();
  return boot_id.empty() || current.empty() || boot_id == current;
}

bool TestbedState::any_alive() const {
  if (!same_boot()) return false;
  for (const TestbedProcess& process : processes) {
    if (process_alive(process.id)) return true;
  }
  return false;
}

const TestbedHost* TestbedState::find_host(const std::string& name) const {
  for (const TestbedHost& host : hosts) {
    if (host.name == name) return &host;
  }
  return nullptr;
}

RunDirectory::RunDirectory(const std::string& given) {
  std::error_code ignored;
  path_ = std::filesystem::absolute(given.empty() ? default_path() : given, ignored).lexically_normal().string();
  while (path_.size() > 1 && path_.back() == '/') path_.pop_back();
}

Status RunDirectory::create() const {
  constexpr size_t kLongestSocketName = 24;  // sun_path holds 107 characters
  if (path_.size() + kLongestSocketName > 107) {
    return Error{ENAMETOOLONG, fmt::format("run directory {} is too long for Unix sockets: choose a path of at most {} "
                                           "characters with --run-dir",
                                           path_, 107 - kLongestSocketName)};
  }
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path_).parent_path(), ignored);
  if (mkdir(path_.c_str(), 0700) != 0 && errno != EEXIST) {
    return Error{errno, fmt::format("cannot create run directory {}: {}; choose another with --run-dir", path_,
                                    strerror(errno))};
  }
  struct stat info {};
  if (lstat(path_.c_str(), &info) != 0 || !S_ISDIR(info.st_mode) || info.st_uid != geteuid()) {
    return Error{EPERM,
                 fmt::format("run directory {} is not a directory of this user: remove it or choose another with "
                             "--run-dir",
                             path_)};
  }
  return {};
}

Status RunDirectory::claim() const {
  Result<std::optional<TestbedState>> state = load();
  if (!state) return state.error();
  std::error_code ignored;
  std::string foreign;
  for (const auto& entry : std::filesystem::directory_iterator(path_, ignored)) {
    const std::string name = entry.path().filename().string();
    // A mark allows logs and captures of earlier testbeds, but nothing that a new one would overwrite.
    if (!claimed() || name == "topology.toml") foreign = name;
  }
  if (!foreign.empty() && !state->has_value()) {
    return Error{ENOTEMPTY, fmt::format("run directory {} holds files that are not of a testbed ({}): choose an empty "
                                        "or new directory with --run-dir",
                                        path_, foreign)};
  }
  const int fd = open(file(kMark).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return Error{errno, fmt::format("cannot write to {}: {}", path_, strerror(errno))};
  close(fd);
  return {};
}

bool RunDirectory::claimed() const { return access(file(kMark).c_str(), F_OK) == 0; }

Result<std::optional<TestbedState>> RunDirectory::load() const {
  std::ifstream stream(file("state.json"));
  if (!stream) return std::optional<TestbedState>{};
  try {
    const Json json = Json::parse(stream);
    if (json.at("format").get<int>() != kStateFormat) {
      return Error{EPROTO, fmt::format("{} was written by another version of postern: end that run with its own "
                                       "`postern down`",
                                       file("state.json"))};
    }
    return std::optional<TestbedState>(parse_state(json));
  } catch (const nlohmann::json::exception& problem) {
    return Error{EPROTO,
                 fmt::format("{} is damaged or not of postern ({}): choose another directory with --run-dir, or "
                             "end the processes of that testbed and remove the file",
                             file("state.json"), problem.what())};
  }
}

Status RunDirectory::save(const TestbedState& state) const {
  Json json{{"format", kStateFormat}, {"topology", state.topology}, {"run_dir", path_}};
  json["boot_id"] = state.boot_id;
  json["hosts"] = Json::array();
  json["namespaces"] = state.namespaces;
  json["processes"] = Json::array();
  for (const TestbedHost& host : state.hosts) json["hosts"].push_back({{"name", host.name}, {"address", host.address}});
  for (const TestbedProcess& process : state.processes) {
    json["processes"].push_back({{"role", process.role},
                                 {"host", process.host},
                                 {"pid", process.id.pid},
                                 {"start_ticks", process.id.start_ticks}});
  }
  const std::string temporary = file("state.json.new");
  {
    std::ofstream stream(temporary, std::ios::trunc);
    stream << json.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
    if (!stream.flush()) return Error{EIO, fmt::format("cannot write {}: is the file system full?", temporary)};
  }
  if (rename(temporary.c_str(), file("state.json").c_str()) != 0) {
    return Error{errno, fmt::format("cannot write {}: {}", file("state.json"), strerror(errno))};
  }
  return {};
}

void RunDirectory::remove_run(const TestbedState& state, bool keep_logs) const {
  std::vector<std::string> names{"control.sock", "topology.toml"};
  if (!keep_logs) names.emplace_back("simulator.log");
  for (const TestbedHost& host : state.hosts) {
    if (host.name.find('/') != std::string::npos) continue;  // a state file that somebody has changed
    names.insert(names.end(), {host.name + ".sock", "nic-" + host.name + ".sock"});
    if (!keep_logs) names.push_back("hostd-" + host.name + ".log");
  }
  names.insert(names.end(), {"state.json.new", "state.json"});
  for (const std::string& name : names) unlink(file(name).c_str());
}

void RunDirectory::release() const {
  unlink(file("lock").c_str());
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(path_, ignored)) {
    if (entry.path().filename() != kMark) return;
  }
  unlink(file(kMark).c_str());
  rmdir(path_.c_str());
}

RunDirectoryLock::~RunDirectoryLock() { release(); }

void RunDirectoryLock::release() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

Status RunDirectoryLock::acquire(const RunDirectory& directory) {
  const std::string path = directory.file("lock");
  for (int attempt = 0; attempt < 200; ++attempt) {
    fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd_ < 0) return Error{errno, fmt::format("cannot open {}: {}", path, strerror(errno))};
    struct stat held {};
    struct stat named {};
    // Whoever ends a testbed removes the file: a lock on a removed file is none.
    if (flock(fd_, LOCK_EX | LOCK_NB) == 0 && fstat(fd_, &held) == 0 && stat(path.c_str(), &named) == 0 &&
        held.st_ino == named.st_ino) {
      return {};
    }
    release();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return Error{EBUSY,
               fmt::format("another postern command is at work on {}: wait for it and try again", directory.path())};
}

}  // namespace postern::sim
