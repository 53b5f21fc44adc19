// Rest, and what is compared then. See twin.h.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "sim/replay/trace_file.h"
#include "tests/equivalence/twin.h"

namespace postern::equivalence {
namespace {

using namespace hw_model::test;  // NOLINT(google-build-using-namespace): the bench

constexpr uint64_t kStepNs = 2000;
constexpr uint64_t kQuietNs = 10'000;  // longer than any hold-off, timer, or gap of a rate limit
constexpr uint64_t kRestNsMost = 20'000'000;
constexpr size_t kHistoryLines = 24;
constexpr size_t kRxSlotBytes = 2048;  // TestVi posts buffers so far apart
// Left out: events (TX batches), merged_events and merged_frames (which frames meet in an event depends on time),
// depths, hold-off and busy times, what the PCIe link moves, pause and faults, which the twin does not have.
constexpr const char* kCounters[] = {
    "tx.frames", "tx.bytes",     "tx.packets",      "tx.extra_frames", "tx.loopback",      "rx.frames",
    "rx.bytes",  "rx.delivered", "rx.extra_copies", "interrupts",      "bad_accesses",     "bad_resets",
    "vi.active", "filters",      "events_lost",     "events_dropped",  "doorbells_ignored"};
// Of evq_stalls, whether there were any since VI_ALLOC or reset_busy: the model tries a waiting frame, and counts it,
// also when descriptors come.
constexpr const char* kStalls = ".evq_stalls";
constexpr const char* kViCounters[] = {".interrupts", ".wakeup_events",  ".tx_packets",     ".rx_packets", ".drops",
                                       ".primes",     ".events_dropped", ".overflow_marks", ".adaptive",   kStalls};

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

bool compared(const std::string& name) {
  if (name.rfind("drops.", 0) == 0) return true;
  if (std::find(std::begin(kCounters), std::end(kCounters), name) != std::end(kCounters)) return true;
  const size_t dot = name.find('.');
  if (name.rfind("vi", 0) != 0 || dot == std::string::npos || name == "vi.active") return false;
  return std::find(std::begin(kViCounters), std::end(kViCounters), name.substr(dot)) != std::end(kViCounters);
}

std::string words(const char* what, const pst_event& event) {
  return fmt::format("{} {:016x} {:016x}", what, event.word[1], event.word[0]);
}

std::string event_text(const pst_event& event) {
  switch (pst_event_get_type(&event)) {
    case PST_EVENT_TYPE_RX:
      return words("RX", event);
    case PST_EVENT_TYPE_TX:
      return words("TX", event);
    case PST_EVENT_TYPE_TIMER:
      return words("TIMER", event);
    case PST_EVENT_TYPE_ERROR:
      return words("ERROR", event);
    case PST_EVENT_TYPE_WAKEUP:
      return words("WAKEUP", event);
    default:
      return words("unknown", event);
  }
}

// What is left when all is taken out that depends on how many descriptors an event completes, and on the time.
pst_event without_batch(pst_tx_event event) {
  pst_tx_event_set_type(&event, 0);
  pst_tx_event_set_tx_consumer_idx(&event, 0);
  // One side may complete more packets with it, behind another event. Those with a stamp are compared one by one.
  if (pst_tx_event_get_timestamp_valid(&event) != 0) pst_tx_event_set_timestamp_ns(&event, 0);
  pst_tx_event_set_timestamp_valid(&event, 0);
  return {{event.word[0], event.word[1]}};
}

std::string hex(const std::vector<uint8_t>& bytes) {
  std::string text = fmt::format("{} bytes", bytes.size());
  for (size_t i = 0; i < bytes.size() && i < 64; ++i) text += fmt::format("{}{:02x}", i % 4 == 0 ? " " : "", bytes[i]);
  return bytes.size() > 64 ? text + fmt::format(" ... (hash {:016x})", sim::trace_hash(bytes.data(), bytes.size()))
                           : text;
}

}  // namespace

uint64_t Twin::activity() const {
  uint64_t sum = 0;
  for (const auto& node : nodes_) sum += node->dma.size() + node->frame_count + node->interrupts.size();
  return sum;
}

bool Twin::rest() {
  uint64_t seen = activity();
  uint64_t quiet_ns = 0;
  for (uint64_t waited_ns = 0; waited_ns < kRestNsMost; waited_ns += kStepNs) {
    run_ns(kStepNs);
    quiet_ns = activity() == seen ? quiet_ns + kStepNs : 0;
    if (quiet_ns >= kQuietNs) return true;
    seen = activity();
  }
  return false;
}

void Twin::settle() {
  if (!difference_.empty()) return;
  if (!rest()) {
    differ(fmt::format("no rest within {} ms", kRestNsMost / 1'000'000));
    return;
  }
  ++counts_.settled;
  dirty_ = false;
  compare();
  uint32_t wakeups = 0;  // that may come as events
  for (const Seat& seat : seats_) wakeups += seat.primed && seat.wakes_vi ? 1 : 0;
  for (Seat& seat : seats_) {
    seat.posted = seat.short_of_buffers = seat.sent = seat.timer = false;
    if (seat.side[0].vi != nullptr) seat.rx_idx = seat.side[0].vi->rx_idx;
    seat.descriptors = seat.tx_bytes = 0;
    seat.events = wakeups;
  }
}

void Twin::rest_first() {
  if (dirty_) settle();
}

void Twin::compare() {
  for (unsigned side = 0; side < kSides; ++side) keep_history(side);
  for (uint32_t i = 0; i < kSeats && difference_.empty(); ++i) compare_vi(i);
  if (difference_.empty()) compare_frames();
  if (difference_.empty()) compare_interrupts();
  if (difference_.empty()) compare_counters();
  for (unsigned side = 0; side < kSides && heeds_monitors_ && difference_.empty(); ++side) {
    const sim::BoundaryMonitor& monitor = nodes_[side]->monitored->monitor();
    if (monitor.violation_count() != 0)
      differ(fmt::format("the monitor of the {}:\n{}", kSideNames[side], monitor.text()));
  }
}

// --- events and memory of a VI --------------------------------------------------------------------------------------

void Twin::read_story(uint32_t index, unsigned side, Story& story) {
  Seat& seat = seats_[index];
  ViSide& own = seat.side[side];
  const uint32_t entries = seat.options.evq_entries;
  const auto slot = [&](uint32_t idx) {
    return nodes_[side]->at<pst_event>(own.vi->base + kEvq + idx % entries * PST_EVENT_BYTES);
  };
  for (uint32_t most = entries; most > 0; --most, ++own.seen_idx) {
    pst_event event = slot(own.seen_idx);
    if (pst_event_get_phase(&event) != (own.seen_idx / entries & 1 ? 0u : 1u)) break;
    own.slots[own.seen_idx % entries] = event;
    pst_event_set_phase(&event, 0);
    story.overflow |= pst_event_get_overflow_mark(&event) != 0;
    pst_event_set_overflow_mark(&event, 0);
    if (pst_event_get_type(&event) == PST_EVENT_TYPE_TX) {
      const pst_tx_event tx{{event.word[0], event.word[1]}};
      const auto done_idx = static_cast<uint32_t>(pst_tx_event_get_tx_consumer_idx(&tx));
      const bool stamped = pst_tx_event_get_timestamp_valid(&tx) != 0;
      if (static_cast<int32_t>(done_idx - own.tx_done_idx) < 0)
        differ(fmt::format("VI of seat {}, {}: TX completions went back to {}", index, kSideNames[side], done_idx));
      own.tx_done_idx = done_idx;
      if (stamped) story.stamped.push_back(fmt::format("TX with a time stamp, up to {}", done_idx));
      const pst_event rest = without_batch(tx);
      for (unsigned word = 0; word < 2; ++word) story.tx_other_bits.word[word] |= rest.word[word];
    } else if (pst_event_get_type(&event) == PST_EVENT_TYPE_RX) {
      pst_rx_event rx{{event.word[0], event.word[1]}};
      const auto count = static_cast<uint32_t>(pst_rx_event_get_desc_count(&rx));
      const auto end_idx = static_cast<uint32_t>(pst_rx_event_get_rx_consumer_idx(&rx));
      const bool each = pst_rx_event_get_merged(&rx) != 0;
      for (uint32_t i = 0; i < count; ++i)
        story.buffers.emplace_back(end_idx - count + i, (each || i == 0) && pst_rx_event_get_prefix_present(&rx) != 0);
      if (each || (seat.options.merge_count > 1 && count == 1)) {
        pst_rx_event_set_merged(&rx, 0);
        pst_rx_event_set_length_bytes(&rx, 0);
        pst_rx_event_set_desc_count(&rx, 1);
        for (uint32_t i = 1; i <= count; ++i) {
          pst_rx_event_set_rx_consumer_idx(&rx, end_idx - count + i);
          story.rx.push_back(event_text({{rx.word[0], rx.word[1]}}));
        }
      } else {
        story.rx.push_back(event_text(event));
      }
      own.rx_done_idx = end_idx;
    } else {
      if (pst_event_get_type(&event) == PST_EVENT_TYPE_ERROR) {
        seat.halted = true;
        pst_error_event error{{event.word[0], event.word[1]}};
        // An index of the event queue counts the TX events before it.
        if (pst_error_event_get_source(&error) == PST_ERROR_SOURCE_EVQ) pst_error_event_set_index(&error, 0);
        event = {{error.word[0], error.word[1]}};
      }
      story.others.push_back(event_text(event));
    }
  }
}

void Twin::compare_lists(const std::string& what, const std::vector<std::string>& model,
                         const std::vector<std::string>& rtl) {
  if (!difference_.empty() || model == rtl) return;
  size_t at = 0;
  while (at < model.size() && at < rtl.size() && model[at] == rtl[at]) ++at;
  differ(fmt::format("{}, number {} since the last comparison: model \"{}\" (of {}), rtl \"{}\" (of {})", what, at,
                     at < model.size() ? model[at] : "none", model.size(), at < rtl.size() ? rtl[at] : "none",
                     rtl.size()));
}

void Twin::compare_vi(uint32_t index) {
  Seat& seat = seats_[index];
  if (seat.side[0].vi == nullptr) return;
  std::array<Story, kSides> story;
  for (unsigned side = 0; side < kSides; ++side) read_story(index, side, story[side]);
  const std::string who = fmt::format("VI of seat {}", index);
  compare_lists(who + ": RX events", story[0].rx, story[1].rx);
  compare_lists(who + ": TX events with time stamps", story[0].stamped, story[1].stamped);
  // Wakeups of several VIs meet in this queue as they come.
  for (Story& one : story) std::sort(one.others.begin(), one.others.end());
  compare_lists(who + ": other events", story[0].others, story[1].others);
  if (!difference_.empty()) return;
  if (seat.side[0].tx_done_idx != seat.side[1].tx_done_idx) {
    return differ(fmt::format("{}: end of TX completions: model {}, rtl {}", who, seat.side[0].tx_done_idx,
                              seat.side[1].tx_done_idx));
  }
  compare_lists(who + ": other bits of TX events", {event_text(story[0].tx_other_bits)},
                {event_text(story[1].tx_other_bits)});
  if (!seat.halted && seat.side[0].tx_done_idx != seat.side[0].vi->tx_idx) {
    return differ(
        fmt::format("{}: both completed TX up to {} of {}", who, seat.side[0].tx_done_idx, seat.side[0].vi->tx_idx));
  }
  if (story[0].overflow != story[1].overflow)
    return differ(fmt::format("{}: overflow marks: model {}, rtl {}", who, story[0].overflow, story[1].overflow));
  compare_buffers(index, story[0]);
  counts_.rx_events += story[0].rx.size();
  counts_.other_events += story[0].others.size();
  // At rest, a prime behind which an event lies has fired.
  if (seat.primed && seat.side[0].seen_idx != seat.side[0].prime_idx) {
    seat.primed = false;
    seat.pending = seat.masked;
  }
}

// Whole slots, so that a write beyond the buffer shows as well.
void Twin::compare_buffers(uint32_t index, const Story& story) {
  Seat& seat = seats_[index];
  for (const auto& [idx, prefixed] : story.buffers) {
    uint8_t* bytes[kSides] = {seat.side[0].vi->rx_buffer(idx), seat.side[1].vi->rx_buffer(idx)};
    if (prefixed) {
      for (uint8_t* buffer : bytes) std::memset(buffer + PST_RX_PREFIX_TIMESTAMP_NS_WORD * 8, 0, 8);
    }
    if (std::memcmp(bytes[0], bytes[1], kRxSlotBytes) == 0) continue;
    const auto* at = std::mismatch(bytes[0], bytes[0] + kRxSlotBytes, bytes[1]).first;
    return differ(fmt::format("VI of seat {}: buffer of RX descriptor {} from byte {} on: model {}, rtl {}", index, idx,
                              at - bytes[0], hex({bytes[0], bytes[0] + kRxSlotBytes}),
                              hex({bytes[1], bytes[1] + kRxSlotBytes})));
  }
}

// The event queue holds what was seen, from beginning to end, and nothing lies behind it.
void Twin::compare_slots(uint32_t index) {
  const Seat& seat = seats_[index];
  const uint64_t begin = kViArea + index * kViAreaBytes + kEvq;
  for (unsigned side = 0; side < kSides && difference_.empty(); ++side) {
    std::vector<pst_event> expected = seat.side[side].slots;
    expected.resize(kEvqBytesMost / PST_EVENT_BYTES);
    for (size_t slot = 0; slot < expected.size(); ++slot) {
      const auto& event = nodes_[side]->at<pst_event>(begin + slot * PST_EVENT_BYTES);
      if (std::memcmp(&event, &expected[slot], PST_EVENT_BYTES) == 0) continue;
      return differ(fmt::format("VI of seat {}: event queue of the {}, slot {}: \"{}\" was seen, \"{}\" is there",
                                index, kSideNames[side], slot, event_text(expected[slot]), event_text(event)));
    }
  }
}

void Twin::compare_memory(const std::string& what, uint64_t begin, uint64_t end) {
  if (!difference_.empty()) return;
  const uint8_t* model = nodes_[0]->memory.data();
  const uint8_t* rtl = nodes_[1]->memory.data();
  if (std::memcmp(model + begin, rtl + begin, end - begin) == 0) return;
  const auto at = static_cast<uint64_t>(std::mismatch(model + begin, model + end, rtl + begin).first - model);
  differ(
      fmt::format("{} differ at the end: model {:#04x}, rtl {:#04x} at {:#x}", what, model[at], rtl[at], at - begin));
}

// --- the rest -------------------------------------------------------------------------------------------------------

std::string Twin::frame_text(const sim::EthernetFrame& frame) {
  return hex(frame.bytes) + (frame.bad_fcs ? ", damaged" : "");
}

// A frame's destination is its own VI's: frames of one VI keep their order.
void Twin::compare_frames() {
  using Flow = std::array<uint8_t, 6>;
  std::map<Flow, std::array<std::vector<sim::FramePtr>, kSides>> flows;
  for (unsigned side = 0; side < kSides; ++side) {
    for (const WireFrame& sent : nodes_[side]->wire) {
      Flow flow{};
      std::copy_n(sent.frame->bytes.begin(), std::min(flow.size(), sent.frame->bytes.size()), flow.begin());
      flows[flow][side].push_back(sent.frame);
    }
  }
  counts_.frames += nodes_[0]->wire.size();
  for (const auto& [flow, frames] : flows) {
    const auto same = [](const sim::FramePtr& a, const sim::FramePtr& b) {
      return a->bytes == b->bytes && a->bad_fcs == b->bad_fcs;
    };
    if (std::equal(frames[0].begin(), frames[0].end(), frames[1].begin(), frames[1].end(), same)) continue;
    std::array<std::vector<std::string>, kSides> texts;
    for (unsigned side = 0; side < kSides; ++side) {
      for (const sim::FramePtr& frame : frames[side]) texts[side].push_back(frame_text(*frame));
    }
    compare_lists("frames sent to " + hex({flow.begin(), flow.end()}), texts[0], texts[1]);
  }
  for (auto& node : nodes_) node->wire.clear();
}

void Twin::compare_interrupts() {
  std::map<uint32_t, std::array<uint32_t, kSides>> counts;
  for (unsigned side = 0; side < kSides; ++side) {
    for (const Interrupt& interrupt : nodes_[side]->interrupts) ++counts[interrupt.vector][side];
  }
  for (const auto& [vector, count] : counts) {
    counts_.interrupts += count[0];
    if (count[0] != count[1])
      return differ(fmt::format("interrupts of vector {}: model {}, rtl {}", vector, count[0], count[1]));
  }
  for (auto& node : nodes_) node->interrupts.clear();
}

void Twin::compare_counters() {
  std::map<std::string, std::array<uint64_t, kSides>> counters;
  for (unsigned side = 0; side < kSides; ++side) {
    for (const sim::Counter& counter : nodes_[side]->device().counters()) {
      if (!compared(counter.name)) continue;
      const auto base = counter_base_[side].find(counter.name);
      const uint64_t value = counter.value - (base == counter_base_[side].end() ? 0 : base->second);
      counters[counter.name][side] = ends_with(counter.name, kStalls) ? std::min<uint64_t>(value, 1) : value;
    }
  }
  std::string text;
  for (const auto& [name, value] : counters) {
    if (value[0] != value[1])
      text += fmt::format("{}counter {}: model {}, rtl {}", text.empty() ? "" : "; ", name, value[0], value[1]);
  }
  if (!text.empty()) differ(text);
}

void Twin::differ(const std::string& what) {
  if (!difference_.empty()) return;
  difference_ = what + "\nVIs of the seats:";
  for (const Seat& seat : seats_) difference_ += seat.side[0].vi ? fmt::format(" {}", seat.side[0].vi->id) : " none";
  difference_ += "\nthe last operations:\n";
  for (const std::string& line : operations_) difference_ += "  " + line + "\n";
  for (unsigned side = 0; side < kSides; ++side) difference_ += history_text(side);
}

// The last writes of the device, its frames and interrupts, by time.
void Twin::keep_history(unsigned side) {
  Node& node = *nodes_[side];
  std::deque<HistoryLine>& history = history_[side];
  const auto add = [&](HistoryLine line) {
    history.push_back(std::move(line));
    if (history.size() > kHistoryLines * 3) history.pop_front();
  };
  for (const DmaAccess& access : node.dma) {
    if (!access.write) continue;
    HistoryLine line{access.time_ps, access.address, access.bytes, {}, nullptr, false};
    if (access.bytes == PST_EVENT_BYTES) line.event = node.at<pst_event>(access.address);
    add(line);
  }
  for (const WireFrame& sent : node.wire) add({sent.time_ps, 0, 0, {}, sent.frame, false});
  for (const Interrupt& interrupt : node.interrupts) add({interrupt.time_ps, interrupt.vector, 0, {}, nullptr, false});
  node.dma.clear();
}

std::string Twin::history_text(unsigned side) const {
  std::vector<HistoryLine> lines(history_[side].begin(), history_[side].end());
  std::stable_sort(lines.begin(), lines.end(),
                   [](const HistoryLine& a, const HistoryLine& b) { return a.time_ps < b.time_ps; });
  std::string text = fmt::format("{}:\n", kSideNames[side]);
  for (size_t i = lines.size() - std::min(lines.size(), kHistoryLines); i < lines.size(); ++i) {
    const HistoryLine& line = lines[i];
    text += fmt::format("  {:.3f} us ", static_cast<double>(line.time_ps) / 1e6);
    if (line.frame != nullptr) {
      text += (line.arrived ? "receives " : "sends ") + hex(line.frame->bytes) + "\n";
    } else if (line.bytes == 0) {
      text += fmt::format("interrupt of vector {}\n", line.place);
    } else {
      text += fmt::format("writes {} bytes at {:#x}", line.bytes, line.place);
      const uint64_t offset = (line.place - kViArea) % kViAreaBytes;
      const bool in_queue = line.place >= kViArea && offset >= kEvq && offset < kRxBuffers;
      text += in_queue ? fmt::format(", seat {}: {}\n", (line.place - kViArea) / kViAreaBytes, event_text(line.event))
                       : "\n";
    }
  }
  return text;
}

void Twin::finish() {
  settle();
  if (!difference_.empty()) return;
  // What STATISTICS_READ wrote has been compared, but for what may differ.
  for (auto& node : nodes_) std::memset(&node->at<uint64_t>(kScratch), 0, PST_PORT_STATISTICS_BYTES);
  compare_memory("memory before the VIs'", 0, kViArea);
  for (uint32_t i = 0; i < kSeats; ++i) {
    const uint64_t begin = kViArea + i * kViAreaBytes;
    compare_slots(i);
    compare_memory(fmt::format("VI of seat {}: descriptor rings", i), begin, begin + kEvq);
    compare_memory(fmt::format("VI of seat {}: behind the event queue", i), begin + kEvq + kEvqBytesMost,
                   begin + kRxBuffers);
    compare_memory(fmt::format("VI of seat {}: receive buffers, where no event announced anything,", i),
                   begin + kRxBuffers, begin + kTxBuffers);
    compare_memory(fmt::format("VI of seat {}: transmit buffers", i), begin + kTxBuffers, begin + kViAreaBytes);
  }
  compare_memory("memory behind the VIs'", kViArea + kSeats * kViAreaBytes, nodes_[0]->memory.size());
  for (auto& node : nodes_) {
    if (heeds_monitors_) node->finish_monitor();
  }
}

}  // namespace postern::equivalence
