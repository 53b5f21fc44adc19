// Chosen signals of a run as a Value Change Dump (IEEE 1364, section 18), or as FST through GTKWave's vcd2fst: per host
// interrupts, wires and PCIe link, per VI doorbell indices, ring occupancies, event queue depth and primed. Hides that
// posted writes are told ahead of time: changes are put in order of time before they are written. No SystemC here.
#pragma once

#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sim/simulation.h"
#include "sim/trace/chrome_trace.h"

namespace postern::sim {

class VcdTrace {
 public:
  // path: with the ending .fst, the VCD is written beside it and converted at the end.
  // globs: comma-separated shell patterns for "host.vi3.rx_ring"; empty: all signals.
  [[nodiscard]] Status open(const std::string& path, const std::string& globs, const TraceWindow& window);
  ~VcdTrace();
  // For Simulation::Options::observers. This object must outlive the simulation.
  [[nodiscard]] ObserverFactory factory();
  // Writes the file. Nothing without open().
  [[nodiscard]] Status finish();
  [[nodiscard]] uint64_t cut_count() const { return cut_count_; }

 private:
  class Observer;
  struct Signal {
    std::string host, scope, name;  // scope: "viN", or empty
    unsigned width = 32;
  };
  struct Change {
    uint64_t time_ps;
    uint32_t signal;
    uint32_t value;
  };
  static constexpr uint32_t kUnwanted = 0xffffffff;

  uint32_t signal(const std::string& host, const std::string& scope, const std::string& name, unsigned width);
  void change(uint32_t signal, uint64_t time_ps, uint32_t value);
  [[nodiscard]] Status convert() const;
  void write_header();
  void write_changes();

  std::FILE* file_ = nullptr;
  std::string path_;
  std::string fst_path_;  // empty: no conversion
  std::vector<std::string> globs_;
  TraceWindow window_;
  std::map<std::string, uint32_t> by_name_;
  std::vector<Signal> signals_;
  std::vector<Change> changes_;  // at most events_max
  uint64_t cut_count_ = 0;
};

}  // namespace postern::sim
