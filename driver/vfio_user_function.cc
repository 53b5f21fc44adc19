// The PCI function's operations in terms of vfio-user commands. The connection itself is in vfio_user_connection.cc.
#include "driver/vfio_user_function.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "driver/mapped_vi_window.h"

namespace postern {

using namespace vfio_user;

namespace {

constexpr uint64_t kPageBytes = PST_LIMIT_PAGE_BYTES;
constexpr uint64_t kDmaAddressEnd = uint64_t{1} << 46;
constexpr uint64_t kDmaAddressFirst = 0x1'0000'0000;
constexpr uint64_t kPauseMaxNs = 1'000'000;  // so that a loop around pause_ns() stays responsive
constexpr uint32_t kMsixEntryBytes = 16;

std::string errno_text(int code) { return std::strerror(code); }

// An interrupt line on an eventfd; also notices that the device hangs up.
class EventFdLine : public InterruptLine {
 public:
  EventFdLine(UniqueFd event_fd, UniqueFd connection)
      : event_fd_(std::move(event_fd)), connection_(std::move(connection)) {}

  [[nodiscard]] WaitOutcome wait(uint64_t timeout_ns) override {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    const uint64_t start_ns = static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
    const uint64_t deadline_ns = start_ns + std::min(timeout_ns, uint64_t{3'600'000'000'000});
    for (uint64_t now_ns = start_ns;;) {
      // The connection is watched for hang-up only: replies on it belong to the function's own thread.
      pollfd fds[2] = {{event_fd_.get(), POLLIN, 0}, {connection_.get(), POLLRDHUP, 0}};
      const uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
      const timespec left{static_cast<time_t>(left_ns / 1'000'000'000), static_cast<long>(left_ns % 1'000'000'000)};
      const int ready = ppoll(fds, 2, &left, nullptr);
      if (ready > 0 && (fds[0].revents & POLLIN) != 0) {
        uint64_t count = 0;
        if (::read(event_fd_.get(), &count, sizeof(count)) == sizeof(count)) return WaitOutcome::kSignalled;
      }
      if (ready > 0 && fds[1].revents != 0) return WaitOutcome::kDeviceGone;
      clock_gettime(CLOCK_MONOTONIC, &now);
      now_ns = static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
      if (now_ns >= deadline_ns) return WaitOutcome::kTimeout;
    }
  }
  [[nodiscard]] int event_fd() const override { return event_fd_.get(); }

 private:
  UniqueFd event_fd_;
  UniqueFd connection_;
};

}  // namespace

Result<uint64_t> VfioUserFunction::region_read(uint32_t region, uint64_t offset, unsigned width_bytes) {
  Payload payload;
  encode(payload, RegionAccessBody{offset, region, width_bytes});
  auto reply = call(kRegionRead, payload);
  if (!reply.ok()) return reply.error();
  RegionAccessBody header;
  if (!decode(reply->payload, header) || header.count != width_bytes ||
      reply->payload.size() < sizeof(header) + width_bytes) {
    return lost("the device answered a register read with another size");
  }
  uint64_t value = 0;
  std::memcpy(&value, reply->payload.data() + sizeof(header), width_bytes);
  return value;
}

Status VfioUserFunction::region_write(uint32_t region, uint64_t offset, unsigned width_bytes, uint64_t value,
                                      bool posted) {
  Payload payload;
  encode(payload, RegionAccessBody{offset, region, width_bytes});
  for (unsigned i = 0; i < width_bytes; ++i) payload.push_back(static_cast<uint8_t>(value >> (8 * i)));
  if (posted) return send(kRegionWrite, payload, {}, true);
  auto reply = call(kRegionWrite, payload);
  return reply.ok() ? Status() : Status(reply.error());
}

Result<uint32_t> VfioUserFunction::config_read(uint16_t offset, unsigned width_bytes) {
  if ((width_bytes != 1 && width_bytes != 2 && width_bytes != 4) || offset % width_bytes != 0) {
    return Error{EINVAL, "configuration access must be 1, 2 or 4 bytes wide and aligned"};
  }
  auto value = region_read(VFIO_PCI_CONFIG_REGION_INDEX, offset, width_bytes);
  if (!value.ok()) return value.error();
  return static_cast<uint32_t>(*value);
}

Status VfioUserFunction::config_write(uint16_t offset, unsigned width_bytes, uint32_t value) {
  if ((width_bytes != 1 && width_bytes != 2 && width_bytes != 4) || offset % width_bytes != 0) {
    return Error{EINVAL, "configuration access must be 1, 2 or 4 bytes wide and aligned"};
  }
  return region_write(VFIO_PCI_CONFIG_REGION_INDEX, offset, width_bytes, value, false);
}

Result<uint64_t> VfioUserFunction::bar_read(unsigned bar, uint64_t offset, unsigned width_bytes) {
  if ((width_bytes != 4 && width_bytes != 8) || offset % width_bytes != 0) {
    return Error{EINVAL, "BAR access must be 4 or 8 bytes wide and aligned"};
  }
  return region_read(bar, offset, width_bytes);
}

Status VfioUserFunction::bar_write(unsigned bar, uint64_t offset, unsigned width_bytes, uint64_t value) {
  if ((width_bytes != 4 && width_bytes != 8) || offset % width_bytes != 0) {
    return Error{EINVAL, "BAR access must be 4 or 8 bytes wide and aligned"};
  }
  return region_write(bar, offset, width_bytes, value, true);
}

Status VfioUserFunction::fetch_windows() {
  const size_t per_message = std::min<size_t>(kMaxMessageFds, 64) / 2;
  for (;;) {
    Payload payload;
    RegionIoFdsBody body;
    body.argsz = static_cast<uint32_t>(sizeof(body) + per_message * sizeof(SubRegionShadow));
    body.index = PST_BAR_VI;
    encode(payload, body);
    auto reply = call(kDeviceGetRegionIoFds, payload);
    if (!reply.ok()) return reply.error();
    if (!decode(reply->payload, body)) return lost("the device answered a window request with too few bytes");
    if (body.count == 0) return {};
    for (uint32_t i = 0; i < body.count; ++i) {
      SubRegionShadow area;
      const size_t at = sizeof(body) + i * sizeof(area);
      if (at > reply->payload.size() || !decode(reply->payload.data() + at, reply->payload.size() - at, area)) {
        return lost("the device announced more windows than it described");
      }
      if (area.type != kIoFdShadow || area.size != PST_VI_WINDOW_STRIDE || area.offset % PST_VI_WINDOW_STRIDE != 0 ||
          area.offset >= PST_BAR_VI_SIZE || area.shadow_offset != 0 || area.fd_index >= reply->fds.size() ||
          area.shadow_fd_index >= reply->fds.size()) {
        return lost("the device described a VI window that does not match the contract");
      }
      Window window{UniqueFd::duplicate_of(reply->fds[area.shadow_fd_index].get()),
                    UniqueFd::duplicate_of(reply->fds[area.fd_index].get())};
      if (!window.window_fd.valid() || !window.kick_fd.valid()) {
        return Error{EMFILE, "no descriptor left for a VI window; raise the limit of open files (ulimit -n)"};
      }
      windows_[static_cast<uint32_t>(area.offset / PST_VI_WINDOW_STRIDE)] = std::move(window);
    }
  }
}

Result<VfioUserFunction::Window*> VfioUserFunction::find_window(uint32_t vi_id) {
  // A VI that was freed and allocated again has a new window, so what is new comes first.
  if (Status fetched = fetch_windows(); !fetched.ok()) return fetched.error();
  const auto found = windows_.find(vi_id);
  if (found == windows_.end()) {
    return Error{ENOENT, "VI " + std::to_string(vi_id) +
                             " has no window to hand out: allocate it first; each window is handed out once"};
  }
  return &found->second;
}

Result<WindowDescriptors> VfioUserFunction::take_window(uint32_t vi_id) {
  auto window = find_window(vi_id);
  if (!window.ok()) return window.error();
  const WindowDescriptors descriptors{window.value()->window_fd.release(), window.value()->kick_fd.release()};
  windows_.erase(vi_id);
  return descriptors;
}

Result<std::unique_ptr<ViWindow>> VfioUserFunction::open_window(uint32_t vi_id) {
  auto window = find_window(vi_id);
  if (!window.ok()) return window.error();
  auto mapped = MappedViWindow::open(window.value()->window_fd.get(), window.value()->kick_fd.get(), clock_fd_.get());
  if (!mapped.ok()) return mapped.error();
  return std::unique_ptr<ViWindow>(std::move(mapped).value());
}

// Addresses are not used again before the whole space has been used, so that a stale one is noticed. A page lies
// between two mappings, so that running over the end is noticed as well.
uint64_t VfioUserFunction::choose_dma_address(uint64_t size_bytes) {
  for (int pass = 0; pass < 2; ++pass) {
    uint64_t address = next_dma_address_;
    while (address + size_bytes + kPageBytes <= kDmaAddressEnd) {
      auto after = dma_bytes_.upper_bound(address + size_bytes);
      if (after == dma_bytes_.begin()) return address;
      const auto& [first, bytes] = *std::prev(after);
      if (first + bytes + kPageBytes <= address) return address;
      address = first + bytes + kPageBytes;
    }
    next_dma_address_ = kDmaAddressFirst;
  }
  return 0;
}

Result<uint64_t> VfioUserFunction::dma_map(const DmaMemory& memory) {
  if (memory.fd < 0) return Error{EINVAL, "memory for a live device must be a memfd; this one has no descriptor"};
  if (memory.size_bytes == 0 || memory.size_bytes % kPageBytes != 0 || memory.fd_offset % kPageBytes != 0 ||
      memory.size_bytes > kDmaAddressEnd / 2) {
    return Error{EINVAL, "DMA memory must be whole pages of 4096 bytes"};
  }
  const int seals = fcntl(memory.fd, F_GET_SEALS);
  if (seals < 0 || ((seals & F_SEAL_SHRINK) == 0 && fcntl(memory.fd, F_ADD_SEALS, F_SEAL_SHRINK) != 0)) {
    return Error{EINVAL, "DMA memory must not shrink: make it by memfd_create(..., MFD_ALLOW_SEALING)"};
  }
  const uint64_t address = choose_dma_address(memory.size_bytes);
  if (address == 0) return Error{ENOSPC, "no DMA address range left"};
  Payload payload;
  encode(payload,
         DmaMapBody{sizeof(DmaMapBody), kDmaReadable | kDmaWritable, memory.fd_offset, address, memory.size_bytes});
  auto reply = call(kDmaMap, payload, {memory.fd});
  if (!reply.ok()) return reply.error();
  dma_bytes_[address] = memory.size_bytes;
  next_dma_address_ = address + memory.size_bytes + kPageBytes;
  return address;
}

Status VfioUserFunction::dma_unmap(uint64_t dma_address) {
  const auto found = dma_bytes_.find(dma_address);
  if (found == dma_bytes_.end()) return Error{ENOENT, "this DMA address is not mapped"};
  Payload payload;
  encode(payload, DmaUnmapBody{sizeof(DmaUnmapBody), 0, dma_address, found->second});
  auto reply = call(kDmaUnmap, payload);
  if (!reply.ok()) return reply.error();
  dma_bytes_.erase(found);
  return {};
}

// Address and data of the entry are what a host bridge would assign; here only the mask bit has a meaning.
Status VfioUserFunction::unmask_vector(uint32_t vector) {
  const uint64_t entry = PST_MSIX_TABLE_OFFSET + static_cast<uint64_t>(vector) * kMsixEntryBytes;
  if (Status done = bar_write(PST_BAR_MSIX, entry, 8, 0xfee00000u); !done.ok()) return done;
  return bar_write(PST_BAR_MSIX, entry + 8, 8, vector);
}

Status VfioUserFunction::connect_interrupt(uint32_t vector, int event_fd) {
  if (vector >= PST_LIMIT_MSIX_VECTOR_COUNT) return Error{EINVAL, "interrupt vector beyond the MSI-X table"};
  Payload payload;
  encode(payload, IrqSetBody{sizeof(IrqSetBody), VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
                             VFIO_PCI_MSIX_IRQ_INDEX, vector, 1});
  auto reply = event_fd >= 0 ? call(kDeviceSetIrqs, payload, {event_fd}) : call(kDeviceSetIrqs, payload);
  if (!reply.ok()) return reply.error();
  vectors_.erase(std::remove(vectors_.begin(), vectors_.end(), vector), vectors_.end());
  if (event_fd < 0) return {};
  vectors_.push_back(vector);
  return unmask_vector(vector);
}

Result<std::unique_ptr<InterruptLine>> VfioUserFunction::open_interrupt(uint32_t vector) {
  UniqueFd event_fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  UniqueFd connection = UniqueFd::duplicate_of(socket_.fd());
  if (!gone_reason_.empty()) return lost(gone_reason_);
  if (!event_fd.valid() || !connection.valid()) return Error{errno, "cannot make an eventfd: " + errno_text(errno)};
  if (Status connected = connect_interrupt(vector, event_fd.get()); !connected.ok()) return connected.error();
  return std::unique_ptr<InterruptLine>(new EventFdLine(std::move(event_fd), std::move(connection)));
}

Status VfioUserFunction::reset() {
  auto reply = call(kDeviceReset, {}, {}, options_.reset_timeout_ms);
  if (!reply.ok()) return reply.error();
  windows_.clear();
  if (Status enabled = enable_function(); !enabled.ok()) return enabled;
  for (uint32_t vector : vectors_) {
    if (Status unmasked = unmask_vector(vector); !unmasked.ok()) return unmasked;
  }
  return {};
}

void VfioUserFunction::pause_ns(uint64_t duration_ns) {
  const timespec duration{0, static_cast<long>(std::min(duration_ns, kPauseMaxNs))};
  clock_nanosleep(CLOCK_MONOTONIC, 0, &duration, nullptr);
}

}  // namespace postern
