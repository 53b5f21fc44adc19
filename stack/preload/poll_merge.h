// One poll() call over endpoints and kernel descriptors: sorts the entries into the two kinds, looks at both, and
// writes one set of results. Knows nothing of sleeping; see poll_calls.cc.
#pragma once

#include <poll.h>

#include <vector>

#include "stack/preload/fd_table.h"
#include "stack/preload/sleeper.h"

namespace postern::preload {

class PollMerge {
 public:
  // What an entry refers to: an endpoint, an epoll set, or (empty) something of the kernel's.
  struct Source {
    FdRef object;
  };
  using Classify = Source (*)(int fd);

  PollMerge(const pollfd* fds, nfds_t count, Classify classify);

  // Whether any entry is not purely the kernel's.
  [[nodiscard]] bool mixed() const { return !entries_.empty(); }
  void add_stacks(StackSet* stacks) const;
  // Kernel entries for ppoll, with one unused element in front.
  [[nodiscard]] std::vector<pollfd>& kernel_fds() { return kernel_fds_; }

  // Looks at everything without waiting; writes all revents. Returns how many entries are ready, or -1 with errno.
  [[nodiscard]] int look(pollfd* fds, nfds_t count);
  // Whether look() would find an endpoint ready. No system call.
  [[nodiscard]] bool any_endpoint_ready(const pollfd* fds) const;

 private:
  struct Entry {
    size_t index;  // in the caller's array
    FdRef object;
    size_t kernel_index;  // in kernel_fds_ for epoll sets, which are looked at on both sides; 0: none
  };
  [[nodiscard]] static short revents_of(const Entry& entry, short events);

  std::vector<Entry> entries_;
  std::vector<pollfd> kernel_fds_;
  std::vector<size_t> kernel_indices_;  // position in the caller's array, parallel to kernel_fds_
};

}  // namespace postern::preload
