// Writes the coverage of a process's Verilated models when the process ends: one file per program in Verilator's own
// format, to which each process adds its counts, so that hundreds of test processes leave a few files.
#include "rtl/coverage/verilated_coverage.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <string>

namespace postern::rtl {
namespace {

// By the text that Verilator puts before the count: "C 'keys and values'".
using Counts = std::map<std::string, uint64_t>;

pid_t registered_process = 0;

const char* folder() { return std::getenv("POSTERN_RTL_COVERAGE_DIR"); }

// A process that tests others can still end with their status; what must not happen is that coverage is lost in
// silence.
[[noreturn]] void give_up(const std::string& what) {
  std::cerr << "RTL coverage: " << what << ": " << std::strerror(errno) << "\n";
  std::_Exit(EXIT_FAILURE);
}

// Adds the counts of a file; one that is not there has none.
void add_file(const std::string& path, Counts& counts) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    const size_t end = line.rfind("' ");
    if (line.starts_with("C '") && end != std::string::npos) {
      counts[line.substr(0, end + 1)] += std::strtoull(line.c_str() + end + 2, nullptr, 10);
    }
  }
}

void write_file(const std::string& path, const Counts& counts) {
  std::ofstream file(path);
  file << "# SystemC::Coverage-3\n";
  for (const auto& [point, count] : counts) {
    file << point << ' ' << count << '\n';
  }
  file.close();
  if (!file) {
    give_up("cannot write " + path);
  }
}

void lock_exclusively(const std::string& path) {
  const int lock = open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
  if (lock < 0) {
    give_up("cannot open " + path);
  }
  while (flock(lock, LOCK_EX) != 0) {
    if (errno != EINTR) {
      give_up("cannot lock " + path);
    }
  }
}

// Runs at exit. The lock is held by one process at a time, and ends with it; readers never see half a file. A child
// that was forked later has its parent's counts, which only the parent may add.
void write_at_exit() {
  if (getpid() != registered_process) {
    return;
  }
  const std::string path = std::string(folder()) + "/" + program_invocation_short_name + ".dat";
  const std::string own = path + "." + std::to_string(getpid());
  coverage_points()->write(own.c_str());
  lock_exclusively(path + ".lock");
  Counts counts;
  add_file(own, counts);
  add_file(path, counts);
  write_file(own, counts);
  if (std::rename(own.c_str(), path.c_str()) != 0) {
    give_up("cannot rename " + own);
  }
}

}  // namespace

VerilatedCovContext* coverage_points() {
  static auto* const context = [] {
    if (folder() != nullptr) {
      registered_process = getpid();
      std::atexit(write_at_exit);
    }
    return new VerilatedContext;  // outlives every static object, so that a model may end at any time
  }();
  return context->coveragep();
}

}  // namespace postern::rtl
