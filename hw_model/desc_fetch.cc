// Descriptor prefetch. See desc_fetch.h.
#include "hw_model/desc_fetch.h"

#include <algorithm>
#include <cassert>

#include "hw_model/agenda.h"
#include "hw_model/event_queue.h"
#include "hw_model/pcie_link.h"
#include "hw_model/rx_dma.h"
#include "hw_model/tx_dma.h"
#include "hw_model/vi_table.h"

namespace postern::hw_model {

namespace {
constexpr uint32_t kDescBytes = PST_TX_DESC_BYTES;
static_assert(PST_RX_DESC_BYTES == kDescBytes);
constexpr unsigned kFateShift = 32;  // a planned read's fate travels above its count
constexpr uint32_t kDescsPerPage = PST_LIMIT_PAGE_BYTES / kDescBytes;
}  // namespace

DescFetch::DescFetch(NicBlocks& nic)
    : nic_(nic),
      tx_batch_property_(nic.properties->add({"desc_fetch.tx_batch", "descriptors", "Most TX descriptors per read.",
                                              "assumed: one MPS of 256 bytes", 16, 1, 64})),
      rx_batch_property_(nic.properties->add({"desc_fetch.rx_batch", "descriptors", "Most RX descriptors per read.",
                                              "assumed: one MRRS of 512 bytes", 32, 1, 64})),
      processing_ns_(nic.properties->add({"desc_fetch.processing_ns", "ns",
                                          "From a doorbell or free cache space to the read request.",
                                          "measured: RTL, make accuracy", 56, 0, 1e6})) {}

void DescFetch::configure() {
  tx_batch_ = static_cast<uint32_t>(tx_batch_property_);
  rx_batch_ = static_cast<uint32_t>(rx_batch_property_);
  processing_ps_ = to_ps(processing_ns_);
}

template <auto kArrived, class Cache>
void DescFetch::fetch(Vi& vi, Cache& cache, const Ring& ring) {
  if (vi.state != ViState::kRunning || cache.fetching()) return;
  const uint32_t available = ring.producer_idx - cache.fetch_idx;
  const uint32_t space = Cache::kCapacity - (cache.fetch_idx - cache.head_idx);
  const uint32_t wanted = std::min(available, ring.batch);
  // Waits for room rather than fetch crumbs, but never while the cache may hold less than one whole packet.
  if (wanted == 0 || space == 0 || (space < wanted && cache.count() > PST_LIMIT_TX_FRAGMENTS_MAX + 1)) return;
  const uint32_t slot = cache.fetch_idx & (ring.entries - 1);
  // A page of the ring lies in one range of the domain, and the ring's end ends a page.
  const uint32_t to_page_end = kDescsPerPage - slot % kDescsPerPage;
  const uint32_t count = std::min({wanted, space, to_page_end, ring.entries - slot});
  const uint64_t address = ring.address + static_cast<uint64_t>(slot) * kDescBytes;
  segments_.clear();
  if (!nic_.translation->translate(vi.pd, address, count * kDescBytes, false, segments_)) {
    nic_.vi_table->halt(vi, ring.error_source, PST_ERROR_CODE_DMA_FAULT, cache.fetch_idx);
    return;
  }
  cache.fetch_idx += count;
  const ReadPlan read =
      nic_.pcie_link->post_read(Agenda::now_ps() + processing_ps_, address, count * kDescBytes, vi.id);
  nic_.agenda->at<kArrived>(read.landing_ps, this, vi.id, vi.epoch, segments_.front().host_address,
                            count | static_cast<uint64_t>(read.fate) << kFateShift);
}

void DescFetch::fetch_tx(Vi& vi) {
  fetch<&DescFetch::tx_arrived>(
      vi, vi.tx_cache, {vi.tx_ring_address, vi.tx_entries, vi.tx_producer_idx, tx_batch_, PST_ERROR_SOURCE_TX});
}

void DescFetch::fetch_rx(Vi& vi) {
  fetch<&DescFetch::rx_arrived>(
      vi, vi.rx_cache, {vi.rx_ring_address, vi.rx_entries, vi.rx_producer_idx, rx_batch_, PST_ERROR_SOURCE_RX});
}

void DescFetch::push_tx(Vi& vi, const pst_tx_desc& desc) {
  auto& cache = vi.tx_cache;
  assert(cache.head_idx == cache.fetch_idx && !cache.fetching() && cache.fetch_idx + 1 == vi.tx_producer_idx);
  cache.at(cache.arrived_idx++) = desc;
  ++cache.fetch_idx;
  cache.arrived_ps = Agenda::now_ps();
  nic_.tx_dma->descriptors_arrived(vi);
}

template <class Cache>
bool DescFetch::take_in(Vi& vi, Cache& cache, uint64_t host_address, uint64_t count_and_fate, unsigned error_source) {
  const auto count = static_cast<uint32_t>(count_and_fate);
  std::array<typename std::decay_t<decltype(cache.descs[0])>, Cache::kCapacity> batch;
  const DmaResult result = nic_.pcie_link->memory_read(host_address, batch.data(), count * kDescBytes,
                                                       static_cast<DmaResult>(count_and_fate >> kFateShift), vi.id);
  if (result != DmaResult::kOk) {
    nic_.vi_table->halt(vi, error_source, dma_error_code(result), cache.arrived_idx);
    return false;
  }
  for (uint32_t i = 0; i < count; ++i) cache.at(cache.arrived_idx++) = batch[i];
  cache.arrived_ps = Agenda::now_ps();
  return true;
}

void DescFetch::tx_arrived(uint64_t vi_id, uint64_t epoch, uint64_t host_address, uint64_t count_and_fate) {
  Vi* vi = nic_.vi_table->running(vi_id);
  if (vi == nullptr || vi->epoch != epoch) return;
  if (!take_in(*vi, vi->tx_cache, host_address, count_and_fate, PST_ERROR_SOURCE_TX)) return;
  nic_.tx_dma->descriptors_arrived(*vi);
  fetch_tx(*vi);
}

void DescFetch::rx_arrived(uint64_t vi_id, uint64_t epoch, uint64_t host_address, uint64_t count_and_fate) {
  Vi* vi = nic_.vi_table->running(vi_id);
  if (vi == nullptr || vi->epoch != epoch) return;
  if (!take_in(*vi, vi->rx_cache, host_address, count_and_fate, PST_ERROR_SOURCE_RX)) return;
  if (vi->rx_waiting_first != nullptr) nic_.rx_dma->resume(*vi);
  fetch_rx(*vi);
}

}  // namespace postern::hw_model
