// Network namespaces that a testbed creates for the far side of its TAP ports, visible to `ip netns`.
// Hides the `ip` program and the rule that only namespaces made here are ever removed.
#pragma once

#include <string>

#include "driver/result.h"

namespace postern::sim {

// True if `ip netns` knows this name.
[[nodiscard]] bool network_namespace_exists(const std::string& name);

// Creates a namespace. Fails if the name is taken or the permission is missing.
[[nodiscard]] Status network_namespace_create(const std::string& name);

// Removes a namespace; processes in it keep it alive until they end. No error if it is gone already.
void network_namespace_remove(const std::string& name);

// Whether this process may create namespaces and TAP devices: root or CAP_NET_ADMIN and CAP_SYS_ADMIN, /dev/net/tun.
[[nodiscard]] Status tap_permission();

}  // namespace postern::sim
