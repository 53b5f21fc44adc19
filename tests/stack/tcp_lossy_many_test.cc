// The long form of tcp_lossy_test.cc: two hundred transfers of 1 MiB.
#include "tests/stack/lossy_transfer.h"

namespace postern::stack::test {
namespace {

TEST(TcpLossyManyTest, TwoHundredTransfersOverABadWireArriveIntact) {
  for (uint64_t seed = 1000; seed < 1200; ++seed) transfer(seed, kMiB, false, kBadWire);
}

TEST(TcpLossyManyTest, HeavyLossBothWaysWithoutSack) {
  for (uint64_t seed = 2000; seed < 2020; ++seed) {
    transfer(seed, kMiB / 4, true, {0.15, 0.05, 0.2, 2'000'000}, [](StackConfig& config) { config.tcp_sack = 0; });
  }
}

}  // namespace
}  // namespace postern::stack::test
