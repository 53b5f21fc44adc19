// R11: every dropped packet is counted once, under a reason. Compares what crossed the boundary with PORT_STATISTICS as
// STATISTICS_READ writes it and with the counters of the device at the end of the run.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "contract/gen/pst_contract_tables.h"
#include "sim/monitor/monitor_core.h"

namespace postern::sim {

namespace {

constexpr uint64_t kFrameNs = 100000;  // the longest frame at 1 Gb/s takes less on the wire
constexpr size_t kReasons = PST_PORT_STATISTICS_DROPS_COUNT;
bool is_pause(const std::vector<uint8_t>& frame) {
  return frame.size() >= PST_LIMIT_FRAME_BYTES_MIN && frame[12] == 0x88 && frame[13] == 0x08 && frame[14] == 0 &&
         frame[15] == 1;
}
constexpr bool is_rx_reason(size_t reason) { return reason <= PST_DROP_REASON_RX_BUFFER_FULL; }

class AccountRules : public RuleGroup {
 public:
  explicit AccountRules(MonitorCore& core)
      : RuleGroup(core, ContractShadow::kWantsDma | ContractShadow::kWantsEvents,
                  ContractShadow::dma_kind(true, DmaTarget::kStatistics), 1u << PST_EVENT_TYPE_RX) {}

  void dma(const DmaAccess& access) override;
  void event_written(uint64_t now_ps, const ShadowVi& vi, uint32_t event_idx, bool in_order,
                     const pst_event& event) override;
  void frame_received(uint64_t now_ps, const FramePtr& frame) override;
  void frame_sent(uint64_t now_ps, const FramePtr& frame) override;
  [[nodiscard]] bool looks_at_frames() const override { return true; }
  void link_changed(uint64_t now_ps, bool up) override;
  void fault_injected(uint64_t now_ps, const InjectedFault& fault) override;
  void command_completing(uint64_t, const ShadowCommand& command, const pst_admin_completion&) override {
    loopback_ |= pst_port_config_get_loopback(&command.command) != 0 &&
                 pst_command_get_opcode(&command.command) == PST_COMMAND_PORT_CONFIG;
  }
  void reset_started(uint64_t now_ps) override;
  void reset_completed(uint64_t now_ps) override;
  void finish(uint64_t now_ps) override;

 private:
  [[nodiscard]] bool for_this_station(const std::vector<uint8_t>& frame) const;
  void check_statistics(const pst_port_statistics& statistics);
  void check_counters(uint64_t now_ps);
  void expect_equal(const char* what, uint64_t expected, uint64_t seen);
  [[nodiscard]] bool quiescent(uint64_t now_ps) const;
  [[nodiscard]] bool knows_all() const { return !unsettled_ && !loopback_ && !core_.removed; }

  // Since the last function reset.
  uint64_t received_ = 0, sent_ = 0, delivered_ = 0, bad_fcs_ = 0, pauses_received_ = 0;
  uint64_t certain_bad_length_ = 0;
  bool loopback_ = false, wire_down_ = false, port_down_ = false, resetting_ = false;
  uint64_t up_ps_ = 0;  // when the link last came up
  enum class Arrived : uint8_t { kWhole, kShort, kPause } last_ = Arrived::kWhole;
  bool unsettled_ = false;                // frames crossed the port at a reset: on which side of it nobody can tell
  uint64_t reset_ps_ = 0, frame_ps_ = 0;  // of the last reset, as issued; of the last frame
  bool read_before_ = false;
  pst_port_statistics before_{};
  std::array<uint8_t, PST_PORT_STATISTICS_BYTES> incoming_{};
};

bool AccountRules::for_this_station(const std::vector<uint8_t>& frame) const {
  static constexpr std::array<uint8_t, 6> kPauseAddress{0x01, 0x80, 0xc2, 0, 0, 1};  // IEEE 802.3 annex 31B
  if (std::equal(kPauseAddress.begin(), kPauseAddress.end(), frame.begin())) return true;
  uint64_t destination = 0;
  std::memcpy(&destination, frame.data(), 6);
  return destination == core_.options.port_address;
}

void AccountRules::frame_received(uint64_t now_ps, const FramePtr& frame) {
  frame_ps_ = now_ps;
  if (wire_down_ || port_down_) return;  // nothing arrives over a link that is down
  // Nor what was under way when it came up: how long that takes only the device knows.
  if (up_ps_ != 0 && now_ps < up_ps_ + core_.ps(kFrameNs)) unsettled_ = true;
  last_ = Arrived::kWhole;
  // Obeyed or not, a pause frame for this station is no frame of RX_FRAMES.
  if (!frame->bad_fcs && is_pause(frame->bytes) && for_this_station(frame->bytes)) {
    last_ = Arrived::kPause;
    ++pauses_received_;
    return;
  }
  ++received_;
  if (frame->bad_fcs) {
    ++bad_fcs_;
  } else if (frame->bytes.size() < PST_LIMIT_FRAME_BYTES_MIN) {
    last_ = Arrived::kShort;
    ++certain_bad_length_;
  }
}

void AccountRules::frame_sent(uint64_t now_ps, const FramePtr& frame) {
  frame_ps_ = now_ps;
  // One that leaves damaged was cut short, because its payload did not come: its packet is a drop.
  if (!is_pause(frame->bytes) && !frame->bad_fcs) ++sent_;
}

void AccountRules::link_changed(uint64_t now_ps, bool up) {
  wire_down_ = !up;
  if (up) up_ps_ = now_ps;
}

void AccountRules::fault_injected(uint64_t now_ps, const InjectedFault& fault) {
  core_.traffic_ps = now_ps;
  switch (fault.kind) {
    case FaultKind::kLinkDown:
      port_down_ = true;
      return;
    case FaultKind::kLinkUp:
      port_down_ = false;
      up_ps_ = now_ps;
      return;
    case FaultKind::kPauseFrame:  // arrives without having crossed the boundary
      last_ = Arrived::kPause;
      ++pauses_received_;
      return;
    case FaultKind::kBadFcs:  // of the frame that has arrived last, whole at the boundary
      if (last_ == Arrived::kPause) --pauses_received_, ++received_;
      if (last_ == Arrived::kShort) --certain_bad_length_;
      ++bad_fcs_;
      return;
    default:
      return;
  }
}

void AccountRules::event_written(uint64_t, const ShadowVi& vi, uint32_t event_idx, bool, const pst_event& event) {
  const bool again = static_cast<int32_t>(event_idx - vi.events_written) < 0;  // event_rules.cc reports it
  if (again) return;
  const pst_rx_event rx{{event.word[0], event.word[1]}};
  delivered_ += pst_rx_event_get_merged(&rx) ? pst_rx_event_get_desc_count(&rx) : 1;
}

void AccountRules::dma(const DmaAccess& access) {
  if (!access.reached) return;
  const uint32_t offset = access.owner.offset_bytes;
  if (offset >= incoming_.size()) return;
  std::memcpy(incoming_.data() + offset, access.data, std::min<size_t>(access.bytes, incoming_.size() - offset));
  if (offset + access.bytes < incoming_.size()) return;
  pst_port_statistics statistics;
  std::memcpy(&statistics, incoming_.data(), sizeof statistics);
  situation(Situation::kR11StatisticsRead);
  check_statistics(statistics);
}

void AccountRules::check_statistics(const pst_port_statistics& statistics) {
  uint64_t rx_drops = 0;
  for (size_t reason = 0; reason < kReasons; ++reason) {
    const uint64_t count = statistics.word[PST_PORT_STATISTICS_DROPS_WORD + reason];
    if (count != 0) core_.coverage.drop_seen(reason);
    if (is_rx_reason(reason)) rx_drops += count;
    if (read_before_ && count < before_.word[PST_PORT_STATISTICS_DROPS_WORD + reason]) {
      report(Rule::kR11, Violation::kNoVi, fmt::format("DROPS of {} does not go back", pst_drop_reason_name(reason)),
             fmt::format("{}, before {}", count, before_.word[PST_PORT_STATISTICS_DROPS_WORD + reason]));
    }
  }
  read_before_ = true;
  before_ = statistics;
  if (!knows_all()) return;
  const uint64_t frames = pst_port_statistics_get_rx_frames(&statistics);
  expect_equal("RX_FRAMES: frames that arrived", received_, frames);
  expect_equal("TX_FRAMES: frames that left", sent_, pst_port_statistics_get_tx_frames(&statistics));
  expect_equal("DROPS of RX_BAD_FCS", bad_fcs_,
               statistics.word[PST_PORT_STATISTICS_DROPS_WORD + PST_DROP_REASON_RX_BAD_FCS]);
  if (rx_drops < certain_bad_length_ + bad_fcs_)
    expect_equal("DROPS of damaged and short frames", certain_bad_length_ + bad_fcs_, rx_drops);
}

void AccountRules::expect_equal(const char* what, uint64_t expected, uint64_t seen) {
  if (expected != seen)
    report(Rule::kR11, Violation::kNoVi, fmt::format("{}: {}", what, expected), fmt::format("{}", seen));
}

// No frame waits inside the device for space or a descriptor, and none is under way.
bool AccountRules::quiescent(uint64_t now_ps) const {
  if (!knows_all()) return false;
  if (now_ps < core_.traffic_ps + core_.ps(bounds().quiescent_ns)) return false;
  if (!shadow().commands_in_flight().empty()) return false;  // a VI may be going away with what it has
  for (uint32_t id = 0; id < shadow().vi_id_limit(); ++id) {
    const ShadowVi* vi = shadow().vi(id);
    if (vi == nullptr || !vi->exists()) continue;
    if (vi->events_written - vi->evq_consumer_idx >= vi->evq_entries) return false;
  }
  return true;
}

void AccountRules::check_counters(uint64_t now_ps) {
  if (!core_.counters) return;
  std::map<std::string, uint64_t> counters;
  for (auto& [name, value] : core_.counters()) counters[name] = value;
  uint64_t rx_drops = 0;
  for (size_t reason = 0; reason < kReasons; ++reason) {
    const uint64_t count = counters[std::string("drops.") + pst_drop_reason_name(reason)];
    if (count != 0) core_.coverage.drop_seen(reason);
    if (is_rx_reason(reason)) rx_drops += count;
  }
  if (!quiescent(now_ps)) return;
  situation(Situation::kR11Accounted);
  expect_equal("rx.frames: frames that arrived", received_, counters["rx.frames"]);
  expect_equal("tx.frames: frames that left", sent_, counters["tx.frames"]);
  expect_equal("rx.delivered: frames that events announced", delivered_, counters["rx.delivered"]);
  expect_equal("frames that arrived = delivered + dropped - extra copies", received_ + counters["rx.extra_copies"],
               delivered_ + rx_drops);
  expect_equal("drops.RX_BAD_FCS: damaged frames", bad_fcs_, counters["drops.RX_BAD_FCS"]);
}

// What the device has counted until now is told before it is reset.
void AccountRules::reset_started(uint64_t now_ps) {
  if (core_.clock && !resetting_) check_counters(core_.clock());
  resetting_ = true;
  reset_ps_ = now_ps;
}

// Nobody counts the frames that were inside the device, and those that came meanwhile may be on either side.
void AccountRules::reset_completed(uint64_t) {
  resetting_ = false;
  unsettled_ = frame_ps_ != 0 && frame_ps_ + core_.ps(bounds().in_flight_ns) > reset_ps_;
  loopback_ = read_before_ = false;
  received_ = sent_ = delivered_ = bad_fcs_ = certain_bad_length_ = pauses_received_ = 0;
}

void AccountRules::finish(uint64_t now_ps) {
  if (!resetting_) check_counters(now_ps);
}

}  // namespace

std::unique_ptr<RuleGroup> make_account_rules(MonitorCore& core) { return std::make_unique<AccountRules>(core); }

}  // namespace postern::sim
