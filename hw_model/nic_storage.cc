// Construction, counters and reset of all blocks. See nic_storage.h.
#include "hw_model/nic_storage.h"

#include <string>

namespace postern::hw_model {

NicStorage::NicStorage(const Ends& ends, const std::array<uint8_t, 6>& mac_address, uint32_t vi_count_max)
    : pcie_link(wire_up(), ends.dma_socket),
      function_registers(nic),
      doorbell(nic),
      vi_table(nic, vi_count_max),
      desc_fetch(nic),
      tx_dma(nic),
      rx_dma(nic),
      rx_filter(nic),
      event_queue(nic),
      timer(nic),
      msix(nic, ends.msix_port),
      translation(nic),
      admin(nic, ends.lifecycle_port),
      mac_port(nic, ends.wire_port, mac_address),
      faults(nic),
      model_control(nic),
      model_bars(nic) {}

// Blocks hold on to the addresses of each other, which are known before they are built.
NicBlocks& NicStorage::wire_up() {
  nic.agenda = &agenda;
  nic.properties = &properties;
  nic.frame_pool = &frame_pool;
  nic.statistics = &statistics;
  nic.pcie_link = &pcie_link;
  nic.function_registers = &function_registers;
  nic.doorbell = &doorbell;
  nic.vi_table = &vi_table;
  nic.desc_fetch = &desc_fetch;
  nic.tx_dma = &tx_dma;
  nic.rx_dma = &rx_dma;
  nic.rx_filter = &rx_filter;
  nic.event_queue = &event_queue;
  nic.timer = &timer;
  nic.msix = &msix;
  nic.translation = &translation;
  nic.admin = &admin;
  nic.mac_port = &mac_port;
  nic.faults = &faults;
  nic.rss = &rss;
  nic.ptp_clock = &ptp_clock;
  nic.control = &model_control;
  nic.bar_target = &model_bars;
  nic.wire_in = &mac_port;
  return nic;
}

void NicStorage::configure() {
  pcie_link.configure();
  mac_port.configure();
  vi_table.configure();
  desc_fetch.configure();
  tx_dma.configure();
  rx_dma.configure();
  event_queue.configure();
  admin.configure();
  function_registers.configure();
  faults.configure();
}

void NicStorage::power_up() {
  configure();
  vi_table.reset();
  function_registers.reset();
  function_registers.ready();
}

void NicStorage::function_reset(const std::function<void()>& also) {
  if (faults.removed()) return;
  agenda.clear();
  model_control.reset();
  admin.reset();
  statistics.reset();
  pcie_link.reset();
  tx_dma.reset();
  rx_dma.reset();
  vi_table.reset();
  rx_filter.reset();
  rss.reset();
  ptp_clock.reset();
  translation.reset();
  doorbell.reset();
  msix.reset();
  mac_port.reset();
  function_registers.reset();
  const uint32_t generation = function_registers.next_generation();
  agenda.at<&NicStorage::become_ready>(Agenda::now_ps() + admin.reset_ps(), this, generation);
  if (also) also();
  faults.reset();
}

void NicStorage::become_ready(uint64_t generation, uint64_t, uint64_t, uint64_t) {
  if (generation == function_registers.generation()) function_registers.ready();
}

std::vector<sim::Counter> NicStorage::counters() const {
  const PortStatistics& s = statistics;
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
      {"vi.active", vi_table.active_count()},
      {"filters", rx_filter.count()},
  };
  for (size_t reason = 0; reason < s.drops.size(); ++reason) {
    counters.push_back({std::string("drops.") + pst_drop_reason_name(reason), s.drops[reason]});
  }
  pcie_link.append_counters(counters);
  faults.append_counters(counters);
  vi_table.append_counters(counters);
  return counters;
}

}  // namespace postern::hw_model
