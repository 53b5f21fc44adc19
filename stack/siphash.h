// SipHash-2-4 (Aumasson and Bernstein, 2012) of a few 64-bit words: a keyed hash for initial sequence numbers
// (RFC 6528) and hash tables that a peer must not be able to steer.
#pragma once

#include <bit>
#include <cstdint>
#include <initializer_list>

namespace postern::stack {

struct SipKey {
  uint64_t k0 = 0;
  uint64_t k1 = 0;
};

[[nodiscard]] inline uint64_t siphash(const SipKey& key, std::initializer_list<uint64_t> words) {
  uint64_t v0 = key.k0 ^ 0x736f6d6570736575u;
  uint64_t v1 = key.k1 ^ 0x646f72616e646f6du;
  uint64_t v2 = key.k0 ^ 0x6c7967656e657261u;
  uint64_t v3 = key.k1 ^ 0x7465646279746573u;
  const auto round = [&] {
    v0 += v1;
    v2 += v3;
    v1 = std::rotl(v1, 13) ^ v0;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 = std::rotl(v0, 32);
    v2 += v1;
    v0 += v3;
    v1 = std::rotl(v1, 17) ^ v2;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 = std::rotl(v2, 32);
  };
  for (const uint64_t word : words) {
    v3 ^= word;
    round();
    round();
    v0 ^= word;
  }
  const uint64_t last = static_cast<uint64_t>(words.size() * 8) << 56;
  v3 ^= last;
  round();
  round();
  v0 ^= last;
  v2 ^= 0xff;
  for (int i = 0; i < 4; ++i) round();
  return v0 ^ v1 ^ v2 ^ v3;
}

}  // namespace postern::stack
