// Nanosecond pcap files; see the header. All fields are little-endian, which the magic number tells the reader.
#include "sim/pcap_writer.h"

#include <array>
#include <cerrno>
#include <cstring>

namespace postern::sim {
namespace {
constexpr uint32_t kMagicNanoseconds = 0xa1b23c4d;
constexpr uint32_t kVersion = 2 | (4 << 16);
constexpr uint32_t kSnapLengthBytes = 262144;
constexpr uint32_t kLinkTypeEthernet = 1;
constexpr uint64_t kPicosecondsPerSecond = 1'000'000'000'000;
}  // namespace

Result<std::unique_ptr<PcapWriter>> PcapWriter::create(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "wbe");
  if (file == nullptr) {
    const int code = errno;
    return Error{code, "cannot write the capture file " + path + ": " + std::strerror(code) +
                           "; choose a directory that exists and is writable"};
  }
  std::unique_ptr<PcapWriter> writer(new PcapWriter(file));
  writer->put_u32(kMagicNanoseconds);
  writer->put_u32(kVersion);
  writer->put_u32(0);  // time zone: UTC
  writer->put_u32(0);  // accuracy of the stamps: not stated
  writer->put_u32(kSnapLengthBytes);
  writer->put_u32(kLinkTypeEthernet);
  writer->flush();
  return writer;
}

PcapWriter::~PcapWriter() { std::fclose(file_); }

void PcapWriter::record(uint64_t time_ps, const EthernetFrame& frame) {
  if (frame.bad_fcs) {
    return;
  }
  const auto length_bytes = static_cast<uint32_t>(frame.bytes.size());
  put_u32(static_cast<uint32_t>(time_ps / kPicosecondsPerSecond));
  put_u32(static_cast<uint32_t>(time_ps % kPicosecondsPerSecond / 1000));
  put_u32(length_bytes);
  put_u32(length_bytes);
  failed_ |= std::fwrite(frame.bytes.data(), 1, length_bytes, file_) != length_bytes;
  frame_count_++;
}

void PcapWriter::flush() { failed_ |= std::fflush(file_) != 0; }

void PcapWriter::put_u32(uint32_t value) {
  const std::array<uint8_t, 4> bytes = {static_cast<uint8_t>(value), static_cast<uint8_t>(value >> 8),
                                        static_cast<uint8_t>(value >> 16), static_cast<uint8_t>(value >> 24)};
  failed_ |= std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size();
}

}  // namespace postern::sim
