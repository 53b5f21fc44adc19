// Doorbell stores and the client's half of the sleep/kick protocol (the other half: sim/doorbell_pages.cc).
#include "driver/mapped_vi_window.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>
#include <cstring>
#include <string>

namespace postern {
namespace {

constexpr bool is_32_bit(uint32_t offset) {
  return offset == PST_VI_RX_DOORBELL_OFFSET || offset == PST_VI_TX_DOORBELL_OFFSET ||
         offset == PST_VI_EVQ_CONSUMER_OFFSET || offset == PST_VI_TX_PUSH_DOORBELL_OFFSET;
}

}  // namespace

Result<std::unique_ptr<MappedViWindow>> MappedViWindow::open(int window_fd, int kick_fd, int clock_page_fd) {
  auto clock = MappedDeviceClock::open(clock_page_fd);
  if (!clock.ok()) return clock.error();
  UniqueFd kick = UniqueFd::duplicate_of(kick_fd);
  if (!kick.valid()) return Error{errno, std::string("cannot duplicate the kick eventfd: ") + std::strerror(errno)};
  void* base = mmap(nullptr, PST_VI_WINDOW_STRIDE, PROT_READ | PROT_WRITE, MAP_SHARED, window_fd, 0);
  if (base == MAP_FAILED) return Error{errno, std::string("cannot map the VI window: ") + std::strerror(errno)};
  return std::unique_ptr<MappedViWindow>(
      new MappedViWindow(static_cast<uint8_t*>(base), std::move(kick), std::move(clock).value()));
}

MappedViWindow::~MappedViWindow() { munmap(base_, PST_VI_WINDOW_STRIDE); }

void MappedViWindow::write_doorbell(uint32_t offset, uint64_t value) {
  assert(offset % 8 == 0 && offset < PST_LIMIT_PAGE_BYTES);
  uint8_t* at = base_ + PST_VI_DOORBELL_PAGE_OFFSET + offset;
  if (offset == PST_VI_TX_PUSH_DESCRIPTOR_LO_OFFSET || offset == PST_VI_TX_PUSH_DESCRIPTOR_HI_OFFSET) {
    // Asks for nothing by itself: the exchange of the doorbell that follows makes it visible and kicks.
    __atomic_store_n(reinterpret_cast<uint64_t*>(at), value, __ATOMIC_RELEASE);
    return;
  }
  // An exchange in the sequentially consistent order, for two reasons. Whoever sees the doorbell sees the descriptors
  // and buffers that were stored before it. And it is a full fence before the look at SLEEPING: a plain store could
  // still be in the store buffer then, and both sides would miss each other.
  if (is_32_bit(offset)) {
    __atomic_exchange_n(reinterpret_cast<uint32_t*>(at), static_cast<uint32_t>(value), __ATOMIC_SEQ_CST);
  } else {
    __atomic_exchange_n(reinterpret_cast<uint64_t*>(at), value, __ATOMIC_SEQ_CST);
  }
  if (clock_->device_sleeping()) {
    const uint64_t one = 1;
    // A full counter (EAGAIN) means that the kick is already there; a closed one that the device is gone. Not write():
    // that is a cancellation point, and the caller holds the stack's lock; libpostern interposes it, too.
    syscall(SYS_write, kick_fd_.get(), &one, sizeof(one));
  }
}

uint64_t MappedViWindow::read_doorbell(uint32_t offset) const {
  assert(offset % 8 == 0 && offset < PST_LIMIT_PAGE_BYTES);
  const uint8_t* at = base_ + PST_VI_DOORBELL_PAGE_OFFSET + offset;
  return is_32_bit(offset) ? __atomic_load_n(reinterpret_cast<const uint32_t*>(at), __ATOMIC_RELAXED)
                           : __atomic_load_n(reinterpret_cast<const uint64_t*>(at), __ATOMIC_RELAXED);
}

void MappedViWindow::write_pio(uint32_t offset_bytes, const void* data, size_t size_bytes) {
  assert(offset_bytes + size_bytes <= PST_LIMIT_PIO_BYTES);
  std::memcpy(base_ + PST_VI_PIO_PAGE_OFFSET + offset_bytes, data, size_bytes);
}

}  // namespace postern
