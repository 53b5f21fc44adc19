// The VI library: an application's direct way to its virtual interface. Post receive buffers, send, poll events,
// prime. Hides descriptor and event layouts, ring indices and doorbells. No system call and no allocation on the
// data path. Packet walk: the last host step before the doorbell, and the first after the event.
//
// State is split so that any process that maps the memory can drive the VI: ViState and the rings live in the shared
// region and hold no pointers; Vi is this process's handle on them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "driver/pci_function.h"

namespace postern {

// Sizes of a VI's rings. Powers of two within the contract's limits. Fixed at allocation.
struct ViGeometry {
  uint32_t rx_entries = 512;
  uint32_t tx_entries = 512;
  uint32_t evq_entries = 2048;
};

// Where the rings are within the shared region: byte offsets from its base, which are also the DMA addresses that the
// VI uses (the domain maps address 0 to the region's first byte). All page-aligned. Written once at allocation.
struct ViLayout {
  uint64_t rx_ring_offset = 0;
  uint64_t tx_ring_offset = 0;
  uint64_t evq_offset = 0;
  ViGeometry geometry;
};

// Bytes that the three rings need, each rounded up to a page; fills in the offsets from first_offset on, which is
// page-aligned. layout.geometry must be valid (see vi_geometry_valid).
[[nodiscard]] size_t vi_layout_place(ViLayout& layout, uint64_t first_offset);

// True if all sizes are powers of two within the contract's limits.
[[nodiscard]] bool vi_geometry_valid(const ViGeometry& geometry);

// Shared state of a VI. Writer: whoever holds the stack's lock (or the only user). All indices are free-running.
struct ViState {
  ViLayout layout;
  uint32_t vi_id = 0;
  uint32_t features = 0;          // PST_FUNCTION_FEATURES_*_MASK that the device is known to have; 0 is always right
  uint32_t rx_producer_idx = 0;   // next RX descriptor to write
  uint32_t rx_doorbell_idx = 0;   // last value given to the RX doorbell
  uint32_t rx_consumer_idx = 0;   // from RX events
  uint32_t tx_producer_idx = 0;   // next TX descriptor to write
  uint32_t tx_doorbell_idx = 0;   // last value given to a TX doorbell, plain, with a descriptor or for the PIO page
  uint32_t tx_consumer_idx = 0;   // from TX events
  uint32_t evq_consumer_idx = 0;  // first event not consumed
  uint32_t evq_doorbell_idx = 0;  // last consumer index that was returned to the device
  uint16_t prime_sequence = 0;    // last sequence used in a prime
  uint16_t halted_code = 0;       // PST_ERROR_CODE_* of the error event, 0 while the VI runs
  uint16_t merge_position = 0;    // frames of the first event not consumed, a merged one, that poll() has given out
  uint64_t events_count = 0;      // events consumed
  uint64_t polls_count = 0;       // calls of poll()
  uint64_t primes_count = 0;      // primes written
  uint64_t overflow_marks_count = 0;
};

// Sets the state of a VI that has just been allocated, before anybody drives it. features: what FUNCTION.FEATURES said.
void vi_state_initialise(ViState& state, const ViLayout& layout, uint32_t vi_id, uint32_t features = 0);

enum class ViEventType : uint8_t { kRx, kTx, kTimer, kError, kWakeup };
enum class ChecksumResult : uint8_t { kNone = 0, kGood = 1, kBad = 2 };

// A decoded event. Fields that do not belong to the type are 0.
struct ViEvent {
  ViEventType type = ViEventType::kRx;
  ChecksumResult checksum_l3 = ChecksumResult::kNone;
  ChecksumResult checksum_l4 = ChecksumResult::kNone;
  bool truncated = false;
  uint16_t length_bytes = 0;          // RX: frame length
  uint16_t payload_offset_bytes = 0;  // RX: where in the first buffer the frame starts, behind the RX prefix if any
  uint16_t desc_count = 0;            // RX: descriptors that this event completes
  uint32_t first_idx = 0;             // RX: ring index of the first descriptor completed; TX: old consumer index
  uint32_t consumer_idx = 0;          // RX and TX: ring index after the last one completed
  uint16_t code = 0;                  // error: PST_ERROR_CODE_*; timer: sequence; wakeup: VI id
};

// One fragment of a packet; address_offset is relative to the shared region.
struct TxFragment {
  uint64_t address_offset = 0;
  uint16_t length_bytes = 0;
};

struct TxOptions {
  bool checksum_l3 = false;
  bool checksum_l4 = false;
  bool complete = false;           // ask for a TX event at once
  uint16_t segment_mss_bytes = 0;  // 0: no segmentation
  bool vlan_insert = false;        // put a tag with vlan_tci behind the addresses
  uint16_t vlan_tci = 0;
};

class Vi {
 public:
  Vi() = default;
  // region_base: where this process maps the shared region. window must outlive this object.
  Vi(void* region_base, ViState* state, ViWindow* window)
      : base_(static_cast<uint8_t*>(region_base)), state_(state), window_(window) {}

  // --- receive -------------------------------------------------------------------------------------------------
  [[nodiscard]] uint32_t rx_space() const;  // descriptors that can be posted
  // Gives a buffer to the ring (the device owns it until an RX event returns it). False if the ring is full.
  // Not visible to the device until ring_rx_doorbell().
  bool post_rx(uint64_t address_offset, uint16_t length_bytes);
  void ring_rx_doorbell();  // no-op if nothing new

  // --- send ----------------------------------------------------------------------------------------------------
  [[nodiscard]] uint32_t tx_space() const;  // descriptors that can be queued
  // Queues a packet of 1 to PST_LIMIT_TX_FRAGMENTS_MAX descriptors (segmentation or a tag takes one more), none of them
  // empty. Fragments belong to the device until a TX event's consumer_idx passes them. False if no space.
  bool queue_tx(const TxFragment* fragments, size_t fragment_count, const TxOptions& options);
  // No-op if nothing new; batch several packets per call. A packet of one descriptor on an otherwise empty ring takes
  // its descriptor with the doorbell (push), if the device can, which saves it the read.
  void ring_tx_doorbell();
  // Sends a short frame through the PIO page: the device reads nothing from memory, the frame belongs to the caller
  // again on return. False, and nothing done, if that cannot be now: no such feature, packets queued or not completed,
  // longer than PST_LIMIT_PIO_BYTES, or options beyond checksums and complete. size_bytes > 0.
  [[nodiscard]] bool send_pio(const void* frame, size_t size_bytes, const TxOptions& options);

  // --- events --------------------------------------------------------------------------------------------------
  [[nodiscard]] bool has_event() const;  // reads one phase bit; needs no lock (then it is a hint)
  // Decodes up to max_count events, advances consumer indices. Returns their number. Buffers named by the events
  // belong to the caller again. An RX event that completes several frames becomes one ViEvent for each; if max_count
  // ends among them, the next call goes on there.
  size_t poll(ViEvent* events, size_t max_count);
  void ring_evq_doorbell();  // returns space to the device; no-op if nothing new
  // Asks for one interrupt when an event beyond those consumed exists (R6). Returns space as well. Needs the stack's
  // lock like poll(): a prime with an index older than one already given back would halt the VI (R12).
  void prime();
  void arm_timer(uint32_t delay_ns, uint16_t sequence);

  [[nodiscard]] ViState& state() { return *state_; }
  [[nodiscard]] const ViState& state() const { return *state_; }
  [[nodiscard]] uint8_t* region_base() const { return base_; }

 private:
  [[nodiscard]] bool tx_idle() const;  // all that the device was told of is completed
  bool push_tx();

  uint8_t* base_ = nullptr;
  ViState* state_ = nullptr;
  ViWindow* window_ = nullptr;
};

}  // namespace postern
