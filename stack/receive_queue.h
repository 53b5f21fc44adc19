// A socket's receive queue in shared memory: one producer (the owner of the stack's lock) and one consumer (the owner
// of the endpoint's receive lock), which need no lock in common. Hides the list's stub node and memory ordering.
//
// The list always has a stub in front: at first a bufferless Packet that belongs to the endpoint, later the last packet
// consumed, which is given back when the next one has been consumed.
#pragma once

#include <atomic>
#include <cstdint>

#include "stack/packet_pool.h"

namespace postern::stack {

struct ReceiveQueue {
  uint32_t stub = kNoPacket;              // the endpoint's own bufferless packet; constant
  std::atomic<uint32_t> head{kNoPacket};  // consumer: the stub in front of the first packet
  uint32_t tail = kNoPacket;              // producer
  std::atomic<uint32_t> bytes_in{0};      // producer; free-running
  std::atomic<uint32_t> bytes_out{0};     // consumer; free-running
  std::atomic<uint32_t> packets_in{0};    // producer
  std::atomic<uint32_t> packets_out{0};   // consumer

  void reset(PacketPool& pool) {
    pool.packet(stub).next.store(kNoPacket, std::memory_order_relaxed);
    head.store(stub, std::memory_order_relaxed);
    tail = stub;
    bytes_in.store(0, std::memory_order_relaxed);
    bytes_out.store(0, std::memory_order_relaxed);
    packets_in.store(0, std::memory_order_relaxed);
    packets_out.store(0, std::memory_order_release);
  }

  // Producer. charge_bytes is what the consumer will add to bytes_out in total for this packet.
  void push(PacketPool& pool, uint32_t packet, uint32_t charge_bytes) {
    pool.packet(packet).next.store(kNoPacket, std::memory_order_relaxed);
    bytes_in.store(bytes_in.load(std::memory_order_relaxed) + charge_bytes, std::memory_order_relaxed);
    packets_in.store(packets_in.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    pool.packet(tail).next.store(packet, std::memory_order_release);
    tail = packet;
  }

  // Consumer: the first packet, or kNoPacket. It stays in the queue.
  [[nodiscard]] uint32_t front(PacketPool& pool) const {
    return pool.packet(head.load(std::memory_order_relaxed)).next.load(std::memory_order_acquire);
  }
  [[nodiscard]] static uint32_t after(PacketPool& pool, uint32_t packet) {
    return pool.packet(packet).next.load(std::memory_order_acquire);
  }
  // Consumer: part of the first packet has been read.
  void consumed(uint32_t charge_bytes) {
    bytes_out.store(bytes_out.load(std::memory_order_relaxed) + charge_bytes, std::memory_order_release);
  }
  // Consumer: removes the first packet; gives the one before it back.
  void pop(PacketPool& pool) {
    const uint32_t old = head.load(std::memory_order_relaxed);
    const uint32_t first = pool.packet(old).next.load(std::memory_order_acquire);
    head.store(first, std::memory_order_relaxed);
    packets_out.store(packets_out.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    if (old != stub) pool.release_unlocked(old);
  }
  // Both ends at once (stack's lock and receive lock held): gives everything back.
  void clear(PacketPool& pool) {
    while (front(pool) != kNoPacket) pop(pool);
    const uint32_t last = head.load(std::memory_order_relaxed);
    if (last != stub && last != kNoPacket) pool.release_unlocked(last);
    reset(pool);
  }

  [[nodiscard]] uint32_t bytes() const {
    const uint32_t out = bytes_out.load(std::memory_order_acquire);
    return bytes_in.load(std::memory_order_acquire) - out;
  }
  [[nodiscard]] uint32_t packets() const {
    const uint32_t out = packets_out.load(std::memory_order_acquire);
    return packets_in.load(std::memory_order_acquire) - out;
  }
};

}  // namespace postern::stack
