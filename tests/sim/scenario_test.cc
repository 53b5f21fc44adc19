// Whole runs in virtual time: driver, stack, NIC model and wires, end to end. A run takes a process of its own, so
// tests that compare two runs fork.
#include "sim/scenario.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

namespace postern::sim {
namespace {

using Json = nlohmann::json;

Scenario scenario_of(const std::string& text) {
  Result<Scenario> scenario = parse_scenario(text, "test.toml");
  EXPECT_TRUE(scenario.ok()) << (scenario.ok() ? "" : scenario.error().message);
  return scenario.ok() ? std::move(scenario).value() : Scenario{};
}

// Runs a scenario in this process.
Json run_here(const Scenario& scenario) {
  const Result<ScenarioOutcome> outcome = execute_scenario(scenario, "", false);
  EXPECT_TRUE(outcome.ok()) << (outcome.ok() ? "" : outcome.error().message);
  if (!outcome.ok()) {
    return {};
  }
  EXPECT_TRUE(outcome.value().ok) << outcome.value().report;
  return Json::parse(outcome.value().json);
}

// Runs a scenario in a child process and returns its JSON text.
std::string run_apart(const Scenario& scenario) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    const Result<ScenarioOutcome> outcome = execute_scenario(scenario, "", false);
    const std::string text = outcome.ok() ? outcome.value().json : outcome.error().message;
    for (size_t done = 0; done < text.size();) {
      const ssize_t written = write(ends[1], text.data() + done, text.size() - done);
      if (written <= 0) {
        break;
      }
      done += static_cast<size_t>(written);
    }
    _exit(0);
  }
  close(ends[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t got; (got = read(ends[0], buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<size_t>(got));
  }
  close(ends[0]);
  waitpid(child, nullptr, 0);
  return text;
}

const Json* stage(const Json& json, const std::string& name) {
  for (const Json& row : json["stages"]) {
    if (row["stage"] == name) {
      return &row;
    }
  }
  return nullptr;
}

constexpr const char* kImpairedLink =
    "[[host]]\nname = \"a\"\naddress = \"10.9.0.1/24\"\n[[host]]\nname = \"b\"\naddress = \"10.9.0.2/24\"\n"
    "[[link]]\nends = [\"a\", \"b\"]\nloss = 0.05\nreorder = 0.05\nduplicate = 0.02\n";

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
      run_here(scenario_of("[[workload]]\nkind = \"udp_pingpong\"\nfrom = \"a\"\nto = \"b\"\ncount = 50\n"));
  double sum_ns = 0;
  for (const char* name : {"stack_tx", "doorbell", "desc_fetch", "tx_dma", "port_wait", "wire", "rx_dma", "event_write",
                           "wakeup", "stack_rx"}) {
    sum_ns += (*stage(json, name))["mean_ns"].get<double>();
  }
  const double total_ns = (*stage(json, "total"))["mean_ns"].get<double>();
  EXPECT_NEAR(sum_ns, total_ns, total_ns / 500);  // the datagram that waited for ARP has no send stamp
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
  const Result<ScenarioOutcome> outcome = execute_scenario(scenario, "", false);
  ASSERT_TRUE(outcome.ok());
  EXPECT_FALSE(outcome.value().ok);
  EXPECT_NE(outcome.value().results[0].error.find("Connection timed out"), std::string::npos);
}

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

TEST(ScenarioTest, SlowTsharkReadsTheCapturesWithoutAMalformedPacket) {
  if (std::system("command -v tshark >/dev/null 2>&1") != 0) {
    GTEST_SKIP() << "tshark is not installed";
  }
  const std::string directory = ::testing::TempDir();
  const Result<ScenarioOutcome> outcome = execute_scenario(
      scenario_of(
          "[[workload]]\nkind = \"udp_pingpong\"\nfrom = \"a\"\nto = \"b\"\n"
          "[[workload]]\nkind = \"tcp_stream\"\nfrom = \"a\"\nto = \"b\"\nport = 28001\ntotal_bytes = 1_000_000\n"),
      directory, false);
  ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  for (const char* name : {"/a.pcap", "/b.pcap"}) {
    const std::string read = "tshark -r " + directory + name;
    EXPECT_GT(lines_of(read + " 2>/dev/null"), 2700u);
    EXPECT_EQ(lines_of(read + " -Y '_ws.malformed || _ws.expert.severity == error' 2>/dev/null"), 0u);
    std::remove((directory + name).c_str());
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

// --- transfers under impairment: a few seeds fast, two hundred slow -------------------------------------------------

std::string transfer_once(uint64_t seed) {
  Scenario scenario =
      scenario_of(std::string(kImpairedLink) +
                  "[[workload]]\nkind = \"tcp_transfer\"\nfrom = \"a\"\nto = \"b\"\ntotal_bytes = 1_048_576\n");
  scenario.seed = seed;
  return run_apart(scenario);
}

void expect_transfer(uint64_t seed) {
  const std::string text = transfer_once(seed);
  const Json json = Json::parse(text, nullptr, false);
  ASSERT_FALSE(json.is_discarded()) << "seed " << seed << ": " << text;
  EXPECT_TRUE(json["workloads"][0]["ok"]) << "seed " << seed << ": " << json["workloads"][0];
  EXPECT_EQ(json["workloads"][0]["counts"]["received_bytes"], 1'048'576) << "seed " << seed;
}

TEST(ImpairedTransferTest, SeedOne) { expect_transfer(1); }
TEST(ImpairedTransferTest, SeedTwo) { expect_transfer(2); }
TEST(ImpairedTransferTest, SeedThree) { expect_transfer(3); }

TEST(ImpairedTransferTest, SlowTwoHundredSeedsEndWithEqualHashes) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    expect_transfer(seed);
  }
}

TEST(ImpairedTransferTest, SlowEachOfTenSeedsIsReproducible) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    EXPECT_EQ(transfer_once(seed), transfer_once(seed)) << "seed " << seed;
  }
}

}  // namespace
}  // namespace postern::sim
