// VI-level streams: line rate at the parameters of real cards, and the report's word on what limits a run that does not
// reach it.
#include <cmath>

#include "tests/sim/scenario_fixtures.h"

namespace postern::sim {
namespace {

std::string stream(const std::string& more = "", const std::string& tables = "") {
  return "[[workload]]\nkind = \"vi_stream\"\nfrom = \"a\"\nto = \"b\"\n" + more + tables;
}

struct Finished {
  ScenarioOutcome outcome;
  nlohmann::json report;
  const WorkloadResult& result() const { return outcome.results.at(0); }
  std::string limit(const char* host) const { return report["hosts"][host]["limits"]["limited_by"]; }
};

Finished run(Scenario scenario, const std::vector<std::string>& settings = {}) {
  for (const std::string& setting : settings) {
    EXPECT_TRUE(apply_property_setting(scenario.topology, setting).ok()) << setting;
  }
  Result<ScenarioOutcome> outcome = execute_scenario(scenario, "", false, false, monitored());
  EXPECT_TRUE(outcome.ok()) << outcome.error().message;
  expect_clean(outcome.value());
  Finished made{std::move(outcome).value(), {}};
  made.report = nlohmann::json::parse(made.outcome.json);
  return made;
}

Finished run(const std::string& text, const std::vector<std::string>& settings = {}) {
  Result<Scenario> scenario = parse_scenario(text, "test");
  EXPECT_TRUE(scenario.ok()) << scenario.error().message;
  return run(std::move(scenario).value(), settings);
}

Finished run_builtin(const char* name) {
  ScenarioOptions options;
  options.scenario = name;
  Result<Scenario> scenario = load_scenario(options);
  EXPECT_TRUE(scenario.ok());
  scenario->workloads[0].count = 50'000;
  return run(std::move(scenario).value());
}

void expect_line_rate(const WorkloadResult& result, double wire_gbps) {
  for (const std::string prefix : {"", "backward_"}) {
    EXPECT_EQ(result.counts.at(prefix + "received_frames"), 50'000u);
    EXPECT_EQ(result.counts.at(prefix + "lost_frames"), 0u);
    EXPECT_EQ(result.counts.at(prefix + "reordered_frames"), 0u);
    EXPECT_GE(result.rates.at(prefix + "wire_gbps"), wire_gbps * 0.999);
    EXPECT_LE(result.rates.at(prefix + "wire_gbps"), wire_gbps * 1.001);
  }
}

TEST(ViStreamTest, TenGigabitWithTheShortestFramesBothWays) {
  const Finished done = run_builtin("line_rate_10g_64");
  EXPECT_TRUE(done.outcome.ok);
  expect_line_rate(done.result(), 10);
  EXPECT_NEAR(done.result().rates.at("mpps"), 14.881, 0.015);
  EXPECT_EQ(done.limit("a"), "wire");
}

TEST(ViStreamTest, HundredGigabitWithFullPacketsBothWays) {
  const Finished done = run_builtin("line_rate_100g_1500");
  EXPECT_TRUE(done.outcome.ok);
  expect_line_rate(done.result(), 100);
  EXPECT_EQ(done.limit("b"), "wire");
}

TEST(ViStreamTest, SeveralVisShareTheWireAndEachGetsItsOwnFrames) {
  const Finished done = run(stream("vis = 4\nidle_vis = 20\ncount = 2000\n"));
  EXPECT_TRUE(done.outcome.ok);
  EXPECT_EQ(done.result().counts.at("received_frames"), 8000u);
  EXPECT_EQ(done.result().counts.at("damaged_frames"), 0u);
  EXPECT_EQ(done.result().counts.at("reordered_frames"), 0u);
  EXPECT_EQ(done.report["hosts"]["a"]["nic"]["vi.active"], 1) << "only the stack's VI is left";
}

TEST(ViStreamTest, FramesLeaveAtTheGivenInterval) {
  const Finished done = run(stream("count = 1000\nbatch = 1\ninterval_ns = 700\n"));
  EXPECT_EQ(done.result().counts.at("received_frames"), 1000u);
  EXPECT_NEAR(static_cast<double>(done.result().counts.at("elapsed_ns")), 999 * 700, 500);
  EXPECT_EQ(done.limit("a"), "offered load");
}

TEST(ViStreamTest, PoissonArrivalsHaveTheGivenMean) {
  const Finished done = run(stream("count = 4000\nbatch = 1\ninterval_ns = 700\npoisson = true\n"));
  EXPECT_EQ(done.result().counts.at("received_frames"), 4000u);
  const auto elapsed_ns = static_cast<double>(done.result().counts.at("elapsed_ns"));
  EXPECT_NEAR(elapsed_ns, 4000 * 700, 0.05 * 4000 * 700);  // three standard deviations of the mean
  EXPECT_GT(std::abs(elapsed_ns - 3999 * 700), 500) << "equal intervals";
}

TEST(ViStreamTest, NarrowPcieLinkIsNamed) {
  const Finished done =
      run(stream("count = 30_000\nsize_bytes = 1518\n"), {"pcie_link.generation=1", "pcie_link.lanes=1"});
  EXPECT_EQ(done.limit("a"), "PCIe downstream");
  EXPECT_EQ(done.limit("b"), "PCIe upstream");
}

TEST(ViStreamTest, SlowProcessorIsNamed) {
  const Finished done = run(stream("count = 20_000\n", "[cpu]\nvi_descriptor_ns = 200\n"));
  EXPECT_EQ(done.limit("b"), "processor");
}

TEST(ViStreamTest, FewTagsAreNamed) {
  const Finished done = run(stream("count = 5000\n"), {"pcie_link.tags=1", "tx_dma.buffer_bytes=16777216"});
  EXPECT_EQ(done.limit("a"), "PCIe tags");
}

TEST(ViStreamTest, LackOfCreditsIsNamed) {
  const Finished done = run(stream("count = 20_000\n"), {"pcie_link.posted_header_credits=1"});
  EXPECT_EQ(done.limit("b"), "PCIe credits");
}

TEST(ViStreamTest, TransmitBufferThatDoesNotCoverTheMemoryLatencyIsNamed) {
  const Finished done =
      run(stream("count = 3000\nsize_bytes = 1518\n"), {"tx_dma.buffer_bytes=16384", "pcie_link.memory_read_ns=20000"});
  EXPECT_EQ(done.limit("a"), "transmit buffer");
}

TEST(ViStreamTest, ShortStreamThatStartsLateArrives) {
  const Finished done = run(stream("count = 3\nstart_us = 20_000\nidle_vis = 100\n"));
  EXPECT_TRUE(done.outcome.ok);
  EXPECT_EQ(done.result().counts.at("received_frames"), 3u);
}

TEST(ViStreamTest, SenderThatHasTimeIsLimitedByItsLoad) {
  const Finished done =
      run(stream("count = 100\nbatch = 1\n", "[cpu]\nvi_event_ns = 1\n"), {"mac_port.rate_mbps=100000"});
  EXPECT_EQ(done.limit("b"), "offered load");
}

TEST(ViStreamTest, WrongSizesAreRefused) {
  const Result<Scenario> scenario = parse_scenario(stream("size_bytes = 60\n"), "test");
  ASSERT_FALSE(scenario.ok());
  EXPECT_NE(scenario.error().message.find("64"), std::string::npos);
}

}  // namespace
}  // namespace postern::sim
