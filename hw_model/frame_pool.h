// Frames that this NIC sends, used again as soon as nobody else holds them, so that a packet costs no allocation.
#pragma once

#include <vector>

#include "sim/ethernet_frame.h"

namespace postern::hw_model {

class FramePool {
 public:
  // A frame of size_bytes bytes with unspecified contents, no stamps and a good FCS. Held by the caller alone.
  sim::FramePtr take(size_t size_bytes) {
    sim::FramePtr frame = find_free();
    frame->bytes.resize(size_bytes);
    frame->bad_fcs = false;
    sim::clear_stamps(frame->stamps_ps);
    return frame;
  }

 private:
  // Frames come back in about the order in which they went, so the one after the last taken is nearly always free.
  sim::FramePtr find_free() {
    for (size_t tries = 0; tries < kTriesMax && tries < frames_.size(); ++tries) {
      const size_t index = next_idx_;
      next_idx_ = next_idx_ + 1 == frames_.size() ? 0 : next_idx_ + 1;
      if (frames_[index].use_count() == 1) return frames_[index];
    }
    auto frame = std::make_shared<sim::EthernetFrame>();
    if (frames_.size() < kFramesMax) frames_.push_back(frame);
    return frame;
  }

  static constexpr size_t kTriesMax = 4;
  static constexpr size_t kFramesMax = 16384;
  std::vector<sim::FramePtr> frames_;
  size_t next_idx_ = 0;
};

}  // namespace postern::hw_model
