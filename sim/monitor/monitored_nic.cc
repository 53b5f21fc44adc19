// See monitored_nic.h.
#include "sim/monitor/monitored_nic.h"

#include <unistd.h>

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

}  // namespace

MonitoredNic::MonitoredNic(const sc_core::sc_module_name& tap_name, NicDevice& inner, const std::array<uint8_t, 6>& mac,
                           const std::string& report_name)
    : monitor_(options_of(mac, report_name)), tap_(tap_name, inner) {
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
