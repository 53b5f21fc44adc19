// What to record of the signals inside a device. Knows no SystemC.
#pragma once

#include <cstdint>
#include <string>

namespace postern::sim {

// A file for the signals inside a device, and the time that it covers.
struct WaveRequest {
  std::string path;  // FST; empty: none
  uint64_t from_ps = 0;
  uint64_t until_ps = ~uint64_t{0};
  bool only_check = false;  // records nothing: says whether it could, and removes an older file of that name
};

}  // namespace postern::sim
