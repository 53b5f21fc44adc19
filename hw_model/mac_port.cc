// Wire timing and checks of the port. See mac_port.h.
#include "hw_model/mac_port.h"

#include <algorithm>

#include "hw_model/agenda.h"
#include "hw_model/faults.h"
#include "hw_model/frame_parser.h"
#include "hw_model/port_statistics.h"
#include "hw_model/properties.h"
#include "hw_model/ptp_clock.h"
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
                                          "assumed: MAC and PHY", 50, 0, 1e6})),
      cut_through_(nic.properties->add({"mac_port.rx_cut_through", "flag",
                                        "Writes of a received frame may begin before its end has come.",
                                        "assumed: store and forward", 0, 0, 1})),
      cut_through_bytes_(nic.properties->add({"mac_port.rx_cut_through_bytes", "bytes",
                                              "So much of a frame must have come before its writes begin: all that "
                                              "filters look at.",
                                              "assumed: two VLAN tags, IPv4 with options, ports, rounded up", 128, 86,
                                              PST_LIMIT_FRAME_BYTES_MAX})),
      pause_high_bytes_(nic.properties->add(
          {"mac_port.pause_high_bytes", "bytes", "The peer is asked to pause when the receive buffer holds so much.",
           "assumed: one VI's share of the buffer less five frames in flight", 24576, 1, 1 << 24})),
      pause_low_bytes_(nic.properties->add({"mac_port.pause_low_bytes", "bytes",
                                            "The peer is asked to go on when the receive buffer holds no more.",
                                            "assumed: a third of the high mark", 8192, 0, 1 << 24})),
      pause_quanta_(nic.properties->add({"mac_port.pause_quanta", "quanta of 512 bit times",
                                         "For how long the peer is asked to pause; asked again at half of it.",
                                         "published: IEEE 802.3 annex 31B, the longest", 65535, 2, 65535})) {}

void MacPort::configure() {
  address_ = static_cast<uint64_t>(address_property_);
  ps_per_byte_ = static_cast<uint64_t>(8e6 / rate_mbps_ + 0.5);
  processing_ps_ = to_ps(processing_ns_);
}

void MacPort::reset() {
  queue_.clear();
  sending_ = false;
  wire_free_ps_ = 0;
  mtu_bytes_ = kMtuDefaultBytes;
  loopback_ = false;
  pause_ = asked_to_pause_ = pause_frame_due_ = false;
  pause_until_ps_ = 0;
}

void MacPort::transmit(TxOp* op, uint64_t after_ps) {
  op->first_bit_ps = 0;
  op->port_ready_ps = Agenda::now_ps() + after_ps + (op->drop_reason < 0 ? processing_ps_ : 0);
  if (op->drop_reason < 0) op->loopback = loopback_ && load_address(op->frame->bytes.data(), 6) == address_;
  queue_.push_back(op);
  if (!sending_) next();
}

void MacPort::next() {
  if (pause_frame_due_) return start_pause_frame();
  if (queue_.empty()) return;
  TxOp* op = queue_.front();
  if (op->drop_reason >= 0) {  // only keeps its turn
    sending_ = true;
    nic_.agenda->at<&MacPort::passed>(std::max(Agenda::now_ps(), wire_free_ps_), this, reinterpret_cast<uint64_t>(op));
    return;
  }
  if (Agenda::now_ps() < pause_until_ps_) return;  // resume() goes on
  sending_ = true;
  start_frame(op, op->port_ready_ps);
}

void MacPort::start_frame(TxOp* op, uint64_t earliest_ps) {
  uint64_t first_bit_ps = std::max({Agenda::now_ps(), earliest_ps, wire_free_ps_});
  const uint64_t frame_ps = on_wire_ps(op->frame->bytes.size());
  // The plan sees to this, but for a line rate that has been changed since: the last bit is behind the last arrival.
  if (op->cut_through) first_bit_ps = std::max(first_bit_ps + frame_ps, op->landing_ps) - frame_ps;
  if (op->first_bit_ps == 0) op->first_bit_ps = first_bit_ps;
  op->frame->stamps_ps[static_cast<size_t>(sim::Stage::kWireFirstBit)] = first_bit_ps;
  nic_.agenda->at<&MacPort::left>(first_bit_ps + frame_ps, this, reinterpret_cast<uint64_t>(op));
}

void MacPort::wire_is_free(uint64_t first_bit_ps, uint64_t last_bit_ps) {
  sending_ = false;
  wire_free_ps_ = last_bit_ps + kGapBytes * ps_per_byte_;
  nic_.statistics->tx_busy_ps += wire_free_ps_ - first_bit_ps;
}

void MacPort::left(uint64_t op_address, uint64_t, uint64_t, uint64_t) {
  TxOp* op = reinterpret_cast<TxOp*>(op_address);
  const uint64_t first_bit_ps = op->frame->stamps_ps[static_cast<size_t>(sim::Stage::kWireFirstBit)];
  frame_left(*op);
  wire_is_free(first_bit_ps, Agenda::now_ps());
  if (nic_.tx_dma->next_frame(*op)) {
    const bool waits = pause_frame_due_ || Agenda::now_ps() < pause_until_ps_;
    if (waits) return next();
    sending_ = true;
    return start_frame(op, 0);
  }
  passed(op_address, 0, 0, 0);
}

// The first of the queue is done with.
void MacPort::passed(uint64_t op_address, uint64_t, uint64_t, uint64_t) {
  queue_.pop_front();
  sending_ = true;  // sent() may hand over more, which is not to overtake
  nic_.tx_dma->sent(reinterpret_cast<TxOp*>(op_address));
  sending_ = false;
  next();
}

void MacPort::frame_left(TxOp& op) {
  PortStatistics& statistics = *nic_.statistics;
  const uint64_t first_bit_ps = op.frame->stamps_ps[static_cast<size_t>(sim::Stage::kWireFirstBit)];
  const bool bits_lost = loses_bits_of(first_bit_ps);
  if (op.cut_short) {
    ++statistics.tx_cut_short;  // its packet has been counted as a drop
    if (!bits_lost && !op.loopback) wire_->deliver(op.frame);
    return;
  }
  if (!op.loopback && bits_lost) {
    if (op.drop_reason >= 0) return;  // a frame of the same packet before it was lost too
    op.drop_reason = PST_DROP_REASON_TX_LINK_DOWN;
    statistics.drop(PST_DROP_REASON_TX_LINK_DOWN);
  } else if (op.loopback) {
    ++statistics.tx_loopback;
    receive(op.frame, false, true);
  } else {
    ++statistics.tx_frames;
    statistics.tx_bytes += op.frame->bytes.size();
    wire_->deliver(op.frame);
  }
  if (++op.outcome_count > 1) ++statistics.tx_extra_frames;
}

void MacPort::deliver(const sim::FramePtr& frame) {
  if (!hears(*frame)) return;
  receive(frame, frame->bad_fcs || nic_.faults->damages_frame(), false);
}

bool MacPort::hears(const sim::EthernetFrame& frame) const {
  return link_up() && Agenda::now_ps() >= link_up_ps_ + on_wire_ps(frame.bytes.size());
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

uint64_t MacPort::header_ps(uint32_t frame_bytes, uint64_t first_bit_ps) const {
  const auto header_bytes = static_cast<uint32_t>(cut_through_bytes_);
  if (cut_through_ == 0 || frame_bytes <= header_bytes) return 0;
  return first_bit_ps + (kPreambleBytes + header_bytes) * ps_per_byte_;
}

void MacPort::receive(const sim::FramePtr& frame, bool damaged, bool looped_back) {
  const uint32_t bytes = static_cast<uint32_t>(frame->bytes.size());
  const uint64_t now = Agenda::now_ps();
  frame->stamps_ps[static_cast<size_t>(sim::Stage::kWireLastBit)] = now;
  if (!damaged && take_pause_frame(frame, looped_back)) return;
  ++nic_.statistics->rx_frames;
  nic_.statistics->rx_bytes += bytes;
  const uint64_t duration_ps = on_wire_ps(bytes);
  const uint64_t first_bit_ps = now > duration_ps ? now - duration_ps : 0;
  nic_.statistics->rx_busy_ps += duration_ps + kGapBytes * ps_per_byte_;
  if (damaged) return receive_damaged(frame, first_bit_ps);
  if (bytes < PST_LIMIT_FRAME_BYTES_MIN || bytes > frame_bytes_max(2))
    return nic_.statistics->drop(PST_DROP_REASON_RX_BAD_LENGTH);
  const ParsedFrame parsed = parse_frame(frame->bytes.data(), bytes);
  if (bytes > frame_bytes_max(parsed.vlan_count)) return nic_.statistics->drop(PST_DROP_REASON_RX_BAD_LENGTH);
  nic_.rx_filter->receive(frame, parsed, nic_.ptp_clock->time_ns(first_bit_ps), header_ps(bytes, first_bit_ps));
}

// In cut-through its writes have begun by the time that the FCS shows the damage.
void MacPort::receive_damaged(const sim::FramePtr& frame, uint64_t first_bit_ps) {
  nic_.statistics->drop(PST_DROP_REASON_RX_BAD_FCS);
  const uint32_t bytes = static_cast<uint32_t>(frame->bytes.size());
  const uint64_t begun_ps = header_ps(bytes, first_bit_ps);
  if (begun_ps == 0 || bytes > frame_bytes_max(2)) return;
  nic_.rx_filter->receive_damaged(frame, parse_frame(frame->bytes.data(), bytes), begun_ps);
}

}  // namespace postern::hw_model
