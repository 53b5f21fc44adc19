// A hierarchical timer wheel in shared memory (Varghese and Lauck, 1987): four levels of 64 slots, tick 2^20 ns. Nodes
// are linked by index; node i is the only timer of whatever has number i. Hides slots. All under the stack's lock,
// except next_deadline_ns(). A timer never fires early and at most one tick late, if advance() is called in time.
#pragma once

#include <atomic>
#include <cstdint>

namespace postern::stack {

struct TimerNode {
  uint64_t deadline_ns = 0;
  uint32_t next = 0;  // index plus 1; 0: none
  uint32_t prev = 0;
  uint16_t slot = kIdle;
  static constexpr uint16_t kIdle = 0xffff;

  [[nodiscard]] bool armed() const { return slot != kIdle; }
};

struct TimerWheelState {
  static constexpr unsigned kLevels = 4;
  static constexpr unsigned kSlots = 64;
  uint64_t tick = 0;  // last tick that was run
  uint32_t heads[kLevels][kSlots] = {};
  uint64_t occupied[kLevels] = {};
  std::atomic<uint64_t> next_deadline_ns{UINT64_MAX};
};

class TimerWheel {
 public:
  static constexpr unsigned kTickShift = 20;

  TimerWheel() = default;
  TimerWheel(TimerWheelState* state, TimerNode* nodes) : state_(state), nodes_(nodes) {}

  // Sets the time of an empty wheel.
  void start(uint64_t now_ns) { state_->tick = now_ns >> kTickShift; }
  void arm(uint32_t node, uint64_t deadline_ns);
  void disarm(uint32_t node);
  [[nodiscard]] const TimerNode& node(uint32_t index) const { return nodes_[index]; }

  // Runs expire(node) for every timer that is due; it may arm and disarm timers. Returns their number.
  template <typename Expire>
  unsigned advance(uint64_t now_ns, Expire&& expire);

  // When advance() has something to do next: exact for the near future, early (a cascade) for the far.
  [[nodiscard]] uint64_t next_deadline_ns() const { return state_->next_deadline_ns.load(std::memory_order_acquire); }

 private:
  static constexpr unsigned kSlotBits = 6;
  void link(uint32_t node);
  void cascade(unsigned level);
  [[nodiscard]] uint64_t next_tick() const;
  void publish();

  TimerWheelState* state_ = nullptr;
  TimerNode* nodes_ = nullptr;
};

template <typename Expire>
unsigned TimerWheel::advance(uint64_t now_ns, Expire&& expire) {
  const uint64_t target = now_ns >> kTickShift;
  unsigned expired_count = 0;
  for (uint64_t next = next_tick(); next <= target; next = next_tick()) {
    state_->tick = next;
    for (unsigned level = 1; level < TimerWheelState::kLevels; ++level) {
      if ((next & ((uint64_t{1} << (kSlotBits * level)) - 1)) == 0) cascade(level);
    }
    uint32_t& head = state_->heads[0][next & (TimerWheelState::kSlots - 1)];
    while (head != 0) {
      const uint32_t index = head - 1;
      disarm(index);
      if (nodes_[index].deadline_ns > now_ns) {  // was beyond the wheel's horizon
        link(index);
        continue;
      }
      expire(index);
      ++expired_count;
    }
  }
  if (state_->tick < target) state_->tick = target;
  publish();
  return expired_count;
}

}  // namespace postern::stack
