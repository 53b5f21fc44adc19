// The blocks of one NIC, as each of them sees the others. Filled in by NicModel, which owns them and only wires.
#pragma once

namespace postern::sim {
class EthernetIf;
class FaultObserver;
class StageObserver;
}  // namespace postern::sim

namespace postern::hw_model {

class Agenda;
class PropertySet;
class FramePool;
class PortStatistics;
class PcieLink;
class FunctionRegisters;
class Doorbell;
class ViTable;
class DescFetch;
class TxDma;
class RxDma;
class RxFilter;
class EventQueue;
class Timer;
class Msix;
class Translation;
class Admin;
class MacPort;
class Faults;
class Rss;
class PtpClock;
class DeviceControl;
class BarTarget;

struct NicBlocks {
  Agenda* agenda = nullptr;
  PropertySet* properties = nullptr;
  FramePool* frame_pool = nullptr;
  PortStatistics* statistics = nullptr;
  PcieLink* pcie_link = nullptr;
  FunctionRegisters* function_registers = nullptr;
  Doorbell* doorbell = nullptr;
  ViTable* vi_table = nullptr;
  DescFetch* desc_fetch = nullptr;
  TxDma* tx_dma = nullptr;
  RxDma* rx_dma = nullptr;
  RxFilter* rx_filter = nullptr;
  EventQueue* event_queue = nullptr;
  Timer* timer = nullptr;
  Msix* msix = nullptr;
  Translation* translation = nullptr;
  Admin* admin = nullptr;
  MacPort* mac_port = nullptr;
  Faults* faults = nullptr;
  Rss* rss = nullptr;
  PtpClock* ptp_clock = nullptr;
  DeviceControl* control = nullptr;              // the control path's way to the data path
  BarTarget* bar_target = nullptr;               // who takes the host's accesses
  sim::EthernetIf* wire_in = nullptr;            // who takes frames from the wire
  sim::StageObserver* observer = nullptr;        // may be null
  sim::FaultObserver* fault_observer = nullptr;  // may be null
};

}  // namespace postern::hw_model
