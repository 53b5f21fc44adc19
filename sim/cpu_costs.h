// What host software costs in virtual time. The stack and the driver run as real code but take no simulated time of
// their own; the virtual host charges these constants around its calls. Every value is assumed (a 3 GHz server core
// with warm caches), not measured; a scenario may change each under [cpu].
#pragma once

#include <cstdint>

namespace postern::sim {

struct CpuCosts {
  double send_call_ns = 150;          // a send call through the stack without a system call: lock, headers, descriptor
  double recv_call_ns = 100;          // a receive call that returns data from the socket's queue
  double empty_call_ns = 30;          // a send or receive call that finds no space or no data
  double copy_byte_ns = 0.06;         // copying payload between application and packet buffer: about 16 GB/s
  double poll_ns = 25;                // looking at the event queue and finding nothing
  double event_ns = 40;               // taking one event and its packet through the stack
  double vi_event_ns = 12;            // taking one event through the VI library alone, with its buffer
  double vi_descriptor_ns = 8;        // writing one descriptor through the VI library alone, with its bookkeeping
  double doorbell_write_ns = 40;      // a posted uncached or write-combined store with its fence
  double interrupt_wakeup_ns = 3000;  // interrupt to the sleeping thread running again: handler, wakeup, switch
  double sleep_entry_ns = 1000;       // system call and switch away
  double config_access_ns = 1000;     // a configuration space access through the host bridge
  double pio_byte_ns = 0.1;           // write-combined stores into the PIO page
  // Lines of 64 bytes that gather stores into a PIO page before they leave, each as one write. 0: no write combining,
  // each store of 8 bytes is a write of its own.
  uint32_t write_combining_lines = 10;
};

}  // namespace postern::sim
