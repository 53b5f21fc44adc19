// The agenda's heap and its one kernel notification. See agenda.h.
#include "hw_model/agenda.h"

#include <algorithm>

namespace postern::hw_model {

void Agenda::push(const Entry& entry) {
  heap_.push_back(entry);
  size_t hole = heap_.size() - 1;
  while (hole > 0) {
    const size_t parent = (hole - 1) / 2;
    if (!before(entry, heap_[parent])) break;
    heap_[hole] = heap_[parent];
    hole = parent;
  }
  heap_[hole] = entry;
  if (!running_ && entry.time_ps < wake_ps_) wake_at(entry.time_ps);
}

Agenda::Entry Agenda::pop() {
  const Entry first = heap_.front();
  const Entry last = heap_.back();
  heap_.pop_back();
  const size_t count = heap_.size();
  if (count == 0) return first;
  size_t hole = 0;
  while (true) {
    size_t child = 2 * hole + 1;
    if (child >= count) break;
    if (child + 1 < count && before(heap_[child + 1], heap_[child])) ++child;
    if (!before(heap_[child], last)) break;
    heap_[hole] = heap_[child];
    hole = child;
  }
  heap_[hole] = last;
  return first;
}

void Agenda::wake_at(uint64_t time_ps) {
  wake_ps_ = time_ps;
  const uint64_t now = now_ps();
  event_.notify(sc_core::sc_time::from_value(time_ps > now ? time_ps - now : 0));
}

void Agenda::run() {
  const uint64_t now = now_ps();
  wake_ps_ = kNever;
  running_ = true;
  while (!heap_.empty() && heap_.front().time_ps <= now) {
    const Entry entry = pop();
    entry.action(entry.target, entry.a, entry.b, entry.c, entry.d);
  }
  running_ = false;
  if (!heap_.empty()) wake_at(heap_.front().time_ps);
}

void Agenda::clear() {
  heap_.clear();
  if (running_) return;
  event_.cancel();
  wake_ps_ = kNever;
}

}  // namespace postern::hw_model
