// Drives pst_desc_fetch cycle by cycle, plays the memory that holds the rings, and holds each answer, read and halt
// against a reference per ring. Operations take effect in the order in which the block accepts them; the reference
// follows it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

#include "Vpst_desc_fetch.h"
#include "Vpst_desc_fetch___024root.h"
#include "contract/gen/pst_contract.h"
#include "tests/rtl/quiet_check.h"

namespace postern::rtl_test {

enum class Bell : uint8_t { kIndex = 0, kPush = 1, kPio = 2 };  // db_op_i

struct Desc {
  uint64_t lo = 0, hi = 0;
  bool operator==(const Desc& other) const { return lo == other.lo && hi == other.hi; }
};

struct FetchRead {
  uint32_t vi = 0, rx = 0, index = 0, count = 0;
  uint64_t address = 0;
};
struct FetchHalt {
  uint32_t vi = 0, source = 0, code = 0, index = 0;
};
struct Popped {
  uint32_t vi = 0, rx = 0, index = 0;
  bool found = false, more = false, pio = false;
  bool posted = false;  // not found, but some have been posted
  Desc desc;
};

// What a ring must do, as the contract says it; indices are absolute.
struct RingReference {
  bool running = false;
  uint64_t address = 0, life = 0;             // life: how often it was started
  uint64_t stop_life = 0, reported_life = 0;  // which life the last STOP ended, and the last one whose end was reported
  uint32_t entries = 0, producer = 0, completed = 0, popped = 0, next = 0;
  struct Held {
    Desc desc;
    bool pio = false;
  };
  std::deque<Held> cache;        // arrived and not popped
  uint32_t in_flight_count = 0;  // of the read in flight, if any
  uint64_t in_flight_life = 0;
  bool stop_owed = false;
};

class DescFetchBench {
 public:
  static constexpr uint32_t kViCount = 32, kCacheDepth = 64, kTxBatch = 16, kRxBatch = 32;
  struct Command {
    bool stop = false;
    uint32_t vi = 0, rx = 0, entries_log2 = 0;
    uint64_t address = 0;
  };
  struct Doorbell {
    Bell bell = Bell::kIndex;
    uint32_t vi = 0, rx = 0, index = 0;
    Desc desc;
  };
  struct Ring {
    uint32_t vi = 0, rx = 0, index = 0;  // index: of a completion
  };
  struct Beat {
    uint32_t vi = 0, rx = 0, code = 0;
    Desc desc;
  };

  DescFetchBench() {
    dut_.rst_ni = 0;
    tick();
    dut_.rst_ni = 1;
    for (uint32_t i = 0; i < 2 * kViCount + 2; ++i) cycle();
  }

  std::deque<Command> commands;
  std::deque<Doorbell> doorbells;
  std::deque<Ring> pops[2], dones;  // pops: TX, RX
  std::deque<Beat> beats;           // responses on their way
  std::function<bool()> read_ready = [] { return true; };
  std::function<bool()> halt_ready = [] { return true; };
  std::function<bool()> beat_ready = [] { return true; };  // whether memory offers a beat
  // What memory does with a read; default: all its beats in a row, behind those of earlier reads.
  std::function<void(const FetchRead&)> serve = [this](const FetchRead& read) { answer(read); };

  std::vector<FetchRead> reads;
  std::vector<FetchHalt> halts;
  std::vector<Popped> popped;
  std::vector<Ring> stopped, available;
  uint32_t ignored_count = 0;
  uint64_t cycle_count = 0;
  QuietCheck quiet;

  [[nodiscard]] RingReference& ring(uint32_t vi, uint32_t rx) { return rings_.at(vi * 2 + rx); }
  // What software wrote to a slot: it follows from ring, life of the ring's memory and index, so that a stale one
  // shows.
  [[nodiscard]] static Desc memory(uint32_t vi, uint32_t rx, uint64_t life, uint32_t index) {
    return {uint64_t{1} << 63 | (uint64_t{vi} << 48) | (uint64_t{rx} << 40) | (life << 32) | index,
            ~uint64_t{index} * 0x9e3779b97f4a7c15u};
  }
  static constexpr uint64_t kLifeStride = 0x1000000;
  [[nodiscard]] static uint64_t ring_address(uint32_t vi, uint32_t rx, uint64_t life = 1) {
    return 0x12340000000u + (vi * 2 + rx) * 0x10000u + life * kLifeStride;
  }

  void start(uint32_t vi, uint32_t rx, uint32_t entries_log2 = 7) {
    commands.push_back({false, vi, rx, entries_log2, ring_address(vi, rx, ++started_count_[vi * 2 + rx])});
  }
  void stop(uint32_t vi, uint32_t rx) { commands.push_back({true, vi, rx, 0, 0}); }
  void ring_bell(uint32_t vi, uint32_t rx, uint32_t index) { doorbells.push_back({Bell::kIndex, vi, rx, index, {}}); }
  void push(uint32_t vi, uint32_t index, Desc desc, Bell bell = Bell::kPush) {
    doorbells.push_back({bell, vi, 0, index, desc});
  }
  void pop(uint32_t vi, uint32_t rx, uint32_t count = 1) {
    for (uint32_t i = 0; i < count; ++i) pops[rx].push_back({vi, rx, 0});
  }
  void done(uint32_t vi, uint32_t rx, uint32_t index) { dones.push_back({vi, rx, index}); }
  void answer(const FetchRead& read) {
    const uint64_t life = ring(read.vi, read.rx).in_flight_life;
    for (uint32_t i = 0; i < read.count; ++i)
      beats.push_back({read.vi, read.rx, 0, memory(read.vi, read.rx, life, read.index + i)});
  }
  [[nodiscard]] static Desc packet(uint64_t address, uint64_t bytes, bool end = true) {
    pst_tx_desc desc{};
    pst_tx_desc_set_address(&desc, address);
    pst_tx_desc_set_length_bytes(&desc, bytes);
    pst_tx_desc_set_end_of_packet(&desc, end ? 1 : 0);
    return {desc.word[0], desc.word[1]};
  }

  void run(uint32_t cycles) {
    for (uint32_t i = 0; i < cycles; ++i) cycle();
  }
  void run_until_quiet() {
    for (int i = 0; i < 20000; ++i) {
      cycle();
      if (commands.empty() && doorbells.empty() && pops[0].empty() && pops[1].empty() && dones.empty() &&
          beats.empty() && expected_pops_.empty() && dut_.idle_o)
        return check_quiet();
    }
    ADD_FAILURE() << "the block did not come to rest within 20000 cycles";
  }

  void cycle() {
    drive();
    dut_.clk_i = 0;
    dut_.eval();
    observe_pulses();
    observe_outputs();
    take_accepted();
    quiet.before(dut_.quiet_o, *dut_.rootp);
    tick();
    dut_.clk_i = 0;
    dut_.eval();
    quiet.after(*dut_.rootp);
  }

 private:
  void tick() {
    dut_.clk_i = 0;
    dut_.eval();
    dut_.clk_i = 1;
    dut_.eval();
    ++cycle_count;
  }

  template <class Words>
  static void put(Words& words, const Desc& desc) {
    words[0] = static_cast<uint32_t>(desc.lo);
    words[1] = static_cast<uint32_t>(desc.lo >> 32);
    words[2] = static_cast<uint32_t>(desc.hi);
    words[3] = static_cast<uint32_t>(desc.hi >> 32);
  }

  void drive() {
    dut_.cmd_valid_i = !commands.empty();
    if (!commands.empty()) {
      const Command& c = commands.front();
      dut_.cmd_stop_i = c.stop;
      dut_.cmd_rx_i = static_cast<uint8_t>(c.rx);
      dut_.cmd_vi_i = static_cast<uint8_t>(c.vi);
      dut_.cmd_address_i = c.address;
      dut_.cmd_entries_log2_i = static_cast<uint8_t>(c.entries_log2);
    }
    dut_.db_valid_i = !doorbells.empty();
    if (!doorbells.empty()) {
      const Doorbell& d = doorbells.front();
      dut_.db_op_i = static_cast<uint8_t>(d.bell);
      dut_.db_rx_i = static_cast<uint8_t>(d.rx);
      dut_.db_vi_i = static_cast<uint8_t>(d.vi);
      dut_.db_producer_idx_i = d.index;
      put(dut_.db_desc_i, d.desc);
    }
    dut_.pop_valid_i = static_cast<uint8_t>((pops[0].empty() ? 0 : 1) | (pops[1].empty() ? 0 : 2));
    if (!pops[0].empty()) dut_.pop_tx_vi_i = static_cast<uint8_t>(pops[0].front().vi);
    if (!pops[1].empty()) dut_.pop_rx_vi_i = static_cast<uint8_t>(pops[1].front().vi);
    dut_.done_valid_i = !dones.empty();
    if (!dones.empty()) {
      dut_.done_rx_i = static_cast<uint8_t>(dones.front().rx);
      dut_.done_vi_i = static_cast<uint8_t>(dones.front().vi);
      dut_.done_idx_i = dones.front().index;
    }
    beat_offered_ = beat_offered_ || (!beats.empty() && beat_ready());  // what is offered stays
    dut_.rsp_valid_i = beat_offered_;
    if (beat_offered_) {
      const Beat& beat = beats.front();
      dut_.rsp_rx_i = static_cast<uint8_t>(beat.rx);
      dut_.rsp_vi_i = static_cast<uint8_t>(beat.vi);
      dut_.rsp_code_i = static_cast<uint16_t>(beat.code);
      put(dut_.rsp_desc_i, beat.desc);
    }
    dut_.rd_ready_i = read_ready();
    dut_.halt_ready_i = halt_ready();
  }

  void observe_pulses() {
    if (dut_.answer_valid_o) observe_answer();
    if (dut_.stopped_valid_o) {
      RingReference& r = ring(dut_.stopped_vi_o, dut_.stopped_rx_o);
      EXPECT_TRUE(r.stop_owed) << "a stop is reported that is not due";
      EXPECT_EQ(r.in_flight_count, 0u) << "a stop is reported with a read in flight";
      r.stop_owed = false;
      r.reported_life = r.stop_life;
      stopped.push_back({dut_.stopped_vi_o, dut_.stopped_rx_o, 0});
    }
    if (dut_.avail_valid_o) available.push_back({dut_.avail_vi_o, dut_.avail_rx_o, 0});
    if (dut_.count_ignored_o) ++ignored_count;
  }

  void observe_answer() {
    Popped now;
    now.vi = dut_.answer_vi_o;
    now.rx = dut_.answer_rx_o;
    now.found = dut_.answer_found_o;
    now.more = dut_.answer_more_o;
    now.posted = dut_.answer_posted_o;
    if (now.found) {
      now.index = dut_.answer_idx_o;
      now.pio = dut_.answer_pio_o;
      now.desc = {dut_.answer_desc_o[0] | uint64_t{dut_.answer_desc_o[1]} << 32,
                  dut_.answer_desc_o[2] | uint64_t{dut_.answer_desc_o[3]} << 32};
    }
    ASSERT_FALSE(expected_pops_.empty()) << "an answer that nobody asked for";
    const Popped& want = expected_pops_.front();
    EXPECT_EQ(now.vi, want.vi);
    EXPECT_EQ(now.rx, want.rx);
    EXPECT_EQ(now.found, want.found);
    EXPECT_EQ(now.more, want.more);
    EXPECT_EQ(now.posted, want.posted);
    EXPECT_EQ(now.index, want.index);
    EXPECT_EQ(now.pio, want.pio);
    EXPECT_TRUE(now.desc == want.desc) << "VI " << now.vi << " index " << now.index;
    expected_pops_.pop_front();
    popped.push_back(now);
  }

  // A read is judged when it is first offered: what it asks for was decided by operations that the reference has
  // followed.
  void observe_outputs() {
    if (dut_.rd_valid_o) {
      const FetchRead read{dut_.rd_vi_o, dut_.rd_rx_o, dut_.rd_idx_o, dut_.rd_count_o, dut_.rd_address_o};
      if (!read_seen_) judge(read);
      read_seen_ = !dut_.rd_ready_i;
      if (dut_.rd_ready_i) {
        reads.push_back(read);
        serve(read);
      }
    }
    if (dut_.halt_valid_o && dut_.halt_ready_i) {
      const FetchHalt halt{dut_.halt_vi_o, dut_.halt_source_o, dut_.halt_code_o, dut_.halt_index_o};
      ASSERT_FALSE(expected_halts_.empty()) << "a halt of VI " << halt.vi << " that is not due";
      const FetchHalt& want = expected_halts_.front();
      EXPECT_EQ(halt.vi, want.vi);
      EXPECT_EQ(halt.source, want.source);
      EXPECT_EQ(halt.code, want.code);
      EXPECT_EQ(halt.index, want.index);
      expected_halts_.pop_front();
      halts.push_back(halt);
    }
  }

  // FETCH is the block's own operation and not seen from outside, so a read may show after its ring has stopped, or
  // even been started again: the address tells its life.
  void judge(const FetchRead& read) {
    RingReference& r = ring(read.vi, read.rx);
    const uint64_t life = (read.address - ring_address(read.vi, read.rx, 0)) / kLifeStride;
    EXPECT_EQ(r.in_flight_count, 0u) << "two reads of one ring in flight";
    EXPECT_GT(life, r.reported_life) << "a read of a life whose end has been reported";
    EXPECT_LE(life, r.life);
    r.in_flight_count = read.count;
    r.in_flight_life = life;
    EXPECT_GT(read.count, 0u);
    EXPECT_LE(read.count, read.rx ? kRxBatch : kTxBatch);
    if (!r.running || life != r.life) return;
    const uint32_t span = std::min<uint32_t>(r.entries, PST_LIMIT_PAGE_BYTES / PST_TX_DESC_BYTES);
    EXPECT_LE(read.index % span + read.count, span) << "across the end of a page or of the ring";
    EXPECT_EQ(read.address, r.address + uint64_t{read.index % r.entries} * PST_TX_DESC_BYTES);
    EXPECT_EQ(read.index, r.next) << "a descriptor is fetched twice or skipped";
    EXPECT_LE(read.count, r.producer - r.next) << "beyond the producer";
    r.next += read.count;
    EXPECT_LE(r.next - r.popped, kCacheDepth) << "the cache is overfilled";
  }

  // What was accepted in this cycle: at most one.
  void take_accepted() {
    uint32_t accepted_count = 0;
    const auto take = [&accepted_count](auto& queue, bool accepted, auto&& effect) {
      if (queue.empty() || !accepted) return;
      effect(queue.front());
      queue.pop_front();
      ++accepted_count;
    };
    take(commands, dut_.cmd_ready_o, [this](const Command& c) { take_command(c); });
    take(doorbells, dut_.db_ready_o, [this](const Doorbell& d) { take_doorbell(d); });
    take(dones, dut_.done_ready_o, [this](const Ring& d) {
      RingReference& r = ring(d.vi, d.rx);
      if (r.running && d.index - r.completed <= r.popped - r.completed) r.completed = d.index;
    });
    take(pops[0], dut_.pop_ready_o & 1, [this](const Ring& request) { take_pop(request); });
    take(pops[1], dut_.pop_ready_o & 2, [this](const Ring& request) { take_pop(request); });
    if (beat_offered_ && dut_.rsp_ready_o) {
      const Beat beat = beats.front();
      beats.pop_front();
      beat_offered_ = false;
      take_beat(beat);
      ++accepted_count;
    }
    EXPECT_LE(accepted_count, 1u);
  }

  void take_command(const Command& command) {
    RingReference& r = ring(command.vi, command.rx);
    if (command.stop) {
      r.running = false;
      r.stop_owed = true;
      r.stop_life = r.life;
    } else {
      r.running = true;
      ++r.life;
      r.address = command.address;
      r.entries = 1u << command.entries_log2;
      r.producer = r.completed = r.popped = r.next = 0;
      r.cache.clear();
    }
  }

  void take_doorbell(const Doorbell& d) {
    RingReference& r = ring(d.vi, d.rx);
    if (!r.running) {
      ++expected_ignored_count_;
      return;
    }
    bool good = false;
    if (d.bell == Bell::kIndex) {
      good = d.index - r.completed <= r.entries && d.index - r.completed >= r.producer - r.completed;
      if (good) r.producer = d.index;
    } else if (d.index == r.producer) {
      return;
    } else {
      const pst_tx_desc desc{{d.desc.lo, d.desc.hi}};
      good = r.completed == r.producer && d.index == r.producer + 1 && pst_tx_desc_get_end_of_packet(&desc);
      if (d.bell == Bell::kPio) good = good && d.desc.lo + pst_tx_desc_get_length_bytes(&desc) <= PST_LIMIT_PIO_BYTES;
      if (good) {
        r.producer = r.next = d.index;
        r.cache.push_back({d.desc, d.bell == Bell::kPio});
      }
    }
    if (!good) halt(r, {d.vi, PST_ERROR_SOURCE_DOORBELL, PST_ERROR_CODE_BAD_DOORBELL, d.index});
  }

  void halt(RingReference& r, const FetchHalt& expected) {
    r.running = false;
    expected_halts_.push_back(expected);
  }

  void take_beat(const Beat& beat) {
    RingReference& r = ring(beat.vi, beat.rx);
    if (r.in_flight_count == 0) return;
    const bool fresh = r.running && r.in_flight_life == r.life;
    const uint32_t index = r.next - r.in_flight_count;
    r.in_flight_count = beat.code ? 0 : r.in_flight_count - 1;
    if (!fresh) return;
    if (beat.code)
      halt(r, {beat.vi, beat.rx ? uint32_t{PST_ERROR_SOURCE_RX} : uint32_t{PST_ERROR_SOURCE_TX}, beat.code, index});
    else
      r.cache.push_back({beat.desc, false});
  }

  void take_pop(const Ring& request) {
    RingReference& r = ring(request.vi, request.rx);
    Popped want;
    want.vi = request.vi;
    want.rx = request.rx;
    want.found = r.running && !r.cache.empty();
    want.posted = r.running && r.cache.empty() && r.producer != r.popped;
    if (want.found) {
      want.more = r.cache.size() > 1;
      want.index = r.popped++;
      want.desc = r.cache.front().desc;
      want.pio = r.cache.front().pio;
      r.cache.pop_front();
      if (!want.pio && want.desc.lo >> 63) {  // from memory(): content follows from ring, life and index
        EXPECT_TRUE(want.desc == memory(request.vi, request.rx, r.life, want.index)) << "of another life or index";
      }
    }
    expected_pops_.push_back(want);
  }

  // At rest nothing is owed, and each ring holds what is posted as far as the cache has room for it.
  void check_quiet() {
    EXPECT_TRUE(expected_halts_.empty()) << "a halt is missing";
    EXPECT_EQ(ignored_count, expected_ignored_count_);
    for (uint32_t i = 0; i < rings_.size(); ++i) {
      const RingReference& r = rings_[i];
      if (r.in_flight_count != 0) continue;  // memory has not answered
      EXPECT_FALSE(r.stop_owed) << "a stop is not reported: ring " << i;
      if (!r.running) continue;
      EXPECT_EQ(r.cache.size(), r.next - r.popped) << "ring " << i;
      if (r.cache.size() <= PST_LIMIT_TX_FRAGMENTS_MAX + 1) {
        EXPECT_EQ(r.next, r.producer) << "ring " << i << " does not fetch what is posted";
      }
    }
  }

  Vpst_desc_fetch dut_;
  std::array<RingReference, 2 * kViCount> rings_{};
  std::array<uint64_t, 2 * kViCount> started_count_{};  // START commands queued
  std::deque<Popped> expected_pops_;
  std::deque<FetchHalt> expected_halts_;
  uint32_t expected_ignored_count_ = 0;
  bool beat_offered_ = false, read_seen_ = false;
};

}  // namespace postern::rtl_test
