// The signals of the Verilated NIC as an FST file, for GTKWave. Hides Verilator's tracing, and that a build without
// POSTERN_RTL_WAVES has none.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "sim/nic_device.h"

class Vpst_nic_top;

namespace postern::rtl_device {

class WaveFile {
 public:
  WaveFile();
  ~WaveFile();  // completes the file
  WaveFile(const WaveFile&) = delete;
  WaveFile& operator=(const WaveFile&) = delete;

  // What follows is recorded, or nothing if the request only asks whether it could be; then no file is left behind. The
  // error says what to do: a build without waves, or a file that cannot be written.
  [[nodiscard]] std::string open(Vpst_nic_top& top, const sim::WaveRequest& request);
  // The signals have the values that they keep from time_ps on; times grow.
  void sample(uint64_t time_ps);

 private:
  struct Trace;
  std::unique_ptr<Trace> trace_;  // null: nothing is recorded
};

}  // namespace postern::rtl_device
