// Link arithmetic. See pcie_timeline.h.
#include "hw_model/pcie_timeline.h"

#include <algorithm>

namespace postern::hw_model {

namespace {

constexpr uint64_t kPage = 4096;  // no memory request crosses a 4 KiB boundary (PCIe Base Specification, 2.2.7)
constexpr uint32_t kDataCreditBytes = 16;

uint32_t data_credits(uint32_t payload_bytes) { return (payload_bytes + kDataCreditBytes - 1) / kDataCreditBytes; }

// Interval in byte times between acknowledgements or flow control updates, as the PCIe Base Specification recommends
// (tables "Ack limit" and "FC update"): (payload + TLP overhead) * factor / width + internal delay.
uint32_t dllp_interval_bytes(unsigned generation, unsigned lanes, uint32_t mps_bytes) {
  constexpr double kTlpOverheadBytes = 28;
  double factor = 1.0;
  if (lanes >= 16) {
    factor = mps_bytes <= 256 ? 3.0 : 2.0;
  } else if (lanes >= 8) {
    factor = mps_bytes <= 256 ? 2.5 : 1.0;
  } else {
    factor = mps_bytes <= 256 ? 1.4 : 1.0;
  }
  const double internal_delay = generation == 1 ? 19 : generation == 2 ? 70 : 115;
  return static_cast<uint32_t>((mps_bytes + kTlpOverheadBytes) * factor / lanes + internal_delay);
}

}  // namespace

double pcie_tlp_rate_gbps(unsigned generation, unsigned lanes, uint32_t mps_bytes) {
  constexpr double kTransferRateGtps[] = {2.5, 5, 8, 16, 32};
  constexpr double kDllpBytes = 8;             // 2 framing, 6 data link
  constexpr double kSkipShare = 4.0 / 1538.0;  // SKP ordered set every 1538 symbols
  const double encoding = generation <= 2 ? 8.0 / 10.0 : 128.0 / 130.0;
  const double raw = kTransferRateGtps[generation - 1] * encoding * lanes;
  const double dllp_share = kDllpBytes / dllp_interval_bytes(generation, lanes, mps_bytes);
  return raw * (1.0 - 2 * dllp_share - kSkipShare);  // one acknowledgement and one flow control update per interval
}

// --- calendar -------------------------------------------------------------------------------------------------------

void LinkCalendar::reset() {
  head_ = count_ = 0;
  floor_ps_ = now_ps_ = 0;
}

void LinkCalendar::grow() {
  std::vector<Interval> larger(2 * ring_.size());
  for (uint32_t i = 0; i < count_; ++i) larger[i] = at(i);
  ring_.swap(larger);
  head_ = 0;
}

void LinkCalendar::extend(uint64_t duration_ps) {
  if (count_ > 0) at(count_ - 1).end_ps += duration_ps;
}

void LinkCalendar::insert(uint32_t position, const Interval& interval) {
  if (count_ == ring_.size()) grow();
  for (uint32_t i = count_++; i > position; --i) at(i) = at(i - 1);
  at(position) = interval;
}

uint64_t LinkCalendar::reserve_between(uint64_t start_ps, uint64_t duration_ps) {
  uint32_t low = 0, high = count_ - 1;  // the first interval that ends at start or later
  while (low < high) {
    const uint32_t middle = (low + high) / 2;
    if (at(middle).end_ps >= start_ps) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  uint32_t i = low;
  while (i < count_ && start_ps + duration_ps > at(i).start_ps) start_ps = std::max(start_ps, at(i++).end_ps);
  const uint64_t end_ps = start_ps + duration_ps;
  const bool joins_before = i > 0 && at(i - 1).end_ps == start_ps;
  const bool joins_after = i < count_ && at(i).start_ps == end_ps;
  if (joins_before && joins_after) {
    at(i - 1).end_ps = at(i).end_ps;
    for (uint32_t k = i; k + 1 < count_; ++k) at(k) = at(k + 1);
    --count_;
  } else if (joins_before) {
    at(i - 1).end_ps = end_ps;
  } else if (joins_after) {
    at(i).start_ps = start_ps;
  } else {
    insert(i, {start_ps, end_ps});
  }
  return end_ps;
}

// --- credits --------------------------------------------------------------------------------------------------------

void CreditPool::configure(const CreditLimits& limits, uint32_t data_min) {
  CreditLimits usable = limits;
  if (usable.data != 0) usable.data = std::max(usable.data, data_min);  // the least that the specification allows
  if (usable == limits_) return;
  limits_ = usable;
  ring_.assign(usable.headers, {});
  reset();
}

uint64_t CreditPool::take(uint64_t earliest_ps, uint32_t data) {
  if (limits_.headers == 0) return earliest_ps;
  while (count_ == limits_.headers || (limits_.data != 0 && data_taken_ + data > limits_.data)) {
    const Taken& oldest = ring_[head_];
    earliest_ps = std::max(earliest_ps, oldest.back_ps);
    data_taken_ -= oldest.data;
    if (++head_ == limits_.headers) head_ = 0;
    --count_;
  }
  const uint32_t tail = head_ + count_ < limits_.headers ? head_ + count_ : head_ + count_ - limits_.headers;
  ring_[tail] = {0, data};
  ++count_;
  data_taken_ += data;
  return earliest_ps;
}

void CreditPool::returns_at(uint64_t time_ps) {
  if (limits_.headers == 0) return;
  const uint32_t last = head_ + count_ - 1;
  ring_[last < limits_.headers ? last : last - limits_.headers].back_ps = time_ps;
}

// --- timeline -------------------------------------------------------------------------------------------------------

void PcieTimeline::configure(const PcieParameters& parameters) {
  parameters_ = parameters;
  const double rate_gbps = pcie_tlp_rate_gbps(parameters.generation, parameters.lanes, parameters.mps_bytes);
  ps_per_byte_q20_ = static_cast<uint64_t>(8000.0 / rate_gbps * (1 << 20) + 0.5);
  const uint32_t mps_credits = data_credits(parameters.mps_bytes);
  posted_.configure(parameters.posted, mps_credits);
  non_posted_.configure(parameters.non_posted, 0);
  completion_.configure(parameters.completion, mps_credits);
  host_posted_.configure(parameters.host_posted, mps_credits);
  host_non_posted_.configure(parameters.host_non_posted, 0);
  latency_.configure(parameters.latency);
  if (tag_free_ps_.size() == parameters.tags) return;
  tag_free_ps_.assign(parameters.tags, 0);
  next_tag_ = 0;
}

// The link itself goes on: only the planned landings are forgotten.
void PcieTimeline::reset() {
  std::fill(tag_free_ps_.begin(), tag_free_ps_.end(), 0);
  upstream_.reset();
  downstream_.reset();
  for (CreditPool* pool : {&posted_, &non_posted_, &completion_, &host_posted_, &host_non_posted_}) pool->reset();
  posted_sent_ps_ = read_sent_ps_ = last_commit_ps_ = host_posted_sent_ps_ = host_read_sent_ps_ = 0;
  host_debt_ps_ = last_landing_ps_ = lost_until_ps_ = 0;
  planned_head_ = planned_count_ = 0;
  pushed_ = PlannedWrite();
  counts_ = PcieCounts();
}

uint64_t PcieTimeline::upstream(uint64_t earliest_ps, uint64_t bytes) {
  const uint64_t duration = duration_ps(bytes);
  counts_.upstream_busy_ps += duration;
  ++counts_.upstream_tlps;
  return upstream_.reserve(earliest_ps, duration);
}

uint64_t PcieTimeline::with_credits(CreditPool& pool, uint64_t ready_ps, uint32_t payload_bytes, uint64_t& stall_ps) {
  const uint64_t start_ps = pool.take(ready_ps, data_credits(payload_bytes));
  if (start_ps > ready_ps) {
    stall_ps += start_ps - ready_ps;
    ++counts_.credit_stalls;
  }
  return start_ps;
}

uint64_t PcieTimeline::landed(uint64_t time_ps) {
  last_landing_ps_ = std::max(last_landing_ps_, time_ps);
  return time_ps;
}

uint64_t PcieTimeline::write_tlp(uint64_t earliest_ps, uint32_t bytes, bool relaxed) {
  const uint64_t ready = std::max(earliest_ps, posted_sent_ps_);
  posted_sent_ps_ = upstream(with_credits(posted_, ready, bytes, counts_.posted_stall_ps), bytes + kRequestHeaderBytes);
  const uint64_t arrival = posted_sent_ps_ + parameters_.propagation_ps;
  posted_.returns_at(arrival + parameters_.root_complex_ps + parameters_.propagation_ps);
  uint64_t commit = arrival + parameters_.write_commit_ps;
  if (parameters_.latency_of_writes) commit += latency_.sample();
  if (!relaxed) commit = std::max(commit, last_commit_ps_ + 1);  // apart, so that whoever looks in between sees order
  last_commit_ps_ = std::max(last_commit_ps_, commit);
  return commit;
}

uint64_t PcieTimeline::write(uint64_t earliest_ps, uint64_t address, uint32_t bytes, bool relaxed) {
  requested(earliest_ps);
  relaxed = relaxed && parameters_.relaxed_ordering;
  uint64_t visible = earliest_ps;
  while (bytes > 0) {
    const uint64_t to_page_end = kPage - address % kPage;
    const uint32_t chunk = static_cast<uint32_t>(std::min<uint64_t>({bytes, parameters_.mps_bytes, to_page_end}));
    visible = std::max(visible, write_tlp(earliest_ps, chunk, relaxed));
    address += chunk;
    bytes -= chunk;
  }
  if (planned_count_ == planned_.size()) forget_planned();
  planned_[(planned_head_ + planned_count_++) % planned_.size()] = {earliest_ps, posted_sent_ps_, last_commit_ps_};
  return landed(visible);
}

// A read at earliest_ps pushes the writes up to then, not those that have been planned for later.
void PcieTimeline::push_writes(uint64_t earliest_ps) {
  while (planned_count_ != 0 && planned_[planned_head_].earliest_ps <= earliest_ps) forget_planned();
}

void PcieTimeline::forget_planned() {
  pushed_ = planned_[planned_head_];
  planned_head_ = (planned_head_ + 1) % static_cast<uint32_t>(planned_.size());
  --planned_count_;
}

// A tag that is free at ready_ps, else the one that is free first. Completions come back in any order, so under a
// latency distribution, or while one of them is lost, that is not always the oldest.
size_t PcieTimeline::free_tag(uint64_t ready_ps) {
  size_t tag = next_tag_;
  if (tag_free_ps_[tag] > ready_ps && (!latency_.constant() || lost_until_ps_ > ready_ps)) {
    tag = static_cast<size_t>(std::min_element(tag_free_ps_.begin(), tag_free_ps_.end()) - tag_free_ps_.begin());
  }
  next_tag_ = tag + 1 == tag_free_ps_.size() ? 0 : tag + 1;
  return tag;
}

// Sends a request; returns its tag. read_sent_ps_ is when it has left.
size_t PcieTimeline::read_request(uint64_t earliest_ps) {
  const uint64_t ready = std::max(earliest_ps, pushed_.sent_ps);
  const size_t tag = free_tag(ready);
  const uint64_t tagged = std::max(ready, tag_free_ps_[tag]);
  if (tagged > ready) {
    counts_.tag_stall_ps += tagged - ready;
    ++counts_.tag_stalls;
  }
  read_sent_ps_ = upstream(with_credits(non_posted_, tagged, 0, counts_.non_posted_stall_ps), kRequestHeaderBytes);
  non_posted_.returns_at(read_sent_ps_ + 2 * parameters_.propagation_ps + parameters_.root_complex_ps);
  return tag;
}

// The completions of one request on the downstream link; returns when the last one has left the root complex.
uint64_t PcieTimeline::completions(uint64_t ready_ps, uint64_t address, uint32_t bytes) {
  ready_ps = std::max(ready_ps, host_posted_sent_ps_);  // a completion does not pass a host write that is before it
  downstream_.extend(host_debt_ps_);
  host_debt_ps_ = 0;
  // A completion ends at a multiple of RCB, except the last one.
  const uint32_t size = parameters_.split_at_rcb ? parameters_.rcb_bytes : parameters_.mps_bytes;
  const uint32_t first = size - static_cast<uint32_t>(address % parameters_.rcb_bytes);
  const uint64_t count = bytes <= first ? 1 : 1 + (bytes - first + size - 1) / size;
  counts_.downstream_tlps += count;
  if (latency_.constant() && parameters_.completion.headers == 0) {  // nothing comes between them
    const uint64_t duration = duration_ps(bytes + count * kCompletionHeaderBytes);
    counts_.downstream_busy_ps += duration;
    return downstream_.reserve(ready_ps, duration);
  }
  for (uint32_t chunk = std::min(first, bytes); bytes > 0; bytes -= chunk, chunk = std::min(size, bytes)) {
    const uint64_t duration = duration_ps(chunk + kCompletionHeaderBytes);
    counts_.downstream_busy_ps += duration;
    ready_ps = downstream_.reserve(with_credits(completion_, ready_ps, chunk, counts_.completion_stall_ps), duration);
    completion_.returns_at(ready_ps + 2 * parameters_.propagation_ps);  // the device takes it when it arrives
  }
  return ready_ps;
}

// Splits a read into requests; answer(address, bytes) says when the one that has just been sent is over.
template <class Answer>
uint64_t PcieTimeline::read_requests(uint64_t earliest_ps, uint64_t address, uint32_t bytes, Answer answer) {
  requested(earliest_ps);
  push_writes(earliest_ps);
  uint64_t done = earliest_ps;
  while (bytes > 0) {
    const uint64_t to_page_end = kPage - address % kPage;
    const uint32_t chunk = static_cast<uint32_t>(std::min<uint64_t>({bytes, parameters_.mrrs_bytes, to_page_end}));
    const size_t tag = read_request(earliest_ps);
    tag_free_ps_[tag] = answer(address, chunk);
    done = std::max(done, tag_free_ps_[tag]);
    address += chunk;
    bytes -= chunk;
  }
  return landed(done);
}

uint64_t PcieTimeline::read(uint64_t earliest_ps, uint64_t address, uint32_t bytes) {
  return read_requests(earliest_ps, address, bytes, [this](uint64_t chunk_address, uint32_t chunk_bytes) {
    // Reads push writes: what is returned is no older than the writes before it.
    const uint64_t arrival = read_sent_ps_ + parameters_.propagation_ps;
    const uint64_t ready = std::max(arrival + parameters_.read_latency_ps + latency_.sample(), pushed_.commit_ps);
    return completions(ready, chunk_address, chunk_bytes) + parameters_.propagation_ps;
  });
}

uint64_t PcieTimeline::lost_read(uint64_t earliest_ps, uint64_t address, uint32_t bytes, uint64_t timeout_ps) {
  const uint64_t done =
      read_requests(earliest_ps, address, bytes, [&](uint64_t, uint32_t) { return read_sent_ps_ + timeout_ps; });
  lost_until_ps_ = std::max(lost_until_ps_, done);
  return done;
}

uint64_t PcieTimeline::host_request(uint64_t earliest_ps, uint32_t payload_bytes) {
  const uint64_t ready = std::max(earliest_ps, host_posted_sent_ps_);
  if (payload_bytes == 0) {
    // It waits behind host writes, but they do not wait for it while it lacks credits.
    const uint64_t start =
        with_credits(host_non_posted_, std::max(ready, host_read_sent_ps_), 0, counts_.host_stall_ps);
    const uint64_t duration = duration_ps(kRequestHeaderBytes);
    host_read_sent_ps_ = start + duration;
    if (start == ready) host_posted_sent_ps_ = host_read_sent_ps_;
    host_debt_ps_ += duration;
    counts_.downstream_busy_ps += duration;
    ++counts_.downstream_tlps;
    host_non_posted_.returns_at(host_read_sent_ps_ + 2 * parameters_.propagation_ps);
    return host_read_sent_ps_ + parameters_.propagation_ps;
  }
  for (uint32_t chunk; payload_bytes > 0; payload_bytes -= chunk) {
    chunk = std::min(payload_bytes, parameters_.mps_bytes);
    const uint64_t free = std::max(earliest_ps, host_posted_sent_ps_);
    const uint64_t duration = duration_ps(kRequestHeaderBytes + chunk);
    host_posted_sent_ps_ = with_credits(host_posted_, free, chunk, counts_.host_stall_ps) + duration;
    host_debt_ps_ += duration;
    counts_.downstream_busy_ps += duration;
    ++counts_.downstream_tlps;
    ++counts_.host_posted_tlps;
    host_posted_.returns_at(host_posted_sent_ps_ + 2 * parameters_.propagation_ps);
  }
  return host_posted_sent_ps_ + parameters_.propagation_ps;
}

uint64_t PcieTimeline::host_completion(uint64_t earliest_ps, uint32_t payload_bytes) {
  const uint64_t sent = upstream(std::max(earliest_ps, posted_sent_ps_), kCompletionHeaderBytes + payload_bytes);
  return std::max(sent + parameters_.propagation_ps, last_commit_ps_);
}

}  // namespace postern::hw_model
