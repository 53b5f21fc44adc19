// Integer arithmetic of the PTP clock. See ptp_clock.h.
#include "hw_model/ptp_clock.h"

namespace postern::hw_model {

namespace {

constexpr int64_t kUnitsPerNs = 1'000'000'000'000;
constexpr int64_t kUnitsPerPs = kUnitsPerNs / 1000;
constexpr uint64_t kPsPerMs = 1'000'000'000;

int64_t floor_div(int64_t value, int64_t divisor) { return value / divisor - (value % divisor < 0 ? 1 : 0); }

}  // namespace

// A rate of r ppb gains r * 10^-9 ps each ps, that is r units of 10^-12 ns; whole milliseconds apart from the rest, as
// the product of both would overflow.
PtpClock::Segment PtpClock::advance(const Segment& from, uint64_t device_ps) {
  const uint64_t elapsed_ps = device_ps - from.start_ps;
  const int64_t whole = static_cast<int64_t>(elapsed_ps / kPsPerMs) * from.rate_ppb;  // in 10^-3 ns
  const int64_t rest = static_cast<int64_t>(elapsed_ps % kPsPerMs) * from.rate_ppb;   // in 10^-12 ns
  const int64_t whole_ns = floor_div(whole, 1000);
  const int64_t units = static_cast<int64_t>(elapsed_ps % 1000) * 1'000'000'000 +
                        (whole - whole_ns * 1000) * 1'000'000'000 + rest + from.remainder;
  const int64_t units_ns = floor_div(units, kUnitsPerNs);
  Segment to;
  to.start_ps = device_ps;
  to.ns = from.ns + elapsed_ps / 1000 + static_cast<uint64_t>(whole_ns + units_ns);
  to.remainder = units - units_ns * kUnitsPerNs;
  to.rate_ppb = from.rate_ppb;
  return to;
}

bool PtpClock::adjust(uint64_t now_ps, int64_t step_ns, int64_t rate_ppb) {
  if (rate_ppb > kRatePpbMax || rate_ppb < -kRatePpbMax) return false;
  before_ = now_;
  now_ = advance(before_, now_ps);
  now_.ns += static_cast<uint64_t>(step_ns);
  now_.rate_ppb = rate_ppb;
  return true;
}

uint64_t PtpClock::time_ns(uint64_t device_ps) const {
  if (device_ps >= now_.start_ps && now_.rate_ppb == 0) {  // nearly always; two divisions instead of six
    return now_.ns + (device_ps - now_.start_ps + static_cast<uint64_t>(now_.remainder / kUnitsPerPs)) / 1000;
  }
  if (device_ps >= now_.start_ps) return advance(now_, device_ps).ns;
  // Two adjustments within one frame would put it before both; then the older of the two is as near as we know.
  return advance(before_, device_ps < before_.start_ps ? before_.start_ps : device_ps).ns;
}

}  // namespace postern::hw_model
