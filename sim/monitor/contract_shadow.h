// The state of a NIC as the contract defines it, derived from nothing but the traffic at its boundary: register writes,
// admin commands as the device reads them, completions, doorbells, descriptors and events. Hides decoding and the
// lookup of what a DMA address belongs to. Shares no code with a device. The boundary monitor, the recorder and the
// traces build on it: be a ShadowListener to be told each access together with what it means.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "contract/gen/pst_contract.h"
#include "sim/boundary_observer.h"

namespace postern::sim {

// One TRANSLATION_MAP of a protection domain.
struct ShadowRange {
  uint64_t domain_address = 0, host_address = 0, length_bytes = 0;
  bool writable = false;
  bool removing = false;  // TRANSLATION_UNMAP was read and is not completed
};

struct ShadowDomain {
  bool exists = false;
  std::vector<ShadowRange> ranges;
  std::vector<uint32_t> vi_ids;   // VIs whose rings lie in it
  mutable size_t range_hint = 0;  // of ranges: looked up last
};

// Contiguous host memory behind a part of a domain.
struct ShadowSegment {
  uint64_t host_address = 0, length_bytes = 0;
  bool writable = false;
};

struct ShadowGrant {
  uint32_t family = 0;  // PST_ADDRESS_FAMILY_*
  uint64_t address_lo = 0, address_hi = 0;
};

struct ShadowFilter {
  uint32_t id = 0;
  uint32_t vi_id = 0;
  pst_command command{};  // the FILTER_INSERT
};

constexpr uint16_t kNoRssVi = 0xffff;
// One that is not configured sends all to the filter's target VI.
struct ShadowRssContext {
  bool exists = false;
  uint32_t domain = 0;
  bool configured = false;
  std::array<uint8_t, PST_LIMIT_RSS_KEY_BYTES> key{};
  std::array<uint16_t, PST_LIMIT_RSS_INDIRECTION_ENTRIES> table{};
};

struct ShadowPort {
  bool promiscuous = false, pause = false, loopback = false;
};

enum class ShadowViState : uint8_t {
  kFree,
  kRunning,
  kHalted,    // its error event has been written
  kStopping,  // VI_FREE, VI_RESET or a function reset is under way: it may still act
};

// A doorbell register of a window as the host has written it.
struct ShadowDoorbell {
  uint64_t value = 0, previous = 0;  // the last two values
  uint64_t issue_ps = 0;             // of the last write that changed the value
  uint32_t write_count = 0;
};

// Ring indices are absolute (free-running) 32-bit counters, as in the contract.
struct ShadowVi {
  uint32_t id = 0;
  uint32_t generation = 0;  // grows with each VI_ALLOC and VI_RESET of this id
  ShadowViState state = ShadowViState::kFree;
  uint32_t domain = 0;

  // VI_ALLOC, MSIX_BIND, MODERATION_SET
  uint64_t rx_ring_address = 0, tx_ring_address = 0, evq_address = 0;  // of the domain
  uint32_t rx_entries = 0, tx_entries = 0, evq_entries = 0;
  uint32_t evq_policy = 0;
  bool rx_prefix = false, any_source = false, vlan_strip = false;
  uint32_t merge_count = 1;
  uint32_t vector = PST_VECTOR_NONE;
  bool wake_to_vi = false;
  uint32_t wakeup_vi = 0;
  uint32_t weight = 1, rate_limit_mbps = 0;
  uint64_t holdoff_ns = 0;
  uint32_t holdoff_events = 0;
  bool adaptive = false;
  uint64_t moderation_changed_ps = 0;  // when a command that changes wakeups last was read or completed
  std::vector<ShadowGrant> grants;

  // Doorbells; the page holds the registers at offset 8 * i, whatever they are.
  std::array<ShadowDoorbell, 11> page{};
  uint32_t rx_producer_idx = 0, tx_producer_idx = 0;
  uint32_t evq_consumer_idx = 0;  // highest that EVQ_CONSUMER or EVQ_PRIME carried
  uint64_t prime_count = 0;       // primes written with a valid sequence that differ from the one before
  uint64_t prime_issue_ps = 0;    // of the last one
  uint32_t prime_idx = 0;
  uint32_t prime_sequence = 0;

  // What the device has done.
  uint32_t rx_fetched_idx = 0, tx_fetched_idx = 0;    // descriptors read: all before it
  uint32_t rx_consumer_idx = 0, tx_consumer_idx = 0;  // as events said
  uint32_t events_written = 0;                        // absolute index of the next event
  uint64_t last_event_ps = 0;
  uint32_t tx_read_idx = 0, tx_read_bytes = 0;  // fragment read last, and how far
  uint32_t rx_write_idx = 0;                    // descriptor whose buffer was written last
  std::vector<pst_rx_desc> rx_descs;            // by slot, as the device read them; empty before the first read
  std::vector<pst_tx_desc> tx_descs;
  std::vector<uint8_t> pio_page;  // as the host has written it; empty before its first write

  [[nodiscard]] bool exists() const { return state != ShadowViState::kFree; }
  [[nodiscard]] const pst_rx_desc& rx_desc(uint32_t idx) const { return rx_descs[idx & (rx_entries - 1)]; }
  [[nodiscard]] const pst_tx_desc& tx_desc(uint32_t idx) const { return tx_descs[idx & (tx_entries - 1)]; }
};

// What a DMA access belongs to.
enum class DmaTarget : uint8_t {
  kUnknown,
  kAdminSubmission,   // index: slot
  kAdminCompletion,   // index: slot
  kRxRing,            // index: slot
  kTxRing,            // index: slot
  kEventQueue,        // index: slot
  kRxBuffer,          // index: absolute descriptor index; offset_bytes within the buffer
  kTxBuffer,          // index: as above
  kStatistics,        // of a STATISTICS_READ that is under way
  kRssConfiguration,  // key or table of an RSS_CONFIGURE that is under way
};
[[nodiscard]] const char* dma_target_name(DmaTarget target);

struct DmaOwner {
  DmaTarget target = DmaTarget::kUnknown;
  uint32_t vi_id = 0;
  uint32_t index = 0;
  uint32_t offset_bytes = 0;
  bool writable = true;               // false: the translation that leads here does not allow writes
  uint32_t limit_bytes = 0xffffffff;  // from the address to the end of what it belongs to
};

// A DMA access as listeners see it. data is valid only during the call.
struct DmaAccess {
  uint64_t now_ps = 0;
  bool write = false;
  uint64_t address = 0;  // host DMA address
  const uint8_t* data = nullptr;
  uint32_t bytes = 0;
  bool reached = true;
  DmaOwner owner;
};

// A command between its read by the device and its completion.
struct ShadowCommand {
  uint32_t index = 0;  // absolute index in the submission ring
  uint64_t fetched_ps = 0;
  pst_command command{};
};

// Told what an access means, after the shadow has taken it in unless the name says otherwise. All times are
// picoseconds; see BoundaryObserver for the order of calls.
class ShadowListener {
 public:
  virtual ~ShadowListener() = default;

  // A doorbell of a VI that exists, before the shadow takes it in. offset: of the register (PST_VI_*_OFFSET). value: of
  // the whole register; a 4-byte write of half a 64-bit register is told when the high half comes. repeated: the
  // register held this value already, so the write means nothing (R2).
  virtual void doorbell(uint64_t issue_ps, const ShadowVi& vi, uint32_t offset, uint64_t value, bool repeated) {
    (void)issue_ps, (void)vi, (void)offset, (void)value, (void)repeated;
  }
  virtual void command_fetched(const ShadowCommand& command) { (void)command; }
  // Before the shadow applies it: a VI to be freed still is what it was.
  virtual void command_completing(uint64_t now_ps, const ShadowCommand& command, const pst_admin_completion& answer) {
    (void)now_ps, (void)command, (void)answer;
  }
  virtual void command_completed(uint64_t now_ps, const ShadowCommand& command, const pst_admin_completion& answer) {
    (void)now_ps, (void)command, (void)answer;
  }
  // A completion that belongs to no command (wrong slot, unknown COMMAND_ID, wrong phase): why says which.
  virtual void bad_completion(uint64_t now_ps, uint32_t slot, const pst_admin_completion& answer, const char* why) {
    (void)now_ps, (void)slot, (void)answer, (void)why;
  }
  // Before the shadow takes it in. The event at absolute index event_idx, which slot leads to; in_order: it is the one
  // that was due. Whether phase and contents are right is for the listener to judge.
  virtual void event_written(uint64_t now_ps, const ShadowVi& vi, uint32_t event_idx, bool in_order,
                             const pst_event& event) {
    (void)now_ps, (void)vi, (void)event_idx, (void)in_order, (void)event;
  }
  // Descriptors that the device read: absolute index of the first.
  virtual void descriptors_read(uint64_t now_ps, const ShadowVi& vi, bool tx, uint32_t first_idx, uint32_t count) {
    (void)now_ps, (void)vi, (void)tx, (void)first_idx, (void)count;
  }
  // Every DMA access, before what it means is told by the calls above.
  virtual void dma(const DmaAccess& access) { (void)access; }
  // A function reset has been asked for; all VIs are kStopping. / It is known to be over; nothing exists.
  virtual void reset_started(uint64_t now_ps) { (void)now_ps; }
  virtual void reset_completed(uint64_t now_ps) { (void)now_ps; }
};

class ContractShadow : public BoundaryObserver {
  static constexpr unsigned kDmaTargets = 10;  // values of DmaTarget

 public:
  ContractShadow();

  // The calls that come with every packet: a listener that does not want them costs nothing then.
  static constexpr unsigned kWantsDma = 1, kWantsEvents = 2, kWantsDescriptors = 4, kWantsAll = 7;
  // Of DMA, what goes to or comes from some targets only: or-ed together, for add_listener().
  [[nodiscard]] static constexpr uint32_t dma_kind(bool write, DmaTarget target) {
    return uint32_t{1} << (static_cast<unsigned>(target) + (write ? kDmaTargets : 0));
  }
  static constexpr uint32_t kAllDma = ~uint32_t{0};
  static constexpr uint32_t kAllEvents = ~uint32_t{0};
  // Told in order of addition; must outlive this object. dma_kinds: of kWantsDma; event_types: of kWantsEvents, bit n
  // is type n.
  void add_listener(ShadowListener& listener, unsigned wants = kWantsAll, uint32_t dma_kinds = kAllDma,
                    uint32_t event_types = kAllEvents) {
    listeners_.push_back(&listener);
    if (wants & kWantsDma) {
      for (unsigned kind = 0; kind < dma_listeners_.size(); ++kind) {
        if (dma_kinds >> kind & 1) dma_listeners_[kind].push_back(&listener);
      }
    }
    if (wants & kWantsEvents) {
      for (unsigned type = 0; type < event_listeners_.size(); ++type) {
        if (event_types >> type & 1) event_listeners_[type].push_back(&listener);
      }
    }
    if (wants & kWantsDescriptors) descriptor_listeners_.push_back(&listener);
  }

  // Null if there never was such a VI; look at state.
  [[nodiscard]] const ShadowVi* vi(uint32_t id) const { return id < vis_.size() ? vis_[id].get() : nullptr; }
  // Number of identifiers that vi() knows.
  [[nodiscard]] uint32_t vi_id_limit() const { return static_cast<uint32_t>(vis_.size()); }
  [[nodiscard]] const ShadowDomain* domain(uint32_t id) const { return id < domains_.size() ? &domains_[id] : nullptr; }
  // In order of insertion.
  [[nodiscard]] const std::vector<ShadowFilter>& filters() const { return filters_; }
  [[nodiscard]] const ShadowRssContext* rss_context(uint32_t id) const {
    return id < rss_contexts_.size() && rss_contexts_[id].exists ? &rss_contexts_[id] : nullptr;
  }
  [[nodiscard]] const ShadowPort& port() const { return port_; }
  [[nodiscard]] const std::deque<ShadowCommand>& commands_in_flight() const { return commands_; }
  // Grows with each completed command that changes filters, RSS contexts, VIs or the port.
  [[nodiscard]] uint64_t steering_version() const { return steering_version_; }
  [[nodiscard]] bool reset_under_way() const { return resetting_; }
  [[nodiscard]] uint32_t function_resets() const { return function_resets_; }

  // Admin queue. enabled: ADMIN_ENABLE was written with bit 0 set and acceptable geometry.
  struct AdminQueue {
    bool enabled = false;
    uint64_t sq_base = 0, cq_base = 0;
    uint32_t entries = 0;
    uint32_t producer_idx = 0, consumer_idx = 0;  // doorbells
    uint32_t fetched_idx = 0, completed_idx = 0;  // by the device
  };
  [[nodiscard]] const AdminQueue& admin() const { return admin_; }
  // Last value written to a register of FUNCTION; 0 after a reset (ADMIN_VECTOR: its reset value).
  [[nodiscard]] uint64_t function_register(uint32_t offset) const { return function_registers_[offset / 4]; }
  // MSI-X: masked as after reset unless the host cleared the bit.
  [[nodiscard]] bool vector_masked(uint32_t vector) const {
    return vector >= vectors_.size() || vectors_[vector].masked;
  }
  [[nodiscard]] uint64_t vector_changed_ps(uint32_t vector) const {
    return vector < vectors_.size() ? vectors_[vector].changed_ps : 0;
  }

  // Host memory behind [address, address + bytes) of a domain, appended to segments. False: part of it is not mapped.
  bool translate(uint32_t domain, uint64_t address, uint64_t bytes, std::vector<ShadowSegment>& segments) const;
  // The range of a domain that has all of [address, address + bytes); null: none, but translate() may find several.
  [[nodiscard]] const ShadowRange* range_of(uint32_t domain, uint64_t address, uint64_t bytes) const {
    const ShadowDomain& in = domains_[domain];
    const ShadowRange* range = find_range(in, address);
    return range != nullptr && bytes <= range->length_bytes - (address - range->domain_address) ? range : nullptr;
  }
  // Whom a DMA access at a host address belongs to, as of now.
  [[nodiscard]] DmaOwner owner_of(uint64_t host_address, uint32_t bytes, bool write) const;
  // The same among VIs that are gone (freed, reset or before a function reset); kUnknown: none that is remembered.
  [[nodiscard]] DmaOwner former_owner_of(uint64_t host_address, bool write) const;
  // Is it mapped by some domain that exists, and may one of them write there?
  [[nodiscard]] bool mapped_anywhere(uint64_t host_address, uint32_t bytes, bool write) const;

  // BoundaryObserver
  void bar_written(uint64_t issue_ps, unsigned bar, uint64_t offset, const uint8_t* data, uint32_t bytes) override;
  void bar_read(uint64_t issue_ps, uint64_t done_ps, unsigned bar, uint64_t offset, const uint8_t* data,
                uint32_t bytes) override;
  void dma_read(uint64_t now_ps, uint64_t address, const uint8_t* data, uint32_t bytes, bool reached) override;
  void dma_written(uint64_t now_ps, uint64_t address, const uint8_t* data, uint32_t bytes, bool reached) override;
  void function_reset(uint64_t now_ps) override;

 private:
  enum class Ring : uint8_t { kRx, kTx, kEvent };
  // A piece of a ring in host memory, for the lookup by address.
  struct RingPiece {
    uint64_t begin = 0, end = 0;
    uint64_t end_max = 0;  // highest end among this and all pieces before it
    uint32_t vi_id = 0;
    Ring ring = Ring::kRx;
    uint32_t ring_offset_bytes = 0;
    bool writable = false;
  };
  // Host addresses for which one piece, or none, is all that a lookup would find.
  struct RingSpan {
    uint64_t begin = 0, end = 0;
    const RingPiece* piece = nullptr;
  };
  struct Vector {
    bool masked = true;
    uint64_t changed_ps = 0;
  };

  void function_written(uint64_t issue_ps, uint32_t offset, uint64_t value, uint32_t bytes);
  void admin_enable(bool on);
  void pio_written(uint64_t offset, const uint8_t* data, uint32_t bytes);
  void window_written(uint64_t issue_ps, uint64_t offset, uint64_t value, uint32_t bytes);
  void ring(uint64_t issue_ps, ShadowVi& vi, uint32_t offset, uint64_t value);
  void consume(ShadowVi& vi, uint32_t consumer_idx);
  void vectors_written(uint64_t issue_ps, uint64_t offset, const uint8_t* data, uint32_t bytes);

  void take_commands(const DmaAccess& access);
  void take_completions(const DmaAccess& access);
  void take_descriptors(const DmaAccess& access);
  void take_events(const DmaAccess& access);
  void take_rss_configuration(const DmaAccess& access);
  void take_event(uint64_t now_ps, ShadowVi& vi, uint32_t slot, const pst_event& event);
  void command_begins(const ShadowCommand& command);
  void apply(uint64_t now_ps, const ShadowCommand& command, const pst_admin_completion& answer);
  void apply_domain(const pst_command& command, uint32_t result);
  void apply_vi(uint64_t now_ps, const pst_command& command, uint32_t result);
  void apply_steering(const pst_command& command, uint32_t result);
  void rejected(const pst_command& command);
  void start_vi(const pst_command& command, uint32_t id);
  void restart_vi(ShadowVi& vi);
  void free_vi(ShadowVi& vi);
  void start_reset(uint64_t now_ps);
  void complete_reset(uint64_t now_ps);
  void drop_all();
  void bury(const ShadowVi& vi);
  [[nodiscard]] ShadowVi* known(uint32_t id) { return id < vis_.size() ? vis_[id].get() : nullptr; }

  // The range with the address; null: none, or the domain is gone.
  [[nodiscard]] static const ShadowRange* find_range(const ShadowDomain& domain, uint64_t address) {
    const auto& ranges = domain.ranges;
    if (domain.range_hint < ranges.size() &&
        address - ranges[domain.range_hint].domain_address < ranges[domain.range_hint].length_bytes)
      return &ranges[domain.range_hint];
    return search_range(domain, address);
  }
  void look_in_coming_ranges(DmaAccess& access);
  [[nodiscard]] static ShadowRange range_to_map(const pst_command& c);
  [[nodiscard]] static const ShadowRange* search_range(const ShadowDomain& domain, uint64_t address);
  void tell_dma(const DmaAccess& access) const {
    const unsigned kind = static_cast<unsigned>(access.owner.target) + (access.write ? kDmaTargets : 0);
    for (ShadowListener* listener : dma_listeners_[kind]) listener->dma(access);
  }
  void index_rings();
  void add_ring_pieces(const ShadowVi& vi, Ring ring, uint64_t address, uint64_t bytes);
  void find_owner(uint64_t host_address, uint32_t bytes, bool write, DmaOwner& owner) const;
  void ring_owner(uint64_t host_address, bool write, DmaOwner& owner) const;
  void search_ring_owner(uint64_t host_address, bool write, DmaOwner& owner) const;
  void own(const RingPiece& piece, uint64_t host_address, DmaOwner& owner) const;
  void remember_span(uint64_t host_address) const;
  [[nodiscard]] bool admin_owner(uint64_t host_address, DmaOwner& owner) const;
  [[nodiscard]] bool search_admin_owner(uint64_t host_address, DmaOwner& owner) const;
  [[nodiscard]] bool buffer_owner(uint64_t host_address, uint32_t bytes, bool write, DmaOwner& owner) const;
  [[nodiscard]] bool rx_buffer_of(const ShadowVi& vi, uint64_t host_address, DmaOwner& owner) const;
  [[nodiscard]] bool tx_buffer_of(const ShadowVi& vi, uint64_t host_address, uint32_t bytes, DmaOwner& owner) const;
  [[nodiscard]] bool within(const ShadowVi& vi, uint64_t domain_address, uint32_t length_bytes, uint64_t host_address,
                            DmaOwner& owner) const;
  [[nodiscard]] bool within_several(const ShadowVi& vi, uint64_t domain_address, uint32_t length_bytes,
                                    uint64_t host_address, DmaOwner& owner) const;

  std::vector<ShadowListener*> listeners_, descriptor_listeners_;
  std::array<std::vector<ShadowListener*>, 16> event_listeners_;             // by EVENT.TYPE
  std::array<std::vector<ShadowListener*>, 2 * kDmaTargets> dma_listeners_;  // by dma_kind()
  std::vector<std::unique_ptr<ShadowVi>> vis_;
  std::vector<ShadowDomain> domains_;
  std::vector<ShadowFilter> filters_;
  std::vector<ShadowRssContext> rss_contexts_;
  std::vector<RingPiece> ring_pieces_;  // by begin
  std::vector<RingPiece> graves_;       // of VIs that are gone, oldest first
  std::vector<Vector> vectors_;
  ShadowPort port_;
  AdminQueue admin_;
  std::vector<pst_command> submissions_;  // by slot, as the device read them
  std::deque<ShadowCommand> commands_;
  ShadowRssContext rss_incoming_;  // what the RSS_CONFIGURE under way has read
  std::array<uint64_t, PST_CLOCK_PAGE_OFFSET / 4> function_registers_{};
  uint64_t steering_version_ = 0;
  uint64_t reset_issue_ps_ = 0;
  bool resetting_ = false;
  uint32_t function_resets_ = 0;
  mutable uint32_t rx_hint_vi_ = 0, tx_hint_vi_ = 0;  // whose buffers were touched last
  static constexpr size_t kGapSpan = 3;
  mutable std::array<RingSpan, 4> spans_{};  // looked up last: by Ring, and one without a ring
};

}  // namespace postern::sim
