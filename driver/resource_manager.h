// The resource manager: the privileged half of the driver. Owns a PCI function: checks its identity, resets it, runs
// the admin queue, and hands out VIs, translations, filters, source addresses, vectors and ports. Runs unchanged in
// hostd (live) and in the simulator's hosts (virtual time). Single-threaded; calls block for round trips, all bounded.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "driver/admin_queue.h"
#include "driver/dma_allocator.h"
#include "driver/host_address.h"
#include "driver/pci_function.h"
#include "driver/port_table.h"
#include "driver/result.h"
#include "driver/vi.h"

namespace postern {

// What the device says of itself.
struct DeviceInfo {
  uint32_t version = 0;
  uint64_t contract_hash = 0;
  uint32_t vi_count = 0;
  uint32_t features = 0;  // FUNCTION.FEATURES
  std::array<uint8_t, 6> mac{};
  uint32_t link_speed_mbps = 0;
  uint32_t mtu_max_bytes = 0;
  bool link_up = false;
};

enum class EvqPolicy : uint8_t { kStall = 0, kDrop = 1, kHalt = 2 };

struct ViOptions {
  bool host_stack = false;  // gets unmatched unicast, multicast and broadcast
  bool receive_arp = true;  // a copy of every ARP frame
  bool interrupt = true;    // a vector of its own; false: the event queue is only polled
  EvqPolicy evq_policy = EvqPolicy::kStall;
  bool rx_prefix = false;
  uint8_t merge_count = 0;  // frames that one RX event may complete; more than one needs rx_prefix
  uint32_t holdoff_ns = 0;
  uint16_t holdoff_events = 0;
};

struct ViGrant {
  uint32_t vi_id = 0;
  uint32_t pd_id = 0;
  uint32_t vector = PST_VECTOR_NONE;
  uint64_t dma_address = 0;  // host DMA address of the region
};

struct PortStatistics {
  uint64_t tx_frames = 0;
  uint64_t tx_bytes = 0;
  uint64_t rx_frames = 0;
  uint64_t rx_bytes = 0;
  uint64_t interrupts = 0;
  uint64_t events = 0;
  std::array<uint64_t, PST_PORT_STATISTICS_DROPS_COUNT> drops{};  // by PST_DROP_REASON_*
};

class ResourceManager {
 public:
  struct Config {
    HostAddress address;  // the host's; granted to each VI as a source
    uint32_t mtu_bytes = 1500;
    uint64_t reset_timeout_ns = 1'000'000'000;  // device time from reset to STATUS.READY
    AdminQueue::Config admin;
    PortTable::Config ports;
  };

  // function and allocator must outlive this object.
  ResourceManager(PciFunction& function, DmaAllocator& allocator, const Config& config);
  ~ResourceManager();
  ResourceManager(const ResourceManager&) = delete;
  ResourceManager& operator=(const ResourceManager&) = delete;

  // Probes, resets and starts the function. ENODEV: not a Postern NIC; EPROTO: another contract.
  [[nodiscard]] Status start();
  // Frees all VIs in order and stops the admin queue. Also after errors; harmless if not started.
  void stop();
  // The device is gone: forgets everything without touching it.
  void abandon();

  [[nodiscard]] const DeviceInfo& device() const { return device_; }
  [[nodiscard]] const Config& config() const { return config_; }

  // Makes a VI whose rings lie in region by layout: domain address 0 is the region's first byte. region must be zeroed
  // and stay until free_vi. Installs the source grant, the ARP filter and, for the host stack, the default filters.
  [[nodiscard]] Result<ViGrant> create_vi(const DmaMemory& region, const ViLayout& layout, const ViOptions& options);
  // Stops the VI and releases its filters, ports, domain, mapping and vector, in this order. After it returns no DMA
  // to the region can happen (R10), unless it returns an error: then only a reset ends DMA.
  [[nodiscard]] Status free_vi(uint32_t vi_id);

  // Ports: request.owner is a VI id. The filter of (protocol, address, port) exists while a binding of it does.
  [[nodiscard]] Result<PortBinding> acquire_port(const PortRequest& request);
  [[nodiscard]] Status listen_port(uint32_t vi_id, uint32_t binding_id, bool listening);
  [[nodiscard]] Status release_port(uint32_t vi_id, uint32_t binding_id);
  [[nodiscard]] const PortTable& ports() const { return ports_; }

  [[nodiscard]] Result<PortStatistics> read_statistics();
  [[nodiscard]] Result<bool> link_up();
  // Is the device still there and in the state that this object left it in? See AdminQueue::check_device.
  [[nodiscard]] Status check_device() { return admin_.check_device(); }

 private:
  struct ViRecord {
    ViGrant grant;
    bool has_domain = false;
    bool has_mapping = false;
    bool has_vi = false;
  };
  using FilterKey = std::tuple<uint32_t, uint8_t, HostAddress, uint16_t>;  // VI, protocol, address, port

  [[nodiscard]] Status probe();
  [[nodiscard]] Status enable_function();
  [[nodiscard]] Status reset();
  [[nodiscard]] Status read_device_info();
  [[nodiscard]] Status configure_port();
  [[nodiscard]] Result<uint64_t> read_register(uint32_t offset, unsigned width_bytes);
  [[nodiscard]] Status check_layout(const DmaMemory& region, const ViLayout& layout) const;
  [[nodiscard]] Status build_vi(ViRecord& record, const DmaMemory& region, const ViLayout& layout,
                                const ViOptions& options);
  [[nodiscard]] Status allocate_vi(ViRecord& record, const ViLayout& layout, const ViOptions& options);
  [[nodiscard]] Status install_base_filters(uint32_t vi_id, const ViOptions& options);
  [[nodiscard]] Status tear_down(ViRecord& record);
  [[nodiscard]] Result<uint32_t> take_vector();
  [[nodiscard]] Result<uint32_t> insert_port_filter(const PortBinding& binding);
  [[nodiscard]] Status remove_filter(uint32_t filter_id);

  PciFunction& function_;
  Config config_;
  DeviceInfo device_;
  AdminQueue admin_;
  PortTable ports_;
  bool started_ = false;
  std::map<uint32_t, ViRecord> vis_;  // by VI id
  std::set<uint32_t> vectors_in_use_;
  std::map<FilterKey, uint32_t> port_filters_;  // filter ids
};

}  // namespace postern
