// Configuration space as a bus driver meets it: identity, BAR sizing, a walk over the capability list, enables.
#include "sim/pci_config_space.h"

#include <gtest/gtest.h>

#include <vector>

#include "contract/gen/pst_contract.h"

namespace postern::sim {
namespace {

TEST(PciConfigSpaceTest, IdentityIsThatOfTheContract) {
  PciConfigSpace config;
  EXPECT_EQ(config.read(0x00, 4), PST_PCI_VENDOR_ID | PST_PCI_DEVICE_ID << 16);
  EXPECT_EQ(config.read(0x08, 4), PST_PCI_REVISION_ID | PST_PCI_CLASS_CODE << 8);
  EXPECT_EQ(config.read(0x2c, 2), PST_PCI_SUBSYSTEM_VENDOR_ID);
  EXPECT_EQ(config.read(0x2e, 2), PST_PCI_SUBSYSTEM_ID);
  config.write(0x00, 4, 0);
  EXPECT_EQ(config.read(0x00, 2), PST_PCI_VENDOR_ID);
}

TEST(PciConfigSpaceTest, SizingWritesReturnTheSizeOfEveryBar) {
  PciConfigSpace config;
  const std::vector<std::pair<unsigned, uint64_t>> bars = {
      {PST_BAR_FUNCTION, PST_BAR_FUNCTION_SIZE}, {PST_BAR_VI, PST_BAR_VI_SIZE}, {PST_BAR_MSIX, PST_BAR_MSIX_SIZE}};
  for (const auto& [bar, size] : bars) {
    const auto offset = static_cast<uint16_t>(pci::kBar0 + 4 * bar);
    config.write(offset, 4, 0xffffffff);
    config.write(offset + 4, 4, 0xffffffff);
    EXPECT_EQ(config.read(offset, 4) & 0xf, 0x4u) << "64-bit memory BAR";
    const uint64_t mask = static_cast<uint64_t>(config.read(offset + 4, 4)) << 32 | (config.read(offset, 4) & ~0xfu);
    EXPECT_EQ(~mask + 1, size);
  }
}

TEST(PciConfigSpaceTest, DecodeFindsTheBarOnlyWhileMemorySpaceIsEnabled) {
  PciConfigSpace config;
  config.write(pci::kBar0 + 8, 4, 0x00800000);
  config.write(pci::kBar0 + 12, 4, 0x12);
  EXPECT_FALSE(config.decode(0x1200800000 + 0x2010).has_value());
  config.write(pci::kCommand, 2, pci::kCommandMemory);
  const auto hit = config.decode(0x1200800000 + 0x2010);
  ASSERT_TRUE(hit.has_value());
  EXPECT_EQ(hit->bar, PST_BAR_VI);
  EXPECT_EQ(hit->offset, 0x2010u);
  EXPECT_FALSE(config.decode(0x1200800000 + PST_BAR_VI_SIZE).has_value());
}

TEST(PciConfigSpaceTest, CapabilityListWalksThroughPowerMsixAndExpress) {
  PciConfigSpace config;
  ASSERT_TRUE(config.read(pci::kStatus, 2) & 1u << 4);
  std::vector<uint32_t> ids;
  auto at = static_cast<uint16_t>(config.read(pci::kCapabilityPointer, 1));
  while (at != 0 && ids.size() < 48) {
    EXPECT_EQ(at % 4, 0);
    ids.push_back(config.read(at, 1));
    at = static_cast<uint16_t>(config.read(at + 1, 1));
  }
  EXPECT_EQ(ids, (std::vector<uint32_t>{0x01, 0x11, 0x10}));
  EXPECT_EQ(config.read(0x100, 4), 0u) << "no extended capability";
}

TEST(PciConfigSpaceTest, MsixTableIsInItsBarWithTheSizeOfTheContract) {
  PciConfigSpace config;
  EXPECT_EQ((config.read(pci::kMsixControl, 2) & 0x7ff) + 1, PST_LIMIT_MSIX_VECTOR_COUNT);
  EXPECT_EQ(config.read(pci::kMsixCapability + 4, 4), PST_MSIX_TABLE_OFFSET | PST_BAR_MSIX);
  EXPECT_EQ(config.read(pci::kMsixCapability + 8, 4), PST_MSIX_PBA_OFFSET | PST_BAR_MSIX);
}

TEST(PciConfigSpaceTest, MsixLeavesOnlyWithBusMasterEnableAndWithoutFunctionMask) {
  PciConfigSpace config;
  int changes = 0;
  config.set_control_handler([&] { ++changes; });
  config.write(pci::kMsixControl, 2, pci::kMsixControlEnable);
  EXPECT_FALSE(config.msix_deliverable());
  config.write(pci::kCommand, 2, pci::kCommandBusMaster);
  EXPECT_TRUE(config.bus_master_enabled());
  EXPECT_TRUE(config.msix_deliverable());
  config.write(pci::kMsixControl, 2, pci::kMsixControlEnable | pci::kMsixControlFunctionMask);
  EXPECT_FALSE(config.msix_deliverable());
  EXPECT_EQ(changes, 2);
}

TEST(PciConfigSpaceTest, PowerStateD3StopsMemoryAndBusMastering) {
  PciConfigSpace config;
  config.write(pci::kCommand, 2, pci::kCommandMemory | pci::kCommandBusMaster);
  config.write(pci::kPowerControl, 2, 3);
  EXPECT_FALSE(config.memory_enabled());
  EXPECT_FALSE(config.bus_master_enabled());
  config.write(pci::kPowerControl, 2, 0);
  EXPECT_TRUE(config.memory_enabled());
}

TEST(PciConfigSpaceTest, FunctionLevelResetBitActsAndReadsAsZero) {
  PciConfigSpace config;
  int resets = 0;
  config.set_function_reset_handler([&] {
    ++resets;
    config.reset();
  });
  config.write(pci::kCommand, 2, pci::kCommandMemory);
  config.write(pci::kExpressDeviceControl, 2, pci::kExpressControlReset);
  EXPECT_EQ(resets, 1);
  EXPECT_EQ(config.read(pci::kExpressDeviceControl, 2) & pci::kExpressControlReset, 0u);
  EXPECT_FALSE(config.memory_enabled());
  config.write(pci::kExpressDeviceControl, 2, 0);
  EXPECT_EQ(resets, 1);
}

TEST(PciConfigSpaceTest, MisalignedAndForeignWidthsReadAllOnesAndWriteNothing) {
  PciConfigSpace config;
  EXPECT_EQ(config.read(1, 2), 0xffffffffu);
  EXPECT_EQ(config.read(0, 3), 0xffffffffu);
  EXPECT_EQ(config.read(pci::kConfigBytes, 4), 0xffffffffu);
  config.write(pci::kCommand + 1, 2, 0xffff);
  EXPECT_EQ(config.read(pci::kCommand, 2), 0u);
}

TEST(PciConfigSpaceTest, ByteWritesTouchOnlyTheirByte) {
  PciConfigSpace config;
  config.write(pci::kCommand, 1, 0xff);
  EXPECT_EQ(config.read(pci::kCommand, 2), 0x0046u);
  config.write(pci::kCommand + 1, 1, 0xff);
  EXPECT_EQ(config.read(pci::kCommand, 2), 0x0546u);
}

}  // namespace
}  // namespace postern::sim
