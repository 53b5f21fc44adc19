// Checksum arithmetic in memory byte order, which the one's complement sum allows (RFC 1071, section 2B). See
// checksum.h.
#include "hw_model/checksum.h"

#include <cstring>

#include "contract/gen/pst_contract.h"

namespace postern::hw_model {

namespace {

uint16_t fold(uint64_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

uint64_t raw_sum(const uint8_t* data, uint32_t bytes) {
  uint64_t sum = 0;
  while (bytes >= 8) {
    uint64_t words = 0;
    std::memcpy(&words, data, 8);
    sum += (words & 0xffffffffull) + (words >> 32);
    data += 8;
    bytes -= 8;
  }
  while (bytes >= 2) {
    uint16_t word = 0;
    std::memcpy(&word, data, 2);
    sum += word;
    data += 2;
    bytes -= 2;
  }
  if (bytes == 1) sum += data[0];  // padded with a zero byte behind it
  return sum;
}

uint32_t ipv4_header_bytes(const ParsedFrame& parsed) { return parsed.l4_offset - parsed.l3_offset; }

// A 16-bit value in network byte order as raw_sum would see it.
uint16_t as_in_memory(uint32_t value) { return static_cast<uint16_t>((value & 0xff) << 8 | (value >> 8 & 0xff)); }

uint64_t pseudo_header_sum(const uint8_t* frame, const ParsedFrame& parsed) {
  const uint8_t* ip = frame + parsed.l3_offset;
  const uint64_t addresses = parsed.l3_class == PST_L3_CLASS_IPV4 ? raw_sum(ip + 12, 8) : raw_sum(ip + 8, 32);
  return addresses + as_in_memory(parsed.ip_protocol) + as_in_memory(parsed.l4_bytes);
}

uint64_t l4_sum(const uint8_t* frame, const ParsedFrame& parsed) {
  return pseudo_header_sum(frame, parsed) + raw_sum(frame + parsed.l4_offset, parsed.l4_bytes);
}

bool has_l4_checksum(const ParsedFrame& parsed) {
  return parsed.l4_class == PST_L4_CLASS_TCP || parsed.l4_class == PST_L4_CLASS_UDP;
}

uint32_t l4_field_offset(const ParsedFrame& parsed) {
  return parsed.l4_offset + (parsed.l4_class == PST_L4_CLASS_TCP ? 16 : 6);
}

}  // namespace

uint16_t ones_complement_sum(const uint8_t* data, uint32_t bytes) { return fold(raw_sum(data, bytes)); }

uint8_t verify_l3(const uint8_t* frame, const ParsedFrame& parsed) {
  if (parsed.l3_class != PST_L3_CLASS_IPV4) return PST_CHECKSUM_RESULT_NONE;
  const uint16_t sum = ones_complement_sum(frame + parsed.l3_offset, ipv4_header_bytes(parsed));
  return sum == 0xffff ? PST_CHECKSUM_RESULT_GOOD : PST_CHECKSUM_RESULT_BAD;
}

uint8_t verify_l4(const uint8_t* frame, const ParsedFrame& parsed) {
  if (!has_l4_checksum(parsed)) return PST_CHECKSUM_RESULT_NONE;
  const uint8_t* field = frame + l4_field_offset(parsed);
  if (parsed.l4_class == PST_L4_CLASS_UDP && field[0] == 0 && field[1] == 0) {
    // No checksum was sent (RFC 768); IPv6 does not allow that (RFC 8200, section 8.1).
    return parsed.l3_class == PST_L3_CLASS_IPV4 ? PST_CHECKSUM_RESULT_NONE : PST_CHECKSUM_RESULT_BAD;
  }
  return fold(l4_sum(frame, parsed)) == 0xffff ? PST_CHECKSUM_RESULT_GOOD : PST_CHECKSUM_RESULT_BAD;
}

void insert_l3(uint8_t* frame, const ParsedFrame& parsed) {
  if (parsed.l3_class != PST_L3_CLASS_IPV4) return;
  uint8_t* ip = frame + parsed.l3_offset;
  ip[10] = ip[11] = 0;
  const uint16_t checksum = static_cast<uint16_t>(~ones_complement_sum(ip, ipv4_header_bytes(parsed)));
  std::memcpy(ip + 10, &checksum, 2);
}

void insert_l4(uint8_t* frame, const ParsedFrame& parsed) {
  if (!has_l4_checksum(parsed)) return;
  uint8_t* field = frame + l4_field_offset(parsed);
  field[0] = field[1] = 0;
  uint16_t checksum = static_cast<uint16_t>(~fold(l4_sum(frame, parsed)));
  if (checksum == 0 && parsed.l4_class == PST_L4_CLASS_UDP) checksum = 0xffff;  // 0 would mean none (RFC 768)
  std::memcpy(field, &checksum, 2);
}

}  // namespace postern::hw_model
