// The monitor with hand-made traffic: what the contract defines and the device model of the day need not offer.
#include <gtest/gtest.h>

#include <array>

#include "sim/monitor/boundary_monitor.h"
#include "sim/monitor/frame_headers.h"
#include "tests/sim/monitor/hand_traffic.h"

namespace postern::sim {
namespace {

using test::HandTraffic;
using test::HandVi;

constexpr uint64_t kBase = 0x100000, kOtherBase = 0x200000;

// The key and the results that Microsoft publishes for the verification of RSS hashing.
constexpr std::array<uint8_t, 40> kKey{0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
                                       0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
                                       0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
                                       0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

FrameHeaders ipv4_headers(std::array<uint8_t, 4> from, uint32_t from_port, std::array<uint8_t, 4> to,
                          uint32_t to_port) {
  FrameHeaders h;
  h.l3 = PST_L3_CLASS_IPV4;
  std::memcpy(h.from.data(), from.data(), 4);
  std::memcpy(h.to.data(), to.data(), 4);
  h.source_port = from_port;
  h.destination_port = to_port;
  return h;
}

TEST(ToeplitzTest, AgreesWithThePublishedVectors) {
  const FrameHeaders first = ipv4_headers({66, 9, 149, 187}, 2794, {161, 142, 100, 80}, 1766);
  EXPECT_EQ(toeplitz_hash(kKey, first, false), 0x323e8fc2u);
  EXPECT_EQ(toeplitz_hash(kKey, first, true), 0x51ccc178u);
  const FrameHeaders second = ipv4_headers({199, 92, 111, 2}, 14230, {65, 69, 140, 83}, 4739);
  EXPECT_EQ(toeplitz_hash(kKey, second, false), 0xd718262au);
  EXPECT_EQ(toeplitz_hash(kKey, second, true), 0xc626b0eau);
}

// A TCP segment of the first published vector.
std::vector<uint8_t> tcp_frame() {
  std::vector<uint8_t> bytes(60);
  bytes[12] = 0x08;
  bytes[14] = 0x45;
  bytes[17] = 46;
  bytes[23] = 6;
  const std::array<uint8_t, 12> flow{66, 9, 149, 187, 161, 142, 100, 80, 2794 >> 8, 2794 & 255, 1766 >> 8, 1766 & 255};
  std::copy(flow.begin(), flow.end(), bytes.begin() + 26);
  return bytes;
}

class MonitorRulesTest : public ::testing::Test {
 protected:
  void SetUp() override { traffic.enable_admin(); }
  void filter(const HandVi& vi, void (*adjust)(pst_command&) = nullptr) {
    pst_command insert = HandTraffic::make(PST_COMMAND_FILTER_INSERT, vi.id);
    pst_filter_insert_set_match(&insert, PST_FILTER_MATCH_ETHERTYPE);
    pst_filter_insert_set_ethertype(&insert, 0x0800);
    if (adjust != nullptr) adjust(insert);
    traffic.command(insert, 11);
    traffic.wait_ns(1'000'000);  // the filter is what it is when the first frame comes
  }
  void expect(Rule rule, uint64_t count) {
    traffic.finish();
    EXPECT_EQ(monitor.violation_count(rule), count) << monitor.text();
    EXPECT_EQ(monitor.violation_count(), count) << monitor.text();
  }
  // A prefix and a frame in the next posted buffer.
  void deliver_prefixed(HandVi& vi, const std::vector<uint8_t>& frame) {
    pst_rx_prefix prefix{};
    pst_rx_prefix_set_filter_id(&prefix, 11);
    pst_rx_prefix_set_length_bytes(&prefix, frame.size());
    std::vector<uint8_t> bytes(sizeof prefix);
    std::memcpy(bytes.data(), &prefix, sizeof prefix);
    bytes.insert(bytes.end(), frame.begin(), frame.end());
    traffic.payload(vi, bytes);
  }
  static pst_event merged_event(uint32_t consumer_idx, uint32_t frames) {
    pst_rx_event event{};
    pst_rx_event_set_type(&event, PST_EVENT_TYPE_RX);
    pst_rx_event_set_desc_count(&event, frames);
    pst_rx_event_set_prefix_present(&event, 1);
    pst_rx_event_set_merged(&event, 1);
    pst_rx_event_set_rx_consumer_idx(&event, consumer_idx);
    return {{event.word[0], event.word[1]}};
  }

  BoundaryMonitor monitor;
  HandTraffic traffic{monitor};
};

void merging(pst_command& alloc) {
  pst_vi_alloc_set_rx_prefix(&alloc, 1);
  pst_vi_alloc_set_merge_count(&alloc, 4);
}

TEST_F(MonitorRulesTest, MergedEventOfThreeFramesIsClean) {
  HandVi vi = traffic.vi(0, kBase, merging);
  filter(vi);
  traffic.post_rx(vi, 8);
  for (int i = 0; i < 3; ++i) {
    traffic.frame_arrives(tcp_frame());
    deliver_prefixed(vi, tcp_frame());
  }
  traffic.event(vi, merged_event(3, 3));
  EXPECT_TRUE(monitor.coverage().seen("situation R3: payload of a merged event"));
  expect(Rule::kR3, 0);
}

TEST_F(MonitorRulesTest, MergedEventThatAnnouncesAFrameTooManyIsR3) {
  HandVi vi = traffic.vi(0, kBase, merging);
  filter(vi);
  traffic.post_rx(vi, 8);
  for (int i = 0; i < 2; ++i) {
    traffic.frame_arrives(tcp_frame());
    deliver_prefixed(vi, tcp_frame());
  }
  traffic.event(vi, merged_event(3, 3));
  expect(Rule::kR3, 1);
}

TEST_F(MonitorRulesTest, TheListenerHearsOfAViolationWhenItHappens) {
  std::vector<Violation> heard;
  monitor.set_violation_listener([&heard](const Violation& violation) { heard.push_back(violation); });
  HandVi vi = traffic.vi(0, kBase, merging);
  filter(vi);
  traffic.post_rx(vi, 8);
  for (int i = 0; i < 2; ++i) {
    traffic.frame_arrives(tcp_frame());
    deliver_prefixed(vi, tcp_frame());
  }
  EXPECT_TRUE(heard.empty());
  traffic.event(vi, merged_event(3, 3));
  ASSERT_EQ(heard.size(), 1u);
  EXPECT_EQ(heard[0].rule, Rule::kR3);
  EXPECT_EQ(heard[0].vi_id, vi.id);
  EXPECT_EQ(heard[0].time_ps, monitor.violations().at(0).time_ps);
  expect(Rule::kR3, 1);
  EXPECT_EQ(heard.size(), 1u);
}

TEST_F(MonitorRulesTest, MergedEventBeyondMergeCountIsR3) {
  HandVi vi = traffic.vi(0, kBase, merging);
  filter(vi);
  traffic.post_rx(vi, 8);
  for (int i = 0; i < 5; ++i) {
    traffic.frame_arrives(tcp_frame());
    deliver_prefixed(vi, tcp_frame());
  }
  traffic.event(vi, merged_event(5, 5));
  expect(Rule::kR3, 1);
}

// A frame in two writes of 30 bytes, the later part first.
class MixedPayloadTest : public MonitorRulesTest {
 protected:
  void deliver_backwards(size_t first_half, size_t second_half) {
    HandVi vi = traffic.vi(0, kBase);
    filter(vi);
    traffic.post_rx(vi, 8);
    const std::vector<uint8_t> frame = tcp_frame();
    traffic.frame_arrives(frame);
    const uint64_t buffer = kBase + HandTraffic::kRxBuffers;
    traffic.dma_write(buffer + 30, frame.data() + second_half, 30);
    traffic.dma_write(buffer, frame.data() + first_half, 30);
    traffic.event(vi, HandTraffic::rx_event(++vi.rx_done, 60));
    traffic.frame_arrives(frame);
    traffic.deliver(vi, frame);
  }
};

TEST_F(MixedPayloadTest, WritesOfPayloadMayPassEachOther) {
  deliver_backwards(0, 30);
  expect(Rule::kR3, 0);
}

TEST_F(MixedPayloadTest, HalvesInEachOthersPlaceAreR3) {
  deliver_backwards(30, 0);
  expect(Rule::kR3, 1);
}

class RssTest : public MonitorRulesTest {
 protected:
  // Two VIs of one domain in effect: the table sends the published flow to chosen, everything else to the other.
  void spread(uint32_t chosen) {
    one = traffic.vi(0, kBase);
    pst_command alloc = HandTraffic::make(PST_COMMAND_VI_ALLOC, one.domain);
    pst_vi_alloc_set_rx_ring_address(&alloc, 0x8000);
    pst_vi_alloc_set_tx_ring_address(&alloc, 0x9000);
    pst_vi_alloc_set_evq_address(&alloc, 0xa000);
    pst_vi_alloc_set_rx_entries(&alloc, 128);
    pst_vi_alloc_set_tx_entries(&alloc, 128);
    pst_vi_alloc_set_evq_entries(&alloc, 128);
    pst_vi_alloc_set_vector(&alloc, PST_VECTOR_NONE);
    traffic.command(alloc, 1);
    traffic.command(HandTraffic::make(PST_COMMAND_RSS_ALLOC, one.domain), 4);
    pst_command configure = HandTraffic::make(PST_COMMAND_RSS_CONFIGURE, 4);
    pst_rss_configure_set_key_address(&configure, 0x9000);
    pst_rss_configure_set_table_address(&configure, 0x9100);
    traffic.submit(configure);
    traffic.dma_read(0x9000, kKey.data(), 40);
    std::array<uint16_t, 128> table{};
    table.fill(static_cast<uint16_t>(1 - chosen));
    table[0x51ccc178 & 127] = static_cast<uint16_t>(chosen);
    traffic.dma_read(0x9100, table.data(), 256);
    traffic.complete();
    filter(one, [](pst_command& c) {
      pst_filter_insert_set_rss(&c, 1);
      pst_filter_insert_set_rss_context(&c, 4);
    });
    traffic.post_rx(one, 8);
  }
  HandVi one;
};

TEST_F(RssTest, FrameAtTheViThatTheTableNamesIsClean) {
  spread(0);
  traffic.frame_arrives(tcp_frame());
  traffic.deliver(one, tcp_frame());
  EXPECT_TRUE(monitor.coverage().seen("situation R9: RSS chooses the VI"));
  expect(Rule::kR9, 0);
}

TEST_F(RssTest, FrameAtAnotherViIsR9) {
  spread(1);
  traffic.frame_arrives(tcp_frame());
  traffic.deliver(one, tcp_frame());
  expect(Rule::kR9, 1);
}

// VI 0 wakes VI 1 by an event, which never comes.
class LostWakeupEventTest : public MonitorRulesTest {
 protected:
  void SetUp() override {
    MonitorRulesTest::SetUp();
    sleeper = traffic.vi(0, kBase);
    target = traffic.vi(1, kOtherBase);
    pst_command bind = HandTraffic::make(PST_COMMAND_MSIX_BIND, sleeper.id);
    pst_msix_bind_set_vector(&bind, PST_VECTOR_NONE);
    pst_msix_bind_set_to_vi(&bind, 1);
    pst_msix_bind_set_wakeup_vi(&bind, target.id);
    traffic.command(bind);
  }
  void wake() {
    traffic.prime(sleeper, 0);
    traffic.event(sleeper, HandTraffic::timer_event());
    traffic.wait_ns(5'000'000);
  }
  HandVi sleeper, target;
};

TEST_F(LostWakeupEventTest, IsR6) {
  wake();
  expect(Rule::kR6, 1);
}

TEST_F(LostWakeupEventTest, IsExcusedWhenTheQueueIsOutOfReach) {
  traffic.command(HandTraffic::make(PST_COMMAND_TRANSLATION_UNMAP, target.domain));
  wake();
  expect(Rule::kR6, 0);
}

TEST_F(MonitorRulesTest, LostInterruptIsExcusedOnceWhenTheFaultSaysSo) {
  HandVi vi = traffic.vi(0, kBase, [](pst_command& alloc) { pst_vi_alloc_set_vector(&alloc, 2); });
  traffic.unmask(2);
  traffic.prime(vi, 0);
  traffic.event(vi, HandTraffic::timer_event());
  InjectedFault fault;
  fault.kind = FaultKind::kMsixLost;
  fault.detail = 2;
  monitor.fault_injected(traffic.now_ps, fault);
  traffic.wait_ns(5'000'000);
  traffic.prime(vi, 0);  // stale: due at once, and the fault does not excuse this one
  traffic.wait_ns(5'000'000);
  expect(Rule::kR6, 1);
}

TEST_F(MonitorRulesTest, EachOfManyPrimesUnderWayAtOnceMayHaveItsInterrupt) {
  constexpr int kPrimes = 100;  // as when many threads wait on one queue
  traffic.step_ps = 10'000;
  HandVi vi = traffic.vi(0, kBase, [](pst_command& alloc) { pst_vi_alloc_set_vector(&alloc, 2); });
  traffic.unmask(2);
  traffic.event(vi, HandTraffic::timer_event());
  for (int i = 0; i < kPrimes; ++i) traffic.prime(vi, 0);
  for (int i = 0; i < kPrimes; ++i) traffic.interrupt(2);
  EXPECT_EQ(monitor.violation_count(), 0u) << monitor.text();
  traffic.interrupt(2);
  expect(Rule::kR7, 1);
}

TEST_F(MonitorRulesTest, DmaAtAnInjectedUnmappedAddressIsExcusedAndNoOther) {
  traffic.vi(0, kBase);
  InjectedFault fault;
  fault.kind = FaultKind::kUnmappedAddress;
  fault.vi_id = 0;
  fault.detail = 0x7000'0000;
  monitor.fault_injected(traffic.now_ps, fault);
  uint8_t byte[16] = {};
  traffic.dma_read(0x7000'0000, byte, 16, false);
  EXPECT_EQ(monitor.violation_count(), 0u) << monitor.text();
  traffic.dma_read(kOtherBase, byte, 16, false);
  expect(Rule::kR8, 1);
}

// A VI whose event queue is mapped nowhere, and the command that would map it again at kOtherBase, not yet answered.
class ComingRangeTest : public MonitorRulesTest {
 protected:
  void SetUp() override {
    MonitorRulesTest::SetUp();
    vi = traffic.vi(0, kBase);
    traffic.command(HandTraffic::make(PST_COMMAND_TRANSLATION_UNMAP, vi.domain));
    map = HandTraffic::make(PST_COMMAND_TRANSLATION_MAP, vi.domain);
    pst_translation_map_set_host_address(&map, kOtherBase);
    pst_translation_map_set_length_bytes(&map, HandTraffic::kAreaBytes);
    pst_translation_map_set_writable(&map, 1);
    vi.host_base = kOtherBase;
  }
  HandVi vi;
  pst_command map{};
};

TEST_F(ComingRangeTest, EventMayLandInItOnceTheCommandWasRead) {
  traffic.submit(map);
  traffic.event(vi, HandTraffic::error_event(PST_ERROR_SOURCE_RX, PST_ERROR_CODE_DMA_FAULT));
  traffic.complete();
  EXPECT_EQ(monitor.shadow().vi(0)->events_written, 1u);
  expect(Rule::kR8, 0);
}

TEST_F(ComingRangeTest, NothingMayLandInItBefore) {
  traffic.event(vi, HandTraffic::error_event(PST_ERROR_SOURCE_RX, PST_ERROR_CODE_DMA_FAULT));
  traffic.command(map);
  expect(Rule::kR8, 1);
}

TEST_F(ComingRangeTest, NothingMayLandInOneThatWasRefused) {
  traffic.command(map, 0, PST_ERROR_CODE_NO_RESOURCE);
  traffic.event(vi, HandTraffic::error_event(PST_ERROR_SOURCE_RX, PST_ERROR_CODE_DMA_FAULT));
  expect(Rule::kR8, 1);
}

TEST_F(ComingRangeTest, NothingMayLandBesideIt) {
  pst_translation_map_set_length_bytes(&map, HandTraffic::kEvq);  // ends where the event queue begins
  traffic.submit(map);
  traffic.event(vi, HandTraffic::error_event(PST_ERROR_SOURCE_RX, PST_ERROR_CODE_DMA_FAULT));
  traffic.complete();
  expect(Rule::kR8, 1);
}

TEST_F(ComingRangeTest, NothingIsWrittenInOneThatIsReadOnly) {
  pst_translation_map_set_writable(&map, 0);
  traffic.submit(map);
  traffic.event(vi, HandTraffic::error_event(PST_ERROR_SOURCE_RX, PST_ERROR_CODE_DMA_FAULT));
  traffic.complete();
  expect(Rule::kR8, 1);
}

TEST_F(MonitorRulesTest, NothingMovesAfterSurpriseRemoval) {
  HandVi vi = traffic.vi(0, kBase);
  InjectedFault fault;
  fault.kind = FaultKind::kSurpriseRemoval;
  monitor.fault_injected(traffic.now_ps, fault);
  traffic.read(PST_BAR_VI, PST_VI_RX_DOORBELL_OFFSET, 0xffffffff, 4);  // all ones is right now
  EXPECT_EQ(monitor.violation_count(), 0u) << monitor.text();
  traffic.event(vi, HandTraffic::timer_event());
  expect(Rule::kR10, 1);
}

TEST_F(MonitorRulesTest, ReportNamesRegistersAndFields) {
  HandVi vi = traffic.vi(3, kBase);
  pst_event event = HandTraffic::timer_event(7);
  traffic.doorbell(vi, PST_VI_RX_DOORBELL_OFFSET, 4);
  traffic.dma_write(kBase + HandTraffic::kEvq, &event, sizeof event);  // phase 0
  ASSERT_EQ(monitor.violations().size(), 1u) << monitor.text();
  const std::string text = monitor.text();
  EXPECT_NE(text.find("R4 violated"), std::string::npos) << text;
  EXPECT_NE(text.find("VI 3"), std::string::npos) << text;
  EXPECT_NE(text.find("write VI 3 RX_DOORBELL = 0x4"), std::string::npos) << text;
  EXPECT_NE(text.find("TIMER_EVENT TYPE TIMER, SEQUENCE 7"), std::string::npos) << text;
  EXPECT_NE(monitor.json().find("\"rule\": \"R4\""), std::string::npos);
}

}  // namespace
}  // namespace postern::sim
