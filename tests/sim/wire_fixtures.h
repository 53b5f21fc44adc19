// A sink that notes what arrives and when, and a way to make frames, for tests of wires.
#pragma once

#include <memory>
#include <systemc>
#include <utility>
#include <vector>

#include "sim/nic_device.h"

namespace postern::sim {

class FrameSink : public EthernetIf {
 public:
  struct Arrival {
    uint64_t time_ps;
    FramePtr frame;
  };
  void deliver(const FramePtr& frame) override { arrivals.push_back({sc_core::sc_time_stamp().value(), frame}); }
  void set_link(bool up) override { link_up = up; }

  // The byte after the Ethernet header of each frame, in order of arrival.
  [[nodiscard]] std::vector<int> tags() const {
    std::vector<int> result;
    for (const Arrival& arrival : arrivals) {
      result.push_back(arrival.frame->bytes.at(14));
    }
    return result;
  }

  std::vector<Arrival> arrivals;
  bool link_up = false;
};

inline FramePtr make_frame(uint8_t destination, uint8_t source, uint8_t tag = 0, size_t size_bytes = 60) {
  auto frame = std::make_shared<EthernetFrame>();
  frame->bytes.assign(size_bytes, 0);
  frame->bytes[0] = destination == 0xff ? 0xff : 0x02;
  frame->bytes[5] = destination;
  frame->bytes[6] = 0x02;
  frame->bytes[11] = source;
  frame->bytes[12] = 0x88;
  frame->bytes[13] = 0xb5;  // local experimental ethertype
  frame->bytes[14] = tag;
  return frame;
}

inline void run_ns(double duration_ns) { sc_core::sc_start(duration_ns, sc_core::SC_NS); }

}  // namespace postern::sim
