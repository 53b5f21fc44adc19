// What admin commands and resets do to the state. See contract_shadow.h.
#include <algorithm>

#include "sim/monitor/contract_shadow.h"

namespace postern::sim {

namespace {
constexpr size_t kGravesMax = 512;  // pieces of rings of former VIs that are remembered

uint32_t target_of(const pst_command& command) { return static_cast<uint32_t>(pst_command_get_target_id(&command)); }
}  // namespace

// From here until the completion the command may take effect at any time.
void ContractShadow::command_begins(const ShadowCommand& command) {
  const pst_command& c = command.command;
  switch (pst_command_get_opcode(&c)) {
    case PST_COMMAND_VI_FREE:
    case PST_COMMAND_VI_RESET:
      if (ShadowVi* vi = known(target_of(c)); vi != nullptr && vi->exists()) vi->state = ShadowViState::kStopping;
      return;
    case PST_COMMAND_TRANSLATION_UNMAP:
      if (target_of(c) >= domains_.size()) return;
      for (ShadowRange& range : domains_[target_of(c)].ranges) {
        if (range.domain_address == pst_translation_unmap_get_domain_address(&c)) range.removing = true;
      }
      return;
    case PST_COMMAND_MSIX_BIND:
    case PST_COMMAND_MODERATION_SET:
      if (ShadowVi* vi = known(target_of(c)); vi != nullptr) vi->moderation_changed_ps = command.fetched_ps;
      return;
    case PST_COMMAND_RSS_CONFIGURE:
      rss_incoming_ = ShadowRssContext();
      return;
    default:
      return;
  }
}

// It had no effect: undoes command_begins().
void ContractShadow::rejected(const pst_command& c) {
  switch (pst_command_get_opcode(&c)) {
    case PST_COMMAND_VI_FREE:
    case PST_COMMAND_VI_RESET: {
      // A halted VI is not told from a running one again until its next error; both may act.
      ShadowVi* vi = known(target_of(c));
      if (vi != nullptr && vi->state == ShadowViState::kStopping && !resetting_) vi->state = ShadowViState::kRunning;
      return;
    }
    case PST_COMMAND_TRANSLATION_UNMAP:
      if (target_of(c) >= domains_.size()) return;
      for (ShadowRange& range : domains_[target_of(c)].ranges) range.removing = false;
      return;
    default:
      return;
  }
}

void ContractShadow::apply(uint64_t now_ps, const ShadowCommand& command, const pst_admin_completion& answer) {
  const pst_command& c = command.command;
  if (pst_admin_completion_get_status(&answer) != PST_ERROR_CODE_OK) return rejected(c);
  const auto result = static_cast<uint32_t>(pst_admin_completion_get_result(&answer));
  switch (pst_command_get_opcode(&c)) {
    case PST_COMMAND_PD_ALLOC:
    case PST_COMMAND_PD_FREE:
    case PST_COMMAND_TRANSLATION_MAP:
    case PST_COMMAND_TRANSLATION_UNMAP:
      return apply_domain(c, result);
    case PST_COMMAND_VI_ALLOC:
    case PST_COMMAND_VI_FREE:
    case PST_COMMAND_VI_RESET:
    case PST_COMMAND_SOURCE_GRANT:
    case PST_COMMAND_MSIX_BIND:
    case PST_COMMAND_MODERATION_SET:
      return apply_vi(now_ps, c, result);
    default:
      return apply_steering(c, result);
  }
}

ShadowRange ContractShadow::range_to_map(const pst_command& c) {
  return {pst_translation_map_get_domain_address(&c), pst_translation_map_get_host_address(&c),
          pst_translation_map_get_length_bytes(&c), pst_translation_map_get_writable(&c) != 0, false};
}

void ContractShadow::apply_domain(const pst_command& c, uint32_t result) {
  const bool allocates = pst_command_get_opcode(&c) == PST_COMMAND_PD_ALLOC;
  const uint32_t id = allocates ? result : target_of(c);
  if (id >= domains_.size()) return;
  ShadowDomain& domain = domains_[id];
  switch (pst_command_get_opcode(&c)) {
    case PST_COMMAND_PD_ALLOC:
      domain = ShadowDomain();
      domain.exists = true;
      return;
    case PST_COMMAND_PD_FREE:
      domain = ShadowDomain();
      return;
    case PST_COMMAND_TRANSLATION_MAP:
      domain.ranges.push_back(range_to_map(c));
      if (!domain.vi_ids.empty()) index_rings();
      return;
    default: {  // TRANSLATION_UNMAP
      const uint64_t address = pst_translation_unmap_get_domain_address(&c);
      auto& ranges = domain.ranges;
      ranges.erase(std::remove_if(ranges.begin(), ranges.end(),
                                  [&](const ShadowRange& range) { return range.domain_address == address; }),
                   ranges.end());
      if (!domain.vi_ids.empty()) index_rings();
      return;
    }
  }
}

void ContractShadow::apply_vi(uint64_t now_ps, const pst_command& c, uint32_t result) {
  if (pst_command_get_opcode(&c) == PST_COMMAND_VI_ALLOC) return start_vi(c, result);
  ShadowVi* vi = known(target_of(c));
  if (vi == nullptr || !vi->exists()) return;
  switch (pst_command_get_opcode(&c)) {
    case PST_COMMAND_VI_FREE:
      return free_vi(*vi);
    case PST_COMMAND_VI_RESET:
      return restart_vi(*vi);
    case PST_COMMAND_SOURCE_GRANT:
      vi->grants.push_back({static_cast<uint32_t>(pst_source_grant_get_family(&c)), pst_source_grant_get_address_lo(&c),
                            pst_source_grant_get_address_hi(&c)});
      return;
    case PST_COMMAND_MSIX_BIND:
      vi->vector = static_cast<uint32_t>(pst_msix_bind_get_vector(&c));
      vi->wake_to_vi = pst_msix_bind_get_to_vi(&c) != 0;
      vi->wakeup_vi = static_cast<uint32_t>(pst_msix_bind_get_wakeup_vi(&c));
      vi->moderation_changed_ps = now_ps;
      return;
    default:  // MODERATION_SET
      vi->holdoff_ns = pst_moderation_set_get_holdoff_ns(&c);
      vi->holdoff_events = static_cast<uint32_t>(pst_moderation_set_get_holdoff_events(&c));
      vi->adaptive = pst_moderation_set_get_adaptive(&c) != 0;
      vi->moderation_changed_ps = now_ps;
      return;
  }
}

void ContractShadow::apply_steering(const pst_command& c, uint32_t result) {
  const uint32_t target = target_of(c);
  switch (pst_command_get_opcode(&c)) {
    case PST_COMMAND_FILTER_INSERT:
      filters_.push_back({result, target, c});
      break;
    case PST_COMMAND_FILTER_REMOVE:
      filters_.erase(std::remove_if(filters_.begin(), filters_.end(),
                                    [&](const ShadowFilter& filter) { return filter.id == target; }),
                     filters_.end());
      break;
    case PST_COMMAND_RSS_ALLOC:
      if (result >= rss_contexts_.size()) return;
      rss_contexts_[result] = ShadowRssContext();
      rss_contexts_[result].exists = true;
      rss_contexts_[result].domain = target;
      break;
    case PST_COMMAND_RSS_FREE:
      if (target < rss_contexts_.size()) rss_contexts_[target] = ShadowRssContext();
      break;
    case PST_COMMAND_RSS_CONFIGURE:
      if (target >= rss_contexts_.size()) return;
      rss_contexts_[target].configured = true;
      rss_contexts_[target].key = rss_incoming_.key;
      rss_contexts_[target].table = rss_incoming_.table;
      break;
    case PST_COMMAND_PORT_CONFIG:
      port_.promiscuous = pst_port_config_get_promiscuous(&c) != 0;
      port_.pause = pst_port_config_get_pause(&c) != 0;
      port_.loopback = pst_port_config_get_loopback(&c) != 0;
      break;
    default:
      return;
  }
  ++steering_version_;
}

void ContractShadow::start_vi(const pst_command& c, uint32_t id) {
  const uint32_t domain = target_of(c);
  if (id >= vis_.size() || domain >= domains_.size()) return;
  if (!vis_[id]) vis_[id] = std::make_unique<ShadowVi>();
  ShadowVi& vi = *vis_[id];
  const uint32_t generation = vi.generation + 1;
  vi = ShadowVi();
  vi.id = id;
  vi.generation = generation;
  vi.state = ShadowViState::kRunning;
  vi.domain = domain;
  vi.rx_ring_address = pst_vi_alloc_get_rx_ring_address(&c);
  vi.tx_ring_address = pst_vi_alloc_get_tx_ring_address(&c);
  vi.evq_address = pst_vi_alloc_get_evq_address(&c);
  vi.rx_entries = static_cast<uint32_t>(pst_vi_alloc_get_rx_entries(&c));
  vi.tx_entries = static_cast<uint32_t>(pst_vi_alloc_get_tx_entries(&c));
  vi.evq_entries = static_cast<uint32_t>(pst_vi_alloc_get_evq_entries(&c));
  vi.evq_policy = static_cast<uint32_t>(pst_vi_alloc_get_evq_policy(&c));
  vi.rx_prefix = pst_vi_alloc_get_rx_prefix(&c) != 0;
  vi.any_source = pst_vi_alloc_get_mac_any_source(&c) != 0;
  vi.vlan_strip = pst_vi_alloc_get_vlan_strip(&c) != 0;
  vi.merge_count = std::max<uint32_t>(1, static_cast<uint32_t>(pst_vi_alloc_get_merge_count(&c)));
  vi.vector = static_cast<uint32_t>(pst_vi_alloc_get_vector(&c));
  vi.weight = std::max<uint32_t>(1, static_cast<uint32_t>(pst_vi_alloc_get_weight(&c)));
  vi.holdoff_ns = pst_vi_alloc_get_holdoff_ns(&c);
  vi.holdoff_events = static_cast<uint32_t>(pst_vi_alloc_get_holdoff_events(&c));
  vi.rate_limit_mbps = static_cast<uint32_t>(pst_vi_alloc_get_rate_limit_mbps(&c));
  domains_[domain].vi_ids.push_back(id);
  index_rings();
  ++steering_version_;
}

void ContractShadow::restart_vi(ShadowVi& vi) {
  ++vi.generation;
  vi.state = ShadowViState::kRunning;
  vi.page = {};
  vi.pio_page.clear();
  vi.rx_producer_idx = vi.tx_producer_idx = vi.evq_consumer_idx = 0;
  vi.prime_count = vi.prime_issue_ps = vi.prime_idx = vi.prime_sequence = 0;
  vi.rx_fetched_idx = vi.tx_fetched_idx = vi.rx_consumer_idx = vi.tx_consumer_idx = 0;
  vi.events_written = vi.rx_write_idx = vi.tx_read_idx = vi.tx_read_bytes = 0;
  vi.last_event_ps = 0;
  ++steering_version_;
}

void ContractShadow::free_vi(ShadowVi& vi) {
  bury(vi);
  vi.state = ShadowViState::kFree;
  for (const auto& other : vis_) {  // wakeups that went to its queue go nowhere
    if (other && other->wakeup_vi == vi.id) other->wakeup_vi = PST_LIMIT_VI_COUNT_MAX;
  }
  auto& ids = domains_[vi.domain].vi_ids;
  ids.erase(std::remove(ids.begin(), ids.end(), vi.id), ids.end());
  filters_.erase(std::remove_if(filters_.begin(), filters_.end(),
                                [&](const ShadowFilter& filter) { return filter.vi_id == vi.id; }),
                 filters_.end());
  for (ShadowRssContext& context : rss_contexts_) {  // a VI that gets this id later is another one
    if (context.configured)
      std::replace(context.table.begin(), context.table.end(), static_cast<uint16_t>(vi.id), kNoRssVi);
  }
  index_rings();
  ++steering_version_;
}

void ContractShadow::bury(const ShadowVi& vi) {
  for (const RingPiece& piece : ring_pieces_) {
    if (piece.vi_id == vi.id) graves_.push_back(piece);
  }
  if (graves_.size() > kGravesMax) graves_.erase(graves_.begin(), graves_.end() - kGravesMax);
}

void ContractShadow::function_reset(uint64_t now_ps) { start_reset(now_ps); }

void ContractShadow::start_reset(uint64_t now_ps) {
  resetting_ = true;
  reset_issue_ps_ = now_ps;
  ++function_resets_;
  for (const auto& vi : vis_) {
    if (vi && vi->exists()) vi->state = ShadowViState::kStopping;
  }
  function_registers_ = {};
  function_registers_[PST_FUNCTION_ADMIN_VECTOR_OFFSET / 4] = PST_VECTOR_NONE;
  for (ShadowListener* listener : listeners_) listener->reset_started(now_ps);
}

void ContractShadow::complete_reset(uint64_t now_ps) {
  resetting_ = false;
  drop_all();
  for (ShadowListener* listener : listeners_) listener->reset_completed(now_ps);
}

void ContractShadow::drop_all() {
  for (const auto& vi : vis_) {
    if (!vi || !vi->exists()) continue;
    bury(*vi);
    vi->state = ShadowViState::kFree;
  }
  for (ShadowDomain& domain : domains_) domain = ShadowDomain();
  for (ShadowRssContext& context : rss_contexts_) context = ShadowRssContext();
  std::fill(vectors_.begin(), vectors_.end(), Vector());
  filters_.clear();
  ring_pieces_.clear();
  spans_ = {};
  commands_.clear();
  admin_ = AdminQueue();
  port_ = ShadowPort();
  ++steering_version_;
}

}  // namespace postern::sim
