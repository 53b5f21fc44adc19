// Socket time-outs for the blocking loop.
#include "stack/preload/blocking.h"

namespace postern::preload {

uint64_t socket_timeout_ns(stack::Stack& stack, int endpoint, int option_name) {
  timeval value{};
  socklen_t size = sizeof value;
  if (stack.get_option(endpoint, SOL_SOCKET, option_name, &value, &size) < 0) {
    return 0;
  }
  return static_cast<uint64_t>(value.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(value.tv_usec) * 1000;
}

}  // namespace postern::preload
