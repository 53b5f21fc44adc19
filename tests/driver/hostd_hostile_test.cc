// What a client can do to hostd with a raw socket: wrong sizes, wrong descriptors, floods. hostd answers others
// meanwhile.
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/driver/hostd_fixture.h"
#include "tests/driver/slow_descriptor.h"

namespace postern::hostd {
namespace {

class HostdHostileTest : public HostdTest {
 protected:
  UniqueFd raw_connection() {
    UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, config_.socket_path.c_str(), config_.socket_path.size());
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return fd;
  }

  static ssize_t send_with_fds(int fd, const void* bytes, size_t size, const std::vector<int>& fds) {
    iovec vector{const_cast<void*>(bytes), size};
    std::vector<char> control(CMSG_SPACE(sizeof(int) * fds.size()));
    msghdr header{};
    header.msg_iov = &vector;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* item = CMSG_FIRSTHDR(&header);
    item->cmsg_level = SOL_SOCKET;
    item->cmsg_type = SCM_RIGHTS;
    item->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    std::memcpy(CMSG_DATA(item), fds.data(), sizeof(int) * fds.size());
    return sendmsg(fd, &header, MSG_NOSIGNAL);
  }

  // hostd hung up.
  static bool hung_up(int fd) {
    char buffer[4096];
    pollfd readable{fd, POLLIN, 0};
    while (poll(&readable, 1, 2000) == 1) {
      const ssize_t bytes = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
      if (bytes <= 0) return true;
    }
    return false;
  }

  static Request request_of(RequestType type) {
    Request request;
    request.type = type;
    return request;
  }

  // hostd answers another client at once.
  void expect_prompt(const char* after) {
    const auto begun = std::chrono::steady_clock::now();
    EXPECT_TRUE(client()->status_json().ok()) << after;
    EXPECT_LT(std::chrono::steady_clock::now() - begun, milliseconds(1000)) << after;
  }

  // A Unix socket in whose queue the last copy of a slow descriptor lies.
  static UniqueFd socket_with_unread(testing::SlowDescriptor& slow) {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    EXPECT_EQ(send_with_fds(ends[0], "x", 1, {slow.get()}), 1);
    slow.drop();
    close(ends[0]);
    return UniqueFd(ends[1]);
  }

  void expect_alive() { EXPECT_TRUE(client()->connect().ok()); }
};

TEST_F(HostdHostileTest, MessagesOfWrongSizeCloseTheConnection) {
  start();
  const std::vector<uint8_t> bytes(70000, 0x5a);
  for (const size_t size : {size_t{1}, size_t{4}, sizeof(Request) - 1, sizeof(Request) + 1, size_t{65536}}) {
    UniqueFd fd = raw_connection();
    ASSERT_EQ(send(fd.get(), bytes.data(), size, MSG_NOSIGNAL), static_cast<ssize_t>(size));
    EXPECT_TRUE(hung_up(fd.get())) << size;
  }
  expect_alive();
}

TEST_F(HostdHostileTest, WrongMagicAndRequestsBeforeHelloCloseTheConnection) {
  start();
  Request request = request_of(RequestType::kHello);
  request.magic = 0;
  UniqueFd first = raw_connection();
  send(first.get(), &request, sizeof request, MSG_NOSIGNAL);
  EXPECT_TRUE(hung_up(first.get()));
  request = request_of(RequestType::kStackCreate);
  UniqueFd second = raw_connection();
  send(second.get(), &request, sizeof request, MSG_NOSIGNAL);
  EXPECT_TRUE(hung_up(second.get()));
  EXPECT_EQ(stack_count(), 0u);
}

TEST_F(HostdHostileTest, OtherProtocolVersionGetsAnErrorThatNamesBoth) {
  start();
  UniqueFd fd = raw_connection();
  Request request = request_of(RequestType::kHello);
  request.version = 99;
  send(fd.get(), &request, sizeof request, MSG_NOSIGNAL);
  Reply reply;
  ASSERT_EQ(recv(fd.get(), &reply, sizeof reply, 0), static_cast<ssize_t>(sizeof reply));
  EXPECT_EQ(reply.error, EPROTO);
  EXPECT_NE(std::string(reply.message).find("99"), std::string::npos);
}

TEST_F(HostdHostileTest, DescriptorsWhereNoneBelongCloseTheConnectionAndAreNotKept) {
  start();
  for (const size_t count : {size_t{1}, size_t{2}, size_t{250}}) {
    UniqueFd fd = raw_connection();
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const Request request = request_of(RequestType::kHello);
    ASSERT_GT(send_with_fds(fd.get(), &request, sizeof request, std::vector<int>(count, ends[1])), 0);
    close(ends[1]);
    EXPECT_TRUE(hung_up(fd.get()));
    char byte = 0;
    EXPECT_EQ(read(ends[0], &byte, 1), 0);  // hostd has closed every copy of the write end
    close(ends[0]);
  }
  expect_alive();
}

TEST_F(HostdHostileTest, DescriptorsWithSlowClosesDoNotHoldUpHostd) {
  start();
  testing::SlowDescriptor slow[6];
  Request request = request_of(RequestType::kHello);

  UniqueFd plain = raw_connection();
  send_with_fds(plain.get(), &request, sizeof request, {slow[0].get()});
  slow[0].drop();
  EXPECT_TRUE(hung_up(plain.get()));
  expect_prompt("a lingering TCP socket in a message");

  UniqueFd nested = raw_connection();
  {
    UniqueFd carrier = socket_with_unread(slow[1]);
    send_with_fds(nested.get(), &request, sizeof request, {carrier.get()});
    testing::SlowDescriptor::close_copy(carrier.release());
  }
  expect_prompt("a Unix socket that holds a lingering one");

  auto attaching = client();
  {
    UniqueFd carrier = socket_with_unread(slow[2]);
    EXPECT_EQ(attaching->attach(carrier.get()).error().code, ENOENT);
    testing::SlowDescriptor::close_copy(carrier.release());
  }
  expect_prompt("the same as a token");

  UniqueFd unread = raw_connection();
  send(unread.get(), "x", 1, MSG_NOSIGNAL);  // hostd closes the connection at this message
  send_with_fds(unread.get(), &request, sizeof request, {slow[3].get()});
  slow[3].drop();
  EXPECT_TRUE(hung_up(unread.get()));
  expect_prompt("a message that hostd does not read");

  auto application = client();
  const uint32_t stack_id = application->create_stack()->grant.stack_id;
  {
    const UniqueFd token(application->create_token(stack_id, 1, 1).value());
    send_with_fds(token.get(), "x", 1, {slow[4].get()});
    slow[4].drop();
  }
  EXPECT_TRUE(eventually([this] { return status()["tokens"] == 0; }));
  expect_prompt("a descriptor sent to a token's far end");
}

TEST_F(HostdHostileTest, RefusedConnectionWithASlowDescriptorDoesNotHoldUpHostd) {
  start();
  std::vector<UniqueFd> many;
  for (uint32_t i = 0; i < kMaxConnections; ++i) {
    many.push_back(raw_connection());
  }
  testing::SlowDescriptor slow;
  const Request request = request_of(RequestType::kHello);
  UniqueFd refused = raw_connection();
  send_with_fds(refused.get(), &request, sizeof request, {slow.get()});
  slow.drop();
  many.resize(kMaxConnections / 2);
  EXPECT_TRUE(eventually([this] { return client()->connect().ok(); }, milliseconds(1500)));
  expect_prompt("a refused connection");
}

TEST_F(HostdHostileTest, MoreSlowClosesThanThreadsDoNotHoldUpHostd) {
  start();
  std::vector<testing::SlowDescriptor> slow(16);
  const Request request = request_of(RequestType::kHello);
  for (testing::SlowDescriptor& descriptor : slow) {
    UniqueFd fd = raw_connection();
    send_with_fds(fd.get(), &request, sizeof request, {descriptor.get()});
    descriptor.drop();
    EXPECT_TRUE(hung_up(fd.get()));
  }
  expect_prompt("more slow closes than threads of one user");
}

TEST_F(HostdHostileTest, AttachWithSomethingElseThanATokenIsRefused) {
  start();
  auto other = client();
  UniqueFd file(open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(other->attach(file.get()).error().code, ENOENT);
  UniqueFd tcp(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(other->attach(tcp.get()).error().code, ENOENT);
  UniqueFd own_control = UniqueFd::duplicate_of(other->control_fd());
  EXPECT_EQ(other->attach(own_control.get()).error().code, ENOENT);
  expect_alive();
}

TEST_F(HostdHostileTest, UnknownRequestTypeClosesTheConnection) {
  start();
  UniqueFd fd = raw_connection();
  Request request = request_of(RequestType::kHello);
  send(fd.get(), &request, sizeof request, MSG_NOSIGNAL);
  request.type = static_cast<RequestType>(77);
  send(fd.get(), &request, sizeof request, MSG_NOSIGNAL);
  Reply reply;
  recv(fd.get(), &reply, sizeof reply, 0);
  EXPECT_EQ(reply.error, 0);
  recv(fd.get(), &reply, sizeof reply, 0);
  EXPECT_NE(reply.error, 0);
  expect_alive();
}

TEST_F(HostdHostileTest, StacksAndPortsOfOthersAreOutOfReach) {
  start();
  auto owner = client();
  const uint32_t stack_id = owner->create_stack()->grant.stack_id;
  const PortGrant port = owner->acquire_port(stack_id, IPPROTO_TCP, wire_ipv4(0, 0, 0, 0), 80, false).value();
  auto thief = client();
  EXPECT_EQ(thief->create_token(stack_id, 1, 1).error().code, EPERM);
  EXPECT_EQ(thief->release_port(stack_id, port.binding_id).error().code, EPERM);
  EXPECT_EQ(thief->listen_port(stack_id, port.binding_id, true).error().code, EPERM);
  EXPECT_EQ(thief->helper_done(stack_id).error().code, EPERM);
  EXPECT_EQ(owner->helper_done(stack_id).error().code, EPERM);
  const uint32_t own_id = thief->create_stack()->grant.stack_id;
  EXPECT_EQ(thief->release_port(own_id, port.binding_id).error().code, ENOENT);
}

TEST_F(HostdHostileTest, StacksPerConnectionAreLimited) {
  start();
  auto greedy = client();
  for (uint32_t i = 0; i < kMaxStacksPerConnection; ++i) {
    ASSERT_TRUE(greedy->create_stack().ok());
  }
  EXPECT_EQ(greedy->create_stack().error().code, ENOBUFS);
  EXPECT_TRUE(client()->create_stack().ok());
}

TEST_F(HostdHostileTest, ClientThatNeverReadsItsRepliesIsCutOffAndOthersAreServed) {
  start();
  UniqueFd fd = raw_connection();
  const Request request = request_of(RequestType::kHello);
  auto other = client();
  int sent = 0;
  for (; sent < 100000; ++sent) {
    if (send(fd.get(), &request, sizeof request, MSG_NOSIGNAL) < 0) break;  // EPIPE once hostd hung up
    if (sent % 50 == 0) {
      ASSERT_TRUE(other->status_json().ok());
    }
  }
  EXPECT_LT(sent, 100000);
  expect_alive();
}

TEST_F(HostdHostileTest, ConnectionsBeyondTheLimitAreHungUp) {
  start();
  std::vector<UniqueFd> many;
  for (uint32_t i = 0; i < kMaxConnections + 10; ++i) {
    many.push_back(raw_connection());
  }
  EXPECT_TRUE(hung_up(many.back().get()));
  many.clear();
  EXPECT_TRUE(eventually([this] { return client()->connect().ok(); }));
}

TEST_F(HostdHostileTest, OneUserCannotTakeAllConnectionsStacksOrSockets) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to act as another user";
  std::filesystem::permissions(directory_, std::filesystem::perms(0755));
  start();
  int done[2];
  int end[2];
  ASSERT_EQ(pipe2(done, O_CLOEXEC) | pipe2(end, O_CLOEXEC), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (setgid(65534) != 0 || setuid(65534) != 0) _exit(1);
    std::vector<std::unique_ptr<HostdClient>> clients;
    uint32_t stack_count = 0;
    for (uint32_t i = 0; i < kMaxStacks; ++i) {
      clients.push_back(client());
      while (clients.back()->create_stack().ok()) ++stack_count;
    }
    std::vector<UniqueFd> many;
    for (uint32_t i = 0; i < kMaxConnections; ++i) many.push_back(raw_connection());
    (void)!write(done[1], &stack_count, sizeof stack_count);
    char byte = 0;
    close(end[1]);
    (void)!read(end[0], &byte, 1);
    _exit(0);
  }
  close(done[1]);
  uint32_t stack_count = 0;
  ASSERT_EQ(read(done[0], &stack_count, sizeof stack_count), static_cast<ssize_t>(sizeof stack_count));
  EXPECT_GT(stack_count, 0u);
  EXPECT_LE(stack_count, kMaxStacks / 2);
  auto other = client();
  EXPECT_TRUE(other->create_stack().ok());
  close(end[1]);
  waitpid(child, nullptr, 0);
  close(done[0]);
  close(end[0]);
}

TEST(HostLimitsTest, FewDescriptorsMeanFewStacksConnectionsAndSockets) {
  const HostLimits many = HostLimits::for_descriptors(1 << 20);
  EXPECT_EQ(many.stacks, kMaxStacks);
  EXPECT_EQ(many.connections, kMaxConnections);
  EXPECT_EQ(many.tokens, kMaxTokens);
  const HostLimits few = HostLimits::for_descriptors(1024);
  EXPECT_LE(few.stacks * 10 + few.connections + few.tokens, 1024u);
}

TEST_F(HostdHostileTest, TokenFullOfDataOrShutDoesNotDisturb) {
  start();
  auto application = client();
  const uint32_t stack_id = application->create_stack()->grant.stack_id;
  UniqueFd token(application->create_token(stack_id, 1, 1).value());
  const std::vector<char> junk(1 << 16, 'x');
  while (send(token.get(), junk.data(), junk.size(), MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
  }
  EXPECT_EQ(status()["tokens"], 1);
  token.reset();
  EXPECT_TRUE(eventually([this] { return status()["tokens"] == 0; }));
}

TEST_F(HostdHostileTest, FullBlockingWakeEventDoesNotStopHostd) {
  start();
  auto application = client();
  StackAttachment stack = application->create_stack().value();
  fcntl(stack.fd(kFdWake), F_SETFL, 0);  // blocking
  const uint64_t most = 0xfffffffffffffffe;
  ASSERT_EQ(write(stack.fd(kFdWake), &most, sizeof most), 8);
  function_.load()->die();
  EXPECT_TRUE(eventually([&] { return condition_of(stack) == StackCondition::kDeviceLost; }));
  expect_alive();
}

}  // namespace
}  // namespace postern::hostd
