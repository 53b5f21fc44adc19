// Which parts of the contract a run has exercised: registers, fields, commands, error codes, event types, drop reasons,
// features, and named situations of the rules. The list comes from the generated tables. Runs are merged by
// tools/contract_coverage.py. One byte per item; marking is cheap enough for every access.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "sim/monitor/contract_shadow.h"

namespace postern::sim {

// Situations in which a rule decides something; see situation_name() for what each is.
enum class Situation : uint8_t {
  kR1WindowRead,
  kR1WindowReadBehindWrite,
  kR2Repeated,
  kR2RepeatedPrime,
  kR3PayloadBeforeEvent,
  kR3EventBeforeInterrupt,
  kR3MergedPayload,
  kR3ScatteredPayload,
  kR4PhaseTurned,
  kR4SpaceReturnedByPrime,
  kR4StaleConsumer,
  kR5QueueFull,
  kR5StallThenSpace,
  kR5DropThenMark,
  kR5Halt,
  kR6EventBeforePrime,
  kR6EventAfterPrime,
  kR6StalePrime,
  kR6WakeupToVi,
  kR6MaskedVector,
  kR7HoldoffDelayed,
  kR7EventCount,
  kR7Adaptive,
  kR7Reprimed,
  kR8AddressNotMapped,
  kR8NotWritable,
  kR8HostDoesNotAnswer,
  kR8BufferAcrossRanges,
  kR9Filtered,
  kR9NoFilter,
  kR9Replicated,
  kR9Rss,
  kR9Sniffed,
  kR9SourceGranted,
  kR9SourceChecked,
  kR10Freed,
  kR10Reset,
  kR10FunctionReset,
  kR10Unmapped,
  kR11Accounted,
  kR11StatisticsRead,
  kR12BadDoorbell,
  kR12BadDescriptor,
  kR12BadCommand,
  kR12BadAccess,
  kCount,
};
[[nodiscard]] const char* situation_name(Situation situation);

class ContractCoverage : public ShadowListener {
 public:
  ContractCoverage();

  // What either has seen.
  void merge(const ContractCoverage& other);

  void count(Situation situation) { seen_[first_situation_ + static_cast<size_t>(situation)] = 1; }
  void register_accessed(unsigned bar, uint64_t offset, const uint8_t* data, uint32_t bytes, bool write);
  void prefix_seen(const pst_rx_prefix& prefix);
  void drop_seen(size_t reason);

  // ShadowListener
  void command_completing(uint64_t now_ps, const ShadowCommand& command, const pst_admin_completion& answer) override;
  void event_written(uint64_t now_ps, const ShadowVi& vi, uint32_t event_idx, bool in_order,
                     const pst_event& event) override;
  void descriptors_read(uint64_t now_ps, const ShadowVi& vi, bool tx, uint32_t first_idx, uint32_t count) override;

  [[nodiscard]] size_t item_count() const { return names_.size(); }
  [[nodiscard]] size_t seen_count() const;
  [[nodiscard]] double percent() const {
    return 100.0 * static_cast<double>(seen_count()) / static_cast<double>(item_count());
  }
  [[nodiscard]] bool seen(const std::string& item) const;  // false also for no such item
  // Groups with seen and total, and what has not been seen.
  [[nodiscard]] std::string table() const;
  // {"items": {"name": 0 or 1, ...}}
  [[nodiscard]] std::string json() const;

 private:
  struct FieldItems {
    uint8_t word, shift, width;
    bool enumerated;
    uint32_t first;  // item of "zero" (or of the enumeration's first value); "not zero" is the next
    std::vector<uint64_t> values;
  };
  struct StructItems {
    std::vector<FieldItems> fields;
    // Bits of flags and enumerations that have items left to see, and what they were last time: a structure that is
    // like the one before it there needs no look at its fields, but for a sample because of its numbers.
    std::array<uint64_t, 8> open{}, last{};
    uint32_t calls = 0;
  };

  size_t add(std::string name);
  StructItems add_struct(const char* kind, const char* name, const void* fields, size_t count);
  void mark(StructItems& items, const uint64_t* words, size_t word_count);
  void mark_fields(StructItems& items, const uint64_t* words, size_t word_count);

  std::vector<std::string> names_;
  std::vector<uint8_t> seen_;
  size_t first_register_ = 0, first_situation_ = 0, first_error_ = 0, first_drop_ = 0, first_event_type_ = 0;
  std::array<StructItems, 16> events_;  // by EVENT.TYPE
  StructItems rx_desc_, tx_desc_, tx_option_, completion_, prefix_;
  std::array<StructItems, 256> commands_;
  std::array<uint32_t, 256> command_first_{};  // item "OK"; "refused" is the next; 0: no such command
  std::array<int, 11> window_registers_{};     // by offset / 8: index in kRegisters, or -1
  std::vector<StructItems> register_fields_;
};

}  // namespace postern::sim
