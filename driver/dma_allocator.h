// Where the resource manager gets memory that the device may reach. Hides memfds (live) and plain memory (virtual
// time).
#pragma once

#include <cstddef>

#include "driver/pci_function.h"
#include "driver/result.h"

namespace postern {

// Allocates zeroed, page-aligned memory. Not mapped for DMA yet; see PciFunction::dma_map.
class DmaAllocator {
 public:
  virtual ~DmaAllocator() = default;
  // size_bytes is rounded up to a page. name appears in /proc/*/maps where the kind of memory has names.
  [[nodiscard]] virtual Result<DmaMemory> allocate(size_t size_bytes, const char* name) = 0;
  // Gives memory back; it must not be mapped for DMA any more. The descriptor is closed.
  virtual void release(const DmaMemory& memory) = 0;
};

// Plain memory of this process, for in-process functions.
class HeapDmaAllocator : public DmaAllocator {
 public:
  [[nodiscard]] Result<DmaMemory> allocate(size_t size_bytes, const char* name) override;
  void release(const DmaMemory& memory) override;
};

// Sealed memfds (their size cannot change any more), for functions in another process. Pages come at first touch.
class MemfdDmaAllocator : public DmaAllocator {
 public:
  [[nodiscard]] Result<DmaMemory> allocate(size_t size_bytes, const char* name) override;
  void release(const DmaMemory& memory) override;
};

}  // namespace postern
