// Deficits and token buckets. See tx_scheduler.h.
#include "hw_model/tx_scheduler.h"

#include <algorithm>
#include <utility>

#include "hw_model/agenda.h"
#include "hw_model/properties.h"
#include "hw_model/vi_table.h"

namespace postern::hw_model {

namespace {
// Picoseconds that bytes take at a rate.
uint64_t duration_ps(uint64_t bytes, uint32_t rate_mbps) { return bytes * 8000000ull / rate_mbps; }
}  // namespace

TxScheduler::TxScheduler(NicBlocks& nic)
    : nic_(nic),
      by_bytes_(nic.properties->add({"tx_dma.schedule_by_bytes", "flag",
                                     "1: VIs share the port by bytes (deficit round robin); 0: by packets.",
                                     "assumed: bandwidth is what is to be shared", 1, 0, 1})),
      quantum_bytes_(nic.properties->add(
          {"tx_dma.quantum_bytes", "bytes", "What a VI of weight 1 may send in a turn when VIs share by bytes.",
           "assumed: one full frame, so that each turn sends something", 1514, 64, 1 << 20})),
      rate_burst_bytes_(nic.properties->add(
          {"tx_dma.rate_burst_bytes", "bytes",
           "Depth of a rate-limited VI's token bucket: what it may send at once after a pause, beyond one packet.",
           "assumed: 0, packets are evenly spaced", 0, 0, 1 << 24})) {}

void TxScheduler::configure() {
  charge_bytes_ = by_bytes_ != 0;
  quantum_ = charge_bytes_ ? static_cast<int64_t>(quantum_bytes_) : 1;
  burst_bytes_ = static_cast<uint64_t>(rate_burst_bytes_);
}

void TxScheduler::reset() {
  ready_.clear();
  interrupted_ = false;
}

void TxScheduler::add(Vi& vi) {
  if (vi.tx_queued) return;
  vi.tx_queued = true;
  ready_.push_back(vi.id);
}

void TxScheduler::remove(Vi& vi) {
  if (!ready_.empty() && ready_.front() == vi.id) interrupted_ = false;
  if (vi.tx_queued) ready_.erase(std::remove(ready_.begin(), ready_.end(), vi.id), ready_.end());
  vi.tx_queued = false;
}

Vi* TxScheduler::begin_turn() {
  Vi* vi = nic_.vi_table->running(ready_.front());
  ready_.pop_front();
  const bool goes_on = std::exchange(interrupted_, false);
  if (vi == nullptr) return nullptr;
  vi->tx_queued = false;
  const int64_t quantum = quantum_ * vi->weight;
  if (!goes_on) vi->tx_deficit = std::min(vi->tx_deficit + quantum, 2 * quantum);
  return vi;
}

bool TxScheduler::turn_lasts(const Vi& vi) const { return vi.tx_deficit > 0; }

uint64_t TxScheduler::rate_ready_ps(const Vi& vi) const {
  if (vi.rate_limit_mbps == 0) return 0;
  const uint64_t burst_ps = duration_ps(burst_bytes_, vi.rate_limit_mbps);
  return vi.tx_bucket_full_ps > burst_ps ? vi.tx_bucket_full_ps - burst_ps : 0;
}

void TxScheduler::charge_packet(Vi& vi, uint32_t bytes) {
  vi.tx_deficit -= charge_bytes_ ? bytes : 1;
  if (vi.rate_limit_mbps == 0) return;
  vi.tx_bucket_full_ps = std::max(vi.tx_bucket_full_ps, Agenda::now_ps()) + duration_ps(bytes, vi.rate_limit_mbps);
}

void TxScheduler::charge_extra(Vi& vi, uint32_t bytes) {
  if (charge_bytes_) vi.tx_deficit -= bytes;
  if (vi.rate_limit_mbps != 0) vi.tx_bucket_full_ps += duration_ps(bytes, vi.rate_limit_mbps);
}

// What a VI does not use while it has nothing to send is lost, what it overdrew is not forgiven, and what it could not
// use because its descriptors were still on their way is kept for one turn. A turn that the full buffer interrupted
// goes on first.
void TxScheduler::end_turn(Vi& vi, bool more, bool ring_empty) {
  if (ring_empty) vi.tx_deficit = std::min<int64_t>(vi.tx_deficit, 0);
  if (!more || vi.tx_queued) return;
  vi.tx_queued = true;
  if (vi.tx_deficit > 0) {
    ready_.push_front(vi.id);
    interrupted_ = true;
  } else {
    ready_.push_back(vi.id);
  }
}

}  // namespace postern::hw_model
