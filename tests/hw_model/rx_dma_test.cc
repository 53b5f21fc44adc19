// Receive: scatter, truncation, prefix, VLAN strip, drops by reason (R11), faults (R8, R12), order of writes (R3).
#include <gtest/gtest.h>

#include "tests/hw_model/nic_bench.h"

namespace postern::hw_model::test {
namespace {

struct Rig {
  explicit Rig(const ViOptions& options = {}) : a("a", kMacA) {
    a.enable_admin();
    vi = std::make_unique<TestVi>(a, 0, options);
    EXPECT_EQ(vi->add_filter(PST_FILTER_MATCH_MAC,
                             [](pst_command& c) { pst_filter_insert_set_local_address_lo(&c, 0x0a00004e5002ull); }),
              PST_ERROR_CODE_OK);
  }
  static std::vector<uint8_t> frame(size_t bytes) {
    UdpSpec spec;
    spec.destination = kMacA;
    spec.source = kMacB;
    spec.frame_bytes = bytes;
    return udp_frame(spec);
  }
  std::vector<pst_rx_event> receive(const std::vector<uint8_t>& bytes) {
    arrive(a, bytes);
    run_ns(5000);
    std::vector<pst_rx_event> out;
    for (const auto& event : vi->events()) out.push_back({{event.word[0], event.word[1]}});
    return out;
  }
  FreshKernel kernel;
  Node a;
  std::unique_ptr<TestVi> vi;
};

TEST(RxDmaTest, ScattersAFrameOverSeveralBuffers) {
  Rig rig;
  rig.vi->post_rx(10, 400);
  run_ns(2000);
  const auto bytes = rig.frame(1000);
  const auto events = rig.receive(bytes);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(pst_rx_event_get_desc_count(&events[0]), 3u);
  EXPECT_EQ(pst_rx_event_get_rx_consumer_idx(&events[0]), 3u);
  EXPECT_EQ(pst_rx_event_get_length_bytes(&events[0]), 1000u);
  EXPECT_EQ(std::memcmp(rig.vi->rx_buffer(0), bytes.data(), 400), 0);
  EXPECT_EQ(std::memcmp(rig.vi->rx_buffer(1), bytes.data() + 400, 400), 0);
  EXPECT_EQ(std::memcmp(rig.vi->rx_buffer(2), bytes.data() + 800, 200), 0);
}

TEST(RxDmaTest, FrameThatDoesNotFitIsTruncated) {
  Rig rig;
  rig.vi->post_rx(2, 100);
  run_ns(2000);
  const auto events = rig.receive(rig.frame(1000));
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(pst_rx_event_get_error_class(&events[0]), PST_RX_ERROR_CLASS_TRUNCATED);
  EXPECT_EQ(pst_rx_event_get_length_bytes(&events[0]), 200u);
  EXPECT_EQ(pst_rx_event_get_desc_count(&events[0]), 2u);
}

TEST(RxDmaTest, PrefixDescribesTheFrame) {
  ViOptions options;
  options.rx_prefix = true;
  Rig rig(options);
  rig.vi->post_rx(4);
  run_ns(2000);
  const auto bytes = rig.frame(100);
  const uint64_t arrival_ps = now_ps();
  const auto events = rig.receive(bytes);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(pst_rx_event_get_prefix_present(&events[0]), 1u);
  EXPECT_EQ(pst_rx_event_get_length_bytes(&events[0]), 100u);
  pst_rx_prefix prefix;
  std::memcpy(&prefix, rig.vi->rx_buffer(0), sizeof prefix);
  EXPECT_EQ(pst_rx_prefix_get_filter_id(&prefix), rig.vi->last_filter);
  EXPECT_EQ(pst_rx_prefix_get_length_bytes(&prefix), 100u);
  EXPECT_EQ(pst_rx_prefix_get_timestamp_ns(&prefix), (arrival_ps - 112 * 800) / 1000);
  EXPECT_EQ(pst_rx_prefix_get_rss_valid(&prefix), 0u);
  EXPECT_EQ(std::memcmp(rig.vi->rx_buffer(0) + 32, bytes.data(), bytes.size()), 0);
}

TEST(RxDmaTest, VlanTagIsStrippedIntoThePrefix) {
  ViOptions options;
  options.rx_prefix = true;
  options.vlan_strip = true;
  Rig rig(options);
  rig.vi->post_rx(4);
  run_ns(2000);
  const auto bytes = rig.frame(100);
  auto tagged = bytes;
  tagged.insert(tagged.begin() + 12, {0x81, 0x00, 0x20, 0x64});
  const auto events = rig.receive(tagged);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(pst_rx_event_get_length_bytes(&events[0]), 100u);
  pst_rx_prefix prefix;
  std::memcpy(&prefix, rig.vi->rx_buffer(0), sizeof prefix);
  EXPECT_EQ(pst_rx_prefix_get_vlan_stripped(&prefix), 1u);
  EXPECT_EQ(pst_rx_prefix_get_vlan_tci(&prefix), 0x2064u);
  EXPECT_EQ(std::memcmp(rig.vi->rx_buffer(0) + 32, bytes.data(), bytes.size()), 0);
}

TEST(RxDmaTest, BadChecksumsAreReportedAndDelivered) {
  Rig rig;
  rig.vi->post_rx(4);
  run_ns(2000);
  auto bytes = rig.frame(100);
  bytes[22] ^= 1;  // TTL
  auto events = rig.receive(bytes);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(pst_rx_event_get_checksum_l3(&events[0]), PST_CHECKSUM_RESULT_BAD);
  EXPECT_EQ(pst_rx_event_get_checksum_l4(&events[0]), PST_CHECKSUM_RESULT_GOOD);
  bytes = rig.frame(100);
  bytes[99] ^= 1;
  events = rig.receive(bytes);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(pst_rx_event_get_checksum_l3(&events[0]), PST_CHECKSUM_RESULT_GOOD);
  EXPECT_EQ(pst_rx_event_get_checksum_l4(&events[0]), PST_CHECKSUM_RESULT_BAD);
}

TEST(RxDmaTest, WithoutDescriptorsFramesDrop) {
  Rig rig;
  EXPECT_TRUE(rig.receive(rig.frame(100)).empty());
  EXPECT_EQ(rig.a.counter("drops.RX_NO_DESCRIPTOR"), 1u);
}

TEST(RxDmaTest, FrameWaitsForDescriptorsThatAreBeingFetched) {
  Rig rig;
  rig.vi->post_rx(4);
  run_ns(200);  // the doorbell has arrived, the descriptors have not
  EXPECT_EQ(rig.receive(rig.frame(100)).size(), 1u);
  EXPECT_EQ(rig.a.drops_total("RX"), 0u);
}

TEST(RxDmaTest, UnmappedBufferHaltsThatViAloneAndMovesNoByte) {
  Rig rig;
  TestVi other(rig.a, 1);
  ASSERT_EQ(other.add_filter(PST_FILTER_MATCH_LISTENER,
                             [](pst_command& c) {
                               pst_filter_insert_set_local_port(&c, 4000);
                               pst_filter_insert_set_local_address_lo(&c, 0x0100090a);
                             }),
            PST_ERROR_CODE_OK);
  other.post_rx(4);
  rig.vi->write_rx_desc(0, kRxBuffers, 100);
  rig.vi->write_rx_desc(1, kViAreaBytes + 0x5000, 2000);  // beyond the mapping
  rig.vi->doorbell(PST_VI_RX_DOORBELL_OFFSET, 2);
  run_ns(3000);
  rig.a.record_dma = true;
  const auto events = rig.receive(rig.frame(1000));
  ASSERT_EQ(events.size(), 1u);
  const pst_error_event error{{events[0].word[0], events[0].word[1]}};
  EXPECT_EQ(pst_error_event_get_type(&error), PST_EVENT_TYPE_ERROR);
  EXPECT_EQ(pst_error_event_get_source(&error), PST_ERROR_SOURCE_RX);
  EXPECT_EQ(pst_error_event_get_code(&error), PST_ERROR_CODE_DMA_FAULT);
  EXPECT_EQ(pst_error_event_get_index(&error), 1u);
  ASSERT_EQ(rig.a.dma.size(), 1u);  // the error event, and no payload
  EXPECT_EQ(rig.a.dma[0].bytes, PST_EVENT_BYTES);
  EXPECT_EQ(rig.a.counter("drops.RX_DMA_FAULT"), 1u);
  UdpSpec spec;
  spec.destination = kMacA;
  spec.source = kMacB;
  spec.destination_ip = kIpA;
  spec.destination_port = 4000;
  arrive(rig.a, udp_frame(spec));
  run_ns(3000);
  EXPECT_EQ(other.events().size(), 1u);
  rig.receive(rig.frame(100));
  EXPECT_EQ(rig.a.counter("drops.RX_VI_HALTED"), 1u);
}

TEST(RxDmaTest, HostThatDoesNotAnswerHaltsTheViWithoutAGapInTheRing) {
  Rig rig;
  pst_command map = make_command(PST_COMMAND_TRANSLATION_MAP, rig.vi->pd);
  pst_translation_map_set_domain_address(&map, 0x10000000);
  pst_translation_map_set_host_address(&map, 0x40000000);  // no memory there
  pst_translation_map_set_length_bytes(&map, 0x1000);
  pst_translation_map_set_writable(&map, 1);
  ASSERT_EQ(rig.a.status(map), PST_ERROR_CODE_OK);
  rig.vi->write_rx_desc(0, kRxBuffers, 2000);
  rig.vi->write_rx_desc(1, 0x10000000, 2000);
  rig.vi->write_rx_desc(2, kRxBuffers + 4096, 2000);
  rig.vi->doorbell(PST_VI_RX_DOORBELL_OFFSET, 3);
  run_ns(3000);
  for (int i = 0; i < 3; ++i) arrive(rig.a, rig.frame(100));
  run_ns(5000);
  const auto events = rig.vi->events();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(pst_event_get_type(&events[0]), PST_EVENT_TYPE_RX);
  const pst_error_event error{{events[1].word[0], events[1].word[1]}};
  EXPECT_EQ(pst_error_event_get_type(&error), PST_EVENT_TYPE_ERROR);
  EXPECT_EQ(pst_error_event_get_source(&error), PST_ERROR_SOURCE_RX);
  EXPECT_EQ(pst_error_event_get_index(&error), 1u);
  EXPECT_EQ(rig.a.counter("rx.delivered"), 1u);
  EXPECT_EQ(rig.a.counter("drops.RX_DMA_FAULT"), 1u);
  EXPECT_EQ(rig.a.counter("drops.RX_VI_HALTED"), 1u);
  EXPECT_EQ(rig.a.counter("rx.frames"), rig.a.counter("rx.delivered") + rig.a.drops_total("RX"));
}

TEST(RxDmaTest, ReadOnlyMappingIsAFaultForReceive) {
  Rig rig;
  pst_command map = make_command(PST_COMMAND_TRANSLATION_MAP, rig.vi->pd);
  pst_translation_map_set_domain_address(&map, 0x10000000);
  pst_translation_map_set_host_address(&map, 0x1000000);
  pst_translation_map_set_length_bytes(&map, 0x1000);
  ASSERT_EQ(rig.a.status(map), PST_ERROR_CODE_OK);
  rig.vi->write_rx_desc(0, 0x10000000, 2000);
  rig.vi->doorbell(PST_VI_RX_DOORBELL_OFFSET, 1);
  run_ns(3000);
  const auto events = rig.receive(rig.frame(100));
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(pst_rx_event_get_type(&events[0]), PST_EVENT_TYPE_ERROR);
}

TEST(RxDmaTest, MalformedDescriptorHaltsTheVi) {
  Rig rig;
  rig.vi->write_rx_desc(0, kRxBuffers, 0);
  rig.vi->doorbell(PST_VI_RX_DOORBELL_OFFSET, 1);
  run_ns(3000);
  const auto events = rig.receive(rig.frame(100));
  ASSERT_EQ(events.size(), 1u);
  const pst_error_event error{{events[0].word[0], events[0].word[1]}};
  EXPECT_EQ(pst_error_event_get_code(&error), PST_ERROR_CODE_BAD_DESCRIPTOR);
  EXPECT_EQ(pst_error_event_get_source(&error), PST_ERROR_SOURCE_RX);
}

TEST(RxDmaTest, BufferMayCrossFromOneMappedRangeToTheNext) {
  Rig rig;
  for (uint64_t i = 0; i < 2; ++i) {
    pst_command map = make_command(PST_COMMAND_TRANSLATION_MAP, rig.vi->pd);
    pst_translation_map_set_domain_address(&map, 0x10000000 + i * 0x1000);
    pst_translation_map_set_host_address(&map, 0x1000000 + i * 0x8000);  // apart in host memory
    pst_translation_map_set_length_bytes(&map, 0x1000);
    pst_translation_map_set_writable(&map, 1);
    ASSERT_EQ(rig.a.status(map), PST_ERROR_CODE_OK);
  }
  rig.vi->write_rx_desc(0, 0x10001000 - 300, 1000);
  rig.vi->doorbell(PST_VI_RX_DOORBELL_OFFSET, 1);
  run_ns(3000);
  const auto bytes = rig.frame(1000);
  ASSERT_EQ(rig.receive(bytes).size(), 1u);
  EXPECT_EQ(std::memcmp(rig.a.memory.data() + 0x1001000 - 300, bytes.data(), 300), 0);
  EXPECT_EQ(std::memcmp(rig.a.memory.data() + 0x1008000, bytes.data() + 300, 700), 0);
}

// R11: whatever happens, frames that came in are delivered or counted once.
TEST(RxDmaTest, DropAccountingSums) {
  Rig rig;
  rig.vi->post_rx(20);
  run_ns(2000);
  for (int i = 0; i < 60; ++i) {
    auto bytes = rig.frame(i % 6 == 1 ? 1600 : 100);
    if (i % 6 == 2) bytes[5] = 0x77;  // for nobody here
    arrive(rig.a, bytes, i % 6 == 3);
    run_ns(50);
  }
  arrive(rig.a, std::vector<uint8_t>(40, 1));
  run_ns(10000);
  EXPECT_EQ(rig.a.counter("rx.frames"), 61u);
  EXPECT_EQ(rig.a.counter("rx.delivered"), 20u);
  EXPECT_EQ(rig.a.counter("drops.RX_BAD_LENGTH"), 11u);
  EXPECT_EQ(rig.a.counter("drops.RX_NO_FILTER"), 10u);
  EXPECT_EQ(rig.a.counter("drops.RX_BAD_FCS"), 10u);
  EXPECT_EQ(rig.a.counter("drops.RX_NO_DESCRIPTOR"), 10u);
  EXPECT_EQ(rig.a.counter("rx.frames"), rig.a.counter("rx.delivered") + rig.a.drops_total("RX"));
}

TEST(RxDmaTest, JumboFrameIsScatteredOverFiveBuffers) {
  Rig rig;
  pst_command c = make_command(PST_COMMAND_PORT_CONFIG);
  pst_port_config_set_mtu_bytes(&c, 9216);
  ASSERT_EQ(rig.a.status(c), PST_ERROR_CODE_OK);
  rig.vi->post_rx(8);
  run_ns(2000);
  const auto bytes = rig.frame(9230);  // 9,216 behind the Ethernet header
  const auto events = rig.receive(bytes);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(pst_rx_event_get_desc_count(&events[0]), 5u);
  EXPECT_EQ(pst_rx_event_get_length_bytes(&events[0]), 9230u);
  EXPECT_EQ(pst_rx_event_get_error_class(&events[0]), PST_RX_ERROR_CLASS_NONE);
  EXPECT_EQ(std::memcmp(rig.vi->rx_buffer(0), bytes.data(), bytes.size()), 0);  // the buffers lie side by side
  EXPECT_TRUE(rig.receive(rig.frame(9231)).empty());
  EXPECT_EQ(rig.a.counter("drops.RX_BAD_LENGTH"), 1u);
}

// Cut-through: the event comes when the frame has ended, but earlier than if its writes had begun only then.
TEST(RxDmaTest, CutThroughSavesTheTimeOfTheWritesAndOfTheLookup) {
  std::array<uint64_t, 2> event_ps{};
  for (const bool cut_through : {false, true}) {
    Rig rig;
    ASSERT_TRUE(rig.a.nic.set_property("mac_port.rx_cut_through", cut_through ? 1 : 0));
    rig.vi->post_rx(8);
    run_ns(5000);
    const uint64_t arrival_ps = now_ps();
    rig.a.record_dma = true;
    ASSERT_EQ(rig.receive(rig.frame(1514)).size(), 1u);
    event_ps[cut_through ? 1 : 0] = rig.a.dma.back().time_ps - arrival_ps;
    EXPECT_EQ(std::memcmp(rig.vi->rx_buffer(0), rig.frame(1514).data(), 1514), 0);
  }
  EXPECT_GT(event_ps[1], 0u);
  EXPECT_LT(event_ps[1] + 200'000, event_ps[0]);  // 1,450 bytes at 7.2 bytes/ns, and 64 ns
}

TEST(RxDmaTest, CutThroughFrameThatTurnsOutBadGivesItsDescriptorsBack) {
  Rig rig;
  ASSERT_TRUE(rig.a.nic.set_property("mac_port.rx_cut_through", 1));
  rig.vi->post_rx(2);
  run_ns(3000);
  arrive(rig.a, rig.frame(1514), true);
  run_ns(5000);
  EXPECT_TRUE(rig.vi->events().empty());
  EXPECT_EQ(rig.a.counter("drops.RX_BAD_FCS"), 1u);
  const auto events = rig.receive(rig.frame(1000));
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(pst_rx_event_get_rx_consumer_idx(&events[0]), 1u);
  EXPECT_EQ(rig.a.counter("rx.frames"), rig.a.counter("rx.delivered") + rig.a.drops_total("RX"));
}

// The writes of a bad frame take their time on the link all the same: the next frame's event is later for it.
TEST(RxDmaTest, CutThroughFrameThatTurnsOutBadStillCostsTheLink) {
  std::array<uint64_t, 2> event_ps{};
  for (const bool bad_before : {false, true}) {
    Rig rig;
    ASSERT_TRUE(rig.a.nic.set_property("mac_port.rx_cut_through", 1));
    ASSERT_TRUE(rig.a.nic.set_property("pcie_link.generation", 1));
    ASSERT_TRUE(rig.a.nic.set_property("pcie_link.lanes", 2));
    rig.vi->post_rx(8);
    run_ns(20000);
    const uint64_t start_ps = now_ps();
    rig.a.record_dma = true;
    if (bad_before) arrive(rig.a, rig.frame(1514), true);
    ASSERT_EQ(rig.receive(rig.frame(100)).size(), 1u);
    event_ps[bad_before ? 1 : 0] = rig.a.dma.back().time_ps - start_ps;
  }
  EXPECT_GT(event_ps[1], event_ps[0] + 1'000'000);
}

}  // namespace
}  // namespace postern::hw_model::test
