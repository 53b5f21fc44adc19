// The SystemC model and the RTL side by side in one simulation: each operation is done to both at the same simulated
// time, and whenever both have come to rest what they did is compared. Hides which part of it may depend on timing:
//   - an operation is left out where its outcome would: buffers are not posted while frames come that need them, a
//     queue is primed again only when the last prime has fired, push and PIO wait for completions, admin commands and
//     whatever halts a VI are done at rest. Nothing overflows but by kOverflow, whose queue was empty and gets frames
//     alone.
//   - compared are, per VI, RX events in order (merged ones frame by frame, lengths then from the prefix), timer, error
//     and wakeup events in order, how far TX completions got, those with a time stamp one by one, what no TX event may
//     say, and the receive buffers with their prefixes but for the time stamp; frames by destination; interrupts by
//     vector; completions of commands, registers, counters (twin_compare.cc names them, and those left out).
//   - kResetBusy ends a life with DMA in flight. How far it got is up to time: what both have of its frames and events
//   is
//     compared, and counters go on from what each has.
//   - at the end of a VI's life its event queue holds what was seen there and nothing else; at the end of the run all
//     memory is the same, but for event queues and what depends on TX batches.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/equivalence/operation.h"
#include "tests/hw_model/soak.h"

namespace postern::equivalence {

using hw_model::test::Node;
using hw_model::test::NodeOptions;
using hw_model::test::SoakRandom;
using hw_model::test::TestVi;
using hw_model::test::ViOptions;

constexpr uint32_t kSharedSeats = 3;                        // the first ones: their VIs are in one domain
constexpr uint64_t kEvqBytesMost = 1024 * PST_EVENT_BYTES;  // of a queue
constexpr unsigned kSides = 2;
constexpr std::array<const char*, kSides> kSideNames{"model", "rtl"};

struct TwinOptions {
  // Put between the second device and its host; for tests of the comparison.
  std::function<std::unique_ptr<sim::NicDevice>(sim::NicDevice& inner)> decorate;
  std::array<const char*, kSides> devices = kSideNames;
  bool heeds_monitors = true;  // false: only what the comparison itself finds; for its tests
};

// What has been compared.
struct TwinCounts {
  uint64_t settled = 0, done = 0;  // operations that were not left out
  uint64_t rx_events = 0, other_events = 0, frames = 0, interrupts = 0, answers = 0;
  uint64_t torn = 0;  // lives that ended before what had been sent was completed, on both sides
  std::array<uint64_t, kOperationKinds> by_kind{};
};

// A datagram from host b's address to host a's, where the two devices are.
inline hw_model::test::UdpSpec spec_from_b() {
  hw_model::test::UdpSpec spec;
  std::swap(spec.source, spec.destination);
  std::swap(spec.source_ip, spec.destination_ip);
  return spec;
}

class Twin {
 public:
  Twin(uint64_t setup_seed, const TwinOptions& options);
  ~Twin();

  // What was done in its place: a halted VI is brought back by VI_RESET, or nothing is done (nullopt). What was left
  // out for another reason is returned too, because both may have come to rest for it.
  std::optional<Operation> apply(const Operation& operation);
  // Lets both come to rest, and compares.
  void settle();
  // The run is over: the monitors judge, and all memory is compared.
  void finish();
  // Empty: none so far. Otherwise the first one in its first line (see difference_kind), and the last accesses of both.
  [[nodiscard]] const std::string& difference() const { return difference_; }
  [[nodiscard]] const TwinCounts& counts() const { return counts_; }

 private:
  using StatisticsWords = std::array<std::array<uint64_t, PST_PORT_STATISTICS_BYTES / 8>, kSides>;

  // One VI on one side.
  struct ViSide {
    std::unique_ptr<TestVi> vi;
    uint32_t seen_idx = 0;  // events before it have been compared
    uint32_t returned_idx = 0;
    uint32_t prime_idx = 0;
    uint32_t tx_done_idx = 0, rx_done_idx = 0;
    std::vector<pst_event> slots;  // of the event queue, as they were seen
  };
  struct Seat {
    std::array<ViSide, kSides> side;
    ViOptions options;
    bool halted = false, primed = false, masked = false, pending = false, wakes_vi = false;
    uint32_t rx_idx = 0;  // posted when both were at rest
    // Since then:
    bool posted = false, short_of_buffers = false, sent = false, timer = false;
    uint32_t events = 0, descriptors = 0, tx_bytes = 0;  // at most
  };
  // What one side's VI did since the last comparison.
  struct Story {
    std::vector<std::string> rx, stamped, others;
    std::vector<std::pair<uint32_t, bool>> buffers;  // descriptor index, a prefix lies in it
    bool overflow = false;
    pst_event tx_other_bits{};  // of all TX events together
  };

  // A write of the device, a frame or, with 0 bytes, an interrupt.
  struct HistoryLine {
    uint64_t time_ps = 0, place = 0;  // address or vector
    uint32_t bytes = 0;
    pst_event event{};
    sim::FramePtr frame;
    bool arrived = false;
  };

  // twin.cc
  void build(unsigned side, const TwinOptions& options);
  void draw_properties();
  void allocate(uint32_t seat, SoakRandom& random);
  void draw_options(uint32_t seat, SoakRandom& random, ViOptions& options);
  void release(uint32_t seat);
  void start(SoakRandom& random);
  // To both; ids are equal on both.
  pst_admin_completion command(const pst_command& c, const std::function<void()>& meanwhile = {});
  void execute(const Operation& operation, SoakRandom& random);
  void forget_events(uint32_t seat);
  pst_admin_completion vi_command(uint32_t seat, const std::function<void(pst_command&)>& fill, unsigned opcode);

  // twin_compare.cc
  bool rest();
  void rest_first();
  [[nodiscard]] uint64_t activity() const;
  void compare();
  void compare_vi(uint32_t seat);
  void read_story(uint32_t seat, unsigned side, Story& story);
  void compare_buffers(uint32_t seat, const Story& story);
  void compare_slots(uint32_t seat);
  void compare_memory(const std::string& what, uint64_t begin, uint64_t end);
  void compare_frames();
  void compare_interrupts();
  void compare_counters();
  [[nodiscard]] static std::string frame_text(const sim::EthernetFrame& frame);
  void compare_lists(const std::string& what, const std::vector<std::string>& model,
                     const std::vector<std::string>& rtl);
  void differ(const std::string& what);
  void keep_history(unsigned side);
  [[nodiscard]] std::string history_text(unsigned side) const;

  // twin_operations.cc
  bool act(const Operation& operation, SoakRandom& random);  // false: left out
  bool post(Seat& seat, SoakRandom& random);
  bool send(uint32_t index, SoakRandom& random);
  bool segment(uint32_t index, SoakRandom& random);
  bool push(uint32_t index, SoakRandom& random);
  bool pio(uint32_t index, SoakRandom& random);
  bool arrive(SoakRandom& random);
  bool arrive_odd(SoakRandom& random);
  bool arrive_some(const std::vector<uint8_t>& bytes, uint32_t count, bool bad_fcs);
  bool consume(Seat& seat, SoakRandom& random);
  bool timer(Seat& seat, SoakRandom& random);
  bool expect_frames(size_t frame_bytes, uint32_t frames);
  void arrive_both(const std::vector<uint8_t>& bytes, bool bad_fcs);
  [[nodiscard]] static bool has_room(const Seat& seat, uint32_t events);
  bool take_events(Seat& seat, uint32_t count);
  [[nodiscard]] uint32_t tx_room(const Seat& seat) const;
  uint64_t tx_place(Seat& seat, const std::vector<uint8_t>& bytes);  // in the VI's area; 0: no room
  void queue(Seat& seat, const pst_tx_desc& desc);
  void ring(Seat& seat, uint32_t offset, uint64_t value, unsigned width_bytes = 4);
  std::vector<uint8_t> own_frame(uint32_t index, SoakRandom& random, uint32_t bytes_most);

  // twin_control.cc
  bool control(const Operation& operation, SoakRandom& random);
  bool loop(uint32_t index, SoakRandom& random);
  bool overflow(uint32_t index, SoakRandom& random);
  bool empty_queues();
  void configure_port(bool promiscuous, bool loopback);
  void remove_filter(size_t which);
  bool filter(uint32_t index, SoakRandom& random);
  bool grant(uint32_t index, SoakRandom& random);
  bool moderate(uint32_t index, SoakRandom& random);
  bool bind(uint32_t index, SoakRandom& random);
  bool mask(uint32_t index);
  void unmask(uint32_t index);
  bool spread(SoakRandom& random);
  bool port(SoakRandom& random);
  StatisticsWords read_statistics();
  bool statistics();
  bool read_registers(uint32_t index, SoakRandom& random);
  bool stray(uint32_t index, SoakRandom& random);
  bool bad_command(uint32_t index, SoakRandom& random);
  bool bad_doorbell(Seat& seat, SoakRandom& random);
  bool bad_descriptor(Seat& seat, SoakRandom& random);
  bool reset_vi(uint32_t index);
  bool replace_vi(uint32_t index, SoakRandom& random);
  bool reset_function(SoakRandom& random);

  // twin_teardown.cc
  bool reset_busy(uint32_t index, SoakRandom& random);
  void compare_torn(uint32_t index);

  hw_model::test::FreshKernel kernel_;
  SoakRandom setup_;
  std::array<std::unique_ptr<Node>, kSides> nodes_;
  std::array<Seat, kSeats> seats_;
  std::array<std::optional<uint32_t>, kSides> shared_domain_;  // of the first seats
  std::vector<uint32_t> filters_;
  uint32_t rss_context_ = UINT32_MAX;
  uint32_t mtu_bytes_ = 1500;
  uint32_t rate_mbps_ = 10000;
  bool promiscuous_ = false;
  bool settle_after_ = false;
  bool dirty_ = false;  // something was done since both were at rest
  bool heeds_monitors_;
  StatisticsWords statistics_base_{};
  std::array<std::map<std::string, uint64_t>, kSides> counter_base_;  // after what may count otherwise
  std::string difference_;
  TwinCounts counts_;
  std::array<std::deque<HistoryLine>, kSides> history_;
  std::deque<std::string> operations_;  // the last ones, for the report
};

}  // namespace postern::equivalence
