// Elaboration and control of a simulation in virtual time; see the header.
#define SC_INCLUDE_DYNAMIC_PROCESSES  // sc_spawn; read by <systemc>
#include "sim/simulation.h"

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <systemc>

#include "sim/boundary_tap.h"
#include "sim/in_process_function.h"
#include "sim/monitor/monitored_nic.h"
#include "sim/network.h"
#include "sim/nic_factory.h"
#include "sim/nic_waves.h"

namespace postern::sim {
namespace {

constexpr int kThreadStackBytes = 256 * 1024;  // the stack's deepest call chain, with room for logging and printing

std::vector<NamedCount> to_named(const std::vector<Counter>& counters) {
  std::vector<NamedCount> result;
  result.reserve(counters.size());
  for (const Counter& counter : counters) {
    result.push_back({counter.name, counter.value});
  }
  return result;
}

std::vector<Property> by_name(std::vector<Property> properties) {
  std::sort(properties.begin(), properties.end(), [](const Property& a, const Property& b) { return a.name < b.name; });
  return properties;
}

}  // namespace

struct Simulation::Impl {
  struct Host {
    std::unique_ptr<NicDevice> nic;
    std::vector<std::shared_ptr<BoundaryObserver>> observers;
    std::unique_ptr<MonitoredNic> monitored;  // null without monitor
    std::unique_ptr<BoundaryTap> own_tap;     // for observers without monitor
    BoundaryTap* tap = nullptr;               // one of these two; null: nobody observes
    std::unique_ptr<HostStageTrace> stages;
    std::unique_ptr<InProcessFunction> function;
  };

  // What the host and its wire bind to: the NIC, or a tap around it.
  NicDevice& seam(const HostSpec& spec, Host& host);
  void add_observers(const HostSpec& spec, Host& host);
  Status record_waves();
  [[nodiscard]] ContractCoverage coverage() const;  // of all NICs together

  Options options;
  StageTrace stages;
  std::unique_ptr<Network> network;
  std::vector<Host> hosts;
  bool stop_requested = false;
};

NicDevice& Simulation::Impl::seam(const HostSpec& spec, Host& host) {
  const std::string tap_name = "tap_" + spec.name;
  if (options.monitor) {
    host.monitored = std::make_unique<MonitoredNic>(tap_name.c_str(), *host.nic, spec.mac, spec.name);
    host.tap = &host.monitored->tap();
    if (options.violated && spec.device == "rtl") {
      host.monitored->set_violation_listener(
          [this, host_idx = static_cast<uint32_t>(hosts.size())](const Violation& violation) {
            options.violated(host_idx, violation);
          });
    }
  } else if (!options.observers.empty()) {
    host.own_tap = std::make_unique<BoundaryTap>(tap_name.c_str(), *host.nic);
    host.tap = host.own_tap.get();
  }
  return host.tap == nullptr ? *host.nic : *host.tap;
}

Status Simulation::Impl::record_waves() {
  std::vector<WavedNic> rtl;
  for (size_t i = 0; i < hosts.size(); ++i) {
    const HostSpec& spec = options.topology.hosts[i];
    if (spec.device == "rtl") rtl.push_back({spec.name, hosts[i].nic.get()});
  }
  return sim::record_waves(rtl, options.waves);
}

void Simulation::Impl::add_observers(const HostSpec& spec, Host& host) {
  for (const ObserverFactory& make : options.observers) {
    const ObserverSite site{hosts.size(), spec, *host.tap, by_name(host.nic->properties()),
                            [] { return sc_core::sc_time_stamp().value(); }};
    if (std::shared_ptr<BoundaryObserver> observer = make(site)) {
      host.tap->add_observer(*observer);
      host.observers.push_back(std::move(observer));
    }
  }
}

Simulation::Simulation(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Simulation::~Simulation() = default;

Result<std::unique_ptr<Simulation>> Simulation::create(const Options& options) {
  if (!options.topology.taps.empty()) {
    return Error{EINVAL,
                 fmt::format("{}: tap \"{}\": a TAP port needs the Linux kernel and real time; use `postern up`, "
                             "or leave it out",
                             options.topology.source_name, options.topology.taps.front().name)};
  }
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  impl->network = std::make_unique<Network>(options.topology, options.seed);
  for (const HostSpec& spec : options.topology.hosts) {
    Impl::Host host;
    host.nic = make_nic(spec.device, "nic_" + spec.name, spec.mac);
    if (options.trace_stages) {
      host.stages = std::make_unique<HostStageTrace>(impl->stages, true, static_cast<uint16_t>(impl->hosts.size()));
    }
    NicDevice& seam = impl->seam(spec, host);
    host.function =
        std::make_unique<InProcessFunction>(("host_" + spec.name).c_str(), seam, options.costs, host.stages.get());
    if (Status status = impl->network->attach_nic(spec, seam); !status) {
      return status.error();
    }
    impl->add_observers(spec, host);
    impl->hosts.push_back(std::move(host));
  }
  if (Status status = impl->record_waves(); !status) {
    return status.error();
  }
  if (!options.pcap_directory.empty()) {
    if (Status status = impl->network->open_captures(options.pcap_directory, true); !status) {
      return status.error();
    }
  }
  return std::unique_ptr<Simulation>(new Simulation(std::move(impl)));
}

size_t Simulation::host_count() const { return impl_->hosts.size(); }

const HostSpec& Simulation::host_spec(size_t host_idx) const { return impl_->options.topology.hosts.at(host_idx); }

PciFunction& Simulation::function(size_t host_idx) { return *impl_->hosts.at(host_idx).function; }

HostCpu& Simulation::cpu(size_t host_idx) { return *impl_->hosts.at(host_idx).function; }

HostStageTrace* Simulation::host_stages(size_t host_idx) { return impl_->hosts.at(host_idx).stages.get(); }

const StageTrace& Simulation::stages() const { return impl_->stages; }

void Simulation::spawn(const std::string& name, std::function<void()> body) {
  sc_core::sc_spawn_options options;
  options.set_stack_size(kThreadStackBytes);
  sc_core::sc_spawn(std::move(body), sc_core::sc_gen_unique_name(name.c_str()), &options);
}

void Simulation::run(uint64_t duration_ns) {
  if (impl_->stop_requested) return;
  const uint64_t left_ps = impl_->options.end_ps - now_ps();
  sc_core::sc_start(sc_core::sc_time::from_value(std::min(left_ps, duration_ns * 1000)), sc_core::SC_RUN_TO_TIME);
  if (now_ps() >= impl_->options.end_ps) impl_->stop_requested = true;
}

void Simulation::request_stop() {
  impl_->stop_requested = true;
  sc_core::sc_pause();
}

bool Simulation::stop_requested() const { return impl_->stop_requested; }

uint64_t Simulation::now_ps() const { return sc_core::sc_time_stamp().value(); }

bool Simulation::is_idle() const { return !sc_core::sc_pending_activity(); }

void Simulation::set_packet_listener(PacketListener* listener) { impl_->stages.set_listener(listener); }

void Simulation::finish_observers() {
  for (Impl::Host& host : impl_->hosts) {
    if (host.monitored != nullptr) {
      host.monitored->finish();  // and all observers beside it
    } else if (host.tap != nullptr) {
      host.tap->finish();
    }
  }
}

void Simulation::flush_captures() { impl_->network->flush_captures(); }

std::vector<NamedCount> Simulation::nic_counters(size_t host_idx) const {
  return to_named(impl_->hosts.at(host_idx).nic->counters());
}

std::vector<NamedCount> Simulation::function_counters(size_t host_idx) const {
  const InProcessFunction::Counters& c = impl_->hosts.at(host_idx).function->counters();
  return {
      {"cpu_busy_ps", c.cpu_busy_ps}, {"dma_faults", c.dma_faults},           {"dma_reads", c.dma_reads},
      {"dma_writes", c.dma_writes},   {"doorbell_writes", c.doorbell_writes}, {"interrupts", c.interrupts},
      {"pio_writes", c.pio_writes},   {"register_reads", c.register_reads},   {"register_writes", c.register_writes}};
}

std::vector<NamedCount> Simulation::wire_counters() const { return to_named(impl_->network->counters()); }

uint64_t Simulation::wire_fingerprint() const { return impl_->network->fingerprint(); }

std::vector<Property> Simulation::nic_properties(size_t host_idx) const {
  return by_name(impl_->hosts.at(host_idx).nic->properties());
}

uint64_t Simulation::violation_count() const {
  uint64_t count = 0;
  for (const Impl::Host& host : impl_->hosts) count += host.monitored ? host.monitored->monitor().violation_count() : 0;
  return count;
}

std::string Simulation::monitor_text() const {
  std::string text;
  for (const Impl::Host& host : impl_->hosts) text += host.monitored ? host.monitored->monitor().text() : "";
  return text;
}

std::string Simulation::monitor_json() const {
  std::string text = "[";
  for (const Impl::Host& host : impl_->hosts) {
    if (host.monitored) text += (text.size() == 1 ? "" : ",\n") + host.monitored->monitor().json();
  }
  return text + "]";
}

ContractCoverage Simulation::Impl::coverage() const {
  ContractCoverage all;
  for (const Host& host : hosts) {
    if (host.monitored) all.merge(host.monitored->monitor().coverage());
  }
  return all;
}

std::string Simulation::coverage_json() const { return impl_->options.monitor ? impl_->coverage().json() : ""; }

std::string Simulation::coverage_table() const { return impl_->options.monitor ? impl_->coverage().table() : ""; }

}  // namespace postern::sim
