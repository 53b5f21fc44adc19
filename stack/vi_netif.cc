// Rings and events of the VI.
#include "stack/vi_netif.h"

#include <algorithm>

namespace postern::stack {
namespace {

constexpr uint32_t kPiecesMax = 2;
constexpr uint32_t kCompletionInterval = 16;  // descriptors between two requests for a TX event
constexpr uint32_t kRefillBatch = 16;         // so many buffers per RX doorbell, unless the ring runs low

}  // namespace

bool ViNetif::can_transmit(PacketPool&) { return vi_.tx_space() >= kPiecesMax; }

void ViNetif::transmit(PacketPool& pool, const TxFrame& frame) {
  const uint32_t first_idx = vi_.state().tx_producer_idx;
  const uint32_t mask = geometry().tx_entries - 1;
  TxFragment fragments[kPiecesMax];
  for (uint32_t i = 0; i < frame.piece_count; ++i) {
    const TxPiece& piece = frame.pieces[i];
    fragments[i].address_offset = pool.region_offset(piece.packet) + piece.offset_bytes;
    fragments[i].length_bytes = piece.length_bytes;
  }
  TxOptions options;
  options.checksum_l3 = frame.checksum_l3;
  options.checksum_l4 = frame.checksum_l4;
  // The device batches completions; ask often enough that buffers come back before the ring is full.
  options.complete = first_idx / kCompletionInterval != (first_idx + frame.piece_count) / kCompletionInterval;
  if (!vi_.queue_tx(fragments, frame.piece_count, options)) return;  // can_transmit() said there was space
  const uint32_t end_idx = vi_.state().tx_producer_idx;
  // A descriptor that holds options has no packet: the fragments are the last ones.
  for (uint32_t idx = first_idx; idx != end_idx; ++idx) {
    const uint32_t from_end = end_idx - idx;
    if (from_end > frame.piece_count) {
      tx_slots_[idx & mask] = kNoPacket;
      continue;
    }
    const uint32_t packet = frame.pieces[frame.piece_count - from_end].packet;
    pool.retain(packet);
    tx_slots_[idx & mask] = packet;
  }
}

bool ViNetif::transmit_bytes(const uint8_t*, uint64_t region_offset, uint16_t length_bytes) {
  if (vi_.tx_space() < kPiecesMax) {
    flush();
    (void)vi_.poll(events_, kBatch);  // completions make space; what they and received frames name is past caring
    if (vi_.tx_space() < kPiecesMax) return false;
  }
  TxFragment fragment;
  fragment.address_offset = region_offset;
  fragment.length_bytes = length_bytes;
  TxOptions options;
  options.complete = true;
  return vi_.queue_tx(&fragment, 1, options);
}

void ViNetif::flush() {
  vi_.ring_tx_doorbell();
  vi_.ring_rx_doorbell();
  // Space in the event queue is returned in large steps: each return is a write to the device.
  const ViState& state = vi_.state();
  if (state.evq_consumer_idx - state.evq_doorbell_idx >= geometry().evq_entries / 8) vi_.ring_evq_doorbell();
}

void ViNetif::release_sent(PacketPool& pool, uint32_t first_idx, uint32_t end_idx) {
  const uint32_t mask = geometry().tx_entries - 1;
  if (end_idx - first_idx > geometry().tx_entries) return;  // nonsense from the device
  for (uint32_t idx = first_idx; idx != end_idx; ++idx) {
    uint32_t& slot = tx_slots_[idx & mask];
    if (slot != kNoPacket) pool.release(slot);
    slot = kNoPacket;
  }
}

bool ViNetif::take_received(PacketPool& pool, const ViEvent& event, RxFrame* frame) {
  const uint32_t mask = geometry().rx_entries - 1;
  const uint32_t count = event.consumer_idx - event.first_idx;
  if (count == 0 || count > geometry().rx_entries) return false;
  if (count == 1 && !event.truncated && event.payload_offset_bytes + event.length_bytes <= kPacketBufferBytes) {
    frame->packet = rx_slots_[event.first_idx & mask];
    rx_slots_[event.first_idx & mask] = kNoPacket;
    frame->offset_bytes = event.payload_offset_bytes;
    frame->length_bytes = event.length_bytes;
    frame->checksum_l3 = event.checksum_l3;
    frame->checksum_l4 = event.checksum_l4;
    return frame->packet != kNoPacket;
  }
  // Longer than a buffer: not for this MTU.
  for (uint32_t idx = event.first_idx; idx != event.consumer_idx; ++idx) {
    uint32_t& slot = rx_slots_[idx & mask];
    if (slot != kNoPacket) pool.release(slot);
    slot = kNoPacket;
  }
  ++state_->stats.drop_rx_multi_buffer;
  return false;
}

size_t ViNetif::poll(PacketPool& pool, RxFrame* frames, size_t max_count, size_t* work) {
  const size_t event_count = vi_.poll(events_, std::min(max_count, kBatch));
  *work = event_count;
  if (event_count != 0) state_->netif_primed = 0;
  size_t frame_count = 0;
  for (size_t i = 0; i < event_count; ++i) {
    const ViEvent& event = events_[i];
    if (event.type == ViEventType::kRx) {
      if (take_received(pool, event, &frames[frame_count])) ++frame_count;
    } else if (event.type == ViEventType::kTx) {
      release_sent(pool, event.first_idx, event.consumer_idx);
    }
  }
  return frame_count;
}

void ViNetif::refill(PacketPool& pool) {
  const uint32_t space = vi_.rx_space();
  const bool low = space >= geometry().rx_entries / 2;
  if (space < kRefillBatch && !low) return;
  const uint32_t mask = geometry().rx_entries - 1;
  for (uint32_t i = 0; i < space; ++i) {
    const uint32_t packet = pool.allocate();
    if (packet == kNoPacket) break;
    const uint32_t slot = vi_.state().rx_producer_idx & mask;
    if (!vi_.post_rx(pool.region_offset(packet), kPacketBufferBytes)) {
      pool.release(packet);
      break;
    }
    rx_slots_[slot] = packet;
  }
}

void ViNetif::prime() {
  // A prime that has not fired yet still stands; if it fired, an event waits and nobody sleeps.
  if (state_->netif_primed != 0) return;
  vi_.prime();
  state_->netif_primed = 1;
}

}  // namespace postern::stack
