// `postern exec`: an unmodified program whose sockets live on a simulated host's NIC.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "sim/cli_verbs.h"

namespace postern::sim {
namespace {

Error unknown_host(const TestbedState& state, const std::string& host) {
  std::string known;
  for (const TestbedHost& entry : state.hosts) known += (known.empty() ? "" : ", ") + entry.name;
  return Error{ENOENT, fmt::format("no host '{}' in this testbed: its hosts are {}", host, known)};
}

// The hostd of the host if it runs.
Status check_hostd(const TestbedState& state, const std::string& host, const RunDirectory& directory) {
  for (const TestbedProcess& process : state.processes) {
    if (process.role == "hostd" && process.host == host && process_alive(process.id)) return {};
  }
  return Error{EIO, fmt::format("hostd of host '{}' does not run (see {}): restart the testbed with `postern down` and "
                                "`postern up`",
                                host, directory.log("hostd-" + host))};
}

}  // namespace

int cli_exec(const std::string& run_dir, const std::string& host, const std::vector<std::string>& program) {
  if (program.empty()) {
    return cli_fail(
        {EINVAL, fmt::format("which program? Example: postern exec {} -- curl http://10.9.0.2:8000/", host)});
  }
  const RunDirectory directory(run_dir);
  Result<TestbedState> state = testbed_state(directory);
  if (!state) return cli_fail(state.error());
  if (state->find_host(host) == nullptr) return cli_fail(unknown_host(*state, host));
  if (Status status = check_hostd(*state, host, directory); !status) return cli_fail(status.error());
  Result<std::string> library = find_preload_library();
  if (!library) return cli_fail(library.error());

  if (library->find_first_of(" :") != std::string::npos) {  // ld.so(8) separates libraries by these
    return cli_fail({EINVAL, fmt::format("the path of {} has a space or a colon, which LD_PRELOAD cannot express: move "
                                         "or install Postern to a path without them",
                                         *library)});
  }
  const char* before = getenv("LD_PRELOAD");
  const std::string preload = before != nullptr && *before != '\0' ? *library + ":" + before : *library;
  setenv("LD_PRELOAD", preload.c_str(), 1);
  setenv("POSTERN_HOSTD", directory.hostd_socket(host).c_str(), 1);
  setenv("POSTERN_RUN_DIR", directory.path().c_str(), 1);
  std::vector<char*> argv;
  for (const std::string& argument : program) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  execvp(argv[0], argv.data());
  const int error = errno;
  if (error == ENOENT) {
    cli_fail({error, fmt::format("program '{}' not found: check its name, or give its path", program[0])});
    return 127;
  }
  cli_fail({error, fmt::format("cannot execute '{}': {}", program[0], strerror(error))});
  return 126;
}

}  // namespace postern::sim
