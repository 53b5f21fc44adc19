// Reads scenarios from TOML. The topology's tables stand in the same file; without any, it is the default topology.
#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>

#include "contract/gen/pst_contract.h"
#include "sim/scenario.h"
#include "sim/topology_toml.h"

namespace postern::sim {
namespace {

constexpr uint64_t kHourNs = 3'600'000'000'000;
constexpr size_t kDatagramMinBytes = 16;
constexpr size_t kDatagramMaxBytes = 1472;  // 1500 less IPv4 and UDP headers
constexpr size_t kFrameMinBytes = 64;       // on the wire, with FCS
constexpr size_t kFrameMaxBytes = 1518;     // 1500, Ethernet header and FCS
constexpr size_t kMessageMaxBytes = 256 * 1024;

const std::vector<std::pair<std::string, WorkloadKind>>& kinds() {
  static const std::vector<std::pair<std::string, WorkloadKind>> list = {
      {"udp_pingpong", WorkloadKind::kUdpPingpong}, {"tcp_pingpong", WorkloadKind::kTcpPingpong},
      {"udp_stream", WorkloadKind::kUdpStream},     {"tcp_stream", WorkloadKind::kTcpStream},
      {"many_to_one", WorkloadKind::kManyToOne},    {"tcp_transfer", WorkloadKind::kTcpTransfer},
      {"vi_stream", WorkloadKind::kViStream}};
  return list;
}

bool is_udp(WorkloadKind kind) { return kind == WorkloadKind::kUdpPingpong || kind == WorkloadKind::kUdpStream; }

bool is_tcp_stream(WorkloadKind kind) {
  return kind == WorkloadKind::kTcpStream || kind == WorkloadKind::kManyToOne || kind == WorkloadKind::kTcpTransfer;
}

WorkloadKind read_kind(TomlReader& reader) {
  const std::string name = reader.text("kind", "", true);
  std::vector<std::string> names;
  for (const auto& [kind_name, kind] : kinds()) {
    if (kind_name == name) {
      return kind;
    }
    names.push_back(kind_name);
  }
  reader.fail("kind", fmt::format("expected one of {}, found \"{}\"", fmt::join(names, ", "), name));
  return WorkloadKind::kUdpPingpong;
}

void check_host(TomlReader& reader, const char* key, const Topology& topology, const std::string& name) {
  if (topology.find_host(name) == nullptr) {
    reader.fail(key, fmt::format("expected the name of a host, but there is no \"{}\"", name));
  }
}

// "from" is one name, or for many_to_one an array of names.
void read_from(TomlReader& reader, const Topology& topology, WorkloadSpec& spec) {
  if (spec.kind == WorkloadKind::kManyToOne) {
    spec.from = reader.texts("from");
    if (spec.from.empty()) {
      reader.fail("from", "expected an array with the names of the sending hosts");
    }
  } else {
    spec.from = {reader.text("from", "", true)};
  }
  for (const std::string& name : spec.from) {
    check_host(reader, "from", topology, name);
    if (name == spec.to) {
      reader.fail("from", fmt::format("expected another host than \"to\", found \"{}\" in both", name));
    }
  }
}

void read_vi_stream(TomlReader& reader, WorkloadSpec& spec) {
  spec.size_bytes = reader.integer("size_bytes", kFrameMinBytes, kFrameMinBytes, kFrameMaxBytes);
  spec.count = reader.integer("count", spec.count, 1, uint64_t{1} << 40);
  spec.bidirectional = reader.boolean("bidirectional", false);
  spec.vis = static_cast<uint32_t>(reader.integer("vis", 1, 1, PST_LIMIT_VI_COUNT_MAX - 1));
  spec.idle_vis = static_cast<uint32_t>(reader.integer("idle_vis", 0, 0, PST_LIMIT_VI_COUNT_MAX - 1 - spec.vis));
  spec.batch = static_cast<uint32_t>(reader.integer("batch", spec.batch, 1, 64));
  spec.interval_ns = reader.integer("interval_ns", 0, 0, kHourNs);
  spec.poisson = reader.boolean("poisson", false);
  spec.start_ns = reader.integer("start_us", 0, 0, kHourNs / 1000) * 1000;
  spec.duration_ns = reader.integer("duration_ms", 0, 0, kHourNs / 1'000'000) * 1'000'000;
  spec.timeout_ns = reader.integer("timeout_ms", spec.timeout_ns / 1'000'000, 1, 24 * kHourNs / 1'000'000) * 1'000'000;
}

WorkloadSpec read_workload(const toml::table& table, size_t idx, const Topology& topology, TomlErrors& errors) {
  TomlReader reader(table, "workload", errors);
  WorkloadSpec spec;
  spec.kind = read_kind(reader);
  spec.name = reader.text("name", fmt::format("{}_{}", workload_kind_name(spec.kind), idx + 1));
  spec.to = reader.text("to", "", true);
  check_host(reader, "to", topology, spec.to);
  read_from(reader, topology, spec);
  spec.port = static_cast<uint16_t>(reader.integer("port", spec.port, 1, 65535));
  if (spec.kind == WorkloadKind::kViStream) {
    read_vi_stream(reader, spec);
    reader.finish();
    return spec;
  }
  const bool udp = is_udp(spec.kind);
  spec.size_bytes = reader.integer("size_bytes", is_tcp_stream(spec.kind) ? 16 * 1024 : 64, udp ? kDatagramMinBytes : 1,
                                   udp ? kDatagramMaxBytes : kMessageMaxBytes);
  if (is_tcp_stream(spec.kind)) {
    spec.total_bytes = reader.integer("total_bytes", spec.total_bytes, 1, uint64_t{1} << 50);
  } else {
    spec.count = reader.integer("count", spec.count, 1, uint64_t{1} << 40);
  }
  if (spec.kind == WorkloadKind::kUdpStream) {
    spec.interval_ns = reader.integer("interval_ns", 0, 0, kHourNs);
  }
  spec.start_ns = reader.integer("start_us", 0, 0, kHourNs / 1000) * 1000;
  if (spec.kind != WorkloadKind::kUdpPingpong && spec.kind != WorkloadKind::kTcpPingpong) {
    spec.duration_ns = reader.integer("duration_ms", 0, 0, kHourNs / 1'000'000) * 1'000'000;
  }
  spec.timeout_ns = reader.integer("timeout_ms", spec.timeout_ns / 1'000'000, 1, 24 * kHourNs / 1'000'000) * 1'000'000;
  reader.finish();
  return spec;
}

void read_cpu(const toml::table& table, CpuCosts& costs, TomlErrors& errors) {
  TomlReader reader(table, "cpu", errors);
  const struct {
    const char* key;
    double& value;
  } keys[] = {{"send_call_ns", costs.send_call_ns},
              {"recv_call_ns", costs.recv_call_ns},
              {"empty_call_ns", costs.empty_call_ns},
              {"copy_byte_ns", costs.copy_byte_ns},
              {"poll_ns", costs.poll_ns},
              {"event_ns", costs.event_ns},
              {"vi_event_ns", costs.vi_event_ns},
              {"vi_descriptor_ns", costs.vi_descriptor_ns},
              {"doorbell_write_ns", costs.doorbell_write_ns},
              {"interrupt_wakeup_ns", costs.interrupt_wakeup_ns},
              {"sleep_entry_ns", costs.sleep_entry_ns},
              {"config_access_ns", costs.config_access_ns},
              {"pio_byte_ns", costs.pio_byte_ns}};
  for (const auto& entry : keys) {
    entry.value = reader.number(entry.key, entry.value, 0, 1e9);
  }
  costs.write_combining_lines =
      static_cast<uint32_t>(reader.integer("write_combining_lines", costs.write_combining_lines, 0, 64));
  costs.poll_ns = std::max(costs.poll_ns, 1.0);  // a loop of polls must take time
  costs.empty_call_ns = std::max(costs.empty_call_ns, 1.0);
  reader.finish();
}

// A ring size: a power of two within the contract's limits.
uint32_t read_entries(TomlReader& reader, const char* key, uint32_t fallback, uint64_t min, uint64_t max) {
  const uint64_t entries = reader.integer(key, fallback, min, max);
  if ((entries & (entries - 1)) != 0) {
    reader.fail(key, fmt::format("expected a power of two from {} to {}, found {}", min, max, entries));
  }
  return static_cast<uint32_t>(entries);
}

void read_vi(const toml::table& table, VirtualHost::Options& host, TomlErrors& errors) {
  TomlReader reader(table, "vi", errors);
  ViGeometry& geometry = host.geometry;
  geometry.rx_entries =
      read_entries(reader, "rx_entries", geometry.rx_entries, PST_LIMIT_RING_ENTRIES_MIN, PST_LIMIT_RING_ENTRIES_MAX);
  geometry.tx_entries =
      read_entries(reader, "tx_entries", geometry.tx_entries, PST_LIMIT_RING_ENTRIES_MIN, PST_LIMIT_RING_ENTRIES_MAX);
  geometry.evq_entries =
      read_entries(reader, "evq_entries", geometry.evq_entries, PST_LIMIT_EVQ_ENTRIES_MIN, PST_LIMIT_EVQ_ENTRIES_MAX);
  const std::string policy = reader.word("evq_policy", "stall", {"stall", "drop", "halt"});
  host.evq_policy = policy == "drop" ? EvqPolicy::kDrop : policy == "halt" ? EvqPolicy::kHalt : EvqPolicy::kStall;
  host.merge_count = static_cast<uint8_t>(reader.integer("merge_count", 0, 0, UINT8_MAX));
  host.rx_prefix = reader.boolean("rx_prefix", false);
  host.holdoff_ns = static_cast<uint32_t>(reader.integer("holdoff_ns", 0, 0, UINT32_MAX));
  host.holdoff_events = static_cast<uint16_t>(reader.integer("holdoff_events", 0, 0, UINT16_MAX));
  reader.finish();
}

bool has_topology(TomlReader& root) {
  bool any = false;
  for (const char* key : {"host", "link", "switch", "tap"}) {
    any = root.has(key) || any;
  }
  return any;
}

void apply_duration(Scenario& scenario, uint64_t duration_ms) {
  const uint64_t duration_ns = duration_ms * 1'000'000;
  for (WorkloadSpec& spec : scenario.workloads) {
    if (spec.kind == WorkloadKind::kUdpStream || spec.kind == WorkloadKind::kViStream) {
      spec.count = uint64_t{1} << 40;
    } else if (is_tcp_stream(spec.kind) && spec.kind != WorkloadKind::kTcpTransfer) {
      spec.total_bytes = uint64_t{1} << 50;
    } else {
      spec.timeout_ns = duration_ns;
      continue;
    }
    spec.duration_ns = duration_ns;
  }
}

}  // namespace

Result<Scenario> parse_scenario(const std::string& text, const std::string& source_name) {
  const Result<toml::table> table = parse_toml(text, source_name);
  if (!table) {
    return table.error();
  }
  TomlErrors errors(source_name);
  TomlReader root(table.value(), "", errors);
  Scenario scenario;
  scenario.source_name = source_name;
  scenario.name = root.text("name", source_name);
  scenario.seed = root.integer("seed", scenario.seed, 0, INT64_MAX);
  scenario.limit_ns = root.integer("limit_ms", scenario.limit_ns / 1'000'000, 1, 24 * kHourNs / 1'000'000) * 1'000'000;
  scenario.host.spin_ns = root.integer("spin_us", scenario.host.spin_ns / 1000, 0, kHourNs / 1000) * 1000;
  if (has_topology(root)) {
    scenario.topology = read_topology_tables(root, errors);
  } else {
    scenario.topology = default_topology();
  }
  if (const toml::table* cpu = root.sub_table("cpu")) {
    read_cpu(*cpu, scenario.costs, errors);
  }
  if (const toml::table* vi = root.sub_table("vi")) {
    read_vi(*vi, scenario.host, errors);
  }
  const std::vector<const toml::table*> workloads = root.tables("workload");
  for (size_t i = 0; i < workloads.size(); ++i) {
    scenario.workloads.push_back(read_workload(*workloads[i], i, scenario.topology, errors));
  }
  if (workloads.empty()) {
    root.fail("workload", "expected at least one [[workload]] table with kind, from and to");
  }
  root.finish();
  if (errors.any()) {
    return errors.error();
  }
  return scenario;
}

Result<Scenario> load_scenario(const ScenarioOptions& options) {
  const auto& builtin = builtin_scenarios();
  const auto it = std::find_if(builtin.begin(), builtin.end(),
                               [&](const BuiltinScenario& scenario) { return scenario.name == options.scenario; });
  Result<Scenario> scenario = Scenario{};
  if (it != builtin.end()) {
    scenario = parse_scenario(it->text, it->name);
  } else {
    const Result<std::string> text = read_text_file(options.scenario);
    if (!text) {
      std::vector<std::string> names;
      for (const BuiltinScenario& entry : builtin) {
        names.push_back(entry.name);
      }
      return Error{text.error().code, fmt::format("{}, or one of the built-in scenarios: {}", text.error().message,
                                                  fmt::join(names, ", "))};
    }
    scenario = parse_scenario(text.value(), options.scenario);
  }
  if (!scenario) {
    return scenario;
  }
  for (const std::string& setting : options.settings) {
    if (Status status = apply_property_setting(scenario->topology, setting); !status) {
      return status.error();
    }
  }
  for (const std::string& setting : options.devices) {
    if (Status status = apply_device(scenario->topology, setting); !status) {
      return status.error();
    }
  }
  if (options.seed) {
    scenario->seed = *options.seed;
  }
  if (options.duration_ms) {
    apply_duration(*scenario, *options.duration_ms);
  }
  return scenario;
}

}  // namespace postern::sim
