// Random operations of the data path: frames that arrive, doorbells good and bad, events. See soak.h.
#include "tests/hw_model/soak.h"

namespace postern::hw_model::test {

std::vector<uint8_t> ipv6_frame(const UdpSpec& spec) {
  std::vector<uint8_t> bytes(std::max<size_t>(spec.frame_bytes, 80));
  std::copy(spec.destination.begin(), spec.destination.end(), bytes.begin());
  std::copy(spec.source.begin(), spec.source.end(), bytes.begin() + 6);
  bytes[12] = 0x86;
  bytes[13] = 0xdd;
  bytes[14] = 0x60;
  const size_t payload_bytes = bytes.size() - 54;
  bytes[18] = static_cast<uint8_t>(payload_bytes >> 8);
  bytes[19] = static_cast<uint8_t>(payload_bytes);
  bytes[20] = spec.protocol;
  bytes[21] = 64;
  bytes[22] = bytes[38] = 0xfe;
  bytes[23] = bytes[39] = 0x80;
  for (size_t i = 0; i < 4; ++i) {
    bytes[34 + i] = static_cast<uint8_t>(spec.source_ip >> (24 - 8 * i));
    bytes[50 + i] = static_cast<uint8_t>(spec.destination_ip >> (24 - 8 * i));
  }
  bytes[54] = static_cast<uint8_t>(spec.source_port >> 8);
  bytes[55] = static_cast<uint8_t>(spec.source_port);
  bytes[56] = static_cast<uint8_t>(spec.destination_port >> 8);
  bytes[57] = static_cast<uint8_t>(spec.destination_port);
  if (spec.protocol == 6) bytes[66] = 0x50;
  return bytes;
}

void SoakNic::step() {
  if (options_.control && random_.chance(20)) control();
  if (options_.faults && random_.chance(50)) switch_fault();
  if (link_up_in_ != 0 && --link_up_in_ == 0) node.device().wire_export->set_link(true);
  operate();
}

void SoakNic::operate() {
  const uint32_t i = pick(static_cast<uint32_t>(seats_.size()));
  const bool gone = seats_[i].halted || seats_[i].suspect;
  if (gone ? random_.chance(4) : random_.chance(240)) return recover(i);
  traffic(i);
}

// Without admin commands.
void SoakNic::traffic(uint32_t i) {
  Seat& seat = seats_[i];
  const uint32_t kind = pick(80);
  if (kind == 1) {
    stray_access(seat);
  } else if (kind == 2) {
    seat.vi->doorbell(PST_VI_TIMER_OFFSET, pick(5000) | (1 + pick(0xffff)) * (uint64_t{1} << 32), 8);
  } else if (kind == 3) {
    if (pick(4) == 0) pause_frame();
    if (pick(10) != 0 || link_up_in_ != 0) return;
    link_up_in_ = 1 + pick(100);
    node.device().wire_export->set_link(false);
  } else if (kind < 14) {
    post(i);
  } else if (kind < 28) {
    transmit(i);
  } else if (kind < 40) {
    incoming();
  } else {
    consume(i, pick(100));
    seat.returned = seat.vi->evq_idx;
    if (pick(2)) {
      seat.vi->return_space();
    } else {
      seat.vi->prime();
    }
  }
}

// Something that a wild pointer might do to a window: it hurts this VI alone, if anybody.
void SoakNic::stray_access(Seat& seat) {
  const uint64_t window = uint64_t{seat.vi->id} * PST_VI_WINDOW_STRIDE;
  switch (pick(6)) {
    case 0:
      return seat.vi->doorbell(8 * pick(12), random_.next(), pick(2) ? 4 : 8);
    case 1:
      return seat.vi->doorbell(4 * pick(1024), random_.next(), 4);
    case 2:
      return seat.vi->doorbell(PST_VI_PIO_PAGE_OFFSET + 8 * pick(512), random_.next(), 8);
    case 3:
      node.bar_read(PST_BAR_VI, window + 8 * pick(1024), 8);
      return;
    case 4:
      return node.bar_write(PST_BAR_VI, uint64_t{pick(1024)} * PST_VI_WINDOW_STRIDE + 0x100, 1, 4);
    default:
      return node.write32(PST_FUNCTION_RESET_OFFSET, pick(1000));  // not the key
  }
}

// One behind the other, as over a wire.
void SoakNic::arrive_some(const std::vector<uint8_t>& bytes, uint32_t count) {
  for (; count > 0; --count) {
    run_ns((bytes.size() + 24) * 8000 / rate_mbps_);
    arrive(node, bytes, random_.chance(30));
  }
}

void SoakNic::incoming() {
  UdpSpec spec;
  spec.source = peer_mac_;
  spec.destination = mac_;
  if (random_.chance(10)) spec.destination = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  if (random_.chance(10)) spec.destination = {0x01, 0x00, 0x5e, 0, 0, 1};
  if (random_.chance(20)) spec.destination = peer_mac_;
  spec.source_ip = peer_ip_;
  spec.destination_ip = ip_;
  spec.source_port = static_cast<uint16_t>(random_.chance(3) ? 1000 + pick(64) : 1000);
  spec.destination_port = static_cast<uint16_t>(2000 + pick(static_cast<uint32_t>(seats_.size()) + 1));
  spec.protocol = random_.chance(4) ? 6 : 17;
  spec.frame_bytes = 60 + pick(random_.chance(4) ? mtu_ - 20 : 400);  // a few are too long
  std::vector<uint8_t> bytes = random_.chance(8) ? ipv6_frame(spec) : udp_frame(spec);
  if (random_.chance(40)) bytes = arp_frame(peer_mac_, peer_ip_, ip_);
  if (random_.chance(60)) bytes.resize(pick(60));
  if (bytes.size() >= 60 && random_.chance(10)) bytes.insert(bytes.begin() + 12, {0x81, 0x00, 0x00, 0x07});
  arrive_some(bytes, 1 + pick(20));
}

// The peer asks to pause for up to 13 us at 10 Gb/s, or to go on.
void SoakNic::pause_frame() {
  std::vector<uint8_t> bytes{0x01, 0x80, 0xc2, 0x00, 0x00, 0x01, 0, 0, 0, 0, 0, 9, 0x88, 0x08, 0, 1};
  bytes.resize(60);
  if (pick(2)) bytes[17] = static_cast<uint8_t>(pick(256));
  arrive(node, bytes);
}

void SoakNic::post(uint32_t i) {
  Seat& seat = seats_[i];
  const uint32_t count = pick(40);
  if (seat.vi->rx_idx - seat.rx_done + count > seat.vi->options.rx_entries && !random_.chance(200)) return;
  if (random_.chance(500)) {  // a buffer that is not there
    seat.vi->write_rx_desc(seat.vi->rx_idx++, 63 * kViAreaBytes, 2048);
    seat.bad_buffer = true;
    return seat.vi->doorbell(PST_VI_RX_DOORBELL_OFFSET, seat.vi->rx_idx);
  }
  seat.vi->post_rx(count, 100 + pick(1900));
}

void SoakNic::transmit(uint32_t i) {
  Seat& seat = seats_[i];
  if (seat.vi->tx_idx - seat.tx_done + 64 > seat.vi->options.tx_entries && !random_.chance(200)) return;
  const uint32_t kind = pick(12);
  if (seat.open_packet && kind < 4) return transmit_frames(seat);
  if (kind < 3) return transmit_segmented(seat);
  if (kind < 4) return transmit_directly(seat);
  transmit_frames(seat);
}

void SoakNic::transmit_frames(Seat& seat) {
  TestVi& vi = *seat.vi;
  for (uint32_t n = 1 + pick(20); n > 0; --n) {
    const uint32_t frame = pick(kSoakFrames);
    uint32_t from = 0;
    for (uint32_t parts = 1 + pick(3); parts > 0; --parts) {
      const uint32_t left = seat.frame_bytes[frame] - from;
      const uint32_t bytes = parts == 1 ? left : 1 + pick(left - parts);
      pst_tx_desc desc{};
      pst_tx_desc_set_address(&desc, frame_address(seat, frame) + from);
      pst_tx_desc_set_length_bytes(&desc, bytes);
      pst_tx_desc_set_end_of_packet(&desc, parts == 1);
      pst_tx_desc_set_checksum_l3(&desc, pick(2));
      pst_tx_desc_set_checksum_l4(&desc, pick(2));
      pst_tx_desc_set_timestamp(&desc, random_.chance(10));
      pst_tx_desc_set_complete(&desc, random_.chance(5));
      if (random_.chance(2000)) pst_tx_desc_set_address(&desc, 63 * kViAreaBytes);
      if (random_.chance(2000)) pst_tx_desc_set_length_bytes(&desc, pick(2) * 16000);
      if (random_.chance(5000)) desc.word[1] = random_.next();
      if (random_.chance(200)) pst_tx_desc_set_end_of_packet(&desc, 0);  // the next frame belongs to it
      seat.open_packet = pst_tx_desc_get_end_of_packet(&desc) == 0;
      vi.queue_desc(desc);
      from += bytes;
    }
  }
  vi.ring_tx();
}

// A TCP packet behind an option descriptor, mostly one that can be cut.
void SoakNic::transmit_segmented(Seat& seat) {
  TestVi& vi = *seat.vi;
  UdpSpec spec;
  spec.source = mac_;
  spec.destination = peer_mac_;
  spec.source_ip = ip_;
  spec.destination_ip = peer_ip_;
  spec.protocol = random_.chance(20) ? 17 : 6;
  spec.frame_bytes = 80 + pick(20000);
  std::vector<uint8_t> bytes;
  if (random_.chance(4)) {
    bytes = ipv6_frame(spec);
  } else {
    bytes = udp_frame(spec);
    bytes[46] = static_cast<uint8_t>(pick(20) ? 0x50 : pick(8) << 4);
  }
  std::memcpy(node.memory.data() + vi.base + kTxBuffers, bytes.data(), bytes.size());
  pst_tx_option_desc option{};
  pst_tx_option_desc_set_type(&option, PST_TX_DESC_TYPE_OPTION);
  pst_tx_option_desc_set_mss_bytes(&option, random_.chance(30) ? 0 : 100 + pick(1400));
  pst_tx_option_desc_set_vlan_insert(&option, pick(2));
  vi.queue_desc({{option.word[0], option.word[1]}});
  const auto first_bytes = 20 + pick(static_cast<uint32_t>(bytes.size()) - 20);
  for (int part = 0; part < 2; ++part) {
    pst_tx_desc desc{};
    pst_tx_desc_set_address(&desc, vi.options.domain_base + kTxBuffers + (part == 0 ? 0 : first_bytes));
    pst_tx_desc_set_length_bytes(&desc, part == 0 ? first_bytes : bytes.size() - first_bytes);
    pst_tx_desc_set_end_of_packet(&desc, part);
    pst_tx_desc_set_segment(&desc, part == 0);
    pst_tx_desc_set_checksum_l4(&desc, pick(2));
    vi.queue_desc(desc);
  }
  vi.ring_tx();
}

// A push or a frame from the PIO page; an error if packets are not completed.
void SoakNic::transmit_directly(Seat& seat) {
  TestVi& vi = *seat.vi;
  if (!random_.chance(10)) run_ns(100'000);  // mostly they are
  ++vi.tx_idx;
  const uint64_t bytes = 14 + pick(1500);
  if (pick(2)) {
    const uint32_t frame = pick(kSoakFrames);
    pst_tx_desc desc{};
    pst_tx_desc_set_address(&desc, frame_address(seat, frame));
    pst_tx_desc_set_length_bytes(&desc, seat.frame_bytes[frame]);
    pst_tx_desc_set_end_of_packet(&desc, !random_.chance(50));
    vi.doorbell(PST_VI_TX_PUSH_DESCRIPTOR_LO_OFFSET, desc.word[0], 8);
    vi.doorbell(PST_VI_TX_PUSH_DESCRIPTOR_HI_OFFSET, desc.word[1], 8);
    vi.doorbell(PST_VI_TX_PUSH_DOORBELL_OFFSET, vi.tx_idx);
    return;
  }
  const uint64_t offset_bytes = random_.chance(20) ? pick(4096) : 8 * pick(320);
  const uint8_t* frame = node.memory.data() + vi.base + kTxBuffers;
  for (uint32_t at = 0; at < 64 && offset_bytes + at + 8 <= PST_LIMIT_PIO_BYTES; at += 8) {
    uint64_t word = 0;
    std::memcpy(&word, frame + at, 8);
    vi.doorbell(static_cast<uint32_t>(PST_VI_PIO_PAGE_OFFSET + (offset_bytes & ~7ull) + at), word, 8);
  }
  vi.doorbell(PST_VI_PIO_DOORBELL_OFFSET,
              vi.tx_idx | offset_bytes << PST_VI_PIO_DOORBELL_OFFSET_BYTES_SHIFT |
                  bytes << PST_VI_PIO_DOORBELL_LENGTH_BYTES_SHIFT,
              8);
}

uint32_t SoakNic::consume(uint32_t i, uint32_t most) {
  check_dma();  // before slots are given back, and written again
  Seat& seat = seats_[i];
  uint32_t consumed = 0;
  for (; consumed < most; ++consumed) {
    const auto event = seat.vi->next_event();
    if (!event) break;
    const pst_rx_event rx{{event->word[0], event->word[1]}};
    const pst_tx_event tx{{event->word[0], event->word[1]}};
    switch (pst_event_get_type(&*event)) {
      case PST_EVENT_TYPE_RX:
        seat.rx_done = static_cast<uint32_t>(pst_rx_event_get_rx_consumer_idx(&rx));
        break;
      case PST_EVENT_TYPE_TX:
        seat.tx_done = static_cast<uint32_t>(pst_tx_event_get_tx_consumer_idx(&tx));
        break;
      case PST_EVENT_TYPE_ERROR:
        seat.halted = true;
        ++counts.errors;
        break;
      default:
        break;
    }
  }
  counts.events += consumed;
  return consumed;
}

}  // namespace postern::hw_model::test
