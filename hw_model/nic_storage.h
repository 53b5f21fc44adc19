// All blocks of one NIC, built and known to each other, with what concerns all of them: properties, counters, reset.
// The model is these blocks; a NIC in hardware uses those of the control path as its firmware and leaves the others
// idle.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "hw_model/admin.h"
#include "hw_model/agenda.h"
#include "hw_model/desc_fetch.h"
#include "hw_model/doorbell.h"
#include "hw_model/event_queue.h"
#include "hw_model/faults.h"
#include "hw_model/frame_pool.h"
#include "hw_model/function_registers.h"
#include "hw_model/mac_port.h"
#include "hw_model/model_bars.h"
#include "hw_model/model_control.h"
#include "hw_model/msix.h"
#include "hw_model/nic_blocks.h"
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
#include "sim/nic_device.h"

namespace postern::hw_model {

// Built in this order: a block may register properties and read those of the blocks before it.
class NicStorage {
 public:
  struct Ends {
    tlm::tlm_initiator_socket<64>& dma_socket;
    sc_core::sc_port<sim::MsixIf>& msix_port;
    Admin::LifecyclePort& lifecycle_port;
    sc_core::sc_port<sim::EthernetIf>& wire_port;
  };
  NicStorage(const Ends& ends, const std::array<uint8_t, 6>& mac_address, uint32_t vi_count_max);
  NicStorage(const NicStorage&) = delete;
  NicStorage& operator=(const NicStorage&) = delete;

  // Blocks look at their properties again.
  void configure();
  // First configuration: powered up and through its first reset before the simulation starts.
  void power_up();
  // FUNCTION.RESET, or a function-level reset: all that is planned is forgotten, in-flight DMA comes to nothing (R10)
  // and frames inside the NIC are gone. also() resets what is not here.
  void function_reset(const std::function<void()>& also = {});
  [[nodiscard]] std::vector<sim::Counter> counters() const;

  NicBlocks nic;
  Agenda agenda;
  PropertySet properties;
  FramePool frame_pool;
  PortStatistics statistics;
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
  ModelControl model_control;
  ModelBars model_bars;

 private:
  NicBlocks& wire_up();
  void become_ready(uint64_t generation, uint64_t, uint64_t, uint64_t);
};

}  // namespace postern::hw_model
