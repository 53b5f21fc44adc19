// pst_tx_packet under Verilator between a transmit buffer and a port, against what the model's pure functions make of
// the same packets: verdicts and frames, in order. The buffer's bytes are overwritten as soon as the block says that it
// has read them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "Vpst_tx_packet.h"
#include "contract/gen/pst_contract.h"
#include "hw_model/checksum.h"
#include "hw_model/frame_parser.h"
#include "hw_model/segmentation.h"

namespace postern::rtl_test {

using Bytes = std::vector<uint8_t>;

constexpr uint32_t kBufferBytes = 65536;
constexpr uint32_t kLineBytes = 64;
constexpr uint32_t kOpPort = 0x07, kOpGrant = 0x30;  // pst_admin_pkg::CFG_PORT, CFG_GRANT

struct TxPacket {
  Bytes bytes;
  uint16_t vi = 0;
  int drop_reason = -1;  // decided before: nothing of it is in the buffer
  bool l3 = false, l4 = false, segment = false, vlan_insert = false, any_source = false;
  uint16_t mss = 0;
  uint16_t vlan_tci = 0;
  uint32_t gap_bytes = 0;  // left free in the buffer before it
  Bytes trailing;          // written behind it into the buffer
  uint32_t end_idx = 0;    // given by the bench
  uint32_t first = 0;
};

struct TxFrame {
  uint16_t vi = 0;
  uint32_t end_idx = 0;
  Bytes bytes;
  bool operator==(const TxFrame&) const = default;
};

struct TxVerdict {
  int drop_reason = -1;
  uint32_t frames = 0;
  uint32_t extra_bytes = 0;
  bool operator==(const TxVerdict&) const = default;
};

struct Grant {
  uint8_t family = PST_ADDRESS_FAMILY_MAC;
  uint64_t lo = 0, hi = 0;
};

// What becomes of a packet, from the model's functions.
class TxPacketReference {
 public:
  uint32_t mtu_bytes = 1500;
  uint64_t mac_address = 0;
  std::map<uint32_t, Grant> grants;  // by VI * 8 + n

  TxVerdict send(const TxPacket& packet, std::vector<TxFrame>& frames) const {
    using namespace hw_model;
    if (packet.drop_reason >= 0) return {packet.drop_reason, 0, 0};
    Bytes bytes = packet.bytes;
    const auto length = static_cast<uint32_t>(bytes.size());
    SegmentPlan plan;
    if (packet.segment) {
      if (!plan_segments(bytes.data(), length, packet.mss, mtu_bytes, plan) ||
          plan.segment_bytes(0) + tag_bytes(packet) > PST_LIMIT_FRAME_BYTES_MAX) {
        return {PST_DROP_REASON_TX_BAD_SEGMENT, 0, 0};
      }
    } else {
      plan.parsed = parse_frame(bytes.data(), length);
      if (length > std::min<uint32_t>(mtu_bytes + 14 + 4 * plan.parsed.vlan_count, PST_LIMIT_FRAME_BYTES_MAX) ||
          length + tag_bytes(packet) > PST_LIMIT_FRAME_BYTES_MAX) {
        return {PST_DROP_REASON_TX_BAD_LENGTH, 0, 0};
      }
    }
    const uint32_t count = packet.segment ? plan.count : 1;
    const uint32_t extra_bytes = (count - 1) * plan.header_bytes;
    if (!packet.any_source && !source_granted(packet.vi, bytes.data(), plan.parsed)) {
      return {PST_DROP_REASON_TX_BAD_SOURCE, 0, extra_bytes};
    }
    for (uint32_t i = 0; i < count; ++i) frames.push_back(frame(packet, bytes, plan, i));
    return {-1, count, extra_bytes};
  }

 private:
  static uint32_t tag_bytes(const TxPacket& packet) { return packet.vlan_insert ? 4 : 0; }

  static TxFrame frame(const TxPacket& packet, const Bytes& bytes, const hw_model::SegmentPlan& plan, uint32_t index) {
    TxFrame frame{packet.vi, packet.end_idx, bytes};
    hw_model::ParsedFrame parsed = plan.parsed;
    if (packet.segment) {
      frame.bytes.resize(plan.segment_bytes(index));
      hw_model::build_segment(bytes.data(), plan, index, frame.bytes.data());
      parsed = hw_model::segment_headers(plan, index);
    }
    if (packet.l3) hw_model::insert_l3(frame.bytes.data(), parsed);
    if (packet.l4) hw_model::insert_l4(frame.bytes.data(), parsed);
    if (packet.vlan_insert) {
      uint8_t tag[4];
      hw_model::store_be16(tag, hw_model::kEthertypeVlan);
      hw_model::store_be16(tag + 2, packet.vlan_tci);
      frame.bytes.insert(frame.bytes.begin() + 12, tag, tag + 4);
    }
    if (frame.bytes.size() < PST_LIMIT_FRAME_BYTES_MIN) frame.bytes.resize(PST_LIMIT_FRAME_BYTES_MIN, 0);
    return frame;
  }

  [[nodiscard]] bool granted(uint32_t vi, uint8_t family, uint64_t lo, uint64_t hi) const {
    for (uint32_t n = 0; n < PST_LIMIT_SOURCE_GRANT_MAX; ++n) {
      const auto grant = grants.find(vi * 8 + n);
      if (grant == grants.end()) continue;
      if (grant->second.family == family && grant->second.lo == lo && grant->second.hi == hi) return true;
    }
    return false;
  }

  [[nodiscard]] bool source_granted(uint32_t vi, const uint8_t* bytes, const hw_model::ParsedFrame& parsed) const {
    using hw_model::load_address;
    const auto mac_granted = [&](const uint8_t* mac) {
      const uint64_t address = load_address(mac, 6);
      return address == mac_address || granted(vi, PST_ADDRESS_FAMILY_MAC, address, 0);
    };
    if (!mac_granted(bytes + 6) || parsed.too_many_tags || parsed.l3_malformed) return false;
    const uint8_t* l3 = bytes + parsed.l3_offset;
    switch (parsed.l3_class) {
      case PST_L3_CLASS_IPV4:
        return granted(vi, PST_ADDRESS_FAMILY_IPV4, load_address(l3 + 12, 4), 0);
      case PST_L3_CLASS_IPV6:
        return granted(vi, PST_ADDRESS_FAMILY_IPV6, load_address(l3 + 8, 8), load_address(l3 + 16, 8));
      case PST_L3_CLASS_ARP: {
        const uint64_t sender = load_address(l3 + 14, 4);
        return mac_granted(l3 + 8) && (sender == 0 || granted(vi, PST_ADDRESS_FAMILY_IPV4, sender, 0));
      }
      default:
        return true;
    }
  }
};

class TxPacketBench {
 public:
  TxPacketBench() { reset(); }

  // Whatever was under way is forgotten on both sides; grants stay.
  void reset() {
    dut_.rst_ni = 0;
    dut_.pk_valid_i = 0;
    tick();
    dut_.rst_ni = 1;
    waiting_.clear();
    in_buffer_.clear();
    verdicts.clear();
    verdicts_expected.clear();
    frames.clear();
    frames_expected.clear();
    current_ = {};
    done_count = frames_announced_ = 0;
    used_bytes_ = 0;
    held_valid_ = quiet_before_ = false;
    set_port(1500, 0x0000'0605'0403'0202);
  }

  TxPacketReference reference;
  std::function<bool()> port_ready = [] { return true; };
  std::function<bool()> offer = [] { return true; };
  bool skip_quiet = false;  // the clock stands still while the block says that it may
  std::vector<TxVerdict> verdicts, verdicts_expected;
  std::vector<TxFrame> frames, frames_expected;
  std::vector<uint64_t> verdict_cycles, frame_cycles;  // of each verdict and each frame's last beat
  uint64_t cycle_count = 0, quiet_count = 0, read_count = 0, done_count = 0;

  void set_port(uint32_t mtu_bytes, uint64_t mac_address) {
    reference.mtu_bytes = mtu_bytes;
    reference.mac_address = mac_address;
    std::array<uint32_t, 16> data{};
    data[0] = static_cast<uint32_t>(mac_address);
    data[1] = static_cast<uint32_t>(mac_address >> 32) | mtu_bytes << 16;
    configure(kOpPort, 0, data, false);
  }
  void set_grant(uint32_t vi, uint32_t n, const Grant* grant) {
    std::array<uint32_t, 16> data{};
    if (grant == nullptr) {
      reference.grants.erase(vi * 8 + n);
    } else {
      reference.grants[vi * 8 + n] = *grant;
      data = {static_cast<uint32_t>(grant->lo), static_cast<uint32_t>(grant->lo >> 32),
              static_cast<uint32_t>(grant->hi), static_cast<uint32_t>(grant->hi >> 32), 4u | grant->family};
    }
    configure(kOpGrant, vi * 8 + n, data, true);
  }

  void send(TxPacket packet) {
    packet.end_idx = ++end_idx_;
    verdicts_expected.push_back(reference.send(packet, frames_expected));
    waiting_.push_back(std::move(packet));
  }

  // Until all that was sent has come, and then some cycles.
  void settle(uint64_t cycles_max = 200000) {
    const uint64_t end = cycle_count + cycles_max;
    while (cycle_count < end &&
           (!waiting_.empty() || done_count < verdicts_expected.size() || frames.size() < frames_expected.size() ||
            verdicts.size() < verdicts_expected.size())) {
      cycle();
    }
    for (int i = 0; i < 20; ++i) cycle();
    EXPECT_TRUE(dut_.quiet_o) << "nothing is left to do";
  }
  void check() {
    settle();
    EXPECT_EQ(done_count, verdicts_expected.size());
    ASSERT_EQ(verdicts.size(), verdicts_expected.size());
    for (size_t i = 0; i < verdicts.size(); ++i) {
      ASSERT_EQ(verdicts[i].drop_reason, verdicts_expected[i].drop_reason) << "packet " << i;
      ASSERT_EQ(verdicts[i].frames, verdicts_expected[i].frames) << "packet " << i;
      ASSERT_EQ(verdicts[i].extra_bytes, verdicts_expected[i].extra_bytes) << "packet " << i;
    }
    ASSERT_EQ(frames.size(), frames_expected.size());
    for (size_t i = 0; i < frames.size(); ++i) {
      ASSERT_EQ(frames[i].bytes.size(), frames_expected[i].bytes.size()) << "frame " << i;
      for (size_t k = 0; k < frames[i].bytes.size(); ++k) {
        ASSERT_EQ(frames[i].bytes[k], frames_expected[i].bytes[k]) << "frame " << i << " byte " << k;
      }
      ASSERT_EQ(frames[i], frames_expected[i]) << "frame " << i;
    }
  }
  [[nodiscard]] int last_reason() const { return verdicts.empty() ? -2 : verdicts.back().drop_reason; }

  void cycle() {
    offer_packet();
    dut_.fr_ready_i = port_ready();
    dut_.eval();
    ++cycle_count;
    observe_quiet();
    if (dut_.quiet_o && skip_quiet) return;
    observe();
    const bool taken = dut_.pk_valid_i && dut_.pk_ready_o;
    if (taken) {
      in_buffer_.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    }
    const int line0 = dut_.tb_rd0_valid_o ? dut_.tb_rd0_line_o : -1;
    const int line1 = dut_.tb_rd1_valid_o ? dut_.tb_rd1_line_o : -1;
    tick();
    if (taken) dut_.pk_valid_i = 0;
    read(line0, dut_.tb_rd0_data_i);
    read(line1, dut_.tb_rd1_data_i);
  }

 private:
  void tick() {
    dut_.clk_i = 0;
    dut_.eval();
    dut_.clk_i = 1;
    dut_.eval();
    dut_.clk_i = 0;
  }

  void configure(uint32_t op, uint32_t index, const std::array<uint32_t, 16>& data, bool answered) {
    dut_.cfg_valid_i = 1;
    dut_.cfg_op_i = static_cast<uint8_t>(op);
    dut_.cfg_index_i = index;
    for (int i = 0; i < 16; ++i) dut_.cfg_data_i[i] = data[i];
    tick();
    dut_.cfg_valid_i = 0;
    dut_.eval();
    EXPECT_EQ(dut_.cfg_done_o, answered);
    tick();
    dut_.eval();
    EXPECT_FALSE(dut_.cfg_done_o);
  }

  template <typename Wide>
  void read(int line, Wide& data) {
    if (line >= 0) {
      ++read_count;
      std::memcpy(&data[0], &buffer_[static_cast<uint32_t>(line) * kLineBytes], kLineBytes);
    } else {
      std::memset(&data[0], 0xa5, kLineBytes);  // a port that is not read says nothing
    }
  }

  void offer_packet() {
    if (dut_.pk_valid_i || waiting_.empty() || !offer()) return;
    TxPacket& packet = waiting_.front();
    const auto bytes = static_cast<uint32_t>(packet.bytes.size());
    if (used_bytes_ + packet.gap_bytes + bytes + 3 * kLineBytes > kBufferBytes && used_bytes_ != 0) return;
    packet.first = (next_ + packet.gap_bytes) % kBufferBytes;
    if (packet.drop_reason < 0) {
      for (uint32_t i = 0; i < bytes; ++i) buffer_[(packet.first + i) % kBufferBytes] = packet.bytes[i];
    }
    for (uint32_t i = 0; i < packet.trailing.size(); ++i) {
      buffer_[(packet.first + bytes + i) % kBufferBytes] = packet.trailing[i];
    }
    next_ = (packet.first + bytes) % kBufferBytes;
    used_bytes_ += packet.gap_bytes + bytes;
    dut_.pk_valid_i = 1;
    dut_.pk_vi_i = packet.vi;
    dut_.pk_first_i = static_cast<uint16_t>(packet.first);
    dut_.pk_bytes_i = bytes;
    dut_.pk_drop_i = packet.drop_reason >= 0;
    dut_.pk_drop_reason_i = static_cast<uint8_t>(packet.drop_reason & 0xf);
    dut_.pk_l3_i = packet.l3;
    dut_.pk_l4_i = packet.l4;
    dut_.pk_segment_i = packet.segment;
    dut_.pk_mss_i = packet.mss;
    dut_.pk_vlan_insert_i = packet.vlan_insert;
    dut_.pk_vlan_tci_i = packet.vlan_tci;
    dut_.pk_any_source_i = packet.any_source;
    dut_.pk_end_idx_i = packet.end_idx;
  }

  // What has been quiet stays so, and shows the same, until an input changes.
  void observe_quiet() {
    const std::array<uint32_t, 2> inputs{dut_.pk_valid_i, dut_.fr_ready_i};
    const std::array<uint32_t, 6> outputs{dut_.pk_ready_o,     dut_.verdict_valid_o, dut_.pk_done_o,
                                          dut_.tb_rd0_valid_o, dut_.tb_rd1_valid_o,  dut_.fr_valid_o};
    if (quiet_before_ && inputs == inputs_before_) {
      ASSERT_TRUE(dut_.quiet_o) << "not quiet any more, but no input has changed";
      ASSERT_EQ(outputs, outputs_before_) << "an output of a quiet block has changed";
    }
    if (dut_.quiet_o) {
      ++quiet_count;
      ASSERT_FALSE(dut_.verdict_valid_o || dut_.pk_done_o) << "a pulse would last";
      ASSERT_FALSE(dut_.tb_rd0_valid_o || dut_.tb_rd1_valid_o || (dut_.fr_valid_o && dut_.fr_ready_i));
    }
    quiet_before_ = dut_.quiet_o;
    inputs_before_ = inputs;
    outputs_before_ = outputs;
  }

  void observe() {
    if (dut_.verdict_valid_o) {
      verdicts.push_back(
          {dut_.verdict_drop_o ? dut_.verdict_reason_o : -1, dut_.verdict_frames_o, dut_.verdict_extra_bytes_o});
      verdict_cycles.push_back(cycle_count);
      frames_announced_ += dut_.verdict_frames_o;
    }
    if (dut_.pk_done_o) {
      ++done_count;
      ASSERT_FALSE(in_buffer_.empty()) << "done with a packet that was never taken";
      const TxPacket& packet = in_buffer_.front();
      for (uint32_t i = 0; i < packet.bytes.size(); ++i) buffer_[(packet.first + i) % kBufferBytes] ^= 0x5a;
      used_bytes_ -= static_cast<uint32_t>(packet.bytes.size()) + packet.gap_bytes;
      in_buffer_.pop_front();
    }
    observe_frame();
  }

  void observe_frame() {
    if (!dut_.fr_valid_o) {
      ASSERT_FALSE(held_valid_) << "a beat was withdrawn";
      return;
    }
    ASSERT_LT(frames.size(), frames_announced_) << "a frame before its verdict";
    Bytes beat(kLineBytes + 9);
    std::memcpy(beat.data(), &dut_.fr_data_o[0], kLineBytes);
    beat[kLineBytes] = dut_.fr_last_o;
    beat[kLineBytes + 1] = dut_.fr_bytes_o;
    std::memcpy(&beat[kLineBytes + 2], &dut_.fr_vi_o, 2);
    std::memcpy(&beat[kLineBytes + 4], &dut_.fr_end_idx_o, 4);
    if (held_valid_) {
      ASSERT_EQ(beat, held_) << "a beat changed while it waited";
    }
    held_ = beat;
    held_valid_ = !dut_.fr_ready_i;
    if (held_valid_) return;
    ASSERT_GE(dut_.fr_bytes_o, 1);
    ASSERT_LE(dut_.fr_bytes_o, kLineBytes);
    if (!dut_.fr_last_o) {
      ASSERT_EQ(dut_.fr_bytes_o, kLineBytes);
    }
    current_.bytes.insert(current_.bytes.end(), beat.begin(), beat.begin() + dut_.fr_bytes_o);
    current_.vi = dut_.fr_vi_o;
    current_.end_idx = dut_.fr_end_idx_o;
    if (!dut_.fr_last_o) return;
    frames.push_back(std::move(current_));
    frame_cycles.push_back(cycle_count);
    current_ = {};
  }

  Vpst_tx_packet dut_;
  std::array<uint8_t, kBufferBytes> buffer_{};
  std::deque<TxPacket> waiting_, in_buffer_;
  uint32_t next_ = 0, used_bytes_ = 0, end_idx_ = 0;
  uint64_t frames_announced_ = 0;
  Bytes held_;
  bool held_valid_ = false, quiet_before_ = false;
  std::array<uint32_t, 2> inputs_before_{};
  std::array<uint32_t, 6> outputs_before_{};
  TxFrame current_;
};

}  // namespace postern::rtl_test
