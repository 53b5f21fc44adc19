// Memory, allocation and teardown of a workload's own VI. See host_vi.h.
#include "sim/host_vi.h"

#include <netinet/in.h>

namespace postern::sim {

Result<std::unique_ptr<HostVi>> HostVi::open(VirtualHost& host, const Options& options) {
  std::unique_ptr<HostVi> made(new HostVi(host, options));
  if (Status status = made->allocate(); !status) {
    return status.error();
  }
  Status status;
  host.administer([&](ResourceManager& resources) { status = made->create(resources); });
  if (!status) {
    (void)made->close();
    return status.error();
  }
  return made;
}

Status HostVi::allocate() {
  layout_.geometry = options_.geometry;
  const uint64_t ring_bytes = vi_layout_place(layout_, 0);
  rx_buffers_offset_ = ring_bytes;
  tx_buffers_offset_ = rx_buffers_offset_ + uint64_t{options_.geometry.rx_entries} * options_.buffer_bytes;
  const uint64_t end = tx_buffers_offset_ + uint64_t{options_.geometry.tx_entries} * options_.buffer_bytes;
  Result<DmaMemory> region = allocator_.allocate(end, "vi");
  if (!region) {
    return region.error();
  }
  region_ = region.value();
  return {};
}

Status HostVi::create(ResourceManager& resources) {
  ViOptions vi_options;
  vi_options.receive_arp = false;
  vi_options.interrupt = false;
  vi_options.evq_policy = options_.evq_policy;
  Result<ViGrant> grant = resources.create_vi(region_, layout_, vi_options);
  if (!grant) {
    return grant.error();
  }
  created_ = true;
  vi_state_initialise(state_, layout_, grant->vi_id, resources.device().features);
  if (options_.udp_port != 0) {
    PortRequest request;
    request.owner = grant->vi_id;
    request.protocol = IPPROTO_UDP;
    request.local = resources.config().address;
    request.port = options_.udp_port;
    if (Result<PortBinding> binding = resources.acquire_port(request); !binding) {
      return binding.error();
    }
  }
  Result<std::unique_ptr<ViWindow>> window = host_.function().open_window(grant->vi_id);
  if (!window) {
    return window.error();
  }
  window_ = std::move(window).value();
  vi_ = Vi(region_.base, &state_, window_.get());
  return {};
}

Status HostVi::close() {
  Status status;
  if (created_) {
    host_.administer([&](ResourceManager& resources) { status = resources.free_vi(state_.vi_id); });
  }
  created_ = false;
  return status;
}

HostVi::~HostVi() {
  if (region_.base != nullptr) {
    allocator_.release(region_);
  }
}

}  // namespace postern::sim
