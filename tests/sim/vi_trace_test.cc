// Traces of one NIC whose VIs are driven by hand: drops by reason, levels of wire and PCIe link, a VI used again, FST.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>

#include "sim/topology.h"
#include "sim/trace/chrome_trace.h"
#include "sim/trace/vcd_trace.h"
#include "tests/hw_model/nic_bench.h"

namespace postern::sim {
namespace {

using namespace hw_model::test;
using Json = nlohmann::json;

std::string temporary(const std::string& name) {
  return testing::TempDir() + "postern_vi_trace_" + std::to_string(getpid()) + "_" + name;
}

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct Rig {
  explicit Rig(const std::vector<ObserverFactory>& factories) : a("a", kMacA) {
    HostSpec host;
    host.name = "a";
    BoundaryTap& tap = a.monitored->tap();
    for (const ObserverFactory& make : factories) {
      observers.push_back(make(ObserverSite{0, host, tap, tap.properties(), [] { return now_ps(); }}));
      tap.add_observer(*observers.back());
    }
    a.enable_admin();
  }
  ~Rig() { a.finish_monitor(); }
  FreshKernel kernel;
  Node a;
  std::vector<std::shared_ptr<BoundaryObserver>> observers;
};

uint32_t take_mac(TestVi& vi) {
  return vi.add_filter(PST_FILTER_MATCH_MAC,
                       [](pst_command& c) { pst_filter_insert_set_local_address_lo(&c, 0x0a00004e5002ull); });
}

std::vector<uint8_t> frame_for_a() {
  UdpSpec spec;
  spec.destination = kMacA;
  spec.source = kMacB;
  return udp_frame(spec);
}

// Values of a signal of scope (with a space before its $end) by time.
std::map<uint64_t, uint64_t> changes_of(const std::string& vcd, const std::string& scope, const std::string& name) {
  std::string identifier;
  std::map<uint64_t, uint64_t> changes;
  std::istringstream lines(vcd);
  std::string line;
  std::string open_scope;
  uint64_t time_ps = 0;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::vector<std::string> w{std::istream_iterator<std::string>(words), {}};
    if (w.size() >= 3 && w[0] == "$scope") open_scope = w[2];
    if (w.size() >= 5 && w[0] == "$var" && w[4] == name && open_scope == scope) identifier = w[3];
    if (line[0] == '#') time_ps = std::stoull(line.substr(1));
    if (identifier.empty()) continue;
    if (w.size() == 2 && line[0] == 'b' && w[1] == identifier)
      changes[time_ps] = std::stoull(w[0].substr(1), nullptr, 2);
    if (w.size() == 1 && line.size() > 1 && (line[0] == '0' || line[0] == '1') && line.substr(1) == identifier) {
      changes[time_ps] = line[0] == '1' ? 1 : 0;
    }
  }
  return changes;
}

TEST(ViTraceTest, EachDropCounterHasAsManyMarks) {
  ChromeTrace chrome;
  const std::string path = temporary("drops.json");
  ASSERT_TRUE(chrome.open(path, {}).ok());
  std::map<std::string, uint64_t> expected;
  {
    Rig rig({chrome.factory()});
    run_ns(1000);
    arrive(rig.a, frame_for_a());  // no filter
    arrive(rig.a, frame_for_a(), true);
    arrive(rig.a, std::vector<uint8_t>(20));
    ViOptions options;
    options.any_source = false;
    TestVi vi(rig.a, 0, options);
    ASSERT_EQ(take_mac(vi), PST_ERROR_CODE_OK);
    for (int i = 0; i < 3; ++i) arrive(rig.a, frame_for_a());  // no descriptor
    run_ns(3000);
    vi.send(udp_frame());  // its source address is not granted
    run_ns(5000);
    TestVi any(rig.a, 1);
    rig.a.device().wire_export->set_link(false);
    any.send(udp_frame());
    run_ns(5000);
    rig.a.device().wire_export->set_link(true);
    any.send(std::vector<uint8_t>(8));
    run_ns(5000);
    for (const Counter& counter : rig.a.nic.counters()) {
      if (counter.name.rfind("drops.", 0) == 0 && counter.value != 0) expected[counter.name.substr(6)] = counter.value;
    }
  }
  ASSERT_TRUE(chrome.finish().ok());
  std::map<std::string, uint64_t> marks;
  const Json json = Json::parse(contents(path));
  for (const Json& event : json["traceEvents"]) {
    const std::string name = event["name"];
    if (name.rfind("drop ", 0) == 0) marks[name.substr(5)]++;
  }
  EXPECT_EQ(marks, expected);
  for (const char* reason : {"RX_NO_FILTER", "RX_BAD_FCS", "RX_BAD_LENGTH", "RX_NO_DESCRIPTOR", "TX_BAD_SOURCE",
                             "TX_LINK_DOWN", "TX_BAD_LENGTH"}) {
    EXPECT_EQ(expected.count(reason), 1U) << reason;
  }
  unlink(path.c_str());
}

TEST(ViTraceTest, WireAndPcieLinkAreBusyAsLongAsATransferTakes) {
  VcdTrace vcd;
  const std::string path = temporary("busy.vcd");
  ASSERT_TRUE(vcd.open(path, "", {}).ok());
  uint64_t sent_ps = 0;
  {
    Rig rig({vcd.factory()});
    TestVi vi(rig.a, 0);
    vi.send(udp_frame());
    run_ns(10'000);
    ASSERT_EQ(rig.a.wire.size(), 1U);
    sent_ps = rig.a.wire[0].time_ps;
  }
  ASSERT_TRUE(vcd.finish().ok());
  const std::string text = contents(path);
  const auto wire = changes_of(text, "a", "wire_tx");
  ASSERT_EQ(wire.size(), 2U);
  EXPECT_EQ(wire.begin()->first, sent_ps - 72 * 800) << "60 bytes, preamble and FCS at 10 Gb/s";
  EXPECT_EQ(wire.begin()->second, 1U);
  EXPECT_EQ(wire.rbegin()->first, sent_ps);
  const auto busy_ps = [&](const char* name) {
    uint64_t sum_ps = 0;
    uint64_t begin_ps = 0;
    for (const auto& [time_ps, value] : changes_of(text, "a", name)) {
      if (value == 0) sum_ps += time_ps - begin_ps;
      begin_ps = time_ps;
    }
    return sum_ps;
  };
  EXPECT_NEAR(static_cast<double>(busy_ps("pcie_up_busy")), 4 * (16 + 24) * 8e3 / 63.015, 10)
      << "three admin completions and an event at Gen3 x8";
  EXPECT_GT(busy_ps("pcie_down_busy"), 3 * (64 + 24) * 8e3 / 63.1) << "three commands, and more";
  unlink(path.c_str());
}

TEST(ViTraceTest, SignalsOfAViBeginAgainWhenItIsResetOrUsedAgain) {
  VcdTrace vcd;
  const std::string path = temporary("again.vcd");
  ASSERT_TRUE(vcd.open(path, "a.vi0.*", {}).ok());
  uint64_t reset_ps = 0;
  uint64_t freed_ps = 0;
  {
    Rig rig({vcd.factory()});
    TestVi vi(rig.a, 0);
    vi.post_rx(32);
    vi.prime();
    run_ns(3000);
    ASSERT_EQ(rig.a.status(make_command(PST_COMMAND_VI_RESET, vi.id)), PST_ERROR_CODE_OK);
    reset_ps = now_ps();
    vi.rx_idx = 0;
    vi.post_rx(8);
    run_ns(3000);
    ASSERT_EQ(rig.a.status(make_command(PST_COMMAND_VI_FREE, vi.id)), PST_ERROR_CODE_OK);
    freed_ps = now_ps();
    ViOptions smaller;
    smaller.evq_entries = 128;
    ASSERT_EQ(TestVi(rig.a, 1, smaller).id, 0U);
  }
  ASSERT_TRUE(vcd.finish().ok());
  const std::string text = contents(path);
  const auto value_at = [&](const char* name, uint64_t time_ps) {
    const auto changes = changes_of(text, "vi0", name);
    const auto after = changes.upper_bound(time_ps);
    return after == changes.begin() ? ~uint64_t{0} : std::prev(after)->second;
  };
  EXPECT_EQ(value_at("rx_doorbell", reset_ps - 2'000'000), 32U);
  EXPECT_EQ(value_at("primed", reset_ps - 2'000'000), 1U);
  for (const char* name : {"rx_doorbell", "rx_ring", "primed", "evq_depth"}) {
    EXPECT_EQ(value_at(name, reset_ps - 1), 0U) << name;
    EXPECT_EQ(value_at(name, freed_ps - 1), 0U) << name;
  }
  EXPECT_EQ(value_at("rx_doorbell", freed_ps - 2'000'000), 8U);
  EXPECT_EQ(value_at("evq_credits", reset_ps), 256U);
  EXPECT_EQ(value_at("evq_credits", freed_ps - 1), 0U);
  EXPECT_EQ(value_at("evq_credits", UINT64_MAX), 128U);
  unlink(path.c_str());
}

TEST(ViTraceTest, AnFstReadsBackAsTheVcd) {
  if (system("command -v vcd2fst >/dev/null && command -v fst2vcd >/dev/null") != 0) {
    GTEST_SKIP() << "needs vcd2fst and fst2vcd of Debian's package gtkwave";
  }
  VcdTrace vcd;
  VcdTrace fst;
  const std::string vcd_path = temporary("same.vcd");
  const std::string fst_path = temporary("same.fst");
  ASSERT_TRUE(vcd.open(vcd_path, "", {}).ok());
  ASSERT_TRUE(fst.open(fst_path, "", {}).ok());
  {
    Rig rig({vcd.factory(), fst.factory()});
    TestVi vi(rig.a, 0);
    for (int i = 0; i < 5; ++i) vi.send(udp_frame());
    run_ns(10'000);
  }
  ASSERT_TRUE(vcd.finish().ok());
  ASSERT_TRUE(fst.finish().ok());
  EXPECT_NE(access((fst_path + ".vcd").c_str(), F_OK), 0) << "what was converted goes";
  const std::string back_path = temporary("back.vcd");
  ASSERT_EQ(system(("fst2vcd " + fst_path + " >" + back_path).c_str()), 0);
  const std::string text = contents(vcd_path);
  const std::string back = contents(back_path);
  for (const auto& [scope, name] : std::map<std::string, std::string>{{"a", "wire_tx"}, {"vi0", "tx_doorbell"}}) {
    auto read_back = changes_of(back, scope, name);
    for (const auto& [time_ps, value] : changes_of(text, scope, name)) {
      ASSERT_EQ(read_back.count(time_ps), 1U) << name << " at " << time_ps;
      EXPECT_EQ(read_back[time_ps], value) << name << " at " << time_ps;
    }
  }
  EXPECT_EQ(changes_of(text, "a", "wire_tx").size(), 10U);
  for (const std::string& path : {vcd_path, fst_path, back_path}) unlink(path.c_str());
}

TEST(ViTraceTest, WithoutTheConverterAnFstIsAnErrorThatNamesThePackage) {
  const std::string path = getenv("PATH");
  setenv("PATH", "/nonexistent", 1);
  VcdTrace vcd;
  const Status status = vcd.open(temporary("none.fst"), "", {});
  setenv("PATH", path.c_str(), 1);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("install Debian's package gtkwave"), std::string::npos);
}

TEST(TraceWindowTest, OnlyWholeMicrosecondsInRangeAreTaken) {
  const Result<TraceWindow> good = TraceWindow::parse("5", "10", 100);
  ASSERT_TRUE(good.ok());
  EXPECT_FALSE(good.value().contains(4'999'999));
  EXPECT_TRUE(good.value().contains(5'000'000));
  EXPECT_TRUE(good.value().contains(15'000'000));
  EXPECT_FALSE(good.value().contains(15'000'001));
  const Result<TraceWindow> last = TraceWindow::parse(std::to_string(TraceWindow::kUsMax), "", 100);
  ASSERT_TRUE(last.ok());
  EXPECT_FALSE(last.value().contains(1'000'000'000));
  for (const char* bad : {"-1", "nan", "inf", "1e3", "1.5", " 1", "9223372036855", "99999999999999999999", "0x1"}) {
    const Result<TraceWindow> from = TraceWindow::parse(bad, "", 100);
    ASSERT_FALSE(from.ok()) << bad;
    EXPECT_EQ(from.error().message,
              "--trace-from-us " + std::string(bad) + ": expected whole microseconds from 0 to 9223372036854");
    EXPECT_FALSE(TraceWindow::parse("", bad, 100).ok()) << bad;
  }
}

}  // namespace
}  // namespace postern::sim
