// IPv4 in and out.
#include "stack/ipv4.h"

#include <cstring>

#include "stack/checksum.h"
#include "stack/core.h"
#include "stack/ethernet.h"
#include "stack/icmp.h"
#include "stack/tcp_internal.h"
#include "stack/udp.h"

namespace postern::stack {
namespace {

constexpr uint16_t kFlagDontFragment = 0x4000;
constexpr uint16_t kFlagMoreFragments = 0x2000;
constexpr uint16_t kFragmentOffsetMask = 0x1fff;

uint32_t netmask(const StackConfig& config) {
  return config.prefix_length == 0 ? 0 : 0xffffffffu << (32 - config.prefix_length);
}

bool on_subnet(const StackConfig& config, const IpAddress& address) {
  return ((address.to_ipv4() ^ config.address.to_ipv4()) & netmask(config)) == 0;
}

}  // namespace

bool ipv4_is_broadcast(const Core& core, const IpAddress& address) {
  const uint32_t value = address.to_ipv4();
  if (value == 0xffffffffu) return true;
  const uint32_t mask = netmask(*core.config);
  return core.config->prefix_length < 31 && on_subnet(*core.config, address) && (value | mask) == 0xffffffffu;
}

IpAddress ipv4_next_hop(const Core& core, const IpAddress& destination) {
  return on_subnet(*core.config, destination) ? destination : core.config->gateway;
}

bool ipv4_has_route(const Core& core, const IpAddress& destination) {
  if (destination.family != AddressFamily::kIpv4 || destination.is_unspecified()) return false;
  return on_subnet(*core.config, destination) || ipv4_is_broadcast(core, destination) ||
         core.config->gateway.family == AddressFamily::kIpv4;
}

bool ipv4_parse(const uint8_t* data, uint16_t length_bytes, Ipv4Header* header) {
  if (length_bytes < kIpv4HeaderBytes || data[0] >> 4 != 4) return false;
  header->header_bytes = static_cast<uint8_t>((data[0] & 0xf) * 4);
  header->total_bytes = load_be16(data + 2);
  if (header->header_bytes < kIpv4HeaderBytes || header->total_bytes < header->header_bytes ||
      header->total_bytes > length_bytes) {
    return false;
  }
  header->tos = data[1];
  header->id = load_be16(data + 4);
  const uint16_t fragment = load_be16(data + 6);
  header->dont_fragment = (fragment & kFlagDontFragment) != 0;
  header->more_fragments = (fragment & kFlagMoreFragments) != 0;
  header->fragment_offset_bytes = static_cast<uint16_t>((fragment & kFragmentOffsetMask) * 8);
  header->ttl = data[8];
  header->protocol = data[9];
  header->source = IpAddress::ipv4(load_be32(data + 12));
  header->destination = IpAddress::ipv4(load_be32(data + 16));
  return true;
}

uint64_t ipv4_pseudo_sum(const IpAddress& source, const IpAddress& destination, uint8_t protocol, uint16_t l4_bytes) {
  uint64_t sum = checksum_add(0, source.bytes, 4);
  sum = checksum_add(sum, destination.bytes, 4);
  uint8_t tail[4] = {0, protocol, 0, 0};
  store_be16(tail + 2, l4_bytes);
  return checksum_add(sum, tail, 4);
}

namespace {

// Writes IP and Ethernet headers in front of offset_bytes of the packet's buffer; returns where the frame starts.
uint16_t emit_headers(Core& core, const Ipv4Send& send, uint32_t packet, uint16_t offset_bytes, uint16_t l4_bytes,
                      uint16_t id, uint16_t fragment_field) {
  const uint16_t ip_offset = offset_bytes - kIpv4HeaderBytes;
  const uint16_t frame_offset = ip_offset - kEthernetHeaderBytes;
  uint8_t* buffer = core.pool.buffer(packet);
  uint8_t* ip = buffer + ip_offset;
  ip[0] = 0x45;
  ip[1] = send.tos;
  store_be16(ip + 2, static_cast<uint16_t>(kIpv4HeaderBytes + l4_bytes));
  store_be16(ip + 4, id);
  store_be16(ip + 6, fragment_field);
  ip[8] = send.ttl;
  ip[9] = send.protocol;
  std::memset(ip + 10, 0, 2);
  std::memcpy(ip + 12, send.source.bytes, 4);
  std::memcpy(ip + 16, send.destination.bytes, 4);
  if (core.config->tx_checksum_offload == 0) {
    const uint16_t checksum = checksum_finish(checksum_add(0, ip, kIpv4HeaderBytes));
    std::memcpy(ip + 10, &checksum, 2);
  }
  ethernet_emit(buffer + frame_offset, kBroadcastMac, core.config->mac, kEthertypeIpv4);
  return frame_offset;
}

SendResult send_to_next_hop(Core& core, const IpAddress& destination, const TxFrame& frame) {
  if (ipv4_is_broadcast(core, destination)) {
    return transmit_frame(core, frame) ? SendResult::kOk : SendResult::kDropped;
  }
  if (destination.is_multicast()) {  // RFC 1112 6.4
    const uint8_t mac[6] = {0x01,
                            0x00,
                            0x5e,
                            static_cast<uint8_t>(destination.bytes[1] & 0x7f),
                            destination.bytes[2],
                            destination.bytes[3]};
    std::memcpy(core.pool.buffer(frame.pieces[0].packet) + frame.pieces[0].offset_bytes, mac, 6);
    return transmit_frame(core, frame) ? SendResult::kOk : SendResult::kDropped;
  }
  const IpAddress next_hop = ipv4_next_hop(core, destination);
  if (next_hop.family != AddressFamily::kIpv4) return SendResult::kUnreachable;
  switch (arp_send(core, next_hop, frame)) {
    case ArpResult::kSent:
    case ArpResult::kPending:
      return SendResult::kOk;
    case ArpResult::kUnreachable:
      break;
  }
  return SendResult::kUnreachable;
}

}  // namespace

SendResult ipv4_send(Core& core, const Ipv4Send& send, TxFrame frame) {
  TxPiece& first = frame.pieces[0];
  const auto l4_bytes =
      static_cast<uint16_t>(first.length_bytes + (frame.piece_count > 1 ? frame.pieces[1].length_bytes : 0));
  const uint16_t frame_offset =
      emit_headers(core, send, first.packet, first.offset_bytes, l4_bytes,
                   static_cast<uint16_t>(core.state->next_ip_id++), send.dont_fragment ? kFlagDontFragment : 0);
  first.length_bytes = static_cast<uint16_t>(first.length_bytes + (first.offset_bytes - frame_offset));
  first.offset_bytes = frame_offset;
  if (core.config->tx_checksum_offload != 0) {
    frame.checksum_l3 = true;
  } else {
    frame.checksum_l4 = false;
  }
  return send_to_next_hop(core, send.destination, frame);
}

SendResult ipv4_send_fragment(Core& core, const Ipv4Send& send, uint32_t packet, uint16_t offset_bytes,
                              uint16_t length_bytes, uint16_t id, uint16_t at_bytes, bool more) {
  const auto field = static_cast<uint16_t>(at_bytes / 8 | (more ? kFlagMoreFragments : 0));
  const uint16_t frame_offset = emit_headers(core, send, packet, offset_bytes, length_bytes, id, field);
  TxFrame frame;
  frame.pieces[0] = {packet, frame_offset, static_cast<uint16_t>(offset_bytes - frame_offset + length_bytes)};
  frame.checksum_l3 = core.config->tx_checksum_offload != 0;
  ++core.stats().ip_fragments_out_count;
  return send_to_next_hop(core, send.destination, frame);
}

void ipv4_input(Core& core, const RxFrame& frame) {
  const uint8_t* ip = core.pool.buffer(frame.packet) + frame.offset_bytes + kEthernetHeaderBytes;
  Ipv4Packet packet;
  packet.packet = frame.packet;
  packet.l3 = ip;
  packet.checksum_l4 = frame.checksum_l4;
  StackStats& stats = core.stats();
  if (!ipv4_parse(ip, static_cast<uint16_t>(frame.length_bytes - kEthernetHeaderBytes), &packet.header)) {
    ++stats.drop_ip_malformed;
    core.pool.release(frame.packet);
    return;
  }
  const Ipv4Header& header = packet.header;
  const bool checksum_good =
      frame.checksum_l3 == ChecksumResult::kGood ||
      (frame.checksum_l3 == ChecksumResult::kNone && checksum_fold(checksum_add(0, ip, header.header_bytes)) == 0xffff);
  packet.to_broadcast = !(header.destination == core.config->address);
  if (!checksum_good) {
    ++stats.drop_ip_checksum;
    core.pool.release(frame.packet);
    return;
  }
  if (packet.to_broadcast && !ipv4_is_broadcast(core, header.destination)) {
    ++stats.drop_ip_other_address;
    core.pool.release(frame.packet);
    return;
  }
  packet.payload = ip + header.header_bytes;
  packet.payload_bytes = static_cast<uint16_t>(header.total_bytes - header.header_bytes);
  packet.payload_offset_bytes = static_cast<uint16_t>(frame.offset_bytes + kEthernetHeaderBytes + header.header_bytes);
  Packet& meta = core.pool.packet(frame.packet);
  meta.chain = kNoPacket;
  meta.offset_bytes = packet.payload_offset_bytes;
  meta.l3_header_bytes = static_cast<uint8_t>(header.header_bytes);
  meta.length_bytes = packet.payload_bytes;
  if (header.more_fragments || header.fragment_offset_bytes != 0) {
    ++stats.ip_fragments_in_count;
    if (!ipv4_reassemble(core, &packet)) return;
    ++stats.ip_reassembled_count;
  }
  switch (header.protocol) {
    case kIpProtocolTcp:
      tcp_input(core, packet);
      return;
    case kIpProtocolUdp:
      udp_input(core, packet);
      return;
    case kIpProtocolIcmp:
      icmp_input(core, packet);
      return;
    default:
      ++stats.drop_ip_protocol;
      core.pool.release_chain(packet.packet);
  }
}

}  // namespace postern::stack
