// What pst_rx_dma must do with each copy, as contract and model say it. It follows the order in which the block ends
// copies and posts events, and judges each: descriptors taken, bytes in host memory, every field of the event, the
// reason of a drop.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <iterator>
#include <map>
#include <set>
#include <vector>

#include "contract/gen/pst_contract.h"

namespace postern::rtl_test {

struct RxOptions {
  bool prefix = false, strip = false;
  uint32_t merge_count = 1;
};

struct RxDesc {
  uint64_t address = 0;
  uint32_t bytes = 0, flags = 0, reserved = 0;
  [[nodiscard]] std::array<uint64_t, 2> words() const {
    pst_rx_desc desc{};
    pst_rx_desc_set_address(&desc, address);
    pst_rx_desc_set_length_bytes(&desc, bytes);
    pst_rx_desc_set_flags(&desc, flags);
    pst_rx_desc_set_reserved(&desc, reserved);
    return {desc.word[0], desc.word[1]};
  }
  [[nodiscard]] bool bad() const { return bytes == 0 || flags != 0 || reserved != 0; }
};

struct RxCopy {
  uint32_t vi = 0, filter_id = 0, frame = 0, hash = 0, vlan_count = 0, vlan_tci = 0, id = 0;
  bool hash_valid = false;
  uint64_t time_ns = 0, event = 0;
  std::vector<uint8_t> bytes;
};

struct RxEvent {
  uint32_t vi = 0;
  pst_rx_event event{};
  uint64_t time_ns = 0;
};

class RxDmaReference {
 public:
  static constexpr uint32_t kViCount = 64, kScatterMax = 32;
  static constexpr uint64_t kMergeWaitNs = 1000;
  struct Drop {
    uint32_t vi = 0, reason = 0;
  };
  // What surrounds the block: descriptors that software has posted, and where writes to a VI's address go, if anywhere.
  std::function<const std::vector<RxDesc>&(uint32_t vi)> descs;
  std::function<const uint8_t*(uint32_t vi, uint64_t address)> memory;
  std::vector<RxEvent> events;
  std::vector<Drop> drops;
  bool closing = false;  // CFG_CLOSE_MERGES is under way

  void start(uint32_t vi, RxOptions options) {
    const std::deque<Taken> copies = vis_[vi].copies;  // came while it did not run, and are on their way to be dropped
    vis_[vi] = Vi();
    vis_[vi].copies = copies;
    vis_[vi].options = options;
    vis_[vi].running = true;
  }
  void take(const RxCopy& copy, uint64_t time_ns) {
    Vi& v = vis_[copy.vi];
    v.copies.push_back({copy, v.running, time_ns});
  }
  void saw_empty(uint32_t vi, uint32_t index) { vis_[vi].empty_at.insert(index); }
  void saw_full(uint32_t vi) { ++vis_[vi].refusals; }
  void end_life(uint32_t vi, bool stop) {
    vis_[vi].running = false;
    vis_[vi].stops = stop;
  }
  void wrote(uint32_t vi, uint32_t bytes, uint32_t id) { vis_[vi].written[id] += bytes; }
  void halt_by_queue(uint32_t vi) {
    vis_[vi].halted = true;
    vis_[vi].running = false;
  }
  // A halt for which the block asks. Its cause is a copy that has been dropped, or will be next.
  void halt(uint32_t vi, uint32_t code, uint32_t index) {
    Vi& v = vis_[vi];
    EXPECT_FALSE(v.halted) << "halted twice";
    halt_by_queue(vi);
    v.asked.code = code;
    v.asked.index = index;
    judge_halt(vi);
  }

  // Descriptors before index are completed: the oldest copy has been delivered into them.
  void done(uint32_t vi, uint32_t frame, uint32_t index) {
    Vi& v = vis_[vi];
    ASSERT_FALSE(v.copies.empty()) << "descriptors of VI " << vi << " are completed for no copy";
    ASSERT_FALSE(v.owes_event) << "the event of the copy before has not been posted";
    const Taken taken = v.copies.front();
    v.copies.pop_front();
    EXPECT_EQ(frame, taken.copy.frame) << "copies of a VI are delivered in their order";
    const Plan plan = planned(vi, taken.copy, index);
    ASSERT_EQ(v.consumer + plan.count, index) << "descriptors that the copy takes";
    EXPECT_EQ(plan.code, static_cast<uint32_t>(PST_ERROR_CODE_OK));
    std::vector<uint8_t> expected = wanted(v, taken.copy);
    const uint32_t written = std::min<uint32_t>(plan.capacity, static_cast<uint32_t>(expected.size()));
    const bool truncated = written < expected.size();
    if (truncated && plan.count < kScatterMax) {
      EXPECT_TRUE(v.empty_at.count(index)) << "truncated although descriptors are posted";
    }
    EXPECT_EQ(v.written[taken.copy.id], written) << "bytes written for the copy";
    v.written.erase(taken.copy.id);
    const uint32_t prefix_bytes = v.options.prefix ? PST_LIMIT_RX_PREFIX_BYTES : 0;
    const uint32_t length = written > prefix_bytes ? written - prefix_bytes : 0;
    if (v.options.prefix) {
      expected[16] = static_cast<uint8_t>(length);
      expected[17] = static_cast<uint8_t>(length >> 8);
    }
    compare_memory(vi, expected, written);
    announce(v, taken, index, plan.count, length, truncated);
    v.consumer = index;
  }

  // An event as posted; phase and overflow mark are the event queue's.
  void event(uint32_t vi, uint64_t low, uint64_t high, uint64_t time_ns) {
    Vi& v = vis_[vi];
    events.push_back({vi, {{low, high}}, time_ns});
    ASSERT_TRUE(v.owes_event || v.open_frames > 0) << "an event of VI " << vi << " that announces nothing";
    EXPECT_EQ(low, v.due_event.word[0]) << "VI " << vi;
    EXPECT_EQ(high, v.due_event.word[1]) << "VI " << vi;
    if (!v.owes_event && v.open_frames < v.options.merge_count) {
      EXPECT_TRUE(closing || !v.running || !v.copies.empty() || v.empty_at.count(v.consumer) ||
                  time_ns >= v.open_ns + kMergeWaitNs)
          << "a merge of VI " << vi << " ends early";
    }
    v.announced.push_back(v.owes_event ? 1 : v.open_frames);
    v.owes_event = false;
    v.open_frames = 0;
  }
  void count(uint32_t vi, uint32_t frames) {
    Vi& v = vis_[vi];
    ASSERT_FALSE(v.announced.empty());
    EXPECT_EQ(frames, v.announced.front());
    v.announced.pop_front();
  }

  // A frame that an open merge would have announced: it has been written already.
  void drop_merged(uint32_t vi, uint32_t reason) {
    Vi& v = vis_[vi];
    drops.push_back({vi, reason});
    EXPECT_EQ(reason, static_cast<uint32_t>(PST_DROP_REASON_RX_VI_HALTED));
    EXPECT_TRUE(v.stops) << "only a teardown lets a merge come to nothing";
    ASSERT_GT(v.open_frames, 0u);
    --v.open_frames;
  }

  void drop(uint32_t vi, uint32_t frame, uint32_t reason) {
    Vi& v = vis_[vi];
    drops.push_back({vi, reason});
    auto found =
        std::find_if(v.copies.begin(), v.copies.end(), [frame](const Taken& t) { return t.copy.frame == frame; });
    ASSERT_NE(found, v.copies.end()) << "VI " << vi << " drops a copy that it does not have";
    const Taken taken = *found;
    const bool is_cause = reason == PST_DROP_REASON_RX_VI_HALTED && taken.running && v.cause.code == 0 &&
                          (v.running || v.asked.code == PST_ERROR_CODE_BAD_DESCRIPTOR);
    const bool halting = !v.running || v.cause.code != 0;
    if (reason == PST_DROP_REASON_RX_BUFFER_FULL || (reason == PST_DROP_REASON_RX_VI_HALTED && halting)) {
      EXPECT_TRUE(reason != PST_DROP_REASON_RX_BUFFER_FULL || found != v.copies.begin())
          << "dropped although none waits";
    } else {
      EXPECT_EQ(found, v.copies.begin()) << "dropped before its turn";
    }
    if (reason == PST_DROP_REASON_RX_NO_DESCRIPTOR) {
      EXPECT_TRUE(v.empty_at.count(v.consumer)) << "descriptors were posted";
    } else if (reason == PST_DROP_REASON_RX_EVQ_FULL) {
      EXPECT_GT(v.refusals, 0u) << "the queue has refused nothing";
      if (v.refusals > 0) --v.refusals;
    } else if (reason == PST_DROP_REASON_RX_DMA_FAULT || is_cause) {
      v.cause = planned_when_dropped(vi, taken.copy);
      EXPECT_EQ(v.cause.code,
                static_cast<uint32_t>(reason == PST_DROP_REASON_RX_DMA_FAULT ? PST_ERROR_CODE_DMA_FAULT
                                                                             : PST_ERROR_CODE_BAD_DESCRIPTOR));
      judge_halt(vi);
    } else {
      EXPECT_TRUE(reason == PST_DROP_REASON_RX_VI_HALTED || reason == PST_DROP_REASON_RX_BUFFER_FULL) << reason;
      // While the VI's life ends the halt for it may still be on its way.
      if (reason == PST_DROP_REASON_RX_VI_HALTED && taken.running && v.late_cause.code == 0) {
        const Plan plan = planned(vi, taken.copy);
        if (plan.code == PST_ERROR_CODE_BAD_DESCRIPTOR) v.late_cause = plan;
      }
    }
    v.copies.erase(found);
  }

  void life_done(uint32_t vi) {
    Vi& v = vis_[vi];
    EXPECT_FALSE(v.owes_event) << "an event is missing";
    if (v.asked.code != 0 && v.cause.code == 0) v.cause = v.late_cause;
    judge_halt(vi);
    EXPECT_EQ(v.asked.code, v.cause.code) << "a halt without its cause, or the other way round";
    EXPECT_EQ(v.open_frames, 0u) << "frames of a merge came to nothing uncounted";
    EXPECT_TRUE(v.written.empty()) << "payload of a copy that has not ended";
  }
  // At rest: copies that still wait.
  [[nodiscard]] size_t waiting(uint32_t vi) const { return vis_[vi].copies.size(); }
  [[nodiscard]] uint32_t open_frames(uint32_t vi) const { return vis_[vi].open_frames; }
  [[nodiscard]] uint32_t consumer(uint32_t vi) const { return vis_[vi].consumer; }
  [[nodiscard]] bool running(uint32_t vi) const { return vis_[vi].running; }
  [[nodiscard]] size_t drop_count(uint32_t reason) const {
    return static_cast<size_t>(
        std::count_if(drops.begin(), drops.end(), [reason](const Drop& d) { return d.reason == reason; }));
  }

 private:
  struct Taken {
    RxCopy copy;
    bool running = false;  // the VI, when it came
    uint64_t time_ns = 0;
  };
  // What the model's plan() and translate_buffers() find.
  struct Plan {
    uint32_t count = 0, capacity = 0, index = 0, code = PST_ERROR_CODE_OK;
  };
  struct Vi {
    RxOptions options;
    bool running = false, stops = false, owes_event = false, halted = false;
    std::deque<Taken> copies;       // taken and not ended
    Plan asked, cause, late_cause;  // a halt as asked for, and what the dropped copy found
    std::set<uint32_t> empty_at;
    uint32_t consumer = 0, refusals = 0;
    std::map<uint32_t, uint32_t> written;  // bytes of payload, by the frame's id
    uint32_t open_frames = 0;
    uint64_t alike = 0, open_ns = 0;
    pst_rx_event first{}, due_event{};
    std::deque<uint32_t> announced;
  };

  // The plan with all that is posted now, or with what was when the block found nothing more.
  [[nodiscard]] Plan planned_when_dropped(uint32_t vi, const RxCopy& copy) const {
    const Vi& v = vis_[vi];
    for (const uint32_t end : v.empty_at) {
      const Plan plan = planned(vi, copy, end);
      if (end > v.consumer && plan.code == PST_ERROR_CODE_DMA_FAULT) return plan;
    }
    return planned(vi, copy);
  }

  void judge_halt(uint32_t vi) const {
    const Vi& v = vis_[vi];
    if (v.asked.code == 0 || v.cause.code == 0) return;
    EXPECT_EQ(v.asked.code, v.cause.code) << "VI " << vi;
    EXPECT_EQ(v.asked.index, v.cause.index) << "VI " << vi;
  }

  [[nodiscard]] Plan planned(uint32_t vi, const RxCopy& copy, uint32_t end = ~0u) const {
    const Vi& v = vis_[vi];
    const std::vector<RxDesc>& ring = descs(vi);
    const uint32_t needed = static_cast<uint32_t>(wanted(v, copy).size());
    Plan plan;
    for (uint32_t i = v.consumer; plan.capacity < needed && plan.count < kScatterMax && i < ring.size() && i < end;
         ++i) {
      if (ring[i].bad()) {
        plan.code = PST_ERROR_CODE_BAD_DESCRIPTOR;
        plan.index = i;
        return plan;
      }
      plan.capacity += ring[i].bytes;
      ++plan.count;
    }
    uint32_t left = std::min(needed, plan.capacity);
    for (uint32_t i = v.consumer; left > 0; ++i) {
      const uint32_t here = std::min(left, ring[i].bytes);
      for (uint32_t at = 0; at < here; ++at) {
        if (memory(vi, ring[i].address + at) != nullptr) continue;
        plan.code = PST_ERROR_CODE_DMA_FAULT;
        plan.index = i;
        return plan;
      }
      left -= here;
    }
    return plan;
  }

  static std::vector<uint8_t> wanted(const Vi& v, const RxCopy& copy) {
    std::vector<uint8_t> want;
    const bool strips = v.options.strip && copy.vlan_count != 0;
    std::array<uint8_t, sizeof(pst_rx_prefix)> prefix_bytes{};
    if (v.options.prefix) {
      pst_rx_prefix prefix{};
      pst_rx_prefix_set_filter_id(&prefix, copy.filter_id);
      pst_rx_prefix_set_timestamp_ns(&prefix, copy.time_ns);
      if (copy.hash_valid) {
        pst_rx_prefix_set_rss_hash(&prefix, copy.hash);
        pst_rx_prefix_set_rss_valid(&prefix, 1);
      }
      if (strips) {
        pst_rx_prefix_set_vlan_tci(&prefix, copy.vlan_tci);
        pst_rx_prefix_set_vlan_stripped(&prefix, 1);
      }
      std::memcpy(prefix_bytes.data(), &prefix, sizeof prefix);
    }
    want.reserve(prefix_bytes.size() + copy.bytes.size());
    if (v.options.prefix) std::copy(prefix_bytes.begin(), prefix_bytes.end(), std::back_inserter(want));
    for (size_t i = 0; i < copy.bytes.size(); ++i)
      if (!strips || i < 12 || i >= 16) want.push_back(copy.bytes[i]);
    return want;
  }

  void compare_memory(uint32_t vi, const std::vector<uint8_t>& expected, uint32_t written) const {
    uint32_t at = 0;
    for (uint32_t i = vis_[vi].consumer; at < written; ++i) {
      const RxDesc& desc = descs(vi)[i];
      for (uint32_t offset = 0; offset < desc.bytes && at < written; ++offset, ++at)
        ASSERT_EQ(*memory(vi, desc.address + offset), expected[at]) << "byte " << at << " of " << written;
    }
  }

  static void announce(Vi& v, const Taken& taken, uint32_t index, uint32_t count, uint32_t length, bool truncated) {
    pst_rx_event event{{taken.copy.event, 0}};
    pst_rx_event_set_length_bytes(&event, length);
    pst_rx_event_set_desc_count(&event, count);
    pst_rx_event_set_prefix_present(&event, v.options.prefix ? 1 : 0);
    pst_rx_event_set_rx_consumer_idx(&event, index);
    if (truncated) {
      pst_rx_event_set_error_class(&event, PST_RX_ERROR_CLASS_TRUNCATED);
      pst_rx_event_set_checksum_l4(&event, PST_CHECKSUM_RESULT_NONE);
    }
    const bool mergeable = v.options.merge_count > 1 && count == 1 && !truncated;
    if (mergeable && v.open_frames > 0 && v.alike == taken.copy.event) {
      ++v.open_frames;
      EXPECT_LE(v.open_frames, v.options.merge_count);
      v.due_event = v.first;
      pst_rx_event_set_length_bytes(&v.due_event, 0);
      pst_rx_event_set_desc_count(&v.due_event, v.open_frames);
      pst_rx_event_set_merged(&v.due_event, 1);
      pst_rx_event_set_rx_consumer_idx(&v.due_event, index);
      return;
    }
    EXPECT_EQ(v.open_frames, 0u) << "the merge before has not been announced";
    v.due_event = v.first = event;
    v.alike = taken.copy.event;
    v.open_ns = taken.time_ns;
    if (mergeable) {
      v.open_frames = 1;
    } else {
      v.owes_event = true;
    }
  }

  std::array<Vi, kViCount> vis_{};
};

}  // namespace postern::rtl_test
