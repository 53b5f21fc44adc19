// Events of the trace; see the header. Times in the format are microseconds; six digits keep picoseconds.
#include "sim/trace/chrome_trace.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

#include "sim/monitor/contract_shadow.h"

namespace postern::sim {
namespace {

constexpr uint32_t kHostTracks = 0xffff;  // VI part of tracks that belong to no VI
constexpr unsigned kBlocksMost = 16;
constexpr unsigned kLanesMost = 4096;  // slices of a block that overlap; more are left out and counted
constexpr unsigned kNoLane = kLanesMost;
constexpr const char* kBlocks[] = {"send",        "doorbell", "desc_fetch", "tx_dma", "port_wait", "wire", "rx_dma",
                                   "event_queue", "wakeup",   "recv",       "msix",   "admin",     "port"};
enum Block : unsigned {
  kSend,
  kDoorbell,
  kDescFetch,
  kTxDma,
  kPortWait,
  kWire,
  kRxDma,
  kEventQueue,
  kWakeup,
  kRecv,
  kMsix,
  kAdmin,
  kPort
};

std::string us(uint64_t time_ps) { return fmt::format("{}.{:06}", time_ps / 1'000'000, time_ps % 1'000'000); }

}  // namespace

// Instants of one host.
class ChromeTrace::Observer : public ContractShadow, private ShadowListener {
 public:
  Observer(ChromeTrace& trace, uint32_t host) : trace_(trace), host_(host) { add_listener(*this); }

  void interrupt(uint64_t now_ps, uint32_t vector) override {
    trace_.instant(host_, kHostTracks, kMsix, fmt::format("vector {}", vector), now_ps);
  }
  void link_changed(uint64_t now_ps, bool up) override {
    trace_.instant(host_, kHostTracks, kPort, up ? "link up" : "link down", now_ps);
  }
  void fault_injected(uint64_t now_ps, const InjectedFault& fault) override {
    trace_.instant(host_, kHostTracks, kPort, fmt::format("fault {}", fault_name(fault.kind)), now_ps);
  }
  void packet_dropped(uint64_t now_ps, unsigned reason) override {
    trace_.instant(host_, kHostTracks, kPort, fmt::format("drop {}", pst_drop_reason_name(reason)), now_ps);
  }

 private:
  void doorbell(uint64_t issue_ps, const ShadowVi& vi, uint32_t offset, uint64_t value, bool) override {
    const auto idx = static_cast<uint32_t>(value);
    switch (offset) {
      case PST_VI_RX_DOORBELL_OFFSET:
        return trace_.instant(host_, vi.id, kDoorbell, fmt::format("RX {}", idx), issue_ps);
      case PST_VI_TX_DOORBELL_OFFSET:
        return trace_.instant(host_, vi.id, kDoorbell, fmt::format("TX {}", idx), issue_ps);
      case PST_VI_TX_PUSH_DOORBELL_OFFSET:
        return trace_.instant(host_, vi.id, kDoorbell, fmt::format("TX push {}", idx), issue_ps);
      case PST_VI_PIO_DOORBELL_OFFSET:
        return trace_.instant(host_, vi.id, kDoorbell, fmt::format("PIO {}", idx), issue_ps);
      case PST_VI_EVQ_PRIME_OFFSET:
        return trace_.instant(host_, vi.id, kEventQueue, fmt::format("prime {}", idx), issue_ps);
      default:
        return;
    }
  }
  void command_completed(uint64_t now_ps, const ShadowCommand& command, const pst_admin_completion& answer) override {
    trace_.instant(host_, kHostTracks, kAdmin,
                   fmt::format("{}: {}", pst_command_name(pst_command_get_opcode(&command.command)),
                               pst_error_code_name(pst_admin_completion_get_status(&answer))),
                   now_ps);
  }
  void event_written(uint64_t now_ps, const ShadowVi& vi, uint32_t event_idx, bool, const pst_event& event) override {
    const uint64_t type = pst_event_get_type(&event);
    if (pst_event_get_overflow_mark(&event) != 0) trace_.instant(host_, vi.id, kEventQueue, "overflow mark", now_ps);
    if (type == PST_EVENT_TYPE_RX) return;  // a slice shows it
    trace_.instant(host_, vi.id, kEventQueue, fmt::format("{} {}", pst_event_type_name(type), event_idx), now_ps);
  }

  ChromeTrace& trace_;
  const uint32_t host_;
};

Status ChromeTrace::open(const std::string& path, const TraceWindow& window) {
  window_ = window;
  path_ = path;
  file_ = std::fopen(path.c_str(), "wbe");
  if (file_ == nullptr) {
    const int code = errno;
    return Error{code,
                 fmt::format("cannot write {}: {}; choose a path in a writable directory", path, std::strerror(code))};
  }
  failed_ = std::fputs("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n", file_) < 0;
  return {};
}

ChromeTrace::~ChromeTrace() {
  if (file_ != nullptr) std::fclose(file_);
}

ObserverFactory ChromeTrace::factory() {
  return [this](const ObserverSite& site) -> std::shared_ptr<BoundaryObserver> {
    emit(fmt::format(R"({{"ph":"M","pid":{},"name":"process_name","args":{{"name":"host {}"}}}})", site.host_idx + 1,
                     site.host.name));
    return std::make_shared<Observer>(*this, static_cast<uint32_t>(site.host_idx));
  };
}

void ChromeTrace::emit(const std::string& json) {
  const bool written = std::fputs(first_ ? "" : ",\n", file_) >= 0 && std::fputs(json.c_str(), file_) >= 0;
  failed_ = failed_ || !written;
  first_ = false;
}

bool ChromeTrace::admit(uint64_t time_ps, unsigned events) {
  if (!window_.contains(time_ps)) return false;
  if (event_count_ + events > window_.events_max) {
    cut_count_ += events;
    return false;
  }
  event_count_ += events;
  return true;
}

// Lanes of a block lie side by side in a viewer, blocks in the order of a packet's way.
uint32_t ChromeTrace::track(uint32_t host, uint32_t vi, unsigned block, unsigned lane) {
  const uint64_t place = (uint64_t{vi == kHostTracks ? 0 : vi + 1} * kBlocksMost + block) * kLanesMost + lane;
  const auto [it, added] =
      tracks_.try_emplace(uint64_t{host} << 32U | place, static_cast<uint32_t>(tracks_.size() + 1));
  if (added) {
    std::string name = vi == kHostTracks ? kBlocks[block] : fmt::format("VI {} {}", vi, kBlocks[block]);
    if (lane != 0) name += fmt::format(" ({})", lane + 1);
    emit(fmt::format(R"({{"ph":"M","pid":{},"tid":{},"name":"thread_name","args":{{"name":"{}"}}}})", host + 1,
                     it->second, name));
    emit(fmt::format(R"({{"ph":"M","pid":{},"tid":{},"name":"thread_sort_index","args":{{"sort_index":{}}}}})",
                     host + 1, it->second, place));
  }
  return it->second;
}

// The first lane whose slices are all over at from_ps.
unsigned ChromeTrace::free_lane(uint64_t key, uint64_t from_ps, uint64_t to_ps) {
  std::vector<uint64_t>& ends_ps = lane_end_ps_[key];
  size_t lane = 0;
  while (lane < ends_ps.size() && ends_ps[lane] > from_ps) ++lane;
  if (lane == kLanesMost) return kNoLane;
  if (lane == ends_ps.size()) ends_ps.push_back(0);
  ends_ps[lane] = to_ps;
  return static_cast<unsigned>(lane);
}

uint32_t ChromeTrace::slice(uint32_t host, uint32_t vi, unsigned block, const char* name, uint64_t from_ps,
                            uint64_t to_ps, const PacketPath& path) {
  if (from_ps == 0 || to_ps < from_ps) return 0;
  const unsigned lane = free_lane((uint64_t{host} << 16U | vi) * kBlocksMost + block, from_ps, to_ps);
  if (lane == kNoLane) {
    cut_count_++;
    return 0;
  }
  const uint32_t tid = track(host, vi, block, lane);
  emit(fmt::format(R"({{"ph":"X","pid":{},"tid":{},"name":"{}","ts":{},"dur":{},"args":{{"bytes":{},"port":{}}}}})",
                   host + 1, tid, name, us(from_ps), us(to_ps - from_ps), path.frame_bytes, path.local_port));
  return tid;
}

void ChromeTrace::instant(uint32_t host, uint32_t vi, unsigned block, const std::string& name, uint64_t time_ps) {
  if (!admit(time_ps, 1)) return;
  const uint32_t tid = track(host, vi, block);
  emit(fmt::format(R"({{"ph":"i","s":"t","pid":{},"tid":{},"name":"{}","ts":{}}})", host + 1, tid, name, us(time_ps)));
}

void ChromeTrace::packet_completed(const PacketPath& path) {
  const auto at = [&](Stage stage) { return path.stamps_ps[static_cast<size_t>(stage)]; };
  const uint64_t send_ps = at(Stage::kSendCall);
  const uint64_t recv_ps = at(Stage::kRecvReturn);
  if (path.sender == EthernetFrame::kSenderUnknown || !admit(send_ps != 0 ? send_ps : recv_ps, 12)) return;
  const uint32_t from = path.sender >> 16U;
  const uint32_t from_vi = path.sender & 0xffffU;
  const uint32_t to = path.receiver >> 16U;
  const uint32_t to_vi = path.receiver & 0xffffU;
  const uint32_t sent_track = slice(from, from_vi, kSend, "send", send_ps, at(Stage::kDoorbellWrite), path);
  slice(from, from_vi, kDoorbell, "doorbell", at(Stage::kDoorbellWrite), at(Stage::kDoorbellArrive), path);
  slice(from, from_vi, kDescFetch, "desc_fetch", at(Stage::kDoorbellArrive), at(Stage::kDescFetched), path);
  slice(from, from_vi, kTxDma, "tx_dma", at(Stage::kDescFetched), at(Stage::kPayloadFetched), path);
  slice(from, from_vi, kPortWait, "port_wait", at(Stage::kPayloadFetched), at(Stage::kWireFirstBit), path);
  slice(from, kHostTracks, kWire, "wire", at(Stage::kWireFirstBit), at(Stage::kWireLastBit), path);
  slice(to, to_vi, kRxDma, "rx_dma", at(Stage::kWireLastBit), at(Stage::kRxPayloadWritten), path);
  slice(to, to_vi, kEventQueue, "event", at(Stage::kRxPayloadWritten), at(Stage::kEventWritten), path);
  slice(to, to_vi, kWakeup, "wakeup", at(Stage::kEventWritten), at(Stage::kHostSeen), path);
  const uint32_t received_track = slice(to, to_vi, kRecv, "recv", at(Stage::kHostSeen), recv_ps, path);
  if (sent_track == 0 || received_track == 0) return;
  // An arrow binds to the slices that its ends lie in, so both ends are where a slice begins.
  const uint64_t id = ++flow_count_;
  emit(fmt::format(R"({{"ph":"s","cat":"packet","id":{},"pid":{},"tid":{},"name":"packet","ts":{}}})", id, from + 1,
                   sent_track, us(send_ps)));
  emit(fmt::format(R"({{"ph":"f","bp":"e","cat":"packet","id":{},"pid":{},"tid":{},"name":"packet","ts":{}}})", id,
                   to + 1, received_track, us(at(Stage::kHostSeen))));
}

Status ChromeTrace::finish() {
  if (file_ == nullptr) return {};
  const std::string tail = fmt::format("\n],\"otherData\":{{\"events_left_out\":{}}}}}\n", cut_count_);
  failed_ = std::fputs(tail.c_str(), file_) < 0 || failed_;
  failed_ = std::fclose(file_) != 0 || failed_;
  file_ = nullptr;
  if (failed_) return Error{EIO, fmt::format("cannot write {}: the disk may be full", path_)};
  return {};
}

}  // namespace postern::sim
