// TLM ends of a simulated host: BAR accesses out, DMA and MSI-X in; see the header.
#include "sim/in_process_function.h"

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "contract/gen/pst_contract.h"
#include "sim/bar_access.h"

namespace postern::sim {
namespace {

constexpr uint64_t kFirstDmaAddress = 0x1'0000'0000;  // above 4 GiB, so that truncated addresses are noticed
constexpr uint64_t kGuardBytes = 0x10'0000;           // unmapped space between two regions
constexpr uint64_t kResetPollNs = 1000;
constexpr unsigned kResetPollsMax = 100'000;  // 100 ms: PCI Express gives a function 100 ms after a reset
constexpr uint64_t kLongestWaitPs = 86'400'000'000'000'000;  // a day; waits are bounded
constexpr uint64_t kLineBytes = WriteCombiner::kLineBytes;
constexpr uint32_t kMsixAddressLo = 0xfee00000;  // where x86 interrupt messages go

sc_core::sc_time ps(uint64_t duration_ps) { return sc_core::sc_time::from_value(duration_ps); }

}  // namespace

// --- windows and interrupts -----------------------------------------------------------------------------------------

class InProcessFunction::Window : public ViWindow {
 public:
  Window(InProcessFunction& function, uint32_t vi_id)
      : function_(function), vi_id_(vi_id), base_(uint64_t{vi_id} * PST_VI_WINDOW_STRIDE) {}

  void write_doorbell(uint32_t offset, uint64_t value) override {
    function_.spend_ns(function_.costs_.doorbell_write_ns);
    function_.counters_.doorbell_writes++;
    if (function_.stages_ != nullptr && is_tx_doorbell(offset)) {  // the index is the low half of each
      function_.stages_->tx_doorbell_written(vi_id_, static_cast<uint32_t>(value), function_.now_ps());
    }
    function_.flush_pio();  // the store's fence
    function_.post_write(PST_BAR_VI, base_ + PST_VI_DOORBELL_PAGE_OFFSET + offset, width_of(offset), value);
  }

  [[nodiscard]] uint64_t read_doorbell(uint32_t offset) const override {
    const Result<uint64_t> value =
        function_.bar_read(PST_BAR_VI, base_ + PST_VI_DOORBELL_PAGE_OFFSET + offset, width_of(offset));
    return value.ok() ? value.value() : ~uint64_t{0};
  }

  void write_pio(uint32_t offset_bytes, const void* data, size_t size_bytes) override {
    const uint64_t line_bytes = function_.costs_.write_combining_lines == 0 ? sizeof(uint64_t) : kLineBytes;
    const auto* bytes = static_cast<const uint8_t*>(data);
    uint64_t address = base_ + PST_VI_PIO_PAGE_OFFSET + offset_bytes;
    while (size_bytes > 0) {
      const size_t chunk = std::min<size_t>(size_bytes, line_bytes - address % line_bytes);
      function_.spend_ns(function_.costs_.pio_byte_ns * static_cast<double>(chunk));
      function_.store_pio(address, bytes, chunk);
      address += chunk;
      bytes += chunk;
      size_bytes -= chunk;
    }
  }

 private:
  static bool is_tx_doorbell(uint32_t offset) {
    return offset == PST_VI_TX_DOORBELL_OFFSET || offset == PST_VI_TX_PUSH_DOORBELL_OFFSET ||
           offset == PST_VI_PIO_DOORBELL_OFFSET;
  }

  static unsigned width_of(uint32_t offset) {
    switch (offset) {
      case PST_VI_EVQ_PRIME_OFFSET:
      case PST_VI_TIMER_OFFSET:
      case PST_VI_PIO_DOORBELL_OFFSET:
      case PST_VI_TX_PUSH_DESCRIPTOR_LO_OFFSET:
      case PST_VI_TX_PUSH_DESCRIPTOR_HI_OFFSET:
        return 8;
      default:
        return 4;
    }
  }

  InProcessFunction& function_;
  const uint32_t vi_id_;
  const uint64_t base_;
};

class InProcessFunction::Interrupt : public InterruptLine {
 public:
  Interrupt(InProcessFunction& function, Vector& vector) : function_(function), vector_(vector) {}

  WaitOutcome wait(uint64_t timeout_ns) override {
    function_.sync();
    const uint64_t seen_count = vector_.message_count;
    const uint64_t timeout_ps = timeout_ns < kLongestWaitPs / 1000 ? timeout_ns * 1000 : kLongestWaitPs;
    const uint64_t deadline_ps = function_.now_ps() + timeout_ps;
    while (!vector_.pending && vector_.message_count == seen_count && function_.now_ps() < deadline_ps) {
      function_.arm_deadline(deadline_ps);
      sc_core::wait(vector_.event_or_deadline);
    }
    // Several threads may have waited: each of them is signalled, not only the first that runs.
    const bool signalled = vector_.pending || vector_.message_count != seen_count;
    vector_.pending = false;
    return signalled ? WaitOutcome::kSignalled : WaitOutcome::kTimeout;
  }

  [[nodiscard]] int event_fd() const override { return -1; }

 private:
  InProcessFunction& function_;
  Vector& vector_;
};

// --- construction ---------------------------------------------------------------------------------------------------

InProcessFunction::InProcessFunction(const sc_core::sc_module_name& name, NicDevice& nic, const CpuCosts& costs,
                                     HostStageTrace* stages)
    : sc_module(name),
      nic_(nic),
      costs_(costs),
      stages_(stages),
      dma_target_("dma_target"),
      bar_initiator_("bar_initiator"),
      write_combiner_(std::max<size_t>(costs.write_combining_lines, 1)),
      next_dma_address_(kFirstDmaAddress) {
  watch_or_deadline_ |= watch_event_;
  watch_or_deadline_ |= deadline_event_;
  interrupt_or_deadline_ |= interrupt_event_;
  interrupt_or_deadline_ |= deadline_event_;
  dma_target_.bind(static_cast<tlm::tlm_fw_transport_if<>&>(*this));
  bar_initiator_.bind(no_backward_path_);
  bar_initiator_.bind(nic.bar_socket);
  nic.dma_socket.bind(dma_target_);
  nic.msix_port.bind(static_cast<MsixIf&>(*this));
  nic.lifecycle_port.bind(static_cast<ViLifecycleIf&>(*this));
  if (stages != nullptr) {
    observer_ = std::make_unique<TraceStageObserver>(*stages);
    nic.set_stage_observer(observer_.get());
  }
  config_.set_function_reset_handler([this] {
    nic_.function_reset();
    config_.reset();
  });
}

InProcessFunction::~InProcessFunction() { nic_.set_stage_observer(nullptr); }

// --- time -----------------------------------------------------------------------------------------------------------

void InProcessFunction::sync() {
  if (ahead_ps_ > 0) {
    const uint64_t duration_ps = ahead_ps_;
    ahead_ps_ = 0;  // before the switch: it belongs to the running thread
    sc_core::wait(ps(duration_ps));
  }
}

void InProcessFunction::sleep_until_ps(uint64_t time_ps) {
  sync();
  wait_until(time_ps);
}

void InProcessFunction::wait_until(uint64_t time_ps) {
  const uint64_t now = sc_core::sc_time_stamp().value();
  if (time_ps > now) {
    sc_core::wait(ps(time_ps - now));
  }
}

void InProcessFunction::arm_deadline(uint64_t deadline_ps) {
  const uint64_t now = sc_core::sc_time_stamp().value();
  if (deadline_ps_ > now && deadline_ps_ <= deadline_ps) {
    return;  // one is coming before
  }
  deadline_ps_ = deadline_ps;
  deadline_event_.notify(ps(deadline_ps - now));
}

void InProcessFunction::pause_ns(uint64_t duration_ns) {
  ahead_ps_ += duration_ns * 1000;
  sync();
}

void InProcessFunction::watch(uint64_t dma_address, size_t size_bytes) {
  watch_address_ = dma_address;
  watch_bytes_ = size_bytes;
}

bool InProcessFunction::wait_write(uint64_t seen_count, uint64_t deadline_ps, uint64_t period_ps) {
  sync();
  watch_period_ps_ = period_ps;
  deadline_ps = std::min(deadline_ps, now_ps() + kLongestWaitPs);
  while (write_count_ == seen_count && now_ps() < deadline_ps) {
    arm_deadline(deadline_ps);
    spinning_count_++;
    sc_core::wait(watch_or_deadline_);
    spinning_count_--;
  }
  return write_count_ != seen_count;
}

// A spinning thread looks at multiples of its period, so it sees the write at the next one.
void InProcessFunction::note_device_write(uint64_t dma_address, uint64_t size_bytes) {
  if (dma_address + size_bytes <= watch_address_ || dma_address >= watch_address_ + watch_bytes_) {
    return;
  }
  write_count_++;
  if (spinning_count_ > 0) {
    const uint64_t now = sc_core::sc_time_stamp().value();
    watch_event_.notify(ps(watch_period_ps_ - now % watch_period_ps_));
  }
}

bool InProcessFunction::wait_interrupt(uint64_t seen_count, uint64_t deadline_ps) {
  sync();
  deadline_ps = std::min(deadline_ps, now_ps() + kLongestWaitPs);
  while (interrupt_count_ == seen_count && now_ps() < deadline_ps) {
    arm_deadline(deadline_ps);
    sc_core::wait(interrupt_or_deadline_);
  }
  return interrupt_count_ != seen_count;
}

void InProcessFunction::wake() {
  write_count_++;
  watch_event_.notify(sc_core::SC_ZERO_TIME);
  interrupt_count_++;
  interrupt_event_.notify(sc_core::SC_ZERO_TIME);
  for (auto& [number, vector] : vectors_) {
    signal(*vector);
  }
}

// --- configuration space and BARs -----------------------------------------------------------------------------------

Result<uint32_t> InProcessFunction::config_read(uint16_t offset, unsigned width_bytes) {
  spend_ns(costs_.config_access_ns);
  sync();
  return config_.read(offset, width_bytes);
}

Status InProcessFunction::config_write(uint16_t offset, unsigned width_bytes, uint32_t value) {
  spend_ns(costs_.config_access_ns);
  sync();
  config_.write(offset, width_bytes, value);
  return {};
}

Result<uint64_t> InProcessFunction::bar_read(unsigned bar, uint64_t offset, unsigned width_bytes) {
  if ((width_bytes != 4 && width_bytes != 8) || offset % width_bytes != 0) {
    return Error{EINVAL, fmt::format("BAR{} read of {} bytes at {:#x}: expected an aligned access of 4 or 8 bytes", bar,
                                     width_bytes, offset)};
  }
  flush_pio();
  sync();
  wait_until(last_post_ps_);  // a read pushes earlier posted writes before it
  if (!config_.memory_enabled()) {
    return width_bytes == 4 ? uint64_t{0xffffffff} : ~uint64_t{0};
  }
  counters_.register_reads++;
  uint64_t value = 0;
  tlm::tlm_generic_payload payload;  // of its own: other threads may access the device while this one waits
  fill_bar_access(payload, tlm::TLM_READ_COMMAND, bar, offset, width_bytes, value);
  sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
  bar_initiator_->b_transport(payload, delay);
  if (delay != sc_core::SC_ZERO_TIME) {
    sc_core::wait(delay);
  }
  if (payload.is_response_error()) {
    return Error{EIO, fmt::format("BAR{} read at {:#x} failed: {}; the offset may be outside of the BAR", bar, offset,
                                  payload.get_response_string())};
  }
  return value;
}

Status InProcessFunction::bar_write(unsigned bar, uint64_t offset, unsigned width_bytes, uint64_t value) {
  if ((width_bytes != 4 && width_bytes != 8) || offset % width_bytes != 0) {
    return Error{EINVAL, fmt::format("BAR{} write of {} bytes at {:#x}: expected an aligned access of 4 or 8 bytes",
                                     bar, width_bytes, offset)};
  }
  spend_ns(costs_.doorbell_write_ns);
  if (config_.memory_enabled()) {
    counters_.register_writes++;
    flush_pio();
    post_write(bar, offset, width_bytes, value);
  }
  return {};
}

void InProcessFunction::post_write(unsigned bar, uint64_t offset, unsigned width_bytes, uint64_t value) {
  last_post_ps_ = std::max(last_post_ps_, now_ps());
  fill_bar_access(write_payload_, tlm::TLM_WRITE_COMMAND, bar, offset, width_bytes, value);
  sc_core::sc_time delay = ps(last_post_ps_ - sc_core::sc_time_stamp().value());
  bar_initiator_->b_transport(write_payload_, delay);
}

void InProcessFunction::store_pio(uint64_t offset, const uint8_t* data, size_t size_bytes) {
  const auto post = [this](uint64_t at, const uint8_t* bytes, size_t count) { post_pio(at, bytes, count); };
  if (costs_.write_combining_lines == 0) {
    post(offset, data, size_bytes);
  } else {
    write_combiner_.store(offset, data, size_bytes, post);
  }
}

void InProcessFunction::flush_pio() {
  write_combiner_.flush([this](uint64_t at, const uint8_t* bytes, size_t count) { post_pio(at, bytes, count); });
}

void InProcessFunction::post_pio(uint64_t offset, const uint8_t* data, size_t size_bytes) {
  counters_.pio_writes++;
  last_post_ps_ = std::max(last_post_ps_, now_ps());
  fill_bar_burst(write_payload_, bar_address(PST_BAR_VI, offset), data, static_cast<unsigned>(size_bytes));
  sc_core::sc_time delay = ps(last_post_ps_ - sc_core::sc_time_stamp().value());
  bar_initiator_->b_transport(write_payload_, delay);
}

Result<std::unique_ptr<ViWindow>> InProcessFunction::open_window(uint32_t vi_id) {
  if (vi_id >= PST_LIMIT_VI_COUNT_MAX) {
    return Error{EINVAL, fmt::format("VI {} does not exist: expected an id below {}", vi_id, PST_LIMIT_VI_COUNT_MAX)};
  }
  return std::unique_ptr<ViWindow>(std::make_unique<Window>(*this, vi_id));
}

Result<std::unique_ptr<InterruptLine>> InProcessFunction::open_interrupt(uint32_t vector) {
  if (vector >= PST_LIMIT_MSIX_VECTOR_COUNT) {
    return Error{EINVAL, fmt::format("MSI-X vector {} does not exist: expected a number below {}", vector,
                                     PST_LIMIT_MSIX_VECTOR_COUNT)};
  }
  auto& entry = vectors_[vector];
  if (entry == nullptr) {
    entry = std::make_unique<Vector>();
    entry->event_or_deadline |= entry->event;
    entry->event_or_deadline |= deadline_event_;
  }
  entry->pending = false;
  // An MSI-X table entry: address, data, vector control with the mask bit clear (PCI Local Bus 3.0, 6.8.2.9).
  const uint64_t table_entry = PST_MSIX_TABLE_OFFSET + uint64_t{vector} * 16;
  const uint32_t words[] = {kMsixAddressLo, 0, vector, 0};
  for (unsigned i = 0; i < 4; ++i) {
    if (Status status = bar_write(PST_BAR_MSIX, table_entry + i * 4, 4, words[i]); !status) {
      return status.error();
    }
  }
  const uint32_t control = config_.read(pci::kMsixControl, 2);
  config_.write(pci::kMsixControl, 2, (control | pci::kMsixControlEnable) & ~uint32_t{pci::kMsixControlFunctionMask});
  return std::unique_ptr<InterruptLine>(std::make_unique<Interrupt>(*this, *entry));
}

Status InProcessFunction::reset() {
  sync();
  wait_until(last_post_ps_);
  const uint32_t control = config_.read(pci::kExpressDeviceControl, 2);
  config_.write(pci::kExpressDeviceControl, 2, control | pci::kExpressControlReset);
  const uint32_t command = config_.read(pci::kCommand, 2);
  config_.write(pci::kCommand, 2, command | pci::kCommandMemory | pci::kCommandBusMaster);
  for (unsigned i = 0; i < kResetPollsMax; ++i) {
    const Result<uint64_t> status = bar_read(PST_BAR_FUNCTION, PST_FUNCTION_STATUS_OFFSET, 4);
    if (status.ok() && (status.value() & PST_FUNCTION_STATUS_READY_MASK) != 0) {
      return {};
    }
    pause_ns(kResetPollNs);
  }
  return Error{ETIMEDOUT, "the device did not become ready within 100 ms after a function-level reset"};
}

// --- DMA and interrupts ---------------------------------------------------------------------------------------------

Result<uint64_t> InProcessFunction::dma_map(const DmaMemory& memory) {
  if (memory.base == nullptr || memory.size_bytes == 0 || memory.size_bytes % PST_LIMIT_PAGE_BYTES != 0) {
    return Error{EINVAL, fmt::format("dma_map of {} bytes: expected memory of whole pages", memory.size_bytes)};
  }
  const uint64_t address = next_dma_address_;
  next_dma_address_ += memory.size_bytes + kGuardBytes;
  regions_.push_back({address, memory.size_bytes, static_cast<uint8_t*>(memory.base)});
  return address;
}

Status InProcessFunction::dma_unmap(uint64_t dma_address) {
  const auto it = std::find_if(regions_.begin(), regions_.end(),
                               [&](const Region& region) { return region.dma_address == dma_address; });
  if (it == regions_.end()) {
    return Error{ENOENT, fmt::format("dma_unmap of {:#x}: no memory was mapped there", dma_address)};
  }
  regions_.erase(it);  // each DMA moves its bytes at one instant: none is in flight between two events
  last_region_idx_ = 0;
  return {};
}

uint8_t* InProcessFunction::find_memory(uint64_t dma_address, uint64_t size_bytes) {
  const auto within = [&](const Region& region) {
    const uint64_t offset = dma_address - region.dma_address;
    return dma_address >= region.dma_address && offset < region.size_bytes && size_bytes <= region.size_bytes - offset;
  };
  if (last_region_idx_ < regions_.size() && within(regions_[last_region_idx_])) {
    return regions_[last_region_idx_].base + (dma_address - regions_[last_region_idx_].dma_address);
  }
  for (size_t i = 0; i < regions_.size(); ++i) {
    if (within(regions_[i])) {
      last_region_idx_ = i;
      return regions_[i].base + (dma_address - regions_[i].dma_address);
    }
  }
  return nullptr;
}

void InProcessFunction::b_transport(tlm::tlm_generic_payload& payload, sc_core::sc_time&) {
  const uint64_t address = payload.get_address();
  const uint64_t size_bytes = payload.get_data_length();
  uint8_t* memory = config_.bus_master_enabled() ? find_memory(address, size_bytes) : nullptr;
  if (memory == nullptr) {
    counters_.dma_faults++;
    payload.set_response_status(tlm::TLM_ADDRESS_ERROR_RESPONSE);
    return;
  }
  payload.set_response_status(tlm::TLM_OK_RESPONSE);
  if (payload.is_read()) {
    counters_.dma_reads++;
    std::memcpy(payload.get_data_ptr(), memory, size_bytes);
    return;
  }
  counters_.dma_writes++;
  std::memcpy(memory, payload.get_data_ptr(), size_bytes);
  note_device_write(address, size_bytes);
}

tlm::tlm_sync_enum InProcessFunction::nb_transport_fw(tlm::tlm_generic_payload& payload, tlm::tlm_phase&,
                                                      sc_core::sc_time& delay) {
  b_transport(payload, delay);
  return tlm::TLM_COMPLETED;
}

unsigned int InProcessFunction::transport_dbg(tlm::tlm_generic_payload& payload) {
  uint8_t* memory = find_memory(payload.get_address(), payload.get_data_length());
  if (memory == nullptr) {
    return 0;
  }
  if (payload.is_read()) {
    std::memcpy(payload.get_data_ptr(), memory, payload.get_data_length());
  } else if (payload.is_write()) {
    std::memcpy(memory, payload.get_data_ptr(), payload.get_data_length());
  }
  return payload.get_data_length();
}

void InProcessFunction::raise(uint32_t vector) {
  const auto it = vectors_.find(vector);
  if (it == vectors_.end() || !config_.msix_deliverable()) {
    return;
  }
  counters_.interrupts++;
  signal(*it->second);
}

void InProcessFunction::signal(Vector& vector) {
  vector.pending = true;
  vector.message_count++;
  interrupt_count_++;
  interrupt_event_.notify(sc_core::SC_ZERO_TIME);
  vector.event.notify(sc_core::SC_ZERO_TIME);
}

void InProcessFunction::vi_started(uint32_t vi_id) {
  if (stages_ != nullptr) {
    stages_->vi_started(vi_id);
  }
}

}  // namespace postern::sim
