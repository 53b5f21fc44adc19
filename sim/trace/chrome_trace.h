// A run as a Perfetto/Chrome trace (JSON trace event format): a process per host, a track per VI and block, a flow
// arrow from send() to recv(). Slices that overlap get tracks side by side (lanes). Keeps only a window and a maximum
// of events. No SystemC here.
#pragma once

#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sim/simulation.h"
#include "sim/trace/trace_window.h"

namespace postern::sim {

class ChromeTrace : public PacketListener {
 public:
  [[nodiscard]] Status open(const std::string& path, const TraceWindow& window);
  ~ChromeTrace() override;
  // For Simulation::Options::observers. This object must outlive the simulation.
  [[nodiscard]] ObserverFactory factory();
  // Completes the file. Nothing without open().
  [[nodiscard]] Status finish();
  // Events that events_max left out.
  [[nodiscard]] uint64_t cut_count() const { return cut_count_; }

  void packet_completed(const PacketPath& path) override;

 private:
  class Observer;
  bool admit(uint64_t time_ps, unsigned events);
  void emit(const std::string& json);
  uint32_t track(uint32_t host, uint32_t vi, unsigned block, unsigned lane = 0);
  unsigned free_lane(uint64_t key, uint64_t from_ps, uint64_t to_ps);
  // The track of the slice; 0: there is none.
  uint32_t slice(uint32_t host, uint32_t vi, unsigned block, const char* name, uint64_t from_ps, uint64_t to_ps,
                 const PacketPath& path);
  void instant(uint32_t host, uint32_t vi, unsigned block, const std::string& name, uint64_t time_ps);

  std::FILE* file_ = nullptr;
  std::string path_;
  TraceWindow window_;
  uint64_t event_count_ = 0, cut_count_ = 0, flow_count_ = 0;
  bool first_ = true, failed_ = false;
  std::map<uint64_t, uint32_t> tracks_;                    // by host, VI, block and lane: number of the track
  std::map<uint64_t, std::vector<uint64_t>> lane_end_ps_;  // by host, VI and block: end of each lane's last slice
};

}  // namespace postern::sim
