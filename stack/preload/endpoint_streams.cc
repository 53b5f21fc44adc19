// The list of streams on endpoints.
#include "stack/preload/endpoint_streams.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "stack/preload/process.h"

namespace postern::preload {
namespace {

struct Entry {
  FILE* stream;
  int fd;
};
std::atomic<size_t> streams_count{0};

std::vector<Entry>& streams() {
  static auto* list = new std::vector<Entry>();  // never destroyed: exit handlers flush streams
  return *list;
}

}  // namespace

void remember_stream(FILE* stream, int fd) {
  Process::SlowPathLock lock;
  streams().push_back(Entry{stream, fd});
  streams_count.store(streams().size(), std::memory_order_release);
}

bool forget_stream(FILE* stream) {
  if (streams_count.load(std::memory_order_acquire) == 0) {
    return false;
  }
  Process::SlowPathLock lock;
  const size_t erased = std::erase_if(streams(), [&](const Entry& entry) { return entry.stream == stream; });
  streams_count.store(streams().size(), std::memory_order_release);
  return erased != 0;
}

int stream_descriptor(FILE* stream) {
  if (streams_count.load(std::memory_order_acquire) == 0) {
    return -1;
  }
  Process::SlowPathLock lock;
  for (const Entry& entry : streams()) {
    if (entry.stream == stream) {
      return entry.fd;
    }
  }
  return -1;
}

}  // namespace postern::preload
