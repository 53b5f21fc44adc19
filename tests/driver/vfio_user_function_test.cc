// The vfio-user client against the server, in one process: registers, windows, clock, DMA memory, interrupts, reset,
// and what happens when the device goes away.
#include "driver/vfio_user_function.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <chrono>

#include "driver/mapped_vi_window.h"
#include "tests/sim/vfio_user_fixtures.h"

namespace postern {
namespace {

using sim::DoorbellWrite;
using sim::ServedDevice;
using sim::ServerThread;

class VfioUserFunctionTest : public ::testing::Test {
 protected:
  VfioUserFunctionTest() : server(::testing::UnitTest::GetInstance()->current_test_info()->name()) {}
  void SetUp() override { connect(); }
  void connect() {
    VfioUserFunction::Options options;
    options.reply_timeout_ms = 2000;
    auto connected = VfioUserFunction::connect(server.socket_path(), options);
    ASSERT_TRUE(connected.ok()) << connected.error().message;
    function = std::move(connected).value();
  }
  void start_vi(uint32_t vi_id) {
    server.run([vi_id](ServedDevice& served) { ASSERT_TRUE(served.pages->vi_started(vi_id).ok()); });
  }
  std::vector<DoorbellWrite> doorbells() {
    return server.get<std::vector<DoorbellWrite>>([](ServedDevice& served) { return served.device.doorbells; });
  }
  // Waits for something that the server's thread does.
  template <typename Condition>
  bool eventually(Condition condition) {
    for (int i = 0; i < 2000; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
  }

  ServerThread server;
  std::unique_ptr<VfioUserFunction> function;
};

struct Memory {
  explicit Memory(size_t size_bytes, unsigned flags = MFD_ALLOW_SEALING)
      : fd(memfd_create("test", MFD_CLOEXEC | flags)) {
    EXPECT_EQ(ftruncate(fd.get(), static_cast<off_t>(size_bytes)), 0);
    void* base = mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    EXPECT_NE(base, MAP_FAILED);
    dma = {base, size_bytes, fd.get(), 0};
  }
  ~Memory() { munmap(dma.base, dma.size_bytes); }
  UniqueFd fd;
  DmaMemory dma;
};

TEST_F(VfioUserFunctionTest, ConnectEnablesMemoryBusMasterAndMsix) {
  EXPECT_TRUE(server.get<bool>([](ServedDevice& served) {
    return served.device.config.memory_enabled() && served.device.config.msix_deliverable();
  }));
  EXPECT_EQ(function->config_read(0, 2).value(), PST_PCI_VENDOR_ID);
  EXPECT_EQ(function->config_read(3, 2).error().code, EINVAL);
}

TEST_F(VfioUserFunctionTest, RegistersAreReadAndWrittenInOrder) {
  ASSERT_TRUE(function->bar_write(0, 0x40, 8, 0x1122334455667788).ok());
  EXPECT_EQ(function->bar_read(0, 0x40, 8).value(), 0x1122334455667788u);
  ASSERT_TRUE(function->bar_write(0, 0x50, 4, 7).ok());
  EXPECT_EQ(function->bar_read(0, 0x50, 4).value(), 7u);
  EXPECT_EQ(function->bar_read(0, 0x50, 2).error().code, EINVAL);
  EXPECT_EQ(function->bar_read(0, PST_BAR_FUNCTION_SIZE, 4).error().code, EINVAL);
  EXPECT_EQ(function->bar_read(1, 0, 4).error().code, EINVAL);
  EXPECT_EQ(function->bar_read(0, 0x50, 4).value(), 7u) << "an error leaves the connection usable";
}

TEST_F(VfioUserFunctionTest, ManyPostedWritesAllArrive) {
  for (uint32_t i = 1; i <= 5000; ++i) ASSERT_TRUE(function->bar_write(0, 0x58, 4, i).ok());
  EXPECT_EQ(function->bar_read(0, 0x58, 4).value(), 5000u);
}

TEST_F(VfioUserFunctionTest, ClockAdvancesWithTheDevice) {
  server.run([](ServedDevice& served) { served.pages->set_time_ns(123456789); });
  EXPECT_EQ(function->clock().now_ns(), 123456789u);
  EXPECT_EQ(function->bar_read(0, PST_CLOCK_PAGE_OFFSET + PST_CLOCK_TIME_NS_OFFSET, 8).value(), 123456789u);
}

TEST_F(VfioUserFunctionTest, ClockPageCannotBeWrittenThroughItsDescriptor) {
  const int fd = function->clock_page_fd();
  EXPECT_EQ(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, PST_CLOCK_PAGE_OFFSET), MAP_FAILED);
  const std::string again = "/proc/self/fd/" + std::to_string(fd);
  UniqueFd reopened(open(again.c_str(), O_RDWR | O_CLOEXEC));
  if (reopened.valid()) {  // the seal holds even then
    EXPECT_EQ(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, reopened.get(), PST_CLOCK_PAGE_OFFSET),
              MAP_FAILED);
    const uint64_t value = 1;
    EXPECT_LT(pwrite(reopened.get(), &value, sizeof(value), PST_CLOCK_PAGE_OFFSET), 0);
    EXPECT_NE(ftruncate(reopened.get(), 0), 0);
  }
}

TEST_F(VfioUserFunctionTest, DoorbellInAWindowReachesTheDevice) {
  start_vi(5);
  auto window = function->open_window(5);
  ASSERT_TRUE(window.ok()) << window.error().message;
  window.value()->write_doorbell(PST_VI_TX_DOORBELL_OFFSET, 3);
  ASSERT_TRUE(eventually([&] { return doorbells().size() == 1; }));
  EXPECT_EQ(doorbells()[0], (DoorbellWrite{5, PST_VI_TX_DOORBELL_OFFSET, 4, 3}));
  EXPECT_EQ(window.value()->read_doorbell(PST_VI_TX_DOORBELL_OFFSET), 3u);
}

TEST_F(VfioUserFunctionTest, DoorbellBeforeAMessageIsDeliveredBeforeTheMessage) {
  start_vi(1);
  auto window = function->open_window(1).value().release();
  const std::unique_ptr<ViWindow> owned(window);
  server.run([](ServedDevice& served) {
    served.device.on_write = [&served](unsigned, uint64_t, uint64_t value) {
      served.device.registers[{0, 0x48}] = served.device.doorbells.empty() ? 0 : served.device.doorbells.back().value;
      served.device.registers[{0, 0x40}] = value;
    };
  });
  for (uint32_t i = 1; i <= 500; ++i) {
    window->write_doorbell(PST_VI_RX_DOORBELL_OFFSET, i);
    ASSERT_TRUE(function->bar_write(0, 0x40, 4, i).ok());
    ASSERT_EQ(function->bar_read(0, 0x48, 4).value(), i);
  }
}

TEST_F(VfioUserFunctionTest, EachWindowIsHandedOutOnceAndAFreshOnePerStart) {
  start_vi(2);
  auto first = function->take_window(2);
  ASSERT_TRUE(first.ok());
  UniqueFd old_window(first->window_fd);
  UniqueFd old_kick(first->kick_fd);
  EXPECT_EQ(function->take_window(2).error().code, ENOENT);
  auto stale = MappedViWindow::open(old_window.get(), old_kick.get(), function->clock_page_fd());
  ASSERT_TRUE(stale.ok());

  start_vi(2);  // freed and allocated again
  auto fresh = function->open_window(2);
  ASSERT_TRUE(fresh.ok());
  stale.value()->write_doorbell(PST_VI_TX_DOORBELL_OFFSET, 77);
  fresh.value()->write_doorbell(PST_VI_TX_DOORBELL_OFFSET, 1);
  ASSERT_TRUE(eventually([&] { return doorbells().size() == 1; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(doorbells(), (std::vector<DoorbellWrite>{{2, PST_VI_TX_DOORBELL_OFFSET, 4, 1}}));
}

TEST_F(VfioUserFunctionTest, MoreWindowsThanFitOneMessageAllArrive) {
  server.run([](ServedDevice& served) {
    for (uint32_t vi_id = 0; vi_id < 100; ++vi_id) ASSERT_TRUE(served.pages->vi_started(vi_id).ok());
  });
  for (uint32_t vi_id = 0; vi_id < 100; ++vi_id) {
    auto window = function->open_window(vi_id);
    ASSERT_TRUE(window.ok()) << window.error().message;
    window.value()->write_doorbell(PST_VI_RX_DOORBELL_OFFSET, vi_id + 1);
  }
  EXPECT_TRUE(eventually([&] { return doorbells().size() == 100; }));
}

TEST_F(VfioUserFunctionTest, WindowCannotBeShrunkUnderTheSimulator) {
  start_vi(3);
  auto window = function->take_window(3);
  ASSERT_TRUE(window.ok());
  UniqueFd fd(window->window_fd);
  UniqueFd kick(window->kick_fd);
  EXPECT_NE(ftruncate(fd.get(), 0), 0);
  EXPECT_EQ(errno, EPERM);
}

TEST_F(VfioUserFunctionTest, DeviceReadsAndWritesMappedMemory) {
  Memory memory(16384);
  auto* words = static_cast<uint64_t*>(memory.dma.base);
  words[0] = 42;
  auto address = function->dma_map(memory.dma);
  ASSERT_TRUE(address.ok()) << address.error().message;
  server.run([&](ServedDevice& served) {
    uint64_t value = 0;
    EXPECT_TRUE(served.memory.read(*address, &value, sizeof(value)));
    EXPECT_EQ(value, 42u);
    value = 43;
    EXPECT_TRUE(served.memory.write(*address + 16376, &value, sizeof(value)));
    EXPECT_FALSE(served.memory.write(*address + 16380, &value, sizeof(value))) << "runs over the end";
  });
  EXPECT_EQ(words[16376 / 8], 43u);
  ASSERT_TRUE(function->dma_unmap(*address).ok());
  server.run([&](ServedDevice& served) {
    uint64_t value = 0;
    EXPECT_FALSE(served.memory.read(*address, &value, sizeof(value)));
  });
  EXPECT_EQ(function->dma_unmap(*address).error().code, ENOENT);
  EXPECT_NE(function->dma_map(memory.dma).value(), *address) << "addresses are not used again soon";
}

TEST_F(VfioUserFunctionTest, MemoryThatCannotBeSealedIsRefusedWithARemedy) {
  Memory memory(4096, 0);
  const auto address = function->dma_map(memory.dma);
  ASSERT_FALSE(address.ok());
  EXPECT_EQ(address.error().code, EINVAL);
  EXPECT_NE(address.error().message.find("MFD_ALLOW_SEALING"), std::string::npos);
}

TEST_F(VfioUserFunctionTest, InterruptReachesItsLine) {
  auto line = function->open_interrupt(9);
  ASSERT_TRUE(line.ok()) << line.error().message;
  EXPECT_EQ(line.value()->wait(0), WaitOutcome::kTimeout);
  server.run([](ServedDevice& served) {
    EXPECT_TRUE(served.device.connected_vectors[9]);
    served.server->raise_msix(9);
    served.server->raise_msix(9);
    served.server->raise_msix(10);
  });
  EXPECT_EQ(line.value()->wait(1'000'000'000), WaitOutcome::kSignalled);
  EXPECT_EQ(line.value()->wait(1'000'000), WaitOutcome::kTimeout) << "two messages while nobody waited are one";
  EXPECT_EQ(function->open_interrupt(PST_LIMIT_MSIX_VECTOR_COUNT).error().code, EINVAL);
}

TEST_F(VfioUserFunctionTest, VectorTableEntryIsUnmasked) {
  ASSERT_TRUE(function->open_interrupt(4).ok());
  EXPECT_EQ(function->bar_read(PST_BAR_MSIX, PST_MSIX_TABLE_OFFSET + 4 * 16 + 8, 8).value() >> 32, 0u);
}

TEST_F(VfioUserFunctionTest, SuppliedEventfdIsUsedUntilItIsReplaced) {
  UniqueFd first(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  UniqueFd second(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  ASSERT_TRUE(function->connect_interrupt(1, first.get()).ok());
  server.run([](ServedDevice& served) { served.server->raise_msix(1); });
  ASSERT_TRUE(function->connect_interrupt(1, second.get()).ok());
  server.run([](ServedDevice& served) { served.server->raise_msix(1); });
  ASSERT_TRUE(function->connect_interrupt(1, -1).ok());
  server.run([](ServedDevice& served) { served.server->raise_msix(1); });
  uint64_t count = 0;
  ASSERT_EQ(read(first.get(), &count, sizeof(count)), 8);
  EXPECT_EQ(count, 1u);
  ASSERT_EQ(read(second.get(), &count, sizeof(count)), 8);
  EXPECT_EQ(count, 1u);
}

TEST_F(VfioUserFunctionTest, FullBlockingEventfdDoesNotStopTheDevice) {
  UniqueFd event(eventfd(0, EFD_CLOEXEC));
  ASSERT_TRUE(function->connect_interrupt(0, event.get()).ok());
  ASSERT_EQ(eventfd_write(event.get(), UINT64_MAX - 1), 0);
  fcntl(event.get(), F_SETFL, 0);
  server.run([](ServedDevice& served) { served.server->raise_msix(0); });
  EXPECT_EQ(function->bar_read(0, 0, 4).value(), 0u);
}

TEST_F(VfioUserFunctionTest, ResetClearsTheDeviceAndLeavesTheFunctionEnabled) {
  start_vi(0);
  ASSERT_TRUE(function->bar_write(0, 0x50, 4, 7).ok());
  ASSERT_TRUE(function->reset().ok());
  EXPECT_EQ(function->bar_read(0, 0x50, 4).value(), 0u);
  EXPECT_EQ(function->take_window(0).error().code, ENOENT);
  EXPECT_EQ(function->bar_read(0, PST_CLOCK_PAGE_OFFSET + PST_CLOCK_GENERATION_OFFSET, 4).value(), 1u);
  server.run([](ServedDevice& served) {
    EXPECT_EQ(served.device.resets, 1);
    EXPECT_TRUE(served.device.config.msix_deliverable());
  });
}

TEST_F(VfioUserFunctionTest, SecondClientIsRefusedAndTheFirstGoesOn) {
  auto second = VfioUserFunction::connect(server.socket_path());
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ENODEV);
  EXPECT_EQ(function->config_read(0, 2).value(), PST_PCI_VENDOR_ID);
  server.run([](ServedDevice& served) {
    EXPECT_EQ(served.server->statistics().refused_clients_count, 1u);
    ASSERT_FALSE(served.log.empty());
    EXPECT_NE(served.log.back().find("second client"), std::string::npos);
  });
}

TEST_F(VfioUserFunctionTest, DisconnectTakesEverythingAwayAndANewClientMayAttach) {
  Memory memory(4096);
  ASSERT_TRUE(function->dma_map(memory.dma).ok());
  ASSERT_TRUE(function->open_interrupt(3).ok());
  start_vi(1);
  function.reset();
  ASSERT_TRUE(eventually([&] {
    return server.get<bool>(
        [](ServedDevice& served) { return served.device.detached == 1 && served.memory.count() == 0; });
  }));
  connect();
  EXPECT_EQ(function->open_window(1).error().code, ENOENT);
  EXPECT_TRUE(function->dma_map(memory.dma).ok());
}

TEST_F(VfioUserFunctionTest, NewClientWaitsUntilTheDeviceHasBeenReset) {
  server.run([](ServedDevice& served) { served.device.defer = true; });
  function.reset();
  ASSERT_TRUE(
      eventually([&] { return server.get<bool>([](ServedDevice& served) { return served.device.detached == 1; }); }));
  std::thread later([this] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    server.run([](ServedDevice& served) {
      EXPECT_EQ(served.device.attached, 1);
      served.device.defer = false;
      served.device.complete_deferred();
    });
  });
  connect();
  later.join();
  EXPECT_EQ(function->config_read(0, 2).value(), PST_PCI_VENDOR_ID);
}

TEST_F(VfioUserFunctionTest, EveryCallReportsAGoneDevice) {
  start_vi(0);
  auto window = function->open_window(0);
  ASSERT_TRUE(window.ok());
  auto line = function->open_interrupt(0);
  ASSERT_TRUE(line.ok());
  EXPECT_TRUE(function->service_connection().ok());
  std::thread killer([this] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    server.stop();
  });
  EXPECT_EQ(line.value()->wait(5'000'000'000), WaitOutcome::kDeviceGone);
  killer.join();
  EXPECT_EQ(function->service_connection().error().code, ENODEV);
  EXPECT_EQ(function->bar_read(0, 0, 4).error().code, ENODEV);
  EXPECT_EQ(function->bar_write(0, 0, 4, 0).error().code, ENODEV);
  EXPECT_EQ(function->config_read(0, 4).error().code, ENODEV);
  EXPECT_EQ(function->config_write(0, 4, 0).error().code, ENODEV);
  EXPECT_EQ(function->open_window(0).error().code, ENODEV);
  EXPECT_EQ(function->take_window(0).error().code, ENODEV);
  EXPECT_EQ(function->open_interrupt(0).error().code, ENODEV);
  EXPECT_EQ(function->reset().error().code, ENODEV);
  Memory memory(4096);
  EXPECT_EQ(function->dma_map(memory.dma).error().code, ENODEV);
  window.value()->write_doorbell(PST_VI_TX_DOORBELL_OFFSET, 1);  // harmless
  EXPECT_EQ(VfioUserFunction::connect(server.socket_path()).error().code, ENOENT);
}

TEST_F(VfioUserFunctionTest, SilentDeviceEndsInATimeout) {
  server.run([](ServedDevice& served) { served.device.defer = true; });
  VfioUserFunction::Options options;
  options.reply_timeout_ms = 50;
  function.reset();
  server.run([](ServedDevice& served) {
    served.device.complete_deferred();
    served.device.defer = false;
  });
  ASSERT_TRUE(eventually([&] {
    return server.get<bool>([](ServedDevice& served) {
      served.device.complete_deferred();
      return served.device.detached == 1;
    });
  }));
  auto connected = VfioUserFunction::connect(server.socket_path(), options);
  ASSERT_TRUE(connected.ok()) << connected.error().message;
  server.run([](ServedDevice& served) { served.device.defer = true; });
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(connected.value()->bar_read(0, 0, 4).error().code, ETIMEDOUT);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
  EXPECT_EQ(connected.value()->bar_read(0, 0, 4).error().code, ENODEV)
      << "a late answer must not be taken for this one";
}

TEST_F(VfioUserFunctionTest, ReadThatTakesDeviceTimeKeepsTheOrder) {
  server.run([](ServedDevice& served) { served.device.defer = true; });
  std::thread completer([this] {
    for (int i = 0; i < 3; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      server.run([](ServedDevice& served) { served.device.complete_deferred(); });
    }
    server.run([](ServedDevice& served) {
      served.device.defer = false;
      served.device.complete_deferred();
    });
  });
  ASSERT_TRUE(function->bar_write(0, 0x50, 4, 1).ok());
  EXPECT_EQ(function->bar_read(0, 0x50, 4).value(), 1u);
  ASSERT_TRUE(function->bar_write(0, 0x50, 4, 2).ok());
  EXPECT_EQ(function->bar_read(0, 0x50, 4).value(), 2u);
  completer.join();
}

TEST(VfioUserConnectTest, MissingSocketIsAClearError) {
  const auto connected = VfioUserFunction::connect("/tmp/postern-no-such-socket");
  ASSERT_FALSE(connected.ok());
  EXPECT_EQ(connected.error().code, ENOENT);
  EXPECT_NE(connected.error().message.find("is the simulator running?"), std::string::npos);
}

}  // namespace
}  // namespace postern
