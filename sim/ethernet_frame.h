// An Ethernet frame on a simulated wire, with the stage stamps that latency reports are made of.
// No SystemC here: times are picoseconds of simulated time.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace postern::sim {

// Stages of one packet's way, in order. A stamp of 0 means: not reached or not known.
enum class Stage : uint8_t {
  kSendCall,          // application called send
  kDoorbellWrite,     // host wrote the TX doorbell
  kDoorbellArrive,    // doorbell reached the device
  kDescFetched,       // descriptors are in the device
  kPayloadFetched,    // payload is in the device
  kWireFirstBit,      // first bit left the port
  kWireLastBit,       // last bit arrived at the peer port
  kRxPayloadWritten,  // payload is in host memory
  kEventWritten,      // event is visible to the host
  kHostSeen,          // host software read the event
  kRecvReturn,        // application got the data
  kCount
};

using StageStamps = std::array<uint64_t, static_cast<size_t>(Stage::kCount)>;

// No stamps. In halves, which compile to a few stores each; the whole would be a string instruction, several times
// slower.
inline void clear_stamps(StageStamps& stamps_ps) {
  const auto middle = stamps_ps.begin() + stamps_ps.size() / 2;
  std::fill(stamps_ps.begin(), middle, 0);
  std::fill(middle, stamps_ps.end(), 0);
}

struct EthernetFrame {
  // Destination address to end of payload, without FCS. At least 60 bytes on a wire: whoever puts a frame there pads it
  // with zeros (a NIC drops shorter ones as RX_BAD_LENGTH).
  std::vector<uint8_t> bytes;
  bool bad_fcs = false;  // the wire damaged it
  StageStamps stamps_ps{};
  // Host (high half) and VI (low half) that sent it, where stages are traced; no device looks at it.
  uint32_t sender = kSenderUnknown;
  static constexpr uint32_t kSenderUnknown = 0xffffffff;
};

// Frames are shared because a switch may deliver one to several ports; a receiver must not change the bytes.
using FramePtr = std::shared_ptr<EthernetFrame>;

}  // namespace postern::sim
