// Printing of accesses. See access_log.h.
#include "sim/monitor/access_log.h"

#include <fmt/format.h>

#include <algorithm>

#include "contract/gen/pst_contract_tables.h"

namespace postern::sim {

namespace {

uint32_t vi_of(const LoggedAccess& access) {
  constexpr uint32_t kNobody = 0xffffffff;
  switch (access.kind) {
    case AccessKind::kBarRead:
    case AccessKind::kBarWrite:
      return access.bar == PST_BAR_VI ? static_cast<uint32_t>(access.address / PST_VI_WINDOW_STRIDE) : kNobody;
    case AccessKind::kDmaRead:
    case AccessKind::kDmaWrite:
      return access.owner.target >= DmaTarget::kRxRing && access.owner.target <= DmaTarget::kTxBuffer
                 ? access.owner.vi_id
                 : kNobody;
    default:
      return kNobody;
  }
}

std::string fields_of(const contract::FieldInfo* fields, size_t count, const std::array<uint64_t, 2>& words) {
  std::string text;
  for (size_t i = 0; i < count; ++i) {
    const contract::FieldInfo& field = fields[i];
    if (field.word >= words.size()) break;
    const uint64_t value = contract::field_value(field, words.data());
    if (value == 0 && field.word + field.shift != 0u) continue;
    const char* name = field.enumeration == nullptr ? nullptr : contract::enum_value_name(*field.enumeration, value);
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", field.name,
                        name != nullptr  ? std::string(name)
                        : value > 0xffff ? fmt::format("{:#x}", value)
                                         : fmt::format("{}", value));
  }
  return text;
}

const contract::RegisterDescription* find_register(unsigned bar, uint64_t offset) {
  for (const contract::RegisterDescription& candidate : contract::kRegisters) {
    uint64_t at = offset;
    if (candidate.bar != bar || at < candidate.base) continue;
    at -= candidate.base;
    if (candidate.stride != 0) at %= candidate.stride;
    if (at >= candidate.offset && at < candidate.offset + candidate.width / 8) return &candidate;
  }
  return nullptr;
}

const contract::StructDescription* struct_of(const DmaOwner& owner, const std::array<uint64_t, 2>& words) {
  const char* name = nullptr;
  switch (owner.target) {
    case DmaTarget::kRxRing:
      name = "RX_DESC";
      break;
    case DmaTarget::kTxRing:
      name = (words[1] >> PST_TX_DESC_TYPE_SHIFT & 3) == PST_TX_DESC_TYPE_OPTION ? "TX_OPTION_DESC" : "TX_DESC";
      break;
    case DmaTarget::kAdminCompletion:
      name = "ADMIN_COMPLETION";
      break;
    case DmaTarget::kEventQueue:
      name = contract::event_struct_name(words[0] & 0xf);
      break;
    default:
      return nullptr;
  }
  return contract::find_struct(name);
}

std::string describe_dma(const LoggedAccess& access) {
  const DmaOwner& owner = access.owner;
  std::string text =
      fmt::format("DMA {} {} bytes at {:#x}: {}", access.kind == AccessKind::kDmaWrite ? "write" : "read", access.bytes,
                  access.address, dma_target_name(owner.target));
  if (owner.target >= DmaTarget::kRxRing && owner.target <= DmaTarget::kTxBuffer)
    text += fmt::format(" of VI {}", owner.vi_id);
  if (owner.target == DmaTarget::kRxBuffer || owner.target == DmaTarget::kTxBuffer) {
    text += fmt::format(", descriptor {} +{}", owner.index, owner.offset_bytes);
  } else if (owner.target != DmaTarget::kUnknown && owner.target != DmaTarget::kStatistics) {
    text += fmt::format(", slot {}", owner.index);
  }
  if (owner.target == DmaTarget::kAdminSubmission) {
    text += fmt::format(": {}", contract::command_name(access.words[0] & 0xff));
  } else if (const contract::StructDescription* found = struct_of(owner, access.words)) {
    text += fmt::format(": {} {}", found->name, fields_of(found->fields, found->field_count, access.words));
  }
  if (!access.reached) text += " (nothing answered there)";
  return text;
}

}  // namespace

std::string register_name(unsigned bar, uint64_t offset) {
  if (bar == PST_BAR_MSIX && offset < PST_MSIX_PBA_OFFSET)
    return fmt::format("MSI-X entry {} +{}", offset / 16, offset % 16);
  const contract::RegisterDescription* found = find_register(bar, offset);
  if (found != nullptr) {
    if (found->stride != 0) return fmt::format("VI {} {}", offset / found->stride, found->name);
    return fmt::format("{}.{}", found->block, found->name);
  }
  if (bar == PST_BAR_VI && offset % PST_VI_WINDOW_STRIDE >= PST_VI_PIO_PAGE_OFFSET)
    return fmt::format("VI {} PIO page +{:#x}", offset / PST_VI_WINDOW_STRIDE, offset % PST_VI_PIO_PAGE_OFFSET);
  return fmt::format("BAR{}+{:#x}", bar, offset);
}

std::string describe_event(const pst_event& event) {
  const std::array<uint64_t, 2> words{event.word[0], event.word[1]};
  const contract::StructDescription* found = contract::find_struct(contract::event_struct_name(words[0] & 0xf));
  return found == nullptr ? fmt::format("event of no known type {:#x} {:#x}", words[0], words[1])
                          : fmt::format("{} {}", found->name, fields_of(found->fields, found->field_count, words));
}

std::string describe_access(const LoggedAccess& access) {
  switch (access.kind) {
    case AccessKind::kBarWrite:
    case AccessKind::kBarRead: {
      std::string text = fmt::format("{} {} = {:#x}", access.kind == AccessKind::kBarWrite ? "write" : "read",
                                     register_name(access.bar, access.address), access.words[0]);
      const contract::RegisterDescription* found = find_register(access.bar, access.address);
      if (found != nullptr && found->field_count != 0)
        text += fmt::format(" ({})", fields_of(found->fields, found->field_count, access.words));
      return text;
    }
    case AccessKind::kDmaWrite:
    case AccessKind::kDmaRead:
      return describe_dma(access);
    case AccessKind::kInterrupt:
      return fmt::format("interrupt on vector {}", access.address);
    case AccessKind::kFrameSent:
      return fmt::format("frame of {} bytes left", access.bytes);
    case AccessKind::kFrameReceived:
      return fmt::format("frame of {} bytes arrived", access.bytes);
    case AccessKind::kReset:
      return "function reset by the transport";
    case AccessKind::kFault:
      return fmt::format("injected fault: {}", fault_name(static_cast<FaultKind>(access.address)));
  }
  return "?";
}

std::vector<std::string> AccessLog::last(size_t limit, uint32_t vi_id) const {
  std::vector<std::string> lines;
  const size_t available = std::min(count_, kEntries);
  for (size_t back = 1; back <= available && lines.size() < limit; ++back) {
    const LoggedAccess& access = entries_[(count_ - back) % kEntries];
    const uint32_t concerned = vi_of(access);
    if (vi_id != 0xffffffff && concerned != 0xffffffff && concerned != vi_id) continue;
    lines.push_back(
        fmt::format("{:>14.3f} ns  {}", static_cast<double>(access.time_ps) / 1000, describe_access(access)));
  }
  std::reverse(lines.begin(), lines.end());
  return lines;
}

}  // namespace postern::sim
