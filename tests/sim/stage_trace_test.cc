#include "sim/stage_trace.h"

#include <gtest/gtest.h>

#include <string>

namespace postern::sim {
namespace {

constexpr uint32_t kVi = 3;
constexpr uint16_t kPort = 7000;

size_t idx(Stage stage) { return static_cast<size_t>(stage); }

const LatencyHistogram& interval(const StageTrace& trace, const std::string& name) {
  for (size_t i = 0; i < kStageIntervals.size(); ++i) {
    if (name == kStageIntervals[i].name) {
      return trace.interval(i);
    }
  }
  ADD_FAILURE() << "no interval " << name;
  return trace.interval(0);
}

// A UDP frame with payload_bytes for kPort.
EthernetFrame udp_frame(size_t payload_bytes) {
  EthernetFrame frame;
  frame.bytes.assign(std::max<size_t>(60, 42 + payload_bytes), 0);
  frame.bytes[12] = 0x08;
  frame.bytes[14] = 0x45;
  frame.bytes[17] = static_cast<uint8_t>(28 + payload_bytes);
  frame.bytes[23] = 17;
  frame.bytes[36] = kPort >> 8;
  frame.bytes[37] = kPort & 0xff;
  return frame;
}

TEST(StageTraceTest, DeviceLatenciesOfAFrameThatNoApplicationReceives) {
  StageTrace trace;
  HostStageTrace receiver(trace, true);
  EthernetFrame frame;  // no data of any port
  frame.bytes.assign(60, 0);
  frame.stamps_ps[idx(Stage::kDoorbellArrive)] = 1000;
  frame.stamps_ps[idx(Stage::kWireFirstBit)] = 1700;
  frame.stamps_ps[idx(Stage::kWireLastBit)] = 2000;
  frame.stamps_ps[idx(Stage::kEventWritten)] = 2400;
  receiver.rx_event_written(kVi, 0, frame);
  EXPECT_TRUE(trace.empty());
  EXPECT_EQ(trace.device_interval(0).max_ps(), 700u) << kDeviceIntervals[0].name;
  EXPECT_EQ(trace.device_interval(1).max_ps(), 400u) << kDeviceIntervals[1].name;
  frame.stamps_ps[idx(Stage::kDoorbellArrive)] = 0;  // not known: sent by something that is no NIC
  receiver.rx_event_written(kVi, 1, frame);
  EXPECT_EQ(trace.device_interval(0).count(), 1u);
  EXPECT_EQ(trace.device_interval(1).count(), 2u);
}

TEST(StageTraceTest, FollowsAPacketFromSendCallToReceiveCall) {
  StageTrace trace;
  HostStageTrace sender(trace, true);
  HostStageTrace receiver(trace, true);
  sender.send_begins(1000);
  sender.tx_doorbell_written(kVi, 1, 1200);
  sender.send_ends(kVi, 1);
  EthernetFrame frame = udp_frame(20);
  sender.tx_frame_built(kVi, 1, frame);
  EXPECT_EQ(frame.stamps_ps[idx(Stage::kSendCall)], 1000u);
  EXPECT_EQ(frame.stamps_ps[idx(Stage::kDoorbellWrite)], 1200u);
  frame.stamps_ps[idx(Stage::kDoorbellArrive)] = 1500;
  frame.stamps_ps[idx(Stage::kEventWritten)] = 3000;
  receiver.rx_event_written(kVi, 0, frame);
  receiver.events_seen(kVi, 1, 3100);
  EXPECT_TRUE(trace.empty());  // not received yet
  receiver.received(kPort, false, 3400);
  EXPECT_EQ(interval(trace, "stack_tx").max_ps(), 200u);
  EXPECT_EQ(interval(trace, "doorbell").max_ps(), 300u);
  EXPECT_EQ(interval(trace, "wakeup").max_ps(), 100u);
  EXPECT_EQ(interval(trace, "stack_rx").max_ps(), 300u);
  EXPECT_EQ(interval(trace, "total").max_ps(), 2400u);
  EXPECT_EQ(interval(trace, "wire").count(), 0u);  // its stamps are not known
}

TEST(StageTraceTest, ADoorbellAfterTheCallCoversAllPacketsBeforeIt) {
  StageTrace trace;
  HostStageTrace sender(trace, true);
  sender.send_begins(10);
  sender.send_ends(kVi, 1);
  sender.send_begins(20);
  sender.send_ends(kVi, 2);
  sender.tx_doorbell_written(kVi, 2, 50);
  EthernetFrame first = udp_frame(1);
  EthernetFrame second = udp_frame(1);
  sender.tx_frame_built(kVi, 1, first);
  sender.tx_frame_built(kVi, 2, second);
  EXPECT_EQ(first.stamps_ps[idx(Stage::kSendCall)], 10u);
  EXPECT_EQ(second.stamps_ps[idx(Stage::kSendCall)], 20u);
  EXPECT_EQ(first.stamps_ps[idx(Stage::kDoorbellWrite)], 50u);
  EXPECT_EQ(second.stamps_ps[idx(Stage::kDoorbellWrite)], 50u);
}

TEST(StageTraceTest, PacketsThatNoSendCallMadeHaveNoSendStamp) {
  StageTrace trace;
  HostStageTrace sender(trace, true);
  sender.tx_doorbell_written(kVi, 1, 50);  // a retransmission from a timer
  EthernetFrame frame = udp_frame(1);
  sender.tx_frame_built(kVi, 1, frame);
  EXPECT_EQ(frame.stamps_ps[idx(Stage::kSendCall)], 0u);
}

TEST(StageTraceTest, FramesWithoutApplicationDataAreLeftOut) {
  StageTrace trace;
  HostStageTrace receiver(trace, false);
  EthernetFrame frame = udp_frame(0);
  frame.stamps_ps[idx(Stage::kDoorbellArrive)] = 1;
  frame.stamps_ps[idx(Stage::kEventWritten)] = 2;
  receiver.rx_event_written(kVi, 0, frame);
  EXPECT_TRUE(trace.empty());
}

TEST(StageTraceTest, WithoutAHostAPacketIsCompleteWhenItsEventIsWritten) {
  StageTrace trace;
  HostStageTrace receiver(trace, false);
  EthernetFrame frame = udp_frame(5);
  frame.stamps_ps[idx(Stage::kDoorbellArrive)] = 100;
  frame.stamps_ps[idx(Stage::kEventWritten)] = 900;
  receiver.rx_event_written(kVi, 0, frame);
  EXPECT_EQ(interval(trace, "device").max_ps(), 800u);
  EXPECT_EQ(interval(trace, "total").count(), 0u);
}

TEST(StageTraceTest, AStreamReceiveCompletesAllThatWasSeen) {
  StageTrace trace;
  HostStageTrace receiver(trace, true);
  for (uint32_t i = 0; i < 3; ++i) {
    EthernetFrame frame = udp_frame(5);
    frame.stamps_ps[idx(Stage::kEventWritten)] = 100;
    receiver.rx_event_written(kVi, i, frame);
  }
  receiver.events_seen(kVi, 2, 200);
  receiver.received(kPort, true, 300);
  EXPECT_EQ(interval(trace, "stack_rx").count(), 2u);  // the third event was not seen yet
}

TEST(StageTraceTest, IndicesWrap) {
  StageTrace trace;
  HostStageTrace sender(trace, true);
  sender.send_begins(5);
  sender.tx_doorbell_written(kVi, 0xffffffff, 7);
  sender.send_ends(kVi, 0xffffffff);
  sender.send_begins(8);
  sender.tx_doorbell_written(kVi, 1, 9);
  sender.send_ends(kVi, 1);
  EthernetFrame frame = udp_frame(1);
  sender.tx_frame_built(kVi, 1, frame);
  EXPECT_EQ(frame.stamps_ps[idx(Stage::kSendCall)], 8u);
}

}  // namespace
}  // namespace postern::sim
