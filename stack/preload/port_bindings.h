// The stack's port authority in a live run: ports come from hostd. Which binding stands for which port is noted in a
// table in the shared region, because another process of the stack (mostly the helper) may be the one to release it.
// release() is called under the stack's lock, so it only marks the entry; flush() tells hostd.
#pragma once

#include <atomic>
#include <cstdint>

#include "driver/hostd_client.h"
#include "stack/stack.h"

namespace postern::preload {

[[nodiscard]] hostd::WireAddress to_wire(const stack::IpAddress& address);
[[nodiscard]] stack::IpAddress from_wire(const hostd::WireAddress& address);

// Shared, position-independent. Zeroed memory is an empty table. One word says who owns a slot: free, being filled,
// held, or to be released (writers: any process, by compare-and-swap).
struct PortBinding {
  enum State : uint32_t { kFree = 0, kFilling = 1, kHeld = 2, kReleased = 3, kReleasing = 4 };
  std::atomic<uint32_t> state;
  uint32_t binding_id;
  uint32_t address;  // IPv4, host order; 0: wildcard
  uint16_t port;
  uint8_t protocol;
  uint8_t reserved;
};
static_assert(sizeof(PortBinding) == 16 && std::atomic<uint32_t>::is_always_lock_free);

struct PortBindingTable {
  static constexpr uint32_t kEntries = hostd::kMaxPortsPerStack;
  std::atomic<uint32_t> released_count;  // entries in state kReleased
  uint32_t reserved[3];
  PortBinding entries[kEntries];
};

class PortBindings : public stack::PortAuthority {
 public:
  // table: in the shared region; client: outlives this object.
  PortBindings(PortBindingTable* table, hostd::HostdClient* client, uint32_t stack_id)
      : table_(table), client_(client), stack_id_(stack_id) {}

  [[nodiscard]] int acquire(stack::Protocol protocol, const stack::SocketAddress& local, uint32_t flags) override;
  void release(stack::Protocol protocol, const stack::SocketAddress& local) override;

  // Tells hostd of ports released since; a load if there are none. Blocks for round trips. Not under the stack's lock.
  void flush();
  // Marks a held port as listening or not. 0 or -errno (-EADDRINUSE as listen(2)).
  [[nodiscard]] int set_listening(stack::Protocol protocol, const stack::SocketAddress& local, bool listening);

 private:
  [[nodiscard]] PortBinding* find(stack::Protocol protocol, const stack::SocketAddress& local) const;
  PortBindingTable* table_;
  hostd::HostdClient* client_;
  uint32_t stack_id_;
};

}  // namespace postern::preload
