// Reassembly of fragments into a chain of packets.
#include "stack/ipv4_reassembly.h"

#include "stack/core.h"
#include "stack/ethernet.h"
#include "stack/ipv4.h"

namespace postern::stack {
namespace {

constexpr uint64_t kReassemblyTimeoutNs = 30'000'000'000;  // Linux net.ipv4.ipfrag_time
constexpr uint32_t kDatagramPayloadMax = 65515;

void discard(Core& core, ReassemblyEntry& entry) {
  core.stats().drop_ip_reassembly += entry.fragment_count;
  core.pool.release_chain(entry.first);
  entry = ReassemblyEntry{};
}

ReassemblyEntry& entry_for(Core& core, const Ipv4Header& header) {
  ReassemblyTable& table = core.state->reassembly;
  ReassemblyEntry* oldest = nullptr;
  for (ReassemblyEntry& entry : table.entries) {
    if (entry.used != 0 && entry.id == header.id && entry.protocol == header.protocol &&
        entry.source == header.source && entry.destination == header.destination) {
      return entry;
    }
    if (oldest == nullptr || (oldest->used != 0 && (entry.used == 0 || entry.deadline_ns < oldest->deadline_ns))) {
      oldest = &entry;
    }
  }
  if (oldest->used != 0) discard(core, *oldest);
  oldest->used = 1;
  oldest->id = header.id;
  oldest->protocol = header.protocol;
  oldest->source = header.source;
  oldest->destination = header.destination;
  oldest->deadline_ns = core.now_ns + kReassemblyTimeoutNs;
  return *oldest;
}

// Links the fragment in order of offset. False if it overlaps with another one.
bool insert_fragment(Core& core, ReassemblyEntry& entry, uint32_t packet) {
  Packet& fragment = core.pool.packet(packet);
  uint32_t previous = kNoPacket;
  uint32_t next = entry.first;
  while (next != kNoPacket && core.pool.packet(next).seq < fragment.seq) {
    previous = next;
    next = core.pool.packet(next).chain;
  }
  if (previous != kNoPacket) {
    const Packet& before = core.pool.packet(previous);
    if (before.seq + before.length_bytes > fragment.seq) return false;
  }
  if (next != kNoPacket && fragment.seq + fragment.length_bytes > core.pool.packet(next).seq) return false;
  fragment.chain = next;
  if (previous == kNoPacket) {
    entry.first = packet;
  } else {
    core.pool.packet(previous).chain = packet;
  }
  return true;
}

// The end of the last of the fragments that are here.
uint32_t end_of_last(Core& core, const ReassemblyEntry& entry) {
  uint32_t end = 0;
  for (uint32_t index = entry.first; index != kNoPacket; index = core.pool.packet(index).chain) {
    end = core.pool.packet(index).seq + core.pool.packet(index).length_bytes;
  }
  return end;
}

}  // namespace

bool ipv4_reassemble(Core& core, Ipv4Packet* packet) {
  const Ipv4Header& header = packet->header;
  const uint32_t end = header.fragment_offset_bytes + packet->payload_bytes;
  const bool malformed = packet->payload_bytes == 0 || end > kDatagramPayloadMax ||
                         (header.more_fragments && packet->payload_bytes % 8 != 0);
  if (malformed || header.protocol == kIpProtocolTcp || !core.pool.above_reserve()) {
    ++core.stats().drop_ip_reassembly;
    core.pool.release(packet->packet);
    return false;
  }
  ReassemblyEntry& entry = entry_for(core, header);
  core.pool.packet(packet->packet).seq = header.fragment_offset_bytes;
  const bool contradicts = (!header.more_fragments && entry.total_payload_bytes != 0) ||
                           (entry.total_payload_bytes != 0 && end > entry.total_payload_bytes) ||
                           (!header.more_fragments && end_of_last(core, entry) > end);
  if (contradicts || entry.fragment_count == ReassemblyTable::kFragmentsMax ||
      !insert_fragment(core, entry, packet->packet)) {
    ++core.stats().drop_ip_reassembly;
    core.pool.release(packet->packet);
    discard(core, entry);
    return false;
  }
  ++entry.fragment_count;
  entry.received_bytes = static_cast<uint16_t>(entry.received_bytes + packet->payload_bytes);
  if (!header.more_fragments) entry.total_payload_bytes = static_cast<uint16_t>(end);
  // No overlaps and nothing beyond the end: with as many bytes as the datagram has there is no hole either.
  if (entry.total_payload_bytes == 0 || entry.received_bytes != entry.total_payload_bytes) return false;

  packet->packet = entry.first;
  packet->header.more_fragments = false;
  packet->header.fragment_offset_bytes = 0;
  packet->checksum_l4 = ChecksumResult::kNone;
  const Packet& first = core.pool.packet(entry.first);
  packet->payload = core.pool.buffer(entry.first) + first.offset_bytes;
  packet->payload_offset_bytes = first.offset_bytes;
  // The header that counts is the first fragment's, not that of the one that came last.
  packet->l3 = packet->payload - first.l3_header_bytes;
  packet->header.header_bytes = first.l3_header_bytes;
  packet->payload_bytes = first.length_bytes;
  entry = ReassemblyEntry{};
  return true;
}

void ipv4_reassembly_expire(Core& core) {
  for (ReassemblyEntry& entry : core.state->reassembly.entries) {
    if (entry.used != 0 && entry.deadline_ns <= core.now_ns) discard(core, entry);
  }
}

}  // namespace postern::stack
