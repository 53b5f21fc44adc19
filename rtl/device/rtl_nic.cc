// Clock, counters and reset of the Verilated NIC. See rtl_nic.h.
#include "rtl/device/rtl_nic.h"

#include <algorithm>

#include "hw_model/nic_storage.h"
#include "rtl/device/clocked_part.h"
#include "rtl/device/firmware_port.h"
#include "rtl/device/host_link.h"
#include "rtl/device/rx_frames.h"
#include "rtl/device/verilated_top.h"
#include "rtl/device/wave_file.h"
#include "rtl/device/wire_port.h"

namespace postern::rtl_device {

namespace {

// Parameters of the Verilated pst_nic_top: rtl/device/CMakeLists.txt.
constexpr uint32_t kViCount = 64;
constexpr uint32_t kDomainCount = 1024;
constexpr uint32_t kClearCyclesMax = 20000;  // for the RAMs after a reset

uint64_t now_ps() { return hw_model::Agenda::now_ps(); }

void set_clocks(Vpst_nic_top& top, CData value) {
  top.clk_i = top.clk_control_i = top.clk_event_i = top.clk_receive_i = value;
}

void drive_all(Vpst_nic_top& top, CData value) {
  top.drive_time_i = top.drive_control_i = top.drive_memory_i = top.drive_sent_i = top.drive_receive_i = value;
}

}  // namespace

struct RtlNic::Parts {
  Parts(RtlNic& nic, const std::array<uint8_t, 6>& mac_address)
      : blocks(hw_model::NicStorage::Ends{nic.dma_socket, nic.msix_port, nic.lifecycle_port, nic.wire_port},
               mac_address, kViCount),
        frames(kViCount),
        host_link(
            top, blocks, frames, [&nic] { nic.wake(); },
            [this](hw_model::Vi& vi, unsigned source, uint32_t index, std::function<void()> halted) {
              firmware_port.halt_then(vi, source, PST_ERROR_CODE_DMA_FAULT, index, std::move(halted));
            }),
        wire_port(top, blocks, nic.wire_port, frames, [&nic] { nic.wake(); }),
        firmware_port(top, blocks, frames, kViCount, kDomainCount, [&nic] { nic.wake(); }) {}

  Vpst_nic_top top;
  hw_model::NicStorage blocks;
  RxFrames frames;
  HostLink host_link;
  WirePort wire_port;
  FirmwarePort firmware_port;
  WaveFile waves;  // behind top, whose signals it names
};

RtlNic::RtlNic(const sc_core::sc_module_name& name, const std::array<uint8_t, 6>& mac_address)
    : NicDevice(name), parts_(std::make_unique<Parts>(*this, mac_address)) {
  hw_model::NicStorage& blocks = parts_->blocks;
  bar_socket.bind(blocks.pcie_link);
  dma_socket.bind(blocks.pcie_link);
  wire_export.bind(parts_->wire_port);
  blocks.nic.control = &parts_->firmware_port;
  blocks.nic.bar_target = &parts_->host_link;
  blocks.nic.wire_in = &parts_->wire_port;
  skip_idle_ = &blocks.properties.add({"rtl.skip_idle", "flag",
                                       "1: the clock stands still while nothing can change; 0: it always runs.",
                                       "results do not depend on it", 1, 0, 1});
  blocks.properties.on_change([this] { configure(); });
  blocks.function_registers.on_reset_key([this] { function_reset(); });
  blocks.faults.on_function_reset([this] { function_reset(); });
  blocks.power_up();
  reset_hardware();
  parts_->firmware_port.configure_port();

  SC_METHOD(run_agenda);
  sensitive << blocks.agenda.event();
  dont_initialize();
  SC_METHOD(tick);
  sensitive << tick_event_;
  dont_initialize();
}

RtlNic::~RtlNic() = default;

void RtlNic::run_agenda() { parts_->blocks.agenda.run(); }

void RtlNic::configure() {
  parts_->blocks.configure();
  parts_->firmware_port.configure_port();
}

// --- clock -----------------------------------------------------------------------------------------------------------

// An input has come: the first edge behind now sees it.
void RtlNic::wake() {
  const uint64_t edge_ps = std::max(edge_after(now_ps()), last_edge_ps_ + kCyclePs);
  if (edge_ps >= tick_ps_) return;
  tick_ps_ = edge_ps;
  tick_event_.cancel();
  tick_event_.notify(sc_core::sc_time::from_value(edge_ps - now_ps()));
}

void RtlNic::tick() {
  const uint64_t edge_ps = now_ps();
  tick_ps_ = kNever;
  if (parts_->blocks.faults.removed()) return;  // the card is gone
  cycle(edge_ps);
  const uint64_t next_ps = next_edge_ps(edge_ps);
  if (next_ps == kNever || next_ps >= tick_ps_) return;
  tick_ps_ = next_ps;
  tick_event_.cancel();
  tick_event_.notify(sc_core::sc_time::from_value(next_ps - edge_ps));
}

void RtlNic::cycle(uint64_t edge_ps) {
  Parts& parts = *parts_;
  Vpst_nic_top& top = parts.top;
  last_edge_ps_ = edge_ps;
  ++cycles_;
  top.drive_time_i = top.time_ns_i != edge_ps / 1000 ? 1 : 0;
  top.time_ns_i = edge_ps / 1000;
  parts.host_link.drive(edge_ps);
  parts.wire_port.drive(edge_ps);
  parts.firmware_port.drive(edge_ps);
  set_clocks(top, 0);
  top.eval();
  parts.host_link.sample(edge_ps);
  parts.wire_port.sample(edge_ps);
  parts.firmware_port.sample(edge_ps);
  count();
  const bool all = *skip_idle_ == 0 || top.due_ns_o <= top.time_ns_i;
  drive_all(top, 0);
  top.time_ns_i = (edge_ps + kCyclePs) / 1000;
  top.clk_i = 1;
  top.clk_control_i = all || !top.quiet_control_o ? 1 : 0;
  top.clk_event_i = all || !top.quiet_event_o ? 1 : 0;
  top.clk_receive_i = all || !top.quiet_receive_o ? 1 : 0;
  top.eval();
  if (records_) parts.waves.sample(edge_ps);
}

uint64_t RtlNic::next_edge_ps(uint64_t edge_ps) const {
  const Parts& parts = *parts_;
  const Vpst_nic_top& top = parts.top;
  const bool offers = top.dw_valid_o || top.dr_valid_o;
  if (!top.quiet_o || offers || *skip_idle_ == 0) return edge_ps + kCyclePs;
  uint64_t next_ps = std::min({parts.host_link.next_edge_ps(edge_ps), parts.wire_port.next_edge_ps(edge_ps),
                               parts.firmware_port.next_edge_ps(edge_ps)});
  if (top.due_ns_o < kNever / 1000) {
    const uint64_t due_ps = edge_at(top.due_ns_o * 1000);
    next_ps = std::min(next_ps, std::max(due_ps, edge_ps + kCyclePs));
  }
  return next_ps;
}

// --- counters --------------------------------------------------------------------------------------------------------

// Bits of count_o: rtl/pst_nic_top.sv.
void RtlNic::count() {
  const Vpst_nic_top& top = parts_->top;
  hw_model::PortStatistics& s = parts_->blocks.statistics;
  hw_model::ViTable& vis = parts_->blocks.vi_table;
  if (top.drop_valid_o != 0) {
    for (unsigned source = 0; source < 5; ++source) {
      if ((top.drop_valid_o >> source & 1) == 0) continue;
      s.drop(top.drop_reason_o >> (4 * source) & 0xf);
      const uint32_t vi_id = top.drop_vi_o[source / 2] >> (16 * (source % 2)) & 0xffff;
      hw_model::Vi* vi = (top.drop_vi_valid_o >> source & 1) != 0 ? vis.find(vi_id) : nullptr;
      if (vi != nullptr) ++vi->counters.drops;
    }
  }
  const uint32_t counts = top.count_o;
  if (counts == 0) return;
  const auto is = [counts](unsigned bit) { return (counts >> bit & 1) != 0; };
  if ((counts & 0xff) != 0) {
    hw_model::ViCounters none;
    hw_model::Vi* vi = vis.find(top.count_ev_vi_o);
    hw_model::ViCounters& c = vi != nullptr ? vi->counters : none;
    if (is(0)) ++s.events, ++c.events;
    if (is(1)) ++s.events_dropped, ++c.events_dropped;
    if (is(2)) ++s.evq_stalls, ++c.evq_stalls;
    if (is(3)) ++c.primes;
    if (is(4) && vi != nullptr) {
      if (vi->wake_to_vi) {
        ++c.wakeup_events;
      } else if (vi->vector < PST_LIMIT_MSIX_VECTOR_COUNT) {  // with none, nobody is woken
        ++c.interrupts;
      }
    }
    if (is(5)) ++c.overflow_marks;
    if (is(6)) ++s.events_lost;
    if (is(7)) ++s.doorbells_ignored;
  }
  if (is(8)) ++s.events_lost;
  if (is(9)) ++s.bad_accesses;
  if (is(10)) ++s.bad_accesses;
  if (is(11)) ++s.doorbells_ignored;
  if (is(12)) ++s.doorbells_ignored;
  if (is(13)) ++s.tx_packets;
  if (hw_model::Vi* vi = is(14) ? vis.find(top.count_sent_vi_o) : nullptr) ++vi->counters.tx_packets;
  if (is(15)) {
    ++s.rx_frames;
    s.rx_bytes += top.count_rx_bytes_o;
  }
  if (is(16)) ++s.rx_pause_frames;
  hw_model::Vi* receiver = is(17) || is(18) ? vis.find(top.count_rx_vi_o) : nullptr;
  if (is(17)) {
    s.rx_delivered += top.count_rx_frames_o;
    if (receiver != nullptr) receiver->counters.rx_packets += top.count_rx_frames_o;
  }
  if (is(18) && receiver != nullptr) {
    ++receiver->counters.merged_events;
    receiver->counters.merged_frames += top.count_rx_frames_o;
  }
  if (is(19)) ++s.rx_extra_copies;
  if (is(20)) s.tx_extra_frames += top.count_extra_frames_o;
}

std::vector<sim::Counter> RtlNic::counters() const {
  std::vector<sim::Counter> counters = parts_->blocks.counters();
  counters.push_back({"rtl.cycles", cycles_});
  return counters;
}

// --- reset -----------------------------------------------------------------------------------------------------------

// Asserts the reset and lets the RAMs clear, all at once: software sees the time as FUNCTION.STATUS.READY.
void RtlNic::reset_hardware() {
  Parts& parts = *parts_;
  Vpst_nic_top& top = parts.top;
  parts.host_link.reset();
  parts.wire_port.reset();
  parts.firmware_port.reset();
  top.mm_valid_i = top.dc_valid_i = top.wr_valid_i = top.wl_valid_i = top.fw_valid_i = 0;
  top.dw_ready_i = top.dr_ready_i = top.wt_ready_i = 1;
  top.time_ns_i = now_ps() / 1000;
  top.rst_ni = 0;
  drive_all(top, 0);
  top.eval();  // so that what follows is an edge for the first evaluation of all, too
  drive_all(top, 1);
  for (uint32_t i = 0; i < kClearCyclesMax; ++i) {
    set_clocks(top, 0);
    top.eval();
    if (i > 4 && top.quiet_o) break;
    set_clocks(top, 1);
    top.eval();
    if (i == 2) top.rst_ni = 1;
  }
  drive_all(top, 0);
  top.eval();
}

void RtlNic::function_reset() {
  parts_->blocks.function_reset([this] {
    reset_hardware();
    parts_->firmware_port.configure_port();
  });
}

// --- the rest of the seam --------------------------------------------------------------------------------------------

sim::PropertyResult RtlNic::set_property(const std::string& name, double value) {
  return parts_->blocks.properties.set(name, value);
}

std::vector<sim::Property> RtlNic::properties() const { return parts_->blocks.properties.list(); }

void RtlNic::set_stage_observer(sim::StageObserver* observer) { parts_->blocks.nic.observer = observer; }

void RtlNic::set_fault_observer(sim::FaultObserver* observer) {
  parts_->blocks.nic.fault_observer = observer;
  parts_->blocks.statistics.drop_observer = observer;
}

std::string RtlNic::record_waves(const sim::WaveRequest& request) {
  std::string error = parts_->waves.open(parts_->top, request);
  records_ = error.empty() && !request.only_check;
  return error;
}

}  // namespace postern::rtl_device
