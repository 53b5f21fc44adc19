// The comparison finds what a wrong device does: each kind of mistake is told as what it is. And a divergence shrinks.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

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

std::string seen_with(const std::function<void(MutantNic&)>& mutate, bool heeds_monitors = true) {
  TwinOptions options = wrong(mutate);
  options.heeds_monitors = heeds_monitors;
  const std::string difference = run(random_stimulus(5, 2000), options).difference;
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

TEST(ComparisonTest, DamagedFrameOnTheWireIsSeen) {
  const std::string seen = seen_with([](MutantNic& mutant) {
    mutant.on_frame_sent = [&mutant](const sim::FramePtr& frame) {
      if (frame->bytes.size() < 150) return false;
      auto changed = std::make_shared<sim::EthernetFrame>(*frame);
      changed->bad_fcs = true;
      mutant.send_frame(changed);
      return true;
    };
  });
  EXPECT_NE(seen.find("frames sent to"), std::string::npos) << seen;
  EXPECT_NE(seen.find("damaged"), std::string::npos) << seen;
}

TEST(ComparisonTest, BitOfATransmitEventThatMeansNothingIsSeen) {
  const std::string seen = seen_with([](MutantNic& mutant) {
    change_events(mutant, PST_EVENT_TYPE_TX, [](pst_event& event) { event.word[1] |= uint64_t{1} << 40; });
  });
  EXPECT_NE(seen.find("other bits of TX events"), std::string::npos) << seen;
}

TEST(ComparisonTest, EventSlotWrittenAgainIsSeen) {
  const std::string seen = seen_with(
      [](MutantNic& mutant) {
        mutant.on_dma = [&mutant](MutantAccess& access) {
          const uint64_t offset = (access.address - kViArea) % kViAreaBytes;
          if (access.write && access.address >= kViArea && offset == kEvq + 4 * PST_EVENT_BYTES)
            mutant.dma_write(access.address - 3 * PST_EVENT_BYTES + 4, "x", 1);
          return false;
        };
      },
      false);
  EXPECT_NE(seen.find("event queue of the rtl, slot 1:"), std::string::npos) << seen;
}

// Whatever of the VI's memory it lies in. The monitors see it too.
TEST(ComparisonTest, WriteWhereNothingIsToBeWrittenIsSeen) {
  const std::map<uint64_t, std::string> places{{kTxRing + 0x8000, "descriptor rings"},
                                               {kEvq + kEvqBytesMost, "behind the event queue"},
                                               {kTxBuffers + 0x7f000, "transmit buffers"},
                                               {kRxBuffers - 1, "behind the event queue"}};
  for (const auto& [place, what] : places) {
    const std::string seen = seen_with(
        [place = place](MutantNic& mutant) {
          mutant.on_dma = [&mutant, place](MutantAccess& access) {
            if (access.write && access.address >= kViArea && access.address < kViArea + kViAreaBytes)
              mutant.dma_write(kViArea + place, "x", 1);
            return false;
          };
        },
        false);
    EXPECT_NE(seen.find(what), std::string::npos) << seen;
  }
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

TEST(ComparisonTest, IgnoredDoorbellThatIsNotCountedIsSeen) {
  const std::string seen = seen_with([](MutantNic& mutant) {
    mutant.on_counters = [](std::vector<sim::Counter>& counters) {
      for (sim::Counter& counter : counters) {
        if (counter.name == "doorbells_ignored") counter.value = 0;
      }
    };
  });
  EXPECT_NE(seen.find("counter doorbells_ignored"), std::string::npos) << seen;
}

TEST(ComparisonTest, DivergenceShrinksToWhatItNeeds) {
  const TwinOptions options = wrong([](MutantNic& mutant) {
    change_events(mutant, PST_EVENT_TYPE_TIMER, [](pst_event& event) { event.word[0] |= uint64_t{1} << 20; });
  });
  const Stimulus stimulus = random_stimulus(5, 2000);
  const Outcome outcome = run(stimulus, options);
  ASSERT_NE(outcome.difference, "");
  const Stimulus shortest = shrink(outcome, options);
  EXPECT_NE(run(shortest, options).difference, "");
  ASSERT_EQ(shortest.operations.size(), 1u);
  EXPECT_EQ(shortest.operations[0].kind, OperationKind::kTimer);
}

// Without the timer, the frames are right and the receive events are wrong: another divergence, which needs less.
TEST(ComparisonTest, ShrunkOnesShowTheDivergenceThatWasFound) {
  const TwinOptions options = wrong([](MutantNic& mutant) {
    auto timer_seen = std::make_shared<bool>(false);
    change_events(mutant, PST_EVENT_TYPE_TIMER, [timer_seen](pst_event&) { *timer_seen = true; });
    const auto watch = mutant.on_dma;
    change_events(mutant, PST_EVENT_TYPE_RX, [timer_seen](pst_event& event) {
      if (!*timer_seen) event.word[0] ^= uint64_t{1} << 6;
    });
    mutant.on_dma = [watch, wrong_rx = mutant.on_dma](MutantAccess& access) {
      return watch(access) || wrong_rx(access);
    };
    mutant.on_frame_sent = [&mutant, timer_seen](const sim::FramePtr& frame) {
      if (!*timer_seen) return false;
      auto changed = std::make_shared<sim::EthernetFrame>(*frame);
      changed->bytes.back() ^= 1;
      mutant.send_frame(changed);
      return true;
    };
  });
  Stimulus stimulus = random_stimulus(5, 400);
  stimulus.operations.insert(stimulus.operations.begin(), {OperationKind::kTimer, 0, 1, true});
  const Outcome outcome = run(stimulus, options);
  ASSERT_EQ(difference_kind(outcome.difference).rfind("frames sent to", 0), 0u) << outcome.difference;
  const Stimulus shortest = shrink(outcome, options);
  EXPECT_EQ(difference_kind(run(shortest, options).difference), difference_kind(outcome.difference));
  ASSERT_EQ(shortest.operations.size(), 2u);
  EXPECT_EQ(shortest.operations[0].kind, OperationKind::kTimer);
}

TEST(ComparisonTest, WrongFrameOfALifeThatEndsEarlyIsSeen) {
  const TwinOptions options = wrong([](MutantNic& mutant) {
    mutant.on_frame_sent = [&mutant](const sim::FramePtr& frame) {
      auto changed = std::make_shared<sim::EthernetFrame>(*frame);
      changed->bytes.back() ^= 1;
      mutant.send_frame(changed);
      return true;
    };
  });
  Stimulus stimulus = random_stimulus(5, 20);
  for (Operation& operation : stimulus.operations) operation.kind = OperationKind::kResetBusy;
  const std::string seen = run(stimulus, options).difference;
  EXPECT_NE(seen.find("reset while busy: frames sent"), std::string::npos) << seen;
}

TEST(ComparisonTest, WrongEventOfALifeThatEndsEarlyIsSeen) {
  const TwinOptions options = wrong([](MutantNic& mutant) {
    change_events(mutant, PST_EVENT_TYPE_RX, [](pst_event& event) { event.word[0] ^= uint64_t{1} << 6; });
  });
  Stimulus stimulus;
  for (uint32_t n = 0; n < 20; ++n) {
    stimulus.operations.push_back({OperationKind::kPost, n % kSeats, n, true});
    stimulus.operations.push_back({OperationKind::kResetBusy, n % kSeats, n, true});
  }
  const std::string seen = run(stimulus, options).difference;
  EXPECT_NE(seen.find("reset while busy: RX events"), std::string::npos) << seen;
}

// A halted VI is brought back by whatever comes for it: that is a VI_RESET.
TEST(ComparisonTest, WhatWasExecutedDoesTheSame) {
  const Stimulus stimulus = random_stimulus(12, 3000);
  const TwinOptions options = wrong([](MutantNic&) {});
  const Outcome outcome = run(stimulus, options);
  ASSERT_EQ(outcome.difference, "");
  EXPECT_LT(outcome.executed.operations.size(), stimulus.operations.size());
  const auto resets = [](const Stimulus& of) {
    return std::count_if(of.operations.begin(), of.operations.end(),
                         [](const Operation& one) { return one.kind == OperationKind::kResetVi; });
  };
  EXPECT_GT(resets(outcome.executed), resets(stimulus));
  EXPECT_EQ(outcome.counts.by_kind[static_cast<size_t>(OperationKind::kResetVi)],
            static_cast<uint64_t>(resets(outcome.executed)));
  const Outcome again = run(outcome.executed, options);
  EXPECT_EQ(to_text(again.executed), to_text(outcome.executed));
  EXPECT_EQ(again.counts.done, outcome.counts.done);
  EXPECT_EQ(again.counts.frames, outcome.counts.frames);
  EXPECT_EQ(again.counts.settled, outcome.counts.settled);
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
