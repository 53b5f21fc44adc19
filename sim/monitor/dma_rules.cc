// R8 (every access within the right domain), R10 (nothing after teardown), R12 of descriptors.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "sim/monitor/monitor_core.h"

namespace postern::sim {

namespace {

// A descriptor that the device must refuse when it comes to it.
struct BadDescriptor {
  uint32_t vi_id = 0, generation = 0;
  bool tx = false;
  uint32_t index = 0;
  bool address = false;       // not mapped (R8); else malformed (R12)
  uint64_t deadline_ps = 0;   // 0: only if it is used
  uint32_t packet_bytes = 0;  // 0: not known
};

struct DeadRange {
  uint64_t begin = 0, end = 0;
};

class DmaRules : public RuleGroup {
 public:
  explicit DmaRules(MonitorCore& core) : RuleGroup(core, ContractShadow::kWantsAll), vis_(PST_LIMIT_VI_COUNT_MAX) {}

  void dma(const DmaAccess& access) override;
  void descriptors_read(uint64_t now_ps, const ShadowVi& vi, bool tx, uint32_t first_idx, uint32_t count) override;
  void event_written(uint64_t now_ps, const ShadowVi& vi, uint32_t event_idx, bool in_order,
                     const pst_event& event) override;
  void doorbell(uint64_t, const ShadowVi& vi, uint32_t, uint64_t, bool) override { state_of(vi).used = true; }
  void command_fetched(const ShadowCommand& command) override;
  void command_completing(uint64_t now_ps, const ShadowCommand& command, const pst_admin_completion& answer) override;
  void fault_injected(uint64_t now_ps, const InjectedFault& fault) override;
  void reset_started(uint64_t now_ps) override;
  void reset_completed(uint64_t now_ps) override;
  void expire(uint64_t now_ps) override;

 private:
  struct ViState {
    uint32_t generation = 0;
    bool used = false;   // some doorbell was written since the VI started
    bool cause = false;  // for a DMA_FAULT: an address was bad, nothing answered, or a range went away
    uint64_t halted_ps = 0;
    // Of the packet that the last descriptors belong to:
    uint32_t tx_fragments = 0, tx_bytes = 0, tx_first_idx = 0;
  };

  ViState& state_of(const ShadowVi& vi) {
    ViState& state = vis_[vi.id];
    if (state.generation != vi.generation) {
      state = ViState();
      state.generation = vi.generation;
    }
    return state;
  }
  void check_unknown(const DmaAccess& access);
  void check_known(const DmaAccess& access);
  [[nodiscard]] bool plainly_right(const DmaAccess& access) const;
  void check_tx_descriptor(const ShadowVi& vi, ViState& state, uint32_t idx);
  void check_rx_descriptor(const ShadowVi& vi, ViState& state, uint32_t idx);
  [[nodiscard]] bool possible_length(uint32_t packet_bytes) const;
  void forgive_bad_length(const ShadowVi& vi, const ViState& state, uint32_t last_idx);
  void bad(const ShadowVi& vi, bool tx, uint32_t idx, bool address, bool at_once);
  [[nodiscard]] bool excused(const DmaAccess& access);
  void settle_used(const ShadowVi& vi, bool tx, uint32_t from_idx, uint32_t to_idx);

  std::vector<ViState> vis_;
  std::vector<BadDescriptor> bad_;
  static constexpr uint32_t kMtuDefaultBytes = 1500;
  uint32_t mtu_least_bytes_ = kMtuDefaultBytes;  // of those configured since reset: one may come into force at any time
  std::vector<DeadRange> dead_;
  std::vector<ShadowSegment> segments_;
  std::vector<std::pair<uint64_t, uint64_t>> excuses_;  // address and until when
};

std::string what(const DmaAccess& access) {
  return fmt::format("{} of {} bytes at {:#x}", access.write ? "write" : "read", access.bytes, access.address);
}

bool DmaRules::excused(const DmaAccess& access) {
  for (size_t i = 0; i < excuses_.size(); ++i) {
    const auto [address, until_ps] = excuses_[i];
    if (access.now_ps > until_ps || access.address < address || access.address - address >= PST_LIMIT_PAGE_BYTES)
      continue;
    excuses_.erase(excuses_.begin() + static_cast<long>(i));
    return true;
  }
  return false;
}

void DmaRules::check_unknown(const DmaAccess& access) {
  if (excused(access)) return;
  const DmaOwner former = shadow().former_owner_of(access.address, access.write);
  if (former.target != DmaTarget::kUnknown) {
    report(Rule::kR10, former.vi_id, "no DMA of a VI that is gone",
           fmt::format("{}: {} of VI {}", what(access), dma_target_name(former.target), former.vi_id));
    return;
  }
  if (!shadow().mapped_anywhere(access.address, access.bytes, access.write)) {
    const auto dead = std::find_if(dead_.begin(), dead_.end(), [&](const DeadRange& range) {
      return access.address >= range.begin && access.address < range.end;
    });
    if (dead != dead_.end()) {
      report(Rule::kR10, Violation::kNoVi, "no DMA to a range whose TRANSLATION_UNMAP has completed", what(access));
      return;
    }
    report(Rule::kR8, Violation::kNoVi, "DMA to addresses that a domain maps", what(access));
    return;
  }
  report(Rule::kR8, Violation::kNoVi, "DMA to rings and to buffers of descriptors that were read, of one domain",
         fmt::format("{}: mapped, but no ring and no descriptor names it", what(access)));
}

void DmaRules::check_known(const DmaAccess& access) {
  const DmaOwner& owner = access.owner;
  const bool of_vi = owner.target >= DmaTarget::kRxRing && owner.target <= DmaTarget::kTxBuffer;
  if (access.bytes > owner.limit_bytes) {
    report(Rule::kR8, of_vi ? owner.vi_id : Violation::kNoVi,
           fmt::format("at most {} bytes: there the {} ends", owner.limit_bytes, dma_target_name(owner.target)),
           what(access));
  }
  if (!of_vi) return;
  const ShadowVi& vi = *shadow().vi(owner.vi_id);
  ViState& state = state_of(vi);
  const bool ring_written = access.write && (owner.target == DmaTarget::kRxRing || owner.target == DmaTarget::kTxRing);
  const bool queue_read = !access.write && owner.target == DmaTarget::kEventQueue;
  if (ring_written || queue_read) {
    report(Rule::kR8, owner.vi_id, "descriptor rings are read, event queues and RX buffers are written",
           fmt::format("{}: {}", what(access), dma_target_name(owner.target)));
  }
  if (access.write && !owner.writable) report(Rule::kR8, owner.vi_id, "writes to writable ranges only", what(access));
  if (!access.reached) {
    state.cause = true;
    situation(Situation::kR8HostDoesNotAnswer);
  }
  if (vi.state == ShadowViState::kHalted && owner.target == DmaTarget::kRxBuffer && access.write)
    report(Rule::kR8, owner.vi_id, "no byte of a halted VI moves", what(access));
  const uint64_t in_flight_ps = core_.ps(bounds().in_flight_ns);
  if (vi.state == ShadowViState::kHalted && !access.write && state.halted_ps != 0 &&
      access.now_ps > state.halted_ps + in_flight_ps) {
    report(Rule::kR8, owner.vi_id, fmt::format("no DMA {} ns after the VI halted", bounds().in_flight_ns),
           what(access));
  }
  if (!state.used && vi.generation > 1 && vi.state == ShadowViState::kRunning &&
      owner.target != DmaTarget::kEventQueue) {
    report(Rule::kR10, owner.vi_id, "no DMA of what the VI had posted before it was reset or freed", what(access));
  }
}

// Of a running VI, in the right direction, within what it belongs to, and answered: nothing for check_known() to find.
inline bool DmaRules::plainly_right(const DmaAccess& access) const {
  const DmaOwner& owner = access.owner;
  const bool written = owner.target == DmaTarget::kRxBuffer || owner.target == DmaTarget::kEventQueue;
  const bool read =
      owner.target == DmaTarget::kTxBuffer || owner.target == DmaTarget::kTxRing || owner.target == DmaTarget::kRxRing;
  if (!(access.write ? written && owner.writable : read) || !access.reached || access.bytes > owner.limit_bytes)
    return false;
  const ShadowVi& vi = *shadow().vi(owner.vi_id);
  const ViState& state = vis_[owner.vi_id];
  return vi.state == ShadowViState::kRunning && state.generation == vi.generation && state.used;
}

void DmaRules::dma(const DmaAccess& access) {
  if (core_.removed) {
    report(Rule::kR10, Violation::kNoVi, "nothing after surprise removal", what(access));
    return;
  }
  if (shadow().reset_under_way()) return;  // what was under way may land until the reset completes
  if (access.owner.target == DmaTarget::kUnknown) return check_unknown(access);
  if (!plainly_right(access)) check_known(access);
}

void DmaRules::bad(const ShadowVi& vi, bool tx, uint32_t idx, bool address, bool at_once) {
  situation(address ? Situation::kR8AddressNotMapped : Situation::kR12BadDescriptor);
  const uint64_t deadline = at_once ? core_.now_ps + core_.ps(bounds().error_ns) : 0;
  if (bad_.size() >= 4096) bad_.erase(bad_.begin(), bad_.begin() + 2048);
  bad_.push_back({vi.id, vi.generation, tx, idx, address, deadline, 0});
  if (deadline != 0) core_.arm(deadline);
}

void DmaRules::check_tx_descriptor(const ShadowVi& vi, ViState& state, uint32_t idx) {
  const pst_tx_desc& desc = vi.tx_desc(idx);
  const uint64_t type = pst_tx_desc_get_type(&desc);
  if (type == PST_TX_DESC_TYPE_OPTION) {
    const pst_tx_option_desc option{{desc.word[0], desc.word[1]}};
    if (pst_tx_option_desc_get_reserved0(&option) != 0 || pst_tx_option_desc_get_reserved1(&option) != 0 ||
        pst_tx_option_desc_get_reserved2(&option) != 0)
      bad(vi, true, idx, false, true);
    return;
  }
  if (state.tx_fragments++ == 0) {
    state.tx_first_idx = idx;
    state.tx_bytes = 0;
  }
  state.tx_bytes += static_cast<uint32_t>(pst_tx_desc_get_length_bytes(&desc));
  const bool too_many = state.tx_fragments > PST_LIMIT_TX_FRAGMENTS_MAX;
  const bool ends = pst_tx_desc_get_end_of_packet(&desc) != 0;
  if (ends) state.tx_fragments = 0;
  if (type > PST_TX_DESC_TYPE_OPTION || pst_tx_desc_get_reserved(&desc) != 0 ||
      pst_tx_desc_get_length_bytes(&desc) == 0 || too_many)
    return bad(vi, true, idx, false, true);
  const uint64_t address = pst_tx_desc_get_address(&desc), length_bytes = pst_tx_desc_get_length_bytes(&desc);
  segments_.clear();
  if (shadow().range_of(vi.domain, address, length_bytes) == nullptr &&
      !shadow().translate(vi.domain, address, length_bytes, segments_)) {
    state.cause = true;
    bad(vi, true, idx, true, true);
  }
  if (ends) forgive_bad_length(vi, state, idx);
}

bool DmaRules::possible_length(uint32_t packet_bytes) const {
  constexpr uint32_t kHeaderBytes = 14, kTagBytes = 4;
  return packet_bytes >= kHeaderBytes && packet_bytes <= mtu_least_bytes_ + kHeaderBytes + 2 * kTagBytes;
}

// A packet of impossible length may be dropped as TX_BAD_LENGTH before any of its addresses is used. It may also become
// impossible while it waits: see settle_used().
void DmaRules::forgive_bad_length(const ShadowVi& vi, const ViState& state, uint32_t last_idx) {
  if (bad_.empty()) return;
  const auto of_packet = [&](const BadDescriptor& entry) {
    return entry.vi_id == vi.id && entry.tx && entry.address &&
           entry.index - state.tx_first_idx <= last_idx - state.tx_first_idx;
  };
  if (possible_length(state.tx_bytes)) {
    for (BadDescriptor& entry : bad_) {
      if (of_packet(entry)) entry.packet_bytes = state.tx_bytes;
    }
    return;
  }
  bad_.erase(std::remove_if(bad_.begin(), bad_.end(), of_packet), bad_.end());
}

void DmaRules::check_rx_descriptor(const ShadowVi& vi, ViState& state, uint32_t idx) {
  const pst_rx_desc& desc = vi.rx_desc(idx);
  if (pst_rx_desc_get_length_bytes(&desc) == 0 || pst_rx_desc_get_flags(&desc) != 0 ||
      pst_rx_desc_get_reserved(&desc) != 0)
    return bad(vi, false, idx, false, false);
  const uint64_t address = pst_rx_desc_get_address(&desc), length_bytes = pst_rx_desc_get_length_bytes(&desc);
  if (const ShadowRange* range = shadow().range_of(vi.domain, address, length_bytes);
      range != nullptr && range->writable)
    return;
  segments_.clear();
  const bool mapped = shadow().translate(vi.domain, address, length_bytes, segments_);
  const bool writable =
      std::all_of(segments_.begin(), segments_.end(), [](const ShadowSegment& segment) { return segment.writable; });
  if (segments_.size() > 1) situation(Situation::kR8BufferAcrossRanges);
  if (mapped && writable) return;
  state.cause = true;  // only what a frame needs of the buffer must be mapped
  if (mapped) situation(Situation::kR8NotWritable);
  situation(Situation::kR8AddressNotMapped);
}

void DmaRules::descriptors_read(uint64_t, const ShadowVi& vi, bool tx, uint32_t first_idx, uint32_t count) {
  ViState& state = state_of(vi);
  for (uint32_t i = 0; i < count; ++i) {
    if (tx) {
      check_tx_descriptor(vi, state, first_idx + i);
    } else {
      check_rx_descriptor(vi, state, first_idx + i);
    }
  }
}

// Descriptors [from, to) have been completed: none of them may have been bad.
void DmaRules::settle_used(const ShadowVi& vi, bool tx, uint32_t from_idx, uint32_t to_idx) {
  for (size_t i = 0; i < bad_.size();) {
    const BadDescriptor& entry = bad_[i];
    const bool used = entry.vi_id == vi.id && entry.generation == vi.generation && entry.tx == tx &&
                      entry.index - from_idx < to_idx - from_idx;
    if (!used) {
      ++i;
      continue;
    }
    if (entry.packet_bytes != 0 && !possible_length(entry.packet_bytes)) {
      bad_.erase(bad_.begin() + static_cast<long>(i));
      continue;
    }
    report(entry.address ? Rule::kR8 : Rule::kR12, vi.id,
           fmt::format("{} for {} descriptor {}, and the VI halts", entry.address ? "DMA_FAULT" : "BAD_DESCRIPTOR",
                       tx ? "TX" : "RX", entry.index),
           "an event that completes it");
    bad_.erase(bad_.begin() + static_cast<long>(i));
  }
}

void DmaRules::event_written(uint64_t now_ps, const ShadowVi& vi, uint32_t, bool, const pst_event& event) {
  ViState& state = state_of(vi);
  const uint64_t type = pst_event_get_type(&event);
  if (!state.used && vi.generation > 1 && vi.state == ShadowViState::kRunning && type != PST_EVENT_TYPE_WAKEUP &&
      type != PST_EVENT_TYPE_ERROR) {
    report(Rule::kR10, vi.id, "no event of what happened before the VI was reset or freed", describe_event(event));
  }
  if (type == PST_EVENT_TYPE_ERROR) {
    state.halted_ps = now_ps;
    const pst_error_event error{{event.word[0], event.word[1]}};
    if (pst_error_event_get_code(&error) == PST_ERROR_CODE_DMA_FAULT && !state.cause)
      report(Rule::kR8, vi.id, "no DMA_FAULT: all addresses of this VI are mapped and answered", describe_event(event));
    bad_.erase(
        std::remove_if(bad_.begin(), bad_.end(), [&](const BadDescriptor& entry) { return entry.vi_id == vi.id; }),
        bad_.end());
    return;
  }
  if (bad_.empty()) return;
  const auto end_idx = static_cast<uint32_t>(event.word[1] & 0xffffffffull);
  if (type == PST_EVENT_TYPE_RX) settle_used(vi, false, vi.rx_consumer_idx, end_idx);
  if (type == PST_EVENT_TYPE_TX) settle_used(vi, true, vi.tx_consumer_idx, end_idx);
}

void DmaRules::command_fetched(const ShadowCommand& command) {
  if (pst_command_get_opcode(&command.command) == PST_COMMAND_PORT_CONFIG) {
    const auto mtu_bytes = static_cast<uint32_t>(pst_port_config_get_mtu_bytes(&command.command));
    mtu_least_bytes_ = std::min(mtu_least_bytes_, mtu_bytes);
  }
  if (pst_command_get_opcode(&command.command) != PST_COMMAND_TRANSLATION_UNMAP) return;
  const ShadowDomain* domain = shadow().domain(static_cast<uint32_t>(pst_command_get_target_id(&command.command)));
  if (domain == nullptr) return;
  for (const uint32_t id : domain->vi_ids)
    state_of(*shadow().vi(id)).cause = true;  // what they have posted may be there
}

void DmaRules::command_completing(uint64_t, const ShadowCommand& command, const pst_admin_completion& answer) {
  if (pst_admin_completion_get_status(&answer) != PST_ERROR_CODE_OK) return;
  const pst_command& c = command.command;
  const auto target = static_cast<uint32_t>(pst_command_get_target_id(&c));
  switch (pst_command_get_opcode(&c)) {
    case PST_COMMAND_VI_FREE:
      situation(Situation::kR10Freed);
      return;
    case PST_COMMAND_VI_RESET:
      situation(Situation::kR10Reset);
      return;
    case PST_COMMAND_TRANSLATION_UNMAP: {
      situation(Situation::kR10Unmapped);
      const ShadowDomain* domain = shadow().domain(target);
      if (domain == nullptr) return;
      for (const ShadowRange& range : domain->ranges) {
        if (range.domain_address != pst_translation_unmap_get_domain_address(&c)) continue;
        if (dead_.size() >= 64) dead_.erase(dead_.begin());
        dead_.push_back({range.host_address, range.host_address + range.length_bytes});
      }
      return;
    }
    default:
      return;
  }
}

void DmaRules::fault_injected(uint64_t now_ps, const InjectedFault& fault) {
  if (fault.vi_id != InjectedFault::kNoVi) {
    if (const ShadowVi* vi = shadow().vi(fault.vi_id); vi != nullptr) state_of(*vi).cause = true;
  }
  if (fault.kind == FaultKind::kUnmappedAddress)
    excuses_.emplace_back(fault.detail & ~uint64_t{PST_LIMIT_PAGE_BYTES - 1}, now_ps + core_.ps(bounds().error_ns));
}

void DmaRules::reset_started(uint64_t) {
  situation(Situation::kR10FunctionReset);
  core_.removed = false;
  mtu_least_bytes_ = kMtuDefaultBytes;
  bad_.clear();
}

void DmaRules::reset_completed(uint64_t) {
  bad_.clear();
  dead_.clear();
}

void DmaRules::expire(uint64_t now_ps) {
  size_t kept = 0;
  for (size_t i = 0; i < bad_.size(); ++i) {
    const BadDescriptor entry = bad_[i];
    const ShadowVi* vi = shadow().vi(entry.vi_id);
    if (vi == nullptr || vi->generation != entry.generation || vi->state != ShadowViState::kRunning) continue;
    if (entry.deadline_ps == 0 || entry.deadline_ps > now_ps) {
      if (entry.deadline_ps != 0) core_.arm(entry.deadline_ps);
      bad_[kept++] = entry;
      continue;
    }
    // Rate limits, pause and a full event queue may hold up the packets before it for longer.
    const bool held_up = vi->rate_limit_mbps != 0 || shadow().port().pause ||
                         vi->events_written - vi->evq_consumer_idx >= vi->evq_entries;
    if (held_up) continue;
    report(entry.address ? Rule::kR8 : Rule::kR12, entry.vi_id,
           fmt::format("{} within {} ns of the read of TX descriptor {}",
                       entry.address ? "DMA_FAULT" : "BAD_DESCRIPTOR", bounds().error_ns, entry.index),
           "no error event");
  }
  bad_.resize(kept);
}

}  // namespace

std::unique_ptr<RuleGroup> make_dma_rules(MonitorCore& core) { return std::make_unique<DmaRules>(core); }

}  // namespace postern::sim
