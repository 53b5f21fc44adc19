// A Stack handle: format and attach, the lock around everything, polling, timers, deferred work, sleepers, end of life.
#include "stack/stack.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <string>

#include "stack/arp.h"
#include "stack/endpoint_table.h"
#include "stack/ethernet.h"
#include "stack/stack_impl.h"
#include "stack/tcp_internal.h"

namespace postern::stack {
namespace {

constexpr unsigned kBatchesPerPoll = 8;  // bounds the time that one poll holds the lock
constexpr uint64_t kHousekeepingNs = 500'000'000;
constexpr uint32_t kOwnerCheckInterval = 256;  // contended polls between two looks at the owner

template <typename T>
T* table(void* region, uint64_t offset) {
  return reinterpret_cast<T*>(static_cast<uint8_t*>(region) + offset);
}

template <typename T>
void construct(void* region, uint64_t offset, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) new (table<T>(region, offset) + i) T();
}

Error invalid(std::string message) { return Error{EINVAL, std::move(message)}; }

Status check_config(const StackConfig& config, size_t region_bytes) {
  if (config.endpoint_count < 2 || config.endpoint_count > 65536) {
    return invalid("stack: endpoint_count is " + std::to_string(config.endpoint_count) +
                   ", expected 2 to 65536; change the stack's configuration");
  }
  const uint32_t least = config.vi.layout.geometry.rx_entries + 64;
  if (config.packet_count < least) {
    return invalid("stack: packet_count is " + std::to_string(config.packet_count) + ", expected at least " +
                   std::to_string(least) + " (RX ring and a reserve); change the stack's configuration");
  }
  if (config.mtu_bytes < 576 || config.mtu_bytes > 1500) {
    return invalid("stack: mtu_bytes is " + std::to_string(config.mtu_bytes) + ", expected 576 to 1500");
  }
  if (config.address.family != AddressFamily::kIpv4 || config.address.is_unspecified() || config.prefix_length > 32) {
    return invalid("stack: the host's address must be an IPv4 address with a prefix length of at most 32");
  }
  const size_t needed = Stack::region_bytes(config);
  if (region_bytes < needed) {
    return invalid("stack: the region has " + std::to_string(region_bytes) + " bytes, expected at least " +
                   std::to_string(needed) + "; give Stack::region_bytes(config)");
  }
  return {};
}

}  // namespace

// --- format and attach ---

size_t Stack::region_bytes(const StackConfig& config) { return RegionLayout::compute(config).stack_bytes; }

Status Stack::format(void* region, size_t region_bytes, const StackConfig& config) {
  if (Status checked = check_config(config, region_bytes); !checked.ok()) return checked;
  auto* state = new (region) StackState();
  state->layout = RegionLayout::compute(config);
  state->config = config;
  state->vi = config.vi;
  state->key = {siphash({config.seed, 1}, {config.address.to_ipv4()}), siphash({config.seed, 2}, {config.vi.vi_id})};
  state->next_ip_id = static_cast<uint32_t>(state->key.k1);
  const RegionLayout& layout = state->layout;
  construct<Endpoint>(region, layout.endpoints, config.endpoint_count);
  construct<DeferredNode>(region, layout.deferred_nodes, config.endpoint_count + 1);
  construct<TimerNode>(region, layout.timer_nodes, config.endpoint_count + 2);
  construct<PortReference>(region, layout.port_references, config.endpoint_count);
  construct<Packet>(region, layout.packets, config.packet_count + config.endpoint_count);
  std::fill_n(table<uint32_t>(region, layout.connection_buckets), layout.bucket_count, kNoEndpoint);
  std::fill_n(table<uint32_t>(region, layout.bound_buckets), layout.bucket_count, kNoEndpoint);
  std::fill_n(table<uint32_t>(region, layout.rx_slots), config.vi.layout.geometry.rx_entries, kNoPacket);
  std::fill_n(table<uint32_t>(region, layout.tx_slots), config.vi.layout.geometry.tx_entries, kNoPacket);
  PacketPool pool(&state->pool, table<Packet>(region, layout.packets), static_cast<uint8_t*>(region), layout.buffers,
                  config.packet_count);
  pool.format();
  auto* endpoints = table<Endpoint>(region, layout.endpoints);
  for (uint32_t index = 0; index < config.endpoint_count; ++index) {
    endpoints[index].receive_queue.stub = config.packet_count + index;
    endpoints[index].receive_queue.reset(pool);
    endpoints[index].next_free = index + 1 < config.endpoint_count ? index + 1 : kNoEndpoint;
  }
  state->free_endpoint = 0;
  state->free_endpoint_tail = config.endpoint_count - 1;
  state->version = kRegionVersion;
  state->endpoint_bytes = sizeof(Endpoint);
  state->state_bytes = sizeof(StackState);
  std::atomic_ref<uint64_t>(state->magic).store(kRegionMagic, std::memory_order_release);
  return {};
}

Result<std::unique_ptr<Stack>> Stack::attach(const StackParts& parts) {
  if (parts.region == nullptr || parts.clock == nullptr || (parts.window == nullptr && parts.netif == nullptr)) {
    return invalid("stack: attach needs a region, a clock and a VI window (or a network interface)");
  }
  if (parts.region_bytes < sizeof(StackState)) {
    return invalid("stack: a region of " + std::to_string(parts.region_bytes) + " bytes is too small to be a stack");
  }
  auto* state = static_cast<StackState*>(parts.region);
  if (std::atomic_ref<uint64_t>(state->magic).load(std::memory_order_acquire) != kRegionMagic) {
    return invalid("stack: the region has not been formatted; call Stack::format in the first process");
  }
  if (state->version != kRegionVersion || state->endpoint_bytes != sizeof(Endpoint) ||
      state->state_bytes != sizeof(StackState)) {
    return invalid("stack: the region is of version " + std::to_string(state->version) + ", expected " +
                   std::to_string(kRegionVersion) + " of the same build; use the same Postern for all processes");
  }
  if (parts.region_bytes < state->layout.stack_bytes) {
    return invalid("stack: " + std::to_string(parts.region_bytes) + " bytes of the region are mapped, expected " +
                   std::to_string(state->layout.stack_bytes));
  }
  auto impl = std::make_unique<Impl>();
  const RegionLayout& layout = state->layout;
  void* region = parts.region;
  Core& core = impl->core;
  core.state = state;
  core.config = &state->config;
  core.endpoints = table<Endpoint>(region, layout.endpoints);
  core.deferred = table<DeferredNode>(region, layout.deferred_nodes);
  core.port_references = table<PortReference>(region, layout.port_references);
  core.connection_buckets = table<uint32_t>(region, layout.connection_buckets);
  core.bound_buckets = table<uint32_t>(region, layout.bound_buckets);
  core.pool = PacketPool(&state->pool, table<Packet>(region, layout.packets), static_cast<uint8_t*>(region),
                         layout.buffers, state->config.packet_count);
  core.timers = TimerWheel(&state->timers, table<TimerNode>(region, layout.timer_nodes));
  core.ports = parts.ports;
  if (parts.netif == nullptr) {
    impl->vi_netif =
        std::make_unique<ViNetif>(Vi(region, &state->vi, parts.window), state, table<uint32_t>(region, layout.rx_slots),
                                  table<uint32_t>(region, layout.tx_slots));
  }
  core.netif = parts.netif != nullptr ? parts.netif : impl->vi_netif.get();
  impl->clock = parts.clock;
  impl->waker = parts.waker;
  impl->helper = parts.helper;
  return std::unique_ptr<Stack>(new Stack(std::move(impl)));
}

Stack::Stack(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Stack::~Stack() = default;

// --- the lock ---

LockedSection::LockedSection(Stack::Impl& impl) : error(impl.enter()), impl_(impl) {}
LockedSection::~LockedSection() {
  if (error == 0) impl_.leave();
}

Endpoint* Stack::Impl::find(int endpoint) const {
  if (endpoint < 0 || static_cast<uint32_t>(endpoint) >= core.config->endpoint_count) return nullptr;
  Endpoint& found = core.endpoints[endpoint];
  const bool open = found.kind.load(std::memory_order_acquire) != EndpointKind::kFree &&
                    found.descriptor_open.load(std::memory_order_relaxed) == kDescriptorOpen;
  return open ? &found : nullptr;
}

Endpoint* Stack::Impl::find(int endpoint, EndpointKind kind) const {
  Endpoint* found = find(endpoint);
  return found != nullptr && found->kind.load(std::memory_order_relaxed) == kind ? found : nullptr;
}

void Stack::Impl::mark_down(uint32_t flag) {
  const uint32_t before = state().down.fetch_or(flag, std::memory_order_acq_rel);
  if ((before & flag) != 0) return;
  state().activity.fetch_add(1, std::memory_order_release);
  if (waker != nullptr) waker->wake();
}

int Stack::Impl::enter() {
  if (down()) return -ENETDOWN;
  switch (state().lock.lock()) {
    case LockResult::kAcquired:
      break;
    case LockResult::kBroken:
      mark_down(kDownBroken);
      return -ENETDOWN;
    default:
      return -EAGAIN;
  }
  core.now_ns = clock->now_ns();
  if (state().started == 0) start();
  return 0;
}

void Stack::Impl::start() {
  state().started = 1;
  core.timers.start(core.now_ns);
  core.netif->refill(core.pool);
  if (core.config->host_stack != 0) arp_announce(core);
}

void Stack::Impl::leave() {
  bool wake = false;
  const auto settle = [&] {
    if (state().output_waiting_head != kNoEndpoint) tcp_run_output_list(core);
    if (state().buffer_waiters.load(std::memory_order_relaxed) != 0 && core.pool.send_worthwhile()) {
      wake_buffer_waiters(core);
    }
    core.netif->flush();
    // A poll consumes the outstanding prime with the events, also when nothing in them wakes anybody: those who sleep
    // must not be left without one (docs/models/sleepers.pml). A sleeper that comes later primes by itself.
    if (state().sleepers.load(std::memory_order_acquire) != 0) core.netif->prime();
    wake = wake || core.wake_needed;
    core.wake_needed = false;
  };
  settle();
  state().lock.unlock(core.deferred, [&](uint32_t node, uint32_t ops) {
    run_deferred(node, ops);
    settle();
  });
  if (!wake) return;
  // Both sides modify `sleepers`: either begin_sleep() comes later and sees what is ready, or we see the sleeper.
  if (state().sleepers.fetch_add(0, std::memory_order_acq_rel) != 0 && waker != nullptr) waker->wake();
}

void Stack::Impl::leave_running(uint32_t node) {
  core.now_ns = clock->now_ns();
  if (state().started == 0) start();
  run_deferred(node, core.deferred[node].ops.exchange(0, std::memory_order_acq_rel));
  leave();
}

void Stack::Impl::run_deferred(uint32_t node, uint32_t ops) {
  if (node == core.config->endpoint_count) {
    if ((ops & kOpPrime) != 0) core.netif->prime();
    return;
  }
  Endpoint& endpoint = core.endpoints[node];
  const EndpointKind kind = endpoint.kind.load(std::memory_order_relaxed);
  if ((ops & kOpWindowUpdate) != 0 && kind == EndpointKind::kTcp && tcp_window_update_due(core, endpoint)) {
    tcp_send_ack(core, endpoint);
  }
  // The state says whether the close is still this socket's: the id may have been freed and given out again.
  if ((ops & kOpClose) != 0 && kind != EndpointKind::kFree &&
      endpoint.descriptor_open.load(std::memory_order_acquire) == kDescriptorClosing) {
    close_endpoint(endpoint);
  }
}

void Stack::Impl::close_endpoint(Endpoint& endpoint) {
  if (endpoint.kind.load(std::memory_order_relaxed) == EndpointKind::kTcp) {
    tcp_close(core, endpoint);
  } else {
    endpoint_free(core, endpoint);
  }
}

// --- progress ---

void Stack::Impl::housekeeping() {
  ipv4_reassembly_expire(core);
  if (state().buffer_waiters.load(std::memory_order_relaxed) != 0 && core.pool.small_send_possible()) {
    wake_buffer_waiters(core);  // some of them may go on with little
  }
  for (uint32_t index = 0; index < core.config->endpoint_count; ++index) {
    if (core.endpoints[index].kind.load(std::memory_order_relaxed) == EndpointKind::kFree) continue;
    if (!core.pool.above_reserve()) tcp_prune_out_of_order(core, core.endpoints[index].tcp);
    // Not cleared: if a live contender is linking the node, it will be run (again, to no effect) from the list.
    const uint32_t ops = core.deferred[index].ops.load(std::memory_order_acquire);
    if (ops != 0) run_deferred(index, ops);
  }
}

void Stack::Impl::expire_timer(uint32_t node) {
  if (node == core.arp_timer()) {
    arp_timer_expired(core);
    return;
  }
  if (node == core.housekeeping_timer()) {
    housekeeping();
    return;
  }
  Endpoint& endpoint = core.endpoints[node];
  if (endpoint.dying != 0) {
    endpoint_finish_free(core, endpoint);
  } else if (endpoint.kind.load(std::memory_order_relaxed) == EndpointKind::kTcp) {
    tcp_timers_expired(core, endpoint);
  }
}

void Stack::Impl::run_timers() {
  core.timers.advance(core.now_ns, [this](uint32_t node) { expire_timer(node); });
  const bool wanted = core.config->endpoint_count != 0 && state().open_endpoints.load(std::memory_order_relaxed) != 0;
  if (wanted && !core.timers.node(core.housekeeping_timer()).armed()) {
    core.timers.arm(core.housekeeping_timer(), core.now_ns + kHousekeepingNs);
  }
}

size_t Stack::Impl::poll_locked() {
  StackStats& stats = core.stats();
  ++stats.polls_count;
  size_t work_total = 0;
  for (unsigned batch = 0; batch < kBatchesPerPoll; ++batch) {
    if (!core.netif->has_event()) break;
    size_t work = 0;
    const size_t frame_count = core.netif->poll(core.pool, frames, kFramesPerBatch, &work);
    if (work == 0) break;
    ++stats.poll_batches_count;
    work_total += work;
    for (size_t i = 0; i < frame_count; ++i) {
      if (i + 1 < frame_count) __builtin_prefetch(core.pool.buffer(frames[i + 1].packet));
      ethernet_input(core, frames[i]);
    }
    if (state().tx_backlog.count.load(std::memory_order_relaxed) != 0) drain_tx_backlog(core);
    core.netif->refill(core.pool);
    if (state().output_waiting_head != kNoEndpoint) tcp_run_output_list(core);
    if (work < kFramesPerBatch) break;
  }
  core.netif->refill(core.pool);
  if (core.timers.next_deadline_ns() <= core.now_ns || !core.timers.node(core.housekeeping_timer()).armed()) {
    run_timers();
  }
  if (state().tx_backlog.count.load(std::memory_order_relaxed) != 0) drain_tx_backlog(core);
  if (core.netif->failed()) mark_down(kDownViHalted);
  return work_total;
}

size_t Stack::poll() {
  Impl& impl = *impl_;
  if (impl.down()) return 0;
  if (!impl.state().lock.try_lock()) {
    const uint32_t count = impl.contended_polls.fetch_add(1, std::memory_order_relaxed);
    if (count % kOwnerCheckInterval == kOwnerCheckInterval - 1 && impl.state().lock.check_owner()) {
      impl.mark_down(kDownBroken);
    }
    return 0;
  }
  impl.contended_polls.store(0, std::memory_order_relaxed);
  impl.core.now_ns = impl.clock->now_ns();
  if (!impl.helper) impl.state().application_poll_ns.store(impl.core.now_ns, std::memory_order_relaxed);
  if (impl.state().started == 0) impl.start();
  const size_t work = impl.poll_locked();
  impl.leave();
  return work;
}

uint64_t Stack::next_deadline_ns() const { return impl_->core.timers.next_deadline_ns(); }

void Stack::begin_sleep() {
  Impl& impl = *impl_;
  impl.state().sleepers.fetch_add(1, std::memory_order_acq_rel);  // pairs with leave()
  if (impl.down()) return;
  const uint32_t stack_node = impl.core.config->endpoint_count;
  if (impl.state().lock.lock_or_defer(impl.core.deferred, stack_node, kOpPrime) == LockResult::kAcquired) {
    impl.leave_running(stack_node);
  }
}

void Stack::end_sleep() {
  Impl& impl = *impl_;
  impl.state().sleepers.fetch_sub(1, std::memory_order_seq_cst);
  // If the next poll finds the lock taken, it looks whether the owner still lives.
  impl.contended_polls.store(kOwnerCheckInterval - 1, std::memory_order_relaxed);
}

bool Stack::must_not_sleep() const {
  const Impl& impl = *impl_;
  return impl.down() || impl.core.netif->has_event() || impl.state().lock.has_deferred() ||
         impl.core.timers.next_deadline_ns() <= impl.clock->now_ns();
}

uint32_t Stack::sleepers() const { return impl_->state().sleepers.load(std::memory_order_seq_cst); }

uint64_t Stack::last_application_poll_ns() const {
  return impl_->state().application_poll_ns.load(std::memory_order_relaxed);
}

// --- end of life ---

void Stack::orphan() {
  LockedSection locked(*impl_);
  if (locked.error != 0) return;
  Core& core = impl_->core;
  for (uint32_t index = 0; index < core.config->endpoint_count; ++index) {
    Endpoint& endpoint = core.endpoints[index];
    const bool open = endpoint.kind.load(std::memory_order_relaxed) != EndpointKind::kFree &&
                      endpoint.descriptor_open.load(std::memory_order_relaxed) != 0;
    if (open) impl_->close_endpoint(endpoint);
  }
}

DrainState Stack::drain_state() const {
  LockedSection locked(*impl_);
  if (locked.error != 0) return impl_->down() ? DrainState::kDone : DrainState::kBusy;
  const Core& core = impl_->core;
  DrainState result = DrainState::kDone;
  for (uint32_t index = 0; index < core.config->endpoint_count; ++index) {
    const Endpoint& endpoint = core.endpoints[index];
    if (endpoint.kind.load(std::memory_order_relaxed) == EndpointKind::kFree) continue;
    const bool closed = endpoint.descriptor_open.load(std::memory_order_relaxed) == 0;
    const TcpState state = endpoint.tcp.state;
    const bool waits_only = endpoint.dying != 0 || state == TcpState::kFinWait2 || state == TcpState::kTimeWait;
    if (!closed || !waits_only) return DrainState::kBusy;
    result = DrainState::kLingering;
  }
  return result;
}

bool Stack::all_closed() const { return impl_->state().open_endpoints.load(std::memory_order_acquire) == 0; }

void Stack::abort_all() {
  LockedSection locked(*impl_);
  if (locked.error != 0) return;
  Core& core = impl_->core;
  for (uint32_t index = 0; index < core.config->endpoint_count; ++index) {
    Endpoint& endpoint = core.endpoints[index];
    const EndpointKind kind = endpoint.kind.load(std::memory_order_relaxed);
    if (kind == EndpointKind::kFree || endpoint.dying != 0) continue;
    endpoint.descriptor_open.store(kDescriptorNone, std::memory_order_relaxed);
    if (kind == EndpointKind::kUdp) {
      endpoint_free(core, endpoint);
    } else if (endpoint.tcp.state == TcpState::kListen) {
      tcp_listener_close(core, endpoint);
    } else {
      tcp_listener_forget_child(core, endpoint);
      tcp_abort(core, endpoint, ECONNABORTED);
    }
  }
}

void Stack::mark_device_gone() { impl_->mark_down(kDownDeviceGone); }
bool Stack::is_down() const { return impl_->down(); }
bool Stack::is_broken() const {
  return (impl_->state().down.load(std::memory_order_acquire) & kDownBroken) != 0 || impl_->state().lock.is_broken();
}

StackStats Stack::stats() const {
  StackStats copy{};
  const LockResult taken = impl_->state().lock.lock();
  copy = impl_->state().stats;
  copy.lock_waits_count = impl_->state().lock.waits_count();
  copy.deferred_count = impl_->state().lock.deferred_count();
  copy.packets_free = impl_->core.pool.available();
  if (taken == LockResult::kAcquired) {
    impl_->core.now_ns = impl_->clock->now_ns();
    impl_->leave();
  }
  return copy;
}

const StackConfig& Stack::config() const { return impl_->state().config; }
ViState& Stack::vi_state() { return impl_->state().vi; }

}  // namespace postern::stack
