// The NIC's agenda: small callbacks at simulated times, in the order of time and then of entry. One SC_METHOD runs them
// all, so that a packet costs few SystemC notifications and an idle NIC costs none. Hides the heap and the kernel
// event.
#pragma once

#include <cstdint>
#include <systemc>
#include <vector>

namespace postern::hw_model {

class Agenda {
 public:
  Agenda() = default;
  Agenda(const Agenda&) = delete;
  Agenda& operator=(const Agenda&) = delete;

  // Present simulated time in picoseconds. Needs a SystemC time resolution of 1 ps (NicModel checks it).
  [[nodiscard]] static uint64_t now_ps() { return sc_core::sc_time_stamp().value(); }

  // Calls (target->*kMethod)(a, b, c, d) at time_ps (not before now). target must outlive the call or clear().
  template <auto kMethod, class Target>
  void at(uint64_t time_ps, Target* target, uint64_t a = 0, uint64_t b = 0, uint64_t c = 0, uint64_t d = 0) {
    push({time_ps, next_order_++, &invoke<kMethod, Target>, target, a, b, c, d});
  }

  // Runs all that is due and notifies the event for the rest. Called by the NIC's one SC_METHOD, sensitive to event().
  void run();
  [[nodiscard]] sc_core::sc_event& event() { return event_; }

  // Forgets everything that is planned (function reset).
  void clear();
  [[nodiscard]] size_t size() const { return heap_.size(); }

 private:
  using Action = void (*)(void* target, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
  struct Entry {
    uint64_t time_ps;
    uint64_t order;  // breaks ties: first in, first out
    Action action;
    void* target;
    uint64_t a, b, c, d;
  };

  template <auto kMethod, class Target>
  static void invoke(void* target, uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
    (static_cast<Target*>(target)->*kMethod)(a, b, c, d);
  }
  static bool before(const Entry& x, const Entry& y) {
    return x.time_ps != y.time_ps ? x.time_ps < y.time_ps : x.order < y.order;
  }
  void push(const Entry& entry);
  Entry pop();
  void wake_at(uint64_t time_ps);

  static constexpr uint64_t kNever = ~0ull;
  std::vector<Entry> heap_;  // binary heap, earliest first
  uint64_t next_order_ = 0;
  uint64_t wake_ps_ = kNever;  // time of the pending notification
  bool running_ = false;
  sc_core::sc_event event_;
};

}  // namespace postern::hw_model
