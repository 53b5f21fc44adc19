// Transmit scheduling, payload fetch and frame finishing. See tx_dma.h.
#include "hw_model/tx_dma.h"

#include <algorithm>
#include <cstring>

#include "hw_model/agenda.h"
#include "hw_model/checksum.h"
#include "hw_model/desc_fetch.h"
#include "hw_model/event_queue.h"
#include "hw_model/frame_parser.h"
#include "hw_model/frame_pool.h"
#include "hw_model/mac_port.h"
#include "hw_model/pcie_link.h"
#include "hw_model/port_statistics.h"
#include "hw_model/properties.h"
#include "hw_model/vi_table.h"

namespace postern::hw_model {

TxDma::TxDma(NicBlocks& nic)
    : nic_(nic),
      buffer_bytes_property_(nic.properties->add(
          {"tx_dma.buffer_bytes", "bytes", "Payload that may be between its read request and the wire.",
           "assumed: covers a 700 ns read at 100 Gb/s several times", 65536, 16384, 1 << 24})),
      completion_batch_property_(nic.properties->add(
          {"tx_dma.completion_batch", "packets",
           "Packets per TX event when none asks for its own and the queue does not empty.", "assumed", 16, 1, 64})),
      processing_ns_(nic.properties->add({"tx_dma.processing_ns", "ns", "From descriptor to payload read request.",
                                          "assumed: 4 cycles at 250 MHz", 16, 0, 1e6})) {}

void TxDma::configure() {
  buffer_bytes_ = static_cast<uint32_t>(buffer_bytes_property_);
  completion_batch_ = static_cast<uint32_t>(completion_batch_property_);
  processing_ps_ = to_ps(processing_ns_);
}

void TxDma::reset() {
  ready_.clear();
  free_ops_.clear();
  for (auto& op : ops_) {
    op->frame.reset();
    free_ops_.push_back(op.get());
  }
  buffered_bytes_ = 0;
  last_landing_ps_ = 0;
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
  op->segments.clear();
  return op;
}

void TxDma::release(TxOp* op) {
  op->frame.reset();
  free_ops_.push_back(op);
}

void TxDma::descriptors_arrived(Vi& vi) {
  if (!vi.tx_queued) {
    vi.tx_queued = true;
    ready_.push_back(vi.id);
  }
  kick();
}

void TxDma::kick() {
  if (kicking_) return;
  kicking_ = true;
  while (!ready_.empty() && buffered_bytes_ < buffer_bytes_) {
    Vi* vi = nic_.vi_table->running(ready_.front());
    ready_.pop_front();
    if (vi == nullptr) continue;
    vi->tx_queued = false;
    if (vi->tx_read_lost) continue;  // it halts when the read times out
    if (vi->rate_limit_mbps != 0 && vi->tx_rate_ready_ps > Agenda::now_ps()) {
      vi->tx_queued = true;
      nic_.agenda->at<&TxDma::rate_limit_over>(vi->tx_rate_ready_ps, this, vi->id, vi->epoch);
      continue;
    }
    Take take = Take::kTaken;
    for (uint32_t turn = 0; turn < vi->weight && take == Take::kTaken && !vi->tx_read_lost; ++turn)
      take = take_packet(*vi);
    if (vi->state != ViState::kRunning) continue;
    if (take == Take::kTaken && !vi->tx_queued) {
      vi->tx_queued = true;
      ready_.push_back(vi->id);
    }
    nic_.desc_fetch->fetch_tx(*vi);
  }
  kicking_ = false;
}

void TxDma::rate_limit_over(uint64_t vi_id, uint64_t epoch, uint64_t, uint64_t) {
  Vi* vi = nic_.vi_table->running(vi_id);
  if (vi == nullptr || vi->epoch != epoch) return;
  ready_.push_back(vi->id);
  kick();
}

// False: the descriptor is malformed, error_code says how.
bool TxDma::add_fragment(const pst_tx_desc& desc, TxOp& op, bool first, uint32_t& error_code) {
  const uint32_t bytes = static_cast<uint32_t>(pst_tx_desc_get_length_bytes(&desc));
  if (pst_tx_desc_get_reserved(&desc) != 0 || bytes == 0 || pst_tx_desc_get_type(&desc) != PST_TX_DESC_TYPE_DATA) {
    error_code = PST_ERROR_CODE_BAD_DESCRIPTOR;
    return false;
  }
  if (first) {
    if (pst_tx_desc_get_segment(&desc)) {
      error_code = PST_ERROR_CODE_UNSUPPORTED;
      return false;
    }
    op.checksum_l3 = pst_tx_desc_get_checksum_l3(&desc) != 0;
    op.checksum_l4 = pst_tx_desc_get_checksum_l4(&desc) != 0;
    op.timestamp = pst_tx_desc_get_timestamp(&desc) != 0;
    op.complete = pst_tx_desc_get_complete(&desc) != 0;
  }
  op.bytes += bytes;
  return true;
}

TxDma::Take TxDma::gather(Vi& vi, TxOp& op, uint32_t& error_code) {
  auto& cache = vi.tx_cache;
  uint32_t idx = cache.head_idx;
  const uint32_t end_idx = cache.arrived_idx;
  if (idx == end_idx) return Take::kIncomplete;
  if (pst_tx_desc_get_type(&cache.at(idx)) == PST_TX_DESC_TYPE_OPTION) {
    pst_tx_option_desc option;
    std::memcpy(&option, &cache.at(idx), sizeof option);
    if (pst_tx_option_desc_get_reserved0(&option) | pst_tx_option_desc_get_reserved1(&option) |
        pst_tx_option_desc_get_reserved2(&option)) {
      error_code = PST_ERROR_CODE_BAD_DESCRIPTOR;
      return Take::kHalted;
    }
    op.vlan_insert = pst_tx_option_desc_get_vlan_insert(&option) != 0;
    op.vlan_tci = static_cast<uint16_t>(pst_tx_option_desc_get_vlan_tci(&option));
    ++idx;
  }
  for (uint32_t count = 0; idx != end_idx; ++idx, ++count) {
    const pst_tx_desc& desc = cache.at(idx);
    if (count == PST_LIMIT_TX_FRAGMENTS_MAX) {
      error_code = PST_ERROR_CODE_BAD_DESCRIPTOR;
      return Take::kHalted;
    }
    if (!add_fragment(desc, op, count == 0, error_code)) return Take::kHalted;
    if (pst_tx_desc_get_end_of_packet(&desc)) {
      op.end_idx = idx + 1;
      return Take::kTaken;
    }
  }
  return Take::kIncomplete;
}

bool TxDma::translate_fragments(Vi& vi, uint32_t first_idx, TxOp& op) {
  for (uint32_t idx = first_idx; idx != op.end_idx; ++idx) {
    const pst_tx_desc& desc = vi.tx_cache.at(idx);
    if (pst_tx_desc_get_type(&desc) != PST_TX_DESC_TYPE_DATA) continue;
    if (!nic_.translation->translate(vi.pd, pst_tx_desc_get_address(&desc), pst_tx_desc_get_length_bytes(&desc), false,
                                     op.segments))
      return false;
  }
  return true;
}

uint64_t TxDma::post_reads(Vi& vi, uint32_t first_idx, TxOp& op) {
  const uint64_t earliest_ps = Agenda::now_ps() + processing_ps_;
  uint64_t landing_ps = last_landing_ps_;
  for (uint32_t idx = first_idx; idx != op.end_idx; ++idx) {
    const pst_tx_desc& desc = vi.tx_cache.at(idx);
    if (pst_tx_desc_get_type(&desc) != PST_TX_DESC_TYPE_DATA) continue;
    const ReadPlan read = nic_.pcie_link->post_read(earliest_ps, pst_tx_desc_get_address(&desc),
                                                    static_cast<uint32_t>(pst_tx_desc_get_length_bytes(&desc)), vi.id);
    landing_ps = std::max(landing_ps, read.landing_ps);
    if (read.fate == DmaResult::kTimeout) vi.tx_read_lost = true;
    if (op.read_fate == DmaResult::kOk) op.read_fate = read.fate;
  }
  return landing_ps;
}

TxDma::Take TxDma::take_packet(Vi& vi) {
  TxOp* op = new_op();
  const uint32_t first_idx = vi.tx_cache.head_idx;
  uint32_t error_code = PST_ERROR_CODE_OK;
  Take take = gather(vi, *op, error_code);
  if (take == Take::kTaken) {
    // Tags inside the frame are known only when it has been fetched; finish_frame() checks exactly.
    if (op->bytes < kEthernetHeaderBytes || op->bytes > nic_.mac_port->frame_bytes_max(2)) {
      op->drop_reason = PST_DROP_REASON_TX_BAD_LENGTH;
    } else if (!translate_fragments(vi, first_idx, *op)) {
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
  ++nic_.statistics->tx_packets;
  op->vi_id = vi.id;
  op->epoch = vi.epoch;
  ++vi.tx_in_flight_count;
  const uint64_t landing_ps =
      op->drop_reason >= 0 ? std::max(last_landing_ps_, Agenda::now_ps()) : post_reads(vi, first_idx, *op);
  if (!vi.tx_read_lost) last_landing_ps_ = landing_ps;  // other VIs do not wait for an answer that never comes
  vi.tx_cache.head_idx = op->end_idx;
  buffered_bytes_ += op->bytes;
  if (vi.rate_limit_mbps != 0) {
    vi.tx_rate_ready_ps = std::max(vi.tx_rate_ready_ps, Agenda::now_ps()) + op->bytes * 8000000ull / vi.rate_limit_mbps;
  }
  if (op->drop_reason < 0) {
    op->frame = nic_.frame_pool->take(op->bytes);
    stamp(vi, *op);
  }
  nic_.agenda->at<&TxDma::payload_arrived>(landing_ps, this, reinterpret_cast<uint64_t>(op));
  return Take::kTaken;
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

void TxDma::stamp(Vi& vi, TxOp& op) {
  auto& stamps = op.frame->stamps_ps;
  stamps[static_cast<size_t>(sim::Stage::kDescFetched)] = vi.tx_cache.arrived_ps;
  stamps[static_cast<size_t>(sim::Stage::kDoorbellArrive)] = vi.tx_doorbells.arrival_ps(op.end_idx);
}

DmaResult TxDma::read_payload(TxOp& op) {
  uint8_t* position = op.frame->bytes.data();
  for (const DmaSegment& segment : op.segments) {
    const DmaResult result =
        nic_.pcie_link->memory_read(segment.host_address, position, segment.bytes, op.read_fate, op.vi_id);
    if (result != DmaResult::kOk) return result;
    position += segment.bytes;
  }
  return DmaResult::kOk;
}

void TxDma::drop_on_halt(TxOp* op) {
  nic_.statistics->drop(PST_DROP_REASON_TX_VI_HALTED);
  if (Vi* vi = nic_.vi_table->find(op->vi_id)) ++vi->counters.drops;
  buffered_bytes_ -= op->bytes;
  release(op);
  kick();
}

void TxDma::payload_arrived(uint64_t op_address, uint64_t, uint64_t, uint64_t) {
  TxOp* op = reinterpret_cast<TxOp*>(op_address);
  Vi* vi = nic_.vi_table->running(op->vi_id);
  if (vi == nullptr || vi->epoch != op->epoch) return drop_on_halt(op);
  const DmaResult result = op->drop_reason < 0 ? read_payload(*op) : DmaResult::kOk;
  if (result != DmaResult::kOk) {
    nic_.statistics->drop(PST_DROP_REASON_TX_DMA_FAULT);
    ++vi->counters.drops;
    const uint32_t end_idx = op->end_idx;
    buffered_bytes_ -= op->bytes;
    release(op);
    nic_.vi_table->halt(*vi, PST_ERROR_SOURCE_TX, dma_error_code(result), end_idx - 1);
    return kick();
  }
  if (op->drop_reason < 0) finish_frame(*vi, *op);
  if (op->drop_reason >= 0) {
    nic_.statistics->drop(static_cast<unsigned>(op->drop_reason));
    ++vi->counters.drops;
    op->frame.reset();
  } else {
    ++vi->counters.tx_packets;
  }
  nic_.mac_port->transmit(op);
}

void TxDma::finish_frame(Vi& vi, TxOp& op) {
  std::vector<uint8_t>& bytes = op.frame->bytes;
  const ParsedFrame parsed = parse_frame(bytes.data(), op.bytes);
  if (op.bytes > nic_.mac_port->frame_bytes_max(parsed.vlan_count)) {
    op.drop_reason = PST_DROP_REASON_TX_BAD_LENGTH;
    return;
  }
  if (!vi.any_source && !source_granted(vi, bytes.data(), parsed)) {
    op.drop_reason = PST_DROP_REASON_TX_BAD_SOURCE;
    return;
  }
  if (op.checksum_l3) insert_l3(bytes.data(), parsed);
  if (op.checksum_l4) insert_l4(bytes.data(), parsed);
  if (op.vlan_insert) {
    uint8_t tag[kVlanTagBytes];
    store_be16(tag, kEthertypeVlan);
    store_be16(tag + 2, op.vlan_tci);
    bytes.insert(bytes.begin() + 12, tag, tag + kVlanTagBytes);
  }
  if (bytes.size() < PST_LIMIT_FRAME_BYTES_MIN) bytes.resize(PST_LIMIT_FRAME_BYTES_MIN, 0);
  op.frame->stamps_ps[static_cast<size_t>(sim::Stage::kPayloadFetched)] = Agenda::now_ps();
  if (nic_.observer != nullptr) nic_.observer->tx_frame_built(vi.id, op.end_idx, *op.frame);
}

namespace {

bool granted(const Vi& vi, unsigned family, uint64_t address_lo, uint64_t address_hi) {
  for (uint32_t i = 0; i < vi.grant_count; ++i) {
    const SourceGrant& grant = vi.grants[i];
    if (grant.family == family && grant.address_lo == address_lo && grant.address_hi == address_hi) return true;
  }
  return false;
}

}  // namespace

// R9. Malformed IP or ARP has no source that could be checked, so it does not leave either.
bool TxDma::source_granted(const Vi& vi, const uint8_t* frame, const ParsedFrame& parsed) const {
  const auto mac_granted = [&](const uint8_t* mac) {
    const uint64_t address = load_address(mac, 6);
    return address == nic_.mac_port->address() || granted(vi, PST_ADDRESS_FAMILY_MAC, address, 0);
  };
  if (!mac_granted(frame + 6) || parsed.too_many_tags || parsed.l3_malformed) return false;
  const uint8_t* l3 = frame + parsed.l3_offset;
  switch (parsed.l3_class) {
    case PST_L3_CLASS_IPV4:
      return granted(vi, PST_ADDRESS_FAMILY_IPV4, load_address(l3 + 12, 4), 0);
    case PST_L3_CLASS_IPV6:
      return granted(vi, PST_ADDRESS_FAMILY_IPV6, load_address(l3 + 8, 8), load_address(l3 + 16, 8));
    case PST_L3_CLASS_ARP: {
      const uint64_t sender = load_address(l3 + 14, 4);  // 0.0.0.0 is a probe: it claims no address (RFC 5227)
      return mac_granted(l3 + 8) && (sender == 0 || granted(vi, PST_ADDRESS_FAMILY_IPV4, sender, 0));
    }
    default:
      return true;
  }
}

void TxDma::sent(TxOp* op) {
  Vi* vi = nic_.vi_table->running(op->vi_id);
  if (vi != nullptr && vi->epoch == op->epoch) {
    vi->tx_completed_idx = op->end_idx;
    ++vi->tx_unreported_count;
    --vi->tx_in_flight_count;
    if (op->timestamp && op->drop_reason < 0) {
      nic_.event_queue->post_tx_timestamp(*vi, op->first_bit_ps);
    } else if (op->complete || vi->tx_unreported_count >= completion_batch_ || vi->tx_in_flight_count == 0) {
      nic_.event_queue->post_tx(*vi);
    }
  }
  buffered_bytes_ -= op->bytes;
  release(op);
  if (!ready_.empty()) kick();
}

void TxDma::discard(Vi& vi) {
  if (vi.tx_queued) ready_.erase(std::remove(ready_.begin(), ready_.end(), vi.id), ready_.end());
  vi.tx_queued = false;
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
