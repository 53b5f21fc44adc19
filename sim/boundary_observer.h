// What can be seen at the seam between a NIC and its host (sim/nic_device.h): BAR accesses, DMA, interrupts, frames and
// the lifecycle of VIs. The monitor, the recorder and the traces are such observers; sim/boundary_tap.h tells them. No
// SystemC here. Observers must not change what they see and must not block.
#pragma once

#include <cstdint>

#include "sim/ethernet_frame.h"
#include "sim/injected_fault.h"

namespace postern::sim {

// All times are picoseconds of simulated time. Calls come in the order in which things happen at the seam, with one
// exception: a posted BAR write carries the time at which the host issued it, which may lie ahead of simulated time,
// because host software runs ahead between two waits. BAR writes among themselves are in order.
class BoundaryObserver {
 public:
  virtual ~BoundaryObserver() = default;

  // A posted write, before the device gets it. bytes: 4 or 8 for a register, more for a burst into a PIO page.
  virtual void bar_written(uint64_t issue_ps, unsigned bar, uint64_t offset, const uint8_t* data, uint32_t bytes) {
    (void)issue_ps, (void)bar, (void)offset, (void)data, (void)bytes;
  }
  // A read, before the device gets it; / when its answer is back at the host.
  virtual void bar_read_issued(uint64_t issue_ps, unsigned bar, uint64_t offset, uint32_t bytes) {
    (void)issue_ps, (void)bar, (void)offset, (void)bytes;
  }
  virtual void bar_read(uint64_t issue_ps, uint64_t done_ps, unsigned bar, uint64_t offset, const uint8_t* data,
                        uint32_t bytes) {
    (void)issue_ps, (void)done_ps, (void)bar, (void)offset, (void)data, (void)bytes;
  }
  // DMA at the time at which its bytes move; reached is false if nothing answered at the address (data of a read is
  // then unspecified). address is a host DMA address.
  virtual void dma_read(uint64_t now_ps, uint64_t address, const uint8_t* data, uint32_t bytes, bool reached) {
    (void)now_ps, (void)address, (void)data, (void)bytes, (void)reached;
  }
  virtual void dma_written(uint64_t now_ps, uint64_t address, const uint8_t* data, uint32_t bytes, bool reached) {
    (void)now_ps, (void)address, (void)data, (void)bytes, (void)reached;
  }
  // An MSI-X message arrives at the root complex.
  virtual void interrupt(uint64_t now_ps, uint32_t vector) { (void)now_ps, (void)vector; }
  // The last bit of a frame left the port, or arrived there.
  virtual void frame_sent(uint64_t now_ps, const FramePtr& frame) { (void)now_ps, (void)frame; }
  virtual void frame_received(uint64_t now_ps, const FramePtr& frame) { (void)now_ps, (void)frame; }
  virtual void link_changed(uint64_t now_ps, bool up) { (void)now_ps, (void)up; }
  // As ViLifecycleIf: the VI may be used from now on; nothing of it happens any more.
  virtual void vi_started(uint64_t now_ps, uint32_t vi_id) { (void)now_ps, (void)vi_id; }
  virtual void vi_stopped(uint64_t now_ps, uint32_t vi_id) { (void)now_ps, (void)vi_id; }
  // A function-level reset by the transport. (A reset by FUNCTION.RESET is a BAR write.)
  virtual void function_reset(uint64_t now_ps) { (void)now_ps; }
  // The device injected a fault into itself.
  virtual void fault_injected(uint64_t now_ps, const InjectedFault& fault) { (void)now_ps, (void)fault; }
  // The device counted a dropped packet under this reason (PST_DROP_REASON_*).
  virtual void packet_dropped(uint64_t now_ps, unsigned reason) { (void)now_ps, (void)reason; }
  // The run is over.
  virtual void finish(uint64_t now_ps) { (void)now_ps; }
};

// Host memory by DMA address, as an observer may look at it without any time passing.
class HostMemoryReader {
 public:
  virtual ~HostMemoryReader() = default;
  // False: nothing answers there.
  virtual bool read_host_memory(uint64_t address, void* data, uint32_t bytes) = 0;
};

}  // namespace postern::sim
