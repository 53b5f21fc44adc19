// Zeroed pages for the device: from this process's heap or from sealed memfds.
#include "driver/dma_allocator.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "contract/gen/pst_contract.h"

namespace postern {
namespace {

size_t page_round_up(size_t bytes) { return (bytes + PST_LIMIT_PAGE_BYTES - 1) & ~size_t{PST_LIMIT_PAGE_BYTES - 1}; }

Error out_of_memory(const char* name, size_t bytes, int code) {
  return Error{code, fmt::format("cannot get {} bytes for {}: {}; stop other stacks or raise the memory limit", bytes,
                                 name, std::strerror(code))};
}

}  // namespace

Result<DmaMemory> HeapDmaAllocator::allocate(size_t size_bytes, const char* name) {
  DmaMemory memory;
  memory.size_bytes = page_round_up(size_bytes);
  memory.base = mmap(nullptr, memory.size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory.base == MAP_FAILED) {
    return out_of_memory(name, size_bytes, errno);
  }
  return memory;
}

void HeapDmaAllocator::release(const DmaMemory& memory) { munmap(memory.base, memory.size_bytes); }

Result<DmaMemory> MemfdDmaAllocator::allocate(size_t size_bytes, const char* name) {
  DmaMemory memory;
  memory.size_bytes = page_round_up(size_bytes);
  memory.fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (memory.fd < 0) {
    return out_of_memory(name, size_bytes, errno);
  }
  // The size is sealed: nobody who holds the descriptor can shrink it under the device or hostd (SIGBUS).
  if (ftruncate(memory.fd, static_cast<off_t>(memory.size_bytes)) != 0 ||
      fcntl(memory.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    const int code = errno;
    close(memory.fd);
    return out_of_memory(name, size_bytes, code);
  }
  memory.base = mmap(nullptr, memory.size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory.fd, 0);
  if (memory.base == MAP_FAILED) {
    const int code = errno;
    close(memory.fd);
    return out_of_memory(name, size_bytes, code);
  }
  return memory;
}

void MemfdDmaAllocator::release(const DmaMemory& memory) {
  munmap(memory.base, memory.size_bytes);
  close(memory.fd);
}

}  // namespace postern
