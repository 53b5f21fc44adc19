// Translation, and what a host DMA address belongs to. See contract_shadow.h.
#include <algorithm>

#include "sim/monitor/contract_shadow.h"

namespace postern::sim {

namespace {

bool overlaps(const ShadowDomain& domain, const ShadowRange& range) {
  return std::any_of(domain.ranges.begin(), domain.ranges.end(), [&](const ShadowRange& other) {
    return !other.removing && range.domain_address < other.domain_address + other.length_bytes &&
           other.domain_address < range.domain_address + range.length_bytes;
  });
}

}  // namespace

bool ContractShadow::translate(uint32_t domain_id, uint64_t address, uint64_t bytes,
                               std::vector<ShadowSegment>& segments) const {
  const ShadowDomain* found = domain(domain_id);
  if (found == nullptr || !found->exists) return false;
  while (bytes > 0) {
    const ShadowRange* range = find_range(*found, address);
    if (range == nullptr) return false;
    const uint64_t offset = address - range->domain_address;
    const uint64_t take = std::min(bytes, range->length_bytes - offset);
    segments.push_back({range->host_address + offset, take, range->writable});
    address += take;
    bytes -= take;
  }
  return true;
}

void ContractShadow::add_ring_pieces(const ShadowVi& vi, Ring ring, uint64_t address, uint64_t bytes) {
  std::vector<ShadowSegment> segments;
  uint32_t offset = 0;
  for (uint64_t at = 0; at < bytes; at += PST_LIMIT_PAGE_BYTES) {  // by page: a part that is not mapped is left out
    segments.clear();
    const uint64_t page_bytes = std::min<uint64_t>(PST_LIMIT_PAGE_BYTES, bytes - at);
    offset = static_cast<uint32_t>(at);
    if (!translate(vi.domain, address + at, page_bytes, segments)) continue;
    for (const ShadowSegment& segment : segments) {
      RingPiece* last = ring_pieces_.empty() ? nullptr : &ring_pieces_.back();
      if (last != nullptr && last->vi_id == vi.id && last->ring == ring && last->end == segment.host_address &&
          last->writable == segment.writable && last->ring_offset_bytes + (last->end - last->begin) == offset) {
        last->end += segment.length_bytes;
      } else {
        ring_pieces_.push_back({segment.host_address, segment.host_address + segment.length_bytes, 0, vi.id, ring,
                                offset, segment.writable});
      }
      offset += static_cast<uint32_t>(segment.length_bytes);
    }
  }
}

void ContractShadow::index_rings() {
  ring_pieces_.clear();
  spans_ = {};
  for (const auto& vi : vis_) {
    if (!vi || !vi->exists()) continue;
    add_ring_pieces(*vi, Ring::kRx, vi->rx_ring_address, uint64_t{vi->rx_entries} * PST_RX_DESC_BYTES);
    add_ring_pieces(*vi, Ring::kTx, vi->tx_ring_address, uint64_t{vi->tx_entries} * PST_TX_DESC_BYTES);
    add_ring_pieces(*vi, Ring::kEvent, vi->evq_address, uint64_t{vi->evq_entries} * PST_EVENT_BYTES);
  }
  std::sort(ring_pieces_.begin(), ring_pieces_.end(),
            [](const RingPiece& a, const RingPiece& b) { return a.begin < b.begin; });
  uint64_t end_max = 0;
  for (RingPiece& piece : ring_pieces_) piece.end_max = end_max = std::max(end_max, piece.end);
}

inline bool ContractShadow::admin_owner(uint64_t host_address, DmaOwner& owner) const {
  if (!admin_.enabled) return false;
  // Between commands only the rings themselves are of the admin queue.
  const bool in_rings = host_address - admin_.sq_base < uint64_t{admin_.entries} * PST_COMMAND_BYTES ||
                        host_address - admin_.cq_base < uint64_t{admin_.entries} * PST_ADMIN_COMPLETION_BYTES;
  return (in_rings || !commands_.empty()) && search_admin_owner(host_address, owner);
}

bool ContractShadow::search_admin_owner(uint64_t host_address, DmaOwner& owner) const {
  const uint64_t in_sq = host_address - admin_.sq_base;
  if (in_sq < uint64_t{admin_.entries} * PST_COMMAND_BYTES) {
    owner = {DmaTarget::kAdminSubmission,
             0,
             static_cast<uint32_t>(in_sq / PST_COMMAND_BYTES),
             static_cast<uint32_t>(in_sq % PST_COMMAND_BYTES),
             true,
             static_cast<uint32_t>(admin_.entries * PST_COMMAND_BYTES - in_sq)};
    return true;
  }
  const uint64_t in_cq = host_address - admin_.cq_base;
  if (in_cq < uint64_t{admin_.entries} * PST_ADMIN_COMPLETION_BYTES) {
    owner = {DmaTarget::kAdminCompletion,
             0,
             static_cast<uint32_t>(in_cq / PST_ADMIN_COMPLETION_BYTES),
             static_cast<uint32_t>(in_cq % PST_ADMIN_COMPLETION_BYTES),
             true,
             static_cast<uint32_t>(admin_.entries * PST_ADMIN_COMPLETION_BYTES - in_cq)};
    return true;
  }
  for (const ShadowCommand& command : commands_) {
    const pst_command& c = command.command;
    switch (pst_command_get_opcode(&c)) {
      case PST_COMMAND_STATISTICS_READ:
        if (host_address - pst_statistics_read_get_address(&c) >= PST_PORT_STATISTICS_BYTES) break;
        owner = {DmaTarget::kStatistics,
                 0,
                 0,
                 static_cast<uint32_t>(host_address - pst_statistics_read_get_address(&c)),
                 true,
                 PST_PORT_STATISTICS_BYTES};
        return true;
      case PST_COMMAND_RSS_CONFIGURE:
        if (host_address - pst_rss_configure_get_key_address(&c) >= PST_LIMIT_RSS_KEY_BYTES &&
            host_address - pst_rss_configure_get_table_address(&c) >= 2 * PST_LIMIT_RSS_INDIRECTION_ENTRIES)
          break;
        owner.target = DmaTarget::kRssConfiguration;
        return true;
      default:
        break;
    }
  }
  return false;
}

void ContractShadow::own(const RingPiece& piece, uint64_t host_address, DmaOwner& owner) const {
  constexpr uint32_t kSlotBytes = PST_EVENT_BYTES;
  static_assert(PST_RX_DESC_BYTES == kSlotBytes && PST_TX_DESC_BYTES == kSlotBytes);
  const auto offset = static_cast<uint32_t>(host_address - piece.begin) + piece.ring_offset_bytes;
  owner.target = piece.ring == Ring::kEvent ? DmaTarget::kEventQueue
                 : piece.ring == Ring::kTx  ? DmaTarget::kTxRing
                                            : DmaTarget::kRxRing;
  owner.vi_id = piece.vi_id;
  owner.index = offset / kSlotBytes;
  owner.offset_bytes = offset % kSlotBytes;
  owner.writable = piece.writable;
  owner.limit_bytes = static_cast<uint32_t>(piece.end - host_address);
}

// Rings seldom change and accesses come again and again: the pieces touched last, and a stretch without any.
void ContractShadow::ring_owner(uint64_t host_address, bool write, DmaOwner& owner) const {
  for (const RingSpan& span : spans_) {
    if (host_address - span.begin >= span.end - span.begin || span.piece == nullptr) continue;
    return own(*span.piece, host_address, owner);
  }
  search_ring_owner(host_address, write, owner);
  remember_span(host_address);
}

void ContractShadow::remember_span(uint64_t host_address) const {
  const auto next =
      std::upper_bound(ring_pieces_.begin(), ring_pieces_.end(), host_address,
                       [](uint64_t address, const RingPiece& candidate) { return address < candidate.begin; });
  const uint64_t next_begin = next == ring_pieces_.end() ? ~uint64_t{0} : next->begin;
  if (next == ring_pieces_.begin() || (next - 1)->end_max <= host_address) {
    spans_[kGapSpan] = {next == ring_pieces_.begin() ? 0 : (next - 1)->end_max, next_begin, nullptr};
    return;
  }
  const RingPiece& piece = *(next - 1);
  const uint64_t before_end = next - 1 == ring_pieces_.begin() ? 0 : (next - 2)->end_max;
  if (before_end > piece.begin || next_begin < piece.end || piece.end <= host_address) return;  // pieces overlap
  spans_[static_cast<unsigned>(piece.ring)] = {piece.begin, piece.end, &piece};
}

// Pieces of several VIs may overlap when software gives two of them the same memory: then the one whose turn it is.
void ContractShadow::search_ring_owner(uint64_t host_address, bool write, DmaOwner& owner) const {
  auto piece = std::upper_bound(ring_pieces_.begin(), ring_pieces_.end(), host_address,
                                [](uint64_t address, const RingPiece& candidate) { return address < candidate.begin; });
  while (piece != ring_pieces_.begin()) {
    --piece;
    if (piece->end_max <= host_address) break;
    if (piece->end <= host_address) continue;
    DmaOwner found;
    own(*piece, host_address, found);
    const bool fits = write == (found.target == DmaTarget::kEventQueue);
    const ShadowVi& vi = *vis_[piece->vi_id];
    if (owner.target == DmaTarget::kUnknown || fits) owner = found;
    if (fits && (!write || (vi.events_written & (vi.evq_entries - 1)) == found.index)) return;
  }
}

const ShadowRange* ContractShadow::search_range(const ShadowDomain& domain, uint64_t address) {
  for (const ShadowRange& range : domain.ranges) {
    if (address - range.domain_address >= range.length_bytes) continue;
    domain.range_hint = static_cast<size_t>(&range - domain.ranges.data());
    return &range;
  }
  return nullptr;
}

// Nearly always one range has all of it.
inline bool ContractShadow::within(const ShadowVi& vi, uint64_t domain_address, uint32_t length_bytes,
                                   uint64_t host_address, DmaOwner& owner) const {
  const ShadowRange* range = find_range(domains_[vi.domain], domain_address);
  if (range == nullptr) return false;
  const uint64_t offset = domain_address - range->domain_address;
  const uint64_t in_buffer = host_address - (range->host_address + offset);
  if (range->length_bytes - offset < length_bytes)
    return within_several(vi, domain_address, length_bytes, host_address, owner);
  if (in_buffer >= length_bytes) return false;
  owner.offset_bytes = static_cast<uint32_t>(in_buffer);
  owner.writable = range->writable;
  owner.limit_bytes = length_bytes - owner.offset_bytes;
  return true;
}

bool ContractShadow::within_several(const ShadowVi& vi, uint64_t domain_address, uint32_t length_bytes,
                                    uint64_t host_address, DmaOwner& owner) const {
  uint32_t before = 0;
  while (before < length_bytes) {
    const ShadowRange* range = find_range(domains_[vi.domain], domain_address);
    if (range == nullptr) return false;
    const uint64_t offset = domain_address - range->domain_address;
    const uint64_t take = std::min<uint64_t>(length_bytes - before, range->length_bytes - offset);
    const uint64_t host = range->host_address + offset;
    if (host_address - host < take) {
      owner.offset_bytes = before + static_cast<uint32_t>(host_address - host);
      owner.writable = range->writable;
      owner.limit_bytes = static_cast<uint32_t>(take - (host_address - host));
      return true;
    }
    before += static_cast<uint32_t>(take);
    domain_address += take;
  }
  return false;
}

bool ContractShadow::rx_buffer_of(const ShadowVi& vi, uint64_t host_address, DmaOwner& owner) const {
  owner.vi_id = vi.id;
  owner.target = DmaTarget::kRxBuffer;
  if (vi.rx_descs.empty()) return false;
  const auto look = [&](uint32_t idx) {
    const pst_rx_desc& desc = vi.rx_desc(idx);
    owner.index = idx;
    return within(vi, pst_rx_desc_get_address(&desc), static_cast<uint32_t>(pst_rx_desc_get_length_bytes(&desc)),
                  host_address, owner);
  };
  // The buffer written last, or the one behind it: nearly always.
  const uint32_t hint = vi.rx_write_idx;
  const uint32_t open = vi.rx_fetched_idx - vi.rx_consumer_idx;
  if (hint - vi.rx_consumer_idx < open && look(hint)) return true;
  if (hint + 1 - vi.rx_consumer_idx < open && look(hint + 1)) return true;
  for (uint32_t idx = vi.rx_consumer_idx; idx != vi.rx_fetched_idx; ++idx) {
    if (look(idx)) return true;
  }
  return false;
}

// Several descriptors may name one buffer or parts of it. In this order: the rest of the fragment read last; the first
// fragment behind it that begins here and has all of the bytes; any such; any that has all of the bytes; any at all.
bool ContractShadow::tx_buffer_of(const ShadowVi& vi, uint64_t host_address, uint32_t bytes, DmaOwner& owner) const {
  owner.vi_id = vi.id;
  owner.target = DmaTarget::kTxBuffer;
  if (vi.tx_descs.empty()) return false;
  const auto look = [&](uint32_t idx) {
    const pst_tx_desc& desc = vi.tx_desc(idx);
    if (pst_tx_desc_get_type(&desc) != PST_TX_DESC_TYPE_DATA) return false;
    owner.index = idx;
    return within(vi, pst_tx_desc_get_address(&desc), static_cast<uint32_t>(pst_tx_desc_get_length_bytes(&desc)),
                  host_address, owner);
  };
  const uint32_t open = vi.tx_fetched_idx - vi.tx_consumer_idx;
  const uint32_t last = vi.tx_read_idx;
  const bool last_open = last - vi.tx_consumer_idx < open;
  if (last_open && vi.tx_read_bytes != 0 && vi.tx_read_bytes < pst_tx_desc_get_length_bytes(&vi.tx_desc(last)) &&
      look(last) && owner.offset_bytes == vi.tx_read_bytes && owner.limit_bytes >= bytes)
    return true;
  const uint32_t from = last_open && vi.tx_read_bytes != 0 ? last + 1 : vi.tx_consumer_idx;
  for (uint32_t idx = from; idx != vi.tx_fetched_idx; ++idx) {
    if (look(idx) && owner.offset_bytes == 0 && owner.limit_bytes >= bytes) return true;
  }
  bool found = false;
  DmaOwner best;
  for (uint32_t idx = vi.tx_consumer_idx; idx != vi.tx_fetched_idx; ++idx) {
    if (!look(idx)) continue;
    if (owner.offset_bytes == 0 && owner.limit_bytes >= bytes) return true;
    if (!found || (best.limit_bytes < bytes && owner.limit_bytes >= bytes)) best = owner;
    found = true;
  }
  if (found) owner = best;
  return found;
}

bool ContractShadow::buffer_owner(uint64_t host_address, uint32_t bytes, bool write, DmaOwner& owner) const {
  const auto of_vi = [&](const ShadowVi& candidate) {
    return write ? rx_buffer_of(candidate, host_address, owner) : tx_buffer_of(candidate, host_address, bytes, owner);
  };
  const uint32_t hint = write ? rx_hint_vi_ : tx_hint_vi_;
  const ShadowVi* hinted = vi(hint);
  if (hinted != nullptr && hinted->exists() && of_vi(*hinted)) return true;
  for (const ShadowDomain& candidate : domains_) {
    if (!candidate.exists || candidate.vi_ids.empty()) continue;
    const bool maps = std::any_of(candidate.ranges.begin(), candidate.ranges.end(), [&](const ShadowRange& range) {
      return host_address - range.host_address < range.length_bytes;
    });
    if (!maps) continue;
    for (const uint32_t id : candidate.vi_ids) {
      if (id != hint && of_vi(*vis_[id])) return true;
    }
  }
  return false;
}

DmaOwner ContractShadow::owner_of(uint64_t host_address, uint32_t bytes, bool write) const {
  DmaOwner owner;
  find_owner(host_address, bytes, write, owner);
  return owner;
}

void ContractShadow::find_owner(uint64_t host_address, uint32_t bytes, bool write, DmaOwner& owner) const {
  if (admin_owner(host_address, owner)) return;
  const RingSpan& gap = spans_[kGapSpan];
  if (host_address - gap.begin < gap.end - gap.begin) {
    if (!buffer_owner(host_address, bytes, write, owner)) owner = DmaOwner();
    return;
  }
  ring_owner(host_address, write, owner);
  if (owner.target != DmaTarget::kUnknown && write == (owner.target == DmaTarget::kEventQueue)) return;
  DmaOwner buffer;
  if (buffer_owner(host_address, bytes, write, buffer)) owner = buffer;
}

// A range counts from when the device has read its TRANSLATION_MAP: it may be in force before it is answered, unless it
// must be refused. Such an access is rare, so the lookup may be slow.
void ContractShadow::look_in_coming_ranges(DmaAccess& access) {
  std::vector<ShadowDomain*> grown;
  bool covered = false;
  for (const ShadowCommand& command : commands_) {
    const auto id = static_cast<uint32_t>(pst_command_get_target_id(&command.command));
    if (pst_command_get_opcode(&command.command) != PST_COMMAND_TRANSLATION_MAP || id >= domains_.size()) continue;
    const ShadowRange range = range_to_map(command.command);
    if (!domains_[id].exists || overlaps(domains_[id], range)) continue;
    domains_[id].ranges.push_back(range);
    grown.push_back(&domains_[id]);
    covered = covered || access.address - range.host_address < range.length_bytes;
  }
  if (covered) {
    index_rings();
    find_owner(access.address, access.bytes, access.write, access.owner);
  }
  for (ShadowDomain* domain : grown) domain->ranges.pop_back();
  if (covered) index_rings();
}

DmaOwner ContractShadow::former_owner_of(uint64_t host_address, bool write) const {
  for (auto piece = graves_.rbegin(); piece != graves_.rend(); ++piece) {
    if (host_address < piece->begin || host_address >= piece->end) continue;
    if (write != (piece->ring == Ring::kEvent)) continue;
    const auto offset = static_cast<uint32_t>(host_address - piece->begin) + piece->ring_offset_bytes;
    const DmaTarget target = piece->ring == Ring::kEvent ? DmaTarget::kEventQueue
                             : piece->ring == Ring::kTx  ? DmaTarget::kTxRing
                                                         : DmaTarget::kRxRing;
    return {target, piece->vi_id, offset / PST_EVENT_BYTES, offset % PST_EVENT_BYTES, piece->writable, 0};
  }
  for (const auto& candidate : vis_) {
    DmaOwner owner;
    if (!candidate || candidate->exists()) continue;
    if (write ? rx_buffer_of(*candidate, host_address, owner) : tx_buffer_of(*candidate, host_address, 1, owner))
      return owner;
  }
  return {};
}

bool ContractShadow::mapped_anywhere(uint64_t host_address, uint32_t bytes, bool write) const {
  return std::any_of(domains_.begin(), domains_.end(), [&](const ShadowDomain& candidate) {
    return candidate.exists &&
           std::any_of(candidate.ranges.begin(), candidate.ranges.end(), [&](const ShadowRange& range) {
             return host_address - range.host_address < range.length_bytes &&
                    bytes <= range.length_bytes - (host_address - range.host_address) && (!write || range.writable);
           });
  });
}

}  // namespace postern::sim
