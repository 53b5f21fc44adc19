// The host's accesses, as the model's blocks take them. Packet walk: a doorbell that has arrived goes to its block
// here.
#pragma once

#include "hw_model/bar_target.h"
#include "hw_model/nic_blocks.h"

namespace postern::hw_model {

class ModelBars : public BarTarget {
 public:
  explicit ModelBars(NicBlocks& nic) : nic_(nic) {}

  void write(uint64_t address, uint64_t value, unsigned width_bytes) override;
  void write_pio(uint64_t address, const uint8_t* data, uint32_t bytes) override;
  [[nodiscard]] uint64_t read(uint64_t address, unsigned width_bytes) override;
  [[nodiscard]] uint64_t peek(uint64_t address, unsigned width_bytes) override { return read(address, width_bytes); }

 private:
  NicBlocks& nic_;
};

}  // namespace postern::hw_model
