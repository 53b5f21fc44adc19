// Reads topologies from TOML and checks that they describe a network that can be built.
#include "sim/topology.h"

#include <arpa/inet.h>
#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "sim/toml_reader.h"
#include "sim/topology_toml.h"

namespace postern::sim {
namespace {

constexpr double kRatesGbps[] = {1, 10, 25, 100};  // what the NIC's port offers
constexpr uint64_t kSecondNs = 1'000'000'000;
constexpr size_t kInterfaceNameMax = 15;  // IFNAMSIZ - 1

bool valid_name(const std::string& name) {
  return !name.empty() && name.size() <= 32 && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_';
  });
}

bool parse_ipv4(const std::string& text, uint32_t& address) {
  in_addr parsed{};
  if (inet_pton(AF_INET, text.c_str(), &parsed) != 1) {
    return false;
  }
  address = ntohl(parsed.s_addr);
  return true;
}

// "10.9.0.1/24"
bool parse_prefix(const std::string& text, uint32_t& address, unsigned& prefix_bits) {
  const size_t slash = text.find('/');
  if (slash == std::string::npos || !parse_ipv4(text.substr(0, slash), address)) {
    return false;
  }
  char* end = nullptr;
  const std::string bits = text.substr(slash + 1);
  const unsigned long value = std::strtoul(bits.c_str(), &end, 10);
  if (bits.empty() || *end != '\0' || value < 1 || value > 32) {
    return false;
  }
  prefix_bits = static_cast<unsigned>(value);
  return true;
}

bool parse_mac(const std::string& text, MacAddress& mac) {
  unsigned bytes[6];
  int consumed = 0;
  if (std::sscanf(text.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x%n", &bytes[0], &bytes[1], &bytes[2], &bytes[3], &bytes[4],
                  &bytes[5], &consumed) != 6 ||
      static_cast<size_t>(consumed) != text.size()) {
    return false;
  }
  for (size_t i = 0; i < mac.size(); ++i) {
    mac[i] = static_cast<uint8_t>(bytes[i]);
  }
  return (mac[0] & 1) == 0;
}

// Locally administered addresses 02:50:53:54:xx:xx, counted from 1.
MacAddress automatic_mac(size_t host_idx) {
  const size_t number = host_idx + 1;
  return {0x02, 0x50, 0x53, 0x54, static_cast<uint8_t>(number >> 8), static_cast<uint8_t>(number)};
}

bool known_device(const std::string& device) { return device == "model" || device == "rtl"; }

class TopologyParser {
 public:
  TopologyParser(TomlReader& root, TomlErrors& errors) : root_(root), errors_(errors) {}

  Topology parse() {
    topology_.source_name = errors_.source_name();
    for (const toml::table* table : root_.tables("host")) {
      read_host(*table);
    }
    for (const toml::table* table : root_.tables("switch")) {
      read_switch(*table);
    }
    for (const toml::table* table : root_.tables("tap")) {
      read_tap(*table);
    }
    for (const toml::table* table : root_.tables("link")) {
      read_link(*table);
    }
    check_whole();
    return std::move(topology_);
  }

 private:
  void claim_name(TomlReader& reader, const std::string& name) {
    if (!valid_name(name)) {
      reader.fail("name", fmt::format("expected 1 to 32 letters, digits, '-' or '_', found \"{}\"", name));
    } else if (std::find(names_.begin(), names_.end(), name) != names_.end()) {
      reader.fail("name", fmt::format("expected a name of its own, but \"{}\" is taken", name));
    }
    names_.push_back(name);
  }

  void read_host(const toml::table& table) {
    TomlReader reader(table, "host", errors_);
    HostSpec host;
    host.name = reader.text("name", "", true);
    claim_name(reader, host.name);
    const std::string address = reader.text("address", "", true);
    if (!parse_prefix(address, host.address_ipv4, host.prefix_bits)) {
      reader.fail("address",
                  fmt::format("expected an IPv4 address and prefix like 10.9.0.1/24, found \"{}\"", address));
    }
    claim_address(reader, host.address_ipv4);
    const std::string gateway = reader.text("gateway", "");
    if (!gateway.empty() && !parse_ipv4(gateway, host.gateway_ipv4)) {
      reader.fail("gateway", fmt::format("expected an IPv4 address like 10.9.0.254, found \"{}\"", gateway));
    }
    host.mac = automatic_mac(topology_.hosts.size());
    const std::string mac = reader.text("mac", "");
    if (!mac.empty() && !parse_mac(mac, host.mac)) {
      reader.fail("mac", fmt::format("expected a unicast MAC address like 02:50:53:54:00:01, found \"{}\"", mac));
    }
    host.pcap = reader.boolean("pcap", false);
    host.device = reader.text("device", host.device);
    if (!known_device(host.device)) {
      reader.fail("device", fmt::format("expected \"model\" or \"rtl\", found \"{}\"", host.device));
    }
    if (const toml::table* nic = reader.sub_table("nic")) {
      read_properties(*nic, "", host);
    }
    reader.finish();
    topology_.hosts.push_back(std::move(host));
  }

  // [host.nic] holds property names; dots in them may be written as nested tables.
  void read_properties(const toml::table& table, const std::string& prefix, HostSpec& host) {
    for (const auto& [key, node] : table) {
      const std::string name = prefix + std::string(key.str());
      if (node.is_table()) {
        read_properties(*node.as_table(), name + ".", host);
        continue;
      }
      PropertySetting setting{0, fmt::format("{}:{}", errors_.source_name(), node.source().begin.line), ""};
      if (node.is_boolean()) {
        setting.word = node.as_boolean()->get() ? "true" : "false";  // only a flag takes it
      } else if (node.is_string() && valid_name(node.as_string()->get())) {
        setting.word = node.as_string()->get();
      } else if (const auto number = node.is_string() ? std::nullopt : node.value<double>()) {
        setting.value = *number;
      } else {
        errors_.report(&node, "host.nic." + name, "expected a number, true, false or the name of a value");
        continue;
      }
      host.nic_properties[name] = setting;
    }
  }

  void claim_address(TomlReader& reader, uint32_t address) {
    if (address != 0 && std::find(addresses_.begin(), addresses_.end(), address) != addresses_.end()) {
      reader.fail("address", fmt::format("expected an address of its own, but {} is taken", format_ipv4(address)));
    }
    addresses_.push_back(address);
  }

  void read_switch(const toml::table& table) {
    TomlReader reader(table, "switch", errors_);
    SwitchSpec spec;
    spec.name = reader.text("name", "", true);
    claim_name(reader, spec.name);
    spec.queue_bytes = reader.integer("queue_kib", spec.queue_bytes / 1024, 10, 1024 * 1024) * 1024;
    spec.ageing_s = reader.number("ageing_s", spec.ageing_s, 0.001, 1'000'000);
    spec.latency_ns = reader.integer("latency_ns", spec.latency_ns, 0, kSecondNs);
    reader.finish();
    topology_.switches.push_back(spec);
  }

  void read_tap(const toml::table& table) {
    TomlReader reader(table, "tap", errors_);
    TapSpec spec;
    spec.name = reader.text("name", "", true);
    claim_name(reader, spec.name);
    spec.interface = reader.text("interface", "pst-" + spec.name);
    if (!valid_name(spec.interface) || spec.interface.size() > kInterfaceNameMax) {
      reader.fail("interface", fmt::format("expected an interface name of at most {} characters, found \"{}\"",
                                           kInterfaceNameMax, spec.interface));
    }
    spec.netns = reader.text("netns", "");
    if (!spec.netns.empty() && !valid_name(spec.netns)) {
      reader.fail("netns", fmt::format("expected letters, digits, '-' or '_', found \"{}\"", spec.netns));
    }
    const std::string address = reader.text("address", "");
    if (!address.empty() && !parse_prefix(address, spec.address_ipv4, spec.prefix_bits)) {
      reader.fail("address",
                  fmt::format("expected an IPv4 address and prefix like 10.9.0.3/24, found \"{}\"", address));
    }
    claim_address(reader, spec.address_ipv4);
    spec.pcap = reader.boolean("pcap", false);
    reader.finish();
    topology_.taps.push_back(spec);
  }

  void read_impairments(TomlReader& reader, WireImpairments& wire) {
    wire.loss = reader.probability("loss", wire.loss);
    wire.reorder = reader.probability("reorder", wire.reorder);
    wire.duplicate = reader.probability("duplicate", wire.duplicate);
    wire.corrupt = reader.probability("corrupt", wire.corrupt);
    wire.reorder_delay_ns = reader.integer("reorder_delay_ns", wire.reorder_delay_ns, 1, kSecondNs);
  }

  void read_link(const toml::table& table) {
    TomlReader reader(table, "link", errors_);
    LinkSpec link;
    const std::vector<std::string> ends = reader.texts("ends");
    if (ends.size() != 2 || ends[0] == ends[1]) {
      reader.fail("ends", fmt::format("expected the names of two different nodes like [\"a\", \"b\"], found {} names",
                                      ends.size()));
      return;
    }
    for (size_t i = 0; i < 2; ++i) {
      link.ends[i] = ends[i];
      claim_end(reader, ends[i]);
    }
    link.rate_gbps = reader.number("rate_gbps", link.rate_gbps, 1, 100);
    if (std::find(std::begin(kRatesGbps), std::end(kRatesGbps), link.rate_gbps) == std::end(kRatesGbps)) {
      reader.fail("rate_gbps", fmt::format("expected 1, 10, 25 or 100, found {}", link.rate_gbps));
    }
    link.delay_ns = reader.integer("delay_ns", link.delay_ns, 0, 10 * kSecondNs);
    link.seed = reader.integer("seed", link.seed, 0, INT64_MAX);
    WireImpairments both;
    read_impairments(reader, both);
    link.impairments = {both, both};
    const char* const directions[] = {"forward", "backward"};
    for (size_t i = 0; i < 2; ++i) {
      if (const toml::table* direction = reader.sub_table(directions[i])) {
        TomlReader sub_reader(*direction, fmt::format("link.{}", directions[i]), errors_);
        read_impairments(sub_reader, link.impairments[i]);
        sub_reader.finish();
      }
    }
    reader.finish();
    topology_.links.push_back(link);
  }

  void claim_end(TomlReader& reader, const std::string& name) {
    if (std::find(names_.begin(), names_.end(), name) == names_.end()) {
      reader.fail("ends", fmt::format("expected the name of a host, switch or tap, but there is no \"{}\"", name));
      return;
    }
    const bool is_switch = std::any_of(topology_.switches.begin(), topology_.switches.end(),
                                       [&](const SwitchSpec& spec) { return spec.name == name; });
    if (!is_switch && std::find(linked_.begin(), linked_.end(), name) != linked_.end()) {
      reader.fail("ends",
                  fmt::format("expected one link per host and tap, but \"{}\" has one already; use a switch", name));
    }
    linked_.push_back(name);
  }

  void check_whole() {
    if (topology_.hosts.empty()) {
      root_.fail("host", "expected at least one host; add a [[host]] table with name and address");
    }
    for (const std::string& name : names_) {
      if (std::find(linked_.begin(), linked_.end(), name) == linked_.end()) {
        root_.fail(
            "link",
            fmt::format("expected every node on a link, but \"{}\" has none; add a [[link]] with it in ends", name));
      }
    }
  }

  TomlReader& root_;
  TomlErrors& errors_;
  Topology topology_;
  std::vector<std::string> names_;
  std::vector<std::string> linked_;
  std::vector<uint32_t> addresses_;
};

}  // namespace

Topology read_topology_tables(TomlReader& root, TomlErrors& errors) { return TopologyParser(root, errors).parse(); }

const HostSpec* Topology::find_host(const std::string& name) const {
  const auto it = std::find_if(hosts.begin(), hosts.end(), [&](const HostSpec& host) { return host.name == name; });
  return it == hosts.end() ? nullptr : &*it;
}

const LinkSpec* Topology::link_of(const std::string& name) const {
  const auto it = std::find_if(links.begin(), links.end(),
                               [&](const LinkSpec& link) { return link.ends[0] == name || link.ends[1] == name; });
  return it == links.end() ? nullptr : &*it;
}

Result<Topology> load_topology(const std::string& path) {
  const Result<std::string> text = read_text_file(path);
  if (!text) {
    return text.error();
  }
  return parse_topology(text.value(), path);
}

Result<Topology> parse_topology(const std::string& text, const std::string& source_name) {
  const Result<toml::table> table = parse_toml(text, source_name);
  if (!table) {
    return table.error();
  }
  TomlErrors errors(source_name);
  TomlReader root(table.value(), "", errors);
  Topology topology = read_topology_tables(root, errors);
  root.finish();
  if (errors.any()) {
    return errors.error();
  }
  return topology;
}

const std::string& default_topology_text() {
  static const std::string text = R"(# Two hosts and one link.
[[host]]
name = "a"
address = "10.9.0.1/24"

[[host]]
name = "b"
address = "10.9.0.2/24"

[[link]]
ends = ["a", "b"]
rate_gbps = 10
delay_ns = 500
)";
  return text;
}

Topology default_topology() { return parse_topology(default_topology_text(), "(built in)").value(); }

namespace {

// Which hosts a --set names, and the property behind that.
struct SettingTarget {
  std::string property;
  const HostSpec* host = nullptr;  // null: all
};

// "nicN." with a decimal N; false: the name does not begin so.
bool split_position(const std::string& name, size_t& position, std::string& property) {
  const size_t dot = name.find('.');
  if (name.rfind("nic", 0) != 0 || dot == std::string::npos || dot == 3 || dot > 8) return false;
  const std::string digits = name.substr(3, dot - 3);
  if (!std::all_of(digits.begin(), digits.end(), [](unsigned char c) { return std::isdigit(c) != 0; })) return false;
  position = std::strtoul(digits.c_str(), nullptr, 10);
  property = name.substr(dot + 1);
  return true;
}

Result<SettingTarget> setting_target(const Topology& topology, const std::string& name, const std::string& setting) {
  SettingTarget target{name};
  size_t position = 0;
  const size_t colon = name.find(':');
  if (colon != std::string::npos) {
    target.property = name.substr(colon + 1);
    target.host = topology.find_host(name.substr(0, colon));
    if (target.host == nullptr) {
      return Error{EINVAL, fmt::format("--set {}: there is no host \"{}\" in {}", setting, name.substr(0, colon),
                                       topology.source_name)};
    }
  } else if (split_position(name, position, target.property)) {
    if (position >= topology.hosts.size()) {
      return Error{EINVAL, fmt::format("--set {}: there is no nic{} in {}; expected nic0 to nic{}", setting, position,
                                       topology.source_name, topology.hosts.size() - 1)};
    }
    target.host = &topology.hosts[position];
  }
  return target;
}

}  // namespace

Status apply_property_setting(Topology& topology, const std::string& setting) {
  const size_t equals = setting.find('=');
  const std::string problem = fmt::format(
      "--set {}: expected PROPERTY=VALUE, HOST:PROPERTY=VALUE or nicN.PROPERTY=VALUE, the value a number or a name",
      setting);
  if (equals == std::string::npos || equals + 1 == setting.size()) {
    return Error{EINVAL, problem};
  }
  Result<SettingTarget> target = setting_target(topology, setting.substr(0, equals), setting);
  if (!target) {
    return target.error();
  }
  char* end = nullptr;
  PropertySetting value{0, "--set " + setting, setting.substr(equals + 1)};
  value.value = std::strtod(value.word.c_str(), &end);
  if (*end == '\0') {
    value.word.clear();
  } else if (!valid_name(value.word)) {
    return Error{EINVAL, problem};
  }
  if (target->property.empty()) {
    return Error{EINVAL, problem};
  }
  for (HostSpec& host : topology.hosts) {
    if (target->host == nullptr || target->host == &host) {
      host.nic_properties[target->property] = value;
    }
  }
  return {};
}

Status apply_device(Topology& topology, const std::string& setting) {
  const size_t equals = setting.find('=');
  const std::string device = equals == std::string::npos ? setting : setting.substr(equals + 1);
  const std::string host_name = equals == std::string::npos ? "" : setting.substr(0, equals);
  if (!known_device(device)) {
    return Error{EINVAL, fmt::format("--device {}: expected model, rtl, HOST=model or HOST=rtl", setting)};
  }
  if (!host_name.empty() && topology.find_host(host_name) == nullptr) {
    return Error{EINVAL, fmt::format("--device {}: {} has no host \"{}\"", setting, topology.source_name, host_name)};
  }
  for (HostSpec& host : topology.hosts) {
    if (host_name.empty() || host.name == host_name) host.device = device;
  }
  return {};
}

std::string format_ipv4(uint32_t address) {
  return fmt::format("{}.{}.{}.{}", address >> 24, address >> 16 & 255, address >> 8 & 255, address & 255);
}

std::string format_mac(const MacAddress& mac) {
  return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

}  // namespace postern::sim
