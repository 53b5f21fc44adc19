// The context of every virtual interface: rings, indices, event queue, moderation, grants. Hides allocation of VI
// identifiers and halting; the other blocks keep their per-VI state here, as the hardware keeps it in one context
// memory.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "contract/gen/pst_contract.h"
#include "hw_model/nic_blocks.h"
#include "sim/nic_device.h"

namespace postern::hw_model {

enum class ViState : uint8_t {
  kFree,
  kRunning,
  kHalted,    // stopped by an error; waits for VI_RESET or VI_FREE
  kStopping,  // VI_FREE or VI_RESET waits for the last DMA in flight
};

// Descriptors that have been fetched but not used. Indices are ring indices.
template <class Desc, uint32_t kCapacityDescs>
struct DescCache {
  static constexpr uint32_t kCapacity = kCapacityDescs;
  std::array<Desc, kCapacity> descs{};
  uint32_t head_idx = 0;   // first descriptor not yet used
  uint32_t fetch_idx = 0;  // next descriptor to fetch; [head, arrived) are here, [arrived, fetch) are in flight
  uint32_t arrived_idx = 0;
  uint64_t arrived_ps = 0;  // time of the last arrival

  [[nodiscard]] uint32_t count() const { return arrived_idx - head_idx; }
  [[nodiscard]] bool fetching() const { return fetch_idx != arrived_idx; }
  [[nodiscard]] Desc& at(uint32_t idx) { return descs[idx % kCapacity]; }
};

// When each outstanding TX doorbell arrived, for the stage stamps. Packets are taken in ring order, so an entry that a
// packet has passed is never asked for again. At most one entry per descriptor of the ring is outstanding.
class TxDoorbellLog {
 public:
  void add(uint32_t producer_idx, uint64_t now_ps) { entries_.push_back({producer_idx, now_ps}); }
  // Arrival of the first doorbell that covered the packet that ends before end_idx; 0 if none did.
  [[nodiscard]] uint64_t arrival_ps(uint32_t end_idx) {
    while (!entries_.empty() && static_cast<int32_t>(entries_.front().producer_idx - end_idx) < 0) entries_.pop_front();
    return entries_.empty() ? 0 : entries_.front().arrived_ps;
  }

 private:
  struct Entry {
    uint32_t producer_idx;
    uint64_t arrived_ps;
  };
  std::deque<Entry> entries_;
};

struct SourceGrant {
  uint8_t family = 0;
  uint64_t address_lo = 0;  // network byte order, byte 0 in bits 7..0
  uint64_t address_hi = 0;
};

struct ViCounters {
  uint64_t events = 0;
  uint64_t events_dropped = 0;
  uint64_t interrupts = 0;
  uint64_t wakeup_events = 0;  // wakeups sent to another VI's queue
  uint64_t primes = 0;
  uint64_t tx_packets = 0;
  uint64_t rx_packets = 0;
  uint64_t drops = 0;
  uint64_t evq_stalls = 0;      // times that an event found no space and waited (policy STALL)
  uint64_t overflow_marks = 0;  // events written with the mark
  uint64_t merged_events = 0;   // RX events that completed more than one frame
  uint64_t merged_frames = 0;   // frames that those completed
  uint64_t evq_depth_max = 0;   // most events unconsumed at once; the rest is the credits' low-water mark
  static constexpr size_t kDepthBuckets = 16;
  std::array<uint64_t, kDepthBuckets> evq_depth{};  // events by depth with them: up to 1, 2, 4, ... 32768
};

struct RxOp;

// Frames of one descriptor each that wait to be announced by one event; their writes have been posted.
struct RxMerge {
  RxOp* first = nullptr;  // its event is the one that is written; linked by next
  RxOp* last = nullptr;
  uint32_t frame_count = 0;
  uint64_t alike = 0;       // the event's first word, which all frames share
  uint32_t generation = 0;  // tells the wait of this merge from those of earlier ones
};

struct Vi {
  uint32_t id = 0;
  ViState state = ViState::kFree;
  uint32_t epoch = 0;                // grows whenever what is in flight must come to nothing
  uint32_t teardown_generation = 0;  // of VI_FREE and VI_RESET: the last one finishes the work
  uint32_t pd = 0;

  // Rings (domain addresses) and the fixed options of VI_ALLOC.
  uint64_t rx_ring_address = 0, tx_ring_address = 0, evq_address = 0;
  uint32_t rx_entries = 0, tx_entries = 0, evq_entries = 0;
  uint8_t evq_policy = 0;
  uint8_t merge_count = 0;  // frames that one RX event may complete; 0 and 1 mean one
  bool rx_prefix = false, any_source = false, vlan_strip = false;
  uint32_t weight = 1;
  uint32_t rate_limit_mbps = 0;
  std::array<SourceGrant, PST_LIMIT_SOURCE_GRANT_MAX> grants{};
  uint32_t grant_count = 0;

  // Receive ring: consumed <= cache head.
  uint32_t rx_producer_idx = 0;
  uint32_t rx_consumer_idx = 0;
  DescCache<pst_rx_desc, 64> rx_cache;
  RxOp* rx_waiting_first = nullptr;  // frames that wait for descriptors or event space
  RxOp* rx_waiting_last = nullptr;
  uint32_t rx_waiting_bytes = 0;
  RxMerge rx_merge;

  // Transmit ring.
  uint32_t tx_producer_idx = 0;
  uint32_t tx_completed_idx = 0;     // all before it have been sent or dropped
  uint32_t tx_reported_idx = 0;      // in the last TX event
  uint32_t tx_unreported_count = 0;  // packets completed since then
  DescCache<pst_tx_desc, 64> tx_cache;
  uint32_t tx_in_flight_count = 0;  // packets taken and not completed
  bool tx_queued = false;           // in the scheduler's list, or waiting for the rate limit
  bool tx_pio = false;              // the only descriptor in the cache stands for a frame in the PIO page
  bool tx_event_pending = false;    // a TX event waits for space (policy STALL)
  bool tx_read_lost = false;        // a payload read got no answer: nothing more is taken, the VI halts
  int64_t tx_deficit = 0;           // scheduler: bytes or packets that the VI may still send in its turn
  uint64_t tx_bucket_full_ps = 0;   // rate limit: when the token bucket will be full again
  TxDoorbellLog tx_doorbells;       // for the stage stamps

  // Event queue.
  uint32_t evq_producer_idx = 0;  // next slot to give out
  uint32_t evq_consumer_idx = 0;
  uint32_t evq_reserved_count = 0;  // slots that are kept for events to come
  bool overflow_mark = false;       // the next event carries the mark
  bool error_pending = false;       // the error event waits for space
  pst_event error_event{};
  bool timer_pending = false;  // a timer event waits for space
  uint16_t timer_pending_sequence = 0;
  std::vector<uint32_t> wakeups_pending;  // VIs whose wakeup events wait for space

  // Wakeup (R6, R7).
  uint32_t vector = PST_VECTOR_NONE;
  bool wake_to_vi = false;
  uint32_t wake_vi = 0;  // none if that VI has been freed
  bool primed = false;
  uint32_t prime_idx = 0;  // consumer index of the last prime
  uint64_t holdoff_ps = 0;
  uint32_t holdoff_events = 0;
  bool adaptive = false;             // the hold-off time follows the load, up to holdoff_ps
  uint64_t adaptive_holdoff_ps = 0;  // its present value
  uint32_t woken_producer_idx = 0;   // producer index at the last wakeup
  uint64_t last_wakeup_ps = 0;
  bool woke_before = false;
  bool holdoff_armed = false;  // a hold-off action is planned
  uint32_t holdoff_generation = 0;

  uint32_t timer_generation = 0;
  uint16_t timer_sequence = 0;

  ViCounters counters;
};

class ViTable {
 public:
  ViTable(NicBlocks& nic, uint32_t vi_count_max);

  void configure();
  void reset();

  [[nodiscard]] uint32_t vi_count() const { return vi_count_; }
  // A context that is not free, or null. id may be anything.
  [[nodiscard]] Vi* find(uint64_t id) {
    return id < vis_.size() && vis_[id] && vis_[id]->state != ViState::kFree ? vis_[id].get() : nullptr;
  }
  [[nodiscard]] Vi* running(uint64_t id) {
    Vi* vi = find(id);
    return vi != nullptr && vi->state == ViState::kRunning ? vi : nullptr;
  }
  // Takes the lowest free identifier; null if there is none. The context is blank and kRunning.
  Vi* allocate();
  // Rings, indices and event queue as after VI_ALLOC; state kRunning. Counters stay.
  void restart(Vi& vi);
  void free(Vi& vi);
  // Nothing of the VI starts any more; what is in flight may still land.
  void stop(Vi& vi);
  // Halts one VI with an error event (R8, R12). No effect unless it runs.
  void halt(Vi& vi, unsigned source, unsigned code, uint32_t index);
  [[nodiscard]] bool domain_in_use(uint32_t pd) const;
  [[nodiscard]] uint32_t active_count() const { return active_count_; }

  void append_counters(std::vector<sim::Counter>& counters) const;

 private:
  static constexpr uint32_t kNoVi = PST_LIMIT_VI_COUNT_MAX;  // find() knows none such

  void quiet(Vi& vi);

  NicBlocks& nic_;
  const double& vi_count_property_;
  uint32_t vi_count_ = 0;
  uint32_t active_count_ = 0;
  std::vector<std::unique_ptr<Vi>> vis_;  // built when first allocated, then kept (its epoch must go on)
};

}  // namespace postern::hw_model
