// The VI library against hand-written ring bytes: descriptors out, events in, wrap, phase and doorbells.
#include "driver/vi.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "contract/gen/pst_contract.h"

namespace postern {
namespace {

constexpr uint64_t kRingStart = 0x4000;

// Remembers doorbell writes in order.
class RecordingWindow : public ViWindow {
 public:
  void write_doorbell(uint32_t offset, uint64_t value) override { writes.emplace_back(offset, value); }
  uint64_t read_doorbell(uint32_t) const override { return 0; }
  void write_pio(uint32_t offset_bytes, const void* data, size_t size_bytes) override {
    const auto* bytes = static_cast<const uint8_t*>(data);
    pio_offset = offset_bytes;
    pio.assign(bytes, bytes + size_bytes);
    doorbells_before_pio = writes.size();
  }
  uint32_t pio_offset = 0xffffffff;
  std::vector<uint8_t> pio;
  size_t doorbells_before_pio = 0;
  std::vector<std::pair<uint32_t, uint64_t>> writes;
};

using Bytes = std::array<uint8_t, 16>;
using Write = std::pair<uint32_t, uint64_t>;

class ViTest : public ::testing::Test {
 protected:
  ViTest() {
    ViLayout layout;
    layout.geometry = {128, 128, 128};
    const size_t ring_bytes = vi_layout_place(layout, kRingStart);
    region_.resize(kRingStart + ring_bytes);
    vi_state_initialise(state_, layout, 7);
    vi_ = Vi(region_.data(), &state_, &window_);
  }

  Bytes slot(uint64_t ring_offset, uint32_t slot_idx) const {
    Bytes bytes;
    std::memcpy(bytes.data(), region_.data() + ring_offset + slot_idx * 16, 16);
    return bytes;
  }

  // Writes an event as the device does at a free-running index of a 128-entry queue.
  void device_writes_event(uint32_t idx, uint64_t word0, uint64_t word1) {
    const uint64_t phase = ((idx / 128) & 1) == 0 ? 1 : 0;
    const uint64_t words[2] = {word0, (word1 & ~(uint64_t{1} << 63)) | (phase << 63)};
    std::memcpy(region_.data() + state_.layout.evq_offset + (idx % 128) * 16, words, 16);
  }

  std::vector<uint8_t> region_;
  ViState state_;
  RecordingWindow window_;
  Vi vi_;
};

TEST(ViLayoutTest, RingsFollowEachOtherOnPages) {
  ViLayout layout;
  layout.geometry = {128, 4096, 512};
  EXPECT_EQ(vi_layout_place(layout, 0x10000), 4096u + 65536u + 8192u);
  EXPECT_EQ(layout.rx_ring_offset, 0x10000u);
  EXPECT_EQ(layout.tx_ring_offset, 0x11000u);
  EXPECT_EQ(layout.evq_offset, 0x21000u);
}

TEST(ViLayoutTest, GeometryOutsideTheContractIsRefused) {
  EXPECT_TRUE(vi_geometry_valid({128, 4096, 32768}));
  EXPECT_FALSE(vi_geometry_valid({64, 128, 128}));
  EXPECT_FALSE(vi_geometry_valid({128, 8192, 128}));
  EXPECT_FALSE(vi_geometry_valid({128, 128, 65536}));
  EXPECT_FALSE(vi_geometry_valid({129, 128, 128}));
  EXPECT_FALSE(vi_geometry_valid({128, 128, 0}));
}

TEST_F(ViTest, RxDescriptorBytesAreAsTheContractSays) {
  EXPECT_TRUE(vi_.post_rx(0x0000123456789abc, 0x0800));
  const Bytes expected = {0xbc, 0x9a, 0x78, 0x56, 0x34, 0x12, 0, 0, 0x00, 0x08, 0, 0, 0, 0, 0, 0};
  EXPECT_EQ(slot(state_.layout.rx_ring_offset, 0), expected);
  EXPECT_TRUE(window_.writes.empty());
}

TEST_F(ViTest, OneRxDoorbellCoversABatchAndIsNotRepeated) {
  EXPECT_TRUE(vi_.post_rx(0x1000, 2048));
  EXPECT_TRUE(vi_.post_rx(0x2000, 2048));
  vi_.ring_rx_doorbell();
  vi_.ring_rx_doorbell();
  EXPECT_EQ(window_.writes, (std::vector<Write>{{0x00, 2}}));
}

TEST_F(ViTest, RxRingFullRefusesAndSpaceReturnsWithTheEvent) {
  for (uint32_t i = 0; i < 128; ++i) {
    ASSERT_TRUE(vi_.post_rx(i * 2048, 2048));
  }
  EXPECT_EQ(vi_.rx_space(), 0u);
  EXPECT_FALSE(vi_.post_rx(0, 2048));
  // RX event: length 60, two descriptors, consumer index 2.
  device_writes_event(0, 1 | (uint64_t{60} << 16) | (uint64_t{2} << 32), 2);
  ViEvent event;
  ASSERT_EQ(vi_.poll(&event, 1), 1u);
  EXPECT_EQ(vi_.rx_space(), 2u);
  EXPECT_TRUE(vi_.post_rx(0xabc000, 2048));
  EXPECT_EQ(slot(state_.layout.rx_ring_offset, 0)[1], 0xc0);  // wrapped to slot 0
}

TEST_F(ViTest, TxDescriptorsCarryFlagsOnTheFirstAndEndOnTheLastFragment) {
  const TxFragment fragments[2] = {{0x10040, 54}, {0x20000, 1446}};
  TxOptions options;
  options.checksum_l3 = true;
  options.checksum_l4 = true;
  options.complete = true;
  ASSERT_TRUE(vi_.queue_tx(fragments, 2, options));
  // byte 10: TYPE 1..0, END 2, L3 3, L4 4, SEGMENT 5, TIMESTAMP 6, COMPLETE 7
  const Bytes first = {0x40, 0x00, 0x01, 0, 0, 0, 0, 0, 54, 0, 0x98, 0, 0, 0, 0, 0};
  const Bytes last = {0x00, 0x00, 0x02, 0, 0, 0, 0, 0, 0xa6, 0x05, 0x04, 0, 0, 0, 0, 0};
  EXPECT_EQ(slot(state_.layout.tx_ring_offset, 0), first);
  EXPECT_EQ(slot(state_.layout.tx_ring_offset, 1), last);
  vi_.ring_tx_doorbell();
  vi_.ring_tx_doorbell();
  EXPECT_EQ(window_.writes, (std::vector<Write>{{0x08, 2}}));
}

TEST_F(ViTest, SegmentationPutsAnOptionDescriptorFirst) {
  const TxFragment fragment = {0x3000, 9000};
  TxOptions options;
  options.segment_mss_bytes = 1448;
  ASSERT_TRUE(vi_.queue_tx(&fragment, 1, options));
  const Bytes option = {0xa8, 0x05, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0, 0, 0, 0, 0};
  const Bytes data = {0x00, 0x30, 0, 0, 0, 0, 0, 0, 0x28, 0x23, 0x24, 0, 0, 0, 0, 0};
  EXPECT_EQ(slot(state_.layout.tx_ring_offset, 0), option);
  EXPECT_EQ(slot(state_.layout.tx_ring_offset, 1), data);
  EXPECT_EQ(state_.tx_producer_idx, 2u);
}

TEST_F(ViTest, PacketThatDoesNotFitLeavesTheTxRingUntouched) {
  state_.tx_producer_idx = state_.tx_doorbell_idx = 127;
  const TxFragment fragments[2] = {{0x1000, 64}, {0x2000, 64}};
  EXPECT_EQ(vi_.tx_space(), 1u);
  EXPECT_FALSE(vi_.queue_tx(fragments, 2, {}));
  vi_.ring_tx_doorbell();
  EXPECT_TRUE(window_.writes.empty());
}

TEST_F(ViTest, TxIndexWrapsOver32Bits) {
  state_.tx_producer_idx = state_.tx_doorbell_idx = state_.tx_consumer_idx = 0xffffffff;
  const TxFragment fragments[2] = {{0x1000, 64}, {0x2000, 64}};
  ASSERT_TRUE(vi_.queue_tx(fragments, 2, {}));
  EXPECT_EQ(slot(state_.layout.tx_ring_offset, 127)[1], 0x10);
  EXPECT_EQ(slot(state_.layout.tx_ring_offset, 0)[1], 0x20);
  vi_.ring_tx_doorbell();
  EXPECT_EQ(window_.writes, (std::vector<Write>{{0x08, 1}}));
  EXPECT_EQ(vi_.tx_space(), 126u);
}

TEST_F(ViTest, RxEventFieldsAreDecoded) {
  // L3 good (1), L4 bad (2), truncated (1), length 0x0203, three descriptors up to index 0x10.
  device_writes_event(0, 1 | (1 << 4) | (2 << 6) | (1 << 8) | (uint64_t{0x0203} << 16) | (uint64_t{3} << 32), 0x10);
  ViEvent event;
  ASSERT_TRUE(vi_.has_event());
  ASSERT_EQ(vi_.poll(&event, 1), 1u);
  EXPECT_EQ(event.type, ViEventType::kRx);
  EXPECT_EQ(event.checksum_l3, ChecksumResult::kGood);
  EXPECT_EQ(event.checksum_l4, ChecksumResult::kBad);
  EXPECT_TRUE(event.truncated);
  EXPECT_EQ(event.length_bytes, 0x0203);
  EXPECT_EQ(event.desc_count, 3);
  EXPECT_EQ(event.first_idx, 0x0du);
  EXPECT_EQ(event.consumer_idx, 0x10u);
  EXPECT_FALSE(vi_.has_event());
}

TEST_F(ViTest, TxEventIsCumulative) {
  state_.tx_producer_idx = 20;
  device_writes_event(0, 2, 5);
  device_writes_event(1, 2, 20);
  ViEvent events[4];
  ASSERT_EQ(vi_.poll(events, 4), 2u);
  EXPECT_EQ(events[0].type, ViEventType::kTx);
  EXPECT_EQ(events[0].first_idx, 0u);
  EXPECT_EQ(events[0].consumer_idx, 5u);
  EXPECT_EQ(events[1].first_idx, 5u);
  EXPECT_EQ(events[1].consumer_idx, 20u);
  EXPECT_EQ(vi_.tx_space(), 128u);
}

TEST_F(ViTest, TimerErrorAndWakeupEventsCarryTheirCode) {
  device_writes_event(0, 3 | (uint64_t{0x1234} << 16), 0);
  device_writes_event(1, 4 | (1 << 4) | (uint64_t{8} << 16), 0x55);
  device_writes_event(2, 5 | (uint64_t{9} << 16), 0);
  ViEvent events[4];
  ASSERT_EQ(vi_.poll(events, 4), 3u);
  EXPECT_EQ(events[0].type, ViEventType::kTimer);
  EXPECT_EQ(events[0].code, 0x1234);
  EXPECT_EQ(events[1].type, ViEventType::kError);
  EXPECT_EQ(events[1].code, PST_ERROR_CODE_DMA_FAULT);
  EXPECT_EQ(events[1].first_idx, 0x55u);
  EXPECT_EQ(state_.halted_code, PST_ERROR_CODE_DMA_FAULT);
  EXPECT_EQ(events[2].type, ViEventType::kWakeup);
  EXPECT_EQ(events[2].code, 9);
}

TEST_F(ViTest, PhaseSeparatesPassesOverTheRing) {
  ViEvent event;
  for (uint32_t idx = 0; idx < 3 * 128; ++idx) {
    ASSERT_FALSE(vi_.has_event()) << idx;
    device_writes_event(idx, 2, idx);
    ASSERT_TRUE(vi_.has_event()) << idx;
    ASSERT_EQ(vi_.poll(&event, 1), 1u) << idx;
    ASSERT_EQ(event.consumer_idx, idx);
  }
  EXPECT_EQ(state_.events_count, 3u * 128u);
}

TEST_F(ViTest, PhaseStaysRightWhenTheEventIndexWraps32Bits) {
  state_.evq_consumer_idx = state_.evq_doorbell_idx = 0xffffffff;
  device_writes_event(0xfffffffe, 2, 0);  // last pass: slot 126 was written in this pass
  device_writes_event(0xffffffff, 2, 1);
  device_writes_event(0, 2, 2);
  ViEvent events[4];
  ASSERT_EQ(vi_.poll(events, 4), 2u);
  vi_.ring_evq_doorbell();
  EXPECT_EQ(window_.writes, (std::vector<Write>{{0x10, 1}}));
}

TEST_F(ViTest, PollStopsAtTheCallersLimitAndKeepsTheRest) {
  for (uint32_t idx = 0; idx < 5; ++idx) {
    device_writes_event(idx, 2, idx + 1);
  }
  ViEvent events[3];
  EXPECT_EQ(vi_.poll(events, 3), 3u);
  EXPECT_EQ(vi_.poll(events, 3), 2u);
  EXPECT_EQ(vi_.poll(events, 3), 0u);
  EXPECT_EQ(state_.polls_count, 3u);
}

// A merged event of frame_count frames in front of consumer_idx, each length 100 + its ring index in its prefix.
class ViMergeTest : public ViTest {
 protected:
  ViMergeTest() {
    region_.resize(kRingStart + 0x100000);
    vi_ = Vi(region_.data(), &state_, &window_);
  }
  static constexpr uint64_t kBuffers = 0x20000;
  void post(uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) {
      const uint64_t address = kBuffers + 2048 * (state_.rx_producer_idx % 128);
      pst_rx_prefix prefix{};
      pst_rx_prefix_set_length_bytes(&prefix, 100 + state_.rx_producer_idx);
      std::memcpy(region_.data() + address, &prefix, sizeof prefix);
      ASSERT_TRUE(vi_.post_rx(address, 2048));
    }
  }
  void device_writes_merged(uint32_t event_idx, uint32_t frame_count, uint32_t consumer_idx) {
    pst_rx_event rx{};
    pst_rx_event_set_type(&rx, PST_EVENT_TYPE_RX);
    pst_rx_event_set_checksum_l4(&rx, PST_CHECKSUM_RESULT_GOOD);
    pst_rx_event_set_desc_count(&rx, frame_count);
    pst_rx_event_set_prefix_present(&rx, 1);
    pst_rx_event_set_merged(&rx, 1);
    pst_rx_event_set_rx_consumer_idx(&rx, consumer_idx);
    device_writes_event(event_idx, rx.word[0], rx.word[1]);
  }
};

TEST_F(ViMergeTest, MergedEventBecomesOneEventPerFrame) {
  post(5);
  device_writes_merged(0, 5, 5);
  ViEvent events[8];
  ASSERT_EQ(vi_.poll(events, 8), 5u);
  for (uint32_t i = 0; i < 5; ++i) {
    EXPECT_EQ(events[i].type, ViEventType::kRx);
    EXPECT_EQ(events[i].checksum_l4, ChecksumResult::kGood);
    EXPECT_EQ(events[i].first_idx, i);
    EXPECT_EQ(events[i].consumer_idx, i + 1);
    EXPECT_EQ(events[i].desc_count, 1);
    EXPECT_EQ(events[i].length_bytes, 100 + i);
    EXPECT_EQ(events[i].payload_offset_bytes, PST_LIMIT_RX_PREFIX_BYTES);
  }
  EXPECT_EQ(state_.events_count, 1u);
  EXPECT_EQ(state_.evq_consumer_idx, 1u);
  EXPECT_EQ(vi_.rx_space(), 128u);
}

// The caller's limit falls within the event: nothing is lost, the slot is given back only when all has been given out,
// and descriptors that are posted in between do not disturb the frames still to come.
TEST_F(ViMergeTest, PollGoesOnWithinAMergedEvent) {
  post(128);
  device_writes_merged(0, 100, 100);
  device_writes_merged(1, 28, 128);
  ViEvent events[48];
  uint32_t next = 0;
  for (const size_t expected : {48u, 48u, 32u, 0u}) {
    EXPECT_EQ(vi_.has_event(), expected != 0);
    ASSERT_EQ(vi_.poll(events, 48), expected);
    for (size_t i = 0; i < expected; ++i, ++next) {
      ASSERT_EQ(events[i].first_idx, next);
      ASSERT_EQ(events[i].length_bytes, 100 + next);
    }
    EXPECT_EQ(vi_.rx_space(), next - (state_.rx_producer_idx - 128));
    if (next == 48) {
      EXPECT_EQ(state_.evq_consumer_idx, 0u);
      ASSERT_TRUE(vi_.post_rx(0x1000, 64));
    }
  }
  EXPECT_EQ(next, 128u);
  EXPECT_EQ(state_.evq_consumer_idx, 2u);
  EXPECT_EQ(state_.events_count, 2u);
}

TEST_F(ViMergeTest, MergedEventOfNoFrameIsSkipped) {
  device_writes_merged(0, 0, 0);
  device_writes_event(1, 2, 1);
  ViEvent event;
  ASSERT_EQ(vi_.poll(&event, 1), 1u);
  EXPECT_EQ(event.type, ViEventType::kTx);
}

TEST_F(ViTest, PrefixOfAnOrdinaryEventMovesThePayload) {
  device_writes_event(0, 1 | (uint64_t{60} << 16) | (uint64_t{1} << 32) | (uint64_t{1} << 40), 1);
  ViEvent event;
  ASSERT_EQ(vi_.poll(&event, 1), 1u);
  EXPECT_EQ(event.length_bytes, 60);
  EXPECT_EQ(event.payload_offset_bytes, 32);
}

TEST_F(ViTest, UnknownEventTypeIsSkippedAndItsSpaceReturned) {
  device_writes_event(0, 0xe, 0);
  device_writes_event(1, 2, 1);
  ViEvent events[2];
  ASSERT_EQ(vi_.poll(events, 2), 1u);
  EXPECT_EQ(events[0].type, ViEventType::kTx);
  vi_.ring_evq_doorbell();
  EXPECT_EQ(window_.writes, (std::vector<Write>{{0x10, 2}}));
}

TEST_F(ViTest, OverflowMarkIsCounted) {
  device_writes_event(0, 2, (uint64_t{1} << 62) | 1);
  ViEvent event;
  ASSERT_EQ(vi_.poll(&event, 1), 1u);
  EXPECT_EQ(event.consumer_idx, 1u);
  EXPECT_EQ(state_.overflow_marks_count, 1u);
}

TEST_F(ViTest, PrimeCarriesConsumerIndexAndANewSequenceEachTime) {
  device_writes_event(0, 2, 1);
  ViEvent event;
  ASSERT_EQ(vi_.poll(&event, 1), 1u);
  vi_.prime();
  vi_.prime();
  vi_.ring_evq_doorbell();  // the prime has returned the space already
  EXPECT_EQ(window_.writes, (std::vector<Write>{{0x18, 0x0000000100000001}, {0x18, 0x0000000200000001}}));
  state_.prime_sequence = 0xffff;
  vi_.prime();
  EXPECT_EQ(window_.writes.back(), (Write{0x18, 0x0000000100000001}));  // never 0
  EXPECT_EQ(state_.primes_count, 3u);
}

TEST_F(ViTest, TimerDoorbellCarriesDelayAndSequence) {
  vi_.arm_timer(250000, 3);
  EXPECT_EQ(window_.writes, (std::vector<Write>{{0x20, 0x000000030003d090}}));
}

// --- push and PIO ----------------------------------------------------------------------------------------------------

class ViPushTest : public ViTest {
 protected:
  ViPushTest() { state_.features = PST_FUNCTION_FEATURES_TX_PUSH_MASK | PST_FUNCTION_FEATURES_PIO_MASK; }

  void queue(size_t fragment_count = 1, const TxOptions& options = {}) {
    const TxFragment fragments[2] = {{0x10040, 60}, {0x20000, 61}};
    ASSERT_TRUE(vi_.queue_tx(fragments, fragment_count, options));
  }
  // The device has completed all before idx, and the library has seen it.
  void complete(uint32_t idx) {
    device_writes_event(state_.evq_consumer_idx, 2, idx);
    ViEvent event;
    ASSERT_EQ(vi_.poll(&event, 1), 1u);
  }
  std::vector<Write> take_writes() { return std::exchange(window_.writes, {}); }
  // Bytes 0 to 7 and 8 to 15 of the descriptor that queue() makes: address, then length 60 and END_OF_PACKET.
  static constexpr uint64_t kLow = 0x10040, kHigh = 60 | uint64_t{0x04} << 16;
};

TEST_F(ViPushTest, OnePacketOnAnEmptyRingTakesItsDescriptorAlong) {
  queue();
  vi_.ring_tx_doorbell();
  vi_.ring_tx_doorbell();
  EXPECT_EQ(take_writes(), (std::vector<Write>{{0x40, kLow}, {0x48, kHigh}, {0x50, 1}}));
  complete(1);
  queue();
  vi_.ring_tx_doorbell();
  EXPECT_EQ(take_writes(), (std::vector<Write>{{0x40, kLow}, {0x48, kHigh}, {0x50, 2}}));
}

TEST_F(ViPushTest, DescriptorIsInTheRingAsWell) {
  queue();
  vi_.ring_tx_doorbell();
  uint64_t words[2];
  std::memcpy(words, slot(state_.layout.tx_ring_offset, 0).data(), 16);
  EXPECT_EQ(words[0], kLow);
  EXPECT_EQ(words[1], kHigh);
}

TEST_F(ViPushTest, NoPushWhileAnEarlierPacketIsNotKnownToBeCompleted) {
  queue();
  vi_.ring_tx_doorbell();
  take_writes();
  queue();
  vi_.ring_tx_doorbell();
  EXPECT_EQ(take_writes(), (std::vector<Write>{{0x08, 2}}));
  complete(1);
  queue();
  vi_.ring_tx_doorbell();
  EXPECT_EQ(take_writes(), (std::vector<Write>{{0x08, 3}}));
  complete(3);
  queue();
  vi_.ring_tx_doorbell();
  EXPECT_EQ(take_writes().back(), (Write{0x50, 4}));
}

TEST_F(ViPushTest, NoPushOfSeveralDescriptors) {
  queue();
  queue();
  vi_.ring_tx_doorbell();
  EXPECT_EQ(take_writes(), (std::vector<Write>{{0x08, 2}}));
  complete(2);
  queue(2);
  vi_.ring_tx_doorbell();
  EXPECT_EQ(take_writes(), (std::vector<Write>{{0x08, 4}}));
  complete(4);
  TxOptions options;
  options.vlan_insert = true;
  queue(1, options);
  vi_.ring_tx_doorbell();
  EXPECT_EQ(take_writes(), (std::vector<Write>{{0x08, 6}}));
}

TEST_F(ViPushTest, PushGoesOnWhenTheIndexWraps32Bits) {
  state_.tx_producer_idx = state_.tx_doorbell_idx = state_.tx_consumer_idx = 0xffffffff;
  queue();
  vi_.ring_tx_doorbell();
  EXPECT_EQ(take_writes().back(), (Write{0x50, 0}));
}

TEST_F(ViTest, DeviceThatIsNotKnownToPushGetsPlainDoorbells) {
  const TxFragment fragment = {0x1000, 60};
  ASSERT_TRUE(vi_.queue_tx(&fragment, 1, {}));
  vi_.ring_tx_doorbell();
  EXPECT_EQ(window_.writes, (std::vector<Write>{{0x08, 1}}));
  const uint8_t frame[60] = {};
  EXPECT_FALSE(vi_.send_pio(frame, sizeof frame, {}));
}

TEST_F(ViPushTest, PioFrameGoesIntoThePageBeforeItsDoorbell) {
  std::vector<uint8_t> frame(100);
  for (size_t i = 0; i < frame.size(); ++i) frame[i] = static_cast<uint8_t>(i);
  TxOptions options;
  options.checksum_l4 = true;
  options.complete = true;
  ASSERT_TRUE(vi_.send_pio(frame.data(), frame.size(), options));
  EXPECT_EQ(window_.pio, frame);
  EXPECT_EQ(window_.pio_offset, 0u);
  EXPECT_EQ(window_.doorbells_before_pio, 0u);
  // TX_IDX 1, OFFSET 0, LENGTH 100 from bit 44, CHECKSUM_L4 bit 59, COMPLETE bit 60.
  EXPECT_EQ(take_writes(), (std::vector<Write>{{0x28, 1 | uint64_t{100} << 44 | uint64_t{3} << 59}}));
  EXPECT_EQ(vi_.tx_space(), 127u);
  vi_.ring_tx_doorbell();
  EXPECT_TRUE(take_writes().empty());
}

TEST_F(ViPushTest, PioNeedsAnEmptyRingAndAFrameThatFits) {
  std::vector<uint8_t> frame(PST_LIMIT_PIO_BYTES + 1);
  EXPECT_FALSE(vi_.send_pio(frame.data(), frame.size(), {}));
  queue();
  EXPECT_FALSE(vi_.send_pio(frame.data(), 60, {}));  // queued
  vi_.ring_tx_doorbell();
  take_writes();
  EXPECT_FALSE(vi_.send_pio(frame.data(), 60, {}));  // not completed
  complete(1);
  TxOptions segmented;
  segmented.segment_mss_bytes = 1000;
  EXPECT_FALSE(vi_.send_pio(frame.data(), 60, segmented));
  EXPECT_TRUE(take_writes().empty());
  EXPECT_TRUE(vi_.send_pio(frame.data(), PST_LIMIT_PIO_BYTES, {}));
  EXPECT_FALSE(vi_.send_pio(frame.data(), 60, {}));
  complete(2);
  queue();
  vi_.ring_tx_doorbell();
  EXPECT_EQ(take_writes().back(), (Write{0x50, 3}));
}

TEST_F(ViTest, TagIsInsertedByAnOptionDescriptor) {
  const TxFragment fragment = {0x3000, 100};
  TxOptions options;
  options.vlan_insert = true;
  options.vlan_tci = 0x2064;
  ASSERT_TRUE(vi_.queue_tx(&fragment, 1, options));
  const Bytes option = {0, 0, 0x64, 0x20, 0x01, 0, 0, 0, 0, 0, 0x01, 0, 0, 0, 0, 0};
  EXPECT_EQ(slot(state_.layout.tx_ring_offset, 0), option);
  EXPECT_EQ(slot(state_.layout.tx_ring_offset, 1)[10], 0x04);  // END_OF_PACKET, no SEGMENT
}

}  // namespace
}  // namespace postern
