// See frame_headers.h.
#include "sim/monitor/frame_headers.h"

#include <cstring>

namespace postern::sim {

namespace {

uint32_t be16(const uint8_t* p) { return static_cast<uint32_t>(p[0] << 8 | p[1]); }

uint64_t address(const uint8_t* p, unsigned bytes) {
  uint64_t value = 0;
  std::memcpy(&value, p, bytes);
  return value;
}

void read_transport(FrameHeaders& h, const uint8_t* l4, uint32_t l4_bytes, bool fragment) {
  constexpr uint32_t kTcp = 6, kUdp = 17;
  const uint32_t least = h.protocol == kTcp ? 20 : 8;
  if (fragment || (h.protocol != kTcp && h.protocol != kUdp) || l4_bytes < least) return;
  h.transport = true;
  h.source_port = be16(l4);
  h.destination_port = be16(l4 + 2);
}

bool read_ipv4(FrameHeaders& h, const uint8_t* ip, uint32_t left) {
  if (left < 20 || ip[0] >> 4 != 4) return false;
  const uint32_t header = (ip[0] & 15u) * 4;
  const uint32_t total = be16(ip + 2);
  if (header < 20 || header > total || total > left) return false;
  h.l3 = PST_L3_CLASS_IPV4;
  h.from[0] = address(ip + 12, 4);
  h.to[0] = address(ip + 16, 4);
  h.protocol = ip[9];
  read_transport(h, ip + header, total - header, (be16(ip + 6) & 0x3fff) != 0);
  return true;
}

bool read_ipv6(FrameHeaders& h, const uint8_t* ip, uint32_t left) {
  if (left < 40 || ip[0] >> 4 != 6 || be16(ip + 4) > left - 40) return false;
  h.l3 = PST_L3_CLASS_IPV6;
  h.from = {address(ip + 8, 8), address(ip + 16, 8)};
  h.to = {address(ip + 24, 8), address(ip + 32, 8)};
  h.protocol = ip[6];
  read_transport(h, ip + 40, be16(ip + 4), false);
  return true;
}

}  // namespace

FrameHeaders read_headers(const uint8_t* frame, uint32_t bytes) {
  FrameHeaders h;
  if (bytes < 14) {
    h.sourceless = true;
    return h;
  }
  h.destination = address(frame, 6);
  h.source = address(frame + 6, 6);
  h.multicast = (frame[0] & 1) != 0;
  uint32_t at = 12;
  h.ethertype = be16(frame + at);
  while (h.ethertype == 0x8100 || h.ethertype == 0x88a8) {
    if (h.vlan_count == 2 || at + 6 > bytes) {
      h.sourceless = true;
      return h;
    }
    if (h.vlan_count++ == 0) h.vlan_id = be16(frame + at + 2) & 0xfff;
    at += 4;
    h.ethertype = be16(frame + at);
  }
  at += 2;
  const uint8_t* l3 = frame + at;
  const uint32_t left = bytes - at;
  switch (h.ethertype) {
    case 0x0800:
      h.sourceless = !read_ipv4(h, l3, left);
      break;
    case 0x86dd:
      h.sourceless = !read_ipv6(h, l3, left);
      break;
    case 0x0806:
      h.sourceless = left < 28;
      if (h.sourceless) break;
      h.l3 = PST_L3_CLASS_ARP;
      h.arp_source = address(l3 + 8, 6);
      h.from[0] = address(l3 + 14, 4);
      break;
    case 0x8808:
      h.pause = left >= 2 && be16(l3) == 1;
      break;
    default:
      break;
  }
  return h;
}

uint32_t toeplitz_hash(const std::array<uint8_t, PST_LIMIT_RSS_KEY_BYTES>& key, const FrameHeaders& headers,
                       bool with_ports) {
  std::array<uint8_t, 36> input{};
  const unsigned address_bytes = headers.l3 == PST_L3_CLASS_IPV4 ? 4 : 16;
  std::memcpy(input.data(), headers.from.data(), address_bytes);
  std::memcpy(input.data() + address_bytes, headers.to.data(), address_bytes);
  unsigned bytes = 2 * address_bytes;
  if (with_ports) {
    for (const uint32_t port : {headers.source_port, headers.destination_port}) {
      input[bytes++] = static_cast<uint8_t>(port >> 8);
      input[bytes++] = static_cast<uint8_t>(port);
    }
  }
  const auto key_bit = [&](unsigned bit) { return key[bit / 8] >> (7 - bit % 8) & 1u; };
  uint32_t hash = 0;
  for (unsigned bit = 0; bit < bytes * 8; ++bit) {
    if ((input[bit / 8] >> (7 - bit % 8) & 1) == 0) continue;
    uint32_t window = 0;  // the 32 bits of the key from this bit on
    for (unsigned i = 0; i < 32; ++i) window = window << 1 | (bit + i < key.size() * 8 ? key_bit(bit + i) : 0);
    hash ^= window;
  }
  return hash;
}

}  // namespace postern::sim
