// The firmware's end of pst_admin: turns what the control path has decided into commands for the hardware, one at a
// time and in order. Hides which table entries differ from what the hardware already holds.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "hw_model/device_control.h"
#include "hw_model/landing_wait.h"
#include "hw_model/nic_storage.h"
#include "rtl/device/clocked_part.h"

class Vpst_nic_top;

namespace postern::rtl_device {

class RxFrames;

class FirmwarePort : public ClockedPart, public hw_model::DeviceControl {
 public:
  FirmwarePort(Vpst_nic_top& top, hw_model::NicStorage& blocks, RxFrames& frames, uint32_t vi_count,
               uint32_t domain_count, std::function<void()> wake);

  // ClockedPart
  void drive(uint64_t edge_ps) override;
  void sample(uint64_t edge_ps) override;
  [[nodiscard]] uint64_t next_edge_ps(uint64_t edge_ps) const override;
  void reset() override;

  // hw_model::DeviceControl
  void start(hw_model::Vi& vi) override;
  void stop(hw_model::Vi& vi, Quiet quiet) override;
  void halt(hw_model::Vi& vi, unsigned source, unsigned code, uint32_t index) override;
  void grants_changed(const hw_model::Vi& vi) override;
  void binding_changed(const hw_model::Vi& vi) override;
  void set_moderation(hw_model::Vi& vi, uint64_t holdoff_ps, uint32_t holdoff_events, bool adaptive) override;
  void mapped(uint32_t pd) override;
  void unmapped(uint32_t pd, Quiet quiet) override;
  void filters_changed() override;
  void rss_changed() override;
  void port_changed(uint32_t mtu_bytes, bool pause, bool loopback, bool promiscuous) override;
  void raise(uint32_t vector) override;

  // halt(), and calls halted() when the RTL has taken the command.
  void halt_then(hw_model::Vi& vi, unsigned source, unsigned code, uint32_t index, Quiet halted);
  // A property of the port has changed, or the function has been reset.
  void configure_port();

 private:
  static constexpr size_t kWords = 8;
  using Data = std::array<uint64_t, kWords>;
  struct Command {
    uint64_t given_ps = 0;
    uint8_t op = 0;
    uint32_t index = 0;
    Data data{};
    Quiet done;
  };
  // Puts fields one behind another, the first in the low bits.
  class Packer {
   public:
    Packer& add(uint64_t value, unsigned bits);
    [[nodiscard]] const Data& data() const { return data_; }

   private:
    Data data_{};
    unsigned position_ = 0;
  };
  struct RangeSlot {
    uint64_t domain_address = 0, bytes = 0, host_address = 0;
    bool writable = false;
    bool operator==(const RangeSlot& o) const {
      return domain_address == o.domain_address && bytes == o.bytes && host_address == o.host_address &&
             writable == o.writable;
    }
  };

  void give(uint8_t op, uint32_t index, const Data& data = {}, Quiet done = {});
  void give_ranges(uint32_t pd);
  void put_evq_config(Packer& packer, const hw_model::Vi& vi) const;

  Vpst_nic_top& top_;
  hw_model::NicStorage& blocks_;
  RxFrames& frames_;
  const uint32_t vi_count_;
  const std::function<void()> wake_;

  std::deque<Command> commands_;  // the first may be with the hardware
  bool offered_ = false;          // ... and is on its port
  bool taken_ = false;            // ... or has been taken
  hw_model::LandingWait landing_wait_;

  // What the hardware holds.
  std::vector<std::vector<RangeSlot>> ranges_;
  std::vector<std::vector<hw_model::SourceGrant>> grants_;
  std::vector<hw_model::RxFilter::TableSlot> slots_;
  std::vector<std::optional<hw_model::RxFilter::TableFilter>> filters_;  // none: what is there after a reset
  uint8_t filter_kinds_ = 0;
  std::vector<std::optional<hw_model::Rss::Configuration>> contexts_;  // likewise
  std::optional<Data> port_;                                           // none: nothing was given since the reset
  bool pause_ = false, loopback_ = false, promiscuous_ = false;
};

}  // namespace postern::rtl_device
