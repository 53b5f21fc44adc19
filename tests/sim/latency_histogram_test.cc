#include "sim/latency_histogram.h"

#include <gtest/gtest.h>

namespace postern::sim {
namespace {

TEST(LatencyHistogramTest, EmptyIsAllZero) {
  const LatencyHistogram histogram;
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.min_ps(), 0u);
  EXPECT_EQ(histogram.max_ps(), 0u);
  EXPECT_EQ(histogram.percentile_ps(0.5), 0u);
}

TEST(LatencyHistogramTest, SmallValuesAreExact) {
  LatencyHistogram histogram;
  for (uint64_t value = 0; value < 64; ++value) {
    histogram.add(value);
  }
  EXPECT_EQ(histogram.percentile_ps(0.0), 0u);
  EXPECT_EQ(histogram.percentile_ps(1.0), 63u);
  EXPECT_EQ(histogram.percentile_ps(0.5), 31u);
}

TEST(LatencyHistogramTest, PercentilesAreWithinOnePartIn128) {
  LatencyHistogram histogram;
  for (uint64_t value = 1; value <= 1'000'000; ++value) {
    histogram.add(value * 1000);
  }
  for (const double part : {0.5, 0.9, 0.99}) {
    const double exact = part * 1e9;
    EXPECT_NEAR(static_cast<double>(histogram.percentile_ps(part)), exact, exact / 128 + 1000);
  }
  EXPECT_EQ(histogram.min_ps(), 1000u);
  EXPECT_EQ(histogram.max_ps(), 1'000'000'000u);
  EXPECT_EQ(histogram.mean_ps(), 500'000'500u);
}

TEST(LatencyHistogramTest, TheLargestValueHasABucket) {
  LatencyHistogram histogram;
  histogram.add(UINT64_MAX);
  EXPECT_EQ(histogram.percentile_ps(0.5), UINT64_MAX);
}

}  // namespace
}  // namespace postern::sim
