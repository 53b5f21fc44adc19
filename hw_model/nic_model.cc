// Wiring of the blocks. See nic_model.h.
#include "hw_model/nic_model.h"

#include "hw_model/admin.h"
#include "hw_model/agenda.h"
#include "hw_model/desc_fetch.h"
#include "hw_model/doorbell.h"
#include "hw_model/event_queue.h"
#include "hw_model/faults.h"
#include "hw_model/frame_pool.h"
#include "hw_model/function_registers.h"
#include "hw_model/mac_port.h"
#include "hw_model/msix.h"
#include "hw_model/pcie_link.h"
#include "hw_model/port_statistics.h"
#include "hw_model/properties.h"
#include "hw_model/ptp_clock.h"
#include "hw_model/rss.h"
#include "hw_model/rx_dma.h"
#include "hw_model/rx_filter.h"
#include "hw_model/timer.h"
#include "hw_model/translation.h"
#include "hw_model/tx_dma.h"
#include "hw_model/vi_table.h"

namespace postern::hw_model {

// Built in this order: a block may register properties and read those of the blocks before it.
struct NicModel::Owned {
  Owned(NicModel& model, const std::array<uint8_t, 6>& mac_address)
      : nic(fill(model.nic_, *this)),
        pcie_link(nic, model.dma_socket),
        function_registers(nic),
        doorbell(nic),
        vi_table(nic),
        desc_fetch(nic),
        tx_dma(nic),
        rx_dma(nic),
        rx_filter(nic),
        event_queue(nic),
        timer(nic),
        msix(nic, model.msix_port),
        translation(nic),
        admin(nic, model.lifecycle_port),
        mac_port(nic, model.wire_port, mac_address),
        faults(nic) {}

  static NicBlocks& fill(NicBlocks& nic, Owned& owned) {
    nic.agenda = &owned.agenda;
    nic.properties = &owned.properties;
    nic.frame_pool = &owned.frame_pool;
    nic.statistics = &owned.statistics;
    nic.pcie_link = &owned.pcie_link;
    nic.function_registers = &owned.function_registers;
    nic.doorbell = &owned.doorbell;
    nic.vi_table = &owned.vi_table;
    nic.desc_fetch = &owned.desc_fetch;
    nic.tx_dma = &owned.tx_dma;
    nic.rx_dma = &owned.rx_dma;
    nic.rx_filter = &owned.rx_filter;
    nic.event_queue = &owned.event_queue;
    nic.timer = &owned.timer;
    nic.msix = &owned.msix;
    nic.translation = &owned.translation;
    nic.admin = &owned.admin;
    nic.mac_port = &owned.mac_port;
    nic.faults = &owned.faults;
    nic.rss = &owned.rss;
    nic.ptp_clock = &owned.ptp_clock;
    return nic;
  }

  Agenda agenda;
  PropertySet properties;
  FramePool frame_pool;
  PortStatistics statistics;
  NicBlocks& nic;
  PcieLink pcie_link;
  FunctionRegisters function_registers;
  Doorbell doorbell;
  ViTable vi_table;
  DescFetch desc_fetch;
  TxDma tx_dma;
  RxDma rx_dma;
  RxFilter rx_filter;
  EventQueue event_queue;
  Timer timer;
  Msix msix;
  Translation translation;
  Admin admin;
  MacPort mac_port;
  Faults faults;
  Rss rss;
  PtpClock ptp_clock;
};

NicModel::NicModel(const sc_core::sc_module_name& name, const std::array<uint8_t, 6>& mac_address)
    : NicDevice(name), owned_(std::make_unique<Owned>(*this, mac_address)) {
  if (sc_core::sc_get_time_resolution() != sc_core::sc_time(1, sc_core::SC_PS)) {
    SC_REPORT_FATAL("postern", "the NIC model needs a SystemC time resolution of 1 ps; leave the default");
  }
  bar_socket.bind(owned_->pcie_link);
  dma_socket.bind(owned_->pcie_link);
  wire_export.bind(owned_->mac_port);
  owned_->properties.on_change([this] { configure(); });
  owned_->function_registers.on_reset_key([this] { function_reset(); });
  owned_->faults.on_function_reset([this] { function_reset(); });
  configure();
  owned_->vi_table.reset();
  owned_->function_registers.reset();
  owned_->function_registers.ready();  // powered up and through its first reset before the simulation starts

  SC_METHOD(run_agenda);
  sensitive << owned_->agenda.event();
  dont_initialize();
}

NicModel::~NicModel() = default;

void NicModel::run_agenda() { owned_->agenda.run(); }

void NicModel::configure() {
  owned_->pcie_link.configure();
  owned_->mac_port.configure();
  owned_->vi_table.configure();
  owned_->desc_fetch.configure();
  owned_->tx_dma.configure();
  owned_->rx_dma.configure();
  owned_->event_queue.configure();
  owned_->admin.configure();
  owned_->function_registers.configure();
  owned_->faults.configure();
}

sim::PropertyResult NicModel::set_property(const std::string& name, double value) {
  return owned_->properties.set(name, value);
}

std::vector<sim::Property> NicModel::properties() const { return owned_->properties.list(); }

std::vector<sim::Counter> NicModel::counters() const {
  const PortStatistics& s = owned_->statistics;
  std::vector<sim::Counter> counters{
      {"tx.frames", s.tx_frames},
      {"tx.bytes", s.tx_bytes},
      {"tx.packets", s.tx_packets},
      {"tx.extra_frames", s.tx_extra_frames},
      {"mac.tx_busy_ps", s.tx_busy_ps},
      {"mac.rx_busy_ps", s.rx_busy_ps},
      {"tx.buffer_full_ps", s.tx_buffer_full_ps},
      {"evq_stalls", s.evq_stalls},
      {"tx.cut_short", s.tx_cut_short},
      {"tx.loopback", s.tx_loopback},
      {"rx.frames", s.rx_frames},
      {"rx.bytes", s.rx_bytes},
      {"rx.delivered", s.rx_delivered},
      {"rx.extra_copies", s.rx_extra_copies},
      {"rx.pause_frames", s.rx_pause_frames},
      {"tx.pause_frames", s.tx_pause_frames},
      {"interrupts", s.interrupts},
      {"events", s.events},
      {"events_dropped", s.events_dropped},
      {"events_lost", s.events_lost},
      {"doorbells_ignored", s.doorbells_ignored},
      {"bad_accesses", s.bad_accesses},
      {"bad_resets", s.bad_resets},
      {"vi.active", owned_->vi_table.active_count()},
      {"filters", owned_->rx_filter.count()},
  };
  for (size_t reason = 0; reason < s.drops.size(); ++reason) {
    counters.push_back({std::string("drops.") + pst_drop_reason_name(reason), s.drops[reason]});
  }
  owned_->pcie_link.append_counters(counters);
  owned_->faults.append_counters(counters);
  owned_->vi_table.append_counters(counters);
  return counters;
}

// All that is planned is forgotten: in-flight DMA comes to nothing (R10) and frames inside the NIC are gone.
void NicModel::function_reset() {
  if (owned_->faults.removed()) return;
  owned_->agenda.clear();
  owned_->admin.reset();
  owned_->statistics.reset();
  owned_->pcie_link.reset();
  owned_->tx_dma.reset();
  owned_->rx_dma.reset();
  owned_->vi_table.reset();
  owned_->rx_filter.reset();
  owned_->rss.reset();
  owned_->ptp_clock.reset();
  owned_->translation.reset();
  owned_->doorbell.reset();
  owned_->msix.reset();
  owned_->mac_port.reset();
  owned_->function_registers.reset();
  const uint32_t generation = owned_->function_registers.next_generation();
  owned_->agenda.at<&NicModel::become_ready>(Agenda::now_ps() + owned_->admin.reset_ps(), this, generation);
  owned_->faults.reset();
}

void NicModel::become_ready(uint64_t generation, uint64_t, uint64_t, uint64_t) {
  if (generation == owned_->function_registers.generation()) owned_->function_registers.ready();
}

void NicModel::set_stage_observer(sim::StageObserver* observer) { nic_.observer = observer; }

void NicModel::set_fault_observer(sim::FaultObserver* observer) {
  nic_.fault_observer = observer;
  owned_->statistics.drop_observer = observer;
}

}  // namespace postern::hw_model
