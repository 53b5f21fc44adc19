// BAR0: identity, status, reset and admin registers, and the clock page. Hides the register bank; passes writes to
// admin.
#pragma once

#include <array>
#include <cstdint>
#include <functional>

#include "contract/gen/register_bank.h"
#include "hw_model/nic_blocks.h"

namespace postern::hw_model {

class FunctionRegisters {
 public:
  explicit FunctionRegisters(NicBlocks& nic);

  // Called when RESET_KEY is written.
  void on_reset_key(std::function<void()> callback) { reset_key_ = std::move(callback); }
  void configure();
  // Registers take their reset values; READY stays low until ready() is called.
  void reset();
  void ready();
  // Starts a new generation; returns it, so that a planned ready() of an older reset can be told apart.
  uint32_t next_generation() { return ++generation_; }
  [[nodiscard]] uint32_t generation() const { return generation_; }

  void write(uint64_t offset, unsigned width_bytes, uint64_t value);
  [[nodiscard]] uint64_t read(uint64_t offset, unsigned width_bytes);

  [[nodiscard]] uint64_t get(uint32_t offset) const { return function_.get(offset); }
  void set(uint32_t offset, uint64_t value) { function_.set(offset, value); }
  [[nodiscard]] bool is_ready() const { return ready_; }

 private:
  void refresh();

  NicBlocks& nic_;
  contract::RegisterBank function_;
  contract::RegisterBank clock_;
  std::function<void()> reset_key_;
  uint32_t generation_ = 1;
  bool ready_ = false;
};

}  // namespace postern::hw_model
