// Drives pst_mac_port cycle by cycle and plays pst_tx_dma and the wire side. Holds frames, reports, counts and the
// times at which frames may start against a reference.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "Vpst_mac_port.h"
#include "contract/gen/pst_contract.h"
#include "tests/rtl/wide_bytes.h"

namespace postern::rtl_test {

using Frame = std::vector<uint8_t>;

struct PortSettings {
  uint64_t address = 0x665544332202;  // byte 0 in bits 7..0
  bool loopback = false, pause = true, link_up = true;
  uint32_t ps_per_byte = 800;  // 10 Gb/s
  uint32_t quanta = 100, high_bytes = 2000, low_bytes = 500;
};

struct SentFrame {
  uint64_t offered_ns = 0;  // when it was first offered
  Frame bytes;
  bool pause = false, loop = false;
  uint32_t vi = 0, end_idx = 0;
  bool operator==(const SentFrame&) const = default;
};

struct LeftReport {
  uint64_t cycle = 0, time_ns = 0;
  bool lost = false;
  bool operator==(const LeftReport&) const = default;
};

struct ReceivedFrame {
  uint64_t cycle = 0;
  Frame bytes;
  bool drop = false;
  uint32_t id = 0;
  uint64_t time_ns = 0;
  bool operator==(const ReceivedFrame&) const = default;
};

struct PortCounts {
  uint64_t rx_frames = 0, rx_bytes = 0, rx_pause = 0, tx_frames = 0, tx_bytes = 0, tx_loop = 0, tx_pause = 0,
           bad_fcs = 0;
  bool operator==(const PortCounts&) const = default;
};

class MacPortBench {
 public:
  static constexpr uint32_t kFlightDepth = 8;  // as in CMakeLists.txt
  static constexpr uint64_t kCycleNs = 4;
  static constexpr uint64_t kPauseAddress = 0x010000c28001;

  struct Arriving {
    Frame bytes;
    bool bad = false, looped = false;
    uint32_t id = 0;
  };
  struct Sending {
    Frame bytes;
    uint32_t vi = 0, end_idx = 0;
  };

  explicit MacPortBench(bool skips = false) : skips_(skips) {
    dut_.rst_ni = 0;
    dut_.eval();  // Verilator sees edges from the second evaluation on
    clock();
    dut_.rst_ni = 1;
  }

  std::deque<Sending> sending;
  std::deque<Arriving> arriving;
  std::function<bool()> wire_ready = [] { return true; };   // takes a beat
  std::function<bool()> wire_leaves = [] { return true; };  // the oldest frame that it has leaves
  std::function<bool()> beat_comes = [] { return true; };   // the next beat of a frame arrives
  std::function<bool()> frame_comes = [] { return true; };  // pst_tx_dma has its next beat
  bool link_lost = false;                                   // what the wire side reports
  uint32_t level_bytes = 0;

  std::vector<SentFrame> sent;
  std::vector<LeftReport> left;
  std::vector<ReceivedFrame> received;
  PortCounts counts, expected;
  uint64_t cycle_count = 0, skipped_count = 0;
  uint64_t hold_until_ns = 0;  // reference: no frame starts before

  [[nodiscard]] uint64_t now_ns() const { return 1000 + cycle_count * kCycleNs; }
  [[nodiscard]] uint64_t due_ns() const { return dut_.due_ns_o; }
  [[nodiscard]] bool quiet() const { return dut_.quiet_o; }

  static Frame frame(uint64_t destination, uint32_t bytes, uint32_t seed = 1) {
    Frame made(bytes);
    for (uint32_t i = 0; i < bytes; ++i) made[i] = static_cast<uint8_t>(seed * 37 + i * 7 + i / 64);
    for (uint32_t i = 0; i < 6 && i < bytes; ++i) made[i] = static_cast<uint8_t>(destination >> (8 * i));
    return made;
  }
  static Frame pause_frame(uint32_t quanta, uint64_t destination = kPauseAddress, uint64_t source = 0x0b0a09080702,
                           uint32_t bytes = 60) {
    Frame made(bytes);
    for (uint32_t i = 0; i < 6; ++i) {
      made[i] = static_cast<uint8_t>(destination >> (8 * i));
      made[6 + i] = static_cast<uint8_t>(source >> (8 * i));
    }
    made[12] = 0x88;
    made[13] = 0x08;
    made[15] = 1;
    made[16] = static_cast<uint8_t>(quanta >> 8);
    made[17] = static_cast<uint8_t>(quanta);
    return made;
  }
  // Of so many quanta, rounded up.
  [[nodiscard]] uint64_t quanta_ns(uint64_t quanta) const { return (quanta * 64 * settings_.ps_per_byte + 999) / 1000; }

  void send(const Frame& bytes, uint32_t vi = 1, uint32_t end_idx = 7) { sending.push_back({bytes, vi, end_idx}); }
  void arrive(const Frame& bytes, bool bad = false, bool looped = false) {
    arriving.push_back({bytes, bad, looped, ++arrived_count_});
  }
  // Returns when the settings hold.
  void configure(const PortSettings& settings) {
    start_configure(settings);
    for (int i = 0; i < 2000 && cfg_waits_; ++i) cycle();
    EXPECT_FALSE(cfg_waits_) << "settings are not done within 2000 cycles";
  }
  void start_configure(const PortSettings& settings) {
    new_settings_ = settings;
    cfg_pulse_ = cfg_waits_ = true;
  }
  [[nodiscard]] bool configuring() const { return cfg_waits_; }

  void run(uint64_t cycles) {
    for (uint64_t i = 0; i < cycles; ++i) cycle();
  }
  void settle(int limit = 5000) {
    for (int i = 0; i < limit; ++i) {
      cycle();
      if (sending.empty() && arriving.empty() && in_flight_.empty() && !cfg_waits_ && dut_.quiet_o) return;
    }
    ADD_FAILURE() << "the block did not come to rest within " << limit << " cycles";
  }

  void cycle() {
    drive();
    dut_.clk_i = 0;
    dut_.eval();
    observe_wire();
    observe_left();
    observe_receive();
    if (dut_.cfg_done_o) {
      EXPECT_TRUE(cfg_waits_);
      if (settings_.pause && !new_settings_.pause) hold_until_ns = 0;
      settings_ = new_settings_;
      cfg_waits_ = false;
    }
    cfg_pulse_ = false;
    if (skips_ && dut_.quiet_o && now_ns() < dut_.due_ns_o)
      ++skipped_count;
    else
      clock();
    ++cycle_count;
  }

 private:
  struct InFlight {
    bool pause = false, loop = false;
    uint32_t bytes = 0;
  };

  void clock() {
    dut_.clk_i = 1;
    dut_.eval();
    dut_.clk_i = 0;
  }

  void drive() {
    dut_.time_ns_i = now_ns();
    dut_.level_bytes_i = level_bytes;
    dut_.cfg_valid_i = cfg_pulse_;
    dut_.cfg_op_i = 7;  // CFG_PORT
    if (cfg_pulse_) drive_settings();
    drive_frame();
    drive_receive();
    dut_.wt_ready_i = wire_ready();
    dut_.wl_valid_i = !in_flight_.empty() && wire_leaves();
    dut_.wl_lost_i = link_lost;
    dut_.wl_time_ns_i = now_ns() - 77;
  }

  void drive_settings() {
    std::vector<uint8_t> data;
    const auto put = [&data](uint64_t value, uint32_t bytes) {
      for (uint32_t i = 0; i < bytes; ++i) data.push_back(static_cast<uint8_t>(value >> (8 * i)));
    };
    const PortSettings& s = new_settings_;
    put(s.address, 6);
    put(1500, 2);
    // From here on fields do not begin at bytes: promiscuous, pause, loopback, link_up, then 32 bits of ps_per_byte.
    const uint64_t flags = 1u | (s.pause ? 2u : 0u) | (s.loopback ? 4u : 0u) | (s.link_up ? 8u : 0u);
    put(flags | uint64_t{s.ps_per_byte} << 4 | uint64_t{s.quanta} << 36 | uint64_t{s.high_bytes} << 52, 8);
    put(uint64_t{s.high_bytes} >> 12 | uint64_t{s.low_bytes} << 20, 8);
    put_bytes(dut_.cfg_data_i, data);
  }

  void drive_frame() {
    if (!sending.empty() && !frame_offered_) frame_offered_ = frame_comes();
    dut_.fr_valid_i = !sending.empty() && frame_offered_;
    if (!dut_.fr_valid_i) return;
    const Sending& now = sending.front();
    const uint32_t here = std::min<uint32_t>(kBeatBytes, static_cast<uint32_t>(now.bytes.size()) - sent_bytes_);
    put_bytes(dut_.fr_data_i, std::span(now.bytes).subspan(sent_bytes_, here));
    dut_.fr_bytes_i = static_cast<uint8_t>(here);
    dut_.fr_last_i = sent_bytes_ + here == now.bytes.size();
    dut_.fr_vi_i = static_cast<uint16_t>(now.vi);
    dut_.fr_end_idx_i = now.end_idx;
  }

  void drive_receive() {
    dut_.wr_valid_i = !arriving.empty() && beat_comes();
    dut_.wr_last_i = dut_.wr_bad_i = dut_.wr_looped_i = 0;
    if (!dut_.wr_valid_i) return;
    const Arriving& now = arriving.front();
    const uint32_t here = std::min<uint32_t>(kBeatBytes, static_cast<uint32_t>(now.bytes.size()) - arrived_bytes_);
    put_bytes(dut_.wr_data_i, std::span(now.bytes).subspan(arrived_bytes_, here));
    dut_.wr_bytes_i = static_cast<uint8_t>(here);
    dut_.wr_last_i = arrived_bytes_ + here == now.bytes.size();
    dut_.wr_bad_i = dut_.wr_last_i && now.bad;
    dut_.wr_looped_i = dut_.wr_last_i && now.looped;
    dut_.wr_time_ns_i = now_ns() - 99;
    dut_.wr_id_i = static_cast<uint16_t>(now.id);
  }

  void observe_wire() {
    EXPECT_EQ(dut_.fr_ready_o && dut_.fr_valid_i, dut_.wt_valid_o && !dut_.wt_pause_o && dut_.wt_ready_i);
    if (!dut_.wt_valid_o) {
      EXPECT_FALSE(was_offered_) << "what is offered stays";
      return;
    }
    SentFrame now{now_ns(),     get_bytes(dut_.wt_data_o, dut_.wt_bytes_o), dut_.wt_pause_o != 0, dut_.wt_loop_o != 0,
                  dut_.wt_vi_o, dut_.wt_pause_o ? 0 : dut_.wt_end_idx_o};
    if (!was_offered_ && !on_wire_) {
      first_offered_ns_ = now_ns();
      if (!now.pause) {
        EXPECT_GE(now_ns(), hold_until_ns) << "a frame starts although the peer has paused";
      }
    }
    now.offered_ns = first_offered_ns_;
    if (was_offered_) {
      EXPECT_TRUE(now == offered_) << "what is offered stays as it is";
    }
    if (on_wire_) {
      EXPECT_FALSE(now.pause) << "a pause frame inside a frame";
      EXPECT_EQ(now.loop, on_wire_->loop);
    }
    offered_ = now;
    was_offered_ = !dut_.wt_ready_i;
    if (dut_.wt_ready_i) take_beat(now);
  }

  void take_beat(const SentFrame& now) {
    if (!on_wire_)
      on_wire_ = now;
    else
      on_wire_->bytes.insert(on_wire_->bytes.end(), now.bytes.begin(), now.bytes.end());
    if (!now.pause) {
      frame_offered_ = false;
      sent_bytes_ += static_cast<uint32_t>(now.bytes.size());
    }
    if (!dut_.wt_last_o) return;
    if (now.pause) {
      EXPECT_EQ(now.bytes.size(), static_cast<size_t>(PST_LIMIT_FRAME_BYTES_MIN));
      EXPECT_FALSE(now.loop);
    } else {
      const Sending& want = sending.front();
      EXPECT_TRUE(on_wire_->bytes == want.bytes) << "a frame is not what it was";
      EXPECT_EQ(now.vi, want.vi);
      EXPECT_EQ(now.end_idx, want.end_idx);
      sent_bytes_ = 0;
      sending.pop_front();
    }
    in_flight_.push_back({now.pause, on_wire_->loop, static_cast<uint32_t>(on_wire_->bytes.size())});
    EXPECT_LE(in_flight_.size(), kFlightDepth);
    sent.push_back(*on_wire_);
    on_wire_.reset();
  }

  void observe_left() {
    counts.tx_frames += dut_.count_tx_frame_o;
    if (dut_.count_tx_frame_o) counts.tx_bytes += dut_.count_tx_bytes_o;
    counts.tx_loop += dut_.count_tx_loop_o;
    counts.tx_pause += dut_.count_tx_pause_o;
    if (!dut_.wl_valid_i) {
      EXPECT_FALSE(dut_.left_valid_o);
      return;
    }
    const InFlight frame = in_flight_.front();
    in_flight_.pop_front();
    const bool lost = !frame.loop && (link_lost || !settings_.link_up);
    EXPECT_EQ(dut_.left_valid_o, !frame.pause) << "the port's own frames are not reported";
    if (!lost && frame.pause) ++expected.tx_pause;
    if (frame.pause) return;
    if (frame.loop) ++expected.tx_loop;
    if (!lost && !frame.loop) ++expected.tx_frames, expected.tx_bytes += frame.bytes;
    EXPECT_EQ(dut_.left_lost_o, lost);
    EXPECT_EQ(dut_.left_time_ns_o, dut_.wl_time_ns_i);
    left.push_back({cycle_count, dut_.left_time_ns_o, dut_.left_lost_o != 0});
  }

  void observe_receive() {
    counts.rx_frames += dut_.count_rx_frame_o;
    if (dut_.count_rx_frame_o) counts.rx_bytes += dut_.count_rx_bytes_o;
    counts.rx_pause += dut_.count_rx_pause_o;
    counts.bad_fcs += dut_.drop_valid_o;
    if (dut_.drop_valid_o) {
      EXPECT_EQ(dut_.drop_reason_o, static_cast<uint32_t>(PST_DROP_REASON_RX_BAD_FCS));
    }
    EXPECT_EQ(dut_.rx_valid_o, dut_.wr_valid_i);
    if (!dut_.rx_valid_o) return;
    EXPECT_EQ(dut_.rx_last_o, dut_.wr_last_i);
    const Frame here = get_bytes(dut_.rx_data_o, dut_.rx_bytes_o);
    receiving_.insert(receiving_.end(), here.begin(), here.end());
    arrived_bytes_ += dut_.wr_bytes_i;
    if (!dut_.rx_last_o) return;
    const Arriving want = arriving.front();
    EXPECT_TRUE(receiving_ == want.bytes);
    EXPECT_EQ(dut_.rx_id_o, want.id & 0xffff);
    EXPECT_EQ(dut_.rx_time_ns_o, dut_.wr_time_ns_i);
    judge_arrival(want, dut_.rx_drop_o != 0);
    received.push_back({cycle_count, receiving_, dut_.rx_drop_o != 0, dut_.rx_id_o, dut_.rx_time_ns_o});
    receiving_.clear();
    arrived_bytes_ = 0;
    arriving.pop_front();
  }

  void judge_arrival(const Arriving& frame, bool dropped) {
    if (!settings_.link_up && !frame.looped) {
      EXPECT_TRUE(dropped) << "nothing comes over a link that is down";
      return;
    }
    const Frame& b = frame.bytes;
    uint64_t destination = 0;
    for (uint32_t i = 0; i < 6; ++i) destination |= uint64_t{b[i]} << (8 * i);
    const bool is_pause = !frame.bad && b.size() >= 60 && b[12] == 0x88 && b[13] == 0x08 && b[14] == 0 && b[15] == 1 &&
                          (destination == kPauseAddress || destination == settings_.address);
    EXPECT_EQ(dropped, is_pause || frame.bad);
    if (is_pause) {
      ++expected.rx_pause;
      // It is obeyed a cycle later.
      if (settings_.pause && !frame.looped)
        hold_until_ns = now_ns() + kCycleNs + quanta_ns(uint32_t{b[16]} << 8 | b[17]);
      return;
    }
    ++expected.rx_frames;
    expected.rx_bytes += b.size();
    if (frame.bad) ++expected.bad_fcs;
  }

  Vpst_mac_port dut_;
  const bool skips_;
  PortSettings settings_{.link_up = false}, new_settings_;
  bool cfg_pulse_ = false, cfg_waits_ = false;
  bool was_offered_ = false, frame_offered_ = false;
  SentFrame offered_;
  std::optional<SentFrame> on_wire_;
  uint64_t first_offered_ns_ = 0;
  uint32_t sent_bytes_ = 0, arrived_bytes_ = 0, arrived_count_ = 0;
  std::deque<InFlight> in_flight_;
  Frame receiving_;
};

}  // namespace postern::rtl_test
