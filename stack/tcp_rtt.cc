// Round-trip time estimation (RFC 6298). Times in nanoseconds: the clock granularity G is far below any RTT.
#include <algorithm>

#include "stack/tcp_internal.h"

namespace postern::stack {

void tcp_rtt_sample(const StackConfig& config, TcpRtt& rtt, uint64_t sample_ns) {
  sample_ns = std::max<uint64_t>(sample_ns, 1);
  rtt.min_ns = rtt.min_ns == 0 ? sample_ns : std::min(rtt.min_ns, sample_ns);
  if (rtt.srtt_ns == 0) {
    rtt.srtt_ns = sample_ns;
    rtt.rttvar_ns = sample_ns / 2;
  } else {
    const uint64_t deviation = rtt.srtt_ns > sample_ns ? rtt.srtt_ns - sample_ns : sample_ns - rtt.srtt_ns;
    rtt.rttvar_ns = (3 * rtt.rttvar_ns + deviation) / 4;
    rtt.srtt_ns = (7 * rtt.srtt_ns + sample_ns) / 8;
  }
  // Linux's reading of the minimum: the variance term is at least the minimum, so RTO >= SRTT + minimum.
  rtt.rto_ns = std::min(rtt.srtt_ns + std::max(4 * rtt.rttvar_ns, config.rto_min_ns), config.rto_max_ns);
}

}  // namespace postern::stack
