// See tap_namespace.h. iproute2 does the bind mount under /run/netns, so that `ip netns exec` works on the result.
#include "sim/tap_namespace.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

extern char** environ;

namespace postern::sim {
namespace {

// Runs a program and waits for it; its output goes nowhere. Exit status, or -1 if it could not be started.
int run_quietly(const std::vector<std::string>& arguments) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  pid_t pid = 0;
  const int error = posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  int status = 0;
  if (error != 0 || waitpid(pid, &status, 0) != pid) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool has_capability(int number) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0) return false;
  return (data[number / 32].effective >> (number % 32) & 1U) != 0;
}

}  // namespace

bool network_namespace_exists(const std::string& name) { return access(("/run/netns/" + name).c_str(), F_OK) == 0; }

Status network_namespace_create(const std::string& name) {
  if (network_namespace_exists(name)) {
    return Error{EEXIST, fmt::format("network namespace '{}' exists already and is not of this testbed: choose another "
                                     "name in the topology or remove it with `ip netns del {}`",
                                     name, name)};
  }
  if (Status allowed = tap_permission(); !allowed) return allowed;
  if (const int status = run_quietly({"ip", "netns", "add", name}); status != 0) {
    return Error{EPERM, status < 0 ? fmt::format("cannot run `ip netns add {}`: install iproute2", name)
                                   : fmt::format("`ip netns add {}` failed with status {}: a TAP port needs root or "
                                                 "CAP_NET_ADMIN and CAP_SYS_ADMIN",
                                                 name, status)};
  }
  return {};
}

void network_namespace_remove(const std::string& name) {
  if (network_namespace_exists(name)) run_quietly({"ip", "netns", "del", name});
}

Status tap_permission() {
  if (!has_capability(CAP_NET_ADMIN) || !has_capability(CAP_SYS_ADMIN)) {
    return Error{EPERM,
                 "no permission for a TAP port: run postern as root (or with CAP_NET_ADMIN and CAP_SYS_ADMIN), "
                 "or use a topology without a TAP port"};
  }
  const int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  if (fd < 0) {
    return Error{errno,
                 fmt::format("no permission for a TAP port: cannot open /dev/net/tun ({}): load the tun module or "
                             "give the container access to it",
                             strerror(errno))};
  }
  close(fd);
  return {};
}

}  // namespace postern::sim
