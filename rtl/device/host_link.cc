// Beats, timing and memory of the host side. See host_link.h.
#include "rtl/device/host_link.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "rtl/device/rx_frames.h"
#include "rtl/device/verilated_top.h"

namespace postern::rtl_device {

namespace {

constexpr uint64_t kPostedBytesMax = 32768;  // writes on the link; beyond, the hard block takes no more
constexpr uint32_t kReadsMax = 256;          // likewise reads
constexpr uint32_t kChunkBytes = 512;        // of a read: moved at once, as its completion would
constexpr uint8_t kKindPayload = 0, kKindEvent = 1, kKindMessage = 2;
constexpr uint8_t kKindOwnError = 3;  // not the RTL's: see write_failed()

uint64_t now_ps() { return hw_model::Agenda::now_ps(); }

template <class Signal>
bool set(Signal& signal, Signal value) {
  if (signal == value) return false;
  signal = value;
  return true;
}

pst_event event_of(const std::vector<uint8_t>& bytes) {
  pst_event event{};
  std::memcpy(&event, bytes.data(), sizeof event);
  return event;
}

// Frames that an event announces; 0 unless it is an RX event.
uint32_t frames_announced(const pst_event& event) {
  if (pst_event_get_type(&event) != PST_EVENT_TYPE_RX) return 0;
  const pst_rx_event rx{{event.word[0], event.word[1]}};
  return pst_rx_event_get_merged(&rx) != 0 ? static_cast<uint32_t>(pst_rx_event_get_desc_count(&rx)) : 1;
}

pst_event dma_fault(unsigned source, uint32_t index) {
  pst_error_event error{};
  pst_error_event_set_type(&error, PST_EVENT_TYPE_ERROR);
  pst_error_event_set_source(&error, source);
  pst_error_event_set_code(&error, PST_ERROR_CODE_DMA_FAULT);
  pst_error_event_set_index(&error, index);
  return {{error.word[0], error.word[1]}};
}

}  // namespace

HostLink::HostLink(Vpst_nic_top& top, hw_model::NicStorage& blocks, RxFrames& frames, std::function<void()> wake,
                   Halt halt)
    : top_(top), blocks_(blocks), frames_(frames), wake_(std::move(wake)), halt_(std::move(halt)) {}

void HostLink::reset() {
  accesses_.clear();
  answers_.clear();
  ++generation_;
  reads_answered_ = reads_asked_;
  answered_.notify(sc_core::SC_ZERO_TIME);
  reads_.clear();
  completion_offered_ = access_offered_ = false;
  write_ = {};
  in_flight_.clear();
  free_writes_.clear();
  in_flight_bytes_ = 0;
  refusals_.clear();
}

// --- accesses of the host --------------------------------------------------------------------------------------------

void HostLink::push(const Access& access) {
  accesses_.push_back(access);
  wake_();
}

void HostLink::write(uint64_t address, uint64_t value, unsigned width_bytes) {
  if (address >> sim::kBarShift == PST_BAR_FUNCTION) {
    return blocks_.function_registers.write(hw_model::bar_offset(address), width_bytes, value);
  }
  note_doorbell(address, value);
  Access access{now_ps(), address, true, width_bytes, {}};
  std::memcpy(access.data.data(), &value, sizeof value);
  push(access);
}

// What the stage stamps and the injected faults need to know.
void HostLink::note_doorbell(uint64_t address, uint64_t value) {
  if (address >> sim::kBarShift != PST_BAR_VI || hw_model::in_pio_page(address)) return;
  hw_model::Vi* vi = blocks_.vi_table.find(hw_model::bar_offset(address) / PST_VI_WINDOW_STRIDE);
  if (vi == nullptr) return;
  blocks_.faults.doorbell_rung(*vi);
  const uint64_t offset = hw_model::bar_offset(address) % PST_VI_WINDOW_STRIDE;
  if (offset == PST_VI_TX_DOORBELL_OFFSET || offset == PST_VI_TX_PUSH_DOORBELL_OFFSET ||
      offset == PST_VI_PIO_DOORBELL_OFFSET) {
    vi->tx_doorbells.add(static_cast<uint32_t>(value), now_ps());
  }
}

void HostLink::write_pio(uint64_t address, const uint8_t* data, uint32_t bytes) {
  while (bytes > 0) {
    const uint32_t here = std::min(bytes, kBeatBytes - static_cast<uint32_t>(address % kBeatBytes));
    Access access{now_ps(), address, true, here, {}};
    std::memcpy(access.data.data(), data, here);
    push(access);
    address += here;
    data += here;
    bytes -= here;
  }
}

uint64_t HostLink::read(uint64_t address, unsigned width_bytes) {
  if (address >> sim::kBarShift == PST_BAR_FUNCTION) {
    return blocks_.function_registers.read(hw_model::bar_offset(address), width_bytes);
  }
  push({now_ps(), address, false, width_bytes, {}});
  const uint64_t turn = reads_asked_++;
  const uint64_t generation = generation_;
  while (reads_answered_ <= turn || answers_.empty()) {
    if (generation != generation_) return 0;  // a reset has swallowed it
    sc_core::wait(answered_);
  }
  if (generation != generation_) return 0;
  const uint64_t value = answers_.front();
  answers_.pop_front();
  return value;
}

// Hardware cannot be asked without time passing: of its registers only those of the function, which firmware keeps, are
// told.
uint64_t HostLink::peek(uint64_t address, unsigned width_bytes) {
  if (address >> sim::kBarShift != PST_BAR_FUNCTION) return 0;
  return blocks_.function_registers.read(hw_model::bar_offset(address), width_bytes);
}

bool HostLink::drive_access(uint64_t edge_ps) {
  const bool offer = !accesses_.empty() && accesses_.front().arrived_ps < edge_ps;
  bool changed = set<CData>(top_.mm_valid_i, offer ? 1 : 0);
  if (offer && !access_offered_) {
    const Access& access = accesses_.front();
    top_.mm_write_i = access.write ? 1 : 0;
    top_.mm_bar_i = static_cast<CData>(access.address >> sim::kBarShift);
    top_.mm_offset_i = static_cast<IData>(hw_model::bar_offset(access.address));
    top_.mm_bytes_i = static_cast<CData>(access.bytes);
    std::memcpy(top_.mm_data_i.data(), access.data.data(), kBeatBytes);
    changed = true;
  }
  access_offered_ = offer;
  return changed;
}

// --- reads of the RTL ------------------------------------------------------------------------------------------------

void HostLink::take_read(uint64_t edge_ps) {
  Read read{};
  read.tag = top_.dr_tag_o;
  read.lane = top_.dr_lane_o;
  read.vi_id = top_.dr_vi_o;
  read.address = top_.dr_address_o;
  read.bytes = top_.dr_bytes_o;
  const hw_model::ReadPlan plan = blocks_.pcie_link.post_read(edge_ps, read.address, read.bytes, read.vi_id);
  read.fate = plan.fate;
  // The last beat comes when the last completion does; those before it come a cycle apart.
  const uint64_t beats = (read.lane + read.bytes + kBeatBytes - 1) / kBeatBytes;
  const uint64_t lead_ps = plan.fate == hw_model::DmaResult::kOk ? (beats - 1) * kCyclePs : 0;
  const uint64_t first_beat_ps = std::max(edge_ps, plan.landing_ps > lead_ps ? plan.landing_ps - lead_ps : 0);
  reads_.emplace(first_beat_ps, std::move(read));
}

bool HostLink::drive_completion(uint64_t edge_ps) {
  if (completion_offered_) return false;
  const auto next = reads_.begin();
  if (next == reads_.end() || next->first >= edge_ps) return set<CData>(top_.dc_valid_i, 0);
  Read read = std::move(next->second);
  reads_.erase(next);
  const uint32_t lane = read.done_bytes == 0 ? read.lane : 0;
  const uint32_t count = std::min(kBeatBytes - lane, read.bytes - read.done_bytes);
  hw_model::DmaResult result = hw_model::DmaResult::kOk;
  if (read.chunk_done_bytes == read.chunk.size()) {
    // Up to the end of a beat, so that beats do not straddle chunks.
    read.chunk.resize(std::min(kChunkBytes - lane, read.bytes - read.done_bytes));
    read.chunk_done_bytes = 0;
    result = blocks_.pcie_link.memory_read(read.address + read.done_bytes, read.chunk.data(),
                                           static_cast<uint32_t>(read.chunk.size()), read.fate, read.vi_id);
  }
  std::memcpy(reinterpret_cast<uint8_t*>(top_.dc_data_i.data()) + lane, read.chunk.data() + read.chunk_done_bytes,
              count);
  read.chunk_done_bytes += count;
  read.done_bytes += count;
  const bool last = result != hw_model::DmaResult::kOk || read.done_bytes == read.bytes;
  top_.dc_valid_i = 1;
  top_.dc_tag_i = read.tag;
  top_.dc_lane_i = static_cast<CData>(lane);
  top_.dc_count_i = static_cast<CData>(count);
  top_.dc_last_i = last ? 1 : 0;
  top_.dc_code_i = static_cast<SData>(hw_model::dma_error_code(result));
  if (!last) reads_.emplace(edge_ps, std::move(read));
  completion_offered_ = true;
  return true;
}

// --- writes of the RTL -----------------------------------------------------------------------------------------------

void HostLink::take_write_beat(uint64_t edge_ps) {
  if (top_.dw_first_o) {
    write_.kind = top_.dw_kind_o;
    write_.vi_id = top_.dw_vi_o;
    write_.id = top_.dw_id_o;
    write_.address = top_.dw_address_o;
    write_.bytes.clear();
  }
  const auto* data = reinterpret_cast<const uint8_t*>(top_.dw_data_o.data()) + top_.dw_lane_o;
  write_.bytes.insert(write_.bytes.end(), data, data + top_.dw_count_o);
  if (top_.dw_last_o) post(edge_ps);
}

void HostLink::post(uint64_t edge_ps) {
  if (write_.kind == kKindMessage) return blocks_.msix.post_message(write_.id, write_.address);
  const auto bytes = static_cast<uint32_t>(write_.bytes.size());
  const uint64_t landing_ps = blocks_.pcie_link.post_write(edge_ps, write_.address, bytes, write_.kind == kKindPayload);
  if (write_.kind == kKindPayload) frames_.payload_posted(write_.vi_id, static_cast<uint16_t>(write_.id), landing_ps);
  if (write_.kind == kKindEvent) write_.id = frames_.next_event(write_.vi_id);
  add_in_flight(write_, landing_ps);
}

void HostLink::add_in_flight(Write& write, uint64_t landing_ps) {
  if (free_writes_.empty()) {
    free_writes_.push_back(in_flight_.size());
    in_flight_.emplace_back();
  }
  const size_t index = free_writes_.back();
  free_writes_.pop_back();
  in_flight_bytes_ += write.bytes.size();
  std::swap(in_flight_[index], write);
  blocks_.agenda.at<&HostLink::landed>(landing_ps, this, index);
}

void HostLink::landed(uint64_t index, uint64_t, uint64_t, uint64_t) {
  Write& write = in_flight_[index];
  const auto bytes = static_cast<uint32_t>(write.bytes.size());
  in_flight_bytes_ -= bytes;
  free_writes_.push_back(static_cast<size_t>(index));
  if (!refusals_.empty() && refused_before(write)) return;
  const hw_model::DmaResult result =
      blocks_.pcie_link.memory_write(write.address, write.bytes.data(), bytes, write.vi_id);
  if (result != hw_model::DmaResult::kOk) return write_failed(write);
  if (write.kind != kKindEvent) return;
  const pst_event event = event_of(write.bytes);
  const uint32_t count = frames_announced(event);
  if (count == 0) return;
  const pst_rx_event rx{{event.word[0], event.word[1]}};
  frames_.completed(write.vi_id, static_cast<uint32_t>(pst_rx_event_get_rx_consumer_idx(&rx)));
  for (uint32_t i = 0; i < count; ++i) {
    const RxFrames::Announced announced = frames_.take(write.vi_id);
    if (announced.frame == nullptr) return;
    auto& stamps = announced.frame->stamps_ps;
    stamps[static_cast<size_t>(sim::Stage::kRxPayloadWritten)] = announced.payload_landing_ps;
    stamps[static_cast<size_t>(sim::Stage::kEventWritten)] = now_ps();
    if (blocks_.nic.observer != nullptr) blocks_.nic.observer->rx_event_written(write.vi_id, write.id, announced.frame);
  }
}

// --- writes that the host refuses ------------------------------------------------------------------------------------
//
// Nothing answers at an address that was mapped. The hard block learns it when the write would land, and has the VI
// halted. No payload of the VI moves from then on. The event that was refused, or that announces the payload that was,
// and all behind it come to nothing; an error event takes the first one's slot, once the VI has halted. The RTL's own
// error event would leave a gap in the ring.

void HostLink::write_failed(const Write& write) {
  const bool is_payload = write.kind == kKindPayload;
  if (!is_payload) ++blocks_.statistics.events_lost;
  hw_model::Vi* vi = blocks_.vi_table.find(write.vi_id);
  if (vi == nullptr || write.kind == kKindOwnError) return;
  const uint32_t vi_id = write.vi_id, epoch = vi->epoch;
  Refusal& refusal = refusals_[vi_id];
  if (refusal.epoch != epoch) {
    refusal = Refusal{epoch, write.id, vi->state != hw_model::ViState::kRunning, false, {}};
    if (!refusal.halted) {
      halt_(*vi, is_payload ? PST_ERROR_SOURCE_RX : PST_ERROR_SOURCE_EVQ, is_payload ? 0 : write.id,
            [this, vi_id, epoch] { has_halted(vi_id, epoch); });
    }
  }
  if (is_payload) return;
  withdraw(write, PST_DROP_REASON_RX_DMA_FAULT);
  const pst_event event = event_of(write.bytes);
  if (pst_event_get_type(&event) == PST_EVENT_TYPE_ERROR) {
    refusal.told = true;  // nobody can be told
  } else if (const Write* error = error_in_flight(vi_id)) {
    tell(refusal, write, event_of(error->bytes));  // the VI has halted meanwhile: it moves up
  } else {
    tell(refusal, write, dma_fault(PST_ERROR_SOURCE_EVQ, write.id));
  }
}

const HostLink::Write* HostLink::error_in_flight(uint32_t vi_id) const {
  for (size_t i = 0; i < in_flight_.size(); ++i) {
    const Write& write = in_flight_[i];
    if (write.kind != kKindEvent || write.vi_id != vi_id || write.bytes.size() != PST_EVENT_BYTES) continue;
    const pst_event event = event_of(write.bytes);
    if (pst_event_get_type(&event) == PST_EVENT_TYPE_ERROR &&
        std::find(free_writes_.begin(), free_writes_.end(), i) == free_writes_.end())
      return &write;
  }
  return nullptr;
}

// True: this write must not land.
bool HostLink::refused_before(Write& write) {
  const auto found = refusals_.find(write.vi_id);
  if (found == refusals_.end() || write.kind == kKindOwnError) return false;
  Refusal& refusal = found->second;
  const hw_model::Vi* vi = blocks_.vi_table.find(write.vi_id);
  if (vi == nullptr || vi->epoch != refusal.epoch) {
    refusals_.erase(found);
    return false;
  }
  const uint32_t before = frames_.waiting_before(write.vi_id, static_cast<uint16_t>(refusal.frame_id));
  if (write.kind == kKindPayload) {  // writes of payload may pass each other
    if (frames_.waiting_before(write.vi_id, static_cast<uint16_t>(write.id)) < before) refusal.frame_id = write.id;
    return true;
  }
  if (refusal.told) {
    withdraw(write, PST_DROP_REASON_RX_VI_HALTED);
    return true;
  }
  const pst_event event = event_of(write.bytes);
  if (pst_event_get_type(&event) == PST_EVENT_TYPE_ERROR) {
    name_descriptor(refusal, write, before);
    return false;
  }
  if (frames_announced(event) <= before) return false;  // of earlier frames, or of none
  withdraw(write, PST_DROP_REASON_RX_DMA_FAULT);
  const pst_rx_event rx{{event.word[0], event.word[1]}};
  const uint64_t first_idx = pst_rx_event_get_rx_consumer_idx(&rx) - pst_rx_event_get_desc_count(&rx);
  tell(refusal, write, dma_fault(PST_ERROR_SOURCE_RX, static_cast<uint32_t>(first_idx + before)));
  return true;
}

// The RTL's own error event came first, as it has dropped the frame: no slot is empty. It did not know the descriptor.
void HostLink::name_descriptor(Refusal& refusal, Write& write, uint32_t before) {
  refusal.told = true;
  const pst_event event = event_of(write.bytes);
  pst_error_event error{{event.word[0], event.word[1]}};
  if (pst_error_event_get_source(&error) != PST_ERROR_SOURCE_RX ||
      pst_error_event_get_code(&error) != PST_ERROR_CODE_DMA_FAULT || before == RxFrames::kIds)
    return;  // of another cause
  pst_error_event_set_index(&error, frames_.descriptor_idx(write.vi_id) + before);
  std::memcpy(write.bytes.data(), &error, sizeof error);
}

// The error event for the slot of another that was not written.
void HostLink::tell(Refusal& refusal, const Write& slot, pst_event error) {
  const pst_event replaced = event_of(slot.bytes);
  pst_event_set_phase(&error, pst_event_get_phase(&replaced));
  Write write = slot;
  write.kind = kKindOwnError;
  std::memcpy(write.bytes.data(), &error, sizeof error);
  refusal.told = true;
  refusal.error = std::move(write);
  if (refusal.halted) post_error(refusal);
}

void HostLink::has_halted(uint32_t vi_id, uint32_t epoch) {
  const auto found = refusals_.find(vi_id);
  if (found == refusals_.end() || found->second.epoch != epoch) return;
  found->second.halted = true;
  if (found->second.error) post_error(found->second);
}

void HostLink::post_error(Refusal& refusal) {
  Write write = std::move(*refusal.error);
  refusal.error.reset();
  const hw_model::Vi* vi = blocks_.vi_table.find(write.vi_id);
  if (vi == nullptr || vi->epoch != refusal.epoch || vi->state == hw_model::ViState::kStopping) return;
  add_in_flight(write, blocks_.pcie_link.post_write(now_ps(), write.address, PST_EVENT_BYTES));
}

// The RTL has counted the frames of an event as delivered.
void HostLink::withdraw(const Write& write, unsigned reason) {
  const pst_event event = event_of(write.bytes);
  const uint32_t count = frames_announced(event);
  if (count == 0) return;
  blocks_.statistics.rx_delivered -= count;
  for (uint32_t i = 0; i < count; ++i) blocks_.statistics.drop(reason);
  hw_model::Vi* vi = blocks_.vi_table.find(write.vi_id);
  if (vi == nullptr) return;
  vi->counters.rx_packets -= count;
  if (reason == PST_DROP_REASON_RX_DMA_FAULT) vi->counters.drops += count;
  const pst_rx_event rx{{event.word[0], event.word[1]}};
  if (pst_rx_event_get_merged(&rx) == 0) return;
  --vi->counters.merged_events;
  vi->counters.merged_frames -= count;
}

// --- clock -----------------------------------------------------------------------------------------------------------

void HostLink::drive(uint64_t edge_ps) {
  if (drive_access(edge_ps)) top_.drive_control_i = 1;
  const bool completion = drive_completion(edge_ps);
  const bool writes = set<CData>(top_.dw_ready_i, in_flight_bytes_ < kPostedBytesMax ? 1 : 0);
  const bool reads = set<CData>(top_.dr_ready_i, reads_.size() < kReadsMax ? 1 : 0);
  if (completion || writes || reads) top_.drive_memory_i = 1;
}

void HostLink::sample(uint64_t edge_ps) {
  if (access_offered_ && top_.mm_ready_o) {
    accesses_.pop_front();
    access_offered_ = false;
  }
  if (top_.mm_rd_valid_o) {
    answers_.push_back(top_.mm_rd_data_o);
    ++reads_answered_;
    answered_.notify(sc_core::SC_ZERO_TIME);
  }
  if (completion_offered_ && top_.dc_ready_o) completion_offered_ = false;
  if (top_.dw_valid_o && top_.dw_ready_i) take_write_beat(edge_ps);
  if (top_.dr_valid_o && top_.dr_ready_i) take_read(edge_ps);
}

uint64_t HostLink::next_edge_ps(uint64_t edge_ps) const {
  uint64_t next = kNever;
  if (!accesses_.empty()) next = std::max(edge_ps + kCyclePs, edge_after(accesses_.front().arrived_ps));
  if (completion_offered_ || top_.mm_valid_i || top_.dc_valid_i) next = edge_ps + kCyclePs;
  if (!reads_.empty()) next = std::min(next, std::max(edge_ps + kCyclePs, edge_after(reads_.begin()->first)));
  return next;
}

}  // namespace postern::rtl_device
