// Waves around a violation, with a host that breaks the contract: a recording over the RTL whose host scribbles into
// its event queue (R4). A SystemC kernel elaborates once per process, so each run is a child.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "contract/gen/pst_contract.h"
#include "sim/replay/replay.h"
#include "sim/replay/run_recorder.h"
#include "tests/sim/scenario_fixtures.h"

namespace postern::sim {
namespace {

constexpr uint64_t kUs = 1'000'000;  // in ps

// What a run in a child left.
struct Ended {
  int status = -1;
  std::string said;  // standard error
};

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class ViolationWavesRtlTest : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  template <typename Body>
  Ended apart(Body body) {
    const std::string file = folder_ + "stderr";
    const pid_t child = fork();
    if (child == 0) {
      const int fd = open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
      (void)dup2(fd, STDERR_FILENO);
      const int status = body();
      (void)std::fflush(nullptr);
      _exit(status);
    }
    int status = -1;
    waitpid(child, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, contents(file)};
  }

  void record(const std::string& path) {
    Scenario scenario = scenario_of("[[workload]]\nkind = \"udp_pingpong\"\nfrom = \"a\"\nto = \"b\"\ncount = 5\n");
    for (HostSpec& host : scenario.topology.hosts) host.device = "rtl";
    const Ended ended = apart([&] {
      RunRecorder recorder;
      RunWatchers watchers;
      if (!recorder.open(path)) return 3;
      watchers.observers.push_back(recorder.factory());
      const auto outcome = execute_scenario(scenario, "", false, true, watchers);
      return outcome.ok() && outcome.value().ok && recorder.finish() ? 0 : 4;
    });
    ASSERT_EQ(ended.status, 0) << ended.said;
  }

  // A doorbell that returns event space: what it is said to have consumed; 0: another access.
  static uint32_t events_returned(const TraceRecord& record) {
    constexpr uint64_t kWindowBytes = 8192;
    const uint64_t offset = record.address % kWindowBytes;
    if (record.kind != RecordKind::kBarWrite || record.bar != PST_BAR_VI || record.data.size() < 4) return 0;
    if (offset != PST_VI_EVQ_CONSUMER_OFFSET && offset != PST_VI_EVQ_PRIME_OFFSET) return 0;
    uint32_t consumed = 0;
    std::memcpy(&consumed, record.data.data(), sizeof consumed);
    return consumed;
  }

  static TraceRecord overwritten(uint64_t address, uint64_t time_ps) {
    TraceRecord memory;
    memory.kind = RecordKind::kMemory;
    memory.time_ps = memory.issue_ps = time_ps;
    memory.address = address;
    memory.data.assign(PST_EVENT_BYTES, 0x5a);
    return memory;
  }

  // Copies the recording; before host a returns event space the second time, all that it returns is overwritten.
  static void scribble(const std::string& from, const std::string& to) {
    auto reader = TraceReader::open(from);
    auto writer = TraceWriter::create(to);
    ASSERT_TRUE(reader.ok() && writer.ok());
    std::vector<uint64_t> slots;  // written since space was returned last
    unsigned returns = 0;
    uint32_t returned = 0;
    TraceRecord next;
    for (; reader.value()->next(next).ok() && next.kind != RecordKind::kEnd; writer.value()->write(next)) {
      if (next.host != 0) continue;
      if (next.kind == RecordKind::kDmaWrite && next.data.size() == PST_EVENT_BYTES) slots.push_back(next.address);
      if (events_returned(next) <= returned) continue;
      returned = events_returned(next);
      if (++returns == 2) {
        for (const uint64_t slot : slots) writer.value()->write(overwritten(slot, next.time_ps));
      }
      slots.clear();
    }
    ASSERT_GE(returns, 2U);
    ASSERT_TRUE(writer.value()->finish().ok());
  }

  Ended replayed(const std::string& path, const WaveOptions& waves, bool monitor = false,
                 const std::string& json = "outcome.json") {
    ReplayOptions options;
    options.path = path;
    options.device = "rtl";
    options.waves = waves;
    options.monitor = monitor;
    options.json_path = folder_ + json;
    return apart([&] { return run_replay(options); });
  }

  const std::string folder_ = testing::TempDir() + "postern_" + std::to_string(getpid()) + "_violation_waves/";
};

#ifdef POSTERN_RTL_WAVES

// Times of the first and the last change in an FST file, from its header.
std::array<uint64_t, 2> fst_times_ps(const std::string& path) {
  const std::string bytes = contents(path);
  std::array<uint64_t, 2> times{};
  EXPECT_GT(bytes.size(), 1000U) << path;
  if (bytes.size() < 25) return times;
  constexpr size_t kTimesOffset = 9;  // behind the block's type and length
  for (size_t i = 0; i < 16; ++i) {
    times[i / 8] = times[i / 8] << 8 | static_cast<uint8_t>(bytes[kTimesOffset + i]);
  }
  return times;
}

uint64_t reported_ps(const std::string& said) {
  const std::string before = "R4 violated at ";
  const size_t at = said.find(before);
  EXPECT_NE(at, std::string::npos) << said;
  if (at == std::string::npos) return 0;
  return static_cast<uint64_t>(std::stod(said.substr(at + before.size())) * 1000 + 0.5);
}

TEST_F(ViolationWavesRtlTest, TheWavesOfEachNicSurroundTheReport) {
  record(folder_ + "good");
  scribble(folder_ + "good", folder_ + "bad");
  const Ended plain = replayed(folder_ + "bad", {}, true);
  EXPECT_EQ(plain.status, 1) << plain.said;
  const uint64_t time_ps = reported_ps(plain.said);
  const std::string without = contents(folder_ + "outcome.json");
  const Ended waved = replayed(folder_ + "bad", {folder_ + "run.fst", "", "", "3"});
  EXPECT_EQ(waved.status, 1);
  EXPECT_EQ(waved.said.find(plain.said), 0U) << "the reports are there, and once: " << waved.said;
  EXPECT_NE(waved.said.find("around R4 of host a"), std::string::npos) << waved.said;
  EXPECT_EQ(contents(folder_ + "outcome.json"), without);
  for (const char* host : {"a", "b"}) {
    const auto [first_ps, last_ps] = fst_times_ps(folder_ + "run." + host + ".fst");
    EXPECT_GE(first_ps, time_ps - 3 * kUs) << host;
    EXPECT_LT(first_ps, time_ps) << host;
    EXPECT_LE(last_ps, time_ps + kUs) << host;
    EXPECT_GT(last_ps, first_ps) << host;
  }
  const std::string waves = contents(folder_ + "run.a.fst");
  std::filesystem::remove(folder_ + "run.a.fst");
  EXPECT_EQ(replayed(folder_ + "bad", {folder_ + "run.fst", "", "", "3"}).said, waved.said);
  EXPECT_EQ(contents(folder_ + "run.a.fst").size(), waves.size());  // its header has the date
}

TEST_F(ViolationWavesRtlTest, WithoutAViolationThereIsNoFile) {
  record(folder_ + "good");
  std::ofstream(folder_ + "run.b.fst") << "of an earlier run";
  const Ended ended = replayed(folder_ + "good", {folder_ + "run.fst", "", "", "3"});
  EXPECT_EQ(ended.status, 0) << ended.said;
  const std::string files = folder_ + "run.a.fst, " + folder_ + "run.b.fst";
  EXPECT_NE(ended.said.find("no violation by an RTL NIC, so there are no waves in " + files), std::string::npos)
      << ended.said;
  for (const auto& file : std::filesystem::directory_iterator(folder_)) EXPECT_NE(file.path().extension(), ".fst");
}

TEST_F(ViolationWavesRtlTest, TheWavesAreCompleteAlsoIfTheOutcomeCannotBeWritten) {
  record(folder_ + "good");
  scribble(folder_ + "good", folder_ + "bad");
  const WaveOptions waves{folder_ + "run.fst", "", "", "3"};
  ASSERT_EQ(replayed(folder_ + "bad", waves).status, 1);
  const auto expected = fst_times_ps(folder_ + "run.a.fst");
  const Ended ended = replayed(folder_ + "bad", waves, false, "none/outcome.json");
  EXPECT_EQ(ended.status, 2);
  EXPECT_NE(ended.said.find("cannot write " + folder_ + "none/outcome.json"), std::string::npos) << ended.said;
  EXPECT_NE(ended.said.find(": " + folder_ + "run.a.fst, " + folder_ + "run.b.fst\n"), std::string::npos) << ended.said;
  EXPECT_EQ(fst_times_ps(folder_ + "run.a.fst"), expected);
}

TEST_F(ViolationWavesRtlTest, WavesOfAReplayHaveAWindowOfTime) {
  record(folder_ + "good");
  EXPECT_EQ(replayed(folder_ + "good", {folder_ + "run.fst", "20", "4", ""}).status, 0);
  const auto [first_ps, last_ps] = fst_times_ps(folder_ + "run.b.fst");
  EXPECT_GE(first_ps, 20 * kUs);
  EXPECT_LE(last_ps, 24 * kUs);
}

TEST_F(ViolationWavesRtlTest, AFileThatCannotBeWrittenIsRefusedBeforeTheRun) {
  record(folder_ + "good");
  const Ended ended = replayed(folder_ + "good", {folder_ + "none/run.fst", "", "", "3"});
  EXPECT_EQ(ended.status, 2);
  EXPECT_NE(ended.said.find("choose a path in a writable directory"), std::string::npos) << ended.said;
  EXPECT_FALSE(std::filesystem::exists(folder_ + "outcome.json"));
}

#else

TEST_F(ViolationWavesRtlTest, ABuildWithoutWavesSaysSoBeforeTheRun) {
  record(folder_ + "good");
  const Ended ended = replayed(folder_ + "good", {folder_ + "run.fst", "", "", "3"});
  EXPECT_EQ(ended.status, 2);
  EXPECT_NE(ended.said.find("has no waves; configure it with -DPOSTERN_RTL_WAVES=ON"), std::string::npos) << ended.said;
  EXPECT_FALSE(std::filesystem::exists(folder_ + "outcome.json"));
}

#endif

TEST_F(ViolationWavesRtlTest, AReplayUnderMonitorsReportsWhatItsHostBreaks) {
  record(folder_ + "good");
  scribble(folder_ + "good", folder_ + "bad");
  const Ended good = replayed(folder_ + "good", {}, true);
  EXPECT_EQ(good.status, 0) << good.said;
  EXPECT_EQ(Json::parse(contents(folder_ + "outcome.json"))["violations"], 0);
  const Ended bad = replayed(folder_ + "bad", {}, true);
  EXPECT_EQ(bad.status, 1);
  EXPECT_NE(bad.said.find("a: 1 contract violation: R4 1x"), std::string::npos) << bad.said;
  const Json outcome = Json::parse(contents(folder_ + "outcome.json"));
  EXPECT_EQ(outcome["violations"], 1);
  EXPECT_EQ(outcome["equal"], true);
  EXPECT_EQ(replayed(folder_ + "bad", {}).status, 0);
  EXPECT_TRUE(Json::parse(contents(folder_ + "outcome.json"))["violations"].is_null());
}

}  // namespace
}  // namespace postern::sim
