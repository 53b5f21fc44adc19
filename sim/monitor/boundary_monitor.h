// The boundary monitor (D8): watches what crosses the seam between a NIC and its host and checks the contract's rules
// R1 to R12, without knowing anything of the NIC's inside. One report per violation, with what led to it. Attach it to
// a sim/boundary_tap.h. What is checked how, and the bounds: docs/monitor.md.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sim/boundary_observer.h"
#include "sim/monitor/access_log.h"
#include "sim/monitor/contract_coverage.h"
#include "sim/monitor/contract_shadow.h"

namespace postern::sim {

enum class Rule : uint8_t { kR1, kR2, kR3, kR4, kR5, kR6, kR7, kR8, kR9, kR10, kR11, kR12, kCount };
constexpr size_t kRuleCount = static_cast<size_t>(Rule::kCount);
[[nodiscard]] const char* rule_name(Rule rule);  // "R1"

// How long a device may take, and how far two times may be apart and still count as equal. assumed: each is several
// times what the model needs under full load, and short against what a defect costs (for ever).
struct MonitorBounds {
  uint64_t wakeup_ns = 1000000;         // R6: from prime, event or end of the hold-off to the wakeup at the host
  uint64_t error_ns = 20000000;         // R8, R12: from the cause to the error event
  uint64_t command_ns = 100000000;      // R12: from a command's read to its completion
  uint64_t in_flight_ns = 50000;        // what was under way when a doorbell was written or a VI halted
  uint64_t moderation_slack_ns = 5000;  // R7: jitter of the way to the host, on which payload may be queued
  uint64_t read_timeout_ns = 10000000;  // of a DMA read that gets no answer
  uint64_t quiescent_ns = 200000;       // R11: after so long without traffic all frames are accounted for
};

struct MonitorOptions {
  std::string name;           // of the NIC, for reports
  uint64_t port_address = 0;  // MAC address as in FUNCTION.MAC_ADDRESS; 0: learn it from a read of that register
  MonitorBounds bounds;
  size_t reports_max = 100;     // beyond it violations are counted only
  size_t report_accesses = 16;  // per report
};

struct Violation {
  static constexpr uint32_t kNoVi = 0xffffffff;
  uint64_t time_ps = 0;
  uint32_t vi_id = kNoVi;
  Rule rule = Rule::kR1;
  std::string expected, seen;
  std::vector<std::string> accesses;  // oldest first
};
[[nodiscard]] std::string describe(const Violation& violation);
using ViolationListener = std::function<void(const Violation&)>;
using HostViolationListener = std::function<void(uint32_t host_idx, const Violation&)>;

class MonitorCore;
class RuleGroup;

class BoundaryMonitor : public BoundaryObserver {
 public:
  explicit BoundaryMonitor(MonitorOptions options = {});
  ~BoundaryMonitor() override;

  // The counters of the device by name, for R11: asked for when the run is over. None: only STATISTICS_READ counts.
  using CounterReader = std::function<std::vector<std::pair<std::string, uint64_t>>()>;
  void set_counter_reader(CounterReader reader);
  // Before the simulation starts.
  void set_bounds(const MonitorBounds& bounds);
  // Told of each violation that becomes a report, when it does.
  void set_violation_listener(ViolationListener listener);
  // Simulated time in picoseconds, for R11 before a reset: the host's writes may be ahead of it. None: not judged then.
  using Clock = std::function<uint64_t()>;
  void set_clock(Clock clock);
  // Host memory, for what software does to event rings (R4). Must outlive this object. None: not checked.
  void set_memory_reader(HostMemoryReader* reader);

  [[nodiscard]] const ContractShadow& shadow() const;
  [[nodiscard]] uint64_t violation_count() const;
  [[nodiscard]] uint64_t violation_count(Rule rule) const;
  [[nodiscard]] const std::vector<Violation>& violations() const;
  [[nodiscard]] const ContractCoverage& coverage() const;
  // Counts per rule and all reports; empty if there is nothing to report.
  [[nodiscard]] std::string text() const;
  // {"nic", "violations", "rules": {"R1": n, ...}, "reports": [...]}
  [[nodiscard]] std::string json() const;

  // BoundaryObserver
  void bar_written(uint64_t issue_ps, unsigned bar, uint64_t offset, const uint8_t* data, uint32_t bytes) override;
  void bar_read(uint64_t issue_ps, uint64_t done_ps, unsigned bar, uint64_t offset, const uint8_t* data,
                uint32_t bytes) override;
  void dma_read(uint64_t now_ps, uint64_t address, const uint8_t* data, uint32_t bytes, bool reached) override;
  void dma_written(uint64_t now_ps, uint64_t address, const uint8_t* data, uint32_t bytes, bool reached) override;
  void interrupt(uint64_t now_ps, uint32_t vector) override;
  void frame_sent(uint64_t now_ps, const FramePtr& frame) override;
  void frame_received(uint64_t now_ps, const FramePtr& frame) override;
  void link_changed(uint64_t now_ps, bool up) override;
  void function_reset(uint64_t now_ps) override;
  void fault_injected(uint64_t now_ps, const InjectedFault& fault) override;
  void finish(uint64_t now_ps) override;

 private:
  void advance(uint64_t now_ps);

  std::unique_ptr<MonitorCore> core_;
  std::unique_ptr<ShadowListener> dma_logger_;
  std::vector<std::unique_ptr<RuleGroup>> groups_;
  std::vector<RuleGroup*> frame_groups_;  // of groups_, those that look at frames
};

}  // namespace postern::sim
