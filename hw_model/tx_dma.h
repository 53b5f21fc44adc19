// Transmit: takes packets from the descriptor caches in weighted round robin over the VIs, fetches their fragments,
// checks source addresses (R9), inserts VLAN tags and checksums, hands frames to the port and reports completions.
// Packet walk: from descriptors to the frame on the wire.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "contract/gen/pst_contract.h"
#include "hw_model/nic_blocks.h"
#include "hw_model/translation.h"
#include "sim/ethernet_frame.h"

namespace postern::hw_model {

struct Vi;
struct ParsedFrame;

// A packet between its descriptors and the last bit on the wire.
struct TxOp {
  uint32_t vi_id = 0;
  uint32_t epoch = 0;
  uint32_t end_idx = 0;  // TX ring index after its last descriptor
  uint32_t bytes = 0;    // sum of its fragments
  int drop_reason = -1;  // PST_DROP_REASON_*: the packet completes but does not leave
  bool checksum_l3 = false, checksum_l4 = false, timestamp = false, complete = false, vlan_insert = false;
  uint16_t vlan_tci = 0;
  bool loopback = false;
  bool held_up = false;  // by a pause, and planned anew
  uint64_t first_bit_ps = 0;
  sim::FramePtr frame;
  std::vector<DmaSegment> segments;
};

class TxDma {
 public:
  explicit TxDma(NicBlocks& nic);
  void configure();
  void reset();

  // New descriptors are in the VI's cache.
  void descriptors_arrived(Vi& vi);
  // The last bit of a packet has left, or it has been dropped in its turn. Called by mac_port in the order of
  // transmit().
  void sent(TxOp* op);
  // The VI stops: takes it off the schedule and counts what its cache still holds.
  void discard(Vi& vi);

 private:
  enum class Take { kTaken, kIncomplete, kHalted };

  void kick();
  void rate_limit_over(uint64_t vi_id, uint64_t epoch, uint64_t, uint64_t);
  Take take_packet(Vi& vi);
  // Reads the descriptors of one packet into op; kTaken leaves op.end_idx behind them.
  Take gather(Vi& vi, TxOp& op, uint32_t& error_code);
  bool add_fragment(const pst_tx_desc& desc, TxOp& op, bool first, uint32_t& error_code);
  bool translate_fragments(Vi& vi, uint32_t first_idx, TxOp& op);
  uint64_t post_reads(Vi& vi, uint32_t first_idx, const TxOp& op);
  void payload_arrived(uint64_t op, uint64_t, uint64_t, uint64_t);
  bool read_payload(TxOp& op);
  void finish_frame(Vi& vi, TxOp& op);
  [[nodiscard]] bool source_granted(const Vi& vi, const uint8_t* frame, const ParsedFrame& parsed) const;
  static uint32_t skip_packet(Vi& vi);
  void stamp(Vi& vi, TxOp& op);
  void drop_on_halt(TxOp* op);
  TxOp* new_op();
  void release(TxOp* op);

  NicBlocks& nic_;
  const double& buffer_bytes_property_;
  const double& completion_batch_property_;
  const double& processing_ns_;
  uint32_t buffer_bytes_ = 0;
  uint32_t completion_batch_ = 0;
  uint64_t processing_ps_ = 0;
  std::deque<uint32_t> ready_;    // VIs with descriptors to look at, in turn
  uint32_t buffered_bytes_ = 0;   // payload between its read request and its last bit
  uint64_t last_landing_ps_ = 0;  // packets finish in the order in which they were taken
  bool kicking_ = false;
  std::vector<std::unique_ptr<TxOp>> ops_;
  std::vector<TxOp*> free_ops_;
};

}  // namespace postern::hw_model
