// TCP headers and options (RFC 9293, RFC 7323, RFC 2018): parse checked, emit.
#pragma once

#include <cstdint>

#include "stack/tcp_connection.h"

namespace postern::stack {

constexpr uint16_t kTcpHeaderBytes = 20;
constexpr uint16_t kTcpTimestampOptionBytes = 12;

enum TcpFlags : uint8_t { kTcpFin = 1, kTcpSyn = 2, kTcpRst = 4, kTcpPsh = 8, kTcpAck = 16, kTcpUrg = 32 };

struct TcpOptions {
  uint16_t mss_bytes = 0;  // 0: absent
  uint8_t window_scale = 0;
  bool has_window_scale = false;
  bool sack_permitted = false;
  bool has_timestamp = false;
  uint32_t timestamp = 0;
  uint32_t timestamp_echo = 0;
  uint8_t sack_count = 0;
  SackRange sack[4];
};

struct TcpHeader {
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  uint32_t seq = 0;
  uint32_t ack = 0;
  uint8_t flags = 0;
  uint8_t header_bytes = 0;
  uint16_t window = 0;  // unscaled
  TcpOptions options;
};

// False if the header or an option is malformed. The options' SACK ranges are as received, unchecked.
[[nodiscard]] bool tcp_parse(const uint8_t* data, uint16_t length_bytes, TcpHeader* header);
// Bytes of the options as emit would write them; a multiple of 4.
[[nodiscard]] uint16_t tcp_options_bytes(const TcpOptions& options);
// Writes header and options at data; the checksum field is 0. Returns the header's length.
uint16_t tcp_emit(uint8_t* data, const TcpHeader& header);

// A segment on its way in.
struct TcpSegment {
  TcpHeader header;
  SocketAddress local;
  SocketAddress remote;
  uint32_t packet = kNoPacket;        // owned by tcp_input; taken by a queue: set to kNoPacket there
  uint16_t payload_offset_bytes = 0;  // within the buffer
  uint16_t payload_bytes = 0;
  uint32_t seq = 0;  // of the first payload byte, after trimming
  bool fin = false;
};

}  // namespace postern::stack
