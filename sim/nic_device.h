// Seam 2: a NIC as the simulator sees it. Hides whether the NIC is the SystemC model (hw_model) or Verilated RTL.
// Everything crosses here as TLM-2.0 transactions, interrupts or Ethernet frames; the boundary monitor sits here too.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <systemc>
#include <tlm>
#include <vector>

#include "sim/ethernet_frame.h"
#include "sim/injected_fault.h"
#include "sim/nic_property.h"
#include "sim/wave_request.h"

namespace postern::sim {

// Address of a BAR access on bar_socket: the BAR's number in the top byte.
constexpr unsigned kBarShift = 56;
constexpr uint64_t bar_address(unsigned bar, uint64_t offset) {
  return (static_cast<uint64_t>(bar) << kBarShift) | offset;
}

// Where a NIC puts frames and where it gets them from. deliver() is called at the simulated time at which the frame's
// last bit arrives. Never blocks.
class EthernetIf : public virtual sc_core::sc_interface {
 public:
  virtual void deliver(const FramePtr& frame) = 0;
  // Link state as the other end drives it.
  virtual void set_link(bool up) = 0;
};

// Where interrupts go. Called at the time at which the MSI-X write arrives at the root complex. Never blocks.
class MsixIf : public virtual sc_core::sc_interface {
 public:
  virtual void raise(uint32_t vector) = 0;
};

// Told when a VI starts or has completely stopped, so that transports can prepare or retire its doorbell page.
class ViLifecycleIf : public virtual sc_core::sc_interface {
 public:
  virtual void vi_started(uint32_t vi_id) = 0;
  virtual void vi_stopped(uint32_t vi_id) = 0;
};

// Told the times of a packet's stages in the device, where the frame itself does not carry them.
class StageObserver {
 public:
  virtual ~StageObserver() = default;
  // The event for a received frame is visible at event_idx of the VI's queue. frame carries all earlier stamps.
  virtual void rx_event_written(uint32_t vi_id, uint32_t event_idx, const FramePtr& frame) = 0;
  // A TX packet whose last descriptor is tx_idx - 1 was taken into a frame (stamps up to kPayloadFetched are set here;
  // the observer may fill in kSendCall and kDoorbellWrite).
  virtual void tx_frame_built(uint32_t vi_id, uint32_t tx_idx, EthernetFrame& frame) = 0;
};

// Told of each fault that the device injects into itself (properties fault.*), at the time of its effect, and of each
// dropped packet when it is counted (R11).
class FaultObserver {
 public:
  virtual ~FaultObserver() = default;
  virtual void fault_injected(const InjectedFault& fault) = 0;
  virtual void packet_dropped(unsigned reason) { (void)reason; }  // PST_DROP_REASON_*
};

struct Counter {
  std::string name;  // e.g. "drops.RX_NO_FILTER" or "vi3.events"
  uint64_t value = 0;
};

class NicDevice : public sc_core::sc_module {
 public:
  // BAR accesses (32 or 64 bit). Writes are posted: b_transport returns at once, callable from any context, the effect
  // comes after the link's latency. Reads call wait() for the round trip: call them from a thread process.
  tlm::tlm_target_socket<64> bar_socket;
  // DMA: b_transport without wait(); the device calls it at the time at which the bytes move. Address errors come back
  // as TLM_ADDRESS_ERROR_RESPONSE.
  tlm::tlm_initiator_socket<64> dma_socket;
  sc_core::sc_port<MsixIf> msix_port;
  sc_core::sc_port<ViLifecycleIf, 1, sc_core::SC_ZERO_OR_MORE_BOUND> lifecycle_port;
  sc_core::sc_port<EthernetIf> wire_port;      // frames that leave the NIC; deliver() is called when the last bit left
  sc_core::sc_export<EthernetIf> wire_export;  // frames that arrive

  // Changes a tunable before or during a run. An error says what was expected: no such property, or a value that is not
  // of its type or outside its bounds.
  virtual PropertyResult set_property(const std::string& name, double value) = 0;
  [[nodiscard]] virtual std::vector<Property> properties() const = 0;
  [[nodiscard]] virtual std::vector<Counter> counters() const = 0;
  // Function-level reset from the transport (the register FUNCTION.RESET does the same).
  virtual void function_reset() = 0;
  virtual void set_stage_observer(StageObserver* observer) = 0;
  virtual void set_fault_observer(FaultObserver* observer) = 0;
  // Records the device's own signals from now on. Not empty: why it does not, and what to do.
  virtual std::string record_waves(const WaveRequest&) { return "only the RTL has waves (--device rtl)"; }

 protected:
  explicit NicDevice(const sc_core::sc_module_name& name)
      : sc_module(name),
        bar_socket("bar_socket"),
        dma_socket("dma_socket"),
        msix_port("msix_port"),
        lifecycle_port("lifecycle_port"),
        wire_port("wire_port"),
        wire_export("wire_export") {}
};

}  // namespace postern::sim
