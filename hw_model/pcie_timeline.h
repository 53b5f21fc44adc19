// Arithmetic of one PCIe link: what each transfer costs in either direction and when it is done. No SystemC kernel.
// Hides TLP splitting, link occupancy, flow-control credits, tags, ordering and the latency of root complex and memory.
//
// Byte costs follow the published pcie-bench model (Neugebauer et al., SIGCOMM 2018): per-TLP header, framing and data
// link bytes, splitting by MPS, MRRS and RCB, and link rate less acknowledgement, flow control and SKP overhead.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "hw_model/pcie_latency.h"

namespace postern::hw_model {

// Flow-control credits of one kind: header credits are TLPs, data credits are units of 16 bytes (PCIe Base
// Specification, 2.6.1). 0 means infinite.
struct CreditLimits {
  uint32_t headers = 0;
  uint32_t data = 0;

  bool operator==(const CreditLimits& other) const { return headers == other.headers && data == other.data; }
};

struct PcieParameters {
  unsigned generation = 3;
  unsigned lanes = 8;
  uint32_t mps_bytes = 256;
  uint32_t mrrs_bytes = 512;
  uint32_t rcb_bytes = 64;
  bool split_at_rcb = false;  // completions of RCB size instead of MPS size
  uint32_t tags = 256;        // reads outstanding at once
  bool relaxed_ordering = false;
  CreditLimits posted;       // device to host: writes
  CreditLimits non_posted;   // device to host: read requests
  CreditLimits completion;   // host to device: read completions
  CreditLimits host_posted;  // host to device: doorbells, PIO
  CreditLimits host_non_posted;
  uint64_t propagation_ps = 0;
  uint64_t root_complex_ps = 0;   // until the root complex has taken a request and returns its credits
  uint64_t write_commit_ps = 0;   // root complex to memory
  uint64_t read_latency_ps = 0;   // root complex and memory
  LatencyParameters latency;      // on top of read_latency_ps
  bool latency_of_writes = true;  // and of write_commit_ps
};

// Rate in Gb/s that is left for TLPs after encoding, acknowledgements, flow control and SKP ordered sets.
double pcie_tlp_rate_gbps(unsigned generation, unsigned lanes, uint32_t mps_bytes);

// What one direction of a link is occupied with: disjoint intervals in order. A transfer takes the first gap that is
// long enough, so one that is planned ahead does not hold up what comes before it, however far ahead that is.
class LinkCalendar {
 public:
  LinkCalendar() : ring_(kInitialCapacity) {}
  void reset();
  // A request comes in at this time: those that follow may ask for kOverPs before it at the earliest.
  void requested(uint64_t now_ps) {
    if (now_ps > now_ps_) now_ps_ = now_ps;
  }
  // Occupies duration_ps from earliest_ps on or later; returns the end.
  uint64_t reserve(uint64_t earliest_ps, uint64_t duration_ps) {
    const uint64_t start_ps = earliest_ps > floor_ps_ ? earliest_ps : floor_ps_;
    if (count_ == 0) return append(start_ps, duration_ps);
    Interval& last = at(count_ - 1);
    if (start_ps > last.end_ps) return append(start_ps, duration_ps);
    if (start_ps >= last.start_ps) return last.end_ps += duration_ps;
    return reserve_between(start_ps, duration_ps);
  }
  // Lengthens the last occupation.
  void extend(uint64_t duration_ps);

 private:
  struct Interval {
    uint64_t start_ps;
    uint64_t end_ps;
  };
  static constexpr uint32_t kInitialCapacity = 1024;  // a power of two; doubles when more is planned ahead
  static constexpr uint64_t kOverPs = 8'000'000;      // a frame of 9 KB at 10 Gb/s that is written from its header on
  Interval& at(uint32_t i) { return ring_[(head_ + i) & (ring_.size() - 1)]; }
  uint64_t append(uint64_t start_ps, uint64_t duration_ps) {
    while (count_ > 1 && at(0).end_ps + kOverPs < now_ps_) forget_first();
    if (count_ == ring_.size()) grow();
    at(count_++) = {start_ps, start_ps + duration_ps};
    return start_ps + duration_ps;
  }
  void forget_first() {
    floor_ps_ = at(0).end_ps;
    ++head_;
    --count_;
  }
  void grow();
  uint64_t reserve_between(uint64_t start_ps, uint64_t duration_ps);
  void insert(uint32_t position, const Interval& interval);

  std::vector<Interval> ring_;
  uint32_t head_ = 0;
  uint32_t count_ = 0;
  uint64_t floor_ps_ = 0;
  uint64_t now_ps_ = 0;
};

// The credits of one kind, as their user sees them. They come back in the order in which they were taken.
class CreditPool {
 public:
  // data_min: what one TLP may need. Forgets what is taken if the limits change.
  void configure(const CreditLimits& limits, uint32_t data_min);
  void reset() { head_ = count_ = data_taken_ = 0; }
  // Takes one header credit and data credits; returns when, earliest_ps or later. returns_at() must follow.
  uint64_t take(uint64_t earliest_ps, uint32_t data);
  // When what take() took is back.
  void returns_at(uint64_t time_ps);

 private:
  struct Taken {
    uint64_t back_ps;
    uint32_t data;
  };
  CreditLimits limits_;
  std::vector<Taken> ring_;
  uint32_t head_ = 0;
  uint32_t count_ = 0;
  uint32_t data_taken_ = 0;
};

// What a link has done since reset. Stalls are times in which a request was ready and only that resource missing.
struct PcieCounts {
  uint64_t upstream_busy_ps = 0, downstream_busy_ps = 0;
  uint64_t upstream_tlps = 0, downstream_tlps = 0;
  uint64_t host_posted_tlps = 0;  // part of downstream_tlps: doorbells, PIO
  uint64_t tag_stall_ps = 0, tag_stalls = 0;
  uint64_t posted_stall_ps = 0, non_posted_stall_ps = 0, completion_stall_ps = 0, host_stall_ps = 0;
  uint64_t credit_stalls = 0;  // of all four kinds
};

// Occupancy of both directions of a link. All times are picoseconds.
//
// Upstream (device to host): writes, MSI-X, read requests and completions of host reads, in this order of precedence: a
// read request or completion never passes an earlier write (but a read request one that was planned before it for
// later), and a write never waits for a read request that lacks a tag or credits (PCIe Base Specification, table 2-40).
// Downstream, read completions and host requests have a timeline each; a host write's share of the link delays the next
// completion. So a completion that is planned ahead does not hold up a doorbell that comes before it, and none passes a
// doorbell that was sent before it was planned.
class PcieTimeline {
 public:
  void configure(const PcieParameters& parameters);
  void reset();

  // A posted write of bytes at address (address counts for alignment only); returns when all of it is visible in host
  // memory: after any earlier write, unless relaxed (and the link's relaxed_ordering is on).
  uint64_t write(uint64_t earliest_ps, uint64_t address, uint32_t bytes, bool relaxed = false);
  // A read; returns when its last completion is in the device. Reads return in any order.
  uint64_t read(uint64_t earliest_ps, uint64_t address, uint32_t bytes);
  // A read that gets no completion: returns when the device gives up, timeout_ps after its last request. Its tags are
  // lost until then.
  uint64_t lost_read(uint64_t earliest_ps, uint64_t address, uint32_t bytes, uint64_t timeout_ps);
  // A host write of payload_bytes, or a host read request (0); returns when it is in the device. Writes arrive in
  // order.
  uint64_t host_request(uint64_t earliest_ps, uint32_t payload_bytes);
  // The answer to a host read; returns when it is at the host: not before any earlier write is visible.
  uint64_t host_completion(uint64_t earliest_ps, uint32_t payload_bytes);
  // No transfer that was planned so far lands after this time.
  [[nodiscard]] uint64_t quiesce_ps() const { return last_landing_ps_; }
  [[nodiscard]] const PcieCounts& counts() const { return counts_; }

  static constexpr uint32_t kRequestHeaderBytes = 24;  // 8 data link and framing, 4 + 12 memory request, 64-bit address
  static constexpr uint32_t kCompletionHeaderBytes = 20;  // 8 data link and framing, 4 + 8 completion

 private:
  [[nodiscard]] uint64_t duration_ps(uint64_t bytes) const { return (bytes * ps_per_byte_q20_ + (1u << 19)) >> 20; }
  uint64_t upstream(uint64_t earliest_ps, uint64_t bytes);
  uint64_t with_credits(CreditPool& pool, uint64_t ready_ps, uint32_t payload_bytes, uint64_t& stall_ps);
  uint64_t write_tlp(uint64_t earliest_ps, uint32_t bytes, bool relaxed);
  size_t read_request(uint64_t earliest_ps);
  template <class Answer>
  uint64_t read_requests(uint64_t earliest_ps, uint64_t address, uint32_t bytes, Answer answer);
  uint64_t completions(uint64_t ready_ps, uint64_t address, uint32_t bytes);
  size_t free_tag(uint64_t ready_ps);
  uint64_t landed(uint64_t time_ps);

  PcieParameters parameters_;
  uint64_t ps_per_byte_q20_ = 0;
  // Each public function does this first.
  void requested(uint64_t now_ps) {
    upstream_.requested(now_ps);
    downstream_.requested(now_ps);
  }
  LinkCalendar upstream_;
  LinkCalendar downstream_;  // read completions only
  CreditPool posted_, non_posted_, completion_, host_posted_, host_non_posted_;
  LatencySampler latency_;
  // Writes in order, oldest first: those that may be planned for later than a read which is asked for after them.
  struct PlannedWrite {
    uint64_t earliest_ps = 0;
    uint64_t sent_ps = 0;    // it and all before it have left the device
    uint64_t commit_ps = 0;  // ... and are visible
  };
  void push_writes(uint64_t earliest_ps);
  void forget_planned();
  std::array<PlannedWrite, 64> planned_{};
  uint32_t planned_head_ = 0;
  uint32_t planned_count_ = 0;
  PlannedWrite pushed_;               // the last one that reads push
  uint64_t posted_sent_ps_ = 0;       // the last write has left the device
  uint64_t read_sent_ps_ = 0;         // likewise the read request that was planned last
  uint64_t last_commit_ps_ = 0;       // all writes so far are visible
  uint64_t host_posted_sent_ps_ = 0;  // the last host write has left the root complex
  uint64_t host_read_sent_ps_ = 0;
  uint64_t host_debt_ps_ = 0;  // downstream time that host requests took and completions have not yet paid for
  uint64_t last_landing_ps_ = 0;
  uint64_t lost_until_ps_ = 0;  // a tag may wait for a completion that never comes until then
  std::vector<uint64_t> tag_free_ps_;
  size_t next_tag_ = 0;
  PcieCounts counts_;
};

}  // namespace postern::hw_model
