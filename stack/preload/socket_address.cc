// Address conversion at the socket boundary.
#include "stack/preload/socket_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

namespace postern::preload {

AddressForm parse_sockaddr(const sockaddr* address, socklen_t length, stack::SocketAddress* out) {
  if (address == nullptr || length < sizeof(sa_family_t)) {
    return AddressForm::kOther;
  }
  if (address->sa_family == AF_INET && length >= sizeof(sockaddr_in)) {
    sockaddr_in v4;
    std::memcpy(&v4, address, sizeof v4);
    out->address = stack::IpAddress::ipv4(ntohl(v4.sin_addr.s_addr));
    out->port = ntohs(v4.sin_port);
    return AddressForm::kIpv4;
  }
  if (address->sa_family == AF_INET6 && length >= 24) {  // SIN6_LEN_RFC2133: without the scope id
    sockaddr_in6 v6{};
    std::memcpy(&v6, address, std::min<size_t>(length, sizeof v6));
    out->port = ntohs(v6.sin6_port);
    if (IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr)) {
      out->address = stack::IpAddress::any_ipv4();
      return AddressForm::kIpv4;
    }
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
      uint32_t network_order = 0;
      std::memcpy(&network_order, &v6.sin6_addr.s6_addr[12], sizeof network_order);
      out->address = stack::IpAddress::ipv4(ntohl(network_order));
      return AddressForm::kIpv4;
    }
    return AddressForm::kIpv6Only;
  }
  return AddressForm::kOther;
}

void store_sockaddr(const stack::SocketAddress& address, bool as_ipv6, sockaddr* out, socklen_t* length) {
  if (length == nullptr || out == nullptr) {
    return;
  }
  const uint32_t network_order =
      htonl(address.address.family == stack::AddressFamily::kIpv4 ? address.address.to_ipv4() : 0);
  if (!as_ipv6) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(address.port);
    v4.sin_addr.s_addr = network_order;
    std::memcpy(out, &v4, std::min<size_t>(*length, sizeof v4));
    *length = sizeof v4;
    return;
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(address.port);
  if (network_order != 0) {
    v6.sin6_addr.s6_addr[10] = 0xff;
    v6.sin6_addr.s6_addr[11] = 0xff;
    std::memcpy(&v6.sin6_addr.s6_addr[12], &network_order, sizeof network_order);
  }
  std::memcpy(out, &v6, std::min<size_t>(*length, sizeof v6));
  *length = sizeof v6;
}

bool is_loopback(const stack::IpAddress& address) {
  return address.family == stack::AddressFamily::kIpv4 && address.bytes[0] == 127;
}

}  // namespace postern::preload
