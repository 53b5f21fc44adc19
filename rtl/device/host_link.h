// The PCIe hard block beside the RTL, and the link behind it: takes the RTL's read and write requests, times them on
// the link (hw_model/pcie_timeline), moves bytes between host memory and the 512-bit beats, and brings the host's
// accesses in. Hides alignment of beats, order of completions and what is still on the link. Packet walk: every
// transfer between host and RTL.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <systemc>
#include <unordered_map>
#include <vector>

#include "hw_model/bar_target.h"
#include "hw_model/dma_result.h"
#include "hw_model/nic_storage.h"
#include "rtl/device/clocked_part.h"

class Vpst_nic_top;

namespace postern::rtl_device {

class RxFrames;

class HostLink : public ClockedPart, public hw_model::BarTarget {
 public:
  // Halts a VI with DMA_FAULT; calls halted() when the RTL has done so.
  using Halt = std::function<void(hw_model::Vi& vi, unsigned source, uint32_t index, std::function<void()> halted)>;

  // wake() is called when an input has come while the clock may be standing.
  HostLink(Vpst_nic_top& top, hw_model::NicStorage& blocks, RxFrames& frames, std::function<void()> wake, Halt halt);

  // ClockedPart
  void drive(uint64_t edge_ps) override;
  void sample(uint64_t edge_ps) override;
  [[nodiscard]] uint64_t next_edge_ps(uint64_t edge_ps) const override;
  void reset() override;

  // BarTarget
  void write(uint64_t address, uint64_t value, unsigned width_bytes) override;
  void write_pio(uint64_t address, const uint8_t* data, uint32_t bytes) override;
  [[nodiscard]] uint64_t read(uint64_t address, unsigned width_bytes) override;
  [[nodiscard]] uint64_t peek(uint64_t address, unsigned width_bytes) override;

 private:
  struct Access {
    uint64_t arrived_ps;
    uint64_t address;
    bool write;
    uint32_t bytes;
    std::array<uint8_t, kBeatBytes> data;
  };
  struct Read {
    uint8_t tag;
    uint8_t lane;
    uint32_t vi_id;
    uint64_t address;
    uint32_t bytes;
    uint32_t done_bytes;
    hw_model::DmaResult fate;
    std::vector<uint8_t> chunk;  // what has been read of host memory, for the beats to come
    uint32_t chunk_done_bytes;
  };
  struct Write {
    uint8_t kind;
    uint32_t vi_id;
    uint32_t id;
    uint64_t address;
    std::vector<uint8_t> bytes;
  };

  // What has become of a VI of which the host has refused a write.
  struct Refusal {
    uint32_t epoch = ~0u;        // of the VI: a later one knows nothing of it
    uint32_t frame_id = 0;       // if it was payload: whose
    bool halted = false;         // the RTL has halted the VI
    bool told = false;           // no event lands any more but `error`
    std::optional<Write> error;  // to be posted when the VI has halted
  };

  void push(const Access& access);
  void note_doorbell(uint64_t address, uint64_t value);
  bool drive_access(uint64_t edge_ps);
  bool drive_completion(uint64_t edge_ps);
  void take_write_beat(uint64_t edge_ps);
  void post(uint64_t edge_ps);
  void landed(uint64_t index, uint64_t, uint64_t, uint64_t);
  void write_failed(const Write& write);
  void add_in_flight(Write& write, uint64_t landing_ps);
  [[nodiscard]] bool refused_before(Write& write);
  void name_descriptor(Refusal& refusal, Write& write, uint32_t before);
  void tell(Refusal& refusal, const Write& slot, pst_event error);
  void has_halted(uint32_t vi_id, uint32_t epoch);
  void post_error(Refusal& refusal);
  void withdraw(const Write& write, unsigned reason);
  [[nodiscard]] const Write* error_in_flight(uint32_t vi_id) const;
  void take_read(uint64_t edge_ps);

  Vpst_nic_top& top_;
  hw_model::NicStorage& blocks_;
  RxFrames& frames_;
  const std::function<void()> wake_;
  const Halt halt_;

  std::deque<Access> accesses_;  // on their way into the RTL
  std::deque<uint64_t> answers_;
  sc_core::sc_event answered_;
  uint64_t reads_asked_ = 0, reads_answered_ = 0, generation_ = 0;

  std::multimap<uint64_t, Read> reads_;  // by the time of the next beat
  bool completion_offered_ = false;
  bool access_offered_ = false;

  Write write_{};                 // whose beats are coming
  std::vector<Write> in_flight_;  // posted, not landed
  std::vector<size_t> free_writes_;
  uint64_t in_flight_bytes_ = 0;
  std::unordered_map<uint32_t, Refusal> refusals_;  // by VI; one goes with the first write of a later VI
};

}  // namespace postern::rtl_device
