// The Ethernet port: real timing of the wire (preamble, FCS, inter-frame gap), link state, length and FCS checks,
// loopback of frames to the port's own address, pause frames both ways, cut-through receive. Packet walk: the last step
// out and the first step in.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <systemc>
#include <vector>

#include "contract/gen/pst_contract.h"
#include "hw_model/nic_blocks.h"
#include "sim/nic_device.h"

namespace postern::hw_model {

struct TxOp;

class MacPort : public sim::EthernetIf {
 public:
  MacPort(NicBlocks& nic, sc_core::sc_port<sim::EthernetIf>& wire, const std::array<uint8_t, 6>& address);
  void configure();
  void reset();

  // Sends the op's frames, back to back, after those before it and then calls tx_dma.sent(op); an op with a drop reason
  // only keeps its turn. The frame is at the MAC in after_ps.
  void transmit(TxOp* op, uint64_t after_ps);

  // sim::EthernetIf: a frame's last bit has arrived.
  void deliver(const sim::FramePtr& frame) override;
  void set_link(bool up) override;
  // The port's own end of the link goes down or comes up; the other end is told.
  void set_port_up(bool up);

  [[nodiscard]] bool link_up() const { return link_up_ && port_up_; }
  // Of a frame whose first bit left at first_bit_ps: the link is down, or was when it did.
  [[nodiscard]] bool loses_bits_of(uint64_t first_bit_ps) const { return !link_up() || first_bit_ps < link_up_ps_; }
  // A frame whose last bit arrives now: nothing arrives over a link that is down, nor a frame whose first bits were
  // lost.
  [[nodiscard]] bool hears(const sim::EthernetFrame& frame) const;
  // Preamble, frame and FCS.
  [[nodiscard]] uint64_t on_wire_ps(size_t frame_bytes) const;
  // Port address, byte 0 in bits 7..0.
  [[nodiscard]] uint64_t address() const { return address_; }
  [[nodiscard]] uint32_t rate_mbps() const { return static_cast<uint32_t>(rate_mbps_); }
  [[nodiscard]] uint32_t mtu_max_bytes() const { return static_cast<uint32_t>(mtu_max_bytes_); }
  [[nodiscard]] uint32_t mtu_bytes() const { return mtu_bytes_; }
  [[nodiscard]] uint64_t ps_per_byte() const { return ps_per_byte_; }
  // From a complete frame to its first bit on an idle wire.
  [[nodiscard]] uint64_t processing_ps() const { return processing_ps_; }
  struct PauseLevels {
    uint32_t high_bytes, low_bytes, quanta;
  };
  [[nodiscard]] PauseLevels pause_levels() const {
    return {static_cast<uint32_t>(pause_high_bytes_), static_cast<uint32_t>(pause_low_bytes_),
            static_cast<uint32_t>(pause_quanta_)};
  }
  // Longest frame without FCS that may pass, with vlan_count tags in it.
  [[nodiscard]] uint32_t frame_bytes_max(unsigned vlan_count) const {
    const uint32_t bytes = mtu_bytes_ + 14 + 4 * vlan_count;
    return bytes < PST_LIMIT_FRAME_BYTES_MAX ? bytes : PST_LIMIT_FRAME_BYTES_MAX;
  }

  // PORT_CONFIG.
  void set_mtu(uint32_t mtu_bytes) { mtu_bytes_ = mtu_bytes; }
  void set_loopback(bool on) { loopback_ = on; }
  void set_pause(bool on);
  // The receive buffer holds so many bytes now: asks the peer to pause above the high mark, to go on at the low one.
  void receive_buffer_level(uint32_t bytes) {
    if (pause_) buffer_level_changed(bytes);
  }

  static constexpr uint32_t kPreambleBytes = 8;  // with start-of-frame delimiter (IEEE 802.3, clause 3)
  static constexpr uint32_t kFcsBytes = 4;
  static constexpr uint32_t kGapBytes = 12;
  static constexpr uint32_t kPauseQuantumBytes = 64;  // 512 bit times (IEEE 802.3, annex 31B)

 private:
  // Takes the next frame of the queue, or a pause frame, onto the wire if that is free.
  void next();
  void start_frame(TxOp* op, uint64_t earliest_ps);
  void left(uint64_t op, uint64_t, uint64_t, uint64_t);
  void passed(uint64_t op, uint64_t, uint64_t, uint64_t);
  void wire_is_free(uint64_t first_bit_ps, uint64_t last_bit_ps);
  void frame_left(TxOp& op);
  void note_link(bool was_up);
  void receive(const sim::FramePtr& frame, bool damaged, bool looped_back);
  void receive_damaged(const sim::FramePtr& frame, uint64_t first_bit_ps);
  // When writes of a frame may begin: see SteeredFrame::header_ps.
  [[nodiscard]] uint64_t header_ps(uint32_t frame_bytes, uint64_t first_bit_ps) const;

  // Pause, in pause_frames.cc.
  bool take_pause_frame(const sim::FramePtr& frame, bool looped_back);
  void obey_pause(uint32_t quanta);
  void resume(uint64_t generation, uint64_t, uint64_t, uint64_t);
  void buffer_level_changed(uint32_t bytes);
  void send_pause(uint32_t quanta);
  void start_pause_frame();
  void put_pause_frame(uint32_t quanta);
  void pause_frame_left(uint64_t quanta, uint64_t, uint64_t, uint64_t);
  void refresh_pause(uint64_t generation, uint64_t, uint64_t, uint64_t);

  NicBlocks& nic_;
  sc_core::sc_port<sim::EthernetIf>& wire_;
  const double& address_property_;
  const double& rate_mbps_;
  const double& mtu_max_bytes_;
  const double& processing_ns_;
  const double& cut_through_;
  const double& cut_through_bytes_;
  const double& pause_high_bytes_;
  const double& pause_low_bytes_;
  const double& pause_quanta_;
  uint64_t address_ = 0;
  uint64_t ps_per_byte_ = 0;
  uint64_t processing_ps_ = 0;
  uint32_t mtu_bytes_ = kMtuDefaultBytes;
  bool loopback_ = false;
  bool link_up_ = true;      // as the other end drives it
  bool port_up_ = true;      // this end
  uint64_t link_up_ps_ = 0;  // when the link last came up: bits from before are lost

  std::deque<TxOp*> queue_;    // what transmit() took, in order; the first may be on the wire
  bool sending_ = false;       // a frame is on the wire, or bound for it after the gap
  uint64_t wire_free_ps_ = 0;  // gap included

  bool pause_ = false;           // PORT_CONFIG.PAUSE
  uint64_t pause_until_ps_ = 0;  // no frame starts before
  uint64_t pause_generation_ = 0;
  bool pause_frame_due_ = false;  // one of ours waits for the frame on the wire
  uint32_t pause_frame_quanta_ = 0;
  bool asked_to_pause_ = false;  // the peer
  uint64_t asked_generation_ = 0;

  static constexpr uint32_t kMtuDefaultBytes = 1500;
};

}  // namespace postern::hw_model
