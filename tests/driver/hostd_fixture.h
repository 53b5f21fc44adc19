// Runs a Hostd over the scripted function in a thread of the test, with its socket in a temporary directory.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "driver/hostd.h"
#include "driver/hostd_client.h"
#include "tests/driver/fake_function.h"

namespace postern::hostd {

using std::chrono::milliseconds;
using Json = nlohmann::json;

inline WireAddress wire_ipv4(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
  return to_wire(HostAddress::ipv4(a, b, c, d));
}

// Looks until the condition holds. False after the time limit.
inline bool eventually(const std::function<bool()>& condition, milliseconds limit = milliseconds(3000)) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(milliseconds(2));
  }
  return true;
}

class HostdTest : public ::testing::Test {
 protected:
  HostdTest() {
    char pattern[] = "/tmp/postern-hostd-test-XXXXXX";
    directory_ = mkdtemp(pattern);
    config_.stack.host.assign(1, 'a');  // g++ 12 warns wrongly (-Wrestrict) about an assigned literal
    config_.stack.address = HostAddress::ipv4(10, 9, 0, 1);
    config_.stack.stack_area_bytes = 64 << 10;
    config_.stack.geometry = {128, 128, 128};
    config_.socket_path = directory_ + "/a.sock";
    config_.host_stack = false;
    config_.device_wait = milliseconds(0);
    config_.helper_grace = milliseconds(200);
    setenv("TEST_HELPER_LOG", (directory_ + "/helper.log").c_str(), 1);
  }

  ~HostdTest() override {
    stop();
    std::filesystem::remove_all(directory_);
  }

  void use_helper(const char* mode) {
    config_.helper_path = TEST_HELPER_PATH;
    setenv("TEST_HELPER_MODE", mode, 1);
  }

  void start() {
    hostd_ = std::make_unique<Hostd>(config_, [this]() -> Result<std::unique_ptr<LiveFunction>> {
      if (device_refuses_) return Error{ECONNREFUSED, "nobody there"};
      auto function = std::make_unique<testing::FakeFunction>();
      function->keeps_log = false;
      function_ = function.get();
      return std::unique_ptr<LiveFunction>(std::move(function));
    });
    const Status status = hostd_->start();
    ASSERT_TRUE(status.ok()) << status.error().message;
    thread_ = std::thread([this] { hostd_->run(); });
  }

  void stop() {
    if (thread_.joinable()) {
      hostd_->request_stop();
      thread_.join();
    }
    hostd_.reset();
  }

  std::unique_ptr<HostdClient> client() { return std::make_unique<HostdClient>(config_.socket_path, 3000); }

  Json status() {
    Result<std::string> text = client()->status_json();
    EXPECT_TRUE(text.ok()) << text.error().message;
    return text.ok() ? Json::parse(*text) : Json();
  }
  size_t stack_count() { return status()["stacks"].size(); }

  std::string helper_log() const {
    std::ifstream file(directory_ + "/helper.log");
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  bool helper_said(const std::string& line) const { return helper_log().find(line + "\n") != std::string::npos; }

  static StackCondition condition_of(const StackAttachment& attachment) {
    void* page = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, attachment.fd(kFdStatus), 0);
    const StackCondition condition = static_cast<StackStatusPage*>(page)->condition;
    munmap(page, 4096);
    return condition;
  }

  HostdConfig config_;
  std::string directory_;
  std::unique_ptr<Hostd> hostd_;
  std::atomic<testing::FakeFunction*> function_{nullptr};
  std::atomic<bool> device_refuses_{false};
  std::thread thread_;
};

}  // namespace postern::hostd
