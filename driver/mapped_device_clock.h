// The device clock of a live run: the clock page that the simulator advances, mapped read-only from its descriptor.
#pragma once

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

#include "contract/gen/pst_contract.h"
#include "driver/pci_function.h"
#include "driver/result.h"

namespace postern {

class MappedDeviceClock : public DeviceClock {
 public:
  // Maps the clock page of a descriptor that the device handed out; the descriptor may be closed afterwards.
  [[nodiscard]] static Result<std::unique_ptr<MappedDeviceClock>> open(int clock_page_fd) {
    void* page = mmap(nullptr, PST_LIMIT_PAGE_BYTES, PROT_READ, MAP_SHARED, clock_page_fd, PST_CLOCK_PAGE_OFFSET);
    if (page == MAP_FAILED)
      return Error{errno, std::string("cannot map the device clock page: ") + std::strerror(errno)};
    return std::unique_ptr<MappedDeviceClock>(new MappedDeviceClock(static_cast<const uint8_t*>(page)));
  }
  ~MappedDeviceClock() override { munmap(const_cast<uint8_t*>(page_), PST_LIMIT_PAGE_BYTES); }
  MappedDeviceClock(const MappedDeviceClock&) = delete;
  MappedDeviceClock& operator=(const MappedDeviceClock&) = delete;

  [[nodiscard]] uint64_t now_ns() const override {
    return __atomic_load_n(reinterpret_cast<const uint64_t*>(page_ + PST_CLOCK_TIME_NS_OFFSET), __ATOMIC_ACQUIRE);
  }
  // Grows with each function reset.
  [[nodiscard]] uint32_t generation() const {
    return __atomic_load_n(reinterpret_cast<const uint32_t*>(page_ + PST_CLOCK_GENERATION_OFFSET), __ATOMIC_ACQUIRE);
  }
  // Non-zero while the simulator sleeps and wants a kick. Look after a sequentially consistent store of the doorbell.
  [[nodiscard]] bool device_sleeping() const {
    return __atomic_load_n(reinterpret_cast<const uint32_t*>(page_ + PST_CLOCK_SLEEPING_OFFSET), __ATOMIC_SEQ_CST) != 0;
  }

 private:
  explicit MappedDeviceClock(const uint8_t* page) : page_(page) {}
  const uint8_t* page_;
};

}  // namespace postern
