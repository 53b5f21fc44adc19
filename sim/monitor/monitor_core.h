// What the groups of rules share: the shadow, the time, the log of accesses, reports, deadlines and injected faults.
// Internal to the monitor.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/monitor/boundary_monitor.h"

namespace postern::sim {

class MonitorCore {
 public:
  explicit MonitorCore(MonitorOptions options_in) : options(std::move(options_in)) {}

  // accesses: those of the VI; kNoVi: all.
  void report(Rule rule, uint32_t vi_id, std::string expected, std::string seen);
  // expire() of all groups is called soon after time_ps.
  void arm(uint64_t time_ps) {
    if (time_ps < next_deadline_ps) next_deadline_ps = time_ps;
  }
  [[nodiscard]] uint64_t ps(uint64_t bound_ns) const { return bound_ns * 1000; }

  MonitorOptions options;
  ContractShadow shadow;
  AccessLog log;
  ContractCoverage coverage;
  std::vector<Violation> violations;
  std::array<uint64_t, kRuleCount> counts{};
  uint64_t total = 0;
  uint64_t now_ps = 0;      // of what happens at the device; BAR writes may be ahead
  uint64_t traffic_ps = 0;  // of the last DMA access or frame
  uint64_t next_deadline_ps = ~uint64_t{0};
  bool removed = false;  // surprise removal: the device owes nothing any more
  HostMemoryReader* memory = nullptr;
  BoundaryMonitor::CounterReader counters;
  BoundaryMonitor::Clock clock;
  ViolationListener listener;
};

// Some rules with the state that they need. Told everything that the shadow tells, and what it does not: interrupts,
// frames, reads and faults.
class RuleGroup : public ShadowListener {
 public:
  // wants, dma_kinds, event_types: of the shadow's calls with every packet, see ContractShadow::add_listener().
  RuleGroup(MonitorCore& core, unsigned wants, uint32_t dma_kinds = ContractShadow::kAllDma,
            uint32_t event_types = ContractShadow::kAllEvents)
      : core_(core) {
    core.shadow.add_listener(*this, wants, dma_kinds, event_types);
  }

  virtual void bar_read(uint64_t issue_ps, uint64_t done_ps, unsigned bar, uint64_t offset, uint64_t value,
                        uint32_t bytes) {
    (void)issue_ps, (void)done_ps, (void)bar, (void)offset, (void)value, (void)bytes;
  }
  virtual void interrupt(uint64_t now_ps, uint32_t vector) { (void)now_ps, (void)vector; }
  // A BAR write after the shadow has taken it in.
  virtual void bar_written(uint64_t issue_ps, unsigned bar, uint64_t offset) {
    (void)issue_ps, (void)bar, (void)offset;
  }
  // False: never told of frames.
  [[nodiscard]] virtual bool looks_at_frames() const { return false; }
  virtual void frame_sent(uint64_t now_ps, const FramePtr& frame) { (void)now_ps, (void)frame; }
  virtual void frame_received(uint64_t now_ps, const FramePtr& frame) { (void)now_ps, (void)frame; }
  virtual void link_changed(uint64_t now_ps, bool up) { (void)now_ps, (void)up; }
  virtual void fault_injected(uint64_t now_ps, const InjectedFault& fault) { (void)now_ps, (void)fault; }
  // Deadlines up to now_ps have passed; arm those that remain.
  virtual void expire(uint64_t now_ps) { (void)now_ps; }
  virtual void finish(uint64_t now_ps) { (void)now_ps; }

 protected:
  void report(Rule rule, uint32_t vi_id, std::string expected, std::string seen) {
    core_.report(rule, vi_id, std::move(expected), std::move(seen));
  }
  void situation(Situation situation) { core_.coverage.count(situation); }
  [[nodiscard]] const ContractShadow& shadow() const { return core_.shadow; }
  [[nodiscard]] const MonitorBounds& bounds() const { return core_.options.bounds; }

  MonitorCore& core_;
};

std::unique_ptr<RuleGroup> make_access_rules(MonitorCore& core);    // R1, R2, R12 of doorbells and commands
std::unique_ptr<RuleGroup> make_event_rules(MonitorCore& core);     // R3 (payload before event), R4, R5
std::unique_ptr<RuleGroup> make_wakeup_rules(MonitorCore& core);    // R3 (event before interrupt), R6, R7
std::unique_ptr<RuleGroup> make_dma_rules(MonitorCore& core);       // R8, R10, R12 of descriptors
std::unique_ptr<RuleGroup> make_steering_rules(MonitorCore& core);  // R9
std::unique_ptr<RuleGroup> make_account_rules(MonitorCore& core);   // R11

}  // namespace postern::sim
