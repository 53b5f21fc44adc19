// Records and memory snapshots; see the header.
#include "sim/replay/boundary_recorder.h"

#include <algorithm>
#include <cstring>

namespace postern::sim {
namespace {
constexpr uint32_t kDescBytes = 16;
constexpr uint32_t kCommandBytes = sizeof(pst_command);
constexpr uint64_t kPieceBytesMax = 65536;
}  // namespace

BoundaryRecorder::BoundaryRecorder(uint32_t host_idx, HostMemoryReader& memory, std::function<uint64_t()> now_ps,
                                   Sink sink)
    : host_idx_(host_idx), memory_(memory), now_ps_(std::move(now_ps)), sink_(std::move(sink)) {
  shadow_.add_listener(*this);
}

TraceRecord& BoundaryRecorder::begin(RecordKind kind, uint64_t time_ps) {
  record_.kind = kind;
  record_.host = host_idx_;
  record_.time_ps = record_.issue_ps = time_ps;
  record_.bar = 0;
  record_.address = record_.value = 0;
  record_.data.clear();
  return record_;
}

// --- memory that the host hands over --------------------------------------------------------------------------------

void BoundaryRecorder::keep_host_memory(uint64_t host_address, uint64_t bytes) {
  while (bytes > 0) {
    const uint64_t piece = std::min(bytes, kPieceBytesMax);
    begin(RecordKind::kMemory, now_ps_()).address = host_address;
    record_.data.resize(piece);
    if (memory_.read_host_memory(host_address, record_.data.data(), static_cast<uint32_t>(piece))) sink_(record_);
    host_address += piece;
    bytes -= piece;
  }
}

void BoundaryRecorder::keep_domain_memory(const ShadowVi& vi, uint64_t address, uint64_t bytes) {
  segments_.clear();
  shadow_.translate(vi.domain, address, bytes, segments_);  // what is not mapped, the device cannot read either
  for (const ShadowSegment& segment : segments_) keep_host_memory(segment.host_address, segment.length_bytes);
}

void BoundaryRecorder::keep_ring(const ShadowVi& vi, uint64_t ring_address, uint32_t entries, uint32_t first_idx,
                                 uint32_t count) {
  while (count > 0) {
    const uint32_t slot = first_idx & (entries - 1);
    const uint32_t run = std::min(count, entries - slot);
    keep_domain_memory(vi, ring_address + uint64_t{slot} * kDescBytes, uint64_t{run} * kDescBytes);
    first_idx += run;
    count -= run;
  }
}

void BoundaryRecorder::keep_tx(const ShadowVi& vi, uint32_t first_idx, uint32_t count) {
  keep_ring(vi, vi.tx_ring_address, vi.tx_entries, first_idx, count);
  for (; count > 0; --count, ++first_idx) {
    pst_tx_desc desc{};
    segments_.clear();
    const uint64_t address = vi.tx_ring_address + uint64_t{first_idx & (vi.tx_entries - 1)} * kDescBytes;
    if (!shadow_.translate(vi.domain, address, kDescBytes, segments_) || segments_.empty() ||
        !memory_.read_host_memory(segments_.front().host_address, &desc, kDescBytes)) {
      continue;
    }
    if (pst_tx_desc_get_type(&desc) == PST_TX_DESC_TYPE_DATA) {
      keep_domain_memory(vi, pst_tx_desc_get_address(&desc), pst_tx_desc_get_length_bytes(&desc));
    }
  }
}

void BoundaryRecorder::doorbell(uint64_t, const ShadowVi& vi, uint32_t offset, uint64_t value, bool repeated) {
  if (repeated) return;
  const auto idx = static_cast<uint32_t>(value);
  if (offset == PST_VI_RX_DOORBELL_OFFSET) {
    const uint32_t count = idx - vi.rx_producer_idx;
    if (count <= vi.rx_entries) keep_ring(vi, vi.rx_ring_address, vi.rx_entries, vi.rx_producer_idx, count);
  } else if (offset == PST_VI_TX_DOORBELL_OFFSET) {
    const uint32_t count = idx - vi.tx_producer_idx;
    if (count <= vi.tx_entries) keep_tx(vi, vi.tx_producer_idx, count);
  } else if (offset == PST_VI_TX_PUSH_DOORBELL_OFFSET) {
    const uint32_t count = idx - vi.tx_producer_idx;
    if (count <= vi.tx_entries) keep_tx(vi, vi.tx_producer_idx, count);
    pst_tx_desc desc{};
    const uint64_t words[2] = {vi.page[PST_VI_TX_PUSH_DESCRIPTOR_LO_OFFSET / 8].value,
                               vi.page[PST_VI_TX_PUSH_DESCRIPTOR_HI_OFFSET / 8].value};
    std::memcpy(&desc, words, sizeof desc);
    keep_domain_memory(vi, pst_tx_desc_get_address(&desc), pst_tx_desc_get_length_bytes(&desc));
  }
}

void BoundaryRecorder::keep_commands(uint32_t producer_idx) {
  const ContractShadow::AdminQueue& admin = shadow_.admin();
  const uint32_t count = producer_idx - admin.producer_idx;
  if (!admin.enabled || count > admin.entries) return;
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t slot = (admin.producer_idx + i) & (admin.entries - 1);
    const uint64_t address = admin.sq_base + uint64_t{slot} * kCommandBytes;
    keep_host_memory(address, kCommandBytes);
    pst_command command{};
    if (memory_.read_host_memory(address, &command, kCommandBytes) &&
        pst_command_get_opcode(&command) == PST_COMMAND_RSS_CONFIGURE) {
      keep_host_memory(pst_rss_configure_get_key_address(&command), PST_LIMIT_RSS_KEY_BYTES);
      keep_host_memory(pst_rss_configure_get_table_address(&command),
                       PST_LIMIT_RSS_INDIRECTION_ENTRIES * sizeof(uint16_t));
    }
  }
}

// --- what happens ---------------------------------------------------------------------------------------------------

void BoundaryRecorder::bar_written(uint64_t issue_ps, unsigned bar, uint64_t offset, const uint8_t* data,
                                   uint32_t bytes) {
  if (bar == PST_BAR_FUNCTION && offset == PST_FUNCTION_ADMIN_DOORBELL_OFFSET && bytes >= sizeof(uint32_t)) {
    uint32_t producer_idx = 0;
    std::memcpy(&producer_idx, data, sizeof producer_idx);
    keep_commands(producer_idx);
  }
  shadow_.bar_written(issue_ps, bar, offset, data, bytes);
  begin(RecordKind::kBarWrite, now_ps_());
  record_.issue_ps = issue_ps;
  record_.bar = static_cast<uint8_t>(bar);
  record_.address = offset;
  set_data(data, bytes);
  sink_(record_);
}

void BoundaryRecorder::bar_read_issued(uint64_t issue_ps, unsigned bar, uint64_t offset, uint32_t bytes) {
  begin(RecordKind::kBarReadIssued, now_ps_());
  record_.issue_ps = issue_ps;
  record_.bar = static_cast<uint8_t>(bar);
  record_.address = offset;
  record_.value = bytes;
  sink_(record_);
}

void BoundaryRecorder::bar_read(uint64_t issue_ps, uint64_t done_ps, unsigned bar, uint64_t offset, const uint8_t* data,
                                uint32_t bytes) {
  shadow_.bar_read(issue_ps, done_ps, bar, offset, data, bytes);
  begin(RecordKind::kBarRead, now_ps_());
  record_.issue_ps = done_ps;
  record_.bar = static_cast<uint8_t>(bar);
  record_.address = offset;
  set_data(data, bytes);
  sink_(record_);
}

void BoundaryRecorder::dma_read(uint64_t now_ps, uint64_t address, const uint8_t* data, uint32_t bytes, bool reached) {
  const DmaTarget target = shadow_.owner_of(address, bytes, false).target;
  if (reached && (target == DmaTarget::kUnknown || target == DmaTarget::kRssConfiguration)) {
    begin(RecordKind::kMemory, now_ps).address = address;  // no doorbell handed it over: a device that guesses
    set_data(data, bytes);
    sink_(record_);
  }
  begin(RecordKind::kDmaRead, now_ps).address = address;
  record_.value = bytes;
  if (reached) {
    const uint64_t hash = trace_hash(data, bytes);
    set_data(reinterpret_cast<const uint8_t*>(&hash), sizeof hash);
  }
  sink_(record_);
  shadow_.dma_read(now_ps, address, data, bytes, reached);
}

void BoundaryRecorder::dma_written(uint64_t now_ps, uint64_t address, const uint8_t* data, uint32_t bytes,
                                   bool reached) {
  begin(RecordKind::kDmaWrite, now_ps).address = address;
  record_.value = reached ? 0 : 1;
  set_data(data, bytes);
  sink_(record_);
  shadow_.dma_written(now_ps, address, data, bytes, reached);
}

void BoundaryRecorder::interrupt(uint64_t now_ps, uint32_t vector) {
  begin(RecordKind::kInterrupt, now_ps).value = vector;
  sink_(record_);
}

void BoundaryRecorder::frame_sent(uint64_t now_ps, const FramePtr& frame) {
  begin(RecordKind::kFrameSent, now_ps);
  set_data(frame->bytes.data(), frame->bytes.size());
  sink_(record_);
}

void BoundaryRecorder::frame_received(uint64_t now_ps, const FramePtr& frame) {
  begin(RecordKind::kFrameReceived, now_ps).value = frame->bad_fcs ? 1 : 0;
  set_data(frame->bytes.data(), frame->bytes.size());
  sink_(record_);
}

void BoundaryRecorder::link_changed(uint64_t now_ps, bool up) {
  begin(RecordKind::kLink, now_ps).value = up ? 1 : 0;
  sink_(record_);
}

void BoundaryRecorder::function_reset(uint64_t now_ps) {
  begin(RecordKind::kFunctionReset, now_ps);
  sink_(record_);
  shadow_.function_reset(now_ps);
}

}  // namespace postern::sim
