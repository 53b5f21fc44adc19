// The file of a recorded run: what crossed the boundary of each NIC, record by record, in blocks with a checksum each.
// Hides the encoding. Format: docs/trace_format.md. No SystemC here.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "driver/result.h"

namespace postern::sim {

constexpr uint32_t kTraceVersion = 1;

enum class RecordKind : uint8_t {
  kHost = 1,       // a host and its NIC: data is its name, value its MAC address (byte 0 in bits 7..0)
  kProperty,       // of the NIC: data is the name, value the bits of the IEEE 754 double
  kMemory,         // host memory that the device may read from now on: address, data
  kBarWrite,       // bar, address (offset), data
  kBarReadIssued,  // bar, address, value: bytes
  kFrameReceived,  // data; value 1: bad FCS
  kLink,           // value: up
  kFunctionReset,
  // What the device did.
  kBarRead,    // bar, address, data; issue_ps: when the answer was there
  kDmaRead,    // address, value: bytes, data: 8-byte FNV-1a hash of what was read; empty: nothing answered
  kDmaWrite,   // address, data; value 1: nothing answered
  kInterrupt,  // value: vector
  kFrameSent,  // data
  kEnd,        // value: number of records before it
};
constexpr bool is_output(RecordKind kind) { return kind >= RecordKind::kBarRead && kind < RecordKind::kEnd; }

struct TraceRecord {
  RecordKind kind = RecordKind::kEnd;
  uint32_t host = 0;
  uint64_t time_ps = 0;   // simulated time at which it happened; never decreases in a file
  uint64_t issue_ps = 0;  // of BAR accesses: not before time_ps; else time_ps
  uint8_t bar = 0;
  uint64_t address = 0;
  uint64_t value = 0;
  std::vector<uint8_t> data;

  bool operator==(const TraceRecord& other) const;
};

[[nodiscard]] uint64_t trace_hash(const uint8_t* data, size_t bytes);
// One line for a person: time, host, and the access with the names of the contract.
[[nodiscard]] std::string describe(const TraceRecord& record);

class TraceWriter {
 public:
  // Creates or truncates the file and writes its header.
  [[nodiscard]] static Result<std::unique_ptr<TraceWriter>> create(const std::string& path);
  ~TraceWriter();
  TraceWriter(const TraceWriter&) = delete;
  TraceWriter& operator=(const TraceWriter&) = delete;

  void write(const TraceRecord& record);
  // Writes the end record and closes. Errors: anything that went wrong since the file was created (disk full).
  [[nodiscard]] Status finish();

 private:
  TraceWriter(std::FILE* file, std::string path) : file_(file), path_(std::move(path)) {}
  void put(uint64_t value);
  void flush_block();

  std::FILE* file_;
  std::string path_;
  std::vector<uint8_t> block_;
  uint64_t last_ps_ = 0;
  uint64_t record_count_ = 0;
  int error_ = 0;
};

class TraceReader {
 public:
  // Errors: no such file, no trace, another version or contract.
  [[nodiscard]] static Result<std::unique_ptr<TraceReader>> open(const std::string& path);
  ~TraceReader();
  TraceReader(const TraceReader&) = delete;
  TraceReader& operator=(const TraceReader&) = delete;

  // The next record; the last one is kEnd. Errors name the block's place in the file: damaged, cut short, or with bytes
  // after its end.
  [[nodiscard]] Status next(TraceRecord& record);
  [[nodiscard]] uint64_t record_count() const { return record_count_; }

 private:
  TraceReader(std::FILE* file, std::string path) : file_(file), path_(std::move(path)) {}
  [[nodiscard]] Error damaged(const std::string& what) const;
  [[nodiscard]] Status read_block();
  [[nodiscard]] bool get(uint64_t& value);

  std::FILE* file_;
  std::string path_;
  std::vector<uint8_t> block_;
  size_t position_ = 0;
  uint64_t block_offset_ = 0;  // of the present block in the file
  uint64_t next_offset_ = 0;
  uint64_t last_ps_ = 0;
  uint64_t record_count_ = 0;
};

}  // namespace postern::sim
