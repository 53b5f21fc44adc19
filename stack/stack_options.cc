// setsockopt(2) and getsockopt(2) of an endpoint: one table of integer options, a few with a structure of their own.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include "stack/stack_impl.h"
#include "stack/tcp_internal.h"

namespace postern::stack {
namespace {

constexpr int64_t kUsPerSecond = 1'000'000;

int write_value(const void* from, socklen_t size, void* value, socklen_t* length) {
  if (length == nullptr || value == nullptr) return -EFAULT;
  const socklen_t bytes = std::min(*length, size);
  std::memcpy(value, from, bytes);
  *length = bytes;
  return 0;
}

// The byte that holds an on/off option, or nullptr.
uint8_t* flag_of(Endpoint& endpoint, int level, int name) {
  if (level == SOL_SOCKET) {
    switch (name) {
      case SO_REUSEADDR:
        return &endpoint.reuse_address;
      case SO_REUSEPORT:
        return &endpoint.reuse_port;
      case SO_KEEPALIVE:
        return &endpoint.keepalive;
      case SO_BROADCAST:
        return &endpoint.broadcast;
      default:
        return nullptr;
    }
  }
  if (level == IPPROTO_TCP) {
    switch (name) {
      case TCP_NODELAY:
        return &endpoint.no_delay;
      case TCP_CORK:
        return &endpoint.cork;
      case TCP_QUICKACK:
        return &endpoint.quick_ack;
      default:
        return nullptr;
    }
  }
  return nullptr;
}

// The word that holds a positive integer option of TCP, or nullptr.
uint32_t* word_of(Endpoint& endpoint, int level, int name) {
  if (level != IPPROTO_TCP) return level == SOL_SOCKET && name == SO_PRIORITY ? &endpoint.priority : nullptr;
  switch (name) {
    case TCP_KEEPIDLE:
      return &endpoint.keepalive_idle_s;
    case TCP_KEEPINTVL:
      return &endpoint.keepalive_interval_s;
    case TCP_KEEPCNT:
      return &endpoint.keepalive_probe_count;
    case TCP_SYNCNT:
      return &endpoint.syn_retry_count;
    case TCP_USER_TIMEOUT:
      return &endpoint.user_timeout_ms;
    default:
      return nullptr;
  }
}

// Linux's MAX_TCP_KEEPIDLE and so on.
int tcp_option_max(int name) {
  switch (name) {
    case TCP_KEEPIDLE:
    case TCP_KEEPINTVL:
      return 32767;
    case TCP_KEEPCNT:
    case TCP_SYNCNT:
      return 127;
    default:
      return INT_MAX;
  }
}

void flag_changed(Core& core, Endpoint& endpoint, int level, int name) {
  const bool tcp = endpoint.kind.load(std::memory_order_relaxed) == EndpointKind::kTcp;
  if (!tcp) return;
  const bool connected = endpoint.tcp.state != TcpState::kClosed && endpoint.tcp.state != TcpState::kListen;
  if (level == SOL_SOCKET && name == SO_KEEPALIVE && connected) tcp_start_keepalive(core, endpoint);
  if (level == IPPROTO_TCP && connected) {
    if (name == TCP_CORK && endpoint.cork == 0) endpoint.tcp.more_coming = 0;
    if (name == TCP_NODELAY || name == TCP_CORK) tcp_output_later(core, endpoint);
  }
}

int set_buffer(const Core& core, std::atomic<uint32_t>& field, int bytes) {
  // Linux doubles the value for its own overhead and reports the double.
  constexpr int64_t kLeastBytes = 4608;
  const int64_t doubled = std::max<int64_t>(int64_t{bytes} * 2, kLeastBytes);
  field.store(static_cast<uint32_t>(std::min<int64_t>(doubled, core.config->tcp_buffer_bytes_max)),
              std::memory_order_relaxed);
  return 0;
}

int set_socket_value(Core& core, Endpoint& endpoint, int name, int number) {
  switch (name) {
    case SO_SNDBUF:
      return set_buffer(core, endpoint.send_buffer_bytes, number);
    case SO_RCVBUF:
      return set_buffer(core, endpoint.receive_buffer_bytes, number);
    case SO_OOBINLINE:  // urgent data is in line always
    case SO_DONTROUTE:
    case SO_TIMESTAMP:
    case SO_INCOMING_CPU:
    case SO_BUSY_POLL:
    case SO_MARK:
    case SO_RCVLOWAT:
      return 0;
    case SO_TYPE:
    case SO_ERROR:
    case SO_ACCEPTCONN:
    case SO_PROTOCOL:
    case SO_DOMAIN:
    default:
      return -ENOPROTOOPT;
  }
}

int set_ip_value(Endpoint& endpoint, int name, int number) {
  switch (name) {
    case IP_TOS:
      endpoint.tos = static_cast<uint8_t>(number);
      return 0;
    case IP_TTL:
      if (number != -1 && (number < 1 || number > 255)) return -EINVAL;
      endpoint.ttl = static_cast<uint8_t>(number == -1 ? 0 : number);
      return 0;
    case IP_MTU_DISCOVER:
    case IP_RECVERR:
    case IP_FREEBIND:
    case IP_BIND_ADDRESS_NO_PORT:
      return 0;
    default:
      return -ENOPROTOOPT;
  }
}

int set_timeout(int64_t& field_us, const void* value, socklen_t length) {
  if (length < sizeof(timeval)) return -EINVAL;
  timeval time;
  std::memcpy(&time, value, sizeof time);
  if (time.tv_usec < 0 || time.tv_usec >= kUsPerSecond) return -EDOM;
  field_us = time.tv_sec < 0 ? 0 : time.tv_sec * kUsPerSecond + time.tv_usec;
  return 0;
}

int get_timeout(int64_t field_us, void* value, socklen_t* length) {
  const timeval time{field_us / kUsPerSecond, field_us % kUsPerSecond};
  return write_value(&time, sizeof time, value, length);
}

int get_tcp_info(const Core& core, const Endpoint& endpoint, void* value, socklen_t* length) {
  // Linux's numbers for the states (include/net/tcp_states.h).
  static constexpr uint8_t kLinuxStates[] = {7, 10, 2, 3, 1, 4, 5, 8, 11, 9, 6};
  const TcpConnection& tcp = endpoint.tcp;
  tcp_info info{};
  info.tcpi_state = kLinuxStates[static_cast<size_t>(static_cast<TcpState>(tcp.state))];
  info.tcpi_ca_state = tcp.congestion == CongestionState::kOpen       ? 0
                       : tcp.congestion == CongestionState::kRecovery ? 3
                                                                      : 4;
  info.tcpi_retransmits = static_cast<uint8_t>(std::min<unsigned>(tcp.retries, 255));
  info.tcpi_probes = tcp.probes;
  info.tcpi_options =
      static_cast<uint8_t>((tcp.timestamps_on != 0 ? TCPI_OPT_TIMESTAMPS : 0) | (tcp.sack_on != 0 ? TCPI_OPT_SACK : 0) |
                           (tcp.rcv_wscale != 0 ? TCPI_OPT_WSCALE : 0));
  info.tcpi_snd_wscale = tcp.snd_wscale & 0xf;
  info.tcpi_rcv_wscale = tcp.rcv_wscale & 0xf;
  info.tcpi_rto = static_cast<uint32_t>(tcp_backed_off_rto_ns(core, tcp) / 1000);
  info.tcpi_snd_mss = tcp.mss_bytes;
  info.tcpi_rcv_mss = tcp.rcv_mss_bytes;
  info.tcpi_unacked = (tcp.packets_sent_bytes() + tcp.mss_bytes - 1) / tcp.mss_bytes;
  info.tcpi_sacked = tcp.sacked_packets;
  info.tcpi_lost = tcp.lost_bytes / tcp.mss_bytes;
  info.tcpi_pmtu = core.config->mtu_bytes;
  info.tcpi_rtt = static_cast<uint32_t>(tcp.rtt.srtt_ns / 1000);
  info.tcpi_rttvar = static_cast<uint32_t>(tcp.rtt.rttvar_ns / 1000);
  info.tcpi_snd_ssthresh = tcp.ssthresh_bytes / tcp.mss_bytes;
  info.tcpi_snd_cwnd = tcp.cwnd_bytes / tcp.mss_bytes;
  info.tcpi_advmss = tcp_own_mss(core);
  info.tcpi_rcv_space = tcp_receive_window(core, endpoint);
  info.tcpi_total_retrans = tcp.retransmits_total;
  return write_value(&info, sizeof info, value, length);
}

int get_socket_value(Endpoint& endpoint, int name, int* number) {
  const bool tcp = endpoint.kind.load(std::memory_order_relaxed) == EndpointKind::kTcp;
  switch (name) {
    case SO_ERROR:
      *number = endpoint.error.exchange(0, std::memory_order_acq_rel);
      return 0;
    case SO_TYPE:
      *number = tcp ? SOCK_STREAM : SOCK_DGRAM;
      return 0;
    case SO_PROTOCOL:
      *number = tcp ? IPPROTO_TCP : IPPROTO_UDP;
      return 0;
    case SO_DOMAIN:
      *number = AF_INET;
      return 0;
    case SO_ACCEPTCONN:
      *number = endpoint.tcp.state == TcpState::kListen ? 1 : 0;
      return 0;
    case SO_SNDBUF:
      *number = static_cast<int>(endpoint.send_buffer_bytes.load(std::memory_order_relaxed));
      return 0;
    case SO_RCVBUF:
      *number = static_cast<int>(endpoint.receive_buffer_bytes.load(std::memory_order_relaxed));
      return 0;
    case SO_OOBINLINE:
    case SO_RCVLOWAT:
    case SO_SNDLOWAT:
      *number = 1;
      return 0;
    case SO_DONTROUTE:
    case SO_TIMESTAMP:
      *number = 0;
      return 0;
    default:
      return -ENOPROTOOPT;
  }
}

int get_other_value(const Core& core, const Endpoint& endpoint, int level, int name, int* number) {
  if (level == IPPROTO_IP) {
    switch (name) {
      case IP_TOS:
        *number = endpoint.tos;
        return 0;
      case IP_TTL:
        *number = endpoint.ttl != 0 ? endpoint.ttl : core.config->ttl;
        return 0;
      case IP_MTU:
        *number = core.config->mtu_bytes;
        return 0;
      case IP_MTU_DISCOVER:
        *number = IP_PMTUDISC_WANT;
        return 0;
      default:
        return -ENOPROTOOPT;
    }
  }
  if (level == IPPROTO_TCP && name == TCP_MAXSEG) {
    const bool connected = endpoint.tcp.state != TcpState::kClosed && endpoint.tcp.state != TcpState::kListen;
    *number = connected ? endpoint.tcp.mss_bytes : endpoint.user_mss_bytes != 0 ? endpoint.user_mss_bytes : 536;
    return 0;
  }
  return -ENOPROTOOPT;
}

bool is_tcp_congestion(int level, int name) { return level == IPPROTO_TCP && name == TCP_CONGESTION; }
constexpr char kCongestionName[] = "reno";  // Linux's name for NewReno

}  // namespace

int Stack::set_option(int endpoint_id, int level, int name, const void* value, socklen_t length) {
  LockedSection locked(*impl_);
  if (locked.error != 0) return locked.error;
  Endpoint* endpoint = impl_->find(endpoint_id);
  if (endpoint == nullptr) return -EBADF;
  if (value == nullptr) return -EFAULT;
  if (level == IPPROTO_TCP && endpoint->kind.load(std::memory_order_relaxed) != EndpointKind::kTcp) return -ENOPROTOOPT;
  if (level == SOL_SOCKET && name == SO_RCVTIMEO) return set_timeout(endpoint->receive_timeout_us, value, length);
  if (level == SOL_SOCKET && name == SO_SNDTIMEO) return set_timeout(endpoint->send_timeout_us, value, length);
  if (level == SOL_SOCKET && name == SO_LINGER) {
    if (length < sizeof(linger)) return -EINVAL;
    linger option;
    std::memcpy(&option, value, sizeof option);
    endpoint->linger_on = option.l_onoff != 0 ? 1 : 0;
    endpoint->linger_seconds = option.l_linger;
    return 0;
  }
  if (is_tcp_congestion(level, name)) {
    const auto size = static_cast<size_t>(length);
    const bool known =
        size >= sizeof kCongestionName - 1 && std::memcmp(value, kCongestionName, sizeof kCongestionName - 1) == 0;
    return known ? 0 : -ENOENT;
  }
  int number = 0;
  if (level == IPPROTO_IP && length >= 1 && length < sizeof number) {
    number = *static_cast<const uint8_t*>(value);  // ip(7): a byte will do
  } else {
    if (length < sizeof number) return -EINVAL;
    std::memcpy(&number, value, sizeof number);
  }
  if (uint8_t* flag = flag_of(*endpoint, level, name)) {
    *flag = number != 0 ? 1 : 0;
    flag_changed(impl_->core, *endpoint, level, name);
    return 0;
  }
  if (uint32_t* word = word_of(*endpoint, level, name)) {
    const bool zero_allowed = name == TCP_USER_TIMEOUT || level == SOL_SOCKET;
    if (number < 0 || (number == 0 && !zero_allowed)) return -EINVAL;
    if (level == IPPROTO_TCP && number > tcp_option_max(name)) return -EINVAL;
    *word = static_cast<uint32_t>(number);
    flag_changed(impl_->core, *endpoint, SOL_SOCKET, SO_KEEPALIVE);
    return 0;
  }
  if (level == IPPROTO_TCP && name == TCP_MAXSEG) {
    if (number < 88 || number > 32767) return -EINVAL;  // Linux TCP_MIN_MSS, MAX_TCP_WINDOW
    endpoint->user_mss_bytes = static_cast<uint16_t>(number);
    return 0;
  }
  if (level == IPPROTO_TCP && (name == TCP_DEFER_ACCEPT || name == TCP_WINDOW_CLAMP || name == TCP_LINGER2)) return 0;
  if (level == SOL_SOCKET) return set_socket_value(impl_->core, *endpoint, name, number);
  if (level == IPPROTO_IP) return set_ip_value(*endpoint, name, number);
  return -ENOPROTOOPT;
}

int Stack::get_option(int endpoint_id, int level, int name, void* value, socklen_t* length) {
  LockedSection locked(*impl_);
  if (locked.error != 0) return locked.error;
  Endpoint* endpoint = impl_->find(endpoint_id);
  if (endpoint == nullptr) return -EBADF;
  if (level == IPPROTO_TCP && endpoint->kind.load(std::memory_order_relaxed) != EndpointKind::kTcp) return -ENOPROTOOPT;
  if (level == SOL_SOCKET && name == SO_RCVTIMEO) return get_timeout(endpoint->receive_timeout_us, value, length);
  if (level == SOL_SOCKET && name == SO_SNDTIMEO) return get_timeout(endpoint->send_timeout_us, value, length);
  if (level == SOL_SOCKET && name == SO_LINGER) {
    const linger option{endpoint->linger_on, endpoint->linger_seconds};
    return write_value(&option, sizeof option, value, length);
  }
  if (level == IPPROTO_TCP && name == TCP_INFO) return get_tcp_info(impl_->core, *endpoint, value, length);
  if (is_tcp_congestion(level, name)) return write_value(kCongestionName, sizeof kCongestionName, value, length);
  int number = 0;
  int result = 0;
  if (const uint8_t* flag = flag_of(*endpoint, level, name)) {
    number = *flag;
  } else if (const uint32_t* word = word_of(*endpoint, level, name)) {
    number = static_cast<int>(*word);
  } else if (level == SOL_SOCKET) {
    result = get_socket_value(*endpoint, name, &number);
  } else {
    result = get_other_value(impl_->core, *endpoint, level, name, &number);
  }
  return result != 0 ? result : write_value(&number, sizeof number, value, length);
}

}  // namespace postern::stack
