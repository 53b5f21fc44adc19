// The last words of a broken stack. A process died while it held the lock, so every list and every packet may be
// half-changed; peers that only receive would never learn of it. This walks the endpoints as an array, believes nothing
// but each connection's addresses and sequence numbers, and sends a reset for each, out of buffers that nothing else
// uses. A peer that finds the sequence number off by a segment asks back (RFC 5961) and gets its answer from the host
// stack once this one has gone.
#include <cstring>

#include "stack/arp.h"
#include "stack/checksum.h"
#include "stack/ethernet.h"
#include "stack/ipv4.h"
#include "stack/stack_impl.h"
#include "stack/tcp_internal.h"
#include "stack/wire_order.h"

namespace postern::stack {
namespace {

// The peer knows of the connection.
bool peer_is_to_be_told(const Endpoint& endpoint) {
  if (endpoint.kind.load(std::memory_order_acquire) != EndpointKind::kTcp) return false;
  switch (static_cast<TcpState>(endpoint.tcp.state)) {
    case TcpState::kSynReceived:
    case TcpState::kEstablished:
    case TcpState::kFinWait1:
    case TcpState::kFinWait2:
    case TcpState::kCloseWait:
    case TcpState::kClosing:
    case TcpState::kLastAck:
      return endpoint.remote.address.family == AddressFamily::kIpv4 && endpoint.remote.port != 0;
    default:
      return false;
  }
}

uint16_t build_reset(const Core& core, const Endpoint& endpoint, const uint8_t* mac, uint8_t* frame) {
  ethernet_emit(frame, mac, core.config->mac, kEthertypeIpv4);
  uint8_t* ip = frame + kEthernetHeaderBytes;
  TcpHeader header;
  header.source_port = endpoint.local.port;
  header.destination_port = endpoint.remote.port;
  header.seq = endpoint.tcp.snd_nxt;
  header.ack = endpoint.tcp.rcv_nxt;
  header.flags = kTcpRst | kTcpAck;
  uint8_t* tcp = ip + kIpv4HeaderBytes;
  const uint16_t tcp_bytes = tcp_emit(tcp, header);
  std::memset(ip, 0, kIpv4HeaderBytes);
  ip[0] = 0x45;
  store_be16(ip + 2, static_cast<uint16_t>(kIpv4HeaderBytes + tcp_bytes));
  ip[6] = 0x40;  // don't fragment
  ip[8] = core.config->ttl;
  ip[9] = kIpProtocolTcp;
  std::memcpy(ip + 12, core.config->address.bytes, 4);
  std::memcpy(ip + 16, endpoint.remote.address.bytes, 4);
  const uint16_t ip_checksum = checksum_finish(checksum_add(0, ip, kIpv4HeaderBytes));
  std::memcpy(ip + 10, &ip_checksum, 2);
  const uint64_t sum = ipv4_pseudo_sum(core.config->address, endpoint.remote.address, kIpProtocolTcp, tcp_bytes);
  const uint16_t tcp_checksum = checksum_finish(checksum_add(sum, tcp, tcp_bytes));
  std::memcpy(tcp + 16, &tcp_checksum, 2);
  return static_cast<uint16_t>(kEthernetHeaderBytes + kIpv4HeaderBytes + tcp_bytes);
}

}  // namespace

uint32_t Stack::reset_peers_of_broken_stack(uint32_t from) {
  Impl& impl = *impl_;
  const Core& core = impl.core;
  const uint32_t count = core.config->endpoint_count;
  if (!is_broken()) return count;
  // Broken by a death in a receive lock: the stack's lock may be in use for a moment longer. It is never given back.
  if (!impl.state().lock.try_lock() && !impl.state().lock.owner_is_dead_or_self()) return from;
  auto* region = reinterpret_cast<uint8_t*>(core.state);
  uint32_t index = from;
  for (; index < count; ++index) {
    const Endpoint& endpoint = core.endpoints[index];
    if (!peer_is_to_be_told(endpoint)) continue;
    const uint8_t* mac = arp_known_address(core, ipv4_next_hop(core, endpoint.remote.address));
    if (mac == nullptr) continue;
    const uint64_t offset = core.state->layout.salvage + uint64_t{index} * kSalvageBytes;
    const uint16_t bytes = build_reset(core, endpoint, mac, region + offset);
    if (!core.netif->transmit_bytes(region + offset, offset, bytes)) break;
  }
  core.netif->flush();
  return index;
}

}  // namespace postern::stack
