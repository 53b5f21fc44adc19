// The model and the RTL do the same: directed operations, short random runs, and that a difference is found, told and
// shrunk.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/equivalence/shrink.h"

namespace postern::equivalence {
namespace {

TEST(EquivalenceTest, ReproducerShowsNoDivergence) {
  const char* path = std::getenv("POSTERN_REPRODUCER");
  if (path == nullptr) GTEST_SKIP() << "POSTERN_REPRODUCER names no file";
  std::ifstream file(path);
  ASSERT_TRUE(file.good()) << path << " cannot be read";
  std::stringstream text;
  text << file.rdbuf();
  std::string error;
  const Stimulus stimulus = from_text(text.str(), error);
  ASSERT_EQ(error, "") << path;
  EXPECT_EQ(run(stimulus).difference, "");
}

// Every VI has buffers, then one kind again and again, with what it needs in between.
Stimulus directed(OperationKind kind, uint32_t rounds) {
  Stimulus stimulus;
  stimulus.setup_seed = 7;
  uint64_t seed = 100 * static_cast<uint64_t>(kind);
  for (uint32_t round = 0; round < rounds; ++round) {
    const uint32_t seat = round % kSeats;
    if (round % 4 == 0) {
      for (uint32_t each = 0; each < kSeats; ++each)
        stimulus.operations.push_back({OperationKind::kPost, each, ++seed, each + 1 == kSeats});
    }
    stimulus.operations.push_back({kind, seat, ++seed, true});
    stimulus.operations.push_back({OperationKind::kArrive, seat, ++seed, false});
    stimulus.operations.push_back({OperationKind::kSend, seat, ++seed, true});
    stimulus.operations.push_back({OperationKind::kConsume, seat, ++seed, true});
  }
  return stimulus;
}

class KindEquivalenceTest : public ::testing::TestWithParam<unsigned> {};

TEST_P(KindEquivalenceTest, DoesTheSame) {
  const auto kind = static_cast<OperationKind>(GetParam());
  const Stimulus stimulus = directed(kind, 60);
  const Outcome outcome = run(stimulus);
  if (!outcome.difference.empty())
    FAIL() << report(stimulus, outcome, "equivalence_" + std::string(operation_name(kind)));
  EXPECT_GE(outcome.counts.by_kind[GetParam()], 10u) << operation_name(kind);
}

INSTANTIATE_TEST_SUITE_P(Kinds, KindEquivalenceTest, ::testing::Range(0u, kOperationKinds),
                         [](const auto& tested) { return operation_name(static_cast<OperationKind>(tested.param)); });

TEST(EquivalenceTest, RandomOperationsDoTheSame) {
  TwinCounts sum;
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    const Stimulus stimulus = random_stimulus(seed, 1000);
    const Outcome outcome = run(stimulus);
    if (!outcome.difference.empty()) {
      FAIL() << "seed " << seed << " " << report(stimulus, outcome, "equivalence_fast_" + std::to_string(seed));
    }
    sum.done += outcome.counts.done;
    sum.rx_events += outcome.counts.rx_events;
    sum.frames += outcome.counts.frames;
    sum.interrupts += outcome.counts.interrupts;
  }
  EXPECT_GT(sum.done, 800u);
  EXPECT_GT(sum.rx_events, 400u);
  EXPECT_GT(sum.frames, 400u);
  EXPECT_GT(sum.interrupts, 50u);
}

}  // namespace
}  // namespace postern::equivalence
