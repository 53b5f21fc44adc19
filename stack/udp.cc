// UDP in and out.
#include "stack/udp.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "stack/checksum.h"
#include "stack/core.h"
#include "stack/endpoint_table.h"
#include "stack/icmp.h"
#include "stack/iov_cursor.h"
#include "stack/ipv4.h"
#include "stack/wire_order.h"

namespace postern::stack {
namespace {

bool checksum_ok(Core& core, const Ipv4Packet& packet, uint16_t udp_bytes) {
  uint16_t field;
  std::memcpy(&field, packet.payload + 6, 2);
  if (field == 0 || packet.checksum_l4 == ChecksumResult::kGood) return true;
  if (packet.checksum_l4 == ChecksumResult::kBad) return false;
  uint64_t sum = ipv4_pseudo_sum(packet.header.source, packet.header.destination, kIpProtocolUdp, udp_bytes);
  // All fragments but the last have a length that is a multiple of 8.
  for (uint32_t part = packet.packet; part != kNoPacket; part = core.pool.packet(part).chain) {
    const Packet& meta = core.pool.packet(part);
    sum = checksum_add(sum, core.pool.buffer(part) + meta.offset_bytes, meta.length_bytes);
  }
  return checksum_fold(sum) == 0xffff;
}

// Cuts the chain to the UDP length. False if there are fewer bytes than that.
bool trim_to(Core& core, const Ipv4Packet& packet, uint32_t udp_bytes) {
  uint32_t left = udp_bytes;
  for (uint32_t part = packet.packet; part != kNoPacket; part = core.pool.packet(part).chain) {
    Packet& meta = core.pool.packet(part);
    if (meta.length_bytes >= left) {
      meta.length_bytes = static_cast<uint16_t>(left);
      left = 0;
      core.pool.release_chain(meta.chain);
      meta.chain = kNoPacket;
      return true;
    }
    left -= meta.length_bytes;
  }
  return false;
}

void deliver(Core& core, Endpoint& endpoint, const Ipv4Packet& packet, const SocketAddress& from, uint32_t bytes) {
  const uint32_t charge = bytes + kUdpPacketChargeBytes;
  const bool full =
      endpoint.receive_queue.bytes() + charge > endpoint.receive_buffer_bytes.load(std::memory_order_relaxed);
  if (full || !core.pool.may_receive(endpoint.receive_queue.packets())) {
    ++(full ? core.stats().drop_udp_queue_full : core.stats().drop_no_buffer);
    core.pool.release_chain(packet.packet);
    return;
  }
  Packet& meta = core.pool.packet(packet.packet);
  meta.offset_bytes = static_cast<uint16_t>(meta.offset_bytes + kUdpHeaderBytes);
  meta.length_bytes = static_cast<uint16_t>(meta.length_bytes - kUdpHeaderBytes);
  meta.datagram_bytes = bytes;
  meta.from = from;
  endpoint.receive_queue.push(core.pool, packet.packet, charge);
  ++core.stats().udp_in_count;
  core.notify(endpoint);
}

Ipv4Send ip_parameters(const Core& core, const Endpoint& endpoint, const SocketAddress& to, bool dont_fragment) {
  Ipv4Send send;
  send.source = core.config->address;
  send.destination = to.address;
  send.protocol = kIpProtocolUdp;
  send.ttl = endpoint.ttl != 0 ? endpoint.ttl : (to.address.is_multicast() ? uint8_t{1} : core.config->ttl);
  send.tos = endpoint.tos;
  send.dont_fragment = dont_fragment;
  return send;
}

void emit_udp_header(uint8_t* udp, const Endpoint& endpoint, const SocketAddress& to, uint32_t payload_bytes) {
  store_be16(udp, endpoint.local.port);
  store_be16(udp + 2, to.port);
  store_be16(udp + 4, static_cast<uint16_t>(kUdpHeaderBytes + payload_bytes));
  std::memset(udp + 6, 0, 2);
}

// A datagram longer than the MTU: fragments of one id, each in a packet of its own. The checksum runs over all of them,
// so it is computed here.
int64_t send_fragmented(Core& core, Endpoint& endpoint, IovCursor& cursor, uint32_t payload_bytes,
                        const SocketAddress& to) {
  const uint32_t total_bytes = kUdpHeaderBytes + payload_bytes;
  const uint32_t fragment_bytes = (core.config->mtu_bytes - kIpv4HeaderBytes) & ~7u;
  const Ipv4Send send = ip_parameters(core, endpoint, to, false);
  constexpr uint32_t kFragmentsMax = 160;
  uint32_t packets[kFragmentsMax];
  const uint32_t count = (total_bytes + fragment_bytes - 1) / fragment_bytes;
  if (count > kFragmentsMax) return -EMSGSIZE;
  uint64_t sum = ipv4_pseudo_sum(send.source, send.destination, kIpProtocolUdp, static_cast<uint16_t>(total_bytes));
  for (uint32_t i = 0; i < count; ++i) {
    packets[i] = core.pool.allocate_for_send();
    if (packets[i] == kNoPacket) {
      while (i-- > 0) core.pool.release(packets[i]);
      wait_for_buffers(core, endpoint);
      return -EAGAIN;
    }
    uint8_t* data = core.pool.buffer(packets[i]) + kHeadroomBytes;
    const uint32_t bytes = std::min(fragment_bytes, total_bytes - i * fragment_bytes);
    uint32_t header_bytes = 0;
    if (i == 0) {
      emit_udp_header(data, endpoint, to, payload_bytes);
      header_bytes = kUdpHeaderBytes;
    }
    cursor.copy_out_of(data + header_bytes, bytes - header_bytes);
    sum = checksum_add(sum, data, bytes);
  }
  uint16_t checksum = checksum_finish(sum);
  if (checksum == 0) checksum = 0xffff;
  std::memcpy(core.pool.buffer(packets[0]) + kHeadroomBytes + 6, &checksum, 2);
  const auto id = static_cast<uint16_t>(core.state->next_ip_id++);
  SendResult result = SendResult::kOk;
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t at = i * fragment_bytes;
    const auto bytes = static_cast<uint16_t>(std::min(fragment_bytes, total_bytes - at));
    if (result != SendResult::kUnreachable) {
      result = ipv4_send_fragment(core, send, packets[i], kHeadroomBytes, bytes, id, static_cast<uint16_t>(at),
                                  i + 1 < count);
    }
    core.pool.release(packets[i]);
  }
  // What was dropped here is lost as if on the wire, counted.
  if (result == SendResult::kUnreachable) return -EHOSTUNREACH;
  ++core.stats().udp_out_count;
  return payload_bytes;
}

}  // namespace

void udp_input(Core& core, const Ipv4Packet& packet) {
  const uint16_t udp_bytes = packet.payload_bytes >= kUdpHeaderBytes ? load_be16(packet.payload + 4) : 0;
  if (udp_bytes < kUdpHeaderBytes || !trim_to(core, packet, udp_bytes)) {
    ++core.stats().drop_udp_malformed;
    core.pool.release_chain(packet.packet);
    return;
  }
  if (!checksum_ok(core, packet, udp_bytes)) {
    ++core.stats().drop_udp_checksum;
    core.pool.release_chain(packet.packet);
    return;
  }
  const SocketAddress from{packet.header.source, load_be16(packet.payload)};
  const SocketAddress local{packet.header.destination, load_be16(packet.payload + 2)};
  Endpoint* endpoint = packet.to_broadcast ? nullptr : connection_find(core, EndpointKind::kUdp, local, from);
  if (endpoint == nullptr) endpoint = bound_find(core, EndpointKind::kUdp, local);
  if (endpoint == nullptr) {
    ++core.stats().drop_udp_no_socket;
    icmp_send_port_unreachable(core, packet);
    core.pool.release_chain(packet.packet);
    return;
  }
  deliver(core, *endpoint, packet, from, udp_bytes - kUdpHeaderBytes);
}

int64_t udp_send(Core& core, Endpoint& endpoint, const iovec* iov, size_t iov_count, const SocketAddress& to) {
  const size_t payload_bytes = IovCursor::total_bytes(iov, iov_count);
  if (payload_bytes > kUdpPayloadBytesMax) return -EMSGSIZE;
  if (!ipv4_has_route(core, to.address)) return -ENETUNREACH;
  if (endpoint.broadcast == 0 && ipv4_is_broadcast(core, to.address)) return -EACCES;
  if (!tx_has_room(core)) return -EAGAIN;
  IovCursor cursor(iov, iov_count);
  if (payload_bytes + kUdpHeaderBytes + kIpv4HeaderBytes > core.config->mtu_bytes) {
    return send_fragmented(core, endpoint, cursor, static_cast<uint32_t>(payload_bytes), to);
  }
  const uint32_t packet = core.pool.allocate_for_small_send();
  if (packet == kNoPacket) {
    wait_for_buffers(core, endpoint);
    return -EAGAIN;
  }
  uint8_t* udp = core.pool.buffer(packet) + kHeadroomBytes;
  emit_udp_header(udp, endpoint, to, static_cast<uint32_t>(payload_bytes));
  cursor.copy_out_of(udp + kUdpHeaderBytes, payload_bytes);
  TxFrame frame;
  frame.pieces[0] = {packet, kHeadroomBytes, static_cast<uint16_t>(kUdpHeaderBytes + payload_bytes)};
  frame.checksum_l4 = true;
  const Ipv4Send send = ip_parameters(core, endpoint, to, true);
  if (core.config->tx_checksum_offload == 0) {
    const uint16_t udp_bytes = frame.pieces[0].length_bytes;
    const uint64_t sum = ipv4_pseudo_sum(send.source, send.destination, kIpProtocolUdp, udp_bytes);
    uint16_t checksum = checksum_finish(checksum_add(sum, udp, udp_bytes));
    if (checksum == 0) checksum = 0xffff;
    std::memcpy(udp + 6, &checksum, 2);
  }
  const SendResult result = ipv4_send(core, send, frame);
  core.pool.release(packet);
  // What was dropped here is lost as if on the wire, counted.
  if (result == SendResult::kUnreachable) return -EHOSTUNREACH;
  ++core.stats().udp_out_count;
  return static_cast<int64_t>(payload_bytes);
}

void udp_icmp_error(Core& core, const SocketAddress& local, const SocketAddress& remote, int error) {
  // Only connected sockets learn of errors, as in Linux without IP_RECVERR.
  Endpoint* endpoint = connection_find(core, EndpointKind::kUdp, local, remote);
  if (endpoint == nullptr) return;
  endpoint->error.store(error, std::memory_order_release);
  core.notify(*endpoint);
}

}  // namespace postern::stack
