// The VI library: writes descriptors, rings doorbells, decodes events. Packet walk: a send ends here in
// Vi::ring_tx_doorbell; a receive starts here in Vi::poll. No system call, no allocation; a queue_tx touches one cache
// line of ring per four descriptors and one of state.
#include "driver/vi.h"

#include <atomic>
#include <cassert>
#include <cstring>
#include <type_traits>

#include "contract/gen/pst_contract.h"

namespace postern {
namespace {

static_assert(std::is_trivially_copyable_v<ViState> && std::is_standard_layout_v<ViState>,
              "ViState is shared between processes");
static_assert(std::is_trivially_copyable_v<ViLayout>, "ViLayout travels in messages");
static_assert(sizeof(pst_rx_desc) == PST_RX_DESC_BYTES && sizeof(pst_tx_desc) == PST_TX_DESC_BYTES &&
                  sizeof(pst_tx_option_desc) == PST_TX_DESC_BYTES && sizeof(pst_event) == PST_EVENT_BYTES,
              "ring entries are as large as the contract says");
static_assert(PST_EVENT_PHASE_WORD == 1, "the phase bit is in the word that the device writes last");
static_assert(std::atomic_ref<uint64_t>::is_always_lock_free && std::atomic_ref<uint32_t>::is_always_lock_free,
              "shared words are read without a lock");
static_assert(sizeof(ViState) <= PST_LIMIT_PAGE_BYTES, "ViState has a page of its own in the region");

constexpr uint64_t page_round_up(uint64_t bytes) {
  return (bytes + PST_LIMIT_PAGE_BYTES - 1) & ~static_cast<uint64_t>(PST_LIMIT_PAGE_BYTES - 1);
}

constexpr bool is_power_of_two(uint32_t value) { return value != 0 && (value & (value - 1)) == 0; }

constexpr bool ring_size_valid(uint32_t entries, uint32_t least, uint32_t most) {
  return is_power_of_two(entries) && entries >= least && entries <= most;
}

// The phase bit of an event at a free-running index: 1 in the first pass over the ring, then alternating (R4).
constexpr uint64_t expected_phase(uint32_t idx, uint32_t entries) { return (idx & entries) == 0 ? 1 : 0; }

template <typename T>
T* ring_slot(uint8_t* base, uint64_t ring_offset, uint32_t idx, uint32_t entries) {
  return reinterpret_cast<T*>(base + ring_offset) + (idx & (entries - 1));
}

// Reads one event if the device has written it. The acquire load of the word with the phase bit orders the rest of the
// event and all DMA that it announces (R3) after it.
bool load_event(const ViState& state, uint8_t* base, uint32_t idx, pst_event& event) {
  const uint32_t entries = state.layout.geometry.evq_entries;
  auto* slot = ring_slot<pst_event>(base, state.layout.evq_offset, idx, entries);
  event.word[1] = std::atomic_ref<uint64_t>(slot->word[1]).load(std::memory_order_acquire);
  if (pst_event_get_phase(&event) != expected_phase(idx, entries)) {
    return false;
  }
  event.word[0] = std::atomic_ref<uint64_t>(slot->word[0]).load(std::memory_order_relaxed);
  return true;
}

ViEvent decode_rx(ViState& state, const pst_event& event) {
  const pst_rx_event rx{{event.word[0], event.word[1]}};
  ViEvent out;
  out.type = ViEventType::kRx;
  out.checksum_l3 = static_cast<ChecksumResult>(pst_rx_event_get_checksum_l3(&rx));
  out.checksum_l4 = static_cast<ChecksumResult>(pst_rx_event_get_checksum_l4(&rx));
  out.truncated = pst_rx_event_get_error_class(&rx) == PST_RX_ERROR_CLASS_TRUNCATED;
  out.length_bytes = static_cast<uint16_t>(pst_rx_event_get_length_bytes(&rx));
  out.payload_offset_bytes = pst_rx_event_get_prefix_present(&rx) != 0 ? PST_LIMIT_RX_PREFIX_BYTES : 0;
  out.desc_count = static_cast<uint16_t>(pst_rx_event_get_desc_count(&rx));
  out.consumer_idx = static_cast<uint32_t>(pst_rx_event_get_rx_consumer_idx(&rx));
  out.first_idx = out.consumer_idx - out.desc_count;
  state.rx_consumer_idx = out.consumer_idx;
  return out;
}

bool is_merged(const pst_event& event) {
  const pst_rx_event rx{{event.word[0], event.word[1]}};
  return pst_event_get_type(&event) == PST_EVENT_TYPE_RX && pst_rx_event_get_merged(&rx) != 0;
}

// The frame of a merged event that is next to be given out. Its length is in the prefix, in front of the buffer that
// the ring still names: the slot is not posted anew before rx_consumer_idx has passed it.
ViEvent decode_merged_frame(ViState& state, uint8_t* base, const pst_event& event) {
  ViEvent out = decode_rx(state, event);
  out.first_idx += state.merge_position++;
  out.consumer_idx = out.first_idx + 1;
  out.desc_count = 1;
  state.rx_consumer_idx = out.consumer_idx;
  const ViLayout& layout = state.layout;
  const auto* desc = ring_slot<pst_rx_desc>(base, layout.rx_ring_offset, out.first_idx, layout.geometry.rx_entries);
  pst_rx_prefix prefix;
  std::memcpy(&prefix, base + pst_rx_desc_get_address(desc), sizeof prefix);
  out.length_bytes = static_cast<uint16_t>(pst_rx_prefix_get_length_bytes(&prefix));
  return out;
}

ViEvent decode_tx(ViState& state, const pst_event& event) {
  const pst_tx_event tx{{event.word[0], event.word[1]}};
  ViEvent out;
  out.type = ViEventType::kTx;
  out.first_idx = state.tx_consumer_idx;
  out.consumer_idx = static_cast<uint32_t>(pst_tx_event_get_tx_consumer_idx(&tx));
  state.tx_consumer_idx = out.consumer_idx;
  return out;
}

ViEvent decode_error(ViState& state, const pst_event& event) {
  const pst_error_event error{{event.word[0], event.word[1]}};
  ViEvent out;
  out.type = ViEventType::kError;
  out.code = static_cast<uint16_t>(pst_error_event_get_code(&error));
  out.first_idx = static_cast<uint32_t>(pst_error_event_get_index(&error));
  state.halted_code = out.code;
  return out;
}

// False: an event type that this contract version does not know; it is skipped.
bool decode(ViState& state, const pst_event& event, ViEvent& out) {
  switch (pst_event_get_type(&event)) {
    case PST_EVENT_TYPE_RX:
      out = decode_rx(state, event);
      return true;
    case PST_EVENT_TYPE_TX:
      out = decode_tx(state, event);
      return true;
    case PST_EVENT_TYPE_TIMER: {
      const pst_timer_event timer{{event.word[0], event.word[1]}};
      out = ViEvent{};
      out.type = ViEventType::kTimer;
      out.code = static_cast<uint16_t>(pst_timer_event_get_sequence(&timer));
      return true;
    }
    case PST_EVENT_TYPE_ERROR:
      out = decode_error(state, event);
      return true;
    case PST_EVENT_TYPE_WAKEUP: {
      const pst_wakeup_event wakeup{{event.word[0], event.word[1]}};
      out = ViEvent{};
      out.type = ViEventType::kWakeup;
      out.code = static_cast<uint16_t>(pst_wakeup_event_get_vi_id(&wakeup));
      return true;
    }
    default:
      return false;
  }
}

}  // namespace

bool vi_geometry_valid(const ViGeometry& geometry) {
  return ring_size_valid(geometry.rx_entries, PST_LIMIT_RING_ENTRIES_MIN, PST_LIMIT_RING_ENTRIES_MAX) &&
         ring_size_valid(geometry.tx_entries, PST_LIMIT_RING_ENTRIES_MIN, PST_LIMIT_RING_ENTRIES_MAX) &&
         ring_size_valid(geometry.evq_entries, PST_LIMIT_EVQ_ENTRIES_MIN, PST_LIMIT_EVQ_ENTRIES_MAX);
}

size_t vi_layout_place(ViLayout& layout, uint64_t first_offset) {
  assert(first_offset % PST_LIMIT_PAGE_BYTES == 0);
  assert(vi_geometry_valid(layout.geometry));
  const uint64_t rx_bytes = page_round_up(uint64_t{layout.geometry.rx_entries} * PST_RX_DESC_BYTES);
  const uint64_t tx_bytes = page_round_up(uint64_t{layout.geometry.tx_entries} * PST_TX_DESC_BYTES);
  const uint64_t evq_bytes = page_round_up(uint64_t{layout.geometry.evq_entries} * PST_EVENT_BYTES);
  layout.rx_ring_offset = first_offset;
  layout.tx_ring_offset = layout.rx_ring_offset + rx_bytes;
  layout.evq_offset = layout.tx_ring_offset + tx_bytes;
  return rx_bytes + tx_bytes + evq_bytes;
}

void vi_state_initialise(ViState& state, const ViLayout& layout, uint32_t vi_id, uint32_t features) {
  state = ViState{};
  state.layout = layout;
  state.vi_id = vi_id;
  state.features = features;
}

// --- receive -----------------------------------------------------------------------------------------------------

uint32_t Vi::rx_space() const {
  return state_->layout.geometry.rx_entries - (state_->rx_producer_idx - state_->rx_consumer_idx);
}

// The ring slot belongs to the software from the RX event that returned it until the next RX doorbell.
bool Vi::post_rx(uint64_t address_offset, uint16_t length_bytes) {
  if (rx_space() == 0) {
    return false;
  }
  pst_rx_desc desc{};
  pst_rx_desc_set_address(&desc, address_offset);
  pst_rx_desc_set_length_bytes(&desc, length_bytes);
  const ViLayout& layout = state_->layout;
  *ring_slot<pst_rx_desc>(base_, layout.rx_ring_offset, state_->rx_producer_idx, layout.geometry.rx_entries) = desc;
  ++state_->rx_producer_idx;
  return true;
}

void Vi::ring_rx_doorbell() {
  if (state_->rx_doorbell_idx == state_->rx_producer_idx) {
    return;
  }
  state_->rx_doorbell_idx = state_->rx_producer_idx;
  std::atomic_thread_fence(std::memory_order_release);  // descriptors before the doorbell
  window_->write_doorbell(PST_VI_RX_DOORBELL_OFFSET, state_->rx_doorbell_idx);
}

// --- send --------------------------------------------------------------------------------------------------------

uint32_t Vi::tx_space() const {
  return state_->layout.geometry.tx_entries - (state_->tx_producer_idx - state_->tx_consumer_idx);
}

// Ring slots belong to the software from the TX event that passed them until the next TX doorbell.
bool Vi::queue_tx(const TxFragment* fragments, size_t fragment_count, const TxOptions& options) {
  const bool segment = options.segment_mss_bytes != 0;
  const bool has_option = segment || options.vlan_insert;
  const size_t desc_count = fragment_count + (has_option ? 1 : 0);
  assert(fragment_count > 0 && fragment_count <= PST_LIMIT_TX_FRAGMENTS_MAX);
  if (tx_space() < desc_count) {
    return false;
  }
  const ViLayout& layout = state_->layout;
  uint32_t idx = state_->tx_producer_idx;
  if (has_option) {
    pst_tx_option_desc option{};
    pst_tx_option_desc_set_type(&option, PST_TX_DESC_TYPE_OPTION);
    pst_tx_option_desc_set_mss_bytes(&option, options.segment_mss_bytes);
    pst_tx_option_desc_set_vlan_insert(&option, options.vlan_insert);
    pst_tx_option_desc_set_vlan_tci(&option, options.vlan_insert ? options.vlan_tci : 0);
    *ring_slot<pst_tx_option_desc>(base_, layout.tx_ring_offset, idx++, layout.geometry.tx_entries) = option;
  }
  for (size_t i = 0; i < fragment_count; ++i) {
    assert(fragments[i].length_bytes > 0);
    pst_tx_desc desc{};
    pst_tx_desc_set_address(&desc, fragments[i].address_offset);
    pst_tx_desc_set_length_bytes(&desc, fragments[i].length_bytes);
    pst_tx_desc_set_end_of_packet(&desc, i + 1 == fragment_count);
    if (i == 0) {
      pst_tx_desc_set_checksum_l3(&desc, options.checksum_l3);
      pst_tx_desc_set_checksum_l4(&desc, options.checksum_l4);
      pst_tx_desc_set_segment(&desc, segment);
      pst_tx_desc_set_complete(&desc, options.complete);
    }
    *ring_slot<pst_tx_desc>(base_, layout.tx_ring_offset, idx++, layout.geometry.tx_entries) = desc;
  }
  state_->tx_producer_idx = idx;
  return true;
}

bool Vi::tx_idle() const { return state_->tx_consumer_idx == state_->tx_doorbell_idx; }

// The device takes a pushed descriptor only while all packets before it are completed (contract: TX_PUSH_DOORBELL).
// That it has seen the last push follows too, so that a device which polls the page never finds the words of the next
// one.
bool Vi::push_tx() {
  const ViLayout& layout = state_->layout;
  const uint32_t idx = state_->tx_doorbell_idx;
  if ((state_->features & PST_FUNCTION_FEATURES_TX_PUSH_MASK) == 0 || state_->tx_producer_idx != idx + 1 ||
      !tx_idle()) {
    return false;
  }
  const pst_tx_desc desc = *ring_slot<pst_tx_desc>(base_, layout.tx_ring_offset, idx, layout.geometry.tx_entries);
  if (pst_tx_desc_get_end_of_packet(&desc) == 0) {
    return false;
  }
  window_->write_doorbell(PST_VI_TX_PUSH_DESCRIPTOR_LO_OFFSET, desc.word[0]);
  window_->write_doorbell(PST_VI_TX_PUSH_DESCRIPTOR_HI_OFFSET, desc.word[1]);
  window_->write_doorbell(PST_VI_TX_PUSH_DOORBELL_OFFSET, state_->tx_producer_idx);
  return true;
}

void Vi::ring_tx_doorbell() {
  if (state_->tx_doorbell_idx == state_->tx_producer_idx) {
    return;
  }
  std::atomic_thread_fence(std::memory_order_release);  // descriptors and packet bytes before the doorbell
  if (!push_tx()) {
    window_->write_doorbell(PST_VI_TX_DOORBELL_OFFSET, state_->tx_producer_idx);
  }
  state_->tx_doorbell_idx = state_->tx_producer_idx;
}

// The packet takes an index like any other, but its ring slot stays as it is.
bool Vi::send_pio(const void* frame, size_t size_bytes, const TxOptions& options) {
  assert(size_bytes > 0);
  if ((state_->features & PST_FUNCTION_FEATURES_PIO_MASK) == 0 || state_->tx_producer_idx != state_->tx_doorbell_idx ||
      !tx_idle() || size_bytes > PST_LIMIT_PIO_BYTES || options.segment_mss_bytes != 0 || options.vlan_insert) {
    return false;
  }
  window_->write_pio(0, frame, size_bytes);
  state_->tx_doorbell_idx = ++state_->tx_producer_idx;
  const uint64_t value = (uint64_t{state_->tx_producer_idx} << PST_VI_PIO_DOORBELL_TX_IDX_SHIFT) |
                         (uint64_t{size_bytes} << PST_VI_PIO_DOORBELL_LENGTH_BYTES_SHIFT) |
                         (uint64_t{options.checksum_l3} << PST_VI_PIO_DOORBELL_CHECKSUM_L3_SHIFT) |
                         (uint64_t{options.checksum_l4} << PST_VI_PIO_DOORBELL_CHECKSUM_L4_SHIFT) |
                         (uint64_t{options.complete} << PST_VI_PIO_DOORBELL_COMPLETE_SHIFT);
  window_->write_doorbell(PST_VI_PIO_DOORBELL_OFFSET, value);
  return true;
}

// --- events ------------------------------------------------------------------------------------------------------

bool Vi::has_event() const {
  pst_event event;
  return load_event(*state_, base_, std::atomic_ref<uint32_t>(state_->evq_consumer_idx).load(std::memory_order_relaxed),
                    event);
}

// The device owns the slots beyond what was returned by EVQ_CONSUMER; the software only reads them (R4).
size_t Vi::poll(ViEvent* events, size_t max_count) {
  ++state_->polls_count;
  size_t count = 0;
  uint32_t idx = state_->evq_consumer_idx;
  pst_event event;
  while (count < max_count && load_event(*state_, base_, idx, event)) {
    if (is_merged(event)) {
      const pst_rx_event rx{{event.word[0], event.word[1]}};
      const uint64_t frame_count = pst_rx_event_get_desc_count(&rx);
      while (count < max_count && state_->merge_position < frame_count) {
        events[count++] = decode_merged_frame(*state_, base_, event);
      }
      if (state_->merge_position < frame_count) break;
      state_->merge_position = 0;
      ++idx;
      if (pst_event_get_overflow_mark(&event) != 0) ++state_->overflow_marks_count;
      continue;
    }
    ++idx;
    if (pst_event_get_overflow_mark(&event) != 0) {
      ++state_->overflow_marks_count;
    }
    if (decode(*state_, event, events[count])) {
      ++count;
    }
  }
  state_->events_count += idx - state_->evq_consumer_idx;
  std::atomic_ref<uint32_t>(state_->evq_consumer_idx).store(idx, std::memory_order_relaxed);
  return count;
}

void Vi::ring_evq_doorbell() {
  if (state_->evq_doorbell_idx == state_->evq_consumer_idx) {
    return;
  }
  state_->evq_doorbell_idx = state_->evq_consumer_idx;
  std::atomic_thread_fence(std::memory_order_release);  // events are read before their slots are given back
  window_->write_doorbell(PST_VI_EVQ_CONSUMER_OFFSET, state_->evq_doorbell_idx);
}

void Vi::prime() {
  if (++state_->prime_sequence == 0) {
    state_->prime_sequence = 1;  // 0 is reserved: a fresh page must not look like a prime
  }
  ++state_->primes_count;
  state_->evq_doorbell_idx = state_->evq_consumer_idx;
  const uint64_t value = (uint64_t{state_->prime_sequence} << PST_VI_EVQ_PRIME_SEQUENCE_SHIFT) |
                         (uint64_t{state_->evq_consumer_idx} << PST_VI_EVQ_PRIME_CONSUMER_IDX_SHIFT);
  std::atomic_thread_fence(std::memory_order_release);  // as in ring_evq_doorbell
  window_->write_doorbell(PST_VI_EVQ_PRIME_OFFSET, value);
}

void Vi::arm_timer(uint32_t delay_ns, uint16_t sequence) {
  assert(sequence != 0);
  const uint64_t value =
      (uint64_t{sequence} << PST_VI_TIMER_SEQUENCE_SHIFT) | (uint64_t{delay_ns} << PST_VI_TIMER_DELAY_NS_SHIFT);
  window_->write_doorbell(PST_VI_TIMER_OFFSET, value);
}

}  // namespace postern
