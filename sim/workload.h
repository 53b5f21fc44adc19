// The built-in workloads of scenarios: applications that run on virtual hosts, in virtual time. Each is one or more
// threads of the simulation; it verifies what it receives and says so in its result.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "sim/latency_histogram.h"

namespace postern::sim {

class VirtualHost;
class Simulation;

enum class WorkloadKind { kUdpPingpong, kTcpPingpong, kUdpStream, kTcpStream, kManyToOne, kTcpTransfer, kViStream };

[[nodiscard]] const char* workload_kind_name(WorkloadKind kind);

struct WorkloadSpec {
  WorkloadKind kind = WorkloadKind::kUdpPingpong;
  std::string name;                       // in the report; made from kind and position if empty
  std::vector<std::string> from;          // hosts that send (clients); one, but for many_to_one
  std::string to;                         // host that receives (server)
  uint16_t port = 28000;                  // one that tshark has no dissector for
  uint64_t size_bytes = 64;               // of a message, datagram or write; vi_stream: of a frame with its FCS
  uint64_t count = 1000;                  // round trips or datagrams; vi_stream: frames of each VI
  bool bidirectional = false;             // vi_stream: "to" sends as well
  uint32_t vis = 1;                       // vi_stream: VIs that send or receive, on each host
  uint32_t idle_vis = 0;                  // vi_stream: VIs that exist beside them and do nothing, on each host
  uint32_t batch = 32;                    // vi_stream: most frames that are sent with one doorbell
  uint64_t total_bytes = 10'000'000;      // of a TCP stream or transfer, per sender
  uint64_t interval_ns = 0;               // between two datagrams or batches; 0: as fast as processor and ring allow
  bool poisson = false;                   // vi_stream: interval_ns is a mean, batches come as a Poisson process
  uint64_t start_ns = 0;                  // after the hosts are up
  uint64_t duration_ns = 0;               // ends streams early; 0: when all is sent
  uint64_t timeout_ns = 600'000'000'000;  // simulated time without the end in sight
};

struct WorkloadResult {
  std::string name;
  std::string kind;
  bool finished = false;
  std::string error;                       // empty: it ended well
  std::map<std::string, uint64_t> counts;  // bytes, messages, …; names carry the unit
  std::map<std::string, double> rates;     // derived
  LatencyHistogram round_trip;             // ping-pong only
};

// What a workload needs from a run.
struct WorkloadContext {
  Simulation& simulation;
  std::function<VirtualHost&(const std::string& host_name)> host;
  std::function<void()> finished;  // called once when the workload has ended, well or not
  uint64_t seed = 1;               // of the payload
};

// Spawns a workload's threads. spec and result must outlive the simulation.
void start_workload(const WorkloadSpec& spec, WorkloadContext context, WorkloadResult& result);

}  // namespace postern::sim
