// Operations of the data path. See twin.h.
#include <algorithm>
#include <cstring>

#include "tests/equivalence/twin.h"

namespace postern::equivalence {

using namespace hw_model::test;  // NOLINT(google-build-using-namespace): the bench

namespace {

constexpr uint32_t kBufferBytesLeast = 256;
constexpr uint32_t kTxBytesMost = 0x70000;  // of packets in a VI's area between two rests
constexpr uint32_t kSegmentedBytesMost = 20'000;

uint32_t descriptors_for(size_t frame_bytes) {
  return static_cast<uint32_t>((frame_bytes + PST_LIMIT_RX_PREFIX_BYTES + kBufferBytesLeast - 1) / kBufferBytesLeast);
}

}  // namespace

bool Twin::act(const Operation& operation, SoakRandom& random) {
  Seat& seat = seats_[operation.seat];
  switch (operation.kind) {
    case OperationKind::kPost:
      return post(seat, random);
    case OperationKind::kSend:
      return send(operation.seat, random);
    case OperationKind::kSegment:
      return segment(operation.seat, random);
    case OperationKind::kPush:
      return push(operation.seat, random);
    case OperationKind::kPio:
      return pio(operation.seat, random);
    case OperationKind::kArrive:
      return arrive(random);
    case OperationKind::kArriveOdd:
      return arrive_odd(random);
    case OperationKind::kConsume:
      return consume(seat, random);
    default:
      return timer(seat, random);
  }
}

// --- what a VI has room for -----------------------------------------------------------------------------------------

bool Twin::has_room(const Seat& seat, uint32_t events) {
  uint32_t used = 0;
  for (const ViSide& side : seat.side) used = std::max(used, side.seen_idx - side.returned_idx);
  return used + seat.events + events <= seat.options.evq_entries;
}

bool Twin::take_events(Seat& seat, uint32_t count) {
  if (!has_room(seat, count)) return false;
  seat.events += count;
  return true;
}

uint32_t Twin::tx_room(const Seat& seat) const {
  return seat.options.tx_entries - (seat.side[0].vi->tx_idx - seat.side[0].tx_done_idx);
}

uint64_t Twin::tx_place(Seat& seat, const std::vector<uint8_t>& bytes) {
  if (seat.tx_bytes + bytes.size() > kTxBytesMost) return 0;
  const uint64_t place = kTxBuffers + seat.tx_bytes;
  seat.tx_bytes += static_cast<uint32_t>(bytes.size());
  for (ViSide& side : seat.side)
    std::memcpy(side.vi->node.memory.data() + side.vi->base + place, bytes.data(), bytes.size());
  return place;
}

void Twin::queue(Seat& seat, const pst_tx_desc& desc) {
  for (ViSide& side : seat.side) side.vi->queue_desc(desc);
}

void Twin::ring(Seat& seat, uint32_t offset, uint64_t value, unsigned width_bytes) {
  for (ViSide& side : seat.side) side.vi->doorbell(offset, value, width_bytes);
}

// --- receive --------------------------------------------------------------------------------------------------------

bool Twin::post(Seat& seat, SoakRandom& random) {
  const uint32_t count = 1 + random.pick(40);
  const uint32_t bytes = random.of({256u, 600u, 2048u});
  if (seat.short_of_buffers) return false;
  if (seat.side[0].vi->rx_idx - seat.side[0].rx_done_idx + count > seat.options.rx_entries) return false;
  for (ViSide& side : seat.side) side.vi->post_rx(count, bytes);
  seat.posted = true;
  return true;
}

// Any VI may get them, by whatever filter.
bool Twin::expect_frames(size_t frame_bytes, uint32_t frames) {
  const uint32_t count = frames * (1 + static_cast<uint32_t>(filters_.size()));  // copies, for one VI at most
  const uint32_t descriptors = count * descriptors_for(frame_bytes);
  for (const Seat& seat : seats_) {
    if (seat.halted) continue;
    const uint32_t there = seat.rx_idx - seat.side[0].rx_done_idx;
    if (seat.posted && seat.descriptors + descriptors > there) return false;
    if (!has_room(seat, count)) return false;
  }
  for (Seat& seat : seats_) {
    seat.events += count;
    seat.descriptors += descriptors;
    seat.short_of_buffers |= seat.descriptors > seat.rx_idx - seat.side[0].rx_done_idx;
  }
  return true;
}

void Twin::arrive_both(const std::vector<uint8_t>& bytes, bool bad_fcs) {
  run_ns(1 + (bytes.size() + 24) * 8000 / rate_mbps_);  // one behind the other, as over a wire
  for (unsigned side = 0; side < kSides; ++side) {
    const sim::FramePtr frame = hw_model::test::arrive(*nodes_[side], bytes, bad_fcs);
    history_[side].push_back({now_ps(), 0, 0, {}, frame, true});
  }
}

bool Twin::arrive_some(const std::vector<uint8_t>& bytes, uint32_t count, bool bad_fcs) {
  if (!expect_frames(bytes.size(), count)) return false;
  for (uint32_t n = 0; n < count; ++n) arrive_both(bytes, bad_fcs);
  return true;
}

bool Twin::arrive(SoakRandom& random) {
  UdpSpec spec = spec_from_b();
  spec.source_port = static_cast<uint16_t>(random.chance(3) ? 1000 + random.pick(64) : 1000);
  spec.destination_port = static_cast<uint16_t>(random.chance(8) ? 2100 : 2000 + random.pick(kSeats));
  spec.protocol = random.chance(6) ? 6 : 17;
  spec.frame_bytes = 60 + random.pick(random.chance(4) ? mtu_bytes_ - 46 : 200);
  std::vector<uint8_t> bytes = random.chance(8) ? ipv6_frame(spec) : udp_frame(spec);
  if (random.chance(16)) bytes[24 + random.pick(20)] ^= static_cast<uint8_t>(1u << random.pick(8));  // checksums, ports
  if (random.chance(8)) {
    const auto tag = static_cast<uint8_t>(random.pick(9));
    bytes.insert(bytes.begin() + 12, {0x81, 0x00, 0x00, tag});
  }
  return arrive_some(bytes, 1 + random.pick(random.chance(3) ? 12 : 3), false);
}

bool Twin::arrive_odd(SoakRandom& random) {
  UdpSpec spec = spec_from_b();
  spec.destination_port = static_cast<uint16_t>(2000 + random.pick(kSeats + 1));
  spec.frame_bytes = 60 + random.pick(400);
  bool bad_fcs = false;
  std::vector<uint8_t> bytes = udp_frame(spec);
  switch (random.pick(8)) {
    case 0:
      bad_fcs = true;
      break;
    case 1:
      std::fill(bytes.begin(), bytes.begin() + 6, static_cast<uint8_t>(0xff));
      break;
    case 2:
      bytes[0] = 0x01;
      break;
    case 3:
      std::copy(kMacB.begin(), kMacB.end(), bytes.begin());
      break;
    case 4:
      bytes = arp_frame(kMacB, kIpB, kIpA);
      break;
    case 5:
      bytes.resize(random.pick(60));
      break;
    case 6:
      spec.frame_bytes = mtu_bytes_ + 10 + random.pick(20);
      bytes = udp_frame(spec);
      break;
    default:
      for (size_t i = 14; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(random.next());
      bytes[12] = static_cast<uint8_t>(random.of({0x08, 0x86, 0x81, 0x88}));
      bytes[13] = static_cast<uint8_t>(random.of({0x00, 0xdd, 0x06, 0xa8}));
  }
  return arrive_some(bytes, 1, bad_fcs);
}

// --- send -----------------------------------------------------------------------------------------------------------

// Mostly one that goes to a destination of its own seat.
std::vector<uint8_t> Twin::own_frame(uint32_t index, SoakRandom& random, uint32_t bytes_most) {
  UdpSpec spec;
  spec.source = random.chance(12) ? kMacB : kMacA;
  spec.destination = kMacB;
  spec.destination[4] = static_cast<uint8_t>(0x10 + index);
  spec.source_ip = random.chance(8) ? kIpB : kIpA;
  spec.destination_ip = kIpB;
  spec.protocol = random.chance(3) ? 6 : 17;
  spec.source_port = static_cast<uint16_t>(1000 + index);
  spec.destination_port = static_cast<uint16_t>(random.next());
  spec.checksums = random.pick(2) != 0;
  spec.frame_bytes = 60 + random.pick(random.chance(4) ? bytes_most - 60 : 140);
  std::vector<uint8_t> bytes = random.chance(6) ? ipv6_frame(spec) : udp_frame(spec);
  if (random.chance(16)) {
    bytes = arp_frame(kMacA, random.pick(2) ? kIpA : kIpB, kIpB);
    std::copy(spec.destination.begin(), spec.destination.end(), bytes.begin());
  }
  if (random.chance(10)) bytes.insert(bytes.begin() + 12, {0x81, 0x00, 0x00, static_cast<uint8_t>(index)});
  if (random.chance(40)) bytes.resize(14 + random.pick(46));  // to be padded
  if (random.chance(20)) bytes[13] ^= static_cast<uint8_t>(1u << random.pick(8));
  for (size_t i = 54; i < bytes.size(); ++i) bytes[i] ^= static_cast<uint8_t>(random.next());
  return bytes;
}

bool Twin::send(uint32_t index, SoakRandom& random) {
  Seat& seat = seats_[index];
  bool any = false;
  for (uint32_t n = 1 + random.pick(random.chance(3) ? 12 : 2); n > 0; --n) {
    const std::vector<uint8_t> bytes = own_frame(index, random, 1500);
    const uint32_t parts =
        std::min<uint32_t>(1 + random.pick(random.chance(12) ? 32 : 3), static_cast<uint32_t>(bytes.size()));
    if (tx_room(seat) < parts || !take_events(seat, 1)) break;
    const uint64_t place = tx_place(seat, bytes);
    if (place == 0) break;
    uint32_t from = 0;
    for (uint32_t part = 1; part <= parts; ++part) {
      const auto left = static_cast<uint32_t>(bytes.size()) - from;
      const uint32_t length = part == parts ? left : 1 + random.pick(left - (parts - part));
      pst_tx_desc desc{};
      pst_tx_desc_set_address(&desc, seat.options.domain_base + place + from);
      pst_tx_desc_set_length_bytes(&desc, length);
      pst_tx_desc_set_end_of_packet(&desc, part == parts);
      pst_tx_desc_set_checksum_l3(&desc, random.pick(2));
      pst_tx_desc_set_checksum_l4(&desc, random.pick(2));
      pst_tx_desc_set_timestamp(&desc, random.chance(10));
      pst_tx_desc_set_complete(&desc, random.chance(5));
      queue(seat, desc);
      from += length;
    }
    any = true;
  }
  if (!any) return false;
  seat.sent = true;
  ring(seat, PST_VI_TX_DOORBELL_OFFSET, seat.side[0].vi->tx_idx);
  return true;
}

// TCP behind an option descriptor, mostly one that can be cut.
bool Twin::segment(uint32_t index, SoakRandom& random) {
  Seat& seat = seats_[index];
  UdpSpec spec;
  spec.source = kMacA;
  spec.destination = kMacB;
  spec.destination[4] = static_cast<uint8_t>(0x10 + index);
  spec.source_ip = kIpA;
  spec.destination_ip = kIpB;
  spec.source_port = static_cast<uint16_t>(1000 + index);
  spec.protocol = random.chance(20) ? 17 : 6;
  const uint32_t bytes_most = random.chance(2) ? kSegmentedBytesMost : 3000;
  // What follows a packet of a limited VI must begin before the device looks quiet.
  spec.frame_bytes = 80 + random.pick(seat.options.rate_limit_mbps != 0 ? 1400 : bytes_most);
  std::vector<uint8_t> bytes = random.chance(4) ? ipv6_frame(spec) : udp_frame(spec);
  if (bytes[12] == 0x08) bytes[46] = static_cast<uint8_t>(random.pick(20) != 0 ? 0x50 : random.pick(8) << 4);
  if (bytes[12] == 0x08) bytes[47] = static_cast<uint8_t>(random.next());
  if (tx_room(seat) < 3 || !take_events(seat, 1)) return false;
  const uint64_t place = tx_place(seat, bytes);
  if (place == 0) return false;
  pst_tx_option_desc option{};
  pst_tx_option_desc_set_type(&option, PST_TX_DESC_TYPE_OPTION);
  pst_tx_option_desc_set_mss_bytes(&option, 200 + random.pick(1300));
  pst_tx_option_desc_set_vlan_insert(&option, random.pick(2));
  pst_tx_option_desc_set_vlan_tci(&option, random.pick(0x10000));
  queue(seat, {{option.word[0], option.word[1]}});
  const uint32_t first_bytes = 20 + random.pick(static_cast<uint32_t>(bytes.size()) - 20);
  for (uint32_t part = 0; part < 2; ++part) {
    pst_tx_desc desc{};
    pst_tx_desc_set_address(&desc, seat.options.domain_base + place + (part == 0 ? 0 : first_bytes));
    pst_tx_desc_set_length_bytes(&desc, part == 0 ? first_bytes : bytes.size() - first_bytes);
    pst_tx_desc_set_end_of_packet(&desc, part);
    pst_tx_desc_set_segment(&desc, part == 0);
    pst_tx_desc_set_checksum_l4(&desc, random.pick(2));
    pst_tx_desc_set_timestamp(&desc, part == 0 && random.chance(6));
    queue(seat, desc);
  }
  seat.sent = true;
  ring(seat, PST_VI_TX_DOORBELL_OFFSET, seat.side[0].vi->tx_idx);
  return true;
}

bool Twin::push(uint32_t index, SoakRandom& random) {
  Seat& seat = seats_[index];
  if (seat.sent || tx_room(seat) < 1 || !take_events(seat, 1)) return false;
  const std::vector<uint8_t> bytes = own_frame(index, random, 1500);
  const uint64_t place = tx_place(seat, bytes);
  if (place == 0) return false;
  pst_tx_desc desc{};
  pst_tx_desc_set_address(&desc, seat.options.domain_base + place);
  pst_tx_desc_set_length_bytes(&desc, bytes.size());
  pst_tx_desc_set_end_of_packet(&desc, 1);
  pst_tx_desc_set_checksum_l3(&desc, random.pick(2));
  pst_tx_desc_set_checksum_l4(&desc, random.pick(2));
  pst_tx_desc_set_timestamp(&desc, random.chance(6));
  pst_tx_desc_set_complete(&desc, random.chance(3));
  for (ViSide& side : seat.side) ++side.vi->tx_idx;
  ring(seat, PST_VI_TX_PUSH_DESCRIPTOR_LO_OFFSET, desc.word[0], 8);
  ring(seat, PST_VI_TX_PUSH_DESCRIPTOR_HI_OFFSET, desc.word[1], 8);
  ring(seat, PST_VI_TX_PUSH_DOORBELL_OFFSET, seat.side[0].vi->tx_idx);
  seat.sent = true;
  return true;
}

bool Twin::pio(uint32_t index, SoakRandom& random) {
  Seat& seat = seats_[index];
  if (seat.sent || tx_room(seat) < 1 || !take_events(seat, 1)) return false;
  std::vector<uint8_t> bytes = own_frame(index, random, 400);
  const auto length = static_cast<uint32_t>(bytes.size());
  const uint64_t offset = 8ull * random.pick((PST_LIMIT_PIO_BYTES - 512) / 8) + (random.chance(4) ? random.pick(8) : 0);
  const uint64_t skew = offset % 8;
  bytes.insert(bytes.begin(), skew, 0);
  bytes.resize((bytes.size() + 7) / 8 * 8);
  for (uint64_t at = 0; at < bytes.size(); at += 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, 8);
    ring(seat, static_cast<uint32_t>(PST_VI_PIO_PAGE_OFFSET + offset - skew + at), word, 8);
  }
  for (ViSide& side : seat.side) ++side.vi->tx_idx;
  uint64_t doorbell = seat.side[0].vi->tx_idx | offset << PST_VI_PIO_DOORBELL_OFFSET_BYTES_SHIFT |
                      uint64_t{length} << PST_VI_PIO_DOORBELL_LENGTH_BYTES_SHIFT;
  doorbell |= uint64_t{random.pick(8)} << PST_VI_PIO_DOORBELL_CHECKSUM_L3_SHIFT;  // both checksums, COMPLETE
  ring(seat, PST_VI_PIO_DOORBELL_OFFSET, doorbell, 8);
  seat.sent = true;
  return true;
}

// --- events ---------------------------------------------------------------------------------------------------------

// All that were there at the last rest, or all but one: how many those are may differ by TX events.
bool Twin::consume(Seat& seat, SoakRandom& random) {
  const uint32_t left = random.chance(5) ? 1 : 0;
  const bool primes = random.chance(2);
  // The monitor takes a message that was pending for that of the prime behind it.
  if (primes && seat.masked && seat.pending) return false;
  if (primes && seat.primed) rest_first();  // another prime would race the event that fires the first
  if (seat.halted || (primes && seat.masked && seat.pending) || !difference_.empty()) return false;
  for (ViSide& side : seat.side) {
    const uint32_t unseen = side.seen_idx - side.vi->evq_idx;
    side.vi->evq_idx = side.seen_idx - std::min(left, unseen);
    side.returned_idx = side.vi->evq_idx;
    if (primes) {
      side.prime_idx = side.vi->evq_idx;
      side.vi->prime();
    } else {
      side.vi->return_space();
    }
  }
  if (!primes) return true;
  if (seat.primed) settle_after_ = true;
  seat.primed = true;
  for (Seat& other : seats_) ++other.events;  // its wakeup may be an event of another VI
  return true;
}

bool Twin::timer(Seat& seat, SoakRandom& random) {
  if (seat.timer || !take_events(seat, 1)) return false;
  seat.timer = true;
  ring(seat, PST_VI_TIMER_OFFSET,
       random.pick(5000) | (1 + uint64_t{random.pick(0xffff)}) << PST_VI_TIMER_SEQUENCE_SHIFT, 8);
  return true;
}

}  // namespace postern::equivalence
