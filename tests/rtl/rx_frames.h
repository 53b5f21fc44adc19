// Frames for the tests of the receive blocks, and the layout of what pst_rx_parser tells pst_rx_filter (meta_t of
// rtl/pst_rx_parser_pkg.sv) as C++.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <vector>

#include "contract/gen/pst_contract.h"
#include "hw_model/checksum.h"
#include "hw_model/frame_parser.h"

namespace postern::rtl_test {

using FrameBytes = std::vector<uint8_t>;

// Bits [lsb, lsb + width) of what Verilator shows as 32-bit words; width at most 64.
template <typename Wide>
uint64_t get_bits(const Wide& wide, uint32_t lsb, uint32_t width) {
  uint64_t value = 0;
  for (uint32_t i = 0; i < width; ++i) {
    value |= uint64_t{wide[(lsb + i) / 32] >> ((lsb + i) % 32) & 1u} << i;
  }
  return value;
}
template <typename Wide>
void set_bits(Wide& wide, uint32_t lsb, uint32_t width, uint64_t value) {
  for (uint32_t i = 0; i < width; ++i) {
    const uint32_t bit = 1u << ((lsb + i) % 32);
    uint32_t word = wide[(lsb + i) / 32] & ~bit;
    if (value >> i & 1) word |= bit;
    wide[(lsb + i) / 32] = word;
  }
}

struct RxMeta {
  std::array<uint64_t, 2> remote_address{}, local_address{};
  uint64_t destination = 0, time_ns = 0;
  uint32_t remote_port = 0, local_port = 0, ip_protocol = 0, ethertype = 0, vlan_tci = 0, vlan_count = 0;
  uint32_t l4_class = 0, l3_class = 0, checksum_l4 = 0, checksum_l3 = 0, id = 0, bytes = 0, frame = 0;
  bool operator==(const RxMeta&) const = default;

  // Calls visit(field, lsb, width) for every field, lowest bit first.
  template <typename Meta, typename Visit>
  static void for_each_field(Meta& meta, Visit visit) {
    uint32_t lsb = 0;
    const auto next = [&](auto& field, uint32_t width) {
      visit(field, lsb, width);
      lsb += width;
    };
    for (auto& word : meta.remote_address) next(word, 64);
    for (auto& word : meta.local_address) next(word, 64);
    next(meta.destination, 48);
    next(meta.remote_port, 16);
    next(meta.local_port, 16);
    next(meta.ip_protocol, 8);
    next(meta.ethertype, 16);
    next(meta.vlan_tci, 16);
    next(meta.vlan_count, 2);
    next(meta.l4_class, 2);
    next(meta.l3_class, 2);
    next(meta.checksum_l4, 2);
    next(meta.checksum_l3, 2);
    next(meta.id, 16);
    next(meta.time_ns, 64);
    next(meta.bytes, 14);
    next(meta.frame, 12);
  }
  template <typename Wide>
  static RxMeta unpack(const Wide& wide) {
    RxMeta meta;
    for_each_field(meta, [&wide](auto& field, uint32_t lsb, uint32_t width) {
      field = static_cast<std::remove_reference_t<decltype(field)>>(get_bits(wide, lsb, width));
    });
    return meta;
  }
  template <typename Wide>
  void pack(Wide& wide) const {
    for_each_field(*this,
                   [&wide](const auto& field, uint32_t lsb, uint32_t width) { set_bits(wide, lsb, width, field); });
  }
};

// What the model finds in a good frame.
inline RxMeta meta_by_model(const FrameBytes& frame) {
  const hw_model::ParsedFrame parsed = hw_model::parse_frame(frame.data(), static_cast<uint32_t>(frame.size()));
  RxMeta meta;
  meta.bytes = static_cast<uint32_t>(frame.size());
  meta.destination = hw_model::load_address(frame.data(), 6);
  meta.ethertype = parsed.ethertype;
  meta.vlan_tci = parsed.vlan_tci;
  meta.vlan_count = parsed.vlan_count;
  meta.l3_class = parsed.l3_class;
  meta.l4_class = parsed.l4_class;
  meta.ip_protocol = parsed.ip_protocol;
  meta.remote_port = parsed.source_port;
  meta.local_port = parsed.destination_port;
  meta.checksum_l3 = hw_model::verify_l3(frame.data(), parsed);
  meta.checksum_l4 = hw_model::verify_l4(frame.data(), parsed);
  const uint8_t* ip = frame.data() + parsed.l3_offset;
  if (parsed.l3_class == PST_L3_CLASS_IPV4) {
    meta.remote_address[0] = hw_model::load_address(ip + 12, 4);
    meta.local_address[0] = hw_model::load_address(ip + 16, 4);
  } else if (parsed.l3_class == PST_L3_CLASS_IPV6) {
    for (size_t i = 0; i < 2; ++i) meta.remote_address[i] = hw_model::load_address(ip + 8 + 8 * i, 8);
    for (size_t i = 0; i < 2; ++i) meta.local_address[i] = hw_model::load_address(ip + 24 + 8 * i, 8);
  }
  return meta;
}

struct FramePlan {
  uint64_t destination = 0x563412005452;  // byte 0 in bits 7..0
  uint32_t tag_count = 0;
  uint16_t vlan_tci = 0x2005;
  uint16_t ethertype = hw_model::kEthertypeIpv4;
  uint8_t protocol = hw_model::kProtocolTcp;
  uint32_t ihl = 5;
  uint16_t fragment = 0;
  uint32_t ip_bytes = 0;  // by the IP header; 0: up to the frame's end
  uint16_t source_port = 1000, destination_port = 2000;
  bool checksums = true;
  uint32_t bytes = 100;
};

// A frame with random content where the plan says nothing; one too short for its headers is cut.
inline FrameBytes make_frame(const FramePlan& plan, std::mt19937& random) {
  FrameBytes frame(std::max(plan.bytes, 160u));
  for (auto& byte : frame) byte = static_cast<uint8_t>(random());
  for (uint32_t i = 0; i < 6; ++i) frame[i] = static_cast<uint8_t>(plan.destination >> (8 * i));
  uint32_t at = 12;
  for (uint32_t tag = 0; tag < plan.tag_count; ++tag, at += 4) {
    hw_model::store_be16(&frame[at],
                         tag == 0 && plan.tag_count > 1 ? hw_model::kEthertypeServiceVlan : hw_model::kEthertypeVlan);
    if (tag == 0) hw_model::store_be16(&frame[at + 2], plan.vlan_tci);
  }
  hw_model::store_be16(&frame[at], plan.ethertype);
  at += 2;
  uint8_t* ip = &frame[at];
  const uint32_t ip_bytes = plan.ip_bytes != 0 ? plan.ip_bytes : std::max(plan.bytes, at) - at;
  uint32_t header_bytes = 40;
  if (plan.ethertype == hw_model::kEthertypeIpv4) {
    header_bytes = 4 * plan.ihl;
    ip[0] = static_cast<uint8_t>(0x40 | plan.ihl);
    hw_model::store_be16(ip + 2, static_cast<uint16_t>(ip_bytes));
    hw_model::store_be16(ip + 6, plan.fragment);
    ip[9] = plan.protocol;
  } else if (plan.ethertype == hw_model::kEthertypeIpv6) {
    ip[0] = static_cast<uint8_t>(0x60 | (ip[0] & 0xf));
    hw_model::store_be16(ip + 4, static_cast<uint16_t>(ip_bytes > 40 ? ip_bytes - 40 : 0));
    ip[6] = plan.protocol;
  }
  hw_model::store_be16(ip + header_bytes, plan.source_port);
  hw_model::store_be16(ip + header_bytes + 2, plan.destination_port);
  frame.resize(plan.bytes);
  if (plan.checksums && plan.bytes >= 60) {
    const hw_model::ParsedFrame parsed = hw_model::parse_frame(frame.data(), plan.bytes);
    hw_model::insert_l3(frame.data(), parsed);
    hw_model::insert_l4(frame.data(), parsed);
  }
  return frame;
}

// Frames of every kind, many at the edges of what is one.
inline FrameBytes random_frame(std::mt19937& random, uint32_t bytes_max) {
  FramePlan plan;
  const std::array<uint64_t, 6> lengths = {60, 64, 65, 128, 60 + random() % 90, 60 + random() % (bytes_max - 59)};
  plan.bytes = static_cast<uint32_t>(lengths[random() % lengths.size()]);
  plan.tag_count = random() % 8 == 0 ? 3 : random() % 3;
  const std::array<uint16_t, 4> types = {hw_model::kEthertypeIpv4, hw_model::kEthertypeIpv6, hw_model::kEthertypeArp,
                                         0x88b5};
  plan.ethertype = types[random() % 8 / 2 % 3 + (random() % 8 == 0)];
  const std::array<uint8_t, 6> protocols = {6, 17, 17, 1, 58, 89};
  plan.protocol = protocols[random() % protocols.size()];
  plan.ihl = random() % 3 == 0 ? random() % 16 : 5;
  if (random() % 8 == 0) plan.fragment = static_cast<uint16_t>(random());
  if (random() % 4 == 0) plan.fragment = 0x4000;
  if (random() % 3 == 0) plan.ip_bytes = random() % (plan.bytes + 20);
  plan.source_port = static_cast<uint16_t>(random());
  plan.destination_port = static_cast<uint16_t>(random());
  FrameBytes frame = make_frame(plan, random);
  if (random() % 8 == 0) frame[12 + random() % (frame.size() - 12)] ^= static_cast<uint8_t>(1u << random() % 8);
  const uint32_t l4 =
      14 + 4 * std::min(plan.tag_count, 2u) + (plan.ethertype == hw_model::kEthertypeIpv4 ? 4 * plan.ihl : 40);
  if (plan.protocol == 17 && random() % 4 == 0 && l4 + 8 <= frame.size())
    frame[l4 + 6] = frame[l4 + 7] = 0;  // none sent
  return frame;
}

}  // namespace postern::rtl_test
