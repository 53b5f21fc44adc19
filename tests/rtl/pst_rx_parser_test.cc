// pst_rx_parser under Verilator against the model's header walk and checksums: what the filter learns of good frames,
// what gets into the buffer, and which frames end here.
#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <functional>
#include <map>

#include "Vpst_rx_parser.h"
#include "tests/rtl/rx_frames.h"

namespace postern::rtl_test {
namespace {

constexpr uint32_t kBeatBytes = 64;
constexpr uint32_t kMetaDepth = 8;  // as in CMakeLists.txt
constexpr uint32_t kCfgPort = 0x07;
constexpr uint32_t kMtuLsb = 48;

struct Arrival {
  FrameBytes bytes;
  bool damaged = false;
  uint64_t time_ns = 0;
  uint16_t id = 0;
};
struct Received {
  RxMeta meta;
  FrameBytes bytes;  // as the buffer has them
};

// Feeds frames beat by beat and plays the buffer: cells are handed out in ascending order, an abort takes them back.
class ParserBench {
 public:
  ParserBench() {
    dut_.rst_ni = 0;
    tick();
    dut_.rst_ni = 1;
  }
  std::deque<Arrival> arrivals;
  std::function<bool()> beat_comes = [] { return true; };
  std::function<bool()> space = [] { return true; };
  std::function<bool()> filter_ready = [] { return true; };
  std::vector<Received> received;
  std::map<uint32_t, uint32_t> drops;  // by reason
  uint32_t abort_count = 0;
  uint64_t cycle_count = 0;

  void arrive(const FrameBytes& bytes, bool damaged = false) {
    arrivals.push_back({bytes, damaged, uint64_t{1000} + next_id_, next_id_});
    ++next_id_;
  }
  void set_mtu(uint32_t mtu_bytes) {
    dut_.cfg_valid_i = 1;
    dut_.cfg_op_i = kCfgPort;
    set_bits(dut_.cfg_data_i, kMtuLsb, 16, mtu_bytes);
    cycle();
    dut_.cfg_valid_i = 0;
  }
  void cycle() {
    const bool beat = offer_beat();
    dut_.space_i = space();
    dut_.cell_i = static_cast<uint16_t>(next_cell_ & 0xfff);
    dut_.pf_ready_i = filter_ready();
    dut_.eval();
    note_write();
    if (dut_.pf_valid_o && dut_.pf_ready_i) take_meta();
    if (dut_.drop_valid_o) ++drops[dut_.drop_reason_o];
    quiet = dut_.quiet_o;
    EXPECT_FALSE(quiet && (dut_.wr_valid_o || dut_.wr_abort_o || dut_.drop_valid_o));
    if (!(quiet && skip_quiet)) tick();
    if (beat) advance();
    ++cycle_count;
  }
  void settle() {
    for (int i = 0; i < 100000 && (!arrivals.empty() || !quiet || dut_.pf_valid_o); ++i) cycle();
    EXPECT_TRUE(arrivals.empty());
    EXPECT_TRUE(dut_.quiet_o);
  }
  bool quiet = false;
  bool skip_quiet = false;  // the clock stands still while the block is quiet
  Vpst_rx_parser& dut() { return dut_; }

 private:
  void tick() {
    dut_.clk_i = 0;
    dut_.eval();
    dut_.clk_i = 1;
    dut_.eval();
  }
  bool offer_beat() {
    const bool beat = !arrivals.empty() && beat_comes();
    dut_.rx_valid_i = beat;
    if (!beat) return false;
    const Arrival& arrival = arrivals.front();
    const uint32_t left = static_cast<uint32_t>(arrival.bytes.size()) - sent_bytes_;
    const uint32_t bytes = std::min(left, kBeatBytes);
    std::memset(dut_.rx_data_i.data(), 0xa5, kBeatBytes);  // behind the frame's end is anything
    std::memcpy(dut_.rx_data_i.data(), arrival.bytes.data() + sent_bytes_, bytes);
    dut_.rx_bytes_i = static_cast<uint8_t>(bytes);
    dut_.rx_last_i = left <= kBeatBytes;
    dut_.rx_drop_i = dut_.rx_last_i && arrival.damaged;
    dut_.rx_time_ns_i = dut_.rx_last_i ? arrival.time_ns : ~0ull;
    dut_.rx_id_i = dut_.rx_last_i ? arrival.id : 0xffff;
    return true;
  }
  void advance() {
    sent_bytes_ += kBeatBytes;
    if (!dut_.rx_last_i) return;
    arrivals.pop_front();
    sent_bytes_ = 0;
  }
  void note_write() {
    ASSERT_FALSE(dut_.wr_valid_o && dut_.wr_abort_o);
    if (dut_.wr_abort_o) {
      ++abort_count;
      next_cell_ -= static_cast<uint32_t>(present_.size() / kBeatBytes);
      present_.clear();
    }
    if (!dut_.wr_valid_o) return;
    ASSERT_TRUE(dut_.space_i);
    EXPECT_EQ(dut_.wr_first_o != 0, present_.empty());
    const auto* data = reinterpret_cast<const uint8_t*>(dut_.wr_data_o.data());
    if (dut_.wr_first_o) first_cell_ = next_cell_ & 0xfff;
    present_.insert(present_.end(), data, data + kBeatBytes);
    ++next_cell_;
    if (!dut_.wr_last_o) return;
    complete_[first_cell_] = present_;
    present_.clear();
  }
  void take_meta() {
    Received frame{RxMeta::unpack(dut_.pf_meta_o), {}};
    frame.bytes = complete_.at(frame.meta.frame);
    ASSERT_GE(frame.bytes.size(), frame.meta.bytes);
    frame.bytes.resize(frame.meta.bytes);
    received.push_back(frame);
  }

  Vpst_rx_parser dut_;
  uint32_t sent_bytes_ = 0, next_cell_ = 0, first_cell_ = 0;
  uint16_t next_id_ = 1;
  FrameBytes present_;
  std::map<uint32_t, FrameBytes> complete_;
};

void expect_as_the_model(const Received& got, const FrameBytes& frame) {
  EXPECT_EQ(got.bytes, frame);
  RxMeta expected = meta_by_model(frame);
  expected.frame = got.meta.frame;
  expected.time_ns = got.meta.time_ns;
  expected.id = got.meta.id;
  const bool same = got.meta == expected;
  EXPECT_TRUE(same) << "bytes " << frame.size() << " ethertype " << std::hex << expected.ethertype << " l3 "
                    << got.meta.l3_class << "/" << expected.l3_class << " l4 " << got.meta.l4_class << "/"
                    << expected.l4_class << " sums " << got.meta.checksum_l3 << got.meta.checksum_l4 << "/"
                    << expected.checksum_l3 << expected.checksum_l4 << " ports " << got.meta.local_port << "/"
                    << expected.local_port;
}

TEST(PstRxParserTest, AGoodTcpFrameArrivesWithItsHeadersTimeAndBytes) {
  ParserBench bench;
  std::mt19937 random(1);
  const FrameBytes frame = make_frame({}, random);
  bench.arrive(frame);
  bench.settle();
  ASSERT_EQ(bench.received.size(), 1u);
  expect_as_the_model(bench.received[0], frame);
  const RxMeta& meta = bench.received[0].meta;
  EXPECT_EQ(meta.time_ns, 1001u);
  EXPECT_EQ(meta.id, 1u);
  EXPECT_EQ(meta.checksum_l3, PST_CHECKSUM_RESULT_GOOD);
  EXPECT_EQ(meta.checksum_l4, PST_CHECKSUM_RESULT_GOOD);
  EXPECT_EQ(meta.local_port, 2000u);
  EXPECT_TRUE(bench.drops.empty());
}

TEST(PstRxParserTest, EveryHeaderLayoutAndLengthIsReadAsTheModelReadsIt) {
  std::mt19937 random(2);
  ParserBench bench;
  std::vector<FrameBytes> frames;
  for (uint32_t tags = 0; tags <= 3; ++tags) {
    for (uint32_t ihl = 4; ihl <= 15; ++ihl) {
      for (const uint16_t type : {hw_model::kEthertypeIpv4, hw_model::kEthertypeIpv6}) {
        for (const uint8_t protocol : {6, 17}) {
          for (uint32_t bytes = 60; bytes <= 130; bytes += 5) {
            FramePlan plan;
            plan.tag_count = tags;
            plan.ihl = ihl;
            plan.ethertype = type;
            plan.protocol = protocol;
            plan.bytes = bytes;
            frames.push_back(make_frame(plan, random));
            bench.arrive(frames.back());
          }
        }
      }
    }
  }
  bench.settle();
  ASSERT_EQ(bench.received.size(), frames.size());
  for (size_t i = 0; i < frames.size(); ++i) expect_as_the_model(bench.received[i], frames[i]);
}

TEST(PstRxParserTest, UdpWithoutChecksumIsFineForIpv4AndBadForIpv6) {
  std::mt19937 random(3);
  for (const uint16_t type : {hw_model::kEthertypeIpv4, hw_model::kEthertypeIpv6}) {
    ParserBench bench;
    FramePlan plan;
    plan.ethertype = type;
    plan.protocol = hw_model::kProtocolUdp;
    FrameBytes frame = make_frame(plan, random);
    const uint32_t field = 14 + (type == hw_model::kEthertypeIpv4 ? 20 : 40) + 6;
    frame[field] = frame[field + 1] = 0;
    bench.arrive(frame);
    bench.settle();
    ASSERT_EQ(bench.received.size(), 1u);
    EXPECT_EQ(bench.received[0].meta.checksum_l4,
              type == hw_model::kEthertypeIpv4 ? PST_CHECKSUM_RESULT_NONE : PST_CHECKSUM_RESULT_BAD);
  }
}

TEST(PstRxParserTest, TooShortAndTooLongFramesAreDroppedByTheTagsTheyCarry) {
  std::mt19937 random(4);
  for (uint32_t tags = 0; tags <= 2; ++tags) {
    ParserBench bench;
    bench.set_mtu(300);
    FramePlan plan;
    plan.tag_count = tags;
    const uint32_t longest = 300 + 14 + 4 * tags;
    for (const uint32_t bytes : {14u, 59u, 60u, longest, longest + 1, 1000u}) {
      plan.bytes = bytes;
      bench.arrive(make_frame(plan, random));
    }
    bench.settle();
    ASSERT_EQ(bench.received.size(), 2u) << tags;
    EXPECT_EQ(bench.received[0].meta.bytes, 60u);
    EXPECT_EQ(bench.received[1].meta.bytes, longest);
    EXPECT_EQ(bench.drops[PST_DROP_REASON_RX_BAD_LENGTH], 4u);
  }
}

TEST(PstRxParserTest, NoFrameIsLongerThanTheContractAllows) {
  std::mt19937 random(5);
  ParserBench bench;
  bench.set_mtu(9216);
  FramePlan plan;
  plan.tag_count = 2;
  for (const uint32_t bytes : {PST_LIMIT_FRAME_BYTES_MAX + 0u, PST_LIMIT_FRAME_BYTES_MAX + 1u, 40000u}) {
    plan.bytes = bytes;
    bench.arrive(make_frame(plan, random));
  }
  bench.settle();
  ASSERT_EQ(bench.received.size(), 1u);
  EXPECT_EQ(bench.drops[PST_DROP_REASON_RX_BAD_LENGTH], 2u);
}

TEST(PstRxParserTest, DamagedFramesLeaveNothingAndAreNotCountedAgain) {
  std::mt19937 random(6);
  ParserBench bench;
  FramePlan plan;
  const FrameBytes good = make_frame(plan, random);
  plan.bytes = 59;
  bench.arrive(good, true);
  bench.arrive(make_frame(plan, random), true);  // too short as well
  bench.arrive(good);
  bench.settle();
  ASSERT_EQ(bench.received.size(), 1u);
  EXPECT_EQ(bench.received[0].meta.id, 3u);
  EXPECT_EQ(bench.received[0].meta.frame, 0u) << "cells of damaged frames are used again";
  EXPECT_TRUE(bench.drops.empty());
}

TEST(PstRxParserTest, AFrameThatFindsNoCellMidwayIsDroppedAndTheNextOneArrives) {
  std::mt19937 random(7);
  ParserBench bench;
  FramePlan plan;
  plan.bytes = 640;
  bench.arrive(make_frame(plan, random));
  bench.arrive(make_frame(plan, random));
  uint32_t asked = 0;
  bench.space = [&asked] { return ++asked != 5; };
  bench.settle();
  ASSERT_EQ(bench.received.size(), 1u);
  EXPECT_EQ(bench.received[0].meta.id, 2u);
  EXPECT_EQ(bench.drops[PST_DROP_REASON_RX_BUFFER_FULL], 1u);
}

TEST(PstRxParserTest, FramesBeyondWhatMayWaitForTheFilterAreDropped) {
  std::mt19937 random(8);
  ParserBench bench;
  bool ready = false;
  bench.filter_ready = [&ready] { return ready; };
  FramePlan plan;
  plan.bytes = 60;
  for (uint32_t i = 0; i < kMetaDepth + 3; ++i) bench.arrive(make_frame(plan, random));
  for (int i = 0; i < 40; ++i) bench.cycle();
  EXPECT_EQ(bench.drops[PST_DROP_REASON_RX_BUFFER_FULL], 3u);
  EXPECT_TRUE(bench.quiet) << "nothing moves while the filter does not";
  ready = true;
  bench.settle();
  EXPECT_EQ(bench.received.size(), kMetaDepth);
}

TEST(PstRxParserTest, SmallestFramesPassAtOneACycle) {
  std::mt19937 random(9);
  ParserBench bench;
  FramePlan plan;
  plan.bytes = 64;
  for (int i = 0; i < 200; ++i) bench.arrive(make_frame(plan, random));
  bench.settle();
  EXPECT_EQ(bench.received.size(), 200u);
  EXPECT_LE(bench.cycle_count, 206u);
}

TEST(PstRxParserTest, NothingChangesWhileItIsQuiet) {
  std::mt19937 random(10);
  ParserBench bench;
  bench.arrive(make_frame({}, random));
  bench.settle();
  const RxMeta before = RxMeta::unpack(bench.dut().pf_meta_o);
  for (int i = 0; i < 200; ++i) {
    bench.cycle();
    ASSERT_TRUE(bench.quiet);
    ASSERT_FALSE(bench.dut().wr_valid_o || bench.dut().wr_abort_o || bench.dut().drop_valid_o ||
                 bench.dut().pf_valid_o);
  }
  EXPECT_TRUE(before == RxMeta::unpack(bench.dut().pf_meta_o));
}

class RandomRxParserTest : public testing::TestWithParam<uint32_t> {};

TEST_P(RandomRxParserTest, FramesUnderBackPressureAreReceivedAsTheModelReadsThem) {
  std::mt19937 random(GetParam());
  ParserBench bench;
  bench.skip_quiet = GetParam() % 2 == 0;
  uint32_t pace = 100, drain = 100;
  bench.beat_comes = [&] { return random() % 100 < pace; };
  bench.filter_ready = [&] { return random() % 100 < drain; };
  bench.space = [&] { return random() % 200 != 0; };
  std::map<uint16_t, FrameBytes> sent;
  uint16_t id = 0;
  uint32_t damaged_count = 0;
  for (int round = 0; round < 3000; ++round) {
    if (round % 100 == 0) pace = 20 + random() % 81, drain = 10 + random() % 91;
    const FrameBytes frame = random_frame(random, 700);
    const bool damaged = random() % 20 == 0;
    damaged_count += damaged;
    bench.arrive(frame, damaged);
    sent[++id] = damaged ? FrameBytes{} : frame;
    while (bench.arrivals.size() > 3) bench.cycle();
  }
  drain = 100;
  bench.settle();
  uint16_t last = 0;
  for (const Received& got : bench.received) {
    EXPECT_GT(got.meta.id, last) << "in order";
    last = static_cast<uint16_t>(got.meta.id);
    EXPECT_EQ(got.meta.time_ns, 1000u + last);
    ASSERT_FALSE(sent.at(last).empty()) << "a damaged frame has passed";
    expect_as_the_model(got, sent.at(last));
    if (HasFailure()) return;
  }
  EXPECT_EQ(bench.received.size() + damaged_count + bench.drops[PST_DROP_REASON_RX_BUFFER_FULL], 3000u);
  EXPECT_GT(bench.received.size(), 2000u);
  EXPECT_EQ(bench.drops.size(), 1u);
}
INSTANTIATE_TEST_SUITE_P(Seed, RandomRxParserTest, testing::Range(1u, 5u));

}  // namespace
}  // namespace postern::rtl_test
