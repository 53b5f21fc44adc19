// Bits of an endpoint's user word (stack/stack.h): shared by all processes that have the socket and by the helper.
#pragma once

#include <cstdint>

namespace postern::preload {

constexpr uint32_t kFlagNonblocking = 1;  // O_NONBLOCK, a property of the open file description
constexpr uint32_t kFlagIpv6Names = 2;    // the application made an IPv6 socket: addresses are shown as ::ffff:a.b.c.d
constexpr uint32_t kFlagHasToken = 4;     // a descriptor exists or existed: hostd tells when the last one is closed

}  // namespace postern::preload
