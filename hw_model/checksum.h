// Internet checksums of frames (RFC 1071): verification on receive, insertion on send. Pure functions; shares no code
// with the stack, so that each checks the other.
#pragma once

#include <cstdint>

#include "hw_model/frame_parser.h"

namespace postern::hw_model {

// PST_CHECKSUM_RESULT_* of a received frame. NONE: there is none, or the frame is a fragment.
uint8_t verify_l3(const uint8_t* frame, const ParsedFrame& parsed);
uint8_t verify_l4(const uint8_t* frame, const ParsedFrame& parsed);

// Writes the checksum into its field, whatever that held. No effect on frames without one (other protocols, fragments).
void insert_l3(uint8_t* frame, const ParsedFrame& parsed);
void insert_l4(uint8_t* frame, const ParsedFrame& parsed);

// One's complement sum of bytes as 16-bit words in memory order, folded; the start of all above.
uint16_t ones_complement_sum(const uint8_t* data, uint32_t bytes);

}  // namespace postern::hw_model
