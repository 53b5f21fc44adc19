// The moment at which a socket's network is decided. An Internet socket starts as the kernel's ("undecided"); the first
// bind, listen, connect or send shows whether a simulated NIC serves it. If so, the descriptor number is given a token
// and the options set so far go to the new endpoint (promotion). The way back (demotion) is for an endpoint bound to
// the wildcard that then connects to somewhere the NIC does not serve.
#pragma once

#include <cstdint>

#include "stack/preload/process.h"

namespace postern::preload {

// Whether a descriptor that this process did not make is an Internet stream or datagram socket without an address.
[[nodiscard]] bool is_undecided_socket(int fd);

// Whether socket(domain, type, protocol) makes a socket that could become an endpoint.
[[nodiscard]] bool can_be_endpoint(int domain, int type, int protocol);

enum class Intent { kBind, kConnect };

// Decides an undecided socket (found.kind == kUndecided). Returns the endpoint if a simulated NIC serves the address;
// an empty reference with *error 0 if the socket is the kernel's from now on (or stays undecided, if the kernel is to
// complain about the address); an empty reference with *error < 0 (-errno) if it should be an endpoint but cannot.
[[nodiscard]] FdRef decide(int fd, const sockaddr* address, socklen_t length, Intent intent, int* error);
// The same for listen() without bind: the wildcard.
[[nodiscard]] FdRef decide_wildcard(int fd, int* error);

// Replaces an endpoint by a kernel socket with the same options and local port, at every number that refers to it.
// Returns 0 or -errno.
[[nodiscard]] int demote(int fd, EndpointFd& endpoint);

}  // namespace postern::preload
