// Dispatch, payload, and the steps that all workloads share.
#include "sim/workload.h"

#include <fmt/core.h>
#include <poll.h>

#include <cerrno>
#include <cstring>
#include <random>

#include "sim/simulation.h"
#include "sim/workload_parts.h"

namespace postern::sim {

const char* workload_kind_name(WorkloadKind kind) {
  switch (kind) {
    case WorkloadKind::kUdpPingpong:
      return "udp_pingpong";
    case WorkloadKind::kTcpPingpong:
      return "tcp_pingpong";
    case WorkloadKind::kUdpStream:
      return "udp_stream";
    case WorkloadKind::kTcpStream:
      return "tcp_stream";
    case WorkloadKind::kManyToOne:
      return "many_to_one";
    case WorkloadKind::kTcpTransfer:
      return "tcp_transfer";
    case WorkloadKind::kViStream:
      return "vi_stream";
  }
  return "unknown";
}

Payload::Payload(uint64_t seed) : bytes_(kPeriodBytes + kChunkMaxBytes) {
  std::mt19937_64 random(seed);
  for (size_t i = 0; i < kPeriodBytes; i += sizeof(uint64_t)) {
    const uint64_t word = random();
    std::memcpy(bytes_.data() + i, &word, std::min(sizeof word, kPeriodBytes - i));
  }
  std::memcpy(bytes_.data() + kPeriodBytes, bytes_.data(), kChunkMaxBytes);  // so that each chunk is contiguous
}

bool Payload::matches(uint64_t position, const uint8_t* data, size_t size_bytes) const {
  return std::memcmp(at(position), data, size_bytes) == 0;
}

void StreamHash::add(const uint8_t* data, size_t size_bytes) {
  constexpr uint64_t kPrime = 0x100000001b3;
  for (size_t i = 0; i < size_bytes; ++i) {
    hash_ = (hash_ ^ data[i]) * kPrime;
  }
}

WorkloadState::WorkloadState(const WorkloadSpec& workload_spec, WorkloadContext workload_context,
                             WorkloadResult& workload_result)
    : spec(workload_spec),
      context(std::move(workload_context)),
      result(workload_result),
      server(context.host(workload_spec.to)) {
  begin_ns = context.simulation.now_ps() / 1000 + spec.start_ns;
  deadline_ns = begin_ns + spec.timeout_ns;
}

void WorkloadState::thread_ended(const std::string& error) {
  if (!error.empty()) {
    failed = true;
    if (result.error.empty()) {
      result.error = error;
    }
  }
  if (--running_threads == 0) {
    result.finished = true;
    context.finished();
  }
}

stack::SocketAddress WorkloadState::server_address() const {
  stack::SocketAddress address;
  address.address = server.address();
  address.port = spec.port;
  return address;
}

void spawn_on(const WorkloadStatePtr& state, VirtualHost& host, const std::string& role,
              std::function<std::string(WorkloadState&, VirtualHost&)> body) {
  state->running_threads++;
  state->context.simulation.spawn(state->result.name + "_" + role, [state, &host, body = std::move(body)] {
    std::string error;
    {
      VirtualHost::Thread thread(host);
      if (host.now_ns() < state->begin_ns) {
        thread.sleep_until_ns(state->begin_ns);
      }
      error = body(*state, host);
    }
    state->thread_ended(error);
  });
}

std::string failure(const VirtualHost& host, const char* what, int error) {
  const std::string problem = host.device_problem();
  return fmt::format("host {}: {}: {}{}", host.name(), what, std::strerror(error < 0 ? -error : error),
                     problem.empty() ? "" : " (" + problem + ")");
}

std::string await_server(WorkloadState& state, VirtualHost& host) {
  if (!host.wait_until([&] { return state.server_ready || state.failed; }, state.deadline_ns) || state.failed) {
    return failure(host, "waiting for the server", ETIMEDOUT);
  }
  return {};
}

std::string connect_to_server(WorkloadState& state, VirtualHost& host, int& endpoint) {
  endpoint = host.open(stack::SocketType::kStream);
  if (endpoint < 0) {
    return failure(host, "socket", endpoint);
  }
  if (const int result = host.connect(endpoint, state.server_address()); result != 0 && result != -EINPROGRESS) {
    return failure(host, "connect", result);
  }
  if (!host.wait_ready(endpoint, POLLOUT, state.deadline_ns)) {
    return failure(host, "connect", ETIMEDOUT);
  }
  if (const int error = host.pending_error(endpoint); error != 0) {
    return failure(host, "connect", error);
  }
  return {};
}

std::string send_all(WorkloadState& state, VirtualHost& host, int endpoint, const uint8_t* data, size_t size_bytes) {
  for (size_t sent = 0; sent < size_bytes;) {
    const int64_t result = host.send(endpoint, data + sent, size_bytes - sent);
    if (result >= 0) {
      sent += static_cast<size_t>(result);
    } else if (result != -EAGAIN) {
      return failure(host, "send", static_cast<int>(result));
    } else if (!host.wait_ready(endpoint, POLLOUT, state.deadline_ns)) {
      return failure(host, "send", ETIMEDOUT);
    }
  }
  return {};
}

std::string recv_all(WorkloadState& state, VirtualHost& host, int endpoint, uint8_t* data, size_t size_bytes) {
  for (size_t received = 0; received < size_bytes;) {
    const int64_t result = host.recv(endpoint, data + received, size_bytes - received);
    if (result > 0) {
      received += static_cast<size_t>(result);
    } else if (result == 0) {
      return failure(host, "recv: end of stream in the middle of a message", ECONNRESET);
    } else if (result != -EAGAIN) {
      return failure(host, "recv", static_cast<int>(result));
    } else if (!host.wait_ready(endpoint, POLLIN, state.deadline_ns)) {
      return failure(host, "recv", ETIMEDOUT);
    }
  }
  return {};
}

void start_workload(const WorkloadSpec& spec, WorkloadContext context, WorkloadResult& result) {
  result.name = spec.name;
  result.kind = workload_kind_name(spec.kind);
  const auto state = std::make_shared<WorkloadState>(spec, std::move(context), result);
  switch (spec.kind) {
    case WorkloadKind::kUdpPingpong:
      return spawn_udp_pingpong(state);
    case WorkloadKind::kUdpStream:
      return spawn_udp_stream(state);
    case WorkloadKind::kTcpPingpong:
      return spawn_tcp_pingpong(state);
    case WorkloadKind::kTcpStream:
    case WorkloadKind::kManyToOne:
    case WorkloadKind::kTcpTransfer:
      return spawn_tcp_streams(state);
    case WorkloadKind::kViStream:
      return spawn_vi_stream(state);
  }
}

}  // namespace postern::sim
