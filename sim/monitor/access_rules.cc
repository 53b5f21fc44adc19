// R1 (reads of windows), R2 (absolute indices), R12 (malformed doorbells and commands get their error).
#include <fmt/format.h>

#include <cstring>
#include <vector>

#include "contract/gen/pst_contract_tables.h"
#include "sim/monitor/monitor_core.h"

namespace postern::sim {

namespace {

// An error event that a VI owes because of what the host did.
struct OwedError {
  uint32_t vi_id = 0;
  uint32_t generation = 0;
  uint32_t offset = 0;  // of the doorbell
  uint32_t index = 0;   // that it carried
  uint64_t deadline_ps = 0;
  bool doubtful = false;  // right if the device had done more by then than the host could know
};

class AccessRules : public RuleGroup {
 public:
  explicit AccessRules(MonitorCore& core)
      : RuleGroup(core, ContractShadow::kWantsEvents | ContractShadow::kWantsDescriptors, 0,
                  1u << PST_EVENT_TYPE_ERROR),
        vis_(PST_LIMIT_VI_COUNT_MAX) {}

  void doorbell(uint64_t issue_ps, const ShadowVi& vi, uint32_t offset, uint64_t value, bool repeated) override;
  void bar_read(uint64_t issue_ps, uint64_t done_ps, unsigned bar, uint64_t offset, uint64_t value,
                uint32_t bytes) override;
  void descriptors_read(uint64_t now_ps, const ShadowVi& vi, bool tx, uint32_t first_idx, uint32_t count) override;
  void event_written(uint64_t now_ps, const ShadowVi& vi, uint32_t event_idx, bool in_order,
                     const pst_event& event) override;
  void command_fetched(const ShadowCommand& command) override { core_.arm(command.fetched_ps + command_bound()); }
  void command_completing(uint64_t now_ps, const ShadowCommand& command, const pst_admin_completion& answer) override;
  void bad_completion(uint64_t now_ps, uint32_t slot, const pst_admin_completion& answer, const char* why) override;
  void fault_injected(uint64_t now_ps, const InjectedFault& fault) override;
  void reset_started(uint64_t now_ps) override;
  void expire(uint64_t now_ps) override;

 private:
  struct ViState {
    uint32_t generation = 0;
    bool suspicious = false;     // some doorbell may have deserved an error
    uint64_t reset_seen_ps = 0;  // the window may have been cleared until then
  };

  [[nodiscard]] uint64_t command_bound() const { return core_.ps(bounds().command_ns); }
  ViState& state_of(const ShadowVi& vi) {
    ViState& state = vis_[vi.id];
    if (state.generation != vi.generation) {
      state = ViState();
      state.generation = vi.generation;
    }
    return state;
  }
  // -1: fine, 0: malformed, 1: malformed unless the device has gone on.
  int judge_index(const ShadowVi& vi, uint32_t offset, uint64_t value) const;
  [[nodiscard]] bool became_right(const OwedError& owed, const ShadowVi& vi) const;
  void check_command(const pst_command& command, uint64_t status);

  std::vector<ViState> vis_;
  std::vector<OwedError> owed_;
  uint64_t admin_excused_ps_ = 0;  // commands read before have been lost to an injected fault
};

int AccessRules::judge_index(const ShadowVi& vi, uint32_t offset, uint64_t value) const {
  const auto index = static_cast<uint32_t>(value);
  const auto producer = [&](uint32_t last, uint32_t consumed, uint32_t entries) {
    if (static_cast<int32_t>(index - last) < 0) return 0;
    if (index - consumed <= entries) return -1;
    return 1;  // the device may have consumed more than events have told
  };
  switch (offset) {
    case PST_VI_RX_DOORBELL_OFFSET:
      return producer(vi.rx_producer_idx, vi.rx_consumer_idx, vi.rx_entries);
    case PST_VI_TX_DOORBELL_OFFSET:
      return producer(vi.tx_producer_idx, vi.tx_consumer_idx, vi.tx_entries);
    case PST_VI_EVQ_PRIME_OFFSET:
      if ((value & PST_VI_EVQ_PRIME_SEQUENCE_MASK) == 0) return 0;
      [[fallthrough]];
    case PST_VI_EVQ_CONSUMER_OFFSET: {
      const auto ahead = static_cast<int32_t>(index - vi.evq_consumer_idx);
      if (ahead <= 0) return static_cast<uint32_t>(-ahead) <= vi.evq_entries ? -1 : 0;
      return index - vi.evq_consumer_idx <= vi.events_written - vi.evq_consumer_idx ? -1 : 1;
    }
    case PST_VI_TIMER_OFFSET:
      return value >> PST_VI_TIMER_SEQUENCE_SHIFT == 0 ? 0 : -1;
    case PST_VI_PIO_DOORBELL_OFFSET:
    case PST_VI_TX_PUSH_DOORBELL_OFFSET:
      // Whether every earlier packet was completed only the device knows; a completed error event is right either way.
      return 2;
    default:
      return -1;
  }
}

void AccessRules::doorbell(uint64_t issue_ps, const ShadowVi& vi, uint32_t offset, uint64_t value, bool repeated) {
  if (repeated) {
    situation(offset == PST_VI_EVQ_PRIME_OFFSET ? Situation::kR2RepeatedPrime : Situation::kR2Repeated);
    return;
  }
  if (vi.state != ShadowViState::kRunning || core_.removed) return;
  const int verdict = judge_index(vi, offset, value);
  if (verdict < 0) return;
  state_of(vi).suspicious = true;
  if (verdict == 2) return;
  situation(Situation::kR12BadDoorbell);
  const uint64_t deadline = issue_ps + core_.ps(bounds().error_ns);
  owed_.push_back({vi.id, vi.generation, offset, static_cast<uint32_t>(value), deadline, verdict == 1});
  core_.arm(deadline);
}

bool AccessRules::became_right(const OwedError& owed, const ShadowVi& vi) const {
  if (!owed.doubtful) return false;
  switch (owed.offset) {
    case PST_VI_RX_DOORBELL_OFFSET:
      return owed.index - vi.rx_consumer_idx <= vi.rx_entries;
    case PST_VI_TX_DOORBELL_OFFSET:
      return owed.index - vi.tx_consumer_idx <= vi.tx_entries;
    default:
      return static_cast<int32_t>(vi.events_written - owed.index) >= 0;
  }
}

void AccessRules::event_written(uint64_t, const ShadowVi& vi, uint32_t, bool, const pst_event& event) {
  if (pst_event_get_type(&event) != PST_EVENT_TYPE_ERROR) return;
  const pst_error_event error{{event.word[0], event.word[1]}};
  for (OwedError& owed : owed_) {
    if (owed.vi_id == vi.id && owed.generation == vi.generation) owed.deadline_ps = 0;
  }
  if (pst_error_event_get_code(&error) == PST_ERROR_CODE_BAD_DOORBELL && !state_of(vi).suspicious) {
    report(Rule::kR12, vi.id, "no BAD_DOORBELL: all doorbells of this VI were well-formed", describe_event(event));
  }
}

// Windows of 64-bit registers may be read in halves.
void AccessRules::bar_read(uint64_t issue_ps, uint64_t, unsigned bar, uint64_t offset, uint64_t value, uint32_t bytes) {
  if (bar != PST_BAR_VI || core_.removed || shadow().reset_under_way()) return;
  const auto in_window = static_cast<uint32_t>(offset % PST_VI_WINDOW_STRIDE);
  const ShadowVi* vi = shadow().vi(static_cast<uint32_t>(offset / PST_VI_WINDOW_STRIDE));
  if (vi == nullptr || !vi->exists() || in_window / 8 >= vi->page.size() || vi->state == ShadowViState::kStopping)
    return;
  if (bytes == 8 && in_window % 8 != 0) return;
  situation(Situation::kR1WindowRead);
  const ShadowDoorbell& cell = vi->page[in_window / 8];
  if (cell.write_count != 0) situation(Situation::kR1WindowReadBehindWrite);
  const auto part = [&](uint64_t whole) {
    const uint64_t shifted = in_window % 8 == 0 ? whole : whole >> 32;
    return bytes == 4 ? shifted & 0xffffffffull : shifted;
  };
  if (value == part(cell.value)) return;
  if (cell.issue_ps >= issue_ps && value == part(cell.previous)) return;  // written while the read was under way
  report(Rule::kR1, vi->id,
         fmt::format("{} reads as last written, {:#x}", register_name(bar, offset), part(cell.value)),
         fmt::format("{:#x}", value));
}

void AccessRules::descriptors_read(uint64_t, const ShadowVi& vi, bool tx, uint32_t first_idx, uint32_t count) {
  const uint32_t producer = tx ? vi.tx_producer_idx : vi.rx_producer_idx;
  const uint32_t end = first_idx + count;
  if (static_cast<int32_t>(end - producer) <= 0 || vi.state != ShadowViState::kRunning) return;
  report(Rule::kR2, vi.id,
         fmt::format("descriptors before the producer index {} of the {} doorbell are read, no others", producer,
                     tx ? "TX" : "RX"),
         fmt::format("descriptors {} to {} were read", first_idx, end - 1));
}

// Status other than OK is due where the description leaves no bit or opcode for what was sent.
void AccessRules::check_command(const pst_command& c, uint64_t status) {
  const contract::CommandDescription* found = contract::find_command(pst_command_get_opcode(&c));
  if (found == nullptr) {
    situation(Situation::kR12BadCommand);
    if (status != PST_ERROR_CODE_BAD_OPCODE)
      report(Rule::kR12, Violation::kNoVi, "BAD_OPCODE for an opcode that the contract does not define",
             fmt::format("opcode {:#x}: {}", pst_command_get_opcode(&c), pst_error_code_name(status)));
    return;
  }
  uint64_t reserved[PST_COMMAND_BYTES / 8];
  std::memset(reserved, 0xff, sizeof reserved);
  reserved[0] = uint64_t{0xff} << PST_COMMAND_FLAGS_SHIFT;
  if (!found->has_target) reserved[0] |= ~uint64_t{0} << PST_COMMAND_TARGET_ID_SHIFT;
  for (size_t i = 0; i < found->field_count; ++i) {
    const contract::FieldInfo& field = found->fields[i];
    const uint64_t mask = field.width == 64 ? ~uint64_t{0} : (uint64_t{1} << field.width) - 1;
    reserved[field.word] &= ~(mask << field.shift);
  }
  bool malformed = false;
  for (size_t word = 0; word < PST_COMMAND_BYTES / 8; ++word) malformed |= (c.word[word] & reserved[word]) != 0;
  if (!malformed) return;
  situation(Situation::kR12BadCommand);
  if (status != PST_ERROR_CODE_OK) return;
  report(Rule::kR12, Violation::kNoVi, fmt::format("an error for a {} with a reserved bit set", found->name), "OK");
}

void AccessRules::command_completing(uint64_t, const ShadowCommand& command, const pst_admin_completion& answer) {
  const uint64_t status = pst_admin_completion_get_status(&answer);
  if (pst_error_code_name(status)[0] == '?')
    report(Rule::kR12, Violation::kNoVi, "a status that ERROR_CODE defines", fmt::format("status {}", status));
  check_command(command.command, status);
}

void AccessRules::bad_completion(uint64_t, uint32_t slot, const pst_admin_completion& answer, const char* why) {
  report(Rule::kR12, Violation::kNoVi, "one completion per command, in order",
         fmt::format("slot {}, COMMAND_ID {}: {}", slot, pst_admin_completion_get_command_id(&answer), why));
}

void AccessRules::fault_injected(uint64_t now_ps, const InjectedFault& fault) {
  // An admin queue that could not read a command stops; what it had read is lost.
  const bool stops_admin = fault.vi_id == InjectedFault::kNoVi &&
                           (fault.kind == FaultKind::kPoisonedCompletion ||
                            fault.kind == FaultKind::kCompletionTimeout || fault.kind == FaultKind::kUnmappedAddress);
  if (stops_admin) admin_excused_ps_ = now_ps;
  if (fault.kind == FaultKind::kSurpriseRemoval || fault.kind == FaultKind::kFunctionReset) reset_started(now_ps);
}

void AccessRules::reset_started(uint64_t now_ps) {
  owed_.clear();
  admin_excused_ps_ = now_ps;
}

void AccessRules::expire(uint64_t now_ps) {
  size_t kept = 0;
  for (size_t i = 0; i < owed_.size(); ++i) {
    const OwedError owed = owed_[i];
    const ShadowVi* vi = shadow().vi(owed.vi_id);
    const bool settled = owed.deadline_ps == 0 || vi == nullptr || vi->generation != owed.generation ||
                         vi->state != ShadowViState::kRunning || became_right(owed, *vi);
    if (settled) continue;
    if (owed.deadline_ps > now_ps) {
      core_.arm(owed.deadline_ps);
      owed_[kept++] = owed;
      continue;
    }
    // Under a full queue the error event itself waits for space (R5).
    if (vi->events_written - vi->evq_consumer_idx >= vi->evq_entries) continue;
    report(
        Rule::kR12, owed.vi_id,
        fmt::format("BAD_DOORBELL within {} ns of {} = {}", bounds().error_ns,
                    register_name(PST_BAR_VI, uint64_t{owed.vi_id} * PST_VI_WINDOW_STRIDE + owed.offset), owed.index),
        "no error event");
  }
  owed_.resize(kept);
  if (shadow().commands_in_flight().empty() || core_.removed) return;
  const ShadowCommand& oldest = shadow().commands_in_flight().front();
  if (oldest.fetched_ps <= admin_excused_ps_ || shadow().reset_under_way()) return;
  const auto& admin = shadow().admin();
  if (admin.completed_idx - admin.consumer_idx >= admin.entries) return;  // the host has left no room
  if (now_ps < oldest.fetched_ps + command_bound()) return core_.arm(oldest.fetched_ps + command_bound());
  admin_excused_ps_ = now_ps;  // once
  report(Rule::kR12, Violation::kNoVi,
         fmt::format("a completion within {} ns of the read of {}", bounds().command_ns,
                     contract::command_name(pst_command_get_opcode(&oldest.command))),
         "none");
}

}  // namespace

std::unique_ptr<RuleGroup> make_access_rules(MonitorCore& core) { return std::make_unique<AccessRules>(core); }

}  // namespace postern::sim
