// postern-bench: how fast the simulator itself is, in wall time. Prints a table and writes a JSON list of
// {"name", "value", "unit"}. Each benchmark runs in a process of its own (a SystemC kernel elaborates once per
// process), so the numbers do not disturb each other. The best of several runs counts: the machine is shared.
#include <fmt/core.h>
#include <fmt/ranges.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "sim/scenario.h"
#include "sim/topology.h"

namespace postern::sim {
namespace {

struct Measurement {
  std::string name;
  double value = 0;
  std::string unit;
};

// What a child process reports; fixed size, written to a pipe at once.
struct ChildReport {
  bool ok = false;
  double wall_s = 0;
  double simulated_s = 0;
  double units = 0;       // packets, bytes, round trips
  double memory_mib = 0;  // most resident memory of the process
  double rtl_cycles = 0;  // clocked, of all NICs
  double cpu_s = 0;       // processor time of the process
  std::array<char, 256> error{};
};

struct Benchmark {
  const char* name;
  const char* doc;
  const char* scenario;    // TOML without topology: two hosts, one 10 Gb/s link
  const char* count_name;  // which count of the first workload is measured
  bool trace_stages;
  bool monitor = false;
  const char* device = "";  // NICs that are another device than the model: "rtl", "HOST=rtl"
};

constexpr Benchmark kBenchmarks[] = {
    {"udp64_oneway", "64-byte UDP payload one way, host to host, through driver and stack",
     "[[workload]]\nkind = \"udp_stream\"\nfrom = \"a\"\nto = \"b\"\ncount = 400_000\nsize_bytes = 64\n",
     "received_datagrams", false},
    {"udp64_oneway_traced", "the same with latency by stage",
     "[[workload]]\nkind = \"udp_stream\"\nfrom = \"a\"\nto = \"b\"\ncount = 200_000\nsize_bytes = 64\n",
     "received_datagrams", true},
    {"udp64_pingpong", "64-byte UDP round trips",
     "[[workload]]\nkind = \"udp_pingpong\"\nfrom = \"a\"\nto = \"b\"\ncount = 50_000\n", "round_trips", false},
    {"tcp64_pingpong", "64-byte TCP round trips",
     "[[workload]]\nkind = \"tcp_pingpong\"\nfrom = \"a\"\nto = \"b\"\ncount = 50_000\n", "round_trips", false},
    {"tcp_stream", "a TCP stream of 100 MB",
     "[[workload]]\nkind = \"tcp_stream\"\nfrom = \"a\"\nto = \"b\"\ntotal_bytes = 100_000_000\nsize_bytes = 65536\n",
     "received_bytes", false},
    {"vi64", "64-byte frames one way between VIs of two NICs back to back, no stack, no trace",
     "[[workload]]\nkind = \"vi_stream\"\nfrom = \"a\"\nto = \"b\"\ncount = 1_000_000\n"
     "[vi]\nrx_entries = 2048\ntx_entries = 1024\nevq_entries = 4096\n",
     "received_frames", false},
};

constexpr const char* kOthersPrefix = "accuracy_";  // results in the same file that other tools have measured

// Runs that are only compared with each other: {without, with}.
constexpr const char* kViStream = "[[workload]]\nkind = \"vi_stream\"\nfrom = \"a\"\nto = \"b\"\nsize_bytes = 64\n";
constexpr char kMonitoredViStream[] =
    "[[workload]]\nkind = \"vi_stream\"\nfrom = \"a\"\nto = \"b\"\nsize_bytes = 64\ncount = 400_000\n";
constexpr char kMonitoredTcpStream[] =
    "[[workload]]\nkind = \"tcp_stream\"\nfrom = \"a\"\nto = \"b\"\ntotal_bytes = 60_000_000\nsize_bytes = 65536\n";
// NICs in RTL. Construction and the clearing of RAMs are part of the run, and of no weight.
constexpr Benchmark kRtlBenchmarks[] = {
    {"rtl_line_rate_64", "64-byte frames at 10 Gb/s both ways between a NIC in RTL and a model",
     "[[workload]]\nkind = \"vi_stream\"\nfrom = \"a\"\nto = \"b\"\ncount = 60_000\nsize_bytes = 64\nbidirectional = "
     "true\n"
     "[vi]\nrx_entries = 2048\ntx_entries = 1024\nevq_entries = 4096\n",
     "received_frames", false, false, "a=rtl"},
    {"rtl_tcp_stream", "a TCP stream of 10 MB between NICs in RTL",
     "[[workload]]\nkind = \"tcp_stream\"\nfrom = \"a\"\nto = \"b\"\ntotal_bytes = 10_000_000\nsize_bytes = 65536\n",
     "received_bytes", false, false, "rtl"},
};
constexpr unsigned kIdleVis = 1022;  // with the busy one and the stack's: all 1,024

// That have a name of their own.
std::vector<const Benchmark*> all_benchmarks() {
  std::vector<const Benchmark*> all;
  for (const Benchmark& benchmark : kBenchmarks) all.push_back(&benchmark);
  for (const Benchmark& benchmark : kRtlBenchmarks) all.push_back(&benchmark);
  return all;
}

Benchmark vi_stream_benchmark(const char* name, const std::string& text) {
  return {name, "", text.c_str(), "received_frames", false};
}

ChildReport run_here(const Benchmark& benchmark) {
  ChildReport report;
  const auto refuse = [&](const std::string& message) {
    std::strncpy(report.error.data(), message.c_str(), report.error.size() - 1);
    return report;
  };
  Result<Scenario> scenario = parse_scenario(benchmark.scenario, benchmark.name);
  if (!scenario) {
    return refuse(scenario.error().message);
  }
  if (benchmark.device[0] != '\0') {
    if (Status status = apply_device(scenario->topology, benchmark.device); !status) {
      return refuse(status.error().message);
    }
  }
  RunWatchers watchers;
  watchers.monitor = benchmark.monitor;
  const auto begin = std::chrono::steady_clock::now();
  const Result<ScenarioOutcome> outcome =
      execute_scenario(scenario.value(), "", false, benchmark.trace_stages, watchers);
  report.wall_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (!outcome) {
    return refuse(outcome.error().message);
  }
  const WorkloadResult& result = outcome.value().results.at(0);
  if (!outcome.value().ok) {
    return refuse(result.error.empty() ? "did not finish" : result.error);
  }
  if (outcome.value().violation_count != 0) {
    return refuse(outcome.value().violations);
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  report.memory_mib = static_cast<double>(usage.ru_maxrss) / 1024;
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  report.cpu_s = seconds(usage.ru_utime) + seconds(usage.ru_stime);
  const nlohmann::json run = nlohmann::json::parse(outcome.value().json);
  for (const auto& host : run.at("hosts")) {
    report.rtl_cycles += host.at("nic").value("rtl.cycles", 0.0);
  }
  report.ok = true;
  report.units = static_cast<double>(result.counts.at(benchmark.count_name));
  report.simulated_s = static_cast<double>(result.counts.at("elapsed_ns")) * 1e-9;
  return report;
}

// Runs a benchmark in a child process.
ChildReport run_apart(const Benchmark& benchmark) {
  ChildReport report;
  int ends[2];
  if (pipe(ends) != 0) {
    std::strncpy(report.error.data(), std::strerror(errno), report.error.size() - 1);
    return report;
  }
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    const ChildReport mine = run_here(benchmark);
    const bool written = write(ends[1], &mine, sizeof mine) == static_cast<ssize_t>(sizeof mine);
    _exit(written ? 0 : 1);
  }
  close(ends[1]);
  if (child < 0 || read(ends[0], &report, sizeof report) != static_cast<ssize_t>(sizeof report)) {
    report = ChildReport{};
    std::strncpy(report.error.data(), "the benchmark's process ended early", report.error.size() - 1);
  }
  close(ends[0]);
  if (child > 0) {
    waitpid(child, nullptr, 0);
  }
  return report;
}

ChildReport best_of(const Benchmark& benchmark, unsigned runs) {
  ChildReport best;
  for (unsigned i = 0; i < runs; ++i) {
    const ChildReport report = run_apart(benchmark);
    if (!report.ok) {
      return report;
    }
    if (!best.ok || report.units / report.wall_s > best.units / best.wall_s) {
      best = report;
    }
  }
  return best;
}

void append(std::vector<Measurement>& list, const Benchmark& benchmark, const ChildReport& report) {
  const std::string name = benchmark.name;
  const double per_wall_s = report.units / report.wall_s;
  if (name.rfind("udp64_oneway", 0) == 0 || name == "vi64") {
    list.push_back({name + "_packets_per_wall_s", per_wall_s, "packets/s"});
  } else if (name == "tcp_stream") {
    list.push_back({name + "_mb_per_wall_s", per_wall_s / 1e6, "MB/s"});
  } else {
    list.push_back({name + "_round_trips_per_wall_s", per_wall_s, "round trips/s"});
    list.push_back({name + "_mean_ns", report.simulated_s / report.units * 1e9, "ns simulated"});
  }
  list.push_back({name + "_slowdown", report.wall_s / report.simulated_s, "wall s per simulated s"});
  if (name == "tcp_stream") {  // frames of 1,500 bytes at 10 Gb/s, through driver and stack on both sides
    list.push_back({"tcp10g_slowdown", report.wall_s / report.simulated_s, "wall s per simulated s"});
    list.push_back({"two_host_run_rss_mib", report.memory_mib, "MiB"});
  }
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// A stream of 64-byte frames between two VIs with other VIs idle beside them.
ChildReport run_vi_stream(uint64_t count, unsigned idle_vis) {
  const std::string text = fmt::format("{}count = {}\nidle_vis = {}\n", kViStream, count, idle_vis);
  return run_apart(vi_stream_benchmark("vi_stream", text));
}

// What 1,022 idle VIs on each host cost a busy one, in time per frame and in memory. The runs alternate; a run of few
// frames gives the time of set-up, which is taken off.
bool measure_idle_vis(std::vector<Measurement>& list, unsigned runs) {
  constexpr uint64_t kCount = 1'000'000;
  std::vector<double> ratios;
  double bytes_per_vi = 0;
  for (unsigned i = 0; i < runs; ++i) {
    double stream_s[2];
    double memory_mib[2];
    for (const unsigned with : {0u, 1u}) {
      const ChildReport empty = run_vi_stream(32, with * kIdleVis);
      const ChildReport busy = run_vi_stream(kCount, with * kIdleVis);
      if (!empty.ok || !busy.ok) {
        fmt::print(stderr, "postern-bench: idle VIs: {}{}\n", empty.error.data(), busy.error.data());
        return false;
      }
      stream_s[with] = busy.wall_s - empty.wall_s;
      memory_mib[with] = empty.memory_mib;
    }
    ratios.push_back(stream_s[1] / stream_s[0]);
    bytes_per_vi = (memory_mib[1] - memory_mib[0]) * 1024 * 1024 / (2 * kIdleVis);
  }
  list.push_back({"idle_vi_cost_ratio", median(ratios), "time of a busy VI, with 1,022 idle ones to without"});
  list.push_back({"idle_vi_bytes", bytes_per_vi, "bytes per idle VI, its rings in host memory included"});
  return true;
}

// What the boundary monitor costs: a TCP stream between hosts with driver and stack, and, where it costs most, 64-byte
// frames between VIs; with it to without, alternating.
bool measure_monitor(std::vector<Measurement>& list, unsigned runs) {
  const struct {
    const char* name;
    const char* scenario;
    const char* count_name;
  } kinds[] = {{"monitor_overhead_ratio", kMonitoredTcpStream, "received_bytes"},
               {"monitor_overhead_ratio_vi64", kMonitoredViStream, "received_frames"}};
  for (const auto& kind : kinds) {
    std::vector<double> ratios;
    for (unsigned i = 0; i < runs; ++i) {
      double wall_s[2];
      for (const bool monitor : {false, true}) {
        const ChildReport report = run_apart({kind.name, "", kind.scenario, kind.count_name, false, monitor});
        if (!report.ok) {
          fmt::print(stderr, "postern-bench: {}: {}\n", kind.name, report.error.data());
          return false;
        }
        wall_s[monitor ? 1 : 0] = report.wall_s;
      }
      ratios.push_back(wall_s[1] / wall_s[0]);
    }
    list.push_back({kind.name, median(ratios), "time with the boundary monitor to without"});
  }
  return true;
}

// The RTL, Verilated: how many cycles of one NIC a second of wall time has under traffic, all of the run counted (the
// model at the other end, software, the wire), and how much slower than the simulated time a TCP stream between two of
// them is.
bool measure_rtl(std::vector<Measurement>& list, unsigned runs) {
  for (const Benchmark& benchmark : kRtlBenchmarks) {
    const ChildReport report = best_of(benchmark, runs);
    if (!report.ok) {
      fmt::print(stderr, "postern-bench: {}: {}\n", benchmark.name, report.error.data());
      return false;
    }
    if (benchmark.count_name == std::string("received_frames")) {
      list.push_back({"rtl_cycles_per_wall_s", report.rtl_cycles / report.wall_s, "cycles/s of one NIC under traffic"});
      list.push_back(
          {"rtl_cycles_per_cpu_s", report.rtl_cycles / report.cpu_s, "likewise, per second of processor time"});
    } else {
      list.push_back(
          {"rtl_tcp_slowdown", report.wall_s / report.simulated_s, "wall s per simulated s, two NICs in RTL"});
    }
  }
  return true;
}

// An hour in which nothing happens but the stacks' own timers.
bool measure_idle_hour(std::vector<Measurement>& list) {
  const ChildReport report =
      run_apart({"idle_hour", "",
                 "limit_ms = 7_200_000\n[[workload]]\nkind = \"udp_pingpong\"\nfrom = \"a\"\nto = \"b\"\ncount = 1\n"
                 "start_us = 3_600_000_000\n",
                 "round_trips", false});
  if (!report.ok) {
    fmt::print(stderr, "postern-bench: idle hour: {}\n", report.error.data());
    return false;
  }
  list.push_back({"idle_hour_wall_s", report.wall_s, "s for an hour of idle simulated time"});
  return true;
}

// What the file holds of other tools (experiments/accuracy); nothing if it is not there or not such a list.
nlohmann::ordered_json entries_of_others(const std::string& path, const std::vector<Measurement>& mine) {
  std::ifstream file(path);
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  const nlohmann::ordered_json old = nlohmann::ordered_json::parse(file, nullptr, false);
  if (!old.is_array()) {
    return json;
  }
  for (const auto& entry : old) {
    const std::string name = entry.is_object() ? entry.value("name", "") : "";
    const bool measured = std::any_of(mine.begin(), mine.end(), [&](const Measurement& m) { return m.name == name; });
    if (name.rfind(kOthersPrefix, 0) == 0 && !measured) {
      json.push_back(entry);
    }
  }
  return json;
}

int write_json(const std::string& path, const std::vector<Measurement>& list) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const Measurement& measurement : list) {
    json.push_back({{"name", measurement.name}, {"value", measurement.value}, {"unit", measurement.unit}});
  }
  for (auto& entry : entries_of_others(path, list)) {
    json.push_back(entry);
  }
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  std::ofstream file(path);
  file << json.dump(2) << "\n";
  if (!file.flush()) {
    fmt::print(stderr, "postern-bench: cannot write {}: choose a path in a writable directory\n", path);
    return 2;
  }
  return 0;
}

int usage(int status) {
  fmt::print(status == 0 ? stdout : stderr,
             "usage: postern-bench [--json FILE] [--runs N] [--only NAME]\n"
             "  --json FILE   where the list of results goes (default: build/bench.json)\n"
             "  --runs N      runs of each benchmark, of which the best counts (default: 3)\n"
             "  --only NAME   one benchmark, in this process (for profilers); no JSON\n");
  for (const Benchmark* benchmark : all_benchmarks()) {
    fmt::print(status == 0 ? stdout : stderr, "  {:<22}{}\n", benchmark->name, benchmark->doc);
  }
  return status;
}

int run_one(const std::string& name) {
  for (const Benchmark* benchmark : all_benchmarks()) {
    if (name == benchmark->name) {
      const ChildReport report = run_here(*benchmark);
      fmt::print("{}: {:.0f} in {:.3f} s of wall time and {:.6f} s simulated: {:.0f}/s {}\n", name, report.units,
                 report.wall_s, report.simulated_s, report.units / report.wall_s, report.error.data());
      if (report.rtl_cycles > 0) {
        fmt::print("{}: {:.0f} cycles, {:.0f}/s, {:.0f} per second of processor time\n", name, report.rtl_cycles,
                   report.rtl_cycles / report.wall_s, report.rtl_cycles / report.cpu_s);
      }
      return report.ok ? 0 : 1;
    }
  }
  return usage(2);
}

int run_all(const std::string& path, unsigned runs) {
  std::vector<Measurement> list;
  for (const Benchmark& benchmark : kBenchmarks) {
    const ChildReport report = best_of(benchmark, runs);
    if (!report.ok) {
      fmt::print(stderr, "postern-bench: {}: {}\n", benchmark.name, report.error.data());
      return 1;
    }
    append(list, benchmark, report);
  }
  if (!measure_rtl(list, runs) || !measure_idle_vis(list, runs) || !measure_monitor(list, runs) ||
      !measure_idle_hour(list)) {
    return 1;
  }
  fmt::print("{:<44}{:>18}  {}\n", "benchmark", "value", "unit");
  for (const Measurement& measurement : list) {
    fmt::print("{:<44}{:>18.2f}  {}\n", measurement.name, measurement.value, measurement.unit);
  }
  return write_json(path, list);
}

int bench(int argc, char** argv) {
  std::string path = "build/bench.json";
  std::string only;
  unsigned runs = 3;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--help" || argument == "-h") {
      return usage(0);
    }
    if (i + 1 == argc) {
      return usage(2);
    }
    const std::string value = argv[++i];
    if (argument == "--json") {
      path = value;
    } else if (argument == "--only") {
      only = value;
    } else if (argument == "--runs" && std::atoi(value.c_str()) > 0) {
      runs = static_cast<unsigned>(std::atoi(value.c_str()));
    } else {
      return usage(2);
    }
  }
  return only.empty() ? run_all(path, runs) : run_one(only);
}

}  // namespace
}  // namespace postern::sim

int main(int argc, char** argv) { return postern::sim::bench(argc, argv); }
