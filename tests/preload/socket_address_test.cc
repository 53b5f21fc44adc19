// Addresses at the socket boundary: families, mapped addresses, short buffers.
#include "stack/preload/socket_address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

namespace postern::preload {
namespace {

sockaddr_in ipv4(const char* text, uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  ::inet_pton(AF_INET, text, &address.sin_addr);
  return address;
}

sockaddr_in6 ipv6(const char* text, uint16_t port) {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port);
  ::inet_pton(AF_INET6, text, &address.sin6_addr);
  return address;
}

template <typename Address>
AddressForm parse(const Address& address, socklen_t length, stack::SocketAddress* out) {
  return parse_sockaddr(reinterpret_cast<const sockaddr*>(&address), length, out);
}

TEST(SocketAddressTest, Ipv4IsRead) {
  stack::SocketAddress out;
  EXPECT_EQ(parse(ipv4("10.9.0.1", 80), sizeof(sockaddr_in), &out), AddressForm::kIpv4);
  EXPECT_EQ(out.address, stack::IpAddress::ipv4(0x0a090001));
  EXPECT_EQ(out.port, 80);
}

TEST(SocketAddressTest, MappedAndWildcardIpv6AreIpv4) {
  stack::SocketAddress out;
  EXPECT_EQ(parse(ipv6("::ffff:10.9.0.2", 81), sizeof(sockaddr_in6), &out), AddressForm::kIpv4);
  EXPECT_EQ(out.address, stack::IpAddress::ipv4(0x0a090002));
  EXPECT_EQ(parse(ipv6("::", 82), sizeof(sockaddr_in6), &out), AddressForm::kIpv4);
  EXPECT_TRUE(out.address.is_unspecified());
  EXPECT_EQ(out.port, 82);
}

TEST(SocketAddressTest, TrueIpv6AndShortOrForeignAddressesAreToldApart) {
  stack::SocketAddress out;
  EXPECT_EQ(parse(ipv6("fe80::1", 1), sizeof(sockaddr_in6), &out), AddressForm::kIpv6Only);
  EXPECT_EQ(parse(ipv4("10.9.0.1", 1), 8, &out), AddressForm::kOther);
  sockaddr_in unspecified = ipv4("10.9.0.1", 1);
  unspecified.sin_family = AF_UNSPEC;
  EXPECT_EQ(parse(unspecified, sizeof unspecified, &out), AddressForm::kOther);
  EXPECT_EQ(parse_sockaddr(nullptr, 16, &out), AddressForm::kOther);
}

TEST(SocketAddressTest, StoringCutsToTheBufferAndTellsTheFullSize) {
  stack::SocketAddress address;
  address.address = stack::IpAddress::ipv4(0x0a090001);
  address.port = 8080;
  sockaddr_in out{};
  socklen_t length = 4;
  store_sockaddr(address, false, reinterpret_cast<sockaddr*>(&out), &length);
  EXPECT_EQ(length, sizeof(sockaddr_in));
  EXPECT_EQ(ntohs(out.sin_port), 8080);
  EXPECT_EQ(out.sin_addr.s_addr, 0u);
}

TEST(SocketAddressTest, Ipv6NamesAreMappedAndTheWildcardIsColons) {
  stack::SocketAddress address;
  address.address = stack::IpAddress::ipv4(0x0a090001);
  address.port = 1;
  sockaddr_in6 out{};
  socklen_t length = sizeof out;
  store_sockaddr(address, true, reinterpret_cast<sockaddr*>(&out), &length);
  char text[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(AF_INET6, &out.sin6_addr, text, sizeof text);
  EXPECT_STREQ(text, "::ffff:10.9.0.1");
  address.address = stack::IpAddress::any_ipv4();
  store_sockaddr(address, true, reinterpret_cast<sockaddr*>(&out), &length);
  EXPECT_TRUE(IN6_IS_ADDR_UNSPECIFIED(&out.sin6_addr));
}

}  // namespace
}  // namespace postern::preload
