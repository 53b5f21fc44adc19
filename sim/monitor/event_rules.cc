// R3 (payload before its event), R4 (phase and order of events, who writes the ring), R5 (full queues).
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "sim/monitor/monitor_core.h"

namespace postern::sim {

namespace {

class EventRules : public RuleGroup {
 public:
  explicit EventRules(MonitorCore& core)
      : RuleGroup(core, ContractShadow::kWantsDma | ContractShadow::kWantsEvents,
                  ContractShadow::dma_kind(true, DmaTarget::kRxBuffer) |
                      ContractShadow::dma_kind(true, DmaTarget::kEventQueue)),
        vis_(PST_LIMIT_VI_COUNT_MAX) {}

  void dma(const DmaAccess& access) override;
  void doorbell(uint64_t issue_ps, const ShadowVi& vi, uint32_t offset, uint64_t value, bool repeated) override;
  void event_written(uint64_t now_ps, const ShadowVi& vi, uint32_t event_idx, bool in_order,
                     const pst_event& event) override;

 private:
  struct ViState {
    uint32_t generation = 0;
    bool halted = false;  // its error event was written
    bool mark_seen = false;
    bool full_seen = false;  // the queue may have been full since the last event
    // The consumer index as it was at least half a turn of kSampleBound ago: what the device is sure to know by then.
    uint32_t consumer_old = 0, consumer_sample = 0;
    uint64_t sampled_ps = 0;
    std::vector<uint32_t> written;  // bytes by RX slot since the descriptor was posted
    std::vector<pst_event> events;  // as the device wrote them, by slot
  };

  ViState& state_of(const ShadowVi& vi) {
    ViState& state = vis_[vi.id];
    if (state.generation != vi.generation) {
      state = ViState();
      state.generation = vi.generation;
    }
    return state;
  }
  void sample_consumer(ViState& state, const ShadowVi& vi);
  void check_place(const ShadowVi& vi, const ViState& state, uint32_t event_idx, bool in_order, const pst_event& event);
  void check_mark(const ShadowVi& vi, ViState& state, const pst_event& event);
  void check_receive(const ShadowVi& vi, ViState& state, const pst_event& event);
  void check_transmit(const ShadowVi& vi, const pst_event& event);
  void check_ring_untouched(const ShadowVi& vi, const ViState& state, uint32_t consumer_idx);

  std::vector<ViState> vis_;
  std::vector<ShadowSegment> segments_;
};

void EventRules::dma(const DmaAccess& access) {
  const DmaOwner& owner = access.owner;
  if (owner.target == DmaTarget::kRxBuffer) {
    if (!access.reached) return;
    const ShadowVi& vi = *shadow().vi(owner.vi_id);
    ViState& state = state_of(vi);
    if (state.written.empty()) state.written.resize(vi.rx_entries);
    state.written[owner.index & (vi.rx_entries - 1)] += access.bytes;
    if (owner.index != vi.rx_consumer_idx && owner.offset_bytes == 0) situation(Situation::kR3ScatteredPayload);
  } else if (owner.offset_bytes != 0 || access.bytes % PST_EVENT_BYTES != 0) {
    report(Rule::kR4, owner.vi_id, "whole events of 16 bytes at once",
           fmt::format("{} bytes at byte {} of slot {}", access.bytes, owner.offset_bytes, owner.index));
  }
}

void EventRules::sample_consumer(ViState& state, const ShadowVi& vi) {
  if (core_.now_ps < state.sampled_ps + core_.ps(bounds().in_flight_ns)) return;
  state.consumer_old = state.consumer_sample;
  state.consumer_sample = vi.evq_consumer_idx;
  state.sampled_ps = core_.now_ps;
}

// The slots that the host gives back must hold what the device wrote there: software never writes the ring.
void EventRules::check_ring_untouched(const ShadowVi& vi, const ViState& state, uint32_t consumer_idx) {
  if (core_.memory == nullptr || state.events.empty() || vi.state != ShadowViState::kRunning) return;
  const uint32_t last_idx = consumer_idx - 1;
  if (vi.events_written - consumer_idx >= vi.evq_entries || consumer_idx == vi.evq_consumer_idx) return;
  segments_.clear();
  const uint32_t slot = last_idx & (vi.evq_entries - 1);
  if (!shadow().translate(vi.domain, vi.evq_address + uint64_t{slot} * PST_EVENT_BYTES, PST_EVENT_BYTES, segments_))
    return;
  pst_event found{};
  if (!core_.memory->read_host_memory(segments_[0].host_address, &found, sizeof found)) return;
  if (std::memcmp(&found, &state.events[slot], sizeof found) == 0) return;
  report(Rule::kR4, vi.id, fmt::format("slot {} as the device wrote it: {}", slot, describe_event(state.events[slot])),
         fmt::format("software has changed it: {}", describe_event(found)));
}

void EventRules::doorbell(uint64_t, const ShadowVi& vi, uint32_t offset, uint64_t value, bool repeated) {
  if (repeated || (offset != PST_VI_EVQ_CONSUMER_OFFSET && offset != PST_VI_EVQ_PRIME_OFFSET)) return;
  ViState& state = state_of(vi);
  const auto index = static_cast<uint32_t>(value);
  if (static_cast<int32_t>(index - vi.evq_consumer_idx) < 0) situation(Situation::kR4StaleConsumer);
  if (vi.events_written - vi.evq_consumer_idx >= vi.evq_entries) {
    state.full_seen = true;
    situation(Situation::kR5QueueFull);
    if (vi.evq_policy == PST_EVQ_POLICY_STALL && index != vi.evq_consumer_idx) situation(Situation::kR5StallThenSpace);
  }
  if (offset == PST_VI_EVQ_PRIME_OFFSET && index != vi.evq_consumer_idx) situation(Situation::kR4SpaceReturnedByPrime);
  if (static_cast<int32_t>(index - vi.evq_consumer_idx) > 0) check_ring_untouched(vi, state, index);
  sample_consumer(state, vi);
}

void EventRules::check_place(const ShadowVi& vi, const ViState& state, uint32_t event_idx, bool in_order,
                             const pst_event& event) {
  if (!in_order) {
    const bool again = static_cast<int32_t>(event_idx - vi.events_written) < 0;
    const bool unconsumed = again && static_cast<int32_t>(event_idx - vi.evq_consumer_idx) >= 0;
    report(unconsumed ? Rule::kR5 : Rule::kR4, vi.id,
           fmt::format("the next event in slot {}", vi.events_written & (vi.evq_entries - 1)),
           fmt::format("{} in slot {}{}", describe_event(event), event_idx & (vi.evq_entries - 1),
                       unconsumed ? ", which holds an event that was not consumed" : ""));
    return;
  }
  if (event_idx - vi.evq_consumer_idx >= vi.evq_entries) {
    report(Rule::kR5, vi.id,
           fmt::format("no event beyond index {}: {} entries, consumer index {}",
                       vi.evq_consumer_idx + vi.evq_entries - 1, vi.evq_entries, vi.evq_consumer_idx),
           fmt::format("event {} overwrites one that was not consumed: {}", event_idx, describe_event(event)));
  }
  const uint64_t phase = event_idx / vi.evq_entries % 2 == 0 ? 1 : 0;
  if (phase == 0) situation(Situation::kR4PhaseTurned);
  if (pst_event_get_phase(&event) != phase)
    report(Rule::kR4, vi.id, fmt::format("PHASE {} in event {}", phase, event_idx), describe_event(event));
  const uint64_t type = pst_event_get_type(&event);
  if (type == 0 || type > PST_EVENT_TYPE_WAKEUP)
    report(Rule::kR4, vi.id, "an event of a type that EVENT_TYPE defines", describe_event(event));
  if (state.halted) report(Rule::kR12, vi.id, "no event behind the error event of a halted VI", describe_event(event));
}

void EventRules::check_mark(const ShadowVi& vi, ViState& state, const pst_event& event) {
  const bool marked = pst_event_get_overflow_mark(&event) != 0;
  // Full as the device may have seen it: consumer doorbells take time to arrive.
  const bool may_be_full = state.full_seen || vi.events_written - state.consumer_old >= vi.evq_entries;
  if (marked) {
    if (vi.evq_policy != PST_EVQ_POLICY_DROP) {
      report(Rule::kR5, vi.id, "no OVERFLOW_MARK under a policy other than DROP", describe_event(event));
    } else if (!may_be_full) {
      report(Rule::kR5, vi.id, "no OVERFLOW_MARK: the queue was not full since the last event", describe_event(event));
    }
    situation(Situation::kR5DropThenMark);
  }
  state.full_seen = false;
}

void EventRules::check_receive(const ShadowVi& vi, ViState& state, const pst_event& event) {
  const pst_rx_event rx{{event.word[0], event.word[1]}};
  const auto end_idx = static_cast<uint32_t>(pst_rx_event_get_rx_consumer_idx(&rx));
  const auto count = static_cast<uint32_t>(pst_rx_event_get_desc_count(&rx));
  const bool merged = pst_rx_event_get_merged(&rx) != 0;
  if (end_idx - vi.rx_consumer_idx != count || static_cast<int32_t>(vi.rx_fetched_idx - end_idx) < 0) {
    report(Rule::kR3, vi.id,
           fmt::format("RX_CONSUMER_IDX {} + DESC_COUNT, at most the {} descriptors that were read", vi.rx_consumer_idx,
                       vi.rx_fetched_idx),
           describe_event(event));
    return;
  }
  if (merged && (vi.merge_count < 2 || count > vi.merge_count || pst_rx_event_get_length_bytes(&rx) != 0)) {
    report(Rule::kR3, vi.id,
           fmt::format("a merged event of at most MERGE_COUNT {} frames and LENGTH_BYTES 0", vi.merge_count),
           describe_event(event));
  }
  uint64_t written = 0;
  for (uint32_t idx = vi.rx_consumer_idx; idx != end_idx; ++idx) {
    if (state.written.empty()) break;
    uint32_t& bytes = state.written[idx & (vi.rx_entries - 1)];
    if (merged && bytes < PST_LIMIT_RX_PREFIX_BYTES) {
      report(Rule::kR3, vi.id, fmt::format("prefix and frame in descriptor {} before the event", idx),
             fmt::format("{} bytes written", bytes));
    }
    written += bytes;
    bytes = 0;
  }
  if (merged) {
    situation(Situation::kR3MergedPayload);
    return;
  }
  const uint64_t due = pst_rx_event_get_length_bytes(&rx) +
                       (pst_rx_event_get_prefix_present(&rx) ? uint64_t{PST_LIMIT_RX_PREFIX_BYTES} : 0);
  situation(Situation::kR3PayloadBeforeEvent);
  const bool prefix_cut = pst_rx_event_get_length_bytes(&rx) == 0;
  if (written < due && !prefix_cut) {
    report(Rule::kR3, vi.id, fmt::format("{} bytes of payload before the event that announces them", due),
           fmt::format("{} bytes written", written));
  }
}

void EventRules::check_transmit(const ShadowVi& vi, const pst_event& event) {
  const pst_tx_event tx{{event.word[0], event.word[1]}};
  const auto end_idx = static_cast<uint32_t>(pst_tx_event_get_tx_consumer_idx(&tx));
  const auto ahead = static_cast<int32_t>(end_idx - vi.tx_consumer_idx);
  if (ahead >= 0 && static_cast<int32_t>(vi.tx_fetched_idx - end_idx) >= 0) return;
  report(
      Rule::kR3, vi.id,
      fmt::format("TX_CONSUMER_IDX from {} up to {}, what the device has read", vi.tx_consumer_idx, vi.tx_fetched_idx),
      describe_event(event));
}

void EventRules::event_written(uint64_t, const ShadowVi& vi, uint32_t event_idx, bool in_order,
                               const pst_event& event) {
  ViState& state = state_of(vi);
  check_place(vi, state, event_idx, in_order, event);
  if (!in_order) return;
  check_mark(vi, state, event);
  if (state.events.empty()) state.events.resize(vi.evq_entries);
  state.events[event_idx & (vi.evq_entries - 1)] = event;
  sample_consumer(state, vi);
  switch (pst_event_get_type(&event)) {
    case PST_EVENT_TYPE_RX:
      return check_receive(vi, state, event);
    case PST_EVENT_TYPE_TX:
      return check_transmit(vi, event);
    case PST_EVENT_TYPE_ERROR: {
      state.halted = true;
      const pst_error_event error{{event.word[0], event.word[1]}};
      if (pst_error_event_get_code(&error) != PST_ERROR_CODE_QUEUE_OVERFLOW) return;
      situation(Situation::kR5Halt);
      if (vi.evq_policy != PST_EVQ_POLICY_HALT)
        report(Rule::kR5, vi.id, "QUEUE_OVERFLOW under policy HALT only", describe_event(event));
      return;
    }
    default:
      return;
  }
}

}  // namespace

std::unique_ptr<RuleGroup> make_event_rules(MonitorCore& core) { return std::make_unique<EventRules>(core); }

}  // namespace postern::sim
