// A network-layer address of a host, in network byte order. Hides how many of the 16 bytes a family uses.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>

namespace postern {

struct HostAddress {
  enum class Family : uint8_t { kNone = 0, kIpv4 = 4, kIpv6 = 6 };
  Family family = Family::kNone;
  std::array<uint8_t, 16> bytes{};

  static HostAddress ipv4(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
    HostAddress address;
    address.family = Family::kIpv4;
    address.bytes = {a, b, c, d};
    return address;
  }

  // 0.0.0.0 or ::
  [[nodiscard]] bool is_any() const { return bytes == std::array<uint8_t, 16>{}; }
  // First and last 8 bytes as the contract wants them: byte 0 of the address is bits 7..0.
  [[nodiscard]] uint64_t low_word() const {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data(), sizeof word);
    return word;
  }
  [[nodiscard]] uint64_t high_word() const {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + 8, sizeof word);
    return word;
  }
  [[nodiscard]] std::string text() const;  // "10.9.0.1"

  friend bool operator==(const HostAddress& a, const HostAddress& b) {
    return a.family == b.family && a.bytes == b.bytes;
  }
  friend bool operator<(const HostAddress& a, const HostAddress& b) {
    return a.family != b.family ? a.family < b.family : a.bytes < b.bytes;
  }
};

}  // namespace postern
