// Packets for the test of pst_tx_packet: headers with everything in them that the block looks at, and payload from a
// generator.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "hw_model/frame_parser.h"

namespace postern::rtl_test {

struct PacketShape {
  uint64_t source_mac = 0x0000'0605'0403'0202;  // byte 0 in bits 7..0
  std::vector<uint16_t> tags = {};              // ethertypes
  uint16_t ethertype = hw_model::kEthertypeIpv4;
  uint8_t version = 0;  // 0: as the ethertype says
  uint32_t ip_option_bytes = 0;
  uint32_t tcp_option_bytes = 0;
  uint8_t protocol = hw_model::kProtocolTcp;
  uint16_t fragment = 0;
  uint8_t tcp_flags = 0x18;
  uint32_t source_ip = 0x0a000001;
  uint8_t source_ipv6_last = 1;
  uint64_t arp_mac = 0x0000'0605'0403'0202;
  uint32_t payload_bytes = 0;
  int ip_length_offset = 0;  // added to the right IP length
  uint32_t trailer_bytes = 0;
};

class PacketBuilder {
 public:
  explicit PacketBuilder(uint32_t seed) : random_(seed) {}

  std::vector<uint8_t> build(const PacketShape& shape) {
    bytes_.clear();
    fill(6);
    address(shape.source_mac);
    for (const uint16_t tag : shape.tags) {
      be16(tag);
      fill(2);
    }
    be16(shape.ethertype);
    if (shape.ethertype == hw_model::kEthertypeIpv4) {
      ipv4(shape);
      transport(shape);
    } else if (shape.ethertype == hw_model::kEthertypeIpv6) {
      ipv6(shape);
      transport(shape);
    } else if (shape.ethertype == hw_model::kEthertypeArp) {
      fill(8);
      address(shape.arp_mac);
      be32(shape.source_ip);
      fill(10);
      fill(shape.payload_bytes);
    } else {
      fill(shape.payload_bytes);
    }
    fill(shape.trailer_bytes);
    return bytes_;
  }

  uint32_t below(uint32_t bound) { return std::uniform_int_distribution<uint32_t>(0, bound - 1)(random_); }
  bool one_in(uint32_t count) { return below(count) == 0; }

 private:
  void fill(uint32_t count) {
    while (count-- > 0) bytes_.push_back(static_cast<uint8_t>(random_()));
  }
  void be16(uint32_t value) {
    bytes_.push_back(static_cast<uint8_t>(value >> 8));
    bytes_.push_back(static_cast<uint8_t>(value));
  }
  void be32(uint32_t value) {
    be16(value >> 16);
    be16(value);
  }
  void address(uint64_t mac) {
    for (int i = 0; i < 6; ++i) bytes_.push_back(static_cast<uint8_t>(mac >> (8 * i)));
  }
  static uint32_t l4_bytes(const PacketShape& shape) {
    uint32_t header = 0;
    if (shape.protocol == hw_model::kProtocolTcp) header = 20 + shape.tcp_option_bytes;
    if (shape.protocol == hw_model::kProtocolUdp) header = 8;
    return header + shape.payload_bytes;
  }
  void ipv4(const PacketShape& shape) {
    const uint32_t header_bytes = 20 + shape.ip_option_bytes;
    bytes_.push_back(static_cast<uint8_t>((shape.version ? shape.version : 4) << 4 | header_bytes / 4));
    fill(1);
    be16(header_bytes + l4_bytes(shape) + static_cast<uint32_t>(shape.ip_length_offset));
    fill(2);
    be16(shape.fragment);
    fill(1);
    bytes_.push_back(shape.protocol);
    fill(2);
    be32(shape.source_ip);
    fill(4 + shape.ip_option_bytes);
  }
  void ipv6(const PacketShape& shape) {
    bytes_.push_back(static_cast<uint8_t>((shape.version ? shape.version : 6) << 4));
    fill(3);
    be16(l4_bytes(shape) + static_cast<uint32_t>(shape.ip_length_offset));
    bytes_.push_back(shape.protocol);
    fill(1);
    be32(0xfe800000);
    be32(0);
    be32(0);
    be32(shape.source_ipv6_last);
    fill(16);
  }
  void transport(const PacketShape& shape) {
    if (shape.protocol == hw_model::kProtocolTcp) {
      fill(12);
      bytes_.push_back(static_cast<uint8_t>((20 + shape.tcp_option_bytes) / 4 << 4));
      bytes_.push_back(shape.tcp_flags);
      fill(6 + shape.tcp_option_bytes);
    } else if (shape.protocol == hw_model::kProtocolUdp) {
      fill(8);
    }
    fill(shape.payload_bytes);
  }

  std::mt19937 random_;
  std::vector<uint8_t> bytes_;
};

}  // namespace postern::rtl_test
