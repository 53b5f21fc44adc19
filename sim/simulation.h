// A topology in virtual time: NICs, wires and, for every host, a PCI function and a processor. The one place where
// scenarios meet SystemC; no SystemC in this header. One simulation per process: a SystemC kernel elaborates once.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "driver/pci_function.h"
#include "driver/result.h"
#include "sim/boundary_observer.h"
#include "sim/cpu_costs.h"
#include "sim/host_cpu.h"
#include "sim/monitor/boundary_monitor.h"
#include "sim/nic_property.h"
#include "sim/stage_trace.h"
#include "sim/topology.h"
#include "sim/wave_request.h"

namespace postern::sim {

// A counter of the device, a wire or the PCI function. (sim/nic_device.h has the same for SystemC's side.)
struct NamedCount {
  std::string name;
  uint64_t value = 0;
};

// Where an observer of a host's boundary is to stand, for those who make one.
struct ObserverSite {
  size_t host_idx = 0;
  const HostSpec& host;
  HostMemoryReader& memory;          // lives as long as the simulation
  std::vector<Property> properties;  // of the NIC, as they are at the start
  std::function<uint64_t()> now_ps;  // simulated time
};
// Null: this host is not to be observed. The observer may outlive the simulation but hears nothing after it.
using ObserverFactory = std::function<std::shared_ptr<BoundaryObserver>(const ObserverSite&)>;

class Simulation {
 public:
  struct Options {
    Topology topology;
    uint64_t seed = 0;           // added to every link's seed
    std::string pcap_directory;  // empty: no captures
    CpuCosts costs;
    bool trace_stages = true;                // latency by stage; costs host time
    std::vector<ObserverFactory> observers;  // each is asked once per host; observers are told in this order
    bool monitor = false;                    // a boundary monitor around each NIC
    WaveRequest waves;                       // of the RTL NICs; of several each has its host's name in its file's
    HostViolationListener violated;          // told of violations by RTL NICs while the monitors report them
    uint64_t end_ps = ~uint64_t{0};          // simulated time that run() does not go beyond; greater than 0
  };

  // Builds everything. Errors: unknown NIC property, a TAP port (virtual time has no kernel), capture files.
  [[nodiscard]] static Result<std::unique_ptr<Simulation>> create(const Options& options);
  ~Simulation();
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;

  [[nodiscard]] size_t host_count() const;
  [[nodiscard]] const HostSpec& host_spec(size_t host_idx) const;
  [[nodiscard]] PciFunction& function(size_t host_idx);
  [[nodiscard]] HostCpu& cpu(size_t host_idx);
  [[nodiscard]] HostStageTrace* host_stages(size_t host_idx);  // null without trace_stages
  [[nodiscard]] const StageTrace& stages() const;
  // Null: nobody. Told of each packet whose stages are complete.
  void set_packet_listener(PacketListener* listener);

  // Runs body as a thread of the simulation, from time 0 on if it has not begun, else from now. The body may call
  // everything of PciFunction and HostCpu. An exception that leaves it ends the process.
  void spawn(const std::string& name, std::function<void()> body);
  // Advances simulated time by at most duration_ns, or until request_stop() or nothing is left to happen.
  void run(uint64_t duration_ns);
  // Makes run() return at the present simulated time. Callable from a thread of the simulation.
  void request_stop();
  [[nodiscard]] bool stop_requested() const;
  [[nodiscard]] uint64_t now_ps() const;
  // Nothing will ever happen again.
  [[nodiscard]] bool is_idle() const;

  // Tells the observers that the run is over. Once, before the report.
  void finish_observers();
  void flush_captures();
  [[nodiscard]] std::vector<NamedCount> nic_counters(size_t host_idx) const;
  [[nodiscard]] std::vector<NamedCount> function_counters(size_t host_idx) const;
  [[nodiscard]] std::vector<NamedCount> wire_counters() const;
  // A hash over all frames that entered a wire, with their times: equal runs have equal fingerprints.
  [[nodiscard]] uint64_t wire_fingerprint() const;
  [[nodiscard]] std::vector<Property> nic_properties(size_t host_idx) const;  // sorted by name
  // The boundary monitors' findings after the run (sim/monitor/boundary_monitor.h). Call finish_observers() first.
  [[nodiscard]] uint64_t violation_count() const;
  [[nodiscard]] std::string monitor_text() const;  // empty: nothing to report
  [[nodiscard]] std::string monitor_json() const;  // a list, one entry per NIC
  // What all NICs have exercised of the contract together; "" without monitors.
  [[nodiscard]] std::string coverage_json() const;
  [[nodiscard]] std::string coverage_table() const;

 private:
  struct Impl;
  explicit Simulation(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace postern::sim
