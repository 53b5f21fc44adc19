// Asynchronous reads of no bytes, whose completion signals an eventfd.
#include "driver/eventfd_signaller.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <ctime>

namespace postern {
namespace {

constexpr unsigned kRingEntries = 128;
constexpr unsigned kReapAt = 64;

}  // namespace

EventFdSignaller::EventFdSignaller() : source_(memfd_create("postern-empty", MFD_CLOEXEC)) {
  if (!source_.valid() || syscall(SYS_io_setup, kRingEntries, &context_) != 0) context_ = 0;
}

EventFdSignaller::~EventFdSignaller() {
  if (context_ != 0) syscall(SYS_io_destroy, context_);
}

bool EventFdSignaller::signal(int event_fd) {
  if (context_ == 0) return write_checked(event_fd);
  if (unreaped_count_ >= kReapAt) reap();
  iocb request{};
  request.aio_lio_opcode = IOCB_CMD_PREAD;
  request.aio_fildes = static_cast<uint32_t>(source_.get());
  request.aio_flags = IOCB_FLAG_RESFD;
  request.aio_resfd = static_cast<uint32_t>(event_fd);
  iocb* list = &request;
  if (syscall(SYS_io_submit, context_, 1L, &list) != 1) return false;
  ++unreaped_count_;
  return true;
}

void EventFdSignaller::reap() {
  io_event events[kRingEntries];
  timespec at_once{};
  syscall(SYS_io_getevents, context_, 0L, static_cast<long>(kRingEntries), events, &at_once);
  unreaped_count_ = 0;
}

bool EventFdSignaller::write_checked(int event_fd) {
  pollfd state{event_fd, POLLOUT, 0};
  const uint64_t one = 1;
  if (fcntl(event_fd, F_SETFL, O_NONBLOCK) != 0) return false;
  if (::poll(&state, 1, 0) != 1 || (state.revents & POLLOUT) == 0) return true;  // full: signalled already
  return ::write(event_fd, &one, sizeof(one)) == sizeof(one);
}

}  // namespace postern
