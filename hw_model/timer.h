// One timer per VI: a doorbell arms it, it writes a TIMER event. Hides re-arming and disarming.
#pragma once

#include <cstdint>

#include "hw_model/nic_blocks.h"

namespace postern::hw_model {

struct Vi;

class Timer {
 public:
  explicit Timer(NicBlocks& nic) : nic_(nic) {}
  // Replaces what was armed; delay_ns 0 disarms. sequence must not be 0 unless disarming (R12).
  void arm(Vi& vi, uint32_t delay_ns, uint16_t sequence);

 private:
  void expire(uint64_t vi_id, uint64_t epoch, uint64_t generation, uint64_t);

  NicBlocks& nic_;
};

}  // namespace postern::hw_model
