// Runs that take more than a second: many seeds, and captures read by tshark.
#include <cstdio>
#include <cstdlib>

#include "tests/sim/scenario_fixtures.h"

namespace postern::sim {
namespace {

// Lines that a shell command prints.
size_t lines_of(const std::string& command) {
  std::FILE* pipe = popen(command.c_str(), "r");
  size_t lines = 0;
  for (int c; (c = std::fgetc(pipe)) != EOF;) {
    lines += c == '\n' ? 1 : 0;
  }
  pclose(pipe);
  return lines;
}

TEST(ScenarioTest, TsharkReadsTheCapturesWithoutAMalformedPacket) {
  if (std::system("command -v tshark >/dev/null 2>&1") != 0) {
    GTEST_SKIP() << "tshark is not installed";
  }
  const std::string directory = ::testing::TempDir();
  const Result<ScenarioOutcome> outcome = execute_scenario(
      scenario_of(
          "[[workload]]\nkind = \"udp_pingpong\"\nfrom = \"a\"\nto = \"b\"\n"
          "[[workload]]\nkind = \"tcp_stream\"\nfrom = \"a\"\nto = \"b\"\nport = 28001\ntotal_bytes = 1_000_000\n"),
      directory, false, true, monitored());
  ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  expect_clean(outcome.value());
  for (const char* name : {"/a.pcap", "/b.pcap"}) {
    const std::string read = "tshark -r " + directory + name;
    EXPECT_GT(lines_of(read + " 2>/dev/null"), 2700u);
    EXPECT_EQ(lines_of(read + " -Y '_ws.malformed || _ws.expert.severity == error' 2>/dev/null"), 0u);
    std::remove((directory + name).c_str());
  }
}

TEST(ImpairedTransferTest, TwoHundredSeedsEndWithEqualHashes) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    expect_transfer(seed);
  }
}

TEST(ImpairedTransferTest, EachOfTenSeedsIsReproducible) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    EXPECT_EQ(transfer_once(seed), transfer_once(seed)) << "seed " << seed;
  }
}

}  // namespace
}  // namespace postern::sim
