// What passes through pst_pcie_link, as its bench keeps it: writes, reads, accesses of the host.
#pragma once

#include <cstdint>
#include <vector>

namespace postern::rtl_test {

struct LinkWrite {
  enum class Kind : uint8_t { kPayload = 0, kEvent = 1, kMessage = 2 };
  Kind kind = Kind::kPayload;
  uint32_t vi = 0, id = 0, bytes = 0;
  uint64_t address = 0;  // as the writer names it: an event's is in its domain
  std::vector<uint8_t> data;
  uint32_t lane = 0;                             // of the first byte of a payload
  uint64_t begun_cycle = 0, accepted_cycle = 0;  // its first beat was accepted, its last one
  bool operator==(const LinkWrite&) const = default;
};

struct LinkRead {
  bool is_fetch = false;
  uint32_t vi = 0, rx = 0, tag = 0, bytes = 0, lane = 0;
  uint64_t address = 0;                   // as the reader names it
  uint32_t fail_at = ~0u, fail_code = 0;  // the beat that brings an error instead
  uint64_t accepted_cycle = 0;
  bool answered = false;
  // The hard block's view.
  uint32_t sent_bytes = 0, beats = 0, dr_tag = 0;
};

struct HostAccess {
  bool write = true;
  uint32_t bar = 2, offset = 0, bytes = 4;
  std::vector<uint8_t> data;
  bool operator==(const HostAccess&) const = default;
};

}  // namespace postern::rtl_test
