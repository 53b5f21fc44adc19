// Header walk of one frame. See frame_parser.h. Formats: IEEE 802.1Q, RFC 791, RFC 8200, RFC 826, RFC 9293, RFC 768.
#include "hw_model/frame_parser.h"

#include "contract/gen/pst_contract.h"

namespace postern::hw_model {

namespace {

constexpr uint32_t kIpv4HeaderBytes = 20;
constexpr uint32_t kIpv6HeaderBytes = 40;
constexpr uint32_t kArpBytes = 28;
constexpr uint32_t kTcpHeaderBytes = 20;
constexpr uint32_t kUdpHeaderBytes = 8;

void parse_l4(ParsedFrame& parsed, const uint8_t* frame) {
  const uint8_t* l4 = frame + parsed.l4_offset;
  if (parsed.fragment) return;
  switch (parsed.ip_protocol) {
    case kProtocolTcp:
      if (parsed.l4_bytes < kTcpHeaderBytes) return;
      parsed.l4_class = PST_L4_CLASS_TCP;
      break;
    case kProtocolUdp:
      if (parsed.l4_bytes < kUdpHeaderBytes) return;
      parsed.l4_class = PST_L4_CLASS_UDP;
      break;
    case kProtocolIcmp:
    case kProtocolIcmpv6:
      parsed.l4_class = PST_L4_CLASS_ICMP;
      return;
    default:
      return;
  }
  parsed.source_port = load_be16(l4);
  parsed.destination_port = load_be16(l4 + 2);
}

bool parse_ipv4(ParsedFrame& parsed, const uint8_t* frame, uint32_t bytes) {
  const uint8_t* ip = frame + parsed.l3_offset;
  const uint32_t left = bytes - parsed.l3_offset;
  if (left < kIpv4HeaderBytes || ip[0] >> 4 != 4) return false;
  const uint32_t header_bytes = (ip[0] & 0xfu) * 4;
  const uint32_t total_bytes = load_be16(ip + 2);
  if (header_bytes < kIpv4HeaderBytes || header_bytes > total_bytes || total_bytes > left) return false;
  parsed.l3_class = PST_L3_CLASS_IPV4;
  parsed.fragment = (load_be16(ip + 6) & 0x3fff) != 0;  // more fragments, or an offset
  parsed.ip_protocol = ip[9];
  parsed.l4_offset = parsed.l3_offset + header_bytes;
  parsed.l4_bytes = total_bytes - header_bytes;
  parse_l4(parsed, frame);
  return true;
}

// Extension headers are not walked: behind one, the transport is OTHER.
bool parse_ipv6(ParsedFrame& parsed, const uint8_t* frame, uint32_t bytes) {
  const uint8_t* ip = frame + parsed.l3_offset;
  const uint32_t left = bytes - parsed.l3_offset;
  if (left < kIpv6HeaderBytes || ip[0] >> 4 != 6) return false;
  const uint32_t payload_bytes = load_be16(ip + 4);
  if (payload_bytes > left - kIpv6HeaderBytes) return false;
  parsed.l3_class = PST_L3_CLASS_IPV6;
  parsed.ip_protocol = ip[6];
  parsed.l4_offset = parsed.l3_offset + kIpv6HeaderBytes;
  parsed.l4_bytes = payload_bytes;
  parse_l4(parsed, frame);
  return true;
}

}  // namespace

ParsedFrame parse_frame(const uint8_t* frame, uint32_t bytes) {
  ParsedFrame parsed;
  uint32_t type_offset = 12;
  parsed.ethertype = load_be16(frame + type_offset);
  while (parsed.ethertype == kEthertypeVlan || parsed.ethertype == kEthertypeServiceVlan) {
    if (parsed.vlan_count == 2 || type_offset + 2 + kVlanTagBytes > bytes) {
      parsed.too_many_tags = true;
      return parsed;
    }
    if (parsed.vlan_count++ == 0) parsed.vlan_tci = load_be16(frame + type_offset + 2);
    type_offset += kVlanTagBytes;
    parsed.ethertype = load_be16(frame + type_offset);
  }
  parsed.l3_offset = type_offset + 2;
  if (parsed.ethertype == kEthertypeIpv4) {
    parsed.l3_malformed = !parse_ipv4(parsed, frame, bytes);
  } else if (parsed.ethertype == kEthertypeIpv6) {
    parsed.l3_malformed = !parse_ipv6(parsed, frame, bytes);
  } else if (parsed.ethertype == kEthertypeArp) {
    parsed.l3_malformed = bytes - parsed.l3_offset < kArpBytes;
    if (!parsed.l3_malformed) parsed.l3_class = PST_L3_CLASS_ARP;
  }
  return parsed;
}

}  // namespace postern::hw_model
