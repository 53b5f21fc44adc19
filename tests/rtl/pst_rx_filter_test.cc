// pst_rx_filter with pst_rss under Verilator: kinds in the contract's order, chains, sniffers, the probe limit, RSS;
// and random frames between random commands against the reference of rx_filter_bench.
#include <gtest/gtest.h>

#include "tests/rtl/rx_filter_bench.h"

namespace postern::rtl_test {
namespace {

constexpr uint32_t kAllKinds = 0xff;
constexpr uint32_t kCyclesPerSmallFrame = 16;  // 64 bytes at 10 Gb/s and 250 MHz

RxMeta tcp_frame(uint32_t id = 1) {
  RxMeta frame;
  frame.id = id;
  frame.frame = 100 + id;
  frame.bytes = 100;
  frame.time_ns = 5000 + id;
  frame.destination = RxFilterBench::kMacAddress;
  frame.ethertype = hw_model::kEthertypeIpv4;
  frame.l3_class = PST_L3_CLASS_IPV4;
  frame.l4_class = PST_L4_CLASS_TCP;
  frame.ip_protocol = hw_model::kProtocolTcp;
  frame.remote_address[0] = 0x0100000a;
  frame.local_address[0] = 0x0200000a;
  frame.remote_port = 4000;
  frame.local_port = 80;
  return frame;
}

uint32_t vi_of_last(const RxFilterBench& bench) { return bench.copies.empty() ? ~0u : bench.copies.back().vi; }

TEST(PstRxFilterTest, TheFirstKindInTheContractsOrderTakesTheFrame) {
  RxFilterBench bench;
  RxMeta frame = tcp_frame();
  frame.vlan_count = 1;
  frame.vlan_tci = 0x3007;
  bench.set_kinds(kAllKinds);
  for (uint32_t kind = 0; kind <= PST_FILTER_MATCH_MAC_VLAN; ++kind) bench.insert(key_of(kind, frame), kind, 10 + kind);
  bench.settle();
  for (uint32_t kind = 0; kind <= PST_FILTER_MATCH_MAC_VLAN; ++kind) {
    bench.frames.push_back(frame);
    bench.settle();
    EXPECT_EQ(vi_of_last(bench), 10 + kind);
    bench.remove(key_of(kind, frame));
    bench.settle();
  }
  bench.frames.push_back(frame);
  bench.settle();
  EXPECT_EQ(bench.drop_count, 1u);
}

TEST(PstRxFilterTest, WithoutFiltersEveryFrameIsDroppedAndFreed) {
  RxFilterBench bench;
  for (uint32_t i = 0; i < 5; ++i) bench.frames.push_back(tcp_frame(i));
  bench.settle();
  EXPECT_EQ(bench.drop_count, 5u);
  EXPECT_TRUE(bench.copies.empty());
}

TEST(PstRxFilterTest, AnAddressThatIsNotThePortsCountsOnlyIfAMacFilterNamesIt) {
  RxFilterBench bench;
  RxMeta frame = tcp_frame();
  frame.destination = 0x990605040302;
  bench.set_kinds(kAllKinds);
  bench.insert(key_of(PST_FILTER_MATCH_LISTENER, frame), 1, 11);
  bench.settle();
  bench.frames.push_back(frame);
  bench.settle();
  EXPECT_EQ(bench.drop_count, 1u);
  bench.insert(key_of(PST_FILTER_MATCH_MAC, frame), 2, 12);
  bench.settle();
  bench.frames.push_back(frame);
  bench.settle();
  EXPECT_EQ(vi_of_last(bench), 11u) << "the listener comes before the MAC filter";
  bench.set_port(frame.destination, false);
  bench.remove(key_of(PST_FILTER_MATCH_MAC, frame));
  bench.settle();
  bench.frames.push_back(frame);
  bench.settle();
  EXPECT_EQ(bench.copies.size(), 2u);
}

TEST(PstRxFilterTest, MulticastReachesItsDefaultButNoListenerOnAnyAddress) {
  RxFilterBench bench;
  RxMeta frame = tcp_frame();
  frame.destination |= 1;
  frame.l4_class = PST_L4_CLASS_UDP;
  frame.ip_protocol = hw_model::kProtocolUdp;
  bench.set_kinds(kAllKinds);
  bench.insert(key_of(PST_FILTER_MATCH_LISTENER_ANY, frame), 1, 11);
  bench.insert(key_of(PST_FILTER_MATCH_MULTICAST_DEFAULT, frame), 2, 12);
  bench.settle();
  bench.frames.push_back(frame);
  bench.settle();
  EXPECT_EQ(vi_of_last(bench), 12u);
}

TEST(PstRxFilterTest, EveryFilterOfTheKeyAndEverySnifferGetsACopy) {
  RxFilterBench bench;
  const RxMeta frame = tcp_frame();
  bench.set_kinds(kAllKinds);
  for (uint32_t i = 0; i < 5; ++i) bench.insert(key_of(PST_FILTER_MATCH_LISTENER, frame), i, 10 + i);
  for (uint32_t i = 0; i < 3; ++i) bench.insert(key_of(PST_FILTER_MATCH_SNIFF, frame), 100 + i, 20 + i);
  bench.settle();
  bench.frames.push_back(frame);
  bench.settle();
  EXPECT_EQ(bench.copies.size(), 8u);
  EXPECT_EQ(bench.held_copies, 8u);
  EXPECT_EQ(bench.extra_copy_count, 7u);
}

TEST(PstRxFilterTest, SniffersSeeForeignFramesOnlyOfAPromiscuousPort) {
  RxFilterBench bench;
  RxMeta frame = tcp_frame();
  frame.destination = 0x990605040302;
  bench.set_kinds(kAllKinds);
  bench.insert(key_of(PST_FILTER_MATCH_SNIFF, frame), 1, 11);
  bench.settle();
  bench.frames.push_back(frame);
  bench.settle();
  EXPECT_EQ(bench.drop_count, 1u);
  bench.set_port(RxFilterBench::kMacAddress, true);
  bench.settle();
  bench.frames.push_back(frame);
  bench.settle();
  EXPECT_EQ(bench.copies.size(), 1u);
}

TEST(PstRxFilterTest, AProbeChainEndsAtTheContractsLimitAndGoesOnBehindRemovedFilters) {
  RxFilterBench bench;
  RxMeta frame = tcp_frame();
  bench.set_kinds(1u << PST_FILTER_MATCH_CONNECTION);
  const uint32_t slot = hw_model::filter_hash(key_of(PST_FILTER_MATCH_CONNECTION, frame));
  std::vector<RxMeta> chain;
  for (frame.remote_address[0] = 0; chain.size() <= PST_LIMIT_FILTER_PROBE_MAX; ++frame.remote_address[0]) {
    if (hw_model::filter_hash(key_of(PST_FILTER_MATCH_CONNECTION, frame)) == slot) chain.push_back(frame);
  }
  for (uint32_t i = 0; i < PST_LIMIT_FILTER_PROBE_MAX; ++i) {
    ASSERT_TRUE(bench.insert(key_of(PST_FILTER_MATCH_CONNECTION, chain[i]), i, i));
  }
  EXPECT_FALSE(bench.insert(key_of(PST_FILTER_MATCH_CONNECTION, chain.back()), 99, 99));
  bench.settle();
  bench.remove(key_of(PST_FILTER_MATCH_CONNECTION, chain[0]));
  bench.remove(key_of(PST_FILTER_MATCH_CONNECTION, chain[7]));
  bench.settle();
  for (const RxMeta& one : chain) bench.frames.push_back(one);
  bench.settle();
  EXPECT_EQ(bench.copies.size(), PST_LIMIT_FILTER_PROBE_MAX - 2u);
  EXPECT_EQ(vi_of_last(bench), PST_LIMIT_FILTER_PROBE_MAX - 1u);
  EXPECT_EQ(bench.drop_count, 3u);
}

TEST(PstRxFilterTest, AFilterInTheLastSlotChainsToTheFirst) {
  RxFilterBench bench;
  RxMeta frame = tcp_frame();
  bench.set_kinds(1u << PST_FILTER_MATCH_CONNECTION);
  uint32_t found = 0;
  for (frame.remote_address[0] = 0; found < 3; ++frame.remote_address[0]) {
    if (hw_model::filter_hash(key_of(PST_FILTER_MATCH_CONNECTION, frame)) != hw_model::kFilterSlots - 1) continue;
    bench.insert(key_of(PST_FILTER_MATCH_CONNECTION, frame), found, found);
    bench.settle();
    bench.frames.push_back(frame);
    bench.settle();
    EXPECT_EQ(vi_of_last(bench), found);
    ++found;
  }
}

// The key and two of the vectors that the published RSS specification gives for its verification.
hw_model::RssKey published_key() {
  return {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
          0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
          0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};
}

TEST(PstRxFilterTest, RssHashesAsPublishedAndItsTableNamesTheVi) {
  RxFilterBench bench;
  RxMeta frame = tcp_frame();
  frame.remote_address[0] = 0xbb9509 << 8 | 66;  // 66.9.149.187:2794 to 161.142.100.80:1766
  frame.local_address[0] = 0x50648ea1;
  frame.remote_port = 2794;
  frame.local_port = 1766;
  hw_model::RssTable table{};
  for (uint32_t i = 0; i < table.size(); ++i) table[i] = static_cast<uint16_t>(200 + i);
  table[0x323e8fc2 % table.size()] = hw_model::Rss::kNoVi;
  bench.set_rss(5, published_key(), table);
  bench.set_kinds(kAllKinds);
  bench.insert(key_of(PST_FILTER_MATCH_LISTENER, frame), 1, 11, 5);
  bench.settle();
  bench.frames.push_back(frame);
  bench.settle();
  ASSERT_EQ(bench.copies.size(), 1u);
  EXPECT_TRUE(bench.copies[0].hash_valid);
  EXPECT_EQ(bench.copies[0].hash, 0x51ccc178u);
  EXPECT_EQ(bench.copies[0].vi, 200 + 0x51ccc178u % table.size());
  frame.l4_class = PST_L4_CLASS_OTHER;  // addresses alone
  bench.insert(key_of(PST_FILTER_MATCH_ETHERTYPE, frame), 2, 12, 5);
  bench.settle();
  bench.frames.push_back(frame);
  bench.settle();
  EXPECT_EQ(bench.copies[1].hash, 0x323e8fc2u);
  EXPECT_EQ(bench.copies[1].vi, 12u) << "the table's VI is gone: the filter's own";
}

TEST(PstRxFilterTest, WithoutAConfiguredContextOrIpHeaderTheFiltersOwnViTakesTheFrameUnhashed) {
  RxFilterBench bench;
  RxMeta frame = tcp_frame();
  bench.set_kinds(kAllKinds);
  bench.insert(key_of(PST_FILTER_MATCH_MAC, frame), 1, 11, 3);
  bench.settle();
  bench.frames.push_back(frame);
  bench.settle();
  hw_model::RssTable table;
  table.fill(50);
  bench.set_rss(3, published_key(), table);
  bench.settle();
  frame.l3_class = PST_L3_CLASS_ARP;
  frame.l4_class = PST_L4_CLASS_OTHER;
  bench.frames.push_back(frame);
  bench.settle();
  ASSERT_EQ(bench.copies.size(), 2u);
  for (const Copy& copy : bench.copies) {
    EXPECT_FALSE(copy.hash_valid);
    EXPECT_EQ(copy.vi, 11u);
  }
}

TEST(PstRxFilterTest, SmallestFramesPassAtTenGigabitWithTheirConnectionMissedOrSpread) {
  for (const bool spread : {false, true}) {
    RxFilterBench bench;
    const RxMeta frame = tcp_frame();
    hw_model::RssTable table;
    table.fill(50);
    bench.set_rss(3, published_key(), table);
    bench.set_kinds(spread ? 1u << PST_FILTER_MATCH_LISTENER
                           : 1u << PST_FILTER_MATCH_LISTENER | 1u << PST_FILTER_MATCH_CONNECTION);
    bench.insert(key_of(PST_FILTER_MATCH_LISTENER, frame), 1, 11,
                 spread ? std::optional<uint32_t>(3) : std::optional<uint32_t>());
    bench.settle();
    for (uint32_t i = 0; i < 100; ++i) bench.frames.push_back(tcp_frame(i));
    const uint64_t begin = bench.cycle_count;
    bench.settle();
    EXPECT_LE(bench.cycle_count - begin, 100 * kCyclesPerSmallFrame) << spread;
    EXPECT_EQ(bench.copies.size(), 100u);
  }
}

TEST(PstRxFilterTest, ItIsQuietWhileIdleOrWaitingForTheReceiveDmaAndThenNothingChanges) {
  RxFilterBench bench;
  const RxMeta frame = tcp_frame();
  bench.set_kinds(kAllKinds);
  bench.insert(key_of(PST_FILTER_MATCH_LISTENER, frame), 1, 11);
  bench.settle();
  bool ready = false;
  bench.copy_ready = [&ready] { return ready; };
  bench.frames.push_back(frame);
  for (int i = 0; i < 50; ++i) bench.cycle();
  for (int i = 0; i < 200; ++i) {
    bench.cycle();
    ASSERT_TRUE(bench.quiet);
    ASSERT_TRUE(bench.dut().st_valid_o);
    ASSERT_EQ(bench.dut().st_vi_o, 11u);
  }
  ready = true;
  bench.settle();
  for (int i = 0; i < 200; ++i) {
    bench.cycle();
    ASSERT_TRUE(bench.quiet);
    ASSERT_FALSE(bench.dut().st_valid_o || bench.dut().hold_valid_o);
  }
  bench.frames.push_back(frame);
  bench.settle();
  EXPECT_EQ(bench.copies.size(), 2u);
}

TEST(PstRxFilterTest, CommandsDuringTheClearingAfterResetWaitAndFramesDoNot) {
  Vpst_rx_filter dut;
  const auto tick = [&dut] {
    dut.clk_i = 0;
    dut.eval();
    dut.clk_i = 1;
    dut.eval();
  };
  tick();
  dut.rst_ni = 1;
  dut.st_ready_i = dut.hold_ready_i = 1;
  dut.cfg_op_i = 0x22;
  dut.cfg_valid_i = 1;
  tick();
  dut.cfg_valid_i = 0;
  dut.pf_valid_i = 1;
  uint32_t dropped = 0, waited = 0;
  for (; !dut.cfg_done_o && waited < 2 * hw_model::kFilterSlots; ++waited) {
    dropped += dut.drop_valid_o;
    tick();
  }
  EXPECT_TRUE(dut.cfg_done_o);
  EXPECT_GE(waited, hw_model::kFilterSlots - 2);
  EXPECT_GT(dropped, 1000u);
}

class RandomRxFilterTest : public testing::TestWithParam<uint32_t> {};

RxMeta random_meta(std::mt19937& random, uint32_t id) {
  RxMeta frame = tcp_frame(id);
  frame.id = id & 0xffff;
  frame.frame = static_cast<uint32_t>(random() % 4096);
  frame.bytes = static_cast<uint32_t>(60 + random() % 9000);
  frame.l3_class = random() % 8 == 0 ? random() % 4 : random() % 2 ? PST_L3_CLASS_IPV4 : PST_L3_CLASS_IPV6;
  frame.l4_class = random() % 4 == 0 ? random() % 4 : PST_L4_CLASS_TCP + random() % 2;
  frame.ip_protocol = frame.l4_class == PST_L4_CLASS_UDP ? hw_model::kProtocolUdp : hw_model::kProtocolTcp;
  frame.checksum_l3 = random() % 3;
  frame.checksum_l4 = random() % 3;
  frame.ethertype = 0x800 + random() % 3;
  frame.vlan_count = random() % 3;
  frame.vlan_tci = static_cast<uint32_t>(random() % 4 << 13 | random() % 3);
  frame.destination = random() % 3 == 0 ? random() % 4 : RxFilterBench::kMacAddress;
  frame.remote_address[0] = random() % 3;
  frame.local_address[0] = random() % 3;
  frame.remote_port = random() % 3;
  frame.local_port = random() % 3;
  if (frame.l3_class == PST_L3_CLASS_IPV6) {
    frame.remote_address[1] = random() % 2 << 60;
    frame.local_address[1] = random() % 2 << 30;
  }
  return frame;
}

void random_command(RxFilterBench& bench, std::mt19937& random) {
  const RxMeta frame = random_meta(random, 0);
  const uint32_t kind = random() % 8;
  const uint32_t what = random() % 20;
  if (what < 12) {
    const uint32_t filter = random() % PST_LIMIT_FILTER_COUNT_MAX;  // may be in a chain: then that has lost its others
    for (const TestSlot& slot : bench.firmware().slots) {
      if (slot.state == kSlotUsed && slot.first == filter) return;
    }
    for (const TestFilter& other : bench.firmware().filters) {
      if (other.next_valid && other.next == filter) return;
    }
    const bool spreads = random() % 3 == 0;
    bench.insert(key_of(kind, frame), filter, random() % 64,
                 spreads ? std::optional<uint32_t>(random() % 4) : std::optional<uint32_t>());
  } else if (what < 17) {
    bench.remove(key_of(kind, frame));
  } else if (what == 17) {
    bench.set_kinds(random() % 4 == 0 ? random() % 256 : kAllKinds);
  } else if (what == 18) {
    bench.set_port(random() % 8 == 0 ? random() % 4 : RxFilterBench::kMacAddress, random() % 2);
  } else {
    hw_model::RssKey key;
    hw_model::RssTable table;
    for (auto& byte : key) byte = static_cast<uint8_t>(random());
    for (auto& entry : table) entry = random() % 4 == 0 ? hw_model::Rss::kNoVi : static_cast<uint16_t>(random() % 64);
    bench.set_rss(random() % 4, key, table);
  }
}

TEST_P(RandomRxFilterTest, CopiesAndDropsMatchTheReferenceBetweenCommandsAndUnderBackPressure) {
  std::mt19937 random(GetParam());
  RxFilterBench bench;
  bench.skip_quiet = GetParam() % 2 == 0;
  bench.set_kinds(kAllKinds);
  uint32_t pace = 100;
  bench.frame_comes = [&] { return random() % 100 < pace; };
  bench.hold_ready = [&] { return random() % 100 < pace; };
  bench.copy_ready = [&] { return random() % 100 < pace; };
  uint32_t id = 0;
  for (int cycle = 0; cycle < 60000 && !HasFailure(); ++cycle) {
    if (cycle % 1000 == 0) pace = 20 + random() % 81;
    if (random() % 60 == 0 && bench.command_count() < 4) random_command(bench, random);
    if (bench.frames.size() < 2 && random() % 8 == 0) bench.frames.push_back(random_meta(random, ++id));
    bench.cycle();
  }
  bench.settle();
  EXPECT_GT(bench.copies.size(), 1000u);
  EXPECT_GT(bench.extra_copy_count, 100u);
  EXPECT_GT(bench.drop_count, 50u);
  uint32_t hashed = 0;
  for (const Copy& copy : bench.copies) hashed += copy.hash_valid;
  EXPECT_GT(hashed, 50u);
}
INSTANTIATE_TEST_SUITE_P(Seed, RandomRxFilterTest, testing::Range(1u, 5u));

}  // namespace
}  // namespace postern::rtl_test
