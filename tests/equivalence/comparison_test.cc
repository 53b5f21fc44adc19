// The comparison finds what a wrong device does: each kind of mistake is told as what it is. And a divergence shrinks.
#include <gtest/gtest.h>

#include "tests/equivalence/shrink.h"
#include "tests/sim/monitor/mutant_nic.h"

namespace postern::equivalence {
namespace {

using sim::test::MutantAccess;
using sim::test::MutantNic;

using namespace hw_model::test;  // NOLINT(google-build-using-namespace): the bench

// Both are models, which is quicker; the second one is wrong.
TwinOptions wrong(std::function<void(MutantNic&)> mutate) {
  TwinOptions options;
  options.devices = {"model", "model"};
  options.decorate = [mutate = std::move(mutate)](sim::NicDevice& inner) {
    auto mutant = std::make_unique<MutantNic>("mutant", inner);
    mutate(*mutant);
    return mutant;
  };
  return options;
}

std::string seen_with(const std::function<void(MutantNic&)>& mutate) {
  const std::string difference = run(random_stimulus(5, 2000), wrong(mutate)).difference;
  return difference.substr(0, difference.find('\n'));
}

void change_events(MutantNic& mutant, uint64_t type, const std::function<void(pst_event&)>& change) {
  mutant.on_dma = [type, change](MutantAccess& access) {
    if (!access.write || access.bytes != PST_EVENT_BYTES || access.address < kViArea) return false;
    auto& event = *reinterpret_cast<pst_event*>(access.data);
    if (pst_event_get_type(&event) == type && (access.address - kViArea) % kViAreaBytes < kRxBuffers) change(event);
    return false;
  };
}

TEST(ComparisonTest, FaultlessDevicesDoNotDiffer) {
  EXPECT_EQ(seen_with([](MutantNic&) {}), "");
}

TEST(ComparisonTest, WrongFieldOfAReceiveEventIsSeen) {
  const std::string seen = seen_with([](MutantNic& mutant) {
    change_events(mutant, PST_EVENT_TYPE_RX, [](pst_event& event) { event.word[0] ^= uint64_t{1} << 6; });
  });
  EXPECT_NE(seen.find("RX events"), std::string::npos) << seen;
}

TEST(ComparisonTest, TransmitEventWithoutItsTimeStampIsSeen) {
  const std::string seen = seen_with([](MutantNic& mutant) {
    change_events(mutant, PST_EVENT_TYPE_TX, [](pst_event& event) { event.word[0] &= ~uint64_t{0x10}; });
  });
  EXPECT_NE(seen.find("TX events with time stamps"), std::string::npos) << seen;
}

TEST(ComparisonTest, WrongTimerSequenceIsSeen) {
  const std::string seen = seen_with([](MutantNic& mutant) {
    change_events(mutant, PST_EVENT_TYPE_TIMER, [](pst_event& event) { event.word[0] ^= uint64_t{1} << 20; });
  });
  EXPECT_NE(seen.find("other events"), std::string::npos) << seen;
}

TEST(ComparisonTest, WrongByteInAReceiveBufferIsSeen) {
  const std::string seen = seen_with([](MutantNic& mutant) {
    mutant.on_dma = [](MutantAccess& access) {
      const uint64_t offset = (access.address - kViArea) % kViAreaBytes;
      if (access.write && access.address >= kViArea && offset >= kRxBuffers && access.bytes > 100) access.data[99] ^= 1;
      return false;
    };
  });
  EXPECT_NE(seen.find("buffer of RX descriptor"), std::string::npos) << seen;
}

TEST(ComparisonTest, WriteBehindTheFrameIsSeen) {
  const std::string seen = seen_with([](MutantNic& mutant) {
    mutant.on_dma = [&mutant](MutantAccess& access) {
      const uint64_t offset = (access.address - kViArea) % kViAreaBytes;
      if (access.write && access.address >= kViArea && offset >= kRxBuffers && access.bytes > 100)
        mutant.dma_write(access.address + access.bytes, "x", 1);
      return false;
    };
  });
  EXPECT_NE(seen.find("buffer of RX descriptor"), std::string::npos) << seen;
}

TEST(ComparisonTest, WrongByteOnTheWireIsSeen) {
  const std::string seen = seen_with([](MutantNic& mutant) {
    mutant.on_frame_sent = [&mutant](const sim::FramePtr& frame) {
      if (frame->bytes.size() < 150) return false;
      auto changed = std::make_shared<sim::EthernetFrame>(*frame);
      changed->bytes[140] ^= 1;
      mutant.send_frame(changed);
      return true;
    };
  });
  EXPECT_NE(seen.find("frames sent to"), std::string::npos) << seen;
}

TEST(ComparisonTest, LostInterruptIsSeen) {
  const std::string seen =
      seen_with([](MutantNic& mutant) { mutant.on_interrupt = [](uint32_t vector) { return vector == 2; }; });
  EXPECT_NE(seen.find("vector 2"), std::string::npos) << seen;
}

TEST(ComparisonTest, WrongAnswerOfARegisterIsSeen) {
  const std::string seen = seen_with([](MutantNic& mutant) {
    mutant.on_bar_answer = [](MutantAccess& access) {
      if (access.bar == PST_BAR_VI) access.data[0] ^= 1;
    };
  });
  EXPECT_NE(seen.find("of BAR2"), std::string::npos) << seen;
}

TEST(ComparisonTest, DropThatIsNotCountedIsSeen) {
  const std::string seen = seen_with([](MutantNic& mutant) {
    mutant.on_counters = [](std::vector<sim::Counter>& counters) {
      for (sim::Counter& counter : counters) {
        if (counter.name == "drops.RX_BAD_FCS") counter.value = 0;
      }
    };
  });
  EXPECT_NE(seen.find("counter drops.RX_BAD_FCS"), std::string::npos) << seen;
}

TEST(ComparisonTest, DivergenceShrinksToWhatItNeeds) {
  const TwinOptions options = wrong([](MutantNic& mutant) {
    change_events(mutant, PST_EVENT_TYPE_TIMER, [](pst_event& event) { event.word[0] |= uint64_t{1} << 20; });
  });
  const Stimulus stimulus = random_stimulus(5, 2000);
  const Outcome outcome = run(stimulus, options);
  ASSERT_NE(outcome.difference, "");
  const Stimulus shortest = shrink(stimulus, outcome, options);
  EXPECT_NE(run(shortest, options).difference, "");
  ASSERT_EQ(shortest.operations.size(), 1u);
  EXPECT_EQ(shortest.operations[0].kind, OperationKind::kTimer);
}

TEST(ComparisonTest, OperationsSurviveBeingWrittenAndRead) {
  const Stimulus stimulus = random_stimulus(9, 300);
  std::string error;
  EXPECT_EQ(to_text(from_text(to_text(stimulus), error)), to_text(stimulus));
  EXPECT_EQ(error, "");
  const std::string bad[] = {"send 6 1", "sned 1 1", "send 1", "send 1 1 settle", "setup x"};
  for (const std::string& text : bad) {
    error.clear();
    const Stimulus read = from_text("# comment\n" + text, error);
    EXPECT_TRUE(read.operations.empty());
    EXPECT_NE(error.find("line 2"), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace postern::equivalence
