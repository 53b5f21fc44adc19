// Types, bounds and choices of the NIC's tunables.
#include "hw_model/properties.h"

#include <gtest/gtest.h>

#include <set>

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

}  // namespace
}  // namespace postern::hw_model::test
