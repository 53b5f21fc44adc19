// Address resolution (RFC 826): cache, requests with retry, frames that wait for an answer. Every stack of a host
// learns from what it sees; only the host stack answers requests and announces the address (RFC 5227) at the start.
#pragma once

#include <cstdint>

#include "stack/ip_address.h"
#include "stack/network_interface.h"

namespace postern::stack {

struct Core;

enum class ArpState : uint8_t { kFree, kIncomplete, kReachable, kFailed };

struct ArpEntry {
  static constexpr uint32_t kPendingMax = 64;  // a datagram of 64 KiB is 45 fragments; of more the oldest go
  IpAddress address;
  MacAddress mac = {};
  ArpState state = ArpState::kFree;
  uint8_t tries = 0;          // requests sent since the last answer
  uint64_t confirmed_ns = 0;  // last answer
  uint64_t deadline_ns = 0;   // next retry, or end of kFailed; 0: none
  uint32_t pending_count = 0;
  TxFrame pending[kPendingMax];  // frames without destination address; a reference each on their packets
};

struct ArpCache {
  static constexpr uint32_t kEntries =
      256;  // open addressing by the address's low bits; the oldest in reach is evicted
  static constexpr uint32_t kProbes = 8;
  ArpEntry entries[kEntries];
};

enum class ArpResult : uint8_t { kSent, kPending, kUnreachable };

// Writes the destination address of next_hop into the frame (whose first piece starts with the Ethernet header) and
// sends it, or queues it until the answer comes.
ArpResult arp_send(Core& core, const IpAddress& next_hop, const TxFrame& frame);
// A received ARP packet (behind the Ethernet header).
void arp_input(Core& core, const uint8_t* packet, uint16_t length_bytes);
// Runs retries that are due; called by the ARP timer.
void arp_timer_expired(Core& core);
// Announces the host's address.
void arp_announce(Core& core);
// The link address of a next hop if it is known, else nullptr. Looks at the table only; changes nothing.
[[nodiscard]] const uint8_t* arp_known_address(const Core& core, const IpAddress& next_hop);
// The peer has just been heard by a protocol above: no need to ask again soon.
void arp_confirm(Core& core, const IpAddress& address);

}  // namespace postern::stack
