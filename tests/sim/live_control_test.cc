#include "sim/live_control.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <thread>

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
  const int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, path_.c_str());
  ASSERT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
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

TEST_F(LiveControlTest, NoSimulatorIsAnError) {
  EXPECT_FALSE(live_request_status(path_, std::chrono::milliseconds(20)).ok());
}

}  // namespace
}  // namespace postern::sim
