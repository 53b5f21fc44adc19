// Several processes on one stack in shared memory; one of them dies with the lock.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stack/region.h"
#include "tests/stack/shared_stack.h"

namespace postern::stack::test {
namespace {

TEST(MultiProcessTest, TwoProcessesTransferOverOneStackTogether) {
  SharedStack shared;
  pid_t children[2];
  for (unsigned i = 0; i < 2; ++i) {
    children[i] = fork();
    ASSERT_GE(children[i], 0);
    if (children[i] == 0) {
      AttachedStack attached(shared);
      std::string error;
      for (unsigned round = 0; round < 8 && error.empty(); ++round) {
        error = loop_transfer(*attached.stack, static_cast<uint16_t>(1000 + i * 100 + round), 500'000);
      }
      if (!error.empty()) std::fprintf(stderr, "process %u: %s\n", i, error.c_str());
      _exit(error.empty() ? 0 : 1);
    }
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  AttachedStack attached(shared);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!attached.stack->all_closed() && std::chrono::steady_clock::now() < deadline) attached.stack->poll();
  EXPECT_TRUE(attached.stack->all_closed());
  EXPECT_EQ(attached.stack->stats().drop_tcp_checksum, 0u);
}

// Killed at any moment, inside the lock or not: the others go on, or hear at once that the stack is down.
TEST(MultiProcessTest, KilledSenderLeavesAStackThatWorksOrSaysThatItIsDown) {
  for (unsigned round = 0; round < 10; ++round) {
    SharedStack shared;
    AttachedStack attached(shared);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      AttachedStack own(shared);
      const int socket = own.stack->open(SocketType::kDatagram);
      const SocketAddress to{shared.config.address, 9};
      uint8_t payload[1000] = {};
      const iovec iov{payload, sizeof payload};
      for (;;) {
        (void)own.stack->send(socket, &iov, 1, 0, &to);
        own.stack->poll();
        shared.ring->done.store(1);
      }
    }
    while (shared.ring->done.load() == 0) usleep(100);
    usleep(1000 + 137 * round);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    const auto start = std::chrono::steady_clock::now();
    const std::string error = loop_transfer(*attached.stack, static_cast<uint16_t>(2000 + round), 50'000);
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
    if (error.empty()) continue;
    EXPECT_TRUE(attached.stack->is_broken()) << error;
    EXPECT_EQ(attached.stack->open(SocketType::kStream), -ENETDOWN);
  }
}

TEST(MultiProcessTest, DeathInsideTheLockIsNoticedEvenAsAZombie) {
  SharedStack shared;
  AttachedStack attached(shared);
  const int endpoint = attached.stack->open(SocketType::kStream);
  ASSERT_GE(endpoint, 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto* state = static_cast<StackState*>(shared.base);
    const bool locked = state->lock.try_lock();
    shared.ring->done.store(locked ? 1 : 2);
    kill(getpid(), SIGKILL);
  }
  while (shared.ring->done.load() == 0) usleep(1000);
  ASSERT_EQ(shared.ring->done.load(), 1u);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(attached.stack->open(SocketType::kStream), -ENETDOWN);  // the child is a zombie: not reaped yet
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
  EXPECT_TRUE(attached.stack->is_broken());
  EXPECT_TRUE(attached.stack->is_down());
  const iovec iov{nullptr, 0};
  EXPECT_EQ(attached.stack->recv(endpoint, &iov, 1, 0, nullptr), -ENETDOWN);
  waitpid(child, nullptr, 0);
}

TEST(MultiProcessTest, PollerNoticesADeadOwner) {
  SharedStack shared;
  AttachedStack attached(shared);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    (void)static_cast<StackState*>(shared.base)->lock.try_lock();
    _exit(0);
  }
  waitpid(child, nullptr, 0);
  attached.stack->begin_sleep();
  attached.stack->end_sleep();
  EXPECT_EQ(attached.stack->poll(), 0u);
  EXPECT_TRUE(attached.stack->is_down());
}

}  // namespace
}  // namespace postern::stack::test
