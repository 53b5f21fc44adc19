// The wire format byte by byte, version data, and framing over a socket that cuts messages anywhere.
#include "driver/vfio_user_protocol.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>

#include "driver/vfio_user_socket.h"
#include "tests/driver/slow_descriptor.h"

namespace postern::vfio_user {
namespace {

using Bytes = std::vector<uint8_t>;

TEST(VfioUserProtocolTest, HeaderIsSixteenBytesInTheSpecifiedOrder) {
  Bytes bytes;
  encode(bytes, Header{0x0102, kRegionWrite, 0x20, kTypeReply | kFlagError, EINVAL});
  EXPECT_EQ(bytes, (Bytes{0x02, 0x01, 10, 0, 0x20, 0, 0, 0, 0x21, 0, 0, 0, EINVAL, 0, 0, 0}));
}

TEST(VfioUserProtocolTest, BodiesHaveTheSpecifiedLayout) {
  Bytes bytes;
  encode(bytes, DmaMapBody{32, 3, 0x1000, 0x200000, 0x3000});
  EXPECT_EQ(bytes.size(), 32u);
  EXPECT_EQ(Bytes(bytes.begin() + 8, bytes.begin() + 10), (Bytes{0x00, 0x10}));
  EXPECT_EQ(bytes[16 + 2], 0x20);
  EXPECT_EQ(bytes[24 + 1], 0x30);

  SubRegionShadow area;
  area.offset = 0x2000;
  area.fd_index = 4;
  area.type = kIoFdShadow;
  area.shadow_fd_index = 5;
  bytes.clear();
  encode(bytes, area);
  EXPECT_EQ(bytes.size(), 48u);
  EXPECT_EQ(bytes[1], 0x20);
  EXPECT_EQ(bytes[16], 4);
  EXPECT_EQ(bytes[20], 2);
  EXPECT_EQ(bytes[28], 5);

  RegionAccessBody access;
  EXPECT_TRUE(decode(Bytes{8, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0}, access));
  EXPECT_EQ(access.offset, 8u);
  EXPECT_EQ(access.region, 2u);
  EXPECT_EQ(access.count, 4u);
}

TEST(VfioUserProtocolTest, ShortPayloadIsNotDecoded) {
  DmaUnmapBody body;
  EXPECT_FALSE(decode(Bytes(23), body));
  EXPECT_TRUE(decode(Bytes(24), body));
  EXPECT_FALSE(decode(Bytes(), body));
}

Result<Capabilities> decode_text(const std::string& text) {
  Bytes bytes(text.begin(), text.end());
  bytes.push_back(0);
  return decode_capabilities(bytes.data(), bytes.size());
}

TEST(VfioUserProtocolTest, CapabilitiesSurviveTheWire) {
  Capabilities sent;
  sent.max_msg_fds = 16;
  sent.max_data_xfer_size = 4096;
  sent.write_multiple = true;
  const Bytes bytes = encode_capabilities(sent);
  EXPECT_EQ(bytes.back(), 0);
  const auto got = decode_capabilities(bytes.data(), bytes.size());
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(got.value().max_msg_fds, 16u);
  EXPECT_EQ(got.value().max_data_xfer_size, 4096u);
  EXPECT_EQ(got.value().pgsizes, 4096u);
  EXPECT_TRUE(got.value().write_multiple);
}

TEST(VfioUserProtocolTest, MissingCapabilitiesHaveTheSpecifiedDefaults) {
  for (const char* text :
       {"", "{}", "{\"capabilities\":{}}", "{\"capabilities\":{\"twin_socket\":{\"supported\":true}}}"}) {
    const auto got = decode_text(text);
    ASSERT_TRUE(got.ok()) << text;
    EXPECT_EQ(got.value().max_msg_fds, 1u);
    EXPECT_EQ(got.value().max_data_xfer_size, 1048576u);
    EXPECT_EQ(got.value().max_dma_maps, 65535u);
  }
  EXPECT_TRUE(decode_capabilities(nullptr, 0).ok());
}

TEST(VfioUserProtocolTest, MalformedVersionDataIsRefused) {
  for (const char* text : {"{", "[]", "3", "\"x\"", "{\"capabilities\":[]}", "{\"capabilities\":{\"max_msg_fds\":-1}}",
                           "{\"capabilities\":{\"max_msg_fds\":\"8\"}}", "{\"capabilities\":{\"write_multiple\":1}}",
                           "{\"capabilities\":{\"pgsizes\":1.5}}"}) {
    const auto got = decode_text(text);
    ASSERT_FALSE(got.ok()) << text;
    EXPECT_EQ(got.error().code, EINVAL);
  }
  const Bytes unterminated = {'{', '}'};
  EXPECT_FALSE(decode_capabilities(unterminated.data(), unterminated.size()).ok());
  EXPECT_FALSE(decode_text(std::string(5000, ' ')).ok());
  EXPECT_FALSE(decode_text("{\"capabilities\":" + std::string(2000, '[')).ok()) << "deep nesting ends in an error";
}

class MessageSocketTest : public ::testing::Test {
 protected:
  MessageSocketTest() {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    raw.reset(fds[0]);
    socket = MessageSocket(UniqueFd(fds[1]));
  }
  static Bytes message(uint16_t id, size_t payload_bytes) {
    Bytes bytes;
    encode(bytes, Header{id, kRegionRead, static_cast<uint32_t>(16 + payload_bytes), 0, 0});
    for (size_t i = 0; i < payload_bytes; ++i) bytes.push_back(static_cast<uint8_t>(i));
    return bytes;
  }
  void write_raw(const Bytes& bytes) {
    ASSERT_EQ(write(raw.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  void write_raw(const Bytes& bytes, const std::vector<int>& fds) {
    iovec part{const_cast<uint8_t*>(bytes.data()), bytes.size()};
    Bytes control(CMSG_SPACE(fds.size() * sizeof(int)));
    msghdr out{};
    out.msg_iov = &part;
    out.msg_iovlen = 1;
    out.msg_control = control.data();
    out.msg_controllen = control.size();
    cmsghdr* first = CMSG_FIRSTHDR(&out);
    first->cmsg_level = SOL_SOCKET;
    first->cmsg_type = SCM_RIGHTS;
    first->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(first), fds.data(), fds.size() * sizeof(int));
    ASSERT_EQ(sendmsg(raw.get(), &out, 0), static_cast<ssize_t>(bytes.size()));
  }

  UniqueFd raw;
  MessageSocket socket;
  Message got;
};

TEST_F(MessageSocketTest, MessageCutAnywhereIsPutTogether) {
  const Bytes bytes = message(7, 40);
  for (size_t cut = 1; cut < bytes.size(); ++cut) {
    write_raw(Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(cut)));
    ASSERT_EQ(socket.receive(got), ReceiveOutcome::kAgain);
    write_raw(Bytes(bytes.begin() + static_cast<std::ptrdiff_t>(cut), bytes.end()));
    ASSERT_EQ(socket.receive(got), ReceiveOutcome::kMessage);
    EXPECT_EQ(got.header.message_id, 7);
    EXPECT_EQ(got.payload, Bytes(bytes.begin() + 16, bytes.end()));
  }
}

TEST_F(MessageSocketTest, MessagesInOnePieceComeOneByOne) {
  Bytes bytes = message(1, 3);
  const Bytes second = message(2, 0);
  bytes.insert(bytes.end(), second.begin(), second.end());
  write_raw(bytes);
  ASSERT_EQ(socket.receive(got), ReceiveOutcome::kMessage);
  EXPECT_EQ(got.payload.size(), 3u);
  ASSERT_EQ(socket.receive(got), ReceiveOutcome::kMessage);
  EXPECT_EQ(got.header.message_id, 2);
  EXPECT_EQ(socket.receive(got), ReceiveOutcome::kAgain);
}

TEST_F(MessageSocketTest, DescriptorsBelongToTheMessageTheyCameWith) {
  UniqueFd event(eventfd(0, EFD_CLOEXEC));
  write_raw(message(1, 8));
  write_raw(message(2, 8), {event.get(), event.get()});
  write_raw(message(3, 8));
  ASSERT_EQ(socket.receive(got), ReceiveOutcome::kMessage);
  EXPECT_TRUE(got.fds.empty());
  ASSERT_EQ(socket.receive(got), ReceiveOutcome::kMessage);
  ASSERT_EQ(got.fds.size(), 2u);
  EXPECT_EQ(fcntl(got.fds[0].get(), F_GETFD), FD_CLOEXEC);
  ASSERT_EQ(socket.receive(got), ReceiveOutcome::kMessage);
  EXPECT_TRUE(got.fds.empty());
}

TEST_F(MessageSocketTest, TooManyDescriptorsAreClosedAndReported) {
  UniqueFd event(eventfd(0, EFD_CLOEXEC));
  write_raw(message(1, 0), std::vector<int>(kMaxMessageFds + 1, event.get()));
  ASSERT_EQ(socket.receive(got), ReceiveOutcome::kMessage);
  EXPECT_TRUE(got.too_many_fds);
  EXPECT_EQ(got.fds.size(), kMaxMessageFds);
}

// Each round: the last copy of a descriptor whose close() takes seconds travels in a message.
TEST_F(MessageSocketTest, DescriptorsWithSlowClosesDoNotHoldUpTheReader) {
  const auto begun = std::chrono::steady_clock::now();
  testing::SlowDescriptor slow[3];
  write_raw(message(1, 0), {slow[0].get()});
  std::vector<int> many(kMaxMessageFds, slow[1].get());
  many.push_back(slow[1].get());
  write_raw(message(2, 0), many);
  write_raw(message(3, 0), {slow[2].get()});
  for (testing::SlowDescriptor& descriptor : slow) descriptor.drop();
  ASSERT_EQ(socket.receive(got), ReceiveOutcome::kMessage);
  ASSERT_EQ(socket.receive(got), ReceiveOutcome::kMessage);
  EXPECT_TRUE(got.too_many_fds);
  got = Message();
  socket.close();  // the third message is still unread
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(1));
}

TEST_F(MessageSocketTest, ImpossibleSizesAreReported) {
  for (uint32_t size : {0u, 15u, kMaxMessageBytes + 1, 0xffffffffu}) {
    int fds[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    UniqueFd peer(fds[0]);
    MessageSocket other{UniqueFd(fds[1])};
    Header header;
    header.message_bytes = size;
    ASSERT_EQ(write(peer.get(), &header, sizeof(header)), 16);
    EXPECT_EQ(other.receive(got), ReceiveOutcome::kBadSize);
  }
}

TEST_F(MessageSocketTest, HangUpIsReported) {
  write_raw({1, 2, 3});
  raw.reset();
  EXPECT_EQ(socket.receive(got), ReceiveOutcome::kClosed);
  EXPECT_EQ(socket.send(Header(), {}), SendOutcome::kClosed);
}

TEST_F(MessageSocketTest, SendToAPeerThatDoesNotReadNeverBlocks) {
  const Bytes payload(4000);
  int sent = 0;
  while (sent < 100000 && socket.send(Header(), payload) == SendOutcome::kDone) ++sent;
  EXPECT_LT(sent, 100000);
  EXPECT_TRUE(socket.output_pending());
  Bytes sink(1 << 20);
  while (read(raw.get(), sink.data(), sink.size()) > 0 && socket.flush() == SendOutcome::kAgain) {
  }
  EXPECT_FALSE(socket.output_pending());
}

}  // namespace
}  // namespace postern::vfio_user
