// A VI window as shared memory: stores go to the pages that the simulator polls, and a simulator that sleeps is kicked.
// Used by applications, stack helpers and VfioUserFunction. Packet walk: the host's side of the doorbell in a live run.
#pragma once

#include <cstdint>
#include <memory>

#include "driver/mapped_device_clock.h"
#include "driver/pci_function.h"
#include "driver/result.h"
#include "driver/unique_fd.h"

namespace postern {

class MappedViWindow : public ViWindow {
 public:
  // Maps the window and the clock page and duplicates the kick eventfd; the caller keeps its descriptors.
  [[nodiscard]] static Result<std::unique_ptr<MappedViWindow>> open(int window_fd, int kick_fd, int clock_page_fd);
  ~MappedViWindow() override;
  MappedViWindow(const MappedViWindow&) = delete;
  MappedViWindow& operator=(const MappedViWindow&) = delete;

  // No system call unless the simulator sleeps. Callable from any thread; the order of writes is the caller's business.
  void write_doorbell(uint32_t offset, uint64_t value) override;
  [[nodiscard]] uint64_t read_doorbell(uint32_t offset) const override;
  void write_pio(uint32_t offset_bytes, const void* data, size_t size_bytes) override;

  // The window's own descriptor of the kick eventfd.
  [[nodiscard]] int kick_fd() const { return kick_fd_.get(); }
  // The device clock that came with the window.
  [[nodiscard]] const MappedDeviceClock& clock() const { return *clock_; }

 private:
  MappedViWindow(uint8_t* base, UniqueFd kick_fd, std::unique_ptr<MappedDeviceClock> clock)
      : base_(base), kick_fd_(std::move(kick_fd)), clock_(std::move(clock)) {}

  uint8_t* base_;
  UniqueFd kick_fd_;
  std::unique_ptr<MappedDeviceClock> clock_;
};

}  // namespace postern
