// Random admin commands, faults and resets. See soak.h.
#include <algorithm>

#include "tests/hw_model/soak.h"

namespace postern::hw_model::test {

// Faults hit one VI, not the admin queue: break_admin() does that, after which only a reset helps.
void SoakNic::switch_fault() {
  Seat& seat = seats_[pick(static_cast<uint32_t>(seats_.size()))];
  const uint32_t fault = pick(static_cast<uint32_t>(std::size(kSoakFaults)));
  // With one tag for all, a read that is lost stops everything until its timeout.
  const bool stops_all = !many_tags_ && std::string(kSoakFaults[fault]) == "fault.completion_timeout_probability";
  const bool on = !stops_all && pick(2) == 0;
  const bool loses_events = std::string(kSoakFaults[fault]) == "fault.unmapped_write_probability";
  if (!loses_events && losing_vi_ != kNoVi) set("fault.unmapped_write_probability", 0);  // it is bound to one VI
  set("fault.dma_vi", seat.vi->id);
  set(kSoakFaults[fault], on ? 0.002 * (1 + pick(20)) : 0);
  losing_vi_ = on && loses_events ? seat.vi->id : kNoVi;
  if (losing_vi_ != kNoVi) seat.suspect = true;
  set("fault.msix_delay_ns", pick(50'000));
  set("fault.pause_quanta", pick(2000));
  set("fault.link_down_ns", 1000 + pick(20'000));
  if (random_.chance(50)) set("fault.link_down_at_ns", from_now_ns(1 + pick(5000)));
  if (random_.chance(50)) set("fault.pause_at_ns", from_now_ns(1 + pick(5000)));
}

uint32_t SoakNic::command(const pst_command& c, std::initializer_list<uint32_t> answers) {
  const pst_admin_completion answer = node.command(c);
  const auto status = static_cast<uint32_t>(pst_admin_completion_get_status(&answer));
  EXPECT_TRUE(std::find(answers.begin(), answers.end(), status) != answers.end())
      << "opcode " << pst_command_get_opcode(&c) << " answered " << pst_error_code_name(status);
  return static_cast<uint32_t>(pst_admin_completion_get_result(&answer));
}

void SoakNic::control() {
  const uint32_t i = pick(static_cast<uint32_t>(seats_.size()));
  switch (pick(18)) {
    case 0:
    case 1:
      return insert_filter(i);
    case 2:
      return remove_filter();
    case 3:
      return spread(i);
    case 4:
      if (!contexts_.empty()) free_context(pick(static_cast<uint32_t>(contexts_.size())));
      return;
    case 5:
      return moderate(i);
    case 6:
      return bind(i);
    case 7: {
      pst_command c = make_command(PST_COMMAND_PTP_ADJUST);
      pst_ptp_adjust_set_step_ns(&c, random_.next() % 1000000);
      pst_ptp_adjust_set_rate_ppb(&c, pick(100'000'000));
      command(c, {PST_ERROR_CODE_OK});
      return;
    }
    case 8: {
      pst_command c = make_command(PST_COMMAND_PORT_CONFIG);
      pst_port_config_set_mtu_bytes(&c, random_.chance(4) ? 68 + pick(mtu_ - 67) : mtu_);
      pst_port_config_set_promiscuous(&c, pick(2));
      pst_port_config_set_loopback(&c, pick(2));
      pst_port_config_set_pause(&c, pick(2));
      command(c, {PST_ERROR_CODE_OK});
      return;
    }
    case 9: {
      pst_command c = make_command(PST_COMMAND_STATISTICS_READ);
      pst_statistics_read_set_address(&c, kScratch);
      command(c, {PST_ERROR_CODE_OK});
      return;
    }
    case 10:
      return map_for_a_while(i);
    case 11:
      if (random_.chance(10)) unmap_in_use(i);
      return;
    case 12:
      return malformed_command();
    case 13:
      return grant(i);
    case 14:
      if (random_.chance(200)) fill_filters(i);
      return;
    case 15:
      if (options_.faults && random_.chance(40)) break_admin();
      return;
    case 16:
      if (!random_.chance(8)) return;
      if (pick(2)) settle();  // otherwise with all in flight
      return reset_function();
    default:
      if (random_.chance(4)) reset_vi(i);
  }
}

void SoakNic::insert_filter(uint32_t i) {
  pst_command c = make_command(PST_COMMAND_FILTER_INSERT, seats_[i].vi->id);
  const uint32_t match = pick(PST_FILTER_MATCH_SNIFF + 1);
  pst_filter_insert_set_match(&c, match);
  pst_filter_insert_set_replicate(&c, pick(2));
  if (match <= PST_FILTER_MATCH_LISTENER_ANY) {
    const bool ipv6 = random_.chance(4);
    pst_filter_insert_set_family(&c, ipv6 ? PST_ADDRESS_FAMILY_IPV6 : PST_ADDRESS_FAMILY_IPV4);
    pst_filter_insert_set_protocol(&c, pick(2) ? 17 : 6);
    pst_filter_insert_set_local_port(&c, 2000 + pick(static_cast<uint32_t>(seats_.size()) + 1));
    pst_filter_insert_set_remote_port(&c, 1000);
    pst_filter_insert_set_local_address_lo(&c, ipv6 ? 0x80fe : __builtin_bswap32(ip_));
    pst_filter_insert_set_remote_address_lo(&c, ipv6 ? 0x80fe : __builtin_bswap32(peer_ip_));
    if (ipv6) pst_filter_insert_set_local_address_hi(&c, uint64_t{__builtin_bswap32(ip_)} << 32);
    if (ipv6) pst_filter_insert_set_remote_address_hi(&c, uint64_t{__builtin_bswap32(peer_ip_)} << 32);
  }
  pst_filter_insert_set_ethertype(&c, random_.of({0x0800, 0x0806, 0x86dd}));
  pst_filter_insert_set_vlan_id(&c, 7);
  if (match >= PST_FILTER_MATCH_MAC) {
    uint64_t address = 0;
    std::memcpy(&address, pick(2) ? mac_.data() : peer_mac_.data(), 6);
    pst_filter_insert_set_local_address_lo(&c, address);
  }
  keep_filter(c, {PST_ERROR_CODE_OK, PST_ERROR_CODE_EXISTS, PST_ERROR_CODE_TABLE_FULL, PST_ERROR_CODE_NO_RESOURCE});
}

void SoakNic::keep_filter(const pst_command& c, std::initializer_list<uint32_t> answers) {
  const pst_admin_completion answer = node.command(c);
  const auto status = static_cast<uint32_t>(pst_admin_completion_get_status(&answer));
  EXPECT_TRUE(std::find(answers.begin(), answers.end(), status) != answers.end()) << pst_error_code_name(status);
  if (status == PST_ERROR_CODE_OK) filters_.push_back(static_cast<uint32_t>(pst_admin_completion_get_result(&answer)));
}

void SoakNic::remove_filter() {
  if (filters_.empty()) return;
  const size_t which = pick(static_cast<uint32_t>(filters_.size()));
  command(make_command(PST_COMMAND_FILTER_REMOVE, filters_[which]), {PST_ERROR_CODE_OK, PST_ERROR_CODE_NOT_FOUND});
  filters_.erase(filters_.begin() + static_cast<ptrdiff_t>(which));
}

// Until there is no room, then all gone again.
void SoakNic::fill_filters(uint32_t i) {
  const size_t before = filters_.size();
  for (uint32_t n = 0;; ++n) {
    ASSERT_LT(n, PST_LIMIT_FILTER_COUNT_MAX + 1u) << "the filter table never fills";
    pst_command c = make_command(PST_COMMAND_FILTER_INSERT, seats_[i].vi->id);
    pst_filter_insert_set_match(&c, PST_FILTER_MATCH_CONNECTION);
    pst_filter_insert_set_protocol(&c, 6);
    pst_filter_insert_set_family(&c, PST_ADDRESS_FAMILY_IPV4);
    pst_filter_insert_set_local_address_lo(&c, __builtin_bswap32(ip_));
    pst_filter_insert_set_remote_address_lo(&c, n);
    pst_filter_insert_set_local_port(&c, 3000);
    pst_filter_insert_set_remote_port(&c, 1 + n % 60000);
    const pst_admin_completion answer = node.command(c);
    const auto status = static_cast<uint32_t>(pst_admin_completion_get_status(&answer));
    if (status != PST_ERROR_CODE_OK) {
      EXPECT_TRUE(status == PST_ERROR_CODE_TABLE_FULL || status == PST_ERROR_CODE_NO_RESOURCE) << status;
      break;
    }
    filters_.push_back(static_cast<uint32_t>(pst_admin_completion_get_result(&answer)));
    if (n % 8 == 0) incoming();
  }
  EXPECT_GT(filters_.size(), before + 100);
  while (filters_.size() > before) {
    command(make_command(PST_COMMAND_FILTER_REMOVE, filters_.back()), {PST_ERROR_CODE_OK, PST_ERROR_CODE_NOT_FOUND});
    filters_.pop_back();
  }
}

void SoakNic::grant(uint32_t i) {
  pst_command c = make_command(PST_COMMAND_SOURCE_GRANT, seats_[i].vi->id);
  uint64_t address = 0;
  switch (pick(3)) {
    case 0:
      std::memcpy(&address, peer_mac_.data(), 6);
      break;
    case 1:
      address = __builtin_bswap32(pick(2) ? ip_ : peer_ip_);
      pst_source_grant_set_family(&c, PST_ADDRESS_FAMILY_IPV4);
      break;
    default:
      address = 0x80fe;
      pst_source_grant_set_family(&c, PST_ADDRESS_FAMILY_IPV6);
      pst_source_grant_set_address_hi(&c, uint64_t{__builtin_bswap32(ip_)} << 32);
  }
  pst_source_grant_set_address_lo(&c, address);
  command(c, {PST_ERROR_CODE_OK, PST_ERROR_CODE_NO_RESOURCE, PST_ERROR_CODE_EXISTS});
}

// An RSS context over the VIs of a domain, and filters that use it.
void SoakNic::spread(uint32_t i) {
  const uint32_t domain = seats_[i].vi->pd;
  const pst_admin_completion made = node.command(make_command(PST_COMMAND_RSS_ALLOC, domain));
  const auto status = static_cast<uint32_t>(pst_admin_completion_get_status(&made));
  if (status != PST_ERROR_CODE_OK) {
    EXPECT_EQ(status, uint32_t{PST_ERROR_CODE_NO_RESOURCE});
    EXPECT_EQ(contexts_.size(), size_t{PST_LIMIT_RSS_CONTEXT_COUNT_MAX});
    return;
  }
  const auto context = static_cast<uint32_t>(pst_admin_completion_get_result(&made));
  contexts_.emplace_back(context, domain);
  std::vector<uint32_t> members;
  for (const Seat& seat : seats_) {
    if (seat.vi->pd == domain || random_.chance(200)) members.push_back(seat.vi->id);  // one that is not: an error
  }
  for (uint32_t byte = 0; byte < PST_LIMIT_RSS_KEY_BYTES; ++byte)
    node.memory[kScratch + byte] = static_cast<uint8_t>(pick(256));
  for (uint32_t entry = 0; entry < PST_LIMIT_RSS_INDIRECTION_ENTRIES; ++entry) {
    node.at<uint16_t>(kScratch + 64 + 2 * entry) =
        static_cast<uint16_t>(members[pick(static_cast<uint32_t>(members.size()))]);
  }
  pst_command configure = make_command(PST_COMMAND_RSS_CONFIGURE, context);
  pst_rss_configure_set_key_address(&configure, kScratch);
  pst_rss_configure_set_table_address(&configure, kScratch + 64);
  command(configure, {PST_ERROR_CODE_OK, PST_ERROR_CODE_BAD_PARAMETER});
  for (const uint32_t ethertype : {0x0800u, 0x86ddu}) {
    pst_command filter = make_command(PST_COMMAND_FILTER_INSERT, seats_[i].vi->id);
    pst_filter_insert_set_match(&filter, PST_FILTER_MATCH_ETHERTYPE);
    pst_filter_insert_set_ethertype(&filter, ethertype);
    pst_filter_insert_set_rss(&filter, 1);
    pst_filter_insert_set_rss_context(&filter, context);
    const size_t before = filters_.size();
    keep_filter(filter, {PST_ERROR_CODE_OK, PST_ERROR_CODE_EXISTS, PST_ERROR_CODE_TABLE_FULL});
    if (filters_.size() != before) command(make_command(PST_COMMAND_RSS_FREE, context), {PST_ERROR_CODE_IN_USE});
  }
}

// Refused while a filter that is still there uses it.
void SoakNic::free_context(size_t which) {
  const pst_admin_completion answer = node.command(make_command(PST_COMMAND_RSS_FREE, contexts_[which].first));
  const auto status = static_cast<uint32_t>(pst_admin_completion_get_status(&answer));
  EXPECT_TRUE(status == PST_ERROR_CODE_OK || status == PST_ERROR_CODE_IN_USE) << pst_error_code_name(status);
  if (status == PST_ERROR_CODE_OK) contexts_.erase(contexts_.begin() + static_cast<ptrdiff_t>(which));
}

// Another range of the domain, gone again.
void SoakNic::map_for_a_while(uint32_t i) {
  pst_command map = make_command(PST_COMMAND_TRANSLATION_MAP, seats_[i].vi->pd);
  pst_translation_map_set_domain_address(&map, kViAreaBytes * (40 + pick(4)));
  pst_translation_map_set_host_address(&map, kScratch);
  pst_translation_map_set_length_bytes(&map, PST_LIMIT_PAGE_BYTES);
  command(map, {PST_ERROR_CODE_OK});
  command(map, {PST_ERROR_CODE_EXISTS});
  pst_command unmap = make_command(PST_COMMAND_TRANSLATION_UNMAP, seats_[i].vi->pd);
  pst_translation_unmap_set_domain_address(&unmap, pst_translation_map_get_domain_address(&map));
  command(unmap, {PST_ERROR_CODE_OK});
}

// All that a VI uses goes from under it: it may fall silent, but nothing is written there.
void SoakNic::unmap_in_use(uint32_t i) {
  Seat& seat = seats_[i];
  TestVi& vi = *seat.vi;
  pst_command unmap = make_command(PST_COMMAND_TRANSLATION_UNMAP, vi.pd);
  pst_translation_unmap_set_domain_address(&unmap, vi.options.domain_base);
  seat.suspect = true;
  command(unmap, {PST_ERROR_CODE_OK});
  check_dma();
  for (int n = 0; n < 10; ++n) {
    post(i);
    transmit(i);
    incoming();
    run_ns(pick(500));
    for (const DmaAccess& access : node.dma) {
      EXPECT_FALSE(access.address >= vi.base && access.address < vi.base + kViAreaBytes) << "DMA to an unmapped range";
    }
    check_dma();
  }
  pst_command map = make_command(PST_COMMAND_TRANSLATION_MAP, vi.pd);
  pst_translation_map_set_domain_address(&map, vi.options.domain_base);
  pst_translation_map_set_host_address(&map, vi.base);
  pst_translation_map_set_length_bytes(&map, kViAreaBytes);
  pst_translation_map_set_writable(&map, 1);
  command(map, {PST_ERROR_CODE_OK});
  recover(i);
}

void SoakNic::bind(uint32_t i) {
  Seat& seat = seats_[i];
  const bool to_vi = pick(3) == 0;
  const uint32_t vector = random_.chance(8) ? uint32_t{PST_VECTOR_NONE} : i;
  pst_command c = make_command(PST_COMMAND_MSIX_BIND, seat.vi->id);
  pst_msix_bind_set_vector(&c, vector);
  pst_msix_bind_set_to_vi(&c, to_vi);
  pst_msix_bind_set_wakeup_vi(&c, seats_[pick(static_cast<uint32_t>(seats_.size()))].vi->id);
  const pst_admin_completion answer = node.command(c);
  const auto status = static_cast<uint32_t>(pst_admin_completion_get_status(&answer));
  EXPECT_TRUE(status == PST_ERROR_CODE_OK || (to_vi && status == PST_ERROR_CODE_BAD_PARAMETER));  // not to itself
  if (status == PST_ERROR_CODE_OK) seat.vector = to_vi ? uint32_t{PST_VECTOR_NONE} : vector;
}

void SoakNic::moderate(uint32_t i) {
  pst_command c = make_command(PST_COMMAND_MODERATION_SET, seats_[i].vi->id);
  pst_moderation_set_set_holdoff_ns(&c, pick(20000));
  pst_moderation_set_set_holdoff_events(&c, pick(8));
  pst_moderation_set_set_adaptive(&c, pick(2));
  command(c, {PST_ERROR_CODE_OK});
}

// Something is always wrong with it: the opcode, a reserved bit, or the target.
void SoakNic::malformed_command() {
  pst_command c = make_command(pick(PST_COMMAND_PTP_ADJUST + 1), 4000 + pick(1000));
  for (size_t word = 1; word < 8; ++word) c.word[word] = pick(3) == 0 ? random_.next() : 0;
  if (pick(2)) pst_command_set_opcode(&c, 0x13 + pick(200));
  if (pick(2)) pst_command_set_flags(&c, 1 + pick(255));
  EXPECT_NE(node.status(c), uint32_t{PST_ERROR_CODE_OK}) << "opcode " << pst_command_get_opcode(&c);
}

// A command that cannot be read, or its answer that cannot be written: the queue stops and says why.
void SoakNic::break_admin() {
  static constexpr struct {
    const char* fault;
    uint32_t code;
  } kBreaks[] = {{"fault.poisoned_probability", PST_ERROR_CODE_POISONED},
                 {"fault.completion_timeout_probability", PST_ERROR_CODE_COMPLETION_TIMEOUT},
                 {"fault.unmapped_read_probability", PST_ERROR_CODE_DMA_FAULT},
                 {"fault.unmapped_write_probability", PST_ERROR_CODE_DMA_FAULT}};
  for (const char* fault : kSoakFaults) set(fault, 0);
  losing_vi_ = kNoVi;
  const auto& chosen = kBreaks[pick(4)];
  set("fault.dma_vi", -2);
  set(chosen.fault, 1);
  const uint32_t idx = node.submit(make_command(PST_COMMAND_NOP));
  for (int tries = 0; tries < 5000 && node.read32(PST_FUNCTION_ADMIN_STATUS_OFFSET) == PST_ERROR_CODE_OK; ++tries) {
    traffic(pick(static_cast<uint32_t>(seats_.size())));
    run_ns(1000);
    check_dma();
  }
  EXPECT_EQ(node.read32(PST_FUNCTION_ADMIN_STATUS_OFFSET), chosen.code) << chosen.fault;
  EXPECT_FALSE(node.completion(idx)) << "an answer from a queue that has stopped";
  set(chosen.fault, 0);
  reset_function();
}

// Everything may be in flight; afterwards all starts anew, and nothing of the time before appears.
void SoakNic::reset_function() {
  add_counters();
  if (pick(2)) {
    node.device().function_reset();
  } else {
    node.write32(PST_FUNCTION_RESET_OFFSET, PST_RESET_KEY);
  }
  run_ns(1000);
  for (int tries = 0; tries < 100 && (node.read32(PST_FUNCTION_STATUS_OFFSET) & PST_FUNCTION_STATUS_READY_MASK) == 0;
       ++tries) {
    run_ns(1000);
  }
  EXPECT_NE(node.read32(PST_FUNCTION_STATUS_OFFSET) & PST_FUNCTION_STATUS_READY_MASK, 0u);
  check_dma();
  const size_t interrupts = node.interrupts.size();
  for (int n = pick(4); n > 0; --n) incoming();
  run_ns(pick(100'000));
  EXPECT_TRUE(node.dma.empty()) << "DMA after a reset";
  if (!options_.faults) {  // one that is held up may come later
    EXPECT_EQ(node.interrupts.size(), interrupts);
  }
  filters_.clear();
  contexts_.clear();
  domain_users_.clear();
  for (Seat& seat : seats_) seat = {};
  node.enable_admin();
  configure_port();
  for (uint32_t i = 0; i < seats_.size(); ++i) allocate(i);
  ++counts.resets;
}

}  // namespace postern::hw_model::test
