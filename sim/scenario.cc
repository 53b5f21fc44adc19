// Runs a scenario: boots the hosts, starts the workloads, lets time pass, collects the report.
#include "sim/scenario.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>

#include "sim/replay/run_recorder.h"
#include "sim/run_report.h"
#include "sim/simulation.h"
#include "sim/trace/chrome_trace.h"
#include "sim/trace/vcd_trace.h"
#include "sim/violation_waves.h"
#include "sim/virtual_host.h"
#include "sim/wakeup_latency.h"

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
      : scenario_(scenario),
        simulation_(std::move(simulation)),
        results_(scenario.workloads.size()),
        uses_(simulation_->host_count()) {}

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
    while (booted_count_ < hosts_.size() && boot_error_.empty() && !simulation_->stop_requested() &&
           simulation_->now_ps() / 1000 < kBootLimitNs) {
      simulation_->run(kBootStepNs);
    }
    if (booted_count_ < hosts_.size() && boot_error_.empty() && simulation_->stop_requested()) {
      return Error{ECANCELED, "the run ended before its hosts had started"};
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
    for (size_t i = 0; i < hosts_.size(); ++i) {
      uses_[i].nic_before = simulation_->nic_counters(i);
      uses_[i].cpu_busy_ps = cpu_busy_ps(i);
    }
    const uint64_t begin_ps = simulation_->now_ps();
    ProgressLine progress(show_progress);
    const uint64_t limit_ps = simulation_->now_ps() + scenario_.limit_ns * 1000;
    while (!simulation_->stop_requested() && simulation_->now_ps() < limit_ps) {
      simulation_->run(std::min(kStepNs, (limit_ps - simulation_->now_ps() + 999) / 1000));
      progress.update(simulation_->now_ps() / 1000, finished_count_, results_.size());
    }
    for (size_t i = 0; i < hosts_.size(); ++i) {
      uses_[i].nic_after = simulation_->nic_counters(i);
      uses_[i].cpu_busy_ps = cpu_busy_ps(i) - uses_[i].cpu_busy_ps;
      uses_[i].cpu_threads = hosts_[i]->threads_max();
      uses_[i].elapsed_ps = simulation_->now_ps() - std::min(simulation_->now_ps(), begin_ps + first_start_ps());
    }
    simulation_->finish_observers();
    simulation_->flush_captures();
  }

  // wakeups: null where latencies were not traced.
  ScenarioOutcome collect(const WakeupLatency* wakeups) {
    RunReport report;
    report.scenario = scenario_.name;
    report.seed = scenario_.seed;
    report.simulated_ns = simulation_->now_ps() / 1000;
    report.wire_fingerprint = simulation_->wire_fingerprint();
    report.stages = wakeups != nullptr ? &simulation_->stages() : nullptr;
    report.wakeups = wakeups;
    report.wires = simulation_->wire_counters();
    report.workloads = results_;
    for (size_t i = 0; i < hosts_.size(); ++i) {
      HostReport host;
      host.name = hosts_[i]->name();
      host.nic = simulation_->nic_counters(i);
      host.function = simulation_->function_counters(i);
      host.stack = stack_counts(hosts_[i]->stack().stats());
      host.limits = find_limits(uses_[i]);
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

  // From the hosts' being up to the first workload's start.
  uint64_t first_start_ps() const {
    uint64_t first_ns = UINT64_MAX;
    for (const WorkloadSpec& spec : scenario_.workloads) {
      first_ns = std::min(first_ns, spec.start_ns);
    }
    return first_ns * 1000;
  }

  uint64_t cpu_busy_ps(size_t host_idx) const {
    for (const NamedCount& count : simulation_->function_counters(host_idx)) {
      if (count.name == "cpu_busy_ps") {
        return count.value;
      }
    }
    return 0;
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
  std::vector<ResourceUse> uses_;  // by host
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

// Files that a run leaves beside its report: a recording and traces.
class RunFiles {
 public:
  Status open(const ScenarioOptions& options, RunWatchers& watchers) {
    const Result<TraceWindow> asked =
        TraceWindow::parse(options.trace_from_us, options.trace_for_us, options.trace_max_events);
    if (!asked) return asked.error();
    const TraceWindow& window = asked.value();
    if (!options.record_path.empty()) {
      if (Status status = recorder_.open(options.record_path); !status) return status;
      watchers.observers.push_back(recorder_.factory());
    }
    if (!options.trace_path.empty()) {
      if (Status status = chrome_.open(options.trace_path, window); !status) return status;
      watchers.observers.push_back(chrome_.factory());
      watchers.packets = &chrome_;
    }
    if (!options.vcd_path.empty()) {
      if (Status status = vcd_.open(options.vcd_path, options.vcd_signals, window); !status) return status;
      watchers.observers.push_back(vcd_.factory());
    }
    return {};
  }
  Status finish() {
    const Status statuses[] = {recorder_.finish(), chrome_.finish(), vcd_.finish()};
    for (const Status& status : statuses) {
      if (!status) return status;
    }
    if (const uint64_t cut = chrome_.cut_count() + vcd_.cut_count(); cut != 0) {
      fmt::print(stderr,
                 "postern: the traces are cut: {} events left out; narrow them with --trace-from-us and "
                 "--trace-for-us, or raise --trace-max-events\n",
                 cut);
    }
    return {};
  }

 private:
  RunRecorder recorder_;
  ChromeTrace chrome_;
  VcdTrace vcd_;
};

int fail(const Error& error, int status) {
  fmt::print(stderr, "postern: {}\n", error.message);
  return status;
}

}  // namespace

Result<ScenarioOutcome> execute_scenario(const Scenario& scenario, const std::string& pcap_directory,
                                         bool show_progress, bool trace_stages, const RunWatchers& watchers) {
  Simulation::Options options;
  options.topology = scenario.topology;
  options.seed = scenario.seed;
  options.pcap_directory = pcap_directory;
  options.costs = scenario.costs;
  options.trace_stages = trace_stages;
  options.observers = watchers.observers;
  WakeupLatency wakeups;
  if (trace_stages) options.observers.push_back(wakeups.factory());
  options.monitor = watchers.monitor;
  options.waves = watchers.waves;
  options.violated = watchers.violated;
  options.end_ps = watchers.end_ps;
  Result<std::unique_ptr<Simulation>> simulation = Simulation::create(options);
  if (!simulation) {
    return simulation.error();
  }
  simulation.value()->set_packet_listener(watchers.packets);
  ScenarioRun run(scenario, std::move(simulation).value());
  if (Status status = run.boot(); !status) {
    return status.error();
  }
  run.run_workloads(show_progress);
  return run.collect(trace_stages ? &wakeups : nullptr);
}

namespace {

// The same run in the second process, for its waves alone.
Status repeat_for_waves(const Scenario& scenario, const WaveRequest& request, const HostViolationListener& violated) {
  RunWatchers watchers;
  watchers.monitor = true;
  watchers.waves = request;
  watchers.violated = violated;
  watchers.end_ps = request.until_ps;
  const Result<ScenarioOutcome> outcome = execute_scenario(scenario, "", false, true, watchers);
  return outcome ? Status{} : outcome.error();
}

Status prepare_waves(const ScenarioOptions& options, const Scenario& scenario, ViolationWaves& repetition,
                     RunWatchers& watchers) {
  const Result<WavePlan> plan = plan_waves(options.waves);
  if (!plan) return plan.error();
  watchers.waves = plan.value().request;
  if (!plan.value().around_violation) return {};
  watchers.monitor = true;
  watchers.violated = repetition.listener();
  return repetition.start(plan.value(), [&scenario](const WaveRequest& request, const HostViolationListener& violated) {
    return repeat_for_waves(scenario, request, violated);
  });
}

Status finish_waves(const ScenarioOptions& options, const Scenario& scenario, ViolationWaves& repetition) {
  if (options.waves.around_violation_us.empty()) return {};
  std::vector<std::string> rtl_hosts;
  for (const HostSpec& host : scenario.topology.hosts) {
    if (host.device == "rtl") rtl_hosts.push_back(host.name);
  }
  const Result<std::string> said =
      repetition.finish([&scenario](uint32_t host_idx) { return scenario.topology.hosts.at(host_idx).name; },
                        wave_files(options.waves.path, rtl_hosts));
  if (!said) return said.error();
  fmt::print(stderr, "postern: {}\n", said.value());
  return {};
}

Status print_outcome(const ScenarioOptions& options, const ScenarioOutcome& outcome) {
  const bool json_to_stdout = options.json_path == "-";
  if (!options.quiet && !json_to_stdout) {
    fmt::print("{}", outcome.report);
  }
  if (json_to_stdout) {
    fmt::print("{}", outcome.json);
  } else if (!options.json_path.empty()) {
    if (Status status = write_file(options.json_path, outcome.json); !status) return status;
  }
  if (!options.coverage_path.empty()) {
    if (Status status = write_file(options.coverage_path, outcome.coverage_json); !status) return status;
    if (!options.quiet && !json_to_stdout) fmt::print("\n{}", outcome.coverage_table);
  }
  if (outcome.violation_count != 0) fmt::print(stderr, "{}", outcome.violations);
  for (const WorkloadResult& result : outcome.results) {
    if (!result.finished || !result.error.empty()) {
      fmt::print(stderr, "postern: workload {} failed: {}\n", result.name,
                 result.error.empty() ? "it did not finish in time" : result.error);
    }
  }
  return {};
}

// What the run itself leaves. Returns the exit status.
int conclude(const ScenarioOptions& options, RunFiles& files, const Result<ScenarioOutcome>& outcome) {
  if (Status status = files.finish(); !status) return fail(status.error(), 2);
  if (!outcome) return fail(outcome.error(), 2);
  if (Status status = print_outcome(options, outcome.value()); !status) return fail(status.error(), 2);
  return outcome.value().ok && outcome.value().violation_count == 0 ? 0 : 1;
}

}  // namespace

int run_scenario(const ScenarioOptions& options) {
  const Result<Scenario> scenario = load_scenario(options);
  if (!scenario) {
    return fail(scenario.error(), 2);
  }
  RunWatchers watchers;
  watchers.monitor = options.monitor || !options.coverage_path.empty();
  ViolationWaves repetition;  // its process starts before the files are open
  if (Status status = prepare_waves(options, scenario.value(), repetition, watchers); !status) {
    return fail(status.error(), 2);
  }
  RunFiles files;
  if (Status status = files.open(options, watchers); !status) {
    return fail(status.error(), 2);
  }
  const Result<ScenarioOutcome> outcome =
      execute_scenario(scenario.value(), options.pcap_directory, !options.quiet, true, watchers);
  int exit_status = conclude(options, files, outcome);
  if (outcome || repetition.called_for()) {  // a repetition on its way is left to end whatever else failed
    if (Status status = finish_waves(options, scenario.value(), repetition); !status) {
      exit_status = fail(status.error(), 2);
    }
  }
  return exit_status;
}

}  // namespace postern::sim
