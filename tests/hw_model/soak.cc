// Driving a soak, and what must hold when it has settled. See soak.h.
#include "tests/hw_model/soak.h"

#include <algorithm>

namespace postern::hw_model::test {
namespace {

constexpr uint64_t kSettleNs = 5'000'000'000;  // timers are armed for up to 4.3 s

uint32_t status_of(const pst_admin_completion& answer) {
  return static_cast<uint32_t>(pst_admin_completion_get_status(&answer));
}

}  // namespace

SoakNic::SoakNic(const char* name, uint32_t number, const SoakOptions& options, SoakRandom& random, SoakCounts& sum)
    : node(name, number == 0 ? kMacA : kMacB),
      counts(sum),
      options_(options),
      random_(random),
      mac_(number == 0 ? kMacA : kMacB),
      peer_mac_(number == 0 ? kMacB : kMacA),
      ip_(number == 0 ? kIpA : kIpB),
      peer_ip_(number == 0 ? kIpB : kIpA),
      seats_(2 + random.pick(10)) {
  node.record_dma = true;
  node.record_wire = false;
  draw_properties();
}

void SoakNic::set(const char* name, double value) { EXPECT_TRUE(node.nic.set_property(name, value)) << name; }

// Another host and another card for each seed.
void SoakNic::draw_properties() {
  set("tx_dma.cut_through", pick(2));
  set("tx_dma.schedule_by_bytes", pick(2));
  set("tx_dma.rate_burst_bytes", pick(3) * 2000);
  set("tx_dma.completion_batch", 1 + pick(32));
  set("tx_dma.buffer_bytes", random_.of({16384, 65536}));
  set("mac_port.rx_cut_through", pick(2));
  if (options_.faults) set("fault.seed", 1 + pick(1 << 20));
  if (options_.faults) set("fault.completion_timeout_ns", 60'000);
  if (!options_.control) return;
  const uint32_t mps_bytes = random_.of({128u, 256u, 512u, 1024u});
  const uint32_t mps_credits = mps_bytes / 16;
  set("pcie_link.generation", 1 + pick(5));
  set("pcie_link.lanes", random_.of({1, 4, 8, 16}));
  set("pcie_link.mps_bytes", mps_bytes);
  set("pcie_link.mrrs_bytes", random_.of({128, 512, 4096}));
  set("pcie_link.rcb_bytes", random_.of({64, 128}));
  set("pcie_link.split_at_rcb", pick(2));
  const uint32_t tags = random_.of({1u, 8u, 64u, 256u});
  many_tags_ = tags > 1;
  set("pcie_link.tags", tags);
  set("pcie_link.relaxed_ordering", pick(2));
  set("pcie_link.posted_header_credits", 1 + pick(127));
  set("pcie_link.posted_data_credits", mps_credits + pick(1000));
  set("pcie_link.non_posted_header_credits", 1 + pick(127));
  if (pick(2)) {
    set("pcie_link.completion_header_credits", 1 + pick(127));
    set("pcie_link.completion_data_credits", mps_credits + pick(1000));
  }
  set("pcie_link.latency_distribution", pick(5));
  set("pcie_link.latency_spread_ns", pick(1000));
  set("pcie_link.latency_seed", pick(1 << 20));
  set("pcie_link.latency_writes", pick(2));
  rate_mbps_ = random_.of({1000u, 10000u, 10000u, 100000u});
  set("mac_port.rate_mbps", rate_mbps_);
  set("rx_dma.buffer_bytes", random_.of({32768, 262144}));
  set("desc_fetch.rx_batch", 1 + pick(64));
  set("desc_fetch.tx_batch", 1 + pick(64));
  mtu_ = random_.of({1500u, 1500u, 9000u});
}

void SoakNic::start() {
  node.enable_admin();
  configure_port();
  for (uint32_t i = 0; i < seats_.size(); ++i) allocate(i);
}

void SoakNic::configure_port() {
  pst_command port = make_command(PST_COMMAND_PORT_CONFIG);
  pst_port_config_set_mtu_bytes(&port, mtu_);
  pst_port_config_set_pause(&port, 1);
  command(port, {PST_ERROR_CODE_OK});
}

// Frames of many kinds for the peer, for this port and for nobody; each seat's are its own by their source port.
void SoakNic::lay_out_frames(uint32_t i) {
  Seat& seat = seats_[i];
  for (uint32_t n = 0; n < kSoakFrames; ++n) {
    UdpSpec spec;
    spec.source = n % 8 == 7 ? peer_mac_ : mac_;
    spec.destination = n % 4 == 3 ? mac_ : peer_mac_;
    spec.source_ip = n % 8 == 5 ? peer_ip_ : ip_;
    spec.destination_ip = peer_ip_;
    spec.protocol = n % 3 == 2 ? 6 : 17;
    spec.source_port = static_cast<uint16_t>(1000 + i);
    spec.destination_port = static_cast<uint16_t>(2000 + pick(static_cast<uint32_t>(seats_.size())));
    spec.frame_bytes = 60 + (n % 4 == 0 ? pick(mtu_ - 46) : pick(400));
    std::vector<uint8_t> bytes = udp_frame(spec);
    if (n % 16 == 9) bytes = arp_frame(mac_, ip_ + i, peer_ip_);
    if (n % 16 == 10) std::fill(bytes.begin(), bytes.begin() + 6, static_cast<uint8_t>(0xff));
    if (n % 16 == 11) bytes = ipv6_frame(spec);
    seat.frame_bytes[n] = static_cast<uint32_t>(bytes.size());
    std::copy(bytes.begin(), bytes.end(),
              node.memory.begin() + static_cast<ptrdiff_t>(seat.vi->base + kSoakFrameArea + n * kSoakFrameStride));
  }
}

void SoakNic::draw_options(uint32_t i, ViOptions& options) {
  options.rx_entries = 128u << pick(2);  // as many as there are buffers at most
  options.tx_entries = 128u << pick(3);
  options.evq_entries = 128u << (pick(3) ? 0 : pick(6));
  options.policy = pick(3);
  options.rx_prefix = pick(2) != 0;
  options.merge_count = options.rx_prefix ? pick(9) : pick(2);
  options.any_source = pick(2) != 0;
  options.vlan_strip = pick(2) != 0;
  options.vector = i;
  options.holdoff_ns = pick(3) * 1000;
  options.holdoff_events = pick(5);
  options.weight = pick(4);
  options.rate_limit_mbps = pick(4) == 0 ? 2000 : 0;
  options.domain_base = i * kViAreaBytes;
  const Seat& other = seats_[pick(static_cast<uint32_t>(seats_.size()))];
  if (options_.control && other.vi != nullptr && pick(3) == 0) options.domain = other.vi->pd;
}

void SoakNic::allocate(uint32_t i) {
  ViOptions options;
  draw_options(i, options);
  Seat& seat = seats_[i];
  seat = {};
  seat.vi = std::make_unique<TestVi>(node, i, options);
  TestVi& vi = *seat.vi;
  seat.vector = i;
  ASSERT_EQ(vi.alloc_status, PST_ERROR_CODE_OK);
  seat.suspect = vi.id == losing_vi_;
  ++domain_users_[vi.pd];
  lay_out_frames(i);
  if (pick(3) == 0) moderate(i);
  pst_command listener = make_command(PST_COMMAND_FILTER_INSERT, vi.id);
  pst_filter_insert_set_match(&listener, PST_FILTER_MATCH_LISTENER_ANY);
  pst_filter_insert_set_family(&listener, PST_ADDRESS_FAMILY_IPV4);
  pst_filter_insert_set_protocol(&listener, 17);
  pst_filter_insert_set_local_port(&listener, 2000 + i);
  pst_command multicast = make_command(PST_COMMAND_FILTER_INSERT, vi.id);
  pst_filter_insert_set_match(&multicast, PST_FILTER_MATCH_MULTICAST_DEFAULT);
  pst_filter_insert_set_replicate(&multicast, 1);
  for (const pst_command& filter : {listener, multicast}) {  // control() may have given an equal one to another VI
    if (options_.control) {
      command(filter, {PST_ERROR_CODE_OK, PST_ERROR_CODE_EXISTS, PST_ERROR_CODE_TABLE_FULL});
    } else {
      command(filter, {PST_ERROR_CODE_OK});
    }
  }
}

void SoakNic::release(uint32_t i) {
  Seat& seat = seats_[i];
  const TestVi& vi = *seat.vi;
  command(make_command(PST_COMMAND_VI_FREE, vi.id), {PST_ERROR_CODE_OK});
  check_dma();
  if (--domain_users_[vi.pd] == 0) {
    domain_users_.erase(vi.pd);
    for (size_t n = contexts_.size(); n-- > 0;) {
      if (contexts_[n].second == vi.pd) free_context(n);
    }
    command(make_command(PST_COMMAND_PD_FREE, vi.pd), {PST_ERROR_CODE_OK});
  } else {
    pst_command unmap = make_command(PST_COMMAND_TRANSLATION_UNMAP, vi.pd);
    pst_translation_unmap_set_domain_address(&unmap, vi.options.domain_base);
    command(unmap, {PST_ERROR_CODE_OK});
  }
  seat = {};
}

// The software zeroes the event queue before VI_RESET. A VI that runs is stopped by a first one.
void SoakNic::reset_vi(uint32_t i) {
  Seat& seat = seats_[i];
  TestVi& vi = *seat.vi;
  seat.in_reset = true;
  if (!seat.halted) command(make_command(PST_COMMAND_VI_RESET, vi.id), {PST_ERROR_CODE_OK});
  check_dma();
  do {  // once more if another VI's wakeup came in between: it would be taken for one of the time after
    seat.written = 0;
    std::memset(node.memory.data() + vi.base + kEvq, 0, vi.options.evq_entries * PST_EVENT_BYTES);
    command(make_command(PST_COMMAND_VI_RESET, vi.id), {PST_ERROR_CODE_OK});
    check_dma();
  } while (seat.written != 0);
  vi.forget();
  seat.written = seat.returned = seat.tx_done = seat.rx_done = 0;
  seat.halted = seat.open_packet = seat.in_reset = seat.bad_buffer = false;
  seat.suspect = vi.id == losing_vi_;
  ++counts.vi_resets;
}

void SoakNic::recover(uint32_t i) {
  if (pick(2)) return reset_vi(i);
  release(i);
  allocate(i);
}

void SoakNic::check_dma() {
  for (const DmaAccess& access : node.dma) {
    if (!access.write || access.bytes != PST_EVENT_BYTES || access.address < kViArea) continue;
    const uint64_t offset = (access.address - kViArea) % kViAreaBytes;
    const uint64_t i = (access.address - kViArea) / kViAreaBytes;
    if (i >= seats_.size() || seats_[i].vi == nullptr) continue;
    Seat& seat = seats_[i];
    const uint32_t entries = seat.vi->options.evq_entries;
    if (offset < kEvq || offset >= kEvq + uint64_t{entries} * PST_EVENT_BYTES) continue;
    if (seat.in_reset) {
      ++seat.written;
      continue;
    }
    ASSERT_EQ((offset - kEvq) / PST_EVENT_BYTES, seat.written % entries) << "VI " << i << ": events out of order";
    const bool odd_pass = seat.written / entries & 1;
    ASSERT_EQ(pst_event_get_phase(&node.at<pst_event>(access.address)), odd_pass ? 0u : 1u) << "VI " << i << ": phase";
    ++seat.written;
    ASSERT_LE(static_cast<int32_t>(seat.written - seat.returned), static_cast<int32_t>(entries))
        << "VI " << i << ": an unconsumed event was overwritten";
  }
  node.dma.clear();
}

void SoakNic::calm() {
  for (const char* fault : kSoakFaults) set(fault, 0);
  losing_vi_ = kNoVi;
  set("fault.link_down_at_ns", 0);
  set("fault.pause_at_ns", 0);
  link_up_in_ = 0;
  node.device().wire_export->set_link(true);
}

uint64_t SoakNic::drain() {
  uint64_t drained = 0;
  check_dma();
  for (uint32_t i = 0; i < seats_.size(); ++i) {
    Seat& seat = seats_[i];
    if (seat.vi == nullptr) continue;
    drained += consume(i, UINT32_MAX);
    seat.returned = seat.vi->evq_idx;
    seat.vi->return_space();
  }
  return drained;
}

void SoakNic::judge() {
  EXPECT_EQ(node.counter("rx.frames") + node.counter("rx.extra_copies"),
            node.counter("rx.delivered") + node.drops_total("RX"));
  EXPECT_EQ(node.counter("tx.packets") + node.counter("tx.extra_frames"),
            node.counter("tx.frames") + node.counter("tx.loopback") + node.drops_total("TX"));
  pst_command read = make_command(PST_COMMAND_STATISTICS_READ);
  pst_statistics_read_set_address(&read, kScratch);
  command(read, {PST_ERROR_CODE_OK});
  const auto& statistics = node.at<pst_port_statistics>(kScratch);
  EXPECT_EQ(pst_port_statistics_get_rx_frames(&statistics), node.counter("rx.frames"));
  EXPECT_EQ(pst_port_statistics_get_tx_frames(&statistics), node.counter("tx.frames"));
  EXPECT_EQ(node.counter("vi.active"), seats_.size());
  ++counts.settled;
}

void SoakNic::check_alive() {
  for (uint32_t i = 0; i < seats_.size() && !testing::Test::HasFailure(); ++i) {
    if (!seats_[i].halted && !seats_[i].suspect) check_vi_alive(i);
    if (seats_[i].halted || seats_[i].suspect) recover(i);
  }
}

// Nothing of a VI is stuck: it completes a frame, and wakes whoever has primed it.
void SoakNic::check_vi_alive(uint32_t i) {
  Seat& seat = seats_[i];
  TestVi& vi = *seat.vi;
  if (seat.open_packet) {  // ends here, or is refused for its length
    pst_tx_desc desc{};
    pst_tx_desc_set_address(&desc, frame_address(seat, 0));
    pst_tx_desc_set_length_bytes(&desc, 60);
    pst_tx_desc_set_end_of_packet(&desc, 1);
    vi.queue_desc(desc);
    vi.ring_tx();
    seat.open_packet = false;
    run_ns(200'000);
    check_dma();
    consume(i, UINT32_MAX);
    if (seat.halted) return;
  }
  seat.returned = vi.evq_idx;
  vi.prime();
  node.interrupts.clear();
  pst_tx_desc desc{};
  pst_tx_desc_set_address(&desc, frame_address(seat, 0));
  pst_tx_desc_set_length_bytes(&desc, seat.frame_bytes[0]);
  pst_tx_desc_set_end_of_packet(&desc, 1);
  pst_tx_desc_set_complete(&desc, 1);
  vi.queue_desc(desc);
  vi.ring_tx();
  run_ns(1'000'000);
  check_dma();
  consume(i, UINT32_MAX);
  if (seat.halted && seat.bad_buffer) return;  // another VI's frame came into it
  EXPECT_FALSE(seat.halted) << node.name() << ": VI in seat " << i << " halts at a good frame";
  EXPECT_EQ(seat.tx_done, vi.tx_idx) << node.name() << ": VI in seat " << i << " does not complete its frame";
  ++counts.live_checks;
  if (seat.vector == PST_VECTOR_NONE) return;
  const bool woken = std::any_of(node.interrupts.begin(), node.interrupts.end(),
                                 [&](const Interrupt& interrupt) { return interrupt.vector == seat.vector; });
  EXPECT_TRUE(woken) << node.name() << ": VI in seat " << i << " does not wake its user";
  ++counts.wakeups_checked;
}

void SoakNic::add_counters() {
  counts.rx_delivered += node.counter("rx.delivered");
  counts.tx_frames += node.counter("tx.frames");
  counts.extra_frames += node.counter("tx.extra_frames");
}

void SoakNic::release_all() {
  add_counters();
  for (uint32_t i = 0; i < seats_.size(); ++i) release(i);
  while (!filters_.empty()) remove_filter();
  EXPECT_TRUE(contexts_.empty());
  EXPECT_EQ(node.counter("vi.active"), 0u);
  EXPECT_EQ(node.counter("filters"), 0u);
}

void SoakNic::check_nothing_left() {
  std::vector<uint32_t> domains;
  for (;;) {
    const pst_admin_completion answer = node.command(make_command(PST_COMMAND_PD_ALLOC));
    if (status_of(answer) != PST_ERROR_CODE_OK) break;
    domains.push_back(static_cast<uint32_t>(pst_admin_completion_get_result(&answer)));
  }
  EXPECT_EQ(domains.size(), size_t{PST_LIMIT_PD_COUNT_MAX});
  std::vector<uint32_t> contexts;
  for (;;) {
    const pst_admin_completion answer = node.command(make_command(PST_COMMAND_RSS_ALLOC, domains[0]));
    if (status_of(answer) != PST_ERROR_CODE_OK) break;
    contexts.push_back(static_cast<uint32_t>(pst_admin_completion_get_result(&answer)));
  }
  EXPECT_EQ(contexts.size(), size_t{PST_LIMIT_RSS_CONTEXT_COUNT_MAX});
  for (const uint32_t context : contexts) command(make_command(PST_COMMAND_RSS_FREE, context), {PST_ERROR_CODE_OK});
  for (const uint32_t domain : domains) command(make_command(PST_COMMAND_PD_FREE, domain), {PST_ERROR_CODE_OK});
}

void SoakNic::check_removal() {
  for (uint32_t i = 0; i < seats_.size(); ++i) allocate(i);
  for (int n = 0; n < 50; ++n) traffic(pick(static_cast<uint32_t>(seats_.size())));
  set("fault.removal_at_ns", from_now_ns(500 + pick(5000)));
  run_ns(6000);
  node.dma.clear();
  const size_t interrupts = node.interrupts.size();
  for (int n = 0; n < 50; ++n) incoming();
  run_ns(100'000);
  EXPECT_TRUE(node.dma.empty()) << "DMA of a card that is gone";
  EXPECT_EQ(node.interrupts.size(), interrupts);
  EXPECT_EQ(node.read32(PST_FUNCTION_MAGIC_OFFSET), 0xffffffffu);
}

Soak::Soak(uint64_t seed, const SoakOptions& options) : options_(options), random_(seed) {
  for (uint32_t n = 0; n < (options.pair ? 2u : 1u); ++n) {
    nics_.push_back(std::make_unique<SoakNic>(n == 0 ? "a" : "b", n, options_, random_, counts_));
    nics_.back()->settle = [this] { settle(); };
  }
  if (options.pair) {
    nics_[0]->node.peer = &nics_[1]->node;
    nics_[1]->node.peer = &nics_[0]->node;
  }
  for (auto& nic : nics_) nic->start();
}

void Soak::run(uint32_t operations) {
  for (uint32_t i = 0; i < operations && !testing::Test::HasFailure(); ++i) {
    nics_[random_.pick(static_cast<uint32_t>(nics_.size()))]->step();
    run_ns(random_.pick(4) == 0 ? random_.pick(3000) : random_.pick(60));
    for (auto& nic : nics_) nic->check_dma();
    if (options_.settle_every != 0 && (i + 1) % options_.settle_every == 0) settle();
  }
  if (testing::Test::HasFailure()) return;  // what follows would hide it
  settle();
  for (auto& nic : nics_) nic->release_all();
  run_ns(kSettleNs);
  EXPECT_FALSE(sc_core::sc_pending_activity());
  for (auto& nic : nics_) nic->check_nothing_left();
  if (options_.faults) nics_[0]->check_removal();
}

// All that is on its way arrives, then accounts and VIs are looked at.
void Soak::settle() {
  for (auto& nic : nics_) nic->calm();
  for (int round = 0, quiet = 0; quiet < 2; ++round) {
    ASSERT_LT(round, 1000) << "the traffic does not end";
    run_ns(quiet == 0 ? 1'000'000 : kSettleNs);
    uint64_t drained = 0;
    for (auto& nic : nics_) drained += nic->drain();
    quiet = drained == 0 ? quiet + 1 : 0;
  }
  run_ns(1'000'000);  // the last return of space
  EXPECT_FALSE(sc_core::sc_pending_activity());
  for (auto& nic : nics_) nic->judge();
  for (auto& nic : nics_) nic->check_alive();
}

std::string Soak::fingerprint() const {
  std::string text = std::to_string(now_ps());
  for (const auto& nic : nics_) {
    for (const sim::Counter& counter : nic->node.nic.counters())
      text += " " + counter.name + "=" + std::to_string(counter.value);
  }
  return text;
}

}  // namespace postern::hw_model::test
