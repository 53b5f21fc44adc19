#include "sim/pcap_writer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <iterator>

namespace postern::sim {
namespace {

std::string temporary_path() {
  return ::testing::TempDir() + "/pcap_writer_test." + std::to_string(getpid()) + ".pcap";
}

std::vector<uint8_t> read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST(PcapWriterTest, WritesNanosecondHeaderAndRecordByteForByte) {
  const std::string path = temporary_path();
  {
    auto writer = PcapWriter::create(path);
    ASSERT_TRUE(writer.ok());
    EthernetFrame frame;
    frame.bytes = {1, 2, 3, 4, 5};
    writer.value()->record(3'000'000'007'999, frame);  // 3 s, 7 ns and a part
    EXPECT_EQ(writer.value()->frame_count(), 1u);
  }
  const std::vector<uint8_t> expected = {0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1,
                                         0,    0,    0,  // file header
                                         3,    0,    0,    0,    7, 0, 0, 0, 5, 0, 0, 0, 5, 0, 0, 0, 1, 2, 3, 4, 5};
  EXPECT_EQ(read_bytes(path), expected);
  unlink(path.c_str());
}

TEST(PcapWriterTest, LeavesOutFramesWithABadFcs) {
  const std::string path = temporary_path();
  {
    auto writer = PcapWriter::create(path);
    ASSERT_TRUE(writer.ok());
    EthernetFrame frame;
    frame.bytes = {1, 2, 3};
    frame.bad_fcs = true;
    writer.value()->record(1, frame);
  }
  EXPECT_EQ(read_bytes(path).size(), 24u);
  unlink(path.c_str());
}

TEST(PcapWriterTest, AnUnwritableDirectoryIsAnErrorWithARemedy) {
  const auto writer = PcapWriter::create("/nonexistent/x.pcap");
  ASSERT_FALSE(writer.ok());
  EXPECT_EQ(
      writer.error().message,
      "cannot write the capture file /nonexistent/x.pcap: No such file or directory; choose a directory that exists "
      "and is writable");
}

}  // namespace
}  // namespace postern::sim
