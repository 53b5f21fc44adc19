// Signals and the file; see the header.
#include "sim/trace/vcd_trace.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "sim/monitor/contract_shadow.h"

namespace postern::sim {
namespace {

constexpr uint64_t kPulsePs = 1000;  // width of an interrupt or a frame's mark

std::string identifier(uint32_t signal) {  // printable characters from '!' on
  std::string text;
  do {
    text += static_cast<char>('!' + signal % 94);
    signal /= 94;
  } while (signal != 0);
  return text;
}

}  // namespace

class VcdTrace::Observer : public ContractShadow, private ShadowListener {
 public:
  Observer(VcdTrace& trace, std::string host) : trace_(trace), host_(std::move(host)) {
    add_listener(*this);
    interrupt_ = trace_.signal(host_, "", "interrupt", 1);
    vector_ = trace_.signal(host_, "", "interrupt_vector", 32);
    sent_ = trace_.signal(host_, "", "wire_tx", 1);
    received_ = trace_.signal(host_, "", "wire_rx", 1);
    dma_read_ = trace_.signal(host_, "", "dma_read", 1);
    dma_write_ = trace_.signal(host_, "", "dma_write", 1);
    link_ = trace_.signal(host_, "", "link_up", 1);
  }

  void interrupt(uint64_t now_ps, uint32_t vector) override {
    trace_.change(vector_, now_ps, vector);
    pulse(interrupt_, now_ps);
    for (uint32_t id = 0; id < vi_id_limit(); ++id) {
      if (vi(id) != nullptr && vi(id)->exists() && vi(id)->vector == vector) trace_.change(of(id).primed, now_ps, 0);
    }
  }
  void frame_sent(uint64_t now_ps, const FramePtr&) override { pulse(sent_, now_ps); }
  void frame_received(uint64_t now_ps, const FramePtr&) override { pulse(received_, now_ps); }
  void link_changed(uint64_t now_ps, bool up) override { trace_.change(link_, now_ps, up ? 1 : 0); }
  void dma_read(uint64_t now_ps, uint64_t address, const uint8_t* data, uint32_t bytes, bool reached) override {
    pulse(dma_read_, now_ps);
    ContractShadow::dma_read(now_ps, address, data, bytes, reached);
  }
  void dma_written(uint64_t now_ps, uint64_t address, const uint8_t* data, uint32_t bytes, bool reached) override {
    pulse(dma_write_, now_ps);
    ContractShadow::dma_written(now_ps, address, data, bytes, reached);
  }

 private:
  struct ViSignals {
    uint32_t rx_doorbell, tx_doorbell, evq_consumer, rx_ring, tx_ring, evq_depth, evq_credits, primed;
  };

  ViSignals& of(uint32_t id) {
    const auto found = vis_.find(id);
    if (found != vis_.end()) return found->second;
    const std::string scope = fmt::format("vi{}", id);
    const auto make = [&](const char* name, unsigned width) { return trace_.signal(host_, scope, name, width); };
    return vis_[id] = {make("rx_doorbell", 32), make("tx_doorbell", 32), make("evq_consumer", 32), make("rx_ring", 16),
                       make("tx_ring", 16),     make("evq_depth", 16),   make("evq_credits", 16),  make("primed", 1)};
  }

  void pulse(uint32_t signal, uint64_t now_ps) {
    trace_.change(signal, now_ps, 1);
    trace_.change(signal, now_ps + kPulsePs, 0);
  }
  void queue(const ShadowVi& vi, uint64_t time_ps, uint32_t written, uint32_t consumed) {
    const uint32_t depth = static_cast<int32_t>(written - consumed) > 0 ? written - consumed : 0;
    trace_.change(of(vi.id).evq_depth, time_ps, depth);
    trace_.change(of(vi.id).evq_credits, time_ps, vi.evq_entries - std::min(depth, vi.evq_entries));
  }

  void doorbell(uint64_t issue_ps, const ShadowVi& vi, uint32_t offset, uint64_t value, bool) override {
    const ViSignals& signals = of(vi.id);
    const auto idx = static_cast<uint32_t>(value);
    if (offset == PST_VI_RX_DOORBELL_OFFSET) {
      trace_.change(signals.rx_doorbell, issue_ps, idx);
      trace_.change(signals.rx_ring, issue_ps, idx - vi.rx_consumer_idx);
    } else if (offset == PST_VI_TX_DOORBELL_OFFSET || offset == PST_VI_TX_PUSH_DOORBELL_OFFSET ||
               offset == PST_VI_PIO_DOORBELL_OFFSET) {
      trace_.change(signals.tx_doorbell, issue_ps, idx);
      trace_.change(signals.tx_ring, issue_ps, idx - vi.tx_consumer_idx);
    } else if (offset == PST_VI_EVQ_CONSUMER_OFFSET || offset == PST_VI_EVQ_PRIME_OFFSET) {
      trace_.change(signals.evq_consumer, issue_ps, idx);
      queue(vi, issue_ps, vi.events_written, idx);
      if (offset == PST_VI_EVQ_PRIME_OFFSET) trace_.change(signals.primed, issue_ps, 1);
    }
  }
  void event_written(uint64_t now_ps, const ShadowVi& vi, uint32_t event_idx, bool, const pst_event& event) override {
    queue(vi, now_ps, event_idx + 1, vi.evq_consumer_idx);
    if (pst_event_get_type(&event) == PST_EVENT_TYPE_TX) {
      pst_tx_event sent{};
      std::memcpy(&sent, &event, sizeof sent);
      const auto idx = static_cast<uint32_t>(pst_tx_event_get_tx_consumer_idx(&sent));
      trace_.change(of(vi.id).tx_ring, now_ps, vi.tx_producer_idx - idx);
    } else if (pst_event_get_type(&event) == PST_EVENT_TYPE_RX) {
      pst_rx_event got{};
      std::memcpy(&got, &event, sizeof got);
      const auto count = static_cast<uint32_t>(pst_rx_event_get_desc_count(&got));
      trace_.change(of(vi.id).rx_ring, now_ps, vi.rx_producer_idx - vi.rx_consumer_idx - count);
    }
  }

  VcdTrace& trace_;
  const std::string host_;
  uint32_t interrupt_, vector_, sent_, received_, dma_read_, dma_write_, link_;
  std::map<uint32_t, ViSignals> vis_;
};

Status VcdTrace::open(const std::string& path, const std::string& globs, const TraceWindow& window) {
  path_ = path;
  window_ = window;
  for (size_t begin = 0; begin < globs.size();) {
    const size_t end = std::min(globs.find(',', begin), globs.size());
    if (end > begin) globs_.push_back(globs.substr(begin, end - begin));
    begin = end + 1;
  }
  file_ = std::fopen(path.c_str(), "wbe");
  if (file_ == nullptr) {
    const int code = errno;
    return Error{code,
                 fmt::format("cannot write {}: {}; choose a path in a writable directory", path, std::strerror(code))};
  }
  return {};
}

VcdTrace::~VcdTrace() {
  if (file_ != nullptr) std::fclose(file_);
}

ObserverFactory VcdTrace::factory() {
  return [this](const ObserverSite& site) -> std::shared_ptr<BoundaryObserver> {
    return std::make_shared<Observer>(*this, site.host.name);
  };
}

uint32_t VcdTrace::signal(const std::string& host, const std::string& scope, const std::string& name, unsigned width) {
  const std::string full = host + (scope.empty() ? "." : "." + scope + ".") + name;
  const bool wanted = globs_.empty() || std::any_of(globs_.begin(), globs_.end(), [&](const std::string& glob) {
                        return fnmatch(glob.c_str(), full.c_str(), 0) == 0;
                      });
  if (!wanted) return kUnwanted;
  const auto [it, added] = by_name_.try_emplace(full, static_cast<uint32_t>(signals_.size()));
  if (added) signals_.push_back({host, scope, name, width});
  return it->second;
}

void VcdTrace::change(uint32_t signal, uint64_t time_ps, uint32_t value) {
  if (signal == kUnwanted || !window_.contains(time_ps)) return;
  if (changes_.size() >= window_.events_max) {
    cut_count_++;
    return;
  }
  changes_.push_back({time_ps, signal, value});
}

void VcdTrace::write_header() {
  fmt::print(file_, "$version Postern $end\n$timescale 1 ps $end\n");
  if (cut_count_ != 0) fmt::print(file_, "$comment {} changes left out: see --trace-max-events $end\n", cut_count_);
  for (const auto& [full, idx] : by_name_) {  // sorted; a scope may be opened again
    const Signal& s = signals_[idx];
    fmt::print(file_, "$scope module {} $end\n", s.host);
    if (!s.scope.empty()) fmt::print(file_, "$scope module {} $end\n", s.scope);
    fmt::print(file_, "$var wire {} {} {} $end\n", s.width, identifier(idx), s.name);
    fmt::print(file_, "{}$upscope $end\n", s.scope.empty() ? "" : "$upscope $end\n");
  }
  fmt::print(file_, "$enddefinitions $end\n");
}

void VcdTrace::write_changes() {
  std::stable_sort(changes_.begin(), changes_.end(),
                   [](const Change& a, const Change& b) { return a.time_ps < b.time_ps; });
  std::vector<uint32_t> values(signals_.size(), 0);
  std::vector<bool> known(signals_.size(), false);
  uint64_t time_ps = UINT64_MAX;
  for (const Change& c : changes_) {
    if (known[c.signal] && values[c.signal] == c.value) continue;
    if (c.time_ps != time_ps) fmt::print(file_, "#{}\n", c.time_ps);
    time_ps = c.time_ps;
    values[c.signal] = c.value;
    known[c.signal] = true;
    if (signals_[c.signal].width == 1) {
      fmt::print(file_, "{}{}\n", c.value & 1U, identifier(c.signal));
    } else {
      fmt::print(file_, "b{:b} {}\n", c.value & (UINT32_MAX >> (32 - signals_[c.signal].width)), identifier(c.signal));
    }
  }
}

Status VcdTrace::finish() {
  if (file_ == nullptr) return {};
  write_header();
  write_changes();
  const bool failed = std::ferror(file_) != 0;
  const bool closed = std::fclose(file_) == 0;
  file_ = nullptr;
  if (failed || !closed) return Error{EIO, fmt::format("cannot write {}: the disk may be full", path_)};
  if (signals_.empty()) return Error{EINVAL, "--vcd-signals: no signal has such a name; try \"*.vi*.evq_depth\""};
  return {};
}

}  // namespace postern::sim
