// hostd in process: grants, tokens, last close, attach, ports, orphans, helpers, device loss, orderly end.
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <ctime>

#include "tests/driver/hostd_fixture.h"

namespace postern::hostd {
namespace {

using ::testing::HasSubstr;

TEST_F(HostdTest, GrantBringsRegionWindowClockWakeAndStatus) {
  start();
  auto application = client();
  Result<StackAttachment> stack = application->create_stack();
  ASSERT_TRUE(stack.ok()) << stack.error().message;
  const StackGrant& grant = stack->grant;
  EXPECT_EQ(grant.stack_id, 1u);
  EXPECT_EQ(grant.must_format, 1u);
  EXPECT_EQ(grant.is_host_stack, 0u);
  EXPECT_STREQ(grant.host, "a");
  EXPECT_EQ(grant.address.bytes[3], 1);
  EXPECT_EQ(grant.mac[5], 1);
  EXPECT_EQ(grant.stack_area_bytes, 64u << 10);
  EXPECT_EQ(grant.region_bytes, (64u << 10) + 3 * 4096);

  struct stat file {};
  ASSERT_EQ(fstat(stack->fd(kFdRegion), &file), 0);
  EXPECT_EQ(static_cast<uint64_t>(file.st_size), grant.region_bytes);
  EXPECT_NE(ftruncate(stack->fd(kFdRegion), 0), 0);  // the size is sealed
  EXPECT_EQ(grant.layout.rx_ring_offset, grant.stack_area_bytes);

  EXPECT_EQ(condition_of(*stack), StackCondition::kAlive);
  EXPECT_EQ(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, stack->fd(kFdStatus), 0), MAP_FAILED);
  for (const GrantDescriptor which : {kFdRegion, kFdWindow, kFdKick, kFdClock, kFdWake, kFdStatus}) {
    EXPECT_EQ(fcntl(stack->fd(which), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  }
}

TEST_F(HostdTest, TokensPeerNameTellsStackEndpointAndGeneration) {
  start();
  auto application = client();
  const uint32_t stack_id = application->create_stack()->grant.stack_id;
  UniqueFd token(application->create_token(stack_id, 7, 42).value());
  TokenName name;
  ASSERT_TRUE(token_name_of(token.get(), name));
  EXPECT_STREQ(name.host, "a");
  EXPECT_EQ(name.stack_id, stack_id);
  EXPECT_EQ(name.endpoint, 7u);
  EXPECT_EQ(name.generation, 42u);
  EXPECT_EQ(application->create_token(stack_id, 7, 42).error().code, EEXIST);
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  EXPECT_FALSE(token_name_of(pair[0], name));
  close(pair[0]);
  close(pair[1]);
}

TEST_F(HostdTest, LastCloseIsSeenAfterAllDuplicatesAreGone) {
  use_helper("obedient");
  start();
  auto application = client();
  const uint32_t stack_id = application->create_stack()->grant.stack_id;
  UniqueFd token(application->create_token(stack_id, 3, 1).value());
  UniqueFd copy = UniqueFd::duplicate_of(token.get());
  token.reset();
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_FALSE(helper_said("closed 3/1"));
  copy.reset();
  EXPECT_TRUE(eventually([this] { return helper_said("closed 3/1"); }));
  EXPECT_TRUE(application->create_token(stack_id, 3, 1).ok());  // the name is free again
}

TEST_F(HostdTest, AnotherProcessAttachesByPassingAToken) {
  start();
  auto application = client();
  StackAttachment stack = application->create_stack().value();
  UniqueFd token(application->create_token(stack.grant.stack_id, 9, 2).value());
  auto other = client();
  Result<StackAttachment> attached = other->attach(token.get());
  ASSERT_TRUE(attached.ok()) << attached.error().message;
  EXPECT_EQ(attached->grant.stack_id, stack.grant.stack_id);
  EXPECT_EQ(attached->grant.must_format, 0u);
  EXPECT_EQ(attached->endpoint, 9u);
  EXPECT_EQ(attached->generation, 2u);
  struct stat first {};
  struct stat second {};
  fstat(stack.fd(kFdRegion), &first);
  fstat(attached->fd(kFdRegion), &second);
  EXPECT_EQ(first.st_ino, second.st_ino);
  EXPECT_EQ(status()["stacks"][0]["attached_processes"], 2);
}

TEST_F(HostdTest, ForgedTokenIsRefused) {
  start();
  auto application = client();
  const uint32_t stack_id = application->create_stack()->grant.stack_id;
  UniqueFd token(application->create_token(stack_id, 1, 1).value());
  // A pair of our own whose far end has a name like hostd's.
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string forged = fmt::format("postern/a/{}/1/1/0000", stack_id);
  std::memcpy(address.sun_path + 1, forged.data(), forged.size());
  ASSERT_EQ(bind(pair[0], reinterpret_cast<sockaddr*>(&address), static_cast<socklen_t>(3 + forged.size())), 0);
  TokenName name;
  EXPECT_TRUE(token_name_of(pair[1], name));
  auto other = client();
  EXPECT_EQ(other->attach(pair[1]).error().code, ENOENT);
  EXPECT_EQ(other->acquire_port(stack_id, IPPROTO_TCP, wire_ipv4(0, 0, 0, 0), 80, false).error().code, EPERM);
  close(pair[0]);
  close(pair[1]);
}

TEST_F(HostdTest, PortsConflictBetweenStacksAndAreReleased) {
  start();
  auto first = client();
  auto second = client();
  const uint32_t first_id = first->create_stack()->grant.stack_id;
  const uint32_t second_id = second->create_stack()->grant.stack_id;
  const WireAddress any = wire_ipv4(0, 0, 0, 0);
  const PortGrant web = first->acquire_port(first_id, IPPROTO_TCP, any, 80, true).value();
  ASSERT_TRUE(first->listen_port(first_id, web.binding_id, true).ok());
  const auto conflict = second->acquire_port(second_id, IPPROTO_TCP, any, 80, true);
  ASSERT_FALSE(conflict.ok());
  EXPECT_EQ(conflict.error().code, EADDRINUSE);
  EXPECT_THAT(conflict.error().message, HasSubstr("TCP 0.0.0.0:80 is in use"));
  EXPECT_EQ(second->release_port(second_id, web.binding_id).error().code, ENOENT);
  ASSERT_TRUE(first->release_port(first_id, web.binding_id).ok());
  EXPECT_TRUE(second->acquire_port(second_id, IPPROTO_TCP, any, 80, false).ok());
  const uint16_t ephemeral = first->acquire_port(first_id, IPPROTO_TCP, wire_ipv4(10, 9, 0, 1), 0, false)->port;
  EXPECT_GE(ephemeral, 32768);
  WireAddress ipv6;
  ipv6.family = 6;
  EXPECT_EQ(first->acquire_port(first_id, IPPROTO_TCP, ipv6, 81, false).error().code, EAFNOSUPPORT);
  EXPECT_EQ(first->acquire_port(first_id, 300, any, 81, false).error().code, EINVAL);
}

TEST_F(HostdTest, ProcessThatIsGoneLosesItsStackWhenItsHelperIsDone) {
  use_helper("obedient");
  start();
  auto application = client();
  const uint32_t stack_id = application->create_stack()->grant.stack_id;
  ASSERT_TRUE(eventually([this] { return helper_said("start 1"); }));
  ASSERT_TRUE(application->acquire_port(stack_id, IPPROTO_TCP, wire_ipv4(0, 0, 0, 0), 80, false).ok());
  UniqueFd token(application->create_token(stack_id, 1, 1).value());
  EXPECT_EQ(status()["stacks"][0]["ports"][0]["port"], 80);
  application.reset();
  EXPECT_TRUE(eventually([this] { return helper_said("busy"); }));  // a descriptor is still open
  EXPECT_EQ(stack_count(), 1u);
  token.reset();
  EXPECT_TRUE(eventually([this] { return helper_said("shutdown"); }));
  EXPECT_TRUE(eventually([this] { return stack_count() == 0; }));
  EXPECT_TRUE(eventually([this] { return status()["ending_helpers"] == 0; }));
  EXPECT_TRUE(function_.load()->vis.empty());
  EXPECT_TRUE(function_.load()->filters.size() <= 2);  // those of the freed VI go with VI_FREE in a real device
}

TEST_F(HostdTest, OrphanIsAdoptedByAnAttachingProcess) {
  use_helper("silent");
  start();
  auto application = client();
  const uint32_t stack_id = application->create_stack()->grant.stack_id;
  UniqueFd token(application->create_token(stack_id, 1, 1).value());
  application.reset();
  ASSERT_TRUE(eventually([this] { return helper_said("orphaned"); }));
  auto heir = client();
  ASSERT_TRUE(heir->attach(token.get()).ok());
  EXPECT_TRUE(eventually([this] { return helper_said("adopted"); }));
  EXPECT_EQ(status()["stacks"][0]["orphaned"], false);
}

TEST_F(HostdTest, OrphanWhoseHelperNeverEndsIsFreedByTheLimit) {
  use_helper("silent");
  config_.orphan_limit = milliseconds(100);
  start();
  ASSERT_TRUE(client()->create_stack().ok());  // the client goes at once
  EXPECT_TRUE(eventually([this] { return stack_count() == 0; }));
  EXPECT_TRUE(eventually([this] { return status()["ending_helpers"] == 0; }));  // killed after its grace
}

TEST_F(HostdTest, HelperThatDiesTakesOnlyItsStackWithIt) {
  use_helper("silent");
  start();
  auto first = client();
  auto second = client();
  StackAttachment dying = first->create_stack().value();
  StackAttachment living = second->create_stack().value();
  UniqueFd token(first->create_token(dying.grant.stack_id, 1, 1).value());
  const pid_t helper = status()["stacks"][0]["helper_pid"].get<pid_t>();
  kill(helper, SIGKILL);
  EXPECT_TRUE(eventually([&] { return condition_of(dying) == StackCondition::kHelperDied; }));
  EXPECT_EQ(condition_of(living), StackCondition::kAlive);
  EXPECT_TRUE(eventually([this] { return stack_count() == 1; }));
  pollfd wake{dying.fd(kFdWake), POLLIN, 0};
  EXPECT_EQ(poll(&wake, 1, 1000), 1);
  char byte = 0;
  EXPECT_EQ(read(token.get(), &byte, 1), 0);  // hung up
  EXPECT_EQ(first->create_token(dying.grant.stack_id, 2, 1).error().code, ENETDOWN);
  EXPECT_TRUE(first->create_stack().ok());  // the process may start again
}

TEST_F(HostdTest, HelperThatDiesAtItsStartFailsTheStackSoon) {
  use_helper("dies");
  start();
  auto application = client();
  StackAttachment stack = application->create_stack().value();
  EXPECT_TRUE(eventually([&] { return condition_of(stack) == StackCondition::kHelperDied; }));
  EXPECT_TRUE(eventually([this] { return stack_count() == 0; }));
}

TEST_F(HostdTest, MissingHelperIsAClearError) {
  config_.helper_path = "/nonexistent/postern-stack-helper";
  start();
  auto application = client();
  const auto stack = application->create_stack();
  ASSERT_FALSE(stack.ok());
  EXPECT_EQ(stack.error().code, ENOENT);
  EXPECT_THAT(stack.error().message, HasSubstr("/nonexistent/postern-stack-helper"));
  EXPECT_EQ(stack_count(), 0u);
  EXPECT_TRUE(function_.load()->vis.empty());
}

TEST_F(HostdTest, HostStackIsStartedFirstAndRestartedWhenItsHelperDies) {
  use_helper("silent");
  config_.host_stack = true;
  start();
  ASSERT_TRUE(eventually([this] { return helper_said("start 0"); }));
  const pid_t helper = status()["stacks"][0]["helper_pid"].get<pid_t>();
  EXPECT_EQ(status()["stacks"][0]["host_stack"], true);
  kill(helper, SIGKILL);
  EXPECT_TRUE(eventually([this, helper] {
    const Json json = status();
    return json["stacks"].size() == 1 && json["stacks"][0]["helper_pid"] != helper;
  }));
}

TEST_F(HostdTest, DeviceLossEndsStacksAndNewOnesWorkAfterReconnection) {
  use_helper("obedient");
  start();
  auto application = client();
  StackAttachment old_stack = application->create_stack().value();
  ASSERT_TRUE(eventually([this] { return helper_said("start 1"); }));
  device_refuses_ = true;
  function_.load()->die();
  EXPECT_TRUE(eventually([&] { return condition_of(old_stack) == StackCondition::kDeviceLost; }));
  pollfd wake{old_stack.fd(kFdWake), POLLIN, 0};
  EXPECT_EQ(poll(&wake, 1, 1000), 1);
  EXPECT_TRUE(eventually([this] { return helper_said("device-lost"); }));
  EXPECT_EQ(
      application->acquire_port(old_stack.grant.stack_id, IPPROTO_TCP, wire_ipv4(0, 0, 0, 0), 80, false).error().code,
      ENETDOWN);
  const auto refused = application->create_stack();
  EXPECT_EQ(refused.error().code, ENETDOWN);
  EXPECT_EQ(status()["device"]["alive"], false);
  device_refuses_ = false;
  EXPECT_TRUE(eventually([this] { return status()["device"]["alive"] == true; }));
  Result<StackAttachment> new_stack = application->create_stack();
  ASSERT_TRUE(new_stack.ok()) << new_stack.error().message;
  EXPECT_EQ(condition_of(*new_stack), StackCondition::kAlive);
  EXPECT_EQ(condition_of(old_stack), StackCondition::kDeviceLost);
}

TEST_F(HostdTest, DeviceThatStopsAnsweringCountsAsLost) {
  start();
  auto application = client();
  StackAttachment stack = application->create_stack().value();
  function_.load()->answers_commands = false;
  EXPECT_EQ(application->acquire_port(stack.grant.stack_id, IPPROTO_TCP, wire_ipv4(0, 0, 0, 0), 80, false).error().code,
            ETIMEDOUT);
  EXPECT_TRUE(eventually([&] { return condition_of(stack) == StackCondition::kDeviceLost; }));
}

TEST_F(HostdTest, CardThatIsPulledOutIsNoticedWithoutARequest) {
  start();
  auto application = client();
  StackAttachment stack = application->create_stack().value();
  device_refuses_ = true;
  function_.load()->vanished = true;
  EXPECT_TRUE(eventually([&] { return condition_of(stack) == StackCondition::kDeviceLost; }));
}

TEST_F(HostdTest, FunctionThatWasResetBehindItsBackIsStartedAgain) {
  start();
  auto application = client();
  StackAttachment stack = application->create_stack().value();
  function_.load()->was_reset = true;
  EXPECT_TRUE(eventually([&] { return condition_of(stack) == StackCondition::kDeviceLost; }));
  EXPECT_TRUE(eventually([this] { return status()["device"]["opened_count"] == 2; }));
  EXPECT_TRUE(application->create_stack().ok());
}

TEST_F(HostdTest, OrderlyEndTellsHelpersReapsThemAndRemovesTheSocket) {
  use_helper("obedient");
  start();
  auto application = client();
  StackAttachment stack = application->create_stack().value();
  ASSERT_TRUE(eventually([this] { return helper_said("start 1"); }));
  const pid_t helper = status()["stacks"][0]["helper_pid"].get<pid_t>();
  stop();
  EXPECT_TRUE(helper_said("shutdown"));
  EXPECT_EQ(kill(helper, 0), -1);
  EXPECT_EQ(condition_of(stack), StackCondition::kFreed);
  EXPECT_NE(access(config_.socket_path.c_str(), F_OK), 0);
  EXPECT_EQ(application->create_stack().error().code, ENETDOWN);
}

TEST_F(HostdTest, HelperThatIgnoresTheEndIsKilled) {
  use_helper("silent");
  start();
  auto application = client();
  StackAttachment stack = application->create_stack().value();
  const pid_t helper = status()["stacks"][0]["helper_pid"].get<pid_t>();
  stop();
  EXPECT_EQ(kill(helper, 0), -1);
}

TEST_F(HostdTest, WaitingForAHelperAtTheEndTakesNoProcessorTime) {
  use_helper("silent");
  config_.helper_grace = milliseconds(600);
  start();
  auto application = client();
  ASSERT_TRUE(application->create_stack().ok());
  EXPECT_TRUE(eventually([this] { return helper_said("start 1"); }));
  const std::clock_t before = std::clock();
  stop();
  EXPECT_LT(static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC, 0.2);
}

TEST_F(HostdTest, SecondHostdOnTheSameSocketIsRefusedAndAStaleSocketIsTaken) {
  start();
  Hostd second(config_, [] { return std::unique_ptr<LiveFunction>(std::make_unique<testing::FakeFunction>()); });
  const Status refused = second.start();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, EADDRINUSE);
  stop();
  // A socket file that nobody serves.
  UniqueFd stale(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, config_.socket_path.c_str(), config_.socket_path.size());
  ASSERT_EQ(bind(stale.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  stale.reset();
  start();
  EXPECT_EQ(stack_count(), 0u);
}

TEST_F(HostdTest, StartWaitsForADeviceThatComesLateAndGivesUpOnAWrongOne) {
  config_.device_wait = milliseconds(2000);
  device_refuses_ = true;
  std::thread late([this] {
    std::this_thread::sleep_for(milliseconds(120));
    device_refuses_ = false;
  });
  start();
  late.join();
  EXPECT_EQ(status()["device"]["alive"], true);
  stop();
  Hostd wrong(config_, [] {
    auto function = std::make_unique<testing::FakeFunction>();
    function->registers[PST_FUNCTION_CONTRACT_HASH_OFFSET] = 1;
    return std::unique_ptr<LiveFunction>(std::move(function));
  });
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(wrong.start().error().code, EPROTO);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, milliseconds(1000));
}

TEST_F(HostdTest, DescriptorsRunOutWithoutHarmToThoseWhoAreServed) {
  start();
  auto application = client();
  const uint32_t stack_id = application->create_stack()->grant.stack_id;
  rlimit old_limit{};
  getrlimit(RLIMIT_NOFILE, &old_limit);
  const rlimit tight{static_cast<rlim_t>(UniqueFd::duplicate_of(0).get()) + 3, old_limit.rlim_max};
  setrlimit(RLIMIT_NOFILE, &tight);
  for (uint32_t i = 0; i < 8; ++i) {
    (void)application->create_token(stack_id, i, 1);  // beyond the limit an error, never a hang
  }
  setrlimit(RLIMIT_NOFILE, &old_limit);
  EXPECT_TRUE(application->create_token(stack_id, 100, 1).ok());
  EXPECT_TRUE(client()->connect().ok());
}

TEST_F(HostdTest, ForkedChildReconnectsAndAttachesByItsToken) {
  start();
  auto application = client();
  const uint32_t stack_id = application->create_stack()->grant.stack_id;
  static int token = -1;
  token = application->create_token(stack_id, 1, 1).value();
  application->set_token_provider([](void*, int index) { return index == 0 ? token : -1; }, nullptr);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const bool ok = application->acquire_port(stack_id, IPPROTO_UDP, wire_ipv4(0, 0, 0, 0), 53, false).ok();
    _exit(ok ? 0 : 1);
  }
  int how = 0;
  waitpid(child, &how, 0);
  EXPECT_TRUE(WIFEXITED(how) && WEXITSTATUS(how) == 0);
  EXPECT_TRUE(application->create_token(stack_id, 2, 1).ok());  // the parent's connection still works
  close(token);
}

TEST_F(HostdTest, ForkedChildWhoseAttachmentFailedTriesAgain) {
  start();
  auto application = client();
  const uint32_t stack_id = application->create_stack()->grant.stack_id;
  static int token = -1;
  static int calls = 0;
  token = application->create_token(stack_id, 1, 1).value();
  application->set_token_provider(
      [](void*, int index) { return index != 0     ? -1
                                    : calls++ == 0 ? STDIN_FILENO
                                                   : token; }, nullptr);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const bool failed = !application->create_token(stack_id, 2, 1).ok();
    const bool ok = application->create_token(stack_id, 3, 1).ok();
    _exit(failed && ok ? 0 : 1);
  }
  int how = 0;
  waitpid(child, &how, 0);
  EXPECT_TRUE(WIFEXITED(how) && WEXITSTATUS(how) == 0);
  close(token);
}

// The first connection of the child gets no answer to HELLO; the second one must attach as well.
TEST_F(HostdTest, ForkedChildWhoseGreetingFailedAttachesLater) {
  UniqueFd listener(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, config_.socket_path.c_str(), config_.socket_path.size());
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(listener.get(), 4), 0);
  int attach_count = 0;
  std::thread server([&listener, &attach_count] {
    for (int connection_idx = 0; connection_idx < 3; ++connection_idx) {
      const UniqueFd connection(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
      Request request;
      while (recv(connection.get(), &request, sizeof request, 0) == static_cast<ssize_t>(sizeof request)) {
        if (connection_idx == 1) break;
        if (request.type == RequestType::kAttach) ++attach_count;
        Reply reply;
        reply.request_id = request.request_id;
        reply.type = request.type;
        reply.error = request.type == RequestType::kHello ? 0 : EPERM;
        send(connection.get(), &reply, sizeof reply, MSG_NOSIGNAL);
        if (connection_idx == 0) break;
      }
    }
  });
  auto application = client();
  ASSERT_TRUE(application->connect().ok());
  application->set_token_provider([](void*, int index) { return index == 0 ? STDIN_FILENO : -1; }, nullptr);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const bool first_failed = !application->connect().ok();
    (void)application->connect();
    _exit(first_failed ? 0 : 1);
  }
  int how = 0;
  waitpid(child, &how, 0);
  EXPECT_TRUE(WIFEXITED(how) && WEXITSTATUS(how) == 0);
  server.join();
  EXPECT_GE(attach_count, 1);
}

TEST_F(HostdTest, ProcessThatEndsBeforeItsFirstTokenFreesItsStackAtOnce) {
  use_helper("silent");
  start();
  auto application = client();
  ASSERT_TRUE(application->create_stack().ok());
  const uint32_t used_id = application->create_stack()->grant.stack_id;
  { const UniqueFd token(application->create_token(used_id, 1, 1).value()); }
  ASSERT_EQ(stack_count(), 2u);
  application.reset();
  EXPECT_TRUE(eventually([this] { return stack_count() == 1; }, milliseconds(1000)));
  EXPECT_EQ(status()["stacks"][0]["id"], used_id);  // its helper has connections to end
}

TEST_F(HostdTest, EventQueueOfAnApplicationThatDoesNotConsumeDropsInsteadOfHoldingUpTheHost) {
  start();
  auto application = client();
  ASSERT_TRUE(application->create_stack().ok());
  EXPECT_EQ(function_.load()->last_evq_policy.load(), uint64_t{PST_EVQ_POLICY_DROP});
}

TEST_F(HostdTest, StatusIsJsonWhateverBytesAreInIt) {
  config_.stack.host = "a\xff";
  start();
  EXPECT_TRUE(status().contains("stacks"));
}

TEST_F(HostdTest, KilledApplicationIsReleasedWithinASecond) {
  use_helper("obedient");
  start();
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    HostdClient application(config_.socket_path);
    auto stack = application.create_stack();
    if (!stack.ok() || !application.create_token(stack->grant.stack_id, 1, 1).ok()) _exit(1);
    pause();
  }
  ASSERT_TRUE(eventually([this] {
    const Json json = status();
    return json["stacks"].size() == 1 && json["stacks"][0]["tokens"] == 1;
  }));
  kill(child, SIGKILL);
  const auto killed_at = std::chrono::steady_clock::now();
  EXPECT_TRUE(eventually([this] { return stack_count() == 0; }));
  EXPECT_LT(std::chrono::steady_clock::now() - killed_at, milliseconds(1000));
  EXPECT_TRUE(helper_said("closed 1/1"));
  waitpid(child, nullptr, 0);
}

}  // namespace
}  // namespace postern::hostd
