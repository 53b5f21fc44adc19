// Shares and their order. See resource_limits.h.
#include "sim/resource_limits.h"

#include <fmt/core.h>

#include <algorithm>

namespace postern::sim {
namespace {

constexpr double kExhausted = 0.95;     // a busy share from which nothing more fits in
constexpr double kBusyProcessor = 0.9;  // likewise for a thread that also has to look in vain now and then
constexpr uint64_t kOften = 100;        // one in so many events or frames met the shortage
constexpr double kWaitedFor = 0.25;     // a share of the time for which work stood still

class Difference {
 public:
  explicit Difference(const ResourceUse& use) : use_(use) {}

  [[nodiscard]] uint64_t of(const std::string& name) const {
    return value(use_.nic_after, name) - std::min(value(use_.nic_before, name), value(use_.nic_after, name));
  }
  [[nodiscard]] double share(uint64_t busy_ps) const {
    return use_.elapsed_ps == 0 ? 0 : static_cast<double>(busy_ps) / static_cast<double>(use_.elapsed_ps);
  }

 private:
  static uint64_t value(const std::vector<NamedCount>& counts, const std::string& name) {
    const auto it =
        std::find_if(counts.begin(), counts.end(), [&](const NamedCount& count) { return count.name == name; });
    return it == counts.end() ? 0 : it->value;
  }

  const ResourceUse& use_;
};

}  // namespace

ResourceLimits find_limits(const ResourceUse& use) {
  const Difference diff(use);
  ResourceLimits limits;
  limits.limited_by = "offered load";
  limits.reason = "no resource was exhausted";
  bool found = false;
  const auto timed = [&](const char* resource, double share, double threshold, const char* word) {
    share = std::min(share, 1.0);
    if (share > 0) {
      limits.shares.push_back({resource, share, 0});
    }
    if (!found && share >= threshold) {
      found = true;
      limits.limited_by = resource;
      limits.reason = fmt::format("{:.1f} % {}", share * 100, word);
    }
  };
  const auto counted = [&](const char* resource, uint64_t count, uint64_t of, const char* words) {
    if (count == 0) {
      return;
    }
    limits.shares.push_back({resource, 0, count});
    if (!found && count * kOften >= of) {
      found = true;
      limits.limited_by = resource;
      limits.reason = fmt::format("{} {}", count, words);
    }
  };
  timed("wire", diff.share(diff.of("mac.tx_busy_ps")), kExhausted, "busy");
  timed("wire to the host", diff.share(diff.of("mac.rx_busy_ps")), kExhausted, "busy");
  timed("PCIe upstream", diff.share(diff.of("pcie.upstream_busy_ps")), kExhausted, "busy");
  timed("PCIe downstream", diff.share(diff.of("pcie.downstream_busy_ps")), kExhausted, "busy");
  timed("processor", diff.share(use.cpu_busy_ps) / std::max(use.cpu_threads, 1u), kBusyProcessor, "busy");
  timed("PCIe tags", diff.share(diff.of("pcie.tag_stall_ps")), kWaitedFor, "of the time waited for");
  timed("PCIe credits", diff.share(diff.of("pcie.credit_stall_ps")), kWaitedFor, "of the time waited for");
  const uint64_t frames = diff.of("rx.frames");
  counted("event queue", diff.of("evq_stalls") + diff.of("drops.RX_EVQ_FULL"), diff.of("events"), "times full");
  counted("receive descriptors", diff.of("drops.RX_NO_DESCRIPTOR"), frames, "frames found none");
  timed("transmit buffer", diff.share(diff.of("tx.buffer_full_ps")), kWaitedFor, "of the time full");
  counted("receive buffer", diff.of("drops.RX_BUFFER_FULL"), frames, "frames found it full");
  return limits;
}

}  // namespace postern::sim
