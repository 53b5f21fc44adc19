// See live_nic.h.
#include "sim/live_nic.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "contract/gen/pst_contract.h"
#include "sim/bar_access.h"

namespace postern::sim {
namespace {

constexpr uint32_t kMsixEntryBytes = 16;
constexpr uint32_t kMsixControlOffset = 12;  // within a table entry; bit 0 masks the vector (PCI 3.0, 6.8.2.9)
constexpr int kReadyPollsMax = 10000;
constexpr uint64_t kReadyPollNs = 1000;
constexpr uint64_t kNobodyAnswers = ~uint64_t{0};

void log_line(const std::string& text) { fmt::print(stderr, "{}\n", text); }

}  // namespace

LiveNic::LiveNic(const sc_core::sc_module_name& name, std::string host, NicDevice& device, StageTrace& trace)
    : sc_module(name),
      host_(std::move(host)),
      device_(device),
      bar_initiator_("bar_initiator"),
      dma_target_("dma_target"),
      stages_(trace, false),
      observer_(stages_),
      started_vis_(PST_LIMIT_VI_COUNT_MAX, false) {
  bar_initiator_.bind(*static_cast<tlm::tlm_bw_transport_if<>*>(this));
  bar_initiator_.bind(device_.bar_socket);
  dma_target_.bind(*static_cast<tlm::tlm_fw_transport_if<>*>(this));
  device_.dma_socket.bind(dma_target_);
  device_.msix_port.bind(*static_cast<MsixIf*>(this));
  device_.lifecycle_port.bind(*static_cast<ViLifecycleIf*>(this));
  device_.set_stage_observer(&observer_);
  // A guest may reset the function through its configuration space; nobody waits for that.
  config_.set_function_reset_handler([this] { reset([] {}); });
  SC_HAS_PROCESS(LiveNic);
  SC_THREAD(serve_operations);
}

Status LiveNic::listen(const std::string& socket_path) {
  Result<std::unique_ptr<DoorbellPages>> pages = DoorbellPages::create(*this);
  if (!pages) return pages.error();
  pages_ = std::move(pages.value());
  Result<std::unique_ptr<VfioUserServer>> server =
      VfioUserServer::listen(socket_path, *this, *pages_, memory_, &log_line);
  if (!server) return server.error();
  server_ = std::move(server.value());
  return {};
}

// --- registers ---------------------------------------------------------------------------------------------------

void LiveNic::bar_read(unsigned bar, uint64_t offset, unsigned width_bytes, ReadDone done) {
  ++counters_.register_reads;
  Operation operation;
  operation.bar = bar;
  operation.offset = offset;
  operation.width_bytes = width_bytes;
  operation.read_done = std::move(done);
  begin(std::move(operation));
}

void LiveNic::bar_write(unsigned bar, uint64_t offset, unsigned width_bytes, uint64_t value) {
  ++counters_.register_writes;
  if (!config_.memory_enabled()) return;
  if (bar == PST_BAR_FUNCTION && offset == PST_FUNCTION_RESET_OFFSET && value == PST_RESET_KEY) {
    ++counters_.resets;
    pages_->function_reset();  // no doorbell of an old VI may follow the write
  }
  post_write(bar, offset, width_bytes, value);
}

void LiveNic::post_write(unsigned bar, uint64_t offset, unsigned width_bytes, uint64_t value) {
  fill_bar_access(write_payload_, tlm::TLM_WRITE_COMMAND, bar, offset, width_bytes, value);
  sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
  bar_initiator_->b_transport(write_payload_, delay);
}

void LiveNic::begin(Operation operation) {
  operations_.push_back(std::move(operation));
  operation_arrived_.notify(sc_core::SC_ZERO_TIME);
}

void LiveNic::serve_operations() {
  for (;;) {
    while (operations_.empty()) wait(operation_arrived_);
    Operation operation = std::move(operations_.front());
    operations_.pop_front();
    if (operation.is_reset) {
      do_reset();
      operation.reset_done();
    } else if (!config_.memory_enabled()) {
      operation.read_done(kNobodyAnswers);
    } else {
      operation.read_done(read_register(operation.bar, operation.offset, operation.width_bytes));
    }
  }
}

uint64_t LiveNic::read_register(unsigned bar, uint64_t offset, unsigned width_bytes) {
  uint64_t value = 0;
  tlm::tlm_generic_payload payload;
  fill_bar_access(payload, tlm::TLM_READ_COMMAND, bar, offset, width_bytes, value);
  sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
  bar_initiator_->b_transport(payload, delay);
  if (delay != sc_core::SC_ZERO_TIME) wait(delay);
  return payload.is_response_ok() ? value : kNobodyAnswers;
}

// --- reset -------------------------------------------------------------------------------------------------------

void LiveNic::reset(Done done) {
  // At once, not when the bridge gets to it: nothing that was stored before may reach the device afterwards.
  ++counters_.resets;
  pages_->function_reset();
  config_.reset();
  Operation operation;
  operation.is_reset = true;
  operation.reset_done = std::move(done);
  begin(std::move(operation));
}

void LiveNic::do_reset() {
  device_.function_reset();
  for (int i = 0; i < kReadyPollsMax; ++i) {
    const uint64_t status = read_register(PST_BAR_FUNCTION, PST_FUNCTION_STATUS_OFFSET, 4);
    if ((status & PST_FUNCTION_STATUS_READY_MASK) != 0) return;
    wait(static_cast<double>(kReadyPollNs), sc_core::SC_NS);
  }
  log_line(fmt::format("the NIC of host {} was not ready {} us after its reset", host_, kReadyPollsMax));
}

// --- doorbells ---------------------------------------------------------------------------------------------------

void LiveNic::doorbell_written(uint32_t vi_id, uint32_t offset, unsigned width_bytes, uint64_t value) {
  ++counters_.doorbells;
  post_write(PST_BAR_VI, uint64_t{vi_id} * PST_VI_WINDOW_STRIDE + PST_VI_DOORBELL_PAGE_OFFSET + offset, width_bytes,
             value);
}

void LiveNic::pio_written(uint32_t vi_id, uint32_t offset_bytes, const void* data, size_t size_bytes) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  const uint64_t page = uint64_t{vi_id} * PST_VI_WINDOW_STRIDE + PST_VI_PIO_PAGE_OFFSET;
  // Aligned words; bytes around the range keep their unknown old value in the device, which nobody reads.
  const uint64_t first = offset_bytes & ~uint64_t{7};
  const uint64_t end = offset_bytes + size_bytes;
  for (uint64_t at = first; at < end; at += sizeof(uint64_t)) {
    uint64_t word = 0;
    const uint64_t from = std::max<uint64_t>(at, offset_bytes);
    const uint64_t to = std::min<uint64_t>(at + sizeof word, end);
    std::memcpy(reinterpret_cast<uint8_t*>(&word) + (from - at), bytes + (from - offset_bytes), to - from);
    post_write(PST_BAR_VI, page + at, sizeof word, word);
  }
}

void LiveNic::vi_started(uint32_t vi_id) {
  if (Status status = pages_->vi_started(vi_id); !status) log_line(status.error().message);
  stages_.vi_started(vi_id);
  if (!started_vis_[vi_id]) ++started_vis_count_;
  started_vis_[vi_id] = true;
}

void LiveNic::vi_stopped(uint32_t vi_id) {
  pages_->vi_stopped(vi_id);
  if (started_vis_[vi_id]) --started_vis_count_;
  started_vis_[vi_id] = false;
}

// --- interrupts and DMA --------------------------------------------------------------------------------------------

void LiveNic::interrupt_connected(uint32_t vector, bool connected) {
  post_write(PST_BAR_MSIX, PST_MSIX_TABLE_OFFSET + uint64_t{vector} * kMsixEntryBytes + kMsixControlOffset, 4,
             connected ? 0 : 1);
}

void LiveNic::raise(uint32_t vector) {
  if (!config_.bus_master_enabled()) {
    ++counters_.interrupts_blocked;
    return;
  }
  ++counters_.interrupts;
  server_->raise_msix(vector);
}

void LiveNic::b_transport(tlm::tlm_generic_payload& payload, sc_core::sc_time&) {
  bool reached = false;
  if (config_.bus_master_enabled()) {
    if (payload.is_write()) {
      ++counters_.dma_writes;
      reached = memory_.write(payload.get_address(), payload.get_data_ptr(), payload.get_data_length());
    } else {
      ++counters_.dma_reads;
      reached = memory_.read(payload.get_address(), payload.get_data_ptr(), payload.get_data_length());
    }
  }
  if (!reached) ++counters_.dma_faults;
  payload.set_response_status(reached ? tlm::TLM_OK_RESPONSE : tlm::TLM_ADDRESS_ERROR_RESPONSE);
}

unsigned int LiveNic::transport_dbg(tlm::tlm_generic_payload& payload) {
  const uint32_t bytes = payload.get_data_length();
  return payload.is_read() && memory_.read(payload.get_address(), payload.get_data_ptr(), bytes) ? bytes : 0;
}

tlm::tlm_sync_enum LiveNic::nb_transport_fw(tlm::tlm_generic_payload& payload, tlm::tlm_phase&,
                                            sc_core::sc_time& delay) {
  b_transport(payload, delay);
  return tlm::TLM_COMPLETED;
}

}  // namespace postern::sim
