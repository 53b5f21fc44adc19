// Turns what happens at one NIC's boundary into records (sim/replay/trace_file.h): what the host did, what the device
// did, and the memory that each doorbell hands over to the device, as it is at the doorbell. No SystemC here.
#pragma once

#include <functional>
#include <vector>

#include "sim/monitor/contract_shadow.h"
#include "sim/replay/trace_file.h"

namespace postern::sim {

class BoundaryRecorder : public BoundaryObserver, private ShadowListener {
 public:
  // Gets each record; it is valid only during the call.
  using Sink = std::function<void(const TraceRecord&)>;
  BoundaryRecorder(uint32_t host_idx, HostMemoryReader& memory, std::function<uint64_t()> now_ps, Sink sink);

  // The contract state as of the present record; a DMA write is told before its meaning is taken in.
  [[nodiscard]] const ContractShadow& shadow() const { return shadow_; }

  void bar_written(uint64_t issue_ps, unsigned bar, uint64_t offset, const uint8_t* data, uint32_t bytes) override;
  void bar_read_issued(uint64_t issue_ps, unsigned bar, uint64_t offset, uint32_t bytes) override;
  void bar_read(uint64_t issue_ps, uint64_t done_ps, unsigned bar, uint64_t offset, const uint8_t* data,
                uint32_t bytes) override;
  void dma_read(uint64_t now_ps, uint64_t address, const uint8_t* data, uint32_t bytes, bool reached) override;
  void dma_written(uint64_t now_ps, uint64_t address, const uint8_t* data, uint32_t bytes, bool reached) override;
  void interrupt(uint64_t now_ps, uint32_t vector) override;
  void frame_sent(uint64_t now_ps, const FramePtr& frame) override;
  void frame_received(uint64_t now_ps, const FramePtr& frame) override;
  void link_changed(uint64_t now_ps, bool up) override;
  void function_reset(uint64_t now_ps) override;

 private:
  void doorbell(uint64_t issue_ps, const ShadowVi& vi, uint32_t offset, uint64_t value, bool repeated) override;
  TraceRecord& begin(RecordKind kind, uint64_t time_ps);
  void set_data(const uint8_t* data, size_t bytes) { record_.data.assign(data, data + bytes); }
  void keep_host_memory(uint64_t host_address, uint64_t bytes);
  void keep_domain_memory(const ShadowVi& vi, uint64_t address, uint64_t bytes);
  void keep_ring(const ShadowVi& vi, uint64_t ring_address, uint32_t entries, uint32_t first_idx, uint32_t count);
  void keep_tx(const ShadowVi& vi, uint32_t first_idx, uint32_t count);
  void keep_commands(uint32_t producer_idx);

  const uint32_t host_idx_;
  HostMemoryReader& memory_;
  std::function<uint64_t()> now_ps_;
  Sink sink_;
  ContractShadow shadow_;
  TraceRecord record_;  // reused
  std::vector<ShadowSegment> segments_;
};

}  // namespace postern::sim
