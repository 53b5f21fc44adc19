// Wakeup latencies from boundary traffic made by hand.
#include "sim/wakeup_latency.h"

#include <gtest/gtest.h>

#include "tests/sim/monitor/hand_traffic.h"

namespace postern::sim::test {
namespace {

constexpr uint32_t kVector = 5;

struct NoMemory : HostMemoryReader {
  bool read_host_memory(uint64_t, void*, uint32_t) override { return false; }
};

class WakeupLatencyTest : public ::testing::Test {
 protected:
  WakeupLatencyTest() {
    traffic.enable_admin();
    vi = traffic.vi(1, 0x100000, [](pst_command& alloc) { pst_vi_alloc_set_vector(&alloc, kVector); });
    traffic.step_ps = 0;  // the tests say how time goes on
  }
  void event() { traffic.event(vi, HandTraffic::timer_event()); }

  NoMemory memory;
  HostSpec host;
  WakeupLatency latency;
  std::shared_ptr<BoundaryObserver> observer = latency.factory()(ObserverSite{0, host, memory, {}, [] { return 0; }});
  HandTraffic traffic{*observer};
  HandVi vi;
};

TEST_F(WakeupLatencyTest, FromTheFirstEventBehindThePrimeToItsInterrupt) {
  traffic.prime(vi, 0);
  traffic.wait_ns(1000);
  event();
  traffic.wait_ns(30);
  event();  // a second one does not count
  traffic.wait_ns(10);
  traffic.interrupt(kVector);
  EXPECT_EQ(latency.event_to_interrupt().count(), 1u);
  EXPECT_EQ(latency.event_to_interrupt().max_ps(), 40'000u);
  EXPECT_EQ(latency.prime_to_interrupt().count(), 0u);
}

TEST_F(WakeupLatencyTest, APrimeThatFindsItsEventIsMeasuredFromThePrime) {
  event();
  traffic.wait_ns(1000);
  traffic.prime(vi, 0);
  traffic.wait_ns(300);
  traffic.interrupt(kVector);
  EXPECT_EQ(latency.event_to_interrupt().count(), 0u);
  EXPECT_EQ(latency.prime_to_interrupt().max_ps(), 300'000u);
}

TEST_F(WakeupLatencyTest, OneInterruptPerPrimeAndOnlyOnItsVector) {
  traffic.prime(vi, 0);
  traffic.wait_ns(100);
  event();
  traffic.interrupt(kVector + 1);
  EXPECT_EQ(latency.event_to_interrupt().count(), 0u);
  traffic.wait_ns(20);
  traffic.interrupt(kVector);
  traffic.wait_ns(20);
  traffic.interrupt(kVector);
  EXPECT_EQ(latency.event_to_interrupt().count(), 1u);
  EXPECT_EQ(latency.event_to_interrupt().max_ps(), 20'000u);
}

TEST_F(WakeupLatencyTest, APrimeBehindConsumedEventsWaitsForTheNextOne) {
  event();
  traffic.prime(vi, 1);
  traffic.wait_ns(500);
  event();
  traffic.wait_ns(7);
  traffic.interrupt(kVector);
  EXPECT_EQ(latency.event_to_interrupt().max_ps(), 7'000u);
}

TEST_F(WakeupLatencyTest, AnInterruptBeforeAPrimeThatIsStillOnItsWayIsNotItsOwn) {
  event();
  traffic.wait_ns(100);
  traffic.prime(vi, 0);  // told when it is written, ahead of time
  traffic.now_ps -= 50'000;
  traffic.interrupt(kVector);
  EXPECT_EQ(latency.prime_to_interrupt().count(), 0u);
  traffic.wait_ns(250);
  traffic.interrupt(kVector);
  EXPECT_EQ(latency.prime_to_interrupt().max_ps(), 200'000u);
}

}  // namespace
}  // namespace postern::sim::test
