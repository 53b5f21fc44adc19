// Doorbell registers and their checks. See doorbell.h.
#include "hw_model/doorbell.h"

#include <cstring>

#include "hw_model/agenda.h"
#include "hw_model/desc_fetch.h"
#include "hw_model/event_queue.h"
#include "hw_model/faults.h"
#include "hw_model/port_statistics.h"
#include "hw_model/properties.h"
#include "hw_model/timer.h"
#include "hw_model/vi_table.h"

namespace postern::hw_model {

namespace {

bool is_register(uint32_t offset) {
  switch (offset) {
    case PST_VI_RX_DOORBELL_OFFSET:
    case PST_VI_TX_DOORBELL_OFFSET:
    case PST_VI_EVQ_CONSUMER_OFFSET:
    case PST_VI_EVQ_PRIME_OFFSET:
    case PST_VI_TIMER_OFFSET:
    case PST_VI_PIO_DOORBELL_OFFSET:
    case PST_VI_TX_PUSH_DESCRIPTOR_LO_OFFSET:
    case PST_VI_TX_PUSH_DESCRIPTOR_HI_OFFSET:
    case PST_VI_TX_PUSH_DOORBELL_OFFSET:
      return true;
    default:
      return false;
  }
}

bool is_64_bit(uint32_t offset) {
  return offset == PST_VI_EVQ_PRIME_OFFSET || offset == PST_VI_TIMER_OFFSET || offset == PST_VI_PIO_DOORBELL_OFFSET ||
         offset == PST_VI_TX_PUSH_DESCRIPTOR_LO_OFFSET || offset == PST_VI_TX_PUSH_DESCRIPTOR_HI_OFFSET;
}

constexpr uint64_t kLowHalf = 0xffffffffull;

}  // namespace

Doorbell::Doorbell(NicBlocks& nic)
    : nic_(nic),
      push_property_(nic.properties->add(
          {"doorbell.tx_push", "flag",
           "1: a doorbell may carry its descriptor; 0: FEATURES lacks TX_PUSH, as software reads it after a reset.",
           "contract: FEATURES.TX_PUSH is optional", 1, 0, 1})),
      pio_property_(nic.properties->add(
          {"doorbell.pio", "flag",
           "1: frames may be sent from the PIO page; 0: FEATURES lacks PIO, as software reads it after a reset.",
           "contract: FEATURES.PIO is optional", 1, 0, 1})),
      windows_(PST_LIMIT_VI_COUNT_MAX),
      pio_pages_(PST_LIMIT_VI_COUNT_MAX) {}

uint32_t Doorbell::features() const {
  return (push_property_ != 0 ? PST_FUNCTION_FEATURES_TX_PUSH_MASK : 0) |
         (pio_property_ != 0 ? PST_FUNCTION_FEATURES_PIO_MASK : 0);
}

void Doorbell::reset() {
  for (uint32_t vi_id = 0; vi_id < PST_LIMIT_VI_COUNT_MAX; ++vi_id) clear_window(vi_id);
}

void Doorbell::clear_window(uint32_t vi_id) {
  windows_[vi_id].reset();
  pio_pages_[vi_id].reset();
}

void Doorbell::write(uint64_t offset, unsigned width_bytes, uint64_t value) {
  if (offset >= PST_BAR_VI_SIZE) {
    ++nic_.statistics->bad_accesses;
    return;
  }
  const uint32_t vi_id = static_cast<uint32_t>(offset / PST_VI_WINDOW_STRIDE);
  const uint32_t in_window = static_cast<uint32_t>(offset % PST_VI_WINDOW_STRIDE);
  if (in_window >= PST_VI_PIO_PAGE_OFFSET) return write_pio(offset, &value, width_bytes);
  if ((width_bytes != 4 && width_bytes != 8) || in_window % 4 != 0) {
    ++nic_.statistics->bad_accesses;
    return;
  }
  write_page(vi_id, in_window, width_bytes, value);
}

// Same rules as contract::RegisterBank: a 4-byte access reaches half of a 64-bit register, which triggers when its high
// half is written; an 8-byte access to a 32-bit register takes its low half.
void Doorbell::write_page(uint32_t vi_id, uint32_t offset, unsigned width_bytes, uint64_t value) {
  const uint32_t base = offset & ~7u;
  if (!is_register(base) || (offset != base && (!is_64_bit(base) || width_bytes == 8))) {
    ++nic_.statistics->bad_accesses;
    return;
  }
  Vi* vi = nic_.vi_table->find(vi_id);
  if (vi == nullptr) {
    ++nic_.statistics->doorbells_ignored;
    return;
  }
  if (!windows_[vi_id]) windows_[vi_id] = std::make_unique<Window>(Window{});
  uint64_t& stored = (*windows_[vi_id])[base / 8];
  const uint64_t before = stored;
  if (offset != base) {
    stored = (stored & kLowHalf) | (value << 32);
  } else if (!is_64_bit(base)) {
    stored = value & kLowHalf;
  } else if (width_bytes == 8) {
    stored = value;
  } else {
    stored = (stored & ~kLowHalf) | (value & kLowHalf);
    return;
  }
  if (width_bytes == 8 || !is_64_bit(base)) {
    if (stored == before) return;  // R2: the same write twice is one write
  }
  nic_.faults->doorbell_rung(*vi);
  if (vi->state == ViState::kRunning ||
      (vi->state == ViState::kHalted && (base == PST_VI_EVQ_CONSUMER_OFFSET || base == PST_VI_EVQ_PRIME_OFFSET))) {
    ring(*vi, base, stored);
  } else {
    ++nic_.statistics->doorbells_ignored;
  }
}

void Doorbell::ring(Vi& vi, uint32_t offset, uint64_t value) {
  switch (offset) {
    case PST_VI_RX_DOORBELL_OFFSET:
      return ring_rx(vi, static_cast<uint32_t>(value));
    case PST_VI_TX_DOORBELL_OFFSET:
      return ring_tx(vi, static_cast<uint32_t>(value));
    case PST_VI_EVQ_CONSUMER_OFFSET:
      return ring_consumer(vi, static_cast<uint32_t>(value));
    case PST_VI_EVQ_PRIME_OFFSET:
      return ring_prime(vi, value);
    case PST_VI_TIMER_OFFSET:
      return nic_.timer->arm(vi, static_cast<uint32_t>(value),
                             static_cast<uint16_t>(value >> PST_VI_TIMER_SEQUENCE_SHIFT));
    case PST_VI_PIO_DOORBELL_OFFSET:
      return ring_pio(vi, value);
    case PST_VI_TX_PUSH_DOORBELL_OFFSET:
      return ring_push(vi, static_cast<uint32_t>(value));
    default:  // TX_PUSH_DESCRIPTOR_LO and _HI mean nothing until the doorbell
      return;
  }
}

void Doorbell::bad(Vi& vi, uint32_t index) {
  nic_.vi_table->halt(vi, PST_ERROR_SOURCE_DOORBELL, PST_ERROR_CODE_BAD_DOORBELL, index);
}

void Doorbell::unsupported(Vi& vi, uint32_t index) {
  nic_.vi_table->halt(vi, PST_ERROR_SOURCE_DOORBELL, PST_ERROR_CODE_UNSUPPORTED, index);
}

void Doorbell::ring_rx(Vi& vi, uint32_t producer_idx) {
  const uint32_t used = producer_idx - vi.rx_consumer_idx;
  if (used > vi.rx_entries || used < vi.rx_producer_idx - vi.rx_consumer_idx) return bad(vi, producer_idx);
  vi.rx_producer_idx = producer_idx;
  nic_.desc_fetch->fetch_rx(vi);
}

void Doorbell::ring_tx(Vi& vi, uint32_t producer_idx) {
  const uint32_t used = producer_idx - vi.tx_completed_idx;
  if (used > vi.tx_entries || used < vi.tx_producer_idx - vi.tx_completed_idx) return bad(vi, producer_idx);
  if (producer_idx != vi.tx_producer_idx) vi.tx_doorbells.add(producer_idx, Agenda::now_ps());
  vi.tx_producer_idx = producer_idx;
  nic_.desc_fetch->fetch_tx(vi);
}

// For push and PIO: the index is one packet ahead of a ring whose packets are all completed. False: it says nothing new
// (R2), or it is an error, which halts the VI.
bool Doorbell::next_after_completed(Vi& vi, uint32_t producer_idx) {
  if (producer_idx == vi.tx_producer_idx) return false;
  if (vi.tx_completed_idx == vi.tx_producer_idx && producer_idx == vi.tx_producer_idx + 1) return true;
  bad(vi, producer_idx);
  return false;
}

void Doorbell::post_descriptor(Vi& vi, const pst_tx_desc& desc) {
  ++vi.tx_producer_idx;
  vi.tx_doorbells.add(vi.tx_producer_idx, Agenda::now_ps());
  nic_.desc_fetch->push_tx(vi, desc);
}

void Doorbell::ring_push(Vi& vi, uint32_t producer_idx) {
  if (push_property_ == 0) return unsupported(vi, producer_idx);
  const Window& window = *windows_[vi.id];
  const pst_tx_desc desc{
      {window[PST_VI_TX_PUSH_DESCRIPTOR_LO_OFFSET / 8], window[PST_VI_TX_PUSH_DESCRIPTOR_HI_OFFSET / 8]}};
  if (!next_after_completed(vi, producer_idx)) return;
  if (!pst_tx_desc_get_end_of_packet(&desc)) return bad(vi, producer_idx);
  post_descriptor(vi, desc);
}

// The descriptor that the frame stands for carries its place in the page instead of an address.
void Doorbell::ring_pio(Vi& vi, uint64_t value) {
  const auto field = [value](uint64_t mask, unsigned shift) { return (value & mask) >> shift; };
  const auto producer_idx = static_cast<uint32_t>(value);
  if (pio_property_ == 0) return unsupported(vi, producer_idx);
  const uint64_t offset = field(PST_VI_PIO_DOORBELL_OFFSET_BYTES_MASK, PST_VI_PIO_DOORBELL_OFFSET_BYTES_SHIFT);
  const uint64_t bytes = field(PST_VI_PIO_DOORBELL_LENGTH_BYTES_MASK, PST_VI_PIO_DOORBELL_LENGTH_BYTES_SHIFT);
  if (!next_after_completed(vi, producer_idx)) return;
  if (offset + bytes > PST_LIMIT_PIO_BYTES) return bad(vi, producer_idx);
  pst_tx_desc desc{};
  pst_tx_desc_set_address(&desc, offset);
  pst_tx_desc_set_length_bytes(&desc, bytes);
  pst_tx_desc_set_end_of_packet(&desc, 1);
  pst_tx_desc_set_checksum_l3(&desc,
                              field(PST_VI_PIO_DOORBELL_CHECKSUM_L3_MASK, PST_VI_PIO_DOORBELL_CHECKSUM_L3_SHIFT));
  pst_tx_desc_set_checksum_l4(&desc,
                              field(PST_VI_PIO_DOORBELL_CHECKSUM_L4_MASK, PST_VI_PIO_DOORBELL_CHECKSUM_L4_SHIFT));
  pst_tx_desc_set_complete(&desc, field(PST_VI_PIO_DOORBELL_COMPLETE_MASK, PST_VI_PIO_DOORBELL_COMPLETE_SHIFT));
  vi.tx_pio = true;
  post_descriptor(vi, desc);
}

void Doorbell::ring_consumer(Vi& vi, uint32_t consumer_idx) {
  if (!nic_.event_queue->consume(vi, consumer_idx)) bad(vi, consumer_idx);
}

void Doorbell::ring_prime(Vi& vi, uint64_t value) {
  const uint32_t consumer_idx = static_cast<uint32_t>(value);
  const uint64_t sequence = (value & PST_VI_EVQ_PRIME_SEQUENCE_MASK) >> PST_VI_EVQ_PRIME_SEQUENCE_SHIFT;
  if (sequence == 0 || !nic_.event_queue->consume(vi, consumer_idx)) return bad(vi, consumer_idx);
  nic_.event_queue->prime(vi, consumer_idx);
}

void Doorbell::write_pio(uint64_t offset, const void* data, uint32_t bytes) {
  const uint64_t vi_id = offset / PST_VI_WINDOW_STRIDE;
  const uint64_t in_window = offset % PST_VI_WINDOW_STRIDE;
  if (offset >= PST_BAR_VI_SIZE || in_window < PST_VI_PIO_PAGE_OFFSET ||
      in_window + bytes > PST_VI_PIO_PAGE_OFFSET + PST_LIMIT_PIO_BYTES) {
    ++nic_.statistics->bad_accesses;
    return;
  }
  if (nic_.vi_table->find(vi_id) == nullptr) {
    ++nic_.statistics->doorbells_ignored;
    return;
  }
  if (!pio_pages_[vi_id]) pio_pages_[vi_id] = std::make_unique<PioPage>(PioPage{});
  std::memcpy(pio_pages_[vi_id]->data() + (in_window - PST_VI_PIO_PAGE_OFFSET), data, bytes);
}

void Doorbell::read_pio(uint32_t vi_id, uint32_t offset, void* data, uint32_t bytes) const {
  if (pio_pages_[vi_id]) {
    std::memcpy(data, pio_pages_[vi_id]->data() + offset, bytes);
  } else {
    std::memset(data, 0, bytes);
  }
}

const uint64_t* Doorbell::cell(uint64_t offset, unsigned width_bytes) const {
  if (offset >= PST_BAR_VI_SIZE || (width_bytes != 4 && width_bytes != 8)) return nullptr;
  const uint32_t in_window = static_cast<uint32_t>(offset % PST_VI_WINDOW_STRIDE);
  const auto& window = windows_[offset / PST_VI_WINDOW_STRIDE];
  if (!window || in_window >= kRegisterBytes || in_window % 4 != 0) return nullptr;
  if (in_window % 8 != 0 && width_bytes == 8) return nullptr;
  return &(*window)[in_window / 8];
}

uint64_t Doorbell::read(uint64_t offset, unsigned width_bytes) const {
  const uint64_t in_window = offset % PST_VI_WINDOW_STRIDE;
  if (offset < PST_BAR_VI_SIZE && in_window >= PST_VI_PIO_PAGE_OFFSET) {
    const auto in_page = static_cast<uint32_t>(in_window - PST_VI_PIO_PAGE_OFFSET);
    uint64_t value = 0;
    if (width_bytes <= sizeof value && in_page + width_bytes <= PST_LIMIT_PIO_BYTES) {
      read_pio(static_cast<uint32_t>(offset / PST_VI_WINDOW_STRIDE), in_page, &value, width_bytes);
    }
    return value;
  }
  const uint64_t* stored = cell(offset, width_bytes);
  if (stored == nullptr) return 0;
  const uint64_t value = offset % 8 == 0 ? *stored : *stored >> 32;
  return width_bytes == 4 ? value & kLowHalf : value;
}

}  // namespace postern::hw_model
