// One stack whose frames come back to itself through a ring in shared memory: threads and processes hammer it together.
#pragma once

#include <sys/mman.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <new>

#include "stack/packet_pool.h"
#include "stack/stack.h"

namespace postern::stack::test {

class WallClock : public DeviceClock {
 public:
  [[nodiscard]] uint64_t now_ns() const override {
    return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  }
};

// Ports in shared memory: each number is used once.
class CountingPorts : public PortAuthority {
 public:
  explicit CountingPorts(std::atomic<uint32_t>* next) : next_(next) {}
  int acquire(Protocol, const SocketAddress& local, uint32_t) override {
    return local.port != 0 ? local.port : static_cast<int>(next_->fetch_add(1));
  }
  void release(Protocol, const SocketAddress&) override {}

 private:
  std::atomic<uint32_t>* next_;
};

struct LoopRing {
  static constexpr uint32_t kFrames = 1024;
  std::atomic<uint32_t> head{0};
  std::atomic<uint32_t> tail{0};
  std::atomic<uint32_t> next_port{30000};
  std::atomic<uint32_t> done{0};
  uint16_t length[kFrames];
  uint8_t bytes[kFrames][1536];
};

// Used with the stack's lock held, has_event() excepted.
class LoopInterface : public NetworkInterface {
 public:
  explicit LoopInterface(LoopRing* ring) : ring_(ring) {}
  bool can_transmit(PacketPool&) override { return ring_->tail - ring_->head < LoopRing::kFrames; }
  void transmit(PacketPool& pool, const TxFrame& frame) override {
    const uint32_t slot = ring_->tail % LoopRing::kFrames;
    uint16_t at = 0;
    for (unsigned i = 0; i < frame.piece_count; ++i) {
      std::memcpy(ring_->bytes[slot] + at, pool.buffer(frame.pieces[i].packet) + frame.pieces[i].offset_bytes,
                  frame.pieces[i].length_bytes);
      at = static_cast<uint16_t>(at + frame.pieces[i].length_bytes);
    }
    ring_->length[slot] = at;
    ring_->tail.fetch_add(1);
  }
  bool transmit_bytes(const uint8_t*, uint64_t, uint16_t) override { return false; }
  void flush() override {}
  size_t poll(PacketPool& pool, RxFrame* frames, size_t max_count, size_t* work) override {
    size_t count = 0;
    *work = 0;
    while (count < max_count && ring_->head != ring_->tail) {
      const uint32_t slot = ring_->head % LoopRing::kFrames;
      const uint32_t packet = pool.allocate();
      ++*work;
      if (packet != kNoPacket) {
        std::memcpy(pool.buffer(packet), ring_->bytes[slot], ring_->length[slot]);
        frames[count] = {};
        frames[count].packet = packet;
        frames[count].length_bytes = ring_->length[slot];
        ++count;
      }
      ring_->head.fetch_add(1);
    }
    return count;
  }
  void refill(PacketPool&) override {}
  bool has_event() const override { return ring_->head != ring_->tail; }
  void prime() override {}
  bool failed() const override { return false; }

 private:
  LoopRing* ring_;
};

// The shared memory of a test; made before fork().
class SharedStack {
 public:
  SharedStack() {
    config.address = IpAddress::ipv4(0x0a090001);
    config.mac[0] = 2;
    config.mac[5] = 1;
    config.endpoint_count = 128;
    config.packet_count = 8192;
    config.tx_checksum_offload = 0;
    config.time_wait_ns = 1'000'000;
    stack_bytes = Stack::region_bytes(config);
    base = mmap(nullptr, stack_bytes + sizeof(LoopRing), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ring = new (static_cast<uint8_t*>(base) + stack_bytes) LoopRing();
    (void)Stack::format(base, stack_bytes, config);
  }
  ~SharedStack() { munmap(base, stack_bytes + sizeof(LoopRing)); }
  SharedStack(const SharedStack&) = delete;
  SharedStack& operator=(const SharedStack&) = delete;

  StackConfig config;
  size_t stack_bytes = 0;
  void* base = nullptr;
  LoopRing* ring = nullptr;
};

// One process's way in.
struct AttachedStack {
  explicit AttachedStack(SharedStack& shared) : ports(&shared.ring->next_port), netif(shared.ring) {
    StackParts parts;
    parts.region = shared.base;
    parts.region_bytes = shared.stack_bytes;
    parts.clock = &clock;
    parts.ports = &ports;
    parts.netif = &netif;
    stack = std::move(Stack::attach(parts)).value();
  }
  WallClock clock;
  CountingPorts ports;
  LoopInterface netif;
  std::unique_ptr<Stack> stack;
};

// A connection to the stack's own address: moves `bytes` through it and compares. Returns an error text, empty if fine.
inline std::string loop_transfer(Stack& stack, uint16_t port, uint32_t bytes) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  const auto late = [&] { return std::chrono::steady_clock::now() > deadline; };
  const SocketAddress address{stack.config().address, port};
  const int listener = stack.open(SocketType::kStream);
  if (listener < 0 || stack.bind(listener, address) != 0 || stack.listen(listener, 1) != 0) return "listen";
  const int client = stack.open(SocketType::kStream);
  if (const int result = stack.connect(client, address); result != -EINPROGRESS)
    return "connect " + std::to_string(result);
  int server = -EAGAIN;
  while (server == -EAGAIN && !late()) {
    stack.poll();
    server = stack.accept(listener, nullptr);
  }
  if (server < 0) return "accept " + std::to_string(server);
  uint32_t sent = 0;
  uint32_t received = 0;
  uint8_t block[8000];
  const auto pattern = [port](uint32_t at) { return static_cast<uint8_t>((at * 2654435761u + port) >> 23); };
  bool ended = false;
  while (!ended && !late()) {
    if (sent < bytes) {
      const uint32_t want = std::min<uint32_t>(sizeof block, bytes - sent);
      for (uint32_t i = 0; i < want; ++i) block[i] = pattern(sent + i);
      const iovec iov{block, want};
      const int64_t taken = stack.send(client, &iov, 1, 0, nullptr);
      if (taken > 0) sent += static_cast<uint32_t>(taken);
      if (taken < 0 && taken != -EAGAIN) return "send " + std::to_string(taken);
      if (sent == bytes && stack.shutdown(client, SHUT_WR) != 0) return "shutdown";
    }
    stack.poll();
    const iovec iov{block, sizeof block};
    const int64_t got = stack.recv(server, &iov, 1, 0, nullptr);
    if (got == 0) ended = true;
    if (got < 0 && got != -EAGAIN) return "recv " + std::to_string(got);
    for (int64_t i = 0; i < got; ++i) {
      if (block[i] != pattern(received + static_cast<uint32_t>(i))) return "corrupt at " + std::to_string(received + i);
    }
    if (got > 0) received += static_cast<uint32_t>(got);
  }
  if (received != bytes) return "received " + std::to_string(received) + " of " + std::to_string(bytes);
  for (const int endpoint : {server, client, listener}) {
    if (const int result = stack.close(endpoint); result != 0) return "close " + std::to_string(result);
  }
  return "";
}

}  // namespace postern::stack::test
