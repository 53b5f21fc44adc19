// The protocol core's view of a stack, in one process: where the shared tables are, plus time and the way out. Passed
// to every protocol function. Used only by the owner of the stack's lock (fields marked [any] excepted).
#pragma once

#include <cstdint>

#include "stack/region.h"

namespace postern::stack {

struct Core {
  StackState* state = nullptr;
  const StackConfig* config = nullptr;
  Endpoint* endpoints = nullptr;     // [any] for its atomic fields
  DeferredNode* deferred = nullptr;  // [any]
  PortReference* port_references = nullptr;
  uint32_t* connection_buckets = nullptr;
  uint32_t* bound_buckets = nullptr;
  PacketPool pool;
  TimerWheel timers;
  NetworkInterface* netif = nullptr;
  PortAuthority* ports = nullptr;
  uint64_t now_ns = 0;       // device time of the current call
  bool wake_needed = false;  // something became ready since the lock was taken

  [[nodiscard]] StackStats& stats() const { return state->stats; }
  [[nodiscard]] uint32_t index_of(const Endpoint& endpoint) const {
    return static_cast<uint32_t>(&endpoint - endpoints);
  }
  [[nodiscard]] uint32_t arp_timer() const { return config->endpoint_count; }
  [[nodiscard]] uint32_t housekeeping_timer() const { return config->endpoint_count + 1; }

  // Something new makes the endpoint ready.
  void notify(Endpoint& endpoint) {
    endpoint.activity.store(endpoint.activity.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    state->activity.store(state->activity.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    wake_needed = true;
  }
};

// Sends a frame now or, if the TX ring is full, later. Takes its own references on the packets. False (and counted) if
// the backlog is full too.
bool transmit_frame(Core& core, const TxFrame& frame);
// Moves frames from the backlog to the ring, then lets waiting TCP connections go on.
void drain_tx_backlog(Core& core);
// A send found no packet buffer: the endpoint is not writable until there are some again.
void wait_for_buffers(Core& core, Endpoint& endpoint);
// Makes all endpoints that wait for buffers writable.
void wake_buffer_waiters(Core& core);
// Room for another data packet; control packets may use the rest of the backlog.
[[nodiscard]] inline bool tx_has_room(const Core& core) {
  return core.state->tx_backlog.count.load(std::memory_order_relaxed) < TxBacklog::kDataLimit;
}

}  // namespace postern::stack
