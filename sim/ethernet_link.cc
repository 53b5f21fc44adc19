// One Direction object per way: a heap of frames in flight ordered by arrival time, and one SystemC event for the
// earliest.
#include "sim/ethernet_link.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace postern::sim {
namespace {

constexpr int kCorruptBits = 3;  // bits flipped in a corrupted frame; the FCS finds up to 3 at these lengths

uint64_t now_ps() { return sc_core::sc_time_stamp().value(); }

// Uniform in [0, 1), the same on every platform.
double uniform(std::mt19937_64& random) { return static_cast<double>(random() >> 11) * 0x1p-53; }

}  // namespace

uint64_t frame_time_ps(uint64_t frame_bytes, double rate_gbps) {
  const uint64_t bits = (kPreambleBytes + std::max(frame_bytes, kMinFrameBytes) + kFcsBytes) * 8;
  return static_cast<uint64_t>(std::llround(static_cast<double>(bits) * 1000.0 / rate_gbps));
}

uint64_t inter_frame_gap_ps(double rate_gbps) {
  return static_cast<uint64_t>(std::llround(static_cast<double>(kInterFrameGapBytes * 8) * 1000.0 / rate_gbps));
}

class EthernetLink::Direction : public sc_core::sc_module, public EthernetIf {
 public:
  SC_HAS_PROCESS(Direction);
  Direction(const sc_core::sc_module_name& name, const Config& config, unsigned from_side)
      : sc_module(name),
        rate_gbps_(config.rate_gbps),
        delay_ps_(config.delay_ns * 1000),
        impairments_(config.impairments[from_side]) {
    impaired_ =
        impairments_.loss > 0 || impairments_.reorder > 0 || impairments_.duplicate > 0 || impairments_.corrupt > 0;
    std::seed_seq seed{static_cast<uint32_t>(config.seed), static_cast<uint32_t>(config.seed >> 32), from_side};
    random_.seed(seed);
    SC_METHOD(arrive);
    sensitive << arrival_event_;
    dont_initialize();
  }

  void deliver(const FramePtr& frame) override {
    counters_.frames++;
    counters_.bytes += frame->bytes.size();
    add_to_fingerprint(*frame);
    const uint64_t leave_ps = last_bit_ps(*frame);
    if (sender_capture_ != nullptr) {
      sender_capture_->record(now_ps(), *frame);
    }
    if (impaired_) {
      impair(frame, leave_ps + delay_ps_);
    } else {
      push(frame, leave_ps + delay_ps_);
    }
  }

  void set_link(bool up) override { sink_->set_link(up); }

  EthernetIf* sink_ = nullptr;
  PcapWriter* sender_capture_ = nullptr;
  PcapWriter* receiver_capture_ = nullptr;
  bool serialize_ = false;
  DirectionCounters counters_;

 private:
  struct InFlight {
    uint64_t arrive_ps;
    uint64_t order;  // of two frames with the same arrival time the first sent comes first
    FramePtr frame;
    bool operator<(const InFlight& other) const {  // heap order: the earliest on top
      return arrive_ps != other.arrive_ps ? arrive_ps > other.arrive_ps : order > other.order;
    }
  };

  void add_to_fingerprint(const EthernetFrame& frame) {
    uint64_t hash = mix_hash(counters_.fingerprint, now_ps());
    const size_t size_bytes = frame.bytes.size();
    const uint8_t* data = frame.bytes.data();
    uint64_t word = 0;
    size_t left = size_bytes;
    for (; left >= sizeof word; left -= sizeof word, data += sizeof word) {  // a constant size: one load, no call
      std::memcpy(&word, data, sizeof word);
      hash = mix_hash(hash, word);
    }
    if (left > 0) {
      word = 0;
      std::memcpy(&word, data, left);
      hash = mix_hash(hash, word);
    }
    counters_.fingerprint = mix_hash(hash, size_bytes);
  }

  // When the frame's last bit leaves the sender: now, unless this link serialises.
  uint64_t last_bit_ps(const EthernetFrame& frame) {
    if (!serialize_) {
      return now_ps();
    }
    const uint64_t last_ps = std::max(now_ps(), free_ps_) + frame_time_ps(frame.bytes.size(), rate_gbps_);
    free_ps_ = last_ps + inter_frame_gap_ps(rate_gbps_);
    return last_ps;
  }

  void impair(const FramePtr& frame, uint64_t arrive_ps) {
    const unsigned copies = uniform(random_) < impairments_.duplicate ? 2 : 1;
    counters_.duplicated += copies - 1;
    for (unsigned i = 0; i < copies; ++i) {
      if (uniform(random_) < impairments_.loss) {
        counters_.lost++;
        continue;
      }
      uint64_t when_ps = arrive_ps;
      if (uniform(random_) < impairments_.reorder) {
        counters_.reordered++;
        when_ps += impairments_.reorder_delay_ns * 1000;
      }
      const bool corrupt = uniform(random_) < impairments_.corrupt;
      FramePtr copy = corrupt || i > 0 ? std::make_shared<EthernetFrame>(*frame) : frame;
      if (corrupt) {
        counters_.corrupted++;
        damage(*copy);
      }
      push(std::move(copy), when_ps);
    }
  }

  void damage(EthernetFrame& frame) {
    for (int i = 0; i < kCorruptBits && !frame.bytes.empty(); ++i) {
      const uint64_t bit = random_() % (frame.bytes.size() * 8);
      frame.bytes[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    }
    frame.bad_fcs = true;
  }

  void push(FramePtr frame, uint64_t arrive_ps) {
    in_flight_.push_back({arrive_ps, order_++, std::move(frame)});
    std::push_heap(in_flight_.begin(), in_flight_.end());
    if (in_flight_.front().order == order_ - 1) {
      schedule();
    }
  }

  // An earlier notification replaces a later one, so this is right also when one is pending.
  void schedule() { arrival_event_.notify(sc_core::sc_time::from_value(in_flight_.front().arrive_ps - now_ps())); }

  void arrive() {
    while (!in_flight_.empty() && in_flight_.front().arrive_ps <= now_ps()) {
      std::pop_heap(in_flight_.begin(), in_flight_.end());
      const FramePtr frame = std::move(in_flight_.back().frame);
      in_flight_.pop_back();
      frame->stamps_ps[static_cast<size_t>(Stage::kWireLastBit)] = now_ps();
      if (receiver_capture_ != nullptr) {
        receiver_capture_->record(now_ps(), *frame);
      }
      counters_.delivered++;
      sink_->deliver(frame);
    }
    if (!in_flight_.empty()) {
      schedule();
    }
  }

  const double rate_gbps_;
  const uint64_t delay_ps_;
  const WireImpairments impairments_;
  bool impaired_ = false;
  std::mt19937_64 random_;
  uint64_t free_ps_ = 0;
  uint64_t order_ = 0;
  std::vector<InFlight> in_flight_;
  sc_core::sc_event arrival_event_;
};

EthernetLink::EthernetLink(const sc_core::sc_module_name& name, const Config& config) : sc_module(name) {
  directions_[0] = std::make_unique<Direction>("forward", config, 0);
  directions_[1] = std::make_unique<Direction>("backward", config, 1);
}

EthernetLink::~EthernetLink() = default;

EthernetIf& EthernetLink::end(unsigned side) { return *directions_.at(side); }

void EthernetLink::connect(unsigned side, EthernetIf& sink) { directions_.at(1 - side)->sink_ = &sink; }

void EthernetLink::serialize_from(unsigned side) { directions_.at(side)->serialize_ = true; }

void EthernetLink::capture_at(unsigned side, PcapWriter* writer) {
  directions_.at(side)->sender_capture_ = writer;
  directions_.at(1 - side)->receiver_capture_ = writer;
}

const EthernetLink::DirectionCounters& EthernetLink::counters(unsigned from_side) const {
  return directions_.at(from_side)->counters_;
}

void EthernetLink::start_of_simulation() {
  for (auto& direction : directions_) {
    if (direction->sink_ == nullptr) {
      SC_REPORT_FATAL("postern/ethernet_link", "both sides of a link must be connected before the simulation starts");
    }
    direction->sink_->set_link(true);
  }
}

}  // namespace postern::sim
