// Reference for pst_event_queue: the contract's rules on plain numbers, an operation at a time. It knows when a planned
// wakeup may fire, not the cycle in which the scan finds it: the bench tells it that.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>

#include "contract/gen/pst_contract.h"

namespace postern::rtl_test {

// Values of pst_event_queue_pkg.
enum class Op : uint8_t {
  kPost,
  kReserve,
  kPostReserved,
  kRelease,
  kWakeEvent,
  kConsume,
  kPrime,
  kScan,
  kStart,
  kStop,
  kHalt,
  kBind,
  kModerate
};
enum class Answer : uint8_t { kOk, kStall, kDrop, kHalt, kGone };
enum class Life : uint8_t { kFree, kRunning, kHalted };

struct QueueConfig {
  uint64_t address = 0;
  uint32_t entries_log2 = 7;
  uint32_t policy = PST_EVQ_POLICY_STALL;
  uint32_t vector = PST_VECTOR_NONE;
  bool wake_to_vi = false;
  uint32_t wake_vi = 0;
  uint32_t holdoff_ns = 0;
  uint32_t holdoff_events = 0;
  bool adaptive = false;
};

struct Request {
  Op op = Op::kPost;
  uint32_t vi = 0;
  pst_event event{};
  uint32_t consumer_idx = 0;
  uint16_t sequence = 1;
  QueueConfig config;
};

// What leaves the block, in order.
struct Output {
  enum class Kind : uint8_t { kWrite, kMessage, kHalt, kDone } kind = Kind::kWrite;
  uint32_t vi = 0;
  uint64_t address = 0;
  pst_event event{};
  uint32_t vector = 0;
  uint32_t source = 0, code = 0, index = 0;
};

struct QueueState {
  QueueConfig config;
  Life life = Life::kFree;
  uint32_t producer_idx = 0, consumer_idx = 0, reserved_count = 0;
  bool mark = false, primed = false, armed = false, error_written = false;
  bool space_wanted = false;
  uint32_t prime_idx = 0, woken_idx = 0;
  std::optional<uint64_t> last_wakeup_ns;
  uint64_t due_ns = 0, adaptive_sixteenths_ns = 0;
  uint32_t owed_count = 0;  // wakeup events for another VI that may still appear

  [[nodiscard]] uint32_t entries() const { return 1u << config.entries_log2; }
  [[nodiscard]] uint32_t depth() const { return producer_idx - consumer_idx; }
  [[nodiscard]] bool full() const { return depth() + reserved_count >= entries(); }
  [[nodiscard]] bool pending() const { return primed && producer_idx != prime_idx; }
};

class EventQueueReference {
 public:
  static constexpr uint32_t kViCount = 64;

  QueueState& vi(uint32_t id) { return vis_[id]; }
  std::deque<Output>& outputs() { return outputs_; }

  // Results of the last operation.
  Answer answer = Answer::kOk;
  bool woke = false;    // its VI's owner was woken
  bool wrote = false;   // it wrote an event
  bool marked = false;  // one with the overflow mark
  bool space = false;   // it returned space for which a requester waits
  bool ignored = false;

  void execute(const Request& request, uint64_t now_ns) {
    answer = Answer::kOk;
    woke = wrote = marked = space = ignored = false;
    QueueState& q = vis_[request.vi];
    switch (request.op) {
      case Op::kConsume:
      case Op::kPrime:
        ring(request, now_ns);
        break;
      case Op::kRelease:
        if (q.life != Life::kFree && q.reserved_count != 0) {
          --q.reserved_count;
          returned(q);
        }
        break;
      case Op::kStart:
      case Op::kStop:
      case Op::kHalt:
      case Op::kBind:
      case Op::kModerate:
        command(request, now_ns);
        break;
      default:
        post(request, now_ns);
    }
  }

  // A planned wakeup fires.
  void holdoff_over(uint32_t id, uint64_t now_ns) {
    woke = false;
    wake(id, now_ns);
  }

 private:
  void post(const Request& request, uint64_t now_ns) {
    QueueState& q = vis_[request.vi];
    const bool error = request.op == Op::kPost && pst_event_get_type(&request.event) == PST_EVENT_TYPE_ERROR;
    if (q.life == Life::kFree || (q.life == Life::kHalted && !error)) {
      answer = Answer::kGone;
      return;
    }
    if (request.op == Op::kPostReserved && q.reserved_count != 0) {
      --q.reserved_count;
    } else if (q.full()) {
      return refuse(request, error);
    } else if (request.op == Op::kReserve) {
      ++q.reserved_count;
      return;
    }
    wrote = true;
    pst_event event = request.event;
    pst_event_set_phase(&event, q.producer_idx / q.entries() % 2 == 0 ? 1 : 0);
    pst_event_set_overflow_mark(&event, q.mark ? 1 : 0);
    marked = q.mark;
    q.mark = false;
    Output output;
    output.vi = request.vi;
    output.address = q.config.address + uint64_t{q.producer_idx % q.entries()} * PST_EVENT_BYTES;
    output.event = event;
    output.index = q.producer_idx;
    outputs_.push_back(output);
    ++q.producer_idx;
    if (error && q.life == Life::kHalted) q.error_written = true;
    judge(request.vi, now_ns);
  }

  void refuse(const Request& request, bool error) {
    QueueState& q = vis_[request.vi];
    if (error || q.config.policy == PST_EVQ_POLICY_STALL) {
      answer = Answer::kStall;
      if (request.op != Op::kWakeEvent) q.space_wanted = true;
    } else if (q.config.policy == PST_EVQ_POLICY_DROP) {
      answer = Answer::kDrop;
      q.mark = true;
    } else {
      answer = Answer::kHalt;
      halt(request.vi, PST_ERROR_SOURCE_EVQ, PST_ERROR_CODE_QUEUE_OVERFLOW, q.producer_idx);
    }
  }

  void ring(const Request& request, uint64_t now_ns) {
    QueueState& q = vis_[request.vi];
    if (q.life == Life::kFree) {
      ignored = true;
      return;
    }
    const int64_t ahead = static_cast<int32_t>(request.consumer_idx - q.consumer_idx);
    const bool good = ahead <= 0 ? -ahead <= int64_t{q.entries()} : ahead <= int64_t{q.depth()};
    if (!good || (request.op == Op::kPrime && request.sequence == 0)) {
      if (q.life == Life::kRunning)
        halt(request.vi, PST_ERROR_SOURCE_DOORBELL, PST_ERROR_CODE_BAD_DOORBELL, request.consumer_idx);
      return;
    }
    if (ahead > 0) {
      q.consumer_idx = request.consumer_idx;
      returned(q);
    }
    if (request.op != Op::kPrime) return;
    q.primed = true;
    q.prime_idx = request.consumer_idx;
    if (q.producer_idx == q.prime_idx) q.armed = false;
    judge(request.vi, now_ns);
  }

  void command(const Request& request, uint64_t now_ns) {
    QueueState& q = vis_[request.vi];
    if (request.op == Op::kStart) {
      const uint32_t owed_count = q.owed_count;  // events that have been issued may still be on their way out
      q = QueueState();
      q.owed_count = owed_count;
      q.config = request.config;
      q.life = Life::kRunning;
    } else if (request.op == Op::kStop) {
      q.life = Life::kFree;
      q.primed = q.armed = false;
    } else if (request.op == Op::kHalt && q.life == Life::kRunning) {
      q.life = Life::kHalted;
      q.armed = false;
      judge(request.vi, now_ns);
    } else if (request.op == Op::kBind) {
      q.config.vector = request.config.vector;
      q.config.wake_to_vi = request.config.wake_to_vi;
      q.config.wake_vi = request.config.wake_vi;
    } else if (request.op == Op::kModerate && q.life != Life::kFree) {
      q.config.holdoff_ns = request.config.holdoff_ns;
      q.config.holdoff_events = request.config.holdoff_events;
      q.config.adaptive = request.config.adaptive;
      q.adaptive_sixteenths_ns = 0;
      q.armed = false;
      judge(request.vi, now_ns);
    }
    Output done;
    done.kind = Output::Kind::kDone;
    done.vi = request.vi;
    outputs_.push_back(done);
  }

  void returned(QueueState& q) {
    space = q.space_wanted;
    q.space_wanted = false;
  }

  void halt(uint32_t id, uint32_t source, uint32_t code, uint32_t index) {
    Output output;
    output.kind = Output::Kind::kHalt;
    output.vi = id;
    output.source = source;
    output.code = code;
    output.index = index;
    outputs_.push_back(output);
  }

  // R6 and R7: wakes now, or plans it.
  void judge(uint32_t id, uint64_t now_ns) {
    QueueState& q = vis_[id];
    if (!q.pending()) return;
    uint64_t due_ns = now_ns;
    if (q.config.adaptive) {
      if (q.last_wakeup_ns) due_ns = *q.last_wakeup_ns + (q.adaptive_sixteenths_ns + 15) / 16;
    } else if (q.config.holdoff_events > 1) {
      if (q.producer_idx - q.prime_idx < q.config.holdoff_events) due_ns = now_ns + q.config.holdoff_ns;
    } else if (q.last_wakeup_ns) {
      due_ns = *q.last_wakeup_ns + q.config.holdoff_ns;
    }
    if (due_ns <= now_ns || (q.life == Life::kHalted && q.error_written)) return wake(id, now_ns);
    if (q.armed) return;
    q.armed = true;
    q.due_ns = due_ns;
  }

  void wake(uint32_t id, uint64_t now_ns) {
    QueueState& q = vis_[id];
    woke = true;
    q.primed = q.armed = false;
    const uint32_t event_count = q.producer_idx - q.woken_idx;
    uint64_t& adaptive = q.adaptive_sixteenths_ns;
    const uint64_t least = q.config.holdoff_ns;  // HOLDOFF_NS / 16, in sixteenths
    if (q.config.adaptive && event_count >= 8) {
      adaptive = adaptive == 0 ? least : adaptive * 2;
      if (adaptive > 16 * least) adaptive = 16 * least;
    } else if (q.config.adaptive && event_count < 2) {
      adaptive = adaptive / 2 < least ? 0 : adaptive / 2;
    }
    q.woken_idx = q.producer_idx;
    q.last_wakeup_ns = now_ns;
    if (q.config.wake_to_vi) {
      if (q.config.wake_vi != id) ++q.owed_count;
    } else if (q.config.vector != PST_VECTOR_NONE) {
      Output output;
      output.kind = Output::Kind::kMessage;
      output.vi = id;
      output.vector = q.config.vector;
      outputs_.push_back(output);
    }
  }

  std::array<QueueState, kViCount> vis_;
  std::deque<Output> outputs_;
};

}  // namespace postern::rtl_test
