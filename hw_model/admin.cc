// Admin rings: fetch, order and completion of commands. The commands themselves are in admin_commands.cc. See admin.h.
#include "hw_model/admin.h"

#include <algorithm>
#include <array>

#include "hw_model/agenda.h"
#include "hw_model/device_control.h"
#include "hw_model/function_registers.h"
#include "hw_model/pcie_link.h"
#include "hw_model/properties.h"
#include "hw_model/vi_table.h"

namespace postern::hw_model {

namespace {
constexpr uint32_t kFetchMax = 8;  // commands per read: one MRRS of 512 bytes
}

Admin::Admin(NicBlocks& nic, LifecyclePort& lifecycle)
    : nic_(nic),
      lifecycle_(lifecycle),
      command_ns_(nic.properties->add({"admin.command_ns", "ns", "Time that the device takes for one admin command.",
                                       "assumed: firmware on an embedded processor", 500, 0, 1e9})),
      reset_ns_(nic.properties->add(
          {"admin.reset_ns", "ns", "From function reset until STATUS.READY.", "assumed", 10000, 0, 1e9})) {}

void Admin::configure() {
  command_ps_ = to_ps(command_ns_);
  reset_ps_ = to_ps(reset_ns_);
}

void Admin::reset() {
  for (uint32_t id = 0; id < nic_.vi_table->vi_count(); ++id) {
    if (nic_.vi_table->find(id) != nullptr && lifecycle_.size() > 0) lifecycle_->vi_stopped(id);
  }
  stop(PST_ERROR_CODE_OK);
}

void Admin::stop(uint32_t error_code) {
  ++run_;
  enabled_ = fetching_ = executing_ = false;
  commands_.clear();
  nic_.function_registers->set(PST_FUNCTION_ADMIN_STATUS_OFFSET, error_code);
}

void Admin::register_written(uint32_t offset, uint64_t value) {
  switch (offset) {
    case PST_FUNCTION_ADMIN_ENABLE_OFFSET:
      return enable((value & 1) != 0);
    case PST_FUNCTION_ADMIN_DOORBELL_OFFSET:
      return doorbell(static_cast<uint32_t>(value));
    case PST_FUNCTION_ADMIN_CONSUMER_OFFSET:
      return consumer(static_cast<uint32_t>(value));
    default:
      return;  // bases, entries and vector are read when they are needed
  }
}

void Admin::enable(bool on) {
  if (on == enabled_) return;
  stop(PST_ERROR_CODE_OK);
  if (!on) return;
  const FunctionRegisters& registers = *nic_.function_registers;
  sq_base_ = registers.get(PST_FUNCTION_ADMIN_SQ_BASE_OFFSET);
  cq_base_ = registers.get(PST_FUNCTION_ADMIN_CQ_BASE_OFFSET);
  entries_ = static_cast<uint32_t>(registers.get(PST_FUNCTION_ADMIN_ENTRIES_OFFSET));
  const bool bad_size = entries_ < PST_LIMIT_ADMIN_ENTRIES_MIN || entries_ > PST_LIMIT_ADMIN_ENTRIES_MAX ||
                        (entries_ & (entries_ - 1)) != 0;
  if (bad_size || sq_base_ % PST_LIMIT_PAGE_BYTES != 0 || cq_base_ % PST_LIMIT_PAGE_BYTES != 0) {
    return stop(PST_ERROR_CODE_BAD_PARAMETER);
  }
  sq_producer_idx_ = sq_fetch_idx_ = sq_done_idx_ = cq_producer_idx_ = cq_consumer_idx_ = 0;
  nic_.function_registers->set(PST_FUNCTION_ADMIN_DOORBELL_OFFSET, 0);
  nic_.function_registers->set(PST_FUNCTION_ADMIN_CONSUMER_OFFSET, 0);
  enabled_ = true;
}

void Admin::doorbell(uint32_t producer_idx) {
  if (!enabled_) return;
  const uint32_t used = producer_idx - sq_done_idx_;
  if (used > entries_ || used < sq_producer_idx_ - sq_done_idx_) return stop(PST_ERROR_CODE_BAD_DOORBELL);
  sq_producer_idx_ = producer_idx;
  fetch();
}

void Admin::consumer(uint32_t consumer_idx) {
  if (!enabled_) return;
  if (consumer_idx - cq_consumer_idx_ > cq_producer_idx_ - cq_consumer_idx_) return stop(PST_ERROR_CODE_BAD_DOORBELL);
  cq_consumer_idx_ = consumer_idx;
  step();
}

void Admin::fetch() {
  const uint32_t available = sq_producer_idx_ - sq_fetch_idx_;
  if (fetching_ || available == 0 || commands_.size() >= kFetchMax) return;
  const uint32_t slot = sq_fetch_idx_ & (entries_ - 1);
  const uint32_t count = std::min({available, kFetchMax, entries_ - slot});
  fetching_ = true;
  const ReadPlan read = nic_.pcie_link->post_read(
      Agenda::now_ps(), sq_base_ + static_cast<uint64_t>(slot) * PST_COMMAND_BYTES, count * PST_COMMAND_BYTES);
  nic_.agenda->at<&Admin::commands_arrived>(read.landing_ps, this, sq_fetch_idx_, count, run_,
                                            static_cast<uint64_t>(read.fate));
}

void Admin::commands_arrived(uint64_t first_idx, uint64_t count, uint64_t run, uint64_t fate) {
  if (run != run_) return;
  std::array<pst_command, kFetchMax> batch;
  const uint64_t address = sq_base_ + (first_idx & (entries_ - 1)) * PST_COMMAND_BYTES;
  const DmaResult result = nic_.pcie_link->memory_read(
      address, batch.data(), static_cast<uint32_t>(count * PST_COMMAND_BYTES), static_cast<DmaResult>(fate));
  if (result != DmaResult::kOk) return stop(dma_error_code(result));
  commands_.insert(commands_.end(), batch.begin(), batch.begin() + static_cast<long>(count));
  sq_fetch_idx_ += static_cast<uint32_t>(count);
  fetching_ = false;
  step();
  fetch();
}

// Starts the next command if there is one and its completion will have room.
void Admin::step() {
  if (executing_ || commands_.empty() || cq_producer_idx_ - cq_consumer_idx_ >= entries_) return;
  executing_ = true;
  nic_.agenda->at<&Admin::run_next>(Agenda::now_ps() + command_ps_, this, run_);
}

void Admin::run_next(uint64_t run, uint64_t, uint64_t, uint64_t) {
  if (run != run_) return;
  const Outcome outcome = execute(commands_.front());
  if (!outcome.later) complete(outcome.status, outcome.result);
}

void Admin::complete(uint32_t status, uint32_t result) {
  const uint32_t completion_idx = cq_producer_idx_++;
  pst_admin_completion completion{};
  pst_admin_completion_set_command_id(&completion, pst_command_get_command_id(&commands_.front()));
  pst_admin_completion_set_status(&completion, status);
  pst_admin_completion_set_result(&completion, result);
  pst_admin_completion_set_phase(&completion, (completion_idx / entries_) & 1 ? 0 : 1);
  commands_.pop_front();
  ++sq_done_idx_;
  const uint64_t address =
      cq_base_ + static_cast<uint64_t>(completion_idx & (entries_ - 1)) * PST_ADMIN_COMPLETION_BYTES;
  const uint64_t landing = nic_.pcie_link->post_write(Agenda::now_ps(), address, PST_ADMIN_COMPLETION_BYTES);
  nic_.agenda->at<&Admin::completion_landed>(landing, this, completion.word[0], completion.word[1], completion_idx,
                                             run_);
  executing_ = false;
  if (commands_.empty())
    nic_.control->raise(static_cast<uint32_t>(nic_.function_registers->get(PST_FUNCTION_ADMIN_VECTOR_OFFSET)));
  step();
  fetch();
}

void Admin::completion_landed(uint64_t word0, uint64_t word1, uint64_t completion_idx, uint64_t run) {
  if (run != run_) return;
  const pst_admin_completion completion{{word0, word1}};
  const uint64_t address = cq_base_ + (completion_idx & (entries_ - 1)) * PST_ADMIN_COMPLETION_BYTES;
  const DmaResult result = nic_.pcie_link->memory_write(address, &completion, PST_ADMIN_COMPLETION_BYTES);
  if (result != DmaResult::kOk) stop(dma_error_code(result));
}

}  // namespace postern::hw_model
