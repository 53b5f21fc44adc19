// The part of a run that a trace keeps, as a command line asks for it. No SystemC here.
#pragma once

#include <cstdint>
#include <string>

#include "driver/result.h"

namespace postern::sim {

// Whole microseconds. Empty: otherwise. Error: not a number, or a time beyond what picoseconds in 64 bits hold.
[[nodiscard]] Result<uint64_t> whole_us(const std::string& option, const std::string& text, uint64_t otherwise);

struct TraceWindow {
  uint64_t from_us = 0;
  static constexpr uint64_t kUsMax = UINT64_MAX / 2'000'000;  // some 106 days
  uint64_t for_us = kUsMax;                                   // simulated time; by default all
  uint64_t events_max = 1'000'000;
  [[nodiscard]] bool contains(uint64_t time_ps) const {
    return time_ps >= from_us * 1'000'000 && time_ps - from_us * 1'000'000 <= for_us * 1'000'000;
  }
  // Values from a command line. Error: none, or a time beyond what picoseconds in 64 bits hold.
  [[nodiscard]] static Result<TraceWindow> parse(const std::string& from_us, const std::string& for_us,
                                                 uint64_t events_max, const std::string& option = "--trace");
};

}  // namespace postern::sim
