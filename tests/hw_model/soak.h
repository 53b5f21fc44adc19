// Random operations of several VIs, good and bad, with frames coming in all the while: what the short random tests and
// the long randomised contract test run. The node's monitor checks the rules; here, from host memory, that events come
// in order into free slots, and at the end that accounts add up, nothing is left and nothing is stuck.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/hw_model/nic_bench.h"

namespace postern::hw_model::test {

constexpr uint32_t kSoakVis = 4;

struct SoakOptions {
  bool control = false;  // admin commands of all kinds, filters, RSS, resets of the function
  bool faults = false;   // injected faults, switched on and off
};

class Soak {
 public:
  explicit Soak(uint64_t seed, const SoakOptions& options = {}) : options_(options), random_(seed), a_("a", kMacA) {
    a_.record_dma = true;
    a_.record_wire = false;
    EXPECT_TRUE(a_.nic.set_property("mac_port.rx_cut_through", pick(2)));
    if (options.faults) set("fault.seed", static_cast<double>(1 + seed));
    if (options.faults) set("fault.completion_timeout_ns", 60'000);
    a_.enable_admin();
    EXPECT_TRUE(a_.nic.set_property("tx_dma.cut_through", pick(2)));
    EXPECT_TRUE(a_.nic.set_property("tx_dma.schedule_by_bytes", pick(2)));
    EXPECT_TRUE(a_.nic.set_property("tx_dma.rate_burst_bytes", pick(3) * 2000));
    configure_port();
    for (uint32_t i = 0; i < kSoakVis; ++i) allocate(i);
  }

  void run(uint32_t operations) {
    for (uint32_t i = 0; i < operations && !testing::Test::HasFatalFailure(); ++i) {
      if (options_.control && pick(20) == 0) control();
      if (options_.faults && pick(50) == 0) switch_fault();
      operate();
      run_ns(pick(4) == 0 ? pick(3000) : pick(60));
      check_dma();
    }
    for (const char* fault : kFaults) set(fault, 0);
    a_.device().wire_export->set_link(true);
    for (uint32_t i = 0; i < kSoakVis; ++i) release(i);
    run_ns(5'000'000'000);  // the port sends what it holds; timers were armed for up to 4.3 s
    EXPECT_EQ(a_.counter("rx.frames") + a_.counter("rx.extra_copies"),
              a_.counter("rx.delivered") + a_.drops_total("RX"));
    EXPECT_EQ(a_.counter("tx.packets") + a_.counter("tx.extra_frames"),
              a_.counter("tx.frames") + a_.counter("tx.loopback") + a_.drops_total("TX"));
    EXPECT_EQ(a_.counter("vi.active"), 0u);
    EXPECT_EQ(a_.counter("filters"), 0u);
    EXPECT_FALSE(sc_core::sc_pending_activity());
    expect_traffic();
  }

  // A VI that is made now sends and receives: nothing is stuck.
  void expect_traffic() {
    a_.peer = &a_;  // what leaves comes back
    configure_port();
    ViOptions options;
    TestVi vi(a_, 0, options);
    ASSERT_EQ(vi.alloc_status, PST_ERROR_CODE_OK);
    ASSERT_EQ(vi.add_filter(PST_FILTER_MATCH_MAC,
                            [](pst_command& c) { pst_filter_insert_set_local_address_lo(&c, 0x0a00004e5002); }),
              PST_ERROR_CODE_OK);
    vi.post_rx(4);
    UdpSpec spec;
    spec.destination = kMacA;
    vi.send(udp_frame(spec));
    run_ns(100'000);
    EXPECT_EQ(vi.events().size(), 2u) << "one frame sent, one received";
    a_.peer = nullptr;
    EXPECT_EQ(a_.status(make_command(PST_COMMAND_VI_FREE, vi.id)), PST_ERROR_CODE_OK);
    EXPECT_EQ(a_.status(make_command(PST_COMMAND_PD_FREE, vi.pd)), PST_ERROR_CODE_OK);
    a_.dma.clear();
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
  uint64_t resets_seen = 0;
  uint64_t extra_frames() const { return a_.counter("tx.extra_frames"); }

 private:
  static constexpr const char* kFaults[] = {"fault.poisoned_probability",      "fault.completion_timeout_probability",
                                            "fault.unmapped_read_probability", "fault.unmapped_write_probability",
                                            "fault.msix_lost_probability",     "fault.msix_delayed_probability",
                                            "fault.context_ecc_probability",   "fault.bad_fcs_probability"};

  void set(const char* name, double value) { EXPECT_TRUE(a_.nic.set_property(name, value)) << name; }

  void configure_port() {
    pst_command port = make_command(PST_COMMAND_PORT_CONFIG);
    pst_port_config_set_mtu_bytes(&port, 1500);
    pst_port_config_set_pause(&port, 1);
    EXPECT_EQ(a_.status(port), PST_ERROR_CODE_OK);
  }

  // Faults hit VIs, not the admin queue: without that there would be nothing to do any more.
  void switch_fault() {
    set("fault.dma_vi", vis_[pick(kSoakVis)]->id);
    set(kFaults[pick(static_cast<uint32_t>(std::size(kFaults)))], pick(2) ? 0 : 0.002 * pick(20));
    if (pick(50) == 0) set("fault.link_down_at_ns", static_cast<double>(now_ps() / 1000 + 1 + pick(5000)));
    if (pick(50) == 0) set("fault.pause_at_ns", static_cast<double>(now_ps() / 1000 + 1 + pick(5000)));
  }

  // One command, and what it may be answered with.
  void command(const pst_command& c, std::initializer_list<uint32_t> answers) {
    const uint32_t status = a_.status(c);
    EXPECT_TRUE(std::find(answers.begin(), answers.end(), status) != answers.end())
        << "opcode " << pst_command_get_opcode(&c) << " answered " << status;
  }

  void control() {
    const uint32_t i = pick(kSoakVis);
    switch (pick(12)) {
      case 0:
        return insert_filter(i);
      case 1:
        if (filters_.empty()) return;
        command(make_command(PST_COMMAND_FILTER_REMOVE, filters_.back()),
                {PST_ERROR_CODE_OK, PST_ERROR_CODE_NOT_FOUND});
        return filters_.pop_back();
      case 2:
        return spread(i);
      case 3: {
        pst_command c = make_command(PST_COMMAND_MODERATION_SET, vis_[i]->id);
        pst_moderation_set_set_holdoff_ns(&c, pick(20000));
        pst_moderation_set_set_holdoff_events(&c, pick(8));
        pst_moderation_set_set_adaptive(&c, pick(2));
        return command(c, {PST_ERROR_CODE_OK});
      }
      case 4: {
        pst_command c = make_command(PST_COMMAND_MSIX_BIND, vis_[i]->id);
        pst_msix_bind_set_vector(&c, pick(8) == 0 ? uint32_t{PST_VECTOR_NONE} : i);
        pst_msix_bind_set_to_vi(&c, pick(3) == 0);
        pst_msix_bind_set_wakeup_vi(&c, vis_[pick(kSoakVis)]->id);
        return command(c, {PST_ERROR_CODE_OK, PST_ERROR_CODE_BAD_PARAMETER});  // not to itself
      }
      case 5: {
        pst_command c = make_command(PST_COMMAND_PTP_ADJUST);
        pst_ptp_adjust_set_step_ns(&c, random_() % 1000000);
        pst_ptp_adjust_set_rate_ppb(&c, pick(100'000'000));
        return command(c, {PST_ERROR_CODE_OK});
      }
      case 6: {
        pst_command c = make_command(PST_COMMAND_PORT_CONFIG);
        pst_port_config_set_mtu_bytes(&c, 1500);
        pst_port_config_set_promiscuous(&c, pick(2));
        pst_port_config_set_loopback(&c, pick(2));
        pst_port_config_set_pause(&c, pick(2));
        return command(c, {PST_ERROR_CODE_OK});
      }
      case 7: {
        pst_command c = make_command(PST_COMMAND_STATISTICS_READ);
        pst_statistics_read_set_address(&c, kScratch);
        return command(c, {PST_ERROR_CODE_OK});
      }
      case 8: {  // a second range of the domain, gone again
        pst_command map = make_command(PST_COMMAND_TRANSLATION_MAP, vis_[i]->pd);
        pst_translation_map_set_domain_address(&map, kViAreaBytes * (8 + pick(4)));
        pst_translation_map_set_host_address(&map, kScratch);
        pst_translation_map_set_length_bytes(&map, PST_LIMIT_PAGE_BYTES);
        command(map, {PST_ERROR_CODE_OK});
        pst_command unmap = make_command(PST_COMMAND_TRANSLATION_UNMAP, vis_[i]->pd);
        pst_translation_unmap_set_domain_address(&unmap, pst_translation_map_get_domain_address(&map));
        return command(unmap, {PST_ERROR_CODE_OK});
      }
      case 9:
        return malformed_command();
      default:
        if (pick(20) == 0) reset_function();
    }
  }

  void insert_filter(uint32_t i) {
    pst_command c = make_command(PST_COMMAND_FILTER_INSERT, vis_[i]->id);
    const uint32_t match = pick(PST_FILTER_MATCH_SNIFF + 1);
    pst_filter_insert_set_match(&c, match);
    pst_filter_insert_set_replicate(&c, pick(2));
    if (match <= PST_FILTER_MATCH_LISTENER_ANY) {
      pst_filter_insert_set_family(&c, PST_ADDRESS_FAMILY_IPV4);
      pst_filter_insert_set_protocol(&c, pick(2) ? 17 : 6);
      pst_filter_insert_set_local_port(&c, 2000 + pick(kSoakVis + 1));
      pst_filter_insert_set_remote_port(&c, 1000);
      pst_filter_insert_set_local_address_lo(&c, 0x0200090a);
      pst_filter_insert_set_remote_address_lo(&c, 0x0100090a);
    }
    pst_filter_insert_set_ethertype(&c, pick(2) ? 0x0800 : 0x0806);
    pst_filter_insert_set_vlan_id(&c, 7);
    if (match >= PST_FILTER_MATCH_MAC) pst_filter_insert_set_local_address_lo(&c, 0x0b00004e5002);
    command_with_filter(c, {PST_ERROR_CODE_OK, PST_ERROR_CODE_EXISTS, PST_ERROR_CODE_TABLE_FULL});
  }

  void command_with_filter(const pst_command& c, std::initializer_list<uint32_t> answers) {
    const pst_admin_completion answer = a_.command(c);
    const auto status = static_cast<uint32_t>(pst_admin_completion_get_status(&answer));
    EXPECT_TRUE(std::find(answers.begin(), answers.end(), status) != answers.end()) << status;
    if (status == PST_ERROR_CODE_OK)
      filters_.push_back(static_cast<uint32_t>(pst_admin_completion_get_result(&answer)));
  }

  // An RSS context whose table names one VI, a filter that uses it, and both gone again.
  void spread(uint32_t i) {
    const pst_admin_completion made = a_.command(make_command(PST_COMMAND_RSS_ALLOC, vis_[i]->pd));
    ASSERT_EQ(pst_admin_completion_get_status(&made), uint64_t{PST_ERROR_CODE_OK});
    const auto context = static_cast<uint32_t>(pst_admin_completion_get_result(&made));
    for (uint32_t entry = 0; entry < PST_LIMIT_RSS_INDIRECTION_ENTRIES; ++entry)
      a_.at<uint16_t>(kScratch + 64 + 2 * entry) = static_cast<uint16_t>(vis_[pick(10) == 0 ? pick(kSoakVis) : i]->id);
    pst_command configure = make_command(PST_COMMAND_RSS_CONFIGURE, context);
    pst_rss_configure_set_key_address(&configure, kScratch);
    pst_rss_configure_set_table_address(&configure, kScratch + 64);
    command(configure, {PST_ERROR_CODE_OK, PST_ERROR_CODE_BAD_PARAMETER});  // a VI of another domain
    pst_command filter = make_command(PST_COMMAND_FILTER_INSERT, vis_[i]->id);
    pst_filter_insert_set_match(&filter, PST_FILTER_MATCH_ETHERTYPE);
    pst_filter_insert_set_ethertype(&filter, 0x0800);
    pst_filter_insert_set_rss(&filter, 1);
    pst_filter_insert_set_rss_context(&filter, context);
    const size_t before = filters_.size();
    command_with_filter(filter, {PST_ERROR_CODE_OK, PST_ERROR_CODE_EXISTS});
    if (filters_.size() != before) {
      incoming();
      run_ns(2000);
      command(make_command(PST_COMMAND_RSS_FREE, context), {PST_ERROR_CODE_IN_USE});
      command(make_command(PST_COMMAND_FILTER_REMOVE, filters_.back()), {PST_ERROR_CODE_OK});
      filters_.pop_back();
    }
    command(make_command(PST_COMMAND_RSS_FREE, context), {PST_ERROR_CODE_OK});
  }

  // Something is always wrong with it: the opcode, a reserved bit, or the target.
  void malformed_command() {
    pst_command c = make_command(pick(PST_COMMAND_PTP_ADJUST + 1), 4000 + pick(1000));
    for (size_t word = 1; word < 8; ++word) c.word[word] = pick(3) == 0 ? random_() : 0;
    if (pick(2)) pst_command_set_opcode(&c, 0x13 + pick(200));
    if (pick(2)) pst_command_set_flags(&c, 1 + pick(255));
    const uint64_t opcode = pst_command_get_opcode(&c);
    const bool needs_no_target = opcode == PST_COMMAND_NOP || opcode == PST_COMMAND_PD_ALLOC;
    EXPECT_NE(a_.status(c), uint32_t{PST_ERROR_CODE_OK})
        << "opcode " << opcode << (needs_no_target ? ", no target" : "");
  }

  // Everything is in flight; afterwards all starts anew.
  void reset_function() {
    if (pick(2)) {
      a_.device().function_reset();
    } else {
      a_.write32(PST_FUNCTION_RESET_OFFSET, PST_RESET_KEY);
    }
    run_ns(1000);
    for (int tries = 0; tries < 100 && (a_.read32(PST_FUNCTION_STATUS_OFFSET) & PST_FUNCTION_STATUS_READY_MASK) == 0;
         ++tries) {
      run_ns(1000);
    }
    check_dma();
    a_.dma.clear();
    filters_.clear();
    a_.enable_admin();
    configure_port();
    for (uint32_t i = 0; i < kSoakVis; ++i) allocate(i);
    ++resets_seen;
  }

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
    const uint32_t listener = vis_[i]->add_filter(PST_FILTER_MATCH_LISTENER_ANY,
                                                  [](pst_command& c) { pst_filter_insert_set_local_port(&c, port); });
    const uint32_t multicast = vis_[i]->add_filter(PST_FILTER_MATCH_MULTICAST_DEFAULT,
                                                   [](pst_command& c) { pst_filter_insert_set_replicate(&c, 1); });
    for (const uint32_t status : {listener, multicast})  // control() may have given an equal one to another VI
      ASSERT_TRUE(status == PST_ERROR_CODE_OK || (options_.control && status == PST_ERROR_CODE_EXISTS)) << status;
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
    spec.destination_port = static_cast<uint16_t>(2000 + pick(kSoakVis + 1));
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
    const uint32_t i = pick(kSoakVis);
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
      if (i >= kSoakVis || offset < kEvq || offset >= kEvq + 128 * PST_EVENT_BYTES) continue;
      ASSERT_EQ((offset - kEvq) / PST_EVENT_BYTES, written_[i] % 128) << "VI " << i << ": events out of order";
      ++written_[i];
      ASSERT_LE(static_cast<int32_t>(written_[i] - returned_[i]), 128)
          << "VI " << i << ": an unconsumed event was overwritten";
    }
    a_.dma.clear();
  }

  const SoakOptions options_;
  std::vector<uint32_t> filters_;  // that control() has inserted; some may have gone with their VI
  std::mt19937_64 random_;
  FreshKernel kernel_;
  Node a_;
  std::unique_ptr<TestVi> vis_[kSoakVis];
  uint32_t written_[kSoakVis]{};
  uint32_t returned_[kSoakVis]{};
};

}  // namespace postern::hw_model::test
