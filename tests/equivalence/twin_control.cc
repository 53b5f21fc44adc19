// Operations that are done at rest: admin commands, registers, what halts a VI, loopback, full queues. See twin.h.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "tests/equivalence/twin.h"

namespace postern::equivalence {

using namespace hw_model::test;  // NOLINT(google-build-using-namespace): the bench

namespace {

constexpr uint64_t kKeyAddress = kScratch + 0x1000, kTableAddress = kScratch + 0x2000;
constexpr size_t kFiltersMost = 3;  // beside those that come with a VI: each may mean a copy more
constexpr uint16_t kSpreadPort = 2100;
constexpr uint32_t kNoIndex = 0x40000000;  // that no ring of a run comes near
constexpr uint64_t kDropsNs = 50'000;      // in which a burst of frames is dropped, which shows nowhere but in counters
// A VI's share of the receive buffer: the model counts every copy that waits there, the RTL cells that copies share.
constexpr size_t kWaitingBytesMost = 262'144 / 8;
constexpr uint64_t kNowhere = 63 * kViAreaBytes;

uint32_t status_of(const pst_admin_completion& answer) {
  return static_cast<uint32_t>(pst_admin_completion_get_status(&answer));
}

}  // namespace

bool Twin::control(const Operation& operation, SoakRandom& random) {
  const uint32_t index = operation.seat;
  Seat& seat = seats_[index];
  switch (operation.kind) {
    case OperationKind::kFilter:
      return filter(index, random);
    case OperationKind::kGrant:
      return grant(index, random);
    case OperationKind::kModerate:
      return moderate(index, random);
    case OperationKind::kBind:
      return bind(index, random);
    case OperationKind::kMask:
      return mask(index);
    case OperationKind::kSpread:
      return spread(random);
    case OperationKind::kPort:
      return port(random);
    case OperationKind::kStatistics:
      return statistics();
    case OperationKind::kRead:
      return read_registers(index, random);
    case OperationKind::kStray:
      return stray(index, random);
    case OperationKind::kBadCommand:
      return bad_command(index, random);
    case OperationKind::kBadDoorbell:
      return bad_doorbell(seat, random);
    case OperationKind::kBadDescriptor:
      return bad_descriptor(seat, random);
    case OperationKind::kLoop:
      return loop(index, random);
    case OperationKind::kOverflow:
      return overflow(index, random);
    case OperationKind::kResetVi:
      return reset_vi(index);
    case OperationKind::kResetBusy:
      return reset_busy(index, random);
    case OperationKind::kReplaceVi:
      return replace_vi(index, random);
    default:
      return reset_function(random);
  }
}

// --- commands -------------------------------------------------------------------------------------------------------

void Twin::remove_filter(size_t which) {
  command(make_command(PST_COMMAND_FILTER_REMOVE, filters_[which]));
  filters_.erase(filters_.begin() + static_cast<ptrdiff_t>(which));
}

bool Twin::filter(uint32_t index, SoakRandom& random) {
  if (filters_.size() >= kFiltersMost || (!filters_.empty() && random.chance(2))) {
    remove_filter(random.pick(static_cast<uint32_t>(filters_.size())));
    return true;
  }
  pst_command c = make_command(PST_COMMAND_FILTER_INSERT, seats_[index].side[0].vi->id);
  const uint32_t match = random.pick(PST_FILTER_MATCH_SNIFF + 1);
  pst_filter_insert_set_match(&c, match);
  pst_filter_insert_set_replicate(&c, random.pick(2));
  if (match <= PST_FILTER_MATCH_LISTENER_ANY) {
    const bool ipv6 = random.chance(4);
    pst_filter_insert_set_family(&c, ipv6 ? PST_ADDRESS_FAMILY_IPV6 : PST_ADDRESS_FAMILY_IPV4);
    pst_filter_insert_set_protocol(&c, random.pick(2) != 0 ? 17 : 6);
    pst_filter_insert_set_local_port(&c, 2000 + random.pick(kSeats + 1));
    pst_filter_insert_set_remote_port(&c, 1000);
    pst_filter_insert_set_local_address_lo(&c, ipv6 ? 0x80fe : __builtin_bswap32(kIpA));
    pst_filter_insert_set_remote_address_lo(&c, ipv6 ? 0x80fe : __builtin_bswap32(kIpB));
    if (ipv6) pst_filter_insert_set_local_address_hi(&c, uint64_t{__builtin_bswap32(kIpA)} << 32);
    if (ipv6) pst_filter_insert_set_remote_address_hi(&c, uint64_t{__builtin_bswap32(kIpB)} << 32);
  }
  pst_filter_insert_set_ethertype(&c, random.of({0x0800, 0x0806, 0x86dd}));
  pst_filter_insert_set_vlan_id(&c, random.pick(9));
  if (match >= PST_FILTER_MATCH_MAC) {
    uint64_t address = 0;
    std::memcpy(&address, random.pick(2) != 0 ? kMacA.data() : kMacB.data(), 6);
    pst_filter_insert_set_local_address_lo(&c, address);
  }
  const pst_admin_completion answer = command(c);
  if (status_of(answer) == PST_ERROR_CODE_OK)
    filters_.push_back(static_cast<uint32_t>(pst_admin_completion_get_result(&answer)));
  return true;
}

bool Twin::grant(uint32_t index, SoakRandom& random) {
  vi_command(
      index,
      [&](pst_command& c) {
        uint64_t address = 0;
        switch (random.pick(3)) {
          case 0:
            std::memcpy(&address, kMacB.data(), 6);
            break;
          case 1:
            address = __builtin_bswap32(random.pick(2) != 0 ? kIpA : kIpB);
            pst_source_grant_set_family(&c, PST_ADDRESS_FAMILY_IPV4);
            break;
          default:
            address = 0x80fe;
            pst_source_grant_set_family(&c, PST_ADDRESS_FAMILY_IPV6);
            pst_source_grant_set_address_hi(&c, uint64_t{__builtin_bswap32(kIpA)} << 32);
        }
        pst_source_grant_set_address_lo(&c, address);
      },
      PST_COMMAND_SOURCE_GRANT);
  return true;
}

bool Twin::moderate(uint32_t index, SoakRandom& random) {
  vi_command(
      index,
      [&](pst_command& c) {
        pst_moderation_set_set_adaptive(&c, random.pick(2));
        pst_moderation_set_set_holdoff_ns(&c, 500 + random.pick(2500));
        pst_moderation_set_set_holdoff_events(&c, random.pick(8));
      },
      PST_COMMAND_MODERATION_SET);
  return true;
}

bool Twin::bind(uint32_t index, SoakRandom& random) {
  Seat& seat = seats_[index];
  const uint32_t target = random.pick(kSeats);
  if (seats_[target].halted) return false;
  unmask(index);
  const bool to_vi = random.chance(2) && target != index;
  vi_command(
      index,
      [&](pst_command& c) {
        pst_msix_bind_set_vector(&c, to_vi || random.chance(6) ? PST_VECTOR_NONE : index);
        pst_msix_bind_set_to_vi(&c, to_vi);
        if (to_vi) pst_msix_bind_set_wakeup_vi(&c, seats_[target].side[0].vi->id);
      },
      PST_COMMAND_MSIX_BIND);
  seat.wakes_vi = to_vi;
  return true;
}

bool Twin::mask(uint32_t index) {
  Seat& seat = seats_[index];
  seat.masked = !seat.masked;
  seat.pending = false;
  for (auto& node : nodes_) node->bar_write(PST_BAR_MSIX, index * 16 + 12, seat.masked ? 1 : 0, 4);
  return true;
}

// RSS over the VIs of the shared domain.
bool Twin::spread(SoakRandom& random) {
  const uint32_t domain = *shared_domain_[0];
  if (rss_context_ == UINT32_MAX) {
    const pst_admin_completion made = command(make_command(PST_COMMAND_RSS_ALLOC, domain));
    if (status_of(made) != PST_ERROR_CODE_OK) return true;
    rss_context_ = static_cast<uint32_t>(pst_admin_completion_get_result(&made));
  }
  for (uint32_t i = 0; i < PST_LIMIT_RSS_KEY_BYTES; ++i) {
    const auto byte = static_cast<uint8_t>(random.next());
    for (auto& node : nodes_) node->memory[kKeyAddress + i] = byte;
  }
  for (uint32_t i = 0; i < PST_LIMIT_RSS_INDIRECTION_ENTRIES; ++i) {
    const auto id = static_cast<uint16_t>(seats_[random.pick(kSharedSeats)].side[0].vi->id);
    for (auto& node : nodes_) node->at<uint16_t>(kTableAddress + 2 * i) = id;
  }
  pst_command configure = make_command(PST_COMMAND_RSS_CONFIGURE, rss_context_);
  pst_rss_configure_set_key_address(&configure, kKeyAddress);
  pst_rss_configure_set_table_address(&configure, kTableAddress);
  command(configure);
  vi_command(
      random.pick(kSharedSeats),
      [&](pst_command& c) {
        pst_filter_insert_set_match(&c, PST_FILTER_MATCH_LISTENER_ANY);
        pst_filter_insert_set_family(&c, PST_ADDRESS_FAMILY_IPV4);
        pst_filter_insert_set_protocol(&c, random.pick(2) != 0 ? 6 : 17);
        pst_filter_insert_set_local_port(&c, kSpreadPort);
        pst_filter_insert_set_rss(&c, 1);
        pst_filter_insert_set_rss_context(&c, rss_context_);
      },
      PST_COMMAND_FILTER_INSERT);
  return true;
}

void Twin::configure_port(bool promiscuous, bool loopback) {
  pst_command c = make_command(PST_COMMAND_PORT_CONFIG);
  pst_port_config_set_mtu_bytes(&c, mtu_bytes_);
  pst_port_config_set_promiscuous(&c, promiscuous);
  pst_port_config_set_loopback(&c, loopback);
  command(c);
}

bool Twin::port(SoakRandom& random) {
  mtu_bytes_ = random.chance(3) ? 300 + random.pick(1200) : 1500;
  promiscuous_ = random.pick(2) != 0;
  configure_port(promiscuous_, false);
  return true;
}

Twin::StatisticsWords Twin::read_statistics() {
  pst_command c = make_command(PST_COMMAND_STATISTICS_READ);
  pst_statistics_read_set_address(&c, kScratch);
  command(c);
  StatisticsWords words;
  for (unsigned side = 0; side < kSides; ++side)
    std::memcpy(words[side].data(), &nodes_[side]->at<uint64_t>(kScratch), PST_PORT_STATISTICS_BYTES);
  return words;
}

bool Twin::statistics() {
  const StatisticsWords words = read_statistics();
  for (uint32_t word = 0; word < words[0].size(); ++word) {
    const uint64_t model = words[0][word] - statistics_base_[0][word];
    const uint64_t rtl = words[1][word] - statistics_base_[1][word];
    // How many TX events complete the packets depends on timing.
    if (word != PST_PORT_STATISTICS_EVENTS_WORD && model != rtl)
      differ(fmt::format("PORT_STATISTICS, word {}: model {}, rtl {}", word, model, rtl));
  }
  return true;
}

// --- accesses -------------------------------------------------------------------------------------------------------

bool Twin::read_registers(uint32_t index, SoakRandom& random) {
  for (int n = 0; n < 4 && difference_.empty(); ++n) {
    const uint32_t bar = random.of({PST_BAR_FUNCTION, PST_BAR_VI, PST_BAR_VI, PST_BAR_MSIX});
    const unsigned width = random.of({4u, 8u});
    uint64_t offset = 0;
    if (bar == PST_BAR_FUNCTION) {
      offset = random.of<uint64_t>({PST_FUNCTION_MAGIC_OFFSET, PST_FUNCTION_CONTRACT_HASH_OFFSET,
                                    PST_FUNCTION_MAC_ADDRESS_OFFSET, PST_FUNCTION_ADMIN_SQ_BASE_OFFSET,
                                    PST_FUNCTION_ADMIN_CQ_BASE_OFFSET});
    } else if (bar == PST_BAR_VI) {
      const uint64_t in_page = random.of<uint64_t>({PST_VI_RX_DOORBELL_OFFSET, PST_VI_TX_DOORBELL_OFFSET,
                                                    PST_VI_TIMER_OFFSET, PST_VI_PIO_DOORBELL_OFFSET,
                                                    PST_VI_TX_PUSH_DESCRIPTOR_LO_OFFSET, PST_VI_TX_PUSH_DOORBELL_OFFSET,
                                                    0x58, 0x800, PST_VI_PIO_PAGE_OFFSET + 8ull * random.pick(512)});
      offset = uint64_t{seats_[index].side[0].vi->id} * PST_VI_WINDOW_STRIDE + in_page;
    } else {
      offset = random.chance(4) ? PST_MSIX_PBA_OFFSET : 8ull * random.pick(2 * kSeats);
    }
    uint64_t value[kSides];
    for (unsigned side = 0; side < kSides; ++side) value[side] = nodes_[side]->bar_read(bar, offset, width);
    ++counts_.answers;
    if (value[0] != value[1]) {
      differ(fmt::format("{} bytes at {:#x} of BAR{}: model {:#x}, rtl {:#x}", width, offset, bar, value[0], value[1]));
    }
  }
  return true;
}

// Where no register is.
bool Twin::stray(uint32_t index, SoakRandom& random) {
  const uint64_t window = uint64_t{seats_[index].side[0].vi->id} * PST_VI_WINDOW_STRIDE;
  const uint64_t value = random.next();
  uint64_t offset = 0;
  switch (random.pick(3)) {
    case 0:
      offset = window + 0x58 + 8 * random.pick(400);
      break;
    case 1:
      offset = uint64_t{40 + random.pick(20)} * PST_VI_WINDOW_STRIDE + 8 * random.pick(10);  // of no VI
      break;
    default:
      for (auto& node : nodes_) node->write32(PST_FUNCTION_RESET_OFFSET, value % 1000);  // not the key
      return true;
  }
  for (auto& node : nodes_) node->bar_write(PST_BAR_VI, offset, value, random.chance(2) ? 4 : 8);
  return true;
}

bool Twin::bad_command(uint32_t index, SoakRandom& random) {
  const TestVi& vi = *seats_[index].side[0].vi;
  pst_command c = make_command(PST_COMMAND_NOP);
  switch (random.pick(9)) {
    case 0:
      c = make_command(0x13 + random.pick(200));
      break;
    case 1:
      pst_command_set_flags(&c, 1 + random.pick(255));
      break;
    case 2:
      c = make_command(random.of({PST_COMMAND_VI_FREE, PST_COMMAND_VI_RESET, PST_COMMAND_MSIX_BIND}), 900);
      break;
    case 3:
      c = make_command(PST_COMMAND_FILTER_REMOVE, 100'000 + random.pick(1000));
      break;
    case 4:
      c = make_command(PST_COMMAND_PD_FREE, vi.pd);
      break;
    case 5:
      c = make_command(PST_COMMAND_TRANSLATION_MAP, vi.pd);
      pst_translation_map_set_domain_address(&c, vi.options.domain_base + random.of({0u, 8u}));
      pst_translation_map_set_host_address(&c, kViArea);
      pst_translation_map_set_length_bytes(&c, PST_LIMIT_PAGE_BYTES);
      break;
    case 6:
      c = make_command(PST_COMMAND_RSS_FREE, 60);
      break;
    case 7:
      c = make_command(PST_COMMAND_MODERATION_SET, vi.id);
      c.word[2 + random.pick(6)] = ~0ull;
      break;
    default:
      c = make_command(PST_COMMAND_VI_ALLOC, vi.pd);
      pst_vi_alloc_set_rx_entries(&c, random.pick(200));
  }
  command(c);
  return true;
}

// --- what halts a VI ------------------------------------------------------------------------------------------------

bool Twin::bad_doorbell(Seat& seat, SoakRandom& random) {
  const TestVi& vi = *seat.side[0].vi;
  if (!take_events(seat, 2)) return false;
  switch (random.pick(8)) {
    case 0:
      ring(seat, PST_VI_RX_DOORBELL_OFFSET, vi.rx_idx + seat.options.rx_entries + 1 + random.pick(1000));
      break;
    case 1:
      ring(seat, PST_VI_TX_DOORBELL_OFFSET, vi.tx_idx + seat.options.tx_entries + 1 + random.pick(1000));
      break;
    case 2:
      ring(seat, PST_VI_TX_DOORBELL_OFFSET, vi.tx_idx - 1 - random.pick(10));
      break;
    case 3:
      ring(seat, PST_VI_EVQ_CONSUMER_OFFSET, kNoIndex);
      break;
    case 4:
      ring(seat, PST_VI_EVQ_PRIME_OFFSET, random.pick(2) != 0 ? kNoIndex | uint64_t{1} << 32 : 0, 8);
      break;
    case 5:  // not the end of a packet
      ring(seat, PST_VI_TX_PUSH_DESCRIPTOR_LO_OFFSET, seat.options.domain_base + kTxBuffers, 8);
      ring(seat, PST_VI_TX_PUSH_DESCRIPTOR_HI_OFFSET, 60, 8);
      ring(seat, PST_VI_TX_PUSH_DOORBELL_OFFSET, vi.tx_idx + 1);
      break;
    case 6:  // beyond the page
      ring(seat, PST_VI_PIO_DOORBELL_OFFSET,
           (vi.tx_idx + 1) | uint64_t{PST_LIMIT_PIO_BYTES - 59} << PST_VI_PIO_DOORBELL_OFFSET_BYTES_SHIFT |
               uint64_t{60} << PST_VI_PIO_DOORBELL_LENGTH_BYTES_SHIFT,
           8);
      break;
    default:
      ring(seat, PST_VI_TIMER_OFFSET, 1000, 8);  // a sequence of 0
  }
  return true;
}

bool Twin::bad_descriptor(Seat& seat, SoakRandom& random) {
  const uint32_t kind = random.pick(9);
  const uint32_t count = kind == 5 ? PST_LIMIT_TX_FRAGMENTS_MAX + 1 : 1;
  if (kind < 3 ? seat.side[0].vi->rx_idx != seat.side[0].rx_done_idx : tx_room(seat) < count) return false;
  if (!take_events(seat, 3)) return false;
  if (kind < 3) {
    for (ViSide& side : seat.side) {
      TestVi& vi = *side.vi;
      pst_rx_desc desc{};
      pst_rx_desc_set_address(&desc, kind == 0 ? kNowhere : seat.options.domain_base + kRxBuffers);
      pst_rx_desc_set_length_bytes(&desc, kind == 1 ? 0 : 2048);
      pst_rx_desc_set_flags(&desc, kind == 2 ? 1 : 0);
      vi.node.at<pst_rx_desc>(vi.base + kRxRing + vi.rx_idx++ % seat.options.rx_entries * PST_RX_DESC_BYTES) = desc;
    }
    ring(seat, PST_VI_RX_DOORBELL_OFFSET, seat.side[0].vi->rx_idx);
    seat.posted = true;
    settle();
    UdpSpec spec;
    spec.source = kMacB;
    spec.destination = kMacA;
    spec.destination_port = static_cast<uint16_t>(2000 + (&seat - seats_.data()));
    if (!seat.halted && difference_.empty()) arrive_some(udp_frame(spec), 1, false);
    settle();
    // Filters took the frame elsewhere: a later one would meet the descriptor while other things go on.
    if (!seat.halted && difference_.empty()) reset_vi(static_cast<uint32_t>(&seat - seats_.data()));
    return true;
  }
  pst_tx_desc desc{};
  pst_tx_desc_set_address(&desc, kind == 3 ? kNowhere : seat.options.domain_base + kTxBuffers);
  pst_tx_desc_set_length_bytes(&desc, kind == 4 ? 0 : 60);
  pst_tx_desc_set_end_of_packet(&desc, kind != 5);
  if (kind == 6) desc.word[1] |= 1ull << 63;
  if (kind == 7) pst_tx_desc_set_type(&desc, 3);
  if (kind == 8) pst_tx_desc_set_segment(&desc, 1);  // without an MSS
  for (uint32_t n = 0; n < count; ++n) queue(seat, desc);
  ring(seat, PST_VI_TX_DOORBELL_OFFSET, seat.side[0].vi->tx_idx);
  return true;
}

// --- loopback and full queues ---------------------------------------------------------------------------------------

bool Twin::loop(uint32_t index, SoakRandom& random) {
  Seat& seat = seats_[index];
  UdpSpec spec;
  spec.source = spec.destination = kMacA;
  spec.source_ip = kIpA;
  spec.destination_ip = kIpA;
  spec.destination_port = static_cast<uint16_t>(2000 + random.pick(kSeats));
  spec.frame_bytes = 60 + random.pick(mtu_bytes_ - 46);
  const std::vector<uint8_t> bytes = udp_frame(spec);
  const uint32_t count = 1 + random.pick(5);
  if (tx_room(seat) < count || !has_room(seat, 2 * count) || !expect_frames(bytes.size(), count)) return false;
  seat.events += count;
  configure_port(promiscuous_, true);
  const uint64_t place = tx_place(seat, bytes);
  for (uint32_t n = 0; n < count; ++n) {
    pst_tx_desc desc{};
    pst_tx_desc_set_address(&desc, seat.options.domain_base + place);
    pst_tx_desc_set_length_bytes(&desc, bytes.size());
    pst_tx_desc_set_end_of_packet(&desc, 1);
    pst_tx_desc_set_checksum_l4(&desc, random.pick(2));
    queue(seat, desc);
  }
  ring(seat, PST_VI_TX_DOORBELL_OFFSET, seat.side[0].vi->tx_idx);
  settle();
  configure_port(promiscuous_, false);
  return true;
}

// Until nothing comes any more: a queue that was full may have kept something waiting.
bool Twin::empty_queues() {
  for (int rounds = 0; rounds < 8; ++rounds) {
    bool any = false;
    for (Seat& seat : seats_) {
      for (ViSide& side : seat.side) {
        any |= side.seen_idx != side.returned_idx;
        side.vi->evq_idx = side.returned_idx = side.seen_idx;
        side.vi->return_space();
      }
    }
    if (!any) return true;
    settle();
    if (!difference_.empty()) return false;
  }
  differ("events do not come to an end");
  return false;
}

bool Twin::overflow(uint32_t index, SoakRandom& random) {
  for (const Seat& seat : seats_) {
    if (seat.primed && seat.wakes_vi) return false;  // its wakeup would race the frames
  }
  Seat& seat = seats_[index];
  const uint32_t frame_bytes = 60 + random.pick(100);
  const uint32_t count = 120 + random.pick(40);
  if (!empty_queues() || seat.halted) return false;
  while (!filters_.empty() && count * (1 + filters_.size()) * frame_bytes > kWaitingBytesMost)
    remove_filter(filters_.size() - 1);
  while (seat.side[0].vi->rx_idx - seat.side[0].rx_done_idx + 16 <= seat.options.rx_entries) {
    for (ViSide& side : seat.side) side.vi->post_rx(16);
  }
  settle();
  UdpSpec spec = spec_from_b();
  spec.destination_port = static_cast<uint16_t>(2000 + index);
  spec.frame_bytes = frame_bytes;
  for (uint32_t n = 0; n < count; ++n) arrive_both(udp_frame(spec), false);
  run_ns(kDropsNs);
  settle();
  return empty_queues();
}

// --- lives ----------------------------------------------------------------------------------------------------------

// A message that waits in its pending bit would come to the vector's next user.
void Twin::unmask(uint32_t index) {
  if (!seats_[index].masked) return;
  mask(index);
  settle();
}

// A VI that runs is stopped by a first one.
bool Twin::reset_vi(uint32_t index) {
  Seat& seat = seats_[index];
  const pst_command reset = make_command(PST_COMMAND_VI_RESET, seat.side[0].vi->id);
  rest_first();
  unmask(index);
  if (!seat.halted) command(reset);
  compare_slots(index);
  forget_events(index);
  for (ViSide& side : seat.side) {
    side.vi->forget();
    side.seen_idx = side.returned_idx = side.prime_idx = side.tx_done_idx = side.rx_done_idx = 0;
  }
  seat.halted = seat.primed = false;
  command(reset);
  return true;
}

bool Twin::replace_vi(uint32_t index, SoakRandom& random) {
  unmask(index);
  release(index);
  allocate(index, random);
  return true;
}

bool Twin::reset_function(SoakRandom& random) {
  const bool by_register = random.chance(2);
  for (auto& node : nodes_) {
    if (by_register) {
      node->write32(PST_FUNCTION_RESET_OFFSET, PST_RESET_KEY);
    } else {
      node->device().function_reset();
    }
  }
  bool ready = false;
  for (int tries = 0; tries < 100 && !ready; ++tries) {
    run_ns(1000);
    ready = true;
    for (auto& node : nodes_) ready &= (node->read32(PST_FUNCTION_STATUS_OFFSET) & PST_FUNCTION_STATUS_READY_MASK) != 0;
  }
  if (!ready) {
    differ("not ready after a reset");
    return true;
  }
  for (uint32_t i = 0; i < kSeats; ++i) compare_slots(i);
  start(random);
  return true;
}

}  // namespace postern::equivalence
