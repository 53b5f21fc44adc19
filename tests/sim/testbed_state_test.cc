#include "sim/testbed_state.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

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

TEST_F(RunDirectoryTest, ClearRemovesWhatATestbedMadeAndNothingElse) {
  const RunDirectory directory(base_ + "/run");
  ASSERT_TRUE(directory.create().ok());
  for (const char* name : {"state.json", "a.sock", "simulator.log", "capture.pcap"}) {
    std::ofstream(directory.file(name)) << "x";
  }
  directory.clear(false);
  EXPECT_FALSE(std::filesystem::exists(directory.file("state.json")));
  EXPECT_FALSE(std::filesystem::exists(directory.file("a.sock")));
  EXPECT_FALSE(std::filesystem::exists(directory.file("simulator.log")));
  EXPECT_TRUE(std::filesystem::exists(directory.file("capture.pcap")));
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
