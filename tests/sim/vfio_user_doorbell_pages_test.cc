// Shared doorbell pages: what is delivered and in which order, lifecycle of windows, sleeping and kicking.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include <numeric>

#include "driver/mapped_vi_window.h"
#include "sim/doorbell_pages.h"
#include "tests/sim/vfio_user_fixtures.h"

namespace postern::sim {
namespace {

constexpr uint64_t prime_word(uint32_t consumer_idx, uint16_t sequence) {
  return static_cast<uint64_t>(sequence) << PST_VI_EVQ_PRIME_SEQUENCE_SHIFT | consumer_idx;
}
constexpr uint64_t pio_word(uint32_t tx_idx, uint64_t offset_bytes, uint64_t length_bytes) {
  return tx_idx | offset_bytes << PST_VI_PIO_DOORBELL_OFFSET_BYTES_SHIFT |
         length_bytes << PST_VI_PIO_DOORBELL_LENGTH_BYTES_SHIFT;
}

class DoorbellPagesTest : public ::testing::Test {
 protected:
  DoorbellPagesTest() { pages = std::move(DoorbellPages::create(device)).value(); }
  std::unique_ptr<MappedViWindow> start(uint32_t vi_id) {
    EXPECT_TRUE(pages->vi_started(vi_id).ok());
    auto windows = pages->take_windows(1000);
    EXPECT_EQ(windows.back().vi_id, vi_id);
    auto window = MappedViWindow::open(windows.back().window_fd.get(), windows.back().kick_fd, pages->clock_fd());
    EXPECT_TRUE(window.ok());
    return std::move(window).value();
  }
  // Offsets delivered by one poll.
  std::vector<uint32_t> poll_offsets() {
    device.doorbells.clear();
    pages->poll();
    std::vector<uint32_t> offsets;
    for (const DoorbellWrite& write : device.doorbells) offsets.push_back(write.offset);
    return offsets;
  }

  FakeDevice device;
  std::unique_ptr<DoorbellPages> pages;
};

TEST_F(DoorbellPagesTest, OnlyChangedRegistersAreDelivered) {
  auto window = start(7);
  EXPECT_FALSE(pages->poll());
  window->write_doorbell(PST_VI_RX_DOORBELL_OFFSET, 64);
  EXPECT_TRUE(pages->poll());
  EXPECT_EQ(device.doorbells, (std::vector<DoorbellWrite>{{7, PST_VI_RX_DOORBELL_OFFSET, 4, 64}}));
  EXPECT_FALSE(pages->poll());
  window->write_doorbell(PST_VI_RX_DOORBELL_OFFSET, 64);
  EXPECT_FALSE(pages->poll()) << "the same index again is the same doorbell (R2)";
}

TEST_F(DoorbellPagesTest, RegistersThatChangedTogetherComeInTheSafeOrder) {
  auto window = start(0);
  window->write_doorbell(PST_VI_TIMER_OFFSET, prime_word(1000, 1));
  window->write_doorbell(PST_VI_EVQ_PRIME_OFFSET, prime_word(4, 1));
  window->write_doorbell(PST_VI_EVQ_CONSUMER_OFFSET, 4);
  window->write_doorbell(PST_VI_TX_DOORBELL_OFFSET, 2);
  window->write_doorbell(PST_VI_RX_DOORBELL_OFFSET, 8);
  EXPECT_EQ(poll_offsets(),
            (std::vector<uint32_t>{PST_VI_RX_DOORBELL_OFFSET, PST_VI_TX_DOORBELL_OFFSET, PST_VI_EVQ_CONSUMER_OFFSET,
                                   PST_VI_EVQ_PRIME_OFFSET, PST_VI_TIMER_OFFSET}));
}

TEST_F(DoorbellPagesTest, OlderPrimeComesBeforeNewerConsumerIndex) {
  auto window = start(0);
  window->write_doorbell(PST_VI_EVQ_PRIME_OFFSET, prime_word(10, 1));
  window->write_doorbell(PST_VI_EVQ_CONSUMER_OFFSET, 15);
  EXPECT_EQ(poll_offsets(), (std::vector<uint32_t>{PST_VI_EVQ_PRIME_OFFSET, PST_VI_EVQ_CONSUMER_OFFSET}));
  window->write_doorbell(PST_VI_EVQ_CONSUMER_OFFSET, 20);
  window->write_doorbell(PST_VI_EVQ_PRIME_OFFSET, prime_word(25, 2));
  EXPECT_EQ(poll_offsets(), (std::vector<uint32_t>{PST_VI_EVQ_CONSUMER_OFFSET, PST_VI_EVQ_PRIME_OFFSET}));
}

TEST_F(DoorbellPagesTest, OrderOfEventQueueIndicesSurvivesTheirWrap) {
  auto window = start(0);
  window->write_doorbell(PST_VI_EVQ_PRIME_OFFSET, prime_word(0xfffffff0u, 1));
  window->write_doorbell(PST_VI_EVQ_CONSUMER_OFFSET, 5);
  EXPECT_EQ(poll_offsets(), (std::vector<uint32_t>{PST_VI_EVQ_PRIME_OFFSET, PST_VI_EVQ_CONSUMER_OFFSET}));
}

TEST_F(DoorbellPagesTest, RepeatedPrimeIsSeenByItsSequence) {
  auto window = start(0);
  window->write_doorbell(PST_VI_EVQ_PRIME_OFFSET, prime_word(3, 1));
  EXPECT_EQ(poll_offsets().size(), 1u);
  window->write_doorbell(PST_VI_EVQ_PRIME_OFFSET, prime_word(3, 2));
  EXPECT_EQ(poll_offsets().size(), 1u);
}

TEST_F(DoorbellPagesTest, TransmitRegistersComeByAscendingIndex) {
  auto window = start(0);
  window->write_doorbell(PST_VI_TX_DOORBELL_OFFSET, 0xfffffffeu);
  poll_offsets();
  std::vector<uint8_t> frame(60);
  std::iota(frame.begin(), frame.end(), static_cast<uint8_t>(1));
  window->write_pio(128, frame.data(), frame.size());
  window->write_doorbell(PST_VI_PIO_DOORBELL_OFFSET, pio_word(0xffffffffu, 128, 60));
  window->write_doorbell(PST_VI_TX_PUSH_DESCRIPTOR_LO_OFFSET, 0x1111);
  window->write_doorbell(PST_VI_TX_PUSH_DESCRIPTOR_HI_OFFSET, 0x2222);
  window->write_doorbell(PST_VI_TX_PUSH_DOORBELL_OFFSET, 3);
  window->write_doorbell(PST_VI_TX_DOORBELL_OFFSET, 2);
  EXPECT_EQ(
      poll_offsets(),
      (std::vector<uint32_t>{PST_VI_PIO_DOORBELL_OFFSET, PST_VI_TX_DOORBELL_OFFSET, PST_VI_TX_PUSH_DESCRIPTOR_LO_OFFSET,
                             PST_VI_TX_PUSH_DESCRIPTOR_HI_OFFSET, PST_VI_TX_PUSH_DOORBELL_OFFSET}));
  EXPECT_EQ(device.pio_offset_bytes, 128u);
  EXPECT_EQ(device.pio, frame);
}

TEST_F(DoorbellPagesTest, PioDoorbellBeyondThePageIsLeftToTheDevice) {
  auto window = start(0);
  window->write_doorbell(PST_VI_PIO_DOORBELL_OFFSET, pio_word(1, 4000, 200));
  EXPECT_EQ(poll_offsets(), (std::vector<uint32_t>{PST_VI_PIO_DOORBELL_OFFSET}));
  EXPECT_TRUE(device.pio.empty());
}

TEST_F(DoorbellPagesTest, HighHalfOfA32BitRegisterIsIgnored) {
  ASSERT_TRUE(pages->vi_started(0).ok());
  auto windows = pages->take_windows(1);
  auto* base = static_cast<uint8_t*>(
      mmap(nullptr, PST_VI_WINDOW_STRIDE, PROT_READ | PROT_WRITE, MAP_SHARED, windows[0].window_fd.get(), 0));
  ASSERT_NE(base, MAP_FAILED);
  std::fill(base, base + PST_LIMIT_PAGE_BYTES, uint8_t{0});
  base[PST_VI_TX_DOORBELL_OFFSET + 6] = 0xff;
  base[0x200] = 0xff;  // no register is there
  EXPECT_FALSE(pages->poll());
  munmap(base, PST_VI_WINDOW_STRIDE);
}

TEST_F(DoorbellPagesTest, StoppedViIsNoLongerLookedAt) {
  auto window = start(3);
  auto other = start(4);
  pages->vi_stopped(3);
  window->write_doorbell(PST_VI_TX_DOORBELL_OFFSET, 1);
  EXPECT_FALSE(pages->poll());
  other->write_doorbell(PST_VI_TX_DOORBELL_OFFSET, 1);
  EXPECT_TRUE(pages->poll());
  EXPECT_EQ(device.doorbells.size(), 1u);
}

TEST_F(DoorbellPagesTest, ViMayStopWhileItsDoorbellsAreDelivered) {
  auto window = start(1);
  auto other = start(2);
  device.on_doorbell = [this](const DoorbellWrite& write) { pages->vi_stopped(write.vi_id); };
  window->write_doorbell(PST_VI_RX_DOORBELL_OFFSET, 1);
  window->write_doorbell(PST_VI_TX_DOORBELL_OFFSET, 1);
  other->write_doorbell(PST_VI_TX_DOORBELL_OFFSET, 1);
  EXPECT_EQ(poll_offsets(), (std::vector<uint32_t>{PST_VI_RX_DOORBELL_OFFSET, PST_VI_TX_DOORBELL_OFFSET}));
  EXPECT_FALSE(pages->poll());
}

TEST_F(DoorbellPagesTest, FunctionResetRetiresAllWindowsAndCountsAGeneration) {
  auto window = start(1);
  ASSERT_TRUE(pages->vi_started(2).ok());
  EXPECT_EQ(window->clock().generation(), 0u);
  pages->function_reset();
  EXPECT_EQ(window->clock().generation(), 1u);
  EXPECT_EQ(pages->untaken_windows(), 0u);
  window->write_doorbell(PST_VI_TX_DOORBELL_OFFSET, 1);
  EXPECT_FALSE(pages->poll());
}

TEST_F(DoorbellPagesTest, WholeRegionMappingOfAVmmIsPolledToo) {
  auto window = start(1);
  const int fd = pages->region_fd();
  ASSERT_GE(fd, 0);
  EXPECT_NE(ftruncate(fd, 0), 0);
  auto* region = static_cast<uint8_t*>(mmap(nullptr, PST_BAR_VI_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  ASSERT_NE(region, MAP_FAILED);
  auto window2 = start(2);  // started after the region was made
  const auto ring = [&](uint32_t vi_id, uint32_t idx) {
    __atomic_store_n(reinterpret_cast<uint32_t*>(region + vi_id * PST_VI_WINDOW_STRIDE + PST_VI_TX_DOORBELL_OFFSET),
                     idx, __ATOMIC_RELEASE);
  };
  ring(1, 5);
  ring(2, 6);
  ring(3, 7);  // not started
  pages->poll();
  EXPECT_EQ(device.doorbells,
            (std::vector<DoorbellWrite>{{1, PST_VI_TX_DOORBELL_OFFSET, 4, 5}, {2, PST_VI_TX_DOORBELL_OFFSET, 4, 6}}));
  pages->vi_stopped(1);
  ASSERT_TRUE(pages->vi_started(1).ok());
  EXPECT_FALSE(pages->poll()) << "a page starts with zeros";
  pages->drop_region();
  ring(2, 8);
  EXPECT_FALSE(pages->poll());
  munmap(region, PST_BAR_VI_SIZE);
}

TEST_F(DoorbellPagesTest, SleepIsRefusedWhileADoorbellIsPending) {
  auto window = start(0);
  window->write_doorbell(PST_VI_TX_DOORBELL_OFFSET, 1);
  EXPECT_FALSE(pages->begin_sleep());
  EXPECT_EQ(device.doorbells.size(), 1u);
  EXPECT_FALSE(window->clock().device_sleeping());
  EXPECT_TRUE(pages->begin_sleep());
  EXPECT_TRUE(window->clock().device_sleeping());
  pages->end_sleep();
  EXPECT_FALSE(window->clock().device_sleeping());
}

TEST_F(DoorbellPagesTest, KickIsSentOnlyToASleepingDeviceAndDoesNotLinger) {
  auto window = start(0);
  pollfd kick{pages->kick_fd(), POLLIN, 0};
  window->write_doorbell(PST_VI_TX_DOORBELL_OFFSET, 1);
  EXPECT_EQ(poll(&kick, 1, 0), 0);
  pages->poll();
  ASSERT_TRUE(pages->begin_sleep());
  window->write_doorbell(PST_VI_TX_DOORBELL_OFFSET, 2);
  EXPECT_EQ(poll(&kick, 1, 1000), 1);
  pages->end_sleep();
  EXPECT_EQ(poll(&kick, 1, 0), 0);
  EXPECT_TRUE(pages->poll());
}

TEST_F(DoorbellPagesTest, KickIsNoticedEvenIfAnotherHolderReadsTheEventfd) {
  ASSERT_TRUE(pages->vi_started(0).ok());
  auto windows = pages->take_windows(1);
  ASSERT_TRUE(pages->begin_sleep());
  eventfd_write(windows[0].kick_fd, 1);
  pollfd kick{pages->kick_fd(), POLLIN, 0};
  EXPECT_EQ(poll(&kick, 1, 1000), 1);
  pages->end_sleep();
  eventfd_t count = 0;
  EXPECT_EQ(eventfd_read(windows[0].kick_fd, &count), 0);
  ASSERT_TRUE(pages->begin_sleep());
  eventfd_write(windows[0].kick_fd, 1);
  EXPECT_EQ(poll(&kick, 1, 1000), 1);
}

TEST_F(DoorbellPagesTest, ViBeyondTheContractHasNoWindow) {
  EXPECT_EQ(pages->vi_started(PST_LIMIT_VI_COUNT_MAX).error().code, EINVAL);
  pages->vi_stopped(PST_LIMIT_VI_COUNT_MAX);
}

// A thread stores two registers of a kind close together, the smaller index first, and pauses. A poller that looked at
// the registers one after the other would now and then see the second store without the first, and an index would go
// back.
TEST_F(DoorbellPagesTest, IndicesNeverGoBackUnderAConcurrentWriter) {
  auto window = start(0);
  std::atomic<bool> done{false};
  constexpr uint32_t kSteps = 200000;
  std::thread writer([&] {
    for (uint32_t i = 2; i <= kSteps; i += 2) {
      window->write_doorbell(PST_VI_TX_DOORBELL_OFFSET, i - 1);
      window->write_doorbell(PST_VI_TX_PUSH_DOORBELL_OFFSET, i);
      window->write_doorbell(PST_VI_EVQ_CONSUMER_OFFSET, i - 1);
      window->write_doorbell(PST_VI_EVQ_PRIME_OFFSET, prime_word(i, static_cast<uint16_t>(i | 1)));
      for (uint32_t pause = i % 16; pause > 0; --pause) __builtin_ia32_pause();
    }
    done = true;
  });
  uint32_t event_idx = 0;
  uint32_t tx_idx = 0;
  int backwards = 0;
  device.on_doorbell = [&](const DoorbellWrite& write) {
    const bool events = write.offset == PST_VI_EVQ_PRIME_OFFSET || write.offset == PST_VI_EVQ_CONSUMER_OFFSET;
    const bool transmit = write.offset == PST_VI_TX_DOORBELL_OFFSET || write.offset == PST_VI_TX_PUSH_DOORBELL_OFFSET;
    if (!events && !transmit) return;
    uint32_t& last = events ? event_idx : tx_idx;
    const auto idx = static_cast<uint32_t>(write.value);
    if (idx < last) ++backwards;
    last = idx;
  };
  while (!done) {
    pages->poll();
    device.doorbells.clear();
  }
  writer.join();
  pages->poll();
  EXPECT_EQ(backwards, 0);
  EXPECT_EQ(event_idx, kSteps);
  EXPECT_EQ(tx_idx, kSteps);
}

}  // namespace
}  // namespace postern::sim
