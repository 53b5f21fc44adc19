// Properties as people write and read them.
#include "sim/property_text.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace postern::sim {
namespace {

const Property kFlagProperty{"link.on", "flag", "Whether it is on.", "assumed", 0, 0, 1};
const Property kMode{"link.mode", "", "How.", "assumed", 1, 0, 1, PropertyType::kEnumeration, {}, {"slow", "fast"}};
const Property kLanes{"link.lanes", "lanes", "Width.", "published", 8, 1, 16, PropertyType::kInteger, {1, 2, 4, 8, 16}};
const Property kDelay{"queue.delay_ns", "ns", "Waits.", "assumed", 2.5, 0, 1e6};

PropertySetting word(const std::string& text) { return {0, "", text}; }
PropertySetting number(double value) { return {value, "", ""}; }

TEST(PropertyTextTest, FlagsTakeWordsAndNumbers) {
  EXPECT_EQ(property_value(kFlagProperty, word("true")).value(), 1);
  EXPECT_EQ(property_value(kFlagProperty, word("on")).value(), 1);
  EXPECT_EQ(property_value(kFlagProperty, word("false")).value(), 0);
  EXPECT_EQ(property_value(kFlagProperty, word("off")).value(), 0);
  EXPECT_EQ(property_value(kFlagProperty, number(1)).value(), 1);
  EXPECT_EQ(property_value(kFlagProperty, word("maybe")).error().message,
            "property \"link.on\" (flag) expects 0 or 1; found \"maybe\"");
}

TEST(PropertyTextTest, EnumerationsTakeTheirLabels) {
  EXPECT_EQ(property_value(kMode, word("slow")).value(), 0);
  EXPECT_EQ(property_value(kMode, number(1)).value(), 1);
  EXPECT_EQ(property_value(kMode, word("faster")).error().message,
            "property \"link.mode\" (enumeration) expects one of slow, fast; found \"faster\"");
  EXPECT_FALSE(property_value(kMode, number(2)).ok());
}

TEST(PropertyTextTest, NumbersDoNotTakeWords) {
  EXPECT_FALSE(property_value(kDelay, word("true")).ok());
  EXPECT_FALSE(property_value(kLanes, word("on")).ok());
  EXPECT_FALSE(property_value(kLanes, number(3)).ok());
}

TEST(PropertyTextTest, UnknownNamesAreAnsweredWithTheNearest) {
  const std::vector<Property> all{kFlagProperty, kMode, kLanes, kDelay};
  EXPECT_EQ(
      unknown_property_text("link.lane", all).rfind("the NIC has no property \"link.lane\"; nearest: link.lanes, ", 0),
      0u);
  // Without its block.
  EXPECT_NE(unknown_property_text("delay_ns", all).find("nearest: queue.delay_ns, "), std::string::npos);
}

TEST(PropertyTextTest, TheTableHasAllColumnsOfEachProperty) {
  const std::string table = properties_table(filter_properties({kMode, kDelay}, ""));
  EXPECT_EQ(table,
            "name            type         value  unit  range         meaning  source\n"
            "link.mode       enumeration  fast         slow, fast    How.     assumed\n"
            "queue.delay_ns  time         2.5    ns    0 to 1000000  Waits.   assumed\n");
}

TEST(PropertyTextTest, TheFilterLooksAtNameMeaningAndSource) {
  const std::vector<Property> all{kFlagProperty, kMode, kLanes, kDelay};
  EXPECT_EQ(filter_properties(all, "link.").size(), 3u);
  EXPECT_EQ(filter_properties(all, "Waits").size(), 1u);
  EXPECT_EQ(filter_properties(all, "published").front().name, "link.lanes");
  EXPECT_TRUE(filter_properties(all, "nothing").empty());
  EXPECT_EQ(filter_properties(all, "").front().name, "link.lanes");
}

TEST(PropertyTextTest, JsonHasTypeValueAndChoices) {
  const auto json = nlohmann::json::parse(properties_json({kMode, kLanes}));
  EXPECT_EQ(json[0]["type"], "enumeration");
  EXPECT_EQ(json[0]["labels"], (std::vector<std::string>{"slow", "fast"}));
  EXPECT_EQ(json[0]["value"], 1);
  EXPECT_EQ(json[1]["choices"], (std::vector<double>{1, 2, 4, 8, 16}));
  EXPECT_EQ(json[1]["unit"], "lanes");
}

}  // namespace
}  // namespace postern::sim
