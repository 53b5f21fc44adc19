// Types, bounds and choices of the NIC's tunables.
#include "hw_model/properties.h"

#include <gtest/gtest.h>

#include <set>

#include "hw_model/nic_model.h"
#include "tests/hw_model/nic_bench.h"

namespace postern::hw_model::test {
namespace {

using sim::Property;
using sim::PropertyType;

TEST(PropertiesTest, AnIntegerRefusesAFraction) {
  PropertySet set;
  const double& value = set.add({"block.count", "reads", "", "", 4, 1, 8});
  EXPECT_TRUE(set.set("block.count", 8));
  EXPECT_EQ(value, 8);
  EXPECT_EQ(set.set("block.count", 1.5).error,
            "property \"block.count\" expects a whole number, 1 to 8 reads; found 1.5");
  EXPECT_FALSE(set.set("block.count", 9));
  EXPECT_FALSE(set.set("block.count", 0));
  EXPECT_FALSE(set.set("block.count", std::nan("")));
  EXPECT_EQ(value, 8);
}

TEST(PropertiesTest, AFlagIsZeroOrOne) {
  PropertySet set;
  set.add({"block.on", "flag", "", "", 0, 0, 1});
  EXPECT_TRUE(set.set("block.on", 1));
  EXPECT_EQ(set.set("block.on", 0.5).error, "property \"block.on\" expects one of 0 or 1; found 0.5");
  EXPECT_FALSE(set.set("block.on", 2));
}

TEST(PropertiesTest, TimesAndNumbersTakeFractions) {
  PropertySet set;
  set.add({"block.delay_ns", "ns", "", "", 4, 0, 100});
  set.add({"block.loss", "probability", "", "", 0, 0, 1});
  EXPECT_TRUE(set.set("block.delay_ns", 2.5));
  EXPECT_TRUE(set.set("block.loss", 0.01));
  EXPECT_EQ(set.set("block.loss", 1.01).error,
            "property \"block.loss\" expects a number, 0 to 1 probability; found 1.01");
}

TEST(PropertiesTest, AnEnumerationTakesPositionsOfItsLabels) {
  PropertySet set;
  set.add({"block.mode", "", "", "", 0, 0, 2, PropertyType::kEnumeration, {}, {"slow", "fast"}});
  EXPECT_TRUE(set.set("block.mode", 1));
  EXPECT_EQ(set.set("block.mode", 2).error, "property \"block.mode\" expects one of slow, fast; found 2");
}

TEST(PropertiesTest, ChoicesAreTheOnlyValues) {
  PropertySet set;
  set.add({"block.lanes", "lanes", "", "", 8, 1, 16, PropertyType::kInteger, {1, 2, 4, 8, 16}});
  EXPECT_TRUE(set.set("block.lanes", 16));
  EXPECT_EQ(set.set("block.lanes", 3).error, "property \"block.lanes\" expects one of 1, 2, 4, 8, 16 lanes; found 3");
}

TEST(PropertiesTest, AnUnknownNameIsAnErrorAndChangesNothing) {
  PropertySet set;
  bool changed = false;
  set.on_change([&] { changed = true; });
  EXPECT_EQ(set.set("no.such", 1).error, "no property \"no.such\"");
  EXPECT_FALSE(changed);
}

// Primes and lets a timer fire every 500 ns for 40 us; returns the least time between two interrupts.
uint64_t shortest_gap_ns(Node& a, TestVi& vi) {
  run_ns(20'000);  // what the VI before was still waiting for
  a.interrupts.clear();
  for (int i = 0; i < 40; ++i) {
    vi.prime();
    vi.doorbell(PST_VI_TIMER_OFFSET, 500 | static_cast<uint64_t>(i + 1) << 32, 8);
    run_ns(1000);
    while (vi.next_event()) vi.return_space();
  }
  uint64_t shortest_ps = ~0ull;
  EXPECT_GE(a.interrupts.size(), 3u);
  for (size_t i = 1; i < a.interrupts.size(); ++i) {
    shortest_ps = std::min(shortest_ps, a.interrupts[i].time_ps - a.interrupts[i - 1].time_ps);
  }
  return shortest_ps / 1000;
}

TEST(PropertiesTest, TheHoldOffPropertyCountsForVisThatAskForNone) {
  FreshKernel kernel;
  Node a("a", kMacA);
  a.enable_admin();
  ViOptions options;
  options.vector = 5;
  TestVi before(a, 0, options);
  ASSERT_TRUE(a.nic.set_property("event_queue.holdoff_ns", 10'000));
  TestVi unasked(a, 1, options);
  options.holdoff_ns = 3'000;
  TestVi asked(a, 2, options);
  EXPECT_LT(shortest_gap_ns(a, before), 1'500u);
  EXPECT_GE(shortest_gap_ns(a, unasked), 10'000u);
  const uint64_t gap_ns = shortest_gap_ns(a, asked);
  EXPECT_GE(gap_ns, 3'000u);
  EXPECT_LT(gap_ns, 5'000u);
}

TEST(PropertiesTest, EveryPropertyOfTheNicIsTypedDocumentedAndHasASource) {
  FreshKernel kernel;
  Node a("a", kMacA);
  std::set<std::string> names;
  for (const Property& p : a.nic.properties()) {
    EXPECT_TRUE(names.insert(p.name).second) << p.name << " twice";
    EXPECT_NE(p.type, PropertyType::kFromUnit) << p.name;
    EXPECT_NE(p.name.find('.'), std::string::npos) << p.name;
    EXPECT_FALSE(p.doc.empty()) << p.name;
    EXPECT_FALSE(p.source.empty()) << p.name;
    EXPECT_TRUE(sim::check_property_value(p, p.value)) << p.name << ": the default is outside its own bounds";
  }
  EXPECT_GE(names.size(), 25u);
}

// The monitor's bounds follow what the properties say of the host link.
TEST(MonitorBoundsTest, ASlowLinkGetsTimeForWhatIsQueuedOnIt) {
  FreshKernel kernel;
  NicModel nic("nic", kMacA);
  const sim::MonitorBounds usual = sim::monitor_bounds_for(nic.properties());
  EXPECT_EQ(usual.in_flight_ns, sim::MonitorBounds().in_flight_ns);
  EXPECT_EQ(usual.wakeup_ns, sim::MonitorBounds().wakeup_ns);
  EXPECT_EQ(usual.moderation_slack_ns, sim::MonitorBounds().moderation_slack_ns);
  ASSERT_TRUE(nic.set_property("pcie_link.generation", 1));
  ASSERT_TRUE(nic.set_property("pcie_link.lanes", 1));
  const sim::MonitorBounds slow = sim::monitor_bounds_for(nic.properties());
  // 256 KiB at 2 Gb/s or less take a millisecond and more.
  EXPECT_GT(slow.in_flight_ns, 1'000'000u);
  EXPECT_GT(slow.moderation_slack_ns, 1'000'000u);
  EXPECT_GT(slow.wakeup_ns, slow.in_flight_ns);
}

TEST(MonitorBoundsTest, PropertiesThatADeviceDoesNotHaveCountAsUsual) {
  EXPECT_EQ(sim::monitor_bounds_for({}).in_flight_ns, sim::MonitorBounds().in_flight_ns);
}

}  // namespace
}  // namespace postern::hw_model::test
