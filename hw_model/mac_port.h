// The Ethernet port: real timing of the wire (preamble, FCS, inter-frame gap), link state, length and FCS checks,
// loopback of frames to the port's own address. Packet walk: the last step out and the first step in.
#pragma once

#include <array>
#include <cstdint>
#include <systemc>

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
  // only keeps its turn.
  void transmit(TxOp* op);

  // sim::EthernetIf: a frame's last bit has arrived.
  void deliver(const sim::FramePtr& frame) override;
  void set_link(bool up) override;
  // The port's own end of the link goes down or comes up; the other end is told.
  void set_port_up(bool up);

  [[nodiscard]] bool link_up() const { return link_up_ && port_up_; }
  // Port address, byte 0 in bits 7..0.
  [[nodiscard]] uint64_t address() const { return address_; }
  [[nodiscard]] uint32_t rate_mbps() const { return static_cast<uint32_t>(rate_mbps_); }
  [[nodiscard]] uint32_t mtu_max_bytes() const { return static_cast<uint32_t>(mtu_max_bytes_); }
  [[nodiscard]] uint32_t mtu_bytes() const { return mtu_bytes_; }
  [[nodiscard]] uint64_t ps_per_byte() const { return ps_per_byte_; }
  // Longest frame without FCS that may pass, with vlan_count tags in it.
  [[nodiscard]] uint32_t frame_bytes_max(unsigned vlan_count) const {
    const uint32_t bytes = mtu_bytes_ + 14 + 4 * vlan_count;
    return bytes < PST_LIMIT_FRAME_BYTES_MAX ? bytes : PST_LIMIT_FRAME_BYTES_MAX;
  }

  // PORT_CONFIG.
  void set_mtu(uint32_t mtu_bytes) { mtu_bytes_ = mtu_bytes; }
  void set_loopback(bool on) { loopback_ = on; }

  static constexpr uint32_t kPreambleBytes = 8;  // with start-of-frame delimiter (IEEE 802.3, clause 3)
  static constexpr uint32_t kFcsBytes = 4;
  static constexpr uint32_t kGapBytes = 12;

 private:
  void start_frame(TxOp* op, uint64_t first_bit_ps);
  void left(uint64_t op, uint64_t, uint64_t, uint64_t);
  void receive(const sim::FramePtr& frame, bool damaged);
  void note_link(bool was_up);
  [[nodiscard]] uint64_t on_wire_ps(size_t frame_bytes) const;
  void frame_left(TxOp& op);

  NicBlocks& nic_;
  sc_core::sc_port<sim::EthernetIf>& wire_;
  const double& address_property_;
  const double& rate_mbps_;
  const double& mtu_max_bytes_;
  const double& processing_ns_;
  uint64_t address_ = 0;
  uint64_t ps_per_byte_ = 0;
  uint64_t processing_ps_ = 0;
  uint64_t busy_ps_ = 0;  // the wire is free for the next frame from here on
  uint32_t mtu_bytes_ = kMtuDefaultBytes;
  bool loopback_ = false;
  bool link_up_ = true;      // as the other end drives it
  bool port_up_ = true;      // this end
  uint64_t link_up_ps_ = 0;  // when the link last came up: bits from before are lost

  static constexpr uint32_t kMtuDefaultBytes = 1500;
};

}  // namespace postern::hw_model
