// The way out: TX ring or backlog; and the region's layout.
#include "stack/core.h"

#include <algorithm>
#include <bit>

#include "stack/tcp_internal.h"

namespace postern::stack {

RegionLayout RegionLayout::compute(const StackConfig& config) {
  RegionLayout layout;
  uint64_t offset = sizeof(StackState);
  const auto place = [&offset](uint64_t bytes) {
    constexpr uint64_t kCacheLine = 64;
    offset = (offset + kCacheLine - 1) & ~(kCacheLine - 1);
    const uint64_t at = offset;
    offset += bytes;
    return at;
  };
  const uint64_t endpoints = config.endpoint_count;
  layout.bucket_count = std::bit_ceil(std::max(config.endpoint_count, 64u));
  layout.endpoints = place(endpoints * sizeof(Endpoint));
  layout.deferred_nodes = place((endpoints + 1) * sizeof(DeferredNode));
  layout.timer_nodes = place((endpoints + 2) * sizeof(TimerNode));
  layout.port_references = place(endpoints * sizeof(PortReference));
  layout.connection_buckets = place(uint64_t{layout.bucket_count} * sizeof(uint32_t));
  layout.bound_buckets = place(uint64_t{layout.bucket_count} * sizeof(uint32_t));
  layout.rx_slots = place(uint64_t{config.vi.layout.geometry.rx_entries} * sizeof(uint32_t));
  layout.tx_slots = place(uint64_t{config.vi.layout.geometry.tx_entries} * sizeof(uint32_t));
  layout.salvage = place(endpoints * kSalvageBytes);
  // Behind the buffers' descriptors: one bufferless stub for each endpoint's receive queue.
  layout.packets = place((config.packet_count + endpoints) * sizeof(Packet));
  constexpr uint64_t kPage = 4096;
  offset = (offset + kPage - 1) & ~(kPage - 1);
  layout.buffers = offset;
  offset += uint64_t{config.packet_count} * kPacketBufferBytes;
  layout.stack_bytes = (offset + kPage - 1) & ~(kPage - 1);
  return layout;
}

bool transmit_frame(Core& core, const TxFrame& frame) {
  TxBacklog& backlog = core.state->tx_backlog;
  const uint32_t waiting = backlog.count.load(std::memory_order_relaxed);
  if (waiting == 0 && core.netif->can_transmit(core.pool)) {
    core.netif->transmit(core.pool, frame);
  } else {
    if (waiting == TxBacklog::kCapacity) {
      ++core.stats().drop_tx_backlog_full;
      return false;
    }
    for (unsigned i = 0; i < frame.piece_count; ++i) core.pool.retain(frame.pieces[i].packet);
    backlog.frames[(backlog.head + waiting) % TxBacklog::kCapacity] = frame;
    backlog.count.store(waiting + 1, std::memory_order_relaxed);
  }
  ++core.stats().tx_packets_count;
  core.stats().tx_bytes_count +=
      frame.pieces[0].length_bytes + (frame.piece_count > 1 ? frame.pieces[1].length_bytes : 0);
  return true;
}

void drain_tx_backlog(Core& core) {
  TxBacklog& backlog = core.state->tx_backlog;
  uint32_t waiting = backlog.count.load(std::memory_order_relaxed);
  const bool was_full = waiting >= TxBacklog::kDataLimit;
  while (waiting > 0 && core.netif->can_transmit(core.pool)) {
    const TxFrame& frame = backlog.frames[backlog.head % TxBacklog::kCapacity];
    core.netif->transmit(core.pool, frame);
    for (unsigned i = 0; i < frame.piece_count; ++i) core.pool.release(frame.pieces[i].packet);
    ++backlog.head;
    --waiting;
    backlog.count.store(waiting, std::memory_order_relaxed);
  }
  if (!was_full || waiting >= TxBacklog::kDataLimit) return;
  // Datagram sockets became writable; nobody in particular waits, so everybody looks.
  core.state->activity.store(core.state->activity.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  for (uint32_t index = 0; index < core.config->endpoint_count; ++index) {
    if (core.endpoints[index].kind.load(std::memory_order_relaxed) == EndpointKind::kUdp) {
      core.notify(core.endpoints[index]);
    }
  }
}

void wait_for_buffers(Core& core, Endpoint& endpoint) {
  ++core.stats().drop_no_buffer;
  endpoint.wants_buffers.store(1, std::memory_order_release);
  core.state->buffer_waiters.store(1, std::memory_order_release);
}

void wake_buffer_waiters(Core& core) {
  core.state->buffer_waiters.store(0, std::memory_order_release);
  for (uint32_t index = 0; index < core.config->endpoint_count; ++index) {
    Endpoint& endpoint = core.endpoints[index];
    if (endpoint.wants_buffers.load(std::memory_order_relaxed) == 0) continue;
    endpoint.wants_buffers.store(0, std::memory_order_release);
    if (endpoint.kind.load(std::memory_order_relaxed) != EndpointKind::kFree) core.notify(endpoint);
  }
}

}  // namespace postern::stack
