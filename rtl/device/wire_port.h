// The PHY beside the RTL's port: paces the wire at the line rate, keeps the state of the link, and turns frames into
// beats and back. Packet walk: the last step out and the first step in.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <systemc>
#include <vector>

#include "hw_model/nic_storage.h"
#include "rtl/device/clocked_part.h"

class Vpst_nic_top;

namespace postern::rtl_device {

class RxFrames;

class WirePort : public ClockedPart, public sim::EthernetIf {
 public:
  WirePort(Vpst_nic_top& top, hw_model::NicStorage& blocks, sc_core::sc_port<sim::EthernetIf>& wire, RxFrames& frames,
           std::function<void()> wake);

  // ClockedPart
  void drive(uint64_t edge_ps) override;
  void sample(uint64_t edge_ps) override;
  [[nodiscard]] uint64_t next_edge_ps(uint64_t edge_ps) const override;
  void reset() override;

  // sim::EthernetIf
  void deliver(const sim::FramePtr& frame) override;
  void set_link(bool up) override;

 private:
  struct Incoming {
    uint64_t arrived_ps;
    sim::FramePtr frame;
    bool looped;
    uint16_t id;
  };
  struct Outgoing {
    sim::FramePtr frame;
    uint64_t first_bit_ps;
    bool loop;
    bool pause;
    uint32_t vi_id;
    uint32_t end_idx;
  };
  struct Left {
    uint64_t time_ps;
    bool lost;
    uint64_t first_bit_ns;
  };

  void take_beat(uint64_t edge_ps);
  void send();
  void last_bit(uint64_t, uint64_t, uint64_t, uint64_t);
  void receive(const sim::FramePtr& frame, bool looped);
  bool drive_receive(uint64_t edge_ps);
  [[nodiscard]] uint64_t ready_ps() const;

  Vpst_nic_top& top_;
  hw_model::NicStorage& blocks_;
  sc_core::sc_port<sim::EthernetIf>& wire_;
  RxFrames& frames_;
  const std::function<void()> wake_;

  std::vector<uint8_t> building_;  // the frame whose beats are coming
  uint64_t first_beat_ps_ = 0;     // when it came
  uint64_t startable_ps_ = 0;      // if the first bit leaves then, no beat so far is too late
  std::deque<Outgoing> outgoing_;  // for the wire or on it
  Outgoing last_lost_{};           // the last frame that found no link
  std::deque<Left> left_;          // to be told to the RTL
  uint64_t wire_free_ps_ = 0;      // gap included

  std::deque<Incoming> incoming_;
  uint32_t sent_bytes_ = 0;  // of the first of incoming_
  bool receiving_ = false;
};

}  // namespace postern::rtl_device
