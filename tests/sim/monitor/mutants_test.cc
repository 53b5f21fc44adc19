// For each rule a NIC, and where software can break it a driver, that the monitor catches under exactly that rule; and
// the same run without the mutation is clean.
#include <gtest/gtest.h>

#include "tests/hw_model/nic_bench.h"
#include "tests/sim/monitor/mutant_nic.h"

namespace postern::sim::test {
namespace {

using namespace hw_model::test;

constexpr uint64_t kBase0 = kViArea;  // of the first VI's area

uint32_t add_udp_filter(TestVi& vi) {
  return vi.add_filter(PST_FILTER_MATCH_LISTENER_ANY,
                       [](pst_command& c) { pst_filter_insert_set_local_port(&c, 2000); });
}

// One NIC with a mutation, and a VI that receives on port 2000 and may send.
class MutantTest : public ::testing::Test {
 protected:
  void build(const ViOptions& options = {}, uint32_t vi_count = 1) {
    NodeOptions node_options;
    node_options.decorate = [this](NicDevice& inner) {
      auto made = std::make_unique<MutantNic>("mutant", inner);
      mutant = made.get();
      return made;
    };
    node = std::make_unique<Node>("a", kMacA, node_options);
    node->enable_admin();
    for (uint32_t i = 0; i < vi_count; ++i) vis.push_back(std::make_unique<TestVi>(*node, i, options));
    vi = this->vis[0].get();
    ASSERT_EQ(add_udp_filter(*vi), 0u);
    vi->post_rx(64);
    run_ns(5000);
  }
  void TearDown() override {
    if (!node) return;
    run_ns(200'000'000);  // beyond every bound
    node->finish_monitor();
    vis.clear();
  }
  static bool is_event(const MutantAccess& access, uint64_t base = kBase0) {
    return access.write && access.address >= base + kEvq && access.address < base + kEvq + 0x8000;
  }
  static bool is_payload(const MutantAccess& access, uint64_t base = kBase0) {
    return access.write && access.address >= base + kRxBuffers && access.address < base + kTxBuffers;
  }
  static bool is_tx_read(const MutantAccess& access, uint64_t base = kBase0) {
    return !access.write && access.address >= base + kTxBuffers;
  }
  void receive(uint32_t count = 1, uint16_t port = 2000) {
    UdpSpec spec;
    spec.destination = kMacA;
    spec.source = kMacB;
    spec.destination_port = port;
    for (uint32_t i = 0; i < count; ++i) {
      arrive(*node, udp_frame(spec));
      run_ns(3000);
    }
  }
  std::vector<uint8_t> frame_to_send() {
    UdpSpec spec;
    spec.frame_bytes = 100;
    return udp_frame(spec);
  }
  void never_count(const std::string& name) {
    mutant->on_counters = [name](std::vector<Counter>& counters) {
      for (Counter& counter : counters) {
        if (counter.name == name) counter.value = 0;
      }
    };
  }
  void hold_up_messages(double delay_ns) {
    ASSERT_TRUE(node->nic.set_property("fault.msix_delay_ns", delay_ns));
    ASSERT_TRUE(node->nic.set_property("fault.msix_delayed_probability", 1));
  }
  void mutate_events(std::function<void(pst_event&)> change) {
    mutant->on_dma = [change = std::move(change)](MutantAccess& access) {
      if (is_event(access)) change(*reinterpret_cast<pst_event*>(access.data));
      return false;
    };
  }

  FreshKernel kernel;
  MutantNic* mutant = nullptr;
  std::unique_ptr<Node> node;
  std::vector<std::unique_ptr<TestVi>> vis;
  TestVi* vi = nullptr;
};

ViOptions with_vector(uint32_t holdoff_ns = 0) {
  ViOptions options;
  options.vector = 1;
  options.holdoff_ns = holdoff_ns;
  return options;
}

TEST_F(MutantTest, FaultlessNicIsClean) {
  build(with_vector());
  vi->prime();
  receive(3);
  vi->send(frame_to_send());
  run_ns(10000);
  vi->events();
  vi->prime();
  run_ns(10000);
  EXPECT_EQ(vi->node.monitored->monitor().violation_count(), 0u);
}

TEST_F(MutantTest, R1WindowReadsAsSomethingElse) {
  build();
  node->expect_violation(Rule::kR1);
  mutant->on_bar_answer = [](MutantAccess& access) {
    if (access.bar == PST_BAR_VI) access.data[0] ^= 1;
  };
  node->bar_read(PST_BAR_VI, PST_VI_RX_DOORBELL_OFFSET, 4);
}

TEST_F(MutantTest, R2RepeatedPrimeActsTwice) {
  build(with_vector());
  node->expect_violation(Rule::kR2);
  receive();
  const uint64_t prime = vi->prime_value();
  vi->doorbell(PST_VI_EVQ_PRIME_OFFSET, prime, 8);
  run_ns(5000);
  vi->doorbell(PST_VI_EVQ_PRIME_OFFSET, prime, 8);
  mutant->raise(1);
}

TEST_F(MutantTest, R2DescriptorsBeyondTheDoorbellAreRead) {
  build();
  node->expect_violation(Rule::kR2);
  uint8_t desc[16];
  mutant->dma_read(kBase0 + kRxRing + 64 * 16, desc, 16);
}

TEST_F(MutantTest, R3EventBeforePayload) {
  build();
  node->expect_violation(Rule::kR3);
  std::vector<uint8_t> held;
  uint64_t held_address = 0;
  mutant->on_dma = [&](MutantAccess& access) {
    if (is_payload(access)) {
      held.assign(access.data, access.data + access.bytes);
      held_address = access.address;
      return true;
    }
    return false;
  };
  receive();
  mutant->on_dma = nullptr;
  EXPECT_FALSE(held.empty());
  (void)held_address;
}

TEST_F(MutantTest, R3PayloadIsNotWhatArrived) {
  build();
  node->expect_violation(Rule::kR3);
  mutant->on_dma = [this](MutantAccess& access) {
    if (!is_payload(access)) return false;
    std::vector<uint8_t> changed(access.data, access.data + access.bytes);  // the frame's own bytes stay
    changed[50] ^= 0xff;
    mutant->dma_write(access.address, changed.data(), access.bytes);
    return true;
  };
  receive();
}

TEST_F(MutantTest, R3InterruptBeforeEvent) {
  build(with_vector());
  node->expect_violation(Rule::kR3);
  vi->prime();
  run_ns(2000);
  mutant->raise(1);
  run_ns(2000);
}

TEST_F(MutantTest, R4PhaseIsWrong) {
  build();
  node->expect_violation(Rule::kR4);
  mutate_events([](pst_event& event) { pst_event_set_phase(&event, 0); });
  receive();
}

TEST_F(MutantTest, R4SlotIsLeftOut) {
  build();
  node->expect_violation(Rule::kR4);
  mutant->on_dma = [](MutantAccess& access) {
    if (is_event(access)) access.address += 16;
    return false;
  };
  receive();
}

TEST_F(MutantTest, R4EventIsTorn) {
  build();
  node->expect_violation(Rule::kR4);
  mutant->on_dma = [this](MutantAccess& access) {
    if (!is_event(access)) return false;
    mutant->dma_write(access.address, access.data, 8);
    return true;
  };
  vi->doorbell(PST_VI_TIMER_OFFSET, 10 | uint64_t{1} << 32, 8);
}

TEST_F(MutantTest, R4DriverWritesTheEventRing) {
  build();
  node->expect_violation(Rule::kR4);
  receive();
  ASSERT_TRUE(vi->next_event());
  node->at<pst_event>(kBase0 + kEvq).word[0] = 0;
  vi->return_space();
}

TEST_F(MutantTest, R5EventIsWrittenAgain) {
  build();
  node->expect_violation(Rule::kR5);
  pst_event first{};
  mutate_events([&](pst_event& event) { first = event; });
  receive();
  mutant->dma_write(kBase0 + kEvq, &first, sizeof first);
}

TEST_F(MutantTest, R5FullQueueIsOverwritten) {
  ViOptions options;
  options.evq_entries = 128;
  build(options);
  node->expect_violation(Rule::kR5);
  pst_event last{};
  mutate_events([&](pst_event& event) { last = event; });
  for (uint32_t i = 0; i < 128; ++i) {
    vi->doorbell(PST_VI_TIMER_OFFSET, 10 | uint64_t{1 + i} << 32, 8);
    run_ns(2000);
  }
  pst_event_set_phase(&last, 0);
  mutant->dma_write(kBase0 + kEvq, &last, sizeof last);
}

TEST_F(MutantTest, R5MarkWithoutADrop) {
  build();
  node->expect_violation(Rule::kR5);
  mutate_events([](pst_event& event) { pst_event_set_overflow_mark(&event, 1); });
  receive();
}

TEST_F(MutantTest, R6WakeupIsLost) {
  build(with_vector());
  node->expect_violation(Rule::kR6);
  mutant->on_interrupt = [](uint32_t) { return true; };
  receive();
  vi->prime();
}

TEST_F(MutantTest, R6WakeupIsLostWhenTheEventComesAfterThePrime) {
  build(with_vector());
  node->expect_violation(Rule::kR6);
  mutant->on_interrupt = [](uint32_t) { return true; };
  vi->prime();
  run_ns(2000);
  receive();
}

TEST_F(MutantTest, R7InterruptIsRepeated) {
  build(with_vector());
  node->expect_violation(Rule::kR7);
  mutant->on_interrupt = [this](uint32_t vector) {
    mutant->raise(vector);
    mutant->raise(vector);
    return true;
  };
  receive();
  vi->prime();
}

TEST_F(MutantTest, R7WakeupIgnoresTheHoldOff) {
  build(with_vector(1'000'000));
  node->expect_violation(Rule::kR7);
  receive();
  vi->prime();
  run_ns(5000);
  vi->events();
  receive();
  vi->prime();
  run_ns(2000);
  mutant->raise(1);
  mutant->on_interrupt = [](uint32_t) { return true; };
}

TEST_F(MutantTest, R7InterruptOnAnotherVectorWhileAMessageIsHeldUp) {
  build(with_vector(), 2);
  hold_up_messages(500'000);
  receive();
  vi->prime();
  run_ns(5000);
  node->expect_violation(Rule::kR7);
  mutant->raise(2);
}

TEST_F(MutantTest, MessageThatWasHeldUpComesOnceAndIsClean) {
  build(with_vector());
  hold_up_messages(500'000);
  receive();
  vi->prime();
  run_ns(1'000'000);
}

TEST_F(MutantTest, R8PayloadGoesToAnotherDomain) {
  build({}, 2);
  node->expect_violation(Rule::kR8);
  node->expect_violation(Rule::kR3);  // and so it is missing where the event says
  mutant->on_dma = [](MutantAccess& access) {
    if (is_payload(access)) access.address += kViAreaBytes;
    return false;
  };
  receive();
}

TEST_F(MutantTest, R8ReadOfAnUnmappedAddress) {
  build();
  node->expect_violation(Rule::kR8);
  uint8_t bytes[64];
  mutant->dma_read(0x1f00000, bytes, sizeof bytes);
}

TEST_F(MutantTest, R8DmaBeyondTheBuffer) {
  build();
  node->expect_violation(Rule::kR8);
  std::vector<uint8_t> bytes(3000);
  mutant->dma_write(kBase0 + kRxBuffers, bytes.data(), 3000);
}

TEST_F(MutantTest, R8HaltedViGoesOn) {
  build();
  node->expect_violation(Rule::kR8);
  pst_tx_desc desc{};
  pst_tx_desc_set_address(&desc, kViAreaBytes);
  pst_tx_desc_set_length_bytes(&desc, 100);
  pst_tx_desc_set_end_of_packet(&desc, 1);
  vi->queue_desc(desc);
  vi->ring_tx();
  run_ns(10000);
  ASSERT_TRUE(vi->has_event());
  uint8_t bytes[64] = {};
  mutant->dma_write(kBase0 + kRxBuffers, bytes, sizeof bytes);
}

TEST_F(MutantTest, R8MissRaisesNoError) {
  build();
  node->expect_violation(Rule::kR8);
  mutant->on_dma = [](MutantAccess& access) { return is_event(access); };
  pst_tx_desc desc{};
  pst_tx_desc_set_address(&desc, kViAreaBytes);
  pst_tx_desc_set_length_bytes(&desc, 100);
  pst_tx_desc_set_end_of_packet(&desc, 1);
  vi->queue_desc(desc);
  vi->ring_tx();
}

TEST_F(MutantTest, R9FrameGoesToAViThatNoFilterNames) {
  build({}, 2);
  vis[1]->post_rx(8);
  run_ns(100'000);  // filters have long been what they are
  node->expect_violation(Rule::kR9);
  // The mutant moves payload and event of VI 0 to VI 1.
  mutant->on_dma = [](MutantAccess& access) {
    if (is_payload(access) || is_event(access)) access.address += kViAreaBytes;
    return false;
  };
  receive();
  // VI 0 has got nothing for it, which no rule forbids at this seam.
}

TEST_F(MutantTest, R9SourceIsForged) {
  ViOptions options;
  options.any_source = false;
  build(options);
  node->expect_violation(Rule::kR9);
  pst_command grant = make_command(PST_COMMAND_SOURCE_GRANT, vi->id);
  pst_source_grant_set_family(&grant, PST_ADDRESS_FAMILY_IPV4);
  pst_source_grant_set_address_lo(&grant, 0x0100090a);  // 10.9.0.1
  ASSERT_EQ(node->status(grant), 0u);
  const auto forged = [] {
    UdpSpec spec;
    spec.source_ip = kIpA + 7;
    spec.frame_bytes = 100;
    return udp_frame(spec);
  }();
  // The NIC checks what it reads; the mutant shows it the granted address and sends the forged frame.
  mutant->on_frame_sent = [&, this](const FramePtr&) {
    auto frame = std::make_shared<EthernetFrame>();
    frame->bytes = forged;
    mutant->on_frame_sent = nullptr;
    mutant->send_frame(frame);
    return true;
  };
  vi->send(frame_to_send());
  run_ns(10000);
}

TEST_F(MutantTest, R10EventAfterViFree) {
  build();
  node->expect_violation(Rule::kR10);
  pst_event event{};
  mutate_events([&](pst_event& seen) { event = seen; });
  receive();
  ASSERT_EQ(node->status(make_command(PST_COMMAND_VI_FREE, vi->id)), 0u);
  mutant->dma_write(kBase0 + kEvq + 16, &event, sizeof event);
}

TEST_F(MutantTest, R10PayloadAfterViFree) {
  build();
  node->expect_violation(Rule::kR10);
  ASSERT_EQ(node->status(make_command(PST_COMMAND_VI_FREE, vi->id)), 0u);
  uint8_t bytes[60] = {};
  mutant->dma_write(kBase0 + kRxBuffers, bytes, sizeof bytes);
}

TEST_F(MutantTest, R10EventAfterViReset) {
  build();
  node->expect_violation(Rule::kR10);
  ASSERT_EQ(node->status(make_command(PST_COMMAND_VI_RESET, vi->id)), 0u);
  pst_timer_event timer{};
  pst_timer_event_set_type(&timer, PST_EVENT_TYPE_TIMER);
  pst_timer_event_set_sequence(&timer, 1);
  pst_timer_event_set_phase(&timer, 1);
  mutant->dma_write(kBase0 + kEvq, &timer, sizeof timer);
}

TEST_F(MutantTest, R10DmaAfterUnmap) {
  build();
  node->expect_violation(Rule::kR10);
  pst_command unmap = make_command(PST_COMMAND_TRANSLATION_UNMAP, vi->pd);
  ASSERT_EQ(node->status(unmap), 0u);
  uint8_t bytes[60] = {};
  mutant->dma_write(kBase0 + kRxBuffers + 0x70000, bytes, sizeof bytes);
}

TEST_F(MutantTest, R10DmaAfterFunctionReset) {
  build();
  node->expect_violation(Rule::kR10);
  node->write32(PST_FUNCTION_RESET_OFFSET, PST_RESET_KEY);
  run_ns(50000);
  ASSERT_TRUE(node->read32(PST_FUNCTION_STATUS_OFFSET) & PST_FUNCTION_STATUS_READY_MASK);
  pst_event event{};
  mutant->dma_write(kBase0 + kEvq, &event, sizeof event);
}

TEST_F(MutantTest, R11DropIsNotCounted) {
  build();
  node->expect_violation(Rule::kR11);
  never_count("drops.RX_NO_FILTER");
  receive(1, 2000);
  receive(3, 4000);
}

TEST_F(MutantTest, R11DropIsNotCountedBeforeAReset) {
  build();
  node->expect_violation(Rule::kR11);
  never_count("drops.RX_NO_FILTER");
  receive(3, 4000);
  run_ns(300'000);
  node->write32(PST_FUNCTION_RESET_OFFSET, PST_RESET_KEY);
  mutant->on_counters = nullptr;
}

TEST_F(MutantTest, R11DropIsNotCountedAfterAReset) {
  build();
  receive(2);
  run_ns(300'000);
  node->write32(PST_FUNCTION_RESET_OFFSET, PST_RESET_KEY);
  run_ns(50'000);
  ASSERT_TRUE(node->read32(PST_FUNCTION_STATUS_OFFSET) & PST_FUNCTION_STATUS_READY_MASK);
  node->expect_violation(Rule::kR11);
  never_count("drops.RX_NO_FILTER");
  receive(3);
}

TEST_F(MutantTest, R11InjectedDamageIsNotCounted) {
  build();
  node->expect_violation(Rule::kR11);
  ASSERT_TRUE(node->nic.set_property("fault.bad_fcs_probability", 1));
  never_count("drops.RX_BAD_FCS");
  receive(3);
}

TEST_F(MutantTest, R11DropIsNotCountedAfterALinkChange) {
  build();
  node->expect_violation(Rule::kR11);
  never_count("drops.RX_NO_FILTER");
  node->device().wire_export->set_link(false);
  run_ns(1000);
  node->device().wire_export->set_link(true);
  run_ns(200'000);
  receive(3, 4000);
}

TEST_F(MutantTest, R11StatisticsForgetAFrame) {
  build();
  node->expect_violation(Rule::kR11);
  receive(2);
  constexpr uint64_t kWhere = kScratch;
  mutant->on_dma = [](MutantAccess& access) {
    if (access.write && access.address == kWhere) {
      auto& statistics = *reinterpret_cast<pst_port_statistics*>(access.data);
      pst_port_statistics_set_rx_frames(&statistics, pst_port_statistics_get_rx_frames(&statistics) - 1);
    }
    return false;
  };
  pst_command read = make_command(PST_COMMAND_STATISTICS_READ);
  pst_statistics_read_set_address(&read, kWhere);
  ASSERT_EQ(node->status(read), 0u);
}

TEST_F(MutantTest, R12BadDoorbellIsSwallowed) {
  build();
  node->expect_violation(Rule::kR12);
  mutant->on_bar_write = [](MutantAccess& access) { return access.bar == PST_BAR_VI; };
  vi->doorbell(PST_VI_RX_DOORBELL_OFFSET, 5);  // back from 64
}

TEST_F(MutantTest, R12DriverRingsABadDoorbellAndTheNicAnswers) {
  build();
  vi->doorbell(PST_VI_RX_DOORBELL_OFFSET, 5);
  run_ns(5000);
  const auto event = vi->next_event();
  ASSERT_TRUE(event);
  EXPECT_EQ(pst_event_get_type(&*event), PST_EVENT_TYPE_ERROR);
  EXPECT_TRUE(node->monitored->monitor().coverage().seen("situation R12: a malformed doorbell"));
}

TEST_F(MutantTest, R12ErrorWithoutACause) {
  build();
  node->expect_violation(Rule::kR12);
  pst_error_event error{};
  pst_error_event_set_type(&error, PST_EVENT_TYPE_ERROR);
  pst_error_event_set_source(&error, PST_ERROR_SOURCE_DOORBELL);
  pst_error_event_set_code(&error, PST_ERROR_CODE_BAD_DOORBELL);
  pst_error_event_set_phase(&error, 1);
  mutant->dma_write(kBase0 + kEvq, &error, sizeof error);
}

TEST_F(MutantTest, R12MalformedCommandIsAccepted) {
  build();
  node->expect_violation(Rule::kR12);
  mutant->on_dma = [](MutantAccess& access) {
    if (access.write && access.address >= kAdminCq && access.address < kAdminCq + 0x1000)
      pst_admin_completion_set_status(reinterpret_cast<pst_admin_completion*>(access.data), PST_ERROR_CODE_OK);
    return false;
  };
  pst_command nop = make_command(PST_COMMAND_NOP);
  nop.word[3] = 1;
  node->status(nop);
}

TEST_F(MutantTest, R12CommandIsNeverCompleted) {
  build();
  node->expect_violation(Rule::kR12);
  mutant->on_dma = [](MutantAccess& access) {
    return access.write && access.address >= kAdminCq && access.address < kAdminCq + 0x1000;
  };
  node->submit(make_command(PST_COMMAND_NOP));
}

TEST_F(MutantTest, R12BadDescriptorIsCompletedAsIfItWereGood) {
  build();
  node->expect_violation(Rule::kR12);
  mutant->on_dma = [](MutantAccess& access) {
    if (!is_event(access)) return false;
    auto& event = *reinterpret_cast<pst_tx_event*>(access.data);
    pst_tx_event_set_type(&event, PST_EVENT_TYPE_TX);
    pst_tx_event_set_timestamp_ns(&event, 0);
    event.word[0] &= 0xf;
    pst_tx_event_set_tx_consumer_idx(&event, 1);
    return false;
  };
  pst_tx_desc desc{};
  pst_tx_desc_set_address(&desc, kTxBuffers);
  pst_tx_desc_set_end_of_packet(&desc, 1);  // length 0
  vi->queue_desc(desc);
  vi->ring_tx();
}

}  // namespace
}  // namespace postern::sim::test
