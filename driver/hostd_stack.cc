// Building and freeing the resources of one stack: see hostd_stack.h.
#include "driver/hostd_stack.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

namespace postern::hostd {
namespace {

uint64_t page_round_up(uint64_t bytes) {
  return (bytes + PST_LIMIT_PAGE_BYTES - 1) & ~static_cast<uint64_t>(PST_LIMIT_PAGE_BYTES - 1);
}

// splitmix64: spreads a host's seed over its stacks.
uint64_t mix(uint64_t value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

}  // namespace

WireAddress to_wire(const HostAddress& address) {
  WireAddress wire;
  wire.family = static_cast<uint32_t>(address.family);
  std::copy(address.bytes.begin(), address.bytes.end(), wire.bytes);
  return wire;
}

HostAddress from_wire(const WireAddress& wire) {
  HostAddress address;
  if (wire.family == static_cast<uint32_t>(HostAddress::Family::kIpv4)) {
    address = HostAddress::ipv4(wire.bytes[0], wire.bytes[1], wire.bytes[2], wire.bytes[3]);
  }
  return address;
}

// --- status page ---

Result<std::unique_ptr<StatusPage>> StatusPage::create(uint32_t stack_id) {
  UniqueFd fd(memfd_create("postern-stack-status", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid() || ftruncate(fd.get(), PST_LIMIT_PAGE_BYTES) != 0) {
    return Error{errno, fmt::format("cannot make a status page: {}", std::strerror(errno))};
  }
  void* page = mmap(nullptr, PST_LIMIT_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (page == MAP_FAILED) {
    return Error{errno, fmt::format("cannot map a status page: {}", std::strerror(errno))};
  }
  auto* content = new (page) StackStatusPage();
  content->hostd_pid = static_cast<uint32_t>(getpid());
  content->stack_id = stack_id;
  auto result = std::unique_ptr<StatusPage>(new StatusPage(std::move(fd), content));
  if (fcntl(result->fd(), F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return Error{errno,
                 fmt::format("cannot seal a status page: {}; Linux 5.1 or later is needed", std::strerror(errno))};
  }
  return result;
}

StatusPage::~StatusPage() { munmap(page_, PST_LIMIT_PAGE_BYTES); }

void StatusPage::set(StackCondition condition) {
  __atomic_store_n(reinterpret_cast<uint32_t*>(&page_->condition), static_cast<uint32_t>(condition), __ATOMIC_RELEASE);
}

// --- stack record ---

Result<std::unique_ptr<StackRecord>> StackRecord::create(DeviceSession& device, const StackSettings& settings,
                                                         uint32_t stack_id) {
  std::unique_ptr<StackRecord> record(new StackRecord(device));
  if (Status status = record->build(settings, stack_id); !status) {
    (void)record->release(StackCondition::kFreed);
    return status.error();
  }
  return record;
}

StackRecord::~StackRecord() { forget(StackCondition::kFreed); }

Status StackRecord::build(const StackSettings& settings, uint32_t stack_id) {
  const DeviceInfo& info = device_.manager().device();
  grant.stack_id = stack_id;
  grant.is_host_stack = stack_id == kHostStackId ? 1 : 0;
  grant.mtu_bytes = settings.mtu_bytes;
  grant.prefix_bits = settings.prefix_bits;
  grant.address = to_wire(settings.address);
  grant.gateway = to_wire(settings.gateway);
  grant.device_features = info.features;
  grant.link_speed_mbps = info.link_speed_mbps;
  grant.seed = mix(settings.seed ^ (uint64_t{device_.generation()} << 32 | stack_id));
  std::copy(info.mac.begin(), info.mac.end(), grant.mac);
  std::copy_n(settings.host.data(), std::min<size_t>(settings.host.size(), kHostNameBytes - 1), grant.host);

  // Region: stack area | rings.
  grant.stack_area_offset = 0;
  grant.stack_area_bytes = page_round_up(settings.stack_area_bytes);
  grant.layout.geometry = settings.geometry;
  grant.region_bytes = grant.stack_area_bytes + vi_layout_place(grant.layout, grant.stack_area_bytes);

  Result<DmaMemory> region = device_.allocator().allocate(grant.region_bytes, "postern-stack");
  if (!region) {
    return region.error();
  }
  region_ = *region;
  ViOptions options;
  options.host_stack = grant.is_host_stack != 0;
  options.evq_policy = EvqPolicy::kDrop;  // a stack that does not consume must not fill the port's receive buffer
  Result<ViGrant> made = device_.manager().create_vi(region_, grant.layout, options);
  if (!made) {
    return made.error();
  }
  vi = *made;
  has_vi_ = true;
  grant.vi_id = vi.vi_id;
  return open_descriptors();
}

Status StackRecord::open_descriptors() {
  Result<std::unique_ptr<StatusPage>> page = StatusPage::create(grant.stack_id);
  if (!page) {
    return page.error();
  }
  status_ = std::move(page).value();
  Result<std::unique_ptr<InterruptLine>> line = device_.function().open_interrupt(vi.vector);
  if (!line) {
    return line.error();
  }
  line_ = std::move(line).value();
  Result<WindowDescriptors> window = device_.function().take_window(vi.vi_id);
  if (!window) {
    return window.error();
  }
  window_fd_.reset(window->window_fd);
  kick_fd_.reset(window->kick_fd);
  clock_fd_ = UniqueFd::duplicate_of(device_.function().clock_page_fd());
  wake_fd_ = UniqueFd::duplicate_of(line_->event_fd());
  if (!clock_fd_.valid() || !wake_fd_.valid()) {
    return Error{EMFILE, "no descriptor is left for another stack: raise hostd's limit of open files"};
  }
  return {};
}

void StackRecord::fill_descriptors(int (&fds)[kGrantDescriptors]) const {
  fds[kFdRegion] = region_.fd;
  fds[kFdWindow] = window_fd_.get();
  fds[kFdKick] = kick_fd_.get();
  fds[kFdClock] = clock_fd_.get();
  fds[kFdWake] = wake_fd_.get();
  fds[kFdStatus] = status_->fd();
}

void StackRecord::tell_processes(StackCondition condition) {
  if (status_) {
    status_->set(condition);
  }
  if (wake_fd_.valid()) {
    (void)device_.signaller().signal(wake_fd_.get());  // the status page says it too; a failure only delays
  }
}

void StackRecord::free_memory() {
  line_.reset();
  if (region_.base != nullptr) {
    device_.allocator().release(region_);
    region_ = DmaMemory{};
  }
  status_.reset();
  wake_fd_.reset();
}

Status StackRecord::release(StackCondition condition) {
  Status status;
  tell_processes(condition);
  if (has_vi_ && device_.is_open()) {
    status = device_.manager().free_vi(vi.vi_id);
  }
  has_vi_ = false;
  free_memory();
  return status;
}

void StackRecord::forget(StackCondition condition) {
  has_vi_ = false;
  tell_processes(condition);
  free_memory();
}

}  // namespace postern::hostd
