// What the tests of the transmit side share: a NIC with one VI (and a second NIC at the other end of the wire, if asked
// for), and packets for segmentation.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "tests/hw_model/nic_bench.h"

namespace postern::hw_model::test {

struct TxRig {
  // with_peer: a second NIC at the other end of the wire.
  explicit TxRig(const ViOptions& options = {}, bool with_peer = false) : a("a", kMacA) {
    if (with_peer) {
      b = std::make_unique<Node>("b", kMacB);
      b->enable_admin();
      a.peer = b.get();
    }
    a.enable_admin();
    vi = std::make_unique<TestVi>(a, 0, options);
  }
  pst_tx_desc desc(uint64_t address, uint32_t bytes, bool end) {
    pst_tx_desc d{};
    pst_tx_desc_set_address(&d, address);
    pst_tx_desc_set_length_bytes(&d, bytes);
    pst_tx_desc_set_end_of_packet(&d, end);
    return d;
  }
  void grant(unsigned family, uint64_t address) {
    pst_command c = make_command(PST_COMMAND_SOURCE_GRANT, vi->id);
    pst_source_grant_set_family(&c, family);
    pst_source_grant_set_address_lo(&c, address);
    EXPECT_EQ(a.status(c), PST_ERROR_CODE_OK);
  }
  // Sends, lets it finish and returns the index of the last completion.
  uint32_t send(const std::vector<uint8_t>& bytes) {
    vi->send(bytes);
    run_ns(10000);
    return last_completion();
  }
  uint32_t last_completion() {
    for (const auto& event : vi->events()) {
      if (pst_event_get_type(&event) != PST_EVENT_TYPE_TX) continue;
      const pst_tx_event tx{{event.word[0], event.word[1]}};
      completed = static_cast<uint32_t>(pst_tx_event_get_tx_consumer_idx(&tx));
    }
    vi->return_space();
    return completed;
  }
  void expect_error(unsigned code, uint32_t index) {
    run_ns(10000);
    const auto events = vi->events();
    ASSERT_FALSE(events.empty());
    const pst_error_event error{{events.back().word[0], events.back().word[1]}};
    EXPECT_EQ(pst_error_event_get_type(&error), PST_EVENT_TYPE_ERROR);
    EXPECT_EQ(pst_error_event_get_source(&error), PST_ERROR_SOURCE_TX);
    EXPECT_EQ(pst_error_event_get_code(&error), code);
    EXPECT_EQ(pst_error_event_get_index(&error), index);
  }
  FreshKernel kernel;
  Node a;
  std::unique_ptr<Node> b;
  std::unique_ptr<TestVi> vi;
  uint32_t completed = 0;
};

inline ViOptions checked() {
  ViOptions options;
  options.any_source = false;
  return options;
}

constexpr uint64_t kIpAWire = 0x0100090a;  // 10.9.0.1, byte 0 in bits 7..0

// A TCP packet over IPv4 for segmentation; its length and checksum fields hold nothing useful.
inline std::vector<uint8_t> tcp_packet(uint32_t payload_bytes) {
  UdpSpec spec;
  spec.protocol = 6;
  spec.checksums = false;
  spec.frame_bytes = 54 + payload_bytes;
  auto bytes = udp_frame(spec);
  bytes[46] = 0x50;
  bytes[47] = 0x18;
  return bytes;
}

struct SegmentRig : TxRig {
  using TxRig::TxRig;
  // Puts the packet into memory and queues it in fragments of fragment_bytes.
  void queue(const std::vector<uint8_t>& packet, uint32_t mss_bytes, uint32_t fragment_bytes, uint32_t vlan_tci = 0) {
    std::memcpy(a.memory.data() + vi->base + kTxBuffers, packet.data(), packet.size());
    pst_tx_option_desc option{};
    pst_tx_option_desc_set_type(&option, PST_TX_DESC_TYPE_OPTION);
    pst_tx_option_desc_set_mss_bytes(&option, mss_bytes);
    pst_tx_option_desc_set_vlan_insert(&option, vlan_tci != 0);
    pst_tx_option_desc_set_vlan_tci(&option, vlan_tci);
    vi->queue_desc({{option.word[0], option.word[1]}});
    for (uint32_t position = 0; position < packet.size(); position += fragment_bytes) {
      const auto left = static_cast<uint32_t>(packet.size() - position);
      pst_tx_desc d = desc(kTxBuffers + position, std::min(left, fragment_bytes), left <= fragment_bytes);
      if (position == 0) {
        pst_tx_desc_set_segment(&d, 1);
        pst_tx_desc_set_checksum_l3(&d, 1);
        pst_tx_desc_set_checksum_l4(&d, 1);
        pst_tx_desc_set_timestamp(&d, 1);
      }
      vi->queue_desc(d);
    }
  }
  // Payload of all frames that left, in order; the headers are headers_bytes long.
  std::vector<uint8_t> payload(size_t header_bytes) {
    std::vector<uint8_t> out;
    for (const auto& sent : a.wire) {
      const auto& bytes = sent.frame->bytes;
      const size_t end = 14 + (header_bytes - 54) + be16(&bytes[16 + header_bytes - 54]);  // without padding
      out.insert(out.end(), bytes.begin() + static_cast<std::ptrdiff_t>(header_bytes),
                 bytes.begin() + static_cast<std::ptrdiff_t>(end));
    }
    return out;
  }
  void set_mtu(uint32_t bytes, bool loopback = false) {
    pst_command c = make_command(PST_COMMAND_PORT_CONFIG);
    pst_port_config_set_mtu_bytes(&c, bytes);
    pst_port_config_set_loopback(&c, loopback);
    ASSERT_EQ(a.status(c), PST_ERROR_CODE_OK);
  }
  void expect_accounts() {
    EXPECT_EQ(a.counter("tx.packets") + a.counter("tx.extra_frames"),
              a.counter("tx.frames") + a.counter("tx.loopback") + a.drops_total("TX"));
  }
};

}  // namespace postern::hw_model::test
