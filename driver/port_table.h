// Which stack owns which local port of a host: bind conflicts, ephemeral ports, quarantine after TIME_WAIT. Pure
// bookkeeping, no device access; the resource manager installs filters by what this table decides.
//
// Rules follow Linux for TCP and UDP: two bindings of one port conflict when their addresses overlap (equal, or one is
// the wildcard), unless both have SO_REUSEADDR and neither listens. Beyond Linux: equal addresses and ports in two
// *stacks* always conflict, because one filter can name one VI only, and for TCP so do overlapping ones: the filter of
// a stack that binds the exact address and never listens would take the connections of a stack that listens on the
// wildcard.
#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <vector>

#include "driver/host_address.h"
#include "driver/result.h"

namespace postern {

struct PortRequest {
  uint32_t owner = 0;    // VI or stack id
  uint8_t protocol = 0;  // IPPROTO_TCP or IPPROTO_UDP
  HostAddress local;     // may be the wildcard
  uint16_t port = 0;     // 0: choose an ephemeral one
  bool reuse = false;    // SO_REUSEADDR
};

struct PortBinding {
  uint32_t binding_id = 0;  // never 0, not reused while the table lives
  uint32_t owner = 0;
  uint8_t protocol = 0;
  HostAddress local;
  uint16_t port = 0;
  bool reuse = false;
  bool listening = false;
  bool ephemeral = false;  // chosen by the table
};

class PortTable {
 public:
  static constexpr size_t kBindingsPerPortMost = 256;  // of one protocol: checks look at each of them

  struct Config {
    uint16_t ephemeral_first = 32768;
    uint16_t ephemeral_last = 60999;
    uint64_t quarantine_ns = 60'000'000'000;  // Linux: TCP_TIMEWAIT_LEN, 60 s
    uint64_t seed = 1;                        // of the ephemeral search
  };

  PortTable() : PortTable(Config()) {}
  explicit PortTable(const Config& config) : config_(config), random_(config.seed) {}

  // now_ns: device time. EADDRINUSE on conflict or when no ephemeral port is free, EINVAL for another protocol.
  [[nodiscard]] Result<PortBinding> acquire(const PortRequest& request, uint64_t now_ns);
  // Checks again as listen(2) does. EADDRINUSE on conflict, ENOENT if the owner has no such binding.
  [[nodiscard]] Status set_listening(uint32_t owner, uint32_t binding_id, bool listening);
  // The owner has sat out TIME_WAIT: the port is free at once.
  [[nodiscard]] Status release(uint32_t owner, uint32_t binding_id);
  // Releases all bindings of an owner. Its ephemeral TCP ports, whose connections were cut, stay closed for
  // quarantine_ns to binders without SO_REUSEADDR and to the ephemeral search.
  void release_all(uint32_t owner, uint64_t now_ns);

  [[nodiscard]] const PortBinding* find(uint32_t owner, uint32_t binding_id) const;
  // True if the owner has another binding of the same protocol, address and port: one filter serves both.
  [[nodiscard]] bool shares_key(const PortBinding& binding) const;
  [[nodiscard]] size_t count(uint32_t owner) const;
  [[nodiscard]] std::vector<PortBinding> bindings() const;

 private:
  struct PortKey {
    uint8_t protocol;
    uint16_t port;
    friend bool operator<(const PortKey& a, const PortKey& b) {
      return a.protocol != b.protocol ? a.protocol < b.protocol : a.port < b.port;
    }
  };
  struct Quarantine {
    HostAddress local;
    uint64_t until_ns;
  };

  [[nodiscard]] bool conflicts(const PortRequest& request, uint16_t port, uint64_t now_ns);
  [[nodiscard]] bool quarantined(const PortRequest& request, uint16_t port, uint64_t now_ns);
  [[nodiscard]] Result<uint16_t> choose_ephemeral(const PortRequest& request, uint64_t now_ns);
  PortBinding erase(uint32_t binding_id);

  Config config_;
  std::mt19937_64 random_;
  uint32_t next_binding_id_ = 1;
  std::map<uint32_t, PortBinding> bindings_;  // by id
  std::multimap<PortKey, uint32_t> by_port_;  // ids
  std::map<PortKey, std::vector<Quarantine>> quarantine_;
  std::map<uint32_t, size_t> owner_counts_;
};

}  // namespace postern
