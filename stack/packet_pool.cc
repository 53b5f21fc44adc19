// Free list and inbox of the packet pool.
#include "stack/packet_pool.h"

namespace postern::stack {

void PacketPool::format() {
  state_->free_head = kNoPacket;
  state_->free_count.store(0, std::memory_order_relaxed);
  state_->inbox_head.store(kNoPacket, std::memory_order_relaxed);
  state_->inbox_count.store(0, std::memory_order_relaxed);
  for (uint32_t index = packet_count_; index-- > 0;) push_free(index);
}

void PacketPool::push_free(uint32_t packet) {
  packets_[packet].next.store(state_->free_head, std::memory_order_relaxed);
  state_->free_head = packet;
  state_->free_count.store(state_->free_count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

void PacketPool::take_inbox() {
  uint32_t packet = state_->inbox_head.exchange(kNoPacket, std::memory_order_acquire);
  uint32_t taken_count = 0;
  while (packet != kNoPacket) {
    const uint32_t next = packets_[packet].next.load(std::memory_order_relaxed);
    push_free(packet);
    ++taken_count;
    packet = next;
  }
  state_->inbox_count.fetch_sub(taken_count, std::memory_order_relaxed);
}

uint32_t PacketPool::allocate() {
  if (state_->free_head == kNoPacket) {
    take_inbox();
    if (state_->free_head == kNoPacket) return kNoPacket;
  }
  const uint32_t index = state_->free_head;
  Packet& taken = packets_[index];
  state_->free_head = taken.next.load(std::memory_order_relaxed);
  state_->free_count.store(state_->free_count.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
  taken.next.store(kNoPacket, std::memory_order_relaxed);
  taken.chain = kNoPacket;
  taken.refs = 1;
  taken.offset_bytes = 0;
  taken.length_bytes = 0;
  taken.flags = 0;
  return index;
}

void PacketPool::release(uint32_t packet) {
  Packet& released = packets_[packet];
  assert(released.refs > 0);
  if (--released.refs == 0) push_free(packet);
}

void PacketPool::release_chain(uint32_t packet) {
  while (packet != kNoPacket) {
    const uint32_t next = packets_[packet].chain;
    release(packet);
    packet = next;
  }
}

void PacketPool::release_unlocked(uint32_t packet) {
  while (packet != kNoPacket) {
    Packet& released = packets_[packet];
    const uint32_t next_in_chain = released.chain;
    released.refs = 0;
    released.chain = kNoPacket;
    uint32_t head = state_->inbox_head.load(std::memory_order_relaxed);
    // Counted first: available() may be too high for a moment, never negative.
    state_->inbox_count.fetch_add(1, std::memory_order_relaxed);
    do {
      released.next.store(head, std::memory_order_relaxed);
    } while (
        !state_->inbox_head.compare_exchange_weak(head, packet, std::memory_order_release, std::memory_order_relaxed));
    packet = next_in_chain;
  }
}

}  // namespace postern::stack
