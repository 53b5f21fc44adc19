// What is done when the last transfer that is in flight now has landed (R10). Hides the order of those who wait: the
// last landing only grows, so they end as they came.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <utility>

#include "hw_model/agenda.h"
#include "hw_model/nic_blocks.h"
#include "hw_model/pcie_link.h"

namespace postern::hw_model {

class LandingWait {
 public:
  explicit LandingWait(NicBlocks& nic) : nic_(nic) {}
  // The agenda has forgotten what was planned.
  void reset() { waiting_.clear(); }
  void then(std::function<void()> done) {
    waiting_.push_back(std::move(done));
    nic_.agenda->at<&LandingWait::landed>(std::max(Agenda::now_ps(), nic_.pcie_link->quiesce_ps()), this);
  }

 private:
  void landed(uint64_t, uint64_t, uint64_t, uint64_t) {
    const std::function<void()> done = std::move(waiting_.front());
    waiting_.pop_front();
    done();
  }

  NicBlocks& nic_;
  std::deque<std::function<void()>> waiting_;
};

}  // namespace postern::hw_model
