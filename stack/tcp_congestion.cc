// Congestion control and loss recovery: slow start and congestion avoidance (RFC 5681), fast retransmit, NewReno
// recovery (RFC 6582), SACK-based recovery (RFC 2018, RFC 6675), time-outs. See tcp_connection.h for the accounting.
#include <algorithm>

#include "stack/core.h"
#include "stack/tcp_internal.h"

namespace postern::stack {
namespace {

constexpr uint32_t kDupackThreshold = 3;  // RFC 5681 3.2, RFC 6675

void mark_lost(TcpConnection& tcp, Packet& packet) {
  if ((packet.flags & (kPacketSacked | kPacketLost)) != 0) return;
  packet.flags |= kPacketLost;
  tcp.lost_bytes += packet.length_bytes;
}

// RFC 6675 IsLost, by counting packets: lost if at least three packets above it have been sacked. True if any was new.
bool mark_lost_by_sack(Core& core, TcpConnection& tcp) {
  bool any = false;
  uint32_t sacked_above = tcp.sacked_packets;
  for (uint32_t index = tcp.first_packet; index != kNoPacket && index != tcp.unsent_packet;) {
    Packet& packet = core.pool.packet(index);
    if ((packet.flags & kPacketSacked) != 0) {
      --sacked_above;
    } else if (sacked_above >= kDupackThreshold) {
      if ((packet.flags & kPacketLost) == 0) any = true;
      mark_lost(tcp, packet);
    }
    if (sacked_above < kDupackThreshold) break;
    index = packet.next.load(std::memory_order_relaxed);
  }
  return any;
}

void halve(TcpConnection& tcp) {
  const uint32_t flight = std::max(tcp.packets_sent_bytes(), uint32_t{tcp.mss_bytes});
  tcp.ssthresh_bytes = std::max(std::min(flight, tcp.cwnd_bytes) / 2, 2u * tcp.mss_bytes);
}

void enter_recovery(Core& core, Endpoint& endpoint) {
  TcpConnection& tcp = endpoint.tcp;
  halve(tcp);
  tcp.cwnd_bytes = tcp.ssthresh_bytes;
  tcp.congestion = CongestionState::kRecovery;
  tcp.recover = tcp.snd_nxt;
  if (tcp.first_packet != kNoPacket && tcp.first_packet != tcp.unsent_packet) {
    mark_lost(tcp, core.pool.packet(tcp.first_packet));
    // The fast retransmit itself does not wait for the window.
    ++core.stats().tcp_fast_retransmits_count;
    tcp_retransmit_first(core, endpoint);
  }
}

void leave_recovery(TcpConnection& tcp) {
  if (tcp.congestion == CongestionState::kRecovery) tcp.cwnd_bytes = tcp.ssthresh_bytes;
  tcp.congestion = CongestionState::kOpen;
  tcp.dupack_bytes = 0;
  tcp.dupack_count = 0;
}

void grow(const Core& core, TcpConnection& tcp, uint32_t acked_bytes) {
  if (tcp.cwnd_limited == 0) return;
  const uint32_t limit = core.config->tcp_buffer_bytes_max;
  if (tcp.cwnd_bytes < tcp.ssthresh_bytes) {
    tcp.cwnd_bytes = std::min(tcp.cwnd_bytes + acked_bytes, limit);
    return;
  }
  tcp.cwnd_acked_bytes += acked_bytes;  // RFC 3465: one segment per window acknowledged
  while (tcp.cwnd_acked_bytes >= tcp.cwnd_bytes) {
    tcp.cwnd_acked_bytes -= tcp.cwnd_bytes;
    tcp.cwnd_bytes = std::min(tcp.cwnd_bytes + tcp.mss_bytes, limit);
  }
}

void new_ack(Core& core, Endpoint& endpoint, uint32_t acked_bytes) {
  TcpConnection& tcp = endpoint.tcp;
  if (tcp.congestion == CongestionState::kOpen) {
    tcp.dupack_count = 0;
    tcp.dupack_bytes = 0;
    grow(core, tcp, acked_bytes);
    return;
  }
  if (seq_less_equal(tcp.recover, tcp.snd_una)) {
    leave_recovery(tcp);
    return;
  }
  if (tcp.congestion == CongestionState::kLoss) {
    tcp.cwnd_limited = 1;
    grow(core, tcp, acked_bytes);
    return;
  }
  if (tcp.sack_on == 0) {
    // Partial acknowledgement (RFC 6582 3.2 step 3): the next segment is lost too. What left the network: the segments
    // now acknowledged had been counted as duplicates, except the first.
    const uint32_t passed = acked_bytes > tcp.mss_bytes ? acked_bytes - tcp.mss_bytes : 0;
    tcp.dupack_bytes -= std::min(tcp.dupack_bytes, passed);
    if (tcp.first_packet != kNoPacket && tcp.first_packet != tcp.unsent_packet) {
      Packet& first = core.pool.packet(tcp.first_packet);
      if ((first.flags & kPacketRetransmitted) == 0) {
        mark_lost(tcp, first);
        tcp_retransmit_first(core, endpoint);
      }
    }
  }
}

}  // namespace

void tcp_congestion_start(const Core& core, TcpConnection& tcp) {
  tcp.cwnd_bytes = core.config->initial_window_segments * tcp.mss_bytes;
  tcp.ssthresh_bytes = UINT32_MAX / 2;
  tcp.congestion = CongestionState::kOpen;
}

void tcp_clear_packet_flags(TcpConnection& tcp, Packet& packet) {
  if ((packet.flags & kPacketSacked) != 0) {
    tcp.sacked_bytes -= packet.length_bytes;
    --tcp.sacked_packets;
  }
  if ((packet.flags & kPacketLost) != 0) tcp.lost_bytes -= packet.length_bytes;
  if ((packet.flags & kPacketRetransmitted) != 0) tcp.retransmitted_bytes -= packet.length_bytes;
  packet.flags &= static_cast<uint8_t>(~(kPacketSacked | kPacketLost | kPacketRetransmitted));
}

bool tcp_apply_sack(Core& core, TcpConnection& tcp, const TcpHeader& header) {
  bool news = false;
  for (uint8_t i = 0; i < header.options.sack_count; ++i) {
    const SackRange range = header.options.sack[i];
    const bool valid = seq_less(range.begin, range.end) && seq_less(tcp.snd_una, range.end) &&
                       seq_less_equal(range.end, tcp.snd_nxt) && seq_less_equal(tcp.snd_una, range.begin);
    if (!valid) continue;
    for (uint32_t index = tcp.first_packet; index != kNoPacket && index != tcp.unsent_packet;) {
      Packet& packet = core.pool.packet(index);
      if (seq_less_equal(range.end, packet.seq)) break;
      const bool inside =
          seq_less_equal(range.begin, packet.seq) && seq_less_equal(packet.seq + packet.length_bytes, range.end);
      if (inside && (packet.flags & kPacketSacked) == 0) {
        tcp_clear_packet_flags(tcp, packet);
        packet.flags |= kPacketSacked;
        tcp.sacked_bytes += packet.length_bytes;
        ++tcp.sacked_packets;
        news = true;
      }
      index = packet.next.load(std::memory_order_relaxed);
    }
  }
  return news;
}

void tcp_congestion_ack(Core& core, Endpoint& endpoint, const AckInfo& info) {
  TcpConnection& tcp = endpoint.tcp;
  if (info.acked_bytes > 0) new_ack(core, endpoint, info.acked_bytes);
  if (tcp.sack_on != 0) {
    const bool newly_lost = tcp.sacked_packets != 0 && mark_lost_by_sack(core, tcp);
    if (newly_lost && tcp.congestion == CongestionState::kOpen) enter_recovery(core, endpoint);
    return;
  }
  if (!info.duplicate || tcp.congestion == CongestionState::kLoss) return;
  ++tcp.dupack_count;
  const uint32_t sent = tcp.packets_sent_bytes();
  tcp.dupack_bytes = std::min(tcp.dupack_bytes + tcp.mss_bytes, sent > tcp.mss_bytes ? sent - tcp.mss_bytes : 0);
  // RFC 6582 3.2 step 2: not twice for one window of losses.
  if (tcp.dupack_count == kDupackThreshold && tcp.congestion == CongestionState::kOpen) {
    enter_recovery(core, endpoint);
  }
}

void tcp_congestion_timeout(Core& core, Endpoint& endpoint) {
  TcpConnection& tcp = endpoint.tcp;
  if (tcp.retries <= 1) halve(tcp);  // RFC 5681 3.1: not again for the same segment
  tcp.cwnd_bytes = tcp.mss_bytes;
  tcp.cwnd_acked_bytes = 0;
  tcp.congestion = CongestionState::kLoss;
  tcp.recover = tcp.snd_nxt;
  tcp.dupack_count = 0;
  tcp.dupack_bytes = 0;
  bool first = true;
  for (uint32_t index = tcp.first_packet; index != kNoPacket && index != tcp.unsent_packet;) {
    Packet& packet = core.pool.packet(index);
    const bool sacked = (packet.flags & kPacketSacked) != 0;
    // RFC 2018 section 8: a peer may have discarded what it reported; if even the first is said to be there, trust
    // none.
    if (first || !sacked || tcp.retries > 1) {
      tcp_clear_packet_flags(tcp, packet);
      mark_lost(tcp, packet);
    }
    first = false;
    index = packet.next.load(std::memory_order_relaxed);
  }
}

void tcp_congestion_idle_restart(const Core& core, TcpConnection& tcp) {
  if (tcp.snd_una != tcp.snd_nxt || tcp.last_send_ns == 0) return;
  if (core.now_ns - tcp.last_send_ns <= tcp.rtt.rto_ns) return;
  const uint32_t initial = core.config->initial_window_segments * tcp.mss_bytes;
  tcp.cwnd_bytes = std::min(tcp.cwnd_bytes, initial);
}

}  // namespace postern::stack
