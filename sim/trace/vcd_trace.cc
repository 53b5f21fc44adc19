// Signals and the file; see the header.
#include "sim/trace/vcd_trace.h"

#include <fmt/format.h>
#include <fnmatch.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "sim/monitor/contract_shadow.h"

namespace postern::sim {
namespace {

constexpr uint64_t kPulsePs = 1000;        // width of an interrupt's or a DMA access' mark
constexpr uint32_t kFrameBytesMin = 60;    // without FCS; shorter ones are padded (IEEE 802.3, 3.2.8)
constexpr uint32_t kFrameExtraBytes = 12;  // preamble, start of frame and FCS
constexpr uint32_t kTlpBytes = 24;         // assumed: header with 64-bit address, sequence number, LCRC, framing
constexpr double kLaneGbps[] = {0, 2, 4, 7.876923, 15.753846, 31.507692};  // by generation, after line coding

double property_of(const ObserverSite& site, const char* name, double otherwise) {
  for (const Property& property : site.properties) {
    if (property.name == name) return property.value;
  }
  return otherwise;
}

// Time on a PCIe link and on the wire, from the NIC's properties.
struct LinkTimes {
  double wire_ps_per_byte = 800, pcie_ps_per_byte = 127;
  uint32_t mps_bytes = 256;

  explicit LinkTimes(const ObserverSite& site) {
    wire_ps_per_byte = 8e6 / std::max(property_of(site, "mac_port.rate_mbps", 10'000), 1.0);
    const auto generation = static_cast<size_t>(property_of(site, "pcie_link.generation", 3));
    const double lanes = std::max(property_of(site, "pcie_link.lanes", 8), 1.0);
    pcie_ps_per_byte = 8000 / (kLaneGbps[std::clamp<size_t>(generation, 1, 5)] * lanes);
    mps_bytes = std::max(static_cast<uint32_t>(property_of(site, "pcie_link.mps_bytes", 256)), 1U);
  }
  [[nodiscard]] uint64_t frame_ps(size_t bytes) const {
    const size_t on_wire = std::max<size_t>(bytes, kFrameBytesMin) + kFrameExtraBytes;
    return static_cast<uint64_t>(static_cast<double>(on_wire) * wire_ps_per_byte);
  }
  [[nodiscard]] uint64_t transfer_ps(uint32_t bytes) const {
    const uint32_t tlps = std::max((bytes + mps_bytes - 1) / mps_bytes, 1U);
    return static_cast<uint64_t>((bytes + uint64_t{tlps} * kTlpBytes) * pcie_ps_per_byte);
  }
};

std::string identifier(uint32_t signal) {  // printable characters from '!' on
  std::string text;
  do {
    text += static_cast<char>('!' + signal % 94);
    signal /= 94;
  } while (signal != 0);
  return text;
}

// The path of vcd2fst; empty: not installed.
std::string converter() {
  const char* path = std::getenv("PATH");
  const std::string folders = path == nullptr ? "/usr/bin:/bin" : path;
  for (size_t begin = 0; begin <= folders.size();) {
    const size_t end = std::min(folders.find(':', begin), folders.size());
    const std::string program = folders.substr(begin, end - begin) + "/vcd2fst";
    if (access(program.c_str(), X_OK) == 0) return program;
    begin = end + 1;
  }
  return "";
}

}  // namespace

class VcdTrace::Observer : public ContractShadow, private ShadowListener {
 public:
  Observer(VcdTrace& trace, const ObserverSite& site) : trace_(trace), host_(site.host.name), times_(site) {
    add_listener(*this);
    interrupt_ = trace_.signal(host_, "", "interrupt", 1);
    vector_ = trace_.signal(host_, "", "interrupt_vector", 32);
    sent_.signal = trace_.signal(host_, "", "wire_tx", 1);
    received_.signal = trace_.signal(host_, "", "wire_rx", 1);
    dma_read_ = trace_.signal(host_, "", "dma_read", 1);
    dma_write_ = trace_.signal(host_, "", "dma_write", 1);
    pcie_up_.signal = trace_.signal(host_, "", "pcie_up_busy", 1);
    pcie_down_.signal = trace_.signal(host_, "", "pcie_down_busy", 1);
    link_ = trace_.signal(host_, "", "link_up", 1);
  }

  void interrupt(uint64_t now_ps, uint32_t vector) override {
    trace_.change(vector_, now_ps, vector);
    pulse(interrupt_, now_ps);
    busy_until(pcie_up_, now_ps, times_.transfer_ps(sizeof(uint32_t)));
    for (uint32_t id = 0; id < vi_id_limit(); ++id) {
      if (vi(id) != nullptr && vi(id)->exists() && vi(id)->vector == vector) trace_.change(of(id).primed, now_ps, 0);
    }
  }
  void frame_sent(uint64_t now_ps, const FramePtr& frame) override {
    busy_until(sent_, now_ps, times_.frame_ps(frame->bytes.size()));
  }
  void frame_received(uint64_t now_ps, const FramePtr& frame) override {
    busy_until(received_, now_ps, times_.frame_ps(frame->bytes.size()));
  }
  void bar_written(uint64_t issue_ps, unsigned bar, uint64_t offset, const uint8_t* data, uint32_t bytes) override {
    busy_from(pcie_down_, issue_ps, times_.transfer_ps(bytes));
    ContractShadow::bar_written(issue_ps, bar, offset, data, bytes);
  }
  void link_changed(uint64_t now_ps, bool up) override { trace_.change(link_, now_ps, up ? 1 : 0); }
  void dma_read(uint64_t now_ps, uint64_t address, const uint8_t* data, uint32_t bytes, bool reached) override {
    pulse(dma_read_, now_ps);
    busy_from(pcie_down_, now_ps, times_.transfer_ps(bytes));
    ContractShadow::dma_read(now_ps, address, data, bytes, reached);
  }
  void dma_written(uint64_t now_ps, uint64_t address, const uint8_t* data, uint32_t bytes, bool reached) override {
    pulse(dma_write_, now_ps);
    busy_until(pcie_up_, now_ps, times_.transfer_ps(bytes));
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

  // A level that is 1 while something is under way, one after the other.
  struct Busy {
    uint32_t signal = kUnwanted;
    uint64_t end_ps = 0;
  };

  void busy_until(Busy& busy, uint64_t end_ps, uint64_t duration_ps) {
    occupy(busy, std::max(busy.end_ps, end_ps - std::min(end_ps, duration_ps)), end_ps);
  }
  void busy_from(Busy& busy, uint64_t begin_ps, uint64_t duration_ps) {
    const uint64_t from_ps = std::max(busy.end_ps, begin_ps);
    occupy(busy, from_ps, from_ps + duration_ps);
  }
  void occupy(Busy& busy, uint64_t from_ps, uint64_t to_ps) {
    if (to_ps <= from_ps) return;
    trace_.change(busy.signal, from_ps, 1);
    trace_.change(busy.signal, to_ps, 0);
    busy.end_ps = to_ps;
  }
  // A VI that begins or is gone.
  void reset(uint32_t id, uint64_t now_ps) {
    const ViSignals& s = of(id);
    for (const uint32_t signal :
         {s.rx_doorbell, s.tx_doorbell, s.evq_consumer, s.rx_ring, s.tx_ring, s.evq_depth, s.primed}) {
      trace_.change(signal, now_ps, 0);
    }
    const bool runs = vi(id) != nullptr && vi(id)->exists();
    trace_.change(s.evq_credits, now_ps, runs ? vi(id)->evq_entries : 0);
  }
  void command_completed(uint64_t now_ps, const ShadowCommand& command, const pst_admin_completion& answer) override {
    if (pst_admin_completion_get_status(&answer) != PST_ERROR_CODE_OK) return;
    const uint64_t opcode = pst_command_get_opcode(&command.command);
    if (opcode == PST_COMMAND_VI_ALLOC) {
      reset(static_cast<uint32_t>(pst_admin_completion_get_result(&answer)), now_ps);
    } else if (opcode == PST_COMMAND_VI_RESET || opcode == PST_COMMAND_VI_FREE) {
      reset(static_cast<uint32_t>(pst_command_get_target_id(&command.command)), now_ps);
    }
  }
  void reset_completed(uint64_t now_ps) override {
    for (const auto& [id, signals] : vis_) reset(id, now_ps);
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
  const LinkTimes times_;
  uint32_t interrupt_, vector_, dma_read_, dma_write_, link_;
  Busy sent_, received_, pcie_up_, pcie_down_;
  std::map<uint32_t, ViSignals> vis_;
};

Status VcdTrace::open(const std::string& path, const std::string& globs, const TraceWindow& window) {
  path_ = path;
  window_ = window;
  constexpr size_t kEndingBytes = 4;
  if (path.size() > kEndingBytes && path.compare(path.size() - kEndingBytes, kEndingBytes, ".fst") == 0) {
    if (converter().empty()) {
      return Error{ENOENT, path +
                               ": an FST needs the program vcd2fst: install Debian's package gtkwave, or choose a "
                               "name that ends with .vcd"};
    }
    fst_path_ = path;
    path_ += ".vcd";
  }
  for (size_t begin = 0; begin < globs.size();) {
    const size_t end = std::min(globs.find(',', begin), globs.size());
    if (end > begin) globs_.push_back(globs.substr(begin, end - begin));
    begin = end + 1;
  }
  file_ = std::fopen(path_.c_str(), "wbe");
  if (file_ == nullptr) {
    const int code = errno;
    return Error{code,
                 fmt::format("cannot write {}: {}; choose a path in a writable directory", path_, std::strerror(code))};
  }
  return {};
}

VcdTrace::~VcdTrace() {
  if (file_ != nullptr) std::fclose(file_);
}

ObserverFactory VcdTrace::factory() {
  return [this](const ObserverSite& site) -> std::shared_ptr<BoundaryObserver> {
    return std::make_shared<Observer>(*this, site);
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
  return fst_path_.empty() ? Status{} : convert();
}

Status VcdTrace::convert() const {
  std::string program = converter();
  std::string from = path_;
  std::string to = fst_path_;
  char* const arguments[] = {program.data(), from.data(), to.data(), nullptr};
  pid_t child = -1;
  int status = -1;
  const int problem = posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments, environ);
  if (problem == 0) {
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  }
  if (problem != 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return Error{EIO, fmt::format("{} could not write {}; the signals are in {}", program, fst_path_, path_)};
  }
  unlink(path_.c_str());
  return {};
}

}  // namespace postern::sim
