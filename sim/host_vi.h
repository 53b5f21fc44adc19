// A VI of a virtual host that a workload drives itself, without a stack: its memory (rings, receive and send buffers),
// window and the driver's handle on it. Every call but the accessors must come from a thread of the simulation.
#pragma once

#include <cstdint>
#include <memory>

#include "driver/dma_allocator.h"
#include "driver/resource_manager.h"
#include "driver/vi.h"
#include "sim/virtual_host.h"

namespace postern::sim {

class HostVi {
 public:
  struct Options {
    ViGeometry geometry;
    EvqPolicy evq_policy = EvqPolicy::kStall;
    uint32_t buffer_bytes = 0;  // of each receive and send buffer, one per ring entry; 0: no buffers
    uint16_t udp_port = 0;      // frames to it on the host's address arrive here; 0: none do
  };

  // Errors are the resource manager's: no free VI, port in use, the device is gone.
  [[nodiscard]] static Result<std::unique_ptr<HostVi>> open(VirtualHost& host, const Options& options);
  // Stops the device's DMA; then the memory may go with this object. Call it before the object goes.
  [[nodiscard]] Status close();
  ~HostVi();
  HostVi(const HostVi&) = delete;
  HostVi& operator=(const HostVi&) = delete;

  [[nodiscard]] Vi& vi() { return vi_; }
  // Offset in the VI's region of the buffer that belongs to a ring index, and where this process sees it.
  [[nodiscard]] uint64_t rx_offset(uint32_t idx) const {
    return rx_buffers_offset_ + uint64_t{idx & (options_.geometry.rx_entries - 1)} * options_.buffer_bytes;
  }
  [[nodiscard]] uint64_t tx_offset(uint32_t idx) const {
    return tx_buffers_offset_ + uint64_t{idx & (options_.geometry.tx_entries - 1)} * options_.buffer_bytes;
  }
  [[nodiscard]] uint8_t* memory(uint64_t offset) const { return static_cast<uint8_t*>(region_.base) + offset; }

 private:
  HostVi(VirtualHost& host, const Options& options) : host_(host), options_(options) {}
  [[nodiscard]] Status allocate();
  [[nodiscard]] Status create(ResourceManager& resources);

  VirtualHost& host_;
  const Options options_;
  HeapDmaAllocator allocator_;
  DmaMemory region_;
  ViLayout layout_;
  uint64_t rx_buffers_offset_ = 0;
  uint64_t tx_buffers_offset_ = 0;
  bool created_ = false;
  ViState state_;
  std::unique_ptr<ViWindow> window_;
  Vi vi_;
};

}  // namespace postern::sim
