// Injected faults under driver, stack and workload in virtual time: what can be survived is, and what cannot ends in an
// error that names its cause, never in a hang.
#include "tests/sim/scenario_fixtures.h"

namespace postern::sim {
namespace {

// Two hosts whose NICs have properties, and one workload.
Scenario scenario_with(const std::string& nic_a, const std::string& nic_b, const std::string& workload) {
  return scenario_of("[[host]]\nname = \"a\"\naddress = \"10.9.0.1/24\"\n[host.nic]\n" + nic_a +
                     "[[host]]\nname = \"b\"\naddress = \"10.9.0.2/24\"\n[host.nic]\n" + nic_b +
                     "[[link]]\nends = [\"a\", \"b\"]\n[[workload]]\nfrom = \"a\"\nto = \"b\"\n" + workload);
}

constexpr const char* kTransfer = "kind = \"tcp_transfer\"\ntotal_bytes = 1_048_576\n";
constexpr const char* kLongStream = "kind = \"tcp_stream\"\ntotal_bytes = 1_000_000_000_000\ntimeout_ms = 20000\n";

uint64_t nic_count(const Json& json, size_t host, const std::string& name) {
  const Json& counters = json["hosts"][host == 0 ? "a" : "b"]["nic"];
  return counters.contains(name) ? counters[name].get<uint64_t>() : 0;
}

// Runs a scenario that must fail in bounded simulated time; returns the workload's error.
std::string error_of(const Scenario& scenario, uint64_t most_simulated_ms = 25000) {
  const Result<ScenarioOutcome> outcome = execute_scenario(scenario, "", false, true, monitored());
  if (!outcome.ok()) return outcome.error().message;
  expect_clean(outcome.value());
  EXPECT_FALSE(outcome.value().ok);
  EXPECT_LE(outcome.value().simulated_ns, most_simulated_ms * 1'000'000);
  EXPECT_TRUE(outcome.value().results[0].finished) << "a thread of the workload hangs";
  return outcome.value().results[0].error;
}

void expect_error(const std::string& nic_a, const std::string& nic_b, const std::string& part) {
  const std::string error = error_of(scenario_with(nic_a, nic_b, kLongStream));
  EXPECT_NE(error.find(part), std::string::npos) << error;
}

// --- survived
// ---------------------------------------------------------------------------------------------------------

TEST(FaultScenarioTest, TransferSurvivesDamagedFrames) {
  const Json json =
      run_here(scenario_with("fault.bad_fcs_probability = 0.02\n", "fault.bad_fcs_probability = 0.02\n", kTransfer));
  EXPECT_EQ(json["workloads"][0]["counts"]["received_bytes"], 1'048'576);
  EXPECT_GT(nic_count(json, 1, "faults.bad_fcs"), 0u);
  EXPECT_EQ(nic_count(json, 1, "faults.bad_fcs"), nic_count(json, 1, "drops.RX_BAD_FCS"));
}

TEST(FaultScenarioTest, TransferSurvivesLostAndDelayedInterrupts) {
  const std::string nic =
      "fault.msix_lost_probability = 0.3\nfault.msix_delayed_probability = 0.3\nfault.msix_delay_ns = 200000\n";
  Scenario scenario = scenario_with(nic, nic, kTransfer);
  scenario.host.spin_ns = 0;  // every wait sleeps
  const Json json = run_here(scenario);
  EXPECT_EQ(json["workloads"][0]["counts"]["received_bytes"], 1'048'576);
  EXPECT_GT(nic_count(json, 0, "faults.msix_lost") + nic_count(json, 1, "faults.msix_lost"), 0u);
  EXPECT_GT(nic_count(json, 0, "faults.msix_delayed") + nic_count(json, 1, "faults.msix_delayed"), 0u);
}

TEST(FaultScenarioTest, TransferSurvivesLinkFlaps) {
  const Json json = run_here(scenario_with(
      "fault.link_down_period_ns = 400000\nfault.link_down_ns = 50000\nfault.link_down_jitter_ns = 200000\n", "",
      kTransfer));
  EXPECT_EQ(json["workloads"][0]["counts"]["received_bytes"], 1'048'576);
  EXPECT_GT(nic_count(json, 0, "faults.link_down"), 0u);
}

TEST(FaultScenarioTest, RandomFaultsAreSurvivedTheSameWayTwice) {
  const std::string nic =
      "fault.bad_fcs_probability = 0.01\nfault.msix_lost_probability = 0.1\nfault.msix_delayed_probability = 0.1\n"
      "fault.link_down_period_ns = 3000000\nfault.link_down_ns = 20000\nfault.link_down_jitter_ns = 1000000\n";
  const Scenario scenario = scenario_with(nic, nic, kTransfer);
  const std::string first = run_apart(scenario);
  const Json json = Json::parse(first, nullptr, false);
  ASSERT_FALSE(json.is_discarded()) << first;
  EXPECT_TRUE(json["workloads"][0]["ok"]) << json["workloads"][0];
  EXPECT_EQ(first, run_apart(scenario));
}

TEST(FaultScenarioTest, PauseFramesDoNotBreakATransfer) {
  const Json json =
      run_here(scenario_with("fault.pause_period_ns = 200000\nfault.pause_quanta = 500\n", "", kTransfer));
  EXPECT_EQ(json["workloads"][0]["counts"]["received_bytes"], 1'048'576);
  EXPECT_GT(nic_count(json, 0, "faults.pause_frame"), 0u);
}

// --- not survived
// -----------------------------------------------------------------------------------------------------

TEST(FaultScenarioTest, PoisonedReadOfASenderIsNamed) {
  expect_error("fault.poisoned_probability = 0.001\nfault.dma_vi = 0\n", "", "VI 0 halted: POISONED");
}

TEST(FaultScenarioTest, PoisonedReadOfAReceiverIsNamed) {
  expect_error("", "fault.poisoned_probability = 0.01\nfault.dma_vi = 0\n", "host b: ");
}

TEST(FaultScenarioTest, CompletionTimeoutIsNamed) {
  expect_error("fault.completion_timeout_probability = 0.001\nfault.dma_vi = 0\n", "",
               "VI 0 halted: COMPLETION_TIMEOUT");
}

TEST(FaultScenarioTest, UnmappedAddressIsNamed) {
  expect_error("", "fault.unmapped_write_probability = 0.001\nfault.dma_vi = 0\n", "VI 0 halted: DMA_FAULT");
}

TEST(FaultScenarioTest, ContextErrorIsNamed) {
  expect_error("fault.context_ecc_at_ns = 2000000\n", "", "VI 0 halted: ECC");
}

TEST(FaultScenarioTest, SurpriseRemovalIsNoticedByItsHost) {
  expect_error("fault.removal_at_ns = 2000000\n", "", "the device is gone");
}

TEST(FaultScenarioTest, SurpriseRemovalOfTheReceiverIsNoticedByItsHost) {
  expect_error("", "fault.removal_at_ns = 2000000\n", "host b: ");
}

TEST(FaultScenarioTest, FunctionResetIsNoticedByItsHost) {
  expect_error("fault.function_reset_at_ns = 2000000\n", "", "the function has been reset");
}

TEST(FaultScenarioTest, CardThatIsPulledOutWhileItsHostStartsIsReported) {
  const std::string error =
      error_of(scenario_with("fault.removal_at_ns = 20000\n", "", "kind = \"udp_pingpong\"\ncount = 1\n"));
  EXPECT_NE(error.find("host a did not start"), std::string::npos) << error;
  EXPECT_NE(error.find("the device is gone"), std::string::npos) << error;
}

TEST(FaultScenarioTest, PoisonedAdminCommandIsReported) {
  const std::string error = error_of(
      scenario_with("fault.poisoned_probability = 1\nfault.dma_vi = -2\n", "", "kind = \"udp_pingpong\"\ncount = 1\n"));
  EXPECT_NE(error.find("POISONED"), std::string::npos) << error;
}

}  // namespace
}  // namespace postern::sim
