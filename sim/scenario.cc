// Runs a scenario: boots the hosts, starts the workloads, lets time pass, collects the report.
#include "sim/scenario.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>

#include "sim/run_report.h"
#include "sim/simulation.h"
#include "sim/virtual_host.h"

namespace postern::sim {
namespace {

constexpr uint64_t kBootLimitNs = 1'000'000'000;
constexpr uint64_t kBootStepNs = 100'000;
constexpr uint64_t kStepNs = 100'000'000;  // simulated time between two looks at the wall clock
constexpr std::chrono::seconds kProgressPeriod{1};

// A line on a terminal that says how far a long run is. Reads the wall clock for display only.
class ProgressLine {
 public:
  explicit ProgressLine(bool wanted) : shown_on_(wanted && isatty(STDERR_FILENO) != 0) {}
  ~ProgressLine() {
    if (drawn_) {
      fmt::print(stderr, "\r\x1b[K");
    }
  }
  void update(uint64_t simulated_ns, size_t finished, size_t workloads) {
    const auto now = std::chrono::steady_clock::now();
    if (!shown_on_ || now - last_ < kProgressPeriod) {
      return;
    }
    last_ = now;
    drawn_ = true;
    fmt::print(stderr, "\r\x1b[K{:.1f} ms simulated, {} of {} workloads finished",
               static_cast<double>(simulated_ns) / 1e6, finished, workloads);
    std::fflush(stderr);
  }

 private:
  const bool shown_on_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

class ScenarioRun {
 public:
  ScenarioRun(const Scenario& scenario, std::unique_ptr<Simulation> simulation)
      : scenario_(scenario), simulation_(std::move(simulation)), results_(scenario.workloads.size()) {}

  Status boot() {
    for (size_t i = 0; i < simulation_->host_count(); ++i) {
      VirtualHost::Options options = scenario_.host;
      options.stack.seed = scenario_.seed * 1'000'003 + i + 1;
      hosts_.push_back(std::make_unique<VirtualHost>(*simulation_, i, options));
      VirtualHost* host = hosts_.back().get();
      simulation_->spawn("boot_" + host->name(), [this, host] {
        const Status status = host->boot();
        if (!status) {
          boot_error_ = fmt::format("host {} did not start: {}", host->name(), status.error().message);
          simulation_->request_stop();
          return;
        }
        booted_count_++;
        host->serve();
      });
    }
    while (booted_count_ < hosts_.size() && boot_error_.empty() && simulation_->now_ps() / 1000 < kBootLimitNs) {
      simulation_->run(kBootStepNs);
    }
    if (booted_count_ < hosts_.size()) {
      return Error{EIO, boot_error_.empty() ? "the hosts did not start within 1 s of simulated time" : boot_error_};
    }
    return {};
  }

  void run_workloads(bool show_progress) {
    for (size_t i = 0; i < scenario_.workloads.size(); ++i) {
      WorkloadContext context{*simulation_, [this](const std::string& name) -> VirtualHost& { return host(name); },
                              [this] { workload_finished(); }, scenario_.seed + i};
      start_workload(scenario_.workloads[i], std::move(context), results_[i]);
    }
    ProgressLine progress(show_progress);
    const uint64_t limit_ps = simulation_->now_ps() + scenario_.limit_ns * 1000;
    while (!simulation_->stop_requested() && simulation_->now_ps() < limit_ps) {
      simulation_->run(std::min(kStepNs, (limit_ps - simulation_->now_ps() + 999) / 1000));
      progress.update(simulation_->now_ps() / 1000, finished_count_, results_.size());
    }
    simulation_->flush_captures();
  }

  ScenarioOutcome collect(bool with_stages) {
    RunReport report;
    report.scenario = scenario_.name;
    report.seed = scenario_.seed;
    report.simulated_ns = simulation_->now_ps() / 1000;
    report.wire_fingerprint = simulation_->wire_fingerprint();
    report.stages = with_stages ? &simulation_->stages() : nullptr;
    report.wires = simulation_->wire_counters();
    report.workloads = results_;
    for (size_t i = 0; i < hosts_.size(); ++i) {
      HostReport host;
      host.name = hosts_[i]->name();
      host.nic = simulation_->nic_counters(i);
      host.function = simulation_->function_counters(i);
      host.stack = stack_counts(hosts_[i]->stack().stats());
      report.event_queues.push_back(event_queue_report(host.name, hosts_[i]->stack().vi_state(), host.nic));
      report.hosts.push_back(std::move(host));
    }
    ScenarioOutcome outcome;
    outcome.ok = true;
    for (const WorkloadResult& result : results_) {
      outcome.ok = outcome.ok && result.finished && result.error.empty();
    }
    outcome.json = report_json(report);
    outcome.report = report_text(report);
    outcome.simulated_ns = report.simulated_ns;
    outcome.results = results_;
    simulation_->finish_monitors();
    outcome.violation_count = simulation_->violation_count();
    outcome.violations = simulation_->monitor_text();
    outcome.coverage_json = simulation_->coverage_json();
    outcome.coverage_table = simulation_->coverage_table();
    return outcome;
  }

 private:
  VirtualHost& host(const std::string& name) {
    for (auto& candidate : hosts_) {
      if (candidate->name() == name) {
        return *candidate;
      }
    }
    return *hosts_.front();  // not reached: the scenario was checked
  }

  void workload_finished() {
    if (++finished_count_ == results_.size()) {
      simulation_->request_stop();
    }
  }

  const Scenario& scenario_;
  std::unique_ptr<Simulation> simulation_;
  std::vector<std::unique_ptr<VirtualHost>> hosts_;
  std::vector<WorkloadResult> results_;
  size_t booted_count_ = 0;
  size_t finished_count_ = 0;
  std::string boot_error_;
};

Status write_file(const std::string& path, const std::string& text) {
  std::FILE* file = std::fopen(path.c_str(), "wbe");
  const bool written = file != nullptr && std::fwrite(text.data(), 1, text.size(), file) == text.size();
  const bool closed = file != nullptr && std::fclose(file) == 0;
  if (!written || !closed) {
    const int code = errno;
    return Error{code,
                 fmt::format("cannot write {}: {}; choose a path in a writable directory", path, std::strerror(code))};
  }
  return {};
}

int fail(const Error& error, int status) {
  fmt::print(stderr, "postern: {}\n", error.message);
  return status;
}

}  // namespace

Result<ScenarioOutcome> execute_scenario(const Scenario& scenario, const std::string& pcap_directory,
                                         bool show_progress, bool trace_stages, bool monitor) {
  Simulation::Options options;
  options.topology = scenario.topology;
  options.seed = scenario.seed;
  options.pcap_directory = pcap_directory;
  options.costs = scenario.costs;
  options.trace_stages = trace_stages;
  options.monitor = monitor;
  Result<std::unique_ptr<Simulation>> simulation = Simulation::create(options);
  if (!simulation) {
    return simulation.error();
  }
  ScenarioRun run(scenario, std::move(simulation).value());
  if (Status status = run.boot(); !status) {
    return status.error();
  }
  run.run_workloads(show_progress);
  return run.collect(trace_stages);
}

int run_scenario(const ScenarioOptions& options) {
  const Result<Scenario> scenario = load_scenario(options);
  if (!scenario) {
    return fail(scenario.error(), 2);
  }
  const bool monitor = options.monitor || !options.coverage_path.empty();
  const Result<ScenarioOutcome> outcome =
      execute_scenario(scenario.value(), options.pcap_directory, !options.quiet, true, monitor);
  if (!outcome) {
    return fail(outcome.error(), 2);
  }
  const bool json_to_stdout = options.json_path == "-";
  if (!options.quiet && !json_to_stdout) {
    fmt::print("{}", outcome.value().report);
  }
  if (json_to_stdout) {
    fmt::print("{}", outcome.value().json);
  } else if (!options.json_path.empty()) {
    if (Status status = write_file(options.json_path, outcome.value().json); !status) {
      return fail(status.error(), 2);
    }
  }
  if (!options.coverage_path.empty()) {
    if (Status status = write_file(options.coverage_path, outcome.value().coverage_json); !status) {
      return fail(status.error(), 2);
    }
    if (!options.quiet && !json_to_stdout) fmt::print("\n{}", outcome.value().coverage_table);
  }
  if (outcome.value().violation_count != 0) fmt::print(stderr, "{}", outcome.value().violations);
  for (const WorkloadResult& result : outcome.value().results) {
    if (!result.finished || !result.error.empty()) {
      fmt::print(stderr, "postern: workload {} failed: {}\n", result.name,
                 result.error.empty() ? "it did not finish in time" : result.error);
    }
  }
  return outcome.value().ok && outcome.value().violation_count == 0 ? 0 : 1;
}

}  // namespace postern::sim
