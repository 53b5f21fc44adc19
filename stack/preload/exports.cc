// The exported symbols of libpostern.so, generated from the list. An assembler name is given instead of the C name,
// so that libc's own declarations (with their attributes) do not conflict.
#include "stack/preload/calls.h"
#include "stack/preload/endpoint_streams.h"
#include "stack/preload/process.h"

#define POSTERN_EXPORT(ret, name, params, args, doc)                                                 \
  extern "C" __attribute__((visibility("default"))) ret postern_export_##name params __asm__(#name); \
  extern "C" ret postern_export_##name params { return postern::preload::calls::name args; }
POSTERN_INTERCEPTED_CALLS(POSTERN_EXPORT)
#undef POSTERN_EXPORT

// Reads the options early, so that a mistake in them is reported even by a program that makes no socket.
// The standard streams may be tokens already (an inetd-style program).
__attribute__((constructor)) static void postern_load() {
  if (postern::preload::Process::get().accelerating()) {
    for (int fd = 0; fd <= 2; ++fd) {
      postern::preload::refresh_standard_stream(fd);
    }
  }
}
