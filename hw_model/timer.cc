// Timer events. See timer.h.
#include "hw_model/timer.h"

#include "hw_model/agenda.h"
#include "hw_model/event_queue.h"
#include "hw_model/vi_table.h"

namespace postern::hw_model {

void Timer::arm(Vi& vi, uint32_t delay_ns, uint16_t sequence) {
  ++vi.timer_generation;
  if (delay_ns == 0) return;
  if (sequence == 0) return nic_.vi_table->halt(vi, PST_ERROR_SOURCE_DOORBELL, PST_ERROR_CODE_BAD_DOORBELL, delay_ns);
  vi.timer_sequence = sequence;
  nic_.agenda->at<&Timer::expire>(Agenda::now_ps() + delay_ns * 1000ull, this, vi.id, vi.epoch, vi.timer_generation);
}

void Timer::expire(uint64_t vi_id, uint64_t epoch, uint64_t generation, uint64_t) {
  Vi* vi = nic_.vi_table->running(vi_id);
  if (vi == nullptr || vi->epoch != epoch || vi->timer_generation != generation) return;
  nic_.event_queue->post_timer(*vi, vi->timer_sequence);
}

}  // namespace postern::hw_model
