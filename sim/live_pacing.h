// Pacing of a live run: simulated time follows the wall clock, is never ahead of it, and is never made up in a rush: a
// lag of more than 1 ms is forgotten. No SystemC, no clock of its own: wall time is a parameter.
#pragma once

#include <cstdint>

namespace postern::sim {

class LivePacer {
 public:
  static constexpr uint64_t kLagMaxNs = 1'000'000;

  LivePacer(uint64_t wall_ns, uint64_t simulated_ns) : anchor_wall_ns_(wall_ns), anchor_simulated_ns_(simulated_ns) {}

  // Simulated time that must not be passed at this wall time.
  [[nodiscard]] uint64_t limit_ns(uint64_t wall_ns) const {
    return wall_ns <= anchor_wall_ns_ ? anchor_simulated_ns_ : anchor_simulated_ns_ + (wall_ns - anchor_wall_ns_);
  }

  // After each step of the simulation: gives up catching up if it has fallen behind too far.
  void note_progress(uint64_t wall_ns, uint64_t simulated_ns) {
    const uint64_t limit = limit_ns(wall_ns);
    if (limit <= simulated_ns + kLagMaxNs) return;
    forgotten_ns_ += limit - simulated_ns;
    anchor_wall_ns_ = wall_ns;
    anchor_simulated_ns_ = simulated_ns;
  }

  // Wall time at which simulated time may reach a value.
  [[nodiscard]] uint64_t wall_of_ns(uint64_t simulated_ns) const {
    return simulated_ns <= anchor_simulated_ns_ ? anchor_wall_ns_
                                                : anchor_wall_ns_ + (simulated_ns - anchor_simulated_ns_);
  }

  // Wall time that the simulation has not followed because it was too slow.
  [[nodiscard]] uint64_t forgotten_ns() const { return forgotten_ns_; }

 private:
  uint64_t anchor_wall_ns_;
  uint64_t anchor_simulated_ns_;
  uint64_t forgotten_ns_ = 0;
};

}  // namespace postern::sim
