// Format, attach, socket options, lengths, what the calls say about wrong use.
#include "stack/stack.h"

#include "tests/stack/test_network.h"

namespace postern::stack::test {
namespace {

TEST(StackTest, FormatRefusesBadConfigurationWithARemedy) {
  Region region(1 << 20);
  StackConfig config = test_config(1);
  EXPECT_FALSE(Stack::format(region.base(), 4096, config).ok());
  config.mtu_bytes = 9000;
  EXPECT_NE(Stack::format(region.base(), region.bytes(), config).error().message.find("1500"), std::string::npos);
  config = test_config(1);
  config.packet_count = 100;
  EXPECT_NE(Stack::format(region.base(), region.bytes(), config).error().message.find("packet_count"),
            std::string::npos);
}

TEST(StackTest, AttachChecksMagicAndSize) {
  TestClock clock;
  TestInterface netif;
  const StackConfig config = test_config(1);
  Region region(Stack::region_bytes(config));
  StackParts parts;
  parts.region = region.base();
  parts.region_bytes = region.bytes();
  parts.clock = &clock;
  parts.netif = &netif;
  EXPECT_NE(Stack::attach(parts).error().message.find("format"), std::string::npos);
  ASSERT_TRUE(Stack::format(region.base(), region.bytes(), config).ok());
  EXPECT_TRUE(Stack::attach(parts).ok());
  parts.region_bytes -= 4096;
  EXPECT_FALSE(Stack::attach(parts).ok());
}

TEST(StackTest, OptionsKeepTheirValues) {
  Network net;
  const int socket = net.a.stack->open(SocketType::kStream);
  for (const auto& [level, name] : std::initializer_list<std::pair<int, int>>{{SOL_SOCKET, SO_REUSEADDR},
                                                                              {SOL_SOCKET, SO_KEEPALIVE},
                                                                              {IPPROTO_TCP, TCP_NODELAY},
                                                                              {IPPROTO_TCP, TCP_CORK}}) {
    EXPECT_EQ(get_int(net.a, socket, level, name), 0);
    EXPECT_EQ(set_int(net.a, socket, level, name, 5), 0);
    EXPECT_EQ(get_int(net.a, socket, level, name), 1);
  }
  EXPECT_EQ(set_int(net.a, socket, SOL_SOCKET, SO_RCVBUF, 100'000), 0);
  EXPECT_EQ(get_int(net.a, socket, SOL_SOCKET, SO_RCVBUF), 200'000);
  EXPECT_EQ(get_int(net.a, socket, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
  EXPECT_EQ(get_int(net.a, socket, SOL_SOCKET, SO_ACCEPTCONN), 0);
  EXPECT_EQ(get_int(net.a, socket, IPPROTO_TCP, TCP_KEEPIDLE), 7200);
  EXPECT_EQ(set_int(net.a, socket, IPPROTO_TCP, TCP_KEEPIDLE, 0), -EINVAL);
  EXPECT_EQ(set_int(net.a, socket, IPPROTO_TCP, TCP_KEEPIDLE, 32768), -EINVAL);
  EXPECT_EQ(set_int(net.a, socket, IPPROTO_TCP, TCP_KEEPINTVL, 32768), -EINVAL);
  EXPECT_EQ(set_int(net.a, socket, IPPROTO_TCP, TCP_KEEPCNT, 128), -EINVAL);
  EXPECT_EQ(set_int(net.a, socket, IPPROTO_TCP, TCP_KEEPCNT, 127), 0);
  EXPECT_EQ(set_int(net.a, socket, IPPROTO_TCP, TCP_SYNCNT, 128), -EINVAL);
  EXPECT_EQ(set_int(net.a, socket, SOL_SOCKET, 9999, 1), -ENOPROTOOPT);
  const timeval time{2, 500'000};
  EXPECT_EQ(net.a.stack->set_option(socket, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time), 0);
  timeval got{};
  socklen_t length = sizeof got;
  EXPECT_EQ(net.a.stack->get_option(socket, SOL_SOCKET, SO_RCVTIMEO, &got, &length), 0);
  EXPECT_EQ(got.tv_sec, 2);
  EXPECT_EQ(got.tv_usec, 500'000);
  char name[16] = {};
  length = sizeof name;
  EXPECT_EQ(net.a.stack->get_option(socket, IPPROTO_TCP, TCP_CONGESTION, name, &length), 0);
  EXPECT_STREQ(name, "reno");
}

TEST(StackTest, WrongUseGetsLinuxErrors) {
  Network net;
  const int tcp = net.a.stack->open(SocketType::kStream);
  const int udp = net.a.stack->open(SocketType::kDatagram);
  EXPECT_EQ(net.a.stack->bind(999, net.a.at(1)), -EBADF);
  EXPECT_EQ(net.a.stack->bind(-1, net.a.at(1)), -EBADF);
  EXPECT_EQ(net.a.stack->bind(tcp, net.b.at(1)), -EADDRNOTAVAIL);
  EXPECT_EQ(net.a.stack->bind(tcp, net.a.at(1)), 0);
  EXPECT_EQ(net.a.stack->bind(tcp, net.a.at(2)), -EINVAL);
  const int second = net.a.stack->open(SocketType::kStream);
  EXPECT_EQ(net.a.stack->bind(second, net.a.at(1)), -EADDRINUSE);
  EXPECT_EQ(net.a.stack->listen(udp, 1), -EOPNOTSUPP);
  EXPECT_EQ(net.a.stack->accept(tcp, nullptr), -EINVAL);
  EXPECT_EQ(send_text(net.a, tcp, "x"), -ENOTCONN);
  EXPECT_EQ(recv_text(net.a, tcp), std::to_string(-ENOTCONN));
  EXPECT_EQ(send_text(net.a, udp, "x"), -EDESTADDRREQ);
  EXPECT_EQ(net.a.stack->shutdown(tcp, SHUT_WR), -ENOTCONN);
  SocketAddress address;
  EXPECT_EQ(net.a.stack->peer_address(tcp, &address), -ENOTCONN);
  EXPECT_EQ(net.a.stack->readiness(tcp), static_cast<uint32_t>(POLLOUT | POLLWRNORM | POLLHUP));  // as Linux
}

TEST(StackTest, AllEndpointsInUseIsReported) {
  Network net;
  int count = 0;
  while (net.a.stack->open(SocketType::kDatagram) >= 0) ++count;
  EXPECT_EQ(count, 64);
  EXPECT_EQ(net.a.stack->open(SocketType::kStream), -ENFILE);
  EXPECT_EQ(net.a.stack->close(7), 0);
  EXPECT_EQ(net.a.stack->open(SocketType::kStream), 7);
}

TEST(StackTest, SleeperPrimesAndIsHeldBackByWork) {
  Network net;
  const int server = net.b.stack->open(SocketType::kDatagram);
  ASSERT_EQ(net.b.stack->bind(server, {IpAddress::any_ipv4(), 7}), 0);
  net.b.stack->begin_sleep();
  EXPECT_EQ(net.b.stack->sleepers(), 1u);
  EXPECT_EQ(net.b.netif.primes_count, 1u);
  EXPECT_FALSE(net.b.stack->must_not_sleep());
  net.b.netif.arrived.push_back(Frame(60));
  EXPECT_TRUE(net.b.stack->must_not_sleep());
  net.b.stack->end_sleep();
  EXPECT_EQ(net.b.stack->sleepers(), 0u);
}

TEST(StackTest, AbortAllResetsEveryConnection) {
  Network net;
  const TcpPair pair = connect_pair(net);
  net.b.stack->abort_all();
  EXPECT_TRUE(net.b.stack->all_closed());
  EXPECT_TRUE(net.b.ports.taken.empty());
  ASSERT_TRUE(net.run_until([&] { return ready(net.a, pair.client, POLLERR); }));
}

}  // namespace
}  // namespace postern::stack::test
