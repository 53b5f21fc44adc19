// BAR4: the MSI-X table and its pending bits. A masked vector's message waits in the pending bit and goes out when the
// vector is unmasked.
#pragma once

#include <array>
#include <cstdint>
#include <systemc>
#include <vector>

#include "contract/gen/pst_contract.h"
#include "hw_model/nic_blocks.h"
#include "sim/nic_device.h"

namespace postern::hw_model {

class Msix {
 public:
  Msix(NicBlocks& nic, sc_core::sc_port<sim::MsixIf>& port);
  void reset();

  // Sends a message behind all DMA writes posted so far (R3). VECTOR_NONE and vectors beyond the table send nothing and
  // return false.
  bool raise(uint32_t vector);
  // Likewise, for a table that is kept elsewhere (hardware's): the message that its entry of the vector makes.
  void post_message(uint32_t vector, uint64_t address);

  void write(uint64_t offset, unsigned width_bytes, uint64_t value);
  [[nodiscard]] uint64_t read(uint64_t offset, unsigned width_bytes) const;

 private:
  static constexpr uint32_t kEntryBytes = 16;
  static constexpr uint32_t kMaskBit = 1;
  struct Entry {
    std::array<uint32_t, 4> word{0, 0, 0, kMaskBit};  // address low, address high, data, vector control
  };

  void send(uint32_t vector);
  void arrive(uint64_t vector, uint64_t, uint64_t, uint64_t);
  void lost(uint64_t vector, uint64_t, uint64_t, uint64_t);
  void held_up(uint64_t duration_ps, uint64_t vector, uint64_t, uint64_t);
  void hold_up(uint32_t vector, uint64_t due_ps, uint64_t least_ps);
  void write_word(uint64_t offset, uint32_t value);
  [[nodiscard]] uint32_t read_word(uint64_t offset) const;

  NicBlocks& nic_;
  sc_core::sc_port<sim::MsixIf>& port_;
  std::vector<Entry> table_;
  std::vector<uint32_t> pending_;  // PBA
  uint64_t held_until_ps_ = 0;     // messages are held up: later ones of the same vector stay behind them
  std::vector<uint64_t> not_before_ps_;
};

}  // namespace postern::hw_model
