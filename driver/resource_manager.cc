// The resource manager: probe, reset, VIs with their domains and filters, ports. See resource_manager.h.
#include "driver/resource_manager.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

namespace postern {
namespace {

// PCI configuration space (PCI Local Bus Specification 3.0, section 6.1).
constexpr uint16_t kPciVendorIdOffset = 0x00;
constexpr uint16_t kPciCommandOffset = 0x04;
constexpr uint32_t kPciCommandMemorySpace = 1u << 1;
constexpr uint32_t kPciCommandBusMaster = 1u << 2;
constexpr uint32_t kPciCommandIntxDisable = 1u << 10;

constexpr uint64_t kEthertypeArp = 0x0806;
constexpr uint64_t kReadyPollNs = 10'000;
constexpr uint32_t kReadyPollsMax = 200'000;  // bound for a device whose clock stands still

pst_command make_command(uint64_t opcode, uint64_t target_id) {
  pst_command command{};
  pst_command_set_opcode(&command, opcode);
  pst_command_set_target_id(&command, target_id);
  return command;
}

uint64_t contract_family(const HostAddress& address) {
  return address.family == HostAddress::Family::kIpv6 ? PST_ADDRESS_FAMILY_IPV6 : PST_ADDRESS_FAMILY_IPV4;
}

}  // namespace

ResourceManager::ResourceManager(PciFunction& function, DmaAllocator& allocator, const Config& config)
    : function_(function), config_(config), admin_(function, allocator, config.admin), ports_(config.ports) {}

ResourceManager::~ResourceManager() { stop(); }

// --- start and stop ----------------------------------------------------------------------------------------------

Status ResourceManager::start() {
  for (const auto step : {&ResourceManager::probe, &ResourceManager::reset, &ResourceManager::read_device_info}) {
    if (Status status = (this->*step)(); !status) {
      return status;
    }
  }
  if (Status status = admin_.start(); !status) {
    return status;
  }
  started_ = true;
  if (Status status = configure_port(); !status) {
    stop();
    return status;
  }
  return {};
}

void ResourceManager::stop() {
  if (!started_) {
    return;
  }
  while (!vis_.empty()) {
    (void)free_vi(vis_.begin()->first);  // an error means that the device is gone or stuck; the rest still gets its try
  }
  admin_.stop();
  started_ = false;
}

void ResourceManager::abandon() {
  for (const auto& [vi_id, record] : vis_) {
    ports_.release_all(vi_id, function_.clock().now_ns());
  }
  vis_.clear();
  vectors_in_use_.clear();
  port_filters_.clear();
  admin_.abandon();
  started_ = false;
}

Result<uint64_t> ResourceManager::read_register(uint32_t offset, unsigned width_bytes) {
  Result<uint64_t> value = function_.bar_read(PST_BAR_FUNCTION, offset, width_bytes);
  if (value && *value == ~uint64_t{0} >> (64 - 8 * width_bytes)) {  // no register of BAR0 reads like that
    return Error{ENODEV, fmt::format("the device is gone: its register at {:#x} reads as all ones", offset)};
  }
  return value;
}

// Lets the function decode memory accesses and send DMA and MSI-X.
Status ResourceManager::enable_function() {
  return function_.config_write(kPciCommandOffset, 2,
                                kPciCommandMemorySpace | kPciCommandBusMaster | kPciCommandIntxDisable);
}

Status ResourceManager::probe() {
  Result<uint32_t> identity = function_.config_read(kPciVendorIdOffset, 4);
  if (!identity) {
    return identity.error();
  }
  constexpr uint32_t kIdentity = (PST_PCI_DEVICE_ID << 16) | PST_PCI_VENDOR_ID;
  if (*identity != kIdentity) {
    return Error{ENODEV, fmt::format("PCI identity {:04x}:{:04x}, expected {:04x}:{:04x}: this is not a Postern NIC",
                                     *identity & 0xffff, *identity >> 16, PST_PCI_VENDOR_ID, PST_PCI_DEVICE_ID)};
  }
  if (Status status = enable_function(); !status) {
    return status;
  }
  Result<uint64_t> magic = read_register(PST_FUNCTION_MAGIC_OFFSET, 4);
  if (!magic) {
    return magic.error();
  }
  if (*magic != PST_MAGIC) {
    return Error{ENODEV, fmt::format("FUNCTION.MAGIC is {:#010x}, expected {:#010x}: this is not a Postern NIC", *magic,
                                     PST_MAGIC)};
  }
  Result<uint64_t> version = read_register(PST_FUNCTION_VERSION_OFFSET, 4);
  if (!version) {
    return version.error();
  }
  device_.version = static_cast<uint32_t>(*version);
  if (device_.version >> 16 != PST_CONTRACT_VERSION >> 16) {
    return Error{EPROTO, fmt::format("the device speaks contract version {}.{}, this driver {}.{}: build both from the "
                                     "same tree (make) and restart the simulator",
                                     device_.version >> 16, device_.version & 0xffff, PST_CONTRACT_VERSION >> 16,
                                     PST_CONTRACT_VERSION & 0xffff)};
  }
  Result<uint64_t> hash = read_register(PST_FUNCTION_CONTRACT_HASH_OFFSET, 8);
  if (!hash) {
    return hash.error();
  }
  device_.contract_hash = *hash;
  if (*hash != PST_CONTRACT_HASH) {
    return Error{EPROTO,
                 fmt::format("the device was built from contract {:#018x}, this driver from {:#018x}: build both "
                             "from the same tree (make) and restart the simulator",
                             *hash, PST_CONTRACT_HASH)};
  }
  return {};
}

Status ResourceManager::reset() {
  if (Status status = function_.reset(); !status) {
    return status;
  }
  if (Status status = enable_function(); !status) {  // a reset clears the command register
    return status;
  }
  const uint64_t deadline_ns = function_.clock().now_ns() + config_.reset_timeout_ns;
  for (uint32_t poll = 1;; ++poll) {
    Result<uint64_t> value = read_register(PST_FUNCTION_STATUS_OFFSET, 4);
    if (!value) {
      return value.error();
    }
    if ((*value & PST_FUNCTION_STATUS_READY_MASK) != 0) {
      return {};
    }
    if (function_.clock().now_ns() >= deadline_ns || poll >= kReadyPollsMax) {
      return Error{ETIMEDOUT, fmt::format("STATUS is {:#x}, expected READY within {} ms of device time after reset: "
                                          "restart the simulator",
                                          *value, config_.reset_timeout_ns / 1'000'000)};
    }
    function_.pause_ns(kReadyPollNs);
  }
}

Status ResourceManager::read_device_info() {
  const struct {
    uint32_t offset;
    unsigned width_bytes;
  } reads[] = {
      {PST_FUNCTION_VI_COUNT_OFFSET, 4},        {PST_FUNCTION_FEATURES_OFFSET, 4},
      {PST_FUNCTION_STATUS_OFFSET, 4},          {PST_FUNCTION_MAC_ADDRESS_OFFSET, 8},
      {PST_FUNCTION_LINK_SPEED_MBPS_OFFSET, 4}, {PST_FUNCTION_MTU_MAX_BYTES_OFFSET, 4},
  };
  std::array<uint64_t, std::size(reads)> values{};
  for (size_t i = 0; i < std::size(reads); ++i) {
    Result<uint64_t> value = read_register(reads[i].offset, reads[i].width_bytes);
    if (!value) {
      return value.error();
    }
    values[i] = *value;
  }
  device_.vi_count = static_cast<uint32_t>(values[0]);
  device_.features = static_cast<uint32_t>(values[1]);
  device_.link_up = (values[2] & PST_FUNCTION_STATUS_LINK_UP_MASK) != 0;
  std::memcpy(device_.mac.data(), &values[3], device_.mac.size());
  device_.link_speed_mbps = static_cast<uint32_t>(values[4]);
  device_.mtu_max_bytes = static_cast<uint32_t>(values[5]);
  if (config_.mtu_bytes > device_.mtu_max_bytes) {
    return Error{EINVAL, fmt::format("MTU {} is beyond the device's {}: set a smaller mtu", config_.mtu_bytes,
                                     device_.mtu_max_bytes)};
  }
  return {};
}

Status ResourceManager::configure_port() {
  pst_command command = make_command(PST_COMMAND_PORT_CONFIG, 0);
  pst_port_config_set_mtu_bytes(&command, config_.mtu_bytes);
  Result<uint64_t> done = admin_.execute(command);
  return done ? Status() : Status(done.error());
}

// --- virtual interfaces --------------------------------------------------------------------------------------------

Status ResourceManager::check_layout(const DmaMemory& region, const ViLayout& layout) const {
  if (!vi_geometry_valid(layout.geometry)) {
    return Error{EINVAL, fmt::format("ring sizes rx {} tx {} events {}: expected powers of two, rings {} to {}, events "
                                     "{} to {}",
                                     layout.geometry.rx_entries, layout.geometry.tx_entries,
                                     layout.geometry.evq_entries, PST_LIMIT_RING_ENTRIES_MIN,
                                     PST_LIMIT_RING_ENTRIES_MAX, PST_LIMIT_EVQ_ENTRIES_MIN, PST_LIMIT_EVQ_ENTRIES_MAX)};
  }
  const struct {
    uint64_t offset;
    uint64_t bytes;
  } rings[] = {
      {layout.rx_ring_offset, uint64_t{layout.geometry.rx_entries} * PST_RX_DESC_BYTES},
      {layout.tx_ring_offset, uint64_t{layout.geometry.tx_entries} * PST_TX_DESC_BYTES},
      {layout.evq_offset, uint64_t{layout.geometry.evq_entries} * PST_EVENT_BYTES},
  };
  for (const auto& ring : rings) {
    if (ring.offset % PST_LIMIT_PAGE_BYTES != 0 || ring.offset > region.size_bytes ||
        ring.bytes > region.size_bytes - ring.offset) {
      return Error{EINVAL, fmt::format("a ring at offset {} of {} bytes does not lie on a page within the region of {} "
                                       "bytes: place it by vi_layout_place",
                                       ring.offset, ring.bytes, region.size_bytes)};
    }
  }
  return {};
}

Result<uint32_t> ResourceManager::take_vector() {
  for (uint32_t vector = 0; vector < PST_LIMIT_MSIX_VECTOR_COUNT; ++vector) {
    if (vectors_in_use_.insert(vector).second) {
      return vector;
    }
  }
  return Error{ENOSPC, fmt::format("all {} MSI-X vectors are in use: stop other stacks", PST_LIMIT_MSIX_VECTOR_COUNT)};
}

Result<ViGrant> ResourceManager::create_vi(const DmaMemory& region, const ViLayout& layout, const ViOptions& options) {
  if (Status status = check_layout(region, layout); !status) {
    return status.error();
  }
  ViRecord record;
  if (Status status = build_vi(record, region, layout, options); !status) {
    (void)tear_down(record);
    return status.error();
  }
  const ViGrant grant = record.grant;
  vis_.emplace(grant.vi_id, record);
  return grant;
}

Status ResourceManager::build_vi(ViRecord& record, const DmaMemory& region, const ViLayout& layout,
                                 const ViOptions& options) {
  Result<uint64_t> address = function_.dma_map(region);
  if (!address) {
    return address.error();
  }
  record.grant.dma_address = *address;
  record.has_mapping = true;

  Result<uint64_t> domain = admin_.execute(make_command(PST_COMMAND_PD_ALLOC, 0));
  if (!domain) {
    return domain.error();
  }
  record.grant.pd_id = static_cast<uint32_t>(*domain);
  record.has_domain = true;

  pst_command map = make_command(PST_COMMAND_TRANSLATION_MAP, record.grant.pd_id);
  pst_translation_map_set_domain_address(&map, 0);
  pst_translation_map_set_host_address(&map, record.grant.dma_address);
  pst_translation_map_set_length_bytes(&map, region.size_bytes);
  pst_translation_map_set_writable(&map, 1);
  if (Result<uint64_t> mapped = admin_.execute(map); !mapped) {
    return mapped.error();
  }
  return allocate_vi(record, layout, options);
}

Status ResourceManager::allocate_vi(ViRecord& record, const ViLayout& layout, const ViOptions& options) {
  if (options.interrupt) {
    Result<uint32_t> vector = take_vector();
    if (!vector) {
      return vector.error();
    }
    record.grant.vector = *vector;
  }
  pst_command command = make_command(PST_COMMAND_VI_ALLOC, record.grant.pd_id);
  pst_vi_alloc_set_rx_ring_address(&command, layout.rx_ring_offset);
  pst_vi_alloc_set_tx_ring_address(&command, layout.tx_ring_offset);
  pst_vi_alloc_set_evq_address(&command, layout.evq_offset);
  pst_vi_alloc_set_rx_entries(&command, layout.geometry.rx_entries);
  pst_vi_alloc_set_tx_entries(&command, layout.geometry.tx_entries);
  pst_vi_alloc_set_evq_entries(&command, layout.geometry.evq_entries);
  pst_vi_alloc_set_evq_policy(&command, static_cast<uint64_t>(options.evq_policy));
  pst_vi_alloc_set_rx_prefix(&command, options.rx_prefix);
  pst_vi_alloc_set_merge_count(&command, options.merge_count);
  pst_vi_alloc_set_vector(&command, record.grant.vector);
  pst_vi_alloc_set_holdoff_ns(&command, options.holdoff_ns);
  pst_vi_alloc_set_holdoff_events(&command, options.holdoff_events);
  Result<uint64_t> vi = admin_.execute(command);
  if (!vi) {
    return vi.error();
  }
  record.grant.vi_id = static_cast<uint32_t>(*vi);
  record.has_vi = true;

  pst_command grant = make_command(PST_COMMAND_SOURCE_GRANT, record.grant.vi_id);
  pst_source_grant_set_family(&grant, contract_family(config_.address));
  pst_source_grant_set_address_lo(&grant, config_.address.low_word());
  pst_source_grant_set_address_hi(&grant, config_.address.high_word());
  if (Result<uint64_t> granted = admin_.execute(grant); !granted) {
    return granted.error();
  }
  return install_base_filters(record.grant.vi_id, options);
}

// These go with VI_FREE; their ids need not be kept.
Status ResourceManager::install_base_filters(uint32_t vi_id, const ViOptions& options) {
  std::vector<pst_command> commands;
  if (options.receive_arp) {
    pst_command arp = make_command(PST_COMMAND_FILTER_INSERT, vi_id);
    pst_filter_insert_set_match(&arp, PST_FILTER_MATCH_ETHERTYPE);
    pst_filter_insert_set_ethertype(&arp, kEthertypeArp);
    pst_filter_insert_set_replicate(&arp, 1);
    commands.push_back(arp);
  }
  if (options.host_stack) {
    pst_command mac = make_command(PST_COMMAND_FILTER_INSERT, vi_id);
    uint64_t mac_word = 0;
    std::memcpy(&mac_word, device_.mac.data(), device_.mac.size());
    pst_filter_insert_set_match(&mac, PST_FILTER_MATCH_MAC);
    pst_filter_insert_set_family(&mac, PST_ADDRESS_FAMILY_MAC);
    pst_filter_insert_set_local_address_lo(&mac, mac_word);
    commands.push_back(mac);
    pst_command multicast = make_command(PST_COMMAND_FILTER_INSERT, vi_id);
    pst_filter_insert_set_match(&multicast, PST_FILTER_MATCH_MULTICAST_DEFAULT);
    commands.push_back(multicast);
  }
  for (const pst_command& command : commands) {
    if (Result<uint64_t> inserted = admin_.execute(command); !inserted) {
      return inserted.error();
    }
  }
  return {};
}

// Stops DMA before it takes away what DMA uses. Goes on after an error and reports the first one.
Status ResourceManager::tear_down(ViRecord& record) {
  Status first;
  const auto note = [&first](const auto& result) {
    if (!result.ok() && first.ok()) {
      first = result.error();
    }
  };
  if (record.has_vi) {
    note(admin_.execute(make_command(PST_COMMAND_VI_FREE, record.grant.vi_id)));
  }
  if (record.has_domain) {
    note(admin_.execute(make_command(PST_COMMAND_PD_FREE, record.grant.pd_id)));
  }
  if (record.has_mapping) {
    note(function_.dma_unmap(record.grant.dma_address));
  }
  vectors_in_use_.erase(record.grant.vector);
  return first;
}

Status ResourceManager::free_vi(uint32_t vi_id) {
  const auto found = vis_.find(vi_id);
  if (found == vis_.end()) {
    return Error{ENOENT, fmt::format("VI {} is not allocated", vi_id)};
  }
  Status status = tear_down(found->second);
  ports_.release_all(vi_id, function_.clock().now_ns());
  std::erase_if(port_filters_, [vi_id](const auto& entry) { return std::get<0>(entry.first) == vi_id; });
  vis_.erase(found);
  return status;
}

// --- ports -----------------------------------------------------------------------------------------------------------

Result<uint32_t> ResourceManager::insert_port_filter(const PortBinding& binding) {
  pst_command command = make_command(PST_COMMAND_FILTER_INSERT, binding.owner);
  pst_filter_insert_set_match(&command,
                              binding.local.is_any() ? PST_FILTER_MATCH_LISTENER_ANY : PST_FILTER_MATCH_LISTENER);
  pst_filter_insert_set_family(&command, contract_family(binding.local));
  pst_filter_insert_set_protocol(&command, binding.protocol);
  pst_filter_insert_set_local_port(&command, binding.port);
  pst_filter_insert_set_local_address_lo(&command, binding.local.low_word());
  pst_filter_insert_set_local_address_hi(&command, binding.local.high_word());
  Result<uint64_t> filter = admin_.execute(command);
  if (!filter) {
    return filter.error();
  }
  return static_cast<uint32_t>(*filter);
}

Status ResourceManager::remove_filter(uint32_t filter_id) {
  Result<uint64_t> done = admin_.execute(make_command(PST_COMMAND_FILTER_REMOVE, filter_id));
  return done ? Status() : Status(done.error());
}

Result<PortBinding> ResourceManager::acquire_port(const PortRequest& request) {
  if (!vis_.contains(request.owner)) {
    return Error{ENOENT, fmt::format("VI {} is not allocated", request.owner)};
  }
  if (!request.local.is_any() && !(request.local == config_.address)) {
    return Error{EADDRNOTAVAIL, fmt::format("{} is not an address of this host, which has {}", request.local.text(),
                                            config_.address.text())};
  }
  const uint64_t now_ns = function_.clock().now_ns();
  Result<PortBinding> binding = ports_.acquire(request, now_ns);
  if (!binding || ports_.shares_key(*binding)) {
    return binding;
  }
  Result<uint32_t> filter = insert_port_filter(*binding);
  if (!filter) {
    (void)ports_.release(request.owner, binding->binding_id);
    return filter.error();
  }
  port_filters_[FilterKey{binding->owner, binding->protocol, binding->local, binding->port}] = *filter;
  return binding;
}

Status ResourceManager::listen_port(uint32_t vi_id, uint32_t binding_id, bool listening) {
  return ports_.set_listening(vi_id, binding_id, listening);
}

Status ResourceManager::release_port(uint32_t vi_id, uint32_t binding_id) {
  const PortBinding* found = ports_.find(vi_id, binding_id);
  if (found == nullptr) {
    return Error{ENOENT, fmt::format("binding {} is not one of VI {}", binding_id, vi_id)};
  }
  const PortBinding binding = *found;
  const bool last = !ports_.shares_key(binding);
  if (Status status = ports_.release(vi_id, binding_id); !status || !last) {
    return status;
  }
  const auto filter = port_filters_.find(FilterKey{vi_id, binding.protocol, binding.local, binding.port});
  const uint32_t filter_id = filter->second;
  port_filters_.erase(filter);
  return remove_filter(filter_id);
}

// --- statistics ---

Result<PortStatistics> ResourceManager::read_statistics() {
  Result<pst_port_statistics> raw = admin_.read_statistics();
  if (!raw) {
    return raw.error();
  }
  PortStatistics statistics;
  statistics.tx_frames = pst_port_statistics_get_tx_frames(&*raw);
  statistics.tx_bytes = pst_port_statistics_get_tx_bytes(&*raw);
  statistics.rx_frames = pst_port_statistics_get_rx_frames(&*raw);
  statistics.rx_bytes = pst_port_statistics_get_rx_bytes(&*raw);
  statistics.interrupts = pst_port_statistics_get_interrupts(&*raw);
  statistics.events = pst_port_statistics_get_events(&*raw);
  for (size_t reason = 0; reason < statistics.drops.size(); ++reason) {
    statistics.drops[reason] = raw->word[PST_PORT_STATISTICS_DROPS_WORD + reason];
  }
  return statistics;
}

Result<bool> ResourceManager::link_up() {
  Result<uint64_t> value = read_register(PST_FUNCTION_STATUS_OFFSET, 4);
  if (!value) {
    return value.error();
  }
  return (*value & PST_FUNCTION_STATUS_LINK_UP_MASK) != 0;
}

}  // namespace postern
