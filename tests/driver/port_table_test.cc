// Bind, listen, ephemeral and TIME_WAIT rules of the port table.
#include "driver/port_table.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cerrno>
#include <set>

namespace postern {
namespace {

const HostAddress kAny = HostAddress::ipv4(0, 0, 0, 0);
const HostAddress kLocal = HostAddress::ipv4(10, 9, 0, 1);
constexpr uint32_t kStackA = 1;
constexpr uint32_t kStackB = 2;

class PortTableTest : public ::testing::Test {
 protected:
  Result<PortBinding> bind(uint32_t owner, const HostAddress& local, uint16_t port, bool reuse = false,
                           uint8_t protocol = IPPROTO_TCP) {
    return table_.acquire({owner, protocol, local, port, reuse}, now_ns_);
  }
  PortTable table_;
  uint64_t now_ns_ = 0;
};

TEST_F(PortTableTest, SamePortTwiceIsInUse) {
  EXPECT_TRUE(bind(kStackA, kLocal, 80).ok());
  EXPECT_EQ(bind(kStackA, kLocal, 80).error().code, EADDRINUSE);
  EXPECT_EQ(bind(kStackB, kLocal, 80).error().code, EADDRINUSE);
}

TEST_F(PortTableTest, WildcardConflictsWithASpecificAddressInBothOrders) {
  EXPECT_TRUE(bind(kStackA, kAny, 80).ok());
  EXPECT_EQ(bind(kStackB, kLocal, 80).error().code, EADDRINUSE);
  EXPECT_TRUE(bind(kStackA, kLocal, 81).ok());
  EXPECT_EQ(bind(kStackB, kAny, 81).error().code, EADDRINUSE);
}

TEST_F(PortTableTest, ProtocolsHaveSeparatePorts) {
  EXPECT_TRUE(bind(kStackA, kAny, 53).ok());
  EXPECT_TRUE(bind(kStackB, kAny, 53, false, IPPROTO_UDP).ok());
  EXPECT_EQ(bind(kStackB, kAny, 53, false, IPPROTO_ICMP).error().code, EINVAL);
}

TEST_F(PortTableTest, ReuseOnBothSidesAllowsASecondBindingUntilOneListens) {
  const PortBinding first = bind(kStackA, kLocal, 80, true).value();
  const PortBinding second = bind(kStackA, kLocal, 80, true).value();
  EXPECT_TRUE(table_.shares_key(first));
  EXPECT_EQ(bind(kStackA, kLocal, 80, false).error().code, EADDRINUSE);
  EXPECT_TRUE(table_.set_listening(kStackA, first.binding_id, true).ok());
  EXPECT_EQ(table_.set_listening(kStackA, second.binding_id, true).error().code, EADDRINUSE);
  EXPECT_EQ(bind(kStackA, kLocal, 80, true).error().code, EADDRINUSE);
  EXPECT_TRUE(table_.set_listening(kStackA, first.binding_id, false).ok());
  EXPECT_TRUE(table_.set_listening(kStackA, second.binding_id, true).ok());
}

TEST_F(PortTableTest, ReuseAcrossStacksIsRefused) {
  EXPECT_TRUE(bind(kStackA, kLocal, 80, true).ok());
  EXPECT_EQ(bind(kStackB, kLocal, 80, true).error().code, EADDRINUSE);
  EXPECT_EQ(bind(kStackB, kAny, 80, true).error().code, EADDRINUSE);
}

// The device prefers the exact address: a stack that has it and does not listen would swallow the other's connections.
TEST_F(PortTableTest, TcpPortCannotBeTakenOverWithAnOverlappingAddressFromAnotherStack) {
  for (const auto& [first, second] : {std::pair(kLocal, kAny), std::pair(kAny, kLocal)}) {
    const PortBinding held = bind(kStackA, first, 8000, true).value();
    EXPECT_EQ(bind(kStackB, second, 8000, true).error().code, EADDRINUSE);
    EXPECT_TRUE(bind(kStackA, second, 8000, true).ok());
    ASSERT_TRUE(table_.set_listening(kStackA, held.binding_id, true).ok());
    table_.release_all(kStackA, now_ns_);
  }
}

TEST_F(PortTableTest, BindingsOfOnePortAreLimited) {
  for (size_t i = 0; i < PortTable::kBindingsPerPortMost; ++i) {
    ASSERT_TRUE(bind(kStackA, kLocal, 80, true).ok());
  }
  EXPECT_EQ(bind(kStackA, kLocal, 80, true).error().code, EADDRINUSE);
  EXPECT_TRUE(bind(kStackA, kLocal, 81, true).ok());
}

TEST_F(PortTableTest, UdpPortsOfOverlappingAddressesMayBeShared) {
  ASSERT_TRUE(table_.acquire({kStackA, IPPROTO_UDP, kAny, 53, true}, now_ns_).ok());
  EXPECT_TRUE(table_.acquire({kStackB, IPPROTO_UDP, kLocal, 53, true}, now_ns_).ok());
}

TEST_F(PortTableTest, EphemeralPortOfAStackThatEndedIsClosedToBindersWithoutReuseForAMinute) {
  const uint16_t port = bind(kStackA, kLocal, 0)->port;
  table_.release_all(kStackA, now_ns_);
  EXPECT_EQ(bind(kStackB, kAny, port, false).error().code, EADDRINUSE);
  now_ns_ = 59'999'999'999;
  EXPECT_EQ(bind(kStackB, kAny, port, false).error().code, EADDRINUSE);
  now_ns_ = 60'000'000'000;
  EXPECT_TRUE(bind(kStackB, kAny, port, false).ok());
}

TEST_F(PortTableTest, QuarantineLetsBindersWithReuseIn) {
  const uint16_t port = bind(kStackA, kLocal, 0)->port;
  table_.release_all(kStackA, now_ns_);
  EXPECT_TRUE(bind(kStackB, kLocal, port, true).ok());
}

TEST_F(PortTableTest, PlainReleaseFreesThePortAtOnce) {
  const PortBinding binding = bind(kStackA, kLocal, 80).value();
  ASSERT_TRUE(table_.release(kStackA, binding.binding_id).ok());
  EXPECT_TRUE(bind(kStackB, kLocal, 80).ok());
}

TEST_F(PortTableTest, OnlyTheOwnerReleases) {
  const PortBinding binding = bind(kStackA, kLocal, 80).value();
  EXPECT_EQ(table_.release(kStackB, binding.binding_id).error().code, ENOENT);
  EXPECT_EQ(table_.set_listening(kStackB, binding.binding_id, true).error().code, ENOENT);
  EXPECT_EQ(table_.release(kStackA, 999).error().code, ENOENT);
  EXPECT_EQ(table_.count(kStackA), 1u);
}

TEST_F(PortTableTest, EphemeralPortsAreDistinctInRangeAndFollowTheSeed) {
  PortTable::Config config;
  config.seed = 42;
  PortTable first(config);
  PortTable second(config);
  std::set<uint16_t> seen;
  for (int i = 0; i < 1000; ++i) {
    const uint16_t port = first.acquire({kStackA, IPPROTO_TCP, kLocal, 0, false}, 0)->port;
    EXPECT_EQ(port, second.acquire({kStackA, IPPROTO_TCP, kLocal, 0, false}, 0)->port);
    EXPECT_GE(port, 32768);
    EXPECT_LE(port, 60999);
    EXPECT_TRUE(seen.insert(port).second);
  }
}

TEST_F(PortTableTest, EphemeralSearchFindsTheLastFreePortAndThenFails) {
  PortTable::Config config;
  config.ephemeral_first = 40000;
  config.ephemeral_last = 40003;
  table_ = PortTable(config);
  ASSERT_TRUE(bind(kStackB, kAny, 40001).ok());
  std::set<uint16_t> seen;
  for (int i = 0; i < 3; ++i) {
    seen.insert(bind(kStackA, kLocal, 0)->port);
  }
  EXPECT_EQ(seen, (std::set<uint16_t>{40000, 40002, 40003}));
  EXPECT_EQ(bind(kStackA, kLocal, 0).error().code, EADDRINUSE);
}

TEST_F(PortTableTest, ReleaseAllQuarantinesOnlyEphemeralTcpPorts) {
  const uint16_t client_port = bind(kStackA, kLocal, 0)->port;
  ASSERT_TRUE(bind(kStackA, kAny, 80).ok());
  ASSERT_TRUE(bind(kStackB, kAny, 443).ok());
  table_.release_all(kStackA, now_ns_);
  EXPECT_EQ(table_.count(kStackA), 0u);
  EXPECT_EQ(table_.count(kStackB), 1u);
  EXPECT_TRUE(bind(kStackB, kAny, 80).ok());
  EXPECT_EQ(bind(kStackB, kAny, client_port).error().code, EADDRINUSE);
}

TEST(HostAddressTest, TextAndWords) {
  EXPECT_EQ(kLocal.text(), "10.9.0.1");
  EXPECT_EQ(kLocal.low_word(), 0x0100090au);
  EXPECT_EQ(kLocal.high_word(), 0u);
  EXPECT_TRUE(kAny.is_any());
}

}  // namespace
}  // namespace postern
