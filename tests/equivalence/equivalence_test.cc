// The model and the RTL do the same: one kind of operation again and again, what was found before, and short random
// runs.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/equivalence/shrink.h"

namespace postern::equivalence {
namespace {

// Found before: a VI without a vector counted interrupts; the monitor took a packet whose fragments were read out of
// order for nobody's.
constexpr const char* kFound[] = {
    "setup 2469588189546311528\n"
    "replace_vi 0 13759279431491275942\nsend 0 2104442288820156922\nconsume 0 6906424943456985901\n",
    "setup 10307413207671831467\nsend 1 11437140373656224716\n"};

void expect_no_divergence(const std::string& text, const std::string& name) {
  std::string error;
  const Stimulus stimulus = from_text(text, error);
  ASSERT_EQ(error, "") << name;
  const Outcome outcome = run(stimulus);
  EXPECT_GT(outcome.counts.done, 0u) << name;
  EXPECT_TRUE(outcome.difference.empty()) << name << ": " << outcome.difference;
}

// What POSTERN_REPRODUCER names, or what was found before.
TEST(EquivalenceTest, ReproducersShowNoDivergence) {
  const char* path = std::getenv("POSTERN_REPRODUCER");
  if (path == nullptr) {
    for (const char* text : kFound) expect_no_divergence(text, text);
    return;
  }
  std::ifstream file(path);
  ASSERT_TRUE(file.good()) << path << " cannot be read";
  std::stringstream text;
  text << file.rdbuf();
  expect_no_divergence(text.str(), path);
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
  if (!outcome.difference.empty()) FAIL() << report(outcome, "equivalence_" + std::string(operation_name(kind)));
  EXPECT_GE(outcome.counts.by_kind[GetParam()], 10u) << operation_name(kind);
}

INSTANTIATE_TEST_SUITE_P(Kinds, KindEquivalenceTest, ::testing::Range(0u, kOperationKinds),
                         [](const auto& tested) { return operation_name(static_cast<OperationKind>(tested.param)); });

TEST(EquivalenceTest, ResetsOfBusyVisTearLivesInTheMiddle) {
  const Outcome outcome = run(directed(OperationKind::kResetBusy, 60));
  EXPECT_EQ(outcome.difference, "");
  EXPECT_GT(outcome.counts.torn, 20u);
}

TEST(EquivalenceTest, RandomOperationsDoTheSame) {
  TwinCounts sum;
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    const Stimulus stimulus = random_stimulus(seed, 1000);
    const Outcome outcome = run(stimulus);
    if (!outcome.difference.empty()) {
      FAIL() << "seed " << seed << " " << report(outcome, "equivalence_fast_" + std::to_string(seed));
    }
    for (unsigned kind = 0; kind < kOperationKinds; ++kind) sum.by_kind[kind] += outcome.counts.by_kind[kind];
    sum.done += outcome.counts.done;
    sum.rx_events += outcome.counts.rx_events;
    sum.frames += outcome.counts.frames;
    sum.interrupts += outcome.counts.interrupts;
    sum.other_events += outcome.counts.other_events;
    sum.answers += outcome.counts.answers;
  }
  // A little below what there was when this was written.
  EXPECT_GT(sum.done, 3500u);
  EXPECT_GT(sum.rx_events, 2500u);
  EXPECT_GT(sum.frames, 1600u);
  EXPECT_GT(sum.interrupts, 180u);
  EXPECT_GT(sum.other_events, 140u);
  EXPECT_GT(sum.answers, 530u);
  for (unsigned kind = 0; kind < kOperationKinds; ++kind)
    EXPECT_GT(sum.by_kind[kind], 0u) << operation_name(static_cast<OperationKind>(kind));
}

}  // namespace
}  // namespace postern::equivalence
