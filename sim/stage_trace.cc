// Pairs stamps with packets by ring and event indices; see the header.
#include "sim/stage_trace.h"

#include <algorithm>

namespace postern::sim {
namespace {

constexpr uint8_t kProtocolTcp = 6;
constexpr uint8_t kProtocolUdp = 17;

size_t idx(Stage stage) { return static_cast<size_t>(stage); }

bool reached(uint32_t idx_a, uint32_t idx_b) { return static_cast<int32_t>(idx_a - idx_b) >= 0; }

// The destination port of a frame that carries application data; 0 for anything else (ARP, ICMP, bare
// acknowledgements).
uint16_t data_port(const std::vector<uint8_t>& bytes) {
  if (bytes.size() < 34 || bytes[12] != 0x08 || bytes[13] != 0x00) {
    return 0;
  }
  const size_t header_bytes = size_t{bytes[14] & 0x0fu} * 4;
  const size_t total_bytes = size_t{bytes[16]} << 8 | bytes[17];
  const size_t l4 = 14 + header_bytes;
  if (bytes.size() < l4 + 13) {
    return 0;
  }
  const bool tcp = bytes[23] == kProtocolTcp;
  const size_t l4_header_bytes = tcp ? size_t{bytes[l4 + 12]} / 16 * 4 : 8;
  if ((!tcp && bytes[23] != kProtocolUdp) || total_bytes <= header_bytes + l4_header_bytes) {
    return 0;
  }
  return static_cast<uint16_t>(bytes[l4 + 2] << 8 | bytes[l4 + 3]);
}

}  // namespace

const std::array<StageInterval, kStageIntervalCount> kStageIntervals = {{
    {"stack_tx", Stage::kSendCall, Stage::kDoorbellWrite, "send call to TX doorbell write"},
    {"doorbell", Stage::kDoorbellWrite, Stage::kDoorbellArrive, "doorbell write to its arrival in the device"},
    {"desc_fetch", Stage::kDoorbellArrive, Stage::kDescFetched, "doorbell arrival to descriptors in the device"},
    {"tx_dma", Stage::kDescFetched, Stage::kPayloadFetched, "descriptors to payload in the device"},
    {"port_wait", Stage::kPayloadFetched, Stage::kWireFirstBit, "payload in the device to first bit on the wire"},
    {"wire", Stage::kWireFirstBit, Stage::kWireLastBit, "first bit sent to last bit arrived, switches included"},
    {"rx_dma", Stage::kWireLastBit, Stage::kRxPayloadWritten, "last bit to payload in host memory"},
    {"event_write", Stage::kRxPayloadWritten, Stage::kEventWritten, "payload to event in host memory"},
    {"wakeup", Stage::kEventWritten, Stage::kHostSeen, "event to host software that has read it"},
    {"stack_rx", Stage::kHostSeen, Stage::kRecvReturn, "event read to receive call returned"},
    {"total", Stage::kSendCall, Stage::kRecvReturn, "send call to receive call returned"},
    {"device", Stage::kDoorbellArrive, Stage::kEventWritten, "both NICs and the wire"},
}};

const std::array<StageInterval, kDeviceIntervalCount> kDeviceIntervals = {{
    {"doorbell_to_wire", Stage::kDoorbellArrive, Stage::kWireFirstBit, "doorbell arrival to first bit on the wire"},
    {"wire_to_event", Stage::kWireLastBit, Stage::kEventWritten, "last bit arrived to event in host memory"},
}};

namespace {

template <size_t kCount>
void add_intervals(const std::array<StageInterval, kCount>& intervals, const StageStamps& stamps,
                   std::array<LatencyHistogram, kCount>& histograms) {
  for (size_t i = 0; i < kCount; ++i) {
    const uint64_t from_ps = stamps[idx(intervals[i].from)];
    const uint64_t to_ps = stamps[idx(intervals[i].to)];
    if (from_ps != 0 && to_ps >= from_ps) {
      histograms[i].add(to_ps - from_ps);
    }
  }
}

}  // namespace

void StageTrace::complete(const StageStamps& stamps) { add_intervals(kStageIntervals, stamps, histograms_); }

void StageTrace::delivered(const StageStamps& stamps) { add_intervals(kDeviceIntervals, stamps, device_histograms_); }

bool StageTrace::empty() const {
  return std::all_of(histograms_.begin(), histograms_.end(), [](const LatencyHistogram& h) { return h.count() == 0; });
}

void HostStageTrace::send_ends(uint32_t vi_id, uint32_t tx_producer_idx) {
  PerVi& vi = vis_[vi_id];
  if (vi.sent.empty() || !reached(vi.sent.back().end_idx, tx_producer_idx)) {
    vi.sent.push_back({tx_producer_idx, send_ps_, 0});
  }
  send_ps_ = 0;
}

void HostStageTrace::tx_doorbell_written(uint32_t vi_id, uint32_t tx_idx, uint64_t now_ps) {
  PerVi& vi = vis_[vi_id];
  for (auto it = vi.sent.rbegin(); it != vi.sent.rend() && it->doorbell_ps == 0; ++it) {
    it->doorbell_ps = now_ps;
  }
  if (vi.sent.empty() || !reached(vi.sent.back().end_idx, tx_idx)) {
    vi.sent.push_back({tx_idx, send_ps_, now_ps});
  }
}

void HostStageTrace::tx_frame_built(uint32_t vi_id, uint32_t tx_idx, EthernetFrame& frame) {
  frame.sender = uint32_t{host_idx_} << 16U | vi_id;
  PerVi& vi = vis_[vi_id];
  while (!vi.sent.empty() && !reached(vi.sent.front().end_idx, tx_idx)) {
    vi.sent.pop_front();
  }
  if (!vi.sent.empty()) {
    frame.stamps_ps[idx(Stage::kSendCall)] = vi.sent.front().send_ps;
    frame.stamps_ps[idx(Stage::kDoorbellWrite)] = vi.sent.front().doorbell_ps;
  }
}

void HostStageTrace::rx_event_written(uint32_t vi_id, uint32_t event_idx, const EthernetFrame& frame) {
  trace_.delivered(frame.stamps_ps);
  const uint16_t port = data_port(frame.bytes);
  if (port == 0) {
    return;
  }
  const PacketPath path{frame.stamps_ps, frame.sender, uint32_t{host_idx_} << 16U | vi_id,
                        static_cast<uint32_t>(frame.bytes.size()), port};
  if (!host_is_traced_) {
    trace_.complete(path);
    return;
  }
  auto& announced = vis_[vi_id].announced;
  announced.push_back({event_idx, path});
  if (announced.size() > kPendingMax) {
    announced.pop_front();
  }
}

void HostStageTrace::events_seen(uint32_t vi_id, uint32_t evq_consumer_idx, uint64_t now_ps) {
  auto& announced = vis_[vi_id].announced;
  while (!announced.empty() && !reached(announced.front().event_idx, evq_consumer_idx)) {
    auto& seen = seen_[announced.front().path.local_port];
    seen.push_back(announced.front().path);
    seen.back().stamps_ps[idx(Stage::kHostSeen)] = now_ps;
    announced.pop_front();
    if (seen.size() > kPendingMax) {
      seen.pop_front();
    }
  }
}

void HostStageTrace::received(uint16_t local_port, bool all, uint64_t now_ps) {
  const auto it = seen_.find(local_port);
  if (it == seen_.end()) {
    return;
  }
  auto& seen = it->second;
  do {
    if (seen.empty()) {
      return;
    }
    seen.front().stamps_ps[idx(Stage::kRecvReturn)] = now_ps;
    trace_.complete(seen.front());
    seen.pop_front();
  } while (all);
}

}  // namespace postern::sim
