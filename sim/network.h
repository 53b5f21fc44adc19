// The wires of a topology as SystemC modules: links, switches and captures, with a socket for every host and TAP port.
// Include only from C++17 translation units. NICs and TAP ports are made by the caller and attached here.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sim/ethernet_link.h"
#include "sim/ethernet_switch.h"
#include "sim/nic_device.h"
#include "sim/pcap_writer.h"
#include "sim/topology.h"

namespace postern::sim {

class Network {
 public:
  // Builds everything but the hosts and TAP ports. seed_offset changes all links' seeds (`--seed`).
  explicit Network(const Topology& topology, uint64_t seed_offset = 0);
  ~Network();

  // Connects a NIC: its wire_port and wire_export, and sets its rate, MAC address and the host's NIC properties. Call
  // once per host before the simulation.
  [[nodiscard]] Status attach_nic(const HostSpec& host, NicDevice& nic);
  // Connects anything else (a TAP port): frames for it go to sink; it sends by deliver() on the returned interface, at
  // any simulated time: the link serialises them at its rate.
  EthernetIf& attach(const std::string& node_name, EthernetIf& sink);

  // Captures at every host and TAP port with pcap = true (or at all if all is set) into DIRECTORY/<name>.pcap.
  [[nodiscard]] Status open_captures(const std::string& directory, bool all);
  void flush_captures();

  // "link.a-b.forward.lost" and so on; sorted by name.
  [[nodiscard]] std::vector<Counter> counters() const;
  // A hash over all frames that entered the links, with their times.
  [[nodiscard]] uint64_t fingerprint() const;

 private:
  struct Port {  // one end of a link, as a node sees it
    EthernetLink* link = nullptr;
    unsigned side = 0;
  };
  Topology topology_;
  std::vector<std::unique_ptr<EthernetLink>> links_;
  std::vector<std::unique_ptr<EthernetSwitch>> switches_;
  std::map<std::string, Port> ports_;
  std::vector<std::unique_ptr<PcapWriter>> captures_;
};

}  // namespace postern::sim
