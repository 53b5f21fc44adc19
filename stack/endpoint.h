// A socket's state in shared memory, of either protocol. Fields say who may touch them: [lock] the owner of the stack's
// lock, [rx] the owner of the endpoint's receive lock, [any] anybody, atomically (relaxed unless said).
#pragma once

#include <atomic>
#include <cstdint>

#include "stack/ip_address.h"
#include "stack/receive_queue.h"
#include "stack/stack.h"
#include "stack/stack_lock.h"
#include "stack/tcp_connection.h"

namespace postern::stack {

constexpr uint32_t kNoEndpoint = 0xffffffffu;

enum class EndpointKind : uint8_t { kFree, kTcp, kUdp };

// Work that a contender leaves with the lock's owner (DeferredNode::ops).
enum DeferredOp : uint32_t {
  kOpClose = 1,
  kOpWindowUpdate = 2,  // the receiver has read enough to tell the peer
  kOpPrime = 4,         // stack node: prime the event queue
  kOpPoll = 8,          // stack node: somebody saw events
};

// kDescriptorNone: half-open, not yet accepted, or closed. kDescriptorClosing: close() was called, its work is
// deferred.
enum DescriptorState : uint8_t { kDescriptorNone = 0, kDescriptorOpen = 1, kDescriptorClosing = 2 };

enum ShutdownFlags : uint32_t { kShutRead = 1, kShutWrite = 2 };

// A port that the authority gave us. Accepted connections share their listener's.
struct PortReference {
  uint32_t refs = 0;  // endpoints that use it; 0: slot free
  Protocol protocol = Protocol::kTcp;
  uint8_t reserved[3] = {};
  SocketAddress local;
};

struct Endpoint {
  // --- identity ---------------------------------------------------------------------------------------------------
  std::atomic<EndpointKind> kind{EndpointKind::kFree};  // [any], written under lock
  std::atomic<uint8_t> descriptor_open{0};              // [any] DescriptorState
  std::atomic<uint32_t> generation{0};                  // [any]
  std::atomic<uint32_t> activity{0};                    // [any] see Stack::activity
  std::atomic<uint32_t> user_word{0};                   // [any] the caller's
  uint32_t next_free = kNoEndpoint;                     // [lock] free list
  uint32_t port_reference = kNoEndpoint;                // [lock] index, kNoEndpoint: not bound
  SocketAddress local;                                  // [lock] as bound; the wildcard until connected
  SocketAddress remote;                                 // [lock] family kNone: not connected
  uint32_t connection_next = kNoEndpoint;               // [lock] hash chain
  uint32_t bound_next = kNoEndpoint;                    // [lock] hash chain
  uint8_t in_connection_table = 0;                      // [lock]
  uint8_t in_bound_table = 0;                           // [lock]
  uint8_t dying = 0;                                    // [lock] freed as soon as its receive lock is free
  uint8_t local_wildcard = 0;                           // [lock] bound to the wildcard (UDP connect fills in local)

  // --- socket state -----------------------------------------------------------------------------------------------
  std::atomic<int32_t> error{0};                  // [any] pending error (positive errno)
  std::atomic<uint32_t> shutdown_flags{0};        // [any] ShutdownFlags; a FIN sets kShutRead (release, after the data)
  std::atomic<uint32_t> send_buffer_bytes{0};     // [any]
  std::atomic<uint32_t> receive_buffer_bytes{0};  // [any]
  // [any], written under lock: a send found no packet buffer. Not writable until core.h's wake_buffer_waiters().
  std::atomic<uint8_t> wants_buffers{0};
  OwnerLock receive_lock;
  ReceiveQueue receive_queue;

  // --- options [lock] -----------------------------------------------------------------------------------------------
  uint8_t reuse_address = 0;
  uint8_t reuse_port = 0;
  uint8_t keepalive = 0;
  uint8_t broadcast = 0;
  uint8_t no_delay = 0;
  uint8_t cork = 0;
  uint8_t linger_on = 0;
  uint8_t quick_ack = 0;
  uint8_t ttl = 0;
  uint8_t tos = 0;
  uint16_t user_mss_bytes = 0;
  int32_t linger_seconds = 0;
  uint32_t keepalive_idle_s = 0;
  uint32_t keepalive_interval_s = 0;
  uint32_t keepalive_probe_count = 0;
  uint32_t user_timeout_ms = 0;
  uint32_t syn_retry_count = 0;
  uint32_t priority = 0;
  int64_t receive_timeout_us = 0;
  int64_t send_timeout_us = 0;

  TcpConnection tcp;
};

}  // namespace postern::stack
