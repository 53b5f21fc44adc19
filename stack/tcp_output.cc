// TCP output: decides what may be sent (congestion window, peer's window, Nagle, cork, silly window avoidance), builds
// segments in place in front of their payload, and hands them to IPv4. Packet walk: send() -> tcp_send -> tcp_output ->
// ipv4_send -> the VI's ring.
//
// A packet that the device still owns (its reference count is above 1) must not get new headers: its retransmission
// goes as two pieces, headers in a packet of their own and the same payload.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "stack/checksum.h"
#include "stack/core.h"
#include "stack/tcp_internal.h"

namespace postern::stack {
namespace {

constexpr uint64_t kCorkTimeoutNs = 200'000'000;  // tcp(7), TCP_CORK
constexpr uint64_t kAckRetryNs = 1'000'000;       // assumed: next try when there was no buffer for an acknowledgement

struct Outgoing {
  uint32_t packet = kNoPacket;  // payload; kNoPacket: none
  uint32_t seq = 0;
  uint8_t flags = 0;
};

// The window field; moves rcv_adv. Never takes back what was advertised, and moves the edge only by useful amounts
// (RFC 9293 3.8.6.2.2).
uint16_t select_window(const Core& core, Endpoint& endpoint, bool syn) {
  TcpConnection& tcp = endpoint.tcp;
  const uint32_t buffer_bytes = endpoint.receive_buffer_bytes.load(std::memory_order_relaxed);
  const uint32_t free_bytes = tcp_receive_window(core, endpoint);
  if (tcp.window_shut != 0) {
    if (free_bytes < tcp.rcv_mss_bytes) return 0;
    tcp.window_shut = 0;
  }
  const uint32_t current = tcp.rcv_adv - tcp.rcv_nxt;
  const uint32_t useful = std::min(buffer_bytes / 2, uint32_t{tcp.rcv_mss_bytes});
  const uint32_t window = free_bytes >= current + useful ? free_bytes : current;
  const unsigned scale = syn ? 0 : tcp.rcv_wscale;
  const uint32_t field = std::min(window >> scale, 65535u);
  const uint32_t edge = tcp.rcv_nxt + (field << scale);
  if (seq_less(tcp.rcv_adv, edge)) tcp.rcv_adv = edge;
  return static_cast<uint16_t>(field);
}

void fill_options(Core& core, const Endpoint& endpoint, const Outgoing& out, TcpOptions* options) {
  const TcpConnection& tcp = endpoint.tcp;
  const bool syn = (out.flags & kTcpSyn) != 0;
  const bool answers_syn = syn && (out.flags & kTcpAck) != 0;
  if (syn) {
    options->mss_bytes = tcp_own_mss(core);
    // An answer offers what the peer offered.
    options->has_window_scale = answers_syn ? tcp.rcv_wscale != 0 : core.config->tcp_window_scaling != 0;
    options->window_scale = tcp.rcv_wscale;
    options->sack_permitted = answers_syn ? tcp.sack_on != 0 : core.config->tcp_sack != 0;
  }
  if (syn && !answers_syn ? core.config->tcp_timestamps != 0 : tcp.timestamps_on != 0) {
    options->has_timestamp = true;
    options->timestamp = tcp_timestamp(core, tcp);
    options->timestamp_echo = tcp.ts_recent;
  }
  if (!syn && out.packet == kNoPacket && tcp.out_of_order_first != kNoPacket) {
    options->sack_count = tcp_sack_ranges(core, tcp, options->sack, tcp.timestamps_on != 0 ? 3 : 4);
  }
}

void write_checksum(Core& core, const Endpoint& endpoint, const TxFrame& frame) {
  uint16_t total = 0;
  for (unsigned i = 0; i < frame.piece_count; ++i) total = static_cast<uint16_t>(total + frame.pieces[i].length_bytes);
  uint64_t sum = ipv4_pseudo_sum(endpoint.local.address, endpoint.remote.address, kIpProtocolTcp, total);
  for (unsigned i = 0; i < frame.piece_count; ++i) {  // a header's length is even
    sum = checksum_add(sum, core.pool.buffer(frame.pieces[i].packet) + frame.pieces[i].offset_bytes,
                       frame.pieces[i].length_bytes);
  }
  const uint16_t checksum = checksum_finish(sum);
  std::memcpy(core.pool.buffer(frame.pieces[0].packet) + frame.pieces[0].offset_bytes + 16, &checksum, 2);
}

void acknowledgement_sent(TcpConnection& tcp) {
  tcp.last_ack_sent = tcp.rcv_nxt;
  tcp.ack = AckState::kNone;
  tcp.timers.delayed_ack_ns = kNever;
}

// Builds and sends one segment. False if there was no buffer.
bool emit(Core& core, Endpoint& endpoint, const Outgoing& out) {
  TcpConnection& tcp = endpoint.tcp;
  TcpHeader header;
  header.source_port = endpoint.local.port;
  header.destination_port = endpoint.remote.port;
  header.seq = out.seq;
  header.flags = out.flags;
  if ((out.flags & kTcpAck) != 0) header.ack = tcp.rcv_nxt;
  if ((out.flags & kTcpRst) == 0) header.window = select_window(core, endpoint, (out.flags & kTcpSyn) != 0);
  fill_options(core, endpoint, out, &header.options);
  const auto header_bytes = static_cast<uint16_t>(kTcpHeaderBytes + tcp_options_bytes(header.options));

  TxFrame frame;
  const bool in_place = out.packet != kNoPacket && core.pool.packet(out.packet).refs == 1;
  uint32_t header_packet = kNoPacket;
  if (in_place) {
    const Packet& payload = core.pool.packet(out.packet);
    frame.pieces[0] = {out.packet, static_cast<uint16_t>(payload.offset_bytes - header_bytes),
                       static_cast<uint16_t>(header_bytes + payload.length_bytes)};
  } else {
    header_packet = core.pool.allocate();
    if (header_packet == kNoPacket) {
      ++core.stats().drop_no_buffer;
      return false;
    }
    frame.pieces[0] = {header_packet, kHeadroomBytes, header_bytes};
    if (out.packet != kNoPacket) {
      const Packet& payload = core.pool.packet(out.packet);
      frame.pieces[1] = {out.packet, payload.offset_bytes, payload.length_bytes};
      frame.piece_count = 2;
    }
  }
  tcp_emit(core.pool.buffer(frame.pieces[0].packet) + frame.pieces[0].offset_bytes, header);
  if (core.config->tx_checksum_offload == 0) write_checksum(core, endpoint, frame);
  frame.checksum_l4 = true;
  Ipv4Send send;
  send.source = endpoint.local.address;
  send.destination = endpoint.remote.address;
  send.protocol = kIpProtocolTcp;
  send.ttl = endpoint.ttl != 0 ? endpoint.ttl : core.config->ttl;
  send.tos = endpoint.tos;
  const SendResult result = ipv4_send(core, send, frame);
  if (header_packet != kNoPacket) core.pool.release(header_packet);
  ++core.stats().tcp_segments_out_count;
  ++tcp.segments_out;
  if ((out.flags & kTcpAck) != 0) acknowledgement_sent(tcp);
  // What could not be sent now is lost as if on the wire: the timer repeats it, and names the reason if it gives up.
  if (result == SendResult::kUnreachable) tcp.soft_error = EHOSTUNREACH;
  return true;
}

// Cuts a packet so that the first part has `bytes`; the rest becomes a packet behind it.
bool split(Core& core, TcpConnection& tcp, uint32_t index, uint16_t bytes) {
  const uint32_t rest = core.pool.allocate();
  if (rest == kNoPacket) return false;
  Packet& front = core.pool.packet(index);
  Packet& back = core.pool.packet(rest);
  back.seq = front.seq + bytes;
  back.offset_bytes = kHeadroomBytes;
  back.length_bytes = static_cast<uint16_t>(front.length_bytes - bytes);
  back.flags = front.flags;
  back.sent_ns = front.sent_ns;
  std::memcpy(core.pool.buffer(rest) + kHeadroomBytes, core.pool.buffer(index) + front.offset_bytes + bytes,
              back.length_bytes);
  front.length_bytes = bytes;
  back.next.store(front.next.load(std::memory_order_relaxed), std::memory_order_relaxed);
  front.next.store(rest, std::memory_order_relaxed);
  if (tcp.last_packet == index) tcp.last_packet = rest;
  return true;
}

uint8_t data_flags(const Endpoint& endpoint, uint32_t index) {
  const TcpConnection& tcp = endpoint.tcp;
  uint8_t flags = kTcpAck;
  if (index == tcp.last_packet) {
    flags |= kTcpPsh;
    if (tcp.fin_queued != 0) flags |= kTcpFin;
  }
  return flags;
}

bool retransmit(Core& core, Endpoint& endpoint, uint32_t index) {
  TcpConnection& tcp = endpoint.tcp;
  Packet& packet = core.pool.packet(index);
  if (packet.length_bytes > tcp.mss_bytes && !split(core, tcp, index, tcp.mss_bytes)) return false;
  const bool sent = emit(core, endpoint, {index, packet.seq, data_flags(endpoint, index)});
  if (!sent) return false;
  if ((packet.flags & kPacketRetransmitted) == 0) tcp.retransmitted_bytes += packet.length_bytes;
  packet.flags |= kPacketRetransmitted | kPacketEverRetransmitted;
  packet.sent_ns = core.now_ns;
  ++tcp.retransmits_total;
  ++core.stats().tcp_retransmits_count;
  return true;
}

// Lost segments, oldest first, as far as the congestion window allows.
void retransmit_lost(Core& core, Endpoint& endpoint) {
  TcpConnection& tcp = endpoint.tcp;
  if (tcp.lost_bytes <= tcp.retransmitted_bytes) return;
  for (uint32_t index = tcp.first_packet; index != kNoPacket && index != tcp.unsent_packet;) {
    if (tcp.in_flight_bytes() >= tcp.cwnd_bytes || !tx_has_room(core)) return;
    Packet& packet = core.pool.packet(index);
    const bool due = (packet.flags & (kPacketLost | kPacketRetransmitted | kPacketSacked)) == kPacketLost;
    if (due && !retransmit(core, endpoint, index)) return;
    index = packet.next.load(std::memory_order_relaxed);
  }
}

enum class Verdict : uint8_t { kSend, kWindow, kCongestion, kHold, kCorked };

// May the first unsent packet go now? May shorten it to the window.
Verdict judge(Core& core, Endpoint& endpoint) {
  TcpConnection& tcp = endpoint.tcp;
  Packet& packet = core.pool.packet(tcp.unsent_packet);
  if (packet.length_bytes > tcp.mss_bytes && !split(core, tcp, tcp.unsent_packet, tcp.mss_bytes)) {
    return Verdict::kCongestion;
  }
  const uint32_t in_flight = tcp.in_flight_bytes();
  if (in_flight != 0 && in_flight + packet.length_bytes > tcp.cwnd_bytes) return Verdict::kCongestion;
  const uint32_t edge = tcp.snd_una + tcp.snd_wnd_bytes;
  const uint32_t usable = seq_less(tcp.snd_nxt, edge) ? edge - tcp.snd_nxt : 0;
  if (packet.length_bytes > usable) {
    // RFC 9293 3.8.6.2.1: part of a segment only if it is at least half of the largest window.
    if (usable == 0 || usable < tcp.snd_wnd_max_bytes / 2) return Verdict::kWindow;
    return split(core, tcp, tcp.unsent_packet, static_cast<uint16_t>(usable)) ? Verdict::kSend : Verdict::kWindow;
  }
  const bool partial = packet.length_bytes < tcp.mss_bytes && tcp.unsent_packet == tcp.last_packet;
  if (!partial || tcp.fin_queued != 0) return Verdict::kSend;
  if (endpoint.cork != 0 || tcp.more_coming != 0) return Verdict::kCorked;
  if (endpoint.no_delay == 0 && tcp.snd_una != tcp.snd_nxt) return Verdict::kHold;  // Nagle (RFC 896)
  return Verdict::kSend;
}

bool send_first_unsent(Core& core, Endpoint& endpoint) {
  TcpConnection& tcp = endpoint.tcp;
  const uint32_t index = tcp.unsent_packet;
  Packet& packet = core.pool.packet(index);
  const uint8_t flags = data_flags(endpoint, index);
  if (!emit(core, endpoint, {index, packet.seq, flags})) return false;
  packet.sent_ns = core.now_ns;
  tcp.last_send_ns = core.now_ns;
  tcp.snd_nxt = packet.seq + packet.length_bytes;
  if ((flags & kTcpFin) != 0) {
    tcp.fin_sent = 1;
    ++tcp.snd_nxt;
  }
  tcp.unsent_packet = packet.next.load(std::memory_order_relaxed);
  if (tcp.timers.retransmit_ns == kNever) tcp_start_retransmit_timer(core, endpoint);
  tcp.timers.persist_ns = kNever;
  return true;
}

void send_new_data(Core& core, Endpoint& endpoint) {
  TcpConnection& tcp = endpoint.tcp;
  if (tcp.unsent_packet != kNoPacket) tcp_congestion_idle_restart(core, tcp);
  Verdict verdict = Verdict::kSend;
  while (tcp.unsent_packet != kNoPacket) {
    verdict = judge(core, endpoint);
    if (verdict != Verdict::kSend) break;
    if (!tx_has_room(core) || !send_first_unsent(core, endpoint)) {
      tcp_output_later(core, endpoint);  // goes on when the ring has space
      return;
    }
  }
  if (verdict == Verdict::kCongestion) {
    tcp.cwnd_limited = 1;
  } else if (tcp.in_flight_bytes() < tcp.cwnd_bytes / 2) {
    tcp.cwnd_limited = 0;
  }
  const bool idle = tcp.snd_una == tcp.snd_nxt;
  if (tcp.unsent_packet != kNoPacket && idle && tcp.timers.persist_ns == kNever) {
    const bool corked = verdict == Verdict::kCorked;
    tcp.probes = 0;
    tcp.timers.persist_ns = core.now_ns + (corked ? kCorkTimeoutNs : std::max(tcp.rtt.rto_ns, core.config->rto_min_ns));
    tcp_timers_update(core, endpoint);
  }
}

void send_lone_fin(Core& core, Endpoint& endpoint) {
  TcpConnection& tcp = endpoint.tcp;
  if (tcp.fin_queued == 0 || tcp.fin_sent != 0 || tcp.unsent_packet != kNoPacket) return;
  if (!emit(core, endpoint, {kNoPacket, tcp.snd_end, kTcpFin | kTcpAck})) {
    tcp_output_later(core, endpoint);
    return;
  }
  tcp.fin_sent = 1;
  tcp.snd_nxt = tcp.snd_end + 1;
  if (tcp.timers.retransmit_ns == kNever) tcp_start_retransmit_timer(core, endpoint);
}

bool may_send_data(TcpState state) {
  switch (state) {
    case TcpState::kEstablished:
    case TcpState::kCloseWait:
    case TcpState::kFinWait1:
    case TcpState::kClosing:
    case TcpState::kLastAck:
      return true;
    default:
      return false;
  }
}

}  // namespace

uint16_t tcp_own_mss(const Core& core) {
  return static_cast<uint16_t>(core.config->mtu_bytes - kIpv4HeaderBytes - kTcpHeaderBytes);
}

uint32_t tcp_receive_window(const Core& core, const Endpoint& endpoint) {
  const uint32_t buffer_bytes = endpoint.receive_buffer_bytes.load(std::memory_order_relaxed);
  const uint32_t used_bytes = endpoint.receive_queue.bytes();
  if (buffer_bytes <= used_bytes) return 0;
  const uint32_t share = std::max(core.pool.receive_share(), PacketPool::kReceiveGuaranteed);
  const uint32_t held = endpoint.receive_queue.packets();
  return held >= share ? 0 : std::min(buffer_bytes - used_bytes, (share - held) * tcp_own_mss(core));
}

bool tcp_window_update_due(const Core& core, const Endpoint& endpoint) {
  const TcpConnection& tcp = endpoint.tcp;
  const TcpState state = tcp.state;
  if (state != TcpState::kEstablished && state != TcpState::kFinWait1 && state != TcpState::kFinWait2) return false;
  const uint32_t current = tcp.rcv_adv - tcp.rcv_nxt;
  const uint32_t free_bytes = std::min(tcp_receive_window(core, endpoint), 65535u << tcp.rcv_wscale);
  if (tcp.window_shut != 0) return free_bytes >= tcp.rcv_mss_bytes;
  const uint32_t useful =
      std::min(endpoint.receive_buffer_bytes.load(std::memory_order_relaxed) / 2, uint32_t{tcp.rcv_mss_bytes});
  // Linux's rule: only if the window at least doubles.
  return free_bytes / 2 >= current && free_bytes >= current + useful;
}

void tcp_output(Core& core, Endpoint& endpoint) {
  TcpConnection& tcp = endpoint.tcp;
  const TcpState state = tcp.state;
  if (state == TcpState::kClosed || state == TcpState::kListen || state == TcpState::kSynSent) return;
  if (may_send_data(state)) {
    retransmit_lost(core, endpoint);
    send_new_data(core, endpoint);
    send_lone_fin(core, endpoint);
  }
  if (tcp.ack == AckState::kNow) tcp_send_ack(core, endpoint);
}

void tcp_output_later(Core& core, Endpoint& endpoint) {
  if (endpoint.tcp.on_output_list != 0) return;
  endpoint.tcp.on_output_list = 1;
  endpoint.tcp.output_next = core.state->output_waiting_head;
  core.state->output_waiting_head = core.index_of(endpoint);
}

void tcp_run_output_list(Core& core) {
  uint32_t index = core.state->output_waiting_head;
  core.state->output_waiting_head = kNoEndpoint;
  while (index != kNoEndpoint) {
    Endpoint& endpoint = core.endpoints[index];
    index = endpoint.tcp.output_next;
    endpoint.tcp.on_output_list = 0;
    endpoint.tcp.output_next = kNoEndpoint;
    tcp_output(core, endpoint);
  }
}

void tcp_send_syn(Core& core, Endpoint& endpoint) {
  const bool answers = endpoint.tcp.state == TcpState::kSynReceived;
  const uint8_t flags = answers ? kTcpSyn | kTcpAck : kTcpSyn;
  emit(core, endpoint, {kNoPacket, endpoint.tcp.iss, flags});
}

void tcp_send_ack(Core& core, Endpoint& endpoint) {
  TcpConnection& tcp = endpoint.tcp;
  if (emit(core, endpoint, {kNoPacket, tcp.snd_nxt, kTcpAck})) return;
  tcp.ack = AckState::kDelayed;
  tcp.timers.delayed_ack_ns = core.now_ns + kAckRetryNs;
  tcp_timers_update(core, endpoint);
}

void tcp_send_probe(Core& core, Endpoint& endpoint) {
  emit(core, endpoint, {kNoPacket, endpoint.tcp.snd_una - 1, kTcpAck});
}

void tcp_send_reset(Core& core, Endpoint& endpoint) {
  ++core.stats().tcp_resets_out_count;
  emit(core, endpoint, {kNoPacket, endpoint.tcp.snd_nxt, kTcpRst | kTcpAck});
}

bool tcp_retransmit_first(Core& core, Endpoint& endpoint) {
  TcpConnection& tcp = endpoint.tcp;
  if (tcp.first_packet != kNoPacket && tcp.first_packet != tcp.unsent_packet) {
    return retransmit(core, endpoint, tcp.first_packet);
  }
  if (tcp.fin_sent == 0) return false;
  ++tcp.retransmits_total;
  ++core.stats().tcp_retransmits_count;
  return emit(core, endpoint, {kNoPacket, tcp.snd_end, kTcpFin | kTcpAck});
}

bool tcp_force_partial(Core& core, Endpoint& endpoint) {
  TcpConnection& tcp = endpoint.tcp;
  if (tcp.unsent_packet == kNoPacket) return false;
  const Packet& packet = core.pool.packet(tcp.unsent_packet);
  const auto bytes =
      static_cast<uint16_t>(std::min({uint32_t{packet.length_bytes}, tcp.snd_wnd_bytes, uint32_t{tcp.mss_bytes}}));
  if (bytes == 0) return false;
  if (bytes < packet.length_bytes && !split(core, tcp, tcp.unsent_packet, bytes)) return false;
  return send_first_unsent(core, endpoint);
}

void tcp_reply_reset(Core& core, const TcpSegment& segment) {
  const TcpHeader& in = segment.header;
  if ((in.flags & kTcpRst) != 0) return;
  const uint32_t packet = core.pool.allocate();
  if (packet == kNoPacket) {
    ++core.stats().drop_no_buffer;
    return;
  }
  TcpHeader out;
  out.source_port = in.destination_port;
  out.destination_port = in.source_port;
  if ((in.flags & kTcpAck) != 0) {
    out.seq = in.ack;
    out.flags = kTcpRst;
  } else {
    const uint32_t length = segment.payload_bytes + ((in.flags & kTcpSyn) != 0 ? 1 : 0) + (segment.fin ? 1 : 0);
    out.ack = in.seq + length;
    out.flags = kTcpRst | kTcpAck;
  }
  uint8_t* data = core.pool.buffer(packet) + kHeadroomBytes;
  const uint16_t header_bytes = tcp_emit(data, out);
  TxFrame frame;
  frame.pieces[0] = {packet, kHeadroomBytes, header_bytes};
  frame.checksum_l4 = true;
  Ipv4Send send;
  send.source = segment.local.address;
  send.destination = segment.remote.address;
  send.protocol = kIpProtocolTcp;
  send.ttl = core.config->ttl;
  if (core.config->tx_checksum_offload == 0) {
    const uint64_t sum = ipv4_pseudo_sum(send.source, send.destination, kIpProtocolTcp, header_bytes);
    const uint16_t checksum = checksum_finish(checksum_add(sum, data, header_bytes));
    std::memcpy(data + 16, &checksum, 2);
  }
  (void)ipv4_send(core, send, frame);
  core.pool.release(packet);
  ++core.stats().tcp_resets_out_count;
  ++core.stats().tcp_segments_out_count;
}

}  // namespace postern::stack
