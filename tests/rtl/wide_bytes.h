// Bytes in and out of ports wider than 64 bits; byte 0 is in bits 7..0.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace postern::rtl_test {

static_assert(std::endian::native == std::endian::little, "Verilator's words are copied as they lie");

constexpr uint32_t kBeatBytes = 64;

// Bytes beyond those given become filler, which nobody may look at.
template <class Words>
void put_bytes(Words& words, std::span<const uint8_t> bytes, uint32_t lane = 0) {
  std::memset(words.data(), 0xa5, sizeof words);
  std::memcpy(reinterpret_cast<uint8_t*>(words.data()) + lane, bytes.data(), bytes.size());
}

template <class Words>
[[nodiscard]] std::vector<uint8_t> get_bytes(const Words& words, uint32_t count, uint32_t lane = 0) {
  const auto* first = reinterpret_cast<const uint8_t*>(words.data()) + lane;
  return {first, first + count};
}

}  // namespace postern::rtl_test
