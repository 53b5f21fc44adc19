// The hostd client against scripted servers: errors with a remedy, bounded waits, late replies, threads, vfork, names.
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/driver/hostd_fixture.h"

namespace postern::hostd {
namespace {

using ::testing::HasSubstr;

// A socket that listens and does what the test says with each request.
class ScriptedServer {
 public:
  using Script = std::function<void(int connection, const Request&)>;
  ScriptedServer(const std::string& path, Script script)
      : listener_(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size());
    EXPECT_EQ(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(listen(listener_.get(), 1), 0);
    thread_ = std::thread([this, script] {
      const int connection = accept(listener_.get(), nullptr, nullptr);
      Request request;
      while (recv(connection, &request, sizeof request, 0) == static_cast<ssize_t>(sizeof request))
        script(connection, request);
      close(connection);
    });
  }
  ~ScriptedServer() {
    shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  static void reply(int connection, const Request& request, uint32_t port = 0) {
    Reply reply;
    reply.request_id = request.request_id;
    reply.type = request.type;
    reply.port = port;
    send(connection, &reply, sizeof reply, MSG_NOSIGNAL);
  }

 private:
  UniqueFd listener_;
  std::thread thread_;
};

class HostdClientTest : public HostdTest {};

TEST_F(HostdClientTest, MissingHostdIsAnErrorWithARemedy) {
  HostdClient client(directory_ + "/nobody.sock");
  const Status status = client.connect();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ENOENT);
  EXPECT_THAT(status.error().message, HasSubstr("postern status"));
  HostdClient too_long(std::string(200, 'x'));
  EXPECT_EQ(too_long.connect().error().code, ENAMETOOLONG);
}

TEST_F(HostdClientTest, FailedConnectionIsTriedAgainByTheNextCall) {
  HostdClient client(config_.socket_path);
  EXPECT_FALSE(client.connect().ok());
  start();
  EXPECT_TRUE(client.create_stack().ok());
}

TEST_F(HostdClientTest, HostdThatDoesNotAnswerEndsInATimeout) {
  ScriptedServer server(config_.socket_path, [](int, const Request&) {});
  HostdClient client(config_.socket_path, 50);
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(client.connect().error().code, ETIMEDOUT);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, milliseconds(1000));
}

TEST_F(HostdClientTest, HostdThatHangsUpMakesEveryLaterCallFailAtOnce) {
  ScriptedServer server(config_.socket_path, [](int connection, const Request& request) {
    if (request.type == RequestType::kHello) return ScriptedServer::reply(connection, request);
    shutdown(connection, SHUT_RDWR);
  });
  HostdClient client(config_.socket_path, 5000);
  ASSERT_TRUE(client.connect().ok());
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(client.create_stack().error().code, ENETDOWN);
  EXPECT_EQ(client.create_stack().error().code, ENETDOWN);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, milliseconds(1000));
}

TEST_F(HostdClientTest, LateReplyIsNotTakenForTheNextOne) {
  std::vector<Request> held;
  ScriptedServer server(config_.socket_path, [&held](int connection, const Request& request) {
    if (request.type == RequestType::kPortAcquire && held.empty()) {
      held.push_back(request);
      return;
    }
    if (!held.empty()) ScriptedServer::reply(connection, held[0], 1111);
    ScriptedServer::reply(connection, request, 2222);
  });
  HostdClient client(config_.socket_path, 100);
  const WireAddress any = wire_ipv4(0, 0, 0, 0);
  EXPECT_EQ(client.acquire_port(1, IPPROTO_TCP, any, 0, false).error().code, ETIMEDOUT);
  EXPECT_EQ(client.acquire_port(1, IPPROTO_TCP, any, 0, false)->port, 2222);
}

TEST_F(HostdClientTest, ThreadsShareOneConnection) {
  start();
  auto application = client();
  const uint32_t stack_id = application->create_stack()->grant.stack_id;
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 200; ++round) {
        Result<PortGrant> port = application->acquire_port(stack_id, IPPROTO_UDP, wire_ipv4(0, 0, 0, 0), 0, false);
        if (!port.ok() || !application->release_port(stack_id, port->binding_id).ok()) ++failures;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
}

TEST_F(HostdClientTest, VforkChildIsRefusedAndLeavesTheParentAlone) {
  start();
  auto application = client();
  const uint32_t stack_id = application->create_stack()->grant.stack_id;
  static HostdClient* shared = nullptr;
  shared = application.get();
  static int seen = 0;
  // NOLINTNEXTLINE(clang-analyzer-security.insecureAPI.vfork): the point of the test
  const pid_t child = vfork();
  if (child == 0) {
    seen = shared->connect().ok() ? 0 : 1;
    _exit(0);
  }
  waitpid(child, nullptr, 0);
  EXPECT_EQ(seen, 1);
  EXPECT_TRUE(application->create_token(stack_id, 1, 1).ok());
}

TEST(TokenNameTest, OnlyWellFormedNamesAreTokens) {
  const auto parse = [](const std::string& text, TokenName& name) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, text.data(), text.size());
    return parse_token_name(&address, offsetof(sockaddr_un, sun_path) + 1 + text.size(), name);
  };
  TokenName name;
  EXPECT_TRUE(parse("postern/host-b/17/4294967295/3/00ff", name));
  EXPECT_STREQ(name.host, "host-b");
  EXPECT_EQ(name.stack_id, 17u);
  EXPECT_EQ(name.endpoint, 4294967295u);
  EXPECT_EQ(name.generation, 3u);
  for (const char* bad : {"", "postern/", "postern/a", "postern/a/", "postern//1/2/3", "postern/a/1/2/",
                          "postern/a/1/2", "postern/a/x/2/3", "postern/a/1/4294967296/3", "postern/a/-1/2/3",
                          "other/a/1/2/3", "postern/a-name-of-more-than-thirty-one-letters/1/2/3"}) {
    EXPECT_FALSE(parse(bad, name)) << bad;
  }
}

}  // namespace
}  // namespace postern::hostd
