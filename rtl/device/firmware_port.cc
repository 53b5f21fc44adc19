// Commands and the tables that the hardware holds. See firmware_port.h. Numbers and layouts: rtl/pst_admin_pkg.sv.
#include "rtl/device/firmware_port.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "rtl/device/rx_frames.h"
#include "rtl/device/verilated_top.h"

namespace postern::rtl_device {

namespace {

constexpr uint8_t kFence = 0x01, kViStart = 0x02, kViStop = 0x03, kEvqBind = 0x04, kEvqModerate = 0x05,
                  kCloseMerges = 0x06, kPort = 0x07, kRaise = 0x08, kViHalt = 0x09, kXlatVi = 0x10, kXlatRange = 0x11,
                  kXlatCount = 0x12, kFilterSlot = 0x20, kFilter = 0x21, kFilterKinds = 0x22, kRssKey = 0x28,
                  kRssTable = 0x29, kGrant = 0x30;
constexpr uint32_t kRssBlocks = 4;

// Equal to none that software can give.
const hw_model::SourceGrant kNoGrant{0xff, 0, 0};

uint64_t now_ps() { return hw_model::Agenda::now_ps(); }

unsigned log2_of(uint32_t power_of_two) { return static_cast<unsigned>(__builtin_ctz(power_of_two)); }

}  // namespace

FirmwarePort::Packer& FirmwarePort::Packer::add(uint64_t value, unsigned bits) {
  if (bits < 64) value &= (1ull << bits) - 1;
  const unsigned word = position_ / 64, shift = position_ % 64;
  data_[word] |= value << shift;
  if (shift + bits > 64) data_[word + 1] |= value >> (64 - shift);
  position_ += bits;
  return *this;
}

FirmwarePort::FirmwarePort(Vpst_nic_top& top, hw_model::NicStorage& blocks, RxFrames& frames, uint32_t vi_count,
                           uint32_t domain_count, std::function<void()> wake)
    : top_(top),
      blocks_(blocks),
      frames_(frames),
      vi_count_(vi_count),
      wake_(std::move(wake)),
      landing_wait_(blocks.nic),
      ranges_(domain_count),
      grants_(vi_count),
      slots_(hw_model::RxFilter::slot_count()) {}

void FirmwarePort::reset() {
  commands_.clear();
  offered_ = taken_ = false;
  landing_wait_.reset();
  for (auto& ranges : ranges_) ranges.clear();
  for (auto& grants : grants_) grants.clear();
  std::fill(slots_.begin(), slots_.end(), hw_model::RxFilter::TableSlot());
  filters_.clear();
  filter_kinds_ = 0;
  contexts_.clear();
  port_.reset();
  pause_ = loopback_ = promiscuous_ = false;
}

void FirmwarePort::give(uint8_t op, uint32_t index, const Data& data, Quiet done) {
  commands_.push_back({now_ps(), op, index, data, std::move(done)});
  wake_();
}

// --- VIs -------------------------------------------------------------------------------------------------------------

// pst_event_queue_pkg::config_t.
void FirmwarePort::put_evq_config(Packer& packer, const hw_model::Vi& vi) const {
  const bool nobody = vi.wake_to_vi && vi.wake_vi >= vi_count_;  // stands as the VI itself
  packer.add(vi.adaptive ? 1 : 0, 1)
      .add(vi.holdoff_events, 16)
      .add(vi.holdoff_ps / 1000, 32)
      .add(nobody ? vi.id : vi.wake_vi, 16)
      .add(vi.wake_to_vi ? 1 : 0, 1)
      .add(vi.vector, 16)
      .add(vi.evq_policy, 2)
      .add(log2_of(vi.evq_entries), 4)
      .add(vi.evq_address, 64);
}

void FirmwarePort::start(hw_model::Vi& vi) {
  frames_.restart(vi.id);
  // After a reset the RAM holds what it held: each place is written, whatever is believed to be there.
  grants_[vi.id].assign(PST_LIMIT_SOURCE_GRANT_MAX, kNoGrant);
  grants_changed(vi);
  give(kXlatVi, vi.id, Packer().add(vi.pd, 16).data());
  Packer packer;
  put_evq_config(packer, vi);
  const uint32_t features = blocks_.doorbell.features();
  packer.add(vi.rx_ring_address, 64)
      .add(vi.tx_ring_address, 64)
      .add(log2_of(vi.rx_entries), 4)
      .add(log2_of(vi.tx_entries), 4)
      .add(std::max<uint32_t>(1, vi.merge_count), 8)
      .add(vi.rx_prefix ? 1 : 0, 1)
      .add(vi.vlan_strip ? 1 : 0, 1)
      .add(vi.any_source ? 1 : 0, 1)
      .add(vi.weight, 8)
      .add(vi.rate_limit_mbps, 32)
      .add((features & PST_FUNCTION_FEATURES_PIO_MASK) != 0 ? 1 : 0, 1)
      .add((features & PST_FUNCTION_FEATURES_TX_PUSH_MASK) != 0 ? 1 : 0, 1);
  give(kViStart, vi.id, packer.data());
}

void FirmwarePort::stop(hw_model::Vi& vi, Quiet quiet) {
  vi.state = hw_model::ViState::kStopping;
  // What has left the RTL is still on the link.
  give(kViStop, vi.id, {}, [this, quiet = std::move(quiet)]() mutable { landing_wait_.then(std::move(quiet)); });
}

void FirmwarePort::halt(hw_model::Vi& vi, unsigned source, unsigned code, uint32_t index) {
  halt_then(vi, source, code, index, {});
}

void FirmwarePort::halt_then(hw_model::Vi& vi, unsigned source, unsigned code, uint32_t index, Quiet halted) {
  give(kViHalt, vi.id, Packer().add(index, 32).add(code, 16).add(source, 4).data(), std::move(halted));
}

void FirmwarePort::grants_changed(const hw_model::Vi& vi) {
  auto& held = grants_[vi.id];
  const auto same = [](const hw_model::SourceGrant& a, const hw_model::SourceGrant& b) {
    return a.family == b.family && a.address_lo == b.address_lo && a.address_hi == b.address_hi;
  };
  for (uint32_t n = 0; n < std::max<size_t>(held.size(), vi.grant_count); ++n) {
    const bool valid = n < vi.grant_count;
    if (valid && n < held.size() && same(held[n], vi.grants[n])) continue;
    const hw_model::SourceGrant grant = valid ? vi.grants[n] : hw_model::SourceGrant();
    give(
        kGrant, vi.id * PST_LIMIT_SOURCE_GRANT_MAX + n,
        Packer().add(grant.address_lo, 64).add(grant.address_hi, 64).add(grant.family, 2).add(valid ? 1 : 0, 1).data());
  }
  held.assign(vi.grants.begin(), vi.grants.begin() + vi.grant_count);
}

void FirmwarePort::binding_changed(const hw_model::Vi& vi) {
  Packer packer;
  put_evq_config(packer, vi);
  give(kEvqBind, vi.id, packer.data());
}

void FirmwarePort::set_moderation(hw_model::Vi& vi, uint64_t holdoff_ps, uint32_t holdoff_events, bool adaptive) {
  vi.holdoff_ps = holdoff_ps;
  vi.holdoff_events = holdoff_events;
  vi.adaptive = adaptive;
  Packer packer;
  put_evq_config(packer, vi);
  give(kEvqModerate, vi.id, packer.data());
}

// --- tables ----------------------------------------------------------------------------------------------------------

// A range keeps its place; one that is new takes the first that is free.
void FirmwarePort::give_ranges(uint32_t pd) {
  auto& held = ranges_[pd];
  std::vector<RangeSlot> wanted;
  for (const auto& range : blocks_.translation.ranges(pd)) {
    wanted.push_back({range.domain_address, range.bytes, range.host_address, range.writable});
  }
  const auto put = [&](size_t n, const RangeSlot& slot) {
    held[n] = slot;
    give(kXlatRange, pd * PST_LIMIT_TRANSLATION_RANGES_MAX + static_cast<uint32_t>(n),
         Packer()
             .add(slot.domain_address / PST_LIMIT_PAGE_BYTES, 52)
             .add(slot.bytes / PST_LIMIT_PAGE_BYTES, 52)
             .add(slot.host_address / PST_LIMIT_PAGE_BYTES, 52)
             .add(slot.writable ? 1 : 0, 1)
             .data());
  };
  for (size_t n = 0; n < held.size(); ++n) {
    if (held[n].bytes != 0 && std::find(wanted.begin(), wanted.end(), held[n]) == wanted.end()) put(n, {});
  }
  for (const RangeSlot& slot : wanted) {
    if (std::find(held.begin(), held.end(), slot) != held.end()) continue;
    const auto place = std::find_if(held.begin(), held.end(), [](const RangeSlot& s) { return s.bytes == 0; });
    const auto n = static_cast<size_t>(place - held.begin());
    if (place == held.end()) held.emplace_back();
    put(n, slot);
  }
  give(kXlatCount, pd, Packer().add(held.size(), 7).data());
}

void FirmwarePort::mapped(uint32_t pd) { give_ranges(pd); }

void FirmwarePort::unmapped(uint32_t pd, Quiet quiet) {
  give(kCloseMerges, pd);
  give_ranges(pd);
  give(kCloseMerges, pd);  // what was translated before is out then, and the fence sees it
  give(kFence, 0, {}, [this, quiet = std::move(quiet)]() mutable { landing_wait_.then(std::move(quiet)); });
}

void FirmwarePort::filters_changed() {
  const hw_model::RxFilter& table = blocks_.rx_filter;
  filters_.resize(std::max<size_t>(filters_.size(), table.filter_id_count()));
  for (uint32_t id = 0; id < table.filter_id_count(); ++id) {
    const auto filter = table.table_filter(id);
    if (filter == filters_[id]) continue;
    filters_[id] = filter;
    give(kFilter, id,
         Packer()
             .add(filter.vi_id, 16)
             .add(filter.rss_context, 16)
             .add(filter.rss ? 1 : 0, 1)
             .add(filter.next_id, 16)
             .add(filter.has_next ? 1 : 0, 1)
             .data());
  }
  for (uint32_t n = 0; n < table.slot_count(); ++n) {
    const auto slot = table.table_slot(n);
    if (slot == slots_[n]) continue;
    slots_[n] = slot;
    Packer packer;
    for (const uint64_t word : slot.key) packer.add(word, 64);
    give(kFilterSlot, n, packer.add(slot.first_id, 16).add(slot.state, 2).data());
  }
  if (table.kinds() == filter_kinds_) return;
  filter_kinds_ = table.kinds();
  give(kFilterKinds, 0, Packer().add(filter_kinds_, 8).data());
}

void FirmwarePort::rss_changed() {
  contexts_.resize(std::max<size_t>(contexts_.size(), blocks_.rss.context_id_count()));
  for (uint32_t id = 0; id < blocks_.rss.context_id_count(); ++id) {
    const auto context = blocks_.rss.configuration(id);
    if (context == contexts_[id]) continue;
    contexts_[id] = context;
    constexpr uint32_t kBlockEntries = PST_LIMIT_RSS_INDIRECTION_ENTRIES / kRssBlocks;
    for (uint32_t block = 0; block < kRssBlocks; ++block) {
      Packer packer;
      for (uint32_t i = 0; i < kBlockEntries; ++i) packer.add(context.table[block * kBlockEntries + i], 16);
      give(kRssTable, id * kRssBlocks + block, packer.data());
    }
    Packer packer;
    packer.add(context.configured ? 1 : 0, 8);
    for (const uint8_t byte : context.key) packer.add(byte, 8);
    give(kRssKey, id, packer.data());
  }
}

// --- port ------------------------------------------------------------------------------------------------------------

void FirmwarePort::port_changed(uint32_t mtu_bytes, bool pause, bool loopback, bool promiscuous) {
  blocks_.mac_port.set_mtu(mtu_bytes);
  pause_ = pause;
  loopback_ = loopback;
  promiscuous_ = promiscuous;
  configure_port();
}

void FirmwarePort::configure_port() {
  const hw_model::MacPort& port = blocks_.mac_port;
  const auto levels = port.pause_levels();
  const Data data = Packer()
                        .add(port.address(), 48)
                        .add(port.mtu_bytes(), 16)
                        .add(promiscuous_ ? 1 : 0, 1)
                        .add(pause_ ? 1 : 0, 1)
                        .add(loopback_ ? 1 : 0, 1)
                        .add(1, 1)  // what is lost on a link that is down, the PHY says of each frame
                        .add(port.ps_per_byte(), 32)
                        .add(levels.quanta, 16)
                        .add(levels.high_bytes, 32)
                        .add(levels.low_bytes, 32)
                        .data();
  if (port_ == data) return;  // most properties are not the port's
  port_ = data;
  give(kPort, 0, data);
}

void FirmwarePort::raise(uint32_t vector) { give(kRaise, vector & 0xffff); }

// --- clock -----------------------------------------------------------------------------------------------------------

void FirmwarePort::drive(uint64_t edge_ps) {
  const bool offer = !taken_ && !commands_.empty() && commands_.front().given_ps < edge_ps;
  if (offer || top_.fw_valid_i != 0) top_.drive_control_i = 1;
  top_.fw_valid_i = offer ? 1 : 0;
  if (offer && !offered_) {
    const Command& command = commands_.front();
    top_.fw_op_i = command.op;
    top_.fw_index_i = command.index;
    std::memcpy(top_.fw_data_i.data(), command.data.data(), sizeof command.data);
  }
  offered_ = offer;
}

void FirmwarePort::sample(uint64_t) {
  if (offered_ && top_.fw_ready_o) {
    taken_ = true;
    offered_ = false;
  }
  if (!taken_ || !top_.fw_done_o) return;
  taken_ = false;
  const Quiet done = std::move(commands_.front().done);
  commands_.pop_front();
  if (done) done();
}

uint64_t FirmwarePort::next_edge_ps(uint64_t edge_ps) const {
  if (top_.fw_valid_i || taken_) return edge_ps + kCyclePs;
  if (commands_.empty()) return kNever;
  return std::max(edge_ps + kCyclePs, edge_after(commands_.front().given_ps));
}

}  // namespace postern::rtl_device
