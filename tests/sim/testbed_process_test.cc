#include "sim/testbed_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
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
  EXPECT_EQ(kill(id->pid, 0), -1) << "no zombie is left either";
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

// Starts `program 61` in the background of a shell, kills the shell, and returns the child.
ProcessId orphan_of_a_killed_leader(const std::string& program, ProcessId& leader) {
  int ready[2];
  if (pipe(ready) != 0) return {};
  ProcessSpec spec = shell(program + " 61 >/dev/null 2>&1 3>&- & echo $! >&3; exec 3>&-; exec sleep 62");
  spec.inherited_fd = ready[1];
  Result<ProcessId> id = process_spawn(spec);
  close(ready[1]);
  if (!id) return {};
  leader = *id;
  const pid_t child = std::stoi(process_wait_line(ready[0], -1, milliseconds(2000)).value());
  close(ready[0]);
  const ProcessId child_id{child, process_start_ticks(child).value()};
  std::this_thread::sleep_for(milliseconds(50));  // the shell has executed the program
  kill(leader.pid, SIGKILL);
  waitpid(leader.pid, nullptr, 0);
  return child_id;
}

TEST(TestbedProcessTest, EndsTheHelpersThatALeaderLeftBehind) {
  const std::string program = "/tmp/postern-sleep-" + std::to_string(getpid());
  std::filesystem::copy_file("/bin/sleep", program, std::filesystem::copy_options::overwrite_existing);
  ProcessId leader;
  const ProcessId child = orphan_of_a_killed_leader(program, leader);
  EXPECT_TRUE(process_alive(child));
  process_end({leader}, milliseconds(1000));
  EXPECT_FALSE(process_alive(child));
  std::filesystem::remove(program);
}

TEST(TestbedProcessTest, LeavesOtherProgramsOfASessionWhoseLeaderIsGone) {
  ProcessId leader;
  const ProcessId child = orphan_of_a_killed_leader("/bin/sleep", leader);
  process_end({leader}, milliseconds(100));
  EXPECT_TRUE(process_alive(child));
  process_end({child}, milliseconds(1000));
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
