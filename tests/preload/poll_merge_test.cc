// Merging poll results of endpoints and kernel descriptors. A lost endpoint (no stack) stands for a ready one.
#include "stack/preload/poll_merge.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "stack/preload/process.h"

namespace postern::preload {
namespace {

constexpr int kLostFd = 900;  // a number that is not open: only the table knows it

PollMerge::Source classify(int fd) {
  FdLookup found = Process::get().fds().lookup(fd);
  return found.kind == FdKind::kObject ? PollMerge::Source{std::move(found.object)} : PollMerge::Source{};
}

class PollMergeTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::pipe(pipe_), 0);
    Process::get().fds().set_object(kLostFd, EndpointFd::allocate(nullptr, -1, 0));
  }
  void TearDown() override {
    Process::get().fds().set_unknown(kLostFd);
    ::close(pipe_[0]);
    ::close(pipe_[1]);
  }
  int pipe_[2] = {-1, -1};
};

TEST_F(PollMergeTest, PurelyKernelCallsAreLeftAlone) {
  const pollfd fds[] = {{pipe_[0], POLLIN, 0}, {-1, POLLIN, 0}};
  EXPECT_FALSE(PollMerge(fds, 2, classify).mixed());
}

TEST_F(PollMergeTest, ResultsOfBothKindsLandInTheirEntries) {
  pollfd fds[] = {{pipe_[0], POLLIN, 0}, {kLostFd, POLLIN, 0}, {-1, POLLIN, 7}, {pipe_[1], POLLOUT, 0}};
  PollMerge merge(fds, 4, classify);
  ASSERT_TRUE(merge.mixed());
  EXPECT_EQ(merge.look(fds, 4), 2);
  EXPECT_EQ(fds[0].revents, 0);
  EXPECT_EQ(fds[1].revents, POLLIN | POLLERR | POLLHUP);
  EXPECT_EQ(fds[2].revents, 0);
  EXPECT_EQ(fds[3].revents, POLLOUT);
  ASSERT_EQ(::write(pipe_[1], "x", 1), 1);
  EXPECT_EQ(merge.look(fds, 4), 3);
  EXPECT_EQ(fds[0].revents, POLLIN);
}

TEST_F(PollMergeTest, ALostEndpointIsReadySoThatNobodyWaitsForIt) {
  const pollfd fds[] = {{kLostFd, 0, 0}};
  EXPECT_TRUE(PollMerge(fds, 1, classify).any_endpoint_ready(fds));
}

TEST_F(PollMergeTest, KernelListLeavesRoomForTheSleeper) {
  const pollfd fds[] = {{kLostFd, POLLIN, 0}, {pipe_[0], POLLIN, 0}};
  PollMerge merge(fds, 2, classify);
  ASSERT_EQ(merge.kernel_fds().size(), 2u);
  EXPECT_EQ(merge.kernel_fds()[0].fd, -1);
  EXPECT_EQ(merge.kernel_fds()[1].fd, pipe_[0]);
}

}  // namespace
}  // namespace postern::preload
