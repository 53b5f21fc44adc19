// The vfio-user server against clients that break the protocol in every way: it answers or hangs up, leaks nothing,
// never waits, and serves the next client.
#include <gtest/gtest.h>

#include <chrono>
#include <random>

#include "tests/sim/slow_message.h"
#include "tests/sim/vfio_user_raw_client.h"

namespace postern::sim {
namespace {

using VfioUserHostileClientTest = VfioUserServerTest;

TEST_F(VfioUserHostileClientTest, UnknownCommandsFlagsAndTypesGetAnError) {
  for (uint16_t command : {0, 11, 12, 14, 19, 1000, 65535}) EXPECT_EQ(client->call(command, {}), EINVAL) << command;
  for (uint16_t command : {15, 16, 17, 18}) EXPECT_EQ(client->call(command, Bytes(64)), ENOTSUP) << command;
  for (uint32_t flags : {1u, 2u, 15u, 1u << 6, 1u << 31}) {
    client->send(RawClient::frame(kDeviceGetInfo, Bytes(16), flags));
    served.server->service();
    Message reply;
    ASSERT_TRUE(client->receive(reply)) << flags;
    EXPECT_EQ(reply.header.error, static_cast<uint32_t>(EINVAL));
  }
  EXPECT_EQ(client->call_body(kDeviceGetInfo, DeviceInfoBody{16, 0, 0, 0}), 0) << "the connection goes on";
}

TEST_F(VfioUserHostileClientTest, DescriptorsWhereNoneBelongAreRefusedAndClosed) {
  UniqueFd event(eventfd(0, EFD_CLOEXEC));
  const int before = open_descriptors();
  EXPECT_EQ(client->call_body(kDeviceGetInfo, DeviceInfoBody{16, 0, 0, 0}, {event.get()}), EINVAL);
  EXPECT_EQ(client->call_body(kDmaMap, DmaMapBody{32, 3, 0, 0, 4096}, std::vector<int>(200, event.get())), EINVAL);
  client->reply = Message();
  // The client's own duplicate for receiving is there from the first call on.
  EXPECT_TRUE(soon_fewer_descriptors_than(before + 1));
}

TEST_F(VfioUserHostileClientTest, ImpossibleSizesGetAnErrorAndEndTheConnection) {
  for (uint32_t size : {0u, 1u, 15u, 8193u, 0x7fffffffu, 0xffffffffu}) {
    RawClient* used = client.get();
    std::unique_ptr<RawClient> fresh;
    if (!served.server->client_attached()) {
      fresh = std::make_unique<RawClient>(served);
      ASSERT_EQ(fresh->negotiate(), 0);
      used = fresh.get();
    }
    Bytes bytes;
    encode(bytes, Header{9, kDeviceGetInfo, size, 0, 0});
    used->send(bytes);
    served.server->service();
    Message reply;
    ASSERT_TRUE(used->receive(reply)) << size;
    EXPECT_EQ(reply.header.error, static_cast<uint32_t>(EINVAL));
    EXPECT_TRUE(used->hung_up());
  }
  expect_alive();
}

TEST_F(VfioUserHostileClientTest, HalfAMessageKeepsNobodyWaiting) {
  const Bytes bytes = RawClient::frame(kDeviceGetInfo, Bytes{16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  for (size_t cut : {size_t{1}, size_t{15}, size_t{16}, size_t{17}, bytes.size() - 1}) {
    client->send(Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(cut)));
    served.server->service();
    served.server->raise_msix(0);
    Message reply;
    EXPECT_FALSE(client->receive(reply));
    client->send(Bytes(bytes.begin() + static_cast<std::ptrdiff_t>(cut), bytes.end()));
    served.server->service();
    EXPECT_TRUE(client->receive(reply)) << cut;
  }
  client->send({1, 2, 3});
  client->close();
  EXPECT_FALSE(served.server->client_attached());
  expect_alive();
}

TEST_F(VfioUserHostileClientTest, ClientThatDoesNotReadItsRepliesIsHeldBackNotBuffered) {
  for (int i = 0; i < 20000; ++i) {
    client->send(RawClient::frame(kRegionRead, access(VFIO_PCI_CONFIG_REGION_INDEX, 0, 4096)));
    served.server->service();
  }
  EXPECT_LT(served.server->statistics().messages_count, 5000u) << "input waits until output is taken";
  std::vector<pollfd> fds;
  served.server->append_poll_fds(fds);
  EXPECT_NE(fds.back().events & POLLOUT, 0);
  client->close();
  expect_alive();
}

TEST_F(VfioUserHostileClientTest, DisconnectWhileAReadIsExecutedIsSafe) {
  served.device.defer = true;
  client->send(RawClient::frame(kRegionRead, access(0, 0, 4)));
  served.server->service();
  client->close();
  EXPECT_FALSE(served.server->client_attached());
  served.device.complete_deferred();  // the late answer, and the reset
  served.device.defer = false;
  expect_alive();
}

TEST_F(VfioUserHostileClientTest, DisconnectTakesAwayMemoryInterruptsAndRegion) {
  const int before = open_descriptors();
  UniqueFd memory = make_memory(4096);
  UniqueFd event(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  ASSERT_EQ(client->call_body(kDmaMap, DmaMapBody{32, 3, 0, 0x10000, 4096}, {memory.get()}), 0);
  ASSERT_EQ(client->call_body(kDeviceSetIrqs, irq(kEvent | kTrigger, 5, 1), {event.get()}), 0);
  RegionInfoBody asked{};
  asked.argsz = 4096;
  asked.index = PST_BAR_VI;
  ASSERT_EQ(client->call_body(kDeviceGetRegionInfo, asked), 0);
  client->reply = Message();
  client->close();
  EXPECT_EQ(served.memory.count(), 0u);
  EXPECT_EQ(served.device.detached, 1);
  served.server->raise_msix(5);
  EXPECT_EQ(take(event.get()), 0u);
  memory.reset();
  event.reset();
  EXPECT_TRUE(soon_fewer_descriptors_than(before));
}

TEST_F(VfioUserHostileClientTest, ManyClientsComeAndGoWithoutLeakingDescriptors) {
  client->close();
  int before = 0;
  for (int i = 0; i < 300; ++i) {
    if (i == 10) {
      poll(nullptr, 0, 50);  // what the first ones left is closed
      before = open_descriptors();
    }
    UniqueFd memory = make_memory(4096);
    RawClient guest(served);
    ASSERT_EQ(guest.negotiate(), 0);
    ASSERT_EQ(guest.call_body(kDmaMap, DmaMapBody{32, 3, 0, 0, 4096}, {memory.get()}), 0);
    ASSERT_TRUE(served.pages->vi_started(static_cast<uint32_t>(i)).ok());
    if (i % 2 == 0) {
      ASSERT_EQ(guest.call_body(kDeviceGetRegionIoFds, RegionIoFdsBody{4096, 0, PST_BAR_VI, 0}), 0);
    }
    guest.reply = Message();
    guest.close();
  }
  EXPECT_TRUE(soon_fewer_descriptors_than(before + 1));
}

// Connects, sends a message with this process's last copy of the descriptor, and leaves the connection open.
UniqueFd connect_and_send(const std::string& path, int socket_type, testing::SlowDescriptor& slow) {
  UniqueFd fd(socket(AF_UNIX, socket_type | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  testing::send_last_copy(fd.get(), slow);
  return fd;
}

TEST_F(VfioUserHostileClientTest, SecondClientWithADescriptorThatTakesLongToCloseDelaysNobody) {
  testing::SlowDescriptor slow;
  ASSERT_TRUE(slow.valid());
  const UniqueFd second = connect_and_send(served.socket_path, SOCK_STREAM, slow);
  const auto begin = std::chrono::steady_clock::now();
  served.server->service();
  EXPECT_EQ(client->call_body(kDeviceGetInfo, DeviceInfoBody{16, 0, 0, 0}), 0);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1));
  EXPECT_EQ(served.server->statistics().refused_clients_count, 1u);
  slow.let_go();
}

TEST_F(VfioUserHostileClientTest, ClientThatNeverNegotiatesLosesItsPlace) {
  client->close();
  RawClient silent(served);
  const auto now = VfioUserServer::Clock::now();
  served.server->drop_silent_client(now + std::chrono::seconds(1));
  EXPECT_TRUE(served.server->client_attached());
  served.server->drop_silent_client(now + std::chrono::seconds(3));
  EXPECT_FALSE(served.server->client_attached());
  RawClient next(served);
  ASSERT_EQ(next.negotiate(), 0);
  served.server->drop_silent_client(now + std::chrono::seconds(60));
  EXPECT_TRUE(served.server->client_attached());
}

TEST_F(VfioUserHostileClientTest, LinesThatAClientCausesAreLimited) {
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 500; ++i) RawClient refused(served);
  client->close();
  for (int i = 0; i < 500; ++i) RawClient(served).close();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - begin);
  EXPECT_LE(served.log.size(), VfioUserServer::kLogLinesPerSecond * (static_cast<size_t>(seconds.count()) + 2));
  EXPECT_EQ(served.server->statistics().refused_clients_count, 500u);
}

TEST_F(VfioUserHostileClientTest, MappedMemoryIsLimitedInSize) {
  constexpr uint64_t kPage = HostDmaRegions::kPageBytes;
  HostDmaRegions regions(3 * kPage);
  const UniqueFd memory = make_memory(4 * kPage);
  EXPECT_EQ(regions.map({0, 4 * kPage, 0, true, true}, memory), ENOSPC);
  EXPECT_EQ(regions.map({0, 2 * kPage, 0, true, true}, memory), 0);
  EXPECT_EQ(regions.map({2 * kPage, 2 * kPage, 0, true, true}, memory), ENOSPC);
  EXPECT_EQ(regions.map({2 * kPage, 2 * kPage, 0, true, true}, UniqueFd()), 0) << "not mapped here: costs nothing";
  EXPECT_EQ(regions.map({4 * kPage, kPage, 0, true, true}, memory), 0);
  EXPECT_EQ(regions.unmap(0, 2 * kPage), 0);
  EXPECT_EQ(regions.map({0, 2 * kPage, 0, true, true}, memory), 0) << "what is unmapped counts no longer";
  regions.unmap_all();
  EXPECT_EQ(regions.map({0, 3 * kPage, 0, true, true}, memory), 0);
}

// Seeded noise: valid messages with bytes changed, cut or repeated, and descriptors attached at random. The server must
// answer or hang up, leak nothing, and serve the next client.
TEST_F(VfioUserHostileClientTest, SeededNoiseNeverTakesTheServerDown) {
  client->close();
  std::mt19937 random(20261123);
  const auto below = [&](uint32_t limit) { return static_cast<uint32_t>(random() % limit); };
  UniqueFd event(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  UniqueFd memory = make_memory(8192);
  UniqueFd unsealed = make_memory(8192, 0);
  const int fds[] = {event.get(), memory.get(), unsealed.get()};
  const int before = open_descriptors();
  for (int round = 0; round < 400; ++round) {
    RawClient noisy(served);
    if (below(8) != 0) noisy.negotiate();
    for (uint32_t i = below(40); i > 0; --i) {
      Bytes payload(below(4) == 0 ? below(200) : (16u + 8u * below(4)));
      for (uint8_t& byte : payload) byte = static_cast<uint8_t>(below(3) == 0 ? random() : below(3));
      if (payload.size() >= 4) payload[0] = 32, payload[1] = payload[2] = payload[3] = 0;
      Bytes bytes = RawClient::frame(static_cast<uint16_t>(below(20)), payload, below(6) == 0 ? 1u << below(8) : 0);
      if (below(6) == 0) bytes[below(static_cast<uint32_t>(bytes.size()))] = static_cast<uint8_t>(random());
      if (below(20) == 0) bytes.resize(1 + below(static_cast<uint32_t>(bytes.size())));
      std::vector<int> attached;
      for (uint32_t n = below(3) == 0 ? below(4) : 0; n > 0; --n) attached.push_back(fds[below(3)]);
      noisy.send(bytes, attached);
      served.server->service();
      if (below(3) == 0) served.server->raise_msix(below(1100));
      if (below(10) == 0) served.pages->poll();
      if (below(25) == 0) [[maybe_unused]]
        const Status started = served.pages->vi_started(below(8));
      Message reply;
      while (noisy.receive(reply)) {
      }
      uint64_t word = 0;
      [[maybe_unused]] const bool reached = served.memory.write(below(16384), &word, 8);
    }
    noisy.close();
    ASSERT_FALSE(served.server->client_attached());
  }
  EXPECT_TRUE(soon_fewer_descriptors_than(before + 1));
  expect_alive();
}

}  // namespace
}  // namespace postern::sim
