// Fetches descriptors in batches into the per-VI caches, ahead of their use. Hides ring wrap and one fetch in flight
// per ring. Packet walk: between the doorbell and the payload.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "contract/gen/pst_contract.h"
#include "hw_model/nic_blocks.h"
#include "hw_model/translation.h"

namespace postern::hw_model {

struct Vi;

class DescFetch {
 public:
  explicit DescFetch(NicBlocks& nic);
  void configure();

  // Starts a fetch if there are posted descriptors, room for them, and none in flight.
  void fetch_tx(Vi& vi);
  void fetch_rx(Vi& vi);
  // A descriptor that came with its doorbell: the ring's next one, all before it have been used and none is in flight.
  void push_tx(Vi& vi, const pst_tx_desc& desc);

 private:
  struct Ring {
    uint64_t address;
    uint32_t entries;
    uint32_t producer_idx;
    uint32_t batch;
    unsigned error_source;
  };
  template <auto kArrived, class Cache>
  void fetch(Vi& vi, Cache& cache, const Ring& ring);
  template <class Cache>
  bool take_in(Vi& vi, Cache& cache, uint64_t host_address, uint64_t count_and_fate, unsigned error_source);
  void tx_arrived(uint64_t vi_id, uint64_t epoch, uint64_t host_address, uint64_t count_and_fate);
  void rx_arrived(uint64_t vi_id, uint64_t epoch, uint64_t host_address, uint64_t count_and_fate);

  NicBlocks& nic_;
  const double& tx_batch_property_;
  const double& rx_batch_property_;
  const double& processing_ns_;
  uint32_t tx_batch_ = 0;
  uint32_t rx_batch_ = 0;
  uint64_t processing_ps_ = 0;
  std::vector<DmaSegment> segments_;
};

}  // namespace postern::hw_model
