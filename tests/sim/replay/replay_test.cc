// Record and replay of whole runs. A SystemC kernel elaborates once per process, so each run and each replay is a
// child.
#include "sim/replay/replay.h"

#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <map>

#include "sim/replay/run_recorder.h"
#include "sim/trace/chrome_trace.h"
#include "sim/trace/vcd_trace.h"
#include "tests/sim/scenario_fixtures.h"

namespace postern::sim {
namespace {

std::string temporary(const std::string& name) {
  return testing::TempDir() + "postern_" + std::to_string(getpid()) + "_" + name;
}

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

constexpr const char* kPingpong = "[[workload]]\nkind = \"udp_pingpong\"\nfrom = \"a\"\nto = \"b\"\ncount = 20\n";
const std::string kLossyStream =
    std::string(kImpairedLink) +
    "[[workload]]\nkind = \"tcp_transfer\"\nfrom = \"a\"\nto = \"b\"\ntotal_bytes = 200_000\n";

template <typename Body>
int apart(Body body) {
  const pid_t child = fork();
  if (child == 0) _exit(body());
  int status = -1;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void record(const std::string& text, const std::string& path) {
  const Scenario scenario = scenario_of(text);
  ASSERT_EQ(apart([&] {
              RunRecorder recorder;
              RunWatchers watchers;
              if (!recorder.open(path)) return 3;
              watchers.observers.push_back(recorder.factory());
              const auto outcome = execute_scenario(scenario, "", false, true, watchers);
              return outcome.ok() && outcome.value().ok && recorder.finish() ? 0 : 4;
            }),
            0);
}

int replayed(const std::string& path, bool ignore_timing = false, const std::vector<std::string>& settings = {},
             const std::string& json_path = "-") {
  ReplayOptions options;
  options.path = path;
  options.ignore_timing = ignore_timing;
  options.settings = settings;
  options.json_path = json_path;
  return apart([&] { return run_replay(options); });
}

TEST(ReplayTest, APingpongIsTheSameToThePicosecond) {
  const std::string path = temporary("pingpong");
  record(kPingpong, path);
  EXPECT_EQ(replayed(path), 0);
  EXPECT_EQ(replayed(path, false, {"event_queue.processing_ns=90"}), 1);
  EXPECT_EQ(replayed(path, true, {"event_queue.processing_ns=90"}), 0);
}

TEST(ReplayTest, ALossyTcpTransferIsTheSame) {
  const std::string path = temporary("lossy");
  record(kLossyStream, path);
  EXPECT_EQ(replayed(path), 0);
  EXPECT_EQ(replayed(path, true, {"event_queue.processing_ns=90"}), 0);
  EXPECT_EQ(replayed(path, true, {"pcie_link.propagation_ns=400", "pcie_link.mps_bytes=128"}), 0);
}

TEST(ReplayTest, AChangedPayloadIsFoundWithIgnoredTimingToo) {
  const std::string changed = temporary("payload");
  record(kPingpong, temporary("original"));
  auto reader = TraceReader::open(temporary("original"));
  auto writer = TraceWriter::create(changed);
  ASSERT_TRUE(reader.ok() && writer.ok());
  TraceRecord next;
  bool done = false;
  while (reader.value()->next(next).ok() && next.kind != RecordKind::kEnd) {
    if (!done && next.kind == RecordKind::kDmaWrite && next.data.size() >= 60) {
      next.data.back() ^= 1;
      done = true;
    }
    writer.value()->write(next);
  }
  ASSERT_TRUE(done && writer.value()->finish().ok());
  EXPECT_EQ(replayed(changed, true), 1);
}

TEST(ReplayTest, TwoRecordsOfARunAreEqual) {
  record(kPingpong, temporary("one"));
  record(kPingpong, temporary("two"));
  const std::string one = contents(temporary("one"));
  EXPECT_GT(one.size(), 10'000U);
  EXPECT_TRUE(one == contents(temporary("two")));
}

TEST(ReplayTest, AChangedByteIsReportedAtItsRecord) {
  const std::string path = temporary("whole");
  const std::string changed = temporary("changed");
  record(kPingpong, path);
  auto reader = TraceReader::open(path);
  auto writer = TraceWriter::create(changed);
  ASSERT_TRUE(reader.ok() && writer.ok());
  TraceRecord next;
  uint64_t changed_idx = 0;
  for (uint64_t idx = 0; reader.value()->next(next).ok() && next.kind != RecordKind::kEnd; ++idx) {
    if (changed_idx == 0 && idx > 500 && next.kind == RecordKind::kFrameSent) {
      next.data.back() ^= 1;
      changed_idx = idx;
    }
    writer.value()->write(next);
  }
  ASSERT_TRUE(writer.value()->finish().ok());
  ASSERT_NE(changed_idx, 0U);
  const std::string json_path = temporary("outcome");
  EXPECT_EQ(replayed(changed, false, {}, json_path), 1);
  EXPECT_EQ(Json::parse(contents(json_path))["divergence_record"], changed_idx);
  EXPECT_EQ(replayed(changed, true), 1);
}

TEST(ReplayTest, ABadFileIsRefused) {
  const std::string path = temporary("good");
  record(kPingpong, path);
  const std::string good = contents(path);
  const std::string bad = temporary("bad");
  const auto outcome = [&](const std::string& bytes) {
    std::ofstream(bad, std::ios::binary) << bytes;
    return replayed(bad);
  };
  EXPECT_EQ(outcome(good), 0);
  EXPECT_EQ(outcome(good.substr(0, good.size() - 1)), 2);
  EXPECT_EQ(outcome(good.substr(0, 10)), 2);
  EXPECT_EQ(outcome(good + "x"), 2);
  std::string flipped = good;
  flipped[good.size() / 2] ^= 4;
  EXPECT_EQ(outcome(flipped), 2);
  EXPECT_EQ(replayed(temporary("missing")), 2);
}

// Slices of a track follow each other, and each arrow joins the beginnings of two slices.
void expect_valid_slices(const Json& json) {
  std::map<std::pair<int, int>, std::map<uint64_t, uint64_t>> tracks;  // by process and track: end by begin, ps
  const auto ps = [](const Json& us) { return static_cast<uint64_t>(us.get<double>() * 1e6 + 0.5); };
  for (const Json& event : json["traceEvents"]) {
    if (event["ph"] != "X") continue;
    uint64_t& end_ps = tracks[{event["pid"], event["tid"]}][ps(event["ts"])];
    end_ps = std::max(end_ps, ps(event["ts"]) + ps(event["dur"]));
  }
  for (const auto& [track, slices] : tracks) {
    uint64_t last_end_ps = 0;
    for (const auto& [begin_ps, end_ps] : slices) {
      EXPECT_GE(begin_ps, last_end_ps) << "track " << track.second;
      last_end_ps = end_ps;
    }
  }
  for (const Json& event : json["traceEvents"]) {
    if (event["ph"] != "s" && event["ph"] != "f") continue;
    EXPECT_EQ((tracks[{event["pid"], event["tid"]}].count(ps(event["ts"]))), 1U) << event;
  }
}

TEST(TraceTest, SlicesOfPacketsThatOverlapDoNot) {
  ChromeTrace chrome;
  RunWatchers watchers;
  ASSERT_TRUE(chrome.open(temporary("json"), {}).ok());
  watchers.observers = {chrome.factory()};
  watchers.packets = &chrome;
  ASSERT_TRUE(execute_scenario(scenario_of(kLossyStream), "", false, true, watchers).ok());
  ASSERT_TRUE(chrome.finish().ok());
  const Json json = Json::parse(contents(temporary("json")));
  bool lanes = false;
  for (const Json& event : json["traceEvents"]) {
    if (event["name"] == "thread_name") lanes = lanes || event["args"]["name"] == "VI 0 port_wait (2)";
  }
  EXPECT_TRUE(lanes) << "packets wait for the port side by side";
  expect_valid_slices(json);
}

TEST(TraceTest, CapturesOfARunHaveNanoseconds) {
  const std::string directory = temporary("pcap");
  ASSERT_TRUE(execute_scenario(scenario_of(kPingpong), directory, false, false, {}).ok());
  for (const char* name : {"/a.pcap", "/b.pcap"}) {
    const std::string bytes = contents(directory + name);
    ASSERT_GT(bytes.size(), 24U) << name;
    EXPECT_EQ(bytes.substr(0, 4), "\x4d\x3c\xb2\xa1") << name;
  }
}

TEST(TraceTest, AChromeTraceHasAnArrowForEachPacketAndTheVcdItsSignals) {
  ChromeTrace chrome;
  VcdTrace vcd;
  RunWatchers watchers;
  ASSERT_TRUE(chrome.open(temporary("json"), {}).ok());
  ASSERT_TRUE(vcd.open(temporary("vcd"), "a.vi0.*", {}).ok());
  watchers.observers = {chrome.factory(), vcd.factory()};
  watchers.packets = &chrome;
  ASSERT_TRUE(execute_scenario(scenario_of(kPingpong), "", false, true, watchers).ok());
  ASSERT_TRUE(chrome.finish().ok());
  ASSERT_TRUE(vcd.finish().ok());
  std::map<std::string, int> phases;
  const Json json = Json::parse(contents(temporary("json")));
  for (const Json& event : json["traceEvents"]) phases[event["ph"]]++;
  EXPECT_GE(phases["s"], 39);
  EXPECT_EQ(phases["s"], phases["f"]);
  EXPECT_GE(phases["X"], 39 * 10);
  EXPECT_GE(phases["i"], 80);
  expect_valid_slices(json);
  const std::string text = contents(temporary("vcd"));
  EXPECT_NE(text.find("$timescale 1 ps $end"), std::string::npos);
  EXPECT_NE(text.find(" evq_depth $end"), std::string::npos);
  EXPECT_EQ(text.find(" wire_tx $end"), std::string::npos) << "the pattern leaves it out";
  uint64_t last_ps = 0;
  uint64_t times = 0;
  for (size_t at = text.find("\n#"); at != std::string::npos; at = text.find("\n#", at + 1), ++times) {
    const uint64_t time_ps = std::stoull(text.substr(at + 2));
    EXPECT_TRUE(times == 0 || time_ps > last_ps);
    last_ps = time_ps;
  }
  EXPECT_GE(times, 20U * 3) << "per round trip at least a doorbell, an event and its consumption";
}

}  // namespace
}  // namespace postern::sim
