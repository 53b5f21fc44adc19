// Verilator's FST tracing. See wave_file.h.
#include "rtl/device/wave_file.h"

#include "rtl/device/verilated_top.h"

#ifdef POSTERN_RTL_WAVES
#include <verilated_fst_c.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#endif

namespace postern::rtl_device {

#ifdef POSTERN_RTL_WAVES

struct WaveFile::Trace {
  VerilatedFstC file;
  uint64_t from_ps = 0, until_ps = 0;
};

WaveFile::WaveFile() = default;

WaveFile::~WaveFile() {
  if (trace_ != nullptr) trace_->file.close();
}

std::string WaveFile::open(Vpst_nic_top& top, const sim::WaveRequest& request) {
  // Verilator ends the process where it cannot write.
  const bool existed = std::filesystem::exists(request.path);
  std::FILE* probe = std::fopen(request.path.c_str(), "abe");
  if (probe == nullptr) {
    return "cannot write " + request.path + ": " + std::strerror(errno) + "; choose a path in a writable directory";
  }
  (void)std::fclose(probe);
  if (request.only_check) {
    // An older file would pass for this run's. What is no plain file (/dev/null) stays.
    if (!existed || std::filesystem::is_regular_file(request.path)) (void)std::remove(request.path.c_str());
    return {};
  }
  constexpr int kAllLevels = 99;
  trace_ = std::make_unique<Trace>();
  trace_->from_ps = request.from_ps;
  trace_->until_ps = request.until_ps;
  trace_->file.set_time_unit("1ps");
  trace_->file.set_time_resolution("1ps");
  top.contextp()->traceEverOn(true);
  top.trace(&trace_->file, kAllLevels);
  trace_->file.open(request.path.c_str());
  return {};
}

void WaveFile::sample(uint64_t time_ps) {
  if (trace_ == nullptr || time_ps < trace_->from_ps) return;
  if (time_ps <= trace_->until_ps) return trace_->file.dump(time_ps);
  trace_->file.close();
  trace_.reset();
}

#else

struct WaveFile::Trace {};

WaveFile::WaveFile() = default;
WaveFile::~WaveFile() = default;

std::string WaveFile::open(Vpst_nic_top&, const sim::WaveRequest&) {
  return "this build's RTL has no waves; configure it with -DPOSTERN_RTL_WAVES=ON (cmake --preset release)";
}

void WaveFile::sample(uint64_t) {}

#endif

}  // namespace postern::rtl_device
