// What one packet is made of: descriptors into an operation, fetched bytes into frames. See tx_dma.h.
#include <algorithm>
#include <cstring>

#include "hw_model/agenda.h"
#include "hw_model/checksum.h"
#include "hw_model/frame_parser.h"
#include "hw_model/frame_pool.h"
#include "hw_model/mac_port.h"
#include "hw_model/pcie_link.h"
#include "hw_model/tx_dma.h"
#include "hw_model/vi_table.h"

namespace postern::hw_model {

// --- descriptors -----------------------------------------------------------------------------------------------------

bool TxDma::take_option(const pst_tx_option_desc& option, TxOp& op, uint32_t& error_code) {
  if (pst_tx_option_desc_get_reserved0(&option) | pst_tx_option_desc_get_reserved1(&option) |
      pst_tx_option_desc_get_reserved2(&option)) {
    error_code = PST_ERROR_CODE_BAD_DESCRIPTOR;
    return false;
  }
  op.vlan_insert = pst_tx_option_desc_get_vlan_insert(&option) != 0;
  op.vlan_tci = static_cast<uint16_t>(pst_tx_option_desc_get_vlan_tci(&option));
  op.mss_bytes = static_cast<uint16_t>(pst_tx_option_desc_get_mss_bytes(&option));
  return true;
}

// False: the descriptor is malformed, error_code says how.
bool TxDma::add_fragment(const pst_tx_desc& desc, TxOp& op, bool first, uint32_t& error_code) {
  const uint32_t bytes = static_cast<uint32_t>(pst_tx_desc_get_length_bytes(&desc));
  // Segmentation without an MSS is a length of zero too.
  const bool bad_segment = first && pst_tx_desc_get_segment(&desc) != 0 && op.mss_bytes == 0;
  if (pst_tx_desc_get_reserved(&desc) != 0 || bytes == 0 || pst_tx_desc_get_type(&desc) != PST_TX_DESC_TYPE_DATA ||
      bad_segment) {
    error_code = PST_ERROR_CODE_BAD_DESCRIPTOR;
    return false;
  }
  if (first && pst_tx_desc_get_segment(&desc) != 0 && !segmentation_) {
    error_code = PST_ERROR_CODE_UNSUPPORTED;
    return false;
  }
  if (first) {
    op.segment = pst_tx_desc_get_segment(&desc) != 0;
    op.checksum_l3 = pst_tx_desc_get_checksum_l3(&desc) != 0;
    op.checksum_l4 = pst_tx_desc_get_checksum_l4(&desc) != 0;
    op.timestamp = pst_tx_desc_get_timestamp(&desc) != 0;
    op.complete = pst_tx_desc_get_complete(&desc) != 0;
  }
  op.bytes += bytes;
  return true;
}

TxDma::Take TxDma::gather(Vi& vi, TxOp& op, uint32_t& error_code) {
  auto& cache = vi.tx_cache;
  uint32_t idx = cache.head_idx;
  const uint32_t end_idx = cache.arrived_idx;
  if (idx == end_idx) return Take::kIncomplete;
  op.pio = vi.tx_pio;
  if (pst_tx_desc_get_type(&cache.at(idx)) == PST_TX_DESC_TYPE_OPTION) {
    pst_tx_option_desc option;
    std::memcpy(&option, &cache.at(idx), sizeof option);
    if (!take_option(option, op, error_code)) return Take::kHalted;
    ++idx;
  }
  for (uint32_t count = 0; idx != end_idx; ++idx, ++count) {
    const pst_tx_desc& desc = cache.at(idx);
    if (count == PST_LIMIT_TX_FRAGMENTS_MAX) {
      error_code = PST_ERROR_CODE_BAD_DESCRIPTOR;
      return Take::kHalted;
    }
    if (!add_fragment(desc, op, count == 0, error_code)) return Take::kHalted;
    if (pst_tx_desc_get_end_of_packet(&desc)) {
      op.end_idx = idx + 1;
      return Take::kTaken;
    }
  }
  return Take::kIncomplete;
}

bool TxDma::translate_fragments(Vi& vi, uint32_t first_idx, TxOp& op) {
  for (uint32_t idx = first_idx; idx != op.end_idx; ++idx) {
    const pst_tx_desc& desc = vi.tx_cache.at(idx);
    if (pst_tx_desc_get_type(&desc) != PST_TX_DESC_TYPE_DATA) continue;
    if (!nic_.translation->translate(vi.pd, pst_tx_desc_get_address(&desc), pst_tx_desc_get_length_bytes(&desc), false,
                                     op.segments))
      return false;
  }
  return true;
}

// --- reads -----------------------------------------------------------------------------------------------------------

// The first read that fails decides what becomes of the packet.
void TxDma::note_fate(Vi& vi, TxOp& op, DmaResult fate) {
  if (fate == DmaResult::kTimeout) vi.tx_read_lost = true;
  if (op.read_fate == DmaResult::kOk) op.read_fate = fate;
}

uint64_t TxDma::post_reads(Vi& vi, uint32_t first_idx, TxOp& op) {
  const uint64_t earliest_ps = Agenda::now_ps() + processing_ps_;
  uint64_t landing_ps = 0;
  for (uint32_t idx = first_idx; idx != op.end_idx; ++idx) {
    const pst_tx_desc& desc = vi.tx_cache.at(idx);
    if (pst_tx_desc_get_type(&desc) != PST_TX_DESC_TYPE_DATA) continue;
    const ReadPlan read = nic_.pcie_link->post_read(earliest_ps, pst_tx_desc_get_address(&desc),
                                                    static_cast<uint32_t>(pst_tx_desc_get_length_bytes(&desc)), vi.id);
    landing_ps = std::max(landing_ps, read.landing_ps);
    note_fate(vi, op, read.fate);
  }
  return landing_ps;
}

// Posts one read request after the other, as the link would split them, to learn when each part arrives. The port may
// have the frame when its head is there, and not before the wire, which needs part by part from then on, meets a part
// that is still to come. (The wire's time for preamble and an inserted tag is left as margin.)
uint64_t TxDma::post_cut_through_reads(Vi& vi, uint32_t first_idx, TxOp& op) {
  const uint64_t earliest_ps = Agenda::now_ps() + processing_ps_;
  const uint64_t ps_per_byte = nic_.mac_port->ps_per_byte();
  uint64_t ready_ps = 0;
  uint32_t position = 0;
  op.head_bytes = cut_through_bytes_;
  op.landing_ps = 0;
  for (uint32_t idx = first_idx; idx != op.end_idx; ++idx) {
    const pst_tx_desc& desc = vi.tx_cache.at(idx);
    if (pst_tx_desc_get_type(&desc) != PST_TX_DESC_TYPE_DATA) continue;
    uint64_t address = pst_tx_desc_get_address(&desc);
    for (auto left = static_cast<uint32_t>(pst_tx_desc_get_length_bytes(&desc)); left > 0;) {
      const auto to_page_end = static_cast<uint32_t>(PST_LIMIT_PAGE_BYTES - address % PST_LIMIT_PAGE_BYTES);
      const uint32_t chunk = std::min({left, read_request_bytes_, to_page_end});
      const ReadPlan read = nic_.pcie_link->post_read(earliest_ps, address, chunk, vi.id);
      const uint64_t landing_ps = read.landing_ps;
      note_fate(vi, op, read.fate);
      op.landing_ps = std::max(op.landing_ps, landing_ps);
      const uint64_t lead_ps = position < op.head_bytes ? 0 : position * ps_per_byte;
      ready_ps = std::max(ready_ps, landing_ps > lead_ps ? landing_ps - lead_ps : 0);
      address += chunk;
      position += chunk;
      left -= chunk;
    }
  }
  if (op.read_fate == DmaResult::kOk) return ready_ps;
  op.cut_through = false;  // a packet of which a read fails does not start
  return op.landing_ps;
}

// Moves bytes [from, to) of the packet now. The end of the buffer is the packet's end: a tag that was inserted in
// between has moved what is behind it.
DmaResult TxDma::read_payload(TxOp& op, uint32_t from, uint32_t to) {
  std::vector<uint8_t>& buffer = op.segment ? op.packet : op.frame->bytes;
  uint8_t* target = buffer.data() + (buffer.size() - op.bytes);
  uint32_t position = 0;
  for (const DmaSegment& segment : op.segments) {
    const uint32_t begin = std::max(position, from);
    const uint32_t end = std::min(position + segment.bytes, to);
    if (begin < end) {
      const DmaResult result = nic_.pcie_link->memory_read(segment.host_address + (begin - position), target + begin,
                                                           end - begin, op.read_fate, op.vi_id);
      if (result != DmaResult::kOk) return result;
    }
    position += segment.bytes;
  }
  return DmaResult::kOk;
}

// --- frames ----------------------------------------------------------------------------------------------------------

void TxDma::finish_packet(Vi& vi, TxOp& op) {
  const uint8_t* bytes = op.segment ? op.packet.data() : op.frame->bytes.data();
  ParsedFrame parsed;
  if (op.segment) {
    if (!plan_segments(op.packet.data(), op.bytes, op.mss_bytes, nic_.mac_port->mtu_bytes(), op.plan) ||
        frame_bytes(op, 0) > PST_LIMIT_FRAME_BYTES_MAX) {
      op.drop_reason = PST_DROP_REASON_TX_BAD_SEGMENT;
      return;
    }
    parsed = op.plan.parsed;
    scheduler_.charge_extra(vi, (op.plan.count - 1) * op.plan.header_bytes);
  } else {
    parsed = parse_frame(bytes, op.bytes);
    if (op.bytes > nic_.mac_port->frame_bytes_max(parsed.vlan_count) ||
        frame_bytes(op, 0) > PST_LIMIT_FRAME_BYTES_MAX) {
      op.drop_reason = PST_DROP_REASON_TX_BAD_LENGTH;
      return;
    }
  }
  if (!vi.any_source && !source_granted(vi, bytes, parsed)) {
    op.drop_reason = PST_DROP_REASON_TX_BAD_SOURCE;
    return;
  }
  op.stamps_ps[static_cast<size_t>(sim::Stage::kPayloadFetched)] = Agenda::now_ps();
  op.next_segment = 0;
  if (op.segment) {
    next_frame(op);
  } else {
    complete_frame(op, parsed);
  }
}

uint32_t TxDma::frame_bytes(const TxOp& op, uint32_t index) {
  const uint32_t bytes = op.segment ? op.plan.segment_bytes(index) : op.bytes;
  return std::max<uint32_t>(bytes + (op.vlan_insert ? kVlanTagBytes : 0), PST_LIMIT_FRAME_BYTES_MIN);
}

bool TxDma::next_frame(TxOp& op) {
  if (!op.segment || op.next_segment == op.plan.count) return false;
  const uint32_t index = op.next_segment++;
  op.frame = nic_.frame_pool->take(op.plan.segment_bytes(index));
  build_segment(op.packet.data(), op.plan, index, op.frame->bytes.data());
  complete_frame(op, segment_headers(op.plan, index));
  return true;
}

// Checksums, tag and padding of a frame whose headers are in place.
void TxDma::complete_frame(TxOp& op, const ParsedFrame& parsed) {
  std::vector<uint8_t>& bytes = op.frame->bytes;
  if (op.checksum_l3) insert_l3(bytes.data(), parsed);
  if (op.checksum_l4) insert_l4(bytes.data(), parsed);
  if (op.vlan_insert) {
    uint8_t tag[kVlanTagBytes];
    store_be16(tag, kEthertypeVlan);
    store_be16(tag + 2, op.vlan_tci);
    bytes.insert(bytes.begin() + 12, tag, tag + kVlanTagBytes);
  }
  if (bytes.size() < PST_LIMIT_FRAME_BYTES_MIN) bytes.resize(PST_LIMIT_FRAME_BYTES_MIN, 0);
  op.frame->stamps_ps = op.stamps_ps;
  if (nic_.observer != nullptr && !op.cut_through) nic_.observer->tx_frame_built(op.vi_id, op.end_idx, *op.frame);
}

namespace {

bool granted(const Vi& vi, unsigned family, uint64_t address_lo, uint64_t address_hi) {
  for (uint32_t i = 0; i < vi.grant_count; ++i) {
    const SourceGrant& grant = vi.grants[i];
    if (grant.family == family && grant.address_lo == address_lo && grant.address_hi == address_hi) return true;
  }
  return false;
}

}  // namespace

// R9. Malformed IP or ARP has no source that could be checked, so it does not leave either.
bool TxDma::source_granted(const Vi& vi, const uint8_t* frame, const ParsedFrame& parsed) const {
  const auto mac_granted = [&](const uint8_t* mac) {
    const uint64_t address = load_address(mac, 6);
    return address == nic_.mac_port->address() || granted(vi, PST_ADDRESS_FAMILY_MAC, address, 0);
  };
  if (!mac_granted(frame + 6) || parsed.too_many_tags || parsed.l3_malformed) return false;
  const uint8_t* l3 = frame + parsed.l3_offset;
  switch (parsed.l3_class) {
    case PST_L3_CLASS_IPV4:
      return granted(vi, PST_ADDRESS_FAMILY_IPV4, load_address(l3 + 12, 4), 0);
    case PST_L3_CLASS_IPV6:
      return granted(vi, PST_ADDRESS_FAMILY_IPV6, load_address(l3 + 8, 8), load_address(l3 + 16, 8));
    case PST_L3_CLASS_ARP: {
      const uint64_t sender = load_address(l3 + 14, 4);  // 0.0.0.0 is a probe: it claims no address (RFC 5227)
      return mac_granted(l3 + 8) && (sender == 0 || granted(vi, PST_ADDRESS_FAMILY_IPV4, sender, 0));
    }
    default:
      return true;
  }
}

}  // namespace postern::hw_model
