// In-order delivery: trims a segment to what is new, queues it for the socket or, behind a gap, in the reassembly
// queue, which is kept in order and free of overlaps. The FIN counts when everything before it is here.
#include <algorithm>

#include "stack/core.h"
#include "stack/tcp_internal.h"

namespace postern::stack {
namespace {

// Bounds the buffers that one connection can bind with tiny segments.
constexpr uint32_t kOutOfOrderPacketsMax = 1024;
constexpr uint32_t kTinyQueueFactor = 4;  // assumed: queue at most 4 packets per full segment of receive buffer

uint32_t end_of(const Packet& packet) { return packet.seq + packet.length_bytes; }

// What fills a gap is not charged for what waits behind the gap.
bool queue_has_room(const Core& core, const Endpoint& endpoint, bool in_order) {
  const uint32_t packets = endpoint.receive_queue.packets();
  const uint32_t full_segments =
      endpoint.receive_buffer_bytes.load(std::memory_order_relaxed) / endpoint.tcp.rcv_mss_bytes + 1;
  return core.pool.may_receive(in_order ? packets : packets + endpoint.tcp.out_of_order_count) &&
         packets < full_segments * kTinyQueueFactor + 64;
}

void deliver(Core& core, Endpoint& endpoint, uint32_t index) {
  TcpConnection& tcp = endpoint.tcp;
  Packet& packet = core.pool.packet(index);
  tcp.rcv_nxt += packet.length_bytes;
  tcp.bytes_received += packet.length_bytes;
  endpoint.receive_queue.push(core.pool, index, packet.length_bytes);
}

// Moves what has become contiguous from the reassembly queue to the socket.
void deliver_contiguous(Core& core, Endpoint& endpoint) {
  TcpConnection& tcp = endpoint.tcp;
  while (tcp.out_of_order_first != kNoPacket) {
    const uint32_t index = tcp.out_of_order_first;
    Packet& packet = core.pool.packet(index);
    if (seq_less(tcp.rcv_nxt, packet.seq)) return;
    tcp.out_of_order_first = packet.next.load(std::memory_order_relaxed);
    --tcp.out_of_order_count;
    tcp.out_of_order_bytes -= packet.length_bytes;
    if (seq_less_equal(end_of(packet), tcp.rcv_nxt)) {
      core.pool.release(index);
      continue;
    }
    const auto overlap = static_cast<uint16_t>(tcp.rcv_nxt - packet.seq);
    packet.seq += overlap;
    packet.offset_bytes = static_cast<uint16_t>(packet.offset_bytes + overlap);
    packet.length_bytes = static_cast<uint16_t>(packet.length_bytes - overlap);
    deliver(core, endpoint, index);
  }
}

// Takes the packet into the reassembly queue, or says false if it is all there already.
bool insert_out_of_order(Core& core, TcpConnection& tcp, uint32_t index) {
  Packet& packet = core.pool.packet(index);
  uint32_t previous = kNoPacket;
  uint32_t next = tcp.out_of_order_first;
  while (next != kNoPacket && seq_less_equal(core.pool.packet(next).seq, packet.seq)) {
    previous = next;
    next = core.pool.packet(next).next.load(std::memory_order_relaxed);
  }
  if (previous != kNoPacket) {
    const uint32_t covered = end_of(core.pool.packet(previous));
    if (seq_less_equal(end_of(packet), covered)) return false;
    if (seq_less(packet.seq, covered)) {
      const auto overlap = static_cast<uint16_t>(covered - packet.seq);
      packet.seq += overlap;
      packet.offset_bytes = static_cast<uint16_t>(packet.offset_bytes + overlap);
      packet.length_bytes = static_cast<uint16_t>(packet.length_bytes - overlap);
    }
  }
  while (next != kNoPacket && seq_less(core.pool.packet(next).seq, end_of(packet))) {
    Packet& behind = core.pool.packet(next);
    if (seq_less(end_of(packet), end_of(behind))) {  // keep what is there, shorten the newcomer
      packet.length_bytes = static_cast<uint16_t>(behind.seq - packet.seq);
      break;
    }
    const uint32_t after = behind.next.load(std::memory_order_relaxed);
    tcp.out_of_order_bytes -= behind.length_bytes;
    --tcp.out_of_order_count;
    core.pool.release(next);
    next = after;
  }
  if (packet.length_bytes == 0) return false;
  packet.next.store(next, std::memory_order_relaxed);
  if (previous == kNoPacket) {
    tcp.out_of_order_first = index;
  } else {
    core.pool.packet(previous).next.store(index, std::memory_order_relaxed);
  }
  ++tcp.out_of_order_count;
  tcp.out_of_order_bytes += packet.length_bytes;
  tcp.out_of_order_latest = packet.seq;
  return true;
}

void schedule_ack(Core& core, Endpoint& endpoint, bool filled_gap) {
  TcpConnection& tcp = endpoint.tcp;
  const uint32_t unacknowledged = tcp.rcv_nxt - tcp.last_ack_sent;
  // Every second full segment (RFC 5681 4.2); at once while a gap exists or was just filled.
  const bool now = filled_gap || tcp.quick_acks > 0 || endpoint.quick_ack != 0 || tcp.out_of_order_count > 0 ||
                   unacknowledged >= 2u * tcp.rcv_mss_bytes;
  if (tcp.quick_acks > 0) --tcp.quick_acks;
  if (now) {
    tcp.ack = AckState::kNow;
    tcp_output_later(core, endpoint);
  } else if (tcp.ack == AckState::kNone) {
    tcp.ack = AckState::kDelayed;
    tcp.timers.delayed_ack_ns = core.now_ns + core.config->delayed_ack_ns;
    tcp_timers_update(core, endpoint);
  }
}

}  // namespace

void tcp_receive_payload(Core& core, Endpoint& endpoint, TcpSegment& segment) {
  TcpConnection& tcp = endpoint.tcp;
  if (segment.payload_bytes == 0) return;
  // What fills the gap matters more than what lies behind it: without this the gap might never be filled.
  if (segment.seq == tcp.rcv_nxt && !core.pool.above_reserve()) tcp_prune_out_of_order(core, tcp);
  if (!queue_has_room(core, endpoint, segment.seq == tcp.rcv_nxt) || tcp.out_of_order_count >= kOutOfOrderPacketsMax) {
    // It comes again; by then somebody may have read.
    ++core.stats().drop_no_buffer;
    if (segment.seq == tcp.rcv_nxt) tcp.window_shut = 1;
    tcp.ack = AckState::kNow;
    tcp_output_later(core, endpoint);
    return;
  }
  if (segment.payload_bytes > tcp.rcv_mss_bytes) tcp.rcv_mss_bytes = segment.payload_bytes;
  const uint32_t index = segment.packet;
  Packet& packet = core.pool.packet(index);
  packet.seq = segment.seq;
  packet.offset_bytes = segment.payload_offset_bytes;
  packet.length_bytes = segment.payload_bytes;
  if (segment.seq == tcp.rcv_nxt) {
    const bool gap = tcp.out_of_order_first != kNoPacket;
    segment.packet = kNoPacket;
    deliver(core, endpoint, index);
    if (gap) deliver_contiguous(core, endpoint);
    core.notify(endpoint);
    schedule_ack(core, endpoint, gap);
    return;
  }
  ++core.stats().tcp_out_of_order_count;
  if (insert_out_of_order(core, tcp, index)) {
    segment.packet = kNoPacket;
  } else {
    ++core.stats().tcp_duplicate_count;
  }
  tcp_send_ack(core, endpoint);  // one duplicate acknowledgement per segment: the peer counts them
}

uint8_t tcp_sack_ranges(const Core& core, const TcpConnection& tcp, SackRange* ranges, uint8_t room) {
  if (tcp.sack_on == 0 || tcp.out_of_order_first == kNoPacket || room == 0) return 0;
  PacketPool pool = core.pool;
  uint8_t count = 1;  // ranges[0] is for the block with the newest arrival (RFC 2018 section 4)
  bool newest_found = false;
  for (uint32_t index = tcp.out_of_order_first; index != kNoPacket;) {
    SackRange range{pool.packet(index).seq, end_of(pool.packet(index))};
    index = pool.packet(index).next.load(std::memory_order_relaxed);
    while (index != kNoPacket && pool.packet(index).seq == range.end) {
      range.end = end_of(pool.packet(index));
      index = pool.packet(index).next.load(std::memory_order_relaxed);
    }
    const bool newest =
        seq_less_equal(range.begin, tcp.out_of_order_latest) && seq_less(tcp.out_of_order_latest, range.end);
    if (newest) {
      ranges[0] = range;
      newest_found = true;
    } else if (count < room) {
      ranges[count++] = range;
    }
    if (newest_found && count >= room) break;
  }
  if (newest_found) return count;
  // The newest has been delivered meanwhile: move the others up.
  for (uint8_t i = 1; i < count; ++i) ranges[i - 1] = ranges[i];
  return static_cast<uint8_t>(count - 1);
}

void tcp_prune_out_of_order(Core& core, TcpConnection& tcp) {
  core.stats().drop_no_buffer += tcp.out_of_order_count;
  tcp_release_out_of_order(core, tcp);
}

void tcp_release_out_of_order(Core& core, TcpConnection& tcp) {
  uint32_t index = tcp.out_of_order_first;
  while (index != kNoPacket) {
    const uint32_t next = core.pool.packet(index).next.load(std::memory_order_relaxed);
    core.pool.release(index);
    index = next;
  }
  tcp.out_of_order_first = kNoPacket;
  tcp.out_of_order_count = 0;
  tcp.out_of_order_bytes = 0;
}

}  // namespace postern::stack
