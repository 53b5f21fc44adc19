// The list of items and the marking. See contract_coverage.h.
#include "sim/monitor/contract_coverage.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "contract/gen/pst_contract_tables.h"

namespace postern::sim {

namespace {
constexpr const char* kSituationNames[] = {
    "R1: a window is read",
    "R1: a read follows a write of the same register",
    "R2: a doorbell is written twice",
    "R2: a prime is written twice",
    "R3: payload, then its event",
    "R3: event, then its interrupt",
    "R3: payload of a merged event",
    "R3: payload in several buffers",
    "R4: the phase turned",
    "R4: a prime returned space",
    "R4: a stale consumer index",
    "R5: a queue was full",
    "R5: stall, then space",
    "R5: drop, then the mark",
    "R5: halt",
    "R6: the event existed when the prime arrived",
    "R6: the event came after the prime",
    "R6: a stale prime",
    "R6: wakeup to another VI's queue",
    "R6: wakeup on a masked vector",
    "R7: the hold-off time delayed a wakeup",
    "R7: a wakeup waited for several events",
    "R7: adaptive moderation",
    "R7: primed again before the wakeup",
    "R8: a descriptor names an address that is not mapped",
    "R8: a buffer that may not be written",
    "R8: the host does not answer",
    "R8: a buffer spans two ranges",
    "R9: a filter steers a frame",
    "R9: no filter matches",
    "R9: a frame goes to several VIs",
    "R9: RSS chooses the VI",
    "R9: a sniffer gets a copy",
    "R9: a frame leaves from a granted address",
    "R9: a VI must prove its source",
    "R10: a VI is freed",
    "R10: a VI is reset",
    "R10: the function is reset",
    "R10: a range is unmapped",
    "R11: all frames are accounted for",
    "R11: statistics are read",
    "R12: a malformed doorbell",
    "R12: a malformed descriptor",
    "R12: a malformed command",
    "R12: an access to no register",
};
static_assert(sizeof kSituationNames / sizeof kSituationNames[0] == static_cast<size_t>(Situation::kCount));

constexpr unsigned kNumberBits = 16;  // from here on a field is a number: addresses, lengths, indices

bool must_be_zero(const char* field) { return std::strncmp(field, "RESERVED", 8) == 0; }
}  // namespace

const char* situation_name(Situation situation) { return kSituationNames[static_cast<size_t>(situation)]; }

size_t ContractCoverage::add(std::string name) {
  names_.push_back(std::move(name));
  return names_.size() - 1;
}

ContractCoverage::StructItems ContractCoverage::add_struct(const char* kind, const char* name, const void* fields,
                                                           size_t count) {
  StructItems items;
  const auto* infos = static_cast<const contract::FieldInfo*>(fields);
  for (size_t i = 0; i < count; ++i) {
    const contract::FieldInfo& info = infos[i];
    if (must_be_zero(info.name)) continue;
    FieldItems field{
        info.word, info.shift, info.width, info.enumeration != nullptr, static_cast<uint32_t>(names_.size()), {}};
    // What an event's own type says is counted as event types; a valid bit shows in either state anyway.
    if (info.enumeration != nullptr && std::strcmp(info.enumeration->name, "EVENT_TYPE") == 0) continue;
    if (info.enumeration != nullptr && std::strcmp(info.enumeration->name, "ERROR_CODE") == 0) continue;
    if (info.enumeration != nullptr && std::strcmp(info.enumeration->name, "TX_DESC_TYPE") == 0) continue;
    if (info.enumeration == nullptr) {
      add(fmt::format("{} {}.{} zero", kind, name, info.name));
      add(fmt::format("{} {}.{} not zero", kind, name, info.name));
    } else {
      for (size_t value = 0; value < info.enumeration->value_count; ++value) {
        field.values.push_back(info.enumeration->values[value].value);
        add(fmt::format("{} {}.{} {}", kind, name, info.name, info.enumeration->values[value].name));
      }
    }
    items.fields.push_back(std::move(field));
  }
  items.open.fill(~uint64_t{0});
  items.last.fill(0x5555555555555555);  // unlike anything real: the first one is looked at
  return items;
}

ContractCoverage::ContractCoverage() {
  const auto structure = [&](const char* name) {
    const contract::StructDescription* found = contract::find_struct(name);
    return add_struct("field", name, found->fields, found->field_count);
  };
  first_register_ = names_.size();
  for (const contract::RegisterDescription& info : contract::kRegisters) {
    add(fmt::format("register {}.{} read", info.block, info.name));
    add(fmt::format("register {}.{} {}", info.block, info.name, info.writable ? "written" : "written (ignored)"));
  }
  for (const contract::RegisterDescription& info : contract::kRegisters) {
    const bool features = std::strcmp(info.name, "FEATURES") == 0;
    StructItems items;
    if (features) {
      for (size_t i = 0; i < info.field_count; ++i) {
        const contract::FieldInfo& field = info.fields[i];
        // A feature is exercised when software has seen that it is there; its absence is another device's.
        const auto item = static_cast<uint32_t>(add(fmt::format("feature {}", field.name)));
        items.fields.push_back({field.word, field.shift, field.width, true, item, {1}});
      }
      items.open.fill(~uint64_t{0});
    } else if (info.field_count != 0) {
      items = add_struct("register field", info.name, info.fields, info.field_count);
    }
    register_fields_.push_back(std::move(items));
  }
  window_registers_.fill(-1);
  for (size_t i = 0; i < register_fields_.size(); ++i) {
    const contract::RegisterDescription& info = contract::kRegisters[i];
    if (info.bar == PST_BAR_VI) window_registers_[info.offset / 8] = static_cast<int>(i);
  }
  rx_desc_ = structure("RX_DESC");
  tx_desc_ = structure("TX_DESC");
  tx_option_ = structure("TX_OPTION_DESC");
  completion_ = structure("ADMIN_COMPLETION");
  prefix_ = structure("RX_PREFIX");
  first_event_type_ = names_.size();
  for (const contract::EnumValue& value : contract::kEventTypeValues) add(fmt::format("event {}", value.name));
  for (const contract::EnumValue& value : contract::kEventTypeValues)
    events_[value.value] = structure(contract::event_struct_name(value.value));
  for (const contract::CommandDescription& info : contract::kCommands) {
    command_first_[info.opcode] = static_cast<uint32_t>(add(fmt::format("command {} OK", info.name)));
    add(fmt::format("command {} refused", info.name));
    commands_[info.opcode] = add_struct("field", info.name, info.fields, info.field_count);
  }
  first_error_ = names_.size();
  for (const contract::EnumValue& value : contract::kErrorCodeValues) add(fmt::format("error code {}", value.name));
  first_drop_ = names_.size();
  for (const contract::EnumValue& value : contract::kDropReasonValues) add(fmt::format("drop reason {}", value.name));
  first_situation_ = names_.size();
  for (const char* name : kSituationNames) add(fmt::format("situation {}", name));
  seen_.assign(names_.size(), 0);
}

void ContractCoverage::mark(StructItems& items, const uint64_t* words, size_t word_count) {
  constexpr uint32_t kSampled = 64;
  uint64_t news = items.calls++ < kSampled || items.calls % kSampled == 0 ? 1 : 0;
  for (size_t word = 0; word < word_count; ++word) news |= (words[word] ^ items.last[word]) & items.open[word];
  if (news != 0) mark_fields(items, words, word_count);
}

void ContractCoverage::mark_fields(StructItems& items, const uint64_t* words, size_t word_count) {
  items.open = {};
  for (const FieldItems& field : items.fields) {
    if (field.word >= word_count) continue;
    const uint64_t mask = field.width == 64 ? ~uint64_t{0} : (uint64_t{1} << field.width) - 1;
    const uint64_t value = words[field.word] >> field.shift & mask;
    bool complete = true;
    if (!field.enumerated) {
      seen_[field.first + (value != 0 ? 1 : 0)] = 1;
      complete = seen_[field.first] != 0 && seen_[field.first + 1] != 0;
    }
    for (size_t i = 0; i < field.values.size(); ++i) {
      if (field.values[i] == value) seen_[field.first + i] = 1;
      complete = complete && seen_[field.first + i] != 0;
    }
    if (!complete && field.width < kNumberBits) items.open[field.word] |= mask << field.shift;
  }
  std::copy(words, words + word_count, items.last.begin());
}

void ContractCoverage::register_accessed(unsigned bar, uint64_t offset, const uint8_t* data, uint32_t bytes,
                                         bool write) {
  if (bar == PST_BAR_MSIX || bytes > 8) return;
  const uint64_t in_window = offset & (PST_VI_WINDOW_STRIDE - 1);
  if (bar == PST_BAR_VI && in_window < 8 * window_registers_.size() && in_window % 8 == 0 &&
      window_registers_[in_window / 8] >= 0) {
    const auto found = static_cast<size_t>(window_registers_[in_window / 8]);
    seen_[first_register_ + 2 * found + (write ? 1 : 0)] = 1;
    uint64_t value = 0;
    std::memcpy(&value, data, bytes);
    if (bytes * 8 >= contract::kRegisters[found].width) mark(register_fields_[found], &value, 1);
    return;
  }
  size_t index = 0;
  for (const contract::RegisterDescription& info : contract::kRegisters) {
    if (info.bar == bar && offset >= info.base) {
      uint64_t at = offset - info.base;
      if (info.stride != 0) at &= info.stride - 1;
      if (at == info.offset) {
        seen_[first_register_ + 2 * index + (write ? 1 : 0)] = 1;
        if (info.field_count == 0 || (write && !info.writable)) return;  // what is ignored exercises no field
        uint64_t value = 0;
        std::memcpy(&value, data, bytes);
        if (bytes * 8 >= info.width) mark(register_fields_[index], &value, 1);
        if (!write && info.offset == PST_FUNCTION_ADMIN_STATUS_OFFSET && info.bar == 0 && value < 16)
          seen_[first_error_ + value] = 1;
        return;
      }
    }
    ++index;
  }
  if (bar == PST_BAR_VI && offset % PST_VI_WINDOW_STRIDE >= PST_VI_PIO_PAGE_OFFSET) return;
  count(Situation::kR12BadAccess);
}

void ContractCoverage::prefix_seen(const pst_rx_prefix& prefix) { mark(prefix_, prefix.word, 4); }

void ContractCoverage::drop_seen(size_t reason) {
  if (reason < PST_PORT_STATISTICS_DROPS_COUNT) seen_[first_drop_ + reason] = 1;
}

void ContractCoverage::command_completing(uint64_t, const ShadowCommand& command, const pst_admin_completion& answer) {
  const uint64_t opcode = pst_command_get_opcode(&command.command);
  const uint64_t status = pst_admin_completion_get_status(&answer);
  mark(completion_, answer.word, 2);
  for (size_t i = 0; i < sizeof contract::kErrorCodeValues / sizeof contract::kErrorCodeValues[0]; ++i) {
    if (contract::kErrorCodeValues[i].value == status) seen_[first_error_ + i] = 1;
  }
  if (command_first_[opcode] == 0) return;
  seen_[command_first_[opcode] + (status == PST_ERROR_CODE_OK ? 0 : 1)] = 1;
  mark(commands_[opcode], command.command.word, PST_COMMAND_BYTES / 8);
}

void ContractCoverage::event_written(uint64_t, const ShadowVi&, uint32_t, bool, const pst_event& event) {
  const uint64_t type = pst_event_get_type(&event);
  if (type == 0 || type > PST_EVENT_TYPE_WAKEUP) return;
  seen_[first_event_type_ + type - 1] = 1;
  mark(events_[type], event.word, 2);
  if (type != PST_EVENT_TYPE_ERROR) return;
  const pst_error_event error{{event.word[0], event.word[1]}};
  const uint64_t code = pst_error_event_get_code(&error);
  for (size_t i = 0; i < sizeof contract::kErrorCodeValues / sizeof contract::kErrorCodeValues[0]; ++i) {
    if (contract::kErrorCodeValues[i].value == code) seen_[first_error_ + i] = 1;
  }
}

void ContractCoverage::descriptors_read(uint64_t, const ShadowVi& vi, bool tx, uint32_t first_idx, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    if (!tx) {
      mark(rx_desc_, vi.rx_desc(first_idx + i).word, 2);
      continue;
    }
    const pst_tx_desc& desc = vi.tx_desc(first_idx + i);
    mark(pst_tx_desc_get_type(&desc) == PST_TX_DESC_TYPE_OPTION ? tx_option_ : tx_desc_, desc.word, 2);
  }
}

void ContractCoverage::merge(const ContractCoverage& other) {
  for (size_t i = 0; i < seen_.size(); ++i) seen_[i] = seen_[i] | other.seen_[i];
}

size_t ContractCoverage::seen_count() const {
  return static_cast<size_t>(std::count(seen_.begin(), seen_.end(), uint8_t{1}));
}

bool ContractCoverage::seen(const std::string& item) const {
  const auto found = std::find(names_.begin(), names_.end(), item);
  return found != names_.end() && seen_[static_cast<size_t>(found - names_.begin())] != 0;
}

std::string ContractCoverage::table() const {
  std::map<std::string, std::pair<size_t, size_t>> groups;
  std::string missing;
  for (size_t i = 0; i < names_.size(); ++i) {
    auto& [seen_items, total] = groups[names_[i].substr(0, names_[i].find(' '))];
    ++total;
    seen_items += seen_[i];
    if (seen_[i] == 0) missing += "  " + names_[i] + "\n";
  }
  std::string text =
      fmt::format("contract coverage: {} of {} items, {:.1f} %\n", seen_count(), item_count(), percent());
  for (const auto& [group, counts] : groups)
    text += fmt::format("  {:<12} {:>4} of {:>4}\n", group, counts.first, counts.second);
  return text + "not exercised:\n" + missing;
}

std::string ContractCoverage::json() const {
  std::string text = "{\"items\": {";
  for (size_t i = 0; i < names_.size(); ++i)
    text += fmt::format("{}\n\"{}\": {}", i == 0 ? "" : ",", names_[i], seen_[i]);
  return text + "}}\n";
}

}  // namespace postern::sim
