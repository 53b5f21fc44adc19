// ICMP (RFC 792): echo replies, port unreachable out, errors in to the sockets that they concern.
#pragma once

#include <cstdint>

namespace postern::stack {

struct Core;
struct Ipv4Packet;

// Takes the packet's reference.
void icmp_input(Core& core, const Ipv4Packet& packet);
// Destination unreachable, port unreachable (type 3 code 3), quoting the packet; not for broadcasts. Does not take it.
void icmp_send_port_unreachable(Core& core, const Ipv4Packet& packet);

}  // namespace postern::stack
