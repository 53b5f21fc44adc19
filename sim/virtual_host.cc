// Boot, waiting and the cost of calls; see the header.
#include "sim/virtual_host.h"

#include <fmt/core.h>
#include <poll.h>

#include <algorithm>
#include <cassert>
#include <cerrno>

#include "contract/gen/pst_contract.h"

namespace postern::sim {
namespace {

constexpr uint64_t kServePeriodNs = 100'000'000;  // the helper looks at its timers at least this often
constexpr uint64_t kAdminTurnPs = 1'000'000;      // how often a thread looks whether the resource manager is free
constexpr uint64_t kSleepMaxNs = 100'000'000;
constexpr uint64_t kDeviceQuietNs = 1'000'000'000;  // a waiter that has seen no event for so long asks the device

HostAddress host_address(uint32_t address) {
  return HostAddress::ipv4(static_cast<uint8_t>(address >> 24), static_cast<uint8_t>(address >> 16),
                           static_cast<uint8_t>(address >> 8), static_cast<uint8_t>(address));
}

ResourceManager::Config resource_config(const HostSpec& spec) {
  ResourceManager::Config config;
  config.address = host_address(spec.address_ipv4);
  return config;
}

}  // namespace

// Takes the resource manager for one operation.
class VirtualHost::AdminTurn {
 public:
  explicit AdminTurn(VirtualHost& host) : host_(host) {
    while (host_.admin_busy_) {
      host_.cpu_.sleep_until_ps(host_.cpu_.now_ps() + kAdminTurnPs);
    }
    host_.admin_busy_ = true;
  }
  ~AdminTurn() { host_.admin_busy_ = false; }
  AdminTurn(const AdminTurn&) = delete;
  AdminTurn& operator=(const AdminTurn&) = delete;

 private:
  VirtualHost& host_;
};

void VirtualHost::administer(const std::function<void(ResourceManager&)>& body) {
  const AdminTurn turn(*this);
  body(resources_);
}

VirtualHost::Thread::~Thread() {
  host_.threads_count_--;
  host_.active_threads_--;
  host_.cpu_.wake();  // the helper may have to take over
}

void VirtualHost::Thread::sleep_until_ns(uint64_t time_ns) {
  host_.active_threads_--;
  host_.cpu_.wake();
  host_.cpu_.sleep_until_ps(time_ns * 1000);
  host_.active_threads_++;
}

VirtualHost::VirtualHost(Simulation& simulation, size_t host_idx, const Options& options)
    : simulation_(simulation),
      host_idx_(host_idx),
      spec_(simulation.host_spec(host_idx)),
      options_(options),
      cpu_(simulation.cpu(host_idx)),
      stages_(simulation.host_stages(host_idx)),
      resources_(simulation.function(host_idx), allocator_, resource_config(spec_)) {}

VirtualHost::~VirtualHost() {
  stack_.reset();
  resources_.abandon();  // the simulation has ended: nobody can wait for the device any more
  if (region_.base != nullptr) {
    allocator_.release(region_);
  }
}

// --- boot -----------------------------------------------------------------------------------------------------------

Status VirtualHost::boot() {
  if (Status status = resources_.start(); !status) {
    return status;
  }
  return make_stack();
}

Status VirtualHost::make_stack() {
  stack::StackConfig& config = options_.stack;
  std::copy(spec_.mac.begin(), spec_.mac.end(), config.mac);
  config.address = address();
  config.prefix_length = static_cast<uint8_t>(spec_.prefix_bits);
  config.host_stack = 1;
  if (spec_.gateway_ipv4 != 0) {
    config.gateway = stack::IpAddress::ipv4(spec_.gateway_ipv4);
  }
  config.vi = ViState{};
  config.vi.layout.geometry = options_.geometry;
  const size_t stack_bytes = stack::Stack::region_bytes(config);
  const size_t ring_bytes = vi_layout_place(config.vi.layout, stack_bytes);
  Result<DmaMemory> region = allocator_.allocate(stack_bytes + ring_bytes, "stack");
  if (!region) {
    return region.error();
  }
  region_ = region.value();

  ViOptions vi_options;
  vi_options.host_stack = true;
  vi_options.evq_policy = options_.evq_policy;
  vi_options.rx_prefix = options_.rx_prefix || options_.merge_count > 1;
  vi_options.merge_count = options_.merge_count;
  vi_options.holdoff_ns = options_.holdoff_ns;
  vi_options.holdoff_events = options_.holdoff_events;
  Result<ViGrant> grant = resources_.create_vi(region_, config.vi.layout, vi_options);
  if (!grant) {
    return grant.error();
  }
  grant_ = grant.value();
  config.vi.vi_id = grant_.vi_id;
  config.vi.features = resources_.device().features;
  PciFunction& function = simulation_.function(host_idx_);
  Result<std::unique_ptr<ViWindow>> window = function.open_window(grant_.vi_id);
  Result<std::unique_ptr<InterruptLine>> interrupt = function.open_interrupt(grant_.vector);
  if (!window || !interrupt) {
    return window ? interrupt.error() : window.error();
  }
  window_ = std::move(window).value();
  interrupt_ = std::move(interrupt).value();
  cpu_.watch(grant_.dma_address + config.vi.layout.evq_offset,
             uint64_t{options_.geometry.evq_entries} * PST_EVENT_BYTES);

  if (Status status = stack::Stack::format(region_.base, stack_bytes, config); !status) {
    return status;
  }
  stack::StackParts parts;
  parts.region = region_.base;
  parts.region_bytes = region_.size_bytes;
  parts.window = window_.get();
  parts.clock = &function.clock();
  parts.ports = this;
  parts.waker = this;
  Result<std::unique_ptr<stack::Stack>> stack = stack::Stack::attach(parts);
  if (!stack) {
    return stack.error();
  }
  stack_ = std::move(stack).value();
  poll();  // posts receive buffers
  return {};
}

void VirtualHost::serve() {
  for (;;) {
    if (active_threads_ > 0 || stack_->is_down()) {
      (void)cpu_.wait_interrupt(cpu_.interrupt_count(), (now_ns() + kServePeriodNs) * 1000);
    } else {
      sleep(now_ns() + kServePeriodNs, [this] { return active_threads_ > 0; });
    }
  }
}

// --- ports ----------------------------------------------------------------------------------------------------------

int VirtualHost::acquire(stack::Protocol protocol, const stack::SocketAddress& local, uint32_t flags) {
  release_ports();
  AdminTurn turn(*this);
  PortRequest request;
  request.owner = grant_.vi_id;
  request.protocol = static_cast<uint8_t>(protocol);
  request.local = host_address(local.address.to_ipv4());
  request.port = local.port;
  request.reuse = (flags & kReuseAddress) != 0;
  const Result<PortBinding> binding = resources_.acquire_port(request);
  if (!binding) {
    return -binding.error().code;
  }
  const PortBinding& bound = binding.value();
  if ((flags & kListen) != 0) {
    if (Status status = resources_.listen_port(grant_.vi_id, bound.binding_id, true); !status) {
      (void)resources_.release_port(grant_.vi_id, bound.binding_id);
      return -status.error().code;
    }
  }
  bindings_.emplace(PortKey{protocol, local.address.to_ipv4(), bound.port}, bound.binding_id);
  return bound.port;
}

void VirtualHost::release(stack::Protocol protocol, const stack::SocketAddress& local) {
  released_.push_back({protocol, local.address.to_ipv4(), local.port});
}

void VirtualHost::release_ports() {
  AdminTurn turn(*this);
  while (!released_.empty()) {
    const PortKey key = released_.back();
    released_.pop_back();
    const auto it = bindings_.find(key);
    if (it != bindings_.end()) {
      const uint32_t binding_id = it->second;
      bindings_.erase(it);
      (void)resources_.release_port(grant_.vi_id, binding_id);  // the stack has sat out TIME_WAIT itself
    }
  }
}

// --- endpoint calls -------------------------------------------------------------------------------------------------

int VirtualHost::open(stack::SocketType type) {
  cpu_.spend_ns(cpu_.costs().send_call_ns);
  const int endpoint = stack_->open(type);
  if (endpoint >= 0) {
    endpoints_.resize(std::max(endpoints_.size(), static_cast<size_t>(endpoint) + 1));
    endpoints_[static_cast<size_t>(endpoint)] = {0, type == stack::SocketType::kStream};
  }
  return endpoint;
}

void VirtualHost::note_local_port(int endpoint) {
  stack::SocketAddress local;
  if (stack_->local_address(endpoint, &local) == 0) {
    endpoints_.resize(std::max(endpoints_.size(), static_cast<size_t>(endpoint) + 1));
    endpoints_[static_cast<size_t>(endpoint)].local_port = local.port;
  }
}

int VirtualHost::bind(int endpoint, uint16_t port) {
  stack::SocketAddress local;
  local.address = stack::IpAddress::any_ipv4();
  local.port = port;
  cpu_.spend_ns(cpu_.costs().send_call_ns);
  const int result = stack_->bind(endpoint, local);
  note_local_port(endpoint);
  return result;
}

int VirtualHost::connect(int endpoint, const stack::SocketAddress& remote) {
  cpu_.spend_ns(cpu_.costs().send_call_ns);
  const int result = stack_->connect(endpoint, remote);
  note_local_port(endpoint);
  return result;
}

int VirtualHost::listen(int endpoint, int backlog) {
  cpu_.spend_ns(cpu_.costs().send_call_ns);
  return stack_->listen(endpoint, backlog);
}

int VirtualHost::accept(int endpoint) {
  cpu_.spend_ns(cpu_.costs().recv_call_ns);
  const int accepted = stack_->accept(endpoint, nullptr);
  if (accepted >= 0) {
    note_local_port(accepted);
    endpoints_[static_cast<size_t>(accepted)].stream = true;
  }
  return accepted;
}

int64_t VirtualHost::send(int endpoint, const void* data, size_t size_bytes, const stack::SocketAddress* to) {
  const CpuCosts& costs = cpu_.costs();
  const uint64_t called_ps = cpu_.now_ps();
  cpu_.spend_ns(costs.send_call_ns + costs.copy_byte_ns * static_cast<double>(size_bytes));
  const iovec piece = {const_cast<void*>(data), size_bytes};
  if (stages_ != nullptr) {
    stages_->send_begins(called_ps);
  }
  const int64_t result = stack_->send(endpoint, &piece, 1, 0, to);
  if (stages_ != nullptr) {
    stages_->send_ends(grant_.vi_id, stack_->vi_state().tx_producer_idx);
  }
  return result;
}

int64_t VirtualHost::recv(int endpoint, void* data, size_t size_bytes, stack::SocketAddress* from) {
  const CpuCosts& costs = cpu_.costs();
  const iovec piece = {data, size_bytes};
  stack::RecvInfo info;
  const int64_t result = stack_->recv(endpoint, &piece, 1, 0, from != nullptr ? &info : nullptr);
  if (result < 0) {
    cpu_.spend_ns(costs.empty_call_ns);
    return result;
  }
  cpu_.spend_ns(costs.recv_call_ns + costs.copy_byte_ns * static_cast<double>(result));
  if (from != nullptr) {
    *from = info.from;
  }
  if (stages_ != nullptr) {
    const EndpointNote& note = endpoints_[static_cast<size_t>(endpoint)];
    stages_->received(note.local_port, note.stream, cpu_.now_ps());
  }
  return result;
}

void VirtualHost::close(int endpoint) {
  cpu_.spend_ns(cpu_.costs().send_call_ns);
  (void)stack_->close(endpoint);
}

int VirtualHost::pending_error(int endpoint) {
  int error = 0;
  socklen_t length = sizeof error;
  const int result = stack_->get_option(endpoint, SOL_SOCKET, SO_ERROR, &error, &length);
  return result < 0 ? -result : error;
}

// --- progress and waiting -------------------------------------------------------------------------------------------

size_t VirtualHost::poll() {
  cpu_.sync();
  cpu_.spend_ns(cpu_.costs().poll_ns);
  const size_t work = stack_->poll();
  if (work == 0) {
    return 0;
  }
  cpu_.spend_ns(cpu_.costs().event_ns * static_cast<double>(work));
  if (stages_ != nullptr) {
    stages_->events_seen(grant_.vi_id, stack_->vi_state().evq_consumer_idx, cpu_.now_ps());
  }
  if (waiting_threads_ > 0) {
    cpu_.wake();
  }
  return work;
}

bool VirtualHost::wait_until(const std::function<bool()>& ready, uint64_t deadline_ns) {
  const uint64_t spin_end_ns = now_ns() + options_.spin_ns;
  while (!ready()) {
    const uint64_t seen_count = cpu_.write_count();
    const size_t work = poll();
    const uint64_t now = now_ns();
    if (now >= deadline_ns || stack_->is_down()) {
      return ready();
    }
    if (work > 0) {
      continue;
    }
    watch_device();
    const uint64_t limit_ns = std::min(deadline_ns, std::max(stack_->next_deadline_ns(), now + 1));
    if (now < spin_end_ns) {
      const auto period_ps = static_cast<uint64_t>(cpu_.costs().poll_ns * 1000.0);
      waiting_threads_++;
      (void)cpu_.wait_write(seen_count, std::min(limit_ns, spin_end_ns) * 1000, std::max<uint64_t>(period_ps, 1));
      waiting_threads_--;
    } else {
      sleep(limit_ns, ready);
    }
  }
  return true;
}

// A device that is gone or has been reset sends no events any more: a waiter would wait for its deadline.
void VirtualHost::watch_device() {
  const uint32_t event_idx = stack_->vi_state().evq_consumer_idx;
  if (event_idx != device_event_idx_ || device_seen_ns_ == 0) {
    device_event_idx_ = event_idx;
    device_seen_ns_ = now_ns();
    return;
  }
  if (now_ns() - device_seen_ns_ < kDeviceQuietNs) {
    return;
  }
  AdminTurn turn(*this);
  device_seen_ns_ = now_ns();
  if (Status status = resources_.check_device(); !status) {
    device_error_ = status.error().message;
    stack_->mark_device_gone();
  }
}

std::string VirtualHost::device_problem() const {
  if (stack_ == nullptr || !stack_->is_down()) {
    return {};
  }
  const uint16_t code = stack_->vi_state().halted_code;
  if (code != 0) {
    return fmt::format("VI {} halted: {}", grant_.vi_id, pst_error_code_name(code));
  }
  return device_error_.empty() ? "the stack's memory is broken" : device_error_;
}

void VirtualHost::sleep(uint64_t deadline_ns, const std::function<bool()>& ready) {
  const uint64_t seen_count = cpu_.interrupt_count();
  stack_->begin_sleep();
  if (!ready() && !stack_->must_not_sleep()) {
    cpu_.spend_ns(cpu_.costs().sleep_entry_ns);
    const uint64_t now = now_ns();
    const uint64_t limit_ns = std::min({deadline_ns, std::max(stack_->next_deadline_ns(), now + 1), now + kSleepMaxNs});
    waiting_threads_++;
    const bool woken = cpu_.wait_interrupt(seen_count, limit_ns * 1000);
    waiting_threads_--;
    if (woken) {
      cpu_.spend_ns(cpu_.costs().interrupt_wakeup_ns);
    }
  }
  stack_->end_sleep();
  poll();
}

bool VirtualHost::wait_ready(int endpoint, uint32_t poll_bits, uint64_t deadline_ns) {
  return wait_until([&] { return (stack_->readiness(endpoint) & (poll_bits | POLLERR | POLLHUP)) != 0; }, deadline_ns);
}

}  // namespace postern::sim
