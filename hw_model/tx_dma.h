// Transmit: takes packets from the descriptor caches in the scheduler's order, fetches their fragments (or takes them
// from the PIO page), checks source addresses (R9), segments, inserts VLAN tags and checksums, hands frames to the port
// and reports completions. Packet walk: from descriptors to the frame on the wire.
//
// Store and forward: the port gets a packet when all of it has arrived. With tx_dma.cut_through it gets the frame when
// its start has, and a first bit so late that every byte arrives before its turn on the wire: arrivals are known from
// the read's plan, so an underrun cannot happen.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "contract/gen/pst_contract.h"
#include "hw_model/dma_result.h"
#include "hw_model/nic_blocks.h"
#include "hw_model/segmentation.h"
#include "hw_model/translation.h"
#include "hw_model/tx_scheduler.h"
#include "sim/ethernet_frame.h"

namespace postern::hw_model {

struct Vi;
struct ParsedFrame;

// A packet between its descriptors and the last bit on the wire.
struct TxOp {
  uint32_t vi_id = 0;
  uint32_t epoch = 0;
  uint32_t end_idx = 0;                  // TX ring index after its last descriptor
  uint32_t bytes = 0;                    // sum of its fragments
  uint32_t buffered_bytes = 0;           // of tx_dma's buffer
  DmaResult read_fate = DmaResult::kOk;  // of its payload reads together
  int drop_reason = -1;                  // PST_DROP_REASON_*: the packet completes but does not leave
  bool checksum_l3 = false, checksum_l4 = false, timestamp = false, complete = false, vlan_insert = false;
  bool segment = false;      // to be cut into frames of mss_bytes of payload each
  bool pio = false;          // from the PIO page: nothing to read
  bool cut_through = false;  // goes to the port before all of it has arrived
  bool cut_short = false;    // the rest could not be read: the frame on the wire is damaged
  bool loopback = false;
  uint16_t vlan_tci = 0;
  uint16_t mss_bytes = 0;
  uint32_t head_bytes = 0;     // cut-through: what has arrived when the port gets the frame
  uint64_t landing_ps = 0;     // cut-through: when all of it has arrived
  uint64_t port_ready_ps = 0;  // the port may start the first frame
  uint64_t first_bit_ps = 0;   // of the first frame
  sim::FramePtr frame;         // the frame that goes next, or is on the wire
  sim::StageStamps stamps_ps{};
  std::vector<DmaSegment> segments;

  // Segmentation.
  std::vector<uint8_t> packet;  // what was fetched
  SegmentPlan plan;
  uint32_t next_segment = 0;   // to be built
  uint32_t outcome_count = 0;  // frames that left, and one for a drop

  [[nodiscard]] uint32_t frame_count() const { return segment ? plan.count : 1; }
};

class TxDma {
 public:
  explicit TxDma(NicBlocks& nic);
  void configure();
  void reset();
  // FUNCTION.FEATURES bits of what this block offers.
  [[nodiscard]] uint32_t features() const;

  // New descriptors are in the VI's cache.
  void descriptors_arrived(Vi& vi);
  // The last bit of a packet has left, or it has been dropped in its turn. Called by mac_port in the order of
  // transmit().
  void sent(TxOp* op);
  // Puts the packet's next frame into op.frame; false if there is none.
  bool next_frame(TxOp& op);
  // Length of the packet's frame index as it goes on the wire, without FCS.
  [[nodiscard]] static uint32_t frame_bytes(const TxOp& op, uint32_t index);
  // The VI stops: takes it off the schedule and counts what its cache still holds.
  void discard(Vi& vi);

 private:
  enum class Take { kTaken, kIncomplete, kHalted };

  void kick();
  void note_buffer(bool full);
  void serve(Vi& vi);
  void rate_limit_over(uint64_t vi_id, uint64_t epoch, uint64_t, uint64_t);
  Take take_packet(Vi& vi);
  void start(Vi& vi, uint32_t first_idx, TxOp* op);
  void payload_arrived(uint64_t op, uint64_t, uint64_t, uint64_t);
  void head_arrived(uint64_t op, uint64_t, uint64_t, uint64_t);
  void rest_arrived(uint64_t op, uint64_t, uint64_t, uint64_t);
  [[nodiscard]] uint64_t forward_ps(const TxOp& op) const;
  void hand_over(Vi& vi, TxOp* op);
  void read_failed(Vi& vi, TxOp* op, DmaResult result);
  void drop_on_halt(TxOp* op);
  static uint32_t skip_packet(Vi& vi);
  TxOp* new_op();
  void release(TxOp* op);

  // --- tx_packet.cc: descriptors in, frames out
  // Reads the descriptors of one packet into op; kTaken leaves op.end_idx behind them.
  Take gather(Vi& vi, TxOp& op, uint32_t& error_code);
  bool take_option(const pst_tx_option_desc& option, TxOp& op, uint32_t& error_code);
  bool add_fragment(const pst_tx_desc& desc, TxOp& op, bool first, uint32_t& error_code);
  bool translate_fragments(Vi& vi, uint32_t first_idx, TxOp& op);
  // Post the reads of the payload. Return when the packet may go to the port, as far as they determine that.
  uint64_t post_reads(Vi& vi, uint32_t first_idx, TxOp& op);
  static void note_fate(Vi& vi, TxOp& op, DmaResult fate);
  uint64_t post_cut_through_reads(Vi& vi, uint32_t first_idx, TxOp& op);
  DmaResult read_payload(TxOp& op, uint32_t from, uint32_t to);
  void finish_packet(Vi& vi, TxOp& op);
  void complete_frame(TxOp& op, const ParsedFrame& parsed);
  [[nodiscard]] bool source_granted(const Vi& vi, const uint8_t* frame, const ParsedFrame& parsed) const;

  NicBlocks& nic_;
  const double& buffer_bytes_property_;
  const double& completion_batch_property_;
  const double& processing_ns_;
  const double& forward_ns_;
  const double& checksum_ns_;
  const double& checksum_beat_ns_;
  const double& segmentation_property_;
  const double& cut_through_property_;
  const double& cut_through_bytes_property_;
  TxScheduler scheduler_;
  uint32_t buffer_bytes_ = 0;
  uint32_t completion_batch_ = 0;
  uint64_t processing_ps_ = 0;
  uint64_t forward_ps_ = 0;
  uint64_t checksum_ps_ = 0;
  uint64_t checksum_beat_ps_ = 0;
  bool segmentation_ = true;
  bool cut_through_ = false;
  uint32_t cut_through_bytes_ = 0;
  uint32_t read_request_bytes_ = 0;  // as pcie_link splits reads
  bool buffer_full_ = false;
  uint64_t buffer_noted_ps_ = 0;
  uint32_t buffered_bytes_ = 0;    // payload between its read request and its last bit
  uint64_t last_handover_ps_ = 0;  // packets go to the port in the order in which they were taken
  bool kicking_ = false;
  std::vector<std::unique_ptr<TxOp>> ops_;
  std::vector<TxOp*> free_ops_;
};

}  // namespace postern::hw_model
