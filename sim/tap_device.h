// A TAP device in a network namespace: the kernel's end of a simulated wire. Hides how the device gets into the
// namespace (a short-lived thread enters it) and its ioctls. Frames have no FCS and no virtio header; offloads are off,
// so every checksum that comes out of the kernel is complete.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "driver/result.h"

namespace postern::sim {

struct TapConfig {
  std::string netns;  // name of an existing namespace; empty: the one of this process
  std::string device = "postern0";
  std::string address;  // IPv4 of the kernel's side, dotted; empty: none
  unsigned prefix_bits = 24;
  std::array<uint8_t, 6> mac{};  // of the kernel's side; all zero: the kernel chooses
  unsigned mtu_bytes = 1500;
};

class TapDevice {
 public:
  // Creates the device inside the namespace, gives it the address and brings it and the loopback up.
  [[nodiscard]] static Result<std::unique_ptr<TapDevice>> open(const TapConfig& config);
  ~TapDevice();
  TapDevice(const TapDevice&) = delete;
  TapDevice& operator=(const TapDevice&) = delete;

  // One frame that the kernel sent; 0 if there is none. Never blocks.
  [[nodiscard]] size_t read_frame(uint8_t* buffer, size_t capacity_bytes);
  // Gives the kernel a frame. False if it did not take it (queue full or device down). Never blocks.
  [[nodiscard]] bool write_frame(const uint8_t* bytes, size_t size_bytes);
  [[nodiscard]] int fd() const { return fd_; }

 private:
  explicit TapDevice(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace postern::sim
