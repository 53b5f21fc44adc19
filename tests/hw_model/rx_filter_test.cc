// Filters: the order of FILTER_MATCH, replication, multicast, promiscuity, the table's limits (R9).
#include <gtest/gtest.h>

#include "hw_model/filter_hash.h"
#include "tests/hw_model/nic_bench.h"

namespace postern::hw_model::test {
namespace {

constexpr uint64_t kMacAWire = 0x0a00004e5002ull;
constexpr uint64_t kIpAWire = 0x0100090a;
constexpr uint64_t kIpBWire = 0x0200090a;

// Each kind of filter on a VI of its own, inserted on demand.
struct Rig {
  Rig() : a("a", kMacA) { a.enable_admin(); }
  TestVi& vi(uint32_t area) {
    while (vis.size() <= area) {
      vis.push_back(std::make_unique<TestVi>(a, static_cast<uint32_t>(vis.size())));
      vis.back()->post_rx(64);
    }
    run_ns(3000);
    return *vis[area];
  }
  // Ids of the VIs that got an event since the last call.
  std::vector<size_t> receive(const std::vector<uint8_t>& bytes) {
    arrive(a, bytes);
    run_ns(5000);
    std::vector<size_t> who;
    for (size_t i = 0; i < vis.size(); ++i) {
      if (!vis[i]->events().empty()) who.push_back(i);
    }
    return who;
  }
  static UdpSpec to_a() {
    UdpSpec spec;
    spec.destination = kMacA;
    spec.source = kMacB;
    spec.source_ip = kIpB;
    spec.destination_ip = kIpA;
    return spec;
  }
  FreshKernel kernel;
  Node a;
  std::vector<std::unique_ptr<TestVi>> vis;
};

using Ids = std::vector<size_t>;

void connection(pst_command& c) {
  pst_filter_insert_set_local_port(&c, 2000);
  pst_filter_insert_set_remote_port(&c, 1000);
  pst_filter_insert_set_local_address_lo(&c, kIpAWire);
  pst_filter_insert_set_remote_address_lo(&c, kIpBWire);
}
void listener(pst_command& c) {
  pst_filter_insert_set_local_port(&c, 2000);
  pst_filter_insert_set_local_address_lo(&c, kIpAWire);
}
void listener_any(pst_command& c) { pst_filter_insert_set_local_port(&c, 2000); }
void ethertype_ip(pst_command& c) { pst_filter_insert_set_ethertype(&c, 0x0800); }
void own_mac(pst_command& c) { pst_filter_insert_set_local_address_lo(&c, kMacAWire); }
void arp_replicate(pst_command& c) {
  pst_filter_insert_set_ethertype(&c, 0x0806);
  pst_filter_insert_set_replicate(&c, 1);
}

TEST(RxFilterTest, FirstKindInTheOrderOfTheContractWins) {
  Rig rig;
  const auto frame = udp_frame(Rig::to_a());
  struct Step {
    unsigned match;
    void (*adjust)(pst_command&);
  };
  const Step steps[] = {{PST_FILTER_MATCH_MAC, own_mac},
                        {PST_FILTER_MATCH_ETHERTYPE, ethertype_ip},
                        {PST_FILTER_MATCH_LISTENER_ANY, listener_any},
                        {PST_FILTER_MATCH_LISTENER, listener},
                        {PST_FILTER_MATCH_CONNECTION, connection}};
  for (uint32_t i = 0; i < 5; ++i) {
    ASSERT_EQ(rig.vi(i).add_filter(steps[i].match, steps[i].adjust), PST_ERROR_CODE_OK);
    EXPECT_EQ(rig.receive(frame), Ids{i}) << "after filter of kind " << steps[i].match;
  }
  for (uint32_t i = 5; i-- > 0;) {
    EXPECT_EQ(rig.receive(frame), Ids{i});
    ASSERT_EQ(rig.a.status(make_command(PST_COMMAND_FILTER_REMOVE, rig.vi(i).last_filter)), PST_ERROR_CODE_OK);
  }
  EXPECT_TRUE(rig.receive(frame).empty());
  EXPECT_EQ(rig.a.counter("drops.RX_NO_FILTER"), 1u);
}

TEST(RxFilterTest, KeysThatDifferDoNotMatch) {
  Rig rig;
  ASSERT_EQ(rig.vi(0).add_filter(PST_FILTER_MATCH_CONNECTION, connection), PST_ERROR_CODE_OK);
  auto spec = Rig::to_a();
  EXPECT_EQ(rig.receive(udp_frame(spec)), Ids{0});
  spec.source_port = 1001;
  EXPECT_TRUE(rig.receive(udp_frame(spec)).empty());
  spec = Rig::to_a();
  spec.source_ip = kIpA;
  EXPECT_TRUE(rig.receive(udp_frame(spec)).empty());
  spec = Rig::to_a();
  spec.protocol = 6;
  EXPECT_TRUE(rig.receive(udp_frame(spec)).empty());
}

TEST(RxFilterTest, FragmentsDoNotMatchPorts) {
  Rig rig;
  ASSERT_EQ(rig.vi(0).add_filter(PST_FILTER_MATCH_LISTENER_ANY, listener_any), PST_ERROR_CODE_OK);
  ASSERT_EQ(rig.vi(1).add_filter(PST_FILTER_MATCH_MAC, own_mac), PST_ERROR_CODE_OK);
  auto frame = udp_frame(Rig::to_a());
  frame[20] = 0x20;  // more fragments
  EXPECT_EQ(rig.receive(frame), Ids{1});
}

TEST(RxFilterTest, UnicastForOthersIsNotDelivered) {
  Rig rig;
  ASSERT_EQ(rig.vi(0).add_filter(PST_FILTER_MATCH_LISTENER_ANY, listener_any), PST_ERROR_CODE_OK);
  auto spec = Rig::to_a();
  spec.destination = kMacB;
  EXPECT_TRUE(rig.receive(udp_frame(spec)).empty());
  EXPECT_EQ(rig.a.counter("drops.RX_NO_FILTER"), 1u);
}

TEST(RxFilterTest, ReplicatingFiltersGiveEachViACopy) {
  Rig rig;
  for (uint32_t i = 0; i < 3; ++i)
    ASSERT_EQ(rig.vi(i).add_filter(PST_FILTER_MATCH_ETHERTYPE, arp_replicate), PST_ERROR_CODE_OK);
  const auto arp = arp_frame(kMacB, kIpB, kIpA);
  EXPECT_EQ(rig.receive(arp), (Ids{0, 1, 2}));
  for (uint32_t i = 0; i < 3; ++i) EXPECT_EQ(std::memcmp(rig.vi(i).rx_buffer(0), arp.data(), arp.size()), 0);
  EXPECT_EQ(rig.a.counter("rx.extra_copies"), 2u);
  EXPECT_EQ(rig.a.counter("rx.frames") + rig.a.counter("rx.extra_copies"),
            rig.a.counter("rx.delivered") + rig.a.drops_total("RX"));
}

TEST(RxFilterTest, ManyReplicasShareOneSlotOfTheTable) {
  Rig rig;
  TestVi& vi = rig.vi(0);
  for (int i = 0; i < 100; ++i) ASSERT_EQ(vi.add_filter(PST_FILTER_MATCH_ETHERTYPE, arp_replicate), PST_ERROR_CODE_OK);
  EXPECT_EQ(rig.a.counter("filters"), 100u);
}

TEST(RxFilterTest, SecondFilterOfTheSameKeyNeedsReplicateOnBoth) {
  Rig rig;
  ASSERT_EQ(rig.vi(0).add_filter(PST_FILTER_MATCH_LISTENER, listener), PST_ERROR_CODE_OK);
  EXPECT_EQ(rig.vi(1).add_filter(PST_FILTER_MATCH_LISTENER, listener), PST_ERROR_CODE_EXISTS);
  EXPECT_EQ(rig.vi(1).add_filter(PST_FILTER_MATCH_LISTENER,
                                 [](pst_command& c) {
                                   listener(c);
                                   pst_filter_insert_set_replicate(&c, 1);
                                 }),
            PST_ERROR_CODE_EXISTS);
}

TEST(RxFilterTest, MulticastDefaultTakesWhatNothingElseMatches) {
  Rig rig;
  ASSERT_EQ(rig.vi(0).add_filter(PST_FILTER_MATCH_MULTICAST_DEFAULT), PST_ERROR_CODE_OK);
  ASSERT_EQ(rig.vi(1).add_filter(PST_FILTER_MATCH_ETHERTYPE, arp_replicate), PST_ERROR_CODE_OK);
  auto spec = Rig::to_a();
  spec.destination = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  EXPECT_EQ(rig.receive(udp_frame(spec)), Ids{0});
  EXPECT_EQ(rig.receive(arp_frame(kMacB, kIpB, kIpA)), Ids{1});
}

TEST(RxFilterTest, VlanFilterNeedsTheTag) {
  Rig rig;
  ASSERT_EQ(rig.vi(0).add_filter(PST_FILTER_MATCH_MAC_VLAN,
                                 [](pst_command& c) {
                                   own_mac(c);
                                   pst_filter_insert_set_vlan_id(&c, 100);
                                 }),
            PST_ERROR_CODE_OK);
  auto frame = udp_frame(Rig::to_a());
  EXPECT_TRUE(rig.receive(frame).empty());
  frame.insert(frame.begin() + 12, {0x81, 0x00, 0x20, 0x64});
  EXPECT_EQ(rig.receive(frame), Ids{0});
  frame[15] = 0x65;
  EXPECT_TRUE(rig.receive(frame).empty());
}

TEST(RxFilterTest, SniffGetsACopyAndPromiscuityWidensIt) {
  Rig rig;
  ASSERT_EQ(rig.vi(0).add_filter(PST_FILTER_MATCH_LISTENER, listener), PST_ERROR_CODE_OK);
  ASSERT_EQ(rig.vi(1).add_filter(PST_FILTER_MATCH_SNIFF), PST_ERROR_CODE_OK);
  auto spec = Rig::to_a();
  EXPECT_EQ(rig.receive(udp_frame(spec)), (Ids{0, 1}));
  spec.destination = kMacB;
  EXPECT_TRUE(rig.receive(udp_frame(spec)).empty());
  pst_command c = make_command(PST_COMMAND_PORT_CONFIG);
  pst_port_config_set_mtu_bytes(&c, 1500);
  pst_port_config_set_promiscuous(&c, 1);
  ASSERT_EQ(rig.a.status(c), PST_ERROR_CODE_OK);
  EXPECT_EQ(rig.receive(udp_frame(spec)), Ids{1});
}

TEST(RxFilterTest, Ipv6ConnectionMatches) {
  Rig rig;
  ASSERT_EQ(rig.vi(0).add_filter(PST_FILTER_MATCH_LISTENER,
                                 [](pst_command& c) {
                                   pst_filter_insert_set_family(&c, PST_ADDRESS_FAMILY_IPV6);
                                   pst_filter_insert_set_local_port(&c, 2000);
                                   pst_filter_insert_set_local_address_lo(&c, 0x00000000000080fe);
                                   pst_filter_insert_set_local_address_hi(&c, 0x0100000000000000);
                                 }),
            PST_ERROR_CODE_OK);
  std::vector<uint8_t> frame(62);
  std::copy(kMacA.begin(), kMacA.end(), frame.begin());
  std::copy(kMacB.begin(), kMacB.end(), frame.begin() + 6);
  frame[12] = 0x86;
  frame[13] = 0xdd;
  frame[14] = 0x60;
  frame[19] = 8;
  frame[20] = 17;
  frame[38] = 0xfe;
  frame[39] = 0x80;
  frame[53] = 1;
  frame[56] = 2000 >> 8;
  frame[57] = 2000 & 0xff;
  frame[59] = 8;
  EXPECT_EQ(rig.receive(frame), Ids{0});
}

TEST(RxFilterTest, TableFillsToItsLimitsAndEmptiesAgain) {
  Rig rig;
  rig.vi(0);
  uint32_t inserted = 0, full = 0;
  std::vector<uint32_t> ids;
  for (uint32_t i = 0; i < 4200; ++i) {
    pst_command c = make_command(PST_COMMAND_FILTER_INSERT, 0);
    pst_filter_insert_set_match(&c, PST_FILTER_MATCH_CONNECTION);
    pst_filter_insert_set_family(&c, PST_ADDRESS_FAMILY_IPV4);
    pst_filter_insert_set_protocol(&c, 6);
    pst_filter_insert_set_local_port(&c, 80);
    pst_filter_insert_set_remote_port(&c, i);
    const pst_admin_completion answer = rig.a.command(c);
    const auto status = pst_admin_completion_get_status(&answer);
    if (status == PST_ERROR_CODE_OK) {
      ids.push_back(static_cast<uint32_t>(pst_admin_completion_get_result(&answer)));
      ++inserted;
    } else if (status == PST_ERROR_CODE_TABLE_FULL) {
      ++full;
    } else {
      ASSERT_EQ(status, PST_ERROR_CODE_NO_RESOURCE);
    }
  }
  EXPECT_GT(inserted, 4000u);
  EXPECT_LE(inserted, PST_LIMIT_FILTER_COUNT_MAX);
  EXPECT_LT(full, 100u);
  for (const uint32_t id : ids) ASSERT_EQ(rig.a.status(make_command(PST_COMMAND_FILTER_REMOVE, id)), PST_ERROR_CODE_OK);
  EXPECT_EQ(rig.a.counter("filters"), 0u);
}

// Filters whose keys all start their chain at one slot: the probe limit is what ends it, though the table is empty
// otherwise. The keys are found by search.
TEST(RxFilterTest, FullProbeChainIsAnsweredWithTableFull) {
  Rig rig;
  rig.vi(0);
  constexpr unsigned kConnectionTcpIpv4 =
      PST_FILTER_MATCH_CONNECTION | PST_ADDRESS_FAMILY_IPV4 << 4 | 6u << 8;  // first word of the key
  const auto slot_of = [](uint64_t remote_address, uint64_t remote_port) {
    return hw_model::filter_hash({kConnectionTcpIpv4, 80 | remote_port << 16, 0, 0, remote_address, 0});
  };
  const auto insert = [&rig](uint64_t remote_address, uint64_t remote_port) {
    pst_command c = make_command(PST_COMMAND_FILTER_INSERT, 0);
    pst_filter_insert_set_match(&c, PST_FILTER_MATCH_CONNECTION);
    pst_filter_insert_set_family(&c, PST_ADDRESS_FAMILY_IPV4);
    pst_filter_insert_set_protocol(&c, 6);
    pst_filter_insert_set_local_port(&c, 80);
    pst_filter_insert_set_remote_port(&c, remote_port);
    pst_filter_insert_set_remote_address_lo(&c, remote_address);
    return rig.a.command(c);
  };
  const uint32_t slot = slot_of(0, 0);
  std::vector<uint32_t> ids;
  uint64_t address = 0, port = 0;
  const auto next_colliding = [&] {
    do {
      port = (port + 1) & 0xffff;
      address += port == 0;
    } while (slot_of(address, port) != slot);
  };
  for (uint32_t i = 0; i < PST_LIMIT_FILTER_PROBE_MAX; ++i, next_colliding()) {
    const pst_admin_completion answer = insert(address, port);
    ASSERT_EQ(pst_admin_completion_get_status(&answer), PST_ERROR_CODE_OK) << i;
    ids.push_back(static_cast<uint32_t>(pst_admin_completion_get_result(&answer)));
  }
  pst_admin_completion answer = insert(address, port);
  EXPECT_EQ(pst_admin_completion_get_status(&answer), PST_ERROR_CODE_TABLE_FULL);
  EXPECT_EQ(rig.a.counter("filters"), PST_LIMIT_FILTER_PROBE_MAX);
  // One in the middle of the chain gives way to the newcomer; those behind it are still found.
  ASSERT_EQ(rig.a.status(make_command(PST_COMMAND_FILTER_REMOVE, ids[7])), PST_ERROR_CODE_OK);
  answer = insert(address, port);
  EXPECT_EQ(pst_admin_completion_get_status(&answer), PST_ERROR_CODE_OK);
  next_colliding();
  answer = insert(address, port);
  EXPECT_EQ(pst_admin_completion_get_status(&answer), PST_ERROR_CODE_TABLE_FULL);
  answer = insert(0, 0);
  EXPECT_EQ(pst_admin_completion_get_status(&answer), PST_ERROR_CODE_EXISTS);
}

TEST(RxFilterTest, MulticastAddressReachesEveryViThatAsksForIt) {
  Rig rig;
  for (uint32_t i = 0; i < 3; ++i) {
    if (i == 1) {
      rig.vi(1);
      continue;  // does not ask
    }
    ASSERT_EQ(rig.vi(i).add_filter(PST_FILTER_MATCH_MAC,
                                   [](pst_command& c) {
                                     pst_filter_insert_set_local_address_lo(&c,
                                                                            0x0100005e0001ull);  // 01-00-5e-00-00-01
                                     pst_filter_insert_set_replicate(&c, 1);
                                   }),
              PST_ERROR_CODE_OK);
  }
  auto spec = Rig::to_a();
  spec.destination = {0x01, 0x00, 0x5e, 0x00, 0x00, 0x01};
  EXPECT_EQ(rig.receive(udp_frame(spec)), (Ids{0, 2}));
  spec.destination[5] = 2;
  EXPECT_TRUE(rig.receive(udp_frame(spec)).empty());
}

TEST(RxFilterTest, Ipv6ConnectionNeedsAllFourParts) {
  Rig rig;
  ASSERT_EQ(rig.vi(0).add_filter(PST_FILTER_MATCH_CONNECTION,
                                 [](pst_command& c) {
                                   pst_filter_insert_set_family(&c, PST_ADDRESS_FAMILY_IPV6);
                                   pst_filter_insert_set_local_port(&c, 2000);
                                   pst_filter_insert_set_remote_port(&c, 1000);
                                   pst_filter_insert_set_local_address_lo(&c, 0x00000000000080fe);
                                   pst_filter_insert_set_local_address_hi(&c, 0x0100000000000000);
                                   pst_filter_insert_set_remote_address_lo(&c, 0x00000000000080fe);
                                   pst_filter_insert_set_remote_address_hi(&c, 0x0200000000000000);
                                 }),
            PST_ERROR_CODE_OK);
  std::vector<uint8_t> frame(62);
  std::copy(kMacA.begin(), kMacA.end(), frame.begin());
  std::copy(kMacB.begin(), kMacB.end(), frame.begin() + 6);
  frame[12] = 0x86;
  frame[13] = 0xdd;
  frame[14] = 0x60;
  frame[19] = 8;
  frame[20] = 17;
  frame[22] = frame[38] = 0xfe;
  frame[23] = frame[39] = 0x80;
  frame[37] = 2;
  frame[53] = 1;
  frame[54] = 1000 >> 8;
  frame[55] = 1000 & 0xff;
  frame[56] = 2000 >> 8;
  frame[57] = 2000 & 0xff;
  frame[59] = 8;
  EXPECT_EQ(rig.receive(frame), Ids{0});
  for (const size_t byte : {30u, 37u, 46u, 53u, 55u, 57u}) {
    frame[byte] ^= 4;
    EXPECT_TRUE(rig.receive(frame).empty()) << byte;
    frame[byte] ^= 4;
  }
}

}  // namespace
}  // namespace postern::hw_model::test
