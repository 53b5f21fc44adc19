// The stack's region as it lies in memory: header, singletons, tables, packet buffers. No pointers, no virtual
// functions: each process maps it where it likes. Hides offsets; everything above uses Core (stack/core.h).
//
//   StackState | endpoints | deferred nodes | timer nodes | port references | hash tables | VI slots | salvage |
//   packets | buffers
//
// The VI's rings (driver/vi.h) are outside [0, stack_bytes).
#pragma once

#include <atomic>
#include <cstdint>

#include "stack/arp.h"
#include "stack/endpoint.h"
#include "stack/ipv4_reassembly.h"
#include "stack/network_interface.h"
#include "stack/packet_pool.h"
#include "stack/siphash.h"
#include "stack/stack.h"
#include "stack/stack_lock.h"
#include "stack/timer_wheel.h"

namespace postern::stack {

constexpr uint64_t kRegionMagic = 0x31304b5453545350u;  // "PSTSTK01"
constexpr uint32_t kRegionVersion = 3;                  // grows with each change of a struct in the region

enum DownFlags : uint32_t { kDownDeviceGone = 1, kDownViHalted = 2, kDownBroken = 4 };

constexpr uint32_t kSalvageBytes = 64;  // a reset: Ethernet, IPv4 and TCP headers

// Byte offsets from the region's base.
struct RegionLayout {
  uint64_t endpoints = 0;
  uint64_t deferred_nodes = 0;
  uint64_t timer_nodes = 0;
  uint64_t port_references = 0;
  uint64_t connection_buckets = 0;
  uint64_t bound_buckets = 0;
  uint64_t rx_slots = 0;
  uint64_t tx_slots = 0;
  uint64_t salvage = 0;  // a frame of kSalvageBytes per endpoint, see stack_salvage.cc
  uint64_t packets = 0;
  uint64_t buffers = 0;
  uint64_t stack_bytes = 0;
  uint32_t bucket_count = 0;  // of each hash table; a power of two

  [[nodiscard]] static RegionLayout compute(const StackConfig& config);
};

// Frames that wait for space in the TX ring.
struct TxBacklog {
  static constexpr uint32_t kCapacity = 512;
  static constexpr uint32_t kDataLimit = 256;  // beyond it only control segments are queued
  TxFrame frames[kCapacity];
  uint32_t head = 0;  // free-running
  std::atomic<uint32_t> count{0};
};

struct StackState {
  uint64_t magic = 0;  // written last by format()
  uint32_t version = 0;
  uint32_t endpoint_bytes = 0;  // sizeof(Endpoint) of who formatted it
  uint32_t state_bytes = 0;     // sizeof(StackState)
  uint32_t reserved = 0;
  RegionLayout layout;
  StackConfig config;

  StackLock lock;
  std::atomic<uint32_t> down{0};  // DownFlags
  std::atomic<uint32_t> sleepers{0};
  std::atomic<uint32_t> activity{0};
  std::atomic<uint32_t> open_endpoints{0};  // not free
  std::atomic<uint32_t> vi_usable{1};
  std::atomic<uint64_t> application_poll_ns{0};
  std::atomic<uint32_t> buffer_waiters{0};  // 1: some endpoint has wants_buffers set; written under the lock

  // --- under the lock ---------------------------------------------------------------------------------------------
  ViState vi;
  PoolState pool;
  TimerWheelState timers;
  ArpCache arp;
  ReassemblyTable reassembly;
  TxBacklog tx_backlog;
  StackStats stats{};
  SipKey key;
  uint32_t free_endpoint = kNoEndpoint;  // free list, first out
  uint32_t free_endpoint_tail = kNoEndpoint;
  uint32_t next_ip_id = 0;
  uint32_t output_waiting_head = kNoEndpoint;  // TCP endpoints that wait for TX space
  uint32_t time_wait_head = kNoEndpoint;       // oldest TIME_WAIT connection
  uint32_t time_wait_tail = kNoEndpoint;
  uint64_t netif_primed = 0;  // a prime is outstanding
  uint8_t started = 0;        // see Stack::Impl::start
};

}  // namespace postern::stack
