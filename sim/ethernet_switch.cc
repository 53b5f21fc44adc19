// Learning, forwarding and the output ports. A port computes a frame's departure when it enqueues it, so each frame
// costs one SystemC event and, with the frames that arrive at the same time, one delta cycle.
#include "sim/ethernet_switch.h"

#include <algorithm>
#include <deque>

#include "sim/ethernet_link.h"

namespace postern::sim {
namespace {

constexpr size_t kAddressBytes = 6;
constexpr uint8_t kGroupBit = 1;
constexpr size_t kLearnedMax = 8192;  // a common size of such tables; when it is full, new addresses stay unknown

uint64_t now_ps() { return sc_core::sc_time_stamp().value(); }

uint64_t address_key(const uint8_t* address) {
  uint64_t key = 0;
  for (size_t i = 0; i < kAddressBytes; ++i) {
    key = key << 8 | address[i];
  }
  return key;
}

// 01-80-C2-00-00-00 to -0F never pass a bridge (IEEE 802.1Q, table 8-1).
bool is_link_local(const std::vector<uint8_t>& frame) {
  static constexpr uint8_t kPrefix[5] = {0x01, 0x80, 0xc2, 0x00, 0x00};
  return std::equal(std::begin(kPrefix), std::end(kPrefix), frame.begin()) && frame[5] < 0x10;
}

}  // namespace

class EthernetSwitch::Port : public sc_core::sc_module, public EthernetIf {
 public:
  SC_HAS_PROCESS(Port);
  Port(const sc_core::sc_module_name& name, EthernetSwitch& owner, unsigned number, double rate_gbps)
      : sc_module(name), owner_(owner), number_(number), rate_gbps_(rate_gbps) {
    SC_METHOD(depart);
    sensitive << depart_event_;
    dont_initialize();
  }

  void deliver(const FramePtr& frame) override {
    counters_.rx_frames++;
    if (frame->bad_fcs || frame->bytes.size() < 2 * kAddressBytes) {
      counters_.bad_fcs_drops++;
      return;
    }
    if (is_link_local(frame->bytes)) {
      counters_.link_local_frames++;
      return;
    }
    owner_.arrived(number_, frame);
  }

  void set_link(bool up) override {
    up_ = up;
    if (!up) {
      owner_.forget_port(number_);
    }
  }

  void enqueue(const FramePtr& frame) {
    const uint64_t size_bytes = frame->bytes.size();
    if (!up_ || queued_bytes_ + size_bytes > owner_.config_.queue_bytes) {
      counters_.queue_drops++;
      return;
    }
    queued_bytes_ += size_bytes;
    counters_.queue_high_water_bytes = std::max(counters_.queue_high_water_bytes, queued_bytes_);
    const uint64_t start_ps = std::max(now_ps() + owner_.config_.latency_ns * 1000, free_ps_);
    const uint64_t depart_ps = start_ps + frame_time_ps(size_bytes, rate_gbps_);
    free_ps_ = depart_ps + inter_frame_gap_ps(rate_gbps_);
    queue_.push_back({depart_ps, frame});
    if (queue_.size() == 1) {
      schedule();
    }
  }

  EthernetIf* sink_ = nullptr;
  PortCounters counters_;
  bool up_ = true;

 private:
  struct Departure {
    uint64_t depart_ps;
    FramePtr frame;
  };

  void schedule() { depart_event_.notify(sc_core::sc_time::from_value(queue_.front().depart_ps - now_ps())); }

  void depart() {
    const FramePtr frame = std::move(queue_.front().frame);
    queue_.pop_front();
    queued_bytes_ -= frame->bytes.size();
    counters_.tx_frames++;
    sink_->deliver(frame);
    if (!queue_.empty()) {
      schedule();
    }
  }

  EthernetSwitch& owner_;
  const unsigned number_;
  const double rate_gbps_;
  uint64_t queued_bytes_ = 0;
  uint64_t free_ps_ = 0;
  std::deque<Departure> queue_;
  sc_core::sc_event depart_event_;
};

EthernetSwitch::EthernetSwitch(const sc_core::sc_module_name& name, const Config& config)
    : sc_module(name), config_(config) {
  SC_METHOD(forward_arrivals);
  sensitive << arrival_event_;
  dont_initialize();
}

EthernetSwitch::~EthernetSwitch() = default;

unsigned EthernetSwitch::add_port(double rate_gbps) {
  const auto number = static_cast<unsigned>(ports_.size());
  ports_.push_back(std::make_unique<Port>(sc_core::sc_gen_unique_name("port"), *this, number, rate_gbps));
  return number;
}

EthernetIf& EthernetSwitch::port(unsigned number) { return *ports_.at(number); }

void EthernetSwitch::connect(unsigned number, EthernetIf& sink) { ports_.at(number)->sink_ = &sink; }

const EthernetSwitch::PortCounters& EthernetSwitch::counters(unsigned number) const {
  return ports_.at(number)->counters_;
}

void EthernetSwitch::arrived(unsigned from_port, const FramePtr& frame) {
  if (arrivals_.empty()) {
    arrival_event_.notify(sc_core::SC_ZERO_TIME);
  }
  arrivals_.push_back({from_port, frame});
}

// Frames of one time (and delta cycle) are taken in the order of the ports: which link SystemC runs first must not
// decide who is in front in an output queue.
void EthernetSwitch::forward_arrivals() {
  std::stable_sort(arrivals_.begin(), arrivals_.end(),
                   [](const Arrival& a, const Arrival& b) { return a.port < b.port; });
  for (const Arrival& arrival : arrivals_) {
    forward(arrival.port, arrival.frame);
  }
  arrivals_.clear();
}

void EthernetSwitch::forward(unsigned from_port, const FramePtr& frame) {
  const uint8_t* destination = frame->bytes.data();
  const uint8_t* source = destination + kAddressBytes;
  if ((source[0] & kGroupBit) == 0 && ports_[from_port]->up_) {  // else the link went down behind the frame
    learn(address_key(source), from_port);
  }
  if ((destination[0] & kGroupBit) == 0) {
    const auto it = learned_.find(address_key(destination));
    if (it != learned_.end() && now_ps() - it->second.seen_ps <= config_.ageing_ns * 1000) {
      if (it->second.port != from_port) {
        ports_[it->second.port]->enqueue(frame);
      }
      return;
    }
  }
  for (unsigned number = 0; number < ports_.size(); ++number) {
    if (number != from_port) {
      ports_[number]->counters_.flooded_frames++;
      ports_[number]->enqueue(std::make_shared<EthernetFrame>(*frame));  // each copy carries its own stamps
    }
  }
}

void EthernetSwitch::learn(uint64_t address, unsigned from_port) {
  if (learned_.size() >= kLearnedMax && learned_.count(address) == 0) {
    for (auto it = learned_.begin(); it != learned_.end();) {
      it = now_ps() - it->second.seen_ps > config_.ageing_ns * 1000 ? learned_.erase(it) : std::next(it);
    }
    if (learned_.size() >= kLearnedMax) {
      return;
    }
  }
  learned_[address] = {from_port, now_ps()};
}

void EthernetSwitch::forget_port(unsigned number) {
  for (auto it = learned_.begin(); it != learned_.end();) {
    it = it->second.port == number ? learned_.erase(it) : std::next(it);
  }
}

}  // namespace postern::sim
