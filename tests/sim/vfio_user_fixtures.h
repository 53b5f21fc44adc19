// A device that remembers what was done to it, and a thread that runs a vfio-user server for it as the simulator's loop
// does: polls doorbell pages, sleeps by the kick protocol, serves the socket.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "sim/doorbell_pages.h"
#include "sim/host_dma_regions.h"
#include "sim/pci_config_space.h"
#include "sim/vfio_user_server.h"

namespace postern::sim {

struct DoorbellWrite {
  uint32_t vi_id = 0;
  uint32_t offset = 0;
  unsigned width_bytes = 0;
  uint64_t value = 0;
  bool operator==(const DoorbellWrite& other) const {
    return vi_id == other.vi_id && offset == other.offset && width_bytes == other.width_bytes && value == other.value;
  }
};

// Used by one thread: the server's.
class FakeDevice : public VfioUserBackend, public DoorbellSink {
 public:
  uint32_t config_read(uint16_t offset, unsigned width_bytes) override { return config.read(offset, width_bytes); }
  void config_write(uint16_t offset, unsigned width_bytes, uint32_t value) override {
    config.write(offset, width_bytes, value);
  }
  void bar_read(unsigned bar, uint64_t offset, unsigned width_bytes, ReadDone done) override {
    ++bar_reads;
    const uint64_t mask = width_bytes == 8 ? ~uint64_t{0} : 0xffffffffu;
    const auto found = registers.find({bar, offset});
    const uint64_t value = found == registers.end() ? 0 : found->second & mask;
    complete([done = std::move(done), value] { done(value); });
  }
  void bar_write(unsigned bar, uint64_t offset, unsigned width_bytes, uint64_t value) override {
    registers[{bar, offset}] = value;
    last_write_width_bytes = width_bytes;
    if (on_write) on_write(bar, offset, value);
  }
  void interrupt_connected(uint32_t vector, bool connected) override { connected_vectors[vector] = connected; }
  void reset(Done done) override {
    ++resets;
    reset_now();
    complete(std::move(done));
  }
  void client_attached() override { ++attached; }
  void client_detached(Done done) override {
    ++detached;
    reset_now();
    complete(std::move(done));
  }
  void doorbell_written(uint32_t vi_id, uint32_t offset, unsigned width_bytes, uint64_t value) override {
    doorbells.push_back({vi_id, offset, width_bytes, value});
    if (on_doorbell) on_doorbell(doorbells.back());
  }
  void pio_written(uint32_t, uint32_t offset_bytes, const void* data, size_t size_bytes) override {
    pio_offset_bytes = offset_bytes;
    pio.assign(static_cast<const uint8_t*>(data), static_cast<const uint8_t*>(data) + size_bytes);
  }

  // With defer set, completions wait for complete_deferred().
  void complete_deferred() {
    std::deque<Done> ready;
    ready.swap(deferred);
    for (Done& done : ready) done();
  }

  PciConfigSpace config;
  DoorbellPages* pages = nullptr;
  std::map<std::pair<unsigned, uint64_t>, uint64_t> registers;
  std::vector<DoorbellWrite> doorbells;
  std::vector<uint8_t> pio;
  uint32_t pio_offset_bytes = 0;
  std::function<void(const DoorbellWrite&)> on_doorbell;
  std::function<void(unsigned, uint64_t, uint64_t)> on_write;
  std::map<uint32_t, bool> connected_vectors;
  unsigned last_write_width_bytes = 0;
  int bar_reads = 0;
  int resets = 0;
  int attached = 0;
  int detached = 0;
  bool defer = false;
  std::deque<Done> deferred;

 private:
  void complete(Done done) {
    if (defer) {
      deferred.push_back(std::move(done));
    } else {
      done();
    }
  }
  void reset_now() {
    config.reset();
    registers.clear();
    if (pages != nullptr) pages->function_reset();
  }
};

// A device with its server, all in one thread: the caller's.
class ServedDevice {
 public:
  explicit ServedDevice(const std::string& name)
      : socket_path("/tmp/postern-test-" + name + "-" + std::to_string(getpid())) {
    auto made = DoorbellPages::create(device);
    EXPECT_TRUE(made.ok());
    pages = std::move(made).value();
    device.pages = pages.get();
    auto listening = VfioUserServer::listen(socket_path, device, *pages, memory,
                                            [this](const std::string& line) { log.push_back(line); });
    EXPECT_TRUE(listening.ok()) << (listening.ok() ? "" : listening.error().message);
    server = std::move(listening).value();
  }

  std::string socket_path;
  std::vector<std::string> log;
  FakeDevice device;
  HostDmaRegions memory;
  std::unique_ptr<DoorbellPages> pages;
  std::unique_ptr<VfioUserServer> server;
};

// Runs a ServedDevice in a thread of its own. run() executes something in that thread.
class ServerThread {
 public:
  explicit ServerThread(const std::string& name) : served_(name), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    thread_ = std::thread([this] { loop(); });
  }
  ~ServerThread() { stop(); }

  void run(const std::function<void(ServedDevice&)>& work) {
    std::promise<void> done;
    {
      const std::lock_guard<std::mutex> guard(mutex_);
      work_.push_back([&] {
        work(served_);
        done.set_value();
      });
    }
    eventfd_write(wake_.get(), 1);
    done.get_future().wait();
  }
  template <typename T>
  T get(const std::function<T(ServedDevice&)>& work) {
    T value{};
    run([&](ServedDevice& served) { value = work(served); });
    return value;
  }
  // Ends the simulator: the client sees a hang-up.
  void stop() {
    if (!thread_.joinable()) return;
    stopping_ = true;
    eventfd_write(wake_.get(), 1);
    thread_.join();
    served_.server.reset();
  }
  [[nodiscard]] const std::string& socket_path() const { return served_.socket_path; }
  // Longest sleep without a kick.
  std::atomic<int> sleep_ms{1};

 private:
  void loop() {
    std::vector<pollfd> fds;
    while (!stopping_) {
      served_.pages->poll();
      if (served_.pages->begin_sleep()) {
        fds.clear();
        fds.push_back({served_.pages->kick_fd(), POLLIN, 0});
        fds.push_back({wake_.get(), POLLIN, 0});
        served_.server->append_poll_fds(fds);
        ::poll(fds.data(), fds.size(), sleep_ms);
        served_.pages->end_sleep();
      }
      served_.pages->poll();
      served_.server->service();
      uint64_t count = 0;
      [[maybe_unused]] const ssize_t got = ::read(wake_.get(), &count, sizeof(count));
      std::deque<std::function<void()>> work;
      {
        const std::lock_guard<std::mutex> guard(mutex_);
        work.swap(work_);
      }
      for (auto& item : work) item();
    }
  }

  ServedDevice served_;
  UniqueFd wake_;
  std::mutex mutex_;
  std::deque<std::function<void()>> work_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace postern::sim
