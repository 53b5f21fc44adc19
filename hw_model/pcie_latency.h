// Extra latency of the host's memory system as a random variable: constant, uniform, with an exponential or lognormal
// tail, or from a table of percentiles. Seeded and deterministic; no SystemC. Used by pcie_timeline.
#pragma once

#include <array>
#include <cstdint>

namespace postern::hw_model {

enum class LatencyKind : uint8_t { kConstant, kUniform, kExponential, kLognormal, kTable };

struct LatencyParameters {
  LatencyKind kind = LatencyKind::kConstant;
  double spread_ps = 0;                    // uniform: the largest; exponential: the mean; lognormal: the median
  double sigma = 0.5;                      // lognormal: standard deviation of the logarithm
  double limit_ps = 0;                     // no sample is larger; the table's last point
  std::array<double, 4> percentiles_ps{};  // table: at 50, 90, 99 and 99.9 %, each at least the one before
  uint64_t seed = 1;

  bool operator==(const LatencyParameters& other) const;
};

class LatencySampler {
 public:
  // Begins the sequence of the seed again if anything has changed.
  void configure(const LatencyParameters& parameters);
  [[nodiscard]] bool constant() const { return parameters_.kind == LatencyKind::kConstant; }
  // What comes on top of the fixed latency, in picoseconds; 0 if constant.
  uint64_t sample() { return constant() ? 0 : draw(); }

 private:
  uint64_t draw();
  double uniform();  // in [0, 1)
  [[nodiscard]] double from_table(double share) const;

  LatencyParameters parameters_;
  uint64_t state_ = 0;
};

}  // namespace postern::hw_model
