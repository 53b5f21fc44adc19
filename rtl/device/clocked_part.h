// A part of the Verilated device's surroundings (PCIe hard block, PHY, firmware) as the clock sees it.
#pragma once

#include <cstdint>

namespace postern::rtl_device {

constexpr uint64_t kCyclePs = 4000;  // 250 MHz
constexpr uint32_t kBeatBytes = 64;  // 512 bits
constexpr uint64_t kNever = ~0ull;

// What arrives at a time is seen by the first clock edge behind it, so that it does not matter whether the clock has
// been running meanwhile.
constexpr uint64_t edge_after(uint64_t time_ps) { return (time_ps / kCyclePs + 1) * kCyclePs; }

// The first clock edge that is not before a time.
constexpr uint64_t edge_at(uint64_t time_ps) { return (time_ps + kCyclePs - 1) / kCyclePs * kCyclePs; }

class ClockedPart {
 public:
  virtual ~ClockedPart() = default;
  // Sets the inputs for the edge at edge_ps, and the drive_ of each group of them in which anything differs from the
  // edge before (pst_nic_driven.sv).
  virtual void drive(uint64_t edge_ps) = 0;
  // The outputs that go with them, before the edge changes anything.
  virtual void sample(uint64_t edge_ps) = 0;
  // The first edge behind edge_ps at which drive() has something to say; kNever: none is known.
  [[nodiscard]] virtual uint64_t next_edge_ps(uint64_t edge_ps) const = 0;
  // Everything under way comes to nothing.
  virtual void reset() = 0;
};

}  // namespace postern::rtl_device
