// Want of packet buffers: who still gets some, who waits, and that whoever waits hears of it.
#include "stack/region.h"
#include "tests/stack/scripted_peer.h"

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
  constexpr uint16_t kReaders = 60;
  int readers[kReaders];
  const int sender = net.b.stack->open(SocketType::kDatagram);
  for (uint16_t i = 0; i < kReaders; ++i) {
    readers[i] = net.a.stack->open(SocketType::kDatagram);
    const auto port = static_cast<uint16_t>(100 + i);
    ASSERT_EQ(net.a.stack->bind(readers[i], {IpAddress::any_ipv4(), port}), 0);
    const SocketAddress to = net.a.at(port);
    for (unsigned n = 0; n < 250; ++n) {
      ASSERT_EQ(send_bytes(net.b, sender, "x", 1, 0, &to), 1);
      net.run_for(50'000);
    }
  }
  const int victim = net.a.stack->open(SocketType::kDatagram);
  const SocketAddress other = net.b.at(54);
  ASSERT_EQ(send_bytes(net.a, victim, "x", 1, 0, &other), -EAGAIN);
  EXPECT_FALSE(ready(net.a, victim, POLLOUT));
  const uint32_t activity = net.a.stack->activity(victim);
  for (const int reader : readers) {  // nobody polls
    while (recv_text(net.a, reader) == "x") {
    }
  }
  EXPECT_TRUE(ready(net.a, victim, POLLOUT));
  EXPECT_NE(net.a.stack->activity(victim), activity);
  EXPECT_EQ(send_bytes(net.a, victim, "x", 1, 0, &other), 1);
}

TEST(PacketPoolTest, UnreadConnectionsDoNotStarveOneThatIsRead) {
  Network net(1, small_pool);
  constexpr unsigned kUnread = 20;
  TcpPair pairs[kUnread + 1];
  for (unsigned i = 0; i <= kUnread; ++i) pairs[i] = connect_pair(net, static_cast<uint16_t>(80 + i));
  size_t sent[kUnread] = {};
  for (unsigned round = 0; round < 50; ++round) {
    for (unsigned i = 0; i < kUnread; ++i) sent[i] += fill(net.a, pairs[i].client);
    net.run_for(100 * kMs);
  }
  const TcpPair& busy = pairs[kUnread];
  size_t received = 0;
  const uint64_t start = net.clock.now;
  EXPECT_TRUE(net.run_until(
      [&] {
        fill(net.a, busy.client);
        const std::string got = recv_text(net.b, busy.server, 1 << 20);
        if (got[0] == 'x') received += got.size();
        return received >= 200'000;
      },
      20 * kSecond))
      << received << " bytes in " << (net.clock.now - start) / kMs << " ms";
  // The others have waited long; nothing of theirs is lost, and nobody gave up.
  net.run_for(2000 * kSecond);
  for (unsigned i = 0; i < kUnread; ++i) {
    size_t got = 0;
    EXPECT_TRUE(net.run_until(
        [&] {
          const std::string text = recv_text(net.b, pairs[i].server, 1 << 20);
          if (text[0] == 'x') got += text.size();
          return got >= sent[i];
        },
        300 * kSecond))
        << i << ": " << got << " of " << sent[i] << ", client error "
        << get_int(net.a, pairs[i].client, SOL_SOCKET, SO_ERROR);
  }
}

TEST(PacketPoolTest, AcknowledgementWithoutABufferIsSentLater) {
  ScriptedPeer peer;
  peer.establish();
  auto* region = static_cast<uint8_t*>(peer.host.region.base());
  auto* state = reinterpret_cast<StackState*>(region);
  auto* packets = reinterpret_cast<Packet*>(region + state->layout.packets);
  // One buffer for what arrives, none for the answer.
  std::atomic<uint32_t>& next = packets[state->pool.free_head].next;
  const uint32_t rest = next.exchange(kNoPacket);
  peer.data_in("behind a gap", 100);
  EXPECT_TRUE(peer.sent.empty());
  state->pool.free_head = rest;
  peer.run_for(5 * kMs);
  ASSERT_EQ(peer.sent.size(), 1u) << peer.describe();
  EXPECT_EQ(peer.sent[0].header.ack, peer.peer_seq);
}

}  // namespace
}  // namespace postern::stack::test
