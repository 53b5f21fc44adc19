// Custom streams: cookie functions, the list of open ones, and the standard streams' replacement.
#include "stack/preload/endpoint_streams.h"

#include <stdio_ext.h>

#include <algorithm>
#include <atomic>
#include <vector>

#include "stack/preload/calls.h"
#include "stack/preload/process.h"

namespace postern::preload {
namespace {

struct EndpointStream {
  int fd;
  bool closes_descriptor = true;
};

ssize_t stream_read(void* cookie, char* buffer, size_t size) {
  return calls::read(static_cast<EndpointStream*>(cookie)->fd, buffer, size);
}

ssize_t stream_write(void* cookie, const char* buffer, size_t size) {
  const ssize_t written = calls::write(static_cast<EndpointStream*>(cookie)->fd, buffer, size);
  return written < 0 ? 0 : written;  // fopencookie(3): an error is 0 here
}

int stream_close(void* cookie) {
  auto* stream = static_cast<EndpointStream*>(cookie);
  const int result = stream->closes_descriptor ? calls::close(stream->fd) : 0;
  delete stream;
  return result;
}

struct Entry {
  FILE* stream;
  EndpointStream* cookie;
};
std::atomic<size_t> streams_count{0};

std::vector<Entry>& streams() {
  static auto* list = new std::vector<Entry>();  // never destroyed: exit handlers flush streams
  return *list;
}

FILE* libc_streams[3];  // what stdin, stdout and stderr were before they were replaced

FILE** standard_stream(int fd) { return fd == 0 ? &stdin : fd == 1 ? &stdout : &stderr; }

}  // namespace

FILE* open_endpoint_stream(int fd, const char* mode) {
  auto* cookie = new EndpointStream{fd};
  cookie_io_functions_t functions{};
  functions.read = stream_read;
  functions.write = stream_write;
  functions.close = stream_close;
  FILE* stream = ::fopencookie(cookie, mode, functions);
  if (stream == nullptr) {
    delete cookie;
    return nullptr;
  }
  Process::SlowPathLock lock;
  streams().push_back(Entry{stream, cookie});
  streams_count.store(streams().size(), std::memory_order_release);
  return stream;
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
      return entry.cookie->fd;
    }
  }
  return -1;
}

void refresh_standard_stream(int fd) {
  if (fd < 0 || fd > 2) {
    return;
  }
  const bool is_endpoint = static_cast<bool>(Process::get().endpoint(fd));
  Process::SlowPathLock lock;
  FILE*& current = *standard_stream(fd);
  if (is_endpoint && libc_streams[fd] == nullptr) {
    FILE* replacement = open_endpoint_stream(fd, fd == 0 ? "r" : "w");
    if (replacement != nullptr) {
      ::setvbuf(replacement, nullptr, fd == 2 ? _IONBF : _IOFBF, BUFSIZ);
      libc_streams[fd] = current;
      current = replacement;
    }
    return;
  }
  if (is_endpoint || libc_streams[fd] == nullptr) {
    return;
  }
  // The descriptor is something else by now; what is still buffered was meant for the endpoint and is dropped, as a
  // program that redirects without flushing loses it to the wrong file.
  FILE* replacement = current;
  current = libc_streams[fd];
  libc_streams[fd] = nullptr;
  for (const Entry& entry : streams()) {
    if (entry.stream == replacement) {
      entry.cookie->closes_descriptor = false;
    }
  }
  if (forget_stream(replacement)) {
    ::__fpurge(replacement);
    real().fclose(replacement);
  }
}

}  // namespace postern::preload
