// TCP's timers: retransmission (RFC 6298), persist (RFC 9293 3.8.6.1), delayed acknowledgement, keepalive, TIME_WAIT.
// One wheel node per connection, at or before the earliest of them; moving a timer later does not touch the wheel.
#include <algorithm>
#include <cerrno>

#include "stack/core.h"
#include "stack/tcp_internal.h"

namespace postern::stack {
namespace {

uint64_t earliest(const TcpTimers& timers) {
  return std::min(
      {timers.retransmit_ns, timers.persist_ns, timers.delayed_ack_ns, timers.keepalive_ns, timers.close_ns});
}

bool state_has_descriptor_gone(const Endpoint& endpoint) {
  return endpoint.descriptor_open.load(std::memory_order_relaxed) == 0 && endpoint.tcp.in_accept_queue == 0;
}

void handshake_timeout(Core& core, Endpoint& endpoint) {
  TcpConnection& tcp = endpoint.tcp;
  const bool active = tcp.state == TcpState::kSynSent || tcp.parent == kNoEndpoint;
  const uint32_t limit = active ? endpoint.syn_retry_count : core.config->synack_retry_count;
  if (tcp.retries >= limit) {
    tcp_drop(core, endpoint, tcp.soft_error != 0 ? tcp.soft_error : ETIMEDOUT);
    return;
  }
  ++tcp.retries;
  ++tcp.retransmits_total;
  ++core.stats().tcp_retransmits_count;
  tcp_start_retransmit_timer(core, endpoint);
  tcp_send_syn(core, endpoint);
}

void retransmit_timeout(Core& core, Endpoint& endpoint) {
  TcpConnection& tcp = endpoint.tcp;
  ++core.stats().tcp_timeouts_count;
  if (tcp.state == TcpState::kSynSent || tcp.state == TcpState::kSynReceived) {
    handshake_timeout(core, endpoint);
    return;
  }
  if (tcp.snd_una == tcp.snd_nxt) return;
  const bool orphan = state_has_descriptor_gone(endpoint);
  const uint32_t limit = orphan ? core.config->orphan_retry_count : core.config->retry_count;
  if (tcp.retries == 0) tcp.first_retry_ns = core.now_ns;
  const bool user_timeout = endpoint.user_timeout_ms != 0 && tcp.retries > 0 &&
                            core.now_ns - tcp.first_retry_ns > uint64_t{endpoint.user_timeout_ms} * 1'000'000;
  // A peer that took its window back and still answers has no room: these are probes then, and not given up.
  const bool probing =
      !orphan && tcp.snd_wnd_bytes == 0 && core.now_ns - tcp.last_heard_ns < 2 * core.config->rto_max_ns;
  if ((tcp.retries >= limit && !probing) || user_timeout) {
    tcp_drop(core, endpoint, tcp.soft_error != 0 ? tcp.soft_error : ETIMEDOUT);
    return;
  }
  if (tcp.retries < limit) ++tcp.retries;
  tcp_congestion_timeout(core, endpoint);
  tcp_start_retransmit_timer(core, endpoint);
  tcp_retransmit_first(core, endpoint);
}

void persist_timeout(Core& core, Endpoint& endpoint) {
  TcpConnection& tcp = endpoint.tcp;
  if (tcp.unsent_packet == kNoPacket || tcp.snd_una != tcp.snd_nxt) return;
  if (state_has_descriptor_gone(endpoint) && tcp.probes >= core.config->orphan_retry_count) {
    tcp_abort(core, endpoint, ETIMEDOUT);
    return;
  }
  tcp.probes = static_cast<uint8_t>(std::min(tcp.probes + 1, 255));
  ++core.stats().tcp_zero_window_probes_count;
  // A small window is used at last; a closed one is asked about.
  const bool sent = tcp.snd_wnd_bytes > 0 && tcp_force_partial(core, endpoint);
  if (!sent) {
    tcp_send_probe(core, endpoint);
    const uint64_t base_ns = std::max(tcp.rtt.rto_ns, core.config->rto_min_ns);
    tcp.timers.persist_ns =
        core.now_ns + std::min(base_ns << std::min<unsigned>(tcp.probes, 10), core.config->rto_max_ns);
  }
}

void keepalive_timeout(Core& core, Endpoint& endpoint) {
  TcpConnection& tcp = endpoint.tcp;
  if (endpoint.keepalive == 0) return;
  const uint64_t idle_ns = uint64_t{endpoint.keepalive_idle_s} * 1'000'000'000;
  const uint64_t interval_ns = uint64_t{endpoint.keepalive_interval_s} * 1'000'000'000;
  const bool data_outstanding = tcp.snd_una != tcp.snd_nxt || tcp.unsent_packet != kNoPacket;
  const uint64_t silent_ns = core.now_ns - tcp.last_heard_ns;
  if (data_outstanding ||
      (silent_ns < idle_ns && tcp.keepalive_probes == 0)) {  // the retransmission timer watches, or we heard something
    tcp.timers.keepalive_ns = data_outstanding ? core.now_ns + idle_ns : tcp.last_heard_ns + idle_ns;
    return;
  }
  if (tcp.keepalive_probes >= endpoint.keepalive_probe_count) {
    tcp_abort(core, endpoint, tcp.soft_error != 0 ? tcp.soft_error : ETIMEDOUT);
    return;
  }
  ++tcp.keepalive_probes;
  tcp_send_probe(core, endpoint);
  tcp.timers.keepalive_ns = core.now_ns + interval_ns;
}

}  // namespace

void tcp_timers_update(Core& core, Endpoint& endpoint) {
  const uint64_t next_ns = earliest(endpoint.tcp.timers);
  if (next_ns == kNever) return;  // a node that is armed too early does no harm
  const uint32_t index = core.index_of(endpoint);
  const TimerNode& node = core.timers.node(index);
  if (!node.armed() || node.deadline_ns > next_ns) core.timers.arm(index, next_ns);
}

void tcp_timers_stop(Core& core, Endpoint& endpoint) {
  endpoint.tcp.timers = TcpTimers{};
  core.timers.disarm(core.index_of(endpoint));
}

uint64_t tcp_backed_off_rto_ns(const Core& core, const TcpConnection& tcp) {
  const uint64_t rto_ns = tcp.rtt.rto_ns << std::min<unsigned>(tcp.retries, 16);
  return std::min(rto_ns, core.config->rto_max_ns);
}

void tcp_start_retransmit_timer(Core& core, Endpoint& endpoint) {
  endpoint.tcp.timers.retransmit_ns = core.now_ns + tcp_backed_off_rto_ns(core, endpoint.tcp);
  tcp_timers_update(core, endpoint);
}

void tcp_start_keepalive(Core& core, Endpoint& endpoint) {
  if (endpoint.keepalive == 0) {
    endpoint.tcp.timers.keepalive_ns = kNever;
    return;
  }
  endpoint.tcp.timers.keepalive_ns = core.now_ns + uint64_t{endpoint.keepalive_idle_s} * 1'000'000'000;
  tcp_timers_update(core, endpoint);
}

void tcp_timers_expired(Core& core, Endpoint& endpoint) {
  TcpTimers& timers = endpoint.tcp.timers;
  // Each handler may free the endpoint, which clears its timers: the checks that follow then find nothing.
  const auto take = [&core](uint64_t& deadline_ns) {
    if (deadline_ns > core.now_ns) return false;
    deadline_ns = kNever;
    return true;
  };
  if (take(timers.close_ns)) {
    tcp_drop(core, endpoint, 0);
    return;
  }
  if (take(timers.delayed_ack_ns) && endpoint.tcp.ack == AckState::kDelayed) {
    endpoint.tcp.ack = AckState::kNow;
    tcp_output(core, endpoint);
  }
  if (take(timers.retransmit_ns)) retransmit_timeout(core, endpoint);
  if (take(timers.persist_ns)) persist_timeout(core, endpoint);
  if (take(timers.keepalive_ns)) keepalive_timeout(core, endpoint);
  tcp_timers_update(core, endpoint);
}

}  // namespace postern::stack
