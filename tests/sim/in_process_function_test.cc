// The PCI function in virtual time against the model NIC: timing of accesses, DMA, interrupts, and a frame from one
// host's rings to the other's.
#include "sim/in_process_function.h"

#include <gtest/gtest.h>

#include <cstring>

#include "contract/gen/pst_contract.h"
#include "driver/resource_manager.h"
#include "driver/vi.h"
#include "sim/simulation.h"

namespace postern::sim {
namespace {

constexpr uint64_t kRunNs = 50'000'000;

struct SimulationFixture : ::testing::Test {
  SimulationFixture() {
    Simulation::Options options;
    options.topology = default_topology();
    auto result = Simulation::create(options);
    EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
    simulation = std::move(result).value();
  }
  // Runs body on host a to its end.
  void run(const std::function<void()>& body) {
    bool ended = false;
    simulation->spawn("body", [&] {
      body();
      ended = true;
    });
    simulation->run(kRunNs);
    ASSERT_TRUE(ended) << "the body did not end within the simulated time";
  }
  PciFunction& function(size_t host_idx = 0) { return simulation->function(host_idx); }
  HostCpu& cpu(size_t host_idx = 0) { return simulation->cpu(host_idx); }
  void enable(size_t host_idx = 0) {
    ASSERT_TRUE(function(host_idx).config_write(pci::kCommand, 2, pci::kCommandMemory | pci::kCommandBusMaster).ok());
  }
  uint64_t count(size_t host_idx, const std::string& name) {
    for (const NamedCount& c : simulation->function_counters(host_idx)) {
      if (c.name == name) return c.value;
    }
    return 0;
  }

  std::unique_ptr<Simulation> simulation;
};

using InProcessFunctionTest = SimulationFixture;

TEST_F(InProcessFunctionTest, ConfigurationSpaceNamesTheDevice) {
  run([&] {
    const auto identity = function().config_read(0, 4);
    ASSERT_TRUE(identity.ok());
    EXPECT_EQ(identity.value(), uint32_t{PST_PCI_DEVICE_ID} << 16 | PST_PCI_VENDOR_ID);
  });
}

TEST_F(InProcessFunctionTest, ARegisterReadTakesARoundTripOnTheLink) {
  run([&] {
    enable();
    const uint64_t before_ps = cpu().now_ps();
    const auto magic = function().bar_read(PST_BAR_FUNCTION, PST_FUNCTION_MAGIC_OFFSET, 4);
    ASSERT_TRUE(magic.ok());
    EXPECT_EQ(magic.value(), uint64_t{PST_MAGIC});
    const uint64_t elapsed_ns = (cpu().now_ps() - before_ps) / 1000;
    EXPECT_GT(elapsed_ns, 280u);  // twice the link's propagation
    EXPECT_LT(elapsed_ns, 2000u);
  });
}

TEST_F(InProcessFunctionTest, AWriteIsPostedAndCostsOnlyTheProcessor) {
  run([&] {
    enable();
    cpu().sync();
    const uint64_t before_ps = cpu().now_ps();
    ASSERT_TRUE(function().bar_write(PST_BAR_FUNCTION, PST_FUNCTION_ADMIN_ENTRIES_OFFSET, 4, 64).ok());
    EXPECT_EQ(cpu().now_ps() - before_ps, static_cast<uint64_t>(CpuCosts().doorbell_write_ns * 1000));
    // The read comes after the write on the link.
    EXPECT_EQ(function().bar_read(PST_BAR_FUNCTION, PST_FUNCTION_ADMIN_ENTRIES_OFFSET, 4).value(), 64u);
  });
}

// Writes on the link for 300 bytes from offset 32 of a PIO page and then a doorbell.
uint64_t tlps_of_pio(uint32_t write_combining_lines) {
  Simulation::Options options;
  options.topology = default_topology();
  options.costs.write_combining_lines = write_combining_lines;
  auto simulation = Simulation::create(options).value();
  const auto tlps = [&] {
    for (const NamedCount& c : simulation->nic_counters(0)) {
      if (c.name == "pcie.host_posted_tlps") return c.value;
    }
    return uint64_t{0};
  };
  uint64_t stored = 0, rung = 0;
  simulation->spawn("body", [&] {
    ASSERT_TRUE(simulation->function(0).config_write(pci::kCommand, 2, pci::kCommandMemory).ok());
    auto window = simulation->function(0).open_window(0).value();
    const std::vector<uint8_t> frame(300, 7);
    window->write_pio(32, frame.data(), frame.size());
    stored = tlps();
    window->write_doorbell(PST_VI_TX_DOORBELL_OFFSET, 1);
    rung = tlps();
  });
  simulation->run(kRunNs);
  EXPECT_LE(stored, rung - 1);
  return rung - 1;
}

// Lines 0 (32 bytes of it), 1 to 4, and 5 (12 bytes).
TEST(InProcessFunctionPioTest, StoresLeaveAsOneWritePerLine) { EXPECT_EQ(tlps_of_pio(10), 6u); }

TEST(InProcessFunctionPioTest, OneLineIsEnoughForSequentialStores) { EXPECT_EQ(tlps_of_pio(1), 6u); }

TEST(InProcessFunctionPioTest, WithoutWriteCombiningEachWordIsAWrite) { EXPECT_EQ(tlps_of_pio(0), 38u); }

TEST_F(InProcessFunctionTest, PioStoresAreOnTheirWayBeforeTheNextAccess) {
  run([&] {
    enable();
    auto window = function().open_window(0).value();
    const std::vector<uint8_t> frame(64 + 20, 7);
    window->write_pio(0, frame.data(), frame.size());
    EXPECT_EQ(count(0, "pio_writes"), 1u);  // the full line
    window->write_pio(84, frame.data(), 4);
    EXPECT_EQ(count(0, "pio_writes"), 1u);
    window->write_doorbell(PST_VI_RX_DOORBELL_OFFSET, 1);
    EXPECT_EQ(count(0, "pio_writes"), 2u);  // 24 bytes in one
    window->write_pio(0, frame.data(), 8);
    EXPECT_NE(window->read_doorbell(PST_VI_RX_DOORBELL_OFFSET), ~uint64_t{0});
    EXPECT_EQ(count(0, "pio_writes"), 3u);
    window->write_pio(0, frame.data(), 8);
    ASSERT_TRUE(function().bar_write(PST_BAR_FUNCTION, PST_FUNCTION_ADMIN_ENTRIES_OFFSET, 4, 64).ok());
    EXPECT_EQ(count(0, "pio_writes"), 4u);
  });
}

TEST_F(InProcessFunctionTest, BarsDoNotAnswerWhileMemorySpaceIsDisabled) {
  run([&] { EXPECT_EQ(function().bar_read(PST_BAR_FUNCTION, PST_FUNCTION_MAGIC_OFFSET, 4).value(), 0xffffffffu); });
}

TEST_F(InProcessFunctionTest, MisalignedAccessIsAnError) {
  run([&] {
    enable();
    EXPECT_EQ(function().bar_read(PST_BAR_FUNCTION, 2, 4).error().code, EINVAL);
    EXPECT_EQ(function().bar_write(PST_BAR_FUNCTION, 0, 3, 0).error().code, EINVAL);
    EXPECT_FALSE(function().open_window(PST_LIMIT_VI_COUNT_MAX).ok());
    EXPECT_FALSE(function().open_interrupt(PST_LIMIT_MSIX_VECTOR_COUNT).ok());
  });
}

TEST_F(InProcessFunctionTest, LocalTimeRunsAheadUntilSync) {
  run([&] {
    const uint64_t before_ps = cpu().now_ps();
    cpu().spend_ns(500);
    EXPECT_EQ(cpu().now_ps() - before_ps, 500'000u);
    EXPECT_EQ(simulation->now_ps(), before_ps);
    EXPECT_EQ(function().clock().now_ns(), before_ps / 1000 + 500);
    cpu().sync();
    EXPECT_EQ(simulation->now_ps(), before_ps + 500'000);
    function().pause_ns(100);
    EXPECT_EQ(simulation->now_ps(), before_ps + 600'000);
  });
}

TEST_F(InProcessFunctionTest, DmaOutsideOfMappedMemoryIsAFault) {
  run([&] {
    enable();
    PciFunction& f = function();
    ASSERT_TRUE(f.reset().ok());
    ASSERT_TRUE(f.bar_write(PST_BAR_FUNCTION, PST_FUNCTION_ADMIN_SQ_BASE_OFFSET, 8, 0x4000).ok());
    ASSERT_TRUE(f.bar_write(PST_BAR_FUNCTION, PST_FUNCTION_ADMIN_CQ_BASE_OFFSET, 8, 0x8000).ok());
    ASSERT_TRUE(f.bar_write(PST_BAR_FUNCTION, PST_FUNCTION_ADMIN_ENTRIES_OFFSET, 4, 16).ok());
    ASSERT_TRUE(f.bar_write(PST_BAR_FUNCTION, PST_FUNCTION_ADMIN_ENABLE_OFFSET, 4, 1).ok());
    ASSERT_TRUE(f.bar_write(PST_BAR_FUNCTION, PST_FUNCTION_ADMIN_DOORBELL_OFFSET, 4, 1).ok());
    f.pause_ns(10'000);
    EXPECT_EQ(f.bar_read(PST_BAR_FUNCTION, PST_FUNCTION_ADMIN_STATUS_OFFSET, 4).value(),
              static_cast<uint64_t>(PST_ERROR_CODE_DMA_FAULT));
    EXPECT_GE(count(0, "dma_faults"), 1u);
  });
}

TEST_F(InProcessFunctionTest, UnmappingMemoryThatWasNotMappedIsAnError) {
  run([&] {
    EXPECT_EQ(function().dma_unmap(0x1000).error().code, ENOENT);
    EXPECT_EQ(function().dma_map(DmaMemory{}).error().code, EINVAL);
  });
}

// A host with a VI and nothing above it.
struct BareHost {
  BareHost(SimulationFixture& fixture, size_t host_idx)
      : f(fixture),
        idx(host_idx),
        resources(f.function(host_idx), allocator, config(f.simulation->host_spec(host_idx))) {}

  static ResourceManager::Config config(const HostSpec& spec) {
    ResourceManager::Config c;
    c.address =
        HostAddress::ipv4(static_cast<uint8_t>(spec.address_ipv4 >> 24), static_cast<uint8_t>(spec.address_ipv4 >> 16),
                          static_cast<uint8_t>(spec.address_ipv4 >> 8), static_cast<uint8_t>(spec.address_ipv4));
    return c;
  }

  void start() {
    Status status = resources.start();
    ASSERT_TRUE(status.ok()) << status.error().message;
    state.layout.geometry = {128, 128, 256};
    const size_t bytes = 65536 + vi_layout_place(state.layout, 65536);
    memory = allocator.allocate(bytes, "test").value();
    ViOptions options;
    options.host_stack = true;
    const auto granted = resources.create_vi(memory, state.layout, options);
    ASSERT_TRUE(granted.ok()) << granted.error().message;
    grant = granted.value();
    state.vi_id = grant.vi_id;
    state.features = resources.device().features;
    window = f.function(idx).open_window(grant.vi_id).value();
    interrupt = f.function(idx).open_interrupt(grant.vector).value();
    vi = Vi(memory.base, &state, window.get());
  }
  uint8_t* bytes(uint64_t offset) { return static_cast<uint8_t*>(memory.base) + offset; }

  SimulationFixture& f;
  const size_t idx;
  HeapDmaAllocator allocator;
  ResourceManager resources;
  DmaMemory memory;
  ViState state;
  ViGrant grant;
  std::unique_ptr<ViWindow> window;
  std::unique_ptr<InterruptLine> interrupt;
  Vi vi;
};

TEST_F(InProcessFunctionTest, AnInterruptEndsTheWaitAtItsTime) {
  BareHost host(*this, 0);
  run([&] {
    host.start();
    EXPECT_EQ(host.interrupt->event_fd(), -1);
    EXPECT_EQ(host.interrupt->wait(1000), WaitOutcome::kTimeout);
    host.vi.prime();
    host.vi.arm_timer(20'000, 1);
    const uint64_t before_ps = cpu().now_ps();
    EXPECT_EQ(host.interrupt->wait(1'000'000), WaitOutcome::kSignalled);
    const uint64_t elapsed_ns = (cpu().now_ps() - before_ps) / 1000;
    EXPECT_GT(elapsed_ns, 20'000u);
    EXPECT_LT(elapsed_ns, 23'000u);
    EXPECT_TRUE(host.vi.has_event());
    EXPECT_EQ(host.interrupt->wait(1000), WaitOutcome::kTimeout);  // once per prime
  });
  host.resources.abandon();
}

TEST_F(InProcessFunctionTest, AnInterruptThatNobodyWaitedForIsRemembered) {
  BareHost host(*this, 0);
  run([&] {
    host.start();
    host.vi.prime();
    host.vi.arm_timer(1000, 1);
    function().pause_ns(10'000);
    const uint64_t before_ps = cpu().now_ps();
    EXPECT_EQ(host.interrupt->wait(1'000'000), WaitOutcome::kSignalled);
    EXPECT_EQ(cpu().now_ps(), before_ps);
  });
  host.resources.abandon();
}

TEST_F(InProcessFunctionTest, WaitWriteEndsWithTheEventAndOnThePollGrid) {
  BareHost host(*this, 0);
  run([&] {
    host.start();
    cpu().watch(host.grant.dma_address + host.state.layout.evq_offset, 256 * PST_EVENT_BYTES);
    uint64_t seen_count = cpu().write_count();
    EXPECT_FALSE(cpu().wait_write(seen_count, cpu().now_ps() + 1'000'000, 25'000));
    host.vi.arm_timer(5000, 1);
    EXPECT_TRUE(cpu().wait_write(seen_count, cpu().now_ps() + 100'000'000, 25'000));
    EXPECT_EQ(cpu().now_ps() % 25'000, 0u);
    EXPECT_TRUE(host.vi.has_event());
  });
  host.resources.abandon();
}

TEST_F(InProcessFunctionTest, AFrameCrossesFromOneHostsRingsToTheOthers) {
  BareHost a(*this, 0);
  BareHost b(*this, 1);
  bool b_ready = false;
  bool received = false;
  simulation->spawn("b", [&] {
    b.start();
    ASSERT_TRUE(b.vi.post_rx(0, 2048));
    b.vi.ring_rx_doorbell();
    b.vi.prime();
    b_ready = true;
    ASSERT_EQ(b.interrupt->wait(kRunNs), WaitOutcome::kSignalled);
    ViEvent event;
    ASSERT_EQ(b.vi.poll(&event, 1), 1u);
    EXPECT_EQ(event.type, ViEventType::kRx);
    EXPECT_EQ(event.length_bytes, 100);
    EXPECT_EQ(b.bytes(0)[99], 77);
    received = true;
  });
  run([&] {
    a.start();
    while (!b_ready) {
      function(0).pause_ns(1000);
    }
    uint8_t* frame = a.bytes(4096);
    std::memcpy(frame, simulation->host_spec(1).mac.data(), 6);
    std::memcpy(frame + 6, simulation->host_spec(0).mac.data(), 6);
    frame[12] = 0x88;
    frame[13] = 0xb5;
    frame[99] = 77;
    const TxFragment fragment{4096, 100};
    ASSERT_TRUE(a.vi.queue_tx(&fragment, 1, TxOptions{}));
    a.vi.ring_tx_doorbell();
    function(0).pause_ns(20'000);
  });
  EXPECT_TRUE(received);
  EXPECT_NE(simulation->wire_fingerprint(), 0u);
  a.resources.abandon();
  b.resources.abandon();
}

// A host that sends, one frame in each of three ways, and how long after the call of the library the peer has the
// event.
TEST_F(InProcessFunctionTest, PushSavesTheDescriptorReadAndPioThePayloadReadToo) {
  BareHost a(*this, 0);
  BareHost b(*this, 1);
  bool b_ready = false;
  uint32_t frame_count = 0;
  simulation->spawn("b", [&] {
    b.start();
    for (uint64_t i = 0; i < 3; ++i) ASSERT_TRUE(b.vi.post_rx(2048 * i, 2048));
    b.vi.ring_rx_doorbell();
    cpu(1).watch(b.grant.dma_address + b.state.layout.evq_offset, 256 * PST_EVENT_BYTES);
    b_ready = true;
  });
  double latency_ns[3] = {};
  run([&] {
    a.start();
    while (!b_ready) {
      function(0).pause_ns(1000);
    }
    uint8_t* frame = a.bytes(4096);
    std::memcpy(frame, simulation->host_spec(1).mac.data(), 6);
    std::memcpy(frame + 6, simulation->host_spec(0).mac.data(), 6);
    frame[12] = 0x88;
    frame[13] = 0xb5;
    const TxFragment fragment{4096, 100};
    const uint32_t features = a.state.features;
    for (int way = 0; way < 3; ++way) {
      frame[99] = static_cast<uint8_t>(way + 1);
      const uint64_t seen_count = cpu(1).write_count();
      const uint64_t begin_ps = cpu(0).now_ps();
      a.state.features = way == 0 ? 0 : features;
      if (way == 2) {
        ASSERT_TRUE(a.vi.send_pio(frame, 100, TxOptions{}));
        std::memset(frame + 14, 0, 86);  // the frame is the caller's again
      } else {
        ASSERT_TRUE(a.vi.queue_tx(&fragment, 1, TxOptions{}));
        a.vi.ring_tx_doorbell();
      }
      while (cpu(1).write_count() == seen_count && cpu(0).now_ps() < begin_ps + 100'000'000) {
        function(0).pause_ns(5);
      }
      latency_ns[way] = static_cast<double>(cpu(0).now_ps() - begin_ps) / 1000;
      function(0).pause_ns(20'000);
      ViEvent event;
      ASSERT_EQ(b.vi.poll(&event, 1), 1u);
      EXPECT_EQ(event.length_bytes, 100);
      EXPECT_EQ(b.bytes(2048 * static_cast<uint64_t>(way))[99], way + 1);
      frame_count++;
      ASSERT_EQ(a.vi.poll(&event, 1), 1u);
      EXPECT_EQ(event.type, ViEventType::kTx);
    }
  });
  EXPECT_EQ(frame_count, 3u);
  EXPECT_GT(latency_ns[0] - latency_ns[1], 350);  // a read of 16 bytes, less two stores by the processor
  EXPECT_GT(latency_ns[1] - latency_ns[2], 350);  // a read of 100 bytes, less the stores into the page
  a.resources.abandon();
  b.resources.abandon();
}

// One packet of the VI library becomes frames that the peer's VI takes one by one.
TEST_F(InProcessFunctionTest, ASegmentedPacketArrivesAsFrames) {
  BareHost a(*this, 0);
  BareHost b(*this, 1);
  bool b_ready = false;
  simulation->spawn("b", [&] {
    b.start();
    for (uint64_t i = 0; i < 8; ++i) ASSERT_TRUE(b.vi.post_rx(2048 * i, 2048));
    b.vi.ring_rx_doorbell();
    b_ready = true;
  });
  run([&] {
    a.start();
    while (!b_ready) {
      function(0).pause_ns(1000);
    }
    uint8_t* packet = a.bytes(0);
    std::memset(packet, 0, 6000);
    std::memcpy(packet, simulation->host_spec(1).mac.data(), 6);
    std::memcpy(packet + 6, simulation->host_spec(0).mac.data(), 6);
    packet[12] = 0x08;
    packet[14] = 0x45;
    packet[23] = 6;  // TCP
    for (int i = 0; i < 4; ++i)
      packet[26 + i] = static_cast<uint8_t>(simulation->host_spec(0).address_ipv4 >> (24 - 8 * i));
    packet[46] = 0x50;
    packet[5999] = 88;
    const TxFragment fragments[] = {{0, 1000}, {1000, 5000}};
    TxOptions options;
    options.segment_mss_bytes = 1448;
    options.checksum_l3 = true;
    options.checksum_l4 = true;
    ASSERT_TRUE(a.vi.queue_tx(fragments, 2, options));
    a.vi.ring_tx_doorbell();
    function(0).pause_ns(50'000);
    ViEvent events[8];
    ASSERT_EQ(b.vi.poll(events, 8), 5u);
    for (const ViEvent& event : {events[0], events[1], events[2], events[3], events[4]}) {
      EXPECT_EQ(event.checksum_l3, ChecksumResult::kGood);
      EXPECT_EQ(event.checksum_l4, ChecksumResult::kGood);
    }
    EXPECT_EQ(events[0].length_bytes, 54 + 1448);
    EXPECT_EQ(events[4].length_bytes, 54 + 5946 - 4 * 1448);
    EXPECT_EQ(b.bytes(4 * 2048)[events[4].length_bytes - 1], 88);
    ASSERT_EQ(a.vi.poll(events, 8), 1u);
    EXPECT_EQ(events[0].consumer_idx, 3u);
  });
  a.resources.abandon();
  b.resources.abandon();
}

std::string error_of_setting(const std::string& setting) {
  Simulation::Options options;
  options.topology = default_topology();
  EXPECT_TRUE(apply_property_setting(options.topology, setting).ok());
  const auto simulation = Simulation::create(options);
  return simulation.ok() ? "" : simulation.error().message;
}

TEST(SimulationTest, AnUnknownPropertyNamesWhereItWasSetAndTheNearestOnes) {
  const std::string message = error_of_setting("a:event_queue.holdof_ns=1");
  EXPECT_EQ(message.rfind("--set a:event_queue.holdof_ns=1: host \"a\": the NIC has no property "
                          "\"event_queue.holdof_ns\"; nearest: event_queue.holdoff_ns, ",
                          0),
            0u)
      << message;
}

TEST(SimulationTest, APropertyOfTheWrongTypeNamesWhatItExpects) {
  EXPECT_EQ(error_of_setting("nic1.pcie_link.tags=1.5"),
            "--set nic1.pcie_link.tags=1.5: host \"b\": property \"pcie_link.tags\" expects a whole number, 1 to 1024 "
            "reads; found 1.5");
}

TEST(SimulationTest, AWordForANumberNamesWhatThePropertyExpects) {
  EXPECT_EQ(error_of_setting("pcie_link.lanes=wide"),
            "--set pcie_link.lanes=wide: host \"a\": property \"pcie_link.lanes\" (integer) expects one of 1, 2, 4, 8, "
            "16; found \"wide\"");
}

TEST(SimulationTest, SettingsByPositionReachThatNicOnly) {
  Simulation::Options options;
  options.topology = default_topology();
  ASSERT_TRUE(apply_property_setting(options.topology, "nic1.event_queue.holdoff_ns=2000").ok());
  ASSERT_TRUE(apply_property_setting(options.topology, "pcie_link.split_at_rcb=true").ok());
  const auto simulation = Simulation::create(options);
  ASSERT_TRUE(simulation.ok()) << simulation.error().message;
  const auto value = [&](size_t host_idx, const std::string& name) {
    for (const Property& property : simulation.value()->nic_properties(host_idx)) {
      if (property.name == name) return property.value;
    }
    return -1.0;
  };
  EXPECT_EQ(value(0, "event_queue.holdoff_ns"), 0);
  EXPECT_EQ(value(1, "event_queue.holdoff_ns"), 2000);
  EXPECT_EQ(value(0, "pcie_link.split_at_rcb"), 1);
}

TEST(SimulationTest, ATapPortIsAnErrorInVirtualTime) {
  Simulation::Options options;
  options.topology =
      parse_topology(
          "[[host]]\nname = \"a\"\naddress = \"10.9.0.1/24\"\n[[tap]]\nname = \"t\"\n[[link]]\nends = [\"a\", \"t\"]\n",
          "net.toml")
          .value();
  const auto simulation = Simulation::create(options);
  ASSERT_FALSE(simulation.ok());
  EXPECT_EQ(simulation.error().message,
            "net.toml: tap \"t\": a TAP port needs the Linux kernel and real time; use `postern up`, or leave it out");
}

}  // namespace
}  // namespace postern::sim
