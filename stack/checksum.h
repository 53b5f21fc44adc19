// The Internet checksum (RFC 1071), the stack's own implementation: the NIC model has another, each checks the other.
// Sums are kept as 64-bit accumulators of 32-bit little-endian words; the one's complement sum does not depend on byte
// order (RFC 1071 section 2 (B)), so results are written to memory as they are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace postern::stack {

// Adds size_bytes bytes to a running sum. Every call but the last must have an even size.
[[nodiscard]] inline uint64_t checksum_add(uint64_t sum, const void* data, size_t size_bytes) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  while (size_bytes >= 4) {
    uint32_t word;
    std::memcpy(&word, bytes, 4);
    sum += word;
    bytes += 4;
    size_bytes -= 4;
  }
  if (size_bytes >= 2) {
    uint16_t half;
    std::memcpy(&half, bytes, 2);
    sum += half;
    bytes += 2;
    size_bytes -= 2;
  }
  if (size_bytes != 0) sum += *bytes;
  return sum;
}

// Folds to 16 bits, without complement. A correct packet, its checksum field included, folds to 0xffff.
[[nodiscard]] inline uint16_t checksum_fold(uint64_t sum) {
  sum = (sum & 0xffffffffu) + (sum >> 32);
  sum = (sum & 0xffffu) + (sum >> 16);
  sum = (sum & 0xffffu) + (sum >> 16);
  sum = (sum & 0xffffu) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

// The value for a checksum field, as it lies in memory.
[[nodiscard]] inline uint16_t checksum_finish(uint64_t sum) { return static_cast<uint16_t>(~checksum_fold(sum)); }

}  // namespace postern::stack
