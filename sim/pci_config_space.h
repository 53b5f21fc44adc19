// Configuration space of the simulated PCI function: a type 0 header with three 64-bit BARs, and a capability list that
// can be walked (power management, MSI-X, PCI Express). Used by both transports; hides register layout and write masks.
// Source: PCI Local Bus Specification 3.0 chapter 6, PCI Express Base Specification 3.1 section 7, PCI Power
// Management 1.2.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>

namespace postern::sim {

// Offsets that drivers and tests use.
namespace pci {
constexpr uint16_t kConfigBytes = 4096;  // conventional space and (empty) PCI Express extended space
constexpr uint16_t kVendorId = 0x00;
constexpr uint16_t kDeviceId = 0x02;
constexpr uint16_t kCommand = 0x04;
constexpr uint16_t kStatus = 0x06;
constexpr uint16_t kBar0 = 0x10;
constexpr uint16_t kCapabilityPointer = 0x34;
constexpr uint16_t kPowerCapability = 0x40;
constexpr uint16_t kMsixCapability = 0x50;
constexpr uint16_t kExpressCapability = 0x60;
constexpr uint16_t kPowerControl = kPowerCapability + 4;  // PMCSR
constexpr uint16_t kMsixControl = kMsixCapability + 2;
constexpr uint16_t kExpressDeviceControl = kExpressCapability + 8;
constexpr uint16_t kCommandMemory = 1u << 1;
constexpr uint16_t kCommandBusMaster = 1u << 2;
constexpr uint16_t kMsixControlEnable = 1u << 15;
constexpr uint16_t kMsixControlFunctionMask = 1u << 14;
constexpr uint16_t kExpressControlReset = 1u << 15;  // initiate function-level reset
}  // namespace pci

// Where a bus address falls.
struct BarHit {
  unsigned bar = 0;
  uint64_t offset = 0;
};

class PciConfigSpace {
 public:
  PciConfigSpace();

  // width_bytes is 1, 2 or 4 and offset aligned to it; anything else reads as all ones and writes nothing, as on a bus
  // where nobody answers.
  [[nodiscard]] uint32_t read(uint16_t offset, unsigned width_bytes) const;
  void write(uint16_t offset, unsigned width_bytes, uint32_t value);

  // The function answers BAR accesses (command register, power state D0).
  [[nodiscard]] bool memory_enabled() const { return memory_enabled_; }
  // The function may do DMA and send MSI-X messages.
  [[nodiscard]] bool bus_master_enabled() const { return bus_master_enabled_; }
  // MSI-X messages may leave: enabled, function mask clear, bus master enabled.
  [[nodiscard]] bool msix_deliverable() const;
  [[nodiscard]] bool msix_enabled() const;

  // Base address that the host wrote to a 64-bit BAR (0, 2 or 4).
  [[nodiscard]] uint64_t bar_address(unsigned bar) const;
  // BAR and offset of a bus address; nothing while memory space is disabled.
  [[nodiscard]] std::optional<BarHit> decode(uint64_t address) const;

  // Back to the values after power-on.
  void reset();

  // Called after the host asks for a function-level reset in the PCI Express capability. The callee resets the device
  // and calls reset(); the bit reads as 0.
  void set_function_reset_handler(std::function<void()> handler) { on_function_reset_ = std::move(handler); }
  // Called after a write that changed what msix_deliverable() or bus_master_enabled() say.
  void set_control_handler(std::function<void()> handler) { on_control_ = std::move(handler); }

 private:
  // How a byte reacts to writes.
  struct Cell {
    uint8_t value = 0;
    uint8_t writable = 0;      // bits that take the written value
    uint8_t clear_on_one = 0;  // bits that a written 1 clears
  };

  void define(uint16_t offset, unsigned width_bytes, uint32_t value, uint32_t writable = 0, uint32_t clear_on_one = 0);
  void define_header();
  void define_bar(unsigned bar, uint64_t size_bytes);
  void define_capabilities();
  void note_command();

  std::array<Cell, pci::kConfigBytes> cells_{};
  // What the cells of command register and power state say; kept because every DMA asks.
  bool memory_enabled_ = false;
  bool bus_master_enabled_ = false;
  std::function<void()> on_function_reset_;
  std::function<void()> on_control_;
};

}  // namespace postern::sim
