// Property: whatever the wire does, TCP delivers the bytes that were sent, all of them, once, in order.
#include "tests/stack/test_network.h"

namespace postern::stack::test {
namespace {

uint8_t pattern(uint64_t seed, uint64_t at) {
  return static_cast<uint8_t>((at * 0x9e3779b97f4a7c15u + seed * 7919) >> 29);
}

struct Direction {
  Host* from;
  int sender;
  Host* to;
  int receiver;
  uint64_t seed;
  uint64_t sent = 0;
  uint64_t received = 0;
  bool ended = false;
  bool corrupt = false;

  void pump(uint64_t total) {
    uint8_t block[16384];
    while (sent < total) {
      const size_t want = std::min<uint64_t>(sizeof block, total - sent);
      for (size_t i = 0; i < want; ++i) block[i] = pattern(seed, sent + i);
      const int64_t taken = send_bytes(*from, sender, block, want);
      if (taken <= 0) break;
      sent += static_cast<uint64_t>(taken);
      if (sent == total) {
        EXPECT_EQ(from->stack->shutdown(sender, SHUT_WR), 0);
      }
    }
    for (;;) {
      const int64_t got = recv_bytes(*to, receiver, block, sizeof block);
      if (got < 0) {
        EXPECT_EQ(got, -EAGAIN);
        break;
      }
      if (got == 0) {
        ended = true;
        break;
      }
      for (int64_t i = 0; i < got; ++i) corrupt |= block[i] != pattern(seed, received + static_cast<uint64_t>(i));
      received += static_cast<uint64_t>(got);
    }
  }
};

struct Outcome {
  uint64_t time_ns;
  uint64_t retransmits;
};

Outcome transfer(uint64_t seed, uint64_t bytes, bool both_ways, const WireFaults& faults,
                 const std::function<void(StackConfig&)>& adjust = nullptr) {
  Network net(seed, adjust);
  net.to_a = net.to_b = faults;
  const TcpPair pair = connect_pair(net);
  Direction forth{&net.a, pair.client, &net.b, pair.server, seed};
  Direction back{&net.b, pair.server, &net.a, pair.client, seed + 1};
  const uint64_t start = net.clock.now;
  const bool done = net.run_until(
      [&] {
        forth.pump(bytes);
        back.pump(both_ways ? bytes : 1);
        return forth.ended && back.ended;
      },
      4000 * kSecond);
  EXPECT_TRUE(done) << "seed " << seed << ": " << forth.received << " and " << back.received << " of " << bytes;
  EXPECT_EQ(forth.received, bytes) << seed;
  EXPECT_FALSE(forth.corrupt) << seed;
  EXPECT_FALSE(back.corrupt) << seed;
  net.a.stack->close(pair.client);
  net.b.stack->close(pair.server);
  net.b.stack->close(pair.listener);
  const Outcome outcome{net.clock.now - start, net.a.stack->stats().tcp_retransmits_count};
  net.run_for(400 * kSecond);
  EXPECT_TRUE(net.a.stack->all_closed()) << seed;
  EXPECT_TRUE(net.b.stack->all_closed()) << seed;
  return outcome;
}

constexpr WireFaults kBadWire{0.05, 0.02, 0.05, 300'000};
constexpr uint64_t kMiB = 1 << 20;

TEST(TcpLossyTest, CleanWireNeedsNoRetransmission) {
  const Outcome outcome = transfer(1, 16 * kMiB, false, {});
  EXPECT_EQ(outcome.retransmits, 0u);
  EXPECT_LT(outcome.time_ns, 30 * kMs);  // 10 Gb/s needs 14 ms
}

TEST(TcpLossyTest, TwentyTransfersOverABadWireArriveIntact) {
  uint64_t slowest = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed)
    slowest = std::max(slowest, transfer(seed, kMiB, false, kBadWire).time_ns);
  EXPECT_LT(slowest, 60 * kSecond);
}

TEST(TcpLossyTest, BothDirectionsAtOnceOverABadWire) {
  for (uint64_t seed = 100; seed < 104; ++seed) transfer(seed, kMiB / 2, true, kBadWire);
}

TEST(TcpLossyTest, WithoutSackNewRenoRecovers) {
  for (uint64_t seed = 200; seed < 206; ++seed) {
    transfer(seed, kMiB, false, kBadWire, [](StackConfig& config) { config.tcp_sack = 0; });
  }
}

TEST(TcpLossyTest, WithoutAnyOptions) {
  for (uint64_t seed = 300; seed < 304; ++seed) {
    transfer(seed, kMiB / 4, false, kBadWire,
             [](StackConfig& config) { config.tcp_sack = config.tcp_timestamps = config.tcp_window_scaling = 0; });
  }
}

TEST(TcpLossyTest, TinyBuffersAndTinyMtu) {
  for (uint64_t seed = 400; seed < 404; ++seed) {
    transfer(seed, kMiB / 8, true, kBadWire, [](StackConfig& config) {
      config.mtu_bytes = 576;
      config.tcp_receive_buffer_bytes = 8192;
      config.tcp_send_buffer_bytes = 6000;
    });
  }
}

TEST(TcpLossyTest, AlmostNoPacketBuffers) {
  for (uint64_t seed = 500; seed < 504; ++seed) {
    transfer(seed, kMiB / 4, true, {0.01, 0.01, 0.01, 100'000}, [](StackConfig& config) {
      config.packet_count = 128;
      config.vi.layout.geometry.rx_entries = 64;
    });
  }
}

TEST(TcpLossyTest, SameSeedGivesTheSameRun) {
  const Outcome first = transfer(42, kMiB / 2, false, kBadWire);
  const Outcome second = transfer(42, kMiB / 2, false, kBadWire);
  EXPECT_EQ(first.time_ns, second.time_ns);
  EXPECT_EQ(first.retransmits, second.retransmits);
}

}  // namespace
}  // namespace postern::stack::test
