// BAR0 registers. See function_registers.h.
#include "hw_model/function_registers.h"

#include "contract/gen/pst_contract.h"
#include "hw_model/admin.h"
#include "hw_model/agenda.h"
#include "hw_model/doorbell.h"
#include "hw_model/mac_port.h"
#include "hw_model/port_statistics.h"
#include "hw_model/ptp_clock.h"
#include "hw_model/tx_dma.h"
#include "hw_model/vi_table.h"

namespace postern::hw_model {

namespace {
// What this device always offers of the contract's options; blocks with a choice add theirs.
constexpr uint32_t kFeatures = PST_FUNCTION_FEATURES_TIMESTAMP_MASK | PST_FUNCTION_FEATURES_VLAN_MASK |
                               PST_FUNCTION_FEATURES_TX_CHECKSUM_MASK | PST_FUNCTION_FEATURES_RX_CHECKSUM_MASK |
                               PST_FUNCTION_FEATURES_RSS_MASK | PST_FUNCTION_FEATURES_EVENT_MERGE_MASK |
                               PST_FUNCTION_FEATURES_ADAPTIVE_MODERATION_MASK | PST_FUNCTION_FEATURES_PAUSE_MASK;
}  // namespace

FunctionRegisters::FunctionRegisters(NicBlocks& nic)
    : nic_(nic), function_(contract::kFunctionRegisters), clock_(contract::kClockRegisters) {
  function_.on_any_write([this](const contract::RegisterInfo& info, uint64_t value) {
    if (info.offset != PST_FUNCTION_RESET_OFFSET) {
      nic_.admin->register_written(info.offset, value);
    } else if (value == PST_RESET_KEY) {
      reset_key_();
    } else {
      ++nic_.statistics->bad_resets;
    }
  });
}

void FunctionRegisters::configure() {
  function_.set_reset_value(PST_FUNCTION_FEATURES_OFFSET,
                            kFeatures | nic_.doorbell->features() | nic_.tx_dma->features());
  function_.set_reset_value(PST_FUNCTION_MAC_ADDRESS_OFFSET, nic_.mac_port->address());
  function_.set_reset_value(PST_FUNCTION_LINK_SPEED_MBPS_OFFSET, nic_.mac_port->rate_mbps());
  function_.set_reset_value(PST_FUNCTION_MTU_MAX_BYTES_OFFSET, nic_.mac_port->mtu_max_bytes());
  function_.set_reset_value(PST_FUNCTION_VI_COUNT_OFFSET, nic_.vi_table->vi_count());
}

void FunctionRegisters::reset() {
  ready_ = false;
  configure();
  function_.reset();
}

void FunctionRegisters::ready() { ready_ = true; }

void FunctionRegisters::write(uint64_t offset, unsigned width_bytes, uint64_t value) {
  auto outcome = contract::AccessOutcome::kNoRegister;
  if (offset < PST_CLOCK_PAGE_OFFSET) {
    if (!ready_ && offset != PST_FUNCTION_RESET_OFFSET) return;  // the function is in reset
    outcome = function_.write(static_cast<uint32_t>(offset), width_bytes, value);
  } else if (offset < PST_BAR_FUNCTION_SIZE) {
    outcome = clock_.write(static_cast<uint32_t>(offset - PST_CLOCK_PAGE_OFFSET), width_bytes, value);
  }
  if (outcome != contract::AccessOutcome::kOk && outcome != contract::AccessOutcome::kReadOnly)
    ++nic_.statistics->bad_accesses;
}

void FunctionRegisters::refresh() {
  const uint64_t now_ns = Agenda::now_ps() / 1000;
  function_.set(PST_FUNCTION_DEVICE_TIME_NS_OFFSET, now_ns);
  function_.set(PST_FUNCTION_PTP_TIME_NS_OFFSET, nic_.ptp_clock->time_ns(Agenda::now_ps()));
  clock_.set(PST_CLOCK_TIME_NS_OFFSET, now_ns);
  clock_.set(PST_CLOCK_GENERATION_OFFSET, generation_);
  function_.set(PST_FUNCTION_STATUS_OFFSET, (ready_ ? PST_FUNCTION_STATUS_READY_MASK : 0) |
                                                (nic_.mac_port->link_up() ? PST_FUNCTION_STATUS_LINK_UP_MASK : 0));
}

uint64_t FunctionRegisters::read(uint64_t offset, unsigned width_bytes) {
  refresh();
  uint64_t value = 0;
  auto outcome = contract::AccessOutcome::kNoRegister;
  if (offset < PST_CLOCK_PAGE_OFFSET) {
    outcome = function_.read(static_cast<uint32_t>(offset), width_bytes, value);
  } else if (offset < PST_BAR_FUNCTION_SIZE) {
    outcome = clock_.read(static_cast<uint32_t>(offset - PST_CLOCK_PAGE_OFFSET), width_bytes, value);
  }
  if (outcome != contract::AccessOutcome::kOk) ++nic_.statistics->bad_accesses;
  return value;
}

}  // namespace postern::hw_model
