// Encoding and decoding of recorded runs; see the header and docs/trace_format.md.
#include "sim/replay/trace_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "contract/gen/pst_contract.h"
#include "contract/gen/register_bank.h"

namespace postern::sim {
namespace {

constexpr char kMagic[] = "PSTTRACE";  // 8 bytes, without the final 0
constexpr size_t kMagicBytes = 8;
constexpr size_t kHeaderBytes = 24;  // magic, version, 0, contract hash
constexpr size_t kBlockHeaderBytes = 8;
constexpr size_t kBlockBytes = 64 * 1024;       // a block ends with the first record that reaches this
constexpr size_t kBlockBytesMax = 1024 * 1024;  // what a reader accepts
constexpr size_t kRecordDataBytesMax = 512 * 1024;

// CRC-32 of IEEE 802.3 (reflected, polynomial 0xedb88320).
uint32_t crc32(const uint8_t* data, size_t bytes) {
  static const std::array<uint32_t, 256> table = [] {
    std::array<uint32_t, 256> result{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t c = i;
      for (int bit = 0; bit < 8; ++bit) c = (c & 1U) != 0 ? 0xedb88320U ^ (c >> 1U) : c >> 1U;
      result[i] = c;
    }
    return result;
  }();
  uint32_t crc = 0xffffffffU;
  for (size_t i = 0; i < bytes; ++i) crc = table[(crc ^ data[i]) & 0xffU] ^ (crc >> 8U);
  return ~crc;
}

template <size_t N>
const char* register_name(const std::array<contract::RegisterInfo, N>& registers, uint64_t offset) {
  for (const contract::RegisterInfo& info : registers) {
    if (offset >= info.offset && offset < uint64_t{info.offset} + info.width_bytes) return info.name;
  }
  return nullptr;
}

std::string place_name(unsigned bar, uint64_t offset) {
  const char* name = nullptr;
  if (bar == PST_BAR_FUNCTION) {
    const bool clock = offset >= PST_CLOCK_PAGE_OFFSET;
    name = clock ? register_name(contract::kClockRegisters, offset - PST_CLOCK_PAGE_OFFSET)
                 : register_name(contract::kFunctionRegisters, offset);
    if (name != nullptr) return fmt::format("{}.{}", clock ? "CLOCK" : "FUNCTION", name);
  } else if (bar == PST_BAR_VI) {
    const uint64_t vi = offset / PST_VI_WINDOW_STRIDE;
    const uint64_t within = offset % PST_VI_WINDOW_STRIDE;
    if (within >= PST_VI_PIO_PAGE_OFFSET) return fmt::format("VI {} PIO+{:#x}", vi, within - PST_VI_PIO_PAGE_OFFSET);
    name = register_name(contract::kViRegisters, within);
    if (name != nullptr) return fmt::format("VI {} {}", vi, name);
  }
  return fmt::format("BAR{}+{:#x}", bar, offset);
}

std::string bytes_text(const std::vector<uint8_t>& data) {
  constexpr size_t kShownMax = 64;
  std::string text;
  for (size_t i = 0; i < std::min(data.size(), kShownMax); ++i) {
    fmt::format_to(std::back_inserter(text), "{}{:02x}", i != 0 && i % 8 == 0 ? " " : "", data[i]);
  }
  return text + (data.size() > kShownMax ? " ..." : "");
}

uint64_t little_endian(const std::vector<uint8_t>& data) {
  uint64_t value = 0;
  std::memcpy(&value, data.data(), std::min(data.size(), sizeof value));
  return value;
}

}  // namespace

bool TraceRecord::operator==(const TraceRecord& other) const {
  return kind == other.kind && host == other.host && time_ps == other.time_ps && issue_ps == other.issue_ps &&
         bar == other.bar && address == other.address && value == other.value && data == other.data;
}

uint64_t trace_hash(const uint8_t* data, size_t bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (size_t i = 0; i < bytes; ++i) hash = (hash ^ data[i]) * 0x100000001b3;
  return hash;
}

std::string describe(const TraceRecord& record) {
  const std::string head =
      fmt::format("{}.{:06} us host {}: ", record.time_ps / 1'000'000, record.time_ps % 1'000'000, record.host);
  const size_t bytes = record.data.size();
  switch (record.kind) {
    case RecordKind::kMemory:
      return head + fmt::format("memory {:#x}, {} bytes", record.address, bytes);
    case RecordKind::kBarWrite:
      return head + fmt::format("write {} = {}, issued at {} ps", place_name(record.bar, record.address),
                                bytes <= 8 ? fmt::format("{:#x}", little_endian(record.data)) : bytes_text(record.data),
                                record.issue_ps);
    case RecordKind::kBarReadIssued:
      return head + fmt::format("read {} begins", place_name(record.bar, record.address));
    case RecordKind::kBarRead:
      return head +
             fmt::format("read {} answers {:#x}", place_name(record.bar, record.address), little_endian(record.data));
    case RecordKind::kDmaRead:
      return head + fmt::format("DMA read {:#x}, {} bytes, {}", record.address, record.value,
                                bytes == 0 ? "no answer" : fmt::format("hash {:016x}", little_endian(record.data)));
    case RecordKind::kDmaWrite:
      return head + fmt::format("DMA write {:#x}, {} bytes{}: {}", record.address, bytes,
                                record.value != 0 ? ", no answer" : "", bytes_text(record.data));
    case RecordKind::kInterrupt:
      return head + fmt::format("interrupt, vector {}", record.value);
    case RecordKind::kFrameSent:
      return head + fmt::format("frame sent, {} bytes: {}", bytes, bytes_text(record.data));
    case RecordKind::kFrameReceived:
      return head + fmt::format("frame arrives, {} bytes{}", bytes, record.value != 0 ? ", bad FCS" : "");
    case RecordKind::kLink:
      return head + (record.value != 0 ? "link up" : "link down");
    case RecordKind::kFunctionReset:
      return head + "function reset";
    default:
      return head + fmt::format("record of kind {}", static_cast<unsigned>(record.kind));
  }
}

// --- writer ---------------------------------------------------------------------------------------------------------

Result<std::unique_ptr<TraceWriter>> TraceWriter::create(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "wbe");
  if (file == nullptr) {
    const int code = errno;
    return Error{code,
                 fmt::format("cannot write {}: {}; choose a path in a writable directory", path, std::strerror(code))};
  }
  std::unique_ptr<TraceWriter> writer(new TraceWriter(file, path));
  std::array<uint8_t, kHeaderBytes> header{};
  const uint64_t hash = PST_CONTRACT_HASH;
  std::memcpy(header.data(), kMagic, kMagicBytes);
  std::memcpy(header.data() + 8, &kTraceVersion, sizeof kTraceVersion);
  std::memcpy(header.data() + 16, &hash, sizeof hash);
  const bool written = std::fwrite(header.data(), 1, header.size(), file) == header.size();
  if (!written || std::fflush(file) != 0) writer->error_ = errno;  // a killed writer leaves a file that is cut short
  return writer;
}

TraceWriter::~TraceWriter() {
  if (file_ != nullptr) std::fclose(file_);
}

void TraceWriter::put(uint64_t value) {
  for (; value >= 0x80; value >>= 7U) block_.push_back(static_cast<uint8_t>(value | 0x80U));
  block_.push_back(static_cast<uint8_t>(value));
}

void TraceWriter::write(const TraceRecord& record) {
  block_.push_back(static_cast<uint8_t>(record.kind));
  block_.push_back(record.bar);
  put(record.host);
  put(record.time_ps - last_ps_);
  put(record.issue_ps - record.time_ps);
  put(record.address);
  put(record.value);
  put(record.data.size());
  block_.insert(block_.end(), record.data.begin(), record.data.end());
  last_ps_ = record.time_ps;
  record_count_++;
  if (block_.size() >= kBlockBytes) flush_block();
}

void TraceWriter::flush_block() {
  const uint32_t head[2] = {static_cast<uint32_t>(block_.size()), crc32(block_.data(), block_.size())};
  if (error_ == 0 && (std::fwrite(head, 1, sizeof head, file_) != sizeof head ||
                      std::fwrite(block_.data(), 1, block_.size(), file_) != block_.size())) {
    error_ = errno;
  }
  block_.clear();
}

Status TraceWriter::finish() {
  TraceRecord end;
  end.time_ps = end.issue_ps = last_ps_;
  end.value = record_count_;
  write(end);
  if (!block_.empty()) flush_block();
  if (std::fclose(file_) != 0 && error_ == 0) error_ = errno;
  file_ = nullptr;
  if (error_ != 0) return Error{error_, fmt::format("cannot write {}: {}", path_, std::strerror(error_))};
  return {};
}

// --- reader ---------------------------------------------------------------------------------------------------------

Result<std::unique_ptr<TraceReader>> TraceReader::open(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rbe");
  if (file == nullptr) {
    const int code = errno;
    return Error{code, fmt::format("cannot read {}: {}; record one with `postern sim SCENARIO --record FILE`", path,
                                   std::strerror(code))};
  }
  std::unique_ptr<TraceReader> reader(new TraceReader(file, path));
  std::array<uint8_t, kHeaderBytes> header{};
  if (std::fread(header.data(), 1, header.size(), file) != header.size() ||
      std::memcmp(header.data(), kMagic, kMagicBytes) != 0) {
    return Error{EINVAL, fmt::format("{} is not a recorded run: expected a file that `--record` wrote", path)};
  }
  uint32_t version = 0;
  uint64_t hash = 0;
  std::memcpy(&version, header.data() + 8, sizeof version);
  std::memcpy(&hash, header.data() + 16, sizeof hash);
  if (version != kTraceVersion) {
    return Error{EINVAL,
                 fmt::format("{} has format version {}, expected {}: record it again", path, version, kTraceVersion)};
  }
  if (hash != PST_CONTRACT_HASH) {
    return Error{EINVAL, fmt::format("{} was recorded under contract {:016x}, this is {:016x}: record it again", path,
                                     hash, static_cast<uint64_t>(PST_CONTRACT_HASH))};
  }
  reader->next_offset_ = kHeaderBytes;
  return reader;
}

TraceReader::~TraceReader() { std::fclose(file_); }

Error TraceReader::damaged(const std::string& what) const {
  return Error{EINVAL, fmt::format("{}: block at byte {}: {}; record it again", path_, block_offset_, what)};
}

Status TraceReader::read_block() {
  block_offset_ = next_offset_;
  uint32_t head[2] = {};
  if (std::fread(head, 1, sizeof head, file_) != sizeof head) return damaged("the file is cut short");
  if (head[0] == 0 || head[0] > kBlockBytesMax) return damaged("damaged (impossible length)");
  block_.resize(head[0]);
  position_ = 0;
  if (std::fread(block_.data(), 1, block_.size(), file_) != block_.size()) return damaged("the file is cut short");
  if (crc32(block_.data(), block_.size()) != head[1]) return damaged("damaged (wrong checksum)");
  next_offset_ += kBlockHeaderBytes + block_.size();
  return {};
}

bool TraceReader::get(uint64_t& value) {
  value = 0;
  for (unsigned shift = 0; shift < 64 && position_ < block_.size(); shift += 7) {
    const uint8_t byte = block_[position_++];
    value |= uint64_t{byte & 0x7fU} << shift;
    if ((byte & 0x80U) == 0) return true;
  }
  return false;
}

Status TraceReader::next(TraceRecord& record) {
  if (position_ == block_.size()) {
    if (Status status = read_block(); !status) return status;
  }
  if (block_.size() - position_ < 2) return damaged("damaged (incomplete record)");
  record.kind = static_cast<RecordKind>(block_[position_++]);
  record.bar = block_[position_++];
  uint64_t host = 0;
  uint64_t delta_ps = 0;
  uint64_t ahead_ps = 0;
  uint64_t bytes = 0;
  if (!get(host) || !get(delta_ps) || !get(ahead_ps) || !get(record.address) || !get(record.value) || !get(bytes) ||
      bytes > std::min(kRecordDataBytesMax, block_.size() - position_) || record.kind < RecordKind::kHost ||
      record.kind > RecordKind::kEnd || host > UINT16_MAX) {
    return damaged(fmt::format("record {} is malformed", record_count_));
  }
  record.host = static_cast<uint32_t>(host);
  record.time_ps = last_ps_ + delta_ps;
  record.issue_ps = record.time_ps + ahead_ps;
  const auto begin = block_.begin() + static_cast<std::ptrdiff_t>(position_);
  record.data.assign(begin, begin + static_cast<std::ptrdiff_t>(bytes));
  position_ += bytes;
  last_ps_ = record.time_ps;
  if (record.kind == RecordKind::kEnd) {
    if (record.value != record_count_ || position_ != block_.size() || std::fgetc(file_) != EOF) {
      return damaged("the end record does not fit the file");
    }
    return {};
  }
  record_count_++;
  return {};
}

}  // namespace postern::sim
