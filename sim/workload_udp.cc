// UDP workloads: ping-pong and one-way stream. A datagram begins with eight letters, so that packet analysers do not
// take it for a protocol of theirs, and its sequence number; the rest is known payload.
#include <poll.h>

#include <cerrno>
#include <cstring>

#include "sim/workload_parts.h"

namespace postern::sim {
namespace {

constexpr uint64_t kHelloSequence = ~uint64_t{0};  // resolves addresses before the measurement; not counted
constexpr uint64_t kRetryNs = 10'000'000;          // an answer that takes longer is taken for lost
constexpr uint64_t kQuietNs = 5'000'000;           // the receiver's patience after the sender's end
constexpr uint64_t kPollEverySends = 16;           // a sending loop looks at its event queue this often
constexpr size_t kDatagramMaxBytes = 1472;

constexpr char kGreeting[] = "POSTERN ";
constexpr size_t kSequenceOffset = 8;
constexpr size_t kPayloadOffset = 16;

void set_sequence(std::vector<uint8_t>& datagram, uint64_t sequence) {
  std::memcpy(datagram.data() + kSequenceOffset, &sequence, sizeof sequence);
}

uint64_t sequence_of(const std::vector<uint8_t>& datagram) {
  uint64_t sequence = 0;
  std::memcpy(&sequence, datagram.data() + kSequenceOffset, sizeof sequence);
  return sequence;
}

std::vector<uint8_t> make_datagram(const WorkloadState& state) {
  const Payload payload(state.context.seed);
  std::vector<uint8_t> datagram(state.spec.size_bytes);
  std::memcpy(datagram.data(), payload.at(0), datagram.size());
  std::memcpy(datagram.data(), kGreeting, kSequenceOffset);
  return datagram;
}

// Opens and binds the server's socket.
std::string open_server(WorkloadState& state, VirtualHost& host, int& endpoint) {
  endpoint = host.open(stack::SocketType::kDatagram);
  if (endpoint < 0) {
    return failure(host, "socket", endpoint);
  }
  if (const int result = host.bind(endpoint, state.spec.port); result != 0) {
    return failure(host, "bind", result);
  }
  state.server_ready = true;
  return {};
}

std::string open_client(WorkloadState& state, VirtualHost& host, int& endpoint) {
  if (std::string error = await_server(state, host); !error.empty()) {
    return error;
  }
  endpoint = host.open(stack::SocketType::kDatagram);
  if (endpoint < 0) {
    return failure(host, "socket", endpoint);
  }
  const int result = host.connect(endpoint, state.server_address());
  return result == 0 ? std::string() : failure(host, "connect", result);
}

// Sends a datagram, waiting for space if there is none.
std::string send_datagram(WorkloadState& state, VirtualHost& host, int endpoint, const std::vector<uint8_t>& datagram,
                          const stack::SocketAddress* to = nullptr) {
  for (;;) {
    const int64_t result = host.send(endpoint, datagram.data(), datagram.size(), to);
    if (result >= 0) {
      return {};
    }
    if (result != -EAGAIN && result != -ENOBUFS) {
      return failure(host, "send", static_cast<int>(result));
    }
    if (!host.wait_ready(endpoint, POLLOUT, state.deadline_ns)) {
      return failure(host, "send", ETIMEDOUT);
    }
  }
}

std::string echo(WorkloadState& state, VirtualHost& host) {
  int endpoint = -1;
  if (std::string error = open_server(state, host, endpoint); !error.empty()) {
    return error;
  }
  std::vector<uint8_t> datagram(kDatagramMaxBytes);
  while (!state.client_done && !state.failed) {
    stack::SocketAddress from;
    datagram.resize(kDatagramMaxBytes);
    const int64_t received = host.recv(endpoint, datagram.data(), datagram.size(), &from);
    if (received >= 0) {
      datagram.resize(static_cast<size_t>(received));
      if (std::string error = send_datagram(state, host, endpoint, datagram, &from); !error.empty()) {
        return error;
      }
    } else if (received != -EAGAIN) {
      return failure(host, "recv", static_cast<int>(received));
    } else if (!host.wait_until(
                   [&] { return state.client_done || state.failed || (host.readiness(endpoint) & POLLIN) != 0; },
                   state.deadline_ns)) {
      return failure(host, "recv", ETIMEDOUT);
    }
  }
  host.close(endpoint);
  return {};
}

// One round trip; sends again when the answer does not come. Returns an error or nothing.
std::string round_trip(WorkloadState& state, VirtualHost& host, int endpoint, std::vector<uint8_t>& datagram,
                       uint64_t sequence) {
  std::vector<uint8_t> answer(kDatagramMaxBytes);
  for (;;) {
    set_sequence(datagram, sequence);
    if (std::string error = send_datagram(state, host, endpoint, datagram); !error.empty()) {
      return error;
    }
    const uint64_t retry_ns = host.now_ns() + kRetryNs;
    while (host.wait_ready(endpoint, POLLIN, std::min(retry_ns, state.deadline_ns))) {
      const int64_t received = host.recv(endpoint, answer.data(), answer.size());
      if (received < 0 && received != -EAGAIN) {
        return failure(host, "recv", static_cast<int>(received));
      }
      if (received == static_cast<int64_t>(datagram.size()) && sequence_of(answer) == sequence) {
        return std::memcmp(answer.data(), datagram.data(), datagram.size()) == 0
                   ? std::string()
                   : failure(host, "the echo differs from what was sent", EBADMSG);
      }
    }
    state.result.counts["resent_datagrams"]++;
    if (host.now_ns() >= state.deadline_ns) {
      return failure(host, "recv", ETIMEDOUT);
    }
  }
}

std::string ping(WorkloadState& state, VirtualHost& host) {
  int endpoint = -1;
  if (std::string error = open_client(state, host, endpoint); !error.empty()) {
    return error;
  }
  std::vector<uint8_t> datagram = make_datagram(state);
  state.result.counts["resent_datagrams"] = 0;
  if (std::string error = round_trip(state, host, endpoint, datagram, kHelloSequence); !error.empty()) {
    return error;
  }
  const uint64_t begin_ns = host.now_ns();
  for (uint64_t i = 0; i < state.spec.count; ++i) {
    const uint64_t sent_ps = host.now_ps();
    if (std::string error = round_trip(state, host, endpoint, datagram, i); !error.empty()) {
      return error;
    }
    state.result.round_trip.add(host.now_ps() - sent_ps);
  }
  state.result.counts["round_trips"] = state.spec.count;
  state.result.counts["elapsed_ns"] = host.now_ns() - begin_ns;
  host.close(endpoint);
  return {};
}

std::string receive_stream(WorkloadState& state, VirtualHost& host) {
  int endpoint = -1;
  if (std::string error = open_server(state, host, endpoint); !error.empty()) {
    return error;
  }
  auto& counts = state.result.counts;
  uint64_t received_count = 0;
  uint64_t out_of_order_count = 0;
  uint64_t next_sequence = 0;
  uint64_t first_ns = 0;
  uint64_t last_ns = 0;
  std::vector<uint8_t> datagram(kDatagramMaxBytes);
  const std::vector<uint8_t> expected = make_datagram(state);
  std::string error;
  while (error.empty() && !state.failed && received_count < state.spec.count) {
    const int64_t received = host.recv(endpoint, datagram.data(), datagram.size());
    if (received == -EAGAIN) {
      const uint64_t until_ns = state.client_done ? host.now_ns() + kQuietNs : state.deadline_ns;
      const bool was_done = state.client_done;
      if (!host.wait_until(
              [&] { return state.client_done != was_done || state.failed || (host.readiness(endpoint) & POLLIN) != 0; },
              until_ns)) {
        error = was_done ? "quiet" : failure(host, "recv", ETIMEDOUT);
      }
    } else if (received < 0) {
      error = failure(host, "recv", static_cast<int>(received));
    } else if (received != static_cast<int64_t>(expected.size()) ||
               std::memcmp(datagram.data() + kPayloadOffset, expected.data() + kPayloadOffset,
                           expected.size() - kPayloadOffset) != 0) {
      error = failure(host, "a datagram differs from what was sent", EBADMSG);
    } else if (const uint64_t sequence = sequence_of(datagram); sequence == kHelloSequence) {
      counts["hello_datagrams"]++;
    } else {
      first_ns = received_count++ == 0 ? host.now_ns() : first_ns;
      last_ns = host.now_ns();
      out_of_order_count += sequence < next_sequence ? 1 : 0;
      next_sequence = std::max(next_sequence, sequence + 1);
    }
  }
  counts["received_datagrams"] = received_count;
  counts["out_of_order_datagrams"] = out_of_order_count;
  counts["elapsed_ns"] = last_ns - first_ns;
  if (last_ns > first_ns) {
    const auto seconds = static_cast<double>(last_ns - first_ns) * 1e-9;
    state.result.rates["received_per_s"] = static_cast<double>(received_count - 1) / seconds;
    state.result.rates["goodput_gbps"] =
        static_cast<double>((received_count - 1) * state.spec.size_bytes * 8) / seconds * 1e-9;
  }
  host.close(endpoint);
  return error == "quiet" ? std::string() : error;  // datagrams may be lost: that is no failure
}

// Resolves addresses: sends until the receiver has one.
std::string say_hello(WorkloadState& state, VirtualHost& host, int endpoint, std::vector<uint8_t>& datagram) {
  set_sequence(datagram, kHelloSequence);
  auto& hello_count = state.result.counts["hello_datagrams"];
  while (hello_count == 0) {
    if (std::string error = send_datagram(state, host, endpoint, datagram); !error.empty()) {
      return error;
    }
    (void)host.wait_until([&] { return hello_count > 0 || state.failed; }, host.now_ns() + kRetryNs);
    if (state.failed || host.now_ns() >= state.deadline_ns) {
      return failure(host, "waiting for the receiver", ETIMEDOUT);
    }
  }
  return {};
}

std::string send_stream(WorkloadState& state, VirtualHost& host) {
  int endpoint = -1;
  if (std::string error = open_client(state, host, endpoint); !error.empty()) {
    return error;
  }
  std::vector<uint8_t> datagram = make_datagram(state);
  if (std::string error = say_hello(state, host, endpoint, datagram); !error.empty()) {
    return error;
  }
  const uint64_t begin_ns = host.now_ns();
  const uint64_t end_ns = state.spec.duration_ns == 0 ? UINT64_MAX : begin_ns + state.spec.duration_ns;
  uint64_t sent_count = 0;
  std::string error;
  while (error.empty() && sent_count < state.spec.count && host.now_ns() < end_ns && !state.failed) {
    set_sequence(datagram, sent_count);
    error = send_datagram(state, host, endpoint, datagram);
    sent_count++;
    if (state.spec.interval_ns > 0) {
      const uint64_t next_ns = begin_ns + sent_count * state.spec.interval_ns;
      (void)host.wait_until([&] { return host.now_ns() >= next_ns; }, next_ns);
    } else if (sent_count % kPollEverySends == 0) {
      host.poll();
    }
  }
  state.result.counts["sent_datagrams"] = sent_count;
  state.client_done = true;
  state.server.nudge();
  host.close(endpoint);
  return error;
}

}  // namespace

void spawn_udp_pingpong(const WorkloadStatePtr& state) {
  spawn_on(state, state->server, "server", echo);
  spawn_on(state, state->context.host(state->spec.from.at(0)), "client", [](WorkloadState& s, VirtualHost& host) {
    std::string error = ping(s, host);
    s.client_done = true;
    s.server.nudge();
    return error;
  });
}

void spawn_udp_stream(const WorkloadStatePtr& state) {
  spawn_on(state, state->server, "server", receive_stream);
  spawn_on(state, state->context.host(state->spec.from.at(0)), "client", send_stream);
}

}  // namespace postern::sim
