// The live simulator: one process that holds all NICs and wires of a topology and serves each NIC over vfio-user.
// Single-threaded: polls doorbell pages, sockets and TAP devices, then lets simulated time follow the wall clock
// (sim/live_pacing.h). Packet walk: everything between a doorbell store in one process and an event in another's
// memory. No SystemC in this header.
#pragma once

#include <string>
#include <vector>

#include "driver/result.h"

namespace postern::sim {

constexpr char kRecordName[] = "run.trace";  // docs/trace_format.md

struct LiveOptions {
  std::string run_dir;                // sockets are made here
  std::string topology_path;          // empty: the built-in topology
  std::string source_name;            // how messages call the topology; empty: its path
  std::vector<std::string> settings;  // "property=value" or "host:property=value"
  std::vector<std::string> devices;   // "rtl" or "host=rtl"
  std::string pcap_dir;               // capture at every port; empty: where the topology says, into run_dir
  std::string record_dir;             // the boundary of every NIC goes into kRecordName there; empty: not recorded
  bool monitor = false;               // a boundary monitor around each NIC
  int ready_fd = -1;                  // gets the line "ready" or an error message, and is closed
};

// Runs until SIGTERM or SIGINT. The process must have run no other simulation before.
[[nodiscard]] Status run_live_simulator(const LiveOptions& options);

}  // namespace postern::sim
