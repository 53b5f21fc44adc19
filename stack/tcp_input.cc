// TCP input: RFC 9293 3.10.7 in its order: find the connection, timestamps (RFC 7323), sequence check, RST and SYN
// (RFC 5961), acknowledgement, data, FIN. Packet walk: ipv4_input -> tcp_input -> the socket's receive queue.
#include <algorithm>
#include <cerrno>

#include "stack/checksum.h"
#include "stack/core.h"
#include "stack/endpoint_table.h"
#include "stack/tcp_internal.h"

namespace postern::stack {
namespace {

constexpr uint64_t kChallengeIntervalNs = 50'000'000;                 // assumed; limits acknowledgement wars
constexpr uint64_t kTimestampIdleNs = 24ull * 86400 * 1'000'000'000;  // RFC 7323 5.5
constexpr uint8_t kQuickAcksAtStart = 8;                              // assumed; Linux: 16

bool checksum_ok(const Ipv4Packet& packet) {
  if (packet.checksum_l4 != ChecksumResult::kNone) return packet.checksum_l4 == ChecksumResult::kGood;
  const uint64_t sum =
      ipv4_pseudo_sum(packet.header.source, packet.header.destination, kIpProtocolTcp, packet.payload_bytes);
  return checksum_fold(checksum_add(sum, packet.payload, packet.payload_bytes)) == 0xffff;
}

// An acknowledgement for something unacceptable, not too often.
void send_challenge_ack(Core& core, Endpoint& endpoint) {
  TcpConnection& tcp = endpoint.tcp;
  if (tcp.last_challenge_ns != 0 && core.now_ns - tcp.last_challenge_ns < kChallengeIntervalNs) return;
  tcp.last_challenge_ns = core.now_ns;
  ++core.stats().tcp_challenge_acks_count;
  tcp_send_ack(core, endpoint);
}

void set_mss(Core& core, Endpoint& endpoint) {
  TcpConnection& tcp = endpoint.tcp;
  uint16_t mss = std::min(tcp.peer_mss_bytes, tcp_own_mss(core));
  if (endpoint.user_mss_bytes != 0) mss = std::min(mss, endpoint.user_mss_bytes);
  mss = std::max<uint16_t>(mss, 64);  // a peer cannot make us send one byte per packet
  if (tcp.timestamps_on != 0) mss = static_cast<uint16_t>(mss - kTcpTimestampOptionBytes);
  tcp.mss_bytes = mss;
}

void become_established(Core& core, Endpoint& endpoint) {
  TcpConnection& tcp = endpoint.tcp;
  tcp.state = TcpState::kEstablished;
  set_mss(core, endpoint);
  if (tcp.retries == 0) tcp_rtt_sample(*core.config, tcp.rtt, core.now_ns - tcp.last_send_ns);
  // RFC 6298 5.7: after a lost SYN the estimate starts anew, at 1 s here.
  if (tcp.rtt.srtt_ns == 0) tcp.rtt.rto_ns = core.config->rto_initial_ns;
  tcp_congestion_start(core, tcp);
  if (tcp.retries > 1) tcp.cwnd_bytes = tcp.mss_bytes;  // RFC 5681 3.1
  tcp.retries = 0;
  tcp.last_send_ns = 0;
  tcp.timers.retransmit_ns = kNever;
  tcp.quick_acks = kQuickAcksAtStart;
  arp_confirm(core, endpoint.remote.address);
  tcp_start_keepalive(core, endpoint);
  core.notify(endpoint);
}

void record_timestamp(Core& core, TcpConnection& tcp, const TcpSegment& segment) {
  const TcpOptions& options = segment.header.options;
  if (tcp.timestamps_on == 0 || !options.has_timestamp) return;
  // RFC 7323 4.3: only from a segment that begins at or before the last acknowledgement.
  if (seq_less_equal(segment.header.seq, tcp.last_ack_sent) &&
      static_cast<int32_t>(options.timestamp - tcp.ts_recent) >= 0) {
    tcp.ts_recent = options.timestamp;
    tcp.ts_recent_ns = core.now_ns;
  }
}

// --- SYN_SENT (RFC 9293 3.10.7.3) ---

void syn_sent_input(Core& core, Endpoint& endpoint, TcpSegment& segment) {
  TcpConnection& tcp = endpoint.tcp;
  const TcpHeader& header = segment.header;
  const bool has_ack = (header.flags & kTcpAck) != 0;
  if (has_ack && header.ack != tcp.snd_nxt) {
    tcp_reply_reset(core, segment);
    return;
  }
  if ((header.flags & kTcpRst) != 0) {
    if (has_ack) tcp_drop(core, endpoint, ECONNREFUSED);
    return;
  }
  if ((header.flags & kTcpSyn) == 0) return;
  tcp_take_peer_syn(core, tcp, segment);
  tcp.snd_wl2 = segment.header.ack;
  if (has_ack) {
    tcp.snd_una = header.ack;
    become_established(core, endpoint);
    tcp.ack = AckState::kNow;
    tcp_output_later(core, endpoint);
  } else {  // simultaneous open
    tcp.state = TcpState::kSynReceived;
    tcp_send_syn(core, endpoint);
  }
}

// --- checks before the acknowledgement ---

bool timestamps_acceptable(Core& core, Endpoint& endpoint, const TcpSegment& segment) {
  const TcpConnection& tcp = endpoint.tcp;
  if (tcp.timestamps_on == 0 || (segment.header.flags & kTcpRst) != 0) return true;
  const TcpOptions& options = segment.header.options;
  if (!options.has_timestamp) {
    ++core.stats().drop_tcp_paws;  // RFC 7323 3.2
    return false;
  }
  const bool older = static_cast<int32_t>(options.timestamp - tcp.ts_recent) < 0;
  if (!older || core.now_ns - tcp.ts_recent_ns > kTimestampIdleNs) return true;
  ++core.stats().drop_tcp_paws;
  send_challenge_ack(core, endpoint);
  return false;
}

bool sequence_acceptable(const TcpConnection& tcp, const TcpSegment& segment) {
  const uint32_t length =
      segment.payload_bytes + (segment.fin ? 1 : 0) + ((segment.header.flags & kTcpSyn) != 0 ? 1 : 0);
  return seq_less_equal(tcp.last_ack_sent, segment.header.seq + length) &&
         seq_less_equal(segment.header.seq, tcp.rcv_adv);
}

void reset_input(Core& core, Endpoint& endpoint, const TcpSegment& segment) {
  TcpConnection& tcp = endpoint.tcp;
  if (segment.header.seq != tcp.rcv_nxt) {  // RFC 5961 3.2
    send_challenge_ack(core, endpoint);
    return;
  }
  ++core.stats().tcp_resets_in_count;
  int error = ECONNRESET;
  if (tcp.state == TcpState::kCloseWait) error = EPIPE;  // as Linux
  if (tcp.state == TcpState::kSynReceived && tcp.parent == kNoEndpoint) error = ECONNREFUSED;
  if (tcp.state == TcpState::kTimeWait) error = 0;
  tcp_drop(core, endpoint, error);
}

// --- acknowledgement ---

// Removes what is acknowledged from the send queue. Returns its payload bytes; sets the RTT sample, if there is one.
uint32_t trim_send_queue(Core& core, TcpConnection& tcp, uint32_t ack, uint64_t* rtt_sample_ns) {
  uint32_t payload_bytes = 0;
  while (tcp.first_packet != kNoPacket && tcp.first_packet != tcp.unsent_packet) {
    const uint32_t index = tcp.first_packet;
    Packet& packet = core.pool.packet(index);
    if (seq_less_equal(ack, packet.seq)) break;
    const uint32_t end = packet.seq + packet.length_bytes;
    if (seq_less(ack, end)) {  // part of a segment
      const auto part = static_cast<uint16_t>(ack - packet.seq);
      const uint8_t flags = packet.flags & (kPacketSacked | kPacketLost | kPacketRetransmitted);
      tcp_clear_packet_flags(tcp, packet);
      packet.seq += part;
      packet.offset_bytes = static_cast<uint16_t>(packet.offset_bytes + part);
      packet.length_bytes = static_cast<uint16_t>(packet.length_bytes - part);
      if ((flags & kPacketLost) != 0) {
        packet.flags |= kPacketLost;
        tcp.lost_bytes += packet.length_bytes;
      }
      payload_bytes += part;
      break;
    }
    tcp_clear_packet_flags(tcp, packet);
    if ((packet.flags & kPacketEverRetransmitted) == 0) {
      *rtt_sample_ns = core.now_ns - packet.sent_ns;  // Karn: never from a retransmitted segment
    }
    payload_bytes += packet.length_bytes;
    tcp.first_packet = packet.next.load(std::memory_order_relaxed);
    if (tcp.first_packet == kNoPacket) tcp.last_packet = kNoPacket;
    core.pool.release(index);
  }
  return payload_bytes;
}

void update_window(TcpConnection& tcp, const TcpSegment& segment) {
  const TcpHeader& header = segment.header;
  if (!seq_less(tcp.snd_wl1, header.seq) && !(tcp.snd_wl1 == header.seq && seq_less_equal(tcp.snd_wl2, header.ack))) {
    return;
  }
  tcp.snd_wnd_bytes = uint32_t{header.window} << tcp.snd_wscale;
  tcp.snd_wnd_max_bytes = std::max(tcp.snd_wnd_max_bytes, tcp.snd_wnd_bytes);
  tcp.snd_wl1 = header.seq;
  tcp.snd_wl2 = header.ack;
  if (tcp.snd_wnd_bytes > 0 && tcp.timers.persist_ns != kNever) {
    tcp.timers.persist_ns = kNever;  // tcp_output starts it again if it is still needed
    tcp.probes = 0;
  }
}

void new_data_acknowledged(Core& core, Endpoint& endpoint, const TcpSegment& segment) {
  TcpConnection& tcp = endpoint.tcp;
  const uint32_t ack = segment.header.ack;
  const bool was_writable = tcp_is_writable(endpoint);
  uint64_t rtt_sample_ns = 0;
  const uint32_t payload_bytes = trim_send_queue(core, tcp, ack, &rtt_sample_ns);
  tcp.snd_una = ack;
  tcp.queued_bytes -= payload_bytes;
  tcp.bytes_acked += payload_bytes;
  if (rtt_sample_ns != 0) {
    tcp_rtt_sample(*core.config, tcp.rtt, rtt_sample_ns);
  } else if (tcp.timestamps_on != 0 && segment.header.options.timestamp_echo != 0) {
    const uint32_t ticks = tcp_timestamp(core, tcp) - segment.header.options.timestamp_echo;
    if (static_cast<int32_t>(ticks) >= 0) tcp_rtt_sample(*core.config, tcp.rtt, uint64_t{ticks} * 1'000'000);
  }
  tcp.retries = 0;
  tcp.probes = 0;
  tcp.soft_error = 0;
  tcp_congestion_ack(core, endpoint, {payload_bytes, false});
  if (tcp.snd_una == tcp.snd_nxt) {
    tcp.timers.retransmit_ns = kNever;
  } else {
    tcp_start_retransmit_timer(core, endpoint);  // RFC 6298 5.3
  }
  if (!was_writable && tcp_is_writable(endpoint)) core.notify(endpoint);
  // With nothing queued it may take from what is kept for such senders.
  if (tcp.queued_bytes == 0 && endpoint.wants_buffers.load(std::memory_order_relaxed) != 0) {
    endpoint.wants_buffers.store(0, std::memory_order_release);
    core.notify(endpoint);
  }
}

// Our FIN is acknowledged. False if the endpoint may be gone.
bool fin_acknowledged(Core& core, Endpoint& endpoint) {
  TcpConnection& tcp = endpoint.tcp;
  switch (static_cast<TcpState>(tcp.state)) {
    case TcpState::kFinWait1:
      tcp.state = TcpState::kFinWait2;
      if (endpoint.descriptor_open.load(std::memory_order_relaxed) == 0) {
        tcp.timers.close_ns = core.now_ns + core.config->fin_wait2_ns;
        tcp_timers_update(core, endpoint);
      }
      core.notify(endpoint);
      return true;
    case TcpState::kClosing:
      tcp_enter_time_wait(core, endpoint);
      return true;
    case TcpState::kLastAck:
      tcp_drop(core, endpoint, 0);
      return false;
    default:
      return true;
  }
}

// False if the segment is not to be processed further.
bool acknowledgement_input(Core& core, Endpoint& endpoint, const TcpSegment& segment) {
  TcpConnection& tcp = endpoint.tcp;
  const uint32_t ack = segment.header.ack;
  if (seq_less(tcp.snd_nxt, ack) || seq_less(ack, tcp.snd_una - tcp.snd_wnd_max_bytes)) {  // RFC 5961 5.2
    ++core.stats().drop_tcp_unacceptable;
    send_challenge_ack(core, endpoint);
    return false;
  }
  if (seq_less(ack, tcp.snd_una)) return true;  // old: its data may still be new
  const uint32_t old_window = tcp.snd_wnd_bytes;
  update_window(tcp, segment);
  if (old_window == 0 && tcp.snd_wnd_bytes != 0 && tcp.retries != 0 && tcp.snd_una != tcp.snd_nxt) {
    tcp.retries = 0;  // those were probes of a window taken back
    tcp_start_retransmit_timer(core, endpoint);
  }
  const bool sack_news =
      tcp.sack_on != 0 && segment.header.options.sack_count != 0 && tcp_apply_sack(core, tcp, segment.header);
  if (seq_less(tcp.snd_una, ack)) {
    new_data_acknowledged(core, endpoint, segment);
    if (tcp.fin_sent != 0 && ack == tcp.snd_end + 1) return fin_acknowledged(core, endpoint);
    return true;
  }
  // RFC 5681 section 2.
  const bool duplicate =
      segment.payload_bytes == 0 && !segment.fin && tcp.snd_una != tcp.snd_nxt && old_window == tcp.snd_wnd_bytes;
  if (duplicate || sack_news) tcp_congestion_ack(core, endpoint, {0, duplicate});
  return true;
}

// SYN_RECEIVED: the handshake's last segment. False if the segment is not to be processed further.
bool handshake_acknowledged(Core& core, Endpoint& endpoint, TcpSegment& segment) {
  TcpConnection& tcp = endpoint.tcp;
  if (segment.header.ack != tcp.snd_nxt) {
    tcp_reply_reset(core, segment);
    return false;
  }
  if (!tcp_listener_child_ready(core, endpoint)) return false;  // no room: as if it had not come
  tcp.snd_una = segment.header.ack;
  become_established(core, endpoint);
  return true;
}

// --- data and FIN ---

// Cuts off what is old or beyond the window.
void trim_to_window(TcpConnection& tcp, TcpSegment& segment) {
  segment.seq = segment.header.seq;
  if (seq_less(segment.seq, tcp.rcv_nxt)) {
    const uint32_t old_bytes = std::min<uint32_t>(tcp.rcv_nxt - segment.seq, segment.payload_bytes);
    segment.seq += old_bytes;
    segment.payload_offset_bytes = static_cast<uint16_t>(segment.payload_offset_bytes + old_bytes);
    segment.payload_bytes = static_cast<uint16_t>(segment.payload_bytes - old_bytes);
  }
  const uint32_t end = segment.seq + segment.payload_bytes;
  if (seq_less(tcp.rcv_adv, end)) {
    const uint32_t beyond = std::min<uint32_t>(end - tcp.rcv_adv, segment.payload_bytes);
    segment.payload_bytes = static_cast<uint16_t>(segment.payload_bytes - beyond);
    segment.fin = false;
  }
}

void process_fin(Core& core, Endpoint& endpoint) {
  TcpConnection& tcp = endpoint.tcp;
  tcp.fin_seen = 0;
  tcp.rcv_nxt += 1;
  tcp.ack = AckState::kNow;
  endpoint.shutdown_flags.fetch_or(kShutRead, std::memory_order_release);
  core.notify(endpoint);
  switch (static_cast<TcpState>(tcp.state)) {
    case TcpState::kEstablished:
      tcp.state = TcpState::kCloseWait;
      break;
    case TcpState::kFinWait1:
      tcp.state = TcpState::kClosing;  // our FIN is not acknowledged, or we would be in FIN_WAIT_2
      break;
    case TcpState::kFinWait2:
      tcp_enter_time_wait(core, endpoint);
      break;
    default:
      break;
  }
  tcp_output_later(core, endpoint);
}

void payload_input(Core& core, Endpoint& endpoint, TcpSegment& segment) {
  TcpConnection& tcp = endpoint.tcp;
  const TcpState state = tcp.state;
  const bool receiving =
      state == TcpState::kEstablished || state == TcpState::kFinWait1 || state == TcpState::kFinWait2;
  const uint32_t offered_bytes = segment.payload_bytes + (segment.fin ? 1u : 0u);
  if (offered_bytes == 0) return;
  if (!receiving) {  // after the peer's FIN: a retransmission, whose acknowledgement was lost
    if (state == TcpState::kTimeWait) tcp_enter_time_wait(core, endpoint);
    tcp.ack = AckState::kNow;
    tcp_output_later(core, endpoint);
    return;
  }
  const bool had_fin = segment.fin;
  const uint32_t fin_seq = segment.header.seq + segment.payload_bytes;
  const uint16_t before_trim = segment.payload_bytes;
  trim_to_window(tcp, segment);
  const bool orphan = endpoint.descriptor_open.load(std::memory_order_relaxed) == 0 && tcp.in_accept_queue == 0;
  if (orphan && segment.payload_bytes > 0) {  // nobody will read it (RFC 9293 3.6.1)
    tcp_abort(core, endpoint, ECONNRESET);
    return;
  }
  if (before_trim > 0 && segment.payload_bytes == 0) {  // all old, or no window: say where we are
    ++(seq_less_equal(fin_seq, tcp.rcv_nxt) ? core.stats().tcp_duplicate_count : core.stats().drop_tcp_window);
    tcp.ack = AckState::kNow;
    tcp_output_later(core, endpoint);
  }
  tcp_receive_payload(core, endpoint, segment);
  if (had_fin && segment.fin) {
    tcp.fin_seen = 1;
    tcp.fin_seq = fin_seq;
  }
  if (tcp.fin_seen != 0 && tcp.fin_seq == tcp.rcv_nxt) process_fin(core, endpoint);
}

void connection_input(Core& core, Endpoint& endpoint, TcpSegment& segment) {
  TcpConnection& tcp = endpoint.tcp;
  ++tcp.segments_in;
  if (tcp.state == TcpState::kSynSent) {
    syn_sent_input(core, endpoint, segment);
    return;
  }
  if (!timestamps_acceptable(core, endpoint, segment)) return;
  const uint8_t flags = segment.header.flags;
  const bool repeated_syn =
      tcp.state == TcpState::kSynReceived && (flags & (kTcpSyn | kTcpAck)) == kTcpSyn && segment.header.seq == tcp.irs;
  if (repeated_syn) {  // our SYN-ACK was lost
    tcp_send_syn(core, endpoint);
    return;
  }
  if (!sequence_acceptable(tcp, segment)) {
    ++core.stats().drop_tcp_unacceptable;
    if ((flags & kTcpRst) != 0) return;
    if (segment.payload_bytes != 0 || segment.fin) {
      tcp_send_ack(core, endpoint);
    } else {
      send_challenge_ack(core, endpoint);
    }
    return;
  }
  tcp.last_heard_ns = core.now_ns;
  tcp.keepalive_probes = 0;
  record_timestamp(core, tcp, segment);
  if ((flags & kTcpRst) != 0) {
    reset_input(core, endpoint, segment);
    return;
  }
  // The simultaneous open's SYN-ACK is the one SYN that is welcome in SYN_RECEIVED.
  const bool crossing_syn = (flags & kTcpSyn) != 0 && tcp.state == TcpState::kSynReceived && (flags & kTcpAck) != 0 &&
                            segment.header.seq == tcp.irs;
  if ((flags & kTcpSyn) != 0 && !crossing_syn) {  // RFC 5961 4.2
    send_challenge_ack(core, endpoint);
    return;
  }
  if ((flags & kTcpAck) == 0) return;
  if (tcp.state == TcpState::kSynReceived && !handshake_acknowledged(core, endpoint, segment)) return;
  if (!acknowledgement_input(core, endpoint, segment)) return;
  payload_input(core, endpoint, segment);
  // Acknowledgements open windows: see what may go.
  if (tcp.unsent_packet != kNoPacket || tcp.lost_bytes > tcp.retransmitted_bytes ||
      (tcp.fin_queued != 0 && tcp.fin_sent == 0)) {
    tcp_output_later(core, endpoint);
  }
}

// RFC 9293 3.10.7.4, TIME_WAIT: a new SYN with a higher sequence number or timestamp may reuse the connection.
bool reusable_by(const TcpConnection& tcp, const TcpSegment& segment) {
  if (tcp.state != TcpState::kTimeWait || (segment.header.flags & (kTcpSyn | kTcpAck | kTcpRst)) != kTcpSyn)
    return false;
  const bool newer_timestamp = tcp.timestamps_on != 0 && segment.header.options.has_timestamp &&
                               static_cast<int32_t>(segment.header.options.timestamp - tcp.ts_recent) > 0;
  return newer_timestamp || seq_less(tcp.rcv_nxt, segment.header.seq);
}

void dispatch(Core& core, TcpSegment& segment) {
  Endpoint* endpoint = connection_find(core, EndpointKind::kTcp, segment.local, segment.remote);
  if (endpoint != nullptr && reusable_by(endpoint->tcp, segment)) {
    tcp_drop(core, *endpoint, 0);
    endpoint = nullptr;
  }
  if (endpoint != nullptr) {
    connection_input(core, *endpoint, segment);
    return;
  }
  endpoint = bound_find(core, EndpointKind::kTcp, segment.local);
  if (endpoint != nullptr && endpoint->tcp.state == TcpState::kListen) {
    tcp_listener_input(core, *endpoint, segment);
    return;
  }
  ++core.stats().drop_tcp_no_socket;
  tcp_reply_reset(core, segment);
}

}  // namespace

void tcp_take_peer_syn(Core& core, TcpConnection& tcp, const TcpSegment& segment) {
  const TcpOptions& options = segment.header.options;
  tcp.irs = segment.header.seq;
  tcp.rcv_nxt = segment.header.seq + 1;
  tcp.rcv_adv = tcp.rcv_nxt;
  tcp.last_ack_sent = tcp.rcv_nxt;
  tcp.peer_mss_bytes = options.mss_bytes != 0 ? options.mss_bytes : 536;
  tcp.timestamps_on = options.has_timestamp && core.config->tcp_timestamps != 0 ? 1 : 0;
  tcp.sack_on = options.sack_permitted && core.config->tcp_sack != 0 ? 1 : 0;
  if (options.has_window_scale && core.config->tcp_window_scaling != 0) {
    tcp.snd_wscale = options.window_scale;
  } else {
    tcp.snd_wscale = tcp.rcv_wscale = 0;
  }
  if (tcp.timestamps_on != 0) {
    tcp.ts_recent = options.timestamp;
    tcp.ts_recent_ns = core.now_ns;
  }
  tcp.snd_wnd_bytes = segment.header.window;  // never scaled in a SYN
  tcp.snd_wnd_max_bytes = std::max(tcp.snd_wnd_max_bytes, tcp.snd_wnd_bytes);
  tcp.snd_wl1 = segment.header.seq;
}

void tcp_input(Core& core, const Ipv4Packet& packet) {
  StackStats& stats = core.stats();
  ++stats.tcp_segments_in_count;
  TcpSegment segment;
  segment.packet = packet.packet;
  if (packet.to_broadcast || !tcp_parse(packet.payload, packet.payload_bytes, &segment.header)) {
    ++stats.drop_tcp_malformed;
  } else if (!checksum_ok(packet)) {
    ++stats.drop_tcp_checksum;
  } else {
    segment.local = {packet.header.destination, segment.header.destination_port};
    segment.remote = {packet.header.source, segment.header.source_port};
    segment.payload_bytes = static_cast<uint16_t>(packet.payload_bytes - segment.header.header_bytes);
    segment.payload_offset_bytes = static_cast<uint16_t>(packet.payload_offset_bytes + segment.header.header_bytes);
    segment.fin = (segment.header.flags & (kTcpFin | kTcpSyn)) == kTcpFin;
    if ((segment.header.flags & kTcpSyn) != 0) segment.payload_bytes = 0;  // data in a SYN comes again (no fast open)
    dispatch(core, segment);
  }
  if (segment.packet != kNoPacket) core.pool.release(segment.packet);
}

}  // namespace postern::stack
