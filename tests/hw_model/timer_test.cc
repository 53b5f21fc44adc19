// Timer events: delay, re-arming, disarming, malformed arming.
#include <gtest/gtest.h>

#include "tests/hw_model/nic_bench.h"

namespace postern::hw_model::test {
namespace {

struct Rig {
  Rig() : a("a", kMacA) {
    a.enable_admin();
    vi = std::make_unique<TestVi>(a, 0);
  }
  void arm(uint32_t delay_ns, uint64_t sequence) { vi->doorbell(PST_VI_TIMER_OFFSET, delay_ns | sequence << 32, 8); }
  std::vector<uint64_t> sequences() {
    std::vector<uint64_t> out;
    for (const auto& event : vi->events()) {
      const pst_timer_event timer{{event.word[0], event.word[1]}};
      EXPECT_EQ(pst_timer_event_get_type(&timer), PST_EVENT_TYPE_TIMER);
      out.push_back(pst_timer_event_get_sequence(&timer));
    }
    return out;
  }
  FreshKernel kernel;
  Node a;
  std::unique_ptr<TestVi> vi;
};

using Sequences = std::vector<uint64_t>;

TEST(TimerTest, FiresAfterTheDelay) {
  Rig rig;
  rig.arm(50000, 9);
  run_ns(49000);
  EXPECT_TRUE(rig.sequences().empty());
  run_ns(2000);
  EXPECT_EQ(rig.sequences(), Sequences{9});
  run_ns(100000);
  EXPECT_TRUE(rig.sequences().empty());
}

TEST(TimerTest, NewWriteReplacesAnArmedTimer) {
  Rig rig;
  rig.arm(5000, 1);
  rig.arm(20000, 2);
  run_ns(50000);
  EXPECT_EQ(rig.sequences(), Sequences{2});
}

TEST(TimerTest, ZeroDelayDisarms) {
  Rig rig;
  rig.arm(5000, 1);
  rig.arm(0, 2);
  run_ns(50000);
  EXPECT_TRUE(rig.sequences().empty());
}

TEST(TimerTest, RepeatedWriteDoesNotArmAgain) {
  Rig rig;
  rig.arm(5000, 1);
  run_ns(10000);
  EXPECT_EQ(rig.sequences(), Sequences{1});
  rig.arm(5000, 1);
  run_ns(10000);
  EXPECT_TRUE(rig.sequences().empty());
  rig.arm(5000, 2);
  run_ns(10000);
  EXPECT_EQ(rig.sequences(), Sequences{2});
}

TEST(TimerTest, SequenceZeroHaltsTheVi) {
  Rig rig;
  rig.arm(5000, 0);
  run_ns(20000);
  const auto events = rig.vi->events();
  ASSERT_EQ(events.size(), 1u);
  const pst_error_event error{{events[0].word[0], events[0].word[1]}};
  EXPECT_EQ(pst_error_event_get_code(&error), PST_ERROR_CODE_BAD_DOORBELL);
}

TEST(TimerTest, FreedViHasNoTimer) {
  Rig rig;
  rig.arm(50000, 1);
  ASSERT_EQ(rig.a.status(make_command(PST_COMMAND_VI_FREE, rig.vi->id)), PST_ERROR_CODE_OK);
  TestVi again(rig.a, 0);
  run_ns(100000);
  EXPECT_TRUE(again.events().empty());
}

}  // namespace
}  // namespace postern::hw_model::test
