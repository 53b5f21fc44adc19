// Records a whole run in virtual time into one file: hosts, their properties, then everything at their boundaries.
#pragma once

#include <memory>
#include <string>

#include "sim/replay/trace_file.h"
#include "sim/simulation.h"

namespace postern::sim {

class RunRecorder {
 public:
  [[nodiscard]] Status open(const std::string& path);
  // For Simulation::Options::observers. This object must outlive the simulation.
  [[nodiscard]] ObserverFactory factory();
  // Completes the file. Nothing without open().
  [[nodiscard]] Status finish();

 private:
  std::unique_ptr<TraceWriter> writer_;
};

}  // namespace postern::sim
