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
  struct Drop {
    uint32_t vi = 0, reason = 0;
  };
  std::vector<RxEvent> events;
  std::vector<Drop> drops;

  void start(uint32_t vi, RxOptions options) {
    vis_[vi] = Vi();
    vis_[vi].options = options;
    vis_[vi].running = true;
  }
  void take(const RxCopy& copy) { vis_[copy.vi].copies.push_back(copy); }
  void saw_empty(uint32_t vi, uint32_t index) { vis_[vi].empty_at.insert(index); }
  void saw_full(uint32_t vi) { ++vis_[vi].refusals; }
  void halt(uint32_t vi) { vis_[vi].running = false; }
  void end_life(uint32_t vi, bool stop) {
    vis_[vi].running = false;
    vis_[vi].stops = stop;
  }
  void wrote(uint32_t vi, uint32_t bytes, uint32_t id) {
    vis_[vi].written += bytes;
    vis_[vi].written_id = id;
  }

  // Descriptors before index are completed: the oldest copy has been delivered into them.
  void done(uint32_t vi, uint32_t index, const std::vector<RxDesc>& descs,
            const std::function<uint8_t(uint64_t)>& byte) {
    Vi& v = vis_[vi];
    ASSERT_FALSE(v.copies.empty()) << "descriptors of VI " << vi << " are completed for no copy";
    ASSERT_FALSE(v.owes_event) << "the event of the copy before has not been posted";
    const RxCopy copy = v.copies.front();
    v.copies.pop_front();
    const Want want = wanted(v, copy);
    uint32_t count = 0, capacity = 0;
    for (; capacity < want.bytes.size() && count < kScatterMax && v.consumer + count < index; ++count)
      capacity += descs[v.consumer + count].bytes;
    ASSERT_EQ(v.consumer + count, index) << "descriptors that the copy takes";
    const bool truncated = capacity < want.bytes.size();
    if (truncated && count < kScatterMax) {
      EXPECT_TRUE(v.empty_at.count(index)) << "truncated although descriptors are posted";
    }
    const uint32_t written = std::min<uint32_t>(capacity, static_cast<uint32_t>(want.bytes.size()));
    EXPECT_EQ(v.written, written) << "bytes written for the copy";
    EXPECT_EQ(v.written_id, copy.id);
    v.written = 0;
    std::vector<uint8_t> expected = want.bytes;
    const uint32_t prefix_bytes = v.options.prefix ? PST_LIMIT_RX_PREFIX_BYTES : 0;
    const uint32_t length = written > prefix_bytes ? written - prefix_bytes : 0;
    if (v.options.prefix) expected[16] = static_cast<uint8_t>(length), expected[17] = static_cast<uint8_t>(length >> 8);
    compare_memory(v, expected, written, descs, byte);
    announce(v, copy, index, count, length, truncated);
    v.consumer = index;
  }

  // An event as posted; phase and overflow mark are the event queue's.
  void event(uint32_t vi, uint64_t low, uint64_t high, uint64_t time_ns) {
    Vi& v = vis_[vi];
    RxEvent now{vi, {{low, high}}, time_ns};
    events.push_back(now);
    ASSERT_TRUE(v.owes_event || v.open_frames > 0) << "an event of VI " << vi << " that announces nothing";
    EXPECT_EQ(low, v.due_event.word[0]) << "VI " << vi;
    EXPECT_EQ(high, v.due_event.word[1]) << "VI " << vi;
    v.announced.push_back(v.owes_event ? v.due_frames : v.open_frames);
    v.owes_event = false;
    v.open_frames = 0;
  }
  void count(uint32_t vi, uint32_t frames) {
    Vi& v = vis_[vi];
    ASSERT_FALSE(v.announced.empty());
    EXPECT_EQ(frames, v.announced.front());
    v.announced.pop_front();
  }

  void drop(uint32_t vi, uint32_t reason) {
    Vi& v = vis_[vi];
    drops.push_back({vi, reason});
    if (v.stops && v.open_frames > 0 && reason == PST_DROP_REASON_RX_VI_HALTED) {
      --v.open_frames;
      return;
    }
    ASSERT_FALSE(v.copies.empty()) << "VI " << vi << " drops a copy that it does not have";
    if (reason == PST_DROP_REASON_RX_BUFFER_FULL) {
      EXPECT_GT(v.copies.size(), 1u) << "dropped although none waits";
      v.copies.pop_back();
      return;
    }
    if (reason == PST_DROP_REASON_RX_NO_DESCRIPTOR) {
      EXPECT_TRUE(v.empty_at.count(v.consumer)) << "descriptors were posted";
    } else if (reason == PST_DROP_REASON_RX_EVQ_FULL) {
      EXPECT_GT(v.refusals, 0u) << "the queue has refused nothing";
      if (v.refusals > 0) --v.refusals;
    } else if (reason == PST_DROP_REASON_RX_VI_HALTED && !v.halted_by_descriptor) {
      v.halted_by_descriptor = v.running;
    } else {
      EXPECT_EQ(reason, static_cast<uint32_t>(v.running ? PST_DROP_REASON_RX_DMA_FAULT : PST_DROP_REASON_RX_VI_HALTED));
    }
    v.copies.pop_front();
  }

  void life_done(uint32_t vi) {
    Vi& v = vis_[vi];
    EXPECT_FALSE(v.owes_event) << "an event is missing";
    EXPECT_EQ(v.open_frames, 0u) << "frames of a merge came to nothing uncounted";
  }
  // At rest: copies that still wait.
  [[nodiscard]] size_t waiting(uint32_t vi) const { return vis_[vi].copies.size(); }
  [[nodiscard]] uint32_t open_frames(uint32_t vi) const { return vis_[vi].open_frames; }
  [[nodiscard]] uint32_t consumer(uint32_t vi) const { return vis_[vi].consumer; }
  [[nodiscard]] size_t drop_count(uint32_t reason) const {
    return static_cast<size_t>(
        std::count_if(drops.begin(), drops.end(), [reason](const Drop& d) { return d.reason == reason; }));
  }

 private:
  struct Vi {
    RxOptions options;
    bool running = false, stops = false, owes_event = false, halted_by_descriptor = false;
    std::deque<RxCopy> copies;  // taken and not ended
    std::set<uint32_t> empty_at;
    uint32_t consumer = 0, refusals = 0, written = 0, written_id = 0;
    uint32_t open_frames = 0, due_frames = 0;
    uint64_t alike = 0;
    pst_rx_event first{}, due_event{};
    std::deque<uint32_t> announced;
  };
  struct Want {
    std::vector<uint8_t> bytes;
  };

  static Want wanted(const Vi& v, const RxCopy& copy) {
    Want want;
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
    want.bytes.reserve(prefix_bytes.size() + copy.bytes.size());
    if (v.options.prefix) std::copy(prefix_bytes.begin(), prefix_bytes.end(), std::back_inserter(want.bytes));
    for (size_t i = 0; i < copy.bytes.size(); ++i)
      if (!strips || i < 12 || i >= 16) want.bytes.push_back(copy.bytes[i]);
    return want;
  }

  static void compare_memory(const Vi& v, const std::vector<uint8_t>& expected, uint32_t written,
                             const std::vector<RxDesc>& descs, const std::function<uint8_t(uint64_t)>& byte) {
    uint32_t at = 0;
    for (uint32_t i = v.consumer; at < written; ++i) {
      for (uint32_t offset = 0; offset < descs[i].bytes && at < written; ++offset, ++at)
        ASSERT_EQ(byte(descs[i].address + offset), expected[at]) << "byte " << at << " of " << written;
    }
  }

  static void announce(Vi& v, const RxCopy& copy, uint32_t index, uint32_t count, uint32_t length, bool truncated) {
    pst_rx_event event{{copy.event, 0}};
    pst_rx_event_set_length_bytes(&event, length);
    pst_rx_event_set_desc_count(&event, count);
    pst_rx_event_set_prefix_present(&event, v.options.prefix ? 1 : 0);
    pst_rx_event_set_rx_consumer_idx(&event, index);
    if (truncated) {
      pst_rx_event_set_error_class(&event, PST_RX_ERROR_CLASS_TRUNCATED);
      pst_rx_event_set_checksum_l4(&event, PST_CHECKSUM_RESULT_NONE);
    }
    const bool mergeable = v.options.merge_count > 1 && count == 1 && !truncated;
    if (mergeable && v.open_frames > 0 && v.alike == copy.event) {
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
    v.alike = copy.event;
    if (mergeable) {
      v.open_frames = 1;
    } else {
      v.owes_event = true;
      v.due_frames = 1;
    }
  }

  std::array<Vi, kViCount> vis_{};
};

}  // namespace postern::rtl_test
