// Port bookkeeping of a host: see port_table.h for the rules.
#include "driver/port_table.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>

namespace postern {
namespace {

bool addresses_overlap(const HostAddress& a, const HostAddress& b) { return a == b || a.is_any() || b.is_any(); }

const char* protocol_name(uint8_t protocol) { return protocol == IPPROTO_TCP ? "TCP" : "UDP"; }

}  // namespace

std::string HostAddress::text() const {
  char buffer[INET6_ADDRSTRLEN] = "none";
  if (family == Family::kIpv4) {
    inet_ntop(AF_INET, bytes.data(), buffer, sizeof buffer);
  } else if (family == Family::kIpv6) {
    inet_ntop(AF_INET6, bytes.data(), buffer, sizeof buffer);
  }
  return buffer;
}

bool PortTable::quarantined(const PortRequest& request, uint16_t port, uint64_t now_ns) {
  const auto found = quarantine_.find(PortKey{request.protocol, port});
  if (found == quarantine_.end()) {
    return false;
  }
  std::vector<Quarantine>& entries = found->second;
  std::erase_if(entries, [now_ns](const Quarantine& entry) { return entry.until_ns <= now_ns; });
  const bool hit = std::any_of(entries.begin(), entries.end(), [&request](const Quarantine& entry) {
    return addresses_overlap(entry.local, request.local);
  });
  if (entries.empty()) {
    quarantine_.erase(found);
  }
  return hit;
}

bool PortTable::conflicts(const PortRequest& request, uint16_t port, uint64_t now_ns) {
  const auto [first, last] = by_port_.equal_range(PortKey{request.protocol, port});
  for (auto it = first; it != last; ++it) {
    const PortBinding& other = bindings_.at(it->second);
    if (!addresses_overlap(other.local, request.local)) {
      continue;
    }
    const bool both_reuse = other.reuse && request.reuse && !other.listening;
    // A filter of the exact address takes the wildcard's packets, whichever of the two stacks listens later.
    const bool takes_packets =
        other.owner != request.owner && (other.local == request.local || request.protocol == IPPROTO_TCP);
    if (!both_reuse || takes_packets) {
      return true;
    }
  }
  return !request.reuse && quarantined(request, port, now_ns);
}

// Linear search from a random start, as RFC 6056 section 3.3.1 (simple port randomization).
Result<uint16_t> PortTable::choose_ephemeral(const PortRequest& request, uint64_t now_ns) {
  const uint32_t span = uint32_t{config_.ephemeral_last} - config_.ephemeral_first + 1;
  const auto start = static_cast<uint32_t>(random_() % span);
  PortRequest strict = request;
  strict.reuse = false;  // an ephemeral port is shared with nobody
  for (uint32_t i = 0; i < span; ++i) {
    const auto port = static_cast<uint16_t>(config_.ephemeral_first + (start + i) % span);
    if (!conflicts(strict, port, now_ns)) {
      return port;
    }
  }
  return Error{EADDRINUSE, fmt::format("no free ephemeral {} port in {}-{}: close some sockets or wait {} s",
                                       protocol_name(request.protocol), config_.ephemeral_first, config_.ephemeral_last,
                                       config_.quarantine_ns / 1'000'000'000)};
}

Result<PortBinding> PortTable::acquire(const PortRequest& request, uint64_t now_ns) {
  if (request.protocol != IPPROTO_TCP && request.protocol != IPPROTO_UDP) {
    return Error{EINVAL, fmt::format("protocol {}: expected TCP (6) or UDP (17)", request.protocol)};
  }
  uint16_t port = request.port;
  if (port == 0) {
    Result<uint16_t> chosen = choose_ephemeral(request, now_ns);
    if (!chosen) {
      return chosen.error();
    }
    port = *chosen;
  } else if (conflicts(request, port, now_ns)) {
    return Error{EADDRINUSE, fmt::format("{} {}:{} is in use: choose another port or stop its owner",
                                         protocol_name(request.protocol), request.local.text(), port)};
  }
  if (by_port_.count(PortKey{request.protocol, port}) >= kBindingsPerPortMost) {
    return Error{EADDRINUSE, fmt::format("{} port {} has {} bindings, the most it can: close some",
                                         protocol_name(request.protocol), port, kBindingsPerPortMost)};
  }
  PortBinding binding;
  binding.binding_id = next_binding_id_++;
  binding.owner = request.owner;
  binding.protocol = request.protocol;
  binding.local = request.local;
  binding.port = port;
  binding.reuse = request.reuse;
  binding.ephemeral = request.port == 0;
  bindings_.emplace(binding.binding_id, binding);
  by_port_.emplace(PortKey{binding.protocol, port}, binding.binding_id);
  ++owner_counts_[binding.owner];
  return binding;
}

Status PortTable::set_listening(uint32_t owner, uint32_t binding_id, bool listening) {
  const auto found = bindings_.find(binding_id);
  if (found == bindings_.end() || found->second.owner != owner) {
    return Error{ENOENT, fmt::format("binding {} is not one of this stack", binding_id)};
  }
  PortBinding& binding = found->second;
  if (listening) {
    const auto [first, last] = by_port_.equal_range(PortKey{binding.protocol, binding.port});
    for (auto it = first; it != last; ++it) {
      const PortBinding& other = bindings_.at(it->second);
      if (it->second != binding_id && other.listening && addresses_overlap(other.local, binding.local)) {
        return Error{EADDRINUSE, fmt::format("{} {}:{} has a listener already: stop it first",
                                             protocol_name(binding.protocol), other.local.text(), other.port)};
      }
    }
  }
  binding.listening = listening;
  return {};
}

PortBinding PortTable::erase(uint32_t binding_id) {
  const auto found = bindings_.find(binding_id);
  const PortBinding binding = found->second;
  const auto [first, last] = by_port_.equal_range(PortKey{binding.protocol, binding.port});
  by_port_.erase(std::find_if(first, last, [binding_id](const auto& entry) { return entry.second == binding_id; }));
  bindings_.erase(found);
  if (--owner_counts_[binding.owner] == 0) {
    owner_counts_.erase(binding.owner);
  }
  return binding;
}

Status PortTable::release(uint32_t owner, uint32_t binding_id) {
  if (find(owner, binding_id) == nullptr) {
    return Error{ENOENT, fmt::format("binding {} is not one of this stack", binding_id)};
  }
  erase(binding_id);
  return {};
}

void PortTable::release_all(uint32_t owner, uint64_t now_ns) {
  if (count(owner) == 0) {
    return;
  }
  std::vector<uint32_t> ids;
  for (const auto& [id, binding] : bindings_) {
    if (binding.owner == owner) {
      ids.push_back(id);
    }
  }
  for (const uint32_t id : ids) {
    const PortBinding binding = erase(id);
    if (binding.ephemeral && binding.protocol == IPPROTO_TCP) {
      std::vector<Quarantine>& entries = quarantine_[PortKey{binding.protocol, binding.port}];
      std::erase_if(entries, [&binding](const Quarantine& entry) { return entry.local == binding.local; });
      entries.push_back({binding.local, now_ns + config_.quarantine_ns});
    }
  }
}

const PortBinding* PortTable::find(uint32_t owner, uint32_t binding_id) const {
  const auto found = bindings_.find(binding_id);
  return found != bindings_.end() && found->second.owner == owner ? &found->second : nullptr;
}

bool PortTable::shares_key(const PortBinding& binding) const {
  const auto [first, last] = by_port_.equal_range(PortKey{binding.protocol, binding.port});
  return std::any_of(first, last, [&](const auto& entry) {
    const PortBinding& other = bindings_.at(entry.second);
    return other.binding_id != binding.binding_id && other.owner == binding.owner && other.local == binding.local;
  });
}

size_t PortTable::count(uint32_t owner) const {
  const auto found = owner_counts_.find(owner);
  return found == owner_counts_.end() ? 0 : found->second;
}

std::vector<PortBinding> PortTable::bindings() const {
  std::vector<PortBinding> all;
  all.reserve(bindings_.size());
  for (const auto& [id, binding] : bindings_) {
    all.push_back(binding);
  }
  return all;
}

}  // namespace postern
