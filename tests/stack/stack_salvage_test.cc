// A stack whose lock's owner died: the peers of its connections are told, whatever its lists look like.
#include <sys/wait.h>
#include <unistd.h>

#include "stack/region.h"
#include "tests/stack/test_network.h"

namespace postern::stack::test {
namespace {

StackState& state_of(Host& host) { return *static_cast<StackState*>(host.region.base()); }

// A process takes the stack's lock and ends.
void die_with_the_lock(Host& host) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) _exit(state_of(host).lock.try_lock() ? 0 : 1);
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
}

TEST(StackSalvageTest, PeersOfABrokenStackAreReset) {
  Network net;
  const TcpPair receiver = connect_pair(net, 80);
  const TcpPair second = connect_pair(net, 81);
  send_text(net.a, receiver.client, std::string(50'000, 'x'));
  net.run_for(kSecond);
  EXPECT_EQ(net.a.stack->reset_peers_of_broken_stack(0),
            net.a.config.endpoint_count);  // nothing is broken: nothing happens
  net.run_for(kMs);
  EXPECT_FALSE(ready(net.b, second.server, POLLERR));

  die_with_the_lock(net.a);
  // What the dead process was changing.
  state_of(net.a).pool.free_head = 0x12345678;
  state_of(net.a).output_waiting_head = 0x12345678;
  state_of(net.a).time_wait_head = 0x12345678;
  state_of(net.a).tx_backlog.count = 77;
  EXPECT_EQ(net.a.stack->open(SocketType::kStream), -ENETDOWN);
  ASSERT_TRUE(net.a.stack->is_broken());
  net.a.stack->abort_all();  // the orderly way needs the lock
  net.run_for(kSecond);
  EXPECT_FALSE(ready(net.b, second.server, POLLERR));
  EXPECT_EQ(net.a.stack->reset_peers_of_broken_stack(0), net.a.config.endpoint_count);
  EXPECT_TRUE(
      net.run_until([&] { return ready(net.b, receiver.server, POLLERR) && ready(net.b, second.server, POLLERR); }));
  EXPECT_EQ(get_int(net.b, second.server, SOL_SOCKET, SO_ERROR), ECONNRESET);
  EXPECT_EQ(recv_text(net.b, receiver.server, 100'000).size(), 50'000u);  // what had arrived is still there
  EXPECT_EQ(net.b.stack->stats().drop_tcp_checksum, 0u);
}

TEST(StackSalvageTest, AFullRingIsContinuedWhereItStopped) {
  Network net;
  const TcpPair first = connect_pair(net, 80);
  const TcpPair second = connect_pair(net, 81);
  die_with_the_lock(net.a);
  EXPECT_EQ(net.a.stack->open(SocketType::kStream), -ENETDOWN);
  net.a.netif.ring_full = true;
  const uint32_t stopped = net.a.stack->reset_peers_of_broken_stack(0);
  EXPECT_LT(stopped, net.a.config.endpoint_count);
  net.a.netif.ring_full = false;
  EXPECT_EQ(net.a.stack->reset_peers_of_broken_stack(stopped), net.a.config.endpoint_count);
  EXPECT_TRUE(
      net.run_until([&] { return ready(net.b, first.server, POLLERR) && ready(net.b, second.server, POLLERR); }));
}

}  // namespace
}  // namespace postern::stack::test
