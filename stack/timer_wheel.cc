// Slots, cascades and the next deadline of the timer wheel.
#include "stack/timer_wheel.h"

#include <algorithm>
#include <bit>

namespace postern::stack {

void TimerWheel::link(uint32_t index) {
  TimerNode& node = nodes_[index];
  constexpr uint64_t kTickMask = (uint64_t{1} << kTickShift) - 1;
  uint64_t due = (node.deadline_ns >> kTickShift) + ((node.deadline_ns & kTickMask) != 0 ? 1 : 0);
  // A cascade links into the current tick's slot, which advance() runs right after it.
  due = std::max(due, state_->tick);
  constexpr uint64_t kHorizon = uint64_t{1} << (kSlotBits * TimerWheelState::kLevels);
  due = std::min(due, state_->tick + kHorizon - 1);
  unsigned level = 0;
  while ((due - state_->tick) >> (kSlotBits * (level + 1)) != 0) ++level;
  const auto slot = static_cast<unsigned>(due >> (kSlotBits * level)) & (TimerWheelState::kSlots - 1);
  uint32_t& head = state_->heads[level][slot];
  node.slot = static_cast<uint16_t>(level * TimerWheelState::kSlots + slot);
  node.prev = 0;
  node.next = head;
  if (head != 0) nodes_[head - 1].prev = index + 1;
  head = index + 1;
  state_->occupied[level] |= uint64_t{1} << slot;
}

void TimerWheel::arm(uint32_t index, uint64_t deadline_ns) {
  if (nodes_[index].armed()) disarm(index);
  // Never into the tick that has just been run: it would wait for a whole round.
  nodes_[index].deadline_ns = std::max(deadline_ns, (state_->tick + 1) << kTickShift);
  link(index);
  publish();
}

void TimerWheel::disarm(uint32_t index) {
  TimerNode& node = nodes_[index];
  if (!node.armed()) return;
  const unsigned level = node.slot / TimerWheelState::kSlots;
  const unsigned slot = node.slot % TimerWheelState::kSlots;
  if (node.prev != 0) {
    nodes_[node.prev - 1].next = node.next;
  } else {
    state_->heads[level][slot] = node.next;
  }
  if (node.next != 0) nodes_[node.next - 1].prev = node.prev;
  if (state_->heads[level][slot] == 0) state_->occupied[level] &= ~(uint64_t{1} << slot);
  node.slot = TimerNode::kIdle;
  publish();
}

void TimerWheel::cascade(unsigned level) {
  const auto slot = static_cast<unsigned>(state_->tick >> (kSlotBits * level)) & (TimerWheelState::kSlots - 1);
  uint32_t node = state_->heads[level][slot];
  state_->heads[level][slot] = 0;
  state_->occupied[level] &= ~(uint64_t{1} << slot);
  while (node != 0) {
    const uint32_t next = nodes_[node - 1].next;
    link(node - 1);
    node = next;
  }
}

uint64_t TimerWheel::next_tick() const {
  uint64_t best = UINT64_MAX;
  for (unsigned level = 0; level < TimerWheelState::kLevels; ++level) {
    const uint64_t occupied = state_->occupied[level];
    if (occupied == 0) continue;
    const uint64_t position = state_->tick >> (kSlotBits * level);
    const auto first = static_cast<int>((position + 1) & (TimerWheelState::kSlots - 1));
    const auto distance = static_cast<uint64_t>(std::countr_zero(std::rotr(occupied, first))) + 1;
    best = std::min(best, (position + distance) << (kSlotBits * level));
  }
  return best;
}

void TimerWheel::publish() {
  const uint64_t tick = next_tick();
  state_->next_deadline_ns.store(tick >= (UINT64_MAX >> kTickShift) ? UINT64_MAX : tick << kTickShift,
                                 std::memory_order_release);
}

}  // namespace postern::stack
