// The VI-level workload: raw frames between VIs of two hosts, through the VI library alone, no stack. One thread per VI
// and host sends and receives. A frame is Ethernet, IPv4 and UDP with a sequence number; receivers check every byte.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "sim/host_vi.h"
#include "sim/workload_parts.h"

namespace postern::sim {
namespace {

constexpr uint32_t kFcsBytes = 4;
constexpr uint32_t kIpOffset = 14;
constexpr uint32_t kUdpOffset = 34;
constexpr uint32_t kSequenceOffset = 42;
constexpr uint32_t kPayloadOffset = 50;
constexpr uint32_t kBufferBytes = 2048;
constexpr size_t kEventsMax = 64;
constexpr uint64_t kIdleNs = 100;             // between two looks that find nothing
constexpr uint64_t kReadyPollNs = 1000;       // while the other threads set up
constexpr uint64_t kQuietNs = 1'000'000;      // a receiver's patience after the sender's end
constexpr uint64_t kGapSeedStep = 1'000'003;  // so that seeds and ports do not meet
constexpr ViGeometry kIdleGeometry{128, 128, 128};

// What went one way through one pair of VIs.
struct Direction {
  uint64_t sent_count = 0;
  uint64_t received_count = 0;
  uint64_t damaged_count = 0;
  uint64_t reordered_count = 0;
  uint64_t next_sequence = 0;
  uint64_t first_ps = 0, last_ps = 0;  // of the reception
  bool sender_done = false;
  uint64_t done_ps = 0;  // when the sender was
};

struct Stream {
  explicit Stream(uint32_t vis) : forward(vis), backward(vis) {}
  std::vector<Direction> forward, backward;
  uint32_t ready_count = 0;  // threads whose VI can receive
};

void store_be16(uint8_t* at, uint32_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}

void store_be32(uint8_t* at, uint32_t value) {
  store_be16(at, value >> 16);
  store_be16(at + 2, value & 0xffff);
}

// RFC 1071, over an IPv4 header without options.
uint32_t header_checksum(const uint8_t* header) {
  uint32_t sum = 0;
  for (int i = 0; i < 20; i += 2) {
    sum += static_cast<uint32_t>(header[i] << 8 | header[i + 1]);
  }
  sum = (sum & 0xffff) + (sum >> 16);
  return ~(sum + (sum >> 16)) & 0xffff;
}

std::vector<uint8_t> make_frame(const HostSpec& from, const HostSpec& to, uint16_t port, uint64_t wire_bytes,
                                uint64_t seed) {
  std::vector<uint8_t> frame(wire_bytes - kFcsBytes);
  const auto bytes = static_cast<uint32_t>(frame.size());
  std::mt19937_64 random(seed);
  std::generate(frame.begin() + kPayloadOffset, frame.end(), [&] { return static_cast<uint8_t>(random()); });
  std::memcpy(frame.data(), to.mac.data(), 6);
  std::memcpy(frame.data() + 6, from.mac.data(), 6);
  store_be16(frame.data() + 12, 0x0800);
  uint8_t* ip = frame.data() + kIpOffset;
  ip[0] = 0x45;
  store_be16(ip + 2, bytes - kIpOffset);
  ip[8] = 64;
  ip[9] = 17;
  store_be32(ip + 12, from.address_ipv4);
  store_be32(ip + 16, to.address_ipv4);
  store_be16(ip + 10, header_checksum(ip));
  uint8_t* udp = frame.data() + kUdpOffset;
  store_be16(udp, port);
  store_be16(udp + 2, port);
  store_be16(udp + 4, bytes - kUdpOffset);  // no checksum: 0, as RFC 768 allows
  return frame;
}

// One VI of one host and what goes through it.
class ViEnd {
 public:
  ViEnd(WorkloadState& state, VirtualHost& host, HostVi& own, const HostSpec& peer, uint16_t port)
      : state_(state),
        host_(host),
        own_(own),
        costs_(host.cpu().costs()),
        frame_(make_frame(host.spec(), peer, port, state.spec.size_bytes, state.context.seed)),
        expected_(make_frame(peer, host.spec(), port, state.spec.size_bytes, state.context.seed)),
        stop_ns_(state.spec.duration_ns == 0 ? UINT64_MAX : state.begin_ns + state.spec.duration_ns),
        gaps_(state.context.seed * kGapSeedStep + port) {
    for (uint32_t idx = 0; idx < own.vi().state().layout.geometry.tx_entries; ++idx) {
      std::memcpy(own.memory(own.tx_offset(idx)), frame_.data(), frame_.size());
    }
  }

  void post_all_buffers() {
    while (own_.vi().post_rx(own_.rx_offset(own_.vi().state().rx_producer_idx), kBufferBytes)) {
    }
    own_.vi().ring_rx_doorbell();
  }

  // Sends count frames while it receives; out or in may be null.
  std::string run(Direction* out, const Direction* peer_out, Direction* in) {
    Direction nothing;
    if (out == nullptr) {
      nothing.sender_done = true;
    }
    Direction& sending = out == nullptr ? nothing : *out;
    while (!state_.failed) {
      const size_t taken_count = take_events(in);  // in this order, whatever the compiler
      const bool worked = taken_count + send_batch(sending) > 0;
      if (own_.vi().state().halted_code != 0) {
        return failure(
            host_,
            fmt::format("VI {} halted with error {}", own_.vi().state().vi_id, own_.vi().state().halted_code).c_str(),
            EIO);
      }
      if (finished(sending, peer_out, in)) {
        return {};
      }
      if (host_.now_ns() > state_.deadline_ns) {
        return failure(host_, "vi_stream", ETIMEDOUT);
      }
      if (worked) {
        host_.cpu().sync();
      } else {
        host_.cpu().sleep_until_ps(next_look_ps(sending));
      }
    }
    return {};
  }

 private:
  size_t take_events(Direction* in) {
    const size_t count = own_.vi().poll(events_.data(), events_.size());
    host_.spend_ns(count == 0 ? costs_.poll_ns : static_cast<double>(count) * costs_.vi_event_ns);
    size_t posted_count = 0;
    for (size_t i = 0; i < count; ++i) {
      if (events_[i].type != ViEventType::kRx) {
        continue;
      }
      if (in != nullptr) {
        receive(events_[i], *in);
      }
      for (uint32_t n = 0; n < events_[i].desc_count; ++n, ++posted_count) {
        (void)own_.vi().post_rx(own_.rx_offset(own_.vi().state().rx_producer_idx), kBufferBytes);
      }
    }
    host_.spend_ns(static_cast<double>(posted_count) * costs_.vi_descriptor_ns);
    own_.vi().ring_rx_doorbell();
    const ViState& vi = own_.vi().state();
    if (vi.evq_consumer_idx - vi.evq_doorbell_idx >= vi.layout.geometry.evq_entries / 8) {
      own_.vi().ring_evq_doorbell();
    }
    return count;
  }

  void receive(const ViEvent& event, Direction& in) {
    in.last_ps = host_.now_ps();
    if (in.received_count++ == 0) {
      in.first_ps = in.last_ps;
    }
    const uint8_t* frame = own_.memory(own_.rx_offset(event.first_idx)) + event.payload_offset_bytes;
    uint64_t sequence = 0;
    std::memcpy(&sequence, frame + kSequenceOffset, sizeof sequence);
    const bool good =
        event.length_bytes == expected_.size() && std::memcmp(frame, expected_.data(), kSequenceOffset) == 0 &&
        std::memcmp(frame + kPayloadOffset, expected_.data() + kPayloadOffset, expected_.size() - kPayloadOffset) == 0;
    in.damaged_count += good ? 0 : 1;
    in.reordered_count += sequence < in.next_sequence ? 1 : 0;
    in.next_sequence = std::max(in.next_sequence, sequence + 1);
  }

  size_t send_batch(Direction& out) {
    if (out.sender_done) {
      return 0;
    }
    if (out.sent_count == state_.spec.count || host_.now_ns() >= stop_ns_) {
      out.sender_done = true;
      out.done_ps = host_.now_ps();
      return 0;
    }
    if (host_.now_ps() < next_batch_ps_) {
      return 0;
    }
    Vi& vi = own_.vi();
    const auto batch = static_cast<uint32_t>(std::min<uint64_t>(state_.spec.batch, state_.spec.count - out.sent_count));
    if (vi.tx_space() < batch) {
      return 0;
    }
    for (uint32_t i = 0; i < batch; ++i) {
      const TxFragment fragment{own_.tx_offset(vi.state().tx_producer_idx), static_cast<uint16_t>(frame_.size())};
      std::memcpy(own_.memory(fragment.address_offset) + kSequenceOffset, &out.sent_count, sizeof out.sent_count);
      (void)vi.queue_tx(&fragment, 1, TxOptions{});
      out.sent_count++;
    }
    host_.spend_ns(batch * costs_.vi_descriptor_ns);
    vi.ring_tx_doorbell();
    // By the clock, whatever the batches before it took: the load is open-loop.
    next_batch_ps_ = (next_batch_ps_ == 0 ? host_.now_ps() : next_batch_ps_) + gap_ps();
    return batch;
  }

  // To the next batch: constant, or exponentially distributed (by inversion).
  uint64_t gap_ps() {
    const uint64_t mean_ps = state_.spec.interval_ns * 1000;
    if (!state_.spec.poisson) {
      return mean_ps;
    }
    const double share = static_cast<double>(gaps_() >> 11U) * 0x1p-53;  // in [0, 1)
    return static_cast<uint64_t>(-std::log1p(-share) * static_cast<double>(mean_ps));
  }

  // When a thread that has found nothing to do looks again.
  uint64_t next_look_ps(const Direction& out) const {
    const uint64_t look_ps = host_.now_ps() + kIdleNs * 1000;
    const bool waits = !out.sender_done && next_batch_ps_ > host_.now_ps();
    return waits ? std::min(look_ps, next_batch_ps_) : look_ps;
  }

  bool finished(const Direction& out, const Direction* peer_out, const Direction* in) const {
    const ViState& vi = own_.vi().state();
    if (!out.sender_done || vi.tx_consumer_idx != vi.tx_producer_idx) {
      return false;
    }
    if (in == nullptr) {
      return true;
    }
    if (!peer_out->sender_done) {
      return false;
    }
    const uint64_t quiet_since_ps = std::max(in->last_ps, peer_out->done_ps);
    return in->received_count >= peer_out->sent_count || host_.now_ps() > quiet_since_ps + kQuietNs * 1000;
  }

  WorkloadState& state_;
  VirtualHost& host_;
  HostVi& own_;
  const CpuCosts& costs_;
  const std::vector<uint8_t> frame_;
  const std::vector<uint8_t> expected_;
  const uint64_t stop_ns_;
  uint64_t next_batch_ps_ = 0;  // not before; 0: none has been sent
  std::mt19937_64 gaps_;
  std::array<ViEvent, kEventsMax> events_;
};

void report_direction(WorkloadResult& result, const WorkloadSpec& spec, const std::string& prefix,
                      const std::vector<Direction>& directions) {
  Direction sum;
  sum.first_ps = UINT64_MAX;
  for (const Direction& direction : directions) {
    sum.sent_count += direction.sent_count;
    sum.received_count += direction.received_count;
    sum.damaged_count += direction.damaged_count;
    sum.reordered_count += direction.reordered_count;
    sum.first_ps = std::min(sum.first_ps, direction.received_count == 0 ? UINT64_MAX : direction.first_ps);
    sum.last_ps = std::max(sum.last_ps, direction.last_ps);
  }
  result.counts[prefix + "sent_frames"] = sum.sent_count;
  result.counts[prefix + "received_frames"] = sum.received_count;
  result.counts[prefix + "lost_frames"] = sum.sent_count - std::min(sum.sent_count, sum.received_count);
  result.counts[prefix + "damaged_frames"] = sum.damaged_count;
  result.counts[prefix + "reordered_frames"] = sum.reordered_count;
  const uint64_t elapsed_ps = sum.received_count < 2 ? 0 : sum.last_ps - sum.first_ps;
  result.counts[prefix + "elapsed_ns"] = elapsed_ps / 1000;
  if (elapsed_ps != 0) {
    const double per_second = static_cast<double>(sum.received_count - 1) / (static_cast<double>(elapsed_ps) * 1e-12);
    constexpr uint64_t kAroundBytes = 20;  // preamble and gap
    result.rates[prefix + "mpps"] = per_second * 1e-6;
    result.rates[prefix + "frame_gbps"] = per_second * static_cast<double>(spec.size_bytes) * 8e-9;
    result.rates[prefix + "wire_gbps"] = per_second * static_cast<double>(spec.size_bytes + kAroundBytes) * 8e-9;
  }
  if (sum.sent_count != 0 && sum.received_count == 0 && result.error.empty()) {
    result.error = fmt::format("none of {} frames arrived", sum.sent_count);
  }
  if (sum.damaged_count != 0 && result.error.empty()) {
    result.error = fmt::format("{} frames arrived with other bytes than were sent", sum.damaged_count);
  }
}

std::string open_idle_vis(WorkloadState& state, VirtualHost& host, std::vector<std::unique_ptr<HostVi>>& idle) {
  HostVi::Options options;
  options.geometry = kIdleGeometry;
  for (uint32_t i = 0; i < state.spec.idle_vis; ++i) {
    Result<std::unique_ptr<HostVi>> made = HostVi::open(host, options);
    if (!made) {
      return fmt::format("host {}: idle VI {}: {}", host.name(), i, made.error().message);
    }
    idle.push_back(std::move(made).value());
  }
  return {};
}

void close_all(const std::vector<std::unique_ptr<HostVi>>& vis) {
  for (const auto& vi : vis) {
    (void)vi->close();
  }
}

std::string run_end(WorkloadState& state, VirtualHost& host, const std::shared_ptr<Stream>& stream, uint32_t number) {
  const bool is_sender = host.name() == state.spec.from.front();
  std::vector<std::unique_ptr<HostVi>> idle;
  if (number == 0) {
    if (std::string error = open_idle_vis(state, host, idle); !error.empty()) {
      close_all(idle);
      return error;
    }
  }
  HostVi::Options options;
  options.geometry = host.options().geometry;
  options.evq_policy = host.options().evq_policy;
  options.buffer_bytes = kBufferBytes;
  options.udp_port = static_cast<uint16_t>(state.spec.port + number);
  Result<std::unique_ptr<HostVi>> own = HostVi::open(host, options);
  if (!own) {
    close_all(idle);
    return fmt::format("host {}: {}", host.name(), own.error().message);
  }
  VirtualHost& peer = is_sender ? state.server : state.context.host(state.spec.from.front());
  std::string error;
  {
    ViEnd end(state, host, **own, peer.spec(), options.udp_port);
    end.post_all_buffers();
    stream->ready_count++;
    while (stream->ready_count < 2 * state.spec.vis && !state.failed && host.now_ns() < state.deadline_ns) {
      host.cpu().sleep_until_ps(host.now_ps() + kReadyPollNs * 1000);
    }
    Direction* forward = &stream->forward[number];
    Direction* backward = state.spec.bidirectional ? &stream->backward[number] : nullptr;
    error = is_sender ? end.run(forward, backward, backward) : end.run(backward, forward, forward);
  }
  if (Status status = (*own)->close(); !status && error.empty()) {
    error = fmt::format("host {}: {}", host.name(), status.error().message);
  }
  close_all(idle);
  return error;
}

}  // namespace

void spawn_vi_stream(const WorkloadStatePtr& state) {
  auto stream = std::make_shared<Stream>(state->spec.vis);
  auto running = std::make_shared<uint32_t>(2 * state->spec.vis);
  const auto body = [stream, running](uint32_t number) {
    return [stream, running, number](WorkloadState& shared, VirtualHost& host) {
      std::string error = run_end(shared, host, stream, number);
      if (--*running == 0) {
        report_direction(shared.result, shared.spec, "", stream->forward);
        if (shared.spec.bidirectional) {
          report_direction(shared.result, shared.spec, "backward_", stream->backward);
        }
      }
      return error;
    };
  };
  VirtualHost& sender = state->context.host(state->spec.from.front());
  for (uint32_t number = 0; number < state->spec.vis; ++number) {
    spawn_on(state, state->server, fmt::format("receiver{}", number), body(number));
    spawn_on(state, sender, fmt::format("sender{}", number), body(number));
  }
}

}  // namespace postern::sim
