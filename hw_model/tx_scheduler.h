// Whose turn it is to send: deficit round robin over the VIs that have descriptors, by bytes or by packets, with
// weights, and a token bucket for each rate-limited VI. Hides the list of ready VIs. Part of tx_dma, which asks it.
//
// A VI's turn lasts while its deficit is positive; each packet is charged when it is taken, so the last one of a turn
// may overdraw and the VI works that off in later turns (a packet's length is known only when its descriptors have been
// read). Shares are therefore exact in the long run whatever the packet sizes. After Shreedhar and Varghese, "Efficient
// Fair Queuing using Deficit Round Robin" (1995).
#pragma once

#include <cstdint>
#include <deque>

#include "hw_model/nic_blocks.h"

namespace postern::hw_model {

struct Vi;

class TxScheduler {
 public:
  explicit TxScheduler(NicBlocks& nic);
  void configure();
  void reset();

  // The VI has descriptors to look at; no effect if it waits already.
  void add(Vi& vi);
  // The VI stops.
  void remove(Vi& vi);
  [[nodiscard]] bool empty() const { return ready_.empty(); }
  // Takes the VI whose turn it is off the list and gives it its quantum, unless its turn was interrupted; null if that
  // VI does not run any more.
  Vi* begin_turn();
  [[nodiscard]] bool turn_lasts(const Vi& vi) const;
  // When the VI's token bucket lets the next packet go; now or earlier: at once.
  [[nodiscard]] uint64_t rate_ready_ps(const Vi& vi) const;
  // The VI has taken a packet of these bytes.
  void charge_packet(Vi& vi, uint32_t bytes);
  // Bytes that the packet turned out to have besides (headers of further segments).
  void charge_extra(Vi& vi, uint32_t bytes);
  // After a turn: the VI has more to send (more), or nothing that could be taken now; ring_empty: nothing at all.
  void end_turn(Vi& vi, bool more, bool ring_empty);

 private:
  NicBlocks& nic_;
  const double& by_bytes_;
  const double& quantum_bytes_;
  const double& rate_burst_bytes_;
  bool charge_bytes_ = true;
  int64_t quantum_ = 1;
  uint64_t burst_bytes_ = 0;
  bool interrupted_ = false;  // the first VI's turn goes on: it has had its quantum
  std::deque<uint32_t> ready_;
};

}  // namespace postern::hw_model
