// A field of shared memory that the lock's owner writes and others may read at any time without order: a plain load or
// store for the processor, no data race for the language.
#pragma once

#include <atomic>

namespace postern::stack {

template <typename T>
class Relaxed {
 public:
  Relaxed() = default;
  explicit Relaxed(T value) : value_(value) {}
  Relaxed(const Relaxed&) = delete;
  Relaxed& operator=(const Relaxed& other) { return *this = static_cast<T>(other); }
  Relaxed& operator=(T value) {
    value_.store(value, std::memory_order_relaxed);
    return *this;
  }
  Relaxed& operator+=(T value) { return *this = static_cast<T>(static_cast<T>(*this) + value); }
  Relaxed& operator-=(T value) { return *this = static_cast<T>(static_cast<T>(*this) - value); }
  operator T() const { return value_.load(std::memory_order_relaxed); }  // NOLINT: reads as the value

 private:
  std::atomic<T> value_{};
};

}  // namespace postern::stack
