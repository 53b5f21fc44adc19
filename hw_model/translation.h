// Protection domains: which domain addresses a VI may reach by DMA, and where they are in host memory (R8). Hides the
// sorted range tables.
#pragma once

#include <cstdint>
#include <vector>

#include "contract/gen/pst_contract.h"
#include "hw_model/nic_blocks.h"

namespace postern::hw_model {

struct DmaSegment {
  uint64_t host_address = 0;
  uint32_t bytes = 0;
};

class Translation {
 public:
  explicit Translation(NicBlocks& nic) : nic_(nic) {}
  void reset() { domains_.clear(); }

  // Admin commands; each returns an ERROR_CODE.
  uint32_t allocate(uint32_t& pd);
  uint32_t free(uint32_t pd);
  uint32_t map(uint32_t pd, uint64_t domain_address, uint64_t host_address, uint64_t bytes, bool writable);
  uint32_t unmap(uint32_t pd, uint64_t domain_address);
  [[nodiscard]] bool exists(uint32_t pd) const { return pd < domains_.size() && domains_[pd].used; }

  struct Range {
    uint64_t domain_address;
    uint64_t bytes;
    uint64_t host_address;
    bool writable;
  };
  // Of an existing domain, sorted by domain address, disjoint.
  [[nodiscard]] const std::vector<Range>& ranges(uint32_t pd) const { return domains_[pd].ranges; }

  // Appends the host segments of a domain range. False, and nothing appended, if any byte is not mapped (or not
  // writable).
  bool translate(uint32_t pd, uint64_t domain_address, uint64_t bytes, bool write, std::vector<DmaSegment>& segments);

 private:
  struct Domain {
    bool used = false;
    std::vector<Range> ranges;  // sorted by domain address, disjoint
  };
  static const Range* find(const Domain& domain, uint64_t domain_address);

  NicBlocks& nic_;
  std::vector<Domain> domains_;
};

}  // namespace postern::hw_model
