// The PCIe link as blocks and hosts see it: the published pcie-bench figures through the model, BAR accesses, and the
// whole NIC behind a slow and irregular host. The arithmetic alone is in pcie_timeline_test.cc.
#include "hw_model/pcie_link.h"

#include <gtest/gtest.h>

#include "hw_model/agenda.h"
#include "hw_model/faults.h"
#include "hw_model/port_statistics.h"
#include "tests/hw_model/nic_bench.h"

namespace postern::hw_model::test {
namespace {

// A DMA engine in the manner of pcie-bench: transfers of one size, each aligned to a page, a window of them at once.
class DmaBench : public sc_core::sc_module, public tlm::tlm_fw_transport_if<> {
 public:
  SC_HAS_PROCESS(DmaBench);
  explicit DmaBench(const sc_core::sc_module_name& module_name)
      : sc_module(module_name),
        dma_socket("dma"),
        memory_socket("memory"),
        nic(wire(*this)),
        faults(nic),
        link(nic, dma_socket),
        memory_(kPages * 4096) {
    dma_socket.bind(static_cast<tlm::tlm_bw_transport_if<>&>(link));
    memory_socket.bind(static_cast<tlm::tlm_fw_transport_if<>&>(*this));
    dma_socket.bind(memory_socket);
    properties.on_change([this] { link.configure(); });
    SC_METHOD(run_agenda);
    sensitive << agenda.event();
    dont_initialize();
  }

  // Gb/s between the first and the last access of host memory.
  double gbps(bool write, uint32_t bytes) {
    write_ = write;
    bytes_ = bytes;
    issued_ = landed_ = 0;
    for (uint32_t i = 0; i < kWindow; ++i) issue();
    for (int tries = 0; tries < 1000 && landed_ < kCount; ++tries) run_ns(100'000);
    EXPECT_EQ(landed_, kCount);
    return static_cast<double>(bytes) * 8 * (kCount - 1) / static_cast<double>(last_ps_ - first_ps_) * 1000;
  }
  uint64_t counter(const std::string& name) const {
    std::vector<sim::Counter> counters;
    link.append_counters(counters);
    for (const sim::Counter& c : counters) {
      if (c.name == name) return c.value;
    }
    ADD_FAILURE() << "no counter " << name;
    return 0;
  }

  void b_transport(tlm::tlm_generic_payload& payload, sc_core::sc_time&) override {
    EXPECT_EQ(payload.get_data_length(), bytes_);
    EXPECT_EQ(payload.is_write(), write_);
    payload.set_response_status(tlm::TLM_OK_RESPONSE);
  }
  tlm::tlm_sync_enum nb_transport_fw(tlm::tlm_generic_payload&, tlm::tlm_phase&, sc_core::sc_time&) override {
    return tlm::TLM_COMPLETED;
  }
  bool get_direct_mem_ptr(tlm::tlm_generic_payload&, tlm::tlm_dmi&) override { return false; }
  unsigned int transport_dbg(tlm::tlm_generic_payload&) override { return 0; }

  Agenda agenda;
  PropertySet properties;
  PortStatistics statistics;
  tlm::tlm_initiator_socket<64> dma_socket;
  tlm::tlm_target_socket<64> memory_socket;
  NicBlocks nic;
  Faults faults;  // none is armed
  PcieLink link;

 private:
  static constexpr uint32_t kWindow = 512, kCount = 5000, kPages = 64;

  static NicBlocks wire(DmaBench& bench) {
    NicBlocks blocks;
    blocks.agenda = &bench.agenda;
    blocks.properties = &bench.properties;
    blocks.statistics = &bench.statistics;
    blocks.faults = &bench.faults;
    return blocks;
  }
  void run_agenda() { agenda.run(); }
  void issue() {
    const uint64_t address = static_cast<uint64_t>(issued_++ % kPages) * 4096;
    const uint64_t landing = write_ ? link.post_write(Agenda::now_ps(), address, bytes_)
                                    : link.post_read(Agenda::now_ps(), address, bytes_).landing_ps;
    agenda.at<&DmaBench::land>(landing, this, address);
  }
  void land(uint64_t address, uint64_t, uint64_t, uint64_t) {
    EXPECT_EQ(write_ ? link.memory_write(address, memory_.data() + address, bytes_)
                     : link.memory_read(address, memory_.data() + address, bytes_),
              DmaResult::kOk);
    last_ps_ = Agenda::now_ps();
    if (landed_++ == 0) first_ps_ = last_ps_;
    if (issued_ < kCount) issue();
  }

  std::vector<uint8_t> memory_;
  bool write_ = false;
  uint32_t bytes_ = 0, issued_ = 0, landed_ = 0;
  uint64_t first_ps_ = 0, last_ps_ = 0;
};

// One point of the published pcie-bench model: Gen3 x8, MPS 256, MRRS 512, 64-bit addresses.
struct Published {
  bool write;
  bool split_at_rcb;
  uint32_t bytes;
  double gbps;
};

void PrintTo(const Published& point, std::ostream* out) { *out << point.bytes << " bytes, " << point.gbps << " Gb/s"; }

class PcieBenchPoint : public ::testing::TestWithParam<Published> {};

TEST_P(PcieBenchPoint, ThroughputThroughTheModelIsWithinTwoPercent) {
  FreshKernel kernel;
  DmaBench bench("bench");
  ASSERT_TRUE(bench.properties.set("pcie_link.split_at_rcb", GetParam().split_at_rcb ? 1 : 0));
  EXPECT_NEAR(bench.gbps(GetParam().write, GetParam().bytes), GetParam().gbps, GetParam().gbps * 0.02);
  EXPECT_EQ(bench.counter("pcie.credit_stalls"), 0u);
}

INSTANTIATE_TEST_SUITE_P(Gen3x8, PcieBenchPoint,
                         ::testing::Values(Published{true, false, 64, 42.10}, Published{true, false, 256, 52.92},
                                           Published{true, false, 1500, 52.81}, Published{false, false, 64, 44.10},
                                           Published{false, false, 256, 53.69}, Published{false, false, 1500, 53.60},
                                           Published{false, true, 64, 44.10}, Published{false, true, 256, 44.10},
                                           Published{false, true, 1500, 43.85}),
                         [](const auto& point) {
                           return (point.param.write          ? "Write"
                                   : point.param.split_at_rcb ? "ReadRcb"
                                                              : "ReadMps") +
                                  std::to_string(point.param.bytes);
                         });

// By the formula, as PcieTimelineTest.Generation4x16AgreesWithTheFormula has it.
TEST(PcieLinkTest, Generation4x16ThroughTheModelAgreesWithTheFormula) {
  FreshKernel kernel;
  DmaBench bench("bench");
  ASSERT_TRUE(bench.properties.set("pcie_link.generation", 4));
  ASSERT_TRUE(bench.properties.set("pcie_link.lanes", 16));
  const double link = 252.0615 * (1 - 16.0 / 168 - 4.0 / 1538);
  EXPECT_NEAR(bench.gbps(true, 256), link * 256 / 280, link * 0.02);
  EXPECT_NEAR(bench.gbps(false, 256), link * 256 / 276, link * 0.02);
}

// 2.5 GT/s, 8/10, one lane: 2 Gb/s raw; interval (256+28)*1.4+19 = 416 byte times.
TEST(PcieLinkTest, Generation1x1ThroughTheModelAgreesWithTheFormula) {
  FreshKernel kernel;
  DmaBench bench("bench");
  ASSERT_TRUE(bench.properties.set("pcie_link.generation", 1));
  ASSERT_TRUE(bench.properties.set("pcie_link.lanes", 1));
  const double link = 2.0 * (1 - 16.0 / 416 - 4.0 / 1538);
  EXPECT_NEAR(bench.gbps(true, 1500), link * 1500 / (1500 + 6 * 24), link * 0.02);
}

TEST(PcieLinkTest, UtilisationOfASaturatedLinkIsItsWholeTime) {
  FreshKernel kernel;
  DmaBench bench("bench");
  const uint64_t start_ps = now_ps();
  const double gbps = bench.gbps(true, 256);
  const double elapsed_ps = 5000 * 256 * 8 / gbps * 1000;
  EXPECT_NEAR(static_cast<double>(bench.counter("pcie.upstream_busy_ps")), elapsed_ps, elapsed_ps * 0.02);
  EXPECT_GT(now_ps(), start_ps);
  EXPECT_EQ(bench.counter("pcie.upstream_tlps"), 5000u);
  EXPECT_EQ(bench.counter("pcie.downstream_tlps"), 0u);
}

TEST(PcieLinkTest, FewTagsLimitReadsAndTheStallIsCounted) {
  FreshKernel kernel;
  DmaBench bench("bench");
  ASSERT_TRUE(bench.properties.set("pcie_link.tags", 8));
  EXPECT_NEAR(bench.gbps(false, 64), 8 * 512 / 547.0, 0.3);
  EXPECT_GT(bench.counter("pcie.tag_stall_ps"), bench.counter("pcie.downstream_busy_ps"));
  EXPECT_EQ(bench.counter("pcie.credit_stall_ps"), 0u);
}

TEST(PcieLinkTest, FewPostedCreditsLimitWritesAndTheStallIsCounted) {
  FreshKernel kernel;
  DmaBench bench("bench");
  ASSERT_TRUE(bench.properties.set("pcie_link.posted_header_credits", 8));
  // A credit is back after the way there, the root complex and the way back: 380 ns and the TLP's own 12 ns.
  EXPECT_NEAR(bench.gbps(true, 64), 8 * 512 / 392.2, 0.2);
  EXPECT_GT(bench.counter("pcie.posted_credit_stall_ps"), 0u);
  EXPECT_EQ(bench.counter("pcie.credit_stall_ps"), bench.counter("pcie.posted_credit_stall_ps"));
  EXPECT_EQ(bench.counter("pcie.tag_stall_ps"), 0u);
}

TEST(PcieLinkTest, WritesArriveInOrderAndReadsPushThem) {
  FreshKernel kernel;
  Node a("a", kMacA);
  run_ns(10);
  const uint64_t start_ps = now_ps();
  a.write64(PST_FUNCTION_ADMIN_SQ_BASE_OFFSET, 0x1000);
  a.write64(PST_FUNCTION_ADMIN_SQ_BASE_OFFSET, 0x2000);
  a.write64(PST_FUNCTION_ADMIN_SQ_BASE_OFFSET, 0x3000);
  EXPECT_EQ(now_ps(), start_ps);  // posted
  EXPECT_EQ(a.bar_read(0, PST_FUNCTION_ADMIN_SQ_BASE_OFFSET, 8), 0x3000u);
  EXPECT_GE(now_ps() - start_ps, 280'000u);  // a read costs the round trip
}

void burst(Node& node, uint64_t address, void* data, unsigned bytes) {
  tlm::tlm_generic_payload payload;
  payload.set_command(tlm::TLM_WRITE_COMMAND);
  payload.set_address(address);
  payload.set_data_ptr(static_cast<unsigned char*>(data));
  payload.set_data_length(bytes);
  payload.set_streaming_width(bytes);
  sc_core::sc_time delay;
  node.cpu_socket->b_transport(payload, delay);
  EXPECT_EQ(payload.get_response_status(), tlm::TLM_OK_RESPONSE);
}

TEST(PcieLinkTest, ABurstIsOneTlpAndReachesEveryRegister) {
  FreshKernel kernel;
  Node a("a", kMacA);
  run_ns(10);
  uint64_t bases[] = {0x4000, 0x8000};
  burst(a, sim::bar_address(PST_BAR_FUNCTION, PST_FUNCTION_ADMIN_SQ_BASE_OFFSET), bases, sizeof bases);
  bases[0] = bases[1] = 0;  // the link has its own copy
  EXPECT_EQ(a.bar_read(PST_BAR_FUNCTION, PST_FUNCTION_ADMIN_SQ_BASE_OFFSET, 8), 0x4000u);
  EXPECT_EQ(a.bar_read(PST_BAR_FUNCTION, PST_FUNCTION_ADMIN_CQ_BASE_OFFSET, 8), 0x8000u);
  EXPECT_EQ(a.counter("pcie.host_posted_tlps"), 1u);
}

TEST(PcieLinkTest, ABurstBeyondMpsIsSplit) {
  FreshKernel kernel;
  Node a("a", kMacA);
  std::vector<uint8_t> page(1024);
  burst(a, sim::bar_address(PST_BAR_VI, PST_VI_PIO_PAGE_OFFSET), page.data(), 1024);
  EXPECT_EQ(a.counter("pcie.host_posted_tlps"), 4u);
}

TEST(PcieLinkTest, AResetForgetsABurstInFlight) {
  FreshKernel kernel;
  Node a("a", kMacA);
  run_ns(10);
  uint64_t bases[] = {0x4000, 0x8000};
  burst(a, sim::bar_address(PST_BAR_FUNCTION, PST_FUNCTION_ADMIN_SQ_BASE_OFFSET), bases, sizeof bases);
  a.device().function_reset();
  run_ns(20'000);
  EXPECT_EQ(a.bar_read(PST_BAR_FUNCTION, PST_FUNCTION_ADMIN_SQ_BASE_OFFSET, 8), 0u);
  burst(a, sim::bar_address(PST_BAR_FUNCTION, PST_FUNCTION_ADMIN_SQ_BASE_OFFSET), bases, sizeof bases);
  EXPECT_EQ(a.bar_read(PST_BAR_FUNCTION, PST_FUNCTION_ADMIN_CQ_BASE_OFFSET, 8), 0x8000u);
}

TEST(PcieLinkTest, ABurstThatResetsTheFunctionLeavesLaterOnesApart) {
  FreshKernel kernel;
  Node a("a", kMacA);
  run_ns(10);
  uint8_t key[] = {0x52, 0x53, 0x45, 0x54, 0};  // RESET_KEY, and a byte so that it is no plain register write
  burst(a, sim::bar_address(PST_BAR_FUNCTION, PST_FUNCTION_RESET_OFFSET), key, sizeof key);
  run_ns(20'000);
  ASSERT_EQ(a.read32(PST_CLOCK_PAGE_OFFSET + PST_CLOCK_GENERATION_OFFSET), 2u);
  uint64_t bases[] = {0x4000, 0x8000};
  uint32_t rest[] = {32, 0, 0};
  burst(a, sim::bar_address(PST_BAR_FUNCTION, PST_FUNCTION_ADMIN_SQ_BASE_OFFSET), bases, sizeof bases);
  burst(a, sim::bar_address(PST_BAR_FUNCTION, PST_FUNCTION_ADMIN_ENTRIES_OFFSET), rest, sizeof rest);
  run_ns(1000);
  EXPECT_EQ(a.bar_read(PST_BAR_FUNCTION, PST_FUNCTION_ADMIN_SQ_BASE_OFFSET, 8), 0x4000u);
  EXPECT_EQ(a.bar_read(PST_BAR_FUNCTION, PST_FUNCTION_ADMIN_CQ_BASE_OFFSET, 8), 0x8000u);
  EXPECT_EQ(a.read32(PST_FUNCTION_ADMIN_ENTRIES_OFFSET), 32u);
}

TEST(PcieLinkTest, DoorbellsWaitForTheDevicesCredits) {
  FreshKernel kernel;
  Node a("a", kMacA);
  ASSERT_TRUE(a.nic.set_property("pcie_link.host_posted_header_credits", 1));
  run_ns(10);
  for (uint64_t base : {0x1000, 0x2000, 0x3000}) a.write64(PST_FUNCTION_ADMIN_SQ_BASE_OFFSET, base);
  const uint64_t start_ps = now_ps();
  EXPECT_EQ(a.bar_read(PST_BAR_FUNCTION, PST_FUNCTION_ADMIN_SQ_BASE_OFFSET, 8), 0x3000u);  // the read stays behind
  EXPECT_GE(now_ps() - start_ps, 3 * 280'000u);  // two credits come back, then the read's round trip
  EXPECT_GE(a.counter("pcie.host_credit_stall_ps"), 2 * 280'000u);
}

TEST(PcieLinkTest, SizesAndWidthsThatNoLinkHasAreRefused) {
  FreshKernel kernel;
  Node a("a", kMacA);
  for (const char* setting : {"lanes", "generation", "mps_bytes", "mrrs_bytes", "rcb_bytes", "tags"}) {
    EXPECT_FALSE(a.nic.set_property(std::string("pcie_link.") + setting, 0)) << setting;
  }
  EXPECT_EQ(a.nic.set_property("pcie_link.lanes", 3).error,
            "property \"pcie_link.lanes\" expects one of 1, 2, 4, 8, 16 lanes; found 3");
  EXPECT_FALSE(a.nic.set_property("pcie_link.generation", 6));
  EXPECT_FALSE(a.nic.set_property("pcie_link.mps_bytes", 300));
  EXPECT_FALSE(a.nic.set_property("pcie_link.mrrs_bytes", 384));
  EXPECT_FALSE(a.nic.set_property("pcie_link.rcb_bytes", 96));
  for (double lanes : {1, 2, 4, 8, 16}) EXPECT_TRUE(a.nic.set_property("pcie_link.lanes", lanes)) << lanes;
  for (double generation : {1, 2, 3, 4, 5}) EXPECT_TRUE(a.nic.set_property("pcie_link.generation", generation));
}

// Descriptors and payload come back in another order than they were asked for, and writes land late; packets do not
// change their order or their bytes.
TEST(PcieLinkTest, PacketsSurviveReorderedCompletionsRelaxedWritesAndScarceCredits) {
  FreshKernel kernel;
  Node a("a", kMacA), b("b", kMacB);
  a.peer = &b;
  for (Node* node : {&a, &b}) {
    ASSERT_TRUE(node->nic.set_property("pcie_link.latency_distribution", 2));
    ASSERT_TRUE(node->nic.set_property("pcie_link.latency_spread_ns", 800));
    ASSERT_TRUE(node->nic.set_property("pcie_link.relaxed_ordering", 1));
    ASSERT_TRUE(node->nic.set_property("pcie_link.tags", 4));
    ASSERT_TRUE(node->nic.set_property("pcie_link.posted_header_credits", 3));
    ASSERT_TRUE(node->nic.set_property("pcie_link.completion_header_credits", 2));
    run_ns(1);
    node->enable_admin();
  }
  TestVi sender(a, 0), receiver(b, 0);
  receiver.add_filter(PST_FILTER_MATCH_LISTENER_ANY,
                      [](pst_command& c) { pst_filter_insert_set_local_port(&c, 2000); });
  receiver.post_rx(100);
  run_ns(5000);
  for (uint32_t i = 0; i < 100; ++i) {
    UdpSpec spec;
    spec.frame_bytes = 60 + i * 13;
    spec.source_port = static_cast<uint16_t>(3000 + i);
    sender.queue_tx(udp_frame(spec));
    if (i % 7 == 0) sender.ring_tx();
  }
  sender.ring_tx();
  uint32_t received = 0;
  for (int tries = 0; tries < 2000 && received < 100; ++tries) {
    run_ns(100);
    while (const auto event = receiver.next_event()) {
      if (pst_event_get_type(&*event) != PST_EVENT_TYPE_RX) continue;
      UdpSpec spec;
      spec.frame_bytes = 60 + received * 13;
      spec.source_port = static_cast<uint16_t>(3000 + received);
      const std::vector<uint8_t> wanted = udp_frame(spec);
      EXPECT_EQ(std::memcmp(receiver.rx_buffer(received), wanted.data(), wanted.size()), 0) << received;
      ++received;
    }
  }
  EXPECT_EQ(received, 100u);
  EXPECT_GT(a.counter("pcie.tag_stalls"), 0u);
  EXPECT_GT(b.counter("pcie.posted_credit_stall_ps"), 0u);
}

TEST(PcieLinkTest, MalformedBarAccessesAreCountedAndReadZero) {
  FreshKernel kernel;
  Node a("a", kMacA);
  a.bar_write(PST_BAR_FUNCTION, 0x800, 1, 4);  // no register
  a.bar_write(PST_BAR_VI, 0x30, 1, 4);         // no doorbell
  a.bar_write(1, 0, 1, 4);                     // no such BAR
  a.bar_write(PST_BAR_VI, 0x02, 1, 4);         // not aligned
  run_ns(1000);
  EXPECT_EQ(a.counter("bad_accesses"), 4u);
  EXPECT_EQ(a.bar_read(PST_BAR_FUNCTION, 0x800, 4), 0u);
  EXPECT_EQ(a.bar_read(PST_BAR_VI, PST_BAR_VI_SIZE - 8, 8), 0u);
}

}  // namespace
}  // namespace postern::hw_model::test
