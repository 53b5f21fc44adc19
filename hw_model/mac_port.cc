// Wire timing and checks of the port. See mac_port.h.
#include "hw_model/mac_port.h"

#include <algorithm>

#include "hw_model/agenda.h"
#include "hw_model/faults.h"
#include "hw_model/frame_parser.h"
#include "hw_model/port_statistics.h"
#include "hw_model/properties.h"
#include "hw_model/rx_filter.h"
#include "hw_model/tx_dma.h"

namespace postern::hw_model {

namespace {
constexpr double kAddressMax = 281474976710655.0;  // 48 bits
}  // namespace

MacPort::MacPort(NicBlocks& nic, sc_core::sc_port<sim::EthernetIf>& wire, const std::array<uint8_t, 6>& address)
    : nic_(nic),
      wire_(wire),
      address_property_(nic.properties->add(
          {"mac_port.address", "", "MAC address, byte 0 in bits 7..0.", "set by the simulator",
           static_cast<double>(load_address(address.data(), 6)), 0, kAddressMax, sim::PropertyType::kInteger})),
      rate_mbps_(nic.properties->add({"mac_port.rate_mbps", "Mb/s", "Line rate: 1000, 10000, 25000, 40000 or 100000.",
                                      "published: IEEE 802.3", 10000, 10, 400000, sim::PropertyType::kInteger})),
      mtu_max_bytes_(nic.properties->add({"mac_port.mtu_max_bytes", "bytes", "Largest MTU that PORT_CONFIG accepts.",
                                          "contract: FRAME_BYTES_MAX", 9216, 68, 9216})),
      processing_ns_(nic.properties->add({"mac_port.processing_ns", "ns",
                                          "From a complete frame to its first bit on an idle wire.",
                                          "assumed: MAC and PHY", 50, 0, 1e6})) {}

void MacPort::configure() {
  address_ = static_cast<uint64_t>(address_property_);
  ps_per_byte_ = static_cast<uint64_t>(8e6 / rate_mbps_ + 0.5);
  processing_ps_ = to_ps(processing_ns_);
}

void MacPort::reset() {
  busy_ps_ = 0;
  mtu_bytes_ = kMtuDefaultBytes;
  loopback_ = false;
}

void MacPort::transmit(TxOp* op) {
  const uint64_t now = Agenda::now_ps();
  if (op->drop_reason >= 0) {
    nic_.agenda->at<&MacPort::left>(std::max(now, busy_ps_), this, reinterpret_cast<uint64_t>(op));
    return;
  }
  op->loopback = loopback_ && load_address(op->frame->bytes.data(), 6) == address_;
  op->first_bit_ps = std::max(now + processing_ps_, busy_ps_);
  if (op->cut_through) {
    // The plan sees to this, but for a line rate that has been changed since: the last bit is behind the last arrival.
    const uint64_t frame_ps = (kPreambleBytes + op->frame->bytes.size() + kFcsBytes) * ps_per_byte_;
    if (op->first_bit_ps + frame_ps < op->landing_ps) op->first_bit_ps = op->landing_ps - frame_ps;
  }
  constexpr uint64_t kAroundBytes = kPreambleBytes + kFcsBytes + kGapBytes;
  const uint32_t count = op->frame_count();
  const uint64_t wire_bytes =
      (count - 1) * (TxDma::frame_bytes(*op, 0) + kAroundBytes) + TxDma::frame_bytes(*op, count - 1) + kAroundBytes;
  busy_ps_ = op->first_bit_ps + wire_bytes * ps_per_byte_;
  start_frame(op, op->first_bit_ps);
}

void MacPort::start_frame(TxOp* op, uint64_t first_bit_ps) {
  const uint64_t bytes = op->frame->bytes.size();
  const uint64_t last_bit_ps = first_bit_ps + on_wire_ps(bytes);
  op->frame->stamps_ps[static_cast<size_t>(sim::Stage::kWireFirstBit)] = first_bit_ps;
  nic_.agenda->at<&MacPort::left>(last_bit_ps, this, reinterpret_cast<uint64_t>(op));
}

void MacPort::left(uint64_t op_address, uint64_t, uint64_t, uint64_t) {
  TxOp* op = reinterpret_cast<TxOp*>(op_address);
  if (op->frame != nullptr) {
    frame_left(*op);
    if (nic_.tx_dma->next_frame(*op)) return start_frame(op, Agenda::now_ps() + kGapBytes * ps_per_byte_);
  }
  nic_.tx_dma->sent(op);
}

void MacPort::frame_left(TxOp& op) {
  PortStatistics& statistics = *nic_.statistics;
  if (op.cut_short) {
    ++statistics.tx_cut_short;  // its packet has been counted as a drop
    if (link_up() && !op.loopback) wire_->deliver(op.frame);
    return;
  }
  const uint64_t first_bit_ps = op.frame->stamps_ps[static_cast<size_t>(sim::Stage::kWireFirstBit)];
  if (!op.loopback && (!link_up() || first_bit_ps < link_up_ps_)) {
    if (op.drop_reason >= 0) return;  // a frame of the same packet before it was lost too
    op.drop_reason = PST_DROP_REASON_TX_LINK_DOWN;
    statistics.drop(PST_DROP_REASON_TX_LINK_DOWN);
  } else if (op.loopback) {
    ++statistics.tx_loopback;
    receive(op.frame, false);
  } else {
    ++statistics.tx_frames;
    statistics.tx_bytes += op.frame->bytes.size();
    wire_->deliver(op.frame);
  }
  if (++op.outcome_count > 1) ++statistics.tx_extra_frames;
}

void MacPort::deliver(const sim::FramePtr& frame) {
  // Nothing arrives over a link that is down, nor a frame whose first bits were lost.
  if (!link_up() || Agenda::now_ps() < link_up_ps_ + on_wire_ps(frame->bytes.size())) return;
  receive(frame, frame->bad_fcs || nic_.faults->damages_frame());
}

void MacPort::set_link(bool up) {
  const bool was_up = link_up();
  link_up_ = up;
  note_link(was_up);
}

void MacPort::set_port_up(bool up) {
  if (up == port_up_) return;
  const bool was_up = link_up();
  port_up_ = up;
  note_link(was_up);
  wire_->set_link(up);
}

void MacPort::note_link(bool was_up) {
  if (!was_up && link_up()) link_up_ps_ = Agenda::now_ps();
}

uint64_t MacPort::on_wire_ps(size_t frame_bytes) const {
  return (kPreambleBytes + frame_bytes + kFcsBytes) * ps_per_byte_;
}

void MacPort::receive(const sim::FramePtr& frame, bool damaged) {
  const uint32_t bytes = static_cast<uint32_t>(frame->bytes.size());
  ++nic_.statistics->rx_frames;
  nic_.statistics->rx_bytes += bytes;
  const uint64_t now = Agenda::now_ps();
  frame->stamps_ps[static_cast<size_t>(sim::Stage::kWireLastBit)] = now;
  if (damaged) return nic_.statistics->drop(PST_DROP_REASON_RX_BAD_FCS);
  if (bytes < PST_LIMIT_FRAME_BYTES_MIN || bytes > frame_bytes_max(2))
    return nic_.statistics->drop(PST_DROP_REASON_RX_BAD_LENGTH);
  const ParsedFrame parsed = parse_frame(frame->bytes.data(), bytes);
  if (bytes > frame_bytes_max(parsed.vlan_count)) return nic_.statistics->drop(PST_DROP_REASON_RX_BAD_LENGTH);
  const uint64_t duration_ps = on_wire_ps(bytes);
  nic_.rx_filter->receive(frame, parsed, now > duration_ps ? now - duration_ps : 0);
}

}  // namespace postern::hw_model
