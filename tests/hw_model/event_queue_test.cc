// Event queues: phase, credits and policies (R4, R5), primes and moderation (R6, R7), wakeups into another VI's queue.
#include <gtest/gtest.h>

#include "tests/hw_model/nic_bench.h"

namespace postern::hw_model::test {
namespace {

constexpr uint32_t kVector = 5;

// A VI that receives every unicast frame of the node.
struct Rig {
  explicit Rig(const ViOptions& options) : a("a", kMacA) {
    a.enable_admin();
    vi = std::make_unique<TestVi>(a, 0, options);
    EXPECT_EQ(vi->alloc_status, PST_ERROR_CODE_OK);
    EXPECT_EQ(vi->add_filter(PST_FILTER_MATCH_MAC,
                             [](pst_command& c) { pst_filter_insert_set_local_address_lo(&c, 0x0a00004e5002ull); }),
              PST_ERROR_CODE_OK);
    vi->post_rx(options.rx_entries);
    run_ns(2000);
    UdpSpec spec;
    spec.destination = kMacA;
    spec.source = kMacB;
    frame = udp_frame(spec);
  }
  // Frames one by one, far enough apart to be seen on their own.
  void receive(uint32_t count, bool consume = false, uint64_t gap_ns = 100) {
    for (uint32_t i = 0; i < count; ++i) {
      arrive(a, frame);
      run_ns(gap_ns);
      if (consume && vi->next_event()) {
        vi->return_space();
        vi->post_rx(1);
      }
    }
    run_ns(2000);
  }
  FreshKernel kernel;
  Node a;
  std::unique_ptr<TestVi> vi;
  std::vector<uint8_t> frame;
};

ViOptions with(uint32_t policy, uint32_t evq_entries = 128, uint32_t rx_entries = 512) {
  ViOptions options;
  options.policy = policy;
  options.evq_entries = evq_entries;
  options.rx_entries = rx_entries;
  options.vector = kVector;
  return options;
}

pst_rx_event as_rx(const pst_event& event) { return {{event.word[0], event.word[1]}}; }
pst_error_event as_error(const pst_event& event) { return {{event.word[0], event.word[1]}}; }

TEST(EventQueueTest, PhaseFlipsAtEachWrap) {
  Rig rig(with(PST_EVQ_POLICY_STALL));
  for (uint32_t i = 0; i < 3 * 128; ++i) {
    arrive(rig.a, rig.frame);
    run_ns(1500);
    const auto& slot = rig.a.at<pst_event>(rig.vi->base + kEvq + i % 128 * PST_EVENT_BYTES);
    ASSERT_EQ(pst_event_get_phase(&slot), i / 128 % 2 == 0 ? 1u : 0u) << i;
    ASSERT_TRUE(rig.vi->next_event());
    ASSERT_FALSE(rig.vi->has_event());
    rig.vi->return_space();
    rig.vi->post_rx(1);
  }
}

TEST(EventQueueTest, StallHoldsFramesBackAndDeliversThemWhenSpaceReturns) {
  Rig rig(with(PST_EVQ_POLICY_STALL));
  rig.receive(128 + 40);
  EXPECT_EQ(rig.vi->events().size(), 128u);
  EXPECT_EQ(rig.a.drops_total("RX"), 0u);
  rig.vi->return_space();
  run_ns(5000);
  EXPECT_EQ(rig.vi->events().size(), 40u);
  EXPECT_EQ(rig.a.counter("rx.delivered"), 168u);
  EXPECT_EQ(rig.a.counter("vi0.credits_low_water"), 0u);
  EXPECT_EQ(rig.a.counter("vi0.evq_depth_max"), 128u);
}

TEST(EventQueueTest, StallDropsAtThePortWhenItsShareOfTheBufferIsFull) {
  Rig rig(with(PST_EVQ_POLICY_STALL, 128, 2048));
  const uint32_t share_frames = 262144 / 8 / 60;
  rig.receive(128 + share_frames + 10, false, 10);
  EXPECT_EQ(rig.a.counter("drops.RX_BUFFER_FULL"), 10u);
  EXPECT_EQ(rig.a.counter("rx.delivered"), 128u);
}

TEST(EventQueueTest, DropCountsAndMarksTheNextEvent) {
  Rig rig(with(PST_EVQ_POLICY_DROP));
  rig.receive(128 + 7);
  EXPECT_EQ(rig.a.counter("drops.RX_EVQ_FULL"), 7u);
  EXPECT_EQ(rig.a.counter("vi0.events_dropped"), 7u);
  auto events = rig.vi->events();
  ASSERT_EQ(events.size(), 128u);
  for (const auto& event : events) EXPECT_EQ(pst_event_get_overflow_mark(&event), 0u);
  rig.vi->return_space();
  run_ns(1000);
  rig.receive(2);
  events = rig.vi->events();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(pst_event_get_overflow_mark(&events[0]), 1u);
  EXPECT_EQ(pst_event_get_overflow_mark(&events[1]), 0u);
  const pst_rx_event rx = as_rx(events[0]);
  EXPECT_EQ(pst_rx_event_get_rx_consumer_idx(&rx), 129u);  // dropped frames took no descriptor
}

TEST(EventQueueTest, HaltStopsTheViAndTellsItWhenThereIsSpace) {
  Rig rig(with(PST_EVQ_POLICY_HALT));
  rig.receive(128 + 3);
  auto events = rig.vi->events();
  ASSERT_EQ(events.size(), 128u);
  for (const auto& event : events) EXPECT_EQ(pst_event_get_type(&event), PST_EVENT_TYPE_RX);
  EXPECT_EQ(rig.a.counter("drops.RX_EVQ_FULL"), 1u);
  EXPECT_EQ(rig.a.counter("drops.RX_VI_HALTED"), 2u);
  rig.vi->return_space();
  run_ns(2000);
  events = rig.vi->events();
  ASSERT_EQ(events.size(), 1u);
  const pst_error_event error = as_error(events[0]);
  EXPECT_EQ(pst_error_event_get_type(&error), PST_EVENT_TYPE_ERROR);
  EXPECT_EQ(pst_error_event_get_code(&error), PST_ERROR_CODE_QUEUE_OVERFLOW);
  EXPECT_EQ(pst_error_event_get_source(&error), PST_ERROR_SOURCE_EVQ);
}

// The queue is full, so the error event has to wait; the wakeup for the events that are there does not get lost.
TEST(EventQueueTest, HaltWithAFullQueueKeepsThePlannedWakeup) {
  constexpr uint64_t kHoldoffNs = 200'000;
  ViOptions options = with(PST_EVQ_POLICY_HALT);
  options.holdoff_ns = kHoldoffNs;
  options.holdoff_events = 1000;
  Rig rig(options);
  rig.vi->prime();
  run_ns(1000);
  const uint64_t start_ps = now_ps();
  rig.receive(128);
  EXPECT_TRUE(rig.a.interrupts.empty());
  rig.receive(1);  // finds no space and halts the VI
  EXPECT_EQ(rig.a.counter("drops.RX_EVQ_FULL"), 1u);
  run_ns(2 * kHoldoffNs);
  ASSERT_EQ(rig.a.interrupts.size(), 1u);
  EXPECT_GE(rig.a.interrupts[0].time_ps - start_ps, kHoldoffNs * 1000);
  EXPECT_EQ(rig.vi->events().size(), 128u);
  rig.vi->return_space();
  run_ns(2000);
  const auto events = rig.vi->events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(pst_event_get_type(&events[0]), PST_EVENT_TYPE_ERROR);
}

TEST(EventQueueTest, TxCompletionWaitsForSpaceUnderStall) {
  Rig rig(with(PST_EVQ_POLICY_STALL));
  rig.receive(128);
  rig.vi->send(udp_frame());
  run_ns(5000);
  EXPECT_EQ(rig.a.wire.size(), 1u);
  EXPECT_EQ(rig.vi->events().size(), 128u);
  rig.vi->return_space();
  run_ns(2000);
  const auto events = rig.vi->events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(pst_event_get_type(&events[0]), PST_EVENT_TYPE_TX);
}

TEST(EventQueueTest, PrimeAfterLateEventFiresAtOnce) {
  Rig rig(with(PST_EVQ_POLICY_STALL));
  rig.receive(1);
  EXPECT_TRUE(rig.a.interrupts.empty());
  rig.vi->prime();  // says that nothing is consumed, though an event is there
  run_ns(2000);
  ASSERT_EQ(rig.a.interrupts.size(), 1u);
  EXPECT_EQ(rig.a.interrupts[0].vector, kVector);
}

TEST(EventQueueTest, PrimedQueueFiresOnceForManyEvents) {
  Rig rig(with(PST_EVQ_POLICY_STALL));
  rig.vi->prime();
  run_ns(1000);
  rig.receive(10);
  EXPECT_EQ(rig.a.interrupts.size(), 1u);
  EXPECT_EQ(rig.a.counter("vi0.interrupts"), 1u);
  EXPECT_EQ(rig.a.counter("vi0.primes"), 1u);
}

TEST(EventQueueTest, RepeatedPrimeWriteIsOnePrime) {
  Rig rig(with(PST_EVQ_POLICY_STALL));
  rig.receive(1);
  const uint64_t value = rig.vi->prime_value();
  for (int i = 0; i < 5; ++i) {
    rig.vi->doorbell(PST_VI_EVQ_PRIME_OFFSET, value, 8);
    run_ns(1000);
  }
  EXPECT_EQ(rig.a.interrupts.size(), 1u);
}

TEST(EventQueueTest, PrimeInHalvesTriggersWithTheHighOne) {
  Rig rig(with(PST_EVQ_POLICY_STALL));
  rig.receive(1);
  const uint64_t value = rig.vi->prime_value();
  rig.vi->doorbell(PST_VI_EVQ_PRIME_OFFSET, value & 0xffffffff, 4);
  run_ns(1000);
  EXPECT_TRUE(rig.a.interrupts.empty());
  rig.vi->doorbell(PST_VI_EVQ_PRIME_OFFSET + 4, value >> 32, 4);
  run_ns(1000);
  EXPECT_EQ(rig.a.interrupts.size(), 1u);
}

// R6 and R7 whatever the interleaving: the prime's write is swept around the event in steps of a nanosecond.
TEST(EventQueueTest, NoWakeupIsLostWhereverThePrimeFallsAroundTheEvent) {
  Rig rig(with(PST_EVQ_POLICY_STALL));
  for (int64_t offset_ns = -600; offset_ns <= 600; ++offset_ns) {
    const size_t before = rig.a.interrupts.size();
    if (offset_ns < 0) {
      rig.vi->prime();
      run_ns(static_cast<uint64_t>(-offset_ns));
      arrive(rig.a, rig.frame);
    } else {
      arrive(rig.a, rig.frame);
      if (offset_ns > 0) run_ns(static_cast<uint64_t>(offset_ns));
      rig.vi->prime();
    }
    run_ns(3000);
    ASSERT_EQ(rig.a.interrupts.size(), before + 1) << "prime " << offset_ns << " ns after the frame";
    ASSERT_TRUE(rig.vi->next_event());
    rig.vi->return_space();
    rig.vi->post_rx(1);
    run_ns(1000);
    ASSERT_EQ(rig.a.interrupts.size(), before + 1) << "a second interrupt for one prime";
  }
}

TEST(EventQueueTest, EventIsInMemoryBeforeItsInterrupt) {
  Rig rig(with(PST_EVQ_POLICY_STALL));
  rig.a.record_dma = true;
  rig.vi->prime();
  run_ns(1000);
  rig.receive(1);
  ASSERT_EQ(rig.a.interrupts.size(), 1u);
  ASSERT_GE(rig.a.dma.size(), 2u);
  const auto& payload = rig.a.dma[0];
  const auto& event = rig.a.dma[1];
  EXPECT_TRUE(payload.write && payload.bytes == 60);
  EXPECT_TRUE(event.write && event.bytes == PST_EVENT_BYTES);
  EXPECT_LE(payload.time_ps, event.time_ps);
  EXPECT_LT(event.time_ps, rig.a.interrupts[0].time_ps);
}

TEST(EventQueueTest, HoldOffKeepsWakeupsApart) {
  ViOptions options = with(PST_EVQ_POLICY_STALL);
  options.holdoff_ns = 20000;
  Rig rig(options);
  for (int i = 0; i < 40; ++i) {
    rig.vi->prime();
    arrive(rig.a, rig.frame);
    run_ns(2000);
    while (rig.vi->next_event()) rig.vi->post_rx(1);
  }
  run_ns(30000);
  ASSERT_GE(rig.a.interrupts.size(), 4u);
  ASSERT_LE(rig.a.interrupts.size(), 6u);
  for (size_t i = 1; i < rig.a.interrupts.size(); ++i) {
    EXPECT_GE(rig.a.interrupts[i].time_ps - rig.a.interrupts[i - 1].time_ps, 20'000'000u);
  }
}

TEST(EventQueueTest, HoldOffCountFiresAtTheCount) {
  ViOptions options = with(PST_EVQ_POLICY_STALL);
  options.holdoff_ns = 1'000'000;
  options.holdoff_events = 4;
  Rig rig(options);
  rig.vi->prime();
  run_ns(1000);
  rig.receive(3);
  EXPECT_TRUE(rig.a.interrupts.empty());
  rig.receive(1);
  EXPECT_EQ(rig.a.interrupts.size(), 1u);
}

TEST(EventQueueTest, HoldOffCountFiresAtTheTimeWhenTheCountIsNotReached) {
  ViOptions options = with(PST_EVQ_POLICY_STALL);
  options.holdoff_ns = 50000;
  options.holdoff_events = 4;
  Rig rig(options);
  rig.vi->prime();
  run_ns(1000);
  const uint64_t start_ps = now_ps();
  rig.receive(1);
  EXPECT_TRUE(rig.a.interrupts.empty());
  run_ns(60000);
  ASSERT_EQ(rig.a.interrupts.size(), 1u);
  EXPECT_GE(rig.a.interrupts[0].time_ps - start_ps, 50'000'000u);
}

TEST(EventQueueTest, PrimeThatHasConsumedEverythingCancelsAWaitingWakeup) {
  ViOptions options = with(PST_EVQ_POLICY_STALL);
  options.holdoff_ns = 20000;
  options.holdoff_events = 4;
  Rig rig(options);
  rig.vi->prime();
  run_ns(1000);
  rig.receive(1);
  ASSERT_TRUE(rig.vi->next_event());
  rig.vi->prime();
  run_ns(60000);
  EXPECT_TRUE(rig.a.interrupts.empty());  // nothing beyond the new index
  rig.receive(1);
  run_ns(30000);
  EXPECT_EQ(rig.a.interrupts.size(), 1u);
}

TEST(EventQueueTest, ConsumerIndexBeyondTheProducerHaltsTheVi) {
  Rig rig(with(PST_EVQ_POLICY_STALL));
  rig.vi->doorbell(PST_VI_EVQ_CONSUMER_OFFSET, 1);
  run_ns(2000);
  const auto events = rig.vi->events();
  ASSERT_EQ(events.size(), 1u);
  const pst_error_event error = as_error(events[0]);
  EXPECT_EQ(pst_error_event_get_code(&error), PST_ERROR_CODE_BAD_DOORBELL);
}

// What a device that polls a doorbell page may see: the two registers in the other order than they were written.
TEST(EventQueueTest, ConsumerIndexBehindAPrimesIsStaleAndHarmless) {
  Rig rig(with(PST_EVQ_POLICY_STALL));
  rig.receive(4);
  rig.vi->doorbell(PST_VI_EVQ_PRIME_OFFSET, 4 | 1ull << 32, 8);
  rig.vi->doorbell(PST_VI_EVQ_CONSUMER_OFFSET, 3);
  run_ns(3000);
  EXPECT_TRUE(rig.a.interrupts.empty());
  EXPECT_EQ(rig.vi->events().size(), 4u);  // no error event
  rig.receive(1);
  EXPECT_EQ(rig.a.interrupts.size(), 1u);
}

TEST(EventQueueTest, PrimeBehindTheConsumerIndexFiresAtOnce) {
  Rig rig(with(PST_EVQ_POLICY_STALL));
  rig.receive(4);
  rig.vi->doorbell(PST_VI_EVQ_CONSUMER_OFFSET, 4);
  rig.vi->doorbell(PST_VI_EVQ_PRIME_OFFSET, 2 | 1ull << 32, 8);
  run_ns(3000);
  EXPECT_EQ(rig.a.interrupts.size(), 1u);
  EXPECT_EQ(rig.vi->events().size(), 4u);
}

TEST(EventQueueTest, ConsumerIndexMoreThanARingBehindHaltsTheVi) {
  Rig rig(with(PST_EVQ_POLICY_STALL));
  rig.vi->doorbell(PST_VI_EVQ_CONSUMER_OFFSET, static_cast<uint32_t>(-129));
  run_ns(2000);
  ASSERT_EQ(rig.vi->events().size(), 1u);
}

TEST(EventQueueTest, PrimeWithoutASequenceHaltsTheVi) {
  Rig rig(with(PST_EVQ_POLICY_STALL));
  rig.receive(1);
  rig.vi->doorbell(PST_VI_EVQ_PRIME_OFFSET, 1, 8);  // consumer index 1, sequence 0
  run_ns(2000);
  const auto events = rig.vi->events();
  ASSERT_EQ(events.size(), 2u);
  const pst_error_event error = as_error(events[1]);
  EXPECT_EQ(pst_error_event_get_code(&error), PST_ERROR_CODE_BAD_DOORBELL);
}

TEST(EventQueueTest, ErrorEventWakesAPrimedQueue) {
  Rig rig(with(PST_EVQ_POLICY_STALL));
  rig.vi->prime();
  run_ns(1000);
  rig.vi->doorbell(PST_VI_TX_DOORBELL_OFFSET, 100000);
  run_ns(2000);
  EXPECT_EQ(rig.a.interrupts.size(), 1u);
}

// The first VI's wakeups go to the second one's queue.
void bind_wakeups(Rig& rig, const TestVi& target) {
  pst_command bind = make_command(PST_COMMAND_MSIX_BIND, rig.vi->id);
  pst_msix_bind_set_vector(&bind, PST_VECTOR_NONE);
  pst_msix_bind_set_to_vi(&bind, 1);
  pst_msix_bind_set_wakeup_vi(&bind, target.id);
  ASSERT_EQ(rig.a.status(bind), PST_ERROR_CODE_OK);
}

TEST(EventQueueTest, WakeupGoesToAnotherVisQueue) {
  Rig rig(with(PST_EVQ_POLICY_STALL));
  TestVi target(rig.a, 1);
  bind_wakeups(rig, target);
  rig.vi->prime();
  run_ns(1000);
  rig.receive(3);
  EXPECT_TRUE(rig.a.interrupts.empty());
  const auto events = target.events();
  ASSERT_EQ(events.size(), 1u);
  const pst_wakeup_event wakeup{{events[0].word[0], events[0].word[1]}};
  EXPECT_EQ(pst_wakeup_event_get_type(&wakeup), PST_EVENT_TYPE_WAKEUP);
  EXPECT_EQ(pst_wakeup_event_get_vi_id(&wakeup), rig.vi->id);
}

TEST(EventQueueTest, WakeupsDoNotGoToTheViThatTakesTheTargetsNumber) {
  Rig rig(with(PST_EVQ_POLICY_STALL));
  TestVi target(rig.a, 1);
  bind_wakeups(rig, target);
  ASSERT_EQ(rig.a.status(make_command(PST_COMMAND_VI_FREE, target.id)), PST_ERROR_CODE_OK);
  TestVi stranger(rig.a, 2);
  ASSERT_EQ(stranger.id, target.id);
  rig.vi->prime();
  run_ns(1000);
  rig.receive(1);
  run_ns(200'000);
  EXPECT_TRUE(stranger.events().empty());
  EXPECT_EQ(rig.a.counter("events_lost"), 1u);
}

// R10: the target's queue is full, so the wakeup waits; its VI is gone when there is space.
TEST(EventQueueTest, WakeupThatWaitsGoesWithItsVi) {
  for (const unsigned opcode : {PST_COMMAND_VI_RESET, PST_COMMAND_VI_FREE}) {
    Rig rig(with(PST_EVQ_POLICY_STALL));
    ViOptions small;
    small.evq_entries = 128;
    TestVi target(rig.a, 1, small);
    bind_wakeups(rig, target);
    for (uint32_t i = 0; i < 128; ++i) {
      target.queue_tx(udp_frame(), [](pst_tx_desc& d) { pst_tx_desc_set_complete(&d, 1); });
      target.ring_tx();
      run_ns(200);
    }
    run_ns(5000);
    rig.vi->prime();
    run_ns(1000);
    rig.receive(1);
    ASSERT_EQ(rig.a.status(make_command(opcode, rig.vi->id)), PST_ERROR_CODE_OK);
    ASSERT_EQ(target.events().size(), 128u);
    target.return_space();
    run_ns(2000);
    EXPECT_TRUE(target.events().empty());
  }
}

TEST(EventQueueTest, ModerationSetTakesEffectOnAWaitingWakeup) {
  ViOptions options = with(PST_EVQ_POLICY_STALL);
  options.holdoff_ns = 10'000'000;
  options.holdoff_events = 100;
  Rig rig(options);
  rig.vi->prime();
  run_ns(1000);
  rig.receive(2);
  EXPECT_TRUE(rig.a.interrupts.empty());
  pst_command c = make_command(PST_COMMAND_MODERATION_SET, rig.vi->id);
  ASSERT_EQ(rig.a.status(c), PST_ERROR_CODE_OK);
  run_ns(1000);
  EXPECT_EQ(rig.a.interrupts.size(), 1u);
}

// MODERATION_SET.ADAPTIVE, step by step: each wakeup judges how many events came since the one before.
TEST(EventQueueTest, AdaptiveHoldOffDoublesUnderLoadAndHalvesWithoutIt) {
  constexpr uint64_t kMostNs = 64000;
  ViOptions options = with(PST_EVQ_POLICY_STALL, 512);
  Rig rig(options);
  pst_command c = make_command(PST_COMMAND_MODERATION_SET, rig.vi->id);
  pst_moderation_set_set_holdoff_ns(&c, kMostNs);
  pst_moderation_set_set_holdoff_events(&c, 100);  // has no effect
  pst_moderation_set_set_adaptive(&c, 1);
  ASSERT_EQ(rig.a.status(c), PST_ERROR_CODE_OK);
  EXPECT_EQ(rig.a.counter("vi0.adaptive"), 1u);
  const auto wakeup_after = [&rig](uint32_t event_count) {
    const size_t before = rig.a.interrupts.size();
    for (uint32_t i = 0; i < event_count; ++i) arrive(rig.a, rig.frame);
    run_ns(2 * kMostNs);
    EXPECT_EQ(rig.a.interrupts.size(), before);  // not primed
    rig.vi->prime();
    run_ns(2 * kMostNs);
    EXPECT_EQ(rig.a.interrupts.size(), before + 1);
    while (rig.vi->next_event()) rig.vi->post_rx(1);
    rig.vi->return_space();
    return rig.a.counter("vi0.holdoff_ns");
  };
  EXPECT_EQ(rig.a.counter("vi0.holdoff_ns"), 0u);
  for (const uint64_t expected : {4000u, 8000u, 16000u, 32000u, 64000u, 64000u}) EXPECT_EQ(wakeup_after(8), expected);
  EXPECT_EQ(wakeup_after(7), 64000u);
  EXPECT_EQ(wakeup_after(2), 64000u);
  for (const uint64_t expected : {32000u, 16000u, 8000u, 4000u, 0u, 0u}) EXPECT_EQ(wakeup_after(1), expected);
  EXPECT_EQ(wakeup_after(100), 4000u);
}

TEST(EventQueueTest, AdaptiveHoldOffKeepsWakeupsApartByItsPresentTime) {
  Rig rig(with(PST_EVQ_POLICY_STALL, 512));
  pst_command c = make_command(PST_COMMAND_MODERATION_SET, rig.vi->id);
  pst_moderation_set_set_holdoff_ns(&c, 160000);
  pst_moderation_set_set_adaptive(&c, 1);
  ASSERT_EQ(rig.a.status(c), PST_ERROR_CODE_OK);
  for (int i = 0; i < 8; ++i) arrive(rig.a, rig.frame);
  run_ns(3000);
  rig.vi->prime();
  run_ns(1000);
  ASSERT_EQ(rig.a.interrupts.size(), 1u);  // at once: the time is still 0; from here on it is 10 us
  while (rig.vi->next_event()) continue;
  rig.vi->prime();
  rig.receive(1);
  run_ns(20000);
  ASSERT_EQ(rig.a.interrupts.size(), 2u);
  const uint64_t apart_ps = rig.a.interrupts[1].time_ps - rig.a.interrupts[0].time_ps;
  EXPECT_GE(apart_ps, 10'000'000u);
  EXPECT_LE(apart_ps, 11'000'000u);
  // An explicit hold-off ends the adaptation.
  pst_moderation_set_set_adaptive(&c, 0);
  ASSERT_EQ(rig.a.status(c), PST_ERROR_CODE_OK);
  EXPECT_EQ(rig.a.counter("vi0.adaptive"), 0u);
  EXPECT_EQ(rig.a.counter("vi0.holdoff_ns"), 160000u);
}

// Every size of the contract fills to its last slot, stalls there, goes on after the wrap and counts its depths.
TEST(EventQueueTest, QueuesOfAllSizesFillStallAndWrap) {
  for (uint32_t entries = PST_LIMIT_EVQ_ENTRIES_MIN; entries <= PST_LIMIT_EVQ_ENTRIES_MAX; entries *= 2) {
    Rig rig(with(PST_EVQ_POLICY_STALL, entries, 4096));
    rig.a.record_wire = false;
    uint32_t given = 0;
    const auto timer_event = [&rig, &given] {
      rig.vi->doorbell(
          PST_VI_TIMER_OFFSET,
          uint64_t{1} << PST_VI_TIMER_DELAY_NS_SHIFT | uint64_t{given++ % 0xffff + 1} << PST_VI_TIMER_SEQUENCE_SHIFT,
          8);
      run_ns(100);
    };
    // Timer events need no descriptors: one each, up to the brim.
    for (uint32_t i = 0; i < entries; ++i) timer_event();
    run_ns(2000);
    ASSERT_EQ(rig.a.counter("vi0.events"), entries);
    EXPECT_EQ(rig.a.counter("vi0.evq_stalls"), 0u);
    timer_event();
    run_ns(2000);
    ASSERT_EQ(rig.a.counter("vi0.events"), entries) << "an unconsumed event was overwritten";
    EXPECT_EQ(rig.a.counter("vi0.evq_stalls"), 1u);
    EXPECT_EQ(rig.vi->events().size(), entries);
    rig.vi->return_space();
    run_ns(2000);
    EXPECT_EQ(rig.vi->events().size(), 1u);
    EXPECT_EQ(rig.a.counter("vi0.evq_depth_max"), entries);
    EXPECT_EQ(rig.a.counter("vi0.evq_depth_le_" + std::to_string(entries)), entries / 2);
    EXPECT_EQ(rig.a.counter("vi0.evq_depth_le_1"), 2u);
  }
}

TEST(EventQueueTest, HistogramCountsDepthsByPowersOfTwoAndLeavesOutEmptyOnes) {
  Rig rig(with(PST_EVQ_POLICY_STALL));
  rig.receive(9);
  const std::pair<const char*, uint64_t> expected[] = {{"1", 1}, {"2", 1}, {"4", 2}, {"8", 4}, {"16", 1}};
  for (const auto& [bound, count] : expected)
    EXPECT_EQ(rig.a.counter(std::string("vi0.evq_depth_le_") + bound), count) << bound;
  size_t buckets = 0;
  for (const sim::Counter& counter : rig.a.nic.counters()) buckets += counter.name.rfind("vi0.evq_depth_le_", 0) == 0;
  EXPECT_EQ(buckets, std::size(expected));
}

}  // namespace
}  // namespace postern::hw_model::test
