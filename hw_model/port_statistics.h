// What the port counts: frames, bytes, drops by reason (R11), interrupts, events. Zero after a function reset.
#pragma once

#include <array>
#include <cstdint>

#include "contract/gen/pst_contract.h"
#include "sim/nic_device.h"

namespace postern::hw_model {

class PortStatistics {
 public:
  static constexpr size_t kDropReasons = PST_PORT_STATISTICS_DROPS_COUNT;

  uint64_t tx_frames = 0;          // frames that left the port
  uint64_t tx_bytes = 0;           // their bytes without FCS
  uint64_t tx_loopback = 0;        // frames that looped back inside the NIC instead
  uint64_t tx_packets = 0;         // packets taken from descriptor rings, pushed, or sent from PIO pages
  uint64_t evq_stalls = 0;         // times that an event found its queue full and waited (policy STALL)
  uint64_t tx_busy_ps = 0;         // the wire had a frame of ours on it, gap included
  uint64_t rx_busy_ps = 0;         // likewise with a frame for us
  uint64_t tx_buffer_full_ps = 0;  // packets were ready and the transmit buffer was full
  uint64_t tx_extra_frames = 0;    // outcomes of segmented packets beyond the first: tx_packets + tx_extra_frames is
                                   // tx_frames + tx_loopback + TX drops
  uint64_t tx_cut_short = 0;       // frames that left damaged because their payload could not be read to the end
  uint64_t rx_frames = 0;          // frames that arrived, also those dropped later
  uint64_t rx_bytes = 0;
  uint64_t rx_delivered = 0;       // copies of frames written to host memory and announced
  uint64_t rx_extra_copies = 0;    // copies beyond the first (replicating filters, sniffers)
  uint64_t rx_pause_frames = 0;    // pause frames that arrived; not in rx_frames
  uint64_t tx_pause_frames = 0;    // pause frames sent; not in tx_frames
  uint64_t interrupts = 0;         // MSI-X messages sent
  uint64_t events = 0;             // events written
  uint64_t events_dropped = 0;     // events dropped by policy DROP
  uint64_t events_lost = 0;        // events whose queue was not mapped, or wakeups for a VI that does not run
  uint64_t doorbells_ignored = 0;  // writes to windows of VIs that do not run
  uint64_t bad_accesses = 0;       // BAR accesses of a wrong width or to no register
  uint64_t bad_resets = 0;         // writes to RESET without the key
  std::array<uint64_t, kDropReasons> drops{};

  sim::FaultObserver* drop_observer = nullptr;  // may be null; stays over a reset

  void drop(unsigned reason) {
    ++drops[reason];
    if (drop_observer != nullptr) drop_observer->packet_dropped(reason);
  }
  void reset() {
    sim::FaultObserver* const observer = drop_observer;
    *this = PortStatistics();
    drop_observer = observer;
  }
};

}  // namespace postern::hw_model
