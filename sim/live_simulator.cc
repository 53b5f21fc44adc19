// Builds a topology as live devices and runs the loop. See live_simulator.h; the loop is in live_loop.cc.
#include "sim/live_simulator.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <systemc>

#include "sim/live_loop.h"
#include "sim/live_nic.h"
#include "sim/monitor/monitored_nic.h"
#include "sim/network.h"
#include "sim/nic_factory.h"
#include "sim/replay/run_recorder.h"
#include "sim/stage_trace.h"
#include "sim/tap_port.h"
#include "sim/topology.h"

namespace postern::sim {
namespace {

using Json = nlohmann::ordered_json;

volatile sig_atomic_t stop_requested = 0;

void request_stop(int) { stop_requested = 1; }

void install_signal_handlers() {
  struct sigaction action {};
  action.sa_handler = &request_stop;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, nullptr);
  sigaction(SIGHUP, &action, nullptr);
}

// Each VI needs a window and two eventfds, each client brings memory descriptors.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

Result<Topology> load(const LiveOptions& options) {
  Result<Topology> topology =
      options.topology_path.empty() ? Result<Topology>(default_topology()) : load_topology(options.topology_path);
  if (!topology) return topology;
  if (!options.source_name.empty()) topology->source_name = options.source_name;
  for (const std::string& setting : options.settings) {
    if (Status status = apply_property_setting(*topology, setting); !status) return status.error();
  }
  for (const std::string& setting : options.devices) {
    if (Status status = apply_device(*topology, setting); !status) return status.error();
  }
  return topology;
}

// All devices and wires of a live run, and its report.
class LiveSimulation {
 public:
  explicit LiveSimulation(const LiveOptions& options) : options_(options) {}

  Status build() {
    Result<Topology> topology = load(options_);
    if (!topology) return topology.error();
    topology_ = std::move(topology.value());
    if (topology_.hosts.empty()) {
      return Error{EINVAL, fmt::format("{}: no [[host]]: expected at least one", topology_.source_name)};
    }
    network_ = std::make_unique<Network>(topology_);
    if (Status status = open_record(); !status) return status;
    for (const HostSpec& host : topology_.hosts) {
      if (Status status = build_nic(host); !status) return status;
    }
    for (const TapSpec& tap : topology_.taps) {
      if (Status status = build_tap(tap); !status) return status;
    }
    if (Status status = open_captures(); !status) return status;
    if (Status status = control_.listen(options_.run_dir + "/control.sock"); !status) return status;
    sc_core::sc_start(sc_core::SC_ZERO_TIME);  // elaborates
    return {};
  }

  void run() {
    std::vector<LiveNic*> nics;
    for (auto& nic : nics_) nics.push_back(nic.get());
    std::vector<TapPort*> taps;
    for (auto& tap : taps_) taps.push_back(tap.get());
    loop_ = std::make_unique<LiveLoop>(
        std::move(nics), std::move(taps), control_,
        LiveLoop::Callbacks{[this] { return status(); }, [this] { network_->flush_captures(); }});
    loop_->run(stop_requested);
    network_->flush_captures();
  }

  // After run(). Error: the recording is not complete.
  Status finish_record() { return recorder_.finish(); }

  // After run(). Error: the monitors have found violations, which go to standard error (the log).
  Status finish_monitors() {
    for (auto& nic : monitored_) {
      nic->finish();
      fmt::print(stderr, "{}", nic->monitor().text());
    }
    const uint64_t count = violation_count();
    if (count == 0) return {};
    return Error{EPROTO, fmt::format("{} violation(s) of the hardware/software contract: see above", count)};
  }

  void announce(const std::string& line) const {
    if (options_.ready_fd < 0) return;
    const std::string text = line + "\n";
    [[maybe_unused]] const ssize_t written = write(options_.ready_fd, text.data(), text.size());
    close(options_.ready_fd);
  }

 private:
  Status build_nic(const HostSpec& host) {
    devices_.push_back(make_nic(host.device, "nic_" + host.name, host.mac));
    NicDevice* device = devices_.back().get();
    BoundaryTap* tap = nullptr;
    if (options_.monitor) {
      monitored_.push_back(
          std::make_unique<MonitoredNic>(("tap_" + host.name).c_str(), *device, host.mac, "host " + host.name));
      tap = &monitored_.back()->tap();
    } else if (!options_.record_dir.empty()) {
      own_taps_.push_back(std::make_unique<BoundaryTap>(("tap_" + host.name).c_str(), *device));
      tap = own_taps_.back().get();
    }
    if (tap != nullptr) device = tap;
    nics_.push_back(std::make_unique<LiveNic>(("live_" + host.name).c_str(), host.name, *device, trace_));
    if (Status status = network_->attach_nic(host, *device); !status) return status;
    if (!options_.record_dir.empty()) record(host, *tap);
    return nics_.back()->listen(options_.run_dir + "/nic-" + host.name + ".sock");
  }

  Status open_record() {
    if (options_.record_dir.empty()) return {};
    std::error_code error;
    std::filesystem::create_directories(options_.record_dir, error);
    if (error) {
      return Error{error.value(), fmt::format("cannot create {}: {}; choose another directory with --record",
                                              options_.record_dir, error.message())};
    }
    return recorder_.open(options_.record_dir + "/" + kRecordName);
  }

  // From now on; the NIC's properties are set.
  void record(const HostSpec& host, BoundaryTap& tap) {
    std::vector<Property> properties = tap.properties();
    std::sort(properties.begin(), properties.end(),
              [](const Property& a, const Property& b) { return a.name < b.name; });
    observers_.push_back(recorder_.factory()(ObserverSite{observers_.size(), host, tap, std::move(properties),
                                                          [] { return sc_core::sc_time_stamp().value(); }}));
    tap.add_observer(*observers_.back());
  }

  [[nodiscard]] uint64_t violation_count() const {
    uint64_t count = 0;
    for (const auto& nic : monitored_) count += nic->monitor().violation_count();
    return count;
  }

  Status build_tap(const TapSpec& tap) {
    TapConfig config;
    config.netns = tap.netns;
    config.device = tap.interface;
    config.address = tap.address_ipv4 == 0 ? "" : format_ipv4(tap.address_ipv4);
    config.prefix_bits = tap.prefix_bits;
    Result<std::unique_ptr<TapDevice>> device = TapDevice::open(config);
    if (!device) return device.error();
    taps_.push_back(
        std::make_unique<TapPort>(tap.name, std::move(device.value()), topology_.link_of(tap.name)->rate_gbps));
    taps_.back()->connect(network_->attach(tap.name, *taps_.back()));
    return {};
  }

  Status open_captures() {
    const bool all = !options_.pcap_dir.empty();
    const std::string directory = all ? options_.pcap_dir : options_.run_dir;
    std::error_code error;
    std::filesystem::create_directories(directory, error);
    if (error) {
      return Error{error.value(), fmt::format("cannot create {}: {}; choose another directory with --pcap", directory,
                                              error.message())};
    }
    return network_->open_captures(directory, all);
  }

  [[nodiscard]] Json nic_status(size_t idx) const {
    LiveNic& nic = *nics_[idx];
    const LiveNic::Counters& live = nic.counters();
    Json counters = Json::object();
    for (const Counter& counter : nic.device().counters()) counters[counter.name] = counter.value;
    Json json{{"host", nic.host()},
              {"client_attached", nic.server().client_attached()},
              {"started_vis", nic.started_vis_count()},
              {"filters", counters.value("filters", uint64_t{0})},
              {"dma_regions", nic.dma_regions_count()},
              {"tx_frames", counters.value("tx.frames", uint64_t{0})},
              {"rx_frames", counters.value("rx.frames", uint64_t{0})}};
    json["bridge"] = {{"doorbells", live.doorbells},
                      {"register_reads", live.register_reads},
                      {"register_writes", live.register_writes},
                      {"dma_reads", live.dma_reads},
                      {"dma_writes", live.dma_writes},
                      {"dma_faults", live.dma_faults},
                      {"interrupts", live.interrupts},
                      {"interrupts_blocked", live.interrupts_blocked},
                      {"resets", live.resets}};
    const VfioUserServer::Statistics& server = nic.server().statistics();
    json["vfio_user"] = {{"messages", server.messages_count},
                         {"error_replies", server.error_replies_count},
                         {"refused_clients", server.refused_clients_count},
                         {"interrupts_signalled", server.interrupts_count},
                         {"interrupts_lost", server.interrupts_lost_count}};
    json["counters"] = std::move(counters);
    return json;
  }

  [[nodiscard]] Json stage_status() const {
    Json stages = Json::array();
    for (size_t i = 0; i < kStageIntervalCount; ++i) {
      const LatencyHistogram& histogram = trace_.interval(i);
      if (histogram.count() == 0) continue;
      stages.push_back({{"name", kStageIntervals[i].name},
                        {"meaning", kStageIntervals[i].meaning},
                        {"count", histogram.count()},
                        {"p50_ns", static_cast<double>(histogram.percentile_ps(0.5)) / 1000.0},
                        {"p99_ns", static_cast<double>(histogram.percentile_ps(0.99)) / 1000.0}});
    }
    return stages;
  }

  [[nodiscard]] std::string status() const {
    const double wall_s = static_cast<double>(loop_->wall_elapsed_ns()) / 1e9;
    const double simulated_s = sc_core::sc_time_stamp().to_seconds();
    Json json{{"topology", topology_.source_name}};
    json["time"] = {{"simulated_s", simulated_s},
                    {"wall_s", wall_s},
                    {"ratio", wall_s > 0 ? simulated_s / wall_s : 0},
                    {"forgotten_s", static_cast<double>(loop_->forgotten_ns()) / 1e9}};
    json["loop"] = {{"turns", loop_->counters().turns},
                    {"sleeps", loop_->counters().sleeps},
                    {"socket_looks", loop_->counters().socket_looks}};
    if (options_.monitor) {
      json["violations"] = violation_count();
      std::string text;
      for (const auto& nic : monitored_) text += nic->monitor().text();
      json["violation_reports"] = text;
    }
    json["nics"] = Json::array();
    for (size_t i = 0; i < nics_.size(); ++i) json["nics"].push_back(nic_status(i));
    json["taps"] = Json::array();
    for (const auto& tap : taps_) {
      const TapCounters& c = tap->counters();
      json["taps"].push_back({{"name", tap->name()},
                              {"to_kernel_frames", c.to_kernel_frames},
                              {"to_kernel_bytes", c.to_kernel_bytes},
                              {"from_kernel_frames", c.from_kernel_frames},
                              {"from_kernel_bytes", c.from_kernel_bytes},
                              {"kernel_refused_frames", c.kernel_refused_frames},
                              {"bad_fcs_frames", c.bad_fcs_frames}});
    }
    Json wires = Json::object();
    for (const Counter& counter : network_->counters()) wires[counter.name] = counter.value;
    json["wires"] = std::move(wires);
    json["stages"] = stage_status();
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);  // paths need not be UTF-8
  }

  const LiveOptions& options_;
  Topology topology_;
  StageTrace trace_;
  RunRecorder recorder_;
  std::vector<std::shared_ptr<BoundaryObserver>> observers_;
  std::unique_ptr<Network> network_;
  std::vector<std::unique_ptr<NicDevice>> devices_;
  std::vector<std::unique_ptr<MonitoredNic>> monitored_;  // by host, if monitors are asked for
  std::vector<std::unique_ptr<BoundaryTap>> own_taps_;    // by host, for a recording without monitors
  std::vector<std::unique_ptr<LiveNic>> nics_;
  std::vector<std::unique_ptr<TapPort>> taps_;
  LiveControlServer control_;
  std::unique_ptr<LiveLoop> loop_;
};

}  // namespace

Status run_live_simulator(const LiveOptions& options) {
  install_signal_handlers();
  raise_descriptor_limit();
  LiveSimulation simulation(options);
  if (Status status = simulation.build(); !status) {
    simulation.announce(status.error().message);
    return status;
  }
  simulation.announce("ready");
  simulation.run();
  const Status recorded = simulation.finish_record();
  const Status clean = simulation.finish_monitors();
  return recorded ? clean : recorded;
}

}  // namespace postern::sim
