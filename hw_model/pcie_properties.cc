// Names, meanings, bounds and sources of the PCIe link's tunables. See pcie_properties.h.
#include "hw_model/pcie_properties.h"

namespace postern::hw_model {

namespace {

using sim::PropertyType;

constexpr double kMaxDelayNs = 1e6;
constexpr double kMaxHeaders = 2032;  // with scaled flow control (PCIe Base Specification 4.0, 3.4.2)
constexpr double kMaxData = 32752;    // likewise
constexpr char kHeaderSource[] = "published: PCIe Base Specification 2.6.1, most without scaled flow control";
constexpr char kInfiniteSource[] = "published: PCIe Base Specification 2.6.1, an endpoint advertises infinite credits";
constexpr char kLatencySource[] = "assumed: pcie-bench reports tails from tens of ns to several us";

std::vector<double> payload_sizes() { return {128, 256, 512, 1024, 2048, 4096}; }

}  // namespace

PcieProperties::PcieProperties(PropertySet& set)
    : generation_(set.add({"pcie_link.generation", "", "PCIe generation.", "assumed: a 10-100 Gb/s NIC of 2018", 3, 1,
                           5, PropertyType::kInteger})),
      lanes_(set.add({"pcie_link.lanes",
                      "lanes",
                      "Link width.",
                      "assumed: as generation",
                      8,
                      1,
                      16,
                      PropertyType::kInteger,
                      {1, 2, 4, 8, 16}})),
      mps_bytes_(set.add({"pcie_link.mps_bytes", "bytes", "Maximum payload size.",
                          "published: pcie-bench, common host setting", 256, 128, 4096, PropertyType::kSize,
                          payload_sizes()})),
      mrrs_bytes_(set.add({"pcie_link.mrrs_bytes", "bytes", "Maximum read request size.",
                           "published: pcie-bench, common host setting", 512, 128, 4096, PropertyType::kSize,
                           payload_sizes()})),
      rcb_bytes_(set.add({"pcie_link.rcb_bytes",
                          "bytes",
                          "Read completion boundary.",
                          "published: PCIe Base Specification 2.3.1.1",
                          64,
                          64,
                          128,
                          PropertyType::kSize,
                          {64, 128}})),
      split_at_rcb_(set.add({"pcie_link.split_at_rcb", "flag", "1: completions of RCB size; 0: of MPS size.",
                             "published: pcie-bench saw both", 0, 0, 1})),
      tags_(set.add({"pcie_link.tags", "reads", "DMA reads outstanding at once.",
                     "published: PCIe Base Specification, 8-bit tags", 256, 1, 1024})),
      relaxed_ordering_(set.add({"pcie_link.relaxed_ordering", "flag",
                                 "1: payload writes carry the relaxed ordering attribute and may become visible out of "
                                 "order among each other; events and interrupts never do.",
                                 "published: PCIe Base Specification 2.4.1, off by default", 0, 0, 1})),
      propagation_ns_(set.add({"pcie_link.propagation_ns", "ns", "One way through both link ends and the wire.",
                               "assumed: so that a 64-byte DMA read takes about 550 ns, the median that pcie-bench "
                               "reports for a Haswell Xeon",
                               140, 0, kMaxDelayNs})),
      root_complex_ns_(set.add({"pcie_link.root_complex_ns", "ns",
                                "Through the root complex, each request; then its credits are on their way back.",
                                "assumed: see propagation_ns", 100, 0, kMaxDelayNs})),
      memory_read_ns_(set.add({"pcie_link.memory_read_ns", "ns", "Memory or last-level cache read by the root complex.",
                               "assumed: see propagation_ns", 150, 0, kMaxDelayNs})),
      memory_write_ns_(
          set.add({"pcie_link.memory_write_ns", "ns", "From root complex until a write is visible to the CPU.",
                   "assumed: write into the last-level cache", 50, 0, kMaxDelayNs})),
      posted_{set.add({"pcie_link.posted_header_credits", "TLPs", "Writes that the root complex takes in at once.",
                       kHeaderSource, 127, 1, kMaxHeaders}),
              set.add({"pcie_link.posted_data_credits", "16 bytes",
                       "Write payload that the root complex takes in at once; at least one MPS.", kHeaderSource, 2047,
                       8, kMaxData})},
      non_posted_header_credits_(
          set.add({"pcie_link.non_posted_header_credits", "TLPs",
                   "Read requests that the root complex takes in at once.", kHeaderSource, 127, 1, kMaxHeaders})),
      completion_{set.add({"pcie_link.completion_header_credits", "TLPs",
                           "Read completions that the device takes in at once; 0: infinite.", kInfiniteSource, 0, 0,
                           kMaxHeaders}),
                  set.add({"pcie_link.completion_data_credits", "16 bytes",
                           "Payload of read completions that the device takes in at once, at least one MPS; 0: "
                           "infinite. Without effect while the header credits are infinite.",
                           kInfiniteSource, 0, 0, kMaxData})},
      host_posted_{
          set.add({"pcie_link.host_posted_header_credits", "TLPs",
                   "Doorbell and PIO writes that the device takes in at once.", kHeaderSource, 127, 1, kMaxHeaders}),
          set.add({"pcie_link.host_posted_data_credits", "16 bytes",
                   "Payload of doorbell and PIO writes that the device takes in at once; at least one MPS.",
                   kHeaderSource, 2047, 8, kMaxData})},
      host_non_posted_header_credits_(
          set.add({"pcie_link.host_non_posted_header_credits", "TLPs",
                   "Register reads that the device takes in at once.", kHeaderSource, 127, 1, kMaxHeaders})),
      latency_distribution_(set.add({"pcie_link.latency_distribution",
                                     "",
                                     "Of the latency that root complex and memory add to their fixed part.",
                                     "assumed: constant, as in the published pcie-bench model",
                                     0,
                                     0,
                                     4,
                                     PropertyType::kEnumeration,
                                     {},
                                     {"constant", "uniform", "exponential", "lognormal", "table"}})),
      latency_spread_ns_(set.add({"pcie_link.latency_spread_ns", "ns",
                                  "Largest extra latency (uniform), its mean (exponential) or median (lognormal).",
                                  kLatencySource, 100, 0, kMaxDelayNs})),
      latency_sigma_(set.add({"pcie_link.latency_sigma", "", "Standard deviation of the logarithm (lognormal).",
                              kLatencySource, 0.5, 0, 3})),
      latency_p50_ns_(set.add({"pcie_link.latency_p50_ns", "ns",
                               "Median of the extra latency (table); linear between the points, from 0 at 0 %.",
                               kLatencySource, 10, 0, kMaxDelayNs})),
      latency_p90_ns_(set.add({"pcie_link.latency_p90_ns", "ns",
                               "90th percentile (table); a point below the one before it counts as equal.",
                               kLatencySource, 40, 0, kMaxDelayNs})),
      latency_p99_ns_(
          set.add({"pcie_link.latency_p99_ns", "ns", "99th percentile (table).", kLatencySource, 200, 0, kMaxDelayNs})),
      latency_p999_ns_(set.add(
          {"pcie_link.latency_p999_ns", "ns", "99.9th percentile (table).", kLatencySource, 1000, 0, kMaxDelayNs})),
      latency_limit_ns_(set.add({"pcie_link.latency_limit_ns", "ns",
                                 "No extra latency is larger, whatever the distribution; 100 % of the table.",
                                 kLatencySource, 5000, 0, kMaxDelayNs})),
      latency_writes_(set.add({"pcie_link.latency_writes", "flag",
                               "1: the distribution also applies from the arrival of a write to its visibility.",
                               "assumed", 1, 0, 1})),
      latency_seed_(set.add({"pcie_link.latency_seed", "",
                             "Seed of the latencies; a new one begins them again. NICs of equal seed draw equal ones.",
                             "assumed", 1, 0, 4294967295.0, PropertyType::kInteger})) {}

PcieParameters PcieProperties::parameters() const {
  PcieParameters p;
  p.generation = static_cast<unsigned>(generation_);
  p.lanes = static_cast<unsigned>(lanes_);
  p.mps_bytes = static_cast<uint32_t>(mps_bytes_);
  p.mrrs_bytes = static_cast<uint32_t>(mrrs_bytes_);
  p.rcb_bytes = static_cast<uint32_t>(rcb_bytes_);
  p.split_at_rcb = split_at_rcb_ != 0;
  p.tags = static_cast<uint32_t>(tags_);
  p.relaxed_ordering = relaxed_ordering_ != 0;
  p.posted = posted_.limits();
  p.non_posted = {static_cast<uint32_t>(non_posted_header_credits_), 0};
  p.completion = completion_.limits();
  p.host_posted = host_posted_.limits();
  p.host_non_posted = {static_cast<uint32_t>(host_non_posted_header_credits_), 0};
  p.propagation_ps = to_ps(propagation_ns_);
  p.root_complex_ps = to_ps(root_complex_ns_);
  p.write_commit_ps = to_ps(root_complex_ns_ + memory_write_ns_);
  p.read_latency_ps = to_ps(root_complex_ns_ + memory_read_ns_);
  p.latency.kind = static_cast<LatencyKind>(latency_distribution_);
  p.latency.spread_ps = latency_spread_ns_ * 1000;
  p.latency.sigma = latency_sigma_;
  p.latency.limit_ps = latency_limit_ns_ * 1000;
  p.latency.percentiles_ps = {latency_p50_ns_ * 1000, latency_p90_ns_ * 1000, latency_p99_ns_ * 1000,
                              latency_p999_ns_ * 1000};
  p.latency.seed = static_cast<uint64_t>(latency_seed_);
  p.latency_of_writes = latency_writes_ != 0;
  return p;
}

}  // namespace postern::hw_model
