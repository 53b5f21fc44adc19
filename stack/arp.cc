// ARP: the cache, its timer, and the two kinds of packets.
#include "stack/arp.h"

#include <algorithm>
#include <cstring>

#include "stack/core.h"
#include "stack/ethernet.h"
#include "stack/tcp_internal.h"
#include "stack/udp.h"

namespace postern::stack {
namespace {

constexpr uint16_t kArpBytes = 28;
constexpr uint16_t kOperationRequest = 1;
constexpr uint16_t kOperationReply = 2;
constexpr uint64_t kFailedHoldNs = 1'000'000'000;  // assumed: how long a failed address fails at once

uint32_t slot_of(const IpAddress& address) {
  const uint32_t value = address.to_ipv4();
  return (value ^ value >> 8) % ArpCache::kEntries;
}

ArpEntry* find(Core& core, const IpAddress& address) {
  ArpCache& cache = core.state->arp;
  const uint32_t first = slot_of(address);
  for (uint32_t probe = 0; probe < ArpCache::kProbes; ++probe) {
    ArpEntry& entry = cache.entries[(first + probe) % ArpCache::kEntries];
    if (entry.state != ArpState::kFree && entry.address == address) return &entry;
  }
  return nullptr;
}

void drop_pending(Core& core, ArpEntry& entry) {
  for (uint32_t i = 0; i < entry.pending_count; ++i) {
    for (unsigned piece = 0; piece < entry.pending[i].piece_count; ++piece) {
      core.pool.release(entry.pending[i].pieces[piece].packet);
    }
    ++core.stats().drop_arp_unresolved;
  }
  entry.pending_count = 0;
}

// A free slot in reach of the address, or the one heard of least recently.
ArpEntry& take_slot(Core& core, const IpAddress& address) {
  ArpCache& cache = core.state->arp;
  const uint32_t first = slot_of(address);
  ArpEntry* oldest = &cache.entries[first];
  for (uint32_t probe = 0; probe < ArpCache::kProbes; ++probe) {
    ArpEntry& entry = cache.entries[(first + probe) % ArpCache::kEntries];
    if (entry.state == ArpState::kFree) {
      oldest = &entry;
      break;
    }
    if (entry.confirmed_ns < oldest->confirmed_ns) oldest = &entry;
  }
  drop_pending(core, *oldest);
  oldest->address = address;
  oldest->state = ArpState::kFree;
  oldest->tries = 0;
  oldest->deadline_ns = 0;
  oldest->confirmed_ns = core.now_ns;
  return *oldest;
}

void update_timer(Core& core) {
  uint64_t earliest = UINT64_MAX;
  for (const ArpEntry& entry : core.state->arp.entries) {
    if (entry.state != ArpState::kFree && entry.deadline_ns != 0 && entry.deadline_ns < earliest) {
      earliest = entry.deadline_ns;
    }
  }
  if (earliest == UINT64_MAX) {
    core.timers.disarm(core.arp_timer());
  } else {
    core.timers.arm(core.arp_timer(), earliest);
  }
}

// Sends an ARP packet about this host. target_mac null: unknown (a request).
void send_arp(Core& core, uint16_t operation, const uint8_t* target_mac, const IpAddress& target) {
  const uint32_t packet = core.pool.allocate();
  if (packet == kNoPacket) {
    ++core.stats().drop_no_buffer;
    return;
  }
  uint8_t* frame = core.pool.buffer(packet);
  ethernet_emit(frame, target_mac != nullptr ? target_mac : kBroadcastMac, core.config->mac, kEthertypeArp);
  uint8_t* arp = frame + kEthernetHeaderBytes;
  store_be16(arp, 1);  // Ethernet
  store_be16(arp + 2, kEthertypeIpv4);
  arp[4] = 6;
  arp[5] = 4;
  store_be16(arp + 6, operation);
  std::memcpy(arp + 8, core.config->mac, 6);
  std::memcpy(arp + 14, core.config->address.bytes, 4);
  if (target_mac != nullptr) {
    std::memcpy(arp + 18, target_mac, 6);
  } else {
    std::memset(arp + 18, 0, 6);
  }
  std::memcpy(arp + 24, target.bytes, 4);
  TxFrame out;
  out.pieces[0] = {packet, 0, kEthernetHeaderBytes + kArpBytes};
  transmit_frame(core, out);
  core.pool.release(packet);
  ++core.stats().arp_out_count;
}

void transmit_to(Core& core, const TxFrame& frame, const MacAddress& mac) {
  std::memcpy(core.pool.buffer(frame.pieces[0].packet) + frame.pieces[0].offset_bytes, mac, 6);
  transmit_frame(core, frame);
}

// Tells the sockets whose packets wait that the address does not answer.
void fail(Core& core, ArpEntry& entry) {
  for (uint32_t i = 0; i < entry.pending_count; ++i) {
    const TxPiece& piece = entry.pending[i].pieces[0];
    const uint8_t* ip = core.pool.buffer(piece.packet) + piece.offset_bytes + kEthernetHeaderBytes;
    Ipv4Header header;
    if (!ipv4_parse(ip, piece.length_bytes - kEthernetHeaderBytes, &header)) continue;
    const uint8_t* l4 = ip + header.header_bytes;
    const SocketAddress local{header.source, load_be16(l4)};
    const SocketAddress remote{header.destination, load_be16(l4 + 2)};
    if (header.protocol == kIpProtocolUdp) {
      udp_icmp_error(core, local, remote, EHOSTUNREACH);
    } else if (header.protocol == kIpProtocolTcp) {
      tcp_icmp_error(core, local, remote, load_be32(l4 + 4), EHOSTUNREACH);
    }
  }
  drop_pending(core, entry);
  entry.state = ArpState::kFailed;
  entry.deadline_ns = core.now_ns + kFailedHoldNs;
}

void learn(Core& core, ArpEntry& entry, const uint8_t* mac) {
  std::memcpy(entry.mac, mac, 6);
  const bool timer_matters = entry.deadline_ns != 0;
  entry.state = ArpState::kReachable;
  entry.tries = 0;
  entry.confirmed_ns = core.now_ns;
  entry.deadline_ns = 0;
  const uint32_t count = entry.pending_count;
  entry.pending_count = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const TxFrame& frame = entry.pending[i];
    transmit_to(core, frame, entry.mac);
    for (unsigned piece = 0; piece < frame.piece_count; ++piece) core.pool.release(frame.pieces[piece].packet);
  }
  if (timer_matters) update_timer(core);
}

}  // namespace

ArpResult arp_send(Core& core, const IpAddress& next_hop, const TxFrame& frame) {
  if (next_hop == core.config->address) {  // the NIC loops it back, if it can
    transmit_to(core, frame, core.config->mac);
    return ArpResult::kSent;
  }
  ArpEntry* entry = find(core, next_hop);
  if (entry != nullptr && entry->state == ArpState::kReachable) {
    transmit_to(core, frame, entry->mac);
    if (core.now_ns - entry->confirmed_ns > core.config->arp_reachable_ns && entry->deadline_ns == 0) {
      // Stale: still used, but asked for again, of the known holder; forgotten if it does not answer.
      entry->tries = 1;
      entry->deadline_ns = core.now_ns + core.config->arp_retry_ns;
      send_arp(core, kOperationRequest, entry->mac, next_hop);
      update_timer(core);
    }
    return ArpResult::kSent;
  }
  if (entry != nullptr && entry->state == ArpState::kFailed) return ArpResult::kUnreachable;
  if (entry == nullptr) {
    entry = &take_slot(core, next_hop);
    entry->state = ArpState::kIncomplete;
    entry->tries = 1;
    entry->deadline_ns = core.now_ns + core.config->arp_retry_ns;
    send_arp(core, kOperationRequest, nullptr, next_hop);
    update_timer(core);
  }
  if (entry->pending_count == ArpEntry::kPendingMax) {
    ++core.stats().drop_arp_queue_full;
    const TxFrame& oldest = entry->pending[0];
    for (unsigned i = 0; i < oldest.piece_count; ++i) core.pool.release(oldest.pieces[i].packet);
    std::copy(entry->pending + 1, entry->pending + entry->pending_count, entry->pending);
    --entry->pending_count;
  }
  for (unsigned i = 0; i < frame.piece_count; ++i) core.pool.retain(frame.pieces[i].packet);
  entry->pending[entry->pending_count++] = frame;
  return ArpResult::kPending;
}

void arp_input(Core& core, const uint8_t* packet, uint16_t length_bytes) {
  ++core.stats().arp_in_count;
  if (length_bytes < kArpBytes || load_be16(packet) != 1 || load_be16(packet + 2) != kEthertypeIpv4 || packet[4] != 6 ||
      packet[5] != 4) {
    ++core.stats().drop_arp_malformed;
    return;
  }
  const uint16_t operation = load_be16(packet + 6);
  const uint8_t* sender_mac = packet + 8;
  const IpAddress sender = IpAddress::ipv4(load_be32(packet + 14));
  const IpAddress target = IpAddress::ipv4(load_be32(packet + 24));
  if ((sender_mac[0] & 1) != 0 || std::memcmp(sender_mac, core.config->mac, 6) == 0) return;
  const bool for_us = target == core.config->address;
  if (!sender.is_unspecified() && !(sender == core.config->address)) {
    // RFC 826's order: update what is known; learn anew only from what is addressed to us.
    ArpEntry* entry = find(core, sender);
    if (entry == nullptr && for_us) entry = &take_slot(core, sender);
    if (entry != nullptr) learn(core, *entry, sender_mac);
  }
  if (operation == kOperationRequest && for_us && core.config->host_stack != 0) {
    send_arp(core, kOperationReply, sender_mac, sender);
  }
}

void arp_timer_expired(Core& core) {
  for (ArpEntry& entry : core.state->arp.entries) {
    if (entry.state == ArpState::kFree || entry.deadline_ns == 0 || entry.deadline_ns > core.now_ns) continue;
    if (entry.state != ArpState::kFailed && entry.tries < core.config->arp_retry_count) {
      ++entry.tries;
      entry.deadline_ns = core.now_ns + core.config->arp_retry_ns;
      // A stale entry is asked at its known address first, the last time everybody.
      const bool ask_holder = entry.state == ArpState::kReachable && entry.tries < core.config->arp_retry_count;
      send_arp(core, kOperationRequest, ask_holder ? entry.mac : nullptr, entry.address);
    } else if (entry.state == ArpState::kIncomplete) {
      fail(core, entry);
    } else {
      entry.state = ArpState::kFree;  // failed long ago, or was reachable once: the next packet starts anew
      entry.deadline_ns = 0;
    }
  }
  update_timer(core);
}

void arp_announce(Core& core) { send_arp(core, kOperationRequest, nullptr, core.config->address); }

const uint8_t* arp_known_address(const Core& core, const IpAddress& next_hop) {
  for (const ArpEntry& entry : core.state->arp.entries) {
    if (entry.state == ArpState::kReachable && entry.address == next_hop) return entry.mac;
  }
  return nullptr;
}

void arp_confirm(Core& core, const IpAddress& address) {
  ArpEntry* entry = find(core, address);
  if (entry != nullptr && entry->state == ArpState::kReachable && entry->deadline_ns == 0) {
    entry->confirmed_ns = core.now_ns;
  }
}

}  // namespace postern::stack
