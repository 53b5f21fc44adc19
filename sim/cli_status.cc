// `postern status`: what runs, and what the simulator and each hostd say of themselves.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "driver/hostd_client.h"
#include "sim/cli_verbs.h"
#include "sim/live_control.h"

namespace postern::sim {
namespace {

using Json = nlohmann::ordered_json;
constexpr int kStatusTimeoutMs = 3000;

// Text that should be JSON; what is not becomes {"error": ...}.
Json parsed_or_error(const Result<std::string>& text) {
  if (!text.ok()) return Json{{"error", text.error().message}};
  Json json = Json::parse(text.value(), nullptr, false);
  return json.is_discarded() ? Json{{"error", "the answer is not JSON"}} : json;
}

// Whether the whole testbed runs and answers.
struct Health {
  bool all_run = true;     // each process that there should be is recorded and alive
  bool all_answer = true;  // and says how it is
};

Json process_status(const TestbedProcess& process, Health& health) {
  const bool alive = process_alive(process.id);
  health.all_run = health.all_run && alive;
  return Json{{"pid", process.id.pid}, {"running", alive}};
}

Json answer_of(const Result<std::string>& text, Health& health) {
  Json json = parsed_or_error(text);
  health.all_answer = health.all_answer && !json.contains("error");
  return json;
}

Json host_status(const TestbedHost& host, const TestbedState& state, const RunDirectory& directory, Health& health) {
  Json json{{"name", host.name}, {"address", host.address}};
  for (const TestbedProcess& process : state.processes) {
    if (process.role != "hostd" || process.host != host.name) continue;
    json["hostd"] = process_status(process, health);
    if (!json["hostd"]["running"].get<bool>()) continue;
    hostd::HostdClient client(directory.hostd_socket(host.name), kStatusTimeoutMs);
    Status connected = client.connect();
    json["hostd"]["status"] =
        answer_of(connected.ok() ? client.status_json() : Result<std::string>(connected.error()), health);
  }
  if (!json.contains("hostd")) health.all_run = false;  // not started yet
  return json;
}

Json collect_status(const RunDirectory& directory, const TestbedState& state, Health& health) {
  Json json{{"run_dir", directory.path()}, {"topology", state.topology}};
  for (const TestbedProcess& process : state.processes) {
    if (process.role != "simulator") continue;
    json["simulator"] = process_status(process, health);
    if (json["simulator"]["running"].get<bool>()) {
      json["simulator"]["status"] = answer_of(
          live_request_status(directory.control_socket(), std::chrono::milliseconds(kStatusTimeoutMs)), health);
    }
  }
  if (!json.contains("simulator")) health.all_run = false;
  json["hosts"] = Json::array();
  for (const TestbedHost& host : state.hosts) {
    json["hosts"].push_back(host_status(host, state, directory, health));
  }
  json["namespaces"] = state.namespaces;
  json["all_running"] = health.all_run && health.all_answer;
  return json;
}

std::string running_text(const Json& process) {
  return process.value("running", false) ? fmt::format("running (pid {})", process.value("pid", 0)) : "NOT RUNNING";
}

void print_simulator(const Json& simulator) {
  fmt::print("simulator  {}\n", running_text(simulator));
  const Json status = simulator.value("status", Json::object());
  if (status.contains("error")) fmt::print("           {}\n", status["error"].get<std::string>());
  if (status.contains("violations")) {
    fmt::print("           {} violations of the contract\n{}", status.value("violations", uint64_t{0}),
               status.value("violation_reports", ""));
  }
  if (!status.contains("time")) return;
  const Json& time = status["time"];
  fmt::print("           simulated {:.3f} s in {:.3f} s of wall time (ratio {:.3f})\n", time.value("simulated_s", 0.0),
             time.value("wall_s", 0.0), time.value("ratio", 0.0));
}

void print_host(const Json& host, const Json& simulator) {
  const std::string name = host.value("name", "");
  fmt::print("host {:<5} {:<18} hostd {}", name, host.value("address", ""),
             running_text(host.value("hostd", Json::object())));
  for (const Json& nic : simulator.value("status", Json::object()).value("nics", Json::array())) {
    if (nic.value("host", "") != name) continue;
    fmt::print(", {} VIs, {} DMA regions, {} frames sent, {} received", nic.value("started_vis", 0),
               nic.value("dma_regions", 0), nic.value("tx_frames", uint64_t{0}), nic.value("rx_frames", uint64_t{0}));
  }
  fmt::print("\n");
  const Json hostd = host.value("hostd", Json::object()).value("status", Json::object());
  if (hostd.contains("error")) fmt::print("           {}\n", hostd["error"].get<std::string>());
}

// "vi3.events" -> VI 3, "events".
bool split_vi_counter(const std::string& name, int& vi, std::string& counter) {
  int consumed = 0;
  if (std::sscanf(name.c_str(), "vi%d.%n", &vi, &consumed) != 1 || consumed == 0) return false;
  counter = name.substr(static_cast<size_t>(consumed));
  return true;
}

void print_event_queues(const Json& nics) {
  fmt::print("\n{:<14} {:>10} {:>10} {:>11} {:>12} {:>10} {:>10}\n", "event queue", "events", "dropped", "max depth",
             "min credits", "primes", "interrupts");
  for (const Json& nic : nics) {
    std::map<int, std::map<std::string, uint64_t>> queues;
    const Json counters = nic.value("counters", Json::object());
    for (const auto& [name, value] : counters.items()) {
      int vi = 0;
      std::string counter;
      if (split_vi_counter(name, vi, counter)) queues[vi][counter] = value.get<uint64_t>();
    }
    for (auto& [vi, queue] : queues) {
      fmt::print("{:<14} {:>10} {:>10} {:>11} {:>12} {:>10} {:>10}\n",
                 fmt::format("{} VI {}", nic.value("host", ""), vi), queue["events"], queue["events_dropped"],
                 queue["evq_depth_max"], queue["credits_low_water"], queue["primes"], queue["interrupts"]);
    }
  }
}

void print_drops(const Json& nics) {
  std::string text;
  for (const Json& nic : nics) {
    const Json counters = nic.value("counters", Json::object());
    for (const auto& [name, value] : counters.items()) {
      if (name.rfind("drops.", 0) != 0 || value.get<uint64_t>() == 0) continue;
      text += fmt::format("{}{} {} {}", text.empty() ? "" : ", ", nic.value("host", ""), name.substr(6),
                          value.get<uint64_t>());
    }
  }
  fmt::print("\ndrops          {}\n", text.empty() ? "none" : text);
}

void print_stages(const Json& stages) {
  if (stages.empty()) return;
  fmt::print("\n{:<14} {:>10} {:>11} {:>12}   (simulated ns)\n", "stage", "count", "p50", "p99");
  for (const Json& stage : stages) {
    fmt::print("{:<14} {:>10} {:>11.1f} {:>12.1f}   {}\n", stage.value("name", ""), stage.value("count", uint64_t{0}),
               stage.value("p50_ns", 0.0), stage.value("p99_ns", 0.0), stage.value("meaning", ""));
  }
}

}  // namespace

int cli_status(const std::string& run_dir, bool as_json) {
  const RunDirectory directory(run_dir);
  Result<TestbedState> state = testbed_state(directory);
  if (!state) return cli_fail(state.error());
  Health health;
  const Json json = collect_status(directory, *state, health);
  if (as_json) {
    fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
  } else {
    fmt::print("run directory {}, topology {}\n", directory.path(), state->topology);
    const Json simulator = json.value("simulator", Json::object());
    print_simulator(simulator);
    for (const Json& host : json["hosts"]) print_host(host, simulator);
    for (const std::string& name : state->namespaces) fmt::print("network namespace {}\n", name);
    const Json live = simulator.value("status", Json::object());
    if (live.contains("nics")) {
      print_event_queues(live["nics"]);
      print_drops(live["nics"]);
      print_stages(live.value("stages", Json::array()));
    }
  }
  if (health.all_run && health.all_answer) return 0;
  return cli_fail({EIO, fmt::format("a process of this testbed {}: restart it with `postern down` and `postern up` "
                                    "(logs in {})",
                                    health.all_run ? "does not answer" : "does not run", directory.path())});
}

}  // namespace postern::sim
