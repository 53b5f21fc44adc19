// R9: a VI receives only what filters steer to it, and sends only from addresses that it was granted. A linear matcher
// over the filters as the contract describes them, behind a small cache of flows.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <vector>

#include "sim/monitor/frame_headers.h"
#include "sim/monitor/monitor_core.h"

namespace postern::sim {

namespace {

constexpr uint64_t kFramesMax = 1024;  // frames that arrived last; a VI's older ones are forgotten
constexpr size_t kSentMax = 512;       // packets of one VI between payload read and wire
constexpr size_t kPacketsAtOnce = 16;  // of one VI whose payload reads may be mixed
constexpr uint32_t kHeaderBytes = 64;

uint64_t word(const uint8_t* at) {
  uint64_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

struct TxPacket {
  uint32_t first_idx = 0;
  uint32_t bytes = 0;        // read so far, at most kHeaderBytes
  uint32_t frame_bytes = 0;  // on the wire, without FCS; 0: not known, or several frames
  bool segmented = false;
  bool begun = false;   // the read of its first byte was seen
  bool former = false;  // of the VI that had this id before: what it was granted is no longer known
  std::array<uint8_t, kHeaderBytes> header{};
};

// A queue that allocates only while it grows, oldest first.
template <class T>
class Fifo {
 public:
  [[nodiscard]] size_t size() const { return end_ - begin_; }
  [[nodiscard]] bool empty() const { return begin_ == end_; }
  [[nodiscard]] T& operator[](size_t i) { return slots_[(begin_ + i) & (slots_.size() - 1)]; }
  [[nodiscard]] const T& operator[](size_t i) const { return slots_[(begin_ + i) & (slots_.size() - 1)]; }
  T& push() {
    if (size() == slots_.size()) grow();
    return slots_[end_++ & (slots_.size() - 1)];
  }
  void drop(size_t count) { begin_ += count; }
  // Keeps the order of the others.
  void erase(size_t i) {
    for (; i != 0; --i) (*this)[i] = (*this)[i - 1];
    ++begin_;
  }
  void clear() { begin_ = end_; }

 private:
  void grow() {
    std::vector<T> larger(slots_.empty() ? 16 : 2 * slots_.size());
    for (size_t i = 0; i < size(); ++i) larger[i] = (*this)[i];
    end_ = size();
    begin_ = 0;
    slots_.swap(larger);
  }

  std::vector<T> slots_;
  size_t begin_ = 0, end_ = 0;
};

// Bytes that are appended and dropped all at once.
class ByteStore {
 public:
  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] const uint8_t* data() const { return bytes_.data(); }
  void append(const uint8_t* data, uint32_t bytes) {
    if (size_ + bytes > bytes_.size()) bytes_.resize(std::max<size_t>(2 * bytes_.size(), size_ + bytes + 4096));
    std::memcpy(bytes_.data() + size_, data, bytes);
    size_ += bytes;
  }
  void clear() { size_ = 0; }

 private:
  std::vector<uint8_t> bytes_;
  size_t size_ = 0;
};

class SteeringRules : public RuleGroup {
 public:
  explicit SteeringRules(MonitorCore& core)
      : RuleGroup(core, ContractShadow::kWantsDma | ContractShadow::kWantsEvents,
                  ContractShadow::dma_kind(true, DmaTarget::kRxBuffer) |
                      ContractShadow::dma_kind(false, DmaTarget::kTxBuffer),
                  1u << PST_EVENT_TYPE_RX | 1u << PST_EVENT_TYPE_TX),
        vis_(PST_LIMIT_VI_COUNT_MAX),
        flows_(256),
        frames_(kFramesMax) {}

  void dma(const DmaAccess& access) override;
  void doorbell(uint64_t issue_ps, const ShadowVi& vi, uint32_t offset, uint64_t value, bool repeated) override;
  void event_written(uint64_t now_ps, const ShadowVi& vi, uint32_t event_idx, bool in_order,
                     const pst_event& event) override;
  [[nodiscard]] bool looks_at_frames() const override { return true; }
  void frame_received(uint64_t now_ps, const FramePtr& frame) override;
  void frame_sent(uint64_t now_ps, const FramePtr& frame) override;
  void command_fetched(const ShadowCommand& command) override { note_change(command); }
  void command_completed(uint64_t now_ps, const ShadowCommand& command, const pst_admin_completion&) override {
    if (note_change(command)) changed_ps_ = now_ps;
  }
  void reset_started(uint64_t now_ps) override;
  void fault_injected(uint64_t now_ps, const InjectedFault& fault) override {
    if (fault.kind != FaultKind::kCompletionTimeout) return;
    stalled_until_ps_ = now_ps + core_.ps(bounds().read_timeout_ns) + core_.ps(bounds().in_flight_ns);
  }

 private:
  struct Arrival {
    uint64_t time_ps = 0;
    FramePtr frame;        // null once it was delivered to everybody
    uint32_t targets = 0;  // VIs that have not got it yet
    uint32_t bytes = 0;
  };
  // A write of payload: its descriptor, where in the buffer, where in ViState::payload.
  struct Piece {
    uint32_t index = 0, offset = 0, start = 0, bytes = 0;
    [[nodiscard]] bool before(const Piece& other) const {
      return index != other.index ? static_cast<int32_t>(index - other.index) < 0 : offset < other.offset;
    }
  };
  struct ViState {
    uint32_t generation = 0;
    Fifo<uint64_t> expected;  // numbers of frames steered here and not delivered yet
    bool forgot = false;      // some were left out
    ByteStore payload;        // written since the last RX event
    std::vector<Piece> pieces;
    bool mixed = false;   // some landed before one in front of them: writes of payload may pass each other
    Fifo<TxPacket> sent;  // packets read, oldest first
    bool sent_forgot = false;
    bool begins_late = false;  // there has been a packet whose first read was not that of its first byte
    bool tx_active = false;
    void forget_payload() {
      pieces.clear();
      payload.clear();
      mixed = false;
    }
  };
  // What filters do with frames of equal headers.
  struct Flow {
    uint64_t version = 0;
    std::array<uint64_t, 8> key{};
    std::vector<uint32_t> vis;
    bool valid = false;
  };

  ViState& state_of(const ShadowVi& vi) {
    ViState& state = vis_[vi.id];
    return state.generation == vi.generation ? state : renew(vi);
  }
  ViState& renew(const ShadowVi& vi);
  static void sort_payload(ViState& state);
  bool note_change(const ShadowCommand& command);
  [[nodiscard]] bool uncertain(uint64_t since_ps) const {
    if (core_.now_ps < stalled_until_ps_) return true;
    return !pending_changes() ? changed_ps_ + core_.ps(bounds().in_flight_ns) >= since_ps : true;
  }
  [[nodiscard]] bool pending_changes() const;
  [[nodiscard]] bool ours(const FrameHeaders& h) const;
  [[nodiscard]] bool filter_matches(const pst_command& c, const FrameHeaders& h) const;
  void add_target(const ShadowFilter& filter, const FrameHeaders& h, std::vector<uint32_t>& vis);
  const std::vector<uint32_t>& steer(const FrameHeaders& h);
  const std::vector<uint32_t>& steer(const EthernetFrame& frame);
  Flow& flow_of(const std::array<uint64_t, 8>& key, bool& known);
  void match(const FrameHeaders& h, std::vector<uint32_t>& vis);
  void check_delivered(uint64_t now_ps, const ShadowVi& vi, ViState& state, const uint8_t* data, uint32_t bytes,
                       bool truncated);
  void check_prefix(const ShadowVi& vi, const pst_rx_prefix& prefix, uint32_t length_bytes, bool merged);
  void not_expected(uint64_t now_ps, const ShadowVi& vi, const ViState& state, const uint8_t* data, uint32_t bytes,
                    bool truncated);
  static bool same(const EthernetFrame& frame, const uint8_t* data, uint32_t bytes, bool stripped, bool truncated);
  void take_header(const ShadowVi& vi, ViState& state, const DmaAccess& access);
  static uint32_t frame_bytes_of(const ShadowVi& vi, uint32_t first_idx);
  static bool may_be(const TxPacket& packet, const EthernetFrame& frame, bool of_length);
  bool find_sender(const EthernetFrame& frame, bool of_length);
  void sent_by_nobody(const EthernetFrame& frame);
  void not_seen(const TxPacket& packet);
  bool take_not_seen(const EthernetFrame& frame);
  void check_source(uint32_t vi_id, const FrameHeaders& h);
  [[nodiscard]] bool granted(const ShadowVi& vi, uint32_t family, uint64_t low, uint64_t high) const;
  [[nodiscard]] bool source_allowed(const ShadowVi& vi, const FrameHeaders& h) const;
  TxPacket& new_packet(const ShadowVi& vi, ViState& state, uint32_t first_idx);

  std::vector<ViState> vis_;
  std::vector<Flow> flows_;
  std::vector<uint32_t> tx_active_;
  std::vector<Arrival> frames_;  // by number % kFramesMax
  Fifo<TxPacket> not_seen_;
  uint64_t frame_count_ = 0;
  uint64_t changed_ps_ = 0;
  uint64_t stalled_until_ps_ = 0;  // descriptors come late, and frames wait for them
  bool looped_back_ = false;       // since reset: frames that never cross the wire may be delivered
};

SteeringRules::ViState& SteeringRules::renew(const ShadowVi& vi) {
  ViState& state = vis_[vi.id];
  ViState fresh;  // what was on its way to the wire still leaves
  std::swap(fresh.sent, state.sent);
  for (size_t i = 0; i < fresh.sent.size(); ++i) fresh.sent[i].former = true;
  fresh.sent_forgot = state.sent_forgot;
  fresh.tx_active = state.tx_active;
  fresh.generation = vi.generation;
  state = std::move(fresh);
  return state;
}

bool SteeringRules::note_change(const ShadowCommand& command) {
  switch (pst_command_get_opcode(&command.command)) {
    case PST_COMMAND_PORT_CONFIG:
      looped_back_ = looped_back_ || pst_port_config_get_loopback(&command.command) != 0;
      [[fallthrough]];
    case PST_COMMAND_FILTER_INSERT:
    case PST_COMMAND_FILTER_REMOVE:
    case PST_COMMAND_RSS_CONFIGURE:
    case PST_COMMAND_VI_ALLOC:
    case PST_COMMAND_VI_FREE:
    case PST_COMMAND_VI_RESET:
      changed_ps_ = command.fetched_ps;
      return true;
    default:
      return false;
  }
}

bool SteeringRules::pending_changes() const {
  const auto& commands = shadow().commands_in_flight();
  return std::any_of(commands.begin(), commands.end(), [](const ShadowCommand& command) {
    const uint64_t opcode = pst_command_get_opcode(&command.command);
    return opcode == PST_COMMAND_FILTER_INSERT || opcode == PST_COMMAND_FILTER_REMOVE ||
           opcode == PST_COMMAND_RSS_CONFIGURE || opcode == PST_COMMAND_PORT_CONFIG || opcode == PST_COMMAND_VI_FREE ||
           opcode == PST_COMMAND_VI_RESET;
  });
}

// --- receive ---------------------------------------------------------------------------------------------------------

bool SteeringRules::ours(const FrameHeaders& h) const {
  if (h.multicast || core_.options.port_address == 0 || h.destination == core_.options.port_address) return true;
  return std::any_of(shadow().filters().begin(), shadow().filters().end(), [&](const ShadowFilter& filter) {
    const uint64_t kind = pst_filter_insert_get_match(&filter.command);
    const uint64_t named = pst_filter_insert_get_local_address_lo(&filter.command) & 0xffffffffffffull;
    if (named != h.destination) return false;
    if (kind == PST_FILTER_MATCH_MAC) return true;
    return kind == PST_FILTER_MATCH_MAC_VLAN && h.vlan_count != 0 &&
           pst_filter_insert_get_vlan_id(&filter.command) == h.vlan_id;
  });
}

bool SteeringRules::filter_matches(const pst_command& c, const FrameHeaders& h) const {
  const uint64_t kind = pst_filter_insert_get_match(&c);
  if (kind <= PST_FILTER_MATCH_LISTENER_ANY) {
    const bool ipv4 = pst_filter_insert_get_family(&c) == PST_ADDRESS_FAMILY_IPV4;
    if (!h.transport || h.l3 != (ipv4 ? PST_L3_CLASS_IPV4 : PST_L3_CLASS_IPV6)) return false;
    if (pst_filter_insert_get_protocol(&c) != h.protocol || pst_filter_insert_get_local_port(&c) != h.destination_port)
      return false;
    if (kind == PST_FILTER_MATCH_LISTENER_ANY) return !h.multicast;
    const auto equal = [&](uint64_t low, uint64_t high, const std::array<uint64_t, 2>& address) {
      return ipv4 ? (low & 0xffffffffull) == address[0] : low == address[0] && high == address[1];
    };
    if (!equal(pst_filter_insert_get_local_address_lo(&c), pst_filter_insert_get_local_address_hi(&c), h.to))
      return false;
    return kind == PST_FILTER_MATCH_LISTENER ||
           (pst_filter_insert_get_remote_port(&c) == h.source_port &&
            equal(pst_filter_insert_get_remote_address_lo(&c), pst_filter_insert_get_remote_address_hi(&c), h.from));
  }
  const uint64_t mac = pst_filter_insert_get_local_address_lo(&c) & 0xffffffffffffull;
  switch (kind) {
    case PST_FILTER_MATCH_ETHERTYPE:
      return pst_filter_insert_get_ethertype(&c) == h.ethertype;
    case PST_FILTER_MATCH_MAC:
      return mac == h.destination;
    case PST_FILTER_MATCH_MAC_VLAN:
      return mac == h.destination && h.vlan_count != 0 && pst_filter_insert_get_vlan_id(&c) == h.vlan_id;
    case PST_FILTER_MATCH_MULTICAST_DEFAULT:
      return h.multicast;
    default:  // SNIFF
      return true;
  }
}

void SteeringRules::add_target(const ShadowFilter& filter, const FrameHeaders& h, std::vector<uint32_t>& vis) {
  const bool ip = h.l3 == PST_L3_CLASS_IPV4 || h.l3 == PST_L3_CLASS_IPV6;
  const ShadowRssContext* context =
      pst_filter_insert_get_rss(&filter.command)
          ? shadow().rss_context(static_cast<uint32_t>(pst_filter_insert_get_rss_context(&filter.command)))
          : nullptr;
  if (context == nullptr || !context->configured || !ip) return vis.push_back(filter.vi_id);
  situation(Situation::kR9Rss);
  // The contract does not say whether ports take part for UDP; both are accepted.
  for (const bool with_ports : {true, false}) {
    if (with_ports ? !h.transport : h.transport && h.protocol == 6) continue;
    const uint32_t hash = toeplitz_hash(context->key, h, with_ports);
    const uint32_t chosen = context->table[hash % PST_LIMIT_RSS_INDIRECTION_ENTRIES];
    const ShadowVi* vi = shadow().vi(chosen);
    vis.push_back(vi != nullptr && vi->exists() && vi->domain == context->domain ? chosen : filter.vi_id);
  }
}

void SteeringRules::match(const FrameHeaders& h, std::vector<uint32_t>& vis) {
  vis.clear();
  const bool for_us = ours(h);
  uint64_t kind_found = PST_FILTER_MATCH_SNIFF;
  if (for_us) {
    for (const ShadowFilter& filter : shadow().filters()) {
      const uint64_t kind = pst_filter_insert_get_match(&filter.command);
      if (kind < kind_found && filter_matches(filter.command, h)) kind_found = kind;
    }
  }
  for (const ShadowFilter& filter : shadow().filters()) {
    const uint64_t kind = pst_filter_insert_get_match(&filter.command);
    if (kind == PST_FILTER_MATCH_SNIFF) {
      if (!for_us && !shadow().port().promiscuous) continue;
      situation(Situation::kR9Sniffed);
      add_target(filter, h, vis);
    } else if (for_us && kind == kind_found && filter_matches(filter.command, h)) {
      add_target(filter, h, vis);
    }
  }
  if (vis.size() > 1) situation(Situation::kR9Replicated);
}

const std::vector<uint32_t>& SteeringRules::steer(const FrameHeaders& h) {
  const std::array<uint64_t, 8> key{
      h.destination | uint64_t{h.multicast} << 48 | uint64_t{h.vlan_count} << 56,
      h.vlan_id | uint64_t{h.ethertype} << 32 | uint64_t{h.l3} << 48 | uint64_t{h.transport} << 56,
      h.protocol | uint64_t{h.source_port} << 16 | uint64_t{h.destination_port} << 32,
      h.from[0],
      h.from[1],
      h.to[0],
      h.to[1],
      0};
  bool known = false;
  Flow& flow = flow_of(key, known);
  if (!known) match(h, flow.vis);
  return flow.vis;
}

SteeringRules::Flow& SteeringRules::flow_of(const std::array<uint64_t, 8>& key, bool& known) {
  uint64_t mix = 0;
  for (const uint64_t word : key) mix ^= word;
  mix *= 0x9e3779b97f4a7c15ull;
  Flow& flow = flows_[mix >> 56];
  const uint64_t version = shadow().steering_version();
  known = flow.valid && flow.version == version && flow.key == key;
  flow.valid = true;
  flow.version = version;
  flow.key = key;
  return flow;
}

// IPv4 without tags and options is told apart by its bytes, without what differs from packet to packet and steers
// nothing (identification, lifetime, checksums): a flow that is known needs no parsing. Others are parsed.
const std::vector<uint32_t>& SteeringRules::steer(const EthernetFrame& frame) {
  constexpr uint32_t kBytes = 40;  // up to the ports, and what fills the last word
  const uint8_t* bytes = frame.bytes.data();
  const auto size = static_cast<uint32_t>(frame.bytes.size());
  if (size < kBytes || bytes[12] != 0x08 || bytes[13] != 0x00 || bytes[14] != 0x45)
    return steer(read_headers(bytes, size));
  std::array<uint64_t, 8> key{};
  std::memcpy(key.data(), bytes, kBytes);
  key[2] &= 0xff00'ffff'0000'ffffull;  // bytes 18, 19, 22
  key[3] &= 0xffff'ffff'ffff'0000ull;  // bytes 24, 25
  key[4] &= 0x0000'ffff'ffff'ffffull;  // bytes 38, 39
  key[5] = size;
  key[7] = 1;  // no key of parsed headers
  bool known = false;
  Flow& flow = flow_of(key, known);
  if (!known) match(read_headers(bytes, size), flow.vis);
  return flow.vis;
}

void SteeringRules::frame_received(uint64_t now_ps, const FramePtr& frame) {
  if (frame->bytes.size() < 14 || frame->bad_fcs) return;
  const uint64_t number = frame_count_++;
  Arrival& arrival = frames_[number % kFramesMax];
  arrival.time_ps = now_ps;
  arrival.frame = frame;
  arrival.targets = 0;
  arrival.bytes = static_cast<uint32_t>(frame->bytes.size());
  const std::vector<uint32_t>& targets = steer(*frame);
  situation(targets.empty() ? Situation::kR9NoFilter : Situation::kR9Filtered);
  for (const uint32_t id : targets) {
    const ShadowVi* vi = shadow().vi(id);
    if (vi == nullptr || !vi->exists()) continue;
    ViState& state = state_of(*vi);
    while (!state.expected.empty() && number - state.expected[0] >= kFramesMax) {
      state.expected.drop(1);
      state.forgot = true;
    }
    state.expected.push() = number;
    ++arrival.targets;
  }
}

void SteeringRules::dma(const DmaAccess& access) {
  const DmaOwner& owner = access.owner;
  if (!access.reached) return;
  if (access.write) {
    ViState& state = state_of(*shadow().vi(owner.vi_id));
    if (state.payload.size() > size_t{1} << 22) state.forget_payload();  // frames that were never announced
    const Piece piece{owner.index, owner.offset_bytes, static_cast<uint32_t>(state.payload.size()), access.bytes};
    if (!state.pieces.empty() && piece.before(state.pieces.back())) state.mixed = true;
    state.pieces.push_back(piece);
    state.payload.append(access.data, access.bytes);
  } else {
    const ShadowVi& vi = *shadow().vi(owner.vi_id);
    take_header(vi, state_of(vi), access);
  }
}

void SteeringRules::sort_payload(ViState& state) {
  std::stable_sort(state.pieces.begin(), state.pieces.end(),
                   [](const Piece& a, const Piece& b) { return a.before(b); });
  ByteStore sorted;
  for (Piece& piece : state.pieces) {
    const uint8_t* data = state.payload.data() + piece.start;
    piece.start = static_cast<uint32_t>(sorted.size());
    sorted.append(data, piece.bytes);
  }
  state.payload = std::move(sorted);
  state.mixed = false;
}

bool SteeringRules::same(const EthernetFrame& frame, const uint8_t* data, uint32_t bytes, bool stripped,
                         bool truncated) {
  const uint32_t skipped = stripped ? 4 : 0;
  const auto frame_bytes = static_cast<uint32_t>(frame.bytes.size()) - skipped;
  if (truncated ? frame_bytes < bytes : frame_bytes != bytes) return false;
  if (!stripped) return std::memcmp(frame.bytes.data(), data, bytes) == 0;
  const uint32_t head = std::min<uint32_t>(bytes, 12);
  if (std::memcmp(frame.bytes.data(), data, head) != 0) return false;
  return std::memcmp(frame.bytes.data() + head + skipped, data + head, bytes - head) == 0;
}

void SteeringRules::check_delivered(uint64_t now_ps, const ShadowVi& vi, ViState& state, const uint8_t* data,
                                    uint32_t bytes, bool truncated) {
  for (size_t i = 0; i < state.expected.size(); ++i) {
    const uint64_t number = state.expected[i];
    if (frame_count_ - number > kFramesMax) {
      state.forgot = true;
      continue;
    }
    Arrival& arrival = frames_[number % kFramesMax];
    const EthernetFrame& frame = *arrival.frame;
    if (!same(frame, data, bytes, false, truncated) && !(vi.vlan_strip && same(frame, data, bytes, true, truncated)))
      continue;
    state.expected.drop(i + 1);
    if (--arrival.targets == 0) arrival.frame.reset();
    return;
  }
  not_expected(now_ps, vi, state, data, bytes, truncated);
}

void SteeringRules::not_expected(uint64_t now_ps, const ShadowVi& vi, const ViState& state, const uint8_t* data,
                                 uint32_t bytes, bool truncated) {
  if (bytes < 14) return;
  const FrameHeaders h = read_headers(data, bytes);
  bool arrived = false;
  for (const Arrival& arrival : frames_) {
    if (!arrival.frame || !(same(*arrival.frame, data, bytes, false, truncated) ||
                            (vi.vlan_strip && same(*arrival.frame, data, bytes, true, truncated))))
      continue;
    if (uncertain(arrival.time_ps)) return;  // filters were changed while it, or one like it, was on its way
    arrived = true;
  }
  if (arrived) {
    report(Rule::kR9, vi.id, "frames that a filter steers to this VI",
           fmt::format("a frame of {} bytes that filters do not steer here (to {:012x}, ethertype {:#x}, port {})",
                       bytes, h.destination, h.ethertype, h.destination_port));
    return;
  }
  // Another VI, to which filters steered it before, may have got it already.
  const bool gone = std::any_of(frames_.begin(), frames_.end(), [&](const Arrival& arrival) {
    return !arrival.frame && (truncated ? arrival.bytes >= bytes : arrival.bytes == bytes);
  });
  if (gone && uncertain(now_ps)) return;
  if (!state.forgot && !looped_back_ && !vi.vlan_strip) {
    report(Rule::kR3, vi.id, "the bytes of a frame that arrived",
           fmt::format("{} bytes that are no such frame (to {:012x}, ethertype {:#x})", bytes, h.destination,
                       h.ethertype));
    return;
  }
  if (vi.vlan_strip || truncated || uncertain(now_ps)) return;
  // Looped back inside the NIC, or waited for long: judge what was delivered by itself.
  const std::vector<uint32_t>& targets = steer(h);
  if (std::find(targets.begin(), targets.end(), vi.id) != targets.end()) return;
  report(Rule::kR9, vi.id, "frames that a filter steers to this VI",
         fmt::format("a frame of {} bytes to {:012x}, ethertype {:#x}, port {}", bytes, h.destination, h.ethertype,
                     h.destination_port));
}

void SteeringRules::check_prefix(const ShadowVi& vi, const pst_rx_prefix& prefix, uint32_t length_bytes, bool merged) {
  core_.coverage.prefix_seen(prefix);
  const uint64_t length = pst_rx_prefix_get_length_bytes(&prefix);
  if (!merged && length != length_bytes)
    report(Rule::kR3, vi.id, fmt::format("LENGTH_BYTES {} in the prefix as in the event", length_bytes),
           fmt::format("{}", length));
  const auto id = static_cast<uint32_t>(pst_rx_prefix_get_filter_id(&prefix));
  const auto& filters = shadow().filters();
  const auto filter =
      std::find_if(filters.begin(), filters.end(), [&](const ShadowFilter& candidate) { return candidate.id == id; });
  const bool fits =
      filter != filters.end() && (filter->vi_id == vi.id || pst_filter_insert_get_rss(&filter->command) != 0);
  if (!fits && !uncertain(core_.now_ps))
    report(Rule::kR9, vi.id, "FILTER_ID of a filter that steers to this VI", fmt::format("{}", id));
}

void SteeringRules::event_written(uint64_t now_ps, const ShadowVi& vi, uint32_t, bool, const pst_event& event) {
  ViState& state = state_of(vi);
  if (pst_event_get_type(&event) == PST_EVENT_TYPE_TX) {
    // What the event before this one completed has left, or was dropped.
    while (!state.sent.empty() && !state.sent[0].former &&
           static_cast<int32_t>(state.sent[0].first_idx - vi.tx_consumer_idx) < 0) {
      if (tx_active_.size() > 1) not_seen(state.sent[0]);
      state.sent.drop(1);
    }
    return;
  }
  if (state.mixed) sort_payload(state);
  const pst_rx_event rx{{event.word[0], event.word[1]}};
  const auto end_idx = static_cast<uint32_t>(pst_rx_event_get_rx_consumer_idx(&rx));
  const bool merged = pst_rx_event_get_merged(&rx) != 0;
  const bool truncated = pst_rx_event_get_error_class(&rx) == PST_RX_ERROR_CLASS_TRUNCATED;
  const uint32_t prefix_bytes = pst_rx_event_get_prefix_present(&rx) ? PST_LIMIT_RX_PREFIX_BYTES : 0;
  const auto announced = static_cast<uint32_t>(pst_rx_event_get_length_bytes(&rx));
  size_t used = 0;
  while (used < state.pieces.size()) {
    // One frame: the pieces of one descriptor if merged, else all that the event completes.
    const uint32_t first_idx = state.pieces[used].index;
    if (static_cast<int32_t>(first_idx - end_idx) >= 0) break;
    const uint32_t start = state.pieces[used].start;
    uint32_t bytes = 0;
    for (; used < state.pieces.size() && static_cast<int32_t>(state.pieces[used].index - end_idx) < 0 &&
           (!merged || state.pieces[used].index == first_idx);
         ++used) {
      bytes += state.pieces[used].bytes;
    }
    const uint8_t* data = state.payload.data() + start;
    uint32_t frame_bytes = announced;
    if (prefix_bytes != 0 && bytes >= prefix_bytes) {
      pst_rx_prefix prefix;
      std::memcpy(&prefix, data, sizeof prefix);
      if (merged) frame_bytes = static_cast<uint32_t>(pst_rx_prefix_get_length_bytes(&prefix));
      check_prefix(vi, prefix, announced, merged);
    }
    if (bytes < prefix_bytes + frame_bytes) continue;  // event_rules.cc reports it
    check_delivered(now_ps, vi, state, data + prefix_bytes, frame_bytes, truncated);
  }
  if (used == state.pieces.size()) {
    state.forget_payload();
  } else {
    state.pieces.erase(state.pieces.begin(), state.pieces.begin() + static_cast<long>(used));
  }
}

// --- send ------------------------------------------------------------------------------------------------------------

TxPacket& SteeringRules::new_packet(const ShadowVi& vi, ViState& state, uint32_t first_idx) {
  if (!state.tx_active) {
    state.tx_active = true;
    tx_active_.push_back(vi.id);
  }
  if (state.sent.size() >= kSentMax) {
    state.sent_forgot |= !state.sent[0].former;
    state.sent.drop(1);
  }
  TxPacket& packet = state.sent.push();
  packet.first_idx = first_idx;
  packet.bytes = packet.frame_bytes = 0;
  packet.segmented = packet.begun = packet.former = false;
  return packet;
}

// What the packet that begins at a descriptor is on the wire; 0 if it is more than one frame.
uint32_t SteeringRules::frame_bytes_of(const ShadowVi& vi, uint32_t first_idx) {
  constexpr uint32_t kTagBytes = 4;
  if (pst_tx_desc_get_segment(&vi.tx_desc(first_idx))) return 0;
  uint32_t bytes = 0;
  const pst_tx_desc& before = vi.tx_desc(first_idx - 1);
  if (pst_tx_desc_get_type(&before) == PST_TX_DESC_TYPE_OPTION) {
    const pst_tx_option_desc option{{before.word[0], before.word[1]}};
    bytes += pst_tx_option_desc_get_vlan_insert(&option) ? kTagBytes : 0;
  }
  for (uint32_t i = 0; i < PST_LIMIT_TX_FRAGMENTS_MAX; ++i) {
    const pst_tx_desc& desc = vi.tx_desc(first_idx + i);
    bytes += static_cast<uint32_t>(pst_tx_desc_get_length_bytes(&desc));
    if (pst_tx_desc_get_end_of_packet(&desc)) return std::max<uint32_t>(bytes, PST_LIMIT_FRAME_BYTES_MIN);
  }
  return 0;
}

void SteeringRules::take_header(const ShadowVi& vi, ViState& state, const DmaAccess& access) {
  // Where in its packet the fragment lies.
  uint32_t first_idx = access.owner.index;
  uint32_t offset = access.owner.offset_bytes;
  for (uint32_t back = 0; back < PST_LIMIT_TX_FRAGMENTS_MAX && first_idx != 0; ++back) {
    const pst_tx_desc& before = vi.tx_desc(first_idx - 1);
    if (pst_tx_desc_get_end_of_packet(&before) || pst_tx_desc_get_type(&before) != PST_TX_DESC_TYPE_DATA) break;
    offset += static_cast<uint32_t>(pst_tx_desc_get_length_bytes(&before));
    --first_idx;
  }
  TxPacket* packet = nullptr;
  // Reads of one packet come together, in any order: it is among the last ones.
  const size_t known = offset == 0 && !state.begins_late ? 0 : std::min<size_t>(state.sent.size(), kPacketsAtOnce);
  for (size_t back = 1; back <= known && packet == nullptr; ++back) {
    TxPacket& candidate = state.sent[state.sent.size() - back];
    if (candidate.first_idx == first_idx && !candidate.former && !(offset == 0 && candidate.begun)) packet = &candidate;
  }
  if (packet == nullptr) {
    packet = &new_packet(vi, state, first_idx);
    packet->frame_bytes = frame_bytes_of(vi, first_idx);
    state.begins_late |= offset != 0;
  }
  packet->begun |= offset == 0;
  packet->segmented = pst_tx_desc_get_segment(&vi.tx_desc(first_idx)) != 0;
  if (offset >= kHeaderBytes) return;  // a packet whose beginning was taken for another one's keeps no header
  if (!vi.any_source) situation(Situation::kR9SourceChecked);
  const uint32_t bytes = std::min(access.bytes, kHeaderBytes - offset);
  std::memcpy(packet->header.data() + offset, access.data, bytes);
  packet->bytes = std::max(packet->bytes, offset + bytes);
}

// A frame in the PIO page: its header is what the host wrote there.
void SteeringRules::doorbell(uint64_t, const ShadowVi& vi, uint32_t offset, uint64_t value, bool repeated) {
  if (offset != PST_VI_PIO_DOORBELL_OFFSET || repeated) return;
  ViState& state = state_of(vi);
  const auto at =
      static_cast<uint32_t>((value & PST_VI_PIO_DOORBELL_OFFSET_BYTES_MASK) >> PST_VI_PIO_DOORBELL_OFFSET_BYTES_SHIFT);
  const auto length =
      static_cast<uint32_t>((value & PST_VI_PIO_DOORBELL_LENGTH_BYTES_MASK) >> PST_VI_PIO_DOORBELL_LENGTH_BYTES_SHIFT);
  if (length == 0 || at + length > PST_LIMIT_PIO_BYTES) return;
  TxPacket& packet = new_packet(vi, state, static_cast<uint32_t>(value) - 1);
  packet.bytes = std::min(length, kHeaderBytes);
  packet.frame_bytes = std::max<uint32_t>(length, PST_LIMIT_FRAME_BYTES_MIN);
  packet.header.fill(0);  // what was never written reads as 0
  if (!vi.pio_page.empty()) std::memcpy(packet.header.data(), vi.pio_page.data() + at, packet.bytes);
}

// A grant counts from when the device has read the command: it may be in force before it is answered.
bool SteeringRules::granted(const ShadowVi& vi, uint32_t family, uint64_t low, uint64_t high) const {
  const bool in_force = std::any_of(vi.grants.begin(), vi.grants.end(), [&](const ShadowGrant& grant) {
    return grant.family == family && grant.address_lo == low && grant.address_hi == high;
  });
  if (in_force) return true;
  const auto& commands = shadow().commands_in_flight();
  return std::any_of(commands.begin(), commands.end(), [&](const ShadowCommand& command) {
    const pst_command& c = command.command;
    return pst_command_get_opcode(&c) == PST_COMMAND_SOURCE_GRANT && pst_command_get_target_id(&c) == vi.id &&
           pst_source_grant_get_family(&c) == family && pst_source_grant_get_address_lo(&c) == low &&
           pst_source_grant_get_address_hi(&c) == high;
  });
}

bool SteeringRules::source_allowed(const ShadowVi& vi, const FrameHeaders& h) const {
  if (vi.any_source) return true;
  const uint64_t port = core_.options.port_address;
  const auto mac = [&](uint64_t address) {
    return port == 0 || address == port || granted(vi, PST_ADDRESS_FAMILY_MAC, address, 0);
  };
  if (h.sourceless || !mac(h.source)) return false;
  switch (h.l3) {
    case PST_L3_CLASS_IPV4:
      return granted(vi, PST_ADDRESS_FAMILY_IPV4, h.from[0], 0);
    case PST_L3_CLASS_IPV6:
      return granted(vi, PST_ADDRESS_FAMILY_IPV6, h.from[0], h.from[1]);
    case PST_L3_CLASS_ARP:
      return mac(h.arp_source) && (h.from[0] == 0 || granted(vi, PST_ADDRESS_FAMILY_IPV4, h.from[0], 0));
    default:
      return true;
  }
}

// Whether a frame may be what the packet became: its length if known, addresses and ports, and not what offloads
// change.
bool SteeringRules::may_be(const TxPacket& packet, const EthernetFrame& frame, bool of_length) {
  if (of_length && packet.frame_bytes != 0 && packet.frame_bytes != frame.bytes.size()) return false;
  if (packet.bytes == 0) return true;
  const uint8_t* sent = frame.bytes.data();
  const uint8_t* read = packet.header.data();
  if (word(read) != word(sent) || word(read + 4) != word(sent + 4)) return false;  // both MAC addresses
  // An inserted tag moves the rest; the read may not reach as far as the addresses.
  const bool tagged = sent[12] == 0x81 && sent[13] == 0x00 && (read[12] != 0x81 || read[13] != 0x00);
  if (tagged) sent += 4;
  if (sent[12] != read[12] || sent[13] != read[13]) return packet.bytes < 14;
  if (read[12] == 0x08 && read[13] == 0x00) {
    constexpr uint32_t kAddresses = 26, kPorts = 34, kEnd = 38;  // of IPv4 without options
    if (packet.bytes < kPorts) return true;
    if (word(read + kAddresses) != word(sent + kAddresses)) return false;
    return packet.bytes < kEnd || read[14] != 0x45 || std::memcmp(read + kPorts, sent + kPorts, kEnd - kPorts) == 0;
  }
  if (read[12] == 0x08 && read[13] == 0x06)  // ARP
    return packet.bytes < 42 || std::memcmp(read + 14, sent + 14, 28) == 0;
  constexpr uint32_t kAddresses = 22, kPayload = 54;  // of IPv6
  if (read[12] != 0x86 || read[13] != 0xdd || packet.bytes < kPayload) return true;
  return std::memcmp(read + kAddresses, sent + kAddresses, kPayload - kAddresses) == 0;
}

// Packets of several VIs may look alike: the frame is that of a VI which may send it, and of those the one for which it
// is most nearly due. False: nobody has posted it.
bool SteeringRules::find_sender(const EthernetFrame& frame, bool of_length) {
  std::optional<FrameHeaders> headers;
  bool best_allowed = false;
  uint32_t best_vi = Violation::kNoVi;
  size_t best_place = 0;
  for (const uint32_t id : tx_active_) {
    const ShadowVi& vi = *shadow().vi(id);
    const ViState& state = state_of(vi);
    size_t place = 0;
    while (place < state.sent.size() && !may_be(state.sent[place], frame, of_length)) ++place;
    if (place == state.sent.size()) continue;
    const bool trusted = state.sent[place].former || vi.any_source;
    if (!trusted && !headers) headers = read_headers(frame.bytes.data(), static_cast<uint32_t>(frame.bytes.size()));
    const bool allowed = trusted || source_allowed(vi, *headers);
    if (best_vi != Violation::kNoVi && (allowed != best_allowed ? best_allowed : place >= best_place)) continue;
    best_vi = id;
    best_allowed = allowed;
    best_place = place;
    if (allowed && place == 0) break;
  }
  if (best_vi == Violation::kNoVi) return false;
  if (!best_allowed) {
    check_source(best_vi, *headers);
    return true;
  }
  ViState& state = vis_[best_vi];
  if (!state.sent[best_place].segmented) state.sent.erase(best_place);
  if (!shadow().vi(best_vi)->any_source && headers && headers->l3 != PST_L3_CLASS_OTHER)
    situation(Situation::kR9SourceGranted);
  return true;
}

void SteeringRules::frame_sent(uint64_t, const FramePtr& frame) {
  const std::vector<uint8_t>& bytes = frame->bytes;
  if (bytes[12] == 0x88 && bytes[13] == 0x08) return;  // a pause frame of the port's own
  // Descriptors that name one address with different lengths may have been taken for each other: addresses decide.
  if (!find_sender(*frame, true) && !take_not_seen(*frame) && !find_sender(*frame, false)) sent_by_nobody(*frame);
}

// A packet was completed and no frame was taken for it: either it was dropped, or its frame was taken for that of
// another VI that posted a packet like it, whose own frame is still to come.
void SteeringRules::not_seen(const TxPacket& packet) {
  if (not_seen_.size() >= kSentMax) not_seen_.drop(1);
  not_seen_.push() = packet;
}

bool SteeringRules::take_not_seen(const EthernetFrame& frame) {
  for (size_t i = 0; i < not_seen_.size(); ++i) {
    if (!may_be(not_seen_[i], frame, true)) continue;
    not_seen_.erase(i);
    return true;
  }
  return false;
}

void SteeringRules::sent_by_nobody(const EthernetFrame& frame) {
  const bool forgot =
      std::any_of(tx_active_.begin(), tx_active_.end(), [&](uint32_t id) { return vis_[id].sent_forgot; });
  if (forgot || shadow().reset_under_way()) return;
  const auto bytes = static_cast<uint32_t>(frame.bytes.size());
  const FrameHeaders h = read_headers(frame.bytes.data(), bytes);
  report(Rule::kR9, Violation::kNoVi, "frames that a VI has posted",
         fmt::format("a frame of {} bytes from {:012x}, ethertype {:#x}", bytes, h.source, h.ethertype));
}

void SteeringRules::check_source(uint32_t vi_id, const FrameHeaders& h) {
  report(Rule::kR9, vi_id, "a source address that this VI was granted",
         fmt::format("a frame from {:012x}, ethertype {:#x}, IP source {:#x} {:#x} (first bytes lowest)", h.source,
                     h.ethertype, h.from[0], h.from[1]));
}

void SteeringRules::reset_started(uint64_t now_ps) {
  changed_ps_ = now_ps;
  looped_back_ = false;
  for (ViState& state : vis_) {
    state.expected.clear();
    state.forget_payload();
  }
}

}  // namespace

std::unique_ptr<RuleGroup> make_steering_rules(MonitorCore& core) { return std::make_unique<SteeringRules>(core); }

}  // namespace postern::sim
