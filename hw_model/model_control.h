// The control path's way to the model's own blocks.
#pragma once

#include "hw_model/device_control.h"
#include "hw_model/landing_wait.h"
#include "hw_model/nic_blocks.h"

namespace postern::hw_model {

class ModelControl : public DeviceControl {
 public:
  explicit ModelControl(NicBlocks& nic) : nic_(nic), landing_wait_(nic) {}
  // The agenda has forgotten what was planned.
  void reset() { landing_wait_.reset(); }

  void start(Vi& vi) override;
  void stop(Vi& vi, Quiet quiet) override;
  void halt(Vi& vi, unsigned source, unsigned code, uint32_t index) override;
  void grants_changed(const Vi&) override {}
  void binding_changed(const Vi&) override {}
  void set_moderation(Vi& vi, uint64_t holdoff_ps, uint32_t holdoff_events, bool adaptive) override;
  void mapped(uint32_t) override {}
  void unmapped(uint32_t pd, Quiet quiet) override;
  void filters_changed() override {}
  void rss_changed() override {}
  void port_changed(uint32_t mtu_bytes, bool pause, bool loopback, bool promiscuous) override;
  void raise(uint32_t vector) override;

 private:
  NicBlocks& nic_;
  LandingWait landing_wait_;
};

}  // namespace postern::hw_model
