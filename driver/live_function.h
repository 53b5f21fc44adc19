// What hostd needs from a live transport beyond PciFunction: descriptors that it can hand to other processes, and a
// descriptor that tells when the device is gone. Implemented by driver/vfio_user_function.h.
#pragma once

#include "driver/pci_function.h"

namespace postern {

// Descriptors of one VI window, owned by the caller (close them).
struct WindowDescriptors {
  int window_fd = -1;  // memfd of PST_VI_WINDOW_STRIDE bytes: doorbell page, then PIO page
  int kick_fd = -1;    // eventfd that wakes a sleeping simulator
};

class LiveFunction : public PciFunction {
 public:
  // The window of a VI that has just been allocated. Each window is handed out once per VI_ALLOC.
  [[nodiscard]] virtual Result<WindowDescriptors> take_window(uint32_t vi_id) = 0;
  // The device clock page, read-only. Owned by the function.
  [[nodiscard]] virtual int clock_page_fd() const = 0;
  // Becomes readable or hangs up when the transport has something to say or is gone; -1 if there is none.
  [[nodiscard]] virtual int connection_fd() const = 0;
  // Handles what connection_fd() announced. An error means that the device is gone; every later call fails at once.
  [[nodiscard]] virtual Status service_connection() = 0;
};

}  // namespace postern
