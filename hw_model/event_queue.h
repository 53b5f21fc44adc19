// Event queues: slots, phase, credits and policies (R4, R5), primes, moderation and wakeups (R6, R7), and the event
// writes themselves. Packet walk: where the device tells the host.
//
// An event is issued when its write is posted on the link: then it takes its slot and a primed queue wakes its owner.
// The write lands later; link order makes it land before the interrupt and after its packet's payload (R3).
#pragma once

#include <cstdint>
#include <vector>

#include "contract/gen/pst_contract.h"
#include "hw_model/nic_blocks.h"
#include "hw_model/translation.h"

namespace postern::hw_model {

struct Vi;

enum class Admission { kOk, kStall, kDrop, kHalt };

class EventQueue {
 public:
  explicit EventQueue(NicBlocks& nic);
  void configure();

  // May an event be issued now? Applies the policy of a full queue: kDrop has counted and marked, kHalt has halted the
  // VI.
  Admission admit(Vi& vi);
  // After admit() == kOk: gives the event its slot, phase and mark; returns its index. Then call issued() once its
  // write has been posted.
  uint32_t take_slot(Vi& vi, pst_event& event);
  void issued(Vi& vi);
  // From payload's write request to that of the event behind it.
  [[nodiscard]] uint64_t processing_ps() const { return processing_ps_; }
  // After admit() == kOk: keeps one slot's worth of space for an event that is written later (R5), until it is given
  // back. The event takes its place in the ring only then.
  static void reserve(Vi& vi);
  static void unreserve(Vi& vi);
  // Host address of a slot; false if the queue is not mapped.
  bool slot_address(Vi& vi, uint32_t event_idx, uint64_t& host_address);
  [[nodiscard]] static uint64_t slot_alignment(const Vi& vi, uint32_t event_idx);

  // Events with nothing behind them. Under policy STALL they wait for space, cumulatively.
  void post_tx(Vi& vi);
  void post_tx_timestamp(Vi& vi, uint64_t first_bit_ps);
  void post_timer(Vi& vi, uint16_t sequence);
  void post_error(Vi& vi, const pst_event& event);
  // Reports what has been sent before the VI halts, if there is space.
  void flush_tx(Vi& vi);

  // Returns space up to consumer_idx. False: the index lies beyond what was issued, or more than a ring behind. An
  // index that is merely behind is stale and returns nothing: EVQ_CONSUMER and EVQ_PRIME carry the same quantity, and a
  // device that polls a doorbell page may see the two in either order (R2).
  bool consume(Vi& vi, uint32_t consumer_idx);
  // Asks for one wakeup when an event beyond consumer_idx exists (R6), after consume() has taken the index.
  void prime(Vi& vi, uint32_t consumer_idx);

  // Hold-off time of a VI that is allocated with HOLDOFF_NS 0.
  [[nodiscard]] uint64_t default_holdoff_ps() const { return default_holdoff_ps_; }
  // MODERATION_SET: changes hold-off time and count, or lets the time follow the load up to holdoff_ps; a wakeup that
  // waits is judged anew.
  void set_moderation(Vi& vi, uint64_t holdoff_ps, uint32_t holdoff_events, bool adaptive);
  // The write of an issued event, or of the payload before it, has failed: halts the VI.
  void write_failed(Vi& vi, uint32_t event_idx, unsigned source, unsigned code, uint32_t ring_idx);

 private:
  void issue(Vi& vi, pst_event event);
  void land(uint64_t word0, uint64_t word1, uint64_t vi_and_epoch, uint64_t event_idx);
  void post_wakeup(Vi& target, uint32_t source_vi);
  void consider_wakeup(Vi& vi);
  void holdoff_over(uint64_t vi_id, uint64_t epoch, uint64_t generation, uint64_t);
  void wake(Vi& vi);
  static void adapt_holdoff(Vi& vi);
  void space_returned(Vi& vi);

  NicBlocks& nic_;
  const double& processing_ns_;
  const double& holdoff_ns_;
  uint64_t processing_ps_ = 0;
  uint64_t default_holdoff_ps_ = 0;
  std::vector<DmaSegment> segments_;
};

}  // namespace postern::hw_model
