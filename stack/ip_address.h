// Addresses of the stack, generic in the family: an IPv6 address is a different tag and 16 bytes instead of 4.
// Plain data: lives in shared memory and is compared bytewise. Bytes are in network order, ports in host order.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace postern::stack {

enum class AddressFamily : uint8_t { kNone = 0, kIpv4 = 4, kIpv6 = 6 };

struct IpAddress {
  AddressFamily family = AddressFamily::kNone;
  uint8_t reserved[3] = {};
  uint8_t bytes[16] = {};  // network order; IPv4 uses the first four, the others stay 0

  // host_order: 10.9.0.1 is 0x0a090001.
  [[nodiscard]] static IpAddress ipv4(uint32_t host_order) {
    IpAddress address;
    address.family = AddressFamily::kIpv4;
    address.bytes[0] = static_cast<uint8_t>(host_order >> 24);
    address.bytes[1] = static_cast<uint8_t>(host_order >> 16);
    address.bytes[2] = static_cast<uint8_t>(host_order >> 8);
    address.bytes[3] = static_cast<uint8_t>(host_order);
    return address;
  }
  // The wildcard of a family (0.0.0.0).
  [[nodiscard]] static IpAddress any_ipv4() { return ipv4(0); }

  [[nodiscard]] uint32_t to_ipv4() const {
    return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
  }
  // No family at all, or the wildcard.
  [[nodiscard]] bool is_unspecified() const {
    uint64_t low = 0;
    uint64_t high = 0;
    std::memcpy(&low, bytes, 8);
    std::memcpy(&high, bytes + 8, 8);
    return (low | high) == 0;
  }
  [[nodiscard]] bool is_multicast() const {
    if (family == AddressFamily::kIpv4) return (bytes[0] & 0xf0) == 0xe0;
    return family == AddressFamily::kIpv6 && bytes[0] == 0xff;
  }

  friend bool operator==(const IpAddress& a, const IpAddress& b) { return std::memcmp(&a, &b, sizeof a) == 0; }
};
static_assert(std::is_trivially_copyable_v<IpAddress> && sizeof(IpAddress) == 20);

struct SocketAddress {
  IpAddress address;
  uint16_t port = 0;  // host order
  uint16_t reserved = 0;

  friend bool operator==(const SocketAddress& a, const SocketAddress& b) {
    return a.port == b.port && a.address == b.address;
  }
};
static_assert(std::is_trivially_copyable_v<SocketAddress> && sizeof(SocketAddress) == 24);

using MacAddress = uint8_t[6];

}  // namespace postern::stack
