// UDP over the in-memory wire: delivery, truncation, connected sockets, errors, limits, fragments.
#include "tests/stack/test_network.h"

namespace postern::stack::test {
namespace {

int udp_on(Host& host, uint16_t port) {
  const int endpoint = host.stack->open(SocketType::kDatagram);
  EXPECT_EQ(host.stack->bind(endpoint, {IpAddress::any_ipv4(), port}), 0);
  return endpoint;
}

TEST(UdpTest, DatagramArrivesWithItsSender) {
  Network net;
  const int server = udp_on(net.b, 7);
  const int client = net.a.stack->open(SocketType::kDatagram);
  const SocketAddress to = net.b.at(7);
  EXPECT_EQ(send_bytes(net.a, client, "hello", 5, 0, &to), 5);
  ASSERT_TRUE(net.run_until([&] { return ready(net.b, server, POLLIN); }));
  EXPECT_EQ(net.b.stack->readable_bytes(server), 5);
  char buffer[16] = {};
  RecvInfo info;
  EXPECT_EQ(recv_bytes(net.b, server, buffer, sizeof buffer, 0, &info), 5);
  EXPECT_STREQ(buffer, "hello");
  EXPECT_EQ(info.from, net.a.at(40000));
  EXPECT_EQ(recv_bytes(net.b, server, buffer, sizeof buffer), -EAGAIN);
}

TEST(UdpTest, ShortBufferTruncatesTheDatagramAndSaysSo) {
  Network net;
  const int server = udp_on(net.b, 7);
  const int client = net.a.stack->open(SocketType::kDatagram);
  EXPECT_EQ(net.a.stack->connect(client, net.b.at(7)), 0);
  EXPECT_EQ(send_text(net.a, client, "0123456789"), 10);
  EXPECT_EQ(send_text(net.a, client, "next"), 4);
  ASSERT_TRUE(net.run_until([&] { return ready(net.b, server, POLLIN); }));
  char buffer[4];
  RecvInfo info;
  EXPECT_EQ(recv_bytes(net.b, server, buffer, 4, MSG_PEEK | MSG_TRUNC, &info), 10);
  EXPECT_EQ(recv_bytes(net.b, server, buffer, 4, 0, &info), 4);
  EXPECT_EQ(info.msg_flags, MSG_TRUNC);
  net.run_for(kMs);
  EXPECT_EQ(recv_text(net.b, server), "next");
}

TEST(UdpTest, EmptyDatagramIsDeliveredAsZeroBytes) {
  Network net;
  const int server = udp_on(net.b, 7);
  const int client = net.a.stack->open(SocketType::kDatagram);
  ASSERT_EQ(net.a.stack->connect(client, net.b.at(7)), 0);
  EXPECT_EQ(send_bytes(net.a, client, "", 0), 0);
  ASSERT_TRUE(net.run_until([&] { return ready(net.b, server, POLLIN); }));
  EXPECT_EQ(recv_text(net.b, server), "");
  EXPECT_EQ(recv_text(net.b, server), "-11");
}

TEST(UdpTest, ConnectedSocketSeesOnlyItsPeer) {
  Network net;
  const int server = udp_on(net.b, 7);
  ASSERT_EQ(net.b.stack->connect(server, net.a.at(5000)), 0);
  const int stranger = udp_on(net.a, 6000);
  const int peer = udp_on(net.a, 5000);
  const SocketAddress to = net.b.at(7);
  send_bytes(net.a, stranger, "no", 2, 0, &to);
  send_bytes(net.a, peer, "yes", 3, 0, &to);
  net.run_for(10 * kMs);
  EXPECT_EQ(recv_text(net.b, server), "yes");
  EXPECT_EQ(recv_text(net.b, server), "-11");
  EXPECT_EQ(net.b.stack->stats().drop_udp_no_socket, 1u);
}

TEST(UdpTest, ClosedPortAnswersAndConnectedSenderGetsConnectionRefused) {
  Network net;
  const int client = net.a.stack->open(SocketType::kDatagram);
  ASSERT_EQ(net.a.stack->connect(client, net.b.at(9)), 0);
  EXPECT_EQ(send_text(net.a, client, "anyone?"), 7);
  ASSERT_TRUE(net.run_until([&] { return ready(net.a, client, POLLERR); }));
  EXPECT_EQ(recv_text(net.a, client), std::to_string(-ECONNREFUSED));
  EXPECT_EQ(recv_text(net.a, client), "-11");
}

TEST(UdpTest, UnansweredArpFailsWithHostUnreachable) {
  Network net;
  const int client = net.a.stack->open(SocketType::kDatagram);
  ASSERT_EQ(net.a.stack->connect(client, {IpAddress::ipv4(0x0a090063), 9}), 0);
  EXPECT_EQ(send_text(net.a, client, "anyone?"), 7);
  const uint64_t start = net.clock.now;
  ASSERT_TRUE(net.run_until([&] { return ready(net.a, client, POLLERR); }));
  EXPECT_NEAR(static_cast<double>(net.clock.now - start), 3e9, 0.1e9);  // three requests, a second apart
  EXPECT_EQ(get_int(net.a, client, SOL_SOCKET, SO_ERROR), EHOSTUNREACH);
  EXPECT_EQ(send_text(net.a, client, "still?"), -EHOSTUNREACH);
}

TEST(UdpTest, FullReceiveQueueDropsAndCounts) {
  Network net(1, [](StackConfig& config) { config.udp_receive_buffer_bytes = 4096; });
  const int server = udp_on(net.b, 7);
  const int client = net.a.stack->open(SocketType::kDatagram);
  ASSERT_EQ(net.a.stack->connect(client, net.b.at(7)), 0);
  const std::string text(1000, 'x');
  for (int i = 0; i < 10; ++i) {
    send_text(net.a, client, text);
    net.run_for(kMs);
  }
  int received = 0;
  while (recv_text(net.b, server) == text) ++received;
  EXPECT_EQ(received, 3);
  EXPECT_EQ(net.b.stack->stats().drop_udp_queue_full, 7u);
}

TEST(UdpTest, LongDatagramTravelsInFragmentsAndIsReassembled) {
  Network net(3);
  net.to_b.reorder = 0.3;
  const int server = udp_on(net.b, 7);
  const int client = net.a.stack->open(SocketType::kDatagram);
  ASSERT_EQ(net.a.stack->connect(client, net.b.at(7)), 0);
  std::string text(60000, ' ');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + i % 23);
  send_text(net.a, client, "resolve the address first");
  net.run_for(kMs);
  EXPECT_EQ(recv_text(net.b, server).size(), 25u);
  EXPECT_EQ(send_text(net.a, client, text), 60000);
  ASSERT_TRUE(net.run_until([&] { return ready(net.b, server, POLLIN); }));
  EXPECT_EQ(recv_text(net.b, server), text);
  EXPECT_EQ(net.b.stack->stats().ip_reassembled_count, 1u);
}

TEST(UdpTest, LostFragmentIsGivenUpAndItsBuffersComeBack) {
  Network net;
  const int server = udp_on(net.b, 7);
  const int client = net.a.stack->open(SocketType::kDatagram);
  ASSERT_EQ(net.a.stack->connect(client, net.b.at(7)), 0);
  send_text(net.a, client, "x");
  net.run_for(kMs);
  recv_text(net.b, server);
  int count = 0;
  net.filter = [&](const Frame&) { return ++count != 2; };
  EXPECT_EQ(send_text(net.a, client, std::string(5000, 'y')), 5000);
  net.run_for(40 * kSecond);
  EXPECT_FALSE(ready(net.b, server, POLLIN));
  EXPECT_EQ(net.b.stack->stats().drop_ip_reassembly, 3u);
}

TEST(UdpTest, PortsAreReleasedAtClose) {
  Network net;
  const int first = udp_on(net.b, 7);
  EXPECT_EQ(net.b.stack->close(first), 0);
  EXPECT_TRUE(net.b.ports.taken.empty());
  EXPECT_TRUE(net.b.stack->all_closed());
  EXPECT_EQ(net.b.stack->readiness(first), static_cast<uint32_t>(POLLNVAL));
  udp_on(net.b, 7);
}

TEST(UdpTest, FullTxRingQueuesThenRefusesAndRecovers) {
  Network net;
  const int server = udp_on(net.b, 7);
  const int client = net.a.stack->open(SocketType::kDatagram);
  ASSERT_EQ(net.a.stack->connect(client, net.b.at(7)), 0);
  send_text(net.a, client, "x");
  net.run_for(kMs);
  net.a.netif.ring_full = true;
  int accepted = 0;
  while (send_text(net.a, client, "payload") == 7) ++accepted;
  EXPECT_GE(accepted, 200);
  EXPECT_FALSE(ready(net.a, client, POLLOUT));
  const uint32_t activity = net.a.stack->activity(client);
  net.a.netif.ring_full = false;
  net.run_for(kMs);
  EXPECT_TRUE(ready(net.a, client, POLLOUT));
  EXPECT_NE(net.a.stack->activity(client), activity);
  EXPECT_TRUE(ready(net.b, server, POLLIN));
}

TEST(UdpTest, BroadcastNeedsPermission) {
  Network net;
  const int client = net.a.stack->open(SocketType::kDatagram);
  const int server = udp_on(net.b, 7);
  const SocketAddress everybody{IpAddress::ipv4(0x0a0900ff), 7};
  EXPECT_EQ(send_bytes(net.a, client, "x", 1, 0, &everybody), -EACCES);
  EXPECT_EQ(set_int(net.a, client, SOL_SOCKET, SO_BROADCAST, 1), 0);
  EXPECT_EQ(send_bytes(net.a, client, "x", 1, 0, &everybody), 1);
  net.run_for(kMs);
  EXPECT_EQ(recv_text(net.b, server), "x");
}

TEST(UdpTest, NoRouteIsNetworkUnreachable) {
  Network net;
  const int client = net.a.stack->open(SocketType::kDatagram);
  EXPECT_EQ(net.a.stack->connect(client, {IpAddress::ipv4(0x08080808), 53}), -ENETUNREACH);
}

TEST(UdpTest, DatagramsBeforeTheAddressIsResolvedAreTakenAndTheNewestArrive) {
  Network net;
  const int receiver = net.b.stack->open(SocketType::kDatagram);
  ASSERT_EQ(net.b.stack->bind(receiver, {IpAddress::any_ipv4(), 9}), 0);
  const int sender = net.a.stack->open(SocketType::kDatagram);
  const SocketAddress to = net.b.at(9);
  for (unsigned char i = 0; i < 200; ++i) ASSERT_EQ(send_bytes(net.a, sender, &i, 1, 0, &to), 1);
  net.run_for(10 * kMs);
  for (unsigned char i = 200 - 64; i < 200; ++i)
    EXPECT_EQ(recv_text(net.b, receiver), std::string(1, static_cast<char>(i)));
  EXPECT_EQ(net.a.stack->stats().drop_arp_queue_full, 200u - 64);
  // One large datagram in fragments fits.
  Network fresh;
  const int large_receiver = fresh.b.stack->open(SocketType::kDatagram);
  ASSERT_EQ(fresh.b.stack->bind(large_receiver, {IpAddress::any_ipv4(), 9}), 0);
  const int large_sender = fresh.a.stack->open(SocketType::kDatagram);
  const std::string large(65'000, 'x');
  ASSERT_EQ(send_bytes(fresh.a, large_sender, large.data(), large.size(), 0, &to), 65'000);
  fresh.run_for(10 * kMs);
  EXPECT_EQ(recv_text(fresh.b, large_receiver).size(), 65'000u);
}

}  // namespace
}  // namespace postern::stack::test
