// What is done to both devices, as data: a list of operations, each with the seed of all that is random in it, so that
// any operation can be left out and the rest stays what it was. A list can be written to a file and read again: that is
// the reproducer of a divergence.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace postern::equivalence {

enum class OperationKind : uint8_t {
  kPost,         // receive buffers
  kSend,         // packets of up to three fragments
  kSegment,      // a packet to be segmented
  kPush,         // a pushed descriptor
  kPio,          // a frame from the PIO page
  kArrive,       // frames for the VIs from the wire
  kArriveOdd,    // frames for nobody, damaged, of a bad length, multicast, ARP
  kConsume,      // events; returns space or primes
  kTimer,        // arms it
  kFilter,       // inserts or removes a filter
  kGrant,        // a source address
  kModerate,     // other moderation
  kBind,         // wakeups to a vector or to another VI
  kMask,         // of a vector, on or off
  kSpread,       // RSS: context, key, table, filter
  kPort,         // MTU, promiscuous
  kStatistics,   // read to memory, and compared
  kRead,         // registers
  kStray,        // accesses without a meaning
  kBadCommand,   // an admin command with a field out of range
  kBadDoorbell,  // the VI halts
  kBadDescriptor,
  kLoop,      // frames of one VI looped to the others
  kOverflow,  // more frames than the event queue has slots
  kResetVi,
  kResetBusy,      // VI_RESET with DMA in flight
  kReplaceVi,      // freed, and another one allocated in its place
  kResetFunction,  // the last one
};
constexpr unsigned kOperationKinds = static_cast<unsigned>(OperationKind::kResetFunction) + 1;
[[nodiscard]] const char* operation_name(OperationKind kind);

struct Operation {
  OperationKind kind = OperationKind::kPost;
  uint32_t seat = 0;     // whose VI
  uint64_t seed = 0;     // of what else it needs
  bool settles = false;  // both devices come to rest and are compared behind it; some kinds always do
};

struct Stimulus {
  uint64_t setup_seed = 0;  // of the properties of both devices and of the first VIs
  std::vector<Operation> operations;
};

constexpr uint32_t kSeats = 6;

// Any number of operations, by the seed alone.
[[nodiscard]] Stimulus random_stimulus(uint64_t seed, size_t operation_count);

// One line each: "setup SEED", then "KIND SEAT SEED [settles]". '#' begins a comment.
[[nodiscard]] std::string to_text(const Stimulus& stimulus);
// error: empty, or the line that is wrong and why.
[[nodiscard]] Stimulus from_text(const std::string& text, std::string& error);

}  // namespace postern::equivalence
