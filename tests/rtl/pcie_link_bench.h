// Drives pst_pcie_link cycle by cycle and plays everything around it: the NIC's blocks, the translation, and the hard
// block with the host's memory. Each side is held against what was accepted on the other; the order of writes (R3) and
// the fence's promise are checked every cycle.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <vector>

#include "Vpst_pcie_link.h"
#include "contract/gen/pst_contract.h"
#include "tests/rtl/pcie_link_traffic.h"
#include "tests/rtl/wide_bytes.h"

namespace postern::rtl_test {

class PcieLinkBench {
 public:
  static constexpr uint32_t kViCount = 16, kVectorCount = 64;  // as in CMakeLists.txt
  static constexpr uint64_t kUnmapped = uint64_t{1} << 60;     // domain addresses with this bit miss

  explicit PcieLinkBench(bool skips = false) : skips_(skips) {
    dut_.rst_ni = 0;
    dut_.eval();  // Verilator sees edges from the second evaluation on
    clock();
    dut_.rst_ni = 1;
  }

  using Chance = std::function<bool()>;
  Chance always = [] { return true; };
  Chance write_ready = always, read_ready = always, response_ready = always, halt_ready = always,
         completion_comes = always;
  Chance lookup_ready = always, lookup_answers = always, target_ready = always, target_answers = always,
         beat_comes = always;
  std::function<uint32_t(uint32_t)> pick = [](uint32_t) { return 0u; };  // which of so many reads is answered next

  std::deque<LinkWrite> payloads, events, messages;
  std::deque<LinkRead> fetches, payload_reads;
  std::deque<HostAccess> accesses;
  bool fence_asked = false;

  std::vector<LinkWrite> written;    // as they came out, host addresses
  std::vector<bool> issued_fetches;  // of the reads in the order in which they came out: those of descriptors
  std::vector<LinkRead> answered;    // in the order of their ends
  std::vector<std::vector<uint8_t>> descriptors;
  std::vector<uint32_t> halted_indices, halted_vis;
  std::vector<HostAccess> doorbell_accesses, msix_accesses;
  std::vector<uint64_t> access_reads, fence_done_cycles;
  uint32_t lost_count = 0, bad_access_count = 0;
  uint64_t cycle_count = 0, skipped_count = 0, stalled_completion_count = 0;

  [[nodiscard]] static uint64_t host_address(uint64_t domain_address) { return domain_address ^ 0x7000000000u; }
  [[nodiscard]] static uint8_t memory(uint64_t host_address) {
    return static_cast<uint8_t>((host_address * 0x9e3779b97f4a7c15u) >> 56);
  }
  static std::vector<uint8_t> memory(uint64_t host_address, uint32_t bytes) {
    std::vector<uint8_t> data;
    for (uint32_t i = 0; i < bytes; ++i) data.push_back(memory(host_address + i));
    return data;
  }

  void write_payload(uint32_t vi, uint64_t address, uint32_t bytes, uint32_t lane = 0, uint32_t id = 1) {
    LinkWrite write{LinkWrite::Kind::kPayload, vi, id, bytes, address, {}, lane, 0};
    for (uint32_t i = 0; i < bytes; ++i) write.data.push_back(static_cast<uint8_t>(id * 31 + i * 3));
    payloads.push_back(write);
  }
  void post_event(uint32_t vi, uint64_t address, uint32_t idx, uint32_t type = PST_EVENT_TYPE_RX) {
    LinkWrite write{LinkWrite::Kind::kEvent, vi, idx, 16, address, {}, 0, 0};
    pst_event event{{idx, ~uint64_t{idx}}};
    pst_event_set_type(&event, type);
    write.data.resize(16);
    std::memcpy(write.data.data(), event.word, 16);
    events.push_back(write);
  }
  void send_message(uint32_t vector, uint64_t address, uint32_t value) {
    LinkWrite write{LinkWrite::Kind::kMessage, 0xffff, vector, 4, address, {}, 0, 0};
    for (uint32_t i = 0; i < 4; ++i) write.data.push_back(static_cast<uint8_t>(value >> (8 * i)));
    messages.push_back(write);
  }
  void fetch(uint32_t vi, uint32_t rx, uint64_t address, uint32_t count, uint32_t fail_at = ~0u, uint32_t code = 0) {
    LinkRead read;
    read.is_fetch = true;
    read.vi = vi;
    read.rx = rx;
    read.address = address;
    read.bytes = count * 16;
    read.fail_at = fail_at;
    read.fail_code = code;
    fetches.push_back(read);
  }
  void read_payload(uint32_t vi, uint32_t tag, uint64_t address, uint32_t bytes, uint32_t lane = 0,
                    uint32_t fail_at = ~0u, uint32_t code = 0) {
    LinkRead read;
    read.vi = vi;
    read.tag = tag;
    read.address = address;
    read.bytes = bytes;
    read.lane = lane;
    read.fail_at = fail_at;
    read.fail_code = code;
    payload_reads.push_back(read);
  }

  [[nodiscard]] bool quiet() const { return dut_.quiet_o; }
  [[nodiscard]] bool tag_in_use(uint32_t tag) const {
    const auto same = [tag](const LinkRead& read) { return !read.is_fetch && read.tag == tag; };
    return std::any_of(open_reads_.begin(), open_reads_.end(), same) ||
           std::any_of(payload_reads.begin(), payload_reads.end(), same);
  }
  [[nodiscard]] bool ring_in_use(uint32_t vi, uint32_t rx) const {
    const auto same = [=](const LinkRead& read) { return read.is_fetch && read.vi == vi && read.rx == rx; };
    return std::any_of(open_reads_.begin(), open_reads_.end(), same) ||
           std::any_of(fetches.begin(), fetches.end(), same);
  }
  [[nodiscard]] bool fence_waits() const { return fence_cycle_ != 0; }

  void run(uint64_t cycles) {
    for (uint64_t i = 0; i < cycles; ++i) cycle();
  }
  void settle(int limit = 20000) {
    for (int i = 0; i < limit; ++i) {
      cycle();
      if (payloads.empty() && events.empty() && messages.empty() && fetches.empty() && payload_reads.empty() &&
          accesses.empty() && open_reads_.empty() && unwritten_posted_.empty() && unwritten_payload_.empty() &&
          !fence_asked && fence_cycle_ == 0 && reads_owed_.empty() && dut_.quiet_o)
        return;
    }
    ADD_FAILURE() << "the block did not come to rest within " << limit << " cycles";
  }

  void cycle() {
    drive();
    dut_.clk_i = 0;
    dut_.eval();
    observe();
    if (skips_ && dut_.quiet_o)
      ++skipped_count;
    else
      clock();
    ++cycle_count;
  }

 private:
  static constexpr uint32_t kNone = ~0u;

  void clock() {
    dut_.clk_i = 1;
    dut_.eval();
    dut_.clk_i = 0;
  }

  void drive() {
    dut_.cfg_valid_i = fence_asked && fence_cycle_ == 0;
    dut_.cfg_op_i = 1;  // CFG_FENCE
    drive_writes();
    drive_reads();
    drive_completion();
    drive_host();
    dut_.halt_ready_i = halt_ready();
    dut_.xl_ready_i = !lookup_open_ && lookup_ready();
    dut_.xl_answer_valid_i = lookup_open_ && lookup_answers();
    dut_.xl_ok_i = (lookup_address_ & kUnmapped) == 0;
    dut_.xl_host_i = host_address(lookup_address_);
    dut_.xl_run_i = lookup_bytes_;
  }

  void drive_writes() {
    payload_offered_ = !payloads.empty() && (payload_offered_ || beat_comes());
    dut_.pw_valid_i = payload_offered_;
    if (payload_offered_) {
      const LinkWrite& write = payloads.front();
      const uint32_t lane = (write.lane + payload_done_) % kBeatBytes;
      const uint32_t here = std::min(kBeatBytes - lane, write.bytes - payload_done_);
      dut_.pw_first_i = payload_done_ == 0;
      dut_.pw_last_i = payload_done_ + here == write.bytes;
      dut_.pw_vi_i = static_cast<uint8_t>(write.vi);
      dut_.pw_address_i = write.address;
      dut_.pw_bytes_i = write.bytes;
      dut_.pw_lane_i = static_cast<uint8_t>(lane);
      dut_.pw_count_i = static_cast<uint8_t>(here);
      dut_.pw_id_i = static_cast<uint16_t>(write.id);
      put_bytes(dut_.pw_data_i, std::span(write.data).subspan(payload_done_, here), lane);
    }
    dut_.wr_valid_i = !events.empty();
    if (!events.empty()) {
      const LinkWrite& write = events.front();
      dut_.wr_vi_i = static_cast<uint8_t>(write.vi);
      dut_.wr_address_i = write.address;
      dut_.wr_idx_i = write.id;
      put_bytes(dut_.wr_data_i, write.data);
    }
    dut_.msg_valid_i = !messages.empty();
    if (!messages.empty()) {
      const LinkWrite& write = messages.front();
      dut_.msg_vector_i = static_cast<uint8_t>(write.id);
      dut_.msg_address_i = write.address;
      std::memcpy(&dut_.msg_data_i, write.data.data(), 4);
    }
    dut_.dw_ready_i = write_ready();
  }

  void drive_reads() {
    dut_.rd_valid_i = !fetches.empty();
    if (!fetches.empty()) {
      const LinkRead& read = fetches.front();
      dut_.rd_rx_i = static_cast<uint8_t>(read.rx);
      dut_.rd_vi_i = static_cast<uint8_t>(read.vi);
      dut_.rd_address_i = read.address;
      dut_.rd_count_i = static_cast<uint8_t>(read.bytes / 16);
    }
    dut_.pr_valid_i = !payload_reads.empty();
    if (!payload_reads.empty()) {
      const LinkRead& read = payload_reads.front();
      dut_.pr_tag_i = static_cast<uint8_t>(read.tag);
      dut_.pr_vi_i = static_cast<uint8_t>(read.vi);
      dut_.pr_address_i = read.address;
      dut_.pr_bytes_i = read.bytes;
      dut_.pr_lane_i = static_cast<uint8_t>(read.lane);
    }
    dut_.dr_ready_i = read_ready();
    dut_.rsp_ready_i = response_ready();
  }

  void drive_completion() {
    dut_.dc_valid_i = 0;
    if (at_hard_block_.empty() || !completion_comes()) return;
    completing_ = pick(static_cast<uint32_t>(at_hard_block_.size()));
    const LinkRead& read = at_hard_block_[completing_];
    const uint32_t lane = (read.lane + read.sent_bytes) % kBeatBytes;
    const uint32_t here = std::min(kBeatBytes - lane, read.bytes - read.sent_bytes);
    const bool fails = read.beats == read.fail_at;
    dut_.dc_valid_i = 1;
    dut_.dc_tag_i = static_cast<uint8_t>(read.dr_tag);
    dut_.dc_lane_i = static_cast<uint8_t>(lane);
    dut_.dc_count_i = static_cast<uint8_t>(fails && read.fail_code != PST_ERROR_CODE_POISONED ? 0 : here);
    dut_.dc_last_i = !fails && read.sent_bytes + here == read.bytes;
    dut_.dc_code_i = static_cast<uint16_t>(fails ? read.fail_code : 0);
    put_bytes(dut_.dc_data_i, memory(read_host_address(read) + read.sent_bytes, here), lane);
    completion_bytes_ = here;
  }
  [[nodiscard]] static uint64_t read_host_address(const LinkRead& read) {
    return read.is_fetch ? host_address(read.address) : read.address;
  }

  void drive_host() {
    dut_.mm_valid_i = !accesses.empty();
    if (!accesses.empty()) {
      const HostAccess& access = accesses.front();
      dut_.mm_write_i = access.write;
      dut_.mm_bar_i = static_cast<uint8_t>(access.bar);
      dut_.mm_offset_i = access.offset;
      dut_.mm_bytes_i = static_cast<uint8_t>(access.bytes);
      put_bytes(dut_.mm_data_i, access.data);
    }
    dut_.dbm_ready_i = target_ready();
    dut_.bar_ready_i = target_ready();
    dut_.dbm_rd_valid_i = dut_.bar_rd_valid_i = 0;
    dut_.dbm_rd_data_i = dut_.bar_rd_data_i = 0xbadbadbad;
    if (target_reads_.empty() || !target_answers()) return;
    if (target_reads_.front() == PST_BAR_VI) {
      dut_.dbm_rd_valid_i = 1;
      dut_.dbm_rd_data_i = 0xd000000000 + reads_started_;
    } else {
      dut_.bar_rd_valid_i = 1;
      dut_.bar_rd_data_i = 0xb000000000 + reads_started_;
    }
  }

  void observe() {
    observe_lookup();
    observe_written();
    observe_accepted_writes();
    observe_accepted_reads();
    observe_hard_block_reads();
    observe_completion();
    observe_responses();
    observe_host();
    observe_fence();
    if (dut_.count_event_lost_o) ++lost_count;
  }

  void observe_fence() {
    if (dut_.cfg_done_o) {
      ASSERT_NE(fence_cycle_, 0u) << "a fence is done that nobody asked for";
      for (const auto* queue : {&unwritten_payload_, &unwritten_posted_}) {
        for (const LinkWrite& write : *queue) EXPECT_GT(write.begun_cycle, fence_cycle_) << "a write is not out";
      }
      for (const LinkRead& read : open_reads_) {
        EXPECT_TRUE(read.answered || read.accepted_cycle > fence_cycle_) << "a read is not answered";
      }
      fence_cycle_ = 0;
      fence_done_cycles.push_back(cycle_count);
    }
    if (dut_.cfg_valid_i) {
      fence_asked = false;
      fence_cycle_ = cycle_count;
    }
  }

  void observe_lookup() {
    if (dut_.xl_answer_valid_i) {
      lookup_open_ = false;
      if ((lookup_address_ & kUnmapped) != 0 && lookup_write_) miss_event();
      if ((lookup_address_ & kUnmapped) != 0 && !lookup_write_) miss_fetch();
    }
    if (lookup_offered_) {
      EXPECT_TRUE(dut_.xl_valid_o && dut_.xl_address_o == lookup_address_) << "what is offered stays";
    }
    lookup_offered_ = dut_.xl_valid_o && !dut_.xl_ready_i;
    if (!dut_.xl_valid_o) return;
    lookup_address_ = dut_.xl_address_o;
    lookup_bytes_ = dut_.xl_bytes_o;
    lookup_write_ = dut_.xl_write_o;
    if (!dut_.xl_ready_i) return;
    lookup_open_ = true;
    const LinkRead* read = nullptr;
    for (const LinkRead& open : open_reads_) {
      if (open.is_fetch && !open.answered && open.address == dut_.xl_address_o) read = &open;
    }
    if (dut_.xl_write_o) {
      ASSERT_FALSE(unwritten_posted_.empty());
      EXPECT_EQ(dut_.xl_address_o, unwritten_posted_.back().address);
      EXPECT_EQ(dut_.xl_vi_o, unwritten_posted_.back().vi);
      EXPECT_EQ(dut_.xl_bytes_o, 16u);
    } else {
      ASSERT_NE(read, nullptr) << "a lookup that no read needs";
      EXPECT_EQ(dut_.xl_vi_o, read->vi);
      EXPECT_EQ(dut_.xl_bytes_o, read->bytes);
    }
  }

  void miss_event() {
    const LinkWrite lost = unwritten_posted_.back();
    unwritten_posted_.pop_back();
    EXPECT_TRUE(dut_.count_event_lost_o);
    EXPECT_EQ(dut_.count_vi_o, lost.vi);
    const pst_event event{{load64(lost.data.data()), load64(lost.data.data() + 8)}};
    if (pst_event_get_type(&event) != PST_EVENT_TYPE_ERROR) halts_owed_.push_back(lost);
  }
  void miss_fetch() {
    for (LinkRead& read : open_reads_) {
      if (!read.is_fetch || read.answered || read.address != lookup_address_) continue;
      read.fail_at = 0;
      read.fail_code = PST_ERROR_CODE_DMA_FAULT;
    }
  }
  static uint64_t load64(const uint8_t* bytes) {
    uint64_t value = 0;
    std::memcpy(&value, bytes, 8);
    return value;
  }

  void observe_accepted_writes() {
    if (dut_.halt_valid_o && dut_.halt_ready_i) {
      ASSERT_FALSE(halts_owed_.empty());
      EXPECT_EQ(dut_.halt_vi_o, halts_owed_.front().vi);
      EXPECT_EQ(dut_.halt_index_o, halts_owed_.front().id);
      EXPECT_EQ(dut_.halt_source_o, static_cast<uint32_t>(PST_ERROR_SOURCE_EVQ));
      EXPECT_EQ(dut_.halt_code_o, static_cast<uint32_t>(PST_ERROR_CODE_DMA_FAULT));
      halted_vis.push_back(dut_.halt_vi_o);
      halted_indices.push_back(dut_.halt_index_o);
      halts_owed_.pop_front();
    }
    if (dut_.pw_valid_i && dut_.pw_ready_o) {
      payload_done_ += dut_.pw_count_i;
      payload_offered_ = false;
      if (dut_.pw_first_i) {
        unwritten_payload_.push_back(payloads.front());
        unwritten_payload_.back().begun_cycle = cycle_count;
      }
      unwritten_payload_.back().accepted_cycle = dut_.pw_last_i ? cycle_count : ~uint64_t{0};
      if (dut_.pw_last_i) {
        payload_done_ = 0;
        payloads.pop_front();
      }
    }
    accept_posted(events, dut_.wr_valid_i && dut_.wr_ready_o);
    accept_posted(messages, dut_.msg_valid_i && dut_.msg_ready_o);
    EXPECT_FALSE(dut_.wr_valid_i && dut_.wr_ready_o && dut_.msg_valid_i && dut_.msg_ready_o);
  }
  void accept_posted(std::deque<LinkWrite>& queue, bool accepted) {
    if (!accepted) return;
    unwritten_posted_.push_back(queue.front());
    unwritten_posted_.back().begun_cycle = unwritten_posted_.back().accepted_cycle = cycle_count;
    queue.pop_front();
  }

  void observe_written() {
    if (write_offered_) {
      EXPECT_TRUE(dut_.dw_valid_o) << "what is offered stays";
    }
    write_offered_ = dut_.dw_valid_o && !dut_.dw_ready_i;
    if (!dut_.dw_valid_o || !dut_.dw_ready_i) return;
    EXPECT_EQ(dut_.dw_first_o, !writing_open_);
    if (dut_.dw_first_o) {
      writing_ = {static_cast<LinkWrite::Kind>(dut_.dw_kind_o),
                  dut_.dw_vi_o,
                  dut_.dw_id_o,
                  dut_.dw_bytes_o,
                  dut_.dw_address_o,
                  {},
                  dut_.dw_lane_o,
                  0};
      writing_open_ = true;
    }
    EXPECT_EQ(dut_.dw_address_o, writing_.address);
    EXPECT_EQ(dut_.dw_bytes_o, writing_.bytes);
    EXPECT_EQ(dut_.dw_id_o, writing_.id);
    EXPECT_EQ(dut_.dw_lane_o, (writing_.lane + writing_.data.size()) % kBeatBytes);
    const auto beat = get_bytes(dut_.dw_data_o, dut_.dw_count_o, dut_.dw_lane_o);
    writing_.data.insert(writing_.data.end(), beat.begin(), beat.end());
    if (!dut_.dw_last_o) return;
    writing_open_ = false;
    judge_written();
  }

  void judge_written() {
    auto& queue = writing_.kind == LinkWrite::Kind::kPayload ? unwritten_payload_ : unwritten_posted_;
    ASSERT_FALSE(queue.empty()) << "a write that nobody asked for";
    LinkWrite want = queue.front();
    if (want.kind == LinkWrite::Kind::kEvent) want.address = host_address(want.address);
    if (want.kind != LinkWrite::Kind::kPayload && !unwritten_payload_.empty()) {
      EXPECT_GT(unwritten_payload_.front().accepted_cycle, want.accepted_cycle)
          << "an event or message passes payload that was accepted before it (R3)";
    }
    want.begun_cycle = want.accepted_cycle = 0;
    EXPECT_TRUE(writing_ == want) << "write of kind " << static_cast<int>(writing_.kind) << " id " << writing_.id
                                  << " expected " << want.id;
    queue.pop_front();
    writing_.accepted_cycle = cycle_count;
    written.push_back(writing_);
  }

  void observe_accepted_reads() {
    const auto accept = [this](std::deque<LinkRead>& queue, bool accepted) {
      if (!accepted) return;
      open_reads_.push_back(queue.front());
      open_reads_.back().accepted_cycle = cycle_count;
      queue.pop_front();
    };
    accept(fetches, dut_.rd_valid_i && dut_.rd_ready_o);
    accept(payload_reads, dut_.pr_valid_i && dut_.pr_ready_o);
  }

  void observe_hard_block_reads() {
    if (!dut_.dr_valid_o || !dut_.dr_ready_i) return;
    const bool is_fetch = (dut_.dr_tag_o & 0x80) != 0;
    for (LinkRead& read : open_reads_) {
      if (read.is_fetch != is_fetch || read.dr_tag != 0) continue;
      if (is_fetch ? host_address(read.address) != dut_.dr_address_o : read.tag != dut_.dr_tag_o) continue;
      EXPECT_EQ(dut_.dr_vi_o, read.vi);
      EXPECT_EQ(dut_.dr_address_o, read_host_address(read));
      EXPECT_EQ(dut_.dr_bytes_o, read.bytes);
      EXPECT_EQ(dut_.dr_lane_o, read.lane);
      for (const LinkRead& other : at_hard_block_) EXPECT_NE(other.dr_tag, dut_.dr_tag_o) << "a tag is used twice";
      at_hard_block_.push_back(read);
      at_hard_block_.back().dr_tag = dut_.dr_tag_o;
      read.dr_tag = dut_.dr_tag_o | 0x100u;
      issued_fetches.push_back(is_fetch);
      return;
    }
    ADD_FAILURE() << "a read that nobody asked for";
  }

  void observe_completion() {
    EXPECT_TRUE(dut_.dc_ready_o);
    EXPECT_EQ(dut_.pc_valid_o, dut_.dc_valid_i && (dut_.dc_tag_i & 0x80) == 0);
    if (!dut_.dc_valid_i) return;
    LinkRead& read = at_hard_block_[completing_];
    if (!read.is_fetch) {
      EXPECT_EQ(dut_.pc_tag_o, read.tag);
      EXPECT_EQ(dut_.pc_lane_o, dut_.dc_lane_i);
      EXPECT_EQ(dut_.pc_count_o, dut_.dc_count_i);
      EXPECT_EQ(dut_.pc_last_o, dut_.dc_last_i);
      EXPECT_EQ(dut_.pc_code_o, dut_.dc_code_i);
      if (dut_.dc_code_i == 0) {
        EXPECT_EQ(get_bytes(dut_.pc_data_o, dut_.pc_count_o, dut_.pc_lane_o),
                  memory(read.address + read.sent_bytes, completion_bytes_));
      }
    }
    read.sent_bytes += completion_bytes_;
    ++read.beats;
    if (!dut_.dc_last_i && dut_.dc_code_i == 0) return;
    if (!read.is_fetch) end_read([&read](const LinkRead& open) { return !open.is_fetch && open.tag == read.tag; });
    at_hard_block_.erase(at_hard_block_.begin() + completing_);
  }

  template <class Same>
  void end_read(Same&& same) {
    const auto found = std::find_if(open_reads_.begin(), open_reads_.end(), same);
    ASSERT_NE(found, open_reads_.end());
    answered.push_back(*found);
    open_reads_.erase(found);
  }

  void observe_responses() {
    if (response_offered_) {
      EXPECT_TRUE(dut_.rsp_valid_o) << "what is offered stays";
    }
    response_offered_ = dut_.rsp_valid_o && !dut_.rsp_ready_i;
    if (!dut_.rsp_valid_o) return;
    const auto found = std::find_if(open_reads_.begin(), open_reads_.end(), [this](const LinkRead& read) {
      return read.is_fetch && read.vi == dut_.rsp_vi_o && read.rx == dut_.rsp_rx_o;
    });
    ASSERT_NE(found, open_reads_.end()) << "a response of a ring that reads nothing";
    LinkRead& read = *found;
    const bool fails = read.fail_at != kNone && read.sent_bytes == read.fail_at * kBeatBytes;
    const bool ends = fails || read.sent_bytes + 16 == read.bytes;
    if (ends) read.answered = true;
    if (!dut_.rsp_ready_i) return;
    EXPECT_EQ(dut_.rsp_code_o, fails ? read.fail_code : 0);
    if (!fails) {
      const auto desc = get_bytes(dut_.rsp_desc_o, 16);
      EXPECT_EQ(desc, memory(host_address(read.address) + read.sent_bytes, 16));
      descriptors.push_back(desc);
      read.sent_bytes += 16;
    }
    if (!ends) return;
    answered.push_back(read);
    open_reads_.erase(found);
  }

  void observe_host() {
    if (dut_.count_bad_access_o) ++bad_access_count;
    if (dut_.mm_rd_valid_o) {
      ASSERT_FALSE(reads_owed_.empty()) << "an answer that nobody asked for";
      EXPECT_EQ(dut_.mm_rd_data_o, reads_owed_.front());
      access_reads.push_back(dut_.mm_rd_data_o);
      reads_owed_.pop_front();
    }
    if (dut_.dbm_rd_valid_i || dut_.bar_rd_valid_i) target_reads_.pop_front();
    const bool to_doorbell = dut_.dbm_valid_o && dut_.dbm_ready_i, to_msix = dut_.bar_valid_o && dut_.bar_ready_i;
    EXPECT_FALSE(to_doorbell && to_msix);
    if (!dut_.mm_valid_i || !dut_.mm_ready_o) {
      EXPECT_FALSE(to_doorbell || to_msix) << "an access is taken twice";
      return;
    }
    const HostAccess access = accesses.front();
    accesses.pop_front();
    const bool exists = access.bar == PST_BAR_VI || (access.bar == PST_BAR_MSIX && access.offset < PST_BAR_MSIX_SIZE);
    EXPECT_EQ(to_doorbell, exists && access.bar == PST_BAR_VI);
    EXPECT_EQ(to_msix, exists && access.bar == PST_BAR_MSIX);
    EXPECT_EQ(dut_.count_bad_access_o, !exists);
    EXPECT_TRUE(reads_owed_.empty()) << "an access passes a read";
    if (to_doorbell) {
      doorbell_accesses.push_back({dut_.dbm_write_o != 0, PST_BAR_VI, dut_.dbm_offset_o, dut_.dbm_bytes_o,
                                   get_bytes(dut_.dbm_data_o, dut_.dbm_bytes_o)});
      EXPECT_TRUE(doorbell_accesses.back() == access);
    }
    if (to_msix) {
      std::vector<uint8_t> data = access.data;
      data.resize(std::min<size_t>(data.size(), 8));
      EXPECT_EQ(dut_.bar_bytes_o, access.bytes > 8 ? 0 : access.bytes);
      EXPECT_EQ(dut_.bar_offset_o, access.offset);
      EXPECT_EQ(dut_.bar_write_o, access.write);
      EXPECT_EQ(std::memcmp(&dut_.bar_data_o, data.data(), data.size()), 0);
      msix_accesses.push_back(access);
    }
    if (access.write) return;
    ++reads_started_;
    reads_owed_.push_back(!exists ? 0 : (to_doorbell ? 0xd000000000 : 0xb000000000) + reads_started_);
    if (exists) target_reads_.push_back(access.bar);
  }

  Vpst_pcie_link dut_;
  const bool skips_;
  bool payload_offered_ = false, write_offered_ = false, response_offered_ = false, lookup_offered_ = false;
  uint32_t payload_done_ = 0;
  std::deque<LinkWrite> unwritten_payload_, unwritten_posted_, halts_owed_;
  LinkWrite writing_;
  bool writing_open_ = false;
  std::deque<LinkRead> open_reads_;
  std::vector<LinkRead> at_hard_block_;
  uint32_t completing_ = 0, completion_bytes_ = 0;  // the read that a beat comes for
  bool lookup_open_ = false, lookup_write_ = false;
  uint64_t lookup_address_ = 0;
  uint32_t lookup_bytes_ = 0;
  uint64_t fence_cycle_ = 0;
  std::deque<uint32_t> target_reads_;
  std::deque<uint64_t> reads_owed_;
  uint64_t reads_started_ = 0;
};

}  // namespace postern::rtl_test
