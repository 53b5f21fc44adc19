// Doorbell pages: last values (R1), repeated writes (R2), bad indices (R12), windows of VIs that do not run.
#include <gtest/gtest.h>

#include "tests/hw_model/nic_bench.h"

namespace postern::hw_model::test {
namespace {

struct Rig {
  Rig() : a("a", kMacA) {
    a.enable_admin();
    vi = std::make_unique<TestVi>(a, 0);
  }
  uint64_t read(uint32_t offset, unsigned width_bytes) {
    return a.bar_read(PST_BAR_VI, vi->id * PST_VI_WINDOW_STRIDE + offset, width_bytes);
  }
  void expect_bad_doorbell(uint32_t index) {
    run_ns(3000);
    const auto events = vi->events();
    ASSERT_EQ(events.size(), 1u);
    const pst_error_event error{{events[0].word[0], events[0].word[1]}};
    EXPECT_EQ(pst_error_event_get_type(&error), PST_EVENT_TYPE_ERROR);
    EXPECT_EQ(pst_error_event_get_source(&error), PST_ERROR_SOURCE_DOORBELL);
    EXPECT_EQ(pst_error_event_get_code(&error), PST_ERROR_CODE_BAD_DOORBELL);
    EXPECT_EQ(pst_error_event_get_index(&error), index);
  }
  FreshKernel kernel;
  Node a;
  std::unique_ptr<TestVi> vi;
};

TEST(DoorbellTest, ReadReturnsTheLastValueAndHasNoEffect) {
  Rig rig;
  EXPECT_EQ(rig.read(PST_VI_RX_DOORBELL_OFFSET, 4), 0u);
  rig.vi->post_rx(5);
  EXPECT_EQ(rig.read(PST_VI_RX_DOORBELL_OFFSET, 4), 5u);
  rig.vi->prime();
  EXPECT_EQ(rig.read(PST_VI_EVQ_PRIME_OFFSET, 8), 1ull << 32);
  EXPECT_EQ(rig.read(PST_VI_EVQ_PRIME_OFFSET + 4, 4), 1u);
  EXPECT_TRUE(rig.vi->events().empty());
  EXPECT_EQ(rig.a.counter("vi0.primes"), 1u);
}

TEST(DoorbellTest, RepeatedWriteSendsOnce) {
  Rig rig;
  rig.vi->queue_tx(udp_frame());
  rig.vi->ring_tx();
  rig.vi->ring_tx();
  run_ns(5000);
  rig.vi->ring_tx();
  run_ns(5000);
  EXPECT_EQ(rig.a.wire.size(), 1u);
}

TEST(DoorbellTest, EightByteWriteToANarrowRegisterTakesTheLowHalf) {
  Rig rig;
  rig.vi->doorbell(PST_VI_RX_DOORBELL_OFFSET, 0x12345678'00000003ull, 8);
  run_ns(2000);
  EXPECT_EQ(rig.read(PST_VI_RX_DOORBELL_OFFSET, 8), 3u);
  EXPECT_TRUE(rig.vi->events().empty());
}

TEST(DoorbellTest, TxIndexBeyondTheRingHaltsTheVi) {
  Rig rig;
  rig.vi->doorbell(PST_VI_TX_DOORBELL_OFFSET, 129);
  rig.expect_bad_doorbell(129);
}

TEST(DoorbellTest, TxIndexThatGoesBackHaltsTheVi) {
  Rig rig;
  for (int i = 0; i < 8; ++i) rig.vi->queue_tx(udp_frame());
  rig.vi->ring_tx();
  run_ns(20000);
  rig.vi->events();
  rig.vi->return_space();
  rig.vi->doorbell(PST_VI_TX_DOORBELL_OFFSET, 7);
  rig.expect_bad_doorbell(7);
}

TEST(DoorbellTest, RxIndexBeyondTheRingHaltsTheVi) {
  Rig rig;
  rig.vi->doorbell(PST_VI_RX_DOORBELL_OFFSET, 0xffffffff);
  rig.expect_bad_doorbell(0xffffffff);
}

TEST(DoorbellTest, RxIndexThatGoesBackHaltsTheVi) {
  Rig rig;
  rig.vi->post_rx(10);
  rig.vi->doorbell(PST_VI_RX_DOORBELL_OFFSET, 9);
  rig.expect_bad_doorbell(9);
}

TEST(DoorbellTest, HaltedViIgnoresDoorbells) {
  Rig rig;
  rig.vi->doorbell(PST_VI_TX_DOORBELL_OFFSET, 5000);
  rig.expect_bad_doorbell(5000);
  rig.vi->send(udp_frame());
  rig.vi->post_rx(4);
  rig.vi->doorbell(PST_VI_TIMER_OFFSET, 100 | 1ull << 32, 8);
  run_ns(5000);
  EXPECT_TRUE(rig.a.wire.empty());
  EXPECT_TRUE(rig.vi->events().empty());
}

TEST(DoorbellTest, OnlyTheViAtFaultHalts) {
  Rig rig;
  TestVi other(rig.a, 1);
  rig.vi->doorbell(PST_VI_TX_DOORBELL_OFFSET, 5000);
  run_ns(2000);
  other.send(udp_frame());
  run_ns(5000);
  EXPECT_EQ(rig.a.wire.size(), 1u);
}

TEST(DoorbellTest, EveryWindowExistsAndWindowsWithoutAViIgnoreWrites) {
  Rig rig;
  for (uint32_t id = 1; id < 1024; ++id) {
    rig.a.bar_write(PST_BAR_VI, id * PST_VI_WINDOW_STRIDE + PST_VI_TX_DOORBELL_OFFSET, 7, 4);
  }
  run_ns(100000);
  EXPECT_EQ(rig.a.counter("doorbells_ignored"), 1023u);
  EXPECT_EQ(rig.a.bar_read(PST_BAR_VI, 1023u * PST_VI_WINDOW_STRIDE + PST_VI_TX_DOORBELL_OFFSET, 4), 0u);
}

TEST(DoorbellTest, IndicesWrapAt32Bits) {
  Rig rig;
  // Not 2^32 packets: the rule itself, by a ring whose indices run past several turns.
  for (int i = 0; i < 1000; ++i) {
    rig.vi->send(udp_frame());
    run_ns(2000);
    rig.vi->events();
    rig.vi->return_space();
  }
  EXPECT_EQ(rig.a.wire.size(), 1000u);
}

// --- push and PIO ----------------------------------------------------------------------------------------------------

pst_tx_desc push_desc(uint32_t bytes, bool end = true) {
  pst_tx_desc desc{};
  pst_tx_desc_set_address(&desc, kTxBuffers);
  pst_tx_desc_set_length_bytes(&desc, bytes);
  pst_tx_desc_set_end_of_packet(&desc, end);
  return desc;
}

struct PushRig : Rig {
  void put(const std::vector<uint8_t>& bytes) {
    std::memcpy(a.memory.data() + vi->base + kTxBuffers, bytes.data(), bytes.size());
  }
  void push(uint32_t idx, const pst_tx_desc& desc) {
    vi->doorbell(PST_VI_TX_PUSH_DESCRIPTOR_LO_OFFSET, desc.word[0], 8);
    vi->doorbell(PST_VI_TX_PUSH_DESCRIPTOR_HI_OFFSET, desc.word[1], 8);
    vi->doorbell(PST_VI_TX_PUSH_DOORBELL_OFFSET, idx);
  }
  void write_pio(uint32_t offset, const std::vector<uint8_t>& bytes) {
    for (size_t i = 0; i < bytes.size(); i += 8) {
      uint64_t word = 0;
      std::memcpy(&word, bytes.data() + i, std::min<size_t>(8, bytes.size() - i));
      vi->doorbell(PST_VI_PIO_PAGE_OFFSET + offset + static_cast<uint32_t>(i), word, 8);
    }
  }
  void ring_pio(uint32_t idx, uint32_t offset, uint64_t length, uint64_t flags = 0) {
    vi->doorbell(PST_VI_PIO_DOORBELL_OFFSET,
                 idx | uint64_t{offset} << PST_VI_PIO_DOORBELL_OFFSET_BYTES_SHIFT |
                     length << PST_VI_PIO_DOORBELL_LENGTH_BYTES_SHIFT | flags,
                 8);
  }
  uint32_t completed() {
    uint32_t idx = 0;
    for (const auto& event : vi->events()) {
      const pst_tx_event tx{{event.word[0], event.word[1]}};
      EXPECT_EQ(pst_tx_event_get_type(&tx), PST_EVENT_TYPE_TX);
      idx = static_cast<uint32_t>(pst_tx_event_get_tx_consumer_idx(&tx));
    }
    vi->return_space();
    return idx;
  }
  // Descriptors read from the ring, and bytes of payload read, since recording began.
  size_t reads(uint64_t from, uint64_t to) {
    size_t count = 0;
    for (const auto& access : a.dma) {
      count += !access.write && access.address >= vi->base + from && access.address < vi->base + to;
    }
    return count;
  }
};

TEST(DoorbellPushTest, PushedDescriptorSendsWithoutReadingTheRing) {
  PushRig rig;
  const auto frame = udp_frame();
  rig.put(frame);
  std::memset(rig.a.memory.data() + rig.vi->base + kTxRing, 0xff, 64);  // would halt the VI if it were read
  rig.a.record_dma = true;
  rig.push(1, push_desc(60));
  run_ns(5000);
  ASSERT_EQ(rig.a.wire.size(), 1u);
  EXPECT_EQ(rig.a.wire[0].frame->bytes, frame);
  EXPECT_EQ(rig.reads(kTxRing, kTxRing + 0x1000), 0u);
  EXPECT_EQ(rig.completed(), 1u);
  EXPECT_NE(rig.a.read32(PST_FUNCTION_FEATURES_OFFSET) & PST_FUNCTION_FEATURES_TX_PUSH_MASK, 0u);
}

TEST(DoorbellPushTest, PushSavesTheDescriptorRead) {
  uint64_t sent_ps[2];
  for (int pushed = 0; pushed < 2; ++pushed) {
    PushRig rig;
    rig.put(udp_frame());
    rig.vi->queue_desc(push_desc(60));
    const uint64_t begin = now_ps();
    if (pushed) {
      rig.push(1, push_desc(60));
    } else {
      rig.vi->ring_tx();
    }
    run_ns(5000);
    ASSERT_EQ(rig.a.wire.size(), 1u);
    sent_ps[pushed] = rig.a.wire[0].time_ps - begin;
  }
  EXPECT_NEAR(static_cast<double>(sent_ps[0]) - static_cast<double>(sent_ps[1]), 550e3, 100e3);  // a read of 16 bytes
}

TEST(DoorbellPushTest, RepeatedPushSendsOnce) {
  PushRig rig;
  rig.put(udp_frame());
  rig.push(1, push_desc(60));
  rig.push(1, push_desc(60));
  run_ns(5000);
  rig.push(1, push_desc(70));  // the index says nothing new
  rig.vi->doorbell(PST_VI_TX_DOORBELL_OFFSET, 1);
  run_ns(5000);
  EXPECT_EQ(rig.a.wire.size(), 1u);
  EXPECT_EQ(rig.completed(), 1u);
}

TEST(DoorbellPushTest, PushPlainAndPioDoorbellsTakeTurns) {
  PushRig rig;
  for (uint32_t round = 0; round < 200; ++round) {
    const uint32_t idx = rig.vi->tx_idx;
    const auto frame = udp_frame();
    rig.put(frame);
    if (round % 3 == 0) {
      rig.push(idx + 1, push_desc(60));
      ++rig.vi->tx_idx;
    } else if (round % 3 == 1) {
      rig.vi->queue_tx(frame);
      rig.vi->queue_tx(frame);
      rig.vi->ring_tx();
    } else {
      rig.write_pio(64, frame);
      rig.ring_pio(idx + 1, 64, 60);
      ++rig.vi->tx_idx;
    }
    run_ns(5000);
    ASSERT_EQ(rig.completed(), rig.vi->tx_idx) << round;
  }
  EXPECT_EQ(rig.a.wire.size(), 267u);
  EXPECT_EQ(rig.a.drops_total("TX"), 0u);
}

TEST(DoorbellPushTest, PushWhileAPacketIsNotCompletedHaltsTheVi) {
  PushRig rig;
  rig.put(udp_frame());
  rig.push(1, push_desc(60));
  rig.push(2, push_desc(60));
  rig.expect_bad_doorbell(2);
}

TEST(DoorbellPushTest, PushThatSkipsADescriptorHaltsTheVi) {
  PushRig rig;
  rig.push(2, push_desc(60));
  rig.expect_bad_doorbell(2);
}

TEST(DoorbellPushTest, PushOfPartOfAPacketHaltsTheVi) {
  PushRig rig;
  rig.push(1, push_desc(60, false));
  rig.expect_bad_doorbell(1);
}

TEST(DoorbellPushTest, PushOfAMalformedDescriptorIsAnErrorOfTheDescriptor) {
  PushRig rig;
  rig.push(1, push_desc(0));
  run_ns(3000);
  const auto events = rig.vi->events();
  ASSERT_EQ(events.size(), 1u);
  const pst_error_event error{{events[0].word[0], events[0].word[1]}};
  EXPECT_EQ(pst_error_event_get_code(&error), PST_ERROR_CODE_BAD_DESCRIPTOR);
  EXPECT_EQ(pst_error_event_get_source(&error), PST_ERROR_SOURCE_TX);
}

TEST(DoorbellPushTest, PushedAddressGoesThroughTheDomain) {
  PushRig rig;
  pst_tx_desc desc = push_desc(60);
  pst_tx_desc_set_address(&desc, 0x7000000);
  rig.a.record_dma = true;
  rig.push(1, desc);
  run_ns(3000);
  const auto events = rig.vi->events();
  ASSERT_EQ(events.size(), 1u);
  const pst_error_event error{{events[0].word[0], events[0].word[1]}};
  EXPECT_EQ(pst_error_event_get_code(&error), PST_ERROR_CODE_DMA_FAULT);
  EXPECT_EQ(rig.reads(0, kViAreaBytes), 0u);
}

TEST(DoorbellPioTest, PageReadsBackWhatWasWritten) {
  PushRig rig;
  EXPECT_EQ(rig.read(PST_VI_PIO_PAGE_OFFSET, 8), 0u);
  rig.vi->doorbell(PST_VI_PIO_PAGE_OFFSET, 0x1122334455667788, 8);
  rig.vi->doorbell(PST_VI_PIO_PAGE_OFFSET + 4, 0xaabbccdd, 4);
  rig.vi->doorbell(PST_VI_PIO_PAGE_OFFSET + PST_LIMIT_PIO_BYTES - 8, 0x99, 8);
  EXPECT_EQ(rig.read(PST_VI_PIO_PAGE_OFFSET, 8), 0xaabbccdd55667788u);
  EXPECT_EQ(rig.read(PST_VI_PIO_PAGE_OFFSET + 4, 4), 0xaabbccddu);
  EXPECT_EQ(rig.read(PST_VI_PIO_PAGE_OFFSET + PST_LIMIT_PIO_BYTES - 8, 8), 0x99u);
  EXPECT_TRUE(rig.vi->events().empty());
  EXPECT_EQ(rig.a.counter("bad_accesses"), 0u);
}

TEST(DoorbellPioTest, WriteAcrossTheEndOfThePageIsRefused) {
  PushRig rig;
  uint64_t value = ~0ull;
  tlm::tlm_generic_payload payload;
  payload.set_write();
  payload.set_address(sim::bar_address(
      PST_BAR_VI, uint64_t{rig.vi->id} * PST_VI_WINDOW_STRIDE + PST_VI_PIO_PAGE_OFFSET + PST_LIMIT_PIO_BYTES - 4));
  payload.set_data_ptr(reinterpret_cast<unsigned char*>(&value));
  payload.set_data_length(sizeof value);
  payload.set_streaming_width(sizeof value);
  sc_core::sc_time delay;
  rig.a.cpu_socket->b_transport(payload, delay);
  EXPECT_EQ(payload.get_response_status(), tlm::TLM_BURST_ERROR_RESPONSE);
  run_ns(1000);
  EXPECT_EQ(rig.read(PST_VI_PIO_PAGE_OFFSET + PST_LIMIT_PIO_BYTES - 4, 4), 0u);
}

TEST(DoorbellPioTest, PageIsBlankAfterAReset) {
  PushRig rig;
  rig.vi->doorbell(PST_VI_PIO_PAGE_OFFSET, 1, 8);
  ASSERT_EQ(rig.a.status(make_command(PST_COMMAND_VI_RESET, rig.vi->id)), PST_ERROR_CODE_OK);
  EXPECT_EQ(rig.read(PST_VI_PIO_PAGE_OFFSET, 8), 0u);
}

TEST(DoorbellPioTest, FrameLeavesWithoutAnyReadOfMemory) {
  PushRig rig;
  UdpSpec spec;
  spec.frame_bytes = 129;
  const auto expected = udp_frame(spec);
  spec.checksums = false;
  rig.write_pio(1000, udp_frame(spec));
  rig.a.record_dma = true;
  rig.ring_pio(
      1, 1000, 129,
      PST_VI_PIO_DOORBELL_CHECKSUM_L3_MASK | PST_VI_PIO_DOORBELL_CHECKSUM_L4_MASK | PST_VI_PIO_DOORBELL_COMPLETE_MASK);
  run_ns(3000);
  ASSERT_EQ(rig.a.wire.size(), 1u);
  EXPECT_EQ(rig.a.wire[0].frame->bytes, expected);
  EXPECT_EQ(rig.reads(0, kViAreaBytes), 0u);
  EXPECT_EQ(rig.completed(), 1u);
}

TEST(DoorbellPioTest, WholePageCanBeSent) {
  PushRig rig;
  pst_command c = make_command(PST_COMMAND_PORT_CONFIG);
  pst_port_config_set_mtu_bytes(&c, 9000);
  ASSERT_EQ(rig.a.status(c), PST_ERROR_CODE_OK);
  UdpSpec spec;
  spec.frame_bytes = PST_LIMIT_PIO_BYTES;
  rig.write_pio(0, udp_frame(spec));
  rig.ring_pio(1, 0, PST_LIMIT_PIO_BYTES);
  run_ns(20000);
  ASSERT_EQ(rig.a.wire.size(), 1u);
  EXPECT_EQ(rig.a.wire[0].frame->bytes, udp_frame(spec));
}

TEST(DoorbellPioTest, BytesBeyondThePageHaltTheVi) {
  PushRig rig;
  rig.ring_pio(1, 4000, 97);
  rig.expect_bad_doorbell(1);
}

TEST(DoorbellPioTest, FrameOfNoBytesIsAnErrorOfTheDescriptor) {
  PushRig rig;
  rig.ring_pio(1, 0, 0);
  run_ns(3000);
  const auto events = rig.vi->events();
  ASSERT_EQ(events.size(), 1u);
  const pst_error_event error{{events[0].word[0], events[0].word[1]}};
  EXPECT_EQ(pst_error_event_get_code(&error), PST_ERROR_CODE_BAD_DESCRIPTOR);
}

TEST(DoorbellPioTest, FrameWhileAPacketIsNotCompletedHaltsTheVi) {
  PushRig rig;
  rig.vi->send(udp_frame());
  rig.write_pio(0, udp_frame());
  rig.ring_pio(2, 0, 60);
  rig.expect_bad_doorbell(2);
}

TEST(DoorbellPioTest, SourceIsCheckedAsForOtherPackets) {
  PushRig rig;
  ViOptions checked;
  checked.any_source = false;
  rig.vi = std::make_unique<TestVi>(rig.a, 1, checked);
  UdpSpec spec;
  spec.source = kMacB;
  rig.write_pio(0, udp_frame(spec));
  rig.ring_pio(1, 0, 60);
  run_ns(3000);
  EXPECT_TRUE(rig.a.wire.empty());
  EXPECT_EQ(rig.completed(), 1u);
  EXPECT_EQ(rig.a.counter("drops.TX_BAD_SOURCE"), 1u);
}

TEST(DoorbellTest, UnsupportedDoorbellsAreRefusedWithAnErrorEvent) {
  for (const bool push : {false, true}) {
    PushRig rig;
    ASSERT_TRUE(rig.a.nic.set_property(push ? "doorbell.tx_push" : "doorbell.pio", 0));
    if (push) {
      rig.push(1, push_desc(60));
    } else {
      rig.ring_pio(1, 0, 60);
    }
    run_ns(3000);
    const auto events = rig.vi->events();
    ASSERT_EQ(events.size(), 1u);
    const pst_error_event error{{events[0].word[0], events[0].word[1]}};
    EXPECT_EQ(pst_error_event_get_code(&error), PST_ERROR_CODE_UNSUPPORTED);
    EXPECT_EQ(pst_error_event_get_source(&error), PST_ERROR_SOURCE_DOORBELL);
    rig.a.write32(PST_FUNCTION_RESET_OFFSET, PST_RESET_KEY);
    run_ns(1'000'000);
    const uint64_t off = push ? PST_FUNCTION_FEATURES_TX_PUSH_MASK : PST_FUNCTION_FEATURES_PIO_MASK;
    const uint64_t both = PST_FUNCTION_FEATURES_TX_PUSH_MASK | PST_FUNCTION_FEATURES_PIO_MASK;
    EXPECT_EQ(rig.a.read32(PST_FUNCTION_FEATURES_OFFSET) & both, both & ~off);
  }
}

}  // namespace
}  // namespace postern::hw_model::test
