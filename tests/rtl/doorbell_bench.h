// Drives pst_doorbell cycle by cycle and holds each doorbell, halt, answer and count against a reference that takes
// accesses in the order in which the block accepts them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "Vpst_doorbell.h"
#include "Vpst_doorbell___024root.h"
#include "contract/gen/pst_contract.h"
#include "tests/rtl/quiet_check.h"

namespace postern::rtl_test {

// One doorbell that leaves the block.
struct Rung {
  enum class To : uint8_t { kRings, kQueue, kTimer, kHalt };
  To to = To::kRings;
  uint32_t vi = 0, index = 0;
  bool flag = false;               // RX ring; prime
  uint32_t op = 0, detail = 0;     // of a ring: index, push, PIO; sequence, or error code
  std::array<uint64_t, 2> desc{};  // push and PIO
  bool operator==(const Rung&) const = default;
};

struct HostAccess {
  bool write = true;
  uint32_t offset = 0, bytes = 4;
  std::array<uint64_t, 8> data{};
};

// What accesses do, as the contract says it.
class DoorbellReference {
 public:
  static constexpr uint32_t kViCount = 16;  // as in CMakeLists.txt
  enum class Life : uint8_t { kFree, kRunning, kHalted };
  struct Window {
    Life life = Life::kFree;
    bool push_offered = false, pio_offered = false;
    std::array<uint64_t, 16> registers{};
    std::array<uint8_t, PST_LIMIT_PIO_BYTES> page{};
  };

  std::deque<Rung> rung;
  std::deque<uint64_t> reads;
  uint32_t bad_count = 0, ignored_count = 0;
  std::array<Window, kViCount> windows;

  void start(uint32_t vi, bool push_offered, bool pio_offered) {
    windows.at(vi) = Window{};
    windows[vi].life = Life::kRunning;
    windows[vi].push_offered = push_offered;
    windows[vi].pio_offered = pio_offered;
  }
  void end(uint32_t vi, bool stop) {
    Window& window = windows.at(vi);
    if (stop)
      window.life = Life::kFree;
    else if (window.life == Life::kRunning)
      window.life = Life::kHalted;
  }
  void access(const HostAccess& a) {
    if (!a.write)
      reads.push_back(read(a));
    else
      write(a);
  }

 private:
  static constexpr uint32_t kStride = PST_VI_WINDOW_STRIDE;

  static bool is_wide(uint32_t base) {
    return base == PST_VI_EVQ_PRIME_OFFSET || base == PST_VI_TIMER_OFFSET || base == PST_VI_PIO_DOORBELL_OFFSET ||
           base == PST_VI_TX_PUSH_DESCRIPTOR_LO_OFFSET || base == PST_VI_TX_PUSH_DESCRIPTOR_HI_OFFSET;
  }
  static bool is_register(uint32_t base) {
    return is_wide(base) || base == PST_VI_RX_DOORBELL_OFFSET || base == PST_VI_TX_DOORBELL_OFFSET ||
           base == PST_VI_EVQ_CONSUMER_OFFSET || base == PST_VI_TX_PUSH_DOORBELL_OFFSET;
  }
  Window* window_at(uint32_t vi) { return vi < kViCount ? &windows[vi] : nullptr; }

  uint64_t read(const HostAccess& a) {
    const uint32_t in_window = a.offset % kStride;
    Window* const window = a.offset < PST_BAR_VI_SIZE ? window_at(a.offset / kStride) : nullptr;
    if (window == nullptr) return 0;
    uint64_t value = 0;
    if (in_window >= PST_VI_PIO_PAGE_OFFSET) {
      if (a.offset % 64 + a.bytes > 64 || (a.bytes & (a.bytes - 1)) != 0 || a.bytes > 8) return 0;
      for (uint32_t i = 0; i < a.bytes; ++i)
        value |= uint64_t{window->page[in_window - PST_VI_PIO_PAGE_OFFSET + i]} << (8 * i);
      return value;
    }
    if ((a.bytes != 4 && a.bytes != 8) || in_window % 4 != 0 || !is_register(in_window & ~7u)) return 0;
    if (in_window % 8 != 0) return a.bytes == 8 ? 0 : window->registers[in_window / 8] >> 32;
    value = window->registers[in_window / 8];
    return a.bytes == 8 ? value : value & 0xffffffffu;
  }

  void write(const HostAccess& a) {
    const uint32_t in_window = a.offset % kStride;
    const bool is_pio = in_window >= PST_VI_PIO_PAGE_OFFSET;
    const uint32_t base = in_window & ~7u;
    const bool high = in_window % 8 >= 4;
    bool bad = a.offset >= PST_BAR_VI_SIZE;
    if (is_pio)
      bad = bad || a.bytes == 0 || a.offset % 64 + a.bytes > 64;
    else
      bad = bad || (a.bytes != 4 && a.bytes != 8) || in_window % 4 != 0 || !is_register(base) ||
            (high && (!is_wide(base) || a.bytes == 8));
    if (bad) {
      ++bad_count;
      return;
    }
    const uint32_t vi = a.offset / kStride;
    Window* const window = window_at(vi);
    if (window == nullptr || window->life == Life::kFree) {
      ++ignored_count;
      return;
    }
    if (!is_pio) return write_register(vi, *window, base, high, a);
    for (uint32_t i = 0; i < a.bytes; ++i)
      window->page[in_window - PST_VI_PIO_PAGE_OFFSET + i] = static_cast<uint8_t>(a.data[i / 8] >> (8 * (i % 8)));
  }

  void write_register(uint32_t vi, Window& window, uint32_t base, bool high, const HostAccess& a) {
    uint64_t& stored = window.registers.at(base / 8);
    const uint64_t before = stored;
    const uint64_t low = a.data[0] & 0xffffffffu;
    if (high) {
      stored = (before & 0xffffffffu) | low << 32;
    } else if (!is_wide(base)) {
      stored = low;
    } else if (a.bytes == 8) {
      stored = a.data[0];
    } else {
      stored = (before & ~uint64_t{0xffffffffu}) | low;
      return;
    }
    if (!high && stored == before) return;
    if (window.life == Life::kHalted && base != PST_VI_EVQ_CONSUMER_OFFSET && base != PST_VI_EVQ_PRIME_OFFSET) {
      ++ignored_count;
      return;
    }
    ring(vi, window, base, stored);
  }

  void ring(uint32_t vi, const Window& window, uint32_t base, uint64_t value) {
    Rung out;
    out.vi = vi;
    out.index = static_cast<uint32_t>(value);
    switch (base) {
      case PST_VI_RX_DOORBELL_OFFSET:
        out.flag = true;
        break;
      case PST_VI_TX_DOORBELL_OFFSET:
        break;
      case PST_VI_EVQ_CONSUMER_OFFSET:
        out.to = Rung::To::kQueue;
        break;
      case PST_VI_EVQ_PRIME_OFFSET:
        out.to = Rung::To::kQueue;
        out.flag = true;
        out.detail = static_cast<uint32_t>(value >> 32 & 0xffff);
        break;
      case PST_VI_TIMER_OFFSET:
        out.to = Rung::To::kTimer;
        out.detail = static_cast<uint32_t>(value >> 32 & 0xffff);
        break;
      case PST_VI_PIO_DOORBELL_OFFSET:
        out.op = 2;
        out.desc = pio_descriptor(value);
        if (!window.pio_offered) out = unsupported(vi, out.index);
        break;
      case PST_VI_TX_PUSH_DOORBELL_OFFSET:
        out.op = 1;
        out.desc = {window.registers[PST_VI_TX_PUSH_DESCRIPTOR_LO_OFFSET / 8],
                    window.registers[PST_VI_TX_PUSH_DESCRIPTOR_HI_OFFSET / 8]};
        if (!window.push_offered) out = unsupported(vi, out.index);
        break;
      default:
        return;
    }
    rung.push_back(out);
  }

  static Rung unsupported(uint32_t vi, uint32_t index) {
    Rung out;
    out.to = Rung::To::kHalt;
    out.vi = vi;
    out.index = index;
    out.detail = PST_ERROR_CODE_UNSUPPORTED;
    return out;
  }
  static std::array<uint64_t, 2> pio_descriptor(uint64_t value) {
    pst_tx_desc desc{};
    pst_tx_desc_set_address(&desc, (value >> 32) & 0xfff);
    pst_tx_desc_set_length_bytes(&desc, (value >> 44) & 0x3fff);
    pst_tx_desc_set_end_of_packet(&desc, 1);
    pst_tx_desc_set_checksum_l3(&desc, (value >> 58) & 1);
    pst_tx_desc_set_checksum_l4(&desc, (value >> 59) & 1);
    pst_tx_desc_set_complete(&desc, (value >> 60) & 1);
    return {desc.word[0], desc.word[1]};
  }
};

class DoorbellBench {
 public:
  static constexpr uint32_t kViCount = DoorbellReference::kViCount;

  DoorbellBench() {
    dut_.rst_ni = 0;
    dut_.clk_i = 0;
    dut_.eval();
    edge();
    dut_.rst_ni = 1;
    run(kViCount + 2);
  }

  std::deque<HostAccess> accesses;
  std::function<bool(Rung::To)> ready = [](Rung::To) { return true; };
  std::function<std::optional<std::array<uint32_t, 2>>()> pio_read = [] {
    return std::optional<std::array<uint32_t, 2>>();
  };  // VI and line
  std::vector<Rung> rung;
  std::vector<uint64_t> reads;
  uint32_t life_done_count = 0;
  DoorbellReference reference;
  QuietCheck quiet;

  void write(uint32_t vi, uint32_t offset, uint64_t value, uint32_t bytes) {
    accesses.push_back({true, vi * PST_VI_WINDOW_STRIDE + offset, bytes, {value}});
  }
  uint64_t read(uint32_t vi, uint32_t offset, uint32_t bytes) {
    accesses.push_back({false, vi * PST_VI_WINDOW_STRIDE + offset, bytes, {}});
    settle();
    return reads.empty() ? ~0ull : reads.back();
  }
  // The host does not know of a VI before the firmware does, so no access comes before the window is open.
  void start(uint32_t vi, bool push_offered = true, bool pio_offered = true) {
    starts_ = vi;
    push_offered_ = push_offered;
    pio_offered_ = pio_offered;
    hold_cycles_ = 4;
    run(4);
  }
  void end(uint32_t vi, bool stop) {
    ends_ = vi;
    stop_ = stop;
    cycle();
  }
  void settle() {
    for (int i = 0; i < 2000; ++i) {
      cycle();
      if (accesses.empty() && dut_.quiet_o) return;
    }
    ADD_FAILURE() << "the block did not come to rest within 2000 cycles";
  }
  void run(uint32_t cycles) {
    for (uint32_t i = 0; i < cycles; ++i) cycle();
  }
  // A line as the transmit path gets it.
  std::array<uint8_t, 64> line(uint32_t vi, uint32_t line) {
    const auto before = pio_read;
    pio_read = [vi, line] { return std::optional<std::array<uint32_t, 2>>({vi, line}); };
    cycle();
    pio_read = before;
    std::array<uint8_t, 64> bytes{};
    for (uint32_t i = 0; i < 64; ++i) bytes.at(i) = static_cast<uint8_t>(dut_.pio_rd_data_o[i / 4] >> (8 * (i % 4)));
    return bytes;
  }
  [[nodiscard]] bool rests() const { return dut_.quiet_o != 0; }

  void cycle() {
    drive();
    dut_.clk_i = 0;
    dut_.eval();
    check_counts();
    check_reads();
    check_rung();
    take();
    quiet.before(dut_.quiet_o, *dut_.rootp);
    edge();
    quiet.after(*dut_.rootp);
    starts_ = ends_ = kViCount;
    if (hold_cycles_ > 0) --hold_cycles_;
  }

 private:
  void edge() {
    dut_.clk_i = 1;
    dut_.eval();
    dut_.clk_i = 0;
    dut_.eval();
  }
  void drive() {
    dut_.cfg_valid_i = starts_ != kViCount;
    dut_.cfg_op_i = 0x02;
    dut_.cfg_index_i = starts_;
    // pst_admin_pkg::vi_start_t: push_offered is its highest bit, pio_offered the next.
    for (uint32_t word = 0; word < 16; ++word) dut_.cfg_data_i[word] = 0;
    dut_.cfg_data_i[10] = (push_offered_ ? 1u << 20 : 0) | (pio_offered_ ? 1u << 19 : 0);
    dut_.life_valid_i = ends_ != kViCount;
    dut_.life_op_i = stop_;
    dut_.life_vi_i = static_cast<uint8_t>(ends_ % kViCount);
    dut_.dbm_valid_i = !accesses.empty() && hold_cycles_ == 0;
    if (!accesses.empty()) {
      const HostAccess& a = accesses.front();
      dut_.dbm_write_i = a.write;
      dut_.dbm_offset_i = a.offset;
      dut_.dbm_bytes_i = static_cast<uint8_t>(a.bytes);
      for (uint32_t word = 0; word < 16; ++word)
        dut_.dbm_data_i[word] = static_cast<uint32_t>(a.data.at(word / 2) >> (32 * (word % 2)));
    }
    dut_.ring_ready_i = ready(Rung::To::kRings);
    dut_.evq_ready_i = ready(Rung::To::kQueue);
    dut_.arm_ready_i = ready(Rung::To::kTimer);
    dut_.halt_ready_i = ready(Rung::To::kHalt);
    const auto wanted = pio_read();
    dut_.pio_rd_valid_i = wanted.has_value();
    if (wanted) {
      dut_.pio_rd_vi_i = static_cast<uint8_t>((*wanted)[0]);
      dut_.pio_rd_line_i = static_cast<uint8_t>((*wanted)[1]);
    }
  }
  void check_counts() {
    bad_count_ += dut_.count_bad_access_o;
    ignored_count_ += dut_.count_ignored_o;
    EXPECT_LE(bad_count_, reference.bad_count);
    EXPECT_LE(ignored_count_, reference.ignored_count);
    if (dut_.quiet_o) {
      EXPECT_EQ(bad_count_, reference.bad_count);
      EXPECT_EQ(ignored_count_, reference.ignored_count);
      EXPECT_TRUE(reference.rung.empty()) << "a doorbell is missing";
      EXPECT_TRUE(reference.reads.empty()) << "an answer is missing";
    }
    life_done_count += dut_.life_done_o;
  }
  void check_reads() {
    if (!dut_.dbm_rd_valid_o) return;
    reads.push_back(dut_.dbm_rd_data_o);
    ASSERT_FALSE(reference.reads.empty()) << "an answer that nobody asked for";
    EXPECT_EQ(reads.back(), reference.reads.front());
    reference.reads.pop_front();
  }
  void check_rung() {
    const int valid_count = dut_.ring_valid_o + dut_.evq_valid_o + dut_.arm_valid_o + dut_.halt_valid_o;
    ASSERT_LE(valid_count, 1) << "two doorbells at once have no order";
    Rung out;
    if (dut_.ring_valid_o && dut_.ring_ready_i) {
      out = {Rung::To::kRings, dut_.ring_vi_o, dut_.ring_producer_idx_o, dut_.ring_rx_o != 0, dut_.ring_op_o, 0, {}};
      if (out.op != 0)
        out.desc = {dut_.ring_desc_o[0] | uint64_t{dut_.ring_desc_o[1]} << 32,
                    dut_.ring_desc_o[2] | uint64_t{dut_.ring_desc_o[3]} << 32};
    } else if (dut_.evq_valid_o && dut_.evq_ready_i) {
      out = {Rung::To::kQueue, dut_.evq_vi_o, dut_.evq_consumer_idx_o, dut_.evq_prime_o != 0, 0, 0, {}};
      if (out.flag) out.detail = dut_.evq_sequence_o;
    } else if (dut_.arm_valid_o && dut_.arm_ready_i) {
      out = {Rung::To::kTimer, dut_.arm_vi_o, dut_.arm_delay_ns_o, false, 0, dut_.arm_sequence_o, {}};
    } else if (dut_.halt_valid_o && dut_.halt_ready_i) {
      out = {Rung::To::kHalt, dut_.halt_vi_o, dut_.halt_index_o, false, 0, dut_.halt_code_o, {}};
      EXPECT_EQ(dut_.halt_source_o, static_cast<uint32_t>(PST_ERROR_SOURCE_DOORBELL));
    } else {
      return;
    }
    rung.push_back(out);
    ASSERT_FALSE(reference.rung.empty()) << "a doorbell that nobody has rung";
    const Rung want = reference.rung.front();
    reference.rung.pop_front();
    EXPECT_TRUE(out == want) << "VI " << out.vi << " index " << out.index << ", expected VI " << want.vi << " index "
                             << want.index << " to " << static_cast<int>(want.to);
  }
  void take() {
    if (dut_.dbm_valid_i && dut_.dbm_ready_o) {
      reference.access(accesses.front());
      accesses.pop_front();
    }
    if (starts_ != kViCount) reference.start(starts_, push_offered_, pio_offered_);
    if (ends_ != kViCount) reference.end(ends_, stop_);
  }

  Vpst_doorbell dut_;
  uint32_t starts_ = kViCount, ends_ = kViCount, hold_cycles_ = 0;
  bool stop_ = false, push_offered_ = true, pio_offered_ = true;
  uint32_t bad_count_ = 0, ignored_count_ = 0;
};

}  // namespace postern::rtl_test
