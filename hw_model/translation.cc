// Range tables of the protection domains. See translation.h.
#include "hw_model/translation.h"

#include <algorithm>

#include "hw_model/rss.h"
#include "hw_model/vi_table.h"

namespace postern::hw_model {

namespace {
bool page_aligned(uint64_t value) { return value % PST_LIMIT_PAGE_BYTES == 0; }
}  // namespace

uint32_t Translation::allocate(uint32_t& pd) {
  const auto free_domain = std::find_if(domains_.begin(), domains_.end(), [](const Domain& d) { return !d.used; });
  if (free_domain == domains_.end() && domains_.size() == PST_LIMIT_PD_COUNT_MAX) return PST_ERROR_CODE_NO_RESOURCE;
  pd = static_cast<uint32_t>(free_domain - domains_.begin());
  if (free_domain == domains_.end()) domains_.emplace_back();
  domains_[pd].used = true;
  return PST_ERROR_CODE_OK;
}

uint32_t Translation::free(uint32_t pd) {
  if (!exists(pd)) return PST_ERROR_CODE_NOT_FOUND;
  if (nic_.vi_table->domain_in_use(pd) || nic_.rss->domain_in_use(pd)) return PST_ERROR_CODE_IN_USE;
  domains_[pd] = Domain();
  return PST_ERROR_CODE_OK;
}

uint32_t Translation::map(uint32_t pd, uint64_t domain_address, uint64_t host_address, uint64_t bytes, bool writable) {
  if (!exists(pd)) return PST_ERROR_CODE_NOT_FOUND;
  if (!page_aligned(domain_address) || !page_aligned(host_address) || !page_aligned(bytes) || bytes == 0 ||
      domain_address + bytes < domain_address || host_address + bytes < host_address) {
    return PST_ERROR_CODE_BAD_PARAMETER;
  }
  std::vector<Range>& ranges = domains_[pd].ranges;
  for (const Range& range : ranges) {
    if (domain_address < range.domain_address + range.bytes && range.domain_address < domain_address + bytes) {
      return PST_ERROR_CODE_EXISTS;
    }
  }
  if (ranges.size() == PST_LIMIT_TRANSLATION_RANGES_MAX) return PST_ERROR_CODE_NO_RESOURCE;
  const auto position =
      std::find_if(ranges.begin(), ranges.end(), [&](const Range& r) { return r.domain_address > domain_address; });
  ranges.insert(position, {domain_address, bytes, host_address, writable});
  return PST_ERROR_CODE_OK;
}

uint32_t Translation::unmap(uint32_t pd, uint64_t domain_address) {
  if (!exists(pd)) return PST_ERROR_CODE_NOT_FOUND;
  std::vector<Range>& ranges = domains_[pd].ranges;
  const auto range =
      std::find_if(ranges.begin(), ranges.end(), [&](const Range& r) { return r.domain_address == domain_address; });
  if (range == ranges.end()) return PST_ERROR_CODE_NOT_FOUND;
  ranges.erase(range);
  return PST_ERROR_CODE_OK;
}

const Translation::Range* Translation::find(const Domain& domain, uint64_t domain_address) {
  for (const Range& range : domain.ranges) {  // nearly always one range
    if (domain_address >= range.domain_address && domain_address - range.domain_address < range.bytes) return &range;
  }
  return nullptr;
}

bool Translation::translate(uint32_t pd, uint64_t domain_address, uint64_t bytes, bool write,
                            std::vector<DmaSegment>& segments) {
  const size_t size_before = segments.size();
  if (!exists(pd) || domain_address + bytes < domain_address) return false;
  const Domain& domain = domains_[pd];
  while (bytes > 0) {
    const Range* range = find(domain, domain_address);
    if (range == nullptr || (write && !range->writable)) {
      segments.resize(size_before);
      return false;
    }
    const uint64_t offset = domain_address - range->domain_address;
    const uint64_t here = std::min(bytes, range->bytes - offset);
    DmaSegment& segment = segments.emplace_back();  // filled in place: a copy would wait for the stores before it
    segment.host_address = range->host_address + offset;
    segment.bytes = static_cast<uint32_t>(here);
    domain_address += here;
    bytes -= here;
  }
  return true;
}

}  // namespace postern::hw_model
