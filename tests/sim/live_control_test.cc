#include "sim/live_control.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <thread>
#include <vector>

#include "tests/sim/slow_message.h"

namespace postern::sim {
namespace {

class LiveControlTest : public ::testing::Test {
 protected:
  LiveControlTest() {
    char name[] = "/tmp/postern-control-XXXXXX";
    directory_ = mkdtemp(name);
    path_ = directory_ + "/control.sock";
  }
  ~LiveControlTest() override { std::filesystem::remove_all(directory_); }

  // Serves until stop_ is set.
  std::thread serve(LiveControlServer& server, const std::string& text) {
    return std::thread([&server, text, this] {
      while (!stop_) {
        server.serve([&] { return text; });
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
  }

  [[nodiscard]] int connect_client(int flags = 0) const {
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, path_.c_str());
    if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return fd;
    close(fd);
    return -1;
  }
  static bool hung_up(int fd) {
    pollfd entry{fd, POLLIN, 0};
    return poll(&entry, 1, 0) == 1 && (entry.revents & POLLHUP) != 0;
  }

  std::string directory_;
  std::string path_;
  std::atomic<bool> stop_{false};
};

TEST_F(LiveControlTest, AnswersWithALongText) {
  LiveControlServer server;
  ASSERT_TRUE(server.listen(path_).ok());
  const std::string text(3'000'000, 'x');
  std::thread thread = serve(server, text);
  Result<std::string> answer = live_request_status(path_, std::chrono::milliseconds(2000));
  stop_ = true;
  thread.join();
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer.value(), text);
}

TEST_F(LiveControlTest, ClosesAConnectionWithAnUnknownRequest) {
  LiveControlServer server;
  ASSERT_TRUE(server.listen(path_).ok());
  const int fd = connect_client();
  ASSERT_EQ(send(fd, "nonsense", 8, 0), 8);
  server.serve([] { return "{}"; });
  char byte = 0;
  EXPECT_EQ(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
  close(fd);
}

TEST_F(LiveControlTest, ASilentSimulatorIsAnErrorAfterTheTimeout) {
  LiveControlServer server;
  ASSERT_TRUE(server.listen(path_).ok());
  Result<std::string> answer = live_request_status(path_, std::chrono::milliseconds(20));
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, ETIMEDOUT);
}

TEST_F(LiveControlTest, ASimulatorThatStandsStillHoldsNobodyUp) {
  LiveControlServer server;
  ASSERT_TRUE(server.listen(path_).ok());
  std::vector<UniqueFd> waiting;  // fill the backlog
  for (int fd = connect_client(SOCK_NONBLOCK); fd >= 0; fd = connect_client(SOCK_NONBLOCK)) waiting.emplace_back(fd);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(live_request_status(path_, std::chrono::milliseconds(20)).ok());
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2));
}

TEST_F(LiveControlTest, SilentClientsMakeRoomAndGoAfterAWhile) {
  LiveControlServer server;
  ASSERT_TRUE(server.listen(path_).ok());
  const auto now = LiveControlServer::Clock::now();
  const auto serve_at = [&](std::chrono::seconds later) { server.serve([] { return "{}"; }, now + later); };
  std::vector<UniqueFd> silent;
  for (size_t i = 0; i < LiveControlServer::kClientsMost; ++i) {
    silent.emplace_back(connect_client());
    serve_at(std::chrono::seconds(i == 0 ? 0 : 1));
  }
  EXPECT_FALSE(hung_up(silent[0].get()));
  const UniqueFd asking(connect_client());
  ASSERT_EQ(send(asking.get(), "status", 6, 0), 6);
  serve_at(std::chrono::seconds(1));
  char byte = 0;
  EXPECT_EQ(recv(asking.get(), &byte, 1, MSG_DONTWAIT), 1);
  EXPECT_TRUE(hung_up(silent[0].get())) << "the one that has been silent for longest";
  EXPECT_FALSE(hung_up(silent[1].get()));
  serve_at(std::chrono::seconds(4));
  for (const UniqueFd& fd : silent) EXPECT_TRUE(hung_up(fd.get()));
}

TEST_F(LiveControlTest, ADescriptorThatTakesLongToCloseHoldsNobodyUp) {
  LiveControlServer server;
  ASSERT_TRUE(server.listen(path_).ok());
  const auto begin = std::chrono::steady_clock::now();
  testing::SlowDescriptor with_request;
  testing::SlowDescriptor unread;
  ASSERT_TRUE(with_request.valid() && unread.valid());
  UniqueFd first(connect_client());
  testing::send_last_copy(first.get(), with_request);
  UniqueFd second(connect_client());
  ASSERT_EQ(send(second.get(), "nonsense", 8, 0), 8);  // its connection ends with the next message unread
  testing::send_last_copy(second.get(), unread);
  server.serve([] { return "{}"; });
  server.serve([] { return "{}"; });
  EXPECT_TRUE(hung_up(first.get()));
  EXPECT_TRUE(hung_up(second.get()));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1));
  with_request.let_go();
  unread.let_go();
}

TEST_F(LiveControlTest, NoSimulatorIsAnError) {
  EXPECT_FALSE(live_request_status(path_, std::chrono::milliseconds(20)).ok());
}

}  // namespace
}  // namespace postern::sim
