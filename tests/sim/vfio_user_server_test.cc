// The vfio-user server against a client made of bare socket calls: every command, every error that the specification
// names, and clients that break the protocol in every way. Server and client share the thread, so nothing may block.
#include "sim/vfio_user_server.h"

#include <dirent.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>
#include <random>

#include "tests/sim/vfio_user_fixtures.h"

namespace postern::sim {
namespace {

using namespace vfio_user;
using Bytes = std::vector<uint8_t>;

int open_descriptors() {
  DIR* directory = opendir("/proc/self/fd");
  int count = 0;
  while (readdir(directory) != nullptr) ++count;
  closedir(directory);
  return count;
}

UniqueFd make_memory(size_t size_bytes, int seals = F_SEAL_SHRINK) {
  UniqueFd fd(memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(ftruncate(fd.get(), static_cast<off_t>(size_bytes)), 0);
  EXPECT_EQ(seals != 0 ? fcntl(fd.get(), F_ADD_SEALS, seals) : 0, 0);
  return fd;
}

// A client that sends what it is told.
class RawClient {
 public:
  explicit RawClient(ServedDevice& served) : served_(served), fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, served.socket_path.c_str(), sizeof(address.sun_path) - 1);
    EXPECT_EQ(connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    served.server->service();
  }
  void send(const Bytes& bytes, const std::vector<int>& fds = {}) {
    iovec part{const_cast<uint8_t*>(bytes.data()), bytes.size()};
    alignas(cmsghdr) uint8_t control[CMSG_SPACE(253 * sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (!fds.empty()) {
      message.msg_control = control;
      message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
      cmsghdr* first = CMSG_FIRSTHDR(&message);
      first->cmsg_level = SOL_SOCKET;
      first->cmsg_type = SCM_RIGHTS;
      first->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
      std::memcpy(CMSG_DATA(first), fds.data(), fds.size() * sizeof(int));
    }
    [[maybe_unused]] const ssize_t sent = sendmsg(fd_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  static Bytes frame(uint16_t command, const Bytes& payload, uint32_t flags = 0, uint16_t id = 0x55aa) {
    Bytes bytes;
    encode(bytes, Header{id, command, static_cast<uint32_t>(16 + payload.size()), flags, 0});
    append(bytes, payload.data(), payload.size());
    return bytes;
  }
  // What the server sends next; nothing if it sends nothing.
  bool receive(Message& out) {
    if (!incoming_.valid()) incoming_ = MessageSocket(UniqueFd::duplicate_of(fd_.get()));
    return incoming_.receive(out) == ReceiveOutcome::kMessage;
  }
  // Sends a command and returns the reply's error, -1 if there is no reply. The reply itself is in `reply`.
  int call(uint16_t command, const Bytes& payload, const std::vector<int>& fds = {}) {
    send(frame(command, payload), fds);
    served_.server->service();
    reply = Message();
    if (!receive(reply)) return -1;
    EXPECT_EQ(reply.header.message_id, 0x55aa);
    EXPECT_EQ(reply.header.command, command);
    EXPECT_EQ(reply.header.flags & kTypeMask, kTypeReply);
    EXPECT_EQ((reply.header.flags & kFlagError) != 0, reply.header.error != 0);
    EXPECT_TRUE(reply.header.error == 0 || reply.payload.empty()) << "an error reply is a header alone";
    return static_cast<int>(reply.header.error);
  }
  template <typename Body>
  int call_body(uint16_t command, const Body& body, const std::vector<int>& fds = {}) {
    Bytes payload;
    encode(payload, body);
    return call(command, payload, fds);
  }
  int negotiate(const std::string& text = "{\"capabilities\":{\"max_msg_fds\":64,\"max_data_xfer_size\":4096}}") {
    Bytes payload;
    encode(payload, VersionBody{kMajor, kMinor});
    append(payload, text.data(), text.size());
    payload.push_back(0);
    return call(kVersion, payload);
  }
  template <typename Body>
  Body body() {
    Body out{};
    EXPECT_TRUE(decode(reply.payload, out));
    return out;
  }
  bool hung_up() {
    served_.server->service();
    pollfd state{fd_.get(), POLLIN | POLLRDHUP, 0};
    return ::poll(&state, 1, 0) == 1 && (state.revents & (POLLHUP | POLLRDHUP)) != 0;
  }
  void close() {
    incoming_.close();
    fd_.reset();
    served_.server->service();
  }
  [[nodiscard]] int fd() const { return fd_.get(); }

  Message reply;

 private:
  ServedDevice& served_;
  UniqueFd fd_;
  MessageSocket incoming_;
};

class VfioUserServerTest : public ::testing::Test {
 protected:
  VfioUserServerTest()
      : served(std::string("server-") + ::testing::UnitTest::GetInstance()->current_test_info()->name()) {}
  void SetUp() override {
    client = std::make_unique<RawClient>(served);
    ASSERT_EQ(client->negotiate(), 0);
  }
  // The server still works: for this client, or for a new one if this one was thrown out.
  void expect_alive() {
    if (served.server->client_attached()) client->close();
    RawClient fresh(served);
    EXPECT_EQ(fresh.negotiate(), 0);
    EXPECT_EQ(fresh.call_body(kDeviceGetInfo, DeviceInfoBody{16, 0, 0, 0}), 0);
    fresh.close();
  }
  static Bytes access(uint32_t region, uint64_t offset, uint32_t count, const Bytes& data = {}) {
    Bytes payload;
    encode(payload, RegionAccessBody{offset, region, count});
    append(payload, data.data(), data.size());
    return payload;
  }
  static IrqSetBody irq(uint32_t flags, uint32_t start, uint32_t count) {
    return {sizeof(IrqSetBody), flags, VFIO_PCI_MSIX_IRQ_INDEX, start, count};
  }

  ServedDevice served;
  std::unique_ptr<RawClient> client;
};

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

constexpr uint32_t kNone = VFIO_IRQ_SET_DATA_NONE;
constexpr uint32_t kBool = VFIO_IRQ_SET_DATA_BOOL;
constexpr uint32_t kEvent = VFIO_IRQ_SET_DATA_EVENTFD;
constexpr uint32_t kTrigger = VFIO_IRQ_SET_ACTION_TRIGGER;
constexpr uint32_t kMask = VFIO_IRQ_SET_ACTION_MASK;
constexpr uint32_t kUnmask = VFIO_IRQ_SET_ACTION_UNMASK;

uint64_t take(int fd) {
  uint64_t count = 0;
  return read(fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

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

// --- clients that break the protocol -----------------------------------------------------------------------------

TEST_F(VfioUserServerTest, UnknownCommandsFlagsAndTypesGetAnError) {
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

TEST_F(VfioUserServerTest, DescriptorsWhereNoneBelongAreRefusedAndClosed) {
  UniqueFd event(eventfd(0, EFD_CLOEXEC));
  const int before = open_descriptors();
  EXPECT_EQ(client->call_body(kDeviceGetInfo, DeviceInfoBody{16, 0, 0, 0}, {event.get()}), EINVAL);
  EXPECT_EQ(client->call_body(kDmaMap, DmaMapBody{32, 3, 0, 0, 4096}, std::vector<int>(200, event.get())), EINVAL);
  client->reply = Message();
  // The client's own duplicate for receiving is there from the first call on.
  EXPECT_LE(open_descriptors(), before);
}

TEST_F(VfioUserServerTest, ImpossibleSizesGetAnErrorAndEndTheConnection) {
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

TEST_F(VfioUserServerTest, HalfAMessageKeepsNobodyWaiting) {
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

TEST_F(VfioUserServerTest, ClientThatDoesNotReadItsRepliesIsHeldBackNotBuffered) {
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

TEST_F(VfioUserServerTest, DisconnectWhileAReadIsExecutedIsSafe) {
  served.device.defer = true;
  client->send(RawClient::frame(kRegionRead, access(0, 0, 4)));
  served.server->service();
  client->close();
  EXPECT_FALSE(served.server->client_attached());
  served.device.complete_deferred();  // the late answer, and the reset
  served.device.defer = false;
  expect_alive();
}

TEST_F(VfioUserServerTest, DisconnectTakesAwayMemoryInterruptsAndRegion) {
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
  EXPECT_LT(open_descriptors(), before);
}

TEST_F(VfioUserServerTest, ManyClientsComeAndGoWithoutLeakingDescriptors) {
  client->close();
  int before = 0;
  for (int i = 0; i < 300; ++i) {
    if (i == 10) before = open_descriptors();
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
  EXPECT_EQ(open_descriptors(), before);
}

// Seeded noise: valid messages with bytes changed, cut or repeated, and descriptors attached at random. The server must
// answer or hang up, leak nothing, and serve the next client.
TEST_F(VfioUserServerTest, SeededNoiseNeverTakesTheServerDown) {
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
  EXPECT_LE(open_descriptors(), before);
  expect_alive();
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
