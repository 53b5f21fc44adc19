// Doorbell pages as shared memory: one window (doorbell page, PIO page) per started VI that a client maps, and the
// device clock page. Finds changed registers by polling and delivers them to the device as writes; lets the simulator
// sleep without losing a doorbell. Packet walk: the hop between Vi::ring_tx_doorbell() and the device, in a live run.
//
// Memory layout: a window is a memfd of PST_VI_WINDOW_STRIDE bytes; the region is one of PST_BAR_VI_SIZE bytes (for
// clients that map the whole BAR, such as a VMM); the clock memfd is an image of BAR0 up to the end of the clock page.
// All sizes are sealed, so that no holder of a descriptor can pull the memory from under the simulator.
//
// Single-threaded (the simulator's loop); clients store to the pages at any time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "contract/gen/pst_contract.h"
#include "driver/result.h"
#include "driver/unique_fd.h"

namespace postern::sim {

// Receives what clients wrote. Called from poll() and begin_sleep().
class DoorbellSink {
 public:
  virtual ~DoorbellSink() = default;
  // A register of the VI's doorbell page (PST_VI_*_OFFSET) has a new value.
  virtual void doorbell_written(uint32_t vi_id, uint32_t offset, unsigned width_bytes, uint64_t value) = 0;
  // Bytes of the PIO page that the PIO doorbell which follows names.
  virtual void pio_written(uint32_t vi_id, uint32_t offset_bytes, const void* data, size_t size_bytes) = 0;
};

class DoorbellPages {
 public:
  // sink must outlive the object.
  [[nodiscard]] static Result<std::unique_ptr<DoorbellPages>> create(DoorbellSink& sink);
  ~DoorbellPages();
  DoorbellPages(const DoorbellPages&) = delete;
  DoorbellPages& operator=(const DoorbellPages&) = delete;

  // --- lifecycle of VIs (ViLifecycleIf) ------------------------------------------------------------------------
  // Makes a fresh, zeroed window; one that an earlier owner of the VI still maps is no longer looked at. Must be called
  // before software can learn that the VI exists. Error: out of memory or descriptors; the VI then has no window.
  [[nodiscard]] Status vi_started(uint32_t vi_id);
  void vi_stopped(uint32_t vi_id);
  // All VIs are gone; the clock page's GENERATION grows.
  void function_reset();

  // --- the simulator's loop ------------------------------------------------------------------------------------
  // Delivers every register that changed since it was last looked at. True if anything was found. Costs two or three
  // cache lines per started VI and no system call.
  bool poll();
  // Announces that the simulator will sleep (SLEEPING = 1), then looks once more. True: sleep until kick_fd() is
  // readable, at most a bounded time because clients without a kick (a guest) exist. False: there was work, do not
  // sleep.
  [[nodiscard]] bool begin_sleep();
  void end_sleep();
  // Readable when a client has kicked. Handled by end_sleep(); never read it.
  [[nodiscard]] int kick_fd() const { return kick_epoll_.get(); }
  void set_time_ns(uint64_t time_ns);

  // --- what the transport hands out ----------------------------------------------------------------------------
  struct Window {
    uint32_t vi_id = 0;
    UniqueFd window_fd;
    int kick_fd = -1;  // stays ours
  };
  // VIs whose window has not been handed out yet.
  [[nodiscard]] size_t untaken_windows() const;
  // Takes the oldest such windows, at most max_count. Each window is handed out once.
  [[nodiscard]] std::vector<Window> take_windows(size_t max_count);
  // The region-wide memfd, made when first asked for; -1 with errno if that fails. Ours.
  [[nodiscard]] int region_fd();
  // The client that was given the region has gone: its pages are no longer looked at.
  void drop_region();
  // Read-only descriptor of the clock memfd; the page is at PST_CLOCK_PAGE_OFFSET. Ours.
  [[nodiscard]] int clock_fd() const { return clock_read_only_.get(); }
  // Reads the clock page as a message would.
  [[nodiscard]] uint64_t read_clock_page(uint32_t offset, unsigned width_bytes) const;

  // Snapshots that a client's stores kept changing; the page is looked at again in the next poll.
  [[nodiscard]] uint64_t unstable_snapshots_count() const { return unstable_snapshots_count_; }

 private:
  // Registers that are watched, in the order of delivery (see deliver()).
  enum Register : size_t { kRx, kTx, kPush, kPio, kConsumer, kPrime, kTimer, kPushLow, kPushHigh, kRegisterCount };
  using Snapshot = std::array<uint64_t, kRegisterCount>;
  struct Vi;
  // One shared page and what was last delivered from it.
  struct Page {
    uint8_t* base = nullptr;
    Snapshot seen{};
  };

  explicit DoorbellPages(DoorbellSink& sink);
  [[nodiscard]] Status make_clock();
  static Snapshot collect(const uint8_t* base);
  bool poll_page(Vi& vi, Page& page);
  void deliver(Vi& vi, const Page& page, const Snapshot& now, const Snapshot& before);
  void deliver_tx(Vi& vi, const Page& page, const Snapshot& now, const Snapshot& before);
  void deliver_event_queue(Vi& vi, const Snapshot& now, const Snapshot& before);
  void write(const Vi& vi, Register which, uint64_t value);
  void erase_stopped();

  DoorbellSink& sink_;
  UniqueFd kick_epoll_;
  UniqueFd clock_read_only_;
  uint8_t* clock_base_ = nullptr;
  UniqueFd region_fd_;
  uint8_t* region_base_ = nullptr;
  std::vector<std::unique_ptr<Vi>> started_;
  std::array<Vi*, PST_LIMIT_VI_COUNT_MAX> by_id_{};
  std::vector<uint32_t> untaken_;  // VI ids in order of their start
  bool polling_ = false;
  bool some_stopped_ = false;
  uint64_t unstable_snapshots_count_ = 0;
};

}  // namespace postern::sim
