// Which frame is which: received frames while the RTL holds them, so that the stage stamps of a frame and the observer
// of its event find it again. Hides the order in which payload and event are seen.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <vector>

#include "sim/ethernet_frame.h"

namespace postern::rtl_device {

class RxFrames {
 public:
  static constexpr uint32_t kIds = 8192;  // more than the RTL's receive buffer can hold

  explicit RxFrames(uint32_t vi_count)
      : frames_(kIds), of_vi_(vi_count), event_idx_(vi_count), descriptor_idx_(vi_count) {}
  uint16_t add(const sim::FramePtr& frame) {
    const uint16_t id = next_id_;
    next_id_ = static_cast<uint16_t>((next_id_ + 1) % kIds);
    frames_[id] = frame;
    return id;
  }
  // A write of the frame's bytes for the VI has been posted.
  void payload_posted(uint32_t vi_id, uint16_t id, uint64_t landing_ps) {
    auto& waiting = of_vi_[vi_id];
    if (waiting.empty() || waiting.back().id != id) waiting.push_back({id, landing_ps});
    waiting.back().landing_ps = landing_ps;
  }
  struct Announced {
    sim::FramePtr frame;
    uint64_t payload_landing_ps;
  };
  // The oldest frame of the VI that no event has announced; null if there is none.
  Announced take(uint32_t vi_id) {
    auto& waiting = of_vi_[vi_id];
    if (waiting.empty()) return {nullptr, 0};
    const Waiting first = waiting.front();
    waiting.pop_front();
    return {frames_[first.id], first.landing_ps};
  }
  // How many frames of the VI will be announced before this one; more than there are if it is not among them.
  [[nodiscard]] uint32_t waiting_before(uint32_t vi_id, uint16_t id) const {
    const auto& waiting = of_vi_[vi_id];
    const auto found =
        std::find_if(waiting.begin(), waiting.end(), [id](const Waiting& frame) { return frame.id == id; });
    return found == waiting.end() ? kIds : static_cast<uint32_t>(found - waiting.begin());
  }
  // The first descriptor that no event has completed.
  [[nodiscard]] uint32_t descriptor_idx(uint32_t vi_id) const { return descriptor_idx_[vi_id]; }
  void completed(uint32_t vi_id, uint32_t consumer_idx) { descriptor_idx_[vi_id] = consumer_idx; }
  // Index of the event that is posted now.
  uint32_t next_event(uint32_t vi_id) { return event_idx_[vi_id]++; }
  // A new life of the VI.
  void restart(uint32_t vi_id) {
    of_vi_[vi_id].clear();
    event_idx_[vi_id] = 0;
    descriptor_idx_[vi_id] = 0;
  }

 private:
  struct Waiting {
    uint16_t id;
    uint64_t landing_ps;
  };
  std::vector<sim::FramePtr> frames_;
  std::vector<std::deque<Waiting>> of_vi_;
  std::vector<uint32_t> event_idx_;
  std::vector<uint32_t> descriptor_idx_;
  uint16_t next_id_ = 0;
};

}  // namespace postern::rtl_device
