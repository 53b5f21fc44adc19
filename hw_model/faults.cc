// Draws, schedules and effects of injected faults. See faults.h.
#include "hw_model/faults.h"

#include <algorithm>
#include <string>

#include "contract/gen/pst_contract.h"
#include "hw_model/agenda.h"
#include "hw_model/device_control.h"
#include "hw_model/mac_port.h"
#include "hw_model/properties.h"
#include "hw_model/vi_table.h"

namespace postern::hw_model {

namespace {

constexpr const char* kNoFault = "assumed: no faults unless asked for";
constexpr double kAllVis = -1;
constexpr double kAdminOnly = -2;
constexpr double kTimeMaxNs = 1e15;  // 11 days of simulated time

uint64_t mix(uint64_t value) {
  value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ull;
  value = (value ^ value >> 27) * 0x94d049bb133111ebull;
  return value ^ value >> 31;
}

}  // namespace

double Faults::Stream::uniform() {
  state_ += 0x9e3779b97f4a7c15ull;
  return static_cast<double>(mix(state_) >> 11) * 0x1p-53;
}

const double& Faults::add(const char* name, const char* unit, const char* doc, double value, double maximum) {
  return nic_.properties->add({std::string("fault.") + name, unit, doc, kNoFault, value, 0, maximum});
}

const double& Faults::add_probability(const char* name, const char* doc) { return add(name, "", doc, 0, 1); }

const double& Faults::add_time(const char* name, const char* doc) { return add(name, "ns", doc, 0, kTimeMaxNs); }

Faults::Faults(NicBlocks& nic)
    : nic_(nic),
      seed_(add("seed", "", "Seed of all random faults of this NIC.", 1, 9007199254740992.0)),
      dma_vi_(nic.properties->add({"fault.dma_vi", "", "Whose DMA is hit: a VI, -1 for all, -2 for the admin queue.",
                                   kNoFault, kAllVis, kAdminOnly, PST_LIMIT_VI_COUNT_MAX - 1})),
      poisoned_{add_probability("poisoned_probability", "Per DMA read: its data come back poisoned."), {}},
      timeout_{add_probability("completion_timeout_probability", "Per DMA read: no completion comes."), {}},
      completion_timeout_ns_(
          nic.properties->add({"fault.completion_timeout_ns", "ns", "How long the device waits for a completion.",
                               "published: PCIe Base Specification 2.8, not below 10 ms as a rule", 10e6, 50e3, 64e9})),
      unmapped_read_{add_probability("unmapped_read_probability", "Per DMA read: the host does not answer there."), {}},
      unmapped_write_{add_probability("unmapped_write_probability", "Per DMA write: the host does not answer there."),
                      {}},
      msix_lost_{add_probability("msix_lost_probability", "Per MSI-X message: it vanishes on its way."), {}},
      msix_delayed_{add_probability("msix_delayed_probability", "Per MSI-X message: it is held up on its way."), {}},
      msix_delay_ns_(nic.properties->add({"fault.msix_delay_ns", "ns", "How long a message is held up.",
                                          "assumed: a congested root complex", 100e3, 0, kTimeMaxNs})),
      context_ecc_{add_probability("context_ecc_probability", "Per doorbell: uncorrectable error in the VI's context."),
                   {}},
      context_ecc_vi_(
          add("context_ecc_vi", "", "VI whose context fails at context_ecc_at_ns.", 0, PST_LIMIT_VI_COUNT_MAX - 1)),
      link_down_ns_(nic.properties->add(
          {"fault.link_down_ns", "ns", "How long the link stays down.", "assumed: a short flap", 1e6, 1, kTimeMaxNs})),
      link_down_jitter_ns_(add_time("link_down_jitter_ns", "Each outage begins up to this much later, at random.")),
      bad_fcs_{add_probability("bad_fcs_probability", "Per arriving frame: it is damaged."), {}},
      pause_quanta_(nic.properties->add({"fault.pause_quanta", "quanta", "Pause time in each frame, of 512 bit times.",
                                         "published: IEEE 802.3 annex 31B, the most that fits", 65535, 0, 65535})),
      schedules_{} {
  schedules_[kContextEcc].at_ns =
      &add_time("context_ecc_at_ns", "Time of an uncorrectable error in the context of context_ecc_vi; 0: never.");
  schedules_[kLinkDown].at_ns = &add_time("link_down_at_ns", "Time of the first loss of link; 0: after one period.");
  schedules_[kLinkDown].period_ns = &add_time("link_down_period_ns", "From one loss of link to the next; 0: no next.");
  schedules_[kPause].at_ns = &add_time("pause_at_ns", "Time of the first pause frame; 0: after one period.");
  schedules_[kPause].period_ns = &add_time("pause_period_ns", "From one pause frame to the next; 0: no next.");
  schedules_[kRemoval].at_ns = &add_time("removal_at_ns", "Time at which the card is pulled out; 0: never.");
  schedules_[kFunctionReset].at_ns =
      &add_time("function_reset_at_ns", "Time of the first function-level reset; 0: after one period.");
  schedules_[kFunctionReset].period_ns =
      &add_time("function_reset_period_ns", "From one function-level reset to the next; 0: no next.");
  for (Schedule& entry : schedules_) entry.base_ps = entry.due_ps = kNever;
}

void Faults::configure() {
  seed_streams();
  completion_timeout_ps_ = to_ps(completion_timeout_ns_);
  message_delay_ps_ = to_ps(msix_delay_ns_);
  reads_armed_ = poisoned_.probability + timeout_.probability + unmapped_read_.probability > 0;
  writes_armed_ = unmapped_write_.probability > 0;
  messages_armed_ = msix_lost_.probability + msix_delayed_.probability > 0;
  context_armed_ = context_ecc_.probability > 0;
  frames_armed_ = bad_fcs_.probability > 0;
  const uint64_t now = Agenda::now_ps();
  for (Schedule& entry : schedules_) {
    const double period_ns = entry.period_ns != nullptr ? *entry.period_ns : 0;
    if (*entry.at_ns == entry.seen_at_ns && period_ns == entry.seen_period_ns) continue;
    entry.seen_at_ns = *entry.at_ns;
    entry.seen_period_ns = period_ns;
    const uint64_t period_ps = to_ps(period_ns);
    uint64_t base_ps = to_ps(*entry.at_ns != 0 ? *entry.at_ns : period_ns);
    if (base_ps < now && period_ps != 0) base_ps += (now - base_ps + period_ps - 1) / period_ps * period_ps;
    schedule(entry, base_ps == 0 || base_ps < now ? kNever : base_ps);
  }
}

// Streams start again only when the seed changes, not whenever some property does.
void Faults::seed_streams() {
  const uint64_t address = nic_.mac_port->address();
  if (seeded_ && seeded_with_ == seed_ && seeded_address_ == address) return;
  seeded_ = true;
  seeded_with_ = seed_;
  seeded_address_ = address;
  const uint64_t base = mix(static_cast<uint64_t>(seed_)) ^ mix(address + 1);
  uint64_t number = 0;
  for (Stream* stream :
       {&poisoned_.stream, &timeout_.stream, &unmapped_read_.stream, &unmapped_write_.stream, &msix_lost_.stream,
        &msix_delayed_.stream, &context_ecc_.stream, &link_jitter_, &bad_fcs_.stream}) {
    stream->seed(mix(base + ++number));
  }
}

void Faults::reset() {
  const uint64_t now = Agenda::now_ps();
  for (Schedule& entry : schedules_) {
    if (entry.due_ps == kNever) continue;
    entry.due_ps = std::max(entry.due_ps, now);
    plan(entry);
  }
  if (link_up_ps_ != kNever) {
    nic_.agenda->at<&Faults::bring_link_up>(std::max(link_up_ps_, now), this, ++link_generation_);
  }
}

// --- random faults ---------------------------------------------------------------------------------------------------

bool Faults::concerns(uint32_t vi_id) const {
  if (dma_vi_ == kAllVis) return true;
  if (vi_id == sim::InjectedFault::kNoVi) return dma_vi_ == kAdminOnly;
  return dma_vi_ == vi_id;
}

DmaResult Faults::draw_read_fate(uint32_t vi_id) {
  if (!concerns(vi_id)) return DmaResult::kOk;
  if (timeout_.hit()) return DmaResult::kTimeout;
  if (unmapped_read_.hit()) return DmaResult::kUnmapped;
  return poisoned_.hit() ? DmaResult::kPoisoned : DmaResult::kOk;
}

bool Faults::draw_write_unanswered(uint32_t vi_id, uint64_t host_address) {
  if (!concerns(vi_id) || !unmapped_write_.hit()) return false;
  report(sim::FaultKind::kUnmappedAddress, vi_id, host_address);
  return true;
}

void Faults::read_failed(DmaResult fate, uint32_t vi_id, uint64_t host_address) {
  const sim::FaultKind kind = fate == DmaResult::kPoisoned  ? sim::FaultKind::kPoisonedCompletion
                              : fate == DmaResult::kTimeout ? sim::FaultKind::kCompletionTimeout
                                                            : sim::FaultKind::kUnmappedAddress;
  report(kind, vi_id, host_address);
}

Faults::Message Faults::draw_message_fate() {
  if (msix_lost_.hit()) return Message::kLost;
  return msix_delayed_.hit() ? Message::kDelayed : Message::kDelivered;
}

void Faults::message_lost(uint32_t vector) {
  report(sim::FaultKind::kMsixLost, sim::InjectedFault::kNoVi, vector, vector);
}

void Faults::message_held_up(uint32_t vector, uint64_t duration_ps) {
  report(sim::FaultKind::kMsixDelayed, sim::InjectedFault::kNoVi, duration_ps / 1000, vector);
}

void Faults::draw_context_error(Vi& vi) {
  if (vi.state == ViState::kRunning && context_ecc_.hit()) fail_context(vi);
}

bool Faults::draw_bad_fcs() {
  if (!bad_fcs_.hit()) return false;
  report(sim::FaultKind::kBadFcs, sim::InjectedFault::kNoVi, 0);
  return true;
}

// --- faults at a time ------------------------------------------------------------------------------------------------

void Faults::schedule(Schedule& entry, uint64_t base_ps) {
  ++entry.generation;
  entry.base_ps = entry.due_ps = base_ps;
  if (base_ps == kNever || removed_) return;
  if (&entry == &schedules_[kLinkDown] && link_down_jitter_ns_ > 0) {
    entry.due_ps += to_ps(link_jitter_.uniform() * link_down_jitter_ns_);
  }
  plan(entry);
}

void Faults::plan(Schedule& entry) {
  const auto timed = static_cast<uint64_t>(&entry - schedules_.data());
  nic_.agenda->at<&Faults::due>(entry.due_ps, this, timed, ++entry.generation);
}

void Faults::due(uint64_t timed, uint64_t generation, uint64_t, uint64_t) {
  Schedule& entry = schedules_[timed];
  if (entry.generation != generation) return;
  // The next one is planned first: what is injected may be a reset, which keeps what is planned.
  const uint64_t period_ps = to_ps(entry.seen_period_ns);
  uint64_t base_ps = kNever;
  if (period_ps != 0) {
    const uint64_t now = Agenda::now_ps();
    base_ps = entry.base_ps + std::max<uint64_t>(1, (now - entry.base_ps) / period_ps) * period_ps;
    if (base_ps <= now) base_ps += period_ps;
  }
  schedule(entry, base_ps);
  inject(static_cast<Timed>(timed));
}

void Faults::inject(Timed timed) {
  switch (timed) {
    case kContextEcc:
      if (Vi* vi = nic_.vi_table->running(static_cast<uint64_t>(context_ecc_vi_))) fail_context(*vi);
      return;
    case kLinkDown:
      return take_link_down();
    case kPause:
      return send_pause();
    case kRemoval:
      return remove();
    default:
      report(sim::FaultKind::kFunctionReset, sim::InjectedFault::kNoVi, 0);
      return function_reset_();
  }
}

void Faults::fail_context(Vi& vi) {
  report(sim::FaultKind::kContextEcc, vi.id, 0);
  nic_.control->halt(vi, PST_ERROR_SOURCE_CONTEXT, PST_ERROR_CODE_ECC, 0);
}

void Faults::take_link_down() {
  const uint64_t duration_ps = to_ps(link_down_ns_);
  report(sim::FaultKind::kLinkDown, sim::InjectedFault::kNoVi, duration_ps / 1000);
  link_up_ps_ = Agenda::now_ps() + duration_ps;
  nic_.mac_port->set_port_up(false);
  nic_.agenda->at<&Faults::bring_link_up>(link_up_ps_, this, ++link_generation_);
}

void Faults::bring_link_up(uint64_t generation, uint64_t, uint64_t, uint64_t) {
  if (generation != link_generation_) return;
  link_up_ps_ = kNever;
  report(sim::FaultKind::kLinkUp, sim::InjectedFault::kNoVi, 0);
  nic_.mac_port->set_port_up(true);
}

// IEEE 802.3 annex 31B: to the reserved multicast address, MAC control type, opcode PAUSE, time in quanta, zeros.
void Faults::send_pause() {
  if (!nic_.mac_port->link_up()) return;
  constexpr uint8_t kHeader[] = {0x01, 0x80, 0xc2, 0, 0, 0x01, 0x02, 0x50, 0x46, 0, 0, 0x01, 0x88, 0x08, 0, 0x01};
  const auto quanta = static_cast<uint32_t>(pause_quanta_);
  auto frame = std::make_shared<sim::EthernetFrame>();
  frame->bytes.assign(PST_LIMIT_FRAME_BYTES_MIN, 0);
  std::copy(std::begin(kHeader), std::end(kHeader), frame->bytes.begin());
  frame->bytes[sizeof kHeader] = static_cast<uint8_t>(quanta >> 8);
  frame->bytes[sizeof kHeader + 1] = static_cast<uint8_t>(quanta);
  report(sim::FaultKind::kPauseFrame, sim::InjectedFault::kNoVi, quanta);
  nic_.wire_in->deliver(frame);
}

// All that was planned in the device comes to nothing; the other end of the wire sees the link go.
void Faults::remove() {
  report(sim::FaultKind::kSurpriseRemoval, sim::InjectedFault::kNoVi, 0);
  removed_ = true;
  nic_.mac_port->set_port_up(false);
  nic_.agenda->clear();
}

void Faults::report(sim::FaultKind kind, uint32_t vi_id, uint64_t detail, uint32_t vector) {
  ++counts_[static_cast<size_t>(kind)];
  if (nic_.fault_observer == nullptr) return;
  sim::InjectedFault fault;
  fault.kind = kind;
  fault.vi_id = vi_id;
  fault.detail = detail;
  fault.vector = vector;
  nic_.fault_observer->fault_injected(fault);
}

void Faults::append_counters(std::vector<sim::Counter>& counters) const {
  for (size_t kind = 0; kind < kKinds; ++kind) {
    counters.push_back({std::string("faults.") + sim::fault_name(static_cast<sim::FaultKind>(kind)), counts_[kind]});
  }
}

}  // namespace postern::hw_model
