// The hash of the filter table in RTL and in C++: firmware and hardware must agree on where a key's probes begin.
#include <gtest/gtest.h>

#include <cstdint>
#include <random>

#include "Vpst_rx_filter_hash.h"
#include "hw_model/filter_hash.h"

namespace postern::rtl_test {
namespace {

uint32_t by_rtl(Vpst_rx_filter_hash& dut, const hw_model::FilterKey& key) {
  for (size_t i = 0; i < key.size(); ++i) {
    dut.key_i[2 * i] = static_cast<uint32_t>(key[i]);
    dut.key_i[2 * i + 1] = static_cast<uint32_t>(key[i] >> 32);
  }
  dut.enable_i = 1;
  dut.eval();
  return dut.slot_o;
}

TEST(PstRxFilterHashTest, EveryBitOfTheKeyMovesTheSlotAsInCpp) {
  Vpst_rx_filter_hash dut;
  for (uint32_t bit = 0; bit < 384; ++bit) {
    hw_model::FilterKey key{};
    key[bit / 64] = uint64_t{1} << bit % 64;
    EXPECT_EQ(by_rtl(dut, key), hw_model::filter_hash(key)) << bit;
    EXPECT_NE(hw_model::filter_hash(key), 0u) << bit;
  }
}

TEST(PstRxFilterHashTest, RandomKeysHashAsInCpp) {
  Vpst_rx_filter_hash dut;
  std::mt19937_64 random(1);
  for (int i = 0; i < 5000; ++i) {
    hw_model::FilterKey key;
    for (auto& word : key) word = random() & random();
    ASSERT_EQ(by_rtl(dut, key), hw_model::filter_hash(key));
  }
}

}  // namespace
}  // namespace postern::rtl_test
