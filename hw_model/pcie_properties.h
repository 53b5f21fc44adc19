// The tunables pcie_link.*: registers them and turns their values into the parameters of a PcieTimeline.
#pragma once

#include "hw_model/pcie_timeline.h"
#include "hw_model/properties.h"

namespace postern::hw_model {

class PcieProperties {
 public:
  explicit PcieProperties(PropertySet& properties);
  // As the properties are now.
  [[nodiscard]] PcieParameters parameters() const;

 private:
  struct Credits {
    const double& headers;
    const double& data;
    [[nodiscard]] CreditLimits limits() const { return {static_cast<uint32_t>(headers), static_cast<uint32_t>(data)}; }
  };

  const double& generation_;
  const double& lanes_;
  const double& mps_bytes_;
  const double& mrrs_bytes_;
  const double& rcb_bytes_;
  const double& split_at_rcb_;
  const double& tags_;
  const double& relaxed_ordering_;
  const double& propagation_ns_;
  const double& root_complex_ns_;
  const double& memory_read_ns_;
  const double& memory_write_ns_;
  const Credits posted_;
  const double& non_posted_header_credits_;
  const Credits completion_;
  const Credits host_posted_;
  const double& host_non_posted_header_credits_;
  const double& latency_distribution_;
  const double& latency_spread_ns_;
  const double& latency_sigma_;
  const double& latency_p50_ns_;
  const double& latency_p90_ns_;
  const double& latency_p99_ns_;
  const double& latency_p999_ns_;
  const double& latency_limit_ns_;
  const double& latency_writes_;
  const double& latency_seed_;
};

}  // namespace postern::hw_model
