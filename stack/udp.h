// UDP (RFC 768). Packet walk: send() copies the datagram into a packet and hands it to IPv4; a received one goes to its
// socket's queue in the buffer that the device wrote.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

#include "stack/ip_address.h"

namespace postern::stack {

struct Core;
struct Endpoint;
struct Ipv4Packet;

constexpr uint16_t kUdpHeaderBytes = 8;
constexpr uint32_t kUdpPayloadBytesMax = 65507;
// What a queued datagram costs of the receive buffer beyond its bytes.
constexpr uint32_t kUdpPacketChargeBytes = 256;

// Takes the packet's reference (and chain).
void udp_input(Core& core, const Ipv4Packet& packet);
// Bytes sent or -errno. The endpoint is bound.
[[nodiscard]] int64_t udp_send(Core& core, Endpoint& endpoint, const iovec* iov, size_t iov_count,
                               const SocketAddress& to);
// An ICMP error about a datagram that we sent.
void udp_icmp_error(Core& core, const SocketAddress& local, const SocketAddress& remote, int error);

}  // namespace postern::stack
