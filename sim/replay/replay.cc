// Strict replay: every record at its time, every output equal to the byte and the picosecond. With ignored timing:
// outputs by stream (replay_streams.h), and host actions after the outputs that they followed.
#define SC_INCLUDE_DYNAMIC_PROCESSES  // sc_spawn; read by <systemc>
#include "sim/replay/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "sim/nic_factory.h"
#include "sim/nic_waves.h"
#include "sim/replay/replay_host.h"
#include "sim/replay/replay_streams.h"
#include "sim/violation_waves.h"

namespace postern::sim {
namespace {

constexpr size_t kHistoryRecords = 12;
constexpr unsigned kDeltasMost = 64;               // for what happens at the same picosecond
constexpr uint64_t kPatiencePs = 100'000'000'000;  // ignored timing: 100 ms for an output that is due
constexpr int kThreadStackBytes = 256 * 1024;

struct History {
  std::deque<std::string> lines;
  void add(const TraceRecord& record) {
    lines.push_back(describe(record));
    if (lines.size() > kHistoryRecords) lines.pop_front();
  }
};

sc_core::sc_time ps(uint64_t duration_ps) { return sc_core::sc_time::from_value(duration_ps); }
uint64_t now_ps() { return sc_core::sc_time_stamp().value(); }

// DMA that nobody answered.
bool unanswered(const TraceRecord& record) {
  return (record.kind == RecordKind::kDmaRead && record.data.empty()) ||
         (record.kind == RecordKind::kDmaWrite && record.value != 0);
}

class Player {
 public:
  Player(const ReplayOptions& options, const ReplayWatch& watch) : options_(options), watch_(watch) {}

  Status prepare();
  ReplayOutcome run();

 private:
  struct Host {
    std::string name;
    MacAddress mac{};
    std::vector<std::pair<std::string, double>> properties;
    std::map<uint64_t, std::deque<bool>> outcomes;  // of DMA to addresses that nobody answered at least once
    std::unique_ptr<ReplayHost> replayed;
    std::deque<TraceRecord> done;  // outputs that are not compared yet
    ReplayStreams streams;
    std::vector<TraceRecord> memory;  // for the next record; the device may still read what it replaces
    History recorded_history, actual_history;
  };

  Status scan();
  Status scan_outcomes();
  Status declare(const TraceRecord& record);
  Status build(Host& host, uint32_t host_idx);
  Status set(Host& host, const std::string& name, double value, const char* where);
  void happened(uint32_t host_idx, const TraceRecord& record);
  void play();
  void play_strictly(const TraceRecord& record);
  void play_causally(TraceRecord& record);
  void expect(Host& host, const TraceRecord& record);
  void check_streams(Host& host);
  void hand_over(Host& host);
  void wait_for_outputs(Host& host, uint64_t until_ps);
  void diverge(Host& host, const std::string& what);
  void end();

  const ReplayOptions& options_;
  const ReplayWatch& watch_;
  std::unique_ptr<TraceReader> reader_;
  std::vector<Host> hosts_;
  sc_core::sc_event output_event_;
  ReplayOutcome outcome_;
  uint64_t record_idx_ = 0;
  uint64_t skew_ps_ = 0;  // ignored timing: how far the replay is behind the recorded times
  bool over_ = false;
};

Status Player::declare(const TraceRecord& record) {
  const std::string text(record.data.begin(), record.data.end());
  if (record.kind == RecordKind::kHost) {
    if (record.host != hosts_.size()) return Error{EINVAL, options_.path + ": hosts are not in order; record it again"};
    Host host;
    host.name = text;
    std::memcpy(host.mac.data(), &record.value, host.mac.size());
    hosts_.push_back(std::move(host));
    return {};
  }
  if (record.host >= hosts_.size()) return Error{EINVAL, options_.path + ": a record of an undeclared host"};
  if (record.kind == RecordKind::kProperty) {
    double value = 0;
    std::memcpy(&value, &record.value, sizeof value);
    hosts_[record.host].properties.emplace_back(text, value);
  }
  if (unanswered(record)) hosts_[record.host].outcomes[record.address];
  const bool sized = record.kind == RecordKind::kBarReadIssued || record.kind == RecordKind::kBarWrite;
  const uint64_t bytes = record.kind == RecordKind::kBarWrite ? record.data.size() : record.value;
  if (sized && (bytes == 0 || bytes > PST_LIMIT_PIO_BYTES)) {
    return Error{EINVAL, fmt::format("{}: a BAR access of {} bytes", options_.path, bytes)};
  }
  return {};
}

// Reads the whole file once, so that a bad one is refused before anything happens.
Status Player::scan() {
  Result<std::unique_ptr<TraceReader>> reader = TraceReader::open(options_.path);
  if (!reader) return reader.error();
  TraceRecord record;
  do {
    if (Status status = reader.value()->next(record); !status) return status;
    if (record.kind == RecordKind::kEnd) break;
    if (Status status = declare(record); !status) return status;
  } while (true);
  if (hosts_.empty()) return Error{EINVAL, options_.path + ": no host in it"};
  outcome_.record_count = reader.value()->record_count();
  if (Status status = scan_outcomes(); !status) return status;
  reader = TraceReader::open(options_.path);
  if (!reader) return reader.error();
  reader_ = std::move(reader).value();
  return {};
}

// Reads the file once more if there are addresses that somebody may have answered at one time and not at another.
Status Player::scan_outcomes() {
  if (std::all_of(hosts_.begin(), hosts_.end(), [](const Host& host) { return host.outcomes.empty(); })) return {};
  Result<std::unique_ptr<TraceReader>> reader = TraceReader::open(options_.path);
  if (!reader) return reader.error();
  TraceRecord record;
  do {
    if (Status status = reader.value()->next(record); !status) return status;
    if (record.kind != RecordKind::kDmaRead && record.kind != RecordKind::kDmaWrite) continue;
    const auto it = hosts_[record.host].outcomes.find(record.address);
    if (it != hosts_[record.host].outcomes.end()) it->second.push_back(!unanswered(record));
  } while (record.kind != RecordKind::kEnd);
  return {};
}

Status Player::set(Host& host, const std::string& name, double value, const char* where) {
  const PropertyResult set = host.replayed->nic().set_property(name, value);
  if (set) return {};
  return Error{EINVAL, fmt::format("{}: {}", where, set.error)};
}

Status Player::build(Host& host, uint32_t host_idx) {
  std::unique_ptr<NicDevice> nic = make_nic(options_.device, "nic_" + host.name, host.mac);
  if (nic == nullptr) return Error{EINVAL, fmt::format("no device \"{}\": expected model or rtl", options_.device)};
  ReplayHost::Guest guest{std::move(nic), host.name, host.mac, watch_.monitor};
  host.replayed = std::make_unique<ReplayHost>(("host_" + host.name).c_str(), host_idx, std::move(guest),
                                               [this, host_idx](const TraceRecord& r) { happened(host_idx, r); });
  if (watch_.monitor && watch_.violated && options_.device == "rtl") {
    host.replayed->monitored()->set_violation_listener(
        [this, host_idx](const Violation& violation) { watch_.violated(host_idx, violation); });
  }
  for (auto& [address, reached] : host.outcomes) host.replayed->set_outcomes(address, std::move(reached));
  for (const auto& [name, value] : host.properties) {
    if (Status status = set(host, name, value, options_.path.c_str()); !status) {
      return Error{EINVAL,
                   fmt::format("{}; this device cannot be what the recorded host saw: record the run again with "
                               "--set {}=VALUE of such a value",
                               status.error().message, name)};
    }
  }
  for (const std::string& setting : options_.settings) {
    const size_t equals = setting.find('=');
    char* end = nullptr;
    const double value = equals == std::string::npos ? 0 : std::strtod(setting.c_str() + equals + 1, &end);
    if (end == nullptr || *end != '\0' || end == setting.c_str() + equals + 1) {
      return Error{EINVAL, fmt::format("--set {}: expected PROPERTY=NUMBER", setting)};
    }
    if (Status status = set(host, setting.substr(0, equals), value, "--set"); !status) return status;
  }
  return {};
}

Status Player::prepare() {
  if (Status status = scan(); !status) return status;
  for (uint32_t i = 0; i < hosts_.size(); ++i) {
    if (Status status = build(hosts_[i], i); !status) return status;
    outcome_.hosts.push_back(hosts_[i].name);
  }
  std::vector<WavedNic> rtl;
  for (Host& host : hosts_) {
    if (options_.device == "rtl") rtl.push_back({host.name, &host.replayed->nic()});
  }
  return record_waves(rtl, watch_.waves);
}

void Player::happened(uint32_t host_idx, const TraceRecord& record) {
  if (record.kind == RecordKind::kMemory) return;
  Host& host = hosts_[host_idx];
  host.actual_history.add(record);
  if (!is_output(record.kind)) return;
  if (options_.ignore_timing) {
    host.streams.actual(record, host.replayed->shadow());
  } else {
    host.done.push_back(record);
  }
  output_event_.notify(sc_core::SC_ZERO_TIME);
}

void Player::diverge(Host& host, const std::string& what) {
  over_ = true;
  outcome_.divergence_record = record_idx_;
  outcome_.divergence = fmt::format("host {}, record {}: {}\n", host.name, record_idx_, what);
  outcome_.divergence += "recorded:\n";
  for (const std::string& line : host.recorded_history.lines) outcome_.divergence += "  " + line + "\n";
  outcome_.divergence += "replayed:\n";
  for (const std::string& line : host.actual_history.lines) outcome_.divergence += "  " + line + "\n";
  sc_core::sc_stop();
}

void Player::expect(Host& host, const TraceRecord& record) {
  for (unsigned deltas = 0; host.done.empty() && deltas < kDeltasMost;) {
    if (now_ps() < record.time_ps) {
      sc_core::wait(ps(record.time_ps - now_ps()), output_event_);
    } else {
      sc_core::wait(sc_core::SC_ZERO_TIME);
      deltas++;
    }
  }
  if (host.done.empty()) {
    diverge(host, "expected \"" + describe(record) + "\", the device did nothing");
    return;
  }
  if (!(host.done.front() == record)) {
    diverge(host, "expected \"" + describe(record) + "\", seen \"" + describe(host.done.front()) + "\"");
    return;
  }
  host.done.pop_front();
  outcome_.output_count++;
}

void Player::play_strictly(const TraceRecord& record) {
  Host& host = hosts_[record.host];
  if (is_output(record.kind)) {
    hand_over(host);
    expect(host, record);
    return;
  }
  if (record.time_ps > now_ps()) sc_core::wait(ps(record.time_ps - now_ps()));
  hand_over(host);
  host.replayed->act(record);
}

void Player::hand_over(Host& host) {
  for (const TraceRecord& record : host.memory) {
    host.replayed->put_memory(record.address, record.data.data(), record.data.size());
  }
  host.memory.clear();
}

void Player::check_streams(Host& host) {
  if (!over_ && !host.streams.difference().empty()) diverge(host, host.streams.difference());
}

void Player::play_causally(TraceRecord& record) {
  Host& host = hosts_[record.host];
  if (is_output(record.kind)) {
    if (record.kind == RecordKind::kDmaRead && !record.data.empty()) {
      hand_over(host);
      std::vector<uint8_t> found(std::min<uint64_t>(record.value, 65536));
      host.replayed->get_memory(record.address, found.data(), found.size());
      host.streams.expected_read(record, found);
    }
    host.streams.expected(record);
    outcome_.output_count++;
    check_streams(host);
    return;
  }
  const uint64_t due_ps = record.time_ps + skew_ps_;
  if (due_ps > now_ps()) sc_core::wait(ps(due_ps - now_ps()));
  const uint64_t limit_ps = now_ps() + kPatiencePs;
  while (!over_ && host.streams.owes(record) && now_ps() < limit_ps) {
    sc_core::wait(ps(limit_ps - now_ps()), output_event_);
    check_streams(host);
  }
  if (over_) return;
  if (host.streams.owes(record)) {
    diverge(host, host.streams.debt(record));
    return;
  }
  skew_ps_ = std::max(skew_ps_, now_ps() - record.time_ps);
  host.streams.host_acts(record);
  hand_over(host);
  host.streams.translate(record, host.replayed->shadow());
  host.replayed->act(record);
}

void Player::end() {
  const uint64_t limit_ps = now_ps() + kPatiencePs;
  for (Host& host : hosts_) {
    if (over_) return;
    if (!options_.ignore_timing && !host.done.empty()) {
      diverge(host, "nothing expected any more, seen \"" + describe(host.done.front()) + "\"");
      return;
    }
    while (!over_ && host.streams.owes_anything() && now_ps() < limit_ps) {
      sc_core::wait(ps(limit_ps - now_ps()), output_event_);
      check_streams(host);
    }
    if (!over_ && host.streams.owes_anything()) diverge(host, host.streams.whole_debt());
  }
}

void Player::play() {
  TraceRecord record;
  for (; !over_; ++record_idx_) {
    const Status status = reader_->next(record);
    if (!status) {
      diverge(hosts_.front(), status.error().message);
      return;
    }
    if (record.kind == RecordKind::kEnd) break;
    if (record.kind == RecordKind::kHost || record.kind == RecordKind::kProperty) continue;
    if (record.kind == RecordKind::kMemory) {
      hosts_[record.host].memory.push_back(record);
      continue;
    }
    hosts_[record.host].recorded_history.add(record);
    if (options_.ignore_timing) {
      play_causally(record);
    } else {
      play_strictly(record);
    }
  }
  if (over_) return;
  end();
  if (!over_) sc_core::sc_stop();
}

ReplayOutcome Player::run() {
  sc_core::sc_spawn_options options;
  options.set_stack_size(kThreadStackBytes);
  sc_core::sc_spawn([this] { play(); }, "player", &options);
  if (watch_.end_ps == ~uint64_t{0}) {
    sc_core::sc_start();
  } else {
    sc_core::sc_start(ps(watch_.end_ps), sc_core::SC_RUN_TO_TIME);
  }
  for (Host& host : hosts_) {
    if (!watch_.monitor) break;
    host.replayed->monitored()->finish();
    const BoundaryMonitor& monitor = host.replayed->monitored()->monitor();
    outcome_.violation_count += monitor.violation_count();
    outcome_.violations += monitor.text();
  }
  outcome_.equal = outcome_.divergence.empty();
  outcome_.simulated_ps = now_ps();
  return outcome_;
}

std::string json_text(const std::string& text) {
  std::string result = "\"";
  for (char c : text) {
    if (c == '\n') {
      result += "\\n";
    } else {
      if (c == '"' || c == '\\') result += '\\';
      result += c;
    }
  }
  return result + "\"";
}

// monitored: somebody has counted violations.
std::string outcome_json(const ReplayOutcome& outcome, bool monitored) {
  return fmt::format(
      "{{\n  \"divergence\": {},\n  \"divergence_record\": {},\n  \"equal\": {},\n  \"outputs_compared\": {},\n"
      "  \"records\": {},\n  \"simulated_ps\": {},\n"
      "  \"violations\": {}\n}}\n",
      outcome.equal ? "null" : json_text(outcome.divergence), outcome.divergence_record, outcome.equal,
      outcome.output_count, outcome.record_count, outcome.simulated_ps,
      monitored ? std::to_string(outcome.violation_count) : "null");
}

}  // namespace

Result<ReplayOutcome> replay(const ReplayOptions& options, const ReplayWatch& watch) {
  sc_core::sc_report_handler::set_actions(sc_core::SC_INFO, sc_core::SC_DO_NOTHING);
  Player player(options, watch);
  if (Status status = player.prepare(); !status) return status.error();
  return player.run();
}

namespace {

int fail(const std::string& message) {
  fmt::print(stderr, "postern: {}\n", message);
  return 2;
}

Status prepare_waves(const ReplayOptions& options, ViolationWaves& repetition, ReplayWatch& watch) {
  const Result<WavePlan> plan = plan_waves(options.waves);
  if (!plan) return plan.error();
  watch.waves = plan.value().request;
  if (!plan.value().around_violation) return {};
  watch.monitor = true;
  watch.violated = repetition.listener();
  return repetition.start(
      plan.value(), [&options](const WaveRequest& request, const HostViolationListener& violated) -> Status {
        const Result<ReplayOutcome> again = replay(options, {true, request, violated, request.until_ps});
        return again ? Status{} : again.error();
      });
}

Status finish_waves(const ReplayOptions& options, const ReplayOutcome& result, ViolationWaves& repetition) {
  if (options.waves.around_violation_us.empty()) return {};
  const Result<std::string> said =
      repetition.finish([&result](uint32_t host_idx) { return result.hosts.at(host_idx); },
                        wave_files(options.waves.path, result.hosts));  // a replay has no models beside the RTL
  if (!said) return said.error();
  fmt::print(stderr, "postern: {}\n", said.value());
  return {};
}

Status print_outcome(const ReplayOptions& options, const ReplayOutcome& result, bool monitored) {
  if (options.json_path == "-") {
    fmt::print("{}", outcome_json(result, monitored));
  } else if (result.equal) {
    fmt::print("equal: {} records, {} outputs compared, {} us simulated\n", result.record_count, result.output_count,
               result.simulated_ps / 1'000'000);
  } else {
    fmt::print("DIVERGED: {}", result.divergence);
  }
  fmt::print(stderr, "{}", result.violations);
  if (options.json_path.empty() || options.json_path == "-") return {};
  std::FILE* file = std::fopen(options.json_path.c_str(), "wbe");
  const std::string text = outcome_json(result, monitored);
  const bool written = file != nullptr && std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if ((file != nullptr && std::fclose(file) != 0) || !written) {
    return Error{errno, fmt::format("cannot write {}: {}", options.json_path, std::strerror(errno))};
  }
  return {};
}

}  // namespace

int run_replay(const ReplayOptions& options) {
  ReplayWatch watch;
  watch.monitor = options.monitor;
  ViolationWaves repetition;
  if (Status status = prepare_waves(options, repetition, watch); !status) return fail(status.error().message);
  const Result<ReplayOutcome> outcome = replay(options, watch);
  if (!outcome) return fail(outcome.error().message);
  const ReplayOutcome& result = outcome.value();
  int exit_status = result.equal && result.violation_count == 0 ? 0 : 1;
  if (Status status = print_outcome(options, result, watch.monitor); !status) {
    exit_status = fail(status.error().message);  // and a repetition on its way is left to end
  }
  if (Status status = finish_waves(options, result, repetition); !status) exit_status = fail(status.error().message);
  return exit_status;
}

}  // namespace postern::sim
