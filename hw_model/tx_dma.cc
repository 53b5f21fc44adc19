// A packet's way from the descriptor cache to its completion. See tx_dma.h; tx_packet.cc builds the frames.
#include "hw_model/tx_dma.h"

#include <algorithm>
#include <cstring>

#include "hw_model/agenda.h"
#include "hw_model/desc_fetch.h"
#include "hw_model/doorbell.h"
#include "hw_model/event_queue.h"
#include "hw_model/frame_pool.h"
#include "hw_model/mac_port.h"
#include "hw_model/pcie_link.h"
#include "hw_model/port_statistics.h"
#include "hw_model/properties.h"
#include "hw_model/vi_table.h"

namespace postern::hw_model {

namespace {
constexpr uint32_t kBeatBytes = 64;          // of the RTL's data path
constexpr double kCutThroughBytesMin = 128;  // holds all headers that the source check reads (R9)
}  // namespace

TxDma::TxDma(NicBlocks& nic)
    : nic_(nic),
      buffer_bytes_property_(nic.properties->add(
          {"tx_dma.buffer_bytes", "bytes",
           "Payload that may be between its read request and the wire; the last packet taken may exceed it.",
           "assumed: covers a 700 ns read at 100 Gb/s several times", 65536, 16384, 1 << 24})),
      completion_batch_property_(nic.properties->add(
          {"tx_dma.completion_batch", "packets",
           "Packets per TX event when none asks for its own and the queue does not empty.", "assumed", 16, 1, 64})),
      processing_ns_(nic.properties->add({"tx_dma.processing_ns", "ns", "From descriptor to payload read request.",
                                          "measured: RTL, make accuracy", 104, 0, 1e6})),
      forward_ns_(nic.properties->add({"tx_dma.forward_ns", "ns",
                                       "From a packet's last byte in the device to its frame at the MAC: source check, "
                                       "and out of the buffer.",
                                       "measured: RTL, make accuracy", 60, 0, 1e6})),
      checksum_ns_(nic.properties->add({"tx_dma.checksum_ns", "ns",
                                        "What checksums take before a frame may leave, besides checksum_beat_ns.",
                                        "measured: RTL, make accuracy", 20, 0, 1e6})),
      checksum_beat_ns_(nic.properties->add({"tx_dma.checksum_beat_ns", "ns",
                                             "What checksums take for each 64 bytes of a frame: a pass over all of it.",
                                             "measured: RTL, make accuracy", 4, 0, 1e6})),
      segmentation_property_(nic.properties->add(
          {"tx_dma.segmentation", "flag",
           "1: long TCP packets are cut into frames; 0: FEATURES lacks TSO, as read by software after a reset.",
           "contract: FEATURES.TSO is optional", 1, 0, 1})),
      cut_through_property_(nic.properties->add(
          {"tx_dma.cut_through", "flag",
           "1: a frame's first bit may leave before its last byte has arrived (not with checksums or segmentation, "
           "which need all of it); 0: store and forward.",
           "assumed: the safe choice", 0, 0, 1})),
      cut_through_bytes_property_(nic.properties->add(
          {"tx_dma.cut_through_bytes", "bytes", "What must have arrived before the first bit leaves.",
           "assumed: one PCIe completion of 256 bytes", 256, kCutThroughBytesMin, 16384})),
      scheduler_(nic) {}

void TxDma::configure() {
  buffer_bytes_ = static_cast<uint32_t>(buffer_bytes_property_);
  completion_batch_ = static_cast<uint32_t>(completion_batch_property_);
  processing_ps_ = to_ps(processing_ns_);
  forward_ps_ = to_ps(forward_ns_);
  checksum_ps_ = to_ps(checksum_ns_);
  checksum_beat_ps_ = to_ps(checksum_beat_ns_);
  segmentation_ = segmentation_property_ != 0;
  cut_through_ = cut_through_property_ != 0;
  cut_through_bytes_ = static_cast<uint32_t>(cut_through_bytes_property_);
  read_request_bytes_ = static_cast<uint32_t>(nic_.properties->get("pcie_link.mrrs_bytes"));
  scheduler_.configure();
}

uint32_t TxDma::features() const { return segmentation_ ? PST_FUNCTION_FEATURES_TSO_MASK : 0; }

void TxDma::reset() {
  scheduler_.reset();
  free_ops_.clear();
  for (auto& op : ops_) {
    op->frame.reset();
    free_ops_.push_back(op.get());
  }
  buffered_bytes_ = 0;
  buffer_full_ = false;
  last_handover_ps_ = 0;
}

TxOp* TxDma::new_op() {
  if (free_ops_.empty()) {
    ops_.push_back(std::make_unique<TxOp>());
    return ops_.back().get();
  }
  TxOp* op = free_ops_.back();
  free_ops_.pop_back();
  op->drop_reason = -1;
  op->read_fate = DmaResult::kOk;
  op->bytes = 0;
  op->checksum_l3 = op->checksum_l4 = op->timestamp = op->complete = op->vlan_insert = op->loopback = false;
  op->segment = op->pio = op->cut_through = op->cut_short = false;
  op->mss_bytes = 0;
  op->outcome_count = 0;
  op->segments.clear();
  return op;
}

void TxDma::release(TxOp* op) {
  op->frame.reset();
  free_ops_.push_back(op);
}

void TxDma::descriptors_arrived(Vi& vi) {
  scheduler_.add(vi);
  kick();
}

void TxDma::kick() {
  if (kicking_) return;
  kicking_ = true;
  while (!scheduler_.empty() && buffered_bytes_ < buffer_bytes_) {
    if (Vi* vi = scheduler_.begin_turn()) serve(*vi);
  }
  note_buffer(!scheduler_.empty());
  kicking_ = false;
}

// full: packets are ready and have to wait for room in the buffer.
void TxDma::note_buffer(bool full) {
  const uint64_t now = Agenda::now_ps();
  if (buffer_full_) nic_.statistics->tx_buffer_full_ps += now - buffer_noted_ps_;
  buffer_full_ = full;
  buffer_noted_ps_ = now;
}

void TxDma::serve(Vi& vi) {
  if (vi.tx_read_lost) return;  // it halts when the read times out
  Take take = Take::kTaken;
  while (take == Take::kTaken && !vi.tx_read_lost && scheduler_.turn_lasts(vi) && buffered_bytes_ < buffer_bytes_) {
    const uint64_t ready_ps = scheduler_.rate_ready_ps(vi);
    if (ready_ps > Agenda::now_ps()) {
      vi.tx_queued = true;
      nic_.agenda->at<&TxDma::rate_limit_over>(ready_ps, this, vi.id, vi.epoch);
      break;
    }
    take = take_packet(vi);
  }
  if (vi.state != ViState::kRunning) return;
  scheduler_.end_turn(vi, take == Take::kTaken, vi.tx_cache.head_idx == vi.tx_producer_idx);
  nic_.desc_fetch->fetch_tx(vi);
}

void TxDma::rate_limit_over(uint64_t vi_id, uint64_t epoch, uint64_t, uint64_t) {
  Vi* vi = nic_.vi_table->running(vi_id);
  if (vi == nullptr || vi->epoch != epoch) return;
  vi->tx_queued = false;
  scheduler_.add(*vi);
  kick();
}

TxDma::Take TxDma::take_packet(Vi& vi) {
  TxOp* op = new_op();
  const uint32_t first_idx = vi.tx_cache.head_idx;
  uint32_t error_code = PST_ERROR_CODE_OK;
  Take take = gather(vi, *op, error_code);
  if (take == Take::kTaken) {
    // Tags inside the frame are known only when it has been fetched; finish_packet() checks exactly.
    if (op->bytes < kEthernetHeaderBytes || (!op->segment && op->bytes > nic_.mac_port->frame_bytes_max(2))) {
      op->drop_reason = PST_DROP_REASON_TX_BAD_LENGTH;
    } else if (op->segment && op->bytes > PST_LIMIT_TSO_BYTES_MAX) {
      op->drop_reason = PST_DROP_REASON_TX_BAD_SEGMENT;
    } else if (!op->pio && !translate_fragments(vi, first_idx, *op)) {
      error_code = PST_ERROR_CODE_DMA_FAULT;
      take = Take::kHalted;
    }
  }
  if (take != Take::kTaken) {
    const bool fault = error_code == PST_ERROR_CODE_DMA_FAULT;
    release(op);
    if (take == Take::kIncomplete) return take;
    ++nic_.statistics->tx_packets;
    ++vi.counters.drops;
    nic_.statistics->drop(fault ? PST_DROP_REASON_TX_DMA_FAULT : PST_DROP_REASON_TX_VI_HALTED);
    vi.tx_cache.head_idx = skip_packet(vi);
    nic_.vi_table->halt(vi, PST_ERROR_SOURCE_TX, error_code, first_idx);
    return take;
  }
  start(vi, first_idx, op);
  return Take::kTaken;
}

// Plans the packet's arrival in the device and its handing over to the port.
void TxDma::start(Vi& vi, uint32_t first_idx, TxOp* op) {
  ++nic_.statistics->tx_packets;
  op->vi_id = vi.id;
  op->epoch = vi.epoch;
  ++vi.tx_in_flight_count;
  op->buffered_bytes = op->bytes;
  scheduler_.charge_packet(vi, op->bytes);
  uint64_t ready_ps = Agenda::now_ps();
  const uint64_t doorbell_ps = vi.tx_doorbells.arrival_ps(op->end_idx);  // asked for each packet, so that the log ends
  if (op->drop_reason < 0) {
    sim::clear_stamps(op->stamps_ps);
    op->stamps_ps[static_cast<size_t>(sim::Stage::kDescFetched)] = vi.tx_cache.arrived_ps;
    op->stamps_ps[static_cast<size_t>(sim::Stage::kDoorbellArrive)] = doorbell_ps;
    if (op->segment) {
      op->packet.resize(op->bytes);
    } else {
      op->frame = nic_.frame_pool->take(op->bytes);
    }
    op->cut_through = cut_through_ && !op->pio && !op->segment && !op->checksum_l3 && !op->checksum_l4 &&
                      op->bytes > cut_through_bytes_;
    if (op->pio) {
      const uint32_t offset = static_cast<uint32_t>(pst_tx_desc_get_address(&vi.tx_cache.at(first_idx)));
      nic_.doorbell->read_pio(vi.id, offset, op->frame->bytes.data(), op->bytes);
      ready_ps += processing_ps_;
    } else {
      ready_ps = op->cut_through ? post_cut_through_reads(vi, first_idx, *op) : post_reads(vi, first_idx, *op);
    }
  }
  vi.tx_pio = false;
  vi.tx_cache.head_idx = op->end_idx;
  ready_ps = std::max(last_handover_ps_, ready_ps);
  if (vi.tx_read_lost) {  // other VIs do not wait for an answer that never comes, neither in turn nor for room
    op->buffered_bytes = 0;
  } else {
    last_handover_ps_ = ready_ps;
  }
  buffered_bytes_ += op->buffered_bytes;
  const auto argument = reinterpret_cast<uint64_t>(op);
  if (op->cut_through) {
    nic_.agenda->at<&TxDma::head_arrived>(ready_ps, this, argument);
  } else {
    nic_.agenda->at<&TxDma::payload_arrived>(ready_ps, this, argument);
  }
}

// Index after the packet at the cache's head, or after all that is cached.
uint32_t TxDma::skip_packet(Vi& vi) {
  auto& cache = vi.tx_cache;
  uint32_t idx = cache.head_idx;
  while (idx != cache.arrived_idx) {
    const pst_tx_desc& desc = cache.at(idx++);
    if (pst_tx_desc_get_type(&desc) == PST_TX_DESC_TYPE_DATA && pst_tx_desc_get_end_of_packet(&desc)) break;
  }
  return idx;
}

void TxDma::drop_on_halt(TxOp* op) {
  nic_.statistics->drop(PST_DROP_REASON_TX_VI_HALTED);
  if (Vi* vi = nic_.vi_table->find(op->vi_id)) ++vi->counters.drops;
  buffered_bytes_ -= op->buffered_bytes;
  release(op);
  kick();
}

void TxDma::read_failed(Vi& vi, TxOp* op, DmaResult result) {
  nic_.statistics->drop(PST_DROP_REASON_TX_DMA_FAULT);
  ++vi.counters.drops;
  const uint32_t end_idx = op->end_idx;
  buffered_bytes_ -= op->buffered_bytes;
  release(op);
  nic_.vi_table->halt(vi, PST_ERROR_SOURCE_TX, dma_error_code(result), end_idx - 1);
  kick();
}

void TxDma::payload_arrived(uint64_t op_address, uint64_t, uint64_t, uint64_t) {
  TxOp* op = reinterpret_cast<TxOp*>(op_address);
  Vi* vi = nic_.vi_table->running(op->vi_id);
  if (vi == nullptr || vi->epoch != op->epoch) return drop_on_halt(op);
  if (op->drop_reason < 0 && !op->pio) {
    const DmaResult result = read_payload(*op, 0, op->bytes);
    if (result != DmaResult::kOk) return read_failed(*vi, op, result);
  }
  if (op->drop_reason < 0) finish_packet(*vi, *op);
  if (op->drop_reason < 0) ++vi->counters.tx_packets;
  hand_over(*vi, op);
}

// Cut-through: enough has arrived, and the rest will come before the wire takes it.
void TxDma::head_arrived(uint64_t op_address, uint64_t unused, uint64_t, uint64_t) {
  TxOp* op = reinterpret_cast<TxOp*>(op_address);
  if (op->landing_ps <= Agenda::now_ps()) {  // it has waited for its turn meanwhile
    op->cut_through = false;
    return payload_arrived(op_address, unused, 0, 0);
  }
  Vi* vi = nic_.vi_table->running(op->vi_id);
  if (vi == nullptr || vi->epoch != op->epoch) return drop_on_halt(op);
  const DmaResult result = read_payload(*op, 0, op->head_bytes);
  if (result != DmaResult::kOk) return read_failed(*vi, op, result);
  finish_packet(*vi, *op);
  if (op->drop_reason < 0) nic_.agenda->at<&TxDma::rest_arrived>(op->landing_ps, this, op_address);
  hand_over(*vi, op);
}

// The frame is on its way to the wire or on it, whatever has become of its VI: the read was posted while it ran, and
// teardown waits for it (R10).
void TxDma::rest_arrived(uint64_t op_address, uint64_t, uint64_t, uint64_t) {
  TxOp* op = reinterpret_cast<TxOp*>(op_address);
  Vi* vi = nic_.vi_table->find(op->vi_id);
  op->frame->stamps_ps[static_cast<size_t>(sim::Stage::kPayloadFetched)] = Agenda::now_ps();
  const DmaResult result = read_payload(*op, op->head_bytes, op->bytes);
  if (result == DmaResult::kOk) {
    if (vi != nullptr) ++vi->counters.tx_packets;
    if (nic_.observer != nullptr) nic_.observer->tx_frame_built(op->vi_id, op->end_idx, *op->frame);
    return;
  }
  op->cut_short = true;
  op->frame->bad_fcs = true;
  std::memset(op->frame->bytes.data() + (op->frame->bytes.size() - (op->bytes - op->head_bytes)), 0,
              op->bytes - op->head_bytes);
  nic_.statistics->drop(PST_DROP_REASON_TX_DMA_FAULT);
  if (vi == nullptr) return;
  ++vi->counters.drops;
  if (vi->epoch == op->epoch) {
    nic_.vi_table->halt(*vi, PST_ERROR_SOURCE_TX, dma_error_code(result), op->end_idx - 1);
  }
}

// From the packet's last byte in the device to its first frame at the MAC.
uint64_t TxDma::forward_ps(const TxOp& op) const {
  if (!op.checksum_l3 && !op.checksum_l4) return forward_ps_;
  const uint64_t beats = (frame_bytes(op, 0) + kBeatBytes - 1) / kBeatBytes;
  return forward_ps_ + checksum_ps_ + beats * checksum_beat_ps_;
}

void TxDma::hand_over(Vi& vi, TxOp* op) {
  if (op->drop_reason >= 0) {
    nic_.statistics->drop(static_cast<unsigned>(op->drop_reason));
    ++vi.counters.drops;
    op->frame.reset();
  }
  nic_.mac_port->transmit(op, op->drop_reason < 0 ? forward_ps(*op) : 0);
}

void TxDma::sent(TxOp* op) {
  Vi* vi = nic_.vi_table->find(op->vi_id);
  if (vi != nullptr && vi->epoch != op->epoch) vi = nullptr;
  if (vi != nullptr && op->drop_reason == PST_DROP_REASON_TX_LINK_DOWN) ++vi->counters.drops;  // found by the port
  if (vi != nullptr && vi->state == ViState::kRunning) {
    vi->tx_completed_idx = op->end_idx;
    ++vi->tx_unreported_count;
    --vi->tx_in_flight_count;
    if (op->timestamp && op->drop_reason < 0) {
      nic_.event_queue->post_tx_timestamp(*vi, op->first_bit_ps);
    } else if (op->complete || vi->tx_unreported_count >= completion_batch_ || vi->tx_in_flight_count == 0) {
      nic_.event_queue->post_tx(*vi);
    }
  }
  buffered_bytes_ -= op->buffered_bytes;
  release(op);
  if (!scheduler_.empty()) kick();
}

void TxDma::discard(Vi& vi) {
  scheduler_.remove(vi);
  vi.tx_pio = false;
  while (vi.tx_cache.head_idx != vi.tx_cache.arrived_idx) {
    const uint32_t next_idx = skip_packet(vi);
    const pst_tx_desc& last = vi.tx_cache.at(next_idx - 1);
    if (pst_tx_desc_get_type(&last) == PST_TX_DESC_TYPE_DATA && pst_tx_desc_get_end_of_packet(&last)) {
      ++nic_.statistics->tx_packets;
      ++vi.counters.drops;
      nic_.statistics->drop(PST_DROP_REASON_TX_VI_HALTED);
    }
    vi.tx_cache.head_idx = next_idx;
  }
}

}  // namespace postern::hw_model
