// The one loop of every blocking socket call: try, and while the stack says -EAGAIN, wait for readiness within the
// socket's time-out. Hides sleeping, signals and the loss of device or hostd.
#pragma once

#include <pthread.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>

#include "stack/preload/process.h"
#include "stack/preload/sleeper.h"

namespace postern::preload {

// The socket's SO_RCVTIMEO or SO_SNDTIMEO as nanoseconds; 0: none.
[[nodiscard]] uint64_t socket_timeout_ns(stack::Stack& stack, int endpoint, int option_name);

// attempt(stack, endpoint id): result >= 0, or -errno; -EAGAIN means "not yet". events: what to wait for. With
// nonblocking the first -EAGAIN (after one poll of the stack) is the answer. A time-out answers -EAGAIN. A signal
// answers -EINTR, unless Linux would restart the call.
template <typename Attempt>
int64_t blocking_call(EndpointFd& endpoint, uint32_t events, bool nonblocking, int timeout_option, Attempt attempt) {
  ::pthread_testcancel();  // as in libc, also if the call need not wait; inside the stack no thread is cancelled
  int error = 0;
  stack::Stack* stack = endpoint.live(&error);
  if (stack == nullptr) {
    return error;
  }
  int64_t result = attempt(*stack, endpoint.endpoint);
  if (result != -EAGAIN) {
    return result;
  }
  endpoint.stack->poll();
  Process::get().check_hostd(false);
  if (nonblocking) {
    stack = endpoint.live(&error);
    return stack == nullptr ? error : attempt(*stack, endpoint.endpoint);
  }
  StackSet stacks;
  stacks.add(endpoint.stack);
  const uint64_t timeout_ns = socket_timeout_ns(*stack, endpoint.endpoint, timeout_option);
  const uint64_t deadline_ns = timeout_ns == 0 ? kNoDeadline : monotonic_ns() + timeout_ns;
  Sleeper sleeper(stacks, deadline_ns);
  std::vector<pollfd> fds(1);
  for (;;) {
    stack = endpoint.live(&error);
    if (stack == nullptr) {
      return error;
    }
    result = attempt(*stack, endpoint.endpoint);
    if (result != -EAGAIN) {
      return result;
    }
    if (deadline_ns != kNoDeadline && monotonic_ns() >= deadline_ns) {
      return -EAGAIN;
    }
    const SleepResult slept = sleeper.wait(fds, [&] { return (endpoint.readiness() & events) != 0; });
    if (slept == SleepResult::kInterrupted && (timeout_ns != 0 || !interrupted_call_restarts())) {
      return -EINTR;
    }
    stacks.poll();
    Process::get().check_hostd(false);
  }
}

}  // namespace postern::preload
