// The scenarios that need no file.
#include "sim/scenario.h"

namespace postern::sim {
namespace {

// Three clients and a server on a switch.
constexpr const char* kSwitchTopology = R"(
[[host]]
name = "a"
address = "10.9.0.1/24"
[[host]]
name = "b"
address = "10.9.0.2/24"
[[host]]
name = "c"
address = "10.9.0.3/24"
[[host]]
name = "d"
address = "10.9.0.4/24"
[[switch]]
name = "s"
[[link]]
ends = ["a", "s"]
[[link]]
ends = ["b", "s"]
[[link]]
ends = ["c", "s"]
[[link]]
ends = ["d", "s"]
)";

// What a 100 Gb/s NIC of 2020 has: PCIe 4.0 x16; a transmit buffer that covers a DMA read's round trip.
constexpr const char* k100GTopology = R"(
[[host]]
name = "a"
address = "10.9.0.1/24"
[host.nic]
mac_port.rate_mbps = 100000
pcie_link.generation = 4
pcie_link.lanes = 16
tx_dma.buffer_bytes = 131072
[[host]]
name = "b"
address = "10.9.0.2/24"
[host.nic]
mac_port.rate_mbps = 100000
pcie_link.generation = 4
pcie_link.lanes = 16
tx_dma.buffer_bytes = 131072
[[link]]
ends = ["a", "b"]
rate_gbps = 100
)";

constexpr const char* kImpairedTopology = R"(
[[host]]
name = "a"
address = "10.9.0.1/24"
[[host]]
name = "b"
address = "10.9.0.2/24"
[[link]]
ends = ["a", "b"]
loss = 0.05
reorder = 0.05
duplicate = 0.02
)";

}  // namespace

const std::vector<BuiltinScenario>& builtin_scenarios() {
  static const std::vector<BuiltinScenario> scenarios = {
      {"pingpong", "UDP and TCP round trips of 64 bytes between two hosts on a 10 Gb/s link",
       "[[workload]]\nkind = \"udp_pingpong\"\nfrom = \"a\"\nto = \"b\"\n"
       "[[workload]]\nkind = \"tcp_pingpong\"\nfrom = \"a\"\nto = \"b\"\nport = 28001\nstart_us = 20000\n"},
      {"udp_pingpong", "UDP round trips of 64 bytes between two hosts",
       "[[workload]]\nkind = \"udp_pingpong\"\nfrom = \"a\"\nto = \"b\"\n"},
      {"tcp_pingpong", "TCP round trips of 64 bytes between two hosts",
       "[[workload]]\nkind = \"tcp_pingpong\"\nfrom = \"a\"\nto = \"b\"\n"},
      {"stream", "a TCP stream of 10 MB between two hosts",
       "[[workload]]\nkind = \"tcp_stream\"\nfrom = \"a\"\nto = \"b\"\ntotal_bytes = 10_000_000\n"},
      {"udp_stream", "100,000 UDP datagrams of 64 bytes one way, as fast as the sender can",
       "[[workload]]\nkind = \"udp_stream\"\nfrom = \"a\"\nto = \"b\"\ncount = 100_000\n"},
      {"line_rate_10g_64", "64-byte frames between VIs without a stack, 10 Gb/s both ways at once",
       "[[workload]]\nkind = \"vi_stream\"\nfrom = \"a\"\nto = \"b\"\ncount = 200_000\nsize_bytes = 64\n"
       "bidirectional = true\n[vi]\nrx_entries = 2048\ntx_entries = 1024\nevq_entries = 4096\n"},
      {"line_rate_100g_1500", "packets of 1,500 bytes between VIs without a stack, 100 Gb/s both ways at once",
       std::string(k100GTopology) +
           "[[workload]]\nkind = \"vi_stream\"\nfrom = \"a\"\nto = \"b\"\ncount = 100_000\nsize_bytes = 1518\n"
           "bidirectional = true\n[vi]\nrx_entries = 2048\ntx_entries = 1024\nevq_entries = 4096\n"},
      {"incast", "three hosts send 2 MB each to a fourth over a switch",
       std::string(kSwitchTopology) +
           "[[workload]]\nkind = \"many_to_one\"\nfrom = [\"a\", \"b\", \"c\"]\nto = \"d\"\ntotal_bytes = 2_000_000\n"},
      {"impaired", "a 1 MiB TCP transfer under 5 % loss, 5 % reordering and 2 % duplication each way, hashes compared",
       std::string(kImpairedTopology) +
           "[[workload]]\nkind = \"tcp_transfer\"\nfrom = \"a\"\nto = \"b\"\ntotal_bytes = 1_048_576\n"},
      {"demo", "UDP and TCP ping-pong and a TCP stream, one after the other",
       "[[workload]]\nkind = \"udp_pingpong\"\nfrom = \"a\"\nto = \"b\"\n"
       "[[workload]]\nkind = \"tcp_pingpong\"\nfrom = \"a\"\nto = \"b\"\nport = 28001\nstart_us = 20000\n"
       "[[workload]]\nkind = \"tcp_stream\"\nfrom = \"a\"\nto = \"b\"\nport = 28002\nstart_us = 40000\n"},
  };
  return scenarios;
}

}  // namespace postern::sim
