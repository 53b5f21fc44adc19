// Slots, policies, primes and wakeups. See event_queue.h.
#include "hw_model/event_queue.h"

#include <algorithm>

#include "hw_model/agenda.h"
#include "hw_model/msix.h"
#include "hw_model/pcie_link.h"
#include "hw_model/port_statistics.h"
#include "hw_model/ptp_clock.h"
#include "hw_model/rx_dma.h"
#include "hw_model/vi_table.h"

namespace postern::hw_model {

namespace {
uint32_t depth(const Vi& vi) { return vi.evq_producer_idx - vi.evq_consumer_idx; }
bool full(const Vi& vi) { return depth(vi) + vi.evq_reserved_count >= vi.evq_entries; }

// Depth 1 is bucket 0, 2 bucket 1, 3 and 4 bucket 2, and so on by powers of two.
size_t depth_bucket(uint32_t depth) { return depth <= 1 ? 0 : 32u - static_cast<size_t>(__builtin_clz(depth - 1)); }
uint64_t id_and_epoch(const Vi& vi) { return static_cast<uint64_t>(vi.epoch) << 32 | vi.id; }
}  // namespace

EventQueue::EventQueue(NicBlocks& nic)
    : nic_(nic),
      processing_ns_(nic.properties->add({"event_queue.processing_ns", "ns",
                                          "From the decision to write an event, or the write request of the "
                                          "payload before it, to its write request.",
                                          "measured: RTL, make accuracy", 36, 0, 1e6})),
      holdoff_ns_(nic.properties->add({"event_queue.holdoff_ns", "ns",
                                       "Least time between two wakeups of a VI that is allocated with HOLDOFF_NS 0.",
                                       "contract: no moderation unless it is asked for", 0, 0, 4294967295.0})) {}

void EventQueue::configure() {
  processing_ps_ = to_ps(processing_ns_);
  default_holdoff_ps_ = to_ps(holdoff_ns_);
}

Admission EventQueue::admit(Vi& vi) {
  if (!full(vi)) return Admission::kOk;
  switch (vi.evq_policy) {
    case PST_EVQ_POLICY_STALL:
      ++vi.counters.evq_stalls;
      ++nic_.statistics->evq_stalls;
      return Admission::kStall;
    case PST_EVQ_POLICY_DROP:
      vi.overflow_mark = true;
      ++vi.counters.events_dropped;
      ++nic_.statistics->events_dropped;
      return Admission::kDrop;
    default:
      nic_.vi_table->halt(vi, PST_ERROR_SOURCE_EVQ, PST_ERROR_CODE_QUEUE_OVERFLOW, vi.evq_producer_idx);
      return Admission::kHalt;
  }
}

uint32_t EventQueue::take_slot(Vi& vi, pst_event& event) {
  const uint32_t event_idx = vi.evq_producer_idx++;
  const bool odd_pass = (event_idx / vi.evq_entries) & 1;
  pst_event_set_phase(&event, odd_pass ? 0 : 1);
  pst_event_set_overflow_mark(&event, vi.overflow_mark ? 1 : 0);
  if (vi.overflow_mark) ++vi.counters.overflow_marks;
  vi.overflow_mark = false;
  ++vi.counters.events;
  ++nic_.statistics->events;
  vi.counters.evq_depth_max = std::max<uint64_t>(vi.counters.evq_depth_max, depth(vi));
  ++vi.counters.evq_depth[depth_bucket(depth(vi))];
  return event_idx;
}

void EventQueue::reserve(Vi& vi) { ++vi.evq_reserved_count; }

void EventQueue::unreserve(Vi& vi) { --vi.evq_reserved_count; }

void EventQueue::issued(Vi& vi) {
  if (vi.primed) consider_wakeup(vi);
}

uint64_t EventQueue::slot_alignment(const Vi& vi, uint32_t event_idx) {
  return vi.evq_address + static_cast<uint64_t>(event_idx & (vi.evq_entries - 1)) * PST_EVENT_BYTES;
}

bool EventQueue::slot_address(Vi& vi, uint32_t event_idx, uint64_t& host_address) {
  segments_.clear();
  if (!nic_.translation->translate(vi.pd, slot_alignment(vi, event_idx), PST_EVENT_BYTES, true, segments_))
    return false;
  host_address = segments_.front().host_address;  // a slot lies in one page
  return true;
}

void EventQueue::issue(Vi& vi, pst_event event) {
  const uint32_t event_idx = take_slot(vi, event);
  const uint64_t landing =
      nic_.pcie_link->post_write(Agenda::now_ps() + processing_ps_, slot_alignment(vi, event_idx), PST_EVENT_BYTES);
  nic_.agenda->at<&EventQueue::land>(landing, this, event.word[0], event.word[1], id_and_epoch(vi), event_idx);
  issued(vi);
}

void EventQueue::land(uint64_t word0, uint64_t word1, uint64_t vi_and_epoch, uint64_t event_idx) {
  Vi* vi = nic_.vi_table->find(vi_and_epoch & 0xffffffffull);
  if (vi == nullptr || vi->epoch != vi_and_epoch >> 32) return;
  const pst_event event{{word0, word1}};
  uint64_t host_address = 0;
  if (slot_address(*vi, static_cast<uint32_t>(event_idx), host_address) &&
      nic_.pcie_link->memory_write(host_address, &event, PST_EVENT_BYTES, vi->id) == DmaResult::kOk) {
    return;
  }
  // Nobody can be told: the queue itself is out of reach.
  ++nic_.statistics->events_lost;
  if (pst_event_get_type(&event) != PST_EVENT_TYPE_ERROR) {
    write_failed(*vi, static_cast<uint32_t>(event_idx), PST_ERROR_SOURCE_EVQ, PST_ERROR_CODE_DMA_FAULT,
                 static_cast<uint32_t>(event_idx));
  }
}

// What was issued after event_idx comes to nothing; the error event takes its slot, so that the ring has no gap. If the
// VI has halted meanwhile, its error event moves up to there.
void EventQueue::write_failed(Vi& vi, uint32_t event_idx, unsigned source, unsigned code, uint32_t ring_idx) {
  ++vi.epoch;
  if (vi.state != ViState::kRunning && vi.state != ViState::kHalted) return;  // it is being torn down
  vi.evq_producer_idx = event_idx;
  if (static_cast<int32_t>(vi.evq_consumer_idx - event_idx) > 0) vi.evq_consumer_idx = event_idx;
  if (static_cast<int32_t>(vi.prime_idx - event_idx) > 0) vi.prime_idx = event_idx;
  nic_.rx_dma->drop_merge(vi);
  vi.tx_unreported_count = 0;
  vi.tx_reported_idx = vi.tx_completed_idx;
  if (vi.state == ViState::kHalted) return post_error(vi, vi.error_event);
  nic_.vi_table->halt(vi, source, code, ring_idx);
}

void EventQueue::post_tx(Vi& vi) {
  const Admission admission = admit(vi);
  vi.tx_event_pending = admission == Admission::kStall;
  if (admission == Admission::kDrop) vi.tx_unreported_count = 0;
  if (admission != Admission::kOk) return;
  pst_tx_event event{};
  pst_tx_event_set_type(&event, PST_EVENT_TYPE_TX);
  pst_tx_event_set_tx_consumer_idx(&event, vi.tx_completed_idx);
  vi.tx_reported_idx = vi.tx_completed_idx;
  vi.tx_unreported_count = 0;
  issue(vi, {{event.word[0], event.word[1]}});
}

void EventQueue::post_tx_timestamp(Vi& vi, uint64_t first_bit_ps) {
  const Admission admission = admit(vi);
  if (admission == Admission::kStall) vi.tx_event_pending = true;  // the completion is not lost, the time is
  if (admission != Admission::kOk) return;
  pst_tx_event event{};
  pst_tx_event_set_type(&event, PST_EVENT_TYPE_TX);
  pst_tx_event_set_timestamp_valid(&event, 1);
  pst_tx_event_set_timestamp_ns(&event, nic_.ptp_clock->time_ns(first_bit_ps));
  pst_tx_event_set_tx_consumer_idx(&event, vi.tx_completed_idx);
  vi.tx_reported_idx = vi.tx_completed_idx;
  vi.tx_unreported_count = 0;
  issue(vi, {{event.word[0], event.word[1]}});
}

void EventQueue::flush_tx(Vi& vi) {
  if (vi.tx_reported_idx == vi.tx_completed_idx || full(vi)) return;
  post_tx(vi);
}

void EventQueue::post_timer(Vi& vi, uint16_t sequence) {
  const Admission admission = admit(vi);
  vi.timer_pending = admission == Admission::kStall;
  vi.timer_pending_sequence = sequence;
  if (admission != Admission::kOk) return;
  pst_timer_event event{};
  pst_timer_event_set_type(&event, PST_EVENT_TYPE_TIMER);
  pst_timer_event_set_sequence(&event, sequence);
  issue(vi, {{event.word[0], event.word[1]}});
}

void EventQueue::post_error(Vi& vi, const pst_event& event) {
  vi.error_event = event;
  vi.error_pending = full(vi);              // R5 holds for error events too
  if (vi.error_pending) return issued(vi);  // the halt has taken back a wakeup that was planned
  issue(vi, event);
}

void EventQueue::post_wakeup(Vi& target, uint32_t source_vi) {
  const Admission admission = admit(target);
  if (admission == Admission::kStall) {
    auto& pending = target.wakeups_pending;
    if (std::find(pending.begin(), pending.end(), source_vi) == pending.end()) pending.push_back(source_vi);
  }
  if (admission != Admission::kOk) return;
  pst_wakeup_event event{};
  pst_wakeup_event_set_type(&event, PST_EVENT_TYPE_WAKEUP);
  pst_wakeup_event_set_vi_id(&event, source_vi);
  issue(target, {{event.word[0], event.word[1]}});
}

bool EventQueue::consume(Vi& vi, uint32_t consumer_idx) {
  const auto ahead = static_cast<int32_t>(consumer_idx - vi.evq_consumer_idx);
  if (ahead <= 0) return static_cast<uint32_t>(-ahead) <= vi.evq_entries;  // stale: see the header
  if (static_cast<uint32_t>(ahead) > depth(vi)) return false;
  vi.evq_consumer_idx = consumer_idx;
  space_returned(vi);
  return true;
}

void EventQueue::space_returned(Vi& vi) {
  if (vi.error_pending && !full(vi)) {
    vi.error_pending = false;
    issue(vi, vi.error_event);
  }
  if (vi.state == ViState::kRunning && vi.tx_event_pending) post_tx(vi);
  if (vi.state == ViState::kRunning && vi.timer_pending) post_timer(vi, vi.timer_pending_sequence);
  while (vi.state == ViState::kRunning && !vi.wakeups_pending.empty() && !full(vi)) {
    const uint32_t source_vi = vi.wakeups_pending.front();
    vi.wakeups_pending.erase(vi.wakeups_pending.begin());
    post_wakeup(vi, source_vi);
  }
  if (vi.rx_waiting_first != nullptr) nic_.rx_dma->resume(vi);
}

void EventQueue::prime(Vi& vi, uint32_t consumer_idx) {
  ++vi.counters.primes;
  vi.primed = true;
  vi.prime_idx = consumer_idx;
  if (vi.evq_producer_idx == consumer_idx) {  // what a waiting wakeup was for has been consumed
    vi.holdoff_armed = false;
    ++vi.holdoff_generation;
  }
  consider_wakeup(vi);
}

// Fires the wakeup of a primed queue, or plans it, according to the moderation.
void EventQueue::consider_wakeup(Vi& vi) {
  const uint32_t pending_count = vi.evq_producer_idx - vi.prime_idx;
  if (!vi.primed || pending_count == 0) return;
  const uint64_t now = Agenda::now_ps();
  uint64_t due_ps = now;
  if (vi.adaptive) {
    if (vi.woke_before) due_ps = std::max(now, vi.last_wakeup_ps + vi.adaptive_holdoff_ps);
  } else if (vi.holdoff_ps != 0) {
    if (vi.holdoff_events > 1) {
      if (pending_count < vi.holdoff_events) due_ps = now + vi.holdoff_ps;
    } else if (vi.woke_before) {
      due_ps = std::max(now, vi.last_wakeup_ps + vi.holdoff_ps);
    }
  }
  if (due_ps <= now || (vi.state == ViState::kHalted && !vi.error_pending)) return wake(vi);  // an error is urgent
  if (vi.holdoff_armed) return;  // the first event's hold-off counts
  vi.holdoff_armed = true;
  nic_.agenda->at<&EventQueue::holdoff_over>(due_ps, this, vi.id, vi.epoch, ++vi.holdoff_generation);
}

void EventQueue::set_moderation(Vi& vi, uint64_t holdoff_ps, uint32_t holdoff_events, bool adaptive) {
  vi.holdoff_ps = holdoff_ps;
  vi.holdoff_events = holdoff_events;
  vi.adaptive = adaptive;
  vi.adaptive_holdoff_ps = 0;
  vi.holdoff_armed = false;
  ++vi.holdoff_generation;
  consider_wakeup(vi);
}

void EventQueue::holdoff_over(uint64_t vi_id, uint64_t epoch, uint64_t generation, uint64_t) {
  Vi* vi = nic_.vi_table->find(vi_id);
  if (vi == nullptr || vi->epoch != epoch || vi->holdoff_generation != generation) return;
  vi->holdoff_armed = false;
  if (vi->primed) wake(*vi);
}

// The numbers are the contract's: see MODERATION_SET.ADAPTIVE.
void EventQueue::adapt_holdoff(Vi& vi) {
  constexpr uint32_t kManyEvents = 8;
  constexpr uint32_t kFewEvents = 2;
  const uint32_t event_count = vi.evq_producer_idx - vi.woken_producer_idx;
  const uint64_t least_ps = vi.holdoff_ps / 16;
  uint64_t& holdoff_ps = vi.adaptive_holdoff_ps;
  if (event_count >= kManyEvents) {
    holdoff_ps = std::min(holdoff_ps == 0 ? least_ps : 2 * holdoff_ps, vi.holdoff_ps);
  } else if (event_count < kFewEvents) {
    holdoff_ps /= 2;
    if (holdoff_ps < least_ps) holdoff_ps = 0;
  }
}

void EventQueue::wake(Vi& vi) {
  vi.primed = false;  // R7: one wakeup per prime
  vi.holdoff_armed = false;
  ++vi.holdoff_generation;
  if (vi.adaptive) adapt_holdoff(vi);
  vi.woken_producer_idx = vi.evq_producer_idx;
  vi.woke_before = true;
  vi.last_wakeup_ps = Agenda::now_ps();
  if (!vi.wake_to_vi) {
    if (nic_.msix->raise(vi.vector)) ++vi.counters.interrupts;
    return;
  }
  ++vi.counters.wakeup_events;
  Vi* target = nic_.vi_table->running(vi.wake_vi);
  if (target == nullptr || target == &vi) {
    ++nic_.statistics->events_lost;
    return;
  }
  post_wakeup(*target, vi.id);
}

}  // namespace postern::hw_model
