// The arithmetic of the PCIe link: the published pcie-bench figures, credits, ordering, tags and latency distributions.
#include "hw_model/pcie_timeline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "hw_model/pcie_properties.h"

namespace postern::hw_model::test {
namespace {

PcieParameters gen3_x8(bool split_at_rcb = false) {
  PcieParameters p;
  p.split_at_rcb = split_at_rcb;
  p.tags = 1024;
  p.propagation_ps = 140000;
  p.write_commit_ps = 150000;
  p.read_latency_ps = 250000;
  return p;
}

// Transfers back to back, each aligned to a page; the rate after the first has landed.
template <class Transfer>
double rate_gbps(uint32_t bytes, Transfer transfer) {
  constexpr uint32_t kCount = 20000;
  uint64_t first_ps = 0, last_ps = 0;
  for (uint32_t i = 0; i < kCount; ++i) {
    last_ps = transfer(static_cast<uint64_t>(i) * 4096, bytes);
    if (i == 0) first_ps = last_ps;
  }
  return static_cast<double>(bytes) * 8 * (kCount - 1) / static_cast<double>(last_ps - first_ps) * 1000;
}

double write_gbps(const PcieParameters& p, uint32_t bytes) {
  PcieTimeline link;
  link.configure(p);
  return rate_gbps(bytes, [&](uint64_t address, uint32_t n) { return link.write(0, address, n); });
}

double read_gbps(const PcieParameters& p, uint32_t bytes) {
  PcieTimeline link;
  link.configure(p);
  return rate_gbps(bytes, [&](uint64_t address, uint32_t n) { return link.read(0, address, n); });
}

TEST(PcieTimelineTest, LinkRateAfterDataLinkOverheadIsThePublishedOne) {
  EXPECT_NEAR(pcie_tlp_rate_gbps(3, 8, 256), 57.885, 0.01);
}

TEST(PcieTimelineTest, WriteThroughputAgreesWithPcieBench) {
  EXPECT_NEAR(write_gbps(gen3_x8(), 64), 42.10, 42.10 * 0.005);
  EXPECT_NEAR(write_gbps(gen3_x8(), 256), 52.92, 52.92 * 0.005);
  EXPECT_NEAR(write_gbps(gen3_x8(), 1500), 52.81, 52.81 * 0.005);
}

TEST(PcieTimelineTest, ReadThroughputInMpsCompletionsAgreesWithPcieBench) {
  EXPECT_NEAR(read_gbps(gen3_x8(), 64), 44.10, 44.10 * 0.005);
  EXPECT_NEAR(read_gbps(gen3_x8(), 256), 53.69, 53.69 * 0.005);
  EXPECT_NEAR(read_gbps(gen3_x8(), 1500), 53.60, 53.60 * 0.005);
}

TEST(PcieTimelineTest, ReadThroughputInRcbCompletionsAgreesWithPcieBench) {
  EXPECT_NEAR(read_gbps(gen3_x8(true), 64), 44.10, 44.10 * 0.005);
  EXPECT_NEAR(read_gbps(gen3_x8(true), 256), 44.10, 44.10 * 0.005);
  EXPECT_NEAR(read_gbps(gen3_x8(true), 1500), 43.85, 43.85 * 0.005);
}

// By the formula: 16 GT/s, 128/130, 16 lanes = 252.06 raw; interval (256+28)*3/16+115 = 168 byte times.
TEST(PcieTimelineTest, Generation4x16AgreesWithTheFormula) {
  PcieParameters p = gen3_x8();
  p.generation = 4;
  p.lanes = 16;
  const double link = 252.0615 * (1 - 16.0 / 168 - 4.0 / 1538);
  EXPECT_NEAR(pcie_tlp_rate_gbps(4, 16, 256), link, 0.01);
  EXPECT_NEAR(write_gbps(p, 256), link * 256 / 280, link * 0.01);
  EXPECT_NEAR(read_gbps(p, 256), link * 256 / 276, link * 0.01);
}

TEST(PcieTimelineTest, SmallDmaReadTakesWhatPcieBenchMeasured) {
  PcieTimeline link;
  link.configure(gen3_x8());
  EXPECT_NEAR(static_cast<double>(link.read(0, 0, 64)), 547e3, 20e3);
}

TEST(PcieTimelineTest, TagsLimitOutstandingReads) {
  PcieParameters p = gen3_x8();
  p.tags = 4;
  // Four reads of 64 bytes per round trip of about 550 ns.
  EXPECT_NEAR(read_gbps(p, 64), 4 * 512 / 547.0, 0.1);
}

TEST(PcieTimelineTest, UnalignedReadNeedsOneMoreCompletion) {
  PcieTimeline aligned, unaligned;
  aligned.configure(gen3_x8());
  unaligned.configure(gen3_x8());
  EXPECT_LT(aligned.read(0, 0, 256), unaligned.read(0, 32, 256));
}

TEST(PcieTimelineTest, RequestsDoNotCrossAPage) {
  PcieTimeline within, across;
  within.configure(gen3_x8());
  across.configure(gen3_x8());
  EXPECT_LT(within.write(0, 4096 - 256, 256), across.write(0, 4096 - 128, 256));
}

TEST(PcieTimelineTest, PlannedReadDoesNotDelayADoorbell) {
  PcieTimeline link;
  link.configure(gen3_x8());
  const uint64_t alone = link.host_request(0, 4);
  PcieTimeline busy;
  busy.configure(gen3_x8());
  busy.read(0, 0, 4096);
  EXPECT_EQ(busy.host_request(0, 4), alone);
}

// --- calendar

TEST(LinkCalendarTest, ATransferTakesTheFirstGapThatIsLongEnough) {
  LinkCalendar calendar;
  EXPECT_EQ(calendar.reserve(100, 50), 150u);
  EXPECT_EQ(calendar.reserve(300, 50), 350u);
  EXPECT_EQ(calendar.reserve(0, 200), 550u);  // fits neither before 100 nor between 150 and 300
  EXPECT_EQ(calendar.reserve(0, 100), 100u);  // fits exactly
  EXPECT_EQ(calendar.reserve(0, 140), 290u);  // between
  EXPECT_EQ(calendar.reserve(0, 10), 300u);   // what is left there
  EXPECT_EQ(calendar.reserve(0, 1), 551u);    // and now everything up to 550 is taken
}

TEST(LinkCalendarTest, NothingOverlapsWhateverTheOrder) {
  LinkCalendar calendar;
  std::vector<std::pair<uint64_t, uint64_t>> taken;
  uint64_t random = 1;
  for (int i = 0; i < 3000; ++i) {
    random = random * 6364136223846793005ull + 1442695040888963407ull;
    const uint64_t earliest = (random >> 33) % 100'000, duration = 1 + (random >> 20) % 60;
    const uint64_t end = calendar.reserve(earliest, duration);
    EXPECT_GE(end, earliest + duration);
    taken.emplace_back(end - duration, end);
  }
  std::sort(taken.begin(), taken.end());
  for (size_t i = 1; i < taken.size(); ++i) EXPECT_LE(taken[i - 1].second, taken[i].first);
}

TEST(LinkCalendarTest, WhatIsPlannedFarAheadClosesNoGapBeforeIt) {
  LinkCalendar calendar;
  for (uint64_t i = 0; i < 5000; ++i) {
    calendar.requested(1000);
    calendar.reserve(1'000'000 * (i + 1), 10);
  }
  EXPECT_EQ(calendar.reserve(1500, 10), 1510u);
}

TEST(PcieTimelineTest, AWriteDoesNotWaitForReadsThatWaitForTags) {
  PcieParameters p = gen3_x8();
  p.tags = 1;
  PcieTimeline link;
  link.configure(p);
  const uint64_t alone = link.write(0, 0, 64);
  link.reset();
  for (int i = 0; i < 2000; ++i) link.read(0, 0, 256);
  EXPECT_LT(link.write(1'000'000, 0, 64), 1'000'000 + 2 * alone);
}

// --- credits

// Period of count credits of a TLP: its own time, the way there, the root complex, the way back.
double credit_period_ns(double tlp_bytes) { return tlp_bytes * 8 / 57.885 + 140 + 100 + 140; }

PcieParameters with_credits(CreditLimits PcieParameters::*kind, CreditLimits limits) {
  PcieParameters p = gen3_x8();
  p.root_complex_ps = 100000;
  p.*kind = limits;
  return p;
}

TEST(PcieTimelineTest, PostedHeaderCreditsLimitSmallWrites) {
  EXPECT_NEAR(write_gbps(with_credits(&PcieParameters::posted, {4, 0}), 64), 4 * 512 / credit_period_ns(88), 0.05);
}

TEST(PcieTimelineTest, PostedDataCreditsLimitLargeWrites) {
  // 32 units are 512 bytes: two TLPs of 256 bytes.
  EXPECT_NEAR(write_gbps(with_credits(&PcieParameters::posted, {127, 32}), 256), 2 * 2048 / credit_period_ns(280), 0.1);
}

TEST(PcieTimelineTest, DataCreditsCountStartedUnits) {
  // 17 bytes take two of the 16 units of one MPS: eight TLPs at once.
  EXPECT_NEAR(write_gbps(with_credits(&PcieParameters::posted, {127, 16}), 17), 8 * 17 * 8 / credit_period_ns(41),
              0.05);
}

TEST(PcieTimelineTest, FewerDataCreditsThanOneMpsStillLetOneTlpThrough) {
  EXPECT_NEAR(write_gbps(with_credits(&PcieParameters::posted, {127, 1}), 256), 2048 / credit_period_ns(280), 0.05);
}

TEST(PcieTimelineTest, NonPostedCreditsLimitReads) {
  EXPECT_NEAR(read_gbps(with_credits(&PcieParameters::non_posted, {4, 0}), 64), 4 * 512 / credit_period_ns(24), 0.05);
}

TEST(PcieTimelineTest, CompletionCreditsLimitReads) {
  // The device takes a completion when it arrives: its credit is back after the way there and back.
  const double period_ns = 84 * 8 / 57.885 + 280;
  EXPECT_NEAR(read_gbps(with_credits(&PcieParameters::completion, {4, 0}), 64), 4 * 512 / period_ns, 0.05);
}

TEST(PcieTimelineTest, StallsAreTheTimeThatCreditsWereMissing) {
  PcieTimeline link;
  link.configure(with_credits(&PcieParameters::posted, {1, 0}));
  link.write(0, 0, 64);
  EXPECT_EQ(link.counts().posted_stall_ps, 0u);
  link.write(0, 0, 64);
  EXPECT_EQ(link.counts().posted_stall_ps, 380'000u);
  EXPECT_EQ(link.counts().credit_stalls, 1u);
  link.write(10'000'000, 0, 64);  // long since back
  EXPECT_EQ(link.counts().credit_stalls, 1u);
  EXPECT_EQ(link.counts().non_posted_stall_ps + link.counts().completion_stall_ps + link.counts().host_stall_ps, 0u);
}

TEST(PcieTimelineTest, HostWritesWaitForTheDevicesCreditsAndPassAReadThatLacksOne) {
  PcieParameters p = gen3_x8();
  p.host_posted = {2, 0};
  p.host_non_posted = {1, 0};
  PcieTimeline link;
  link.configure(p);
  const uint64_t first_read = link.host_request(0, 0);
  const uint64_t second_read = link.host_request(0, 0);
  EXPECT_GE(second_read, first_read + 280'000);
  const uint64_t first = link.host_request(0, 4);
  EXPECT_LT(first, second_read);
  const uint64_t second = link.host_request(0, 4);
  EXPECT_LT(second, second_read);
  EXPECT_GE(link.host_request(0, 4), first + 280'000);
  EXPECT_GT(link.counts().host_stall_ps, 400'000u);
}

// --- ordering

LatencyParameters slow(LatencyKind kind = LatencyKind::kExponential) {
  LatencyParameters latency;
  latency.kind = kind;
  latency.spread_ps = 1e6;
  latency.limit_ps = 20e6;
  latency.seed = 7;
  return latency;
}

TEST(PcieTimelineTest, ReadsPushWrites) {
  PcieParameters p = gen3_x8();
  p.latency = slow();
  PcieTimeline link;
  link.configure(p);
  for (int i = 0; i < 1000; ++i) {
    const uint64_t visible = link.write(0, 0, 64);
    EXPECT_GE(link.read(0, 0, 64), visible);
    EXPECT_GE(link.host_completion(0, 4), visible);
  }
}

TEST(PcieTimelineTest, AReadDoesNotWaitForWhatIsPlannedForLater) {
  constexpr uint64_t kLaterPs = 5'000'000;
  PcieTimeline link, alone;
  link.configure(gen3_x8());
  alone.configure(gen3_x8());
  const uint64_t written = link.write(0, 0, 64);
  EXPECT_EQ(alone.write(0, 0, 64), written);
  for (int i = 0; i < 200; ++i) link.write(kLaterPs, 0, 64);  // more than the link remembers one by one
  EXPECT_GT(link.read(2 * kLaterPs, 0, 64), 2 * kLaterPs);    // likewise for later: pushes all of them
  link.reset();
  EXPECT_EQ(link.write(0, 0, 64), written);
  const uint64_t later = link.write(kLaterPs, 0, 64);
  EXPECT_EQ(link.read(0, 0, 64), alone.read(0, 0, 64));
  EXPECT_GE(link.read(kLaterPs, 0, 64), later);
}

TEST(PcieTimelineTest, WritesPassAReadThatLacksATag) {
  PcieParameters p = gen3_x8();
  p.tags = 1;
  PcieTimeline link;
  link.configure(p);
  const uint64_t first_read = link.read(0, 0, 64);
  const uint64_t second_read = link.read(0, 0, 64);
  EXPECT_GE(second_read, first_read + 500'000);
  EXPECT_LT(link.write(0, 0, 64), first_read);
}

TEST(PcieTimelineTest, AReadDoesNotPassAWriteThatLacksCredits) {
  PcieTimeline link;
  link.configure(with_credits(&PcieParameters::posted, {1, 0}));
  link.write(0, 0, 64);
  const uint64_t visible = link.write(0, 0, 64);
  EXPECT_GT(link.read(0, 0, 64), visible);
}

TEST(PcieTimelineTest, ACompletionDoesNotPassADoorbellBeforeIt) {
  PcieTimeline link;
  link.configure(gen3_x8());
  uint64_t doorbell = 0;
  for (int i = 0; i < 200; ++i) doorbell = link.host_request(0, 256);  // more than a read takes
  EXPECT_GT(link.read(0, 0, 64), doorbell);
}

// Payload of two TLPs and an event, thousands of times; returns how often a later payload was visible first.
int overtakings(bool link_allows, bool relaxed) {
  PcieParameters p = gen3_x8();
  p.latency = slow();
  p.relaxed_ordering = link_allows;
  PcieTimeline link;
  link.configure(p);
  int count = 0;
  uint64_t last_payload = 0, last_event = 0;
  for (uint64_t i = 0; i < 2000; ++i) {
    const uint64_t payload = link.write(i * 100'000, i * 4096, 512, relaxed);
    const uint64_t event = link.write(i * 100'000, 16 * i, 16);
    EXPECT_GT(event, payload);     // R3
    EXPECT_GT(event, last_event);  // events in order
    if (payload < last_payload) ++count;
    last_payload = std::max(last_payload, payload);
    last_event = event;
  }
  return count;
}

TEST(PcieTimelineTest, WritesAreVisibleInOrder) { EXPECT_EQ(overtakings(false, false), 0); }

TEST(PcieTimelineTest, TheAttributeAloneRelaxesNothing) { EXPECT_EQ(overtakings(false, true), 0); }

TEST(PcieTimelineTest, StrictWritesStayInOrderOnARelaxedLink) { EXPECT_EQ(overtakings(true, false), 0); }

TEST(PcieTimelineTest, RelaxedPayloadsOvertakeEachOtherButEventsDoNotOvertakeThem) {
  EXPECT_GT(overtakings(true, true), 500);
}

// --- tags and latency

TEST(PcieTimelineTest, ATagIsFreeWhenItsOwnCompletionIsBack) {
  PcieParameters p = gen3_x8();
  p.tags = 2;
  p.latency = slow();
  int out_of_order = 0;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    p.latency.seed = seed;
    p.latency.kind = LatencyKind::kExponential;
    PcieTimeline link;
    link.configure(p);
    const uint64_t first = link.read(0, 0, 64), second = link.read(0, 0, 64);
    p.latency.kind = LatencyKind::kUniform;  // the third takes no extra time, so its return tells when it started
    p.latency.spread_ps = 0;
    link.configure(p);
    p.latency.spread_ps = 1e6;
    const uint64_t third = link.read(0, 0, 64);
    EXPECT_GE(third, std::min(first, second) + 530'000) << seed;
    EXPECT_LE(third, std::min(first, second) + 570'000) << seed;
    if (second < first) ++out_of_order;
  }
  EXPECT_GT(out_of_order, 50);
}

TEST(PcieTimelineTest, TagsOverTheMeanLatencyGiveTheReadRate) {
  PcieParameters p = gen3_x8();
  p.tags = 4;
  p.latency = slow();
  EXPECT_NEAR(read_gbps(p, 64), 4 * 512 / 1547.0, 4 * 512 / 1547.0 * 0.03);
}

TEST(PcieTimelineTest, IrregularLatencyCostsNoThroughputWhileThereAreTags) {
  PcieParameters p = gen3_x8();
  p.latency = slow(LatencyKind::kUniform);
  EXPECT_NEAR(read_gbps(p, 1500), 53.60, 53.60 * 0.02);
}

TEST(PcieTimelineTest, TheDistributionCanLeaveWritesOut) {
  PcieParameters p = gen3_x8();
  p.latency = slow();
  p.latency_of_writes = false;
  PcieTimeline link, constant;
  link.configure(p);
  constant.configure(gen3_x8());
  for (uint64_t i = 0; i < 100; ++i) {
    EXPECT_EQ(link.write(i * 1'000'000, 0, 64), constant.write(i * 1'000'000, 0, 64));
  }
  EXPECT_NE(link.read(200'000'000, 0, 64), constant.read(200'000'000, 0, 64));
}

TEST(PcieTimelineTest, QuiesceCoversAllThatIsPlanned) {
  PcieParameters p = gen3_x8();
  p.latency = slow();
  p.relaxed_ordering = true;
  PcieTimeline link;
  link.configure(p);
  uint64_t last = 0;
  for (int i = 0; i < 100; ++i) last = std::max({last, link.read(0, 0, 4096), link.write(0, 0, 1500, true)});
  EXPECT_EQ(link.quiesce_ps(), last);
}

// --- properties

TEST(PciePropertiesTest, EveryPropertyReachesItsParameter) {
  PropertySet set;
  const PcieProperties properties(set);
  double value = 3;  // a value of its own for each
  for (const char* name :
       {"tags", "posted_header_credits", "non_posted_header_credits", "completion_header_credits",
        "completion_data_credits", "host_posted_header_credits", "host_non_posted_header_credits", "latency_spread_ns",
        "latency_p50_ns", "latency_p90_ns", "latency_p99_ns", "latency_p999_ns", "latency_limit_ns", "latency_seed",
        "posted_data_credits", "host_posted_data_credits", "propagation_ns", "root_complex_ns"}) {
    ASSERT_TRUE(set.set(std::string("pcie_link.") + name, value)) << name;
    ++value;
  }
  ASSERT_TRUE(set.set("pcie_link.latency_distribution", 3));
  ASSERT_TRUE(set.set("pcie_link.relaxed_ordering", 1));
  ASSERT_TRUE(set.set("pcie_link.latency_writes", 0));
  ASSERT_TRUE(set.set("pcie_link.rcb_bytes", 128));
  const PcieParameters p = properties.parameters();
  EXPECT_EQ(p.tags, 3u);
  EXPECT_EQ(p.posted, (CreditLimits{4, 17}));
  EXPECT_EQ(p.non_posted, (CreditLimits{5, 0}));
  EXPECT_EQ(p.completion, (CreditLimits{6, 7}));
  EXPECT_EQ(p.host_posted, (CreditLimits{8, 18}));
  EXPECT_EQ(p.host_non_posted, (CreditLimits{9, 0}));
  EXPECT_EQ(p.latency.spread_ps, 10'000);
  EXPECT_EQ(p.latency.percentiles_ps, (std::array<double, 4>{11'000, 12'000, 13'000, 14'000}));
  EXPECT_EQ(p.latency.limit_ps, 15'000);
  EXPECT_EQ(p.latency.seed, 16u);
  EXPECT_EQ(p.propagation_ps, 19'000u);
  EXPECT_EQ(p.root_complex_ps, 20'000u);
  EXPECT_EQ(p.write_commit_ps, 20'000u + 50'000);
  EXPECT_EQ(p.read_latency_ps, 20'000u + 150'000);
  EXPECT_EQ(p.latency.kind, LatencyKind::kLognormal);
  EXPECT_TRUE(p.relaxed_ordering);
  EXPECT_FALSE(p.latency_of_writes);
  EXPECT_EQ(p.rcb_bytes, 128u);
}

// --- distributions

std::vector<double> samples(const LatencyParameters& parameters, size_t count = 100'000) {
  LatencySampler sampler;
  sampler.configure(parameters);
  std::vector<double> values(count);
  for (double& value : values) value = static_cast<double>(sampler.sample());
  return values;
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

double deviation(const std::vector<double>& values) {
  const double centre = mean(values);
  double sum = 0;
  for (const double value : values) sum += (value - centre) * (value - centre);
  return std::sqrt(sum / static_cast<double>(values.size()));
}

double percentile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(share * static_cast<double>(values.size()))];
}

TEST(LatencySamplerTest, ConstantAddsNothing) {
  EXPECT_EQ(percentile(samples(slow(LatencyKind::kConstant)), 0.999), 0);
}

TEST(LatencySamplerTest, UniformHasItsMoments) {
  const auto values = samples(slow(LatencyKind::kUniform));
  EXPECT_NEAR(mean(values), 0.5e6, 0.005e6);
  EXPECT_NEAR(deviation(values), 1e6 / std::sqrt(12.0), 0.005e6);
  EXPECT_LT(percentile(values, 0.99999), 1e6);
}

TEST(LatencySamplerTest, ExponentialHasItsMoments) {
  const auto values = samples(slow(LatencyKind::kExponential));
  EXPECT_NEAR(mean(values), 1e6, 0.02e6);
  EXPECT_NEAR(deviation(values), 1e6, 0.03e6);
  EXPECT_NEAR(percentile(values, 0.99), std::log(100.0) * 1e6, 0.15e6);
}

TEST(LatencySamplerTest, LognormalHasItsMedianAndMean) {
  const auto values = samples(slow(LatencyKind::kLognormal));
  EXPECT_NEAR(percentile(values, 0.5), 1e6, 0.02e6);
  EXPECT_NEAR(mean(values), std::exp(0.125) * 1e6, 0.02e6);
  EXPECT_NEAR(percentile(values, 0.8413), std::exp(0.5) * 1e6, 0.04e6);
}

TEST(LatencySamplerTest, ATableHasItsPercentiles) {
  LatencyParameters table = slow(LatencyKind::kTable);
  table.percentiles_ps = {100'000, 300'000, 2e6, 6e6};
  const auto values = samples(table, 200'000);
  EXPECT_NEAR(percentile(values, 0.25), 50'000, 1'500);
  EXPECT_NEAR(percentile(values, 0.5), 100'000, 3'000);
  EXPECT_NEAR(percentile(values, 0.9), 300'000, 20'000);
  EXPECT_NEAR(percentile(values, 0.99), 2e6, 0.15e6);
  EXPECT_NEAR(percentile(values, 0.999), 6e6, 1.2e6);
  EXPECT_LE(*std::max_element(values.begin(), values.end()), 20e6);
}

TEST(LatencySamplerTest, NoSampleIsAboveTheLimit) {
  LatencyParameters limited = slow();
  limited.limit_ps = 1.5e6;
  const auto values = samples(limited);
  EXPECT_EQ(*std::max_element(values.begin(), values.end()), 1.5e6);
}

TEST(LatencySamplerTest, EqualSeedsGiveEqualSequencesAndOthersDiffer) {
  LatencyParameters other = slow();
  EXPECT_EQ(samples(slow(), 1000), samples(other, 1000));
  other.seed = 8;
  EXPECT_NE(samples(slow(), 1000), samples(other, 1000));
}

TEST(LatencySamplerTest, ConfiguringTheSameAgainGoesOnWithTheSequence) {
  LatencySampler once, twice;
  once.configure(slow());
  twice.configure(slow());
  once.sample();
  twice.sample();
  twice.configure(slow());
  EXPECT_EQ(once.sample(), twice.sample());
}

}  // namespace
}  // namespace postern::hw_model::test
