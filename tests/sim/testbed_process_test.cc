#include "sim/testbed_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <thread>

namespace postern::sim {
namespace {

using std::chrono::milliseconds;

ProcessSpec shell(const std::string& script) {
  ProcessSpec spec;
  spec.arguments = {"/bin/sh", "-c", script};
  spec.log_path = "/dev/null";
  return spec;
}

TEST(TestbedProcessTest, EndsAProcessByItsIdAndStartTime) {
  Result<ProcessId> id = process_spawn(shell("exec sleep 60"));
  ASSERT_TRUE(id.ok());
  EXPECT_TRUE(process_alive(*id));
  EXPECT_EQ(process_end({*id}, milliseconds(1000)), 0);
  EXPECT_FALSE(process_alive(*id));
}

TEST(TestbedProcessTest, AForeignProcessWithTheSameIdIsNotHit) {
  Result<ProcessId> id = process_spawn(shell("sleep 60"));
  ASSERT_TRUE(id.ok());
  const ProcessId other{id->pid, id->start_ticks - 1};
  EXPECT_FALSE(process_alive(other));
  process_end({other}, milliseconds(50));
  EXPECT_TRUE(process_alive(*id));
  process_end({*id}, milliseconds(1000));
}

TEST(TestbedProcessTest, KillsWhatIgnoresTheRequestToEnd) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  ProcessSpec spec = shell("trap '' TERM; echo ready >&3; while :; do sleep 0.05; done");
  spec.inherited_fd = ready[1];
  Result<ProcessId> id = process_spawn(spec);
  ASSERT_TRUE(id.ok());
  ASSERT_EQ(process_wait_line(ready[0], -1, milliseconds(2000)).value(), "ready");
  EXPECT_GE(process_end({*id}, milliseconds(100)), 1);
  EXPECT_FALSE(process_alive(*id));
}

TEST(TestbedProcessTest, EndsTheChildrenThatALeaderLeftBehind) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  ProcessSpec spec = shell("sleep 61 >/dev/null 2>&1 & echo $! >&3; exec 3>&-; sleep 62");
  spec.inherited_fd = ready[1];
  Result<ProcessId> id = process_spawn(spec);
  close(ready[1]);
  ASSERT_TRUE(id.ok());
  const pid_t child = std::stoi(process_wait_line(ready[0], -1, milliseconds(2000)).value());
  const ProcessId child_id{child, process_start_ticks(child).value()};
  kill(id->pid, SIGKILL);
  waitpid(id->pid, nullptr, 0);
  process_end({*id}, milliseconds(1000));
  EXPECT_FALSE(process_alive(child_id));
}

TEST(TestbedProcessTest, AMissingProgramIsAnErrorThatNamesIt) {
  ProcessSpec spec;
  spec.arguments = {"/no/such/program"};
  spec.log_path = "/dev/null";
  Result<ProcessId> id = process_spawn(spec);
  ASSERT_FALSE(id.ok());
  EXPECT_NE(id.error().message.find("/no/such/program"), std::string::npos);
}

TEST(TestbedProcessTest, AProcessThatEndsBeforeItIsReadyIsNoticedAtOnce) {
  int ready[2];
  ASSERT_EQ(pipe2(ready, O_CLOEXEC), 0);
  ProcessSpec spec = shell("exit 3");
  spec.inherited_fd = ready[1];
  Result<ProcessId> id = process_spawn(spec);
  close(ready[1]);
  Result<std::string> line = process_wait_line(ready[0], -1, milliseconds(5000));
  ASSERT_FALSE(line.ok());
  EXPECT_EQ(line.error().code, EPIPE);
  if (id.ok()) process_end({*id}, milliseconds(100));
}

}  // namespace
}  // namespace postern::sim
