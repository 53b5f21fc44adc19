// Faults that the device injects into itself: on the PCIe link, in a VI's context, on the wire, and to the whole card.
// Owns all properties fault.*; each kind of random fault draws from a stream of its own, and draws nothing while its
// probability is 0. Every fault is reported to the FaultObserver at the time of its effect and counted. docs/faults.md
// says what each does and which contract rule covers it.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "hw_model/dma_result.h"
#include "hw_model/nic_blocks.h"
#include "sim/injected_fault.h"
#include "sim/nic_device.h"

namespace postern::hw_model {

struct Vi;

class Faults {
 public:
  // Built after mac_port, whose address makes the streams of two NICs with equal seeds differ.
  explicit Faults(NicBlocks& nic);
  // What a function-level reset calls.
  void on_function_reset(std::function<void()> callback) { function_reset_ = std::move(callback); }
  void configure();
  // After a function reset, which forgets what was planned: faults that are due later stay due.
  void reset();

  // --- pcie_link. vi_id is sim::InjectedFault::kNoVi for the admin queue.
  // What will become of a read that is posted now.
  [[nodiscard]] DmaResult read_fate(uint32_t vi_id) { return reads_armed_ ? draw_read_fate(vi_id) : DmaResult::kOk; }
  // True: nothing answers the write that lands now; reports it.
  [[nodiscard]] bool write_unanswered(uint32_t vi_id, uint64_t host_address) {
    return writes_armed_ && draw_write_unanswered(vi_id, host_address);
  }
  // A read whose fate was not kOk has ended.
  void read_failed(DmaResult fate, uint32_t vi_id, uint64_t host_address);
  [[nodiscard]] uint64_t completion_timeout_ps() const { return completion_timeout_ps_; }
  // The card is gone: host reads return all ones, nothing else happens any more.
  [[nodiscard]] bool removed() const { return removed_; }

  // --- msix
  enum class Message : uint8_t { kDelivered, kLost, kDelayed };
  [[nodiscard]] Message message_fate() { return messages_armed_ ? draw_message_fate() : Message::kDelivered; }
  [[nodiscard]] uint64_t message_delay_ps() const { return message_delay_ps_; }
  // At the time at which the message would have arrived.
  void message_lost(uint32_t vector);
  void message_held_up(uint32_t vector, uint64_t duration_ps);

  // --- doorbell: may halt the VI that a doorbell is for.
  void doorbell_rung(Vi& vi) {
    if (context_armed_) draw_context_error(vi);
  }

  // --- mac_port: true if the frame that arrives now is damaged; reports it.
  [[nodiscard]] bool damages_frame() { return frames_armed_ && draw_bad_fcs(); }

  // Counters faults.<kind>. They survive a function reset.
  void append_counters(std::vector<sim::Counter>& counters) const;

 private:
  // Uniform numbers of one kind of fault (SplitMix64: Steele, Lea and Flood, OOPSLA 2014).
  class Stream {
   public:
    void seed(uint64_t value) { state_ = value; }
    [[nodiscard]] double uniform();  // [0, 1)

   private:
    uint64_t state_ = 0;
  };
  struct Chance {
    const double& probability;
    Stream stream;
    [[nodiscard]] bool hit() { return probability > 0 && stream.uniform() < probability; }
  };
  // A fault at a time, and again each period. In nanoseconds of simulated time; 0 is never.
  struct Schedule {
    const double* at_ns;
    const double* period_ns;
    double seen_at_ns = 0;
    double seen_period_ns = 0;
    uint64_t base_ps = 0;  // of the next one, without jitter
    uint64_t due_ps = 0;   // kNever: none is planned
    uint32_t generation = 0;
  };
  enum Timed : uint8_t { kContextEcc, kLinkDown, kPause, kRemoval, kFunctionReset, kTimedCount };

  const double& add(const char* name, const char* unit, const char* doc, double value, double maximum);
  const double& add_probability(const char* name, const char* doc);
  const double& add_time(const char* name, const char* doc);
  void seed_streams();
  [[nodiscard]] bool concerns(uint32_t vi_id) const;
  DmaResult draw_read_fate(uint32_t vi_id);
  bool draw_write_unanswered(uint32_t vi_id, uint64_t host_address);
  Message draw_message_fate();
  void draw_context_error(Vi& vi);
  bool draw_bad_fcs();

  void schedule(Schedule& schedule, uint64_t base_ps);
  void plan(Schedule& schedule);
  void due(uint64_t timed, uint64_t generation, uint64_t, uint64_t);
  void inject(Timed timed);
  void fail_context(Vi& vi);
  void take_link_down();
  void bring_link_up(uint64_t generation, uint64_t, uint64_t, uint64_t);
  void send_pause();
  void remove();
  void report(sim::FaultKind kind, uint32_t vi_id, uint64_t detail, uint32_t vector = sim::InjectedFault::kNoVi);

  static constexpr uint64_t kNever = ~0ull;
  static constexpr size_t kKinds = static_cast<size_t>(sim::FaultKind::kFunctionReset) + 1;

  NicBlocks& nic_;
  std::function<void()> function_reset_;
  const double& seed_;
  const double& dma_vi_;
  Chance poisoned_;
  Chance timeout_;
  const double& completion_timeout_ns_;
  Chance unmapped_read_;
  Chance unmapped_write_;
  Chance msix_lost_;
  Chance msix_delayed_;
  const double& msix_delay_ns_;
  Chance context_ecc_;
  const double& context_ecc_vi_;
  const double& link_down_ns_;
  const double& link_down_jitter_ns_;
  Stream link_jitter_;
  Chance bad_fcs_;
  const double& pause_quanta_;
  std::array<Schedule, kTimedCount> schedules_;

  bool reads_armed_ = false;
  bool writes_armed_ = false;
  bool messages_armed_ = false;
  bool context_armed_ = false;
  bool frames_armed_ = false;
  bool removed_ = false;
  bool seeded_ = false;
  double seeded_with_ = 0;
  uint64_t seeded_address_ = 0;
  uint64_t completion_timeout_ps_ = 0;
  uint64_t message_delay_ps_ = 0;
  uint64_t link_up_ps_ = kNever;  // end of the outage that a fault has made
  uint32_t link_generation_ = 0;
  std::array<uint64_t, kKinds> counts_{};
};

}  // namespace postern::hw_model
