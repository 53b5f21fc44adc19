// Sampling by inversion, or Box-Muller for the lognormal tail. See pcie_latency.h.
#include "hw_model/pcie_latency.h"

#include <algorithm>
#include <cmath>

namespace postern::hw_model {

bool LatencyParameters::operator==(const LatencyParameters& other) const {
  return kind == other.kind && spread_ps == other.spread_ps && sigma == other.sigma && limit_ps == other.limit_ps &&
         percentiles_ps == other.percentiles_ps && seed == other.seed;
}

void LatencySampler::configure(const LatencyParameters& parameters) {
  if (parameters == parameters_) return;
  parameters_ = parameters;
  state_ = parameters.seed;
}

// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
double LatencySampler::uniform() {
  uint64_t z = state_ += 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  z ^= z >> 31;
  return static_cast<double>(z >> 11) * 0x1p-53;
}

double LatencySampler::from_table(double share) const {
  constexpr std::array<double, 6> kShares{0, 0.5, 0.9, 0.99, 0.999, 1};
  std::array<double, 6> values{};
  std::copy(parameters_.percentiles_ps.begin(), parameters_.percentiles_ps.end(), values.begin() + 1);
  values[5] = parameters_.limit_ps;
  for (size_t i = 1; i < values.size(); ++i) values[i] = std::max(values[i], values[i - 1]);
  size_t i = 1;
  while (share >= kShares[i]) ++i;  // share < 1, the last point
  return values[i - 1] + (values[i] - values[i - 1]) * (share - kShares[i - 1]) / (kShares[i] - kShares[i - 1]);
}

uint64_t LatencySampler::draw() {
  constexpr double kTwoPi = 6.283185307179586;
  const double share = uniform();
  double extra_ps = 0;
  switch (parameters_.kind) {
    case LatencyKind::kConstant:
      break;
    case LatencyKind::kUniform:
      extra_ps = parameters_.spread_ps * share;
      break;
    case LatencyKind::kExponential:
      extra_ps = -parameters_.spread_ps * std::log1p(-share);
      break;
    case LatencyKind::kLognormal: {
      const double normal = std::sqrt(-2 * std::log1p(-share)) * std::cos(kTwoPi * uniform());
      extra_ps = parameters_.spread_ps * std::exp(parameters_.sigma * normal);
      break;
    }
    case LatencyKind::kTable:
      extra_ps = from_table(share);
      break;
  }
  return static_cast<uint64_t>(std::min(extra_ps, parameters_.limit_ps));
}

}  // namespace postern::hw_model
