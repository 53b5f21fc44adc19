// TCP segmentation offload: cuts one long packet into frames of MSS payload bytes, each with the packet's headers
// brought up to date. Pure functions over bytes. Packet walk: between the fetched packet and the port.
#pragma once

#include <cstdint>

#include "hw_model/frame_parser.h"

namespace postern::hw_model {

// How a packet falls into segments. All lengths in bytes, without FCS and padding.
struct SegmentPlan {
  uint32_t header_bytes = 0;   // Ethernet header with tags, IP, TCP; in front of each segment
  uint32_t mss_bytes = 0;      // payload of all segments but the last
  uint32_t payload_bytes = 0;  // of the packet
  uint32_t count = 0;          // segments, at least one
  ParsedFrame parsed;          // the packet's headers

  [[nodiscard]] uint32_t segment_bytes(uint32_t index) const {
    return header_bytes + (index + 1 < count ? mss_bytes : payload_bytes - index * mss_bytes);
  }
};

// Plans the segments of a packet whose IP and TCP headers mss_bytes (not 0) is to follow. mtu_bytes bounds IP header,
// TCP header and payload of a segment. Writes the packet's own length into its IP header: whatever software left there
// does not matter. bytes: at least 14. False: not unfragmented TCP over IPv4 or IPv6, too long for the MTU, or longer
// than TSO_BYTES_MAX (contract: TX_BAD_SEGMENT).
[[nodiscard]] bool plan_segments(uint8_t* packet, uint32_t bytes, uint32_t mss_bytes, uint32_t mtu_bytes,
                                 SegmentPlan& plan);

// Writes segment index of the packet into frame, which has room for plan.segment_bytes(index). Sequence number, IP
// identification and lengths follow the segment's place; FIN and PSH stay on the last segment only, CWR on the first
// only (RFC 3168, section 6.1.2). Checksum fields are copied: insert them with checksum.h if they were asked for.
void build_segment(const uint8_t* packet, const SegmentPlan& plan, uint32_t index, uint8_t* frame);

// The parsed headers of that segment.
[[nodiscard]] ParsedFrame segment_headers(const SegmentPlan& plan, uint32_t index);

}  // namespace postern::hw_model
