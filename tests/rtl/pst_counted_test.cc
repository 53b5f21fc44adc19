// What a coverage build counts, on a module whose counts are known: the generated code is changed by
// rtl/coverage/count_per_process.py, and Verilator's own optimisations must not move counters.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>

#include "Vpst_checksum.h"
#include "rtl/coverage/verilated_coverage.h"

namespace postern::rtl {
namespace {

class CountedTest : public testing::Test {
 protected:
  // Of the point of that kind, line and comment, in all models so far. Fails if there is none.
  static uint64_t count(const std::string& kind, int line, const std::string& comment) {
    const std::string path = testing::TempDir() + "counted." + std::to_string(getpid()) + ".dat";
    coverage_points()->write(path.c_str());
    std::ifstream file(path);
    std::string text;
    while (std::getline(file, text)) {
      if (has(text, "l", std::to_string(line)) && has(text, "o", comment) &&
          text.find("v_" + kind + "/") != std::string::npos) {
        std::remove(path.c_str());
        return std::strtoull(text.c_str() + text.rfind("' ") + 2, nullptr, 10);
      }
    }
    std::remove(path.c_str());
    ADD_FAILURE() << "no " << kind << " " << comment << " in line " << line;
    return 0;
  }

  static void clock(Vpst_checksum& dut, uint8_t a, uint8_t b) {
    dut.a_i = a;
    dut.b_i = b;
    for (const int level : {0, 1}) {
      dut.clk_i = level;
      dut.eval();
    }
  }

 private:
  static bool has(const std::string& text, const std::string& key, const std::string& value) {
    return text.find("\1" + key + "\2" + value + "\1") != std::string::npos;
  }
};

TEST_F(CountedTest, BranchCountsWhereItIsDecided) {
  Vpst_checksum dut;
  const uint64_t taken_before = count("branch", 13, "if");
  clock(dut, 3, 5);
  EXPECT_EQ(count("branch", 13, "if"), taken_before);
  const uint64_t otherwise = count("branch", 13, "else");
  EXPECT_GT(otherwise, 0U);
  clock(dut, 5, 3);
  EXPECT_EQ(dut.least_o, 3);
  EXPECT_GT(count("branch", 13, "if"), taken_before);
  EXPECT_EQ(count("branch", 13, "else"), otherwise);
}

TEST_F(CountedTest, ModelsThatAreGoneKeepTheirCountsAndNewOnesAddToThem) {
  const Vpst_checksum first;  // the points are known from now on
  const uint64_t sevens = count("branch", 16, "if");
  const uint64_t others = count("branch", 16, "else");
  for (uint64_t models = 1; models <= 3; ++models) {
    auto dut = std::make_unique<Vpst_checksum>();
    clock(*dut, 9, 9);
    clock(*dut, 7, 9);
    clock(*dut, 8, 9);
    dut.reset();
    EXPECT_EQ(count("branch", 16, "if"), sevens + models);
    EXPECT_EQ(count("branch", 16, "else"), others + 2 * models);
  }
}

TEST_F(CountedTest, CornerCaseCountsCyclesAndToggleEachChange) {
  Vpst_checksum dut;
  clock(dut, 0, 1);
  const uint64_t met = count("user", 19, "both_are_zero");
  const uint64_t toggles = count("toggle", 6, "b_i[0]");
  clock(dut, 0, 0);
  clock(dut, 0, 0);
  clock(dut, 0, 1);
  EXPECT_EQ(count("user", 19, "both_are_zero"), met + 2);
  EXPECT_EQ(count("toggle", 6, "b_i[0]"), toggles + 2);
}

}  // namespace
}  // namespace postern::rtl
