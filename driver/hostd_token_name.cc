// What a token's peer name says: see TokenName in hostd_protocol.h. Async-signal-safe; libc's getpeername() may be
// overridden by a preloaded library and is not used.
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "driver/hostd_client.h"

namespace postern::hostd {

// -------------------------------------------------------------------------------------------------------------

namespace {

// Reads digits up to the next '/' or the end. False: not a 32-bit number.
bool parse_number(const char*& cursor, const char* end, uint32_t& number) {
  uint64_t value = 0;
  const char* start = cursor;
  while (cursor < end && *cursor >= '0' && *cursor <= '9' && value <= UINT32_MAX) {
    value = value * 10 + static_cast<uint64_t>(*cursor++ - '0');
  }
  if (cursor == start || value > UINT32_MAX || (cursor < end && *cursor != '/')) {
    return false;
  }
  if (cursor < end) {
    ++cursor;
  }
  number = static_cast<uint32_t>(value);
  return true;
}

}  // namespace

bool parse_token_name(const void* sockaddr_bytes, size_t address_bytes, TokenName& name) {
  sockaddr_un address{};
  if (address_bytes <= offsetof(sockaddr_un, sun_path) + 1 || address_bytes > sizeof address) {
    return false;
  }
  std::memcpy(&address, sockaddr_bytes, address_bytes);
  const char* cursor = address.sun_path + 1;
  const char* end = reinterpret_cast<const char*>(&address) + address_bytes;
  constexpr size_t kPrefixBytes = sizeof kTokenPrefix - 1;
  if (address.sun_family != AF_UNIX || address.sun_path[0] != '\0' ||
      static_cast<size_t>(end - cursor) <= kPrefixBytes || std::memcmp(cursor, kTokenPrefix, kPrefixBytes) != 0) {
    return false;
  }
  cursor += kPrefixBytes;
  name = TokenName{};
  size_t host_bytes = 0;
  while (cursor < end && *cursor != '/' && host_bytes + 1 < sizeof name.host) {
    name.host[host_bytes++] = *cursor++;
  }
  if (host_bytes == 0 || cursor == end || *cursor++ != '/') {
    return false;
  }
  return parse_number(cursor, end, name.stack_id) && parse_number(cursor, end, name.endpoint) &&
         parse_number(cursor, end, name.generation);
}

bool token_name_of(int fd, TokenName& name) {
  sockaddr_un address{};
  socklen_t address_bytes = sizeof address;
  return syscall(SYS_getpeername, fd, &address, &address_bytes) == 0 && parse_token_name(&address, address_bytes, name);
}

}  // namespace postern::hostd
