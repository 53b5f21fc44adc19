// The VI under the stack: what is posted and doorbelled, what events do. The device is played by hand through the
// rings.
#include "stack/vi_netif.h"

#include <map>

#include "contract/gen/pst_contract.h"
#include "tests/stack/test_network.h"

namespace postern::stack::test {
namespace {

class RecordingWindow : public ViWindow {
 public:
  void write_doorbell(uint32_t offset, uint64_t value) override {
    last[offset] = value;
    ++count[offset];
  }
  [[nodiscard]] uint64_t read_doorbell(uint32_t offset) const override { return last.at(offset); }
  void write_pio(uint32_t, const void*, size_t) override { FAIL(); }
  std::map<uint32_t, uint64_t> last;
  std::map<uint32_t, unsigned> count;
};

class ViNetifTest : public testing::Test {
 protected:
  ViNetifTest() {
    config = test_config(1);
    config.host_stack = 0;
    config.tx_checksum_offload = 1;
    config.vi.layout.geometry = {128, 128, 128};
    const size_t stack_bytes = Stack::region_bytes(config);
    const size_t ring_bytes = vi_layout_place(config.vi.layout, stack_bytes);
    region = std::make_unique<Region>(stack_bytes + ring_bytes);
    EXPECT_TRUE(Stack::format(region->base(), region->bytes(), config).ok());
    StackParts parts;
    parts.region = region->base();
    parts.region_bytes = region->bytes();
    parts.clock = &clock;
    parts.ports = &ports;
    parts.window = &window;
    stack = std::move(Stack::attach(parts)).value();
    socket = stack->open(SocketType::kDatagram);
    EXPECT_EQ(stack->bind(socket, {config.address, 7}), 0);
  }

  template <typename T>
  T* ring(uint64_t offset) {
    return reinterpret_cast<T*>(static_cast<uint8_t*>(region->base()) + offset);
  }
  void write_event(pst_event event) {
    pst_event_set_phase(&event, (event_idx & 128) == 0 ? 1 : 0);
    ring<pst_event>(config.vi.layout.evq_offset)[event_idx++ & 127] = event;
  }
  // The device receives a frame into the next posted buffer.
  void receive(const Frame& frame) {
    const auto& desc = ring<pst_rx_desc>(config.vi.layout.rx_ring_offset)[rx_idx & 127];
    std::memcpy(ring<uint8_t>(pst_rx_desc_get_address(&desc)), frame.data(), frame.size());
    ++rx_idx;
    pst_rx_event rx{};
    pst_rx_event_set_type(&rx, PST_EVENT_TYPE_RX);
    pst_rx_event_set_checksum_l3(&rx, PST_CHECKSUM_RESULT_GOOD);
    pst_rx_event_set_checksum_l4(&rx, PST_CHECKSUM_RESULT_GOOD);
    pst_rx_event_set_length_bytes(&rx, frame.size());
    pst_rx_event_set_desc_count(&rx, 1);
    pst_rx_event_set_rx_consumer_idx(&rx, rx_idx);
    write_event({{rx.word[0], rx.word[1]}});
  }
  void complete_tx(uint32_t consumer_idx) {
    pst_tx_event tx{};
    pst_tx_event_set_type(&tx, PST_EVENT_TYPE_TX);
    pst_tx_event_set_tx_consumer_idx(&tx, consumer_idx);
    write_event({{tx.word[0], tx.word[1]}});
  }
  Frame udp_frame(const std::string& text) {
    Frame frame(42 + text.size());
    const uint8_t peer_mac[6] = {2, 0, 0, 0, 0, 2};
    std::memcpy(frame.data(), config.mac, 6);
    std::memcpy(frame.data() + 6, peer_mac, 6);
    frame[12] = 8;
    frame[14] = 0x45;
    frame[17] = static_cast<uint8_t>(28 + text.size());
    frame[22] = 64;
    frame[23] = 17;
    std::memcpy(frame.data() + 26, IpAddress::ipv4(0x0a090002).bytes, 4);
    std::memcpy(frame.data() + 30, config.address.bytes, 4);
    frame[35] = 9;
    frame[37] = 7;
    frame[39] = static_cast<uint8_t>(8 + text.size());
    frame[40] = 1;  // a checksum that only the device has verified
    std::memcpy(frame.data() + 42, text.data(), text.size());
    return frame;
  }
  Frame arp_reply() {
    Frame frame(60);
    const uint8_t peer_mac[6] = {2, 0, 0, 0, 0, 2};
    std::memcpy(frame.data(), config.mac, 6);
    std::memcpy(frame.data() + 6, peer_mac, 6);
    const uint8_t fixed[10] = {8, 6, 0, 1, 8, 0, 6, 4, 0, 2};
    std::memcpy(frame.data() + 12, fixed, 10);
    std::memcpy(frame.data() + 22, peer_mac, 6);
    std::memcpy(frame.data() + 28, IpAddress::ipv4(0x0a090002).bytes, 4);
    std::memcpy(frame.data() + 32, config.mac, 6);
    std::memcpy(frame.data() + 38, config.address.bytes, 4);
    return frame;
  }
  int64_t send(const std::string& text) {
    const SocketAddress to{IpAddress::ipv4(0x0a090002), 9};
    const iovec iov{const_cast<char*>(text.data()), text.size()};
    return stack->send(socket, &iov, 1, 0, &to);
  }

  StackConfig config;
  std::unique_ptr<Region> region;
  TestClock clock;
  TestPorts ports;
  RecordingWindow window;
  std::unique_ptr<Stack> stack;
  int socket = -1;
  uint32_t event_idx = 0;
  uint32_t rx_idx = 0;
};

TEST_F(ViNetifTest, RxRingIsFilledWithOneDoorbell) {
  EXPECT_EQ(window.last[PST_VI_RX_DOORBELL_OFFSET], 128u);
  EXPECT_EQ(window.count[PST_VI_RX_DOORBELL_OFFSET], 1u);
}

TEST_F(ViNetifTest, ReceivedFrameReachesTheSocketWithoutACopyOfTheRing) {
  receive(udp_frame("hello"));
  EXPECT_TRUE(stack->must_not_sleep());
  EXPECT_EQ(stack->poll(), 1u);
  char buffer[16] = {};
  const iovec iov{buffer, sizeof buffer};
  EXPECT_EQ(stack->recv(socket, &iov, 1, 0, nullptr), 5);
  EXPECT_STREQ(buffer, "hello");
}

// As a device with RX_PREFIX and MERGE_COUNT does: a prefix in front of each frame, one event for all.
TEST_F(ViNetifTest, MergedFramesBehindPrefixesReachTheSocketOneByOne) {
  constexpr uint32_t kFrames = 3;
  const std::string texts[kFrames] = {"one", "twenty", "three hundred"};
  for (const std::string& text : texts) {
    const Frame frame = udp_frame(text);
    const auto& desc = ring<pst_rx_desc>(config.vi.layout.rx_ring_offset)[rx_idx++ & 127];
    pst_rx_prefix prefix{};
    pst_rx_prefix_set_length_bytes(&prefix, frame.size());
    *ring<pst_rx_prefix>(pst_rx_desc_get_address(&desc)) = prefix;
    std::memcpy(ring<uint8_t>(pst_rx_desc_get_address(&desc)) + sizeof prefix, frame.data(), frame.size());
  }
  pst_rx_event rx{};
  pst_rx_event_set_type(&rx, PST_EVENT_TYPE_RX);
  pst_rx_event_set_checksum_l3(&rx, PST_CHECKSUM_RESULT_GOOD);
  pst_rx_event_set_checksum_l4(&rx, PST_CHECKSUM_RESULT_GOOD);
  pst_rx_event_set_desc_count(&rx, kFrames);
  pst_rx_event_set_prefix_present(&rx, 1);
  pst_rx_event_set_merged(&rx, 1);
  pst_rx_event_set_rx_consumer_idx(&rx, rx_idx);
  write_event({{rx.word[0], rx.word[1]}});
  stack->poll();
  for (const std::string& text : texts) {
    char buffer[32] = {};
    const iovec iov{buffer, sizeof buffer};
    EXPECT_EQ(stack->recv(socket, &iov, 1, 0, nullptr), static_cast<int64_t>(text.size()));
    EXPECT_EQ(buffer, text);
  }
}

TEST_F(ViNetifTest, BuffersAreRefilledInBatches) {
  for (int i = 0; i < 15; ++i) receive(udp_frame("x"));
  stack->poll();
  EXPECT_EQ(window.count[PST_VI_RX_DOORBELL_OFFSET], 1u);
  receive(udp_frame("x"));
  stack->poll();
  EXPECT_EQ(window.last[PST_VI_RX_DOORBELL_OFFSET], 144u);
}

TEST_F(ViNetifTest, EventSpaceIsReturnedInLargeSteps) {
  for (int i = 0; i < 15; ++i) receive(udp_frame("x"));
  stack->poll();
  EXPECT_EQ(window.count[PST_VI_EVQ_CONSUMER_OFFSET], 0u);
  receive(udp_frame("x"));
  stack->poll();
  EXPECT_EQ(window.last[PST_VI_EVQ_CONSUMER_OFFSET], 16u);
}

TEST_F(ViNetifTest, SentBuffersComeBackAtTheCompletion) {
  EXPECT_EQ(send("needs an address"), 16);  // an ARP request goes first
  receive(arp_reply());
  stack->poll();
  EXPECT_EQ(window.last[PST_VI_TX_DOORBELL_OFFSET], 2u);
  const auto& desc = ring<pst_tx_desc>(config.vi.layout.tx_ring_offset)[1];
  EXPECT_EQ(pst_tx_desc_get_length_bytes(&desc), 14u + 20 + 8 + 16);
  EXPECT_EQ(pst_tx_desc_get_checksum_l3(&desc), 1u);
  EXPECT_EQ(pst_tx_desc_get_checksum_l4(&desc), 1u);
  EXPECT_EQ(std::memcmp(ring<uint8_t>(pst_tx_desc_get_address(&desc)) + 42, "needs an address", 16), 0);
  // Without completions the ring fills up; the rest waits in the backlog, and goes when there is space.
  int sent = 0;
  while (send("x") == 1) ++sent;
  EXPECT_GT(sent, 128);
  EXPECT_EQ(window.last[PST_VI_TX_DOORBELL_OFFSET], 127u);
  complete_tx(127);
  stack->poll();
  EXPECT_EQ(window.last[PST_VI_TX_DOORBELL_OFFSET], 127u + 127);
}

TEST_F(ViNetifTest, OnePrimeStandsUntilAnEventComes) {
  stack->begin_sleep();
  stack->end_sleep();
  stack->begin_sleep();
  stack->end_sleep();
  EXPECT_EQ(window.count[PST_VI_EVQ_PRIME_OFFSET], 1u);
  receive(udp_frame("x"));
  stack->poll();
  stack->begin_sleep();
  stack->end_sleep();
  EXPECT_EQ(window.count[PST_VI_EVQ_PRIME_OFFSET], 2u);
}

TEST_F(ViNetifTest, PollThatWakesNobodyPrimesAgainForSleepers) {
  EXPECT_EQ(send("needs an address"), 16);
  stack->begin_sleep();
  EXPECT_EQ(window.count[PST_VI_EVQ_PRIME_OFFSET], 1u);
  complete_tx(1);  // consumes the prime; makes nothing ready
  EXPECT_GT(stack->poll(), 0u);
  EXPECT_EQ(window.count[PST_VI_EVQ_PRIME_OFFSET], 2u);
  stack->end_sleep();
  complete_tx(1);
  stack->poll();
  EXPECT_EQ(window.count[PST_VI_EVQ_PRIME_OFFSET], 2u);  // nobody sleeps
}

TEST_F(ViNetifTest, HaltedViTakesTheStackDown) {
  pst_error_event error{};
  pst_error_event_set_type(&error, PST_EVENT_TYPE_ERROR);
  pst_error_event_set_code(&error, PST_ERROR_CODE_DMA_FAULT);
  write_event({{error.word[0], error.word[1]}});
  stack->poll();
  EXPECT_TRUE(stack->is_down());
  EXPECT_EQ(send("x"), -ENETDOWN);
}

}  // namespace
}  // namespace postern::stack::test
