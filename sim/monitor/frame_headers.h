// What steering and source checks need of a frame, read by the monitor's own parser; and the Toeplitz hash, bit by bit
// as its definition says (Microsoft, "RSS Hashing Functions"). Formats: IEEE 802.1Q, RFC 791, 8200, 826, 768, 9293.
#pragma once

#include <array>
#include <cstdint>

#include "contract/gen/pst_contract.h"

namespace postern::sim {

struct FrameHeaders {
  uint64_t destination = 0, source = 0;  // MAC addresses, byte 0 in bits 7..0
  bool multicast = false;
  unsigned vlan_count = 0;
  uint32_t vlan_id = 0;    // of the outer tag
  uint32_t ethertype = 0;  // behind up to two tags
  bool pause = false;
  bool sourceless = false;  // malformed, or more than two tags: no source that could be checked
  unsigned l3 = PST_L3_CLASS_OTHER;
  bool transport = false;  // TCP or UDP with ports
  uint32_t protocol = 0;
  std::array<uint64_t, 2> from{}, to{};  // IP addresses as in SOURCE_GRANT; ARP: sender's IP address in from
  uint64_t arp_source = 0;               // sender's hardware address
  uint32_t source_port = 0, destination_port = 0;
};

[[nodiscard]] FrameHeaders read_headers(const uint8_t* frame, uint32_t bytes);

// Over addresses, and ports if with_ports; the frame is IPv4 or IPv6.
[[nodiscard]] uint32_t toeplitz_hash(const std::array<uint8_t, PST_LIMIT_RSS_KEY_BYTES>& key,
                                     const FrameHeaders& headers, bool with_ports);

}  // namespace postern::sim
