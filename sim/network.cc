// Builds links and switches from a topology and connects their ends.
#include "sim/network.h"

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "sim/property_text.h"

namespace postern::sim {
namespace {

constexpr const char* kRateProperty = "mac_port.rate_mbps";
constexpr const char* kMacProperty = "mac_port.address";

std::string link_name(const LinkSpec& spec) { return spec.ends[0] + "-" + spec.ends[1]; }

// The address as the number whose byte 0 (bits 7..0) is the first byte of the address; 48 bits fit a double exactly.
double mac_number(const MacAddress& mac) {
  uint64_t number = 0;
  for (size_t i = mac.size(); i-- > 0;) {
    number = number << 8 | mac[i];
  }
  return static_cast<double>(number);
}

Status set_nic_property(const HostSpec& host, NicDevice& nic, const std::string& name, const PropertySetting& setting) {
  const std::vector<Property> properties = nic.properties();
  const auto property =
      std::find_if(properties.begin(), properties.end(), [&](const Property& known) { return known.name == name; });
  const std::string where = fmt::format("{}: host \"{}\": ", setting.where, host.name);
  if (property == properties.end()) {
    return Error{EINVAL, where + unknown_property_text(name, properties)};
  }
  const Result<double> value = property_value(*property, setting);
  if (!value) {
    return Error{EINVAL, where + value.error().message};
  }
  const PropertyResult result = nic.set_property(name, value.value());
  return result ? Status{} : Status{Error{EINVAL, where + result.error}};
}

}  // namespace

Network::Network(const Topology& topology, uint64_t seed_offset) : topology_(topology) {
  std::map<std::string, EthernetSwitch*> switch_by_name;
  for (const SwitchSpec& spec : topology.switches) {
    EthernetSwitch::Config config;
    config.queue_bytes = spec.queue_bytes;
    config.ageing_ns = static_cast<uint64_t>(spec.ageing_s * 1e9);
    config.latency_ns = spec.latency_ns;
    switches_.push_back(std::make_unique<EthernetSwitch>(("switch_" + spec.name).c_str(), config));
    switch_by_name[spec.name] = switches_.back().get();
  }
  for (const LinkSpec& spec : topology.links) {
    EthernetLink::Config config;
    config.rate_gbps = spec.rate_gbps;
    config.delay_ns = spec.delay_ns;
    config.impairments = spec.impairments;
    config.seed = mix_hash(spec.seed + seed_offset, links_.size() + 1);  // links of equal seed differ
    links_.push_back(std::make_unique<EthernetLink>(("link_" + spec.ends[0] + "_" + spec.ends[1]).c_str(), config));
    for (unsigned side = 0; side < 2; ++side) {
      const auto found = switch_by_name.find(spec.ends[side]);
      if (found == switch_by_name.end()) {
        ports_[spec.ends[side]] = Port{links_.back().get(), side};
        continue;
      }
      EthernetSwitch& ethernet_switch = *found->second;
      const unsigned number = ethernet_switch.add_port(spec.rate_gbps);
      links_.back()->connect(side, ethernet_switch.port(number));
      ethernet_switch.connect(number, links_.back()->end(side));
    }
  }
}

Network::~Network() = default;

Status Network::attach_nic(const HostSpec& host, NicDevice& nic) {
  const Port port = ports_.at(host.name);
  std::map<std::string, PropertySetting> settings = host.nic_properties;
  settings.insert({kRateProperty, {topology_.link_of(host.name)->rate_gbps * 1000, topology_.source_name, ""}});
  settings.insert({kMacProperty, {mac_number(host.mac), topology_.source_name, ""}});
  for (const auto& [name, setting] : settings) {
    if (Status status = set_nic_property(host, nic, name, setting); !status) {
      return status;
    }
  }
  nic.wire_port.bind(port.link->end(port.side));
  port.link->connect(port.side, static_cast<EthernetIf&>(nic.wire_export));
  return {};
}

EthernetIf& Network::attach(const std::string& node_name, EthernetIf& sink) {
  const Port port = ports_.at(node_name);
  port.link->connect(port.side, sink);
  port.link->serialize_from(port.side);
  return port.link->end(port.side);
}

Status Network::open_captures(const std::string& directory, bool all) {
  std::vector<std::string> names;
  for (const HostSpec& host : topology_.hosts) {
    if (all || host.pcap) {
      names.push_back(host.name);
    }
  }
  for (const TapSpec& tap : topology_.taps) {
    if (all || tap.pcap) {
      names.push_back(tap.name);
    }
  }
  if (!names.empty()) {
    std::error_code ignored;  // opening the files says what is wrong
    std::filesystem::create_directories(directory, ignored);
  }
  for (const std::string& name : names) {
    Result<std::unique_ptr<PcapWriter>> writer = PcapWriter::create(directory + "/" + name + ".pcap");
    if (!writer) {
      return writer.error();
    }
    const Port port = ports_.at(name);
    port.link->capture_at(port.side, writer.value().get());
    captures_.push_back(std::move(writer).value());
  }
  return {};
}

void Network::flush_captures() {
  for (auto& capture : captures_) {
    capture->flush();
  }
}

uint64_t Network::fingerprint() const {
  uint64_t hash = 0;
  for (const auto& link : links_) {
    for (unsigned side = 0; side < 2; ++side) {
      hash = mix_hash(hash, link->counters(side).fingerprint);
    }
  }
  return hash;
}

std::vector<Counter> Network::counters() const {
  std::vector<Counter> result;
  for (size_t i = 0; i < links_.size(); ++i) {
    for (unsigned side = 0; side < 2; ++side) {
      const EthernetLink::DirectionCounters& c = links_[i]->counters(side);
      const std::string prefix =
          fmt::format("link.{}.{}.", link_name(topology_.links[i]), side == 0 ? "forward" : "backward");
      result.push_back({prefix + "frames", c.frames});
      result.push_back({prefix + "bytes", c.bytes});
      result.push_back({prefix + "delivered", c.delivered});
      result.push_back({prefix + "lost", c.lost});
      result.push_back({prefix + "reordered", c.reordered});
      result.push_back({prefix + "duplicated", c.duplicated});
      result.push_back({prefix + "corrupted", c.corrupted});
    }
  }
  for (size_t i = 0; i < switches_.size(); ++i) {
    for (unsigned number = 0; number < switches_[i]->port_count(); ++number) {
      const EthernetSwitch::PortCounters& c = switches_[i]->counters(number);
      const std::string prefix = fmt::format("switch.{}.port{}.", topology_.switches[i].name, number);
      result.push_back({prefix + "rx_frames", c.rx_frames});
      result.push_back({prefix + "tx_frames", c.tx_frames});
      result.push_back({prefix + "flooded_frames", c.flooded_frames});
      result.push_back({prefix + "link_local_frames", c.link_local_frames});
      result.push_back({prefix + "drops.queue_full", c.queue_drops});
      result.push_back({prefix + "drops.bad_fcs", c.bad_fcs_drops});
      result.push_back({prefix + "queue_high_water_bytes", c.queue_high_water_bytes});
    }
  }
  std::sort(result.begin(), result.end(), [](const Counter& x, const Counter& y) { return x.name < y.name; });
  return result;
}

}  // namespace postern::sim
