// Reassembly of IPv4 fragments (RFC 791, RFC 815), UDP and ICMP only: few datagrams at a time, no overlaps (RFC 5722's
// rule: an overlapping fragment discards the datagram), 30 s. Packets that do not fit these limits are dropped,
// counted.
#pragma once

#include <cstdint>

#include "stack/ip_address.h"

namespace postern::stack {

struct Core;
struct Ipv4Packet;

struct ReassemblyEntry {
  IpAddress source;
  IpAddress destination;
  uint16_t id = 0;
  uint8_t protocol = 0;
  uint8_t used = 0;
  uint16_t total_payload_bytes = 0;  // 0 until the last fragment is here
  uint16_t received_bytes = 0;
  uint16_t fragment_count = 0;
  uint32_t first = 0xffffffffu;  // packets by offset, linked by Packet::chain; Packet::seq is the offset
  uint64_t deadline_ns = 0;
};

struct ReassemblyTable {
  static constexpr uint32_t kEntries = 16;
  static constexpr uint32_t kFragmentsMax = 64;
  ReassemblyEntry entries[kEntries];
};

// Takes the fragment. True if the datagram is complete: *packet then describes it (first fragment's buffer, chained).
[[nodiscard]] bool ipv4_reassemble(Core& core, Ipv4Packet* packet);
// Drops what is too old.
void ipv4_reassembly_expire(Core& core);

}  // namespace postern::stack
