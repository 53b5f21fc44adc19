// Latency by stage: follows each packet's stamps from the sending application to the receiving one and keeps a
// histogram per stage. Hides how stamps that only the host knows (send call, doorbell write, event seen, receive call)
// find their packet. No SystemC here; the device side comes in through sim/stage_observer.h.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

#include "sim/ethernet_frame.h"
#include "sim/latency_histogram.h"

namespace postern::sim {

// A row of the table: the time between two stamps.
struct StageInterval {
  const char* name;
  Stage from;
  Stage to;
  const char* meaning;
};

constexpr size_t kStageIntervalCount = 12;
extern const std::array<StageInterval, kStageIntervalCount> kStageIntervals;

// What the devices alone take, of every frame that reaches a host's memory, whether or not an application sees it.
constexpr size_t kDeviceIntervalCount = 2;
extern const std::array<StageInterval, kDeviceIntervalCount> kDeviceIntervals;

// A packet that has gone all the way.
struct PacketPath {
  StageStamps stamps_ps{};
  uint32_t sender = EthernetFrame::kSenderUnknown;  // host << 16 | VI
  uint32_t receiver = 0;                            // the same
  uint32_t frame_bytes = 0;
  uint16_t local_port = 0;  // of the receiver
};
class PacketListener {
 public:
  virtual ~PacketListener() = default;
  virtual void packet_completed(const PacketPath& path) = 0;
};

// All completed packets of a run.
class StageTrace {
 public:
  // Adds a packet's stamps; intervals with a missing end are left out.
  void complete(const StageStamps& stamps);
  void complete(const PacketPath& path) {
    complete(path.stamps_ps);
    if (listener_ != nullptr) listener_->packet_completed(path);
  }
  void set_listener(PacketListener* listener) { listener_ = listener; }
  [[nodiscard]] const LatencyHistogram& interval(size_t idx) const { return histograms_.at(idx); }
  // Adds a frame whose event is in host memory.
  void delivered(const StageStamps& stamps);
  [[nodiscard]] const LatencyHistogram& device_interval(size_t idx) const { return device_histograms_.at(idx); }
  // No interval has a sample.
  [[nodiscard]] bool empty() const;

 private:
  std::array<LatencyHistogram, kStageIntervalCount> histograms_;
  std::array<LatencyHistogram, kDeviceIntervalCount> device_histograms_;
  PacketListener* listener_ = nullptr;
};

// The packets of one host. Times are picoseconds of simulated time. VI indices wrap at 32 bits.
class HostStageTrace {
 public:
  // host_is_traced: host software calls the functions below, so a packet is complete when the application has it. If
  // not (a live run), it is complete when its event is written, and only stages in the device are known.
  HostStageTrace(StageTrace& trace, bool host_is_traced, uint16_t host_idx = 0)
      : trace_(trace), host_is_traced_(host_is_traced), host_idx_(host_idx) {}

  // --- the host's side ---
  // Brackets a send call: descriptors queued between the two belong to it.
  void send_begins(uint64_t now_ps) { send_ps_ = now_ps; }
  void send_ends(uint32_t vi_id, uint32_t tx_producer_idx);
  void tx_doorbell_written(uint32_t vi_id, uint32_t tx_idx, uint64_t now_ps);
  // Host software has consumed events up to evq_consumer_idx.
  void events_seen(uint32_t vi_id, uint32_t evq_consumer_idx, uint64_t now_ps);
  // The application received data: of a local port, one packet (datagrams) or all that were seen (streams).
  void received(uint16_t local_port, bool all, uint64_t now_ps);

  // --- the device's side ---
  void tx_frame_built(uint32_t vi_id, uint32_t tx_idx, EthernetFrame& frame);
  void rx_event_written(uint32_t vi_id, uint32_t event_idx, const EthernetFrame& frame);
  void vi_started(uint32_t vi_id) { vis_.erase(vi_id); }

 private:
  struct Sent {  // descriptors up to end_idx
    uint32_t end_idx;
    uint64_t send_ps;
    uint64_t doorbell_ps;  // 0: not yet
  };
  struct Announced {  // an RX event that the host has not seen yet
    uint32_t event_idx;
    PacketPath path;
  };
  struct PerVi {
    std::deque<Sent> sent;
    std::deque<Announced> announced;
  };

  static constexpr size_t kPendingMax = 65536;  // packets per queue; older ones are forgotten (dropped by the stack)

  StageTrace& trace_;
  const bool host_is_traced_;
  const uint16_t host_idx_;
  uint64_t send_ps_ = 0;  // time of the send call that runs now; 0: none
  std::unordered_map<uint32_t, PerVi> vis_;
  std::unordered_map<uint16_t, std::deque<PacketPath>> seen_;  // by local port: seen, not yet received
};

}  // namespace postern::sim
