// Asks the RTL among some NICs for their waves. Include only from C++17 translation units.
#pragma once

#include <string>
#include <vector>

#include "driver/result.h"
#include "sim/nic_device.h"

namespace postern::sim {

struct WavedNic {
  std::string host;
  NicDevice* nic;
};

// rtl: those that are RTL; their files are those of wave_files(). Before the simulation starts. Nothing if the request
// names no file. Errors: no RTL NIC, a build without waves, a file that cannot be written.
[[nodiscard]] Status record_waves(const std::vector<WavedNic>& rtl, const WaveRequest& request);

}  // namespace postern::sim
