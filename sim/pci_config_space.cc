// Register definitions and access rules of the configuration space.
#include "sim/pci_config_space.h"

#include "contract/gen/pst_contract.h"

namespace postern::sim {
namespace {

constexpr uint8_t kCapabilityIdPower = 0x01;
constexpr uint8_t kCapabilityIdExpress = 0x10;
constexpr uint8_t kCapabilityIdMsix = 0x11;
constexpr uint16_t kPowerStateMask = 0x3;

struct BarSize {
  unsigned bar;
  uint64_t size_bytes;
};
constexpr BarSize kBars[] = {
    {PST_BAR_FUNCTION, PST_BAR_FUNCTION_SIZE}, {PST_BAR_VI, PST_BAR_VI_SIZE}, {PST_BAR_MSIX, PST_BAR_MSIX_SIZE}};

constexpr bool valid_access(uint16_t offset, unsigned width_bytes) {
  return (width_bytes == 1 || width_bytes == 2 || width_bytes == 4) && offset % width_bytes == 0 &&
         offset + width_bytes <= pci::kConfigBytes;
}

}  // namespace

PciConfigSpace::PciConfigSpace() { reset(); }

void PciConfigSpace::define(uint16_t offset, unsigned width_bytes, uint32_t value, uint32_t writable,
                            uint32_t clear_on_one) {
  for (unsigned i = 0; i < width_bytes; ++i) {
    const unsigned shift = 8 * i;
    cells_[offset + i] = {static_cast<uint8_t>(value >> shift), static_cast<uint8_t>(writable >> shift),
                          static_cast<uint8_t>(clear_on_one >> shift)};
  }
}

void PciConfigSpace::define_header() {
  define(pci::kVendorId, 2, PST_PCI_VENDOR_ID);
  define(pci::kDeviceId, 2, PST_PCI_DEVICE_ID);
  // Memory space, bus master, parity response, SERR, INTx disable.
  define(pci::kCommand, 2, 0, pci::kCommandMemory | pci::kCommandBusMaster | 1u << 6 | 1u << 8 | 1u << 10);
  // Capability list present; error bits are cleared by writing 1.
  define(pci::kStatus, 2, 1u << 4, 0, 1u << 8 | 0x1fu << 11);
  define(0x08, 4, PST_PCI_REVISION_ID | PST_PCI_CLASS_CODE << 8);
  define(0x0c, 1, 0, 0xff);  // cache line size: no effect on PCI Express
  for (const BarSize& bar : kBars) define_bar(bar.bar, bar.size_bytes);
  define(0x2c, 2, PST_PCI_SUBSYSTEM_VENDOR_ID);
  define(0x2e, 2, PST_PCI_SUBSYSTEM_ID);
  define(pci::kCapabilityPointer, 1, pci::kPowerCapability);
  define(0x3c, 1, 0, 0xff);  // interrupt line: scratch for firmware
  define(0x3d, 1, 0);        // no INTx pin
}

void PciConfigSpace::define_bar(unsigned bar, uint64_t size_bytes) {
  const uint64_t address_mask = ~(size_bytes - 1);
  const uint32_t type = 0x4;  // memory, 64-bit, not prefetchable
  const auto offset = static_cast<uint16_t>(pci::kBar0 + 4 * bar);
  define(offset, 4, type, static_cast<uint32_t>(address_mask) & ~0xfu);
  define(offset + 4, 4, 0, static_cast<uint32_t>(address_mask >> 32));
}

void PciConfigSpace::define_capabilities() {
  // Power management: version 3, no PME, D3hot keeps state.
  define(pci::kPowerCapability, 2, kCapabilityIdPower | pci::kMsixCapability << 8);
  define(pci::kPowerCapability + 2, 2, 0x3);
  define(pci::kPowerControl, 2, 1u << 3, kPowerStateMask);

  define(pci::kMsixCapability, 2, kCapabilityIdMsix | pci::kExpressCapability << 8);
  define(pci::kMsixControl, 2, PST_LIMIT_MSIX_VECTOR_COUNT - 1,
         pci::kMsixControlEnable | pci::kMsixControlFunctionMask);
  define(pci::kMsixCapability + 4, 4, PST_MSIX_TABLE_OFFSET | PST_BAR_MSIX);
  define(pci::kMsixCapability + 8, 4, PST_MSIX_PBA_OFFSET | PST_BAR_MSIX);

  // PCI Express endpoint, capability version 2. Link width and speed are assumed: they name the link that the model
  // times.
  const uint16_t express = pci::kExpressCapability;
  define(express, 2, kCapabilityIdExpress);
  define(express + 2, 2, 0x2);
  define(express + 4, 4,
         0x1 | 1u << 15 | 1u << 28);  // payload up to 256 bytes, role-based errors, function-level reset
  // Error enables, relaxed ordering, payload size, extended tags, no snoop, read request size (512 bytes).
  define(pci::kExpressDeviceControl, 2, 2u << 12 | 1u << 4 | 1u << 11, 0x7fff);
  define(express + 10, 2, 0, 0, 0xf);
  define(express + 12, 4, 3u | 8u << 4);  // 8 GT/s, 8 lanes
  define(express + 16, 2, 0, 0x00cb);
  define(express + 18, 2, 3u | 8u << 4);
  define(express + 36, 4, 1u << 4 | 0xf);  // completion timeout ranges and disable
  define(express + 40, 2, 0, 0x1f);
  define(express + 44, 4, 0x7u << 1);  // supported speeds 2.5, 5 and 8 GT/s
  define(express + 48, 2, 3, 0xf);
}

void PciConfigSpace::reset() {
  cells_.fill({});
  define_header();
  define_capabilities();
  note_command();
}

uint32_t PciConfigSpace::read(uint16_t offset, unsigned width_bytes) const {
  if (!valid_access(offset, width_bytes)) return 0xffffffffu;
  uint32_t value = 0;
  for (unsigned i = 0; i < width_bytes; ++i) value |= static_cast<uint32_t>(cells_[offset + i].value) << (8 * i);
  return value;
}

void PciConfigSpace::write(uint16_t offset, unsigned width_bytes, uint32_t value) {
  if (!valid_access(offset, width_bytes)) return;
  const bool was_master = bus_master_enabled();
  const bool was_deliverable = msix_deliverable();
  for (unsigned i = 0; i < width_bytes; ++i) {
    Cell& cell = cells_[offset + i];
    const auto byte = static_cast<uint8_t>(value >> (8 * i));
    const auto kept = static_cast<uint8_t>(cell.value & ~cell.writable & ~(cell.clear_on_one & byte));
    cell.value = static_cast<uint8_t>(kept | (byte & cell.writable));
  }
  note_command();
  if (on_control_ && (bus_master_enabled() != was_master || msix_deliverable() != was_deliverable)) on_control_();

  // The reset bit is not stored: it acts and reads as 0.
  const unsigned reset_byte = pci::kExpressDeviceControl + 1u;
  if (on_function_reset_ && offset <= reset_byte && reset_byte < offset + width_bytes &&
      (value >> (8 * (reset_byte - offset)) & 0x80u) != 0) {
    on_function_reset_();
  }
}

void PciConfigSpace::note_command() {
  const uint32_t command = read(pci::kCommand, 2);
  const bool powered = (read(pci::kPowerControl, 2) & kPowerStateMask) == 0;
  memory_enabled_ = powered && (command & pci::kCommandMemory) != 0;
  bus_master_enabled_ = powered && (command & pci::kCommandBusMaster) != 0;
}

bool PciConfigSpace::msix_enabled() const { return (read(pci::kMsixControl, 2) & pci::kMsixControlEnable) != 0; }

bool PciConfigSpace::msix_deliverable() const {
  return bus_master_enabled() && msix_enabled() && (read(pci::kMsixControl, 2) & pci::kMsixControlFunctionMask) == 0;
}

uint64_t PciConfigSpace::bar_address(unsigned bar) const {
  const auto offset = static_cast<uint16_t>(pci::kBar0 + 4 * bar);
  return static_cast<uint64_t>(read(offset + 4, 4)) << 32 | (read(offset, 4) & ~0xfu);
}

std::optional<BarHit> PciConfigSpace::decode(uint64_t address) const {
  if (!memory_enabled()) return std::nullopt;
  for (const BarSize& bar : kBars) {
    const uint64_t base = bar_address(bar.bar);
    if (base != 0 && address >= base && address - base < bar.size_bytes) return BarHit{bar.bar, address - base};
  }
  return std::nullopt;
}

}  // namespace postern::sim
