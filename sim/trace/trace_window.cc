// Times of a command line. See trace_window.h.
#include "sim/trace/trace_window.h"

#include <fmt/format.h>

#include <cerrno>
#include <charconv>

namespace postern::sim {

Result<uint64_t> whole_us(const std::string& option, const std::string& text, uint64_t otherwise) {
  if (text.empty()) return otherwise;
  uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, problem] = std::from_chars(text.data(), end, value);
  if (problem != std::errc() || rest != end || value > TraceWindow::kUsMax) {
    return Error{EINVAL, fmt::format("{} {}: expected whole microseconds from 0 to {}", option, text,
                                     uint64_t{TraceWindow::kUsMax})};
  }
  return value;
}

Result<TraceWindow> TraceWindow::parse(const std::string& from_us, const std::string& for_us, uint64_t events_max,
                                       const std::string& option) {
  TraceWindow window;
  const Result<uint64_t> from = whole_us(option + "-from-us", from_us, window.from_us);
  const Result<uint64_t> length = whole_us(option + "-for-us", for_us, window.for_us);
  if (!from) return from.error();
  if (!length) return length.error();
  window.from_us = from.value();
  window.for_us = length.value();
  window.events_max = events_max;
  return window;
}

}  // namespace postern::sim
