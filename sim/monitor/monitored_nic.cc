// See monitored_nic.h.
#include "sim/monitor/monitored_nic.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>

namespace postern::sim {

namespace {

MonitorOptions options_of(const std::array<uint8_t, 6>& mac, const std::string& report_name) {
  MonitorOptions options;
  options.name = report_name;
  std::memcpy(&options.port_address, mac.data(), mac.size());
  return options;
}

double property_or(const std::vector<Property>& properties, const char* name, double missing) {
  const auto found =
      std::find_if(properties.begin(), properties.end(), [&](const Property& p) { return p.name == name; });
  return found == properties.end() ? missing : found->value;
}

// Payload in Gb/s that the device can write to the host at least: by its lanes, and by the credits of small writes.
double write_rate_gbps(const std::vector<Property>& properties) {
  static constexpr double kLaneGbps[] = {2.0, 4.0, 7.87, 15.75, 31.5};  // after line coding
  const double generation = property_or(properties, "pcie_link.generation", 3);
  const double mps_bytes = property_or(properties, "pcie_link.mps_bytes", 256);
  constexpr double kTlpOverheadBytes = 32;  // header, framing, and a share of acknowledgements
  const double lanes_gbps = kLaneGbps[static_cast<size_t>(generation) - 1] *
                            property_or(properties, "pcie_link.lanes", 8) * mps_bytes / (mps_bytes + kTlpOverheadBytes);
  const double credit_ns = 2 * property_or(properties, "pcie_link.propagation_ns", 140) +
                           property_or(properties, "pcie_link.root_complex_ns", 100) +
                           property_or(properties, "pcie_link.memory_write_ns", 50) +
                           (property_or(properties, "pcie_link.latency_distribution", 0) == 0
                                ? 0
                                : property_or(properties, "pcie_link.latency_spread_ns", 100));
  constexpr double kSmallWriteBytes = 64;  // a frame is three writes and more: prefix, payload, event
  const double credit_bytes =
      std::min(property_or(properties, "pcie_link.posted_header_credits", 127) * kSmallWriteBytes,
               property_or(properties, "pcie_link.posted_data_credits", 2047) * 16);
  return std::min(lanes_gbps, credit_bytes * 8 / credit_ns);
}

// A read waits behind those of a full transmit buffer, of which only so many are outstanding at once.
double read_queue_ns(const std::vector<Property>& properties) {
  const double at_once = std::min(property_or(properties, "pcie_link.tags", 256),
                                  property_or(properties, "pcie_link.non_posted_header_credits", 127));
  constexpr double kFragmentBytes = 32;  // packets of many small fragments
  const double reads = property_or(properties, "tx_dma.buffer_bytes", 65536) / kFragmentBytes;
  const double round_trip_ns = 2 * property_or(properties, "pcie_link.propagation_ns", 140) +
                               property_or(properties, "pcie_link.root_complex_ns", 100) +
                               property_or(properties, "pcie_link.memory_read_ns", 150);
  const double queue_ns = reads / at_once * round_trip_ns;
  constexpr double kCoveredNs = 20000;  // by the default bounds
  return queue_ns > kCoveredNs ? queue_ns : 0;
}

}  // namespace

MonitorBounds monitor_bounds_for(const std::vector<Property>& properties) {
  MonitorBounds bounds;
  bounds.read_timeout_ns = static_cast<uint64_t>(
      property_or(properties, "fault.completion_timeout_ns", static_cast<double>(bounds.read_timeout_ns)));
  // A write that is late holds up those behind it, events and interrupts too.
  double queued_ns = property_or(properties, "pcie_link.latency_distribution", 0) == 0
                         ? 0
                         : property_or(properties, "pcie_link.latency_limit_ns", 5000);
  const double gbps = write_rate_gbps(properties);
  constexpr double kLoopbackGbps = 20;  // what is looped back inside the device may come faster than over the wire
  if (gbps < std::max(2 * property_or(properties, "mac_port.rate_mbps", 10000) / 1000, kLoopbackGbps))
    queued_ns += 1.5 * 8 * property_or(properties, "rx_dma.buffer_bytes", 262144) / gbps;
  queued_ns += read_queue_ns(properties);
  const auto allowed_ns = static_cast<uint64_t>(2 * queued_ns);
  bounds.wakeup_ns = std::max(bounds.wakeup_ns, 2 * allowed_ns);
  bounds.in_flight_ns = std::max(bounds.in_flight_ns, allowed_ns);
  bounds.moderation_slack_ns = std::max(bounds.moderation_slack_ns, allowed_ns);
  bounds.quiescent_ns = std::max(bounds.quiescent_ns, 2 * allowed_ns);
  return bounds;
}

MonitoredNic::MonitoredNic(const sc_core::sc_module_name& tap_name, NicDevice& inner, const std::array<uint8_t, 6>& mac,
                           const std::string& report_name)
    : monitor_(options_of(mac, report_name)), tap_(tap_name, inner, monitor_) {
  tap_.add_observer(monitor_);
  monitor_.set_memory_reader(&tap_);
  monitor_.set_clock([] { return sc_core::sc_time_stamp().value(); });
  monitor_.set_counter_reader([this] {
    std::vector<std::pair<std::string, uint64_t>> counters;
    for (const Counter& counter : tap_.counters()) counters.emplace_back(counter.name, counter.value);
    return counters;
  });
}

void MonitoredNic::finish() {
  if (finished_) return;
  finished_ = true;
  tap_.finish();
  const char* folder = std::getenv("POSTERN_COVERAGE_DIR");
  if (folder == nullptr) return;
  static int count = 0;
  std::ofstream(std::string(folder) + "/" + std::to_string(::getpid()) + "_" + std::to_string(count++) + ".json")
      << monitor_.coverage().json();
}

}  // namespace postern::sim
