// RSS: the published Microsoft verification vectors, contexts and their commands, spreading over the VIs of a domain.
#include "hw_model/rss.h"

#include <gtest/gtest.h>

#include "tests/hw_model/nic_bench.h"

namespace postern::hw_model::test {
namespace {

constexpr RssKey kKey{0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
                      0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
                      0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};
constexpr uint64_t kKeyAddress = kScratch;
constexpr uint64_t kTableAddress = kScratch + 0x100;

struct Vector4 {
  uint32_t source_ip, destination_ip;
  uint16_t source_port, destination_port;
  uint32_t hash_of_addresses, hash_with_ports;
};

constexpr uint32_t ip(uint32_t a, uint32_t b, uint32_t c, uint32_t d) { return a << 24 | b << 16 | c << 8 | d; }

constexpr Vector4 kIpv4Vectors[] = {
    {ip(66, 9, 149, 187), ip(161, 142, 100, 80), 2794, 1766, 0x323e8fc2, 0x51ccc178},
    {ip(199, 92, 111, 2), ip(65, 69, 140, 83), 14230, 4739, 0xd718262a, 0xc626b0ea},
    {ip(24, 19, 198, 95), ip(12, 22, 207, 184), 12898, 38024, 0xd2d0a5de, 0x5c2b394a},
    {ip(38, 27, 205, 30), ip(209, 142, 163, 6), 48228, 2217, 0x82989176, 0xafc7327f},
    {ip(153, 39, 163, 191), ip(202, 188, 127, 2), 44251, 1303, 0x5d1809c5, 0x10e828a2},
};

struct Vector6 {
  std::array<uint16_t, 8> source_ip, destination_ip;
  uint16_t source_port, destination_port;
  uint32_t hash_of_addresses, hash_with_ports;
};

constexpr Vector6 kIpv6Vectors[] = {
    {{0x3ffe, 0x2501, 0x200, 0x1fff, 0, 0, 0, 7},
     {0x3ffe, 0x2501, 0x200, 3, 0, 0, 0, 1},
     2794,
     1766,
     0x2cc18cd5,
     0x40207d3d},
    {{0x3ffe, 0x501, 8, 0, 0x260, 0x97ff, 0xfe40, 0xefab},
     {0xff02, 0, 0, 0, 0, 0, 0, 1},
     14230,
     4739,
     0x0f0c461c,
     0xdde51bbf},
    {{0x3ffe, 0x1900, 0x4545, 3, 0x200, 0xf8ff, 0xfe21, 0x67cf},
     {0xfe80, 0, 0, 0, 0x200, 0xf8ff, 0xfe21, 0x67cf},
     44251,
     38024,
     0x4b61e985,
     0x02d1feef},
};

void put16(std::vector<uint8_t>& bytes, size_t offset, uint16_t value) {
  bytes[offset] = static_cast<uint8_t>(value >> 8);
  bytes[offset + 1] = static_cast<uint8_t>(value);
}

std::vector<uint8_t> ipv4_frame(const Vector4& v, uint8_t protocol) {
  UdpSpec spec;
  spec.destination = kMacA;
  spec.source = kMacB;
  spec.source_ip = v.source_ip;
  spec.destination_ip = v.destination_ip;
  spec.source_port = v.source_port;
  spec.destination_port = v.destination_port;
  spec.frame_bytes = 80;
  spec.protocol = protocol;
  return udp_frame(spec);
}

std::vector<uint8_t> ipv6_frame(const Vector6& v, uint8_t next_header) {
  std::vector<uint8_t> frame(14 + 40 + 20);
  std::copy(kMacA.begin(), kMacA.end(), frame.begin());
  std::copy(kMacB.begin(), kMacB.end(), frame.begin() + 6);
  put16(frame, 12, 0x86dd);
  frame[14] = 0x60;
  put16(frame, 18, 20);
  frame[20] = next_header;
  for (size_t i = 0; i < 8; ++i) {
    put16(frame, 22 + 2 * i, v.source_ip[i]);
    put16(frame, 38 + 2 * i, v.destination_ip[i]);
  }
  put16(frame, 54, v.source_port);
  put16(frame, 56, v.destination_port);
  return frame;
}

// Two VIs of one domain behind one spreading filter on the port's address; a third VI in a domain of its own.
struct Rig {
  Rig() : a("a", kMacA) {
    a.enable_admin();
    ViOptions options;
    options.rx_prefix = true;
    first = std::make_unique<TestVi>(a, 0, options);
    const uint32_t pd = first->pd;
    second_id = add_vi(pd, 0x40000);
    other = std::make_unique<TestVi>(a, 1, options);
    const pst_admin_completion made = a.command(make_command(PST_COMMAND_RSS_ALLOC, pd));
    EXPECT_EQ(pst_admin_completion_get_status(&made), PST_ERROR_CODE_OK);
    context = static_cast<uint32_t>(pst_admin_completion_get_result(&made));
    std::copy(kKey.begin(), kKey.end(), &a.at<uint8_t>(kKeyAddress));
    fill_table(first->id);
    first->post_rx(64);
    run_ns(3000);
  }
  // A VI in the first one's area, its rings from offset on; posts 32 buffers.
  uint32_t add_vi(uint32_t pd, uint64_t offset) {
    pst_command c = make_command(PST_COMMAND_VI_ALLOC, pd);
    pst_vi_alloc_set_rx_ring_address(&c, offset);
    pst_vi_alloc_set_tx_ring_address(&c, offset + 0x1000);
    pst_vi_alloc_set_evq_address(&c, offset + 0x2000);
    pst_vi_alloc_set_rx_entries(&c, 128);
    pst_vi_alloc_set_tx_entries(&c, 128);
    pst_vi_alloc_set_evq_entries(&c, 128);
    pst_vi_alloc_set_rx_prefix(&c, 1);
    pst_vi_alloc_set_vector(&c, PST_VECTOR_NONE);
    const pst_admin_completion made = a.command(c);
    EXPECT_EQ(pst_admin_completion_get_status(&made), PST_ERROR_CODE_OK);
    const auto id = static_cast<uint32_t>(pst_admin_completion_get_result(&made));
    for (uint32_t i = 0; i < 32; ++i) {
      pst_rx_desc desc{};
      pst_rx_desc_set_address(&desc, 0x60000 + 2048 * i);
      pst_rx_desc_set_length_bytes(&desc, 2048);
      a.at<pst_rx_desc>(kViArea + offset + i * PST_RX_DESC_BYTES) = desc;
    }
    a.bar_write(PST_BAR_VI, uint64_t{id} * PST_VI_WINDOW_STRIDE + PST_VI_RX_DOORBELL_OFFSET, 32, 4);
    return id;
  }
  void fill_table(uint32_t vi_id) {
    for (uint32_t i = 0; i < PST_LIMIT_RSS_INDIRECTION_ENTRIES; ++i) entry(i) = static_cast<uint16_t>(vi_id);
  }
  uint16_t& entry(uint32_t i) { return a.at<uint16_t>(kTableAddress + 2 * i); }
  uint32_t configure(uint64_t key_address = kKeyAddress, uint64_t table_address = kTableAddress) {
    pst_command c = make_command(PST_COMMAND_RSS_CONFIGURE, context);
    pst_rss_configure_set_key_address(&c, key_address);
    pst_rss_configure_set_table_address(&c, table_address);
    return a.status(c);
  }
  uint32_t add_filter(uint32_t vi_id, uint32_t rss_context) {
    pst_command c = make_command(PST_COMMAND_FILTER_INSERT, vi_id);
    pst_filter_insert_set_match(&c, PST_FILTER_MATCH_MAC);
    pst_filter_insert_set_local_address_lo(&c, 0x0a00004e5002ull);
    pst_filter_insert_set_rss(&c, 1);
    pst_filter_insert_set_rss_context(&c, rss_context);
    const pst_admin_completion made = a.command(c);
    filter = static_cast<uint32_t>(pst_admin_completion_get_result(&made));
    return static_cast<uint32_t>(pst_admin_completion_get_status(&made));
  }
  uint64_t packets(uint32_t vi_id) const { return a.counter("vi" + std::to_string(vi_id) + ".rx_packets"); }
  // The prefix of a frame that the first VI receives.
  pst_rx_prefix prefix_of(const std::vector<uint8_t>& bytes) {
    arrive(a, bytes);
    run_ns(3000);
    pst_rx_prefix prefix{};
    EXPECT_TRUE(first->next_event());
    std::memcpy(&prefix, first->rx_buffer(next_buffer++), sizeof prefix);
    return prefix;
  }
  void expect_hash(const std::vector<uint8_t>& bytes, uint32_t hash) {
    const pst_rx_prefix prefix = prefix_of(bytes);
    EXPECT_EQ(pst_rx_prefix_get_rss_valid(&prefix), 1u);
    EXPECT_EQ(pst_rx_prefix_get_rss_hash(&prefix), hash);
  }
  FreshKernel kernel;
  Node a;
  std::unique_ptr<TestVi> first, other;
  uint32_t second_id = 0, context = 0, filter = 0, next_buffer = 0;
};

TEST(RssTest, ToeplitzHashMatchesThePublishedVectorsForIpv4) {
  for (const Vector4& v : kIpv4Vectors) {
    std::vector<uint8_t> input(12);
    put16(input, 0, static_cast<uint16_t>(v.source_ip >> 16));
    put16(input, 2, static_cast<uint16_t>(v.source_ip));
    put16(input, 4, static_cast<uint16_t>(v.destination_ip >> 16));
    put16(input, 6, static_cast<uint16_t>(v.destination_ip));
    put16(input, 8, v.source_port);
    put16(input, 10, v.destination_port);
    EXPECT_EQ(toeplitz_hash(kKey, input.data(), 8), v.hash_of_addresses);
    EXPECT_EQ(toeplitz_hash(kKey, input.data(), 12), v.hash_with_ports);
  }
}

TEST(RssTest, PrefixCarriesThePublishedHashesForIpv4) {
  Rig rig;
  ASSERT_EQ(rig.configure(), PST_ERROR_CODE_OK);
  ASSERT_EQ(rig.add_filter(rig.first->id, rig.context), PST_ERROR_CODE_OK);
  for (const Vector4& v : kIpv4Vectors) {
    rig.expect_hash(ipv4_frame(v, 6), v.hash_with_ports);
    rig.expect_hash(ipv4_frame(v, 17), v.hash_with_ports);
    rig.expect_hash(ipv4_frame(v, 47), v.hash_of_addresses);  // neither TCP nor UDP
    auto fragment = ipv4_frame(v, 17);
    fragment[20] = 0x20;  // more fragments
    rig.expect_hash(fragment, v.hash_of_addresses);
  }
}

TEST(RssTest, PrefixCarriesThePublishedHashesForIpv6) {
  Rig rig;
  ASSERT_EQ(rig.configure(), PST_ERROR_CODE_OK);
  ASSERT_EQ(rig.add_filter(rig.first->id, rig.context), PST_ERROR_CODE_OK);
  for (const Vector6& v : kIpv6Vectors) {
    rig.expect_hash(ipv6_frame(v, 6), v.hash_with_ports);
    rig.expect_hash(ipv6_frame(v, 17), v.hash_with_ports);
    rig.expect_hash(ipv6_frame(v, 59), v.hash_of_addresses);
  }
}

TEST(RssTest, WhatIsNotIpGoesToTheTargetWithoutAHash) {
  Rig rig;
  rig.fill_table(rig.second_id);
  ASSERT_EQ(rig.configure(), PST_ERROR_CODE_OK);
  ASSERT_EQ(rig.add_filter(rig.first->id, rig.context), PST_ERROR_CODE_OK);
  auto arp = arp_frame(kMacB, kIpB, kIpA);
  std::copy(kMacA.begin(), kMacA.end(), arp.begin());
  const pst_rx_prefix prefix = rig.prefix_of(arp);
  EXPECT_EQ(pst_rx_prefix_get_rss_valid(&prefix), 0u);
  EXPECT_EQ(pst_rx_prefix_get_rss_hash(&prefix), 0u);
}

TEST(RssTest, LowBitsOfTheHashChooseTheEntry) {
  Rig rig;
  rig.entry(kIpv4Vectors[0].hash_with_ports & 127) = static_cast<uint16_t>(rig.second_id);
  ASSERT_EQ(rig.configure(), PST_ERROR_CODE_OK);
  ASSERT_EQ(rig.add_filter(rig.first->id, rig.context), PST_ERROR_CODE_OK);
  for (const Vector4& v : kIpv4Vectors) arrive(rig.a, ipv4_frame(v, 17));
  run_ns(5000);
  EXPECT_EQ(rig.packets(rig.second_id), 1u);
  EXPECT_EQ(rig.packets(rig.first->id), 4u);
}

TEST(RssTest, WhatFallsToAViThatIsGoneGoesToTheTarget) {
  Rig rig;
  rig.fill_table(rig.second_id);
  ASSERT_EQ(rig.configure(), PST_ERROR_CODE_OK);
  ASSERT_EQ(rig.add_filter(rig.first->id, rig.context), PST_ERROR_CODE_OK);
  ASSERT_EQ(rig.a.status(make_command(PST_COMMAND_VI_FREE, rig.second_id)), PST_ERROR_CODE_OK);
  rig.expect_hash(ipv4_frame(kIpv4Vectors[0], 17), kIpv4Vectors[0].hash_with_ports);
  // A new VI of the same number did not ask for it.
  EXPECT_EQ(rig.add_vi(rig.other->pd, 0x40000), rig.second_id);
  rig.expect_hash(ipv4_frame(kIpv4Vectors[1], 17), kIpv4Vectors[1].hash_with_ports);
}

TEST(RssTest, ContextBeforeItsConfigurationSendsAllToTheTarget) {
  Rig rig;
  ASSERT_EQ(rig.add_filter(rig.first->id, rig.context), PST_ERROR_CODE_OK);
  const pst_rx_prefix prefix = rig.prefix_of(ipv4_frame(kIpv4Vectors[0], 17));
  EXPECT_EQ(pst_rx_prefix_get_rss_valid(&prefix), 0u);
}

TEST(RssTest, ErrorsLeaveTheContextAsItWas) {
  Rig rig;
  ASSERT_EQ(rig.configure(), PST_ERROR_CODE_OK);
  ASSERT_EQ(rig.add_filter(rig.first->id, rig.context), PST_ERROR_CODE_OK);
  rig.a.at<uint8_t>(kKeyAddress) ^= 0xff;  // none of what follows may take this key
  EXPECT_EQ(rig.configure(kKeyAddress + 4), PST_ERROR_CODE_BAD_PARAMETER);
  EXPECT_EQ(rig.configure(kKeyAddress, kTableAddress + 2), PST_ERROR_CODE_BAD_PARAMETER);
  EXPECT_EQ(rig.configure(0x4000'0000), PST_ERROR_CODE_DMA_FAULT);
  EXPECT_EQ(rig.configure(kKeyAddress, 0x4000'0000), PST_ERROR_CODE_DMA_FAULT);
  rig.entry(127) = static_cast<uint16_t>(rig.other->id);  // of another domain
  EXPECT_EQ(rig.configure(), PST_ERROR_CODE_BAD_PARAMETER);
  rig.entry(127) = 999;
  EXPECT_EQ(rig.configure(), PST_ERROR_CODE_NOT_FOUND);
  rig.expect_hash(ipv4_frame(kIpv4Vectors[0], 17), kIpv4Vectors[0].hash_with_ports);
}

TEST(RssTest, ConfigurationCompletesWhenKeyAndTableHaveBeenRead) {
  Rig rig;
  rig.a.record_dma = true;
  ASSERT_EQ(rig.configure(), PST_ERROR_CODE_OK);
  std::vector<uint64_t> order;
  for (const DmaAccess& access : rig.a.dma) {
    if (access.address >= kAdminCq) order.push_back(access.address);
  }
  ASSERT_EQ(order.size(), 3u);
  EXPECT_EQ(order[0], kKeyAddress);
  EXPECT_EQ(order[1], kTableAddress);
  EXPECT_LT(order[2], kScratch);  // the completion
}

TEST(RssTest, ContextIsInUseWhileAFilterOrNothingButItsDomainHoldsIt) {
  Rig rig;
  EXPECT_EQ(rig.add_filter(rig.first->id, rig.context + 1), PST_ERROR_CODE_NOT_FOUND);
  EXPECT_EQ(rig.add_filter(rig.other->id, rig.context), PST_ERROR_CODE_BAD_PARAMETER);
  ASSERT_EQ(rig.add_filter(rig.first->id, rig.context), PST_ERROR_CODE_OK);
  const pst_command free_context = make_command(PST_COMMAND_RSS_FREE, rig.context);
  EXPECT_EQ(rig.a.status(free_context), PST_ERROR_CODE_IN_USE);
  ASSERT_EQ(rig.a.status(make_command(PST_COMMAND_VI_FREE, rig.second_id)), PST_ERROR_CODE_OK);
  ASSERT_EQ(rig.a.status(make_command(PST_COMMAND_VI_FREE, rig.first->id)), PST_ERROR_CODE_OK);  // takes the filter
  EXPECT_EQ(rig.a.status(make_command(PST_COMMAND_PD_FREE, rig.first->pd)), PST_ERROR_CODE_IN_USE);
  EXPECT_EQ(rig.a.status(free_context), PST_ERROR_CODE_OK);
  EXPECT_EQ(rig.a.status(free_context), PST_ERROR_CODE_NOT_FOUND);
  EXPECT_EQ(rig.configure(), PST_ERROR_CODE_NOT_FOUND);
  EXPECT_EQ(rig.a.status(make_command(PST_COMMAND_PD_FREE, rig.first->pd)), PST_ERROR_CODE_OK);
  EXPECT_EQ(rig.a.status(make_command(PST_COMMAND_RSS_ALLOC, rig.first->pd)), PST_ERROR_CODE_NOT_FOUND);
}

TEST(RssTest, ContextsRunOutAtTheContractsLimitAndAResetFreesThem) {
  Rig rig;
  const pst_command allocate = make_command(PST_COMMAND_RSS_ALLOC, rig.first->pd);
  for (uint32_t i = 1; i < PST_LIMIT_RSS_CONTEXT_COUNT_MAX; ++i) ASSERT_EQ(rig.a.status(allocate), PST_ERROR_CODE_OK);
  EXPECT_EQ(rig.a.status(allocate), PST_ERROR_CODE_NO_RESOURCE);
  rig.a.device().function_reset();
  run_ns(20000);
  rig.a.enable_admin();
  EXPECT_EQ(rig.a.status(make_command(PST_COMMAND_RSS_FREE, rig.context)), PST_ERROR_CODE_NOT_FOUND);
}

}  // namespace
}  // namespace postern::hw_model::test
