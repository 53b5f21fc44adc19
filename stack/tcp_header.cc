// TCP header and option parsing and writing.
#include "stack/tcp_header.h"

#include <algorithm>
#include <cstring>

#include "stack/wire_order.h"

namespace postern::stack {
namespace {

enum OptionKind : uint8_t {
  kOptionEnd = 0,
  kOptionNop = 1,
  kOptionMss = 2,
  kOptionWindowScale = 3,
  kOptionSackPermitted = 4,
  kOptionSack = 5,
  kOptionTimestamp = 8
};
// NOP NOP TIMESTAMP 10: what every established connection with timestamps sends (RFC 7323 appendix A).
constexpr uint32_t kTimestampPrefix = 0x0101080a;

void parse_option(uint8_t kind, const uint8_t* body, uint8_t body_bytes, TcpOptions* options) {
  switch (kind) {
    case kOptionMss:
      if (body_bytes == 2) options->mss_bytes = load_be16(body);
      break;
    case kOptionWindowScale:
      if (body_bytes == 1) {
        options->has_window_scale = true;
        options->window_scale = std::min<uint8_t>(body[0], 14);  // RFC 7323 2.3
      }
      break;
    case kOptionSackPermitted:
      options->sack_permitted = body_bytes == 0;
      break;
    case kOptionSack:
      if (body_bytes % 8 == 0 && body_bytes <= 32) {
        options->sack_count = static_cast<uint8_t>(body_bytes / 8);
        for (uint8_t i = 0; i < options->sack_count; ++i) {
          options->sack[i] = {load_be32(body + i * 8), load_be32(body + i * 8 + 4)};
        }
      }
      break;
    case kOptionTimestamp:
      if (body_bytes == 8) {
        options->has_timestamp = true;
        options->timestamp = load_be32(body);
        options->timestamp_echo = load_be32(body + 4);
      }
      break;
    default:
      break;
  }
}

bool parse_options(const uint8_t* data, uint16_t length_bytes, TcpOptions* options) {
  uint16_t at = 0;
  while (at < length_bytes) {
    const uint8_t kind = data[at];
    if (kind == kOptionEnd) return true;
    if (kind == kOptionNop) {
      ++at;
      continue;
    }
    if (at + 2 > length_bytes) return false;
    const uint8_t option_bytes = data[at + 1];
    if (option_bytes < 2 || at + option_bytes > length_bytes) return false;
    parse_option(kind, data + at + 2, static_cast<uint8_t>(option_bytes - 2), options);
    at = static_cast<uint16_t>(at + option_bytes);
  }
  return true;
}

}  // namespace

bool tcp_parse(const uint8_t* data, uint16_t length_bytes, TcpHeader* header) {
  if (length_bytes < kTcpHeaderBytes) return false;
  header->header_bytes = static_cast<uint8_t>((data[12] >> 4) * 4);
  if (header->header_bytes < kTcpHeaderBytes || header->header_bytes > length_bytes) return false;
  header->source_port = load_be16(data);
  header->destination_port = load_be16(data + 2);
  header->seq = load_be32(data + 4);
  header->ack = load_be32(data + 8);
  header->flags = data[13] & 0x3f;
  header->window = load_be16(data + 14);
  const auto options_bytes = static_cast<uint16_t>(header->header_bytes - kTcpHeaderBytes);
  const uint8_t* options = data + kTcpHeaderBytes;
  if (options_bytes == 0) return true;
  if (options_bytes == kTcpTimestampOptionBytes && load_be32(options) == kTimestampPrefix) {
    header->options.has_timestamp = true;
    header->options.timestamp = load_be32(options + 4);
    header->options.timestamp_echo = load_be32(options + 8);
    return true;
  }
  return parse_options(options, options_bytes, &header->options);
}

uint16_t tcp_options_bytes(const TcpOptions& options) {
  unsigned bytes = 0;
  if (options.mss_bytes != 0) bytes += 4;
  if (options.has_window_scale) bytes += 4;
  if (options.has_timestamp) bytes += kTcpTimestampOptionBytes;
  if (options.sack_permitted) bytes += 4;
  if (options.sack_count != 0) bytes += 4 + 8 * options.sack_count;
  return static_cast<uint16_t>(bytes);
}

uint16_t tcp_emit(uint8_t* data, const TcpHeader& header) {
  const TcpOptions& options = header.options;
  uint8_t* at = data + kTcpHeaderBytes;
  if (options.mss_bytes != 0) {
    at[0] = kOptionMss;
    at[1] = 4;
    store_be16(at + 2, options.mss_bytes);
    at += 4;
  }
  if (options.sack_permitted) {
    at[0] = at[1] = kOptionNop;
    at[2] = kOptionSackPermitted;
    at[3] = 2;
    at += 4;
  }
  if (options.has_timestamp) {
    store_be32(at, kTimestampPrefix);
    store_be32(at + 4, options.timestamp);
    store_be32(at + 8, options.timestamp_echo);
    at += kTcpTimestampOptionBytes;
  }
  if (options.has_window_scale) {
    at[0] = kOptionNop;
    at[1] = kOptionWindowScale;
    at[2] = 3;
    at[3] = options.window_scale;
    at += 4;
  }
  if (options.sack_count != 0) {
    at[0] = at[1] = kOptionNop;
    at[2] = kOptionSack;
    at[3] = static_cast<uint8_t>(2 + 8 * options.sack_count);
    at += 4;
    for (uint8_t i = 0; i < options.sack_count; ++i, at += 8) {
      store_be32(at, options.sack[i].begin);
      store_be32(at + 4, options.sack[i].end);
    }
  }
  const auto header_bytes = static_cast<uint16_t>(at - data);
  store_be16(data, header.source_port);
  store_be16(data + 2, header.destination_port);
  store_be32(data + 4, header.seq);
  store_be32(data + 8, header.ack);
  data[12] = static_cast<uint8_t>(header_bytes / 4 << 4);
  data[13] = header.flags;
  store_be16(data + 14, header.window);
  std::memset(data + 16, 0, 4);  // checksum, urgent pointer
  return header_bytes;
}

}  // namespace postern::stack
