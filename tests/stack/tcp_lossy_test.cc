// Property: whatever the wire does, TCP delivers the bytes that were sent, all of them, once, in order.
#include "tests/stack/lossy_transfer.h"

namespace postern::stack::test {
namespace {

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
