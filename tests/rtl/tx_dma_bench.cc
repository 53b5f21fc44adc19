// See tx_dma_bench.h.
#include "tests/rtl/tx_dma_bench.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace postern::rtl_test {

namespace {

constexpr uint32_t kLineBytes = 64;
constexpr uint32_t kCfgViStart = 2, kCfgPort = 7;  // rtl/pst_admin_pkg.sv

template <class Wide>
void put_bits(Wide& wide, uint32_t lsb, uint32_t width, uint64_t value) {
  for (uint32_t i = 0; i < width; ++i) {
    const uint32_t bit = lsb + i;
    wide[bit / 32] = (wide[bit / 32] & ~(1u << bit % 32)) | static_cast<uint32_t>(value >> i & 1) << bit % 32;
  }
}

template <class Wide>
uint8_t byte_at(const Wide& wide, uint32_t index) {
  return static_cast<uint8_t>(wide[index / 4] >> 8 * (index % 4));
}

template <class Wide>
void put_byte(Wide& wide, uint32_t index, uint8_t value) {
  wide[index / 4] = (wide[index / 4] & ~(0xffu << 8 * (index % 4))) | uint32_t{value} << 8 * (index % 4);
}

}  // namespace

TxDesc tx_data(uint64_t address, uint32_t bytes, bool last, const TxOptions& options) {
  pst_tx_desc desc{};
  pst_tx_desc_set_address(&desc, address);
  pst_tx_desc_set_length_bytes(&desc, bytes);
  pst_tx_desc_set_type(&desc, PST_TX_DESC_TYPE_DATA);
  pst_tx_desc_set_end_of_packet(&desc, last);
  pst_tx_desc_set_checksum_l3(&desc, options.l3);
  pst_tx_desc_set_checksum_l4(&desc, options.l4);
  pst_tx_desc_set_segment(&desc, options.segment);
  pst_tx_desc_set_timestamp(&desc, options.timestamp);
  pst_tx_desc_set_complete(&desc, options.complete);
  return {desc.word[0], desc.word[1], false};
}

TxDesc tx_option(uint32_t mss, bool insert, uint32_t tci) {
  pst_tx_option_desc desc{};
  pst_tx_option_desc_set_mss_bytes(&desc, mss);
  pst_tx_option_desc_set_vlan_insert(&desc, insert);
  pst_tx_option_desc_set_vlan_tci(&desc, tci);
  pst_tx_option_desc_set_type(&desc, PST_TX_DESC_TYPE_OPTION);
  return {desc.word[0], desc.word[1], false};
}

TxDmaBench::TxDmaBench() : packets(kTxViCount), sent(kTxViCount) {
  dut_.rst_ni = 0;
  tick();
  dut_.rst_ni = 1;
  run(130);
  cycle_count_ = 0;
}

void TxDmaBench::tick() {
  dut_.clk_i = 0;
  dut_.eval();
  dut_.clk_i = 1;
  dut_.eval();
}

void TxDmaBench::run(uint32_t cycles) {
  for (uint32_t i = 0; i < cycles; ++i) cycle();
}

void TxDmaBench::settle(uint32_t limit) {
  uint32_t calm = 0;
  for (uint32_t i = 0; i < limit; ++i) {
    cycle();
    const bool still = dut_.quiet_o && in_flight_.empty() && jobs_.empty() && (frames_.empty() || hold_frames) &&
                       available_.empty() && answers_.empty() && configurations_.empty() && dut_.due_ns_o == ~0ull;
    calm = still ? calm + 1 : 0;
    if (calm == 4) return;
  }
  ADD_FAILURE() << "did not come to rest within " << limit << " cycles";
}

void TxDmaBench::start(uint32_t vi, const ViOptions& options) {
  configurations_.emplace_back([this, vi, options] {
    dut_.cfg_valid_i = 1;
    dut_.cfg_op_i = kCfgViStart;
    dut_.cfg_index_i = vi;
    std::memset(&dut_.cfg_data_i, 0, sizeof dut_.cfg_data_i);
    put_bits(dut_.cfg_data_i, 298, 1, options.any_source);
    put_bits(dut_.cfg_data_i, 299, 8, options.weight);
    put_bits(dut_.cfg_data_i, 307, 32, options.rate_mbps);
    caches_[vi].clear();
    heads_[vi] = packet_begin_[vi] = 0;
    given_[vi].clear();
  });
}

void TxDmaBench::set_mtu(uint32_t bytes) {
  configurations_.emplace_back([this, bytes] {
    dut_.cfg_valid_i = 1;
    dut_.cfg_op_i = kCfgPort;
    std::memset(&dut_.cfg_data_i, 0, sizeof dut_.cfg_data_i);
    put_bits(dut_.cfg_data_i, 48, 16, bytes);
  });
}

void TxDmaBench::end_life(uint32_t vi, bool stop) {
  configurations_.emplace_back([this, vi, stop] {
    dut_.life_valid_i = 1;
    dut_.life_op_i = stop;
    dut_.life_vi_i = static_cast<uint8_t>(vi);
  });
}

void TxDmaBench::post(uint32_t vi, const std::vector<TxDesc>& descs) {
  configurations_.emplace_back([this, vi, descs] {
    for (const TxDesc& desc : descs) {
      given_[vi][heads_[vi] + static_cast<uint32_t>(caches_[vi].size())] = desc;
      caches_[vi].push_back(desc);
      available_.push_back(vi);
    }
  });
}

void TxDmaBench::cycle() {
  dut_.time_ns_i = now_ns();
  drive_configuration();
  drive_fetch();
  drive_translation();
  drive_memory();
  drive_packet();
  drive_port();
  drive_events();
  dut_.halt_ready_i = halt_ready();
  dut_.clk_i = 0;
  dut_.eval();
  const bool still = dut_.quiet_o && dut_.time_ns_i < dut_.due_ns_o;
  observe();
  if (skip && still) {
    ++skipped_count;
  } else {
    tick();
  }
  ++cycle_count_;
}

// --- inputs ----------------------------------------------------------------------------------------------------------

void TxDmaBench::drive_configuration() {
  dut_.cfg_valid_i = 0;
  dut_.life_valid_i = 0;
  if (configurations_.empty()) return;
  configurations_.front()();
  configurations_.pop_front();
}

void TxDmaBench::drive_fetch() {
  dut_.avail_rx_i = 0;
  dut_.avail_valid_i = !available_.empty();
  if (!available_.empty()) {
    dut_.avail_vi_i = static_cast<uint8_t>(available_.front());
    available_.pop_front();
  }
  dut_.pop_ready_i = pop_ready();
  dut_.answer_rx_i = 0;
  dut_.answer_valid_i = !answers_.empty() && answers_.front().cycle == cycle_count_;
  if (dut_.answer_valid_i) {
    const Answer& popped = answers_.front();
    dut_.answer_found_i = popped.found;
    dut_.answer_posted_i = !popped.found && posted;
    dut_.answer_pio_i = popped.desc.pio;
    dut_.answer_idx_i = popped.index;
    put_bits(dut_.answer_desc_i, 0, 64, popped.desc.lo);
    put_bits(dut_.answer_desc_i, 64, 64, popped.desc.hi);
    answers_.pop_front();
  }
  dut_.done_ready_i = done_ready();
}

void TxDmaBench::drive_translation() {
  dut_.xl_ready_i = !translating_ && xl_ready();
  dut_.xl_answer_valid_i = translating_ && cycle_count_ >= xl_cycle_;
  if (!dut_.xl_answer_valid_i) return;
  translating_ = false;
  dut_.xl_ok_i = mapped(xl_address_);
  dut_.xl_host_i = xl_address_;  // host memory lies as the domain does
  dut_.xl_run_i = static_cast<uint32_t>(std::min<uint64_t>(xl_bytes_, range_bytes - xl_address_ % range_bytes));
}

void TxDmaBench::drive_memory() {
  dut_.pr_ready_i = read_ready();
  dut_.pc_valid_i = 0;
  std::vector<size_t> due;
  for (size_t i = 0; i < in_flight_.size(); ++i) {
    if (in_flight_[i].due_cycle <= cycle_count_) due.push_back(i);
  }
  if (!due.empty() && beat_ready()) {
    const size_t index = due[choose(due.size())];
    TxRead& read = in_flight_[index];
    const uint32_t lane = (read.lane + read.sent) % kLineBytes;
    const uint32_t count = std::min(kLineBytes - lane, read.bytes - read.sent);
    const uint32_t code = read_code(read);
    dut_.pc_valid_i = 1;
    dut_.pc_tag_i = static_cast<uint8_t>(read.tag);
    dut_.pc_lane_i = static_cast<uint8_t>(lane);
    dut_.pc_count_i = static_cast<uint8_t>(count);
    dut_.pc_code_i = static_cast<uint16_t>(code);
    dut_.pc_last_i = read.sent + count == read.bytes;
    for (uint32_t i = 0; i < kLineBytes; ++i) {
      const bool valid = i >= lane && i < lane + count;
      put_byte(dut_.pc_data_i, i, valid ? memory(read.address + read.sent + i - lane) : uint8_t{0xee});
    }
    read.sent += count;
    if (dut_.pc_last_i || code != 0) {
      tags_.erase(read.tag);
      in_flight_.erase(in_flight_.begin() + static_cast<std::ptrdiff_t>(index));
    }
  }
  for (uint32_t i = 0; i < kLineBytes; ++i) {
    put_byte(dut_.pio_rd_data_i, i, pio_asked_ ? pio_byte(pio_vi_, pio_line_ * kLineBytes + i) : uint8_t{0xdd});
  }
}

// The stand-in reads a packet line by line, judges it in the cycle after the last one, and gives its place back then.
void TxDmaBench::drive_packet() {
  dut_.pk_ready_i = pk_ready() && jobs_.size() < 4;
  dut_.tb_rd0_valid_i = dut_.tb_rd1_valid_i = 0;
  dut_.verdict_valid_i = dut_.pk_done_i = 0;
  if (jobs_.empty()) return;
  Job& job = jobs_.front();
  if (std::exchange(line_asked_, false)) {
    for (uint32_t i = 0; i < kLineBytes; ++i) {
      job.packet.content.push_back(byte_at(port_asked_ ? dut_.tb_rd1_data_o : dut_.tb_rd0_data_o, i));
    }
  }
  const uint32_t offset = job.packet.first % kLineBytes;
  const uint32_t lines = job.packet.drop ? 0 : (offset + job.packet.bytes + kLineBytes - 1) / kLineBytes;
  if (job.lines_read < lines) {
    const auto line = static_cast<uint16_t>((job.packet.first / kLineBytes + job.lines_read++) % 1024);
    port_asked_ = job.lines_read % 2 != 0;
    (port_asked_ ? dut_.tb_rd1_valid_i : dut_.tb_rd0_valid_i) = 1;
    (port_asked_ ? dut_.tb_rd1_line_i : dut_.tb_rd0_line_i) = line;
    line_asked_ = true;
    return;
  }
  if (!job.packet.drop) expect_content(job.packet);
  const TxVerdict given = verdict(job.packet);
  dut_.verdict_valid_i = dut_.pk_done_i = 1;
  dut_.verdict_drop_i = given.drop;
  dut_.verdict_reason_i = static_cast<uint8_t>(given.reason);
  dut_.verdict_frames_i = static_cast<uint16_t>(given.frames);
  dut_.verdict_extra_bytes_i = given.extra_bytes;
  note("verdict vi " + std::to_string(job.packet.vi) + " end " + std::to_string(job.packet.end_idx));
  for (uint32_t i = 0; i < given.frames; ++i) {
    wire_free_ = std::max(wire_free_, cycle_count_) + wire_cycles;
    frames_.push_back(wire_free_);
  }
  jobs_.pop_front();
}

void TxDmaBench::drive_port() {
  dut_.left_valid_i = !hold_frames && !frames_.empty() && frames_.front() <= cycle_count_;
  if (!dut_.left_valid_i) return;
  dut_.left_lost_i = lost();
  dut_.left_time_ns_i = now_ns() + 1'000'000;
  frames_.pop_front();
}

void TxDmaBench::drive_events() {
  dut_.ev_ready_i = ev_ready();
  dut_.ev_answer_valid_i = event_answer_.has_value();
  if (event_answer_) dut_.ev_answer_i = static_cast<uint8_t>(*event_answer_);
  event_answer_.reset();
  dut_.space_valid_i = !spaces_.empty();
  if (spaces_.empty()) return;
  dut_.space_vi_i = static_cast<uint8_t>(spaces_.front());
  spaces_.pop_front();
}

// --- outputs ---------------------------------------------------------------------------------------------------------

void TxDmaBench::observe() {
  observe_fetch();
  observe_reads();
  observe_packet();
  observe_reports();
}

void TxDmaBench::observe_fetch() {
  if (dut_.pop_valid_o && dut_.pop_ready_i) {
    const uint32_t vi = dut_.pop_vi_o;
    std::deque<TxDesc>& cache = caches_[vi];
    Answer popped{cycle_count_ + 2, vi, !cache.empty(), heads_[vi], {}};
    if (popped.found) {
      popped.desc = cache.front();
      cache.pop_front();
      ++heads_[vi];
    }
    answers_.push_back(popped);
  }
  if (dut_.xl_valid_o && dut_.xl_ready_i) {
    EXPECT_EQ(dut_.xl_write_o, 0);
    EXPECT_GE(dut_.xl_bytes_o, 1u);
    translating_ = true;
    xl_cycle_ = cycle_count_ + 2;
    xl_address_ = dut_.xl_address_o;
    xl_bytes_ = dut_.xl_bytes_o;
  }
  if (dut_.done_valid_o && dut_.done_ready_i) {
    dones.emplace_back(dut_.done_vi_o, dut_.done_idx_o);
    note("done vi " + std::to_string(dut_.done_vi_o) + " idx " + std::to_string(dut_.done_idx_o));
  }
}

void TxDmaBench::observe_reads() {
  pio_asked_ = dut_.pio_rd_valid_o;
  pio_vi_ = dut_.pio_rd_vi_o;
  pio_line_ = dut_.pio_rd_line_o;
  if (!dut_.pr_valid_o || !dut_.pr_ready_i) return;
  TxRead read;
  read.tag = dut_.pr_tag_o;
  read.vi = dut_.pr_vi_o;
  read.bytes = dut_.pr_bytes_o;
  read.lane = dut_.pr_lane_o;
  read.address = dut_.pr_address_o;
  read.due_cycle = cycle_count_ + latency_cycles;
  EXPECT_TRUE(tags_.insert(read.tag).second) << "a tag that is in use";
  reads.push_back(read);
  in_flight_.push_back(read);
  note("read vi " + std::to_string(read.vi) + " address " + std::to_string(read.address));
}

std::vector<uint8_t> TxDmaBench::expected(const TxHanded& packet) const {
  std::vector<uint8_t> bytes;
  for (const auto& [index, desc] : given_.at(packet.vi)) {
    if (index < packet_begin_.at(packet.vi) || index >= packet.end_idx) continue;
    const pst_tx_desc words{{desc.lo, desc.hi}};
    if (pst_tx_desc_get_type(&words) != PST_TX_DESC_TYPE_DATA) continue;
    for (uint32_t i = 0; i < pst_tx_desc_get_length_bytes(&words); ++i) {
      const uint64_t address = pst_tx_desc_get_address(&words) + i;
      bytes.push_back(desc.pio ? pio_byte(packet.vi, static_cast<uint32_t>(address)) : memory(address));
    }
  }
  return bytes;
}

void TxDmaBench::expect_content(const TxHanded& packet) const {
  const uint32_t offset = packet.first % kLineBytes;
  const auto& content = packet.content;
  ASSERT_GE(content.size(), offset + packet.bytes);
  EXPECT_TRUE(std::equal(content.begin() + offset, content.begin() + offset + packet.bytes, packet.expected.begin()))
      << "bytes of packet " << packet.end_idx << " of VI " << packet.vi;
}

void TxDmaBench::observe_packet() {
  if (!dut_.pk_valid_o || !dut_.pk_ready_i) return;
  TxHanded packet;
  packet.vi = dut_.pk_vi_o;
  packet.first = dut_.pk_first_o;
  packet.bytes = dut_.pk_bytes_o;
  packet.mss = dut_.pk_mss_o;
  packet.insert = dut_.pk_vlan_insert_o;
  packet.tci = dut_.pk_vlan_tci_o;
  packet.end_idx = dut_.pk_end_idx_o;
  packet.drop = dut_.pk_drop_o;
  packet.reason = dut_.pk_drop_reason_o;
  packet.l3 = dut_.pk_l3_o;
  packet.l4 = dut_.pk_l4_o;
  packet.segment = dut_.pk_segment_o;
  packet.any_source = dut_.pk_any_source_o;
  if (!packet.drop) {
    packet.expected = expected(packet);
    EXPECT_EQ(packet.bytes, packet.expected.size());
  }
  // One that is dropped with its VI may be of an earlier life.
  if (!packet.drop ||
      (packet.reason != PST_DROP_REASON_TX_VI_HALTED && packet.reason != PST_DROP_REASON_TX_DMA_FAULT)) {
    packet_begin_[packet.vi] = packet.end_idx;
  }
  handed.push_back(packet);
  handed_ns.push_back(now_ns());
  jobs_.push_back({packet, 0});
  note("packet vi " + std::to_string(packet.vi) + " end " + std::to_string(packet.end_idx) + " drop " +
       std::to_string(packet.drop));
}

void TxDmaBench::observe_reports() {
  if (dut_.ev_valid_o && dut_.ev_ready_i) {
    EXPECT_EQ(dut_.ev_op_o, 0) << "OP_POST";
    const pst_tx_event words{
        {uint64_t{dut_.ev_data_o[1]} << 32 | dut_.ev_data_o[0], uint64_t{dut_.ev_data_o[3]} << 32 | dut_.ev_data_o[2]}};
    EXPECT_EQ(pst_tx_event_get_type(&words), static_cast<uint64_t>(PST_EVENT_TYPE_TX));
    TxEvent event;
    event.vi = dut_.ev_vi_o;
    event.consumer_idx = static_cast<uint32_t>(pst_tx_event_get_tx_consumer_idx(&words));
    event.timed = pst_tx_event_get_timestamp_valid(&words) != 0;
    event.time_ns = pst_tx_event_get_timestamp_ns(&words);
    events.push_back(event);
    event_answer_ = answer(event);
    note("event vi " + std::to_string(event.vi) + " idx " + std::to_string(event.consumer_idx));
  }
  if (dut_.halt_valid_o && dut_.halt_ready_i) {
    halts.push_back({dut_.halt_vi_o, dut_.halt_source_o, dut_.halt_code_o, dut_.halt_index_o});
    note("halt vi " + std::to_string(dut_.halt_vi_o));
  }
  if (dut_.drop_valid_o) {
    EXPECT_EQ(dut_.drop_vi_valid_o, 1);
    drops.push_back({dut_.drop_vi_o, dut_.drop_reason_o});
    note("drop vi " + std::to_string(dut_.drop_vi_o) + " reason " + std::to_string(dut_.drop_reason_o));
  }
  if (dut_.count_packet_o) ++packets[dut_.count_packet_vi_o];
  if (dut_.count_sent_o) ++sent[dut_.count_sent_vi_o];
  if (dut_.life_done_o) {
    ++life_done_count;
    note("life done");
  }
}

}  // namespace postern::rtl_test
