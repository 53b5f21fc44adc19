// Checks of the options. See wave_options.h.
#include "sim/wave_options.h"

#include <cerrno>
#include <filesystem>

#include "sim/trace/trace_window.h"

namespace postern::sim {

namespace {

constexpr uint64_t kPsPerUs = 1'000'000;

Result<WavePlan> plan_around_violation(const WaveOptions& options) {
  if (options.path.empty()) {
    return Error{EINVAL, "--wave-around-violation: expected --wave FILE.fst with it, where the waves are to go"};
  }
  if (!options.from_us.empty() || !options.for_us.empty()) {
    return Error{
        EINVAL, "--wave-around-violation chooses the window itself; leave out --wave-from-us and --wave-for-us, or it"};
  }
  const Result<uint64_t> before_us = whole_us("--wave-around-violation", options.around_violation_us, 0);
  if (!before_us) return before_us.error();
  WavePlan plan;
  plan.request.path = options.path;
  plan.request.only_check = true;  // the run with the waves is another
  plan.around_violation = true;
  plan.before_ps = before_us.value() * kPsPerUs;
  return plan;
}

}  // namespace

Result<WavePlan> plan_waves(const WaveOptions& options) {
  if (!options.around_violation_us.empty()) return plan_around_violation(options);
  WavePlan plan;
  if (options.path.empty()) return plan;
  constexpr uint64_t kNoBound = 0;  // of events: waves have none
  const Result<TraceWindow> window = TraceWindow::parse(options.from_us, options.for_us, kNoBound, "--wave");
  if (!window) return window.error();
  plan.request.path = options.path;
  plan.request.from_ps = window.value().from_us * kPsPerUs;
  plan.request.until_ps = plan.request.from_ps + window.value().for_us * kPsPerUs;
  return plan;
}

std::vector<std::string> wave_files(const std::string& path, const std::vector<std::string>& rtl_hosts) {
  if (rtl_hosts.size() == 1) return {path};
  const std::filesystem::path whole(path);
  std::vector<std::string> files;
  for (const std::string& host : rtl_hosts) {
    files.push_back(whole.parent_path() / (whole.stem().string() + "." + host + whole.extension().string()));
  }
  return files;
}

}  // namespace postern::sim
