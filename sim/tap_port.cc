// See tap_port.h.
#include "sim/tap_port.h"

#include <algorithm>
#include <systemc>
#include <utility>

#include "sim/ethernet_link.h"

namespace postern::sim {
namespace {
constexpr size_t kFrameBytesMax = 9234;
}  // namespace

TapPort::TapPort(std::string name, std::unique_ptr<TapDevice> device, double rate_gbps)
    : name_(std::move(name)), device_(std::move(device)), rate_gbps_(rate_gbps), buffer_(kFrameBytesMax) {}

bool TapPort::wants_frames() const { return busy_until_ps_ < sc_core::sc_time_stamp().value() + kBacklogMaxPs; }

bool TapPort::poll_device() {
  size_t taken = 0;
  while (taken < kBatchFrames && wants_frames()) {
    const size_t size = device_->read_frame(buffer_.data(), buffer_.size());
    if (size == 0) break;
    auto frame = std::make_shared<EthernetFrame>();
    frame->bytes.assign(buffer_.begin(), buffer_.begin() + static_cast<ptrdiff_t>(size));
    if (size < kMinFrameBytes) frame->bytes.resize(kMinFrameBytes, 0);
    busy_until_ps_ = std::max<uint64_t>(busy_until_ps_, sc_core::sc_time_stamp().value()) +
                     frame_time_ps(frame->bytes.size(), rate_gbps_) + inter_frame_gap_ps(rate_gbps_);
    ++counters_.from_kernel_frames;
    counters_.from_kernel_bytes += size;
    wire_->deliver(frame);
    ++taken;
  }
  return taken > 0;
}

void TapPort::deliver(const FramePtr& frame) {
  if (frame->bad_fcs) {
    ++counters_.bad_fcs_frames;
  } else if (device_->write_frame(frame->bytes.data(), frame->bytes.size())) {
    ++counters_.to_kernel_frames;
    counters_.to_kernel_bytes += frame->bytes.size();
  } else {
    ++counters_.kernel_refused_frames;
  }
}

void TapPort::set_link(bool) {}  // the kernel's side has no carrier that could follow

}  // namespace postern::sim
