// Which resource of a host and its NIC was the scarce one in a run: shares of time that each was busy, or that work
// waited for it, from counters before and after. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/simulation.h"

namespace postern::sim {

// Counters of one host's NIC and processor over a span of simulated time.
struct ResourceUse {
  std::vector<NamedCount> nic_before, nic_after;
  uint64_t cpu_busy_ps = 0;  // over all threads
  unsigned cpu_threads = 1;
  uint64_t elapsed_ps = 0;
};

struct ResourceShare {
  std::string resource;  // e.g. "PCIe upstream"
  double share = 0;      // of the time: busy, or waited for; 0 to 1
  uint64_t count = 0;    // of losses or waits, where time is not known
};

struct ResourceLimits {
  std::vector<ResourceShare> shares;  // those that are not 0
  std::string limited_by;             // a resource of shares, or "offered load"
  std::string reason;                 // what says so, e.g. "98.2 % busy"
};

// The first in this order that is exhausted: wire, wire to the host, PCIe upstream, PCIe downstream, processor (busy);
// PCIe tags, PCIe credits (waited for); event queue, receive descriptors, transmit buffer, receive buffer.
[[nodiscard]] ResourceLimits find_limits(const ResourceUse& use);

}  // namespace postern::sim
