// A store-and-forward learning switch: each port has a bounded output queue and serialises at its own rate; unknown and
// group destinations are flooded; learned addresses age. Packet walk: between two links. Include only from C++17
// translation units.
#pragma once

#include <cstdint>
#include <memory>
#include <systemc>
#include <unordered_map>
#include <vector>

#include "sim/nic_device.h"

namespace postern::sim {

class EthernetSwitch : public sc_core::sc_module {
 public:
  struct Config {
    uint64_t queue_bytes = 512 * 1024;  // per output port
    uint64_t ageing_ns = 300'000'000'000;
    uint64_t latency_ns = 500;  // last bit in to earliest first bit out
  };
  struct PortCounters {
    uint64_t rx_frames = 0;
    uint64_t tx_frames = 0;
    uint64_t flooded_frames = 0;     // copies that left here because the destination was not known or was a group
    uint64_t queue_drops = 0;        // output queue full
    uint64_t bad_fcs_drops = 0;      // arrived damaged
    uint64_t link_local_frames = 0;  // for the link alone (pause frames): not forwarded (IEEE 802.1Q, 8.6.3)
    uint64_t queue_high_water_bytes = 0;
  };

  SC_HAS_PROCESS(EthernetSwitch);
  EthernetSwitch(const sc_core::sc_module_name& name, const Config& config);
  ~EthernetSwitch() override;

  // Adds a port before the simulation starts; returns its number.
  unsigned add_port(double rate_gbps);
  // Where the link at a port puts frames for the switch.
  [[nodiscard]] EthernetIf& port(unsigned number);
  // Frames that leave at a port go to sink, when their last bit has left.
  void connect(unsigned number, EthernetIf& sink);

  [[nodiscard]] unsigned port_count() const { return static_cast<unsigned>(ports_.size()); }
  [[nodiscard]] const PortCounters& counters(unsigned number) const;

 private:
  class Port;
  struct Learned {
    unsigned port;
    uint64_t seen_ps;
  };
  struct Arrival {
    unsigned port;
    FramePtr frame;
  };
  void arrived(unsigned from_port, const FramePtr& frame);
  void forward_arrivals();
  void forward(unsigned from_port, const FramePtr& frame);
  void learn(uint64_t address, unsigned from_port);
  void forget_port(unsigned number);

  const Config config_;
  std::vector<std::unique_ptr<Port>> ports_;
  std::unordered_map<uint64_t, Learned> learned_;  // by address
  std::vector<Arrival> arrivals_;                  // of this time, until forward_arrivals
  sc_core::sc_event arrival_event_;
};

}  // namespace postern::sim
