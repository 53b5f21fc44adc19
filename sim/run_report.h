// What a run prints: latency by stage, event queues, drops by reason, workloads; as tables for a person and as JSON
// with sorted keys and no wall-clock values, so that equal runs give equal bytes. Plain data in, text out. No SystemC.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "sim/resource_limits.h"
#include "sim/simulation.h"
#include "sim/stage_trace.h"
#include "sim/wakeup_latency.h"
#include "sim/workload.h"
#include "stack/stack.h"

namespace postern::sim {

struct EventQueueReport {
  std::string host;
  uint32_t vi_id = 0;
  uint64_t entries = 0;
  uint64_t events = 0;             // consumed by the host
  uint64_t polls = 0;              // looks of the host at the queue
  uint64_t depth_max = 0;          // most events unconsumed at once
  uint64_t credits_low_water = 0;  // fewest free slots at once
  uint64_t primes = 0;
  uint64_t interrupts = 0;
  uint64_t overflow_marks = 0;
  uint64_t stalls = 0;         // times that something waited for space (policy STALL)
  uint64_t merged_frames = 0;  // announced by events that complete several
  uint64_t holdoff_ns = 0;     // present hold-off time; follows the load if adaptive
  // Events by depth of the queue with them: bucket b counts depths above 2^(b-1) up to 2^b, to 32,768.
  static constexpr size_t kDepthBuckets = 16;
  std::array<uint64_t, kDepthBuckets> depth{};
};

struct HostReport {
  std::string name;
  std::vector<NamedCount> nic;
  std::vector<NamedCount> function;
  std::vector<NamedCount> stack;
  ResourceLimits limits;  // from the start of the workloads to their end
};

struct RunReport {
  std::string scenario;
  uint64_t seed = 0;
  uint64_t simulated_ns = 0;
  uint64_t wire_fingerprint = 0;
  const StageTrace* stages = nullptr;      // may be null: not traced
  const WakeupLatency* wakeups = nullptr;  // likewise
  std::vector<EventQueueReport> event_queues;
  std::vector<HostReport> hosts;
  std::vector<NamedCount> wires;
  std::vector<WorkloadResult> workloads;
};

// Counters of the stack by name.
[[nodiscard]] std::vector<NamedCount> stack_counts(const stack::StackStats& stats);
// An event queue's row, from the NIC's counters and the VI's host-side state.
[[nodiscard]] EventQueueReport event_queue_report(const std::string& host, const ViState& vi,
                                                  const std::vector<NamedCount>& nic_counters);
// Every drop of the run that is not zero: "a.nic.RX_NO_FILTER", "a.stack.udp_queue_full", "link.a-b.forward.lost", ….
[[nodiscard]] std::map<std::string, uint64_t> drops_by_reason(const RunReport& report);

[[nodiscard]] std::string report_json(const RunReport& report);
[[nodiscard]] std::string report_text(const RunReport& report);
// The stage table alone, also for live runs.
[[nodiscard]] std::string stage_table_text(const StageTrace& stages);
[[nodiscard]] std::string stage_table_json(const StageTrace& stages);

}  // namespace postern::sim
