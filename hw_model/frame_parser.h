// Finds the headers of an Ethernet frame: VLAN tags, IPv4/IPv6/ARP, TCP/UDP ports. Pure; never reads beyond the frame.
#pragma once

#include <cstdint>

namespace postern::hw_model {

struct ParsedFrame {
  uint16_t ethertype = 0;      // behind the VLAN tags
  uint8_t vlan_count = 0;      // 0 to 2 tags
  bool too_many_tags = false;  // a third tag: what is behind it is not looked at
  uint16_t vlan_tci = 0;       // of the outer tag
  uint8_t l3_class = 0;        // PST_L3_CLASS_*; OTHER if the header is malformed
  uint8_t l4_class = 0;        // PST_L4_CLASS_*; OTHER for fragments
  bool l3_malformed = false;   // the ethertype says IP or ARP but the header is not one
  bool fragment = false;       // IPv4 fragment, first or later
  uint8_t ip_protocol = 0;
  uint32_t l3_offset = 0;
  uint32_t l4_offset = 0;
  uint32_t l4_bytes = 0;     // L4 header and payload by the IP length, which may be less than the frame holds
  uint16_t source_port = 0;  // host byte order; only for TCP and UDP
  uint16_t destination_port = 0;
};

// bytes: at least 14.
ParsedFrame parse_frame(const uint8_t* frame, uint32_t bytes);

inline uint16_t load_be16(const uint8_t* p) { return static_cast<uint16_t>(p[0] << 8 | p[1]); }
inline void store_be16(uint8_t* p, uint16_t value) {
  p[0] = static_cast<uint8_t>(value >> 8);
  p[1] = static_cast<uint8_t>(value);
}
// The first count (<= 8) bytes with byte 0 in bits 7..0: the contract's form of addresses.
inline uint64_t load_address(const uint8_t* p, unsigned count) {
  uint64_t value = 0;
  for (unsigned i = 0; i < count; ++i) value |= static_cast<uint64_t>(p[i]) << (8 * i);
  return value;
}

constexpr uint32_t kEthernetHeaderBytes = 14;
constexpr uint32_t kVlanTagBytes = 4;
constexpr uint16_t kEthertypeIpv4 = 0x0800;
constexpr uint16_t kEthertypeArp = 0x0806;
constexpr uint16_t kEthertypeVlan = 0x8100;
constexpr uint16_t kEthertypeServiceVlan = 0x88a8;
constexpr uint16_t kEthertypeIpv6 = 0x86dd;
constexpr uint8_t kProtocolIcmp = 1;
constexpr uint8_t kProtocolTcp = 6;
constexpr uint8_t kProtocolUdp = 17;
constexpr uint8_t kProtocolIcmpv6 = 58;

}  // namespace postern::hw_model
