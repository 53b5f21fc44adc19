// Ethernet II headers: parse checked, emit. VLAN tags are not understood here (the frame is of an unknown type).
#pragma once

#include <cstdint>
#include <cstring>

#include "stack/ip_address.h"
#include "stack/wire_order.h"

namespace postern::stack {

struct Core;
struct RxFrame;

constexpr uint16_t kEthernetHeaderBytes = 14;
constexpr uint16_t kEthertypeIpv4 = 0x0800;
constexpr uint16_t kEthertypeArp = 0x0806;
inline constexpr uint8_t kBroadcastMac[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

struct EthernetHeader {
  const uint8_t* destination = nullptr;
  const uint8_t* source = nullptr;
  uint16_t ethertype = 0;
};

// False if the frame is too short.
[[nodiscard]] inline bool ethernet_parse(const uint8_t* frame, uint16_t length_bytes, EthernetHeader* header) {
  if (length_bytes < kEthernetHeaderBytes) return false;
  header->destination = frame;
  header->source = frame + 6;
  header->ethertype = load_be16(frame + 12);
  return true;
}

inline void ethernet_emit(uint8_t* frame, const uint8_t* destination, const uint8_t* source, uint16_t ethertype) {
  std::memcpy(frame, destination, 6);
  std::memcpy(frame + 6, source, 6);
  store_be16(frame + 12, ethertype);
}

// Dispatches a received frame. Takes the packet's reference.
void ethernet_input(Core& core, const RxFrame& frame);

}  // namespace postern::stack
