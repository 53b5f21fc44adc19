// C streams on endpoints. libc's own streams read and write the descriptor from within libc, where nothing can be
// intercepted, so a stream on an endpoint is a custom one (fopencookie). The same goes for stdin, stdout and stderr
// when an endpoint takes their descriptor number (a shell's redirection, an inetd-style server).
#pragma once

#include <cstdio>

namespace postern::preload {

// fdopen() for an endpoint. Closing the stream closes the descriptor. nullptr with errno as fdopen(3).
[[nodiscard]] FILE* open_endpoint_stream(int fd, const char* mode);
// Before fclose. True if the stream is one of these.
bool forget_stream(FILE* stream);
// -1: not one of these. A load when there are none.
[[nodiscard]] int stream_descriptor(FILE* stream);

// After the meaning of descriptor fd has changed: if it is 0, 1 or 2, the standard stream follows it to an endpoint or
// back to libc's own.
void refresh_standard_stream(int fd);

}  // namespace postern::preload
