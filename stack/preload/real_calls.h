// The functions that the library stands in front of: libc's own, found with dlsym(RTLD_NEXT). Usable before any
// constructor has run. Everything in this library reaches the kernel through real().
#pragma once

#include <atomic>

#include "stack/preload/intercepted_calls.h"

namespace postern::preload {

struct RealCalls {
#define POSTERN_REAL_MEMBER(ret, name, params, args, doc) ret(*name) params;
  POSTERN_INTERCEPTED_CALLS(POSTERN_REAL_MEMBER)
#undef POSTERN_REAL_MEMBER
};

namespace detail {
extern RealCalls real_calls;
extern std::atomic<bool> real_calls_resolved;
void resolve_real_calls();
}  // namespace detail

// Threads: any. A symbol that this libc lacks is a function that fails with ENOSYS.
inline const RealCalls& real() {
  if (!detail::real_calls_resolved.load(std::memory_order_acquire)) [[unlikely]] {
    detail::resolve_real_calls();
  }
  return detail::real_calls;
}

// Holds off all signals of this thread while it exists: around locks that a handler's calls might want, and around
// sleeping, so that a handler runs only inside the kernel's wait (and is seen as EINTR, as in a real blocking call).
// Keeps errno.
class SignalHold {
 public:
  SignalHold();
  ~SignalHold();
  SignalHold(const SignalHold&) = delete;
  SignalHold& operator=(const SignalHold&) = delete;
  [[nodiscard]] const sigset_t* saved_mask() const { return &saved_mask_; }

 private:
  sigset_t saved_mask_;
};

}  // namespace postern::preload
