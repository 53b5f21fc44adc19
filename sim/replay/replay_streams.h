// Comparison with ignored timing: what a device did, by streams whose order the contract fixes (RX and other events of
// a VI, bytes written to its buffers, progress of its TX ring, admin completions, frames of a flow, answers of
// registers, number of interrupts). Hides what depends on timing alone: DMA reads, batching of TX completions, clock
// values. docs/trace_format.md lists what is not compared. No SystemC here.
#pragma once

#include <deque>
#include <map>
#include <string>

#include "sim/monitor/contract_shadow.h"
#include "sim/replay/trace_file.h"

namespace postern::sim {

class ReplayStreams {
 public:
  // What was recorded and what the device does, each in order. shadow: of the replayed device, before this record.
  void expected(const TraceRecord& record) { take(record, recorded_, 0); }
  void actual(const TraceRecord& record, const ContractShadow& shadow) { take(record, shadow, 1); }
  // A DMA read of the recording, with the memory that it found: descriptors and commands.
  void expected_read(const TraceRecord& record, const std::vector<uint8_t>& data) {
    recorded_.dma_read(record.time_ps, record.address, data.data(), static_cast<uint32_t>(data.size()), true);
  }
  // A host action of the recording, for the recorded contract state.
  void host_acts(const TraceRecord& record);
  // Does the device still owe outputs that the host may have seen before this action?
  [[nodiscard]] bool owes(const TraceRecord& action) const;
  [[nodiscard]] bool owes_anything() const;
  [[nodiscard]] std::string debt(const TraceRecord& action) const;
  [[nodiscard]] std::string whole_debt() const;
  // Event indices of a doorbell, from those of the recording to those of the replay: TX events may be fewer or more.
  void translate(TraceRecord& action, const ContractShadow& replayed) const;
  // Empty: none so far.
  [[nodiscard]] const std::string& difference() const { return difference_; }

 private:
  enum class Kind : uint8_t { kEvent, kTxProgress, kBuffer, kCompletion, kFrame, kAnswer, kInterrupt };
  // Streams of which only how far they got counts.
  [[nodiscard]] static bool counted(Kind kind) { return kind == Kind::kTxProgress || kind == Kind::kInterrupt; }
  struct Key {
    Kind kind;
    uint64_t id;  // VI, hash of a flow, or vector
    bool operator<(const Key& other) const { return kind != other.kind ? kind < other.kind : id < other.id; }
  };
  struct Stream {
    std::deque<TraceRecord> waiting[2];  // recorded and not done; done and not recorded. One of them is empty.
    uint32_t progress[2] = {0, 0};       // counted(): index in the TX ring, or number of interrupts
  };

  void take(const TraceRecord& record, const ContractShadow& shadow, unsigned side);
  void push(const Key& key, TraceRecord record, unsigned side);
  void match(const Key& key, Stream& stream);
  [[nodiscard]] static bool owed(const Key& key, const Stream& stream);
  [[nodiscard]] bool concerns(const Key& key, const TraceRecord& action) const;
  void take_write(const TraceRecord& record, const ContractShadow& shadow, unsigned side);

  ContractShadow recorded_;
  std::map<Key, Stream> streams_;
  std::string difference_;

  void feed(const TraceRecord& record);
};

}  // namespace postern::sim
