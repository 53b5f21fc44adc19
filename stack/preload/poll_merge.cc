// Merging of poll results. See poll_merge.h.
#include "stack/preload/poll_merge.h"

#include "stack/preload/epoll_set.h"
#include "stack/preload/process.h"

namespace postern::preload {

PollMerge::PollMerge(const pollfd* fds, nfds_t count, Classify classify) {
  std::vector<Source> sources;
  bool any = false;
  for (nfds_t i = 0; i < count; ++i) {
    Source source = fds[i].fd < 0 ? Source{} : classify(fds[i].fd);
    if (source.object && !any) {
      any = true;
      sources.resize(count);
    }
    if (any) {
      sources[i] = std::move(source);
    }
  }
  if (!any) {
    return;
  }
  kernel_fds_.push_back(pollfd{-1, 0, 0});
  kernel_indices_.push_back(0);
  for (nfds_t i = 0; i < count; ++i) {
    const bool has_object = static_cast<bool>(sources[i].object);
    const bool kernel_too = !has_object || sources[i].object.get()->type() == FdObjectType::kEpoll;
    if (has_object) {
      entries_.push_back(Entry{i, std::move(sources[i].object), kernel_too ? kernel_fds_.size() : 0});
    }
    if (kernel_too) {
      kernel_fds_.push_back(pollfd{fds[i].fd, fds[i].events, 0});
      kernel_indices_.push_back(i);
    }
  }
}

void PollMerge::add_stacks(StackSet* stacks) const {
  for (const Entry& entry : entries_) {
    if (entry.object.get()->type() == FdObjectType::kEndpoint) {
      stacks->add(static_cast<EndpointFd*>(entry.object.get())->stack);
    } else {
      static_cast<EpollSet*>(entry.object.get())->add_stacks(stacks);
    }
  }
}

short PollMerge::revents_of(const Entry& entry, short events) {
  const auto wanted = static_cast<uint32_t>(static_cast<unsigned short>(events)) | POLLERR | POLLHUP;
  if (entry.object.get()->type() == FdObjectType::kEndpoint) {
    return static_cast<short>(static_cast<EndpointFd*>(entry.object.get())->readiness() & wanted);
  }
  return static_cast<short>(static_cast<EpollSet*>(entry.object.get())->any_ready() ? wanted & (POLLIN | POLLRDNORM)
                                                                                    : 0);
}

bool PollMerge::any_endpoint_ready(const pollfd* fds) const {
  for (const Entry& entry : entries_) {
    if (revents_of(entry, fds[entry.index].events) != 0) {
      return true;
    }
  }
  return false;
}

int PollMerge::look(pollfd* fds, nfds_t count) {
  if (kernel_fds_.size() > 1) {
    kernel_fds_[0].fd = -1;
    if (real().poll(kernel_fds_.data(), kernel_fds_.size(), 0) < 0) {
      return -1;
    }
  }
  for (nfds_t i = 0; i < count; ++i) {
    fds[i].revents = 0;
  }
  for (size_t i = 1; i < kernel_fds_.size(); ++i) {
    fds[kernel_indices_[i]].revents = kernel_fds_[i].revents;
  }
  for (const Entry& entry : entries_) {
    fds[entry.index].revents =
        static_cast<short>(fds[entry.index].revents | revents_of(entry, fds[entry.index].events));
  }
  int ready = 0;
  for (nfds_t i = 0; i < count; ++i) {
    ready += fds[i].revents != 0 ? 1 : 0;
  }
  return ready;
}

}  // namespace postern::preload
