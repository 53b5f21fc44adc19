// The option table: reading, complaints, and docs/options.md, which must equal what the table says.
// POSTERN_UPDATE_DOCS=1 writes the file.
#include "stack/preload/options.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

namespace postern::preload {
namespace {

std::map<std::string, std::string> environment;

const char* lookup(const char* variable) {
  const auto found = environment.find(variable);
  return found == environment.end() ? nullptr : found->second.c_str();
}

TEST(OptionsTest, DefaultsHoldWithAnEmptyEnvironment) {
  environment.clear();
  std::string complaints;
  const Options options = read_options(lookup, &complaints);
  EXPECT_EQ(options.enabled, 1);
  EXPECT_EQ(options.spin_us, -1);
  EXPECT_TRUE(options.hostd.empty());
  EXPECT_TRUE(complaints.empty());
}

TEST(OptionsTest, ValuesAreRead) {
  environment = {{"POSTERN_SPIN_US", "35"}, {"POSTERN_HOSTD", "/run/a.sock"}, {"POSTERN_LOG", ""}};
  std::string complaints;
  const Options options = read_options(lookup, &complaints);
  EXPECT_EQ(options.spin_ns(), 35000u);
  EXPECT_EQ(options.hostd, "/run/a.sock");
  EXPECT_EQ(options.log_level, 2);
  EXPECT_TRUE(complaints.empty());
}

TEST(OptionsTest, BadValuesKeepTheDefaultAndAreNamed) {
  environment = {{"POSTERN_SPIN_US", "fast"}, {"POSTERN_LOG", "99"}};
  std::string complaints;
  const Options options = read_options(lookup, &complaints);
  EXPECT_EQ(options.spin_us, -1);
  EXPECT_EQ(options.log_level, 2);
  EXPECT_NE(complaints.find("POSTERN_SPIN_US=fast ignored: expected an integer from -1 to 1000000"), std::string::npos);
  EXPECT_NE(complaints.find("POSTERN_LOG=99"), std::string::npos);
}

TEST(OptionsTest, DescriptionListsEveryVariable) {
  const std::string text = describe_options(Options{});
  for (const char* variable : {"POSTERN_HOSTD", "POSTERN_SPIN_US", "POSTERN_LOG", "POSTERN_ENABLE"}) {
    EXPECT_NE(text.find(variable), std::string::npos) << variable;
  }
}

TEST(OptionsTest, CommittedDocumentationEqualsTheTable) {
  const std::string path = std::string(POSTERN_SOURCE_DIR) + "/docs/options.md";
  if (std::getenv("POSTERN_UPDATE_DOCS") != nullptr) {
    std::ofstream(path) << options_markdown();
  }
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  EXPECT_EQ(text.str(), options_markdown()) << "run POSTERN_UPDATE_DOCS=1 preload_options_test to rewrite " << path;
}

}  // namespace
}  // namespace postern::preload
