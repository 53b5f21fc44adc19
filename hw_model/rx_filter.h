// Receive filters: which VIs get a frame (R9). One open-addressed hash table for all kinds, with the contract's probe
// limit; a frame is looked up kind by kind in the order of FILTER_MATCH. Packet walk: between the port and the receive
// DMA.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "contract/gen/pst_contract.h"
#include "hw_model/filter_hash.h"
#include "hw_model/nic_blocks.h"
#include "sim/ethernet_frame.h"

namespace postern::hw_model {

struct ParsedFrame;
struct Vi;

class RxFilter {
 public:
  explicit RxFilter(NicBlocks& nic);
  void reset();

  // Admin commands; each returns an ERROR_CODE. insert: the VI exists.
  uint32_t insert(const pst_command& command, uint32_t& filter_id);
  uint32_t remove(uint32_t filter_id);
  void remove_vi(uint32_t vi_id);
  // The key of FILTER_INSERT's filter. Returns an ERROR_CODE.
  static uint32_t make_key(const pst_command& command, FilterKey& key);
  void set_promiscuous(bool on) { promiscuous_ = on; }

  // Steers a good frame to its VIs or drops it. timestamp_ns is the PTP time of its first bit; header_ps the time at
  // which enough of it was there to begin its writes (cut-through), or 0.
  void receive(const sim::FramePtr& frame, const ParsedFrame& parsed, uint64_t timestamp_ns, uint64_t header_ps);
  // A frame whose FCS turned out bad after its writes had begun (cut-through): they take their time on the link.
  void receive_damaged(const sim::FramePtr& frame, const ParsedFrame& parsed, uint64_t header_ps);

  [[nodiscard]] uint32_t count() const { return filter_count_; }

  // The table as hardware holds it.
  struct TableSlot {
    enum State : uint8_t { kEmpty, kWasUsed, kUsed };  // a lookup goes on behind one that was used
    State state = kEmpty;
    uint16_t first_id = 0;
    FilterKey key{};
    bool operator==(const TableSlot& o) const { return state == o.state && first_id == o.first_id && key == o.key; }
  };
  struct TableFilter {
    uint16_t vi_id = 0;
    bool rss = false;
    uint16_t rss_context = 0;
    bool has_next = false;
    uint16_t next_id = 0;
    bool operator==(const TableFilter& o) const {
      return vi_id == o.vi_id && rss == o.rss && rss_context == o.rss_context && has_next == o.has_next &&
             next_id == o.next_id;
    }
  };
  [[nodiscard]] static constexpr uint32_t slot_count() { return kFilterSlots; }
  [[nodiscard]] TableSlot table_slot(uint32_t slot) const;
  // Identifiers are below filter_id_count(); a free one gives the default.
  [[nodiscard]] uint32_t filter_id_count() const { return static_cast<uint32_t>(filters_.size()); }
  [[nodiscard]] TableFilter table_filter(uint32_t filter_id) const;
  // Bit k: a filter of MATCH k exists.
  [[nodiscard]] uint8_t kinds() const;

 private:
  static constexpr unsigned kKinds = PST_FILTER_MATCH_SNIFF + 1;
  static constexpr int32_t kNone = -1;
  static constexpr int32_t kRemoved = -2;  // a slot whose chain is gone; lookups go on behind it

  struct Filter {
    FilterKey key{};
    uint32_t vi_id = 0;
    uint32_t slot = 0;
    bool used = false;
    bool replicate = false;
    bool rss = false;
    uint32_t rss_context = 0;  // used by the filter, if rss
    int32_t next = kNone;      // next filter with the same key
  };

  [[nodiscard]] int32_t find(const FilterKey& key) const;  // first filter of the key or kNone
  [[nodiscard]] int32_t slot_for(const FilterKey& key) const;
  [[nodiscard]] int32_t match(const uint8_t* frame, const ParsedFrame& parsed, bool multicast) const;
  [[nodiscard]] int32_t match_transport(const uint8_t* frame, const ParsedFrame& parsed, bool multicast) const;
  [[nodiscard]] bool for_this_port(const uint8_t* frame, const ParsedFrame& parsed) const;
  using Chains = std::array<int32_t, 2>;  // first filter of what matches, and of the sniffers
  [[nodiscard]] Chains chains_for(const uint8_t* frame, const ParsedFrame& parsed) const;
  // The VI that takes the frame for a filter, and the hash if it was spread by one.
  Vi* target(const Filter& filter, const uint8_t* frame, const ParsedFrame& parsed, bool& hash_valid,
             uint32_t& hash) const;
  static pst_rx_event describe(const uint8_t* frame, const ParsedFrame& parsed, bool multicast);

  NicBlocks& nic_;
  std::vector<int32_t> slots_;   // filter index, kNone or kRemoved
  std::vector<Filter> filters_;  // index is the filter id
  std::vector<uint32_t> free_ids_;
  std::array<uint32_t, kKinds> kind_count_{};
  uint32_t filter_count_ = 0;
  bool promiscuous_ = false;
};

}  // namespace postern::hw_model
