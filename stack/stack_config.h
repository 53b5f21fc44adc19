// What a stack is told when its region is formatted: addresses, sizes, protocol constants. Copied into the region, so
// every process that attaches sees the same. Defaults are Linux's where Linux has one; the source stands beside each.
#pragma once

#include <cstdint>

#include "driver/vi.h"
#include "stack/ip_address.h"

namespace postern::stack {

constexpr uint32_t kPacketBufferBytes = 2048;

struct StackConfig {
  // --- identity (the resource manager's decision) -----------------------------------------------------------------
  MacAddress mac = {};
  IpAddress address;  // of the host; every stack of the host has it
  uint8_t prefix_length = 24;
  uint8_t host_stack = 0;     // 1: answers ARP requests for the host's address and announces it at the start
  uint16_t mtu_bytes = 1500;  // of the IP packet; at most 1500
  IpAddress gateway;          // family kNone: no gateway; destinations off the subnet are unreachable
  uint64_t seed = 1;          // secret of initial sequence numbers and hashes; same seed, same bytes

  // --- sizes ------------------------------------------------------------------------------------------------------
  uint32_t endpoint_count = 1024;  // sockets, half-open and TIME_WAIT connections included; at most 65536
  uint32_t packet_count = 8192;    // packet buffers of 2 KiB (RX ring, socket queues and TX together)
  uint32_t tcp_receive_buffer_bytes = 512 * 1024;
  uint32_t tcp_send_buffer_bytes = 512 * 1024;
  uint32_t tcp_buffer_bytes_max = 4 * 1024 * 1024;  // limit of SO_RCVBUF and SO_SNDBUF
  uint32_t udp_receive_buffer_bytes = 212992;       // net.core.rmem_default

  // --- the VI -----------------------------------------------------------------------------------------------------
  ViState vi;  // initial value: layout and vi_id filled in, indices 0. The shared copy is in the region.
  uint8_t tx_checksum_offload = 1;  // the device inserts L3 and L4 checksums
  uint8_t reserved[7] = {};

  // --- protocol ---------------------------------------------------------------------------------------------------
  uint64_t rto_initial_ns = 1'000'000'000;         // RFC 6298 2.1
  uint64_t rto_min_ns = 200'000'000;               // Linux TCP_RTO_MIN (RFC 6298 says 1 s)
  uint64_t rto_max_ns = 120'000'000'000;           // Linux TCP_RTO_MAX
  uint64_t delayed_ack_ns = 40'000'000;            // Linux TCP_DELACK_MIN (RFC 1122 4.2.3.2: at most 500 ms)
  uint64_t time_wait_ns = 60'000'000'000;          // Linux TCP_TIMEWAIT_LEN
  uint64_t fin_wait2_ns = 60'000'000'000;          // Linux tcp_fin_timeout, for closed descriptors only
  uint64_t keepalive_idle_ns = 7'200'000'000'000;  // RFC 1122 4.2.3.6
  uint64_t keepalive_interval_ns = 75'000'000'000;
  uint64_t arp_retry_ns = 1'000'000'000;       // Linux neigh retrans_time_ms
  uint64_t arp_reachable_ns = 60'000'000'000;  // an entry older than this is asked for again on use
  uint32_t arp_retry_count = 3;                // Linux neigh mcast_solicit
  uint32_t keepalive_probe_count = 9;
  uint32_t syn_retry_count = 6;           // Linux tcp_syn_retries
  uint32_t synack_retry_count = 5;        // Linux tcp_synack_retries
  uint32_t retry_count = 15;              // Linux tcp_retries2
  uint32_t orphan_retry_count = 8;        // Linux tcp_orphan_retries
  uint32_t initial_window_segments = 10;  // RFC 6928
  uint32_t syn_backlog_max = 256;         // half-open connections of one listener
  uint8_t ttl = 64;
  uint8_t tcp_timestamps = 1;      // RFC 7323
  uint8_t tcp_window_scaling = 1;  // RFC 7323
  uint8_t tcp_sack = 1;            // RFC 2018
  uint32_t reserved2 = 0;
};
static_assert(std::is_trivially_copyable_v<StackConfig>);

}  // namespace postern::stack
