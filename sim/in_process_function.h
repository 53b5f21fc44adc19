// A PCI function whose device is simulated in this process, in virtual time: each access is one TLM transaction with
// its PCIe timing, host software runs in SystemC threads. Also that host's processor and memory. Packet walk: between
// the VI library's doorbell and the NIC, and between the NIC's DMA and the rings. Include only from C++17 translation
// units.
#pragma once

#include <map>
#include <memory>
#include <systemc>
#include <tlm>
#include <vector>

#include "driver/pci_function.h"
#include "sim/host_cpu.h"
#include "sim/nic_device.h"
#include "sim/pci_config_space.h"
#include "sim/stage_observer.h"
#include "sim/write_combining.h"

namespace postern::sim {

class InProcessFunction : public sc_core::sc_module,
                          public PciFunction,
                          public HostCpu,
                          private DeviceClock,
                          private MsixIf,
                          private ViLifecycleIf,
                          private tlm::tlm_fw_transport_if<> {
 public:
  // Binds all sockets and ports of nic but its wires. stages may be null (no latency by stage); both outlive this
  // object.
  InProcessFunction(const sc_core::sc_module_name& name, NicDevice& nic, const CpuCosts& costs, HostStageTrace* stages);
  ~InProcessFunction() override;

  // --- PciFunction: call from a SystemC thread ---
  [[nodiscard]] Result<uint32_t> config_read(uint16_t offset, unsigned width_bytes) override;
  [[nodiscard]] Status config_write(uint16_t offset, unsigned width_bytes, uint32_t value) override;
  [[nodiscard]] Result<uint64_t> bar_read(unsigned bar, uint64_t offset, unsigned width_bytes) override;
  [[nodiscard]] Status bar_write(unsigned bar, uint64_t offset, unsigned width_bytes, uint64_t value) override;
  [[nodiscard]] Result<std::unique_ptr<ViWindow>> open_window(uint32_t vi_id) override;
  [[nodiscard]] Result<uint64_t> dma_map(const DmaMemory& memory) override;
  [[nodiscard]] Status dma_unmap(uint64_t dma_address) override;
  [[nodiscard]] Result<std::unique_ptr<InterruptLine>> open_interrupt(uint32_t vector) override;
  [[nodiscard]] Status reset() override;
  [[nodiscard]] const DeviceClock& clock() const override { return *this; }
  void pause_ns(uint64_t duration_ns) override;

  // --- HostCpu ---
  [[nodiscard]] uint64_t now_ps() const override { return sc_core::sc_time_stamp().value() + ahead_ps_; }
  void spend_ns(double duration_ns) override {
    const auto duration_ps = static_cast<uint64_t>(duration_ns * 1000.0);
    ahead_ps_ += duration_ps;
    counters_.cpu_busy_ps += duration_ps;
  }
  void sync() override;
  void sleep_until_ps(uint64_t time_ps) override;
  void watch(uint64_t dma_address, size_t size_bytes) override;
  [[nodiscard]] uint64_t write_count() const override { return write_count_; }
  [[nodiscard]] bool wait_write(uint64_t seen_count, uint64_t deadline_ps, uint64_t period_ps) override;
  [[nodiscard]] uint64_t interrupt_count() const override { return interrupt_count_; }
  [[nodiscard]] bool wait_interrupt(uint64_t seen_count, uint64_t deadline_ps) override;
  void wake() override;
  [[nodiscard]] const CpuCosts& costs() const override { return costs_; }

  struct Counters {
    uint64_t doorbell_writes = 0;
    uint64_t register_reads = 0;
    uint64_t register_writes = 0;
    uint64_t pio_writes = 0;  // bus transactions, not stores
    uint64_t dma_reads = 0;
    uint64_t dma_writes = 0;
    uint64_t dma_faults = 0;   // outside of mapped memory, or bus mastering off
    uint64_t interrupts = 0;   // delivered
    uint64_t cpu_busy_ps = 0;  // of all threads, without waits
  };
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  class Window;
  class Interrupt;
  struct Region {
    uint64_t dma_address;
    uint64_t size_bytes;
    uint8_t* base;
  };
  // Per vector: whether a message came that no waiter has seen, how many came, and the event that waiters wait on.
  struct Vector {
    bool pending = false;
    uint64_t message_count = 0;
    sc_core::sc_event event;
    sc_core::sc_event_or_list event_or_deadline;
  };

  // DeviceClock.
  [[nodiscard]] uint64_t now_ns() const override { return now_ps() / 1000; }
  // MsixIf, ViLifecycleIf.
  void raise(uint32_t vector) override;
  void signal(Vector& vector);
  void vi_started(uint32_t vi_id) override;
  void vi_stopped(uint32_t) override {}
  // DMA target.
  void b_transport(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) override;
  tlm::tlm_sync_enum nb_transport_fw(tlm::tlm_generic_payload& payload, tlm::tlm_phase& phase,
                                     sc_core::sc_time& delay) override;
  bool get_direct_mem_ptr(tlm::tlm_generic_payload&, tlm::tlm_dmi&) override { return false; }
  unsigned int transport_dbg(tlm::tlm_generic_payload& payload) override;

  void post_write(unsigned bar, uint64_t offset, unsigned width_bytes, uint64_t value);
  // Stores into a PIO page (offset within BAR2): at most one line of the write-combining buffers.
  void store_pio(uint64_t offset, const uint8_t* data, size_t size_bytes);
  void flush_pio();
  void post_pio(uint64_t offset, const uint8_t* data, size_t size_bytes);
  uint8_t* find_memory(uint64_t dma_address, uint64_t size_bytes);
  void note_device_write(uint64_t dma_address, uint64_t size_bytes);
  void wait_until(uint64_t time_ps);
  void arm_deadline(uint64_t deadline_ps);

  NicDevice& nic_;
  const CpuCosts costs_;
  HostStageTrace* const stages_;
  std::unique_ptr<TraceStageObserver> observer_;
  tlm::tlm_target_socket<64> dma_target_;
  // The NIC calls bar_socket's initiator never back; the socket needs an interface all the same.
  struct NoBackwardPath : tlm::tlm_bw_transport_if<> {
    tlm::tlm_sync_enum nb_transport_bw(tlm::tlm_generic_payload&, tlm::tlm_phase&, sc_core::sc_time&) override {
      return tlm::TLM_COMPLETED;
    }
    void invalidate_direct_mem_ptr(sc_dt::uint64, sc_dt::uint64) override {}
  } no_backward_path_;
  tlm::tlm_initiator_socket<64> bar_initiator_;
  tlm::tlm_generic_payload write_payload_;  // reused: b_transport of a posted write returns at once

  WriteCombiner write_combiner_;
  PciConfigSpace config_;
  uint64_t ahead_ps_ = 0;      // local time of the running thread less simulated time
  uint64_t last_post_ps_ = 0;  // posted writes keep their order across threads
  uint64_t next_dma_address_;
  std::vector<Region> regions_;
  size_t last_region_idx_ = 0;
  std::map<uint32_t, std::unique_ptr<Vector>> vectors_;

  uint64_t watch_address_ = 0;
  uint64_t watch_bytes_ = 0;
  uint64_t watch_period_ps_ = 1;  // of the thread that began to spin last
  unsigned spinning_count_ = 0;
  uint64_t write_count_ = 0;
  uint64_t interrupt_count_ = 0;
  sc_core::sc_event interrupt_event_;
  sc_core::sc_event_or_list interrupt_or_deadline_;
  sc_core::sc_event watch_event_;
  // One notification serves the deadlines of all waits: a timeout per wait would stay in the kernel's queue until its
  // time and slow down everything. It may come early; waits look at the time again.
  sc_core::sc_event deadline_event_;
  uint64_t deadline_ps_ = 0;  // of the pending notification; in the past: none
  sc_core::sc_event_or_list watch_or_deadline_;
  Counters counters_;
};

}  // namespace postern::sim
