// The stack's lock with deferred work (D7), and the small owner lock of an endpoint's receive queue. Both live in
// shared memory and notice an owner that died. Hide futexes and liveness checks from the rest of the stack.
//
// THE PROTOCOL
//
// One 64-bit word holds everything, so that each step below is a single atomic operation:
//
//     63                32 31      30            0
//     [ deferred list head | WAITERS | owner tid ]       unlocked = 0; owner tid 0 implies that all other bits are 0
//
//   * The low half is also the futex word. `deferred list head` is a node number plus 1; 0 is the empty list.
//   * Node i of the array `DeferredNode` belongs to endpoint i (the last one to the stack itself). Its `ops` are bits
//     of work that anybody may leave; its `next` links the list. A node is on the list at most once, so the list is
//     bounded and nothing is allocated.
//
// Leaving work (lock_or_defer):
//   1. ops.fetch_or(bits). If ops was non-zero before, somebody else has put the node on the list, or is about to, or
//      is about to take the lock for it: the bits will be seen by whoever clears ops. Done: deferred.
//   2. Otherwise this thread is responsible for the node. Loop on the word:
//        owner == 0: CAS word 0 -> own tid. On success this thread is the owner: it runs the node's work itself.
//        owner != 0: next = head, CAS head -> node, owner and WAITERS unchanged. On success the owner cannot unlock
//                    without seeing the node (step 2 of unlocking). Done: deferred.
//
// Unlocking (unlock):
//   1. If the head is not 0: CAS it to 0, which takes the whole list. For each node read `next`, then exchange ops with
//      0, then run the work. (The order matters: when ops is 0, another thread may link the node again.) Repeat.
//   2. If the head is 0: CAS the word to 0. It fails if anything was pushed in between: go to 1. So an unlocked word
//   has
//      no deferred work: none is ever lost or left over.
//   3. If WAITERS was set, wake the futex: all of them, they compete again.
//   The list is last-in first-out. Work of different nodes commutes; work of one node is a set of bits, not a sequence.
//   Taking the whole list at once and never removing single nodes makes the compare-and-swap free of the ABA problem.
//
// Waiting (lock), for operations whose result is needed: spin briefly, set WAITERS, futex-wait for 1 ms at a time, in
// all at most kWaitRounds. After each round, and by poll() after it found the lock taken, the owner's liveness is
// checked: a thread that no longer exists or is a zombie died inside, the state may be half-changed, so the lock is
// marked broken and every later operation of every process fails. A stopped (not dead) owner only makes the waiters
// give up with kBusy. A thread that finds itself the owner (a virtual-time thread whose fellow on the same OS thread is
// inside) gets kBusy at once.
//
// A process that dies between steps 1 and 2 of leaving work keeps its node from being linked by others; the owner's
// periodic housekeeping therefore looks at ops of nodes of open endpoints as well (Stack::Impl::housekeeping).
#pragma once

#include <atomic>
#include <cstdint>

namespace postern::stack {

// The calling thread's kernel id; survives fork().
[[nodiscard]] uint32_t current_thread_id();
// False if the thread does not exist any more or is a zombie. A system call or two: for slow paths.
[[nodiscard]] bool thread_is_alive(uint32_t thread_id);

struct DeferredNode {
  std::atomic<uint32_t> ops{0};   // bits of work left; 0: not on the list
  std::atomic<uint32_t> next{0};  // node number plus 1 of the next one on the list
};

enum class LockResult : uint8_t { kAcquired, kDeferred, kBusy, kBroken };

class StackLock {
 public:
  // One attempt.
  [[nodiscard]] bool try_lock();
  // Waits, bounded. kAcquired, kBusy or kBroken.
  [[nodiscard]] LockResult lock();
  // Takes the lock, or leaves `bits` with whoever has it. kAcquired: the caller is the owner and runs
  // nodes[index].ops itself. Never waits.
  [[nodiscard]] LockResult lock_or_defer(DeferredNode* nodes, uint32_t index, uint32_t bits);
  // Drains deferred work with run(index, ops), then unlocks. Only the owner.
  template <typename Run>
  void unlock(DeferredNode* nodes, Run&& run);

  // True if work was left that the owner has not yet taken. A hint.
  [[nodiscard]] bool has_deferred() const { return (word_.load(std::memory_order_acquire) >> 32) != 0; }
  [[nodiscard]] bool is_locked() const { return owner_of(word_.load(std::memory_order_acquire)) != 0; }
  [[nodiscard]] bool is_broken() const { return broken_.load(std::memory_order_acquire) != 0; }
  // Marks the lock broken if its owner is dead; returns is_broken().
  bool check_owner();
  // The lock will never be given back, or it is the caller's.
  [[nodiscard]] bool owner_is_dead_or_self() const {
    const uint32_t owner = owner_of(word_.load(std::memory_order_acquire));
    return owner != 0 && (owner == current_thread_id() || !thread_is_alive(owner));
  }
  void mark_broken() { broken_.store(1, std::memory_order_release); }

  [[nodiscard]] uint32_t waits_count() const { return waits_count_.load(std::memory_order_relaxed); }
  [[nodiscard]] uint32_t deferred_count() const { return deferred_count_.load(std::memory_order_relaxed); }

 private:
  static constexpr uint64_t kWaiters = uint64_t{1} << 31;
  static constexpr uint64_t kLowHalf = 0xffffffffu;
  static constexpr unsigned kSpinRounds = 200;
  static constexpr unsigned kWaitRounds = 3000;  // of 1 ms

  static uint32_t owner_of(uint64_t word) { return static_cast<uint32_t>(word) & 0x7fffffffu; }
  void futex_wait(uint32_t expected_low_half);
  void futex_wake_all();

  std::atomic<uint64_t> word_{0};
  std::atomic<uint32_t> broken_{0};
  std::atomic<uint32_t> waits_count_{0};
  std::atomic<uint32_t> deferred_count_{0};
};
static_assert(std::atomic<uint64_t>::is_always_lock_free);

template <typename Run>
void StackLock::unlock(DeferredNode* nodes, Run&& run) {
  for (;;) {
    uint64_t word = word_.load(std::memory_order_relaxed);
    const auto head = static_cast<uint32_t>(word >> 32);
    if (head == 0) {
      if (!word_.compare_exchange_strong(word, 0, std::memory_order_release, std::memory_order_relaxed)) continue;
      if ((word & kWaiters) != 0) futex_wake_all();
      return;
    }
    if (!word_.compare_exchange_strong(word, word & kLowHalf, std::memory_order_acquire, std::memory_order_relaxed)) {
      continue;
    }
    for (uint32_t node = head; node != 0;) {
      DeferredNode& taken = nodes[node - 1];
      const uint32_t next = taken.next.load(std::memory_order_relaxed);
      const uint32_t ops = taken.ops.exchange(0, std::memory_order_acq_rel);
      run(node - 1, ops);
      node = next;
    }
  }
}

// Guards the consumer's end of one receive queue. Held for the time of a copy.
class OwnerLock {
 public:
  [[nodiscard]] bool try_lock() {
    uint32_t expected = 0;
    return owner_.compare_exchange_strong(expected, current_thread_id(), std::memory_order_acquire,
                                          std::memory_order_relaxed);
  }
  // Waits, bounded. kAcquired, kBusy (owner alive but does not let go) or kBroken (owner dead).
  [[nodiscard]] LockResult lock();
  void unlock() { owner_.store(0, std::memory_order_release); }
  [[nodiscard]] bool owner_is_dead() const {
    const uint32_t owner = owner_.load(std::memory_order_acquire);
    return owner != 0 && !thread_is_alive(owner);
  }

 private:
  std::atomic<uint32_t> owner_{0};
};

}  // namespace postern::stack
