// The resource manager against a scripted function: exact sequences of accesses, errors and their texts, rollback.
#include "driver/resource_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include "tests/driver/fake_function.h"

namespace postern {
namespace {

using ::testing::ElementsAre;
using testing::FakeFunction;
using ::testing::HasSubstr;

class ResourceManagerTest : public ::testing::Test {
 protected:
  ResourceManagerTest() {
    config_.address = HostAddress::ipv4(10, 9, 0, 1);
    manager_ = std::make_unique<ResourceManager>(function_, allocator_, config_);
  }

  void start() {
    const Status status = manager_->start();
    ASSERT_TRUE(status.ok()) << status.error().message;
    function_.take_log();
  }

  // A region with its rings at 0x1000.
  DmaMemory make_region(ViLayout& layout) {
    layout.geometry = {128, 256, 512};
    const size_t bytes = 0x1000 + vi_layout_place(layout, 0x1000);
    return allocator_.allocate(bytes, "region").value();
  }

  ViGrant make_vi(const ViOptions& options = {}) {
    ViLayout layout;
    regions_.push_back(make_region(layout));
    Result<ViGrant> grant = manager_->create_vi(regions_.back(), layout, options);
    EXPECT_TRUE(grant.ok());
    return *grant;
  }

  // Admin command lines only.
  std::vector<std::string> commands() {
    std::vector<std::string> lines;
    for (std::string& line : function_.take_log()) {
      if (line.find("bar_") != 0 && line != "pause") {
        lines.push_back(line);
      }
    }
    return lines;
  }

  ~ResourceManagerTest() override {
    manager_.reset();
    for (const DmaMemory& region : regions_) {
      allocator_.release(region);
    }
  }

  FakeFunction function_;
  HeapDmaAllocator allocator_;
  ResourceManager::Config config_;
  std::unique_ptr<ResourceManager> manager_;
  std::vector<DmaMemory> regions_;
};

TEST_F(ResourceManagerTest, StartProbesResetsAndStartsTheAdminQueueInThisOrder) {
  ASSERT_TRUE(manager_->start().ok());
  EXPECT_THAT(function_.log,
              ElementsAre("config_read 0x0/4", "config_write 0x4/2 0x406",                                   // identity
                          "bar_read 0:0x0/4", "bar_read 0:0x4/4", "bar_read 0:0x8/8",                        // contract
                          "reset", "config_write 0x4/2 0x406", "bar_read 0:0x18/4",                          // READY
                          "bar_read 0:0x10/4", "bar_read 0:0x14/4", "bar_read 0:0x18/4",                     // device
                          "bar_read 0:0x28/8", "bar_read 0:0x30/4", "bar_read 0:0x34/4",                     //
                          "dma_map 12288 bytes -> 0x10000000",                                               // rings
                          "bar_write 0:0x40/8 0x10000000", "bar_write 0:0x48/8 0x10001000",                  //
                          "bar_write 0:0x50/4 0x20", "bar_write 0:0x60/4 0xffff", "bar_write 0:0x54/4 0x1",  //
                          "bar_read 0:0x64/4",                                                               //
                          "bar_write 0:0x58/4 0x1", "PORT_CONFIG mtu 1500", "bar_write 0:0x5c/4 0x1"));
  EXPECT_EQ(manager_->device().mac, (std::array<uint8_t, 6>{2, 0, 0, 0, 0, 1}));
  EXPECT_EQ(manager_->device().link_speed_mbps, 10000u);
  EXPECT_TRUE(manager_->device().link_up);
}

TEST_F(ResourceManagerTest, ContractHashMismatchNamesBothHashesAndTheRemedy) {
  function_.registers[PST_FUNCTION_CONTRACT_HASH_OFFSET] = 0x1122334455667788;
  const Status status = manager_->start();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, EPROTO);
  EXPECT_THAT(status.error().message, HasSubstr("0x1122334455667788"));
  EXPECT_THAT(status.error().message, HasSubstr(fmt::format("{:#018x}", PST_CONTRACT_HASH)));
  EXPECT_THAT(status.error().message, HasSubstr("build both from the same tree"));
  EXPECT_EQ(std::count(function_.log.begin(), function_.log.end(), "reset"), 0);
}

TEST_F(ResourceManagerTest, OtherMajorVersionIsRefused) {
  function_.registers[PST_FUNCTION_VERSION_OFFSET] = 0x00020003;
  const Status status = manager_->start();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, EPROTO);
  EXPECT_THAT(status.error().message, HasSubstr("version 2.3"));
}

TEST_F(ResourceManagerTest, AnotherDeviceIsNotTouched) {
  function_.pci_identity = 0x10fb8086;
  const Status status = manager_->start();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ENODEV);
  EXPECT_THAT(status.error().message, HasSubstr("8086:10fb"));
  EXPECT_THAT(function_.log, ElementsAre("config_read 0x0/4"));
}

TEST_F(ResourceManagerTest, DeviceThatNeverGetsReadyEndsInATimeout) {
  function_.registers[PST_FUNCTION_STATUS_OFFSET] = 0;
  const Status status = manager_->start();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ETIMEDOUT);
  EXPECT_LE(function_.clock().now_ns(), config_.reset_timeout_ns + 100'000);
}

TEST_F(ResourceManagerTest, MtuBeyondTheDeviceIsRefused) {
  function_.registers[PST_FUNCTION_MTU_MAX_BYTES_OFFSET] = 1400;
  const Status status = manager_->start();
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message, HasSubstr("1400"));
}

TEST_F(ResourceManagerTest, CommandWithoutCompletionEndsInATimeoutAndStopsTheQueue) {
  start();
  function_.answers_commands = false;
  ViLayout layout;
  regions_.push_back(make_region(layout));
  Result<ViGrant> grant = manager_->create_vi(regions_.back(), layout, {});
  ASSERT_FALSE(grant.ok());
  EXPECT_EQ(grant.error().code, ETIMEDOUT);
  EXPECT_EQ(manager_->read_statistics().error().code, ENODEV);
}

TEST_F(ResourceManagerTest, QueueThatTheDeviceStoppedIsReportedBeforeTheTimeout) {
  start();
  function_.answers_commands = false;
  function_.registers[PST_FUNCTION_ADMIN_STATUS_OFFSET] = PST_ERROR_CODE_DMA_FAULT;
  const auto statistics = manager_->read_statistics();
  ASSERT_FALSE(statistics.ok());
  EXPECT_EQ(statistics.error().code, EIO);
  EXPECT_THAT(statistics.error().message, HasSubstr("DMA_FAULT"));
}

TEST_F(ResourceManagerTest, AdminQueueWrapsItsRings) {
  start();
  for (int i = 0; i < 100; ++i) {  // 32 entries
    ASSERT_TRUE(manager_->read_statistics().ok()) << i;
  }
}

TEST_F(ResourceManagerTest, ViIsBuiltFromMappingDomainTranslationGrantAndFilters) {
  start();
  const ViGrant grant = make_vi();
  EXPECT_THAT(commands(), ElementsAre("dma_map 20480 bytes -> 0x10103000", "PD_ALLOC",
                                      "TRANSLATION_MAP 1 [0x0] -> 0x10103000 20480 bytes w1",
                                      "VI_ALLOC 1 rx 0x1000/128 tx 0x2000/256 evq 0x3000/512 vector 0",
                                      "SOURCE_GRANT 3 family 1 0x100090a",
                                      "FILTER_INSERT 3 ETHERTYPE proto 0 0x0:0 <- 0x0:0 ethertype 0x806 replicate 1"));
  EXPECT_EQ(grant.vi_id, 3u);
  EXPECT_EQ(grant.pd_id, 1u);
  EXPECT_EQ(grant.vector, 0u);
}

TEST_F(ResourceManagerTest, HostStackAlsoGetsTheDefaultFilters) {
  start();
  ViOptions options;
  options.host_stack = true;
  make_vi(options);
  const auto lines = commands();
  ASSERT_EQ(lines.size(), 8u);
  EXPECT_EQ(lines[6], "FILTER_INSERT 3 MAC proto 0 0x10000000002:0 <- 0x0:0 ethertype 0x0 replicate 0");
  EXPECT_EQ(lines[7], "FILTER_INSERT 3 MULTICAST_DEFAULT proto 0 0x0:0 <- 0x0:0 ethertype 0x0 replicate 0");
}

TEST_F(ResourceManagerTest, ViIsFreedBeforeItsDomainAndTheDomainBeforeItsMemory) {
  start();
  const ViGrant grant = make_vi();
  commands();
  ASSERT_TRUE(manager_->free_vi(grant.vi_id).ok());
  EXPECT_THAT(commands(), ElementsAre("VI_FREE 3", "PD_FREE 1", "dma_unmap 0x10103000"));
  EXPECT_EQ(manager_->free_vi(grant.vi_id).error().code, ENOENT);
}

TEST_F(ResourceManagerTest, FailureHalfWayUndoesWhatWasDone) {
  start();
  const size_t mappings_before = function_.mappings.size();
  for (const uint64_t opcode : {PST_COMMAND_PD_ALLOC, PST_COMMAND_TRANSLATION_MAP, PST_COMMAND_VI_ALLOC,
                                PST_COMMAND_SOURCE_GRANT, PST_COMMAND_FILTER_INSERT}) {
    function_.failing[opcode] = PST_ERROR_CODE_NO_RESOURCE;
    ViLayout layout;
    regions_.push_back(make_region(layout));
    Result<ViGrant> grant = manager_->create_vi(regions_.back(), layout, {});
    ASSERT_FALSE(grant.ok());
    EXPECT_EQ(grant.error().code, ENOSPC);
    EXPECT_TRUE(function_.domains.empty());
    EXPECT_TRUE(function_.vis.empty());
    EXPECT_EQ(function_.mappings.size(), mappings_before);
  }
  EXPECT_EQ(make_vi().vector, 0u);  // vectors were given back too
}

TEST_F(ResourceManagerTest, RingsOutsideTheRegionAreRefusedWithoutAnAccess) {
  start();
  ViLayout layout;
  regions_.push_back(make_region(layout));
  layout.evq_offset += 4096;
  EXPECT_EQ(manager_->create_vi(regions_.back(), layout, {}).error().code, EINVAL);
  layout.evq_offset = 0xffffffffffffff00;
  EXPECT_EQ(manager_->create_vi(regions_.back(), layout, {}).error().code, EINVAL);
  EXPECT_TRUE(function_.log.empty());
}

TEST_F(ResourceManagerTest, PortFilterFollowsTheFirstAndTheLastBinding) {
  start();
  const ViGrant vi = make_vi();
  commands();
  PortRequest request{vi.vi_id, IPPROTO_UDP, HostAddress::ipv4(10, 9, 0, 1), 5000, true};
  const PortBinding first = manager_->acquire_port(request).value();
  const PortBinding second = manager_->acquire_port(request).value();
  EXPECT_THAT(commands(),
              ElementsAre("FILTER_INSERT 3 LISTENER proto 17 0x100090a:5000 <- 0x0:0 ethertype 0x0 replicate 0"));
  ASSERT_TRUE(manager_->release_port(vi.vi_id, first.binding_id).ok());
  EXPECT_TRUE(commands().empty());
  ASSERT_TRUE(manager_->release_port(vi.vi_id, second.binding_id).ok());
  EXPECT_THAT(commands(), ElementsAre("FILTER_REMOVE 101"));
}

TEST_F(ResourceManagerTest, WildcardBindingGetsAListenerAnyFilter) {
  start();
  const ViGrant vi = make_vi();
  commands();
  ASSERT_TRUE(manager_->acquire_port({vi.vi_id, IPPROTO_TCP, HostAddress::ipv4(0, 0, 0, 0), 80, false}).ok());
  EXPECT_THAT(commands(),
              ElementsAre("FILTER_INSERT 3 LISTENER_ANY proto 6 0x0:80 <- 0x0:0 ethertype 0x0 replicate 0"));
}

TEST_F(ResourceManagerTest, FilterThatDoesNotFitGivesThePortBack) {
  start();
  const ViGrant vi = make_vi();
  function_.failing[PST_COMMAND_FILTER_INSERT] = PST_ERROR_CODE_TABLE_FULL;
  const PortRequest request{vi.vi_id, IPPROTO_TCP, HostAddress::ipv4(0, 0, 0, 0), 80, false};
  EXPECT_EQ(manager_->acquire_port(request).error().code, ENOSPC);
  EXPECT_TRUE(manager_->acquire_port(request).ok());
}

TEST_F(ResourceManagerTest, ForeignAddressIsNotAvailable) {
  start();
  const ViGrant vi = make_vi();
  EXPECT_EQ(manager_->acquire_port({vi.vi_id, IPPROTO_TCP, HostAddress::ipv4(10, 9, 0, 2), 80, false}).error().code,
            EADDRNOTAVAIL);
}

TEST_F(ResourceManagerTest, FreeingAViReleasesItsPorts) {
  start();
  const ViGrant first = make_vi();
  const ViGrant second = make_vi();
  ASSERT_TRUE(manager_->acquire_port({first.vi_id, IPPROTO_TCP, HostAddress::ipv4(0, 0, 0, 0), 80, false}).ok());
  const PortRequest request{second.vi_id, IPPROTO_TCP, HostAddress::ipv4(0, 0, 0, 0), 80, false};
  EXPECT_EQ(manager_->acquire_port(request).error().code, EADDRINUSE);
  ASSERT_TRUE(manager_->free_vi(first.vi_id).ok());
  EXPECT_TRUE(manager_->acquire_port(request).ok());
}

TEST_F(ResourceManagerTest, StatisticsComeFromTheDevicesPage) {
  start();
  const PortStatistics statistics = manager_->read_statistics().value();
  EXPECT_EQ(statistics.tx_frames, 1000u);
  EXPECT_EQ(statistics.rx_bytes, 1003u);
  EXPECT_EQ(statistics.events, 1005u);
  EXPECT_EQ(statistics.drops[PST_DROP_REASON_RX_NO_FILTER], 1008u);
  EXPECT_EQ(statistics.drops[PST_DROP_REASON_TX_LINK_DOWN], 1020u);
}

TEST_F(ResourceManagerTest, StopFreesEverythingAndStopsTheQueue) {
  start();
  make_vi();
  make_vi();
  manager_->stop();
  EXPECT_TRUE(function_.vis.empty());
  EXPECT_TRUE(function_.domains.empty());
  EXPECT_TRUE(function_.mappings.empty());
  EXPECT_EQ(function_.registers[PST_FUNCTION_ADMIN_ENABLE_OFFSET], 0u);
}

TEST_F(ResourceManagerTest, DeviceThatIsGoneIsForgottenWithoutAnAccess) {
  start();
  make_vi();
  function_.take_log();
  manager_->abandon();
  EXPECT_TRUE(function_.log.empty());
  EXPECT_EQ(manager_->read_statistics().error().code, ENODEV);
}

}  // namespace
}  // namespace postern
