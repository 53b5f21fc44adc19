// Allocation, halt and teardown of VI contexts. See vi_table.h.
#include "hw_model/vi_table.h"

#include <algorithm>
#include <cassert>

#include "hw_model/device_control.h"
#include "hw_model/doorbell.h"
#include "hw_model/event_queue.h"
#include "hw_model/properties.h"
#include "hw_model/rx_dma.h"
#include "hw_model/tx_dma.h"

namespace postern::hw_model {

ViTable::ViTable(NicBlocks& nic, uint32_t vi_count_max)
    : nic_(nic),
      vi_count_property_(nic.properties->add(
          {"vi_table.vi_count", "VIs", "Virtual interfaces that the function exposes; read at reset.",
           "contract: VI_COUNT_MAX", static_cast<double>(vi_count_max), 1, static_cast<double>(vi_count_max)})) {}

void ViTable::configure() {
  if (active_count_ != 0) return;
  vi_count_ = static_cast<uint32_t>(vi_count_property_);
  vis_.resize(vi_count_);
}

void ViTable::reset() {
  for (auto& vi : vis_) {
    if (!vi) continue;
    const uint32_t id = vi->id;
    const uint32_t epoch = vi->epoch + 1;
    *vi = Vi();
    vi->id = id;
    vi->epoch = epoch;
  }
  active_count_ = 0;
  configure();
}

Vi* ViTable::allocate() {
  for (uint32_t id = 0; id < vi_count_; ++id) {
    if (vis_[id] && vis_[id]->state != ViState::kFree) continue;
    if (!vis_[id]) vis_[id] = std::make_unique<Vi>();
    Vi& vi = *vis_[id];
    const uint32_t epoch = vi.epoch + 1;
    const uint32_t teardown_generation = vi.teardown_generation;
    vi = Vi();
    vi.id = id;
    vi.epoch = epoch;
    vi.teardown_generation = teardown_generation;
    vi.state = ViState::kRunning;
    ++active_count_;
    return &vi;
  }
  return nullptr;
}

void ViTable::restart(Vi& vi) {
  Vi fresh;
  fresh.id = vi.id;
  fresh.epoch = vi.epoch + 1;
  fresh.state = ViState::kRunning;
  fresh.teardown_generation = vi.teardown_generation;
  fresh.pd = vi.pd;
  fresh.rx_ring_address = vi.rx_ring_address;
  fresh.tx_ring_address = vi.tx_ring_address;
  fresh.evq_address = vi.evq_address;
  fresh.rx_entries = vi.rx_entries;
  fresh.tx_entries = vi.tx_entries;
  fresh.evq_entries = vi.evq_entries;
  fresh.evq_policy = vi.evq_policy;
  fresh.merge_count = vi.merge_count;
  fresh.rx_merge.generation = vi.rx_merge.generation + 1;
  fresh.rx_prefix = vi.rx_prefix;
  fresh.any_source = vi.any_source;
  fresh.vlan_strip = vi.vlan_strip;
  fresh.weight = vi.weight;
  fresh.rate_limit_mbps = vi.rate_limit_mbps;
  fresh.grants = vi.grants;
  fresh.grant_count = vi.grant_count;
  fresh.vector = vi.vector;
  fresh.wake_to_vi = vi.wake_to_vi;
  fresh.wake_vi = vi.wake_vi;
  fresh.holdoff_ps = vi.holdoff_ps;
  fresh.holdoff_events = vi.holdoff_events;
  fresh.adaptive = vi.adaptive;
  fresh.holdoff_generation = vi.holdoff_generation + 1;
  fresh.timer_generation = vi.timer_generation + 1;
  fresh.counters = vi.counters;
  vi = std::move(fresh);
}

// No pending work of the VI remains planned; TX and RX blocks let go of it.
void ViTable::quiet(Vi& vi) {
  vi.primed = false;
  ++vi.holdoff_generation;
  vi.holdoff_armed = false;
  ++vi.timer_generation;
  vi.timer_pending = false;
  vi.tx_event_pending = false;
  vi.wakeups_pending.clear();
  nic_.tx_dma->discard(vi);
  nic_.rx_dma->discard(vi);
}

void ViTable::stop(Vi& vi) {
  if (vi.state == ViState::kStopping) return;
  vi.state = ViState::kStopping;
  vi.error_pending = false;
  quiet(vi);
  for (const auto& other : vis_) {  // its wakeups that wait for space in another VI's queue (R10)
    if (!other) continue;
    auto& waiting = other->wakeups_pending;
    waiting.erase(std::remove(waiting.begin(), waiting.end(), vi.id), waiting.end());
  }
}

void ViTable::free(Vi& vi) {
  assert(vi.state == ViState::kStopping);
  vi.state = ViState::kFree;
  ++vi.epoch;
  --active_count_;
  for (const auto& other : vis_) {  // whoever gets the number next does not get the wakeups
    if (!other || !other->wake_to_vi || other->wake_vi != vi.id) continue;
    other->wake_vi = kNoVi;
    nic_.control->binding_changed(*other);
  }
}

void ViTable::halt(Vi& vi, unsigned source, unsigned code, uint32_t index) {
  if (vi.state != ViState::kRunning) return;
  nic_.rx_dma->close_merge(vi);  // what arrived before the error is announced before it
  nic_.event_queue->flush_tx(vi);
  vi.state = ViState::kHalted;
  const bool primed = vi.primed;
  quiet(vi);
  vi.primed = primed;  // a sleeper must learn of the error
  pst_error_event event{};
  pst_error_event_set_type(&event, PST_EVENT_TYPE_ERROR);
  pst_error_event_set_source(&event, source);
  pst_error_event_set_code(&event, code);
  pst_error_event_set_index(&event, index);
  nic_.event_queue->post_error(vi, {{event.word[0], event.word[1]}});
}

bool ViTable::domain_in_use(uint32_t pd) const {
  return std::any_of(vis_.begin(), vis_.end(),
                     [pd](const auto& vi) { return vi && vi->state != ViState::kFree && vi->pd == pd; });
}

void ViTable::append_counters(std::vector<sim::Counter>& counters) const {
  for (const auto& vi : vis_) {
    if (!vi || vi->state == ViState::kFree) continue;
    const std::string prefix = "vi" + std::to_string(vi->id) + ".";
    const ViCounters& c = vi->counters;
    counters.push_back({prefix + "events", c.events});
    counters.push_back({prefix + "events_dropped", c.events_dropped});
    counters.push_back({prefix + "interrupts", c.interrupts});
    counters.push_back({prefix + "wakeup_events", c.wakeup_events});
    counters.push_back({prefix + "primes", c.primes});
    counters.push_back({prefix + "tx_packets", c.tx_packets});
    counters.push_back({prefix + "rx_packets", c.rx_packets});
    counters.push_back({prefix + "drops", c.drops});
    counters.push_back({prefix + "evq_stalls", c.evq_stalls});
    counters.push_back({prefix + "overflow_marks", c.overflow_marks});
    counters.push_back({prefix + "merged_events", c.merged_events});
    counters.push_back({prefix + "merged_frames", c.merged_frames});
    counters.push_back({prefix + "holdoff_ns", (vi->adaptive ? vi->adaptive_holdoff_ps : vi->holdoff_ps) / 1000});
    counters.push_back({prefix + "adaptive", vi->adaptive ? 1u : 0u});
    counters.push_back({prefix + "evq_depth_max", c.evq_depth_max});
    counters.push_back({prefix + "credits_low_water", vi->evq_entries - c.evq_depth_max});
    for (size_t bucket = 0; bucket < c.evq_depth.size(); ++bucket) {
      if (c.evq_depth[bucket] == 0) continue;
      counters.push_back({prefix + "evq_depth_le_" + std::to_string(1u << bucket), c.evq_depth[bucket]});
    }
  }
}

}  // namespace postern::hw_model
