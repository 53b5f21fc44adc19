// Drives pst_tx_dma cycle by cycle and plays what is around it: descriptor cache, translation, host memory, PIO pages,
// pst_tx_packet with the port, and the event queue. Keeps a log of all that happens outside, and checks the bytes of
// each packet that is handed over against host memory.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "Vpst_tx_dma.h"
#include "contract/gen/pst_contract.h"

namespace postern::rtl_test {

constexpr uint32_t kTxViCount = 64;  // as in CMakeLists.txt

struct TxDesc {
  uint64_t lo = 0, hi = 0;
  bool pio = false;
};

// What one packet is made of, for pst_desc_fetch's part.
struct TxOptions {
  bool l3 = false, l4 = false, segment = false, timestamp = false, complete = false;
};
TxDesc tx_data(uint64_t address, uint32_t bytes, bool last = true, const TxOptions& options = {});
TxDesc tx_option(uint32_t mss, bool insert = false, uint32_t tci = 0);

struct TxRead {
  uint32_t tag = 0, vi = 0, bytes = 0, lane = 0;
  uint64_t address = 0;
  uint32_t sent = 0;
  uint64_t due_cycle = 0;
};

// A packet that was handed over; it goes on to its verdict and to its frames.
struct TxHanded {
  uint32_t vi = 0, first = 0, bytes = 0, mss = 0, tci = 0, end_idx = 0, reason = 0;
  bool drop = false, l3 = false, l4 = false, segment = false, insert = false, any_source = false;
  std::vector<uint8_t> content, expected;  // whole lines as read from the buffer; the packet's bytes in host memory
};

struct TxVerdict {
  bool drop = false;
  uint32_t reason = 0, frames = 1, extra_bytes = 0;
};

struct TxHalt {
  uint32_t vi = 0, source = 0, code = 0, index = 0;
};
struct TxDrop {
  uint32_t vi = 0, reason = 0;
  bool operator==(const TxDrop&) const = default;
};
struct TxEvent {
  uint32_t vi = 0, consumer_idx = 0;
  bool timed = false;
  uint64_t time_ns = 0;
};

class TxDmaBench {
 public:
  TxDmaBench();

  // --- what tests say
  struct ViOptions {
    uint32_t weight = 1, rate_mbps = 0;
    bool any_source = false;
  };
  void start(uint32_t vi, const ViOptions& options);
  void start(uint32_t vi) { start(vi, ViOptions{}); }
  void set_mtu(uint32_t bytes);
  // Descriptors come into the VI's cache.
  void post(uint32_t vi, const std::vector<TxDesc>& descs);
  // Begins the end of a VI; life_done says when it is over.
  void end_life(uint32_t vi, bool stop);
  void run(uint32_t cycles);
  // Until nothing moves any more; at most limit cycles.
  void settle(uint32_t limit = 20000);
  void cycle();

  [[nodiscard]] static uint8_t memory(uint64_t address) {
    return static_cast<uint8_t>((address * 0x9e3779b97f4a7c15u) >> 37);
  }
  [[nodiscard]] static uint8_t pio_byte(uint32_t vi, uint32_t offset) {
    return static_cast<uint8_t>(vi * 57 + offset * 31 + 5);
  }

  // --- what tests may replace
  std::function<bool()> pop_ready = [] { return true; };
  std::function<bool()> xl_ready = [] { return true; };
  std::function<bool()> read_ready = [] { return true; };
  std::function<bool()> beat_ready = [] { return true; };  // memory sends a beat now
  std::function<bool()> pk_ready = [] { return true; };
  std::function<bool()> done_ready = [] { return true; };
  std::function<bool()> ev_ready = [] { return true; };
  std::function<bool()> halt_ready = [] { return true; };
  std::function<size_t(size_t)> choose = [](size_t) { return size_t{0}; };  // of so many reads that may send a beat
  std::function<TxVerdict(const TxHanded&)> verdict = [](const TxHanded& packet) {
    return TxVerdict{packet.drop, packet.reason, packet.drop ? 0u : 1u, 0};
  };
  std::function<uint32_t(const TxRead&)> read_code = [](const TxRead&) { return 0u; };
  std::function<uint32_t(const TxEvent&)> answer = [](const TxEvent&) { return 0u; };  // ANSWER_OK
  std::function<bool(uint64_t)> mapped = [](uint64_t address) { return address < uint64_t{1} << 40; };
  std::function<bool()> lost = [] { return false; };  // the next frame meets no link
  uint64_t range_bytes = 0x10000;                     // a translation does not go beyond a multiple
  uint32_t latency_cycles = 175;                      // of a read: 700 ns
  uint32_t wire_cycles = 20;                          // of a frame
  bool hold_frames = false;                           // the wire takes nothing
  bool posted = false;                                // answer_posted_i of what is not found
  bool skip = false;                                  // the clock stands still when the block says that it may
  void give_space(uint32_t vi) { spaces_.push_back(vi); }

  // --- what has happened
  std::vector<TxRead> reads;
  std::vector<TxHanded> handed;
  std::vector<TxHalt> halts;
  std::vector<TxDrop> drops;
  std::vector<TxEvent> events;  // whatever the answer was
  std::vector<std::pair<uint32_t, uint32_t>> dones;
  std::vector<uint64_t> handed_ns;
  std::vector<uint32_t> packets, sent;  // counts, by VI
  std::vector<std::string> log;         // all of it with its cycle
  uint64_t life_done_count = 0;
  uint64_t skipped_count = 0;
  [[nodiscard]] uint64_t now_ns() const { return cycle_count_ * 4; }
  [[nodiscard]] size_t reads_in_flight() const { return in_flight_.size(); }
  [[nodiscard]] bool reads_in_flight_of(uint32_t vi) const {
    return std::any_of(in_flight_.begin(), in_flight_.end(), [vi](const TxRead& read) { return read.vi == vi; });
  }
  [[nodiscard]] bool quiet() const { return dut_.quiet_o != 0; }
  [[nodiscard]] uint64_t due_ns() const { return dut_.due_ns_o; }

 private:
  struct Job {  // of the stand-in for pst_tx_packet
    TxHanded packet;
    uint32_t lines_read = 0;
  };
  struct Answer {
    uint64_t cycle = 0;
    uint32_t vi = 0;
    bool found = false;
    uint32_t index = 0;
    TxDesc desc;
  };
  void tick();
  void note(const std::string& what) { log.push_back(std::to_string(cycle_count_) + " " + what); }
  void drive_configuration();
  void drive_fetch();
  void drive_translation();
  void drive_memory();
  void drive_packet();
  void drive_port();
  void drive_events();
  void observe();
  void observe_fetch();
  void observe_reads();
  void observe_packet();
  void observe_reports();
  [[nodiscard]] std::vector<uint8_t> expected(const TxHanded& packet) const;
  void expect_content(const TxHanded& packet) const;

  Vpst_tx_dma dut_;
  uint64_t cycle_count_ = 0;
  std::deque<std::function<void()>> configurations_;
  std::map<uint32_t, std::deque<TxDesc>> caches_;
  std::map<uint32_t, uint32_t> heads_;
  std::map<uint32_t, std::map<uint32_t, TxDesc>> given_;  // by VI and index
  std::map<uint32_t, uint32_t> packet_begin_;             // index of the next packet that is handed over
  std::deque<uint32_t> available_;
  std::deque<Answer> answers_;
  bool translating_ = false;
  uint64_t xl_cycle_ = 0, xl_address_ = 0;
  uint32_t xl_bytes_ = 0;
  std::vector<TxRead> in_flight_;
  std::set<uint32_t> tags_;
  bool pio_asked_ = false;
  uint32_t pio_vi_ = 0, pio_line_ = 0;
  std::deque<Job> jobs_;
  bool line_asked_ = false, port_asked_ = false;  // by the stand-in, and through which port
  std::deque<uint64_t> frames_;                   // when each leaves
  uint64_t wire_free_ = 0;
  std::optional<uint32_t> event_answer_;
  std::deque<uint32_t> spaces_;
};

}  // namespace postern::rtl_test
