// The rows of the hash, turned into what each value of each byte of a key adds to the slot. See filter_hash.h.
#include "hw_model/filter_hash.h"

#include <tuple>

namespace postern::hw_model {

namespace {

constexpr unsigned kSlotBits = 13;
static_assert(kFilterSlots == 1u << kSlotBits);
constexpr unsigned kKeyWords = std::tuple_size_v<FilterKey>;
constexpr unsigned kKeyBytes = 8 * kKeyWords;

// The next number of SplitMix64.
constexpr uint64_t next_number(uint64_t& state) {
  state += 0x9e3779b97f4a7c15ull;
  uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

using ByteTables = std::array<std::array<uint16_t, 256>, kKeyBytes>;

constexpr ByteTables make_tables() {
  ByteTables tables{};
  uint64_t state = 0;
  for (unsigned row = 0; row < kSlotBits; ++row) {
    for (unsigned word = 0; word < kKeyWords; ++word) {
      const uint64_t selected = next_number(state);
      for (unsigned bit = 0; bit < 64; ++bit) {
        if ((selected >> bit & 1) != 0) tables[word * 8 + bit / 8][1u << bit % 8] |= static_cast<uint16_t>(1u << row);
      }
    }
  }
  for (auto& table : tables) {
    for (unsigned value = 1; value < 256; ++value) {
      const unsigned without_lowest = value & (value - 1);
      table[value] = static_cast<uint16_t>(table[without_lowest] ^ table[value ^ without_lowest]);
    }
  }
  return tables;
}

constexpr ByteTables kTables = make_tables();

}  // namespace

uint32_t filter_hash(const FilterKey& key) {
  uint32_t slot = 0;
  for (unsigned word = 0; word < kKeyWords; ++word) {
    unsigned place = word * 8;
    for (uint64_t left = key[word]; left != 0; left >>= 8) slot ^= kTables[place++][left & 0xff];
  }
  return slot;
}

}  // namespace postern::hw_model
