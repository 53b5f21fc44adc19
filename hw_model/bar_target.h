// Who takes the host's accesses to the BARs when they arrive at the device: the model's blocks, or hardware.
#pragma once

#include <cstdint>

namespace postern::hw_model {

// Addresses are those of sim::bar_address().
class BarTarget {
 public:
  virtual ~BarTarget() = default;
  // 1, 4 or 8 bytes.
  virtual void write(uint64_t address, uint64_t value, unsigned width_bytes) = 0;
  // Any number of bytes within one PIO page.
  virtual void write_pio(uint64_t address, const uint8_t* data, uint32_t bytes) = 0;
  // May call wait(): it is called from a thread process.
  [[nodiscard]] virtual uint64_t read(uint64_t address, unsigned width_bytes) = 0;
  // Takes no time and has no effect; for debug accesses.
  [[nodiscard]] virtual uint64_t peek(uint64_t address, unsigned width_bytes) = 0;
};

}  // namespace postern::hw_model
