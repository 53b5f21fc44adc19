// The last accesses at a boundary, kept as numbers and printed with the names of the contract when somebody asks.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "sim/monitor/contract_shadow.h"

namespace postern::sim {

enum class AccessKind : uint8_t {
  kBarWrite,
  kBarRead,
  kDmaWrite,
  kDmaRead,
  kInterrupt,
  kFrameSent,
  kFrameReceived,
  kReset,
  kFault,
};

struct LoggedAccess {
  uint64_t time_ps = 0;
  AccessKind kind = AccessKind::kBarWrite;
  uint8_t bar = 0;
  bool reached = true;
  uint32_t bytes = 0;
  uint64_t address = 0;             // or offset, or vector, or FaultKind
  std::array<uint64_t, 2> words{};  // the first 16 bytes
  DmaOwner owner;
};

// "VI 3 EVQ_PRIME = 0x100000005 (CONSUMER_IDX 5, SEQUENCE 1)" and the like; without the time.
[[nodiscard]] std::string describe_access(const LoggedAccess& access);
// "FUNCTION.STATUS", "VI 3 TX_DOORBELL", "MSI-X entry 4 +12", "BAR0+0x3fc" for none.
[[nodiscard]] std::string register_name(unsigned bar, uint64_t offset);
[[nodiscard]] std::string describe_event(const pst_event& event);

class AccessLog {
 public:
  static constexpr size_t kEntries = 256;

  // The entry to fill in; the oldest one is lost.
  LoggedAccess& next() { return entries_[count_++ % kEntries]; }
  // The last accesses that concern a VI (or everybody), oldest first, as text with times. vi_id: ~0 for all.
  [[nodiscard]] std::vector<std::string> last(size_t limit, uint32_t vi_id) const;

 private:
  std::array<LoggedAccess, kEntries> entries_{};
  size_t count_ = 0;
};

}  // namespace postern::sim
