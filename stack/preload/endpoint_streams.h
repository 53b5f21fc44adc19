// Which FILE* was made by fdopen on an endpoint, so that fileno() can answer. A short list: such streams are rare.
#pragma once

#include <cstdio>

namespace postern::preload {

void remember_stream(FILE* stream, int fd);
// True if it was remembered.
bool forget_stream(FILE* stream);
// -1: not one of ours. A load when there are none.
[[nodiscard]] int stream_descriptor(FILE* stream);

}  // namespace postern::preload
