// The commands of the vfio-user server, one function each. Every request is checked before anything changes.
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "sim/vfio_user_server.h"

namespace postern::sim {

using namespace vfio_user;  // this file is all about its messages

namespace {

constexpr uint32_t kConfigBytes = 4096;
constexpr uint32_t kIoFdsPerWindow = 2;  // kick eventfd and window memfd

// Size of a region, 0 if the device does not have it.
constexpr uint64_t region_bytes(uint32_t index) {
  switch (index) {
    case VFIO_PCI_BAR0_REGION_INDEX + PST_BAR_FUNCTION:
      return PST_BAR_FUNCTION_SIZE;
    case VFIO_PCI_BAR0_REGION_INDEX + PST_BAR_VI:
      return PST_BAR_VI_SIZE;
    case VFIO_PCI_BAR0_REGION_INDEX + PST_BAR_MSIX:
      return PST_BAR_MSIX_SIZE;
    case VFIO_PCI_CONFIG_REGION_INDEX:
      return kConfigBytes;
    default:
      return 0;
  }
}

constexpr bool in_clock_page(uint32_t region, uint64_t offset) {
  return region == PST_BAR_FUNCTION && offset >= PST_CLOCK_PAGE_OFFSET &&
         offset < PST_CLOCK_PAGE_OFFSET + PST_LIMIT_PAGE_BYTES;
}

// 0 if the access is one that the region can execute, else an errno value.
int check_access(const RegionAccessBody& access) {
  const uint64_t size = region_bytes(access.region);
  if (size == 0 || access.count == 0 || access.offset >= size || access.count > size - access.offset) return EINVAL;
  if (access.region == VFIO_PCI_CONFIG_REGION_INDEX) return 0;
  return (access.count == 4 || access.count == 8) && access.offset % access.count == 0 ? 0 : EINVAL;
}

// The widest naturally aligned access within [offset, offset + count) of configuration space.
unsigned config_width(uint64_t offset, uint32_t count) {
  if (offset % 4 == 0 && count >= 4) return 4;
  return offset % 2 == 0 && count >= 2 ? 2 : 1;
}

// Only an eventfd can be signalled; anything else is refused when it is connected and not when an interrupt comes.
bool is_eventfd(int fd) {
  std::array<char, 64> target{};
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  return readlink(link.c_str(), target.data(), target.size() - 1) > 0 &&
         std::strcmp(target.data(), "anon_inode:[eventfd]") == 0;
}

}  // namespace

VfioUserServer::Reply VfioUserServer::do_version(const Message& message) {
  VersionBody body;
  close_after_reply_ = true;  // unless all is well
  if (!decode(message.payload, body)) return Reply::with_error(EINVAL);
  if (body.major != kMajor) {
    log_of_client("vfio-user: client speaks major version " + std::to_string(body.major) + ", expected " +
                  std::to_string(kMajor));
    return Reply::with_error(EINVAL);
  }
  const auto wanted = decode_capabilities(message.payload.data() + sizeof(body), message.payload.size() - sizeof(body));
  if (!wanted.ok()) {
    log_of_client(wanted.error().message);
    return Reply::with_error(wanted.error().code);
  }
  close_after_reply_ = false;
  negotiated_ = true;
  client_max_fds_ = std::min<uint64_t>(wanted.value().max_msg_fds, kMaxMessageFds);
  client_max_transfer_bytes_ = std::min<uint64_t>(wanted.value().max_data_xfer_size, kMaxTransferBytes);

  Capabilities ours;
  ours.max_msg_fds = kMaxMessageFds;
  ours.max_data_xfer_size = kMaxTransferBytes;
  ours.max_dma_maps = std::min<uint64_t>(wanted.value().max_dma_maps, HostDmaRegions::kMaxRegions);
  ours.pgsizes = HostDmaRegions::kPageBytes;
  Reply reply;
  encode(reply.payload, VersionBody{kMajor, std::min(body.minor, kMinor)});
  const Payload text = encode_capabilities(ours);
  append(reply.payload, text.data(), text.size());
  return reply;
}

VfioUserServer::Reply VfioUserServer::do_dma_map(const Message& message) {
  DmaMapBody body;
  if (!decode(message.payload, body) || body.argsz < sizeof(body)) return Reply::with_error(EINVAL);
  if ((body.flags & ~(kDmaReadable | kDmaWritable)) != 0 || message.fds.size() > 1) return Reply::with_error(EINVAL);
  const HostDmaRegions::Request request{body.address, body.size, body.offset, (body.flags & kDmaReadable) != 0,
                                        (body.flags & kDmaWritable) != 0};
  static const UniqueFd kNone;
  const int error = memory_.map(request, message.fds.empty() ? kNone : message.fds.front());
  if (error == EINVAL && !message.fds.empty()) {
    log_of_client("vfio-user: refused a DMA map; it needs whole pages within a memfd that is sealed by F_SEAL_SHRINK");
  }
  return Reply::with_error(error);
}

VfioUserServer::Reply VfioUserServer::do_dma_unmap(const Payload& payload) {
  DmaUnmapBody body;
  if (!decode(payload, body) || body.argsz < sizeof(body)) return Reply::with_error(EINVAL);
  Reply reply;
  if (body.flags == kDmaUnmapAll && body.address == 0 && body.size == 0) {
    memory_.unmap_all();
  } else if (body.flags != 0) {
    reply.error = EINVAL;
  } else {
    reply.error = memory_.unmap(body.address, body.size);
  }
  encode(reply.payload, body);
  return reply;
}

VfioUserServer::Reply VfioUserServer::do_get_info(const Payload& payload) {
  DeviceInfoBody body;
  if (!decode(payload, body) || body.argsz < sizeof(body)) return Reply::with_error(EINVAL);
  body = {sizeof(body), VFIO_DEVICE_FLAGS_RESET | VFIO_DEVICE_FLAGS_PCI, VFIO_PCI_NUM_REGIONS, VFIO_PCI_NUM_IRQS};
  Reply reply;
  encode(reply.payload, body);
  return reply;
}

VfioUserServer::Reply VfioUserServer::do_get_region_info(const Payload& payload) {
  RegionInfoBody asked;
  if (!decode(payload, asked) || asked.argsz < sizeof(asked) || asked.index >= VFIO_PCI_NUM_REGIONS) {
    return Reply::with_error(EINVAL);
  }
  SparseRegionInfoBody body{};
  body.info.argsz = sizeof(body.info);
  body.info.index = asked.index;
  body.info.size = region_bytes(asked.index);
  if (body.info.size != 0) body.info.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;

  Reply reply;
  if (asked.index == PST_BAR_FUNCTION) {
    body.area = {PST_CLOCK_PAGE_OFFSET, PST_LIMIT_PAGE_BYTES};
  } else if (asked.index == PST_BAR_VI) {
    body.area = {0, PST_BAR_VI_SIZE};
  } else {
    encode(reply.payload, body.info);
    return reply;
  }
  body.info.flags |= VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_CAPS;
  body.info.argsz = sizeof(body);
  if (asked.argsz < sizeof(body)) {  // the client asks again with the size that it learns here
    encode(reply.payload, body.info);
    return reply;
  }
  body.info.cap_offset = offsetof(SparseRegionInfoBody, header);
  body.header.id = VFIO_REGION_INFO_CAP_SPARSE_MMAP;
  body.header.version = 1;
  body.area_count = 1;
  const int fd = asked.index == PST_BAR_VI ? pages_.region_fd() : pages_.clock_fd();
  if (fd < 0) return Reply::with_error(ENOMEM);
  reply.fds.push_back(fd);
  encode(reply.payload, body);
  return reply;
}

VfioUserServer::Reply VfioUserServer::do_get_region_io_fds(const Payload& payload) {
  RegionIoFdsBody body;
  if (!decode(payload, body) || body.argsz < sizeof(body) || body.flags != 0 || body.count != 0 ||
      region_bytes(body.index) == 0) {
    return Reply::with_error(EINVAL);
  }
  const uint32_t room = body.argsz;
  const size_t fits_fds = client_max_fds_ / kIoFdsPerWindow;
  const size_t count = body.index == PST_BAR_VI ? std::min(pages_.untaken_windows(), fits_fds) : 0;
  body.count = static_cast<uint32_t>(count);
  body.argsz = static_cast<uint32_t>(sizeof(body) + count * sizeof(SubRegionShadow));
  Reply reply;
  encode(reply.payload, body);
  if (room < body.argsz) return reply;  // nothing is handed out; the client asks again with more room

  reply.owned_fds.reserve(count);
  for (DoorbellPages::Window& window : pages_.take_windows(count)) {
    SubRegionShadow area;
    area.offset = static_cast<uint64_t>(window.vi_id) * PST_VI_WINDOW_STRIDE;
    area.size = PST_VI_WINDOW_STRIDE;
    area.fd_index = static_cast<uint32_t>(reply.fds.size());
    area.type = kIoFdShadow;
    area.shadow_fd_index = area.fd_index + 1;
    encode(reply.payload, area);
    reply.fds.push_back(window.kick_fd);
    reply.fds.push_back(window.window_fd.get());
    reply.owned_fds.push_back(std::move(window.window_fd));
  }
  return reply;
}

VfioUserServer::Reply VfioUserServer::do_get_irq_info(const Payload& payload) {
  IrqInfoBody body;
  if (!decode(payload, body) || body.argsz < sizeof(body) || body.index >= VFIO_PCI_NUM_IRQS) {
    return Reply::with_error(EINVAL);
  }
  const bool msix = body.index == VFIO_PCI_MSIX_IRQ_INDEX;
  body.argsz = sizeof(body);
  body.flags = msix ? VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_MASKABLE : 0;
  body.count = msix ? PST_LIMIT_MSIX_VECTOR_COUNT : 0;
  Reply reply;
  encode(reply.payload, body);
  return reply;
}

VfioUserServer::Reply VfioUserServer::do_set_irqs(const Message& message) {
  IrqSetBody body;
  if (!decode(message.payload, body) || body.argsz < sizeof(body) || body.index >= VFIO_PCI_NUM_IRQS)
    return Reply::with_error(EINVAL);
  const uint32_t data = body.flags & VFIO_IRQ_SET_DATA_TYPE_MASK;
  const uint32_t action = body.flags & VFIO_IRQ_SET_ACTION_TYPE_MASK;
  const auto one_bit = [](uint32_t bits) { return bits != 0 && (bits & (bits - 1)) == 0; };
  if ((data | action) != body.flags || !one_bit(data) || !one_bit(action)) return Reply::with_error(EINVAL);
  const uint32_t limit = body.index == VFIO_PCI_MSIX_IRQ_INDEX ? PST_LIMIT_MSIX_VECTOR_COUNT : 0;
  if (body.start > limit || body.count > limit - body.start) return Reply::with_error(EINVAL);
  if (!message.fds.empty() && data != VFIO_IRQ_SET_DATA_EVENTFD) return Reply::with_error(EINVAL);

  if (body.count == 0) {  // turns the whole interrupt type off
    if (body.start != 0 || data != VFIO_IRQ_SET_DATA_NONE || action != VFIO_IRQ_SET_ACTION_TRIGGER)
      return Reply::with_error(EINVAL);
    for (uint32_t vector = 0; vector < limit; ++vector) disconnect_interrupt(vector);
    return {};
  }
  if (data == VFIO_IRQ_SET_DATA_EVENTFD) {
    // Telling a client by eventfd that somebody masked an interrupt makes sense for INTx only, which we do not have.
    if (action != VFIO_IRQ_SET_ACTION_TRIGGER) return Reply::with_error(EINVAL);
    return Reply::with_error(connect_interrupts(body.start, body.count, message.fds));
  }
  const uint8_t* chosen = nullptr;
  if (data == VFIO_IRQ_SET_DATA_BOOL) {
    if (message.payload.size() < sizeof(body) + body.count) return Reply::with_error(EINVAL);
    chosen = message.payload.data() + sizeof(body);
  }
  for (uint32_t i = 0; i < body.count; ++i) {
    if (chosen == nullptr || chosen[i] != 0) act_on_interrupt(body.start + i, action);
  }
  return {};
}

int VfioUserServer::connect_interrupts(uint32_t start, uint32_t count, const std::vector<UniqueFd>& fds) {
  if (fds.empty()) {
    for (uint32_t i = 0; i < count; ++i) disconnect_interrupt(start + i);
    return 0;
  }
  if (fds.size() != count) return EINVAL;
  std::vector<UniqueFd> copies;
  for (const UniqueFd& fd : fds) {
    if (!is_eventfd(fd.get())) return EINVAL;
    copies.push_back(UniqueFd::duplicate_of(fd.get()));
    if (!copies.back().valid()) return EMFILE;
  }
  for (uint32_t i = 0; i < count; ++i) {
    interrupts_[start + i].event_fd = std::move(copies[i]);
    interrupts_[start + i].pending = false;
    backend_.interrupt_connected(start + i, true);
  }
  return 0;
}

void VfioUserServer::disconnect_interrupt(uint32_t vector) {
  if (!interrupts_[vector].event_fd.valid() && !interrupts_[vector].masked) return;
  interrupts_[vector] = Interrupt();
  backend_.interrupt_connected(vector, false);
}

void VfioUserServer::act_on_interrupt(uint32_t vector, uint32_t action) {
  Interrupt& interrupt = interrupts_[vector];
  if (action == VFIO_IRQ_SET_ACTION_MASK) {
    interrupt.masked = true;
  } else if (action == VFIO_IRQ_SET_ACTION_UNMASK) {
    interrupt.masked = false;
    if (interrupt.pending) signal(interrupt);
  } else {
    raise_msix(vector);
  }
}

void VfioUserServer::raise_msix(uint32_t vector) {
  if (vector >= interrupts_.size()) return;
  Interrupt& interrupt = interrupts_[vector];
  if (!interrupt.event_fd.valid()) {
    ++statistics_.interrupts_lost_count;
  } else if (interrupt.masked) {
    interrupt.pending = true;
  } else {
    signal(interrupt);
  }
}

// The eventfd may be shared with an application, which must not be able to stop the simulator.
void VfioUserServer::signal(Interrupt& interrupt) {
  interrupt.pending = false;
  if (signaller_.signal(interrupt.event_fd.get())) {
    ++statistics_.interrupts_count;
  } else {
    ++statistics_.interrupts_lost_count;
  }
}

VfioUserServer::Reply VfioUserServer::do_region_read(const Payload& payload) {
  RegionAccessBody access;
  if (!decode(payload, access) || access.count > client_max_transfer_bytes_) return Reply::with_error(EINVAL);
  const int error = check_access(access);
  if (error != 0) return Reply::with_error(error);
  Reply reply;
  encode(reply.payload, access);
  if (access.region == VFIO_PCI_CONFIG_REGION_INDEX) {
    for (uint32_t done = 0; done < access.count;) {
      const auto offset = static_cast<uint16_t>(access.offset + done);
      const unsigned width = config_width(offset, access.count - done);
      const uint32_t value = backend_.config_read(offset, width);
      for (unsigned i = 0; i < width; ++i) reply.payload.push_back(static_cast<uint8_t>(value >> (8 * i)));
      done += width;
    }
    return reply;
  }
  if (in_clock_page(access.region, access.offset)) {
    const uint64_t value =
        pages_.read_clock_page(static_cast<uint32_t>(access.offset - PST_CLOCK_PAGE_OFFSET), access.count);
    for (unsigned i = 0; i < access.count; ++i) reply.payload.push_back(static_cast<uint8_t>(value >> (8 * i)));
    return reply;
  }
  const uint64_t operation = operation_;
  backend_.bar_read(access.region, access.offset, access.count, [this, operation, access](uint64_t value) {
    Reply answer;
    encode(answer.payload, access);
    for (unsigned i = 0; i < access.count; ++i) answer.payload.push_back(static_cast<uint8_t>(value >> (8 * i)));
    finish(operation, std::move(answer));
  });
  reply.later = true;
  return reply;
}

VfioUserServer::Reply VfioUserServer::do_region_write(const Payload& payload) {
  RegionAccessBody access;
  if (!decode(payload, access) || access.count > kMaxTransferBytes) return Reply::with_error(EINVAL);
  if (payload.size() != sizeof(access) + access.count) return Reply::with_error(EINVAL);
  const int error = check_access(access);
  if (error != 0) return Reply::with_error(error);
  const uint8_t* data = payload.data() + sizeof(access);
  if (access.region == VFIO_PCI_CONFIG_REGION_INDEX) {
    for (uint32_t done = 0; done < access.count;) {
      const auto offset = static_cast<uint16_t>(access.offset + done);
      const unsigned width = config_width(offset, access.count - done);
      uint32_t value = 0;
      std::memcpy(&value, data + done, width);
      backend_.config_write(offset, width, value);
      done += width;
    }
  } else if (!in_clock_page(access.region, access.offset)) {  // the clock page is read-only
    uint64_t value = 0;
    std::memcpy(&value, data, access.count);
    backend_.bar_write(access.region, access.offset, access.count, value);
  }
  Reply reply;
  encode(reply.payload, access);
  return reply;
}

VfioUserServer::Reply VfioUserServer::do_reset(const Payload& payload) {
  if (!payload.empty()) return Reply::with_error(EINVAL);
  const uint64_t operation = operation_;
  backend_.reset([this, operation] { finish(operation, {}); });
  Reply reply;
  reply.later = true;
  return reply;
}

}  // namespace postern::sim
