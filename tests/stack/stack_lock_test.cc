// The lock with deferred work: mutual exclusion, no work lost or left over, waiters, threads on one stack. Runs under
// tsan.
#include "stack/stack_lock.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "tests/stack/shared_stack.h"

namespace postern::stack {
namespace {

TEST(StackLockTest, FreeLockIsTakenAndGivenBack) {
  StackLock lock;
  DeferredNode nodes[1];
  EXPECT_TRUE(lock.try_lock());
  EXPECT_TRUE(lock.is_locked());
  EXPECT_FALSE(lock.try_lock());
  EXPECT_EQ(lock.lock(), LockResult::kBusy);  // this thread has it: waiting would never end
  lock.unlock(nodes, [](uint32_t, uint32_t) { FAIL(); });
  EXPECT_FALSE(lock.is_locked());
  EXPECT_EQ(lock.lock(), LockResult::kAcquired);
  lock.unlock(nodes, [](uint32_t, uint32_t) { FAIL(); });
}

TEST(StackLockTest, WorkLeftWithTheOwnerRunsBeforeTheUnlock) {
  StackLock lock;
  DeferredNode nodes[4];
  ASSERT_TRUE(lock.try_lock());
  EXPECT_EQ(lock.lock_or_defer(nodes, 2, 1), LockResult::kDeferred);
  EXPECT_EQ(lock.lock_or_defer(nodes, 0, 4), LockResult::kDeferred);
  EXPECT_EQ(lock.lock_or_defer(nodes, 2, 2), LockResult::kDeferred);  // on the list already
  EXPECT_TRUE(lock.has_deferred());
  std::vector<std::pair<uint32_t, uint32_t>> ran;
  lock.unlock(nodes, [&](uint32_t node, uint32_t ops) {
    ran.emplace_back(node, ops);
    // Work may leave work.
    if (node == 2) {
      EXPECT_EQ(lock.lock_or_defer(nodes, 3, 8), LockResult::kDeferred);
    }
  });
  EXPECT_EQ(ran, (std::vector<std::pair<uint32_t, uint32_t>>{{0, 4}, {2, 3}, {3, 8}}));
  EXPECT_FALSE(lock.is_locked());
  EXPECT_EQ(lock.lock_or_defer(nodes, 1, 1), LockResult::kAcquired);
  EXPECT_EQ(nodes[1].ops.exchange(0), 1u);
  lock.unlock(nodes, [](uint32_t, uint32_t) {});
}

TEST(StackLockTest, ThreadsLoseNoDeferredWork) {
  StackLock lock;
  constexpr uint32_t kThreads = 4;
  constexpr uint32_t kRounds = 20'000;
  DeferredNode nodes[kThreads];
  std::atomic<uint32_t> asked[kThreads] = {};
  uint64_t unprotected = 0;           // under the lock
  uint64_t last_seen[kThreads] = {};  // under the lock
  const auto run = [&](uint32_t node, uint32_t) { last_seen[node] = asked[node].load(); };
  std::vector<std::thread> threads;
  std::atomic<uint64_t> acquired{0};
  for (uint32_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (uint32_t i = 0; i < kRounds; ++i) {
        asked[t].fetch_add(1);
        if (lock.lock_or_defer(nodes, t, 1) == LockResult::kAcquired) {
          run(t, nodes[t].ops.exchange(0));
          ++unprotected;
          acquired.fetch_add(1);
          lock.unlock(nodes, run);
        }
        if (i % 16 == 0) {
          ASSERT_EQ(lock.lock(), LockResult::kAcquired);
          ++unprotected;
          acquired.fetch_add(1);
          lock.unlock(nodes, run);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(unprotected, acquired.load());
  EXPECT_FALSE(lock.is_locked());
  for (uint32_t t = 0; t < kThreads; ++t) EXPECT_EQ(last_seen[t], kRounds) << t;
}

TEST(StackLockTest, ThreadsTransferOverOneStackTogether) {
  test::SharedStack shared;
  test::AttachedStack attached(shared);
  constexpr unsigned kThreads = 3;
  std::string results[kThreads];
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (unsigned round = 0; round < 3 && results[t].empty(); ++round) {
        results[t] = test::loop_transfer(*attached.stack, static_cast<uint16_t>(1000 + t * 100 + round), 300'000);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (unsigned t = 0; t < kThreads; ++t) EXPECT_EQ(results[t], "") << t;
  EXPECT_FALSE(attached.stack->is_broken());
}

// One connection, a thread at each end that only sends or only receives: the receive queue's two ends meet.
TEST(StackLockTest, ReceiverAndPollerShareAQueueWithoutTheStackLock) {
  test::SharedStack shared;
  test::AttachedStack attached(shared);
  Stack& stack = *attached.stack;
  const SocketAddress address{shared.config.address, 99};
  const int listener = stack.open(SocketType::kStream);
  ASSERT_EQ(stack.bind(listener, address), 0);
  ASSERT_EQ(stack.listen(listener, 1), 0);
  const int client = stack.open(SocketType::kStream);
  ASSERT_EQ(stack.connect(client, address), -EINPROGRESS);
  int server = -EAGAIN;
  while (server == -EAGAIN) {
    stack.poll();
    server = stack.accept(listener, nullptr);
  }
  constexpr uint32_t kBytes = 3'000'000;
  std::thread sender([&] {
    uint32_t sent = 0;
    uint8_t block[1000];
    while (sent < kBytes) {
      for (uint32_t i = 0; i < sizeof block; ++i) block[i] = static_cast<uint8_t>((sent + i) * 31 >> 3);
      const iovec iov{block, sizeof block};
      const int64_t taken = stack.send(client, &iov, 1, 0, nullptr);
      if (taken > 0) sent += static_cast<uint32_t>(taken);
      stack.poll();
    }
  });
  uint32_t received = 0;
  bool corrupt = false;
  while (received < kBytes) {
    uint8_t block[3000];
    const iovec iov{block, sizeof block};
    const int64_t got = stack.recv(server, &iov, 1, 0, nullptr);
    for (int64_t i = 0; i < got; ++i) {
      corrupt |= block[i] != static_cast<uint8_t>((received + static_cast<uint32_t>(i)) * 31 >> 3);
    }
    if (got > 0) received += static_cast<uint32_t>(got);
    if (got == -EAGAIN) stack.poll();
  }
  sender.join();
  EXPECT_FALSE(corrupt);
}

}  // namespace
}  // namespace postern::stack
