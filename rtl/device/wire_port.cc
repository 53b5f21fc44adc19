// Frames, beats and line rate. See wire_port.h.
#include "rtl/device/wire_port.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "rtl/device/rx_frames.h"
#include "rtl/device/verilated_top.h"

namespace postern::rtl_device {

namespace {

using hw_model::MacPort;

// The PHY takes a frame's first beat when the wire will be free this much later than it could start. So a pause of the
// peer finds little that has been taken already.
constexpr uint64_t kAheadPs = 64'000;

uint64_t now_ps() { return hw_model::Agenda::now_ps(); }

}  // namespace

WirePort::WirePort(Vpst_nic_top& top, hw_model::NicStorage& blocks, sc_core::sc_port<sim::EthernetIf>& wire,
                   RxFrames& frames, std::function<void()> wake)
    : top_(top), blocks_(blocks), wire_(wire), frames_(frames), wake_(std::move(wake)) {}

void WirePort::reset() {
  building_.clear();
  outgoing_.clear();
  left_.clear();
  wire_free_ps_ = 0;
  incoming_.clear();
  sent_bytes_ = 0;
  receiving_ = false;
}

// --- out -------------------------------------------------------------------------------------------------------------

void WirePort::take_beat(uint64_t edge_ps) {
  const uint64_t before_ps = building_.size() * blocks_.mac_port.ps_per_byte();
  const uint64_t through_ps = edge_ps + blocks_.mac_port.processing_ps();
  if (building_.empty()) first_beat_ps_ = edge_ps, startable_ps_ = 0;
  startable_ps_ = std::max(startable_ps_, through_ps > before_ps ? through_ps - before_ps : 0);
  const auto* data = reinterpret_cast<const uint8_t*>(top_.wt_data_o.data());
  building_.insert(building_.end(), data, data + top_.wt_bytes_o);
  if (top_.wt_last_o) send();
}

// The frame's first bit leaves as early as no beat comes later than its turn on the wire; its last bit is still to
// come.
void WirePort::send() {
  Outgoing out{blocks_.frame_pool.take(building_.size()),
               0,
               top_.wt_loop_o != 0,
               top_.wt_pause_o != 0,
               top_.wt_vi_o,
               top_.wt_end_idx_o};
  std::memcpy(out.frame->bytes.data(), building_.data(), building_.size());
  out.first_bit_ps = std::max(startable_ps_, wire_free_ps_);
  const uint64_t last_bit_ps = out.first_bit_ps + blocks_.mac_port.on_wire_ps(building_.size());
  wire_free_ps_ = last_bit_ps + MacPort::kGapBytes * blocks_.mac_port.ps_per_byte();
  blocks_.statistics.tx_busy_ps += wire_free_ps_ - out.first_bit_ps;
  building_.clear();
  auto& stamps = out.frame->stamps_ps;
  stamps[static_cast<size_t>(sim::Stage::kPayloadFetched)] = first_beat_ps_;
  stamps[static_cast<size_t>(sim::Stage::kWireFirstBit)] = out.first_bit_ps;
  if (hw_model::Vi* vi = out.pause ? nullptr : blocks_.vi_table.find(top_.wt_vi_o)) {
    stamps[static_cast<size_t>(sim::Stage::kDoorbellArrive)] = vi->tx_doorbells.arrival_ps(top_.wt_end_idx_o);
    if (blocks_.nic.observer != nullptr) blocks_.nic.observer->tx_frame_built(vi->id, top_.wt_end_idx_o, *out.frame);
  }
  outgoing_.push_back(std::move(out));
  blocks_.agenda.at<&WirePort::last_bit>(last_bit_ps, this);
}

void WirePort::last_bit(uint64_t, uint64_t, uint64_t, uint64_t) {
  const Outgoing out = std::move(outgoing_.front());
  outgoing_.pop_front();
  const bool lost = !out.loop && blocks_.mac_port.loses_bits_of(out.first_bit_ps);
  left_.push_back({now_ps(), lost, blocks_.ptp_clock.time_ns(out.first_bit_ps)});
  wake_();
  if (lost && out.pause) return;
  if (lost) {
    // The packet is one drop, however many of its frames were lost: they do not count as further outcomes of it.
    const bool again =
        last_lost_.frame != nullptr && last_lost_.vi_id == out.vi_id && last_lost_.end_idx == out.end_idx;
    if (again && blocks_.statistics.tx_extra_frames > 0) --blocks_.statistics.tx_extra_frames;
    last_lost_ = out;
    return;
  }
  last_lost_.frame = nullptr;
  if (out.loop) {
    ++blocks_.statistics.tx_loopback;
    receive(out.frame, true);
    return;
  }
  if (out.pause) {
    ++blocks_.statistics.tx_pause_frames;
  } else {
    ++blocks_.statistics.tx_frames;
    blocks_.statistics.tx_bytes += out.frame->bytes.size();
  }
  wire_->deliver(out.frame);
}

// --- in --------------------------------------------------------------------------------------------------------------

void WirePort::deliver(const sim::FramePtr& frame) {
  if (blocks_.mac_port.hears(*frame)) receive(frame, false);
}

void WirePort::receive(const sim::FramePtr& frame, bool looped) {
  frame->stamps_ps[static_cast<size_t>(sim::Stage::kWireLastBit)] = now_ps();
  blocks_.statistics.rx_busy_ps +=
      blocks_.mac_port.on_wire_ps(frame->bytes.size()) + MacPort::kGapBytes * blocks_.mac_port.ps_per_byte();
  incoming_.push_back({now_ps(), frame, looped, frames_.add(frame)});
  wake_();
}

void WirePort::set_link(bool up) { blocks_.mac_port.set_link(up); }

bool WirePort::drive_receive(uint64_t edge_ps) {
  const bool ready = receiving_ || (!incoming_.empty() && incoming_.front().arrived_ps < edge_ps);
  if (!ready) {
    const bool changed = top_.wr_valid_i != 0;
    top_.wr_valid_i = 0;
    return changed;
  }
  const Incoming& in = incoming_.front();
  const std::vector<uint8_t>& bytes = in.frame->bytes;
  const auto total = static_cast<uint32_t>(bytes.size());
  if (!receiving_) sent_bytes_ = 0;
  const uint32_t here = std::min(kBeatBytes, total - sent_bytes_);
  auto* lanes = reinterpret_cast<uint8_t*>(top_.wr_data_i.data());
  std::memcpy(lanes, bytes.data() + sent_bytes_, here);
  if (here < kBeatBytes) std::memset(lanes + here, 0, kBeatBytes - here);
  sent_bytes_ += here;
  const bool last = sent_bytes_ == total;
  top_.wr_valid_i = 1;
  top_.wr_bytes_i = static_cast<CData>(here);
  top_.wr_last_i = last ? 1 : 0;
  top_.wr_id_i = in.id;
  if (last) {
    top_.wr_bad_i = !in.looped && (in.frame->bad_fcs || blocks_.faults.damages_frame()) ? 1 : 0;
    top_.wr_looped_i = in.looped ? 1 : 0;
    const uint64_t duration_ps = blocks_.mac_port.on_wire_ps(total);
    top_.wr_time_ns_i = blocks_.ptp_clock.time_ns(in.arrived_ps > duration_ps ? in.arrived_ps - duration_ps : 0);
    incoming_.pop_front();
  }
  receiving_ = !last;
  return true;
}

// --- clock -----------------------------------------------------------------------------------------------------------

void WirePort::drive(uint64_t edge_ps) {
  if (drive_receive(edge_ps)) top_.drive_receive_i = 1;
  const bool report = !left_.empty() && left_.front().time_ps < edge_ps;
  const bool reports = report || top_.wl_valid_i != 0;
  top_.wl_valid_i = report ? 1 : 0;
  if (report) {
    top_.wl_lost_i = left_.front().lost ? 1 : 0;
    top_.wl_time_ns_i = left_.front().first_bit_ns;
    left_.pop_front();
  }
  const CData ready = ready_ps() <= edge_ps ? 1 : 0;
  if (reports || ready != top_.wt_ready_i) top_.drive_sent_i = 1;
  top_.wt_ready_i = ready;
}

// When the next beat is taken.
uint64_t WirePort::ready_ps() const {
  const uint64_t ahead_ps = blocks_.mac_port.processing_ps() + kAheadPs;
  return !building_.empty() || wire_free_ps_ <= ahead_ps ? 0 : wire_free_ps_ - ahead_ps;
}

void WirePort::sample(uint64_t edge_ps) {
  if (top_.wt_valid_o && top_.wt_ready_i) take_beat(edge_ps);
}

uint64_t WirePort::next_edge_ps(uint64_t edge_ps) const {
  const uint64_t soon = edge_ps + kCyclePs;
  if (receiving_ || top_.wr_valid_i || top_.wl_valid_i) return soon;
  uint64_t next = kNever;
  if (top_.wt_valid_o) next = std::max(soon, edge_at(ready_ps()));
  if (!incoming_.empty()) next = std::min(next, std::max(soon, edge_after(incoming_.front().arrived_ps)));
  if (!left_.empty()) next = std::min(next, std::max(soon, edge_after(left_.front().time_ps)));
  return next;
}

}  // namespace postern::rtl_device
