// Resolution of the real functions. Racing threads resolve the same values, so no lock is needed.
#include "stack/preload/real_calls.h"

#include <dlfcn.h>

#include <cerrno>
#include <csignal>
#include <type_traits>

namespace postern::preload {
namespace detail {

constinit RealCalls real_calls{};
constinit std::atomic<bool> real_calls_resolved{false};

namespace {

template <typename Function>
struct Missing;

template <typename Return, typename... Args>
struct Missing<Return (*)(Args...)> {
  static Return call(Args...) {
    errno = ENOSYS;
    if constexpr (std::is_pointer_v<Return>) {
      return nullptr;
    } else if constexpr (!std::is_void_v<Return>) {
      return static_cast<Return>(-1);
    }
  }
};

template <typename Function>
void resolve(Function& slot, const char* name) {
  void* symbol = ::dlsym(RTLD_NEXT, name);
  Function found = symbol != nullptr ? reinterpret_cast<Function>(symbol) : &Missing<Function>::call;
  __atomic_store_n(&slot, found, __ATOMIC_RELEASE);
}

}  // namespace

void resolve_real_calls() {
  const int saved_errno = errno;
#define POSTERN_RESOLVE(ret, name, params, args, doc) resolve(real_calls.name, #name);
  POSTERN_INTERCEPTED_CALLS(POSTERN_RESOLVE)
#undef POSTERN_RESOLVE
  real_calls_resolved.store(true, std::memory_order_release);
  errno = saved_errno;
}

}  // namespace detail

SignalHold::SignalHold() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &saved_mask_);
}

SignalHold::~SignalHold() {
  const int saved_errno = errno;
  pthread_sigmask(SIG_SETMASK, &saved_mask_, nullptr);
  errno = saved_errno;
}

}  // namespace postern::preload
