// How long wakeups take, as the host sees it: from the event that a primed queue has waited for, visible in memory, to
// the interrupt message at the root complex; and from a prime that found its event there already. Looks at the seam
// only (sim/boundary_observer.h), so it serves every device. Hides which prime an interrupt answers. No SystemC here.
#pragma once

#include "sim/latency_histogram.h"
#include "sim/simulation.h"

namespace postern::sim {

class WakeupLatency {
 public:
  // For Simulation::Options::observers. This object must outlive the simulation.
  [[nodiscard]] ObserverFactory factory();
  // Of all hosts. Hold-off times (R7) are part of both; wakeups of VIs whose events go to another VI are not counted.
  [[nodiscard]] const LatencyHistogram& event_to_interrupt() const { return event_to_interrupt_; }
  [[nodiscard]] const LatencyHistogram& prime_to_interrupt() const { return prime_to_interrupt_; }

 private:
  class Observer;

  LatencyHistogram event_to_interrupt_;
  LatencyHistogram prime_to_interrupt_;
};

}  // namespace postern::sim
