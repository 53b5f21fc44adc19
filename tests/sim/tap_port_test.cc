#include "sim/tap_port.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "sim/tap_namespace.h"

namespace postern::sim {
namespace {

class Collector : public EthernetIf {
 public:
  void deliver(const FramePtr& frame) override { frames.push_back(frame); }
  void set_link(bool) override {}
  std::vector<FramePtr> frames;
};

class TapPortTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (Status allowed = tap_permission(); !allowed) GTEST_SKIP() << allowed.error().message;
    name_ = "pst-test-" + std::to_string(getpid());
    Status created = network_namespace_create(name_);
    ASSERT_TRUE(created.ok()) << created.error().message;
    created_ = true;
  }
  void TearDown() override {
    if (created_) network_namespace_remove(name_);
    EXPECT_FALSE(network_namespace_exists(name_));
  }

  TapConfig config() const {
    TapConfig config;
    config.netns = name_;
    config.device = "pst0";
    config.address = "10.77.0.1";
    return config;
  }

  // A UDP socket inside the namespace.
  int socket_inside() const {
    int fd = -1;
    std::thread([&] {
      const int ns = open(("/run/netns/" + name_).c_str(), O_RDONLY);
      if (setns(ns, CLONE_NEWNET) == 0) fd = socket(AF_INET, SOCK_DGRAM, 0);
      close(ns);
    }).join();
    return fd;
  }

  std::string name_;
  bool created_ = false;
};

TEST_F(TapPortTest, KernelTrafficBecomesPaddedFrames) {
  auto device = TapDevice::open(config());
  ASSERT_TRUE(device.ok()) << device.error().message;
  TapPort port("t", std::move(device.value()), 10);
  Collector wire;
  port.connect(wire);
  const int fd = socket_inside();
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(9);
  inet_pton(AF_INET, "10.77.0.2", &to.sin_addr);
  ASSERT_EQ(sendto(fd, "x", 1, 0, reinterpret_cast<sockaddr*>(&to), sizeof to), 1);
  for (int i = 0; i < 1000 && wire.frames.empty(); ++i) {
    port.poll_device();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  close(fd);
  ASSERT_FALSE(wire.frames.empty());
  const std::vector<uint8_t>& bytes = wire.frames[0]->bytes;
  EXPECT_EQ(bytes.size(), 60u);  // the ARP request for 10.77.0.2, padded
  EXPECT_EQ(bytes[12], 0x08);
  EXPECT_EQ(bytes[13], 0x06);
  EXPECT_EQ(port.counters().from_kernel_frames, wire.frames.size());
}

TEST_F(TapPortTest, TakesNothingWhileTheWireIsBusy) {
  auto device = TapDevice::open(config());
  ASSERT_TRUE(device.ok()) << device.error().message;
  TapPort port("t", std::move(device.value()), 1e-6);  // 1 kb/s: one frame keeps the wire busy
  Collector wire;
  port.connect(wire);
  const int fd = socket_inside();
  const int broadcast = 1;
  setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &broadcast, sizeof broadcast);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(9);
  inet_pton(AF_INET, "10.77.0.255", &to.sin_addr);
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(sendto(fd, "x", 1, 0, reinterpret_cast<sockaddr*>(&to), sizeof to), 1);
  }
  close(fd);
  port.poll_device();
  port.poll_device();
  EXPECT_EQ(wire.frames.size(), 1u);
  EXPECT_FALSE(port.wants_frames());
}

TEST_F(TapPortTest, DamagedFramesDoNotReachTheKernel) {
  auto device = TapDevice::open(config());
  ASSERT_TRUE(device.ok()) << device.error().message;
  TapPort port("t", std::move(device.value()), 10);
  auto frame = std::make_shared<EthernetFrame>();
  frame->bytes.assign(60, 0xff);
  port.deliver(frame);
  frame = std::make_shared<EthernetFrame>(*frame);
  frame->bad_fcs = true;
  port.deliver(frame);
  EXPECT_EQ(port.counters().to_kernel_frames, 1u);
  EXPECT_EQ(port.counters().bad_fcs_frames, 1u);
}

TEST_F(TapPortTest, ANamespaceThatExistsIsNotTakenOver) {
  Status again = network_namespace_create(name_);
  ASSERT_FALSE(again.ok());
  EXPECT_NE(again.error().message.find(name_), std::string::npos);
}

}  // namespace
}  // namespace postern::sim
