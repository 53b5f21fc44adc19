// Signals eventfds that are shared with processes that are not trusted. A plain write() to an eventfd blocks while its
// counter is full, and whoever holds the descriptor can fill the counter and switch O_NONBLOCK off at any moment, also
// between a check and the write. The kernel's own signalling never blocks; it is reached here as the completion notice
// of an empty asynchronous read (io_submit(2), IOCB_FLAG_RESFD). Not thread-safe.
#pragma once

#include <linux/aio_abi.h>

#include "driver/unique_fd.h"

namespace postern {

class EventFdSignaller {
 public:
  EventFdSignaller();
  ~EventFdSignaller();
  EventFdSignaller(const EventFdSignaller&) = delete;
  EventFdSignaller& operator=(const EventFdSignaller&) = delete;

  // Adds 1 to the counter, or leaves a full one as it is. False: it is no eventfd, or the kernel is out of resources.
  bool signal(int event_fd);

  // Whether the kernel offers asynchronous I/O. Without it signal() falls back to a write() that a hostile holder could
  // block in a race; each holder must then be trusted.
  [[nodiscard]] bool safe_from_holders() const { return context_ != 0; }

 private:
  bool write_checked(int event_fd);
  void reap();

  aio_context_t context_ = 0;
  UniqueFd source_;              // what is read from: an empty memfd
  unsigned unreaped_count_ = 0;  // completions that are still in the kernel's ring
};

}  // namespace postern
