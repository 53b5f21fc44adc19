// Mapping, formatting and attaching a stack that hostd granted. See attached_stack.h.
#include "stack/preload/attached_stack.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <string>

namespace postern::preload {
namespace {

constexpr size_t kPageBytes = 4096;

size_t binding_table_bytes() { return (sizeof(PortBindingTable) + kPageBytes - 1) / kPageBytes * kPageBytes; }

Error map_error(const char* what) {
  const int code = errno;
  return Error{code, std::string("cannot map the ") + what + " that hostd granted: " + std::strerror(code)};
}

}  // namespace

void EventfdWaker::wake() {
  const uint64_t one = 1;
  ::syscall(SYS_write, wake_fd_, &one, sizeof one);  // a full counter is a wakeup on its way as well
}

stack::StackConfig config_for_grant(const hostd::StackGrant& grant, size_t bytes_available) {
  stack::StackConfig config;
  std::memcpy(config.mac, grant.mac, sizeof config.mac);
  config.address = from_wire(grant.address);
  config.prefix_length = static_cast<uint8_t>(grant.prefix_bits);
  config.host_stack = grant.is_host_stack != 0 ? 1 : 0;
  config.mtu_bytes = static_cast<uint16_t>(std::min<uint32_t>(grant.mtu_bytes, 1500));
  config.gateway = from_wire(grant.gateway);
  config.seed = grant.seed;
  config.vi.layout = grant.layout;
  config.vi.vi_id = grant.vi_id;
  config.vi.features = grant.device_features;
  // As many packet buffers as fit; each ring entry needs one and sockets share the rest.
  const uint32_t smallest = 2 * (grant.layout.geometry.rx_entries + grant.layout.geometry.tx_entries);
  while (config.packet_count > smallest && stack::Stack::region_bytes(config) > bytes_available) {
    config.packet_count -= config.packet_count / 8;
  }
  return config;
}

Result<std::unique_ptr<AttachedStack>> AttachedStack::create(hostd::StackAttachment& attachment,
                                                             hostd::HostdClient* client, bool is_helper,
                                                             int format_wait_ms, MoveDescriptor move) {
  std::unique_ptr<AttachedStack> attached(new AttachedStack());
  if (Status mapped = attached->map(attachment, move); !mapped.ok()) {
    return mapped.error();
  }
  if (Status done = attached->attach(client, is_helper, format_wait_ms); !done.ok()) {
    return done.error();
  }
  return attached;
}

Status AttachedStack::map(hostd::StackAttachment& attachment, MoveDescriptor move) {
  grant_ = attachment.grant;
  region_bytes_ = grant_.region_bytes;
  if (grant_.stack_area_offset != 0 || grant_.stack_area_bytes > grant_.region_bytes ||
      grant_.stack_area_bytes < binding_table_bytes() || grant_.region_bytes % kPageBytes != 0) {
    return Error{EPROTO,
                 "hostd granted a region whose layout this build does not understand: use binaries of one build"};
  }
  region_ = ::mmap(nullptr, region_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, attachment.fd(hostd::kFdRegion), 0);
  if (region_ == MAP_FAILED) {
    region_ = nullptr;
    return map_error("stack's memory");
  }
  void* status = ::mmap(nullptr, kPageBytes, PROT_READ, MAP_SHARED, attachment.fd(hostd::kFdStatus), 0);
  if (status == MAP_FAILED) {
    return map_error("status page");
  }
  status_ = static_cast<const hostd::StackStatusPage*>(status);
  const auto keep = [&](hostd::GrantDescriptor which) {
    const int fd = attachment.take_fd(which);
    return move != nullptr ? move(fd) : fd;
  };
  wake_fd_ = keep(hostd::kFdWake);
  const int kick_fd = keep(hostd::kFdKick);
  auto window = MappedViWindow::open(attachment.fd(hostd::kFdWindow), kick_fd, attachment.fd(hostd::kFdClock));
  ::syscall(SYS_close, kick_fd);  // the window has its own
  if (!window.ok()) {
    return window.error();
  }
  window_ = std::move(window).value();
  return {};
}

Status AttachedStack::format_if_first() {
  if (grant_.must_format == 0) {
    return {};
  }
  const size_t available = grant_.stack_area_bytes - binding_table_bytes();
  const stack::StackConfig config = config_for_grant(grant_, available);
  if (stack::Stack::region_bytes(config) > available) {
    return Error{ENOMEM, "hostd granted " + std::to_string(grant_.stack_area_bytes) + " bytes for a stack that needs " +
                             std::to_string(stack::Stack::region_bytes(config) + binding_table_bytes()) +
                             ": use binaries of one build"};
  }
  return stack::Stack::format(region_, stack::Stack::region_bytes(config), config);
}

Status AttachedStack::attach(hostd::HostdClient* client, bool is_helper, int format_wait_ms) {
  if (Status formatted = format_if_first(); !formatted.ok()) {
    return formatted;
  }
  auto* table = reinterpret_cast<PortBindingTable*>(static_cast<char*>(region_) + grant_.stack_area_bytes -
                                                    binding_table_bytes());
  ports_ = std::make_unique<PortBindings>(table, client, grant_.stack_id);
  waker_ = std::make_unique<EventfdWaker>(wake_fd_);
  stack::StackParts parts;
  parts.region = region_;
  parts.region_bytes = grant_.stack_area_bytes;
  parts.window = window_.get();
  parts.clock = &window_->clock();
  parts.ports = ports_.get();
  parts.waker = waker_.get();
  parts.helper = is_helper;
  for (int waited_ms = 0;; ++waited_ms) {
    auto attached = stack::Stack::attach(parts);
    if (attached.ok()) {
      stack_ = std::move(attached).value();
      return {};
    }
    // Another process formats it; the region's magic is written last.
    if (grant_.must_format != 0 || waited_ms >= format_wait_ms || !check_alive()) {
      return attached.error();
    }
    const timespec pause{0, 1'000'000};
    ::nanosleep(&pause, nullptr);
  }
}

AttachedStack::~AttachedStack() {
  stack_.reset();
  if (region_ != nullptr) {
    ::munmap(region_, region_bytes_);
  }
  if (status_ != nullptr) {
    ::munmap(const_cast<hostd::StackStatusPage*>(status_), kPageBytes);
  }
  if (wake_fd_ >= 0) {
    ::syscall(SYS_close, wake_fd_);
  }
}

bool AttachedStack::check_alive() {
  if (is_dead()) {
    return false;
  }
  if (__atomic_load_n(reinterpret_cast<const uint32_t*>(&status_->condition), __ATOMIC_ACQUIRE) ==
      static_cast<uint32_t>(hostd::StackCondition::kAlive)) [[likely]] {
    return true;
  }
  mark_dead();
  return false;
}

void AttachedStack::mark_dead() {
  if (!dead_.exchange(true, std::memory_order_acq_rel) && stack_ != nullptr) {
    stack_->mark_device_gone();
  }
}

bool AttachedStack::is_host_address(const stack::IpAddress& address) const {
  return address == from_wire(grant_.address);
}

bool AttachedStack::serves_destination(const stack::IpAddress& address) const {
  if (address.family != stack::AddressFamily::kIpv4 || address.bytes[0] == 127 || address.is_multicast() ||
      is_host_address(address)) {
    return false;
  }
  if (grant_.gateway.family != 0) {
    return true;
  }
  const uint32_t bits = std::min<uint32_t>(grant_.prefix_bits, 32);
  const uint32_t mask = bits == 0 ? 0 : ~uint32_t{0} << (32 - bits);
  return (address.to_ipv4() & mask) == (from_wire(grant_.address).to_ipv4() & mask);
}

size_t AttachedStack::poll() {
  if (!check_alive()) {
    return 0;
  }
  const size_t work = stack_->poll();
  ports_->flush();
  return work;
}

}  // namespace postern::preload
