// Connects a NIC's stage reports to a HostStageTrace. Include only from C++17 translation units.
#pragma once

#include "sim/nic_device.h"
#include "sim/stage_trace.h"

namespace postern::sim {

class TraceStageObserver : public StageObserver {
 public:
  explicit TraceStageObserver(HostStageTrace& trace) : trace_(trace) {}
  void rx_event_written(uint32_t vi_id, uint32_t event_idx, const FramePtr& frame) override {
    trace_.rx_event_written(vi_id, event_idx, *frame);
  }
  void tx_frame_built(uint32_t vi_id, uint32_t tx_idx, EthernetFrame& frame) override {
    trace_.tx_frame_built(vi_id, tx_idx, frame);
  }

 private:
  HostStageTrace& trace_;
};

}  // namespace postern::sim
