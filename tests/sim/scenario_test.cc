// Whole runs in virtual time: driver, stack, NIC model and wires, end to end.
#include "tests/sim/scenario_fixtures.h"

namespace postern::sim {
namespace {

const Json* stage(const Json& json, const std::string& name) {
  for (const Json& row : json["stages"]) {
    if (row["stage"] == name) {
      return &row;
    }
  }
  return nullptr;
}

TEST(ScenarioTest, UdpPingpongEndsAndEveryStageIsMeasured) {
  const Json json =
      run_here(scenario_of("[[workload]]\nkind = \"udp_pingpong\"\nfrom = \"a\"\nto = \"b\"\ncount = 200\n"));
  EXPECT_EQ(json["workloads"][0]["counts"]["round_trips"], 200);
  EXPECT_EQ(json["workloads"][0]["round_trip"]["count"], 200);
  for (const char* name : {"stack_tx", "doorbell", "desc_fetch", "tx_dma", "wire", "rx_dma", "event_write", "wakeup",
                           "stack_rx", "total"}) {
    const Json* row = stage(json, name);
    ASSERT_NE(row, nullptr) << name;
    EXPECT_GE((*row)["count"], 400) << name;
  }
  const double p50_ns = json["workloads"][0]["round_trip"]["p50_ns"];
  EXPECT_GT(p50_ns, 3000);
  EXPECT_LT(p50_ns, 20'000);
  EXPECT_TRUE(json["drops"].empty()) << json["drops"];
}

TEST(ScenarioTest, TheStagesOfAPacketAddUpToItsTotal) {
  const Json json =
      run_here(scenario_of("[[workload]]\nkind = \"udp_pingpong\"\nfrom = \"a\"\nto = \"b\"\ncount = 200\n"));
  double sum_ns = 0;
  for (const char* name : {"stack_tx", "doorbell", "desc_fetch", "tx_dma", "port_wait", "wire", "rx_dma", "event_write",
                           "wakeup", "stack_rx"}) {
    sum_ns += (*stage(json, name))["mean_ns"].get<double>();
  }
  const double total_ns = (*stage(json, "total"))["mean_ns"].get<double>();
  EXPECT_NEAR(sum_ns, total_ns, total_ns / 500);  // the datagram that waited for ARP has no send stamp
}

TEST(ScenarioTest, ARunEndsAtTheTimeThatItsWatcherSays) {
  const Scenario scenario =
      scenario_of("[[workload]]\nkind = \"udp_pingpong\"\nfrom = \"a\"\nto = \"b\"\ncount = 200\n");
  RunWatchers watchers;
  watchers.end_ps = 300'000'500;  // between two looks of the run
  const Result<ScenarioOutcome> outcome = execute_scenario(scenario, "", false, true, watchers);
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(outcome.value().simulated_ns, 300'000u);
  EXPECT_FALSE(outcome.value().results[0].finished);
}

TEST(ScenarioTest, ARunThatEndsWhileItsHostsStartSaysSo) {
  const Scenario scenario =
      scenario_of("[[workload]]\nkind = \"udp_pingpong\"\nfrom = \"a\"\nto = \"b\"\ncount = 200\n");
  RunWatchers watchers;
  watchers.end_ps = 1'000'000;
  const Result<ScenarioOutcome> outcome = execute_scenario(scenario, "", false, true, watchers);
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code, ECANCELED);
}

TEST(ScenarioTest, TcpPingpongEnds) {
  const Json json =
      run_here(scenario_of("[[workload]]\nkind = \"tcp_pingpong\"\nfrom = \"a\"\nto = \"b\"\ncount = 200\n"));
  EXPECT_EQ(json["workloads"][0]["counts"]["round_trips"], 200);
}

TEST(ScenarioTest, UdpStreamArrivesCompleteAndInOrder) {
  const Json json =
      run_here(scenario_of("[[workload]]\nkind = \"udp_stream\"\nfrom = \"a\"\nto = \"b\"\ncount = 5000\n"));
  EXPECT_EQ(json["workloads"][0]["counts"]["received_datagrams"], 5000);
  EXPECT_EQ(json["workloads"][0]["counts"]["out_of_order_datagrams"], 0);
  EXPECT_GE(json["event_queues"][1]["events"], 5000);
}

TEST(ScenarioTest, ATenMegabyteTcpStreamIsCorrectAndNearLineRate) {
  const Json json = run_here(
      scenario_of("[[workload]]\nkind = \"tcp_stream\"\nfrom = \"a\"\nto = \"b\"\ntotal_bytes = 10_000_000\n"));
  EXPECT_EQ(json["workloads"][0]["counts"]["received_bytes"], 10'000'000);
  EXPECT_GT(json["workloads"][0]["rates"]["goodput_gbps"].get<double>(), 5.0);
  EXPECT_LT(json["workloads"][0]["rates"]["goodput_gbps"].get<double>(), 10.0);
}

TEST(ScenarioTest, ManyToOneOverASwitchArrivesComplete) {
  for (const BuiltinScenario& builtin : builtin_scenarios()) {
    if (builtin.name == "incast") {
      Scenario scenario = scenario_of(builtin.text);
      scenario.workloads[0].total_bytes = 200'000;
      const Json json = run_here(scenario);
      EXPECT_EQ(json["workloads"][0]["counts"]["received_bytes"], 600'000);
    }
  }
}

TEST(ScenarioTest, ASleepingReceiverIsWokenByTheInterrupt) {
  const Json json = run_here(
      scenario_of("spin_us = 0\n[[workload]]\nkind = \"udp_pingpong\"\nfrom = \"a\"\nto = \"b\"\ncount = 50\n"));
  EXPECT_GE(json["event_queues"][0]["interrupts"], 50);
  EXPECT_GE(json["event_queues"][0]["primes"], json["event_queues"][0]["interrupts"]);
  EXPECT_GT((*stage(json, "wakeup"))["p50_ns"].get<double>(), CpuCosts().interrupt_wakeup_ns);
}

TEST(ScenarioTest, TheSameSeedGivesIdenticalBytes) {
  const Scenario scenario =
      scenario_of(std::string(kImpairedLink) +
                  "[[workload]]\nkind = \"tcp_transfer\"\nfrom = \"a\"\nto = \"b\"\ntotal_bytes = 100_000\n");
  const std::string first = run_apart(scenario);
  const std::string second = run_apart(scenario);
  EXPECT_EQ(first, second);
  EXPECT_TRUE(Json::parse(first)["workloads"][0]["ok"]) << first;
}

TEST(ScenarioTest, AnotherSeedGivesOtherFrames) {
  Scenario scenario =
      scenario_of(std::string(kImpairedLink) +
                  "[[workload]]\nkind = \"tcp_transfer\"\nfrom = \"a\"\nto = \"b\"\ntotal_bytes = 100_000\n");
  const Json first = Json::parse(run_apart(scenario));
  scenario.seed = 2;
  const Json second = Json::parse(run_apart(scenario));
  EXPECT_NE(first["wire_fingerprint"], second["wire_fingerprint"]);
}

TEST(ScenarioTest, AWorkloadThatCannotEndFailsWithAReason) {
  Scenario scenario = scenario_of(
      "[[host]]\nname = \"a\"\naddress = \"10.9.0.1/24\"\n[[host]]\nname = \"b\"\naddress = \"10.9.0.2/24\"\n"
      "[[link]]\nends = [\"a\", \"b\"]\nloss = 1.0\n"
      "[[workload]]\nkind = \"udp_pingpong\"\nfrom = \"a\"\nto = \"b\"\ncount = 5\ntimeout_ms = 50\n");
  const Result<ScenarioOutcome> outcome = execute_scenario(scenario, "", false, true, monitored());
  ASSERT_TRUE(outcome.ok());
  expect_clean(outcome.value());
  EXPECT_FALSE(outcome.value().ok);
  EXPECT_NE(outcome.value().results[0].error.find("Connection timed out"), std::string::npos);
}

// Both hosts receive behind prefixes, with events that complete several frames; loss makes TCP reorder them.
TEST(ScenarioTest, MergedReceiveEventsDeliverTheSameBytes) {
  Scenario scenario = scenario_of(
      std::string(kImpairedLink) +
      "[vi]\nmerge_count = 16\n"
      "[[workload]]\nkind = \"tcp_transfer\"\nfrom = \"a\"\nto = \"b\"\ntotal_bytes = 300_000\n"
      "[[workload]]\nkind = \"tcp_stream\"\nfrom = \"b\"\nto = \"a\"\nport = 28001\ntotal_bytes = 300_000\n");
  for (HostSpec& host : scenario.topology.hosts) host.nic_properties["event_queue.merge_wait_ns"].value = 5000;
  const Json json = run_here(scenario);
  for (const Json& workload : json["workloads"]) EXPECT_TRUE(workload["ok"]) << workload;
  for (const Json& queue : json["event_queues"]) EXPECT_GT(queue["merged_frames"], 0) << queue;
}

TEST(ScenarioTest, ReportHoldsTheHistogramOfEachEventQueue) {
  const Json json =
      run_here(scenario_of("[[workload]]\nkind = \"udp_stream\"\nfrom = \"a\"\nto = \"b\"\ncount = 500\n"));
  for (const Json& queue : json["event_queues"]) {
    uint64_t sum = 0;
    for (const auto& [bound, count] : queue["depth"].items()) sum += count.get<uint64_t>();
    EXPECT_GT(sum, 0u);
    EXPECT_EQ(sum, json["hosts"][queue["host"].get<std::string>()]["nic"]["vi0.events"].get<uint64_t>()) << queue;
  }
}

TEST(ScenarioTest, WorkloadsOfBothDirectionsShareTheHosts) {
  const Json json = run_here(
      scenario_of("[[workload]]\nkind = \"udp_pingpong\"\nfrom = \"a\"\nto = \"b\"\ncount = 100\n"
                  "[[workload]]\nkind = \"tcp_stream\"\nfrom = \"b\"\nto = \"a\"\ntotal_bytes = 1_000_000\n"
                  "[[workload]]\nkind = \"tcp_pingpong\"\nfrom = \"a\"\nto = \"b\"\ncount = 100\nport = 28001\n"));
  for (const Json& workload : json["workloads"]) {
    EXPECT_TRUE(workload["ok"]) << workload;
  }
}

TEST(ScenarioTest, AFullEventQueueUnderPolicyDropCountsEachDatagramOnce) {
  const Json json =
      run_here(scenario_of("[vi]\nevq_entries = 128\nevq_policy = \"drop\"\n[cpu]\nrecv_call_ns = 2000\n"
                           "[[workload]]\nkind = \"udp_stream\"\nfrom = \"a\"\nto = \"b\"\ncount = 5000\n"));
  const Json& counts = json["workloads"][0]["counts"];
  uint64_t dropped = 0;
  for (const auto& [reason, count] : json["drops"].items()) {
    dropped += count.get<uint64_t>();
  }
  EXPECT_GT(dropped, 0u);
  EXPECT_EQ(counts["received_datagrams"].get<uint64_t>() + dropped, 5000u) << json["drops"];
}

TEST(ImpairedTransferTest, SeedOne) { expect_transfer(1); }
TEST(ImpairedTransferTest, SeedTwo) { expect_transfer(2); }
TEST(ImpairedTransferTest, SeedThree) { expect_transfer(3); }

TEST(ScenarioTest, WorkloadThatWouldStartAfterTheLimitEndsTheRunWithAnError) {
  Result<Scenario> scenario = parse_scenario(
      "limit_ms = 20\n[[workload]]\nkind = \"udp_pingpong\"\nfrom = \"a\"\nto = \"b\"\nstart_us = 50_000\n", "late");
  ASSERT_TRUE(scenario.ok());
  Result<ScenarioOutcome> outcome = execute_scenario(scenario.value(), "", false, true, monitored());
  ASSERT_TRUE(outcome.ok());
  expect_clean(outcome.value());
  EXPECT_FALSE(outcome->ok);
  EXPECT_LT(outcome->simulated_ns, 50'000'000u);
}

}  // namespace
}  // namespace postern::sim
