// Writes frames into a pcap file with nanosecond stamps of simulated time. One file per port.
// File format: "PCAP Capture File Format" (draft-ietf-opsawg-pcap), magic 0xa1b23c4d, link type Ethernet.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "driver/result.h"
#include "sim/ethernet_frame.h"

namespace postern::sim {

class PcapWriter {
 public:
  // Creates or truncates the file and writes its header.
  [[nodiscard]] static Result<std::unique_ptr<PcapWriter>> create(const std::string& path);
  ~PcapWriter();
  PcapWriter(const PcapWriter&) = delete;
  PcapWriter& operator=(const PcapWriter&) = delete;

  // Appends a frame. Frames with a bad FCS are left out, as a real port leaves them out.
  void record(uint64_t time_ps, const EthernetFrame& frame);
  // Gives what is buffered to the kernel. A write error (disk full) is reported by failed().
  void flush();
  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] uint64_t frame_count() const { return frame_count_; }

 private:
  explicit PcapWriter(std::FILE* file) : file_(file) {}
  void put_u32(uint32_t value);

  std::FILE* file_;
  uint64_t frame_count_ = 0;
  bool failed_ = false;
};

}  // namespace postern::sim
