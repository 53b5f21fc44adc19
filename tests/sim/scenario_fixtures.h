// Runs scenarios for tests: in this process, or in a child where a test needs more than one run (a SystemC kernel
// elaborates once per process).
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <string>

#include "sim/scenario.h"

namespace postern::sim {

using Json = nlohmann::json;

inline Scenario scenario_of(const std::string& text) {
  Result<Scenario> scenario = parse_scenario(text, "test.toml");
  EXPECT_TRUE(scenario.ok()) << (scenario.ok() ? "" : scenario.error().message);
  return scenario.ok() ? std::move(scenario).value() : Scenario{};
}

inline RunWatchers monitored() {
  RunWatchers watchers;
  watchers.monitor = true;
  return watchers;
}

inline void expect_clean(const ScenarioOutcome& outcome) {
  EXPECT_EQ(outcome.violation_count, 0u) << outcome.violations;
}

// Runs a scenario in this process.
inline Json run_here(const Scenario& scenario) {
  const Result<ScenarioOutcome> outcome = execute_scenario(scenario, "", false, true, monitored());
  EXPECT_TRUE(outcome.ok()) << (outcome.ok() ? "" : outcome.error().message);
  if (!outcome.ok()) {
    return {};
  }
  EXPECT_TRUE(outcome.value().ok) << outcome.value().report;
  expect_clean(outcome.value());
  return Json::parse(outcome.value().json);
}

// Runs a scenario in a child process and returns its JSON text.
inline std::string run_apart(const Scenario& scenario) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    const Result<ScenarioOutcome> outcome = execute_scenario(scenario, "", false, true, monitored());
    const bool clean = outcome.ok() && outcome.value().violation_count == 0;
    const std::string text = !outcome.ok() ? outcome.error().message
                             : clean       ? outcome.value().json
                                           : outcome.value().violations;
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

inline constexpr const char* kImpairedLink =
    "[[host]]\nname = \"a\"\naddress = \"10.9.0.1/24\"\n[[host]]\nname = \"b\"\naddress = \"10.9.0.2/24\"\n"
    "[[link]]\nends = [\"a\", \"b\"]\nloss = 0.05\nreorder = 0.05\nduplicate = 0.02\n";

// A 1 MiB transfer under 5 % loss, 5 % reordering and 2 % duplication each way; returns its JSON.
inline std::string transfer_once(uint64_t seed) {
  Scenario scenario =
      scenario_of(std::string(kImpairedLink) +
                  "[[workload]]\nkind = \"tcp_transfer\"\nfrom = \"a\"\nto = \"b\"\ntotal_bytes = 1_048_576\n");
  scenario.seed = seed;
  return run_apart(scenario);
}

inline void expect_transfer(uint64_t seed) {
  const std::string text = transfer_once(seed);
  const Json json = Json::parse(text, nullptr, false);
  ASSERT_FALSE(json.is_discarded()) << "seed " << seed << ": " << text;
  EXPECT_TRUE(json["workloads"][0]["ok"]) << "seed " << seed << ": " << json["workloads"][0];
  EXPECT_EQ(json["workloads"][0]["counts"]["received_bytes"], 1'048'576) << "seed " << seed;
}

}  // namespace postern::sim
