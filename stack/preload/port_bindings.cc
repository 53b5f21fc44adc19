// Port bindings: open addressing by port number, no deletion marks (a search looks at the whole probe window).
#include "stack/preload/port_bindings.h"

#include <cerrno>
#include <cstring>

namespace postern::preload {
namespace {

constexpr uint32_t kMask = PortBindingTable::kEntries - 1;
static_assert((PortBindingTable::kEntries & kMask) == 0);

uint32_t ipv4_of(const stack::SocketAddress& address) {
  return address.address.family == stack::AddressFamily::kIpv4 ? address.address.to_ipv4() : 0;
}

}  // namespace

hostd::WireAddress to_wire(const stack::IpAddress& address) {
  hostd::WireAddress wire;
  wire.family = static_cast<uint32_t>(address.family);
  std::memcpy(wire.bytes, address.bytes, sizeof wire.bytes);
  return wire;
}

stack::IpAddress from_wire(const hostd::WireAddress& wire) {
  stack::IpAddress address;
  address.family = static_cast<stack::AddressFamily>(wire.family);
  std::memcpy(address.bytes, wire.bytes, sizeof address.bytes);
  return address;
}

int PortBindings::acquire(stack::Protocol protocol, const stack::SocketAddress& local, uint32_t flags) {
  flush();
  stack::SocketAddress wanted = local;
  if (wanted.address.family == stack::AddressFamily::kNone) {
    wanted.address = stack::IpAddress::any_ipv4();
  }
  const bool reuse = (flags & (kReuseAddress | kReusePort)) != 0;
  auto granted =
      client_->acquire_port(stack_id_, static_cast<uint32_t>(protocol), to_wire(wanted.address), wanted.port, reuse);
  if (!granted.ok()) {
    return -(granted.error().code != 0 ? granted.error().code : EADDRINUSE);
  }
  const uint16_t port = granted->port;
  for (uint32_t step = 0; step <= kMask; ++step) {
    PortBinding& entry = table_->entries[(port + step) & kMask];
    uint32_t expected = PortBinding::kFree;
    if (!entry.state.compare_exchange_strong(expected, PortBinding::kFilling, std::memory_order_acq_rel)) {
      continue;
    }
    entry.binding_id = granted->binding_id;
    entry.address = ipv4_of(wanted);
    entry.port = port;
    entry.protocol = static_cast<uint8_t>(protocol);
    entry.state.store(PortBinding::kHeld, std::memory_order_release);
    if ((flags & kListen) != 0) {
      wanted.port = port;
      const int listening = set_listening(protocol, wanted, true);
      if (listening < 0) {
        release(protocol, wanted);
        return listening;
      }
    }
    return port;
  }
  static_cast<void>(client_->release_port(stack_id_, granted->binding_id));
  return -ENOBUFS;
}

PortBinding* PortBindings::find(stack::Protocol protocol, const stack::SocketAddress& local) const {
  for (uint32_t step = 0; step <= kMask; ++step) {
    PortBinding& entry = table_->entries[(local.port + step) & kMask];
    if (entry.state.load(std::memory_order_acquire) == PortBinding::kHeld && entry.port == local.port &&
        entry.protocol == static_cast<uint8_t>(protocol) && entry.address == ipv4_of(local)) {
      return &entry;
    }
  }
  return nullptr;
}

void PortBindings::release(stack::Protocol protocol, const stack::SocketAddress& local) {
  for (PortBinding* entry = find(protocol, local); entry != nullptr; entry = find(protocol, local)) {
    uint32_t expected = PortBinding::kHeld;
    if (entry->state.compare_exchange_strong(expected, PortBinding::kReleased, std::memory_order_acq_rel)) {
      table_->released_count.fetch_add(1, std::memory_order_acq_rel);
      return;
    }
  }
}

void PortBindings::flush() {
  if (table_->released_count.load(std::memory_order_acquire) == 0) {
    return;
  }
  for (PortBinding& entry : table_->entries) {
    uint32_t expected = PortBinding::kReleased;
    if (entry.state.load(std::memory_order_relaxed) != expected ||
        !entry.state.compare_exchange_strong(expected, PortBinding::kReleasing, std::memory_order_acq_rel)) {
      continue;
    }
    table_->released_count.fetch_sub(1, std::memory_order_acq_rel);
    // hostd frees everything of a stack with it, so a failure here (hostd gone) loses nothing.
    static_cast<void>(client_->release_port(stack_id_, entry.binding_id));
    entry.state.store(PortBinding::kFree, std::memory_order_release);
  }
}

int PortBindings::set_listening(stack::Protocol protocol, const stack::SocketAddress& local, bool listening) {
  const PortBinding* entry = find(protocol, local);
  if (entry == nullptr) {
    return -EINVAL;
  }
  const Status done = client_->listen_port(stack_id_, entry->binding_id, listening);
  return done.ok() ? 0 : -done.error().code;
}

}  // namespace postern::preload
