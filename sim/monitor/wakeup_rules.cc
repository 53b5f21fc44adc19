// R6 (no lost wakeup), R7 (one wakeup per prime, moderated), R3 (the event before its interrupt).
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "sim/monitor/monitor_core.h"

namespace postern::sim {

namespace {

constexpr uint64_t kUndelayedNs = 1000;  // a wakeup that nothing holds up takes less, as the model has it

class WakeupRules : public RuleGroup {
 public:
  explicit WakeupRules(MonitorCore& core)
      : RuleGroup(core, ContractShadow::kWantsEvents), vis_(PST_LIMIT_VI_COUNT_MAX) {}

  void doorbell(uint64_t issue_ps, const ShadowVi& vi, uint32_t offset, uint64_t value, bool repeated) override;
  void event_written(uint64_t now_ps, const ShadowVi& vi, uint32_t event_idx, bool in_order,
                     const pst_event& event) override;
  void interrupt(uint64_t now_ps, uint32_t vector) override;
  void bar_written(uint64_t issue_ps, unsigned bar, uint64_t offset) override;
  void command_fetched(const ShadowCommand& command) override;
  void command_completed(uint64_t now_ps, const ShadowCommand& command, const pst_admin_completion& answer) override;
  void fault_injected(uint64_t now_ps, const InjectedFault& fault) override;
  void reset_started(uint64_t now_ps) override;
  void expire(uint64_t now_ps) override;

 private:
  struct Prime {
    uint32_t index = 0;
    uint64_t issue_ps = 0;
  };
  struct ViState {
    uint32_t generation = 0;
    // Primes that may still lead to a wakeup, oldest first: a wakeup for an earlier one may be under way when the host
    // primes again. Many threads of a host that share a queue prime it many times within a round trip.
    std::array<Prime, 128> primes{};
    bool unreachable = false;  // a write into its queue came to nothing: the device counts an event that nobody sees
    uint32_t credits = 0;      // how many of them
    uint64_t prime_issue_ps = 0;
    bool owed = false;               // no wakeup since the newest prime can have been for it
    bool armed = false;              // primed, with an event beyond the prime's index
    uint64_t armed_ps = 0;           // since when
    uint32_t target_generation = 0;  // then, of the VI whose queue gets the wakeup event
    uint64_t deadline_ps = 0;        // 0: nothing is due
    bool listed = false;             // in due_
    bool woke_before = false;
    uint64_t woke_ps = 0;                   // when the last wakeup may have been sent at the earliest
    uint64_t arrived_ps = 0;                // when it was there
    uint32_t old_vector = PST_VECTOR_NONE;  // before MSIX_BIND; a message to it may be under way
    uint64_t old_vector_until_ps = 0;
  };

  ViState& state_of(const ShadowVi& vi) {
    ViState& state = vis_[vi.id];
    if (state.generation != vi.generation) {
      const bool listed = state.listed;
      state = ViState();
      state.listed = listed;
      state.generation = vi.generation;
    }
    return state;
  }
  void arm_vi(const ShadowVi& vi, ViState& state, uint64_t since_ps);
  void woke(uint64_t now_ps, const ShadowVi& vi, ViState& state);
  void check_moderation(uint64_t now_ps, const ShadowVi& vi, const ViState& state, const char* what);
  [[nodiscard]] bool uses_vector(const ShadowVi& vi, ViState& state, uint64_t now_ps, uint32_t vector) const;
  void no_reason(uint64_t now_ps, uint32_t vector);
  [[nodiscard]] bool held_up(uint32_t vector, uint64_t now_ps) const {
    return vector < held_until_ps_.size() && now_ps <= held_until_ps_[vector];
  }
  // A wakeup was for it, though the event cannot be seen: nothing more is due.
  static void spend_prime(ViState& state) {
    state.owed = state.armed = false;
    state.deadline_ps = 0;
  }
  static bool satisfied(const ShadowVi& vi, const Prime& prime) {
    return static_cast<int32_t>(vi.events_written - prime.index) > 0;
  }
  static bool any_satisfied(const ShadowVi& vi, const ViState& state) {
    return std::any_of(state.primes.begin(), state.primes.begin() + state.credits,
                       [&](const Prime& prime) { return satisfied(vi, prime); });
  }
  static void drop_primes(ViState& state, uint32_t count) {
    std::copy(state.primes.begin() + count, state.primes.begin() + state.credits, state.primes.begin());
    state.credits -= count;
  }
  void list_users(uint32_t vector);
  void add_user(uint32_t vector, uint32_t vi_id) {
    auto& users = vector_users_[vector];
    if (std::find(users.begin(), users.end(), vi_id) == users.end()) users.push_back(vi_id);
  }
  void range_goes(const pst_command& unmap);
  static bool replaces_event(const pst_event& event);
  [[nodiscard]] bool cannot_wake(const ShadowVi& vi) const;
  void wakeup_event(uint64_t now_ps, const ShadowVi& target, const pst_event& event);

  std::vector<ViState> vis_;
  std::vector<uint32_t> due_;    // VIs with a deadline, or that had one
  std::vector<uint32_t> users_;  // scratch: VIs of a vector
  std::vector<std::vector<uint32_t>> vector_users_ = std::vector<std::vector<uint32_t>>(PST_LIMIT_MSIX_VECTOR_COUNT);
  uint32_t admin_interrupts_allowed_ = 0;
  // By vector: messages that were held up, and what they hold up behind them, have come by then.
  std::vector<uint64_t> held_until_ps_ = std::vector<uint64_t>(PST_LIMIT_MSIX_VECTOR_COUNT);
  uint64_t any_held_until_ps_ = 0;  // of all vectors
  uint64_t admin_excess_until_ps_ = 0;
};

// Latest time at which the wakeup must be at the host.
void WakeupRules::arm_vi(const ShadowVi& vi, ViState& state, uint64_t since_ps) {
  if (!state.armed) {
    state.armed = true;
    state.armed_ps = since_ps;
    const ShadowVi* target = vi.wake_to_vi ? shadow().vi(vi.wakeup_vi) : nullptr;
    state.target_generation = target == nullptr ? 0 : target->generation;
  }
  state.deadline_ps = since_ps + core_.ps(vi.holdoff_ns) + core_.ps(bounds().wakeup_ns);
  core_.arm(state.deadline_ps);
  if (state.listed) return;
  state.listed = true;
  due_.push_back(vi.id);
}

void WakeupRules::doorbell(uint64_t issue_ps, const ShadowVi& vi, uint32_t offset, uint64_t value, bool repeated) {
  if (offset != PST_VI_EVQ_PRIME_OFFSET) return;
  ViState& state = state_of(vi);
  if (repeated) return;
  if ((value & PST_VI_EVQ_PRIME_SEQUENCE_MASK) == 0) return;
  const auto index = static_cast<uint32_t>(value);
  const auto beyond = static_cast<int32_t>(vi.events_written - index);
  if (beyond > static_cast<int32_t>(2 * vi.evq_entries)) return;  // no stale index but a wild one: the VI halts
  if (state.credits != 0) situation(Situation::kR7Reprimed);
  if (state.credits == state.primes.size()) drop_primes(state, 1);
  state.primes[state.credits++] = {index, issue_ps};
  state.prime_issue_ps = issue_ps;
  state.owed = true;
  if (static_cast<int32_t>(index - vi.evq_consumer_idx) < 0) situation(Situation::kR6StalePrime);
  if (beyond <= 0) {  // nothing yet; what an earlier prime waited for has been consumed
    state.armed = false;
    state.deadline_ps = 0;
    return;
  }
  situation(Situation::kR6EventBeforePrime);
  arm_vi(vi, state, issue_ps);
}

void WakeupRules::event_written(uint64_t now_ps, const ShadowVi& vi, uint32_t event_idx, bool in_order,
                                const pst_event& event) {
  if (pst_event_get_type(&event) == PST_EVENT_TYPE_WAKEUP) wakeup_event(now_ps, vi, event);
  if (!in_order) return;
  ViState& state = state_of(vi);
  if (!state.owed || state.credits == 0 || state.armed || static_cast<int32_t>(event_idx - vi.prime_idx) < 0) return;
  if (replaces_event(event) && state.woke_before && state.arrived_ps + core_.ps(bounds().in_flight_ns) >= now_ps) {
    state.owed = false;  // the wakeup was for the event in whose slot this one is
    return;
  }
  situation(Situation::kR6EventAfterPrime);
  arm_vi(vi, state, std::max(now_ps, state.prime_issue_ps));
}

// An error event that takes the slot of an event which could not be written, or whose payload could not.
bool WakeupRules::replaces_event(const pst_event& event) {
  if (pst_event_get_type(&event) != PST_EVENT_TYPE_ERROR) return false;
  const pst_error_event error{{event.word[0], event.word[1]}};
  const uint64_t source = pst_error_event_get_source(&error);
  return pst_error_event_get_code(&error) == PST_ERROR_CODE_DMA_FAULT &&
         (source == PST_ERROR_SOURCE_RX || source == PST_ERROR_SOURCE_EVQ);
}

void WakeupRules::wakeup_event(uint64_t now_ps, const ShadowVi& target, const pst_event& event) {
  const pst_wakeup_event wakeup{{event.word[0], event.word[1]}};
  const auto source_id = static_cast<uint32_t>(pst_wakeup_event_get_vi_id(&wakeup));
  const ShadowVi* source = shadow().vi(source_id);
  situation(Situation::kR6WakeupToVi);
  const bool bound = source != nullptr && source->generation != 0 &&
                     ((source->wake_to_vi && source->wakeup_vi == target.id) ||
                      now_ps < source->moderation_changed_ps + core_.ps(bounds().in_flight_ns) || !source->exists());
  if (!bound) {
    report(Rule::kR7, target.id, "a wakeup event of a VI that MSIX_BIND has bound to this queue",
           describe_event(event));
    return;
  }
  if (!source->exists()) return;  // it waited for space in this queue
  ViState& state = state_of(*source);
  if (state.credits == 0) {
    if (state.unreachable) {  // as for interrupts
      spend_prime(state);
      return;
    }
    report(Rule::kR7, source_id, "one wakeup per prime", fmt::format("{} without a prime", describe_event(event)));
    return;
  }
  woke(now_ps, *source, state);
}

// A wakeup is spent. Primes that the device has seen before it count no more.
void WakeupRules::woke(uint64_t now_ps, const ShadowVi& vi, ViState& state) {
  check_moderation(now_ps, vi, state, "wakeup");
  // It may have waited behind payload on the link: it was sent after what it was for (at the earliest when an earlier
  // prime came, if there is a later one), and after the hold-off.
  const bool overtaken = state.credits != 0 && !state.armed;
  const uint64_t since_ps = state.armed ? state.armed_ps : overtaken ? state.primes[0].issue_ps : now_ps;
  const uint64_t held_ps = state.woke_before ? state.woke_ps + core_.ps(vi.holdoff_ns) : 0;
  uint32_t spent = 0;
  while (spent < state.credits && !satisfied(vi, state.primes[spent])) ++spent;
  spent = std::min(spent + 1, state.credits);
  while (spent < state.credits && state.primes[spent].issue_ps + core_.ps(bounds().in_flight_ns) < now_ps) ++spent;
  drop_primes(state, spent);
  state.woke_before = true;
  state.arrived_ps = now_ps;
  state.woke_ps = std::min(now_ps, std::max(since_ps, held_ps));
  // A prime that the host issues only after this wakeup (host software runs ahead) is due one of its own.
  const bool second = state.credits != 0 && state.prime_issue_ps >= now_ps;
  const bool pending = static_cast<int32_t>(vi.events_written - vi.prime_idx) > 0;
  state.owed = state.owed && (second || !pending);
  state.armed = second && pending;
  state.armed_ps = now_ps;
  if (!state.armed) state.deadline_ps = 0;
  if (state.credits == 0) state.deadline_ps = 0;
}

void WakeupRules::check_moderation(uint64_t now_ps, const ShadowVi& vi, const ViState& state, const char* what) {
  const uint64_t holdoff_ps = core_.ps(vi.holdoff_ns);
  if (vi.adaptive) situation(Situation::kR7Adaptive);
  if (holdoff_ps == 0 || vi.adaptive || vi.state != ShadowViState::kRunning) return;
  // A message that was held up, or an event that nobody saw, moves the time between two wakeups.
  if (state.unreachable || now_ps <= any_held_until_ps_) return;
  const uint64_t slack_ps = core_.ps(bounds().moderation_slack_ns);
  if (vi.moderation_changed_ps != 0 && now_ps < vi.moderation_changed_ps + holdoff_ps + slack_ps) return;
  if (vi.holdoff_events > 1) {
    // Of two primes the wakeup may be for the earlier one, whose hold-off began earlier.
    const bool several = state.credits > 1;
    const uint32_t pending = vi.events_written - (several ? state.primes[0].index : vi.prime_idx);
    if (several && now_ps + slack_ps >= state.primes[0].issue_ps + holdoff_ps) return;
    if (pending >= vi.holdoff_events) {
      situation(Situation::kR7EventCount);
      return;
    }
    if (now_ps + slack_ps >= state.armed_ps + holdoff_ps) return;
    report(
        Rule::kR7, vi.id,
        fmt::format("a {} with {} events or {} ns after the first", what, vi.holdoff_events, vi.holdoff_ns),
        fmt::format("{} events, {} ns after the first", pending, (now_ps - std::min(now_ps, state.armed_ps)) / 1000));
    return;
  }
  if (!state.woke_before) return;
  const uint64_t apart_ps = now_ps - state.woke_ps;
  if (state.armed && state.armed_ps < now_ps && now_ps - state.armed_ps > core_.ps(kUndelayedNs))
    situation(Situation::kR7HoldoffDelayed);
  if (apart_ps + slack_ps < holdoff_ps)
    report(Rule::kR7, vi.id, fmt::format("{} ns between two wakeups", vi.holdoff_ns),
           fmt::format("{} ns", apart_ps / 1000));
}

bool WakeupRules::uses_vector(const ShadowVi& vi, ViState& state, uint64_t now_ps, uint32_t vector) const {
  if (!vi.exists()) return false;
  if (vi.vector == vector && !vi.wake_to_vi) return true;
  return state.old_vector == vector && now_ps < state.old_vector_until_ps;
}

void WakeupRules::list_users(uint32_t vector) {
  users_.clear();
  if (vector >= vector_users_.size()) return;
  for (const uint32_t id : vector_users_[vector]) {
    const ShadowVi* vi = shadow().vi(id);
    if (vi != nullptr && uses_vector(*vi, state_of(*vi), core_.now_ps, vector)) users_.push_back(id);
  }
}

void WakeupRules::interrupt(uint64_t now_ps, uint32_t vector) {
  list_users(vector);
  // Of several VIs on one vector: the one that has waited longest.
  const ShadowVi* best = nullptr;
  for (const uint32_t id : users_) {
    const ShadowVi& vi = *shadow().vi(id);
    ViState& state = vis_[id];
    if (!any_satisfied(vi, state)) continue;
    if (best == nullptr ||
        (state.deadline_ps != 0 && (vis_[best->id].deadline_ps == 0 || state.deadline_ps < vis_[best->id].deadline_ps)))
      best = &vi;
  }
  if (best != nullptr) {
    situation(Situation::kR3EventBeforeInterrupt);
    woke(now_ps, *best, vis_[best->id]);
    return;
  }
  if (vector == shadow().function_register(PST_FUNCTION_ADMIN_VECTOR_OFFSET) && admin_interrupts_allowed_ != 0) {
    --admin_interrupts_allowed_;
    return;
  }
  no_reason(now_ps, vector);
}

void WakeupRules::no_reason(uint64_t now_ps, uint32_t vector) {
  if (shadow().reset_under_way() || now_ps < admin_excess_until_ps_) return;
  // A message that was held up may come when its reason is gone, others of its vector behind it; or it is for an event
  // that came to nothing. The prime is spent with it.
  const bool held = held_up(vector, now_ps);
  for (const uint32_t id : users_) {
    ViState& state = vis_[id];
    if (!held && !state.unreachable) continue;
    spend_prime(state);
    if (!held) return;
  }
  if (held) return;
  for (const uint32_t id : users_) {
    const ViState& state = vis_[id];
    const ShadowVi& vi = *shadow().vi(id);
    if (vi.state == ShadowViState::kStopping) return;
    if (state.credits == 0) continue;
    report(Rule::kR3, id, fmt::format("an event beyond index {} before its interrupt", vi.prime_idx),
           fmt::format("interrupt on vector {}; the last event has index {}", vector, vi.events_written - 1));
    return;
  }
  const uint32_t vi_id = users_.empty() ? Violation::kNoVi : users_[0];
  if (vi_id != Violation::kNoVi &&
      shadow().vi(vi_id)->page[PST_VI_EVQ_PRIME_OFFSET / 8].write_count > shadow().vi(vi_id)->prime_count) {
    report(Rule::kR2, vi_id, "the same prime written twice is one prime: one wakeup",
           fmt::format("another interrupt on vector {}", vector));
    return;
  }
  report(Rule::kR7, vi_id, "at most one interrupt per prime",
         fmt::format("interrupt on vector {} with {}", vector,
                     users_.empty() ? "no queue bound to it" : "no prime since the last one"));
}

void WakeupRules::bar_written(uint64_t issue_ps, unsigned bar, uint64_t) {
  if (bar != PST_BAR_MSIX) return;
  // An unmasked vector sends what was pending: judge what is due from here.
  for (const uint32_t id : due_) {
    ViState& state = vis_[id];
    const ShadowVi* vi = shadow().vi(id);
    if (state.deadline_ps == 0 || shadow().vector_changed_ps(vi->vector) != issue_ps) continue;
    state.deadline_ps = issue_ps + core_.ps(bounds().wakeup_ns);
    core_.arm(state.deadline_ps);
  }
}

// Software takes event queues from under their VIs: the device counts events that nobody sees.
void WakeupRules::range_goes(const pst_command& unmap) {
  const ShadowDomain* domain = shadow().domain(static_cast<uint32_t>(pst_command_get_target_id(&unmap)));
  if (domain == nullptr || !domain->exists) return;
  const uint64_t address = pst_translation_unmap_get_domain_address(&unmap);
  const auto range = std::find_if(domain->ranges.begin(), domain->ranges.end(),
                                  [&](const ShadowRange& candidate) { return candidate.domain_address == address; });
  if (range == domain->ranges.end()) return;
  for (const uint32_t id : domain->vi_ids) {
    const ShadowVi& vi = *shadow().vi(id);
    const uint64_t queue_end = vi.evq_address + uint64_t{vi.evq_entries} * PST_EVENT_BYTES;
    if (vi.evq_address < address + range->length_bytes && address < queue_end) state_of(vi).unreachable = true;
  }
}

void WakeupRules::command_fetched(const ShadowCommand& command) {
  const uint64_t opcode = pst_command_get_opcode(&command.command);
  if (opcode == PST_COMMAND_TRANSLATION_UNMAP) return range_goes(command.command);
  if (opcode != PST_COMMAND_MSIX_BIND) return;
  const ShadowVi* vi = shadow().vi(static_cast<uint32_t>(pst_command_get_target_id(&command.command)));
  if (vi == nullptr || !vi->exists()) return;
  ViState& state = state_of(*vi);
  state.old_vector = vi->vector;
  state.old_vector_until_ps = ~uint64_t{0};
  if (cannot_wake(*vi)) state.deadline_ps = 0;  // the wakeup is spent on nobody
  const auto vector = static_cast<uint32_t>(pst_msix_bind_get_vector(&command.command));
  if (vector < vector_users_.size()) add_user(vector, vi->id);
}

void WakeupRules::command_completed(uint64_t now_ps, const ShadowCommand& command, const pst_admin_completion& answer) {
  // One interrupt per batch of completions, at most one per completion.
  admin_interrupts_allowed_ = std::min<uint32_t>(admin_interrupts_allowed_ + 1, PST_LIMIT_ADMIN_ENTRIES_MAX);
  const uint64_t opcode = pst_command_get_opcode(&command.command);
  const bool ok = pst_admin_completion_get_status(&answer) == PST_ERROR_CODE_OK;
  if (opcode == PST_COMMAND_VI_ALLOC && ok) {
    const ShadowVi* vi = shadow().vi(static_cast<uint32_t>(pst_admin_completion_get_result(&answer)));
    if (vi == nullptr || vi->vector >= vector_users_.size()) return;
    add_user(vi->vector, vi->id);
    return;
  }
  if (opcode != PST_COMMAND_MSIX_BIND && opcode != PST_COMMAND_MODERATION_SET) return;
  const ShadowVi* vi = shadow().vi(static_cast<uint32_t>(pst_command_get_target_id(&command.command)));
  if (vi == nullptr || !vi->exists()) return;
  ViState& state = state_of(*vi);
  if (opcode == PST_COMMAND_MSIX_BIND) state.old_vector_until_ps = now_ps + core_.ps(bounds().in_flight_ns);
  if (state.deadline_ps == 0) return;
  state.deadline_ps = now_ps + core_.ps(vi->holdoff_ns) + core_.ps(bounds().wakeup_ns);
  core_.arm(state.deadline_ps);
}

void WakeupRules::fault_injected(uint64_t now_ps, const InjectedFault& fault) {
  if (fault.kind == FaultKind::kSurpriseRemoval || fault.kind == FaultKind::kFunctionReset)
    return reset_started(now_ps);
  if (fault.kind == FaultKind::kUnmappedAddress && shadow().vi(fault.vi_id) != nullptr)
    state_of(*shadow().vi(fault.vi_id)).unreachable = true;
  if (fault.kind != FaultKind::kMsixLost && fault.kind != FaultKind::kMsixDelayed) return;
  if (fault.vector >= held_until_ps_.size()) return;
  if (fault.kind == FaultKind::kMsixDelayed) {
    uint64_t& until_ps = held_until_ps_[fault.vector];
    until_ps = std::max(until_ps, now_ps + fault.detail * 1000 + core_.ps(bounds().wakeup_ns));
    any_held_until_ps_ = std::max(any_held_until_ps_, until_ps);
  }
  // The message has been sent: one wakeup that was due comes later or not at all.
  for (const uint32_t id : due_) {
    ViState& state = vis_[id];
    const ShadowVi* vi = shadow().vi(id);
    if (state.deadline_ps == 0 || !uses_vector(*vi, state, now_ps, fault.vector)) continue;
    if (fault.kind == FaultKind::kMsixDelayed) {
      state.deadline_ps += core_.ps(std::max<uint64_t>(fault.detail, bounds().wakeup_ns));
      continue;
    }
    woke(now_ps, *vi, state);
    return;
  }
  if (fault.kind == FaultKind::kMsixDelayed) return;
  list_users(fault.vector);  // what it was for has not been seen yet, or comes to nothing: the prime is spent with it
  for (const uint32_t id : users_) vis_[id].owed = false;
}

void WakeupRules::reset_started(uint64_t now_ps) {
  for (ViState& state : vis_) state.deadline_ps = 0;
  admin_excess_until_ps_ = now_ps + core_.ps(bounds().in_flight_ns);
  admin_interrupts_allowed_ = 0;
}

// Nobody can be woken now: no vector, or another VI that does not run or whose queue has no room or has gone, in part,
// out of reach: that VI may have halted without being able to say so.
bool WakeupRules::cannot_wake(const ShadowVi& vi) const {
  if (!vi.wake_to_vi) return vi.vector == PST_VECTOR_NONE;
  const ShadowVi* target = shadow().vi(vi.wakeup_vi);
  return target == nullptr || target->state != ShadowViState::kRunning ||
         target->generation != vis_[vi.id].target_generation ||  // it has been reset, or is another one
         (vis_[target->id].unreachable && vis_[target->id].generation == target->generation) ||
         target->events_written - target->evq_consumer_idx >= target->evq_entries;
}

void WakeupRules::expire(uint64_t now_ps) {
  size_t kept = 0;
  for (size_t i = 0; i < due_.size(); ++i) {
    const uint32_t id = due_[i];
    ViState& state = vis_[id];
    const ShadowVi* vi = shadow().vi(id);
    const bool alive = state.generation == vi->generation &&
                       (vi->state == ShadowViState::kRunning || vi->state == ShadowViState::kHalted);
    if (state.deadline_ps == 0 || !alive || cannot_wake(*vi) || core_.removed) {
      state.deadline_ps = 0;
      state.listed = false;
      continue;
    }
    if (!vi->wake_to_vi && shadow().vector_masked(vi->vector)) {
      situation(Situation::kR6MaskedVector);  // pending until the host unmasks it: see bar_written()
      state.deadline_ps = std::max(state.deadline_ps, now_ps + core_.ps(bounds().wakeup_ns));
    }
    if (state.deadline_ps > now_ps) {
      core_.arm(state.deadline_ps);
      due_[kept++] = id;
      continue;
    }
    report(Rule::kR6, id,
           fmt::format("a wakeup within {} ns (hold-off {} ns): primed at index {}, events up to {} exist",
                       bounds().wakeup_ns, vi->holdoff_ns, vi->prime_idx, vi->events_written - 1),
           fmt::format("none since {:.3f} ns", static_cast<double>(state.armed_ps) / 1000));
    state.deadline_ps = 0;
    state.listed = false;
  }
  due_.resize(kept);
}

}  // namespace

std::unique_ptr<RuleGroup> make_wakeup_rules(MonitorCore& core) { return std::make_unique<WakeupRules>(core); }

}  // namespace postern::sim
