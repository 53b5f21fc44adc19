// A histogram of latencies with a bounded relative error of 1/128, in fixed memory, so that a run of any length costs
// the same and two equal runs print the same digits. Count, sum, minimum and maximum are exact.
#pragma once

#include <array>
#include <cstdint>

namespace postern::sim {

class LatencyHistogram {
 public:
  void add(uint64_t value_ps) {
    buckets_[bucket_of(value_ps)]++;
    count_++;
    sum_ps_ += value_ps;
    min_ps_ = value_ps < min_ps_ ? value_ps : min_ps_;
    max_ps_ = value_ps > max_ps_ ? value_ps : max_ps_;
  }

  [[nodiscard]] uint64_t count() const { return count_; }
  [[nodiscard]] uint64_t min_ps() const { return count_ == 0 ? 0 : min_ps_; }
  [[nodiscard]] uint64_t max_ps() const { return max_ps_; }
  [[nodiscard]] uint64_t mean_ps() const { return count_ == 0 ? 0 : sum_ps_ / count_; }

  // The value below or at which the given part (0 to 1) of the samples lies: the middle of its bucket, within
  // [min, max]. 0 if empty.
  [[nodiscard]] uint64_t percentile_ps(double part) const {
    if (count_ == 0) {
      return 0;
    }
    const auto rank = static_cast<uint64_t>(part * static_cast<double>(count_ - 1));
    uint64_t seen = 0;
    for (unsigned i = 0; i < kBuckets; ++i) {
      seen += buckets_[i];
      if (seen > rank) {
        const uint64_t value = bucket_middle(i);
        return value < min_ps_ ? min_ps_ : value > max_ps_ ? max_ps_ : value;
      }
    }
    return max_ps_;
  }

 private:
  static constexpr unsigned kSubBits = 6;  // 64 buckets per power of two: half a bucket is 1/128 of the value
  static constexpr unsigned kSub = 1u << kSubBits;
  static constexpr unsigned kBuckets = (64 - kSubBits + 1) * kSub;

  static unsigned bucket_of(uint64_t value) {
    if (value < kSub) {
      return static_cast<unsigned>(value);
    }
    const unsigned shift = 63u - static_cast<unsigned>(__builtin_clzll(value)) - kSubBits;
    return (shift + 1) * kSub + static_cast<unsigned>(value >> shift) - kSub;
  }

  static uint64_t bucket_middle(unsigned bucket) {
    if (bucket < kSub) {
      return bucket;
    }
    const unsigned shift = bucket / kSub - 1;
    const uint64_t low = static_cast<uint64_t>(bucket % kSub + kSub) << shift;
    return low + ((uint64_t{1} << shift) >> 1);
  }

  std::array<uint64_t, kBuckets> buckets_{};
  uint64_t count_ = 0;
  uint64_t sum_ps_ = 0;
  uint64_t min_ps_ = UINT64_MAX;
  uint64_t max_ps_ = 0;
};

}  // namespace postern::sim
