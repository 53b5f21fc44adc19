// Receive filters: which VIs get a frame (R9). One open-addressed hash table for all kinds, with the contract's probe
// limit; a frame is looked up kind by kind in the order of FILTER_MATCH. Packet walk: between the port and the receive
// DMA.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "contract/gen/pst_contract.h"
#include "hw_model/nic_blocks.h"
#include "sim/ethernet_frame.h"

namespace postern::hw_model {

struct ParsedFrame;

class RxFilter {
 public:
  explicit RxFilter(NicBlocks& nic);
  void reset();

  // Admin commands; each returns an ERROR_CODE. insert: the VI exists.
  uint32_t insert(const pst_command& command, uint32_t& filter_id);
  uint32_t remove(uint32_t filter_id);
  void remove_vi(uint32_t vi_id);
  void set_promiscuous(bool on) { promiscuous_ = on; }

  // Steers a good frame to its VIs or drops it. first_bit_ps is its arrival time for timestamps.
  void receive(const sim::FramePtr& frame, const ParsedFrame& parsed, uint64_t first_bit_ps);

  [[nodiscard]] uint32_t count() const { return filter_count_; }

 private:
  static constexpr unsigned kKinds = PST_FILTER_MATCH_SNIFF + 1;
  static constexpr uint32_t kSlots = 2 * PST_LIMIT_FILTER_COUNT_MAX;
  static constexpr int32_t kNone = -1;
  static constexpr int32_t kRemoved = -2;  // a slot whose chain is gone; lookups go on behind it

  using Key = std::array<uint64_t, 6>;
  struct Filter {
    Key key{};
    uint32_t vi_id = 0;
    uint32_t slot = 0;
    bool used = false;
    bool replicate = false;
    int32_t next = kNone;  // next filter with the same key
  };

  static uint32_t make_key(const pst_command& command, Key& key);
  static uint32_t hash(const Key& key);
  [[nodiscard]] int32_t find(const Key& key) const;  // first filter of the key or kNone
  [[nodiscard]] int32_t slot_for(const Key& key) const;
  [[nodiscard]] int32_t match(const uint8_t* frame, const ParsedFrame& parsed, bool multicast) const;
  [[nodiscard]] int32_t match_transport(const uint8_t* frame, const ParsedFrame& parsed, bool multicast) const;
  [[nodiscard]] bool for_this_port(const uint8_t* frame, const ParsedFrame& parsed) const;
  pst_rx_event describe(const uint8_t* frame, const ParsedFrame& parsed, bool multicast) const;

  NicBlocks& nic_;
  std::vector<int32_t> slots_;   // filter index, kNone or kRemoved
  std::vector<Filter> filters_;  // index is the filter id
  std::vector<uint32_t> free_ids_;
  std::array<uint32_t, kKinds> kind_count_{};
  uint32_t filter_count_ = 0;
  bool promiscuous_ = false;
};

}  // namespace postern::hw_model
