// Waves of the time around the first violation of a run. When it is known it is too late to record what led to it, so a
// second process waits from before the simulation is built; told of the violation, it repeats the run, which is
// deterministic, records the window and ends with it. All else that a run leaves is the first process's. No SystemC
// here.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "driver/result.h"
#include "sim/monitor/boundary_monitor.h"
#include "sim/wave_options.h"

namespace postern::sim {

class ViolationWaves {
 public:
  // Repeats the run, with monitors, these waves and this listener, up to request.until_ps, and leaves complete files.
  // Writes nothing else. An error is told only if the violation was not met.
  using Repeat = std::function<Status(const WaveRequest& request, const HostViolationListener& violated)>;

  ViolationWaves() = default;
  ~ViolationWaves();  // ends the second process if nobody waits for it
  ViolationWaves(const ViolationWaves&) = delete;
  ViolationWaves& operator=(const ViolationWaves&) = delete;

  // Starts the second process, which calls repeat in it if there is a violation. Before anything of SystemC, before any
  // file is open and with one thread only.
  [[nodiscard]] Status start(const WavePlan& plan, Repeat repeat);
  // For the first run: the first call sends the second process on its way, at once.
  [[nodiscard]] HostViolationListener listener();
  // There was a violation.
  [[nodiscard]] bool called_for() const { return first_.met != 0; }
  // After the first run: waits until the waves are complete, which takes no longer than that run did with waves. The
  // value is a line that says what was recorded, or that there was no violation; files: those of the waves, which it
  // names. Errors: the repeated run failed, met another violation or none, or its process died.
  [[nodiscard]] Result<std::string> finish(const std::function<std::string(uint32_t host_idx)>& host_name,
                                           const std::vector<std::string>& files);

 private:
  // What identifies a violation; crosses the pipes.
  struct Met {
    uint64_t time_ps = 0;
    uint32_t host_idx = 0, vi_id = 0;
    uint32_t rule = 0;
    uint32_t met = 0;  // 0: none, and the rest means nothing
  };
  struct Report {
    Met violation;
    char error[512] = {};  // of the repeated run; zero-terminated
  };

  [[noreturn]] void serve(const Repeat& repeat);
  [[nodiscard]] WaveRequest window(const Met& violation) const;
  void tell();
  [[nodiscard]] static Met met(uint32_t host_idx, const Violation& violation);
  [[nodiscard]] static bool same(const Met& a, const Met& b);
  [[nodiscard]] static std::string describe(const Met& violation, const std::string& host);

  WavePlan plan_;
  Met first_;
  pid_t child_ = -1;
  int order_fd_ = -1, report_fd_ = -1;  // in each process its own ends
};

}  // namespace postern::sim
