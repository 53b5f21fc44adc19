// Shared doorbell pages: memfds, atomic snapshots of a page, order of delivery, and the sleep/kick protocol.
//
// Sleep/kick. Client: store doorbell; load SLEEPING; if set, write the kick eventfd. Simulator: store SLEEPING = 1;
// poll all pages; if nothing changed, sleep until a kick. All four accesses are sequentially consistent (the stores are
// full fences), so one side's store comes first: if the client's, the simulator's poll sees the doorbell; if the
// simulator's, the client sees SLEEPING. So a doorbell is seen at once or kicks; it is never lost.
#include "sim/doorbell_pages.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

namespace postern::sim {
namespace {

constexpr size_t kClockFileBytes = PST_CLOCK_PAGE_OFFSET + PST_LIMIT_PAGE_BYTES;
constexpr int kSnapshotAttempts = 4;

struct RegisterPlace {
  uint32_t offset;
  unsigned width_bytes;
};
// Indexed by DoorbellPages::Register.
constexpr RegisterPlace kPlaces[] = {
    {PST_VI_RX_DOORBELL_OFFSET, 4},  {PST_VI_TX_DOORBELL_OFFSET, 4},           {PST_VI_TX_PUSH_DOORBELL_OFFSET, 4},
    {PST_VI_PIO_DOORBELL_OFFSET, 8}, {PST_VI_EVQ_CONSUMER_OFFSET, 4},          {PST_VI_EVQ_PRIME_OFFSET, 8},
    {PST_VI_TIMER_OFFSET, 8},        {PST_VI_TX_PUSH_DESCRIPTOR_LO_OFFSET, 8}, {PST_VI_TX_PUSH_DESCRIPTOR_HI_OFFSET, 8},
};

Error system_error(const std::string& what) {
  const int code = errno;
  std::string remedy;
  if (code == EMFILE || code == ENFILE) remedy = "; raise the limit of open files (ulimit -n)";
  return Error{code, what + ": " + std::strerror(code) + remedy};
}

// A zeroed memfd whose size nobody can change.
UniqueFd make_shared_memory(const char* name, size_t size_bytes) {
  UniqueFd fd(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid()) return fd;
  if (ftruncate(fd.get(), static_cast<off_t>(size_bytes)) != 0 ||
      fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0) {
    return UniqueFd();
  }
  return fd;
}

uint8_t* map_shared(int fd, size_t size_bytes) {
  void* base = mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  return base == MAP_FAILED ? nullptr : static_cast<uint8_t*>(base);
}

template <typename T>
T load(const uint8_t* at) {
  return __atomic_load_n(reinterpret_cast<const T*>(at), __ATOMIC_SEQ_CST);
}

template <typename T>
void store(uint8_t* at, T value) {
  __atomic_store_n(reinterpret_cast<T*>(at), value, __ATOMIC_RELEASE);
}

constexpr uint32_t pio_tx_idx(uint64_t word) {
  return static_cast<uint32_t>((word & PST_VI_PIO_DOORBELL_TX_IDX_MASK) >> PST_VI_PIO_DOORBELL_TX_IDX_SHIFT);
}

}  // namespace

struct DoorbellPages::Vi {
  uint32_t vi_id = 0;
  bool stopped = false;
  uint32_t tx_idx = 0;  // last transmit index delivered, by whichever register
  Page window;
  Page region;         // base is null while no client has the region
  UniqueFd window_fd;  // until it is handed out
  UniqueFd kick_fd;

  ~Vi() {
    if (window.base != nullptr) munmap(window.base, PST_VI_WINDOW_STRIDE);
  }
};

DoorbellPages::DoorbellPages(DoorbellSink& sink) : sink_(sink) {}

Result<std::unique_ptr<DoorbellPages>> DoorbellPages::create(DoorbellSink& sink) {
  std::unique_ptr<DoorbellPages> pages(new DoorbellPages(sink));
  pages->kick_epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!pages->kick_epoll_.valid()) return system_error("cannot make the kick epoll instance");
  if (Status made = pages->make_clock(); !made.ok()) return made.error();
  return pages;
}

Status DoorbellPages::make_clock() {
  UniqueFd fd = make_shared_memory("postern-clock", kClockFileBytes);
  if (!fd.valid()) return system_error("cannot make the clock page");
  clock_base_ = map_shared(fd.get(), kClockFileBytes);
  if (clock_base_ == nullptr) return system_error("cannot map the clock page");
  // From here on nobody can map it writable again or write to it, also not by reopening it under /proc.
  if (fcntl(fd.get(), F_ADD_SEALS, F_SEAL_FUTURE_WRITE) != 0) return system_error("cannot seal the clock page");
  const std::string path = "/proc/self/fd/" + std::to_string(fd.get());
  clock_read_only_.reset(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!clock_read_only_.valid()) return system_error("cannot reopen the clock page read-only through " + path);
  return {};
}

DoorbellPages::~DoorbellPages() {
  started_.clear();
  drop_region();
  if (clock_base_ != nullptr) munmap(clock_base_, kClockFileBytes);
}

Status DoorbellPages::vi_started(uint32_t vi_id) {
  if (vi_id >= by_id_.size()) return Error{EINVAL, "VI id beyond the contract's limit"};
  vi_stopped(vi_id);
  auto vi = std::make_unique<Vi>();
  vi->vi_id = vi_id;
  vi->window_fd = make_shared_memory("postern-window", PST_VI_WINDOW_STRIDE);
  if (!vi->window_fd.valid()) return system_error("cannot make the window of VI " + std::to_string(vi_id));
  vi->window.base = map_shared(vi->window_fd.get(), PST_VI_WINDOW_STRIDE);
  if (vi->window.base == nullptr) return system_error("cannot map the window of VI " + std::to_string(vi_id));
  vi->kick_fd.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  // Edge-triggered: a kick is noticed without reading the eventfd, so that another holder cannot steal it by reading.
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.u32 = vi_id;
  if (!vi->kick_fd.valid() || epoll_ctl(kick_epoll_.get(), EPOLL_CTL_ADD, vi->kick_fd.get(), &event) != 0) {
    return system_error("cannot make the kick eventfd of VI " + std::to_string(vi_id));
  }
  if (region_base_ != nullptr) {
    vi->region.base = region_base_ + static_cast<size_t>(vi_id) * PST_VI_WINDOW_STRIDE;
    std::memset(vi->region.base, 0, PST_VI_WINDOW_STRIDE);
  }
  by_id_[vi_id] = vi.get();
  started_.push_back(std::move(vi));
  untaken_.push_back(vi_id);
  return {};
}

void DoorbellPages::vi_stopped(uint32_t vi_id) {
  if (vi_id >= by_id_.size() || by_id_[vi_id] == nullptr) return;
  Vi& vi = *by_id_[vi_id];
  by_id_[vi_id] = nullptr;
  vi.stopped = true;
  some_stopped_ = true;
  epoll_ctl(kick_epoll_.get(), EPOLL_CTL_DEL, vi.kick_fd.get(), nullptr);
  untaken_.erase(std::remove(untaken_.begin(), untaken_.end(), vi_id), untaken_.end());
  if (!polling_) erase_stopped();
}

void DoorbellPages::erase_stopped() {
  some_stopped_ = false;
  started_.erase(std::remove_if(started_.begin(), started_.end(), [](const auto& vi) { return vi->stopped; }),
                 started_.end());
}

void DoorbellPages::function_reset() {
  for (uint32_t vi_id = 0; vi_id < by_id_.size(); ++vi_id) vi_stopped(vi_id);
  uint8_t* generation = clock_base_ + PST_CLOCK_PAGE_OFFSET + PST_CLOCK_GENERATION_OFFSET;
  store<uint32_t>(generation, load<uint32_t>(generation) + 1);
}

DoorbellPages::Snapshot DoorbellPages::collect(const uint8_t* base) {
  Snapshot snapshot;
  for (size_t i = 0; i < kRegisterCount; ++i) {
    const uint8_t* at = base + kPlaces[i].offset;
    snapshot[i] = kPlaces[i].width_bytes == 4 ? load<uint32_t>(at) : load<uint64_t>(at);
  }
  return snapshot;
}

// Two equal collections in a row are what the page held at one instant between them (the indices in it never return to
// an old value within that time). Only such a snapshot is delivered: with one taken word by word, a word could be seen
// whose predecessor is only seen in the next poll, and an index would seem to go back.
bool DoorbellPages::poll_page(Vi& vi, Page& page) {
  Snapshot now = collect(page.base);
  if (now == page.seen) return false;
  for (int attempt = 0; attempt < kSnapshotAttempts; ++attempt) {
    const Snapshot again = collect(page.base);
    if (again == now) {
      const Snapshot before = page.seen;
      page.seen = now;
      deliver(vi, page, now, before);
      return true;
    }
    now = again;
  }
  ++unstable_snapshots_count_;
  return true;
}

bool DoorbellPages::poll() {
  bool found = false;
  polling_ = true;
  for (size_t i = 0; i < started_.size(); ++i) {
    Vi& vi = *started_[i];
    if (!vi.stopped && poll_page(vi, vi.window)) found = true;
    if (!vi.stopped && vi.region.base != nullptr && poll_page(vi, vi.region)) found = true;
  }
  polling_ = false;
  if (some_stopped_) erase_stopped();
  return found;
}

// Several registers may have changed between two looks, and the page does not say in which order. The order here is
// right for every order in which software can have stored them:
//  1. RX_DOORBELL: buffers are there before anything later in this list can make the device need them.
//  2. The transmit registers by ascending index, because an index must never go back (R2, R12). Each says "everything
//     before this index", so a smaller one after a larger one would be an error and the other way round is not.
//  3. EVQ_CONSUMER and EVQ_PRIME by ascending index for the same reason (a prime returns space too); at the same index
//     the prime is last. It is after the transmit registers because what those cause comes after the prime in any case
//     or is beyond its index when the device processes it: then the wakeup fires at once (R6). Never the other way
//     round: nothing after the prime in this list can consume an event, so no prime is satisfied by less than software
//     saw.
//  4. TIMER: its event comes after the prime is armed and so wakes the sleeper that armed both.
void DoorbellPages::deliver(Vi& vi, const Page& page, const Snapshot& now, const Snapshot& before) {
  if (now[kRx] != before[kRx]) write(vi, kRx, now[kRx]);
  deliver_tx(vi, page, now, before);
  deliver_event_queue(vi, now, before);
  if (now[kTimer] != before[kTimer]) write(vi, kTimer, now[kTimer]);
}

void DoorbellPages::deliver_tx(Vi& vi, const Page& page, const Snapshot& now, const Snapshot& before) {
  struct Change {
    Register which;
    uint32_t idx;
  };
  std::array<Change, 3> changes{};
  size_t count = 0;
  if (now[kTx] != before[kTx]) changes[count++] = {kTx, static_cast<uint32_t>(now[kTx])};
  if (now[kPush] != before[kPush]) changes[count++] = {kPush, static_cast<uint32_t>(now[kPush])};
  if (now[kPio] != before[kPio]) changes[count++] = {kPio, pio_tx_idx(now[kPio])};
  if (count == 0) return;
  const uint32_t base = vi.tx_idx;
  std::sort(changes.begin(), changes.begin() + static_cast<std::ptrdiff_t>(count),
            [base](const Change& a, const Change& b) { return a.idx - base < b.idx - base; });
  for (size_t i = 0; i < count; ++i) {
    const Change& change = changes[i];
    if (change.which == kPush) {
      // Software pushes a descriptor only when all earlier packets are completed (contract: TX_PUSH_DOORBELL), so these
      // words are still those of this push.
      write(vi, kPushLow, now[kPushLow]);
      write(vi, kPushHigh, now[kPushHigh]);
    } else if (change.which == kPio) {
      // The frame must be in the device before the doorbell names it, and is still in the page: software keeps it there
      // until the packet is completed (contract: PIO_DOORBELL). A range beyond the page is left to the device,
      // which answers it with an error (R12).
      const uint64_t word = now[kPio];
      const auto offset = static_cast<uint32_t>((word & PST_VI_PIO_DOORBELL_OFFSET_BYTES_MASK) >>
                                                PST_VI_PIO_DOORBELL_OFFSET_BYTES_SHIFT);
      const auto length = static_cast<uint32_t>((word & PST_VI_PIO_DOORBELL_LENGTH_BYTES_MASK) >>
                                                PST_VI_PIO_DOORBELL_LENGTH_BYTES_SHIFT);
      if (length > 0 && offset + length <= PST_LIMIT_PIO_BYTES && !vi.stopped) {
        std::array<uint8_t, PST_LIMIT_PIO_BYTES> frame;
        std::memcpy(frame.data(), page.base + PST_VI_PIO_PAGE_OFFSET + offset, length);
        sink_.pio_written(vi.vi_id, offset, frame.data(), length);
      }
    }
    write(vi, change.which, now[change.which]);
    vi.tx_idx = change.idx;
  }
}

void DoorbellPages::deliver_event_queue(Vi& vi, const Snapshot& now, const Snapshot& before) {
  const bool consumer_changed = now[kConsumer] != before[kConsumer];
  const bool prime_changed = now[kPrime] != before[kPrime];
  const auto consumer_idx = static_cast<uint32_t>(now[kConsumer]);
  const auto prime_idx =
      static_cast<uint32_t>((now[kPrime] & PST_VI_EVQ_PRIME_CONSUMER_IDX_MASK) >> PST_VI_EVQ_PRIME_CONSUMER_IDX_SHIFT);
  const bool prime_first = prime_changed && consumer_changed && static_cast<int32_t>(prime_idx - consumer_idx) < 0;
  if (prime_first) write(vi, kPrime, now[kPrime]);
  if (consumer_changed) write(vi, kConsumer, now[kConsumer]);
  if (prime_changed && !prime_first) write(vi, kPrime, now[kPrime]);
}

void DoorbellPages::write(const Vi& vi, Register which, uint64_t value) {
  if (!vi.stopped) sink_.doorbell_written(vi.vi_id, kPlaces[which].offset, kPlaces[which].width_bytes, value);
}

bool DoorbellPages::begin_sleep() {
  uint8_t* sleeping = clock_base_ + PST_CLOCK_PAGE_OFFSET + PST_CLOCK_SLEEPING_OFFSET;
  __atomic_exchange_n(reinterpret_cast<uint32_t*>(sleeping), 1u, __ATOMIC_SEQ_CST);
  if (!poll()) return true;
  end_sleep();
  return false;
}

void DoorbellPages::end_sleep() {
  store<uint32_t>(clock_base_ + PST_CLOCK_PAGE_OFFSET + PST_CLOCK_SLEEPING_OFFSET, 0);
  // Takes the edges that have arrived, so that the next sleep is not cut short by them.
  std::array<epoll_event, 64> events;
  while (epoll_wait(kick_epoll_.get(), events.data(), static_cast<int>(events.size()), 0) ==
         static_cast<int>(events.size())) {
  }
}

void DoorbellPages::set_time_ns(uint64_t time_ns) {
  store<uint64_t>(clock_base_ + PST_CLOCK_PAGE_OFFSET + PST_CLOCK_TIME_NS_OFFSET, time_ns);
}

uint64_t DoorbellPages::read_clock_page(uint32_t offset, unsigned width_bytes) const {
  if (offset + width_bytes > PST_LIMIT_PAGE_BYTES) return 0;
  const uint8_t* at = clock_base_ + PST_CLOCK_PAGE_OFFSET + offset;
  return width_bytes == 8 ? load<uint64_t>(at) : load<uint32_t>(at);
}

size_t DoorbellPages::untaken_windows() const { return untaken_.size(); }

std::vector<DoorbellPages::Window> DoorbellPages::take_windows(size_t max_count) {
  std::vector<Window> windows;
  const size_t count = std::min(max_count, untaken_.size());
  for (size_t i = 0; i < count; ++i) {
    Vi& vi = *by_id_[untaken_[i]];
    windows.push_back({vi.vi_id, std::move(vi.window_fd), vi.kick_fd.get()});
  }
  untaken_.erase(untaken_.begin(), untaken_.begin() + static_cast<std::ptrdiff_t>(count));
  return windows;
}

int DoorbellPages::region_fd() {
  if (region_fd_.valid()) return region_fd_.get();
  UniqueFd fd = make_shared_memory("postern-vi-region", PST_BAR_VI_SIZE);
  if (!fd.valid()) return -1;
  region_base_ = map_shared(fd.get(), PST_BAR_VI_SIZE);
  if (region_base_ == nullptr) return -1;
  region_fd_ = std::move(fd);
  for (const auto& vi : started_) {
    vi->region.base = region_base_ + static_cast<size_t>(vi->vi_id) * PST_VI_WINDOW_STRIDE;
    vi->region.seen = {};
  }
  return region_fd_.get();
}

void DoorbellPages::drop_region() {
  for (const auto& vi : started_) vi->region = {};
  if (region_base_ != nullptr) munmap(region_base_, PST_BAR_VI_SIZE);
  region_base_ = nullptr;
  region_fd_.reset();
}

}  // namespace postern::sim
