// Primes, events and interrupts, matched per VI. See wakeup_latency.h.
#include "sim/wakeup_latency.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "sim/monitor/contract_shadow.h"

namespace postern::sim {

class WakeupLatency::Observer : public ContractShadow, private ShadowListener {
 public:
  explicit Observer(WakeupLatency& latency) : latency_(latency) { add_listener(*this, kWantsEvents); }

  void interrupt(uint64_t now_ps, uint32_t vector) override {
    const auto found = std::find_if(waits_.begin(), waits_.end(), [&](const Wait& wait) {
      const ShadowVi* one = vi(wait.vi_id);
      return wait.event_ps != 0 && one->exists() && one->generation == wait.generation && !one->wake_to_vi &&
             one->vector == vector;
    });
    if (found == waits_.end()) return;  // of the admin queue
    if (found->event_ps > found->prime_ps) {
      latency_.event_to_interrupt_.add(now_ps - found->event_ps);
    } else if (now_ps > found->prime_ps) {  // else it answers the prime before this one, which is still on its way
      latency_.prime_to_interrupt_.add(now_ps - found->prime_ps);
    } else {
      return;
    }
    waits_.erase(found);
  }

 private:
  struct Wait {  // a prime without an interrupt so far
    uint32_t vi_id;
    uint32_t generation;
    uint32_t prime_idx;
    uint64_t prime_ps;
    uint64_t event_ps;  // when the event beyond prime_idx was written; 0: not yet
  };

  void doorbell(uint64_t issue_ps, const ShadowVi& vi, uint32_t offset, uint64_t value, bool repeated) override {
    if (offset != PST_VI_EVQ_PRIME_OFFSET || repeated || (value & PST_VI_EVQ_PRIME_SEQUENCE_MASK) == 0) return;
    const auto prime_idx = static_cast<uint32_t>(value);
    waits_.erase(std::remove_if(waits_.begin(), waits_.end(), [&](const Wait& wait) { return wait.vi_id == vi.id; }),
                 waits_.end());
    const bool there = static_cast<int32_t>(vi.events_written - prime_idx) > 0;
    waits_.push_back({vi.id, vi.generation, prime_idx, issue_ps, there ? issue_ps : 0});
  }

  void event_written(uint64_t now_ps, const ShadowVi& vi, uint32_t event_idx, bool in_order,
                     const pst_event&) override {
    if (!in_order) return;
    for (Wait& wait : waits_) {
      if (wait.vi_id != vi.id || wait.event_ps != 0) continue;
      if (wait.generation == vi.generation && static_cast<int32_t>(event_idx - wait.prime_idx) >= 0)
        wait.event_ps = now_ps;
    }
  }

  WakeupLatency& latency_;
  std::vector<Wait> waits_;  // at most one per VI
};

ObserverFactory WakeupLatency::factory() {
  return [this](const ObserverSite&) -> std::shared_ptr<BoundaryObserver> { return std::make_shared<Observer>(*this); };
}

}  // namespace postern::sim
