// IPv4 (RFC 791): parse checked, emit, routing to the subnet or the gateway, fragments out; fragments in are in
// ipv4_reassembly.h. Packet walk: between transport and Ethernet, both ways.
#pragma once

#include <cstdint>

#include "stack/ip_address.h"
#include "stack/network_interface.h"

namespace postern::stack {

struct Core;

constexpr uint16_t kIpv4HeaderBytes = 20;
constexpr uint8_t kIpProtocolIcmp = 1;
constexpr uint8_t kIpProtocolTcp = 6;
constexpr uint8_t kIpProtocolUdp = 17;

struct Ipv4Header {
  IpAddress source;
  IpAddress destination;
  uint8_t protocol = 0;
  uint8_t ttl = 0;
  uint8_t tos = 0;
  uint8_t header_bytes = 0;
  uint16_t total_bytes = 0;
  uint16_t id = 0;
  uint16_t fragment_offset_bytes = 0;
  bool more_fragments = false;
  bool dont_fragment = false;
};

// A packet on its way up: where its parts are.
struct Ipv4Packet {
  Ipv4Header header;
  uint32_t packet = 0;          // owned by whoever has this struct
  const uint8_t* l3 = nullptr;  // IP header
  const uint8_t* payload = nullptr;
  uint16_t payload_bytes = 0;         // in this buffer; the rest of a reassembled datagram is in the packet's chain
  uint16_t payload_offset_bytes = 0;  // within the buffer
  bool to_broadcast = false;
  ChecksumResult checksum_l4 = ChecksumResult::kNone;
};

// False if the header is malformed. Does not verify the checksum.
[[nodiscard]] bool ipv4_parse(const uint8_t* data, uint16_t length_bytes, Ipv4Header* header);

struct Ipv4Send {
  IpAddress source;
  IpAddress destination;
  uint8_t protocol = 0;
  uint8_t ttl = 64;
  uint8_t tos = 0;
  bool dont_fragment = true;
};

enum class SendResult : uint8_t { kOk, kUnreachable, kDropped };

// True if destinations can be sent to at all: on the subnet, broadcast, or through the gateway.
[[nodiscard]] bool ipv4_has_route(const Core& core, const IpAddress& destination);
// Who gets a unicast packet for the destination on the wire; family kNone: nobody.
[[nodiscard]] IpAddress ipv4_next_hop(const Core& core, const IpAddress& destination);
[[nodiscard]] bool ipv4_is_broadcast(const Core& core, const IpAddress& address);

// Puts IP and Ethernet headers in front of the transport header at l4_offset_bytes of pieces[0]'s buffer and sends. On
// entry pieces[0] covers transport header (and payload); on return it covers the frame. Takes its own references.
SendResult ipv4_send(Core& core, const Ipv4Send& send, TxFrame frame);
// One fragment of a datagram: length_bytes of its payload, at_bytes (a multiple of 8) from its start, which lie at
// offset_bytes of the packet's buffer. All fragments of a datagram share an id.
SendResult ipv4_send_fragment(Core& core, const Ipv4Send& send, uint32_t packet, uint16_t offset_bytes,
                              uint16_t length_bytes, uint16_t id, uint16_t at_bytes, bool more);
// The sum of the pseudo header, to start a transport checksum with.
[[nodiscard]] uint64_t ipv4_pseudo_sum(const IpAddress& source, const IpAddress& destination, uint8_t protocol,
                                       uint16_t l4_bytes);

// Takes the packet's reference.
void ipv4_input(Core& core, const RxFrame& frame);

}  // namespace postern::stack
