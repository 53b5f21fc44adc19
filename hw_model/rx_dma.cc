// Receive buffers, scatter and the event behind the payload. See rx_dma.h.
#include "hw_model/rx_dma.h"

#include <algorithm>
#include <cstring>

#include "hw_model/agenda.h"
#include "hw_model/desc_fetch.h"
#include "hw_model/event_queue.h"
#include "hw_model/frame_parser.h"
#include "hw_model/mac_port.h"
#include "hw_model/pcie_link.h"
#include "hw_model/port_statistics.h"
#include "hw_model/properties.h"
#include "hw_model/vi_table.h"

namespace postern::hw_model {

namespace {
constexpr uint32_t kScatterMax = PST_LIMIT_TX_FRAGMENTS_MAX;  // descriptors that one frame may take, as on send
constexpr uint32_t kCutThroughTailBytes = 64;                 // of a frame: what cannot go before its last bit is here
constexpr uint32_t kBeatBytes = 64;                           // of the RTL's data path
constexpr uint32_t kStallShare = 8;  // part of the port's buffer that one VI's waiting frames may hold
}  // namespace

RxDma::RxDma(NicBlocks& nic)
    : nic_(nic),
      buffer_bytes_property_(nic.properties->add(
          {"rx_dma.buffer_bytes", "bytes", "The port's receive buffer; one VI's waiting frames get an eighth of it.",
           "assumed: 256 KiB on chip", 262144, 16384, 1 << 24})),
      processing_ns_(nic.properties->add(
          {"rx_dma.processing_ns", "ns", "From a frame's last bit to its write request: filter lookup and translation.",
           "measured: RTL, make accuracy", 94, 0, 1e6})),
      beat_ns_(nic.properties->add({"rx_dma.beat_ns", "ns",
                                    "What comes on top of processing_ns for each 64 bytes of a frame: into the "
                                    "receive buffer and out of it.",
                                    "measured: RTL, make accuracy", 8, 0, 1e6})),
      merge_wait_ns_(nic.properties->add(
          {"event_queue.merge_wait_ns", "ns",
           "How long an RX event that may complete several frames waits for more, from its first frame.",
           "assumed: a little over ten 64-byte frames at 10 Gb/s", 1000, 0, 1e6})) {}

void RxDma::configure() {
  buffer_bytes_ = static_cast<uint32_t>(buffer_bytes_property_);
  processing_ps_ = to_ps(processing_ns_);
  beat_ps_ = to_ps(beat_ns_);
  merge_wait_ps_ = to_ps(merge_wait_ns_);
}

void RxDma::reset() {
  free_ops_.clear();
  for (auto& op : ops_) {
    op->frame.reset();
    free_ops_.push_back(op.get());
  }
  buffered_bytes_ = 0;
}

RxOp* RxDma::new_op() {
  if (free_ops_.empty()) {
    ops_.push_back(std::make_unique<RxOp>());
    return ops_.back().get();
  }
  RxOp* op = free_ops_.back();
  free_ops_.pop_back();
  op->segments.clear();
  op->next = nullptr;
  return op;
}

void RxDma::release(RxOp* op) {
  buffered_bytes_ -= op->buffered_bytes;
  nic_.mac_port->receive_buffer_level(buffered_bytes_);
  op->frame.reset();
  free_ops_.push_back(op);
}

void RxDma::drop(Vi& vi, RxOp* op, unsigned reason) {
  nic_.statistics->drop(reason);
  ++vi.counters.drops;
  release(op);
}

// vi may be null: the counting is then the port's alone.
void RxDma::drop_list(Vi* vi, RxOp* op, unsigned reason) {
  while (op != nullptr) {
    RxOp* next = op->next;
    nic_.statistics->drop(reason);
    if (vi != nullptr) ++vi->counters.drops;
    release(op);
    op = next;
  }
}

void RxDma::receive(Vi& vi, const sim::FramePtr& frame, const SteeredFrame& steered) {
  const uint32_t bytes = static_cast<uint32_t>(frame->bytes.size());
  const bool waits = vi.rx_waiting_first != nullptr;
  if (vi.state == ViState::kRunning && (buffered_bytes_ + bytes > buffer_bytes_ ||
                                        (waits && vi.rx_waiting_bytes + bytes > buffer_bytes_ / kStallShare))) {
    nic_.statistics->drop(PST_DROP_REASON_RX_BUFFER_FULL);
    ++vi.counters.drops;
    return;
  }
  RxOp* op = new_op();
  op->in = steered;
  op->frame = frame;
  op->vi_id = vi.id;
  op->epoch = vi.epoch;
  op->buffered_bytes = bytes;
  op->has_prefix = vi.rx_prefix;
  op->strip_vlan = vi.vlan_strip && op->in.vlan_count != 0;
  buffered_bytes_ += bytes;
  nic_.mac_port->receive_buffer_level(buffered_bytes_);
  if (!waits && start(vi, op) == Start::kDone) return;
  op->in.header_ps = 0;  // when its turn comes it has long been complete
  if (vi.rx_waiting_first == nullptr) {
    vi.rx_waiting_first = op;
  } else {
    vi.rx_waiting_last->next = op;
  }
  vi.rx_waiting_last = op;
  vi.rx_waiting_bytes += bytes;
}

void RxDma::resume(Vi& vi) {
  while (vi.rx_waiting_first != nullptr) {
    RxOp* op = vi.rx_waiting_first;
    const uint32_t bytes = op->buffered_bytes;
    RxOp* next = op->next;
    vi.rx_waiting_first = next;
    op->next = nullptr;  // from here on it may become a link of a merge
    const Start outcome = start(vi, op);
    if (outcome == Start::kWait) {
      op->next = next;
      vi.rx_waiting_first = op;
      return;
    }
    vi.rx_waiting_bytes -= bytes;
  }
}

void RxDma::abandon(Vi& vi, uint32_t bytes, uint64_t header_ps) {
  if (vi.state != ViState::kRunning || vi.rx_waiting_first != nullptr) return;
  const uint32_t needed_bytes = bytes + (vi.rx_prefix ? PST_LIMIT_RX_PREFIX_BYTES : 0);
  const Plan take = plan(vi, needed_bytes);
  if (take.wait || take.bad || take.desc_count == 0) return;
  post_payload(vi, header_ps, take.desc_count, std::min(needed_bytes, take.capacity_bytes));
}

void RxDma::discard(Vi& vi) {
  drop_merge(vi);
  while (vi.rx_waiting_first != nullptr) {
    RxOp* op = vi.rx_waiting_first;
    vi.rx_waiting_first = op->next;
    vi.rx_waiting_bytes -= op->buffered_bytes;
    drop(vi, op, PST_DROP_REASON_RX_VI_HALTED);
  }
}

RxDma::Plan RxDma::plan(Vi& vi, uint32_t needed_bytes) const {
  Plan plan;
  auto& cache = vi.rx_cache;
  for (uint32_t idx = cache.head_idx; plan.capacity_bytes < needed_bytes && plan.desc_count < kScatterMax; ++idx) {
    if (idx == cache.arrived_idx) {
      plan.wait = vi.rx_producer_idx != idx;
      break;
    }
    const pst_rx_desc& desc = cache.at(idx);
    const uint32_t bytes = static_cast<uint32_t>(pst_rx_desc_get_length_bytes(&desc));
    if (bytes == 0 || pst_rx_desc_get_flags(&desc) != 0 || pst_rx_desc_get_reserved(&desc) != 0) {
      plan.bad = true;
      plan.bad_idx = idx;
      break;
    }
    plan.capacity_bytes += bytes;
    ++plan.desc_count;
  }
  return plan;
}

bool RxDma::translate_buffers(Vi& vi, RxOp& op, uint32_t desc_count, uint32_t& fault_idx) {
  uint32_t left = op.written_bytes;
  for (uint32_t i = 0; i < desc_count; ++i) {
    fault_idx = vi.rx_cache.head_idx + i;
    const pst_rx_desc& desc = vi.rx_cache.at(fault_idx);
    const uint32_t bytes = std::min(left, static_cast<uint32_t>(pst_rx_desc_get_length_bytes(&desc)));
    if (!nic_.translation->translate(vi.pd, pst_rx_desc_get_address(&desc), bytes, true, op.segments)) return false;
    left -= bytes;
  }
  return true;
}

RxDma::Start RxDma::start(Vi& vi, RxOp* op) {
  if (vi.state != ViState::kRunning) {
    drop(vi, op, PST_DROP_REASON_RX_VI_HALTED);
    return Start::kDone;
  }
  if (vi.rx_producer_idx == vi.rx_consumer_idx) {
    drop(vi, op, PST_DROP_REASON_RX_NO_DESCRIPTOR);
    return Start::kDone;
  }
  const uint32_t frame_bytes = op->buffered_bytes - (op->strip_vlan ? kVlanTagBytes : 0);
  const uint32_t needed_bytes = frame_bytes + (op->has_prefix ? PST_LIMIT_RX_PREFIX_BYTES : 0);
  const Plan take = plan(vi, needed_bytes);
  if (take.wait) {
    nic_.desc_fetch->fetch_rx(vi);
    return vi.state == ViState::kRunning ? Start::kWait : start(vi, op);
  }
  if (take.bad) {
    drop(vi, op, PST_DROP_REASON_RX_VI_HALTED);
    nic_.vi_table->halt(vi, PST_ERROR_SOURCE_RX, PST_ERROR_CODE_BAD_DESCRIPTOR, take.bad_idx);
    return Start::kDone;
  }
  op->written_bytes = std::min(needed_bytes, take.capacity_bytes);
  uint32_t fault_idx = 0;
  if (!translate_buffers(vi, *op, take.desc_count, fault_idx)) {
    drop(vi, op, PST_DROP_REASON_RX_DMA_FAULT);
    nic_.vi_table->halt(vi, PST_ERROR_SOURCE_RX, PST_ERROR_CODE_DMA_FAULT, fault_idx);
    return Start::kDone;
  }
  const bool truncated = op->written_bytes < needed_bytes;
  const bool mergeable = vi.merge_count > 1 && take.desc_count == 1 && !truncated;
  const bool joins = mergeable && vi.rx_merge.first != nullptr && vi.rx_merge.alike == op->in.event.word[0];
  if (!joins) {
    close_merge(vi);
    const Admission admission = nic_.event_queue->admit(vi);
    if (admission == Admission::kStall) {
      op->segments.clear();
      return Start::kWait;
    }
    if (admission != Admission::kOk) {
      drop(vi, op, PST_DROP_REASON_RX_EVQ_FULL);
      return Start::kDone;
    }
  }
  issue(vi, op, take.desc_count, truncated);
  return Start::kDone;
}

void RxDma::fill_prefix(RxOp& op) const {
  pst_rx_prefix prefix{};
  pst_rx_prefix_set_filter_id(&prefix, op.in.filter_id);
  pst_rx_prefix_set_timestamp_ns(&prefix, op.in.timestamp_ns);
  if (op.in.hash_valid) {
    pst_rx_prefix_set_rss_hash(&prefix, op.in.rss_hash);
    pst_rx_prefix_set_rss_valid(&prefix, 1);
  }
  pst_rx_prefix_set_length_bytes(&prefix, pst_rx_event_get_length_bytes(&op.in.event));
  if (op.strip_vlan) {
    pst_rx_prefix_set_vlan_tci(&prefix, op.in.vlan_tci);
    pst_rx_prefix_set_vlan_stripped(&prefix, 1);
  }
  std::memcpy(op.prefix.data(), &prefix, sizeof prefix);
}

// A complete frame is looked up and translated first; one in cut-through was looked up while it arrived.
uint64_t RxDma::earliest_ps(uint64_t header_ps, uint32_t bytes) const {
  const uint64_t now = Agenda::now_ps();
  if (header_ps != 0) return std::max(now, header_ps + processing_ps_);
  return now + processing_ps_ + (bytes + kBeatBytes - 1) / kBeatBytes * beat_ps_;
}

// Posts the writes of bytes into the next desc_count buffers; returns when the last lands. In cut-through all but the
// last TLP may have gone before now, where the link was free: see README.md.
uint64_t RxDma::post_payload(Vi& vi, uint64_t header_ps, uint32_t desc_count, uint32_t bytes) {
  const uint64_t earliest = earliest_ps(header_ps, bytes);
  uint64_t landing = 0;
  uint32_t left = bytes;
  for (uint32_t i = 0; i < desc_count; ++i) {
    const pst_rx_desc& desc = vi.rx_cache.at(vi.rx_cache.head_idx + i);
    uint64_t address = pst_rx_desc_get_address(&desc);
    uint32_t here = std::min(left, static_cast<uint32_t>(pst_rx_desc_get_length_bytes(&desc)));
    left -= here;
    if (header_ps != 0 && here > kCutThroughTailBytes) {
      const uint32_t early = here - kCutThroughTailBytes;
      landing = std::max(landing, nic_.pcie_link->post_write(header_ps + processing_ps_, address, early, true));
      address += early;
      here = kCutThroughTailBytes;
    }
    // Payload may overtake payload; the event behind it is a strict write (R3).
    landing = std::max(landing, nic_.pcie_link->post_write(earliest, address, here, true));
  }
  return landing;
}

// Posts the writes of payload and event; both land when the event does, which is when the host can know of them.
void RxDma::issue(Vi& vi, RxOp* op, uint32_t desc_count, bool truncated) {
  op->epoch = vi.epoch;
  op->first_idx = vi.rx_cache.head_idx;
  op->payload_landing_ps = post_payload(vi, op->in.header_ps, desc_count, op->written_bytes);
  vi.rx_cache.head_idx += desc_count;
  vi.rx_consumer_idx += desc_count;
  const uint32_t prefix_bytes = op->has_prefix ? PST_LIMIT_RX_PREFIX_BYTES : 0;
  pst_rx_event& event = op->in.event;
  const uint64_t alike = event.word[0];
  pst_rx_event_set_length_bytes(&event, op->written_bytes > prefix_bytes ? op->written_bytes - prefix_bytes : 0);
  pst_rx_event_set_desc_count(&event, desc_count);
  pst_rx_event_set_prefix_present(&event, op->has_prefix ? 1 : 0);
  pst_rx_event_set_rx_consumer_idx(&event, vi.rx_consumer_idx);
  if (truncated) {
    pst_rx_event_set_error_class(&event, PST_RX_ERROR_CLASS_TRUNCATED);
    pst_rx_event_set_checksum_l4(&event, PST_CHECKSUM_RESULT_NONE);
  }
  if (op->has_prefix) fill_prefix(*op);
  if (vi.merge_count > 1 && desc_count == 1 && !truncated) {
    add_to_merge(vi, op, alike);
  } else {
    issue_event(vi, op);
  }
  nic_.desc_fetch->fetch_rx(vi);
}

void RxDma::issue_event(Vi& vi, RxOp* op) {
  pst_rx_event& event = op->in.event;
  pst_event common{{event.word[0], event.word[1]}};
  op->event_idx = nic_.event_queue->take_slot(vi, common);
  std::memcpy(&event, &common, sizeof event);
  const uint64_t earliest = earliest_ps(op->in.header_ps, op->written_bytes) + nic_.event_queue->processing_ps();
  const uint64_t landing =
      nic_.pcie_link->post_write(earliest, EventQueue::slot_alignment(vi, op->event_idx), PST_EVENT_BYTES);
  nic_.agenda->at<&RxDma::landed>(landing, this, reinterpret_cast<uint64_t>(op));
  nic_.event_queue->issued(vi);
}

// The first frame of a merge keeps space for the event (R5), so that those that join it need none.
void RxDma::add_to_merge(Vi& vi, RxOp* op, uint64_t alike) {
  RxMerge& merge = vi.rx_merge;
  op->next = nullptr;
  if (merge.first == nullptr) {
    EventQueue::reserve(vi);
    merge.first = op;
    merge.alike = alike;
    nic_.agenda->at<&RxDma::merge_wait_over>(Agenda::now_ps() + merge_wait_ps_, this, vi.id, vi.epoch,
                                             ++merge.generation);
  } else {
    merge.last->next = op;
  }
  merge.last = op;
  // Without a descriptor nothing can join it.
  if (++merge.frame_count >= vi.merge_count || vi.rx_consumer_idx == vi.rx_producer_idx) close_merge(vi);
}

void RxDma::merge_wait_over(uint64_t vi_id, uint64_t epoch, uint64_t generation, uint64_t) {
  Vi* vi = nic_.vi_table->running(vi_id);
  if (vi != nullptr && vi->epoch == epoch && vi->rx_merge.generation == generation) close_merge(*vi);
}

void RxDma::close_merge(Vi& vi) {
  RxMerge& merge = vi.rx_merge;
  RxOp* first = merge.first;
  if (first == nullptr) return;
  if (merge.frame_count > 1) {
    pst_rx_event& event = first->in.event;
    pst_rx_event_set_length_bytes(&event, 0);
    pst_rx_event_set_desc_count(&event, merge.frame_count);
    pst_rx_event_set_merged(&event, 1);
    pst_rx_event_set_rx_consumer_idx(&event, merge.last->first_idx + 1);
    ++vi.counters.merged_events;
    vi.counters.merged_frames += merge.frame_count;
  }
  first->in.header_ps = 0;
  merge.first = merge.last = nullptr;
  merge.frame_count = 0;
  ++merge.generation;
  EventQueue::unreserve(vi);
  issue_event(vi, first);
}

void RxDma::drop_merge(Vi& vi) {
  RxMerge& merge = vi.rx_merge;
  if (merge.first == nullptr) return;
  drop_list(&vi, merge.first, PST_DROP_REASON_RX_VI_HALTED);
  merge.first = merge.last = nullptr;
  merge.frame_count = 0;
  ++merge.generation;
  EventQueue::unreserve(vi);
}

bool RxDma::write_payload(const RxOp& op) {
  struct Piece {
    const uint8_t* data;
    uint32_t bytes;
  };
  const std::vector<uint8_t>& frame = op.frame->bytes;
  const uint32_t frame_bytes = static_cast<uint32_t>(frame.size());
  std::array<Piece, 3> pieces{};
  size_t count = 0;
  if (op.has_prefix) pieces[count++] = {reinterpret_cast<const uint8_t*>(op.prefix.data()), PST_LIMIT_RX_PREFIX_BYTES};
  if (op.strip_vlan) {
    pieces[count++] = {frame.data(), 12};
    pieces[count++] = {frame.data() + 12 + kVlanTagBytes, frame_bytes - 12 - kVlanTagBytes};
  } else {
    pieces[count++] = {frame.data(), frame_bytes};
  }
  const Piece* piece = pieces.data();
  uint32_t offset = 0;
  for (const DmaSegment& segment : op.segments) {
    for (uint32_t done = 0; done < segment.bytes;) {
      if (offset == piece->bytes) {
        ++piece;
        offset = 0;
      }
      const uint32_t bytes = std::min(segment.bytes - done, piece->bytes - offset);
      if (nic_.pcie_link->memory_write(segment.host_address + done, piece->data + offset, bytes, op.vi_id) !=
          DmaResult::kOk)
        return false;
      done += bytes;
      offset += bytes;
    }
  }
  return true;
}

void RxDma::landed(uint64_t op_address, uint64_t, uint64_t, uint64_t) {
  RxOp* op = reinterpret_cast<RxOp*>(op_address);
  Vi* vi = nic_.vi_table->find(op->vi_id);
  if (vi == nullptr || vi->epoch != op->epoch) {  // a write before it failed and halted the VI
    return drop_list(nullptr, op, PST_DROP_REASON_RX_VI_HALTED);
  }
  const uint32_t event_idx = op->event_idx;
  for (const RxOp* frame = op; frame != nullptr; frame = frame->next) {
    if (write_payload(*frame)) continue;
    const uint32_t first_idx = frame->first_idx;
    drop_list(vi, op, PST_DROP_REASON_RX_DMA_FAULT);
    return nic_.event_queue->write_failed(*vi, event_idx, PST_ERROR_SOURCE_RX, PST_ERROR_CODE_DMA_FAULT, first_idx);
  }
  uint64_t event_address = 0;
  if (!nic_.event_queue->slot_address(*vi, event_idx, event_address) ||
      nic_.pcie_link->memory_write(event_address, &op->in.event, PST_EVENT_BYTES, vi->id) != DmaResult::kOk) {
    drop_list(vi, op, PST_DROP_REASON_RX_DMA_FAULT);
    return nic_.event_queue->write_failed(*vi, event_idx, PST_ERROR_SOURCE_EVQ, PST_ERROR_CODE_DMA_FAULT, event_idx);
  }
  delivered(*vi, op);
}

void RxDma::delivered(Vi& vi, RxOp* op) {
  const uint32_t event_idx = op->event_idx;
  while (op != nullptr) {
    RxOp* next = op->next;
    ++nic_.statistics->rx_delivered;
    ++vi.counters.rx_packets;
    auto& stamps = op->frame->stamps_ps;
    stamps[static_cast<size_t>(sim::Stage::kRxPayloadWritten)] = op->payload_landing_ps;
    stamps[static_cast<size_t>(sim::Stage::kEventWritten)] = Agenda::now_ps();
    if (nic_.observer != nullptr) nic_.observer->rx_event_written(vi.id, event_idx, op->frame);
    release(op);
    op = next;
  }
}

}  // namespace postern::hw_model
