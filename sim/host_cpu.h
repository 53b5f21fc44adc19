// The processor of a simulated host: the time that host software takes, and how it waits for the device. The seam
// between software (C++20) and SystemC: no SystemC here. Implementation: sim/in_process_function.h.
//
// Software runs ahead of simulated time between two waits: spend_ns() only moves the caller's local time, and what it
// writes to the device carries that time along. So a send costs no context switch. Threads of one host switch only in
// sync() and the waits, and local time equals simulated time whenever they do.
#pragma once

#include <cstddef>
#include <cstdint>

#include "sim/cpu_costs.h"

namespace postern::sim {

class HostCpu {
 public:
  virtual ~HostCpu() = default;

  // Local time of the running thread in picoseconds.
  [[nodiscard]] virtual uint64_t now_ps() const = 0;
  // Uses the processor for some time. Never switches.
  virtual void spend_ns(double duration_ns) = 0;
  // Waits until simulated time has reached local time. Memory that the device wrote until then is visible afterwards.
  virtual void sync() = 0;
  // Sleeps until the given time.
  virtual void sleep_until_ps(uint64_t time_ps) = 0;

  // The range (of DMA addresses) whose change ends wait_write: an event queue. A later call replaces it.
  virtual void watch(uint64_t dma_address, size_t size_bytes) = 0;
  // Grows with each write of the device into the watched range, and with wake().
  [[nodiscard]] virtual uint64_t write_count() const = 0;
  // Spins on the watched range, looking every period_ps, until write_count() is no longer seen_count: true; or until
  // the deadline: false. Take seen_count before the last look at the range. Costs simulated time only, no host time per
  // look.
  [[nodiscard]] virtual bool wait_write(uint64_t seen_count, uint64_t deadline_ps, uint64_t period_ps) = 0;
  // Grows with each interrupt message of any vector, and with wake().
  [[nodiscard]] virtual uint64_t interrupt_count() const = 0;
  // Sleeps until interrupt_count() is no longer seen_count: true; or until the deadline: false. Take seen_count before
  // priming. Unlike InterruptLine::wait it consumes nothing, so several threads can wait for the same message.
  [[nodiscard]] virtual bool wait_interrupt(uint64_t seen_count, uint64_t deadline_ps) = 0;
  // Ends every wait of this host's threads, interrupt lines included.
  virtual void wake() = 0;

  [[nodiscard]] virtual const CpuCosts& costs() const = 0;
};

}  // namespace postern::sim
