// Free list, hash tables and port references of endpoints.
#include "stack/endpoint_table.h"

#include "stack/core.h"
#include "stack/tcp_internal.h"

namespace postern::stack {
namespace {

uint32_t mix(uint64_t value) {
  value *= 0x9e3779b97f4a7c15u;  // Fibonacci hashing (Knuth, vol. 3, 6.4)
  return static_cast<uint32_t>(value >> 32);
}

uint32_t connection_bucket(const Core& core, EndpointKind kind, const SocketAddress& local,
                           const SocketAddress& remote) {
  uint64_t address;
  std::memcpy(&address, remote.address.bytes, 8);
  // Keyed, so that a peer cannot aim at one bucket.
  const uint64_t ports = uint64_t{remote.port} << 32 | uint64_t{local.port} << 8 | static_cast<uint8_t>(kind);
  return mix((mix(address ^ core.state->key.k0) ^ ports) + core.state->key.k1) & (core.state->layout.bucket_count - 1);
}

uint32_t bound_bucket(const Core& core, EndpointKind kind, uint16_t port) {
  return mix(uint64_t{port} << 8 | static_cast<uint8_t>(kind)) & (core.state->layout.bucket_count - 1);
}

// Takes index out of a chain.
template <uint32_t Endpoint::*Next>
void unlink(Core& core, uint32_t& head, uint32_t index) {
  uint32_t* link = &head;
  while (*link != kNoEndpoint && *link != index) link = &(core.endpoints[*link].*Next);
  if (*link == index) *link = core.endpoints[index].*Next;
}

void reset_fields(Core& core, Endpoint& endpoint, EndpointKind kind) {
  endpoint.port_reference = kNoEndpoint;
  endpoint.local = SocketAddress{};
  endpoint.remote = SocketAddress{};
  endpoint.in_connection_table = 0;
  endpoint.in_bound_table = 0;
  endpoint.dying = 0;
  endpoint.local_wildcard = 0;
  endpoint.error.store(0, std::memory_order_relaxed);
  endpoint.shutdown_flags.store(0, std::memory_order_relaxed);
  endpoint.user_word.store(0, std::memory_order_relaxed);
  endpoint.wants_buffers.store(0, std::memory_order_relaxed);
  const StackConfig& config = *core.config;
  const bool tcp = kind == EndpointKind::kTcp;
  endpoint.send_buffer_bytes.store(config.tcp_send_buffer_bytes, std::memory_order_relaxed);
  endpoint.receive_buffer_bytes.store(tcp ? config.tcp_receive_buffer_bytes : config.udp_receive_buffer_bytes,
                                      std::memory_order_relaxed);
  endpoint.reuse_address = endpoint.reuse_port = endpoint.keepalive = endpoint.broadcast = 0;
  endpoint.no_delay = endpoint.cork = endpoint.linger_on = endpoint.quick_ack = 0;
  endpoint.ttl = endpoint.tos = 0;
  endpoint.user_mss_bytes = 0;
  endpoint.linger_seconds = 0;
  endpoint.keepalive_idle_s = static_cast<uint32_t>(config.keepalive_idle_ns / 1'000'000'000);
  endpoint.keepalive_interval_s = static_cast<uint32_t>(config.keepalive_interval_ns / 1'000'000'000);
  endpoint.keepalive_probe_count = config.keepalive_probe_count;
  endpoint.user_timeout_ms = 0;
  endpoint.syn_retry_count = config.syn_retry_count;
  endpoint.priority = 0;
  endpoint.receive_timeout_us = endpoint.send_timeout_us = 0;
  endpoint.tcp = TcpConnection{};
}

}  // namespace

Endpoint* endpoint_allocate(Core& core, EndpointKind kind) {
  if (core.state->free_endpoint == kNoEndpoint && core.state->time_wait_head != kNoEndpoint) {
    endpoint_free(core, core.endpoints[core.state->time_wait_head]);
  }
  const uint32_t index = core.state->free_endpoint;
  if (index == kNoEndpoint) return nullptr;
  Endpoint& endpoint = core.endpoints[index];
  core.state->free_endpoint = endpoint.next_free;
  if (core.state->free_endpoint == kNoEndpoint) core.state->free_endpoint_tail = kNoEndpoint;
  reset_fields(core, endpoint, kind);
  endpoint.receive_queue.reset(core.pool);
  uint32_t generation = endpoint.generation.load(std::memory_order_relaxed) + 1;
  if (generation == 0) generation = 1;
  endpoint.generation.store(generation, std::memory_order_relaxed);
  endpoint.kind.store(kind, std::memory_order_release);
  core.state->open_endpoints.fetch_add(1, std::memory_order_relaxed);
  return &endpoint;
}

void endpoint_free(Core& core, Endpoint& endpoint) {
  if (endpoint.dying != 0) return;
  connection_remove(core, endpoint);
  bound_remove(core, endpoint);
  if (endpoint.kind.load(std::memory_order_relaxed) == EndpointKind::kTcp) {
    if (endpoint.tcp.accept_count != 0 || endpoint.tcp.half_open_count != 0) tcp_listener_stop(core, endpoint);
    tcp_time_wait_unlink(core, endpoint);
    tcp_listener_forget_child(core, endpoint);
    tcp_timers_stop(core, endpoint);
    tcp_release_queues(core, endpoint);
    endpoint.tcp.state = TcpState::kClosed;
  }
  port_reference_drop(core, endpoint);
  endpoint.descriptor_open.store(kDescriptorNone, std::memory_order_relaxed);
  endpoint.dying = 1;
  core.notify(endpoint);
  endpoint_finish_free(core, endpoint);
}

void endpoint_finish_free(Core& core, Endpoint& endpoint) {
  constexpr uint64_t kRetryNs = 10'000'000;
  if (!endpoint.receive_lock.try_lock()) {
    // A receiver is inside. If its process died there, the queue may be half-changed.
    if (endpoint.receive_lock.owner_is_dead()) {
      core.state->down.fetch_or(kDownBroken, std::memory_order_release);
      core.state->lock.mark_broken();
    }
    core.timers.arm(core.index_of(endpoint), core.now_ns + kRetryNs);
    return;
  }
  endpoint.receive_queue.clear(core.pool);
  endpoint.kind.store(EndpointKind::kFree, std::memory_order_release);
  endpoint.receive_lock.unlock();
  endpoint.dying = 0;
  // To the back of the list: an id is given out again as late as possible.
  const uint32_t index = core.index_of(endpoint);
  endpoint.next_free = kNoEndpoint;
  if (core.state->free_endpoint_tail == kNoEndpoint) {
    core.state->free_endpoint = index;
  } else {
    core.endpoints[core.state->free_endpoint_tail].next_free = index;
  }
  core.state->free_endpoint_tail = index;
  core.state->open_endpoints.fetch_sub(1, std::memory_order_release);
}

Endpoint* connection_find(const Core& core, EndpointKind kind, const SocketAddress& local,
                          const SocketAddress& remote) {
  uint32_t index = core.connection_buckets[connection_bucket(core, kind, local, remote)];
  while (index != kNoEndpoint) {
    Endpoint& endpoint = core.endpoints[index];
    if (endpoint.remote == remote && endpoint.local == local && endpoint.kind.load(std::memory_order_relaxed) == kind) {
      return &endpoint;
    }
    index = endpoint.connection_next;
  }
  return nullptr;
}

void connection_insert(Core& core, Endpoint& endpoint) {
  const uint32_t index = core.index_of(endpoint);
  uint32_t& head = core.connection_buckets[connection_bucket(core, endpoint.kind.load(std::memory_order_relaxed),
                                                             endpoint.local, endpoint.remote)];
  endpoint.connection_next = head;
  head = index;
  endpoint.in_connection_table = 1;
}

void connection_remove(Core& core, Endpoint& endpoint) {
  if (endpoint.in_connection_table == 0) return;
  const EndpointKind kind = endpoint.kind.load(std::memory_order_relaxed);
  unlink<&Endpoint::connection_next>(
      core, core.connection_buckets[connection_bucket(core, kind, endpoint.local, endpoint.remote)],
      core.index_of(endpoint));
  endpoint.in_connection_table = 0;
}

Endpoint* bound_find(const Core& core, EndpointKind kind, const SocketAddress& local) {
  Endpoint* wildcard = nullptr;
  uint32_t index = core.bound_buckets[bound_bucket(core, kind, local.port)];
  while (index != kNoEndpoint) {
    Endpoint& endpoint = core.endpoints[index];
    index = endpoint.bound_next;
    const bool connected_elsewhere =
        kind == EndpointKind::kUdp && endpoint.remote.address.family != AddressFamily::kNone;
    if (endpoint.local.port != local.port || endpoint.kind.load(std::memory_order_relaxed) != kind ||
        connected_elsewhere) {
      continue;
    }
    if (endpoint.local.address == local.address) return &endpoint;
    if (endpoint.local.address.is_unspecified()) wildcard = &endpoint;
  }
  return wildcard;
}

void bound_insert(Core& core, Endpoint& endpoint) {
  uint32_t& head =
      core.bound_buckets[bound_bucket(core, endpoint.kind.load(std::memory_order_relaxed), endpoint.local.port)];
  endpoint.bound_next = head;
  head = core.index_of(endpoint);
  endpoint.in_bound_table = 1;
}

void bound_remove(Core& core, Endpoint& endpoint) {
  if (endpoint.in_bound_table == 0) return;
  const EndpointKind kind = endpoint.kind.load(std::memory_order_relaxed);
  unlink<&Endpoint::bound_next>(core, core.bound_buckets[bound_bucket(core, kind, endpoint.local.port)],
                                core.index_of(endpoint));
  endpoint.in_bound_table = 0;
}

uint32_t port_reference_create(Core& core, Protocol protocol, const SocketAddress& local) {
  for (uint32_t index = 0; index < core.config->endpoint_count; ++index) {
    PortReference& reference = core.port_references[index];
    if (reference.refs == 0) {
      reference.refs = 1;
      reference.protocol = protocol;
      reference.local = local;
      return index;
    }
  }
  return kNoEndpoint;
}

void port_reference_share(Core& core, Endpoint& from, Endpoint& to) {
  to.port_reference = from.port_reference;
  if (to.port_reference != kNoEndpoint) ++core.port_references[to.port_reference].refs;
}

void port_reference_drop(Core& core, Endpoint& endpoint) {
  if (endpoint.port_reference == kNoEndpoint) return;
  PortReference& reference = core.port_references[endpoint.port_reference];
  endpoint.port_reference = kNoEndpoint;
  if (--reference.refs == 0 && core.ports != nullptr) core.ports->release(reference.protocol, reference.local);
}

}  // namespace postern::stack
