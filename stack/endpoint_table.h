// Endpoints: allocation, lookup by addresses, the ports they hold. Hides hash tables and reference counts.
#pragma once

#include <cstdint>

#include "stack/endpoint.h"
#include "stack/stack.h"

namespace postern::stack {

struct Core;

// A fresh endpoint; recycles the oldest TIME_WAIT connection if none is free; nullptr if that does not help.
[[nodiscard]] Endpoint* endpoint_allocate(Core& core, EndpointKind kind);
// Takes it out of all tables, gives back its packets and its port. If a receiver is inside, finishes later.
void endpoint_free(Core& core, Endpoint& endpoint);
// Tries again to free an endpoint that is dying.
void endpoint_finish_free(Core& core, Endpoint& endpoint);

// Connected endpoints, by all four addresses.
[[nodiscard]] Endpoint* connection_find(const Core& core, EndpointKind kind, const SocketAddress& local,
                                        const SocketAddress& remote);
void connection_insert(Core& core, Endpoint& endpoint);
void connection_remove(Core& core, Endpoint& endpoint);

// Listeners and bound UDP sockets, by local port. An exact local address wins over the wildcard.
[[nodiscard]] Endpoint* bound_find(const Core& core, EndpointKind kind, const SocketAddress& local);
void bound_insert(Core& core, Endpoint& endpoint);
void bound_remove(Core& core, Endpoint& endpoint);

// A new reference on a port that the authority gave; kNoEndpoint if the table is full.
[[nodiscard]] uint32_t port_reference_create(Core& core, Protocol protocol, const SocketAddress& local);
void port_reference_share(Core& core, Endpoint& from, Endpoint& to);
// Drops the endpoint's reference; the last one returns the port to the authority.
void port_reference_drop(Core& core, Endpoint& endpoint);

}  // namespace postern::stack
