// Fills a TLM payload for one BAR access on NicDevice::bar_socket. Used by the host sides of both transports.
#pragma once

#include <cstdint>
#include <tlm>

#include "sim/nic_device.h"

namespace postern::sim {

// value is the access's data (written) or gets it (read); it must outlive the transaction. width_bytes is 4 or 8.
inline void fill_bar_access(tlm::tlm_generic_payload& payload, tlm::tlm_command command, unsigned bar, uint64_t offset,
                            unsigned width_bytes, uint64_t& value) {
  payload.set_command(command);
  payload.set_address(bar_address(bar, offset));
  payload.set_data_ptr(reinterpret_cast<unsigned char*>(&value));
  payload.set_data_length(width_bytes);
  payload.set_streaming_width(width_bytes);
  payload.set_byte_enable_ptr(nullptr);
  payload.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
}

// Fills a TLM payload for a burst into a PIO page: one posted write of up to a page. data must outlive the transaction.
inline void fill_bar_burst(tlm::tlm_generic_payload& payload, uint64_t address, const uint8_t* data, unsigned bytes) {
  payload.set_command(tlm::TLM_WRITE_COMMAND);
  payload.set_address(address);
  payload.set_data_ptr(const_cast<unsigned char*>(data));  // TLM has no type for data that is only read
  payload.set_data_length(bytes);
  payload.set_streaming_width(bytes);
  payload.set_byte_enable_ptr(nullptr);
  payload.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
}

}  // namespace postern::sim
