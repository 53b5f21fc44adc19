// One host's NIC in a live run: connects the device (sim/nic_device.h) to the vfio-user server, the shared doorbell
// pages and the host memory that its client mapped. Hides the host bridge: register reads take simulated time, so a
// SystemC thread does them one after the other. Packet walk: doorbell page to device, device to host memory, MSI-X to
// eventfd. Include only from C++17 translation units.
#pragma once

#include <poll.h>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <systemc>
#include <tlm>
#include <vector>

#include "driver/result.h"
#include "sim/doorbell_pages.h"
#include "sim/host_dma_regions.h"
#include "sim/nic_device.h"
#include "sim/pci_config_space.h"
#include "sim/stage_observer.h"
#include "sim/stage_trace.h"
#include "sim/vfio_user_server.h"

namespace postern::sim {

class LiveNic : public sc_core::sc_module,
                private VfioUserBackend,
                private DoorbellSink,
                private MsixIf,
                private ViLifecycleIf,
                private tlm::tlm_fw_transport_if<>,
                private tlm::tlm_bw_transport_if<> {
 public:
  // Binds all sockets and ports of device but its wires, which the network binds. trace may be shared by all NICs.
  // device and trace outlive this object.
  LiveNic(const sc_core::sc_module_name& name, std::string host, NicDevice& device, StageTrace& trace);

  // Makes the shared pages and listens for a client. Before the simulation starts.
  [[nodiscard]] Status listen(const std::string& socket_path);

  // --- the live loop, between two steps of the simulation ---
  // Delivers doorbells that changed in shared pages. True if there were any.
  bool poll_doorbells() { return pages_->poll(); }
  [[nodiscard]] DoorbellPages& pages() { return *pages_; }
  [[nodiscard]] VfioUserServer& server() { return *server_; }

  // --- for the status ---
  [[nodiscard]] const std::string& host() const { return host_; }
  [[nodiscard]] NicDevice& device() { return device_; }
  [[nodiscard]] size_t dma_regions_count() const { return memory_.count(); }
  [[nodiscard]] size_t started_vis_count() const { return started_vis_count_; }

  struct Counters {
    uint64_t doorbells = 0;       // register changes found in shared pages
    uint64_t register_reads = 0;  // over the socket
    uint64_t register_writes = 0;
    uint64_t dma_reads = 0;
    uint64_t dma_writes = 0;
    uint64_t dma_faults = 0;          // outside of mapped memory, or bus mastering is off
    uint64_t interrupts = 0;          // messages that left the device
    uint64_t interrupts_blocked = 0;  // bus mastering is off
    uint64_t resets = 0;
  };
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  struct Operation {
    bool is_reset = false;
    unsigned bar = 0;
    uint64_t offset = 0;
    unsigned width_bytes = 4;
    ReadDone read_done;
    Done reset_done;
  };

  // VfioUserBackend.
  uint32_t config_read(uint16_t offset, unsigned width_bytes) override { return config_.read(offset, width_bytes); }
  void config_write(uint16_t offset, unsigned width_bytes, uint32_t value) override {
    config_.write(offset, width_bytes, value);
  }
  void bar_read(unsigned bar, uint64_t offset, unsigned width_bytes, ReadDone done) override;
  void bar_write(unsigned bar, uint64_t offset, unsigned width_bytes, uint64_t value) override;
  void interrupt_connected(uint32_t vector, bool connected) override;
  void reset(Done done) override;
  void client_attached() override {}
  void client_detached(Done done) override { reset(std::move(done)); }
  // DoorbellSink.
  void doorbell_written(uint32_t vi_id, uint32_t offset, unsigned width_bytes, uint64_t value) override;
  void pio_written(uint32_t vi_id, uint32_t offset_bytes, const void* data, size_t size_bytes) override;
  // MsixIf, ViLifecycleIf.
  void raise(uint32_t vector) override;
  void vi_started(uint32_t vi_id) override;
  void vi_stopped(uint32_t vi_id) override;
  // DMA target.
  void b_transport(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) override;
  tlm::tlm_sync_enum nb_transport_fw(tlm::tlm_generic_payload& payload, tlm::tlm_phase& phase,
                                     sc_core::sc_time& delay) override;
  bool get_direct_mem_ptr(tlm::tlm_generic_payload&, tlm::tlm_dmi&) override { return false; }
  unsigned int transport_dbg(tlm::tlm_generic_payload& payload) override;
  // The device never calls back on the BAR socket.
  tlm::tlm_sync_enum nb_transport_bw(tlm::tlm_generic_payload&, tlm::tlm_phase&, sc_core::sc_time&) override {
    return tlm::TLM_COMPLETED;
  }
  void invalidate_direct_mem_ptr(sc_dt::uint64, sc_dt::uint64) override {}

  void serve_operations();  // SC_THREAD: the host bridge
  uint64_t read_register(unsigned bar, uint64_t offset, unsigned width_bytes);
  void do_reset();
  void begin(Operation operation);
  void post_write(unsigned bar, uint64_t offset, unsigned width_bytes, uint64_t value);

  const std::string host_;
  NicDevice& device_;
  tlm::tlm_initiator_socket<64> bar_initiator_;
  tlm::tlm_target_socket<64> dma_target_;
  tlm::tlm_generic_payload write_payload_;  // reused: a posted write returns at once

  PciConfigSpace config_;
  HostDmaRegions memory_;
  std::unique_ptr<DoorbellPages> pages_;
  HostStageTrace stages_;
  TraceStageObserver observer_;
  std::vector<bool> started_vis_;
  size_t started_vis_count_ = 0;
  Counters counters_;

  std::deque<Operation> operations_;
  sc_core::sc_event operation_arrived_;
  std::unique_ptr<VfioUserServer> server_;  // last: its callbacks use the rest
};

}  // namespace postern::sim
