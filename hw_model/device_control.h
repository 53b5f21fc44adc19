// What the control path (admin commands, injected faults) asks of the data path: the model's own blocks, or hardware
// behind a command port. The tables of the control path (ViTable, Translation, RxFilter, Rss) have changed before a
// call.
#pragma once

#include <cstdint>
#include <functional>

namespace postern::hw_model {

struct Vi;

class DeviceControl {
 public:
  // Called once, when nothing that was asked to end is in flight any more; never after a function reset.
  using Quiet = std::function<void()>;

  virtual ~DeviceControl() = default;

  // The VI's context is complete: its window opens, blank.
  virtual void start(Vi& vi) = 0;
  // Nothing of the VI starts any more (R10).
  virtual void stop(Vi& vi, Quiet quiet) = 0;
  // An error that the control path found.
  virtual void halt(Vi& vi, unsigned source, unsigned code, uint32_t index) = 0;
  virtual void grants_changed(const Vi& vi) = 0;
  // Where the VI's wakeups go.
  virtual void binding_changed(const Vi& vi) = 0;
  virtual void set_moderation(Vi& vi, uint64_t holdoff_ps, uint32_t holdoff_events, bool adaptive) = 0;
  // Mappings have come, or all have gone with their domain.
  virtual void mapped(uint32_t pd) = 0;
  virtual void unmapped(uint32_t pd, Quiet quiet) = 0;
  virtual void filters_changed() = 0;
  // A context has come, changed or gone, or a VI that its table named is gone.
  virtual void rss_changed() = 0;
  virtual void port_changed(uint32_t mtu_bytes, bool pause, bool loopback, bool promiscuous) = 0;
  // An interrupt behind all writes so far.
  virtual void raise(uint32_t vector) = 0;
};

}  // namespace postern::hw_model
