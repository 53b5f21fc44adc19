// What the workloads share: their state across threads, the payload that receivers can verify, and bounded steps of a
// connection's life.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sim/virtual_host.h"
#include "sim/workload.h"

namespace postern::sim {

// Bytes that both ends know: the byte at a stream position depends on seed and position only. Repeats after
// kPeriodBytes, which is longer than any window or buffer.
class Payload {
 public:
  static constexpr size_t kPeriodBytes = 4 * 1024 * 1024 + 37;

  explicit Payload(uint64_t seed);
  // size_bytes contiguous bytes of the stream from position on; at most kChunkMaxBytes.
  [[nodiscard]] const uint8_t* at(uint64_t position) const { return bytes_.data() + position % kPeriodBytes; }
  [[nodiscard]] bool matches(uint64_t position, const uint8_t* data, size_t size_bytes) const;

  static constexpr size_t kChunkMaxBytes = 256 * 1024;

 private:
  std::vector<uint8_t> bytes_;
};

// FNV-1a over a stream of bytes, so that both ends can compare what they sent and received.
class StreamHash {
 public:
  void add(const uint8_t* data, size_t size_bytes);
  [[nodiscard]] uint64_t value() const { return hash_; }

 private:
  uint64_t hash_ = 0xcbf29ce484222325;
};

// State of one workload; its threads run one at a time, so no lock.
struct WorkloadState {
  WorkloadState(const WorkloadSpec& workload_spec, WorkloadContext workload_context, WorkloadResult& workload_result);

  // A thread ended; the last one reports the workload's end.
  void thread_ended(const std::string& error);
  [[nodiscard]] stack::SocketAddress server_address() const;

  const WorkloadSpec& spec;
  WorkloadContext context;
  WorkloadResult& result;
  VirtualHost& server;
  uint64_t begin_ns = 0;  // when the workload starts, simulated time
  uint64_t deadline_ns = 0;
  unsigned running_threads = 0;
  bool server_ready = false;  // bound or listening
  bool client_done = false;
  bool failed = false;
};

using WorkloadStatePtr = std::shared_ptr<WorkloadState>;

// Runs body as a thread of host; body returns an error text or nothing.
void spawn_on(const WorkloadStatePtr& state, VirtualHost& host, const std::string& role,
              std::function<std::string(WorkloadState&, VirtualHost&)> body);

// "HOST: what: reason".
[[nodiscard]] std::string failure(const VirtualHost& host, const char* what, int error);
// Waits until the server is ready (clients call this first), so that no connection is refused.
[[nodiscard]] std::string await_server(WorkloadState& state, VirtualHost& host);
// TCP: a connected endpoint, or an error text.
[[nodiscard]] std::string connect_to_server(WorkloadState& state, VirtualHost& host, int& endpoint);
// TCP: sends all bytes; nothing if ok.
[[nodiscard]] std::string send_all(WorkloadState& state, VirtualHost& host, int endpoint, const uint8_t* data,
                                   size_t size_bytes);
// TCP: receives exactly size_bytes.
[[nodiscard]] std::string recv_all(WorkloadState& state, VirtualHost& host, int endpoint, uint8_t* data,
                                   size_t size_bytes);

void spawn_udp_pingpong(const WorkloadStatePtr& state);
void spawn_udp_stream(const WorkloadStatePtr& state);
void spawn_tcp_pingpong(const WorkloadStatePtr& state);
void spawn_tcp_streams(const WorkloadStatePtr& state);  // tcp_stream, tcp_transfer, many_to_one
void spawn_vi_stream(const WorkloadStatePtr& state);

}  // namespace postern::sim
