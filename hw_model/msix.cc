// MSI-X table, masking and messages. See msix.h.
#include "hw_model/msix.h"

#include <algorithm>

#include "hw_model/agenda.h"
#include "hw_model/faults.h"
#include "hw_model/pcie_link.h"
#include "hw_model/port_statistics.h"

namespace postern::hw_model {

Msix::Msix(NicBlocks& nic, sc_core::sc_port<sim::MsixIf>& port) : nic_(nic), port_(port) { reset(); }

void Msix::reset() {
  table_.assign(PST_LIMIT_MSIX_VECTOR_COUNT, Entry());
  pending_.assign(PST_LIMIT_MSIX_VECTOR_COUNT / 32, 0);
  not_before_ps_.assign(PST_LIMIT_MSIX_VECTOR_COUNT, 0);
  held_until_ps_ = 0;
}

bool Msix::raise(uint32_t vector) {
  if (vector >= table_.size()) return false;
  if (table_[vector].word[3] & kMaskBit) {
    pending_[vector / 32] |= 1u << (vector % 32);
    return true;
  }
  send(vector);
  return true;
}

void Msix::send(uint32_t vector) { post_message(vector, table_[vector].word[0]); }

void Msix::post_message(uint32_t vector, uint64_t address) {
  constexpr uint32_t kMessageBytes = 4;
  ++nic_.statistics->interrupts;
  const uint64_t arrival = nic_.pcie_link->post_write(Agenda::now_ps(), address & ~3ull, kMessageBytes);
  const Faults::Message fate = nic_.faults->message_fate();
  if (fate == Faults::Message::kLost) {
    nic_.agenda->at<&Msix::lost>(arrival, this, vector);
  } else if (fate == Faults::Message::kDelayed) {
    hold_up(vector, arrival, arrival + nic_.faults->message_delay_ps());
  } else if (arrival < held_until_ps_ && arrival < not_before_ps_[vector]) {
    hold_up(vector, arrival, arrival);
  } else {
    nic_.agenda->at<&Msix::arrive>(arrival, this, vector);
  }
}

// A message that would arrive at due_ps does so at least_ps, or behind those of its vector that are held up longer.
void Msix::hold_up(uint32_t vector, uint64_t due_ps, uint64_t least_ps) {
  uint64_t& not_before_ps = not_before_ps_[vector];
  not_before_ps = std::max(not_before_ps, least_ps);
  held_until_ps_ = std::max(held_until_ps_, not_before_ps);
  nic_.agenda->at<&Msix::held_up>(due_ps, this, not_before_ps - due_ps, vector);
  nic_.agenda->at<&Msix::arrive>(not_before_ps, this, vector);
}

void Msix::lost(uint64_t vector, uint64_t, uint64_t, uint64_t) {
  nic_.faults->message_lost(static_cast<uint32_t>(vector));
}

void Msix::held_up(uint64_t duration_ps, uint64_t vector, uint64_t, uint64_t) {
  nic_.faults->message_held_up(static_cast<uint32_t>(vector), duration_ps);
}

void Msix::arrive(uint64_t vector, uint64_t, uint64_t, uint64_t) { port_->raise(static_cast<uint32_t>(vector)); }

void Msix::write_word(uint64_t offset, uint32_t value) {
  const uint64_t vector = offset / kEntryBytes;
  static_assert(PST_MSIX_TABLE_OFFSET == 0);
  if (vector >= table_.size()) {
    ++nic_.statistics->bad_accesses;
    return;
  }
  uint32_t& word = table_[vector].word[offset % kEntryBytes / 4];
  word = value;
  const uint32_t bit = 1u << (vector % 32);
  if (offset % kEntryBytes != 12 || (value & kMaskBit) || !(pending_[vector / 32] & bit)) return;
  pending_[vector / 32] &= ~bit;
  send(static_cast<uint32_t>(vector));
}

void Msix::write(uint64_t offset, unsigned width_bytes, uint64_t value) {
  if ((width_bytes != 4 && width_bytes != 8) || offset % 4 != 0) {
    ++nic_.statistics->bad_accesses;
    return;
  }
  write_word(offset, static_cast<uint32_t>(value));
  if (width_bytes == 8) write_word(offset + 4, static_cast<uint32_t>(value >> 32));
}

uint32_t Msix::read_word(uint64_t offset) const {
  if (offset < table_.size() * kEntryBytes) return table_[offset / kEntryBytes].word[offset % kEntryBytes / 4];
  if (offset >= PST_MSIX_PBA_OFFSET && offset - PST_MSIX_PBA_OFFSET < pending_.size() * 4) {
    return pending_[(offset - PST_MSIX_PBA_OFFSET) / 4];
  }
  return 0;
}

uint64_t Msix::read(uint64_t offset, unsigned width_bytes) const {
  if ((width_bytes != 4 && width_bytes != 8) || offset % 4 != 0) return 0;
  const uint64_t low = read_word(offset);
  return width_bytes == 8 ? low | static_cast<uint64_t>(read_word(offset + 4)) << 32 : low;
}

}  // namespace postern::hw_model
