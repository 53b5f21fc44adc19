// Random operations on one NIC or on two that are connected, good ones and bad ones: what the short random tests and
// the long randomised contract test run. The nodes' monitors check the rules as it goes; here, from host memory, that
// events come in order into free slots, and whenever traffic has settled that accounts add up, that every VI that is
// not halted still sends, receives and wakes, and that nothing is left. soak.cc drives, soak_traffic.cc and
// soak_control.cc do the operations of the data path and of the admin queue.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/hw_model/nic_bench.h"

namespace postern::hw_model::test {

// Frames that lie ready in each VI's area, behind a place for one packet to be segmented.
constexpr uint32_t kSoakFrames = 32;
constexpr uint64_t kSoakFrameArea = kTxBuffers + 0x8000;
constexpr uint64_t kSoakFrameStride = 0x3000;
static_assert(kSoakFrameArea + kSoakFrames * kSoakFrameStride <= kViAreaBytes);

constexpr const char* kSoakFaults[] = {"fault.poisoned_probability",      "fault.completion_timeout_probability",
                                       "fault.unmapped_read_probability", "fault.unmapped_write_probability",
                                       "fault.msix_lost_probability",     "fault.msix_delayed_probability",
                                       "fault.context_ecc_probability",   "fault.bad_fcs_probability"};

struct SoakOptions {
  bool control = false;          // admin commands of all kinds, filters, RSS, resets of the function
  bool faults = false;           // injected faults, switched on and off
  bool pair = false;             // two NICs that send to each other
  uint32_t settle_every = 3000;  // operations between two looks at the accounts
};

class SoakRandom {
 public:
  explicit SoakRandom(uint64_t seed) : engine_(seed) {}
  uint64_t next() { return engine_(); }
  uint32_t pick(uint32_t below) { return static_cast<uint32_t>(engine_() % below); }
  bool chance(uint32_t one_in) { return pick(one_in) == 0; }
  template <class T>
  T of(std::initializer_list<T> values) {
    return values.begin()[pick(static_cast<uint32_t>(values.size()))];
  }

 private:
  std::mt19937_64 engine_;
};

std::vector<uint8_t> ipv6_frame(const UdpSpec& spec);  // as the IPv4 one, with checksums left out

// What a run has seen; summed over its NICs.
struct SoakCounts {
  uint64_t events = 0, errors = 0, resets = 0, vi_resets = 0, settled = 0;
  uint64_t live_checks = 0, wakeups_checked = 0;  // of VIs that were found alive
  uint64_t rx_delivered = 0, tx_frames = 0, extra_frames = 0;
};

// A NIC and those who use it: each has a seat, and a VI in it that comes and goes.
class SoakNic {
 public:
  SoakNic(const char* name, uint32_t number, const SoakOptions& options, SoakRandom& random, SoakCounts& counts);

  void start();      // after all NICs are built: the admin queue, the port, a VI in each seat
  void step();       // one random operation, and what may come with it
  void check_dma();  // R4 and R5 from the memory's point of view
  // --- settling
  void calm();         // no faults, the link is up
  uint64_t drain();    // consumes and returns all events; says how many
  void judge();        // nothing is in flight: accounts add up
  void check_alive();  // and the VIs work
  void release_all();
  void check_nothing_left();  // as much can be allocated as by a new device
  void check_removal();       // the card goes with all in flight; the run is over then

  Node node;
  SoakCounts& counts;            // of all NICs
  std::function<void()> settle;  // of all NICs

 private:
  struct Seat {
    std::unique_ptr<TestVi> vi;
    uint32_t written = 0, returned = 0;  // event indices: seen in memory, given back
    uint32_t tx_done = 0, rx_done = 0;
    bool halted = false;       // its error event has been seen
    bool suspect = false;      // an event of it may have been lost on purpose
    bool open_packet = false;  // the last descriptor did not end its packet
    bool in_reset = false;
    bool bad_buffer = false;  // a buffer that is not there has been posted
    uint32_t frame_bytes[kSoakFrames]{};
    uint32_t vector = PST_VECTOR_NONE;  // none while wakeups go to a VI
  };

  // soak.cc
  void draw_properties();
  void configure_port();
  void lay_out_frames(uint32_t i);
  static uint64_t frame_address(const Seat& seat, uint32_t frame) {
    return seat.vi->options.domain_base + kSoakFrameArea + frame * kSoakFrameStride;
  }
  void allocate(uint32_t i);
  void draw_options(uint32_t i, ViOptions& options);
  void release(uint32_t i);
  void add_counters();       // before they are cleared
  void recover(uint32_t i);  // a VI that is halted or silent works again
  void reset_vi(uint32_t i);
  void check_vi_alive(uint32_t i);

  // soak_traffic.cc
  void operate();
  void traffic(uint32_t i);
  void incoming();
  void arrive_some(const std::vector<uint8_t>& bytes, uint32_t count);
  void pause_frame();
  void post(uint32_t i);
  void transmit(uint32_t i);
  void transmit_frames(Seat& seat);
  void transmit_segmented(Seat& seat);
  void transmit_directly(Seat& seat);
  void stray_access(Seat& seat);
  uint32_t consume(uint32_t i, uint32_t most);

  // soak_control.cc
  void control();
  void switch_fault();
  uint32_t command(const pst_command& c, std::initializer_list<uint32_t> answers);  // returns RESULT
  void insert_filter(uint32_t i);
  void keep_filter(const pst_command& c, std::initializer_list<uint32_t> answers);
  void remove_filter();
  void fill_filters(uint32_t i);
  void grant(uint32_t i);
  void spread(uint32_t i);
  void free_context(size_t which);
  void map_for_a_while(uint32_t i);
  void unmap_in_use(uint32_t i);
  void bind(uint32_t i);
  void moderate(uint32_t i);
  void malformed_command();
  void break_admin();
  void reset_function();

  void set(const char* name, double value);
  static double from_now_ns(uint64_t delay_ns) {
    const uint64_t time_ns = now_ps() / 1000 + delay_ns;
    return static_cast<double>(time_ns);
  }
  uint32_t pick(uint32_t below) { return random_.pick(below); }

  const SoakOptions& options_;
  SoakRandom& random_;
  const std::array<uint8_t, 6> mac_, peer_mac_;
  const uint32_t ip_, peer_ip_;
  static constexpr uint32_t kNoVi = UINT32_MAX;
  uint32_t mtu_ = 1500;
  uint32_t rate_mbps_ = 10000;
  bool many_tags_ = true;
  uint32_t losing_vi_ = kNoVi;  // events of this VI may be lost, until the fault is switched off
  std::vector<Seat> seats_;
  std::map<uint32_t, uint32_t> domain_users_;  // VIs of each domain
  std::vector<uint32_t> filters_;              // that control() has inserted; some may have gone with their VI
  std::vector<std::pair<uint32_t, uint32_t>> contexts_;  // RSS context, domain
  uint32_t link_up_in_ = 0;                              // operations; 0: it is up
};

class Soak {
 public:
  explicit Soak(uint64_t seed, const SoakOptions& options = {});

  void run(uint32_t operations);
  // All counters and the time: equal for equal seeds.
  [[nodiscard]] std::string fingerprint() const;
  [[nodiscard]] const SoakCounts& counts() const { return counts_; }

 private:
  void settle();

  const SoakOptions options_;
  SoakRandom random_;
  SoakCounts counts_;
  FreshKernel kernel_;
  std::vector<std::unique_ptr<SoakNic>> nics_;
};

}  // namespace postern::hw_model::test
