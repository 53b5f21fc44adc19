// Want of packet buffers: who still gets some, who waits, and that whoever waits hears of it.
#include "tests/stack/test_network.h"

namespace postern::stack::test {
namespace {

// Sends until the stack takes no more. The bytes taken.
size_t fill(Host& host, int endpoint) {
  const std::string block(16384, 'x');
  size_t total = 0;
  for (int64_t taken = 1; taken > 0; total += static_cast<size_t>(std::max<int64_t>(taken, 0))) {
    taken = send_text(host, endpoint, block);
  }
  return total;
}

void small_pool(StackConfig& config) { config.packet_count = 1024; }

TEST(PacketPoolTest, SenderWithoutBuffersIsNotWritableUntilThereAreSome) {
  Network net(1, small_pool);
  TcpPair pairs[5];
  for (unsigned i = 0; i < 5; ++i) pairs[i] = connect_pair(net, static_cast<uint16_t>(80 + i));
  const TcpPair& victim = pairs[4];
  net.filter = [](const Frame&) { return false; };
  for (unsigned i = 0; i < 4; ++i) fill(net.a, pairs[i].client);
  EXPECT_TRUE(ready(net.a, victim.client, POLLOUT));
  EXPECT_GE(fill(net.a, victim.client), 1448u);  // the others do not silence it
  EXPECT_FALSE(ready(net.a, victim.client, POLLOUT));
  const uint32_t activity = net.a.stack->activity(victim.client);
  net.filter = nullptr;
  EXPECT_TRUE(net.run_until([&] {
    for (const TcpPair& pair : pairs) recv_text(net.b, pair.server, 1 << 20);
    return ready(net.a, victim.client, POLLOUT);
  }));
  EXPECT_NE(net.a.stack->activity(victim.client), activity);
  EXPECT_GT(send_text(net.a, victim.client, "more"), 0);
}

TEST(PacketPoolTest, ReadingWakesSendersThatWaitForBuffers) {
  Network net(1, small_pool);
  const int reader = net.a.stack->open(SocketType::kDatagram);
  ASSERT_EQ(net.a.stack->bind(reader, {IpAddress::any_ipv4(), 53}), 0);
  ASSERT_EQ(set_int(net.a, reader, SOL_SOCKET, SO_RCVBUF, 2 << 20), 0);
  const int sender = net.b.stack->open(SocketType::kDatagram);
  const SocketAddress to = net.a.at(53);
  for (unsigned i = 0; i < 1000; ++i) {
    ASSERT_EQ(send_bytes(net.b, sender, "x", 1, 0, &to), 1);
    net.run_for(50'000);
  }
  const int victim = net.a.stack->open(SocketType::kDatagram);
  const SocketAddress other = net.b.at(54);
  ASSERT_EQ(send_bytes(net.a, victim, "x", 1, 0, &other), -EAGAIN);
  EXPECT_FALSE(ready(net.a, victim, POLLOUT));
  const uint32_t activity = net.a.stack->activity(victim);
  for (unsigned i = 0; i < 500; ++i) ASSERT_EQ(recv_text(net.a, reader), "x");  // nobody polls
  EXPECT_TRUE(ready(net.a, victim, POLLOUT));
  EXPECT_NE(net.a.stack->activity(victim), activity);
  EXPECT_EQ(send_bytes(net.a, victim, "x", 1, 0, &other), 1);
}

}  // namespace
}  // namespace postern::stack::test
