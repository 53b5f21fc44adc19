// Seam 1: a PCI function as driver code sees it. Hides whether the device is simulated in this process in virtual
// time or lives in another process behind vfio-user. Nothing above this file knows SystemC; nothing below knows TCP.
// Implementations: sim/in_process_function.h (virtual time), driver/vfio_user_function.h (live).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "driver/result.h"

namespace postern {

// The device's clock, the only clock that driver and stack use for protocol decisions.
class DeviceClock {
 public:
  virtual ~DeviceClock() = default;
  // Device time in nanoseconds. Monotonic. Never blocks. Callable from any thread.
  [[nodiscard]] virtual uint64_t now_ns() const = 0;
};

// One VI window: the doorbell page and the PIO page, as its owner sees them. Writes are posted and in order.
class ViWindow {
 public:
  virtual ~ViWindow() = default;
  // Writes a register of the doorbell page (offsets PST_VI_*_OFFSET). 32-bit registers take the low half.
  // Orders all earlier stores to ring memory before the doorbell. Wakes a simulator that has gone to sleep.
  virtual void write_doorbell(uint32_t offset, uint64_t value) = 0;
  // Reads a doorbell register back: no side effects (R1), returns what was last written.
  [[nodiscard]] virtual uint64_t read_doorbell(uint32_t offset) const = 0;
  // Copies bytes into the PIO page at offset_bytes; offset_bytes + size_bytes <= PST_LIMIT_PIO_BYTES.
  virtual void write_pio(uint32_t offset_bytes, const void* data, size_t size_bytes) = 0;
};

enum class WaitOutcome { kSignalled, kTimeout, kDeviceGone };

// One MSI-X vector as the waiter sees it. Each message that arrives makes one later wait() return kSignalled;
// messages that arrive while nobody waits are remembered (as one).
class InterruptLine {
 public:
  virtual ~InterruptLine() = default;
  // Waits until a message arrives or timeout_ns of device time (virtual) or of wall time (live) have passed.
  [[nodiscard]] virtual WaitOutcome wait(uint64_t timeout_ns) = 0;
  // File descriptor (an eventfd) that becomes readable on a message; -1 in virtual time.
  [[nodiscard]] virtual int event_fd() const = 0;
};

// Host memory that the device may reach by DMA. Owned by the creator; unmapped by PciFunction::dma_unmap.
struct DmaMemory {
  void* base = nullptr;    // where this process sees it; page-aligned
  size_t size_bytes = 0;   // multiple of the page size
  int fd = -1;             // memfd that backs it (live); -1 allowed in virtual time
  uint64_t fd_offset = 0;  // offset of base within fd
};

class PciFunction {
 public:
  virtual ~PciFunction() = default;

  // Configuration space. width_bytes is 1, 2 or 4; offset aligned to it.
  [[nodiscard]] virtual Result<uint32_t> config_read(uint16_t offset, unsigned width_bytes) = 0;
  [[nodiscard]] virtual Status config_write(uint16_t offset, unsigned width_bytes, uint32_t value) = 0;

  // BAR access. width_bytes is 4 or 8, offset aligned to it. A read blocks for the round trip; a write is posted.
  [[nodiscard]] virtual Result<uint64_t> bar_read(unsigned bar, uint64_t offset, unsigned width_bytes) = 0;
  [[nodiscard]] virtual Status bar_write(unsigned bar, uint64_t offset, unsigned width_bytes, uint64_t value) = 0;

  // The window of an allocated VI, for use in this process. Valid until the VI is freed or the function is reset.
  [[nodiscard]] virtual Result<std::unique_ptr<ViWindow>> open_window(uint32_t vi_id) = 0;

  // Makes memory reachable by DMA; returns the host DMA address of its first byte. Blocks for the round trip.
  [[nodiscard]] virtual Result<uint64_t> dma_map(const DmaMemory& memory) = 0;
  // Blocks until no DMA to the range is in flight.
  [[nodiscard]] virtual Status dma_unmap(uint64_t dma_address) = 0;

  // Connects a vector of the MSI-X table to a line and unmasks it. The vector must be below the table size.
  // Opening a vector again replaces its line.
  [[nodiscard]] virtual Result<std::unique_ptr<InterruptLine>> open_interrupt(uint32_t vector) = 0;

  // Function-level reset through the transport; returns when the device is ready again. All VIs are gone after it.
  [[nodiscard]] virtual Status reset() = 0;

  [[nodiscard]] virtual const DeviceClock& clock() const = 0;

  // Lets time pass while polling a register or memory: simulated time in virtual time, a short sleep live.
  virtual void pause_ns(uint64_t duration_ns) = 0;
};

}  // namespace postern
