// Dispatch of received frames by destination and type.
#include "stack/ethernet.h"

#include "stack/arp.h"
#include "stack/core.h"
#include "stack/ipv4.h"

namespace postern::stack {

void ethernet_input(Core& core, const RxFrame& frame) {
  ++core.stats().rx_packets_count;
  core.stats().rx_bytes_count += frame.length_bytes;
  const uint8_t* bytes = core.pool.buffer(frame.packet) + frame.offset_bytes;
  EthernetHeader header;
  if (!ethernet_parse(bytes, frame.length_bytes, &header)) {
    ++core.stats().drop_ethernet_malformed;
  } else if (std::memcmp(header.destination, core.config->mac, 6) != 0 && (header.destination[0] & 1) == 0) {
    ++core.stats().drop_ethernet_other_host;
  } else if (header.ethertype == kEthertypeIpv4) {
    ipv4_input(core, frame);
    return;
  } else if (header.ethertype == kEthertypeArp) {
    arp_input(core, bytes + kEthernetHeaderBytes, frame.length_bytes - kEthernetHeaderBytes);
  } else {
    ++core.stats().drop_ethernet_unknown_type;
  }
  core.pool.release(frame.packet);
}

}  // namespace postern::stack
