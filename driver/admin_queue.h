// The admin queue: the privileged command channel of a function (contract chapter FUNCTION and commands). Hides its
// rings, phase bits and doorbells; one command at a time, synchronous, every wait bounded. Single-threaded.
#pragma once

#include <cstdint>
#include <string>

#include "contract/gen/pst_contract.h"
#include "driver/dma_allocator.h"
#include "driver/pci_function.h"
#include "driver/result.h"

namespace postern {

class AdminQueue {
 public:
  struct Config {
    uint32_t entries = 32;                 // of both rings; a power of two within the contract's limits
    uint64_t timeout_ns = 2'000'000'000;   // device time that a command may take
    uint64_t poll_ns = 500;                // device time between two looks at the completion ring
    uint32_t polls_per_status_read = 128;  // a look at ADMIN_STATUS finds a stopped queue or a device that is gone
    uint32_t polls_max = 4'000'000;        // bound for a device whose clock stands still
  };

  AdminQueue(PciFunction& function, DmaAllocator& allocator, const Config& config)
      : function_(function), allocator_(allocator), config_(config) {}
  ~AdminQueue() { abandon(); }
  AdminQueue(const AdminQueue&) = delete;
  AdminQueue& operator=(const AdminQueue&) = delete;

  // Allocates and maps the rings and starts the queue. Blocks for round trips.
  [[nodiscard]] Status start();
  // Stops the queue and gives the memory back. Harmless if it does not run.
  void stop();
  // Gives the memory back without touching the device, which is gone or has been reset.
  void abandon();

  // Executes one command (the command id is set here) and returns RESULT. The error carries an errno that fits the
  // device's error code: ENOSPC, ENOENT, EEXIST, EBUSY, EINVAL, EOPNOTSUPP, EFAULT; ETIMEDOUT; EIO if the queue
  // stopped.
  [[nodiscard]] Result<uint64_t> execute(pst_command command);
  // Asks the device whether it is still there (ENODEV: its registers read as all ones) and still runs this queue (EIO:
  // it has stopped it, or the function has been reset by somebody else). Blocks for two round trips.
  [[nodiscard]] Status check_device();

  // Reads port statistics by STATISTICS_READ into the queue's own page.
  [[nodiscard]] Result<pst_port_statistics> read_statistics();

 private:
  [[nodiscard]] Result<pst_admin_completion> wait_completion();
  [[nodiscard]] Status check_running();
  [[nodiscard]] std::string not_running() const;
  [[nodiscard]] Error give_up(Error error);

  PciFunction& function_;
  DmaAllocator& allocator_;
  Config config_;
  DmaMemory memory_;  // submission ring | completion ring | statistics page
  uint64_t dma_address_ = 0;
  uint64_t completion_offset_ = 0;
  uint64_t statistics_offset_ = 0;
  bool mapped_ = false;
  bool running_ = false;
  std::string failure_;  // why it stopped
  uint32_t producer_idx_ = 0;
  uint32_t consumer_idx_ = 0;
  uint16_t next_command_id_ = 0;
};

}  // namespace postern
