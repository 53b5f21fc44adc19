// Record and replay below any driver: one NIC, its VIs driven by hand through what applications seldom use, recorded
// at the tap and replayed in a child with a kernel of its own.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "sim/replay/boundary_recorder.h"
#include "sim/replay/replay.h"
#include "tests/hw_model/nic_bench.h"

namespace postern::sim {
namespace {

using namespace hw_model::test;
using Json = nlohmann::json;

constexpr uint64_t kPortA = 0x0a00004e5002ull;  // address of the port, byte 0 in bits 7..0

std::string temporary(const std::string& name) {
  return testing::TempDir() + "postern_vi_" + std::to_string(getpid()) + "_" + name;
}

struct Rig {
  explicit Rig(const std::vector<std::pair<std::string, double>>& properties = {}, size_t memory_bytes = 32U << 20U)
      : path(temporary("trace")), a("a", kMacA, node_options(memory_bytes)) {
    for (const auto& [name, value] : properties) EXPECT_TRUE(a.nic.set_property(name, value)) << name;
    auto created = TraceWriter::create(path);
    EXPECT_TRUE(created.ok());
    writer = std::move(created).value();
    declare();
    BoundaryTap& tap = a.monitored->tap();
    recorder = std::make_unique<BoundaryRecorder>(
        0, tap, [] { return now_ps(); }, [this](const TraceRecord& r) { writer->write(r); });
    tap.add_observer(*recorder);
    a.enable_admin();
  }
  ~Rig() {
    a.finish_monitor();  // while the recorder, which the tap tells, is there
    unlink(path.c_str());
  }
  static NodeOptions node_options(size_t memory_bytes) {
    NodeOptions options;
    options.memory_bytes = memory_bytes;
    return options;
  }
  void declare() {
    TraceRecord record;
    record.kind = RecordKind::kHost;
    record.data = {'a'};
    std::memcpy(&record.value, kMacA.data(), kMacA.size());
    writer->write(record);
    record.kind = RecordKind::kProperty;
    for (const Property& property : a.nic.properties()) {
      record.data.assign(property.name.begin(), property.name.end());
      std::memcpy(&record.value, &property.value, sizeof record.value);
      writer->write(record);
    }
  }
  void burst(uint64_t offset, std::vector<uint8_t> bytes) {
    tlm::tlm_generic_payload payload;
    payload.set_command(tlm::TLM_WRITE_COMMAND);
    payload.set_address(bar_address(PST_BAR_VI, offset));
    payload.set_data_ptr(bytes.data());
    payload.set_data_length(static_cast<unsigned>(bytes.size()));
    payload.set_streaming_width(static_cast<unsigned>(bytes.size()));
    sc_core::sc_time delay;
    a.cpu_socket->b_transport(payload, delay);
    EXPECT_EQ(payload.get_response_status(), tlm::TLM_OK_RESPONSE);
  }
  void take_mac(TestVi& vi) {
    EXPECT_EQ(
        vi.add_filter(PST_FILTER_MATCH_MAC, [](pst_command& c) { pst_filter_insert_set_local_address_lo(&c, kPortA); }),
        PST_ERROR_CODE_OK);
  }
  void receive(uint32_t count, size_t frame_bytes = 60) {
    for (uint32_t i = 0; i < count; ++i) {
      UdpSpec spec;
      spec.destination = kMacA;
      spec.source = kMacB;
      spec.source_port = static_cast<uint16_t>(1000 + i);
      spec.frame_bytes = frame_bytes + i;
      arrive(a, udp_frame(spec));
      run_ns(150);
    }
  }
  // Ends the recording.
  void finish(uint64_t quiet_ns = 200'000) {
    run_ns(quiet_ns);
    ASSERT_TRUE(writer->finish().ok());
  }

  // Exit status of the replay; its outcome is in outcome.
  int replayed(bool ignore_timing = false, const std::vector<std::string>& settings = {}) {
    ReplayOptions options;
    options.path = path;
    options.ignore_timing = ignore_timing;
    options.settings = settings;
    options.json_path = path + ".json";
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
      FreshKernel own;
      _exit(run_replay(options));
    }
    int status = -1;
    waitpid(child, &status, 0);
    std::ifstream file(options.json_path);
    outcome = Json::parse(std::string{std::istreambuf_iterator<char>(file), {}}, nullptr, false);
    unlink(options.json_path.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  // The recorded device does the same; one with other values is found out, with both sides and the place.
  void expect_equal_but_for(const std::string& setting, uint64_t outputs_least) {
    EXPECT_EQ(replayed(), 0);
    EXPECT_GE(outcome.value("outputs_compared", uint64_t{0}), outputs_least);
    EXPECT_EQ(replayed(true), 0) << outcome;
    EXPECT_EQ(replayed(false, {setting}), 1) << setting;
    const std::string text = outcome["divergence"].is_string() ? outcome["divergence"].get<std::string>() : "";
    EXPECT_NE(text.find("host a, record"), std::string::npos) << text;
    EXPECT_NE(text.find("expected \""), std::string::npos) << text;
    EXPECT_NE(text.find("\nrecorded:\n  "), std::string::npos) << text;
    EXPECT_NE(text.find("\nreplayed:\n  "), std::string::npos) << text;
  }

  // Changes the recording: change is asked for each record and says how often it stays.
  void rewrite(const std::function<int(TraceRecord&)>& change) {
    auto reader = TraceReader::open(path);
    auto changed = TraceWriter::create(path + ".changed");
    ASSERT_TRUE(reader.ok() && changed.ok());
    TraceRecord record;
    while (reader.value()->next(record).ok() && record.kind != RecordKind::kEnd) {
      for (int copies = change(record); copies > 0; --copies) changed.value()->write(record);
    }
    ASSERT_TRUE(changed.value()->finish().ok());
    ASSERT_EQ(rename((path + ".changed").c_str(), path.c_str()), 0);
  }

  FreshKernel kernel;
  std::string path;
  Node a;
  std::unique_ptr<TraceWriter> writer;
  std::unique_ptr<BoundaryRecorder> recorder;
  Json outcome;
};

uint64_t window(const TestVi& vi) { return uint64_t{vi.id} * PST_VI_WINDOW_STRIDE; }

void push(TestVi& vi, const std::vector<uint8_t>& frame) {
  vi.queue_tx(frame);
  const auto& desc =
      vi.node.at<pst_tx_desc>(vi.base + kTxRing + (vi.tx_idx - 1) % vi.options.tx_entries * PST_TX_DESC_BYTES);
  vi.doorbell(PST_VI_TX_PUSH_DESCRIPTOR_LO_OFFSET, desc.word[0], 8);
  vi.doorbell(PST_VI_TX_PUSH_DESCRIPTOR_HI_OFFSET, desc.word[1], 8);
  vi.doorbell(PST_VI_TX_PUSH_DOORBELL_OFFSET, vi.tx_idx, 8);
}

TEST(ViReplayTest, PushAndPioInOddBursts) {
  Rig rig;
  TestVi vi(rig.a, 0);
  for (const size_t frame_bytes : {60U, 61U, 97U, 333U}) {
    UdpSpec spec;
    spec.frame_bytes = frame_bytes;
    const auto frame = udp_frame(spec);
    push(vi, frame);
    run_ns(3000);
    vi.events();  // PIO is only for a VI whose earlier packets are completed
    vi.return_space();
    const uint64_t page = window(vi) + PST_VI_PIO_PAGE_OFFSET + 1001;
    for (size_t begin = 0, piece = 1; begin < frame.size(); begin += piece, piece += 6) {
      const size_t end = std::min(begin + piece, frame.size());
      rig.burst(page + begin,
                {frame.begin() + static_cast<std::ptrdiff_t>(begin), frame.begin() + static_cast<std::ptrdiff_t>(end)});
    }
    vi.doorbell(PST_VI_PIO_DOORBELL_OFFSET,
                ++vi.tx_idx | uint64_t{1001} << PST_VI_PIO_DOORBELL_OFFSET_BYTES_SHIFT |
                    uint64_t{frame_bytes} << PST_VI_PIO_DOORBELL_LENGTH_BYTES_SHIFT | PST_VI_PIO_DOORBELL_COMPLETE_MASK,
                8);
    run_ns(5000);
    vi.events();
    vi.return_space();
  }
  rig.finish();
  EXPECT_EQ(rig.a.wire.size(), 8U);
  rig.expect_equal_but_for("tx_dma.processing_ns=33", 16);
  EXPECT_EQ(rig.replayed(true, {"pcie_link.propagation_ns=400"}), 0) << rig.outcome;
}

TEST(ViReplayTest, RssSpreadsAsRecorded) {
  Rig rig;
  ViOptions options;
  options.rx_prefix = true;  // holds the hash
  TestVi first(rig.a, 0, options);
  pst_command c = make_command(PST_COMMAND_RSS_ALLOC, first.pd);
  pst_admin_completion answer = rig.a.command(c);
  ASSERT_EQ(pst_admin_completion_get_status(&answer), PST_ERROR_CODE_OK);
  static uint32_t context;
  context = static_cast<uint32_t>(pst_admin_completion_get_result(&answer));
  for (uint32_t i = 0; i < PST_LIMIT_RSS_KEY_BYTES; ++i) rig.a.memory[kScratch + i] = static_cast<uint8_t>(i * 37 + 1);
  for (uint32_t i = 0; i < PST_LIMIT_RSS_INDIRECTION_ENTRIES; ++i)
    rig.a.at<uint16_t>(kScratch + 0x100 + 2 * i) = static_cast<uint16_t>(first.id);
  c = make_command(PST_COMMAND_RSS_CONFIGURE, context);
  pst_rss_configure_set_key_address(&c, kScratch);
  pst_rss_configure_set_table_address(&c, kScratch + 0x100);
  ASSERT_EQ(rig.a.status(c), PST_ERROR_CODE_OK);
  std::memset(rig.a.memory.data() + kScratch, 0, 0x400);  // the host may reuse it
  ASSERT_EQ(first.add_filter(PST_FILTER_MATCH_MAC,
                             [](pst_command& filter) {
                               pst_filter_insert_set_local_address_lo(&filter, kPortA);
                               pst_filter_insert_set_rss(&filter, 1);
                               pst_filter_insert_set_rss_context(&filter, context);
                             }),
            PST_ERROR_CODE_OK);
  first.post_rx(64);
  run_ns(3000);
  rig.receive(20);
  rig.finish();
  EXPECT_EQ(first.events().size(), 20U);
  pst_rx_prefix prefix{};
  std::memcpy(&prefix, first.rx_buffer(0), sizeof prefix);
  EXPECT_EQ(pst_rx_prefix_get_rss_valid(&prefix), 1U);
  rig.expect_equal_but_for("rx_dma.processing_ns=77", 40);
  EXPECT_EQ(rig.replayed(true, {"event_queue.processing_ns=77"}), 0) << rig.outcome;
}

TEST(ViReplayTest, PtpSteppingWithPrefixes) {
  Rig rig;
  ViOptions options;
  options.rx_prefix = true;
  TestVi vi(rig.a, 0, options);
  rig.take_mac(vi);
  vi.post_rx(64);
  for (const int64_t step_ns : {1'000'000'000LL, -12'345LL, 0LL}) {
    pst_command c = make_command(PST_COMMAND_PTP_ADJUST);
    pst_ptp_adjust_set_step_ns(&c, static_cast<uint64_t>(step_ns));
    pst_ptp_adjust_set_rate_ppb(&c, static_cast<uint32_t>(-40'000));
    ASSERT_EQ(rig.a.status(c), PST_ERROR_CODE_OK);
    rig.receive(3);
    rig.a.bar_read(PST_BAR_FUNCTION, PST_FUNCTION_PTP_TIME_NS_OFFSET, 8);
    vi.queue_tx(udp_frame(), [](pst_tx_desc& d) { pst_tx_desc_set_timestamp(&d, 1); });
    vi.ring_tx();
    run_ns(3000);
  }
  rig.finish();
  rig.expect_equal_but_for("event_queue.processing_ns=77", 30);
}

TEST(ViReplayTest, ViResetThenRegisterResetThenFunctionLevelReset) {
  Rig rig;
  {
    TestVi vi(rig.a, 0);
    rig.take_mac(vi);
    vi.post_rx(32);
    run_ns(2000);
    rig.receive(12);  // the last of them are under way at the reset
    vi.send(udp_frame());
    ASSERT_EQ(rig.a.status(make_command(PST_COMMAND_VI_RESET, vi.id)), PST_ERROR_CODE_OK);
    std::memset(rig.a.memory.data() + vi.base, 0, kViAreaBytes);
    vi.rx_idx = vi.tx_idx = vi.evq_idx = 0;
    vi.post_rx(16);
    run_ns(2000);
    rig.receive(12);
    vi.send(udp_frame());
  }
  rig.a.write32(PST_FUNCTION_RESET_OFFSET, PST_RESET_KEY);
  run_ns(100'000);
  EXPECT_NE(rig.a.read32(PST_FUNCTION_STATUS_OFFSET) & PST_FUNCTION_STATUS_READY_MASK, 0U);
  for (int round = 0; round < 2; ++round) {
    rig.a.enable_admin();
    TestVi vi(rig.a, 1);
    rig.take_mac(vi);
    vi.post_rx(32);
    run_ns(2000);
    rig.receive(8);
    vi.send(udp_frame());
    run_ns(1 + 700 * round);
    rig.a.device().function_reset();
    run_ns(100'000);
    EXPECT_NE(rig.a.read32(PST_FUNCTION_STATUS_OFFSET) & PST_FUNCTION_STATUS_READY_MASK, 0U);
  }
  rig.finish();
  rig.expect_equal_but_for("rx_dma.processing_ns=77", 80);
}

TEST(ViReplayTest, LinkDownAndUp) {
  Rig rig;
  TestVi vi(rig.a, 0);
  rig.take_mac(vi);
  vi.post_rx(64);
  rig.receive(3);
  rig.a.device().wire_export->set_link(false);
  run_ns(1000);
  vi.send(udp_frame());
  run_ns(5000);
  rig.a.device().wire_export->set_link(true);
  run_ns(5000);
  rig.receive(3);
  vi.send(udp_frame());
  rig.finish();
  EXPECT_EQ(rig.a.wire.size(), 1U);
  rig.expect_equal_but_for("event_queue.processing_ns=77", 15);
  EXPECT_EQ(rig.replayed(true, {"event_queue.processing_ns=77"}), 0) << rig.outcome;
}

TEST(ViReplayTest, AnInjectedFaultComesAgain) {
  Rig rig({{"fault.context_ecc_vi", 0}, {"fault.context_ecc_at_ns", 60'000}});
  TestVi vi(rig.a, 0);
  ASSERT_EQ(vi.id, 0U);
  rig.take_mac(vi);
  vi.post_rx(64);
  while (now_ps() < 80'000'000) rig.receive(4);
  rig.finish();
  EXPECT_EQ(rig.a.counter("faults.context_ecc"), 1U);
  rig.expect_equal_but_for("fault.context_ecc_at_ns=50000", 30);
}

TEST(ViReplayTest, ManyVis) {
  constexpr uint32_t kVis = 24;
  Rig rig({}, 64U << 20U);
  std::vector<std::unique_ptr<TestVi>> vis;
  for (uint32_t i = 0; i < kVis; ++i) {
    ViOptions options;
    options.vector = 1 + i;
    vis.push_back(std::make_unique<TestVi>(rig.a, i, options));
    TestVi& vi = *vis.back();
    static uint16_t port;
    port = static_cast<uint16_t>(2000 + i);
    ASSERT_EQ(vi.add_filter(PST_FILTER_MATCH_LISTENER,
                            [](pst_command& c) {
                              pst_filter_insert_set_local_address_lo(&c, 0x0200090a);
                              pst_filter_insert_set_local_port(&c, port);
                            }),
              PST_ERROR_CODE_OK);
    vi.post_rx(16);
    vi.prime();
  }
  for (uint32_t round = 0; round < 3; ++round) {
    for (uint32_t i = 0; i < kVis; ++i) {
      UdpSpec spec;
      spec.destination = kMacA;
      spec.source = kMacB;
      spec.source_port = static_cast<uint16_t>(round);
      spec.destination_port = static_cast<uint16_t>(2000 + i);
      arrive(rig.a, udp_frame(spec));
      spec.destination = kMacB;
      spec.source_port = spec.destination_port;
      vis[i]->send(udp_frame(spec));
      run_ns(100);
    }
    run_ns(5000);
    for (auto& vi : vis) {
      vi->events();
      vi->return_space();
      vi->prime();
    }
  }
  rig.finish();
  EXPECT_EQ(rig.a.wire.size(), 3 * kVis);
  EXPECT_GE(rig.a.interrupts.size(), kVis);
  rig.expect_equal_but_for("desc_fetch.processing_ns=77", 700);
  EXPECT_EQ(rig.replayed(true, {"event_queue.processing_ns=77"}), 0) << rig.outcome;
}

TEST(ViReplayTest, MergedReceiveEvents) {
  Rig rig({{"event_queue.merge_wait_ns", 3000}});
  ViOptions options;
  options.rx_prefix = true;
  options.merge_count = 8;
  options.vector = 2;
  TestVi vi(rig.a, 0, options);
  rig.take_mac(vi);
  vi.post_rx(64);
  vi.prime();
  rig.receive(19);
  rig.finish();
  EXPECT_EQ(vi.events().size(), 3U);
  rig.expect_equal_but_for("event_queue.merge_wait_ns=2900", 30);
}

TEST(ViReplayTest, SegmentationFromSeveralPieces) {
  Rig rig;
  TestVi vi(rig.a, 0);
  UdpSpec spec;
  spec.protocol = 6;
  spec.checksums = false;
  spec.frame_bytes = 54 + 5000;
  auto packet = udp_frame(spec);
  packet[46] = 0x50;
  packet[47] = 0x18;
  std::memcpy(rig.a.memory.data() + vi.base + kTxBuffers, packet.data(), packet.size());
  pst_tx_option_desc option{};
  pst_tx_option_desc_set_type(&option, PST_TX_DESC_TYPE_OPTION);
  pst_tx_option_desc_set_mss_bytes(&option, 1000);
  vi.queue_desc({{option.word[0], option.word[1]}});
  for (uint32_t at = 0; at < packet.size(); at += 1777) {
    const auto bytes = static_cast<uint32_t>(std::min<size_t>(1777, packet.size() - at));
    pst_tx_desc d{};
    pst_tx_desc_set_address(&d, kTxBuffers + at);
    pst_tx_desc_set_length_bytes(&d, bytes);
    pst_tx_desc_set_end_of_packet(&d, at + bytes == packet.size());
    pst_tx_desc_set_segment(&d, at == 0);
    pst_tx_desc_set_checksum_l3(&d, at == 0);
    pst_tx_desc_set_checksum_l4(&d, at == 0);
    vi.queue_desc(d);
  }
  vi.ring_tx();
  run_ns(20'000);
  std::memset(rig.a.memory.data() + vi.base + kTxBuffers, 0, packet.size());
  rig.finish();
  EXPECT_EQ(rig.a.wire.size(), 5U);
  rig.expect_equal_but_for("tx_dma.processing_ns=33", 10);
  EXPECT_EQ(rig.replayed(true, {"pcie_link.mrrs_bytes=256"}), 0) << rig.outcome;
}

TEST(ViReplayTest, FramesInSeveralReceiveBuffersAndHostMemoryThatIsNotThere) {
  Rig rig;
  TestVi vi(rig.a, 0);
  rig.take_mac(vi);
  vi.post_rx(64, 200);  // 900 bytes take five
  run_ns(3000);
  rig.receive(5, 900);
  // A domain that leads past the end of memory: nothing answers, the VI gets a fault.
  pst_command map = make_command(PST_COMMAND_TRANSLATION_MAP, vi.pd);
  pst_translation_map_set_domain_address(&map, 0x40000000);
  pst_translation_map_set_host_address(&map, 0x70000000);
  pst_translation_map_set_length_bytes(&map, 0x10000);
  pst_translation_map_set_writable(&map, 1);
  ASSERT_EQ(rig.a.status(map), PST_ERROR_CODE_OK);
  pst_tx_desc d{};
  pst_tx_desc_set_address(&d, 0x40000000);
  pst_tx_desc_set_length_bytes(&d, 100);
  pst_tx_desc_set_end_of_packet(&d, 1);
  vi.queue_desc(d);
  vi.ring_tx();
  run_ns(5000);
  vi.send(udp_frame());
  rig.finish();
  rig.expect_equal_but_for("event_queue.processing_ns=77", 40);
  EXPECT_EQ(rig.replayed(true, {"pcie_link.mps_bytes=128"}), 0) << rig.outcome;
}

TEST(ViReplayTest, MemoryThatComesAndGoes) {
  Rig rig;
  const uint64_t end = rig.a.memory.size();
  uint32_t faults = 0;
  for (int round = 0; round < 4; ++round) {
    TestVi vi(rig.a, 0);
    pst_command map = make_command(PST_COMMAND_TRANSLATION_MAP, vi.pd);
    pst_translation_map_set_domain_address(&map, 0x40000000);
    pst_translation_map_set_host_address(&map, end);
    pst_translation_map_set_length_bytes(&map, 0x10000);
    ASSERT_EQ(rig.a.status(map), PST_ERROR_CODE_OK);
    rig.a.memory.resize(round % 2 == 0 ? end : end + 0x10000);
    pst_tx_desc d{};
    pst_tx_desc_set_address(&d, 0x40000000);
    pst_tx_desc_set_length_bytes(&d, 100);
    pst_tx_desc_set_end_of_packet(&d, 1);
    vi.queue_desc(d);
    vi.ring_tx();
    run_ns(5000);
    for (const pst_event& event : vi.events()) faults += pst_event_get_type(&event) == PST_EVENT_TYPE_ERROR ? 1 : 0;
    ASSERT_EQ(rig.a.status(make_command(PST_COMMAND_VI_FREE, vi.id)), PST_ERROR_CODE_OK);
  }
  rig.finish();
  EXPECT_EQ(faults, 2U);
  EXPECT_EQ(rig.a.wire.size(), 2U);
  rig.expect_equal_but_for("tx_dma.processing_ns=33", 30);
}

// What a run with prefixes, register reads and interrupts leaves, for the comparisons with ignored timing.
void record_prefixes(Rig& rig) {
  ViOptions options;
  options.rx_prefix = true;
  options.vector = 2;
  TestVi vi(rig.a, 0, options);
  rig.take_mac(vi);
  vi.post_rx(16);
  vi.prime();
  run_ns(3000);
  rig.receive(2);
  rig.a.bar_read(PST_BAR_FUNCTION, PST_FUNCTION_MTU_MAX_BYTES_OFFSET, 4);
  rig.a.bar_read(PST_BAR_FUNCTION, PST_FUNCTION_PTP_TIME_NS_OFFSET, 8);
  rig.finish();
  ASSERT_EQ(rig.a.interrupts.size(), 1U);
}

bool is_prefix(const TraceRecord& record) {
  return record.kind == RecordKind::kDmaWrite && record.address >= kViArea + kRxBuffers &&
         record.address < kViArea + kTxBuffers && record.data.size() == PST_LIMIT_RX_PREFIX_BYTES;
}

TEST(IgnoredTimingTest, OfAPrefixOnlyTheTimeStampMayDiffer) {
  Rig rig;
  record_prefixes(rig);
  int count = 0;
  rig.rewrite([&](TraceRecord& record) {
    if (is_prefix(record) && ++count == 1) record.data[8] ^= 0xff;
    return 1;
  });
  EXPECT_GE(count, 1);
  EXPECT_EQ(rig.replayed(true), 0) << rig.outcome;
  EXPECT_EQ(rig.replayed(false), 1);
  count = 0;
  rig.rewrite([&](TraceRecord& record) {
    if (is_prefix(record) && ++count == 1) record.data[16] ^= 1;  // length of the frame
    return 1;
  });
  EXPECT_EQ(rig.replayed(true), 1);
}

TEST(IgnoredTimingTest, AnswersOfRegistersAreComparedButForClocks) {
  Rig rig;
  record_prefixes(rig);
  const auto change = [&](uint64_t offset) {
    int count = 0;
    rig.rewrite([&](TraceRecord& record) {
      if (record.kind == RecordKind::kBarRead && record.address == offset) {
        record.data[0] ^= 1;
        count++;
      }
      return 1;
    });
    EXPECT_EQ(count, 1);
  };
  change(PST_FUNCTION_PTP_TIME_NS_OFFSET);
  EXPECT_EQ(rig.replayed(true), 0) << rig.outcome;
  change(PST_FUNCTION_MTU_MAX_BYTES_OFFSET);
  EXPECT_EQ(rig.replayed(true), 1);
  EXPECT_NE(rig.outcome.value("divergence", "").find("FUNCTION.MTU_MAX_BYTES answers"), std::string::npos);
}

TEST(IgnoredTimingTest, AMissingInterruptIsADifference) {
  Rig rig;
  record_prefixes(rig);
  rig.rewrite([](TraceRecord& record) { return record.kind == RecordKind::kInterrupt ? 2 : 1; });
  EXPECT_EQ(rig.replayed(true), 1);
  EXPECT_NE(rig.outcome.value("divergence", "").find("vector 2: expected 2 interrupts, seen 1"), std::string::npos)
      << rig.outcome;
}

}  // namespace
}  // namespace postern::sim
