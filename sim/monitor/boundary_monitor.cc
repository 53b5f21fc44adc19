// Wiring of the shadow and the groups of rules, and reports. See boundary_monitor.h.
#include "sim/monitor/boundary_monitor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "contract/gen/pst_contract_tables.h"
#include "sim/monitor/monitor_core.h"

namespace postern::sim {

namespace {

inline LoggedAccess& fill(LoggedAccess& entry, uint64_t time_ps, AccessKind kind, uint64_t address, const uint8_t* data,
                          uint32_t bytes) {
  entry.time_ps = time_ps;
  entry.kind = kind;
  entry.address = address;
  entry.bytes = bytes;
  entry.reached = true;
  if (data != nullptr && bytes >= sizeof entry.words) {
    std::memcpy(entry.words.data(), data, sizeof entry.words);
    return entry;
  }
  entry.words = {};
  if (data != nullptr) std::memcpy(entry.words.data(), data, bytes);
  return entry;
}

std::string json_string(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

// Puts each DMA access, with its owner, into the log before any rule looks at it.
class DmaLogger : public ShadowListener {
 public:
  explicit DmaLogger(MonitorCore& core) : core_(core) {}
  void dma(const DmaAccess& access) override {
    LoggedAccess& entry =
        fill(core_.log.next(), access.now_ps, access.write ? AccessKind::kDmaWrite : AccessKind::kDmaRead,
             access.address, access.data, access.bytes);
    entry.reached = access.reached;
    entry.owner = access.owner;
  }

 private:
  MonitorCore& core_;
};

}  // namespace

const char* rule_name(Rule rule) { return contract::kRuleNames[static_cast<size_t>(rule)]; }

std::string describe(const Violation& violation) {
  std::string text =
      fmt::format("{} violated at {:.3f} ns, {}\n  rule:     {}\n  expected: {}\n  seen:     {}\n",
                  rule_name(violation.rule), static_cast<double>(violation.time_ps) / 1000,
                  violation.vi_id == Violation::kNoVi ? "no VI" : fmt::format("VI {}", violation.vi_id),
                  contract::kRuleTexts[static_cast<size_t>(violation.rule)], violation.expected, violation.seen);
  if (!violation.accesses.empty()) text += "  last accesses:\n";
  for (const std::string& line : violation.accesses) text += "    " + line + "\n";
  return text;
}

void MonitorCore::report(Rule rule, uint32_t vi_id, std::string expected, std::string seen) {
  ++total;
  ++counts[static_cast<size_t>(rule)];
  if (violations.size() >= options.reports_max) return;
  violations.push_back(
      {now_ps, vi_id, rule, std::move(expected), std::move(seen), log.last(options.report_accesses, vi_id)});
  if (listener) listener(violations.back());
}

BoundaryMonitor::BoundaryMonitor(MonitorOptions options)
    : core_(std::make_unique<MonitorCore>(std::move(options))), dma_logger_(std::make_unique<DmaLogger>(*core_)) {
  core_->shadow.add_listener(*dma_logger_, ContractShadow::kWantsDma);
  core_->shadow.add_listener(core_->coverage, ContractShadow::kWantsEvents | ContractShadow::kWantsDescriptors);
  groups_.push_back(make_access_rules(*core_));
  groups_.push_back(make_dma_rules(*core_));
  groups_.push_back(make_event_rules(*core_));
  groups_.push_back(make_steering_rules(*core_));
  groups_.push_back(make_wakeup_rules(*core_));
  groups_.push_back(make_account_rules(*core_));
  for (const auto& group : groups_) {
    if (group->looks_at_frames()) frame_groups_.push_back(group.get());
  }
}

void BoundaryMonitor::set_bounds(const MonitorBounds& bounds) { core_->options.bounds = bounds; }

BoundaryMonitor::~BoundaryMonitor() = default;

void BoundaryMonitor::set_counter_reader(CounterReader reader) { core_->counters = std::move(reader); }
void BoundaryMonitor::set_violation_listener(ViolationListener listener) { core_->listener = std::move(listener); }
void BoundaryMonitor::set_clock(Clock clock) { core_->clock = std::move(clock); }
void BoundaryMonitor::set_memory_reader(HostMemoryReader* reader) { core_->memory = reader; }
const ContractShadow& BoundaryMonitor::shadow() const { return core_->shadow; }
uint64_t BoundaryMonitor::violation_count() const { return core_->total; }
uint64_t BoundaryMonitor::violation_count(Rule rule) const { return core_->counts[static_cast<size_t>(rule)]; }
const std::vector<Violation>& BoundaryMonitor::violations() const { return core_->violations; }
const ContractCoverage& BoundaryMonitor::coverage() const { return core_->coverage; }

std::string BoundaryMonitor::text() const {
  if (core_->total == 0) return {};
  std::string text =
      fmt::format("{}: {} contract violation{}:", core_->options.name.empty() ? "NIC" : core_->options.name,
                  core_->total, core_->total == 1 ? "" : "s");
  for (size_t rule = 0; rule < kRuleCount; ++rule) {
    if (core_->counts[rule] != 0) text += fmt::format(" {} {}x", contract::kRuleNames[rule], core_->counts[rule]);
  }
  text += "\n";
  for (const Violation& violation : core_->violations) text += describe(violation);
  if (core_->total > core_->violations.size())
    text += fmt::format("{} more are counted but not reported\n", core_->total - core_->violations.size());
  return text;
}

std::string BoundaryMonitor::json() const {
  std::string text =
      fmt::format("{{\"nic\": {}, \"violations\": {}, \"rules\": {{", json_string(core_->options.name), core_->total);
  for (size_t rule = 0; rule < kRuleCount; ++rule)
    text += fmt::format("{}\"{}\": {}", rule == 0 ? "" : ", ", contract::kRuleNames[rule], core_->counts[rule]);
  text += "}, \"reports\": [";
  for (size_t i = 0; i < core_->violations.size(); ++i) {
    const Violation& violation = core_->violations[i];
    text += fmt::format(
        "{}\n  {{\"time_ps\": {}, \"vi\": {}, \"rule\": \"{}\", \"expected\": {}, \"seen\": {}, \"accesses\": [",
        i == 0 ? "" : ",", violation.time_ps,
        violation.vi_id == Violation::kNoVi ? "null" : fmt::format("{}", violation.vi_id), rule_name(violation.rule),
        json_string(violation.expected), json_string(violation.seen));
    for (size_t line = 0; line < violation.accesses.size(); ++line)
      text += (line == 0 ? "" : ", ") + json_string(violation.accesses[line]);
    text += "]}";
  }
  return text + "]}";
}

void BoundaryMonitor::advance(uint64_t now_ps) {
  core_->now_ps = now_ps;
  if (now_ps < core_->next_deadline_ps) return;
  core_->next_deadline_ps = ~uint64_t{0};
  for (const auto& group : groups_) group->expire(now_ps);
}

void BoundaryMonitor::bar_written(uint64_t issue_ps, unsigned bar, uint64_t offset, const uint8_t* data,
                                  uint32_t bytes) {
  fill(core_->log.next(), issue_ps, AccessKind::kBarWrite, offset, data, bytes).bar = static_cast<uint8_t>(bar);
  core_->coverage.register_accessed(bar, offset, data, bytes, true);
  core_->shadow.bar_written(issue_ps, bar, offset, data, bytes);
  for (const auto& group : groups_) group->bar_written(issue_ps, bar, offset);
}

void BoundaryMonitor::bar_read(uint64_t issue_ps, uint64_t done_ps, unsigned bar, uint64_t offset, const uint8_t* data,
                               uint32_t bytes) {
  fill(core_->log.next(), issue_ps, AccessKind::kBarRead, offset, data, bytes).bar = static_cast<uint8_t>(bar);
  core_->coverage.register_accessed(bar, offset, data, bytes, false);
  core_->shadow.bar_read(issue_ps, done_ps, bar, offset, data, bytes);
  uint64_t value = 0;
  std::memcpy(&value, data, std::min<uint32_t>(bytes, sizeof value));
  if (bar == PST_BAR_FUNCTION && offset == PST_FUNCTION_MAC_ADDRESS_OFFSET && bytes == 8 && value != ~uint64_t{0} &&
      core_->options.port_address == 0) {
    core_->options.port_address = value;
  }
  for (const auto& group : groups_) group->bar_read(issue_ps, done_ps, bar, offset, value, bytes);
}

void BoundaryMonitor::dma_read(uint64_t now_ps, uint64_t address, const uint8_t* data, uint32_t bytes, bool reached) {
  advance(now_ps);
  core_->traffic_ps = now_ps;
  core_->shadow.dma_read(now_ps, address, data, bytes, reached);
}

void BoundaryMonitor::dma_written(uint64_t now_ps, uint64_t address, const uint8_t* data, uint32_t bytes,
                                  bool reached) {
  advance(now_ps);
  core_->traffic_ps = now_ps;
  core_->shadow.dma_written(now_ps, address, data, bytes, reached);
}

void BoundaryMonitor::interrupt(uint64_t now_ps, uint32_t vector) {
  advance(now_ps);
  fill(core_->log.next(), now_ps, AccessKind::kInterrupt, vector, nullptr, 0);
  for (const auto& group : groups_) group->interrupt(now_ps, vector);
}

void BoundaryMonitor::frame_sent(uint64_t now_ps, const FramePtr& frame) {
  advance(now_ps);
  fill(core_->log.next(), now_ps, AccessKind::kFrameSent, 0, nullptr, static_cast<uint32_t>(frame->bytes.size()));
  core_->traffic_ps = now_ps;
  for (RuleGroup* group : frame_groups_) group->frame_sent(now_ps, frame);
}

void BoundaryMonitor::frame_received(uint64_t now_ps, const FramePtr& frame) {
  advance(now_ps);
  fill(core_->log.next(), now_ps, AccessKind::kFrameReceived, 0, nullptr, static_cast<uint32_t>(frame->bytes.size()));
  core_->traffic_ps = now_ps;
  for (RuleGroup* group : frame_groups_) group->frame_received(now_ps, frame);
}

void BoundaryMonitor::link_changed(uint64_t now_ps, bool up) {
  for (const auto& group : groups_) group->link_changed(now_ps, up);
}

void BoundaryMonitor::function_reset(uint64_t now_ps) {
  advance(now_ps);
  fill(core_->log.next(), now_ps, AccessKind::kReset, 0, nullptr, 0);
  core_->shadow.function_reset(now_ps);
}

void BoundaryMonitor::fault_injected(uint64_t now_ps, const InjectedFault& fault) {
  advance(now_ps);
  fill(core_->log.next(), now_ps, AccessKind::kFault, static_cast<uint64_t>(fault.kind), nullptr, 0);
  if (fault.kind == FaultKind::kSurpriseRemoval) core_->removed = true;
  if (fault.kind == FaultKind::kFunctionReset) core_->shadow.function_reset(now_ps);
  for (const auto& group : groups_) group->fault_injected(now_ps, fault);
}

void BoundaryMonitor::finish(uint64_t now_ps) {
  core_->next_deadline_ps = 0;
  advance(now_ps);
  for (const auto& group : groups_) group->finish(now_ps);
}

}  // namespace postern::sim
