// Holds a block to its quiet_o: if it says that it rests, a clock cycle with the same inputs leaves its whole state as
// it is, bit for bit. Use: before() with the clock low and the inputs set, then the clock edge, then after().
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <vector>

namespace postern::rtl_test {

class QuietCheck {
 public:
  // rests: quiet_o, and nothing planned is due. root: the Verilated design's state.
  template <class Root>
  void before(bool rests, const Root& root) {
    resting_ = rests;
    if (rests) copy(root, state_);
  }
  // Evaluated again with the clock low and the same inputs.
  template <class Root>
  void after(const Root& root) {
    if (!resting_) return;
    ++quiet_count_;
    if (VM_COVERAGE) return;  // intermediate values are in the state then, too; other builds hold the block to its word
    copy(root, now_);
    ASSERT_EQ(std::memcmp(state_.data(), now_.data(), now_.size()), 0) << "a register has changed in a cycle of rest";
  }
  // Cycles in which the block rested.
  [[nodiscard]] uint64_t quiet_count() const { return quiet_count_; }

 private:
  template <class Root>
  static void copy(const Root& root, std::vector<unsigned char>& out) {
    const auto* const bytes = reinterpret_cast<const unsigned char*>(&root);
    out.assign(bytes, bytes + sizeof(Root));
  }

  bool resting_ = false;
  uint64_t quiet_count_ = 0;
  std::vector<unsigned char> state_, now_;
};

}  // namespace postern::rtl_test
