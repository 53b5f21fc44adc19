// Receive: takes a frame to the buffers that a VI has posted, scatters it, writes the prefix and the event behind it.
// Frames wait in the port's buffer for descriptors that are on their way and, under policy STALL, for event space.
// Packet walk: from the filter to host memory.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "contract/gen/pst_contract.h"
#include "hw_model/nic_blocks.h"
#include "hw_model/translation.h"
#include "sim/ethernet_frame.h"

namespace postern::hw_model {

struct Vi;

// A frame as the filter hands it over, once for each VI that gets a copy. The frame itself comes beside it.
struct SteeredFrame {
  pst_rx_event event{};  // type, checksum results and classes are filled in
  uint32_t filter_id = 0;
  uint64_t timestamp_ns = 0;  // PTP time of its first bit
  uint64_t header_ps = 0;     // cut-through: when enough had come to begin; 0: the frame was complete first
  bool hash_valid = false;
  uint32_t rss_hash = 0;
  uint8_t vlan_count = 0;
  uint16_t vlan_tci = 0;
};

// A frame between the filter and host memory.
struct RxOp {
  SteeredFrame in;
  uint32_t vi_id = 0;
  uint32_t epoch = 0;
  uint32_t event_idx = 0;
  uint32_t first_idx = 0;       // RX ring index of its first descriptor
  uint32_t written_bytes = 0;   // prefix and frame bytes that the buffers take
  uint32_t buffered_bytes = 0;  // of the port's buffer
  bool has_prefix = false;
  bool strip_vlan = false;
  uint64_t payload_landing_ps = 0;
  std::array<uint64_t, PST_LIMIT_RX_PREFIX_BYTES / 8> prefix{};
  std::vector<DmaSegment> segments;
  sim::FramePtr frame;
  RxOp* next = nullptr;  // waiting list of the VI, or the frames that one event announces
};

class RxDma {
 public:
  explicit RxDma(NicBlocks& nic);
  void configure();
  void reset();

  void receive(Vi& vi, const sim::FramePtr& frame, const SteeredFrame& steered);
  // A damaged frame whose writes had begun before its end came (cut-through): they take their share of the link into
  // the buffers that the next frame gets; nothing is announced.
  void abandon(Vi& vi, uint32_t bytes, uint64_t header_ps);
  // Descriptors or event space have come: tries the waiting frames again.
  void resume(Vi& vi);
  // Writes the event of the frames that wait to be announced together.
  void close_merge(Vi& vi);
  // They come to nothing, and are counted.
  void drop_merge(Vi& vi);
  // The VI stops: its waiting frames are dropped.
  void discard(Vi& vi);

 private:
  enum class Start { kDone, kWait };
  // Which descriptors a frame takes.
  struct Plan {
    uint32_t desc_count = 0;
    uint32_t capacity_bytes = 0;
    bool wait = false;  // more descriptors are on their way
    bool bad = false;   // the descriptor at bad_idx is malformed
    uint32_t bad_idx = 0;
  };

  Start start(Vi& vi, RxOp* op);
  Plan plan(Vi& vi, uint32_t needed_bytes) const;
  bool translate_buffers(Vi& vi, RxOp& op, uint32_t desc_count, uint32_t& fault_idx);
  uint64_t post_payload(Vi& vi, uint64_t header_ps, uint32_t desc_count, uint32_t bytes);
  [[nodiscard]] uint64_t earliest_ps(uint64_t header_ps, uint32_t bytes) const;
  void issue(Vi& vi, RxOp* op, uint32_t desc_count, bool truncated);
  void issue_event(Vi& vi, RxOp* op);
  void add_to_merge(Vi& vi, RxOp* op, uint64_t alike);
  void merge_wait_over(uint64_t vi_id, uint64_t epoch, uint64_t generation, uint64_t);
  void fill_prefix(RxOp& op) const;
  void landed(uint64_t op, uint64_t, uint64_t, uint64_t);
  void delivered(Vi& vi, RxOp* op);
  bool write_payload(const RxOp& op);
  void drop(Vi& vi, RxOp* op, unsigned reason);
  void drop_list(Vi* vi, RxOp* op, unsigned reason);
  RxOp* new_op();
  void release(RxOp* op);

  NicBlocks& nic_;
  const double& buffer_bytes_property_;
  const double& processing_ns_;
  const double& beat_ns_;
  const double& merge_wait_ns_;
  uint32_t buffer_bytes_ = 0;
  uint64_t processing_ps_ = 0;
  uint64_t beat_ps_ = 0;
  uint64_t merge_wait_ps_ = 0;
  uint32_t buffered_bytes_ = 0;
  std::vector<std::unique_ptr<RxOp>> ops_;
  std::vector<RxOp*> free_ops_;
};

}  // namespace postern::hw_model
