// TCP workloads: ping-pong, and streams from one or many hosts to one server that verifies every byte.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

#include <cerrno>
#include <memory>

#include "sim/workload_parts.h"

namespace postern::sim {
namespace {

constexpr size_t kReadBytes = 64 * 1024;

std::string open_listener(WorkloadState& state, VirtualHost& host, int& listener) {
  listener = host.open(stack::SocketType::kStream);
  if (listener < 0) {
    return failure(host, "socket", listener);
  }
  if (const int result = host.bind(listener, state.spec.port); result != 0) {
    return failure(host, "bind", result);
  }
  if (const int result = host.listen(listener, 128); result != 0) {
    return failure(host, "listen", result);
  }
  state.server_ready = true;
  return {};
}

// --- ping-pong ------------------------------------------------------------------------------------------------------

std::string serve_pingpong(WorkloadState& state, VirtualHost& host) {
  int listener = -1;
  if (std::string error = open_listener(state, host, listener); !error.empty()) {
    return error;
  }
  if (!host.wait_ready(listener, POLLIN, state.deadline_ns)) {
    return failure(host, "accept", ETIMEDOUT);
  }
  const int endpoint = host.accept(listener);
  if (endpoint < 0) {
    return failure(host, "accept", endpoint);
  }
  (void)host.set_option(endpoint, IPPROTO_TCP, TCP_NODELAY, 1);
  std::vector<uint8_t> message(state.spec.size_bytes);
  for (uint64_t i = 0; i < state.spec.count + 1; ++i) {  // the first round trip is not counted
    if (std::string error = recv_all(state, host, endpoint, message.data(), message.size()); !error.empty()) {
      return error;
    }
    if (std::string error = send_all(state, host, endpoint, message.data(), message.size()); !error.empty()) {
      return error;
    }
  }
  uint8_t byte = 0;
  (void)host.wait_ready(endpoint, POLLIN, state.deadline_ns);  // the client's FIN
  (void)host.recv(endpoint, &byte, 1);
  host.close(endpoint);
  host.close(listener);
  return {};
}

std::string run_pingpong(WorkloadState& state, VirtualHost& host) {
  if (std::string error = await_server(state, host); !error.empty()) {
    return error;
  }
  int endpoint = -1;
  if (std::string error = connect_to_server(state, host, endpoint); !error.empty()) {
    return error;
  }
  (void)host.set_option(endpoint, IPPROTO_TCP, TCP_NODELAY, 1);
  const Payload payload(state.context.seed);
  std::vector<uint8_t> answer(state.spec.size_bytes);
  uint64_t begin_ns = 0;
  for (uint64_t i = 0; i < state.spec.count + 1; ++i) {
    const uint64_t position = i * state.spec.size_bytes;
    const uint64_t sent_ps = host.now_ps();
    if (std::string error = send_all(state, host, endpoint, payload.at(position), answer.size()); !error.empty()) {
      return error;
    }
    if (std::string error = recv_all(state, host, endpoint, answer.data(), answer.size()); !error.empty()) {
      return error;
    }
    if (!payload.matches(position, answer.data(), answer.size())) {
      return failure(host, "the echo differs from what was sent", EBADMSG);
    }
    if (i > 0) {
      state.result.round_trip.add(host.now_ps() - sent_ps);
    } else {
      begin_ns = host.now_ns();
    }
  }
  state.result.counts["round_trips"] = state.spec.count;
  state.result.counts["elapsed_ns"] = host.now_ns() - begin_ns;
  host.close(endpoint);
  return {};
}

// --- streams --------------------------------------------------------------------------------------------------------

// What the streams of one workload share beyond WorkloadState.
struct Streams {
  explicit Streams(uint64_t seed) : payload(seed) {}
  Payload payload;
  std::vector<uint64_t> sent_hashes;      // in order of the clients' ends
  std::vector<uint64_t> received_hashes;  // in order of the connections' ends
  uint64_t received_bytes = 0;
  uint64_t first_ns = 0;
  uint64_t last_ns = 0;
};

struct Connection {
  int endpoint = -1;
  uint64_t position = 0;
  StreamHash hash;
  bool ended = false;
};

// Reads what has arrived on a connection. Returns an error or nothing.
std::string drain(WorkloadState& state, VirtualHost& host, Streams& streams, Connection& connection,
                  std::vector<uint8_t>& buffer) {
  for (;;) {
    const int64_t received = host.recv(connection.endpoint, buffer.data(), buffer.size());
    if (received == -EAGAIN) {
      return {};
    }
    if (received < 0) {
      return failure(host, "recv", static_cast<int>(received));
    }
    if (received == 0) {
      connection.ended = true;
      streams.received_hashes.push_back(connection.hash.value());
      host.close(connection.endpoint);
      return {};
    }
    const auto size_bytes = static_cast<size_t>(received);
    if (!streams.payload.matches(connection.position, buffer.data(), size_bytes)) {
      return failure(host, "the stream differs from what was sent", EBADMSG);
    }
    if (state.spec.kind == WorkloadKind::kTcpTransfer) {
      connection.hash.add(buffer.data(), size_bytes);
    }
    streams.first_ns = streams.received_bytes == 0 ? host.now_ns() : streams.first_ns;
    streams.last_ns = host.now_ns();
    connection.position += size_bytes;
    streams.received_bytes += size_bytes;
  }
}

void report(WorkloadState& state, const Streams& streams) {
  auto& counts = state.result.counts;
  counts["received_bytes"] = streams.received_bytes;
  counts["elapsed_ns"] = streams.last_ns - streams.first_ns;
  if (streams.last_ns > streams.first_ns) {
    state.result.rates["goodput_gbps"] =
        static_cast<double>(streams.received_bytes) * 8 / static_cast<double>(streams.last_ns - streams.first_ns);
  }
}

std::string serve_streams(WorkloadState& state, VirtualHost& host, Streams& streams) {
  int listener = -1;
  if (std::string error = open_listener(state, host, listener); !error.empty()) {
    return error;
  }
  const size_t expected_count = state.spec.from.size();
  std::vector<Connection> connections;
  std::vector<uint8_t> buffer(kReadBytes);
  size_t ended_count = 0;
  const auto something_to_do = [&] {
    if (state.failed || (host.readiness(listener) & POLLIN) != 0) {
      return true;
    }
    for (const Connection& connection : connections) {
      if (!connection.ended && (host.readiness(connection.endpoint) & (POLLIN | POLLERR | POLLHUP)) != 0) {
        return true;
      }
    }
    return false;
  };
  while (ended_count < expected_count && !state.failed) {
    if (!host.wait_until(something_to_do, state.deadline_ns)) {
      return failure(host, "receiving", ETIMEDOUT);
    }
    if ((host.readiness(listener) & POLLIN) != 0) {
      if (const int endpoint = host.accept(listener); endpoint >= 0) {
        connections.push_back({endpoint, 0, {}, false});
      } else if (endpoint != -EAGAIN) {
        return failure(host, "accept", endpoint);
      }
    }
    for (Connection& connection : connections) {
      if (connection.ended) {
        continue;
      }
      if (std::string error = drain(state, host, streams, connection, buffer); !error.empty()) {
        return error;
      }
      ended_count += connection.ended ? 1 : 0;
    }
  }
  host.close(listener);
  report(state, streams);
  return {};
}

std::string send_stream(WorkloadState& state, VirtualHost& host, Streams& streams) {
  if (std::string error = await_server(state, host); !error.empty()) {
    return error;
  }
  int endpoint = -1;
  if (std::string error = connect_to_server(state, host, endpoint); !error.empty()) {
    return error;
  }
  const uint64_t end_ns = state.spec.duration_ns == 0 ? UINT64_MAX : host.now_ns() + state.spec.duration_ns;
  StreamHash hash;
  uint64_t position = 0;
  while (position < state.spec.total_bytes && host.now_ns() < end_ns && !state.failed) {
    const size_t size_bytes = std::min<uint64_t>(state.spec.size_bytes, state.spec.total_bytes - position);
    const uint8_t* data = streams.payload.at(position);
    if (std::string error = send_all(state, host, endpoint, data, size_bytes); !error.empty()) {
      return error;
    }
    if (state.spec.kind == WorkloadKind::kTcpTransfer) {
      hash.add(data, size_bytes);
    }
    position += size_bytes;
  }
  streams.sent_hashes.push_back(hash.value());
  state.result.counts["sent_bytes"] += position;
  if (const int result = host.shutdown(endpoint, SHUT_WR); result != 0) {
    return failure(host, "shutdown", result);
  }
  uint8_t byte = 0;
  if (!host.wait_ready(endpoint, POLLIN, state.deadline_ns) || host.recv(endpoint, &byte, 1) != 0) {
    return failure(host, "waiting for the server's end of stream", ETIMEDOUT);
  }
  host.close(endpoint);
  return {};
}

// All bytes arrived, and with equal hashes.
std::string verify(const WorkloadState& state, const Streams& streams) {
  const auto sent = state.result.counts.find("sent_bytes");
  if (sent == state.result.counts.end() || sent->second != streams.received_bytes) {
    return "the server received " + std::to_string(streams.received_bytes) + " bytes, the clients sent " +
           std::to_string(sent == state.result.counts.end() ? 0 : sent->second);
  }
  return streams.sent_hashes == streams.received_hashes ? std::string()
                                                        : "the hashes of sent and received bytes differ";
}

}  // namespace

void spawn_tcp_pingpong(const WorkloadStatePtr& state) {
  spawn_on(state, state->server, "server", serve_pingpong);
  spawn_on(state, state->context.host(state->spec.from.at(0)), "client", run_pingpong);
}

void spawn_tcp_streams(const WorkloadStatePtr& state) {
  const auto streams = std::make_shared<Streams>(state->context.seed);
  const auto ended_threads = std::make_shared<size_t>(0);
  // The last of all threads compares both sides.
  const auto checked = [streams, ended_threads](WorkloadState& s, const std::string& error) {
    const bool last = ++*ended_threads == s.spec.from.size() + 1;
    if (!error.empty() || !last || s.failed) {
      return error;
    }
    if (s.spec.kind == WorkloadKind::kTcpTransfer) {
      s.result.counts["hash"] = streams->received_hashes.at(0);
    }
    return verify(s, *streams);
  };
  spawn_on(state, state->server, "server", [streams, checked](WorkloadState& s, VirtualHost& host) {
    return checked(s, serve_streams(s, host, *streams));
  });
  for (const std::string& name : state->spec.from) {
    spawn_on(
        state, state->context.host(name), "client_" + name,
        [streams, checked](WorkloadState& s, VirtualHost& host) { return checked(s, send_stream(s, host, *streams)); });
  }
}

}  // namespace postern::sim
