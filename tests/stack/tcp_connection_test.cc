// TCP between two stacks: opening, data both ways, every way of closing, resets, errors.
#include "tests/stack/test_network.h"

namespace postern::stack::test {
namespace {

enum LinuxState {
  kEstablished = 1,
  kSynSent,
  kSynRecv,
  kFinWait1,
  kFinWait2,
  kTimeWait,
  kClose,
  kCloseWait,
  kLastAck,
  kListen,
  kClosing
};

TEST(TcpConnectionTest, HandshakeThenDataBothWays) {
  Network net;
  const TcpPair pair = connect_pair(net);
  EXPECT_EQ(tcp_state(net.a, pair.client), kEstablished);
  EXPECT_EQ(net.a.stack->connect(pair.client, net.b.at(80)), 0);
  EXPECT_EQ(net.a.stack->connect(pair.client, net.b.at(80)), -EISCONN);
  EXPECT_EQ(send_text(net.a, pair.client, "request"), 7);
  ASSERT_TRUE(net.run_until([&] { return ready(net.b, pair.server, POLLIN); }));
  EXPECT_EQ(recv_text(net.b, pair.server, 100, MSG_PEEK), "request");
  EXPECT_EQ(recv_text(net.b, pair.server, 3), "req");
  EXPECT_EQ(net.b.stack->readable_bytes(pair.server), 4);
  EXPECT_EQ(recv_text(net.b, pair.server), "uest");
  EXPECT_EQ(recv_text(net.b, pair.server), "-11");
  EXPECT_EQ(send_text(net.b, pair.server, "response"), 8);
  ASSERT_TRUE(net.run_until([&] { return ready(net.a, pair.client, POLLIN); }));
  EXPECT_EQ(recv_text(net.a, pair.client), "response");
  SocketAddress address;
  EXPECT_EQ(net.b.stack->peer_address(pair.server, &address), 0);
  EXPECT_EQ(address, net.a.at(40000));
  EXPECT_EQ(net.b.stack->local_address(pair.server, &address), 0);
  EXPECT_EQ(address, net.b.at(80));
}

TEST(TcpConnectionTest, ConnectToClosedPortIsRefused) {
  Network net;
  const int client = net.a.stack->open(SocketType::kStream);
  EXPECT_EQ(net.a.stack->connect(client, net.b.at(80)), -EINPROGRESS);
  EXPECT_EQ(net.a.stack->connect(client, net.b.at(80)), -EALREADY);
  ASSERT_TRUE(net.run_until([&] { return ready(net.a, client, POLLERR | POLLHUP); }));
  EXPECT_EQ(get_int(net.a, client, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
  EXPECT_EQ(get_int(net.a, client, SOL_SOCKET, SO_ERROR), 0);
  // The socket may try again.
  listen_on(net.b, 80);
  EXPECT_EQ(net.a.stack->connect(client, net.b.at(80)), -EINPROGRESS);
  EXPECT_TRUE(net.run_until([&] { return ready(net.a, client, POLLOUT); }));
}

TEST(TcpConnectionTest, LostSynIsRepeatedWithBackOffAndGivenUp) {
  Network net;
  listen_on(net.b, 80);
  std::vector<uint64_t> times;
  net.filter = [&](const Frame& frame) {
    if (frame.size() > 34 && frame[23] == 6) {
      times.push_back(net.clock.now);
      return false;
    }
    return true;
  };
  const int client = net.a.stack->open(SocketType::kStream);
  const uint64_t start = net.clock.now;
  EXPECT_EQ(net.a.stack->connect(client, net.b.at(80)), -EINPROGRESS);
  ASSERT_TRUE(net.run_until([&] { return ready(net.a, client, POLLERR); }, 300 * kSecond));
  EXPECT_EQ(get_int(net.a, client, SOL_SOCKET, SO_ERROR), ETIMEDOUT);
  ASSERT_EQ(times.size(), 7u);
  const double expected[] = {0, 1, 3, 7, 15, 31, 63};
  for (size_t i = 0; i < times.size(); ++i) {
    EXPECT_NEAR(static_cast<double>(times[i] - start) / 1e9, expected[i], 0.02) << i;
  }
  EXPECT_TRUE(net.a.ports.taken.empty());
}

TEST(TcpConnectionTest, LostSynAckAndLostFinalAckAreRepaired) {
  for (int lost = 2; lost <= 3; ++lost) {
    Network net;
    int count = 0;
    net.filter = [&](const Frame& frame) { return frame[23] != 6 || frame.size() < 40 || ++count != lost; };
    const int listener = listen_on(net.b, 80);
    const int client = net.a.stack->open(SocketType::kStream);
    EXPECT_EQ(net.a.stack->connect(client, net.b.at(80)), -EINPROGRESS);
    EXPECT_TRUE(net.run_until([&] { return ready(net.b, listener, POLLIN); })) << lost;
    EXPECT_TRUE(ready(net.a, client, POLLOUT));
  }
}

TEST(TcpConnectionTest, UnreachableHostFailsTheConnect) {
  Network net;
  const int client = net.a.stack->open(SocketType::kStream);
  EXPECT_EQ(net.a.stack->connect(client, {IpAddress::ipv4(0x0a090063), 80}), -EINPROGRESS);
  ASSERT_TRUE(net.run_until([&] { return ready(net.a, client, POLLERR); }));
  EXPECT_EQ(get_int(net.a, client, SOL_SOCKET, SO_ERROR), EHOSTUNREACH);
}

TEST(TcpConnectionTest, OrderlyCloseReachesTimeWaitAndThenNothing) {
  Network net;
  const TcpPair pair = connect_pair(net);
  EXPECT_EQ(net.a.stack->close(pair.client), 0);
  ASSERT_TRUE(net.run_until([&] { return ready(net.b, pair.server, POLLIN | POLLRDHUP); }));
  EXPECT_EQ(recv_text(net.b, pair.server), "");
  EXPECT_EQ(tcp_state(net.b, pair.server), kCloseWait);
  net.run_for(kMs);
  EXPECT_EQ(net.a.stack->drain_state(), DrainState::kLingering);
  EXPECT_EQ(net.b.stack->close(pair.server), 0);
  net.run_for(10 * kMs);
  EXPECT_EQ(net.a.stack->drain_state(), DrainState::kLingering);  // TIME_WAIT
  EXPECT_FALSE(net.a.ports.taken.empty());
  net.b.stack->close(pair.listener);
  EXPECT_TRUE(net.b.stack->all_closed());
  net.run_for(59 * kSecond);
  EXPECT_FALSE(net.a.stack->all_closed());
  net.run_for(2 * kSecond);
  EXPECT_TRUE(net.a.stack->all_closed());
  EXPECT_TRUE(net.a.ports.taken.empty());
  EXPECT_TRUE(net.b.ports.taken.empty());
}

TEST(TcpConnectionTest, HalfCloseStillCarriesDataTheOtherWay) {
  Network net;
  const TcpPair pair = connect_pair(net);
  send_text(net.a, pair.client, "last words");
  EXPECT_EQ(net.a.stack->shutdown(pair.client, SHUT_WR), 0);
  EXPECT_EQ(send_text(net.a, pair.client, "more"), -EPIPE);
  net.run_for(10 * kMs);
  EXPECT_EQ(tcp_state(net.a, pair.client), kFinWait2);
  EXPECT_EQ(recv_text(net.b, pair.server), "last words");
  EXPECT_EQ(recv_text(net.b, pair.server), "");
  EXPECT_EQ(send_text(net.b, pair.server, "answer"), 6);
  net.run_for(10 * kMs);
  EXPECT_EQ(recv_text(net.a, pair.client), "answer");
  EXPECT_EQ(net.b.stack->shutdown(pair.server, SHUT_WR), 0);
  net.run_for(10 * kMs);
  EXPECT_EQ(recv_text(net.a, pair.client), "");
  EXPECT_EQ(tcp_state(net.a, pair.client), kTimeWait);
  EXPECT_EQ(tcp_state(net.b, pair.server), kClose);
  net.run_for(70 * kSecond);
  EXPECT_EQ(tcp_state(net.a, pair.client), kClose);  // the descriptor keeps the endpoint
  EXPECT_EQ(net.a.stack->close(pair.client), 0);
  EXPECT_TRUE(net.a.stack->all_closed());
}

TEST(TcpConnectionTest, SimultaneousCloseEndsInTimeWaitOnBothSides) {
  Network net;
  const TcpPair pair = connect_pair(net);
  EXPECT_EQ(net.a.stack->shutdown(pair.client, SHUT_WR), 0);
  EXPECT_EQ(net.b.stack->shutdown(pair.server, SHUT_WR), 0);
  net.run_for(10 * kMs);
  EXPECT_EQ(tcp_state(net.a, pair.client), kTimeWait);
  EXPECT_EQ(tcp_state(net.b, pair.server), kTimeWait);
}

TEST(TcpConnectionTest, SimultaneousOpenConnects) {
  Network net;
  const int a = net.a.stack->open(SocketType::kStream);
  const int b = net.b.stack->open(SocketType::kStream);
  ASSERT_EQ(net.a.stack->bind(a, net.a.at(1000)), 0);
  ASSERT_EQ(net.b.stack->bind(b, net.b.at(2000)), 0);
  // Learn the addresses first, so that the SYNs cross.
  const int ping = net.a.stack->open(SocketType::kDatagram);
  const SocketAddress to = net.b.at(9);
  send_bytes(net.a, ping, "x", 1, 0, &to);
  net.run_for(kMs);
  EXPECT_EQ(net.a.stack->connect(a, net.b.at(2000)), -EINPROGRESS);
  EXPECT_EQ(net.b.stack->connect(b, net.a.at(1000)), -EINPROGRESS);
  net.run_for(10 * kMs);
  EXPECT_EQ(tcp_state(net.a, a), kEstablished);
  EXPECT_EQ(tcp_state(net.b, b), kEstablished);
  send_text(net.a, a, "over");
  net.run_for(10 * kMs);
  EXPECT_EQ(recv_text(net.b, b), "over");
}

TEST(TcpConnectionTest, CloseWithUnreadDataResetsThePeer) {
  Network net;
  const TcpPair pair = connect_pair(net);
  send_text(net.a, pair.client, "never read");
  net.run_for(10 * kMs);
  EXPECT_EQ(net.b.stack->close(pair.server), 0);
  ASSERT_TRUE(net.run_until([&] { return ready(net.a, pair.client, POLLERR | POLLHUP); }));
  EXPECT_EQ(recv_text(net.a, pair.client), std::to_string(-ECONNRESET));
  EXPECT_EQ(recv_text(net.a, pair.client), "");
  EXPECT_EQ(send_text(net.a, pair.client, "x"), -EPIPE);
}

TEST(TcpConnectionTest, ZeroLingerResetsThePeer) {
  Network net;
  const TcpPair pair = connect_pair(net);
  const linger option{1, 0};
  EXPECT_EQ(net.a.stack->set_option(pair.client, SOL_SOCKET, SO_LINGER, &option, sizeof option), 0);
  EXPECT_EQ(net.a.stack->close(pair.client), 0);
  EXPECT_TRUE(net.a.stack->all_closed());
  ASSERT_TRUE(net.run_until([&] { return ready(net.b, pair.server, POLLERR); }));
  EXPECT_EQ(get_int(net.b, pair.server, SOL_SOCKET, SO_ERROR), ECONNRESET);
}

TEST(TcpConnectionTest, DataForAClosedDescriptorResetsTheSender) {
  Network net;
  const TcpPair pair = connect_pair(net);
  EXPECT_EQ(net.b.stack->close(pair.server), 0);
  net.run_for(10 * kMs);
  EXPECT_EQ(send_text(net.a, pair.client, "is anybody there?"), 17);
  ASSERT_TRUE(net.run_until([&] { return ready(net.a, pair.client, POLLERR); }));
  EXPECT_EQ(recv_text(net.a, pair.client), std::to_string(-EPIPE));
}

TEST(TcpConnectionTest, ResetDoesNotDiscardDataThatHasArrived) {
  Network net;
  const TcpPair pair = connect_pair(net);
  send_text(net.a, pair.client, "kept");
  net.run_for(10 * kMs);
  const linger option{1, 0};
  (void)net.a.stack->set_option(pair.client, SOL_SOCKET, SO_LINGER, &option, sizeof option);
  net.a.stack->close(pair.client);
  net.run_for(10 * kMs);
  EXPECT_EQ(recv_text(net.b, pair.server), "kept");
  EXPECT_EQ(recv_text(net.b, pair.server), std::to_string(-ECONNRESET));
}

TEST(TcpConnectionTest, BacklogLimitsTheAcceptQueueAndConnectionsWaitForRoom) {
  Network net;
  const int listener = listen_on(net.b, 80, 1);
  std::vector<int> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(net.a.stack->open(SocketType::kStream));
    EXPECT_EQ(net.a.stack->connect(clients.back(), net.b.at(80)), -EINPROGRESS);
  }
  net.run_for(100 * kMs);
  int accepted = 0;
  std::vector<int> servers;
  for (int fd; (fd = net.b.stack->accept(listener, nullptr)) >= 0; ++accepted) servers.push_back(fd);
  EXPECT_EQ(accepted, 2);  // Linux: backlog + 1
  EXPECT_GT(net.b.stack->stats().drop_tcp_backlog_full, 0u);
  net.run_for(10 * kSecond);
  for (int fd; (fd = net.b.stack->accept(listener, nullptr)) >= 0; ++accepted) servers.push_back(fd);
  EXPECT_EQ(accepted, 4);
}

TEST(TcpConnectionTest, ClosingAListenerResetsWhatWasNotAccepted) {
  Network net;
  const int listener = listen_on(net.b, 80);
  const int client = net.a.stack->open(SocketType::kStream);
  EXPECT_EQ(net.a.stack->connect(client, net.b.at(80)), -EINPROGRESS);
  net.run_for(10 * kMs);
  EXPECT_EQ(net.b.stack->close(listener), 0);
  EXPECT_TRUE(net.b.stack->all_closed());
  EXPECT_TRUE(net.b.ports.taken.empty());
  ASSERT_TRUE(net.run_until([&] { return ready(net.a, client, POLLERR); }));
  EXPECT_EQ(get_int(net.a, client, SOL_SOCKET, SO_ERROR), ECONNRESET);
}

TEST(TcpConnectionTest, AcceptedConnectionOutlivesItsListener) {
  Network net;
  const TcpPair pair = connect_pair(net);
  EXPECT_EQ(net.b.stack->close(pair.listener), 0);
  EXPECT_EQ(net.b.ports.taken.size(), 1u);  // the connection still needs the filter
  send_text(net.a, pair.client, "still here");
  net.run_for(10 * kMs);
  EXPECT_EQ(recv_text(net.b, pair.server), "still here");
}

TEST(TcpConnectionTest, OrphanedStackSendsWhatWasQueuedThenDrains) {
  Network net;
  const TcpPair pair = connect_pair(net);
  const std::string text(100'000, 'z');
  EXPECT_EQ(send_text(net.a, pair.client, text), 100'000);
  net.a.stack->orphan();
  EXPECT_EQ(net.a.stack->drain_state(), DrainState::kBusy);
  std::string got;
  ASSERT_TRUE(net.run_until([&] {
    const std::string part = recv_text(net.b, pair.server);
    if (part != "-11") got += part;
    return got.size() >= text.size();
  }));
  EXPECT_EQ(got, text);
  net.run_for(100 * kMs);
  EXPECT_EQ(net.a.stack->drain_state(), DrainState::kLingering);
}

TEST(TcpConnectionTest, TimeWaitEndpointIsRecycledWhenNoneIsFree) {
  Network net(1, [](StackConfig& config) { config.endpoint_count = 4; });
  const int listener = listen_on(net.b, 80);
  for (int i = 0; i < 20; ++i) {
    const int client = net.a.stack->open(SocketType::kStream);
    ASSERT_GE(client, 0) << i;
    ASSERT_EQ(net.a.stack->connect(client, net.b.at(80)), -EINPROGRESS);
    ASSERT_TRUE(net.run_until([&] { return ready(net.b, listener, POLLIN); })) << i;
    const int server = net.b.stack->accept(listener, nullptr);
    ASSERT_GE(server, 0);
    net.a.stack->close(client);
    net.run_for(kMs);
    net.b.stack->close(server);
    net.run_for(kMs);
  }
}

TEST(TcpConnectionTest, KeepaliveEndsADeadConnection) {
  Network net;
  const TcpPair pair = connect_pair(net);
  EXPECT_EQ(set_int(net.a, pair.client, SOL_SOCKET, SO_KEEPALIVE, 1), 0);
  EXPECT_EQ(set_int(net.a, pair.client, IPPROTO_TCP, TCP_KEEPIDLE, 10), 0);
  EXPECT_EQ(set_int(net.a, pair.client, IPPROTO_TCP, TCP_KEEPINTVL, 2), 0);
  EXPECT_EQ(set_int(net.a, pair.client, IPPROTO_TCP, TCP_KEEPCNT, 3), 0);
  net.run_for(100 * kSecond);
  EXPECT_EQ(tcp_state(net.a, pair.client), kEstablished);  // probes are answered
  net.filter = [](const Frame&) { return false; };
  net.run_for(20 * kSecond);
  EXPECT_EQ(get_int(net.a, pair.client, SOL_SOCKET, SO_ERROR), ETIMEDOUT);
}

TEST(TcpConnectionTest, CloseOfAReusedIdWithTheOldGenerationDoesNothing) {
  Network net;
  const int first = net.a.stack->open(SocketType::kStream);
  const uint32_t generation = net.a.stack->generation(first);
  EXPECT_NE(generation, 0u);
  EXPECT_EQ(net.a.stack->close(first), 0);
  EXPECT_EQ(net.a.stack->generation(first), 0u);
  int again = -1;
  while (again != first) {
    again = net.a.stack->open(SocketType::kStream);
    ASSERT_GE(again, 0);
  }
  EXPECT_EQ(net.a.stack->close(again, generation), -EBADF);
  EXPECT_EQ(net.a.stack->close(again, net.a.stack->generation(again)), 0);
}

TEST(TcpConnectionTest, GoneDeviceFailsEveryCall) {
  Network net;
  const TcpPair pair = connect_pair(net);
  net.a.stack->mark_device_gone();
  EXPECT_EQ(send_text(net.a, pair.client, "x"), -ENETDOWN);
  EXPECT_EQ(recv_text(net.a, pair.client), std::to_string(-ENETDOWN));
  EXPECT_EQ(net.a.stack->open(SocketType::kStream), -ENETDOWN);
  EXPECT_TRUE(net.a.stack->must_not_sleep());
  EXPECT_NE(net.a.stack->readiness(pair.client) & POLLERR, 0u);
}

}  // namespace
}  // namespace postern::stack::test
