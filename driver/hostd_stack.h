// One stack as hostd sees it: region, VI, descriptors for its processes, status page and helper. Everything that an
// application can write here is never read by hostd.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "driver/hostd_device.h"
#include "driver/hostd_helper_process.h"
#include "driver/hostd_protocol.h"
#include "driver/resource_manager.h"
#include "driver/unique_fd.h"

namespace postern::hostd {

using SteadyTime = std::chrono::steady_clock::time_point;

// What all stacks of a host have in common.
struct StackSettings {
  std::string host;
  HostAddress address;
  unsigned prefix_bits = 24;
  HostAddress gateway;  // family kNone: none
  uint32_t mtu_bytes = 1500;
  uint64_t stack_area_bytes = 32 << 20;  // stack state and packet buffers
  ViGeometry geometry;
  uint64_t seed = 1;
};

[[nodiscard]] WireAddress to_wire(const HostAddress& address);
// Family kNone for anything that is not IPv4.
[[nodiscard]] HostAddress from_wire(const WireAddress& address);

// The page that tells a stack's processes whether it still lives. Only hostd can write it (F_SEAL_FUTURE_WRITE).
class StatusPage {
 public:
  [[nodiscard]] static Result<std::unique_ptr<StatusPage>> create(uint32_t stack_id);
  ~StatusPage();
  StatusPage(const StatusPage&) = delete;
  StatusPage& operator=(const StatusPage&) = delete;
  void set(StackCondition condition);
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  StatusPage(UniqueFd fd, StackStatusPage* page) : fd_(std::move(fd)), page_(page) {}
  UniqueFd fd_;
  StackStatusPage* page_;
};

class StackRecord {
 public:
  // Makes region, VI and descriptors. Nothing is left behind on an error.
  [[nodiscard]] static Result<std::unique_ptr<StackRecord>> create(DeviceSession& device, const StackSettings& settings,
                                                                   uint32_t stack_id);
  // The owner has called release() or forget().
  ~StackRecord();
  StackRecord(const StackRecord&) = delete;
  StackRecord& operator=(const StackRecord&) = delete;

  // Frees the VI on the device, then the memory. condition is what the stack's processes are told.
  [[nodiscard]] Status release(StackCondition condition);
  // The device is gone: tells the processes and frees the memory.
  void forget(StackCondition condition);

  // Descriptors of a grant in protocol order; they stay the record's.
  void fill_descriptors(int (&fds)[kGrantDescriptors]) const;

  StackGrant grant;  // must_format is set by the sender
  ViGrant vi;
  HelperProcess helper;
  uint64_t helper_connection = 0;  // Connection::id, 0: none
  uint64_t helper_watch = 0;
  uid_t uid = 0;  // application's
  gid_t gid = 0;
  pid_t creator_pid = 0;
  uint32_t attached_count = 0;            // connections of applications
  bool had_token = false;                 // there was a socket, so there may be connections to end
  std::optional<SteadyTime> orphaned_at;  // since no application is attached

 private:
  explicit StackRecord(DeviceSession& device) : device_(device) {}
  [[nodiscard]] Status build(const StackSettings& settings, uint32_t stack_id);
  [[nodiscard]] Status open_descriptors();
  void tell_processes(StackCondition condition);
  void free_memory();

  DeviceSession& device_;
  DmaMemory region_;
  bool has_vi_ = false;
  std::unique_ptr<InterruptLine> line_;
  UniqueFd window_fd_;
  UniqueFd kick_fd_;
  UniqueFd clock_fd_;
  UniqueFd wake_fd_;
  std::unique_ptr<StatusPage> status_;
};

}  // namespace postern::hostd
