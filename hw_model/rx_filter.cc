// The filter table and the steering of frames. See rx_filter.h.
#include "hw_model/rx_filter.h"

#include "hw_model/checksum.h"
#include "hw_model/filter_hash.h"
#include "hw_model/frame_parser.h"
#include "hw_model/mac_port.h"
#include "hw_model/port_statistics.h"
#include "hw_model/rss.h"
#include "hw_model/rx_dma.h"
#include "hw_model/vi_table.h"

namespace postern::hw_model {

namespace {

// Key words: kind and scalars, ports, local address (2), remote address (2). Fields that take no part are 0.
uint64_t scalars(unsigned kind, unsigned family, unsigned protocol, unsigned ethertype, unsigned vlan_id) {
  return kind | static_cast<uint64_t>(family) << 4 | static_cast<uint64_t>(protocol) << 8 |
         static_cast<uint64_t>(ethertype) << 16 | static_cast<uint64_t>(vlan_id) << 32;
}

uint64_t ports(unsigned local, unsigned remote) { return local | static_cast<uint64_t>(remote) << 16; }

constexpr uint64_t kMacMask = 0xffffffffffffull;
constexpr uint64_t kIpv4Mask = 0xffffffffull;

}  // namespace

RxFilter::RxFilter(NicBlocks& nic) : nic_(nic) { reset(); }

void RxFilter::reset() {
  slots_.assign(kFilterSlots, kNone);
  filters_.clear();
  free_ids_.clear();
  kind_count_ = {};
  filter_count_ = 0;
  promiscuous_ = false;
}

int32_t RxFilter::find(const FilterKey& key) const {
  uint32_t slot = filter_hash(key);
  for (unsigned probe = 0; probe < PST_LIMIT_FILTER_PROBE_MAX; ++probe, slot = (slot + 1) % kFilterSlots) {
    const int32_t first = slots_[slot];
    if (first == kNone) return kNone;
    if (first != kRemoved && filters_[static_cast<size_t>(first)].key == key) return first;
  }
  return kNone;
}

// A free slot within the probe limit, or kNone.
int32_t RxFilter::slot_for(const FilterKey& key) const {
  uint32_t slot = filter_hash(key);
  for (unsigned probe = 0; probe < PST_LIMIT_FILTER_PROBE_MAX; ++probe, slot = (slot + 1) % kFilterSlots) {
    if (slots_[slot] == kNone || slots_[slot] == kRemoved) return static_cast<int32_t>(slot);
  }
  return kNone;
}

uint32_t RxFilter::make_key(const pst_command& c, FilterKey& key) {
  const auto kind = static_cast<unsigned>(pst_filter_insert_get_match(&c));
  const auto family = static_cast<unsigned>(pst_filter_insert_get_family(&c));
  const auto protocol = static_cast<unsigned>(pst_filter_insert_get_protocol(&c));
  const auto local_port = static_cast<unsigned>(pst_filter_insert_get_local_port(&c));
  const auto remote_port = static_cast<unsigned>(pst_filter_insert_get_remote_port(&c));
  const bool ipv4 = family == PST_ADDRESS_FAMILY_IPV4;
  const auto low = [ipv4](uint64_t address) { return ipv4 ? address & kIpv4Mask : address; };
  const auto high = [ipv4](uint64_t address) { return ipv4 ? 0 : address; };
  key = {};
  if (kind <= PST_FILTER_MATCH_LISTENER_ANY) {
    if (family != PST_ADDRESS_FAMILY_IPV4 && family != PST_ADDRESS_FAMILY_IPV6) return PST_ERROR_CODE_BAD_PARAMETER;
    if (protocol != kProtocolTcp && protocol != kProtocolUdp) return PST_ERROR_CODE_BAD_PARAMETER;
    key[0] = scalars(kind, family, protocol, 0, 0);
    key[1] = ports(local_port, kind == PST_FILTER_MATCH_CONNECTION ? remote_port : 0);
  }
  switch (kind) {
    case PST_FILTER_MATCH_CONNECTION:
      key[4] = low(pst_filter_insert_get_remote_address_lo(&c));
      key[5] = high(pst_filter_insert_get_remote_address_hi(&c));
      [[fallthrough]];
    case PST_FILTER_MATCH_LISTENER:
      key[2] = low(pst_filter_insert_get_local_address_lo(&c));
      key[3] = high(pst_filter_insert_get_local_address_hi(&c));
      return PST_ERROR_CODE_OK;
    case PST_FILTER_MATCH_LISTENER_ANY:
      return PST_ERROR_CODE_OK;
    case PST_FILTER_MATCH_ETHERTYPE:
      key[0] = scalars(kind, 0, 0, static_cast<unsigned>(pst_filter_insert_get_ethertype(&c)), 0);
      return PST_ERROR_CODE_OK;
    case PST_FILTER_MATCH_MAC:
      key[0] = scalars(kind, 0, 0, 0, 0);
      key[2] = pst_filter_insert_get_local_address_lo(&c) & kMacMask;
      return PST_ERROR_CODE_OK;
    case PST_FILTER_MATCH_MAC_VLAN:
      key[0] = scalars(kind, 0, 0, 0, static_cast<unsigned>(pst_filter_insert_get_vlan_id(&c)));
      key[2] = pst_filter_insert_get_local_address_lo(&c) & kMacMask;
      return PST_ERROR_CODE_OK;
    case PST_FILTER_MATCH_MULTICAST_DEFAULT:
    case PST_FILTER_MATCH_SNIFF:
      key[0] = scalars(kind, 0, 0, 0, 0);
      return PST_ERROR_CODE_OK;
    default:
      return PST_ERROR_CODE_BAD_PARAMETER;
  }
}

uint32_t RxFilter::insert(const pst_command& command, uint32_t& filter_id) {
  if (pst_filter_insert_get_family(&command) > PST_ADDRESS_FAMILY_IPV6) return PST_ERROR_CODE_BAD_PARAMETER;
  Filter filter;
  if (const uint32_t error = make_key(command, filter.key)) return error;
  filter.vi_id = static_cast<uint32_t>(pst_command_get_target_id(&command));
  filter.rss = pst_filter_insert_get_rss(&command) != 0;
  filter.rss_context = static_cast<uint32_t>(pst_filter_insert_get_rss_context(&command));
  if (filter.rss) {
    if (!nic_.rss->exists(filter.rss_context)) return PST_ERROR_CODE_NOT_FOUND;
    if (nic_.rss->domain(filter.rss_context) != nic_.vi_table->find(filter.vi_id)->pd)
      return PST_ERROR_CODE_BAD_PARAMETER;
  }
  filter.replicate = pst_filter_insert_get_replicate(&command) != 0;
  filter.used = true;
  const int32_t first = find(filter.key);
  if (first != kNone && !(filter.replicate && filters_[static_cast<size_t>(first)].replicate))
    return PST_ERROR_CODE_EXISTS;
  if (filter_count_ == PST_LIMIT_FILTER_COUNT_MAX) return PST_ERROR_CODE_NO_RESOURCE;
  const int32_t slot =
      first != kNone ? static_cast<int32_t>(filters_[static_cast<size_t>(first)].slot) : slot_for(filter.key);
  if (slot == kNone) return PST_ERROR_CODE_TABLE_FULL;
  filter.slot = static_cast<uint32_t>(slot);
  if (free_ids_.empty()) {
    filter_id = static_cast<uint32_t>(filters_.size());
    filters_.emplace_back();
  } else {
    filter_id = free_ids_.back();
    free_ids_.pop_back();
  }
  filter.next = first;
  slots_[filter.slot] = static_cast<int32_t>(filter_id);
  filters_[filter_id] = filter;
  if (filter.rss) nic_.rss->add_user(filter.rss_context);
  ++filter_count_;
  ++kind_count_[filter.key[0] & 0xf];
  return PST_ERROR_CODE_OK;
}

uint32_t RxFilter::remove(uint32_t filter_id) {
  if (filter_id >= filters_.size() || !filters_[filter_id].used) return PST_ERROR_CODE_NOT_FOUND;
  Filter& filter = filters_[filter_id];
  int32_t* link = &slots_[filter.slot];
  while (*link != static_cast<int32_t>(filter_id)) link = &filters_[static_cast<size_t>(*link)].next;
  *link = filter.next;
  if (slots_[filter.slot] == kNone) {
    slots_[filter.slot] = slots_[(filter.slot + 1) % kFilterSlots] == kNone ? kNone : kRemoved;
  }
  --filter_count_;
  --kind_count_[filter.key[0] & 0xf];
  filter.used = false;
  if (filter.rss) nic_.rss->remove_user(filter.rss_context);
  free_ids_.push_back(filter_id);
  return PST_ERROR_CODE_OK;
}

void RxFilter::remove_vi(uint32_t vi_id) {
  for (uint32_t id = 0; id < filters_.size(); ++id) {
    if (filters_[id].used && filters_[id].vi_id == vi_id) remove(id);
  }
}

RxFilter::TableSlot RxFilter::table_slot(uint32_t slot) const {
  const int32_t first = slots_[slot];
  if (first == kNone) return {};
  if (first == kRemoved) return {TableSlot::kWasUsed, 0, {}};
  return {TableSlot::kUsed, static_cast<uint16_t>(first), filters_[static_cast<size_t>(first)].key};
}

RxFilter::TableFilter RxFilter::table_filter(uint32_t filter_id) const {
  const Filter& filter = filters_[filter_id];
  if (!filter.used) return {};
  return {static_cast<uint16_t>(filter.vi_id), filter.rss, static_cast<uint16_t>(filter.rss ? filter.rss_context : 0),
          filter.next != kNone, static_cast<uint16_t>(filter.next != kNone ? filter.next : 0)};
}

uint8_t RxFilter::kinds() const {
  uint8_t kinds = 0;
  for (unsigned kind = 0; kind < kKinds; ++kind)
    kinds |= static_cast<uint8_t>((kind_count_[kind] != 0 ? 1u : 0u) << kind);
  return kinds;
}

// Unicast frames belong here if they carry the port's address or one that a MAC filter names.
bool RxFilter::for_this_port(const uint8_t* frame, const ParsedFrame& parsed) const {
  const uint64_t destination = load_address(frame, 6);
  if (destination == nic_.mac_port->address()) return true;
  if (kind_count_[PST_FILTER_MATCH_MAC] != 0 &&
      find({scalars(PST_FILTER_MATCH_MAC, 0, 0, 0, 0), 0, destination, 0, 0, 0}) != kNone)
    return true;
  return kind_count_[PST_FILTER_MATCH_MAC_VLAN] != 0 && parsed.vlan_count != 0 &&
         find({scalars(PST_FILTER_MATCH_MAC_VLAN, 0, 0, 0, parsed.vlan_tci & 0xfffu), 0, destination, 0, 0, 0}) !=
             kNone;
}

int32_t RxFilter::match_transport(const uint8_t* frame, const ParsedFrame& parsed, bool multicast) const {
  if (parsed.l4_class != PST_L4_CLASS_TCP && parsed.l4_class != PST_L4_CLASS_UDP) return kNone;
  const bool ipv4 = parsed.l3_class == PST_L3_CLASS_IPV4;
  const unsigned family = ipv4 ? PST_ADDRESS_FAMILY_IPV4 : PST_ADDRESS_FAMILY_IPV6;
  const uint8_t* l3 = frame + parsed.l3_offset;
  FilterKey key{};
  if (ipv4) {
    key[2] = load_address(l3 + 16, 4);
    key[4] = load_address(l3 + 12, 4);
  } else {
    key[2] = load_address(l3 + 24, 8);
    key[3] = load_address(l3 + 32, 8);
    key[4] = load_address(l3 + 8, 8);
    key[5] = load_address(l3 + 16, 8);
  }
  if (kind_count_[PST_FILTER_MATCH_CONNECTION] != 0) {
    key[0] = scalars(PST_FILTER_MATCH_CONNECTION, family, parsed.ip_protocol, 0, 0);
    key[1] = ports(parsed.destination_port, parsed.source_port);
    if (const int32_t first = find(key); first != kNone) return first;
  }
  key[4] = key[5] = 0;
  key[1] = ports(parsed.destination_port, 0);
  if (kind_count_[PST_FILTER_MATCH_LISTENER] != 0) {
    key[0] = scalars(PST_FILTER_MATCH_LISTENER, family, parsed.ip_protocol, 0, 0);
    if (const int32_t first = find(key); first != kNone) return first;
  }
  if (kind_count_[PST_FILTER_MATCH_LISTENER_ANY] == 0 || multicast) return kNone;
  key[2] = key[3] = 0;
  key[0] = scalars(PST_FILTER_MATCH_LISTENER_ANY, family, parsed.ip_protocol, 0, 0);
  return find(key);
}

// First filter of the first kind that matches, in the order of FILTER_MATCH.
int32_t RxFilter::match(const uint8_t* frame, const ParsedFrame& parsed, bool multicast) const {
  if (const int32_t first = match_transport(frame, parsed, multicast); first != kNone) return first;
  if (kind_count_[PST_FILTER_MATCH_ETHERTYPE] != 0) {
    const int32_t first = find({scalars(PST_FILTER_MATCH_ETHERTYPE, 0, 0, parsed.ethertype, 0), 0, 0, 0, 0, 0});
    if (first != kNone) return first;
  }
  const uint64_t destination = load_address(frame, 6);
  if (kind_count_[PST_FILTER_MATCH_MAC] != 0) {
    const int32_t first = find({scalars(PST_FILTER_MATCH_MAC, 0, 0, 0, 0), 0, destination, 0, 0, 0});
    if (first != kNone) return first;
  }
  if (kind_count_[PST_FILTER_MATCH_MAC_VLAN] != 0 && parsed.vlan_count != 0) {
    const int32_t first =
        find({scalars(PST_FILTER_MATCH_MAC_VLAN, 0, 0, 0, parsed.vlan_tci & 0xfffu), 0, destination, 0, 0, 0});
    if (first != kNone) return first;
  }
  if (!multicast || kind_count_[PST_FILTER_MATCH_MULTICAST_DEFAULT] == 0) return kNone;
  return find({scalars(PST_FILTER_MATCH_MULTICAST_DEFAULT, 0, 0, 0, 0), 0, 0, 0, 0, 0});
}

// What the RX event says of the frame, whoever receives it.
pst_rx_event RxFilter::describe(const uint8_t* frame, const ParsedFrame& parsed, bool multicast) {
  pst_rx_event event{};
  pst_rx_event_set_type(&event, PST_EVENT_TYPE_RX);
  pst_rx_event_set_checksum_l3(&event, verify_l3(frame, parsed));
  pst_rx_event_set_checksum_l4(&event, verify_l4(frame, parsed));
  pst_rx_event_set_l3_class(&event, parsed.l3_class);
  pst_rx_event_set_l4_class(&event, parsed.l4_class);
  pst_rx_event_set_multicast(&event, multicast ? 1 : 0);
  return event;
}

RxFilter::Chains RxFilter::chains_for(const uint8_t* frame, const ParsedFrame& parsed) const {
  const bool multicast = (frame[0] & 1) != 0;
  const bool ours = multicast || for_this_port(frame, parsed);
  Chains chains{ours ? match(frame, parsed, multicast) : kNone, kNone};
  if (kind_count_[PST_FILTER_MATCH_SNIFF] != 0 && (ours || promiscuous_)) {
    chains[1] = find({scalars(PST_FILTER_MATCH_SNIFF, 0, 0, 0, 0), 0, 0, 0, 0, 0});
  }
  return chains;
}

Vi* RxFilter::target(const Filter& filter, const uint8_t* frame, const ParsedFrame& parsed, bool& hash_valid,
                     uint32_t& hash) const {
  hash_valid = false;
  hash = 0;
  Vi* own = nic_.vi_table->find(filter.vi_id);
  if (!filter.rss) return own;
  const Rss::Choice choice = nic_.rss->choose(filter.rss_context, frame, parsed);
  hash_valid = choice.hash_valid;
  hash = choice.hash;
  Vi* chosen = nic_.vi_table->find(choice.vi_id);
  return chosen != nullptr && chosen->pd == own->pd ? chosen : own;
}

void RxFilter::receive(const sim::FramePtr& frame, const ParsedFrame& parsed, uint64_t timestamp_ns,
                       uint64_t header_ps) {
  const uint8_t* bytes = frame->bytes.data();
  const Chains chains = chains_for(bytes, parsed);
  if (chains[0] == kNone && chains[1] == kNone) return nic_.statistics->drop(PST_DROP_REASON_RX_NO_FILTER);
  SteeredFrame steered;
  steered.event = describe(bytes, parsed, (bytes[0] & 1) != 0);
  steered.timestamp_ns = timestamp_ns;
  steered.header_ps = header_ps;
  steered.vlan_count = parsed.vlan_count;
  steered.vlan_tci = parsed.vlan_tci;
  uint32_t copies = 0;
  for (const int32_t first : chains) {
    for (int32_t id = first; id != kNone; id = filters_[static_cast<size_t>(id)].next) {
      Vi* vi = target(filters_[static_cast<size_t>(id)], bytes, parsed, steered.hash_valid, steered.rss_hash);
      if (copies++ > 0) ++nic_.statistics->rx_extra_copies;
      steered.filter_id = static_cast<uint32_t>(id);
      nic_.rx_dma->receive(*vi, frame, steered);
    }
  }
}

void RxFilter::receive_damaged(const sim::FramePtr& frame, const ParsedFrame& parsed, uint64_t header_ps) {
  const uint8_t* bytes = frame->bytes.data();
  for (const int32_t first : chains_for(bytes, parsed)) {
    for (int32_t id = first; id != kNone; id = filters_[static_cast<size_t>(id)].next) {
      bool hash_valid = false;
      uint32_t hash = 0;
      Vi* vi = target(filters_[static_cast<size_t>(id)], bytes, parsed, hash_valid, hash);
      nic_.rx_dma->abandon(*vi, static_cast<uint32_t>(frame->bytes.size()), header_ps);
    }
  }
}

}  // namespace postern::hw_model
