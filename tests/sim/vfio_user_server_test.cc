// The vfio-user server against a client made of bare socket calls: every command and every error that the specification
// names.
#include "sim/vfio_user_server.h"

#include <gtest/gtest.h>

#include "tests/sim/vfio_user_raw_client.h"

namespace postern::sim {
namespace {

// --- negotiation -------------------------------------------------------------------------------------------------

TEST_F(VfioUserServerTest, VersionReplyNamesOurCapabilities) {
  const auto body = client->body<VersionBody>();
  EXPECT_EQ(body.major, kMajor);
  EXPECT_LE(body.minor, kMinor);
  const auto caps = decode_capabilities(client->reply.payload.data() + 4, client->reply.payload.size() - 4);
  ASSERT_TRUE(caps.ok());
  EXPECT_EQ(caps.value().max_msg_fds, kMaxMessageFds);
  EXPECT_EQ(caps.value().max_data_xfer_size, kMaxTransferBytes);
  EXPECT_EQ(caps.value().max_dma_maps, HostDmaRegions::kMaxRegions);
}

TEST_F(VfioUserServerTest, SecondVersionAndCommandsBeforeVersionAreErrors) {
  EXPECT_EQ(client->negotiate(), EINVAL);
  EXPECT_EQ(client->call_body(kDeviceGetInfo, DeviceInfoBody{16, 0, 0, 0}), 0) << "the connection goes on";
  client->close();
  RawClient early(served);
  EXPECT_EQ(early.call_body(kDeviceGetInfo, DeviceInfoBody{16, 0, 0, 0}), EINVAL);
  EXPECT_EQ(early.negotiate(), 0);
}

TEST_F(VfioUserServerTest, ForeignMajorVersionAndBadVersionDataEndTheConnection) {
  client->close();
  for (const char* text : {"", "{", "{\"capabilities\":7}"}) {
    RawClient other(served);
    Bytes payload;
    const bool major = *text == 0;
    encode(payload, VersionBody{static_cast<uint16_t>(major ? 1 : 0), 0});
    if (!major) append(payload, text, std::strlen(text) + 1);
    EXPECT_EQ(other.call(kVersion, payload), EINVAL);
    EXPECT_TRUE(other.hung_up());
  }
  expect_alive();
}

TEST_F(VfioUserServerTest, MinorVersionIsTheSmallerOne) {
  client->close();
  RawClient newer(served);
  Bytes payload;
  encode(payload, VersionBody{kMajor, 900});
  EXPECT_EQ(newer.call(kVersion, payload), 0);
  EXPECT_EQ(newer.body<VersionBody>().minor, kMinor);
}

// --- device, regions, interrupts ---------------------------------------------------------------------------------

TEST_F(VfioUserServerTest, DeviceIsAResettablePciFunction) {
  ASSERT_EQ(client->call_body(kDeviceGetInfo, DeviceInfoBody{16, 0, 0, 0}), 0);
  const auto info = client->body<DeviceInfoBody>();
  EXPECT_EQ(info.argsz, 16u);
  EXPECT_EQ(info.flags, uint32_t{VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET});
  EXPECT_EQ(info.region_count, uint32_t{VFIO_PCI_NUM_REGIONS});
  EXPECT_EQ(info.irq_count, uint32_t{VFIO_PCI_NUM_IRQS});
  EXPECT_EQ(client->call_body(kDeviceGetInfo, DeviceInfoBody{15, 0, 0, 0}), EINVAL);
  EXPECT_EQ(client->call(kDeviceGetInfo, Bytes(15)), EINVAL);
}

TEST_F(VfioUserServerTest, RegionInfoAsksForRoomForItsCapability) {
  RegionInfoBody asked{};
  asked.argsz = sizeof(asked);
  asked.index = PST_BAR_VI;
  ASSERT_EQ(client->call_body(kDeviceGetRegionInfo, asked), 0);
  auto info = client->body<RegionInfoBody>();
  EXPECT_EQ(info.argsz, sizeof(SparseRegionInfoBody));
  EXPECT_EQ(info.cap_offset, 0u);
  EXPECT_EQ(client->reply.payload.size(), sizeof(info));
  EXPECT_TRUE(client->reply.fds.empty());

  asked.argsz = info.argsz;
  ASSERT_EQ(client->call_body(kDeviceGetRegionInfo, asked), 0);
  const auto sparse = client->body<SparseRegionInfoBody>();
  EXPECT_EQ(sparse.info.size, PST_BAR_VI_SIZE);
  EXPECT_EQ(sparse.info.cap_offset, 32u);
  EXPECT_EQ(sparse.header.id, VFIO_REGION_INFO_CAP_SPARSE_MMAP);
  EXPECT_EQ(sparse.header.version, 1);
  EXPECT_EQ(sparse.header.next, 0u);
  EXPECT_EQ(sparse.area_count, 1u);
  EXPECT_EQ(sparse.area.size, PST_BAR_VI_SIZE);
  ASSERT_EQ(client->reply.fds.size(), 1u);
  struct stat status {};
  ASSERT_EQ(fstat(client->reply.fds[0].get(), &status), 0);
  EXPECT_EQ(static_cast<uint64_t>(status.st_size), PST_BAR_VI_SIZE);
}

TEST_F(VfioUserServerTest, ClockPageIsTheOnlyMappablePartOfBar0AndReadOnly) {
  RegionInfoBody asked{};
  asked.argsz = 4096;
  asked.index = PST_BAR_FUNCTION;
  ASSERT_EQ(client->call_body(kDeviceGetRegionInfo, asked), 0);
  const auto sparse = client->body<SparseRegionInfoBody>();
  EXPECT_EQ(sparse.area.offset, PST_CLOCK_PAGE_OFFSET);
  EXPECT_EQ(sparse.area.size, PST_LIMIT_PAGE_BYTES);
  ASSERT_EQ(client->reply.fds.size(), 1u);
  const int fd = client->reply.fds[0].get();
  const auto at = static_cast<off_t>(sparse.info.offset + sparse.area.offset);
  EXPECT_EQ(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, at), MAP_FAILED);
  void* page = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, at);
  ASSERT_NE(page, MAP_FAILED);
  served.pages->set_time_ns(99);
  EXPECT_EQ(*static_cast<const volatile uint64_t*>(page), 99u);
  munmap(page, 4096);
}

TEST_F(VfioUserServerTest, OtherRegionsHaveTheirSizesOrNone) {
  const std::map<uint32_t, uint64_t> sizes = {{1, 0},    {3, 0}, {4, PST_BAR_MSIX_SIZE}, {5, 0}, {6, 0},
                                              {7, 4096}, {8, 0}};
  for (const auto& [index, size] : sizes) {
    RegionInfoBody asked{};
    asked.argsz = 4096;
    asked.index = index;
    ASSERT_EQ(client->call_body(kDeviceGetRegionInfo, asked), 0);
    EXPECT_EQ(client->body<RegionInfoBody>().size, size) << index;
    EXPECT_EQ(client->body<RegionInfoBody>().flags, size == 0 ? 0u : 3u);
  }
  RegionInfoBody bad{};
  bad.argsz = 31;
  EXPECT_EQ(client->call_body(kDeviceGetRegionInfo, bad), EINVAL);
  bad.argsz = 32;
  bad.index = 9;
  EXPECT_EQ(client->call_body(kDeviceGetRegionInfo, bad), EINVAL);
  EXPECT_EQ(client->call(kDeviceGetRegionInfo, Bytes(31)), EINVAL);
}

TEST_F(VfioUserServerTest, WindowsAreHandedOutAsShadowIoeventfds) {
  ASSERT_TRUE(served.pages->vi_started(3).ok());
  ASSERT_TRUE(served.pages->vi_started(1).ok());
  ASSERT_EQ(client->call_body(kDeviceGetRegionIoFds, RegionIoFdsBody{16, 0, PST_BAR_VI, 0}), 0);
  auto body = client->body<RegionIoFdsBody>();
  EXPECT_EQ(body.argsz, 16u + 2 * 48u);
  EXPECT_EQ(client->reply.payload.size(), 16u) << "too little room: nothing is handed out";
  EXPECT_TRUE(client->reply.fds.empty());
  ASSERT_EQ(client->call_body(kDeviceGetRegionIoFds, RegionIoFdsBody{body.argsz, 0, PST_BAR_VI, 0}), 0);
  body = client->body<RegionIoFdsBody>();
  ASSERT_EQ(body.count, 2u);
  ASSERT_EQ(client->reply.payload.size(), body.argsz);
  ASSERT_EQ(client->reply.fds.size(), 4u);
  SubRegionShadow first;
  ASSERT_TRUE(decode(client->reply.payload.data() + 16, 48, first));
  EXPECT_EQ(first.offset, 3 * PST_VI_WINDOW_STRIDE);
  EXPECT_EQ(first.size, PST_VI_WINDOW_STRIDE);
  EXPECT_EQ(first.type, kIoFdShadow);
  ASSERT_EQ(client->call_body(kDeviceGetRegionIoFds, RegionIoFdsBody{4096, 0, PST_BAR_VI, 0}), 0);
  EXPECT_EQ(client->body<RegionIoFdsBody>().count, 0u) << "each window once";
}

TEST_F(VfioUserServerTest, WindowRequestRespectsTheClientsDescriptorLimitAndRefusesNonsense) {
  client->close();
  RawClient narrow(served);
  ASSERT_EQ(narrow.negotiate("{\"capabilities\":{\"max_msg_fds\":5}}"), 0);
  for (uint32_t vi_id = 0; vi_id < 3; ++vi_id) ASSERT_TRUE(served.pages->vi_started(vi_id).ok());
  ASSERT_EQ(narrow.call_body(kDeviceGetRegionIoFds, RegionIoFdsBody{4096, 0, PST_BAR_VI, 0}), 0);
  EXPECT_EQ(narrow.body<RegionIoFdsBody>().count, 2u);
  ASSERT_EQ(narrow.call_body(kDeviceGetRegionIoFds, RegionIoFdsBody{4096, 0, PST_BAR_VI, 0}), 0);
  EXPECT_EQ(narrow.body<RegionIoFdsBody>().count, 1u);
  EXPECT_EQ(narrow.call_body(kDeviceGetRegionIoFds, RegionIoFdsBody{4096, 0, PST_BAR_FUNCTION, 0}), 0);
  EXPECT_EQ(narrow.call_body(kDeviceGetRegionIoFds, RegionIoFdsBody{4096, 1, PST_BAR_VI, 0}), EINVAL);
  EXPECT_EQ(narrow.call_body(kDeviceGetRegionIoFds, RegionIoFdsBody{4096, 0, PST_BAR_VI, 1}), EINVAL);
  EXPECT_EQ(narrow.call_body(kDeviceGetRegionIoFds, RegionIoFdsBody{15, 0, PST_BAR_VI, 0}), EINVAL);
  EXPECT_EQ(narrow.call_body(kDeviceGetRegionIoFds, RegionIoFdsBody{4096, 0, 99, 0}), EINVAL);
}

TEST_F(VfioUserServerTest, IrqInfoOffersMsixAlone) {
  for (uint32_t index = 0; index < VFIO_PCI_NUM_IRQS; ++index) {
    ASSERT_EQ(client->call_body(kDeviceGetIrqInfo, IrqInfoBody{16, 0, index, 0}), 0);
    EXPECT_EQ(client->body<IrqInfoBody>().count, index == VFIO_PCI_MSIX_IRQ_INDEX ? PST_LIMIT_MSIX_VECTOR_COUNT : 0u);
  }
  EXPECT_EQ(client->call_body(kDeviceGetIrqInfo, IrqInfoBody{16, 0, VFIO_PCI_NUM_IRQS, 0}), EINVAL);
  EXPECT_EQ(client->call_body(kDeviceGetIrqInfo, IrqInfoBody{12, 0, 2, 0}), EINVAL);
}

// --- interrupts --------------------------------------------------------------------------------------------------

TEST_F(VfioUserServerTest, EventfdsAreConnectedTriggeredMaskedAndTakenAway) {
  UniqueFd a(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  UniqueFd b(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  ASSERT_EQ(client->call_body(kDeviceSetIrqs, irq(kEvent | kTrigger, 5, 2), {a.get(), b.get()}), 0);
  EXPECT_TRUE(served.device.connected_vectors[5] && served.device.connected_vectors[6]);
  served.server->raise_msix(5);
  EXPECT_EQ(take(a.get()), 1u);
  EXPECT_EQ(take(b.get()), 0u);

  ASSERT_EQ(client->call_body(kDeviceSetIrqs, irq(kNone | kMask, 5, 1)), 0);
  served.server->raise_msix(5);
  served.server->raise_msix(5);
  EXPECT_EQ(take(a.get()), 0u);
  ASSERT_EQ(client->call_body(kDeviceSetIrqs, irq(kNone | kUnmask, 5, 1)), 0);
  EXPECT_EQ(take(a.get()), 1u) << "what came while masked is one message";

  Bytes payload;
  encode(payload, irq(kBool | kTrigger, 5, 2));
  payload.push_back(0);
  payload.push_back(1);
  ASSERT_EQ(client->call(kDeviceSetIrqs, payload), 0);
  EXPECT_EQ(take(a.get()), 0u);
  EXPECT_EQ(take(b.get()), 1u);

  ASSERT_EQ(client->call_body(kDeviceSetIrqs, irq(kEvent | kTrigger, 5, 1)), 0);
  served.server->raise_msix(5);
  EXPECT_EQ(take(a.get()), 0u);
  EXPECT_FALSE(served.device.connected_vectors[5]);
  ASSERT_EQ(client->call_body(kDeviceSetIrqs, irq(kNone | kTrigger, 0, 0)), 0);
  served.server->raise_msix(6);
  EXPECT_EQ(take(b.get()), 0u);
}

TEST_F(VfioUserServerTest, NonsenseInSetIrqsIsRefused) {
  UniqueFd event(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  const std::vector<IrqSetBody> bad = {
      irq(kEvent, 0, 1),                      // no action
      irq(kTrigger, 0, 1),                    // no data type
      irq(kEvent | kNone | kTrigger, 0, 1),   // two data types
      irq(kNone | kTrigger | kMask, 0, 1),    // two actions
      irq(kNone | kTrigger | 1u << 9, 0, 1),  // unknown flag
      irq(kNone | kTrigger, 1024, 1),         // beyond the table
      irq(kNone | kTrigger, 1, 1024),
      irq(kNone | kTrigger, 0xffffffff, 2),  // wraps
      irq(kNone | kTrigger, 0, 0xffffffff),
      irq(kNone | kMask, 0, 0),  // count 0 is for disabling only
      irq(kNone | kTrigger, 1, 0),
      irq(kBool | kTrigger, 0, 4),  // data missing
      {sizeof(IrqSetBody), kNone | kTrigger, VFIO_PCI_NUM_IRQS, 0, 0},
      {sizeof(IrqSetBody), kNone | kTrigger, VFIO_PCI_INTX_IRQ_INDEX, 0, 1},
      {19, kNone | kTrigger, VFIO_PCI_MSIX_IRQ_INDEX, 0, 1},
  };
  for (const IrqSetBody& body : bad) EXPECT_EQ(client->call_body(kDeviceSetIrqs, body), EINVAL) << body.flags;
  EXPECT_EQ(client->call_body(kDeviceSetIrqs, irq(kEvent | kTrigger, 0, 2), {event.get()}), EINVAL) << "one for two";
  EXPECT_EQ(client->call_body(kDeviceSetIrqs, irq(kNone | kTrigger, 0, 1), {event.get()}), EINVAL) << "not wanted";
  EXPECT_EQ(client->call_body(kDeviceSetIrqs, irq(kEvent | kMask, 0, 1), {event.get()}), EINVAL) << "INTx only";
  UniqueFd memory = make_memory(4096);
  EXPECT_EQ(client->call_body(kDeviceSetIrqs, irq(kEvent | kTrigger, 0, 1), {memory.get()}), EINVAL) << "no eventfd";
  EXPECT_EQ(client->call(kDeviceSetIrqs, Bytes(19)), EINVAL);
  EXPECT_TRUE(served.device.connected_vectors.empty());
}

// --- accesses ----------------------------------------------------------------------------------------------------

TEST_F(VfioUserServerTest, RegistersAreReadAndWritten) {
  ASSERT_EQ(client->call(kRegionWrite, access(0, 0x40, 8, {1, 2, 3, 4, 5, 6, 7, 8})), 0);
  EXPECT_EQ(client->body<RegionAccessBody>().count, 8u);
  EXPECT_EQ(client->reply.payload.size(), 16u);
  EXPECT_EQ(served.device.last_write_width_bytes, 8u);
  ASSERT_EQ(client->call(kRegionRead, access(0, 0x40, 8)), 0);
  EXPECT_EQ(Bytes(client->reply.payload.begin() + 16, client->reply.payload.end()), (Bytes{1, 2, 3, 4, 5, 6, 7, 8}));
  ASSERT_EQ(client->call(kRegionRead, access(0, 0x40, 4)), 0);
  EXPECT_EQ(client->reply.payload.size(), 20u);
}

TEST_F(VfioUserServerTest, WholeConfigurationSpaceIsReadInOneMessage) {
  ASSERT_EQ(client->call(kRegionRead, access(VFIO_PCI_CONFIG_REGION_INDEX, 0, 4096)), 0);
  ASSERT_EQ(client->reply.payload.size(), 16u + 4096u);
  EXPECT_EQ(client->reply.payload[16] | client->reply.payload[17] << 8, static_cast<int>(PST_PCI_VENDOR_ID));
  ASSERT_EQ(client->call(kRegionRead, access(VFIO_PCI_CONFIG_REGION_INDEX, 1, 6)), 0) << "odd ranges too";
  EXPECT_EQ(client->reply.payload[16], PST_PCI_VENDOR_ID >> 8);
  ASSERT_EQ(client->call(kRegionWrite, access(VFIO_PCI_CONFIG_REGION_INDEX, 4, 2, {6, 0})), 0);
  EXPECT_TRUE(served.device.config.memory_enabled());
}

TEST_F(VfioUserServerTest, BadAccessesAreRefusedAndDoNotReachTheDevice) {
  for (const auto command : {kRegionRead, kRegionWrite}) {
    for (const auto& [region, offset, count] :
         std::vector<std::tuple<uint32_t, uint64_t, uint32_t>>{{0, 0, 0},
                                                               {0, 0, 1},
                                                               {0, 0, 2},
                                                               {0, 0, 3},
                                                               {0, 2, 4},
                                                               {0, 4, 8},
                                                               {0, 0, 16},
                                                               {0, PST_BAR_FUNCTION_SIZE, 4},
                                                               {0, PST_BAR_FUNCTION_SIZE - 4, 8},
                                                               {0, ~uint64_t{3}, 4},
                                                               {1, 0, 4},
                                                               {6, 0, 4},
                                                               {9, 0, 4},
                                                               {0xffffffff, 0, 4},
                                                               {7, 4096, 1},
                                                               {7, 4095, 2},
                                                               {7, 0, 4097}}) {
      const Bytes data(command == kRegionWrite ? count : 0);
      EXPECT_EQ(client->call(command, access(region, offset, count, data)), EINVAL)
          << region << " " << offset << " " << count;
    }
  }
  EXPECT_EQ(client->call(kRegionRead, access(7, 0, 0xffffffff)), EINVAL);
  EXPECT_EQ(client->call(kRegionWrite, access(0, 0, 8, {1, 2, 3, 4})), EINVAL) << "less data than count";
  EXPECT_EQ(client->call(kRegionWrite, access(0, 0, 4, {1, 2, 3, 4, 5})), EINVAL) << "more data than count";
  EXPECT_EQ(client->call(kRegionWrite, Bytes(15)), EINVAL);
  EXPECT_EQ(served.device.bar_reads, 0);
  EXPECT_TRUE(served.device.registers.empty());
}

TEST_F(VfioUserServerTest, ClockPageIsReadOnlyAlsoByMessage) {
  served.pages->set_time_ns(5);
  ASSERT_EQ(client->call(kRegionWrite, access(0, PST_CLOCK_PAGE_OFFSET, 8, Bytes(8, 0xff))), 0);
  ASSERT_EQ(client->call(kRegionRead, access(0, PST_CLOCK_PAGE_OFFSET, 8)), 0);
  EXPECT_EQ(client->reply.payload[16], 5);
  EXPECT_TRUE(served.device.registers.empty());
}

TEST_F(VfioUserServerTest, DoorbellByMessageReachesTheDevice) {
  ASSERT_EQ(client->call(kRegionWrite, access(2, 3 * PST_VI_WINDOW_STRIDE + 8, 4, {9, 0, 0, 0})), 0);
  EXPECT_EQ((served.device.registers[{2u, 3 * PST_VI_WINDOW_STRIDE + 8u}]), 9u);
}

TEST_F(VfioUserServerTest, NoReplyFlagSuppressesRepliesAndKeepsTheOrder) {
  for (uint8_t i = 1; i <= 10; ++i)
    client->send(RawClient::frame(kRegionWrite, access(0, 0x50, 4, {i, 0, 0, 0}), kFlagNoReply));
  client->send(RawClient::frame(kRegionWrite, access(0, 1, 4, {0, 0, 0, 0}), kFlagNoReply));  // an error, silently
  ASSERT_EQ(client->call(kRegionRead, access(0, 0x50, 4)), 0);
  EXPECT_EQ(client->reply.payload[16], 10);
}

TEST_F(VfioUserServerTest, LaterCommandsWaitForAReadThatTakesDeviceTime) {
  served.device.defer = true;
  client->send(RawClient::frame(kRegionRead, access(0, 0x50, 4), 0, 1));
  client->send(RawClient::frame(kRegionWrite, access(0, 0x50, 4, {1, 0, 0, 0}), 0, 2));
  served.server->service();
  EXPECT_TRUE(served.device.registers.empty());
  Message reply;
  EXPECT_FALSE(client->receive(reply));
  std::vector<pollfd> fds;
  served.server->append_poll_fds(fds);
  ASSERT_EQ(fds.size(), 2u);
  EXPECT_EQ(fds[1].events & POLLIN, 0) << "the loop must not spin on input that has to wait";
  served.device.complete_deferred();
  served.server->service();
  ASSERT_TRUE(client->receive(reply));
  EXPECT_EQ(reply.header.message_id, 1);
  ASSERT_TRUE(client->receive(reply));
  EXPECT_EQ(reply.header.message_id, 2);
}

TEST_F(VfioUserServerTest, ResetReachesTheDeviceAndTakesNoPayload) {
  ASSERT_EQ(client->call(kDeviceReset, {}), 0);
  EXPECT_EQ(served.device.resets, 1);
  EXPECT_EQ(client->call(kDeviceReset, Bytes(1)), EINVAL);
}

// --- DMA ---------------------------------------------------------------------------------------------------------

TEST_F(VfioUserServerTest, DmaMapMakesMemoryReachableAndUnmapEndsIt) {
  UniqueFd memory = make_memory(8192);
  ASSERT_EQ(client->call_body(kDmaMap, DmaMapBody{32, 3, 4096, 0x10000, 4096}, {memory.get()}), 0);
  const uint32_t value = 0x12345678;
  EXPECT_TRUE(served.memory.write(0x10010, &value, sizeof(value)));
  uint32_t in_file = 0;
  ASSERT_EQ(pread(memory.get(), &in_file, sizeof(in_file), 4096 + 0x10), 4);
  EXPECT_EQ(in_file, value);
  EXPECT_EQ(client->call_body(kDmaUnmap, DmaUnmapBody{24, 0, 0x10000, 8192}), ENOENT);
  ASSERT_EQ(client->call_body(kDmaUnmap, DmaUnmapBody{24, 0, 0x10000, 4096}), 0);
  EXPECT_EQ(client->body<DmaUnmapBody>().address, 0x10000u) << "the entry comes back";
  EXPECT_FALSE(served.memory.write(0x10010, &value, sizeof(value)));
}

TEST_F(VfioUserServerTest, OverlappingDmaMapIsEexist) {
  UniqueFd memory = make_memory(65536);
  ASSERT_EQ(client->call_body(kDmaMap, DmaMapBody{32, 3, 0, 0x10000, 0x4000}, {memory.get()}), 0);
  for (const auto& [address, size] : std::vector<std::pair<uint64_t, uint64_t>>{
           {0x10000, 0x4000}, {0x13000, 0x1000}, {0xf000, 0x2000}, {0xf000, 0x8000}, {0x11000, 0x1000}}) {
    EXPECT_EQ(client->call_body(kDmaMap, DmaMapBody{32, 3, 0, address, size}, {memory.get()}), EEXIST) << address;
  }
  EXPECT_EQ(client->call_body(kDmaMap, DmaMapBody{32, 3, 0, 0x14000, 0x1000}, {memory.get()}), 0) << "next to it";
}

TEST_F(VfioUserServerTest, AccessAcrossAdjacentMappingsWorksAndAcrossAGapDoesNot) {
  UniqueFd memory = make_memory(16384);
  ASSERT_EQ(client->call_body(kDmaMap, DmaMapBody{32, 3, 4096, 0x1000, 0x1000}, {memory.get()}), 0);
  ASSERT_EQ(client->call_body(kDmaMap, DmaMapBody{32, 3, 0, 0x2000, 0x1000}, {memory.get()}), 0);
  const Bytes pattern(100, 7);
  Bytes back(100);
  EXPECT_TRUE(served.memory.write(0x2000 - 50, pattern.data(), 100));
  EXPECT_TRUE(served.memory.read(0x2000 - 50, back.data(), 100));
  EXPECT_EQ(back, pattern);
  EXPECT_FALSE(served.memory.write(0x3000 - 50, pattern.data(), 100));
  EXPECT_FALSE(served.memory.read(0x1000 - 1, back.data(), 2));
  EXPECT_FALSE(served.memory.read(~uint64_t{0}, back.data(), 2));
}

TEST_F(VfioUserServerTest, DmaPermissionsHold) {
  UniqueFd memory = make_memory(8192);
  ASSERT_EQ(client->call_body(kDmaMap, DmaMapBody{32, kDmaReadable, 0, 0x10000, 4096}, {memory.get()}), 0);
  ASSERT_EQ(client->call_body(kDmaMap, DmaMapBody{32, kDmaWritable, 4096, 0x20000, 4096}, {memory.get()}), 0);
  uint32_t value = 0;
  EXPECT_TRUE(served.memory.read(0x10000, &value, 4));
  EXPECT_FALSE(served.memory.write(0x10000, &value, 4));
  EXPECT_FALSE(served.memory.read(0x20000, &value, 4));
  EXPECT_TRUE(served.memory.write(0x20000, &value, 4));
}

TEST_F(VfioUserServerTest, BadDmaMapsAreRefused) {
  UniqueFd memory = make_memory(8192);
  const std::vector<DmaMapBody> bad = {
      {31, 3, 0, 0x10000, 4096},      // argsz
      {32, 0, 0, 0x10000, 4096},      // no access
      {32, 3 | 8, 0, 0x10000, 4096},  // unknown flag
      {32, 3, 0, 0x10001, 4096},      // misaligned address
      {32, 3, 0, 0x10000, 0},         // empty
      {32, 3, 0, 0x10000, 100},       // part of a page
      {32, 3, 100, 0x10000, 4096},    // misaligned offset
      {32, 3, 8192, 0x10000, 4096},   // beyond the file
      {32, 3, 4096, 0x10000, 8192},
      {32, 3, ~uint64_t{4095}, 0x10000, 8192},  // offset wraps
      {32, 3, 0, ~uint64_t{4095}, 8192},        // address wraps
      {32, 3, 0, 0, ~uint64_t{4095}},           // gigantic
  };
  for (const DmaMapBody& body : bad) EXPECT_EQ(client->call_body(kDmaMap, body, {memory.get()}), EINVAL) << body.size;
  EXPECT_EQ(client->call_body(kDmaMap, DmaMapBody{32, 3, 0, 0x10000, 4096}, {memory.get(), memory.get()}), EINVAL);
  EXPECT_EQ(client->call(kDmaMap, Bytes(31)), EINVAL);
  EXPECT_EQ(served.memory.count(), 0u);
}

// A client that cuts its file after the mapping would kill the simulator by SIGBUS at the next DMA.
TEST_F(VfioUserServerTest, MemoryThatItsOwnerCouldShrinkIsRefused) {
  UniqueFd unsealed = make_memory(4096, 0);
  EXPECT_EQ(client->call_body(kDmaMap, DmaMapBody{32, 3, 0, 0x10000, 4096}, {unsealed.get()}), EINVAL);
  EXPECT_NE(served.log.back().find("F_SEAL_SHRINK"), std::string::npos);
  char path[] = "/tmp/postern-test-file-XXXXXX";
  UniqueFd file(mkostemp(path, O_CLOEXEC));
  unlink(path);
  ASSERT_EQ(ftruncate(file.get(), 4096), 0);
  EXPECT_EQ(client->call_body(kDmaMap, DmaMapBody{32, 3, 0, 0x10000, 4096}, {file.get()}), EINVAL);
  UniqueFd read_only = make_memory(4096, F_SEAL_SHRINK | F_SEAL_WRITE);
  EXPECT_EQ(client->call_body(kDmaMap, DmaMapBody{32, 3, 0, 0x10000, 4096}, {read_only.get()}), EINVAL);
  UniqueFd sealed = make_memory(4096);
  ASSERT_EQ(client->call_body(kDmaMap, DmaMapBody{32, 3, 0, 0x10000, 4096}, {sealed.get()}), 0);
  EXPECT_NE(ftruncate(sealed.get(), 0), 0);
  uint32_t value = 1;
  EXPECT_TRUE(served.memory.write(0x10000, &value, 4));
}

TEST_F(VfioUserServerTest, DmaMapWithoutADescriptorIsKnownButNotReachable) {
  ASSERT_EQ(client->call_body(kDmaMap, DmaMapBody{32, 3, 0, 0x10000, 4096}), 0);
  EXPECT_EQ(client->call_body(kDmaMap, DmaMapBody{32, 3, 0, 0x10000, 4096}), EEXIST);
  uint32_t value = 0;
  EXPECT_FALSE(served.memory.read(0x10000, &value, 4));
  EXPECT_EQ(client->call_body(kDmaUnmap, DmaUnmapBody{24, 0, 0x10000, 4096}), 0);
}

TEST_F(VfioUserServerTest, DmaMapsAreLimitedInNumber) {
  UniqueFd memory = make_memory(4096);
  for (size_t i = 0; i < HostDmaRegions::kMaxRegions; ++i) {
    ASSERT_EQ(client->call_body(kDmaMap, DmaMapBody{32, 3, 0, 0x10000 + i * 8192, 4096}, {memory.get()}), 0);
  }
  EXPECT_EQ(client->call_body(kDmaMap, DmaMapBody{32, 3, 0, 0x1000, 4096}, {memory.get()}), ENOSPC);
  EXPECT_EQ(client->call_body(kDmaUnmap, DmaUnmapBody{24, kDmaUnmapAll, 0, 0}), 0);
  EXPECT_EQ(served.memory.count(), 0u);
  EXPECT_EQ(client->call_body(kDmaUnmap, DmaUnmapBody{24, 1, 0, 0}), EINVAL) << "dirty bitmaps are not supported";
  EXPECT_EQ(client->call_body(kDmaUnmap, DmaUnmapBody{24, kDmaUnmapAll, 4096, 4096}), EINVAL);
  EXPECT_EQ(client->call(kDmaUnmap, Bytes(23)), EINVAL);
}

TEST_F(VfioUserServerTest, EventsAreWrittenLastWordLast) {
  UniqueFd memory = make_memory(4096);
  ASSERT_EQ(client->call_body(kDmaMap, DmaMapBody{32, 3, 0, 0, 4096}, {memory.get()}), 0);
  auto* words = static_cast<uint64_t*>(mmap(nullptr, 4096, PROT_READ, MAP_SHARED, memory.get(), 0));
  ASSERT_NE(words, MAP_FAILED);
  std::atomic<bool> done{false};
  std::atomic<int> torn{0};
  std::thread reader([&] {
    while (!done) {
      const uint64_t last = __atomic_load_n(&words[1], __ATOMIC_ACQUIRE);
      if (__atomic_load_n(&words[0], __ATOMIC_RELAXED) < last) ++torn;
    }
  });
  for (uint64_t i = 1; i < 200000; ++i) {
    const uint64_t event[2] = {i, i};
    ASSERT_TRUE(served.memory.write(0, event, sizeof(event)));
  }
  done = true;
  reader.join();
  EXPECT_EQ(torn, 0);
  munmap(words, 4096);
}

TEST(VfioUserListenTest, StaleSocketIsReplacedAndABusyOneIsNot) {
  auto first = std::make_unique<ServedDevice>("listen");
  FakeDevice device;
  HostDmaRegions memory;
  auto pages = std::move(DoorbellPages::create(device)).value();
  const auto listen = [&] {
    return VfioUserServer::listen(first->socket_path, device, *pages, memory, [](const std::string&) {});
  };
  auto second = listen();
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, EADDRINUSE);

  const std::string path = "/tmp/postern-test-stale-" + std::to_string(getpid());
  {
    UniqueFd stale(socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    ASSERT_EQ(bind(stale.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  auto third = VfioUserServer::listen(path, device, *pages, memory, [](const std::string&) {});
  ASSERT_TRUE(third.ok()) << third.error().message;
  struct stat status {};
  ASSERT_EQ(stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  third.value().reset();
  EXPECT_NE(stat(path.c_str(), &status), 0) << "removed at the end";
  EXPECT_EQ(VfioUserServer::listen("/tmp/" + std::string(200, 'x'), device, *pages, memory, [](const std::string&) {})
                .error()
                .code,
            ENAMETOOLONG);
}

}  // namespace
}  // namespace postern::sim
