// Lookup, checks and copies for host memory that the device reaches by DMA.
#include "sim/host_dma_regions.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

namespace postern::sim {
namespace {

constexpr size_t kOrderedStoreBytes = 512;  // up to here a write is stored word by word: events, completions, prefixes

// 0 if the file behind fd cannot shrink below the end of the range, else an errno value.
int check_backing(int fd, uint64_t fd_offset, uint64_t size_bytes) {
  const int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) return EINVAL;
  struct stat status {};
  if (fstat(fd, &status) != 0) return errno;
  const auto file_bytes = static_cast<uint64_t>(status.st_size);
  return fd_offset <= file_bytes && size_bytes <= file_bytes - fd_offset ? 0 : EINVAL;
}

void store_words(uint8_t* to, const uint8_t* from, size_t size_bytes) {
  for (size_t at = 0; at < size_bytes; at += sizeof(uint64_t)) {
    uint64_t word = 0;
    std::memcpy(&word, from + at, sizeof(word));
    __atomic_store_n(reinterpret_cast<uint64_t*>(to + at), word, __ATOMIC_RELEASE);
  }
}

}  // namespace

int HostDmaRegions::map(const Request& request, const UniqueFd& fd) {
  const uint64_t end = request.address + request.size_bytes;
  if (request.size_bytes == 0 || end < request.address) return EINVAL;
  if ((request.address | request.size_bytes | request.fd_offset) % kPageBytes != 0) return EINVAL;
  if (request.fd_offset > static_cast<uint64_t>(std::numeric_limits<off_t>::max())) return EINVAL;
  if (!request.readable && !request.writable) return EINVAL;
  const auto next = regions_.lower_bound(request.address);
  if (next != regions_.end() && next->first < end) return EEXIST;
  if (next != regions_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second.size_bytes > request.address) return EEXIST;
  }
  if (regions_.size() >= kMaxRegions) return ENOSPC;

  Region region{request.size_bytes, nullptr, request.readable, request.writable};
  if (fd.valid()) {
    const int error = check_backing(fd.get(), request.fd_offset, request.size_bytes);
    if (error != 0) return error;
    if (request.size_bytes > mapped_bytes_most_ - mapped_bytes_) return ENOSPC;
    const int protection = PROT_READ | (request.writable ? PROT_WRITE : 0);
    void* base =
        mmap(nullptr, request.size_bytes, protection, MAP_SHARED, fd.get(), static_cast<off_t>(request.fd_offset));
    if (base == MAP_FAILED) return errno == ENOMEM ? ENOMEM : EINVAL;
    region.base = static_cast<uint8_t*>(base);
    mapped_bytes_ += request.size_bytes;
  }
  regions_.emplace(request.address, region);
  return 0;
}

int HostDmaRegions::unmap(uint64_t address, uint64_t size_bytes) {
  const auto found = regions_.find(address);
  if (found == regions_.end() || found->second.size_bytes != size_bytes) return ENOENT;
  if (found->second.base != nullptr) {
    munmap(found->second.base, found->second.size_bytes);
    mapped_bytes_ -= found->second.size_bytes;
  }
  regions_.erase(found);
  return 0;
}

void HostDmaRegions::unmap_all() {
  for (const auto& entry : regions_) {
    if (entry.second.base != nullptr) munmap(entry.second.base, entry.second.size_bytes);
  }
  regions_.clear();
  mapped_bytes_ = 0;
}

uint8_t* HostDmaRegions::find(uint64_t address, bool for_write, uint64_t& contiguous_bytes) const {
  auto after = regions_.upper_bound(address);
  if (after == regions_.begin()) return nullptr;
  const auto& [first, region] = *std::prev(after);
  const uint64_t offset = address - first;
  if (offset >= region.size_bytes || region.base == nullptr) return nullptr;
  if (for_write ? !region.writable : !region.readable) return nullptr;
  contiguous_bytes = region.size_bytes - offset;
  return region.base + offset;
}

bool HostDmaRegions::covered(uint64_t address, size_t size_bytes, bool for_write) const {
  while (size_bytes > 0) {
    uint64_t contiguous_bytes = 0;
    if (find(address, for_write, contiguous_bytes) == nullptr) return false;
    const auto step = static_cast<size_t>(std::min<uint64_t>(contiguous_bytes, size_bytes));
    address += step;
    size_bytes -= step;
  }
  return true;
}

bool HostDmaRegions::read(uint64_t address, void* out, size_t size_bytes) const {
  uint64_t contiguous_bytes = 0;
  const uint8_t* from = find(address, false, contiguous_bytes);
  if (from != nullptr && contiguous_bytes >= size_bytes) {
    std::memcpy(out, from, size_bytes);
    return true;
  }
  if (!covered(address, size_bytes, false)) return false;
  auto* to = static_cast<uint8_t*>(out);
  while (size_bytes > 0) {
    from = find(address, false, contiguous_bytes);
    const auto step = static_cast<size_t>(std::min<uint64_t>(contiguous_bytes, size_bytes));
    std::memcpy(to, from, step);
    address += step;
    to += step;
    size_bytes -= step;
  }
  return true;
}

bool HostDmaRegions::write(uint64_t address, const void* data, size_t size_bytes) {
  if (!covered(address, size_bytes, true)) return false;
  const auto* from = static_cast<const uint8_t*>(data);
  while (size_bytes > 0) {
    uint64_t contiguous_bytes = 0;
    uint8_t* to = find(address, true, contiguous_bytes);
    const auto step = static_cast<size_t>(std::min<uint64_t>(contiguous_bytes, size_bytes));
    if (step <= kOrderedStoreBytes && step % sizeof(uint64_t) == 0 && address % sizeof(uint64_t) == 0) {
      store_words(to, from, step);
    } else {
      std::memcpy(to, from, step);
    }
    address += step;
    from += step;
    size_bytes -= step;
  }
  return true;
}

}  // namespace postern::sim
