// hostd's hold on the device: connects, starts the resource manager, notices that the device is gone, and tries again
// with bounded back-off. Hides which transport it is.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "driver/dma_allocator.h"
#include "driver/eventfd_signaller.h"
#include "driver/live_function.h"
#include "driver/resource_manager.h"

namespace postern::hostd {

using Connector = std::function<Result<std::unique_ptr<LiveFunction>>()>;

class DeviceSession {
 public:
  static constexpr int kBackoffFirstMs = 50;
  static constexpr int kBackoffMostMs = 1000;

  DeviceSession(Connector connector, const ResourceManager::Config& config)
      : connector_(std::move(connector)), config_(config) {}
  ~DeviceSession() { close(); }

  // Connects and starts the function. On an error try again after backoff_ms().
  [[nodiscard]] Status open();
  // Orderly end: frees what is left, stops the admin queue, disconnects.
  void close();
  // The device is gone: forgets it without touching it.
  void abandon();
  // True if the transport says that the device is gone. Cheap; never blocks for long.
  [[nodiscard]] bool is_gone();

  [[nodiscard]] bool is_open() const { return manager_ != nullptr; }
  [[nodiscard]] LiveFunction& function() { return *function_; }
  [[nodiscard]] ResourceManager& manager() { return *manager_; }
  [[nodiscard]] DmaAllocator& allocator() { return allocator_; }
  [[nodiscard]] EventFdSignaller& signaller() { return signaller_; }
  [[nodiscard]] int backoff_ms() const { return backoff_ms_; }
  [[nodiscard]] uint32_t generation() const { return generation_; }  // successful opens
  [[nodiscard]] const std::string& last_error() const { return last_error_; }

 private:
  Connector connector_;
  ResourceManager::Config config_;
  MemfdDmaAllocator allocator_;
  EventFdSignaller signaller_;
  std::unique_ptr<LiveFunction> function_;
  std::unique_ptr<ResourceManager> manager_;
  int backoff_ms_ = kBackoffFirstMs;
  uint32_t generation_ = 0;
  std::string last_error_;
};

}  // namespace postern::hostd
