#include <gtest/gtest.h>

#include "sim/scenario.h"

namespace postern::sim {
namespace {

std::string error_of(const std::string& text) {
  const Result<Scenario> scenario = parse_scenario(text, "run.toml");
  return scenario.ok() ? "(no error)" : scenario.error().message;
}

constexpr const char* kWorkload = "[[workload]]\nkind = \"udp_stream\"\nfrom = \"a\"\nto = \"b\"\n";

TEST(ScenarioFileTest, EveryBuiltinScenarioIsValid) {
  for (const BuiltinScenario& builtin : builtin_scenarios()) {
    const Result<Scenario> scenario = parse_scenario(builtin.text, builtin.name);
    EXPECT_TRUE(scenario.ok()) << builtin.name << ": " << (scenario.ok() ? "" : scenario.error().message);
    EXPECT_FALSE(builtin.description.empty());
  }
}

TEST(ScenarioFileTest, ReadsWorkloadsTopologyAndCosts) {
  const Result<Scenario> result = parse_scenario(
      "seed = 5\nspin_us = 7\nlimit_ms = 10\n[cpu]\nsend_call_ns = 99.5\n"
      "[vi]\nevq_entries = 256\nevq_policy = \"drop\"\nholdoff_ns = 9\nmerge_count = 5\nrx_prefix = true\n"
      "[[host]]\nname = \"x\"\naddress = \"10.0.0.1/8\"\n[[host]]\nname = \"y\"\naddress = \"10.0.0.2/8\"\n"
      "[[link]]\nends = [\"x\", \"y\"]\n"
      "[[workload]]\nkind = \"tcp_stream\"\nfrom = \"x\"\nto = \"y\"\ntotal_bytes = 77\nport = 80\nstart_us = 3\n",
      "run.toml");
  ASSERT_TRUE(result.ok()) << result.error().message;
  const Scenario& scenario = result.value();
  EXPECT_EQ(scenario.seed, 5u);
  EXPECT_EQ(scenario.host.spin_ns, 7000u);
  EXPECT_EQ(scenario.limit_ns, 10'000'000u);
  EXPECT_EQ(scenario.costs.send_call_ns, 99.5);
  EXPECT_EQ(scenario.host.geometry.evq_entries, 256u);
  EXPECT_EQ(scenario.host.evq_policy, EvqPolicy::kDrop);
  EXPECT_EQ(scenario.host.holdoff_ns, 9u);
  EXPECT_EQ(scenario.host.merge_count, 5);
  EXPECT_TRUE(scenario.host.rx_prefix);
  EXPECT_EQ(scenario.topology.hosts[0].name, "x");
  ASSERT_EQ(scenario.workloads.size(), 1u);
  EXPECT_EQ(scenario.workloads[0].kind, WorkloadKind::kTcpStream);
  EXPECT_EQ(scenario.workloads[0].total_bytes, 77u);
  EXPECT_EQ(scenario.workloads[0].port, 80);
  EXPECT_EQ(scenario.workloads[0].start_ns, 3000u);
  EXPECT_EQ(scenario.workloads[0].name, "tcp_stream_1");
}

TEST(ScenarioFileTest, UnknownKindListsTheKnownOnes) {
  EXPECT_EQ(
      error_of("[[workload]]\nkind = \"telepathy\"\nfrom = \"a\"\nto = \"b\"\n"),
      "run.toml:2: workload.kind: expected one of udp_pingpong, tcp_pingpong, udp_stream, tcp_stream, many_to_one, "
      "tcp_transfer, vi_stream, found \"telepathy\"");
}

TEST(ScenarioFileTest, ARingSizeThatIsNoPowerOfTwoIsAnError) {
  EXPECT_EQ(error_of(std::string("[vi]\nrx_entries = 300\n") + kWorkload),
            "run.toml:2: vi.rx_entries: expected a power of two from 128 to 4096, found 300");
}

TEST(ScenarioFileTest, UnknownHostIsAnError) {
  EXPECT_EQ(error_of("[[workload]]\nkind = \"udp_stream\"\nfrom = \"a\"\nto = \"z\"\n"),
            "run.toml:4: workload.to: expected the name of a host, but there is no \"z\"");
}

TEST(ScenarioFileTest, AWorkloadToItselfIsAnError) {
  EXPECT_EQ(error_of("[[workload]]\nkind = \"udp_stream\"\nfrom = \"a\"\nto = \"a\"\n"),
            "run.toml:3: workload.from: expected another host than \"to\", found \"a\" in both");
}

TEST(ScenarioFileTest, AKeyOfAnotherKindIsUnknown) {
  EXPECT_EQ(error_of(std::string(kWorkload) + "total_bytes = 5\n").substr(0, 49),
            "run.toml:5: workload.total_bytes: unknown key; ex");
}

TEST(ScenarioFileTest, ADatagramThatDoesNotFitIsAnError) {
  EXPECT_EQ(error_of(std::string(kWorkload) + "size_bytes = 1473\n"),
            "run.toml:5: workload.size_bytes: expected a whole number from 16 to 1472, found 1473");
}

TEST(ScenarioFileTest, WithoutWorkloadsThereIsNothingToRun) {
  EXPECT_EQ(error_of("seed = 1\n"),
            "run.toml:1: workload: expected at least one [[workload]] table with kind, from and to");
}

TEST(ScenarioFileTest, UnknownScenarioNamesTheBuiltinOnes) {
  ScenarioOptions options;
  options.scenario = "nonsense";
  const Result<Scenario> scenario = load_scenario(options);
  ASSERT_FALSE(scenario.ok());
  EXPECT_NE(scenario.error().message.find("cannot read nonsense: No such file or directory"), std::string::npos);
  EXPECT_NE(scenario.error().message.find("built-in scenarios: pingpong, "), std::string::npos);
}

TEST(ScenarioFileTest, OptionsOverrideSeedDurationAndProperties) {
  ScenarioOptions options;
  options.scenario = "stream";
  options.seed = 42;
  options.duration_ms = 3;
  options.settings = {"a:mac_port.processing_ns=60"};
  const Result<Scenario> scenario = load_scenario(options);
  ASSERT_TRUE(scenario.ok()) << scenario.error().message;
  EXPECT_EQ(scenario.value().seed, 42u);
  EXPECT_EQ(scenario.value().workloads[0].duration_ns, 3'000'000u);
  EXPECT_EQ(scenario.value().topology.hosts[0].nic_properties.at("mac_port.processing_ns").value, 60);
}

}  // namespace
}  // namespace postern::sim
