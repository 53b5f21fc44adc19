// The PTP clock that stamps frames: the device clock, stepped and slewed by PTP_ADJUST. Hides the arithmetic, which is
// in integers and keeps remainders, so that a slewed clock never drifts from its rate. Packet walk: the port stamps a
// received frame, event_queue a sent one.
#pragma once

#include <cstdint>

namespace postern::hw_model {

class PtpClock {
 public:
  static constexpr int64_t kRatePpbMax = 100'000'000;

  // Equal to the device clock again.
  void reset() { *this = PtpClock(); }
  // From now_ps on the clock is step_ns further and gains rate_ppb nanoseconds per second of device time. False, and
  // nothing changes: the rate is beyond kRatePpbMax. now_ps never goes back.
  bool adjust(uint64_t now_ps, int64_t step_ns, int64_t rate_ppb);
  // PTP time at a device time, modulo 2^64 ns. A time before the last adjustment is told as it was then, so a frame
  // that came just before it keeps its stamp.
  [[nodiscard]] uint64_t time_ns(uint64_t device_ps) const;

 private:
  // The clock between two adjustments: ns + remainder / 10^12 at device time start_ps.
  struct Segment {
    uint64_t start_ps = 0;
    uint64_t ns = 0;
    int64_t remainder = 0;  // in 10^-12 ns, below 10^12
    int64_t rate_ppb = 0;
  };
  static Segment advance(const Segment& from, uint64_t device_ps);

  Segment now_;
  Segment before_;
};

}  // namespace postern::hw_model
