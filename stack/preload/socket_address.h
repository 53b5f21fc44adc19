// sockaddr <-> the stack's addresses. An application's IPv6 socket that the NIC serves sees IPv4 peers as mapped
// addresses (::ffff:a.b.c.d, RFC 4291 2.5.5.2), as on a dual-stack Linux socket.
#pragma once

#include <sys/socket.h>

#include "stack/ip_address.h"

namespace postern::preload {

enum class AddressForm {
  kIpv4,      // AF_INET, or a mapped address or the wildcard in AF_INET6
  kIpv6Only,  // a true IPv6 address: the kernel's
  kOther,     // another family, or too short
};

// Reads an address. *out is set for kIpv4 only (:: becomes 0.0.0.0).
[[nodiscard]] AddressForm parse_sockaddr(const sockaddr* address, socklen_t length, stack::SocketAddress* out);

// Writes an address as the socket's family shows it, cut to *length; *length becomes the full size. Either pointer may
// be null: nothing happens.
void store_sockaddr(const stack::SocketAddress& address, bool as_ipv6, sockaddr* out, socklen_t* length);

// 127.0.0.0/8.
[[nodiscard]] bool is_loopback(const stack::IpAddress& address);

}  // namespace postern::preload
