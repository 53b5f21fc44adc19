// A node of the simulated network whose other side is a TAP device: frames that the network delivers go to the kernel,
// frames that the kernel sends enter the network, where the link serialises them. The live loop calls poll_device()
// between two steps of the simulation. Include only from C++17 translation units.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sim/ethernet_frame.h"
#include "sim/nic_device.h"
#include "sim/tap_device.h"

namespace postern::sim {

struct TapCounters {
  uint64_t to_kernel_frames = 0;
  uint64_t to_kernel_bytes = 0;
  uint64_t from_kernel_frames = 0;
  uint64_t from_kernel_bytes = 0;
  uint64_t kernel_refused_frames = 0;  // the kernel's queue was full or the device down
  uint64_t bad_fcs_frames = 0;         // damaged on the simulated wire, not given to the kernel
};

class TapPort : public EthernetIf {
 public:
  // rate_gbps: of the link that serialises this port's frames.
  TapPort(std::string name, std::unique_ptr<TapDevice> device, double rate_gbps);

  // Where frames from the kernel go. Before the first poll.
  void connect(EthernetIf& wire) { wire_ = &wire; }

  // Takes what the kernel has sent, at most 64 frames. True if there was any. Takes nothing while the wire is busy for
  // longer than kBacklogMax, so that the kernel's own queue fills and holds its senders back.
  bool poll_device();
  // False while poll_device() would take nothing because of that backlog.
  [[nodiscard]] bool wants_frames() const;

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] int fd() const { return device_->fd(); }
  [[nodiscard]] const TapCounters& counters() const { return counters_; }

  void deliver(const FramePtr& frame) override;
  void set_link(bool up) override;

 private:
  static constexpr uint64_t kBacklogMaxPs = 100'000'000;  // 100 us
  static constexpr size_t kBatchFrames = 64;

  const std::string name_;
  std::unique_ptr<TapDevice> device_;
  const double rate_gbps_;
  EthernetIf* wire_ = nullptr;
  std::vector<uint8_t> buffer_;
  uint64_t busy_until_ps_ = 0;  // simulated time at which the wire will have sent all that it was given
  TapCounters counters_;
};

}  // namespace postern::sim
