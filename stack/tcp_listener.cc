// Listeners: half-open connections, the accept queue and their limits.
#include <algorithm>
#include <cerrno>

#include "stack/core.h"
#include "stack/endpoint_table.h"
#include "stack/tcp_internal.h"

namespace postern::stack {
namespace {

void inherit_options(const Endpoint& listener, Endpoint& child) {
  child.keepalive = listener.keepalive;
  child.no_delay = listener.no_delay;
  child.linger_on = listener.linger_on;
  child.linger_seconds = listener.linger_seconds;
  child.reuse_address = listener.reuse_address;
  child.ttl = listener.ttl;
  child.tos = listener.tos;
  child.user_mss_bytes = listener.user_mss_bytes;
  child.keepalive_idle_s = listener.keepalive_idle_s;
  child.keepalive_interval_s = listener.keepalive_interval_s;
  child.keepalive_probe_count = listener.keepalive_probe_count;
  child.user_timeout_ms = listener.user_timeout_ms;
  child.send_buffer_bytes.store(listener.send_buffer_bytes.load(std::memory_order_relaxed), std::memory_order_relaxed);
  child.receive_buffer_bytes.store(listener.receive_buffer_bytes.load(std::memory_order_relaxed),
                                   std::memory_order_relaxed);
}

bool accept_queue_full(const Endpoint& listener) {
  return listener.tcp.accept_count > listener.tcp.backlog;  // Linux: one more than the backlog
}

// A flood of SYNs that nobody follows up must not shut out those who do: the oldest has had its chance.
void evict_oldest_half_open(Core& core, Endpoint& listener) {
  const uint32_t listener_index = core.index_of(listener);
  Endpoint* oldest = nullptr;
  for (uint32_t index = 0; index < core.config->endpoint_count; ++index) {
    Endpoint& child = core.endpoints[index];
    const bool half_open = child.kind.load(std::memory_order_relaxed) == EndpointKind::kTcp &&
                           child.tcp.state == TcpState::kSynReceived && child.tcp.parent == listener_index;
    if (half_open && (oldest == nullptr || child.tcp.last_heard_ns < oldest->tcp.last_heard_ns)) oldest = &child;
  }
  if (oldest == nullptr) return;
  ++core.stats().drop_tcp_backlog_full;
  tcp_listener_forget_child(core, *oldest);
  tcp_drop(core, *oldest, 0);
}

}  // namespace

void tcp_listener_input(Core& core, Endpoint& listener, const TcpSegment& segment) {
  if ((segment.header.flags & kTcpRst) != 0) return;
  if ((segment.header.flags & kTcpAck) != 0) {
    tcp_reply_reset(core, segment);
    return;
  }
  if ((segment.header.flags & kTcpSyn) == 0) return;
  const uint32_t half_open_max = std::max(core.config->syn_backlog_max, 1u);
  if (accept_queue_full(listener)) {
    ++core.stats().drop_tcp_backlog_full;  // the peer tries again
    return;
  }
  if (listener.tcp.half_open_count >= half_open_max) evict_oldest_half_open(core, listener);
  Endpoint* child = endpoint_allocate(core, EndpointKind::kTcp);
  if (child == nullptr) {
    ++core.stats().drop_tcp_backlog_full;
    return;
  }
  child->local = segment.local;
  child->remote = segment.remote;
  inherit_options(listener, *child);
  port_reference_share(core, listener, *child);
  tcp_initialize(core, *child);
  tcp_take_peer_syn(core, child->tcp, segment);
  child->tcp.parent = core.index_of(listener);
  child->tcp.state = TcpState::kSynReceived;
  ++listener.tcp.half_open_count;
  connection_insert(core, *child);
  ++core.stats().tcp_passive_opens_count;
  tcp_start_retransmit_timer(core, *child);
  tcp_send_syn(core, *child);
}

bool tcp_listener_child_ready(Core& core, Endpoint& child) {
  if (child.tcp.parent == kNoEndpoint) return true;
  Endpoint& listener = core.endpoints[child.tcp.parent];
  if (listener.tcp.state != TcpState::kListen) {  // cannot be: who stops listening resets its children first
    tcp_listener_forget_child(core, child);
    tcp_abort(core, child, ECONNABORTED);
    return false;
  }
  if (accept_queue_full(listener)) {
    ++core.stats().drop_tcp_backlog_full;
    return false;
  }
  const uint32_t index = core.index_of(child);
  --listener.tcp.half_open_count;
  child.tcp.in_accept_queue = 1;
  child.tcp.accept_next = kNoEndpoint;
  if (listener.tcp.accept_tail == kNoEndpoint) {
    listener.tcp.accept_head = index;
  } else {
    core.endpoints[listener.tcp.accept_tail].tcp.accept_next = index;
  }
  listener.tcp.accept_tail = index;
  listener.tcp.accept_count += 1;
  core.notify(listener);
  return true;
}

void tcp_listener_forget_child(Core& core, Endpoint& child) {
  if (child.tcp.parent == kNoEndpoint) return;
  TcpConnection& listener = core.endpoints[child.tcp.parent].tcp;
  child.tcp.parent = kNoEndpoint;
  if (child.tcp.in_accept_queue == 0) {
    --listener.half_open_count;
    return;
  }
  child.tcp.in_accept_queue = 0;
  const uint32_t index = core.index_of(child);
  uint32_t previous = kNoEndpoint;
  for (uint32_t at = listener.accept_head; at != kNoEndpoint; at = core.endpoints[at].tcp.accept_next) {
    if (at == index) {
      const uint32_t next = child.tcp.accept_next;
      if (previous == kNoEndpoint) {
        listener.accept_head = next;
      } else {
        core.endpoints[previous].tcp.accept_next = next;
      }
      if (listener.accept_tail == index) listener.accept_tail = previous;
      listener.accept_count -= 1;
      return;
    }
    previous = at;
  }
}

Endpoint* tcp_listener_accept(Core& core, Endpoint& listener) {
  const uint32_t index = listener.tcp.accept_head;
  if (index == kNoEndpoint) return nullptr;
  Endpoint& child = core.endpoints[index];
  tcp_listener_forget_child(core, child);
  child.descriptor_open.store(kDescriptorOpen, std::memory_order_relaxed);
  return &child;
}

void tcp_listener_stop(Core& core, Endpoint& listener) {
  const uint32_t listener_index = core.index_of(listener);
  while (listener.tcp.accept_head != kNoEndpoint) {
    Endpoint& child = core.endpoints[listener.tcp.accept_head];
    tcp_listener_forget_child(core, child);
    tcp_abort(core, child, ECONNABORTED);
  }
  for (uint32_t index = 0; listener.tcp.half_open_count != 0 && index < core.config->endpoint_count; ++index) {
    Endpoint& child = core.endpoints[index];
    const bool half_open = child.kind.load(std::memory_order_relaxed) == EndpointKind::kTcp &&
                           child.tcp.state == TcpState::kSynReceived && child.tcp.parent == listener_index;
    if (!half_open) continue;
    tcp_listener_forget_child(core, child);
    tcp_abort(core, child, ECONNABORTED);
  }
}

void tcp_listener_close(Core& core, Endpoint& listener) {
  tcp_listener_stop(core, listener);
  endpoint_free(core, listener);
}

}  // namespace postern::stack
