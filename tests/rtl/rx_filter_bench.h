// Drives pst_rx_filter cycle by cycle, plays firmware, parser, buffer and receive DMA, and holds every copy and drop
// against a reference. Commands and frames take effect in the order in which the block takes them; the reference
// follows it.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "Vpst_rx_filter.h"
#include "hw_model/filter_hash.h"
#include "hw_model/rss.h"
#include "tests/rtl/rx_frames.h"

namespace postern::rtl_test {

using hw_model::FilterKey;

constexpr uint32_t kSlotUsed = 2, kSlotRemoved = 1;  // pst_admin_pkg

struct TestFilter {
  uint32_t vi = 0, rss_context = 0, next = 0;
  bool rss = false, next_valid = false;
};
struct TestSlot {
  uint32_t state = 0, first = 0;
  FilterKey key{};
};
struct TestRss {
  bool configured = false;
  hw_model::RssKey key{};
  hw_model::RssTable table{};
};

// What the commands have made of the block.
struct FilterState {
  std::vector<TestSlot> slots = std::vector<TestSlot>(hw_model::kFilterSlots);
  std::vector<TestFilter> filters = std::vector<TestFilter>(PST_LIMIT_FILTER_COUNT_MAX);
  std::array<TestRss, PST_LIMIT_RSS_CONTEXT_COUNT_MAX> contexts;
  uint32_t kinds = 0;
  uint64_t mac_address = 0;
  bool promiscuous = false;

  // Slot of the key within the probe limit, if there is one.
  [[nodiscard]] std::optional<uint32_t> find(const FilterKey& key) const;
  [[nodiscard]] std::optional<uint32_t> slot_for(const FilterKey& key) const;
};

struct Copy {
  uint32_t vi = 0, filter = 0, frame = 0, bytes = 0, hash = 0, vlan_count = 0, vlan_tci = 0, id = 0;
  bool hash_valid = false;
  uint64_t time_ns = 0, event = 0;
  bool operator==(const Copy&) const = default;
};

// The key of a kind of filter that would match the frame.
FilterKey key_of(uint32_t kind, const RxMeta& frame);
// All copies of a frame, in order.
std::vector<Copy> expected_copies(const FilterState& state, const RxMeta& frame);

class RxFilterBench {
 public:
  static constexpr uint64_t kMacAddress = 0x0605040302;

  RxFilterBench();
  std::deque<RxMeta> frames;
  std::function<bool()> frame_comes = [] { return true; };
  std::function<bool()> hold_ready = [] { return true; };
  std::function<bool()> copy_ready = [] { return true; };
  std::vector<Copy> copies;
  uint32_t drop_count = 0, extra_copy_count = 0, held_copies = 0, done_count = 0;
  uint64_t cycle_count = 0;
  bool quiet = false;
  bool skip_quiet = false;  // the clock stands still while the block is quiet

  // Firmware: inserts at the head of the key's chain. False if there is no slot.
  bool insert(const FilterKey& key, uint32_t filter, uint32_t vi, std::optional<uint32_t> rss_context = {});
  // Takes all filters of the key out; leaves the mark that lookups go on behind.
  void remove(const FilterKey& key);
  void set_kinds(uint32_t kinds);
  void set_port(uint64_t mac_address, bool promiscuous);
  void set_rss(uint32_t context, const hw_model::RssKey& key, const hw_model::RssTable& table);

  void cycle();
  void settle();
  Vpst_rx_filter& dut() { return dut_; }
  [[nodiscard]] size_t command_count() const { return commands_.size(); }
  [[nodiscard]] const FilterState& firmware() const { return firmware_; }

 private:
  struct Command {
    uint32_t op = 0, index = 0;
    VlWide<16> data{};
    std::function<void(FilterState&)> effect;
  };
  void tick();
  void send(Command command);
  void write_slot(uint32_t slot, const TestSlot& value);
  void write_filter(uint32_t filter, const TestFilter& value);
  void offer_command();
  void check_hold();
  void check_copy();

  Vpst_rx_filter dut_;
  FilterState firmware_;  // when all commands have been done
  FilterState present_;
  std::deque<Command> commands_;
  bool command_under_way_ = false;
  struct Expected {
    RxMeta frame;
    std::vector<Copy> copies;
  };
  std::optional<Expected> expected_;
  size_t next_copy_ = 0;
  bool held_ = false, taken_ = false;
};

}  // namespace postern::rtl_test
