// Streams of outputs and what the host waits for; see the header.
#include "sim/replay/replay_streams.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace postern::sim {
namespace {

// The flow of a frame: its addresses, protocol and ports. Frames of a flow come from one VI and keep their order.
uint64_t flow_of(const std::vector<uint8_t>& frame) {
  const size_t kAddressesEnd = 14;
  uint64_t hash = trace_hash(frame.data(), std::min(frame.size(), kAddressesEnd));
  const bool ipv4 = frame.size() >= 34 && frame[12] == 0x08 && frame[13] == 0;
  if (!ipv4) return hash;
  const size_t l4 = 14 + size_t{frame[14] & 0x0fU} * 4;
  hash = hash * 31 + trace_hash(frame.data() + 23, 1);
  hash = hash * 31 + trace_hash(frame.data() + 26, 8);
  return frame.size() >= l4 + 4 ? hash * 31 + trace_hash(frame.data() + l4, 4) : hash;
}

uint64_t vi_of(const TraceRecord& action) { return action.address / PST_VI_WINDOW_STRIDE; }

// A read whose answer does not depend on when it is made. Not so: clocks, STATUS, pending interrupts, and the indices
// that translate() moves.
bool timeless(const TraceRecord& answer) {
  const uint64_t begin = answer.bar == PST_BAR_VI ? answer.address % PST_VI_WINDOW_STRIDE : answer.address;
  const uint64_t end = begin + answer.data.size();
  const auto touches = [&](uint64_t offset, uint64_t bytes) { return begin < offset + bytes && end > offset; };
  switch (answer.bar) {
    case PST_BAR_FUNCTION:
      return end <= PST_CLOCK_PAGE_OFFSET && !touches(PST_FUNCTION_STATUS_OFFSET, 4) &&
             !touches(PST_FUNCTION_DEVICE_TIME_NS_OFFSET, 8) && !touches(PST_FUNCTION_PTP_TIME_NS_OFFSET, 8);
    case PST_BAR_VI:
      return !touches(PST_VI_EVQ_CONSUMER_OFFSET, 8) && !touches(PST_VI_EVQ_PRIME_OFFSET, 8);
    case PST_BAR_MSIX:
      return end <= PST_MSIX_PBA_OFFSET;
    default:
      return true;
  }
}

// The time stamp of an RX prefix, as 0. offset: of the first byte within the prefix.
void mask_time_stamp(std::vector<uint8_t>& data, size_t offset) {
  constexpr size_t kFirst = PST_RX_PREFIX_TIMESTAMP_NS_WORD * sizeof(uint64_t);
  constexpr size_t kEnd = kFirst + PST_RX_PREFIX_TIMESTAMP_NS_WIDTH / 8;
  for (size_t i = 0; i < data.size() && offset + i < kEnd; ++i) {
    if (offset + i >= kFirst) data[i] = 0;
  }
}

}  // namespace

void ReplayStreams::feed(const TraceRecord& record) {
  const auto bytes = static_cast<uint32_t>(record.data.size());
  if (record.kind == RecordKind::kDmaWrite) {
    recorded_.dma_written(record.time_ps, record.address, record.data.data(), bytes, record.value == 0);
  } else if (record.kind == RecordKind::kBarRead) {
    recorded_.bar_read(record.time_ps, record.issue_ps, record.bar, record.address, record.data.data(), bytes);
  } else if (record.kind == RecordKind::kBarWrite) {
    recorded_.bar_written(record.issue_ps, record.bar, record.address, record.data.data(), bytes);
  } else if (record.kind == RecordKind::kFunctionReset) {
    recorded_.function_reset(record.time_ps);
  }
}

void ReplayStreams::host_acts(const TraceRecord& record) { feed(record); }

void ReplayStreams::push(const Key& key, TraceRecord record, unsigned side) {
  Stream& stream = streams_[key];
  stream.waiting[side].push_back(std::move(record));
  match(key, stream);
}

void ReplayStreams::match(const Key& key, Stream& stream) {
  while (difference_.empty() && !stream.waiting[0].empty() && !stream.waiting[1].empty()) {
    TraceRecord& want = stream.waiting[0].front();
    TraceRecord& have = stream.waiting[1].front();
    // Buffers may be written in pieces of any size; everything else is one write.
    const size_t bytes = std::min(want.data.size(), have.data.size());
    const bool placed = key.kind == Kind::kBuffer || key.kind == Kind::kAnswer;
    const bool same_place = !placed || (want.address == have.address && want.bar == have.bar);
    const bool same_size = key.kind == Kind::kBuffer || want.data.size() == have.data.size();
    if (!same_place || !same_size || !std::equal(want.data.begin(), want.data.begin() + bytes, have.data.begin())) {
      difference_ = "expected \"" + describe(want) + "\", seen \"" + describe(have) + "\"";
      return;
    }
    for (auto& waiting : stream.waiting) {
      TraceRecord& front = waiting.front();
      front.data.erase(front.data.begin(), front.data.begin() + static_cast<std::ptrdiff_t>(bytes));
      front.address += bytes;
      if (front.data.empty()) waiting.pop_front();
    }
  }
}

void ReplayStreams::take(const TraceRecord& record, const ContractShadow& shadow, unsigned side) {
  if (record.kind == RecordKind::kFrameSent) push({Kind::kFrame, flow_of(record.data)}, record, side);
  if (record.kind == RecordKind::kBarRead && timeless(record)) push({Kind::kAnswer, 0}, record, side);
  if (record.kind == RecordKind::kInterrupt) streams_[{Kind::kInterrupt, record.value}].progress[side]++;
  if (record.kind == RecordKind::kDmaWrite && record.value == 0) take_write(record, shadow, side);
  if (side == 0) feed(record);
}

void ReplayStreams::take_write(const TraceRecord& record, const ContractShadow& shadow, unsigned side) {
  const DmaOwner owner = shadow.owner_of(record.address, static_cast<uint32_t>(record.data.size()), true);
  TraceRecord kept = record;
  if (owner.target == DmaTarget::kAdminCompletion) {
    push({Kind::kCompletion, 0}, kept, side);
  } else if (owner.target == DmaTarget::kRxBuffer) {
    const ShadowVi* vi = shadow.vi(owner.vi_id);
    const bool prefix = vi != nullptr && vi->rx_prefix && owner.offset_bytes < PST_LIMIT_RX_PREFIX_BYTES;
    if (prefix) mask_time_stamp(kept.data, owner.offset_bytes);
    if (!kept.data.empty()) push({Kind::kBuffer, owner.vi_id}, kept, side);
  } else if (owner.target == DmaTarget::kEventQueue && record.data.size() >= sizeof(pst_event)) {
    pst_event event{};
    std::memcpy(&event, record.data.data(), sizeof event);
    if (pst_event_get_type(&event) == PST_EVENT_TYPE_TX) {
      pst_tx_event sent{};
      std::memcpy(&sent, record.data.data(), sizeof sent);
      streams_[{Kind::kTxProgress, owner.vi_id}].progress[side] =
          static_cast<uint32_t>(pst_tx_event_get_tx_consumer_idx(&sent));
    } else {
      pst_event_set_phase(&event, 0);
      std::memcpy(kept.data.data(), &event, sizeof event);
      push({Kind::kEvent, owner.vi_id}, kept, side);
    }
  }
}

bool ReplayStreams::owed(const Key& key, const Stream& stream) {
  if (counted(key.kind)) return static_cast<int32_t>(stream.progress[0] - stream.progress[1]) > 0;
  return !stream.waiting[0].empty();
}

// Is it possible that the host acted so because of this stream?
bool ReplayStreams::concerns(const Key& key, const TraceRecord& action) const {
  const bool of_vi = action.kind == RecordKind::kBarWrite && action.bar == PST_BAR_VI;
  const bool frame = action.kind == RecordKind::kFrameReceived;
  switch (key.kind) {
    case Kind::kCompletion:
      return true;
    case Kind::kAnswer:
      return !frame;
    case Kind::kFrame:
      return !of_vi;
    case Kind::kInterrupt: {
      if (!of_vi) return !frame;
      const ShadowVi* vi = recorded_.vi(static_cast<uint32_t>(vi_of(action)));
      return vi != nullptr && vi->vector == key.id;
    }
    default:
      return of_vi ? key.id == vi_of(action) : !frame;
  }
}

bool ReplayStreams::owes(const TraceRecord& action) const {
  return std::any_of(streams_.begin(), streams_.end(), [&](const auto& entry) {
    return concerns(entry.first, action) && owed(entry.first, entry.second);
  });
}

bool ReplayStreams::owes_anything() const {
  return std::any_of(streams_.begin(), streams_.end(),
                     [](const auto& entry) { return owed(entry.first, entry.second); });
}

std::string ReplayStreams::whole_debt() const {
  for (const auto& [key, stream] : streams_) {
    if (!owed(key, stream)) continue;
    if (key.kind == Kind::kTxProgress) {
      return fmt::format("VI {}: expected TX completions up to {}, seen up to {}", key.id, stream.progress[0],
                         stream.progress[1]);
    }
    if (key.kind == Kind::kInterrupt) {
      return fmt::format("vector {}: expected {} interrupts, seen {}", key.id, stream.progress[0], stream.progress[1]);
    }
    return "expected \"" + describe(stream.waiting[0].front()) + "\", the device did not do it within 100 ms";
  }
  return "";
}

std::string ReplayStreams::debt(const TraceRecord& action) const {
  return whole_debt() + "; the host had seen it before \"" + describe(action) + "\"";
}

void ReplayStreams::translate(TraceRecord& action, const ContractShadow& replayed) const {
  if (action.kind != RecordKind::kBarWrite || action.bar != PST_BAR_VI || action.data.size() < sizeof(uint32_t)) return;
  const uint64_t offset = action.address % PST_VI_WINDOW_STRIDE;
  if (offset != PST_VI_EVQ_CONSUMER_OFFSET && offset != PST_VI_EVQ_PRIME_OFFSET) return;
  const auto id = static_cast<uint32_t>(vi_of(action));
  const ShadowVi* then = recorded_.vi(id);
  const ShadowVi* now = replayed.vi(id);
  if (then == nullptr || now == nullptr) return;
  uint32_t idx = 0;
  std::memcpy(&idx, action.data.data(), sizeof idx);
  const uint32_t unseen = then->events_written - idx;
  uint32_t translated = now->events_written - std::min(unseen, now->events_written - now->evq_consumer_idx);
  std::memcpy(action.data.data(), &translated, sizeof translated);
}

}  // namespace postern::sim
