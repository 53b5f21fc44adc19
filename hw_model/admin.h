// The admin queue: fetches 64-byte commands from host memory, runs them one by one, writes completions in order. Hides
// the rings and the commands that complete only when DMA in flight has landed (R10). Bad commands get an error code
// (R12).
#pragma once

#include <cstdint>
#include <deque>
#include <systemc>

#include "contract/gen/pst_contract.h"
#include "hw_model/dma_result.h"
#include "hw_model/nic_blocks.h"
#include "sim/nic_device.h"

namespace postern::hw_model {

class Admin {
 public:
  using LifecyclePort = sc_core::sc_port<sim::ViLifecycleIf, 1, sc_core::SC_ZERO_OR_MORE_BOUND>;
  Admin(NicBlocks& nic, LifecyclePort& lifecycle);
  void configure();
  // Tells the transports that every VI has stopped, and forgets all commands.
  void reset();
  // A writable FUNCTION register other than RESET was written.
  void register_written(uint32_t offset, uint64_t value);
  [[nodiscard]] uint64_t reset_ps() const { return reset_ps_; }

 private:
  struct Outcome {
    uint32_t status = PST_ERROR_CODE_OK;
    uint32_t result = 0;
    bool later = false;  // finished by a planned action
  };

  void enable(bool on);
  void stop(uint32_t error_code);
  void doorbell(uint32_t producer_idx);
  void consumer(uint32_t consumer_idx);
  void fetch();
  void commands_arrived(uint64_t first_idx, uint64_t count, uint64_t run, uint64_t fate);
  void step();
  void run_next(uint64_t run, uint64_t, uint64_t, uint64_t);
  void complete(uint32_t status, uint32_t result);
  void completion_landed(uint64_t word0, uint64_t word1, uint64_t completion_idx, uint64_t run);

  Outcome execute(const pst_command& command);
  static uint32_t check(const pst_command& command);
  Outcome vi_alloc(const pst_command& command);
  Outcome vi_quiesce(const pst_command& command);
  Outcome unmap(const pst_command& command);
  Outcome source_grant(const pst_command& command);
  Outcome filter_insert(const pst_command& command);
  Outcome msix_bind(const pst_command& command);
  Outcome moderation_set(const pst_command& command);
  Outcome port_config(const pst_command& command);
  Outcome ptp_adjust(const pst_command& command);
  Outcome rss_alloc(const pst_command& command);
  Outcome rss_configure(const pst_command& command);
  uint32_t take_rss_configuration(const pst_command& command, DmaResult key_fate, DmaResult table_fate);
  Outcome statistics_read(const pst_command& command);
  void vi_quiet(uint32_t vi_id, uint64_t opcode, uint32_t run, uint32_t generation);
  void rss_configuration_landed(uint64_t run, uint64_t key_fate, uint64_t table_fate, uint64_t);
  void statistics_landed(uint64_t host_address, uint64_t run, uint64_t, uint64_t);

  NicBlocks& nic_;
  LifecyclePort& lifecycle_;
  const double& command_ns_;
  const double& reset_ns_;
  uint64_t command_ps_ = 0;
  uint64_t reset_ps_ = 0;

  bool enabled_ = false;
  uint32_t run_ = 0;  // grows with each enable and reset: planned actions of an older one do nothing
  uint64_t sq_base_ = 0;
  uint64_t cq_base_ = 0;
  uint32_t entries_ = 0;
  uint32_t sq_producer_idx_ = 0;
  uint32_t sq_fetch_idx_ = 0;
  uint32_t sq_done_idx_ = 0;
  uint32_t cq_producer_idx_ = 0;
  uint32_t cq_consumer_idx_ = 0;
  bool fetching_ = false;
  bool executing_ = false;
  std::deque<pst_command> commands_;  // fetched, the first is executing
};

}  // namespace postern::hw_model
