// A run as a Perfetto/Chrome trace (JSON trace event format): a process per host, a track per VI and block, a flow
// arrow from send() to recv(). Keeps only a window and a maximum of events. No SystemC here.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "sim/simulation.h"

namespace postern::sim {

struct TraceWindow {
  uint64_t from_us = 0;
  uint64_t for_us = UINT64_MAX / 2'000'000;  // simulated time; by default all
  uint64_t events_max = 1'000'000;
  [[nodiscard]] bool contains(uint64_t time_ps) const {
    return time_ps >= from_us * 1'000'000 && time_ps - from_us * 1'000'000 <= for_us * 1'000'000;
  }
};

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
  uint32_t track(uint32_t host, uint32_t vi, unsigned block);
  void slice(uint32_t host, uint32_t vi, unsigned block, const char* name, uint64_t from_ps, uint64_t to_ps,
             const PacketPath& path);
  void instant(uint32_t host, uint32_t vi, unsigned block, const std::string& name, uint64_t time_ps);

  std::FILE* file_ = nullptr;
  std::string path_;
  TraceWindow window_;
  uint64_t event_count_ = 0, cut_count_ = 0, flow_count_ = 0;
  bool first_ = true, failed_ = false;
  std::set<uint64_t> named_;  // tracks that have a name
};

}  // namespace postern::sim
