// Walks an iovec array while copying: gather into packets, scatter out of them.
#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace postern::stack {

class IovCursor {
 public:
  IovCursor(const iovec* iov, size_t count) : iov_(iov), count_(count) {}

  [[nodiscard]] static size_t total_bytes(const iovec* iov, size_t count) {
    size_t total = 0;
    for (size_t i = 0; i < count; ++i) total += iov[i].iov_len;
    return total;
  }
  // Copies up to size_bytes from the vector; returns how many there were.
  size_t copy_out_of(void* destination, size_t size_bytes) {
    return walk(size_bytes, [&](uint8_t* part, size_t at, size_t bytes) {
      std::memcpy(static_cast<uint8_t*>(destination) + at, part, bytes);
    });
  }
  // Copies up to size_bytes into the vector; returns for how many there was room.
  size_t copy_into(const void* source, size_t size_bytes) {
    return walk(size_bytes, [&](uint8_t* part, size_t at, size_t bytes) {
      std::memcpy(part, static_cast<const uint8_t*>(source) + at, bytes);
    });
  }

 private:
  template <typename Copy>
  size_t walk(size_t size_bytes, Copy&& copy) {
    size_t done = 0;
    while (done < size_bytes && index_ < count_) {
      const size_t bytes = std::min(size_bytes - done, iov_[index_].iov_len - within_);
      if (bytes != 0) copy(static_cast<uint8_t*>(iov_[index_].iov_base) + within_, done, bytes);
      done += bytes;
      within_ += bytes;
      if (within_ == iov_[index_].iov_len) {
        ++index_;
        within_ = 0;
      }
    }
    return done;
  }

  const iovec* iov_;
  size_t count_;
  size_t index_ = 0;
  size_t within_ = 0;
};

}  // namespace postern::stack
