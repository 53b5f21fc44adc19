// Header arithmetic of segments. See segmentation.h. Formats: RFC 791, RFC 8200, RFC 9293, RFC 3168 (CWR).
#include "hw_model/segmentation.h"

#include <cstring>

#include "contract/gen/pst_contract.h"

namespace postern::hw_model {

namespace {

constexpr uint32_t kIpv4HeaderBytes = 20;
constexpr uint32_t kIpv6HeaderBytes = 40;
constexpr uint32_t kTcpHeaderBytes = 20;
constexpr uint8_t kFlagFin = 0x01, kFlagPsh = 0x08, kFlagCwr = 0x80;

// Where the IP header starts: behind at most two tags. The ethertype goes into ethertype.
uint32_t find_l3(const uint8_t* packet, uint32_t bytes, uint16_t& ethertype) {
  uint32_t type_offset = 12;
  ethertype = load_be16(packet + type_offset);
  for (int tags = 0; tags < 2 && (ethertype == kEthertypeVlan || ethertype == kEthertypeServiceVlan); ++tags) {
    if (type_offset + 2 + kVlanTagBytes > bytes) return bytes;
    type_offset += kVlanTagBytes;
    ethertype = load_be16(packet + type_offset);
  }
  return type_offset + 2;
}

void store_ip_length(uint8_t* ip, uint8_t l3_class, uint32_t l3_bytes) {
  if (l3_class == PST_L3_CLASS_IPV4) {
    store_be16(ip + 2, static_cast<uint16_t>(l3_bytes));
  } else {
    store_be16(ip + 4, static_cast<uint16_t>(l3_bytes - kIpv6HeaderBytes));
  }
}

uint32_t load_be32(const uint8_t* p) { return static_cast<uint32_t>(load_be16(p)) << 16 | load_be16(p + 2); }

void store_be32(uint8_t* p, uint32_t value) {
  store_be16(p, static_cast<uint16_t>(value >> 16));
  store_be16(p + 2, static_cast<uint16_t>(value));
}

}  // namespace

bool plan_segments(uint8_t* packet, uint32_t bytes, uint32_t mss_bytes, uint32_t mtu_bytes, SegmentPlan& plan) {
  if (bytes > PST_LIMIT_TSO_BYTES_MAX || mss_bytes == 0) return false;
  uint16_t ethertype = 0;
  const uint32_t l3_offset = find_l3(packet, bytes, ethertype);
  const bool ipv4 = ethertype == kEthertypeIpv4;
  if (!ipv4 && ethertype != kEthertypeIpv6) return false;
  if (bytes < l3_offset + (ipv4 ? kIpv4HeaderBytes : kIpv6HeaderBytes)) return false;
  store_ip_length(packet + l3_offset, ipv4 ? PST_L3_CLASS_IPV4 : PST_L3_CLASS_IPV6, bytes - l3_offset);
  plan.parsed = parse_frame(packet, bytes);
  const ParsedFrame& parsed = plan.parsed;
  if (parsed.l3_malformed || parsed.l4_class != PST_L4_CLASS_TCP) return false;
  const uint32_t tcp_header_bytes = (packet[parsed.l4_offset + 12] >> 4) * 4u;
  if (tcp_header_bytes < kTcpHeaderBytes || tcp_header_bytes > parsed.l4_bytes) return false;
  plan.header_bytes = parsed.l4_offset + tcp_header_bytes;
  plan.mss_bytes = mss_bytes;
  plan.payload_bytes = bytes - plan.header_bytes;
  plan.count = plan.payload_bytes == 0 ? 1 : (plan.payload_bytes + mss_bytes - 1) / mss_bytes;
  return plan.header_bytes - parsed.l3_offset + mss_bytes <= mtu_bytes;
}

ParsedFrame segment_headers(const SegmentPlan& plan, uint32_t index) {
  ParsedFrame parsed = plan.parsed;
  parsed.l4_bytes = plan.segment_bytes(index) - parsed.l4_offset;
  return parsed;
}

void build_segment(const uint8_t* packet, const SegmentPlan& plan, uint32_t index, uint8_t* frame) {
  const uint32_t bytes = plan.segment_bytes(index);
  const uint32_t payload_offset = index * plan.mss_bytes;
  std::memcpy(frame, packet, plan.header_bytes);
  std::memcpy(frame + plan.header_bytes, packet + plan.header_bytes + payload_offset, bytes - plan.header_bytes);
  uint8_t* ip = frame + plan.parsed.l3_offset;
  store_ip_length(ip, plan.parsed.l3_class, bytes - plan.parsed.l3_offset);
  if (plan.parsed.l3_class == PST_L3_CLASS_IPV4) {
    store_be16(ip + 4, static_cast<uint16_t>(load_be16(ip + 4) + index));
  }
  uint8_t* tcp = frame + plan.parsed.l4_offset;
  store_be32(tcp + 4, load_be32(tcp + 4) + payload_offset);
  if (index + 1 < plan.count) tcp[13] &= static_cast<uint8_t>(~(kFlagFin | kFlagPsh));
  if (index > 0) tcp[13] &= static_cast<uint8_t>(~kFlagCwr);
}

}  // namespace postern::hw_model
