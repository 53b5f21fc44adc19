// A processor's write-combining buffers: stores into write-combining memory (a PIO page) gather in lines of 64 bytes; a
// full line leaves as one write, the rest when something flushes the buffers. No SystemC.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace postern::sim {

class WriteCombiner {
 public:
  static constexpr uint64_t kLineBytes = 64;

  // line_count: lines that gather at once, at least 1; one more pushes out the oldest.
  explicit WriteCombiner(size_t line_count) : line_count_(line_count) { lines_.reserve(line_count); }

  // Stores bytes that lie in one line. post(address, data, bytes) is called for each write that leaves.
  template <class Post>
  void store(uint64_t address, const uint8_t* data, size_t bytes, Post post) {
    const uint64_t offset = address % kLineBytes;
    const size_t i = line_at(address - offset, post);
    Line& line = lines_[i];
    std::memcpy(line.data.data() + offset, data, bytes);
    const uint64_t ones = bytes == kLineBytes ? ~uint64_t{0} : (uint64_t{1} << bytes) - 1;
    line.valid |= ones << offset;
    if (line.valid == ~uint64_t{0}) push_out(i, post);
  }

  // Empties the buffers, oldest line first: a partial line leaves as one write per run of bytes.
  template <class Post>
  void flush(Post post) {
    while (!lines_.empty()) push_out(0, post);
  }

 private:
  struct Line {
    uint64_t address;
    uint64_t valid;  // a bit per byte
    std::array<uint8_t, kLineBytes> data;
  };

  template <class Post>
  size_t line_at(uint64_t address, Post post) {
    const auto it =
        std::find_if(lines_.begin(), lines_.end(), [&](const Line& line) { return line.address == address; });
    if (it != lines_.end()) return static_cast<size_t>(it - lines_.begin());
    if (lines_.size() == line_count_) push_out(0, post);
    lines_.push_back({address, 0, {}});
    return lines_.size() - 1;
  }

  template <class Post>
  void push_out(size_t i, Post post) {
    const Line line = lines_[i];
    lines_.erase(lines_.begin() + static_cast<std::ptrdiff_t>(i));
    for (size_t begin = 0; begin < kLineBytes;) {
      size_t end = begin;
      while (end < kLineBytes && (line.valid >> end & 1) != 0) ++end;
      if (end > begin) post(line.address + begin, line.data.data() + begin, end - begin);
      begin = end + 1;
    }
  }

  const size_t line_count_;
  std::vector<Line> lines_;
};

}  // namespace postern::sim
