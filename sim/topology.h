// What a simulated network consists of: hosts with one NIC each, links, switches and TAP ports, as read from a TOML
// file. Used by live runs (`postern up`) and by scenarios in virtual time (`postern sim`). No SystemC here; the wires
// themselves are built by sim/network.h. Format: docs in sim/README.md.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "driver/result.h"

namespace postern::sim {

using MacAddress = std::array<uint8_t, 6>;

// A value for a named property of a NIC, and where it was set ("file:line", or the command line) for error messages.
struct PropertySetting {
  double value = 0;
  std::string where;
  std::string word;  // not empty: a name instead of a number, value has no meaning
};

struct HostSpec {
  std::string name;
  uint32_t address_ipv4 = 0;  // host byte order
  unsigned prefix_bits = 24;
  uint32_t gateway_ipv4 = 0;     // host byte order; 0: none
  MacAddress mac{};              // given, or made from the host's position in the file
  bool pcap = false;             // capture at this host's port
  std::string device = "model";  // or "rtl": what stands at sim/nic_device.h
  std::map<std::string, PropertySetting> nic_properties;
};

// What one direction of a link does to frames. Probabilities are per frame and independent.
struct WireImpairments {
  double loss = 0;
  double reorder = 0;  // the frame is held back by reorder_delay_ns, so that later ones overtake it
  double duplicate = 0;
  double corrupt = 0;  // bits are flipped and the frame arrives with a bad FCS
  uint64_t reorder_delay_ns = 50'000;
};

struct LinkSpec {
  std::array<std::string, 2> ends;             // names of hosts, switches or TAP ports
  double rate_gbps = 10;                       // also set as the rate of the NICs and switch ports at its ends
  uint64_t delay_ns = 500;                     // propagation, one way (500 ns: about 100 m of fibre)
  std::array<WireImpairments, 2> impairments;  // [0]: ends[0] to ends[1]; [1]: back
  uint64_t seed = 1;
};

struct SwitchSpec {
  std::string name;
  uint64_t queue_bytes = 512 * 1024;  // per output port
  double ageing_s = 300;              // a learned address is forgotten after this time (IEEE 802.1D default)
  uint64_t latency_ns = 500;          // from the last bit in to the earliest first bit out; assumed
};

// A port whose other side is a TAP interface of the Linux kernel. Live runs only.
struct TapSpec {
  std::string name;
  std::string interface;      // name of the kernel's interface
  std::string netns;          // network namespace that is made for it; empty: the current one
  uint32_t address_ipv4 = 0;  // address of the kernel's interface, host byte order; 0: none
  unsigned prefix_bits = 24;
  bool pcap = false;
};

struct Topology {
  std::string source_name;  // file, or "(built in)"
  std::vector<HostSpec> hosts;
  std::vector<LinkSpec> links;
  std::vector<SwitchSpec> switches;
  std::vector<TapSpec> taps;

  [[nodiscard]] const HostSpec* find_host(const std::string& name) const;
  // The link that a host or TAP port hangs on. Every one has exactly one in a checked topology.
  [[nodiscard]] const LinkSpec* link_of(const std::string& name) const;
};

// Reads and checks a topology. An error says file, line, key and what was expected; unknown keys are errors.
[[nodiscard]] Result<Topology> load_topology(const std::string& path);
[[nodiscard]] Result<Topology> parse_topology(const std::string& text, const std::string& source_name);

// Two hosts a (10.9.0.1/24) and b (10.9.0.2/24) and one 10 Gb/s link.
[[nodiscard]] const std::string& default_topology_text();
[[nodiscard]] Topology default_topology();

// Sets a property on every NIC ("prop=value"), or on that of one host by its name ("host:prop=value") or its position
// in the topology ("nic0.prop=value"). Whether the property exists and takes the value is checked when the NIC is
// built.
[[nodiscard]] Status apply_property_setting(Topology& topology, const std::string& setting);

// Takes another device for the NIC of every host ("rtl") or of one ("host=rtl"). An error says what was expected.
[[nodiscard]] Status apply_device(Topology& topology, const std::string& setting);

[[nodiscard]] std::string format_ipv4(uint32_t address_host_order);
[[nodiscard]] std::string format_mac(const MacAddress& mac);

}  // namespace postern::sim
