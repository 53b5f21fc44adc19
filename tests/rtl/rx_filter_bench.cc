// See rx_filter_bench.h.
#include "tests/rtl/rx_filter_bench.h"

#include <utility>

namespace postern::rtl_test {

namespace {

constexpr uint32_t kCfgPort = 0x07, kCfgSlot = 0x20, kCfgFilter = 0x21, kCfgKinds = 0x22, kCfgRssKey = 0x28,
                   kCfgRssTable = 0x29;
constexpr uint32_t kPromiscuousLsb = 64;  // of port_t
constexpr uint32_t kBlockEntries = 32;

uint32_t kind_bit(uint32_t kind) { return 1u << kind; }

bool is_transport(const RxMeta& frame) {
  return frame.l4_class == PST_L4_CLASS_TCP || frame.l4_class == PST_L4_CLASS_UDP;
}

bool kind_applies(uint32_t kind, const RxMeta& frame) {
  const bool multicast = (frame.destination & 1) != 0;
  switch (kind) {
    case PST_FILTER_MATCH_CONNECTION:
    case PST_FILTER_MATCH_LISTENER:
      return is_transport(frame);
    case PST_FILTER_MATCH_LISTENER_ANY:
      return is_transport(frame) && !multicast;
    case PST_FILTER_MATCH_MAC_VLAN:
      return frame.vlan_count != 0;
    case PST_FILTER_MATCH_MULTICAST_DEFAULT:
      return multicast;
    default:
      return true;
  }
}

std::optional<uint32_t> lookup(const FilterState& state, uint32_t kind, const RxMeta& frame) {
  if ((state.kinds & kind_bit(kind)) == 0 || !kind_applies(kind, frame)) return {};
  const std::optional<uint32_t> slot = state.find(key_of(kind, frame));
  if (!slot) return {};
  return state.slots[*slot].first;
}

void spread(const FilterState& state, const TestFilter& filter, const RxMeta& frame, Copy& copy) {
  const TestRss& context = state.contexts[filter.rss_context];
  const bool ipv4 = frame.l3_class == PST_L3_CLASS_IPV4;
  if (!context.configured || (!ipv4 && frame.l3_class != PST_L3_CLASS_IPV6)) return;
  std::vector<uint8_t> input;
  for (const auto* address : {&frame.remote_address, &frame.local_address}) {
    for (uint32_t i = 0; i < (ipv4 ? 4u : 16u); ++i) {
      input.push_back(static_cast<uint8_t>((*address)[i / 8] >> (8 * (i % 8))));
    }
  }
  if (is_transport(frame)) {
    for (const uint32_t port : {frame.remote_port, frame.local_port}) {
      input.push_back(static_cast<uint8_t>(port >> 8));
      input.push_back(static_cast<uint8_t>(port));
    }
  }
  copy.hash_valid = true;
  copy.hash = hw_model::toeplitz_hash(context.key, input.data(), static_cast<uint32_t>(input.size()));
  const uint16_t vi = context.table[copy.hash % context.table.size()];
  if (vi != hw_model::Rss::kNoVi) copy.vi = vi;
}

}  // namespace

std::optional<uint32_t> FilterState::find(const FilterKey& key) const {
  uint32_t slot = hw_model::filter_hash(key);
  for (uint32_t probe = 0; probe < PST_LIMIT_FILTER_PROBE_MAX; ++probe, slot = (slot + 1) % hw_model::kFilterSlots) {
    if (slots[slot].state == 0) return {};
    if (slots[slot].state == kSlotUsed && slots[slot].key == key) return slot;
  }
  return {};
}

std::optional<uint32_t> FilterState::slot_for(const FilterKey& key) const {
  uint32_t slot = hw_model::filter_hash(key);
  for (uint32_t probe = 0; probe < PST_LIMIT_FILTER_PROBE_MAX; ++probe, slot = (slot + 1) % hw_model::kFilterSlots) {
    if (slots[slot].state != kSlotUsed) return slot;
  }
  return {};
}

FilterKey key_of(uint32_t kind, const RxMeta& frame) {
  FilterKey key{kind, 0, 0, 0, 0, 0};
  if (kind <= PST_FILTER_MATCH_LISTENER_ANY) {
    const uint64_t family = frame.l3_class == PST_L3_CLASS_IPV4 ? PST_ADDRESS_FAMILY_IPV4 : PST_ADDRESS_FAMILY_IPV6;
    key[0] |= family << 4 | uint64_t{frame.ip_protocol} << 8;
    key[1] = frame.local_port;
    if (kind != PST_FILTER_MATCH_LISTENER_ANY) key[2] = frame.local_address[0], key[3] = frame.local_address[1];
    if (kind == PST_FILTER_MATCH_CONNECTION) {
      key[1] |= uint64_t{frame.remote_port} << 16;
      key[4] = frame.remote_address[0];
      key[5] = frame.remote_address[1];
    }
  } else if (kind == PST_FILTER_MATCH_ETHERTYPE) {
    key[0] |= uint64_t{frame.ethertype} << 16;
  } else if (kind == PST_FILTER_MATCH_MAC || kind == PST_FILTER_MATCH_MAC_VLAN) {
    key[2] = frame.destination;
    if (kind == PST_FILTER_MATCH_MAC_VLAN) key[0] |= uint64_t{frame.vlan_tci & 0xfff} << 32;
  }
  return key;
}

std::vector<Copy> expected_copies(const FilterState& state, const RxMeta& frame) {
  const bool multicast = (frame.destination & 1) != 0;
  const bool ours = multicast || frame.destination == state.mac_address || lookup(state, PST_FILTER_MATCH_MAC, frame) ||
                    lookup(state, PST_FILTER_MATCH_MAC_VLAN, frame);
  std::vector<uint32_t> firsts;
  for (uint32_t kind = 0; kind < PST_FILTER_MATCH_SNIFF && ours && firsts.empty(); ++kind) {
    if (const auto first = lookup(state, kind, frame)) firsts.push_back(*first);
  }
  if (ours || state.promiscuous) {
    if (const auto first = lookup(state, PST_FILTER_MATCH_SNIFF, frame)) firsts.push_back(*first);
  }
  std::vector<Copy> copies;
  for (const uint32_t first : firsts) {
    uint32_t id = first;
    for (bool more = true; more;) {
      const TestFilter& filter = state.filters[id];
      Copy copy;
      copy.vi = filter.vi;
      copy.filter = id;
      copy.frame = frame.frame;
      copy.bytes = frame.bytes;
      copy.vlan_count = frame.vlan_count;
      copy.vlan_tci = frame.vlan_tci;
      copy.id = frame.id;
      copy.time_ns = frame.time_ns;
      pst_rx_event event{};
      pst_rx_event_set_type(&event, PST_EVENT_TYPE_RX);
      pst_rx_event_set_checksum_l3(&event, frame.checksum_l3);
      pst_rx_event_set_checksum_l4(&event, frame.checksum_l4);
      pst_rx_event_set_l3_class(&event, frame.l3_class);
      pst_rx_event_set_l4_class(&event, frame.l4_class);
      pst_rx_event_set_multicast(&event, multicast ? 1 : 0);
      copy.event = event.word[0];
      if (filter.rss) spread(state, filter, frame, copy);
      copies.push_back(copy);
      more = filter.next_valid;
      id = filter.next;
    }
  }
  return copies;
}

RxFilterBench::RxFilterBench() {
  dut_.rst_ni = 0;
  tick();
  dut_.rst_ni = 1;
  for (uint32_t i = 0; i < hw_model::kFilterSlots + 2; ++i) cycle();
  set_port(kMacAddress, false);
}

void RxFilterBench::tick() {
  dut_.clk_i = 0;
  dut_.eval();
  dut_.clk_i = 1;
  dut_.eval();
}

void RxFilterBench::send(Command command) {
  command.effect(firmware_);
  commands_.push_back(std::move(command));
}

void RxFilterBench::write_slot(uint32_t slot, const TestSlot& value) {
  Command command{kCfgSlot, slot, {}, [slot, value](FilterState& state) { state.slots[slot] = value; }};
  for (uint32_t i = 0; i < 6; ++i) set_bits(command.data, 64 * i, 64, value.key[i]);
  set_bits(command.data, 384, 16, value.first);
  set_bits(command.data, 400, 2, value.state);
  send(command);
}

void RxFilterBench::write_filter(uint32_t filter, const TestFilter& value) {
  Command command{kCfgFilter, filter, {}, [filter, value](FilterState& state) { state.filters[filter] = value; }};
  set_bits(command.data, 0, 16, value.vi);
  set_bits(command.data, 16, 16, value.rss_context);
  set_bits(command.data, 32, 1, value.rss ? 1 : 0);
  set_bits(command.data, 33, 16, value.next);
  set_bits(command.data, 49, 1, value.next_valid ? 1 : 0);
  send(command);
}

bool RxFilterBench::insert(const FilterKey& key, uint32_t filter, uint32_t vi, std::optional<uint32_t> rss_context) {
  TestFilter value;
  value.vi = vi;
  value.rss = rss_context.has_value();
  value.rss_context = rss_context.value_or(0);
  std::optional<uint32_t> slot = firmware_.find(key);
  if (slot) {
    value.next_valid = true;
    value.next = firmware_.slots[*slot].first;
  } else {
    slot = firmware_.slot_for(key);
    if (!slot) return false;
  }
  write_filter(filter, value);
  write_slot(*slot, {kSlotUsed, filter, key});
  return true;
}

void RxFilterBench::remove(const FilterKey& key) {
  if (const std::optional<uint32_t> slot = firmware_.find(key)) write_slot(*slot, {kSlotRemoved, 0, key});
}

void RxFilterBench::set_kinds(uint32_t kinds) {
  Command command{kCfgKinds, 0, {}, [kinds](FilterState& state) { state.kinds = kinds; }};
  set_bits(command.data, 0, 8, kinds);
  send(command);
}

// The block answers no CFG_PORT: it takes effect in the cycle in which it comes.
void RxFilterBench::set_port(uint64_t mac_address, bool promiscuous) {
  Command command{kCfgPort, 0, {}, [=](FilterState& state) {
                    state.mac_address = mac_address;
                    state.promiscuous = promiscuous;
                  }};
  set_bits(command.data, 0, 48, mac_address);
  set_bits(command.data, kPromiscuousLsb, 1, promiscuous ? 1 : 0);
  send(command);
}

void RxFilterBench::set_rss(uint32_t context, const hw_model::RssKey& key, const hw_model::RssTable& table) {
  for (uint32_t block = 0; block < table.size() / kBlockEntries; ++block) {
    Command command{kCfgRssTable, context << 2 | block, {}, [=](FilterState& state) {
                      for (uint32_t i = 0; i < kBlockEntries; ++i) {
                        const uint32_t entry = block * kBlockEntries + i;
                        state.contexts[context].table[entry] = table[entry];
                      }
                    }};
    for (uint32_t i = 0; i < kBlockEntries; ++i) set_bits(command.data, 16 * i, 16, table[block * kBlockEntries + i]);
    send(command);
  }
  Command command{kCfgRssKey, context, {}, [=](FilterState& state) {
                    state.contexts[context].configured = true;
                    state.contexts[context].key = key;
                  }};
  set_bits(command.data, 0, 1, 1);
  for (uint32_t i = 0; i < key.size(); ++i) set_bits(command.data, 8 + 8 * i, 8, key[i]);
  send(command);
}

void RxFilterBench::offer_command() {
  dut_.cfg_valid_i = !commands_.empty() && !command_under_way_;
  if (!dut_.cfg_valid_i) {  // whatever is on the bus between two commands must not matter
    dut_.cfg_op_i = kCfgKinds;
    return;
  }
  dut_.cfg_op_i = static_cast<uint8_t>(commands_.front().op);
  dut_.cfg_index_i = commands_.front().index;
  dut_.cfg_data_i = commands_.front().data;
}

void RxFilterBench::check_hold() {
  if (!dut_.hold_valid_o || !dut_.hold_ready_i) return;
  ASSERT_TRUE(expected_.has_value());
  EXPECT_FALSE(held_) << "a frame is held twice";
  held_ = true;
  EXPECT_EQ(dut_.hold_copies_o, expected_->copies.size());
  EXPECT_EQ(dut_.hold_frame_o, expected_->frame.frame);
  EXPECT_EQ(dut_.hold_cells_o, (expected_->frame.bytes + 63) / 64);
  EXPECT_EQ(dut_.drop_valid_o, expected_->copies.empty());
  held_copies += dut_.hold_copies_o;
  if (!dut_.drop_valid_o) return;
  EXPECT_EQ(dut_.drop_reason_o, PST_DROP_REASON_RX_NO_FILTER);
  ++drop_count;
  expected_.reset();
}

void RxFilterBench::check_copy() {
  if (!dut_.st_valid_o || !dut_.st_ready_i) {
    EXPECT_FALSE(dut_.count_copy_o);
    return;
  }
  ASSERT_TRUE(expected_.has_value() && held_);
  ASSERT_LT(next_copy_, expected_->copies.size());
  const Copy copy{dut_.st_vi_o,       dut_.st_filter_id_o, dut_.st_frame_o,
                  dut_.st_bytes_o,    dut_.st_hash_o,      dut_.st_vlan_count_o,
                  dut_.st_vlan_tci_o, dut_.st_id_o,        dut_.st_hash_valid_o != 0,
                  dut_.st_time_ns_o,  dut_.st_event_o};
  const Copy& expected = expected_->copies[next_copy_];
  EXPECT_TRUE(copy == expected) << "vi " << copy.vi << "/" << expected.vi << " filter " << copy.filter << "/"
                                << expected.filter << " hash " << copy.hash << "/" << expected.hash << " id " << copy.id
                                << "/" << expected.id;
  EXPECT_EQ(dut_.count_copy_o != 0, next_copy_ > 0);
  extra_copy_count += dut_.count_copy_o;
  copies.push_back(copy);
  if (++next_copy_ == expected_->copies.size()) expected_.reset();
}

void RxFilterBench::cycle() {
  offer_command();
  // What is offered stays.
  if (!dut_.pf_valid_i || taken_) dut_.pf_valid_i = !frames.empty() && frame_comes();
  if (dut_.pf_valid_i) frames.front().pack(dut_.pf_meta_i);
  dut_.hold_ready_i = hold_ready();
  dut_.st_ready_i = copy_ready();
  dut_.eval();
  check_hold();
  check_copy();
  quiet = dut_.quiet_o;
  taken_ = dut_.pf_valid_i && dut_.pf_ready_o;
  if (taken_) {
    EXPECT_FALSE(expected_.has_value()) << "a frame is taken before the one before it is done with";
    expected_ = Expected{frames.front(), expected_copies(present_, frames.front())};
    next_copy_ = 0;
    held_ = false;
    frames.pop_front();
  }
  const bool sent = dut_.cfg_valid_i;
  const bool done = dut_.cfg_done_o || (sent && commands_.front().op == kCfgPort);
  if (done) {
    ASSERT_TRUE(command_under_way_ || sent);
    commands_.front().effect(present_);
    commands_.pop_front();
    done_count += dut_.cfg_done_o;
  }
  command_under_way_ = (command_under_way_ || sent) && !done;
  if (!(quiet && skip_quiet)) tick();
  ++cycle_count;
}

void RxFilterBench::settle() {
  for (int i = 0; i < 100000 && !(frames.empty() && commands_.empty() && quiet && !expected_); ++i) cycle();
  EXPECT_TRUE(frames.empty() && commands_.empty() && !expected_.has_value());
  cycle();
  EXPECT_TRUE(quiet);
}

}  // namespace postern::rtl_test
