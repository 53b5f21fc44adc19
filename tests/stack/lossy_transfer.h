// A transfer between two stacks over a wire that misbehaves, with every byte compared.
#pragma once

#include "tests/stack/test_network.h"

namespace postern::stack::test {

inline uint8_t pattern(uint64_t seed, uint64_t at) {
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

inline Outcome transfer(uint64_t seed, uint64_t bytes, bool both_ways, const WireFaults& faults,
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
  EXPECT_EQ(back.received, both_ways ? bytes : 1) << seed;
  EXPECT_FALSE(forth.corrupt) << seed;
  EXPECT_FALSE(back.corrupt) << seed;
  net.a.stack->close(pair.client);
  net.b.stack->close(pair.server);
  net.b.stack->close(pair.listener);
  const Outcome outcome{net.clock.now - start, net.a.stack->stats().tcp_retransmits_count};
  net.run_for(400 * kSecond);
  EXPECT_TRUE(net.a.stack->all_closed()) << seed;
  EXPECT_TRUE(net.b.stack->all_closed()) << seed;
  EXPECT_EQ(net.a.stack->stats().packets_free, net.a.config.packet_count) << seed;
  EXPECT_EQ(net.b.stack->stats().packets_free, net.b.config.packet_count) << seed;
  return outcome;
}

constexpr WireFaults kBadWire{0.05, 0.02, 0.05, 300'000};  // loss, duplication, reordering, each way
constexpr uint64_t kMiB = 1 << 20;

}  // namespace postern::stack::test
