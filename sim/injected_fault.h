// Faults that a device injects into itself (properties fault.*), as it reports them to whoever checks its behaviour, so
// that an injected fault can be told from a defect. No SystemC here.
#pragma once

#include <cstdint>

namespace postern::sim {

enum class FaultKind : uint8_t {
  kPoisonedCompletion,  // a DMA read was answered with poisoned data
  kCompletionTimeout,   // a DMA read got no answer
  kUnmappedAddress,     // a DMA went to an address that the host has not mapped
  kMsixLost,            // an MSI-X message vanished after it was sent
  kMsixDelayed,         // an MSI-X message was held up
  kContextEcc,          // uncorrectable error in a VI's context
  kLinkDown,
  kLinkUp,
  kBadFcs,           // an arriving frame was damaged
  kPauseFrame,       // a pause frame arrived
  kSurpriseRemoval,  // the card is gone: reads return all ones, nothing else happens
  kFunctionReset,    // a function-level reset, whatever was in flight
};

struct InjectedFault {
  static constexpr uint32_t kNoVi = 0xffffffff;
  FaultKind kind = FaultKind::kPoisonedCompletion;
  uint32_t vi_id = kNoVi;
  // Host address of a DMA; vector of a lost message; nanoseconds of a delay or of an outage (link down); pause quanta.
  uint64_t detail = 0;
  uint32_t vector = 0xffffffff;  // of a message that is lost or held up; else without meaning
};

[[nodiscard]] constexpr const char* fault_name(FaultKind kind) {
  constexpr const char* kNames[] = {
      "poisoned_completion", "completion_timeout", "unmapped_address", "msix_lost", "msix_delayed",
      "context_ecc",         "link_down",          "link_up",          "bad_fcs",   "pause_frame",
      "surprise_removal",    "function_reset"};
  return kNames[static_cast<unsigned>(kind)];
}

}  // namespace postern::sim
