// Slow paths of the stack's lock: futex waits, liveness of the owner. The protocol is described in stack_lock.h.
#include "stack/stack_lock.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>

namespace postern::stack {
namespace {

thread_local uint32_t cached_thread_id = 0;

// The child of a fork has one thread, which runs this: its cached id is the parent's.
const int kForkHandlerInstalled = pthread_atfork(nullptr, nullptr, [] { cached_thread_id = 0; });

void cpu_pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

void sleep_ns(long duration_ns) {
  const timespec duration{0, duration_ns};
  nanosleep(&duration, nullptr);
}

}  // namespace

uint32_t current_thread_id() {
  if (cached_thread_id == 0) {
    (void)kForkHandlerInstalled;
    cached_thread_id = static_cast<uint32_t>(syscall(SYS_gettid));
  }
  return cached_thread_id;
}

bool thread_is_alive(uint32_t thread_id) {
  if (kill(static_cast<pid_t>(thread_id), 0) != 0 && errno == ESRCH) return false;
  // A killed process that its parent has not reaped still exists for kill(2); its state says that it does not run.
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%u/stat", thread_id);
  const int fd = static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC));
  if (fd < 0) return true;  // no /proc: trust kill(2)
  char text[512];
  const auto size = syscall(SYS_read, fd, text, sizeof text - 1);
  syscall(SYS_close, fd);
  if (size <= 0) return false;  // it ended between open and read
  text[size] = '\0';
  const char* after_name = std::strrchr(text, ')');
  if (after_name == nullptr || after_name[1] == '\0') return true;
  const char state = after_name[2];
  return state != 'Z' && state != 'X' && state != 'x';
}

bool StackLock::try_lock() {
  uint64_t expected = 0;
  return word_.compare_exchange_strong(expected, current_thread_id(), std::memory_order_acquire,
                                       std::memory_order_relaxed);
}

LockResult StackLock::lock() {
  if (try_lock()) return is_broken() ? LockResult::kBroken : LockResult::kAcquired;
  const uint32_t self = current_thread_id();
  waits_count_.fetch_add(1, std::memory_order_relaxed);
  for (unsigned spin = 0; spin < kSpinRounds; ++spin) {
    if (owner_of(word_.load(std::memory_order_relaxed)) == self) return LockResult::kBusy;
    cpu_pause();
    if (try_lock()) return LockResult::kAcquired;
  }
  for (unsigned round = 0; round < kWaitRounds;) {
    if (is_broken()) return LockResult::kBroken;
    uint64_t word = word_.load(std::memory_order_relaxed);
    if (word == 0) {
      // Keep WAITERS set when taking the lock from the waiting path: others may still sleep on it.
      if (word_.compare_exchange_strong(word, self | kWaiters, std::memory_order_acquire, std::memory_order_relaxed)) {
        return LockResult::kAcquired;
      }
      continue;
    }
    if ((word & kWaiters) == 0 &&
        !word_.compare_exchange_strong(word, word | kWaiters, std::memory_order_relaxed, std::memory_order_relaxed)) {
      continue;
    }
    futex_wait(static_cast<uint32_t>(word | kWaiters));
    ++round;
    if (round % 16 == 0 && check_owner()) return LockResult::kBroken;
  }
  return LockResult::kBusy;
}

LockResult StackLock::lock_or_defer(DeferredNode* nodes, uint32_t index, uint32_t bits) {
  DeferredNode& node = nodes[index];
  if (node.ops.fetch_or(bits, std::memory_order_acq_rel) != 0) {
    deferred_count_.fetch_add(1, std::memory_order_relaxed);
    return LockResult::kDeferred;
  }
  uint64_t word = word_.load(std::memory_order_relaxed);
  for (;;) {
    if (word == 0) {
      if (word_.compare_exchange_weak(word, current_thread_id(), std::memory_order_acquire,
                                      std::memory_order_relaxed)) {
        return LockResult::kAcquired;
      }
      continue;
    }
    node.next.store(static_cast<uint32_t>(word >> 32), std::memory_order_relaxed);
    const uint64_t pushed = (word & kLowHalf) | (uint64_t{index} + 1) << 32;
    if (word_.compare_exchange_weak(word, pushed, std::memory_order_release, std::memory_order_relaxed)) {
      deferred_count_.fetch_add(1, std::memory_order_relaxed);
      return LockResult::kDeferred;
    }
  }
}

bool StackLock::check_owner() {
  if (is_broken()) return true;
  const uint32_t owner = owner_of(word_.load(std::memory_order_acquire));
  if (owner == 0 || thread_is_alive(owner)) return false;
  // It may have unlocked and ended since: only an owner that is still in the word died inside.
  if (owner_of(word_.load(std::memory_order_acquire)) != owner) return false;
  mark_broken();
  futex_wake_all();
  return true;
}

void StackLock::futex_wait(uint32_t expected_low_half) {
  static_assert(std::endian::native == std::endian::little, "the futex word is the low half of the lock word");
  const timespec limit{0, 1'000'000};
  syscall(SYS_futex, &word_, FUTEX_WAIT, expected_low_half, &limit, nullptr, 0);
}

void StackLock::futex_wake_all() { syscall(SYS_futex, &word_, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0); }

LockResult OwnerLock::lock() {
  for (unsigned spin = 0; spin < 200; ++spin) {
    if (try_lock()) return LockResult::kAcquired;
    cpu_pause();
  }
  const uint32_t self = current_thread_id();
  for (unsigned round = 0; round < 20'000; ++round) {
    if (try_lock()) return LockResult::kAcquired;
    if (owner_.load(std::memory_order_relaxed) == self) return LockResult::kBusy;
    sleep_ns(50'000);
    if (round % 200 == 199 && owner_is_dead()) return LockResult::kBroken;
  }
  return LockResult::kBusy;
}

}  // namespace postern::stack
