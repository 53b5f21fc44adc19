// A vfio-user client made of bare socket calls, and the fixture of the server tests: server and client share the
// thread, so nothing may block.
#pragma once

#include <dirent.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>

#include "tests/sim/vfio_user_fixtures.h"

namespace postern::sim {
using namespace vfio_user;  // tests of messages
using Bytes = std::vector<uint8_t>;

constexpr uint32_t kNone = VFIO_IRQ_SET_DATA_NONE;
constexpr uint32_t kBool = VFIO_IRQ_SET_DATA_BOOL;
constexpr uint32_t kEvent = VFIO_IRQ_SET_DATA_EVENTFD;
constexpr uint32_t kTrigger = VFIO_IRQ_SET_ACTION_TRIGGER;
constexpr uint32_t kMask = VFIO_IRQ_SET_ACTION_MASK;
constexpr uint32_t kUnmask = VFIO_IRQ_SET_ACTION_UNMASK;

// What an eventfd has counted since the last take; 0 if nothing.
inline uint64_t take(int fd) {
  uint64_t count = 0;
  return read(fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

inline int open_descriptors() {
  DIR* directory = opendir("/proc/self/fd");
  int count = 0;
  while (readdir(directory) != nullptr) ++count;
  closedir(directory);
  return count;
}

inline UniqueFd make_memory(size_t size_bytes, int seals = F_SEAL_SHRINK) {
  UniqueFd fd(memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(ftruncate(fd.get(), static_cast<off_t>(size_bytes)), 0);
  EXPECT_EQ(seals != 0 ? fcntl(fd.get(), F_ADD_SEALS, seals) : 0, 0);
  return fd;
}

// Fewer than `limit` descriptors are open, now or soon: those that clients sent are closed by a thread of its own.
inline bool soon_fewer_descriptors_than(int limit) {
  for (int i = 0; i < 1000 && open_descriptors() >= limit; ++i) poll(nullptr, 0, 2);
  return open_descriptors() < limit;
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

}  // namespace postern::sim
