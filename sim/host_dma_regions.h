// The memory of a live host that the device may reach by DMA: a table of address ranges, each backed by a file
// descriptor that the client passed and that is mapped here. Hides mapping, permission checks and address lookup.
// Single-threaded except that the host writes the memory at the same time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

#include "driver/unique_fd.h"

namespace postern::sim {

class HostDmaRegions {
 public:
  static constexpr size_t kMaxRegions = 512;  // more than a host has stacks
  static constexpr uint64_t kMaxMappedBytes = uint64_t{1} << 40U;
  static constexpr uint64_t kPageBytes = 4096;

  // A client's memfd may be much larger than its memory: without mapped_bytes_most it could use up the address space.
  explicit HostDmaRegions(uint64_t mapped_bytes_most = kMaxMappedBytes) : mapped_bytes_most_(mapped_bytes_most) {}
  HostDmaRegions(const HostDmaRegions&) = delete;
  HostDmaRegions& operator=(const HostDmaRegions&) = delete;
  ~HostDmaRegions() { unmap_all(); }

  struct Request {
    uint64_t address = 0;     // DMA address of the first byte; page-aligned
    uint64_t size_bytes = 0;  // multiple of the page size
    uint64_t fd_offset = 0;   // page-aligned
    bool readable = true;     // by the device
    bool writable = true;
  };

  // Maps a range; returns 0 or an errno value. A range without a valid descriptor is remembered, so that it is known
  // and can be unmapped, but the device cannot reach it: every DMA to it fails.
  //   EEXIST  overlaps a mapped range
  //   EINVAL  misaligned, empty or wrapping range; beyond the end of the file; no access; or a descriptor without
  //           F_SEAL_SHRINK: a file that its owner can cut short after the mapping would kill the simulator by SIGBUS
  //   ENOSPC  kMaxRegions ranges are mapped, or all mapped ranges together would be longer than mapped_bytes_most
  [[nodiscard]] int map(const Request& request, const UniqueFd& fd);
  // Exactly a range that was mapped, else ENOENT. No DMA touches the memory after return.
  [[nodiscard]] int unmap(uint64_t address, uint64_t size_bytes);
  void unmap_all();

  // Copies bytes from or to host memory. False, and nothing moved, if a byte of the range is not mapped with that
  // permission. write() stores aligned 64-bit words in ascending order with release semantics when the range is short
  // and aligned (R4: the phase bit is in an event's last word), and after all bytes of earlier calls (R3).
  [[nodiscard]] bool read(uint64_t address, void* out, size_t size_bytes) const;
  [[nodiscard]] bool write(uint64_t address, const void* data, size_t size_bytes);

  [[nodiscard]] size_t count() const { return regions_.size(); }

 private:
  struct Region {
    uint64_t size_bytes = 0;
    uint8_t* base = nullptr;  // nullptr: not reachable
    bool readable = false;
    bool writable = false;
  };
  // Where address is mapped, and how many bytes follow it in the same region; nullptr if it is not mapped.
  [[nodiscard]] uint8_t* find(uint64_t address, bool for_write, uint64_t& contiguous_bytes) const;
  [[nodiscard]] bool covered(uint64_t address, size_t size_bytes, bool for_write) const;

  const uint64_t mapped_bytes_most_;
  uint64_t mapped_bytes_ = 0;           // of regions that are reachable
  std::map<uint64_t, Region> regions_;  // by first address
};

}  // namespace postern::sim
