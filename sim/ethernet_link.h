// A full-duplex link between two nodes: propagation delay and, for each direction, seeded loss, reordering, duplication
// and corruption. Serialisation belongs to the sender (a NIC's mac_port, a switch port); for a node that has none (a
// TAP port) the link does it. Packet walk: between two ports. Include only from C++17 translation units.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <random>
#include <systemc>
#include <vector>

#include "sim/nic_device.h"
#include "sim/pcap_writer.h"
#include "sim/topology.h"

namespace postern::sim {

// Bytes that a frame occupies on the wire besides its own: preamble and start delimiter, FCS, inter-frame gap
// (IEEE 802.3, clauses 3.1.1 and 4.4.2), and the minimum length to which it is padded.
constexpr uint64_t kPreambleBytes = 8;
constexpr uint64_t kFcsBytes = 4;
constexpr uint64_t kInterFrameGapBytes = 12;
constexpr uint64_t kMinFrameBytes = 60;

// Picoseconds from the first preamble bit to the last FCS bit.
[[nodiscard]] uint64_t frame_time_ps(uint64_t frame_bytes, double rate_gbps);
[[nodiscard]] uint64_t inter_frame_gap_ps(double rate_gbps);

// One step of a fingerprint: a 64-bit word into a running hash (multiply and fold; not cryptographic).
[[nodiscard]] inline uint64_t mix_hash(uint64_t hash, uint64_t word) {
  const uint64_t x = (hash ^ word) * 0x9e3779b97f4a7c15;
  return x ^ (x >> 32);
}

class EthernetLink : public sc_core::sc_module {
 public:
  struct Config {
    double rate_gbps = 10;
    uint64_t delay_ns = 500;
    std::array<WireImpairments, 2> impairments{};  // [0]: from side 0 to side 1
    uint64_t seed = 1;
  };
  struct DirectionCounters {
    uint64_t frames = 0;  // given to the link
    uint64_t bytes = 0;
    uint64_t delivered = 0;
    uint64_t lost = 0;
    uint64_t reordered = 0;
    uint64_t duplicated = 0;
    uint64_t corrupted = 0;
    uint64_t fingerprint = 0;  // hash over times and bytes of the frames given to the link
  };

  EthernetLink(const sc_core::sc_module_name& name, const Config& config);
  ~EthernetLink() override;

  // Where the node at a side (0 or 1) puts its frames.
  [[nodiscard]] EthernetIf& end(unsigned side);
  // Frames for the node at a side go to sink; before the simulation starts.
  void connect(unsigned side, EthernetIf& sink);
  // The node at this side does not serialise: the link does, at its rate.
  void serialize_from(unsigned side);
  // Records the frames that leave and reach the node at a side.
  void capture_at(unsigned side, PcapWriter* writer);
  // counters(0): from side 0 to side 1.
  [[nodiscard]] const DirectionCounters& counters(unsigned from_side) const;

 private:
  class Direction;
  void start_of_simulation() override;

  std::array<std::unique_ptr<Direction>, 2> directions_;
};

}  // namespace postern::sim
