#include "sim/testbed_state.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>

namespace postern::sim {
namespace {

class RunDirectoryTest : public ::testing::Test {
 protected:
  RunDirectoryTest() {
    char name[] = "/tmp/postern-state-XXXXXX";
    base_ = mkdtemp(name);
  }
  ~RunDirectoryTest() override { std::filesystem::remove_all(base_); }
  std::string base_;
};

TEST_F(RunDirectoryTest, StateSurvivesARoundTrip) {
  const RunDirectory directory(base_ + "/run");
  ASSERT_TRUE(directory.create().ok());
  TestbedState state;
  state.topology = "lab.toml";
  state.hosts = {{"a", "10.9.0.1/24"}};
  state.namespaces = {"lab"};
  state.processes = {{"hostd", "a", {getpid(), process_start_ticks(getpid()).value()}}};
  ASSERT_TRUE(directory.save(state).ok());
  Result<std::optional<TestbedState>> loaded = directory.load();
  ASSERT_TRUE(loaded.ok() && loaded->has_value());
  EXPECT_EQ((*loaded)->topology, "lab.toml");
  EXPECT_NE((*loaded)->find_host("a"), nullptr);
  EXPECT_EQ((*loaded)->find_host("z"), nullptr);
  EXPECT_TRUE((*loaded)->any_alive());
}

TEST_F(RunDirectoryTest, NoStateIsNoError) {
  const RunDirectory directory(base_);
  Result<std::optional<TestbedState>> loaded = directory.load();
  ASSERT_TRUE(loaded.ok());
  EXPECT_FALSE(loaded->has_value());
}

TEST_F(RunDirectoryTest, ADamagedStateFileIsAnErrorThatNamesIt) {
  const RunDirectory directory(base_);
  std::ofstream(directory.file("state.json")) << "{\"format\": 1,";
  Result<std::optional<TestbedState>> loaded = directory.load();
  ASSERT_FALSE(loaded.ok());
  EXPECT_NE(loaded.error().message.find("state.json"), std::string::npos);
}

TEST_F(RunDirectoryTest, APathThatIsTooLongForSocketsIsRefused) {
  const RunDirectory directory(base_ + "/" + std::string(100, 'x'));
  Status status = directory.create();
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("--run-dir"), std::string::npos);
}

// What is in the directory, except the mark.
std::set<std::string> names_in(const RunDirectory& directory) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory.path())) {
    if (entry.path().filename() != ".postern") names.insert(entry.path().filename().string());
  }
  return names;
}

TEST_F(RunDirectoryTest, RemovesTheFilesOfItsHostsAndNothingElse) {
  const RunDirectory directory(base_ + "/run");
  ASSERT_TRUE(directory.create().ok());
  ASSERT_TRUE(directory.claim().ok());
  for (const char* name : {"a.sock", "nic-a.sock", "hostd-a.log", "simulator.log", "control.sock", "topology.toml",
                           "lock", "capture.pcap", "mine.log", "mine.sock"}) {
    std::ofstream(directory.file(name)) << "x";
  }
  std::ofstream(base_ + "/outside.sock") << "x";
  TestbedState state;
  state.hosts = {{"a", "10.9.0.1/24"}, {"../outside", "10.9.0.2/24"}};
  ASSERT_TRUE(directory.save(state).ok());
  directory.remove_run(state, true);
  EXPECT_EQ(names_in(directory),
            (std::set<std::string>{"capture.pcap", "hostd-a.log", "lock", "mine.log", "mine.sock", "simulator.log"}));
  directory.remove_run(state, false);
  directory.release();
  EXPECT_EQ(names_in(directory), (std::set<std::string>{"capture.pcap", "mine.log", "mine.sock"}));
  EXPECT_TRUE(std::filesystem::exists(base_ + "/outside.sock"));
}

TEST_F(RunDirectoryTest, AnEmptyDirectoryIsRemovedAtTheEnd) {
  const RunDirectory directory(base_ + "/run");
  ASSERT_TRUE(directory.create().ok());
  ASSERT_TRUE(directory.claim().ok());
  directory.release();
  EXPECT_FALSE(std::filesystem::exists(directory.path()));
}

TEST_F(RunDirectoryTest, ADirectoryWithForeignFilesIsNotClaimed) {
  const RunDirectory directory(base_);
  std::ofstream(directory.file("notes.log")) << "x";
  Status status = directory.claim();
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("notes.log"), std::string::npos);
  EXPECT_FALSE(directory.claimed());
  std::ofstream(directory.file("state.json")) << "{\"version\": 4}";  // some other program's
  EXPECT_FALSE(directory.claim().ok());
  EXPECT_EQ(names_in(directory), (std::set<std::string>{"notes.log", "state.json"}));
}

TEST_F(RunDirectoryTest, ADirectoryWithLogsAndCapturesOfAnEarlierTestbedIsClaimedAgain) {
  const RunDirectory directory(base_);
  ASSERT_TRUE(directory.claim().ok());
  for (const char* name : {"simulator.log", "a.pcap"}) std::ofstream(directory.file(name)) << "x";
  EXPECT_TRUE(directory.claim().ok());
  std::ofstream(directory.file("topology.toml")) << "x";  // a new testbed would overwrite it
  EXPECT_FALSE(directory.claim().ok());
}

TEST_F(RunDirectoryTest, AStateFromBeforeARestartOfTheComputerCountsAsDead) {
  const RunDirectory directory(base_);
  TestbedState state;
  state.processes = {{"hostd", "a", {getpid(), process_start_ticks(getpid()).value()}}};
  state.boot_id = current_boot_id();
  EXPECT_TRUE(state.any_alive());
  state.boot_id = "00000000-0000-4000-8000-000000000000";
  ASSERT_TRUE(directory.save(state).ok());
  Result<std::optional<TestbedState>> loaded = directory.load();
  ASSERT_TRUE(loaded.ok() && loaded->has_value());
  EXPECT_FALSE((*loaded)->same_boot());
  EXPECT_FALSE((*loaded)->any_alive());
}

TEST_F(RunDirectoryTest, APathThatIsNotUtf8IsSaved) {
  const RunDirectory directory(base_ + "/run-\xff");
  ASSERT_TRUE(directory.create().ok());
  TestbedState state;
  state.topology = "lab-\xfe.toml";
  ASSERT_TRUE(directory.save(state).ok());
  Result<std::optional<TestbedState>> loaded = directory.load();
  EXPECT_TRUE(loaded.ok() && loaded->has_value());
}

TEST_F(RunDirectoryTest, TheLockIsExclusiveAndReusable) {
  const RunDirectory directory(base_);
  {
    RunDirectoryLock first;
    ASSERT_TRUE(first.acquire(directory).ok());
  }
  RunDirectoryLock second;
  EXPECT_TRUE(second.acquire(directory).ok());
}

}  // namespace
}  // namespace postern::sim
