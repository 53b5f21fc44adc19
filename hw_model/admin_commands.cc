// What each admin command checks and does. See admin.h.
#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "hw_model/admin.h"
#include "hw_model/agenda.h"
#include "hw_model/device_control.h"
#include "hw_model/event_queue.h"
#include "hw_model/mac_port.h"
#include "hw_model/pcie_link.h"
#include "hw_model/port_statistics.h"
#include "hw_model/ptp_clock.h"
#include "hw_model/rss.h"
#include "hw_model/rx_filter.h"
#include "hw_model/translation.h"
#include "hw_model/vi_table.h"

namespace postern::hw_model {

namespace {

constexpr size_t kWords = PST_COMMAND_BYTES / 8;
using Words = std::array<uint64_t, kWords>;

struct Field {
  unsigned word, shift, width;
};
#define POSTERN_FIELD(name) \
  Field { name##_WORD, name##_SHIFT, name##_WIDTH }

// Bits that a command may set behind its header.
template <size_t kCount>
constexpr Words mask_of(const Field (&fields)[kCount]) {
  Words mask{};
  for (const Field& field : fields) {
    mask[field.word] |= (field.width == 64 ? ~0ull : ((1ull << field.width) - 1)) << field.shift;
  }
  return mask;
}

constexpr Words kNoFields{};
constexpr Words kMapFields =
    mask_of({POSTERN_FIELD(PST_TRANSLATION_MAP_DOMAIN_ADDRESS), POSTERN_FIELD(PST_TRANSLATION_MAP_HOST_ADDRESS),
             POSTERN_FIELD(PST_TRANSLATION_MAP_LENGTH_BYTES), POSTERN_FIELD(PST_TRANSLATION_MAP_WRITABLE)});
constexpr Words kUnmapFields = mask_of({POSTERN_FIELD(PST_TRANSLATION_UNMAP_DOMAIN_ADDRESS)});
constexpr Words kViAllocFields =
    mask_of({POSTERN_FIELD(PST_VI_ALLOC_RX_RING_ADDRESS), POSTERN_FIELD(PST_VI_ALLOC_TX_RING_ADDRESS),
             POSTERN_FIELD(PST_VI_ALLOC_EVQ_ADDRESS), POSTERN_FIELD(PST_VI_ALLOC_RX_ENTRIES),
             POSTERN_FIELD(PST_VI_ALLOC_TX_ENTRIES), POSTERN_FIELD(PST_VI_ALLOC_EVQ_ENTRIES),
             POSTERN_FIELD(PST_VI_ALLOC_EVQ_POLICY), POSTERN_FIELD(PST_VI_ALLOC_RX_PREFIX),
             POSTERN_FIELD(PST_VI_ALLOC_MAC_ANY_SOURCE), POSTERN_FIELD(PST_VI_ALLOC_VLAN_STRIP),
             POSTERN_FIELD(PST_VI_ALLOC_MERGE_COUNT), POSTERN_FIELD(PST_VI_ALLOC_VECTOR),
             POSTERN_FIELD(PST_VI_ALLOC_WEIGHT), POSTERN_FIELD(PST_VI_ALLOC_HOLDOFF_NS),
             POSTERN_FIELD(PST_VI_ALLOC_HOLDOFF_EVENTS), POSTERN_FIELD(PST_VI_ALLOC_RATE_LIMIT_MBPS)});
constexpr Words kGrantFields =
    mask_of({POSTERN_FIELD(PST_SOURCE_GRANT_FAMILY), POSTERN_FIELD(PST_SOURCE_GRANT_ADDRESS_LO),
             POSTERN_FIELD(PST_SOURCE_GRANT_ADDRESS_HI)});
constexpr Words kFilterFields =
    mask_of({POSTERN_FIELD(PST_FILTER_INSERT_MATCH), POSTERN_FIELD(PST_FILTER_INSERT_FAMILY),
             POSTERN_FIELD(PST_FILTER_INSERT_REPLICATE), POSTERN_FIELD(PST_FILTER_INSERT_RSS),
             POSTERN_FIELD(PST_FILTER_INSERT_PROTOCOL), POSTERN_FIELD(PST_FILTER_INSERT_ETHERTYPE),
             POSTERN_FIELD(PST_FILTER_INSERT_VLAN_ID), POSTERN_FIELD(PST_FILTER_INSERT_LOCAL_PORT),
             POSTERN_FIELD(PST_FILTER_INSERT_REMOTE_PORT), POSTERN_FIELD(PST_FILTER_INSERT_RSS_CONTEXT),
             POSTERN_FIELD(PST_FILTER_INSERT_LOCAL_ADDRESS_LO), POSTERN_FIELD(PST_FILTER_INSERT_LOCAL_ADDRESS_HI),
             POSTERN_FIELD(PST_FILTER_INSERT_REMOTE_ADDRESS_LO), POSTERN_FIELD(PST_FILTER_INSERT_REMOTE_ADDRESS_HI)});
constexpr Words kBindFields = mask_of(
    {POSTERN_FIELD(PST_MSIX_BIND_VECTOR), POSTERN_FIELD(PST_MSIX_BIND_TO_VI), POSTERN_FIELD(PST_MSIX_BIND_WAKEUP_VI)});
constexpr Words kModerationFields =
    mask_of({POSTERN_FIELD(PST_MODERATION_SET_HOLDOFF_NS), POSTERN_FIELD(PST_MODERATION_SET_HOLDOFF_EVENTS),
             POSTERN_FIELD(PST_MODERATION_SET_ADAPTIVE)});
constexpr Words kPortFields =
    mask_of({POSTERN_FIELD(PST_PORT_CONFIG_MTU_BYTES), POSTERN_FIELD(PST_PORT_CONFIG_PROMISCUOUS),
             POSTERN_FIELD(PST_PORT_CONFIG_PAUSE), POSTERN_FIELD(PST_PORT_CONFIG_LOOPBACK)});
constexpr Words kStatisticsFields = mask_of({POSTERN_FIELD(PST_STATISTICS_READ_ADDRESS)});
constexpr Words kRssFields =
    mask_of({POSTERN_FIELD(PST_RSS_CONFIGURE_KEY_ADDRESS), POSTERN_FIELD(PST_RSS_CONFIGURE_TABLE_ADDRESS)});
constexpr Words kPtpFields = mask_of({POSTERN_FIELD(PST_PTP_ADJUST_STEP_NS), POSTERN_FIELD(PST_PTP_ADJUST_RATE_PPB)});
#undef POSTERN_FIELD

// False: no such opcode in this device.
bool command_fields(uint64_t opcode, Words& fields, bool& has_target) {
  has_target = true;
  switch (opcode) {
    case PST_COMMAND_NOP:
    case PST_COMMAND_PD_ALLOC:
      has_target = false;
      fields = kNoFields;
      return true;
    case PST_COMMAND_PD_FREE:
    case PST_COMMAND_VI_FREE:
    case PST_COMMAND_VI_RESET:
    case PST_COMMAND_FILTER_REMOVE:
    case PST_COMMAND_RSS_ALLOC:
    case PST_COMMAND_RSS_FREE:
      fields = kNoFields;
      return true;
    case PST_COMMAND_TRANSLATION_MAP:
      fields = kMapFields;
      return true;
    case PST_COMMAND_TRANSLATION_UNMAP:
      fields = kUnmapFields;
      return true;
    case PST_COMMAND_VI_ALLOC:
      fields = kViAllocFields;
      return true;
    case PST_COMMAND_SOURCE_GRANT:
      fields = kGrantFields;
      return true;
    case PST_COMMAND_FILTER_INSERT:
      fields = kFilterFields;
      return true;
    case PST_COMMAND_MSIX_BIND:
      fields = kBindFields;
      return true;
    case PST_COMMAND_MODERATION_SET:
      fields = kModerationFields;
      return true;
    case PST_COMMAND_RSS_CONFIGURE:
      fields = kRssFields;
      return true;
    case PST_COMMAND_PTP_ADJUST:
      has_target = false;
      fields = kPtpFields;
      return true;
    case PST_COMMAND_PORT_CONFIG:
      has_target = false;
      fields = kPortFields;
      return true;
    case PST_COMMAND_STATISTICS_READ:
      has_target = false;
      fields = kStatisticsFields;
      return true;
    default:
      return false;
  }
}

bool power_of_two_within(uint64_t value, uint64_t minimum, uint64_t maximum) {
  return value >= minimum && value <= maximum && (value & (value - 1)) == 0;
}

bool valid_vector(uint64_t vector) { return vector < PST_LIMIT_MSIX_VECTOR_COUNT || vector == PST_VECTOR_NONE; }

uint32_t target(const pst_command& command) { return static_cast<uint32_t>(pst_command_get_target_id(&command)); }

}  // namespace

// Opcode, flags, target and reserved bits.
uint32_t Admin::check(const pst_command& command) {
  const uint64_t opcode = pst_command_get_opcode(&command);
  Words fields;
  bool has_target = false;
  if (!command_fields(opcode, fields, has_target)) return PST_ERROR_CODE_BAD_OPCODE;
  if (pst_command_get_flags(&command) != 0 || (!has_target && target(command) != 0))
    return PST_ERROR_CODE_BAD_PARAMETER;
  for (size_t i = 1; i < kWords; ++i) {
    if (command.word[i] & ~fields[i]) return PST_ERROR_CODE_BAD_PARAMETER;
  }
  return PST_ERROR_CODE_OK;
}

Admin::Outcome Admin::execute(const pst_command& command) {
  Outcome outcome;
  outcome.status = check(command);
  if (outcome.status != PST_ERROR_CODE_OK) return outcome;
  Translation& translation = *nic_.translation;
  switch (pst_command_get_opcode(&command)) {
    case PST_COMMAND_PD_ALLOC:
      outcome.status = translation.allocate(outcome.result);
      return outcome;
    case PST_COMMAND_PD_FREE:
      outcome.status = translation.free(target(command));
      if (outcome.status == PST_ERROR_CODE_OK) nic_.control->mapped(target(command));
      return outcome;
    case PST_COMMAND_TRANSLATION_MAP:
      outcome.status = translation.map(target(command), pst_translation_map_get_domain_address(&command),
                                       pst_translation_map_get_host_address(&command),
                                       pst_translation_map_get_length_bytes(&command),
                                       pst_translation_map_get_writable(&command) != 0);
      if (outcome.status == PST_ERROR_CODE_OK) nic_.control->mapped(target(command));
      return outcome;
    case PST_COMMAND_TRANSLATION_UNMAP:
      return unmap(command);
    case PST_COMMAND_VI_ALLOC:
      return vi_alloc(command);
    case PST_COMMAND_VI_FREE:
    case PST_COMMAND_VI_RESET:
      return vi_quiesce(command);
    case PST_COMMAND_SOURCE_GRANT:
      return source_grant(command);
    case PST_COMMAND_FILTER_INSERT:
      return filter_insert(command);
    case PST_COMMAND_FILTER_REMOVE:
      outcome.status = nic_.rx_filter->remove(target(command));
      if (outcome.status == PST_ERROR_CODE_OK) nic_.control->filters_changed();
      return outcome;
    case PST_COMMAND_RSS_ALLOC:
      return rss_alloc(command);
    case PST_COMMAND_RSS_FREE:
      outcome.status = nic_.rss->free(target(command));
      if (outcome.status == PST_ERROR_CODE_OK) nic_.control->rss_changed();
      return outcome;
    case PST_COMMAND_RSS_CONFIGURE:
      return rss_configure(command);
    case PST_COMMAND_PTP_ADJUST:
      return ptp_adjust(command);
    case PST_COMMAND_MSIX_BIND:
      return msix_bind(command);
    case PST_COMMAND_MODERATION_SET:
      return moderation_set(command);
    case PST_COMMAND_PORT_CONFIG:
      return port_config(command);
    case PST_COMMAND_STATISTICS_READ:
      return statistics_read(command);
    default:  // NOP
      return outcome;
  }
}

Admin::Outcome Admin::vi_alloc(const pst_command& c) {
  const uint32_t pd = target(c);
  if (!nic_.translation->exists(pd)) return {PST_ERROR_CODE_NOT_FOUND};
  const auto rx_entries = static_cast<uint32_t>(pst_vi_alloc_get_rx_entries(&c));
  const auto tx_entries = static_cast<uint32_t>(pst_vi_alloc_get_tx_entries(&c));
  const auto evq_entries = static_cast<uint32_t>(pst_vi_alloc_get_evq_entries(&c));
  const uint64_t rx_ring = pst_vi_alloc_get_rx_ring_address(&c);
  const uint64_t tx_ring = pst_vi_alloc_get_tx_ring_address(&c);
  const uint64_t evq = pst_vi_alloc_get_evq_address(&c);
  if (!power_of_two_within(rx_entries, PST_LIMIT_RING_ENTRIES_MIN, PST_LIMIT_RING_ENTRIES_MAX) ||
      !power_of_two_within(tx_entries, PST_LIMIT_RING_ENTRIES_MIN, PST_LIMIT_RING_ENTRIES_MAX) ||
      !power_of_two_within(evq_entries, PST_LIMIT_EVQ_ENTRIES_MIN, PST_LIMIT_EVQ_ENTRIES_MAX) ||
      (rx_ring | tx_ring | evq) % PST_LIMIT_PAGE_BYTES != 0 || pst_vi_alloc_get_evq_policy(&c) > PST_EVQ_POLICY_HALT ||
      !valid_vector(pst_vi_alloc_get_vector(&c)) ||
      (pst_vi_alloc_get_merge_count(&c) > 1 && !pst_vi_alloc_get_rx_prefix(&c))) {
    return {PST_ERROR_CODE_BAD_PARAMETER};
  }
  std::vector<DmaSegment> segments;
  if (!nic_.translation->translate(pd, rx_ring, rx_entries * PST_RX_DESC_BYTES, false, segments) ||
      !nic_.translation->translate(pd, tx_ring, tx_entries * PST_TX_DESC_BYTES, false, segments) ||
      !nic_.translation->translate(pd, evq, evq_entries * PST_EVENT_BYTES, true, segments)) {
    return {PST_ERROR_CODE_DMA_FAULT};
  }
  Vi* vi = nic_.vi_table->allocate();
  if (vi == nullptr) return {PST_ERROR_CODE_NO_RESOURCE};
  vi->pd = pd;
  vi->rx_ring_address = rx_ring;
  vi->tx_ring_address = tx_ring;
  vi->evq_address = evq;
  vi->rx_entries = rx_entries;
  vi->tx_entries = tx_entries;
  vi->evq_entries = evq_entries;
  vi->evq_policy = static_cast<uint8_t>(pst_vi_alloc_get_evq_policy(&c));
  vi->rx_prefix = pst_vi_alloc_get_rx_prefix(&c) != 0;
  vi->any_source = pst_vi_alloc_get_mac_any_source(&c) != 0;
  vi->vlan_strip = pst_vi_alloc_get_vlan_strip(&c) != 0;
  vi->merge_count = static_cast<uint8_t>(pst_vi_alloc_get_merge_count(&c));
  vi->vector = static_cast<uint32_t>(pst_vi_alloc_get_vector(&c));
  vi->weight = pst_vi_alloc_get_weight(&c) == 0 ? 1 : static_cast<uint32_t>(pst_vi_alloc_get_weight(&c));
  vi->holdoff_ps = pst_vi_alloc_get_holdoff_ns(&c) * 1000;
  if (vi->holdoff_ps == 0) vi->holdoff_ps = nic_.event_queue->default_holdoff_ps();
  vi->holdoff_events = static_cast<uint32_t>(pst_vi_alloc_get_holdoff_events(&c));
  vi->rate_limit_mbps = static_cast<uint32_t>(pst_vi_alloc_get_rate_limit_mbps(&c));
  nic_.control->start(*vi);
  if (lifecycle_.size() > 0) lifecycle_->vi_started(vi->id);
  return {PST_ERROR_CODE_OK, vi->id};
}

// VI_FREE and VI_RESET: nothing of the VI starts from now on; the rest is done when all that is in flight has landed
// (R10).
Admin::Outcome Admin::vi_quiesce(const pst_command& c) {
  Vi* vi = nic_.vi_table->find(target(c));
  if (vi == nullptr) return {PST_ERROR_CODE_NOT_FOUND};
  const uint64_t opcode = pst_command_get_opcode(&c);
  if (opcode == PST_COMMAND_VI_FREE) {
    nic_.rx_filter->remove_vi(vi->id);
    nic_.rss->remove_vi(vi->id);
    nic_.control->filters_changed();
    nic_.control->rss_changed();
  }
  nic_.control->stop(*vi, [this, id = vi->id, opcode, run = run_, generation = ++vi->teardown_generation] {
    vi_quiet(id, opcode, run, generation);
  });
  return {PST_ERROR_CODE_OK, 0, true};
}

void Admin::vi_quiet(uint32_t vi_id, uint64_t opcode, uint32_t run, uint32_t generation) {
  Vi* vi = nic_.vi_table->find(vi_id);
  if (vi->teardown_generation != generation) return;  // a later admin queue has asked again
  if (lifecycle_.size() > 0) lifecycle_->vi_stopped(vi->id);
  if (opcode == PST_COMMAND_VI_FREE) {
    nic_.vi_table->free(*vi);
  } else {
    nic_.vi_table->restart(*vi);
    nic_.control->start(*vi);
    if (lifecycle_.size() > 0) lifecycle_->vi_started(vi->id);
  }
  if (run == run_) complete(PST_ERROR_CODE_OK, 0);
}

Admin::Outcome Admin::unmap(const pst_command& c) {
  const uint32_t status = nic_.translation->unmap(target(c), pst_translation_unmap_get_domain_address(&c));
  if (status != PST_ERROR_CODE_OK) return {status};
  nic_.control->unmapped(target(c), [this, run = run_] {
    if (run == run_) complete(PST_ERROR_CODE_OK, 0);
  });
  return {PST_ERROR_CODE_OK, 0, true};
}

Admin::Outcome Admin::source_grant(const pst_command& c) {
  Vi* vi = nic_.vi_table->find(target(c));
  if (vi == nullptr) return {PST_ERROR_CODE_NOT_FOUND};
  SourceGrant grant;
  grant.family = static_cast<uint8_t>(pst_source_grant_get_family(&c));
  grant.address_lo = pst_source_grant_get_address_lo(&c);
  grant.address_hi = pst_source_grant_get_address_hi(&c);
  const unsigned bits = grant.family == PST_ADDRESS_FAMILY_MAC ? 48 : grant.family == PST_ADDRESS_FAMILY_IPV4 ? 32 : 64;
  if (grant.family > PST_ADDRESS_FAMILY_IPV6 ||
      (bits < 64 && (grant.address_lo >> bits != 0 || grant.address_hi != 0))) {
    return {PST_ERROR_CODE_BAD_PARAMETER};
  }
  for (uint32_t i = 0; i < vi->grant_count; ++i) {
    const SourceGrant& known = vi->grants[i];
    if (known.family == grant.family && known.address_lo == grant.address_lo && known.address_hi == grant.address_hi)
      return {};
  }
  if (vi->grant_count == PST_LIMIT_SOURCE_GRANT_MAX) return {PST_ERROR_CODE_NO_RESOURCE};
  vi->grants[vi->grant_count++] = grant;
  nic_.control->grants_changed(*vi);
  return {};
}

Admin::Outcome Admin::filter_insert(const pst_command& c) {
  const Vi* vi = nic_.vi_table->find(target(c));
  if (vi == nullptr || vi->state == ViState::kStopping) return {PST_ERROR_CODE_NOT_FOUND};
  Outcome outcome;
  outcome.status = nic_.rx_filter->insert(c, outcome.result);
  if (outcome.status == PST_ERROR_CODE_OK) nic_.control->filters_changed();
  return outcome;
}

Admin::Outcome Admin::msix_bind(const pst_command& c) {
  Vi* vi = nic_.vi_table->find(target(c));
  if (vi == nullptr) return {PST_ERROR_CODE_NOT_FOUND};
  const bool to_vi = pst_msix_bind_get_to_vi(&c) != 0;
  const uint64_t wake_vi = pst_msix_bind_get_wakeup_vi(&c);
  if (!valid_vector(pst_msix_bind_get_vector(&c)) || (to_vi && wake_vi == vi->id))
    return {PST_ERROR_CODE_BAD_PARAMETER};
  if (to_vi && nic_.vi_table->find(wake_vi) == nullptr) return {PST_ERROR_CODE_NOT_FOUND};
  vi->vector = static_cast<uint32_t>(pst_msix_bind_get_vector(&c));
  vi->wake_to_vi = to_vi;
  vi->wake_vi = static_cast<uint32_t>(wake_vi);
  nic_.control->binding_changed(*vi);
  return {};
}

Admin::Outcome Admin::moderation_set(const pst_command& c) {
  Vi* vi = nic_.vi_table->find(target(c));
  if (vi == nullptr) return {PST_ERROR_CODE_NOT_FOUND};
  nic_.control->set_moderation(*vi, pst_moderation_set_get_holdoff_ns(&c) * 1000,
                               static_cast<uint32_t>(pst_moderation_set_get_holdoff_events(&c)),
                               pst_moderation_set_get_adaptive(&c) != 0);
  return {};
}

Admin::Outcome Admin::port_config(const pst_command& c) {
  constexpr uint64_t kMtuMin = 68;  // RFC 791: every link carries 68 bytes
  const uint64_t mtu_bytes = pst_port_config_get_mtu_bytes(&c);
  if (mtu_bytes < kMtuMin || mtu_bytes > nic_.mac_port->mtu_max_bytes()) return {PST_ERROR_CODE_BAD_PARAMETER};
  nic_.control->port_changed(static_cast<uint32_t>(mtu_bytes), pst_port_config_get_pause(&c) != 0,
                             pst_port_config_get_loopback(&c) != 0, pst_port_config_get_promiscuous(&c) != 0);
  return {};
}

Admin::Outcome Admin::ptp_adjust(const pst_command& c) {
  const auto step_ns = static_cast<int64_t>(pst_ptp_adjust_get_step_ns(&c));
  const auto rate_ppb = static_cast<int32_t>(pst_ptp_adjust_get_rate_ppb(&c));
  if (!nic_.ptp_clock->adjust(Agenda::now_ps(), step_ns, rate_ppb)) return {PST_ERROR_CODE_BAD_PARAMETER};
  return {};
}

Admin::Outcome Admin::rss_alloc(const pst_command& c) {
  if (!nic_.translation->exists(target(c))) return {PST_ERROR_CODE_NOT_FOUND};
  Outcome outcome;
  outcome.status = nic_.rss->allocate(target(c), outcome.result);
  if (outcome.status == PST_ERROR_CODE_OK) nic_.control->rss_changed();
  return outcome;
}

// The command stays the first of the queue until it completes, so it is looked at again when key and table are here.
Admin::Outcome Admin::rss_configure(const pst_command& c) {
  if (!nic_.rss->exists(target(c))) return {PST_ERROR_CODE_NOT_FOUND};
  const uint64_t key_address = pst_rss_configure_get_key_address(&c);
  const uint64_t table_address = pst_rss_configure_get_table_address(&c);
  if ((key_address | table_address) % 8 != 0) return {PST_ERROR_CODE_BAD_PARAMETER};
  const uint64_t now = Agenda::now_ps();
  const ReadPlan key = nic_.pcie_link->post_read(now, key_address, PST_LIMIT_RSS_KEY_BYTES);
  const ReadPlan table = nic_.pcie_link->post_read(now, table_address, sizeof(RssTable));
  nic_.agenda->at<&Admin::rss_configuration_landed>(std::max(key.landing_ps, table.landing_ps), this, run_,
                                                    static_cast<uint64_t>(key.fate), static_cast<uint64_t>(table.fate));
  return {PST_ERROR_CODE_OK, 0, true};
}

void Admin::rss_configuration_landed(uint64_t run, uint64_t key_fate, uint64_t table_fate, uint64_t) {
  if (run != run_) return;
  complete(
      take_rss_configuration(commands_.front(), static_cast<DmaResult>(key_fate), static_cast<DmaResult>(table_fate)),
      0);
}

uint32_t Admin::take_rss_configuration(const pst_command& c, DmaResult key_fate, DmaResult table_fate) {
  RssKey key;
  RssTable table;
  DmaResult result =
      nic_.pcie_link->memory_read(pst_rss_configure_get_key_address(&c), key.data(), sizeof key, key_fate);
  if (result == DmaResult::kOk) {
    result =
        nic_.pcie_link->memory_read(pst_rss_configure_get_table_address(&c), table.data(), sizeof table, table_fate);
  }
  if (result != DmaResult::kOk) return dma_error_code(result);
  const uint32_t pd = nic_.rss->domain(target(c));
  for (const uint16_t vi_id : table) {
    const Vi* vi = nic_.vi_table->find(vi_id);
    if (vi == nullptr || vi->state == ViState::kStopping) return PST_ERROR_CODE_NOT_FOUND;
    if (vi->pd != pd) return PST_ERROR_CODE_BAD_PARAMETER;
  }
  nic_.rss->configure(target(c), key, table);
  nic_.control->rss_changed();
  return PST_ERROR_CODE_OK;
}

Admin::Outcome Admin::statistics_read(const pst_command& c) {
  const uint64_t host_address = pst_statistics_read_get_address(&c);
  if (host_address % 8 != 0) return {PST_ERROR_CODE_BAD_PARAMETER};
  const uint64_t landing = nic_.pcie_link->post_write(Agenda::now_ps(), host_address, PST_PORT_STATISTICS_BYTES);
  nic_.agenda->at<&Admin::statistics_landed>(landing, this, host_address, run_);
  return {PST_ERROR_CODE_OK, 0, true};
}

void Admin::statistics_landed(uint64_t host_address, uint64_t run, uint64_t, uint64_t) {
  if (run != run_) return;
  const PortStatistics& s = *nic_.statistics;
  pst_port_statistics out{};
  pst_port_statistics_set_tx_frames(&out, s.tx_frames);
  pst_port_statistics_set_tx_bytes(&out, s.tx_bytes);
  pst_port_statistics_set_rx_frames(&out, s.rx_frames);
  pst_port_statistics_set_rx_bytes(&out, s.rx_bytes);
  pst_port_statistics_set_interrupts(&out, s.interrupts);
  pst_port_statistics_set_events(&out, s.events);
  pst_port_statistics_set_rx_pause_frames(&out, s.rx_pause_frames);
  pst_port_statistics_set_tx_pause_frames(&out, s.tx_pause_frames);
  static_assert(PST_PORT_STATISTICS_DROPS_COUNT == PortStatistics::kDropReasons);
  for (size_t reason = 0; reason < PortStatistics::kDropReasons; ++reason) {
    out.word[PST_PORT_STATISTICS_DROPS_WORD + reason] = s.drops[reason];
  }
  complete(dma_error_code(nic_.pcie_link->memory_write(host_address, &out, sizeof out)), 0);
}

}  // namespace postern::hw_model
