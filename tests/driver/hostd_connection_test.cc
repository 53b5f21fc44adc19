// A connection of hostd by itself: what it waits for when the kernel refuses descriptors.
#include "driver/hostd_connection.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

namespace postern::hostd {
namespace {

// Runs as a user without privileges whose descriptors in flight are limited to 32. Returns 0 if all is as it must be,
// else the number of the step.
int run_with_few_descriptors_in_flight() {
  const rlimit few{32, 32};
  int ends[2];
  if (setrlimit(RLIMIT_NOFILE, &few) != 0 || (geteuid() == 0 && setuid(65534) != 0) ||
      socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
    return 1;
  }
  const UniqueFd peer(ends[1]);
  Connection connection(1, UniqueFd(ends[0]), ucred{}, 8);
  const UniqueFd event(eventfd(0, EFD_CLOEXEC));
  const int fds[4] = {event.get(), event.get(), event.get(), event.get()};
  for (int i = 0; i < 64 && !connection.has_outgoing(); ++i) {
    if (!connection.send("message", 7, fds, 4)) return 2;
  }
  if (!connection.must_wait() || connection.wanted_events() != EPOLLIN) return 3;
  if (!connection.flush() || !connection.must_wait()) return 4;
  char buffer[64];
  while (recv(peer.get(), buffer, sizeof buffer, 0) > 0) {
  }  // without room for descriptors: the kernel closes them
  if (!connection.flush() || connection.has_outgoing() || connection.must_wait()) return 5;
  return 0;
}

TEST(ConnectionTest, TooManyDescriptorsInFlightAreTriedAgainLaterAndNotWhenTheSocketIsWritable) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) _exit(run_with_few_descriptors_in_flight());
  int how = 0;
  ASSERT_EQ(waitpid(child, &how, 0), child);
  ASSERT_TRUE(WIFEXITED(how));
  EXPECT_EQ(WEXITSTATUS(how), 0);
}

}  // namespace
}  // namespace postern::hostd
