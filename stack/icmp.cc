// ICMP in and out. Echo requests are answered in the buffer that they came in.
#include "stack/icmp.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "stack/checksum.h"
#include "stack/core.h"
#include "stack/ipv4.h"
#include "stack/tcp_internal.h"
#include "stack/udp.h"
#include "stack/wire_order.h"

namespace postern::stack {
namespace {

constexpr uint16_t kIcmpHeaderBytes = 8;
constexpr uint8_t kTypeEchoReply = 0;
constexpr uint8_t kTypeUnreachable = 3;
constexpr uint8_t kTypeEcho = 8;
constexpr uint8_t kTypeTimeExceeded = 11;
constexpr uint8_t kCodePortUnreachable = 3;
// RFC 1812 4.3.2.3 asks for as much of the packet as fits 576 bytes; more than the headers is of no use to anybody
// here.
constexpr uint16_t kQuoteBytesMax = 128;

// Linux's icmp_err_convert for type 3; 0: ignored.
int unreachable_error(uint8_t code) {
  switch (code) {
    case 0:
    case 6:
    case 9:
      return ENETUNREACH;
    case 2:
      return ENOPROTOOPT;
    case 3:
      return ECONNREFUSED;
    case 4:
      return EMSGSIZE;
    default:
      return EHOSTUNREACH;
  }
}

void send_echo_reply(Core& core, const Ipv4Packet& packet) {
  uint8_t* icmp = core.pool.buffer(packet.packet) + packet.payload_offset_bytes;
  icmp[0] = kTypeEchoReply;
  std::memset(icmp + 2, 0, 2);
  const uint16_t checksum = checksum_finish(checksum_add(0, icmp, packet.payload_bytes));
  std::memcpy(icmp + 2, &checksum, 2);
  TxFrame frame;
  frame.pieces[0] = {packet.packet, packet.payload_offset_bytes, packet.payload_bytes};
  Ipv4Send send;
  send.source = core.config->address;
  send.destination = packet.header.source;
  send.protocol = kIpProtocolIcmp;
  send.ttl = core.config->ttl;
  send.tos = packet.header.tos;
  send.dont_fragment = false;
  if (ipv4_send(core, send, frame) == SendResult::kOk) ++core.stats().icmp_out_count;
}

void deliver_error(Core& core, const Ipv4Packet& packet, int error) {
  const uint8_t* quoted = packet.payload + kIcmpHeaderBytes;
  const auto quoted_bytes = static_cast<uint16_t>(packet.payload_bytes - kIcmpHeaderBytes);
  // The quote is cut: only its header must be whole, not its total length.
  if (quoted_bytes < kIpv4HeaderBytes + 8 || quoted[0] >> 4 != 4) return;
  const auto header_bytes = static_cast<uint16_t>((quoted[0] & 0xf) * 4);
  if (header_bytes < kIpv4HeaderBytes || quoted_bytes < header_bytes + 8) return;
  if ((load_be16(quoted + 6) & 0x1fff) != 0) return;  // not the first fragment
  const uint8_t* l4 = quoted + header_bytes;
  const SocketAddress local{IpAddress::ipv4(load_be32(quoted + 12)), load_be16(l4)};
  const SocketAddress remote{IpAddress::ipv4(load_be32(quoted + 16)), load_be16(l4 + 2)};
  if (quoted[9] == kIpProtocolUdp) {
    udp_icmp_error(core, local, remote, error);
  } else if (quoted[9] == kIpProtocolTcp) {
    tcp_icmp_error(core, local, remote, load_be32(l4 + 4), error);
  }
}

}  // namespace

void icmp_input(Core& core, const Ipv4Packet& packet) {
  StackStats& stats = core.stats();
  ++stats.icmp_in_count;
  // Chained (reassembled) ICMP messages are valid but of no use here.
  const bool whole = core.pool.packet(packet.packet).chain == kNoPacket;
  if (!whole || packet.payload_bytes < kIcmpHeaderBytes ||
      checksum_fold(checksum_add(0, packet.payload, packet.payload_bytes)) != 0xffff) {
    ++stats.drop_icmp_malformed;
  } else if (packet.payload[0] == kTypeEcho && !packet.to_broadcast) {
    send_echo_reply(core, packet);
  } else if (packet.payload[0] == kTypeUnreachable) {
    deliver_error(core, packet, unreachable_error(packet.payload[1]));
  } else if (packet.payload[0] == kTypeTimeExceeded) {
    deliver_error(core, packet, EHOSTUNREACH);
  }
  core.pool.release_chain(packet.packet);
}

void icmp_send_port_unreachable(Core& core, const Ipv4Packet& packet) {
  if (packet.to_broadcast || packet.header.source.is_unspecified() || packet.header.source.is_multicast()) return;
  const uint32_t reply = core.pool.allocate_for_send();
  if (reply == kNoPacket) {
    ++core.stats().drop_no_buffer;
    return;
  }
  const uint16_t quote_bytes =
      std::min<uint16_t>(static_cast<uint16_t>(packet.header.header_bytes + packet.payload_bytes), kQuoteBytesMax);
  uint8_t* icmp = core.pool.buffer(reply) + kHeadroomBytes;
  std::memset(icmp, 0, kIcmpHeaderBytes);
  icmp[0] = kTypeUnreachable;
  icmp[1] = kCodePortUnreachable;
  std::memcpy(icmp + kIcmpHeaderBytes, packet.l3, quote_bytes);
  const auto icmp_bytes = static_cast<uint16_t>(kIcmpHeaderBytes + quote_bytes);
  const uint16_t checksum = checksum_finish(checksum_add(0, icmp, icmp_bytes));
  std::memcpy(icmp + 2, &checksum, 2);
  TxFrame frame;
  frame.pieces[0] = {reply, kHeadroomBytes, icmp_bytes};
  Ipv4Send send;
  send.source = core.config->address;
  send.destination = packet.header.source;
  send.protocol = kIpProtocolIcmp;
  send.ttl = core.config->ttl;
  send.dont_fragment = false;
  if (ipv4_send(core, send, frame) == SendResult::kOk) ++core.stats().icmp_out_count;
  core.pool.release(reply);
}

}  // namespace postern::stack
