// Two NICs of a live simulator, driven through vfio-user by the resource manager and the VI library alone: no hostd and
// no stack. Shared by the tests of the live loop.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>

#include "contract/gen/pst_contract.h"
#include "driver/dma_allocator.h"
#include "driver/resource_manager.h"
#include "driver/vfio_user_function.h"
#include "driver/vi.h"
#include "sim/live_control.h"
#include "sim/testbed_process.h"

namespace postern {

using std::chrono::milliseconds;
inline constexpr uint64_t kSecondNs = 1'000'000'000;
inline constexpr uint32_t kBufferBytes = 2048;
inline constexpr uint64_t kRegionBytes = 4U << 20U;
inline constexpr uint64_t kBuffersOffset = 1U << 20U;

// The simulator with the default topology in a directory of its own.
class Simulator {
 public:
  Simulator() {
    char name[] = "/tmp/postern-vi-live-XXXXXX";
    directory_ = mkdtemp(name);
    int ready[2];
    if (pipe2(ready, O_CLOEXEC) != 0) return;
    sim::ProcessSpec spec;
    spec.arguments = {POSTERN_PROGRAM, "live-simulator", "--run-dir", directory_, "--ready-fd", "3"};
    spec.log_path = directory_ + "/simulator.log";
    spec.inherited_fd = ready[1];
    Result<sim::ProcessId> id = sim::process_spawn(spec);
    close(ready[1]);
    if (id.ok()) {
      id_ = id.value();
      Result<std::string> line = sim::process_wait_line(ready[0], -1, milliseconds(10000));
      ready_ = line.ok() && line.value() == "ready";
    }
    close(ready[0]);
  }
  ~Simulator() {
    sim::process_end({id_}, milliseconds(2000));
    std::filesystem::remove_all(directory_);
  }
  [[nodiscard]] bool ready() const { return ready_; }
  [[nodiscard]] std::string nic(const std::string& host) const { return directory_ + "/nic-" + host + ".sock"; }
  [[nodiscard]] std::string status() const {
    Result<std::string> text = sim::live_request_status(directory_ + "/control.sock", milliseconds(2000));
    return text.ok() ? text.value() : text.error().message;
  }
  void kill() { sim::process_end({id_}, milliseconds(0)); }

 private:
  std::string directory_;
  sim::ProcessId id_;
  bool ready_ = false;
};

// One host: a function, a resource manager and one VI that gets all unmatched frames.
struct Host {
  Status open(const std::string& socket_path) {
    Result<std::unique_ptr<VfioUserFunction>> connected = VfioUserFunction::connect(socket_path);
    if (!connected) return connected.error();
    function = std::move(connected.value());
    resources = std::make_unique<ResourceManager>(*function, allocator, ResourceManager::Config());
    if (Status status = resources->start(); !status) return status;
    Result<DmaMemory> memory = allocator.allocate(kRegionBytes, "vi-live-test");
    if (!memory) return memory.error();
    region = memory.value();
    if (vi_layout_place(state.layout, 0) > kBuffersOffset) return Error{ENOSPC, "rings overlap the buffers"};
    ViOptions options;
    options.host_stack = true;
    Result<ViGrant> grant = resources->create_vi(region, state.layout, options);
    if (!grant) return grant.error();
    state.vi_id = grant->vi_id;
    state.features = resources->device().features;
    Result<std::unique_ptr<ViWindow>> opened = function->open_window(grant->vi_id);
    if (!opened) return opened.error();
    window = std::move(opened.value());
    Result<std::unique_ptr<InterruptLine>> line = function->open_interrupt(grant->vector);
    if (!line) return line.error();
    interrupt = std::move(line.value());
    vi = Vi(region.base, &state, window.get());
    while (vi.rx_space() > 0) post_one();
    vi.ring_rx_doorbell();
    return {};
  }

  void post_one() { vi.post_rx(kBuffersOffset + (state.rx_producer_idx % 512) * kBufferBytes, kBufferBytes); }

  // A frame of 64 bytes to another host with a sequence number in it.
  bool send(const std::array<uint8_t, 6>& to, uint32_t sequence) {
    const uint64_t offset = kBuffersOffset + (512 + state.tx_producer_idx % 512) * kBufferBytes;
    auto* frame = static_cast<uint8_t*>(region.base) + offset;
    std::memset(frame, 0, 64);
    std::memcpy(frame, to.data(), 6);
    std::memcpy(frame + 6, resources->device().mac.data(), 6);
    frame[12] = 0x88;  // IEEE 802 local experimental ethertype
    frame[13] = 0xb5;
    std::memcpy(frame + 14, &sequence, sizeof sequence);
    const TxFragment fragment{offset, 64};
    if (!vi.queue_tx(&fragment, 1, TxOptions())) return false;
    vi.ring_tx_doorbell();
    return true;
  }

  // The same through the PIO page.
  bool send_pio(const std::array<uint8_t, 6>& to, uint32_t sequence) {
    std::array<uint8_t, 64> frame{};
    std::copy(to.begin(), to.end(), frame.begin());
    std::memcpy(frame.data() + 6, resources->device().mac.data(), 6);
    frame[12] = 0x88;
    frame[13] = 0xb5;
    std::memcpy(frame.data() + 14, &sequence, sizeof sequence);
    return vi.send_pio(frame.data(), frame.size(), TxOptions());
  }

  // Takes all events; the sequence number of the last frame goes to last_sequence. Returns the number of frames.
  unsigned take_events() {
    std::array<ViEvent, 64> events;
    unsigned frames = 0;
    while (const size_t count = vi.poll(events.data(), events.size())) {
      for (size_t i = 0; i < count; ++i) {
        if (events[i].type == ViEventType::kError) error_code = events[i].code;
        if (events[i].type == ViEventType::kTimer) ++timer_events;
        if (events[i].type != ViEventType::kRx) continue;
        const uint64_t offset = kBuffersOffset + (events[i].first_idx % 512) * kBufferBytes;
        std::memcpy(&last_sequence, static_cast<uint8_t*>(region.base) + offset + 14, sizeof last_sequence);
        ++frames;
        post_one();
      }
    }
    vi.ring_rx_doorbell();
    vi.ring_evq_doorbell();
    return frames;
  }

  // Sleeps as an application does: prime, look again, wait. False: no wakeup within the time.
  bool sleep(uint64_t timeout_ns) {
    vi.prime();
    return vi.has_event() || interrupt->wait(timeout_ns) == WaitOutcome::kSignalled || vi.has_event();
  }

  MemfdDmaAllocator allocator;
  std::unique_ptr<VfioUserFunction> function;
  std::unique_ptr<ResourceManager> resources;
  DmaMemory region;
  ViState state;
  std::unique_ptr<ViWindow> window;
  std::unique_ptr<InterruptLine> interrupt;
  Vi vi;
  uint32_t last_sequence = 0;
  uint64_t timer_events = 0;
  uint16_t error_code = 0;
};

class ViLiveTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(simulator_.ready());
    for (auto& [host, name] : {std::pair<Host&, const char*>{a_, "a"}, {b_, "b"}}) {
      Status status = host.open(simulator_.nic(name));
      ASSERT_TRUE(status.ok()) << status.error().message;
    }
  }
  // Waits until a host has taken a frame, looking all the time.
  bool spin_for_frame(Host& host) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (host.take_events() == 0) {
      if (std::chrono::steady_clock::now() > deadline) return false;
    }
    return true;
  }
  Simulator simulator_;
  Host a_;
  Host b_;
};

}  // namespace postern
