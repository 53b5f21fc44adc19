// Write-combining buffers: what leaves them, when, and in which pieces.
#include "sim/write_combining.h"

#include <gtest/gtest.h>

#include <functional>
#include <numeric>

namespace postern::sim {
namespace {

struct Write {
  uint64_t address;
  std::vector<uint8_t> bytes;
  bool operator==(const Write& other) const { return address == other.address && bytes == other.bytes; }
};

class WriteCombinerTest : public ::testing::Test {
 protected:
  WriteCombinerTest() : data_(64) { std::iota(data_.begin(), data_.end(), uint8_t{1}); }
  void store(WriteCombiner& combiner, uint64_t address, size_t bytes) {
    combiner.store(address, data_.data(), bytes, post_);
  }
  std::vector<uint8_t> data(size_t bytes) const { return {data_.begin(), data_.begin() + static_cast<long>(bytes)}; }

  std::vector<uint8_t> data_;
  std::vector<Write> writes_;
  std::function<void(uint64_t, const uint8_t*, size_t)> post_ = [this](uint64_t address, const uint8_t* bytes,
                                                                       size_t count) {
    writes_.push_back({address, {bytes, bytes + count}});
  };
};

TEST_F(WriteCombinerTest, AFullLineLeavesAtOnce) {
  WriteCombiner combiner(4);
  store(combiner, 128, 64);
  EXPECT_EQ(writes_, (std::vector<Write>{{128, data(64)}}));
  combiner.flush(post_);
  EXPECT_EQ(writes_.size(), 1u);
}

TEST_F(WriteCombinerTest, SmallStoresGatherIntoOneWrite) {
  WriteCombiner combiner(4);
  for (uint64_t offset = 0; offset < 56; offset += 8) store(combiner, 64 + offset, 8);
  EXPECT_TRUE(writes_.empty());
  store(combiner, 64 + 56, 8);
  ASSERT_EQ(writes_.size(), 1u);
  EXPECT_EQ(writes_[0].bytes.size(), 64u);
}

TEST_F(WriteCombinerTest, FlushingSendsEachRunOfBytes) {
  WriteCombiner combiner(4);
  store(combiner, 64 + 4, 8);
  store(combiner, 64 + 12, 3);
  store(combiner, 64 + 40, 24);
  combiner.flush(post_);
  ASSERT_EQ(writes_.size(), 2u);
  EXPECT_EQ(writes_[0].address, 68u);
  EXPECT_EQ(writes_[0].bytes.size(), 11u);
  EXPECT_EQ(writes_[1], (Write{104, data(24)}));
}

TEST_F(WriteCombinerTest, ALaterStoreReplacesTheBytesOfAnEarlierOne) {
  WriteCombiner combiner(4);
  store(combiner, 1, 2);
  store(combiner, 0, 2);
  combiner.flush(post_);
  EXPECT_EQ(writes_, (std::vector<Write>{{0, {1, 2, 2}}}));
}

TEST_F(WriteCombinerTest, OneLineTooManyPushesOutTheOldest) {
  WriteCombiner combiner(2);
  store(combiner, 0, 8);
  store(combiner, 64, 8);
  store(combiner, 8, 8);  // line 0 again: no new line
  EXPECT_TRUE(writes_.empty());
  store(combiner, 128, 8);
  ASSERT_EQ(writes_.size(), 1u);
  EXPECT_EQ(writes_[0].address, 0u);
  EXPECT_EQ(writes_[0].bytes.size(), 16u);
  combiner.flush(post_);
  EXPECT_EQ(writes_.size(), 3u);
}

}  // namespace
}  // namespace postern::sim
