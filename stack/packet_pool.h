// Packet buffers: fixed slots of 2 KiB in the shared region with one descriptor (Packet) each, linked by index. Hides
// the free list. Packet walk: send() copies its payload into one; the device writes a received frame into another.
//
// Allocation and reference counts change only under the stack's lock. A receiver that has read a packet gives it back
// without the lock, through the inbox (a lock-free list that only the lock's owner empties, as a whole: no ABA).
#pragma once

#include <atomic>
#include <cassert>
#include <cstdint>

#include "stack/ip_address.h"
#include "stack/stack_config.h"

namespace postern::stack {

constexpr uint32_t kNoPacket = 0xffffffffu;
constexpr uint16_t kHeadroomBytes = 128;  // in TX packets before the payload: 14 + 20 + 60 rounded up
constexpr uint16_t kPayloadBytesMax = kPacketBufferBytes - kHeadroomBytes;

enum PacketFlags : uint8_t {
  kPacketSacked = 1,         // TX: the peer has it, out of order (RFC 2018)
  kPacketLost = 2,           // TX: presumed lost
  kPacketRetransmitted = 4,  // TX: a retransmission is in flight
  kPacketEverRetransmitted = 8,
  kPacketPush = 16,
};

struct Packet {
  std::atomic<uint32_t> next{kNoPacket};  // in whichever queue it is
  uint32_t chain = kNoPacket;             // RX: next fragment of the same datagram
  uint32_t seq = 0;                       // TCP: sequence number of the first payload byte
  uint16_t refs = 0;                      // owners: a queue, the device for each piece that it has yet to read
  uint16_t offset_bytes = 0;              // payload within the buffer
  uint16_t length_bytes = 0;
  uint8_t flags = 0;            // PacketFlags
  uint8_t l3_header_bytes = 0;  // RX: of the IP header, which ends where the payload starts
  uint32_t datagram_bytes = 0;  // UDP RX: of the whole chain
  uint64_t sent_ns = 0;         // TCP TX: last transmission
  SocketAddress from;           // UDP RX
};
static_assert(sizeof(Packet) <= 64);

struct PoolState {
  uint32_t free_head = kNoPacket;
  std::atomic<uint32_t> free_count{0};
  std::atomic<uint32_t> inbox_head{kNoPacket};
  std::atomic<uint32_t> inbox_count{0};
};

// A process's view of the pool.
class PacketPool {
 public:
  PacketPool() = default;
  PacketPool(PoolState* state, Packet* packets, uint8_t* region_base, uint64_t buffers_offset, uint32_t packet_count)
      : state_(state),
        packets_(packets),
        region_base_(region_base),
        buffers_offset_(buffers_offset),
        packet_count_(packet_count),
        reserve_count_(packet_count / 8) {}

  // Links all packets as free. Once, when the region is formatted.
  void format();

  // A packet with one reference and cleared fields; kNoPacket if none is left.
  [[nodiscard]] uint32_t allocate();
  // As allocate(), for what an application wants to send. Leaves a quarter of the pool: an eighth that received data
  // may still use, so that two hosts full of unsent data do not wait for each other, and an eighth for control
  // segments.
  [[nodiscard]] uint32_t allocate_for_send() { return available() > 2 * reserve_count_ ? allocate() : kNoPacket; }
  // As allocate_for_send(), for a sender that has next to nothing queued: half of the eighth that received data may use
  // as well. So sockets full of unsent data do not silence all others.
  [[nodiscard]] uint32_t allocate_for_small_send() { return small_send_possible() ? allocate() : kNoPacket; }
  [[nodiscard]] bool small_send_possible() const { return available() > reserve_count_ + reserve_count_ / 2; }
  // Enough for senders that found nothing to try again: a few more than one takes at once.
  [[nodiscard]] bool send_worthwhile() const { return available() > 2 * reserve_count_ + 16; }
  void retain(uint32_t packet) {
    assert(packets_[packet].refs > 0);
    ++packets_[packet].refs;
  }
  void release(uint32_t packet);
  void release_chain(uint32_t packet);
  // Without the lock: the caller is the only owner of the packet (and of its chain).
  void release_unlocked(uint32_t packet);

  [[nodiscard]] Packet& packet(uint32_t index) { return packets_[index]; }
  [[nodiscard]] uint8_t* buffer(uint32_t index) {
    return region_base_ + buffers_offset_ + uint64_t{index} * kPacketBufferBytes;
  }
  // Offset within the region, which is the address that the device uses.
  [[nodiscard]] uint64_t region_offset(uint32_t index) const {
    return buffers_offset_ + uint64_t{index} * kPacketBufferBytes;
  }
  // Free packets; exact under the lock, a hint otherwise.
  [[nodiscard]] uint32_t available() const {
    return state_->free_count.load(std::memory_order_relaxed) + state_->inbox_count.load(std::memory_order_relaxed);
  }
  // May received data be kept? Otherwise it is dropped, counted, and comes again.
  [[nodiscard]] bool above_reserve() const { return available() > reserve_count_; }
  // So many packets of received data a socket may hold: a part of what is free. Whatever the number of sockets that do
  // not read, something remains free for others (the "dynamic thresholds" of shared switch buffers).
  [[nodiscard]] uint32_t receive_share() const {
    const uint32_t free_count = available();
    return free_count > reserve_count_ ? (free_count - reserve_count_) / 4 : 0;
  }
  // May a socket that holds so many packets of received data keep one more?
  [[nodiscard]] bool may_receive(uint32_t held_count) const {
    if (held_count < kReceiveGuaranteed) return available() > reserve_count_ / 2;
    return above_reserve() && held_count < receive_share();
  }
  static constexpr uint32_t kReceiveGuaranteed = 2;
  [[nodiscard]] uint32_t packet_count() const { return packet_count_; }

 private:
  void push_free(uint32_t packet);
  void take_inbox();

  PoolState* state_ = nullptr;
  Packet* packets_ = nullptr;
  uint8_t* region_base_ = nullptr;
  uint64_t buffers_offset_ = 0;
  uint32_t packet_count_ = 0;
  uint32_t reserve_count_ = 0;  // see README: who may use the last packets
};

}  // namespace postern::stack
