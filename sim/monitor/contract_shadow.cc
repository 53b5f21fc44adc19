// Register writes, doorbells and what DMA accesses mean. The effects of commands are in shadow_commands.cc, the lookup
// of addresses in shadow_addresses.cc. See contract_shadow.h.
#include "sim/monitor/contract_shadow.h"

#include <algorithm>
#include <cstring>

namespace postern::sim {

namespace {

constexpr uint32_t kMsixEntryBytes = 16;
constexpr uint32_t kMsixControlOffset = 12;
constexpr uint64_t kNoAddress = ~uint64_t{0} << 12;  // of a frame in the PIO page: no domain reaches so far

bool is_64_bit_doorbell(uint32_t offset) {
  return offset == PST_VI_EVQ_PRIME_OFFSET || offset == PST_VI_TIMER_OFFSET || offset == PST_VI_PIO_DOORBELL_OFFSET ||
         offset == PST_VI_TX_PUSH_DESCRIPTOR_LO_OFFSET || offset == PST_VI_TX_PUSH_DESCRIPTOR_HI_OFFSET;
}

uint64_t load(const uint8_t* data, uint32_t bytes) {
  uint64_t value = 0;
  std::memcpy(&value, data, std::min<uint32_t>(bytes, 8));
  return value;
}

bool power_of_two(uint64_t value) { return value != 0 && (value & (value - 1)) == 0; }

}  // namespace

const char* dma_target_name(DmaTarget target) {
  constexpr const char* kNames[] = {"unknown",
                                    "admin submission ring",
                                    "admin completion ring",
                                    "RX ring",
                                    "TX ring",
                                    "event queue",
                                    "RX buffer",
                                    "TX buffer",
                                    "statistics",
                                    "RSS configuration"};
  return kNames[static_cast<unsigned>(target)];
}

ContractShadow::ContractShadow()
    : vis_(PST_LIMIT_VI_COUNT_MAX), domains_(PST_LIMIT_PD_COUNT_MAX), vectors_(PST_LIMIT_MSIX_VECTOR_COUNT) {
  rss_contexts_.resize(PST_LIMIT_RSS_CONTEXT_COUNT_MAX);
  function_registers_[PST_FUNCTION_ADMIN_VECTOR_OFFSET / 4] = PST_VECTOR_NONE;
}

void ContractShadow::bar_written(uint64_t issue_ps, unsigned bar, uint64_t offset, const uint8_t* data,
                                 uint32_t bytes) {
  if (bar == PST_BAR_VI) {
    if (offset % PST_VI_WINDOW_STRIDE >= PST_VI_PIO_PAGE_OFFSET) {
      pio_written(offset, data, bytes);
    } else if (offset < PST_BAR_VI_SIZE && bytes <= 8) {
      window_written(issue_ps, offset, load(data, bytes), bytes);
    }
  } else if (bar == PST_BAR_FUNCTION) {
    if (offset < PST_CLOCK_PAGE_OFFSET && bytes <= 8) {
      function_written(issue_ps, static_cast<uint32_t>(offset), load(data, bytes), bytes);
    }
  } else if (bar == PST_BAR_MSIX) {
    vectors_written(issue_ps, offset, data, bytes);
  }
}

void ContractShadow::bar_read(uint64_t issue_ps, uint64_t done_ps, unsigned bar, uint64_t offset, const uint8_t* data,
                              uint32_t bytes) {
  if (!resetting_ || bar != PST_BAR_FUNCTION || offset != PST_FUNCTION_STATUS_OFFSET || issue_ps < reset_issue_ps_)
    return;
  const uint64_t status = load(data, bytes);
  if (status != 0xffffffff && (status & PST_FUNCTION_STATUS_READY_MASK)) complete_reset(done_ps);
}

void ContractShadow::function_written(uint64_t issue_ps, uint32_t offset, uint64_t value, uint32_t bytes) {
  if (offset % 4 != 0 || (bytes != 4 && bytes != 8)) return;
  if (offset == PST_FUNCTION_RESET_OFFSET) {
    if (static_cast<uint32_t>(value) == PST_RESET_KEY) start_reset(issue_ps);
    return;
  }
  auto& registers = function_registers_;
  const auto store_half = [&](uint32_t base, bool high, uint32_t half) {
    registers[base / 4] = high ? (registers[base / 4] & 0xffffffffull) | static_cast<uint64_t>(half) << 32
                               : (registers[base / 4] & ~0xffffffffull) | half;
  };
  switch (offset) {
    case PST_FUNCTION_ADMIN_SQ_BASE_OFFSET:
    case PST_FUNCTION_ADMIN_CQ_BASE_OFFSET:
      if (bytes == 8) {
        registers[offset / 4] = value;
      } else {
        store_half(offset, false, static_cast<uint32_t>(value));
      }
      return;
    case PST_FUNCTION_ADMIN_SQ_BASE_OFFSET + 4:
    case PST_FUNCTION_ADMIN_CQ_BASE_OFFSET + 4:
      if (bytes == 4) store_half(offset - 4, true, static_cast<uint32_t>(value));
      return;
    case PST_FUNCTION_ADMIN_ENTRIES_OFFSET:
    case PST_FUNCTION_ADMIN_VECTOR_OFFSET:
      registers[offset / 4] = static_cast<uint32_t>(value);
      return;
    case PST_FUNCTION_ADMIN_ENABLE_OFFSET:
      if (resetting_ && (value & 1)) complete_reset(issue_ps);
      registers[offset / 4] = static_cast<uint32_t>(value);
      return admin_enable((value & 1) != 0);
    case PST_FUNCTION_ADMIN_DOORBELL_OFFSET:
      registers[offset / 4] = static_cast<uint32_t>(value);
      if (admin_.enabled) admin_.producer_idx = static_cast<uint32_t>(value);
      return;
    case PST_FUNCTION_ADMIN_CONSUMER_OFFSET:
      registers[offset / 4] = static_cast<uint32_t>(value);
      if (admin_.enabled) admin_.consumer_idx = static_cast<uint32_t>(value);
      return;
    default:
      return;
  }
}

void ContractShadow::admin_enable(bool on) {
  if (on == admin_.enabled) return;
  for (const ShadowCommand& command : commands_) rejected(command.command);
  commands_.clear();
  admin_ = AdminQueue();
  if (!on) return;
  admin_.sq_base = function_registers_[PST_FUNCTION_ADMIN_SQ_BASE_OFFSET / 4];
  admin_.cq_base = function_registers_[PST_FUNCTION_ADMIN_CQ_BASE_OFFSET / 4];
  admin_.entries = static_cast<uint32_t>(function_registers_[PST_FUNCTION_ADMIN_ENTRIES_OFFSET / 4]);
  admin_.enabled = power_of_two(admin_.entries) && admin_.entries >= PST_LIMIT_ADMIN_ENTRIES_MIN &&
                   admin_.entries <= PST_LIMIT_ADMIN_ENTRIES_MAX &&
                   (admin_.sq_base | admin_.cq_base) % PST_LIMIT_PAGE_BYTES == 0;
  submissions_.assign(admin_.enabled ? admin_.entries : 0, pst_command{});
}

void ContractShadow::pio_written(uint64_t offset, const uint8_t* data, uint32_t bytes) {
  const uint64_t in_page = offset % PST_VI_WINDOW_STRIDE - PST_VI_PIO_PAGE_OFFSET;
  ShadowVi* vi = offset < PST_BAR_VI_SIZE ? known(static_cast<uint32_t>(offset / PST_VI_WINDOW_STRIDE)) : nullptr;
  if (vi == nullptr || !vi->exists() || in_page + bytes > PST_LIMIT_PIO_BYTES) return;
  if (vi->pio_page.empty()) vi->pio_page.resize(PST_LIMIT_PIO_BYTES);
  std::memcpy(vi->pio_page.data() + in_page, data, bytes);
}

void ContractShadow::window_written(uint64_t issue_ps, uint64_t offset, uint64_t value, uint32_t bytes) {
  const auto id = static_cast<uint32_t>(offset / PST_VI_WINDOW_STRIDE);
  const auto in_window = static_cast<uint32_t>(offset % PST_VI_WINDOW_STRIDE);
  ShadowVi* vi = known(id);
  if (vi == nullptr || !vi->exists() || in_window / 8 >= vi->page.size()) return;
  const uint32_t base = in_window & ~7u;
  if ((bytes != 4 && bytes != 8) || (in_window != base && (!is_64_bit_doorbell(base) || bytes != 4))) return;
  ShadowDoorbell& cell = vi->page[base / 8];
  uint64_t next = value;
  bool complete = true;
  if (!is_64_bit_doorbell(base)) {
    next = static_cast<uint32_t>(value);
  } else if (in_window != base) {
    next = (cell.value & 0xffffffffull) | value << 32;
  } else if (bytes == 4) {
    next = (cell.value & ~0xffffffffull) | static_cast<uint32_t>(value);
    complete = false;
  }
  // A register written in halves triggers with the high half, whatever the low half changed.
  const bool repeated = next == cell.value && (bytes == 8 || !is_64_bit_doorbell(base));
  if (complete) {
    for (ShadowListener* listener : listeners_) listener->doorbell(issue_ps, *vi, base, next, repeated);
  }
  if (next != cell.value) {
    cell.previous = cell.value;
    cell.value = next;
    cell.issue_ps = issue_ps;
  }
  ++cell.write_count;
  if (complete && !repeated) ring(issue_ps, *vi, base, next);
}

void ContractShadow::ring(uint64_t issue_ps, ShadowVi& vi, uint32_t offset, uint64_t value) {
  const auto index = static_cast<uint32_t>(value);
  // The device may have consumed up to a ring more than its events have told yet, and accepts an index accordingly.
  const auto post = [index](uint32_t& producer_idx, uint32_t consumer_idx, uint32_t entries) {
    if (index - consumer_idx <= 2 * entries && static_cast<int32_t>(index - producer_idx) > 0) producer_idx = index;
  };
  switch (offset) {
    case PST_VI_RX_DOORBELL_OFFSET:
      post(vi.rx_producer_idx, vi.rx_consumer_idx, vi.rx_entries);
      return;
    case PST_VI_TX_DOORBELL_OFFSET:
    case PST_VI_TX_PUSH_DOORBELL_OFFSET:
    case PST_VI_PIO_DOORBELL_OFFSET:
      post(vi.tx_producer_idx, vi.tx_consumer_idx, vi.tx_entries);
      break;
    case PST_VI_EVQ_CONSUMER_OFFSET:
      return consume(vi, index);
    case PST_VI_EVQ_PRIME_OFFSET: {
      const auto sequence =
          static_cast<uint32_t>((value & PST_VI_EVQ_PRIME_SEQUENCE_MASK) >> PST_VI_EVQ_PRIME_SEQUENCE_SHIFT);
      consume(vi, index);
      if (sequence == 0) return;
      ++vi.prime_count;
      vi.prime_issue_ps = issue_ps;
      vi.prime_idx = index;
      vi.prime_sequence = sequence;
      return;
    }
    default:
      return;
  }
  // Right only while every earlier packet is completed, and so has been read.
  if (offset == PST_VI_TX_DOORBELL_OFFSET || vi.tx_fetched_idx != index - 1) return;
  // Neither a pushed descriptor nor a PIO frame is read from the ring.
  pst_tx_desc desc{};
  if (offset == PST_VI_TX_PUSH_DOORBELL_OFFSET) {
    desc = {{vi.page[PST_VI_TX_PUSH_DESCRIPTOR_LO_OFFSET / 8].value,
             vi.page[PST_VI_TX_PUSH_DESCRIPTOR_HI_OFFSET / 8].value}};
  } else {
    pst_tx_desc_set_address(&desc, kNoAddress);
    pst_tx_desc_set_length_bytes(&desc, value >> PST_VI_PIO_DOORBELL_LENGTH_BYTES_SHIFT);
    pst_tx_desc_set_end_of_packet(&desc, 1);
  }
  if (vi.tx_descs.empty()) vi.tx_descs.resize(vi.tx_entries);
  vi.tx_descs[(index - 1) & (vi.tx_entries - 1)] = desc;
  vi.tx_fetched_idx = index;
  if (offset != PST_VI_TX_PUSH_DOORBELL_OFFSET) return;
  for (ShadowListener* listener : descriptor_listeners_) listener->descriptors_read(issue_ps, vi, true, index - 1, 1);
}

void ContractShadow::consume(ShadowVi& vi, uint32_t consumer_idx) {
  const auto ahead = static_cast<int32_t>(consumer_idx - vi.evq_consumer_idx);
  if (ahead > 0 && consumer_idx - vi.evq_consumer_idx <= vi.events_written - vi.evq_consumer_idx)
    vi.evq_consumer_idx = consumer_idx;
}

void ContractShadow::vectors_written(uint64_t issue_ps, uint64_t offset, const uint8_t* data, uint32_t bytes) {
  if (offset % 4 != 0 || (bytes != 4 && bytes != 8)) return;
  for (uint32_t at = 0; at < bytes; at += 4) {
    const uint64_t vector = (offset + at) / kMsixEntryBytes;
    if (vector >= vectors_.size() || (offset + at) % kMsixEntryBytes != kMsixControlOffset) continue;
    vectors_[vector].masked = (data[at] & 1) != 0;
    vectors_[vector].changed_ps = issue_ps;
  }
}

void ContractShadow::dma_read(uint64_t now_ps, uint64_t address, const uint8_t* data, uint32_t bytes, bool reached) {
  DmaAccess access{now_ps, false, address, data, bytes, reached, {}};
  find_owner(address, bytes, false, access.owner);
  if (access.owner.target == DmaTarget::kUnknown && !commands_.empty()) look_in_coming_ranges(access);
  tell_dma(access);
  if (!reached) return;
  switch (access.owner.target) {
    case DmaTarget::kAdminSubmission:
      return take_commands(access);
    case DmaTarget::kRxRing:
    case DmaTarget::kTxRing:
      return take_descriptors(access);
    case DmaTarget::kRssConfiguration:
      return take_rss_configuration(access);
    case DmaTarget::kTxBuffer: {
      tx_hint_vi_ = access.owner.vi_id;
      ShadowVi& vi = *vis_[tx_hint_vi_];
      vi.tx_read_idx = access.owner.index;
      vi.tx_read_bytes = access.owner.offset_bytes + bytes;
      return;
    }
    default:
      return;
  }
}

void ContractShadow::dma_written(uint64_t now_ps, uint64_t address, const uint8_t* data, uint32_t bytes, bool reached) {
  DmaAccess access{now_ps, true, address, data, bytes, reached, {}};
  find_owner(address, bytes, true, access.owner);
  if (access.owner.target == DmaTarget::kUnknown && !commands_.empty()) look_in_coming_ranges(access);
  tell_dma(access);
  if (!reached) return;
  switch (access.owner.target) {
    case DmaTarget::kAdminCompletion:
      return take_completions(access);
    case DmaTarget::kEventQueue:
      return take_events(access);
    case DmaTarget::kRxBuffer:
      rx_hint_vi_ = access.owner.vi_id;
      vis_[rx_hint_vi_]->rx_write_idx = access.owner.index;
      return;
    default:
      return;
  }
}

void ContractShadow::take_commands(const DmaAccess& access) {
  auto* bytes = reinterpret_cast<uint8_t*>(submissions_.data());
  const uint64_t offset = access.address - admin_.sq_base;
  const uint64_t ring_bytes = submissions_.size() * sizeof(pst_command);
  std::memcpy(bytes + offset, access.data, std::min<uint64_t>(access.bytes, ring_bytes - offset));
  // A command is read when its last byte is.
  const uint64_t end = std::min<uint64_t>(offset + access.bytes, ring_bytes);
  for (;;) {
    const uint32_t slot = admin_.fetched_idx & (admin_.entries - 1);
    const uint64_t slot_end = static_cast<uint64_t>(slot + 1) * sizeof(pst_command);
    if (slot_end <= offset || slot_end > end || admin_.fetched_idx == admin_.producer_idx) return;
    commands_.push_back({admin_.fetched_idx++, access.now_ps, submissions_[slot]});
    command_begins(commands_.back());
    for (ShadowListener* listener : listeners_) listener->command_fetched(commands_.back());
  }
}

void ContractShadow::take_completions(const DmaAccess& access) {
  const uint64_t offset = access.address - admin_.cq_base;
  for (uint64_t at =
           (sizeof(pst_admin_completion) - offset % sizeof(pst_admin_completion)) % sizeof(pst_admin_completion);
       at + sizeof(pst_admin_completion) <= access.bytes; at += sizeof(pst_admin_completion)) {
    pst_admin_completion answer;
    std::memcpy(&answer, access.data + at, sizeof answer);
    const auto slot = static_cast<uint32_t>((offset + at) / sizeof(pst_admin_completion)) & (admin_.entries - 1);
    const char* why = nullptr;
    if (slot != (admin_.completed_idx & (admin_.entries - 1))) {
      why = "not the next slot of the completion ring";
    } else if (commands_.empty()) {
      why = "no command is under way";
    } else if (pst_admin_completion_get_command_id(&answer) != pst_command_get_command_id(&commands_.front().command)) {
      why = "COMMAND_ID is not that of the oldest command";
    } else if (pst_admin_completion_get_phase(&answer) != (admin_.completed_idx / admin_.entries % 2 == 0 ? 1u : 0u)) {
      why = "wrong phase";
    }
    if (why != nullptr) {
      for (ShadowListener* listener : listeners_) listener->bad_completion(access.now_ps, slot, answer, why);
      if (commands_.empty()) continue;
    }
    const ShadowCommand command = commands_.front();
    for (ShadowListener* listener : listeners_) listener->command_completing(access.now_ps, command, answer);
    commands_.pop_front();
    ++admin_.completed_idx;
    apply(access.now_ps, command, answer);
    for (ShadowListener* listener : listeners_) listener->command_completed(access.now_ps, command, answer);
  }
}

void ContractShadow::take_descriptors(const DmaAccess& access) {
  ShadowVi& vi = *vis_[access.owner.vi_id];
  const bool tx = access.owner.target == DmaTarget::kTxRing;
  const uint32_t entries = tx ? vi.tx_entries : vi.rx_entries;
  constexpr uint32_t kDescBytes = sizeof(pst_rx_desc);
  static_assert(sizeof(pst_tx_desc) == kDescBytes);
  uint8_t* ring_bytes = nullptr;
  if (tx) {
    if (vi.tx_descs.empty()) vi.tx_descs.resize(entries);
    ring_bytes = reinterpret_cast<uint8_t*>(vi.tx_descs.data());
  } else {
    if (vi.rx_descs.empty()) vi.rx_descs.resize(entries);
    ring_bytes = reinterpret_cast<uint8_t*>(vi.rx_descs.data());
  }
  const uint32_t offset = access.owner.index * kDescBytes + access.owner.offset_bytes;
  const uint32_t bytes = std::min(access.bytes, entries * kDescBytes - offset);
  std::memcpy(ring_bytes + offset, access.data, bytes);
  const uint32_t consumed_idx = tx ? vi.tx_consumer_idx : vi.rx_consumer_idx;
  uint32_t& fetched_idx = tx ? vi.tx_fetched_idx : vi.rx_fetched_idx;
  // Descriptors are read in order; one that is not the next is taken as one of those that are not consumed.
  const bool next = (fetched_idx & (entries - 1)) == access.owner.index;
  const uint32_t first_idx = next ? fetched_idx : consumed_idx + ((access.owner.index - consumed_idx) & (entries - 1));
  const uint32_t count = (access.owner.offset_bytes + bytes) / kDescBytes;
  if (static_cast<int32_t>(first_idx + count - fetched_idx) > 0) fetched_idx = first_idx + count;
  for (ShadowListener* listener : descriptor_listeners_)
    listener->descriptors_read(access.now_ps, vi, tx, first_idx, count);
}

void ContractShadow::take_events(const DmaAccess& access) {
  ShadowVi& vi = *vis_[access.owner.vi_id];
  constexpr uint32_t kEventBytes = sizeof(pst_event);
  if (access.owner.offset_bytes != 0 || access.bytes % kEventBytes != 0) return;  // listeners have seen it in dma()
  for (uint32_t at = 0; at < access.bytes; at += kEventBytes) {
    pst_event event;
    std::memcpy(&event, access.data + at, kEventBytes);
    take_event(access.now_ps, vi, (access.owner.index + at / kEventBytes) & (vi.evq_entries - 1), event);
  }
}

void ContractShadow::take_event(uint64_t now_ps, ShadowVi& vi, uint32_t slot, const pst_event& event) {
  const uint32_t ahead = (slot - vi.events_written) & (vi.evq_entries - 1);
  const bool in_order = ahead == 0;
  // A slot that lies behind is one that is written again.
  const uint32_t event_idx =
      ahead <= vi.evq_entries / 2 ? vi.events_written + ahead : vi.events_written + ahead - vi.evq_entries;
  for (ShadowListener* listener : event_listeners_[pst_event_get_type(&event)])
    listener->event_written(now_ps, vi, event_idx, in_order, event);
  if (static_cast<int32_t>(event_idx + 1 - vi.events_written) > 0) vi.events_written = event_idx + 1;
  vi.last_event_ps = now_ps;
  switch (pst_event_get_type(&event)) {
    case PST_EVENT_TYPE_RX:
      vi.rx_consumer_idx = static_cast<uint32_t>(event.word[1] & 0xffffffffull);
      break;
    case PST_EVENT_TYPE_TX:
      vi.tx_consumer_idx = static_cast<uint32_t>(event.word[1] & 0xffffffffull);
      break;
    case PST_EVENT_TYPE_ERROR:
      if (vi.state == ShadowViState::kRunning) vi.state = ShadowViState::kHalted;
      break;
    default:
      break;
  }
}

void ContractShadow::take_rss_configuration(const DmaAccess& access) {
  for (const ShadowCommand& command : commands_) {
    if (pst_command_get_opcode(&command.command) != PST_COMMAND_RSS_CONFIGURE) continue;
    const auto copy = [&](uint64_t base, void* to, uint64_t size) {
      if (access.address < base || access.address >= base + size) return;
      const uint64_t offset = access.address - base;
      std::memcpy(static_cast<uint8_t*>(to) + offset, access.data, std::min<uint64_t>(access.bytes, size - offset));
    };
    copy(pst_rss_configure_get_key_address(&command.command), rss_incoming_.key.data(), rss_incoming_.key.size());
    copy(pst_rss_configure_get_table_address(&command.command), rss_incoming_.table.data(),
         sizeof(uint16_t) * rss_incoming_.table.size());
    return;
  }
}

}  // namespace postern::sim
