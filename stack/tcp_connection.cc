// Opening, sending into, and closing TCP connections (RFC 9293 3.5, 3.6, 3.10.1 to 3.10.6).
#include "stack/tcp_connection.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "stack/core.h"
#include "stack/endpoint_table.h"
#include "stack/iov_cursor.h"
#include "stack/tcp_internal.h"

namespace postern::stack {
namespace {

constexpr unsigned kSmallQueueSegments = 2;  // assumed: so much each connection may queue when others use up the pool
constexpr uint64_t kNsPerTimestampTick = 1'000'000;  // RFC 7323 4.1: between 1 ms and 1 s

uint64_t address_word(const SocketAddress& address) {
  uint64_t words[3] = {};
  std::memcpy(words, &address, sizeof address);
  return words[0] ^ words[1] * 0x9e3779b97f4a7c15u ^ words[2];
}

// Appends as much as fits to the last packet if that has not been sent.
size_t append_to_last(Core& core, TcpConnection& tcp, IovCursor& cursor, size_t bytes) {
  if (tcp.last_packet == kNoPacket || tcp.unsent_packet == kNoPacket) return 0;
  Packet& last = core.pool.packet(tcp.last_packet);
  if (last.refs != 1 || last.length_bytes >= tcp.mss_bytes) return 0;
  const size_t room = std::min<size_t>(tcp.mss_bytes, kPacketBufferBytes - last.offset_bytes) - last.length_bytes;
  const size_t copied = cursor.copy_out_of(core.pool.buffer(tcp.last_packet) + last.offset_bytes + last.length_bytes,
                                           std::min(room, bytes));
  last.length_bytes = static_cast<uint16_t>(last.length_bytes + copied);
  return copied;
}

size_t append_new_packet(Core& core, TcpConnection& tcp, IovCursor& cursor, size_t bytes) {
  const bool small = tcp.queued_bytes < uint32_t{kSmallQueueSegments} * tcp.mss_bytes;
  const uint32_t index = small ? core.pool.allocate_for_small_send() : core.pool.allocate_for_send();
  if (index == kNoPacket) return 0;
  Packet& packet = core.pool.packet(index);
  packet.seq = tcp.snd_end;
  packet.offset_bytes = kHeadroomBytes;
  packet.length_bytes = static_cast<uint16_t>(
      cursor.copy_out_of(core.pool.buffer(index) + kHeadroomBytes, std::min<size_t>(tcp.mss_bytes, bytes)));
  if (tcp.last_packet == kNoPacket) {
    tcp.first_packet = index;
  } else {
    core.pool.packet(tcp.last_packet).next.store(index, std::memory_order_relaxed);
  }
  tcp.last_packet = index;
  if (tcp.unsent_packet == kNoPacket) tcp.unsent_packet = index;
  return packet.length_bytes;
}

void release_list(Core& core, uint32_t index) {
  while (index != kNoPacket) {
    const uint32_t next = core.pool.packet(index).next.load(std::memory_order_relaxed);
    core.pool.release(index);
    index = next;
  }
}

void output_list_unlink(Core& core, Endpoint& endpoint) {
  if (endpoint.tcp.on_output_list == 0) return;
  uint32_t* link = &core.state->output_waiting_head;
  const uint32_t index = core.index_of(endpoint);
  while (*link != kNoEndpoint && *link != index) link = &core.endpoints[*link].tcp.output_next;
  if (*link == index) *link = endpoint.tcp.output_next;
  endpoint.tcp.on_output_list = 0;
}

void time_wait_link(Core& core, Endpoint& endpoint) {
  const uint32_t index = core.index_of(endpoint);
  endpoint.tcp.time_wait_next = kNoEndpoint;
  endpoint.tcp.time_wait_prev = core.state->time_wait_tail;
  if (core.state->time_wait_tail == kNoEndpoint) {
    core.state->time_wait_head = index;
  } else {
    core.endpoints[core.state->time_wait_tail].tcp.time_wait_next = index;
  }
  core.state->time_wait_tail = index;
}

}  // namespace

const char* tcp_state_name(TcpState state) {
  static constexpr const char* kNames[] = {"CLOSED",      "LISTEN",     "SYN_SENT",   "SYN_RECEIVED",
                                           "ESTABLISHED", "FIN_WAIT_1", "FIN_WAIT_2", "CLOSE_WAIT",
                                           "CLOSING",     "LAST_ACK",   "TIME_WAIT"};
  const auto index = static_cast<size_t>(state);
  return index < std::size(kNames) ? kNames[index] : "?";
}

uint32_t tcp_timestamp(const Core& core, const TcpConnection& tcp) {
  return static_cast<uint32_t>(core.now_ns / kNsPerTimestampTick) + tcp.ts_offset;
}

void tcp_initialize(Core& core, Endpoint& endpoint) {
  TcpConnection& tcp = endpoint.tcp;
  // RFC 6528: a 4 µs clock plus a keyed hash of the addresses.
  const uint64_t hash = siphash(core.state->key, {address_word(endpoint.local), address_word(endpoint.remote)});
  tcp.iss = static_cast<uint32_t>(core.now_ns / 4000) + static_cast<uint32_t>(hash);
  tcp.ts_offset = static_cast<uint32_t>(hash >> 32);
  tcp.snd_una = tcp.iss;
  tcp.snd_nxt = tcp.iss + 1;
  tcp.snd_end = tcp.iss + 1;
  tcp.rtt = TcpRtt{};
  tcp.rtt.rto_ns = core.config->rto_initial_ns;
  tcp.retries = 0;
  tcp.mss_bytes = 536;
  tcp.rcv_wscale = 0;
  if (core.config->tcp_window_scaling != 0) {
    uint8_t scale = 0;
    while (scale < 14 && (uint64_t{65535} << scale) < core.config->tcp_buffer_bytes_max) ++scale;
    // 0 would read as "no scaling" in our own books.
    tcp.rcv_wscale = std::max<uint8_t>(scale, 1);
  }
  tcp.last_heard_ns = core.now_ns;
  tcp.last_send_ns = core.now_ns;
}

void tcp_connect(Core& core, Endpoint& endpoint) {
  TcpConnection& tcp = endpoint.tcp;
  const uint8_t bound_explicitly = tcp.bound_explicitly;
  tcp = TcpConnection{};
  tcp.bound_explicitly = bound_explicitly;
  tcp_initialize(core, endpoint);
  endpoint.shutdown_flags.store(0, std::memory_order_relaxed);
  endpoint.error.store(0, std::memory_order_relaxed);
  tcp.state = TcpState::kSynSent;
  connection_insert(core, endpoint);
  ++core.stats().tcp_active_opens_count;
  tcp_start_retransmit_timer(core, endpoint);
  tcp_send_syn(core, endpoint);
}

int64_t tcp_send(Core& core, Endpoint& endpoint, const iovec* iov, size_t iov_count, bool more) {
  TcpConnection& tcp = endpoint.tcp;
  const int error = endpoint.error.exchange(0, std::memory_order_acq_rel);
  if (error != 0) return -error;
  if ((endpoint.shutdown_flags.load(std::memory_order_relaxed) & kShutWrite) != 0) return -EPIPE;
  const TcpState state = tcp.state;
  if (state == TcpState::kSynSent || state == TcpState::kSynReceived) return -EAGAIN;
  if (state != TcpState::kEstablished && state != TcpState::kCloseWait) return -ENOTCONN;
  const size_t total = IovCursor::total_bytes(iov, iov_count);
  IovCursor cursor(iov, iov_count);
  const uint32_t limit = endpoint.send_buffer_bytes.load(std::memory_order_relaxed);
  size_t taken = 0;
  while (taken < total && tcp.queued_bytes < limit) {
    const size_t want = std::min<size_t>(total - taken, limit - tcp.queued_bytes);
    size_t copied = append_to_last(core, tcp, cursor, want);
    if (copied == 0) copied = append_new_packet(core, tcp, cursor, want);
    if (copied == 0) {
      wait_for_buffers(core, endpoint);
      break;
    }
    taken += copied;
    tcp.snd_end += static_cast<uint32_t>(copied);
    tcp.queued_bytes += static_cast<uint32_t>(copied);
  }
  tcp.more_coming = more ? 1 : 0;
  tcp_output(core, endpoint);
  return taken == 0 && total != 0 ? -EAGAIN : static_cast<int64_t>(taken);
}

bool tcp_is_writable(const Endpoint& endpoint) {
  // Linux: a third of the buffer free, so that a writer does not wake for every acknowledgement.
  const uint64_t queued = endpoint.tcp.queued_bytes;
  return queued * 3 <= uint64_t{endpoint.send_buffer_bytes.load(std::memory_order_relaxed)} * 2;
}

void tcp_shutdown_write(Core& core, Endpoint& endpoint) {
  TcpConnection& tcp = endpoint.tcp;
  endpoint.shutdown_flags.fetch_or(kShutWrite, std::memory_order_release);
  core.notify(endpoint);
  if (tcp.fin_queued != 0) return;
  switch (static_cast<TcpState>(tcp.state)) {
    case TcpState::kEstablished:
    case TcpState::kSynReceived:
      tcp.state = TcpState::kFinWait1;
      break;
    case TcpState::kCloseWait:
      tcp.state = TcpState::kLastAck;
      break;
    default:
      return;
  }
  tcp.fin_queued = 1;
  tcp_output(core, endpoint);
}

void tcp_release_queues(Core& core, Endpoint& endpoint) {
  TcpConnection& tcp = endpoint.tcp;
  output_list_unlink(core, endpoint);
  release_list(core, tcp.first_packet);
  tcp.first_packet = tcp.unsent_packet = tcp.last_packet = kNoPacket;
  tcp.queued_bytes = 0;
  tcp.sacked_bytes = tcp.lost_bytes = tcp.retransmitted_bytes = tcp.sacked_packets = 0;
  tcp_release_out_of_order(core, tcp);
}

void tcp_drop(Core& core, Endpoint& endpoint, int error) {
  TcpConnection& tcp = endpoint.tcp;
  if (error != 0) endpoint.error.store(error, std::memory_order_release);
  tcp_timers_stop(core, endpoint);
  tcp_time_wait_unlink(core, endpoint);
  tcp_release_queues(core, endpoint);
  connection_remove(core, endpoint);
  tcp.state = TcpState::kClosed;
  if (tcp.bound_explicitly == 0) port_reference_drop(core, endpoint);
  endpoint.shutdown_flags.fetch_or(kShutRead | kShutWrite, std::memory_order_release);
  core.notify(endpoint);
  if (endpoint.descriptor_open.load(std::memory_order_relaxed) == 0 && tcp.in_accept_queue == 0) {
    endpoint_free(core, endpoint);
  }
}

void tcp_abort(Core& core, Endpoint& endpoint, int error) {
  switch (static_cast<TcpState>(endpoint.tcp.state)) {
    case TcpState::kClosed:
    case TcpState::kListen:
    case TcpState::kSynSent:
    case TcpState::kTimeWait:
      break;
    default:
      tcp_send_reset(core, endpoint);
  }
  tcp_drop(core, endpoint, error);
}

void tcp_close(Core& core, Endpoint& endpoint) {
  TcpConnection& tcp = endpoint.tcp;
  endpoint.descriptor_open.store(kDescriptorNone, std::memory_order_relaxed);
  const bool unread = endpoint.receive_queue.bytes() != 0;
  const bool hard = endpoint.linger_on != 0 && endpoint.linger_seconds == 0;
  switch (static_cast<TcpState>(tcp.state)) {
    case TcpState::kListen:
      tcp_listener_close(core, endpoint);
      return;
    case TcpState::kClosed:
    case TcpState::kSynSent:
      endpoint_free(core, endpoint);
      return;
    case TcpState::kTimeWait:
      time_wait_link(core, endpoint);
      return;
    default:
      break;
  }
  if (unread || hard) {  // RFC 2525 2.17
    tcp_abort(core, endpoint, ECONNRESET);
    return;
  }
  endpoint.shutdown_flags.fetch_or(kShutRead | kShutWrite, std::memory_order_release);
  if (tcp.state == TcpState::kFinWait2) {
    tcp.timers.close_ns = core.now_ns + core.config->fin_wait2_ns;
    tcp_timers_update(core, endpoint);
    return;
  }
  tcp_shutdown_write(core, endpoint);
}

void tcp_enter_time_wait(Core& core, Endpoint& endpoint) {
  TcpConnection& tcp = endpoint.tcp;
  if (tcp.state != TcpState::kTimeWait && endpoint.descriptor_open.load(std::memory_order_relaxed) == 0) {
    time_wait_link(core, endpoint);
  }
  tcp.state = TcpState::kTimeWait;
  TcpTimers timers;
  timers.delayed_ack_ns = tcp.timers.delayed_ack_ns;
  timers.close_ns = core.now_ns + core.config->time_wait_ns;
  tcp.timers = timers;
  tcp_timers_update(core, endpoint);
}

void tcp_time_wait_unlink(Core& core, Endpoint& endpoint) {
  TcpConnection& tcp = endpoint.tcp;
  const uint32_t index = core.index_of(endpoint);
  const bool linked = tcp.time_wait_prev != kNoEndpoint || core.state->time_wait_head == index;
  if (!linked) return;
  if (tcp.time_wait_prev == kNoEndpoint) {
    core.state->time_wait_head = tcp.time_wait_next;
  } else {
    core.endpoints[tcp.time_wait_prev].tcp.time_wait_next = tcp.time_wait_next;
  }
  if (tcp.time_wait_next == kNoEndpoint) {
    core.state->time_wait_tail = tcp.time_wait_prev;
  } else {
    core.endpoints[tcp.time_wait_next].tcp.time_wait_prev = tcp.time_wait_prev;
  }
  tcp.time_wait_prev = tcp.time_wait_next = kNoEndpoint;
}

void tcp_icmp_error(Core& core, const SocketAddress& local, const SocketAddress& remote, uint32_t seq, int error) {
  Endpoint* endpoint = connection_find(core, EndpointKind::kTcp, local, remote);
  if (endpoint == nullptr) return;
  TcpConnection& tcp = endpoint->tcp;
  // RFC 5927 4: only if it is about something in flight.
  if (seq_less(seq, tcp.snd_una) || !seq_less(seq, tcp.snd_nxt)) return;
  if (tcp.state == TcpState::kSynSent) {
    tcp_drop(core, *endpoint, error);  // Linux: hard in this state
  } else {
    tcp.soft_error = error;  // RFC 1122 4.2.3.9
  }
}

}  // namespace postern::stack
