// Admin queue of the resource manager: writes a command, rings ADMIN_DOORBELL, polls the completion's phase bit.
#include "driver/admin_queue.h"

#include <fmt/format.h>

#include <atomic>
#include <cerrno>
#include <cstring>

namespace postern {
namespace {

static_assert(sizeof(pst_command) == PST_COMMAND_BYTES);
static_assert(sizeof(pst_admin_completion) == PST_ADMIN_COMPLETION_BYTES);
static_assert(PST_ADMIN_COMPLETION_PHASE_WORD == 1, "the phase bit is in the word that the device writes last");

constexpr uint64_t page_round_up(uint64_t bytes) {
  return (bytes + PST_LIMIT_PAGE_BYTES - 1) & ~static_cast<uint64_t>(PST_LIMIT_PAGE_BYTES - 1);
}

constexpr uint64_t kAllOnes = 0xffffffff;  // what a 32-bit read returns when nothing answers

int errno_of(uint64_t error_code) {
  switch (error_code) {
    case PST_ERROR_CODE_NO_RESOURCE:
    case PST_ERROR_CODE_TABLE_FULL:
      return ENOSPC;
    case PST_ERROR_CODE_NOT_FOUND:
      return ENOENT;
    case PST_ERROR_CODE_EXISTS:
      return EEXIST;
    case PST_ERROR_CODE_IN_USE:
      return EBUSY;
    case PST_ERROR_CODE_DMA_FAULT:
      return EFAULT;
    case PST_ERROR_CODE_BAD_OPCODE:
    case PST_ERROR_CODE_UNSUPPORTED:
      return EOPNOTSUPP;
    case PST_ERROR_CODE_BAD_PARAMETER:
      return EINVAL;
    default:
      return EIO;
  }
}

}  // namespace

Status AdminQueue::start() {
  const uint64_t submission_bytes = page_round_up(uint64_t{config_.entries} * PST_COMMAND_BYTES);
  const uint64_t completion_bytes = page_round_up(uint64_t{config_.entries} * PST_ADMIN_COMPLETION_BYTES);
  completion_offset_ = submission_bytes;
  statistics_offset_ = submission_bytes + completion_bytes;
  Result<DmaMemory> memory = allocator_.allocate(statistics_offset_ + PST_LIMIT_PAGE_BYTES, "postern-admin-queue");
  if (!memory) {
    return memory.error();
  }
  memory_ = *memory;
  Result<uint64_t> address = function_.dma_map(memory_);
  if (!address) {
    abandon();
    return address.error();
  }
  dma_address_ = *address;
  mapped_ = true;
  producer_idx_ = consumer_idx_ = 0;

  const struct {
    uint32_t offset;
    unsigned width_bytes;
    uint64_t value;
  } writes[] = {
      {PST_FUNCTION_ADMIN_SQ_BASE_OFFSET, 8, dma_address_},
      {PST_FUNCTION_ADMIN_CQ_BASE_OFFSET, 8, dma_address_ + completion_offset_},
      {PST_FUNCTION_ADMIN_ENTRIES_OFFSET, 4, config_.entries},
      {PST_FUNCTION_ADMIN_VECTOR_OFFSET, 4, PST_VECTOR_NONE},
      {PST_FUNCTION_ADMIN_ENABLE_OFFSET, 4, 1},
  };
  for (const auto& write : writes) {
    if (Status status = function_.bar_write(PST_BAR_FUNCTION, write.offset, write.width_bytes, write.value); !status) {
      stop();
      return status;
    }
  }
  running_ = true;
  failure_.clear();
  if (Status status = check_running(); !status) {  // the read also flushes the posted writes
    stop();
    return status;
  }
  return {};
}

Status AdminQueue::check_running() {
  Result<uint64_t> status = function_.bar_read(PST_BAR_FUNCTION, PST_FUNCTION_ADMIN_STATUS_OFFSET, 4);
  if (!status) {
    return status.error();
  }
  if (*status == kAllOnes) {
    return Error{ENODEV, "the device is gone: its registers read as all ones; put it back and restart the driver"};
  }
  if (*status != PST_ERROR_CODE_OK) {
    return Error{
        EIO, fmt::format("the device stopped the admin queue: {}; reset the function", pst_error_code_name(*status))};
  }
  return {};
}

Status AdminQueue::check_device() {
  if (!running_) {
    return Error{ENODEV, not_running()};
  }
  if (Status status = check_running(); !status) {
    return status;
  }
  Result<uint64_t> enabled = function_.bar_read(PST_BAR_FUNCTION, PST_FUNCTION_ADMIN_ENABLE_OFFSET, 4);
  if (!enabled) {
    return enabled.error();
  }
  if (*enabled == 0) {
    return Error{EIO, "the function has been reset behind the driver's back: its VIs are gone; restart the driver"};
  }
  return {};
}

std::string AdminQueue::not_running() const {
  return fmt::format("the admin queue does not run: {}",
                     failure_.empty() ? "start the resource manager first" : failure_);
}

// After an error nothing more is sent: a late answer would be taken for another command's.
Error AdminQueue::give_up(Error error) {
  running_ = false;
  failure_ = error.message;
  return error;
}

void AdminQueue::stop() {
  if (mapped_) {
    // A device that does not answer any more cannot be told; its DMA mapping goes away either way.
    (void)function_.bar_write(PST_BAR_FUNCTION, PST_FUNCTION_ADMIN_ENABLE_OFFSET, 4, 0);
    (void)function_.dma_unmap(dma_address_);
  }
  abandon();
}

void AdminQueue::abandon() {
  if (memory_.base != nullptr) {
    allocator_.release(memory_);
  }
  memory_ = DmaMemory{};
  mapped_ = false;
  running_ = false;
}

Result<uint64_t> AdminQueue::execute(pst_command command) {
  if (!running_) {
    return Error{ENODEV, not_running()};
  }
  const uint16_t command_id = next_command_id_++;
  pst_command_set_command_id(&command, command_id);
  const uint64_t opcode = pst_command_get_opcode(&command);
  auto* slot = static_cast<pst_command*>(memory_.base) + (producer_idx_ & (config_.entries - 1));
  *slot = command;
  ++producer_idx_;
  std::atomic_thread_fence(std::memory_order_release);  // the command before the doorbell
  if (Status status = function_.bar_write(PST_BAR_FUNCTION, PST_FUNCTION_ADMIN_DOORBELL_OFFSET, 4, producer_idx_);
      !status) {
    return give_up(status.error());
  }
  Result<pst_admin_completion> completion = wait_completion();
  if (!completion) {
    Error error = completion.error();
    error.message = fmt::format("admin command {}: {}", opcode, error.message);
    return give_up(std::move(error));
  }
  ++consumer_idx_;
  if (Status status = function_.bar_write(PST_BAR_FUNCTION, PST_FUNCTION_ADMIN_CONSUMER_OFFSET, 4, consumer_idx_);
      !status) {
    return status.error();
  }
  if (pst_admin_completion_get_command_id(&*completion) != command_id) {
    return give_up(
        {EIO, fmt::format("admin command {} got the completion of command id {}, expected {}: reset the function",
                          opcode, pst_admin_completion_get_command_id(&*completion), command_id)});
  }
  const uint64_t status = pst_admin_completion_get_status(&*completion);
  if (status != PST_ERROR_CODE_OK) {
    return Error{errno_of(status), fmt::format("admin command {} failed: {}", opcode, pst_error_code_name(status))};
  }
  return pst_admin_completion_get_result(&*completion);
}

Result<pst_admin_completion> AdminQueue::wait_completion() {
  auto* slot = reinterpret_cast<pst_admin_completion*>(static_cast<uint8_t*>(memory_.base) + completion_offset_) +
               (consumer_idx_ & (config_.entries - 1));
  const uint64_t expected_phase = (consumer_idx_ & config_.entries) == 0 ? 1 : 0;
  const uint64_t deadline_ns = function_.clock().now_ns() + config_.timeout_ns;
  for (uint32_t poll = 1;; ++poll) {
    pst_admin_completion completion;
    completion.word[1] = std::atomic_ref<uint64_t>(slot->word[1]).load(std::memory_order_acquire);
    if (pst_admin_completion_get_phase(&completion) == expected_phase) {
      completion.word[0] = std::atomic_ref<uint64_t>(slot->word[0]).load(std::memory_order_relaxed);
      return completion;
    }
    if (function_.clock().now_ns() >= deadline_ns || poll >= config_.polls_max) {
      return Error{ETIMEDOUT, fmt::format("no completion within {} ms of device time: reset the function",
                                          config_.timeout_ns / 1'000'000)};
    }
    if (poll % config_.polls_per_status_read == 0) {
      if (Status status = check_device(); !status) {
        return status.error();
      }
    }
    function_.pause_ns(config_.poll_ns);
  }
}

Result<pst_port_statistics> AdminQueue::read_statistics() {
  pst_command command{};
  pst_command_set_opcode(&command, PST_COMMAND_STATISTICS_READ);
  pst_statistics_read_set_address(&command, dma_address_ + statistics_offset_);
  Result<uint64_t> done = execute(command);
  if (!done) {
    return done.error();
  }
  pst_port_statistics statistics;
  std::memcpy(&statistics, static_cast<uint8_t*>(memory_.base) + statistics_offset_, sizeof statistics);
  return statistics;
}

}  // namespace postern
