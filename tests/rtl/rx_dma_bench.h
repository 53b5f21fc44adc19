// Drives pst_rx_dma cycle by cycle and plays everything around it: the port's buffer, descriptor rings, translation,
// event queues, the link and the table of VIs. What comes out is judged per VI by RxDmaReference.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "Vpst_rx_dma.h"
#include "tests/rtl/rx_dma_reference.h"

namespace postern::rtl_test {

// Bytes of which each tells its place; frames of different seeds differ in each.
inline std::vector<uint8_t> received_frame(uint32_t bytes, uint32_t seed = 1) {
  std::vector<uint8_t> frame(bytes);
  for (uint32_t i = 0; i < bytes; ++i) frame[i] = static_cast<uint8_t>(i * 7 + i / 256 + seed);
  return frame;
}

class RxDmaBench {
 public:
  static constexpr uint32_t kViCount = 64, kCellBytes = 64, kCellCount = 4096, kShareBytes = 32768;
  static constexpr uint64_t kMergeWaitNs = 1000, kCycleNs = 4, kNothingDue = ~uint64_t{0};
  enum Policy : uint8_t { kStall, kDrop, kHalt };
  enum Port : uint8_t { kPayload, kRelease, kPop, kDone, kTranslate, kEvent, kHaltPort };
  enum Answer : uint8_t { kOk, kAnswerStall, kAnswerDrop, kAnswerHalt, kGone };

  struct Range {
    uint64_t base = 0, bytes = 0, host = 0;
    bool writable = true;
  };
  struct Ring {
    std::vector<RxDesc> descs;
    uint32_t arrived = 0, popped = 0;
  };
  struct Queue {
    Policy policy = kStall;
    uint32_t entries = 1024, used = 0, reserved = 0;
    bool wanted = false, running = false;
  };
  struct Halt {
    uint32_t vi = 0, source = 0, code = 0, index = 0;
  };

  RxDmaBench() : host(1 << 22), dut_(std::make_unique<Vpst_rx_dma>()), cells_(kCellCount) { reset(); }

  // Everything begins anew, as after a function reset; what tests have set up (ready, ranges, host) stays.
  void reset() {
    free_cells_.clear();
    for (uint32_t i = 0; i < kCellCount; ++i) free_cells_.push_back((i * 1021 + 7) % kCellCount);
    references_.clear();
    copies.clear();
    rings.fill(Ring());
    queues.fill(Queue());
    pop_answer_.fill(PopAnswer());
    offered_.fill({});
    commands_.clear();
    lives_.clear();
    halting_.clear();
    arrivals_.clear();
    spaces_.clear();
    translation_ = Translation();
    event_answer_ = EventAnswer();
    starting_ = Command();
    cell_read_ = copy_taken_ = life_pending_ = command_pending_ = false;
    beat_left_ = 0;
    accepted_copies = delivered_count = 0;
    reference = RxDmaReference();
    reference.descs = [this](uint32_t vi) -> const std::vector<RxDesc>& { return rings[vi].descs; };
    reference.memory = [this](uint32_t vi, uint64_t address) -> const uint8_t* {
      const Range* range = range_of(vi, address);
      return range == nullptr || !range->writable ? nullptr : &host.at(range->host + (address - range->base));
    };
    dut_->rst_ni = 0;
    drive();
    dut_->st_valid_i = 0;
    tick();
    dut_->rst_ni = 1;
    for (uint32_t i = 0; i < kViCount + 2; ++i) cycle();
  }

  // ---- What the test does.
  void start(uint32_t vi, RxOptions options, uint32_t domain = 0) {
    WideCommand data{};
    put_bits(data, 152 + 128 + 8, 8, options.merge_count);  // behind evq, both ring addresses and sizes
    put_bits(data, 152 + 128 + 16, 1, options.prefix);
    put_bits(data, 152 + 128 + 17, 1, options.strip);
    commands_.push_back({kCfgXlatVi, vi, {domain}, {}});
    commands_.push_back({kCfgViStart, vi, data, options});
  }
  void close_merges(uint32_t domain = 0) { commands_.push_back({kCfgCloseMerges, domain, {}, {}}); }
  void end_life(uint32_t vi, bool stop) { lives_.push_back({vi, stop}); }
  void post(uint32_t vi, RxDesc desc, bool arrives = true) {
    rings[vi].descs.push_back(desc);
    if (arrives) arrive(vi);
  }
  void arrive(uint32_t vi, uint32_t count = 1) { arrivals_.insert(arrivals_.end(), count, vi); }
  void consume(uint32_t vi, uint32_t count = 1) {
    queues[vi].used -= count;
    if (queues[vi].wanted) spaces_.push_back(vi);
    queues[vi].wanted = false;
  }
  void map(uint32_t vi, Range range) { ranges[vi].push_back(range); }
  // Puts a frame into the buffer and queues a copy of it for each VI.
  void receive(RxCopy copy, const std::vector<uint8_t>& bytes, const std::vector<uint32_t>& vis) {
    ASSERT_GE(free_cells_.size() * kCellBytes, bytes.size()) << "the test's own buffer is full";
    copy.bytes = bytes;
    copy.id = next_id_++ & 0xffff;
    for (size_t at = 0; at < bytes.size(); at += kCellBytes) {
      const uint32_t cell = free_cells_.front();
      free_cells_.pop_front();
      if (at == 0) {
        copy.frame = cell;
      } else {
        cells_[last_cell_].next = cell;
      }
      last_cell_ = cell;
      cells_[cell].data.fill(0xee);
      std::copy_n(bytes.begin() + static_cast<ptrdiff_t>(at), std::min<size_t>(kCellBytes, bytes.size() - at),
                  cells_[cell].data.begin());
      cells_[cell].next = 0xfff & ~cell;
    }
    references_[copy.frame] = {static_cast<uint32_t>(vis.size()), static_cast<uint32_t>(bytes.size())};
    for (const uint32_t vi : vis) {
      copy.vi = vi;
      copies.push_back(copy);
    }
  }

  std::deque<RxCopy> copies;  // on their way to the block
  std::array<Ring, kViCount> rings;
  std::array<Queue, kViCount> queues;
  std::array<std::vector<Range>, kViCount> ranges;
  std::function<bool(Port)> ready = [](Port) { return true; };
  std::function<uint32_t()> translation_cycles = [] { return 2u; };
  std::function<bool()> offers = [] { return true; };  // whether a copy is offered, an arrival or space told in a cycle
  bool ends_halted_lives = true;                       // answers a halt with the end of the VI's life, as pst_vi_table
  bool skips_clock = false;                            // the clock stands still while the block allows it

  std::vector<uint8_t> host;
  std::vector<Halt> halts;
  std::vector<uint32_t> lives_done;
  uint32_t commands_done = 0, payload_requests = 0;
  uint64_t payload_bytes = 0, time_ns = 0, cycle_count = 0;
  uint64_t accepted_copies = 0, delivered_count = 0, merged_events = 0, merged_frames = 0;
  RxDmaReference reference;

  [[nodiscard]] bool quiet() const { return dut_->quiet_o; }
  [[nodiscard]] size_t free_cell_count() const { return free_cells_.size(); }
  [[nodiscard]] bool lives_at_rest() const { return lives_.empty() && !life_pending_; }
  [[nodiscard]] bool commands_at_rest() const { return commands_.empty() && !command_pending_; }
  [[nodiscard]] Vpst_rx_dma& device() { return *dut_; }
  [[nodiscard]] uint64_t due_ns() const { return dut_->due_ns_o; }

  void run(uint32_t cycles) {
    for (uint32_t i = 0; i < cycles; ++i) cycle();
  }
  [[nodiscard]] bool busy() const {
    return !copies.empty() || !commands_.empty() || !lives_.empty() || !arrivals_.empty() || !spaces_.empty() ||
           pop_answer_[0].valid || pop_answer_[1].valid || translation_.valid || event_answer_.valid || life_pending_ ||
           command_pending_;
  }
  void run_until_quiet() {
    for (int i = 0; i < 200000; ++i) {
      cycle();
      if (!busy() && dut_->quiet_o) return;
    }
    ADD_FAILURE() << "the block did not come to rest within 200000 cycles";
  }
  void advance_to(uint64_t ns) {
    while (time_ns < ns) cycle();
  }

  void cycle() {
    drive();
    dut_->eval();
    if (skips_clock && dut_->quiet_o && !busy() && time_ns < dut_->due_ns_o) {
      time_ns += kCycleNs;
      return;
    }
    check_offers();
    observe();
    clock_edge();
  }

 private:
  using WideCommand = std::array<uint32_t, 16>;
  static constexpr uint32_t kCfgViStart = 2, kCfgCloseMerges = 6, kCfgXlatVi = 0x10;
  struct Command {
    uint32_t op = 0, index = 0;
    WideCommand data{};
    RxOptions options;
  };
  struct Cell {
    std::array<uint8_t, kCellBytes> data{};
    uint32_t next = 0;
  };
  struct Life {
    uint32_t vi = 0;
    bool stop = false;
  };
  struct PopAnswer {
    bool valid = false, found = false, more = false, posted = false;
    RxDesc desc;
  };
  struct Translation {
    bool valid = false, ok = false;
    uint32_t wait = 0;
    uint64_t host = 0;
    uint32_t run = 0;
  };
  struct EventAnswer {
    bool valid = false;
    Answer answer = kOk;
  };

  static void put_bits(WideCommand& data, uint32_t lsb, uint32_t width, uint32_t value) {
    for (uint32_t i = 0; i < width; ++i)
      if ((value >> i & 1) != 0) data[(lsb + i) / 32] |= 1u << (lsb + i) % 32;
  }
  void tick() {
    dut_->clk_i = 1;
    dut_->eval();
    dut_->clk_i = 0;
    dut_->eval();
  }

  void drive() {
    dut_->time_ns_i = time_ns;
    drive_commands();
    drive_copy();
    drive_answers();
    dut_->avail_valid_i = !arrivals_.empty() && offers();
    dut_->avail_rx_i = 1;
    if (dut_->avail_valid_i) {
      dut_->avail_vi_i = arrivals_.front();
      ++rings[arrivals_.front()].arrived;  // the block's pops of this cycle are behind it
      arrivals_.pop_front();
    } else {
      dut_->avail_rx_i = 0;
    }
    dut_->space_valid_i = !spaces_.empty() && offers();
    if (dut_->space_valid_i) {
      dut_->space_vi_i = spaces_.front();
      spaces_.pop_front();
    }
    dut_->pw_ready_i = ready(kPayload);
    dut_->release_ready_i = ready(kRelease);
    dut_->pop_ready_i = ready(kPop);
    dut_->done_ready_i = ready(kDone);
    dut_->xl_ready_i = ready(kTranslate);
    dut_->ev_ready_i = ready(kEvent);
    dut_->halt_ready_i = ready(kHaltPort);
  }

  void drive_commands() {
    dut_->cfg_valid_i = !commands_.empty() && !command_pending_;
    if (dut_->cfg_valid_i) {
      const Command& command = commands_.front();
      dut_->cfg_op_i = command.op;
      dut_->cfg_index_i = command.index;
      for (size_t i = 0; i < command.data.size(); ++i) dut_->cfg_data_i[i] = command.data[i];
      command_pending_ = reference.closing = command.op == kCfgCloseMerges;
      if (command.op == kCfgViStart) starting_ = command;
      commands_.pop_front();
    }
    dut_->life_valid_i = !lives_.empty() && !life_pending_;
    if (dut_->life_valid_i) {
      life_ = lives_.front();
      lives_.pop_front();
      dut_->life_vi_i = life_.vi;
      dut_->life_op_i = life_.stop;
      life_pending_ = true;
    }
  }

  void begin_life(uint32_t vi, RxOptions options) {
    reference.start(vi, options);
    rings[vi] = Ring();
    arrivals_.erase(std::remove(arrivals_.begin(), arrivals_.end(), vi), arrivals_.end());
    const Queue old = queues[vi];
    queues[vi] = Queue();
    queues[vi].policy = old.policy;
    queues[vi].entries = old.entries;
    queues[vi].running = true;
    halting_.erase(vi);
  }

  void drive_copy() {
    if (!dut_->st_valid_i || copy_taken_) dut_->st_valid_i = !copies.empty() && offers();
    copy_taken_ = false;
    if (!dut_->st_valid_i) return;
    const RxCopy& copy = copies.front();
    dut_->st_vi_i = copy.vi;
    dut_->st_filter_id_i = copy.filter_id;
    dut_->st_frame_i = copy.frame;
    dut_->st_bytes_i = copy.bytes.size();
    dut_->st_time_ns_i = copy.time_ns;
    dut_->st_hash_valid_i = copy.hash_valid;
    dut_->st_hash_i = copy.hash;
    dut_->st_vlan_count_i = copy.vlan_count;
    dut_->st_vlan_tci_i = copy.vlan_tci;
    dut_->st_event_i = copy.event;
    dut_->st_id_i = copy.id;
  }

  void drive_answers() {
    const PopAnswer& popped = pop_answer_[0];
    dut_->answer_valid_i = popped.valid;
    dut_->answer_rx_i = popped.valid;
    if (popped.valid) {
      dut_->answer_found_i = popped.found;
      dut_->answer_more_i = popped.more;
      dut_->answer_posted_i = popped.posted;
      const std::array<uint64_t, 2> words = popped.desc.words();
      for (int i = 0; i < 4; ++i) dut_->answer_desc_i[i] = static_cast<uint32_t>(words[i / 2] >> (32 * (i % 2)));
    }
    dut_->xl_answer_valid_i = translation_.valid && translation_.wait == 0;
    dut_->xl_ok_i = translation_.ok;
    dut_->xl_host_i = translation_.host;
    dut_->xl_run_i = translation_.run;
    dut_->ev_answer_valid_i = event_answer_.valid;
    dut_->ev_answer_i = event_answer_.answer;
    if (cell_read_) {
      const Cell& cell = cells_[read_cell_];
      std::memcpy(&dut_->cell_data_i[0], cell.data.data(), kCellBytes);
      dut_->cell_next_i = cell.next;
      cell_read_ = false;
    }
  }

  // What was offered and not taken stays.
  void check_offers() {
    std::array<std::vector<uint64_t>, 7> now;
    if (dut_->pw_valid_o) now[kPayload] = {dut_->pw_address_o, dut_->pw_bytes_o, dut_->pw_lane_o, dut_->pw_count_o};
    if (dut_->release_valid_o) now[kRelease] = {dut_->release_frame_o};
    if (dut_->pop_valid_o) now[kPop] = {dut_->pop_vi_o};
    if (dut_->done_valid_o) now[kDone] = {dut_->done_vi_o, dut_->done_idx_o};
    if (dut_->xl_valid_o) now[kTranslate] = {dut_->xl_vi_o, dut_->xl_address_o, dut_->xl_bytes_o};
    if (dut_->ev_valid_o) now[kEvent] = {dut_->ev_vi_o, dut_->ev_op_o};
    if (dut_->halt_valid_o) now[kHaltPort] = {dut_->halt_vi_o, dut_->halt_index_o, dut_->halt_code_o};
    const std::array<bool, 7> taken = {bool(dut_->pw_ready_i),   bool(dut_->release_ready_i), bool(dut_->pop_ready_i),
                                       bool(dut_->done_ready_i), bool(dut_->xl_ready_i),      bool(dut_->ev_ready_i),
                                       bool(dut_->halt_ready_i)};
    for (size_t port = 0; port < now.size(); ++port) {
      if (!offered_[port].empty()) {
        EXPECT_EQ(now[port], offered_[port]) << "port " << port << " withdrew or changed its offer";
      }
      offered_[port] = taken[port] ? std::vector<uint64_t>() : now[port];
    }
  }

  void observe() {
    pop_answer_[0] = pop_answer_[1];
    pop_answer_[1] = PopAnswer();
    if (translation_.valid && translation_.wait == 0) translation_.valid = false;
    if (translation_.valid) --translation_.wait;
    event_answer_.valid = false;
    if (dut_->st_valid_i && dut_->st_ready_o) {
      reference.take(copies.front(), time_ns);
      copies.pop_front();
      copy_taken_ = true;
      ++accepted_copies;
    }
    if (dut_->cell_rd_valid_o) {
      cell_read_ = true;
      read_cell_ = dut_->cell_rd_cell_o;
    }
    if (dut_->pw_valid_o && dut_->pw_ready_i) observe_payload();
    if (dut_->drop_valid_o) observe_drop();
    if (dut_->release_valid_o && dut_->release_ready_i) observe_release();
    if (dut_->pop_valid_o && dut_->pop_ready_i) observe_pop(dut_->pop_vi_o);
    if (dut_->done_valid_o && dut_->done_ready_i) observe_done(dut_->done_vi_o, dut_->done_idx_o);
    if (dut_->xl_valid_o && dut_->xl_ready_i) observe_translation();
    if (dut_->count_delivered_o) {
      delivered_count += dut_->count_delivered_frames_o;
      reference.count(dut_->count_vi_o, dut_->count_delivered_frames_o);
    }
    if (dut_->count_merged_event_o) {
      ++merged_events;
      merged_frames += dut_->count_merged_frames_o;
    }
    if (dut_->ev_valid_o && dut_->ev_ready_i) observe_event();
    observe_control();
  }

  void observe_control() {
    if (dut_->halt_valid_o && dut_->halt_ready_i) {
      halts.push_back({dut_->halt_vi_o, dut_->halt_source_o, dut_->halt_code_o, dut_->halt_index_o});
      reference.halt(dut_->halt_vi_o, dut_->halt_code_o, dut_->halt_index_o);
      end_halted(dut_->halt_vi_o);
    }
    if (dut_->cfg_done_o) {
      EXPECT_TRUE(command_pending_) << "done without a command";
      command_pending_ = reference.closing = false;
      ++commands_done;
    }
    if (dut_->life_done_o) {
      ASSERT_TRUE(life_pending_) << "a life's end that nobody asked for";
      life_pending_ = false;
      lives_done.push_back(life_.vi);
      reference.life_done(life_.vi);
      queues[life_.vi].running = false;
    }
  }

  void end_halted(uint32_t vi) {
    if (halting_.insert(vi).second && ends_halted_lives) lives_.push_back({vi, false});
  }

  void observe_payload() {
    if (dut_->pw_first_o) {
      EXPECT_EQ(beat_left_, 0u) << "a request begins within another one";
      beat_left_ = dut_->pw_bytes_o;
      beat_address_ = dut_->pw_address_o;
      ++payload_requests;
    }
    EXPECT_EQ(dut_->pw_bytes_o - beat_left_, beat_address_ - dut_->pw_address_o) << "the request changed";
    ASSERT_LE(dut_->pw_count_o, beat_left_);
    ASSERT_LE(dut_->pw_lane_o + dut_->pw_count_o, kCellBytes);
    ASSERT_GT(dut_->pw_count_o, 0u);
    ASSERT_LE(beat_address_ + dut_->pw_count_o, host.size());
    std::memcpy(&host[beat_address_], reinterpret_cast<const uint8_t*>(&dut_->pw_data_o[0]) + dut_->pw_lane_o,
                dut_->pw_count_o);
    beat_left_ -= dut_->pw_count_o;
    beat_address_ += dut_->pw_count_o;
    payload_bytes += dut_->pw_count_o;
    EXPECT_EQ(dut_->pw_last_o, beat_left_ == 0);
    reference.wrote(dut_->pw_vi_o, dut_->pw_count_o, dut_->pw_id_o);
  }

  // A copy is counted in the cycle in which its cells are first offered back; frames of a merge have none any more.
  void observe_drop() {
    EXPECT_TRUE(dut_->drop_vi_valid_o);
    if (dut_->release_valid_o)
      reference.drop(dut_->drop_vi_o, dut_->release_frame_o, dut_->drop_reason_o);
    else
      reference.drop_merged(dut_->drop_vi_o, dut_->drop_reason_o);
  }

  void observe_release() {
    const auto found = references_.find(dut_->release_frame_o);
    ASSERT_NE(found, references_.end()) << "a frame that is not there is given back";
    if (--found->second.count != 0) return;
    uint32_t cell = found->first;
    for (uint32_t at = 0; at < found->second.bytes; at += kCellBytes) {
      free_cells_.push_back(cell);
      cells_[cell].data.fill(0xdd);  // whoever reads it later reads this
      cell = cells_[cell].next;
    }
    references_.erase(found);
  }

  void observe_pop(uint32_t vi) {
    Ring& ring = rings[vi];
    PopAnswer& answer = pop_answer_[1];
    answer.valid = true;
    answer.found = ring.popped < ring.arrived;
    if (answer.found) answer.desc = ring.descs[ring.popped++];
    answer.more = ring.popped < ring.arrived;
    answer.posted = !answer.found && ring.popped < ring.descs.size();
    if (!answer.found && !answer.posted) reference.saw_empty(vi, ring.popped);
  }

  void observe_done(uint32_t vi, uint32_t index) {
    EXPECT_LE(index, rings[vi].popped) << "completed before it was popped";
    reference.done(vi, dut_->release_frame_o, index);  // the frame stays with the report
  }

  [[nodiscard]] const Range* range_of(uint32_t vi, uint64_t address) const {
    for (const Range& range : ranges[vi])
      if (address >= range.base && address - range.base < range.bytes) return &range;
    return nullptr;
  }
  void observe_translation() {
    EXPECT_TRUE(dut_->xl_write_o);
    EXPECT_GE(dut_->xl_bytes_o, 1u);
    EXPECT_FALSE(translation_.valid) << "two requests outstanding";
    const Range* range = range_of(dut_->xl_vi_o, dut_->xl_address_o);
    translation_.valid = true;
    translation_.wait = translation_cycles();
    translation_.ok = range != nullptr && range->writable;
    if (!translation_.ok) return;
    const uint64_t offset = dut_->xl_address_o - range->base;
    translation_.host = range->host + offset;
    translation_.run = static_cast<uint32_t>(std::min<uint64_t>(dut_->xl_bytes_o, range->bytes - offset));
  }

  void observe_event() {
    const uint32_t vi = dut_->ev_vi_o;
    Queue& queue = queues[vi];
    event_answer_.valid = true;
    event_answer_.answer = kOk;
    if (dut_->ev_op_o == 2) {  // OP_POST_RESERVED
      EXPECT_GT(queue.reserved, 0u) << "an event without space kept for it";
      --queue.reserved;
      ++queue.used;
      reference.event(vi, dut_->ev_data_o[0] | uint64_t{dut_->ev_data_o[1]} << 32,
                      dut_->ev_data_o[2] | uint64_t{dut_->ev_data_o[3]} << 32, time_ns);
      return;
    }
    ASSERT_EQ(dut_->ev_op_o, 1u) << "OP_RESERVE";
    if (!queue.running) {
      event_answer_.answer = kGone;
    } else if (queue.used + queue.reserved < queue.entries) {
      ++queue.reserved;
    } else if (queue.policy == kStall) {
      event_answer_.answer = kAnswerStall;
      queue.wanted = true;
    } else {
      event_answer_.answer = queue.policy == kDrop ? kAnswerDrop : kAnswerHalt;
      reference.saw_full(vi);
      if (queue.policy != kHalt) return;
      reference.halt_by_queue(vi);
      end_halted(vi);
    }
  }

  // The start and the end of a life take effect with the clock edge.
  void clock_edge() {
    if (dut_->life_valid_i) reference.end_life(life_.vi, life_.stop);
    if (starting_.op == kCfgViStart) begin_life(starting_.index, starting_.options);
    starting_ = Command();
    tick();
    time_ns += kCycleNs;
    ++cycle_count;
  }

  std::unique_ptr<Vpst_rx_dma> dut_;
  std::vector<Cell> cells_;
  std::deque<uint32_t> free_cells_;
  struct References {
    uint32_t count = 0, bytes = 0;
  };
  std::map<uint32_t, References> references_;  // by first cell
  uint32_t next_id_ = 0;
  uint32_t last_cell_ = 0, read_cell_ = 0;
  bool cell_read_ = false, copy_taken_ = false, life_pending_ = false, command_pending_ = false;
  std::deque<Command> commands_;
  std::deque<Life> lives_;
  Life life_;
  std::set<uint32_t> halting_;
  std::deque<uint32_t> arrivals_, spaces_;
  std::array<PopAnswer, 2> pop_answer_;
  Translation translation_;
  EventAnswer event_answer_;
  Command starting_;
  std::array<std::vector<uint64_t>, 7> offered_;
  uint32_t beat_left_ = 0;
  uint64_t beat_address_ = 0;
};

}  // namespace postern::rtl_test
