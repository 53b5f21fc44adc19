// The seam below the stack: something that moves frames between packet buffers and a wire. Two implementations: a VI
// (stack/vi_netif.h) and an in-memory wire of the tests. Called per packet or batch with the stack's lock held.
#pragma once

#include <cstddef>
#include <cstdint>

#include "driver/vi.h"

namespace postern::stack {

class PacketPool;

// A frame received into a packet buffer; the buffer belongs to the receiver of this struct.
struct RxFrame {
  uint32_t packet = 0;  // packet index
  uint16_t length_bytes = 0;
  ChecksumResult checksum_l3 = ChecksumResult::kNone;
  ChecksumResult checksum_l4 = ChecksumResult::kNone;
  uint16_t offset_bytes = 0;  // where the frame starts in its buffer
};

// A frame to send: one or two pieces, each within one packet buffer. The interface takes a reference on each packet
// (PacketPool::retain) and releases it when the device has read it.
struct TxPiece {
  uint32_t packet = 0;
  uint16_t offset_bytes = 0;
  uint16_t length_bytes = 0;
};
struct TxFrame {
  TxPiece pieces[2];
  uint8_t piece_count = 1;
  bool checksum_l3 = false;  // to be inserted by the device
  bool checksum_l4 = false;
};

class NetworkInterface {
 public:
  virtual ~NetworkInterface() = default;
  // True if a frame of two pieces can be queued now.
  [[nodiscard]] virtual bool can_transmit(PacketPool& pool) = 0;
  // Queues a frame. Only after can_transmit() said true.
  virtual void transmit(PacketPool& pool, const TxFrame& frame) = 0;
  // Queues a frame that lies in the region, finished, and stays there; keeps no books of it. Only for a stack that is
  // not going to do anything else. False if there is no space now.
  [[nodiscard]] virtual bool transmit_bytes(const uint8_t* frame, uint64_t region_offset, uint16_t length_bytes) = 0;
  // Makes what was queued visible to the device: at most one doorbell per ring and call.
  virtual void flush() = 0;
  // Consumes events: releases buffers that were sent, returns up to max_count received frames. *work gets the number
  // of events consumed.
  [[nodiscard]] virtual size_t poll(PacketPool& pool, RxFrame* frames, size_t max_count, size_t* work) = 0;
  // Gives buffers to the device until its ring is full or the pool is at its reserve.
  virtual void refill(PacketPool& pool) = 0;
  // Something to poll? Callable without the lock, from any thread.
  [[nodiscard]] virtual bool has_event() const = 0;
  // Asks for one interrupt at the next event. Does nothing while an earlier request still stands.
  virtual void prime() = 0;
  // The device reported that it will not go on (halted VI). Checked after each poll.
  [[nodiscard]] virtual bool failed() const = 0;
};

}  // namespace postern::stack
