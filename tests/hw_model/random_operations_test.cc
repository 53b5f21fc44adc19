// Random operations of several VIs, good and bad, with frames coming in all the while. Whatever happens, events are
// written only into free slots, in order and with the right phase, frames and packets are accounted for, and the device
// stays usable.
#include <gtest/gtest.h>

#include <random>

#include "tests/hw_model/nic_bench.h"

namespace postern::hw_model::test {
namespace {

constexpr uint32_t kVis = 4;

class Soak {
 public:
  explicit Soak(uint64_t seed) : random_(seed), a_("a", kMacA) {
    a_.record_dma = true;
    a_.record_wire = false;
    EXPECT_TRUE(a_.nic.set_property("mac_port.rx_cut_through", pick(2)));
    a_.enable_admin();
    EXPECT_TRUE(a_.nic.set_property("tx_dma.cut_through", pick(2)));
    EXPECT_TRUE(a_.nic.set_property("tx_dma.schedule_by_bytes", pick(2)));
    EXPECT_TRUE(a_.nic.set_property("tx_dma.rate_burst_bytes", pick(3) * 2000));
    pst_command port = make_command(PST_COMMAND_PORT_CONFIG);
    pst_port_config_set_mtu_bytes(&port, 1500);
    pst_port_config_set_pause(&port, 1);
    EXPECT_EQ(a_.status(port), PST_ERROR_CODE_OK);
    for (uint32_t i = 0; i < kVis; ++i) allocate(i);
  }

  void run(uint32_t operations) {
    for (uint32_t i = 0; i < operations && !testing::Test::HasFatalFailure(); ++i) {
      operate();
      run_ns(pick(4) == 0 ? pick(3000) : pick(60));
      check_dma();
    }
    for (uint32_t i = 0; i < kVis; ++i) release(i);
    run_ns(5'000'000'000);  // the port sends what it holds; timers were armed for up to 4.3 s
    EXPECT_EQ(a_.counter("rx.frames") + a_.counter("rx.extra_copies"),
              a_.counter("rx.delivered") + a_.drops_total("RX"));
    EXPECT_EQ(a_.counter("tx.packets") + a_.counter("tx.extra_frames"),
              a_.counter("tx.frames") + a_.counter("tx.loopback") + a_.drops_total("TX"));
    EXPECT_EQ(a_.counter("vi.active"), 0u);
    EXPECT_EQ(a_.counter("filters"), 0u);
    EXPECT_FALSE(sc_core::sc_pending_activity());
  }

  // All counters and the time: equal for equal seeds.
  std::string fingerprint() const {
    std::string text = std::to_string(now_ps());
    for (const sim::Counter& counter : a_.nic.counters())
      text += " " + counter.name + "=" + std::to_string(counter.value);
    return text;
  }

  uint64_t events_seen = 0;
  uint64_t errors_seen = 0;
  uint64_t extra_frames() const { return a_.counter("tx.extra_frames"); }

 private:
  uint32_t pick(uint32_t below) { return static_cast<uint32_t>(random_() % below); }

  void allocate(uint32_t i) {
    ViOptions options;
    options.policy = pick(3);
    options.evq_entries = 128;
    options.rx_prefix = pick(2) != 0;
    options.merge_count = options.rx_prefix ? pick(9) : pick(2);
    options.any_source = pick(2) != 0;
    options.vlan_strip = pick(2) != 0;
    options.vector = i;
    options.holdoff_ns = pick(3) * 1000;
    options.holdoff_events = pick(5);
    options.weight = pick(4);
    options.rate_limit_mbps = pick(4) == 0 ? 2000 : 0;
    vis_[i] = std::make_unique<TestVi>(a_, i, options);
    written_[i] = 0;
    returned_[i] = 0;
    if (pick(3) == 0) {
      pst_command moderation = make_command(PST_COMMAND_MODERATION_SET, vis_[i]->id);
      pst_moderation_set_set_holdoff_ns(&moderation, pick(20000));
      pst_moderation_set_set_adaptive(&moderation, 1);
      ASSERT_EQ(a_.status(moderation), PST_ERROR_CODE_OK);
    }
    static uint16_t port;
    port = static_cast<uint16_t>(2000 + i);
    ASSERT_EQ(vis_[i]->add_filter(PST_FILTER_MATCH_LISTENER_ANY,
                                  [](pst_command& c) { pst_filter_insert_set_local_port(&c, port); }),
              0u);
    ASSERT_EQ(vis_[i]->add_filter(PST_FILTER_MATCH_MULTICAST_DEFAULT,
                                  [](pst_command& c) { pst_filter_insert_set_replicate(&c, 1); }),
              0u);
  }

  void release(uint32_t i) {
    ASSERT_EQ(a_.status(make_command(PST_COMMAND_VI_FREE, vis_[i]->id)), PST_ERROR_CODE_OK);
    ASSERT_EQ(a_.status(make_command(PST_COMMAND_PD_FREE, vis_[i]->pd)), PST_ERROR_CODE_OK);
    check_dma();
  }

  void incoming() {
    UdpSpec spec;
    spec.destination = kMacA;
    if (pick(10) == 0) spec.destination = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    if (pick(20) == 0) spec.destination = kMacB;
    spec.destination_port = static_cast<uint16_t>(2000 + pick(kVis + 1));
    spec.frame_bytes = 60 + pick(1480);
    auto bytes = udp_frame(spec);
    if (pick(10) == 0) bytes.insert(bytes.begin() + 12, {0x81, 0x00, 0x00, 0x07});
    for (uint32_t n = 1 + pick(20); n > 0; --n) arrive(a_, bytes, pick(30) == 0);
  }

  // A TCP packet behind an option descriptor, mostly one that can be cut.
  void transmit_segmented(TestVi& vi) {
    UdpSpec spec;
    spec.protocol = pick(20) == 0 ? 17 : 6;
    spec.frame_bytes = 60 + pick(20000);
    auto bytes = udp_frame(spec);
    bytes[46] = static_cast<uint8_t>(pick(8) << 4);
    std::memcpy(a_.memory.data() + vi.base + kTxBuffers, bytes.data(), bytes.size());
    pst_tx_option_desc option{};
    pst_tx_option_desc_set_type(&option, PST_TX_DESC_TYPE_OPTION);
    pst_tx_option_desc_set_mss_bytes(&option, pick(30) == 0 ? 0 : 100 + pick(1400));
    pst_tx_option_desc_set_vlan_insert(&option, pick(2));
    vi.queue_desc({{option.word[0], option.word[1]}});
    const auto first_bytes = 20 + pick(static_cast<uint32_t>(bytes.size()) - 20);
    for (int part = 0; part < 2; ++part) {
      pst_tx_desc desc{};
      pst_tx_desc_set_address(&desc, kTxBuffers + (part == 0 ? 0 : first_bytes));
      pst_tx_desc_set_length_bytes(&desc, part == 0 ? first_bytes : bytes.size() - first_bytes);
      pst_tx_desc_set_end_of_packet(&desc, part);
      pst_tx_desc_set_segment(&desc, part == 0);
      pst_tx_desc_set_checksum_l4(&desc, pick(2));
      vi.queue_desc(desc);
    }
    vi.ring_tx();
  }

  // A push or a frame from the PIO page; an error if packets are not completed.
  void transmit_directly(TestVi& vi) {
    if (pick(10) != 0) run_ns(100'000);  // mostly they are
    ++vi.tx_idx;
    const uint64_t bytes = 14 + pick(1500);
    if (pick(2)) {
      pst_tx_desc desc{};
      pst_tx_desc_set_address(&desc, kTxBuffers + pick(65536));
      pst_tx_desc_set_length_bytes(&desc, bytes);
      pst_tx_desc_set_end_of_packet(&desc, pick(20) != 0);
      vi.doorbell(PST_VI_TX_PUSH_DESCRIPTOR_LO_OFFSET, desc.word[0], 8);
      vi.doorbell(PST_VI_TX_PUSH_DESCRIPTOR_HI_OFFSET, desc.word[1], 8);
      vi.doorbell(PST_VI_TX_PUSH_DOORBELL_OFFSET, vi.tx_idx);
    } else {
      vi.doorbell(PST_VI_PIO_PAGE_OFFSET + 8 * pick(512), random_(), 8);
      vi.doorbell(PST_VI_PIO_DOORBELL_OFFSET,
                  vi.tx_idx | uint64_t{pick(2700)} << PST_VI_PIO_DOORBELL_OFFSET_BYTES_SHIFT |
                      bytes << PST_VI_PIO_DOORBELL_LENGTH_BYTES_SHIFT,
                  8);
    }
  }

  // The peer asks to pause, or to go on.
  void pause_frame() {
    std::vector<uint8_t> bytes{0x01, 0x80, 0xc2, 0x00, 0x00, 0x01, 0, 0, 0, 0, 0, 9, 0x88, 0x08, 0, 1};
    bytes.resize(60);
    if (pick(2)) bytes[17] = static_cast<uint8_t>(pick(256));
    arrive(a_, bytes);
  }

  void transmit(TestVi& vi) {
    const uint32_t kind = pick(12);
    if (kind < 2) return transmit_segmented(vi);
    if (kind < 3) return transmit_directly(vi);
    for (uint32_t n = 1 + pick(20); n > 0; --n) {
      pst_tx_desc desc{};
      pst_tx_desc_set_address(&desc, pick(300) == 0 ? kViAreaBytes : kTxBuffers + pick(65536));
      pst_tx_desc_set_length_bytes(&desc, pick(300) == 0 ? 0 : 14 + pick(1520));
      pst_tx_desc_set_end_of_packet(&desc, pick(4) != 0);
      pst_tx_desc_set_checksum_l3(&desc, pick(2));
      pst_tx_desc_set_checksum_l4(&desc, pick(2));
      pst_tx_desc_set_timestamp(&desc, pick(10) == 0);
      pst_tx_desc_set_complete(&desc, pick(5) == 0);
      if (pick(500) == 0) desc.word[1] = random_();
      vi.queue_desc(desc);
    }
    vi.ring_tx();
  }

  void consume(uint32_t i) {
    TestVi& vi = *vis_[i];
    for (uint32_t n = pick(100); n > 0; --n) {
      const auto event = vi.next_event();
      if (!event) break;
      ++events_seen;
      if (pst_event_get_type(&*event) == PST_EVENT_TYPE_ERROR) ++errors_seen;
    }
    returned_[i] = vi.evq_idx;
    if (pick(2)) {
      vi.return_space();
    } else {
      vi.prime();
    }
  }

  void operate() {
    const uint32_t i = pick(kVis);
    TestVi& vi = *vis_[i];
    switch (pick(40)) {
      case 0:
        release(i);
        allocate(i);
        break;
      case 1:
        if (pick(4) == 0) vi.doorbell(8 * pick(12), random_(), pick(2) ? 4 : 8);
        if (pick(4) == 0) pause_frame();
        break;
      case 2:
        vi.doorbell(PST_VI_TIMER_OFFSET, pick(5000) | 7ull << 32, 8);
        break;
      case 3:
        a_.device().wire_export->set_link(pick(3) != 0);
        break;
      case 4:
      case 5:
      case 6:
      case 7:
        vi.post_rx(pick(40), 100 + pick(1900));
        break;
      case 8:
      case 9:
      case 10:
      case 11:
      case 12:
      case 13:
        transmit(vi);
        break;
      case 14:
      case 15:
      case 16:
      case 17:
      case 18:
      case 19:
      case 20:
      case 21:
        incoming();
        break;
      default:
        consume(i);
    }
  }

  // R4 and R5 from the memory's point of view: event writes come in ring order, into slots that have been returned.
  void check_dma() {
    for (const DmaAccess& access : a_.dma) {
      if (!access.write || access.bytes != PST_EVENT_BYTES || access.address < kViArea) continue;
      const uint64_t offset = (access.address - kViArea) % kViAreaBytes;
      const uint64_t i = (access.address - kViArea) / kViAreaBytes;
      if (i >= kVis || offset < kEvq || offset >= kEvq + 128 * PST_EVENT_BYTES) continue;
      ASSERT_EQ((offset - kEvq) / PST_EVENT_BYTES, written_[i] % 128) << "VI " << i << ": events out of order";
      ++written_[i];
      ASSERT_LE(written_[i] - returned_[i], 128u) << "VI " << i << ": an unconsumed event was overwritten";
    }
    a_.dma.clear();
  }

  std::mt19937_64 random_;
  FreshKernel kernel_;
  Node a_;
  std::unique_ptr<TestVi> vis_[kVis];
  uint32_t written_[kVis]{};
  uint32_t returned_[kVis]{};
};

TEST(RandomOperationsTest, EqualSeedsGiveEqualRuns) {
  std::string first;
  for (int round = 0; round < 2; ++round) {
    Soak soak(42);
    soak.run(1500);
    if (round == 0) first = soak.fingerprint();
    EXPECT_EQ(soak.fingerprint(), first);
  }
}

TEST(RandomOperationsTest, RulesHoldAndAccountsAddUp) {
  uint64_t events = 0, errors = 0, extra_frames = 0;
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    Soak soak(seed);
    soak.run(3000);
    if (HasFailure()) break;
    events += soak.events_seen;
    errors += soak.errors_seen;
    extra_frames += soak.extra_frames();
  }
  EXPECT_GT(events, 5000u);
  EXPECT_GT(errors, 10u);
  EXPECT_GT(extra_frames, 100u);
}

}  // namespace
}  // namespace postern::hw_model::test
